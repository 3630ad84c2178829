"""Whether a law holds: its small and random cases, and the comparison of an answer with what is expected."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinydiff.check.domains import at_random, combinations, each_alone
from tinydiff.check.probe import Broken, Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Law, Spec

CASES, RANDOM = 120, 16  # small cases of each law, at most, and random ones after them
RTOL, ATOL = 2e-5, 1e-7  # 1e-8 added to a divisor stays below, a coefficient off by 1e-4 above


def cases(spec: Spec, law: Law, seed: int = 0) -> Iterator[dict[str, Any]]:
    """The cases of a law: small ones, simplest first, then random ones."""
    alone = law.of_form and law.names
    yield from each_alone(spec.domains) if alone else combinations(spec.domains, law.names, CASES)
    rng = np.random.default_rng([seed, spec.laws.index(law)])  # so that the laws of a function see many shapes
    if law.names:
        yield from (at_random(spec.domains, rng) for _ in range(RANDOM))


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
