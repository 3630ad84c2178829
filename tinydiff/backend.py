"""Arrays of any library that speaks the array API: NumPy first, CuPy on a GPU, others in tests.

The numerical core takes its functions from `namespace(x)`, so a result comes back in the library, on the device
and in the dtype of what went in. What the standard leaves out is here: noise, drawn on the host so that one seed
gives the same numbers everywhere; columns that scale the rows of an array; and the one product that writes in place.
"""

import copy
import ctypes
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import array_api_compat
import numpy as np

Array = Any
"""An array of any namespace; NumPy's own type would be wrong on a GPU."""


def namespace(x: Any) -> Any:
    """The array namespace of x; a Python number or a list is NumPy's."""
    if type(x) is np.ndarray or not array_api_compat.is_array_api_obj(x):
        return numpy_namespace()
    return array_api_compat.array_namespace(x)


@cache
def numpy_namespace() -> Any:
    """NumPy's namespace, kept, since a training step asks for it a hundred times."""
    return array_api_compat.array_namespace(np.empty(0))


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MiB that arrays leave behind for those that follow: half the time of a network.

    By itself it returns them to the system at once, which then clears each page again for the next temporary array.
    Training and the command line ask for it; importing does not. Other C libraries are left alone, and so is one for
    which MALLOC_TRIM_THRESHOLD_ has been set.
    """
    if sys.platform == "linux" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            trim_threshold, mmap_threshold = -1, -3  # malloc.h
            mallopt(trim_threshold, 2**28)
            mallopt(mmap_threshold, 2**28) or mallopt(mmap_threshold, 2**25)  # the most that older ones take


def is_complex(x: Array) -> bool:
    """Whether x is a complex array, as it is in a complex-step derivative."""
    return bool(namespace(x).isdtype(x.dtype, "complex floating"))


def real_part(x: Array) -> Array:
    """Re x of a complex array, x itself of any other: what a branch or a maximum looks at within a complex step."""
    return namespace(x).real(x) if is_complex(x) else x


def to_numpy(x: Any) -> np.ndarray:
    """The same numbers as a NumPy array on the host."""
    if array_api_compat.is_numpy_array(x) or not array_api_compat.is_array_api_obj(x):
        return np.asarray(x)
    if array_api_compat.is_cupy_array(x):
        return array_api_compat.to_device(x, "cpu")  # by x.get(), and so NumPy's already
    if array_api_compat.is_torch_array(x):
        x = array_api_compat.to_device(x, "cpu")
    return np.from_dlpack(x)


def on_host(x: Array) -> bool:
    """Whether x lies in the processor's own memory, NumPy's arrays and PyTorch's on its "cpu"."""
    return str(array_api_compat.device(x)) == "cpu"


def device_like(name: str) -> Array:
    """An empty float32 array (0,) on "cpu", NumPy's, or on "gpu", CuPy's: it carries library, dtype and device.

    ValueError, in one sentence, where CuPy is not installed, where there is no GPU, and where it cannot compute.
    """
    if name not in ("cpu", "gpu"):
        raise ValueError(f"device must be 'cpu' or 'gpu'; got {name!r}.")
    if name == "cpu":
        return np.empty(0, np.float32)
    try:
        with warnings.catch_warnings(action="ignore"):  # of a CUDA that is not where CuPy looked first
            cupy = importlib.import_module("cupy")
    except ImportError as error:
        if getattr(error, "name", None) == "cupy":
            raise ValueError("CuPy is not installed: pip install 'tinydiff[gpu]'.") from None
        raise ValueError(f"CuPy is installed but cannot be imported: {first_line(error)}.") from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CUDARuntimeError, which is CuPy's own
        raise ValueError(f"CuPy is installed, but no GPU or driver was found: {first_line(error)}.") from error
    if not count:
        raise ValueError("CuPy is installed, but no GPU was found.")
    try:
        float(cupy.exp(cupy.zeros(1)).sum())  # compiles a kernel: the toolkit's compiler and headers are needed too
    except Exception as error:
        raise ValueError(f"CuPy found a GPU but cannot compute on it: {first_line(error)}.") from error
    return cupy.empty(0, np.float32)


def first_line(error: Exception) -> str:
    """The type of an error and the first line that it says, without a full stop."""
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0].rstrip(".")


def changed(x: Any, **attributes: Any) -> Any:
    """A copy of an object with other attributes, which shares the rest."""
    other = copy.copy(x)
    vars(other).update(attributes)
    return other


# Shapes and dtypes


def cast(a: Any, x: Array) -> Array:
    """`a` in the namespace, on the device and in the dtype of x; `a` keeps its dtype where x is not floating.

    NumPy promotes float32 with float64 to float64 without a word, so parameters are cast to x before they meet it.
    """
    xp, device = namespace(x), array_api_compat.device(x)
    if not array_api_compat.is_array_api_obj(a) or namespace(a) is not xp:
        a = xp.asarray(np.array(to_numpy(a)), device=device)
    a = array_api_compat.to_device(a, device)
    keep = a.dtype == x.dtype or is_complex(a) or not xp.isdtype(x.dtype, ("real floating", "complex floating"))
    return a if keep else xp.astype(a, x.dtype)


def scaling_rows(c: Any, x: Array) -> Array:
    """Numbers (B,) as a column (B, 1, …) that scales the rows of x (B, …), of the kind of x."""
    return namespace(x).reshape(cast(c, x), (-1,) + (1,) * (x.ndim - 1))


def along(f: Callable[[Array], Array], x: Array, u: Array, step: float = 1e-30) -> Array:
    """The derivative of f at x along u, by a complex step: f must take complex numbers."""
    return cast(namespace(x).imag(f(x + 1j * step * u)) / step, x)


def row_sums(x: Array) -> Array:
    """The sum of each row, (B, D) → (B,)."""
    return namespace(x).sum(x, axis=1)


def squared_norm(x: Array) -> Array:
    """‖x‖² of each row, (B, D) → (B,)."""
    return row_sums(x * x)


def beside(columns: list[Array], like: Array) -> Array:
    """Numbers (B,) side by side, (B, N), of the kind of `like`; (B, 0) where there are none."""
    return namespace(like).stack(columns, axis=1) if columns else like[:, :0]


def log_sum_exp(a: Array) -> Array:
    """ln Σ_k exp a_k over the first axis, kept as 1; the shift is real, so that it is complex-safe."""
    xp = namespace(a)
    shift = xp.max(real_part(a), axis=0)
    return (shift + xp.log(xp.sum(xp.exp(a - shift), axis=0)))[None, ...]


def log_softmax(a: Array) -> Array:
    """a − ln Σ_k exp a_k along each row, (B, K): Bayes' rule, for log-joint probabilities or logits."""
    return a - log_sum_exp(a.T).T


NUMBERS = 2**21
"""What an array of rows × components, or of rows × points, may hold: more rows are cut into chunks."""


def chunks(n: int, size: int) -> list[slice]:
    """The slices of at most `size` that n is cut into."""
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def in_chunks(f: Callable[[Array], Array], x: Array, size: int = 20_000) -> Array:
    """What f gives for the rows of x, a chunk at a time, to bound memory."""
    return by_rows(lambda rows: f(x[rows, :]), x.shape[0], size)


def of_rows(c: Any, rows: slice) -> Any:
    """Some rows of (B, …); a number, or what has one row for all, stays as it is."""
    return c[rows, ...] if getattr(c, "ndim", 0) and c.shape[0] > 1 else c


def by_rows(f: Callable[[slice], Any], n: int, size: int) -> Any:
    """f(rows), an array or several, put together from slices of at most `size` of n rows."""
    if n <= size:
        return f(slice(n))
    found = [f(rows) for rows in chunks(n, size)]
    if isinstance(found[0], tuple):
        return tuple(namespace(each[0]).concat(each) for each in zip(*found, strict=True))
    return namespace(found[0]).concat(found)


def linearized_by_rows(f: Callable[[slice], tuple[Array, Callable]], n: int, size: int) -> tuple[Array, Callable]:
    """(y, pull) of f(rows) = (y, pull): one slice keeps what its pull needs, several compute it anew for each u."""
    if n <= size:
        return f(slice(n))
    return by_rows(lambda rows: f(rows)[0], n, size), lambda u: by_rows(lambda rows: f(rows)[1](u[rows, :]), n, size)


def matmul(a: Array, b: Array, out: Array) -> None:
    """out[...] = a @ b, with no temporary where the namespace can write in place.

    NumPy adds up a small product, such as the gradient of a weight, over 128 of its inner numbers at a time: OpenBLAS
    copies all that it is given into panels, and once these leave the cache it takes twice or three times as long.
    """
    xp = namespace(a)
    if array_api_compat.is_numpy_namespace(xp):
        first, *others = chunks(max(a.shape[1], 1), 128 if out.size <= 2**16 else max(a.shape[1], 1))
        xp.matmul(a[:, first], b[first, :], out=out)
        for part in others:
            out += a[:, part] @ b[part, :]
    elif array_api_compat.is_cupy_namespace(xp):
        xp.matmul(a, b, out=out)
    else:
        out[...] = a @ b


# Noise


def normal_like(rng: np.random.Generator, x: Array, shape: tuple[int, ...] | None = None) -> Array:
    """Standard normal noise with the namespace, dtype, device and (unless `shape` is given) the shape of x.

    It is drawn on the host and moved, so that a seed means the same numbers on every backend.
    """
    single = x.dtype == namespace(x).float32
    drawn = rng.standard_normal(tuple(x.shape) if shape is None else shape, np.float32 if single else np.float64)
    return cast(drawn, x)
