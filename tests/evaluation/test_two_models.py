"""A denoiser makes two models: the law of its reverse chain, which the ELBO bounds, and that of its probability flow.

Both cost at least the entropy H of the data, but nothing orders them: "H ≤ NLL(ODE) ≤ −ELBO" is false. On N(0, 1) with
ε̂ = (1 + κ) ε* and b = ∫β the ODE pays ½ (e^{κb} − 1 − κb), the chain in its limit ½ κ²b: `tests/identities` proves it.
"""

import functools
import math

import numpy as np
import pytest
from identities.tools import Louder

import tinydiff as td

PROCESS = td.VP()
UNIT = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])
ENTROPY = 0.5 * math.log(2 * math.pi * math.e)


@functools.cache
def nll_of_the_flow(kappa, steps=200):
    """E −ln p(x) under the ODE, x ~ N(0, 1): −ln p is quadratic in x, so three nodes are exact."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    model = Louder(td.Oracle(UNIT, PROCESS), kappa)
    return -weights @ td.log_likelihood(model, nodes[:, None], steps=steps) / weights.sum()


@functools.cache
def bound(kappa, steps, variance="beta"):
    """E −ELBO, x ~ N(0, 1) and ε by three Gauss–Hermite nodes each, which is exact: all is quadratic in them."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    x0, eps = (a.ravel() for a in np.meshgrid(nodes, nodes, indexing="ij"))
    weights = np.outer(weights, weights).ravel() / weights.sum() ** 2
    ts = td.grids.even_log_snr(PROCESS, steps - 1)
    noise = np.broadcast_to(eps[:, None], (steps, 9, 1))
    model = Louder(td.Oracle(UNIT, PROCESS), kappa)
    return weights @ td.elbo(model, x0[:, None], ts, noise=noise, variance=variance).nats


def limit(kappa):
    """E −ELBO as N → ∞: the error at 2N and at N falls like 1/N, so that 2 b(2N) − b(N) is without it."""
    return 2 * bound(kappa, 400) - bound(kappa, 200)


KAPPAS = (-1.0, -0.5, -0.1, 0.0, 0.05, 0.1)


@pytest.mark.parametrize("kappa", KAPPAS)
def test_neither_model_costs_less_than_the_entropy(kappa):
    """H ≤ NLL(ODE) and H ≤ −ELBO for any denoiser, with equality at κ = 0 alone, and for the chain with β̃ never."""
    nll = nll_of_the_flow(kappa)
    assert nll == pytest.approx(ENTROPY, abs=1e-5) if kappa == 0 else nll > ENTROPY + 1e-3
    for steps in (3, 10, 100):
        nats = bound(kappa, steps)
        assert nats == pytest.approx(ENTROPY, abs=1e-9) if kappa == 0 else nats > ENTROPY + 1e-3
        assert bound(kappa, steps, "beta_tilde") > nats + 0.1


def test_on_ring8_both_models_cost_more_than_the_entropy_too(rng):
    """H < −ELBO < NLL(ODE) for ε̂ = 1.1 ε* and H < NLL(ODE) < −ELBO for ε̂ = .9 ε* in few steps, by paired draws."""
    data = td.toys.ring8()
    x, floor = data.sample(rng, 500), data.entropy()[0]
    assert floor == pytest.approx(td.toys.FLOORS["ring8"], abs=1e-6)
    orders = []
    for kappa, steps in ((0.1, 500), (-0.1, 20)):
        model, ts = Louder(td.Oracle(data, PROCESS), kappa), td.grids.even_log_snr(PROCESS, steps - 1)
        flow = -td.log_likelihood(model, x, steps=50)
        chain = td.elbo(model, x, ts, rng).nats
        for nats in (flow, chain):
            gap = nats + data.log_density(x)  # its mean is NLL − H
            assert np.mean(gap) > 4 * np.std(gap) / math.sqrt(len(x))
        apart = flow - chain
        assert abs(np.mean(apart)) > 4 * np.std(apart) / math.sqrt(len(x))
        orders.append(np.sign(np.mean(apart)))
    assert orders == [1, -1]
