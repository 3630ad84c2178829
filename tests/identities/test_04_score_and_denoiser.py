"""Score and denoiser: the gradient of the log-density, the mean of the data, and the least loss of any model."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

import tinydiff as td
from identities.catalogue import identity
from identities.draws import generators, lines, mixtures, processes, scenes, smooth_scenes, snrs
from identities.tools import (
    complex_step,
    exact_score,
    gradient,
    jacobian,
    joint_nodes,
    log_normal,
    marginal_nodes,
    over_all_snrs,
    trapezoid,
)
from tinydiff import predictions
from tinydiff.learned import objective


@identity(36, td.GaussianMixture.score, float64=1e-13, float32=2e-6)
@given(scene=scenes())
def test_score_is_the_gradient_of_the_log_density(hold, scene):
    r"""$s = \nabla \log q_t$, and its Jacobian $\nabla s$, a matrix of second derivatives, is symmetric

    The score points to where the density rises. The law of $x_t$, here
    $q_t = \sum_k w_k N(\alpha m_k, \alpha^2 C_k + \sigma^2 I)$, is written out and differentiated by complex steps.

    Source: Hyvärinen 2005 (score matching); Song et al. 2021 (score SDE).
    Catches: the wrong sign; the score of one component for that of the mixture; a Jacobian without their spread.
    """
    mixture, now, x = scene
    size, x = np.max(np.abs(x)) / now.sigma**2, hold.cast(x)
    q = mixture.diffused(now.alpha, now.sigma)
    hold(q.score(x), exact_score(mixture, x, now.alpha, now.sigma), scale=size)
    hold(jacobian(q, x), gradient(q.score, x), scale=size**2)
    hold(jacobian(q, x), jacobian(q, x).swapaxes(1, 2), scale=size**2)


@identity(37, td.GaussianMixture.x0_mean, float64=1e-13, float32=2e-6)
@given(scene=scenes(of=processes))
def test_denoising_is_a_step_along_the_score(hold, scene):
    r"""$E[x_0|x] = (x + \sigma^2 s)/\alpha$, Tweedie's formula

    A step of length σ² up the log-density, and a rescaling, lead to the mean of all the data that x may have come from.

    Source: Efron 2011 (Tweedie's formula); Luo 2022 (a unified perspective).
    Catches: the wrong sign; σ for σ².
    """
    mixture, now, x = scene
    size, x = np.max(np.abs(x)) / now.alpha, hold.cast(x)
    score = exact_score(mixture, x, now.alpha, now.sigma)
    tweedie = (x + now.sigma**2 * score) / now.alpha
    hold(mixture.x0_mean(x, now.alpha, now.sigma), tweedie, scale=size)
    a, b = predictions.to_x0("score", now)
    hold(a * x + b * hold.cast(score), tweedie, scale=size)


@identity(38, td.GaussianMixture.x0_posterior, float64=1e-13, float32=2e-6)
@given(scene=scenes(of=processes))
def test_the_slope_of_the_denoiser_is_its_uncertainty(hold, scene):
    r"""$\frac{\alpha^2}{\sigma^2} \mathrm{Cov}[x_0|x] = I + \sigma^2\,\nabla s = \alpha\,\nabla E[x_0|x] \succeq 0$

    Where a small change of x changes the denoiser's answer, the data that x may have come from lie far apart.

    Source: Efron 2011 (Tweedie's formula).
    Catches: a covariance without the distance of the components; σ for σ².
    """
    mixture, now, x = scene
    size, x = (np.max(np.abs(x)) / now.alpha) ** 2, hold.cast(x)
    q, ratio = mixture.diffused(now.alpha, now.sigma), now.sigma**2 / now.alpha**2
    covariance = mixture.x0_posterior(x, now.alpha, now.sigma)[1]
    slope = gradient(lambda x: mixture.x0_mean(x, now.alpha, now.sigma), x)
    hold(covariance, ratio * (np.eye(q.dim) + now.sigma**2 * jacobian(q, x.astype(float))), scale=size)
    hold(covariance, ratio * now.alpha * slope, scale=size)
    assert np.linalg.eigvalsh(covariance).min() > -hold.tolerance * size


@identity(39, td.Oracle.__call__, float64=1e-13, float32=2e-6)
@given(scene=scenes(mixtures(finite=True, components=6)))
def test_score_is_the_mean_score_of_the_kernels(hold, scene):
    r"""$s(x) = E[-(x - \alpha x_0)/\sigma^2\,|\,x]$, so $E[\varepsilon|x] = -\sigma\,s(x)$

    Each $x_0$ draws x towards $\alpha x_0$ with the score of its own kernel $N(\alpha x_0, \sigma^2 I)$. Of finitely
    many $x_0^i$ the mean is a sum, with Bayes' weights $\propto w_i \exp(-\|x - \alpha x_0^i\|^2/2\sigma^2)$.

    Source: Vincent 2011 (denoising score matching); Song et al. 2021 (score SDE), eq. 7.
    Catches: a dropped σ; the wrong sign.
    """
    data, now, x = scene
    size, x = np.max(np.abs(x)) / now.sigma**2, hold.cast(x)
    x0 = data.means
    eps = (x[:, None].astype(float) - now.alpha * x0) / now.sigma  # (B, K, D)
    of_kernels = complex_step(lambda e: -0.5 * e**2, eps) / now.sigma  # ∂/∂x of −‖x − αx₀‖²/2σ²
    hold(predictions.target("score", 0.0, hold.cast(eps), now), of_kernels)
    for law, weights in ((data, data.weights), (x0, np.full(len(x0), 1 / len(x0)))):
        bayes = softmax(np.log(weights) + log_normal(x[:, None], now.alpha * x0, now.sigma**2), axis=1)
        mean = np.einsum("bk,bkd->bd", bayes, of_kernels)
        model = td.Oracle(law, now.process)
        hold(model.marginal(now).score(x), mean, scale=size)
        hold(model(x, now), -now.sigma * mean, scale=now.sigma * size)
        hold(td.score(model, x, now), mean, scale=size)


@identity(40, td.Oracle.x0, float64=1e-13, float32=1e-6)
@settings(max_examples=25)
@given(scene=smooth_scenes())
def test_the_error_of_the_denoiser_is_orthogonal_to_functions_of_x(hold, scene):
    r"""$E[(x_0 - D(x))\,\varphi(x)] = 0$ for every φ, if $D(x) = E[x_0|x]$

    Nothing that can be computed from x improves the guess: that makes D the conditional mean, and the minimiser of the
    squared error. Here φ is 1, x, x³ and tanh.

    Source: the projection theorem of conditional expectation.
    Catches: a D that is not the conditional mean.
    """
    mixture, now = scene
    x0, eps, w = hold.cast(*joint_nodes(mixture, now.alpha, now.sigma))
    x = now.alpha * x0 + now.sigma * eps
    error = x0 - td.Oracle(mixture, now.process).x0(x, now)
    z = x / math.hypot(now.alpha, now.sigma)
    for phi in (np.ones_like(z), z, z**3, np.tanh(z)):
        hold(w @ (error * phi), 0.0, scale=w @ np.abs(x0 * phi))


@identity(41, td.GaussianMixture.score, float64=1e-11, float32=4e-5)
@settings(max_examples=15)
@given(scene=smooth_scenes(mixtures(dims=(1, 2), components=3)))
def test_the_score_has_mean_zero_and_information_for_variance(hold, scene):
    r"""$E\,s = 0$, $E[s x^\top] = -I$ and $E[s s^\top] = -E\,\nabla s$, whatever the law

    Integration by parts, $\int q\,s\,\varphi^\top = \int (\nabla q)\,\varphi^\top = -\int q\,\nabla\varphi$, for
    φ = 1, x and s. The last is the Fisher information of a shift.

    Source: Stein 1981; Hyvärinen 2005 (score matching).
    Catches: the wrong sign or size; a Jacobian that forgets to subtract $s s^\top$.
    """
    mixture, now = scene
    q = mixture.diffused(now.alpha, max(now.alpha, now.sigma))  # noise enough for few nodes
    x, w = hold.cast(*trapezoid(q, 600 if q.dim == 1 else 110))
    s = q.score(x)
    information = np.max(w @ s**2)
    hold(w @ s, 0.0, scale=information**0.5)
    hold((w * s.T) @ x, -np.eye(q.dim), scale=1.0)
    hold((w * s.T) @ s, -np.tensordot(w, jacobian(q, x), 1), scale=information)


@identity(42, td.Oracle.floor, float64=1e-12, float32=1e-6)
@settings(max_examples=25)
@given(scene=smooth_scenes())
def test_the_loss_has_a_floor(hold, scene):
    r"""$\min_\theta E\|\varepsilon - \varepsilon_\theta\|^2 = d - \sigma^2 E\|s\|^2 = \mathrm{SNR} \cdot \mathrm{mmse}$

    The exact denoiser has a loss as well, since x does not tell which noise is in it. The error of its $\hat x_0$ is
    $\mathrm{mmse} = E\|x_0 - E[x_0|x]\|^2$.

    Source: Vincent 2011 (denoising score matching); Guo et al. 2005 (I-MMSE).
    Catches: "the loss should reach 0"; σ for σ².
    """
    mixture, now = scene
    model = td.Oracle(mixture, now.process)
    x0, eps, w = hold.cast(*joint_nodes(mixture, now.alpha, now.sigma))
    x = now.alpha * x0 + now.sigma * eps
    loss, mmse = w @ (eps - model(x, now)) ** 2, w @ (x0 - model.x0(x, now)) ** 2
    y, w_y = marginal_nodes(mixture, now.alpha, now.sigma)
    floor = 1 - now.sigma**2 * w_y @ exact_score(mixture, y, now.alpha, now.sigma) ** 2
    hold(loss, floor, scale=1.0)
    hold((now.alpha / now.sigma) ** 2 * mmse, floor, scale=1.0)
    hold(model.floor(now.t), floor, scale=1e-5 / hold.tolerance)  # its quadrature is right to 1e-5


@identity(43, objective.loss_and_grad, float64=1e-12, float32=5e-6)
@settings(max_examples=25)
@given(scene=smooth_scenes(), prediction=st.sampled_from(["eps", "x0", "v", "score"]), rng=generators)
def test_matching_the_noise_is_matching_the_score(hold, scene, prediction, rng):
    r"""$E\|s_\theta + \varepsilon/\sigma\|^2 - d/\sigma^2 = E\|s_\theta - s\|^2 - E\|s\|^2$ for any $s_\theta$

    Matching the score of each kernel, which is training (the loss is σ² times the left side), has the same gradient as
    matching the score of the whole, which one does not know. Both are $E[\|s_\theta\|^2 + 2\nabla\cdot s_\theta]$,
    Hyvärinen's implicit loss, up to constants, and that is $E[(u^\top s_\theta)^2 + 2 u^\top(\nabla s_\theta)u]$, its
    sliced form, where $E[u u^\top] = I$. Here $s_\theta$ is a random network.

    Source: Vincent 2011 (denoising score matching); Hyvärinen 2005 (score matching); Song et al. 2019 (sliced).
    Catches: a lost sign or σ in the loss of one of the predictions; a lost half in one of the forms.
    """
    mixture, now = scene
    network = td.TimeMLP(1, 4, 1, prediction=prediction)
    theta = hold.cast(0.5 * rng.standard_normal(network.size))
    x0, eps, w_joint = hold.cast(*joint_nodes(mixture, now.alpha, now.sigma))
    rows = now.process.at(np.full(w_joint.shape, now.t), like=x0)
    loss, _ = objective.loss_and_grad(network, theta, rows, x0, eps, weight=lambda rows: w_joint.size * w_joint)

    x, w = marginal_nodes(mixture, now.alpha, now.sigma)
    x, w, s = hold.cast(x, w, exact_score(mixture, x, now.alpha, now.sigma))
    model, form = td.NetworkDenoiser(network, theta, now.process), td.score_matching
    s_model, information = td.score(model, x, now), w @ s**2
    explicit, size = w @ (s_model - s) ** 2, w @ s_model**2 + 1 / now.sigma**2
    hold(loss, now.sigma**2 * (explicit - information) + 1, scale=1 + now.sigma**2 * explicit)
    hold(2 * w @ form.explicit(model, td.Oracle(mixture, now.process), x, now), explicit, scale=size)
    hold(2 * w_joint @ form.denoising(model, x0, now, noise=eps), loss / now.sigma**2, scale=size)
    for value in (
        form.implicit(model, x, now),
        form.sliced(model, x, now, rng),
        form.sliced(model, x, now, rng, reduced=False),
    ):  # on a line a sign sees the whole
        hold(2 * w @ value + information, explicit, scale=size)


@identity(44, td.GaussianMixture.x0_mean, float64=1e-12, float32="complex steps are judged in double precision")
@settings(max_examples=25)
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
        x, w = marginal_nodes(mixture, alpha, sigma)
        return -w @ mixture.diffused(alpha, sigma).log_density(x)

    x0, eps, w = joint_nodes(mixture, snr**0.5, 1.0)
    mmse = w @ (x0 - mixture.x0_mean(snr**0.5 * x0 + eps, snr**0.5, 1.0)) ** 2
    information = complex_step(lambda snr: entropy(snr**0.5, 1.0), snr)  # the entropy of ε does not change
    hold(information, mmse / 2, scale=1 / snr)
    x, w = marginal_nodes(mixture, 1.0, snr**-0.5)
    fisher = w @ mixture.diffused(1.0, snr**-0.5).score(x) ** 2
    hold(complex_step(lambda variance: entropy(1.0, variance**0.5), 1 / snr), fisher / 2)


@identity(
    45, td.GaussianMixture.x0_mean, float64=3e-9, float32="mmse of 1/SNR is lost to rounding where the SNR is high"
)
@settings(max_examples=8)
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
    x, d = mixture.sample(rng, 1), mixture.dim
    eps, w = trapezoid(td.GaussianMixture([1.0], np.zeros((1, d)), [np.eye(d)]), 200 if d == 1 else 60)

    def gap(snr):
        mmse = w @ np.sum((x - mixture.x0_mean(snr**0.5 * x + eps, snr**0.5, 1.0)) ** 2, axis=1)
        return d / (1 + snr) - mmse

    hold(-2 * mixture.log_density(x), d * math.log(2 * math.pi * math.e) - over_all_snrs(gap), scale=1.0)


@identity(46, td.GaussianMixture.x0_posterior, float64=1e-12, float32="complex steps are judged in double precision")
@settings(max_examples=25)
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
        x, w = marginal_nodes(mixture, snr**0.5, 1.0)
        return w, mixture.x0_posterior(x, snr**0.5, 1.0)[1][:, 0, 0]

    w, cov = covariance(snr)
    mean = mixture.weights @ mixture.means
    c = (mixture.weights @ (mixture.covariances[:, :, 0] + (mixture.means - mean) ** 2))[0]
    hold(complex_step(lambda snr: np.dot(*covariance(snr)), snr), -w @ cov**2, scale=1 / snr**2)
    linear = c / (1 + c * snr)
    assert w @ cov <= linear * (1 + hold.tolerance)
    if len(mixture.weights) == 1:
        hold(w @ cov, linear)


@identity(47, td.GaussianMixture.score, float64=1e-12, float32=2e-6)
@given(scene=scenes(mixtures(dims=(2, 3)), processes), rng=generators)
def test_turning_the_data_turns_the_score(hold, scene, rng):
    r"""$s_{Rq}(Rx) = R\,s_q(x)$ for a rotation R of the data, and $E_{Rq}[x_0|Rx] = R\,E_q[x_0|x]$

    The noise is the same in all directions, so diffusion has no axes of its own.

    Source: a change of variables, as $N(0, I)$ is invariant under rotations.
    Catches: coordinates that are mixed up with a component's own axes; a rotation that is not undone.
    """
    mixture, now, x = scene
    r = np.linalg.qr(rng.standard_normal((mixture.dim, mixture.dim)))[0]
    turned = td.GaussianMixture(mixture.weights, mixture.means @ r.T, r @ mixture.covariances @ r.T)
    size, rx = np.max(np.abs(x)), hold.cast(x @ r.T)
    here, there = (td.Oracle(law, now.process) for law in (mixture, turned))
    hold(there.score(rx, now), here.score(x, now) @ r.T, scale=size / now.sigma**2)
    hold(there.x0(rx, now), here.x0(x, now) @ r.T, scale=size / now.alpha)
