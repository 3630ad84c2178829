# %% [markdown]
# # 1. One noisy step, a thousand at once
#
# **Why can we jump to any step without walking there?**
#
# *You need:* the Gaussian density, independence, and how variances add. *To read:* 15 minutes. *To work:* 30 minutes.
# *Paper:* Ho et al. 2020, [DDPM](https://arxiv.org/abs/2006.11239), §2.
#
# A diffusion model learns to undo damage, so we begin with the damage: a little Gaussian noise, added a thousand times.
# Training needs points after *any* number of steps, and it would be slow to take them one by one. By the end of this
# notebook you will jump to step 600 in one line, and know that it is exactly what 600 steps would have done.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import DATA, EXACT, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(1)

# %% [markdown]
# ## One step
#
# Let $x_0$ be a data point, a number for now. One **noising step** shrinks it a little and adds a little noise:
#
# $$x_t = \sqrt{1-\beta_t}\;x_{t-1} + \sqrt{\beta_t}\;\varepsilon, \qquad \varepsilon \sim \mathcal N(0, 1),$$
#
# for $t = 1, \dots, T$, with a fresh $\varepsilon$ each time. The small numbers $\beta_1, \dots, \beta_T$ are the
# **schedule**. They are chosen, not learned; the paper's rise along a straight line from 0.0001 to 0.02 in $T = 1000$
# steps.
#
# Why the square roots? Suppose $x_{t-1}$ has variance 1. Independent variances add, so $x_t$ has variance
# $(1-\beta_t)\cdot 1 + \beta_t = 1$: the noise that comes in replaces exactly the signal that goes out.
#
# In a probabilist's notation: $q(x_t \mid x_{t-1}) = \mathcal N\big(\sqrt{1-\beta_t}\,x_{t-1},\ \beta_t\big)$, and
# $x_0, x_1, \dots, x_T$ is a Markov chain.

# %%
T = 1000
betas = np.linspace(1e-4, 0.02, T)  # β_t is betas[t − 1]

# %% [markdown]
# ### Exercise 1.1: one step
#
# Arrays are batches: `x` and `eps` have the shape (B, D), B points of D coordinates each, and each coordinate takes the
# step on its own. Noise is always an argument, so that a function gives the same answer each time it is asked. `check`
# tries laws that the right function must obey; `tinydiff.check.spec("q_step")` lists them.


# %%
def q_step(x, t, eps, betas):
    """x_t from x = x_{t−1}: one noising step, t from 1 to T; x and eps (B, D)."""
    ### BEGIN SOLUTION
    beta = betas[t - 1]
    return np.sqrt(1 - beta) * x + np.sqrt(beta) * eps
    ### END SOLUTION


check(q_step)

# %% [markdown]
# ## A density melts
#
# A single point shows little. Take 40,000 points of a distribution with two modes, one narrow and one wide, and walk
# them through all the steps. The library knows the same distribution as a *formula*, a **mixture of Gaussians**
# $q(x_0) = \sum_k w_k\,\mathcal N(x_0;\, m_k, V_k)$ with the weights $w_k$, means $m_k$ and variances $V_k$, and that
# will be our exact truth.

# %%
data = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
n = 40_000
x0 = data.sample(rng, n)  # (n, 1)

walk = {0: x0}  # the points after some numbers of steps
x = x0
for t in range(1, T + 1):
    eps = rng.standard_normal(x.shape)
    x = np.sqrt(1 - betas[t - 1]) * x + np.sqrt(betas[t - 1]) * eps
    if t in (50, 200, 400, 1000):
        walk[t] = x

# %% [markdown]
# **Predict.** What is the variance of the points at $t = 1000$? And what has become of the two modes? Write down your
# guess before you run the next cell.

# %%
chain = td.Discrete(betas)  # the same chain in the library, where the time after t of T steps is t/T
grid = np.linspace(-4, 4, 400)[:, None]
fig, axes = plt.subplots(1, 5, figsize=(9, 2.6), sharex=True)
for ax, (t, x) in zip(axes, walk.items(), strict=True):
    now = chain.at(t / T)  # has the coefficients now.alpha and now.sigma
    exact = data.diffused(now.alpha, now.sigma)  # the density after t steps; how, see below
    ax.hist(x[:, 0], bins=120, range=(-4, 4), density=True, color=DATA, alpha=0.5)
    ax.plot(grid, np.exp(exact.log_density(grid)), color=EXACT, lw=1.5)
    ax.set(title=f"t = {t}", xlabel="$x_t$", yticks=[])
axes[0].set_ylabel("density")
show(fig, "Five histograms, after 0, 50, 200, 400 and 1000 steps: two sharp modes that shrink towards 0, widen, merge "
     "and become one bell curve. On each lies the exact curve.")  # fmt: skip

# %% [markdown]
# *What to see:* grey are points that took every single step, blue a formula that took none of them (each panel has its
# own vertical scale). The modes move towards 0 while they widen. At the end nothing is left of them: the shape is a
# bell. The exact variance was 1.31 and is now 1 (the table at the end has it), for a step shrinks its distance from 1:
# $(1-\beta_t)V + \beta_t - 1 = (1-\beta_t)(V - 1)$.
#
# How can a formula know where a thousand random steps lead?

# %% [markdown]
# ## Two steps are one step
#
# Put one step into the next:
#
# $$x_2 = \sqrt{1-\beta_2}\,\big(\sqrt{1-\beta_1}\,x_0 + \sqrt{\beta_1}\,\varepsilon_1\big) + \sqrt{\beta_2}\,\varepsilon_2
#      = \sqrt{(1-\beta_1)(1-\beta_2)}\;x_0 + \underbrace{\sqrt{(1-\beta_2)\beta_1}\;\varepsilon_1 + \sqrt{\beta_2}\;\varepsilon_2}_{\text{noise}} .$$
#
# The noise is a sum of two independent Gaussians. Such a sum is Gaussian again, and its variance is the sum of theirs:
#
# $$(1-\beta_2)\,\beta_1 + \beta_2 = 1 - (1-\beta_1)(1-\beta_2).$$
#
# So two steps with two draws have the same law as *one* step with one draw that keeps the fraction
# $(1-\beta_1)(1-\beta_2)$. Write $\bar\alpha_t$ for the fraction of $x_0$'s variance that is left after $t$ steps,
#
# $$\bar\alpha_t = \prod_{s=1}^{t} (1-\beta_s), \qquad \bar\alpha_0 = 1,$$
#
# and repeat the argument $t$ times (that is an induction; the step is the line above):
#
# $$\boxed{\;x_t = \sqrt{\bar\alpha_t}\;x_0 + \sqrt{1-\bar\alpha_t}\;\varepsilon, \qquad \varepsilon \sim \mathcal N(0, 1)\;}$$
#
# This is the **diffusion kernel** $q(x_t \mid x_0) = \mathcal N\big(\sqrt{\bar\alpha_t}\,x_0,\ 1-\bar\alpha_t\big)$
# [DDPM, eq. 4]. To write a draw from it as a function of a standard $\varepsilon$ is called the **reparametrisation**.
# Everything in this course stands on this line.
#
# ### Exercise 1.2: what is left
#
# All $T + 1$ values $\bar\alpha_0, \dots, \bar\alpha_T$ at once. Mind the first.


# %%
def alpha_bar(betas):
    """ᾱ_0 = 1, ᾱ_1, …, ᾱ_T: an array (T + 1,)."""
    ### BEGIN SOLUTION
    return np.concatenate([[1.0], np.cumprod(1 - betas)])
    ### END SOLUTION


check(alpha_bar)

# %% [markdown]
# ### Exercise 1.3: the jump
#
# The boxed line: all $t$ steps at once, with one draw of noise.


# %%
def q_sample(x0, t, eps, betas):
    """x_t from x_0 in one jump, t an integer from 1 to T; x0 and eps (B, D)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return np.sqrt(left) * x0 + np.sqrt(1 - left) * eps
    ### END SOLUTION


check(q_sample)

# %% [markdown]
# ## What jumping means for a density
#
# Read the boxed line as an instruction: first *rescale* $x_0$ by $\sqrt{\bar\alpha_t}$, then add independent noise. The
# density of a sum is a **convolution**, here of the rescaled data's density with that of the noise:
#
# $$q(x_t) = \int q(x_0)\,\mathcal N\big(x_t;\ \sqrt{\bar\alpha_t}\,x_0,\ 1-\bar\alpha_t\big)\,dx_0 .$$
#
# Each Gaussian of a mixture stays a Gaussian: $\mathcal N(m_k, V_k)$ becomes
# $\mathcal N\big(\sqrt{\bar\alpha_t}\,m_k,\ \bar\alpha_t V_k + 1 - \bar\alpha_t\big)$, with its weight unchanged. That
# is the blue curve. Let us not believe it: do the integral as a plain sum over a fine grid.

# %%
t = 200
fine = np.linspace(-6, 6, 6001)
dx = fine[1] - fine[0]
left = np.prod(1 - betas[:t])
density0 = np.exp(data.log_density(fine[:, None]))
apart = grid - np.sqrt(left) * fine  # (400, 6001)
kernel = np.exp(-(apart**2) / (2 * (1 - left))) / np.sqrt(2 * np.pi * (1 - left))
by_integral = kernel @ density0 * dx
by_formula = np.exp(data.diffused(np.sqrt(left), np.sqrt(1 - left)).log_density(grid))
print(f"largest difference between the integral and the formula: {np.max(np.abs(by_integral - by_formula)):.1e}")
assert np.allclose(by_integral, by_formula, rtol=0, atol=1e-12)

# %% [markdown]
# They agree to rounding. (For a smooth function that dies out at both ends, the error of a plain sum over an even grid
# falls faster than any power of the spacing [Trefethen & Weideman 2014, [The exponentially convergent trapezoidal
# rule](https://doi.org/10.1137/130932132)].)
#
# ## Move the time yourself
#
# First as a strip; below it, if you run this notebook, a slider.

# %%
few = x0[:4000]
eps = rng.standard_normal(few.shape)


def melt(ax, t):
    """The cloud after a jump to t, above the exact density."""
    left = np.prod(1 - betas[:t])
    x = np.sqrt(left) * few + np.sqrt(1 - left) * eps
    exact = np.exp(data.diffused(np.sqrt(left), np.sqrt(1 - left)).log_density(grid))
    ax.hist(x[:, 0], bins=80, range=(-4, 4), density=True, color=DATA, alpha=0.5)
    ax.plot(grid, exact, color=EXACT, lw=1.5)
    ax.set(title=rf"t = {t}, $\bar\alpha_t$ = {left:.3f}", xlabel="$x_t$", yticks=[], ylim=(0, 1.2))


fig, axes = plt.subplots(1, 4, figsize=(9, 2.5))
axes[0].set_ylabel("density")
for ax, t in zip(axes, (20, 100, 300, 600), strict=True):
    melt(ax, t)
show(fig, "The same 4,000 points after jumps to steps 20, 100, 300 and 600, under the exact curves.")

# %% [markdown]
# *What to see:* points that jumped (grey) lie under the exact density (blue), and no point has taken a single step. By
# $t = 600$, with 2.6 % of the variance left, the modes are gone.

# %%
try:
    from ipywidgets import IntSlider, interact

    @interact(t=IntSlider(value=100, min=1, max=T, continuous_update=False))
    def melting(t):
        """The strip's picture at a time of your choice."""
        fig, ax = plt.subplots(figsize=(5, 3))
        melt(ax, t)
        show(fig, f"The cloud after a jump to step {t}, under the exact curve.")
except ImportError:
    print("pip install ipywidgets for a slider; the strip above shows the same.")

# %% [markdown]
# *What to see:* the picture of one time, at first $t = 100$; with the slider you may look for the step at which the two
# modes become one.
#
# ## Break it
#
# Many lecture notes write $\alpha_t = 1 - \beta_t$ and then
# $x_t = \sqrt{\alpha_t}\,x_0 + \sqrt{1-\alpha_t}\,\varepsilon$: a bar is missing. The code runs and nothing complains.
# `check` does:


# %%
def without_the_bar(x0, t, eps, betas):
    """The bar is missing."""
    alpha = 1 - betas[t - 1]
    return np.sqrt(alpha) * x0 + np.sqrt(1 - alpha) * eps


print(check(without_the_bar, "q_sample"))

# %% [markdown]
# How bad is it? At the last step this keeps 98 % of the variance of the data, where the true chain keeps 0.004 %.
# Compare the signal-to-noise ratios, variance of signal over variance of noise, for data of variance 1:

# %%
wrong = (1 - betas[-1]) / betas[-1]
right = np.prod(1 - betas) / (1 - np.prod(1 - betas))
print(f"signal-to-noise ratio at t = 1000: {right:.2g} after the chain, {wrong:.0f} without the bar")
assert round(wrong) == 49

# %% [markdown]
# A network trained on such points would never see more than 2 % of noise, and a sampler that starts from pure noise would
# ask it about points that it has never met.
#
# Another slip stands in slides: a step scaled by $\beta$ where its roots belong. **Predict.** Which law does it break,
# and at which numbers?


# %%
def scaled_by_beta(x, t, eps, betas):
    """The roots are missing."""
    beta = betas[t - 1]
    return (1 - beta) * x + beta * eps


print(check(scaled_by_beta, "q_step"))

# %% [markdown]
# ## The numbers
#
# A jump equals the chain. The walked points of the first figure against the exact law of the jump, in mean and
# variance, each beside its standard error; and the largest distance between their distribution functions, whose 99 %
# quantile under the null hypothesis is $1.63/\sqrt n$ (the Kolmogorov–Smirnov test).

# %%
from scipy.special import ndtr  # Φ, the distribution function of N(0, 1)

# In the format of a number, z turns −0.0000 into 0.0000.
print("   t    mean: walked, exact (error)      variance: walked, exact (error)    distance of distribution functions")
for t, x in walk.items():
    left = np.prod(1 - betas[:t])
    m, var = np.sqrt(left) * data.means[:, 0], left * data.covariances[:, 0, 0] + 1 - left  # of each mode
    mean = data.weights @ m
    variance = data.weights @ (var + m**2) - mean**2
    error_mean = np.sqrt(variance / n)
    error_variance = np.sqrt(np.var((x - mean) ** 2) / n)
    ordered = np.sort(x[:, 0])
    exact = ndtr((ordered[:, None] - m) / np.sqrt(var)) @ data.weights
    distance = np.max(np.abs(exact - (np.arange(n) + 0.5) / n))
    print(f"{t:5d}   {x.mean():8.4f} {mean:z8.4f} ({error_mean:.4f})       {x.var():8.4f} {variance:8.4f} ({error_variance:.4f})"
          f"           {distance:.4f} < {1.63 / np.sqrt(n):.4f}")  # fmt: skip
    assert abs(x.mean() - mean) < 4 * error_mean
    assert abs(x.var() - variance) < 4 * error_variance
    assert distance < 1.63 / np.sqrt(n)

# %% [markdown]
# Most numbers are within one error of the truth, and one, the last variance, is 2.8 errors off. Among ten independent
# numbers that happens in one run of eighteen; the cell allows 4 errors.
#
# ## What you know now
#
# - A noising step rescales and adds noise so that a variance of 1 stays 1.
# - $t$ steps are one: $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$.
# - The density of $x_t$ is that of the data, rescaled, then convolved with a Gaussian; a mixture stays a mixture.
#
# **Next:** [2. Schedules are SNR curves](02_schedules.ipynb). If only $\bar\alpha_t$ matters, does it matter how many
# steps we take?
