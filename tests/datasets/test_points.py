"""Dataset: points standardised and back, on every array library, and errors that say what is not points."""

import math
from fractions import Fraction

import array_api_strict
import numpy as np
import pytest

from tinydiff.backend import to_numpy
from tinydiff.datasets.points import Dataset


def moments(column):
    """Mean and standard deviation of a column, in exact fractions up to the root."""
    exact = [Fraction(float(number)) for number in column]
    mean = sum(exact) / len(exact)
    return float(mean), math.sqrt(sum((number - mean) ** 2 for number in exact) / len(exact))


@pytest.mark.parametrize(("n", "dim"), [(2, 1), (3, 2), (7, 5), (500, 3)])
def test_each_coordinate_has_mean_zero_and_variance_one(rng, n, dim):
    """Coordinates of unlike place and size, from 1e-6 to 1e6; the variance is Σ x²/N, and moments are exact."""
    points = (rng.standard_normal((n, dim)) + rng.uniform(-3, 3, dim)) * 10.0 ** rng.integers(-6, 7, dim)
    before = points.copy()
    data = Dataset.standardised(points)
    np.testing.assert_array_equal(points, before)
    np.testing.assert_allclose(data.x.sum(axis=0) / n, 0, atol=1e-15)
    np.testing.assert_allclose(np.sum(data.x**2, axis=0) / n, 1, rtol=1e-13)
    means, deviations = zip(*map(moments, points.T), strict=True)
    np.testing.assert_allclose(data.shift, means, rtol=1e-14)
    np.testing.assert_allclose(data.scale, deviations, rtol=1e-13)
    assert data.labels is None


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e160, 1e308])
def test_no_size_is_too_small_or_too_large(size):
    """Of 0, 1, ½ times any size the standard points are −√1.5, √1.5, 0, with their labels: no square overflows."""
    points, labels = size * np.array([[0.0], [1.0], [0.5]]), np.array([2, 0, 1], np.uint8)
    data = Dataset.standardised(points, labels)
    np.testing.assert_allclose(data.x.ravel(), [-math.sqrt(1.5), math.sqrt(1.5), 0], rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(data.labels, labels.astype(np.int64), strict=True)
    np.testing.assert_allclose(data.restore(data.x), points, rtol=1e-14, atol=1e-15 * size)


@pytest.mark.parametrize("offset", [1e6, -1e6])
def test_small_differences_far_from_zero_are_kept(offset):
    """Steps of 1/8 at a million, which float64 holds exactly, are the same points as steps of 1 at zero."""
    steps = np.arange(5.0)[:, None]
    data = Dataset.standardised(offset + steps / 8)
    np.testing.assert_allclose(data.x, (steps - 2) / math.sqrt(2), atol=1e-14)
    np.testing.assert_allclose([data.shift, data.scale], [[offset + 0.25], [math.sqrt(2) / 8]], rtol=1e-14)


ANGLE = np.linspace(0, 6, 37)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e9, 255, np.cos(ANGLE) ** 2 + np.sin(ANGLE) ** 2], ids=range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_coordinate_moves_to_zero_and_keeps_its_scale(rng, value, dtype):
    """Up to rounding: the mean of 0.1s need not be 0.1, and nobody wants the last digit of cos² + sin²."""
    points = rng.standard_normal((37, 3)).astype(dtype)
    points[:, 1] = value
    data = Dataset.standardised(points)
    np.testing.assert_array_equal(data.x[:, 1], 0)
    assert data.scale[1] == 1
    assert data.shift[1] == pytest.approx(np.mean(value), rel=1e-7)
    np.testing.assert_allclose(np.std(data.x[:, [0, 2]], axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("points", [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], np.uint8), [[False] * 2, [True] * 2]])
def test_what_is_not_an_array_of_floats_becomes_float64(points):
    data = Dataset.standardised(points)
    assert data.x.dtype == np.float64
    np.testing.assert_array_equal(data.x, [[-1, -1], [1, 1]])


def strict(a):
    """An array of array_api_strict, on a device that is not the host."""
    return array_api_strict.asarray(a, device=array_api_strict.Device("device1"))


def torch(a):
    return pytest.importorskip("torch").asarray(a)


@pytest.mark.parametrize("make", [np.asarray, strict, torch])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_keep_their_library_device_and_dtype(rng, make, dtype):
    points = make((3 * rng.standard_normal((20, 2)) + 1).astype(dtype))
    data = Dataset.standardised(points, labels=[0, 1] * 10)
    back = data.restore(data.x)
    for x in (data.x, back):
        assert type(x) is type(points)
        assert x.dtype == points.dtype
        assert x.device == points.device
    np.testing.assert_allclose(to_numpy(back), to_numpy(points), rtol=1e-5, atol=1e-6)
    assert data.shift.dtype == data.scale.dtype == np.float64
    assert data.labels.dtype == np.int64


def test_restore_is_of_samples_as_well_as_of_the_data(rng):
    """x · scale + shift, of any number of points; with numbers for shift and scale as MNIST has them, too."""
    data = Dataset.standardised(rng.standard_normal((9, 3)) * [1, 10, 100] + [5, 0, -5])
    x = rng.standard_normal((4, 3)).astype(np.float32)
    assert data.restore(x).dtype == np.float32
    np.testing.assert_allclose(data.restore(x), [row * data.scale + data.shift for row in x], rtol=1e-5)
    pixels = Dataset(x, None, np.float32(127.5), np.float32(127.5))
    np.testing.assert_array_equal(pixels.restore(np.array([[-1.0, 0.0, 1.0]])), [[0, 127.5, 255]])
    for other in (x[:, :1], x[0], [[1.0, 2.0, 3.0]]):
        with pytest.raises(ValueError, match=r"^x must be an array of shape \(B, 3\); got "):
            data.restore(other)


TWO = [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        ([[1, 2], [3]], None, r"x must be points \(N, D\).*lists of unequal lengths"),
        (5.0, None, r"x must be two points or more, \(N, D\); got shape \(\)\."),
        ([1.0, 2.0], None, r"x must be two points or more, \(N, D\); got shape \(2,\)\."),
        ([[1.0, 2.0]], None, r"x must be two points or more, \(N, D\); got shape \(1, 2\)\."),
        (np.zeros((3, 0)), None, r"x must be two points or more, \(N, D\); got shape \(3, 0\)\."),
        (np.zeros((3, 8, 8)), None, r"got shape \(3, 8, 8\); flatten images by x\.reshape\(len\(x\), -1\)\."),
        ([["a", "b"], ["c", "d"]], None, "x must hold real numbers; got <U1"),
        (np.ones((2, 2), complex), None, "x must hold real numbers; got complex128"),
        (np.array([[None], [1]]), None, "x must hold real numbers; got object"),
        ([[1.0, -math.inf], [3.0, math.nan]], None, "x must hold finite numbers; coordinate 1 of point 0 is -inf"),
        ([[1.0, 2.0], [3.0, math.nan]], None, "x must hold finite numbers; coordinate 1 of point 1 is nan"),
        (TWO, [0], r"^labels must be whole numbers, 0 or more, \(2,\); got \[0\]"),
        (TWO, 3, r"\(2,\); got 3"),
        (TWO, [0.5, 1.0], r"\(2,\); got \[0.5, 1.0\]"),
        (TWO, ["a", "b"], r"\(2,\); got \['a', 'b'\]"),
        (TWO, [0, -1], r"\(2,\); got \[0, -1\]"),
    ],
)
def test_what_is_not_points_or_their_labels_is_a_value_error(x, labels, message):
    with pytest.raises(ValueError, match=message):
        Dataset.standardised(x, labels)
