# %% [markdown]
# # 3. Undoing one step
#
# **When is the reverse step Gaussian?**
#
# *You need:* notebooks 1 and 2, and Bayes' rule. *To read:* 45 minutes. *To work:* 45 minutes.
# *Paper:* Ho et al. 2020, [DDPM](https://arxiv.org/abs/2006.11239), §2 and §3.2.
#
# A noising step is a Gaussian: shrink, add noise. Can the way back be one too? If so, a machine that learns to go back
# needs to learn only a mean and a variance. The answer is no, then yes, then almost; each comes with its number. At the
# end you can take DDPM's step backwards, and you know which of its ingredients is exact.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtr  # Φ, the distribution function of N(0, 1)
from tqdm.auto import tqdm

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(3)

# %% [markdown]
# ## Which points did it come from?
#
# We see $x_t$ and ask for $x_{t-1}$. That is a question for Bayes' rule,
#
# $$\underbrace{q(x_{t-1} \mid x_t)}_{\text{reverse kernel}}
#   = \frac{\overbrace{q(x_t \mid x_{t-1})}^{\text{the step}}\ \overbrace{q(x_{t-1})}^{\text{where points are}}}{q(x_t)} .$$
#
# Read it as a function of $x_{t-1}$. The step $\mathcal N(x_t;\ \sqrt{1-\beta_t}\,x_{t-1},\ \beta_t)$ is a bump around
# $x_t/\sqrt{1-\beta_t}$ of the variance $\beta_t/(1-\beta_t)$: all the places from which a step could have led here.
# The other factor is the density of the points after $t - 1$ steps. It prefers the places where points *are*, and it
# knows all about the data. The product of the two, normalised, is the way back.
#
# From notebook 1 we know that many steps are one. From step $s$ to a later step $t$ leads a single long step with
#
# $$\beta_{t|s} = 1 - \frac{\bar\alpha_t}{\bar\alpha_s},$$
#
# since the fractions that are left multiply. So we can draw steps of every length with the same formula. Take the two
# modes of notebook 1, the paper's schedule, and stand at $x_t = -0.3$ after $t = 300$ steps.
#
# **Predict.** Where is the bump of the step narrow and where is it wide? What shape has the product for a short step,
# and what shape for one that goes all the way back to the data, $s = 0$?

# %%
data = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
betas = np.linspace(1e-4, 0.02, 1000)
chain = td.Discrete(betas)  # in the library the step n of T is the time n/T; chain.at(n/T) has its alpha and sigma
alpha_bar = np.concatenate([[1.0], np.cumprod(1 - betas)])
t, x_t = 300, -0.3

grid = np.linspace(-6, 6, 2401)
dx = grid[1] - grid[0]
fig, axes = plt.subplots(1, 4, figsize=(9, 2.9), sharex=True)
for ax, s in zip(axes, (295, 270, 200, 0), strict=True):
    beta = 1 - alpha_bar[t] / alpha_bar[s]
    points = np.exp(data.diffused(np.sqrt(alpha_bar[s]), np.sqrt(1 - alpha_bar[s])).log_density(grid[:, None]))
    step = np.exp(-((x_t - np.sqrt(1 - beta) * grid) ** 2) / (2 * beta))
    product = step * points
    product /= np.sum(product) * dx  # Bayes' rule on a grid
    kernel = data.reverse_kernel(np.array([[x_t]]), chain.at(t / 1000), chain.at(s / 1000))  # by formula, see below
    assert np.allclose(product, np.exp(kernel.log_density(grid[:, None])), rtol=0, atol=1e-11)
    ax.fill_between(grid, points / points.max(), color=DATA, alpha=0.3, lw=0)
    ax.plot(grid, step, "--", color=MODEL, lw=1.8, zorder=3)
    ax.plot(grid, product / product.max(), color=EXACT)
    ax.set(
        title=rf"s = {s}, $\beta_{{t|s}}$ = {beta:.2f}",
        xlabel="$x_s$",
        xlim=(-2.4, 2.4),
        xticks=[-2, 0, 2],
        yticks=[],
        ylim=(0, 1.2),
    )
axes[0].set_ylabel("height (highest = 1)")
axes[0].text(-2.3, 0.62, "points", color=DATA)
axes[2].text(-2.3, 1.08, "the step", color=MODEL)
axes[2].text(-0.3, 1.08, "the way back", color=EXACT)
show(
    fig,
    "Four panels for steps back of growing length. For short ones the bump of the step is narrow and the "
    "product with the density of points is that bump. For longer ones the bump is wide and the product shows "
    "the two modes of the data.",
)

# %% [markdown]
# *What to see:* when the step is short, its bump is narrow, the grey density is almost a straight line across it, and
# the product is a bump again, a little displaced (at $s = 270$; at 295 too little to see). When the step is long the
# bump rules out little, and the product shows what the grey density shows: two modes. **How many modes the way back has
# depends on the length of the step.**
#
# ## Many small steps, or one big step
#
# But then, how can many one-humped moves lead to two modes? They do. We start 10,000 walkers at $x_t = -0.3$ and let
# each go back in sixty moves of five steps, each time by a draw from the exact reverse kernel. Behind them, for each
# $s$ on the way, the kernel of the single big move from 300 to $s$ (yellow is dense), each scaled to its own highest
# value.

# %%
n = 10_000
times = np.arange(t, -1, -5)
levels = [chain.at(k / 1000) for k in times]
x = np.full((n, 1), x_t)
walkers = [x[:, 0]]
for now, then in pairwise(levels):
    x = data.reverse_kernel(x, now, then).sample(rng, n)
    walkers.append(x[:, 0])
walkers = np.array(walkers)  # (61, n)

tall = np.linspace(-2.6, 2.2, 320)
start = np.array([[x_t]])
fan = [data.reverse_kernel(start, levels[0], then).log_density(tall[:, None]) for then in levels[1:]]
fan = np.exp(np.array(fan)).T  # (320, 60)
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), sharey=True, width_ratios=[3, 1])
left.pcolormesh(times[1:], tall, fan / fan.max(axis=0), cmap="cividis", rasterized=True)
left.set_facecolor(plt.get_cmap("cividis")(0.0))
left.plot(times, walkers[:, :9], color="black", lw=2)
left.plot(times, walkers[:, :9], color="white", lw=0.9)
left.plot(t, x_t, "o", color="white", ms=7, clip_on=False, mec=DATA)
left.set(
    xlabel="step s, from $t$ = 300 back to the data",
    ylabel="$x_s$",
    xlim=(300, 0),
    ylim=(-2.6, 2.2),
    xticks=[300, 200, 100, 0],
)
right.hist(
    walkers[-1],
    bins=60,
    range=(-2.6, 2.2),
    density=True,
    orientation="horizontal",
    histtype="stepfilled",
    color=DATA,
    alpha=0.5,
)
right.plot(fan[:, -1], tall, color=EXACT)
right.set(xlabel="density at s = 0", xticks=[], yticks=[-2, -1, 0, 1, 2])
right.text(0.28, -1.0, "10,000 walkers,\n60 moves each", color=DATA)
right.text(0.5, 1.45, "one big move", color=EXACT)
show(
    fig,
    "Left, a density that starts as one point at step 300 and splits into two branches towards step 0, with "
    "nine jagged paths that end in one branch or the other. Right, the histogram of 10,000 such paths at step "
    "0, under the density of the single big step.",
)

# %% [markdown]
# *What to see:* white are nine of the walkers. Each small move is a simple one, and yet the crowd splits: for a walker
# whom chance has moved up, Bayes' rule finds more points above than below, so that it is drawn further up. Sixty small
# moves and one big move have the same law. They must: seen backwards, a Markov chain is a Markov chain, and both ways
# are its $q(x_0 \mid x_{300})$.
#
# This is the bargain of diffusion models. The big move is as hard as the data. The small moves are easy, but there are
# many.
#
# ## If we knew $x_0$
#
# Training knows $x_0$: it made $x_t$ from it. Given $x_0$, everything is Gaussian. By the Markov property
# $q(x_t \mid x_{t-1}, x_0) = q(x_t \mid x_{t-1})$, so Bayes' rule, with every term given $x_0$, reads
#
# $$q(x_{t-1} \mid x_t, x_0) \;\propto\; q(x_t \mid x_{t-1})\; q(x_{t-1} \mid x_0)
# \;\propto\; \exp\bigg(\!-\frac12\bigg[\frac{(x_t - \sqrt{1-\beta_t}\,x_{t-1})^2}{\beta_t} + \frac{(x_{t-1} - \sqrt{\bar\alpha_{t-1}}\,x_0)^2}{1-\bar\alpha_{t-1}}\bigg]\bigg).$$
#
# **Complete the square.** Collect powers of $x_{t-1}$; whatever does not contain it belongs to the constant. The
# bracket is $A\,x_{t-1}^2 - 2B\,x_{t-1} + \text{const}$ with
#
# $$A = \frac{1-\beta_t}{\beta_t} + \frac1{1-\bar\alpha_{t-1}}, \qquad
#   B = \frac{\sqrt{1-\beta_t}}{\beta_t}\,x_t + \frac{\sqrt{\bar\alpha_{t-1}}}{1-\bar\alpha_{t-1}}\,x_0 ,$$
#
# and $A x^2 - 2Bx = A\,(x - B/A)^2 - B^2/A$. So the posterior is the Gaussian with variance $1/A$ and mean $B/A$.
# Simplify $A$ over a common denominator:
#
# $$A = \frac{(1-\beta_t)(1-\bar\alpha_{t-1}) + \beta_t}{\beta_t\,(1-\bar\alpha_{t-1})} = \frac{1 - (1-\beta_t)\,\bar\alpha_{t-1}}{\beta_t\,(1-\bar\alpha_{t-1})}
#     = \frac{1-\bar\alpha_t}{\beta_t\,(1-\bar\alpha_{t-1})},$$
#
# where $(1-\beta_t)\,\bar\alpha_{t-1} = \bar\alpha_t$ in the last step. Its inverse is called $\tilde\beta_t$, and
# multiplying $B$ by it gives the mean [DDPM, eqs. 6 and 7]:
#
# $$\boxed{\;q(x_{t-1} \mid x_t, x_0) = \mathcal N\big(c_t\,x_t + c_0\,x_0,\ \tilde\beta_t\big)\;}\qquad
#   c_t = \frac{\sqrt{1-\beta_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}, \quad
#   c_0 = \frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t}, \quad
#   \tilde\beta_t = \beta_t\,\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}.$$
#
# At $t = 1$, where $1 - \bar\alpha_0 = 0$, we may not divide, but the box is still right: $c_t = 0$, $c_0 = 1$,
# $\tilde\beta_1 = 0$, the point $x_0$ itself. In several dimensions each coordinate goes on its own.
#
# $A$ says it best: $1/\tilde\beta_t$, the precision, is the precision of what $x_t$ tells about $x_{t-1}$ *plus* that
# of what $x_0$ tells. Two measurements, combined.
#
# ### Exercise 3.1: its variance


# %%
def posterior_variance(t, betas):
    """β̃_t, the variance of q(x_{t−1}|x_t, x_0): a number, t from 1 to T."""
    ### BEGIN SOLUTION
    left, left_before = np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    return betas[t - 1] * (1 - left_before) / (1 - left)
    ### END SOLUTION


check(posterior_variance)

# %% [markdown]
# ### Exercise 3.2: the posterior


# %%
def posterior(x_t, x0, t, betas):
    """The pair of mean (B, D) and variance, a number, of q(x_{t−1}|x_t, x_0); x_t and x0 (B, D), t from 1 to T."""
    ### BEGIN SOLUTION
    beta, left, left_before = betas[t - 1], np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    mean = (np.sqrt(1 - beta) * (1 - left_before) * x_t + np.sqrt(left_before) * beta * x0) / (1 - left)
    return mean, beta * (1 - left_before) / (1 - left)
    ### END SOLUTION


check(posterior)

# %% [markdown]
# The library's `td.posterior(now, then)` takes any two levels of a process, the later one first, and gives $c_t$, $c_0$
# and the variance. Against it:

# %%
some_x, some_x0 = rng.standard_normal((2, 5, 3))
answer = posterior(some_x, some_x0, 300, betas)
c_t, c_0, variance = td.posterior(chain.at(300 / 1000), chain.at(299 / 1000))
mean = c_t * some_x + c_0 * some_x0
if answer is None:
    print("not yet: posterior returns nothing.")
else:
    print(
        f"apart from the library: mean {np.max(np.abs(answer[0] - mean)):.0e}, variance {abs(answer[1] - variance):.0e}"
    )

# %% [markdown]
# ## We do not know $x_0$
#
# A sampler has only $x_t$. Then $x_0$ is random, with its own law $q(x_0 \mid x_t)$, and we average over it:
#
# $$q(x_{t-1} \mid x_t) = \int \mathcal N\big(x_{t-1};\ c_t\,x_t + c_0\,x_0,\ \tilde\beta_t\big)\; q(x_0 \mid x_t)\, dx_0 .$$
#
# This is a **mixture** of Gaussians, one for each $x_0$ that is possible. It is what the library computes: with data
# from a mixture, $q(x_0\mid x_t)$ is a mixture, and so is this (`data.reverse_kernel`). In general it is not Gaussian.
# But two numbers of it are easy. By the laws of total expectation and of total variance,
#
# $$\mathbb E[x_{t-1} \mid x_t] = c_t\,x_t + c_0\,\mathbb E[x_0 \mid x_t], \qquad
#   \operatorname{Var}[x_{t-1} \mid x_t] = \tilde\beta_t + c_0^2 \operatorname{Var}[x_0 \mid x_t].$$
#
# The mean needs of all the data only $\mathbb E[x_0 \mid x_t]$, the best guess of $x_0$ in mean square. A machine that
# guesses $x_0$, call its guess $\hat x_0$, gives the mean of the step, and if the guess is $\mathbb E[x_0 \mid x_t]$
# then *this mean is exact*. DDPM takes its step as a Gaussian with that mean:
#
# $$x_{t-1} = c_t\,x_t + c_0\,\hat x_0 + \sigma_t\,z, \qquad z \sim \mathcal N(0, I),$$
#
# with a variance $\sigma_t^2$ still to be chosen. (DDPM's $\sigma_t$ is the noise of this step back, not the $\sigma$
# of the kernel in notebook 2.) It is usual to guess the noise $\varepsilon$ rather than $x_0$, which is the same guess:
# from $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$ comes
#
# $$\hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\;\hat\varepsilon}{\sqrt{\bar\alpha_t}} .$$
#
# Put it in. Since $\sqrt{\bar\alpha_{t-1}/\bar\alpha_t} = 1/\sqrt{1-\beta_t}$, the coefficient of $x_t$ becomes
#
# $$c_t + \frac{c_0}{\sqrt{\bar\alpha_t}} = \frac{(1-\beta_t)(1-\bar\alpha_{t-1}) + \beta_t}{(1-\bar\alpha_t)\sqrt{1-\beta_t}} = \frac1{\sqrt{1-\beta_t}},
# \qquad\text{that of } \hat\varepsilon:\quad -\frac{c_0 \sqrt{1-\bar\alpha_t}}{\sqrt{\bar\alpha_t}} = -\frac{\beta_t}{\sqrt{1-\bar\alpha_t}\,\sqrt{1-\beta_t}}.$$
#
# (The numerator is the one of $A$ above.) So the step is the one of the paper [DDPM, eq. 11 and Alg. 2]:
#
# $$x_{t-1} = \frac1{\sqrt{1-\beta_t}}\Big(x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\,\hat\varepsilon\Big) + \sigma_t\,z .$$
#
# ### Exercise 3.3: DDPM's step
#
# Build it from the posterior and $\hat x_0$. Take $\sigma_t^2 = \tilde\beta_t$, and look at what that does at $t = 1$.


# %%
def ddpm_step(x_t, t, eps_hat, z, betas):
    """x_{t−1} from x_t, the guess eps_hat of the noise in it, and fresh noise z, all (B, D); t from 1 to T; σ_t² = β̃_t."""
    ### BEGIN SOLUTION
    beta, left, left_before = betas[t - 1], np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    x0_hat = (x_t - np.sqrt(1 - left) * eps_hat) / np.sqrt(left)
    mean = (np.sqrt(1 - beta) * (1 - left_before) * x_t + np.sqrt(left_before) * beta * x0_hat) / (1 - left)
    beta_tilde = beta * (1 - left_before) / (1 - left)
    return mean + np.sqrt(beta_tilde) * z
    ### END SOLUTION


check(ddpm_step, "ddpm_step_beta_tilde")

# %% [markdown]
# ## Two variances
#
# The exact variance depends on the data, through $\operatorname{Var}[x_0 \mid x_t]$. Average it over $x_t$ and ask how
# large it can be (one coordinate; for several, take the mean over them).
#
# **From below.** A variance is not negative, so it is at least $\tilde\beta_t$. Equality holds if $x_t$ tells $x_0$
# exactly: data that are a single point.
#
# **From above, for data of variance 1.** The best guess is at least as good as any other, so
# $\mathbb E\operatorname{Var}[x_0\mid x_t]$ is at most the mean squared error of the best *linear* guess $k\,x_t + b$.
# Regression gives it: $\operatorname{Var}[x_0] - \operatorname{Cov}^2/\operatorname{Var}[x_t] = 1 - \bar\alpha_t$.
# Therefore
#
# $$\mathbb E \operatorname{Var}[x_{t-1}\mid x_t] \le \tilde\beta_t + c_0^2\,(1-\bar\alpha_t)
#  = \frac{\beta_t\,(1-\bar\alpha_{t-1}) + \bar\alpha_{t-1}\,\beta_t^2}{1-\bar\alpha_t} = \beta_t\,\frac{1 - \bar\alpha_{t-1}(1-\beta_t)}{1-\bar\alpha_t} = \beta_t .$$
#
# Equality holds if the best guess is linear: data from $\mathcal N(0, 1)$. These are DDPM's two choices,
# $\sigma_t^2 = \tilde\beta_t$ and $\sigma_t^2 = \beta_t$, the two ends of what is possible for such data [DDPM, §3.2].
#
# **From above, for any data.** One often reads that $\beta_t$ is an upper bound, full stop. It is not. If the variance is
# not known, take the guess $x_t/\sqrt{\bar\alpha_t}$, whose error is
# $\sqrt{1-\bar\alpha_t}\,\varepsilon/\sqrt{\bar\alpha_t}$, whatever the data. With $(1-\bar\alpha_t)/\bar\alpha_t$ in
# place of $1-\bar\alpha_t$, and $\bar\alpha_{t-1}/\bar\alpha_t = 1/(1-\beta_t)$,
#
# $$\mathbb E \operatorname{Var}[x_{t-1}\mid x_t] \le \frac{\beta_t}{1-\bar\alpha_t}\Big(1-\bar\alpha_{t-1} + \frac{\beta_t}{1-\beta_t}\Big)
#   = \frac{\beta_t}{1-\bar\alpha_t}\Big(\frac1{1-\beta_t} - \bar\alpha_{t-1}\Big) = \frac{\beta_t}{1-\beta_t},$$
#
# which is the variance of the bump in the first figure: knowing where points are can only help, on average.
#
# **Predict.** For data with variance 25, at which of 20 steps does the average reverse variance reach
# $\beta_t/(1-\beta_t)$, and at which is it near $\beta_t$?

# %%
T = 20
short = td.Discrete.cosine(T)
mean = data.weights @ data.means[:, 0]
variance = data.weights @ (data.covariances[:, 0, 0] + (data.means[:, 0] - mean) ** 2)
two_modes = data.diffused(1 / np.sqrt(variance), 0.0)  # the data of this notebook, scaled to variance 1
sets = {
    "one point": (td.GaussianMixture([1.0], [[0.5]], [[[0.0]]]), "v", DATA),
    "two modes, variance 1": (two_modes, "s", MODEL),
    "N(0, 1)": (td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), "o", EXACT),
    "N(0, 25)": (td.GaussianMixture([1.0], [[0.0]], [[[25.0]]]), "^", "black"),
}


def reverse_variance(data, now, then):
    """E Var[x_s|x_t] in one dimension, by quadrature over x_t."""
    x, weights = data.diffused(now.alpha, now.sigma).quadrature()
    return weights @ data.reverse_kernel(x, now, then).moments()[1][:, 0, 0]


steps = np.arange(1, T + 1)
pairs = [(short.at(k / T), short.at((k - 1) / T)) for k in steps]
beta_tilde = np.array([td.posterior(now, then)[2] for now, then in pairs])
ratios = {
    name: np.array([reverse_variance(law, now, then) for now, then in pairs]) / short.betas
    for name, (law, _, _) in sets.items()
}
fig, ax = plt.subplots(figsize=(7.5, 3.5))
ax.plot(steps, 1 / (1 - short.betas), "--", color=DATA, lw=1.2)
ax.plot(steps, beta_tilde / short.betas, "--", color=DATA, lw=1.2)
ax.axhline(1, color=DATA, ls="--", lw=1.2)
for name, (_, marker, color) in sets.items():
    ax.plot(steps, ratios[name], marker, color=color, ms=5)
ax.text(12.6, 1.42, r"$\beta/(1-\beta)$", color=DATA)
ax.text(20.4, 0.85, r"$\tilde\beta$", color=DATA)
ax.text(20.4, 1.05, r"$\beta$", color=DATA)
ax.text(15.6, 1.2, "N(0, 25)", color="black")
ax.text(1.3, 1.07, "N(0, 1)", color=EXACT)
ax.text(0.9, 0.65, "two modes", color=MODEL)
ax.text(4.6, 0.5, "one point", color=DATA)
ax.set(
    xlabel="step t of 20, cosine schedule",
    ylabel=r"mean reverse variance / $\beta_t$",
    ylim=(-0.05, 1.65),
    xlim=(0.4, 21),
)
ax.set(xticks=[1, 5, 10, 15, 20], yticks=[0, 0.5, 1, 1.5])
show(
    fig,
    "Mean reverse variance divided by beta for 20 steps. One point lies on the lower curve beta-tilde, N(0, "
    "1) on the line 1, two modes of variance 1 in between, and N(0, 25) above 1, under the upper curve.",
)

# %% [markdown]
# *What to see:* data of variance 1 (and one point) live between the two lower dashed lines. The two modes are on
# $\beta_t$ at late steps, where $x_t$ tells little; about halfway between the lines at $t = 4$; and nearer to $\beta_t$
# again at $t = 1$, where a step is shorter than the modes are wide. On $\tilde\beta_t$ lies only the point, which every
# $x_t$ gives away. The black triangles are above $\beta_t$ by up to 45 %, and follow the true bound (which leaves the
# figure at $t = 17$) as long as the signal is strong. So the bound $\beta_t$ belongs to standardised data. In the
# paper's thousand steps the lines nearly coincide, all but the first few; the cell below counts them. One may also take
# this mean itself for $\sigma_t^2$ [Bao et al. 2022, [Analytic-DPM](https://arxiv.org/abs/2201.06503)].

# %%
assert np.allclose(ratios["one point"], beta_tilde / short.betas, rtol=0, atol=1e-12)
assert np.allclose(ratios["N(0, 1)"], 1, rtol=0, atol=1e-12)
assert np.max(ratios["N(0, 25)"]) > 1.4
for name, ratio in ratios.items():
    assert np.all(ratio <= 1 / (1 - short.betas) + 1e-9), name
    assert np.all(ratio >= beta_tilde / short.betas - 1e-9), name
paper = (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])  # β̃_t/β_t
print(f"the paper's chain: β̃/β is below 0.9 in {np.sum(paper < 0.9)} of 1000 steps, the first ones")
print(f"20 steps, N(0, 25): up to {np.max(ratios['N(0, 25)']):.2f} β")

# %% [markdown]
# ## How Gaussian is a small step?
#
# Go back to the product of the step and the density. Write $\ell(x) = \ln q(x_{t-1} = x)$, let $c = x_t/\sqrt{1-\beta}$
# be the centre of the bump, and measure $x_{t-1} = c + b\,y$ in widths of the bump, $b = \sqrt{\beta/(1-\beta)}$, which
# is nearly $\sqrt\beta$ when $\beta$ is small. Up to a constant
#
# $$\ln q(x_{t-1}\mid x_t) = -\frac{y^2}2 + b\,\ell'(c)\,y + \frac{b^2}{2}\,\ell''(c)\,y^2 + \frac{b^3}{6}\,\ell'''(c)\,y^3 + \dots$$
#
# The linear term displaces the Gaussian; that is the mean. The quadratic one changes its width by a part of the order
# $b^2 \approx \beta$. The cubic one is the first that a Gaussian cannot have, and it is as small as $\beta^{3/2}$.
# **That is why small steps are Gaussian:** over a short distance any smooth $\ln q$ is a straight line, then a
# parabola.
#
# In nats: a density $\varphi(y)\,(1 + \kappa\,h(y))$ with a small $\kappa$ and $h = y^3 - 3y$ (the part of $y^3$ that
# changes neither mean nor variance) has the divergence $\tfrac12\kappa^2\,\mathbb E h^2 = 3\kappa^2$ from $\varphi$, as
# $\ln(1+a) \approx a - \tfrac12 a^2$ and $\mathbb E h^2 = 15 - 18 + 9 = 6$. With
# $\kappa = b^3\ell'''/6 \approx \beta^{3/2}\ell'''/6$:
#
# $$\mathrm{KL}\big(q(x_{t-1}\mid x_t)\,\big\|\,\text{Gaussian of the same mean and variance}\big) \approx \frac{\beta^3\,\ell'''(c)^2}{12} .$$
#
# And if the Gaussian has the right mean, but the true variance is $1+\delta$ times the one it has, it costs
# $\tfrac12(\delta - \ln(1+\delta)) \approx \tfrac14\delta^2$. For $\beta_t$ that $\delta$ is of the order $\beta$. For
# $\tilde\beta_t$ it is of the order $\beta_t/(1-\bar\alpha_t)$: of the order $\beta$ where much noise has been added
# already, as in the figure below, but about $1/t$ in the first steps of a chain, however small $\beta$ is.
#
# **Predict.** If a step at $t = 0.3$ is cut to a tenth, by what factor does its error in nats fall: for the Gaussian with
# its own variance, and for the two with $\beta$ and $\tilde\beta$?

# %%
vp = td.VP()  # the same chain in the limit of many steps, where steps of any size exist
now, here = vp.at(0.3), np.array([[-0.3]])
sizes = np.array([0.3, 0.1, 0.03, 0.01, 0.003, 0.001])
nats = []
for beta in sizes:
    left = now.alpha**2 / (1 - beta)  # ᾱ before the step
    then = vp.at(vp.time(np.log(left / (1 - left))))
    kernel = data.reverse_kernel(here, now, then)
    mean, variance = (a.item() for a in kernel.moments())
    y = mean + np.sqrt(variance) * np.linspace(-10, 10, 2001)
    log_q = kernel.log_density(y[:, None])
    weights = np.exp(log_q) * (y[1] - y[0])
    kl = []
    for var in (variance, beta, td.posterior(now, then)[2]):  # of Gaussians with the exact mean; the last is β̃
        log_gaussian = -0.5 * np.log(2 * np.pi * var) - (y - mean) ** 2 / (2 * var)
        kl.append(np.sum(weights * (log_q - log_gaussian)))
    nats.append(kl)
nats = np.array(nats)  # (6, 3)

fig, ax = plt.subplots(figsize=(6.8, 3.5))
names = ("its own variance: slope 3", r"variance $\beta$: slope 2", r"variance $\tilde\beta$: slope 2")
for curve, name, line, color, place in zip(
    nats.T,
    names,
    ("o-", "s-", "v-"),
    (EXACT, MODEL, "black"),
    ((0.012, 2e-11), (0.0012, 6e-9), (0.0011, 2e-4)),
    strict=True,
):
    ax.loglog(sizes, curve, line, color=color, ms=5)
    ax.text(*place, name, color=color)
ax.set(
    xlabel=r"$\beta$ of the step", ylabel="KL (nats)", xticks=[1e-3, 1e-2, 1e-1], yticks=[1e-12, 1e-9, 1e-6, 1e-3, 1]
)
show(
    fig,
    "Divergence of the exact reverse kernel from Gaussians of its own mean, over beta on logarithmic axes: "
    "with its own variance it falls with slope 3, with the variance beta or beta-tilde with slope 2.",
)

# %% [markdown]
# *What to see:* a tenth of the step, a thousandth of the error for the best Gaussian, and a hundredth with $\beta$ or
# $\tilde\beta$. Now count: a path of $T$ steps has $\beta$ of the order $1/T$, and errors in nats add up along it
# (notebook 4 shows why). So, where $\ln q$ is smooth over a step, $T$ steps with $\beta$ cost $T \cdot T^{-2} = 1/T$ in
# all: twice the steps, half the error. That small enough reverse steps of such chains have the form of the forward ones
# is the founding remark of the field [Sohl-Dickstein et al. 2015, [nonequilibrium
# thermodynamics](https://arxiv.org/abs/1503.03585)].
#
# With $\tilde\beta$ the same holds away from the data, but not in the first few steps. On a density that is flat over
# such a step the true variance is $\beta_t$, and where $\beta$ hardly changes over the first steps, as in a long cosine
# chain, $\tilde\beta_t/\beta_t$ is about $(t-1)/t$ at $t = 2, 3, \dots$, however large $T$ is. These steps cost
#
# $$\sum_{t \ge 2} \tfrac12\Big(\frac1{t-1} - \ln\frac{t}{t-1}\Big) = \frac\gamma2 \approx 0.29 \text{ nats a coordinate}$$
#
# together ($\gamma = 0.577$ is Euler's constant; more where $\beta$ rises from step to step, as in short chains), and
# more steps do not remove them. In samples they hardly show, for all that happens there is of the size of
# $\sqrt{\beta_1}$. The next cell adds up the chain for data from $\mathcal N(0, 1)$, whose exact reverse kernel is the
# Gaussian with the variance $\beta_t$.

# %%
slopes = np.diff(np.log(nats), axis=0) / np.diff(np.log(sizes))[:, None]
h = 0.01
around = here + h * np.array([[-2], [-1], [1], [2]])  # for small β, c is x_t and q(x_{t−1}) is q(x_t)
ell = data.diffused(now.alpha, now.sigma).log_density(around)
third = (-ell[0] + 2 * ell[1] - 2 * ell[2] + ell[3]) / (2 * h**3)  # ℓ''' by differences
print("slopes from β = 0.01 to 0.003: " + ", ".join(f"{slope:.2f}" for slope in slopes[3]))
print(f"KL at β = 0.003: {nats[4, 0]:.3g} nats, β³ ℓ'''²/12 = {sizes[4] ** 3 * third**2 / 12:.3g} nats")
assert np.all(np.abs(slopes[3] - [3, 2, 2]) < 0.15)
assert abs(nats[4, 0] / (sizes[4] ** 3 * third**2 / 12) - 1) < 0.1

for many in (100, 1_000, 10_000, 100_000):
    process = td.Discrete.cosine(many)
    noise = 1 - np.cumprod(1 - process.betas)
    ratio = noise[1:] / noise[:-1]  # β_t/β̃_t for t = 2, …, T
    price = 0.5 * np.sum(ratio - 1 - np.log(ratio))
    print(f"N(0, 1), {many:6d} steps with β̃: {price:.3f} nats in all, γ/2 = {np.euler_gamma / 2:.3f}")
assert abs(price - np.euler_gamma / 2) < 0.02

# %% [markdown]
# ## All the way back
#
# **Ancestral sampling** starts from noise and goes back step by step, from descendant to ancestor. With the exact
# kernel it should be exact at any number of steps. With a Gaussian it can only be right if there are many. We try both,
# and three variances for the Gaussian. The library's `ddpm` takes your step of exercise 3.3, and `Oracle` gives it the
# exact $\hat x_0 = \mathbb E[x_0 \mid x_t]$, so that the only errors left are shape and width of the step. (`td.sample`
# draws from the prior, lets `ddpm` walk from step $T$ down to step 1, and ends with the answer $\hat x_0(x_1, 1)$. As
# $\tilde\beta_1 = 0$, that is the step from 1 to 0. The schedule is the cosine; on average over the data its prior gap is
# below $10^{-3}$ nats at each $T$ used here.)
#
# **Predict.** Four steps. What comes out of the mixture steps, what of the Gaussian ones?

# %%
n = 20_000


def exact_steps(T):
    """Ancestral sampling with the exact reverse kernel, T steps of the cosine schedule."""
    process = td.Discrete.cosine(T)
    x = rng.standard_normal((n, 1))
    for now, then in pairwise([process.at(k / T) for k in range(T, -1, -1)]):
        x = data.reverse_kernel(x, now, then).sample(rng, n)
    return x


def own_variance_steps(T):
    """The same with the Gaussian of the kernel's own mean and variance at each point."""
    process = td.Discrete.cosine(T)
    x = rng.standard_normal((n, 1))
    for now, then in pairwise([process.at(k / T) for k in range(T, -1, -1)]):
        mean, covariance = data.reverse_kernel(x, now, then).moments()
        x = mean + np.sqrt(covariance[:, :, 0]) * rng.standard_normal((n, 1))
    return x


def ddpm_steps(T, variance):
    """Ancestral sampling with DDPM's step: the exact mean, and "beta" or "beta_tilde"."""
    model = td.Oracle(data, td.Discrete.cosine(T))
    return td.sample(model, n, sampler=td.ddpm, steps=T, variance=variance, rng=rng)


samples = {("exact kernel", T): exact_steps(T) for T in (1, 4)}
samples |= {("Gaussian, own", T): own_variance_steps(T) for T in (4, 8, 16, 32)}
true = data.sample(np.random.default_rng(30), n)
assert all(td.Discrete.cosine(T).prior_gap(true).mean() < 1e-3 for T in (1, 4, 8, 16, 32, 64, 128))
for T in tqdm((4, 8, 16, 32, 64, 128), leave=False):
    samples["Gaussian, β̃", T] = ddpm_steps(T, "beta_tilde")
    samples["Gaussian, β", T] = ddpm_steps(T, "beta")

fig, axes = plt.subplots(1, 4, figsize=(9, 2.7), sharey=True)
grid = np.linspace(-2.6, 2.6, 500)
shown = [("exact kernel", 4)] + [("Gaussian, β̃", T) for T in (4, 16, 128)]
for ax, (kind, T) in zip(axes, shown, strict=True):
    color = EXACT if kind == "exact kernel" else MODEL
    name = "exact steps" if kind == "exact kernel" else r"steps with $\tilde\beta$"
    ax.hist(samples[kind, T][:, 0], bins=104, range=(-2.6, 2.6), density=True, color=color, alpha=0.6)
    ax.plot(grid, np.exp(data.log_density(grid[:, None])), color="black", lw=1.2)
    ax.set(title=f"{T} {name}", xlabel="$x_0$", yticks=[], ylim=(0, 1.75), xticks=[-2, 0, 2])
axes[0].set_ylabel("density")
show(
    fig,
    "Four histograms against the true density. Four exact steps fit it; four Gaussian steps fill the gap "
    "between the modes and get the heights wrong; sixteen are close but too narrow, and 128 almost fit.",
)

# %% [markdown]
# *What to see:* black is the truth. Four steps of the right shape are enough, because they are simply Bayes' rule. Four
# Gaussian steps (here with $\tilde\beta$) put points between the modes, where there are hardly any data: a Gaussian
# cannot choose. More steps repair it, slowly: even after 128 the left peak is a little too high.
#
# ## Break it
#
# "The reverse step has the covariance $\alpha_t^2 I$", some lecture notes say, with $\alpha_t = 1-\beta_t$. It should
# be $\sigma_t^2 I$: a slip between two Greek letters. What does it do? `check` objects:


# %%
def wrong_covariance(x_t, t, eps_hat, z, betas):
    """α_t in place of σ_t before z."""
    mean = (x_t - betas[t - 1] / np.sqrt(1 - np.prod(1 - betas[:t])) * eps_hat) / np.sqrt(1 - betas[t - 1])
    return mean + (1 - betas[t - 1]) * z


print(check(wrong_covariance, "ddpm_step"))

# %% [markdown]
# How bad is it? Take data from $\mathcal N(0, 1)$. Then $x_t$ and $\varepsilon$ are jointly Gaussian with variances 1
# and covariance $\sqrt{1-\bar\alpha_t}$, so the best guess of the noise is the regression
# $\hat\varepsilon = \sqrt{1-\bar\alpha_t}\,x_t$, and the mean of the step is
# $(x_t - \beta_t x_t)/\sqrt{1-\beta_t} = \sqrt{1-\beta_t}\,x_t$. Variances then obey
#
# $$V_{t-1} = (1-\beta_t)\,V_t + \sigma_t^2, \qquad V_T = 1,$$
#
# and no simulation is needed. With $\sigma_t^2 = \beta_t$ a variance of 1 stays 1.
#
# **Predict.** And with $\sigma_t^2 = (1-\beta_t)^2$, nearly 1 in each of a thousand steps?


# %%
def variances(noise, last=True):
    """V_T, …, V_0 of samples of N(0, 1) if step t adds the variance noise[t − 1]; last: also at t = 1."""
    V = [1.0]
    for t in range(1000, 0, -1):
        V.append((1 - betas[t - 1]) * V[-1] + noise[t - 1] * (t > 1 or last))
    return np.array(V)


beta_tilde = betas * (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:])
right, small, wrong = variances(betas, last=False), variances(beta_tilde), variances((1 - betas) ** 2)
fig, ax = plt.subplots(figsize=(7, 3))
steps = np.arange(1000, -1, -1)
ax.semilogy(steps, wrong, color=MODEL)
ax.semilogy(steps, right, color=EXACT)
ax.text(620, 150, r"$\sigma_t^2 = (1-\beta_t)^2$", color=MODEL)
ax.text(620, 1.3, r"$\sigma_t^2 = \beta_t$, the truth", color=EXACT)
ax.annotate(f"{wrong[-1]:.1f}", (0, wrong[-1]), (70, 330), color=MODEL)
ax.set(
    xlabel="step t, from noise to data",
    ylabel="variance of $x_t$",
    xlim=(1000, 0),
    ylim=(0.5, 900),
    xticks=[1000, 500, 0],
    yticks=[1, 10, 100],
)
show(
    fig,
    "Variance of the samples on the way from step 1000 to 0, logarithmic: flat at 1 with the right noise; "
    "with the wrong one it jumps to 50 and rises to 274.5.",
)
print(f"final variance: {right[-1]:.4f} with β, {small[-1]:.4f} with β̃, {wrong[-1]:.1f} with (1 − β)² in every step")
assert abs(wrong[-1] - 274.5) < 0.1
assert abs(right[-1] - (1 - betas[0])) < 1e-12
assert small[-1] < right[-1]

# %% [markdown]
# *What to see:* with the right noise a variance of 1 stays 1. With the wrong one samples come out with standard
# deviation 17: a picture of size 1 drowns in noise. (With $\tilde\beta$, printed below the figure, they come out a little
# small, 0.991: the truth for these data is $\beta$.)
#
# A smaller slip is to add noise in the last step too. The posterior says no: $\tilde\beta_1 = 0$, as given $\hat x_0$
# there is nothing left to draw. With $\sigma_1^2 = \beta_1$ the data of a single point come out with standard deviation
# $\sqrt{\beta_1} = 0.01$. With images scaled to $[-1, 1]$ a grey level is $2/255 = 0.008$: a grain of about one grey
# level. The library, like you, adds none: its samples end with an $\hat x_0$.
#
# ## The numbers
#
# Does it land on the data? Two tests that know the truth. The largest distance between the distribution functions of
# samples and data (Kolmogorov–Smirnov; 99 % of sets of $n$ true samples stay below $1.63/\sqrt n$). And the mean of
# $\ln q(x_0)$ over the samples, which for true samples is minus the entropy of the data, up to its standard error: too
# high means samples that huddle at the tops, too low means samples where no data are.

# %%
entropy, _ = data.entropy()
x, weights = data.quadrature()
error = np.sqrt(weights @ (data.log_density(x) + entropy) ** 2 / n)  # standard error of the mean of ln q
limit = 1.63 / np.sqrt(n)


def distance(x, law):
    """The largest distance between the distribution functions of points x (n,) and of a mixture in 1D."""
    ordered = np.sort(x)
    exact = ndtr((ordered[:, None] - law.means[:, 0]) / np.sqrt(law.covariances[:, 0, 0])) @ law.weights
    return np.max(np.abs(exact - (np.arange(len(x)) + 0.5) / len(x)))


table = {key: (distance(x[:, 0], data), (data.log_density(x).mean() + entropy) / error) for key, x in samples.items()}
print(f"n = {n}; of true samples: distance < {limit:.4f}, mean of ln q within ±4 standard errors of {-entropy:.4f}\n")
print("step                T    distance    mean ln q off by (standard errors)")
kinds = ["exact kernel", "Gaussian, own", "Gaussian, β̃", "Gaussian, β"]
for (kind, T), (apart, off) in sorted(table.items(), key=lambda row: (kinds.index(row[0][0]), row[0][1])):
    print(
        f"{kind:14s} {T:6d}      {apart:.4f}     {off:8.1f}   {'passes both' if apart < limit and abs(off) < 4 else ''}"
    )
for T in (1, 4):
    assert table["exact kernel", T][0] < limit
    assert abs(table["exact kernel", T][1]) < 4
for kind in ("Gaussian, β̃", "Gaussian, β"):
    assert table[kind, 4][0] > 5 * limit
    assert table[kind, 128][0] < 0.2 * table[kind, 4][0]
assert table["Gaussian, β̃", 32][1] > 4 > -4 > table["Gaussian, β", 32][1]
assert table["Gaussian, own", 32][0] < limit
assert abs(table["Gaussian, own", 32][1]) < 4

# %% [markdown]
# The exact kernel is right with four steps, and even with one. The Gaussian steps fail at few steps and improve as $T$
# grows: at 128 both $\beta$ and $\tilde\beta$ pass the test of the distance, but not that of $\ln q$, which $\beta$ just
# fails. The kernel's own variance passes both much sooner, in the order of the slopes 2 and 3. But a sampler has only
# $\beta$ and $\tilde\beta$: the kernel's own variance asks for $\operatorname{Var}[x_0 \mid x_t]$, more than a guess of
# $x_0$. Mark the signs from $T = 8$ on: with $\tilde\beta$ samples are too sharp and *look* excellent, with $\beta$ they
# are too blurred; the truth lies between.
#
# Two more laws. The walkers of the second figure against the single big move; and, exact to rounding, each variance on
# the data for which it is right, at $T = 10$, where steps are long (and on the other data, for which it is not). On a
# point $x_0$, with $\hat x_0 = x_0$, the mean of the step is $c_t x_t + c_0 x_0$, so variances obey
# $V_{t-1} = c_t^2\,V_t + \sigma_t^2$. We compare the variance of $x_1$, one step before the end, with the true one.

# %%
big = data.reverse_kernel(np.array([[x_t]]), chain.at(0.3), chain.at(0.0))
apart = distance(walkers[-1], big)
print(f"60 small moves against one big move: distance {apart:.4f} < {1.63 / np.sqrt(10_000):.4f}\n")
assert apart < 1.63 / np.sqrt(10_000)

T = 10
process = td.Discrete.cosine(T)
levels = [process.at(k / T) for k in range(T + 1)]
print("T = 10: variance of x_1 / the true one")
print("noise        one point      N(0, 1)")
for name in ("β̃", "β"):
    on_point, on_normal = levels[T].sigma ** 2, 1.0
    for k in range(T, 1, -1):
        c_t, _, var = td.posterior(levels[k], levels[k - 1])
        beta = process.betas[k - 1]
        noise = var if name == "β̃" else beta
        on_point, on_normal = c_t**2 * on_point + noise, (1 - beta) * on_normal + noise
    on_point /= levels[1].sigma ** 2
    print(f"{name:6s} {on_point:15.6f} {on_normal:12.6f}")
    assert abs((on_point if name == "β̃" else on_normal) - 1) < 1e-12

# %% [markdown]
# ## What you know now
#
# - The way back is Bayes' rule: the bump of the step times the density of the points. A long step back has the modes of
#   the data, a short one is nearly Gaussian.
# - Given $x_0$ it is exactly Gaussian, with mean $c_t x_t + c_0 x_0$ and variance $\tilde\beta_t$; without $x_0$ it is
#   a mixture, whose mean needs only $\mathbb E[x_0\mid x_t]$.
# - $\tilde\beta_t$ is the variance for a point, $\beta_t$ for $\mathcal N(0, 1)$; data of variance 1 lie between, and
#   only $\beta_t/(1-\beta_t)$ bounds them all.
# - The best Gaussian is wrong by the order of $\beta^3$ nats a step, the one with the variance $\beta$ by $\beta^2$: on smooth
#   data that is $1/T$ for the whole path. $\tilde\beta$ keeps a price in the first steps, which samples hardly show.
#
# **Next:** [4. The ELBO, every term](04_elbo.ipynb). How does one *learn* $\hat\varepsilon$, and why by a squared
# error?
