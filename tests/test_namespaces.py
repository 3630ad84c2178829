"""One core, many array libraries: the same numbers on NumPy, array-api-strict and PyTorch.

array-api-strict runs on a device of its own, where any silent conversion to NumPy and any mixing with the host raises.
"""

import numpy as np
import pytest

import tinydiff as td
from tinydiff.backend import to_numpy
from tinydiff.learned.classifier import cross_entropy

PROCESS, NETWORK = td.VP(), td.TimeMLP(2, 8, 2, classes=2, norm=True)
CLASSIFIER = td.TimeMLP(2, 8, 2, outputs=3)
T, LABELS = np.linspace(0.1, 0.9, 5), np.array([0, 1, -1, 0, 1])
CLASSES = np.array([0, 1, 0, 1, 1])
POINTS = np.arange(20.0).reshape(10, 2) / 10
MIXTURE = td.GaussianMixture([0.3, 0.7], [[0.0, 1.0], [1.0, -1.0]], np.array([[[0.3, 0.1], [0.1, 0.2]]] * 2), [0, 1])


@pytest.fixture(params=["strict", "torch"])
def to(request):
    """A function that takes a NumPy array to the other library."""
    if request.param == "torch":
        torch = pytest.importorskip("torch")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # on arrays this small more threads only wait for each other, 30 times as long
        yield torch.asarray
        torch.set_num_threads(threads)
    else:
        strict = pytest.importorskip("array_api_strict")
        yield lambda a: strict.asarray(a, device=strict.Device("device1"))


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
    yield "batch means", td.objective.batch_means(PROCESS, x, T, y, LABELS)[1]
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
        "points": td.Oracle(POINTS, PROCESS),
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


def reverse_results(to):
    """What came with the reverse SDE: its samplers, the flow by adaptive steps, and the bounds, of several models."""
    a, b = np.random.default_rng(0).standard_normal((2, 5, 2))
    x, y, noise = to(a), to(b), to(np.random.default_rng(1).standard_normal((4, 5, 2)))
    mask, masks = np.array([True, False]), np.arange(10).reshape(5, 2) % 3 == 0
    levels = to(np.rint((np.clip(a, -1, 1) + 1) * 127.5) / 127.5 - 1)
    probes = to(np.array([[1.0, -1.0], [1.0, 1.0], [-0.3, 2.0]]))
    zero, end = (td.grids.log_snr(PROCESS, 4, to_zero=flag) for flag in (True, False))
    network = learned(to, 0.3 * np.random.default_rng(3).standard_normal(NETWORK.size))
    models = {
        "network": network,
        "oracle": td.Oracle(MIXTURE, PROCESS).given(LABELS),
        "points": td.Oracle(POINTS, PROCESS),
        "guided": td.classifier_free(network, network.given(-1), 1.5),
    }
    rng = lambda: np.random.default_rng(2)  # noqa: E731
    end_of = lambda steps: td.last(steps)[1]  # noqa: E731
    yield "interpolate", td.interpolate(x, y, 0.3)
    yield "velocity", PROCESS.velocity(x, y, T)
    for name, model in models.items():
        yield f"{name} euler_maruyama", end_of(td.euler_maruyama(model, PROCESS, x, end, rng=rng(), lam=0.7))
        path = td.brownian_path(rng(), x, end)
        yield f"{name} brownian path", end_of(td.euler_maruyama(model, PROCESS, x, end, noise=path))
        yield f"{name} corrector", end_of(td.predictor_corrector(model, PROCESS, x, end, rng=rng(), corrections=2))
        yield f"{name} dpm_solver", end_of(td.dpm_solver_pp_2m(model, PROCESS, x, zero))
        yield f"{name} edm", end_of(td.edm_heun(model, PROCESS, x, zero, rng=rng(), churn=2.0))
        yield f"{name} inpaint", end_of(td.inpaint(model, PROCESS, x, zero, y, mask, resamples=2, rng=rng()))
        yield f"{name} inpaint rows", end_of(td.inpaint(model, PROCESS, x, zero, y, to(masks), rng=rng()))
        yield f"{name} elbo", td.elbo(model, PROCESS, x, zero, rng()).nats
        yield f"{name} elbo noise", td.elbo(model, PROCESS, x, zero, noise=noise, variance="beta").bits_per_dim
        yield f"{name} elbo bins", td.elbo(model, PROCESS, levels, zero, rng(), decoder="bins").nats
        yield f"{name} diffusion", td.elbo(model, PROCESS, x, zero, rng(), variance=np.full(4, 0.1)).diffusion
        walk = td.forward_path(PROCESS, x, zero, rng())
        yield f"{name} path", td.path_log_ratio(model, PROCESS, walk, zero)
        found, error = td.hutchinson_log_likelihood(model, PROCESS, x, probes=probes, steps=3)
        yield f"{name} hutchinson", found
        if name != "points":  # where the flow is stiff, and probes agree, rounding decides
            yield f"{name} hutchinson error", error
    for name in ("network", "oracle"):
        loose = {"rtol": 0.01, "atol": 0.01}
        ends = [PROCESS.t_max, PROCESS.t_min]
        yield f"{name} rk45", end_of(td.probability_flow(models[name], PROCESS, x, ends, method="rk45", **loose))
        yield f"{name} decode", td.decode(models[name], PROCESS, x, **loose)
        yield f"{name} encode", td.encode(models[name], PROCESS, x, rtol=0.1, atol=0.1)


def class_results(to):
    """Classifiers, exact and learned, and guidance by them."""
    a, b = np.random.default_rng(0).standard_normal((2, 5, 2))
    x, y, theta = to(a), to(b), to(0.3 * np.random.default_rng(4).standard_normal(CLASSIFIER.size))
    exact = {"mixture": td.Oracle(MIXTURE, PROCESS), "points": td.Oracle(POINTS, PROCESS, np.arange(10) % 2)}
    network = learned(to, 0.3 * np.random.default_rng(3).standard_normal(NETWORK.size))
    classifiers = exact | {"learned": td.Classifier(CLASSIFIER, theta, PROCESS)}
    zero, end = (td.grids.log_snr(PROCESS, 4, to_zero=flag) for flag in (True, False))
    yield "features", classifiers["learned"].features(x, T)
    yield "cross_entropy", cross_entropy(CLASSIFIER, PROCESS, theta, x, T, y, CLASSES)[1]
    yield "cross_entropy of labels there", cross_entropy(CLASSIFIER, PROCESS, theta, x, T, y, to(CLASSES))[1]
    for name, classifier in classifiers.items():
        yield f"{name} log_p", classifier.log_p(x, T)
        yield f"{name} grad_log_p", classifier.grad_log_p(1)(x, 0.4)
        yield f"{name} grad_log_p rows", classifier.grad_log_p(to(CLASSES))(x, T)
        guided = td.classifier(exact.get(name, network), classifier.grad_log_p(CLASSES), 2.0)
        yield f"by {name} eps", guided(x, T)
        yield f"by {name} x0", guided.x0(x, T)
        yield f"by {name} eps of linearize", guided.linearize(x, T)[0]
        yield f"by {name} ddim", td.last(td.ddim(guided, PROCESS, x, zero, rng=np.random.default_rng(2), eta=0.5))[1]
        yield f"by {name} flow", td.last(td.probability_flow(guided, PROCESS, x, end))[1]
        yield f"by {name} edm", td.last(td.edm_heun(guided, PROCESS, x, zero))[1]


@pytest.mark.parametrize("compute", [results, reverse_results, class_results])
def test_the_core_gives_numpys_numbers_in_its_own_arrays(compute, to):
    kind = type(to(np.zeros(1)))
    for (name, expected), (_, found) in zip(compute(np.asarray), compute(to), strict=True):
        assert isinstance(found, kind), name
        np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", ["mixture", "points", "learned"])
def test_guidance_by_a_classifier_pulls_through_complex_steps_in_its_own_arrays(name, to):
    """vᵀ ∂ε̂/∂x, and with it the likelihood."""
    for one, other in zip(pulled(name, to), pulled(name, np.asarray), strict=True):
        assert isinstance(one, type(to(np.zeros(1))))
        np.testing.assert_allclose(to_numpy(one), other, rtol=1e-12, atol=1e-12)


def pulled(name, to):
    """The pull of guidance by this classifier, for two directions, and its likelihood."""
    a, b = np.random.default_rng(0).standard_normal((2, 5, 2))
    x, y, theta = to(a), to(b), to(0.3 * np.random.default_rng(4).standard_normal(CLASSIFIER.size))
    model = td.Oracle(MIXTURE, PROCESS) if name != "points" else td.Oracle(POINTS, PROCESS, np.arange(10) % 2)
    classifier = td.Classifier(CLASSIFIER, theta, PROCESS) if name == "learned" else model
    guided = td.classifier(model, classifier.grad_log_p(CLASSES), 2.0)
    pull = guided.linearize(x, T)[1]
    yield from (guided.vjp(x, T, y), pull(x), pull(y), td.log_likelihood(guided, PROCESS, x, steps=3))
