"""A hundred wrong answers and forty right ones, in the way of students, by someone who had not seen the laws.

Each has its function's name, whether it is right, what is wrong or unusual about it, and what the report says of it.
"""

import math

import numpy as np

ANSWERS = []


def entry(name, right, about, says=""):
    """Register an answer."""

    def register(function):
        ANSWERS.append({"name": name, "right": right, "about": about, "says": says, "function": function})
        return function

    return register


# alpha_bar


@entry("alpha_bar", False, "the leading one is missing, so that index t is step t + 1", "ᾱ_0 = 1 left out")
def alpha_bar(betas):
    return np.cumprod(1 - betas)


@entry(
    "alpha_bar", False, "the loop stops one short and leaves the last entry at 1", "1 for ᾱ_T, the last step left out"
)
def alpha_bar(betas):
    T = len(betas)
    out = np.ones(T + 1)
    for t in range(1, T):
        out[t] = out[t - 1] * (1 - betas[t - 1])
    return out


@entry(
    "alpha_bar",
    False,
    "writes 1 - beta over the argument betas",
    "`betas = betas + …` makes a new array; `betas += …` and `betas[…] = …` change the caller's.",
)
def alpha_bar(betas):
    alphas = np.subtract(1.0, betas, out=betas)
    return np.concatenate([[1.0], np.cumprod(alphas)])


@entry("alpha_bar", True, "sums of logarithms, exponentiated at the end")
def alpha_bar(schedule):
    log_alpha = np.log1p(-schedule)
    return np.exp(np.r_[0.0, np.cumsum(log_alpha)])


# snr


@entry(
    "snr", False, "the ratio of the coefficients: root of the ratio of variances", "the ratio of the coefficients, √SNR"
)
def snr(t, betas):
    ab = np.prod(1 - betas[:t])
    signal, noise = np.sqrt(ab), np.sqrt(1 - ab)
    return signal / noise


@entry("snr", False, "1e-3 added to the divisor", "1e-3 added to 1 − ᾱ_t")
def snr(t, betas):
    alpha_bar_t = np.cumprod(1 - betas)[t - 1]
    return alpha_bar_t / (1 - alpha_bar_t + 1e-3)


@entry(
    "snr",
    False,
    "rounded to four decimals, which shows only where the ratio is small",
    "Something on the way is rounded, to float32 or to a few digits.",
)
def snr(t, betas):
    ab = float(np.prod(1.0 - betas[:t]))
    return round(ab / (1 - ab), 4)


@entry("snr", True, "1 / (1 / alpha_bar - 1) with expm1 of a sum of logarithms")
def snr(t, betas):
    log_ab = sum(math.log1p(-b) for b in betas[:t])
    return 1 / math.expm1(-log_ab)


# cosine_alpha_bar


@entry("cosine_alpha_bar", False, "not divided by f(0)", "f(t) not divided by f(0)")
def cosine_alpha_bar(t, T, s=0.008):
    return np.cos((t / T + s) / (1 + s) * np.pi / 2) ** 2


@entry("cosine_alpha_bar", False, "the argument s is ignored, .008 is hard-coded", "s ignored: always 0.008")
def cosine_alpha_bar(t, T, s=0.008):
    f = lambda u: math.cos((u / T + 0.008) / 1.008 * math.pi / 2) ** 2
    return f(t) / f(0)


@entry(
    "cosine_alpha_bar",
    False,
    "integer division t // T, so only 0 and T are right",
    "t // T, a whole number, in place of t/T",
)
def cosine_alpha_bar(t, T, s=0.008):
    def f(u):
        return np.cos((u // T + s) / (1 + s) * np.pi / 2) ** 2

    return f(t) / f(0)


@entry(
    "cosine_alpha_bar",
    False,
    "clipped from below at 1e-3, wrong only at the last few steps",
    "ᾱ_t clipped to [0.001, 0.999]",
)
def cosine_alpha_bar(t, T, s=0.008):
    angle = np.pi / 2 * (np.array([t, 0]) / T + s) / (1 + s)
    f_t, f_0 = np.cos(angle) ** 2
    return np.clip(f_t / f_0, 1e-3, 1.0)


@entry("cosine_alpha_bar", True, "double angle instead of a squared cosine, 1e-8 in a divisor")
def cosine_alpha_bar(step, steps, offset=0.008):
    k = math.pi / (1 + offset)
    top = 1 + math.cos(k * (step / steps + offset))
    return max(top / (1 + math.cos(k * offset) + 1e-8), 0.0)


@entry("cosine_alpha_bar", True, "the product of 1 - beta with each beta clipped at .999")
def cosine_alpha_bar(t, T, s=0.008):
    f = lambda u: math.cos((u / T + s) / (1 + s) * math.pi / 2) ** 2
    ab = 1.0
    for i in range(t):
        ab *= 1 - min(1 - f(i + 1) / f(i), 0.999)
    return ab


# q_step


@entry(
    "q_step",
    False,
    "betas[t], the next step's beta, and an IndexError at t = T",
    "betas[t] for β_t, which is betas[t − 1]",
)
def q_step(x, t, eps, betas):
    beta = betas[t]
    return np.sqrt(1 - beta) * x + np.sqrt(beta) * eps


@entry(
    "q_step",
    False,
    "the numbers are right, but the argument x is changed in place",
    "`x = x + …` makes a new array; `x += …` and `x[…] = …` change the caller's.",
)
def q_step(x, t, eps, betas):
    x *= np.sqrt(1 - betas[t - 1])
    x += np.sqrt(betas[t - 1]) * eps
    return x


@entry("q_step", True, "row by row in a list")
def q_step(x, t, eps, betas):
    b = float(betas[t - 1])
    keep, add = math.sqrt(1 - b), math.sqrt(b)
    return np.array([keep * row + add * noise for row, noise in zip(x, eps)])


# q_sample


@entry("q_sample", False, "the product of all 1 - beta up to t taken as one minus the sum", "")
def q_sample(x0, t, eps, betas):
    ab = max(1 - np.sum(betas[:t]), 0)
    return np.sqrt(ab) * x0 + np.sqrt(1 - ab) * eps


@entry("q_sample", False, "alpha_bar is cached by t and the schedule's length, stale with other betas", "")
def q_sample(x0, t, eps, betas, cache={}):
    key = (t, len(betas))
    if key not in cache:
        cache[key] = np.prod(1 - betas[:t])
    ab = cache[key]
    return ab**0.5 * x0 + (1 - ab) ** 0.5 * eps


@entry("q_sample", False, "the absolute value of the noise is added", "|ε| in place of ε")
def q_sample(x0, t, eps, betas):
    ab = np.cumprod(1 - betas)[t - 1]
    return np.sqrt(ab) * x0 + np.sqrt(1 - ab) * np.abs(eps)


@entry(
    "q_sample",
    False,
    "draws its own noise and ignores eps",
    "Draw nothing inside and keep nothing between calls: noise is an argument.",
)
def q_sample(x0, t, eps, betas):
    ab = np.prod(1 - betas[:t])
    eps = np.random.randn(*x0.shape)
    return np.sqrt(ab) * x0 + np.sqrt(1 - ab) * eps


@entry("q_sample", True, "signal and variance carried step by step through the chain")
def q_sample(x0, t, eps, betas):
    signal, variance = 1.0, 0.0
    for beta in betas[:t]:
        signal *= math.sqrt(1 - beta)
        variance = (1 - beta) * variance + beta
    return signal * x0 + math.sqrt(variance) * eps


# posterior


@entry(
    "posterior",
    False,
    "variance and mean returned in the wrong order",
    "the answers are returned in the order (mean, variance)",
)
def posterior(x_t, x0, t, betas):
    a = np.concatenate([[1.0], np.cumprod(1 - betas)])
    b = betas[t - 1]
    c_t = np.sqrt(1 - b) * (1 - a[t - 1]) / (1 - a[t])
    c_0 = np.sqrt(a[t - 1]) * b / (1 - a[t])
    return b * (1 - a[t - 1]) / (1 - a[t]), c_t * x_t + c_0 * x0


@entry(
    "posterior",
    False,
    "alpha_bar[t - 2] wraps round to the last entry at t = 1",
    "cumprod(1 − betas)[t − 2] for ᾱ_{t−1}, the last ᾱ at t = 1",
)
def posterior(x_t, x0, t, betas):
    ab = np.cumprod(1 - betas)
    now, before, beta = ab[t - 1], ab[t - 2], betas[t - 1]
    mean = (np.sqrt(1 - beta) * (1 - before) * x_t + np.sqrt(before) * beta * x0) / (1 - now)
    return mean, beta * (1 - before) / (1 - now)


@entry(
    "posterior",
    False,
    "the coefficient of x0 has the root of alpha_bar_t in place of t - 1",
    "√ᾱ_t in place of √ᾱ_{t−1} in the coefficient of x_0",
)
def posterior(x_t, x0, t, betas):
    now, prev = np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    beta = betas[t - 1]
    c_t = np.sqrt(1 - beta) * (1 - prev) / (1 - now)
    c_0 = np.sqrt(now) * beta / (1 - now)
    return c_t * x_t + c_0 * x0, beta * (1 - prev) / (1 - now)


@entry("posterior", True, "as a Kalman filter: prediction from x0, gain, correction by x_t")
def posterior(x_t, x0, t, betas):
    prior = np.prod(1 - betas[: t - 1])
    m, v, h, r = np.sqrt(prior) * x0, 1 - prior, np.sqrt(1 - betas[t - 1]), betas[t - 1]
    gain = v * h / (h * h * v + r)
    return [m + gain * (x_t - h * m), (1 - gain * h) * v]


# posterior_variance


@entry(
    "posterior_variance",
    False,
    "at t = 1 the value at t = 2 is put in, as is done for the logarithm",
    "β̃_2 in place of β̃_1 = 0 at t = 1",
)
def posterior_variance(t, betas):
    ab = np.concatenate([[1.0], np.cumprod(1 - betas)])
    var = betas * (1 - ab[:-1]) / (1 - ab[1:])
    return var[max(t - 1, min(1, len(betas) - 1))]


@entry("posterior_variance", False, "the standard deviation, not the variance", "√β̃_t, the standard deviation")
def posterior_variance(t, betas):
    ab_prev = np.prod(1 - betas[: t - 1])
    ab = ab_prev * (1 - betas[t - 1])
    return np.sqrt(betas[t - 1] * (1 - ab_prev) / (1 - ab))


@entry("posterior_variance", True, "adds precisions, with t = 1 set apart")
def posterior_variance(t, betas):
    if t == 1:
        return 0.0
    beta, before = betas[t - 1], 1 - math.prod(1 - b for b in betas[: t - 1])
    return 1 / ((1 - beta) / beta + 1 / before)


# normal_kl


@entry(
    "normal_kl", False, "v1 and v2 taken as standard deviations and squared", "v_1 and v_2 taken as standard deviations"
)
def normal_kl(m1, v1, m2, v2):
    return np.log(v2 / v1) + (v1**2 + (m1 - m2) ** 2) / (2 * v2**2) - 0.5


@entry(
    "normal_kl", False, "KL in the wrong direction, right where the variances are equal", "the two exchanged, KL(q ‖ p)"
)
def normal_kl(m1, v1, m2, v2):
    return 0.5 * (np.log(v1 / v2) + (v2 + (m2 - m1) ** 2) / v1 - 1)


@entry("normal_kl", False, "the logarithm to base 2", "log_2 in place of ln")
def normal_kl(m1, v1, m2, v2):
    d2 = (m1 - m2) ** 2
    return (np.log2(v2 / v1) + (v1 + d2) / v2 - 1) / 2


@entry("normal_kl", True, "the variances' ratio as r - 1 - ln r, the means apart")
def normal_kl(mean_q, var_q, mean_p, var_p):
    r = np.asarray(var_q) / np.asarray(var_p)
    shape = r - 1 - np.log(r)
    return 0.5 * shape + 0.5 * np.square(np.subtract(mean_q, mean_p)) / var_p


# prior_kl


@entry("prior_kl", False, "B and D are mixed up, right only where they are equal", "D taken from the rows, shape[0]")
def prior_kl(x0, betas):
    D, B = x0.shape
    ab = np.prod(1 - betas)
    return 0.5 * (ab * np.sum(x0**2, axis=1) - D * ab - D * np.log(1 - ab))


@entry("prior_kl", False, "the mean over the rows, right only for one row", "a mean over the batch")
def prior_kl(x0, betas):
    ab, D = np.cumprod(1 - betas)[-1], x0.shape[1]
    rows = 0.5 * (ab * (x0**2).sum(axis=1) - D * ab - D * np.log(1 - ab))
    return rows.mean()


@entry("prior_kl", True, "KL of each coordinate with mean and variance, then summed in each row")
def prior_kl(x0, betas):
    ab = np.exp(np.log1p(-betas).sum())
    mean, var = np.sqrt(ab) * x0, 1 - ab
    return (0.5 * (var + mean**2 - 1 - np.log(var))).sum(axis=-1)


@entry("prior_kl", True, "one number: the sum over all rows, with vdot and size")
def prior_kl(data, betas):
    a = float(np.multiply.reduce(1 - betas))
    return 0.5 * (a * np.vdot(data, data) - data.size * (a + math.log1p(-a)))


# vlb_weight


@entry("vlb_weight", False, "the reverse variance is beta, not beta tilde", "β_t in place of β̃_t")
def vlb_weight(t, betas):
    beta = betas[t - 1]
    ab = np.prod(1 - betas[:t])
    return beta**2 / (2 * beta * (1 - beta) * (1 - ab))


@entry(
    "vlb_weight",
    False,
    "the weight of the loss in x0: half the difference of SNRs",
    "½ (SNR_{t−1} − SNR_t), the weight of ‖x_0 − x̂_0‖²",
)
def vlb_weight(t, betas):
    ab = np.cumprod(1 - betas)
    snr = ab / (1 - ab)
    return 0.5 * (snr[t - 2] - snr[t - 1])


@entry("vlb_weight", True, "expm1 of the difference of the logarithms of the SNR")
def vlb_weight(t, betas):
    def log_snr(k):
        log_ab = np.log1p(-betas[:k]).sum()
        return log_ab - np.log(-np.expm1(log_ab))

    return 0.5 * np.expm1(log_snr(t - 1) - log_snr(t))


# simple_loss


@entry("simple_loss", False, "divided by 2 B, right only for D = 2", "")
def simple_loss(eps_hat, eps):
    squares = np.sum((eps - eps_hat) ** 2, axis=1)
    return squares.mean() / 2


@entry(
    "simple_loss",
    False,
    "the difference is written over eps_hat",
    "`eps_hat = eps_hat + …` makes a new array; `eps_hat += …` and `eps_hat[…] = …` change the caller's.",
)
def simple_loss(eps_hat, eps):
    eps_hat -= eps
    return np.mean(eps_hat**2)


@entry("simple_loss", False, "prints the loss and returns None", "Is a `return` missing?")
def simple_loss(eps_hat, eps):
    loss = np.mean((eps - eps_hat) ** 2)
    print("loss:", loss)


@entry("simple_loss", True, "a double loop in plain Python with fsum")
def simple_loss(prediction, target):
    squares = [(float(a) - float(b)) ** 2 for p, q in zip(prediction, target) for a, b in zip(p, q)]
    return math.fsum(squares) / len(squares)


# x0_from_eps


@entry("x0_from_eps", False, "clipped to -1 and 1, as for images", "the answer clipped to [−1, 1]")
def x0_from_eps(x_t, t, eps, betas):
    ab = np.prod(1 - betas[:t])
    x0 = (x_t - np.sqrt(1 - ab) * eps) / np.sqrt(ab)
    return np.clip(x0, -1, 1)


@entry("x0_from_eps", False, "squeeze drops an axis where B or D is 1", "")
def x0_from_eps(x_t, t, eps, betas):
    ab = np.cumprod(1 - betas)[t - 1]
    return np.squeeze(x_t - np.sqrt(1 - ab) * eps) / np.sqrt(ab)


@entry("x0_from_eps", True, "OpenAI's coefficients, the roots of 1 / alpha_bar and of that minus 1")
def x0_from_eps(x_t, t, eps, betas):
    recip = 1 / np.cumprod(1 - betas)[t - 1]
    return np.sqrt(recip) * x_t - np.sqrt(recip - 1) * eps


# eps_from_x0


@entry(
    "eps_from_x0",
    False,
    "the divisor is kept at .1 or more, wrong only at early steps",
    "1 − ᾱ_t kept above 1e-2 in the divisor",
)
def eps_from_x0(x_t, t, x0, betas):
    ab = np.prod(1 - betas[:t])
    std = max(np.sqrt(1 - ab), 0.1)
    return (x_t - np.sqrt(ab) * x0) / std


@entry("eps_from_x0", False, "x0 is not scaled by the root of alpha_bar", "x_0 not scaled by √ᾱ_t")
def eps_from_x0(x_t, t, x0, betas):
    ab = np.cumprod(1 - betas)[t - 1]
    return (x_t - x0) / np.sqrt(1 - ab)


@entry("eps_from_x0", True, "1e-12 added to the divisor, product by reduce")
def eps_from_x0(x_t, t, x0, betas):
    from functools import reduce

    ab = reduce(lambda a, b: a * (1 - b), betas[:t].tolist(), 1.0)
    return (x_t - ab**0.5 * x0) / ((1 - ab) ** 0.5 + 1e-12)


# v_from_x0_eps


@entry("v_from_x0_eps", False, "the sign is reversed", "the opposite sign, √(1 − ᾱ_t) x_0 − √ᾱ_t ε")
def v_from_x0_eps(t, x0, eps, betas):
    ab = np.prod(1 - betas[:t])
    return np.sqrt(1 - ab) * x0 - np.sqrt(ab) * eps


@entry(
    "v_from_x0_eps",
    False,
    "x0 and eps in the wrong order among the arguments",
    "Take these arguments, in this order, by position.",
)
def v_from_x0_eps(t, eps, x0, betas):
    a = np.cumprod(1 - betas)[t - 1]
    return np.sqrt(a) * eps - np.sqrt(1 - a) * x0


@entry("v_from_x0_eps", True, "cosine and sine of an angle")
def v_from_x0_eps(t, x0, eps, betas):
    ab = np.prod(1 - betas[:t])
    phi = np.arctan2(np.sqrt(1 - ab), np.sqrt(ab))
    return np.cos(phi) * eps - np.sin(phi) * x0


# score_from_eps


@entry("score_from_eps", False, "divided by the variance, the root is forgotten", "1 − ᾱ_t in place of √(1 − ᾱ_t)")
def score_from_eps(t, eps, betas):
    return -eps / (1 - np.prod(1 - betas[:t]))


@entry("score_from_eps", False, "worked out and returned in float32", "Numbers were rounded on the way.")
def score_from_eps(t, eps, betas):
    std = np.sqrt(1 - np.cumprod(1 - betas)[t - 1])
    return (-eps / std).astype(np.float32)


@entry("score_from_eps", True, "a power of -1/2 of the variance, found by recursion")
def score_from_eps(t, eps, betas):
    def variance(k):
        return 0.0 if k == 0 else betas[k - 1] + (1 - betas[k - 1]) * variance(k - 1)

    return -(variance(t) ** -0.5) * eps


# tweedie


@entry(
    "tweedie",
    False,
    "the score is multiplied by the root of 1 - alpha_bar",
    "√(1 − ᾱ_t) in place of 1 − ᾱ_t, as if the score were ε",
)
def tweedie(x_t, t, score, betas):
    ab = np.prod(1 - betas[:t])
    return (x_t + np.sqrt(1 - ab) * score) / np.sqrt(ab)


@entry("tweedie", False, "brackets forgotten: only the score's term is divided by the root of alpha_bar", "")
def tweedie(x_t, t, score, betas):
    ab = np.cumprod(1 - betas)[t - 1]
    return x_t + (1 - ab) * score / np.sqrt(ab)


@entry("tweedie", True, "through eps: the score turned into noise first")
def tweedie(x, t, s, betas):
    log_ab = np.sum(np.log1p(-betas[:t]))
    std = np.sqrt(-np.expm1(log_ab))
    eps = -std * s
    return (x - std * eps) * np.exp(-log_ab / 2)


# cfg


@entry(
    "cfg",
    False,
    "the other convention, u + w (c - u), where w = 1 is no guidance",
    "the other convention, u + w (c − u), where w = 1 is no guidance",
)
def cfg(c, u, w):
    return u + w * (c - u)


@entry("cfg", False, "u, not c, where w is 0", "u returned at w = 0")
def cfg(c, u, w):
    if not w:
        return u.copy()
    return (1 + w) * c - w * u


@entry("cfg", False, "rescaled to the standard deviation of c", "")
def cfg(c, u, w):
    guided = (1 + w) * c - w * u
    return guided * (c.std() + 1e-12) / (guided.std() + 1e-12)


@entry("cfg", True, "c plus w times the difference, by tensordot over a stack")
def cfg(cond, uncond, scale):
    return np.tensordot([1.0, scale], np.stack([cond, cond - uncond]), axes=1)


# ddpm_step


@entry("ddpm_step", False, "noise of variance beta added at t = 1 too", "noise at the last step, t = 1")
def ddpm_step(x_t, t, eps_hat, z, betas):
    beta, ab = betas[t - 1], np.prod(1 - betas[:t])
    mean = (x_t - beta / np.sqrt(1 - ab) * eps_hat) / np.sqrt(1 - beta)
    return mean + np.sqrt(beta) * z if t > 0 else mean


@entry("ddpm_step", False, "beta tilde's ratio upside down, so the variance is greater than beta", "")
def ddpm_step(x_t, t, eps_hat, z, betas):
    ab = np.concatenate([[1.0], np.cumprod(1 - betas)])
    beta = betas[t - 1]
    mean = (x_t - beta / np.sqrt(1 - ab[t]) * eps_hat) / np.sqrt(1 - beta)
    return mean if t == 1 else mean + np.sqrt(beta * (1 - ab[t]) / (1 - ab[t - 1])) * z


@entry(
    "ddpm_step",
    False,
    "x0 is clipped to -1 and 1 before the posterior's mean is taken",
    "x̂_0 clipped to [−1, 1], which the samplers of images do and the step does not",
)
def ddpm_step(x_t, t, eps_hat, z, betas):
    b, ab, prev = betas[t - 1], np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    x0 = np.clip((x_t - np.sqrt(1 - ab) * eps_hat) / np.sqrt(ab), -1.0, 1.0)
    mean = (np.sqrt(1 - b) * (1 - prev) * x_t + np.sqrt(prev) * b * x0) / (1 - ab)
    return mean + (t > 1) * np.sqrt(b) * z


@entry("ddpm_step", True, "the variance is the geometric mean of beta and beta tilde")
def ddpm_step(x_t, t, eps_hat, z, betas):
    b, ab, prev = betas[t - 1], np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    mean = (x_t - b / np.sqrt(1 - ab) * eps_hat) / np.sqrt(1 - b)
    variance = np.sqrt(b * (b * (1 - prev) / (1 - ab)))
    return mean + np.sqrt(variance) * z


@entry("ddpm_step", True, "through x0 and the posterior's mean, variance beta, 1e-12 added to a divisor")
def ddpm_step(x, t, e, z, betas):
    b, ab, prev = betas[t - 1], np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    x0 = (x - np.sqrt(1 - ab) * e) / (np.sqrt(ab) + 1e-12)
    mean = (np.sqrt(1 - b) * (1 - prev) * x + np.sqrt(prev) * b * x0) / (1 - ab)
    return mean + (np.sqrt(b) * z if t > 1 else 0)


# ddpm_step_beta_tilde


@entry("ddpm_step_beta_tilde", False, "the noise has variance beta, not beta tilde", "β_t in place of β̃_t")
def ddpm_step_beta_tilde(x_t, t, eps_hat, z, betas):
    beta, ab = betas[t - 1], np.prod(1 - betas[:t])
    mean = (x_t - beta / np.sqrt(1 - ab) * eps_hat) / np.sqrt(1 - beta)
    return mean + np.sqrt(beta) * z * (t > 1)


@entry("ddpm_step_beta_tilde", False, "noise only from t = 3 on, t > 2 in place of t > 1", "no noise at t = 2")
def ddpm_step_beta_tilde(x_t, t, eps_hat, z, betas):
    ab = np.append(1.0, np.cumprod(1 - betas))
    b = betas[t - 1]
    x = (x_t - b / np.sqrt(1 - ab[t]) * eps_hat) / np.sqrt(1 - b)
    if t > 2:
        x = x + np.sqrt(b * (1 - ab[t - 1]) / (1 - ab[t])) * z
    return x


@entry("ddpm_step_beta_tilde", False, "the root is taken of beta only, not of the ratio", "")
def ddpm_step_beta_tilde(x_t, t, eps_hat, z, betas):
    ab = np.prod(1 - betas[:t])
    ab_prev, b = np.prod(1 - betas[: t - 1]), betas[t - 1]
    mean = (x_t - b / np.sqrt(1 - ab) * eps_hat) / np.sqrt(1 - b)
    return mean + np.sqrt(b) * (1 - ab_prev) / (1 - ab) * z


@entry("ddpm_step_beta_tilde", True, "as DDIM with eta = 1 from t to t - 1")
def ddpm_step_beta_tilde(x_t, t, eps_hat, z, betas):
    to, now = np.prod(1 - betas[: t - 1]), np.prod(1 - betas[:t])
    var = (1 - to) / (1 - now) * (1 - now / to)
    x0 = (x_t - np.sqrt(1 - now) * eps_hat) / np.sqrt(now)
    return np.sqrt(to) * x0 + np.sqrt(np.maximum(1 - to - var, 0)) * eps_hat + np.sqrt(var) * z


# ddim_step


@entry(
    "ddim_step",
    False,
    "cumprod without the leading one: s = 0 wraps round to alpha_bar_T",
    "cumprod(1 − betas)[s − 1] for ᾱ_s, the last ᾱ at s = 0",
)
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    ab = np.cumprod(1 - betas)
    a_t, a_s = ab[t - 1], ab[s - 1]
    x0 = (x_t - np.sqrt(1 - a_t) * eps_hat) / np.sqrt(a_t)
    d = eta * np.sqrt((1 - a_s) / (1 - a_t) * max(1 - a_t / a_s, 0))
    return np.sqrt(a_s) * x0 + np.sqrt(1 - a_s - d**2) * eps_hat + d * z


@entry(
    "ddim_step",
    False,
    "d squared is not taken off the direction's variance, right only for eta = 0",
    "√(1 − ᾱ_s) before ε̂, d² not taken off",
)
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    a_t, a_s = np.prod(1 - betas[:t]), np.prod(1 - betas[:s])
    x0 = (x_t - np.sqrt(1 - a_t) * eps_hat) / np.sqrt(a_t)
    d = eta * np.sqrt((1 - a_s) / (1 - a_t) * (1 - a_t / a_s))
    return np.sqrt(a_s) * x0 + np.sqrt(1 - a_s) * eps_hat + d * z


@entry(
    "ddim_step",
    False,
    "eta inside the root without its square, right for eta = 0 and 1",
    "√η in place of η: η times the variance",
)
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    a_t, a_s = np.prod(1 - betas[:t]), np.prod(1 - betas[:s])
    x0 = (x_t - np.sqrt(1 - a_t) * eps_hat) / np.sqrt(a_t)
    d2 = eta * (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)
    return np.sqrt(a_s) * x0 + np.sqrt(1 - a_s - d2) * eps_hat + np.sqrt(d2) * z


@entry("ddim_step", False, "s is ignored, the step always goes to t - 1", "s ignored: a step to t − 1")
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    a = np.append(1.0, np.cumprod(1 - betas))
    x0 = (x_t - np.sqrt(1 - a[t]) * eps_hat) / np.sqrt(a[t])
    d2 = eta**2 * (1 - a[t - 1]) / (1 - a[t]) * (1 - a[t] / a[t - 1])
    return np.sqrt(a[t - 1]) * x0 + np.sqrt(1 - a[t - 1] - d2) * eps_hat + np.sqrt(d2) * z


@entry("ddim_step", True, "x_t scaled by the ratio of signals, plus a coefficient times eps_hat")
def ddim_step(x, t, s, e, z, betas, eta):
    log_ab = np.concatenate([[0.0], np.cumsum(np.log1p(-betas))])
    shrink = np.exp((log_ab[s] - log_ab[t]) / 2)
    var_s, var_t = -np.expm1(log_ab[s]), -np.expm1(log_ab[t])
    d = eta * np.sqrt(var_s / var_t * -np.expm1(log_ab[t] - log_ab[s]))
    return shrink * x + (np.sqrt(np.maximum(var_s - d * d, 0)) - shrink * np.sqrt(var_t)) * e + d * z


# reverse_sde_drift


@entry(
    "reverse_sde_drift",
    False,
    "half the score, the probability flow's drift",
    "½ β before the score: the probability flow's, which has no noise",
)
def reverse_sde_drift(x, beta, score):
    return -0.5 * beta * x - 0.5 * beta * score


@entry("reverse_sde_drift", False, "the sign of the forward drift is reversed", "the sign of β x")
def reverse_sde_drift(x, beta, score):
    f = 0.5 * beta * x
    g = np.sqrt(beta)
    return f - g**2 * score


@entry("reverse_sde_drift", True, "f and g as inner functions of their own")
def reverse_sde_drift(x, beta, score):
    def f(y):
        return -beta / 2 * y

    def g():
        return math.sqrt(beta)

    return f(x) - g() ** 2 * score


# probability_flow_drift


@entry(
    "probability_flow_drift",
    False,
    "the whole score in place of half of it, the reverse SDE's drift",
    "the ½ before the score dropped: the reverse SDE's drift",
)
def probability_flow_drift(x, beta, score):
    return -0.5 * beta * (x + 2 * score)


@entry(
    "probability_flow_drift",
    False,
    "the numbers are right, but score is changed in place",
    "`score = score + …` makes a new array; `score += …` and `score[…] = …` change the caller's.",
)
def probability_flow_drift(x, beta, score):
    score += x
    return -0.5 * beta * score


@entry("probability_flow_drift", True, "with an output buffer of its own and ufuncs")
def probability_flow_drift(x, beta, score):
    out = np.add(x, score)
    np.multiply(out, -beta / 2, out=out)
    return out


# hutchinson


@entry("hutchinson", False, "vjp is called with its arguments swapped", "vjp called as vjp(v, x)")
def hutchinson(vjp, x, probes):
    return np.mean([np.sum(vjp(v, x) * v, axis=1) for v in probes], axis=0)


@entry(
    "hutchinson",
    False,
    "each probe is rescaled to length root D, right only for Rademacher probes",
    "divided by vᵀ v/D",
)
def hutchinson(vjp, x, probes):
    D, total = x.shape[1], 0
    for v in probes:
        total = total + D * np.sum(vjp(x, v) * v, axis=1) / np.sum(v * v, axis=1)
    return total / len(probes)


@entry("hutchinson", False, "every row gets the mean over all rows, right only for B = 1", "a mean over the batch")
def hutchinson(vjp, x, probes):
    estimates = np.array([(vjp(x, v) * v).sum(axis=-1) for v in probes])
    return np.full(len(x), estimates.mean())


@entry(
    "hutchinson",
    False,
    "the mean over coordinates in place of their sum, right only for D = 1",
    "a mean over the coordinates",
)
def hutchinson(vjp, x, probes):
    products = np.stack([vjp(x, v) * v for v in probes])
    return products.mean(axis=(0, 2))


@entry("hutchinson", True, "einsum over a stack of products")
def hutchinson(vjp, x, probes):
    rows = np.stack([vjp(x, probe) for probe in probes])
    return np.einsum("pbd,pbd->b", rows, probes) / probes.shape[0]


# euler_step


@entry(
    "euler_step",
    False,
    "the step's absolute value, wrong where s is earlier than t",
    "|s − t| in place of s − t, wrong backwards",
)
def euler_step(f, x, t, s):
    dt = abs(s - t)
    return x + dt * f(x, t)


@entry("euler_step", False, "f is taken at s, right where f does not depend on time", "f at the end, s")
def euler_step(f, x, t, s):
    return x + (s - t) * f(x, s)


@entry("euler_step", True, "a Runge-Kutta step of one stage, from a tableau")
def euler_step(f, x, t, s):
    nodes, weights = [0.0], [1.0]
    slopes = [f(x, t + c * (s - t)) for c in nodes]
    return x + (s - t) * sum(w * k for w, k in zip(weights, slopes))


# heun_step


@entry(
    "heun_step",
    False,
    "the second slope is taken at time t, right where f does not depend on time",
    "the second slope at t in place of s",
)
def heun_step(f, x, t, s):
    k1 = f(x, t)
    k2 = f(x + (s - t) * k1, t)
    return x + (s - t) * (k1 + k2) / 2


@entry(
    "heun_step",
    False,
    "the midpoint method, which is right where f is linear in x and without time",
    "the slope in the middle: the midpoint rule",
)
def heun_step(f, x, t, s):
    h = s - t
    middle = x + h / 2 * f(x, t)
    return x + h * f(middle, t + h / 2)


@entry(
    "heun_step",
    False,
    "the numbers are right, but x itself is changed through another name",
    "`x = x + …` makes a new array; `x += …` and `x[…] = …` change the caller's. So does `k += …` where k is what a function gave back: it may be x itself.",
)
def heun_step(f, x, t, s):
    x_new, k1 = x, f(x, t)
    k2 = f(x + (s - t) * k1, s)
    x_new += 0.5 * (s - t) * (k1 + k2)
    return x_new


@entry("heun_step", True, "the mean of the Euler point and a second Euler step from it")
def heun_step(drift, x, t0, t1):
    euler = lambda y, at: y + (t1 - t0) * drift(y, at)
    first = euler(x, t0)
    second = euler(first, t1)
    return (x + second) / 2


# euler_maruyama_step


@entry(
    "euler_maruyama_step",
    False,
    "the root of s - t without absolute value, nan on the way back",
    "√(s − t), which is not a number on the way back",
)
def euler_maruyama_step(f, g, x, t, s, z):
    dt = s - t
    return x + dt * f(x, t) + np.sqrt(dt) * g(t) * z


@entry("euler_maruyama_step", False, "the diffusion is taken at s, right where g is constant", "g at s in place of t")
def euler_maruyama_step(f, g, x, t, s, z):
    return x + (s - t) * f(x, t) + np.sqrt(abs(s - t)) * g(s) * z


@entry(
    "euler_maruyama_step",
    False,
    "the noise has the sign of the step, wrong on the way back",
    "the noise subtracted on the way back",
)
def euler_maruyama_step(f, g, x, t, s, z):
    dt = s - t
    dw = np.sign(dt) * np.sqrt(np.abs(dt)) * z
    return x + f(x, t) * dt + g(t) * dw


@entry("euler_maruyama_step", True, "the noise by the root of g squared times the step, with g's sign")
def euler_maruyama_step(f, g, x, t, s, z):
    drift, diffusion = f(x, t), g(t)
    std = np.sign(diffusion) * np.sqrt(diffusion**2 * max(s - t, t - s))
    return x - (t - s) * drift + std * z


# dpm_solver_2m_step


@entry("dpm_solver_2m_step", False, "h / 2 * h' without brackets multiplies by h'", "")
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    lam = lambda u: np.log(alpha(u) / sigma(u))
    h, h_before = lam(s) - lam(t), lam(t) - lam(t_before)
    D = x0_hat + (x0_hat - x0_hat_before) * h / 2 * h_before
    return sigma(s) / sigma(t) * x_t - alpha(s) * (np.exp(-h) - 1) * D


@entry(
    "dpm_solver_2m_step",
    False,
    "lambda is the logarithm of the SNR, twice the ln(alpha / sigma)",
    "the log-SNR, which is twice ln(α/σ)",
)
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    lam = lambda u: np.log(alpha(u) ** 2 / sigma(u) ** 2)
    h, h_before = lam(s) - lam(t), lam(t) - lam(t_before)
    D = x0_hat + (x0_hat - x0_hat_before) * h / (2 * h_before)
    return sigma(s) / sigma(t) * x_t - alpha(s) * np.expm1(-h) * D


@entry("dpm_solver_2m_step", False, "alpha at t in place of s", "α_t in place of α_s")
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    l0, l1, l2 = [math.log(alpha(u) / sigma(u)) for u in (t_before, t, s)]
    r = (l1 - l0) / (l2 - l1)
    D = (1 + 1 / (2 * r)) * x0_hat - 1 / (2 * r) * x0_hat_before
    return sigma(s) / sigma(t) * x_t - alpha(t) * (math.exp(l1 - l2) - 1) * D


@entry(
    "dpm_solver_2m_step",
    False,
    "the extrapolation takes steps of time, not of lambda, for h / h'",
    "h and h′ measured in time in place of ln(α/σ)",
)
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    lam = lambda u: np.log(alpha(u)) - np.log(sigma(u))
    h = lam(s) - lam(t)
    ratio = (s - t) / (t - t_before)
    D = x0_hat + 0.5 * ratio * (x0_hat - x0_hat_before)
    return sigma(s) / sigma(t) * x_t - alpha(s) * np.expm1(-h) * D


@entry("dpm_solver_2m_step", True, "without exponentials: e^-h is a ratio of alphas and sigmas")
def dpm_solver_2m_step(x, now, before, t0, t1, t2, alpha, sigma):
    (a0, s0), (a1, s1), (a2, s2) = [(alpha(u), sigma(u)) for u in (t0, t1, t2)]
    step, step_before = math.log(a2 * s1 / (a1 * s2)), math.log(a1 * s0 / (a0 * s1))
    slope = (now - before) / step_before
    return s2 / s1 * x + (a2 - a1 * s2 / s1) * (now + slope * step / 2)


# linear_backward


@entry("linear_backward", False, "dw and db are divided by the batch's size", "dw and db divided by B")
def linear_backward(x, w, dy):
    B = len(x)
    return dy @ w.T, x.T @ dy / B, dy.sum(axis=0) / B


@entry("linear_backward", False, "w is not transposed, which raises unless w is square", "w in place of wᵀ")
def linear_backward(x, w, dy):
    dx = dy @ w
    dw = x.T @ dy
    return dx, dw, dy.sum(axis=0)


@entry("linear_backward", False, "db sums over the wrong axis", "db summed over columns")
def linear_backward(x, w, dy):
    dx = np.dot(dy, np.transpose(w))
    dw = np.dot(np.transpose(x), dy)
    return dx, dw, np.sum(dy, axis=1)


@entry("linear_backward", True, "outer products added row by row, db as (1, m)")
def linear_backward(x, w, dy):
    dw = np.zeros_like(w)
    for row, grad in zip(x, dy):
        dw += np.outer(row, grad)
    return [np.einsum("bm,nm->bn", dy, w), dw, dy.sum(axis=0, keepdims=True)]


# silu_backward


@entry("silu_backward", False, "y + s (1 - s) in place of y + s (1 - y)", "")
def silu_backward(x, dy):
    s = 0.5 * (1 + np.tanh(x / 2))
    y = x * s
    return dy * (y + s * (1 - s))


@entry("silu_backward", False, "math.exp number by number, an OverflowError below -709", "Raised in line")
def silu_backward(x, dy):
    def slope(u):
        s = 1 / (1 + math.exp(-u))
        return s * (1 + u * (1 - s))

    return np.array([[slope(u) * g for u, g in zip(r, d)] for r, d in zip(x, dy)])


@entry("silu_backward", False, "the sigmoid's argument is clipped at 10, wrong for large values", "")
def silu_backward(x, dy):
    s = 1 / (1 + np.exp(-np.clip(x, -10, 10)))
    return dy * s * (1 + x * (1 - s))


@entry("silu_backward", True, "the plain formula, whose exp may overflow to inf, with the warning silenced")
def silu_backward(x, dy):
    with np.errstate(over="ignore"):
        s = 1 / (1 + np.exp(-x))
    return dy * s * (1 + x * (1 - s))


# layer_norm_backward


@entry("layer_norm_backward", False, "the variance with ddof=1", "a variance that divides by D − 1")
def layer_norm_backward(x, dy, eps):
    mean, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True, ddof=1)
    r = np.sqrt(var + eps)
    y = (x - mean) / r
    return (dy - dy.mean(axis=1, keepdims=True) - y * (y * dy).mean(axis=1, keepdims=True)) / r


@entry(
    "layer_norm_backward", False, "the deviation taken as constant, without y mean(y dy)", "y mean(y dy) not subtracted"
)
def layer_norm_backward(x, dy, eps):
    std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    return (dy - dy.mean(axis=1, keepdims=True)) / std


@entry("layer_norm_backward", False, "eps is added to the standard deviation, outside the root", "eps outside the root")
def layer_norm_backward(x, dy, eps):
    m = lambda a: np.mean(a, axis=-1, keepdims=True)
    r = x.std(axis=-1, keepdims=True) + eps
    y = (x - m(x)) / r
    return (dy - m(dy) - y * m(y * dy)) / r


@entry("layer_norm_backward", True, "the whole Jacobian of each row, times dy")
def layer_norm_backward(x, dy, eps):
    D, out = x.shape[1], np.empty_like(x)
    for i, (row, grad) in enumerate(zip(x, dy)):
        r = math.sqrt(((row - row.mean()) ** 2).mean() + eps)
        y = (row - row.mean()) / r
        out[i] = (np.eye(D) - 1 / D - np.outer(y, y) / D) @ grad / r
    return out


# adam_step


@entry("adam_step", False, "eps inside the root", "eps within the root")
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    mu = b1 * mu + (1 - b1) * grad
    nu = b2 * nu + (1 - b2) * grad**2
    m_hat, v_hat = mu / (1 - b1**count), nu / (1 - b2**count)
    return theta - lr * m_hat / np.sqrt(v_hat + eps), mu, nu


@entry("adam_step", False, "the corrected averages are returned", "the corrected averages returned")
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    mu = (b1 * mu + (1 - b1) * grad) / (1 - b1**count)
    nu = (b2 * nu + (1 - b2) * grad * grad) / (1 - b2**count)
    return theta - lr * mu / (np.sqrt(nu) + eps), mu, nu


@entry(
    "adam_step",
    False,
    "mu and nu are changed in place",
    "`mu = mu + …` makes a new array; `mu += …` and `mu[…] = …` change the caller's.",
)
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    mu *= b1
    mu += (1 - b1) * grad
    nu *= b2
    nu += (1 - b2) * grad**2
    step = lr * (mu / (1 - b1**count)) / (np.sqrt(nu / (1 - b2**count)) + eps)
    return theta - step, mu.copy(), nu.copy()


@entry(
    "adam_step",
    False,
    "counts its own calls and ignores count",
    "Draw nothing inside and keep nothing between calls: noise is an argument.",
)
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps, state={"n": 0}):
    state["n"] += 1
    mu, nu = b1 * mu + (1 - b1) * grad, b2 * nu + (1 - b2) * grad**2
    mu_hat, nu_hat = mu / (1 - b1 ** state["n"]), nu / (1 - b2 ** state["n"])
    return theta - lr * mu_hat / (np.sqrt(nu_hat) + eps), mu, nu


@entry("adam_step", True, "both corrections in the rate, with eps scaled to match")
def adam_step(p, g, m, v, k, lr, b1, b2, eps):
    m, v = m + (1 - b1) * (g - m), v + (1 - b2) * (g * g - v)
    root = math.sqrt(1 - b2**k)
    rate = lr * root / (1 - b1**k)
    return p - rate * m / (np.sqrt(v) + eps * root), m, v


# ema_update


@entry("ema_update", False, "decay multiplies theta and 1 - decay the average", "decay and 1 − decay exchanged")
def ema_update(ema, theta, decay):
    return (1 - decay) * ema + decay * theta


@entry("ema_update", False, "changes ema in place and returns None", "Is a `return` missing?")
def ema_update(ema, theta, decay):
    ema *= decay
    ema += (1 - decay) * theta


@entry("ema_update", True, "np.average of the two with weights")
def ema_update(ema, theta, decay):
    return np.average([ema, theta], axis=0, weights=[decay, 1 - decay])


# fourier_features


@entry(
    "fourier_features",
    False,
    "stack and reshape mixes the rows, right only for B = 1",
    "rows mixed: (2, B, F) made (B, 2F) by a reshape",
)
def fourier_features(t, frequencies):
    angles = t[:, None] * frequencies[None, :]
    return np.stack([np.sin(angles), np.cos(angles)]).reshape(len(t), 2 * len(frequencies))


@entry(
    "fourier_features",
    False,
    "frequencies taken as turns: a factor of 2 pi too many",
    "cycles in place of radians: 2π ω t",
)
def fourier_features(t, frequencies):
    angles = 2 * np.pi * np.outer(t, frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


@entry("fourier_features", False, "the angles are taken as degrees", "degrees in place of radians")
def fourier_features(t, frequencies):
    angles = np.deg2rad(np.outer(t, frequencies))
    return np.hstack([np.sin(angles), np.cos(angles)])


@entry("fourier_features", True, "the parts of a complex exponential, sines first")
def fourier_features(t, frequencies):
    wave = np.exp(1j * np.multiply.outer(t, frequencies))
    return np.hstack((wave.imag, wave.real))


@entry("fourier_features", True, "pair by pair, in loops over lists")
def fourier_features(times, omegas):
    rows = []
    for u in times:
        rows.append([g(w * u) for w in omegas for g in (math.sin, math.cos)])
    return np.array(rows)


# empirical_denoiser


@entry("empirical_denoiser", False, "exponentials that underflow, hidden by 1e-12: zero far from all points", "")
def empirical_denoiser(x_t, points, t, betas):
    ab = np.prod(1 - betas[:t])
    d2 = ((x_t[:, None] - np.sqrt(ab) * points[None]) ** 2).sum(axis=-1)
    w = np.exp(-d2 / (2 * (1 - ab)))
    return w @ points / (w.sum(axis=1, keepdims=True) + 1e-12)


@entry(
    "empirical_denoiser",
    False,
    "the whole batch's greatest logit taken off, other rows underflow",
    "one shift of the exponents for the whole batch",
)
def empirical_denoiser(x_t, points, t, betas):
    ab = np.prod(1 - betas[:t])
    logits = -((x_t[:, None] - np.sqrt(ab) * points) ** 2).sum(axis=2) / (2 * (1 - ab))
    w = np.exp(logits - logits.max())
    return (w / w.sum(axis=1, keepdims=True)) @ points


@entry("empirical_denoiser", False, "chunks of 64 rows, the rest of a large batch stays at zero", "")
def empirical_denoiser(x_t, points, t, betas):
    ab, out = np.prod(1 - betas[:t]), np.zeros_like(x_t)
    for k in range(max(1, len(x_t) // 64)):
        x = x_t[64 * k : 64 * k + 64]
        d2 = np.sum((x[:, None] - np.sqrt(ab) * points) ** 2, axis=2) / (2 * (1 - ab))
        w = np.exp(d2.min(axis=1, keepdims=True) - d2)
        out[64 * k : 64 * k + 64] = w @ points / w.sum(axis=1, keepdims=True)
    return out


@entry(
    "empirical_denoiser",
    False,
    "the points are not scaled by the root of alpha_bar",
    "the points not scaled by √ᾱ_t in the distance",
)
def empirical_denoiser(x_t, points, t, betas):
    var = 1 - np.prod(1 - betas[:t])
    logits = -np.sum((x_t[:, None] - points[None]) ** 2, axis=-1) / (2 * var)
    w = np.exp(logits - logits.max(axis=1, keepdims=True))
    return w @ points / w.sum(axis=1, keepdims=True)


@entry("empirical_denoiser", True, "row by row, the nearest point's distance taken off, 1e-12 in the divisor")
def empirical_denoiser(x_t, points, t, betas):
    ab, rows = np.prod(1 - betas[:t]), []
    for x in x_t:
        q = np.einsum("nd,nd->n", *[x - np.sqrt(ab) * points] * 2) / 2 / (1 - ab)
        w = np.exp(q.min() - q)
        rows.append(sum(a * y for a, y in zip(w, points)) / (w.sum() + 1e-12))
    return np.array(rows)


# effective_neighbours


@entry("effective_neighbours", False, "keepdims leaves a column (B, 1)", "(B, 1) in place of (B,)")
def effective_neighbours(weights):
    return 1 / np.sum(weights**2, axis=1, keepdims=True)


@entry(
    "effective_neighbours",
    False,
    "the exponential of the entropy, right only for equal weights",
    "e to the entropy, which is another effective number",
)
def effective_neighbours(weights):
    logs = np.log(np.where(weights > 0, weights, 1.0))
    return np.exp(-np.sum(weights * logs, axis=1))


@entry("effective_neighbours", True, "the squared ratio of the 1-norm to the 2-norm")
def effective_neighbours(weights):
    one, two = np.linalg.norm(weights, ord=1, axis=1), np.linalg.norm(weights, axis=1)
    return (one / two) ** 2


# inpaint_known


@entry("inpaint_known", False, "at s = 0 known is returned everywhere, whatever the mask", "")
def inpaint_known(x_s, known, mask, s, eps, betas):
    if s == 0:
        return known.copy()
    ab = np.prod(1 - betas[:s])
    return np.where(mask, np.sqrt(ab) * known + np.sqrt(1 - ab) * eps, x_s)


@entry(
    "inpaint_known",
    False,
    "the numbers are right, but they are written into x_s",
    "`x_s = x_s + …` makes a new array; `x_s += …` and `x_s[…] = …` change the caller's.",
)
def inpaint_known(x_s, known, mask, s, eps, betas):
    ab = np.prod(1 - betas[:s])
    x_s[mask] = np.sqrt(ab) * known[mask] + np.sqrt(1 - ab) * eps[mask]
    return x_s


@entry("inpaint_known", True, "the mask as numbers 0 and 1, math.prod over a slice that may be empty")
def inpaint_known(x_s, known, mask, s, eps, betas):
    ab = math.prod(1 - b for b in betas[:s])
    m = mask.astype(float)
    return (1 - m) * x_s + m * (math.sqrt(ab) * known + math.sqrt(1 - ab) * eps)
