"""Arguments: what is taken, and the sentence for what is not."""

import array_api_strict as strict
import numpy as np
import pytest

from tinydiff.checks import as_generator, as_labels, check_choice, check_points, check_range

# The generator


def test_a_whole_number_seeds_a_generator_and_a_generator_stays_itself(rng):
    assert as_generator(rng) is rng
    for seed in (7, np.int32(7), np.uint64(7)):
        assert as_generator(seed).random() == np.random.default_rng(7).random()


@pytest.mark.parametrize(
    ("rng", "error", "says"),
    [
        (None, ValueError, "this draws random numbers: pass rng=0, say"),
        (-1, ValueError, "rng, as a seed, must be 0 or more; got -1"),
        (0.0, TypeError, "whole number that seeds one; got 0.0"),
        (True, TypeError, "got True"),
        ("0", TypeError, "got '0'"),
        (np.random.RandomState(0), TypeError, "must be a np.random.Generator, .*RandomState"),
        (np.random, TypeError, "must be a np.random.Generator"),
        ([1, 2], TypeError, r"got \[1, 2\]"),
    ],
    ids=str,
)
def test_what_is_no_generator_is_refused(rng, error, says):
    """None too: a result that cannot be repeated teaches nothing."""
    with pytest.raises(error, match=says):
        as_generator(rng)


# Arguments


def test_points_of_another_shape_are_refused():
    check_points(np.zeros((0, 2)), 2)
    for x, says in ((np.zeros((3, 3)), r"shape \(3, 3\)"), (np.zeros(2), r"shape \(2,\)"), ([[1.0, 2.0]], "a list")):
        with pytest.raises(ValueError, match=rf"x_T must be an array of shape \(B, 2\); got {says}"):
            check_points(x, 2, "x_T")


def test_numbers_out_of_range_are_refused():
    for value in (0, 0.5, 1):
        check_range("eta", value, 0, 1)
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"eta must be from 0 to 1; got {value}"):
            check_range("eta", value, 0, 1)
    with pytest.raises(ValueError, match="lr must be over 0; got 0"):
        check_range("lr", 0, 0, open_low=True)
    with pytest.raises(ValueError, match="steps must be 1 or more; got 0"):
        check_range("steps", 0, 1)


def test_a_choice_is_one_of_those_there_are():
    check_choice("method", "rk4", ("heun", "rk4"))
    with pytest.raises(ValueError, match="method must be one of 'heun', 'rk4'; got 'rk5'"):
        check_choice("method", "rk5", ("heun", "rk4"))


def test_labels_are_whole_numbers_among_the_classes():
    there = strict.asarray([0, -1, 2], device=strict.Device("device1"))
    for labels in (there, np.array([0, -1, 2], np.int32), [0, -1, 2]):
        found = as_labels(labels, range(3))
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, [0, -1, 2])
    np.testing.assert_array_equal(as_labels(4, [2, 4]), [4])


@pytest.mark.parametrize(
    ("labels", "none", "says"),
    [
        ([0, 3], True, r"whole numbers among 0 to 2, or −1 for none; got \[0, 3\]"),
        ([0, -1], False, r"whole numbers among 0 to 2; got \[0, -1\]"),
        ([0.5], True, r"got \[0.5\]"),
        ([1.0], True, r"got \[1.0\]"),
        ([[1]], True, r"got \[\[1\]\]"),
        (np.full(20, 7), True, r"got int64 of shape \(20,\)"),
    ],
)
def test_other_labels_are_refused(labels, none, says):
    with pytest.raises(ValueError, match=says):
        as_labels(labels, range(3), none=none)
