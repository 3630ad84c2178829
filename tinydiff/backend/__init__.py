"""Arrays of any library that speaks the array API: NumPy first, CuPy on a GPU, others in tests.

The numerical core takes its functions from `namespace(x)`, so a result comes back in the library, on the device
and in the dtype of what went in. What the standard leaves out is here: noise (drawn on the host, so that one seed
gives the same numbers everywhere), coefficients shaped to scale rows, and the one product that writes in place.
"""

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

Times = Any
"""A time in [0, 1]: a number, or an array (B,) with one time for each row."""


def namespace(x: Any) -> Any:
    """The array namespace of x; a Python number or a list is NumPy's."""
    if type(x) is np.ndarray or not array_api_compat.is_array_api_obj(x):
        return numpy_namespace()
    return array_api_compat.array_namespace(x)


@cache
def numpy_namespace() -> Any:
    """NumPy's, kept, since a training step asks for it a hundred times; it is imported when first asked for."""
    return array_api_compat.array_namespace(np.empty(0))


def keep_freed_memory() -> None:
    """Let glibc keep up to 256 MiB that arrays leave behind for those that follow: half the time of a network.

    By itself it returns them to the system at once, which then clears each page again for the next temporary array.
    Other C libraries are left alone, and so is one that MALLOC_TRIM_THRESHOLD_ has been set for.
    """
    if sys.platform == "linux" and "MALLOC_TRIM_THRESHOLD_" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda option, value: 1)
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
    """x as a NumPy array on the host."""
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


def column(c: Any, x: Array) -> Any:
    """Coefficients c, a scalar or (B,), shaped to scale the rows of x (B, ...) and in x's dtype."""
    if getattr(c, "ndim", 0):
        return namespace(x).reshape(cast(c, x), (-1,) + (1,) * (x.ndim - 1))
    return complex(c) if isinstance(c, complex) or (hasattr(c, "dtype") and is_complex(c)) else float(c)


def check_points(x: Any, dim: int) -> None:
    """Raise a ValueError unless x is an array of points (B, dim)."""
    if getattr(x, "ndim", None) != 2 or x.shape[1] != dim:
        raise ValueError(f"points must be an array of shape (B, {dim}); got {describe(x)}.")


def describe(x: Any) -> str:
    """What x is, for an error message: its shape, or its type where it has none."""
    return f"shape {tuple(x.shape)}" if hasattr(x, "shape") else f"a {type(x).__name__}"


def in_chunks(f: Callable[[Array], np.ndarray], x: Array, size: int = 20_000) -> np.ndarray:
    """f over the rows of x, a chunk at a time, to bound memory."""
    return np.concatenate([f(x[rows, :]) for rows in chunks(x.shape[0], size)])


def chunks(n: int, size: int) -> list[slice]:
    """The slices of at most `size` that n is cut into."""
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def rows_of(a: Any, rows: slice) -> Any:
    """Some rows of what has one for each row of x; a number, or a single row, is for all of them."""
    return a[rows] if getattr(a, "ndim", 0) and a.shape[0] > 1 else a


def normal_like(rng: Any, x: Array, shape: tuple[int, ...] | None = None) -> Array:
    """Standard normal noise with the namespace, dtype, device and (unless `shape` is given) the shape of x.

    A NumPy generator draws on the host and the numbers are moved, so that a seed means the same on every backend;
    any other generator (CuPy's) draws on its own device.
    """
    if rng is None:
        raise ValueError("this draws noise: pass rng, such as np.random.default_rng(0).")
    shape = tuple(x.shape) if shape is None else shape
    if not isinstance(rng, np.random.Generator):
        return rng.standard_normal(shape, dtype=x.dtype)
    single = x.dtype == namespace(x).float32
    return cast(rng.standard_normal(shape, dtype=np.float32 if single else np.float64), x)


def matmul(a: Array, b: Array, out: Array) -> None:
    """out[...] = a @ b, with no temporary where the namespace can write in place."""
    xp = namespace(a)
    if array_api_compat.is_numpy_namespace(xp) or array_api_compat.is_cupy_namespace(xp):
        xp.matmul(a, b, out=out)
    else:
        out[...] = a @ b
