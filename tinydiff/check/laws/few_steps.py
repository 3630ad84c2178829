"""Few steps: two steps of DDIM in one, and answers that are the point itself where there is hardly noise."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import choice, normals, numbers, uniform
from tinydiff.check.form import like
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

# ---- two_steps_in_one

LEVELS = (
    (0.6, 0.8, 0.8, 0.6),
    (0.0, 1.0, 0.6, 0.8),
    (0.5, 0.5, 1.0, 0.0),
    (1.0, 50.0, 1.0, 2.0),
    (30.0, 90.0, 25.0, 30.0),
)
"""α and σ at t, and at s < t."""


def column(*values: float) -> np.ndarray:
    """The values (B, 1), one for each row."""
    return np.array(values)[:, None]


def two_levels(rng: np.random.Generator) -> tuple:
    """x_t, x_s and a pair of levels for each row."""
    x_t, x_s = normals(rng, 2)
    rows = [level(rng) for _ in x_t]
    return x_t, x_s, *(column(*each) for each in zip(*rows, strict=True))


def level(rng: np.random.Generator) -> tuple[float, ...]:
    """α_t, σ_t, α_s, σ_s with less noise at s."""
    share, alpha_s = uniform(rng, 0.05, 0.8), uniform(rng, 0.5, 1.5)
    return uniform(rng, 0.0, 0.6) * alpha_s, (sigma_t := uniform(rng, 0.5, 3.0)), alpha_s, share * sigma_t


two_steps_in_one = Spec(
    "two_steps_in_one(x_t, x_s, alpha_t, sigma_t, alpha_s, sigma_s) -> x0_target",
    "x0_target = (x_s − (σ_s/σ_t) x_t)/(α_s − (σ_s/σ_t) α_t)",
    "Salimans & Ho 2022, progressive distillation, Alg. 2",
    (
        choice(
            ("x_t", "x_s", "alpha_t", "sigma_t", "alpha_s", "sigma_s"),
            *(
                (column(x_t), column(x_s), *map(column, levels))
                for levels in LEVELS
                for x_t, x_s in ((1.0, 0.0), (0.0, 1.0), (-2.0, 1.0))
            ),
            batches=[
                (
                    np.array([[1.0, -2.0, 0.5], [0.3, 1.5, -1.0]]),
                    np.array([[0.5, 1.0, -2.0], [-1.0, 0.3, 1.5]]),
                    *(column(*pair) for pair in zip(LEVELS[0], LEVELS[3], strict=True)),
                )
            ],
            random=two_levels,
        ),
    ),
    {"x0_target": like("x_t")},
    about="One step of DDIM without noise leads from x_t to α_s x̂_0 + σ_s ε̂, where α_t x̂_0 + σ_t ε̂ = x_t. x_t and x_s "
    "are (B, D); the α and σ are columns (B, 1), and there is less noise at s: σ_s/α_s < σ_t/α_t.",
)
two_steps_in_one.linear("x_t", "x_s")


@two_steps_in_one.law("with it as x̂_0, one step of DDIM leads from x_t to x_s")
def _(
    f: Probe,
    x_t: np.ndarray,
    x_s: np.ndarray,
    alpha_t: np.ndarray,
    sigma_t: np.ndarray,
    alpha_s: np.ndarray,
    sigma_s: np.ndarray,
) -> Iterator[tuple]:
    x0_hat = f(x_t, x_s, alpha_t, sigma_t, alpha_s, sigma_s)
    yield alpha_s * x0_hat + sigma_s * (x_t - alpha_t * x0_hat) / sigma_t, x_s, "where the step lands"


@two_steps_in_one.law("where both steps had the same x̂_0, that is the answer")
def _(
    f: Probe,
    x_t: np.ndarray,
    x_s: np.ndarray,
    alpha_t: np.ndarray,
    sigma_t: np.ndarray,
    alpha_s: np.ndarray,
    sigma_s: np.ndarray,
) -> Iterator[tuple]:
    x0, eps = x_s, x_t
    start, end = alpha_t * x0 + sigma_t * eps, alpha_s * x0 + sigma_s * eps
    yield f(start, end, alpha_t, sigma_t, alpha_s, sigma_s), x0, "x_t and x_s of one x_0 and one ε"


@two_steps_in_one.law("where s is the end, with no noise left, the answer is x_s/α_s")
def _(
    f: Probe, x_t: np.ndarray, x_s: np.ndarray, alpha_t: np.ndarray, sigma_t: np.ndarray, alpha_s: np.ndarray
) -> Iterator[tuple]:
    yield f(x_t, x_s, alpha_t, sigma_t, alpha_s, 0 * sigma_t), x_s / alpha_s, "σ_s = 0"


# ---- consistency_output


def answers(rng: np.random.Generator) -> tuple:
    """The network's answers, points, and σ for each row."""
    f, x = normals(rng, 2)
    return f, x, np.round(np.exp(rng.uniform(np.log(0.06), np.log(80), len(x))), 3)[:, None]


consistency_output = Spec(
    "consistency_output(f, x, sigma, sigma_data, sigma_min) -> x0",
    "x0 = c_skip x + c_out f, where c_skip = 1 and c_out = 0 at σ = σ_min, and where |c_out| ≤ σ_data",
    "Song et al. 2023, consistency models, eq. 5 and App. C",
    (
        choice(
            ("f", "x", "sigma"),
            *(
                (column(f), column(x), column(sigma))
                for sigma in (1.0, 0.1, 10.0)
                for f, x in ((1.0, 0.0), (0.0, 1.0), (1.0, -2.0))
            ),
            batches=[
                (
                    np.array([[1.0, -2.0, 0.5], [0.3, 1.5, -1.0]]),
                    np.array([[0.5, 1.0, -2.0], [-1.0, 0.3, 1.5]]),
                    column(0.5, 3.0),
                )
            ],
            random=answers,
        ),
        numbers("sigma_data", 1.0, 0.5, 2.0, least=0.3, most=3),
        numbers("sigma_min", 0.01, 0.002, 0.05, least=0.001, most=0.05),
    ),
    {"x0": like("x")},
    about="x = x_0 + σ ε, (B, D); f is what the network answers there, (B, D); sigma is a column (B, 1), nowhere below "
    "sigma_min. c_skip and c_out are smooth functions of σ, which may contain σ_data and σ_min. Many are right.",
)
consistency_output.linear("f", "x")
MUCH = 1e4
"""Of σ_data: only noise is left."""
LINE = np.geomspace(1, MUCH, 2001)[:, None]
"""Where jumps are looked for, in units of σ_min."""


@consistency_output.law("at σ_min the answer is x, whatever the network says")
def _(of: Probe, f: np.ndarray, x: np.ndarray, sigma_data: float, sigma_min: float) -> Iterator[tuple]:
    sigma = np.full((len(x), 1), sigma_min)
    yield of(f, x, sigma, sigma_data, sigma_min), x, "σ = σ_min"
    yield of(1000 * f, x, sigma, sigma_data, sigma_min), x, "σ = σ_min, and f times 1000"


@consistency_output.law("c_out is nowhere over σ_data")
def _(of: Probe, sigma_data: float, sigma_min: float) -> Iterator[tuple]:
    c_out = of(0 * LINE + 1, 0 * LINE, sigma_min * LINE, sigma_data, sigma_min)
    yield c_out / sigma_data, Between(-1, 1), "c_out over σ_data, where σ grows from σ_min"


@consistency_output.law("c_skip and c_out are smooth: they begin at 1 and 0 without a jump, and have none later")
def _(of: Probe, sigma_data: float, sigma_min: float) -> Iterator[tuple]:
    near = column(sigma_min * (1 + 1e-6))
    yield of(0 * near, 0 * near + 1, near, sigma_data, sigma_min), Between(1 - 1e-4, 1 + 1e-4), "c_skip just over σ_min"
    c_out = of(0 * near + 1, 0 * near, near, sigma_data, sigma_min) / sigma_data
    yield c_out, Between(-1e-4, 1e-4), "c_out over σ_data, just over σ_min"
    for f, x, name, unit in ((1, 0, "c_out over σ_data", sigma_data), (0, 1, "c_skip", 1.0)):
        curve = of(f + 0 * LINE, x + 0 * LINE, sigma_min * LINE, sigma_data, sigma_min)[:, 0] / unit
        step = float(np.max(np.abs(np.diff(curve))))
        yield step, Between(0, 0.1), f"the greatest change of {name} while σ grows by a half per cent"


@consistency_output.law("in much noise the network says it all: |c_out| is near σ_data, and c_skip σ stays as small")
def _(of: Probe, sigma_data: float, sigma_min: float) -> Iterator[tuple]:
    sigma = column(MUCH * sigma_data)
    c_out = of(0 * sigma + 1, 0 * sigma, sigma, sigma_data, sigma_min)
    yield np.abs(c_out) / sigma_data, Between(0.5, 1), "|c_out| over σ_data, at σ = 10000 σ_data"
    kept = of(0 * sigma, sigma, sigma, sigma_data, sigma_min)
    yield kept / sigma_data, Between(-2, 2), "c_skip σ over σ_data, at σ = 10000 σ_data"
