# %% [markdown]
# # 8. One family of samplers
#
# **How much noise does sampling need?**
#
# *You need:* notebook 3 (the posterior of one step) and notebook 4 (a denoiser is a score). *To read:* 35 minutes.
# *To work:* 45 minutes. *Papers:* Ho et al. 2020, [DDPM](https://arxiv.org/abs/2006.11239), §3; Song, Meng & Ermon 2021,
# [DDIM](https://arxiv.org/abs/2010.02502).
#
# DDPM makes a sample with a thousand draws of noise. DDIM makes one with none, from the same network, in fifty steps.
# They are two ends of one family, and you will derive all of it from one equation, $k^2 + d^2 = 1 - \bar\alpha_s$: how
# much of the old noise a step down to time $s$ keeps, $k$, and how much fresh noise it adds, $d$.
#
# Our denoiser is the exact one, on data whose density we know. So whatever goes wrong below is the sampler's own doing.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from tqdm.auto import tqdm

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(8)

T = 1000
betas = np.linspace(1e-4, 0.02, T)  # β_t is betas[t − 1]
alpha_bar = np.concatenate([[1.0], np.cumprod(1 - betas)])  # ᾱ_t is alpha_bar[t]
chain = td.Discrete(betas)  # the same chain in the library, where step t of T is the time t/T
data = td.toys.ring8()  # eight narrow modes on a circle
model = td.Oracle(data, chain)  # the exact denoiser: model(x, t/T) is ε*, model.x0(x, t/T) is E[x_0 | x_t = x]

# %% [markdown]
# ## From the posterior to a sampler
#
# Notebook 3 found the law of the point before, if the data point is known:
#
# $$q(x_{t-1} \mid x_t, x_0) = \mathcal N\big(c_t\,x_t + c_0\,x_0,\ \tilde\beta_t\big),\qquad
#   c_t = \frac{\sqrt{1-\beta_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t},\quad
#   c_0 = \frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t},\quad
#   \tilde\beta_t = \beta_t\,\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}.$$
#
# When we sample we do not know $x_0$; that is what we want to find. **Ancestral sampling** puts the denoiser's guess in
# its place: $\hat x_0 = (x_t - \sqrt{1-\bar\alpha_t}\,\hat\varepsilon)/\sqrt{\bar\alpha_t}$. Start from
# $x_T \sim \mathcal N(0, I)$ and draw $x_{T-1}, x_{T-2}, \dots, x_0$, one from the other.
#
# Put in and collected (notebook 3 has the algebra), this is a step that takes away a little of the guessed noise,
# undoes the shrinking, and adds fresh noise [DDPM, eq. 11 and Alg. 2]:
#
# $$\boxed{\;x_{t-1} = \frac{1}{\sqrt{1-\beta_t}}\Big(x_t - \frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\,\hat\varepsilon\Big)
#   + \sigma_t\,z,\qquad z \sim \mathcal N(0, I),\quad z = 0 \text{ at } t = 1\;}$$
#
# with $\sigma_t^2$ from $\tilde\beta_t$ to $\beta_t$: notebook 3 showed that the first is right for a single point and
# the second for $\mathcal N(0, I)$. In the last step $\tilde\beta_1 = 0$: the result is the mean itself.
#
# ### Exercise 8.1: one ancestral step
#
# If you did exercise 3.3, you have it, by way of the posterior; here write the boxed line. The noise `z` is an
# argument, as always.


# %%
def ddpm_step(x_t, t, eps_hat, z, betas):
    """x_{t−1} from x_t by the boxed line, variance β̃_t or β_t; t from 1 to T; all x, ε̂, z (B, D); no noise at t = 1."""
    ### BEGIN SOLUTION
    beta, left = betas[t - 1], np.prod(1 - betas[:t])
    mean = (x_t - beta / np.sqrt(1 - left) * eps_hat) / np.sqrt(1 - beta)
    return mean + np.sqrt(beta) * z if t > 1 else mean
    ### END SOLUTION


check(ddpm_step)

# %% [markdown]
# ## What did training ever ask for?
#
# The loss draws $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$ for one $t$ at a time. It knows
# the laws $q(x_t \mid x_0)$, but nothing of how $x_t$ and $x_{t-1}$ hang together. **Any** other process with the same
# $q(x_t \mid x_0)$ would have led to the same network. So let us look for others.
#
# Take two times $s < t$, neighbours or far apart. From $x_t$ and $x_0$ we know the noise that is in $x_t$:
# $\varepsilon = (x_t - \sqrt{\bar\alpha_t}\,x_0)/\sqrt{1-\bar\alpha_t}$. To come down to $s$, keep a part of it, and
# replace the rest by fresh noise $z$:
#
# $$x_s = \sqrt{\bar\alpha_s}\,x_0 + k\,\varepsilon + d\,z .$$
#
# Given $x_0$, the two noises are independent and standard normal, so $x_s$ is Gaussian with mean
# $\sqrt{\bar\alpha_s}\,x_0$ and variance $k^2 + d^2$. It has the law $q(x_s \mid x_0)$ if, and only if,
#
# $$\boxed{\;k^2 + d^2 = 1 - \bar\alpha_s\;}$$
#
# That is the family [DDIM, eq. 7 and Lemma 1]. With $k \ge 0$ one number is free: how much of the old noise to exchange.
# And one step at a time suffices: $x_s$ has the right law given $x_0$, so the next step starts as this one did.
#
# ## Where DDPM sits in it
#
# The true $q(x_s \mid x_t, x_0)$ must be a member: it is Gaussian, the chain has those marginals, and its mean is
# linear, $a\,x_t + b\,x_0 = (b + a\sqrt{\bar\alpha_t})\,x_0 + a\sqrt{1-\bar\alpha_t}\,\varepsilon$, so
# $k = a\sqrt{1-\bar\alpha_t}$. On the way up from $s$ to $t$ the signal's square shrinks by the factor
# $\bar\alpha_t/\bar\alpha_s$. So this stride is one step of noising with $\beta = 1 - \bar\alpha_t/\bar\alpha_s$, the
# **$\beta$ of the stride**, and by the formula for $\tilde\beta_t$ the variance on the way down is
#
# $$\tilde\beta_{t \to s} = \Big(1 - \frac{\bar\alpha_t}{\bar\alpha_s}\Big)\,\frac{1-\bar\alpha_s}{1-\bar\alpha_t} .$$
#
# So DDPM exchanges $d^2 = \tilde\beta_{t \to s}$. Measure $d$ on that scale, by a number $\eta$:
#
# $$x_s = \sqrt{\bar\alpha_s}\;\hat x_0 + \sqrt{1 - \bar\alpha_s - d^2}\;\hat\varepsilon + d\,z,\qquad
#   d = \eta\,\sqrt{\tilde\beta_{t \to s}} ,$$
#
# with the guesses in place of $x_0$ and $\varepsilon$ [DDIM, eqs. 12 and 16]. At $\eta = 1$ it is DDPM. At $\eta = 0$
# it is called **DDIM**, and has no randomness but its start.
#
# A caution. With the *true* $x_0$ every member is exact on any stride. With the guess it is not: $\hat x_0$ is only the
# mean of all the $x_0$ that may have led to $x_t$. The error shrinks with the length of the steps, and we measure it
# below.
#
# ### Exercise 8.2: the whole family in one step


# %%
def ddim_step(x_t, t, s, eps_hat, z, betas, eta):
    """x_s from x_t for any s < t (0 too): integers; x_t, eps_hat, z (B, D); eta from 0 to 1."""
    ### BEGIN SOLUTION
    left_t, left_s = np.prod(1 - betas[:t]), np.prod(1 - betas[:s])
    d2 = eta**2 * (1 - left_t / left_s) * (1 - left_s) / (1 - left_t)
    x0_hat = (x_t - np.sqrt(1 - left_t) * eps_hat) / np.sqrt(left_t)
    return np.sqrt(left_s) * x0_hat + np.sqrt(1 - left_s - d2) * eps_hat + np.sqrt(d2) * z
    ### END SOLUTION


check(ddim_step)

# %% [markdown]
# ## Four roads to one mean
#
# The mean of an ancestral step has now been written in three ways, and the score
# $\nabla\ln q_t = -\hat\varepsilon/\sqrt{1-\bar\alpha_t}$ of notebook 4 gives a fourth, the shortest:
# $(x_t + \beta_t\nabla\ln q_t)/\sqrt{1-\beta_t}$. They are one. Here is the first coordinate
# of the first of 1,000 points, and how far the four are apart over all:

# %%
print("   t   posterior     ε form      score form   DDIM, η = 1   largest difference")
x0, eps = data.sample(rng, 1000), rng.standard_normal((1000, 2))
for t in (1, 2, 10, 100, 500, 1000):
    beta, x = betas[t - 1], np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * eps
    eps_hat, x0_hat, score = model(x, t / T), model.x0(x, t / T), model.marginal(t / T).score(x)
    now, then = chain.at(t / T), chain.at((t - 1) / T)  # two levels: now.alpha is √ᾱ_t, now.sigma is √(1 − ᾱ_t)
    c_t = np.sqrt(1 - beta) * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])
    c_0 = np.sqrt(alpha_bar[t - 1]) * beta / (1 - alpha_bar[t])
    means = [
        c_t * x + c_0 * x0_hat,
        (x - beta / np.sqrt(1 - alpha_bar[t]) * eps_hat) / np.sqrt(1 - beta),
        (x + beta * score) / np.sqrt(1 - beta),
        td.ddim_step(x, x0_hat, now, then, 0 * x, eta=1.0),  # z = 0
    ]
    apart = np.max(np.ptp(means, axis=0))
    print(f"{t:4d}  " + "  ".join(f"{mean[0, 0]:11.8f}" for mean in means) + f"   {apart:.0e}")
    assert apart < 1e-12  # rounding; near t = 1 the posterior form divides by 1 − ᾱ_1 = 1e-4

# %% [markdown]
# ## One seed, three samplers
#
# A sampler of the library, such as `td.ddim`, walks along the times that it is given and yields a pair of time and points
# at each of them. The time 0 is never among them, since the step to $s = 0$ needs no sampler: there $\bar\alpha_s = 1$,
# so that $d = 0$ and $k = 0$, and what is left of the step is $\hat x_0$, the denoiser's answer. So every member of the
# family ends on the answer at the last time, and a walk over $N$ times is, with its answer, $N$ steps.
#
# **Predict.** Four points of noise, and for each the three samplers $\eta = 0$, ½ and 1, with the same draws $z$. Will
# the four end at the same modes in all three? Write it down before you run the next cell.

# %%
start = np.array([[0.3, 0.45], [1.9, -1.3], [-1.0, 2.0], [-0.9, -0.55]])
inks = ["#0072B2", "#D55E00", "#000000", "#CC79A7"]
strided = np.arange(T, 0, -10) / T  # a hundred of the chain's thousand times: 1000, 990, …, 10
side = np.linspace(-2.6, 2.6, 121)
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
density = np.exp(data.log_density(plane)).reshape(121, 121)


def walk(model, start, ts, **options):
    """The points of td.ddim at each of the N falling times, and after them the answer x̂_0: (N + 1, B, D)."""
    path = list(td.ddim(model, start, ts, **options))
    t, x = path[-1]
    return np.array([*(points for _, points in path), model.x0(x, t)])


def backdrop(ax, title, reach=2.1):
    """The data's density in two tones of grey."""
    ax.contourf(side, side, density, levels=[0.05, 0.4, 2], colors=["#e4e4e4", "#bdbdbd"])
    ax.set(title=title, xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


fig, axes = plt.subplots(1, 3, figsize=(9, 3.1))
for ax, eta in zip(axes, (0.0, 0.5, 1.0), strict=True):
    path = walk(model, start, strided, rng=3, eta=eta)
    backdrop(ax, rf"$\eta$ = {eta:g}", reach=3.2)
    for i, ink in enumerate(inks):
        if eta == 0 or i < 2:  # the paths of two are enough to see how they go
            ax.plot(*path[:, i].T, color=ink, lw=2.5 if eta == 0 else 1)
        ax.plot(*path[-1, i], "o", color=ink, ms=8, mec="white", zorder=3)
        ax.plot(*path[0, i], "o", color="white", mec=ink, ms=8, mew=1.8, zorder=3)
show(fig, "Three panels with the same four open circles and four dots on modes of a ring. With eta = 0 the paths between them "
     "are short and smooth, with eta = 0.5 they tremble, with eta = 1 they wander all over the plane.")  # fmt: skip

# %% [markdown]
# *What to see:* from open circles (noise) to full dots (samples), at $\eta > 0$ with the path for two of the four. Grey
# is where the density of the data is above 0.05, darker where it is above 0.4. Without noise a point glides to the mode
# that is nearest in direction; with DDPM's noise it wanders off and forgets where it came from. All twelve end on the
# ring.
#
# How far does a start decide the end? Take *one* start, and 300 seeds for the rest.

# %%
one = np.tile(start[1:2], (300, 1))
same_side = {}
fig, axes = plt.subplots(1, 3, figsize=(9, 3.5))
for ax, eta in zip(axes, (0.0, 0.5, 1.0), strict=True):
    ends = walk(model, one, strided, rng=rng, eta=eta)[-1]
    same_side[eta] = np.mean(ends @ start[1] > 0)
    backdrop(ax, rf"$\eta$ = {eta:g}: {same_side[eta]:.0%} on the start's side")
    ax.scatter(*ends.T, s=30 if eta > 0 else 300, color=MODEL, alpha=0.7, linewidths=0)
    ax.plot(*start[1], "o", color="white", mec="black", ms=8, mew=1.5)
show(fig, "Where 300 runs from one start end: with eta = 0 all in one point; with eta = 0.5 in all modes, more of them on "
     "the side of the start; with eta = 1 in all eight modes alike.")  # fmt: skip
assert same_side[0.0] == 1
assert abs(same_side[1.0] - 0.5) < 4 * np.sqrt(0.25 / 300)  # four standard errors

# %% [markdown]
# *What to see:* at $\eta = 1$ the start is forgotten, and all eight modes are reached, half of the runs on either side
# of the ring. At $\eta = 0$ the start *is* the sample, in another form; at ½ something of it is left. So "sampling is a
# deterministic mapping" is right for DDIM with $\eta = 0$ and wrong for DDPM, where the start is a vanishing part of
# the randomness.
#
# ## DDIM is a rotation
#
# Since $\bar\alpha + (1 - \bar\alpha) = 1$ there is an angle $\varphi$ with $\sqrt{\bar\alpha} = \cos\varphi$ and
# $\sqrt{1-\bar\alpha} = \sin\varphi$; it rises from 0 at the data to (nearly) a right angle at the noise. Then
#
# $$x_t = \cos\varphi\;\hat x_0 + \sin\varphi\;\hat\varepsilon, \qquad
#   v = \cos\varphi\;\hat\varepsilon - \sin\varphi\;\hat x_0 .$$
#
# The second, the $v$ of notebook 4, is the derivative of the first by $\varphi$, with $\hat x_0$ and $\hat\varepsilon$
# held fixed: the velocity of the turn. A DDIM step with $\eta = 0$ goes to
# $\cos\varphi_s\,\hat x_0 + \sin\varphi_s\,\hat\varepsilon$ at a smaller angle $\varphi_s = \varphi - \delta$. By the
# addition theorems
#
# $$\cos(\varphi-\delta)\,\hat x_0 + \sin(\varphi-\delta)\,\hat\varepsilon
#   = \cos\delta\,(\cos\varphi\,\hat x_0 + \sin\varphi\,\hat\varepsilon)
#   - \sin\delta\,(\cos\varphi\,\hat\varepsilon - \sin\varphi\,\hat x_0),$$
#
# $$\boxed{\;x_s = \cos\delta\;x_t - \sin\delta\;v\;}$$
#
# What a step turns by $\delta$ is the pair of coefficients, $(\cos\varphi, \sin\varphi)$ [[Salimans & Ho
# 2022](https://arxiv.org/abs/2202.00512), App. D]. ($\hat x_0$ and $\hat\varepsilon$ need not be at right angles in
# space, so the length of $x$ may change. In the next section it does.)
#
# ### Exercise 8.3: the velocity of the turn
#
# It is the $v$ of exercise 4.2, once more: the formula for $x_t$ with the angle $\varphi + 90°$ in place of $\varphi$.


# %%
def v_from_x0_eps(t, x0, eps, betas):
    """v = √ᾱ_t ε − √(1 − ᾱ_t) x_0; x0 and eps (B, D)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return np.sqrt(left) * eps - np.sqrt(1 - left) * x0
    ### END SOLUTION


check(v_from_x0_eps)

# %% [markdown]
# The rotation and the library's DDIM, on a long stride:

# %%
t, s = 600, 350
x = np.sqrt(alpha_bar[t]) * x0 + np.sqrt(1 - alpha_bar[t]) * eps
eps_hat, x0_hat = model(x, t / T), model.x0(x, t / T)
v = np.sqrt(alpha_bar[t]) * eps_hat - np.sqrt(1 - alpha_bar[t]) * x0_hat
delta = np.arccos(np.sqrt(alpha_bar[t])) - np.arccos(np.sqrt(alpha_bar[s]))
turned = np.cos(delta) * x - np.sin(delta) * v
by_library = td.ddim_step(x, x0_hat, chain.at(t / T), chain.at(s / T), 0 * x)  # η = 0 unless it is given
apart = np.max(np.abs(turned - by_library))
print(f"a turn by {np.degrees(delta):.1f} degrees; it differs from DDIM by {apart:.0e}")
assert apart < 1e-12

# %% [markdown]
# ## The price of few steps, exactly
#
# Let the data be $\mathcal N(0, 1)$. Then $x_t$ is $\mathcal N(0, 1)$ at every $t$, the score is $-x$, and
# $\hat\varepsilon = \sin\varphi\,x$, $\hat x_0 = \cos\varphi\,x$. So
#
# $$v = \cos\varphi\,\sin\varphi\,x - \sin\varphi\,\cos\varphi\,x = 0 .$$
#
# Nothing has to move: $v$ is nought. Yet a step of DDIM gives $x_s = \cos\delta\;x_t$, a little too short.
#
# **Predict.** The variance of the samples, which should be 1, with 10 steps of equal angles? With 100?
#
# From noise to data it is a right angle. In $N$ equal steps of $\delta = \pi/2N$:
#
# $$\boxed{\;x_0 = \cos^N\!\Big(\frac{\pi}{2N}\Big)\;x_T\;}$$

# %%
even = td.Cosine()  # α = cos(πt/2), σ = sin(πt/2): equal steps in t are equal angles
normal = td.Oracle(td.GaussianMixture(weights=[1.0], means=[[0.0]], covariances=[[[1.0]]]), even)
noise = rng.standard_normal((10_000, 1))
counts = np.array([1, 2, 3, 5, 10, 20, 50, 100])
measured = [walk(normal, noise, np.linspace(1, 0, N + 1)[:-1])[-1].var() for N in counts]

fig, ax = plt.subplots(figsize=(7, 3.2))
N = np.arange(1, 121)
ax.semilogx(N, np.cos(np.pi / (2 * N)) ** (2 * N), color=EXACT, label=r"$\cos^{2N}(\pi/2N)$")
ax.plot(counts, measured, "o", color=MODEL, ms=8, label="10,000 samples of DDIM")
ax.axhline(1, color=DATA, lw=1, ls="--")
ax.text(1, 1.02, "the data", color=DATA)
ax.annotate("N = 10: 0.781", (10, 0.781), (12, 0.5), arrowprops={"arrowstyle": "-", "color": DATA})
ax.set(xlabel="steps N", ylabel="variance of the samples", ylim=(-0.04, 1.12), xticks=[1, 10, 100],
       xticklabels=["1", "10", "100"])  # fmt: skip
ax.legend(loc="lower right")
show(fig, "The variance of DDIM's samples against the number of steps: it rises from 0 at one step over 0.78 at ten to "
     "0.98 at a hundred, towards 1; measured dots lie on the exact curve.")  # fmt: skip

# %% [markdown]
# *What to see:* few-step DDIM shrinks what it makes, with the *perfect* denoiser. One step lands on the mean of all
# data. For large $N$, $\cos^{2N}(\pi/2N) \approx 1 - \pi^2/4N$: the error halves when the steps double.
#
# Why too short? The step keeps $\hat x_0$ and $\hat\varepsilon$ as they were at its beginning. But on the way the best
# guess changes: as the noise falls, $\hat x_0$ should spread out from the mean to the data points.
#
# ## Skipping steps
#
# Nothing in the family asked that $s = t - 1$. The network learned 1000 noise levels; a sampler may visit twenty of them.
# How good are such samples, and which $\eta$ is best?
#
# On Gaussian data we need no samples to answer. There $\hat x_0$ is linear in $x$, every step is affine, and the
# variance of the output is a number that we follow from step to step,
# $V_s = \text{gain}^2\,V_t + \text{noise}^2$. The law of the samples is then known, and so is its Kullback–Leibler divergence from the data:
# $\frac12(r - 1 - \ln r)$ nats, with $r$ the ratio of their variances. We take data of standard deviation 0.2.


# %%
def variance_after(step, visited, data_variance):
    """The exact variance of a sampler's output for data N(0, data_variance), along the visited steps of the chain."""
    # two runs at once: (x = 1, z = 0) gives the gain, (x = 0, z = 1) the noise
    variance, x, z = 1.0, np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]])
    for t, s in pairwise(visited):
        a2 = alpha_bar[t]
        x0_hat = np.sqrt(a2) * data_variance / (a2 * data_variance + 1 - a2) * x  # E[x_0 | x_t = x]
        gain, noise = step(x, x0_hat, t, s, z)[:, 0]
        variance = gain**2 * variance + noise**2
    return variance


def every(N):
    """N steps from T to 0, as equal as integers can be."""
    return np.rint(np.linspace(T, 0, N + 1)).astype(int)


def family(eta):
    """The step of the family with this η, from t to s."""

    def step(x, x0_hat, t, s, z):
        eps_hat = (x - np.sqrt(alpha_bar[t]) * x0_hat) / np.sqrt(1 - alpha_bar[t])
        d2 = eta**2 * (1 - alpha_bar[t] / alpha_bar[s]) * (1 - alpha_bar[s]) / (1 - alpha_bar[t])
        return np.sqrt(alpha_bar[s]) * x0_hat + np.sqrt(1 - alpha_bar[s] - d2) * eps_hat + np.sqrt(d2) * z

    return step


narrow = 0.04
many = [10, 20, 50, 100, 200, 400]
ratios = {
    eta: np.array([variance_after(family(eta), every(N), narrow) for N in many]) / narrow for eta in (0.0, 0.5, 1.0)
}
kl = {eta: 0.5 * (ratio - 1 - np.log(ratio)) for eta, ratio in ratios.items()}  # KL(samples ‖ data), nats

styles = {0.0: ("#D55E00", "o-"), 0.5: ("#CC79A7", "s--"), 1.0: ("#000000", "^:")}
fig, ax = plt.subplots(figsize=(7, 3.3))
for eta, (ink, style) in styles.items():
    ax.loglog(many, kl[eta], style, color=ink, lw=1.5, label=rf"$\eta$ = {eta:g}")
ax.set(xlabel="steps N", ylabel="KL(samples ‖ data), nats", xticks=[10, 100, 400], xticklabels=["10", "100", "400"])
ax.legend()
show(fig, "The exact divergence of the samples from the data against the number of steps: three falling lines on log axes, "
     "lowest for eta = 0, then 0.5, highest for eta = 1.")  # fmt: skip
print("from 200 to 400 steps:", ", ".join(f"η = {eta:g}, {kl[eta][-2] / kl[eta][-1]:.1f} times less" for eta in kl))

# %% [markdown]
# *What to see:* no dot has a sampling error. Within the family, less noise is better at every $N$. All three tend to fall
# as $1/N^2$: the variance is off by something like $1/N$, and the divergence is quadratic in that.
#
# On the ring we must sample. There we measure the **energy distance**
# $2\,\mathbb E\|X-Y\| - \mathbb E\|X-X'\| - \mathbb E\|Y-Y'\|$ between 400 samples $X$ and 2,000 points of the data $Y$
# ($X'$ and $Y'$ are drawn once more): 0 only for equal laws, and a little more for two finite samples of one law.

# %%
n = 400
true = data.sample(rng, 2000)
baseline = [td.energy_distance(data.sample(rng, n), true) for _ in range(20)]
starts = rng.standard_normal((n, 2))
fig, axes = plt.subplots(2, 4, figsize=(9, 4.8))
distance = {}
for row, eta in zip(axes, (0.0, 1.0), strict=True):
    for ax, N in zip(row, (5, 10, 20, 50), strict=True):
        x = walk(model, starts, every(N)[:-1] / T, rng=rng, eta=eta)[-1]
        distance[eta, N] = td.energy_distance(x, true)
        backdrop(ax, rf"$\eta$ = {eta:g}, N = {N}: {distance[eta, N]:.3f}")
        ax.scatter(*x.T, s=14, color=MODEL, alpha=0.5, linewidths=0)
show(fig, "Eight clouds of samples over the ring of eight modes, for 5, 10, 20 and 50 steps, above without noise, below with "
     "DDPM's. With 5 steps they are smeared inside the ring; with 20 they lie in the modes, and are narrower than "
     "these.")  # fmt: skip
print(f"{n} points of the data, drawn 20 times: mean {np.mean(baseline):.3f}, largest {np.max(baseline):.3f}")
assert all(distance[eta, 5] > 2 * np.max(baseline) for eta in (0.0, 1.0))
assert all(distance[eta, 5] > 2 * distance[eta, 50] for eta in (0.0, 1.0))

# %% [markdown]
# *What to see:* five steps lose the way, ten find the ring and twenty the modes. The numbers are energy distances to
# data. Those of five steps are far above what fresh points of the data have themselves, those of ten a little. Yet look how the points at $N = 20$ crowd
# in the middle of the grey discs: that is the shrinking.
#
# The $\tilde\beta$ of $\eta = 1$ is not the only noise for a chain: the next table has the other choice, the $\beta$ of
# the stride.


# %%
def ddpm_beta(x, x0_hat, t, s, z):
    """DDPM with the β of the stride, 1 − ᾱ_t/ᾱ_s, for the variance."""
    beta = 1 - alpha_bar[t] / alpha_bar[s]
    eps_hat = (x - np.sqrt(alpha_bar[t]) * x0_hat) / np.sqrt(1 - alpha_bar[t])
    mean = (x - beta / np.sqrt(1 - alpha_bar[t]) * eps_hat) / np.sqrt(1 - beta)
    return mean + np.sqrt(beta) * z if s > 0 else mean


print("variance of the samples / variance of the data (exact)")
print("steps     η = 0    η = ½    η = 1   DDPM with β")
for i, N in enumerate(many):
    row = [ratios[0.0][i], ratios[0.5][i], ratios[1.0][i], variance_after(ddpm_beta, every(N), narrow) / narrow]
    print(f"{N:5d}   " + "  ".join(f"{ratio:7.4f}" for ratio in row))
    assert row[2] < row[1] < row[0] < 1  # the family makes too little variance, and more so with more noise
    assert abs(row[3] - 1) < 1 - row[0]

# %% [markdown]
# Here the family always makes too little variance: its samples look *sharper* than the data. It puts the mean
# $\hat x_0$ where $x_0$ should be, and so loses the variance of $x_0$ given $x_t$ (notebook 3). Why does *more* fresh
# noise make less? In terms of $x_t$ the step is
#
# $$x_s = \frac{k}{\sqrt{1-\bar\alpha_t}}\,x_t + \Big(\sqrt{\bar\alpha_s} - k\sqrt{\frac{\bar\alpha_t}{1-\bar\alpha_t}}\Big)\,\hat x_0 + d\,z .$$
#
# More noise means a smaller $k$ and more weight on $\hat x_0$, the very place where variance is missing. The larger
# $\beta$ gives back as much as data of variance 1 would need. For narrow data that is too much, unless the steps are
# few; and still it comes nearest to 1 in each row.
#
# That answers the question of this notebook: sampling needs no noise, but it can use the right amount. (And our denoiser
# makes no mistakes. A network does, and fresh noise lets later steps forget the mistakes of earlier ones
# [[Karras et al. 2022](https://arxiv.org/abs/2206.00364), §4].)
#
# ## DDIM runs both ways
#
# A turn by $\delta$ can be undone by a turn by $-\delta$. So with $\eta = 0$ we may go *up*: from a data point to the
# noise that belongs to it, its **code**, and down again. Nothing random is left, and the noise of $x_T$ is a name for
# the sample.


# %%
def turn(x, ts):
    """DDIM with η = 0 along the steps ts, up or down: x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s) ε̂."""
    for t, s in pairwise(ts):
        eps_hat = model(x, t / T)
        x0_hat = (x - np.sqrt(1 - alpha_bar[t]) * eps_hat) / np.sqrt(alpha_bar[t])
        x = np.sqrt(alpha_bar[s]) * x0_hat + np.sqrt(1 - alpha_bar[s]) * eps_hat
    return x


points, mode = data.sample(rng, 600, labels=True)
code = turn(points, every(100)[::-1])
back = turn(code, every(100))

fig, axes = plt.subplots(1, 3, figsize=(9, 3.3))
for ax, cloud, name in zip(axes, (points, code, back), ("data", "their codes", "decoded again"), strict=True):
    ax.scatter(*cloud.T, c=mode, cmap="viridis", s=40, linewidths=0, alpha=0.8)
    for k in range(8):
        out = 1 if name == "their codes" else 1.5  # the numbers stand outside the ring
        ax.text(*out * cloud[mode == k].mean(0), str(k), ha="center", va="center", fontsize=11, weight="bold",
                bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85})  # fmt: skip
    ax.set(title=name, xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
show(fig, "Left a ring of eight numbered modes, in the middle their codes: a round Gaussian cloud cut like a cake into eight "
     "slices, one for each mode; right the modes again.")  # fmt: skip

# %% [markdown]
# *What to see:* a cake. DDIM cuts the Gaussian cloud into eight slices and carries each to its mode. It cannot mix
# them: with small steps it is a flow, whose paths do not cross (notebook 9). Now you can read the figure with the one
# seed: which mode a start glides to is decided by its slice.
#
# The way back is not quite exact, since $\hat x_0$ and $\hat\varepsilon$ are asked at the lower end of a step on the
# way up and at the upper end on the way down. The error falls with the number of steps:

# %%
print("steps   root mean square of (decoded − point)")
errors = []
for N in (25, 50, 100, 200):
    errors.append(np.sqrt(np.mean((turn(turn(points[:100], every(N)[::-1]), every(N)) - points[:100]) ** 2)))
    print(f"{N:5d}   {errors[-1]:.4f}")
assert all(later < 0.75 * earlier for earlier, later in pairwise(errors))

# %% [markdown]
# ## Break it
#
# **The wrong root.** Many notes write $\alpha_t$ for $1 - \beta_t$, and in the sampler $(1-\alpha_t)/\sqrt{1-\alpha_t}$
# before $\hat\varepsilon$: the bar is missing. The coefficient is then $\beta_t/\sqrt{\beta_t}$, too large by the factor
# $\sqrt{(1-\bar\alpha_t)/\beta_t}$.


# %%
def without_the_bar(x_t, t, eps_hat, z, betas):
    """The bar is missing before ε̂."""
    beta = betas[t - 1]
    mean = (x_t - beta / np.sqrt(beta) * eps_hat) / np.sqrt(1 - beta)
    return mean + np.sqrt(beta) * z if t > 1 else mean


print(f"the factor is at most {np.max(np.sqrt((1 - alpha_bar[1:]) / betas)):.1f}\n")
print(check(without_the_bar, "ddpm_step"))

# %% [markdown]
# `check` sees it at once. Would you, from the samples? **Predict** what the ring looks like.

# %%
right = wrong = rng.standard_normal((300, 2))
for t in tqdm(range(T, 0, -1)):
    z = rng.standard_normal((300, 2))
    eps_hat, eps_hat_wrong = np.split(model(np.concatenate([right, wrong]), t / T), 2)
    mean = (right - betas[t - 1] / np.sqrt(1 - alpha_bar[t]) * eps_hat) / np.sqrt(1 - betas[t - 1])
    right = mean + np.sqrt(betas[t - 1]) * z * (t > 1)
    wrong = without_the_bar(wrong, t, eps_hat_wrong, z, betas)

fig, axes = plt.subplots(1, 3, figsize=(9, 3.8))
clouds = {"data": (true[:300], DATA), "DDPM": (right, MODEL), "without the bar": (wrong, MODEL)}
for ax, (name, (x, ink)) in zip(axes, clouds.items(), strict=True):
    backdrop(ax, f"{name}\nmean ln q = {data.log_density(x).mean():.2f} nats".replace("-", "−"))
    ax.scatter(*x.T, s=26, color=ink, alpha=0.6, linewidths=0)
show(fig, "Three clouds of 300 points over the ring of modes: data, samples of DDPM, and samples without the bar. In the last "
     "the points crowd in the middle of each mode.")  # fmt: skip
assert data.log_density(wrong).mean() > data.log_density(true).mean() + 0.5

# %% [markdown]
# *What to see:* the broken sampler draws *sharper* modes, and its samples are *more* probable under the true density
# than true data are. To the eye it looks better, and the mean log-density agrees. It is a collapse all the same: those
# points have lost most of the variance within their mode.
#
# **Noise in the last step**, and **the chain's $\beta_t$ on a stride.** Two more, on Gaussian data, where the damage is
# exact. A sampler with 20 steps that uses the $\beta_t$ of a single step forgets that it comes down by fifty.
#
# **Predict.** Which of the two will data $\mathcal N(0, 1)$ notice? And data of variance 0.04?


# %%
def broken_root(x, x0_hat, t, s, z):
    """Without the bar: β/√β before ε̂."""
    eps_hat = (x - np.sqrt(alpha_bar[t]) * x0_hat) / np.sqrt(1 - alpha_bar[t])
    return without_the_bar(x, t, eps_hat, z, betas)


def noisy_end(x, x0_hat, t, s, z):
    """β of the stride, and noise in the last step too."""
    return ddpm_beta(x, x0_hat, t, s, 0 * z) + np.sqrt(1 - alpha_bar[t] / alpha_bar[s]) * z


def single_beta(x, x0_hat, t, s, z):
    """The β_t of one step for a stride of many."""
    eps_hat = (x - np.sqrt(alpha_bar[t]) * x0_hat) / np.sqrt(1 - alpha_bar[t])
    beta = betas[t - 1]
    mean = (x - beta / np.sqrt(1 - alpha_bar[t]) * eps_hat) / np.sqrt(1 - beta)
    return mean + np.sqrt(beta) * z if s > 0 else mean


print("exact variance of the samples          data N(0, 1)   data N(0, 0.04)")
print(f"{'target':38s}   {1:8.4f}         {0.04:8.4f}")
result = {}
for name, step, N in [
    ("1000 steps, right (β)", ddpm_beta, 1000),
    ("1000 steps, without the bar", broken_root, 1000),
    ("1000 steps, noise in the last", noisy_end, 1000),
    ("  20 steps, right (β)", ddpm_beta, 20),
    ("  20 steps, noise in the last", noisy_end, 20),
    ("  20 steps, β_t of a single step", single_beta, 20),
]:
    result[name] = [variance_after(step, every(N), variance) for variance in (1.0, 0.04)]
    print(f"{name:38s}   {result[name][0]:8.4f}         {result[name][1]:8.4f}")

# %% [markdown]
# A thousand steps forgive noise at the end: it adds a variance of $\beta_1 = 0.0001$. Twenty do not: 0.071 for 0.04.
# And the $\beta_t$ of a single step does next to nothing on a stride of fifty: the samples are still noise. The data
# $\mathcal N(0, 1)$ notice neither, since noise has the right variance for them. One test is not enough.
#
# ## The numbers
#
# What this notebook claims, each beside its exact value.

# %%
claims = []
for eta in (0.0, 0.5, 1.0):  # the squares of ε's and z's coefficients, read off a step with x_0 = 0
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    now, then = chain.at(0.6), chain.at(0.35)
    k = td.ddim_step(now.sigma * one, zero, now, then, zero, eta).item()
    d = td.ddim_step(zero, zero, now, then, one, eta).item()
    claims.append((f"k² + d², from t = 600 to s = 350, η = {eta:g}", k**2 + d**2, 1 - alpha_bar[350], 1e-12))
for N in (2, 10, 100):
    x = walk(normal, np.ones((1, 1)), np.linspace(1, 0, N + 1)[:-1])[-1].item()
    claims.append((f"squared length after {N} equal angles", x**2, np.cos(np.pi / (2 * N)) ** (2 * N), 1e-12))
spread = measured[list(counts).index(10)]
exact = np.cos(np.pi / 20) ** 20
claims.append(("variance of 10,000 samples, 10 angles", spread, exact, 4 * exact * np.sqrt(2 / 10_000)))  # 4 s. e.
claims.append(("DDPM with β, data N(0, 1): variance", result["1000 steps, right (β)"][0], 1 - betas[0], 1e-9))
by_hand = 1.0  # without the bar on N(0, 1), where ε̂ = √(1 − ᾱ_t) x
for t in range(T, 0, -1):
    gain = (1 - np.sqrt(betas[t - 1] * (1 - alpha_bar[t]))) / np.sqrt(1 - betas[t - 1])
    by_hand = gain**2 * by_hand + betas[t - 1] * (t > 1)
claims.append(("the same without the bar", result["1000 steps, without the bar"][0], by_hand, 1e-9))
added = result["1000 steps, noise in the last"][0] - result["1000 steps, right (β)"][0]
claims.append(("variance that noise in the last step adds", added, betas[0], 1e-12))

print(f"{'':46s}  measured      exact   tolerance")
for name, value, exact, tolerance in claims:
    print(f"{name:46s} {value:9.6f}  {exact:9.6f}   {tolerance:.0e}")
    assert abs(value - exact) < tolerance

# %% [markdown]
# (With $\beta$ the data $\mathcal N(0, 1)$ come out with variance $1 - \beta_1$: the last step adds no noise, and is
# short of just that much.)
#
# ## What you know now
#
# - A sampler only has to keep the laws $q(x_t \mid x_0)$. With $k^2 + d^2 = 1 - \bar\alpha_s$ there is a family of them,
#   from DDPM ($\eta = 1$) to DDIM ($\eta = 0$).
# - DDIM turns $x$ by the angle of the step. It needs no noise, can skip steps, and runs backwards.
# - Few steps shrink: $\cos^N(\pi/2N)$ on $\mathcal N(0, 1)$, with a perfect denoiser.
# - Sharp samples prove nothing. The wrong root makes the sharpest of all.
#
# **Next:** [9. SDE and ODE, same crowd](09_sde_and_ode.ipynb). What do the smooth paths and the jagged ones become when
# the steps get ever smaller?
