"""Encoding and decoding by the probability flow, the arc between two encodings, and where the flow runs."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.sampling.dormand_prince import rk45
from tinydiff.sampling.probability_flow import velocity

VP = td.VP()
ORACLE = td.Oracle(td.toys.ring8(), VP)
MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.8, 0.3], [0.3, 0.5]])


@pytest.mark.parametrize("process", [VP, td.VE(), td.Cosine()], ids=repr)
def test_encoding_has_a_closed_form_on_gaussian_data_and_decoding_undoes_it(process, rng):
    """z = α_T m + α_min (x − m) U √(V_T/V_min) Uᵀ, V = α² v + σ²: it starts from α x, without noise, at t_min."""
    oracle, x = td.Oracle(td.GaussianMixture([1.0], [MEAN], [COVARIANCE]), process), rng.standard_normal((6, 2))
    variances, axes = np.linalg.eigh(COVARIANCE)
    low, high = process.at(process.t_min), process.at(process.t_max)
    v_low, v_high = (now.alpha**2 * variances + now.sigma**2 for now in (low, high))
    z = high.alpha * MEAN + low.alpha * (x - MEAN) @ (axes * np.sqrt(v_high / v_low) @ axes.T)
    assert_allclose(td.encode(oracle, x, rtol=1e-10, atol=1e-10), z, rtol=1e-8, atol=1e-8)
    assert_allclose(td.decode(oracle, z, rtol=1e-10, atol=1e-10), x, rtol=1e-8, atol=1e-8)
    assert_allclose(td.encode(oracle, x), z, rtol=2e-4, atol=2e-4)
    assert_allclose(td.decode(oracle, z), x, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(("rtol", "atol"), [(1e-2, 1e-8), (0.0, 1e-3)])
def test_the_flow_passes_its_tolerances_on(rtol, atol, rng):
    x, ts = rng.standard_normal((5, 2)), [1.0, 0.3]
    end = td.last(td.probability_flow(ORACLE, x, ts, method="rk45", rtol=rtol, atol=atol))[1]
    by_hand = rk45(lambda x, t: velocity(ORACLE, x, VP.at(t)), x, ts, rtol, atol)
    assert_array_equal(end, td.last(by_hand)[1])


# The arc between two encodings [Shoemake 1985]


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.99e-6, 1.01e-6, 1e-3, 1.0, 2.0, 3.1])
def test_an_arc_turns_by_its_fraction_of_the_angle(angle):
    """From e(0) to e(θ) it passes e(fraction θ), however small θ: the straight line within 1e-6 is off by θ³."""

    def e(angle):
        return np.array([[np.cos(angle), np.sin(angle)]])

    for fraction in (0.0, 0.2, 0.5, 0.9, 1.0):
        assert_allclose(td.interpolate(e(0), e(angle), fraction), e(fraction * angle), rtol=1e-12, atol=1e-15)


def test_an_arc_between_two_lengths_has_the_coefficients_of_the_directions():
    """cos and sin of perpendiculars, a straight line of parallels; each row has its own angle."""
    z, other = np.array([[2.0, 0.0], [1.0, 0.0], [1.0, 2.0]]), np.array([[0.0, 5.0], [1.0, 0.0], [3.0, 6.0]])
    a_third_of_the_way = [[2 * math.sqrt(0.75), 5 * 0.5], [1.0, 0.0], [5 / 3, 10 / 3]]
    assert_allclose(td.interpolate(z, other, 1 / 3), a_third_of_the_way, rtol=1e-14)


@pytest.mark.parametrize(
    ("other", "says", "the_other_way_round"),
    [
        ([[1.0, 2.0]], r"must both be \(B, D\); got \(2, 2\) and \(1, 2\)", r"got \(1, 2\) and \(2, 2\)"),
        ([[1.0, 0.0], [0.0, 0.0]], "no row of z or other may be zero or NaN", "no row of z or other"),
        ([[1.0, 0.0], [-6.0, -8.0]], "a row of other is opposite to that of z", "a row of other"),
    ],
    ids=["shapes", "zero", "opposite"],
)
def test_what_has_no_arc_is_refused(other, says, the_other_way_round):
    z, other = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array(other)
    for one, two, message in ((z, other, says), (other, z, the_other_way_round)):
        with pytest.raises(ValueError, match=message):
            td.interpolate(one, two, 0.5)


# Where the flow runs; what is refused of every sampler is in test_sample


def test_the_flow_runs_from_end_to_end_either_way():
    """t_min and t_max belong to it, to rounding, and times may rise, but not turn or stay."""
    process, x = td.Cosine(), np.zeros((1, 2))
    oracle, low, high = td.Oracle(td.toys.ring8(), process), process.t_min, process.t_max
    for ts in ([high, low], [low, high], [high + 1e-12, low - 1e-13]):
        assert next(td.probability_flow(oracle, x, ts))[0] == ts[0]
    for ts in ([high, 0.999 * low], [high + 1e-6, low], [0.5, low - 1e-9], [1.0, 0.5]):
        with pytest.raises(ValueError, match="the flow runs between t_min"):
            next(td.probability_flow(oracle, x, ts))
    for ts in ([0.2, 0.2, 0.5], [0.2, 0.5, 0.4]):
        with pytest.raises(ValueError, match="fall or rise strictly"):
            next(td.probability_flow(oracle, x, ts))


@pytest.mark.parametrize("code", [td.encode, td.decode])
@pytest.mark.parametrize(
    ("process", "x", "says"),
    [
        (td.Discrete.linear(100), np.zeros((1, 2)), "f and g² of a process in continuous time"),
        (VP, np.zeros((1, 3)), r"must be an array of shape \(B, 2\)"),
        (VP, np.zeros((0, 2)), "rk45 needs finite points, one or more"),
        (VP, np.array([[0.0, np.nan]]), "rk45 needs finite points, one or more"),
    ],
    ids=["a chain", "another dimension", "no points", "NaN"],
)
def test_what_has_no_code_is_refused(code, process, x, says):
    with pytest.raises(ValueError, match=says):
        code(td.Oracle(td.toys.ring8(), process), x)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_the_velocity_of_straight_paths_is_constant(t, rng):
    """ε − x_0, at t = 0 and t = 1 too, where f or g²/σ is infinite, or 0/0."""
    x0, eps = rng.standard_normal((2, 4, 3))
    assert_allclose(td.Straight().at(t).velocity(x0, eps), eps - x0, rtol=1e-12)
