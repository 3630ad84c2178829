"""What the bound gains by the variances of the reverse chain, and how well each prediction is learned off unit scale.

    python benchmarks/variances.py

Bounds: on two toys and grids of 10, 50 and 200 times even in log-SNR, a network is trained by the hybrid loss. Its
−ELBO at 1,000 points is taken with each choice of variances, all on one noise, and so is the perfect denoiser's. Beside
each gain is what the theory says of it. Predictions: on grid25 at half its scale a network is trained for each. What it
loses is ½ ∫ E‖ε̂ − ε*‖² dλ in nats, ε* the exact answer. All from three seeds. Each result goes to variances.json as it
comes, and one that is there is not measured again: delete the file, or lines of it, to repeat them. The site makes its
page of variances from that file.
"""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.files import atomic

RESULTS = Path(__file__).with_name("variances.json")
SEEDS = (0, 1, 2)
TOYS, STEPS_OF_CHAIN = ("ring8", "spiral60"), (10, 50, 200)
POINTS = 1000
OTHER_LAMS = (10, 0.4), (200, 0.001)  # on the first toy
CHAIN = {"steps": 600, "batch": 512, "progress": False}
NETWORK = {"steps": 400, "batch": 256, "progress": False}
ABLATED, SCALE = "grid25", 0.5
PROCESS = td.VP()
Rule = Callable[[td.Level, td.Level], float]
NAMED: dict[str, Rule] = {
    "beta_tilde": lambda now, then: td.posterior(now, then)[2],
    "beta": lambda now, then: td.transition(now, then)[1],
}
PREDICTIONS: dict[str, tuple[str, float, str]] = {  # the prediction, its sigma_data, the weight
    "eps": ("eps", SCALE, "simple"),
    "x0": ("x0", SCALE, "simple"),
    "v": ("v", SCALE, "simple"),
    "score": ("score", SCALE, "simple"),
    "edm": ("edm", SCALE, "simple"),
    "v, inputs for unit scale": ("v", 1.0, "simple"),
    "eps, EDM's weight": ("eps", SCALE, "edm"),
    "x0, EDM's weight": ("x0", SCALE, "edm"),
    "v, EDM's weight": ("v", SCALE, "edm"),
    "score, EDM's weight": ("score", SCALE, "edm"),
    "edm, EDM's weight": ("edm", SCALE, "edm"),
}


class Remembering(td.denoisers.Wrapper):
    """A denoiser that answers again what it was asked last at a time: bounds on one noise share its answers."""

    def __init__(self, model: td.Denoiser) -> None:
        super().__init__(model)
        self.last: dict[float, tuple[np.ndarray, np.ndarray]] = {}

    def x0(self, x: np.ndarray, t: td.Level) -> np.ndarray:
        """x̂_0, (B, D)."""
        asked, answer = self.last.get(t.t, (None, None))
        if asked is None or not np.array_equal(asked, x):
            answer = self.model.x0(x, t)
            self.last[t.t] = x, answer
        return answer


class Recorded:
    """A variance that keeps what it said, from the noisiest time down."""

    def __init__(self, variance: Callable) -> None:
        self.variance = variance
        self.said: list[np.ndarray] = []

    def __call__(self, x: np.ndarray, now: td.Level, then: td.Level) -> np.ndarray:
        """The variance, (B, D)."""
        self.said.append(self.variance(x, now, then))
        return self.said[-1]


def exact_variance(model: td.Denoiser, data: td.GaussianMixture) -> Callable:
    """β̃ + c_0² E[(x_0 − x̂_0)² | x_t]: the best of all variances of single coordinates, for this x̂_0."""

    def variance(x: np.ndarray, now: td.Level, then: td.Level) -> np.ndarray:
        _, c_0, beta_tilde = td.posterior(now, then)
        mean, covariance = data.x0_posterior(x, now.alpha, now.sigma)
        return beta_tilde + c_0**2 * (np.diagonal(covariance, axis1=1, axis2=2) + (mean - model.x0(x, now)) ** 2)

    return variance


def bounds(model: td.Denoiser, data: td.GaussianMixture, ts: np.ndarray, seed: int) -> dict[str, Any]:
    """−ELBO less the entropy by each choice, what each change gains, and what the theory says of it."""
    fast, x0, d = Remembering(model), data.sample(100 + seed, POINTS), data.dim
    best = td.optimal_variances(model, data.sample(200 + seed, 2 * POINTS), ts, 300 + seed)
    exact = Recorded(exact_variance(fast, data))
    choices: dict[str, Any] = {name: name for name in NAMED} | {"optimal": best, "exact": exact}
    if isinstance(model, td.VarianceDenoiser):
        choices["learned"] = Recorded(model.variance)
    nats = {name: td.elbo(fast, x0, ts, 400 + seed, variance=each).nats for name, each in choices.items()}
    floor = data.entropy()[0]
    found: dict[str, Any] = {name: float(np.mean(each)) - floor for name, each in nats.items()}
    for base, name in (("beta_tilde", "optimal"), ("beta", "optimal"), ("optimal", "exact"), ("optimal", "learned")):
        if name in nats:
            gain = nats[base] - nats[name]
            found[f"{base} to {name}"] = [float(np.mean(gain)), float(np.std(gain)) / POINTS**0.5]
    levels = [PROCESS.at(t) for t in ts]
    for name, rule in NAMED.items():
        r = best / [*(rule(*pair) for pair in pairwise(levels)), (levels[-1].sigma / levels[-1].alpha) ** 2]
        found[f"theory, {name} to optimal"] = float(d / 2 * np.sum(r - 1 - np.log(r)))
    spread = [np.log(np.mean(var)) - np.mean(np.log(var)) for var in exact.said]
    found["theory, optimal to exact"] = float(d / 2 * np.sum(spread))
    if "learned" in choices:  # how far the learned variances are from the exact ones, and their mean from the optimal
        logs = [np.log(one / other) for one, other in zip(choices["learned"].said, exact.said, strict=True)]
        means = [np.log(np.mean(var) / each) for var, each in zip(choices["learned"].said, best, strict=True)]
        found |= {
            "learned off exact": float(np.mean(np.square(logs)) ** 0.5),
            "mean learned off optimal": float(np.mean(np.square(means)) ** 0.5),
            "mean learned off optimal, most": float(np.max(np.abs(means))),
        }
    return found


def bound_job(toy: str, n: int, seed: int) -> list[dict[str, Any]]:
    """The perfect denoiser, and the network that learns its variances."""
    data, ts = td.toys.TOYS[toy](), td.grids.even_log_snr(PROCESS, n - 1)
    network = td.fit_variances(data, ts, PROCESS, rng=seed, **CHAIN)
    return [
        {"toy": toy, "steps": n, "seed": seed, "model": name} | bounds(model, data, ts, seed)
        for name, model in (("oracle", td.Oracle(data, PROCESS)), ("network", network))
    ]


def lam_job(n: int, lam: float, seed: int) -> list[dict[str, Any]]:
    """The network with another λ."""
    data, ts = td.toys.TOYS[TOYS[0]](), td.grids.even_log_snr(PROCESS, n - 1)
    network = td.fit_variances(data, ts, PROCESS, rng=seed, lam=lam, **CHAIN)
    return [{"steps": n, "lam": lam, "seed": seed} | bounds(network, data, ts, seed)]


def prediction_job(name: str, seed: int) -> list[dict[str, Any]]:
    """The nats that a network of this prediction loses."""
    prediction, sigma_data, weight = PREDICTIONS[name]
    toy = td.toys.TOYS[ABLATED]()
    data = td.GaussianMixture(toy.weights, SCALE * toy.means, SCALE**2 * toy.covariances)
    network = td.TimeMLP(2, prediction=prediction, sigma_data=sigma_data)
    model, oracle = td.fit(data, PROCESS, network=network, rng=seed, weight=weight, **NETWORK), td.Oracle(data, PROCESS)
    ts, rng = td.grids.even_log_snr(PROCESS, 40), np.random.default_rng(700 + seed)
    excess = [td.denoising(model, oracle, float(t), n=2 * POINTS, rng=rng)[1] for t in ts[:-1]]
    lam = PROCESS.log_snr(ts[:-1])
    nats = oracle.dim / 2 * float(np.trapezoid(excess, lam))
    return [{"prediction": name, "seed": seed, "nats": nats, "worst": float(np.max(excess))}]


def key(result: dict[str, Any]) -> tuple:
    """What says which job a result is of."""
    return tuple(result.get(name) for name in ("toy", "steps", "lam", "prediction", "seed"))


def main() -> None:
    """Measure what is not in variances.json yet."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    there = set(map(key, results))
    jobs: list[tuple[tuple, Callable, tuple]] = []
    for seed in SEEDS:
        jobs += [((toy, n, None, None, seed), bound_job, (toy, n, seed)) for toy in TOYS for n in STEPS_OF_CHAIN]
        jobs += [((None, n, lam, None, seed), lam_job, (n, lam, seed)) for n, lam in OTHER_LAMS]
        jobs += [((None, None, None, name, seed), prediction_job, (name, seed)) for name in PREDICTIONS]
    for _, run, arguments in tqdm([job for job in jobs if job[0] not in there], unit="job"):
        results += run(*arguments)
        with atomic(RESULTS) as part:
            part.write_text("[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
