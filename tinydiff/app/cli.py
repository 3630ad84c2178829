"""The command line: `tinydiff look`, `train`, `sample`, `inpaint`, `evaluate`, `compare`, `race`, `demo`, `check` and
`doctor`.

Each has `--help`. Exit codes: 0 for success, 1 for a failure, which is one line, 2 for wrong usage, 130 for an
interruption.
"""

import io
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from tinydiff import __version__
from tinydiff.app import runs
from tinydiff.app.checking import Check, check_file
from tinydiff.app.compare import Compare
from tinydiff.app.config import NAMES, Config, Device, UsageError, checked, data_name, recipe
from tinydiff.app.directory import Run, differing
from tinydiff.app.doctor import Doctor, doctor
from tinydiff.app.images import is_pictures
from tinydiff.app.inpainting import Inpaint, fill
from tinydiff.app.looking import Look, look
from tinydiff.app.parallel import Comm, rows_of_rank, world
from tinydiff.app.process import make_process
from tinydiff.app.racing import Enter, enter
from tinydiff.app.read import read_points, standardised
from tinydiff.app.sampling import Draw
from tinydiff.app.streams import lasting
from tinydiff.backend import keep_freed_memory
from tinydiff.files import atomic


@dataclass(frozen=True)
class Train:
    """Train a network and measure it. `tinydiff train NAME --help` shows the defaults for NAME."""

    config: tyro.conf.OmitArgPrefixes[Config]
    out: Path = Path("runs/NAME")
    """The run's directory."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in that directory, bit for bit as if it had not stopped."""
    mpi: tyro.conf.FlagCreatePairsOff[bool] = False
    """Divide each batch among the processes that mpiexec started."""
    device: Device = "cpu"
    """Where to train: gpu takes CuPy and a GPU."""


@dataclass(frozen=True)
class Evaluate:
    """Measure a trained run against the truth and draw its figures again."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="(default: where it was)")] = None
    """The file of the run's data, where it has moved."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name and return the exit code."""
    with lasting(sys.stdout, sys.stderr):
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    """The same, in streams that last."""
    keep_freed_memory()
    arguments, comm = sys.argv[1:] if arguments is None else arguments, None
    try:
        if "--mpi" in arguments:  # before they are parsed, so that a mistake is printed once
            comm = world()
            if comm.rank:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # rank 0 saves, and stops all
        match parse(arguments):
            case Train(config, out, resume, _, device):
                fits(comm, config.batch)
                runs.train(config, out, resume, comm, device)
            case Look() as options:
                look(options)
            case Draw() as options:
                fits(comm, options.n)
                runs.sample(options, comm)
            case Inpaint() as options:
                fill(options)
            case Evaluate(run, data):
                runs.evaluate(run, data)
            case Compare() as options:
                runs.compare(options)
            case Enter() as options:
                enter(options)
            case runs.Demo() as options:
                runs.demo(options)
            case Check() as options:
                return check_file(options)
            case Doctor():
                return doctor()
    except UsageError as error:
        return fail(error, 2, comm)
    except (ValueError, OSError, FloatingPointError, MemoryError, ModuleNotFoundError) as error:
        return fail(error, 1, comm)
    except KeyboardInterrupt as stop:
        return fail(f"interrupted: {stop}" if stop.args else "interrupted", 130, comm)
    except Exception as error:
        if comm is None:
            raise
        traceback.print_exc()
        return fail(error, 1, comm)
    return 0


def fail(error: Any, code: int, comm: Comm | None = None) -> int:
    """Print the error in one line and return the exit code; one of several ranks ends the others, which wait for it."""
    message = " ".join(str(error).split()) or type(error).__name__
    if comm is None or comm.size == 1:
        print("tinydiff:", message, file=sys.stderr)
        return code
    time.sleep(comm.rank > 0)  # what befalls all is printed once, by rank 0
    below = "\n" if comm.rank else ""  # rank 0's progress bar
    print(f"{below}tinydiff: rank {comm.rank} of {comm.size}: {message}", file=sys.stderr, flush=True)
    time.sleep(0.2)  # mpiexec passes it on; it would drop what it has not read when the ranks end
    comm.Abort(code)
    return code


def fits(comm: Comm | None, rows: int) -> None:
    """Raise a UsageError where there are more ranks than rows."""
    with usage():
        if comm is not None:
            rows_of_rank(comm, rows)


def parse(arguments: Sequence[str]) -> Any:
    """The options of the command that the arguments name."""
    arguments = list(arguments)
    if arguments[:1] == ["train"]:
        return parse_train(arguments[1:])
    if arguments[:1] == ["--version"]:
        print(f"tinydiff {__version__}")
        raise SystemExit(0)
    commands: dict[str, Callable] = {
        "look": Look,
        "train": Train,
        "sample": Draw,
        "inpaint": Inpaint,
        "evaluate": Evaluate,
        "compare": Compare,
        "race": Enter,
        "demo": runs.Demo,
        "check": Check,
        "doctor": Doctor,
    }
    description = "Denoising diffusion from scratch in NumPy, checked against exact truth."
    with usage():
        return checked(
            tyro.extras.subcommand_cli_from_dict(commands, prog="tinydiff", description=description, args=arguments),
            "--",
        )


def parse_train(arguments: Sequence[str]) -> Train:
    """The options of train: the arguments over the recipe that NAME chooses, or over the configuration to resume."""
    cli = partial(tyro.cli, Train, prog="tinydiff train", args=arguments)
    with usage():
        if {"-h", "--help"} & set(arguments):
            return cli(default=defaults(next((word for word in arguments if word in NAMES), "NAME")))
        first = cli()
        default = defaults(data_name(first.config.name))
    out = default.out if first.out == Train.out else first.out
    base = Run.open(out).config if first.resume else default.config
    with usage():
        options = cli(default=Train(base, out))
        config = options.config
        labels = config.labels
        if labels and config.name not in NAMES and is_pictures(config.name):
            labels = str(Path(labels).resolve())
        config = checked(replace(config, name=data_name(config.name), labels=labels), "--")
        if not options.resume:
            make_process(config.process)
        if options.resume and config.name != base.name and (base.name in NAMES or Path(base.name).exists()):
            raise UsageError(f"{out} holds a run of {base.name}; got {config.name}.")
        if options.resume and (changed := differing(replace(config, name=base.name), base)):
            values = {name: getattr(base, name) for name in changed}
            own = [f"--{name} {'default' if value is None else value}" for name, value in values.items()]
            raise UsageError(f"--resume goes on with the run's own {', '.join(own)}: leave that out.")
        if config.name == "-" and options.mpi:
            raise UsageError("standard input is for one process: write it to a file, or leave out --mpi.")
    if config.name == "-":
        config = replace(config, name=received(out, config))
    return replace(options, config=config)


def received(out: Path, config: Config) -> str:
    """The path of what standard input brings, which is kept in the run's directory: --resume and evaluate need it."""
    path = out / "stdin.csv"
    if (out / "config.json").exists():
        raise FileExistsError(f"{out} holds a run: train on {path}, or choose another --out.")
    raw = sys.stdin.buffer.read()
    standardised(read_points(raw, config.read, config.labels), "standard input")  # it must hold points, to be kept
    out.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        part.write_bytes(raw)
    return str(path.resolve())


def defaults(name: str) -> Train:
    """What `tinydiff train NAME` does without options."""
    return Train(recipe(name), Path("runs") / ("stdin" if name == "-" else Path(name).stem))


@contextmanager
def usage() -> Iterator[None]:
    """Turn a ValueError, or tyro's boxed message and exit, into a UsageError of one line."""
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            yield
    except ValueError as error:
        raise UsageError(error) from error
    except SystemExit as error:
        if not error.code:
            raise
        text = re.sub(r"[─-]{3,}|[│╭╮╰╯|]|\(applied to [^)]*\)", " ", printed.getvalue().split("\n", 1)[1])
        end = "Argument helptext|For full helptext|Arguments are applied to|Perhaps you meant"  # of other commands too
        raise UsageError(f"{re.split(end, text)[0]} See --help.") from None
