"""How well the defaults learn, how soon, and what each choice gives.

    python benchmarks/learning.py

Trains with the defaults of `fit` and in fewer steps on five toys, and on one of them by Adam in 3,000 steps with one
thing changed at a time. Each is run from three seeds, two runs side by side with one thread of BLAS each:
an hour and a half. Each result goes to learning.json as it comes, and one that is there is not measured again: delete
the file, or lines of it, to repeat them. The site makes its page of learning from that file.
"""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.app.report import losses
from tinydiff.files import atomic
from tinydiff.learned import train as training
from tinydiff.learned.objective import logistic_times

RESULTS = Path(__file__).with_name("learning.json")
SEEDS = (0, 1, 2)
TOYS = ("ring8", "grid25", "moons32", "pinwheel40", "spiral60")
ABLATED = "grid25"
"""The toy that is learned with one thing changed: its modes have the sharpest borders."""
LOOKS = np.geomspace(0.1, 1, 8)
"""Parts of a run at which it looks at its KL, by the clock that training alone moves."""
FAR = 1e-3
"""A sample is far where the true density is lower than at all but this share of true points."""


@dataclass(frozen=True)
class Change:
    """What differs from the defaults: arguments of TimeMLP and of train, or names in tinydiff.learned.train."""

    network: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    replaced: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def made(self) -> Iterator[None]:
        """The replacements, for as long as this lasts."""
        with ExitStack() as stack:
            for name, value in self.replaced.items():
                stack.enter_context(patch(f"tinydiff.learned.train.{name}", value))
            yield


def wide_times(process: td.Process, rng: np.random.Generator, n: int) -> np.ndarray:
    """Times of a logistic log-SNR around 3, of scale 3."""
    return logistic_times(process, rng, n, mean=3.0, scale=3.0)


def independent_times(process: td.Process, rng: np.random.Generator, n: int) -> np.ndarray:
    """The same law, each time drawn alone."""
    with patch("tinydiff.learned.objective.strata", lambda rng, n: rng.random(n)):
        return wide_times(process, rng, n)


def cosine(lr: float, steps: int, warmup: int) -> Any:
    """A learning rate that falls to 0 along a cosine [Loshchilov & Hutter 2017, 5]."""
    return lambda k: lr * min(1.0, (k + 1) / (warmup + 1)) * 0.5 * (1 + np.cos(np.pi * k / steps))


def constant(lr: float, steps: int, warmup: int) -> Any:
    """A learning rate that does not fall."""
    return lambda k: lr * min(1.0, (k + 1) / (warmup + 1))


def adam(network: dict[str, Any] = {}, replaced: dict[str, Any] = {}, **train: Any) -> Change:  # noqa: B006
    """One thing changed beside Adam in 3,000 steps."""
    before = {"optimizer": "adam", "steps": 3000, "ema": 0.999, "times": wide_times}
    return Change(network, before | train, {"linear_decay": cosine} | replaced)


def antithetic() -> Change:
    """Each point twice at the same time, with noise of either sign."""

    def twice(a: np.ndarray) -> np.ndarray:
        return np.concatenate([a, a])

    def batches(data: Any, dim: int, classes: int) -> Any:
        return lambda rng, n: (twice(data.sample(rng, n // 2)), None)

    def normal_like(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        eps = td.backend.normal_like(rng, x[: len(x) // 2])
        return np.concatenate([eps, -eps])

    def times(process: td.Process, rng: np.random.Generator, n: int) -> np.ndarray:
        return twice(wide_times(process, rng, n // 2))

    return adam(replaced={"batches": batches, "normal_like": normal_like}, times=times)


class Random(td.TimeMLP):
    """The network with every layer random at the start, where blocks begin as the identity and the output as 0."""

    def init(self, rng: np.random.Generator, dtype: Any = np.float32) -> np.ndarray:
        """θ with W ~ N(0, 1/inputs) throughout."""
        theta = super().init(rng, dtype)
        for name, piece in self.split(theta).items():
            n, m = self.shapes[name]
            if name.startswith(("down", "out")):
                piece[: (n - 1) * m] = rng.standard_normal((n - 1) * m) / np.sqrt(n - 1)
        return theta


HEADLINES = ("defaults", "600 steps")
"""What is measured on all toys."""


CHANGES: dict[str, Change] = {
    "defaults": Change(),
    "600 steps": Change(train={"steps": 600}),
    "nothing": adam(),
    "targets: the noise that was drawn": adam(targets="single"),
    "prediction: ε": adam({"prediction": "eps"}),
    "prediction: x₀": adam({"prediction": "x0"}),
    "times: uniform in t": adam(times="uniform"),
    "times: uniform in log-SNR": adam(times="log_snr"),
    "times: independent, not stratified": adam(times=independent_times),
    "weight: the variational bound's, t uniform": adam(times="uniform", weight="vlb"),
    "weight: min-SNR": adam(weight="min_snr"),
    "no average of θ": adam(ema=0.0),
    "learning rate: constant": adam(replaced={"linear_decay": constant}),
    "learning rate: doubled": adam(lr=8e-3),
    "learning rate: halved": adam(lr=2e-3),
    "batch: half, twice the steps": adam(batch=512, steps=6000),
    "batch: double, half the steps": adam(batch=2048, steps=1500),
    "Adam: b2 = 0.999": adam(optimizer=td.Adam(b2=0.999)),
    "noise: antithetic pairs": antithetic(),
    "network: LayerNorm in the blocks": adam({"norm": True}),
    "network: three blocks of width 128": adam({"blocks": 3, "width": 128}),
    "network: every layer random at the start": adam({"random": True}),
    "DDPM's: ε, uniform t, the noise that was drawn, b2 = 0.999, a constant rate of 1e-3": adam(
        {"prediction": "eps"}, {"linear_decay": constant},
        times="uniform", targets="single", optimizer=td.Adam(lr=1e-3, b2=0.999),
    ),
}  # fmt: skip


def measure(job: tuple[str, str, int]) -> dict[str, Any]:
    """Train, and measure the model against the truth."""
    name, toy, seed = job
    change, data, process = CHANGES[name], td.toys.TOYS[toy](), td.VP()
    arguments = dict(change.network)
    network = (Random if arguments.pop("random", False) else td.TimeMLP)(dim=2, **arguments)
    seconds, looks = 0.0, []
    with change.made():
        states = td.train(network, process, data, rng=seed, **change.train)
        steps = change.train.get("steps", training.STEPS)
        at = {round(steps * part) for part in LOOKS if name == "defaults" and seed == 0}
        start = time.process_time()
        for state in states:
            if state.step in at:
                seconds += time.process_time() - start
                model = td.NetworkDenoiser(network, state.ema, process)
                kl = td.kl_from_truth(model, data, n=500, rng=98)[0]
                looks.append([state.step, round(seconds, 2), kl])
                start = time.process_time()
        seconds += time.process_time() - start
    model = td.NetworkDenoiser(network, state.ema, process)
    kl, error = td.kl_from_truth(model, data, n=20_000 if name == "defaults" else 4000, rng=99)
    least = np.quantile(data.log_density(data.sample(96, 1_000_000)), FAR)
    far = np.mean(data.log_density(td.sample(model, 20_000, rng=95)) < least)
    found = losses(model, td.Oracle(data, process), np.random.default_rng(97))
    return {
        "change": name, "toy": toy, "seed": seed, "parameters": network.size, "steps": state.step,
        "seconds": round(seconds, 1), "kl": kl, "kl_standard_error": error, "far": float(far), "looks": looks,
        "loss": found["loss"], "floor": found["floor"],
        "log_snr": np.round(found["log_snr"], 3).tolist(), "floor_t": found["floor_t"], "excess_t": found["excess_t"],
    }  # fmt: skip


def main() -> None:
    """Measure what is not in learning.json yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one core each (default: 2)")
    jobs_at_once = parser.parse_args().jobs
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    there = {(each["change"], each["toy"], each["seed"]) for each in results}
    jobs = [
        (name, toy, seed)
        for toy in TOYS
        for name in CHANGES
        for seed in SEEDS
        if toy in (TOYS if name in HEADLINES else (ABLATED,)) and (name, toy, seed) not in there
    ]
    jobs.sort(key=lambda job: list(CHANGES).index(job[0]))
    with get_context("spawn").Pool(jobs_at_once) as pool:
        for result in tqdm(pool.imap_unordered(measure, jobs), total=len(jobs), unit="run"):
            results.append(result)
            with atomic(RESULTS) as part:
                part.write_text("[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n", encoding="utf-8")
            tqdm.write(f"{result['change']}, {result['toy']}, seed {result['seed']}: KL {result['kl']:.4f}")


if __name__ == "__main__":
    main()
