"""One core, many array libraries: the same numbers on NumPy, array-api-strict and PyTorch.

array-api-strict runs on a device of its own, where any silent conversion to NumPy and any mixing with the host raises.
"""

import numpy as np
import pytest

import tinydiff as td
from tinydiff.backend import to_numpy

PROCESS, NETWORK = td.VP(), td.TimeMLP(2, 8, 2, classes=2, norm=True)
T, LABELS = np.linspace(0.1, 0.9, 5), np.array([0, 1, -1, 0, 1])
MIXTURE = td.GaussianMixture([0.3, 0.7], [[0.0, 1.0], [1.0, -1.0]], np.array([[[0.3, 0.1], [0.1, 0.2]]] * 2), [0, 1])


@pytest.fixture(params=["strict", "torch"])
def to(request):
    """A function that takes a NumPy array to the other library."""
    if request.param == "torch":
        return pytest.importorskip("torch").asarray
    strict = pytest.importorskip("array_api_strict")
    return lambda a: strict.asarray(a, device=strict.Device("device1"))


def learned(to, theta):
    return td.NetworkDenoiser(NETWORK, to(theta), PROCESS).given(LABELS)


def results(to):
    """Everything that the core computes, on arrays that `to` made."""
    rng = np.random.default_rng(0)
    theta = 0.3 * rng.standard_normal(NETWORK.size)
    a, b = rng.standard_normal((2, 5, 2))
    x, y = to(a), to(b)
    yield "perturb", PROCESS.perturb(x, T, y)
    yield "posterior", PROCESS.posterior(x, y, T, T / 2)[0]
    yield "prior", PROCESS.prior(np.random.default_rng(1), 3, x[:0, :])
    yield "prior_log_density", PROCESS.prior_log_density(x)
    yield "prior_gap", PROCESS.prior_gap(x)
    yield "gradient", td.objective.loss_and_grad(NETWORK, PROCESS, to(theta), x, T, y, LABELS)[1]
    adam = td.Adam()
    state = adam.update(to(theta), adam.init(to(theta)))[1]
    yield "adam", adam.update(to(theta) ** 2, state)[0]
    yield "clip", td.clip(to(theta), 0.1)[0]
    kernel = MIXTURE.reverse_kernel(x, PROCESS, 0.5, 0.3)
    yield "reverse kernel", kernel.log_density(y)
    yield "posterior covariance", MIXTURE.x0_posterior(x, 0.6, 0.8)[1]
    models = {
        "network": learned(to, theta),
        "oracle": td.Oracle(MIXTURE, PROCESS).given(LABELS),
        "points": td.Oracle(np.arange(20.0).reshape(10, 2) / 10, PROCESS),
    }
    models["guided"] = td.classifier_free(models["network"], models["network"].given(-1), 1.5)
    models["guided oracle"] = td.classifier_free(td.Oracle(MIXTURE, PROCESS), td.Oracle(MIXTURE, PROCESS), 3).given(1)
    zero, end = (td.grids.log_snr(PROCESS, 4, to_zero=flag) for flag in (True, False))
    for name, model in models.items():
        yield f"{name} eps", model(x, T)
        yield f"{name} x0", model.x0(x, 0.3)
        yield f"{name} vjp", model.vjp(x, T, y)
        yield f"{name} likelihood", td.log_likelihood(model, PROCESS, x, steps=3)
        yield f"{name} ddpm", td.last(td.ddpm(model, PROCESS, x, zero, rng=np.random.default_rng(2)))[1]
        yield f"{name} ddim", td.last(td.ddim(model, PROCESS, x, zero, rng=np.random.default_rng(2), eta=0.5))[1]
        yield f"{name} flow", td.last(td.probability_flow(model, PROCESS, x, end))[1]


def test_the_core_gives_numpys_numbers_in_its_own_arrays(to):
    kind = type(to(np.zeros(1)))
    for (name, expected), (_, found) in zip(results(np.asarray), results(to), strict=True):
        assert isinstance(found, kind), name
        np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-12, atol=1e-12, err_msg=name)
