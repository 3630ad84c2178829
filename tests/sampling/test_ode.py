"""The probability-flow ODE against its closed forms and scipy's DOP853; orders are among the identities."""

import contextlib
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import tinydiff as td
from tinydiff.sampling import ode

SDES = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight())
GAUSSIAN = td.GaussianMixture([1.0], [[0.5, -1.0]], [[[0.8, 0.3], [0.3, 0.5]]])


@pytest.mark.parametrize("process", SDES, ids=repr)
class TestFlow:
    """The flow of one process."""

    def test_drift_is_f_x_minus_half_g2_score(self, process, rng):
        """f x − ½ g² ∇ln q_t, with the score by complex step [Song et al. 2021, 13]."""
        oracle, x, t = td.Oracle(td.toys.ring8(), process), rng.standard_normal((5, 2)), 0.4
        score = np.stack([np.imag(oracle.log_density(x + 1e-30j * e, t)) / 1e-30 for e in np.eye(2)], axis=1)
        expected = process.f(t) * x - 0.5 * process.g2(t) * score
        np.testing.assert_allclose(ode.drift(oracle, process, x, t), expected, rtol=1e-10, atol=1e-11)

    def test_back_and_forth(self, process, rng):
        """Along the reversed grid it leads from data to noise, by fixed steps too."""
        oracle, x = td.Oracle(td.toys.moons32(), process), td.toys.moons32().sample(rng, 20)
        ts = td.grids.log_snr(process, 200)
        code = td.last(td.probability_flow(oracle, process, x, ts[::-1]))[1]
        np.testing.assert_allclose(td.last(td.probability_flow(oracle, process, code, ts))[1], x, atol=1e-3)

    def test_rk45_is_as_good_as_its_tolerance(self, process, rng):
        """A hundredth of the tolerance makes a tenth of the error or less, for more evaluations; DOP853 decides."""
        model = td.counting(td.Oracle(td.toys.ring8(), process))
        x, span = process.prior(rng, 40, model.like), [process.t_max, process.t_min]
        slope = lambda t, y: ode.drift(model, process, y.reshape(-1, 2), t).ravel()  # noqa: E731
        exact = solve_ivp(slope, span, x.ravel(), method="DOP853", rtol=1e-11, atol=1e-11).y[:, -1].reshape(-1, 2)
        errors, evaluations = [], []
        for tolerance in (1e-4, 1e-6, 1e-8):
            model.nfe = 0
            knobs = {"method": "rk45", "rtol": tolerance, "atol": tolerance}
            end = td.last(td.probability_flow(model, process, x, span, **knobs))[1]
            errors.append(np.median(np.linalg.norm(end - exact, axis=1)))
            evaluations.append(model.nfe)
            assert errors[-1] <= 3 * tolerance
        assert errors[1] <= 0.1 * errors[0]
        assert errors[2] <= 0.1 * errors[1]
        assert evaluations[0] < evaluations[1] < evaluations[2] < 1500

    def test_decoding_undoes_encoding(self, process, rng):
        """To about the tolerance, on data that are not Gaussian."""
        oracle, x = td.Oracle(td.toys.moons32(), process), td.toys.moons32().sample(rng, 20)
        np.testing.assert_allclose(td.decode(oracle, process, td.encode(oracle, process, x)), x, atol=2e-4)
        fine = {"rtol": 1e-8, "atol": 1e-8}
        code = td.encode(oracle, process, x, **fine)
        np.testing.assert_allclose(td.decode(oracle, process, code, **fine), x, atol=1e-6)

    def test_encoding_has_a_closed_form_on_gaussian_data(self, process, rng):
        """z = α_T m + α_min (x − m) U √(V_T/V_min) Uᵀ, V = α² v + σ²: it starts from α x, without noise, at t_min."""
        oracle, x = td.Oracle(GAUSSIAN, process), rng.standard_normal((6, 2))
        variances, axes = np.linalg.eigh(GAUSSIAN.covariances[0])
        spread = lambda t: process.alpha(t) ** 2 * variances + process.sigma(t) ** 2  # noqa: E731
        low, high, mean = process.t_min, process.t_max, GAUSSIAN.means[0]
        stretch = axes * np.sqrt(spread(high) / spread(low)) @ axes.T
        code = td.encode(oracle, process, x, rtol=1e-10, atol=1e-10)
        by_hand = process.alpha(high) * mean + process.alpha(low) * (x - mean) @ stretch
        np.testing.assert_allclose(code, by_hand, rtol=1e-8, atol=1e-8)


class TestRK45:
    """Dormand & Prince's pair [1980], its steps and what they cost."""

    # From the paper, and not from the code.
    NODES = (0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1)
    FIFTH = (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0)
    FOURTH = (5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)

    def test_its_numbers_meet_the_order_conditions(self):
        """Σ_i b_i φ_i(τ) = 1/γ(τ) for every rooted tree τ [Butcher 1963], in fractions.

        The last stage is the result, of order 5; with the error taken off it is of order 4 and no more.
        """
        exact = lambda row: [Fraction(a).limit_denominator(10**6) for a in row]  # noqa: E731
        stages = [[], *map(exact, ode.STAGES)]
        assert [sum(row) for row in stages] == [0, *exact(ode.NODES)]
        fifth, error = [*stages[-1], Fraction(0)], exact(ode.ERROR)
        fourth = [b - e for b, e in zip(fifth, error, strict=True)]
        np.testing.assert_allclose([float(b) for b in fourth], self.FOURTH, rtol=1e-15)
        assert sum(error) == 0

        def trees(order):
            """The rooted trees of this many nodes, each the sorted tuple of its branches."""
            if order == 1:
                return {()}
            pairs = ((tree, branch) for n in range(1, order) for tree in trees(order - n) for branch in trees(n))
            return {tuple(sorted((*tree, branch))) for tree, branch in pairs}

        def density(tree):
            """(nodes, γ): γ is the product of the sizes of all subtrees."""
            sizes, products = zip(*map(density, tree), strict=True) if tree else ((), ())
            nodes = 1 + sum(sizes)
            return nodes, nodes * math.prod(products)

        def at_stages(tree):
            """φ_i: the product over the branches of Σ_j a_ij φ_j(branch)."""
            inner = [at_stages(branch) for branch in tree]
            dot = lambda row, phi: sum(a * p for a, p in zip(row, phi, strict=False))  # noqa: E731
            return [math.prod((dot(row, phi) for phi in inner), start=Fraction(1)) for row in stages]

        weigh = lambda weights, tree: sum(b * p for b, p in zip(weights, at_stages(tree), strict=True))  # noqa: E731
        assert [len(trees(order)) for order in range(1, 6)] == [1, 1, 2, 4, 9]
        for order in range(1, 6):
            for tree in trees(order):
                assert weigh(fifth, tree) == Fraction(1, density(tree)[1])
                assert order == 5 or weigh(fourth, tree) == Fraction(1, density(tree)[1])
        assert any(weigh(error, tree) != 0 for tree in trees(5))

    def test_its_result_is_of_order_5(self):
        """ẋ = 2x cos t has x = exp(2 sin t). With the error out of the way the steps are the intervals asked for.

        But for the first, which it enters in four.
        """
        errors = []
        for n in (32, 64, 128, 256):
            steps = ode.rk45(lambda x, t: 2 * np.cos(t) * x, np.ones((1, 1)), list(np.linspace(0, 2, n + 1)), 0.0, 1e9)
            errors.append(abs(td.last(steps)[1][0, 0] - math.exp(2 * math.sin(2))))
        slopes = -np.diff(np.log2(errors))
        assert np.all(np.abs(slopes - 5) <= 0.25), slopes

    @pytest.mark.parametrize("start", [0.2, 2.9])
    def test_the_error_decides_the_steps(self, start):
        """Replayed from the slopes that it saw: which steps it takes, and how long the next one is.

        A sudden bend makes it try again. All x tend to ½π, from either side, so that the larger of |x| and |x_new| is
        now the one and now the other.
        """
        seen, rates = [], np.array([[1.0, 2.0], [0.5, 3.0], [1.5, 0.0]])

        def f(x, t):
            seen.append((t, x, rates * np.cos(x) * (0.1 + 30 * math.exp(-(((t - 0.5) / 0.01) ** 2)))))
            return seen[-1][2]

        ts, rtol, atol = [0.0, 0.4, 1.0], 1e-5, 1e-7
        assert [t for t, _ in ode.rk45(f, np.full((3, 2), start), ts, rtol, atol)] == ts
        (t, x, slope), h, goals, growths = seen[0], 0.4 / 100, [0.4, 1.0], []
        assert t == 0
        for i in range(1, len(seen), 6):
            cut = h >= (goals[0] - t) * (1 - 1e-9)
            step = goals[0] - t if cut else h
            times, points, slopes = zip((t, x, slope), *seen[i : i + 6], strict=True)
            np.testing.assert_allclose(times, t + step * np.array(self.NODES), atol=1e-13)
            end = points[-1]
            error = step * sum((b - c) * k for b, c, k in zip(self.FIFTH, self.FOURTH, slopes, strict=True))
            share = error / (atol + rtol * np.maximum(np.abs(x), np.abs(end)))
            worst = np.sqrt(np.max(np.mean(share**2, axis=1)))
            growths.append(0.9 * worst**-0.2)
            proposed = step * min(5.0, max(0.2, growths[-1]))
            h = max(h, proposed) if cut and worst <= 1 else proposed
            if worst <= 1:
                t, x, slope = times[-1], end, slopes[-1]
            if t == goals[0]:
                goals.pop(0)
        assert goals == []
        assert min(growths) < 0.9
        assert max(growths) > 5

    def test_steps_where_the_error_is_known(self):
        """Of the slope t⁴ it is ε h⁵ wherever the step lies, so that the next step is .9 (atol/ε)^{1/5}, or 5 h.

        With atol = ε/10⁵ a first step of .11 fails by a factor of 1.6, and in the second interval, 5 % longer than the
        error allows, there are two. The last of them, cut short, leaves the step as it was. Of a step of 1 the error is
        10⁵ times too large, for a growth of .09: it takes .2.
        """
        nodes, differences = np.array(self.NODES), np.subtract(self.FIFTH, self.FOURTH)
        atol = abs(np.sum(differences * nodes**4)) * 1e-5

        def attempts(ts):
            seen = []
            with contextlib.suppress(ValueError):  # far out t⁵/5 is so large that atol is below its rounding
                td.last(ode.rk45(lambda x, t: seen.append(t) or t**4 + 0 * x, np.zeros((2, 3)), ts, 0.0, atol))
            assert seen.pop(0) == ts[0]
            times = np.reshape(seen[: len(seen) // 6 * 6], (-1, 6))
            return (times[:, -1] - times[:, 0]) / 0.8

        expected = [0.11, *[0.09] * 122, 0.02, 0.09, 0.0045, 0.09, 0.09, 0.02]
        np.testing.assert_allclose(attempts([-5.5, 5.5, 5.5945, 5.7945]), expected, rtol=1e-3, atol=2e-5)
        np.testing.assert_allclose(attempts([-5.0, 95.0])[:4], [1, 0.2, 0.09, 0.09], rtol=1e-3)

    @pytest.mark.parametrize("ts", [[0.5, 0.4], [0.1, 0.9], [0.9, 0.5, 0.2], [0.05, 0.06, 0.5, 0.95]], ids=str)
    def test_it_lands_on_the_times_asked_for(self, ts, rng):
        """Falling or rising; the last two slopes of an interval are taken there too, and never beyond."""
        times = []
        line = lambda x, t: times.append(t) or 1 + 0 * x  # noqa: E731
        x = rng.standard_normal((3, 2))
        for goal, (t, y) in zip(ts, ode.rk45(line, x, ts, 1e-6, 1e-6), strict=True):
            assert t == goal
            np.testing.assert_allclose(y, x + (t - ts[0]), rtol=1e-13, atol=1e-14)
        assert set(ts) <= set(times)
        assert min(ts) == min(times)
        assert max(ts) == max(times)

    def test_evaluations(self):
        """Six for each step and one more: of a constant slope it takes a 100th, a 20th, a quarter and the rest.

        The time after that is reached in one step, though it is farther than the five times allowed by rounding.
        """
        model = td.counting(td.Oracle(td.toys.ring8(), td.VP()))
        seen = []
        for ts in ([1.0, 0.5], [1.0, 0.5, 0.4], [0.0, 0.1, 0.1 + 5 * 0.069 * (1 + 1e-10)]):
            seen.clear()
            td.last(ode.rk45(lambda x, t: seen.append(t) or 1 + 0 * x, np.ones((1, 1)), ts, 1e-6, 1e-6))
            assert len(seen) == 6 * (4 + len(ts) - 2) + 1
        td.last(td.probability_flow(model, td.VP(), np.ones((1, 2)), [0.5, 0.2], method="rk45"))
        assert model.nfe % 6 == 1

    def test_the_worst_row_decides(self):
        """So an easy row, or a thousand, leaves the others as they are; a hard one makes all take its steps.

        Rows are (y, rate), with ẏ = rate y cos 9t.
        """
        hard, easy = np.array([[1.0, 20.0]]), np.tile([[1.0, 0.01]], (1000, 1))
        swing = lambda x, t: np.stack([x[:, 1] * x[:, 0] * np.cos(9 * t), 0 * x[:, 1]], axis=1)  # noqa: E731
        ends, times = [], []
        for x in (hard, np.concatenate([easy, hard]), easy):
            seen = []
            f = lambda x, t: seen.append(t) or swing(x, t)  # noqa: B023, E731
            ends.append(td.last(ode.rk45(f, x, [0.0, 1.0], 1e-6, 1e-6))[1])
            times.append(seen)
        np.testing.assert_array_equal(ends[1][-1:], ends[0])
        assert times[0] == times[1]
        assert len(times[2]) < len(times[0]) / 2

    def test_the_flow_passes_its_tolerances_on(self, rng):
        process, ts = td.VP(), [1.0, 0.3]
        oracle = td.Oracle(td.toys.ring8(), process)
        x, drift = process.prior(rng, 5, oracle.like), lambda x, t: ode.drift(oracle, process, x, t)
        for rtol, atol in ((1e-2, 1e-8), (0.0, 1e-3)):
            end = td.last(td.probability_flow(oracle, process, x, ts, method="rk45", rtol=rtol, atol=atol))[1]
            np.testing.assert_array_equal(end, td.last(ode.rk45(drift, x, ts, rtol, atol))[1])

    def test_float32_stays(self, rng):
        process = td.VP()
        oracle = td.Oracle(td.toys.ring8(), process)
        x = process.prior(rng, 5, oracle.like)
        ends = [
            td.last(td.probability_flow(oracle, process, x.astype(kind), [1.0, 0.1], method="rk45"))[1]
            for kind in (np.float32, np.float64)
        ]
        assert ends[0].dtype == np.float32
        np.testing.assert_allclose(ends[0], ends[1], atol=1e-3)

    @pytest.mark.parametrize("slope", [lambda x, t: math.nan * x, lambda x, t: x * x], ids=["nan", "pole at t = 1"])
    def test_where_no_step_is_short_enough_it_says_so(self, slope):
        """Slopes that are not numbers, and ẋ = x², whose solution 1/(1 − t) ends within the interval."""
        calls = []
        with pytest.raises(FloatingPointError, match="rk45 found no step at t = "):
            td.last(ode.rk45(lambda x, t: calls.append(t) or slope(x, t), np.ones((2, 1)), [0.0, 1.5], 1e-5, 1e-5))
        assert len(calls) < 5000

    def test_a_step_that_leaves_the_domain_is_tried_again_shorter(self):
        """ẋ = −min(1, 5x) brings x to 0 and never below, where a step too long goes and its slope is not a number."""
        slopes = []

        def f(x, t):
            slopes.append(np.where(x > 0, -np.minimum(1, 5 * x), math.nan))
            return slopes[-1]

        end = td.last(ode.rk45(f, np.ones((1, 1)), [0.0, 2.0], 1e-8, 1e-8))[1]
        assert np.any(np.isnan(slopes))
        np.testing.assert_allclose(end, 0.2 * math.exp(-5 * (2 - 0.8)), rtol=1e-4)

    @pytest.mark.parametrize(("kind", "least"), [(np.float32, "1.2e-06"), (np.float64, "2.2e-15")])
    @pytest.mark.parametrize("start", [1e5, 0.0])
    def test_a_tolerance_below_rounding_is_named(self, kind, least, start):
        """Steps whose error is rounding would crawl on: ten roundings are the least that is taken, wherever x goes."""
        f = lambda x, t: 100 * np.cos(3 * x + t)  # noqa: E731
        with pytest.raises(ValueError, match=f"must allow ten roundings: rtol ≥ {least} for {kind.__name__}"):
            td.last(ode.rk45(f, np.full((1, 1), start, kind), [0.0, 1.0], 0.0, 1e-18))

    def test_times_may_lie_close_together(self):
        times = [0.5, 0.5 + 1e-11, 0.6]
        assert [t for t, _ in ode.rk45(lambda x, t: -x, np.ones((1, 1)), times, 1e-5, 1e-5)] == times


class TestInterpolate:
    """Along the arc between two encodings [Shoemake 1985]."""

    def test_what_has_no_arc_is_refused(self):
        z = np.array([[1.0, 2.0], [3.0, 4.0]])
        for w, says in (
            (z[:1], r"must both be \(B, D\); got \(2, 2\) and \(1, 2\)"),
            (np.array([[1.0, 0.0], [0.0, 0.0]]), "no row of z or w may be zero or NaN"),
            (np.array([[1.0, 0.0], [-6.0, -8.0]]), "a row of w is opposite to that of z"),
        ):
            with pytest.raises(ValueError, match=says):
                td.interpolate(z, w, 0.5)
            if w.shape == z.shape:
                with pytest.raises(ValueError, match=says.replace("row of w is opposite to that of z", "row of w")):
                    td.interpolate(w, z, 0.5)

    def test_its_ends_are_exact(self, rng):
        z, w = rng.standard_normal((2, 5, 3))
        np.testing.assert_array_equal(td.interpolate(z, w, 0), z)
        np.testing.assert_array_equal(td.interpolate(z, w, 1), w)

    @pytest.mark.parametrize("angle", [1e-9, 0.99e-6, 1.01e-6, 1e-3, 1.0, 2.0, 3.1])
    def test_it_turns_by_its_share_of_the_angle(self, angle):
        """From e(0) to e(θ) it passes e(share θ), however small θ: the straight line within 1e-6 is off by θ³."""
        e = lambda angle: np.array([[np.cos(angle), np.sin(angle)]])  # noqa: E731
        for share in (0.0, 0.2, 0.5, 0.9):
            np.testing.assert_allclose(td.interpolate(e(0), e(angle), share), e(share * angle), rtol=1e-12, atol=1e-15)

    def test_it_keeps_the_length_of_equals(self, rng):
        z, w = rng.standard_normal((2, 5, 7))
        length = lambda x: np.linalg.norm(x, axis=1)  # noqa: E731
        w *= (length(z) / length(w))[:, None]
        for share in (0.1, 0.5, 0.8):
            np.testing.assert_allclose(length(td.interpolate(z, w, share)), length(z), rtol=1e-13)

    def test_of_parallels_it_is_the_straight_line(self, rng):
        z = rng.standard_normal((5, 3))
        for share in (0.0, 0.3, 1.0):
            np.testing.assert_allclose(td.interpolate(z, 3 * z, share), (1 + 2 * share) * z, rtol=1e-12)

    def test_of_perpendiculars_it_is_cos_and_sin(self):
        """The lengths may differ: the coefficients are those of the directions. Each row has its own angle."""
        z, w = np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 5.0], [1.0, 0.0]])
        half_way = [[2 * math.sqrt(0.75), 5 * 0.5], [1.0, 0.0]]
        np.testing.assert_allclose(td.interpolate(z, w, 1 / 3), half_way, rtol=1e-14)

    def test_there_is_no_first_and_second(self, rng):
        z, w = rng.standard_normal((2, 5, 3))
        for share in (0.1, 0.5, 0.8):
            np.testing.assert_allclose(td.interpolate(z, w, share), td.interpolate(w, z, 1 - share), rtol=1e-12)

    def test_noise_stays_noise(self, rng):
        """Of two independent draws, which are perpendicular in high dimension, the variance is cos² + sin² = 1.

        Half of it is lost half way along the straight line. In 100 × 10,000 numbers it is known to .0014.
        """
        z, w = rng.standard_normal((2, 100, 10_000))
        for share in (0.1, 0.5, 0.8):
            assert np.mean(td.interpolate(z, w, share) ** 2) == pytest.approx(1, abs=0.01)
        assert np.mean((0.5 * z + 0.5 * w) ** 2) == pytest.approx(0.5, abs=0.01)

    def test_what_lies_between_two_encodings_decodes_to_data(self, rng):
        """The path passes from mode to mode of the ring: most points lie where 99 % of the data do.

        Of the points on the straight line between the data, most do not.
        """
        data, process = td.toys.ring8(), td.VP()
        oracle, x, y = td.Oracle(data, process), data.sample(rng, 50), data.sample(rng, 50)
        likely = np.quantile(data.log_density(data.sample(rng, 10_000)), 0.01)
        among = lambda x: np.mean(data.log_density(x) > likely)  # noqa: E731
        z, w = td.encode(oracle, process, x), td.encode(oracle, process, y)
        shares = (0.25, 0.5, 0.75)
        assert np.mean([among(td.decode(oracle, process, td.interpolate(z, w, share))) for share in shares]) > 0.85
        assert np.mean([among((1 - share) * x + share * y) for share in shares]) < 0.5


def test_wrong_use_is_named():
    chain, x = td.Discrete.linear(100), np.zeros((1, 2))
    with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
        next(td.probability_flow(td.Oracle(td.toys.ring8(), chain), chain, x, [0.5, 0.4]))
    for process, ts in ((td.VP(), [0.5, 0.0]), (td.Cosine(), [1.0, 0.5])):
        with pytest.raises(ValueError, match="the flow runs between t_min"):
            next(td.probability_flow(td.Oracle(td.toys.ring8(), process), process, x, ts))
    with pytest.raises(ValueError, match="method must be one of euler, heun, rk4, rk45; got 'rk5'"):
        next(td.probability_flow(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), x, [0.5, 0.4], method="rk5"))
    for knobs in ({"rtol": -1e-5}, {"atol": 0.0}, {"atol": -1.0}, {"rtol": math.nan}, {"atol": math.nan}):
        with pytest.raises(ValueError, match="rtol must be 0 or more and atol positive; got"):
            next(td.probability_flow(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), x, [0.5, 0.4], **knobs))
    for code in (td.encode, td.decode):
        with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
            code(td.Oracle(td.toys.ring8(), chain), chain, x)
        with pytest.raises(ValueError, match=r"points must be an array of shape \(B, 2\)"):
            code(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), np.zeros((1, 3)))


def test_the_flow_knows_its_ends():
    """t_min and t_max belong to it, to rounding; either way along the grid. `check_flow` can want it to fall."""
    process = td.Cosine()
    low, high = process.t_min, process.t_max
    for ts in ([high, low], [low, high], [high + 1e-13, low - 1e-13]):
        assert ode.check_flow(process, ts) == ts
    for ts in ([high, 0.999 * low], [high + 1e-6, low]):
        with pytest.raises(ValueError, match="the flow runs between t_min"):
            ode.check_flow(process, ts)
    with pytest.raises(ValueError, match="fall strictly"):
        ode.check_flow(process, [low, high], increasing=False)


def test_landing_on_many_times_costs_their_number_and_no_more(rng):
    """A step cut short to land on a time does not shorten the next: six evaluations a landing, but for the start."""
    process = td.VP()
    x = rng.standard_normal((10, 2))
    for steps in (200, 400):
        model = td.counting(td.Oracle(td.toys.ring8(), process))
        td.last(td.probability_flow(model, process, x, td.grids.log_snr(process, steps), method="rk45"))
        assert 0 <= model.nfe - (6 * steps + 1) <= 6 * 6


def test_rk45_wants_points_that_are_finite_and_some():
    process = td.VP()
    for x in (np.zeros((0, 2)), np.array([[0.0, np.nan]])):
        with pytest.raises(ValueError, match="rk45 needs finite points, one or more"):
            td.encode(td.Oracle(td.toys.ring8(), process), process, x)


def test_times_may_pass_the_ends_by_a_rounding_and_may_not_repeat():
    process = td.Cosine()
    ends = [process.t_max + 1e-12, process.t_min - 1e-12]
    assert ode.check_flow(process, ends) == ends
    with pytest.raises(ValueError, match="fall or rise strictly"):
        ode.check_flow(process, [0.2, 0.2, 0.5])
    with pytest.raises(ValueError, match="the flow runs between"):
        ode.check_flow(process, [0.5, process.t_min - 1e-9])
