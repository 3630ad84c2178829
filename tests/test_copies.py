"""Whatever is public can be pickled and copied, as another process, a checkpoint or a careful reader does, and then
gives the same numbers.
"""

import copy
import pickle

import numpy as np
import pytest

import tinydiff as td

MIXTURE = td.toys.moons32()
POINTS, LABELS = MIXTURE.sample(0, 40, labels=True)
X, T = np.random.default_rng(1).standard_normal((5, 2)), np.array([0.2, 0.3, 0.5, 0.7, 0.9])
NETWORK = td.TimeMLP(2, 8, 1, classes=2)
THETA = 0.4 * np.random.default_rng(2).standard_normal(NETWORK.size)
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
    "network": LEARNED,
    "network of classes": LEARNED.given([0, 1, -1, 0, 1]),
    "function": td.as_denoiser(own_function, td.VE(), dim=2, pull=own_pull),
    "counted": td.Counting(LEARNED),
    "classifier-free guidance": td.ClassifierFreeGuidance(LEARNED.given(1), LEARNED, 2.0),
    "exact classifier guidance": td.ClassifierGuidance(EXACT, EXACT.grad_log_p(1), 2.0),
    "learned classifier guidance": td.ClassifierGuidance(LEARNED, CLASSIFIER.grad_log_p([0, 1, 1, 0, 1]), 2.0),
}

WAYS = {"pickle": lambda a: pickle.loads(pickle.dumps(a)), "copy": copy.copy, "deepcopy": copy.deepcopy}
every_way = pytest.mark.parametrize("again", WAYS.values(), ids=WAYS)


def same(one, other):
    """Whether two objects, or two collections of objects, hold the same numbers, to the bit."""
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


@every_way
@pytest.mark.parametrize("name", td.toys.TOYS)
def test_toys(name, again):
    """A mixture with its labels, rows of classes and draws."""
    data = td.toys.TOYS[name]()
    other = again(data)
    assert same(other.log_density(X), data.log_density(X))
    assert same(other.sample(3, 6, labels=data.labels is not None), data.sample(3, 6, labels=data.labels is not None))
    if data.labels is not None:
        label = int(data.labels[0])
        assert same(other.given(label).score(X), data.given(label).score(X))


@every_way
def test_a_mixture_for_each_row(again):
    q = MIXTURE.posterior(X, 0.8, 0.6)
    assert same(again(q).moments(), q.moments())


@every_way
@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_processes(process, again):
    """Before and after something was computed and kept."""
    ts = process.nearest(T)
    for _ in range(2):
        other = again(process)
        assert td.same_process(other, process)
        assert same(other.alpha(ts), process.alpha(ts))
        assert (other.t_min, other.t_max, repr(other)) == (process.t_min, process.t_max, repr(process))
        assert same(other.time(np.array([3.0, -1.0])), process.time(np.array([3.0, -1.0])))


@every_way
@pytest.mark.parametrize("t", [0.4, T], ids=["number", "rows"])
def test_levels(t, again):
    now = td.VP().at(t, like=X)
    other = again(now)
    assert same([other.t, other.alpha, other.sigma, other.log_snr], [now.t, now.alpha, now.sigma, now.log_snr])
    assert same(other.perturb(X, X), now.perturb(X, X))
    assert same(EXACT(X, other), EXACT(X, now))


@every_way
@pytest.mark.parametrize("name", DENOISERS)
def test_denoisers(name, again):
    """ε̂, x̂_0 and a pull, and the empty array that says what kind they are of."""
    model = DENOISERS[name]
    other = again(model)
    assert type(other) is type(model)
    assert same([other(X, T), other.x0(X, 0.4)], [model(X, T), model.x0(X, 0.4)])
    assert same(other.linearize(X, T)[1](X), model.linearize(X, T)[1](X))
    assert (other.dim, other.like.shape, other.like.dtype) == (model.dim, model.like.shape, model.like.dtype)
    assert td.same_process(other.process, model.process)


@every_way
def test_networks(again):
    for _ in range(2):
        other = again(NETWORK)
        assert other == NETWORK
        assert same(other(THETA, X, T)[0], NETWORK(THETA, X, T)[0])


@every_way
def test_classifiers(again):
    other = again(CLASSIFIER)
    assert same(other.log_p(X, T), CLASSIFIER.log_p(X, T))
    assert same(other.grad_log_p(1)(X, T), CLASSIFIER.grad_log_p(1)(X, T))


@every_way
def test_states_of_training_go_on_alike(again):
    arguments = {"steps": 4, "batch": 16}
    states = list(td.train(NETWORK, td.VP(), MIXTURE, rng=0, **arguments))
    resumed = td.last(td.train(NETWORK, td.VP(), MIXTURE, rng=0, state=again(states[1]), **arguments))
    assert same([resumed.theta, resumed.ema, resumed.loss], [states[3].theta, states[3].ema, states[3].loss])


@every_way
def test_data_and_values_of_the_bound(again):
    data = td.Dataset.standardised(3 * POINTS, LABELS)
    assert same(list(again(data)), list(data))
    assert same(again(data).restore(X), data.restore(X))
    terms = td.elbo(EXACT, X, [0.9, 0.4], 0)
    assert same(again(terms).nats, terms.nats)


def test_a_deep_copy_of_a_counting_model_counts_on_alone():
    model = td.Counting(EXACT)
    model(X, 0.5)
    for again in (WAYS["pickle"], WAYS["deepcopy"]):
        other = again(model)
        other(X, 0.5)
        assert (model.nfe, other.nfe) == (1, 2)
