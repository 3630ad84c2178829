"""The straight path: its loss, its velocity, and the scale and the clock that make it of any other."""

from collections.abc import Callable, Iterator

import numpy as np

from tinydiff.check.domains import Formula, choice, normals, points, uniform
from tinydiff.check.form import like, scalar
from tinydiff.check.laws.truth import ONE, ZERO
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- flow_matching_loss

VELOCITIES = ("0 * x_t", "0 * x_t + 1", "x_t", "0 * x_t + t[:, None]", "x_t * t[:, None]", "np.sin(x_t) - t[:, None]")
PAIRS = (
    ([[0.0]], [[1.0]], [0.5]),
    ([[1.0]], [[0.0]], [0.25]),
    ([[1.0]], [[-2.0]], [0.0]),
    ([[2.0]], [[1.0]], [1.0]),
    ([[1.0, -0.5]], [[0.0, 2.0]], [0.75]),
    ([[1.0], [0.0]], [[0.0], [3.0]], [0.25, 0.5]),
    ([[1.0, 0.0, 2.0], [0.5, -1.0, 0.0]], [[0.0, 2.0, 1.0], [1.5, 0.0, -2.0]], [0.125, 0.75]),
)


def drawn_pairs(rng: np.random.Generator) -> tuple:
    """Pairs of points, and a time for each."""
    x0, x1 = (np.clip(x, -30, 30) for x in normals(rng, 2))
    return x0, x1, np.round(rng.uniform(0, 1, len(x0)), 3)


flow_matching_loss = Spec(
    "flow_matching_loss(velocity, x0, x1, t) -> loss",
    "L = mean of (velocity(x_t, t) − (x_1 − x_0))² with x_t = (1 − t) x_0 + t x_1",
    "Lipman et al. 2023, eq. 23; Liu et al. 2023, eq. 1",
    (
        choice(("velocity",), *((Formula(f"lambda x_t, t: {u}"),) for u in VELOCITIES)),
        choice(("x0", "x1", "t"), *(tuple(map(np.array, case)) for case in PAIRS), random=drawn_pairs),
    ),
    {"loss": scalar},
    about="x0 and x1 are (B, D), row by row a pair, and t is (B,), a time for each. velocity(x_t, t) takes x_t (B, D) "
    "and t (B,) and gives (B, D). The mean is over all B D numbers.",
)


@flow_matching_loss.law("the constant velocity x_1 − x_0 of one pair costs nothing, at any time")
def _(f: Probe, t: np.ndarray) -> Iterator[tuple]:
    many = 0 * t[:, None]
    yield f(Formula("lambda x_t, t: 0 * x_t + 3"), many - 1, many + 2, t), 0, "u = 3, from −1 to 2"
    yield f(Formula("lambda x_t, t: 0 * x_t + 3"), many + 2, many - 1, t), 36, "u = 3, from 2 to −1"


@flow_matching_loss.law("it is the mean over all numbers: a velocity that is off by c costs c², however many there are")
def _(f: Probe, x0: np.ndarray, t: np.ndarray) -> Iterator[tuple]:
    for c in (1, -2, 10):
        yield f(Formula(f"lambda x_t, t: 0 * x_t + {1 + c}"), x0, x0 + 1, t), c**2, f"u = {1 + c}, and x_1 = x_0 + 1"


@flow_matching_loss.law("the velocity is asked on the line of each pair, x_0 at t = 0 and x_1 at t = 1")
def _(f: Probe, x0: np.ndarray, x1: np.ndarray, t: np.ndarray) -> Iterator[tuple]:
    for k, c in ((1, 0), (3, -1)):
        found = f(Formula(f"lambda x_t, t: {k} * x_t + {c}"), x0, x1, t)
        yield found, np.mean((k * (x0 + (x1 - x0) * t[:, None]) + c - x1 + x0) ** 2), f"u = {k} x_t + {c}"


@flow_matching_loss.law("the velocity is told the time of each pair")
def _(f: Probe, x0: np.ndarray, t: np.ndarray) -> Iterator[tuple]:
    for k in (1, -3):
        found = f(Formula(f"lambda x_t, t: 0 * x_t + {k} * t[:, None] + 2"), x0, x0 + 2, t)
        yield found, np.mean(k**2 * t**2), f"u = 2 + {k} t, and x_1 = x_0 + 2"


@flow_matching_loss.law(
    "two pairs that cross: the best velocity at the crossing is the mean of both, and costs their variance"
)
def _(f: Probe) -> Iterator[tuple]:
    x0, x1, half = np.array([[-1.0], [2.0]]), np.array([[3.0], [0.0]]), np.array([0.5, 0.5])
    for u in (1, 0, 3):
        answer = f(Formula(f"lambda x_t, t: 0 * x_t + {u}"), x0, x1, half)
        yield answer, (u - 1) ** 2 + 9, f"u = {u}, of speeds 4 and −2 at the one place 1"


@flow_matching_loss.law("ends and clock turned round, the velocity turned too: the same loss")
def _(f: Probe, velocity: Callable, x0: np.ndarray, x1: np.ndarray, t: np.ndarray) -> Iterator[tuple]:
    turned = Formula(f"lambda x_t, t: -({velocity})(x_t, 1 - t)")
    yield f(turned, x1, x0, 1 - t), f(velocity, x0, x1, t)


@flow_matching_loss.law("of any velocity it is the mean of the losses of the pairs, each number alone")
def _(f: Probe, velocity: Callable, x0: np.ndarray, x1: np.ndarray, t: np.ndarray) -> Iterator[tuple]:
    off = velocity(x0 + (x1 - x0) * t[:, None], t) + x0 - x1
    yield f(velocity, x0, x1, t), sum(c * c / off.size for c in off.ravel())


# ---- velocity_from_eps

EARLY = choice(
    ("t",), (0.5,), (0.25,), (0.0,), (0.75,), (0.9,), (0.99,), random=lambda rng: (uniform(rng, 0.01, 0.95),)
)

velocity_from_eps = Spec(
    "velocity_from_eps(x_t, t, eps) -> u",
    "u = (ε − x_t)/(1 − t), which is ε − x_0 with x_0 = (x_t − t ε)/(1 − t)",
    "Lipman et al. 2023, eq. 23, with noise as the source",
    (points("x_t", "eps"), EARLY),
    {"u": like("x_t")},
    about="On the straight path from data to noise, x_t = (1 − t) x_0 + t ε, with 0 ≤ t < 1.",
)
velocity_from_eps.linear("x_t", "eps")


@velocity_from_eps.law("it is ε − x_0 of the pair that x_t was made of")
def _(f: Probe, x_t: np.ndarray, eps: np.ndarray, t: float) -> Iterator[tuple]:
    x0 = x_t  # any numbers will do for x_0
    yield f((1 - t) * x0 + t * eps, t, eps), eps - x0, "x_t made of this x_0 and ε"


@velocity_from_eps.law("against the velocity, for the time t, x_t comes to x_0; with it, for 1 − t, to ε")
def _(f: Probe, t: float) -> Iterator[tuple]:
    x = (1 - t) * 2 * ONE + t * -3
    yield x - t * f(x, t, -3 * ONE), 2, "where it comes to, with x_0 = 2 and ε = −3"
    yield x + (1 - t) * f(x, t, -3 * ONE), -3, "where it goes to, with x_0 = 2 and ε = −3"


@velocity_from_eps.law("at t = 0 it is ε − x_t")
def _(f: Probe, x_t: np.ndarray, eps: np.ndarray) -> Iterator[tuple]:
    yield f(x_t, 0.0, eps), eps - x_t


@velocity_from_eps.law("what is all data, ε = 0, moves towards 0, and faster the later it is still there")
def _(f: Probe, t: float) -> Iterator[tuple]:
    yield f((1 - t) * ONE, t, ZERO), -1, "x_0 = 1 and ε = 0"


# ---- to_straight


def levels(rng: np.random.Generator) -> tuple:
    """α and σ of any process."""
    if rng.random() < 0.5:
        angle = rng.uniform(0.05, 1.5)
        return float(np.round(np.cos(angle), 3)), float(np.round(np.sin(angle), 3))
    return uniform(rng, 0.05, 2), uniform(rng, 0.05, 5)


LEVELS = (
    (0.5, 0.5),
    (1.0, 1.0),
    (0.8, 0.6),
    (0.6, 0.8),
    (1.0, 0.0),
    (0.75, 0.25),
    (0.0, 1.0),
    (1.0, 3.0),
    (1.0, 0.01),
    (0.01, 2.0),
)

to_straight = Spec(
    "to_straight(x, alpha, sigma) -> (x_new, t_new)",
    "x′ = x/(α + σ),  t′ = σ/(α + σ)",
    "Lipman et al. 2023, §4; Kingma et al. 2021, VDM, App. F, for the straight path",
    (points("x"), choice(("alpha", "sigma"), *LEVELS, random=levels)),
    {"x_new": like("x"), "t_new": scalar},
    about="x = α x_0 + σ ε for numbers α, σ ≥ 0 that are not both 0; x′ = (1 − t′) x_0 + t′ ε is the same pair on the "
    "straight path.",
)


@to_straight.law("whatever x_0 and ε are, x′ is (1 − t′) x_0 + t′ ε")
def _(f: Probe, alpha: float, sigma: float) -> Iterator[tuple]:
    for x0, eps in ((1, 0), (0, 1), (2, -3)):
        x, t = f((alpha * x0 + sigma * eps) * ONE, alpha, sigma)
        yield x, (1 - t) * x0 + t * eps, f"x_0 = {x0}, ε = {eps}"


@to_straight.law("the log-SNR stays: (1 − t′) σ = t′ α")
def _(f: Probe, x: np.ndarray, alpha: float, sigma: float) -> Iterator[tuple]:
    t = f(x, alpha, sigma)[1]
    yield (1 - t) * sigma, t * alpha


@to_straight.law("a point of the straight path stays where it is, at its time")
def _(f: Probe, x: np.ndarray) -> Iterator[tuple]:
    for t in (0.25, 0.9, 0.0, 1.0):
        x_new, t_new = f(x, 1 - t, t)
        yield x_new, x, f"x′, with α = {1 - t:g} and σ = {t:g}"
        yield t_new, t, f"t′, with α = {1 - t:g} and σ = {t:g}"


@to_straight.law("another scale of x, α and σ together changes nothing")
def _(f: Probe, x: np.ndarray, alpha: float, sigma: float) -> Iterator[tuple]:
    once = f(x, alpha, sigma)
    for k in (2.0, 0.1):
        for one, other, name in zip(f(k * x, k * alpha, k * sigma), once, ("x′", "t′"), strict=True):
            yield one, other, f"{name} with all three times {k:g}"


@to_straight.law("x′ is in proportion to x, and t′ does not depend on it")
def _(f: Probe, x: np.ndarray, alpha: float, sigma: float) -> Iterator[tuple]:
    (x_new, t_new), (far, later) = f(x, alpha, sigma), f(-3 * x, alpha, sigma)
    yield far, -3 * x_new, "x′ of −3 x"
    yield later, t_new, "t′ of −3 x"


@to_straight.law("a step of DDIM to a second level becomes a straight step, with the same velocity")
def _(f: Probe, alpha: float, sigma: float) -> Iterator[tuple]:
    x0, eps = 2, -3
    x, t = f((alpha * x0 + sigma * eps) * ONE, alpha, sigma)
    y, s = f((0.8 * x0 + 0.6 * eps) * ONE, 0.8, 0.6)
    yield y - x, (s - t) * (eps - x0), "what moves, and the time times ε − x_0"
