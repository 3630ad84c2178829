"""What judges the answers of notebook 10, How good is good; its clouds, and the tables of what judges see."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.spatial import cKDTree

import tinydiff as td

Parts = Iterator[tuple[bool, str]]

RING = td.toys.ring8()
WIDTH = float(RING.covariances[0, 0, 0] ** 0.5)
GARBAGE = 0.034
"""The share of points at (±50, ±50)."""


# ---- clouds with a fault


def cloud(name: str, rng: np.random.Generator, n: int = 1000, much: float = 1.0) -> np.ndarray:
    """A cloud (n, 2) of the ring with a fault; much = 0 has none, 1 all of it."""
    x, k = RING.sample(rng, n, labels=True)
    if name == "half as wide":
        return RING.means[k] + (1 - 0.5 * much) * (x - RING.means[k])
    if name == "one mode missing":
        lost = (k == 0) & (rng.random(n) < much)
        turned = RING.means[rng.integers(1, 8, n)] + x - RING.means[0]
        return np.where(lost[:, None], turned, x)
    if name == "garbage":
        far = rng.random(n) < much * GARBAGE
        return np.where(far[:, None], 50.0 * rng.choice([-1, 1], (n, 2)), x)
    if name == "one point":
        stay = rng.random(n) < much
        return np.where(stay[:, None], RING.means[0], x)
    if name == "a little narrow":
        return RING.means[k] + 0.9 * (x - RING.means[k])
    if name == "a little garbage":
        return np.where(rng.random((n, 1)) < 0.005, 50.0 * rng.choice([-1, 1], (n, 2)), x)
    return x


FAULTS = "half as wide", "one mode missing", "garbage", "one point"


# ---- judges: the larger, the further off


def surprise(x: np.ndarray, true: np.ndarray) -> float:
    """|mean −ln q − entropy| in nats; the truth's density is known to it, and `true` is not looked at."""
    return abs(float(-RING.log_density(x).mean()) - float(RING.entropy()[0]))


def sliced(x: np.ndarray, true: np.ndarray) -> float:
    """The sliced W₂ to true points, on 64 directions."""
    return td.sliced_w2(x, true, rng=0, directions=64)


def narrow_mmd(x: np.ndarray, true: np.ndarray) -> float:
    """The MMD with a bandwidth of .1."""
    return td.mmd(x, true, bandwidth=0.1)


def same_neighbour(x: np.ndarray, true: np.ndarray) -> float:
    """How far from a half is the share of points whose nearest neighbour is of their own cloud."""
    both, n = np.concatenate([x, true]), len(x)
    nearest = cKDTree(both).query(both, k=2)[1][:, 1]
    return abs(float(np.mean((nearest < n) == (np.arange(len(both)) < n))) - 0.5)


def log_distance(x: np.ndarray, true: np.ndarray) -> float:
    """|mean ln distance from x to the nearest true point − that among true points|."""
    near = cKDTree(true).query(x)[0]
    own = cKDTree(true[::2]).query(true[1::2])[0]
    return abs(float(np.mean(np.log(near + 1e-9)) - np.mean(np.log(own + 1e-9))) - 0.5 * np.log(0.5))


WITH_DENSITY = {"|mean −ln q − entropy|": surprise, "sliced W₂": sliced, "energy distance": td.energy_distance}
WITHOUT = {
    "sliced W₂": sliced,
    "energy distance": td.energy_distance,
    "MMD, bandwidth .1": narrow_mmd,
    "nearest of the same cloud": same_neighbour,
    "log distance to the nearest": log_distance,
}


def caught(judge: Callable, faults: tuple[str, ...], draws: int, worst: bool, seed: int = 103) -> list[float]:
    """In how many of the draws a cloud of each fault is further off than true ones: than the worst, or 95 % of them."""
    rng = np.random.default_rng(seed)

    def values(name: str) -> np.ndarray:
        return np.array([judge(cloud(name, rng), RING.sample(rng, 1000)) for _ in range(draws)])

    true = values("true")
    level = true.max() if worst else np.quantile(true, 0.95)
    return [float(np.mean(values(name) > level)) for name in faults]


TABLE = {
    "|mean −ln q − entropy|": [1.0, 0.0, 1.0, 1.0],
    "sliced W₂": [0.01, 0.97, 1.0, 1.0],
    "energy distance": [0.015, 0.99, 1.0, 1.0],
}
"""Of 200 draws: how many clouds of each of FAULTS are further off than the worst of 200 true ones."""
STATISTICS = {
    "sliced W₂": [0.13, 1.0, 1.0, 0.055, 1.0],
    "energy distance": [0.12, 1.0, 1.0, 0.04, 0.16],
    "MMD, bandwidth .1": [1.0, 1.0, 0.12, 0.21, 0.025],
    "nearest of the same cloud": [1.0, 0.505, 0.055, 0.03, 0.045],
    "log distance to the nearest": [1.0, 0.03, 1.0, 0.39, 0.185],
}
"""Of 200 draws: how many clouds are further off than 95 % of 200 true ones; the last two faults are small ones."""


def measured() -> None:
    """Print what TABLE and STATISTICS hold: a minute or two."""
    for name, judge in WITH_DENSITY.items():
        print(f'    "{name}": {caught(judge, FAULTS, 200, worst=True)},')
    for name, judge in WITHOUT.items():
        print(f'    "{name}": {caught(judge, (*FAULTS[:3], "a little narrow", "a little garbage"), 200, worst=False)},')


# ---- a row of numbers for each cloud

SHUFFLED = "one mode missing", "one point", "true", "garbage", "half as wide"
"""The clouds of rows A to E in exercise 10.3."""


def rows() -> dict[str, tuple[float, float, float]]:
    """Mean −ln q in nats, sliced W₂ and energy distance to true points, of one cloud of each kind, by letter."""
    rng = np.random.default_rng(31)
    true = RING.sample(rng, 1000)
    found = {}
    for letter, name in zip("ABCDE", SHUFFLED, strict=True):
        x = cloud(name, rng)
        found[letter] = -float(RING.log_density(x).mean()), sliced(x, true), td.energy_distance(x, true)
    return found


def five_clouds(true: str, half: str, missing: str, garbage: str, point: str) -> Parts:
    """The letter of each cloud."""
    names = ("true", "half as wide", "one mode missing", "garbage", "one point")
    for name, letter in zip(names, (true, half, missing, garbage, point), strict=True):
        yield letter == "ABCDE"[SHUFFLED.index(name)], f"{name}: row {letter}"


# ---- two models in one denoiser

PROCESS = td.VP()
NORMAL = td.Oracle(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), PROCESS)
NODES, WEIGHTS = (np.array(each) for each in np.polynomial.hermite_e.hermegauss(5))
WEIGHTS = WEIGHTS / WEIGHTS.sum()


class Louder(td.denoisers.Wrapper):
    """The denoiser ε̂ = (1 + κ) ε*, made from the exact one."""

    def __init__(self, oracle: td.Oracle, kappa: float) -> None:
        super().__init__(oracle)
        self.kappa = kappa

    def __call__(self, x: np.ndarray, t: float) -> np.ndarray:
        """ε̂, (B, D)."""
        return (1 + self.kappa) * self.model(x, t)

    def linearize(self, x: np.ndarray, t: float) -> tuple[np.ndarray, Callable]:
        """ε̂, and pull(u) = uᵀ ∂ε̂/∂x."""
        eps, pull = self.model.linearize(x, t)
        return (1 + self.kappa) * eps, lambda u: (1 + self.kappa) * pull(u)


def flow_nll(kappa: float, steps: int = 100) -> float:
    """The flow's mean −ln p on N(0, 1), in nats."""
    return float(-WEIGHTS @ td.log_likelihood(Louder(NORMAL, kappa), NODES[:, None], steps=steps))


def chain_bound(kappa: float, steps: int) -> float:
    """−ELBO of the chain of so many steps on N(0, 1), in nats."""
    x0, eps = (each.reshape(-1, 1) for each in np.meshgrid(NODES, NODES))
    ts = td.grids.even_log_snr(PROCESS, steps - 1)
    noise = np.broadcast_to(eps, (steps, 25, 1))
    nats = td.elbo(Louder(NORMAL, kappa), x0, ts, noise=noise, variance="beta").nats
    return float(np.outer(WEIGHTS, WEIGHTS).ravel() @ nats)


def two_models(flow_excess: Callable, chain_excess: Callable) -> Parts:
    """NLL − entropy of the flow, and of the chain in the limit of many steps, as functions of κ and b = ∫ β dt."""
    b, entropy = float(PROCESS.integral(1.0)), 0.5 * np.log(2 * np.pi * np.e)
    for kappa in (-1.0, -0.35, 0.1):
        exact = flow_nll(kappa) - entropy
        yield (
            abs(flow_excess(kappa, b) - exact) < 1e-3,
            f"flow, κ = {kappa:g}: {flow_excess(kappa, b):.4f}, measured {exact:.4f}",
        )
    for kappa in (-1.0, -0.35, 0.1):
        limit = (8 * chain_bound(kappa, 200) - 6 * chain_bound(kappa, 100) + chain_bound(kappa, 50)) / 3 - entropy
        yield (
            abs(chain_excess(kappa, b) - limit) < 1e-3 * (1 + limit),
            f"chain, κ = {kappa:g}: {chain_excess(kappa, b):.4f}, measured {limit:.4f}",
        )


# ---- the open problem


def one_judge(statistic: Callable) -> Parts:
    """A statistic of x and as many true points: how many of 40 clouds of each fault it refuses, at a level of 5 %."""
    rng = np.random.default_rng(105)

    def values(name: str, draws: int) -> np.ndarray:
        return np.array([statistic(cloud(name, rng), RING.sample(rng, 1000)) for _ in range(draws)])

    level = np.quantile(values("true", 60), 0.95)
    for name in FAULTS[:3]:
        share = float(np.mean(values(name, 40) > level))
        yield share >= 0.95, f"{name}: refused in {100 * share:.0f} % of 40 draws (wanted: 95 %)"
