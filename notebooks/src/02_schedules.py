# %% [markdown]
# # 2. Schedules are curves
#
# **Does the number of steps matter?**
#
# *You need:* the jump of notebook 1, `diffuse_mixture` of your `mine.py`, and the logarithm.
#
# *Afterwards:* you read any schedule as one curve, build a schedule from a curve, and know how wrong its end is.
#
# *Minutes:* 75. *Paper:* Kingma et al. 2021, [Variational diffusion models](https://arxiv.org/abs/2107.00630), section
# 3.

# %% [markdown]
# What you found in [notebook 1](01_one_noisy_step.ipynb), for a chain of $T$ steps $\beta_1, \dots, \beta_T$:
#
# $$\bar\alpha_t = \prod_{s \le t} (1 - \beta_s), \quad \bar\alpha_0 = 1, \qquad
#   x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\varepsilon .$$
#
# A round component of a mixture, with mean $m$ and variance $v$, becomes one with mean $\sqrt{\bar\alpha_t}\,m$ and
# variance $\bar\alpha_t v + 1 - \bar\alpha_t$.

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import tinydiff as td
from tinydiff.course import credit, guess, keep, mine, play
from tinydiff.course_tests import schedules as tests
from tinydiff.plotting import BUG, DATA, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(2)

# %% [markdown]
# ## Three clocks
#
# Here are three ways to noise the same ring. **VP** ("variance preserving") is the chain that you know. **VE**
# ("variance exploding") never shrinks the data and adds ever more noise: $x_0 + \sigma\varepsilon$. The **straight**
# way slides from the data to the noise at a constant pace: $(1 - t)\,x_0 + t\,\varepsilon$. A camera zooms out as a
# cloud grows.

# %%
ring = td.toys.ring8()
x0 = ring.sample(rng, 400)
eps = rng.standard_normal(x0.shape)
ways = {"VE": td.VE(), "VP": td.VP(), "straight": td.Straight()}

fig, axes = plt.subplots(1, 3, figsize=(6.6, 2.5), layout="none")
fig.subplots_adjust(0.01, 0.03, 0.99, 0.88, 0.05)
clouds, hands = [], []
for ax, name in zip(axes, ways, strict=True):
    ax.set(title=name, xticks=[], yticks=[], xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    clouds.append(ax.plot([], [], ".", color=DATA, ms=2)[0])
    clock = ax.inset_axes([0.72, 0.72, 0.26, 0.26])
    clock.add_patch(plt.Circle((0, 0), 1, fc="white", ec="black"))
    clock.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
    clock.axis("off")
    hands.append(clock.plot([], [], "k")[0])


def frame(lam):
    for cloud, hand, process in zip(clouds, hands, ways.values(), strict=True):
        now = process.at(process.time(lam))
        cloud.set_data(*(now.perturb(x0, eps) / np.hypot(now.alpha, now.sigma)).T)
        angle = 2 * np.pi * now.t
        hand.set_data([0, 0.8 * np.sin(angle)], [0, 0.8 * np.cos(angle)])


show(
    FuncAnimation(fig, frame, np.linspace(8, -5, 16), interval=350),
    "A moving picture of three panels, VE, VP and straight. In each a ring of eight modes melts into one round cloud, "
    "and all three clouds look alike in every frame, while the hands of their three clocks point in different directions.",
)

# %% [markdown]
# *What to see:* the three clouds are one picture, point by point. The hands show what part of each way is done, and
# they disagree.

# %%
best = guess(
    "A perfect guesser sees one of the three clouds and names each point's x_0. With which cloud is it nearest to the truth?",
    ["VE", "VP", "straight", "all alike"],
)

# %%
lines = {"VE": ":", "VP": "-", "straight": "--"}
fig, axes = plt.subplots(1, 4, figsize=(9, 2.7))
plane, t = axes[0], np.linspace(0, 1, 400)
plane.plot([0, 1.4], [0, 1.4 * np.exp(-1.5)], color=DATA, lw=1)
for ax, (name, process) in zip(axes[1:], ways.items(), strict=True):
    now = process.at(process.time(3.0))
    plane.plot(process.alpha(t), process.sigma(t), lines[name], color="black", label=name)
    plane.plot(now.alpha, now.sigma, "ko")
    ax.plot(*now.perturb(x0, eps).T, ".", color=DATA, ms=2)
    ax.set(
        title=f"{name}, t = {now.t:.2f}",
        xlim=(-2.8, 2.8),
        ylim=(-2.8, 2.8),
        xticks=[-2, 0, 2],
        yticks=[],
        aspect="equal",
    )
plane.set(xlim=(0, 1.4), ylim=(0, 1.4), xticks=[0, 1], yticks=[0, 1], xlabel="signal", ylabel="noise", aspect="equal")
plane.legend(loc="upper left", handlelength=1.6, fontsize=8)

table = "ln of variances    rms error of the best guess: VE, VP, straight\n"
for lam in (4.0, 0.0, -4.0):
    errors = []
    for process in ways.values():
        now = process.at(process.time(lam))
        guessed = td.Oracle(ring, process).x0(now.perturb(x0, eps), now)
        errors.append(np.sqrt(np.mean((guessed - x0) ** 2)))
    table += f"{lam:16.0f}   " + "  ".join(f"{error:.10f}" for error in errors) + "\n"
    assert np.ptp(errors) < 1e-10
best.reveal(
    "all alike",
    "On the left, each way is a path from the data (1, 0) to noise. A straight ray from the corner holds all points with "
    "one ratio of signal to noise. Each path crosses it, at its own time. There the clouds differ in size alone, and a "
    "guesser who knows the size can divide it out. The table has the exact best guesser, from the library.",
    picture=fig,
    alt="Left, three paths in the plane of signal and noise, which all cross one flat ray. Right, the clouds at the three "
    "crossings: a ring of eight modes in three sizes.",
    table=table,
)

# %% [markdown]
# ## One number is enough
#
# Write $\alpha$ for the factor of the signal and $\sigma$ for that of the noise. Divide by $\alpha$:
#
# $$x_t = \alpha\,x_0 + \sigma\,\varepsilon \qquad\Longrightarrow\qquad \frac{x_t}{\alpha} = x_0 + \frac\sigma\alpha\,\varepsilon .$$
#
# On the right the way enters by one ratio alone. Its usual form is the **signal-to-noise ratio**,
# $\mathrm{SNR} = \alpha^2/\sigma^2$. It falls through many powers of ten, so we take its logarithm, the **log-SNR**
# $\lambda = \ln \mathrm{SNR}$. Its unit is the **nat**, the unit of natural logarithms.
#
# So a schedule is a falling curve $\lambda(t)$, and $t$ is only a label on it. Between $\lambda = 5$ and $\lambda = -5$
# a signal of variance 1 falls from 99 % of the variance to 1 %. This is the **band** of what an eye sees: above it the
# signal looks clean, below it there is nothing to see. In nats both ends can still be dear, as you will find.
#
# ## How wrong is the end?
#
# To draw new data we shall start from plain noise, $\mathcal N(0, I)$, in the place of $x_T$. But $x_T$ still holds
# some data. The **Kullback–Leibler divergence** says how much that costs:
#
# $$\mathrm{KL}(q \,\|\, p) = \mathbb E_{x \sim q}\big[\ln q(x) - \ln p(x)\big] .$$
#
# It is the loss of log-likelihood, in nats, if $q$ is true and one believes $p$. It is 0 only where both agree.

# %% [markdown]
# ### Exercise 2.1 (derive): from noise to nats
#
# Take the mean above for two normal laws on a line, where $\ln \mathcal N(x; m, v) = -\frac12\ln 2\pi v - (x-m)^2/2v$.
# Nothing but means and variances may be left. Then let $q$ be the law of $x_T$ given $x_0$, and $p$ plain noise.
# Independent coordinates add their nats.


# %%
def normal_kl(m1, v1, m2, v2):
    """KL(N(m1, v1) ‖ N(m2, v2)) in nats, number by number; v1 and v2 are variances."""
    ### BEGIN SOLUTION
    return 0.5 * (np.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)
    ### END SOLUTION


keep(normal_kl)


# %%
def prior_kl(x0, betas):
    """KL of x_T given x0 (B, D), and N(0, I), in nats for each row: (B,)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas)
    return np.sum(normal_kl(np.sqrt(left) * x0, 1 - left, 0.0, 1.0), axis=1)
    ### END SOLUTION


keep(prior_kl)

# %% [markdown] tags=["solution"]
# **Solution.** Write $x - m_2 = (x - m_1) + (m_1 - m_2)$ and square: the mixed term has mean 0, since $x - m_1$ has.
# That is the one step which needs a thought. The usual wrong turns are a variance where its root belongs, and a mean
# over coordinates where the nats add up. For tiny $\bar\alpha_T$ the line $1 - \prod(1 - \beta)$ loses digits;
# `-np.expm1(np.sum(np.log1p(-betas)))` keeps them all.

# %% [markdown]
# ## From a curve to its steps
#
# If a schedule is a curve, one should be able to draw the curve first and ask for the $\beta$ afterwards.

# %% [markdown]
# ### Exercise 2.2 (derive): there and back
#
# Find the signal-to-noise ratio of your chain after $t$ steps. Then turn around. Given $\lambda_1 > \dots > \lambda_T$,
# find the $\beta_t$ for which `np.log(snr(t, betas))` is `lam[t - 1]` at each $t$. Mind $\beta_1$: before it there is
# no noise. At $\lambda = 14$ almost nothing is noise yet, and 12 digits of each $\beta$ should be right even there:
# `np.expm1` may help.


# %%
def snr(t, betas):
    """The signal-to-noise ratio after t steps, t from 1 to T: a number."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return left / (1 - left)
    ### END SOLUTION


keep(snr)


# %%
def betas_from_log_snr(lam):
    """The betas (T,) of the chain with ln SNR = lam (T,), a falling curve."""
    ### BEGIN SOLUTION
    fall = np.diff(lam, prepend=np.inf)  # λ_t − λ_{t−1}; from λ_0 = ∞ the first is −∞
    return -np.expm1(fall) / (1 + np.exp(lam))
    ### END SOLUTION


keep(betas_from_log_snr)

# %% [markdown] tags=["solution"]
# **Solution.** Solve $e^\lambda = \bar\alpha/(1-\bar\alpha)$ for $\bar\alpha$, and take ratios of neighbours: $\beta_t
# = 1 - \bar\alpha_t/\bar\alpha_{t-1}$. As it stands this subtracts two numbers near 1 and loses digits at large
# $\lambda$. With $\bar\alpha = 1/(1 + e^{-\lambda})$ the difference can be done on paper, and one `expm1` is left. Most
# people forget that the first $\beta$ starts from $\bar\alpha_0 = 1$, hence from $\lambda_0 = \infty$.

# %% [markdown]
# Four schedules are in use. **Linear**: $\beta$ grows along a line. **Quadratic**: $\sqrt\beta$ does. **Sigmoid**:
# $\beta$ grows along an S. **Cosine** [Nichol & Dhariwal 2021, [Improved DDPM](https://arxiv.org/abs/2102.09672)]:
# $\sqrt{\bar\alpha}$ falls along a quarter of a cosine.

# %%
half = guess(
    "Half-way, the linear β is half of its last value. What is λ there, after 500 of 1,000 steps?", ..., "nats"
)

# %%
by = credit("snr")
styles = {"linear": "-", "quadratic": "--", "sigmoid": "-.", "cosine": ":"}
steps = np.arange(10, 1001, 10)
fig, ax = plt.subplots(figsize=(7.2, 3.3))
ax.axhspan(-5, 5, color=DATA, alpha=0.12, lw=0)
table = "             λ half-way    steps outside of the band\n"
for name, style in styles.items():
    chain = getattr(td.Discrete, name)(1000)
    ax.plot(steps, [np.log(mine.snr(t, chain.betas)) for t in steps], style, color=by.color, label=name)
    outside = np.mean(np.abs(chain.log_snr(np.arange(1, 1001) / 1000)) > 5)
    table += f"{name:12s} {np.log(mine.snr(500, chain.betas)):10.2f} {outside:16.0%}\n"
ax.set(xlabel="step t of 1,000", ylabel="log-SNR λ (nats)", xlim=(0, 1000), ylim=(-14, 10))
ax.legend(loc="lower left")
ax.text(990, 3.7, "the band", color=DATA, ha="right")
fig.suptitle(by.title)
paper = td.Discrete.linear(1000).betas
half.reveal(
    np.log(mine.snr(500, paper)),
    f"The first 500 β add up to {paper[:500].sum():.2f}. The product of all 1 − β is nearly e to the minus of this sum, so "
    f"only {1 / (1 + 1 / mine.snr(500, paper)):.1%} of the variance is still data. A linear β rushes through the band and spends almost a third of its steps in almost pure noise. The "
    "cosine was invented to linger in the band.",
    picture=fig,
    alt="Four falling curves of log-SNR over 1,000 steps, with a grey band from −5 to 5. The linear and the sigmoid one "
    "leave the band after about 700 steps; the cosine crosses 0 at step 500 and leaves it last.",
    table=table,
)
assert round(np.log(mine.snr(500, paper)), 2) == -2.46

# %% [markdown]
# At the other end of the curve waits the KL of exercise 2.1, the **prior gap**. Let the data be small grey images of
# 784 pixels, each pixel with variance 1. So the mean of $\|x_0\|^2$ is 784, and the gap depends on nothing else.

# %%
far = guess("How low must λ fall, so that the prior gap of such an image is 0.01 nats?", ..., "nats")

# %%
by = credit("prior_kl", "betas_from_log_snr")
image = np.ones((1, 784))  # ‖x_0‖² = 784
ends = np.linspace(-14, 2, 81)
gaps = [mine.prior_kl(image, mine.betas_from_log_snr(np.array([end])))[0] for end in ends]
enough = np.interp(np.log(0.01), np.log(gaps), ends)
fig, ax = plt.subplots(figsize=(7.2, 3))
ax.semilogy(ends, gaps, color=by.color)
ax.plot([-14, enough, enough], [0.01, 0.01, 1e-4], "k:", lw=1)
ax.set(xlabel="λ at the end (nats)", ylabel="prior gap (nats)", xlim=(-14, 2), ylim=(3e-4, 3e3))
fig.suptitle(by.title)
far.reveal(
    enough,
    f"Every {np.log(10):.1f} nats of λ make the gap ten times smaller. Below the band the picture is gone for the eye, "
    f"yet at λ = −5 the gap is still {np.interp(-5, ends, gaps):.1f} nats: many pixels together see more than an eye.",
    picture=fig,
    alt="The prior gap over the last λ on a logarithmic axis: a straight line that rises from below 0.001 nats at −14 to "
    "over 100 nats at 0; dotted lines mark a gap of 0.01 nats between −11 and −10.",
)
assert abs(enough + 10.58) < 0.01

# %% [markdown]
# ## Play with a curve
#
# Now move the curve of a chain of 50 steps: its start, its end and its bend. The bend moves steps from the middle to
# the ends, or back. Find the place where no step is outside of the band. What does this do to the gap?
#
# <details><summary>Where it is</summary>From 5 to −5. Then the chain ends at −5, and the gap is over two nats.</details>


# %%
def measures(lam):
    """The longest fall of λ in a step that touches the band, and the number of steps there."""
    touch = (lam[:-1] > -5) & (lam[1:] < 5)
    return np.max(-np.diff(lam)[touch]), touch.sum()


def draw(start, end, bend):
    by = credit("betas_from_log_snr", "snr", "prior_kl")
    u = np.linspace(0, 1, 50)
    betas = mine.betas_from_log_snr(start + (end - start) * (u + bend * np.sin(2 * np.pi * u) / (2 * np.pi)))
    lam = np.log([mine.snr(t, betas) for t in range(1, 51)])
    longest, count = measures(lam)
    fig, (ax, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
    ax.axhspan(-5, 5, color=DATA, alpha=0.12, lw=0)
    ax.plot(np.arange(1, 51), lam, ".-", lw=1, color=by.color)
    ax.set(xlabel="step t of 50", ylabel="log-SNR λ (nats)", ylim=(-15, 10), title=f"steps in the band: {count} of 49")
    right.axvspan(-5, 5, color=DATA, alpha=0.12, lw=0)
    right.bar(lam[1:], -np.diff(lam), -np.diff(lam), align="edge", color=by.color, alpha=0.5, edgecolor="white")
    right.set(xlabel="λ (nats)", ylabel="length of a step", xlim=(10, -15), ylim=(0, 1.2))
    right.set_title(f"longest in the band {longest:.2f}; gap {mine.prior_kl(image, betas)[0]:.2g} nats")
    fig.suptitle(by.title)
    return fig


play(
    draw,
    "Left, the 50 points of a straight falling curve of log-SNR from 8 to −14, of which half lie in the grey band. Right, "
    "the lengths of its steps, all equal.",
    start=(4.0, 10.0, 8.0),
    end=(-15.0, -4.0, -14.0),
    bend=(-0.9, 0.9, 0.0),
)

# %% [markdown]
# ## Something is grey
#
# Each image of this small world has one brightness, and a fine grain: pixel = brightness + 0.3 · noise, with variance 1
# in all. This law is Gaussian, so Bayes' rule gives the way back from $x_T$ to $x_0$ exactly, in one line. Somebody
# wrote six lines with it. The mean of 784 pixels of plain noise has variance 1/784. So line 4 multiplies it by 28,
# the root of 784, which makes 1, as `bayes` wants. The same number of a data image has variance 784 · 0.91 + 0.09.


# %%
def bayes(x, z, v, left):
    """A draw of x_0, of variance v, given x = √ᾱ x_0 + √(1 − ᾱ) ε with ᾱ = left; z is the noise of the draw."""
    var = left * v + 1 - left
    return np.sqrt(left) * v / var * x + np.sqrt(v * (1 - left) / var) * z


def light_of(x):
    """The mean over the pixels of each image, (n, 1)."""
    return x.mean(axis=1, keepdims=True)


def drawn(rng, n):
    betas = np.linspace(1e-4, 0.02, 100)  # 1: a fast chain, T = 100
    left = np.prod(1 - betas)  # 2
    x, z = rng.standard_normal((2, n, 784))  # 3: x_T, and the noise for bayes
    light = bayes(28 * light_of(x), 28 * light_of(z), 784 * 0.91 + 0.09, left) / 28  # 4: see above
    grain = bayes(x - light_of(x), z - light_of(z), 0.09, left)  # 5
    return light + grain  # 6


truth = np.sqrt(0.91) * rng.standard_normal((2000, 1)) + 0.3 * rng.standard_normal((2000, 784))
rows = {"data": (truth, DATA), "six lines": (drawn(rng, 2000), BUG)}
fig, axes = plt.subplots(2, 1, figsize=(8, 1.7))
for ax, (name, (images, color)) in zip(axes, rows.items(), strict=True):
    strip = np.hstack([np.pad(one.reshape(28, 28), 2, constant_values=np.nan) for one in images[:12]])
    ax.imshow(strip, cmap="Greys_r", vmin=-2.2, vmax=2.2, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(name, rotation=0, ha="right", va="center", color=color)
    ax.spines[:].set_visible(False)
    print(
        f"{name:9s}: standard deviation of the brightness {light_of(images).std():.3f}, of the grain {(images - light_of(images)).std():.3f}"
    )
show(
    fig,
    "Two rows of twelve small grainy squares. The upper row, the data, has all brightnesses from black to white; in the "
    "lower row all squares are of the same medium grey.",
)

# %% [markdown]
# *What to see:* each image of the lower row is plausible alone, and its grain is right. Together they are all of one
# medium grey.

# %% [markdown]
# ### Exercise 2.3 (diagnose): the missing brightness
#
# One line is wrong. Enter its number and mend the program. It shall still have 100 steps and begin with plain noise.

# %%
line = ...  # the number of the wrong line


def mended(rng, n):
    betas = np.linspace(1e-4, 0.02, 100)  # 1: a fast chain, T = 100
    left = np.prod(1 - betas)  # 2
    x, z = rng.standard_normal((2, n, 784))  # 3: x_T, and the noise for bayes
    light = bayes(28 * light_of(x), 28 * light_of(z), 784 * 0.91 + 0.09, left) / 28  # 4: see above
    grain = bayes(x - light_of(x), z - light_of(z), 0.09, left)  # 5
    return light + grain  # 6


### BEGIN SOLUTION
line = 1


def mended(rng, n):
    betas = np.linspace(1e-3, 0.2, 100)
    left = np.prod(1 - betas)
    x, z = rng.standard_normal((2, n, 784))
    light = bayes(28 * light_of(x), 28 * light_of(z), 784 * 0.91 + 0.09, left) / 28
    grain = bayes(x - light_of(x), z - light_of(z), 0.09, left)
    return light + grain


### END SOLUTION


keep(line, mended, test=tests.grey_images)

# %% [markdown] tags=["solution"]
# **Solution.** A $\beta$ is noise *for one step*. A tenth of the steps with the same $\beta$ brings a tenth of the
# noise. So more than a third of the variance at the end should be data. Plain noise has no brightness: the mean of 784
# pixels is nearly 0. Bayes' rule believes it, and says "medium grey" for every image. One finds it by asking which
# number the picture depends on. The grain is right, so lines 5 and 6 work. Print `left`. Lines 3 and 4 tempt, but line
# 3 is what every sampler does. Ten times the $\beta$ mends it.

# %% [markdown]
# ### Exercise 2.4 (design): fifty steps
#
# Going back is easier if $\lambda$ moves little in each step, as [notebook 3](03_undoing_one_step.ipynb) will show.
# Design 50 steps for two demands that pull against each other. The prior gap of `image` is under 0.01 nats. The longest
# fall of $\lambda$ in a step that touches the band is under 0.25. A step goes from $\lambda_t$ to $\lambda_{t+1}$, and
# touches the band if some $|\lambda| < 5$ lies within it. The first $\lambda$ is at least 6.

# %%
known = {name: getattr(td.Discrete, name)(50).log_snr(np.arange(1, 51) / 50) for name in styles}
known["even in λ"] = np.linspace(6, -10.6, 50)
print("              prior gap    longest step in the band")
for name, lam in known.items():
    betas = mine.betas_from_log_snr(lam)
    print(f"{name:12s} {mine.prior_kl(image, betas)[0]:10.4f} {measures(lam)[0]:16.3f}")
print("wanted        under 0.01         under 0.25")

# %% [markdown]
# (The library's four chains of 50 steps have twenty times the $\beta$ of 1,000 steps. The last guess will show why.)

# %%
fifty = ...  # the 50 betas

### BEGIN SOLUTION
fifty = mine.betas_from_log_snr(np.concatenate([[6.0], np.linspace(5, -5, 48), [-10.6]]))
### END SOLUTION

keep(fifty, test=tests.fifty_steps)

# %% [markdown] tags=["solution"]
# **Solution.** An even curve wastes a third of its steps below the band. Cross the band in 47 equal steps, and leap
# from −5 to −10.6 in one: the longest step is 10/47. No schedule does better. A step from 6 that touches the band is
# longer than 1. One that touches it and ends at −10.6 is longer than 5. So at most 47 of the 49 steps share the band.
# Is the leap allowed? The demand says so, and notebook 5 agrees: in nats a step in almost pure noise is cheap.

# %% [markdown]
# ## So, does the number of steps matter?

# %%
nats = guess(
    "The paper's β run from 0.0001 to 0.02 in 1,000 steps. Somebody keeps both ends and takes 100 steps. The prior gap of an image?",
    ...,
    "nats",
)

# %%
by = credit("prior_kl")
counts = np.unique(np.geomspace(10, 1000, 25).astype(int))
same = [mine.prior_kl(image, np.linspace(1e-4, 0.02, T))[0] for T in counts]
scaled = [mine.prior_kl(image, np.linspace(1e-4, 0.02, T) * 1000 / T)[0] for T in counts if T > 20]
fig, ax = plt.subplots(figsize=(7.2, 3))
ax.loglog(counts, same, "--", color=by.color, label="same β")
ax.loglog(counts[counts > 20], scaled, "-", color=by.color, label="β times 1,000/T")
ax.set(xlabel="number of steps T", ylabel="prior gap (nats)", ylim=(1e-6, 3e3))
ax.legend(loc="lower right")
fig.suptitle(by.title)
at_100 = mine.prior_kl(image, np.linspace(1e-4, 0.02, 100))[0]
nats.reveal(
    at_100,
    f"In 1,000 steps it is {mine.prior_kl(image, paper)[0]:.3f} nats. A β is noise for one step, and a tenth of the steps "
    "brings a tenth of the noise. With ten times the β the gap is "
    f"{mine.prior_kl(image, np.linspace(1e-3, 0.2, 100))[0]:.3f} nats. Down to about a hundred steps their number hardly "
    "matters for where the curve ends, if the β grow as the steps get fewer. With twenty the last β is nearly 1, and the gap is smaller "
    "still. A curve drawn in λ ends where you say, with any number of steps. The number does set how far one step goes.",
    picture=fig,
    alt="The prior gap over the number of steps on logarithmic axes. A dashed line, the same β, falls from over 1,000 nats "
    "at 10 steps to 0.016 at 1,000. A solid line, scaled β, stays below 0.02 nats.",
)
assert round(at_100) == 177

# %% [markdown]
# ## Your schedule
#
# Your functions turn a curve into steps and the steps into a curve. If exercise 2.4 has your 50 steps, they are drawn.

# %%
by = credit("betas_from_log_snr", "snr")
designed = fifty if isinstance(fifty, np.ndarray) else mine.betas_from_log_snr(np.linspace(6, -10.6, 50))
lam = np.log([mine.snr(t, designed) for t in range(1, len(designed) + 1)])
fig, (ax, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=[1.4, 1])
ax.axhspan(-5, 5, color=DATA, alpha=0.12, lw=0)
for name, style in styles.items():
    ax.plot(np.arange(1, 51), known[name], style, color="black", lw=1, label=name)
ax.plot(np.arange(1, len(lam) + 1), lam, ".-", color=by.color, lw=1, label="this chain")
ax.set(xlabel="step t of 50", ylabel="log-SNR λ (nats)", ylim=(-14, 8))
ax.legend(loc="lower left", fontsize=9)
names = [*styles, "this chain"]
lengths = [measures(known[name])[0] for name in styles] + [measures(lam)[0]]
right.barh(names, lengths, color=["black"] * 4 + [by.color], height=0.5)
for place, length in enumerate(lengths):
    right.text(length + 0.03, place, f"{length:.2f}", va="center")
right.set(xlabel="longest step in the band (nats)", xlim=(0, 2.2))
fig.suptitle(by.title)
show(
    fig,
    "Left, five falling curves of log-SNR over 50 steps: four black ones, and a coloured one whose dots lie evenly through "
    "the grey band. Right, bars of their longest steps in the band: linear 1.81, the coloured chain the shortest.",
)

# %% [markdown]
# *What to see:* the linear chain has one step of almost two nats at its beginning. The coloured one goes through the
# band in equal steps.

# %%
mine

# %% [markdown]
# ## Open problem

# %% [markdown]
# ### Exercise 2.5 (open): which time is it?
#
# Somebody hands you 100 points of the ring, noised by a chain, and does not say when. Estimate their $\lambda$. The
# variance is 1 at all times and tells nothing. The score adds the root mean square errors near $\lambda = 0$, 2 and 4,
# over 60 tries each. No best answer is known to us.

# %%
print(tests.table())


# %%
def which_time(x, weights, means, variances):
    """The log-SNR of the points x (n, 2) of a noisy mixture with round components: a number."""
    ### BEGIN SOLUTION
    grid = np.linspace(-0.5, 4.5, 41)
    nats = []
    for lam in grid:
        _, m, v = mine.diffuse_mixture(weights, means, variances, 1, mine.betas_from_log_snr(np.array([lam])))
        log_parts = np.log(weights) - np.log(v) - np.sum((x[:, None] - m) ** 2, axis=2) / (2 * v)
        top = log_parts.max(axis=1, keepdims=True)
        nats.append(np.sum(top[:, 0] + np.log(np.sum(np.exp(log_parts - top), axis=1))))
    belief = np.exp(nats - np.max(nats))
    return belief @ grid / belief.sum()
    ### END SOLUTION


keep(which_time, test=tests.which_time, into=None)

# %% [markdown] tags=["solution"]
# **Solution.** The density after one step to any $\lambda$ is your `diffuse_mixture`, so the likelihood of a $\lambda$
# is a sum of logarithms. Its highest point has wild errors at $\lambda = 0$, where the likelihood is almost flat. The
# idea more: all values between −½ and 4½ are possible beforehand. The *mean* of what the points leave possible has a
# smaller squared error than the likeliest value. We do not know the best for a sum of three roots.

# %% [markdown]
# ## What you know now
#
# - A noisy picture depends on one number, the log-SNR $\lambda$. A schedule is a falling curve $\lambda(t)$.
# - Any falling curve has its chain, and you can write down the $\beta$.
# - The start from plain noise is wrong by the prior gap, in nats. It grows with the number of pixels.
# - Large image models had this fault, and their images came out at a medium brightness
#   [[Lin et al. 2023](https://arxiv.org/abs/2305.08891)].
#
# <details><summary>The derivation of 2.1, when your check is green</summary>
#
# With $q = \mathcal N(m_1, v_1)$ and $p = \mathcal N(m_2, v_2)$, the mean of $(x - m_1)^2$ under $q$ is $v_1$. Write
# $x - m_2 = (x - m_1) + (m_1 - m_2)$: the mean of its square is $v_1 + (m_1 - m_2)^2$. Hence
#
# $$\mathrm{KL} = \tfrac12\Big(\ln\frac{v_2}{v_1} + \frac{v_1 + (m_1 - m_2)^2}{v_2} - 1\Big).$$
#
# For the prior gap put in $m_1 = \sqrt{\bar\alpha_T}\,x_0$, $v_1 = 1 - \bar\alpha_T$, $m_2 = 0$, $v_2 = 1$ and add the
# $D$ coordinates:
#
# $$\tfrac12\big(\bar\alpha_T\|x_0\|^2 - D\,\bar\alpha_T - D\ln(1 - \bar\alpha_T)\big).$$
#
# </details>
#
# <details><summary>The derivation of 2.2, when your check is green</summary>
#
# The jump has $\alpha^2 = \bar\alpha_t$ and $\sigma^2 = 1 - \bar\alpha_t$, so
# $\mathrm{SNR}_t = \bar\alpha_t/(1 - \bar\alpha_t)$. Solved for it, $\bar\alpha_t = 1/(1 + e^{-\lambda_t})$. Then
#
# $$\beta_t = 1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}} = 1 - \frac{1 + e^{-\lambda_{t-1}}}{1 + e^{-\lambda_t}}
#   = \frac{1 - e^{\lambda_t - \lambda_{t-1}}}{1 + e^{\lambda_t}}, \qquad \lambda_0 = \infty .$$
#
# </details>
#
# **Next:** [3. Undoing one step](03_undoing_one_step.ipynb). Forward, a long step costs nothing. Can one go back?
