"""What an identity is: a test with a number and two tolerances, and the bugs that it must catch, in planted/."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings

from identities.bugs import Bug, plain
from identities.planted import bugs_of

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
class Identity:
    """What docs/identities.md says of a test beside its docstring."""

    number: int
    about: Callable
    """The function of the library that the law is about."""
    float64: float
    float32: float | str
    """The tolerance, or why there is none in single precision."""

    @property
    def bugs(self) -> tuple[Bug, ...]:
        """What turns it red."""
        return bugs_of(self.number)

    @property
    def holds(self) -> list[Hold]:
        """One for each precision that has a tolerance."""
        tolerances = {"float64": self.float64, "float32": self.float32}
        return [Hold(DTYPES[name], tol) for name, tol in tolerances.items() if not isinstance(tol, str)]


def identity(number: int, about: Any, *, float64: float, float32: float | str) -> Callable:
    """Make a test an identity: it takes `hold`, beside what Hypothesis and parametrize give, and no fixtures."""
    this = Identity(number, plain(about), float64, float32)

    def mark(test: Callable) -> Callable:
        test.identity = this
        return pytest.mark.parametrize("hold", this.holds, ids=lambda hold: hold.dtype.__name__)(test)

    return mark


@dataclass(frozen=True)
class Erratum:
    """A formula of lecture notes that does not hold, and the identity that kills it."""

    function: Callable
    """The library's, in whose place the wrong one is put."""
    written: str
    correct: str
    breaks: str
    killed_by: int


def erratum(function: Callable, *, written: str, correct: str, breaks: str, killed_by: int) -> Callable:
    """Make a wrong formula an erratum of the function of the library that it takes the place of."""

    def mark(wrong: Callable) -> Callable:
        wrong.erratum = Erratum(plain(function), written, correct, breaks, killed_by)
        return wrong

    return mark


@dataclass(frozen=True)
class Refuted:
    """What is often said, and false: the test shows by how much."""

    claim: str


def refuted(claim: str) -> Callable:
    """Make a test a refutation of the claim."""

    def mark(test: Callable) -> Callable:
        test.refuted = Refuted(claim)
        return test

    return mark


def marked(name: str) -> list[Callable]:
    """All functions of this folder's tests that are an identity, refuted or an erratum, in the order of the files."""
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    modules = [importlib.import_module(f"identities.{file.stem}") for file in files]
    kind = {"identity": Identity, "refuted": Refuted, "erratum": Erratum}[name]
    return [f for module in modules for f in vars(module).values() if isinstance(getattr(f, name, None), kind)]


def identities() -> list[Callable]:
    """The tests in the order of their numbers."""
    return sorted(marked("identity"), key=lambda test: test.identity.number)


def run(test: Callable) -> None:
    """Run an identity over all its parameters, as pytest would; Hypothesis does not shrink what it finds."""
    if hasattr(test, "hypothesis"):
        before = test._hypothesis_internal_use_settings
        phases = Phase.explicit, Phase.generate
        quick = settings(before, phases=phases, database=None, report_multiple_bugs=False)
        test._hypothesis_internal_use_settings = quick
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
