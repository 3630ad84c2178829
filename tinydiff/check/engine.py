"""The check: laws in their order, on cases in order of size, until one is broken."""

import difflib
import dis
import importlib.util
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Literal

from tinydiff.check.domains import drawn
from tinydiff.check.form import PURE
from tinydiff.check.hints import with_hint
from tinydiff.check.judging import cases, judge
from tinydiff.check.probe import STUB, Broken, Probe, in_time
from tinydiff.check.report import Report, call
from tinydiff.check.signature import as_called, takes_the_arguments
from tinydiff.check.spec import SIGNATURE, SPECS, Law, Spec

LEVELS = ("quick", "deep")
EXAMPLES = 100  # that Hypothesis draws for each law at the deep level


class LawBroken(AssertionError):
    """What ``check(…, raises=True)`` raises where a law is broken; its ``report`` is the Report.

    It is an AssertionError, which nbgrader and otter take for a failed test.

    Parameters
    ----------
    report : Report
        What the check has found.

    Examples
    --------
    >>> from tinydiff.check import LawBroken, check
    >>> try:
    ...     check(lambda t, betas: 0.5, "snr", raises=True)
    ... except LawBroken as error:
    ...     print(error.report.law)
    it is the square of what is left of the signal over the variance of the noise, after t single steps
    """

    def __init__(self, report: Report):
        super().__init__(repr(report))
        self.report = report


def specs() -> list[str]:
    """List the names of all functions that ``check`` knows, in the order of the course.

    Returns
    -------
    list of str
        Each is the name of a function, and what ``spec`` and ``check`` take.

    Examples
    --------
    >>> from tinydiff.check import specs
    >>> len(specs())
    56
    >>> specs()[:3]
    ['alpha_bar', 'snr', 'cosine_alpha_bar']
    """
    return list(SPECS)


def spec(name: str) -> Spec:
    """Look up the specification of a function: its signature, what it must be, its source and its laws.

    Parameters
    ----------
    name : str
        The name of the function; ``specs()`` lists all.

    Returns
    -------
    Spec
        It shows itself as text, and in a notebook as a box.

    Raises
    ------
    ValueError
        For a name that is not known, with those that are like it.

    Examples
    --------
    >>> from tinydiff.check import spec
    >>> spec("q_sample").signature
    'q_sample(x0, t, eps, betas) -> x_t'
    >>> print(spec("q_sample").statement)
    x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε
    """
    if not isinstance(name, str) or name not in SPECS:
        near = difflib.get_close_matches(str(name), SPECS, n=3, cutoff=0.5)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"no specification is called {name!r}.{meant} specs() lists all {len(SPECS)}.")
    return SPECS[name]


def check(
    fn: Callable, spec: str | None = None, level: Literal["quick", "deep"] = "quick", raises: bool = False
) -> Report:
    """Try whether a function obeys the laws of its specification, and find the smallest case where it does not.

    Laws are tried one after another, each on its smallest cases first, until one is broken. Whatever the function does,
    the answer is a report: it may raise, print, change its arguments or never return, since a call that takes longer
    than two seconds is given up. Where a line is ``check(f)`` alone, and so nobody would see the report, it is shown.

    Parameters
    ----------
    fn : callable
        The function itself, not called, with the signature that ``spec(name)`` shows.
    spec : str, optional
        The name of the specification, where it is not that of the function.
    level : {"quick", "deep"}
        "quick" tries small cases and random ones, and needs NumPy alone; "deep" goes on with cases that Hypothesis
        draws.
    raises : bool
        Whether to raise LawBroken instead of returning a report that failed, as graders want it.

    Returns
    -------
    Report
        True where all laws hold; else with the first law that does not, the case to paste, both answers and a hint.

    Raises
    ------
    LawBroken
        With ``raises=True``, where a law is broken.
    TypeError
        For what is not a function, and for a function without a name where no specification is given.
    ValueError
        For an unknown name or level.
    ImportError
        At the level "deep" where Hypothesis is not installed.

    References
    ----------
    MacIver et al. 2019 (Hypothesis), which draws the cases of the deep level and makes those that break a law small.

    Examples
    --------
    >>> import numpy as np
    >>> from tinydiff.check import check
    >>> def q_sample(x0, t, eps, betas):
    ...     alpha = 1 - betas[t - 1]
    ...     return np.sqrt(alpha) * x0 + np.sqrt(1 - alpha) * eps
    >>> report = check(q_sample)
    >>> report.passed
    False
    >>> print(report.case)
    q_sample(x0=np.array([[1.0]]), t=2, eps=np.array([[0.0]]), betas=np.array([0.5, 0.5]))
    >>> print(report.hint)
    Consistent with 1 − β_t in place of ᾱ_t, the product of all up to t.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}.")
    if level == "deep" and importlib.util.find_spec("hypothesis") is None:
        raise ImportError('level="deep" draws cases with Hypothesis: pip install "tinydiff[testing]".')
    report = _report(fn, _find(fn, spec), level)
    if raises and not report.passed:
        raise LawBroken(report)
    if is_thrown_away(sys._getframe(1)):
        report.show()
    return report


def is_thrown_away(frame: FrameType) -> bool:
    """Whether what is called from this frame at present is a statement by itself, whose value nobody sees."""
    later = (step.opname for step in dis.get_instructions(frame.f_code) if step.offset > frame.f_lasti)
    return next(later, "") == "POP_TOP"


def _find(fn: Callable, name: str | None) -> Spec:
    """The specification of this name, or of the function's own."""
    if name is None and not callable(fn):
        raise TypeError(f"check takes the function itself, without calling it: check(q_sample), say; got {fn!r:.60}.")
    if name is None:
        name = getattr(fn, "__name__", None)
        if name is None or name == "<lambda>":
            raise TypeError(f"check finds the laws by the function's name; got {fn!r:.60}. Pass spec='q_sample', say.")
    return spec(name)


def _report(fn: Callable, spec: Spec, level: str) -> Report:
    """What trying all laws has found."""
    held: list[str] = []
    probe, broken = spec.probe(fn), None
    try:
        takes_the_arguments(fn, spec)
        held.append(SIGNATURE)
        in_time(probe, lambda: _try_all(probe, spec, level, held))
    except Broken as error:
        broken = error
    return report_of(broken, held, probe, spec)


def report_of(broken: Broken | None, held: list[str], probe: Probe, spec: Spec) -> Report:
    """What was found, as a report."""
    printed = probe.printed.getvalue().strip()
    hints = [f"It printed {printed[:60]!r}…, which was not shown each time."] if printed else []
    about: dict[str, Any] = {"name": spec.name, "source": spec.source, "held": tuple(held), "calls": probe.count}
    if broken is None:
        return Report(True, hint="".join(hints), **about)
    if broken.sentence == STUB:
        return Report(False, hint=STUB, written=False, **about)
    name, names = as_called(probe.function, spec)
    own = len(spec.own_names)
    lines = [call(name, names, args[:own], args[own:]) for args in broken.calls or probe.calls]
    case = "\n".join(dict.fromkeys(lines)) or None
    hint = "\n".join([broken.sentence, *hints]).strip()
    return Report(False, broken.law, case, broken.yours, broken.expected, hint, what=broken.what, **about)


def _try_all(probe: Probe, spec: Spec, level: str, held: list[str]) -> None:
    """Every law in its order, the laws that held added to `held`; Broken at the first that does not."""
    for law in spec.laws:
        for case in cases(spec, law):
            try:
                judge(law, probe, case)
            except Broken as broken:
                raise with_hint(broken, law, case, probe, spec) from None
        held.append(law.statement)
    if level == "deep":
        for law in spec.laws:
            _draw(law, probe, spec)


def _draw(law: Law, probe: Probe, spec: Spec) -> None:
    """The law on cases that Hypothesis draws, and shrinks where it is broken."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis.errors import Flaky

    last: dict[str, Any] = {}

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn(spec.domains, law.names))
    def holds(case: dict[str, Any]) -> None:
        last.update(case)
        judge(law, probe, case)

    try:
        holds()
    except Flaky:
        raise Broken("one answer at first, another later", "the same each time", PURE, law.statement) from None
    except Broken as broken:  # of the last case, to which Hypothesis has shrunk the others
        raise with_hint(broken, law, last, probe, spec) from None
