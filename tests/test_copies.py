"""Whatever is public can be pickled and copied, as another process, a checkpoint or a careful reader does, and then
gives the same numbers.
"""

import copy
import pickle

import numpy as np
import pytest

import tinydiff as td
from tinydiff.datasets.toys import SHAPES

MIXTURE = td.toys.moons32()
POINTS, LABELS = MIXTURE.sample(0, 40, labels=True)
X, T = np.random.default_rng(1).standard_normal((5, 2)), np.array([0.2, 0.3, 0.5, 0.7, 0.9])
NETWORK = td.TimeMLP(2, 8, 1, classes=2)
THETA = 0.4 * np.random.default_rng(2).standard_normal(NETWORK.size)
MIXER = td.Mixer((1, 2), 1, 4, 1, classes=2)
MIXED = td.NetworkDenoiser(MIXER, np.linspace(-1, 1, MIXER.size), td.VP())
LOGITS = td.TimeMLP(2, 8, 1, outputs=2)
EXACT, LEARNED = td.Oracle(MIXTURE, td.VP()), td.NetworkDenoiser(NETWORK, THETA, td.VP())
CLASSIFIER = td.Classifier(LOGITS, np.linspace(-1, 1, LOGITS.size), td.VP())


class Mine(td.Process):
    """A process of one's own."""

    def alpha(self, t):
        return np.exp(-5 * t**2)

    def sigma(self, t):
        return np.sqrt(-np.expm1(-10 * t**2))


def own_function(x, t):
    return x * t[:, None]


def own_pull(x, t, u):
    return u * t[:, None]


PROCESSES = (
    td.VP(0.2, 15.0), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), td.Discrete.linear(40),
    td.Discrete.cosine(20).zero_terminal_snr(), Mine(),
)  # fmt: skip
DENOISERS = {
    "oracle": EXACT,
    "oracle of a class": EXACT.given(1),
    "oracle of points": td.Oracle(POINTS, td.Cosine(), LABELS),
    "oracle of a class of points": td.Oracle(POINTS, td.Cosine(), LABELS).given([0, 1, -1, 0, 1]),
    "oracle on a process of one's own": td.Oracle(MIXTURE, Mine()),
    "learned": LEARNED,
    "network of classes": LEARNED.given([0, 1, -1, 0, 1]),
    "mixer": MIXED.given([0, 1, -1, 0, 1]),
    "function": td.as_denoiser(own_function, td.VE(), dim=2, pull=own_pull),
    "counted": td.Counting(LEARNED),
    "classifier-free guidance": td.ClassifierFreeGuidance(LEARNED.given(1), LEARNED, 2.0),
    "autoguidance": td.Autoguidance(LEARNED, EXACT, 2.0),
    "projected guidance": td.AdaptiveProjectedGuidance(LEARNED.given(1), LEARNED, 2.0, longest=0.1),
    "exact classifier guidance": td.ClassifierGuidance(EXACT, EXACT.grad_log_p(1), 2.0),
    "learned classifier guidance": td.ClassifierGuidance(LEARNED, CLASSIFIER.grad_log_p([0, 1, 1, 0, 1]), 2.0),
}


def of_data(data):
    """Its draws, with labels where it has any; of a mixture densities too, and those of a class and of posteriors."""
    yield data.sample(3, 6, labels=data.labels is not None)
    if isinstance(data, td.GaussianMixture):
        yield from (data.log_density(X), data.given(0).score(X), data.posterior(X, 0.8, 0.6).moments())


def of_process(process):
    ts = process.nearest(T)
    return process.alpha(ts), process.t_min, process.t_max, repr(process), process.time(np.array([3.0, -1.0]))


def of_level(now):
    return now.t, now.alpha, now.sigma, now.log_snr, now.perturb(X, X), EXACT(X, now)


def of_denoiser(model):
    """ε̂, x̂_0 and a pull, and the empty array that says what kind they are of."""
    answers = model(X, T), model.x0(X, 0.4), model.linearize(X, T)[1](X)
    return *answers, model.dim, model.like, str(model.like.dtype), of_process(model.process)


ASK = {
    **{name: (make(), of_data) for name, make in (td.toys.TOYS | SHAPES).items()},
    **{repr(process): (process, of_process) for process in PROCESSES},
    **{name: (model, of_denoiser) for name, model in DENOISERS.items()},
    "level": (td.VP().at(0.4, like=X), of_level),
    "levels of rows": (td.VP().at(T, like=X), of_level),
    "mixtures for each row": (MIXTURE.posterior(X, 0.8, 0.6), lambda rows: rows.moments()),
    "network": (NETWORK, lambda network: (repr(network), network(THETA, X, T)[0])),
    "network of pictures": (MIXER, lambda network: (repr(network), network.dim, network(MIXED.theta, X, T)[0])),
    "classifier": (CLASSIFIER, lambda learned: (learned.log_p(X, T), learned.grad_log_p(1)(X, T))),
    "dataset": (td.Dataset.standardised(3 * POINTS, LABELS), lambda data: (*data, data.restore(X))),
    "terms of the bound": (td.elbo(EXACT, X, [0.9, 0.4], 0), lambda terms: terms.nats),
}
WAYS = {"pickle": lambda a: pickle.loads(pickle.dumps(a)), "copy": copy.copy, "deepcopy": copy.deepcopy}
every_way = pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)


def same(one, other):
    """Whether two objects, or two collections of objects, hold the same numbers, to the bit."""
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


@every_way
@pytest.mark.parametrize("name", ASK)
def test_a_copy_gives_the_same_numbers(name, again):
    """Of a fresh object, and of one that has computed something and kept it."""
    one, ask = ASK[name]
    for _ in range(2):
        other = again(one)
        assert type(other) is type(one)
        assert same(list(ask(other)), list(ask(one)))


@every_way
def test_copies_of_processes_and_networks_are_equal_to_them(again):
    assert all(td.same_process(again(process), process) for process in PROCESSES)
    assert again(NETWORK) == NETWORK
    assert again(MIXER) == MIXER


@every_way
def test_states_of_training_go_on_alike(again):
    arguments = {"steps": 4, "batch": 16}
    states = list(td.train(NETWORK, td.VP(), MIXTURE, rng=0, **arguments))
    resumed = td.last(td.train(NETWORK, td.VP(), MIXTURE, rng=0, state=again(states[1]), **arguments))
    assert same([resumed.theta, resumed.ema, resumed.loss], [states[3].theta, states[3].ema, states[3].loss])


def test_a_deep_copy_of_a_counting_model_counts_on_alone():
    model = td.Counting(EXACT)
    model(X, 0.5)
    for again in (WAYS["pickle"], WAYS["deepcopy"]):
        other = again(model)
        other(X, 0.5)
        assert (model.nfe, other.nfe) == (1, 2)
