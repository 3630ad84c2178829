"""What is often said, and false: each test shows the failure with its number."""

import math
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad

import tinydiff as td
from identities.catalogue import refuted
from identities.tools import Louder
from tinydiff.sampling.predictor_corrector import langevin_step
from tinydiff.testing import assert_order

PROCESS = td.VP()
B = float(PROCESS.integral(1.0))
"""∫β dt = 10.05."""
ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
"""Of N(0, 1), 1.419 nats."""
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
"""Of N(0, 1): exact for polynomials of degree nine."""


def line(mean: float, variance: float) -> td.Oracle:
    """The exact denoiser of N(mean, variance)."""
    return td.Oracle(td.GaussianMixture([1.0], [[mean]], [[[variance]]]), PROCESS)


def nll_of_the_flow(kappa: float) -> float:
    """E −ln p(x) under the flow of ε̂ = (1 + κ) ε*, x ~ N(0, 1)."""
    return -WEIGHTS @ td.log_likelihood(Louder(line(0, 1), kappa), NODES[:, None], steps=25)


def minus_elbo(kappa: float) -> float:
    """E −ELBO of ε̂ = (1 + κ) ε* with the variance β, over x_0 and ε, in the limit of many steps, free of O(1/N)."""
    x0, eps = (a.ravel()[:, None] for a in np.meshgrid(NODES, NODES))
    weights = np.outer(WEIGHTS, WEIGHTS).ravel()

    def bound(steps: int) -> float:
        ts, noise = td.grids.even_log_snr(PROCESS, steps - 1), np.broadcast_to(eps, (steps, *eps.shape))
        return weights @ td.elbo(Louder(line(0, 1), kappa), x0, ts, noise=noise, variance="beta").nats

    return 2 * bound(400) - bound(200)


@refuted(claim="Langevin steps leave q_t as it is")
def test_langevin_widens_the_law():
    r"""$x + \delta\,\nabla\log q(x) + \sqrt{2\delta}\,z$ leaves q invariant

    It does in the limit δ → 0 alone. N(0, 1) settles at the variance $1/(1 - \delta/2)$: 1.026 at the corrector's usual
    step of δ = .05, and 4/3 at δ = .5. Only a Metropolis test, which needs the density, would mend it.

    Source: Roberts & Tweedie 1996 (Langevin algorithms).
    Catches: who corrects with large steps, or takes the corrector's end for a sample of q.
    """
    x, z = np.array([[0.0], [1.0], [0.0]]), np.array([[0.0], [0.0], [1.0]])
    now = PROCESS.at(1.0)
    eps_hat = line(0, 1)(x, now)
    for snr, settled in ((0.16, 1.0263), (0.5, 4 / 3)):
        _, a, b = langevin_step(x, eps_hat, now, z, snr)[:, 0]  # x ↦ a x + b z
        variance = 1.0
        for _ in range(300):
            variance = a**2 * variance + b**2
        assert_allclose(variance, settled, rtol=1e-4)


@refuted(claim="a round trip, there and back, measures the order of a solver")
def test_a_round_trip_flatters_solvers_of_even_order():
    r"""A flow that is run forward and back returns with an error of the solver's order

    Errors of even order cancel between the two ways: Euler, Heun and RK4, of orders 1, 2 and 4, return at the rates 1,
    3 and 5. A small round-trip error says even less of where the flow went in between.

    Source: Hairer, Lubich & Wanner 2006 (Geometric Numerical Integration), §II.3 and §V.1.
    Catches: who judges an encoder by decoding what it encoded.
    """
    x, start, stop = np.array([[1.0]]), 0.1, 0.9

    def width(t: float) -> float:
        """The standard deviation of q_t from N(0, ¼)."""
        return math.hypot(0.5 * PROCESS.alpha(t), PROCESS.sigma(t))

    def there(method: str, n: int) -> np.ndarray:
        ts = np.linspace(start, stop, n + 1)
        return td.last(td.probability_flow(line(0, 0.25), x, ts, method=method))[1]

    def and_back(method: str, n: int) -> np.ndarray:
        ts = np.linspace(stop, start, n + 1)
        return td.last(td.probability_flow(line(0, 0.25), there(method, n), ts, method=method))[1]

    for method, order, back in (("euler", 1, 1), ("heun", 2, 3), ("rk4", 4, 5)):
        assert_order(partial(there, method), x * width(stop) / width(start), order, steps=(20, 40))
        assert_order(partial(and_back, method), x, back, steps=(20, 40))


@refuted(claim="β bounds the variance of a reverse step, for all data")
def test_beta_does_not_bound_the_reverse_variance():
    r"""$\tilde\beta_t \le \mathrm{Var}[x_{t-1}|x_t] \le \beta_t$ for all data

    So it is for data of unit variance, of which N(0, I) attains β. For all data the bound is $\beta/(1-\beta)$: a step
    of β = .5 from N(0, 100) has the reverse variance 100 · .5/50.5 = .990, nearly twice β.

    Source: Ho et al. 2020 (DDPM), §3.2, where the data have unit variance; Bao et al. 2022 (Analytic-DPM).
    Catches: who clips a learned variance between β̃ and β on data that are not standardised.
    """
    beta, chain, x = 0.5, td.Discrete(np.array([0.5])), np.array([[0.3]])
    for variance, reverse in ((1.0, 0.5), (100.0, 0.990099)):
        data = td.GaussianMixture([1.0], [[0.0]], [[[variance]]])
        found = data.reverse_kernel(x, chain.at(1.0), chain.at(0.0)).moments()[1].item()
        assert_allclose(found, reverse, rtol=1e-6)
        assert found <= beta / (1 - beta)


@refuted(claim="entropy ≤ NLL(ODE) ≤ −ELBO")
def test_likelihood_and_bound_have_no_order():
    r"""$H \le \mathrm{NLL(ODE)} \le -\mathrm{ELBO}$

    A denoiser makes two models, and each pays at least the entropy H of the data; but the ELBO bounds the likelihood of
    the reverse chain, not of the flow. On N(0, 1) with $\hat\varepsilon = 1.1\,\varepsilon^*$ H is 1.419 nats, −ELBO
    1.469 and NLL(ODE) 1.782; with $\hat\varepsilon = 0$ the order is the other one, 6.443 and 5.944.

    Source: Song et al. 2021 (maximum likelihood training of score-based models).
    Catches: who reports the ELBO of one model as a bound on the likelihood of the other.
    """
    found = [ENTROPY, minus_elbo(0.1), nll_of_the_flow(0.1)]
    assert_allclose(found, [1.419, 1.469, 1.782], atol=1e-3)
    found = [ENTROPY, nll_of_the_flow(-1.0), minus_elbo(-1.0)]
    assert_allclose(found, [1.419, 5.944, 6.443], atol=0.01)


@refuted(claim="score matching bounds KL(data ‖ model) of the flow")
def test_the_bound_of_the_reverse_sde_is_none_of_the_flow():
    r"""$\mathrm{KL}(q_0\|p^{ODE}_0) \le \mathrm{KL}(q_T\|p_T) + \frac12\int g^2\,\mathbb E\|s - s_\theta\|^2\,dt$

    The bound holds for the law of the reverse SDE, whose noise forgets early errors; the flow carries them to the end.
    With $\hat\varepsilon = 1.1\,\varepsilon^*$ on N(0, 1) and $b = \int\beta$ the flow pays
    $\frac12(e^{\kappa b} - 1 - \kappa b)$ = .363 nats, κ = .1, where the bound says $\frac12\kappa^2 b$ = .050.

    Source: Song et al. 2021 (maximum likelihood training of score-based models), its bound on KL.
    Catches: who minimises the score-matching loss and reports the flow's likelihood as what was bounded.
    """
    kappa, x = 0.1, NODES[:, None]

    def rate(t: float) -> float:
        error = td.score(Louder(line(0, 1), kappa), x, t) - td.score(line(0, 1), x, t)
        return 0.5 * PROCESS.g2(t) * (WEIGHTS @ error[:, 0] ** 2)

    bound, paid = quad(rate, 1e-6, 1)[0], nll_of_the_flow(kappa) - ENTROPY  # and KL(q_T ‖ p_T) = 0
    assert_allclose([bound, paid], [0.050, 0.363], atol=1e-3)
    assert_allclose([bound, paid], [0.5 * kappa**2 * B, 0.5 * (math.exp(kappa * B) - 1 - kappa * B)], atol=1e-5)


@refuted(claim="the guided flow samples the tilted law q(x|y)^{1+w} q(x)^{−w}")
def test_guided_samples_do_not_follow_the_tilted_law():
    r"""Guidance by w samples $q_0(x|y)^{1+w}\,q_0(x)^{-w}$

    The guided score is that of the tilted law of each time, but these are not the diffusion of one law. From N(0, 1)
    towards N(1, .3) with w = 2 the tilted law has mean 1.25 and variance .125; the flow ends at 1.60 and .027, which is
    $.3^3$: narrower and farther out than the law that it is said to sample.

    Source: Bradley & Nakkiran 2024 (classifier-free guidance is a predictor-corrector); Du et al. 2023 (compositions).
    Catches: who reads w as an inverse temperature.
    """
    w, m, v = 2.0, 1.0, 0.3
    ends, z = [PROCESS.t_max, PROCESS.t_min], np.array([[0.0], [1.0]])
    tilted = 1 / ((1 + w) / v - w)
    assert_allclose([(1 + w) * m / v * tilted, tilted], [1.25, 0.125], rtol=1e-12)
    conditional, unconditional = line(m, v), line(0, 1)

    def grad_log_p(x: np.ndarray, t: float) -> np.ndarray:
        return conditional.marginal(t).score(x) - unconditional.marginal(t).score(x)

    for guided in (
        td.ClassifierFreeGuidance(conditional, unconditional, w),
        td.ClassifierGuidance(unconditional, grad_log_p, 1 + w),
    ):
        flow = td.probability_flow(guided, z, ends, method="rk45", rtol=1e-8, atol=1e-10)
        mean, moved = td.last(flow)[1][:, 0]
        assert_allclose([mean, (moved - mean) ** 2], [1.60, v ** (1 + w)], rtol=4e-3)


@refuted(claim="a sliced W₂ at the floor of true samples means that the samples are right")
@pytest.mark.parametrize(("toy", "least"), [("ring8", 0.3), ("grid25", 0.8), ("spiral60", 0.8)])
def test_sliced_w2_does_not_see_narrow_modes(toy, least):
    """Sliced W₂ between samples and truth, when no larger than between two true samples, says that they agree

    It sees how the modes are weighted, and little else. Modes shrunk to a tenth of their width stay below the largest
    of forty distances between true samples, n = 1000, in over half of the draws on ring8 and nearly all on grid25 and
    spiral60. The mean log-density, compared with the entropy, sees it at once: it is off by up to .99 nats.

    Source: Bonneel et al. 2015 (sliced Wasserstein), for the distance.
    Catches: who judges a sampler by one distance between samples.
    """
    data, rng, n, draws = td.toys.TOYS[toy](), np.random.default_rng(0), 1000, 40
    narrow = td.GaussianMixture(data.weights, data.means, 0.01 * data.covariances)

    def distances(law: td.GaussianMixture) -> np.ndarray:
        pairs = ((law.sample(rng, n), data.sample(rng, n)) for _ in range(draws))
        return np.array([td.sliced_w2(x, y, rng=rng, directions=16) for x, y in pairs])

    assert np.mean(distances(narrow) <= np.max(distances(data))) >= least
    assert np.mean(data.log_density(narrow.sample(rng, n))) + data.entropy()[0] > 0.4


@refuted(claim="a test of the variance catches noise that is multiplied twice")
def test_noise_multiplied_twice_has_the_right_variance():
    r"""Noise of the right mean and variance is normal: a test of both catches $\sigma z z'$

    The product of two normal draws has mean 0 and variance 1, but the kurtosis 9 and not 3, and its square is
    correlated with that of z. So a step with noise multiplied twice passes each test of moments up to the third. The
    fourth sees it, as does a step with the noise as its argument, which must be linear in it.

    Source: $\mathbb E[(zz')^{2k}] = (\mathbb E z^{2k})^2$, by independence.
    Catches: who tests a sampler by the variance of its samples alone.
    """
    z, other = np.meshgrid(NODES, NODES)
    weights, x, x0 = np.outer(WEIGHTS, WEIGHTS).ravel(), np.full((25, 1), 0.7), np.full((25, 1), -0.2)
    now, then = PROCESS.at(0.6), PROCESS.at(0.4)
    c_t, c_0, variance = td.posterior(now, then)
    for noise, kurtosis in ((z, 3), (z * other, 9)):
        step = td.ddpm_step(x, x0, now, then, noise.reshape(-1, 1)) - (c_t * x + c_0 * x0)
        moments = [weights @ step[:, 0] ** k / variance ** (k / 2) for k in (1, 2, 3, 4)]
        assert_allclose(moments, [0, 1, 0, kurtosis], atol=1e-12)
