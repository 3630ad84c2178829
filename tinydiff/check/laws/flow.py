"""The drifts of the reverse process, and the divergence by probes."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from tinydiff.check.domains import Formula, choice, normals, numbers, points
from tinydiff.check.form import MANY, like, row_each
from tinydiff.check.laws.truth import ONE, ZERO
from tinydiff.check.probe import Probe
from tinydiff.check.spec import Spec

# ---- reverse_sde_drift and probability_flow_drift

BETA = numbers("beta", 1.0, 0.5, 2.0, 20.0, least=0.1, most=20)

reverse_sde_drift = Spec(
    "reverse_sde_drift(x, beta, score) -> drift",
    "f − g² ∇ ln q_t = −½ β x − β ∇ ln q_t, for dt < 0",
    "Anderson 1982; Song et al. 2021, Score-based SDEs, §3.3, for the VP-SDE dx = −½ β x dt + √β dw",
    (points("x", "score"), BETA),
    {"drift": like("x")},
    about="beta is β(t), a number.",
)
reverse_sde_drift.linear("x", "score")


@reverse_sde_drift.law("where the score is 0 it is the forward drift, −½ β x")
def _(f: Probe, beta: float) -> Iterator[tuple]:
    yield f(ONE, beta, ZERO), -0.5 * beta


@reverse_sde_drift.law(
    "backwards from N(0, 1), whose score is −x, it is the same process: with dt < 0 the drift is +½ β x"
)
def _(f: Probe, x: np.ndarray, beta: float) -> Iterator[tuple]:
    yield f(x, beta, -x), 0.5 * beta * x


@reverse_sde_drift.law(
    "the score's part is twice the flow's, β: with the noise that it balances, a variance v stays right"
)
def _(f: Probe, beta: float) -> Iterator[tuple]:
    # of N(0, var), with score −x/var: its change is 2 (drift per x) var − β for dt < 0, and β (1 − var) forwards
    for var in (4.0, 0.25):
        slope = f(ONE, beta, -ONE / var)
        yield 2 * slope * var - beta, beta * (1 - var), f"the change of the variance v = {var:g} in time"


probability_flow_drift = Spec(
    "probability_flow_drift(x, beta, score) -> drift",
    "f − ½ g² ∇ ln q_t = −½ β (x + ∇ ln q_t)",
    "Song et al. 2021, Score-based SDEs, §4.3, for the VP-SDE dx = −½ β x dt + √β dw",
    (points("x", "score"), BETA),
    {"drift": like("x")},
    about="beta is β(t), a number.",
)
probability_flow_drift.linear("x", "score")


@probability_flow_drift.law("where the score is 0 it is the forward drift, −½ β x")
def _(f: Probe, beta: float) -> Iterator[tuple]:
    yield f(ONE, beta, ZERO), -0.5 * beta


@probability_flow_drift.law("N(0, 1), whose score is −x, does not change, and no point of it moves")
def _(f: Probe, x: np.ndarray, beta: float) -> Iterator[tuple]:
    yield f(x, beta, -x), 0


@probability_flow_drift.law("it carries the variance as the noise does: v̇ = β (1 − v) on N(0, v), whose score is −x/v")
def _(f: Probe, beta: float) -> Iterator[tuple]:
    for var in (4.0, 0.25):
        yield 2 * f(ONE, beta, -ONE / var) * var, beta * (1 - var), f"the change of the variance v = {var:g} in time"


# ---- reverse_family_drift

reverse_family_drift = Spec(
    "reverse_family_drift(x, beta, score, eta) -> drift",
    "−½ β x − ½ (1 + η²) β ∇ ln q_t, for dt < 0 beside the noise η √β dw",
    "Karras et al. 2022, EDM, eq. 6; Song et al. 2021, Score-based SDEs, App. D.1, for dx = −½ β x dt + √β dw",
    (points("x", "score"), BETA, numbers("eta", 1.0, 0.0, 0.5, 2.0, least=0, most=3)),
    {"drift": like("x")},
    about="beta is β(t), and η is the share of the noise: 0 for none, as in the flow, 1 for that of dx.",
)
reverse_family_drift.linear("x", "score")


@reverse_family_drift.law("where the score is 0 it is the forward drift, −½ β x, whatever η is")
def _(f: Probe, beta: float, eta: float) -> Iterator[tuple]:
    yield f(ONE, beta, ZERO, eta), -0.5 * beta


@reverse_family_drift.law("without noise, η = 0, N(0, 1) stands still: its score is −x")
def _(f: Probe, x: np.ndarray, beta: float) -> Iterator[tuple]:
    yield f(x, beta, -x, 0.0), 0


@reverse_family_drift.law("with the noise of the forward process, η = 1, N(0, 1) is drawn in by ½ β x, as forwards")
def _(f: Probe, x: np.ndarray, beta: float) -> Iterator[tuple]:
    yield f(x, beta, -x, 1.0), 0.5 * beta * x


@reverse_family_drift.law(
    "the crowd is the same for all η: with the noise of η a variance v changes as forwards, β (1 − v)"
)
def _(f: Probe, beta: float, eta: float) -> Iterator[tuple]:
    # of N(0, var), with score −x/var: its change is 2 (drift per x) var − η² β for dt < 0, and β (1 − var) forwards
    for var in (4.0, 0.25):
        slope = f(ONE, beta, -ONE / var, eta)
        change = 2 * slope * var - eta**2 * beta
        yield change, beta * (1 - var), f"the change of the variance v = {var:g} in time"


@reverse_family_drift.law("between two of them it goes with η²: at η² = ½ it is the mean of the two ends")
def _(f: Probe, x: np.ndarray, beta: float, score: np.ndarray) -> Iterator[tuple]:
    ends = f(x, beta, score, 0.0) + f(x, beta, score, 1.0)
    yield f(x, beta, score, 0.5**0.5), ends / 2, "at η = √½, and the mean of those at 0 and 1"


# ---- hutchinson

JACOBIANS = (
    "v",
    "2 * v",
    "x * v",
    "v * np.arange(1, v.shape[-1] + 1) + np.sin(x) * v",
    "np.cumsum(v, axis=-1) + x * v[..., ::-1]",
)


def signs(dim: int) -> np.ndarray:
    """All vectors of signs, (2^D, 1, D)."""
    return np.array(list(itertools.product((1.0, -1.0), repeat=dim)))[:, None, :]


def points_and_probes(rng: np.random.Generator) -> tuple:
    """x (B, D) and probes (P, B, D)."""
    count, rows, dim = rng.integers(1, 5, 3)
    return normals(rng, 1, rows, dim)[0], normals(rng, 1, count, rows, dim)[0]


hutchinson = Spec(
    "hutchinson(vjp, x, probes) -> (B,)",
    "tr ∂f/∂x ≈ the mean over probes v of vᵀ (∂f/∂x) v",
    "Hutchinson 1989; Grathwohl et al. 2019, FFJORD, §3.1",
    (
        choice(("vjp",), *((Formula(f"lambda x, v: {j}"),) for j in JACOBIANS)),
        choice(
            ("x", "probes"),
            *((np.array([[0.0, 0.0]]), signs(2)[:k]) for k in (1, 2, 4)),
            (np.array([[1.0, -2.0]]), np.array([[[1.0, 0.0]]])),
            (np.array([[1.0, -2.0]]), np.array([[[1.0, 2.0]], [[0.5, -1.0]], [[0.0, 3.0]]])),
            (np.array([[3.0]]), signs(1)),
            (np.array([[1.0, -2.0, 0.5]]), signs(3)[:3]),
            random=points_and_probes,
        ),
    ),
    {"estimate": row_each("x")},
    about="vjp(x, v) is vᵀ ∂f/∂x, (B, D); x is (B, D) and probes (P, B, D). One estimate for each row.",
)


@hutchinson.law("over all vectors of signs it is the trace exactly")
def _(f: Probe, vjp: Callable, x: np.ndarray) -> Iterator[tuple]:
    probes = np.repeat(signs(x.shape[1]), len(x), axis=1)
    yield f(vjp, x, probes), sum(vjp(x, 0 * x + e)[:, i] for i, e in enumerate(np.eye(x.shape[1])))


@hutchinson.law("one probe v gives vᵀ J v")
def _(f: Probe, vjp: Callable, x: np.ndarray, probes: np.ndarray) -> Iterator[tuple]:
    v = probes[0]
    jacobian = np.stack([vjp(x, 0 * x + e) for e in np.eye(x.shape[1])], axis=1)  # (B, D, D), row by row
    yield f(vjp, x, probes[:1]), np.einsum("bi,bij,bj->b", v, jacobian, v)


@hutchinson.law("it is the mean over the probes of what each gives alone")
def _(f: Probe, vjp: Callable, x: np.ndarray, probes: np.ndarray) -> Iterator[tuple]:
    alone = [f(vjp, x, probe[None]) for probe in probes]
    yield f(vjp, x, probes), np.mean(alone, axis=0), "all probes together, and the mean of each alone"


@hutchinson.law("each row of a batch has its own estimate, from its own probes")
def _(f: Probe, vjp: Callable, x: np.ndarray, probes: np.ndarray) -> Iterator[tuple]:
    both = f(vjp, np.concatenate([x, x + 1]), np.concatenate([probes, 2 * probes], axis=1))
    yield both, np.concatenate([f(vjp, x, probes), f(vjp, x + 1, 2 * probes)]), "two rows together, and each alone"


@hutchinson.law("a large batch is so many small ones")
def _(f: Probe, vjp: Callable) -> Iterator[tuple]:
    x, probes = np.array([[1.0, -2.0]]), np.array([[[1.0, 2.0]], [[0.5, -1.0]]])
    many = f(vjp, np.concatenate([x] * MANY), np.concatenate([probes] * MANY, axis=1))
    yield many, np.concatenate([f(vjp, x, probes)] * MANY), f"the row {MANY} times over, and its answer as often"
