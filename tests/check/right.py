"""Right answers to every specification, each at least twice and written differently, as students do."""

import math

import numpy as np

ANSWERS: dict[str, list] = {}


def answer(function):
    """Register a right answer under its own name."""
    ANSWERS.setdefault(function.__name__, []).append(function)
    return function


# ---- the forward process


@answer
def alpha_bar(betas):
    return np.concatenate([[1.0], np.cumprod(1 - betas)])


@answer
def alpha_bar(betas):
    out = np.ones(len(betas) + 1)
    for t in range(1, len(out)):
        out[t] = out[t - 1] * (1 - betas[t - 1])
    return out


@answer
def alpha_bar(betas):
    return np.exp(np.cumsum(np.log1p(-np.insert(betas, 0, 0.0))))


@answer
def q_step(x, t, eps, betas):
    return np.sqrt(1 - betas[t - 1]) * x + np.sqrt(betas[t - 1]) * eps


@answer
def q_step(x_before, t, noise, betas):
    beta = float(betas[t - 1])
    out = x_before.copy()
    out *= math.sqrt(1 - beta)
    out += math.sqrt(beta) * noise
    return out


@answer
def q_sample(x0, t, eps, betas):
    a = np.cumprod(1 - betas)[t - 1]
    return np.sqrt(a) * x0 + np.sqrt(1 - a) * eps


@answer
def q_sample(x0, t, eps, betas):
    signal, variance = 1.0, 0.0
    for beta in betas[:t]:
        signal *= (1 - beta) ** 0.5
        variance = variance * (1 - beta) + beta
    return signal * x0 + variance**0.5 * eps


@answer
def q_sample(x0, t, eps, betas):
    log_alpha_bar = np.sum(np.log1p(-betas[:t]))
    return np.exp(log_alpha_bar / 2) * x0 + np.sqrt(-np.expm1(log_alpha_bar)) * eps


@answer
def snr(t, betas):
    a = np.prod(1 - betas[:t])
    return a / (1 - a)


@answer
def snr(t, betas):
    return 1 / math.expm1(-sum(math.log1p(-b) for b in betas[:t]))


@answer
def cosine_alpha_bar(t, T, s=0.008):
    def f(u):
        return np.cos((u / T + s) / (1 + s) * np.pi / 2) ** 2

    return f(t) / f(0)


@answer
def cosine_alpha_bar(t, T, s=0.008):  # by the chain of clipped β
    product = 1.0
    for n in range(1, t + 1):
        now, before = (math.cos((k / T + s) / (1 + s) * math.pi / 2) for k in (n, n - 1))
        product *= 1 - min(1 - (now / before) ** 2, 0.999)
    return product


# ---- the reverse process


def bars(t, betas):
    return np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])


@answer
def posterior(x_t, x0, t, betas):
    beta, (ab, before) = betas[t - 1], bars(t, betas)
    mean = np.sqrt(1 - beta) * (1 - before) / (1 - ab) * x_t + np.sqrt(before) * beta / (1 - ab) * x0
    return mean, beta * (1 - before) / (1 - ab)


@answer
def posterior(x_t, x0, t, betas):  # Bayes: precisions add
    beta, (_, before) = betas[t - 1], bars(t, betas)
    if t == 1:
        return x0.copy(), np.zeros_like(x_t)
    precision = (1 - beta) / beta + 1 / (1 - before)
    mean = (np.sqrt(1 - beta) / beta * x_t + np.sqrt(before) / (1 - before) * x0) / precision
    return [mean, np.full_like(x_t, 1 / precision)]


@answer
def posterior_variance(t, betas):
    ab, before = bars(t, betas)
    return betas[t - 1] * (1 - before) / (1 - ab)


@answer
def posterior_variance(t, betas):
    if t == 1:
        return 0
    before = bars(t, betas)[1]
    return 1 / ((1 - betas[t - 1]) / betas[t - 1] + 1 / (1 - before))


@answer
def normal_kl(m1, v1, m2, v2):
    return 0.5 * (np.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)


@answer
def normal_kl(mean1, variance1, mean2, variance2):  # cross-entropy less entropy
    cross = 0.5 * np.log(2 * np.pi * variance2) + (variance1 + (mean1 - mean2) ** 2) / (2 * variance2)
    return cross - 0.5 * np.log(2 * np.pi * np.e * variance1)


@answer
def prior_kl(x0, betas):
    a = np.prod(1 - betas)
    return 0.5 * np.sum(a * x0**2 - a - np.log(1 - a), axis=-1)


@answer
def prior_kl(x0, betas):
    a, d = np.prod(1 - betas), x0.shape[1]
    return 0.5 * (a * np.sum(x0**2, axis=1) - d * a - d * np.log1p(-a))


@answer
def prior_kl(x0, betas):  # of the batch
    a = np.prod(1 - betas)
    return np.sum(normal_kl(np.sqrt(a) * x0, 1 - a, 0.0, 1.0))


@answer
def vlb_weight(t, betas):
    beta, (ab, before) = betas[t - 1], bars(t, betas)
    variance = beta * (1 - before) / (1 - ab)
    return beta**2 / (2 * variance * (1 - beta) * (1 - ab))


@answer
def vlb_weight(t, betas):
    return 0.5 * (snr(t - 1, betas) / snr(t, betas) - 1)


@answer
def ddpm_step(x_t, t, eps_hat, z, betas):
    beta, ab = betas[t - 1], np.prod(1 - betas[:t])
    mean = (x_t - beta / np.sqrt(1 - ab) * eps_hat) / np.sqrt(1 - beta)
    return mean if t == 1 else mean + np.sqrt(beta) * z


@answer
def ddpm_step(x_t, t, eps_hat, z, betas):  # through the posterior, with its variance
    ab = np.prod(1 - betas[:t])
    x0_hat = (x_t - np.sqrt(1 - ab) * eps_hat) / np.sqrt(ab)
    mean, variance = posterior(x_t, x0_hat, t, betas)
    return mean + np.sqrt(variance) * z


@answer
def ddpm_step(x_t, t, eps_hat, z, betas):  # the geometric mean of both variances
    beta, (ab, before) = betas[t - 1], bars(t, betas)
    sigma = np.sqrt(beta) * ((1 - before) / (1 - ab)) ** 0.25
    return (x_t - beta / np.sqrt(1 - ab) * eps_hat) / np.sqrt(1 - beta) + sigma * z


@answer
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    ab, ab_s = np.prod(1 - betas[:t]), np.prod(1 - betas[:s])
    sigma = eta * np.sqrt((1 - ab_s) / (1 - ab)) * np.sqrt(1 - ab / ab_s)
    x0_hat = (x_t - np.sqrt(1 - ab) * eps_hat) / np.sqrt(ab)
    return np.sqrt(ab_s) * x0_hat + np.sqrt(1 - ab_s - sigma**2) * eps_hat + sigma * z


@answer
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    abar = np.concatenate([[1.0], np.cumprod(1 - betas)])
    variance = eta**2 * (1 - abar[s]) * (1 - abar[t] / abar[s]) / (1 - abar[t])
    scale = np.sqrt(abar[s] / abar[t])
    along = np.sqrt(max(1 - abar[s] - variance, 0)) - scale * np.sqrt(1 - abar[t])
    return scale * x_t + along * eps_hat + np.sqrt(variance) * z


# ---- parametrisations


@answer
def x0_from_eps(x_t, t, eps, betas):
    a = np.prod(1 - betas[:t])
    return (x_t - np.sqrt(1 - a) * eps) / np.sqrt(a)


@answer
def x0_from_eps(x_t, t, eps, betas):
    return x_t * np.prod(1 / np.sqrt(1 - betas[:t])) - eps / np.sqrt(snr(t, betas))


@answer
def eps_from_x0(x_t, t, x0, betas):
    a = np.prod(1 - betas[:t])
    return (x_t - np.sqrt(a) * x0) / np.sqrt(1 - a)


@answer
def eps_from_x0(x_t, t, x0, betas):
    sigma = np.sqrt(-np.expm1(np.log1p(-betas[:t]).sum()))
    return x_t / sigma - x0 * np.sqrt(snr(t, betas))


@answer
def v_from_x0_eps(t, x0, eps, betas):
    a = np.prod(1 - betas[:t])
    return np.sqrt(a) * eps - np.sqrt(1 - a) * x0


@answer
def v_from_x0_eps(t, x0, eps, betas):
    angle = np.arccos(np.sqrt(np.prod(1 - betas[:t])))
    return np.cos(angle) * eps - np.sin(angle) * x0


@answer
def score_from_eps(t, eps, betas):
    return -eps / np.sqrt(1 - np.prod(1 - betas[:t]))


@answer
def score_from_eps(t, eps, betas):
    return np.negative(eps) * (1 - np.cumprod(1 - betas)[t - 1]) ** -0.5


@answer
def tweedie(x_t, t, score, betas):
    a = np.prod(1 - betas[:t])
    return (x_t + (1 - a) * score) / np.sqrt(a)


@answer
def tweedie(x_t, t, score, betas):
    sigma = np.sqrt(1 - np.prod(1 - betas[:t]))
    return x0_from_eps(x_t, t, -sigma * score, betas)


@answer
def simple_loss(eps_hat, eps):
    return np.mean((eps - eps_hat) ** 2)


@answer
def simple_loss(eps_hat, eps):
    difference = (eps - eps_hat).ravel()
    return float(difference @ difference) / difference.size


@answer
def cfg(c, u, w):
    return (1 + w) * c - w * u


@answer
def cfg(c, u, w):
    return u + (1 + w) * (c - u)


# ---- solvers


@answer
def reverse_sde_drift(x, beta, score):
    return -0.5 * beta * x - beta * score


@answer
def reverse_sde_drift(x, beta, score):
    return -beta * (x / 2 + score)


@answer
def probability_flow_drift(x, beta, score):
    return -0.5 * beta * (x + score)


@answer
def probability_flow_drift(x, beta, score):
    f, g = -0.5 * beta * x, np.sqrt(beta)
    return f - g**2 * score / 2


@answer
def euler_step(f, x, t, s):
    return x + (s - t) * f(x, t)


@answer
def euler_step(f, x, t, s):
    h = t - s
    return x - h * f(x, t)


@answer
def heun_step(f, x, t, s):
    h = s - t
    k1 = f(x, t)
    return x + h / 2 * (k1 + f(x + h * k1, s))


@answer
def heun_step(f, x, t, s):
    d = f(x, t)
    guess = x + (s - t) * d
    return x + (s - t) * (0.5 * d + 0.5 * f(guess, s))


@answer
def euler_maruyama_step(f, g, x, t, s, z):
    return x + (s - t) * f(x, t) + np.sqrt(abs(s - t)) * g(t) * z


@answer
def euler_maruyama_step(f, g, x, t, s, z):
    h = s - t
    dw = z * (h**2) ** 0.25
    return x + f(x, t) * h + g(t) * dw


@answer
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    def lam(u):
        return np.log(alpha(u) / sigma(u))

    h = lam(s) - lam(t)
    r = (lam(t) - lam(t_before)) / h
    d = (1 + 1 / (2 * r)) * x0_hat - 1 / (2 * r) * x0_hat_before
    return sigma(s) / sigma(t) * x_t - alpha(s) * np.expm1(-h) * d


@answer
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    before, now, later = (math.log(alpha(u)) - math.log(sigma(u)) for u in (t_before, t, s))
    slope = (x0_hat - x0_hat_before) / (now - before)
    middle = x0_hat + slope * (later - now) / 2
    ratio = sigma(s) / sigma(t)
    return ratio * x_t + (alpha(s) - ratio * alpha(t)) * middle


@answer
def hutchinson(vjp, x, probes):
    return np.mean([np.sum(v * vjp(x, v), axis=1) for v in probes], axis=0)


@answer
def hutchinson(vjp, x, probes):
    total = np.zeros(len(x))
    for v in probes:
        total += np.einsum("bd,bd->b", vjp(x, v), v)
    return total / len(probes)


# ---- learning


@answer
def linear_backward(x, w, dy):
    return dy @ w.T, x.T @ dy, dy.sum(axis=0)


@answer
def linear_backward(x, w, dy):
    dw = np.zeros_like(w)
    for row, d in zip(x, dy, strict=True):
        dw += np.outer(row, d)
    return np.einsum("bm,nm->bn", dy, w), dw, np.ones((1, len(x))) @ dy


@answer
def silu_backward(x, dy):
    with np.errstate(over="ignore"):
        s = 1 / (1 + np.exp(-x))
    return dy * s * (1 + x * (1 - s))


@answer
def silu_backward(x, dy):
    s = 0.5 * (1 + np.tanh(x / 2))
    y = x * s
    return dy * (s + y * (1 - s))


@answer
def layer_norm_backward(x, dy, eps):
    std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    y = (x - x.mean(axis=1, keepdims=True)) / std
    return (dy - dy.mean(axis=1, keepdims=True) - y * (y * dy).mean(axis=1, keepdims=True)) / std


@answer
def layer_norm_backward(x, dy, eps):  # by the Jacobian of each row
    out = []
    for row, d in zip(x, dy, strict=True):
        n, centred = len(row), row - row.mean()
        std = np.sqrt((centred**2).mean() + eps)
        project = np.eye(n) - 1 / n
        out.append((project / std - np.outer(centred, centred) / (n * std**3)) @ d)
    return np.array(out)


@answer
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    mu = b1 * mu + (1 - b1) * grad
    nu = b2 * nu + (1 - b2) * grad**2
    mu_hat, nu_hat = mu / (1 - b1**count), nu / (1 - b2**count)
    return theta - lr * mu_hat / (np.sqrt(nu_hat) + eps), mu, nu


@answer
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    mu = mu + (1 - b1) * (grad - mu)
    nu = nu + (1 - b2) * (grad * grad - nu)
    correction = np.sqrt(1 - b2**count)
    return theta - lr * correction / (1 - b1**count) * mu / (np.sqrt(nu) + eps * correction), mu, nu


@answer
def ema_update(ema, theta, decay):
    return decay * ema + (1 - decay) * theta


@answer
def ema_update(ema, theta, decay):
    return ema + (1 - decay) * (theta - ema)


@answer
def fourier_features(t, frequencies):
    angle = t[:, None] * frequencies
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


@answer
def fourier_features(t, frequencies):  # pair by pair
    out = np.empty((len(t), 2 * len(frequencies)))
    for i, w in enumerate(frequencies):
        out[:, 2 * i], out[:, 2 * i + 1] = np.cos(w * t), np.sin(w * t)
    return out


# ---- data, and what is known of them


@answer
def empirical_denoiser(x_t, points, t, betas):
    ab = np.prod(1 - betas[:t])
    logits = -np.sum((x_t[:, None] - np.sqrt(ab) * points) ** 2, axis=2) / (2 * (1 - ab))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ points


@answer
def empirical_denoiser(x_t, points, t, betas):  # ‖x_t‖² is the same for all points: x_t·y and ‖y‖² are left
    a = np.cumprod(1 - betas)[t - 1]
    out = np.empty_like(x_t)
    for b, x in enumerate(x_t):
        logits = (np.sqrt(a) * points @ x - a * np.sum(points**2, axis=1) / 2) / (1 - a)
        weights = np.exp(logits - np.logaddexp.reduce(logits))
        out[b] = sum(w * y for w, y in zip(weights, points, strict=True))
    return out


@answer
def effective_neighbours(weights):
    return 1 / np.sum(weights**2, axis=1)


@answer
def effective_neighbours(weights):  # Kish's, which needs no sum of 1
    return np.array([row.sum() ** 2 / (row @ row) for row in weights])


@answer
def inpaint_known(x_s, known, mask, s, eps, betas):
    ab = np.prod(1 - betas[:s])
    return np.where(mask, np.sqrt(ab) * known + np.sqrt(1 - ab) * eps, x_s)


@answer
def inpaint_known(x_s, known, mask, s, eps, betas):
    noisy = known
    if s > 0:
        ab = np.cumprod(1 - betas)[s - 1]
        noisy = ab**0.5 * known + (1 - ab) ** 0.5 * eps
    return mask * noisy + (1 - mask) * x_s


@answer
def inpaint_known(x_s, known, mask, s, eps, betas):
    out = x_s.copy()
    out[mask] = q_sample(known, s, eps, betas)[mask] if s else known[mask]
    return out
