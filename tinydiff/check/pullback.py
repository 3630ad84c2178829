"""A function that returns a pullback, ``mlp(params, x) -> (y, pullback)`` with ``pullback(dy) -> (dparams, dx)``.

Laws see it as one function of all arguments, f(params, x, dy) = (y, dparams, dx), with dparams as one vector.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinydiff.check.probe import ANSWERS, Broken, as_array


def opened(function: Callable) -> Callable:
    """The function of all arguments."""

    def call(params: list[np.ndarray], x: np.ndarray, dy: np.ndarray) -> Any:
        shapes = [param.shape for param in params]
        returned = function(params, x)
        if returned is None or returned is ...:
            return returned
        y, pullback = _pair(returned, "y", "pullback")
        if not callable(pullback):
            fix = "pullback is a function of dy: return it, and do not call it."
            raise Broken(f"a {type(pullback).__name__} for pullback", "a function", fix, ANSWERS)
        dparams, dx = _pair(pullback(dy), "dparams", "dx", of="pullback(dy)")
        return y, _vector(dparams, shapes), dx

    return call


def _pair(returned: Any, *names: str, of: str = "") -> Any:
    """What was returned, or Broken where it is no pair."""
    if isinstance(returned, tuple | list) and len(returned) == 2:
        return returned
    got = f"a {type(returned).__name__}" + (f" of {len(returned)}" if isinstance(returned, tuple | list) else "")
    wanted = f"a tuple ({', '.join(names)})" + (f" of {of}" if of else "")
    raise Broken(got, wanted, f"Return {' and '.join(names)}, in this order.", ANSWERS)


def _vector(dparams: Any, shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """All numbers of a list like params, or Broken where it is not like params."""
    if not isinstance(dparams, tuple | list) or len(dparams) != len(shapes):
        got = f"a {type(dparams).__name__}" + (f" of {len(dparams)}" if isinstance(dparams, tuple | list) else "")
        fix = "dparams has one array for each of params, in the same order."
        raise Broken(f"{got} for dparams", f"a list of {len(shapes)}", fix, ANSWERS)
    arrays = [as_array(array, f"dparams[{i}]") for i, array in enumerate(dparams)]
    for i, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        if array.shape != shape:
            raise Broken(f"dparams[{i}] of shape {array.shape}", f"{shape}, as params[{i}]", law=ANSWERS)
    vector = np.concatenate([array.ravel() for array in arrays])
    floats = [array.dtype for array in arrays if array.dtype.kind == "f"]
    return vector.astype(min(floats, key=lambda dtype: dtype.itemsize, default=vector.dtype))  # so that float32 is seen
