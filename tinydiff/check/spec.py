"""A specification: a function's signature, the laws that define it, and the mistakes that people make in it.

A law is a function of f, the function under test, and of the arguments that it holds for all of. It yields pairs
(yours, expected), or triples with a word on what they are, and gets ``expected`` by another route than one would take
to write f::

    @q_sample.law("at t = 1 it is one step: √(1 − β_1) of x_0 and √β_1 of ε")
    def _(f, betas):
        yield f(one, 1, zero, betas), np.sqrt(1 - betas[0])
        yield f(zero, 1, one, betas), np.sqrt(betas[0])
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from tinydiff.check.domains import Domain
from tinydiff.check.form import Shapes, Test, in_tuple, laws_of_form, listed
from tinydiff.check.probe import Probe
from tinydiff.check.pullback import opened

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
    """What a student's function must be: its signature, its laws, and the mistakes that people make in it.

    It shows itself as text, and in a notebook as a box. To make one registers it under its name.

    Parameters
    ----------
    signature : str
        The function's name, its arguments with their defaults, and what it returns. Where that is a pullback, the
        pullback's own signature follows: "mlp(params, x) -> (y, pullback); pullback(dy) -> (dparams, dx)".
    statement : str
        What it must be, as an equation.
    source : str
        The paper and the equation.
    domains : tuple of Domain
        The arguments that laws are tried on.
    returns : dict
        The name of each output, and a function of the arguments that gives the shapes that it may have.
    about : str
        What the arguments are, and where several answers are right.
    laws : list of Law
        Those of form come first; ``law`` adds to them.
    mistakes : list of Mistake
        Those that hints know; ``mistake`` adds to them.

    Raises
    ------
    ValueError
        Where the name has a specification already.

    Examples
    --------
    >>> from tinydiff.check import spec
    >>> print(spec("snr").signature)
    snr(t, betas) -> ratio
    >>> print(spec("snr").source)
    Kingma et al. 2021, VDM, eq. 2, with DDPM's ᾱ
    """

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
            raise ValueError(f"{self.name} has a specification already; SPECS.pop({self.name!r}) forgets it.")
        SPECS[self.name] = self
        for statement, test in laws_of_form(self.names, self.returns, self.domains):
            names = tuple(inspect.signature(test).parameters)[1:] and self.names
            self.laws.append(Law(statement, test, names, of_form=True))

    @property
    def name(self) -> str:
        """The function's name."""
        return self.signature.split("(")[0]

    @property
    def parameters(self) -> list[str]:
        """As written in the signature, defaults included."""
        return re.findall(r"[^,()]+", self.signature.split("->")[0].split("(", 1)[1].replace(" ", ""))

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names of its arguments."""
        return tuple(parameter.split("=")[0] for parameter in self.parameters)

    @property
    def pullback(self) -> tuple[str, ...]:
        """The names of the arguments of the pullback that it returns, if any."""
        return tuple(re.findall(r"; pullback\((\w+)\)", self.signature))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all arguments that laws try: its own, and those of its pullback."""
        return self.own_names + self.pullback

    @property
    def convention(self) -> str:
        """What all functions of a chain have in common."""
        if "betas" not in self.names:
            return ""
        times = "t is an integer from 1 to T, β_t = betas[t − 1]" if "t" in self.names else "β_t = betas[t − 1]"
        return f"DDPM's notation: {times}, ᾱ_t = ∏ (1 − β_s) over s = 1, …, t and ᾱ_0 = 1."

    def probe(self, function: Callable) -> Probe:
        """The function, as laws see it."""
        return Probe(function, list(self.returns), opened(function) if self.pullback else None)

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

            for k in (2, 1000):
                for once, more in zip(value(), value(k), strict=True):
                    yield more, k * once, f"with {listed(names)} times {k}, and {k} times the answer"
            for new, old, one in zip(value(1, 1), value(), value(0, 1), strict=True):
                yield new, old + one, f"with 1 added to {listed(names)}, and the sum of both answers"

        which = [list(self.returns)[i] for i in outputs] if len(self.returns) > 1 else ["the answer"]
        verb = "is" if len(which) == 1 else "are"
        self.laws.append(Law(f"{listed(which)} {verb} linear in {listed(names)}", test, self.names))

    def mistake(self, words: str, function: Callable) -> None:
        """Register a mistake, for hints."""
        self.mistakes.append(Mistake(words, function))

    def __repr__(self) -> str:
        texts = [text for text in (self.about, self.convention) if text]
        lines = [self.signature, "", f"    {self.statement}", "", *texts]
        return "\n".join([*lines, f"Source: {self.source}.", "Laws:", *(f"  - {law.statement}" for law in self.laws)])

    def _repr_html_(self) -> str:
        laws = "".join(f"<li>{escape(law.statement)}</li>" for law in self.laws)
        about = "".join(f"<p>{escape(text)}</p>" for text in (self.about, self.convention) if text)
        head = f"<code>{escape(self.signature)}</code><p><b>{escape(self.statement)}</b></p>{about}"
        return f"{head}<p>{escape(self.source)}</p><details><summary>Its laws</summary><ul>{laws}</ul></details>"


SPECS: dict[str, Spec] = {}
