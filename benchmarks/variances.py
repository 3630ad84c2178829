"""What the bound gains by the variances of the reverse chain, and how well each prediction is learned off unit scale.

    python benchmarks/variances.py

Bounds: on two toys and grids of 10, 50 and 200 times even in log-SNR, a network is trained by the hybrid loss. Its
−ELBO at 2,000 points is taken with each choice of variances, all on one noise, and so is the perfect denoiser's. Beside
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
STEPS, BATCH, POINTS = 600, 512, 2000
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


def exact_variance(model: td.Denoiser, oracle: td.Oracle) -> Callable[[np.ndarray, td.Level, td.Level], np.ndarray]:
    """β̃ + c_0² E[(x_0 − x̂_0)² | x_t]: the best of all variances of single coordinates, for this x̂_0."""

    def variance(x: np.ndarray, now: td.Level, then: td.Level) -> np.ndarray:
        _, c_0, beta_tilde = td.posterior(now, then)
        mean, covariance = oracle.data.x0_posterior(np.asarray(x, dtype=float), now.alpha, now.sigma)
        off = mean - model.x0(x, now)
        return beta_tilde + c_0**2 * (np.diagonal(covariance, axis1=1, axis2=2) + off**2)

    return variance


def bounds(model: td.Denoiser, data: td.GaussianMixture, ts: np.ndarray, seed: int) -> dict[str, Any]:
    """−ELBO less the entropy by each choice, its gains on the choice before, and what the theory says of these."""
    oracle, x0 = td.Oracle(data, PROCESS), data.sample(100 + seed, POINTS)
    best = td.optimal_variances(model, data.sample(200 + seed, 2 * POINTS), ts, 300 + seed)
    choices: dict[str, Any] = {name: name for name in NAMED}
    choices |= {"optimal": best, "exact": exact_variance(model, oracle)}
    if isinstance(model, td.VarianceDenoiser):
        choices["learned"] = model.variance
    nats = {name: td.elbo(model, x0, ts, 400 + seed, variance=each).nats for name, each in choices.items()}
    found: dict[str, Any] = {name: float(np.mean(each)) - data.entropy()[0] for name, each in nats.items()}
    for name, base in (("optimal", "beta_tilde"), ("optimal", "beta"), ("exact", "optimal"), ("learned", "optimal")):
        if name in nats:
            gain = nats[base] - nats[name]
            found[f"{base} to {name}"] = [float(np.mean(gain)), float(np.std(gain)) / POINTS**0.5]
    return found | {f"theory, {name}": each for name, each in theory(model, oracle, x0, ts, best, seed).items()}


def theory(
    model: td.Denoiser, oracle: td.Oracle, x0: np.ndarray, ts: np.ndarray, best: np.ndarray, seed: int
) -> dict[str, float]:
    """D/2 Σ (r − 1 − ln r) with r the optimal over β̃ or β; ½ Σ_d E ln(mean of the exact variance over itself)."""
    levels, rng, by_point = [PROCESS.at(t) for t in [*ts, 0.0]], np.random.default_rng(500 + seed), 0.0
    variance, d = exact_variance(model, oracle), oracle.dim
    for now, then in pairwise(levels):
        var = variance(now.perturb(x0, rng.standard_normal(x0.shape)), now, then)
        by_point += d / 2 * (np.log(np.mean(var)) - float(np.mean(np.log(var))))
    found = {"optimal to exact": float(by_point)}
    for name, rule in NAMED.items():
        used = [*(rule(*pair) for pair in pairwise(levels[:-1])), (levels[-2].sigma / levels[-2].alpha) ** 2]
        r = best / used
        found[f"{name} to optimal"] = float(d / 2 * np.sum(r - 1 - np.log(r)))
    return found


def bound_job(toy: str, n: int, seed: int) -> list[dict[str, Any]]:
    """The perfect denoiser, and the network that learns its variances; how far these are from the exact ones."""
    data, ts = td.toys.TOYS[toy](), td.grids.even_log_snr(PROCESS, n - 1)
    model = td.fit_variances(data, ts, PROCESS, rng=seed, steps=STEPS, batch=BATCH, progress=False)
    rng, oracle = np.random.default_rng(600 + seed), td.Oracle(data, PROCESS)
    x0, apart, by_time = data.sample(rng, POINTS), [], []
    variance, best = exact_variance(model, oracle), td.optimal_variances(model, data.sample(rng, POINTS), ts, rng)
    for (now, then), optimal in zip(pairwise([PROCESS.at(t) for t in [*ts, 0.0]]), best, strict=True):
        x = now.perturb(x0, rng.standard_normal(x0.shape))
        learned, exact = model.variance(x, now, then), variance(x, now, then)
        apart.append(float(np.mean(np.log(learned / exact) ** 2)) ** 0.5)
        by_time.append(float(np.log(np.mean(learned) / optimal)))
    head = {"toy": toy, "steps": n, "seed": seed}
    return [
        head | {"model": "oracle"} | bounds(oracle, data, ts, seed),
        head | {"model": "network", "apart": max(apart), "mean_apart": max(map(abs, by_time))}
        | bounds(model, data, ts, seed),
    ]  # fmt: skip


def prediction_job(name: str, seed: int) -> list[dict[str, Any]]:
    """The nats that a network of this prediction loses."""
    prediction, sigma_data, weight = PREDICTIONS[name]
    toy = td.toys.TOYS[ABLATED]()
    data = td.GaussianMixture(toy.weights, SCALE * toy.means, SCALE**2 * toy.covariances)
    network = td.TimeMLP(2, prediction=prediction, sigma_data=sigma_data)
    options = {"steps": STEPS, "batch": BATCH, "weight": weight, "progress": False}
    model, oracle = td.fit(data, PROCESS, network=network, rng=seed, **options), td.Oracle(data, PROCESS)
    ts, rng = td.grids.even_log_snr(PROCESS, 40), np.random.default_rng(700 + seed)
    excess = [td.denoising(model, oracle, float(t), n=POINTS, rng=rng)[1] for t in ts[:-1]]
    lam = PROCESS.log_snr(ts[:-1])
    nats = oracle.dim / 2 * float(np.trapezoid(excess, lam))
    return [{"prediction": name, "seed": seed, "nats": nats, "worst": float(np.max(excess))}]


def key(result: dict[str, Any]) -> tuple:
    """What says which job a result is of."""
    return tuple(result.get(name) for name in ("toy", "steps", "prediction", "seed"))


def main() -> None:
    """Measure what is not in variances.json yet."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    there = set(map(key, results))
    jobs: list[tuple[tuple, Callable, tuple]] = []
    for seed in SEEDS:
        jobs += [((toy, n, None, seed), bound_job, (toy, n, seed)) for toy in TOYS for n in STEPS_OF_CHAIN]
        jobs += [((None, None, name, seed), prediction_job, (name, seed)) for name in PREDICTIONS]
    for _, run, arguments in tqdm([job for job in jobs if job[0] not in there], unit="job"):
        results += run(*arguments)
        with atomic(RESULTS) as part:
            part.write_text("[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
