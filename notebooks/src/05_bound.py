# %% [markdown]
# # 4. The ELBO, every term
#
# **Why does likelihood become a squared error of noise?**
#
# *You need:* [notebook 2](02_schedules.ipynb) (the signal-to-noise ratio), [notebook 3](03_undoing_one_step.ipynb)
# (the posterior $q(x_{t-1} \mid x_t, x_0)$) and Jensen's inequality. *To read:* 45 minutes. *To work:* 40 minutes.
# *Papers:* Ho et al. 2020, [DDPM](https://arxiv.org/abs/2006.11239), §2–3; Kingma et al. 2021,
# [VDM](https://arxiv.org/abs/2107.00630).
#
# The reverse chain of notebook 3 is a model of data: start from noise, step back $T$ times. A good model gives the
# data a high density. That density is an integral that nobody can do, so one maximises something below it. Term by term
# that something turns out to be a squared error, weighted in a way that everybody then leaves out.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from tqdm.auto import tqdm

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(4)

# %% [markdown]
# ## Why a bound at all
#
# The model is a chain that runs backwards. It draws $x_T$ from $p(x_T) = \mathcal N(0, I)$ and then, for
# $t = T, \dots, 1$, draws $x_{t-1}$ from a Gaussian $p(x_{t-1} \mid x_t)$ whose mean comes from a guess of the data,
# as in notebook 3:
#
# $$p(x_{t-1} \mid x_t) = q\big(x_{t-1} \mid x_t,\ x_0 = \hat x_0(x_t, t)\big) \quad (t \ge 2), \qquad
#   p(x_0 \mid x_1) = \mathcal N\big(\hat x_0(x_1, 1),\ \tfrac{\sigma_1^2}{\alpha_1^2} I\big).$$
#
# Here $\alpha_t = \sqrt{\bar\alpha_t}$ and $\sigma_t^2 = 1 - \bar\alpha_t$ belong to the jump, as in notebook 2. (The
# last step cannot be like the others: its variance would be $\tilde\beta_1 = 0$, and a single point has no density. It
# gets the variance of $x_1/\alpha_1$ around $x_0$.) The model's density at a data point is a sum over all ways to get
# there,
#
# $$p(x_0) = \int p(x_T) \prod_{t=1}^{T} p(x_{t-1} \mid x_t)\; dx_1 \cdots dx_T ,$$
#
# an integral over $T \times D$ numbers: 784,000 of them for small images and a thousand steps.
#
# On a line, with few steps, we can do it: $T$ products of a matrix and a vector on a grid of points. So take the
# two-mode mixture of notebook 1, a chain of $T = 8$ steps, and the best guess there is,
# $\hat x_0 = \mathbb E[x_0 \mid x_t]$. The library's `Oracle` knows it exactly for mixtures. (In the library $t$ is a
# number in $[0, 1]$: step $n$ of $T$ is the time $n/T$. A list of times, `ts`, holds those of $x_T, \dots, x_1$; the data
# themselves, at time 0, come after the last.)

# %%
data = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
short = td.Discrete.cosine(8)
oracle = td.Oracle(data, short)
ts = np.arange(8, 0, -1) / 8  # 1, 7/8, …, 1/8


def normal(x, mean, var):
    """The density of N(mean, var) at x."""
    return np.exp(-((x - mean) ** 2) / (2 * var)) / np.sqrt(2 * np.pi * var)


line = np.linspace(-9, 9, 1801)[:, None]
dx = line[1, 0] - line[0, 0]
p = normal(line[:, 0], 0, 1)  # p(x_T)
for now, then in pairwise([short.at(t) for t in (*ts, 0.0)]):
    x0_hat = oracle.x0(line, now)
    if then.t > 0:
        c_t, c_0, var = td.posterior(now, then)
        mean = c_t * line + c_0 * x0_hat
    else:
        mean, var = x0_hat, (now.sigma / now.alpha) ** 2
    p = normal(line, mean.T, var) @ p * dx  # p(x_s) = ∫ p(x_s | x_t) p(x_t) dx_t: a row for each x_s, a column for x_t
print(f"the model's density integrates to {np.sum(p) * dx:.12f}")
assert abs(np.sum(p) * dx - 1) < 1e-9

# %% [markdown]
# For images there is no grid. What is left is to *sample*, and the trick is where to sample from.
#
# ## Jensen's inequality
#
# Given a data point $x_0$, the noising chain $q(x_{1:T} \mid x_0)$ tells where its noisy versions are. (We write
# $x_{1:T}$ for $x_1, \dots, x_T$.) Multiply and divide by it, and then pull the logarithm inside the mean:
#
# $$\ln p(x_0) = \ln \int q(x_{1:T} \mid x_0)\,\frac{p(x_{0:T})}{q(x_{1:T} \mid x_0)}\,dx_{1:T}
#   = \ln \mathbb E_q\!\left[\frac{p(x_{0:T})}{q(x_{1:T} \mid x_0)}\right]
#   \;\ge\; \mathbb E_q\!\left[\ln\frac{p(x_{0:T})}{q(x_{1:T} \mid x_0)}\right] =: \mathrm{ELBO}(x_0).$$
#
# The last step is Jensen's inequality: $\ln$ is concave. How much is lost? Write
# $p(x_{0:T}) = p(x_0)\,p(x_{1:T} \mid x_0)$ in the last expression; $\ln p(x_0)$ comes out of the mean, and what
# stays is minus a Kullback–Leibler divergence:
#
# $$\ln p(x_0) - \mathrm{ELBO}(x_0) = \mathbb E_q\!\left[\ln\frac{q(x_{1:T} \mid x_0)}{p(x_{1:T} \mid x_0)}\right]
#   = \mathrm{KL}\big(q(x_{1:T} \mid x_0)\,\big\|\,p(x_{1:T} \mid x_0)\big) \ge 0 .$$
#
# ELBO stands for *evidence lower bound*. Its negative bounds $-\ln p(x_0)$ from above, in nats: a price.
#
# **Predict.** Draw many noising paths from one point $x_0$ and note $\ln p(x_{0:T})/q(x_{1:T} \mid x_0)$ for each.
# Is the histogram symmetric? Can a path lie above $\ln p(x_0)$, and how many of them do?

# %%
n = 20_000
point = 0.8
path = td.forward_path(short, np.full((n, 1), point), ts, rng)  # x_8, …, x_0, each (n, 1)
ratio = td.path_log_ratio(oracle, path, ts)  # ln p(x_{0:T}) − ln q(x_{1:T} | x_0) of each path, (n,)
log_p = np.interp(point, line[:, 0], np.log(p))
elbo_error = ratio.std() / np.sqrt(n)
weight = np.exp(ratio)
log_mean, log_mean_error = np.log(weight.mean()), weight.std() / weight.mean() / np.sqrt(n)  # d ln m = dm/m

# For the right panel: each term of the bound, derived below, is a mean over the ε of one x_t. So all steps may use the
# same nodes z in place of draws: E f(ε) ≈ Σ gauss f(z).
z = np.linspace(-7.5, 7.5, 31)
gauss = np.exp(-(z**2) / 2) / np.sum(np.exp(-(z**2) / 2))
where = np.linspace(-2.2, 2.2, 89)[:, None]
noise = np.broadcast_to(np.tile(z, len(where))[:, None], (8, len(where) * len(z), 1))
parts = td.elbo(oracle, np.repeat(where, len(z), axis=0), ts, noise=noise)
bound = -parts.nats.reshape(len(where), len(z)) @ gauss

fig, (ax, right) = plt.subplots(1, 2, figsize=(9, 3.3))
ax.hist(ratio, bins=90, range=(-7, 1.5), density=True, color=DATA, alpha=0.5)
ax.axvline(ratio.mean(), color=MODEL, ls="--")
ax.axvline(log_p, color=EXACT)
top = 1.3 * ax.get_ylim()[1]
ax.set_ylim(0, top)
ax.text(ratio.mean() - 0.15, 0.97 * top, "mean:\nthe ELBO", color=MODEL, ha="right", va="top")
ax.text(log_p + 0.15, 0.97 * top, "$\\ln\\,p(x_0)$", color=EXACT, va="top")
ax.set(xlabel="$\\ln\\,p/q$ of a path (nats)", yticks=[], ylabel="density of paths", xlim=(-7, 1.5))
ax.set_title(f"20,000 paths from $x_0$ = {point}")
right.plot(line, data.log_density(line), color=DATA, lw=1.5, ls=":")
right.plot(line, np.log(p), color=EXACT)
right.plot(where, bound, color=MODEL, ls="--")
right.fill_between(where[:, 0], bound, np.interp(where[:, 0], line[:, 0], np.log(p)), color=MODEL, alpha=0.15)
right.text(-0.35, -2.1, "$\\ln\\,p(x_0)$", color=EXACT, ha="right")
right.text(0.05, -5.2, "ELBO", color=MODEL)
right.text(-1.32, 0.1, "data", color=DATA)
right.set(xlim=(-2.2, 2.2), ylim=(-10, 1.2), xlabel="$x_0$", ylabel="nats", title="at every point")
show(fig, "Left: a histogram of log-ratios with a long tail to low values; a dashed line at its mean, the ELBO, and a "
     "solid line to the right of it, at the exact log-density. Right: over all points, the dashed ELBO stays below the "
     "model's exact log-density; the data's own is dotted.")  # fmt: skip

# %% [markdown]
# *What to see:* left, the mean of the logarithms (orange, dashed) lies below the logarithm of the mean (blue, the
# integral on the grid): nearly half of the paths are above the blue line, and a long tail is far below it. Right, so it
# is at every $x_0$; the shaded gap is the KL divergence of the two laws of paths. Dotted is $\ln q(x_0)$ of the data:
# eight Gaussian steps make a poor model even with the best of guesses, and notebook 3 said why.
#
# The logarithm of the mean of $p/q$ over these paths should be $\ln p(x_0)$ itself. It is, within its error:

# %%
print(f"ln p(x_0), integral on a grid    {log_p:8.4f}")
print(f"ln of the mean of p/q, paths     {log_mean:8.4f} ± {log_mean_error:.4f}")
print(f"mean of ln p/q: the ELBO         {ratio.mean():8.4f} ± {elbo_error:.4f}")
print(f"paths above ln p(x_0)            {np.mean(ratio > log_p):8.0%}")
assert abs(log_mean - log_p) < 4 * log_mean_error
assert ratio.mean() < log_p - 4 * elbo_error

# %% [markdown]
# So why not use the logarithm of the mean? On a line one may. But the spread of $\ln p/q$ grows with the number of
# coordinates $D$, and the mean of an exponential soon hangs on the luckiest path. Independent coordinates add, so adding
# up the log-ratios of $D$ paths makes a path in $D$ dimensions:

# %%
print("    D    ln of the mean of p/q, per coordinate    weight of the luckiest of 20,000 paths")
for d in (1, 16, 256):
    many = np.sum([rng.choice(ratio, n) for _ in range(d)], axis=0)
    weight = np.exp(many - many.max())
    print(f"{d:5d} {(many.max() + np.log(weight.mean())) / d:30.4f} {1 / weight.sum():36.1%}")

# %% [markdown]
# The middle column should be the same in each row, $\ln p(x_0) = -0.33$. It drifts towards the ELBO: in high dimensions
# few paths carry all the weight, and one sees none of the best. A mean of logarithms has no such trouble.
#
# ## The sum telescopes
#
# Both densities in the ratio are products over $t$, but they run in opposite directions. Turn $q$ around. By Bayes'
# rule, with $x_0$ given throughout, and because the noising chain is Markov,
#
# $$q(x_t \mid x_{t-1}) = q(x_t \mid x_{t-1}, x_0) = q(x_{t-1} \mid x_t, x_0)\;\frac{q(x_t \mid x_0)}{q(x_{t-1} \mid x_0)}, \qquad t \ge 2.$$
#
# Multiply these for $t = 2, \dots, T$. In the product of the fractions each numerator cancels the next denominator,
# and $q(x_T \mid x_0)/q(x_1 \mid x_0)$ is left. The first step $q(x_1 \mid x_0)$, which needed no turning, cancels
# that denominator:
#
# $$q(x_{1:T} \mid x_0) = q(x_1 \mid x_0) \prod_{t=2}^{T} q(x_t \mid x_{t-1}) = q(x_T \mid x_0) \prod_{t=2}^{T} q(x_{t-1} \mid x_t, x_0).$$
#
# Now the two products in the ratio match, factor by factor, but for one:
#
# $$-\ln\frac{p(x_{0:T})}{q(x_{1:T} \mid x_0)} = \ln\frac{q(x_T \mid x_0)}{p(x_T)} + \sum_{t=2}^{T} \ln\frac{q(x_{t-1} \mid x_t, x_0)}{p(x_{t-1} \mid x_t)}
#   - \ln p(x_0 \mid x_1).$$
#
# This holds on *every* path, for *any* model: no mean has been taken yet. Check it with a model that knows nothing,
# $\hat x_0 = \tanh(x_t + t/T)$, written out in DDPM's notation.

# %%
T, betas = short.T, short.betas
ab = np.concatenate([[1.0], np.cumprod(1 - betas)])  # ᾱ_0, …, ᾱ_T


def log_normal(x, mean, var):
    """ln N(x; mean, var)."""
    return -0.5 * ((x - mean) ** 2 / var + np.log(2 * np.pi * var))


x = [np.full(5, 0.3)]  # five paths from x_0 = 0.3
for t in range(1, T + 1):
    x.append(np.sqrt(1 - betas[t - 1]) * x[-1] + np.sqrt(betas[t - 1]) * rng.standard_normal(5))

as_defined = log_normal(x[T], 0, 1)
as_telescoped = log_normal(x[T], 0, 1) - log_normal(x[T], np.sqrt(ab[T]) * x[0], 1 - ab[T])
for t in range(1, T + 1):
    guess, beta = np.tanh(x[t] + t / T), betas[t - 1]
    if t == 1:
        log_model = log_normal(x[0], guess, (1 - ab[1]) / ab[1])
        as_telescoped += log_model
    else:
        c_t = np.sqrt(1 - beta) * (1 - ab[t - 1]) / (1 - ab[t])
        c_0 = np.sqrt(ab[t - 1]) * beta / (1 - ab[t])
        beta_tilde = beta * (1 - ab[t - 1]) / (1 - ab[t])
        log_model = log_normal(x[t - 1], c_t * x[t] + c_0 * guess, beta_tilde)
        as_telescoped += log_model - log_normal(x[t - 1], c_t * x[t] + c_0 * x[0], beta_tilde)
    as_defined += log_model - log_normal(x[t], np.sqrt(1 - beta) * x[t - 1], beta)
print("ln p/q as defined:  ", np.round(as_defined, 6))
print("and as telescoped:  ", np.round(as_telescoped, 6))
assert np.allclose(as_defined, as_telescoped, rtol=1e-12)

# %% [markdown]
# Now take the mean over $q$. In each term of the sum only $x_{t-1}$ and $x_t$ occur; the mean over $x_{t-1}$ given
# $x_t$ and $x_0$ makes it a KL divergence, and the mean over $x_t$ given $x_0$ is the jump of notebook 1 [DDPM, eq.
# 5]:
#
# $$\boxed{\;-\mathrm{ELBO}(x_0) = \underbrace{\mathrm{KL}\big(q(x_T \mid x_0)\,\|\,p(x_T)\big)}_{L_T}
#   + \sum_{t=2}^{T} \underbrace{\mathbb E\,\mathrm{KL}\big(q(x_{t-1} \mid x_t, x_0)\,\|\,p(x_{t-1} \mid x_t)\big)}_{L_{t-1}}
#   \underbrace{{}- \mathbb E \ln p(x_0 \mid x_1)}_{L_0}\;}$$
#
# $L_T$ is the **prior gap** of notebook 2, and contains nothing to learn. $L_{t-1}$ is the price of one reverse step.
# $L_0$, the **reconstruction**, is what it costs to write down $x_0$ when $x_1$ is known. All the laws in it are
# Gaussian.
#
# ## The KL of two Gaussians
#
# For $q = \mathcal N(m_1, v_1)$ and $p = \mathcal N(m_2, v_2)$ on a line,
#
# $$\ln\frac{q(x)}{p(x)} = \frac12 \ln\frac{v_2}{v_1} - \frac{(x-m_1)^2}{2 v_1} + \frac{(x-m_2)^2}{2 v_2} .$$
#
# Take the mean over $x \sim q$. The first square has the mean $v_1$. In the second,
# $x - m_2 = (x - m_1) + (m_1 - m_2)$, and the mean of the square is $v_1 + (m_1-m_2)^2$, for the cross term has
# mean 0. So
#
# $$\mathrm{KL} = \frac12\left(\ln\frac{v_2}{v_1} + \frac{v_1 + (m_1-m_2)^2}{v_2} - 1\right).$$
#
# Independent coordinates add. If $v_1 = v_2$, all that is left is $(m_1 - m_2)^2/2v_2$: **between Gaussians of equal
# variance, KL is a squared distance of means.** That is where the squared error comes from.
#
# ### Exercise 4.1: the KL of two Gaussians


# %%
def normal_kl(m1, v1, m2, v2):
    """KL(N(m1, v1) ‖ N(m2, v2)) in nats; v1 and v2 are variances; elementwise for arrays."""
    ### BEGIN SOLUTION
    return 0.5 * (np.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)
    ### END SOLUTION


check(normal_kl)

# %% [markdown]
# ### Exercise 4.2: the first term
#
# $L_T = \mathrm{KL}\big(q(x_T \mid x_0) \,\|\, \mathcal N(0, I)\big)$ for each row of $x_0$, made from your own
# `normal_kl` (exercise 2.3 had it as one formula) and the jump
# $q(x_T \mid x_0) = \mathcal N(\sqrt{\bar\alpha_T}\,x_0,\ (1-\bar\alpha_T) I)$. Sum over the coordinates.


# %%
def prior_kl(x0, betas):
    """L_T in nats for each row of x0 (B, D): (B,)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas)
    return np.sum(normal_kl(np.sqrt(left) * x0, 1 - left, 0.0, 1.0), axis=1)
    ### END SOLUTION


check(prior_kl)

# %% [markdown]
# ## A step costs a squared error
#
# In $L_{t-1}$ both Gaussians have the variance $\tilde\beta_t$ and the same $c_t\,x_t$ in their means. The means
# differ by $c_0\,(x_0 - \hat x_0)$ alone, with $c_0 = \sqrt{\bar\alpha_{t-1}}\,\beta_t/(1-\bar\alpha_t)$ from
# notebook 3. With $\tilde\beta_t = \beta_t(1-\bar\alpha_{t-1})/(1-\bar\alpha_t)$,
#
# $$L_{t-1} = \frac{c_0^2}{2\tilde\beta_t}\,\mathbb E\|x_0 - \hat x_0\|^2
#   = \frac12\,\frac{\bar\alpha_{t-1}\,\beta_t}{(1-\bar\alpha_{t-1})(1-\bar\alpha_t)}\,\mathbb E\|x_0 - \hat x_0\|^2 .$$
#
# The fraction is a difference. Since $\bar\alpha_{t-1}\beta_t = \bar\alpha_{t-1} - \bar\alpha_t$,
#
# $$\mathrm{SNR}_{t-1} - \mathrm{SNR}_t = \frac{\bar\alpha_{t-1}}{1-\bar\alpha_{t-1}} - \frac{\bar\alpha_t}{1-\bar\alpha_t}
#   = \frac{\bar\alpha_{t-1} - \bar\alpha_t}{(1-\bar\alpha_{t-1})(1-\bar\alpha_t)}
#   = \frac{\bar\alpha_{t-1}\,\beta_t}{(1-\bar\alpha_{t-1})(1-\bar\alpha_t)},$$
#
# and the price of a step is half the fall of the signal-to-noise ratio, times the squared error of the guess [VDM]:
#
# $$\boxed{\;L_{t-1} = \tfrac12\,(\mathrm{SNR}_{t-1} - \mathrm{SNR}_t)\;\mathbb E\|x_0 - \hat x_0\|^2\;}$$
#
# Say the same with noise. A guess of $x_0$ is a guess of $\varepsilon$: from
# $x_t = \alpha_t x_0 + \sigma_t \varepsilon = \alpha_t \hat x_0 + \sigma_t \hat\varepsilon$ follows
# $x_0 - \hat x_0 = -\frac{\sigma_t}{\alpha_t}(\varepsilon - \hat\varepsilon)$, so
# $\|x_0 - \hat x_0\|^2 = \|\varepsilon - \hat\varepsilon\|^2/\mathrm{SNR}_t$ and
#
# $$\boxed{\;L_{t-1} = w_t\;\mathbb E\|\varepsilon - \hat\varepsilon\|^2, \qquad
#   w_t = \tfrac12\Big(\frac{\mathrm{SNR}_{t-1}}{\mathrm{SNR}_t} - 1\Big) = \frac{\beta_t^2}{2\tilde\beta_t(1-\beta_t)(1-\bar\alpha_t)} = \frac{\beta_t}{2(1-\beta_t)(1-\bar\alpha_{t-1})}\;}$$
#
# where
# $\frac{\mathrm{SNR}_{t-1}}{\mathrm{SNR}_t} - 1 = \frac{1-\bar\alpha_t - (1-\beta_t)(1-\bar\alpha_{t-1})}{(1-\beta_t)(1-\bar\alpha_{t-1})}$,
# as $\bar\alpha_t = (1-\beta_t)\,\bar\alpha_{t-1}$, and the numerator is $\beta_t$; put in $\tilde\beta_t$ for the
# middle form, DDPM's eq. 12 (there $\sigma_t^2$ stands for $\tilde\beta_t$). That is the answer to our question: **likelihood
# becomes a squared error of noise because each step compares two Gaussians that differ in their means alone.**
#
# And $t = 1$? There $\bar\alpha_0 = 1$, $\mathrm{SNR}_0 = \infty$, and $w_1$ would be infinite: $L_0$ is not one of
# these terms. With our $p(x_0 \mid x_1)$, whose error is
# $\|x_0 - \hat x_0\|^2\,\alpha_1^2/\sigma_1^2 = \|\varepsilon - \hat\varepsilon\|^2$ in units of its variance,
#
# $$L_0 = \tfrac{D}{2} \ln\frac{2\pi}{\mathrm{SNR}_1} + \tfrac12\,\mathbb E\|\varepsilon - \hat\varepsilon\|^2 .$$
#
# ### Exercise 4.3: the weight of the noise


# %%
def vlb_weight(t, betas):
    """w_t with L_{t−1} = w_t E‖ε − ε̂‖², for one integer t from 2 to T: a number."""
    ### BEGIN SOLUTION
    snr = np.cumprod(1 - betas) / (1 - np.cumprod(1 - betas))  # SNR_1, …, SNR_T
    return 0.5 * (snr[t - 2] / snr[t - 1] - 1)
    ### END SOLUTION


check(vlb_weight)

# %% [markdown]
# Three forms, one number: here for the paper's chain of $T = 1000$ steps.

# %%
T = 1000
betas = np.linspace(1e-4, 0.02, T)
ab = np.concatenate([[1.0], np.cumprod(1 - betas)])
t = np.arange(2, T + 1)
beta = betas[t - 1]
beta_tilde = beta * (1 - ab[t - 1]) / (1 - ab[t])
w_snr = 0.5 * (ab[t - 1] / (1 - ab[t - 1]) * (1 - ab[t]) / ab[t] - 1)
w_ddpm = beta**2 / (2 * beta_tilde * (1 - beta) * (1 - ab[t]))
w_short = beta / (2 * (1 - beta) * (1 - ab[t - 1]))
assert np.allclose(w_snr, w_ddpm, rtol=1e-9)
assert np.allclose(w_snr, w_short, rtol=1e-9)  # 1 − ᾱ_1 = 1e-4 costs digits
print("    t    weight w_t")
for k in (2, 3, 10, 100, 350, 1000):
    print(f"{k:5d}    {w_snr[k - 2]:.4f}")

# %% [markdown]
# ## Every term, with the perfect denoiser
#
# Which terms are dear? `td.elbo` gives all of them: `prior` is $L_T$, `diffusion` holds $L_{T-1}, \dots, L_1$, and
# `reconstruction` is $L_0$. Each of these terms is a mean over the $\varepsilon$ of one $x_t$. We do not draw it, but
# put it on a grid of nodes with Gaussian weights, as for the right panel above, and the points $x_0$ too. Sums over such
# grids are integrals to many digits: no term has a sampling error.
#
# **Predict.** The chain has 1000 steps and its denoiser is perfect. Which steps cost most: those near the noise,
# those in the middle, or those near the data? And will the sum be the entropy of the data, the least that any model can
# reach (the mean of $-\ln p(x_0)$ is the entropy plus $\mathrm{KL}(q(x_0)\,\|\,p(x_0))$)?

# %%
x0 = (data.means + np.sqrt(data.covariances[:, :, 0]) * z).reshape(-1, 1)  # (2 · 31, 1): nodes of both modes
weights0 = np.outer(data.weights, gauss).ravel()


def all_terms(process, ts, data_nodes=x0, data_weights=weights0, law=data):
    """L_T, (L_{T−1}, …, L_1), L_0 with the exact denoiser: the mean over ε and over the data, on nodes."""
    rows = np.repeat(data_nodes, len(z), axis=0)
    noise = np.broadcast_to(np.tile(z, len(data_nodes))[:, None], (len(ts), len(rows), 1))
    parts = td.elbo(td.Oracle(law, process), rows, ts, noise=noise)
    weights = np.outer(data_weights, gauss).ravel()
    return weights @ parts.prior, weights @ parts.diffusion, weights @ parts.reconstruction


entropy, _ = data.entropy()
chain = td.Discrete(betas)
L_T, steps, L_0 = all_terms(chain, np.arange(T, 0, -1) / T)
L = steps[::-1]  # L[k − 1] is L_k
total = L_T + L.sum() + L_0
print(f"L_T {L_T:.6f} + sum of the steps {L.sum():.4f} + L_0 {L_0:.4f} = {total:.4f} nats; entropy {entropy:.4f}")

# %%
edges = [2, 3, 11, 101, 1001]
names = ["$L_0$", "t = 2", "3–10", "11–100", "101–1000", "$L_T$"]
heights = [L_0, *(L[a - 2 : b - 2].sum() for a, b in pairwise(edges)), L_T]
starts = np.concatenate([[0], np.cumsum(heights)[:-1]])

fig, (ax, right) = plt.subplots(1, 2, figsize=(9, 3.4), gridspec_kw={"width_ratios": [1, 1.35]})
ax.loglog(t, L, color=MODEL)
ax.set(
    xlabel="step t",
    ylabel="$L_{t-1}$ (nats)",
    title="the price of each step",
    ylim=(2e-7, 2),
    xticks=[2, 10, 100, 1000],
)
ax.set_xticklabels(["2", "10", "100", "1000"])
ax.minorticks_off()
shades = plt.get_cmap("cividis")(np.linspace(0.1, 0.85, 6))
right.bar(range(6), heights, bottom=starts, color=shades, width=0.75)
for i, (start, height) in enumerate(zip(starts, heights, strict=True)):
    right.text(i, max(start, start + height) + 0.08, f"{height:+.2f}".replace("-", "−"), ha="center")
right.axhline(entropy, color=EXACT, lw=1.5)
right.text(-0.45, entropy + 0.14, "entropy of the data", color=EXACT)
right.axhline(0, color="k", lw=0.8)
right.set_xticks(range(6), names)
right.set(ylabel="nats", ylim=(-3.5, 2.3), title="stacked up, they are the bound")
show(fig, "Left: the price of each step on logarithmic axes, falling from 0.6 nats at t = 2 to under a millionth at t = 1000. "
     "Right: bars stacked from L_0 = −3.19 up through the steps; the last ends above the line of the entropy.")  # fmt: skip

# %% [markdown]
# *What to see:* left, each single step near the data is dear, and each of the last hundreds costs next to nothing.
# Right, the same in groups, each bar standing on the one before (from $t = 101$ to 1000 many small prices add up).
# $L_0$ is negative: it is $-\ln$ of a density, and of a narrow one (standard deviation $\sigma_1/\alpha_1 = 0.01$). The
# steps pay that back and more. The stack ends 0.44 nats above the entropy of the data, though the denoiser is perfect.
#
# ## Errors in nats add up
#
# Where do 0.44 nats come from? Average over the data. As $q(x_{1:T} \mid x_0) = q(x_{0:T})/q(x_0)$, the mean of
# $-\mathrm{ELBO}$ is $\mathbb E \ln q(x_{0:T})/p(x_{0:T})$, a KL divergence of two chains, plus the entropy
# $-\mathbb E \ln q(x_0)$. A Markov chain can be read backwards, $q(x_{0:T}) = q(x_T) \prod_t q(x_{t-1} \mid x_t)$, and
# $p(x_{0:T})$ is defined in that way. The logarithm of a ratio of products is a sum:
#
# $$\mathbb E[-\mathrm{ELBO}(x_0)] - \text{entropy} = \mathrm{KL}\big(q(x_T)\,\|\,p(x_T)\big)
#   + \sum_{t=1}^{T} \mathbb E\,\mathrm{KL}\big(q(x_{t-1} \mid x_t)\,\|\,p(x_{t-1} \mid x_t)\big).$$
#
# **Errors in nats add up along the path**, as notebook 3 promised: each step pays for the shape of the true reverse
# kernel that its Gaussian misses. For our mixture the true kernel is known. Draw paths and see which steps pay:

# %%
few = np.arange(100, 0, -1) / T  # the times of the steps t = 100, …, 1
path = td.forward_path(chain, data.sample(rng, n), few, rng)  # x_100, …, x_0
levels = [chain.at(t) for t in (*few, 0.0)]
perfect = td.Oracle(data, chain)
lost = []  # ln q(x_{t−1} | x_t) − ln p(x_{t−1} | x_t), for n pairs at each step
for (now, x_now), (then, x_then) in pairwise(zip(levels, path, strict=True)):
    x0_hat = perfect.x0(x_now, now)
    if then.t > 0:
        c_t, c_0, var = td.posterior(now, then)
        mean = c_t * x_now + c_0 * x0_hat
    else:
        mean, var = x0_hat, (now.sigma / now.alpha) ** 2
    true = data.reverse_kernel(x_now, now, then).log_density(x_then)
    lost.append(true - log_normal(x_then, mean, var)[:, 0])
lost = np.array(lost[::-1])  # (100, n): t = 1, …, 100

for name, some in {"1": lost[:1], "2": lost[1:2], "3–10": lost[2:10], "11–100": lost[10:], "1–100": lost}.items():
    nats = some.sum(axis=0)
    error = nats.std() / np.sqrt(n)
    print(f"steps t = {name:6s} lose {nats.mean():.4f} ± {error:.4f} nats")
print(f"the bound − the entropy  {total - entropy:.4f} nats")
assert abs(nats.mean() - (total - entropy)) < 4 * error

# %% [markdown]
# All 0.44 nats, within the error, are lost in the first hundred steps. The guess is not to blame, it is perfect. But
# the true kernels have a larger variance than $\tilde\beta_t$ (notebook 3), and where one step more than doubles the
# signal-to-noise ratio, as that from $t = 2$ to $1$ ($w_2 = 0.5997$ is half of 2.20 − 1), it costs most. (The step
# $t = 1$ loses nothing: it alone has the variance $\sigma_1^2/\alpha_1^2$, and across 0.01 the data's density is
# flat.) A finer schedule of the same shape would not help there: its step from 2 to 1 again about doubles the SNR.
# Steps that are small *in log-SNR* should, so in the next section we space them evenly in $\lambda$ between two fixed
# ends.
#
# ## More steps: rectangles over a curve
#
# The minimum mean squared error of any guess, $\mathrm{mmse} = \mathbb E\|x_0 - \mathbb E[x_0 \mid x_t]\|^2$, depends
# on $t$ through the signal-to-noise ratio alone: $x_t/\sigma_t = \sqrt{\mathrm{SNR}}\,x_0 + \varepsilon$. It falls as
# the SNR grows, for $x_t$ can be made from the cleaner $x_{t-1}$ by adding noise, which teaches nobody anything about
# $x_0$. So
#
# $$2 L_{t-1} = (\mathrm{SNR}_{t-1} - \mathrm{SNR}_t)\;\mathrm{mmse}(\mathrm{SNR}_t)$$
#
# is a **rectangle**: as wide as the fall of the SNR, as high as the mmse at its noisier, higher end.

# %%
vp = td.VP()  # the limit of the paper's chain for infinitely many steps: any t in [0, 1] is allowed


def mmse(snr, law=data):
    """E‖x_0 − E[x_0 | x_t]‖² at one signal-to-noise ratio: the mean of the posterior variance, by quadrature."""
    alpha, sigma = np.sqrt(snr / (1 + snr)), np.sqrt(1 / (1 + snr))
    x, weights = law.diffused(alpha, sigma).quadrature()
    return weights @ law.x0_posterior(x, alpha, sigma)[1][:, 0, 0]


snr = np.linspace(1e-3, 8, 100)
curve = np.array([mmse(each) for each in snr])
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for ax, count in zip(axes, (30, 120), strict=True):
    ts = td.grids.even_log_snr(vp, count - 1)  # T times at equal steps of λ, from −10 to 14; the last is that of L_0
    ends = vp.at(ts).snr  # SNR_T < … < SNR_1
    ends = ends[(ends < 20) & (ends > 1e-3)]  # those that the figure shows
    high = np.array([mmse(each) for each in ends[:-1]])
    ax.bar(ends[:-1], high, np.diff(ends), align="edge", color=MODEL, alpha=0.3, edgecolor=MODEL, lw=0.7)
    ax.plot(snr, curve, color=EXACT)
    ax.set(xlim=(0, 8), xlabel="signal-to-noise ratio", title=f"T = {count}")
axes[0].set_ylabel("mmse (in units of $x_0^2$)")
axes[0].text(1.1, 0.75, "rectangles: $2L_{t-1}$", color=MODEL)
axes[0].text(2.6, 0.45, "curve: least error of a guess", color=EXACT)
show(fig, "A falling curve, the mmse against the signal-to-noise ratio, under a staircase of rectangles: coarse for T = 30, "
     "hugging the curve for T = 120.")  # fmt: skip

# %% [markdown]
# *What to see:* the sum of the steps is half the area of the rectangles, and it can never get below half the area under
# the curve. With more steps the staircase closes in. The overhang is about a triangle for each step. With twice the steps
# each is half as wide and half as high, a quarter of the area, and there are twice as many: half the gap.
#
# So with the best denoiser
#
# $$\sum_{t \ge 2} L_{t-1} \;\ge\; \frac12\int_{\mathrm{SNR}_T}^{\mathrm{SNR}_1} \mathrm{mmse}\;d\,\mathrm{SNR},$$
#
# with a gap that halves as $T$ doubles if every step in $\lambda$ is halved, and in the limit *the schedule does not
# matter*: the integral only knows its ends [VDM]. At a finite $T$ it does matter: the paper's 1000 steps gave 1.21
# nats, and 320 equal steps of $\lambda$ will give less.
#
# **Predict.** If $\mathrm{SNR}_1$ is huge and $\mathrm{SNR}_T$ tiny, what will $L_T$ + half the integral + $L_0$ be?

# %%
lam = np.linspace(vp.at(vp.t_max).log_snr, vp.at(vp.t_min).log_snr, 241)  # log-SNR, from noise to data
height = np.array([np.exp(each) * mmse(np.exp(each)) for each in lam])  # times SNR, as dSNR = SNR dλ
d_lam = lam[1] - lam[0]
simpson = np.r_[1, np.tile([4, 2], 119), 4, 1] * d_lam / 3
integral = 0.5 * simpson @ height

counts = [20, 40, 80, 160, 320]
sums = []
for count in tqdm(counts):
    prior, steps, reconstruction = all_terms(vp, td.grids.even_log_snr(vp, count - 1))
    sums.append(steps.sum())
sums = np.array(sums)
limit = prior + integral + reconstruction  # L_T and L_0 are the same for each T, as the ends of the grid are
print(f"half the integral {integral:.4f}; with L_T and L_0 {limit:.6f}; entropy of the data {entropy:.6f} nats")
print(f"−ELBO with {counts[-1]} steps, even in λ {prior + sums[-1] + reconstruction:.4f} nats")

# %%
gaps = sums - integral
fig, (ax, right) = plt.subplots(1, 2, figsize=(9, 3.2))
ax.semilogx(counts, prior + sums + reconstruction, color=MODEL, marker="o")
ax.axhline(entropy, color=EXACT)
ax.text(counts[-1], entropy - 0.5, "entropy", color=EXACT, ha="right")
ax.text(30, 5.2, "−ELBO, perfect denoiser", color=MODEL)
ax.set(xlabel="number of steps T", ylabel="nats", ylim=(-0.2, 7), title="the bound")
right.loglog(counts, gaps, color=MODEL, marker="o")
right.loglog(counts, gaps[-1] * counts[-1] / np.array(counts), color=DATA, ls=":")
right.text(75, 0.75, "slope −1", color=DATA, ha="right", va="top")
right.set(xlabel="number of steps T", ylabel="nats above the limit", title="its gap", yticks=[0.2, 0.5, 1, 2, 5])
right.set_yticklabels(["0.2", "0.5", "1", "2", "5"])
for each in (ax, right):
    each.set_xticks(counts, [str(count) for count in counts])
    each.minorticks_off()
show(fig, "Left: −ELBO falls from 6.5 nats at T = 20 towards the entropy line at 0.77. Right: the gap against T on logarithmic "
     "axes approaches a dotted line of slope −1.")  # fmt: skip

# %% [markdown]
# *What to see:* left, the bound descends to the entropy of the data, with the same denoiser all the time. Right, the
# gap is of **order 1** in $1/T$.
#
# The limit is the entropy itself, to all digits that we print. That is a theorem on its own: information is the
# integral of the least error [Guo, Shamai & Verdú 2005, [I-MMSE](https://arxiv.org/abs/cs/0412108)], and notebook 5
# comes back to it.
#
# ## Where everything is Gaussian the bound is tight
#
# Suppose the model's steps are the *true* ones: $p(x_{t-1} \mid x_t) = q(x_{t-1} \mid x_t)$ and $p(x_T) = q(x_T)$.
# Then $p(x_{0:T}) = q(x_{0:T}) = q(x_0)\,q(x_{1:T} \mid x_0)$, and on *every* path
#
# $$\ln\frac{p(x_{0:T})}{q(x_{1:T} \mid x_0)} = \ln\frac{q(x_{0:T})}{q(x_{1:T} \mid x_0)} = \ln q(x_0).$$
#
# A constant! Jensen's inequality loses nothing.
#
# **Predict.** Take Gaussian data, $\mathcal N(m, V_0)$, and $T = 1$: one single step from $x_1$ to the data. Can its
# bound be the exact log-likelihood?
#
# If the data are Gaussian, the true steps are Gaussian too, for any $T$ and any schedule. Write
# $V_t = \alpha_t^2 V_0 + \sigma_t^2$ for the variance of $x_t$. Then $q(x_{t-1} \mid x_t)$ has the mean of the posterior
# with $\hat x_0 = \mathbb E[x_0 \mid x_t]$, as always, and the variance $\beta_t V_{t-1}/V_t$, from precisions that
# add:
# $1/V_{t-1} + (1-\beta_t)/\beta_t = \big(\beta_t + (1-\beta_t) V_{t-1}\big)/(\beta_t V_{t-1}) = V_t/(\beta_t V_{t-1})$.

# %%
gaussian = td.GaussianMixture([1.0], [[0.7]], [[[0.3]]])  # m = 0.7, V_0 = 0.3
three = np.array([[-1.0], [0.2], [1.5]])  # three points x_0
truth = gaussian.log_density(three)
print("   T    |ln p/q − ln q(x_0)|, the largest of 3 × 1000 paths    |ELBO − ln q(x_0)|, mean over ε on nodes")
for count in (1, 3, 50):
    process = td.Discrete.cosine(count) if count > 1 else td.Discrete([0.9])
    times = np.arange(count, 0, -1) / count
    exact = td.Oracle(gaussian, process)
    levels = process.at([*times, 0.0])
    V = levels.alpha**2 * 0.3 + levels.sigma**2  # V_T, …, V_0
    options = {"variance": process.betas[::-1] * V[1:] / V[:-1], "prior": lambda x, e=exact: e.log_density(x, 1.0)}
    rows = np.repeat(three, 1000, axis=0)
    ratios = td.path_log_ratio(exact, td.forward_path(process, rows, times, rng), times, **options)
    nodes = np.broadcast_to(np.tile(z, 3)[:, None], (count, 3 * len(z), 1))
    nats = td.elbo(exact, np.repeat(three, len(z), axis=0), times, noise=nodes, **options).nats
    by_paths = np.max(np.abs(ratios - np.repeat(truth, 1000)))
    by_terms = np.max(np.abs(-nats.reshape(3, -1) @ gauss - truth))
    print(f"{count:4d}    {by_paths:.1e} {by_terms:58.1e}")
    assert max(by_paths, by_terms) < 1e-9  # rounding, and nodes that end at ±7.5

# %% [markdown]
# Fifty steps or one, the bound is the log-likelihood, at every point. What makes a bound loose is not the number of
# steps as such, but that the true reverse kernel of *other* data is no Gaussian with the variance $\tilde\beta_t$
# unless the steps are small on the scale of log-SNR.
#
# ## What everybody leaves out
#
# DDPM trains on the sum *without* the weights,
#
# $$L_\text{simple} = \mathbb E_{t, x_0, \varepsilon}\,\|\varepsilon - \hat\varepsilon(x_t, t)\|^2, \qquad t \text{ uniform on } 1, \dots, T,$$
#
# because the samples look better [DDPM, §3.4 and Table 2]. The best $\hat\varepsilon$ at each $t$ does not depend on
# the weight of that $t$, so a network that could fit everything would lose nothing by it. But many lecture notes call
# $L_\text{simple}$ "the bound". It is not. What weight does it amount to? Measure in log-SNR
# $\lambda = \ln \mathrm{SNR}$, the clock of the bound: a step that covers $\Delta\lambda$ has
# $w_t = \frac12(e^{\Delta\lambda} - 1) \approx \frac12 \Delta\lambda$, so the bound gives **every nat of log-SNR the
# same weight**. $L_\text{simple}$ gives every *step* the same: per nat of log-SNR, $1/\Delta\lambda$. Here are both for
# the paper's chain of 1000 steps, which are far from even in $\lambda$.

# %%
lam = np.log(ab[1:] / (1 - ab[1:]))  # λ_1, …, λ_T
width = lam[:-1] - lam[1:]  # Δλ of the steps t = 2, …, T
middle = (lam[:-1] + lam[1:]) / 2
fig, ax = plt.subplots(figsize=(7.4, 3.1))
ax.plot(middle, w_snr / width / np.sum(w_snr), color=EXACT)
ax.plot(middle, 1 / width / len(width), color=MODEL, ls="--")
ax.text(-9.9, 0.042, "the bound", color=EXACT)
ax.text(0.6, 0.098, "$L_{simple}$", color=MODEL)
ax.set(xlabel="log-SNR λ (nats): noise on the left, data on the right", ylabel="fraction of the weight\nper nat of log-SNR",
       ylim=(0, 0.12), xticks=[-10, -5, 0, 5])  # fmt: skip
show(fig, "Weight against log-SNR. The bound's is nearly flat, rising a little at the right end; that of L_simple is a broad "
     "hump over the noisy half that is almost zero on the right.")  # fmt: skip

# %% [markdown]
# *What to see:* both curves have the area 1. The bound (blue) is flat, but for the first steps, which are long.
# $L_\text{simple}$ (orange, dashed) looks hardly at the right, where details are decided, and that is a choice about *looks*:
# in DDPM's own images more than half of the code length went into what no eye can see [DDPM, §4.3]. In other words,
# $L_\text{simple}$ is the bound with a weight, and the weight is the orange curve: the density of $\lambda$ when $t$ is
# drawn uniformly [Kingma & Gao 2023, [Understanding diffusion objectives](https://arxiv.org/abs/2303.00848)].
#
# ## Nats and bits
#
# $-\ln$ of a probability is measured in **nats**, $-\log_2$ in **bits**: divide nats by $\ln 2 = 0.693$. Papers on
# images quote **bits per dimension**, nats$/(D \ln 2)$. Two cautions.
#
# *A density has a unit.* Stretch the data by 10 and each coordinate's density falls tenfold, so $-\ln p$ grows by
# $\ln 10 = 2.30$ nats; it may well be negative, as $L_0$ was. Only numbers in one unit can be compared.
#
# *Pixels are no real numbers.* They take 256 levels, and what counts is the probability of a level. DDPM's decoder, the
# last step, integrates $p(x_0 \mid x_1)$ over the bin of each level, $\pm 1/255$ when levels lie on $-1, \dots, 1$; the
# outer bins reach to infinity, so that all 256 add up to 1. Then the price is a true code length. Take an image of one
# pixel, posterised: it uses every eighth level only, distributed like our mixture. Blind guessing costs 8 bits. The
# chain has 200 steps.

# %%
greys = (-1 + 2 * np.arange(3, 256, 8) / 255)[:, None]  # 32 of the 256
chance = np.exp(data.log_density(2.4 * greys))  # the mixture, squeezed into [−1, 1]
chance /= chance.sum()
pixels = td.GaussianMixture(chance, greys, np.zeros((32, 1, 1)))  # no width: exactly these levels
times = td.grids.even_log_snr(vp, 199)
parts = td.elbo(td.Oracle(pixels, vp), np.repeat(greys, 50, axis=0), times, rng, decoder="bins")
bits = parts.bits_per_dim.reshape(32, 50)  # 50 draws for each level
mean, error = chance @ bits.mean(axis=1), np.sqrt(chance**2 @ bits.var(axis=1, ddof=1) / 50)
least = -chance @ np.log2(chance)
reconstruction = chance @ parts.reconstruction.reshape(32, 50).mean(axis=1) / np.log(2)
print(f"bits per dimension: bound {mean:.2f} ± {error:.2f}, of which L_0 {reconstruction:.4f}; entropy {least:.2f}")
stretched = data.diffused(10, 0).entropy()[0]  # the law of 10 x_0
print(f"entropy of the mixture stretched by 10: {stretched:.4f} nats, which is {stretched - entropy:.4f} more")
assert least - 4 * error < mean < 5
assert abs(stretched - entropy - np.log(10)) < 1e-6  # quadrature

# %% [markdown]
# The decoder knows of 256 levels, and yet the bound is below 5 bits, the price of a blind guess among the 32 that are
# used: the denoiser says which those are. And no term is negative any more; $L_0$ is 0, for once $x_1$ is known, so is
# the level.
#
# ## Break it
#
# **$L_\text{simple}$, reported as a likelihood.** Take two models on the paper's chain that are perfect but for a small
# error of $\hat\varepsilon$: model A errs on the first 50 steps, B on all others. An error of mean square $\delta_t$
# adds to the loss:
# $\mathbb E\|\varepsilon - \hat\varepsilon\|^2 = \mathbb E\|\varepsilon - \varepsilon^*\|^2 + \delta_t$, where
# $\varepsilon^*$ is the exact answer (notebook 5 proves it).
#
# **Predict.** $\delta = 0.05$ for A at $t \le 50$, and 0.01 for B at $t > 50$. Which one has the lower
# $L_\text{simple}$? And the lower $-$ELBO?

# %%
constant = 0.5 * np.log(2 * np.pi * (1 - ab[1]) / ab[1])  # of L_0
floor = np.concatenate([[2 * (L_0 - constant)], L / w_snr])  # E‖ε − ε*‖² for t = 1, …, T, from L = w_t E‖ε − ε*‖²
step = np.arange(1, T + 1)
nll = {}
print("model         L_simple     −ELBO (nats)")
for name, delta in {"perfect": 0.0 * step, "A": 0.05 * (step <= 50), "B": 0.01 * (step > 50)}.items():
    loss = floor + delta
    nll[name] = (loss.mean(), L_T + np.sum(w_snr * loss[1:]) + constant + 0.5 * loss[0])
    print(f"{name:10s} {nll[name][0]:10.4f} {nll[name][1]:12.4f}")
assert nll["A"][0] < nll["B"][0]
assert nll["A"][1] > nll["B"][1]  # the order is turned around
assert np.isclose(nll["perfect"][1], total)

# %% [markdown]
# $L_\text{simple}$ prefers A, the likelihood prefers B. And the number itself, whatever it is, is not in nats: as a
# "negative log-likelihood" the perfect model's $L_\text{simple}$ would lie *below the entropy of the data*, which no mean
# of $-\ln p$ can.
#
# **The step $t = 1$, treated like the others.** Give it the formula of the other steps, and
# it is infinite, which one notices. Leave it out, or only its constant
# $\frac D2 \ln \frac{2\pi}{\mathrm{SNR}_1}$, and nothing complains:

# %%
with np.errstate(divide="ignore"):
    print(f"w_1 by the formula of the others: {np.divide(betas[0], 2 * (1 - betas[0]) * (1 - ab[0]))}")
print(f"−ELBO {total:.3f} nats; without L_0 {total - L_0:.3f}; with L_0 but without its constant "
      f"{total - constant:.3f}; entropy {entropy:.3f}")  # fmt: skip
print(f"L_simple of the perfect model as a 'likelihood': {nll['perfect'][0]:.3f} < {entropy:.3f}: impossible")
assert nll["perfect"][0] < entropy < total < total - L_0

# %% [markdown]
# ## The numbers
#
# What this notebook claims, against exact truth, and the difference that is allowed, with the reason.

# %%
snr_grid = vp.at(td.grids.even_log_snr(vp, 39)).snr
rectangles = 0.5 * np.sum(np.diff(snr_grid) * [mmse(each) for each in snr_grid[:-1]])
order = np.log2(gaps[-2] / gaps[-1])
rows = [
    ("ln of the mean of p/q = ln p(x_0)", log_mean, log_p, 4 * log_mean_error, "4 standard errors"),
    ("telescoped = as defined, first path", as_telescoped[0], as_defined[0], 1e-10, "rounding"),
    ("steps of td.elbo at T = 40 = rectangles", sums[1], rectangles, 1e-4, "31 nodes are not quite the mean over ε"),
    ("L_T + half the integral + L_0 = entropy", limit, entropy, 1e-4, "SNR ends at e^14 and e^-10"),
    ("order of the gap, T = 160 to 320, = 1", order, 1.0, 0.1, "asymptotic"),
    ("L_T of td.elbo = its formula", L_T, 0.5 * (ab[T] * (weights0 @ x0[:, 0] ** 2 - 1) - np.log1p(-ab[T])), 1e-12, "rounding"),
]  # fmt: skip
print(f"{'claim':42s} {'found':>10s} {'exact':>10s}   allowed (why)")
for name, found, exact, allowed, why in rows:
    print(f"{name:42s} {found:10.6f} {exact:10.6f}   {allowed:.1e} ({why})")
    assert abs(found - exact) < allowed, name
assert np.all(gaps > 0)
assert np.all(np.diff(gaps) < 0)  # a bound, and tighter with each doubling

# %% [markdown]
# ## What you know now
#
# - $\ln p(x_0)$ is out of reach; the ELBO is below it by a KL divergence of paths, and tight where the steps are exact.
# - $-\mathrm{ELBO} = L_T + \sum L_{t-1} + L_0$, and $L_{t-1} = \frac12(\mathrm{SNR}_{t-1} - \mathrm{SNR}_t)\,\mathbb E\|x_0 -
#   \hat x_0\|^2 = w_t\,\mathbb E\|\varepsilon - \hat\varepsilon\|^2$.
# - Averaged over the data, the bound exceeds the entropy by the sum of the nats that single steps, and the prior, lose.
# - With the best denoiser the bound is a staircase over the mmse; with twice the steps, even in log-SNR between fixed ends,
#   its gap halves. As the ends go to data and noise its limit is the entropy.
# - $L_\text{simple}$ drops the weights. Train with it if you like; never report it as a likelihood.
#
# **Next:** [5. A denoiser is a score](05_denoiser_is_score.ipynb). All terms ask for the best guess of the noise.
# What is that guess?
