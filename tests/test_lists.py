"""Points are arrays: a list is refused in a sentence, at once, and not by an AttributeError from within.

What is measured of two samples takes lists too, as NumPy's own functions do.
"""

import numpy as np
import pytest

import tinydiff as td

X = [[0.0, 0.1], [1.0, -0.2]]
MIXTURE = td.toys.moons32()
ORACLE = td.Oracle(MIXTURE, td.VP())
NETWORK, LOGITS = td.TimeMLP(2, 8, 1, classes=2), td.TimeMLP(2, 8, 1, outputs=2)
LEARNED = td.NetworkDenoiser(NETWORK, np.zeros(NETWORK.size), td.VP())
CLASSIFIER = td.Classifier(LOGITS, np.zeros(LOGITS.size), td.VP())

DENOISERS = {
    "oracle": ORACLE,
    "points": td.Oracle(np.eye(2), td.VP()),
    "network": LEARNED,
    "counted": td.Counting(ORACLE),
    "classifier-free": td.ClassifierFreeGuidance(LEARNED.given(1), LEARNED, 1.0),
    "classifier": td.ClassifierGuidance(ORACLE, ORACLE.grad_log_p(1), 1.0),
    "function": td.as_denoiser(lambda x, t: x, td.VP(), dim=2, pull=lambda x, t, u: u),
}
FUNCTIONS = {
    "score": lambda t: td.score(ORACLE, X, t),
    "log_density": lambda t: ORACLE.log_density(X, t),
    "log_p": lambda t: ORACLE.log_p(X, t),
    "grad_log_p": lambda t: ORACLE.grad_log_p(0)(X, t),
    "learned log_p": lambda t: CLASSIFIER.log_p(X, t),
    "learned grad_log_p": lambda t: CLASSIFIER.grad_log_p(0)(X, t),
    "learned features": lambda t: CLASSIFIER.features(X, t),
}
MEASURES = {
    "mixture": lambda: MIXTURE.log_density(X),
    "posterior": lambda: MIXTURE.posterior(X, 0.8, 0.6),
    "reverse kernel": lambda: MIXTURE.reverse_kernel(X, td.VP().at(0.5), td.VP().at(0.2)),
    "conditional": lambda: MIXTURE.conditional(X, np.array([True, False])),
    "elbo": lambda: td.elbo(ORACLE, X, [0.5], 0),
    "optimal_variances": lambda: td.optimal_variances(ORACLE, X, [0.5], 0),
    "forward_path": lambda: td.forward_path(td.VP(), X, [0.5], 0),
    "path_log_ratio": lambda: td.path_log_ratio(ORACLE, [X, X], [0.5]),
    "log_likelihood": lambda: td.log_likelihood(ORACLE, X),
    "hutchinson": lambda: td.hutchinson_log_likelihood(ORACLE, X, rng=0),
    "prior_gap": lambda: td.VP().prior_gap(X),
}


@pytest.mark.parametrize("answer", ["__call__", "x0", "linearize", "linearize_x0"])
@pytest.mark.parametrize("t", [0.5, [0.2, 0.3]], ids=["number", "rows"])
@pytest.mark.parametrize("name", DENOISERS)
def test_denoisers_refuse_lists(name, t, answer):
    with pytest.raises((TypeError, ValueError), match="got a list"):
        getattr(DENOISERS[name], answer)(X, t)


@pytest.mark.parametrize("t", [0.5, [0.2, 0.3]], ids=["number", "rows"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_scores_and_classifiers_refuse_lists(name, t):
    with pytest.raises((TypeError, ValueError), match="got a list"):
        FUNCTIONS[name](t)


@pytest.mark.parametrize("name", MEASURES)
def test_mixtures_bounds_and_likelihoods_refuse_lists(name):
    with pytest.raises((TypeError, ValueError), match="got a list"):
        MEASURES[name]()


def test_noise_and_probes_are_arrays():
    x = np.array(X)
    for ask in (
        lambda: td.elbo(ORACLE, x, [0.5], noise=[X]),
        lambda: td.log_likelihood(ORACLE, x, probes=X, steps=1),
        lambda: td.NetworkDenoiser(NETWORK, [0.0] * NETWORK.size, td.VP()),
    ):
        with pytest.raises((TypeError, ValueError), match="got a list"):
            ask()


def test_lists_of_times_labels_and_variances_are_taken(rng):
    """They are numbers for the host, and no points."""
    x = np.array(X)
    np.testing.assert_array_equal(ORACLE(x, [0.2, 0.3]), ORACLE(x, np.array([0.2, 0.3])))
    np.testing.assert_array_equal(LEARNED.given([0, 1])(x, 0.5), LEARNED.given(np.array([0, 1]))(x, 0.5))
    np.testing.assert_array_equal(ORACLE.given([0, 1])(x, 0.5), ORACLE.given(np.array([0, 1]))(x, 0.5))
    ts, variance = [0.9, 0.5], [0.3, 0.2]
    found, expected = (td.elbo(ORACLE, x, a(ts), 0, variance=a(variance)).nats for a in (list, np.array))
    np.testing.assert_array_equal(found, expected)


def test_distances_take_lists():
    y = [[0.5, 0.5], [0.1, -1.0]]
    for distance in (td.energy_distance, td.mmd, td.frechet_distance):
        assert distance(X, y) == distance(np.array(X), np.array(y))
