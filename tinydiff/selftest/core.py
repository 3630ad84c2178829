"""The core suite, its first half: processes, denoisers, exact laws, networks, training, classifiers.

A piece takes `to`, a function from a NumPy array to one of some library, dtype and device, and yields (name, call). The
call gives an array there, a tuple of such, or a number. With NumPy's own `to` a piece gives the numbers that any other
is held to. The points are few and the networks small: what is judged is which functions are called, and how.

Shapes: 5 rows, 2 coordinates.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, get_args

import numpy as np

import tinydiff as td
from tinydiff.backend import Array
from tinydiff.denoisers import Prediction, eps_from_x0, linearize, v_from_x0_eps, x0_from_eps
from tinydiff.learned.classifier import cross_entropy

To = Callable[[np.ndarray], Array]
Entries = Iterator[tuple[str, Callable[[], Any]]]

PROCESS = td.VP()
PROCESSES: dict[str, td.Process] = {
    "VP": PROCESS,
    "SubVP": td.SubVP(),
    "VE": td.VE(),
    "Cosine": td.Cosine(),
    "Straight": td.Straight(),
    "Discrete": td.Discrete.cosine(10),
}
T, S = np.array([0.1, 0.3, 0.5, 0.7, 0.9]), np.array([0.0, 0.1, 0.2, 0.4, 0.8])  # on the chain's grid, too
LABELS, CLASSES = np.array([0, 1, -1, 0, 1]), np.array([0, 1, 0, 1, 1])
X, Y = np.random.default_rng(0).standard_normal((2, 5, 2))
POINTS, OF_POINTS = np.arange(20.0).reshape(10, 2) / 10, np.arange(10) % 2
MIXTURE = td.GaussianMixture([0.3, 0.7], [[0.0, 1.0], [1.0, -1.0]], np.array([[[0.3, 0.1], [0.1, 0.2]]] * 2), [0, 1])
NETWORK = td.TimeMLP(2, 8, 2, classes=2, norm=True)
CLASSIFIER = td.TimeMLP(2, 8, 2, outputs=3)
THETA = 0.3 * np.random.default_rng(3).standard_normal(NETWORK.size)
THETA_OF_CLASSIFIER = 0.3 * np.random.default_rng(4).standard_normal(CLASSIFIER.size)


def seeded(seed: int = 2) -> np.random.Generator:
    """A new generator: each entry draws its own noise, whatever came before."""
    return np.random.default_rng(seed)


def processes(to: To) -> Entries:
    """The six processes, at times there and at times on the host."""
    x, y, t, s = to(X), to(Y), to(T), to(S)
    for name, process in PROCESSES.items():
        for f in ("alpha", "sigma", "log_snr", "nearest"):
            yield f"{name}.{f}", partial(getattr(process, f), t)
        yield f"{name}.time", partial(process.time, to(np.array([-3.0, 0.5, 2.0, 4.0, 6.0])))
        yield f"{name}.transition", partial(process.transition, t, s)
        yield f"{name}.posterior", partial(process.posterior, x, y, t, s)
        yield f"{name}.perturb", partial(process.perturb, x, T, y)
        yield f"{name}.prior", partial(process.prior, seeded(), 3, x[:0, :])
        yield f"{name}.prior_log_density", partial(process.prior_log_density, x)
        yield f"{name}.prior_gap", partial(process.prior_gap, x)
        if isinstance(process, td.SDE):
            yield f"{name}.f", partial(process.f, t)
            yield f"{name}.g2", partial(process.g2, t)
            yield f"{name}.velocity", partial(process.velocity, x, y, T)


def denoisers(to: To) -> Entries:
    """Networks of each prediction, and what is made of a denoiser."""
    x, y = to(X), to(Y)
    for name, f in (("eps_from_x0", eps_from_x0), ("x0_from_eps", x0_from_eps)):
        yield name, partial(f, PROCESS, x, T, y)
    yield "v_from_x0_eps", partial(v_from_x0_eps, PROCESS, T, x, y)
    for prediction in get_args(Prediction):
        network = td.TimeMLP(2, 8, 2, prediction=prediction)
        model = td.NetworkDenoiser(network, to(THETA[: network.size]), PROCESS)
        yield f"{prediction} network", partial(model, x, T)
        yield f"{prediction} network at times there", partial(model, x, to(T))
        yield f"{prediction} network at one time", partial(model, x, 0.3)
        yield f"{prediction} network.x0", partial(model.x0, x, T)
        yield f"{prediction} network.vjp", partial(model.vjp, x, T, y)
    yield "score", partial(td.score, model, PROCESS, x, T)
    counted = td.counting(model)
    yield "counting", partial(counted.x0, x, 0.3)
    yield "linearize", lambda: linearize(counted, x, T)[1](y)


def models(to: To) -> dict[str, Any]:
    """A denoiser of each kind: learned, exact of a mixture, of points on the host and there, and guided."""
    network = td.NetworkDenoiser(NETWORK, to(THETA), PROCESS).given(LABELS)
    oracle = td.Oracle(MIXTURE, PROCESS)
    return {
        "network": network,
        "oracle": oracle.given(LABELS),
        "points": td.Oracle(to(POINTS), PROCESS, OF_POINTS).given(to(CLASSES)),
        "guided network": td.classifier_free(network, network.given(-1), 1.5),
        "guided oracle": td.classifier_free(oracle, oracle, 3).given(1),
    }


def exact(to: To) -> Entries:
    """Mixtures and points, diffused, conditioned, and drawn from."""
    x, y = to(X), to(Y)
    for name, model in models(to).items():
        yield f"{name} eps", partial(model, x, T)
        yield f"{name} x0", partial(model.x0, x, 0.3)
        yield f"{name} vjp", partial(model.vjp, x, T, y)
    yield "points on the host", partial(td.Oracle(POINTS, PROCESS), x, T)
    there = MIXTURE.cast(x)
    for f in ("weights", "means", "covariances", "like"):
        yield f"mixture.{f}", partial(getattr, there, f)
    yield "mixture.sample", partial(there.sample, seeded(), 4)
    yield "mixture.log_density", partial(MIXTURE.log_density, x)
    yield "mixture.score", partial(MIXTURE.score, x)
    yield "mixture.score_vjp", partial(MIXTURE.score_vjp, x, y)
    yield "mixture.x0_posterior", partial(MIXTURE.x0_posterior, x, 0.6, 0.8)
    yield "mixture.reverse_kernel", lambda: MIXTURE.reverse_kernel(x, PROCESS, 0.5, 0.3).log_density(y)
    yield "mixture.conditional", lambda: MIXTURE.conditional(x, np.array([True, False])).log_density(y[:, :1])
    yield "mixture.given", lambda: there.given(to(LABELS)).log_density(x)
    yield "mixture.diffused", lambda: there.diffused(0.6, 0.8).shifted(y).log_density(x)
    for name, oracle in (("mixture", td.Oracle(MIXTURE, PROCESS)), ("points", td.Oracle(to(POINTS), PROCESS))):
        yield f"log q_t of {name}", partial(oracle.log_density, x, T)
        yield f"floor of {name}", partial(oracle.floor, 0.5, seeded(), 50)
    yield "points.sample", lambda: td.Oracle(to(POINTS), PROCESS, OF_POINTS).given(1).at(0.3).sample(seeded(), 4)
    yield "mixture.entropy", partial(MIXTURE.entropy, seeded(), 50)


def learned(to: To) -> Entries:
    """The loss and its gradient, the optimizer, and whole training steps."""
    x, y, theta, like = to(X), to(Y), to(THETA), to(np.empty(0))
    for prediction in get_args(Prediction):
        network = td.TimeMLP(2, 8, 2, prediction=prediction)
        of_this = to(THETA[: network.size])
        yield f"{prediction} gradient", partial(td.objective.loss_and_grad, network, PROCESS, of_this, x, T, y)
    for name, weight in td.objective.WEIGHTS.items():
        objective = partial(td.objective.loss_and_grad, NETWORK, PROCESS, theta, weight=weight)
        yield f"gradient under {name}", partial(objective, x, T, y, LABELS)
    yield "gradient at times there", partial(objective, x, to(T), y, to(LABELS))
    yield "batch_means", partial(td.objective.batch_means, PROCESS, x, T, y, LABELS)
    yield "Adam.update", partial(second_update, theta)
    yield "clip", partial(td.clip, theta, 0.1)
    yield "ema_update", partial(td.ema_update, theta, 2 * theta, 0.9)
    yield "training, begun", lambda: next(td.train(NETWORK, PROCESS, MIXTURE, rng=seeded(), like=like)).theta
    yield "mixture, trained", partial(after_training, NETWORK, THETA, MIXTURE, like)
    points = (to(POINTS), OF_POINTS)
    yield "points, trained", partial(after_training, NETWORK, THETA, points, like, targets="single")


def second_update(theta: Array) -> Array:
    """The step of Adam where its averages are no longer 0."""
    adam = td.Adam()
    state = adam.update(theta, adam.init(theta))[1]
    return adam.update(theta**2, state)[0]


def after_training(network: td.TimeMLP, theta: np.ndarray, data: Any, like: Array, **more: Any) -> tuple[Any, ...]:
    """θ, its average, loss and gradient norm after four steps from this θ, which moves to the kind of `like`.

    It is not `network.init`'s, where most of the gradient is 0 or rounding, of which Adam would make whole steps.
    """
    start = td.TrainState(0, theta, theta, td.Adam().init(theta), seeded().bit_generator.state, 0.0, 0.0)
    train = td.train_classifier if network.outputs else td.train
    state = td.last(train(network, PROCESS, data, steps=4, batch=8, rng=seeded(), state=start, like=like, **more))
    return state.theta, state.ema, state.loss, state.grad_norm


def classifiers(to: To) -> Entries:
    """Classifiers, exact and learned, and guidance by them, through its complex steps."""
    x, y, theta = to(X), to(Y), to(THETA_OF_CLASSIFIER)
    exact = {"mixture": td.Oracle(MIXTURE, PROCESS), "points": td.Oracle(POINTS, PROCESS, OF_POINTS)}
    learned = td.Classifier(CLASSIFIER, theta, PROCESS)
    yield "features", partial(learned.features, x, T)
    yield "cross_entropy", partial(cross_entropy, CLASSIFIER, PROCESS, theta, x, T, y, CLASSES)
    yield "cross_entropy of labels there", partial(cross_entropy, CLASSIFIER, PROCESS, theta, x, to(T), y, to(CLASSES))
    data, like = (POINTS, OF_POINTS), to(np.empty(0))
    yield "classifier, trained", partial(after_training, CLASSIFIER, THETA_OF_CLASSIFIER, data, like)
    zero, end = (td.grids.log_snr(PROCESS, 4, to_zero=flag) for flag in (True, False))
    for name, classifier in (exact | {"learned": learned}).items():
        yield f"{name} log_p", partial(classifier.log_p, x, T)
        yield f"{name} grad_log_p", partial(classifier.grad_log_p(1), x, 0.4)
        yield f"{name} grad_log_p of labels there", partial(classifier.grad_log_p(to(CLASSES)), x, T)
        model = exact.get(name) or td.NetworkDenoiser(NETWORK, to(THETA), PROCESS).given(LABELS)
        guided = td.classifier(model, classifier.grad_log_p(CLASSES), 2.0)
        yield f"guided by {name}", partial(guided, x, T)
        yield f"guided by {name}, x0", partial(guided.x0, x, T)
        yield f"guided by {name}, vjp", partial(guided.vjp, x, T, y)
        yield f"guided by {name}, ddim", last(td.ddim, guided, PROCESS, x, zero, rng=seeded(), eta=0.5)
        yield f"guided by {name}, flow", last(td.probability_flow, guided, PROCESS, x, end)
        yield f"guided by {name}, edm", last(td.edm_heun, guided, PROCESS, x, zero)
        yield f"guided by {name}, likelihood", partial(td.log_likelihood, guided, PROCESS, x, steps=3)


def then(f: Callable, call: Callable) -> Callable[[], Any]:
    """A call that gives f of what another one gives."""
    return lambda: f(call())


def last(sampler: Callable, *arguments: Any, **knobs: Any) -> Callable[[], Array]:
    """A call that gives the x at which a sampler ends."""
    return lambda: td.last(sampler(*arguments, **knobs))[1]
