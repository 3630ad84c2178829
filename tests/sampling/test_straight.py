"""Flow matching and the probability flow are one: the mean velocity of all paths through x is the drift at x."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff.denoisers import eps_from_x0
from tinydiff.sampling import ode

SDES = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight())
LINE = td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]])
STEP = 1e-30


@pytest.mark.parametrize("process", SDES, ids=repr)
class TestVelocity:
    """d/dt (α x_0 + σ ε) = α̇ x_0 + σ̇ ε [Lipman et al. 2023; Albergo & Vanden-Eijnden 2023]."""

    @pytest.mark.parametrize("t", [0.01, 0.3, 0.8, 0.99])
    def test_it_is_the_rate_of_perturb(self, process, t, rng):
        x0, eps = rng.standard_normal((2, 4, 3))
        by_complex_step = np.imag(process.perturb(x0, t + 1j * STEP, eps)) / STEP
        velocity = process.velocity(x0, eps, t)
        np.testing.assert_allclose(velocity, by_complex_step, rtol=1e-11, atol=1e-12)

    def test_each_row_has_its_time(self, process, rng):
        """t (B,), with x_0 and ε of any trailing shape."""
        x0, eps = rng.standard_normal((2, 3, 2, 2))
        ts = np.array([0.1, 0.5, 0.9])
        rows = [process.velocity(x0[i : i + 1], eps[i : i + 1], t) for i, t in enumerate(ts)]
        np.testing.assert_allclose(process.velocity(x0, eps, ts), np.concatenate(rows), rtol=1e-14)

    @pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
    def test_regression_on_it_learns_the_drift(self, process, t):
        """E[(velocity − drift(x_t)) φ(x_t)] = 0 for every φ, by quadrature: the drift is the conditional mean.

        So E‖velocity − u(x_t)‖² is least at u = drift. Neither half the drift nor that at another time passes.
        """
        data, weights = LINE.quadrature()
        nodes, masses = np.polynomial.hermite_e.hermegauss(80)
        pairs = np.stack(np.meshgrid(data[:, 0], nodes, indexing="ij"), axis=2).reshape(-1, 2)
        mass = np.outer(weights, masses / np.sum(masses)).ravel()
        x0, eps = pairs[:, :1], pairs[:, 1:]
        x, velocity = process.perturb(x0, t, eps), process.velocity(x0, eps, t)
        drift = ode.drift(td.Oracle(LINE, process), process, x, t)
        size, wide = np.sqrt(mass @ velocity**2), np.sqrt(mass @ x**2)

        def overlap(u):
            y = x / wide
            tests = np.concatenate([y**0, y, y**3, np.tanh(y), np.sin(3 * y)], axis=1)
            return np.abs(mass @ ((velocity - u) / size * tests))

        np.testing.assert_allclose(overlap(drift), 0, atol=1e-8)
        assert np.max(overlap(0.5 * drift)) > 1e-3
        assert np.max(overlap(ode.drift(td.Oracle(LINE, process), process, x, t - 0.05))) > 1e-3

    def test_its_flow_is_that_of_vp(self, process, rng):
        """From the same x/α at log-SNR −7 to the same at +8: the processes differ in the scale of x and the clock."""
        data, ends = td.toys.ring8(), []
        y = np.exp(3.5) * rng.standard_normal((20, 2))
        for each in (td.VP(), process):
            ts = [float(each.time(log_snr)) for log_snr in (-7.0, 0.0, 8.0)]
            x = each.alpha(ts[0]) * y
            walk = td.probability_flow(td.Oracle(data, each), each, x, ts, method="rk45", rtol=1e-9, atol=1e-9)
            ends.append([x / each.alpha(t) for t, x in walk])
        np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=1e-6)


class TestStraight:
    """α = 1 − t, σ = t: flow matching's own path."""

    def test_its_velocity_is_constant(self, rng):
        """ε − x_0, at the ends as well, where f and g²/σ are infinite: x_t is x_0 + t (ε − x_0)."""
        process, (x0, eps) = td.Straight(), rng.standard_normal((2, 4, 3))
        for t in (0.0, 0.3, 1.0, np.array([0.0, 0.2, 0.7, 1.0])):
            np.testing.assert_array_equal(process.velocity(x0, eps, t), eps - x0)
        for t in (0.0, 0.3, 1.0):
            moved = x0 + t * process.velocity(x0, eps, t)
            np.testing.assert_allclose(process.perturb(x0, t, eps), moved, rtol=1e-14, atol=1e-14)

    def test_the_general_formula_agrees(self, rng):
        """f α x_0 + (f σ + g²/2σ) ε, as for every other process."""
        process, (x0, eps) = td.Straight(), rng.standard_normal((2, 4, 3))
        general = td.SDE.velocity(process, x0, eps, 0.4)
        np.testing.assert_allclose(process.velocity(x0, eps, 0.4), general, rtol=1e-13)

    def test_its_drift_is_the_difference_of_the_estimates(self, rng):
        """ε̂ − x̂_0, the two answers of a denoiser."""
        process = td.Straight()
        oracle = td.Oracle(td.toys.moons32(), process)
        for t in (0.05, 0.5, 0.95):
            x = rng.standard_normal((5, 2))
            drift = ode.drift(oracle, process, x, t)
            np.testing.assert_allclose(drift, oracle(x, t) - oracle.x0(x, t), rtol=1e-9, atol=1e-9)
            x0_hat = oracle.x0(x, t)
            np.testing.assert_allclose(drift, eps_from_x0(process, x, t, x0_hat) - x0_hat, rtol=1e-9, atol=1e-9)

    def test_of_a_single_point_its_flow_is_straight(self, rng):
        """Every trajectory is a segment towards the point, and Euler's method is exact in however few steps."""
        process, point = td.Straight(), np.array([[0.5, -2.0]])
        x, ts = rng.standard_normal((5, 2)), [0.9, 0.4, 0.01]
        eps = (x - 0.1 * point) / 0.9
        for t, y in td.probability_flow(td.Oracle(point, process), process, x, ts, method="euler"):
            np.testing.assert_allclose(y, (1 - t) * point + t * eps, rtol=1e-10, atol=1e-12)
