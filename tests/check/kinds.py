"""Wrong answers of certain kinds, made of the right ones, and what the check must say of each.

A kind is one change of a right answer, in words, for each function where it makes sense: each that has such arguments.
"""

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
from right import ANSWERS, seen

from tinydiff.check import spec
from tinydiff.check.domains import at_random
from tinydiff.check.form import in_tuple

Wrong = Callable[[str], Iterator[Callable]]  # of a function's name: its wrong answers of this kind
RIGHT = {name: seen(name, answers[0]) for name, answers in ANSWERS.items()}
RNG = np.random.default_rng(0)

NO_POINTS = ("betas", "lam", "weights", "variances", "frequencies", "times")
SORTS: dict[str, Callable[[str, Any], bool]] = {  # of arguments, by name and value
    "numbers": lambda n, a: not isinstance(a, list) and np.asarray(a).dtype == float,
    "arrays": lambda n, a: isinstance(a, np.ndarray),
    "points": lambda n, a: isinstance(a, np.ndarray) and a.dtype == float and np.ndim(a) > 0 and n not in NO_POINTS,
    "noise": lambda n, a: n in ("eps", "eps_hat", "z", "zs", "probes") and np.ndim(a) > 0,
    "chains": lambda n, a: n == "betas",
    "times": lambda n, a: n in ("t", "s") and isinstance(a, int),
    "functions": lambda n, a: n in ("f", "vjp", "x0_hat_of", "drift", "divergence", "velocity") and callable(a),
}
RESULTS: dict[str, Callable[[list], bool]] = {  # sorts of results, by their values in some calls
    "all": lambda outs: True,
    "arrays": lambda outs: any(map(np.ndim, outs)),
    "numbers": lambda outs: not any(map(np.ndim, outs)),
    "points": lambda outs: max(map(np.ndim, outs)) == 2,
    "lists": lambda outs: max(map(np.ndim, outs)) < 2,
    "signed": lambda outs: any(np.any(out < 0) for out in outs),
    "positive": lambda outs: not any(np.any(out < 0) for out in outs),
}


@cache
def samples(name: str) -> list[tuple]:
    """The arguments of some calls."""
    cases = [at_random(spec(name).domains, rng) for rng in map(np.random.default_rng, range(9))]
    return [tuple(case[n] for n in spec(name).names) for case in cases]


def facts(name: str, args: tuple) -> dict[str, Any]:
    """The arguments by name, and what follows of them: T, B rows and D coordinates."""
    known = dict(zip(spec(name).names, args, strict=True))
    shape = next((a.shape for n, a in known.items() if isinstance(a, np.ndarray) and n != "betas"), ())
    return known | ({"T": len(known["betas"])} if "betas" in known else {}) | dict(zip("BD", shape, strict=False))


# ---- ways to be wrong


def on(sort: str, change: Callable) -> Wrong:
    """Each argument of this sort changed, one at a time."""

    def wrong(name: str) -> Iterator[Callable]:
        for i, n in enumerate(spec(name).names):
            if any(SORTS[sort](n, args[i]) for args in samples(name)):
                yield lambda *args, i=i: RIGHT[name](*args[:i], change(args[i]), *args[i + 1 :])

    return wrong


def off(out: Any) -> Any:
    """Points a tenth farther out, so that what is linear stays so; any other number plus a tenth."""
    return 1.1 * out if np.ndim(out) == 2 else out + 0.1


def gives(change: Callable = off, sort: str = "all", where: Callable[..., bool] = lambda: True) -> Wrong:
    """Each result of this sort changed, one at a time, where a condition holds on the facts that it names."""
    needs = list(inspect.signature(where).parameters)

    def wrong(name: str) -> Iterator[Callable]:
        calls = [args for args in samples(name) if set(needs) <= set(facts(name, args))]
        with np.errstate(all="ignore"):
            answers = [in_tuple(RIGHT[name](*args)) for args in calls]
        for i in range(len(spec(name).returns)):
            if answers and RESULTS[sort]([answer[i] for answer in answers]):
                yield lambda *args, i=i: put(RIGHT[name](*args), i, change if holds(facts(name, args)) else np.array)

    def holds(known: dict[str, Any]) -> bool:
        return set(needs) <= set(known) and where(*(known[need] for need in needs))

    return wrong


def put(answer: Any, i: int, change: Callable) -> Any:
    """The answer with its i-th result changed."""
    out = [change(one) if k == i else one for k, one in enumerate(in_tuple(answer))]
    return tuple(out) if len(out) > 1 else out[0]


def last(axis: int) -> Callable:
    """A change of the last row or column of several."""

    def change(out: Any) -> Any:
        if np.ndim(out) <= axis or np.shape(out)[axis] == 1:
            return out
        where = np.arange(np.shape(out)[axis]) == np.shape(out)[axis] - 1
        return np.where(where if axis or np.ndim(out) == 1 else where[:, None], off(out), out)

    return change


def halved(a: Any, before: bool) -> Any:
    """An array that is halved in place, and is computed with before or after."""
    old = np.copy(a)
    if isinstance(a, np.ndarray):
        a[...] = ~a if a.dtype == bool else a / 2
    return a if before else old


def orders(name: str) -> Iterator[Callable]:
    """The results in every other order."""
    for order in list(permutations(range(len(spec(name).returns))))[1:]:
        yield lambda *args, order=order: tuple(RIGHT[name](*args)[i] for i in order)


def right(times: int) -> Wrong:
    """Right so many times, and wrong after."""

    def wrong(name: str) -> Iterator[Callable]:
        calls: list[tuple] = []
        yield lambda *args: put(RIGHT[name](*args), 0, off if calls.append(args) or len(calls) > times else np.array)

    return wrong


def these(**functions: Callable) -> Wrong:
    """These, each for the function of its name."""
    return lambda name: iter([functions[name]] if name in functions else [])


def denoiser(shift: Callable) -> Callable:
    """Of points: the softmax with this shift of its exponents."""

    def empirical_denoiser(x_t, points, t, betas):
        a = np.prod(1 - betas[:t])
        exponents = -np.sum((x_t[:, None] - np.sqrt(a) * points) ** 2, axis=2) / (2 * (1 - a))
        w = np.exp(exponents - shift(exponents))
        return w / w.sum(axis=1, keepdims=True) @ points

    return empirical_denoiser


# ---- kinds: a change, and words (patterns) in fields of the report; without any it is a law of the function's own

OWN: dict[str, str] = {}
NUMBERS, SHAPE, DTYPE = ({"law": law} for law in ("answers with numbers", "the right shape", "answers in float64"))
KEEPS, SAME, FINITE = ({"law": law} for law in ("leaves its arguments", "the same arguments give", "answer is finite"))
FLOAT64, SIGNATURE = ({"law": law} for law in ("computes in float64", "takes the arguments of the signature"))
ANY, NAMED = {"law": ""}, {"hint": "Consistent with"}
LESS, MORE = ({"hint": rf"once ([ts]) is replaced by \1 [{sign}] 1\."} for sign in "−+")

KINDS: dict[str, tuple[Wrong, dict[str, str]]] = {
    "betas rolled by 1": (on("chains", lambda b: np.roll(b, 1)), OWN),
    "betas rolled by −1": (on("chains", lambda b: np.roll(b, -1)), OWN),
    "betas[1:] and the last": (on("chains", lambda b: np.r_[b[1:], b[-1:]]), OWN),
    "t − 1 or s − 1": (on("times", lambda t: t - 1), MORE),
    "t + 1 or s + 1": (on("times", lambda t: t + 1), LESS),
    "squared": (gives(np.square, "signed"), OWN),
    "squared, where it is positive": (gives(np.square, "positive"), {"hint": "is replaced by its square root"}),
    "the root": (gives(np.sqrt, "signed"), FINITE),
    "the root, where it is positive": (gives(np.sqrt, "positive"), {"hint": "is squared"}),
    "transposed": (gives(np.transpose, "points"), SHAPE),
    "(B, 1), the first column": (gives(lambda out: out[..., :1] if np.ndim(out) else out, "points"), SHAPE),
    "(B, 1), sums of rows": (gives(lambda out: np.sum(out, axis=-1, keepdims=np.ndim(out) > 1), "points"), SHAPE),
    "(B, 1) for (B,)": (gives(lambda out: np.reshape(out, (-1, 1)), "lists"), SHAPE),
    "(1, B, D)": (gives(lambda out: np.asarray(out)[None]), SHAPE),
    "(B, B)": (gives(lambda out: np.add.outer(out, 0 * out), "arrays"), SHAPE),
    "one axis less": (gives(lambda out: np.mean(out, axis=0) if np.ndim(out) else out, "arrays"), SHAPE),
    "changes an argument before": (on("arrays", lambda a: halved(a, before=True)), KEEPS),
    "changes an argument after": (on("arrays", lambda a: halved(a, before=False)), KEEPS),
    "changes what a function gave": (on("functions", lambda f: lambda *a: np.add(k := f(*a), 1, out=k) - 1), KEEPS),
    "another order of the results": (orders, {"hint": r"the answers are returned in the order \("}),
    "an argument in float32": (on("numbers", lambda a: np.float64(np.float32(a))), FLOAT64),
    "a result by way of float32": (gives(lambda out: np.float64(np.float32(out))), FLOAT64),
    "a result in float32": (gives(np.float32), DTYPE),
    "rounded to 4 digits": (gives(lambda out: np.round(out, 4)), ANY),
    "whole numbers": (gives(lambda out: np.asarray(out).astype(int), "arrays"), DTYPE),
    "a whole number": (gives(lambda out: np.asarray(out).astype(int), "numbers"), OWN),
    "wrong at t = 1": (gives(where=lambda t, T: t == 1), OWN),
    "wrong at t = T": (gives(where=lambda t, T: t == T), OWN),
    "wrong at s = 0 of T": (gives(where=lambda s, T: s == 0), OWN),
    "wrong at s = 0": (gives(where=lambda s, f: s == 0), OWN),
    "wrong for B = 1": (gives(where=lambda B: B == 1), OWN),
    "wrong for B > 1": (gives(where=lambda B: B > 1), OWN),
    "wrong for D = 1": (gives(lambda out: out + 0.1, where=lambda D: D == 1), OWN),
    "wrong for D = 2": (gives(where=lambda D: D == 2), OWN),
    "wrong for B = D > 1": (gives(where=lambda B, D: B == D > 1), OWN),
    "wrong for D ≠ 2": (gives(where=lambda D: D != 2), OWN),
    "wrong in the last row": (gives(last(0), "arrays"), OWN),
    "wrong in the last column": (gives(last(1), "points"), OWN),
    "wrong for T ≥ 30": (gives(where=lambda T: T >= 30), OWN),
    "|z|": (on("noise", np.abs), OWN),
    "z clipped at 3": (on("noise", lambda z: np.clip(z, -3, 3)), OWN),
    "points clipped at 20": (on("points", lambda x: np.clip(x, -20, 20)), OWN),
    "overflow": (these(silu_backward=lambda x, dy: dy * (s := np.exp(x) / (1 + np.exp(x))) * (1 + x * (1 - s))), NAMED),
    "no shift of the exponents": (these(empirical_denoiser=denoiser(lambda exponents: 0)), NAMED),
    "one shift for the batch": (these(empirical_denoiser=denoiser(np.max)), NAMED),
    "a little noise": (gives(lambda out: out + 1e-3 * RNG.standard_normal(np.shape(out))), SAME),
    "noise of its own": (on("noise", lambda z: RNG.standard_normal(z.shape)), SAME),
    "right once": (right(times=1), OWN),
    "right fifty times": (right(times=50), OWN),
    "another default": (these(cosine_alpha_bar=lambda t, T, s=0.08: RIGHT["cosine_alpha_bar"](t, T, s)), SIGNATURE),
    "a function called with its arguments exchanged": (on("functions", lambda f: lambda a, b: f(b, a)), OWN),
    "printed": (gives(print), NUMBERS | {"yours": "None", "hint": "It printed"}),
    "IndexError at t = T": (gives(where=lambda t, betas: betas[t] > 1), NUMBERS | {"yours": "IndexError: index"}),
    "a list": (gives(lambda out: np.atleast_1d(out).tolist()), NUMBERS | {"yours": "a list"}),
    "a string": (gives(str), NUMBERS | {"yours": "str"}),
    "complex numbers": (gives(lambda out: out + 0j), NUMBERS | {"yours": "complex numbers"}),
    "NaN in one place": (gives(lambda out: np.where(out < np.max(out), out, np.nan)), FINITE),
}
