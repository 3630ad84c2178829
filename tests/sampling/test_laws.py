"""Every sampler against what is exact: the law of its end on Gaussian data, single points, and the walk by hand.

On Gaussian data a step is affine in x and in its noise, so that unit vectors in the place of noise give the law of the
end without a draw.
"""

import itertools
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff.sampling.predictor_corrector import langevin_step
from tinydiff.testing import assert_order

MEAN, VARIANCE = 0.6, 0.4
GAUSSIAN = td.GaussianMixture([1.0], [[MEAN]], [[[VARIANCE]]])
RING, VP = td.toys.ring8(), td.VP()

IN_RATIOS = {  # these know α and σ alone, and walk x/α as if it were VE's x
    "ddpm": (td.ddpm, 1),
    "ddim": (td.ddim, 1),
    "ddim, η = .5": (partial(td.ddim, eta=0.5), 1),
    "ddim, η = 1": (partial(td.ddim, eta=1.0), 1),
    "adams_bashforth": (td.adams_bashforth, 4),
    "dpm_solver_2m": (td.dpm_solver_2m, 2),
    "dpm_solver_3m": (td.dpm_solver_3m, 4),  # here alone: errors of order 3 cancel between noise and Gaussian data
    "unipc, 1": (partial(td.unipc, order=1), 2),
    "unipc, 2": (partial(td.unipc, order=2), 3),
    "unipc, 3": (td.unipc, 4),
    "exponential_euler": (td.exponential_euler, 2),  # in law, on Gaussian data
    "exponential_euler, η = 2": (partial(td.exponential_euler, eta=2.0), 2),
    "sde_dpm_solver_2m": (td.sde_dpm_solver_2m, 2),
    "sde_dpm_solver_2m, η = .5": (partial(td.sde_dpm_solver_2m, eta=0.5), 2),
    "edm_heun": (td.edm_heun, 2),
    "edm_heun, churn": (partial(td.edm_heun, churn=10.0), 2),
}
ORDERS = IN_RATIOS | {
    "ddpm, β": (partial(td.ddpm, variance="beta"), 1),
    "euler": (partial(td.probability_flow, method="euler"), 1),
    "heun": (partial(td.probability_flow, method="heun"), 2),
    "rk4": (td.probability_flow, 4),
    "euler_maruyama": (td.euler_maruyama, 1),
    "euler_maruyama, η = .5": (partial(td.euler_maruyama, eta=0.5), 1),
    "euler_maruyama, η = 2": (partial(td.euler_maruyama, eta=2.0), 1),
}
FEW, MANY = {"steps": (50, 100), "within": 0.2}, {"steps": (100, 200), "within": 0.3}
NEEDS_NO_RATES = ["ddpm", "ddpm, β", "ddim", "ddim, η = .5", "ddim, η = 1", "dpm_solver_2m", "sde_dpm_solver_2m"]


NOISES = 150
"""As many are drawn at the most."""


class Units(np.random.Generator):
    """A generator whose i-th draw is 1 in row i and 0 in all others."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))
        self.rows = itertools.count()

    def standard_normal(self, shape, dtype):
        row = next(self.rows)
        assert row < NOISES
        return np.eye(*shape, -row)


def marginal(process, t):
    """Mean and standard deviation of q_t."""
    now = process.at(t)
    return np.array([now.alpha * MEAN, np.sqrt(now.alpha**2 * VARIANCE + now.sigma**2)])


def law_of_end(sampler, process, steps, grid=td.grids.even_log_snr):
    """Mean and standard deviation at t_min of x = c + c_x x_T + Σ_i c_i z_i, from q_t at t_max."""
    ts = grid(process, steps)
    x = np.eye(NOISES + 2, 1, -NOISES)  # after the rows of noise that of x_T, and one of zeros
    end = td.last(sampler(td.Oracle(GAUSSIAN, process), x, ts, rng=Units()))[1][:, 0]
    *of_noise, of_x, _ = end - end[-1]
    mean, std = marginal(process, ts[0])
    return np.array([end[-1] + of_x * mean, np.hypot(of_x * std, np.linalg.norm(of_noise))])


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("process", [VP, td.Cosine()], ids=repr)
def test_every_sampler_leads_to_the_law_of_the_data_at_its_order(process, name):
    """From q_t at t_max it ends in q_t at t_min, but for an error that falls as n^−order in mean and deviation."""
    sampler, order = ORDERS[name]
    steps = FEW if order < 3 else MANY
    assert_order(partial(law_of_end, sampler, process), marginal(process, process.t_min), order, **steps)


@pytest.mark.parametrize("name", NEEDS_NO_RATES)
def test_a_chain_without_signal_at_its_end_is_sampled_at_the_same_order(name):
    """From α = 0, where x/α and ln α/σ are infinite, along strided steps."""
    sampler, order = ORDERS[name]
    chain = td.Discrete.linear(200).zero_terminal_snr()
    assert_order(partial(law_of_end, sampler, chain, grid=td.grids.strided), marginal(chain, chain.t_min), order, **FEW)


def test_corrections_mend_coarse_steps():
    """At 30 steps three corrections take away more than a quarter of the error [Song et al. 2021, §4.2]."""
    exact = marginal(VP, VP.t_min)

    def off(corrections):
        return abs(law_of_end(partial(td.predictor_corrector, corrections=corrections), VP, 30)[1] - exact[1])

    assert off(3) < 0.75 * off(0)


@pytest.mark.parametrize("process", [VP, td.Cosine(), td.Straight()], ids=repr)
@pytest.mark.parametrize("name", IN_RATIOS)
def test_x_over_alpha_does_not_know_the_process(name, process, rng):
    """At equal log-SNRs, and with the same noise, it is x under VE."""
    (sampler, _), ve, ts = IN_RATIOS[name], td.VE(sigma_max=5000.0), [0.9, 0.7, 0.5, 0.2, 0.1, 0.02]
    first, by_ve = process.at(ts[0]), [float(ve.time(process.log_snr(t))) for t in ts]
    y = first.sigma / first.alpha * rng.standard_normal((6, 2))
    walk = sampler(td.Oracle(RING, process), first.alpha * y, ts, rng=2)
    for (t, x), (_, other) in zip(walk, sampler(td.Oracle(RING, ve), y, by_ve, rng=2), strict=True):
        assert_allclose(x / process.alpha(t), other, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    ("sampler", "process"),
    [
        (td.ddim, VP),
        (td.adams_bashforth, VP),
        (td.dpm_solver_2m, VP),
        (td.dpm_solver_3m, VP),
        (td.unipc, VP),
        (td.edm_heun, VP),
        (partial(td.probability_flow, method="euler"), td.Straight()),
    ],
    ids=["ddim", "adams_bashforth", "dpm_solver_2m", "dpm_solver_3m", "unipc", "edm_heun", "euler, straight"],
)
def test_of_a_single_point_every_path_keeps_its_noise(sampler, process, rng):
    """α m + σ ε, in however few steps: where x̂_0 = m these methods, and on Straight Euler's, are exact."""
    point, (eps, ts) = np.array([[0.5, -2.0]]), (rng.standard_normal((5, 2)), [0.9, 0.4, 0.3, 0.01])
    for t, x in sampler(td.Oracle(point, process), process.at(ts[0]).perturb(point, eps), ts):
        assert_allclose(x, process.at(t).perturb(point, eps), rtol=1e-9, atol=1e-10)


# Samplers are their steps


def ddpm_by_hand(model, x, now, then, z, variance="beta_tilde"):
    return td.ddpm_step(x, model.x0(x, now), now, then, z(), variance)


def ddim_by_hand(model, x, now, then, z, eta):
    return td.ddim_step(x, model.x0(x, now), now, then, z(), eta)


def euler_maruyama_by_hand(model, x, now, then, z, eta=1.0):
    dw = np.sqrt(now.t - then.t) * z()
    return td.euler_maruyama_step(x, model(x, now), now, then, dw, eta)


def predictor_corrector_by_hand(model, x, now, then, z, corrections=1, snr=0.16):
    x = euler_maruyama_by_hand(model, x, now, then, z)
    for _ in range(corrections):
        x = langevin_step(x, model(x, then), then, z(), snr)
    return x


@pytest.mark.parametrize(
    ("sampler", "step", "options"),
    [
        (td.ddpm, ddpm_by_hand, {}),
        (td.ddpm, ddpm_by_hand, {"variance": "beta"}),
        (td.ddim, ddim_by_hand, {"eta": 0.5}),
        (td.euler_maruyama, euler_maruyama_by_hand, {}),
        (td.euler_maruyama, euler_maruyama_by_hand, {"eta": 0.5}),
        (td.predictor_corrector, predictor_corrector_by_hand, {}),
        (td.predictor_corrector, predictor_corrector_by_hand, {"corrections": 3, "snr": 0.1}),
    ],
    ids=lambda value: getattr(value, "__name__", None) or " ".join(map(str, value)),
)
def test_a_stochastic_sampler_is_its_steps(sampler, step, options, rng):
    """Each asks the model where it starts, a corrector where the step ends, and draws fresh noise."""
    model, noise, x = td.Oracle(RING, VP), np.random.default_rng(1), rng.standard_normal((4, 2))
    walk = sampler(model, x, [0.9, 0.5, 0.45, 0.2], rng=1, **options)
    levels = [VP.at(t) for t in (0.9, 0.5, 0.45, 0.2)]
    _, y = next(walk)
    for now, then in itertools.pairwise(levels):
        y = step(model, y, now, then, lambda: noise.standard_normal((4, 2)), **options)
        assert_allclose(next(walk)[1], y, rtol=1e-12)
