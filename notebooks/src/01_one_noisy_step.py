# %% [markdown]
# # 1. One noisy step, a thousand at once
#
# **Can we jump to step 600 without walking there?**
#
# *You need:* `q_step` of your `mine.py`, Gaussian densities, and how variances of independent sums add.
#
# *Afterwards:* you jump to any step of a chain, and know the density there as a formula.
#
# *Minutes:* 55. *Paper:* Ho et al. 2020, [Denoising diffusion probabilistic
# models](https://arxiv.org/abs/2006.11239), section 2.

# %% [markdown]
# One noising step of [notebook 0](00_start_here.ipynb), with fresh noise each time:
#
# $$x_t = \sqrt{1-\beta_t}\;x_{t-1} + \sqrt{\beta_t}\;\varepsilon, \qquad \varepsilon \sim \mathcal N(0, I),
#   \qquad t = 1, \dots, T.$$
#
# The numbers $\beta_t$ are the **schedule**; here they rise from $10^{-4}$ to 0.02 in $T = 1000$ steps. One table has
# [all letters of this course](https://github.com/tinydiff/tinydiff/blob/main/docs/notation.md).

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from scipy.special import ndtr  # the distribution function of N(0, 1)

import tinydiff as td
from tinydiff.course import credit, guess, keep, mine, play
from tinydiff.course_tests import one_noisy_step as tests
from tinydiff.plotting import BUG, DATA, EXACT, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(3)

# %% [markdown]
# A network learns from points that were noised by *any* number of steps, and it needs millions of them. To walk 600
# steps for each would be slow. By the end of this notebook you jump.

# %% [markdown]
# ## A density melts
#
# Here are 10,000 points of a **mixture** on a line. Each point belongs to one of two Gaussians, its **modes**: to the
# left one with probability 0.35, to the right one with 0.65. All points walk through 1,000 noising steps.

# %%
T = 1000
betas = np.linspace(1e-4, 0.02, T)  # β_t is betas[t − 1]
data = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
weights, means, variances = data.weights, data.means, data.covariances[:, 0, 0]

n = 10_000
walk = [data.sample(rng, n)]  # the points after 0, 1, …, 1,000 steps
for t in range(1, T + 1):
    walk.append(mine.q_step(walk[-1], t, rng.standard_normal(walk[-1].shape), betas))

by = credit("q_step")
line = np.linspace(-4, 4, 401)[:, None]
chain = td.Discrete(betas)  # the same chain in the library, where step t has the time t/T


def bars(ax, x, color, **style):
    """A histogram of points on a line."""
    heights, edges = np.histogram(x, bins=80, range=(-4, 4), density=True)
    return ax.stairs(heights, edges, color=color, **{"fill": True, "alpha": 0.4} | style)


def curve(t):
    """The exact density of the library, after t steps."""
    now = chain.at(t / T)
    return np.exp(data.diffused(now.alpha, now.sigma).log_density(line))


fig, ax = plt.subplots(figsize=(5, 2.6))
moving, above = bars(ax, walk[0], DATA), ax.plot(line, curve(0), color=EXACT, lw=1.5)[0]
ax.set(title="t = 0", xlabel="$x_t$", yticks=[], ylim=(0, 1.15))
fig.suptitle(by.title, fontsize=9)


def frame(t):
    moving.set_data(np.histogram(walk[t], bins=80, range=(-4, 4), density=True)[0])
    moving.set_color(by.color if t else DATA)
    above.set_ydata(curve(t))
    ax.set_title(f"t = {t}")


frames = [0, 20, 40, 60, 80, 110, 140, 180, 230, 300, 400, 600, 1000, 1000, 1000]
show(
    FuncAnimation(fig, frame, frames, interval=400),
    "A moving picture of a histogram. A narrow mode on the left and a wide one on the right move together, widen, and "
    "become one bell. A curve lies on the histogram in every frame.",
)

# %% [markdown]
# *What to see:* each point takes every step. The blue curve has taken no step, and it is right at every time. How can
# it know?

# %%
melted = guess("At the beginning the points have variance 1.31. Which variance is left at t = 1000?", ...)

# %%
seen = [x.var() for x in walk]
assert abs(seen[-1] - 1) < 4 * np.sqrt(2 / n)
fig, ax = plt.subplots(figsize=(6, 2.4))
ax.plot(seen, color=by.color)
ax.axhline(1, color="black", lw=0.8)
ax.set(xlabel="step t", ylabel="variance of $x_t$", ylim=(0.9, 1.35))
fig.suptitle(by.title)
melted.reveal(
    1.0,
    f"The walked points have {seen[-1]:.3f}. A step shrinks the variance by the factor 1 − β and adds β. So it brings any variance "
    "nearer to 1, and at 1 it stands still.",
    picture=fig,
    alt="A curve of the variance of the points against the step. It falls from 1.31, fastest between steps 100 and 400, "
    "and is level with 1 from step 600 on.",
)

# %% [markdown]
# ## Sums of noises
#
# Put one noising step into the next, and the next, and so on. What comes out is a multiple of $x_0$ and a sum of many
# independent noises. A sum of independent Gaussians is Gaussian, and their variances add. So two noises may be
# replaced by one:
#
# $$c\,\varepsilon_1 + d\,\varepsilon_2 \quad\text{has the law of}\quad \sqrt{c^2 + d^2}\;\varepsilon .$$
#
# The **law** of a random number is its distribution. We ask for no more: a jump need not end where a certain walk
# ends, but a crowd of jumpers must look like a crowd of walkers.

# %% [markdown]
# ### Exercise 1.1 (derive): the jump
#
# Write $\bar\alpha_t$ (in code `alpha_bar`) for the share of the variance of $x_0$ that is left after $t$ steps. With
# one fresh $\varepsilon$, there are two numbers $a$ and $b$ for which $a\,x_0 + b\,\varepsilon$ has the law of $x_t$,
# given $x_0$. Find them on paper, first for two steps. Then write two functions. A function may call those that you
# kept before, by their bare names: `alpha_bar(betas)`.


# %%
def alpha_bar(betas):
    """The share of x_0's variance that is left after 0, 1, …, T steps: (T + 1,)."""
    ### BEGIN SOLUTION
    return np.concatenate([[1.0], np.cumprod(1 - betas)])
    ### END SOLUTION


keep(alpha_bar)


# %%
def q_sample(x0, t, eps, betas):
    """x_t from x_0 in one jump with one noise, t from 1 to T; x0 and eps (B, D)."""
    ### BEGIN SOLUTION
    left = alpha_bar(betas)[t]
    return np.sqrt(left) * x0 + np.sqrt(1 - left) * eps
    ### END SOLUTION


keep(q_sample)

# %% [markdown] tags=["solution"]
# **Solution.** Every step multiplies the share of the signal's variance by $1 - \beta_t$; $\bar\alpha_0 = 1$, since
# nothing has happened yet. All noise together is Gaussian, and a variance of 1 stays 1, so the noise has the rest. The
# usual wrong turn is an index: $\bar\alpha_t$ has $t$ factors, and `alpha_bar(betas)[0]` is 1.

# %% [markdown]
# ## What the jump does to a density
#
# Now the blue curve. A mixture has $K$ components with weights $w_k$, means $m_k$ and variances $v_k$. They are round:
# the variance is the same in all directions. A random point of it is drawn in two stages. First choose a component, by
# the weights; then draw from its Gaussian. Noise is added afterwards, and knows nothing of this choice.

# %% [markdown]
# ### Exercise 1.2 (derive): a mixture stays one
#
# After $t$ steps each Gaussian of a mixture is still a Gaussian. Which one, and with which weight?


# %%
def diffuse_mixture(weights, means, variances, t, betas):
    """Weights (K,), means (K, D) and variances (K,) of the mixture after t steps, t from 1 to T."""
    ### BEGIN SOLUTION
    left = alpha_bar(betas)[t]
    return weights, np.sqrt(left) * means, left * variances + 1 - left
    ### END SOLUTION


keep(diffuse_mixture)

# %% [markdown] tags=["solution"]
# **Solution.** Rescale, then add independent noise: the mean is rescaled, and the variance by the square of the same
# number; then the noise's variance is added. A point never changes its component, so the weights stay. The usual wrong
# turn is to add noise and forget to rescale, as in "a Gaussian convolution".

# %%
merged = guess("After how many of the 1,000 steps has the density one peak, where it had two?", ..., "steps")


# %%
def density(x, weights, means, variances):
    """The density of a mixture at the points x (B, D)."""
    covariances = variances[:, None, None] * np.eye(x.shape[1])
    return np.exp(td.GaussianMixture(weights, means, covariances).log_density(x))


def peaks(t):
    q = density(np.linspace(-3, 3, 2001)[:, None], *mine.diffuse_mixture(weights, means, variances, t, betas))
    return np.sum((q[1:-1] > q[:-2]) & (q[1:-1] > q[2:]))


first = next(t for t in range(100, T) if peaks(t) == 1)
left = mine.alpha_bar(betas)[first]
assert first == 231
_, m, v = mine.diffuse_mixture(weights, means, variances, first, betas)
wide, apart = np.sqrt(v), m[1, 0] - m[0, 0]

by = credit("diffuse_mixture", "alpha_bar")
fig, axes = plt.subplots(1, 4, figsize=(8.5, 2.4), sharey=True)
for ax, t in zip(axes, (100, 200, first, 300), strict=True):
    ax.plot(line, density(line, *mine.diffuse_mixture(weights, means, variances, t, betas)), color=by.color)
    ax.set(title=f"t = {t}", xlabel="$x_t$", yticks=[])
fig.suptitle(by.title)
merged.reveal(
    first,
    f"At t = {first} the lower peak turns into a shoulder. The modes have widened to standard deviations of "
    f"{wide[0]:.2f} and {wide[1]:.2f}, at a distance of {apart:.2f}. Yet more than half of the variance, {left:.3f}, is "
    "still that of the data.",
    picture=fig,
    alt="Four densities at t = 100, 200, 231 and 300. The first has two peaks, the second a peak and a small one beside "
    "it, the third a peak with a flat shoulder, the fourth one broad peak.",
)

# %% [markdown]
# ## Play with the modes
#
# Find the place where two peaks become one. Then look at the number in the title. It says how well 500 points can tell
# the weight of the left mode: no unbiased estimate has a smaller standard error. (A theorem gives this number, and you
# need not know it.) At which step is it twice that of $t = 100$?

# %%
few, belongs, noise = rng.standard_normal((4000, 1)), rng.random(4000) > weights[0], rng.standard_normal((4000, 1))
belongs = belongs.astype(int)
by = credit("q_sample", "diffuse_mixture")


def draw(t, distance):
    centres = np.array([[-0.65], [0.35]]) * distance
    x0 = centres[belongs] + np.sqrt(variances[belongs])[:, None] * few
    _, m, v = mine.diffuse_mixture(weights, centres, variances, t, betas)
    q = density(line, weights, m, v)
    of_left, of_right = (density(line, np.ones(1), m[k : k + 1], v[k : k + 1]) for k in (0, 1))
    told = 1 / np.sqrt(
        500 * np.sum((of_left - of_right) ** 2 / q) * (line[1, 0] - line[0, 0])
    )  # by Fisher's information
    fig, ax = plt.subplots(figsize=(6, 2.8))
    bars(ax, mine.q_sample(x0, t, noise, betas), by.color)
    ax.plot(line, q, color=by.color)
    ax.set(title=f"t = {t}: the weight is known to ± {told:.3f}", xlabel="$x_t$", yticks=[], ylim=(0, 1.15))
    fig.suptitle(by.title, fontsize=9)
    return fig


play(
    draw,
    "A histogram of points that jumped to t = 100, and the density on it: a narrow peak on the left and a wide one on "
    "the right. The title says that 500 points tell the weight to 0.021.",
    t=(1, 1000, 100),
    distance=(0.5, 3.0, 2.3),
)

# %% [markdown]
# The peaks are one from $t = 231$ on. The error has doubled only at about $t = 390$. So the eye loses the modes long
# before the points forget them.
#
# ## A cloud that does not melt
#
# This jump stands in many lecture notes. The picture shows where it leads. One number is wrong by a factor of about a
# million: the **signal-to-noise ratio** (SNR). That is the variance of the signal over the variance of the noise.


# %%
def jump(x0, t, eps, betas):
    kept = 1 - betas[t - 1]  # line 1: the share of the signal
    signal = np.sqrt(kept) * x0  # line 2
    noise = np.sqrt(1 - kept) * eps  # line 3
    return signal + noise  # line 4


x = jump(walk[0], T, rng.standard_normal(walk[0].shape), betas)
fig, ax = plt.subplots(figsize=(6, 2.4))
bars(ax, walk[0], DATA)
bars(ax, x, BUG, fill=False, alpha=1, ls="--", lw=2)
ax.set(title=f"t = 1000: variance {x.var():.3f}", xlabel="$x$", yticks=[])
show(fig, "A histogram of the data with two modes, and a dashed one at t = 1000 that has nearly the same two modes.")

# %% [markdown]
# *What to see:* after 1,000 steps (dashed) the data (grey) are nearly as they were. The program runs, and nothing
# warns.

# %% [markdown]
# ### Exercise 1.3 (diagnose): where is the noise?
#
# Name the wrong line. Predict the SNR of this program at $t = 1000$ for data of variance 1. Then mend it.

# %%
wrong_line, snr_at_T = ..., ...  # the number of the line; your prediction


def mended(x0, t, eps, betas):
    return jump(x0, t, eps, betas)  # for you to mend


### BEGIN SOLUTION
wrong_line, snr_at_T = 1, 0.98 / 0.02


def mended(x0, t, eps, betas):
    kept = np.prod(1 - betas[:t])
    return np.sqrt(kept) * x0 + np.sqrt(1 - kept) * eps


### END SOLUTION


keep(wrong_line, snr_at_T, mended, test=tests.where_is_the_noise)

# %% [markdown] tags=["solution"]
# **Solution.** Line 1 keeps what *one* step keeps: notes write $\alpha_t = 1 - \beta_t$, and a bar was lost. The SNR is
# $0.98/0.02 = 49$; after the chain it is 1 to 25,000. A network trained on such points never sees more than 2 percent
# of noise. A like slip, $\beta$ where $\sqrt\beta$ belongs, makes the noise too small in the same way. One finds both
# by the law that a variance of 1 stays 1 and by walking two steps.

# %% [markdown]
# ### Exercise 1.4 (prove): shuffle the steps
#
# Put the numbers $\beta_t$ into another order. Does the law of the end $x_T$ change, given $x_0$? Does the joint law of
# the path $x_1, \dots, x_T$ change? For data of variance 1, find the correlation of $x_1$ and $x_T$. Prove it on paper;
# what you enter is tested on walked paths.

# %%
end_changes, path_changes = ..., ...  # True or False


def correlation(betas):
    """The correlation of x_1 and x_T for data of variance 1."""
    ### BEGIN SOLUTION
    return np.sqrt(np.prod(1 - betas[1:]))
    ### END SOLUTION


### BEGIN SOLUTION
end_changes, path_changes = False, True
### END SOLUTION

keep(end_changes, path_changes, correlation, test=tests.shuffled)

# %% [markdown] tags=["solution"]
# **Solution.** The law of $x_T$ depends on the product of all $1 - \beta_t$ alone, and a product has no order. Seen
# from $x_1$, the other $T - 1$ steps are a chain of their own: $x_T = a\,x_1 + b\,\varepsilon$ with $a^2 = \prod_{t \ge
# 2}(1 - \beta_t)$. Both variances are 1, so the correlation is $a$. It depends on which $\beta$ comes first, and so the
# law of the path changes. The usual wrong turn is the product over all $t$, which is the correlation of $x_0$ and
# $x_T$.

# %% [markdown]
# Back to the two modes. Later you will estimate how many points come from the left one. Is it enough to count?

# %%
below = guess("The left mode has 35 percent of the points. At t = 400, how many percent lie below 0?", ..., "percent")

# %%
_, m, v = mine.diffuse_mixture(weights, means, variances, 400, betas)
exact = 100 * weights @ ndtr(-m[:, 0] / np.sqrt(v))
assert abs(np.mean(walk[400] < 0) - exact / 100) < 4 * 0.5 / np.sqrt(n)
below.reveal(
    exact,
    f"The modes overlap and lie near 0: their means are {m[0, 0]:.2f} and {m[1, 0]:.2f}, their standard deviations "
    f"{np.sqrt(v[0]):.2f} and {np.sqrt(v[1]):.2f}. So a count of points below 0 says little of the weight.",
)

# %% [markdown]
# ## Open problem

# %% [markdown]
# ### Exercise 1.5 (open): how many were on the left?
#
# You see 500 points at $t = 300$, where one peak is left. You know both modes, but not the share of the left one. It is
# another in each of 400 tries, anywhere between 10 and 90 percent. Estimate it. This is the table to beat:

# %%
print(tests.table())


# %%
def left_share(x, means, variances):
    """The share of the left mode, from points x (500, 1); means (2, 1) and variances (2,) of the modes at that step."""
    ### BEGIN SOLUTION
    left, right = (np.exp(-((x - means[k]) ** 2) / (2 * variances[k])) / np.sqrt(variances[k]) for k in (0, 1))
    share = 0.5
    for _ in range(50):
        share = np.mean(share * left / (share * left + (1 - share) * right))
    return share
    ### END SOLUTION


keep(left_share, test=tests.left_share, into=None)

# %% [markdown] tags=["solution"]
# **Solution.** This maximises the likelihood: say for each point how probably it is from the left, take the mean, and
# repeat (the EM algorithm). For many points no unbiased estimator does better. One may also use that the share is
# between 10 and 90 percent: the mean over all shares, each weighted by its likelihood, is better by a few percent. For
# shares drawn so, that mean is the best on average. Which estimator is best for the worst share, we do not know.

# %% [markdown]
# ## Jump
#
# The thing of this notebook: points that jumped, under a density that took no step. Below, the same for a ring of eight
# modes.

# %%
by = credit("alpha_bar", "q_sample", "diffuse_mixture")
ring = td.toys.ring8()
of_ring = ring.weights, ring.means, ring.covariances[:, 0, 0]
side = np.linspace(-3, 3, 121)
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
fine, one, none = np.linspace(-6, 6, 6001), np.ones((1, 1)), np.zeros((1, 1))

fig, axes = plt.subplots(2, 4, figsize=(9, 4.4))
for (above, under), t in zip(axes.T, (50, 200, 400, 1000), strict=True):
    jumped = mine.q_sample(walk[0], t, rng.standard_normal(walk[0].shape), betas)
    q = density(line, *mine.diffuse_mixture(weights, means, variances, t, betas))
    bars(above, jumped, by.color)
    above.plot(line, q, color=by.color)
    above.set(title=f"t = {t}", yticks=[])
    x0 = ring.sample(rng, 600)
    x = mine.q_sample(x0, t, rng.standard_normal(x0.shape), betas)
    image = density(plane, *mine.diffuse_mixture(*of_ring, t, betas)).reshape(121, 121)
    under.imshow(image, cmap="Greys", extent=(-3, 3, -3, 3), origin="lower", vmax=1.5 * image.max())
    under.scatter(*x.T, s=8, color=by.color, linewidths=0, rasterized=True)
    under.set(xticks=[], yticks=[], xlim=(-3, 3), ylim=(-3, 3), frame_on=False)

    # The density is the integral over all x_0, by a sum over 6,001 of them; and walked points have this law.
    a, b = mine.q_sample(one, t, none, betas).item(), mine.q_sample(none, t, one, betas).item()
    kernel = np.exp(-((line - a * fine) ** 2) / (2 * b**2)) / np.sqrt(2 * np.pi * b**2)
    summed = kernel @ np.exp(data.log_density(fine[:, None])) * (fine[1] - fine[0])
    assert np.allclose(summed, q, rtol=0, atol=1e-12)
    _, m, v = mine.diffuse_mixture(weights, means, variances, t, betas)
    cdf = ndtr((np.sort(walk[t], axis=0) - m[:, 0]) / np.sqrt(v)) @ weights
    assert np.max(np.abs(cdf - (np.arange(n) + 0.5) / n)) < 2.2 / np.sqrt(n)  # one walk in 10,000 is farther
fig.suptitle(by.title)
show(fig, "Two rows at t = 50, 200, 400 and 1000. Above, histograms lie under curves: two modes melt into one bell. Below, "
     "points lie on the dark parts of a density: a ring of eight modes melts into a round cloud.")  # fmt: skip

# %% [markdown]
# *What to see:* no point of this picture took a step, and the points lie where the density is.

# %%
mine

# %% [markdown]
# ## What you know now
#
# - $t$ noising steps have the law of one jump with one noise.
# - The jump rescales the data and adds noise, and a mixture stays a mixture.
# - The law of $x_t$ needs $\bar\alpha_t$ alone. The law of a path also knows the order of the $\beta$.
# - Peaks vanish long before the weights are forgotten.
#
# <details><summary>The derivation of 1.1, when your check is green</summary>
#
# $$x_2 = \sqrt{(1-\beta_1)(1-\beta_2)}\;x_0 + \sqrt{(1-\beta_2)\beta_1}\;\varepsilon_1 + \sqrt{\beta_2}\;\varepsilon_2 .$$
#
# The noise has variance $(1-\beta_2)\beta_1 + \beta_2 = 1 - (1-\beta_1)(1-\beta_2)$. The same argument from $t - 1$ to
# $t$ gives by induction, with $\bar\alpha_0 = 1$,
#
# $$\bar\alpha_t = \prod_{s=1}^t (1-\beta_s), \qquad x_t = \sqrt{\bar\alpha_t}\;x_0 + \sqrt{1-\bar\alpha_t}\;\varepsilon .$$
#
# </details>
#
# <details><summary>The derivation of 1.2, when your check is green</summary>
#
# Given its component, $x_0 = m_k + \sqrt{v_k}\,\varepsilon'$. Put this into the jump and add the two noises. The
# component does not change, so $w_k$ stays:
#
# $$x_t \sim \sum_k w_k\,\mathcal N\big(\sqrt{\bar\alpha_t}\,m_k,\ (\bar\alpha_t v_k + 1 - \bar\alpha_t)\,I\big).$$
#
# </details>
#
# <details><summary>The proof of 1.4, when your check is green</summary>
#
# Seen from $x_1$ the other steps are a chain of their own. So $x_T = a\,x_1 + b\,\varepsilon$ with
# $a^2 = \prod_{t=2}^T (1-\beta_t)$. Both variances are 1, so the correlation is $a$. It depends on which $\beta$ comes
# first, and so does the law of the path. The law of the end depends on a product of all, which has no order.
#
# </details>
#
# **Next:** [2. Schedules are curves](02_schedules.ipynb). If only $\bar\alpha_t$ counts, does the number of steps
# matter?
