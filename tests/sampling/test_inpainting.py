"""Inpainting against the exact conditional law of the unknown coordinates.

On Gaussian data the sampler is affine in x_T, in every number it draws and in what is known: unit vectors in the place
of noise give its coefficients, and with them the law of its end without a draw. Sources: Song et al. [2021, App. I.2],
Lugmayr et al. [2022, RePaint].
"""

import itertools
import math
import re
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import kstest, norm

import tinydiff as td
from tinydiff.inverse import KnownCoordinates

PROCESSES = (td.VP(), td.VE(), td.Cosine(), td.Discrete.linear(200))
GAUSSIAN = td.GaussianMixture([1.0], [[0.3, -0.2]], [[[1.0, 0.8], [0.8, 1.0]]])
ORACLE = td.Oracle(GAUSSIAN, td.VP())
KNOWN, FIRST = np.array([1.5, 7.0]), np.array([True, False])  # the 7 is not known
every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)


class Units(np.random.Generator):
    """A generator each of whose numbers is 1 in one row, which is its own, and 0 in all others."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))
        self.drawn = 0

    def standard_normal(self, shape, dtype=None):
        z = np.zeros(shape)
        for j in range(shape[1]):
            if self.drawn + j < shape[0]:
                z[self.drawn + j, j] = 1.0
        self.drawn += shape[1]
        return z


class Alike(np.random.Generator):
    """A generator of the same noise for every row."""

    def __init__(self, seed):
        super().__init__(np.random.PCG64(seed))

    def standard_normal(self, shape, dtype=None):
        return np.broadcast_to(super().standard_normal((1, *shape[1:])), shape)


def laws(process, ts, mask, resamples):
    """[(mean (D,), covariance (D, D)) at each time and of the answer], exact, for GAUSSIAN data and the prior."""
    model = td.Oracle(GAUSSIAN, process)

    def walk(x, rng):
        known = np.tile(KNOWN, (len(x), 1))
        path = [y for _, y in td.inpaint(model, x, ts, known=known, mask=mask, resamples=resamples, rng=rng)]
        return [*path, np.where(mask, known, model.x0(path[-1], ts[-1]))]

    count = Units()
    walk(np.zeros((1, 2)), count)
    x = np.zeros((count.drawn + 3, 2))  # a row for each number that is drawn, two for those of x_T, and one of zeros
    x[-3:-1] = process.prior_std * np.eye(2)
    return [(y[-1], (y[:-1] - y[-1]).T @ (y[:-1] - y[-1])) for y in walk(x, Units())]


def repaint(process, ts, mask, resamples):
    """RePaint's Algorithm 1 for means and covariances, with its step to 0: the same list as `laws`, by formulas."""
    m, c, eye = GAUSSIAN.means[0], GAUSSIAN.covariances[0], np.eye(2)
    mean, cov = np.zeros(2), process.prior_std**2 * eye
    out = [(mean, cov)]
    for t, s in itertools.pairwise([*ts, 0.0]):
        (at, st), (a_s, ss) = ((process.at(r).alpha, process.at(r).sigma) for r in (t, s))
        a, gain = at / a_s, at * c @ np.linalg.inv(at**2 * c + st**2 * eye)
        v = st**2 - a**2 * ss**2
        for left in reversed(range(resamples if s > 0 else 1)):
            step = a * ss**2 / st**2 * eye + a_s * v / st**2 * gain
            offset = a_s * v / st**2 * (m - gain @ (at * m))
            mean, cov = step @ mean + offset, step @ cov @ step.T + v * ss**2 / st**2 * eye
            mean, cov = np.where(mask, a_s * KNOWN, mean), np.where(mask[:, None] | mask, 0.0, cov)
            cov = cov + np.diag(np.where(mask, ss**2, 0.0))
            if left:
                mean, cov = a * mean, a**2 * cov + v * eye
        out.append((mean, cov))
    return out


@every_process
@pytest.mark.parametrize("resamples", [1, 3])
@pytest.mark.parametrize("mask", [[True, False], [False, False], [True, True]], ids=str)
def test_it_is_repaint(process, mask, resamples):
    """Denoise, replace by a fresh draw of q(x_s | x_0), go back up, at every time: Algorithm 1, worked by hand."""
    ts, mask = td.grids.default(process, 5), np.array(mask)
    for found, by_hand in zip(laws(process, ts, mask, resamples), repaint(process, ts, mask, resamples), strict=True):
        for one, other in zip(found, by_hand, strict=True):
            assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def test_resampling_leads_to_the_conditional_law():
    """The KL to the exact conditional falls from .23 nats by replacement alone to .01 with 10 resamples."""
    mean, variance = (each.item() for each in GAUSSIAN.conditional(KNOWN[None], FIRST).moments())
    ts, off = td.grids.even_log_snr(td.VP(), 49), []
    for resamples in (1, 2, 5, 10):
        end, cov = repaint(td.VP(), ts, FIRST, resamples)[-1]
        ratio = cov[1, 1] / variance
        off.append(0.5 * (ratio - 1 - math.log(ratio) + (end[1] - mean) ** 2 / variance))
    assert off[0] == pytest.approx(0.23, abs=0.02)
    assert off[-1] == pytest.approx(0.01, abs=0.005)
    assert np.all(np.diff(off) < 0)


@pytest.mark.slow
def test_resampling_finds_both_moons(rng):
    """At x_1 = 0 the law of x_2 has two modes: 10 resamples pass a Kolmogorov–Smirnov test against its exact CDF.

    With 50 steps D = .02, and .15 by replacement alone, as points fall between the modes. It is not so everywhere: at
    x_1 = 1 D falls from .60 to .24 only.
    """
    data, x0 = td.toys.moons32(), np.tile([0.0, 9.0], (1000, 1))
    q, found = data.conditional(x0, FIRST), []
    for resamples in (1, 10):
        sampler = partial(td.inpaint, known=x0, mask=FIRST, resamples=resamples)
        y = td.sample(td.Oracle(data, td.VP()), 1000, sampler=sampler, steps=50, rng=rng)[:, 1]
        z = (y - q.centres[:, :, 0]) / np.sqrt(q.variances[:, :, 0])
        found.append(kstest(np.sum(np.exp(q.log_weights) * norm.cdf(z), axis=0), "uniform"))
    alone, mended = found
    assert mended.pvalue > 1e-3
    assert alone.pvalue < 1e-9
    assert alone.statistic > 3 * mended.statistic


# Bookkeeping


@every_process
@pytest.mark.parametrize("mask", [[True, False], [True, True]], ids=str)
def test_the_answer_keeps_the_known_as_they_were(process, mask, rng):
    """To the last bit, whatever the resamples and the steps."""
    known, mask = rng.standard_normal((6, 2)), np.array(mask)
    for resamples, steps in ((1, 5), (3, 5), (1, 1)):
        sampler = partial(td.inpaint, known=known, mask=mask, resamples=resamples)
        end = td.sample(td.Oracle(GAUSSIAN, process), 6, sampler=sampler, steps=steps, rng=rng)
        assert_array_equal(end[:, mask], known[:, mask])
        assert not np.any(np.isclose(end[:, ~mask], known[:, ~mask]))


def test_options_may_be_given_to_sample_or_to_the_sampler_and_a_trajectory_ends_on_the_answer(rng):
    options = {"known": rng.standard_normal((6, 2)), "mask": FIRST, "resamples": 2}
    x = td.sample(ORACLE, 6, sampler=td.inpaint, steps=5, rng=0, **options)
    assert_array_equal(td.sample(ORACLE, 6, sampler=partial(td.inpaint, **options), steps=5, rng=0), x)
    t, end = td.last(td.trajectory(ORACLE, 6, sampler=td.inpaint, steps=5, rng=0, **options))
    assert t == 0
    assert_array_equal(end, x)


def test_a_mask_for_each_row_is_each_rows_mask(rng):
    """(B, D) is B times (D,), and (D,) is for all rows; so are the rows of the model that knows them."""
    mask = np.array([[True, False], [False, True], [False, False], [True, True]])
    (x, known), model, ts = rng.standard_normal((2, 4, 2)), td.Oracle(td.toys.moons32(), td.VP()), [0.9, 0.5, 0.1]

    def end(x, known, mask):
        return td.last(td.inpaint(model, x, ts, known=known, mask=mask, resamples=2, rng=Alike(3)))[1]

    alone = np.concatenate([end(x[[i]], known[[i]], mask[i]) for i in range(4)])
    assert_allclose(end(x, known, mask), alone, rtol=1e-10)
    assert_allclose(end(x, known, mask[0]), end(x, known, np.tile(mask[0], (4, 1))), rtol=1e-12)
    knowing = KnownCoordinates(model, known, mask, x)
    assert_allclose(knowing.rows(slice(1, 3)).x0(x[1:3], 0.5), knowing.x0(x, 0.5)[1:3], rtol=1e-12)
    assert_allclose(knowing(x, 0.5), model(x, 0.5), rtol=1e-12)  # the noise is the model's


def test_it_is_an_iterator_over_its_grid_and_replacement_alone_is_the_default(rng):
    """(t, x) from what it is given on; `resamples` evaluations in a step."""
    model, x, ts = td.Counting(ORACLE), rng.standard_normal((3, 2)), [0.9, 0.5, 0.1]
    for options, evaluations in (({}, 2), ({"resamples": 1}, 2), ({"resamples": 3}, 6)):
        before = model.nfe
        pairs = list(td.inpaint(model, x, ts, known=0 * x, mask=FIRST, rng=1, **options))
        assert [t for t, _ in pairs] == ts
        assert pairs[0][1] is x
        assert model.nfe - before == evaluations


def test_float32_in_is_float32_out(rng):
    """And so it is with known points of another dtype, and a mask that is a list."""
    x, known = rng.standard_normal((3, 2), dtype=np.float32), np.array([[1, 2], [3, 4], [5, 6]])
    for _, y in td.inpaint(ORACLE, x, [0.5, 0.3, 0.1], known=known, mask=[True, False], rng=rng):
        assert y.dtype == np.float32


KNOWN_SHAPE = "the shape of x, (4, 2); got shape"
MASK = "mask must be boolean, (D,) or (B, D) for x (4, 2)"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"resamples": 0}, "resamples must be 1 or more; got 0"),
        ({"known": np.zeros(2)}, f"{KNOWN_SHAPE} (2,)"),
        ({"known": np.zeros((3, 2))}, f"{KNOWN_SHAPE} (3, 2)"),
        ({"known": np.zeros((4, 1))}, f"{KNOWN_SHAPE} (4, 1)"),
        ({"known": np.full((4, 2), np.nan)}, "known must be finite where mask is true"),
        ({"mask": np.array([1, 0])}, MASK),
        ({"mask": np.ones(4, bool)}, MASK),
        ({"mask": np.ones((1, 2), bool)}, MASK),
        ({"mask": np.array(True)}, MASK),
    ],
)
def test_wrong_use_is_named_before_the_model_is_asked(wrong, says, rng):
    model, x = td.Counting(ORACLE), np.zeros((4, 2))
    with pytest.raises(ValueError, match=re.escape(says)):
        next(td.inpaint(model, x, (0.5, 0.4), **{"known": x, "mask": FIRST, "rng": rng} | wrong))
    assert model.nfe == 0


def test_what_stands_at_the_unknown_coordinates_does_not_matter():
    """Not even whether it is a number."""
    ends = [
        td.sample(ORACLE, 4, sampler=td.inpaint, known=np.tile([0.5, other], (4, 1)), mask=FIRST, steps=4, rng=1)
        for other in (0.0, np.nan)
    ]
    assert_array_equal(*ends)
