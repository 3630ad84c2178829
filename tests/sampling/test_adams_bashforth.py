"""Adams' method: exact where x̂_0 is a cubic in the log-SNR, DDIM where it must be."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

import tinydiff as td
from tinydiff.sampling.adams_bashforth import REACH, shares

VP, X = td.VP(), np.array([[0.3, -1.2]])


def cubic(lam):
    return 0.4 - 0.3 * lam + 0.2 * lam**2 + 0.05 * lam**3


class Cubic(td.Denoiser):
    """x̂_0 is a cubic in λ, at every x."""

    process, dim, like = VP, 2, np.empty((0, 2))

    def x0(self, x, t):
        return cubic(self.process.at(t).log_snr) + 0 * x


def walked(ts, **options):
    return list(td.adams_bashforth(Cubic(), X, ts, **options))


@pytest.mark.parametrize("gaps", [[0.4, 0.4, 0.4, 0.4], [0.3, 0.5, 0.2, 1.7], [0.9, 1.1, 0.2, 1.5]], ids=str)
def test_a_cubic_is_integrated_exactly(gaps):
    """x_s = (σ_s/σ_t) x_t + α_s ∫ e^{(λ − λ_s)/2} x̂_0 dλ/2, from the fourth evaluation on, whatever the steps."""
    lam = np.cumsum([-1.0, *gaps])
    *_, (t, x), (s, y) = walked(VP.time(lam))
    now, then = VP.at(t), VP.at(s)
    integral, _ = quad(lambda at: 0.5 * np.exp((at - then.log_snr) / 2) * cubic(at), now.log_snr, then.log_snr)
    assert_allclose(y, then.sigma / now.sigma * x + then.alpha * integral, rtol=1e-9)


def test_the_shares_are_those_of_adams_and_bashforth_where_steps_are_short():
    assert_allclose(24 * np.array(shares([-0.003, -0.006, -0.009, -0.012], -0.003, 0.0)), [55, -59, 37, -9], rtol=0.01)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_shares_add_up_to_one(order):
    assert_allclose(sum(shares([1.0, 0.7, 0.1, -0.5][:order], 1.0, 1.8)), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("ts", "order"), [(VP.time(np.linspace(-2, 8, 30)), 1), (VP.time(np.arange(-6, 12, 1.01 * REACH)), 4)]
)
def test_it_is_ddim_at_order_one_and_where_every_step_is_long(ts, order):
    """Over more than four units of log-SNR no polynomial is trusted."""
    for (_, x), (_, y) in zip(walked(ts, order=order), td.ddim(Cubic(), X, ts), strict=True):
        assert_array_equal(x, y)


def test_other_orders_are_refused():
    with pytest.raises(ValueError, match="order must be one of 1, 2, 3, 4; got 5"):
        walked([0.5, 0.4], order=5)
