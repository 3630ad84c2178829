"""The density that a flow gives to a point."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import Formula, choice, normals
from tinydiff.check.form import row_each
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

FIELDS = (
    ("0 * x + 1", "0 * x[:, 0]"),
    ("x", "0 * x[:, 0] + x.shape[1]"),
    ("-x", "0 * x[:, 0] - x.shape[1]"),
    ("0 * x + t", "0 * x[:, 0]"),
    ("x * t", "0 * x[:, 0] + t * x.shape[1]"),
    ("np.sin(x)", "np.cos(x).sum(axis=1)"),
)
STILL, WIND = Formula("lambda x, t: 0 * x"), Formula("lambda x, t: 0 * x + 1")
NO_DIVERGENCE, NO_PRIOR = Formula("lambda x, t: 0 * x[:, 0]"), Formula("lambda x: 0 * x[:, 0]")
NORMAL = Formula("lambda x: -0.5 * (x**2).sum(axis=1)")
TIMES = ((0.0, 1.0), (0.0, 0.5, 1.0), (1.0, 0.25, 0.0), (0.0, 0.125, 0.5, 1.0))
FINE = np.linspace(0.0, 1.0, 401)
"""Times so near to each other that any rule for the steps is right to a hundredth."""


def rising(rng: np.random.Generator) -> tuple:
    """Times that rise from 0, none of them as far apart as another."""
    return (np.round(np.cumsum(rng.uniform(0.05, 0.4, rng.integers(2, 6))), 3),)


flow_log_density = Spec(
    "flow_log_density(drift, divergence, log_prior, x, times) -> (B,)",
    "ln p(x) = ln p_end(x_end) + ∫ div f(x_t, t) dt over the times, along dx/dt = f(x, t) from x",
    "Chen et al. 2018, Neural ODEs, eq. 8; Song et al. 2021, Score-based SDEs, eq. 39",
    (
        choice(
            ("drift", "divergence"),
            *((Formula(f"lambda x, t: {f}"), Formula(f"lambda x, t: {div}")) for f, div in FIELDS),
        ),
        choice(
            ("log_prior",),
            (Formula("lambda x: -0.5 * (x**2).sum(axis=1)"),),
            (Formula("lambda x: 0 * x[:, 0]"),),
            (Formula("lambda x: np.cos(x).sum(axis=1) - 2"),),
        ),
        choice(
            ("x",),
            *((np.array(x),) for x in ([[0.0]], [[1.0]], [[-2.0]], [[1.0, -0.5]])),
            batches=[(np.array([[1.0, -2.0], [0.3, 1.5], [0.0, 0.5]]),)],
            random=lambda rng: (np.clip(normals(rng, 1)[0], -30, 30),),
        ),
        choice(("times",), *((np.array(t),) for t in TIMES), random=rising),
    ),
    {"log_density": row_each("x")},
    about="drift(x, t) is f, (B, D); divergence(x, t) and log_prior(x) are numbers for each row, (B,). x stands at "
    "times[0], and the prior at times[-1]. A rule of second order is right that is exact where the field is constant.",
)


@flow_log_density.law(
    "a constant field moves all points alike: the prior is asked where x has gone, and nothing is added"
)
def _(f: Probe, log_prior: Formula, x: np.ndarray, times: np.ndarray) -> Iterator[tuple]:
    for speed in (1, -2):
        wind = Formula(f"lambda x, t: 0 * x + {speed}")
        moved = x + speed * (times[-1] - times[0])
        yield f(wind, NO_DIVERGENCE, log_prior, x, times), log_prior(moved), f"with drift {speed}"


@flow_log_density.law("where the field stretches, ln p grows by the divergence times the time: volumes grow on the way")
def _(f: Probe, log_prior: Formula, x: np.ndarray, times: np.ndarray) -> Iterator[tuple]:
    for rate in (1, -3):
        stretch = Formula(f"lambda x, t: 0 * x[:, 0] + {rate}")
        yield f(STILL, stretch, log_prior, x, times), log_prior(x) + rate * (times[-1] - times[0])


@flow_log_density.law("the divergence is asked along the path, at the points and times that it passes")
def _(f: Probe) -> Iterator[tuple]:
    for field, expected in (("x[:, 0]", 1.5), ("0 * x[:, 0] + 2 * t", 1.0)):
        answer = f(WIND, Formula(f"lambda x, t: {field}"), NO_PRIOR, np.ones((1, 1)), FINE)
        yield answer, Between(expected - 0.01, expected + 0.01), f"divergence {field}, along x = 1 + t"


@flow_log_density.law(
    "a linear field is right as steps grow: along dx/dt = −x a unit of time takes D nats and x to x/e"
)
def _(f: Probe) -> Iterator[tuple]:
    x = np.array([[1.0, -0.5]])
    answer = f(Formula("lambda x, t: -x"), Formula("lambda x, t: 0 * x[:, 0] - 2"), NORMAL, x, FINE)
    expected = NORMAL(x / np.e) - 2
    yield answer, Between(expected - 0.01, expected + 0.01), "in 400 steps"


@flow_log_density.law("a hundred steps are enough: the rule is of second order")
def _(f: Probe) -> Iterator[tuple]:
    x = np.array([[3.0, -2.0]])
    answer = f(Formula("lambda x, t: -x"), Formula("lambda x, t: 0 * x[:, 0] - 2"), NORMAL, x, FINE[::4])
    expected = NORMAL(x / np.e) - 2
    yield answer, Between(expected - 0.001, expected + 0.001), "along dx/dt = -x, in 100 steps"


@flow_log_density.law("the area under the density is 1, whatever the field did")
def _(f: Probe) -> Iterator[tuple]:
    x = np.linspace(-12, 12, 241)[:, None]
    normal = Formula("lambda x: -0.5 * x[:, 0]**2 - 0.5 * np.log(2 * np.pi)")
    log_p = f(Formula("lambda x, t: np.sin(x)"), Formula("lambda x, t: np.cos(x[:, 0])"), normal, x, FINE)
    yield np.sum(np.exp(log_p)) * 0.1, Between(0.98, 1.02), "the area, with drift sin x"


@flow_log_density.law("there and back is nowhere: of a constant field only the prior is left")
def _(f: Probe, log_prior: Formula, x: np.ndarray, times: np.ndarray) -> Iterator[tuple]:
    back = np.concatenate([times, times[-2::-1]])
    yield f(WIND, Formula("lambda x, t: 0 * x[:, 0] + 1"), log_prior, x, back), log_prior(x), "along times that return"
