"""Why a law is broken: the known mistake that the function makes, or the one change that would make it right."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import combinations, permutations
from operator import add
from typing import Any

import numpy as np

from tinydiff.check.domains import at_random
from tinydiff.check.form import in_tuple
from tinydiff.check.judging import agree, cases, judge
from tinydiff.check.probe import Broken, Probe
from tinydiff.check.spec import Law, Spec

OPEN = ("Raised in", "NumPy met", "Look for")  # sentences on form that do not say what is wrong
OTHERS = 60  # random cases in which a function must answer as a mistake does, to be told of it


def with_hint(broken: Broken, law: Law, case: dict[str, Any], probe: Probe, spec: Spec) -> Broken:
    """The same, with the known mistakes that the function makes, or with the one change that would make it right."""
    broken.calls = list(probe.calls)
    if law.of_form and broken.sentence and not broken.sentence.startswith(OPEN):
        return broken  # its sentence says all
    probe.finding = broken  # which stands, whatever the function does in the cases that follow
    known = [mistake.words for mistake in spec.mistakes if _makes(probe, mistake.function, broken, law, case, spec)]
    hint = f"Consistent with {', or with '.join(known)}." if known else _repair(probe, law, case, spec)
    broken.sentence = f"{broken.sentence}\n{hint}".strip()
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
    function = probe.call
    tries = [(law, case), *((law, case) for law in spec.laws for case in cases(spec, law))]  # the broken one first
    try:
        for words, probe.call in _changed(function, spec):
            if all(_outcome(partial(judge, law, probe, case))[1] is None for law, case in tries):
                return f"All laws hold once {words}."
    finally:
        probe.call = function
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
    for i, j in combinations(range(len(names)), 2):
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
        return all(np.shape(a) == np.shape(b) and (np.size(a) == 0 or agree(a, b)) for a, b in pairs)
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
