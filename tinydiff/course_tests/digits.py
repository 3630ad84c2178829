"""What judges the answers of notebook 17, Digits; its three judges of digits, and its table."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

import tinydiff as td
from tinydiff import course_answers
from tinydiff.course import digits_judge, digits_model, narrow_model, unseen_digits
from tinydiff.denoisers import Wrapper

Marks = Iterator[tuple[bool, str]]
Array = np.ndarray

PROCESS = td.Cosine()
START = -14.0
"""The log-SNR at which that process begins."""
LABELS = np.arange(200) % 10
"""The classes that the judges ask for, twenty digits of each."""


def times(lams: Sequence[float] | Array) -> Array:
    """The times of these rising log-SNRs, the first of which stands for the start, -14."""
    return np.array([PROCESS.t_max, *PROCESS.time(np.asarray(lams, dtype=float)[1:])])


def even(n: int, end: float = 3.0) -> Array:
    """So many times, in equal steps of the log-SNR from the start to the end."""
    return times(np.linspace(START, end, n))


def halved(x: Array) -> Array:
    """28 × 28 pixels (N, 784) as means over four, 14 × 14 (N, 196)."""
    return x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)


# ---- three judges

_judge, _unseen, _model, _narrow = cache(digits_judge), cache(unseen_digits), cache(digits_model), cache(narrow_model)


def read(x: Array) -> Array:
    """What the classifier reads in digits (N, 784), (N,)."""
    judge = _judge()
    return np.argmax(judge.log_p(np.asarray(x, dtype=np.float32), judge.process.t_min), axis=1)


def as_asked(x: Array, labels: Array) -> float:
    """The share of digits in which the classifier reads what was asked for."""
    return float(np.mean(read(x) == labels))


def energy(x: Array, y: Array) -> float:
    """The energy distance without the distance of a digit from itself: 0 on average for two samples of one law."""
    n, m = len(x), len(y)
    return 2 * _apart(x, y).mean() - _apart(x, x).sum() / (n * (n - 1)) - _apart(y, y).sum() / (m * (m - 1))


def _apart(x: Array, y: Array) -> Array:
    """The distances of all pairs, (N, M)."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    squares = np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1) - 2 * x @ y.T
    if x is y or np.array_equal(x, y):
        np.fill_diagonal(squares, 0)
    return np.sqrt(np.maximum(squares, 0))


def to_all(x: Array) -> float:
    """The energy distance to the thousand test digits."""
    return float(energy(x, _unseen().x))


def to_class(x: Array, labels: Array) -> float:
    """The mean over the classes of the energy distance to the hundred test digits of the class."""
    unseen = _unseen()
    return float(np.mean([energy(x[labels == k], unseen.x[unseen.labels == k]) for k in range(10)]))


def halves() -> tuple[float, float, float]:
    """What the three judges say of the test digits: read right, and the distances of their halves."""
    x, labels = _unseen().x, np.asarray(_unseen().labels)
    (a, b), (la, lb) = np.split(x, 2), np.split(labels, 2)
    classes = [energy(a[la == k], b[lb == k]) for k in range(10)]
    return as_asked(x, labels), float(energy(a, b)), float(np.mean(classes))


# ---- the sampler


class Asked(Wrapper):
    """A denoiser that counts how often it is asked, with labels or without."""

    def __init__(self, model: td.Denoiser, count: list[int] | None = None) -> None:
        super().__init__(model)
        self.count = [0] if count is None else count

    def given(self, labels: Any) -> "Asked":
        """The same with labels, counting on."""
        return Asked(self.model.given(labels), self.count)

    def __call__(self, x: Array, t: Any) -> Array:
        """ε̂, counted."""
        self.count[0] += 1
        return self.model(x, t)

    def x0(self, x: Array, t: Any) -> Array:
        """x̂_0, counted."""
        self.count[0] += 1
        return self.model.x0(x, t)


class Noise(np.random.Generator):
    """A source of noise that remembers what was drawn, so that the same start can be used again."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.drawn: list[Array] = []

    def standard_normal(self, *args: Any, **options: Any) -> Any:
        """As ever, and remembered."""
        self.drawn.append(np.atleast_1d(super().standard_normal(*args, **options)))
        return self.drawn[-1]

    def normal(self, *args: Any, **options: Any) -> Any:
        """As ever, and remembered."""
        self.drawn.append(np.atleast_1d(super().normal(*args, **options)))
        return self.drawn[-1]

    def start(self, shape: tuple[int, int]) -> Array:
        """The first draws, as many as the shape has."""
        drawn = np.concatenate([np.ravel(one) for one in self.drawn] or [np.empty(0)])
        if drawn.size < shape[0] * shape[1]:
            raise ValueError(f"rng must draw the start, of the shape {shape}; it drew {drawn.size} numbers.")
        return drawn[: shape[0] * shape[1]].reshape(shape).astype(np.float32)


def _small() -> td.NetworkDenoiser:
    """An untrained network of four classes."""
    network = td.TimeMLP(6, width=16, blocks=1, classes=4)
    theta = 0.2 * np.random.default_rng(170).standard_normal(network.size)
    return td.NetworkDenoiser(network, theta.astype(np.float32), PROCESS)


def draw(answer: Callable) -> Marks:
    """Its ends beside the library's DDIM from the same noise; what it asks; seeds, and labels."""
    model, labels, worst = _small(), np.array([2, 0, 3, 3, 1]), 0.0
    for w, lams in (
        (0.0, np.linspace(START, 3, 6)),
        (0.7, [START, -10, -7, -3, 0, 0.5, 4]),
        (-1.0, np.linspace(START, 2, 4)),
    ):
        noise = Noise(171)
        found = np.asarray(answer(model, labels, w, times(lams), noise), dtype=float)
        if found.shape != (5, 6):
            yield False, f"Five labels and a model of six coordinates want the shape (5, 6); got {found.shape}."
            return
        guided = td.ClassifierFreeGuidance(model.given(labels), model, w)
        t, x = td.last(td.ddim(guided, noise.start((5, 6)), times(lams)))
        worst = max(worst, float(np.max(np.abs(found - guided.x0(x, t)))))
    yield worst < 1e-4, f"It is at most {worst:.0e} from the library's DDIM with the same noise; wanted: below 1e-4."
    for w, most in ((0.5, 20), (0.0, 10)):
        asked = Asked(model)
        answer(asked, labels, w, even(10), Noise(172))
        count = asked.count[0]
        yield count <= most, f"Ten times at w = {w:g} take {count} evaluations; wanted: at most {most}."
    one, same, other = (answer(model, labels, 0.5, even(4), np.random.default_rng(seed)) for seed in (1, 1, 2))
    seeds = np.array_equal(one, same) and not np.allclose(one, other)
    yield seeds, "A seed gives the same digits again, and another gives others." if seeds else "Seeds: no."
    turned = answer(model, np.array([2, 0, 3, 1, 1]), 0.5, even(4), np.random.default_rng(1))
    rows = ~np.all(np.isclose(one, turned), axis=1)
    follows = np.array_equal(rows, labels != [2, 0, 3, 1, 1])
    yield follows, "Each row follows its own label" + ("." if follows else f": no, rows {np.flatnonzero(rows)} do.")


# ---- a narrow network


def least_loss(answer: Callable) -> Marks:
    """The floor under any last layer of this width: beside fits to five clouds, and beside the trained network."""
    rng, worst = np.random.default_rng(173), 0.0
    for dim, width in ((6, 2), (8, 3), (9, 5), (12, 4), (10, 1)):
        variances = rng.permutation(4.0 * 1.5 ** -np.arange(dim))
        worst = max(worst, abs(float(answer(variances, width)) / _fitted(rng, variances, width) - 1))
    yield worst < 2e-3, f"On five clouds with given variances it is off by {worst:.1%}; wanted: below 0.2 %."
    floor, trained = float(answer(np.ones(196), 128)), eps_loss("eps", -4.0)
    holds = floor <= trained <= 1.03 * floor
    yield holds, f"White noise, D = 196, W = 128: {floor:.4f}. The trained network has {trained:.4f} at λ = −4."
    spectrum = np.linalg.eigvalsh(np.cov(halved(_unseen().x).T))
    of_digits = float(answer(spectrum, 128))
    yield True, f"The digits' own variances would give {of_digits:.5f} (of x_0; times e^λ in the loss of the noise)."


def _fitted(rng: np.random.Generator, variances: Array, width: int, n: int = 60) -> float:
    """The least loss that alternating least squares find, for targets A h + b with h of this width, fitted freely."""
    dim = len(variances)
    centred = rng.standard_normal((n, dim))
    rows = np.linalg.qr(centred - centred.mean(axis=0))[0] * np.sqrt(n)  # uncorrelated, of mean 0 and variance 1
    target = rows * np.sqrt(variances) @ np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    A = rng.standard_normal((width, dim))
    for _ in range(60):
        h = np.linalg.lstsq(A.T, target.T, rcond=None)[0].T
        A = np.linalg.lstsq(h, target, rcond=None)[0]
    return float(np.mean((target - h @ A) ** 2))


def eps_loss(target: str, lam: float, n: int = 1000) -> float:
    """E‖ε − ε̂‖²/D of a narrow network on test digits at a log-SNR."""
    unseen, model, now = _unseen(), _narrow(target), PROCESS.at(float(PROCESS.time(np.array([lam])).item()))
    x0 = halved(unseen.x[:n])
    eps = np.random.default_rng(round(10 * lam + 1000)).standard_normal(x0.shape, np.float32)
    known = model.given(np.asarray(unseen.labels)[:n])
    return float(np.mean((known(now.perturb(x0, eps), now) - eps) ** 2))


def no_line(line: int) -> Marks:
    """No line is wrong."""
    yield line == 0, f"Line {line} is at fault: no." if line else "No line is at fault."


def blind_size(size: Callable) -> Marks:
    """The size, beside walks with a network that is perfect where it is not blind."""
    rng, worst = np.random.default_rng(174), 0.0
    for dim, width, lam in ((196, 128, -14.0), (400, 100, -10.0), (300, 270, -6.0)):
        seen = np.linalg.qr(rng.standard_normal((dim, width)))[0]
        lams = np.linspace(lam, 12, 9)
        alpha, sigma = 1 / np.sqrt(1 + np.exp(-lams)), 1 / np.sqrt(1 + np.exp(lams))
        x = alpha[0] * 0 + sigma[0] * rng.standard_normal((200, dim))  # the data are one point, 0
        for k in range(len(lams)):
            eps = x @ seen @ seen.T / sigma[k]
            x0 = (x - sigma[k] * eps) / alpha[k]
            x = alpha[k + 1] * x0 + sigma[k + 1] * eps if k + 1 < len(lams) else x0
        worst = max(worst, abs(float(size(width, dim, lam)) / np.sqrt(np.mean(x**2)) - 1))
    yield worst < 0.05, f"On three hidden networks the size is off by {worst:.1%}; wanted: below 5 %."


# ---- few evaluations

MOST_APART = 0.35
"""The largest distance to the class that 17.4 allows; twenty even times without guidance have about .08."""
FEWEST, REACHED = 4, (0.96, 0.206)
"""Our number of evaluations, and what the judges say of them: the share read as asked, and the distance."""


def evaluations(w: float, lams: Sequence[float] | Array) -> int:
    """How often the network is asked."""
    return len(lams) * (1 if w == 0 else 2)


def fewest(w: float, log_snrs: Sequence[float], seed: int = 175) -> Marks:
    """Two hundred digits along these log-SNRs: read as asked, varied, and cheap."""
    lams = np.asarray(log_snrs, dtype=float)
    if not (lams.ndim == 1 and abs(lams[0] - START) < 1e-9 and np.all(np.diff(lams) > 0) and lams[-1] <= 14):
        yield False, f"The log-SNRs rise from {START:g}, to 14 at most."
        return
    yield 0 <= w <= 1, f"w = {w:g} is {'' if 0 <= w <= 1 else 'not '}from 0 to 1."
    x = course_answers.draw(_model(), LABELS, w, times(lams), np.random.default_rng(seed))
    share, apart, count = as_asked(x, LABELS), to_class(x, LABELS), evaluations(w, lams)
    yield share >= 0.95, f"The judge reads {share:.1%} as asked; wanted: at least 95 %."
    yield apart <= MOST_APART, f"The distance to the class is {apart:.3f}; wanted: at most {MOST_APART}."
    yield count <= FEWEST, f"The network is asked {count} times; ours takes {FEWEST}."


# ---- the open problem

TABLE: dict[tuple[str, str], tuple[float, float, float, float]] = {
    ("draw, 20 even times", "w = 0"): (0.949, 0.098, 0.004, 0.013),
    ("draw, 10 even times", "w = 0.25"): (0.990, 0.298, 0.001, 0.015),
    ("draw, 10 even times", "w = 0.5"): (0.997, 0.509, 0.001, 0.016),
    ("2 answers, 20 times: −14, −6…3", "w = 0"): (0.936, 0.058, 0.005, 0.014),
    ("2 answers, 10 even times", "w = 0.25"): (0.983, 0.119, 0.002, 0.015),
    ("ours", ""): (0.979, 0.083, 0.001, 0.015),
    ("training digits", ""): (0.992, 0.057, 0.002, 0.014),
}
"""Read as asked, distance to the class, and their standard errors: 20 draws of 200 digits, by `measured`."""
SURE, NEAR = 0.975, 0.01
"""The share that must be read as asked, and how far above ours the distance to the class may be."""


def ours(model: td.Denoiser, labels: Array, rng: np.random.Generator) -> Array:
    """Our twenty evaluations: two answers remembered, and guidance for five of fifteen times."""
    lams = np.array([START, *np.linspace(-6, 3, 14)])
    return walked(model, labels, lams, np.where((lams > -2.4) & (lams < 1.3), 0.75, 0.0), 2, rng)


def twenty_evaluations(answer: Callable, seed: int = 176) -> Marks:
    """Two hundred digits with 20 evaluations, beside ours from the same noise."""
    asked = Asked(_model())
    x = np.asarray(answer(asked, LABELS, np.random.default_rng(seed)))
    count = asked.count[0]
    if x.shape != (len(LABELS), 784) or not np.all(np.isfinite(x)):
        yield False, f"Finite digits of the shape {(len(LABELS), 784)} are wanted; got {x.shape}."
        return
    yield count <= 20, f"It takes {count} evaluations; 20 are allowed."
    share, apart = as_asked(x, LABELS), to_class(x, LABELS)
    level = to_class(ours(_model(), LABELS, np.random.default_rng(seed)), LABELS)
    yield share >= SURE, f"The judge reads {share:.1%} as asked; wanted: at least {SURE:.1%}."
    yield apart <= level + NEAR, f"The distance to the class is {apart:.3f}; ours from the same noise, {level:.3f}."


def walked(model: td.Denoiser, labels: Array, lams: Array, ws: Array, order: int, rng: np.random.Generator) -> Array:
    """Digits from a walk with a weight of guidance for each log-SNR, that remembers so many answers."""
    ts, one = times(lams), model.given(labels)
    x, answers = rng.standard_normal((len(labels), model.dim)).astype(np.float32), list[Array]()
    for i, (t, w) in enumerate(zip(ts, ws, strict=True)):
        answer = one.x0(x, t)
        if w:
            answer = answer + w * (answer - model.x0(x, t))
        answers = [*answers, answer][-order:]
        if i + 1 < len(ts):
            seen = ts[i + 1 - len(answers) : i + 1]
            x = course_answers.multistep_step(x, answers, seen, ts[i + 1], _alpha, _sigma).astype(np.float32)
    return answers[-1]


def _alpha(t: float) -> float:
    return float(PROCESS.at(t).alpha)


def _sigma(t: float) -> float:
    return float(PROCESS.at(t).sigma)


EVEN = np.linspace(START, 3, 20)
LATER = np.array([START, *np.linspace(-6, 3, 19)])
ROWS: dict[tuple[str, str], tuple[Array, Array, int]] = {
    ("draw, 20 even times", "w = 0"): (EVEN, np.zeros(20), 1),
    ("draw, 10 even times", "w = 0.25"): (np.linspace(START, 3, 10), np.full(10, 0.25), 1),
    ("draw, 10 even times", "w = 0.5"): (np.linspace(START, 3, 10), np.full(10, 0.5), 1),
    ("2 answers, 20 times: −14, −6…3", "w = 0"): (LATER, np.zeros(20), 2),
    ("2 answers, 10 even times", "w = 0.25"): (np.linspace(START, 3, 10), np.full(10, 0.25), 2),
}
"""The log-SNRs, the weights and the number of answers of the rows of the table."""


def measured(seeds: int = 20) -> dict[tuple[str, str], tuple[float, ...]]:
    """The table of 17.5 again: means over the seeds of as_asked and to_class, and the standard errors; some minutes."""
    methods: dict[tuple[str, str], Callable] = {
        name: lambda model, labels, rng, row=row: walked(model, labels, row[0], row[1], row[2], rng)
        for name, row in ROWS.items()
    }
    methods["ours", ""] = ours
    methods["training digits", ""] = _true
    found = {}
    for name, method in methods.items():
        runs = [method(_model(), LABELS, np.random.default_rng(seed)) for seed in range(seeds)]
        both = np.array([(as_asked(x, LABELS), to_class(x, LABELS)) for x in runs])
        found[name] = (*both.mean(axis=0), *(both.std(axis=0, ddof=1) / np.sqrt(seeds)))
        print(name, np.round(found[name], 4), flush=True)
    return found


def _true(model: td.Denoiser, labels: Array, rng: np.random.Generator) -> Array:
    """Training digits of these labels."""
    data = td.load_mnist("train")
    return data.x[[rng.choice(np.flatnonzero(data.labels == k)) for k in labels]]
