"""The libraries that the self-test opens, by name: how an array of NumPy's comes to each, on the device asked for."""

import importlib
from typing import Any

import numpy as np

from tinydiff.app.selftest.core import To
from tinydiff.backend import device_like, first_line


def open_library(name: str, device: str | None = None) -> To:
    """A function from NumPy's arrays to those of "numpy", "strict", "torch" or "cupy", on the device of this name.

    device: strict's "device1" and PyTorch's "cpu" unless given, a number of CuPy's. ValueError, in one sentence, where
    the library or the device is not there.
    """
    if name == "cupy":
        device_like("gpu")  # raises, with the reason
    try:
        if name == "numpy":
            return numpy_there(device)
        if name == "strict":
            strict = importlib.import_module("array_api_strict")
            place = strict.Device(device or "device1")
            return lambda a: strict.asarray(a, device=place)
        if name == "torch":
            torch = importlib.import_module("torch")
            torch.asarray(np.zeros(1), device=device).sum().item()
            return lambda a: torch.asarray(a, device=device)
        if name == "cupy":
            return cupy_there(int(device or 0))
    except ImportError as error:
        raise ValueError(f"{name} cannot be imported: {first_line(error)}.") from error
    except Exception as error:  # each library has types of its own for a device that is not there
        raise ValueError(f"{name} has no device {device!r}: {first_line(error)}.") from error
    raise ValueError(f"library must be numpy, strict, torch or cupy; got {name!r}.")


def numpy_there(device: str | None) -> To:
    """NumPy's own: the host is all there is."""
    if device not in (None, "cpu"):
        raise ValueError("NumPy computes on the cpu alone")
    return np.asarray


def cupy_there(number: int) -> To:
    """CuPy's, with this GPU current from here on: what the core makes anew is made there."""
    cupy = importlib.import_module("cupy")
    cupy.cuda.Device(number).use()
    cupy.zeros(1)

    def to(a: np.ndarray) -> Any:
        return cupy.asarray(a)

    return to
