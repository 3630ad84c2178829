"""What the measures of a model are told: seeds, and what each of them refuses, in which words."""

import re

import numpy as np
import pytest

import tinydiff as td

RING, VP = td.toys.ring8(), td.VP()
ORACLE, OTHER = td.Oracle(RING, VP), td.Oracle(td.toys.moons32(), VP)
CHAIN = td.Oracle(RING, td.Discrete.linear(100))
TS, X, POINTS = [1.0, 0.6, 0.2], np.zeros((4, 2)), np.eye(3, 2)
NAN = np.full((4, 2), np.nan)
zeros = np.zeros

DRAWN = {
    "elbo": lambda rng: td.elbo(ORACLE, X, TS, rng).nats,
    "optimal_variances": lambda rng: td.optimal_variances(ORACLE, X, TS, rng),
    "forward_path": lambda rng: td.forward_path(VP, X, TS, rng)[0],
    "log_likelihood": lambda rng: td.log_likelihood(ORACLE, X, probes=1, steps=1, rng=rng),
    "hutchinson": lambda rng: td.hutchinson_log_likelihood(ORACLE, X, probes=2, steps=1, rng=rng)[0],
    "kl_from_truth": lambda rng: td.kl_from_truth(ORACLE, RING, n=2, steps=1, rng=rng),
    "sliced_w2": lambda rng: td.sliced_w2(POINTS, 0 * POINTS, rng=rng, directions=1),
    "mode_coverage": lambda rng: td.mode_coverage(td.toys.spiral60(), POINTS, rng=rng).counts,
    "denoising": lambda rng: td.denoising(ORACLE, OTHER, 0.5, n=1, rng=rng),
    "sliced score matching": lambda rng: td.score_matching.sliced(ORACLE, X, 0.5, rng),
    "denoising score matching": lambda rng: td.score_matching.denoising(ORACLE, X, 0.5, rng),
}
every_draw = pytest.mark.parametrize("measure", DRAWN.values(), ids=DRAWN)


@every_draw
def test_a_whole_number_seeds_what_is_drawn(measure):
    np.testing.assert_array_equal(measure(3), measure(np.random.default_rng(3)))
    assert any(np.any(measure(3) != np.array(measure(seed))) for seed in range(10))


@every_draw
def test_what_draws_needs_a_seed(measure):
    with pytest.raises(ValueError, match="pass rng=0"):
        measure(None)


def bound(**options):
    """−ELBO at four points, with a seed unless there is noise."""
    return td.elbo(ORACLE, X, TS, None if "noise" in options else 0, **options)


def path_ratio(**options):
    return td.path_log_ratio(ORACLE, [X, X, X, X], TS, **options)


REFUSED = {
    "model must be a Denoiser": [
        "td.elbo(VP, X, TS, 0)",
        "td.path_log_ratio(VP, [X, X, X, X], TS)",
        "td.optimal_variances(VP, X, TS, 0)",
        "td.log_likelihood(VP, X)",
        "td.hutchinson_log_likelihood(VP, X, rng=0)",
        "td.kl_from_truth(VP, RING, rng=0)",
        "td.denoising(VP, ORACLE, 0.5, rng=0)",
        "td.score_matching.explicit(VP, ORACLE, X, 0.5)",
        "td.score_matching.implicit(VP, X, 0.5)",
        "td.score_matching.sliced(VP, X, 0.5, 0)",
        "td.score_matching.denoising(VP, X, 0.5, 0)",
        "td.race(td.ddim, model=VP, progress=False)",
    ],
    "process must be a Process": ["td.forward_path(ORACLE, X, TS, 0)"],
    # the bound
    "ts must": [
        "td.elbo(ORACLE, X, [0.1, 0.5], 0)",
        "td.optimal_variances(ORACLE, X, [0.1, 0.5], 0)",
        "td.path_log_ratio(ORACLE, [X, X, X], [0.5, 0.0])",
        "td.forward_path(VP, X, [0.5, 0.0], 0)",
    ],
    "x0 must be an array of shape (B, 2); got shape (4, 3)": [
        "td.elbo(ORACLE, zeros((4, 3)), TS, 0)",
        "td.optimal_variances(ORACLE, zeros((4, 3)), TS, 0)",
        "td.score_matching.denoising(ORACLE, zeros((4, 3)), 0.5, 0)",
    ],
    "there is no noise at t = 0.0 (sigma is 0): take a later time": [
        "td.score_matching.explicit(ORACLE, OTHER, X, 0.0)",
        "td.score_matching.implicit(ORACLE, X, 0.0)",
        "td.score_matching.sliced(ORACLE, X, 0.0, 0)",
        "td.score_matching.denoising(ORACLE, X, 0.0, 0)",
    ],
    "noise must have the shape (4, 2)": [
        "td.score_matching.denoising(ORACLE, X, 0.5, noise=zeros((4, 1)))",
        "td.score_matching.denoising(ORACLE, X, 0.5, noise=zeros((1, 2)))",
    ],
    "needs points to fit to; got none": ["td.optimal_variances(ORACLE, X[:0], TS, 0)"],
    "a point for each of 3 times, and x_0; got 3": ["td.path_log_ratio(ORACLE, [X, X, X], TS)"],
    "a point for each of 3 times, and x_0; got 5": ["td.path_log_ratio(ORACLE, [X, X, X, X, X], TS)"],
    "path must be an array of shape (B, 2); got shape (2,)": ["td.path_log_ratio(ORACLE, X, TS)"],
    "no signal is left at t = 1": ["td.elbo(td.Oracle(RING, CHAIN.process.zero_terminal_snr()), X, [1.0], 0)"],
    "variance must be one of 'beta_tilde', 'beta'; got 'gamma'": [
        "bound(variance='gamma')",
        "path_ratio(variance='gamma')",
    ],
    "variance must be positive, one for each of 3 times; got ": [
        "bound(variance=np.array([0.1, 0.1]))",
        "bound(variance=np.array([0.1, 0.0, 0.1]))",
        "bound(variance=np.array([0.1, np.nan, 0.1]))",
        "bound(variance=np.array([[0.1, 0.1, 0.1]]))",
        "path_ratio(variance=np.array(0.1))",
    ],
    "noise must have the shape (3, 4, 2)": [
        "bound(noise=zeros((3, 4, 1)))",
        "bound(noise=zeros((4, 4, 2)))",
        "bound(noise=zeros((3, 2)))",
    ],
    "decoder must be one of 'gaussian', 'bins'; got 'pixels'": ["bound(decoder='pixels')"],
    "pixels on the 256 levels": ["bound(decoder='bins')"],
    "bins must be": ["bound(bins=1)", "bound(bins=2.5)"],
    # the likelihood
    "f and g²": ["td.log_likelihood(CHAIN, X)", "td.hutchinson_log_likelihood(CHAIN, X, rng=0)"],
    "x must be an array of shape (B, 2); got shape (4, 3)": [
        "td.log_likelihood(ORACLE, zeros((4, 3)))",
        "td.hutchinson_log_likelihood(ORACLE, zeros((4, 3)), rng=0)",
        "td.score_matching.explicit(ORACLE, OTHER, zeros((4, 3)), 0.5)",
        "td.score_matching.implicit(ORACLE, zeros((4, 3)), 0.5)",
        "td.score_matching.sliced(ORACLE, zeros((4, 3)), 0.5, 0)",
    ],
    "distribution must be one of 'rademacher', 'gaussian'; got 'uniform'": [
        "td.log_likelihood(ORACLE, X, probes=4, distribution='uniform', rng=0)",
        "td.score_matching.sliced(ORACLE, X, 0.5, 0, distribution='uniform')",
    ],
    "probes must be a number, or an array (P, D) or (P, B, D); got ": [
        "td.log_likelihood(ORACLE, X, probes=zeros((4, 3)))",
        "td.log_likelihood(ORACLE, X, probes=zeros(2))",
        "td.log_likelihood(ORACLE, X, probes=zeros((0, 2)))",
        "td.log_likelihood(ORACLE, X, probes=zeros((4, 1, 1, 2)))",
        "td.log_likelihood(ORACLE, X, probes=zeros((4, 1, 1)))",
        "td.log_likelihood(ORACLE, X, probes=2.5)",
        "td.score_matching.sliced(ORACLE, X, 0.5, probes=zeros((4, 3)))",
    ],
    "probes (P, B, D) must be one, or one for each of 4 rows; got 2": [
        "td.log_likelihood(ORACLE, X, probes=zeros((4, 2, 2)))"
    ],
    "probes must be 1 or more; got 0": ["td.log_likelihood(ORACLE, X, probes=0, rng=0)"],
    "steps must be 1 or more; got 0": ["td.log_likelihood(ORACLE, X, steps=0)"],
    "a standard error needs two or more probes; got 1.": [
        "td.hutchinson_log_likelihood(ORACLE, X, probes=1, rng=0)",
        "td.hutchinson_log_likelihood(ORACLE, X, probes=zeros((1, 2)))",
    ],
    "n must be 2 or more; got 1": ["td.kl_from_truth(ORACLE, RING, n=1, rng=0)"],
    "data needs a log_density": ["td.kl_from_truth(ORACLE, X, rng=0)"],
    # distances and counts
    "two samples (N, D) and (M, D) of one space; got shape (3, 2) and shape (3, 1).": [
        "td.energy_distance(POINTS, POINTS[:, :1])",
        "td.mmd(POINTS, POINTS[:, :1])",
        "td.frechet_distance(POINTS, POINTS[:, :1])",
        "td.nearest(POINTS, POINTS[:, :1])",
    ],
    "got shape (2,) and shape (3, 2).": ["td.energy_distance(POINTS[0], POINTS)"],
    "got shape (3, 2) and shape (2,).": ["td.energy_distance(POINTS, POINTS[0])"],
    "got shape (2, 2, 2) and shape (2, 2).": ["td.energy_distance(zeros((2, 2, 2)), zeros((2, 2)))"],
    "two samples (N, D) and (N, D) of one space; got shape (3, 2) and shape (2, 2).": [
        "td.sliced_w2(POINTS, POINTS[:2], rng=0)",
        "td.memorisation(POINTS, POINTS, POINTS[:2])",
    ],
    "each sample must hold 1 or more points; got 0 and 3.": [
        "td.energy_distance(POINTS[:0], POINTS)",
        "td.memorisation(POINTS[:0], POINTS, POINTS)",
    ],
    "each sample must hold 1 or more points; got 3 and 0.": ["td.energy_distance(POINTS, POINTS[:0])"],
    "each sample must hold 2 or more points; got 1 and 3.": [
        "td.mmd(POINTS[:1], POINTS)",
        "td.frechet_distance(POINTS[:1], POINTS)",
    ],
    "bandwidth must be over 0; got 0.0.": ["td.mmd(POINTS, POINTS, bandwidth=0.0)"],
    "y must have two points that are not equal": ["td.mmd(POINTS, 0 * POINTS)"],
    "bandwidth must be over 0; got nan.": ["td.mmd(POINTS, POINTS, bandwidth=np.nan)"],
    "directions must be 1 or more; got 0": ["td.sliced_w2(POINTS, POINTS, rng=0, directions=0)"],
    "must be finite: some points are NaN or infinite": [
        "td.energy_distance(NAN, X)",
        "td.mmd(X, NAN)",
        "td.memorisation(X, NAN, X)",
        "td.memorisation(NAN, X, X)",
        "td.mode_coverage(RING, NAN, rng=0)",
    ],
    "shape (B, 2); got shape (3, 1).": ["td.mode_coverage(RING, POINTS[:, :1], rng=0)"],
    "model and oracle must be of one process": [
        "td.denoising(CHAIN, ORACLE, 0.5, rng=0)",
        "td.score_matching.explicit(CHAIN, ORACLE, X, 0.5)",
    ],
    "this needs ∂f/∂x: pass as_denoiser(..., pull=)": [
        "td.score_matching.implicit(td.as_denoiser(lambda x, t: x, VP, dim=2), X, 0.5)"
    ],
    "n must be 1 or more; got 0": ["td.denoising(ORACLE, ORACLE, 0.5, n=0, rng=0)"],
    # the agreement of classes
    "N ≥ 1; got (3, 2) and (2,).": ["td.class_agreement(POINTS, zeros(2, int))"],
    "N ≥ 1; got (2,) and (2,).": ["td.class_agreement(POINTS[0], zeros(2, int))"],
    "N ≥ 1; got (0, 2) and (0,).": ["td.class_agreement(POINTS[:0], zeros(0, int))"],
    "log_p has NaN in it": ["td.class_agreement(NAN, zeros(4, int))"],
    "labels must be among the classes of the columns, [0 1]; got [0 2]": [
        "td.class_agreement(POINTS, np.array([0, 2, 0]))"
    ],
}


@pytest.mark.parametrize(
    ("call", "message"), [pytest.param(call, says, id=call) for says, calls in REFUSED.items() for call in calls]
)
def test_what_cannot_be_measured_is_refused(call, message):
    """Before the model is asked, and in a sentence that names the argument."""
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        eval(call)
