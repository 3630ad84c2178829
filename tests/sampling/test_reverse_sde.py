"""The reverse SDE family and its corrector. On Gaussian data their steps are affine, so their laws need no draws.

A sampler then ends at c_x x_T + Σ_i c_i Δw_i + c: unit vectors in the place of noise give every coefficient, and the
law of the end is N(c + c_x E x_T, c_x² Var x_T + Σ_i c_i² |t_i − t_{i+1}|). Sources: Song et al. [2021].
"""

import itertools
import math

import numpy as np
import pytest

import tinydiff as td
from tinydiff.sampling.predictor_corrector import langevin_step
from tinydiff.sampling.reverse_sde import euler_maruyama_step

CONTINUOUS = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight())
MEAN, VARIANCE = 0.6, 0.4
GAUSSIAN = td.GaussianMixture([1.0], [[MEAN]], [[[VARIANCE]]])
every_process = pytest.mark.parametrize("process", CONTINUOUS, ids=repr)
every_eta = pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 2.0])


def exact(process, t):
    """Mean and variance of q_t."""
    now = process.at(t)
    return now.alpha * MEAN, now.alpha**2 * VARIANCE + now.sigma**2


def score_of(oracle, x, now):
    """∇ln q_t by complex steps."""
    return np.stack([np.imag(oracle.log_density(x + 1e-30j * e, now)) / 1e-30 for e in np.eye(2)], axis=1)


def coefficients(process, ts, eta):
    """(c_i of each increment (steps,), c_x, c) of the end of euler_maruyama along ts."""
    steps, times = len(ts) - 1, list(itertools.pairwise(ts))
    x, asked = np.zeros((steps + 2, 1)), []
    x[steps] = 1.0

    def noise(t, s):
        unit = np.zeros_like(x)
        unit[len(asked)] = 1.0
        asked.append((t, s))
        return unit

    end = td.last(td.euler_maruyama(td.Oracle(GAUSSIAN, process), x, ts, eta=eta, noise=noise))[1][:, 0]
    assert asked == ([] if eta == 0 else times)
    return end[:steps] - end[-1], end[steps] - end[-1], end[-1]


def law_of_end(process, ts, eta):
    """Mean and variance at ts[-1], from q_t at ts[0]."""
    c, c_x, offset = coefficients(process, ts, eta)
    mean, variance = exact(process, ts[0])
    return offset + c_x * mean, c_x**2 * variance - np.sum(c**2 * np.diff(ts))


@every_process
class TestFamily:
    """The reverse equation with drift f x − ½ (1 + η²) g² ∇ln q_t and diffusion η g."""

    @every_eta
    def test_every_eta_ends_in_the_same_law(self, process, eta):
        """From q_t at t_max to q_t at t_min [Song et al. 2021, 13].

        Errors of order 1 vanish from twice the end of 1600 steps minus that of 800: 1e-3 is left, and 4 % without.
        The steps are the log-SNR's, so that this covers the whole interval, where drifts are steep.
        """
        mean, variance = exact(process, process.t_min)
        few, many = (np.array(law_of_end(process, td.grids.even_log_snr(process, n), eta)) for n in (800, 1600))
        np.testing.assert_allclose(many, [mean, variance], rtol=0.04)
        np.testing.assert_allclose(2 * many - few, [mean, variance], rtol=1e-3)

    @every_eta
    def test_the_slope_of_a_step_is_the_drift(self, process, eta, rng):
        """(x_s − x_t)/h = f x − ½ (1 + η²) g² ∇ln q_t without noise, the score by complex step; with it η g dw more."""
        oracle, (x, dw) = td.Oracle(td.toys.ring8(), process), rng.standard_normal((2, 5, 2))
        now, then = process.at(0.4), process.at(0.37)
        eps_hat = oracle(x, now)
        drift = now.f * x - 0.5 * (1 + eta**2) * now.g2 * score_of(oracle, x, now)
        still = euler_maruyama_step(x, eps_hat, now, then, 0 * x, eta)
        np.testing.assert_allclose((still - x) / (then.t - now.t), drift, rtol=1e-9, atol=1e-9)
        moved = euler_maruyama_step(x, eps_hat, now, then, dw, eta) - still
        np.testing.assert_allclose(moved, eta * np.sqrt(now.g2) * dw, rtol=1e-9, atol=1e-12)

    def test_eta_0_is_eulers_method_for_the_flow(self, process, rng):
        """It draws no noise, and needs none: η = 0 is the probability-flow ODE [Song et al. 2021, 13]."""
        oracle, x, ts = td.Oracle(td.toys.ring8(), process), rng.standard_normal((4, 2)), [0.8, 0.5, 0.45, 0.2]
        flow = list(td.probability_flow(oracle, x, ts, method="euler"))

        def nan(t, s):
            return np.full_like(x, np.nan)

        for options in ({}, {"rng": rng}, {"noise": nan}):
            walk = td.euler_maruyama(oracle, x, ts, eta=0.0, **options)
            for (t, end), (time, expected) in zip(walk, flow, strict=True):
                assert t == time
                np.testing.assert_allclose(end, expected, rtol=1e-13, atol=1e-13)


def test_euler_maruyama_is_its_steps_with_noise_of_variance_h(rng):
    """dw = √(t − s) z; η is 1 unless given. It yields (t, x) along the grid, from what it is given on."""
    process, ts = td.VP(), [0.9, 0.5, 0.45, 0.2]
    oracle, x = td.Oracle(td.toys.ring8(), process), rng.standard_normal((4, 2))
    for options, eta in (({}, 1.0), ({"eta": 0.5}, 0.5)):
        pairs = list(td.euler_maruyama(oracle, x, np.array(ts), rng=1, **options))
        assert [t for t, _ in pairs] == ts
        assert pairs[0][1] is x
        noise, by_hand = np.random.default_rng(1), x
        for (now, then), (_, y) in zip(itertools.pairwise(map(process.at, ts)), pairs[1:], strict=True):
            dw = math.sqrt(now.t - then.t) * noise.standard_normal(x.shape)
            by_hand = euler_maruyama_step(by_hand, oracle(by_hand, now), now, then, dw, eta)
            np.testing.assert_allclose(y, by_hand, rtol=1e-12)


# One path for many grids


def test_a_path_has_independent_increments_of_variance_h():
    """Var(w_s − w_t) = t − s in every row and coordinate, without correlation in time, or between them."""
    n, ts = 40_000, np.array([1.0, 0.7, 0.65, 0.3, 0.1])
    noise = td.brownian_path(np.random.default_rng(0), np.full((n, 2), 7.0), ts)
    dw = np.hstack([noise(t, s) / math.sqrt(t - s) for t, s in itertools.pairwise(ts)])
    np.testing.assert_allclose(np.mean(dw, axis=0), 0, atol=4.5 / math.sqrt(n))
    covariance = dw.T @ dw / n
    np.testing.assert_allclose(np.diag(covariance), 1, atol=4.5 * math.sqrt(2 / n))
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=4.5 / math.sqrt(n))
    np.testing.assert_allclose(np.mean(dw**4, axis=0), 3, atol=4.5 * math.sqrt(96 / n))


def test_coarse_increments_are_sums_of_fine_ones(rng):
    """w_s − w_t over 50 steps, each of 16 of the 800: one path, whatever the grid and the order of the questions."""
    process, x = td.VP(), rng.standard_normal((3, 2))
    fine, coarse = td.grids.even_log_snr(process, 800), td.grids.even_log_snr(process, 50)
    noise = td.brownian_path(rng, x, fine)
    increments = np.array([noise(t, s) for t, s in itertools.pairwise(fine)])
    sums = increments.reshape(50, 16, 3, 2).sum(axis=1)
    for i in reversed(range(50)):
        np.testing.assert_allclose(noise(coarse[i], coarse[i + 1]), sums[i], rtol=0, atol=1e-13)
    np.testing.assert_allclose(noise(fine[3], fine[700]), increments[3:700].sum(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(noise(fine[700], fine[3]), -noise(fine[3], fine[700]))
    assert not np.any(noise(fine[5], fine[5]))
    assert not np.any(increments == 0)


def test_a_path_on_its_own_grid_is_the_noise_of_its_generator(rng):
    """So that a walk along it is the walk that the same seed gives without it: w_s − w_t = √(t − s) z."""
    process, ts = td.VP(), [0.9, 0.5, 0.45, 0.2]
    oracle, x = td.Oracle(td.toys.ring8(), process), rng.standard_normal((4, 2))
    along = td.euler_maruyama(oracle, x, ts, noise=td.brownian_path(np.random.default_rng(1), x, ts))
    plain = td.euler_maruyama(oracle, x, ts, rng=np.random.default_rng(1))
    for (_, y), (_, expected) in zip(along, plain, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-11)


def test_a_path_knows_its_own_times_alone(rng):
    """Any other time is a ValueError that says so, even between the last two of a grid, 1e-7 apart."""
    fine = td.grids.even_log_snr(td.VP(), 800)
    noise = td.brownian_path(rng, np.zeros((1, 1)), fine)
    noise(fine[0] - 1e-12, fine[-1] + 1e-12)
    for t, s in ((0.123, fine[-1]), (fine[0], 0.123), (0.5 * (fine[-1] + fine[-2]), fine[-1])):
        with pytest.raises(ValueError, match=r"known at 801 times; t = .* is not among them"):
            noise(t, s)
    with pytest.raises(ValueError, match="fall strictly"):
        td.brownian_path(rng, np.zeros((1, 1)), fine[::-1])


def test_one_path_leads_grids_of_any_coarseness_to_one_end(rng):
    """At strong order 1 the distance to the end of 800 steps is as 1/n − 1/800; along another path it does not fall.

    The median over rows, ± 10 %: a few rows of coarse grids end in other modes.
    """
    process, data = td.VP(), td.toys.ring8()
    oracle = td.Oracle(data, process)
    x, fine = process.prior(rng, 500, oracle.like), td.grids.even_log_snr(process, 800)
    one, other = td.brownian_path(rng, x, fine), td.brownian_path(rng, x, fine)

    def end(steps, noise):
        return td.last(td.euler_maruyama(oracle, x, td.grids.even_log_snr(process, steps), noise=noise))[1]

    best = end(800, one)

    def distance(steps, noise):
        return np.median(np.linalg.norm(end(steps, noise) - best, axis=1))

    near = np.array([distance(steps, one) for steps in (50, 100, 200, 400)])
    np.testing.assert_allclose(near[:-1] / near[1:], [15 / 7, 7 / 3, 3], rtol=0.1)
    assert near[0] < 0.05
    assert min(distance(50, other), distance(400, other), distance(800, other)) > 0.5


# The corrector


def langevin_coefficients(now, snr, data=GAUSSIAN):
    """(a, b, c) of x ↦ a x + b z + c in one dimension."""
    x, z = np.array([[0.0], [1.0], [0.0]]), np.array([[0.0], [0.0], [1.0]])
    end = langevin_step(x, td.Oracle(data, now.process)(x, now), now, z, snr)[:, 0]
    return end[1] - end[0], end[2] - end[0], end[0]


@every_process
def test_a_langevin_step_climbs_the_score(process, rng):
    """x + δ ∇ln q_t + √(2δ) z on a mixture, the score by complex step [Song et al. 2021, Alg. 4–5]."""
    oracle, (x, z), snr = td.Oracle(td.toys.ring8(), process), rng.standard_normal((2, 5, 2)), 0.16
    now = process.at(0.4)
    delta = 2 * (snr * now.sigma) ** 2
    expected = x + delta * score_of(oracle, x, now) + np.sqrt(2 * delta) * z
    np.testing.assert_allclose(langevin_step(x, oracle(x, now), now, z, snr), expected, rtol=1e-10, atol=1e-11)


def test_the_step_is_never_longer_than_with_the_ratio_of_norms(rng):
    """E‖σ∇ln q_t‖² ≤ d, so that σ ≤ √(E‖z‖²/E‖∇ln q_t‖²), the σ of Song et al.'s corrector."""
    for process in CONTINUOUS:
        oracle = td.Oracle(td.toys.ring8(), process)
        for t in (0.1, 0.5, 0.9):
            q = oracle.marginal(t)
            x, weights = q.quadrature()
            assert weights @ np.sum(q.score(x) ** 2, axis=1) * process.at(t).sigma ** 2 <= 2 + 1e-9


class TestPredictorCorrector:
    """Euler–Maruyama with Langevin steps [Song et al. 2021, Alg. 1]."""

    process, ts = td.VP(), np.array([0.9, 0.5, 0.45, 0.2])

    def walk(self, x, **options):
        oracle = td.Oracle(td.toys.ring8(), self.process)
        return list(td.predictor_corrector(oracle, x, self.ts, rng=1, **options))

    def test_no_corrections_is_euler_maruyama(self, rng):
        x = rng.standard_normal((4, 2))
        plain = td.euler_maruyama(td.Oracle(td.toys.ring8(), self.process), x, self.ts, rng=1)
        for (t, y), (time, expected) in zip(self.walk(x, corrections=0), plain, strict=True):
            assert t == time
            np.testing.assert_array_equal(y, expected)

    def test_corrections_are_langevin_steps_where_the_step_ends(self, rng):
        """Fresh noise in each, at time s; one correction of snr .16 unless it is said otherwise."""
        x, oracle = rng.standard_normal((4, 2)), td.Oracle(td.toys.ring8(), self.process)
        for options, corrections, snr in (({}, 1, 0.16), ({"corrections": 3, "snr": 0.1}, 3, 0.1)):
            pairs = self.walk(x, **options)
            assert [t for t, _ in pairs] == self.ts.tolist()
            assert pairs[0][1] is x
            noise, by_hand = np.random.default_rng(1), x
            levels = [self.process.at(t) for t in self.ts.tolist()]
            for (now, then), (_, y) in zip(itertools.pairwise(levels), pairs[1:], strict=True):
                dw = math.sqrt(now.t - then.t) * noise.standard_normal(x.shape)
                by_hand = euler_maruyama_step(by_hand, oracle(by_hand, now), now, then, dw)
                for _ in range(corrections):
                    z = noise.standard_normal(x.shape)
                    by_hand = langevin_step(by_hand, oracle(by_hand, then), then, z, snr)
                np.testing.assert_allclose(y, by_hand, rtol=1e-12)

    @pytest.mark.parametrize("corrections", [0, 1, 4])
    def test_evaluations_for_each_step(self, corrections):
        model = td.Counting(td.Oracle(td.toys.ring8(), self.process))
        td.last(td.predictor_corrector(model, np.zeros((1, 2)), self.ts, rng=0, corrections=corrections))
        assert model.nfe == 3 * (1 + corrections)

    def test_corrections_mend_coarse_steps(self):
        """At 30 steps the exact variance at the end of Gaussian data is far nearer to q_t's with three corrections.

        Each step of either kind is affine, so the variance follows a recursion.
        """
        oracle, levels = td.Oracle(GAUSSIAN, self.process), [self.process.at(t) for t in np.linspace(1, 0.05, 31)]
        x, unit = np.array([[0.0], [1.0], [0.0]]), np.array([[0.0], [0.0], [1.0]])

        def end(corrections):
            _, v = exact(self.process, levels[0])
            for now, then in itertools.pairwise(levels):
                y = euler_maruyama_step(x, oracle(x, now), now, then, math.sqrt(now.t - then.t) * unit)[:, 0]
                v = (y[1] - y[0]) ** 2 * v + (y[2] - y[0]) ** 2
                a, b, _ = langevin_coefficients(then, 0.16)
                for _ in range(corrections):
                    v = a**2 * v + b**2
            return abs(v / exact(self.process, levels[-1])[1] - 1)

        assert end(3) < 0.75 * end(0)


def test_a_path_keeps_float32(rng):
    x = rng.standard_normal((3, 2), dtype=np.float32)
    noise = td.brownian_path(rng, x, [0.5, 0.4, 0.3])
    assert noise(0.5, 0.3).dtype == np.float32
    walk = td.euler_maruyama(td.Oracle(td.toys.ring8(), td.VP()), x, [0.5, 0.4, 0.3], noise=noise)
    assert td.last(walk)[1].dtype == np.float32


def test_wrong_options_are_named(rng):
    """Errors are raised at the first step asked for, before the model is."""
    x = np.zeros((1, 2))
    model = td.Counting(td.Oracle(td.toys.ring8(), td.VP()))

    def start(sampler, **options):
        return next(sampler(model, x, (0.5, 0.4), **options))

    for eta in (-1.0, -1e-9, math.nan):
        with pytest.raises(ValueError, match=f"eta must be 0 or more; got {eta}"):
            start(td.euler_maruyama, eta=eta, rng=rng)
    with pytest.raises(ValueError, match="pass rng"):
        start(td.euler_maruyama)
    for options in ({"corrections": -1}, {"snr": 0.0}, {"snr": -0.1}, {"snr": math.nan}):
        with pytest.raises(ValueError, match=rf"{next(iter(options))} must be .*; got"):
            start(td.predictor_corrector, rng=rng, **options)
    assert model.nfe == 0


@pytest.mark.parametrize("sampler", [td.euler_maruyama, td.predictor_corrector])
def test_times_beyond_the_ends_and_chains_are_refused(sampler):
    x, data = np.zeros((1, 2)), td.toys.ring8()
    for process, ts in ((td.Cosine(), [1.0, 0.5]), (td.VP(), [0.5, 1e-7])):
        with pytest.raises(ValueError, match="the flow runs between t_min"):
            next(sampler(td.Oracle(data, process), x, ts, rng=0))
    with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
        next(sampler(td.Oracle(data, td.Discrete.linear(100)), x, [0.5, 0.4], rng=0))
