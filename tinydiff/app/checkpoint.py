"""Checkpoints: all that training needs to go on, in one .npz file without pickles, whole or absent.

Beside the arrays of TrainState the file holds the generator's state, as JSON since it has integers of 128 bits, and the
format's number. What else a caller passes comes back as it was.
"""

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.backend import Array, to_numpy
from tinydiff.files import atomic, in_memory
from tinydiff.learned.optim import OptimizerState
from tinydiff.learned.train import TrainState

FORMAT = 1
BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def save(path: str | os.PathLike[str], state: TrainState, **more: Array) -> None:
    """Write the state, and more arrays by name, in the place of any checkpoint that is there.

    Parameters
    ----------
    path : str or path-like
        The file, which is written as a whole or not at all.
    state : TrainState
        A state of training; arrays of any library go to the host.
    **more : array or str
        What else to keep, by name.

    Raises
    ------
    ValueError
        Where a name is one of the state's own, and for arrays of Python objects.

    Examples
    --------
    >>> import pathlib, tempfile, tinydiff as td
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.npz"
    >>> states = td.train(td.TimeMLP(2, 8, 1), td.VP(), td.toys.ring8(), steps=2, batch=16, rng=0)
    >>> td.checkpoint.save(path, td.last(states), note="the second step")
    >>> state, more = td.checkpoint.load(path)
    >>> state.step, str(more["note"])
    (2, 'the second step')
    """
    content = {
        "format": FORMAT,
        "step": state.step, "theta": state.theta, "ema": state.ema,
        "mu": state.optimizer.mu, "nu": state.optimizer.nu, "count": state.optimizer.updates,
        "rng_state": json.dumps(state.rng_state, default=np.ndarray.tolist),
        "loss": state.loss, "grad_norm": state.grad_norm,
    }  # fmt: skip
    if taken := content.keys() & more.keys():
        raise ValueError(f"{', '.join(sorted(taken))}: these names are the state's own.")
    arrays: dict[str, Any] = {name: to_numpy(value) for name, value in (content | more).items()}
    if objects := [name for name, value in arrays.items() if value.dtype.hasobject]:
        raise ValueError(f"{', '.join(objects)}: objects cannot be saved without pickles.")
    with atomic(path) as part:
        part.write_bytes(in_memory(np.savez, **arrays))


def load(path: str | os.PathLike[str]) -> tuple[TrainState, dict[str, np.ndarray]]:
    """Read the state, in NumPy arrays, and what was saved beside it.

    Parameters
    ----------
    path : str or path-like
        A file that ``save`` wrote.

    Returns
    -------
    state : TrainState
        What ``train(..., state=state)`` goes on from.
    more : dict
        The other arrays, by name.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where the file is broken, of another format, or holds parameters that are not finite.
    """
    path = Path(path)
    content = read(path)
    if (found := content.pop("format", None)) is None or found.shape != () or found != FORMAT:
        number = " ".join(str(found).split())
        raise ValueError(f"{path} is of format {number}; this version of tinydiff reads format {FORMAT}.")
    try:
        step, count, rng_state, loss, norm = (
            content.pop(name).item() for name in ("step", "count", "rng_state", "loss", "grad_norm")
        )
        theta, ema, mu, nu = (content.pop(name) for name in ("theta", "ema", "mu", "nu"))
        optimizer = OptimizerState(mu, nu, count)
        state = TrainState(step, theta, ema, optimizer, json.loads(rng_state), loss, norm)
        if (name := state.rng_state["bit_generator"]) not in BIT_GENERATORS:
            raise ValueError(f"bit_generator {name!r} is none of {', '.join(BIT_GENERATORS)}")
        getattr(np.random, name)().state = state.rng_state  # raises unless it is one
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path} is not a checkpoint of tinydiff: {error!r}.") from error
    vectors = (state.theta, state.ema, mu, nu)
    if len({(v.shape, v.dtype) for v in vectors}) != 1 or state.theta.ndim != 1 or state.theta.dtype.kind != "f":
        raise ValueError(f"{path} is not a checkpoint of tinydiff: its vectors disagree in shape or real dtype.")
    if not math.isfinite(sum(float(np.sum(v)) for v in vectors)):
        raise ValueError(f"{path} holds parameters that are not finite.")
    return state, content


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz file, after a look at its checksums: NumPy alone would believe a broken header."""
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise ValueError(f"the checksum of {broken} is wrong")
        with np.load(path, allow_pickle=False) as arrays:
            content = dict(arrays)
        if other := [name for name, value in content.items() if not isinstance(value, np.ndarray)]:
            raise ValueError(f"{', '.join(other)} is no array")
        return content
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # zipfile and NumPy raise a dozen types for a dozen ways to be broken
        raise ValueError(f"{path} is not a whole .npz file: {' '.join(str(error).split())}.") from error
