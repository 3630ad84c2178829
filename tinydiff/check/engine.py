"""The check: laws in their order, on cases in order of size, until one is broken."""

import difflib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations as combinations_of
from itertools import permutations
from operator import add
from typing import Any, Literal

import numpy as np

from tinydiff.check.domains import at_random, combinations, drawn, each_alone
from tinydiff.check.form import PURE, in_tuple
from tinydiff.check.probe import STUB, Broken, Probe, in_time
from tinydiff.check.report import Between, Report, call
from tinydiff.check.spec import SIGNATURE, SPECS, Law, Spec

LEVELS = ("quick", "deep")
CASES = 200  # of each law at the quick level, at most
OTHERS = 60  # random cases in which a function must answer as a mistake does, to be told of it
EXAMPLES = 100  # that Hypothesis draws for each law at the deep level
RTOL, ATOL = 1e-6, 1e-9  # rounding errors stay far below, a coefficient off by 1e-4 far above


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
    35
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
    than two seconds is given up.

    Parameters
    ----------
    fn : callable
        The function itself, not called, with the signature that ``spec(name)`` shows.
    spec : str, optional
        The name of the specification, where it is not that of the function.
    level : {"quick", "deep"}
        "quick" tries small cases and needs NumPy alone; "deep" goes on with cases that Hypothesis draws, longer chains
        and larger batches among them.
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
    Consistent with α_t = 1 − β_t in place of ᾱ_t, the product of all up to t.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}.")
    if level == "deep" and importlib.util.find_spec("hypothesis") is None:
        raise ImportError("level='deep' draws cases with Hypothesis: pip install hypothesis.")
    report = _report(fn, _find(fn, spec), level)
    if raises and not report.passed:
        raise LawBroken(report)
    return report


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
        _takes_the_arguments(fn, spec)
        held.append(SIGNATURE)
        in_time(probe, lambda: _try_all(probe, spec, level, held))
    except Broken as error:
        broken = error
    printed = probe.printed.getvalue().strip()
    hints = [f"It printed {printed[:60]!r}…, which was not shown each time."] if printed else []
    about: dict[str, Any] = {"name": spec.name, "source": spec.source, "held": tuple(held), "calls": probe.count}
    if broken is None:
        return Report(True, hint="".join(hints), **about)
    if broken.sentence == STUB:
        return Report(False, hint=STUB, written=False, **about)
    case = "\n".join(dict.fromkeys(call(spec.name, spec.names, args) for args in probe.calls)) or None
    hint = "\n".join([broken.sentence, *hints]).strip()
    return Report(False, broken.law, case, broken.yours, broken.expected, hint, what=broken.what, **about)


def _takes_the_arguments(fn: Callable, spec: Spec) -> None:
    """Broken unless fn can be called with the specification's arguments in their order."""
    if not callable(fn):
        fix = f"Define {spec.name} first; check takes the function itself, without calling it."
        raise Broken(f"{fn!r:.60}", "a function", fix, SIGNATURE)
    try:
        own = inspect.signature(fn)
    except (TypeError, ValueError):  # some functions written in C do not say
        return
    names = list(own.parameters)
    try:
        bound = own.bind(*spec.parameters)
    except TypeError:
        bound = None
    if bound is None or (sorted(names) == sorted(spec.names) and names != list(spec.names)):
        raise Broken(
            f"{spec.name}{own}", spec.signature, "Take these arguments, in this order, by position.", SIGNATURE
        )
    for name, parameter in bound.arguments.items():
        default, given = own.parameters[name].default, str(parameter).partition("=")[2]
        same = default is None or (isinstance(default, int | float) and default == float(given or "nan"))
        if given and default is not inspect.Parameter.empty and not same:
            raise Broken(f"{name}={default!r}", parameter, "The default is another one.", SIGNATURE)


def _try_all(probe: Probe, spec: Spec, level: str, held: list[str]) -> None:
    """Every law in its order, the laws that held added to `held`; Broken at the first that does not."""
    for law in spec.laws:
        for case in cases(spec, law):
            try:
                judge(law, probe, case)
            except Broken as broken:
                raise _with_hint(broken, law, case, probe, spec) from None
        held.append(law.statement)
    if level == "deep":
        for law in spec.laws:
            _draw(law, probe, spec)


def cases(spec: Spec, law: Law) -> Any:
    """The small cases of a law, simplest first."""
    return each_alone(spec.domains) if law.of_form else combinations(spec.domains, law.names, CASES)


def judge(law: Law, probe: Probe, case: dict[str, Any]) -> None:
    """Broken, with the calls that show it in probe.calls, unless the law holds in this case."""
    probe.begin()
    try:
        arguments = {name: case[name] for name in law.names}
        for index, (yours, expected, *what) in enumerate(law.test(probe, **arguments)):
            if not (agree(yours, expected) and np.all(np.isfinite(yours))):
                broken = Broken(yours, expected, _of_nan(yours, probe), what=" ".join(what))
                broken.index = index
                raise broken
            probe.begin()
    except Broken as broken:
        broken.law = broken.law or law.statement
        raise
    except Exception as error:  # in the law's own arithmetic
        words = f"an answer that does not fit: {error}"
        raise Broken(words, "an answer like the others", law=law.statement) from None


def agree(yours: Any, expected: Any) -> bool:
    """Equal up to rounding, or within the bounds of a Between; two mistakes may agree on NaN or ∞."""
    if isinstance(expected, Between):
        slack = ATOL + RTOL * np.abs(expected.high)
        return bool(np.all((yours >= expected.low - slack) & (yours <= expected.high + slack)))
    yours, expected = np.asarray(yours), np.asarray(expected)
    if yours.size == 0 or expected.size == 0:
        return False
    try:
        with np.errstate(all="ignore"):
            near = np.isfinite(expected) & (np.abs(yours - expected) <= ATOL + RTOL * np.abs(expected))
    except ValueError:  # of shapes that do not fit together
        return False
    return bool(np.all(near | (yours == expected) | (yours != yours) & (expected != expected)))


def _of_nan(yours: Any, probe: Probe) -> str:
    """A sentence on an answer that is not finite, else nothing."""
    if np.all(np.isfinite(yours)):
        return ""
    return f"NumPy met: {', '.join(sorted(probe.complaints))}." if probe.complaints else "The answer is not finite."


def _with_hint(broken: Broken, law: Law, case: dict[str, Any], probe: Probe, spec: Spec) -> Broken:
    """The same, with the known mistakes that the function makes, or with the one change that would make it right."""
    calls = list(probe.calls)
    known = [mistake.words for mistake in spec.mistakes if _makes(probe, mistake.function, broken, law, case, spec)]
    hint = f"Consistent with {', or with '.join(known)}." if known else _repair(probe, law, case, spec)
    broken.sentence = f"{broken.sentence}\n{hint}".strip()
    probe.calls[:] = calls
    return broken


def _makes(probe: Probe, mistake: Callable, broken: Broken, law: Law, case: dict[str, Any], spec: Spec) -> bool:
    """Whether the function answers as this mistake does, in the case that broke the law and in OTHERS at random.

    The smallest cases are special, with ½ = 1 − ½ and 0 = −0, and many mistakes agree there.
    """
    theirs, rng = spec.probe(mistake), np.random.default_rng(0)
    if not _alike((None, broken), _outcome(partial(judge, law, theirs, case))):
        return False
    for other in (at_random(spec.domains, rng) for _ in range(OTHERS)):
        args = [other[name] for name in spec.names]
        if not _alike(_outcome(partial(probe, *args)), _outcome(partial(theirs, *args))):
            return False
    return True


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "changes its sign": np.negative,
    "is squared": np.square,
    "is replaced by its square root": np.sqrt,
    "is replaced by 1 over it": lambda out: 1 / out,
    "is halved": lambda out: out / 2,
    "is doubled": lambda out: out * 2,
}


def _repair(probe: Probe, law: Law, case: dict[str, Any], spec: Spec) -> str:
    """The one change with which all laws hold, as a sentence, or nothing. It is exact: they are tried with it."""
    function = probe.function
    tries = [(law, case), *((law, case) for law in spec.laws for case in cases(spec, law))]  # the broken one first
    try:
        for words, probe.function in _changed(function, spec):
            if all(_outcome(partial(judge, law, probe, case))[1] is None for law, case in tries):
                return f"All laws hold once {words}."
    finally:
        probe.function = function
    return ""


def _changed(function: Callable, spec: Spec) -> Iterator[tuple[str, Callable]]:
    """The function with one thing changed in its answers or its arguments, each with words for it."""
    outputs, names = list(spec.returns), spec.names

    def after(change: Callable[[list], list]) -> Callable:
        def changed(*args: Any) -> Any:
            out = function(*args)
            out = change([np.asarray(one) for one in (out if len(outputs) > 1 else [out])])
            return tuple(out) if len(outputs) > 1 else out[0]

        return changed

    def before(change: Callable[[list], list]) -> Callable:
        return lambda *args: function(*change(list(args)))

    for order in list(permutations(range(len(outputs))))[1:]:
        yield f"the answers are returned in the order ({', '.join(outputs)})", after(partial(_in_order, order))
    for words, change in CHANGES.items():
        for i, name in enumerate(outputs):
            yield f"{name} {words}", after(partial(_at, i, change))
    for i, j in combinations_of(range(len(names)), 2):
        order = tuple({i: j, j: i}.get(k, k) for k in range(len(names)))
        yield f"{names[i]} and {names[j]} are exchanged", before(partial(_in_order, order))
    for i, name in enumerate(names):
        if name in ("t", "s") and "betas" in names:
            yield f"{name} is replaced by {name} − 1", before(partial(_at, i, partial(add, -1)))
            yield f"{name} is replaced by {name} + 1", before(partial(_at, i, partial(add, 1)))


def _in_order(order: Sequence[int], values: list) -> list:
    """The values in another order."""
    return [values[i] for i in order]


def _at(i: int, change: Callable, values: list) -> list:
    """The values with the i-th changed."""
    return [change(value) if k == i else value for k, value in enumerate(values)]


def _alike(one: tuple[Any, Broken | None], other: tuple[Any, Broken | None]) -> bool:
    """Whether both answer with the same numbers, or are broken at the same place with the same number."""
    (answer, broken), (other_answer, other_broken) = one, other
    if broken is None and other_broken is None:
        pairs = list(zip(in_tuple(answer), in_tuple(other_answer), strict=True))
        return all(np.shape(a) == np.shape(b) and agree(a, b) for a, b in pairs)
    if broken is None or other_broken is None:
        return False
    if isinstance(broken.yours, str) or isinstance(other_broken.yours, str):
        return str(broken.yours) == str(other_broken.yours)
    same_shape = np.shape(broken.yours) == np.shape(other_broken.yours)
    return broken.index == other_broken.index and same_shape and agree(broken.yours, other_broken.yours)


def _outcome(call: Callable[[], Any]) -> tuple[Any, Broken | None]:
    """The answer, or how it failed."""
    try:
        return call(), None
    except Broken as broken:
        return None, broken


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
        raise _with_hint(broken, law, last, probe, spec) from None
