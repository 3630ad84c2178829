"""The probability-flow ODE against its closed forms and scipy's DOP853."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

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

    def test_it_carries_q_t_along(self, process, rng):
        """On Gaussian data x_t = αm + U √(V_t/V_s) Uᵀ (x_s − α_s m): the marginals of the ODE are those of the SDE."""
        oracle, x = td.Oracle(GAUSSIAN, process), rng.standard_normal((6, 2))
        ts = td.grids.log_snr(process, 200)
        end = td.last(td.probability_flow(oracle, process, x, ts))[1]
        variances, axes = np.linalg.eigh(GAUSSIAN.covariances[0])
        spread = lambda t: process.alpha(t) ** 2 * variances + process.sigma(t) ** 2  # noqa: E731
        centre = lambda t: process.alpha(t) * GAUSSIAN.means[0]  # noqa: E731
        stretch = axes * np.sqrt(spread(ts[-1]) / spread(ts[0])) @ axes.T
        np.testing.assert_allclose(end, centre(ts[-1]) + (x - centre(ts[0])) @ stretch, atol=1e-5)

    def test_decoding_undoes_encoding(self, process, rng):
        oracle, x = td.Oracle(td.toys.moons32(), process), td.toys.moons32().sample(rng, 20)
        ts = td.grids.log_snr(process, 200)
        code = td.last(td.probability_flow(oracle, process, x, ts[::-1]))[1]
        np.testing.assert_allclose(td.last(td.probability_flow(oracle, process, code, ts))[1], x, atol=1e-3)


def test_the_steps_have_orders_1_2_and_4(rng):
    """The error against DOP853 falls by 2, 4 and 16 when the steps double, ± 0.15 in the exponent."""
    process, data = td.VP(), td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]])
    oracle, x = td.Oracle(data, process), rng.standard_normal((20, 1))
    slope = lambda t, y: ode.drift(oracle, process, y[:, None], t).ravel()  # noqa: E731
    exact = solve_ivp(slope, (1, 0.02), x.ravel(), method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    for method, order, steps in (("euler", 1, 800), ("heun", 2, 400), ("rk4", 4, 160)):
        errors = []
        for n in (steps, 2 * steps, 4 * steps, 8 * steps):
            end = td.last(td.probability_flow(oracle, process, x, np.linspace(1, 0.02, n + 1), method=method))[1]
            errors.append(np.sqrt(np.mean((end[:, 0] - exact) ** 2)))
        slopes = -np.diff(np.log2(errors))
        assert np.all(np.abs(slopes - order) <= 0.15), (method, slopes)


def test_in_one_dimension_the_flow_keeps_the_cdf(rng):
    """F_t(x_t) = F_0(x_0): an exact answer for each trajectory, on data that are not Gaussian."""
    process, w, m, s = td.VP(), np.array([0.3, 0.7]), np.array([-1.0, 0.8]), np.array([0.3, 0.5])
    oracle = td.Oracle(td.GaussianMixture(w, m[:, None], (s**2)[:, None, None]), process)

    def cdf(x, t):
        a, std = process.alpha(t), np.sqrt((process.alpha(t) * s) ** 2 + process.sigma(t) ** 2)
        return norm.cdf((x - a * m) / std) @ w

    x, ts = rng.standard_normal((30, 1)), td.grids.log_snr(process, 400)
    before = cdf(x, ts[0])
    for t, y in td.probability_flow(oracle, process, x, ts):
        np.testing.assert_allclose(cdf(y, t), before, atol=1e-7)


def test_evaluations_for_each_step():
    process = td.VP()
    model = td.counting(td.Oracle(td.toys.ring8(), process))
    for method, nfe in (("euler", 1), ("heun", 2), ("rk4", 4)):
        model.nfe = 0
        td.last(td.probability_flow(model, process, np.zeros((1, 2)), [0.5, 0.4, 0.3], method=method))
        assert model.nfe == 2 * nfe


def test_wrong_use_is_named():
    chain, x = td.Discrete.linear(100), np.zeros((1, 2))
    with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
        next(td.probability_flow(td.Oracle(td.toys.ring8(), chain), chain, x, [0.5, 0.4]))
    for process, ts in ((td.VP(), [0.5, 0.0]), (td.Cosine(), [1.0, 0.5])):
        with pytest.raises(ValueError, match="the flow runs between t_min"):
            next(td.probability_flow(td.Oracle(td.toys.ring8(), process), process, x, ts))
    with pytest.raises(ValueError, match="method must be one of euler, heun, rk4, rk45; got 'rk5'"):
        next(td.probability_flow(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), x, [0.5, 0.4], method="rk5"))
