"""The process of a run: one of ours by a short name, or a class of one's own, which is named as "module:Class"."""

import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from functools import reduce

import numpy as np

from tinydiff.backend import first_line
from tinydiff.processes import VE, VP, Cosine, Discrete, Process, Straight, SubVP

PROCESSES: Mapping[str, type[Process]] = {"vp": VP, "subvp": SubVP, "ve": VE, "cosine": Cosine, "straight": Straight}


def is_process_name(name: str) -> bool:
    """Whether this is one of our names or of the form "module:Class"; nothing is imported."""
    module, _, of_class = name.partition(":")
    return name in PROCESSES or all(part.isidentifier() for part in (*module.split("."), *of_class.split(".")))


def make_process(name: str) -> Process:
    """The process of this name.

    A class of one's own is imported with the current directory first on Python's path, where `python -m` puts it too,
    and is called without arguments. Raises a ValueError of one sentence where it cannot be imported, is no subclass of
    Process, is a chain (a report needs continuous time), or needs arguments.
    """
    if name in PROCESSES:
        return PROCESSES[name]()
    module_name, _, class_name = name.partition(":")
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = reduce(getattr, class_name.split("."), importlib.import_module(module_name))
    except Exception as error:  # a module of someone's own may raise anything
        raise ValueError(
            f"the process {name} cannot be imported, from the current directory or from elsewhere on Python's path: "
            f"{first_line(error)}."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Process)):
        raise ValueError(f"the process {name} is not a subclass of tinydiff.Process.")
    if issubclass(found, Discrete):
        raise ValueError(f"the process {name} is a Discrete one, and the report of a run needs continuous time.")
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise ValueError(f"the process {name} must be a class that needs no arguments: {error}.") from error
    try:
        process = found()
        process.at(0.5).g2  # noqa: B018
    except Exception as error:
        raise ValueError(f"the process {name} cannot be used: {first_line(error)}.") from error
    return process


def coefficients(process: Process) -> np.ndarray:
    """The α and σ of a process at nine times, (2, 9), by which a checkpoint knows the one that it was trained with."""
    levels = process.at(np.linspace(process.t_min, process.t_max, 9))
    return np.stack([levels.alpha, levels.sigma])
