"""How much each form of score matching scatters along the log-SNR, and what it costs: score_matching.json.

    python benchmarks/score_matching.py        # a minute and a half of a core

The model is the oracle of a wrong law: the truth with every mean moved by .3 of its mode's standard deviation, the root
mean square along the axes. Its parameters are these means. At each level all forms see the same draws, and two numbers
are kept for each: the standard deviation of a value, and that of the gradient in units of the gradient,
√(E‖g − E g‖²)/‖E g‖, whose square is how many draws it takes until the error of their mean is its size.
Norms are over random directions in the space of the parameters; along each the gradient is a central difference, on the
same draws. The truth is ring8, and eight ellipsoids in twenty dimensions.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.backend import Array
from tinydiff.files import atomic

RESULTS = Path(__file__).with_name("score_matching.json")
PROCESS, N, DIRECTIONS, STEP, SEEDS = td.VP(), 2000, 8, 1e-4, (1, 2, 3)
LOG_SNRS = tuple(range(-6, 11, 2))
form = td.score_matching


def ellipsoids(dim: int, modes: int = 8) -> td.GaussianMixture:
    """Modes at draws of a normal law, longer along some of their axes, which point anywhere; about 1 wide in all."""
    rng, variances = np.random.default_rng(0), np.geomspace(0.02, 0.3, dim)
    axes = np.linalg.qr(rng.standard_normal((modes, dim, dim)))[0]
    covariances = axes * variances @ axes.swapaxes(1, 2)
    return td.GaussianMixture(np.full(modes, 1 / modes), 0.95 * rng.standard_normal((modes, dim)), covariances)


DATA = {"ring8": td.toys.ring8(), "20 dimensions": ellipsoids(20)}
Values = Callable[[td.Denoiser, td.Oracle, Array, Array, td.Level, int], Array]
FORMS: dict[str, Values] = {
    "explicit": lambda model, truth, x0, eps, now, seed: form.explicit(model, truth, now.perturb(x0, eps), now),
    "implicit": lambda model, truth, x0, eps, now, seed: form.implicit(model, now.perturb(x0, eps), now),
    "sliced": lambda model, truth, x0, eps, now, seed: form.sliced(model, now.perturb(x0, eps), now, seed),
    "sliced, as first": lambda model, truth, x0, eps, now, seed: form.sliced(
        model, now.perturb(x0, eps), now, seed, reduced=False
    ),
    "denoising": lambda model, truth, x0, eps, now, seed: form.denoising(model, x0, now, noise=eps),
}


def moved(law: td.GaussianMixture, by: Array) -> td.Oracle:
    """The oracle of a law whose means are moved."""
    return td.Oracle(td.GaussianMixture(law.weights, law.means + by, law.covariances), PROCESS)


def scatter(law: td.GaussianMixture, log_snr: float, seed: int) -> dict[str, dict[str, float]]:
    """For each form the standard deviation of a value and the noise of the gradient at one level."""
    rng, now = np.random.default_rng(seed), PROCESS.at(float(PROCESS.time(float(log_snr))))
    std = np.mean(np.diagonal(law.covariances, axis1=1, axis2=2), axis=1, keepdims=True) ** 0.5  # (K, 1)
    away = 0.3 * std * rng.standard_normal(law.means.shape)
    directions = std * rng.standard_normal((DIRECTIONS, *law.means.shape))
    x0 = law.sample(rng, N)
    eps, truth, found = rng.standard_normal(x0.shape), td.Oracle(law, PROCESS), {}
    for name, values in FORMS.items():
        at = lambda by, values=values: values(moved(law, by), truth, x0, eps, now, seed)  # noqa: E731
        slopes = [(at(away + STEP * v) - at(away - STEP * v)) / (2 * STEP) for v in directions]
        found[name] = {"std": float(np.std(at(away))), "slopes": np.stack(slopes)}
    size = np.mean(np.mean(found["explicit"]["slopes"], axis=1) ** 2)
    for each in found.values():
        each["noise"] = float(np.sqrt(np.mean(np.var(each.pop("slopes"), axis=1)) / size))
    return found


def counted(law: td.GaussianMixture) -> dict[str, dict[str, int]]:
    """Evaluations of the model, and pulls, of each form, as they are counted."""
    pulls = [0]

    class Pulled(td.Counting):
        """A model whose pulls are counted, too."""

        def linearize(self, x: Array, t: Any) -> tuple[Array, Any]:
            """The model's linearization."""
            eps, pull = super().linearize(x, t)

            def counting(u: Array) -> Array:
                pulls[0] += 1
                return pull(u)

            return eps, counting

    truth, x, found = td.Oracle(law, PROCESS), law.sample(0, 2), {}
    for name, values in FORMS.items():
        pulls[0], model = 0, Pulled(truth)
        values(model, truth, x, x, PROCESS.at(0.3), 0)
        found[name] = {"evaluations": model.nfe, "pulls": pulls[0]}
    return found


def main() -> None:
    """All levels, seeds and laws, written at once."""
    result: dict[str, Any] = {"n": N, "seeds": SEEDS, "log_snr": LOG_SNRS, "laws": {}}
    with tqdm(total=len(DATA) * len(LOG_SNRS) * len(SEEDS), unit="level") as bar:
        for name, law in DATA.items():
            forms = {each: {"std": [], "noise": [], **cost} for each, cost in counted(law).items()}
            for log_snr in LOG_SNRS:
                found = []
                for seed in SEEDS:
                    found.append(scatter(law, log_snr, seed))
                    bar.update()
                for each, of in forms.items():
                    for what in ("std", "noise"):
                        of[what].append([float(f"{one[each][what]:.4g}") for one in found])
            result["laws"][name] = {"dim": law.dim, "forms": forms}
    with atomic(RESULTS) as part:
        part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
