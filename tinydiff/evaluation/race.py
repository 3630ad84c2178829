"""A race of samplers: how near each comes to the exact map of the flow, at equal evaluations.

With the exact denoiser of a mixture all that is left between where a sampler ends and where the flow itself carries the
same noise is the sampler's doing:

    rms = √ mean ‖x − Φ(x_T)‖²

Φ is solved to seven digits. A model of one's own has a flow, too: on it the distance is again the sampler's doing, and
says nothing of how near that flow comes to the data. An evaluation is one question to the model, the last of them for
the answer x̂_0, so that a method of two evaluations a step has half the steps. What draws noise has no map to be near
to, and cannot enter.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinydiff import checks, grids
from tinydiff.backend import Array, namespace, to_numpy
from tinydiff.datasets.toys import TOYS
from tinydiff.denoisers import Counting, Denoiser, check_denoiser
from tinydiff.exact.oracle import Oracle
from tinydiff.learned.train import last
from tinydiff.processes import VP, Process
from tinydiff.progress import progress_bar
from tinydiff.sampling.adams_bashforth import adams_bashforth
from tinydiff.sampling.ddim import ddim
from tinydiff.sampling.dpm_solver import dpm_solver_2m, dpm_solver_3m
from tinydiff.sampling.edm import edm_heun
from tinydiff.sampling.probability_flow import probability_flow
from tinydiff.sampling.sample import Sampler, sample
from tinydiff.sampling.unipc import unipc

DEFAULT_TOYS = ("ring8", "grid25", "moons32", "pinwheel40", "spiral60")
OWN_FLOW = "on the model's own flow"
EVALUATIONS = (6, 8, 12, 20, 50)
RIVALS: Mapping[str, tuple[Sampler, grids.Grid]] = {
    "ddim": (ddim, grids.logistic),
    "dpm_solver_2m": (dpm_solver_2m, grids.logistic),
    "dpm_solver_3m": (dpm_solver_3m, grids.logistic),
    "adams_bashforth": (adams_bashforth, grids.logistic),
    "unipc": (unipc, grids.logistic),
    "edm_heun": (edm_heun, grids.karras),
    "heun": (partial(probability_flow, method="heun"), grids.logistic),
    "rk4": (partial(probability_flow, method="rk4"), grids.logistic),
}
"""Those of the library that solve the flow, each on the grid that suits it."""


@dataclass(frozen=True)
class Race:
    """What a race found; printed it is a table and a sentence, and `plotting.race` draws it.

    Examples
    --------
    >>> import tinydiff as td
    >>> found = td.race(td.ddim, toys=["ring8"], evaluations=[6], n=50, progress=False)
    >>> found.places()
    {6: 3}
    """

    name: str
    """The sampler that entered."""
    toys: tuple[str, ...]
    """Where it was run."""
    evaluations: tuple[int, ...]
    """At how many evaluations."""
    rms: Mapping[str, np.ndarray]
    """By sampler, (evaluations, toys): the rms distance to the exact map; ∞ where it diverges or cannot pay a step."""

    def means(self) -> dict[str, np.ndarray]:
        """The mean over the toys, (evaluations,), by sampler: the score."""
        return {name: np.mean(rms, axis=1) for name, rms in self.rms.items()}

    def places(self) -> dict[int, int]:
        """The place, from 1, of the sampler that entered, by evaluations."""
        means = np.stack(list(self.means().values()))
        own = self.means()[self.name]
        return {n: 1 + int(np.sum(means[:, i] < own[i])) for i, n in enumerate(self.evaluations)}

    def verdict(self) -> str:
        """Who wins where, in a sentence."""
        means, nearest = self.means(), dict[str, list[str]]()
        for i, n in enumerate(self.evaluations):
            nearest.setdefault(min(means, key=lambda name: means[name][i]), []).append(str(n))
        places = ", ".join(f"{place} at {n}" for n, place in self.places().items())
        first = "; ".join(f"{name} at {', '.join(where)}" for name, where in nearest.items())
        where = OWN_FLOW if self.toys == (OWN_FLOW,) else "by the mean over the toys"
        own = f"Of {len(means)}, {where}, {self.name} is number {places} evaluations."
        return f"{own} Nearest: {first}."

    def __str__(self) -> str:
        width = max(map(len, self.rms))
        lines = [f"{'evaluations':{width}}" + "".join(f"{n:>8}" for n in self.evaluations)]
        for name, mean in sorted(self.means().items(), key=lambda item: item[1][-1]):
            mark = " *" if name == self.name else ""
            lines.append(f"{name:{width}}" + "".join(f"{each:8.4f}" for each in mean) + mark)
        where = OWN_FLOW if self.toys == (OWN_FLOW,) else f"mean over {', '.join(self.toys)}"
        title = f"rms distance to the exact map, {where}"
        return "\n".join([title, *lines, "", self.verdict()])


def race(
    sampler: Sampler, *, name: str | None = None, grid: grids.Grid = grids.logistic, toys: Sequence[str] = DEFAULT_TOYS,
    evaluations: Sequence[int] = EVALUATIONS, process: Process = VP(), model: Denoiser | None = None, n: int = 400,
    rng: Any = 0, progress: bool = True,
) -> Race:  # fmt: skip
    """Let a sampler race against those of the library: from the same noise, to where the flow itself leads.

    Parameters
    ----------
    sampler : callable
        sampler(model, x, ts, rng=rng) yields (t, x) for each of the times ts, as for `sample`: yours, or one of the
        library's with other options.
    name : str, optional
        What to call it; its own name unless given.
    grid : callable
        The grid that it walks on. The others have theirs: `karras` EDM's, `logistic` all else.
    toys : sequence of str
        Names of `tinydiff.toys.TOYS`.
    evaluations : sequence of int
        How often the model may be asked, 2 or more.
    process : Process
        The process, in continuous time.
    model : Denoiser, optional
        Your own, on whose flow they race in the place of the toys and of the process.
    n : int
        The number of points.
    rng : Generator or int
        The source of their noise, or a seed.
    progress : bool
        Show a progress bar on stderr.

    Returns
    -------
    Race
        The distances, the places and the verdict.

    Raises
    ------
    TypeError, ValueError
        For a sampler that draws noise of its own or yields points of another shape, names that are no toys, a model
        that is no denoiser, a chain, and numbers out of range.

    References
    ----------
    Lu et al. 2022 (DPM-Solver), §4: solvers at equal evaluations.

    Examples
    --------
    >>> import tinydiff as td
    >>> found = td.race(td.unipc, toys=["ring8"], evaluations=[12, 20], n=50, progress=False)
    >>> print(found.verdict())
    Of 8, by the mean over the toys, unipc is number 1 at 12, 1 at 20 evaluations. Nearest: unipc at 12, 20.
    """
    if not callable(sampler):
        raise TypeError(f"sampler must be callable, sampler(model, x, ts, rng=rng); got {sampler!r}.")
    if model is not None:
        check_denoiser(model)
        process, toys = model.process, [OWN_FLOW]
    grids.check_continuous(process)
    if not len(toys) or not len(evaluations):
        raise ValueError(f"a race needs one toy or more, and one budget or more; got {toys} and {evaluations}.")
    checks.as_count("n", n)
    for toy in toys if model is None else []:
        checks.check_choice("each of toys", toy, tuple(TOYS))
    for budget in evaluations:
        checks.as_count("each of evaluations", budget, 2)
    name, seed = name or name_of(sampler), int(checks.as_generator(rng).integers(2**63))
    models: list[Denoiser] = [Oracle(TOYS[toy](), process) if model is None else model for toy in toys]
    check_draws_no_noise(name, sampler, grid, models[0])
    entries = {name: (sampler, grid)} | {rival: entry for rival, entry in RIVALS.items() if rival != name}
    steps = {each: [affordable(*entry, models[0], budget) for budget in evaluations] for each, entry in entries.items()}
    rms = {each: np.full((len(evaluations), len(models)), np.inf) for each in entries}
    with progress_bar(total=len(models) * len(entries), desc="racing", leave=False, disable=not progress) as bar:
        for j, entered in enumerate(models):
            exact = exact_map(entered, n, seed)
            for each, (walk, its_grid) in entries.items():
                for i, (budget, count) in enumerate(zip(evaluations, steps[each], strict=True)):
                    if not count:
                        continue
                    asked = Counting(entered)
                    x = sample(asked, n, sampler=walk, steps=count, grid=its_grid, rng=seed)
                    if asked.nfe <= budget:  # what chooses its own steps may take more than one point did
                        rms[each][i, j] = distance(each, x, exact)
                bar.update()
    return Race(name, tuple(toys), tuple(evaluations), rms)


def name_of(sampler: Sampler) -> str:
    """The name of a function, or of that of a partial with its options."""
    if isinstance(sampler, partial):
        options = [f"{key}={value}" for key, value in sampler.keywords.items()]
        return f"{name_of(sampler.func)}({', '.join([*map(str, sampler.args), *options])})"
    return getattr(sampler, "__name__", type(sampler).__name__)


def check_draws_no_noise(name: str, sampler: Sampler, grid: grids.Grid, model: Denoiser) -> None:
    """Raise a ValueError where a sampler ends elsewhere when its own generator has another seed."""

    def end(seed: int) -> Array:
        def seeded(model: Denoiser, x: Array, ts: Any, *, rng: Any = None) -> Any:
            return sampler(model, x, ts, rng=np.random.default_rng(seed))

        return sample(model, 3, sampler=seeded, steps=8, grid=grid, rng=0)

    if not np.array_equal(to_numpy(end(1)), to_numpy(end(2)), equal_nan=True):
        raise ValueError(f"{name} draws noise of its own, and has no map to be near to: only solvers of the flow race.")


def affordable(sampler: Sampler, grid: grids.Grid, model: Denoiser, budget: int) -> int:
    """The most times of a walk that cost at most so many evaluations; 0 where two cost more."""

    def cost(steps: int) -> int:
        counted = Counting(model)
        sample(counted, 1, sampler=sampler, steps=steps, grid=grid, rng=0)
        return counted.nfe

    choices = range(2, budget + 1)
    found = bisect_right(choices, budget, key=cost)
    return choices[found - 1] if found else 0


def exact_map(model: Denoiser, n: int, seed: int) -> Array:
    """Where the flow carries the noise of `sample` with this seed, x̂_0 at its end; in float32 to five digits."""
    process = model.process
    x = process.prior(np.random.default_rng(seed), n, model.like)
    ends, tol = (process.t_max, process.t_min), max(1e-7, 50 * float(namespace(x).finfo(x.dtype).eps))
    return model.x0(last(probability_flow(model, x, ends, method="rk45", rtol=tol, atol=tol))[1], process.t_min)


def distance(name: str, x: Array, exact: Array) -> float:
    """The rms distance, ∞ where points are not finite; ValueError for points of another shape."""
    x, exact = to_numpy(x), to_numpy(exact)
    if x.shape != exact.shape:
        raise ValueError(f"{name} must yield points {exact.shape}; got {x.shape}.")
    squares = np.sum((x - exact) ** 2, axis=1)
    return float(np.sqrt(np.mean(squares))) if np.all(np.isfinite(squares)) else np.inf
