"""What judges the answers of notebook 4: the oracle's floor, a wrong score, and a denoiser without a list of modes."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator

import numpy as np

import tinydiff as td
from tinydiff import course_answers as library

Marks = Iterator[tuple[bool, str]]

RING = td.toys.ring8()
RING_PARTS = RING.weights, RING.means, RING.covariances[:, 0, 0]
LEVELS = np.linspace(9, -8, 171)
"""The log-SNR of the notebook's chain, in nats."""
BETAS = library.betas_from_log_snr(LEVELS)
WRONG_LINE, RATIO = 3, 2.0
"""The line of exercise 4.4 that is wrong, and by how much it multiplies the least error of x̂_0 at λ = 4."""
OURS = 0.062466
"""The mean excess of points on a circle, as `excesses` gives it."""


def step_at(lam: float) -> int:
    """The step of the chain that has this log-SNR."""
    return 1 + int(np.argmin(np.abs(LEVELS - lam)))


# ---- the floor of a Gaussian


def floor_of_a_gaussian(floor: Callable) -> Marks:
    """floor(lam, v), the least loss of the noise per coordinate for N(m, v), against the oracle's quadrature."""
    rng, process, worst = np.random.default_rng(43), td.VP(), 0.0
    for _ in range(20):
        lam, v, m = rng.uniform(-6, 6), rng.uniform(0.05, 4), rng.normal()
        oracle = td.Oracle(td.GaussianMixture([1.0], [[m]], [[[v]]]), process)
        worst = max(worst, abs(float(floor(lam, v)) - oracle.floor(process.time(lam))))
    yield worst < 1e-6, f"off from the floor by {worst:.1g} at worst, at 20 random (λ, v) (wanted: below 1e-6)"


# ---- a wrong score


def broad_ring(line: int, ratio: float, mended: Callable) -> Marks:
    """The number of the wrong line, the ratio of squared errors of x̂_0 at λ = 4, and the step mended."""
    yield line == WRONG_LINE, f"line {line} is wrong"
    near = bool(abs(ratio / RATIO - 1) < 0.05)
    yield near, f"the squared error at λ = 4 is {ratio:.2f} times the least (wanted: the ratio to 5 %)"
    rng, worst = np.random.default_rng(44), 0.0
    x, z = rng.standard_normal((2, 6, 2))
    for t in (1, 2, 60, 171):
        mean, variance = library.posterior(x, library.mixture_x0(x, *RING_PARTS, t, BETAS), t, BETAS)
        worst = max(worst, float(np.max(np.abs(mended(x, t, z, BETAS) - mean - variance**0.5 * z))))
    yield worst < 1e-9, f"the mended step is off from the right one by {worst:.1g} (wanted: below 1e-9)"


# ---- the open problem


def excesses(denoiser: Callable, levels: range | list[int] = range(-4, 5), count: int = 10_000) -> np.ndarray:
    """What a denoiser x̂_0(x_t, t, betas) of the ring loses above the floor, in the loss of ε per coordinate."""
    rng, found = np.random.default_rng(45), []
    for lam in levels:
        t = step_at(lam)
        x = library.q_sample(RING.sample(rng, count), t, rng.standard_normal((count, 2)), BETAS)
        off = denoiser(x, t, BETAS) - library.mixture_x0(x, *RING_PARTS, t, BETAS)
        found.append(library.snr(t, BETAS) * np.mean(off**2))
    return np.array(found)


def linear(x_t: np.ndarray, t: int, betas: np.ndarray) -> np.ndarray:
    """The best linear guess, for data of mean 0 and variance 1."""
    return np.sqrt(np.prod(1 - betas[:t])) * x_t


def circle(x_t: np.ndarray, t: int, betas: np.ndarray) -> np.ndarray:
    """E[x_0|x_t] of points on a circle with the radius of the ring, each blurred as a mode is."""
    from scipy.special import ive  # e^{−x} I_k(x)

    left, v = np.prod(1 - betas[:t]), RING_PARTS[2][0]
    r = np.sqrt(2 - 2 * v)
    spread, length = left * v + 1 - left, np.linalg.norm(x_t, axis=1, keepdims=True)
    pull = np.sqrt(left) * r * length / spread
    centre = r * ive(1, pull) / ive(0, pull) * x_t / length
    return centre + np.sqrt(left) * v / spread * (x_t - np.sqrt(left) * centre)


def known() -> dict[str, np.ndarray]:
    """The excess of two denoisers at λ = 0, 2 and 4, and its mean over λ = −4, −3, …, 4."""
    found = {}
    for name, denoiser in {"linear guess": linear, "ours": circle}.items():
        each = excesses(denoiser)
        found[name] = np.array([each[4], each[6], each[8], each.mean()])
    return found


def lines_of(function: Callable) -> int:
    """How many lines its body has, without its docstring, comments and blank lines."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise ValueError("write the function by `def`, in lines of its own.")
    body = [part for part in node.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]
    return sum(len(ast.unparse(part).splitlines()) for part in body)


def denoiser_in_six_lines(ring_x0: Callable) -> Marks:
    """ring_x0(x_t, t, betas) of at most six lines: its mean excess over the floor."""
    lines, score = lines_of(ring_x0), float(np.mean(excesses(ring_x0)))
    yield lines <= 6, f"it has {lines} lines (at most 6)"
    yield score <= OURS * 1.0001, f"mean excess over the floor {score:.4f}; ours {OURS:.4f}"
