"""The backend: one seed, one answer, in whatever library, dtype and device the arrays came."""

import array_api_compat
import array_api_strict as strict
import numpy as np
import pytest

from tinydiff.backend import (
    along,
    beside,
    cast,
    chunks,
    in_chunks,
    is_complex,
    matmul,
    namespace,
    normal_like,
    row_sums,
    scaling_rows,
    squared_norm,
    to_numpy,
)

DEVICE = strict.Device("device1")  # array_api_strict's stand-in for a GPU: mixing it with NumPy raises
BACKENDS = {
    "numpy": np.asarray,
    "strict": lambda a: strict.asarray(np.asarray(a), device=DEVICE),
    "torch": lambda a: pytest.importorskip("torch").asarray(np.array(a)),
}
on_every_backend = pytest.mark.parametrize("asarray", BACKENDS.values(), ids=BACKENDS)
in_both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def assert_like(a, x):
    """`a` is in the namespace and dtype and on the device of x."""
    assert namespace(a) is namespace(x)
    assert a.dtype == x.dtype
    assert array_api_compat.device(a) == array_api_compat.device(x)


@pytest.mark.parametrize("x", [1, 0.5, 1j, True, [0.5, 1], (), np.float32(1), np.ones(2)], ids=repr)
def test_namespace_of_numbers_lists_and_numpy_arrays_is_numpy(x):
    assert namespace(x) is namespace(np.empty(0))
    assert namespace(x).asarray(x).shape == np.shape(x)


@on_every_backend
def test_an_array_has_its_own_namespace_and_comes_back_to_numpy(asarray):
    """As numbers and lists do; what is NumPy's is not copied."""
    x = asarray(np.array([[1.0, 4.0]], np.float32))
    assert type(namespace(x).sqrt(x)) is type(x)
    np.testing.assert_array_equal(to_numpy(namespace(x).sqrt(x)), np.array([[1, 2]], np.float32), strict=True)
    assert (to_numpy(0.5), to_numpy([[1, 2]]).shape) == (0.5, (1, 2))
    assert to_numpy(a := np.ones(3)) is a


@on_every_backend
def test_complex_arrays_are_told_from_real_ones(asarray):
    assert [is_complex(asarray(a)) for a in ([1j], np.complex64(1), [1.0], [1])] == [True, True, False, False]


@on_every_backend
@in_both_dtypes
@pytest.mark.parametrize("a", [0.1, [0.1, 7], np.array([3, 4]), np.array([0.1, 2.0], np.float32)], ids=repr)
def test_cast_takes_the_namespace_dtype_and_device_of_x(a, dtype, asarray):
    """Catches NumPy 2's promotion: a float64 parameter would turn a float32 batch into float64 without a word."""
    x = asarray(np.ones((2, 3), dtype))
    assert_like(cast(a, x), x)
    np.testing.assert_array_equal(to_numpy(cast(a, x)), np.asarray(a).astype(dtype))


@on_every_backend
def test_cast_within_a_namespace_changes_the_dtype_and_device_if_they_differ(asarray):
    x = asarray(np.ones(2, np.float32))
    assert_like(cast(asarray(np.array([0.1, 0.2])), x), x)
    assert cast(x, x) is x
    there = strict.ones(2, device=DEVICE)
    assert_like(cast(strict.ones(2), there), there)


@on_every_backend
def test_a_complex_step_keeps_its_precision(asarray):
    """A derivative of 1e-30 j is kept where x is real, and what meets a complex x is complex, in its precision."""
    z, x = asarray(np.array([1 + 1e-30j])), asarray(np.ones(1, np.float32))
    assert to_numpy(cast(z, x)).imag[0] == 1e-30
    assert cast(asarray(np.array([0.1])), z).dtype == z.dtype
    assert to_numpy(cast(asarray(np.array([0.1])), z))[0] == 0.1
    np.testing.assert_array_equal(scaling_rows(np.full(2, 0.5 + 1e-30j), np.ones((2, 1))).imag, 1e-30)


@on_every_backend
@in_both_dtypes
@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 1, 2, 3)])
def test_a_column_scales_each_row(shape, dtype, asarray):
    """scaling_rows(c, x) x has row i equal to c_i x_i, for any trailing shape, in the dtype and on the device of x."""
    c, a = np.array([0.5, 2.0, -1.0, 4.0]), np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape)
    x = asarray(a)
    for coefficients in (c, asarray(c)):
        scaled = scaling_rows(coefficients, x) * x
        assert_like(scaled, x)
        np.testing.assert_array_equal(to_numpy(scaled), np.stack([k * row for k, row in zip(c, a, strict=True)]))


@on_every_backend
def test_sums_and_squared_norms_are_of_each_row_and_columns_stand_side_by_side(asarray):
    x = asarray(np.array([[3.0, 4.0], [0.0, 2.0]], np.float32))
    np.testing.assert_array_equal(to_numpy(row_sums(x)), [7, 2])
    np.testing.assert_array_equal(to_numpy(squared_norm(x)), [25, 4])
    np.testing.assert_array_equal(to_numpy(beside([x[:, 1], x[:, 0]], x)), [[4, 3], [2, 0]])
    assert_like(beside([], x), x)
    assert beside([], x).shape == (2, 0)


@on_every_backend
@in_both_dtypes
def test_a_derivative_along_u_is_exact(dtype, asarray):
    """d/ds (x + s u)³ = 3 x² u, to rounding, in the dtype of x."""
    x, u = (asarray(np.array(a, dtype)) for a in ([1.5, -2.0], [0.25, 1.0]))
    found = along(lambda x: x * x * x, x, u)
    assert_like(found, x)
    np.testing.assert_allclose(to_numpy(found), [3 * 2.25 * 0.25, 12], rtol=1e-6 if dtype == "float32" else 1e-15)


@pytest.mark.parametrize("n", [0, 1, 6, 7])
def test_rows_are_taken_in_chunks_of_a_size(n):
    parts = [range(n)[part] for part in chunks(n, 3)]
    assert [i for part in parts for i in part] == list(range(n))
    assert all(len(part) <= 3 for part in parts)
    seen, x = [], np.arange(14.0).reshape(7, 2)
    np.testing.assert_array_equal(in_chunks(lambda x: seen.append(len(x)) or 2 * x[:, 0], x, 3), 2 * x[:, 0])
    assert seen == [3, 3, 1]


@on_every_backend
@in_both_dtypes
def test_one_seed_gives_the_same_noise_on_every_backend(dtype, asarray):
    """The numbers are NumPy's own for that seed and dtype, not rounded from float64; two draws are one longer draw."""
    x, rng = asarray(np.ones((5, 3), dtype)), np.random.default_rng(7)
    z, more = normal_like(rng, x), normal_like(rng, x, (2, 3))
    assert_like(z, x)
    both = np.concatenate([to_numpy(z), to_numpy(more)])
    np.testing.assert_array_equal(both, np.random.default_rng(7).standard_normal((7, 3), dtype))
    assert tuple(normal_like(rng, x, ()).shape) == ()


@on_every_backend
def test_matmul_writes_in_place(asarray, rng):
    """out[...] = a b lands in a view of a larger buffer and touches nothing beside it; a (3, 4), b (4, 2)."""
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    buffer = asarray(np.zeros((5, 4)))
    assert matmul(asarray(a), asarray(b), buffer[1:4, 1:3]) is None
    np.testing.assert_allclose(to_numpy(buffer), np.pad(np.einsum("ik,kj->ij", a, b), ((1, 1), (1, 1))), rtol=1e-13)


@pytest.mark.parametrize("inner", [0, 1, 128, 300])
def test_matmul_adds_up_the_parts_of_a_long_product(inner, rng):
    """Of no inner numbers, of one part, and of two and a half."""
    a, b, out = rng.standard_normal((3, inner)), rng.standard_normal((inner, 2)), np.full((3, 2), np.nan)
    matmul(a, b, out)
    np.testing.assert_allclose(out, np.einsum("ik,kj->ij", a, b), rtol=1e-12, atol=1e-12)
