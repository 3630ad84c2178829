"""To judge an answer, to keep a function that is right, and to say whose functions draw a figure."""

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from html import escape
from types import EllipsisType
from typing import Any, NamedTuple

from tinydiff.check import Report, check
from tinydiff.check.engine import is_thrown_away
from tinydiff.check.grading.child import is_empty
from tinydiff.check.report import spelled
from tinydiff.course.file import Mine, mine, missing, said, source_of
from tinydiff.plotting import BUG, EXACT, YOURS


@dataclass(frozen=True, repr=False)
class Verdict:
    """What a test says of an answer: a sentence for each part of it, and whether that is right; none for no answer."""

    name: str
    parts: tuple[tuple[bool, str], ...] = ()
    note: str = ""

    def __bool__(self) -> bool:
        return bool(self.parts) and all(right for right, _ in self.parts)

    @property
    def points(self) -> float:
        """The share of the parts that are right."""
        return sum(right for right, _ in self.parts) / max(len(self.parts), 1)

    def __repr__(self) -> str:
        lines = [f"{'✓' if right else '✗'} {sentence}" for right, sentence in self.parts]
        return "\n".join(
            [f"{self.name}: not yet." if not lines else f"{self.name}:", *lines, *filter(None, [self.note])]
        )

    def __str__(self) -> str:
        return spelled(repr(self), getattr(sys.stdout, "encoding", None) or "utf-8")

    def show(self) -> None:
        """Print it, where nobody else does."""
        print(self)

    def _repr_html_(self) -> str:
        colour = "#8a8a8a" if not self.parts else "#1a7f37" if self else "#c62828"
        lines = "<br>".join(escape(line) for line in repr(self).split("\n"))
        return f'<div style="border-left: 4px solid {colour}; padding: .4em 1em">{"○ " * (not self.parts)}{lines}</div>'


def keep(
    *answers: Any, spec: str | None = None, test: Callable | None = None, into: Mine | None = mine
) -> Report | Verdict:
    """Judge an answer; write it into ``mine.py`` where it is one function, and right.

    Parameters
    ----------
    answers : function, or whatever the test takes
        One function with laws in ``check``; with ``test``, one answer or several. Where one is ``...``, or a function
        without a body, the answer is "not yet".
    spec : str, optional
        The name of the laws, where it is not the function's.
    test : callable, optional
        What judges in the place of laws: test(*answers) gives a bool, or pairs of a bool and a sentence.
    into : Mine, optional
        Where a function is written; None to judge alone, as for a proof or a program that was mended.

    Returns
    -------
    Report or Verdict
        True where the answer is right and, if it is a function, kept. It shows itself.

    Raises
    ------
    TypeError
        For several answers or for one that is no function, without a test; for a test that cannot be called.

    Examples
    --------
    >>> from tinydiff.course import keep
    >>> keep(0.5, test=lambda share: [(share == 0.5, f"as much signal as noise: {share}")])
    <lambda>:
    ✓ as much signal as noise: 0.5
    >>> keep(..., test=lambda share: share == 0.5)
    <lambda>: not yet.
    """
    for answer in answers:
        lend(answer, into or mine)
    is_function = len(answers) == 1 and callable(answers[0])
    found: Report | Verdict
    if test is not None and not callable(test):
        raise TypeError(f"test must be a function of the answers; got {test!r:.60}.")
    if test is not None:
        found = _tested(answers[0].__name__ if is_function else test.__name__.replace("_", " "), test, answers)
    elif is_function:
        found = check(answers[0], spec)
    else:
        raise TypeError(f"keep takes one function, or answers and a test=; got {len(answers)} answers and no test.")
    if found and is_function and into is not None:
        found = _written(answers[0], found, into)
    if is_thrown_away(sys._getframe(1)):
        found.show()
    return found


def lend(answer: Any, file: Mine) -> None:
    """Let a function call those of mine.py by their bare names, as it will within that file."""
    for name in missing(answer) if inspect.isfunction(answer) else ():
        with suppress(AttributeError):
            answer.__globals__[name] = getattr(file, name)


def _tested(name: str, test: Callable, answers: tuple) -> Verdict:
    """What the test says; an answer that is still to be written is no answer."""
    if any(isinstance(answer, EllipsisType) or is_empty(answer) for answer in answers):
        return Verdict(name)
    try:
        marks = test(*answers)
        parts = ((bool(marks), "It passes its test." if marks else "It does not pass its test."),)
        return Verdict(name, tuple(marks) if isinstance(marks, Iterator | list | tuple) else parts)
    except Exception as error:
        return Verdict(name, ((False, f"{type(error).__name__}: {said(error)}"),))


def _written(function: Callable, found: Report | Verdict, into: Mine) -> Report | Verdict:
    """The same, with a word on the file, into which the function was written; or why it cannot be."""
    try:
        into.write(function.__name__, source_of(function))
    except Exception as error:
        rule = f"{into.path} imports NumPy alone, as np; all else is an argument, or a kept function by its bare name."
        return Verdict(found.name, ((True, "It is right."), (False, f"It cannot be kept: {said(error)}. {rule}")))
    note = f"Kept: {into!r}"
    return replace(found, hint=note) if isinstance(found, Report) else replace(found, note=note)


class Credit(NamedTuple):
    """The colour of a figure, and the words of its title."""

    color: str
    title: str


def credit(*names: str, library: str = EXACT, of: Mine = mine) -> Credit:
    """Say whose functions draw a figure, in its colour and its title.

    Parameters
    ----------
    names : str
        The functions that the figure takes from ``mine``.
    library : str
        The colour where the library's stand in: EXACT, or MODEL for what the library has learned.
    of : Mine
        The file.

    Returns
    -------
    Credit
        Green where all are the reader's, purple where one is tried as it is, and the library's colour otherwise.

    Raises
    ------
    ValueError
        Where no function is named.

    Examples
    --------
    >>> from tinydiff.course import Mine, credit
    >>> credit("q_step", of=Mine("no_such_file.py"))
    Credit(color='#0072B2', title='by the library: your q_step is not there yet')
    """
    if not names:
        raise ValueError("credit takes the names of functions, such as credit('q_step'); got none.")
    tried = [name for name in names if of.tries(name)]
    absent = [name for name in names if name not in tried and not of.own(name)]
    if tried:
        color, title = BUG, f"by your {listed(tried)} as it is, right or wrong"
    elif absent:
        verb = "is" if len(absent) == 1 else "are"
        color, title = library, f"by the library: your {listed(absent)} {verb} not there yet"
    else:
        color, title = YOURS, f"by your {listed(names)}"
    return Credit(color, textwrap.fill(title, 72))


def listed(names: Sequence[str]) -> str:
    """The names in a sentence."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
