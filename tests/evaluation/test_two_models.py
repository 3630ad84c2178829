"""A denoiser makes two models: the law of its reverse chain, which the ELBO bounds, and that of its probability flow.

Both cost at least the entropy H of the data, but nothing orders them: "H ≤ NLL(ODE) ≤ −ELBO" is false. On N(0, 1) with
ε̂ = (1 + κ) ε* and b = ∫β the ODE pays ½ (e^{κb} − 1 − κb), the chain in its limit ½ κ²b [no. 30 of the catalogue].
"""

import functools
import math

import numpy as np
import pytest

import tinydiff as td
from tinydiff.denoisers import x0_from_eps

PROCESS = td.VP()
B = PROCESS.beta_min + 0.5 * (PROCESS.beta_max - PROCESS.beta_min)
"""∫_0^1 β dt."""
UNIT = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])
ENTROPY = 0.5 * math.log(2 * math.pi * math.e)


class Louder:
    """The denoiser with ε̂ = (1 + κ) ε*: exact but for the volume of its noise."""

    def __init__(self, oracle, kappa):
        self.oracle, self.kappa = oracle, kappa

    dim = property(lambda self: self.oracle.dim)
    like = property(lambda self: self.oracle.like)

    def __call__(self, x, t):
        return (1 + self.kappa) * self.oracle(x, t)

    def x0(self, x, t):
        return x0_from_eps(self.oracle.process, x, t, self(x, t))

    def vjp(self, x, t, v):
        return (1 + self.kappa) * self.oracle.vjp(x, t, v)

    def given(self, labels):
        return Louder(self.oracle.given(labels), self.kappa)


@functools.cache
def nll_of_the_flow(kappa, steps=200):
    """E −ln p(x) under the ODE, x ~ N(0, 1): −ln p is quadratic in x, so three nodes are exact."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    model = Louder(td.Oracle(UNIT, PROCESS), kappa)
    return -weights @ td.log_likelihood(model, PROCESS, nodes[:, None], steps=steps) / weights.sum()


@functools.cache
def bound(kappa, steps, variance="beta"):
    """E −ELBO, x ~ N(0, 1) and ε by three Gauss–Hermite nodes each, which is exact: all is quadratic in them."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    x0, eps = (a.ravel() for a in np.meshgrid(nodes, nodes, indexing="ij"))
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    ts = td.grids.log_snr(PROCESS, steps, to_zero=True)
    noise = np.broadcast_to(eps[:, None], (steps, 9, 1))
    model = Louder(td.Oracle(UNIT, PROCESS), kappa)
    return weights @ td.elbo(model, PROCESS, x0[:, None], ts, noise=noise, variance=variance).nats


def limit(kappa):
    """E −ELBO as N → ∞: the error at 2N and at N falls like 1/N, so that 2 b(2N) − b(N) is without it."""
    return 2 * bound(kappa, 400) - bound(kappa, 200)


KAPPAS = (-1.0, -0.5, -0.1, 0.0, 0.05, 0.1)


@pytest.mark.parametrize("kappa", KAPPAS)
def test_the_flow_pays_the_exponential_of_what_it_gets_wrong(kappa):
    """NLL(ODE) = H + ½ (e^{κb} − 1 − κb), to 1e-6 with the exact b and start of the integral.

    The drift is ½ κβ x, so x_T = e^{κb/2} α x and −ln p(x) = ½ ln 2π + ½ x_T² − ½ κb − ln α, α at t_min.
    """
    found = nll_of_the_flow(kappa)
    start, b = math.log(PROCESS.alpha(PROCESS.t_min)), B - PROCESS.integral(PROCESS.t_min)
    assert found == pytest.approx(
        0.5 * math.log(2 * math.pi) + 0.5 * math.exp(kappa * b + 2 * start) - 0.5 * kappa * b - start, abs=1e-6
    )
    assert found == pytest.approx(ENTROPY + 0.5 * (math.exp(kappa * B) - 1 - kappa * B), abs=1e-5)


def test_the_chain_pays_the_square_of_what_it_gets_wrong():
    """−ELBO → H + ½ ∫ β E‖s − ŝ‖² dt = H + ½ κ²b as N → ∞ [Song et al. 2021 ML, Thm 1], at order 1 in 1/N.

    On N(0, 1) the variance β is exact, so that nothing but κ is paid for, and in any number of steps by its square.
    """
    per_square = np.array([bound(1.0, n) - ENTROPY for n in (100, 200, 400)])
    excess = per_square - 0.5 * B
    np.testing.assert_allclose(np.log2(excess[:-1] / excess[1:]), 1, atol=0.15)
    for kappa in KAPPAS:
        assert bound(kappa, 100) - ENTROPY == pytest.approx(kappa**2 * per_square[0], rel=1e-9, abs=1e-9)
        assert limit(kappa) == pytest.approx(ENTROPY + 0.5 * kappa**2 * B, abs=0.01 * kappa**2 + 1e-9)


@pytest.mark.parametrize("kappa", KAPPAS)
def test_neither_model_costs_less_than_the_entropy(kappa):
    """H ≤ NLL(ODE) and H ≤ −ELBO for any denoiser, with equality at κ = 0 alone, and for the chain with β̃ never."""
    nll = nll_of_the_flow(kappa)
    assert nll == pytest.approx(ENTROPY, abs=1e-5) if kappa == 0 else nll > ENTROPY + 1e-3
    for steps in (3, 10, 100):
        nats = bound(kappa, steps)
        assert nats == pytest.approx(ENTROPY, abs=1e-9) if kappa == 0 else nats > ENTROPY + 1e-3
        assert bound(kappa, steps, "beta_tilde") > nats + 0.1


def test_the_bound_can_lie_below_the_likelihood_of_the_flow():
    """ε̂ = 1.1 ε*: H = 1.419, −ELBO = 1.469, NLL(ODE) = 1.782 nats. "NLL(ODE) ≤ −ELBO" is false.

    It takes no limit: a chain of 50 steps already lies below the flow.
    """
    chain, flow = ENTROPY + 0.5 * 0.1**2 * B, ENTROPY + 0.5 * (math.exp(0.1 * B) - 1 - 0.1 * B)
    np.testing.assert_allclose([ENTROPY, chain, flow], [1.419, 1.469, 1.782], atol=5e-4)
    assert limit(0.1) == pytest.approx(chain, abs=1e-3)
    assert nll_of_the_flow(0.1) == pytest.approx(flow, abs=1e-5)
    assert ENTROPY < limit(0.1) < bound(0.1, 50) < nll_of_the_flow(0.1) - 0.2


def test_the_bound_can_lie_above_the_likelihood_of_the_flow():
    """The perfect denoiser with β̃; and ε̂ = 0, in the limit too: ½ (e^{−b} − 1 + b) = 4.53 against ½ b = 5.03."""
    assert bound(0.0, 100, "beta_tilde") > nll_of_the_flow(0.0) + 0.5
    assert limit(-1.0) > nll_of_the_flow(-1.0) + 0.45


def test_on_ring8_both_models_cost_more_than_the_entropy_too(rng):
    """H < −ELBO < NLL(ODE) for ε̂ = 1.1 ε* and H < NLL(ODE) < −ELBO for ε̂ = .9 ε* in few steps, by paired draws."""
    data = td.toys.ring8()
    x, floor = data.sample(rng, 500), data.entropy()[0]
    assert floor == pytest.approx(td.toys.FLOORS["ring8"], abs=1e-6)
    orders = []
    for kappa, steps in ((0.1, 500), (-0.1, 20)):
        model, ts = Louder(td.Oracle(data, PROCESS), kappa), td.grids.log_snr(PROCESS, steps, to_zero=True)
        flow = -td.log_likelihood(model, PROCESS, x, steps=50)
        chain = td.elbo(model, PROCESS, x, ts, rng).nats
        for nats in (flow, chain):
            gap = nats + data.log_density(x)  # its mean is NLL − H
            assert np.mean(gap) > 4 * np.std(gap) / math.sqrt(len(x))
        apart = flow - chain
        assert abs(np.mean(apart)) > 4 * np.std(apart) / math.sqrt(len(x))
        orders.append(np.sign(np.mean(apart)))
    assert orders == [1, -1]
