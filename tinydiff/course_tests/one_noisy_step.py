"""What judges the answers of notebook 1, One noisy step."""

from collections.abc import Callable, Iterator

import numpy as np

from tinydiff import course_answers

Array = np.ndarray
Parts = Iterator[tuple[bool, str]]

BETAS = np.linspace(1e-4, 0.02, 1000)
"""The paper's schedule."""
MODES = np.array([0.35, 0.65]), np.array([[-1.5], [0.8]]), np.array([0.02, 0.15])
"""The two modes on a line: weights, means and variances."""
TRIES, POINTS, STEP = 400, 500, 300


def walked(x: Array, betas: Array, rng: np.random.Generator | None = None) -> Array:
    """All points of a walk, (T + 1, B, D); without noise where there is no generator."""
    path = [x]
    for t in range(1, len(betas) + 1):
        eps = np.zeros(x.shape) if rng is None else rng.standard_normal(x.shape)
        path.append(course_answers.q_step(path[-1], t, eps, betas))
    return np.array(path)


def where_is_the_noise(line: int, snr_at_T: float, mended: Callable) -> Parts:
    """The wrong line, the SNR of the program as it stands, and the law of the mended program."""
    yield line == 1, f"You name line {line}." + " It does what it should." * (line != 1)
    kept = walked(np.ones((1, 1)), BETAS[-1:])[-1].item() ** 2  # of what the program has at T, one step alone
    near = abs(snr_at_T - kept / (1 - kept)) < 1
    yield bool(near), f"Your SNR of the program at t = 1000 is {snr_at_T:g}." + " It has another." * (not near)
    betas = np.random.default_rng(11).uniform(0.05, 0.4, 6)
    for t in (2, 6):
        response = mended(np.ones((1, 1)), t, np.zeros((1, 1)), betas).item()
        truth = walked(np.ones((1, 1)), betas[:t])[-1].item()
        noise = mended(np.zeros((1, 1)), t, np.ones((1, 1)), betas).item()
        right = abs(response - truth) < 1e-9 and abs(truth**2 + noise**2 - 1) < 1e-9
        yield (
            bool(right),
            f"Of a jump over {t} steps signal {response:.4f} and noise {noise:.4f}; of {t} steps {truth:.4f}.",
        )


def shuffled(end_changes: bool, path_changes: bool, correlation: Callable) -> Parts:
    """Two answers, and a correlation against 10⁵ walked paths and against a walk without noise."""
    rng = np.random.default_rng(12)
    betas = rng.uniform(0.02, 0.4, 6)
    ends = [walked(np.ones((1, 1)), order)[-1].item() for order in (betas, betas[::-1])]
    ways = [walked(np.ones((1, 1)), order)[1].item() for order in (betas, betas[::-1])]
    yield end_changes == (not np.isclose(*ends)), f"The law of the end changes: {end_changes}."
    yield path_changes == (not np.isclose(*ways)), f"The law of the path changes: {path_changes}."
    for order in (betas, betas[::-1]):
        path = walked(rng.standard_normal((100_000, 1)), order, rng)
        seen, got = float(np.corrcoef(path[1, :, 0], path[-1, :, 0])[0, 1]), float(correlation(order))
        error = 4 * (1 - seen**2) / np.sqrt(100_000)
        yield (
            bool(abs(got - seen) < error),
            f"Correlation {got:.4f}; of 100,000 walked paths {seen:.4f}, give or take {error:.4f}.",
        )
    exact = walked(np.ones((1, 1)), betas[::-1][1:])[-1].item()  # what a 1 at t = 1 gives at T
    yield bool(abs(got - exact) < 1e-9), f"It is {'right' if abs(got - exact) < 1e-9 else 'not right'} to nine digits."


# ---- the open problem: how many points are from the left mode?


def score(estimate: Callable) -> float:
    """The rms error of the share over 400 tries of 500 points at t = 300; the share is another in each try."""
    rng, wrong = np.random.default_rng(13), []
    _, means, variances = course_answers.diffuse_mixture(*MODES, STEP, BETAS)
    for _ in range(TRIES):
        share = rng.uniform(0.1, 0.9)
        k = (rng.random(POINTS) > share).astype(int)
        x = means[k] + np.sqrt(variances[k])[:, None] * rng.standard_normal((POINTS, 1))
        wrong.append(float(estimate(x, means.copy(), variances.copy())) - share)
    return float(np.sqrt(np.mean(np.square(wrong))))


def by_threshold(x: Array, means: Array, variances: Array) -> float:
    """The share of points below 0."""
    return float(np.mean(x < 0))


def by_mean(x: Array, means: Array, variances: Array) -> float:
    """The share for which the mean of the points is what it is."""
    return float((np.mean(x) - means[1, 0]) / (means[0, 0] - means[1, 0]))


def by_likelihood(x: Array, means: Array, variances: Array) -> float:
    """The share that makes the points likeliest, by Newton's method."""
    left, right = (np.exp(-((x - means[k]) ** 2) / (2 * variances[k])) / np.sqrt(variances[k]) for k in (0, 1))
    share = 0.5
    for _ in range(12):
        slope = (left - right) / (share * left + (1 - share) * right)
        share = np.clip(share + np.sum(slope) / np.sum(slope**2), 1e-3, 1 - 1e-3)
    return float(share)


def table() -> str:
    """What the estimators score that we know."""
    rows = {
        "the share below 0": score(by_threshold),
        "from the mean": score(by_mean),
        "by likelihood": score(by_likelihood),
        "before any noise, each point's mode seen": float(np.sqrt((0.5 - 0.728 / 2.4) / POINTS)),  # E p(1 − p)
    }
    return "rms error of the share\n" + "\n".join(f"{value:.4f}  {name}" for name, value in rows.items())


def left_share(estimate: Callable) -> Parts:
    """The rms error of the share beside ours."""
    yours, ours = score(estimate), score(by_likelihood)
    level = " Level with ours." if abs(yours / ours - 1) < 1e-4 else ""
    yield yours <= ours * 1.0001, f"Your rms error is {yours:.5f}, ours {ours:.5f}.{level}"
