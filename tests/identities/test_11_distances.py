"""Metrics: distances between samples, against closed forms, optimal transport and SciPy."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import softmax

import tinydiff as td
from identities.catalogue import identity
from identities.draws import generators, processes, times


class Frame(np.random.Generator):
    """A generator whose normal draws (D, directions) are an orthogonal frame, of any lengths."""

    def __init__(self, rng: np.random.Generator, d: int) -> None:
        super().__init__(rng.bit_generator)
        self.axes = stats.ortho_group(d).rvs(random_state=rng) if d > 1 else np.ones((1, 1))

    def standard_normal(self, size: tuple[int, int]) -> np.ndarray:
        return self.axes * self.uniform(0.5, 2, size[1])


@identity(71, td.sliced_w2, float64=1e-12, float32=2e-6)
@given(rng=generators, n=st.integers(3, 40), d=st.integers(1, 4), m=st.floats(-3, 3), s=st.floats(0.2, 3))
def test_w2_on_a_line_matches_order_statistics(hold, rng, n, d, m, s):
    r"""$W_2^2(N(m,s^2), N(m',s'^2)) = (m-m')^2 + (s-s')^2$ on a line, and $SW_2^2(X, X+c) = \|c\|^2/d$

    On a line the best transport keeps the order, so W₂ compares sorted samples; laws that differ by place and scale
    alone are as far apart as these two say. Sliced W₂ averages over directions, and the mean of $(c\cdot u)^2$ over all
    of them, or over any orthonormal frame, is $\|c\|^2/d$.

    Source: Bonneel et al. 2015 (sliced Wasserstein); Villani 2003, §2.2; Dowson & Landau 1982 (Gaussians).
    Catches: samples that are not sorted, directions that are not normalised, W₁ for W₂, W₂ for W₂².
    """
    x, y, c = rng.standard_normal((n, d)), 1 + 2 * rng.standard_normal((n, d)), rng.standard_normal(d)

    def line(x, y):
        return td.sliced_w2(*hold.cast(x, y), rng=Frame(rng, 1), directions=1) ** 2

    # any two samples of a line, by the best assignment of all
    cost = cdist(x[:, :1], y[:, :1], "sqeuclidean")
    hold(line(x[:, :1], y[:, :1]), np.mean(cost[linear_sum_assignment(cost)]))

    # the quantiles of a normal law, scaled to its mean 0 and variance 1, and moved
    z = stats.norm.ppf((np.arange(n)[:, None] + 0.5) / n)
    z = rng.permutation(z / np.std(z))
    apart, size = (m - 0.5) ** 2 + (s - 1.5) ** 2, (1 + abs(m) + s) ** 2
    hold(line(m + s * z, rng.permutation(0.5 + 1.5 * z)), apart, scale=size)
    z = z * ((n - 1) / n) ** 0.5  # whose covariance, with n − 1, is 1
    hold(td.frechet_distance(*hold.cast(0.5 + 1.5 * z, m + s * z)), apart, scale=size)

    # a shift of all points
    found = td.sliced_w2(*hold.cast(x, rng.permutation(x + c)), rng=Frame(rng, d), directions=d) ** 2
    hold(found, c @ c / d, scale=1)


@identity(72, td.energy_distance, float64=1e-12, float32=1e-6)
@given(drawn=st.data(), process=processes, rng=generators, n=st.integers(2, 30), d=st.integers(1, 3))
def test_kernel_distances_are_averages_over_pairs(hold, drawn, process, rng, n, d):
    r"""$2\,\mathbb E|X-Y| - \mathbb E|X-X'| - \mathbb E|Y-Y'| = 2\int (F-G)^2$, and MMD² is without bias

    The energy distance, F and G the distribution functions of two samples on a line, is the square of what SciPy calls
    by that name. MMD² leaves out the pairs of a point with itself, so that its mean over all samples of two laws is
    that of the laws, with $k(x,y) = e^{-\|x-y\|^2/2h^2}$:

    $$\mathbb E\,k(X,X') + \mathbb E\,k(Y,Y') - 2\,\mathbb E\,k(X,Y)$$

    The best denoiser of a finite data set averages with such a kernel too, that of the noise:
    $\hat x_0(x) = \sum_i y_i\,\mathrm{softmax}_i(-\|x-\alpha y_i\|^2/2\sigma^2)$.

    Source: Székely & Rizzo 2013 (energy statistics), §2; Gretton et al. 2012 (two-sample test), eq. 3.
    Catches: a root of the energy distance; pairs i = i, by which equal laws have MMD² > 0; h² or σ² for 2h² or 2σ².
    """
    # the energy distance on a line
    x, y = hold.cast(rng.standard_normal((n, 1)), 0.5 + 2 * rng.standard_normal((n + 3, 1)))
    hold(td.energy_distance(x, y), stats.energy_distance(x[:, 0], y[:, 0]) ** 2, scale=1)

    # MMD² of the laws on two points each: the mean of the statistic over all samples of two and of three
    (a, b), h = hold.cast(*rng.standard_normal((2, 2, d))), rng.uniform(0.5, 2)

    def k(x, y):
        return np.mean(np.exp(-cdist(x, y, "sqeuclidean") / (2 * h**2)))

    samples = itertools.product(itertools.product(a, repeat=2), itertools.product(b, repeat=3))
    found = np.mean([td.mmd(np.stack(x), np.stack(y), bandwidth=h) for x, y in samples])
    hold(float(found), k(a, a) + k(b, b) - 2 * k(a, b), scale=1)

    # the denoiser of a finite data set
    t = drawn.draw(times(process, 1))[0]
    now = process.at(t)
    y = hold.cast(rng.standard_normal((n, d)))
    x = now.perturb(y[:5], hold.cast(rng.standard_normal(y[:5].shape)))
    expected = softmax(-cdist(x, now.alpha * np.float64(y), "sqeuclidean") / (2 * now.sigma**2), axis=1) @ y
    hold(td.Oracle(y, process).x0(x, now), expected, scale=1 + np.max(x**2) / now.sigma**2)
