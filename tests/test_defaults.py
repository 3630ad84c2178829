"""Defaults are part of the interface: change one and every notebook's numbers move. Each is what it is called here."""

from itertools import islice

import numpy as np
import pytest

import tinydiff as td

DATA = td.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[[0.2]], [[0.3]]])
PROCESS = td.VP()
ORACLE = td.Oracle(DATA, PROCESS)
POINTS = np.linspace(-2, 2, 3)[:, None]
NETWORK = td.TimeMLP(dim=1, width=4, blocks=1, outputs=2)


def rng():
    return np.random.default_rng(0)


def classifier(**settings):
    """θ after three steps of training."""
    x = rng().standard_normal((300, 1))
    states = td.train_classifier(NETWORK, PROCESS, (x, (x[:, 0] > 0).astype(int)), rng=rng(), **settings)
    return [state.theta for state in islice(states, 3)]


@pytest.mark.parametrize(
    ("call", "defaults"),
    [
        (
            lambda **k: td.sample(ORACLE, 2, rng=rng(), **k),
            {"sampler": td.adams_bashforth, "steps": 50, "grid": td.grids.logistic},
        ),
        (
            lambda **k: td.sample(td.Oracle(DATA, td.Discrete.linear()), 2, rng=rng(), **k),
            {"sampler": td.ddim, "steps": 50, "grid": td.grids.strided},
        ),
        (lambda **k: td.last(td.adams_bashforth(ORACLE, POINTS, [0.5, 0.45, 0.4, 0.35, 0.3], **k))[1], {"order": 4}),
        (lambda **k: td.log_likelihood(ORACLE, POINTS, **k), {"steps": 200}),
        (lambda **k: td.hutchinson_log_likelihood(ORACLE, POINTS, probes=2, rng=rng(), **k), {"steps": 200}),
        (lambda **k: td.kl_from_truth(ORACLE, DATA, rng=rng(), **k), {"n": 2000, "steps": 50}),
        (lambda **k: td.sliced_w2(np.tile(POINTS, 2), np.eye(3)[:, :2], rng=rng(), **k), {"directions": 256}),
        (lambda **k: td.denoising(ORACLE, ORACLE, 0.5, rng=rng(), **k), {"n": 2000}),
        (lambda **k: DATA.entropy(rng(), **k), {"n": 100_000}),
        (lambda **k: ORACLE.floor(0.5, rng(), **k), {"n": 20_000}),
        (classifier, {"steps": 2000, "batch": 256, "optimizer": "adam", "lr": 2e-3}),
        (lambda **k: td.linear_decay(1.0, 10, **k)(0), {"warmup": 0}),
        (lambda **k: td.Discrete.linear(**k).betas, {"T": 1000, "beta_1": 1e-4, "beta_T": 0.02, "rescale": True}),
        (lambda **k: td.Discrete.quadratic(**k).betas, {"T": 1000, "beta_1": 1e-4, "beta_T": 0.02, "rescale": True}),
        (lambda **k: td.Discrete.sigmoid(**k).betas, {"T": 1000, "beta_1": 1e-4, "beta_T": 0.02, "rescale": True}),
        (lambda **k: td.Discrete.cosine(**k).betas, {"T": 1000, "s": 0.008, "beta_max": 0.999}),
        (lambda **k: td.grids.karras(PROCESS, 9, **k), {"rho": 7.0}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_left_out_is_the_default(call, defaults):
    np.testing.assert_array_equal(call(), call(**defaults))
