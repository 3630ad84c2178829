# %% [markdown]
# # 5. A denoiser is a score
#
# **What does the perfect network output?**
#
# *You need:* [notebook 1](01_one_noisy_step.ipynb) (the jump $x_t = \alpha x_0 + \sigma\varepsilon$), [notebook
# 2](02_schedules.ipynb) (the log-SNR), conditional expectation and gradients. *To read:* 35 minutes. *To work:* 40
# minutes. *Papers:* Vincent 2011, [A connection between score matching and denoising
# autoencoders](https://doi.org/10.1162/NECO_a_00142); Song et al. 2021, [score-based
# SDEs](https://arxiv.org/abs/2011.13456), §2–3.
#
# A network is shown a noisy point and asked for the noise in it. It cannot know: many pairs of data and noise make
# the same point. So it will be wrong, however large it is and however long it trains. But the *best* wrong answer is
# one definite function, and it turns out to be the gradient of a log-density. This is why denoisers can generate.

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(5)

# %% [markdown]
# ## The best answer to a squared loss
#
# Let $x = \alpha x_0 + \sigma\varepsilon$ be a noisy point, $\varepsilon \sim \mathcal N(0, I)$ in $d$ dimensions, at
# one fixed time, and let $f$ be any guess of $\varepsilon$ from $x$. Write
# $\varepsilon^*(x) = \mathbb E[\varepsilon \mid x]$ for the conditional mean, and split the error at it:
#
# $$\mathbb E\|\varepsilon - f(x)\|^2 = \mathbb E\|\varepsilon - \varepsilon^*(x)\|^2
#   + 2\,\mathbb E\big[(\varepsilon - \varepsilon^*(x)) \cdot (\varepsilon^*(x) - f(x))\big] + \mathbb E\|\varepsilon^*(x) - f(x)\|^2 .$$
#
# The middle term is 0. Take the mean in two stages, first given $x$: then $\varepsilon^*(x) - f(x)$ is a constant,
# and what it multiplies, $\mathbb E[\varepsilon - \varepsilon^*(x) \mid x]$, is 0 by definition. Therefore
#
# $$\boxed{\;\mathbb E\|\varepsilon - f(x)\|^2 = \underbrace{\mathbb E\|\varepsilon - \varepsilon^*(x)\|^2}_{\text{floor: not up to you}}
#   + \underbrace{\mathbb E\|\varepsilon^*(x) - f(x)\|^2}_{\text{0 only if } f = \varepsilon^* \text{ almost everywhere}}\;}$$
#
# The perfect network outputs the conditional mean. Nothing was used about noise: the same holds for a guess of $x_0$,
# or of anything else.
#
# Look at it on a line, with the two-mode mixture of notebook 1, whose conditional means the library's `Oracle` knows
# exactly. (In the library $t$ is a number from 0, the data, to 1, noise; `process.time(λ)` is the time at which
# the log-SNR $\lambda = \ln \alpha^2/\sigma^2$ has a given value. A model takes a time, or a level, `process.at(t)`.)
#
# **Predict.** At large positive $x$, is the noise more likely positive or negative? And what is the best guess half way
# between the two modes?

# %%
line = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
process = td.VP()
oracle = td.Oracle(line, process)  # oracle(x, t) is ε*(x), oracle.x0(x, t) is E[x_0 | x]

now = process.at(process.time(2.0))
x0, eps = line.sample(rng, 200_000), rng.standard_normal((200_000, 1))
x = now.alpha * x0 + now.sigma * eps

edges = np.linspace(-2.4, 2.2, 47)
centres, which = (edges[:-1] + edges[1:]) / 2, np.digitize(x[:, 0], edges)
means = np.array([eps[which == i, 0].mean() for i in range(1, len(edges))])
errors = (eps - oracle(x, now))[:, 0]  # their mean in each bin, in standard errors, comes back in "The numbers":
off = [errors[which == i].mean() / errors[which == i].std() * np.sum(which == i) ** 0.5 for i in range(1, len(edges))]

grid = np.linspace(-2.4, 2.2, 400)[:, None]
fig, ax = plt.subplots(figsize=(7, 3.2))
ax.scatter(x[:1500, 0], eps[:1500, 0], s=10, color=DATA, alpha=0.6, linewidths=0)
ax.plot(grid, oracle(grid, now), color=EXACT)
ax.plot(centres, means, color=MODEL, marker="o", ms=4, ls="none")
ax.text(0.35, -2.9, "pairs (x, ε)", color=DATA)
ax.text(-0.95, 2.3, "exact E[ε | x]", color=EXACT)
ax.text(-2.35, 0.9, "means of the pairs\nin each bin", color=MODEL)
ax.set(xlabel="noisy point x", ylabel="noise ε in it", xlim=(-2.4, 2.2), ylim=(-3.3, 3.3), xticks=[-2, -1, 0, 1, 2])
show(fig, "A cloud of pairs of noisy point and noise in two slanted bands, one for each mode, and a curve through it: it rises in "
     "each band, and falls steeply between the two. Dots, the means of bins, lie on the curve.")  # fmt: skip

# %% [markdown]
# *What to see:* each mode is a slanted band: the further right of its mode a point lies, the more noise it must have
# got. The blue curve is the best answer; it goes through the middle of the cloud at each $x$, and the means of
# 200,000 pairs lie on it. Between the bands it changes from one mode's story to the other's, and is right for
# neither. Half way between the modes, at $x = \alpha(-1.5 + 0.8)/2 = -0.33$, it is about −1.1 and not 0: the left mode is
# narrow, so that such a point most likely belongs to the right one.
#
# ## It is a score
#
# What function is that curve? Write the density of $x$ as in notebook 1 and differentiate under the integral. The
# kernel is a Gaussian, so its gradient is itself times $-(x - \alpha x_0)/\sigma^2$:
#
# $$q_t(x) = \int q(x_0)\,\mathcal N(x;\ \alpha x_0,\ \sigma^2 I)\,dx_0, \qquad
#   \nabla q_t(x) = \int q(x_0)\,\mathcal N(x;\ \alpha x_0,\ \sigma^2 I)\,\Big(\!-\frac{x - \alpha x_0}{\sigma^2}\Big)\,dx_0 .$$
#
# Divide by $q_t(x)$. On the left stands $\nabla \ln q_t(x)$. On the right,
# $q(x_0)\,\mathcal N(x;\ \alpha x_0,\ \sigma^2 I)/q_t(x)$ is Bayes' rule for $q(x_0 \mid x)$, so it is a conditional
# mean, and $x - \alpha x_0 = \sigma\varepsilon$:
#
# $$\boxed{\;\nabla_x \ln q_t(x) = -\frac{\mathbb E[\varepsilon \mid x_t = x]}{\sigma}, \qquad\text{so}\qquad \varepsilon^*(x, t) = -\sigma\,\nabla_x \ln q_t(x)\;}$$
#
# The gradient of a log-density with respect to its argument is called the **score**. It points to where data are
# denser; it knows nothing of normalising constants. Mind what it is a gradient in: some notes print
# "$\nabla \log_{q_t}(x_t)$", with the density as the *base* of a logarithm; read $\nabla_x \log q_t(x)$.
#
# ### Exercise 5.1: a score from noise
#
# In the exercises $t$ is an integer from 1 to $T$ again, and $\beta_t$ is `betas[t - 1]`.


# %%
def score_from_eps(t, eps, betas):
    """The score that belongs to the noise eps (B, D) at step t: (B, D)."""
    ### BEGIN SOLUTION
    return -eps / np.sqrt(1 - np.prod(1 - betas[:t]))
    ### END SOLUTION


check(score_from_eps)

# %% [markdown]
# Never believe a gradient: the slope of $\ln q_t$ by finite differences, and the denoiser's answer over $-\sigma$.

# %%
h = 1e-5
slope = (oracle.log_density(grid + h, now) - oracle.log_density(grid - h, now)) / (2 * h)
difference = np.max(np.abs(slope - (-oracle(grid, now)[:, 0] / now.sigma)))
print(f"largest difference between the slope of ln q and −ε*/σ on 400 points: {difference:.1e}")
assert difference < 1e-7  # h² for the formula, 1e-16/h for rounding

# %% [markdown]
# ## The picture to remember
#
# In the plane the score is a field of arrows. Here are two moons, a mixture of 32 Gaussians, from little noise to much.
# All arrows are $-\varepsilon^* = \sigma\,\nabla\ln q_t$: the noise that the perfect network sees, turned around; their
# lengths are compressed to the square root, so that the short ones can be seen, and can be compared within a panel.
#
# **Predict.** Where will the arrows point when the noise is much larger than the data?

# %%
moons = td.toys.moons32()
model = td.Oracle(moons, process)
side = np.linspace(-2.7, 2.7, 140)
fine = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
coarse = np.stack(np.meshgrid(np.linspace(-2.4, 2.4, 11), np.linspace(-2.4, 2.4, 11)), axis=-1).reshape(-1, 2)


def compressed(arrows):
    """The arrows (B, 2) with the root of their length, the longest with length 1."""
    length = np.hypot(*arrows.T)[:, None]
    return arrows / np.sqrt(length * length.max())


fig, axes = plt.subplots(1, 4, figsize=(8.2, 2.5))
for ax, lam in zip(axes, (5, 2, 0, -4), strict=True):
    now = process.at(process.time(lam))
    density = np.exp(model.log_density(fine, now)).reshape(140, 140)
    ax.contourf(
        side,
        side,
        density / density.max(),
        levels=[0, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 1],
        cmap="cividis",
        antialiased=False,
    )
    arrows = compressed(-model(coarse, now))
    style = {"angles": "xy", "scale_units": "xy", "scale": 1.9, "width": 0.009, "headwidth": 4}
    ax.quiver(*coarse.T, *arrows.T, color="white", ec="black", lw=0.4, **style)
    ax.set(xticks=[], yticks=[], xlabel="$x_1$", xlim=(-2.7, 2.7), ylim=(-2.7, 2.7), aspect="equal")
    ax.set_title(rf"$\lambda = {lam}$" + {5: ": little noise", -4: ": much noise"}.get(lam, ""))
axes[0].set_ylabel("$x_2$")
show(fig, "Four panels with the density of two noisy moons, bright on dark, from sharp to a round blob, with white arrows on top. "
     "At little noise the arrows point to the nearest moon, at much noise all point to the centre.")  # fmt: skip

# %% [markdown]
# *What to see:* bright is the density, the arrows its score. At little noise ($\lambda = 5$) every arrow points to
# the nearest stretch of a moon. As noise grows, the field forgets: first the width of the moons, then that there are
# two, and at last ($\lambda = -4$) it only knows where the centre is. A sampler walks this row from right to left.
# The same, moving:

# %%
small = np.stack(np.meshgrid(np.linspace(-2.3, 2.3, 10), np.linspace(-2.3, 2.3, 10)), axis=-1).reshape(-1, 2)
side = np.linspace(-2.6, 2.6, 70)
fine = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
fig, ax = plt.subplots(figsize=(3, 3.1))


def frame(lam):
    """A level line of the density and the arrows of the score, at one log-SNR."""
    now = process.at(process.time(lam))
    density = np.exp(model.log_density(fine, now)).reshape(70, 70)
    arrows = compressed(-model(small, now))
    ax.clear()
    ax.contourf(side, side, density / density.max(), levels=[0.2, 1], colors=["#d9d9d9"], antialiased=False)
    ax.quiver(
        *small.T, *arrows.T, color=EXACT, angles="xy", scale_units="xy", scale=2.1, width=0.007, antialiased=False
    )
    ax.set(xticks=[], yticks=[], aspect="equal", xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), title=rf"$\lambda = {lam:+.1f}$")


show(FuncAnimation(fig, frame, frames=[*np.linspace(-4, 5, 22), 5, 5, 5], interval=180),
     "Moving arrows around a grey area where the density is high: as the log-SNR rises from −4 to 5, arrows that all pointed to "
     "the centre turn one by one to the nearer of two moons.")  # fmt: skip

# %% [markdown]
# *What to see:* grey is where the density exceeds a fifth of its peak. The field makes up its mind as noise
# disappears: first in which half, then on which moon, then where on it.
#
# ## Tweedie's formula, in two lines
#
# Take the mean of $x = \alpha x_0 + \sigma\varepsilon$ given $x$, and put in
# $\mathbb E[\varepsilon \mid x] = -\sigma\,\nabla\ln q_t(x)$:
#
# $$x = \alpha\,\mathbb E[x_0 \mid x] + \sigma\,\mathbb E[\varepsilon \mid x] = \alpha\,\mathbb E[x_0 \mid x] - \sigma^2\,\nabla\ln q_t(x)
#   \qquad\Longrightarrow\qquad \boxed{\;\mathbb E[x_0 \mid x] = \frac{x + \sigma^2\,\nabla\ln q_t(x)}{\alpha}\;}$$
#
# To denoise, go up the log-density by $\sigma^2$ times its gradient, and undo the shrinking [Efron 2011,
# [Tweedie's formula](https://doi.org/10.1198/jasa.2011.tm11181)].
#
# ### Exercise 5.2: Tweedie


# %%
def tweedie(x_t, t, score, betas):
    """E[x_0 | x_t] from the score at x_t, all (B, D); t from 1 to T."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return (x_t + (1 - left) * score) / np.sqrt(left)
    ### END SOLUTION


check(tweedie)

# %% [markdown]
# Try it on a chain of 1000 steps against the oracle, which computes $\mathbb E[x_0 \mid x_t]$ by Bayes' rule and not by
# this formula.

# %%
chain = td.Discrete.linear(1000)
on_chain = td.Oracle(moons, chain)
step = 300
now = chain.at(step / 1000)
noisy = now.perturb(moons.sample(rng, 5), rng.standard_normal((5, 2)))
answer = tweedie(noisy, step, td.score(on_chain, noisy, now), chain.betas)
exact = on_chain.x0(noisy, now)
if answer is None:
    print("not yet: exercise 5.2")
else:
    print(f"largest difference between your formula and Bayes' rule: {np.max(np.abs(answer - exact)):.1e}")

# %% [markdown]
# ## A mean is not an image
#
# $\mathbb E[x_0 \mid x_t]$ is often called "the clean image that the network sees". Look where it lies. The data are
# eight narrow modes on a ring.
#
# **Predict.** At much noise a point may have come from several modes. Where does the perfect denoiser send it?

# %%
ring = td.toys.ring8()
judge = td.Oracle(ring, process)
cloud = ring.sample(rng, 1500)
fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.3))
surprise = {}
now = process.at(process.time(-1.0))
one = np.array([[0.55, 0.4]])
possible = ring.posterior(np.repeat(one, 60, axis=0), now.alpha, now.sigma).sample(rng, 60)
mean = judge.x0(one, now)
axes[0].scatter(*cloud[:400].T, s=5, color=DATA, alpha=0.5, linewidths=0)
for end in possible:
    axes[0].plot([one[0, 0], end[0]], [one[0, 1], end[1]], color=DATA, lw=0.4, alpha=0.6)
axes[0].scatter(*possible.T, s=22, color=DATA, linewidths=0)
axes[0].scatter(*one.T, s=90, color="k", marker="x")
axes[0].scatter(*mean.T, s=200, color=EXACT, marker="*", zorder=3)
axes[0].set_title(r"one noisy point, $\lambda = -1$")
for ax, lam in zip(axes[1:], (-1, 3), strict=True):
    now = process.at(process.time(lam))
    noisy = now.perturb(cloud, rng.standard_normal(cloud.shape))
    guess = judge.x0(noisy, now)
    surprise[lam] = -ring.log_density(guess).mean()
    ax.scatter(*cloud[:400].T, s=5, color=DATA, alpha=0.5, linewidths=0)
    ax.scatter(*guess[:500].T, s=9, color=EXACT, alpha=0.6, linewidths=0)
    ax.set_title(rf"500 answers, $\lambda = {lam}$")
for ax in axes:
    ax.set(xlim=(-1.9, 1.9), ylim=(-1.9, 1.9), aspect="equal")
    ax.axis("off")
show(fig, "Left: a cross near the centre of a ring of eight modes, thin lines to grey dots in several modes that it may have come from, and a "
     "blue star, their mean, inside the ring where there are no data. Middle: 500 such answers fill the inside of the ring. "
     "Right: at little noise the answers lie in the modes.")  # fmt: skip

# %% [markdown]
# *What to see:* left, the black cross is a noisy point $x_t$ (shrunk by $\alpha = 0.52$; undone, it would lie near the
# ring). Grey dots are draws of what it may have been, lines lead to them; the blue star is the perfect answer, their
# mean. It lies where there are no data at all. Middle, the answers of 500 noisy points: none is a sample. Right, with
# less noise there is mostly one candidate left, and the mean is close to it; some points still waver between two.

# %%
entropy = ring.entropy()[0]
for lam, nats in surprise.items():
    print(f"λ = {lam:2d}: −ln q(x̂_0) is {nats:6.2f} nats on average; for data it is {entropy:.2f}, their entropy")
assert surprise[-1] > entropy + 10

# %% [markdown]
# At $\lambda = 3$ the number is even *below* that of data: most means huddle in the middle of a mode, where its density
# is highest. Neither cloud is a sample.
#
# So a blurred $\hat x_0$ at high noise is no fault of the network. It is the right answer to the question that was
# asked, and that is why one samples in many steps: a step uses only a little of the answer, and then asks again.
#
# ## How can one learn a score that nobody knows?
#
# One would like to fit a model $s_\theta$ to the score by **explicit score matching**,
# $J_E(\theta) = \mathbb E\|s_\theta(x) - \nabla\ln q_t(x)\|^2$. For real data $\nabla\ln q_t$ is unknown. What is known
# is the pair $(x, \varepsilon)$, and $-\varepsilon/\sigma$ is the score of the kernel that $x$ came from. **Denoising
# score matching** fits that, $J_D(\theta) = \mathbb E\|s_\theta(x) + \varepsilon/\sigma\|^2$. Expand both squares. The
# first:
#
# $$J_D = \mathbb E\|s_\theta\|^2 + \tfrac{2}{\sigma} \mathbb E[s_\theta(x) \cdot \varepsilon] + \tfrac{1}{\sigma^2} \mathbb E\|\varepsilon\|^2 .$$
#
# The last mean is $d$, one for each coordinate. In the middle take the mean given $x$ first, where $s_\theta(x)$ is a
# constant:
# $\mathbb E[s_\theta(x) \cdot \varepsilon] = \mathbb E\big[s_\theta(x) \cdot \mathbb E[\varepsilon \mid x]\big] = -\sigma\,\mathbb E[s_\theta(x) \cdot \nabla\ln q_t(x)]$.
# So
#
# $$J_D = \mathbb E\|s_\theta\|^2 - 2\,\mathbb E[s_\theta \cdot \nabla\ln q_t] + \tfrac{d}{\sigma^2}, \qquad
#   J_E = \mathbb E\|s_\theta\|^2 - 2\,\mathbb E[s_\theta \cdot \nabla\ln q_t] + \mathbb E\|\nabla\ln q_t\|^2,$$
#
# $$\boxed{\;J_D(\theta) = J_E(\theta) + \tfrac{d}{\sigma^2} - \mathbb E\|\nabla\ln q_t\|^2 \qquad \text{for any } s_\theta\;}$$
#
# [Vincent 2011]. The two differ by a constant, so they have the same gradient in $\theta$ and the same minimiser. With
# $s_\theta = -\hat\varepsilon/\sigma$, $\sigma^2 J_D = \mathbb E\|\varepsilon - \hat\varepsilon\|^2$ is the loss of a
# denoiser: **training a denoiser is fitting the score, without ever having seen one.**
#
# "For any" is strong. Test it with scores that are plainly wrong. $J_D$ is a mean over $x_0$ and $\varepsilon$, $J_E$
# a mean over $x$: two different sums, both over fine grids.

# %%
now = process.at(process.time(1.0))
alpha, sigma = now.alpha, now.sigma
z = np.linspace(-8, 8, 81)
gauss = np.exp(-(z**2) / 2) / np.sum(np.exp(-(z**2) / 2))  # E f(ε) = Σ gauss f(z)
x0 = (
    line.means[:, :, None] + np.sqrt(line.covariances[:, :, :1]) * z[:, None]
)  # (2, 81, 1): modes, nodes, and one axis for ε
x_pair, eps_pair = alpha * x0 + sigma * z, np.broadcast_to(z, (2, 81, 81))
weight = line.weights[:, None, None] * gauss[:, None] * gauss
marginal = oracle.marginal(now)  # the mixture q_t
y, weight_y = marginal.quadrature()  # points x of it, and their weights
score = marginal.score(y)

guesses = {
    "the true score": lambda x: marginal.score(x),
    "0, no idea": lambda x: 0 * x,
    "−x, as if data were N(0, 1)": lambda x: -x,
    "−tanh(3x), made up": lambda x: -np.tanh(3 * x),
    "the true score, wrong sign": lambda x: -marginal.score(x),
}
constant = 1 / sigma**2 - weight_y @ (score[:, 0] ** 2)
print("score                            denoising    explicit    difference")
for name, guess in guesses.items():
    values = guess(x_pair.reshape(-1, 1)).reshape(x_pair.shape)
    denoising = np.sum(weight * (values + eps_pair / sigma) ** 2)
    explicit = weight_y @ ((guess(y) - score)[:, 0] ** 2)
    print(f"{name:30s} {denoising:11.6f} {explicit:11.6f}   {denoising - explicit:11.6f}")
    assert abs(denoising - explicit - constant) < 1e-6  # what quadrature of scores is good for
print(f"{'d/σ² − E‖∇ ln q‖²':30s} {'':25s} {constant:11.6f}")

# %% [markdown]
# ## The floor of the loss
#
# For the true score $J_E = 0$, and what remains of the loss is the constant times $\sigma^2$. It is the first term of
# this notebook's first box, now with a value:
#
# $$\min_f \mathbb E\|\varepsilon - f(x)\|^2 = d - \sigma^2\,\mathbb E\|\nabla\ln q_t(x)\|^2 .$$
#
# The same from Pythagoras: $\mathbb E\|\varepsilon\|^2 = d$ splits into the floor and $\mathbb E\|\varepsilon^*\|^2$.
# And since $x_0 - \mathbb E[x_0 \mid x] = -\frac\sigma\alpha (\varepsilon - \varepsilon^*)$, the least error of a guess
# of $x_0$, the $\mathrm{mmse}$ (minimum mean squared error) of notebook 4, is the floor over the SNR.
#
# **Predict.** Sketch the floor, per coordinate, against the log-SNR from −8 (noise) to 9 (data): for
# $\mathcal N(0, I)$, whose score is $-x$; and for the ring of eight narrow modes. Where is noise easy to see?

# %%
lam = np.linspace(-8, 9, 69)
floor = judge.floor(process.time(lam))  # 1 − σ² E‖∇ ln q‖²/d, by quadrature
gaussian = 1 / (1 + np.exp(-lam))  # N(0, I): d − σ² E‖x‖² = d α², and α² = sigmoid(λ)

n = 40_000
dots = np.arange(-7, 9, 2)
measured, errors = [], []
for each in dots:
    now = process.at(process.time(each))
    x0, eps = ring.sample(rng, n), rng.standard_normal((n, 2))
    loss = np.mean((eps - judge(now.perturb(x0, eps), now)) ** 2, axis=1)
    measured.append(loss.mean())
    errors.append(loss.std() / np.sqrt(n))
measured, errors = np.array(measured), np.array(errors)

fig, ax = plt.subplots(figsize=(7, 3.2))
ax.plot(lam, gaussian, color=DATA, ls=":")
ax.plot(lam, floor, color=EXACT)
ax.plot(dots, measured, color=MODEL, marker="o", ms=6, ls="none")
ax.text(0.75, 0.86, "$\\mathcal{N}(0, I)$", color=DATA, ha="right")
ax.text(5.9, 0.55, "ring of eight:\n$1 - \\sigma^2 E\\Vert\\nabla\\ln q\\Vert^2/d$", color=EXACT)
ax.text(-7.8, 0.12, "measured loss of the\nperfect denoiser", color=MODEL)
ax.set(
    xlabel="log-SNR λ (nats): noise on the left, data on the right",
    ylabel="least loss per coordinate",
    ylim=(-0.03, 1.05),
    xticks=dots,
)
show(fig, "The least loss against log-SNR. For a Gaussian it rises in one smooth S from 0 to 1. For the ring it rises to a hump of 0.57 near 1, "
     "dips to 0.36 near 3, and rises to 1. Measured dots lie on it.")  # fmt: skip

# %% [markdown]
# *What to see:* on the far left $x$ *is* the noise, and seeing it is easy. On the far right the noise is finer than the
# data's own width, and cannot be distinguished from it: the loss is 1, as if one always answered 0. In between the ring
# has a story. The hump is doubt about *which* mode. In the dip ($\lambda \approx 3$) the mode is known and its width
# still negligible, so most of the noise can be seen. Dots are the mean loss of the perfect denoiser on 40,000 points,
# larger than their standard errors.
#
# Two lessons. A training loss on its own says nothing: what counts is the *excess* over the floor. And losses under
# different schedules cannot be compared, for they average this curve differently.
#
# ## Four names for one answer
#
# Given $x_t$, each of $\varepsilon$, $x_0$, the score and $v = \alpha\varepsilon - \sigma x_0$ [Salimans & Ho 2022,
# [Progressive distillation](https://arxiv.org/abs/2202.00512)] tells all the others, for
# $x_t = \alpha x_0 + \sigma\varepsilon$ with $\alpha^2 + \sigma^2 = 1$:
#
# | a network that outputs $F$ | means $\hat\varepsilon =$ | and $\hat x_0 =$ | error of $\hat\varepsilon$ per error of $F$ | of $\hat x_0$ |
# |---|---|---|---|---|
# | noise $\varepsilon$ | $F$ | exercise 5.3 | $1$ | $\sigma/\alpha$ |
# | data $x_0$ | exercise 5.4 | $F$ | $\alpha/\sigma$ | $1$ |
# | $v$ | $\sigma x_t + \alpha F$ | $\alpha x_t - \sigma F$ | $\alpha$ | $\sigma$ |
# | score $\nabla\ln q_t$ | $-\sigma F$ | $(x_t + \sigma^2 F)/\alpha$ | $\sigma$ | $\sigma^2/\alpha$ |
#
# All maps are affine in $F$, so they also turn conditional means into conditional means. (For $v$: with
# $\alpha = \cos\varphi$ and $\sigma = \sin\varphi$, $(x_t, v)$ is $(x_0, \varepsilon)$ turned by the angle $\varphi$;
# turn back.)
#
# ### Exercise 5.3: data from noise


# %%
def x0_from_eps(x_t, t, eps, betas):
    """x_0 from x_t and the noise in it, all (B, D); t from 1 to T."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return (x_t - np.sqrt(1 - left) * eps) / np.sqrt(left)
    ### END SOLUTION


check(x0_from_eps)

# %% [markdown]
# ### Exercise 5.4: noise from data


# %%
def eps_from_x0(x_t, t, x0, betas):
    """The noise in x_t if x0 is what it was made from, all (B, D); t from 1 to T."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return (x_t - np.sqrt(left) * x0) / np.sqrt(1 - left)
    ### END SOLUTION


check(eps_from_x0)

# %% [markdown]
# ### Exercise 5.5: v


# %%
def v_from_x0_eps(t, x0, eps, betas):
    """v = α ε − σ x_0 at step t, from 1 to T; x0, eps and v are (B, D)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return np.sqrt(left) * eps - np.sqrt(1 - left) * x0
    ### END SOLUTION


check(v_from_x0_eps)

# %% [markdown]
# ## Where an answer loses its voice
#
# Equivalent on paper, the four are not equivalent for a network that errs, nor in a computer that rounds. The last
# two columns of the table say by how much an error of the output is multiplied on the way to $\hat\varepsilon$ and to
# $\hat x_0$.

# %%
lam = np.linspace(-12, 12, 200)
cosine = td.Cosine()  # reaches further into the noise than VP
now = cosine.at(cosine.time(lam))  # a level with 200 times: now.alpha and now.sigma are (200,)
styles = {"eps": ("#0072B2", "-"), "x0": ("#D55E00", "--"), "v": ("#000000", "-."), "score": ("#009E73", ":")}
names = {"eps": "ε", "x0": "$x_0$", "v": "v", "score": "score"}
fig, axes = plt.subplots(1, 2, figsize=(7.8, 2.9), sharey=True)  # an answer is a x + b F; convert(…)[1] is b
for ax, convert, what in (
    (axes[0], td.predictions.to_x0, "$\\hat x_0$"),
    (axes[1], td.predictions.to_eps, "$\\hat\\varepsilon$"),
):
    for kind, (color, ls) in styles.items():
        ax.semilogy(lam, np.abs(convert(kind, now)[1] * np.ones_like(lam)), color=color, ls=ls, label=names[kind])
    ax.set(xlabel="log-SNR λ: noise left, data right", title=f"in {what}", ylim=(1e-3, 1e3), xticks=[-10, -5, 0, 5, 10])
    ax.axhline(1, color=DATA, lw=0.5)
axes[0].set_ylabel("an error of 1 becomes")
axes[1].legend(loc="upper left", title="the network says", ncols=2, columnspacing=1)
show(fig, "Two panels: the factor from an error of the output to one in x0 and in the noise, against log-SNR. On the noisy side an error in "
     "eps or score is multiplied a hundredfold in x0; on the clean side an error in x0 is multiplied so in the noise; v never exceeds 1.")  # fmt: skip

# %% [markdown]
# *What to see:* where there is hardly any signal (left), $\hat\varepsilon$ cannot carry $\hat x_0$: errors are
# multiplied by $\sigma/\alpha$. Where there is hardly any noise (right), $\hat x_0$ cannot carry $\hat\varepsilon$.
# $v$ is never worse than 1. (Where curves coincide: on the noisy side the score lies on $\varepsilon$ in both panels, and
# $x_0$ on $v$ in the right one; on the clean side $v$ lies on $\varepsilon$. The score seems best there only because its
# target $-\varepsilon/\sigma$ is of size $1/\sigma$ there: an error of 1 is a small
# one.) Even without a network's error there is rounding. The cosine formula of notebook 2, without its clip, ends at
# $\alpha = \cos(\pi/2)$, which a computer rounds to $6 \cdot 10^{-17}$:

# %%
alpha, sigma = np.cos(np.pi / 2), 1.0
for eps in (0.3, 0.6):
    x = alpha * 0.7 + sigma * eps
    print(f"α = {alpha:.0e}: x_0 = 0.7 and ε = {eps} make x = {x:.16f}; (x − σε)/α = {(x - sigma * eps) / alpha:.3f}")
x = alpha * 0.7 + sigma * 0.3
assert round((x - sigma * 0.3) / alpha, 3) == 0.907

# %% [markdown]
# The perfect $\varepsilon$, and yet 0.7 comes back as 0.907, or as nothing at all: the sixteenth digit of $x$ was all
# that was left of $x_0$. Therefore every denoiser of this library answers both questions on its own, `model(x, t)`
# and `model.x0(x, t)`, and the samplers ask for the one that they need.
#
# ## Break it
#
# **A dropped $\sigma$.** "The network predicts the score up to sign" is a sentence one hears. Suppose somebody takes
# $-\hat\varepsilon$ for the score, without the division by $\sigma$. `check` notices; would you, from the samples? We
# give the perfect denoiser to a sampler of notebook 8 (50 steps from noise to data), and then again with the mistake,
# which makes of every $\hat\varepsilon$ a $\sigma\hat\varepsilon$.
#
# **Predict.** Which part of the picture survives: the large shape, or the detail?


# %%
def without_sigma(t, eps, betas):
    """The division by σ is missing."""
    return -eps


print(check(without_sigma, "score_from_eps"))


class Dropped(td.denoisers.Wrapper):
    """The denoiser of somebody who takes −ε̂ for the score, and then −σ score for ε̂. (Wrapper keeps self.model.)"""

    def __call__(self, x, t):
        return self.process.at(t, like=x).sigma * self.model(x, t)

    def x0(self, x, t):
        return td.predictions.x0_from_eps(x, self(x, t), self.process.at(t, like=x))


right = td.sample(judge, 1500, sampler=td.ddim, steps=50, rng=rng)
wrong = td.sample(Dropped(judge), 1500, sampler=td.ddim, steps=50, rng=rng)
fig, axes = plt.subplots(1, 2, figsize=(6, 3.5))
for ax, cloud, color, title in zip(
    axes,
    (right, wrong),
    (EXACT, MODEL),
    ("score $-\\hat\\varepsilon/\\sigma$", "score $-\\hat\\varepsilon$"),
    strict=True,
):
    ax.scatter(*cloud.T, s=9, color=color, alpha=0.5, linewidths=0)
    ax.set(xlim=(-2.7, 2.7), ylim=(-2.7, 2.7), aspect="equal", title=title)
    ax.axis("off")
show(
    fig,
    "Left: samples in eight sharp modes. Right, without sigma: the modes are gone, and a wide ring of scattered points is left.",
)

# %% [markdown]
# *What to see:* at high noise $\sigma \approx 1$ and the mistake is invisible, so the large shape survives: a ring, if
# a little too wide. At low noise it leaves most of the noise in. How bad is one answer? By Tweedie, in multiples of the
# least possible squared error, and beside it the wrong sign:

# %%
print("log-SNR      least error    σ dropped    wrong sign   (per coordinate)")
for each in (-6, -2, 2, 4, 6):
    now = process.at(process.time(each))
    x0, eps = ring.sample(rng, n), rng.standard_normal((n, 2))
    x = now.perturb(x0, eps)
    true = judge.marginal(now).score(x)
    least, dropped, flipped = (
        np.mean((x0 - (x + now.sigma**2 * score) / now.alpha) ** 2) for score in (true, now.sigma * true, -true)
    )
    print(f"{each:7d} {least:16.4f} {dropped / least:10.2f} × {flipped / least:11.2f} ×")
    assert least < dropped < flipped

# %% [markdown]
# Without the $\sigma$ a single answer has, at worst in this table, twice the least possible error, and at high noise
# nobody could tell. Yet the samples are ruined, and more steps would not mend them: at low noise each step removes only
# the fraction $\sigma$ of the noise that it should, and the path ends elsewhere. With the wrong sign a single answer is
# off by up to 1,600 times the least error; that one you notice.
#
# **"The loss should reach 0."** It cannot: the floor. If yours, averaged over many batches, does get below it, that is
# bad news. Here is the perfect denoiser of a *training set* of 20 points of the ring, at $\lambda = 4$, on those points
# and on fresh ones.

# %%
now = process.at(process.time(4.0))
few = ring.sample(rng, 20)
parrot = td.Oracle(few, process)  # of points: a mixture whose modes have no width
loss = {}
for name, clean in {"its 20 points": np.repeat(few, 500, axis=0), "fresh points": ring.sample(rng, 10_000)}.items():
    eps = rng.standard_normal(clean.shape)
    loss[name] = np.mean((eps - parrot(now.perturb(clean, eps), now)) ** 2)
    print(f"loss per coordinate on {name:13s} {loss[name]:.3f}")
print(f"the floor for the ring              {judge.floor(now.t):.3f}")
assert loss["its 20 points"] < judge.floor(now.t) < loss["fresh points"]

# %% [markdown]
# Below the floor on what it has seen, above it on what it has not: it has learned the points by heart. Notebook 11 is
# about that.
#
# ## The numbers
#
# Exact truth against what was measured, and one identity more. Information is the integral of the least error [Guo,
# Shamai & Verdú 2005, [I-MMSE](https://arxiv.org/abs/cs/0412108)]: the entropy of $\sqrt\gamma\,x_0 + \varepsilon$
# grows by $\frac12 \mathrm{mmse}\,d\gamma$ with the SNR $\gamma$, which in log-SNR is
# $\frac12 \mathrm{floor}\,d\lambda$. It is the integral that the bound of notebook 4 descended to.

# %%
print("log-SNR    loss measured    standard error    floor      mmse · SNR     (per coordinate)")
for each, found, error in zip(dots, measured, errors, strict=True):
    now = process.at(process.time(each))
    exact = judge.floor(now.t)
    x, weights = judge.marginal(now).quadrature()
    covariance = ring.x0_posterior(x, now.alpha, now.sigma)[1]
    mmse = weights @ np.trace(covariance, axis1=1, axis2=2) / 2
    print(f"{each:7d} {found:16.4f} {error:17.4f} {exact:10.4f} {np.exp(each) * mmse:13.4f}")
    assert abs(found - exact) < 4 * error
    assert abs(np.exp(each) * mmse - exact) < 1e-5  # quadrature

lam = np.linspace(-4, 3, 57)
simpson = np.r_[1, np.tile([4, 2], 27), 4, 1] * (lam[1] - lam[0]) / 3
growth = 0.5 * simpson @ oracle.floor(process.time(lam))
ends = [line.diffused(np.exp(each / 2), 1.0).entropy()[0] for each in (-4, 3)]
print(f"\nhalf the integral of the floor {growth:.7f}; growth of the entropy {ends[1] - ends[0]:.7f} nats")
assert abs(growth - (ends[1] - ends[0])) < 1e-6  # Simpson's rule
print(
    f"pairs in bins: the mean of ε − ε*(x) is off from 0 by at most {np.max(np.abs(off)):.1f} standard errors in {len(off)} bins"
)
assert np.max(np.abs(off)) < 4

# %% [markdown]
# ## What you know now
#
# - The best answer to a squared loss is a conditional mean; the perfect network outputs
#   $\mathbb E[\varepsilon \mid x_t] = -\sigma\,\nabla_x \ln q_t(x_t)$.
# - Tweedie: $\mathbb E[x_0 \mid x_t] = \big(x_t + \sigma^2\,\nabla\ln q_t(x_t)\big)/\alpha$. It is an average, and need
#   not look like data.
# - Denoising score matching is score matching plus a constant, for every model; the constant makes the floor
#   $d - \sigma^2\,\mathbb E\|\nabla\ln q_t\|^2$.
# - $\varepsilon$, $x_0$, $v$ and the score say the same, but not equally loudly: mind $\alpha \to 0$ and $\sigma \to 0$.
#
# **Next:** [6. Backpropagation by hand](06_backpropagation.ipynb). We know what to learn. Can we trust the gradient
# that learns it?
