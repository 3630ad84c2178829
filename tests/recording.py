"""Arrays that compute with NumPy and pass for CuPy's: what the core asks of CuPy, held to what CuPy has.

CuPy installs and imports without a GPU, so its functions, their signatures and the dtypes of its ufuncs can be looked
at, though nothing can be computed. An array of this module is of a namespace whose every function is bound to the
arguments by the signature of array_api_compat.cupy's; its operators are CuPy's ufuncs, whose dtypes must take the
operands and give NumPy's dtype; its attributes must be those of cupy.ndarray. What CuPy refuses is refused: NumPy's
arrays beside its own, lists where arrays belong, conversion to NumPy but by .get(); and so is what it does in silence,
an index out of range that wraps. What breaks a rule raises Refused, whose sentence names it.

    python tests/recording.py           the table of all that the core calls
"""

import contextlib
import functools
import inspect
import operator
from collections import Counter
from unittest import mock

import array_api_compat
import array_api_compat.numpy as xnp
import cupy
import numpy as np
from array_api_compat import cupy as xcupy
from array_api_compat.common import _helpers

from tinydiff.app.selftest.agreement import compare

CALLS: Counter = Counter()
"""How often each name was called: functions by name, operators as x + y is "+", attributes as ".T"."""

OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "matmul": "@", "and": "&", "or": "|",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=", "neg": "-x", "invert": "~", "abs": "abs",
}  # fmt: skip
UFUNCS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power", "and": "bitwise_and",
    "or": "bitwise_or", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
    "ne": "not_equal", "neg": "negative", "invert": "invert", "abs": "absolute",
}  # fmt: skip
LISTS = {"concat", "stack"}
"""The functions that take a list of arrays."""
GIVES_ARRAYS = {"asarray"}
"""The functions that take NumPy's arrays."""


class Refused(AssertionError):
    """A sentence on a call that CuPy does not take, or that the core should not make."""


class Recorded:
    """An array of NumPy's that shows what cupy.ndarray has, and no more."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, a):
        self._a = np.asarray(a)

    def __array_namespace__(self, api_version=None):
        return NAMESPACE

    def __array__(self, *args, **kwargs):
        raise Refused("an array of the device was turned into NumPy's without to_numpy, which CuPy refuses.")

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        others = ", ".join(f"{type(a).__name__} of {a.dtype}" for a in inputs if isinstance(a, np.ndarray | np.generic))
        raise Refused(f"np.{ufunc.__name__} met an array of the device{others and f' and {others}'}.")

    def __array_function__(self, function, types, args, kwargs):
        if function not in (np.shape, np.ndim):  # which look at the array's own
            raise Refused(f"np.{function.__name__} was called with an array of the device.")
        return getattr(np, function.__name__)(self._a)

    def __getattr__(self, name):
        if name.startswith("_") or not hasattr(cupy.ndarray, name):
            raise AttributeError(f"cupy.ndarray has no attribute {name}")
        CALLS[f".{name}"] += 1
        if name == "device":
            return cupy.cuda.Device(0)
        if name == "get":
            return self._a.copy
        value = getattr(self._a, name)
        if callable(value):
            raise Refused(f"the standard has no method {name} of an array.")
        return Recorded(value) if isinstance(value, np.ndarray) else value

    def __getitem__(self, key):
        CALLS["x[…]"] += 1
        return Recorded(self._a[index(key, self._a.shape)])

    def __setitem__(self, key, value):
        CALLS["x[…] = y"] += 1
        self._a[index(key, self._a.shape)] = operand(value, "x[…] = y")

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        CALLS["iter"] += 1
        return map(Recorded, self._a)

    def __float__(self):
        CALLS["float"] += 1
        return float(self._a)

    def __bool__(self):
        CALLS["bool"] += 1
        return bool(self._a)

    def __repr__(self):
        return f"Recorded({self._a})"


def operand(a, name):
    """What NumPy computes with in its place: Refused unless it is an array of the device or a Python number."""
    if isinstance(a, Recorded):
        return a._a
    if isinstance(a, np.ndarray | np.generic) or not isinstance(a, bool | int | float | complex):
        raise Refused(f"{name} was given a {type(a).__module__}.{type(a).__name__} beside an array of the device.")
    return a


def index(key, shape):
    """The index for NumPy: slices, integers, None and …; arrays of the device, in range, since CuPy's wrap."""
    for at, k in enumerate(key if isinstance(key, tuple) else (key,)):
        if isinstance(k, Recorded):
            check_range(k._a, shape[at])
        elif not (k is None or k is Ellipsis or isinstance(k, slice | int)) or isinstance(k, bool):
            raise Refused(f"an array of the device was indexed by a {type(k).__name__}.")
    return tuple(k._a if isinstance(k, Recorded) else k for k in key) if isinstance(key, tuple) else key


def check_range(rows, n):
    """Refused unless all rows are in 0 … n − 1."""
    if rows.dtype.kind in "iu" and rows.size and not (rows.min() >= -n and rows.max() < n):
        raise Refused(f"an index up to {rows.max()} into {n} rows: CuPy would wrap it in silence.")


def check_types(name, ufunc, operands, result):
    """Refused unless CuPy's ufunc has a loop for these operands, and its dtype is that of NumPy's result."""
    common = np.result_type(*(a.dtype if isinstance(a, np.ndarray) else a for a in operands))  # NEP 50, as in CuPy 14
    check_loop(name, ufunc, common, tuple(getattr(a, "dtype", common) for a in operands), result)


@functools.cache
def check_loop(name, ufunc, common, dtypes, result):
    """The same, of dtypes alone, where numbers take the common one."""
    for loop in ufunc.types:
        taken, _, given = loop.partition("->")
        if "E" not in loop and all(map(np.can_cast, dtypes, taken)):  # bfloat16 is none of NumPy's
            if np.dtype(given) != result:
                raise Refused(f"{name} of {common} is {np.dtype(given)} in CuPy and {result} in NumPy.")
            return
    raise Refused(f"CuPy's {name} has no loop for {', '.join(map(str, dtypes))}.")


def make_operator(name, reflected=False):
    """The operator of cupy.ndarray by this name, such as __add__ or __radd__."""
    method, symbol = f"__{'r' * reflected}{name}__", OPERATORS[name]
    compute = getattr(operator, f"__{name}__")

    def apply(self, *others):
        CALLS[symbol] += 1
        if not hasattr(cupy.ndarray, method):
            raise Refused(f"cupy.ndarray has no {method}.")
        operands = [self._a, *(operand(a, symbol) for a in others)]
        operands = operands[::-1] if reflected else operands
        with np.errstate(all="ignore"):  # a GPU says nothing
            result = np.asarray(compute(*operands))
        if name in UFUNCS:
            check_types(symbol, getattr(cupy, UFUNCS[name]), operands, result.dtype)
        return Recorded(result)

    setattr(Recorded, method, apply)


for _name in OPERATORS:
    make_operator(_name)
    if _name in ("add", "sub", "mul", "truediv", "pow", "matmul", "and", "or"):
        make_operator(_name, reflected=True)


class Namespace:
    """array_api_compat.cupy by its signatures, computed by array_api_compat.numpy."""

    __name__ = "array_api_compat.cupy"  # so that the backend takes its way for CuPy

    def __getattr__(self, name):
        if not hasattr(xcupy, name):
            raise Refused(f"array_api_compat.cupy has no {name}.")
        if not callable(getattr(xcupy, name)) or isinstance(getattr(xcupy, name), type):
            CALLS[name] += 1
            return getattr(xnp, name)  # a dtype or a constant
        return lambda *args, **kwargs: call(name, args, kwargs)


NAMESPACE = Namespace()


def call(name, args, kwargs):
    """The function of this name: bound to CuPy's signature, counted, and computed by NumPy's."""
    CALLS[name] += 1
    bind(name, args, kwargs)
    for a in (*args, *kwargs.values()):
        if isinstance(a, list) and name in LISTS:
            for each in a:
                if not isinstance(each, Recorded):
                    raise Refused(f"{name} was given a list with a {type(each).__name__} in it.")
        elif isinstance(a, list) or (isinstance(a, np.ndarray | np.generic) and name not in GIVES_ARRAYS):
            raise Refused(f"{name} was given a {type(a).__module__}.{type(a).__name__}, which is not of the device.")
    if name == "take":
        check_range(args[1]._a, args[0].shape[kwargs["axis"]])
    kwargs = {key: plain(value) for key, value in kwargs.items() if key != "device"}
    with np.errstate(all="ignore"):
        result = getattr(xnp, name)(*map(plain, args), **kwargs)
    if isinstance(ufunc := getattr(xcupy, name), cupy.ufunc) and "out" not in kwargs:
        check_types(name, ufunc, [plain(a) for a in args], np.asarray(result).dtype)
    return Recorded(result) if isinstance(result, np.ndarray | np.number | np.bool_) else result


def plain(a):
    """What NumPy's function takes in its place."""
    if isinstance(a, list | tuple):
        return type(a)(map(plain, a))
    return a._a if isinstance(a, Recorded) else a


def bind(name, args, kwargs):
    """Refused unless the arguments fit CuPy's signature; a ufunc has none, and is asked for its number of inputs."""
    function = getattr(xcupy, name)
    if isinstance(function, cupy.ufunc):
        if len(args) != function.nin or kwargs.keys() - {"out", "dtype", "casting"}:
            raise Refused(f"CuPy's {name} takes {function.nin} arrays; got {len(args)} and {', '.join(kwargs)}.")
        return
    signature = inspect.signature(function)
    try:
        passed_on = signature.bind(*args, **kwargs).arguments.get("kwargs", {})
    except TypeError as error:
        raise Refused(f"CuPy's {name}{signature} does not take the call: {error}.") from None
    if passed_on and (unknown := passed_on.keys() - inspect.signature(getattr(cupy, name)).parameters):
        raise Refused(f"CuPy's {name} has no {', '.join(unknown)}.")


@contextlib.contextmanager
def recording():
    """Count calls anew, and take Recorded arrays for CuPy's where array_api_compat asks."""
    CALLS.clear()

    def is_recorded(x):
        return isinstance(x, Recorded)

    def move(x, device, stream=None):
        return x.get() if device == "cpu" else x

    with (
        mock.patch.object(array_api_compat, "is_cupy_array", is_recorded),
        mock.patch.object(_helpers, "is_cupy_array", is_recorded),
        mock.patch.object(_helpers, "_cupy_to_device", move),  # whose other half asks a GPU
    ):
        yield CALLS


def functions():
    """The names of functions that were called, sorted."""
    return sorted(name for name in CALLS if callable(getattr(xcupy, name, None)) and not is_type(name))


def is_type(name):
    """Whether the name is of a dtype."""
    return isinstance(getattr(xcupy, name), type)


def signature_of(name):
    """What CuPy takes: a signature, or the loops of a ufunc."""
    function = getattr(xcupy, name)
    return " ".join(function.types) if isinstance(function, cupy.ufunc) else str(inspect.signature(function))


def main():
    """Run the core suite on recorded arrays and print what it called."""
    with recording():
        for line in compare(Recorded):
            if line.error:
                print(f"{line.piece}, {line.name}: {line.error}")
        for name in functions():
            print(f"{name:20}{CALLS[name]:8}   {signature_of(name)}")
        for name in sorted(CALLS.keys() - set(functions())):
            print(f"{name:20}{CALLS[name]:8}")


if __name__ == "__main__":
    main()
