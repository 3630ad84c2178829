"""Distances with known values: closed forms, SciPy's numbers, pairs written out, and what true samples score.

Shapes: x (N, D) and y (M, D) are samples. Sources: Székely & Rizzo [2013], Gretton et al. [2012], Heusel et al. [2017],
Bonneel et al. [2015]; Pearson's χ².
"""

import math
import re
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import linalg, stats
from scipy.spatial.distance import pdist

import tinydiff as td


def test_it_is_zero_for_a_permutation_and_symmetric(rng):
    x, y = rng.standard_normal((2, 300, 3))
    assert td.sliced_w2(x, rng.permutation(x), rng=rng) == 0
    assert td.sliced_w2(x, y, rng=5) == td.sliced_w2(y, x, rng=5) > 0


def test_it_wants_equal_shapes(rng):
    with pytest.raises(ValueError, match=re.escape("two samples (N, D) and (N, D) of one space")):
        td.sliced_w2(np.zeros((3, 2)), np.zeros((4, 2)), rng=rng)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 2), "each sample must hold 1 or more points; got 0 and 0"),
        ((3,), "got shape (3,) and shape (3,)"),
        ((2, 2, 2), "got shape (2, 2, 2) and shape (2, 2, 2)"),
    ],
)
def test_sliced_w2_wants_points(shape, message, rng):
    with pytest.raises(ValueError, match=re.escape(message)):
        td.sliced_w2(np.zeros(shape), np.zeros(shape), rng=rng)


def test_loss_is_floor_plus_excess(rng):
    """E‖ε − ε̂‖² = floor + E‖ε̂ − ε*‖² for any model [Vincent 2011]; the oracle has excess 0."""
    process, data = td.VP(), td.toys.ring8()
    oracle, network = td.Oracle(data, process), td.TimeMLP(2, 8, 1)
    model = td.NetworkDenoiser(network, 0.3 * rng.standard_normal(network.size), process)
    for t in (0.01, 0.2, 0.7):
        loss, excess = td.denoising(model, oracle, t, n=200_000, rng=rng)
        assert loss == pytest.approx(oracle.floor(t) + excess, rel=0.02)
        loss, excess = td.denoising(oracle, oracle, t, n=200_000, rng=rng)
        assert excess == 0
        assert loss == pytest.approx(oracle.floor(t), rel=0.02)


# The energy distance


def distances(x, y):
    """‖x_i − y_j‖, (N, M), by differences."""
    return np.sqrt(np.sum((x[:, None] - y) ** 2, axis=2))


@pytest.mark.parametrize(("n", "m", "d"), [(7, 4, 2), (499, 501, 3), (1203, 777, 2), (500, 1000, 5)])
def test_energy_distance_is_of_all_pairs(n, m, d, rng):
    """Written out, for samples of more than one chunk of 500 and its multiples → a last chunk left out, pairs i = j."""
    x, y = rng.standard_normal((n, d)), 0.2 + rng.standard_normal((m, d))
    expected = 2 * np.mean(distances(x, y)) - np.mean(distances(x, x)) - np.mean(distances(y, y))
    assert td.energy_distance(x, y) == pytest.approx(expected, rel=1e-10)
    assert td.energy_distance(y, x) == pytest.approx(expected, rel=1e-10)


def test_energy_distance_of_equal_samples_is_zero_and_of_others_is_not(rng):
    x = rng.standard_normal((700, 3))
    assert td.energy_distance(x, rng.permutation(x)) == pytest.approx(0, abs=1e-13)
    assert td.energy_distance(x, np.repeat(x, 2, axis=0)) == pytest.approx(0, abs=1e-13)  # the same law, twice as many
    other = x.copy()
    other[0] += 1e-3
    assert td.energy_distance(x, other) > 1e-10


def test_energy_distance_of_points_and_of_a_long_shift(rng):
    """Of points a and b it is 2‖a − b‖. On a line, X and X + c without overlap: 2c − 2 E|X − X′|. Units are x's."""
    a, b = np.array([[1.0, 2.0, 2.0]]), np.array([[0.0, 0.0, 0.0]])
    assert td.energy_distance(a, b) == pytest.approx(6, rel=1e-14)
    x = rng.random((300, 1))
    for c in (1.0, 7.5):
        expected = 2 * c - 2 * np.mean(np.abs(x - x.T))
        assert td.energy_distance(x, x + c) == pytest.approx(expected, rel=1e-12)
        assert td.energy_distance(3 * x, 3 * (x + c)) == pytest.approx(3 * expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(40, 25), (10, 60)])
def test_energy_distance_of_one_law_is_that_of_chance(n, m, rng):
    """(1/N + 1/M) E‖X − X′‖ on average; for N(0, I) in the plane E‖X − X′‖ = √π."""
    draws = [td.energy_distance(rng.standard_normal((n, 2)), rng.standard_normal((m, 2))) for _ in range(600)]
    error = np.std(draws) / math.sqrt(len(draws))
    assert abs(np.mean(draws) - (1 / n + 1 / m) * math.sqrt(math.pi)) < 4 * error
    assert error < 0.05 * np.mean(draws)
    assert np.min(draws) > 0


# The maximum mean discrepancy


def kernel(x, y, h):
    """exp(−‖x_i − y_j‖²/2h²), (N, M)."""
    return np.exp(-(distances(x, y) ** 2) / (2 * h**2))


@pytest.mark.parametrize(("n", "m", "h"), [(2, 3, 0.5), (33, 70, 1.0), (501, 1203, 2.0), (1000, 20, 0.2)])
def test_mmd_is_the_u_statistic(n, m, h, rng):
    """Σ_{i≠j} k(x_i, x_j)/N(N − 1) + the same of y − 2 Σ k(x_i, y_j)/NM [Gretton et al. 2012, 3]."""
    x, y = rng.standard_normal((n, 2)), 0.4 + rng.standard_normal((m, 2))

    def off(k):
        return np.sum(k - np.diag(np.diag(k))) / (len(k) * (len(k) - 1))

    expected = off(kernel(x, x, h)) + off(kernel(y, y, h)) - 2 * np.mean(kernel(x, y, h))
    assert td.mmd(x, y, bandwidth=h) == pytest.approx(expected, rel=1e-10, abs=1e-13)
    assert td.mmd(y, x, bandwidth=h) == pytest.approx(expected, rel=1e-10, abs=1e-13)


@pytest.mark.parametrize(("s", "r", "shift", "h"), [(1.0, 1.0, [1.0, 0.5], 0.7), (0.5, 1.5, [0.0, 0.0], 1.0)])
def test_mmd_of_two_gaussians_is_known(s, r, shift, h, rng):
    """E k(X, Y) of N(0, s² I) and N(m, r² I) is (h²/v)^{d/2} exp(−‖m‖²/2v) with v = h² + s² + r²."""
    d = len(shift)

    def mean(a, b, m):
        v = h**2 + a**2 + b**2
        return (h**2 / v) ** (d / 2) * math.exp(-(m @ m) / (2 * v))

    m, none = np.array(shift), np.zeros(d)
    expected = mean(s, s, none) + mean(r, r, none) - 2 * mean(s, r, m)
    draws = [
        td.mmd(s * rng.standard_normal((40, d)), m + r * rng.standard_normal((50, d)), bandwidth=h) for _ in range(300)
    ]
    assert abs(np.mean(draws) - expected) < 4 * np.std(draws) / math.sqrt(len(draws)) < 0.15 * expected


def test_mmd_takes_the_median_distance_of_y_unless_given_a_bandwidth(rng):
    """Over pairs of two different points of y alone; of 1,000 of them where there are more."""
    x, y = 5 * rng.standard_normal((30, 3)), rng.standard_normal((43, 3))
    h = np.median(pdist(y))  # of 903 pairs: one of them is in the middle
    assert td.mmd(x, y) == pytest.approx(td.mmd(x, y, bandwidth=h), rel=1e-12)
    assert td.mmd(x, y) != pytest.approx(td.mmd(x, y, bandwidth=1.01 * h), rel=1e-3)
    y = np.sort(rng.standard_normal((2500, 1)), axis=0)  # in order, so that the first 1,000 are no sample of it
    assert td.mmd(x[:, :1], y) == pytest.approx(td.mmd(x[:, :1], y, bandwidth=np.median(pdist(y))), rel=0.01)


# Coverage


def test_samples_of_separate_modes_are_counted_by_the_nearest_centre(rng):
    """ring8's modes are 9 standard deviations apart: counts, χ² and p are SciPy's of the nearest centres."""
    data = td.toys.ring8()
    x = data.sample(rng, 3000)
    nearest = np.argmin(distances(x, data.means), axis=1)
    counts, covered, chi2, p_value = td.mode_coverage(data, x, rng=rng)
    assert_array_equal(counts, np.bincount(nearest, minlength=8))
    assert counts.sum() == 3000
    assert covered == 1
    expected = stats.chisquare(counts)
    assert (chi2, p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    assert isinstance(chi2, float)
    assert isinstance(covered, float)


def test_expected_counts_are_the_weights_of_the_mixture(rng):
    """Pearson's Σ (n_k − N w_k)²/N w_k with K − 1 degrees of freedom, of unequal weights and a component's order."""
    data = td.GaussianMixture([0.1, 0.6, 0.3], [[-5.0], [0.0], [5.0]], np.full((3, 1, 1), 0.1))
    counts = np.array([20, 50, 30])
    x = np.repeat(data.means, counts, axis=0)
    found = td.mode_coverage(data, rng.permutation(x), rng=rng)
    expected = stats.chisquare(counts, [10, 60, 30])
    assert_array_equal(found.counts, counts)
    assert (found.chi2, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)


def test_a_component_is_covered_by_a_tenth_of_what_it_should_have(rng):
    """Of 1,000 samples of 4 equal modes 250 belong to each: 25 cover it, 24 do not."""
    data = td.GaussianMixture(np.full(4, 0.25), np.arange(4.0)[:, None], np.full((4, 1, 1), 1e-4))
    for few, covered in ((25, 1.0), (24, 0.75), (0, 0.75)):
        x = np.repeat(data.means, [few, 400, 400, 200 - few], axis=0)
        assert td.mode_coverage(data, x, rng=rng).covered == covered


@pytest.mark.parametrize("name", ["ring8", "spiral60", "eight_gaussians", "unequal"])
def test_true_samples_have_uniform_p_values(name):
    """Components overlap in spiral60, but drawing from r_k(x) leaves the counts multinomial: 40 p-values pass the
    Kolmogorov–Smirnov test, and χ² is K − 1 on average → the most probable component in the place of a draw.
    """
    if name == "unequal":
        data = td.GaussianMixture([0.7, 0.2, 0.1], [[0.0], [0.3], [0.9]], np.full((3, 1, 1), 0.5))
    else:
        data = td.toys.TOYS[name]()
    k = len(data.weights)
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found.append(td.mode_coverage(data, data.sample(rng, 1500), rng=rng))
        assert found[-1].counts.sum() == 1500
        assert found[-1].counts.shape == (k,)
    assert stats.kstest([each.p_value for each in found], "uniform").pvalue > 1e-3
    assert abs(np.mean([each.chi2 for each in found]) - (k - 1)) < 4 * math.sqrt(2 * (k - 1) / 40)
    assert all(each.covered == 1 for each in found)


def test_missing_modes_are_seen(rng):
    """7/8 are covered without one mode, 1/8 with one; the counts are then out of the question."""
    data = td.toys.ring8()
    x, labels = data.sample(rng, 2000, labels=True)
    one_missing = td.mode_coverage(data, x[labels != 3], rng=rng)
    assert one_missing.covered == 7 / 8
    assert one_missing.counts[3] == 0
    assert one_missing.p_value < 1e-30
    collapsed = td.mode_coverage(data, x[labels == 3], rng=rng)
    assert collapsed.covered == 1 / 8
    assert collapsed.p_value < 1e-30
    few = td.mode_coverage(data, np.concatenate([x, x[labels == 3], x[labels == 3]]), rng=rng)
    assert few.covered == 1  # all there, but not as often as they should
    assert few.p_value < 1e-30


def test_a_single_component_is_always_covered(rng):
    data = td.GaussianMixture([1.0], [[0.0, 0.0]], np.eye(2)[None])
    found = td.mode_coverage(data, rng.standard_normal((50, 2)).astype(np.float32), rng=rng)
    assert_array_equal(found.counts, [50])
    assert found[1:] == pytest.approx((1.0, 0.0, 1.0), abs=1e-20)


# Memorisation


@pytest.mark.parametrize("m", [1, 40, 640])
def test_memorisation_is_the_fraction_nearer_to_seen_points(m, rng):
    """Written out, for samples of more than one chunk; its standard error is √(p(1 − p)/N)."""
    x, seen, unseen = rng.standard_normal((1203, 3)), rng.standard_normal((m, 3)), 0.3 + rng.standard_normal((m, 3))
    fraction, error = td.memorisation(x, seen, unseen)
    assert fraction == np.mean(distances(x, seen).min(axis=1) < distances(x, unseen).min(axis=1))
    assert error == pytest.approx(math.sqrt(fraction * (1 - fraction) / 1203), rel=1e-14)
    assert td.memorisation(x, unseen, seen)[0] == pytest.approx(1 - fraction, abs=1e-15)  # no ties


def test_the_nearest_point_is_the_first_of_the_least_distances(rng):
    """Written out, in chunks that do not divide the sample; a point is nearest to itself, at 0."""
    x, y = rng.standard_normal((11, 3)), rng.standard_normal((7, 3))
    rows, apart = td.nearest(x, y, size=4)
    np.testing.assert_array_equal(rows, np.argmin(distances(x, y), axis=1))
    np.testing.assert_allclose(apart, np.min(distances(x, y), axis=1), rtol=1e-14)
    rows, apart = td.nearest(y, y)
    np.testing.assert_array_equal(rows, np.arange(7))
    np.testing.assert_array_equal(apart, 0)
    with pytest.raises(ValueError, match="of one space"):
        td.nearest(x, y[:, :2])


def test_true_samples_are_as_near_to_seen_as_to_unseen_points(rng):
    """½ within 4 standard errors, and on average over small sets too."""
    data = td.toys.pinwheel40()
    fraction, error = td.memorisation(*(data.sample(rng, n) for n in (1000, 4000, 4000)))
    assert abs(fraction - 0.5) < 4 * error
    assert error == pytest.approx(0.5 / math.sqrt(1000), rel=0.02)
    fractions = [td.memorisation(*(data.sample(rng, n) for n in (100, 30, 30)))[0] for _ in range(200)]
    assert abs(np.mean(fractions) - 0.5) < 4 * np.std(fractions) / math.sqrt(200)


def test_copies_are_memorised_and_bad_samples_are_not(rng):
    """Copies of training points give 1, of held-out points 0, both without error; samples far from both stay at ½."""
    data = td.toys.ring8()
    seen, unseen = data.sample(rng, 300), data.sample(rng, 300)
    assert td.memorisation(seen, seen, unseen) == (1.0, 0.0)
    assert td.memorisation(unseen[:7], seen, unseen) == (0.0, 0.0)
    nearly = seen + 1e-4 * rng.standard_normal(seen.shape)
    assert td.memorisation(nearly, seen, unseen)[0] > 0.98
    bad = rng.uniform(-2, 2, (4000, 2))
    assert abs(td.memorisation(bad, data.sample(rng, 2000), data.sample(rng, 2000))[0] - 0.5) < 0.1


def test_the_exact_model_of_the_training_points_memorises_and_that_of_the_law_does_not(rng):
    """What a perfect network of a finite data set samples is the data set."""
    process, law = td.VP(), td.toys.moons32()
    seen, unseen = law.sample(rng, 200), law.sample(rng, 200)

    def draw(data):
        return td.sample(td.Oracle(data, process), 500, steps=30, rng=rng)

    assert td.memorisation(draw(seen), seen, unseen)[0] > 0.99
    fraction, error = td.memorisation(draw(law), seen, unseen)
    assert abs(fraction - 0.5) < 4 * math.hypot(error, 0.5 / math.sqrt(200))


# The Fréchet distance


def exactly(mean, covariance, n, rng):
    """n points whose sample mean and covariance are as given."""
    z = rng.standard_normal((n, len(mean)))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(np.cov(z, rowvar=False))).T
    return mean + z @ linalg.sqrtm(np.asarray(covariance)).real.T


def test_frechet_distance_of_commuting_covariances(rng):
    """‖m − m′‖² + Σ (a_i − b_i)² for C = U diag(a²) Uᵀ and C′ = U diag(b²) Uᵀ; a ‖c‖² more for a shift by c."""
    a, b, axes = np.array([1.0, 2.0, 0.3]), np.array([0.5, 2.5, 0.3]), stats.ortho_group(3).rvs(random_state=1)
    m = np.array([0.5, -1.0, 2.0])
    x = exactly(m, (axes * a**2) @ axes.T, 40, rng)
    y = exactly(np.zeros(3), (axes * b**2) @ axes.T, 60, rng)
    assert td.frechet_distance(x, y) == pytest.approx(m @ m + np.sum((a - b) ** 2), rel=1e-11)
    assert td.frechet_distance(x, x + m) == pytest.approx(m @ m, rel=1e-11)
    c = np.array([3.0, 0.0, 4.0])
    assert td.frechet_distance(x - m, y + c) == pytest.approx(25 + np.sum((a - b) ** 2), rel=1e-11)


@pytest.mark.parametrize("d", [2, 5, 20])
def test_frechet_distance_by_scipys_matrix_root(d, rng):
    """‖m − m′‖² + tr(C + C′ − 2 (C C′)^{1/2}) for covariances that do not commute [Heusel et al. 2017, 6]."""
    x = rng.standard_normal((80, d)) @ rng.standard_normal((d, d))
    y = rng.standard_normal((90, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)
    c, other = (np.cov(a, rowvar=False) for a in (x, y))
    apart = x.mean(axis=0) - y.mean(axis=0)
    expected = apart @ apart + np.trace(c + other - 2 * linalg.sqrtm(c @ other).real)
    assert td.frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert td.frechet_distance(y, x) == pytest.approx(expected, rel=1e-9)
    turned = stats.ortho_group(d).rvs(random_state=2)
    assert td.frechet_distance(x @ turned, y @ turned) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_is_zero_for_equal_moments_whatever_else_differs(rng):
    """Of a sample and itself, of fewer points than coordinates too; and of eight modes and a Gaussian of their moments,
    which the energy distance tells apart.
    """
    x = td.toys.ring8().sample(rng, 1000)
    assert td.frechet_distance(x, rng.permutation(x)) == pytest.approx(0, abs=1e-13)
    few = rng.standard_normal((4, 9))
    assert td.frechet_distance(few, few) == pytest.approx(0, abs=1e-6)  # roots of rounding: √1e-16 each
    normal = exactly(x.mean(axis=0), np.cov(x, rowvar=False), 1000, rng)
    assert td.frechet_distance(x, normal) == pytest.approx(0, abs=1e-12)
    assert td.energy_distance(x, normal) > 0.03


# What a classifier says of samples


def test_class_agreement_is_the_fraction_of_labels_that_are_most_probable():
    """With its binomial standard error."""
    log_p = np.log([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.4, 0.5, 0.1]])
    assert td.class_agreement(log_p, np.array([0, 1, 2, 1])) == (1.0, 0.0)
    assert td.class_agreement(log_p, np.array([1, 2, 0, 0])) == (0.0, 0.0)
    fraction, error = td.class_agreement(log_p, np.array([0, 1, 2, 0]))
    assert fraction == 0.75
    assert error == pytest.approx(math.sqrt(0.75 * 0.25 / 4), rel=1e-14)


def test_class_agreement_of_the_exact_classifier_is_bayes_accuracy():
    """E max_y p(y | x) at a noise level where classes overlap, within 4 standard errors."""
    rng, process, data = np.random.default_rng(2), td.VP(), td.toys.pinwheel40()
    oracle, n, t = td.Oracle(data, process), 4000, float(process.time(0.0))
    x, labels = data.sample(rng, n, labels=True)
    log_p = oracle.log_p(process.at(t).perturb(x, rng.standard_normal((n, 2))), t)
    fraction, error = td.class_agreement(log_p, labels)
    assert abs(fraction - np.mean(np.max(np.exp(log_p), axis=1))) < 4 * error
    assert 0.3 < fraction < 0.9


# Beside the truth


def test_against_truth_gives_the_distance_and_its_baseline(rng):
    """(d(x, true), d(again, true)), in this order, for any distance."""
    x, true, again = rng.standard_normal((3, 20, 2)) + np.array([1.0, 0.0, 0.0])[:, None, None]
    found = td.against_truth(td.energy_distance, x, true, again)
    assert found == (td.energy_distance(x, true), td.energy_distance(again, true))
    assert found[0] > found[1]
    ordered = td.against_truth(lambda a, b: float(np.sum(a) - 2 * np.sum(b)), x, true, again)
    assert ordered == (np.sum(x) - 2 * np.sum(true), np.sum(again) - 2 * np.sum(true))


N = 2000
DISTANCES = {
    "energy": td.energy_distance,
    "mmd": lambda x, y: td.mmd(x, y, bandwidth=0.5),
    "sliced_w2": lambda x, y: td.sliced_w2(x, y, rng=np.random.default_rng(0), directions=64),
    "frechet": td.frechet_distance,
}


@cache
def drawn():
    """Ten true samples of ring8, and two by its oracle."""
    data = td.toys.ring8()
    true = [data.sample(np.random.default_rng(seed), N) for seed in range(10)]
    model = td.Oracle(data, td.VP())
    by_model = [td.sample(model, N, sampler=td.dpm_solver_2m, steps=40, rng=seed) for seed in (20, 21)]
    return true, by_model


def without_a_mode(x):
    """The first mode's samples replaced by others'."""
    nearest = np.argmin(distances(x, td.toys.ring8().means), axis=1)
    return np.resize(x[nearest != 0], x.shape)


def with_half_a_mode_elsewhere(x):
    """Every other sample of the first mode on the other side of the ring."""
    first = np.flatnonzero(np.argmin(distances(x, td.toys.ring8().means), axis=1) == 0)
    x = x.copy()
    x[first[::2]] *= -1
    return x


@pytest.mark.parametrize("name", DISTANCES)
def test_exact_samples_score_as_true_ones_and_damaged_samples_do_not(name):
    """By each distance: the oracle's samples lie within the spread of pairs of true samples; samples without a mode, or
    with half of one at another's place, above it.
    """
    distance, (true, by_model) = DISTANCES[name], drawn()
    baseline = [distance(a, b) for a, b in zip(true[:5], true[5:], strict=True)]
    for x, reference in zip(by_model, true[2:4], strict=True):
        found, again = td.against_truth(distance, x, reference, true[-1])
        spread = [*baseline, again]
        assert min(spread) - np.ptp(spread) < found < max(spread) + np.ptp(spread)
        for damaged in (without_a_mode(x), with_half_a_mode_elsewhere(x)):
            assert distance(damaged, reference) > 1.2 * max(baseline)


def test_exact_samples_cover_the_modes_and_copy_nothing(rng):
    """The same by counts and by neighbours."""
    true, by_model = drawn()
    data = td.toys.ring8()
    for x in by_model:
        assert td.mode_coverage(data, x, rng=rng).p_value > 1e-3
        assert td.mode_coverage(data, without_a_mode(x), rng=rng).covered == 7 / 8
        moved = td.mode_coverage(data, with_half_a_mode_elsewhere(x), rng=rng)
        assert moved.covered == 1
        assert moved.p_value < 1e-6
        fraction, error = td.memorisation(x, true[0], true[1])
        assert abs(fraction - 0.5) < 4 * math.hypot(error, 0.5 / math.sqrt(N))


# Kinds and errors


def test_float32_and_other_arrays_give_the_same_numbers(rng):
    """All is computed in float64 on the host, whatever the samples' library and precision."""
    strict = pytest.importorskip("array_api_strict")
    a, b, c = rng.standard_normal((3, 30, 2)).astype(np.float32)
    log_p, labels = rng.standard_normal((30, 4)), rng.integers(0, 4, 30)
    data = td.toys.ring8()
    metrics = [
        lambda to, kind: td.energy_distance(to(a.astype(kind)), to(b.astype(kind))),
        lambda to, kind: td.mmd(to(a.astype(kind)), to(b.astype(kind))),
        lambda to, kind: td.frechet_distance(to(a.astype(kind)), to(b.astype(kind))),
        lambda to, kind: td.memorisation(*(to(each.astype(kind)) for each in (a, b, c))),
        lambda to, kind: td.class_agreement(to(log_p), to(labels)),
        lambda to, kind: td.mode_coverage(data, to(a.astype(kind)), rng=np.random.default_rng(0)).chi2,
    ]
    for metric in metrics:
        expected = metric(np.asarray, np.float64)
        assert metric(np.asarray, np.float32) == expected
        assert metric(strict.asarray, np.float64) == expected


@pytest.mark.parametrize("distance", [td.energy_distance, td.mmd, td.frechet_distance], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("x", "y", "got"),
    [
        (np.zeros((3, 2)), np.zeros((3, 1)), "got shape (3, 2) and shape (3, 1)"),
        (np.zeros(3), np.zeros((3, 1)), "got shape (3,) and shape (3, 1)"),
        (np.zeros((3, 1)), np.zeros(3), "got shape (3, 1) and shape (3,)"),
        (np.zeros((2, 2, 2)), np.zeros((2, 2)), "got shape (2, 2, 2) and shape (2, 2)"),
    ],
)
def test_samples_are_points_of_one_space(distance, x, y, got):
    with pytest.raises(ValueError, match=re.escape(f"two samples (N, D) and (M, D) of one space; {got}.")):
        distance(x, y)


@pytest.mark.parametrize(
    ("distance", "least"),
    [(td.energy_distance, 1), (td.mmd, 2), (td.frechet_distance, 2)],
    ids=["energy", "mmd", "frechet"],
)
def test_samples_have_points(distance, least):
    """One at least, and two where a variance or pairs are made of them."""
    for n, m in {(0, 3), (3, 0), (least - 1, 3), (3, least - 1)}:
        message = f"each sample must hold {least} or more points; got {n} and {m}."
        with pytest.raises(ValueError, match=re.escape(message)):
            distance(np.zeros((n, 2)), np.zeros((m, 2)))


POINTS = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda: td.mmd(POINTS, POINTS), "bandwidth must be over 0; got 0.0."),
        (lambda: td.mmd(POINTS, POINTS, bandwidth=-1.0), "bandwidth must be over 0; got -1.0."),
        (lambda: td.mmd(POINTS, POINTS, bandwidth=math.nan), "bandwidth must be over 0; got nan."),
        (
            lambda: td.memorisation(POINTS, POINTS, POINTS[:2]),
            "(N, D) and (N, D) of one space; got shape (3, 2) and shape (2, 2).",
        ),
        (lambda: td.memorisation(POINTS[:, :1], POINTS, POINTS), "got shape (3, 1) and shape (3, 2)."),
        (lambda: td.memorisation(POINTS[0], POINTS, POINTS), "got shape (2,) and shape (3, 2)."),
        (lambda: td.memorisation(POINTS, POINTS[0], POINTS[0]), "got shape (2,) and shape (2,)."),
        (lambda: td.memorisation(POINTS[:0], POINTS, POINTS), "each sample must hold 1 or more points; got 0 and 3."),
        (lambda: td.class_agreement(POINTS, np.zeros(2, int)), "N ≥ 1; got (3, 2) and (2,)."),
        (lambda: td.class_agreement(POINTS[0], np.zeros(2, int)), "N ≥ 1; got (2,) and (2,)."),
        (lambda: td.class_agreement(POINTS, np.zeros((3, 1), int)), "N ≥ 1; got (3, 2) and (3, 1)."),
        (lambda: td.class_agreement(POINTS[:0], np.zeros(0, int)), "N ≥ 1; got (0, 2) and (0,)."),
        (lambda: td.mode_coverage(td.toys.ring8(), np.zeros((3, 1)), rng=0), "shape (B, 2); got shape (3, 1)."),
    ],
)
def test_measures_of_nothing_are_value_errors(measure, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        measure()


RANDOM = {
    "sliced_w2": lambda rng: td.sliced_w2(POINTS + np.eye(3, 2), POINTS, rng=rng, directions=3),
    "mode_coverage": lambda rng: td.mode_coverage(td.toys.spiral60(), POINTS, rng=rng).chi2,
    "denoising": lambda rng: td.denoising(
        td.Oracle(td.toys.ring8(), td.VP()), td.Oracle(td.toys.moons32(), td.VP()), 0.5, n=3, rng=rng
    ),
}
every_random = pytest.mark.parametrize("measure", RANDOM.values(), ids=RANDOM)


@every_random
def test_a_whole_number_seeds_what_is_drawn(measure):
    assert measure(3) == measure(np.random.default_rng(3))
    assert len({str(measure(seed)) for seed in range(10)}) > 1


@every_random
@pytest.mark.parametrize("rng", [None, 0.0, np.random.RandomState(0)], ids=["None", "float", "RandomState"])
def test_what_is_no_generator_and_no_whole_number_is_refused(measure, rng):
    with pytest.raises((TypeError, ValueError), match="rng"):
        measure(rng)


def test_denoising_wants_a_point(rng):
    oracle = td.Oracle(td.toys.ring8(), td.VP())
    with pytest.raises(ValueError, match="n must be 1 or more; got 0"):
        td.denoising(oracle, oracle, 0.5, n=0, rng=rng)


def test_samples_that_are_not_finite_are_refused(rng):
    """NaN has no distance to anything, and no class."""
    data, x, y = td.toys.ring8(), *rng.standard_normal((2, 30, 2))
    x[3, 1] = np.nan
    for measure in (
        lambda: td.energy_distance(x, y), lambda: td.mmd(y, x), lambda: td.frechet_distance(x, y),
        lambda: td.mode_coverage(data, x, rng=rng), lambda: td.memorisation(y, x, y), lambda: td.memorisation(x, y, y),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="must be finite: some points are NaN or infinite"):
            measure()
    with pytest.raises(ValueError, match="log_p has NaN in it"):
        td.class_agreement(np.full((2, 2), np.nan), np.array([0, 1]))
    with pytest.raises(ValueError, match="directions must be 1 or more; got 0"):
        td.sliced_w2(y, y, rng=rng, directions=0)


def test_the_columns_of_log_p_may_be_any_classes(rng):
    """Labels 1 and 3 of a mixture are its columns 0 and 1; a label that is no column's is refused."""
    data = td.GaussianMixture([0.5, 0.5], [[-9.0], [9.0]], [[[1.0]], [[1.0]]], labels=np.array([1, 3]))
    oracle, labels = td.Oracle(data, td.VP()), np.array([1, 3, 3])
    log_p = oracle.log_p(np.array([[-9.0], [9.0], [-9.0]]), 0.0)
    assert td.class_agreement(log_p, labels, oracle.classes()[0])[0] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match=r"labels must be among the classes of the columns, \[0 1\]; got \[1 3\]"):
        td.class_agreement(log_p, labels)


def test_the_modes_of_a_class_are_its_own_components(rng):
    """Samples of one class are judged by the components of that class alone, with their weights there."""
    data = td.toys.moons32().given(0)
    found = td.mode_coverage(data, data.sample(rng, 4000), rng=rng)
    assert len(found.counts) == 16
    assert found.covered == 1
    assert found.p_value > 1e-3


def test_the_fewest_points_that_a_metric_takes(rng):
    """One direction, one point, and two where there is a covariance: each finite."""
    x, y = rng.standard_normal((2, 2, 2))
    oracle = td.Oracle(td.toys.ring8(), td.VP())
    assert td.sliced_w2(x, y, rng=rng, directions=1) >= 0
    assert np.isfinite(td.frechet_distance(x, y))
    assert td.denoising(oracle, oracle, 0.5, n=1, rng=rng)[1] == 0
    assert np.all(np.isfinite(td.kl_from_truth(oracle, oracle.data, n=2, steps=5, rng=rng)))


def test_a_sample_as_near_to_both_is_not_memorised(rng):
    """Strictly nearer counts: among equal distances none is."""
    x, seen = rng.standard_normal((2, 5, 2))
    assert td.memorisation(x, seen, seen)[0] == 0


def test_two_components_have_a_p_value(rng):
    """χ² with one degree of freedom: all samples from one of two components are improbable."""
    data = td.GaussianMixture([0.5, 0.5], [[-9.0], [9.0]], np.ones((2, 1, 1)))
    assert td.mode_coverage(data, rng.standard_normal((40, 1)) - 9, rng=rng).p_value < 1e-6
