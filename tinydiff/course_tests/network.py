"""What judges the answers of notebook 6, A network of your own; and the suspects of its exercise 6.4."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

import tinydiff as td
from tinydiff import course_answers

Parts = Iterator[tuple[bool, str]]
Params = list[np.ndarray]

BETAS = np.linspace(0.001, 0.2, 100)
"""The chain of the notebook."""
SEEDS, RATE = (0, 1, 2), 0.005
"""Of the trainings of the suspects."""
OURS = 0.0216
"""The excess of our `fit` with 2 · 64 hidden units after 1,200 steps, the mean of three seeds."""


# ---- networks


def network(params: Params, x: np.ndarray, fault: str = "") -> tuple[np.ndarray, Callable]:
    """The forward pass of `mlp`, always right, and a pullback with one fault; all may be stacks (…, B, n)."""
    count = len(params) // 2
    inputs, sums, gates = [x], [], []
    for i in range(count):
        sums.append(inputs[-1] @ params[2 * i] + params[2 * i + 1])
        if i < count - 1:
            with np.errstate(over="ignore"):
                gates.append(1 / (1 + np.exp(-sums[-1])))
            inputs.append(sums[-1] * gates[-1])

    def pullback(dy: np.ndarray) -> tuple[Params, np.ndarray]:
        grads: Params = []
        for i in reversed(range(count)):
            w, b = params[2 * i : 2 * i + 2]
            db = dy.mean(axis=-2) if fault == "bias" else dy.sum(axis=-2)
            grads = [np.swapaxes(inputs[i], -1, -2) @ dy, db.reshape(b.shape), *grads]
            dy = dy @ (w if fault == "turned" and i == 1 else np.swapaxes(w, -1, -2))
            if i:
                s, x = gates[i - 1], sums[i - 1]
                if fault == "step":
                    dy = dy * (x.real > 0)
                else:
                    dy = dy * s * (1 + (-1 if fault == "sign" else 1) * x * (1 - s))
        return grads, dy

    return sums[-1], pullback


right = network
"""The network without a fault."""
suspects = {
    letter: partial(network, fault=fault)
    for letter, fault in zip("ABCD", ("turned", "bias", "step", "sign"), strict=True)
}
"""Four networks with a fault in the pullback, in the signature of `mlp`."""


def init(rng: np.random.Generator, sizes: Sequence[int] = (18, 64, 64, 2)) -> Params:
    """Weights of variance 1/inputs and biases of 0."""
    pairs = ((rng.standard_normal((n, m)) / np.sqrt(n), np.zeros((1, m))) for n, m in pairwise(sizes))
    return [part for pair in pairs for part in pair]


def features(lam: np.ndarray) -> np.ndarray:
    """The 16 waves of the log-SNR λ that the network sees beside a point, (…, 16)."""
    angle = lam[..., None] * 2.0 ** np.arange(-4, 4)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)


def batches(rngs: Sequence[np.random.Generator], points: list, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Noisy points with their features (S, 128, 18), and their v (S, 128, 2): eight points at each of 16 times."""
    log_alpha_bar = np.cumsum(np.log1p(-BETAS))
    alphas = np.exp(log_alpha_bar / 2).astype(np.float32)
    sigmas = np.sqrt(-np.expm1(log_alpha_bar)).astype(np.float32)
    waves = features(2 * np.log(alphas / sigmas)).astype(np.float32)
    for _ in range(steps):
        t = np.stack([np.repeat(rng.integers(0, 100, 16), 8) for rng in rngs])
        x0 = np.stack([own[rng.integers(len(own), size=128)] for own, rng in zip(points, rngs, strict=True)])
        eps = np.stack([rng.standard_normal((128, 2), dtype=np.float32) for rng in rngs])
        alpha, sigma = alphas[t][..., None], sigmas[t][..., None]
        yield np.concatenate([alpha * x0 + sigma * eps, waves[t]], axis=-1), alpha * eps - sigma * x0


def begun() -> tuple[list[np.random.Generator], list[np.ndarray], Params]:
    """For each seed a generator and 10,000 points of the ring; and the first parameters, (S, …)."""
    rngs = [np.random.default_rng(seed) for seed in SEEDS]
    points = [td.toys.ring8().sample(rng, 10_000).astype(np.float32) for rng in rngs]
    return rngs, points, [np.stack(part).astype(np.float32) for part in zip(*map(init, rngs), strict=True)]


def answer_0(steps: int = 800) -> np.ndarray:
    """The loss of a network that always answers 0, (steps, S)."""
    rngs, points, _ = begun()
    return np.array([np.mean(v**2, axis=(1, 2)) for _, v in batches(rngs, points, steps)])


def train(net: Callable, steps: int = 800, watch: Callable | None = None) -> tuple[Params, np.ndarray]:
    """Train the network on the ring by Adam, in float32: the parameters (S, …), and the loss of v (steps, S).

    Networks of the same seed see the same points, times and noise. watch(k, params) is called after step k.
    """
    rngs, points, params = begun()
    mu, nu, losses = [0 * param for param in params], [0 * param for param in params], []
    for k, (x, v) in enumerate(batches(rngs, points, steps), 1):
        y, pullback = net(params, x)
        losses.append(np.mean((y - v) ** 2, axis=(1, 2)))
        for i, grad in enumerate(pullback((y - v) / np.float32(128))[0]):
            mu[i] += np.float32(0.1) * (grad - mu[i])
            nu[i] += np.float32(0.01) * (grad * grad - nu[i])
            step = mu[i] / (np.sqrt(nu[i] / (1 - 0.99**k)) + np.float32(1e-8))
            params[i] = params[i] - np.float32(RATE / (1 - 0.9**k)) * step
        if watch:
            watch(k, params)
    return params, np.array(losses)


def film(net: Callable, every: int = 200) -> tuple[np.ndarray, np.ndarray, Params]:
    """Three trainings: losses (800, 3); of the first, 300 points at four times (4, 300, 2), and its last parameters."""
    clouds: list[np.ndarray] = []

    def watch(k: int, params: Params) -> None:
        if k % every == 0:
            clouds.append(draw([param[0] for param in params]))

    params, losses = train(net, watch=watch)
    return losses, np.array(clouds), [param[0] for param in params]


def two_trainings() -> dict[str, tuple[np.ndarray, np.ndarray, Params]]:
    """The films of two networks, one of which follows a wrong gradient."""
    return {"network 1": film(right), "network 2": film(suspects["C"])}


def draw(params: Params, n: int = 300) -> np.ndarray:
    """Points (n, 2) by ancestral sampling from these parameters, always from the same noise."""
    rng, log_alpha_bar = np.random.default_rng(1), np.cumsum(np.log1p(-BETAS))
    alphas, sigmas = np.exp(log_alpha_bar / 2), np.sqrt(-np.expm1(log_alpha_bar))
    waves = features(2 * np.log(alphas / sigmas))

    def x0_hat_of(x_t: np.ndarray, t: int) -> np.ndarray:
        seen = np.concatenate([x_t, np.repeat(waves[t - 1 : t], len(x_t), axis=0)], axis=1)
        return alphas[t - 1] * x_t - sigmas[t - 1] * network(params, seen)[0]

    return course_answers.ancestral(x0_hat_of, rng.standard_normal((n, 2)), rng.standard_normal((100, n, 2)), BETAS)


def kl_through(net: Callable, params: Params, n: int = 100, steps: int = 25) -> tuple[float, float]:
    """KL(ring ‖ model) in nats, and its standard error, where the density comes by the pullback of `net`."""
    process = td.VP()
    exact = [np.asarray(param, float) for param in params]

    def answer(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, Callable]:
        return net(exact, np.concatenate([x, features(np.asarray(process.at(t).log_snr))], axis=1))

    model = td.as_denoiser(
        lambda x, t: answer(x, t)[0], process, dim=2, prediction="v", pull=lambda x, t, u: answer(x, t)[1](u)[1][:, :2]
    )
    return td.kl_from_truth(model, td.toys.ring8(), n=n, steps=steps, rng=3)


# ---- judges


def suspicion(culprits: Callable, only_biases: str, noticed: str) -> Parts:
    """The wrong gradients of hidden networks, each off by 1e-9 in one number, and two letters."""
    rng, accused, passed = np.random.default_rng(64), 0, 0
    for case in range(12):
        sizes = rng.integers(2, 6, 4).tolist()
        params = [part[0] if i % 2 else part for i, part in enumerate(init(rng, sizes))]
        params = [part + 0.3 * rng.standard_normal(part.shape) for part in params]
        x, dy = rng.standard_normal((7, sizes[0])), rng.standard_normal((7, sizes[-1]))
        wrong = (rng.random(6) < 0.4) & (case > 1)
        said = np.ravel(np.asarray(culprits(partial(_planted, wrong=wrong), params, x, dy), dtype=bool))
        if said.shape != (6,):
            yield False, f"One bool for each of 6 parameters is wanted; got {said.shape}."
            return
        accused, passed = accused + int(np.sum(said & ~wrong)), passed + int(np.sum(~said & wrong))
    yield (
        accused + passed == 0,
        f"In 12 hidden networks {accused} right gradients are accused, and {passed} wrong ones pass.",
    )
    letters = [str(letter).strip().upper() for letter in (only_biases, noticed)]
    yield letters[0] == "B", f"Only the biases are wrong in {letters[0]}" + ": no." * (letters[0] != "B")
    yield letters[1] == "D", f"The loss of {letters[1]} stays beside the answer 0's" + ": no." * (letters[1] != "D")


def _planted(params: Params, x: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, Callable]:
    """A right network, but for one number of the gradient of each parameter that is marked."""
    y, pullback = network(params, x)

    def pull(dy: np.ndarray) -> tuple[Params, np.ndarray]:
        grads, dx = pullback(dy)
        for grad, bad in zip(grads, wrong, strict=True):
            grad.flat[-1] += 1e-9 * np.sqrt(np.sum(grad**2)) * bad
        return grads, dx

    return y, pull


def excess(network: Callable, data: td.GaussianMixture, n: int = 500) -> float:
    """Mean over t of the squared error of ε̂ beyond the floor, per coordinate; network(x_t, t) gives (v̂, pullback)."""
    rng, chain, total = np.random.default_rng(66), td.Discrete(BETAS), 0.0
    for t in range(1, 101):
        now = chain.at(t / 100)
        x_t = now.perturb(data.sample(rng, n), rng.standard_normal((n, data.dim)))
        exact = -now.sigma * data.diffused(now.alpha, now.sigma).score(x_t)
        total += np.mean((now.sigma * x_t + now.alpha * network(x_t, t)[0] - exact) ** 2) / 100
    return float(total)


def fit(answer: Callable) -> Parts:
    """The excess after 300 steps on points of N(1, 0.04), beside that of the answer 0."""
    line = td.GaussianMixture([1.0], [[1.0]], [[[0.04]]])
    rng = np.random.default_rng(65)
    network, losses = answer(line.sample(rng, 2000), BETAS, 300, rng)
    yield np.shape(losses) == (300,), f"The losses of 300 steps have the shape {np.shape(losses)}."
    yield bool(np.mean(losses[-50:]) < np.mean(losses[:10])), "The loss falls."
    yours, nothing = excess(network, line), excess(lambda x_t, t: (0 * x_t, None), line)
    yield (
        yours < nothing / 10,
        f"Excess after 300 steps: {yours:.4f}; wanted, under a tenth of the answer 0's {nothing:.4f}.",
    )


def better_network(network: Callable) -> Parts:
    """The excess on the ring, beside ours."""
    score = excess(network, td.toys.ring8())
    level = "level with ours" if abs(score / OURS - 1) < 0.05 else f"ours {OURS:.4f}"
    yield score < 1.05 * OURS, f"Your excess is {score:.4f}; {level}."
