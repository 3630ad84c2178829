"""`tinydiff race FILE:FUNCTION`: a sampler of one's own against the exact flow, beside the library's."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import msgspec
import tyro

from tinydiff import grids, plotting
from tinydiff.app.config import Seed, UsageError
from tinydiff.app.sampling import GRIDS
from tinydiff.backend import first_line
from tinydiff.evaluation.race import EVALUATIONS, race

Few = Annotated[int, msgspec.Meta(ge=2, le=1000)]


@dataclass(frozen=True)
class Enter:
    """Let a sampler of your own race against those of the library: a table, a figure, and who wins where.

    It is a generator: sampler(model, x, ts, rng=None) yields (t, x) for each of the times, and asks model.x0(x, t).
    """

    sampler: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE:FUNCTION")]
    """Where it is: mine.py:my_sampler, or package.module:my_sampler. The file is run."""
    grid: Literal["logistic", "even_log_snr", "even_time", "karras"] = "logistic"
    """The grid that it walks on; the others have theirs."""
    end: Annotated[
        float | None, tyro.conf.arg(metavar="FLOAT", help_behavior_hint="(default: that of the process)")
    ] = None
    """The log-SNR at which it asks for its answer, on the grid even_log_snr."""
    evaluations: Annotated[tuple[Few, ...], tyro.conf.arg(metavar="INT [INT ...]")] = EVALUATIONS
    """How often the model may be asked."""
    n: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 400
    """Number of points on each toy."""
    seed: Seed = 0
    """Seed of their noise."""
    out: Path = Path("race.png")
    """The figure."""


def enter(options: Enter) -> None:
    """Run the race, print its table and write its figure."""
    if options.end is not None and options.grid != "even_log_snr":
        raise UsageError(f"--end is for --grid even_log_snr; got {options.grid}.")
    grid = GRIDS[options.grid] if options.end is None else partial(grids.even_log_snr, end=options.end)
    sampler, name = found(options.sampler), options.sampler.rpartition(":")[2]
    try:
        result = race(sampler, name=name, grid=grid, evaluations=options.evaluations, n=options.n, rng=options.seed)
    except Exception as error:  # a function of someone's own may raise anything
        raise ValueError(f"{name} cannot race: {first_line(error)}.") from error
    print(result)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print("\nWrote", plotting.save(plotting.race(result), options.out))


def found(spelled: str) -> Callable:
    """The function of a file or a module. ValueError of a sentence where there is none, or where what is run fails."""
    where, _, name = spelled.rpartition(":")
    if not where or not name.isidentifier():
        raise UsageError(f"the sampler is spelled FILE:FUNCTION, such as mine.py:my_sampler; got {spelled}.")
    try:
        module = of_file(Path(where)) if where.endswith(".py") else of_path(where)
    except Exception as error:
        raise ValueError(f"{where} cannot be run: {first_line(error)}.") from error
    sampler = getattr(module, name, None)
    if not callable(sampler):
        own = {key: each for key, each in vars(module).items() if getattr(each, "__module__", "") == module.__name__}
        defined = ", ".join(key for key, each in own.items() if callable(each))
        raise ValueError(f"{where} has no function {name}; it has {defined or 'none'}.")
    return sampler


def of_file(path: Path) -> ModuleType:
    """A Python file, run as a module of its own."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def of_path(name: str) -> ModuleType:
    """A module by its name, from the current directory or from elsewhere on Python's path."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)
