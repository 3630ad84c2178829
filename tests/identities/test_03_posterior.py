"""The posterior: where x_s was, given x_t and x_0, or given x_t alone."""

import numpy as np
from hypothesis import assume, given, settings
from scipy.special import softmax

import tinydiff as td
from identities.catalogue import identity
from identities.draws import every_chain, generators, journeys, lines, mixtures, preserving, shapes, steps
from identities.tools import NORMAL, columns, exact_score, fine_nodes, kernel, log_density, log_normal

POINT = td.GaussianMixture([1.0], [[0.3]], [[[0.0]]])
WIDE = td.GaussianMixture([1.0], [[0.0]], [[[25.0]]])


def reverse_variance(data, now, then):
    """E Var[x_s | x_t] on a line."""
    x, w = fine_nodes(data, now.alpha, now.sigma)
    return w @ data.reverse_kernel(x, now, then).moments()[1][:, 0, 0]


@identity(14, td.posterior, float64=1e-12, float32="small variances magnify what single precision rounds")
@given(step=steps(), rng=generators)
def test_posterior_is_bayes_rule(hold, step, rng):
    r"""$\log q(x_s | x_t, x_0) = \log q(x_t | x_s) + \log q(x_s | x_0) - \log q(x_t | x_0)$, at any three points

    Given $x_0$, the way back is a Gaussian again. Its mean and variance are the target of every reverse step.

    Source: Ho et al. 2020 (DDPM), eqs. 6–7.
    Catches: any wrong coefficient.
    """
    now, then = step
    a, v = kernel(now.process, now.t, then.t)
    x0, z, w = rng.standard_normal((3, 4, 2))
    x_s = then.alpha * x0 + then.sigma * z
    x_t = a * x_s + np.sqrt(v) * w
    bayes = log_normal(x_t, a * x_s, v) + log_normal(x_s, then.alpha * x0, then.sigma**2)
    evidence = log_normal(x_t, now.alpha * x0, now.sigma**2)
    c_t, c_0, var = td.posterior(now, then)
    hold(log_normal(x_s, c_t * x_t + c_0 * x0, var), bayes - evidence, scale=10)


@identity(15, td.posterior, float64=1e-13, float32=3e-6)
@given(journey=journeys(2), shape=shapes, rng=generators)
def test_posterior_adds_precisions(hold, journey, shape, rng):
    r"""$1/\tilde\beta_t = (1 - \beta_t)/\beta_t + 1/(1 - \bar\alpha_{t-1})$

    Two measurements of $x_{t-1}$, one from $x_t$ and one from $x_0$: their precisions add up, and the mean is theirs,
    weighted by precision. For any s < t the two are $\alpha^2_{t|s}/\sigma^2_{t|s}$ and $1/\sigma_s^2$.

    Source: Ho et al. 2020 (DDPM), eq. 7.
    Catches: variances added in place of precisions; a flipped ratio; standard deviations for variances.
    """
    process, (s, t) = journey
    x, x0 = hold.cast(rng.standard_normal((2, *shape)))
    a, v = kernel(process, t, s)
    alpha, sigma2 = process.alpha(s), process.sigma(s) ** 2
    precision = a**2 / v + 1 / sigma2
    c_t, c_0, var = td.posterior(*columns(process, t, s, like=x))
    hold(var, 1 / precision, scale=sigma2)
    hold(c_t * x + c_0 * x0, (a / v * x.astype(float) + alpha / sigma2 * x0) / precision, scale=1)


@identity(16, td.posterior, float64=1e-10, float32="it compares small differences of what single precision rounds")
@given(chain=every_chain, journey=journeys(1), shape=shapes, rng=generators)
def test_posterior_variance_rises_from_zero_to_beta(hold, chain, journey, shape, rng):
    r"""$\tilde\beta_1 = 0$, and $1 - \bar\alpha_{t-1} \le \tilde\beta_t / \beta_t < 1$, so that the ratio tends to 1

    The last step, to data, is certain: it lands on $x_0$. Far from data $x_0$ says little, and β̃ tends to β, by
    $1 - \tilde\beta_t / \beta_t = \bar\alpha_{t-1} \beta_t / (1 - \bar\alpha_t)$.

    Source: Ho et al. 2020 (DDPM), eq. 7 and §3.2.
    Catches: a flipped ratio; β in place of β̃, which puts noise on the last step.
    """
    n = np.arange(1, chain.T + 1)
    _, _, beta_tilde = td.posterior(chain.at(n / chain.T), chain.at((n - 1) / chain.T))
    alpha_bar = np.cumprod(1 - np.append(0, chain.betas))
    ratio = beta_tilde / chain.betas
    assert ratio[0] == 0
    assert np.all((1 - alpha_bar[:-1] - hold.tolerance <= ratio) & (ratio <= 1 + hold.tolerance))
    hold(1 - ratio, alpha_bar[:-1] * chain.betas / (1 - alpha_bar[1:]), scale=1)

    process, (t,) = journey
    x, x0 = hold.cast(rng.standard_normal((2, *shape)))
    c_t, c_0, var = td.posterior(*columns(process, t, 0.0, like=x))
    hold(c_t * x + c_0 * x0, x0)
    assert np.all(var == 0)


@identity(17, td.posterior, float64=1e-13, float32=1e-6)
@given(journey=journeys(2, zero=True))
def test_posterior_agrees_with_the_marginal(hold, journey):
    r"""$c_0 + c_t \alpha_t = \alpha_{t-1}$ and $\tilde\beta + c_t^2 \sigma_t^2 = \sigma_{t-1}^2$

    The posterior is $N(c_t x_t + c_0 x_0, \tilde\beta I)$. Averaged over $q(x_t | x_0)$ it gives $q(x_{t-1} | x_0)$, by
    the laws of total expectation and total variance; here $\alpha^2 = \bar\alpha$. In the same way for any s < t.

    Source: Ho et al. 2020 (DDPM), eqs. 4 and 7.
    Catches: β for β̃, and any coefficient that loses signal or noise.
    """
    process, (s, t) = journey
    now, then = columns(process, t, s, like=hold.cast([[0]]))
    c_t, c_0, var = td.posterior(now, then)
    hold(c_0 + c_t * now.alpha, process.alpha(s))
    hold(var + c_t**2 * now.sigma**2, process.sigma(s) ** 2)


@identity(18, td.posterior, float64=1e-13, float32=2e-6)
@given(journey=journeys(2, of=every_chain, zero=True))
def test_strided_posterior_is_a_regression_on_many_steps(hold, journey):
    r"""$c_t = \alpha_{t|s} \sigma_s^2/\sigma_t^2$ and $\tilde\beta = \sigma^2_{t|s} \sigma_s^2/\sigma_t^2$ if s < t

    A sampler that skips steps asks for $x_s$ given $x_0$ and an $x_t$ many steps later; the coefficient of $x_0$ is
    $c_0 = \alpha_s \sigma^2_{t|s}/\sigma_t^2$. Here both are sums of the same independent noises, step by step, and
    $x_s$ is regressed on $x_t$: $c_t$ is the slope, and the variance is what is left over.

    Source: Kingma et al. 2021 (VDM), App. A.
    Catches: the β of one step in a strided sampler.
    """
    chain, (s, t) = journey
    x = {0: np.eye(chain.T + 1)[0]}  # each x_n by its coefficients of x_0, ε_1, ε_2, …
    for n, beta in enumerate(chain.betas, start=1):
        x[n] = np.sqrt(1 - beta) * x[n - 1]
        x[n][n] = np.sqrt(beta)
    (signal_s, *noise_s), (signal_t, *noise_t) = x[round(s * chain.T)], x[round(t * chain.T)]
    slope = np.dot(noise_s, noise_t) / np.dot(noise_t, noise_t)
    left_over = np.subtract(noise_s, slope * np.array(noise_t))

    c_t, c_0, var = td.posterior(*columns(chain, t, s, like=hold.cast([[0]])))
    hold(c_t, slope)
    hold(c_0, signal_s - slope * signal_t, scale=signal_s)
    hold(var, np.sum(left_over**2), scale=np.sum(np.square(noise_s)))


@identity(19, td.GaussianMixture.reverse_kernel, float64=1e-11, float32="quadrature is judged in double precision")
@settings(max_examples=25)
@given(step=steps(zero=True), data=lines)
def test_reverse_variance_is_known_from_the_score(hold, step, data):
    r"""$E\,\mathrm{Var}[x_{t-1}|x_t]/d = (\beta - \beta^2 E\|\nabla \ln q_t\|^2/d)/(1 - \beta)$

    The best variance of a reverse step needs one number: the mean square of the score or, as it is also
    $\tilde\beta + c_0^2\, \mathrm{mmse}/d$, the perfect denoiser's error $\mathrm{mmse} = E\|x_0 - E[x_0|x_t]\|^2$.
    For any s < t put $\alpha_{t|s}^2$ for 1 − β and $\sigma_{t|s}^2$ for β. The score comes from complex steps here.

    Source: Bao et al. 2022 (Analytic-DPM), Theorem 1.
    Catches: a reverse variance without the spread of $x_0$; standard deviations for variances.
    """
    now, then = step
    assume(now.alpha > 0 and now.sigma > 0.01)  # 1/α², and few nodes
    (a, v), (_, c_0, beta_tilde) = td.transition(now, then), td.posterior(now, then)
    variance, (x, w) = reverse_variance(data, now, then), fine_nodes(data, now.alpha, now.sigma)
    score = exact_score(data, x, now.alpha, now.sigma)[:, 0]
    hold(variance, v / a**2 - (v / a) ** 2 * (w @ score**2), scale=v / a**2)
    mmse = w @ data.x0_posterior(x, now.alpha, now.sigma)[1][:, 0, 0]
    hold(variance, beta_tilde + c_0**2 * mmse, scale=v)


@identity(20, td.ddpm_step, float64=1e-11, float32="quadrature is judged in double precision")
@settings(max_examples=25)
@given(step=steps(preserving), data=lines)
def test_reverse_variance_lies_between_beta_tilde_and_beta(hold, step, data):
    r"""$\tilde\beta \le E\,\mathrm{Var}[x_{t-1}|x_t]/d \le \beta$ for data of unit variance

    DDPM's two choices of variance are the extremes: β̃ is right for a single point, β for $N(0, I)$. For all data the
    bound is $\beta/(1-\beta)$; $N(0, 25)$ exceeds β.

    Source: Sohl-Dickstein et al. 2015; Ho et al. 2020 (DDPM), §3.2.
    Catches: the two swapped; "β bounds the reverse variance of all data".
    """
    now, then = step
    assume(now.sigma > 0.01)  # few nodes
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    beta_tilde, beta = (
        td.ddpm_step(zero, zero, now, then, one, choice)[0, 0] ** 2 for choice in ("beta_tilde", "beta")
    )
    mean, covariance = data.moments()
    if covariance > 0:
        means, covariances = (data.means - mean) / covariance[0] ** 0.5, data.covariances / covariance
        unit = reverse_variance(td.GaussianMixture(data.weights, means, covariances), now, then)
        hold(unit, np.clip(unit, beta_tilde, beta))
    hold(reverse_variance(POINT, now, then), beta_tilde)
    hold(reverse_variance(NORMAL, now, then), beta)

    a, v = td.transition(now, then)
    for law in (data, WIDE):
        at_most = a**2 * reverse_variance(law, now, then)
        hold(at_most, min(at_most, v), scale=v)
    assert reverse_variance(WIDE, now, then) > beta or now.alpha < 0.01


@identity(21, td.GaussianMixture.reverse_kernel, float64=1e-11, float32=1e-4)
@given(step=steps(), data=mixtures(), points=mixtures(finite=True), rng=generators)
def test_reverse_kernel_of_a_mixture_is_bayes_rule(hold, step, data, points, rng):
    r"""$q(x_s|x_t) = q(x_t|x_s)\, q_s(x_s) / q_t(x_t)$, for a mixture a mixture again

    Its mean is $c_t x_t + c_0 E[x_0|x_t]$, its covariance $\tilde\beta I + c_0^2\, \mathrm{Cov}[x_0|x_t]$. It is nearly
    Gaussian over small steps alone. Averaged over $q_t$ it gives $q_s$, however long the step. The moments are
    those of finitely many points here, where $q(x_0|x_t)$ is a softmax.

    Source: Ho et al. 2020 (DDPM), eqs. 6–7, with $x_0$ averaged out.
    Catches: weights of components that forget $x_t$; any wrong coefficient.
    """
    now, then = step
    a, v = kernel(now.process, now.t, then.t)

    def log_q(x, level):
        return log_density(data, x, level.alpha, level.sigma)

    x_s = then.perturb(data.sample(rng, 4), rng.standard_normal((4, data.dim)))
    x_t = a * x_s + np.sqrt(v) * rng.standard_normal(x_s.shape)
    x_s, x_t = hold.cast(x_s, x_t)
    bayes = log_normal(x_t, a * x_s, v) + log_q(x_s, then) - log_q(x_t, now)
    hold(data.reverse_kernel(x_t, now, then).log_density(x_s), bayes, scale=10)

    if data.dim == 1:  # ∫ q(x_s | x_t) q_t(x_t) dx_t = q_s(x_s), where the integrand is as wide as q(x_t | x_s)
        x = a * x_s[0].astype(float) + np.sqrt(v) * np.linspace(-9, 9, 61)[:, None]
        log_kernel = data.reverse_kernel(hold.cast(x), now, then).log_density(x_s[:1].repeat(61, axis=0))
        hold(float(np.trapezoid(np.exp(log_kernel + log_q(x, now)), x[:, 0])), np.exp(log_q(x_s[:1], then)))

    x = hold.cast(now.perturb(points.sample(rng, 1), rng.standard_normal((1, points.dim))))
    bayes = softmax(np.log(points.weights) + log_normal(x, now.alpha * points.means, now.sigma**2))
    x0_mean = bayes @ points.means
    apart = points.means - x0_mean
    for earlier in (now.process.at(0.0), then):
        c_t, c_0, beta_tilde = td.posterior(now, earlier)
        mean, covariance = points.reverse_kernel(x, now, earlier).moments()
        hold(mean[0], c_t * x[0] + c_0 * x0_mean, scale=1)
        hold(covariance[0], beta_tilde * np.eye(points.dim) + c_0**2 * (bayes * apart.T) @ apart, scale=1)
