"""The form of an answer: the shapes that it may have, and the laws that every function must obey before its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any

import numpy as np

from tinydiff.check.domains import Domain, at_random
from tinydiff.check.probe import ANSWERS, Broken, Probe, copied

Shapes = Callable[[Mapping[str, Any]], set[tuple[int, ...]]]  # of the arguments: the shapes that an output may have
Test = Callable[..., Iterator[tuple]]

PURE = "Draw nothing inside and keep nothing between calls: noise is an argument."


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
        return {(), (1,), (d,), (b, d), (b, 1), (1, d), (1, 1)}

    return shapes


def row_each(name: str) -> Shapes:
    """A number for each row of an argument."""
    return lambda args: {np.shape(args[name])[:1]}


# ---- laws of form


def laws_of_form(
    names: Sequence[str], returns: Mapping[str, Shapes], domains: Sequence[Domain]
) -> Iterator[tuple[str, Test]]:
    """The laws of every function with these outputs and arguments, in this order; Probe itself breaks the first."""

    def answers(f: Probe, /, **args: Any) -> Iterator[tuple]:
        f(*args.values())
        yield from ()

    def shape(f: Probe, /, **args: Any) -> Iterator[tuple]:
        for (name, shapes), out in zip(returns.items(), in_tuple(f(*args.values())), strict=True):
            allowed = sorted(shapes(args), key=lambda s: (-len(s), s))
            if out.shape not in allowed:
                raise Broken(f"{name} of shape {out.shape}", " or ".join(map(str, dict.fromkeys(allowed))))
        yield from ()

    def precision(f: Probe, /, **args: Any) -> Iterator[tuple]:
        for name, out in zip(returns, in_tuple(f(*args.values())), strict=True):
            whole = out.dtype.kind != "f" and out.ndim and np.any(out)  # a 0 loses nothing
            if whole or (out.dtype.kind == "f" and out.dtype.itemsize < 8):
                fix = "Numbers were rounded on the way." if out.dtype.kind == "f" else "Fractions are cut off in it."
                raise Broken(f"{name} of dtype {out.dtype}", "float64, as the arguments", fix)
        yield from ()

    def unchanged(f: Probe, /, **args: Any) -> Iterator[tuple]:
        mine = list(map(copied, args.values()))
        f.note(tuple(args.values()))
        f.answer(mine)
        for name, before, after in pairs(args, mine):
            if isinstance(before, np.ndarray) and not np.array_equal(before, after):
                fix = f"`{name} = {name} + …` makes a new array; `{name} += …` and `{name}[…] = …` change the caller's."
                if any(map(callable, mine)):
                    fix += f" So does `k += …` where k is what a function gave back: it may be {name} itself."
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
    yield f"{listed(list(returns))} {'has' if len(returns) == 1 else 'have'} the right shape", shape
    yield "it answers in float64", precision
    cases = [case for domain in domains for case in (*domain.small, *domain.batches)]
    if any(isinstance(a, np.ndarray | list) for case in cases for a in case):
        yield "it leaves its arguments as they were", unchanged
    yield "the same arguments give the same answer", again
    yield "the answer is finite", finite
    if any(domain.batches for domain in domains) and scalar not in returns.values():
        yield "each row of a batch has the answer that it has alone", rows(domains)
        yield "a large batch is so many small ones", many(names, domains)
    yield "it computes in float64, as it is asked", precise(names, list(returns), domains)


def pairs(args: Mapping[str, Any], others: Sequence[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each argument by name, beside another one; of a list, each of its arrays, and None where the other has none."""
    for (name, one), other in zip(args.items(), others, strict=True):
        if isinstance(one, list):
            yield from ((f"{name}[{i}]", a, b) for i, (a, b) in enumerate(zip_longest(one, other)))
        else:
            yield name, one, other


MANY = 100  # a batch that is handled in parts must hold together too


def rows(domains: Sequence[Domain]) -> Test:
    """The law that a batch is so many answers: one for each row, and where it is elementwise one for each number."""
    batched = {name for domain in domains if domain.batches for name in domain.names}
    elementwise = any(domain.elementwise for domain in domains)

    def test(f: Probe, /, **args: Any) -> Iterator[tuple]:
        size = max(len(np.atleast_1d(args[name])) for name in batched)
        shape = in_tuple(f(*args.values()))[0].shape
        for i in range(size) if size > 1 else ():
            together = in_tuple(f(*args.values()))
            row = {n: a[i : i + 1] if n in batched else a for n, a in args.items()}
            for one, all_ in zip(in_tuple(f(*row.values())), together, strict=True):
                if len(np.atleast_1d(all_)) == size:
                    yield all_[i], np.atleast_1d(one)[0], f"row {i} of the batch, and the same row alone"
        for j in range(shape[1]) if elementwise and len(shape) == 2 and shape[1] > 1 else ():
            together = in_tuple(f(*args.values()))
            column = {n: a[:, j : j + 1] if n in batched else a for n, a in args.items()}
            alone = in_tuple(f(*column.values()))[0]
            yield together[0][:, j], alone[:, 0], f"column {j} of the batch, and the same column alone"

    return test


def many(names: Sequence[str], domains: Sequence[Domain]) -> Test:
    """The law that a batch which may be handled in parts holds together."""
    batched = {name for domain in domains if domain.batches for name in domain.names}

    def test(f: Probe) -> Iterator[tuple]:
        case = {name: value for domain in domains for name, value in zip(domain.names, largest(domain), strict=True)}
        often = case | {name: np.concatenate([case[name]] * MANY) for name in batched}
        once, more = (in_tuple(f(*[args[name] for name in names])) for args in (case, often))
        size = max(len(np.atleast_1d(case[name])) for name in batched)
        for one, all_ in zip(once, more, strict=True):
            if len(np.atleast_1d(one)) == size:
                yield all_, np.concatenate([one] * MANY), f"the batch {MANY} times over, and its answer as often"

    return test


def largest(domain: Domain) -> tuple:
    """Its first batch, or the last of its small values."""
    return domain.batches[0] if domain.batches else domain.small[-1]


NUDGE, CASES = 1e-11, 8  # a change that float64 sees and float32 does not; and how many cases must all miss it
ROUNDING = 1e-9  # what is no change, of an answer that does not depend on the argument
NEAR = 30.0  # farther out, a sine makes the change a large one


def precise(names: Sequence[str], outputs: Sequence[str], domains: Sequence[Domain]) -> Test:
    """The law that an answer which moves with an argument does so for the smallest change that float64 sees."""

    def test(f: Probe) -> Iterator[tuple]:
        rng = np.random.default_rng(0)
        drawn = (at_random(domains, rng) for _ in range(10 * CASES))
        near = (case for case in drawn if all(np.all(np.abs(a) < NEAR) for a in floats(case.values())))
        moves: dict[tuple[str, int], list[bool]] = {}
        for case in islice(near, CASES):
            args = {name: case[name] for name in names}

            def moved(name: str, factor: float, least: float, args: dict[str, Any] = args) -> list[bool]:
                old, new = (in_tuple(f(*case.values())) for case in (args, args | {name: scaled(args[name], factor)}))
                return [bool(np.any(abs(a - b) > least * abs(a))) for a, b in zip(old, new, strict=True)]

            for name, value in args.items():
                if any(map(np.any, floats([value]))):
                    both = zip(moved(name, 1.001, ROUNDING), moved(name, 1 + NUDGE, 0), strict=True)
                    for output, (much, little) in enumerate(both):
                        moves.setdefault((name, output), []).extend([little] * much)
        for (name, output), seen in moves.items():
            if len(seen) > 1 and not any(seen):
                which = f"{outputs[output]} does not move" if len(outputs) > 1 else "no change"
                fix = "Something on the way is rounded, to float32 or to a few digits."
                raise Broken(f"{which} when {name} grows by one part in 10¹¹", "a change", fix)
        yield from ()

    return test


def floats(values: Iterable[Any]) -> Iterator[Any]:
    """Those of the values that are floats or arrays of floats, and those in lists."""
    for value in values:
        if isinstance(value, list):
            yield from floats(value)
        elif np.asarray(value).dtype.kind == "f":
            yield value


def scaled(value: Any, factor: float) -> Any:
    """A number or an array times a factor, or each of a list."""
    return [scaled(one, factor) for one in value] if isinstance(value, list) else value * factor


def in_tuple(out: Any) -> tuple[np.ndarray, ...]:
    """The outputs, be they one or several."""
    return out if isinstance(out, tuple) else (out,)
