"""Arguments: what is taken, and the sentence for what is not.

Points are arrays: a list is refused at once, and not by an AttributeError from within. What is measured of two samples
takes lists too, as NumPy's own functions do.
"""

from functools import partial

import array_api_strict as strict
import numpy as np
import pytest

import tinydiff as td
from tinydiff.checks import as_generator, as_labels, check_choice, check_points, check_range

WHOLE = "whole number that seeds one"
REFUSED = [
    (as_generator, (None,), ValueError, "this draws random numbers: pass rng=0, say"),  # what cannot be repeated
    (as_generator, (-1,), ValueError, "rng, as a seed, must be 0 or more; got -1"),
    (as_generator, (0.0,), TypeError, f"{WHOLE}; got 0.0"),
    (as_generator, (True,), TypeError, f"{WHOLE}; got True"),
    (as_generator, ("0",), TypeError, f"{WHOLE}; got '0'"),
    (as_generator, (np.random.RandomState(0),), TypeError, "must be a np.random.Generator, .*RandomState"),
    (as_generator, (np.random,), TypeError, "must be a np.random.Generator"),
    (as_generator, ([1, 2],), TypeError, r"got \[1, 2\]"),
    (
        check_points,
        (np.zeros((3, 3)), 2, "x_T"),
        ValueError,
        r"x_T must be an array of shape \(B, 2\); got shape \(3, 3\)",
    ),
    (check_points, (np.zeros(2), 2, "x_T"), ValueError, r"x_T must be an array of shape \(B, 2\); got shape \(2,\)"),
    (check_points, ([[1.0, 2.0]], 2, "x_T"), ValueError, r"x_T must be an array of shape \(B, 2\); got a list"),
    (check_range, ("eta", -0.1, 0, 1), ValueError, "eta must be from 0 to 1; got -0.1"),
    (check_range, ("eta", 1.1, 0, 1), ValueError, "eta must be from 0 to 1; got 1.1"),
    (check_range, ("eta", float("nan"), 0, 1), ValueError, "eta must be from 0 to 1; got nan"),
    (partial(check_range, open_low=True), ("lr", 0, 0), ValueError, "lr must be over 0; got 0"),
    (check_range, ("steps", 0, 1), ValueError, "steps must be 1 or more; got 0"),
    (check_range, ("eta", None, 0, 1), TypeError, "eta must be a number"),
    (check_range, ("eta", "1", 0, 1), TypeError, "eta must be a number"),
    (check_range, ("eta", [0.5], 0, 1), TypeError, "eta must be a number"),
    (check_choice, ("method", "rk5", ("heun", "rk4")), ValueError, "method must be one of 'heun', 'rk4'; got 'rk5'"),
    (as_labels, ([0, 3], range(3)), ValueError, r"whole numbers among 0 to 2, or −1 for none; got \[0, 3\]"),
    (partial(as_labels, none=False), ([0, -1], range(3)), ValueError, r"whole numbers among 0 to 2; got \[0, -1\]"),
    (as_labels, ([0.5], range(3)), ValueError, r"got \[0.5\]"),
    (as_labels, ([1.0], range(3)), ValueError, r"got \[1.0\]"),
    (as_labels, ([[1]], range(3)), ValueError, r"got \[\[1\]\]"),
    (as_labels, (np.full(20, 7), range(3)), ValueError, r"got int64 of shape \(20,\)"),
]


@pytest.mark.parametrize(("check", "arguments", "error", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_is_named_beside_what_is_allowed(check, arguments, error, says):
    with pytest.raises(error, match=says):
        check(*arguments)


def test_what_is_allowed_is_taken(rng):
    """A generator as itself, a whole number as its seed, no points, both ends of a range; labels of any library."""
    assert as_generator(rng) is rng
    for seed in (7, np.int32(7), np.uint64(7)):
        assert as_generator(seed).random() == np.random.default_rng(7).random()
    check_points(np.zeros((0, 2)), 2)
    for value in (0, 0.5, 1):
        check_range("eta", value, 0, 1)
    check_choice("method", "rk4", ("heun", "rk4"))
    there = strict.asarray([0, -1, 2], device=strict.Device("device1"))
    for labels in (there, np.array([0, -1, 2], np.int32), [0, -1, 2]):
        np.testing.assert_array_equal(as_labels(labels, range(3)), np.array([0, -1, 2]), strict=True)
    np.testing.assert_array_equal(as_labels(4, [2, 4]), [4])


# What public functions do with lists, and with levels and batches that do not fit

X = [[0.0, 0.1], [1.0, -0.2]]
ARRAY, ROWS = np.array(X), [0.2, 0.3]
PROCESS = td.VP()
MIXTURE = td.toys.moons32()
ORACLE = td.Oracle(MIXTURE, PROCESS)
NETWORK, LOGITS = td.TimeMLP(2, 8, 1, classes=2), td.TimeMLP(2, 8, 1, outputs=2)
LEARNED = td.NetworkDenoiser(NETWORK, np.zeros(NETWORK.size), PROCESS)
CLASSIFIER = td.Classifier(LOGITS, np.zeros(LOGITS.size), PROCESS)
DENOISERS = {
    "oracle": ORACLE,
    "points": td.Oracle(np.eye(2), PROCESS),
    "network": LEARNED,
    "counted": td.Counting(ORACLE),
    "classifier-free": td.ClassifierFreeGuidance(LEARNED.given(1), LEARNED, 1.0),
    "weak": td.Autoguidance(LEARNED, ORACLE, 1.0),
    "projected": td.AdaptiveProjectedGuidance(LEARNED.given(1), LEARNED, 1.0),
    "classifier": td.ClassifierGuidance(ORACLE, ORACLE.grad_log_p(1), 1.0),
    "function": td.as_denoiser(lambda x, t: x, PROCESS, dim=2, pull=lambda x, t, u: u),
}
AT_TIMES = {
    "score": lambda t: td.score(ORACLE, X, t),
    "log_density": lambda t: ORACLE.log_density(X, t),
    "log_p": lambda t: ORACLE.log_p(X, t),
    "grad_log_p": lambda t: ORACLE.grad_log_p(0)(X, t),
    "learned log_p": lambda t: CLASSIFIER.log_p(X, t),
    "learned grad_log_p": lambda t: CLASSIFIER.grad_log_p(0)(X, t),
    "learned features": lambda t: CLASSIFIER.features(X, t),
} | {
    f"{name} {answer}": lambda t, model=model, answer=answer: getattr(model, answer)(X, t)
    for name, model in DENOISERS.items()
    for answer in ("__call__", "x0", "linearize", "linearize_x0")
}
OF_POINTS = {
    "mixture": lambda: MIXTURE.log_density(X),
    "posterior": lambda: MIXTURE.posterior(X, 0.8, 0.6),
    "reverse kernel": lambda: MIXTURE.reverse_kernel(X, PROCESS.at(0.5), PROCESS.at(0.2)),
    "conditional": lambda: MIXTURE.conditional(X, np.array([True, False])),
    "elbo": lambda: td.elbo(ORACLE, X, [0.5], 0),
    "noise of the elbo": lambda: td.elbo(ORACLE, ARRAY, [0.5], noise=[X]),
    "optimal_variances": lambda: td.optimal_variances(ORACLE, X, [0.5], 0),
    "forward_path": lambda: td.forward_path(PROCESS, X, [0.5], 0),
    "path_log_ratio": lambda: td.path_log_ratio(ORACLE, [X, X], [0.5]),
    "log_likelihood": lambda: td.log_likelihood(ORACLE, X),
    "probes": lambda: td.log_likelihood(ORACLE, ARRAY, probes=X, steps=1),
    "hutchinson": lambda: td.hutchinson_log_likelihood(ORACLE, X, rng=0),
    "explicit": lambda: td.score_matching.explicit(ORACLE, ORACLE, X, 0.5),
    "implicit": lambda: td.score_matching.implicit(ORACLE, X, 0.5),
    "sliced": lambda: td.score_matching.sliced(ORACLE, X, 0.5, 0),
    "denoising": lambda: td.score_matching.denoising(ORACLE, X, 0.5, 0),
    "prior_gap": lambda: PROCESS.prior_gap(X),
    "theta": lambda: td.NetworkDenoiser(NETWORK, [0.0] * NETWORK.size, PROCESS),
}


LISTS = OF_POINTS | {f"{name} at {t}": lambda at=at, t=t: at(t) for name, at in AT_TIMES.items() for t in (0.5, ROWS)}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_points_are_refused(name):
    with pytest.raises((TypeError, ValueError), match="got a list"):
        LISTS[name]()


def test_lists_of_times_labels_and_variances_are_taken():
    """They are numbers for the host, and no points."""
    for as_listed, as_array in (
        (ORACLE(ARRAY, ROWS), ORACLE(ARRAY, np.array(ROWS))),
        (LEARNED.given([0, 1])(ARRAY, 0.5), LEARNED.given(np.array([0, 1]))(ARRAY, 0.5)),
        (ORACLE.given([0, 1])(ARRAY, 0.5), ORACLE.given(np.array([0, 1]))(ARRAY, 0.5)),
        [td.elbo(ORACLE, ARRAY, a([0.9, 0.5]), 0, variance=a([0.3, 0.2])).nats for a in (list, np.array)],
        [[d(a(X), a(X[::-1])) for d in (td.energy_distance, td.mmd, td.frechet_distance)] for a in (list, np.array)],
    ):
        np.testing.assert_array_equal(as_listed, as_array)


@pytest.mark.parametrize(
    "formula",
    [partial(td.predictions.target, "v"), td.predictions.eps_from_x0, td.predictions.x0_from_eps],
    ids=range(3),
)
def test_levels_at_many_times_must_scale_rows(formula):
    """With as many times as coordinates NumPy would scale columns in silence."""
    with pytest.raises(ValueError, match="must be columns"):
        formula(ARRAY, ARRAY, PROCESS.at(ROWS))


@pytest.mark.parametrize("options", [{"steps": 2.5}, {"batch": 2.5}, {"steps": 0}, {"steps": None}], ids=str)
def test_counts_of_training_are_whole(options):
    with pytest.raises(ValueError, match="must be"):
        td.fit(td.toys.ring8(), rng=0, progress=False, **options)


def test_no_points_have_no_likelihood_and_no_error():
    assert td.log_likelihood(ORACLE, ARRAY[:0], steps=2).shape == (0,)
    assert PROCESS.prior_gap(ARRAY[:0]).shape == (0,)
