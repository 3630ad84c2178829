"""The core suite, its first half: processes, denoisers, exact laws, networks, training, pictures, classifiers.

A piece takes `to`, a function from a NumPy array to one of some library, dtype and device, and yields (name, call). The
call gives an array there, a tuple of such, or a number. With NumPy's own `to` a piece gives the numbers that any other
is held to. The points are few and the networks small: what is judged is which functions are called, and how.

Shapes: 5 rows, 2 coordinates; pictures of 3 × 5 pixels.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any, get_args

import numpy as np

import tinydiff as td
from tinydiff.backend import Array
from tinydiff.inverse import Covariance
from tinydiff.learned.classifier import cross_entropy
from tinydiff.learned.flow_matching import flow_matching_loss
from tinydiff.learned.mean_flow import By, mean_flow_loss
from tinydiff.learned.network import Network
from tinydiff.learned.optim import Optimizer
from tinydiff.learned.targets import batch_means
from tinydiff.learned.variances import hybrid
from tinydiff.predictions import Prediction, eps_from_x0, target, to_eps, to_x0, v_from_x0_eps, x0_from_eps

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
X, Y, Z = np.random.default_rng(0).standard_normal((3, 5, 2))
POINTS, OF_POINTS = np.arange(20.0).reshape(10, 2) / 10, np.arange(10) % 2
MIXTURE = td.GaussianMixture([0.3, 0.7], [[0.0, 1.0], [1.0, -1.0]], np.array([[[0.3, 0.1], [0.1, 0.2]]] * 2), [0, 1])
NETWORK = td.TimeMLP(2, 8, 2, classes=2, norm=True)
VARIED = td.VarianceMLP(2, 8, 2)
CLASSIFIER = td.TimeMLP(2, 8, 2, outputs=3)
THETA = 0.3 * np.random.default_rng(3).standard_normal(NETWORK.size)
THETA_OF_CLASSIFIER = 0.3 * np.random.default_rng(4).standard_normal(CLASSIFIER.size)
PICTURES, NOISE = np.random.default_rng(5).standard_normal((2, 5, 15))
MIXER = td.Mixer((3, 5), patch=2, width=8, blocks=1, classes=2, overlap=1)
THETA_OF_MIXER = 0.3 * np.random.default_rng(6).standard_normal(MIXER.size)


def seeded(seed: int = 2) -> np.random.Generator:
    """A new generator: each entry draws its own noise, whatever came before."""
    return np.random.default_rng(seed)


def processes(to: To) -> Entries:
    """The levels of the six processes in columns, at times there and on the host, and what is made of two of them."""
    x, y, t, s = to(X), to(Y), to(T), to(S)
    for name, process in PROCESSES.items():
        now, then = process.at(t, like=x), process.at(S, like=x)
        coefficients = ["alpha", "sigma", "log_snr", "snr"]
        if not isinstance(process, td.Discrete):
            coefficients += ["f", "g2"]
            yield f"{name}.velocity", partial(now.velocity, x, y)
        for coefficient in coefficients:
            yield f"{name}.{coefficient}", partial(getattr, now, coefficient)
            yield f"{name}.{coefficient} of some rows", partial(getattr, now[1:3], coefficient)
        yield f"{name}.perturb", partial(now.perturb, x, y)
        yield f"{name}.perturb at times on the host", partial(process.at(T).perturb, x, y)
        yield f"{name}.perturb at one time", partial(process.at(0.3).perturb, x, y)
        yield f"{name}, a transition", partial(td.transition, now, then)
        yield f"{name}, a posterior", partial(td.posterior, now, process.at(s, like=x))
        yield f"{name}, a posterior of two times", partial(td.posterior, process.at(0.5), process.at(0.3))
        yield f"{name}.prior", partial(process.prior, seeded(), 3, x[:0, :])
        yield f"{name}.prior_log_density", partial(process.prior_log_density, x)
        yield f"{name}.prior_gap", partial(process.prior_gap, x)


def denoisers(to: To) -> Entries:
    """The table of predictions, networks of each, and what is made of a denoiser or of a function."""
    x, y = to(X), to(Y)
    now = PROCESS.at(to(T), like=x)
    yield "eps_from_x0", partial(eps_from_x0, x, y, now)
    yield "x0_from_eps", partial(x0_from_eps, x, y, now)
    yield "v_from_x0_eps", partial(v_from_x0_eps, x, y, now)
    for prediction in get_args(Prediction):
        yield f"the target {prediction}", partial(target, prediction, x, y, now)
        yield f"{prediction}, to ε", partial(to_eps, prediction, now)
        yield f"{prediction}, to x_0", partial(to_x0, prediction, now)
        network = td.TimeMLP(2, 8, 2, prediction=prediction)
        model = td.NetworkDenoiser(network, to(THETA[: network.size]), PROCESS)
        yield f"{prediction} network", partial(model, x, T)
        yield f"{prediction} network at times there", partial(model, x, to(T))
        yield f"{prediction} network at a level", partial(model, x, now)
        yield f"{prediction} network at one time", partial(model, x, 0.3)
        yield f"{prediction} network.x0", partial(model.x0, x, T)
        yield f"{prediction} network.linearize", linearized(model.linearize, x, T, y)
        yield f"{prediction} network.linearize_x0", linearized(model.linearize_x0, x, T, y)
        own = td.as_denoiser(wave, PROCESS, dim=2, prediction=prediction, pull=wave_pull, like=x[:0, :])
        yield f"a function that predicts {prediction}", partial(own, x, T)
        yield f"a function that predicts {prediction}, x0", partial(own.x0, x, now)
        yield f"a function that predicts {prediction}, linearize", linearized(own.linearize, x, 0.3, y)
        yield f"a function that predicts {prediction}, linearize_x0", linearized(own.linearize_x0, x, T, y)
    yield "score", partial(td.score, model, x, T)
    counted = td.Counting(model)
    yield "counting", partial(counted.x0, x, 0.3)
    yield "counting, linearize", linearized(counted.linearize, x, T, y)


def wave(x: Array, t: Array) -> Array:
    """A function of one's own, F = x² + t."""
    return x * x + t[:, None]


def wave_pull(x: Array, t: Array, u: Array) -> Array:
    """uᵀ ∂F/∂x."""
    return 2 * x * u


def linearized(linearize: Callable, x: Array, t: Any, u: Array) -> Callable[[], Any]:
    """A call that gives the answer and uᵀ ∂(answer)/∂x."""

    def call() -> tuple[Array, Array]:
        answer, pull = linearize(x, t)
        return answer, pull(u)

    return call


def models(to: To) -> dict[str, Any]:
    """A denoiser of each kind: learned, exact of a mixture, of points on the host and there, and guided."""
    network = td.NetworkDenoiser(NETWORK, to(THETA), PROCESS).given(LABELS)
    oracle, weak = td.Oracle(MIXTURE, PROCESS), td.Oracle(MIXTURE.diffused(1, 0.3), PROCESS)
    projected = td.AdaptiveProjectedGuidance(network, oracle, 1.5, (-2, 2), parallel=0.2, longest=0.5)
    return {
        "network": network,
        "oracle": oracle.given(LABELS),
        "points": td.Oracle(to(POINTS), PROCESS, OF_POINTS).given(to(CLASSES)),
        "guided network": td.ClassifierFreeGuidance(network, network.given(-1), 1.5),
        "guided oracle": td.ClassifierFreeGuidance(oracle, oracle, 3).given(1),
        "network guided by a worse one": td.Autoguidance(network, weak.given(LABELS), 1.5),
        "projected guidance": projected,
    }


def exact(to: To) -> Entries:
    """Mixtures and points, diffused, conditioned, and drawn from."""
    x, y = to(X), to(Y)
    for name, model in models(to).items():
        yield f"{name} eps", partial(model, x, T)
        yield f"{name} x0", partial(model.x0, x, 0.3)
        yield f"{name} linearize", linearized(model.linearize, x, T, y)
        yield f"{name} linearize_x0", linearized(model.linearize_x0, x, 0.3, y)
        yield f"{name} of some rows", partial(model.rows(slice(1, 3)), x[1:3, :], T[1:3])
    yield "points on the host", partial(td.Oracle(POINTS, PROCESS), x, T)
    there = MIXTURE.cast(x)
    for f in ("weights", "means", "covariances", "like"):
        yield f"mixture.{f}", partial(getattr, there, f)
    yield "mixture.sample", partial(there.sample, seeded(), 4)
    yield "mixture.log_density", partial(MIXTURE.log_density, x)
    yield "mixture.score", partial(MIXTURE.score, x)
    yield "mixture.score_linearized", lambda: MIXTURE.score_linearized(x)[1](y)
    yield "mixture.x0_posterior", partial(MIXTURE.x0_posterior, x, 0.6, 0.8)
    yield "mixture.x0_linearized", lambda: MIXTURE.x0_linearized(x, 0.6, 0.8)[1](y)
    now, then = PROCESS.at(0.5), PROCESS.at(0.3)
    yield "mixture.reverse_kernel", lambda: MIXTURE.reverse_kernel(x, now, then).log_density(y)
    nows, thens = PROCESS.at(T), PROCESS.at(S)
    yield "mixture.reverse_kernel of times", lambda: MIXTURE.reverse_kernel(x, nows, thens).moments()
    yield "mixture.conditional", lambda: MIXTURE.conditional(x, np.array([True, False])).log_density(y[:, :1])
    A, measured = np.array([[0.8, -0.6]]), y[:, :1]
    yield "mixture.conditioned", lambda: MIXTURE.cast(x).conditioned(A, measured, 0.3).log_density(y)
    for covariance in get_args(Covariance):
        guided = td.MeasurementGuidance(td.Oracle(MIXTURE, PROCESS), A, measured, 0.3, covariance)
        yield f"measured, {covariance}", partial(guided.x0, x, 0.5)
        yield f"measured, {covariance} eps of some rows", partial(guided.rows(slice(1, 3)), x[1:3, :], T[1:3])
    yield "mixture.given", lambda: there.given(to(LABELS)).log_density(x)
    yield "mixture.diffused", lambda: there.diffused(0.6, 0.8).shifted(y).log_density(x)
    for name, oracle in (("mixture", td.Oracle(MIXTURE, PROCESS)), ("points", td.Oracle(to(POINTS), PROCESS))):
        yield f"log q_t of {name}", partial(oracle.log_density, x, T)
        yield f"floor of {name}", partial(oracle.floor, 0.5, seeded(), 50)
    yield "points.sample", lambda: td.Oracle(to(POINTS), PROCESS, OF_POINTS).given(1).marginal(0.3).sample(seeded(), 4)
    yield "mixture.entropy", partial(MIXTURE.entropy, seeded(), 50)


def learned(to: To) -> Entries:
    """The loss and its gradient, the optimizer, and whole training steps."""
    x, y, theta, like = to(X), to(Y), to(THETA), to(np.empty(0))
    now = PROCESS.at(T, like=x)
    for prediction in get_args(Prediction):
        network = td.TimeMLP(2, 8, 2, prediction=prediction)
        of_this = to(THETA[: network.size])
        yield f"{prediction} gradient", partial(td.objective.loss_and_grad, network, of_this, now, x, y)
    for name, weight in td.objective.WEIGHTS.items():
        objective = partial(td.objective.loss_and_grad, NETWORK, theta, weight=weight)
        yield f"gradient under {name}", partial(objective, now, x, y, LABELS)
        on_chain = PROCESSES["Discrete"].at(T, like=x)
        yield f"gradient under {name} on a chain", partial(objective, on_chain, x, y, LABELS)
    yield "gradient at times there", partial(objective, PROCESS.at(to(T), like=x), x, y, to(LABELS))
    yield "batch_means", partial(batch_means, now, x, y, LABELS)
    velocity = td.Velocity(td.TimeMLP(2, 8, 2), to(THETA[: td.TimeMLP(2, 8, 2).size]))
    yield "flow_matching_loss", partial(flow_matching_loss, velocity.network, velocity.theta, x, y, T)
    yield "flow of a velocity", last(td.flow, velocity, x, [1.0, 0.5, 0.0])
    averaging = td.TimeMLP(3, 8, 2, outputs=2)
    average = td.MeanVelocity(averaging, to(THETA[: averaging.size]))
    for by, guide in itertools.product(get_args(By), (None, velocity)):
        loss = partial(mean_flow_loss, averaging, average.theta, x, y, np.minimum(S, T), T, by, guide)
        yield f"mean_flow_loss by {by}{', taught' * (guide is not None)}", loss
    yield "steps of an average velocity", last(average.walk, x, [1.0, 0.5, 0.0])
    ts, teacher = [0.9, 0.6, 0.3, 0.1], td.NetworkDenoiser(NETWORK, theta, PROCESS)
    varied = td.VarianceDenoiser(VARIED, to(THETA[: VARIED.size]), PROCESS)
    to_data = PROCESS.at(np.resize(ts, len(T)), like=x), x, y
    yield "hybrid", partial(hybrid(ts), VARIED, varied.theta, *to_data)
    yield "a learned variance", partial(varied.variance, x, 0.6, 0.3)
    yield "learned variances, to the data too", partial(varied.variance, x, PROCESS.at(T, like=x), S)
    yield "variance denoiser, linearize", linearized(varied.linearize, x, T, y)
    on_grid = PROCESS.at(np.resize(ts[::2], len(T)), like=x), x, y, LABELS
    yield "progressive", partial(td.few_steps.progressive(teacher, ts), NETWORK, theta, *on_grid)
    yield "consistency", partial(td.few_steps.consistency(ts[::2], teacher), NETWORK, theta, *on_grid)
    yield "consistency from nothing", partial(td.few_steps.consistency(ts[::2]), NETWORK, theta, *on_grid)
    yield "Adam.update", partial(second_update, td.Adam(), theta)
    yield "Muon.update", partial(second_update, td.Muon(NETWORK.matrices), theta)
    yield "clip", partial(td.clip, theta, 0.1)
    yield "ema_update", partial(td.ema_update, theta, 2 * theta, 0.9)
    yield "training, begun", lambda: next(td.train(NETWORK, PROCESS, MIXTURE, batch=64, rng=seeded(), like=like)).theta
    yield "mixture, trained", partial(after_training, NETWORK, THETA, MIXTURE, like)
    points = (to(POINTS), OF_POINTS)
    fitted = partial(td.fit, MIXTURE, PROCESS, network=NETWORK, rng=2, progress=False, steps=2, batch=8, like=like)
    yield "fit", applied(attrgetter("theta"), fitted)
    yield "points, trained", partial(after_training, NETWORK, THETA, points, like, targets="single")


def pictures(to: To) -> Entries:
    """Mixers, with classes and without, of pictures that their patches do not divide."""
    x, y, like = to(PICTURES), to(NOISE), to(np.empty(0))
    now = PROCESS.at(T, like=x)
    for name, classes, labels in (("mixer", 0, None), ("mixer of classes", 2, LABELS)):
        network = replace(MIXER, classes=classes)
        theta = to(THETA_OF_MIXER[: network.size])
        model = td.NetworkDenoiser(network, theta, PROCESS, labels)
        yield f"{name} gradient", partial(td.objective.loss_and_grad, network, theta, now, x, y, labels)
        yield f"{name} eps", partial(model, x, T)
        yield f"{name} x0", partial(model.x0, x, 0.3)
        yield f"{name} linearize", linearized(model.linearize, x, T, y)
        yield f"{name} linearize_x0", linearized(model.linearize_x0, x, 0.3, y)
    yield "mixer of one class", partial(model.given(1), x, T)
    yield "mixer, Muon.update", partial(second_update, td.Muon(MIXER.matrices), to(THETA_OF_MIXER))
    # what the tokens' last bias adds to all channels is normalised away: its gradient is rounding, which ε must hide
    options = {"targets": "single", "optimizer": td.Adam(eps=1e-3)}
    yield "mixer, trained", partial(after_training, MIXER, THETA_OF_MIXER, (x, CLASSES), like, **options)
    network = replace(MIXER, classes=0, outputs=3)
    theta = to(THETA_OF_MIXER[: network.size])
    yield "mixer cross_entropy", partial(cross_entropy, network, theta, now, x, y, CLASSES)
    learned = td.Classifier(network, theta, PROCESS)
    yield "mixer log_p", partial(learned.log_p, x, T)
    yield "mixer features", partial(learned.features, x, 0.3)
    guided = td.ClassifierGuidance(td.NetworkDenoiser(MIXER, to(THETA_OF_MIXER), PROCESS), learned.grad_log_p(1), 2.0)
    yield "mixer guided by a mixer, linearize", linearized(guided.linearize, x, T, y)


def second_update(optimizer: Optimizer, theta: Array) -> Array:
    """The step of an optimizer where its averages are no longer 0."""
    _, state = optimizer.update(theta, optimizer.init(theta))
    return optimizer.update(theta**2, state)[0]


def after_training(network: Network, theta: np.ndarray, data: Any, like: Array, **options: Any) -> tuple[Any, ...]:
    """θ, its average, loss and gradient norm after four steps from this θ, which moves to the kind of `like`.

    It is not `network.init`'s, where most of the gradient is 0 or rounding, of which an optimizer makes whole steps.
    """
    start = td.TrainState(0, theta, theta, td.Adam().init(theta), seeded().bit_generator.state, 0.0, 0.0)
    train = td.train_classifier if network.outputs else td.train
    state = td.last(train(network, PROCESS, data, steps=4, batch=8, rng=seeded(), state=start, like=like, **options))
    return state.theta, state.ema, state.loss, state.grad_norm


def classifiers(to: To) -> Entries:
    """Classifiers, exact and learned, and guidance by them, through its complex steps."""
    x, y, theta = to(X), to(Y), to(THETA_OF_CLASSIFIER)
    exact = {"mixture": td.Oracle(MIXTURE, PROCESS), "points": td.Oracle(POINTS, PROCESS, OF_POINTS)}
    learned = td.Classifier(CLASSIFIER, theta, PROCESS)
    yield "features", partial(learned.features, x, T)
    now = PROCESS.at(T, like=x)
    yield "cross_entropy", partial(cross_entropy, CLASSIFIER, theta, now, x, y, CLASSES)
    yield "cross_entropy of labels there", partial(cross_entropy, CLASSIFIER, theta, now, x, y, to(CLASSES))
    data, like = (POINTS, OF_POINTS), to(np.empty(0))
    yield "classifier, trained", partial(after_training, CLASSIFIER, THETA_OF_CLASSIFIER, data, like)
    ts = td.grids.even_log_snr(PROCESS, 3)
    for name, classifier in (exact | {"learned": learned}).items():
        yield f"{name} log_p", partial(classifier.log_p, x, T)
        yield f"{name} grad_log_p", partial(classifier.grad_log_p(1), x, 0.4)
        yield f"{name} grad_log_p of labels there", partial(classifier.grad_log_p(to(CLASSES)), x, T)
        model = exact.get(name) or td.NetworkDenoiser(NETWORK, to(THETA), PROCESS).given(LABELS)
        guided = td.ClassifierGuidance(model, classifier.grad_log_p(CLASSES), 2.0)
        yield f"guided by {name}", partial(guided, x, T)
        yield f"guided by {name}, x0", partial(guided.x0, x, T)
        yield f"guided by {name}, linearize", linearized(guided.linearize, x, T, y)
        yield f"guided by {name}, linearize_x0", linearized(guided.linearize_x0, x, T, y)
        yield f"guided by {name}, ddim", last(td.ddim, guided, x, ts, rng=seeded(), eta=0.5)
        yield f"guided by {name}, flow", last(td.probability_flow, guided, x, ts)
        yield f"guided by {name}, edm", last(td.edm_heun, guided, x, ts)
        yield f"guided by {name}, likelihood", partial(td.log_likelihood, guided, x, steps=3)


def applied(f: Callable, call: Callable) -> Callable[[], Any]:
    """A call that gives f of what another one gives."""
    return lambda: f(call())


def last(sampler: Callable, *arguments: Any, **options: Any) -> Callable[[], Array]:
    """A call that gives the x at which a sampler ends."""
    return lambda: td.last(sampler(*arguments, **options))[1]
