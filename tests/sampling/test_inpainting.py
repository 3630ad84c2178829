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
from scipy.stats import kstest, norm

import tinydiff as td

PROCESSES = (td.VP(), td.VE(), td.Cosine(), td.Discrete.linear(200))
GAUSSIAN = td.GaussianMixture([1.0], [[0.3, -0.2]], [[[1.0, 0.8], [0.8, 1.0]]])
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


def laws(process, ts, sampler, **options):
    """[(mean (D,), covariance (D, D)) at each time], exact, for GAUSSIAN data and the process's prior.

    Of a sampler's walk, and of the answer x̂_0 at its last time, with what is known as it is.
    """
    model, dim, count = td.Oracle(GAUSSIAN, process), GAUSSIAN.dim, Units()
    td.last(sampler(model, np.zeros((1, dim)), ts, rng=count, **rows(options, 1)))
    n = count.drawn
    x = np.zeros((n + dim + 1, dim))
    x[n:-1] = np.eye(dim)  # after the rows of noise those of x_T, and one of zeros
    options = rows(options, len(x))
    walk = [y for _, y in sampler(model, x, ts, rng=Units(), **options)]
    walk.append(model.x0(walk[-1], ts[-1]))
    if "known" in options:
        walk[-1] = np.where(options["mask"], options["known"], walk[-1])
    out = []
    for y in walk:
        c = y[:-1] - y[-1]
        c[n:] *= process.prior_std
        out.append((y[-1], c.T @ c))
    return out


def even_log_snr(process, n):
    """Times even in log-SNR, and on a chain, where some of them have the same nearest, those that differ."""
    noisy, clean = td.grids.log_snr_ends(process)
    return np.unique(process.time(np.linspace(noisy, clean, n + 1)))[::-1]


def rows(options, n):
    return {k: np.tile(v, (n, 1)) if k == "known" else v for k, v in options.items()}


def repaint(process, ts, known, mask, resamples):
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
            mean, cov = np.where(mask, a_s * known, mean), np.where(mask[:, None] | mask, 0.0, cov)
            cov = cov + np.diag(np.where(mask, ss**2, 0.0))
            if left:
                mean, cov = a * mean, a**2 * cov + v * eye
        out.append((mean, cov))
    return out


def kl(mean, variance, exact_mean, exact_variance):
    """KL(N(mean, variance) ‖ N(exact_mean, exact_variance)) in nats."""
    ratio = variance / exact_variance
    return 0.5 * (ratio - 1 - math.log(ratio) + (mean - exact_mean) ** 2 / exact_variance)


@every_process
class TestLaw:
    """The exact law on Gaussian data."""

    @pytest.mark.parametrize("resamples", [1, 2, 4])
    @pytest.mark.parametrize("mask", [[True, False], [False, True], [False, False], [True, True]], ids=str)
    def test_it_is_repaint(self, process, mask, resamples):
        """Denoise, replace, go back up, at every time: mean and covariance are those of Algorithm 1, worked by hand."""
        ts, mask = td.grids.default(process, 7), np.array(mask)
        found = laws(process, ts, td.inpaint, known=KNOWN, mask=mask, resamples=resamples)
        for (mean, cov), (by_hand, cov_by_hand) in zip(
            found, repaint(process, ts, KNOWN, mask, resamples), strict=True
        ):
            np.testing.assert_allclose(mean, by_hand, rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(cov, cov_by_hand, rtol=1e-8, atol=1e-8)

    @pytest.mark.parametrize("resamples", [1, 3])
    def test_the_known_are_fresh_draws_of_their_noisy_selves(self, process, resamples):
        """At each time x_s is N(α_s x_0, σ_s²) in the known coordinates, independent of the others."""
        ts = td.grids.default(process, 7)
        found = laws(process, ts, td.inpaint, known=KNOWN, mask=FIRST, resamples=resamples)
        for then, (mean, cov) in list(zip(map(process.at, [*ts, 0.0]), found, strict=True))[1:]:
            assert mean[0] == pytest.approx(then.alpha * KNOWN[0], rel=1e-12)
            np.testing.assert_allclose(cov[0], [then.sigma**2, 0], rtol=1e-12, atol=1e-15)

    def test_with_nothing_known_it_is_ddpm(self, process):
        ts = td.grids.default(process, 9)
        plain = laws(process, ts, td.ddpm)
        found = laws(process, ts, td.inpaint, known=KNOWN, mask=np.array([False, False]))
        for one, other in zip(found, plain, strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)

    def test_resampling_leads_to_the_conditional_law(self, process):
        """The KL to the exact conditional falls from .23 nats by replacement alone to .01 with 10 resamples.

        Replacement leaves the unknown mean two fifths short of the way from that without knowledge to the right one.
        """
        mean, variance = (each.item() for each in GAUSSIAN.conditional(KNOWN[None], FIRST).moments())
        ts = even_log_snr(process, 49)
        off, means = [], []
        for resamples in (1, 2, 5, 10):
            end, cov = laws(process, ts, td.inpaint, known=KNOWN, mask=FIRST, resamples=resamples)[-1]
            off.append(kl(end[1], cov[1, 1], mean, variance))
            means.append(abs(end[1] - mean))
        assert off[0] > 0.2
        assert off[-1] < 0.015
        assert np.all(np.diff(off) < 0)
        assert means[0] > 0.35
        assert means[-1] < 0.06
        assert np.all(np.diff(means) < 0)


def test_the_rest_of_the_error_is_of_the_steps():
    """At 10 resamples the KL falls with the number of steps, as β̃ leaves out the variance of x_0."""
    process = td.VP()
    mean, variance = (each.item() for each in GAUSSIAN.conditional(KNOWN[None], FIRST).moments())
    off = []
    for steps in (10, 20, 40):
        ts = td.grids.even_log_snr(process, steps - 1)
        end, cov = laws(process, ts, td.inpaint, known=KNOWN, mask=FIRST, resamples=10)[-1]
        off.append(kl(end[1], cov[1, 1], mean, variance))
    assert np.all(np.array(off[1:]) < 0.6 * np.array(off[:-1])), off
    assert off[-1] < 0.02


# Mixtures, by draws


def judged(data, x0, mask, y):
    """F(y) and ln q(y) of the exact conditional law of one unknown coordinate y (B,)."""
    q = data.conditional(x0, mask)
    w, m, v = np.exp(q.log_weights), q.centres[:, :, 0], q.variances[:, :, 0]
    return np.sum(w * norm.cdf((y - m) / np.sqrt(v)), axis=0), q.log_density(y[:, None])


def test_resampling_finds_both_moons(rng):
    """At x_1 = 0 the law of x_2 has two modes: 10 resamples pass a Kolmogorov–Smirnov test against its exact CDF.

    With 50 steps D = .02, and .15 by replacement alone, whose mean ln q is 1.8 nats too low, as points fall between the
    modes. It is not so everywhere: at x_1 = 1 D falls from .60 to .24 only.
    """
    data, n = td.toys.moons32(), 1000
    oracle, x0 = td.Oracle(data, td.VP()), np.tile([0.0, 9.0], (n, 1))
    entropy = data.conditional(x0[:1], FIRST).entropy()[0]
    found = {}
    for resamples in (1, 10):
        sampler = partial(td.inpaint, known=x0, mask=FIRST, resamples=resamples)
        end = td.sample(oracle, n, sampler=sampler, steps=50, rng=rng)
        np.testing.assert_array_equal(end[:, 0], 0.0)
        cdf, nats = judged(data, x0, FIRST, end[:, 1])
        found[resamples] = kstest(cdf, "uniform"), np.mean(nats) + entropy
    (alone, alone_off), (mended, mended_off) = found[1], found[10]
    assert mended.pvalue > 1e-3
    assert alone.pvalue < 1e-9
    assert alone.statistic > 3 * mended.statistic
    assert abs(mended_off) < 0.15
    assert alone_off < -1


def test_rows_may_know_different_coordinates(rng):
    """Of draws from the moons half the rows keep x_1 and half x_2: F(x_u | x_k) is uniform, ln q as for true draws.

    With 10 resamples and 50 steps ln q is .05 and .2 nats below that of true draws; by replacement alone, 2.2 and 1.1.
    """
    data, n = td.toys.moons32(), 1000
    oracle, x0 = td.Oracle(data, td.VP()), data.sample(rng, n)
    mask = np.repeat([[True, False], [False, True]], n // 2, axis=0)
    off = {}
    for resamples in (1, 10):
        sampler = partial(td.inpaint, known=x0, mask=mask, resamples=resamples)
        end = td.sample(oracle, n, sampler=sampler, steps=50, rng=rng)
        np.testing.assert_array_equal(end[mask], x0[mask])
        for u, half in ((1, slice(None, n // 2)), (0, slice(n // 2, None))):
            cdf, nats = judged(data, x0[half], np.arange(2) != u, end[half, u])
            true = judged(data, x0[half], np.arange(2) != u, x0[half, u])[1]
            off[resamples, u] = np.mean(nats) - np.mean(true)
            assert kstest(cdf, "uniform").pvalue > 1e-3 or resamples == 1
    for u in (0, 1):
        assert abs(off[10, u]) < 0.4
        assert off[1, u] < -0.8


# Bookkeeping


@every_process
@pytest.mark.parametrize("mask", [[True, False], [False, True], [True, True]], ids=str)
def test_the_answer_keeps_the_known_as_they_were(process, mask, rng):
    """To the last bit, whatever the resamples and the steps."""
    known, mask = rng.standard_normal((6, 2)), np.array(mask)
    for resamples, steps in ((1, 5), (3, 5), (1, 1)):
        sampler = partial(td.inpaint, known=known, mask=mask, resamples=resamples)
        end = td.sample(td.Oracle(GAUSSIAN, process), 6, sampler=sampler, steps=steps, rng=rng)
        np.testing.assert_array_equal(end[:, mask], known[:, mask])
        assert not np.any(np.isclose(end[:, ~mask], known[:, ~mask]))


def test_options_may_be_given_to_sample_or_to_the_sampler(rng):
    known, model = rng.standard_normal((6, 2)), td.Oracle(GAUSSIAN, td.VP())
    options = {"known": known, "mask": FIRST, "resamples": 2}
    one = td.sample(model, 6, sampler=td.inpaint, steps=5, rng=0, **options)
    other = td.sample(model, 6, sampler=partial(td.inpaint, **options), steps=5, rng=0)
    np.testing.assert_array_equal(one, other)


def test_a_trajectory_ends_on_the_answer(rng):
    known, model = rng.standard_normal((6, 2)), td.Oracle(GAUSSIAN, td.VP())
    arguments = {"sampler": td.inpaint, "known": known, "mask": FIRST, "steps": 5, "rng": 0}
    t, x = td.last(td.trajectory(model, 6, **arguments))
    assert t == 0
    np.testing.assert_array_equal(x, td.sample(model, 6, **arguments))


def test_a_mask_for_each_row_is_each_rows_mask(rng):
    """(B, D) is B times (D,), and (D,) is for all rows."""
    process, data = td.VP(), td.toys.moons32()
    mask = np.array([[True, False], [False, True], [False, False], [True, True]])
    x, known = rng.standard_normal((2, 4, 2))
    ts = td.grids.even_log_snr(process, 5)

    def walk(x, known, mask):
        walk = td.inpaint(td.Oracle(data, process), x, ts, known=known, mask=mask, resamples=2, rng=Alike(3))
        return td.last(walk)[1]

    alone = np.concatenate([walk(x[i : i + 1], known[i : i + 1], mask[i]) for i in range(4)])
    np.testing.assert_allclose(walk(x, known, mask), alone, rtol=1e-10)
    np.testing.assert_allclose(walk(x, known, mask[0]), walk(x, known, np.tile(mask[0], (4, 1))), rtol=1e-12)


def test_what_stands_at_the_unknown_coordinates_does_not_matter(rng):
    model = td.Oracle(GAUSSIAN, td.VP())

    def end(known):
        return td.sample(model, 4, sampler=partial(td.inpaint, known=known, mask=FIRST), steps=6, rng=1)

    np.testing.assert_array_equal(end(np.tile([0.5, 0.0], (4, 1))), end(np.tile([0.5, np.nan], (4, 1))))


@pytest.mark.parametrize("resamples", [1, 2, 5])
def test_it_is_an_iterator_over_its_grid(resamples, rng):
    """(t, x) from what it is given on; `resamples` evaluations in a step."""
    model, x = td.Counting(td.Oracle(GAUSSIAN, td.VP())), rng.standard_normal((3, 2))
    ts = td.grids.even_log_snr(td.VP(), 7)
    pairs = list(td.inpaint(model, x, ts, known=0 * x, mask=FIRST, resamples=resamples, rng=rng))
    assert [t for t, _ in pairs] == ts.tolist()
    assert pairs[0][1] is x
    assert model.nfe == 7 * resamples


def test_replacement_alone_is_the_default(rng):
    x, ts, model = rng.standard_normal((3, 2)), [0.5, 0.3, 0.1], td.Oracle(GAUSSIAN, td.VP())

    def walk(**options):
        return td.last(td.inpaint(model, x, ts, known=0 * x, mask=FIRST, rng=1, **options))[1]

    np.testing.assert_array_equal(walk(), walk(resamples=1))


def test_float32_in_is_float32_out(rng):
    """And so it is with known points of another dtype, and a mask that is a list."""
    x = rng.standard_normal((3, 2), dtype=np.float32)
    known = np.array([[1, 2], [3, 4], [5, 6]])
    for _, y in td.inpaint(td.Oracle(GAUSSIAN, td.VP()), x, [0.5, 0.3, 0.1], known=known, mask=[True, False], rng=rng):
        assert y.dtype == np.float32


def test_wrong_use_is_named(rng):
    """Errors are raised at the first step asked for, before the model is."""
    x = np.zeros((4, 2))
    model = td.Counting(td.Oracle(GAUSSIAN, td.VP()))

    def start(known=x, mask=FIRST, **options):
        return next(td.inpaint(model, x, (0.5, 0.4), known=known, mask=mask, rng=rng, **options))

    for resamples in (0, -1):
        with pytest.raises(ValueError, match=f"resamples must be 1 or more; got {resamples}"):
            start(resamples=resamples)
    for known in (np.zeros(2), np.zeros((3, 2)), np.zeros((4, 1))):
        with pytest.raises(ValueError, match=re.escape(f"the shape of x, (4, 2); got shape {known.shape}")):
            start(known=known)
    for mask in (np.array([1, 0]), np.array([1.0, 0.0]), np.ones(4, bool), np.ones((1, 2), bool), np.array(True)):
        with pytest.raises(ValueError, match=re.escape("mask must be boolean, (D,) or (B, D) for x (4, 2)")):
            start(mask=mask)
    assert model.nfe == 0


def test_what_is_known_must_be_finite(rng):
    oracle, known = td.Oracle(td.toys.ring8(), td.VP()), np.array([[np.nan, 1.0]])

    def start(mask):
        return next(td.inpaint(oracle, np.zeros((1, 2)), [0.5, 0.1], known=known, mask=np.array(mask), rng=rng))

    start([False, True])
    with pytest.raises(ValueError, match="known must be finite where mask is true"):
        start([True, False])
