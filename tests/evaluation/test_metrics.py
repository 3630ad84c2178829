"""Distances of samples and what they are beside: pairs written out, counts by SciPy, moments, neighbours.

Shapes: x (N, D) and y (M, D) are samples. On a line, and between Gaussians, tests/identities has them in closed form.
"""

import math

import numpy as np
import pytest
from identities.tools import Louder
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg, stats
from scipy.spatial.distance import pdist

import tinydiff as td
from tinydiff import testing

RING = td.toys.ring8()


def distances(x, y):
    """‖x_i − y_j‖, (N, M), by differences."""
    return np.sqrt(np.sum((x[:, None] - y) ** 2, axis=2))


@pytest.mark.parametrize(("n", "m", "d"), [(7, 4, 2), (501, 40, 3), (30, 1003, 2)])
def test_kernel_distances_are_of_all_pairs(n, m, d, rng):
    """2 E|X − Y| − E|X − X′| − E|Y − Y′|, and MMD² by pairs i ≠ j [Gretton et al. 2012, 3], in chunks of 500 too."""
    x, y, h = rng.standard_normal((n, d)), 0.4 + rng.standard_normal((m, d)), 1.3
    between, within = distances(x, y), [distances(x, x), distances(y, y)]
    energy = 2 * np.mean(between) - sum(np.mean(a) for a in within)

    def k(a):
        return np.exp(-(a**2) / (2 * h**2))

    off_diagonal = sum((np.sum(k(a)) - len(a)) / (len(a) * (len(a) - 1)) for a in within)
    assert td.energy_distance(x, y) == pytest.approx(energy, rel=1e-10)
    assert td.mmd(x, y, bandwidth=h) == pytest.approx(off_diagonal - 2 * np.mean(k(between)), rel=1e-10, abs=1e-13)


def test_mmd_takes_the_median_distance_of_y_unless_given_a_bandwidth(rng):
    """Over pairs of two different points of y alone; of 1,000 of them where there are more."""
    x, y = 5 * rng.standard_normal((30, 3)), rng.standard_normal((43, 3))
    h = np.median(pdist(y))  # of 903 pairs: one of them is in the middle
    assert td.mmd(x, y) == pytest.approx(td.mmd(x, y, bandwidth=h), rel=1e-12)
    y = np.sort(rng.standard_normal((1500, 1)), axis=0)  # in order, so that the first 1,000 are no sample of it
    assert td.mmd(x[:, :1], y) == pytest.approx(td.mmd(x[:, :1], y, bandwidth=np.median(pdist(y))), rel=0.01)


@pytest.mark.parametrize(("n", "d"), [(80, 5), (4, 9), (2, 2)], ids=["full", "few", "least"])
def test_frechet_distance_by_scipys_matrix_root(n, d, rng):
    """‖m − m′‖² + tr(C + C′ − 2 (C C′)^{1/2}) for covariances that do not commute, singular ones too."""
    x = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    y = rng.standard_normal((90, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)
    c, other = (np.cov(a, rowvar=False) for a in (x, y))
    apart, half = x.mean(axis=0) - y.mean(axis=0), linalg.cholesky(other)
    root = np.sqrt(np.maximum(linalg.eigvalsh(half @ c @ half.T), 0))  # the eigenvalues of C C′, and no complex ones
    expected = apart @ apart + np.trace(c + other) - 2 * np.sum(root)
    assert td.frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert td.frechet_distance(y, x) == pytest.approx(expected, rel=1e-6)


# The modes of a mixture


@pytest.mark.parametrize("counts", [[20, 50, 30], [3, 37], [2, 60, 0, 38]], ids=str)
def test_expected_counts_are_the_weights_of_the_mixture(counts, rng):
    """Pearson's Σ (n_k − N w_k)²/N w_k with K − 1 degrees of freedom, of components far apart."""
    k = len(counts)
    weights = np.arange(1, k + 1) / np.sum(np.arange(1, k + 1))
    data = td.GaussianMixture(weights, 5.0 * np.arange(k)[:, None], np.full((k, 1, 1), 0.1))
    found = td.mode_coverage(data, rng.permutation(np.repeat(data.means, counts, axis=0)), rng=rng)
    expected = stats.chisquare(counts, np.sum(counts) * weights)
    assert_array_equal(found.counts, counts)
    assert (found.chi2, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    assert {type(value) for value in found[1:]} == {float}


@pytest.mark.parametrize(("few", "covered"), [(25, 1.0), (24, 0.75), (0, 0.75)])
def test_a_component_is_covered_by_a_tenth_of_what_it_should_have(few, covered, rng):
    """Of 1,000 samples of 4 equal modes 250 belong to each: 25 cover it, 24 do not."""
    data = td.GaussianMixture(np.full(4, 0.25), np.arange(4.0)[:, None], np.full((4, 1, 1), 1e-4))
    x = np.repeat(data.means, [few, 400, 400, 200 - few], axis=0)
    assert td.mode_coverage(data, x, rng=rng).covered == covered


def test_true_samples_of_components_that_overlap_have_uniform_p_values():
    """Drawn from r_k(x) the counts are multinomial; the most probable components in the place of draws are not.

    So 60 p-values pass the Kolmogorov–Smirnov test, and χ² is K − 1 on average.
    """
    data = td.GaussianMixture([0.7, 0.2, 0.1], [[0.0], [0.3], [0.9]], np.full((3, 1, 1), 0.5))
    found = [td.mode_coverage(data, data.sample(seed, 1500), rng=seed + 1000) for seed in range(60)]
    assert stats.kstest([each.p_value for each in found], "uniform").pvalue > 1e-3
    testing.assert_unbiased([each.counts for each in found], 1500 * data.weights)
    testing.assert_unbiased([np.array(each.chi2) for each in found], 2)


def test_a_single_component_is_always_covered(rng):
    """No samples can be too few of the only one: χ² has no degree of freedom."""
    found = td.mode_coverage(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), rng.standard_normal((50, 1)), rng=rng)
    assert_array_equal(found.counts, [50])
    assert found[1:] == pytest.approx((1.0, 0.0, 1.0), abs=1e-20)


def test_the_modes_of_a_class_are_its_own_components(rng):
    """Samples of one class are judged by the components of that class alone, with their weights there."""
    data = td.toys.moons32().given(0)
    found = td.mode_coverage(data, data.sample(rng, 4000), rng=rng)
    assert (len(found.counts), found.covered) == (16, 1)
    assert found.p_value > 1e-3


# Neighbours and classes


def test_the_nearest_point_is_the_first_of_the_least_distances(rng, monkeypatch):
    """Written out, in chunks that do not divide the sample; a point is nearest to itself, at 0."""
    monkeypatch.setattr("tinydiff.evaluation.metrics.NUMBERS", 4 * 7)
    x, y = rng.standard_normal((11, 3)), rng.standard_normal((7, 3))
    rows, apart = td.nearest(x, y)
    assert_array_equal(rows, np.argmin(distances(x, y), axis=1))
    assert_allclose(apart, np.min(distances(x, y), axis=1), rtol=1e-14)
    rows, apart = td.nearest(y, y)
    assert_array_equal(rows, np.arange(7))
    assert_array_equal(apart, 0)


@pytest.mark.parametrize("scale", [2.0**-660, 1.0, 2.0**660])
def test_the_nearest_point_is_found_to_the_last_digit(rng, scale):
    """Far from 0, where squares overflow, and among many that are as near but for rounding, the first of them."""
    x = 1e6 + rng.standard_normal((50, 20))
    y = np.concatenate([x + 1e-9, x - 3.0, np.repeat(x[:1] + 1e-9, 40, axis=0)])
    rows, apart = td.nearest(scale * x, scale * y)
    assert_array_equal(rows, np.arange(50))
    assert_allclose(apart, scale * np.linalg.norm(x - y[:50], axis=1), rtol=1e-12)


def test_memorisation_is_the_fraction_nearer_to_seen_points(rng):
    """With its standard error √(p(1 − p)/N). A sample as near to both is half a one."""
    x, seen, unseen = rng.standard_normal((203, 3)), rng.standard_normal((40, 3)), 0.3 + rng.standard_normal((40, 3))
    fraction, error = td.memorisation(x, seen, unseen)
    assert fraction == np.mean(distances(x, seen).min(axis=1) < distances(x, unseen).min(axis=1))
    assert error == pytest.approx(math.sqrt(fraction * (1 - fraction) / 203), rel=1e-14)
    assert td.memorisation(x, seen, seen) == (0.5, 0)
    assert td.memorisation([[0.0], [1.0], [3.0]], [[0.0], [1.0]], [[1.0], [2.0]])[0] == (1 + 0.5 + 0) / 3


def test_the_kernel_is_as_wide_as_the_median_of_unequal_points_are_apart(rng):
    """Of whole numbers most pairs may be equal, and still there is a distance."""
    y = np.array([[0.0]] * 30 + [[1.0], [4.0]])
    x = rng.integers(0, 3, (20, 1)).astype(float)
    apart = distances(y, y)[np.triu_indices(32, 1)]
    assert td.mmd(x, y) == td.mmd(x, y, bandwidth=np.median(apart[apart > 0]))


@pytest.mark.parametrize(("n", "dim"), [(200, 1), (201, 3), (100, 30)])
def test_a_classifier_is_right_every_other_time_where_the_laws_agree(rng, n, dim):
    """With the error of a fair coin, over many draws; it is surer the further they are apart, and sure in the end."""
    right, errors = zip(*[td.classifier_test(*rng.standard_normal((2, n, dim)), rng=i) for i in range(60)], strict=True)
    assert errors[0] == 0.5 / math.sqrt(2 * (n - n // 2))
    assert abs(np.mean(right) - 0.5) < 4 * errors[0] / math.sqrt(60)
    assert np.std(right) < 1.6 * errors[0]
    x, y = rng.standard_normal((2, n, dim))
    apart = [td.classifier_test(x, y + shift, rng=0)[0] for shift in (0.0, 1.0, 50.0)]
    assert apart[0] < apart[1] <= apart[2] == 1.0
    assert td.classifier_test(x, y, rng=3) == td.classifier_test(x, y, rng=np.random.default_rng(3))


def test_a_classifier_written_out(rng, monkeypatch):
    """The same, one point at a time, also where pairs are looked at in parts."""
    x, y = rng.standard_normal((2, 9, 2))
    order = np.random.default_rng(5)
    x1, y1 = x[order.permutation(9)], y[order.permutation(9)]
    x1, asked = (x1[:4], y1[:4]), [*zip(x1[4:], [1] * 5, strict=True), *zip(y1[4:], [-1] * 5, strict=True)]

    def share(z):
        to = [sorted(a for a in np.linalg.norm(each - z, axis=1) if a > 0)[1] for each in x1]
        return to[0] / sum(to)

    known = [(share(z), side) for each, side in zip(x1, (1, -1), strict=True) for z in each]
    values = sorted(value for value, _ in known)
    cuts = [-1, *np.add(values[1:], values[:-1]) / 2, 2]
    cut = max(cuts, key=lambda cut: sum(side * (value < cut) for value, side in known))
    score = np.mean([(share(z) < cut) == (side > 0) for z, side in asked])
    assert td.classifier_test(x, y, rng=5)[0] == score
    monkeypatch.setattr("tinydiff.evaluation.metrics.NUMBERS", 8 * 3)
    assert td.classifier_test(x, y, rng=5)[0] == score


def test_a_classifier_sees_whole_numbers_and_any_scale(rng):
    """Where points lie on each other, how many of each are there decides."""
    coins = [(rng.random((1000, 1)) < p).astype(float) for p in (0.5, 0.9)]
    assert td.classifier_test(*coins, rng=0)[0] > 0.65  # 0.7 at best
    counts = [rng.poisson(m, (1000, 1)).astype(float) for m in (1, 2)]
    assert td.classifier_test(*counts, rng=0)[0] > 0.6  # 0.67 at best
    x = rng.standard_normal((100, 2))
    for scale in (1e-300, 1e-160, 1.0, 1e160):
        assert td.classifier_test(scale * x, scale * (x + 50.0), rng=0)[0] == 1.0


def test_a_classifier_sees_a_wider_law_in_many_dimensions(rng):
    """There the nearest of all points are those of the narrower law, and a vote of neighbours is a coin."""
    x, y = rng.standard_normal((2, 1000, 50))
    assert td.classifier_test(x, 1.3 * y, rng=0)[0] > 0.75
    assert td.classifier_test(1.3 * x, y, rng=0)[0] > 0.75


def test_class_agreement_is_the_fraction_of_labels_that_are_most_probable():
    """With its binomial standard error; the columns are the classes 0, 1, 2, or those that are given."""
    log_p = np.log([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.4, 0.5, 0.1]])
    fraction, error = td.class_agreement(log_p, np.array([0, 1, 2, 0]))
    assert fraction == 0.75
    assert error == pytest.approx(math.sqrt(0.75 * 0.25 / 4), rel=1e-14)
    assert td.class_agreement(log_p, np.array([1, 3, 9, 3]), np.array([1, 3, 9])) == (1.0, 0.0)


# Beside the truth


def test_against_truth_gives_the_distance_and_its_baseline(rng):
    """(d(x, true), d(again, true)), in this order, for any distance."""
    x, true, again = rng.standard_normal((3, 20, 2))
    found = td.against_truth(lambda a, b: float(np.sum(a) - 2 * np.sum(b)), x, true, again)
    assert found == (np.sum(x) - 2 * np.sum(true), np.sum(again) - 2 * np.sum(true))


@pytest.mark.parametrize("kappa", [-1.0, 0.0, 0.5])
def test_the_loss_of_denoising_is_the_floor_and_the_excess(kappa):
    """E‖ε − ε̂‖²/d = floor + E‖ε̂ − ε*‖²/d [Vincent 2011], with excess κ² E‖ε*‖²/d where ε̂ = (1 + κ) ε*.

    E‖ε*‖²/d is 1 − floor: ε* is the mean of ε given x.
    """
    oracle, t = td.Oracle(RING, td.VP()), 0.3
    model, floor = Louder(oracle, kappa), oracle.floor(t)
    draws = np.array([td.denoising(model, oracle, t, n=100, rng=seed) for seed in range(200)])
    testing.assert_unbiased(draws[:, 0] - draws[:, 1], floor)
    testing.assert_unbiased(draws[:, 1], kappa**2 * (1 - floor))
    assert np.std(draws[:, 0]) < 0.1


def test_float32_and_other_arrays_give_the_same_numbers(asarray, rng):
    """All is computed in float64 on the host, whatever the samples' library and precision."""
    samples, log_p, labels = rng.standard_normal((3, 30, 2)), rng.standard_normal((30, 4)), rng.integers(0, 4, 30)

    def measures(to, kind):
        a, b, c = (to(each.astype(np.float32).astype(kind)) for each in samples)
        pairs = [td.energy_distance(a, b), td.mmd(a, b), td.frechet_distance(a, b), td.sliced_w2(a, b, rng=0)]
        classes = td.class_agreement(to(log_p), to(labels))
        return [*pairs, *td.memorisation(a, b, c), *classes, td.mode_coverage(RING, a, rng=0).chi2]

    expected = measures(np.asarray, np.float64)
    assert measures(asarray, np.float32) == measures(asarray, np.float64) == expected
