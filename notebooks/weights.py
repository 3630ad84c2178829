"""Write notebooks/digits.npz: the weights of a run on MNIST, small enough for a repository.

    python notebooks/weights.py runs/mnist

The averaged parameters are rounded to float16, and there to 9 of the 10 bits of mantissa, so that they compress; the
high and the low bytes lie apart, which compress better so. Beside them lies what makes the network again. No pickles.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from tinydiff.app import checkpoint
from tinydiff.app.config import read_config
from tinydiff.checks import check_theta
from tinydiff.files import atomic
from tinydiff.learned.network import TimeMLP

HERE = Path(__file__).parent
BITS = 1
"""Of the mantissa that are rounded away."""
LIMIT = 8_000_000
"""Bytes of the file, at most."""


def rounded(theta: np.ndarray, bits: int = BITS) -> np.ndarray:
    """The nearest float16 whose last `bits` bits of the mantissa are 0; ties go up in size."""
    half = np.asarray(theta, np.float16).view(np.uint16)
    up = (half + np.uint16(1 << bits >> 1)) & np.uint16(0xFFFF << bits & 0xFFFF)  # a carry moves into the exponent
    return up.view(np.float16)


def pack(theta: np.ndarray, network: TimeMLP, bits: int = BITS) -> dict[str, np.ndarray]:
    """The arrays of the file."""
    check_theta(network.size, theta)
    with np.errstate(over="ignore"):
        number = rounded(theta, bits)
    if not np.all(np.isfinite(number)):
        raise ValueError("a parameter is beyond float16.")
    word = number.view(np.uint16)
    fields = {
        name: np.array(getattr(network, name)) for name in ("dim", "width", "blocks", "classes", "prediction", "norm")
    }
    return {"high": (word >> 8).astype(np.uint8), "low": (word & 0xFF).astype(np.uint8), **fields}


def unpack(arrays: dict[str, np.ndarray]) -> tuple[TimeMLP, np.ndarray]:
    """The network and its parameters, float32."""
    network = TimeMLP(**{name: arrays[name].item() for name in arrays if name not in ("high", "low")})
    word = arrays["high"].astype(np.uint16) << 8 | arrays["low"]
    return network, word.view(np.float16).astype(np.float32)


def write(run: str | os.PathLike[str], path: Path, bits: int = BITS) -> int:
    """Write the weights of a run to `path`, whole or not at all, and return the bytes that they take."""
    run = Path(run)
    config, (state, _) = read_config(run / "config.json"), checkpoint.load(run / "checkpoint.npz")
    if config.name != "mnist":
        raise ValueError(f"{run} is a run on {config.name}, not on mnist.")
    network = TimeMLP(784, config.width, config.blocks, 10, config.prediction, config.norm)
    with atomic(path) as part:
        with part.open("wb") as file:
            np.savez_compressed(file, **pack(state.ema, network, bits))
        if (size := part.stat().st_size) > LIMIT:
            raise ValueError(f"{path.name} would take {size} bytes, more than {LIMIT}: round away more bits.")
    print(f"{path}: step {state.step} of {config.steps}, {network.size} numbers, {size} bytes")
    return size


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of the run")
    parser.add_argument("--bits", type=int, default=BITS, choices=range(5), help="of the mantissa to round away")
    options = parser.parse_args()
    write(options.run, HERE / "digits.npz", options.bits)


if __name__ == "__main__":
    main()
