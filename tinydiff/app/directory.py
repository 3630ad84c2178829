"""A run's directory: config.json, checkpoint.npz, log.csv, and what `evaluate` makes of them.

Training writes a checkpoint every so many steps, each in the place of the one before and whole at every moment. A run
that was stopped, by whatever, goes on from there and ends in the same bits as one that never stopped.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import Self, TextIO

import numpy as np

from tinydiff.app import checkpoint
from tinydiff.app.columns import titles
from tinydiff.app.config import NAMES, Config, Data, UsageError, extent, make_network, read_config, write_config
from tinydiff.app.parallel import Comm, cores, data_parallel, in_parts, leads
from tinydiff.app.process import coefficients, make_process
from tinydiff.backend import Array, to_numpy
from tinydiff.datasets.points import Dataset, Steps, on_lattice, with_constants
from tinydiff.files import atomic
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.learned.parts import even_parts, one_blas_thread
from tinydiff.learned.train import TrainState, last, train
from tinydiff.progress import watched

LOG = ("step", "loss", "grad_norm", "seconds")


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds: the model of the averaged parameters, and how its points go back to the data's units."""

    model: NetworkDenoiser
    state: TrainState
    shift: np.ndarray
    scale: np.ndarray
    fingerprint: str
    picture: tuple[int, int] | None = None
    names: tuple[str, ...] = ()
    """The names of the columns of the data, where they have any."""
    classes: tuple[str, ...] = ()
    """The names of the classes, where they have any."""
    constants: tuple[tuple[int, float], ...] = ()
    """The columns of the data that never change: the place and the value of each."""
    lattice: tuple[Steps, ...] = ()
    """The columns of the points that were dequantised."""

    def restore(self, x: np.ndarray) -> np.ndarray:
        """Points as the model sees them (n, D), in the units of the data, with the columns that never change."""
        return with_constants(self.varying_units(x), self.constants)

    def varying(self) -> list[str]:
        """The names of the columns that the model knows, or their numbers."""
        return titles(self.names, self.constants, self.model.dim + len(self.constants))

    def varying_units(self, x: np.ndarray) -> np.ndarray:
        """Points as the model sees them (n, D), in the units of the data, without the columns that never change."""
        return on_lattice(x * self.scale + self.shift, self.lattice)

    def ends(self) -> np.ndarray:
        """The least and the greatest value of each column in the units of the data, (2, C), where these are bounds:
        of pictures and of columns that were dequantised. Elsewhere ∓∞.
        """
        ends = np.outer([-1.0, 1.0], np.full(self.model.dim, np.inf))
        if self.picture is not None:
            ends = np.outer([-1.0, 1.0], np.ones(self.model.dim)) * self.scale + self.shift
        for column in self.lattice:
            ends[:, column.place] = column.least, column.greatest
        return with_constants(ends, self.constants)

    def class_of(self, name: str) -> int:
        """The number of a class, by its name or, where classes have none, its number; −1 for no class."""
        if not self.model.network.classes:
            raise UsageError("this run was trained without labels: leave out --label, and a column label.")
        known = self.classes or tuple(map(str, range(self.model.network.classes)))
        if name not in (*known, "-1"):
            raise UsageError(f"--label must be one of {', '.join(known):.200}, or -1 for no class; got {name!r}.")
        return known.index(name) if name in known else -1


@dataclass(frozen=True)
class Run:
    """A directory and the configuration that it holds."""

    path: Path
    config: Config

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint is."""
        return self.path / "checkpoint.npz"

    @property
    def log(self) -> Path:
        """Where the log is."""
        return self.path / "log.csv"

    @classmethod
    def create(cls, path: Path, config: Config, overwrite: bool = False) -> Self:
        """A new run. FileExistsError where there is a checkpoint, unless it may be overwritten, or a log of others."""
        run = cls(path, config)
        if run.checkpoint.exists() and not overwrite:
            raise FileExistsError(f"{path} holds a run: go on with --resume, or choose another --out.")
        if run.log.exists() and not (path / "config.json").exists():
            raise FileExistsError(f"{run.log} is not of a run: choose another --out.")
        if (path / "config.json").exists() and not (overwrite or run.is_ours()):
            raise FileExistsError(f"{path / 'config.json'} is not of a run: choose another --out.")
        path.mkdir(parents=True, exist_ok=True)
        run.checkpoint.unlink(missing_ok=True)
        run.log.unlink(missing_ok=True)
        write_config(path / "config.json", config)
        return run

    def is_ours(self) -> bool:
        """Whether config.json is a run's, of whichever format."""
        try:
            return "format" in json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except (ValueError, OSError, TypeError, RecursionError):
            return False

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """The run of this directory; FileNotFoundError where there is none."""
        path = Path(path)
        if not (path / "config.json").is_file():
            raise FileNotFoundError(f"{path} holds no run: there is no config.json in it.")
        return cls(path, read_config(path / "config.json"))

    def with_data(self, given: Path | None = None) -> Self:
        """The same run, its data where they are now: given, or where they were, or in their folder beside the run.

        A run and its data may have moved together: the end of their path is sought under each folder above the run.
        Whether they are the data is for `check` to say.
        """
        name, path = self.config.name, Path(self.config.name)
        if given is not None:
            return replace(self, config=replace(self.config, name=str(given.resolve())))
        if name in NAMES or path.exists():
            return self
        for above in (here := self.path.resolve(), *here.parents):
            for k in range(1, len(path.parts)):
                if (there := above.joinpath(*path.parts[k:])).is_file():
                    return replace(self, config=replace(self.config, name=str(there)))
        raise FileNotFoundError(f"{name} is not there, nor beside {self.path}: say where it is by --data FILE.")

    def load(self) -> Trained:
        """The model of the last checkpoint. Raises FileNotFoundError, or ValueError for a broken one."""
        if not self.checkpoint.is_file():
            raise FileNotFoundError(f"{self.path} holds no checkpoint yet: train with --resume.")
        state, more = checkpoint.load(self.checkpoint)
        process = make_process(self.config.process)
        try:
            picture = tuple(more["picture"].tolist()) or None
            network = make_network(self.config, int(more["dim"]), int(more["classes"]), picture)
            if not np.allclose(coefficients(process), more["coefficients"], rtol=1e-9, atol=1e-12):
                raise ValueError(f"the process {self.config.process} is not what it was when this run was trained.")
            model = NetworkDenoiser(network, state.ema, process, threads=cores())
            names, classes = (tuple(more[name].tolist()) for name in ("names", "class_names"))
            constants = tuple((int(i), float(value)) for i, value in more["constants"].reshape(-1, 2))
            of = more["lattice"].reshape(-1, 4)
            lattice = tuple(Steps(int(i), float(low), float(high), float(step)) for i, low, high, step in of)
            return Trained(
                model, state, more["shift"], more["scale"], str(more["fingerprint"]), picture, names, classes,
                constants, lattice,
            )  # fmt: skip
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{self.checkpoint} does not fit {self.path / 'config.json'}: {error}") from error

    def train(
        self,
        data: Data,
        watch: Callable[[NetworkDenoiser], str] = lambda model: "",
        comm: Comm | None = None,
        like: Array | None = None,
    ) -> Trained:
        """Train on the data that the configuration names, from the last checkpoint, if there is one, to the end.

        comm: ranks among which each batch is divided. Rank 0 alone saves, logs and shows; the others train along.
        like: an array of the library and on the device to train with; the model comes back in NumPy's.
        """
        config, (dim, classes, picture) = self.config, extent(data)
        network, process = make_network(config, dim, classes, picture), make_process(config.process)
        shift, scale = (data.shift, data.scale) if isinstance(data, Dataset) else (np.zeros(dim), np.ones(dim))
        of = data if isinstance(data, Dataset) else Dataset(np.empty(0), None, shift, scale)
        fingerprint, state, rng = fingerprint_of(data), None, np.random.default_rng(config.seed)
        if self.checkpoint.is_file():
            before = self.load()
            self.check(data, before)
            state = before.state

        states = train(
            network, process, data, steps=config.steps, batch=config.batch, optimizer=config.optimizer, lr=config.lr,
            weight=config.weight, times=config.times, targets=config.targets, ema=config.ema,
            label_dropout=config.label_dropout, rng=rng, state=state,
            objective=in_parts(cores()) if comm is None else data_parallel(comm, in_parts()), like=like,
        )  # fmt: skip
        more = {
            "dim": dim, "classes": classes, "picture": picture or (), "coefficients": coefficients(process),
            "shift": shift, "scale": scale, "fingerprint": fingerprint,
            "names": of.names, "class_names": of.classes, "constants": of.constants, "lattice": of.lattice,
        }  # fmt: skip
        done = 0 if state is None else state.step
        shown = watched(states, config.steps, lambda s: watch(NetworkDenoiser(network, s.ema, process)), done)
        shared = len(even_parts(config.batch, network.rows)) > 1  # by threads: then BLAS takes one, for Muon too
        blas = one_blas_thread() if shared else nullcontext()
        with blas, closing(shown), np.errstate(over="ignore", invalid="ignore"):  # train stops at what is not finite
            state = self._saving(shown, state, more) if leads(comm) else last(chain(filter(None, [state]), states))
        model = NetworkDenoiser(network, to_numpy(state.ema), process, threads=cores())
        return Trained(model, state, shift, scale, fingerprint, picture, of.names, of.classes, of.constants, of.lattice)

    def check(self, data: Data, trained: Trained) -> None:
        """Raise a ValueError unless the data are those that the model was trained on."""
        if fingerprint_of(data) != trained.fingerprint:
            raise ValueError(f"{self.config.name} is not what it was when this run began: restore it, or begin anew.")

    def _saving(self, states: Iterable[TrainState], state: TrainState | None, more: dict) -> TrainState:
        """The last of the states, each logged, some saved; also when interrupted."""
        saved = 0 if state is None else state.step
        start = time.perf_counter() - self._cut_log(saved)
        with self.log.open("a", encoding="utf-8", newline="") as file:
            try:
                for new in states:
                    seconds = time.perf_counter() - start
                    file.write(f"{new.step},{new.loss},{new.grad_norm},{seconds:.3f}\n")
                    state = new
                    if state.step % self.config.save_every == 0 or state.step == self.config.steps:
                        saved = self._save(state, more, file)
            except KeyboardInterrupt:
                if state is not None and state.step > saved:
                    saved = self._save(state, more, file)
                raise KeyboardInterrupt(f"step {saved} is saved in {self.path}: go on with --resume") from None
            except FloatingPointError as error:
                kept = f"{self.path} keeps the checkpoint of step {saved}" if saved else "nothing was saved yet"
                raise FloatingPointError(f"{error} {kept}.") from error
        assert state is not None
        return state

    def _save(self, state: TrainState, more: dict, log: TextIO) -> int:
        """Save the state, after its line in the log; its step."""
        log.flush()
        checkpoint.save(self.checkpoint, state, **more)
        return state.step

    def _cut_log(self, step: int) -> float:
        """Cut the log off after this step; the seconds up to there."""
        rows = [row for row in self.read_log() if row[0] <= step]
        with atomic(self.log) as part, part.open("w", encoding="utf-8", newline="") as file:
            file.write(",".join(LOG) + "\n")
            file.writelines(f"{int(at)},{loss},{norm},{seconds:.3f}\n" for at, loss, norm, seconds in rows)
        return rows[-1][3] if rows else 0.0

    def read_log(self) -> list[tuple[float, float, float, float]]:
        """The rows of the log, as LOG names them, up to the first that is not whole."""
        rows: list[tuple[float, float, float, float]] = []
        if not self.log.is_file():
            return rows
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
            try:
                step, loss, norm, seconds = map(float, line.split(","))
            except ValueError:
                break
            rows.append((step, loss, norm, seconds))
        return rows


def fingerprint_of(data: Data) -> str:
    """SHA-256 of the points and labels that were read from files; empty for toys, which are always the same."""
    if not isinstance(data, Dataset):
        return ""
    digest = hashlib.sha256(data.x.tobytes())
    if data.labels is not None:
        digest.update(data.labels.tobytes())
    return digest.hexdigest()


def differing(a: Config, b: Config) -> list[str]:
    """The options in which two configurations differ."""
    return [f.name for f in fields(Config) if getattr(a, f.name) != getattr(b, f.name)]
