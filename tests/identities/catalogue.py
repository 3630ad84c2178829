"""What an identity is: a test with a number, two tolerances and the bugs that it must catch."""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings

DTYPES = {"float64": np.float64, "float32": np.float32}


@dataclass(frozen=True)
class Hold:
    """Asserts that two arrays agree to what the identity holds to in `dtype`."""

    dtype: type
    tolerance: float

    def __call__(self, actual: Any, expected: Any, scale: Any = 0.0) -> None:
        """|actual − expected| ≤ tolerance · max(|expected|, scale), and what came out has the dtype that went in."""
        if hasattr(actual, "dtype"):
            assert actual.dtype == self.dtype, f"{self.dtype.__name__} in, {actual.dtype} out"
        actual, expected = np.broadcast_arrays(np.asarray(actual, np.float64), np.asarray(expected, np.float64))
        bound = self.tolerance * np.maximum(np.abs(expected), scale)
        worst = np.argmax(np.abs(actual - expected) - bound) if actual.size else None
        assert np.all(np.abs(actual - expected) <= bound), (
            f"{actual.flat[worst]!r} is not {expected.flat[worst]!r} to {bound.flat[worst]:.3g}"
        )

    def cast(self, *arrays: Any) -> Any:
        """The arrays in this dtype; what the library is given."""
        cast = [np.asarray(a, self.dtype) for a in arrays]
        return cast if len(cast) > 1 else cast[0]


@dataclass(frozen=True)
class Bug:
    """One wrong line: `right` written as `wrong` in a function of the library."""

    function: Any
    right: str
    wrong: str

    @property
    def target(self) -> Callable:
        """The plain function, inside a property too."""
        return getattr(self.function, "fget", None) or getattr(self.function, "func", None) or self.function

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The function computes with the wrong line, for all who hold a reference to it."""
        target = self.target
        source = textwrap.dedent(inspect.getsource(target))
        assert source.count(self.right) == 1, f"{self.right!r} must stand once in {target.__qualname__}"
        code = compile(source.replace(self.right, self.wrong), inspect.getfile(target), "exec", _future(target))
        scope = dict(target.__globals__)
        exec(code, scope)
        wrong = scope[target.__name__]
        wrong = getattr(wrong, "fget", None) or getattr(wrong, "func", None) or getattr(wrong, "__func__", wrong)
        right, target.__code__ = target.__code__, wrong.__code__
        try:
            yield
        finally:
            target.__code__ = right


def _future(function: Callable) -> int:
    return function.__code__.co_flags & 0x1000000  # from __future__ import annotations


@dataclass(frozen=True)
class Identity:
    """What docs/identities.md says of a test beside its docstring."""

    number: int
    float64: float
    float32: float | str
    """The tolerance, or why there is none in single precision."""
    bugs: tuple[Bug, ...]

    @property
    def holds(self) -> list[Hold]:
        """One for each precision that has a tolerance."""
        tolerances = {"float64": self.float64, "float32": self.float32}
        return [Hold(DTYPES[name], tol) for name, tol in tolerances.items() if not isinstance(tol, str)]


def identity(number: int, *, float64: float, float32: float | str, bugs: list[tuple[Any, str, str]]) -> Callable:
    """Make a test an identity: it takes `hold`, beside what Hypothesis and parametrize give, and no fixtures.

    bugs: (function of the library, a right piece of its text, a wrong one); the first function is what it is about.
    """
    this = Identity(number, float64, float32, tuple(Bug(*bug) for bug in bugs))

    def mark(test: Callable) -> Callable:
        test.identity = this
        return pytest.mark.parametrize("hold", this.holds, ids=lambda hold: hold.dtype.__name__)(test)

    return mark


def run(test: Callable) -> None:
    """Run an identity over all its parameters, as pytest would; Hypothesis does not shrink what it finds."""
    if hasattr(test, "hypothesis"):
        before = test._hypothesis_internal_use_settings
        test._hypothesis_internal_use_settings = settings(before, phases=(Phase.explicit, Phase.generate), database=None)
    try:
        marks = [mark for mark in test.pytestmark if mark.name == "parametrize"]
        for case in product(*(_cases(mark) for mark in marks)):
            test(**{name: value for values in case for name, value in values.items()})
    finally:
        if hasattr(test, "hypothesis"):
            test._hypothesis_internal_use_settings = before


def _cases(mark: pytest.Mark) -> Iterator[dict[str, Any]]:
    names = [name.strip() for name in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
    for values in mark.args[1]:
        values = getattr(values, "values", values) if not isinstance(values, dict) else values
        yield dict(zip(names, values if len(names) > 1 else [values], strict=True))
