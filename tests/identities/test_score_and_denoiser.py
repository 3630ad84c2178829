"""Score and denoiser: the gradient of the log-density, the mean of the data, and the least loss of any model."""

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import softmax

import tinydiff as td
from identities.bugs import edit, scaled, with_answer, with_argument, without
from identities.catalogue import identity
from identities.draws import generators, journeys, mixtures, processes
from identities.tools import complex_step, gauss_hermite, gradient, log_density, trapezoid
from tinydiff import predictions
from tinydiff.exact.points import Points
from tinydiff.learned import objective

LINE = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])
"""N(0, 1)."""

lines = mixtures(dims=(1, 1), components=3)
"""Mixtures in one dimension, for integrals."""

snrs = st.floats(-4.0, 3.5).map(math.exp)
"""Signal-to-noise ratios at which the posterior mean is smooth enough to be integrated to rounding."""


@st.composite
def smooth_levels(draw) -> tuple[td.Process, float]:
    """A process and one of its times, with one of the `snrs`."""
    process = draw(processes)
    t = min(float(process.time(math.log(draw(snrs)))), process.t_max)
    assume(process.log_snr(t) < 3.6)
    return process, t


def coefficients(process: td.Process, t: float) -> tuple[float, float]:
    """α and σ."""
    now = process.at(t)
    return now.alpha, now.sigma


def units(x: np.ndarray) -> np.ndarray:
    """The unit vectors, each as often as x (B, D) has rows, (D, B, D)."""
    return np.stack([np.broadcast_to(e, x.shape) for e in np.eye(x.shape[1], dtype=x.dtype)])


def jacobian(q: td.GaussianMixture, x: np.ndarray) -> np.ndarray:
    """∇s of each row of x (B, D), (B, D, D), column by column."""
    return np.stack([q.score_linearized(x)[1](e) for e in units(x)], axis=2)


def nodes(mixture: td.GaussianMixture, alpha: complex, sigma: complex) -> tuple[np.ndarray, np.ndarray]:
    """Points x (M, 1) and weights with Σ w f(x) = E f(α x_0 + σ ε) on a line; α and σ may be complex."""
    z, w = trapezoid(LINE, 800)
    x = alpha * mixture.means + (alpha**2 * mixture.covariances[:, :, 0] + sigma**2) ** 0.5 * z.T
    return x.reshape(-1, 1), np.outer(mixture.weights, w).ravel()


def joint_nodes(mixture: td.GaussianMixture, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x_0, ε (M, 1) and weights with Σ w f = E f, for an f that at a fixed x = α x_0 + σ ε is a polynomial of degree 5.

    The two normals behind x_0 and ε are turned into a and b, of which a alone moves x.
    """
    (a, w_a), (b, w_b) = trapezoid(LINE, 800), gauss_hermite(LINE, 3)
    std = np.sqrt(mixture.covariances)
    r = np.sqrt((alpha * std) ** 2 + sigma**2)
    cos, sin = alpha * std / r, sigma / r
    x0, eps = mixture.means[:, :, None] + std * (cos * a + sin * b.T), sin * a - cos * b.T  # (K, 800, 3)
    return x0.reshape(-1, 1), eps.reshape(-1, 1), np.einsum("k,i,j->kij", mixture.weights, w_a, w_b).ravel()


@identity(
    36,
    about=td.GaussianMixture.score,
    float64=1e-13,
    float32=2e-6,
    bugs=[
        edit(td.GaussianMixture.score_linearized, "xp.sum(r * s_k, axis=0)", "s_k[0]"),
        edit(td.GaussianMixture.score_linearized, "-(_ / __)", "_ / __"),
        edit(td.GaussianMixture.score_linearized, "spread - precision_u", "-precision_u"),
        edit(td.GaussianMixture.diffused, "alpha**2 * self.variances", "alpha * self.variances"),
    ],
)
@given(mixture=mixtures(), journey=journeys(1), rng=generators)
def test_score_is_the_gradient_of_the_log_density(hold, mixture, journey, rng):
    r"""$s = \nabla \log q_t$, and its Jacobian $\nabla s$, a matrix of second derivatives, is symmetric

    The score points to where the density rises. The law of $x_t$, here
    $q_t = \sum_k w_k N(\alpha m_k, \alpha^2 C_k + \sigma^2 I)$, is written out and differentiated by complex steps.

    Source: Hyvärinen 2005 (score matching); Song et al. 2021 (score SDE).
    Catches: the wrong sign; the score of one component for that of the mixture; a Jacobian without their spread.
    """
    alpha, sigma = coefficients(journey[0], *journey[1])
    q = mixture.diffused(alpha, sigma)
    x = hold.cast(q.sample(rng, 4))
    y = x.astype(float)
    size = np.max(np.abs(y)) / sigma**2
    hold(q.score(x), gradient(lambda y: log_density(mixture, y, alpha, sigma), y), scale=size)
    hold(jacobian(q, x), gradient(q.score, y), scale=size**2)
    hold(jacobian(q, x), jacobian(q, x).swapaxes(1, 2), scale=size**2)


@identity(
    37,
    float64=1e-13,
    float32=2e-6,
    bugs=[
        (td.GaussianMixture.x0_mean, with_argument("sigma", np.square)),
        edit(td.GaussianMixture.posterior, "prior.centres + _", "prior.centres - _"),
        edit(predictions.to_x0, "-sigma if _ else sigma**2", "-sigma if _ else -(sigma**2)"),
    ],
)
@given(mixture=mixtures(), journey=journeys(1, of=processes), rng=generators)
def test_denoising_is_a_step_along_the_score(hold, mixture, journey, rng):
    r"""$E[x_0|x] = (x + \sigma^2 s)/\alpha$, Tweedie's formula

    A step of length σ² up the log-density, and a rescaling, lead to the mean of all the data that x may have come from.

    Source: Efron 2011 (Tweedie's formula); Luo 2022 (a unified perspective).
    Catches: the wrong sign; σ for σ².
    """
    alpha, sigma = coefficients(journey[0], *journey[1])
    x = hold.cast(mixture.diffused(alpha, sigma).sample(rng, 4))
    y = x.astype(float)
    s = gradient(lambda y: log_density(mixture, y, alpha, sigma), y)
    tweedie, size = (y + sigma**2 * s) / alpha, np.max(np.abs(y)) / alpha
    hold(mixture.x0_mean(x, alpha, sigma), tweedie, scale=size)
    a, b = predictions.to_x0("score", journey[0].at(*journey[1]))
    hold(a * x + b * hold.cast(s), tweedie, scale=size)


@identity(
    38,
    float64=1e-13,
    float32=2e-6,
    bugs=[
        (td.GaussianMixture.x0_posterior, with_argument("sigma", np.square)),
        edit(td.GaussianMixture.moments, "within + between", "within"),
        edit(td.GaussianMixture.posterior, "prior.variances * sigma**2", "prior.variances * sigma"),
        edit(td.GaussianMixture.score_linearized, "spread - precision_u", "spread + precision_u"),
    ],
)
@given(mixture=mixtures(), journey=journeys(1, of=processes), rng=generators)
def test_the_slope_of_the_denoiser_is_its_uncertainty(hold, mixture, journey, rng):
    r"""$\frac{\alpha^2}{\sigma^2} \mathrm{Cov}[x_0|x] = I + \sigma^2\,\nabla s = \alpha\,\nabla E[x_0|x] \succeq 0$

    Where a small change of x changes the denoiser's answer, the data that x may have come from lie far apart.

    Source: Efron 2011 (Tweedie's formula).
    Catches: a covariance without the distance of the components; σ for σ².
    """
    alpha, sigma = coefficients(journey[0], *journey[1])
    q = mixture.diffused(alpha, sigma)
    x = hold.cast(q.sample(rng, 4))
    y = x.astype(float)
    covariance, size = mixture.x0_posterior(x, alpha, sigma)[1], (np.max(np.abs(y)) / alpha) ** 2
    hold(covariance, (sigma / alpha) ** 2 * (np.eye(q.dim) + sigma**2 * jacobian(q, y)), scale=size)
    hold(covariance, sigma**2 / alpha * gradient(lambda y: mixture.x0_mean(y, alpha, sigma), y), scale=size)
    assert np.linalg.eigvalsh(covariance).min() > -hold.tolerance * size


@identity(
    39,
    float64=1e-13,
    float32=2e-6,
    bugs=[
        edit(td.Oracle.__call__, "-now.sigma * _", "-_"),
        (td.score, with_answer(np.negative)),
        edit(predictions.target, "-eps / now.sigma", "-eps / now.sigma**2"),
        edit(Points.score, "self.sigma**2", "self.sigma"),
    ],
)
@given(data=mixtures(finite=True, components=6), journey=journeys(1), rng=generators)
def test_score_is_the_mean_score_of_the_kernels(hold, data, journey, rng):
    r"""$s(x) = E[-(x - \alpha x_0)/\sigma^2\,|\,x]$, so $E[\varepsilon|x] = -\sigma\,s(x)$

    Each $x_0$ draws x towards $\alpha x_0$ with the score of its own kernel $N(\alpha x_0, \sigma^2 I)$. Of finitely
    many $x_0^i$ the mean is a sum, with Bayes' weights $\propto w_i \exp(-\|x - \alpha x_0^i\|^2/2\sigma^2)$.

    Source: Vincent 2011 (denoising score matching); Song et al. 2021 (score SDE), eq. 7.
    Catches: a dropped σ; the wrong sign.
    """
    process, (t,) = journey
    alpha, sigma = coefficients(process, t)
    x = hold.cast(data.diffused(alpha, sigma).sample(rng, 4))
    eps = (x[:, None].astype(float) - alpha * data.means) / sigma  # (B, K, D)
    of_kernels = complex_step(lambda e: -0.5 * e**2, eps) / sigma  # ∂/∂x of −‖x − αx₀‖²/2σ²
    hold(predictions.target("score", 0.0, hold.cast(eps), process.at(t)), of_kernels)
    size = np.max(np.abs(x)) / sigma**2
    for law, weights in ((data, data.weights), (data.means, np.full_like(data.weights, 1 / len(data.weights)))):
        model = td.Oracle(law, process)
        bayes = softmax(np.log(weights) - 0.5 * np.sum(eps**2, axis=2), axis=1)
        mean = np.einsum("bk,bkd->bd", bayes, of_kernels)
        hold(model.marginal(t).score(x), mean, scale=size)
        hold(model(x, t), -sigma * mean, scale=sigma * size)
        hold(td.score(model, x, t), mean, scale=size)


@identity(
    40,
    float64=1e-13,
    float32=1e-6,
    bugs=[
        edit(td.Oracle.x0, "now.sigma", "now.sigma**2"),
        edit(td.GaussianMixture._mean, "self.log_weights", "0.5 * self.log_weights"),
        edit(td.GaussianMixture.posterior, "alpha * prior.variances", "prior.variances"),
    ],
)
@settings(max_examples=50)
@given(mixture=lines, level=smooth_levels())
def test_the_error_of_the_denoiser_is_orthogonal_to_functions_of_x(hold, mixture, level):
    r"""$E[(x_0 - D(x))\,\varphi(x)] = 0$ for every φ, if $D(x) = E[x_0|x]$

    Nothing that can be computed from x improves the guess: that makes D the conditional mean, and the minimiser of the
    squared error. Here φ is 1, x, x³ and tanh.

    Source: the projection theorem of conditional expectation.
    Catches: a D that is not the conditional mean.
    """
    process, t = level
    alpha, sigma = coefficients(process, t)
    x0, eps, w = hold.cast(*joint_nodes(mixture, alpha, sigma))
    x = alpha * x0 + sigma * eps
    error = x0 - td.Oracle(mixture, process).x0(x, t)
    z = x / math.hypot(alpha, sigma)
    for phi in (np.ones_like(z), z, z**3, np.tanh(z)):
        hold(w @ (error * phi), 0.0, scale=w @ np.abs(x0 * phi))


@identity(
    41,
    float64=1e-11,
    float32=1e-5,
    bugs=[
        (td.GaussianMixture.score, scaled(0.9)),
        edit(td.GaussianMixture.score_linearized, "-(_ / __)", "_ / __"),
        edit(
            td.GaussianMixture.score_linearized,
            "(s_k - s) * _((s_k - s) * u, axis=2, keepdims=True)",
            "s_k * _(s_k * u, axis=2, keepdims=True)",
        ),
    ],
)
@settings(max_examples=15)
@given(mixture=mixtures(dims=(1, 2), components=3), level=smooth_levels())
def test_the_score_has_mean_zero_and_information_for_variance(hold, mixture, level):
    r"""$E\,s = 0$, $E[s x^\top] = -I$ and $E[s s^\top] = -E\,\nabla s$, whatever the law

    Integration by parts, $\int q\,s\,\varphi^\top = \int (\nabla q)\,\varphi^\top = -\int q\,\nabla\varphi$, for
    φ = 1, x and s. The last is the Fisher information of a shift.

    Source: Stein 1981; Hyvärinen 2005 (score matching).
    Catches: the wrong sign or size; a Jacobian that forgets to subtract $s s^\top$.
    """
    alpha, sigma = coefficients(*level)
    q = mixture.diffused(alpha, max(alpha, sigma))  # noise enough for few nodes
    x, w = hold.cast(*trapezoid(q, 600 if q.dim == 1 else 110))
    s = q.score(x)
    information = np.max(w @ s**2)
    hold(w @ s, 0.0, scale=information**0.5)
    hold((w * s.T) @ x, -np.eye(q.dim), scale=1.0)
    hold((w * s.T) @ s, -np.tensordot(w, jacobian(q, x), 1), scale=information)


@identity(
    42,
    float64=1e-12,
    float32=1e-6,
    bugs=[
        edit(td.Oracle.floor, "_.sigma**2", "_.sigma"),
        (td.Oracle.floor, scaled(0)),
        (td.Oracle.__call__, scaled(0.9)),
    ],
)
@settings(max_examples=50)
@given(mixture=lines, level=smooth_levels())
def test_the_loss_has_a_floor(hold, mixture, level):
    r"""$\min_\theta E\|\varepsilon - \varepsilon_\theta\|^2 = d - \sigma^2 E\|s\|^2 = \mathrm{SNR} \cdot \mathrm{mmse}$

    The exact denoiser has a loss as well, since x does not tell which noise is in it. The error of its $\hat x_0$ is
    $\mathrm{mmse} = E\|x_0 - E[x_0|x]\|^2$.

    Source: Vincent 2011 (denoising score matching); Guo et al. 2005 (I-MMSE).
    Catches: "the loss should reach 0"; σ for σ².
    """
    process, t = level
    alpha, sigma = coefficients(process, t)
    model = td.Oracle(mixture, process)
    x0, eps, w = hold.cast(*joint_nodes(mixture, alpha, sigma))
    x = alpha * x0 + sigma * eps
    loss, mmse = w @ (eps - model(x, t)) ** 2, w @ (x0 - model.x0(x, t)) ** 2
    y, w_y = nodes(mixture, alpha, sigma)
    floor = 1 - sigma**2 * w_y @ gradient(lambda y: log_density(mixture, y, alpha, sigma), y) ** 2
    hold(loss, floor, scale=1.0)
    hold((alpha / sigma) ** 2 * mmse, floor, scale=1.0)
    hold(model.floor(t), floor, scale=1e-5 / hold.tolerance)  # its quadrature is right to 1e-5


@identity(
    43,
    float64=1e-12,
    float32=5e-6,
    bugs=[
        edit(objective.loss_and_grad, "y - _", "y + _"),
        edit(objective.loss_and_grad, "b**2", "b"),
        edit(td.NetworkDenoiser._answer, "_ + b * __", "_ - b * __"),
        edit(td.NetworkDenoiser.linearize_output, "input_scale(now) * _", "_"),
    ],
)
@settings(max_examples=40)
@given(mixture=lines, level=smooth_levels(), prediction=st.sampled_from(["eps", "x0", "v", "score"]), rng=generators)
def test_matching_the_noise_is_matching_the_score(hold, mixture, level, prediction, rng):
    r"""$E\|s_\theta + \varepsilon/\sigma\|^2 - d/\sigma^2 = E\|s_\theta - s\|^2 - E\|s\|^2$ for any $s_\theta$

    Matching the score of each kernel, which is training (the loss is σ² times the left side), has the same gradient as
    matching the score of the whole, which one does not know. Both are $E[\|s_\theta\|^2 + 2\nabla\cdot s_\theta]$,
    Hyvärinen's implicit loss, up to constants. Here $s_\theta$ is a random network.

    Source: Vincent 2011 (denoising score matching); Hyvärinen 2005 (score matching).
    Catches: a lost sign or σ in the loss of one of the predictions.
    """
    process, t = level
    alpha, sigma = coefficients(process, t)
    network = td.TimeMLP(1, 4, 1, prediction=prediction)
    theta = hold.cast(0.5 * rng.standard_normal(network.size))
    x0, eps, w = hold.cast(*joint_nodes(mixture, alpha, sigma))
    now = process.at(np.full(w.shape, t), like=x0)
    loss, _ = objective.loss_and_grad(network, theta, now, x0, eps, weight=lambda now: w.size * w)
    y, w_y = nodes(mixture, alpha, sigma)
    x, w_y, s = hold.cast(y, w_y, gradient(lambda y: log_density(mixture, y, alpha, sigma), y))
    model = td.NetworkDenoiser(network, theta, process)
    s_model, divergence = td.score(model, x, t), -model.linearize(x, t)[1](np.ones_like(x)) / sigma
    explicit, information = w_y @ (s_model - s) ** 2, w_y @ s**2
    hold(loss, sigma**2 * (explicit - information) + 1, scale=1 + sigma**2 * explicit)
    hold(w_y @ (s_model**2 + 2 * divergence) + information, explicit, scale=1 / sigma**2 + explicit)


@identity(
    44,
    float64=1e-12,
    float32="complex steps are judged in double precision",
    bugs=[
        (td.GaussianMixture.x0_mean, with_argument("alpha", np.square)),
        edit(td.GaussianMixture.diffused, "_ + sigma**2", "_ + sigma"),
        without(td.GaussianMixture._log_joint, "xp.log(self.variances)"),
    ],
)
@settings(max_examples=50)
@given(mixture=lines, snr=snrs)
def test_information_grows_by_half_the_error(hold, mixture, snr):
    r"""$dI/d\gamma = \frac12 \mathrm{mmse}$, and $dh/d\sigma^2 = \frac12 E\|s\|^2$ (de Bruijn)

    What $\sqrt\gamma\,x_0 + \varepsilon$ tells of $x_0$, I nats, grows with the signal-to-noise ratio γ by what the
    denoiser did not know. The entropy h of $x_0 + \sigma\varepsilon$ grows with the noise by the Fisher information.
    Both are integrals of the log-density, differentiated by complex steps.

    Source: Guo et al. 2005 (I-MMSE), Theorem 1; Stam 1959.
    Catches: a lost determinant; SNR for its root; σ for σ².
    """

    def entropy(alpha, sigma):
        x, w = nodes(mixture, alpha, sigma)
        return -w @ mixture.diffused(alpha, sigma).log_density(x)

    x0, eps, w = joint_nodes(mixture, snr**0.5, 1.0)
    mmse = w @ (x0 - mixture.x0_mean(snr**0.5 * x0 + eps, snr**0.5, 1.0)) ** 2
    information = complex_step(lambda snr: entropy(snr**0.5, 1.0), snr)  # the entropy of ε does not change
    hold(information, mmse / 2, scale=1 / snr)
    x, w = nodes(mixture, 1.0, snr**-0.5)
    fisher = w @ mixture.diffused(1.0, snr**-0.5).score(x) ** 2
    hold(complex_step(lambda variance: entropy(1.0, variance**0.5), 1 / snr), fisher / 2)


@identity(
    45,
    float64=3e-9,
    float32="mmse of 1/SNR is lost to rounding where the SNR is high",
    bugs=[
        (td.GaussianMixture.x0_mean, lambda right, self, x, alpha, sigma: x / alpha),
        edit(td.GaussianMixture.posterior, "alpha * prior.variances", "1.01 * alpha * prior.variances"),
        (td.GaussianMixture.log_density, lambda right, self, x: right(self, x) / self.dim),
    ],
)
@settings(max_examples=20)
@given(rough=mixtures(dims=(1, 2), components=2), rng=generators)
def test_denoising_at_all_levels_gives_the_density(hold, rough, rng):
    r"""$-2\log p(x) = d \log 2\pi e - \int_0^\infty (\frac{d}{1+\gamma} - \mathrm{mmse}(x, \gamma))\,d\gamma$

    How well one point is denoised, at all signal-to-noise ratios γ together, is its likelihood: here
    $\mathrm{mmse}(x, \gamma) = E\|x - \hat x_0(\sqrt\gamma\,x + \varepsilon)\|^2$ with the mean over ε alone, and
    d/(1 + γ) is what a normal law has for it on average. So the variational bound is a weighted loss of a denoiser.

    Source: Kong et al. 2023 (information-theoretic diffusion).
    Catches: a denoiser that ignores the data, or errs at one level of noise.
    """
    mixture = rough.diffused(0.5, 0.3)  # which has a smooth density
    x = mixture.sample(rng, 1)
    eps, w = trapezoid(td.GaussianMixture([1.0], np.zeros_like(x), [np.eye(x.size)]), 200 if x.size == 1 else 60)
    log_snr, h = np.linspace(-26, 26, 157, retstep=True)
    gap = []
    for snr in np.exp(log_snr):
        error = w @ np.sum((x - mixture.x0_mean(snr**0.5 * x + eps, snr**0.5, 1.0)) ** 2, axis=1)
        gap.append(x.size / (1 + snr) - error)
    likelihood = 0.5 * x.size * math.log(2 * math.pi * math.e) - 0.5 * h * np.sum(gap * np.exp(log_snr))
    hold(-mixture.log_density(x), likelihood, scale=1.0)


@identity(
    46,
    float64=1e-12,
    float32="complex steps are judged in double precision",
    bugs=[
        (td.GaussianMixture.x0_posterior, with_argument("alpha", np.square)),
        edit(td.GaussianMixture.moments, "within + between", "within + 2 * between"),
        edit(td.GaussianMixture.posterior, "prior.variances * sigma**2 / noisy.variances", "prior.variances"),
    ],
)
@settings(max_examples=50)
@given(mixture=lines, snr=snrs)
def test_the_error_falls_as_the_signal_grows(hold, mixture, snr):
    r"""$\mathrm{mmse}' = -E\,\mathrm{Var}[x_0|x]^2 \le 0$, and $\mathrm{mmse} \le c/(1 + c\gamma) \le 1/\gamma$

    For $x = \sqrt\gamma\,x_0 + \varepsilon$ and data of variance c on a line; the derivative is in γ. More signal never
    hurts. The first bound is the error of the best linear guess, an equality for Gaussian data, and the second that of
    $x/\sqrt\gamma$, which knows nothing of the data.

    Source: Guo et al. 2011 (properties of the MMSE).
    Catches: SNR for its root; a covariance of the wrong size.
    """

    def covariance(snr):
        x, w = nodes(mixture, snr**0.5, 1.0)
        return w, mixture.x0_posterior(x, snr**0.5, 1.0)[1][:, 0, 0]

    w, cov = covariance(snr)
    mean = mixture.weights @ mixture.means
    c = (mixture.weights @ (mixture.covariances[:, :, 0] + (mixture.means - mean) ** 2))[0]
    hold(complex_step(lambda snr: np.dot(*covariance(snr)), snr), -w @ cov**2, scale=1 / snr**2)
    linear = c / (1 + c * snr)
    assert w @ cov <= linear * (1 + hold.tolerance)
    if len(mixture.weights) == 1:
        hold(w @ cov, linear)


@identity(
    47,
    float64=1e-12,
    float32=2e-6,
    bugs=[
        (td.GaussianMixture.score, with_answer(lambda score: score[:, ::-1])),
        edit(td.GaussianMixture.score_linearized, "-(_ / __) @ q._axes_t", "-(_ / __)"),
        without(td.GaussianMixture._along_axes, "self.axes"),
        without(td.GaussianMixture.posterior, "noisy._axes_t"),
    ],
)
@given(mixture=mixtures(dims=(2, 3)), journey=journeys(1, of=processes), rng=generators)
def test_turning_the_data_turns_the_score(hold, mixture, journey, rng):
    r"""$s_{Rq}(Rx) = R\,s_q(x)$ for a rotation R of the data, and $E_{Rq}[x_0|Rx] = R\,E_q[x_0|x]$

    The noise is the same in all directions, so diffusion has no axes of its own.

    Source: a change of variables, as $N(0, I)$ is invariant under rotations.
    Catches: coordinates that are mixed up with a component's own axes; a rotation that is not undone.
    """
    alpha, sigma = coefficients(journey[0], *journey[1])
    r = np.linalg.qr(rng.standard_normal((mixture.dim, mixture.dim)))[0]
    turned = td.GaussianMixture(mixture.weights, mixture.means @ r.T, r @ mixture.covariances @ r.T)
    x = mixture.diffused(alpha, sigma).sample(rng, 4)
    size, rx = np.max(np.abs(x)), hold.cast(x @ r.T)
    score, x0 = mixture.diffused(alpha, sigma).score(x), mixture.x0_mean(x, alpha, sigma)
    hold(turned.diffused(alpha, sigma).score(rx), score @ r.T, scale=size / sigma**2)
    hold(turned.x0_mean(rx, alpha, sigma), x0 @ r.T, scale=size / alpha)
