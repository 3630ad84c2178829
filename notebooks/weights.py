"""Write what the notebooks know of digits into files beside them; print their sums, for tinydiff/course/digits.py.

    python notebooks/weights.py network runs/mnist    # digits.npz: the network that `make mnist` trained
    python notebooks/weights.py judge                 # judge.npz: a small classifier, trained here in some minutes
    python notebooks/weights.py narrow                # narrow-eps.npz, narrow-x0.npz: trained here in half a minute
    python notebooks/weights.py digits                # test-digits.npz: a hundred test digits of each class

No pickles; the parameters are rounded to half precision.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np

import tinydiff as td
from tinydiff.app.directory import Run
from tinydiff.app.parallel import cores, in_parts
from tinydiff.files import atomic, in_memory
from tinydiff.learned.classifier import cross_entropy
from tinydiff.progress import watched

HERE = Path(__file__).parent
STEPS = 3000


def network(run: Path) -> Path:
    """The weights of a run on MNIST."""
    run = Run.open(run)
    if run.config.name != "mnist":
        raise ValueError(f"{run.path} is a run on {run.config.name}, not on mnist.")
    return save("digits.npz", run.load().model)


def judge(steps: int = STEPS) -> Path:
    """A mixer that reads digits under little noise, and its accuracy on all test digits."""
    data, test, process = td.load_mnist("train"), td.load_mnist("test"), td.Cosine()
    network = td.Mixer((28, 28), width=32, blocks=3, outputs=10)
    states = td.train_classifier(
        network, process, data, steps=steps, batch=128, optimizer="muon", lr=0.02, ema=0.999, rng=0,
        times=clean_times, objective=in_parts(cores(), cross_entropy),
    )  # fmt: skip
    classifier = td.Classifier(network, td.last(watched(states, steps)).ema, process)
    path = save("judge.npz", classifier)
    log_p = td.weights.load(path).log_p(test.x, process.t_min)
    print(f"right on {np.mean(np.argmax(log_p, axis=1) == test.labels):.2%} of the test digits")
    return path


def clean_times(process: td.Process, rng: np.random.Generator, n: int) -> np.ndarray:
    """Times of log-SNR 0 and more, where a digit can be read: uniform in the log-SNR."""
    return process.time(14 * rng.random(n))


def narrow(steps: int = STEPS) -> list[Path]:
    """Two networks of width 128 for digits of 14 × 14 pixels, alike in all but what they predict: the noise, or x_0."""
    data, process, paths = td.load_mnist("train"), td.Cosine(), []
    x = data.x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)
    for prediction, weight in (("eps", "simple"), ("x0", "x0")):
        network = td.TimeMLP(196, width=128, blocks=1, classes=10, prediction=prediction, norm=True)
        states = td.train(
            network, process, (x, data.labels), steps=steps, batch=256, optimizer="adam", lr=3e-3, ema=0.995, rng=0,
            weight=weight, times="uniform", targets="single",
        )  # fmt: skip
        theta = td.last(watched(states, steps)).ema
        paths.append(save(f"narrow-{prediction}.npz", td.NetworkDenoiser(network, theta, process)))
    return paths


def digits() -> Path:
    """A hundred test digits of each class, drawn at random, in the order 0, 1, …, 9, 0, 1, …"""
    test, rng = td.load_mnist("test"), np.random.default_rng(0)
    rows = np.stack([rng.permutation(np.flatnonzero(test.labels == k))[:100] for k in range(10)], axis=1).ravel()
    images = np.rint(test.restore(test.x[rows])).astype(np.uint8).reshape(-1, 28, 28)
    with atomic(HERE / "test-digits.npz") as part:
        part.write_bytes(in_memory(np.savez_compressed, images=images, labels=test.labels[rows].astype(np.uint8)))
    return HERE / "test-digits.npz"


def save(name: str, model: td.NetworkDenoiser | td.Classifier) -> Path:
    """Write a model; the path."""
    td.weights.save(HERE / name, model)
    return HERE / name


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("network", "judge", "narrow", "digits"))
    parser.add_argument("run", metavar="RUN", type=Path, nargs="?", default=Path("runs/mnist"), help="of the network")
    options = parser.parse_args()
    make = {"network": lambda: network(options.run), "judge": judge, "narrow": narrow, "digits": digits}[options.what]
    for path in made if isinstance(made := make(), list) else [made]:
        print(f'    "{path.name}": "{hashlib.sha256(path.read_bytes()).hexdigest()}",  # {path.stat().st_size:,} bytes')


if __name__ == "__main__":
    main()
