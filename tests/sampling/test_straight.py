"""Flow matching and the probability flow are one: the mean velocity of all paths through x is the flow's at x."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff.predictions import eps_from_x0
from tinydiff.sampling.probability_flow import velocity

CONTINUOUS = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight())
LINE = td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]])
STEP = 1e-30


@pytest.mark.parametrize("process", CONTINUOUS, ids=repr)
class TestVelocity:
    """d/dt (α x_0 + σ ε) = α̇ x_0 + σ̇ ε [Lipman et al. 2023; Albergo & Vanden-Eijnden 2023]."""

    @pytest.mark.parametrize("t", [0.01, 0.3, 0.8, 0.99])
    def test_it_is_the_rate_of_perturb(self, process, t, rng):
        x0, eps = rng.standard_normal((2, 4, 3))
        moved = process.alpha(t + 1j * STEP) * x0 + process.sigma(t + 1j * STEP) * eps
        np.testing.assert_allclose(process.at(t).velocity(x0, eps), np.imag(moved) / STEP, rtol=1e-11, atol=1e-12)

    def test_each_row_has_its_time(self, process, rng):
        """t (B,), with x_0 and ε of any trailing shape."""
        x0, eps = rng.standard_normal((2, 3, 2, 2))
        ts = np.array([0.1, 0.5, 0.9])
        rows = [process.at(t).velocity(x0[i : i + 1], eps[i : i + 1]) for i, t in enumerate(ts)]
        np.testing.assert_allclose(process.at(ts, like=x0).velocity(x0, eps), np.concatenate(rows), rtol=1e-14)

    @pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
    def test_regression_on_it_learns_the_velocity_of_the_flow(self, process, t):
        """E[(velocity − v(x_t)) φ(x_t)] = 0 for every φ, by quadrature: the flow's is the conditional mean.

        So E‖velocity − u(x_t)‖² is least at the flow's velocity. Neither half of it nor that at another time passes.
        """
        data, weights = LINE.quadrature()
        nodes, masses = np.polynomial.hermite_e.hermegauss(80)
        pairs = np.stack(np.meshgrid(data[:, 0], nodes, indexing="ij"), axis=2).reshape(-1, 2)
        mass = np.outer(weights, masses / np.sum(masses)).ravel()
        x0, eps = pairs[:, :1], pairs[:, 1:]
        now, oracle = process.at(t), td.Oracle(LINE, process)
        x, target = now.perturb(x0, eps), now.velocity(x0, eps)
        mean = velocity(oracle, x, now)
        size, wide = np.sqrt(mass @ target**2), np.sqrt(mass @ x**2)

        def overlap(u):
            y = x / wide
            tests = np.concatenate([y**0, y, y**3, np.tanh(y), np.sin(3 * y)], axis=1)
            return np.abs(mass @ ((target - u) / size * tests))

        np.testing.assert_allclose(overlap(mean), 0, atol=1e-8)
        assert np.max(overlap(0.5 * mean)) > 1e-3
        assert np.max(overlap(velocity(oracle, x, process.at(t - 0.05)))) > 1e-3

    def test_its_flow_is_that_of_vp(self, process, rng):
        """From the same x/α at log-SNR −7 to the same at +8: the processes differ in the scale of x and the clock."""
        data, ends = td.toys.ring8(), []
        y = np.exp(3.5) * rng.standard_normal((20, 2))
        for each in (td.VP(), process):
            ts = [float(each.time(log_snr)) for log_snr in (-7.0, 0.0, 8.0)]
            x = each.at(ts[0]).alpha * y
            walk = td.probability_flow(td.Oracle(data, each), x, ts, method="rk45", rtol=1e-9, atol=1e-9)
            ends.append([x / each.at(t).alpha for t, x in walk])
        np.testing.assert_allclose(ends[1], ends[0], rtol=0, atol=1e-6)


class TestStraight:
    """α = 1 − t, σ = t: flow matching's own path."""

    def test_its_velocity_is_constant(self, rng):
        """ε − x_0 wherever f and g² are finite: x_t is x_0 + t (ε − x_0)."""
        process, (x0, eps) = td.Straight(), rng.standard_normal((2, 4, 3))
        for t in (1e-6, 0.3, 0.999, np.array([0.01, 0.2, 0.7, 0.99])):
            velocity = process.at(t, like=x0).velocity(x0, eps)
            np.testing.assert_allclose(velocity, eps - x0, rtol=1e-9, atol=1e-9)
        for t in (0.0, 0.3, 1.0):
            np.testing.assert_allclose(process.at(t).perturb(x0, eps), x0 + t * (eps - x0), rtol=1e-14, atol=1e-14)

    def test_its_velocity_has_no_gap_at_its_ends(self, rng):
        """At t = 0 and t = 1 too, where f or g²/σ is infinite, or 0/0."""
        process, (x0, eps) = td.Straight(), rng.standard_normal((2, 4, 3))
        for t in (0.0, 1.0, np.array([0.0, 0.2, 0.7, 1.0])):
            np.testing.assert_allclose(process.at(t, like=x0).velocity(x0, eps), eps - x0, rtol=1e-12)

    def test_its_flow_is_the_difference_of_the_estimates(self, rng):
        """ε̂ − x̂_0, the two answers of a denoiser."""
        oracle = td.Oracle(td.toys.moons32(), td.Straight())
        for t in (0.05, 0.5, 0.95):
            now, x = td.Straight().at(t), rng.standard_normal((5, 2))
            flow, x0_hat = velocity(oracle, x, now), oracle.x0(x, now)
            np.testing.assert_allclose(flow, oracle(x, now) - x0_hat, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(flow, eps_from_x0(x, x0_hat, now) - x0_hat, rtol=1e-9, atol=1e-9)

    def test_of_a_single_point_its_flow_is_straight(self, rng):
        """Every trajectory is a segment towards the point, and Euler's method is exact in however few steps."""
        point, x, ts = np.array([[0.5, -2.0]]), rng.standard_normal((5, 2)), [0.9, 0.4, 0.01]
        eps = (x - 0.1 * point) / 0.9
        for t, y in td.probability_flow(td.Oracle(point, td.Straight()), x, ts, method="euler"):
            np.testing.assert_allclose(y, (1 - t) * point + t * eps, rtol=1e-10, atol=1e-12)
