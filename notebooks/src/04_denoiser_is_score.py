# %% [markdown]
# # 4. A denoiser is a score
#
# **What does the perfect network say?**
#
# *You need:* `mixture_x0` of [notebook 3](03_undoing_one_step.ipynb), conditional means, and gradients.
#
# *Afterwards:* you turn denoiser, noise, score and velocity into each other, and you know the least loss that anybody
# can reach.
#
# *Minutes:* 70. *Papers:* Vincent 2011, [A connection between score matching and denoising
# autoencoders](https://doi.org/10.1162/NECO_a_00142); Song et al. 2021, [score-based
# SDEs](https://arxiv.org/abs/2011.13456), §2–3.

# %% [markdown]
# ## What you have so far
#
# The posterior of a step is $q(x_{t-1} \mid x_t, x_0) = \mathcal N(c_t x_t + c_0 x_0,\ \tilde\beta_t)$ with
#
# $$c_t = \frac{\sqrt{1-\beta_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}, \qquad c_0 = \frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t},
# \qquad \tilde\beta_t = \beta_t\,\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}.$$
#
# The perfect denoiser of a mixture is an average over its components:
#
# $$\hat x_0 = \sum_k r_k\Big(m_k + \frac{\sqrt{\bar\alpha_t}\,v_k}{\bar\alpha_t v_k + 1 - \bar\alpha_t}\big(x_t - \sqrt{\bar\alpha_t}\,m_k\big)\Big), \qquad
# r_k \propto w_k\,\mathcal N\big(x_t;\ \sqrt{\bar\alpha_t}\,m_k,\ (\bar\alpha_t v_k + 1 - \bar\alpha_t) I\big).$$

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import tinydiff as td
from tinydiff.course import credit, guess, keep, mine, play
from tinydiff.course_tests import denoiser_is_score as tests
from tinydiff.plotting import BUG, DATA, EXACT, show

plt.style.use("tinydiff.course")
lam = np.linspace(9, -8, 171)  # a chain of 171 steps that are even in λ = ln SNR
betas = mine.betas_from_log_snr(lam)
chain = td.Discrete(betas)


def step_at(level):
    """The step t at which λ is this level."""
    return 1 + int(np.argmin(np.abs(lam - level)))


# %% [markdown]
# ## A field of arrows
#
# The data are two moons, made of 32 round Gaussians. Your `mixture_x0` looks at a hundred noisy points of the plane. An
# arrow starts at a point $x_t$. It shows the way to $\sqrt{\bar\alpha_t}\,\hat x_0$, where the guess of its data would
# be at step $t$ without noise. (Long arrows are shortened, to the root of their length.) Noise falls from frame to
# frame.

# %%
curve = td.toys.moons32()
moons = curve.weights, curve.means, np.full(32, 0.015)
side = np.linspace(-2.6, 2.6, 70)
fine = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
coarse = np.stack(np.meshgrid(np.linspace(-2.3, 2.3, 10), np.linspace(-2.3, 2.3, 10)), axis=-1).reshape(-1, 2)


def log_density(x, weights, means, variances):
    """ln of the density of a mixture of round Gaussians at x (B, 2): (B,)."""
    square = np.sum((x[:, None, :] - means) ** 2, axis=2)
    logs = np.log(weights) - square / (2 * variances) - np.log(2 * np.pi * variances)
    most = np.max(logs, axis=1)
    return most + np.log(np.sum(np.exp(logs - most[:, None]), axis=1))


def compressed(arrows):
    """The arrows (B, 2) with the root of their length, the longest with length 1."""
    length = np.hypot(*arrows.T)[:, None]
    return arrows / np.sqrt(length * length.max())


def arrows_at(x, t):
    """From x_t to where its guess of x_0 would be at step t without noise."""
    return mine.q_sample(mine.mixture_x0(x, *moons, t, betas), t, np.zeros_like(x), betas) - x


by = credit("mixture_x0")
fig, ax = plt.subplots(figsize=(3.1, 3.3))
ax.set(xticks=[], yticks=[], aspect="equal", title="λ = +0.0")
fig.suptitle(by.title, fontsize=7)
grey = ax.imshow(np.zeros((70, 70)), extent=(-2.6, 2.6, -2.6, 2.6), origin="lower", cmap="Greys", vmin=0, vmax=5)
field = ax.quiver(
    *coarse.T,
    *compressed(arrows_at(coarse, 90)).T,
    color=by.color,
    angles="xy",
    scale_units="xy",
    scale=2.1,
    width=0.008,
)
fig.draw_without_rendering()
fig.set_layout_engine("none")  # the places are found once, and not for each frame


def frame(level):
    """Where the density is over a fifth of its peak, and the arrows, at one log-SNR."""
    t = step_at(level)
    density = log_density(fine, *mine.diffuse_mixture(*moons, t, betas)).reshape(70, 70)
    grey.set_data(density > density.max() - np.log(5))
    field.set_UVC(*compressed(arrows_at(coarse, t)).T)
    ax.set_title(f"λ = {level:+.1f}")


show(
    FuncAnimation(fig, frame, frames=[*np.linspace(-4, 5, 16), 5, 5], interval=300),
    "Arrows around a grey area where the density is high. As λ rises from −4 to 5, arrows that all pointed to the centre turn "
    "one by one to the nearer of two moons.",
)

# %% [markdown]
# *What to see:* the arrows make up their minds. In much noise (low λ) they know only the centre. Then they choose a
# half, then a moon, and at last a place on it. What is this field? It has a second name.
#
# ## The best answer to a squared loss
#
# A denoiser that is not a formula must be fitted to examples: it is a function with many free numbers, such as a
# **network**. Its **loss** is the mean squared error of its answers, and fitting makes the loss small. Let it be asked
# for the noise in $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$. It cannot know it, since many
# pairs of data and noise make the same point. Look at one case first: the two modes on a line.

# %%
data = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
t = step_at(2.0)
a = chain.at(t / 171).alpha
print(f"At λ = 2 the centres of the modes are at {-1.5 * a:.2f} and {0.8 * a:.2f}, half-way is {-0.35 * a:.2f}.")

# %%
half_way = guess(
    "A noisy point lies half-way between the modes at λ = 2. What is the best guess of the noise in it?", ...
)

# %%
now, oracle = chain.at(t / 171), td.Oracle(data, chain)
rng = np.random.default_rng(5)
x0, eps = data.sample(rng, 200_000), rng.standard_normal((200_000, 1))
x = now.perturb(x0, eps)
edges = np.linspace(-2.4, 2.2, 47)
which = np.digitize(x[:, 0], edges)
means = np.array([eps[which == i, 0].mean() for i in range(1, 47)])
grid = np.linspace(-2.4, 2.2, 400)[:, None]
middle = oracle(np.array([[-0.35 * a]]), now).item()
fig, ax = plt.subplots(figsize=(7.5, 3))
ax.scatter(
    x[:1500, 0],
    eps[:1500, 0],
    s=8,
    color=DATA,
    alpha=0.5,
    linewidths=0,
    rasterized=True,
    label=r"pairs $(x_t, \varepsilon)$",
)
ax.plot((edges[1:] + edges[:-1]) / 2, means, "o", color=DATA, mec="black", ms=5, label="their mean in each bin")
ax.plot(grid, oracle(grid, now), color=EXACT, label="exact mean, given $x_t$")
ax.plot(-0.35 * a, middle, "x", color="black", ms=9, mew=2, label="half-way")
ax.set(xlabel="noisy point $x_t$", ylabel="noise ε in it", ylim=(-3.3, 3.3))
fig.legend(loc="outside right center")
half_way.reveal(
    middle,
    "Each mode is a slanted band: the further right of its mode a point lies, the more noise it got. The left mode is "
    "narrow, so a point half-way most likely came from the right one, and was pushed to the left. The best guess is the "
    "mean of the pairs at that x_t, and between the bands it is right for neither.",
    picture=fig,
    alt="Grey pairs of noisy point and noise in two slanted bands, and a curve through their means: it rises in each band and "
    "falls steeply between the two. A cross marks the point half-way, well below 0.",
)

# %% [markdown]
# Why is the mean the best? Let $f$ be any guess of $\varepsilon$, and
# $\varepsilon^*(x_t) = \mathbb E[\varepsilon \mid x_t]$. Write $\varepsilon - f$ as
# $(\varepsilon - \varepsilon^*) + (\varepsilon^* - f)$ and square:
#
# $$\mathbb E\|\varepsilon - f(x_t)\|^2 = \underbrace{\mathbb E\|\varepsilon - \varepsilon^*(x_t)\|^2}_{\text{floor: not up to you}}
#   + \underbrace{\mathbb E\|\varepsilon^*(x_t) - f(x_t)\|^2}_{\text{excess}} .$$
#
# The mixed term vanishes: given $x_t$, the second difference is a constant, and the first has mean 0. A network can
# lower the second term only. It is 0 for $f = \varepsilon^*$, so the perfect network says $\varepsilon^*$. The same
# holds for a guess of $x_0$: there the perfect answer is $\hat x_0$.

# %% [markdown]
# ### Exercise 4.1 (derive): the score
#
# The density of $x_t$ is
# $q_t(x) = \int q(x_0)\, \mathcal N(x;\ \sqrt{\bar\alpha_t}\, x_0,\ (1-\bar\alpha_t) I)\, dx_0$. The gradient
# $\nabla \ln q_t(x)$ in $x$ is called the **score**. It points to where points are denser. Differentiate under the
# integral, divide by $q_t(x)$, and read what is left with Bayes' rule, as a mean given $x_t = x$.
#
# Two functions, which may call your `alpha_bar`. `score_from_eps` gives $\nabla \ln q_t$ if `eps` is $\varepsilon^*$.
# `tweedie` gives $\hat x_0$ from $x_t$ and the score.


# %%
def score_from_eps(t, eps, betas):
    """The score that belongs to the noise eps at step t, from 1 to T; both (B, D)."""
    ### BEGIN SOLUTION
    return -eps / np.sqrt(1 - np.prod(1 - betas[:t]))
    ### END SOLUTION


keep(score_from_eps)


# %%
def tweedie(x_t, t, score, betas):
    """E[x_0|x_t] from the score at x_t, all (B, D); t is from 1 to T."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return (x_t + (1 - left) * score) / np.sqrt(left)
    ### END SOLUTION


keep(tweedie)

# %% [markdown] tags=["solution"]
# **Solution.** A Gaussian's gradient is itself times $-(x - \sqrt{\bar\alpha_t}\,x_0)/(1-\bar\alpha_t)$, which is
# $-\varepsilon/\sqrt{1-\bar\alpha_t}$. The rest of the integrand over $q_t(x)$ is $q(x_0 \mid x_t)$, so the score is
# the mean of this given $x_t$. Put it into the mean of $x_t$ given $x_t$ to get Tweedie's formula. The usual slips are
# the sign, and a division by $1-\bar\alpha_t$ without the root.

# %% [markdown]
# The arrows of the first picture are $\sqrt{\bar\alpha_t}\,\hat x_0 - x_t$. If your check is green, you can read off
# `tweedie` that they are the score, times a number that depends on $t$ alone.
#
# ## Four names for one answer
#
# Given $x_t$, each of noise, data and score tells the others. A network may be asked for any of them. They are not
# equally robust. Where hardly any data are left in $x_t$, a small error of the noise is a large one of $x_0$. Where
# hardly any noise is left, a small error of $x_0$ is a large one of the noise.
#
# A fourth name avoids both. The **velocity** is $v = \sqrt{\bar\alpha_t}\,\varepsilon - \sqrt{1-\bar\alpha_t}\,x_0$
# [Salimans & Ho 2022](https://arxiv.org/abs/2202.00512). The squares of the two roots add to 1, so the pair $(x_t, v)$
# is the pair $(x_0, \varepsilon)$, turned by an angle. Turning back makes no error larger.

# %% [markdown]
# ### Exercise 4.2 (transcribe): noise and velocity
#
# The third conversion is `x0_from_eps` of notebook 3. `eps_from_x0` solves
# $x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$ for $\varepsilon$, and `v_from_x0_eps` is the
# formula above.


# %%
def eps_from_x0(x_t, t, x0, betas):
    """The noise in x_t if it was made from x0, all (B, D); t is from 1 to T."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return (x_t - np.sqrt(left) * x0) / np.sqrt(1 - left)
    ### END SOLUTION


keep(eps_from_x0)


# %%
def v_from_x0_eps(t, x0, eps, betas):
    """The velocity of x0 and eps at step t, from 1 to T; all (B, D)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return np.sqrt(left) * eps - np.sqrt(1 - left) * x0
    ### END SOLUTION


keep(v_from_x0_eps)

# %% [markdown] tags=["solution"]
# **Solution.** All these maps are linear in the answer, so they turn conditional means into conditional means. That is
# why the denoiser's $\hat x_0$ gives $\varepsilon^*$ and not only some noise.

# %% [markdown]
# ## A mean is not an image
#
# People call $\hat x_0$ "the clean image that the network sees". Test this on the ring of eight narrow modes. For its
# own points the mean surprise −ln q is its entropy.

# %%
ring = td.toys.ring8()
parts = ring.weights, ring.means, ring.covariances[:, 0, 0]
print(f"entropy of the ring: {ring.entropy()[0]:.2f} nats")

# %%
surprise = guess("How large is the mean −ln q of the perfect answers x̂_0 at λ = −1?", ..., "nats")

# %%
by = credit("mixture_x0")
rng = np.random.default_rng(6)
cloud = ring.sample(rng, 1500)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.5))
nats = {}
for ax, level in zip(axes, (-1, 3), strict=True):
    t = step_at(level)
    x0_hat = mine.mixture_x0(mine.q_sample(cloud, t, rng.standard_normal(cloud.shape), betas), *parts, t, betas)
    nats[level] = -ring.log_density(x0_hat).mean()
    ax.scatter(*cloud[:500].T, s=6, color=DATA, alpha=0.5, linewidths=0, rasterized=True)
    ax.scatter(*x0_hat[:500].T, s=8, color=by.color, alpha=0.7, linewidths=0, rasterized=True)
    ax.set(
        xlim=(-1.9, 1.9),
        ylim=(-1.9, 1.9),
        aspect="equal",
        xticks=[],
        yticks=[],
        title=rf"answers at $\lambda = {level}$",
    )
fig.suptitle(by.title)
assert nats[-1] > 20
assert nats[3] < ring.entropy()[0]
surprise.reveal(
    nats[-1],
    f"At λ = −1 a point may have come from several modes, and the mean of them lies where no data are. At λ = 3 it is "
    f"{nats[3]:.2f} nats, less than the entropy: most means lie in the middle of a mode. Neither cloud is a sample. So a "
    "blurred `x̂_0` is no fault of a network, and one samples in many steps, each of which uses a little of the answer.",
    picture=fig,
    alt="Two panels with the ring's eight grey modes. Left, the answers fill the inside of the ring. Right, they lie in the "
    "modes, with a few between two neighbours.",
)

# %% [markdown]
# Now move a noisy point, the cross, with the sliders `x` and `y`. The slider `level` is λ. The small dots are draws of
# the $x_0$ that it may have come from, the star is their mean, by your `mixture_x0`. Find a place where the star lies
# far from all data. With how little noise does that happen, and where?

# %%
by = credit("mixture_x0")
start = ring.sample(np.random.default_rng(7), 400)


def draw(x, y, level):
    """What a noisy point may have been, and the mean of that."""
    t = step_at(level)
    now, point = chain.at(t / 171), np.array([[x, y]])
    origins = ring.posterior(np.repeat(point, 60, axis=0), now.alpha, now.sigma).sample(np.random.default_rng(8), 60)
    fig, ax = plt.subplots(figsize=(4.2, 4.0))
    ax.scatter(*start.T, s=5, color=DATA, alpha=0.4, linewidths=0)
    ax.plot(*np.stack([np.repeat(point, 60, axis=0), origins], axis=1).T, color=EXACT, lw=0.3)
    ax.scatter(*origins.T, s=14, color=EXACT, linewidths=0)
    ax.plot(*point.T, "x", color="black", ms=9, mew=2)
    ax.plot(*mine.mixture_x0(point, *parts, t, betas).T, "*", color=by.color, ms=16, mec="black")
    ax.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal", xticks=[], yticks=[], title=f"λ = {level:+.1f}")
    fig.suptitle(by.title, fontsize=9)
    return fig


play(
    draw,
    "A cross near the centre of a ring of eight grey modes. Thin lines lead from it to dots in several modes, and a star, "
    "their mean, lies inside the ring where there are no data.",
    x=(-2.0, 2.0, 0.5),
    y=(-2.0, 2.0, 0.4),
    level=(-4.0, 6.0, -1.0, 0.1),
)

# %% [markdown]
# Between two modes the star is far from data at any level. So a mean between modes is no matter of much noise.
#
# ## How can one learn a score that nobody knows?
#
# One would like to fit a model $f$ to the score by $J_E = \mathbb E\|f(x_t) - \nabla\ln q_t(x_t)\|^2$, **explicit
# score matching**. For real data nobody knows $\nabla\ln q_t$. But for each pair one knows
# $\nabla_{x_t} \ln q(x_t \mid x_0)$, the score of the jump. **Denoising score matching** fits that:
# $J_D = \mathbb E\|f(x_t) - \nabla\ln q(x_t \mid x_0)\|^2$.
#
# Expand both squares into three terms each. The terms $\mathbb E\|f\|^2$ are the same. In the mixed terms stands
# $f(x_t)$ times a target. Take the mean given $x_t$ first. There $f(x_t)$ is a constant, and the mean of the jump's
# score is the score, as you found in exercise 4.1:
#
# $$\mathbb E\,\langle f(x_t),\ \nabla\ln q(x_t \mid x_0)\rangle
#   = \mathbb E\,\langle f(x_t),\ \mathbb E[\nabla\ln q(x_t \mid x_0) \mid x_t]\rangle
#   = \mathbb E\,\langle f(x_t),\ \nabla\ln q_t(x_t)\rangle .$$
#
# So the mixed terms are the same too. Only the squares of the targets are left. For *every* $f$, right or wrong,
#
# $$J_D - J_E = \mathbb E\|\nabla\ln q(x_t \mid x_0)\|^2 - \mathbb E\|\nabla\ln q_t(x_t)\|^2 ,$$
#
# [Vincent 2011]. It does not depend on $f$, so both have the same gradients and the same best $f$. The jump's score is
# the noise on another scale, so $J_D$ is a number times the loss of a denoiser. Training a denoiser fits the score,
# without ever having seen one. "Every" is strong: here are four wrong scores, on fine grids, with the jump's score by
# your `score_from_eps`.

# %%
t = step_at(1.0)
now = chain.at(t / 171)
law = data.diffused(now.alpha, now.sigma)
z = np.linspace(-8, 8, 81)
bell = np.exp(-(z**2) / 2) / np.sum(np.exp(-(z**2) / 2))  # E f(ε) = Σ bell f(z)
x0 = (
    data.means[:, :, None] + np.sqrt(data.covariances[:, :, :1]) * z[:, None]
)  # (2, 81, 1): modes, nodes, an axis for ε
x_pair = (now.alpha * x0 + now.sigma * z).reshape(-1, 1)
of_jump = mine.score_from_eps(t, np.broadcast_to(z, (2, 81, 81)).reshape(-1, 1), betas)
chances = (data.weights[:, None, None] * bell[:, None] * bell).ravel()
y, of_y = law.quadrature()

trials = {
    "the true score": law.score,
    "0, no idea": lambda x: 0 * x,
    "−x, as if data were N(0, 1)": lambda x: -x,
    "−tanh(3x), made up": lambda x: -np.tanh(3 * x),
    "the true score, wrong sign": lambda x: -law.score(x),
}
constant = chances @ of_jump[:, 0] ** 2 - of_y @ law.score(y)[:, 0] ** 2
print("f                              denoising    explicit    difference")
for name, f in trials.items():
    denoising = chances @ (f(x_pair) - of_jump)[:, 0] ** 2
    explicit = of_y @ (f(y) - law.score(y))[:, 0] ** 2
    print(f"{name:28s} {denoising:11.6f} {explicit:11.6f} {denoising - explicit:13.6f}")
    assert abs(denoising - explicit - constant) < 1e-6

# %% [markdown]
# ## The floor
#
# The floor of the loss has a value. Take $f = 0$ in the split into floor and excess. On the left stands the mean of
# $\|\varepsilon\|^2$, which is $D$ in $D$ coordinates. On the right stand the floor and
# $\mathbb E\|\varepsilon^*\|^2$. So per coordinate the floor is $1 - \mathbb E\|\varepsilon^*\|^2/D$, and no network,
# however large, gets below it.

# %%
judge = td.Oracle(ring, chain)
at_one = judge.floor(step_at(1.0) / 171)
print(f"the ring at λ = 1: floor {at_one:.3f} per coordinate")

# %%
dip = guess("With less noise, at λ = 3: what is the floor of the ring?", ...)

# %%
by = credit("mixture_x0", "eps_from_x0")
rng = np.random.default_rng(9)
levels = np.arange(-8, 9.01, 0.5)
floors = np.array([judge.floor(step_at(level) / 171) for level in levels])
dots, measured = np.arange(-7, 9, 2), []
for level in dots:
    t = step_at(level)
    x0, eps = ring.sample(rng, 20_000), rng.standard_normal((20_000, 2))
    x = mine.q_sample(x0, t, eps, betas)
    answer = mine.eps_from_x0(x, t, mine.mixture_x0(x, *parts, t, betas), betas)
    loss = np.mean((eps - answer) ** 2, axis=1)
    measured.append(loss.mean())
    assert abs(loss.mean() - judge.floor(t / 171)) < 4 * loss.std() / np.sqrt(20_000)
fig, ax = plt.subplots(figsize=(7, 3))
ax.plot(levels, floors, color=EXACT, label="exact floor")
ax.plot(dots, measured, "o", color=by.color, ms=6, label="measured loss of\nthe perfect denoiser")
ax.set(
    xlabel="log-SNR λ: noise on the left, data on the right",
    ylabel="loss per coordinate",
    ylim=(-0.03, 1.05),
    xticks=dots,
)
fig.legend(loc="outside right center")
fig.suptitle(by.title)
dip.reveal(
    floors[list(levels).index(3.0)],
    "It dips. On the far left x_t is the noise, and easy to see. The hump is doubt about which mode. At λ = 3 the mode is "
    "known and its width still small, so most of the noise shows. On the far right noise is finer than the modes are wide, "
    "and nothing tells the two apart. So a loss alone says nothing: what counts is the excess over this curve. And "
    "losses on two schedules average it differently, so they cannot be compared.",
    picture=fig,
    alt="The floor of the ring against log-SNR. It rises from 0 on the left to a hump of 0.57 near λ = 1, dips to 0.38 near 3 and "
    "rises to 1. Eight measured dots lie on it.",
)

# %% [markdown]
# ### Exercise 4.3 (prove): the floor of a Gaussian
#
# Let the data be $\mathcal N(m, v)$ in each coordinate. Find the floor as a function of $\lambda$ and $v$, on paper,
# and enter it. It is compared with the exact floor at 20 random places.


# %%
def floor(lam, v):
    """The least loss of ε per coordinate at log-SNR lam, for data from N(m, v)."""
    ### BEGIN SOLUTION
    return v * np.exp(lam) / (v * np.exp(lam) + 1)
    ### END SOLUTION


keep(floor, test=tests.floor_of_a_gaussian, into=None)

# %% [markdown] tags=["solution"]
# **Solution.** With $x_0 = m + \sqrt v\, u$, the noise and $x_t$ are jointly Gaussian, and
# $\operatorname{Var}[\varepsilon \mid x_t]$ is $1 - \operatorname{Cov}[\varepsilon, x_t]^2/\operatorname{Var}[x_t]$.
# The covariance is $\sqrt{1-\bar\alpha_t}$, the variance $\bar\alpha_t v + 1 - \bar\alpha_t$. The mean $m$ is known,
# so it does not matter. The floor is $\bar\alpha_t v/(\bar\alpha_t v + 1 - \bar\alpha_t)$: it rises from 0 to 1, and
# reaches one half where $v\,e^\lambda = 1$.

# %% [markdown]
# ### Exercise 4.4 (diagnose): one broad ring
#
# The program below makes one step back with the perfect denoiser, and goes through the score on the way. After 171
# steps the eight modes are one broad ring. The lines are numbered.


# %%
def broken(x, t, z, betas):
    """One step back through the score."""
    x0_hat = mine.mixture_x0(x, *parts, t, betas)  # 1
    eps_hat = mine.eps_from_x0(x, t, x0_hat, betas)  # 2
    score = -eps_hat  # 3
    x0_hat = mine.tweedie(x, t, score, betas)  # 4
    mean, variance = mine.posterior(x, x0_hat, t, betas)  # 5
    return mean + np.sqrt(variance) * z  # 6


rng = np.random.default_rng(10)
x = rng.standard_normal((1500, 2))
for t in range(171, 0, -1):
    x = broken(x, t, rng.standard_normal(x.shape), betas)
fig, axes = plt.subplots(1, 2, figsize=(6, 3.2))
for ax, points, color, title in zip(axes, (cloud, x), (DATA, BUG), ("data", "the program"), strict=True):
    ax.scatter(*points.T, s=6, color=color, linewidths=0, rasterized=True)
    ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=[], yticks=[], title=title)
print(f"mean −ln q: {-ring.log_density(x).mean():.1f} nats, for data {-ring.log_density(cloud).mean():.2f}")
show(fig, "Left the data, eight narrow modes on a ring. Right the program's points, one broad ring without any modes.")

# %% [markdown]
# *What to see:* the large shape is right, the detail is lost. Now put a number on one answer. Take noisy points of the
# data at $\lambda = 4$. By which factor does the mean squared error of line 4's $\hat x_0$, against the true $x_0$,
# exceed the least possible one? Measure it or derive it, to 5 %.

# %%
line, ratio = ..., ...  # the number of the wrong line; the squared error of line 4 over the least one, at λ = 4


def mended(x, t, z, betas):
    x0_hat = mine.mixture_x0(x, *parts, t, betas)  # 1
    eps_hat = mine.eps_from_x0(x, t, x0_hat, betas)  # 2
    score = -eps_hat  # 3
    x0_hat = mine.tweedie(x, t, score, betas)  # 4
    mean, variance = mine.posterior(x, x0_hat, t, betas)  # 5
    return mean + np.sqrt(variance) * z  # 6


### BEGIN SOLUTION
line, ratio = 3, 2.0


def mended(x, t, z, betas):
    x0_hat = mine.mixture_x0(x, *parts, t, betas)
    eps_hat = mine.eps_from_x0(x, t, x0_hat, betas)
    score = mine.score_from_eps(t, eps_hat, betas)
    x0_hat = mine.tweedie(x, t, score, betas)
    mean, variance = mine.posterior(x, x0_hat, t, betas)
    return mean + np.sqrt(variance) * z


### END SOLUTION


keep(line, ratio, mended, test=tests.broad_ring)

# %% [markdown] tags=["solution"]
# **Solution.** The division by $\sqrt{1-\bar\alpha_t}$ is missing in line 3. In much noise that root is nearly 1, so
# the large shape survives. In little noise line 4 takes out only the fraction $\sqrt{1-\bar\alpha_t}$ of the noise
# that it should. A single answer is about twice as bad as the best, yet the mistake is made in each step. To measure
# the ratio, noise a few thousand points, take both answers and compare. To derive it, note that the two answers differ
# by a multiple of $\hat\varepsilon$. The ratio is $1 + \big(1 - \sqrt{1-\bar\alpha_t}\big)^2 (1 - F)/F$, where $F$ is
# the floor. With the wrong *sign* an answer is over a thousand times worse in much noise, which one does notice.

# %% [markdown]
# ## Two roads to one field
#
# Everything on the next picture is yours. On the left the score comes from your denoiser. On the right it comes from
# no denoiser: it is the slope of $\ln q_t$, by finite differences of the density that `diffuse_mixture` gives.

# %%
by = credit("diffuse_mixture", "mixture_x0", "eps_from_x0", "score_from_eps")
t, h = step_at(2.0), 1e-5
mixture = mine.diffuse_mixture(*moons, t, betas)
density = np.exp(log_density(fine, *mixture)).reshape(70, 70)
by_denoiser = mine.score_from_eps(
    t, mine.eps_from_x0(coarse, t, mine.mixture_x0(coarse, *moons, t, betas), betas), betas
)
by_slope = np.stack(
    [(log_density(coarse + h * e, *mixture) - log_density(coarse - h * e, *mixture)) / (2 * h) for e in np.eye(2)],
    axis=1,
)
difference = np.max(np.abs(by_denoiser - by_slope))
print(f"largest difference between the two at 100 points: {difference:.0e}")
assert difference < 1e-6
fig, axes = plt.subplots(1, 2, figsize=(6.5, 3.7))
for ax, score, title in zip(
    axes, (by_denoiser, by_slope), ("score of the denoiser", "slope of the density"), strict=True
):
    ax.imshow(density, extent=(-2.6, 2.6, -2.6, 2.6), origin="lower", cmap="Greys", vmax=2 * density.max())
    ax.quiver(*coarse.T, *compressed(score).T, color=by.color, angles="xy", scale_units="xy", scale=2.1, width=0.008)
    ax.set(xticks=[], yticks=[], title=title)
fig.suptitle(by.title, fontsize=8)
show(
    fig,
    "Two panels with the grey density of two noisy moons and arrows on a grid. The arrows point to the nearer moon, and those of "
    "the left panel and of the right panel are the same.",
)

# %% [markdown]
# *What to see:* the same field twice. A denoiser is a score. A network that learns to denoise learns where points are
# denser, without a single density.

# %%
mine

# %% [markdown]
# ## Open problem

# %% [markdown]
# ### Exercise 4.5 (open): a denoiser that knows no modes
#
# Write a denoiser for the ring in at most six lines that holds no list of modes and no mixture. The score is the
# excess over the floor, in the loss of $\varepsilon$ per coordinate, averaged over $\lambda = -4, -3, \dots, 4$. Ours
# takes the ring for a circle. Where does that fail, and how few numbers repair it? No best answer is known to us.

# %%
print("excess at         λ = 0    λ = 2    λ = 4     mean")
for name, row in tests.known().items():
    print(f"{name:14s}" + "".join(f"{each:9.5f}" for each in row))
print(f"exact         {3 * '  0.00000'}  0.00000")


# %%
def ring_x0(x_t, t, betas):
    """A guess of x_0, (B, 2), for noisy points of the ring; at most six lines."""
    ### BEGIN SOLUTION
    from scipy.special import ive  # e^{−x} I_k(x), a Bessel function

    left, r, v = np.prod(1 - betas[:t]), 1.40525, 0.012638
    spread, length = left * v + 1 - left, np.linalg.norm(x_t, axis=1, keepdims=True)
    pull = np.sqrt(left) * r * length / spread
    centre = r * ive(1, pull) / ive(0, pull) * x_t / length
    return centre + np.sqrt(left) * v / spread * (x_t - np.sqrt(left) * centre)
    ### END SOLUTION


keep(ring_x0, test=tests.denoiser_in_six_lines, into=None)

# %% [markdown] tags=["solution"]
# **Solution.** Seen through Gaussian noise, the direction of a point on a circle has a von Mises law. Its mean is a
# ratio of two Bessel functions. In much noise it is as good as exact, since no one can tell eight modes from a circle.
# It fails from about $\lambda = 2$ on, where single modes appear. Two numbers repair most of it: how many modes there
# are, and the angle of the first.

# %% [markdown]
# ## What you know now
#
# - The best answer to a squared loss is a conditional mean. It need not look like data.
# - The noise in that answer, on the right scale, is the score $\nabla\ln q_t$: where to go for more density.
# - Denoising score matching is score matching plus a constant, for every model.
# - Each loss has a floor that depends on the data and on λ. Only the excess is up to you.

# %% [markdown]
# <details><summary>The derivation of 4.1, when your check is green</summary>
#
# The gradient of the Gaussian in the integral is itself times $-(x - \sqrt{\bar\alpha_t}\,x_0)/(1-\bar\alpha_t)$.
# Therefore
#
# $$\nabla \ln q_t(x) = \int \frac{q(x_0)\,\mathcal N\big(x;\ \sqrt{\bar\alpha_t}\,x_0,\ (1-\bar\alpha_t) I\big)}{q_t(x)}
#   \Big(\!-\frac{x - \sqrt{\bar\alpha_t}\,x_0}{1-\bar\alpha_t}\Big)\,dx_0 .$$
#
# The fraction is $q(x_0 \mid x_t = x)$, and $x - \sqrt{\bar\alpha_t}\,x_0 = \sqrt{1-\bar\alpha_t}\,\varepsilon$. So
# this is a conditional mean, and solving for $\mathbb E[x_0 \mid x_t]$ gives Tweedie's formula [Efron
# 2011](https://doi.org/10.1198/jasa.2011.tm11181):
#
# $$\nabla\ln q_t(x_t) = -\frac{\mathbb E[\varepsilon \mid x_t]}{\sqrt{1-\bar\alpha_t}}, \qquad
#   \mathbb E[x_0 \mid x_t] = \frac{x_t + (1-\bar\alpha_t)\,\nabla\ln q_t(x_t)}{\sqrt{\bar\alpha_t}} .$$
#
# </details>

# %% [markdown]
# <details><summary>The proof of 4.3 and the number of 4.4, when your checks are green</summary>
#
# For $\mathcal N(m, v)$ the noise and $x_t$ are jointly Gaussian. So the floor is one minus the squared covariance over
# the variance of $x_t$:
#
# $$1 - \frac{1-\bar\alpha_t}{\bar\alpha_t v + 1-\bar\alpha_t} = \frac{v\,e^\lambda}{v\,e^\lambda + 1} .$$
#
# In exercise 4.4 both answers differ by a multiple of $\hat\varepsilon$. Let $F$ be the floor of the ring. The ratio is
# $1 + (1-\sqrt{1-\bar\alpha_t})^2\,(1-F)/F$; that it is about 2 here is chance.
#
# </details>
#
# **Next:** [5. The bound, every term](05_bound.ipynb). You know the least squared error. What is it worth in nats?
