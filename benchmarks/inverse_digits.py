"""What a trained network makes of digits of which little is measured: inverse_digits.json, for the site, and figures.

    python benchmarks/inverse_digits.py        # four minutes of a core, with the files of the course alone

Twenty test digits, two of each class, are measured in three ways, y = A x + τ n: the upper half of the pixels; averages
of blocks of 4 × 4 pixels; all but a scribble and a band. Each method draws three of each, and is never told the label.
The measurement error is the root mean square of (A x − y)/τ over what is drawn: 1 for the digits themselves. The judge
is the classifier of the course, which has read none of these digits.
"""

import contextlib
import json
import platform
import time
from collections.abc import Callable, Generator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import tinydiff as td
from tinydiff.app.pictures import SAMPLER
from tinydiff.backend import Array, normal_like
from tinydiff.course.digits import digits_judge, digits_model, unseen_digits
from tinydiff.files import atomic
from tinydiff.learned.parts import one_blas_thread
from tinydiff.sampling import walk
from tinydiff.sampling.ddpm import ddpm_step

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("inverse_digits.json")
TAU, STEPS, DRAWS, SEED = 0.05, 50, 3, 1
SHOWN = (0, 2, 3, 4, 5, 7, 9)
"""The digits on the sheets, the first of each class."""
Method = Callable[[td.Denoiser, np.ndarray, np.ndarray, np.random.Generator], Array]


def scribble() -> np.ndarray:
    """The pixels (784,) under a band across the picture and a wave down it."""
    row, column = np.indices((28, 28))
    band = np.abs(row - 0.35 * column - 8) < 2.5
    wave = np.abs(column - 14 - 6 * np.sin(row / 3.5)) < 2.5
    return (band | wave).ravel()


def measurements() -> dict[str, np.ndarray]:
    """A (M, 784) of each."""
    blocks = np.kron(np.eye(7), np.full((1, 4), 0.25))  # (7, 28)
    return {"half": np.eye(784)[:392], "averages": np.kron(blocks, blocks), "strokes": np.eye(784)[~scribble()]}


def drawn(model: td.Denoiser, n: int, sampler: Any, rng: np.random.Generator) -> Array:
    """Digits, as `make mnist` draws them."""
    return td.sample(model, n, sampler=sampler, steps=STEPS, grid=SAMPLER["grid"], rng=rng)


def guided(covariance: Any, iterations: int = 10) -> Method:
    """A method of the family, by the reverse chain."""

    def draw(model: td.Denoiser, A: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Array:
        measured = td.MeasurementGuidance(model, A, y, TAU, covariance, iterations)
        return drawn(measured, len(y), partial(td.ddim, eta=1.0), rng)

    return draw


def pushed(
    model: td.Denoiser, x: Array, ts: Any, *, A: Array, y: Array, zeta: float, rng: Any
) -> Generator[tuple[float, Array], None, None]:
    """DPS as its authors run it: each step of the chain is pushed by −ζ ∇‖y − A x̂_0‖ [Chung et al. 2023, Alg. 1]."""
    levels = walk.levels(model, x, ts)
    yield levels[0].t, x
    for now, then in pairwise(levels):
        x0, pull = model.linearize_x0(x, now)
        gap = y - x0 @ A.T
        uphill = pull(gap @ A) / np.linalg.norm(gap, axis=1, keepdims=True)
        x = ddpm_step(x, x0, now, then, normal_like(rng, x)) + zeta * uphill
        yield then.t, x


def by_steps(zeta: float) -> Method:
    """DPS with a length of step of its own."""

    def draw(model: td.Denoiser, A: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Array:
        A, y = A.astype(np.float32), y.astype(np.float32)
        return drawn(model, len(y), partial(pushed, A=A, y=y, zeta=zeta), rng)

    return draw


def repainted(resamples: int) -> Method:
    """Inpainting, which takes what is measured for the pixels themselves; A must pick pixels."""

    def draw(model: td.Denoiser, A: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Array:
        known, mask = (y @ A).astype(np.float32), A.any(axis=0)
        return drawn(model, len(y), partial(td.inpaint, known=known, mask=mask, resamples=resamples), rng)

    return draw


METHODS: dict[str, Method] = {
    "dps": guided("dps"),
    "dps by steps, ζ = 1": by_steps(1.0),
    "pigdm": guided("pigdm"),
    "tmpd": guided("tmpd"),
    "mmps, 1 iteration": guided("mmps", 1),
    "mmps, 3 iterations": guided("mmps", 3),
    "mmps, 10 iterations": guided("mmps", 10),
    "replacement": repainted(1),
    "repaint, 10 rounds": repainted(10),
}
ON_SHEETS = (
    "dps",
    "dps by steps, ζ = 1",
    "pigdm",
    "tmpd",
    "mmps, 1 iteration",
    "mmps, 10 iterations",
    "repaint, 10 rounds",
)


def covariances(model: td.NetworkDenoiser, x0: np.ndarray) -> dict[str, list[dict[str, float]]]:
    """How far A Cov Aᵀ of a network is from a covariance, on one digit (1, 784) under noise of several log-SNRs.

    asymmetry: ‖S − Sᵀ‖/‖S + Sᵀ‖; negative: the share of eigenvalues of (S + Sᵀ)/2 under −τ², where "mmps" has no
    positive system to solve.
    """
    found: dict[str, list[dict[str, float]]] = {}
    for task, A in measurements().items():
        for lam in (-4.0, -2.0, 0.0, 2.0):
            t = float(model.process.time(np.array(lam)))
            x = model.process.at(t, like=x0).perturb(x0, normal_like(np.random.default_rng(SEED), x0))
            rows = np.repeat(x, len(A), axis=0)
            now = model.process.at(t, like=rows)
            directions = A.astype(np.float32)
            S = now.sigma**2 / now.alpha * model.linearize_x0(rows, now)[1](directions) @ directions.T
            of_symmetric = np.linalg.eigvalsh((S + S.T) / 2)
            row = {"log_snr": lam, "asymmetry": float(np.linalg.norm(S - S.T) / np.linalg.norm(S + S.T))}
            row |= {"least": float(of_symmetric[0]), "greatest": float(of_symmetric[-1])}
            found.setdefault(task, []).append(row | {"negative": float(np.mean(of_symmetric < -(TAU**2)))})
    return found


def judged(x: np.ndarray, y: np.ndarray, A: np.ndarray, original: td.Dataset, judge: td.Classifier) -> dict[str, Any]:
    """The measurement error, and what the judge says; a digit that is not finite is read as none, and counted."""
    finite = np.all(np.isfinite(x), axis=1)
    p = np.exp(judge.log_p(np.where(finite[:, None], x, 0.0).astype(np.float32), judge.process.t_min))
    right = finite & (np.argmax(p, axis=1) == original.labels)
    off, apart = (x @ A.T - y)[finite] / TAU, (x - original.x)[finite]
    return {
        "finite": float(np.mean(finite)),
        "error": float(np.sqrt(np.mean(off.astype(float) ** 2))) if finite.any() else None,
        "apart": float(np.sqrt(np.mean(apart.astype(float) ** 2))) if finite.any() else None,
        "read": float(np.mean(right)), "sure": float(np.mean(np.max(p, axis=1) * finite)),
    }  # fmt: skip


def sheet(task: str, A: np.ndarray, y: np.ndarray, original: np.ndarray, clouds: dict[str, np.ndarray]) -> Path:
    """A row for each digit that is shown: the digit, what is measured, and two draws of each method."""
    measured = 4.0**2 * y @ A if task == "averages" else np.where(A.any(axis=0), y @ A, -0.6)
    groups = {"digit": original[:, None], "measured": measured[:, None]}
    groups |= {name.replace(", ", ",\n"): x.reshape(len(y), DRAWS, -1)[:, :2] for name, x in clouds.items()}
    widths = [each.shape[1] for each in groups.values()]
    fig = Figure((0.62 * sum(widths) + 0.1, 0.62 * len(SHOWN) + 0.5), dpi=90, layout="constrained")
    for ax, (name, x) in zip(fig.subplots(1, len(groups), width_ratios=widths), groups.items(), strict=True):
        tiles = np.full((len(SHOWN), x.shape[1], 29, 29), -1.0)
        tiles[:, :, :28, :28] = np.nan_to_num(x[list(SHOWN)], nan=-1.0).reshape(len(SHOWN), -1, 28, 28)
        ax.imshow(
            -np.concatenate(np.concatenate(tiles, axis=1), axis=1),
            cmap="gray",
            vmin=-1,
            vmax=1,
            interpolation="nearest",
        )
        ax.set_axis_off()
        ax.set_title(name, fontsize=7)
    return td.plotting.save(fig, ROOT / "docs" / "figures" / f"inverse-{task}.png")


def main() -> None:
    """The numbers, written at once, and a figure of each measurement."""
    with contextlib.chdir(ROOT / "notebooks"):
        model, judge, unseen = digits_model(), digits_judge(), unseen_digits()
    digits = unseen.rows(slice(20))  # two of each class
    several = digits.rows(np.repeat(np.arange(20), DRAWS))
    tasks: dict[str, Any] = {}
    with one_blas_thread(), np.errstate(all="ignore"), tqdm(total=3 * len(METHODS), unit="method") as bar:
        for task, A in measurements().items():
            rng = np.random.default_rng(SEED)
            y = digits.x @ A.T + TAU * rng.standard_normal((20, len(A)))
            each, clouds = np.repeat(y, DRAWS, axis=0), {}
            rows = {"the digits themselves": judged(several.x, each, A, several, judge)}
            for name, method in METHODS.items():
                if task == "averages" and name.startswith("rep"):
                    bar.update()
                    continue
                start = time.process_time()
                clouds[name] = method(model, A, each, np.random.default_rng(SEED))
                seconds = time.process_time() - start
                rows[name] = judged(clouds[name], each, A, several, judge) | {"seconds": round(seconds, 1)}
                bar.update()
            tasks[task] = {"measured": len(A), "rows": rows}
            sheet(task, A, y, digits.x, {name: clouds[name] for name in ON_SHEETS if name in clouds})
    about = f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, one core"
    found = {"machine": about, "tau": TAU, "steps": STEPS, "digits": 20, "draws": DRAWS, "tasks": tasks}
    found["covariances"] = covariances(model, digits.x[:1])
    with atomic(RESULTS) as part:
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
