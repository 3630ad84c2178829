"""Stochastic samplers with the exact denoiser make the exact law: 500 evaluations, from the prior, 10,000 draws.

Two tests judge the draws. The mean of ln q_0 must lie within .08 nats of −entropy (eight standard errors), which sees
how wide the modes are. The counts of the mixture's components must pass a χ² test, which sees where the draws went.
Seeds are fixed.

A run takes 2 s on ring8, 5 s on grid25 and 13 s on spiral60, so the latter two make half as many draws, and not all of
3 × 4 × 5 are here:

- ring8: the SDE's samplers on all four processes; the others walk in x/α, where VP and SubVP are one, on three.
- grid25: each sampler, on one process.
- spiral60: Euler–Maruyama, the corrector and DDPM, each on another one.
"""

import numpy as np
import pytest

import tinydiff as td

N = 10_000
SAMPLERS = {
    "euler_maruyama": (td.euler_maruyama, 500, {}),
    "predictor_corrector": (td.predictor_corrector, 250, {}),
    "ddpm": (td.ddpm, 500, {}),
    "ddim": (td.ddim, 500, {"eta": 1.0}),
    "edm_heun": (td.edm_heun, 250, {"churn": 40.0}),
}
TOYS = {"ring8": td.toys.ring8, "grid25": td.toys.grid25, "spiral60": td.toys.spiral60}
VP, SubVP, Cosine, VE = PROCESSES = (td.VP(), td.SubVP(), td.Cosine(), td.VE())
RUNS = [
    *(("ring8", sampler, process) for sampler in ("euler_maruyama", "predictor_corrector") for process in PROCESSES),
    *(("ring8", sampler, process) for sampler in ("ddpm", "edm_heun") for process in (VP, Cosine, VE)),
    ("ring8", "ddim", Cosine),
    ("grid25", "euler_maruyama", Cosine),
    ("grid25", "predictor_corrector", VP),
    ("grid25", "ddpm", SubVP),
    ("grid25", "ddim", VP),
    ("grid25", "edm_heun", VE),
    ("spiral60", "euler_maruyama", VE),
    ("spiral60", "predictor_corrector", SubVP),
    ("spiral60", "ddpm", Cosine),
]
every_toy = pytest.mark.parametrize("toy", TOYS)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def off(data, x):
    """E ln q_0 + entropy, in nats: 0 for true draws, above it for modes too narrow, below for draws between them."""
    return np.mean(data.log_density(x)) + data.entropy()[0]


def narrowed(data):
    """The same modes at half the width."""
    return td.GaussianMixture(data.weights, data.means, data.covariances / 4)


def reweighted(data, weights):
    return td.GaussianMixture(weights / np.sum(weights), data.means, data.covariances)


@pytest.mark.parametrize(
    ("toy", "sampler", "process"), RUNS, ids=lambda p: p if isinstance(p, str) else type(p).__name__
)
def test_draws_are_of_the_mixture(toy, sampler, process, rng):
    data, (function, steps, options) = TOYS[toy](), SAMPLERS[sampler]
    model = td.Counting(td.Oracle(data, process))
    x = td.sample(model, N if toy == "ring8" else N // 2, sampler=function, steps=steps, rng=rng, **options)
    assert 499 <= model.nfe <= 500
    coverage = td.mode_coverage(data, x, rng=rng)
    assert abs(off(data, x)) <= 0.08
    assert coverage.p_value > 1e-3
    assert coverage.covered == 1


# What the two tests must not let pass


@every_toy
def test_true_draws_pass_both(toy, rng):
    data = TOYS[toy]()
    for _ in range(3):
        x = data.sample(rng, N)
        assert abs(off(data, x)) <= 0.04
        assert td.mode_coverage(data, x, rng=rng).p_value > 1e-3


@every_toy
def test_modes_of_half_the_width_fail_by_their_log_density(toy, rng):
    """Distant modes gain ½ d (1 − ¼) = .75 nats; the overlapping ones of the spiral .39."""
    data = TOYS[toy]()
    assert off(data, narrowed(data).sample(rng, N)) > 0.3


@every_toy
def test_a_missing_mode_fails_by_its_count(toy, rng):
    """The least component wants 167 or more of the 10,000 draws. ln q_0 is as it should be."""
    data = TOYS[toy]()
    lost = data.weights.copy()
    lost[np.argmin(lost)] *= 1e-9
    x = reweighted(data, lost).sample(rng, N)
    coverage = td.mode_coverage(data, x, rng=rng)
    assert coverage.p_value < 1e-6
    assert abs(off(data, x)) <= 0.08


@every_toy
def test_weights_off_by_a_tenth_fail_by_their_counts(toy, rng):
    """Half the components have 1.1 times their share, the rest .9: χ² rises by n/100 = 100, from K − 1 ± √(2K)."""
    data = TOYS[toy]()
    k = len(data.weights)
    x = reweighted(data, data.weights * np.where(2 * np.arange(k) < k, 1.1, 0.9)).sample(rng, N)
    assert td.mode_coverage(data, x, rng=rng).p_value < 1e-3
    assert abs(off(data, x)) <= 0.08


@pytest.mark.parametrize("sampler", ["euler_maruyama", "predictor_corrector", "ddpm", "edm_heun"])
def test_a_model_of_narrow_modes_fails_through_a_sampler(sampler, rng):
    """The mutant end to end: the denoiser of modes of half the width, 100 evaluations of it."""
    data, (function, steps, options) = td.toys.ring8(), SAMPLERS[sampler]
    model = td.Oracle(narrowed(data), VP)
    x = td.sample(model, 2000, sampler=function, steps=steps // 5, rng=rng, **options)
    assert off(data, x) > 0.4
