"""Error against function evaluations, for every sampler on one trained model: compare.json and compare.png.

Those that solve the probability flow have an exact answer for each draw of noise: their error is the median distance to
where the flow itself carries it. All have a law: the energy distance between samples and true points, beside that of
true points to others, which is the best to be had. In the second the model's own error stays.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import tyro
from rich.table import Table
from tqdm import tqdm

from tinydiff import grids
from tinydiff.datasets.mnist import load_mnist
from tinydiff.datasets.points import Dataset
from tinydiff.denoisers import counting
from tinydiff.evaluation.metrics import energy_distance
from tinydiff.learned.network import NetworkDenoiser
from tinydiff.learned.train import last
from tinydiff.runs.config import Count, Data, Seed
from tinydiff.runs.sampling import SAMPLERS
from tinydiff.sampling import END_AT_ZERO

ENTRIES: dict[str, tuple[str, dict[str, Any], int]] = {
    "Euler": ("probability_flow", {"method": "euler"}, 1),
    "Heun": ("probability_flow", {"method": "heun"}, 2),
    "RK4": ("probability_flow", {"method": "rk4"}, 4),
    "RK45": ("probability_flow", {"method": "rk45"}, 0),
    "DDIM": ("ddim", {}, 1),
    "DPM-Solver++(2M)": ("dpm_solver_pp_2m", {}, 1),
    "EDM Heun": ("edm_heun", {}, 2),
    "EDM Heun, churn 40": ("edm_heun", {"churn": 40.0}, 2),
    "DDPM": ("ddpm", {}, 1),
    "Euler–Maruyama": ("euler_maruyama", {}, 1),
    "predictor–corrector": ("predictor_corrector", {}, 2),
}
"""Name: the sampler, its options and its evaluations for each step, 0 where it chooses its own."""
FLOWS = tuple(ENTRIES)[:7]
"""Those that solve the probability flow."""
BUDGETS = (8, 12, 20, 32, 48, 100, 200, 500, 1000)
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True)
class Compare:
    """Draw the error of every sampler on a trained run against the function evaluations that it takes."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    n: Annotated[Count | None, tyro.conf.arg(metavar="INT")] = None
    """Number of samples for each: 1000, or 100 of digits, if not given."""
    most: Annotated[int, msgspec.Meta(ge=BUDGETS[0], le=BUDGETS[-1])] = 200
    """The most evaluations to spend on a sample, up to 1000."""
    seed: Seed = 0
    """Seed of the noise, which all samplers share, and of the true points."""


def compared(model: NetworkDenoiser, true: np.ndarray, again: np.ndarray, most: int, seed: int) -> dict[str, Any]:
    """Every sampler at every budget, from the same noise, against the true points (n, D) and others of them."""
    process, rng = model.process, np.random.default_rng(seed)
    noise = process.prior(rng, len(true), model.like)
    precise = NetworkDenoiser(model.network, model.theta.astype(np.float64), process)
    ends = np.array([process.t_max, process.t_min])
    jobs = [
        (name, setting)
        for name, (_, _, cost) in ENTRIES.items()
        for setting in (TOLERANCES if not cost else [b for b in BUDGETS if b <= most and b % cost == 0])
    ]
    rows = []
    with tqdm(total=len(jobs) + 1, desc="comparing", unit="run", dynamic_ncols=True) as bar:
        tight = {"method": "rk45", "rtol": 1e-7, "atol": 1e-7}
        flow = SAMPLERS["probability_flow"](precise, process, noise.astype(np.float64), ends, **tight)
        exact = last(flow)[1]
        bar.update()
        for name, setting in jobs:
            sampler, knobs, cost = ENTRIES[name]
            call = SAMPLERS[sampler]
            grid = grids.karras if sampler == "edm_heun" else grids.log_snr
            if cost:
                steps = int(setting) // cost
                law, path = grid(process, steps, to_zero=call in END_AT_ZERO), grid(process, steps)
            else:
                law, path, knobs = ends, ends, knobs | {"rtol": setting, "atol": setting}
            with np.errstate(all="ignore"):
                x, nfe = _run(call, model, noise, law, seed, knobs)
                row: dict[str, Any] = {
                    "sampler": name, "budget": setting if cost else None,
                    "nfe": nfe, "energy_distance": energy_distance(x, true) if np.all(np.isfinite(x)) else None,
                }  # fmt: skip
                if name in FLOWS:
                    y, row["nfe_flow"] = _run(call, precise, noise.astype(np.float64), path, seed, knobs)
                    row["distance"] = float(np.median(np.linalg.norm(y - exact, axis=1)))
            rows.append(row)
            bar.set_postfix_str(f"{name} at {nfe}")
            bar.update()
    return {"n": len(true), "seed": seed, "energy_distance_true": energy_distance(again, true), "rows": rows}


def _run(
    sampler: Callable, model: NetworkDenoiser, noise: np.ndarray, ts: np.ndarray, seed: int, knobs: dict[str, Any]
) -> tuple[np.ndarray, int]:
    """The samples, and the evaluations that they took."""
    counted = counting(model)
    x = last(sampler(counted, model.process, noise, ts, rng=np.random.default_rng(seed + 1), **knobs))[1]
    return x, counted.nfe


def true_points(data: Data, name: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two samples of the truth (n, D) each, as the model sees it; of points, at most half of them each; test digits."""
    if isinstance(data, Dataset):
        x = load_mnist("test").x if name == "mnist" else data.x
        n = min(n, len(x) // 2)
        rows = rng.permutation(len(x))
        return x[rows[:n]], x[rows[n : 2 * n]]
    return data.sample(rng, n), data.sample(rng, n)


def comparison_tables(report: dict[str, Any]) -> Iterator[Table]:
    """The comparison for people: each error at so many evaluations or, for RK45, at no more."""
    rows = report["rows"]
    budgets = sorted({row["budget"] for row in rows if row["budget"]})
    for title, error, nfe, names in (
        ("median distance to the exact flow, from the same noise", "distance", "nfe_flow", FLOWS),
        ("energy distance to true points", "energy_distance", "nfe", ENTRIES),
    ):
        table = Table("evaluations", title=f"{title}, n = {report['n']}")
        for budget in budgets:
            table.add_column(str(budget), justify="right", no_wrap=True)
        for name in names:
            spent = {row[nfe]: row[error] for row in rows if row["sampler"] == name and row[error] is not None}
            within = [[n for n in spent if n <= budget] for budget in budgets]
            table.add_row(name, *(f"{spent[max(each)]:.4f}" if each else "" for each in within))
        if error == "energy_distance":
            table.add_row("other true points", *[f"{report['energy_distance_true']:.4f}"] * len(budgets))
        yield table
