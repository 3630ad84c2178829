"""The library's functions in the signatures of the course, which stand in where the reader's own are not there yet.

All are those of DDPM's chain: t is a whole number from 1 to T, β_t = ``betas[t − 1]``, ᾱ_0 = 1; points are (B, D).
"""

from itertools import pairwise

import numpy as np

import tinydiff as td
from tinydiff import predictions
from tinydiff.backend import log_softmax
from tinydiff.learned import layers
from tinydiff.sampling import solvers
from tinydiff.sampling.adams_bashforth import shares

Array = np.ndarray


def level(t: int, betas: Array) -> td.Level:
    """The level after t steps of the chain."""
    return td.Discrete(betas).at(t / len(betas))


# ---- forward: notebooks 0 to 2


def q_step(x, t, eps, betas):
    """One noising step, from x_{t−1} to x_t."""
    scale, variance = td.transition(level(t, betas), level(t - 1, betas))
    return scale * x + np.sqrt(variance) * eps


def alpha_bar(betas):
    """ᾱ_0 = 1, ᾱ_1, …, ᾱ_T, (T + 1,)."""
    return td.Discrete(betas).at(np.arange(len(betas) + 1) / len(betas)).alpha ** 2


def q_sample(x0, t, eps, betas):
    """x_t from x_0, in one jump."""
    return level(t, betas).perturb(x0, eps)


def diffuse_mixture(weights, means, variances, t, betas):
    """Weights, means and variances of the mixture after t steps."""
    now = level(t, betas)
    return weights * 1.0, now.alpha * means, now.alpha**2 * variances + now.sigma**2


def normal_kl(m1, v1, m2, v2):
    """KL(N(m_1, v_1) ‖ N(m_2, v_2)) in nats, number by number."""
    return 0.5 * (np.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)


def prior_kl(x0, betas):
    """KL(q(x_T|x_0) ‖ N(0, I)) in nats, (B,)."""
    return td.Discrete(betas).prior_gap(x0)


def snr(t, betas):
    """ᾱ_t/(1 − ᾱ_t)."""
    return level(t, betas).snr


def betas_from_log_snr(lam):
    """The chain whose log-SNR is lam, (T,)."""
    log_alpha_bar = -np.logaddexp(0, -np.concatenate([[np.inf], lam]))
    return -np.expm1(np.diff(log_alpha_bar))


# ---- back: notebook 3


def posterior(x_t, x0, t, betas):
    """Mean and variance of x_{t−1} given x_t and x_0."""
    of_x_t, of_x0, variance = td.posterior(level(t, betas), level(t - 1, betas))
    return of_x_t * x_t + of_x0 * x0, variance


def mixture_x0(x_t, weights, means, variances, t, betas):
    """E[x_0|x_t] of a mixture of round components, as the mean over which of them x_t came from."""
    now = level(t, betas)
    _, centres, spread = diffuse_mixture(weights, means, variances, t, betas)
    apart = x_t[:, None, :] - centres  # (B, K, D)
    with np.errstate(divide="ignore"):
        log_r = np.log(weights) - 0.5 * (np.sum(apart**2, axis=2) / spread + means.shape[1] * np.log(spread))
    r = np.exp(log_softmax(log_r))[:, :, None]
    return np.sum(r * (means + (now.alpha * variances / spread)[:, None] * apart), axis=1)


def x0_from_eps(x_t, t, eps, betas):
    """x_0 from x_t and its noise."""
    return predictions.x0_from_eps(x_t, eps, level(t, betas))


def ddpm_step(x_t, t, eps_hat, z, betas):
    """DDPM's step from t to t − 1, with the variance β̃_t."""
    mean, variance = posterior(x_t, x0_from_eps(x_t, t, eps_hat, betas), t, betas)
    return mean + np.sqrt(variance) * z


def ancestral(x0_hat_of, x_T, zs, betas):
    """From x_T to x_0 in T steps of the posterior of x0_hat_of(x_t, t), step t with the noise zs[t − 1]."""
    x = x_T
    for t in range(len(betas), 0, -1):
        mean, variance = posterior(x, x0_hat_of(x, t), t, betas)
        x = mean + np.sqrt(variance) * zs[t - 1]
    return x


# ---- one answer, four names: notebook 4


def score_from_eps(t, eps, betas):
    """∇ ln q(x_t|x_0) of the noise."""
    return -eps / level(t, betas).sigma


def tweedie(x_t, t, score, betas):
    """E[x_0|x_t] from the score."""
    slope, factor = predictions.to_x0("score", level(t, betas))
    return slope * x_t + factor * score


def eps_from_x0(x_t, t, x0, betas):
    """The noise in x_t, given x_0."""
    return predictions.eps_from_x0(x_t, x0, level(t, betas))


def v_from_x0_eps(t, x0, eps, betas):
    """v = √ᾱ_t ε − √(1 − ᾱ_t) x_0."""
    return predictions.v_from_x0_eps(x0, eps, level(t, betas))


# ---- the bound: notebook 5


def vlb_weight(t, betas):
    """The weight of ‖ε − ε̂‖² in the bound's term of step t."""
    return 0.5 * (level(t - 1, betas).snr / level(t, betas).snr - 1)


def elbo_step(x0, x_t, x0_hat, t, variance, betas):
    """KL of the posterior and the step that has x0_hat in it and this variance, in nats, (B,)."""
    right, exact = posterior(x_t, x0, t, betas)
    guessed, _ = posterior(x_t, x0_hat, t, betas)
    return np.sum(normal_kl(right, exact, guessed, variance), axis=1)


# ---- a network: notebook 6


def linear_backward(x, w, dy):
    """The gradients of x, w and b where y = x w + b."""
    grad = np.empty(w.size + w.shape[1])
    _, pullback = layers.linear(np.concatenate([w.ravel(), np.zeros(w.shape[1])]), x)
    dx = pullback(dy, grad)
    return dx, grad[: w.size].reshape(w.shape), grad[w.size :]


def silu_backward(x, dy):
    """The gradient of x where y = x/(1 + e^{−x})."""
    return layers.silu(x)[1](dy)


def from_v(x_t, t, v, betas):
    """x_0 and the noise in x_t, from v."""
    now = level(t, betas)
    return now.alpha * x_t - now.sigma * v, now.sigma * x_t + now.alpha * v


def mlp(params, x):
    """Linear layers with SiLU between them; params is [w_1, b_1, w_2, b_2, …]. Returns y and pullback(dy)."""
    pulls = []
    for w, b in zip(params[::2], params[1::2], strict=True):
        if pulls:
            x, pull = layers.silu(x)
            pulls.append(lambda dy, pull=pull: (pull(dy),))
        pulls.append(lambda dy, x=x, w=w: linear_backward(x, w, dy))
        x = x @ w + b

    def pullback(dy):
        grads = []
        for pull in reversed(pulls):
            dy, *own = pull(dy)
            grads = own + grads
        return grads, dy

    return x, pullback


def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    """One step of Adam, number by number."""
    mu, nu = b1 * mu + (1 - b1) * grad, b2 * nu + (1 - b2) * grad**2
    step = (mu / (1 - b1**count)) / (np.sqrt(nu / (1 - b2**count)) + eps)
    return theta - lr * step, mu, nu


def ema_update(ema, theta, decay):
    """The average, moved towards theta."""
    return td.ema_update(ema, theta, decay)


def fourier_features(t, frequencies):
    """sin(ω t) and cos(ω t) for each frequency, (B, 2F)."""
    return layers.fourier_features(t, frequencies)


def log_snrs(betas):
    """λ_1, …, λ_T, (T,)."""
    signal = alpha_bar(betas)[1:]
    return np.log(signal) - np.log1p(-signal)


def inputs(x_t, lam):
    """What the networks see: x_t, and 16 waves of the log-SNR."""
    return np.concatenate([x_t, fourier_features(np.broadcast_to(lam, len(x_t)), 2.0 ** np.arange(-4, 4))], axis=1)


def learn(data, betas, steps, rng, times, hidden=(64, 64), batch_target=False, muon=False, inputs=inputs):
    """Train an mlp to predict v from 256 points a step, at the times that times(rng) draws; yield loss and network."""
    signal, log_snr, dim = alpha_bar(betas)[1:], log_snrs(betas), data.shape[1]
    params = []
    for n, m in pairwise([dim + 16, *hidden, dim]):
        params += [rng.standard_normal((n, m)) * np.sqrt(2 / n), np.zeros(m)]
    mu, nu, average = [0 * param for param in params], [0 * param for param in params], [*params]
    for k in range(1, steps + 1):
        drawn = times(rng)
        t = np.repeat(drawn, 256 // len(drawn))
        x0, eps = data[rng.integers(len(data), size=256)], rng.standard_normal((256, dim))
        alpha, sigma = np.sqrt(signal[t - 1, None]), np.sqrt(1 - signal[t - 1, None])
        x_t = alpha * x0 + sigma * eps
        if batch_target:
            rows = zip(np.split(x_t, len(drawn)), drawn, strict=True)
            mean = np.concatenate([empirical_denoiser(some, x0, one, betas) for some, one in rows])
            x0, eps = mean, eps + alpha / sigma * (x0 - mean)
        v_hat, pullback = mlp(params, inputs(x_t, log_snr[t - 1]))
        error = v_hat - (alpha * eps - sigma * x0)
        fall = 1 - k / steps
        for i, grad in enumerate(pullback(2 * error / error.size)[0]):
            if muon and grad.ndim == 2:
                mu[i] = 0.95 * mu[i] + 0.05 * grad
                move = newton_schulz(0.95 * mu[i] + 0.05 * grad, 6)
                params[i] = params[i] - 0.05 * fall * np.sqrt(max(1, grad.shape[1] / grad.shape[0])) * move
            else:
                params[i], mu[i], nu[i] = adam_step(params[i], grad, mu[i], nu[i], k, 0.01 * fall, 0.9, 0.99, 1e-8)
            average[i] = ema_update(average[i], params[i], min(0.99, k / (k + 9)))
        yield np.mean(error**2), lambda x_t, t, params=tuple(average): mlp(params, inputs(x_t, log_snr[t - 1]))


def last_of(steps):
    """The network of the last step, and all losses."""
    losses, networks = zip(*steps, strict=True)
    return networks[-1], np.array(losses)


def fit(data, betas, steps, rng, hidden=(64, 64)):
    """An mlp that learns v, from 256 points a step: network(x_t, t) -> (v_hat, pullback), and the loss of each step."""
    return last_of(learn(data, betas, steps, rng, lambda rng: rng.integers(1, len(betas) + 1, 8), hidden))


# ---- learning well: notebook 7


def empirical_denoiser(x_t, points, t, betas):
    """E[x_0|x_t] where the data are these points."""
    signal = np.prod(1 - betas[:t])
    log_w = (x_t @ (np.sqrt(signal) * points).T - signal / 2 * np.sum(points**2, axis=1)) / (1 - signal)
    w = np.exp(log_w - np.max(log_w, axis=1, keepdims=True))
    return w @ points / np.sum(w, axis=1, keepdims=True)


def edm_coefficients(sigma, sigma_data):
    """(c_skip, c_out, c_in) of EDM's denoiser c_skip x + c_out F(c_in x), for x = x_0 + σ n."""
    total = sigma**2 + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / np.sqrt(total), 1 / np.sqrt(total)


def newton_schulz(m, steps):
    """U Vᵀ of m = U S Vᵀ, by so many steps of the cubic 3s/2 − s³/2 on the singular values of m/‖m‖."""
    x = m / np.linalg.norm(m)
    for _ in range(steps):
        x = 1.5 * x - 0.5 * x @ (x.T @ x)
    return x


def train_well(data, betas, steps, rng):
    """As `fit`, by three decisions: log-SNRs from N(3, 2.5²), the batch's own target, and Muon for the matrices."""

    def times(rng):
        lam = 3 + 2.5 * rng.standard_normal(16)
        return 1 + np.argmin(np.abs(log_snrs(betas) - lam[:, None]), axis=1)

    return last_of(learn(data, betas, steps, rng, times, batch_target=True, muon=True))


# ---- one family of samplers: notebook 8


def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    """DDIM's step from t to any s below it, with the share η of noise."""
    now, then = level(t, betas), level(s, betas)
    return td.ddim_step(x_t, predictions.x0_from_eps(x_t, eps_hat, now), now, then, z, eta)


def ddim(eps_of, x, visited, zs, betas, eta):
    """From x down the visited times in steps of DDIM, the i-th with the noise zs[i]."""
    for (t, s), z in zip(pairwise(visited), zs, strict=True):
        x = ddim_step(x, t, s, eps_of(x, t), z, betas, eta)
    return x


# ---- SDE and ODE: notebook 9. Here t and s are times in [0, 1], and β = β(t) is a rate


def euler_maruyama_step(f, g, x, t, s, z):
    """x_s from x_t, for dx = f(x, t) dt + g(t) dw."""
    return x + (s - t) * f(x, t) + abs(s - t) ** 0.5 * g(t) * z


def reverse_family_drift(x, beta, score, eta):
    """The drift that keeps the densities where the way back has noise of strength η √β."""
    return -0.5 * beta * (x + (1 + eta**2) * score)


def probability_flow_drift(x, beta, score):
    """The member without noise."""
    return reverse_family_drift(x, beta, score, 0.0)


def reverse_sde_drift(x, beta, score):
    """The member with as much noise as the way forth."""
    return reverse_family_drift(x, beta, score, 1.0)


# ---- likelihood: notebook 10


def hutchinson(vjp, x, probes):
    """The trace of ∂F/∂x of each row, from probes (P, B, D)."""
    return np.mean([np.sum(vjp(x, u) * u, axis=1) for u in probes], axis=0)


def flow_log_density(drift, divergence, log_prior, x, times):
    """ln p of x, (B,): the prior's where the flow has led, and the divergence along the way, by Heun's steps."""
    dim = x.shape[1]

    def slope(state, t):
        return np.concatenate([drift(state[:, :dim], t), divergence(state[:, :dim], t)[:, None]], axis=1)

    state = np.concatenate([x, np.zeros((len(x), 1))], axis=1)
    for t, s in pairwise(times):
        state = solvers.heun_step(slope, state, t, s)
    return log_prior(state[:, :dim]) + state[:, dim]


# ---- solvers: notebook 11


def euler_step(f, x, t, s):
    """x_s along the slope at t."""
    return solvers.euler_step(f, x, t, s)


def heun_step(f, x, t, s):
    """x_s along the mean of two slopes."""
    return solvers.heun_step(f, x, t, s)


def multistep_step(x_t, x0_hats, times, s, alpha, sigma):
    """x_s along the polynomial in ln(α/σ) through the last answers, the newest last."""
    *seen, end = (2 * float(np.log(alpha(t) / sigma(t))) for t in (*times, s))
    mean = sum(share * x0_hat for share, x0_hat in zip(shares(seen, seen[-1], end), x0_hats, strict=True))
    return sigma(s) / sigma(times[-1]) * x_t + (alpha(s) - alpha(times[-1]) * sigma(s) / sigma(times[-1])) * mean


def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    """x_s with x̂_0 guessed in the middle of the step, from the last two answers."""
    before, now, then = (np.log(alpha(u) / sigma(u)) for u in (t_before, t, s))
    middle = x0_hat + (then - now) / (2 * (now - before)) * (x0_hat - x0_hat_before)
    return sigma(s) / sigma(t) * x_t + (alpha(s) - alpha(t) * sigma(s) / sigma(t)) * middle


# ---- flow matching: notebook 12


def flow_matching_loss(velocity, x0, x1, t):
    """The mean square of the velocity less x_1 − x_0, on the lines of the pairs."""
    at = t[:, None]
    return np.mean((velocity((1 - at) * x0 + at * x1, t) - (x1 - x0)) ** 2)


def velocity_from_eps(x_t, t, eps):
    """ε − x_0 on the straight path."""
    return td.Straight().at(t).velocity(predictions.x0_from_eps(x_t, eps, td.Straight().at(t)), eps)


def to_straight(x, alpha, sigma):
    """x' and t' on the straight path, of the same data and noise."""
    return x / (alpha + sigma), sigma / (alpha + sigma)


# ---- few steps: notebook 13. The α and σ of rows are columns (B, 1)


def two_steps_in_one(x_t, x_s, alpha_t, sigma_t, alpha_s, sigma_s):
    """The x̂_0 with which one step of DDIM leads from x_t to x_s."""
    ratio = sigma_s / sigma_t
    return (x_s - ratio * x_t) / (alpha_s - ratio * alpha_t)


def consistency_output(f, x, sigma, sigma_data, sigma_min):
    """The answer that is x itself at σ_min, whatever the network's f is."""
    c_skip = sigma_data**2 / ((sigma - sigma_min) ** 2 + sigma_data**2)
    return c_skip * x + sigma_data * (sigma - sigma_min) / np.sqrt(sigma**2 + sigma_data**2) * f


# ---- memorising: notebook 14


def effective_neighbours(weights):
    """1 over the chance that two draws by these weights are the same point, (B,)."""
    return 1 / np.einsum("bn,bn->b", weights, weights)


# ---- guidance: notebook 15


def cfg(c, u, w):
    """The answer with the label, gone on from by w times its difference from that without."""
    return (1 + w) * c - w * u


def tilted_gaussian(m, v, w):
    """Mean and variance of N(m, v)^{1+w} N(0, 1)^{−w}, normalised."""
    precision = (1 + w) / v - w
    return (1 + w) * m / v / precision, 1 / precision


# ---- measurements: notebook 16


def condition_gaussian(mean, cov, A, y, tau):
    """Mean (D,) and covariance (D, D) of x_0 ~ N(mean, cov) given y = A x_0 + τ n."""
    (mean,), (cov,) = td.GaussianMixture([1.0], [mean], [cov]).conditioned(A, y, tau).moments()
    return mean, cov


def measurement_guidance(x0_hat, pull, A, y, tau, cov, alpha, sigma):
    """x̂_0 with a measurement, where x_0 given x is taken for N(x̂_0, cov)."""
    S = A @ cov @ A.T + tau**2 * np.eye(len(A))
    v = np.linalg.solve(S, (y - x0_hat @ A.T)[..., None])[..., 0]
    return x0_hat + sigma**2 / alpha * pull(v @ A)


def inpaint_known(x_s, known, mask, s, eps, betas):
    """x_s, with a draw of q(x_s|x_0 = known) where the mask is True."""
    return np.where(mask, q_sample(known, s, eps, betas), x_s)


# ---- digits: notebook 17


def draw(model, labels, w, times, rng):
    """Digits of these labels, (B, D): from noise along falling times, by DDIM under guidance w."""
    guided = td.ClassifierFreeGuidance(model.given(labels), model, w)
    x = rng.standard_normal((len(labels), model.dim)).astype(np.float32)
    t, x = td.last(td.ddim(guided, x, times))
    return guided.x0(x, t)
