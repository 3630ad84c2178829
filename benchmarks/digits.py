"""What an independent judge sees in the digits of `make mnist`: a convolutional network in PyTorch.

    python benchmarks/digits.py [RUN]          # runs/mnist unless given; needs the extra `torch`; five minutes

It is trained on the real digits here and now, and nothing in tinydiff was tuned by it. Prints how often it reads the
class that a sample was drawn for, and the Fréchet distance in its features between as many samples and test digits,
beside the same for real training digits.
"""

import sys

import numpy as np
import torch
from torch import nn
from tqdm import trange

import tinydiff as td
from tinydiff.app.digits import SAMPLER
from tinydiff.app.directory import Run
from tinydiff.app.sampling import WEIGHTS, under_guidance

COUNT = 4000
EPOCHS = 4


def images(x: np.ndarray) -> torch.Tensor:
    """Rows of pixels as the judge takes them."""
    return torch.tensor(np.clip(x, -1, 1), dtype=torch.float32).reshape(-1, 1, 28, 28)


def train_judge(data: td.Dataset) -> nn.Sequential:
    """A network of three convolutions; what comes before its last layer are its features."""
    torch.manual_seed(77)
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


def main(run: str = "runs/mnist") -> None:
    """Train the judge and print the table."""
    trained = Run.open(run).load()
    digits, test = td.load_mnist("train"), td.load_mnist("test")
    judge, rng = train_judge(digits), np.random.default_rng(2)
    labels = np.arange(COUNT) % 10
    noise = trained.model.process.prior(rng, COUNT, trained.model.like)
    clouds = under_guidance(trained.model, labels, noise, **SAMPLER)
    true, again = (data.x[rng.permutation(len(data.x))[:COUNT]] for data in (test, digits))
    print(f"right on {np.mean(reads(judge, test.x) == test.labels):.2%} of the test digits; {COUNT} samples each\n")
    print(f"{'':20}{'of their class':>20}{'Fréchet distance':>20}")
    for name, x in (*((f"w = {w:g}", x) for w, x in zip(WEIGHTS, clouds, strict=True)), ("training digits", again)):
        fraction = np.mean(reads(judge, x) == labels)
        agree = "" if x is again else f"{fraction:.2%} ± {np.sqrt(fraction * (1 - fraction) / COUNT):.2%}"
        distance = td.frechet_distance(features(judge, x), features(judge, true))
        print(f"{name:20}{agree:>20}{distance:>20.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
