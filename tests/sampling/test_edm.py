"""EDM's sampler against Heun's method in the noise level, and its churn, seen through models that answer 0."""

import math

import numpy as np
import pytest

import tinydiff as td
from tinydiff.sampling.ode import heun_step

NORMAL = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])


def level(process, t):
    """u = σ/α."""
    return float(process.sigma(t) / process.alpha(t))


class Zero:
    """The denoiser of data that are all 0, which notes the times that it is asked for.

    Heun's method takes y from the level u to y v/u under it, exactly: what is left is what the noise did.
    """

    dim = 1
    like = np.empty((0, 1))

    def __init__(self):
        self.times = []

    def x0(self, x, t):
        self.times.append(t)
        return 0 * x


def churned(process, ts, seed=1, x=0.0, **knobs):
    """The trajectory of 1000 rows from x under Zero, and the model."""
    model = Zero()
    start, rng = np.full((1000, 1), x), np.random.default_rng(seed)
    return [y for _, y in td.edm_heun(model, process, start, ts, rng=rng, **knobs)], model


def normal(seed=1, steps=1):
    """The noise of `churned`, step by step."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((1000, 1)) for _ in range(steps)]


class TestWithoutChurn:
    """Heun's method for dy/du = (y − x̂_0)/u in y = x/α and u = σ/α [EDM, Alg. 2]."""

    @pytest.mark.parametrize("to_zero", [False, True])
    def test_on_ve_it_is_heuns_method_in_sigma(self, to_zero, rng):
        """With σ for the clock; the step to 0, where the slope is not defined, is Euler's and ends on x̂_0."""
        process = td.VE()
        model = td.Oracle(td.toys.ring8(), process)
        ts = td.grids.karras(process, 12, to_zero=to_zero)
        slope = lambda y, u: (y - model.x0(y, float(process.time(-2 * math.log(u))))) / u  # noqa: E731
        by_hand = process.prior(rng, 6, model.like)
        walk = td.edm_heun(model, process, by_hand, ts)
        assert next(walk)[1] is by_hand
        for (t, x), before in zip(walk, ts[:-1], strict=True):
            u, v = level(process, before), level(process, t)
            euler = by_hand - u * slope(by_hand, u)
            by_hand = heun_step(slope, by_hand, u, v) if v > 0 else euler
            np.testing.assert_allclose(x, by_hand, rtol=1e-8, atol=1e-9)

    @pytest.mark.parametrize("churn", [0.0, 3.0])
    @pytest.mark.parametrize("process", [td.VP(), td.SubVP(), td.Cosine(), td.Straight()], ids=repr)
    def test_it_runs_in_x_over_alpha(self, process, churn, rng):
        """At equal log-SNRs, and with the same noise, x/α is x under VE: x̂_0(x) is that of x/α."""
        wide, data, ts = td.VE(sigma_max=5000.0), td.toys.ring8(), [0.9, 0.7, 0.5, 0.2, 0.1, 0.02, 0.0]
        by_ve = [*(float(wide.time(process.log_snr(t))) for t in ts[:-1]), 0.0]
        y = level(process, ts[0]) * rng.standard_normal((6, 2))
        walk = lambda process, x, ts: td.edm_heun(  # noqa: E731
            td.Oracle(data, process), process, x, ts, churn=churn, rng=np.random.default_rng(2)
        )
        others = walk(wide, y, by_ve)
        for (t, x), (_, other) in zip(walk(process, process.alpha(ts[0]) * y, ts), others, strict=True):
            np.testing.assert_allclose(x / process.alpha(t), other, rtol=1e-7, atol=1e-7)

    def test_of_a_single_point_it_is_exact(self, rng):
        """α m + σ ε keeps its ε, and at 0 it is m: the ODE is linear in y, and its slope constant along each path."""
        process, point = td.VP(), np.array([[0.5, -2.0]])
        x, ts = process.prior(rng, 5, point[:0]), [1.0, 0.6, 0.3, 0.1, 0.0]
        eps = (x - process.alpha(1.0) * point) / process.sigma(1.0)
        for t, y in td.edm_heun(td.Oracle(point, process), process, x, ts):
            np.testing.assert_allclose(y, process.perturb(point, t, eps), rtol=1e-9, atol=1e-9)

    def test_evaluations(self, rng):
        """Two for each step, one for one to 0, with churn or without; the trajectory keeps to the grid."""
        process = td.VE()
        model = td.counting(td.Oracle(td.toys.ring8(), process))
        x = process.prior(rng, 3, model.like)
        for churn in (0.0, 5.0):
            for to_zero, nfe in ((False, 14), (True, 13)):
                model.nfe, ts = 0, td.grids.karras(process, 7, to_zero=to_zero)
                assert [t for t, _ in td.edm_heun(model, process, x, ts, churn=churn, rng=rng)] == ts.tolist()
                assert model.nfe == nfe


class TestChurn:
    """Each step may first go back up to a higher level of noise [EDM, Alg. 2]."""

    @pytest.mark.parametrize("process", [td.VE(), td.VP()], ids=repr)
    @pytest.mark.parametrize(
        ("churn", "gamma"), [(0.6, 0.2), (1.2, 0.4), (1.25, math.sqrt(2) - 1), (1e9, math.sqrt(2) - 1)]
    )
    def test_it_raises_the_level_by_churn_over_steps(self, process, churn, gamma):
        """σ̂ = (1 + γ) σ, γ = min(churn/N, √2 − 1), with noise of variance σ̂² − σ² and the model asked at σ̂."""
        ts = [0.6, 0.5, 0.3, 0.1]
        walk, model = churned(process, ts, churn=churn)
        y = 0.0
        for i, z in enumerate(normal(steps=3)):
            u, v = level(process, ts[i]), level(process, ts[i + 1])
            higher = (1 + gamma) * u
            y = (y + math.sqrt(higher**2 - u**2) * z) * v / higher
            np.testing.assert_allclose(walk[i + 1] / process.alpha(ts[i + 1]), y, rtol=1e-9, atol=1e-12)
            assert level(process, model.times[2 * i]) == pytest.approx(higher, rel=1e-9)
            assert model.times[2 * i + 1] == ts[i + 1]

    def test_the_level_never_passes_that_of_t_max(self):
        """The first step, from t_max, adds nothing; the next, closer to it than √2, goes back up to it."""
        process = td.VE()
        top = process.sigma_max * math.sqrt(1 - (process.sigma_min / process.sigma_max) ** 2)
        ts = process.time(-2 * np.log([top, 0.9 * top, 0.5 * top]))
        walk, model = churned(process, ts, churn=10.0)
        np.testing.assert_array_equal(walk[1], 0)
        _, z = normal(steps=2)
        np.testing.assert_allclose(walk[2], math.sqrt(1 - 0.9**2) * top * z * 0.5, rtol=1e-9)
        assert model.times[0] == ts[0]
        assert model.times[2] == pytest.approx(process.t_max, rel=1e-9)

    def test_a_grid_may_start_above_t_max(self):
        """Cosine's α is 6e-17 at t = 1; between t_max and 1 the level is over the top, and is left as it is."""
        process = td.Cosine()
        ts = [0.9999, 0.9, 0.5]
        assert ts[0] > process.t_max
        walk, model = churned(process, ts, churn=10.0)
        np.testing.assert_array_equal(walk[1], 0)
        assert np.std(walk[2]) > 0
        assert model.times[0] == ts[0]

    def test_the_limits_include_their_ends(self):
        """A step churns if its level lies in [churn_from, churn_to]; steps outside draw no noise."""
        process, ts = td.VE(), [0.9, 0.8, 0.7, 0.6]
        levels = [level(process, t) for t in ts]
        moved = lambda **knobs: [bool(np.any(y)) for y in churned(process, ts, churn=1.0, **knobs)[0][1:]]  # noqa: E731
        assert moved() == [True, True, True]
        assert moved(churn_to=levels[1]) == [False, True, True]
        assert moved(churn_to=0.999 * levels[1]) == [False, False, True]
        assert moved(churn_to=0.999 * levels[2]) == [False, False, False]
        assert moved(churn_from=levels[0]) == [True, True, True]
        assert moved(churn_from=1.001 * levels[0]) == [False, False, False]
        outside = churned(process, ts, churn=1.0, churn_from=levels[1], churn_to=levels[1])[0]
        higher = 4 / 3 * levels[1]
        only = math.sqrt(1 - (3 / 4) ** 2) * normal()[0]
        np.testing.assert_allclose(outside[-1], only * levels[-1], rtol=1e-9)
        np.testing.assert_allclose(outside[2], only * higher * levels[2] / higher, rtol=1e-9)

    def test_noise_scale_scales_the_noise_alone(self):
        """S_noise: the level, and with it what the model is asked, stays as it was."""
        process, ts = td.VE(), [0.9, 0.5, 0.2]
        (walk, model), (louder, other) = (churned(process, ts, churn=0.5, noise_scale=scale) for scale in (1.0, 1.007))
        np.testing.assert_allclose(louder[-1], 1.007 * walk[-1], rtol=1e-9, atol=1e-12)
        assert model.times == other.times
        walk, louder = (churned(process, ts, x=3.0, churn=0.5, noise_scale=scale)[0] for scale in (0.0, 1.0))
        assert np.ptp(walk[-1]) == 0
        assert np.ptp(louder[-1]) > 0

    def test_without_churn_no_noise_is_drawn(self):
        """Neither the generator nor the knobs of the churn matter."""
        walk, _ = churned(td.VE(), [0.9, 0.5], x=2.0, churn=0.0, noise_scale=9.0)
        assert np.ptp(walk[-1]) == 0

    @pytest.mark.parametrize("process", [td.VE(), td.VP()], ids=repr)
    def test_on_normal_data_the_variance_is_right_to_order_2(self, process):
        """N(0, 1) data: every step is linear in x and in its noise, so the end variance is a sum of squares.

        Row 0 starts with the standard deviation of q_T and no noise; row i gets noise 1 in step i and no other. The
        sum over rows must tend to α² + σ² as 1/steps², churning all the way; it would not with a wrong amount.
        """
        model, errors = td.Oracle(NORMAL, process), []
        for steps in (50, 100, 200):
            noise = iter(np.eye(steps + 1)[1:, :, None])

            class Rows:
                """A generator of the noise above."""

                def standard_normal(self, shape, dtype):
                    return next(noise)  # noqa: B023

            x = np.zeros((steps + 1, 1))
            x[0] = math.hypot(process.alpha(process.t_max), process.sigma(process.t_max))
            ts = td.grids.karras(process, steps)
            end = td.last(td.edm_heun(model, process, x, ts, churn=10.0, rng=Rows()))[1]
            errors.append(abs(np.sum(end**2) - process.alpha(ts[-1]) ** 2 - process.sigma(ts[-1]) ** 2))
        assert errors[-1] < 5e-3
        np.testing.assert_allclose(-np.diff(np.log2(errors)), 2, atol=0.15)

    def test_churned_samples_are_right(self, rng):
        """20,000 draws of N(0, 1) in 100 steps: variance 1 within 4 standard errors, and so the fourth moment 3."""
        x = td.sample(
            td.Oracle(NORMAL, td.VE()),
            td.VE(),
            20_000,
            sampler=td.edm_heun,
            steps=100,
            grid=td.grids.karras,
            rng=rng,
            churn=20.0,
        )
        assert np.var(x) == pytest.approx(1, abs=4 * math.sqrt(2 / 20_000))
        assert np.mean(x**4) == pytest.approx(3, abs=4 * math.sqrt(96 / 20_000))


def test_wrong_use_is_named(rng):
    process, x = td.VE(), np.zeros((1, 1))
    model = td.Oracle(NORMAL, process)
    for churn in (-1.0, math.nan):
        with pytest.raises(ValueError, match="churn must be 0 or more; got"):
            next(td.edm_heun(model, process, x, [0.5, 0.4], churn=churn, rng=rng))
    with pytest.raises(ValueError, match="churn > 0 draws noise: pass rng"):
        next(td.edm_heun(model, process, x, [0.5, 0.4], churn=1.0))
    with pytest.raises(ValueError, match="that fall strictly"):
        next(td.edm_heun(model, process, x, [0.4, 0.5]))
    chain = td.Discrete.linear(100)
    with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
        next(td.edm_heun(td.Oracle(NORMAL, chain), chain, x, [0.5, 0.4]))


def test_a_start_without_signal_is_refused():
    """x/α says nothing where α is 0, or 6e-17 as Cosine's at t = 1."""
    for process in (td.Cosine(), td.Straight()):
        with pytest.raises(ValueError, match=r"x/α needs a signal: start at t_max = 0\.99"):
            next(td.edm_heun(td.Oracle(td.toys.ring8(), process), process, np.zeros((1, 2)), [1.0, 0.5]))
