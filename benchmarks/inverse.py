"""What each approximation of a posterior gets wrong, beside the exact one: inverse.json, for the site.

    python benchmarks/inverse.py               # ten minutes of a core; draws docs/figures/posteriors.png, too

The measurement is y = x_1 + .1 n. Every method draws from the oracle's denoiser, so what is left is the method's own
error: the energy distance to draws of the exact posterior, and the share of its modes, those with a hundredth of the
weight or more, that get at least a tenth of their points. "the exact denoiser" is the oracle of the posterior, with the
same steps. On one Gaussian the KL divergence is exact up to the solver, an affine map of x_T there.
"""

import json
from collections.abc import Callable, Generator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import tinydiff as td
from tinydiff.backend import Array, normal_like
from tinydiff.files import atomic
from tinydiff.sampling import walk
from tinydiff.sampling.ddpm import ddpm_step

RESULTS = Path(__file__).with_name("inverse.json")
A, TAU, N, STEPS, SEEDS = np.array([[1.0, 0.0]]), 0.1, 1500, 100, (1, 2, 3)
MEASURED = {"spiral60": (-0.9, -0.4, 0.0, 0.3, 1.1), "grid25": (-1.4, -0.7, 0.0, 0.35, 1.0)}
FAMILY = ("mmps", "pigdm", "dps")
SAMPLERS = {"ddim, η = 1": partial(td.ddim, eta=1.0), "dpm_solver_2m": td.dpm_solver_2m}
ZETAS = (0.03, 0.1, 0.3, 1.0)
Draw = Callable[[td.Denoiser, float, int], Array]


def dps_by_steps(
    model: td.Denoiser, x: Array, ts: Any, *, y: Array, zeta: float, rng: Any
) -> Generator[tuple[float, Array], None, None]:
    """DPS as its authors run it [Chung et al. 2023, Alg. 1]: each ancestral step is pushed by −ζ ∇‖y − A x̂_0‖."""
    rng, levels = np.random.default_rng(rng), walk.levels(model, x, ts)
    yield levels[0].t, x
    for now, then in pairwise(levels):
        x0, pull = model.linearize_x0(x, now)
        gap = y - x0 @ A.T
        push = -pull(gap @ A) / np.linalg.norm(gap, axis=1, keepdims=True)
        x = ddpm_step(x, x0, now, then, normal_like(rng, x)) - zeta * push
        yield then.t, x


def guided(covariance: Any, sampler: Any) -> Draw:
    """A method of the family, by a sampler that does not know of it."""

    def draw(model: td.Denoiser, y: float, seed: int) -> Array:
        measured = td.MeasurementGuidance(model, A, np.array([y]), TAU, covariance)
        return td.sample(measured, N, sampler=sampler, steps=STEPS, rng=seed)

    return draw


def stepped(zeta: float) -> Draw:
    """DPS with a step of its own."""

    def draw(model: td.Denoiser, y: float, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        sampler = partial(dps_by_steps, y=np.array([y]), zeta=zeta)
        return td.sample(model, N, sampler=sampler, steps=STEPS, rng=rng)

    return draw


def replaced(resamples: int) -> Draw:
    """Inpainting, which takes y for x_1 itself."""

    def draw(model: td.Denoiser, y: float, seed: int) -> Array:
        known = np.full((N, 2), y)
        sampler = partial(td.inpaint, known=known, mask=A[0] > 0, resamples=resamples)
        return td.sample(model, N, sampler=sampler, steps=STEPS, rng=seed)

    return draw


METHODS: dict[str, Draw] = {
    **{f"{name}; {by}": guided(name, sampler) for by, sampler in SAMPLERS.items() for name in FAMILY},
    **{f"dps by steps, ζ = {zeta:g}": stepped(zeta) for zeta in ZETAS},
    "replacement": replaced(1),
    "repaint, 10 rounds": replaced(10),
}


def heavy(law: td.GaussianMixture) -> td.GaussianMixture:
    """The components of a hundredth of the weight or more."""
    keep = law.weights >= 0.01
    return td.GaussianMixture(law.weights[keep] / law.weights[keep].sum(), law.means[keep], law.covariances[keep])


def of_toy(toy: str, bar: tqdm) -> dict[str, list[dict[str, Any]]]:
    """For each method a row for each y and seed."""
    data, found = td.toys.TOYS[toy](), {}
    for y in MEASURED[toy]:
        law = data.conditioned(A, np.array([y]), TAU)
        exact, modes = td.Oracle(law, td.VP()), heavy(law)
        methods = METHODS | {
            "draws of the posterior": lambda model, y, seed, law=law: law.sample(100 + seed, N),
            **{
                f"the exact denoiser; {by}": lambda model, y, seed, exact=exact, sampler=sampler: td.sample(
                    exact, N, sampler=sampler, steps=STEPS, rng=seed
                )
                for by, sampler in SAMPLERS.items()
            },
        }
        for name, draw in methods.items():
            for seed in SEEDS:
                x = draw(td.Oracle(data, td.VP()), y, seed)
                x = x[np.all(np.isfinite(x), axis=1)]
                row = {"y": y, "seed": seed, "finite": len(x) / N, "modes": 0.0, "energy": float("inf")}
                if len(x):
                    row["energy"] = td.energy_distance(x, law.sample(200 + seed, N))
                    row["modes"] = td.mode_coverage(modes, x, rng=seed).covered
                found.setdefault(name, []).append(row)
                bar.update()
    return found


def of_gaussian() -> dict[str, dict[str, float]]:
    """KL(posterior ‖ samples) in nats on one correlated Gaussian, for one measured coordinate and for two directions.

    A solver of the flow is an affine map of x_T there: three points of it give the mean and covariance of all.
    """
    data = td.GaussianMixture([1.0], [[0.3, -0.2]], [[[1.0, 0.8], [0.8, 1.0]]])
    found: dict[str, dict[str, float]] = {}
    for what, B, y in (
        ("one coordinate", A, [1.5]),
        ("two directions", np.array([[1.0, 0.5], [0.3, -1.0]]), [1.5, 0.4]),
    ):
        (mean,), (cov,) = data.conditioned(B, np.array(y), TAU).moments()
        for name in ("mmps", "tmpd", "pigdm", "dps"):
            model = td.MeasurementGuidance(td.Oracle(data, td.VP()), B, np.array(y), TAU, name)
            ts = td.grids.even_log_snr(td.VP(), 500)
            x = td.last(td.dpm_solver_2m(model, np.concatenate([np.eye(2), np.zeros((1, 2))]), ts))[1]
            x = model.x0(x, ts[-1])
            m, root = x[-1], x[:-1] - x[-1]
            gap, other = m - mean, root.T @ root
            inverse = np.linalg.inv(other)
            logs = np.linalg.slogdet(other)[1] - np.linalg.slogdet(cov)[1]
            nats = float(0.5 * (np.trace(inverse @ cov) - 2 + gap @ inverse @ gap + logs))
            found.setdefault(name, {})[what] = nats if 0 <= nats < 1e3 else float("inf")  # others went far away
    return found


SHOWN = {
    "mmps": guided("mmps", SAMPLERS["ddim, η = 1"]),
    "pigdm": guided("pigdm", SAMPLERS["ddim, η = 1"]),
    "dps by steps, ζ = 0.3": stepped(0.3),
    "dps": guided("dps", SAMPLERS["ddim, η = 1"]),
    "repaint, 10 rounds": replaced(10),
    "replacement": replaced(1),
}


def figure(toy: str = "spiral60", y: float = -0.9) -> Path:
    """The posterior and what six methods draw in its place, on the faint data, with the line that was measured."""
    data = td.toys.TOYS[toy]()
    law, around = data.conditioned(A, np.array([y]), TAU), data.sample(0, 1500)
    clouds = {"the exact posterior": law.sample(1, N)}
    clouds |= {name: draw(td.Oracle(data, td.VP()), y, 1) for name, draw in SHOWN.items()}
    fig = Figure((12.6, 2.05), layout="constrained")
    for ax, (name, x) in zip(fig.subplots(1, len(clouds)), clouds.items(), strict=True):
        ax.scatter(*around.T, s=1, color="0.85", lw=0)
        ax.axvline(y, color="0.6", lw=0.6)
        colour = td.plotting.CYCLE[0] if name == "the exact posterior" else td.plotting.CYCLE[4]
        ax.scatter(*x.T, s=2, color=colour, lw=0)
        ax.set(title=name, xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal", xticks=[], yticks=[])
        ax.title.set_fontsize(9)
    return td.plotting.save(fig, RESULTS.parents[1] / "docs" / "figures" / "posteriors.png")


def main() -> None:
    """The distances, written at once, and the figure."""
    with tqdm(total=2 * 5 * len(SEEDS) * (len(METHODS) + 3), unit="draw") as bar:
        toys = {toy: of_toy(toy, bar) for toy in MEASURED}
    result = {"n": N, "steps": STEPS, "tau": TAU, "toys": toys, "gaussian": of_gaussian()}
    with atomic(RESULTS) as part:
        part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    figure()


if __name__ == "__main__":
    main()
