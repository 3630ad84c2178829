"""EDM's sampler against Heun's method in the noise level, and its churn, seen through models that answer 0."""

import math

import numpy as np
import pytest

import tinydiff as td
from tinydiff.denoisers import Denoiser
from tinydiff.sampling.solvers import heun_step

NORMAL = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])


def ratio(process, t):
    """u = σ/α."""
    now = process.at(t)
    return now.sigma / now.alpha


class Zero(Denoiser):
    """The denoiser of data that are all 0, which notes the times that it is asked for.

    Heun's method takes y from the noise level u to y v/u under it, exactly: what is left is what the noise did.
    """

    dim, like = 1, np.empty((0, 1))

    def __init__(self, process):
        self.process, self.times = process, []

    def x0(self, x, t):
        self.times.append(self.process.at(t).t)
        return 0 * x


def churned(process, ts, seed=1, x=0.0, **options):
    """The trajectory of 1000 rows from x under Zero, and the model."""
    model = Zero(process)
    return [y for _, y in td.edm_heun(model, np.full((1000, 1), x), ts, rng=seed, **options)], model


def normal(seed=1, steps=1):
    """The noise of `churned`, step by step."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((1000, 1)) for _ in range(steps)]


class TestWithoutChurn:
    """Heun's method for dy/du = (y − x̂_0)/u in y = x/α and u = σ/α [EDM, Alg. 2]."""

    def test_on_ve_it_is_heuns_method_in_sigma(self, rng):
        """With σ for the clock."""
        process = td.VE()
        model = td.Oracle(td.toys.ring8(), process)
        ts = td.grids.karras(process, 12)

        def slope(y, u):
            return (y - model.x0(y, float(process.time(-2 * math.log(u))))) / u

        by_hand = process.prior(rng, 6, model.like)
        walk = td.edm_heun(model, by_hand, ts)
        assert next(walk)[1] is by_hand
        for (t, x), before in zip(walk, ts[:-1], strict=True):
            by_hand = heun_step(slope, by_hand, ratio(process, before), ratio(process, t))
            np.testing.assert_allclose(x, by_hand, rtol=1e-8, atol=1e-9)

    @pytest.mark.parametrize("churn", [0.0, 3.0])
    @pytest.mark.parametrize("process", [td.VP(), td.SubVP(), td.Cosine(), td.Straight()], ids=repr)
    def test_it_runs_in_x_over_alpha(self, process, churn, rng):
        """At equal log-SNRs, and with the same noise, x/α is x under VE: x̂_0(x) is that of x/α."""
        wide, data, ts = td.VE(sigma_max=5000.0), td.toys.ring8(), [0.9, 0.7, 0.5, 0.2, 0.1, 0.02]
        by_ve = [float(wide.time(process.log_snr(t))) for t in ts]
        y = ratio(process, ts[0]) * rng.standard_normal((6, 2))

        def walk(process, x, ts):
            return td.edm_heun(td.Oracle(data, process), x, ts, churn=churn, rng=2)

        here, there = walk(process, process.at(ts[0]).alpha * y, ts), walk(wide, y, by_ve)
        for (t, x), (_, other) in zip(here, there, strict=True):
            np.testing.assert_allclose(x / process.at(t).alpha, other, rtol=1e-7, atol=1e-7)

    def test_of_a_single_point_it_is_exact(self, rng):
        """α m + σ ε keeps its ε: the ODE is linear in y, and its slope constant along each path."""
        process, point = td.VP(), np.array([[0.5, -2.0]])
        x, ts = process.prior(rng, 5, point[:0]), [1.0, 0.6, 0.3, 0.1]
        eps = (x - process.at(1.0).alpha * point) / process.at(1.0).sigma
        for t, y in td.edm_heun(td.Oracle(point, process), x, ts):
            np.testing.assert_allclose(y, process.at(t).perturb(point, eps), rtol=1e-9, atol=1e-9)

    def test_evaluations(self, rng):
        """Two for each step, with churn or without; the trajectory keeps to the grid."""
        process = td.VE()
        oracle, ts = td.Oracle(td.toys.ring8(), process), td.grids.karras(process, 7)
        x = process.prior(rng, 3, oracle.like)
        for churn in (0.0, 5.0):
            model = td.Counting(oracle)
            assert [t for t, _ in td.edm_heun(model, x, ts, churn=churn, rng=rng)] == ts.tolist()
            assert model.nfe == 14


class TestChurn:
    """Each step may first go back up to a higher level of noise [EDM, Alg. 2]."""

    @pytest.mark.parametrize("process", [td.VE(), td.VP()], ids=repr)
    @pytest.mark.parametrize(
        ("churn", "gamma"), [(0.8, 0.2), (1.6, 0.4), (1.7, math.sqrt(2) - 1), (1e9, math.sqrt(2) - 1)]
    )
    def test_it_raises_the_level_by_churn_over_steps(self, process, churn, gamma):
        """σ̂ = (1 + γ) σ, γ = min(churn/N, √2 − 1) for N times; noise of variance σ̂² − σ², and the model asked at σ̂."""
        ts = [0.6, 0.5, 0.3, 0.1]
        walk, model = churned(process, ts, churn=churn)
        y = 0.0
        for i, z in enumerate(normal(steps=3)):
            u, v = ratio(process, ts[i]), ratio(process, ts[i + 1])
            higher = (1 + gamma) * u
            y = (y + math.sqrt(higher**2 - u**2) * z) * v / higher
            np.testing.assert_allclose(walk[i + 1] / process.at(ts[i + 1]).alpha, y, rtol=1e-9, atol=1e-12)
            assert ratio(process, model.times[2 * i]) == pytest.approx(higher, rel=1e-9)
            assert model.times[2 * i + 1] == ts[i + 1]

    def test_the_level_never_passes_that_of_t_max(self):
        """The first step, from t_max, adds nothing; the next, closer to it than √2, goes back up to it."""
        process = td.VE()
        top = process.at(1.0).sigma
        ts = [1.0, *process.time(-2 * np.log([0.9 * top, 0.5 * top]))]
        walk, model = churned(process, ts, churn=10.0)
        np.testing.assert_array_equal(walk[1], 0)
        _, z = normal(steps=2)
        np.testing.assert_allclose(walk[2], math.sqrt(1 - 0.9**2) * top * z * 0.5, rtol=1e-9)
        assert model.times[0] == ts[0]
        assert model.times[2] == pytest.approx(process.t_max, rel=1e-9)

    def test_the_limits_include_their_ends(self):
        """A step churns if its level lies in [churn_from, churn_to]; steps outside draw no noise."""
        process, ts = td.VE(), [0.9, 0.8, 0.7, 0.6]
        ratios = [ratio(process, t) for t in ts]

        def moved(**options):
            return [bool(np.any(y)) for y in churned(process, ts, churn=1.0, **options)[0][1:]]

        assert moved() == [True, True, True]
        assert moved(churn_to=ratios[1]) == [False, True, True]
        assert moved(churn_to=0.999 * ratios[1]) == [False, False, True]
        assert moved(churn_to=0.999 * ratios[2]) == [False, False, False]
        assert moved(churn_from=ratios[0]) == [True, True, True]
        assert moved(churn_from=1.001 * ratios[0]) == [False, False, False]
        outside = churned(process, ts, churn=1.0, churn_from=ratios[1], churn_to=ratios[1])[0]
        higher = 5 / 4 * ratios[1]
        only = math.sqrt(1 - (4 / 5) ** 2) * normal()[0]
        np.testing.assert_allclose(outside[-1], only * ratios[-1], rtol=1e-9)
        np.testing.assert_allclose(outside[2], only * higher * ratios[2] / higher, rtol=1e-9)

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
        """Neither the generator nor the options of the churn matter."""
        walk, _ = churned(td.VE(), [0.9, 0.5], x=2.0, churn=0.0, noise_scale=9.0)
        assert np.ptp(walk[-1]) == 0

    @pytest.mark.parametrize("process", [td.VE(), td.VP()], ids=repr)
    def test_on_normal_data_the_variance_is_right_to_order_2(self, process, monkeypatch):
        """N(0, 1) data: every step is linear in x and in its noise, so the end variance is a sum of squares.

        Row 0 starts with the standard deviation of q_T and no noise; row i gets noise 1 in step i and no other. The
        sum over rows must tend to α² + σ² as 1/steps², churning all the way; it would not with a wrong amount.
        """
        model, errors = td.Oracle(NORMAL, process), []
        for steps in (50, 100, 200):
            x = np.zeros((steps + 1, 1))
            x[0] = process.prior_std
            ts = td.grids.karras(process, steps)
            end = td.last(td.edm_heun(model, x, ts, churn=10.0, rng=UnitRows(steps)))[1]
            last = process.at(ts[-1])
            errors.append(abs(np.sum(end**2) - last.alpha**2 - last.sigma**2))
        assert errors[-1] < 5e-3
        np.testing.assert_allclose(-np.diff(np.log2(errors)), 2, atol=0.15)

    def test_churned_samples_are_right(self, rng):
        """20,000 draws of N(0, 1) in 100 steps: variance 1 within 4 standard errors, and so the fourth moment 3."""
        x = td.sample(
            td.Oracle(NORMAL, td.VE()),
            20_000,
            sampler=td.edm_heun,
            steps=100,
            grid=td.grids.karras,
            rng=rng,
            churn=20.0,
        )
        assert np.var(x) == pytest.approx(1, abs=4 * math.sqrt(2 / 20_000))
        assert np.mean(x**4) == pytest.approx(3, abs=4 * math.sqrt(96 / 20_000))


class UnitRows(np.random.Generator):
    """A generator whose i-th draw is 1 in row i, from 1 on, and 0 in all others."""

    def __init__(self, steps):
        super().__init__(np.random.PCG64(0))
        self.noise = iter(np.eye(steps + 1)[1:, :, None])

    def standard_normal(self, shape, dtype):
        return next(self.noise)


def test_wrong_use_is_named(rng):
    x, model = np.zeros((1, 1)), td.Oracle(NORMAL, td.VE())
    for churn in (-1.0, math.nan):
        with pytest.raises(ValueError, match="churn must be 0 or more; got"):
            next(td.edm_heun(model, x, [0.5, 0.4], churn=churn, rng=rng))
    with pytest.raises(ValueError, match="pass rng"):
        next(td.edm_heun(model, x, [0.5, 0.4], churn=1.0))
    chain = td.Discrete.linear(100)
    with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
        next(td.edm_heun(td.Oracle(NORMAL, chain), x, [0.5, 0.4]))


def test_a_start_without_signal_is_refused():
    """x/α says nothing where α is 0, or 6e-17 as Cosine's at t = 1."""
    for process in (td.Cosine(), td.Straight()):
        with pytest.raises(ValueError, match=r"t_max = 0\.99"):
            next(td.edm_heun(td.Oracle(td.toys.ring8(), process), np.zeros((1, 2)), [1.0, 0.5]))
