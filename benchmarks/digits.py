"""What an independent judge sees in the digits of `make mnist`: a convolutional network in PyTorch.

    python benchmarks/digits.py [RUN]          # runs/mnist unless given; needs the extra `torch`; ten minutes

It is trained on the real digits here and now, and nothing in tinydiff was tuned by it. Printed is how often it reads
the class that a sample was drawn for; the Fréchet distance in its features between 4,000 samples and as many test
digits, beside that of training digits; and recall, the share of test digits within the reach of the samples of their
class, which goes to the third neighbour of each [Kynkäänniemi et al. 2019], a class at a time. Then what ten and two
hundred digits cost on one core.
"""

import sys
import time

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import nn
from tqdm import trange

import tinydiff as td
from tinydiff import grids
from tinydiff.app.directory import Run
from tinydiff.app.pictures import INTERVAL, SAMPLER
from tinydiff.app.sampling import WEIGHTS, guided, under_guidance
from tinydiff.backend import keep_freed_memory
from tinydiff.learned.parts import one_blas_thread

COUNT = 4000
EPOCHS = 4
JUDGE_SEED, NOISE_SEED = 77, 2


def images(x: np.ndarray) -> torch.Tensor:
    """Rows of pixels as the judge takes them."""
    return torch.tensor(np.clip(x, -1, 1), dtype=torch.float32).reshape(-1, 1, 28, 28)


def train_judge(data: td.Dataset) -> nn.Sequential:
    """A network of three convolutions; what comes before its last layer are its features."""
    torch.manual_seed(JUDGE_SEED)
    judge = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.4)),
        *(nn.Linear(64 * 5 * 5, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    x, labels = images(data.x), torch.tensor(data.labels)
    optimizer = torch.optim.Adam(judge.parameters())
    steps = EPOCHS * len(x) // 128
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in trange(steps, desc="judge", unit="step"):
        rows = torch.randint(len(x), (128,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(judge(x[rows]), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    return judge.eval()


@torch.no_grad()
def reads(judge: nn.Sequential, x: np.ndarray) -> np.ndarray:
    """The class that the judge sees in each image."""
    return np.concatenate([judge(part).argmax(1).numpy() for part in images(x).split(500)])


@torch.no_grad()
def features(judge: nn.Sequential, x: np.ndarray) -> np.ndarray:
    """The 128 numbers before the last layer."""
    return np.concatenate([judge[:-1](part).numpy() for part in images(x).split(500)])


def recall(of_samples: np.ndarray, labels: np.ndarray, of_true: np.ndarray, true_labels: np.ndarray) -> np.ndarray:
    """The share of the true digits of each class that lie within the reach of a sample of that class, (10,)."""
    shares = []
    for k in range(10):
        x, y = of_samples[labels == k], of_true[true_labels == k]
        reach = np.sort(cdist(x, x), axis=1)[:, 3]
        shares.append(np.mean(np.any(cdist(y, x) <= reach, axis=1)))
    return np.array(shares)


def seconds_of(model: td.NetworkDenoiser, labels: np.ndarray, w: float, steps: int) -> float:
    """What it costs to draw the labels on one core, the second time."""
    towards = guided(td.NetworkDenoiser(model.network, model.theta, model.process), labels, w, INTERVAL)
    with one_blas_thread():
        for _ in range(2):
            start = time.process_time()
            td.sample(towards, len(labels), sampler=td.ddim, steps=steps, rng=0, **SAMPLER)
    return time.process_time() - start


def main(run: str = "runs/mnist") -> None:
    """Train the judge and print the tables."""
    keep_freed_memory()
    model = Run.open(run).load().model
    digits, test = td.load_mnist("train"), td.load_mnist("test")
    judge, rng = train_judge(digits), np.random.default_rng(NOISE_SEED)
    labels = np.arange(COUNT) % 10
    noise = model.process.prior(rng, COUNT, model.like)
    rows, others = (rng.permutation(len(data.x))[:COUNT] for data in (test, digits))
    true, true_labels = features(judge, test.x[rows]), test.labels[rows]
    again = features(judge, digits.x[others])
    real = td.frechet_distance(again, true), recall(again, digits.labels[others], true, true_labels)

    print(f"right on {np.mean(reads(judge, test.x) == test.labels):.2%} of the test digits; {COUNT} samples each\n")
    print(f"{'':20}{'of their class':>18}{'Fréchet':>10}{'of real ones':>14}{'recall':>9}{'of the worst class':>20}")
    print(f"{'training digits':20}{'':>18}{real[0]:>10.2f}{1:>14.2f}{real[1].mean():>9.3f}{real[1].min():>20.3f}")
    chains: dict[str, tuple[float, dict]] = {f"w = {w:g}": (w, SAMPLER | {"interval": INTERVAL}) for w in WEIGHTS}
    chains["w = 0.5, everywhere"] = 0.5, SAMPLER
    chains["w = 0, uniform times"] = 0.0, {"grid": grids.even_time, "eta": 1.0}
    chains["w = 0, the flow"] = 0.0, {"grid": grids.even_time}
    for name, (w, sampler) in chains.items():
        (x,) = under_guidance(model, labels, noise, (w,), **sampler)
        fraction, seen = np.mean(reads(judge, x) == labels), features(judge, x)
        agree = f"{fraction:.4f} ± {np.sqrt(fraction * (1 - fraction) / COUNT):.4f}"
        distance, covered = td.frechet_distance(seen, true), recall(seen, labels, true, true_labels)
        print(f"{name:20}{agree:>18}{distance:>10.2f}{distance / real[0]:>14.2f}", end="")
        print(f"{covered.mean():>9.3f}{covered.min():>20.3f}")

    print("\nCPU seconds on one core:")
    print(f"    ten digits, 50 steps                             {seconds_of(model, np.arange(10), 0, 50):.2f}")
    print(f"    two hundred digits, w = 0.5, 20 steps            {seconds_of(model, np.arange(200) % 10, 0.5, 20):.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
