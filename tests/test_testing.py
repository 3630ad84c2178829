"""tinydiff.testing: it draws what it says, passes what is right as often as it says, and sees what is wrong."""

import math
import subprocess
import sys

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import find, given
from hypothesis import strategies as st
from scipy.stats import binom

import tinydiff as td
from tinydiff import testing

LAW = td.toys.ring8()


def is_refused(check):
    try:
        check()
    except AssertionError:
        return True
    return False


# What is drawn


@given(draw=st.data(), process=testing.processes())
def test_times_and_grids_are_of_the_process(draw, process):
    zero = draw.draw(st.booleans())
    count = draw.draw(st.integers(1, process.T if isinstance(process, td.Discrete) else 5))
    times, grid = draw.draw(testing.times(process, count, zero=zero)), draw.draw(testing.grids(process))
    assert len(times) == count
    assert np.all(np.diff([-1, *times, 1 + 1e-9]) > 0)
    assert zero or times[0] >= process.t_min
    assert np.all(np.diff(grid) < 0)
    assert (grid[0], grid[-1]) == (process.t_max, process.t_min)
    assert len(grid) <= 9
    np.testing.assert_array_equal(process.nearest(grid), grid)


@given(mixture=testing.mixtures(dims=(2, 3), components=3, finite=False), x=testing.rows(2, most=3))
def test_mixtures_and_rows_are_of_the_size_asked_for(mixture, x):
    assert mixture.dim in (2, 3)
    assert len(mixture.weights) <= 3
    assert np.all(np.isfinite(mixture.log_density(mixture.means)))  # full rank: it has a density
    assert x.shape[0] in (1, 2, 3)
    assert x.shape[1] == 2
    np.testing.assert_array_equal(x, x.astype(np.float32))


@pytest.mark.parametrize("finite", [True, False])
def test_mixtures_are_finite_or_full_as_asked(finite):
    @given(mixture=testing.mixtures(finite=finite))
    def check(mixture):
        assert np.all((np.linalg.eigvalsh(mixture.covariances) < 1e-12) == finite)

    check()


# Order


def taylor(order):
    """exp(1) by n steps of Taylor's method."""
    return lambda n: np.array([sum(n**-k / np.prod(np.arange(1.0, k + 1)) for k in range(order + 1)) ** n])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_an_order_is_found_and_no_other_passes(order):
    testing.assert_order(taylor(order), np.array([np.e]), order)
    for other in (order - 1, order + 1):
        with pytest.raises(AssertionError, match=rf"the order is {order - 1}\.9\d, not {other} .* 64: "):
            testing.assert_order(taylor(order), np.array([np.e]), other)


def test_errors_of_rounding_show_no_order():
    with pytest.raises(AssertionError, match="vanish in rounding"):
        testing.assert_order(lambda n: np.array([np.e]), np.array([np.e]), 1)


# Chance: of 300 checks at level .05, as many fail as fail by chance


def alarms(check, level, trials):
    """How often right draws are refused, and the most that chance explains."""
    return sum(is_refused(lambda seed=seed: check(seed)) for seed in range(trials)), binom.isf(1e-4, trials, level)


def test_unbiased_estimates_fail_as_rarely_as_said():
    def check(seed):
        testing.assert_unbiased(np.random.default_rng(seed).standard_normal((20, 3)), 0.0, level=0.05)

    found, most = alarms(check, 0.05, 300)
    assert 0 < found <= most


def test_a_bias_of_eight_standard_errors_is_found_where_it_is(rng):
    draws = rng.standard_normal((1000, 2)) + np.array([0, 8 / np.sqrt(1000)])
    with pytest.raises(AssertionError, match=r"at \(1,\) is 0\.2\d+ ± 0\.03\d*, \d.\d standard errors from 0"):
        testing.assert_unbiased(draws, np.zeros(2))


def test_estimates_without_scatter_are_judged_to_rounding():
    testing.assert_unbiased([0.1 + 0.2] * 3, 0.3)
    with pytest.raises(AssertionError, match="from 1"):
        testing.assert_unbiased([0.3] * 3, 1.0)


@pytest.mark.parametrize("exact", [True, False])
def test_true_draws_fail_as_rarely_as_said(exact, rng):
    two = td.GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 1.0]], [[[1.0, 0.5], [0.5, 1.0]], [[0.1, 0], [0, 2]]])
    law = two if exact else two.sample(rng, 500)

    def check(seed):
        testing.assert_same_law(two.sample(seed, 300), law, rng=seed, level=0.05)

    found, most = alarms(check, 0.05, 40)
    assert found <= most


def test_few_draws_of_many_components_are_not_counted():
    """χ² has its law from five a component on; 60 draws of 60 components would fail it, and are true."""
    data = td.toys.spiral60()
    for seed in range(5):
        testing.assert_same_law(data.sample(seed, 60), data, rng=seed, level=1e-3)


def ring(rng, weights=LAW.weights, width=1.0):
    """2,000 draws of the ring with other weights or wider modes."""
    return td.GaussianMixture(weights / np.sum(weights), LAW.means, width**2 * LAW.covariances).sample(rng, 2000)


WRONG = {
    "wide": (lambda rng: ring(rng, width=1.2), "log-density"),
    "narrow": (lambda rng: ring(rng, width=0.8), "log-density"),
    "weights off by a third": (lambda rng: ring(rng, 1 + np.arange(8) % 2 / 1.5), "counts"),
    "one mode lost": (lambda rng: ring(rng, np.where(np.arange(8) == 3, 1e-9, 1)), "counts"),
    "a twentieth astray": (lambda rng: np.concatenate([ring(rng)[:1900], rng.uniform(-1, 1, (100, 2))]), "hardly has"),
    "shifted": (lambda rng: ring(rng) + 0.1, "log-density"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_draws_of_another_law_fail_with_what_is_wrong(wrong, rng):
    draw, sentence = WRONG[wrong]
    with pytest.raises(AssertionError, match=rf"2000 draws are not of the law: .*{sentence}.* \(p = "):
        testing.assert_same_law(draw(rng), LAW, rng=rng)


def test_two_samples_are_compared_along_directions(rng):
    """A turn by 45° keeps both coordinates' laws and changes those between."""
    x = np.sign(rng.standard_normal((2000, 1))) * np.abs(rng.standard_normal((2000, 2)))
    testing.assert_same_law(x, -x, rng=rng)
    with pytest.raises(AssertionError, match=r"along \[.* are \.?\d.* apart"):
        testing.assert_same_law(x, rng.standard_normal((2000, 2)), rng=rng)


NAN, E = [math.nan, 1.0], np.array([np.e])
order, unbiased, law = testing.assert_order, testing.assert_unbiased, testing.assert_same_law
FINITE = td.GaussianMixture([1.0], [[0.0, 0.0]], np.zeros((1, 2, 2)))
REFUSED = [
    (lambda: order(taylor(1), E, 1, steps=(8,)), "steps must be two or more rising"),
    (lambda: order(taylor(1), E, 1, steps=(8, 8)), "steps must be two or more rising"),
    (lambda: order(taylor(1), E, 1, steps=(0, 8)), "each of steps must be 1 or more; got 0"),
    (lambda: order(taylor(1), np.repeat(E, 3), 1), r"solve\(8\) must have the shape \(3,\) of exact; got shape \(1,\)"),
    (lambda: order(taylor(1), NAN, 1), "exact must be finite"),
    (lambda: order(taylor(1), E, math.nan), "order must be a finite number"),
    (lambda: order(taylor(1), E, 1, within=math.nan), "within must be 0 or more"),
    (lambda: unbiased([1.0], 1.0), r"two or more estimates; got shape \(1,\)"),
    (lambda: unbiased(np.array(3.0), 1.0), r"two or more estimates; got shape \(\)"),
    (lambda: unbiased([], 1.0), "draws must be real numbers, one or more"),
    (lambda: unbiased(3.0, 1.0), "draws must be estimates, one after the other; got 3.0"),
    (lambda: unbiased([[1.0], [1.0, 2.0]], 1.0), "draws must be an array of numbers"),
    (lambda: unbiased(NAN, 1.0), "draws must be finite"),
    (lambda: unbiased(np.ones((3, 2)), [1.0] * 3), r"a number or of the shape \(2,\) of a draw; got \(3,\)"),
    (lambda: unbiased(np.ones(3), None), "expected must be real numbers"),
    (lambda: unbiased(np.ones(3), 1.0, level=0), r"level must be from 0 \(excluded\) to 1"),
    (lambda: law(np.zeros((5, 3)), LAW, rng=0), r"of one space; got shape \(5, 3\)"),
    (lambda: law(np.zeros(5), LAW, rng=0), r"of one space; got shape \(5,\)"),
    (lambda: law(np.zeros((1, 2)), LAW, rng=0), "2 or more points"),
    (lambda: law(np.zeros((0, 2)), LAW, rng=0), "x must be real numbers, one or more"),
    (lambda: law(np.full((5, 2), np.nan), LAW, rng=0), "x must be finite"),
    (lambda: law(np.zeros((5, 2)) + 0j, LAW, rng=0), "of complex128"),
    (lambda: law(np.zeros((5, 2)), None, rng=0), "law must be real numbers"),
    (lambda: law(np.zeros((5, 2)), FINITE, rng=0), "zero variance has no density"),
    (lambda: law(np.zeros((5, 2)), LAW, rng=0, level=2), "level must be from 0"),
    (lambda: law(np.zeros((5, 2)), LAW, rng=None), "pass rng=0, say"),
    (lambda: testing.processes(td.VP()), "each of makers must be a function that makes a process"),
    (lambda: find(testing.times(td.VP), bool), "made by calling its class"),
    (lambda: find(testing.times(td.Discrete([0.1, 0.2]), 3), bool), "count must be 2 or less"),
    (lambda: find(testing.grids(td.VP(), 0), bool), "most must be 1 or more"),
    (lambda: find(testing.mixtures(dims=2), bool), "dims must be the least and the greatest"),
    (lambda: find(testing.mixtures(dims=(3, 1)), bool), "dims must be the least and the greatest"),
    (lambda: find(testing.mixtures(components=0), bool), "components must be 1 or more"),
    (lambda: testing.rows(0), "dim must be 1 or more"),
]


@pytest.mark.parametrize(("call", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_cannot_be_tested_is_refused(call, sentence):
    """Neither passed nor failed: a law that was not asked has not been obeyed."""
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


def test_an_answer_that_is_not_finite_fails():
    with pytest.raises(AssertionError, match=r"the answers are not finite .* 64: nan"):
        order(lambda n: E * np.nan, E, 1)


def test_arrays_of_any_library_and_lists_are_taken():
    x = LAW.sample(0, 200)
    for y in (x.tolist(), x.astype(np.float32), strict.asarray(x)):
        law(y, LAW, rng=1)
        law(y, x, rng=1)
        unbiased(y, 0.0)


def test_without_hypothesis_it_says_what_to_install():
    code = "import sys; sys.modules['hypothesis'] = None; import tinydiff.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert 'pip install "tinydiff[testing]"' in done.stderr.splitlines()[-1]
