"""Marks that the student's own namespace has no say in."""

import math
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.check.engine import report_of, spec
from tinydiff.check.grading.child import printable
from tinydiff.check.grading.remote import Remote
from tinydiff.check.grading.source import Source
from tinydiff.check.hints import with_hint
from tinydiff.check.judging import cases, judge
from tinydiff.check.probe import Broken, Probe
from tinydiff.check.signature import takes_the_arguments
from tinydiff.check.spec import SIGNATURE, SPECS, Law, Spec

DEFINED = "it is defined"


def grade(
    path: str | Path, exercises: Mapping[str, float] | Iterable[str] | None = None, seed: int | None = None
) -> dict[str, dict[str, Any]]:
    r"""Judge the functions in a student's file, out of the student's reach, and give points for each law that holds.

    The file's source is read, never imported: of each function the lines that it needs run in a child process, with
    limits on time and memory, which gets arguments and gives back numbers. So whatever the file does to ``check``, to
    NumPy or to Python changes its own answers alone. A function that needs tinydiff itself is no answer of one's own.

    Points are per law: those that hold beyond the laws that an answer of zeros obeys, as a share of all of these; the
    laws of form, such as the shape or arguments left as they were, are one law together. An exercise that is missing,
    not begun, not Python, or that never returns has 0, and the report says why.

    Parameters
    ----------
    path : str or Path
        The student's file, .py or .ipynb.
    exercises : mapping or iterable of str, optional
        The names of the functions, and what each is worth; without a worth it is the number of its laws that count.
        Without exercises, all functions of the file that ``specs()`` knows. A name may be that of the specification,
        or "function:specification" where they differ.
    seed : int, optional
        For the random cases; a new one each time by default, so that the student cannot know them.

    Returns
    -------
    dict
        Ready for JSON. For each exercise: ``passed``, ``points``, ``of``, ``law`` (the first that is broken, or None),
        ``held`` (the laws that hold), ``case``, ``yours``, ``expected``, ``hint``, ``written`` and ``report``, the
        whole as text.

    Raises
    ------
    ValueError
        For a file that ends in neither .py nor .ipynb, an unknown exercise, a worth that is not a positive number, or
        a seed that is not a whole number, 0 or more.
    TypeError
        For exercises that are one text.
    FileNotFoundError
        Where there is no file.
    ChildProcessError
        Where no function can be run at all, such as without NumPy: that is never the student's fault, and no 0.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tinydiff.check import grade
    >>> text = "import numpy as np\ndef cfg(c, u, w):\n    return u + w * (c - u)\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "answers.py")
    ...     _ = file.write_text(text, encoding="utf-8")
    ...     marks = grade(file, {"cfg": 5}, seed=1)
    >>> marks["cfg"]["passed"], marks["cfg"]["law"], marks["cfg"]["of"]
    (False, 'w = 0 is the conditional prediction', 5.0)
    """
    source = Source(path)
    if exercises is None:
        exercises = [name for name in source.functions() if name in SPECS]
    if isinstance(exercises, str):
        raise TypeError(
            f"exercises must be names, or points by name; got one text, {exercises!r}: write [{exercises!r}]."
        )
    worth = dict(exercises) if isinstance(exercises, Mapping) else dict.fromkeys(exercises)
    for name, points in worth.items():
        if not isinstance(name, str) or not name.split(":")[0]:
            raise ValueError(f"exercises must be names of functions, as 'snr' or 'mine:snr'; got {name!r}.")
        if points is not None and not (isinstance(points, int | float) and 0 < points < math.inf):
            raise ValueError(f"exercises[{name!r}] must be worth a positive number of points; got {points!r}.")
    if seed is not None and not (isinstance(seed, int) and seed >= 0):
        raise ValueError(f"seed must be a whole number, 0 or more; got {seed!r}.")
    known = {name: spec(name.rpartition(":")[2]) for name in worth}
    seed = secrets.randbits(32) if seed is None else seed
    return {name: _marks(source, name.split(":")[0], known[name], worth[name], seed) for name in worth}


def _marks(source: Source, name: str, spec: Spec, worth: float | None, seed: int) -> dict[str, Any]:
    """One function's."""
    held, broken, remote = list[str](), None, None
    probe = spec.probe(lambda *_: None)
    try:
        if not source.defines(name):
            reasons = "\n".join(map(printable, source.errors))
            raise Broken(f"no function {name} in {source.path.name}", f"{name}(…)", reasons, DEFINED)
        remote = Remote(source, name)
        probe = spec.probe(remote)
        takes_the_arguments(remote, spec)
        held.append(SIGNATURE)
        broken = _try_each(probe, spec, seed, held)
    except Broken as error:
        broken = error
    finally:
        if remote is not None:
            remote.close()
    report = report_of(broken, held, probe, spec)
    points, of = _points(spec, held)
    of, points = (of, points) if worth is None else (float(worth), float(worth) * points / of)
    return {
        "passed": report.passed,
        "points": of if report.passed else round(points, 4),
        "of": of,
        "law": report.law,
        "held": held,
        "case": report.case,
        "yours": None if report.passed else report.shown[0],
        "expected": None if report.passed else report.shown[1],
        "hint": report.hint,
        "written": report.written,
        "report": repr(report),
    }


def _try_each(probe: Probe, spec: Spec, seed: int, held: list[str]) -> Broken | None:
    """Every law, those that hold added to `held`; the first that is broken, with its hint."""
    first: Broken | None = None
    for law in spec.laws:
        case: dict[str, Any] = {}
        try:
            with np.errstate(all="ignore"):
                for case in cases(spec, law, seed):
                    judge(law, probe, case)
            held.append(law.statement)
        except Broken as broken:
            if first is None:
                first = broken
                with np.errstate(all="ignore"):
                    with_hint(broken, law, case, probe, spec)
        if getattr(probe.function, "ended", ""):
            return first
    return first


def _points(spec: Spec, held: list[str]) -> tuple[float, float]:
    """How many of the laws that count are held, and how many there are."""
    nothing = _counted(spec, _of_zeros(spec))
    everything = _counted(spec, [law.statement for law in spec.laws])
    return max(0, _counted(spec, held) - nothing), everything - nothing


def _counted(spec: Spec, held: list[str]) -> int:
    """The number of these laws; those of form are one together."""
    own = sum(law.statement in held for law in spec.laws if not law.of_form)
    return own + all(law.statement in held for law in spec.laws if law.of_form)


def _of_zeros(spec: Spec) -> list[str]:
    """The laws that an answer of zeros obeys, whose points cost nothing."""

    def zeros(*args: Any) -> Any:
        given = dict(zip(spec.names, args, strict=True))
        out = [np.zeros(max(shapes(given), key=len)) for shapes in spec.returns.values()]
        return tuple(out) if len(out) > 1 else out[0]

    def holds(law: Law) -> bool:
        try:
            for case in cases(spec, law):
                judge(law, Probe(zeros, list(spec.returns)), case)
        except Broken:
            return False
        return True

    with np.errstate(all="ignore"):
        return [law.statement for law in spec.laws if holds(law)]
