"""Error against function evaluations, for every sampler on one trained model: compare.json and compare.png.

Those that solve the probability flow have an exact answer for each draw of noise: their error is the median distance to
where the flow itself carries it. All have a law: the energy distance between samples and true points, beside that of
true points to others, which is the best to be had. The second holds the model's error too. A conditional model is taken
with its labels hidden.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import tyro
from rich.table import Table
from tqdm import tqdm

from tinydiff import grids
from tinydiff.app.config import Data, Seed
from tinydiff.app.sampling import SAMPLERS
from tinydiff.datasets.points import Dataset
from tinydiff.denoisers import Counting
from tinydiff.evaluation.metrics import energy_distance
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.learned.train import last
from tinydiff.sampling.sample import sample


class Entry(NamedTuple):
    """A sampler with options, and what a step costs."""

    sampler: str
    options: dict[str, Any]
    cost: int
    """Evaluations for each step; 0 where it chooses its own steps."""
    flow: bool
    """Whether it solves the probability flow."""


ENTRIES = {
    "Euler": Entry("probability_flow", {"method": "euler"}, 1, True),
    "Heun": Entry("probability_flow", {"method": "heun"}, 2, True),
    "RK4": Entry("probability_flow", {"method": "rk4"}, 4, True),
    "RK45": Entry("probability_flow", {"method": "rk45"}, 0, True),
    "DDIM": Entry("ddim", {}, 1, True),
    "Adams": Entry("adams_bashforth", {}, 1, True),
    "DPM-Solver++(2M)": Entry("dpm_solver_2m", {}, 1, True),
    "DPM-Solver++(3M)": Entry("dpm_solver_3m", {}, 1, True),
    "UniPC": Entry("unipc", {}, 1, True),
    "EDM Heun": Entry("edm_heun", {}, 2, True),
    "EDM Heun, churn 40": Entry("edm_heun", {"churn": 40.0}, 2, False),
    "DDPM": Entry("ddpm", {}, 1, False),
    "Euler–Maruyama": Entry("euler_maruyama", {}, 1, False),
    "exponential Euler": Entry("exponential_euler", {}, 1, False),
    "SDE-DPM-Solver++(2M)": Entry("sde_dpm_solver_2m", {}, 1, False),
    "predictor–corrector": Entry("predictor_corrector", {}, 2, False),
}
BUDGETS = (8, 12, 20, 32, 48, 100, 200, 500, 1000)
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


Many = Annotated[int, msgspec.Meta(ge=20, le=10**9)]


@dataclass(frozen=True)
class Compare:
    """Draw the error of every sampler on a trained run against the function evaluations that it takes."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: where it was)")] = None
    """The file of the run's data, where it has moved."""
    n: Annotated[Many | None, tyro.conf.arg(metavar="INT", help_behavior_hint="(default: 1000; of digits 100)")] = None
    """Number of samples for each."""
    most: Annotated[int, msgspec.Meta(ge=BUDGETS[0], le=BUDGETS[-1])] = 200
    """The most evaluations to spend on a sample, up to 1000."""
    seed: Seed = 0
    """Seed of the noise, which is the same for all samplers, and of the true points."""


def compared(model: NetworkDenoiser, true: np.ndarray, again: np.ndarray, most: int, seed: int) -> dict[str, Any]:
    """Every sampler at every budget, from the same noise, against the true points (n, D) and others of them.

    To the exact flow, from t_max to t_min, a sampler walks in as many steps as the budget pays. Its samples are those
    of `sample`, which walks and then asks the model for x̂_0, in as many evaluations as fit into the budget.
    """
    process, n = model.process, len(true)
    noise = process.prior(np.random.default_rng(seed), n, model.like).astype(float)
    precise = NetworkDenoiser(model.network, model.theta.astype(float), process)
    ends = np.array([process.t_max, process.t_min])
    jobs = [
        (name, setting)
        for name, entry in ENTRIES.items()
        for setting in ([b for b in BUDGETS if b <= most and b % entry.cost == 0] if entry.cost else TOLERANCES)
    ]
    rows, flow = [], SAMPLERS["probability_flow"]
    with tqdm(total=len(jobs) + 1, desc="comparing", unit="run", dynamic_ncols=True) as bar:
        exact = last(flow(precise, noise, ends, method="rk45", rtol=1e-7, atol=1e-7))[1]
        bar.update()
        for name, setting in jobs:
            sampler, options, cost, follows_flow = ENTRIES[name]
            call = SAMPLERS[sampler]
            grid = grids.karras if sampler == "edm_heun" else grids.even_log_snr
            if cost:
                steps, path = 1 + (int(setting) - 1) // cost, grid(process, int(setting) // cost)
            else:
                steps, path, options = 2, ends, options | {"rtol": setting, "atol": setting}
            counted, precisely = Counting(model), Counting(precise)
            with np.errstate(all="ignore"):
                x = sample(counted, n, sampler=call, steps=steps, grid=grid, rng=seed, **options)
                row: dict[str, Any] = {
                    "sampler": name, "budget": setting if cost else None,
                    "nfe": counted.nfe, "energy_distance": _finite(energy_distance, x, true),
                }  # fmt: skip
                if follows_flow:
                    y = last(call(precisely, noise, path, rng=seed, **options))[1]
                    row |= {"nfe_flow": precisely.nfe, "distance": _finite(_median_distance, y, exact)}
            rows.append(row)
            bar.set_postfix_str(f"{name} at {counted.nfe}")
            bar.update()
    return {"n": n, "seed": seed, "energy_distance_true": energy_distance(again, true), "rows": rows}


def _finite(distance: Callable[[np.ndarray, np.ndarray], float], x: np.ndarray, y: np.ndarray) -> float | None:
    """The distance, or None where the samples x are not finite."""
    return distance(x, y) if np.all(np.isfinite(x)) else None


def _median_distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.median(np.linalg.norm(x - y, axis=1)))


def true_points(data: Data, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two samples (n, D) of the truth as the model sees it: fresh, or parts of the points or of the test digits."""
    if isinstance(data, Dataset):
        n = min(n, len(data.x) // 2)
        rows = rng.permutation(len(data.x))
        return data.x[rows[:n]], data.x[rows[n : 2 * n]]
    return data.sample(rng, n), data.sample(rng, n)


def comparison_tables(report: dict[str, Any]) -> Iterator[Table]:
    """The comparison for people: each error at so many evaluations or, for RK45, at no more."""
    rows = report["rows"]
    flows = [name for name, entry in ENTRIES.items() if entry.flow]
    budgets = sorted({row["budget"] for row in rows if row["budget"]})
    for title, error, nfe, names in (
        ("median distance to the exact flow, from the same noise", "distance", "nfe_flow", flows),
        ("energy distance to true points", "energy_distance", "nfe", list(ENTRIES)),
    ):
        table = Table("evaluations", title=f"{title}, n = {report['n']}")
        for budget in budgets:
            table.add_column(str(budget), justify="right", no_wrap=True)
        for name in names:
            spent = {row[nfe]: row[error] for row in rows if row["sampler"] == name and row[error] is not None}
            within = [[n for n in spent if n <= budget] for budget in budgets]
            table.add_row(name, *(short(spent[max(each)]) if each else "" for each in within))
        if error == "energy_distance":
            table.add_row("other true points", *[short(report["energy_distance_true"])] * len(budgets))
        yield table


def short(error: float) -> str:
    """Four decimals below 1, three digits above: eighty columns hold them all."""
    return f"{error:.4f}".removeprefix("0") if error < 0.99995 else f"{error:.3g}"
