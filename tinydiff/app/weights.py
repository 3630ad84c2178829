"""Trained networks in small files: half precision, no pickles, and all that makes the model again."""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from tinydiff.app import checkpoint
from tinydiff.app.process import PROCESSES, coefficients, make_process
from tinydiff.backend import to_numpy
from tinydiff.checks import check_kind
from tinydiff.files import atomic, in_memory
from tinydiff.learned.classifier import Classifier
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.learned.mixer import Mixer
from tinydiff.learned.network import TimeMLP

FORMAT = 1
NETWORKS = {network.__name__: network for network in (TimeMLP, Mixer)}


def save(path: str | os.PathLike[str], model: NetworkDenoiser | Classifier) -> int:
    """Write a trained model, its parameters rounded to float16, two bytes each.

    Parameters
    ----------
    path : str or path-like
        The file, an .npz, which is written as a whole or not at all.
    model : NetworkDenoiser or Classifier
        One of a TimeMLP or a Mixer, under one of our processes in continuous time.

    Returns
    -------
    int
        The bytes of the file.

    Raises
    ------
    TypeError
        For a model of another kind, such as an oracle.
    ValueError
        For another network or process, and a parameter that float16 cannot hold.

    Examples
    --------
    >>> import pathlib, tempfile, numpy as np, tinydiff as td
    >>> network = td.TimeMLP(2, width=8, blocks=1)
    >>> model = td.NetworkDenoiser(network, network.init(0), td.Cosine())
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "small.npz"
    >>> _ = td.weights.save(path, model)
    >>> same = td.weights.load(path)
    >>> same.network == network, same.process, bool(np.all(np.abs(same.theta - model.theta) < 2e-3))
    (True, Cosine(), True)
    """
    check_kind("model", model, NetworkDenoiser | Classifier, "a NetworkDenoiser or a Classifier")
    network, process = model.network, coefficients(model.process)
    if type(network) is not NETWORKS.get(type(network).__name__):
        raise ValueError(f"weights are saved of {', '.join(NETWORKS)}; got {network!r}.")
    names = [name for name in PROCESSES if np.array_equal(coefficients(make_process(name)), process)]
    if not names:
        raise ValueError(f"weights are saved under {', '.join(PROCESSES)} as they come; got {model.process!r}.")
    with np.errstate(over="ignore"):
        theta = to_numpy(model.theta).astype(np.float16)
    if not np.all(np.isfinite(theta)):
        raise ValueError("a parameter is beyond float16.")
    made = {field.name: getattr(network, field.name) for field in fields(network) if field.init}
    content = {"format": FORMAT, "network": type(network).__name__, "options": json.dumps(made), "process": names[0]}
    with atomic(Path(path)) as part:
        part.write_bytes(in_memory(np.savez_compressed, theta=theta, **content))
    return Path(path).stat().st_size


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model that `save` wrote, its parameters in float32.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    NetworkDenoiser or Classifier
        A Classifier where the network has outputs of its own.

    Raises
    ------
    FileNotFoundError
        Where there is no such file.
    ValueError
        Where the file is broken or of another format.
    """
    content = checkpoint.read(Path(path))
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, and this version reads {FORMAT}")
        network = NETWORKS[str(content["network"])](**json.loads(str(content["options"])))
        of = Classifier if network.outputs else NetworkDenoiser
        return of(network, content["theta"].astype(np.float32), make_process(str(content["process"])))
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path} does not hold weights of tinydiff: {error}.") from error
