"""The likelihood of the probability flow where no identity looks: its order, its first half step, probes, dtypes."""

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff import testing
from tinydiff.backend import namespace, to_numpy

WIDE = td.GaussianMixture(
    [0.4, 0.6], [[-1.0, 0.3], [0.8, -0.2]], [[[0.5, 0.1], [0.1, 0.4]], [[0.3, -0.05], [-0.05, 0.6]]]
)
"""Two overlapping bumps, tilted, so that the Jacobian of the flow is nowhere diagonal."""


def from_the_law_of_noise(data, process, x, steps):
    """ln p(x) under the exact flow, with q_T as prior: the density of the data, but for the steps."""
    oracle = td.Oracle(data, process)
    return td.log_likelihood(oracle, x, prior=oracle.marginal(process.t_max).log_density, steps=steps)


@pytest.mark.parametrize("kind", [td.VP, td.SubVP, td.VE, td.Cosine, td.Straight])
def test_the_flow_is_of_order_four(kind):
    """RK4 in equal log-SNR [Song et al. 2021, 39]; what the start of the flow adds does not stop the fall."""
    x = WIDE.sample(0, 5)

    def solve(steps):
        return from_the_law_of_noise(WIDE, kind(), x, steps)

    testing.assert_order(solve, WIDE.log_density(x), order=4, steps=(80, 160))


def test_the_flow_starts_at_the_data():
    """Not at t_min, where α and ln q differ from those of the data by 1e-3: half a step leads there."""
    data, process = td.toys.grid25(), td.Straight()
    x = data.sample(0, 4)
    assert_allclose(from_the_law_of_noise(data, process, x, 300), data.log_density(x), rtol=0, atol=1.5e-7)


@pytest.mark.parametrize("probes", [None, 1, 16])
@pytest.mark.parametrize("steps", [1, 7])
def test_a_step_costs_four_evaluations_whatever_the_probes(probes, steps, rng):
    """RK4's, and the half step from the data costs one: a forward pass is shared between the pulls of all probes."""
    model = td.Counting(td.Oracle(WIDE, td.VP()))
    td.log_likelihood(model, WIDE.sample(rng, 3), probes=probes, steps=steps, rng=rng)
    assert model.nfe == 4 * steps + 1


def test_hutchinsons_estimate_is_the_mean_over_its_probes_with_its_spread(network, rng):
    """(mean, s/√P) of the P likelihoods by one probe each, s² = Σ (each − mean)²/(P − 1); exact over all of {±1}^d."""
    model, x = network(td.VP(), 3), rng.standard_normal((5, 3))
    options = {"steps": 5, "prior": lambda y: -np.sum(np.abs(y), axis=1)}
    signs = np.array([*itertools.product([-1.0, 1.0], repeat=3)])
    each = np.stack([td.log_likelihood(model, x, probes=probe[None, :], **options) for probe in signs])
    found, error = td.hutchinson_log_likelihood(model, x, probes=signs, **options)
    assert_allclose(found, np.mean(each, axis=0), rtol=1e-12)
    assert_allclose(error, np.std(each, axis=0, ddof=1) / math.sqrt(8), rtol=1e-9)
    assert_allclose(td.log_likelihood(model, x, probes=signs, **options), found, rtol=1e-14)
    assert_allclose(td.log_likelihood(model, x, **options), found, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "draw"),
    [
        ({}, lambda rng: np.sign(rng.standard_normal((16, 5, 3)))),
        ({"probes": np.int64(3), "distribution": "gaussian"}, lambda rng: rng.standard_normal((3, 5, 3))),
    ],
    ids=["16 signs by default", "gaussian"],
)
def test_probes_are_signs_or_normal_numbers_of_the_generator(options, draw, network, rng):
    """A seed means the same to both functions, and no two rows have one probe."""
    model, x = network(td.VP(), 3), rng.standard_normal((5, 3))
    found, _ = td.hutchinson_log_likelihood(model, x, steps=5, rng=7, **options)
    assert_allclose(found, td.log_likelihood(model, x, steps=5, probes=draw(np.random.default_rng(7))), rtol=1e-12)
    assert_allclose(found, td.log_likelihood(model, x, steps=5, rng=7, **{"probes": 16, **options}), rtol=1e-12)


def test_probes_are_shared_by_all_points_or_one_for_each(network, rng):
    """(P, D) is (P, 1, D); of (P, B, D) each row gets its own."""
    model, x, probes = network(td.VP(), 3), rng.standard_normal((5, 3)), rng.standard_normal((4, 5, 3))

    def run(x, probes):
        return np.stack(td.hutchinson_log_likelihood(model, x, probes=probes, steps=5))

    assert_allclose(run(x, probes[:, 0]), run(x, probes[:, :1]), rtol=1e-12)
    own = run(x, probes)
    for i in range(5):
        assert_allclose(own[:, [i]], run(x[[i]], probes[:, i]), rtol=1e-9)


def test_likelihoods_come_back_in_the_library_and_dtype_of_the_points(asarray, rng):
    """To 1e-3 of float64's, with float64 probes as well."""
    oracle, x64, probes = td.Oracle(WIDE, td.VP()), WIDE.sample(rng, 4), rng.standard_normal((3, 2))
    x = asarray(x64.astype(np.float32))
    expected = td.hutchinson_log_likelihood(oracle, x64, probes=probes, steps=6)
    found = td.hutchinson_log_likelihood(oracle, x, probes=probes, steps=6)
    drawn = td.hutchinson_log_likelihood(oracle, x, probes=2, steps=6, rng=rng)
    for value in (*found, *drawn, td.log_likelihood(oracle, x, steps=6)):
        assert namespace(value) is namespace(x)
        assert value.dtype == x.dtype
    for value, exact in zip(found, expected, strict=True):
        assert_allclose(to_numpy(value), exact, rtol=1e-3, atol=1e-3)


def test_the_distance_to_the_truth_is_paired_at_fresh_points(rng):
    """mean(ln q − ln p) and s/√n over the same n draws of the data, s² with n − 1, in the dtype of the model."""
    network = td.TimeMLP(2, 8, 1)
    theta = (0.3 * rng.standard_normal(network.size)).astype(np.float32)
    model = td.NetworkDenoiser(network, theta, td.VP())
    for n in (2, 5):
        found = td.kl_from_truth(model, WIDE, n=n, steps=7, rng=4)
        x = WIDE.sample(np.random.default_rng(4), n)
        modelled = td.log_likelihood(model, x.astype(np.float32), steps=7)
        gap = WIDE.log_density(x) - modelled.astype(float)
        assert found == pytest.approx((np.sum(gap) / n, np.std(gap, ddof=1) / math.sqrt(n)), rel=1e-12)
