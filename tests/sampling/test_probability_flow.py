"""The probability-flow ODE against its closed forms and scipy's DOP853; orders are among the identities."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import tinydiff as td
from tinydiff.sampling.dormand_prince import rk45
from tinydiff.sampling.probability_flow import velocity

CONTINUOUS = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight())
GAUSSIAN = td.GaussianMixture([1.0], [[0.5, -1.0]], [[[0.8, 0.3], [0.3, 0.5]]])


@pytest.mark.parametrize("process", CONTINUOUS, ids=repr)
class TestFlow:
    """The flow of one process."""

    def test_velocity_is_f_x_minus_half_g2_score(self, process, rng):
        """f x − ½ g² ∇ln q_t, with the score by complex step [Song et al. 2021, 13]."""
        oracle, x, now = td.Oracle(td.toys.ring8(), process), rng.standard_normal((5, 2)), process.at(0.4)
        score = np.stack([np.imag(oracle.log_density(x + 1e-30j * e, now)) / 1e-30 for e in np.eye(2)], axis=1)
        expected = now.f * x - 0.5 * now.g2 * score
        np.testing.assert_allclose(velocity(oracle, x, now), expected, rtol=1e-10, atol=1e-11)

    def test_each_row_may_have_its_time(self, process, rng):
        oracle, x, ts = td.Oracle(td.toys.ring8(), process), rng.standard_normal((3, 2)), np.array([0.1, 0.4, 0.9])
        rows = [velocity(oracle, x[i : i + 1], process.at(t)) for i, t in enumerate(ts)]
        np.testing.assert_allclose(velocity(oracle, x, process.at(ts, like=x)), np.concatenate(rows), rtol=1e-10)

    def test_back_and_forth(self, process, rng):
        """Along the reversed grid it leads from data to noise, by fixed steps too."""
        oracle, x = td.Oracle(td.toys.moons32(), process), td.toys.moons32().sample(rng, 20)
        ts = td.grids.even_log_snr(process, 200)
        code = td.last(td.probability_flow(oracle, x, ts[::-1]))[1]
        np.testing.assert_allclose(td.last(td.probability_flow(oracle, code, ts))[1], x, atol=1e-3)

    def test_rk45_is_as_good_as_its_tolerance(self, process, rng):
        """A hundredth of the tolerance makes a tenth of the error or less, for more evaluations; DOP853 decides."""
        oracle = td.Oracle(td.toys.ring8(), process)
        x, span = process.prior(rng, 40, oracle.like), [process.t_max, process.t_min]

        def slope(t, y):
            return velocity(oracle, y.reshape(-1, 2), process.at(t)).ravel()

        exact = solve_ivp(slope, span, x.ravel(), method="DOP853", rtol=1e-11, atol=1e-11).y[:, -1].reshape(-1, 2)
        errors, evaluations = [], []
        for tolerance in (1e-4, 1e-6, 1e-8):
            model = td.Counting(oracle)
            options = {"method": "rk45", "rtol": tolerance, "atol": tolerance}
            end = td.last(td.probability_flow(model, x, span, **options))[1]
            errors.append(np.median(np.linalg.norm(end - exact, axis=1)))
            evaluations.append(model.nfe)
            assert errors[-1] <= 3 * tolerance
        assert errors[1] <= 0.1 * errors[0]
        assert errors[2] <= 0.1 * errors[1]
        assert evaluations[0] < evaluations[1] < evaluations[2] < 1500

    def test_decoding_undoes_encoding(self, process, rng):
        """To about the tolerance, on data that are not Gaussian."""
        oracle, x = td.Oracle(td.toys.moons32(), process), td.toys.moons32().sample(rng, 20)
        np.testing.assert_allclose(td.decode(oracle, td.encode(oracle, x)), x, atol=2e-4)
        fine = {"rtol": 1e-8, "atol": 1e-8}
        np.testing.assert_allclose(td.decode(oracle, td.encode(oracle, x, **fine), **fine), x, atol=1e-6)

    def test_encoding_has_a_closed_form_on_gaussian_data(self, process, rng):
        """z = α_T m + α_min (x − m) U √(V_T/V_min) Uᵀ, V = α² v + σ²: it starts from α x, without noise, at t_min."""
        oracle, x = td.Oracle(GAUSSIAN, process), rng.standard_normal((6, 2))
        variances, axes = np.linalg.eigh(GAUSSIAN.covariances[0])
        low, high, mean = process.at(process.t_min), process.at(process.t_max), GAUSSIAN.means[0]
        v_low, v_high = (now.alpha**2 * variances + now.sigma**2 for now in (low, high))
        stretch = axes * np.sqrt(v_high / v_low) @ axes.T
        code = td.encode(oracle, x, rtol=1e-10, atol=1e-10)
        by_hand = high.alpha * mean + low.alpha * (x - mean) @ stretch
        np.testing.assert_allclose(code, by_hand, rtol=1e-8, atol=1e-8)


def test_the_flow_passes_its_tolerances_on(rng):
    process, ts = td.VP(), [1.0, 0.3]
    oracle = td.Oracle(td.toys.ring8(), process)
    x = process.prior(rng, 5, oracle.like)

    def slope(x, t):
        return velocity(oracle, x, process.at(t))

    for rtol, atol in ((1e-2, 1e-8), (0.0, 1e-3)):
        end = td.last(td.probability_flow(oracle, x, ts, method="rk45", rtol=rtol, atol=atol))[1]
        np.testing.assert_array_equal(end, td.last(rk45(slope, x, ts, rtol, atol))[1])


def test_float32_stays_float32_by_rk45(rng):
    oracle = td.Oracle(td.toys.ring8(), td.VP())
    x = td.VP().prior(rng, 5, oracle.like)
    ends = [
        td.last(td.probability_flow(oracle, x.astype(kind), [1.0, 0.1], method="rk45"))[1]
        for kind in (np.float32, np.float64)
    ]
    assert ends[0].dtype == np.float32
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-3)


def test_evaluations_by_rk45(rng):
    """Six for each step and one more."""
    model = td.Counting(td.Oracle(td.toys.ring8(), td.VP()))
    td.last(td.probability_flow(model, np.ones((1, 2)), [0.5, 0.2], method="rk45"))
    assert model.nfe % 6 == 1


def test_landing_on_many_times_costs_their_number_and_no_more(rng):
    """A step cut short to land on a time does not shorten the next: six evaluations a landing, but for the start."""
    process = td.VP()
    x = rng.standard_normal((10, 2))
    for steps in (200, 400):
        model = td.Counting(td.Oracle(td.toys.ring8(), process))
        td.last(td.probability_flow(model, x, td.grids.even_log_snr(process, steps), method="rk45"))
        assert 0 <= model.nfe - (6 * steps + 1) <= 6 * 6


def test_what_lies_between_two_encodings_decodes_to_data(rng):
    """The path passes from mode to mode of the ring: most points lie where 99 % of the data do.

    Of the points on the straight line between the data, most do not.
    """
    data = td.toys.ring8()
    oracle, x, y = td.Oracle(data, td.VP()), data.sample(rng, 50), data.sample(rng, 50)
    likely = np.quantile(data.log_density(data.sample(rng, 10_000)), 0.01)

    def among(x):
        return np.mean(data.log_density(x) > likely)

    z, other = td.encode(oracle, x), td.encode(oracle, y)
    fractions = (0.25, 0.5, 0.75)
    assert np.mean([among(td.decode(oracle, td.interpolate(z, other, f))) for f in fractions]) > 0.85
    assert np.mean([among((1 - f) * x + f * y) for f in fractions]) < 0.5


class TestInterpolate:
    """Along the arc between two encodings [Shoemake 1985]."""

    def test_what_has_no_arc_is_refused(self):
        z = np.array([[1.0, 2.0], [3.0, 4.0]])
        for other, says in (
            (z[:1], r"must both be \(B, D\); got \(2, 2\) and \(1, 2\)"),
            (np.array([[1.0, 0.0], [0.0, 0.0]]), "no row of z or other may be zero or NaN"),
            (np.array([[1.0, 0.0], [-6.0, -8.0]]), "a row of other is opposite to that of z"),
        ):
            with pytest.raises(ValueError, match=says):
                td.interpolate(z, other, 0.5)
            if other.shape == z.shape:
                with pytest.raises(
                    ValueError, match=says.replace("row of other is opposite to that of z", "row of other")
                ):
                    td.interpolate(other, z, 0.5)

    def test_its_ends_are_exact(self, rng):
        z, other = rng.standard_normal((2, 5, 3))
        np.testing.assert_array_equal(td.interpolate(z, other, 0), z)
        np.testing.assert_array_equal(td.interpolate(z, other, 1), other)

    @pytest.mark.parametrize("angle", [1e-9, 0.99e-6, 1.01e-6, 1e-3, 1.0, 2.0, 3.1])
    def test_it_turns_by_its_fraction_of_the_angle(self, angle):
        """From e(0) to e(θ) it passes e(fraction θ), however small θ: the straight line within 1e-6 is off by θ³."""

        def e(angle):
            return np.array([[np.cos(angle), np.sin(angle)]])

        for fraction in (0.0, 0.2, 0.5, 0.9):
            np.testing.assert_allclose(
                td.interpolate(e(0), e(angle), fraction), e(fraction * angle), rtol=1e-12, atol=1e-15
            )

    def test_it_keeps_the_length_of_equals(self, rng):
        z, other = rng.standard_normal((2, 5, 7))

        def length(x):
            return np.linalg.norm(x, axis=1)

        other *= (length(z) / length(other))[:, None]
        for fraction in (0.1, 0.5, 0.8):
            np.testing.assert_allclose(length(td.interpolate(z, other, fraction)), length(z), rtol=1e-13)

    def test_of_parallels_it_is_the_straight_line(self, rng):
        z = rng.standard_normal((5, 3))
        for fraction in (0.0, 0.3, 1.0):
            np.testing.assert_allclose(td.interpolate(z, 3 * z, fraction), (1 + 2 * fraction) * z, rtol=1e-12)

    def test_of_perpendiculars_it_is_cos_and_sin(self):
        """The lengths may differ: the coefficients are those of the directions. Each row has its own angle."""
        z, other = np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 5.0], [1.0, 0.0]])
        half_way = [[2 * math.sqrt(0.75), 5 * 0.5], [1.0, 0.0]]
        np.testing.assert_allclose(td.interpolate(z, other, 1 / 3), half_way, rtol=1e-14)

    def test_there_is_no_first_and_second(self, rng):
        z, other = rng.standard_normal((2, 5, 3))
        for fraction in (0.1, 0.5, 0.8):
            np.testing.assert_allclose(
                td.interpolate(z, other, fraction), td.interpolate(other, z, 1 - fraction), rtol=1e-12
            )

    def test_noise_stays_noise(self, rng):
        """Of two independent draws, which are perpendicular in high dimension, the variance is cos² + sin² = 1.

        Half of it is lost half way along the straight line. In 100 × 10,000 numbers it is known to .0014.
        """
        z, other = rng.standard_normal((2, 100, 10_000))
        for fraction in (0.1, 0.5, 0.8):
            assert np.mean(td.interpolate(z, other, fraction) ** 2) == pytest.approx(1, abs=0.01)
        assert np.mean((0.5 * z + 0.5 * other) ** 2) == pytest.approx(0.5, abs=0.01)


# What is refused


def test_a_chain_has_no_flow():
    oracle, x = td.Oracle(td.toys.ring8(), td.Discrete.linear(100)), np.zeros((1, 2))
    with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
        next(td.probability_flow(oracle, x, [0.5, 0.4]))
    for code in (td.encode, td.decode):
        with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
            code(oracle, x)


def test_the_flow_stays_between_its_ends():
    """t_min and t_max belong to it, to rounding, either way along the grid."""
    process, x = td.Cosine(), np.zeros((1, 2))
    oracle, low, high = td.Oracle(td.toys.ring8(), process), process.t_min, process.t_max
    for ts in ([high, low], [low, high], [high + 1e-12, low - 1e-13]):
        assert next(td.probability_flow(oracle, x, ts))[0] == ts[0]
    for ts in ([high, 0.999 * low], [high + 1e-6, low], [0.5, low - 1e-9], [1.0, 0.5]):
        with pytest.raises(ValueError, match="the flow runs between t_min"):
            next(td.probability_flow(oracle, x, ts))


def test_the_flow_may_rise_but_not_turn_or_stay():
    oracle, x = td.Oracle(td.toys.ring8(), td.VP()), np.zeros((1, 2))
    for ts in ([0.2, 0.2, 0.5], [0.2, 0.5, 0.4]):
        with pytest.raises(ValueError, match="fall or rise strictly"):
            next(td.probability_flow(oracle, x, ts))


def test_wrong_options_are_named():
    oracle, x = td.Oracle(td.toys.ring8(), td.VP()), np.zeros((1, 2))
    with pytest.raises(ValueError, match="method must be one of 'euler', 'heun', 'rk4', 'rk45'; got 'rk5'"):
        next(td.probability_flow(oracle, x, [0.5, 0.4], method="rk5"))
    for options in ({"rtol": -1e-5}, {"atol": 0.0}, {"atol": -1.0}, {"rtol": math.nan}, {"atol": math.nan}):
        with pytest.raises(ValueError, match=rf"{next(iter(options))} must be .*; got"):
            next(td.probability_flow(oracle, x, [0.5, 0.4], method="rk45", **options))


def test_points_of_another_dimension_are_refused():
    oracle = td.Oracle(td.toys.ring8(), td.VP())
    for code in (td.encode, td.decode):
        with pytest.raises(ValueError, match=r"must be an array of shape \(B, 2\)"):
            code(oracle, np.zeros((1, 3)))


def test_rk45_wants_points_that_are_finite_and_some():
    for x in (np.zeros((0, 2)), np.array([[0.0, np.nan]])):
        with pytest.raises(ValueError, match="rk45 needs finite points, one or more"):
            td.encode(td.Oracle(td.toys.ring8(), td.VP()), x)
