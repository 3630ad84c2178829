"""A specification: a function's signature, the laws that define it, and the mistakes that people make in it.

A law is a function of f, the function under test, and of the arguments that it holds for all of. It yields pairs
(yours, expected), or triples with a word on what they are, and gets `expected` by another route than one would take to
write f:

    @q_sample.law("at t = 1 it is one step: √(1 − β_1) of x_0 and √β_1 of ε")
    def _(f, betas):
        yield f(one, 1, zero, betas), np.sqrt(1 - betas[0])
        yield f(zero, 1, one, betas), np.sqrt(betas[0])
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from tinydiff.check.domains import Domain
from tinydiff.check.probe import ANSWERS, Broken, Probe

Shapes = Callable[[Mapping[str, Any]], set[tuple[int, ...]]]  # of the arguments: the shapes that an output may have
Test = Callable[..., Iterator[tuple]]

PURE = "Draw nothing inside and keep nothing between calls: noise is an argument."
SIGNATURE = "it takes the arguments of the signature"


@dataclass(frozen=True)
class Law:
    """What holds for all values of the arguments `names`; a law of form is tried with each of them alone."""

    statement: str
    test: Test
    names: tuple[str, ...]
    of_form: bool = False


@dataclass(frozen=True)
class Mistake:
    """What one wrote, in words that go on from "consistent with", and the function that it makes."""

    words: str
    function: Callable


@dataclass(frozen=True, repr=False)
class Spec:
    """What a student's function must be. `returns` gives the shapes that each output may have."""

    signature: str
    statement: str
    source: str
    domains: tuple[Domain, ...]
    returns: dict[str, Shapes]
    about: str = ""  # what the arguments are, and where several answers are right
    laws: list[Law] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.name in SPECS:
            raise ValueError(f"{self.name} has a specification already.")
        SPECS[self.name] = self
        for statement, test in laws_of_form(self):
            self.laws.append(Law(statement, test, self.names, of_form=True))

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.split("(")[0]

    @property
    def parameters(self) -> list[str]:
        """As written in the signature, defaults included."""
        return re.findall(r"[^,()]+", self.signature.split("->")[0].split("(", 1)[1].replace(" ", ""))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its arguments."""
        return tuple(parameter.split("=")[0] for parameter in self.parameters)

    def probe(self, function: Callable) -> Probe:
        """The function, as laws see it."""
        return Probe(function, list(self.returns))

    def law(self, statement: str) -> Callable[[Test], Test]:
        """Register a law; the parameters of its test, but for f, are the arguments that it holds for all of."""

        def register(test: Test) -> Test:
            self.laws.append(Law(statement, test, tuple(inspect.signature(test).parameters)[1:]))
            return test

        return register

    def linear(self, *names: str, outputs: Sequence[int] = (0,)) -> None:
        """The law that outputs are linear in these arguments together: f(2a) = 2 f(a) and f(a + 1) = f(a) + f(1)."""

        def test(f: Probe, /, **args: Any) -> Iterator[tuple]:
            def value(scale: float = 1, shift: float = 0) -> list[Any]:
                out = in_tuple(f(*[scale * args[n] + shift if n in names else args[n] for n in self.names]))
                return [out[i] for i in outputs]

            here = value()
            for k in (2, 1000):
                for once, more in zip(here, value(k), strict=True):
                    yield more, k * once, f"with {listed(names)} times {k}, and {k} times the answer"
            for new, old, one in zip(value(1, 1), here, value(0, 1), strict=True):
                yield new, old + one, f"with 1 added to {listed(names)}, and the sum of both answers"

        which = [list(self.returns)[i] for i in outputs] if len(self.returns) > 1 else ["the answer"]
        verb = "is" if len(which) == 1 else "are"
        self.laws.append(Law(f"{listed(which)} {verb} linear in {listed(names)}", test, self.names))

    def mistake(self, words: str, function: Callable) -> None:
        """Register a mistake, for hints."""
        self.mistakes.append(Mistake(words, function))

    def __repr__(self) -> str:
        lines = [self.signature, "", f"    {self.statement}", "", *([self.about] if self.about else [])]
        return "\n".join([*lines, f"Source: {self.source}.", "Laws:", *(f"  - {law.statement}" for law in self.laws)])

    def _repr_html_(self) -> str:
        laws = "".join(f"<li>{escape(law.statement)}</li>" for law in self.laws)
        about = f"<p>{escape(self.about)}</p>" if self.about else ""
        head = f"<code>{escape(self.signature)}</code><p><b>{escape(self.statement)}</b></p>{about}"
        return f"{head}<p>{escape(self.source)}</p><details><summary>Its laws</summary><ul>{laws}</ul></details>"


SPECS: dict[str, Spec] = {}


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


# ---- shapes


def scalar(_: Mapping[str, Any]) -> set[tuple[int, ...]]:
    """A number."""
    return {()}


def like(name: str) -> Shapes:
    """The shape of an argument."""
    return lambda args: {np.shape(args[name])}


def spread(name: str) -> Shapes:
    """A number, or an array that broadcasts to the shape of an argument."""

    def shapes(args: Mapping[str, Any]) -> set[tuple[int, ...]]:
        b, d = np.shape(args[name])
        return {(), (1,), (b, d), (b, 1), (1, d), (1, 1)}

    return shapes


def row_each(name: str) -> Shapes:
    """A number for each row of an argument."""
    return lambda args: {np.shape(args[name])[:1]}


# ---- laws of form


def laws_of_form(spec: Spec) -> Iterator[tuple[str, Test]]:
    """Of every specification, in this order; the first is broken by Probe itself."""

    def answers(f: Probe, /, **args: Any) -> Iterator[tuple]:
        f(*args.values())
        yield from ()

    def shape(f: Probe, /, **args: Any) -> Iterator[tuple]:
        for (name, shapes), out in zip(spec.returns.items(), in_tuple(f(*args.values())), strict=True):
            allowed = sorted(shapes(args), key=lambda s: (-len(s), s))
            if out.shape not in allowed:
                raise Broken(f"{name} of shape {out.shape}", " or ".join(map(str, dict.fromkeys(allowed))))
        yield from ()

    def precision(f: Probe, /, **args: Any) -> Iterator[tuple]:
        for name, out in zip(spec.returns, in_tuple(f(*args.values())), strict=True):
            if (out.ndim and out.dtype.kind != "f") or (out.dtype.kind == "f" and out.dtype.itemsize < 8):
                fix = "Numbers were rounded on the way." if out.dtype.kind == "f" else "Fractions are cut off in it."
                raise Broken(f"{name} of dtype {out.dtype}", "float64, as the arguments", fix)
        yield from ()

    def unchanged(f: Probe, /, **args: Any) -> Iterator[tuple]:
        mine = [np.copy(a) if isinstance(a, np.ndarray) else a for a in args.values()]
        f.calls.append(tuple(args.values()))
        f.answer(mine)
        for (name, before), after in zip(args.items(), mine, strict=True):
            if isinstance(before, np.ndarray) and not np.array_equal(before, after):
                fix = f"`{name} = {name} + …` makes a new array; `{name} += …` and `{name}[…] = …` change the caller's."
                raise Broken(after, before, fix, what=f"{name} after the call")
        yield from ()

    def again(f: Probe, /, **args: Any) -> Iterator[tuple]:
        first, second = in_tuple(f(*args.values())), in_tuple(f(*args.values()))
        for one, other in zip(first, second, strict=True):
            if not np.array_equal(one, other, equal_nan=True):
                raise Broken(other, one, PURE, what="the second call, and the first")
        yield from ()

    def finite(f: Probe, /, **args: Any) -> Iterator[tuple]:
        for out in in_tuple(f(*args.values())):
            if not np.all(np.isfinite(out)):
                met = f"NumPy met: {', '.join(sorted(f.complaints))}. " if f.complaints else ""
                fix = "Look for a division by 0, or a root or logarithm of a negative number."
                raise Broken(out, "finite numbers", met + fix)
        yield from ()

    yield ANSWERS, answers
    yield f"{listed(list(spec.returns))} has the right shape", shape
    yield "it answers in float64, as it is asked", precision
    if any(
        isinstance(a, np.ndarray) for domain in spec.domains for case in (*domain.small, *domain.batches) for a in case
    ):
        yield "it leaves its arguments as they were", unchanged
    yield "the same arguments give the same answer", again
    yield "the answer is finite", finite
    if any(domain.batches for domain in spec.domains) and scalar not in spec.returns.values():
        yield "each row of a batch has the answer that it has alone", rows(spec)


def rows(spec: Spec) -> Test:
    """The law that a batch is so many answers: one for each row, and where it is elementwise one for each number."""
    batched = {name for domain in spec.domains if domain.batches for name in domain.names}
    elementwise = any(domain.elementwise for domain in spec.domains)

    def test(f: Probe, /, **args: Any) -> Iterator[tuple]:
        size = max(len(np.atleast_1d(args[name])) for name in batched)
        if size == 1:
            return
        together = in_tuple(f(*args.values()))
        for i in range(size):
            row = {n: a[i : i + 1] if n in batched else a for n, a in args.items()}
            for one, all_ in zip(in_tuple(f(*row.values())), together, strict=True):
                if len(np.atleast_1d(all_)) == size:
                    yield all_[i], np.atleast_1d(one)[0], f"row {i} of the batch, and the same row alone"
        if elementwise and together[0].ndim == 2:
            for j in range(together[0].shape[1]):
                column = {n: a[:, j : j + 1] if n in batched else a for n, a in args.items()}
                alone = in_tuple(f(*column.values()))[0]
                yield together[0][:, j], alone[:, 0], f"column {j} of the batch, and the same column alone"

    return test


def in_tuple(out: Any) -> tuple[np.ndarray, ...]:
    """The outputs, be they one or several."""
    return out if isinstance(out, tuple) else (out,)
