# %% [markdown]
# # 7. Train it in 2D
#
# **How good is good?**
#
# *You need:* notebooks 4 and 6; of notebook 2 the log-SNR, of notebook 5 $L_\text{simple}$. *To read:* 35 minutes.
# *To work:* 50 minutes. *Papers:* Ho et al. 2020, [DDPM](https://arxiv.org/abs/2006.11239), Alg. 1;
# Salimans & Ho 2022, [Progressive distillation](https://arxiv.org/abs/2202.00512) (for $v$); Xu et al. 2023, [Stable
# target field](https://arxiv.org/abs/2302.00670).
#
# Everything is ready: a way to make noisy points, a loss, a network, a gradient that we trust. Training is ten lines.
# The loss goes down and stops somewhere. *Is that good?* On images nobody can say, and people look at samples. Here the
# perfect denoiser is known as a formula, so we can say how far we are from it: at each noise level, in the whole field,
# and, in the end, as one number in nats. On the way we meet three ways to be fooled.

# %%
import matplotlib.pyplot as plt
import numpy as np
from tqdm.auto import tqdm

import tinydiff as td
from tinydiff.check import check
from tinydiff.learned.targets import batch_means
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(7)

data = td.toys.ring8()  # eight round modes on a circle; mean 0, average variance 1
process = td.VP()  # x_t = α(t) x_0 + σ(t) ε, with t from 0, the data, to 1, noise
oracle = td.Oracle(data, process)  # the perfect denoiser ε*(x, t) = E[ε | x_t = x]

# %% [markdown]
# ## What the network sees
#
# Your network of notebook 6 gets the point and the features of its level once, at its entrance. The library's
# `td.TimeMLP` is deeper. Each of its blocks adds a correction to the features that it gets, a **residual block**, and
# the noise level scales and shifts them within each block. Its backward pass is written by hand as yours is. Three
# choices turn such a network $F_\theta$ into $\hat\varepsilon_\theta(x_t, t)$.
#
# **The point** is divided by $\sqrt{\alpha^2 + \sigma^2}$, so that for data of variance 1 its coordinates have variance 1
# at every $t$. Here $\alpha^2 + \sigma^2 = 1$ already, and nothing happens.
#
# **The noise level** is given as the log-SNR $\lambda = \ln\,(\alpha^2/\sigma^2)$, which is what the perfect answer
# depends on (notebook 2), from 14, nearly clean, to $-10$, nearly noise. One number among others is easily
# overlooked, and a small network can hardly change its answer fast along it. So $\lambda$ enters as **Fourier
# features**, the sine and cosine of $\omega\lambda$ for 16 frequencies $\omega$, spaced geometrically,
#
# $$\phi(\lambda) = \big(\sin\omega_1\lambda,\ \cos\omega_1\lambda,\ \sin\omega_2\lambda,\ \dots\big):$$
#
# the hands of clocks that turn at different speeds. The slow ones say roughly where we are, the fast ones exactly.
# Since $\sin a \sin b + \cos a \cos b = \cos(a - b)$, the product
# $\langle\phi(\lambda), \phi(\lambda')\rangle = \sum_i \cos\omega_i(\lambda - \lambda')$ depends on the *difference* of
# two levels alone: no level is special.
#
# ### Exercise 7.1: Fourier features


# %%
def fourier_features(t, frequencies):
    """Sine and cosine of ω t for each frequency ω, in any order; t (B,), here λ, frequencies (F,): (B, 2F)."""
    ### BEGIN SOLUTION
    angle = t[:, None] * frequencies
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    ### END SOLUTION


check(fourier_features)

# %%
network = td.TimeMLP(dim=2, blocks=5)  # five blocks of width 64
levels = np.linspace(-10, 14, 400)
angle = levels[:, None] * network.frequencies  # (400, 16), from 1/16 to 4 radians per nat
distances = np.linspace(-12, 12, 401)
alike = np.sum(np.cos(distances[:, None] * network.frequencies), axis=1)

fig, (ax, near) = plt.subplots(1, 2, figsize=(8.4, 2.9), width_ratios=(1.5, 1))
picture = ax.imshow(
    np.sin(angle).T,
    aspect="auto",
    extent=(-10, 14, 15.5, -0.5),
    cmap="cividis",
    vmin=-1,
    vmax=1,
    interpolation="nearest",
)
ax.set(xlabel="log-SNR λ (nats)", ylabel="frequency ω\n(radians per nat)")
ax.set_yticks([0, 5, 10, 15], ["1/16", "1/4", "1", "4"])
fig.colorbar(picture, ax=ax, ticks=[-1, 0, 1], label="sin ωλ")
near.plot(distances, alike / 16, color=MODEL)
near.set(xlabel="distance of two levels (nats)", ylabel="likeness ⟨φ, φ′⟩/16", yticks=[0, 0.5, 1])
show(
    fig,
    "Left: the sines of the features as an image, slow waves above and fast waves below. Right: the likeness of "
    "the features of two levels, 1 where they are equal and falling off within a few nats.",
)

# %% [markdown]
# *What to see:* the columns of the left picture are what the network is given (with the cosines beside). On the right,
# levels a fraction of a nat apart look alike to it, and levels several nats apart do not.
#
# **The answer** is neither $\varepsilon$ nor $x_0$, but notebook 4's $v$, $F_\theta = \hat v$:
#
# $$v = \alpha\,\varepsilon - \sigma\,x_0, \qquad\text{then}\qquad x_0 = \alpha\,x_t - \sigma\,v, \quad \varepsilon = \sigma\,x_t + \alpha\,v
#   \qquad\text{where } \alpha^2 + \sigma^2 = 1 .$$
#
# At $t \approx 0$ the point *is* nearly $x_0$, and what is hidden is the noise, $v \approx \varepsilon$; at
# $t \approx 1$ it is nearly $\varepsilon$, and what is hidden is the data, $v \approx -x_0$. At each time $v$ is the
# half that the point does not show, and an error in it is never enlarged.
#
# ### Exercise 7.2: v, once more
#
# It is exercise 4.2's, and the target of the training below: `loss_and_grad` compares $F_\theta$ with it. Here $t$ is an
# integer again.


# %%
def v_from_x0_eps(t, x0, eps, betas):
    """v at step t of T; x0 and eps (B, D); the factors of notebook 1, √ᾱ_t and √(1 − ᾱ_t), are α and σ."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return np.sqrt(left) * eps - np.sqrt(1 - left) * x0
    ### END SOLUTION


check(v_from_x0_eps)

# %% [markdown]
# ## Ten lines
#
# DDPM's Algorithm 1: draw points, times and noise; make noisy points; compare; step down the gradient. As in
# notebook 6 the loss is *per coordinate*, so that it compares between dimensions (DDPM's eq. 14 sums over coordinates).
#
# ### Exercise 7.3: the loss


# %%
def simple_loss(eps_hat, eps):
    """The mean of (ε̂ − ε)² over rows and coordinates, one number; eps_hat and eps (B, D)."""
    ### BEGIN SOLUTION
    return np.mean((eps_hat - eps) ** 2)
    ### END SOLUTION


check(simple_loss)

# %% [markdown]
# `loss_and_grad` makes the noisy points $\alpha x_0 + \sigma\varepsilon$, runs the network forward, computes this loss,
# and pulls it back (notebook 6). (At a given $x_t$, $\hat\varepsilon - \varepsilon = \alpha\,(\hat v - v)$: it is the
# squared error of $v$, weighted by $\alpha^2$.) The times are uniform in $[0, 1]$, DDPM's $t/T$.
#
# **Predict.** Which loss would a network reach that never looks at the shape of the data? And can any reach 0?

# %%
loop_rng = np.random.default_rng(70)
theta = network.init(loop_rng)
adam = td.Adam(lr=2e-3)
memory, losses = adam.init(theta), []
for _ in tqdm(range(300), leave=False):
    x0 = data.sample(loop_rng, 256).astype(np.float32)
    now = process.at(process.sample_times(loop_rng, 256), like=x0)
    eps = loop_rng.standard_normal(x0.shape, dtype=np.float32)
    loss, gradient = td.objective.loss_and_grad(network, theta, now, x0, eps)
    move, memory = adam.update(gradient, memory)
    theta = theta + move
    losses.append(loss)
first_try = td.NetworkDenoiser(network, theta, process)
print(
    f"{network.size:,} parameters; the mean loss of the first 10 steps is {np.mean(losses[:10]):.3f}, of the last 50 {np.mean(losses[-50:]):.3f}"
)

# %% [markdown]
# Is that good? A network blind to the shape would use mean 0, variance 1 and no correlation, which our ring has. Then
# the best *linear* guess is $\hat\varepsilon = \sigma x_t$. Its error
# $\varepsilon - \sigma(\alpha x_0 + \sigma\varepsilon) = \alpha^2\varepsilon - \sigma\alpha\,x_0$ has per coordinate
# the mean square $\alpha^4 + \sigma^2\alpha^2 = \alpha^2$. Our network's last layer starts at 0, so that $\hat v = 0$,
# and it starts as exactly this guess, $\hat\varepsilon = \sigma x_t + \alpha\cdot 0$. At the other end is the
# **floor**, what the perfect denoiser pays, since one noisy point comes from many pairs $(x_0, \varepsilon)$ (notebook
# 5):
#
# $$\tfrac1d\,\mathbb E\|\varepsilon - \varepsilon^*\|^2 = 1 - \tfrac{\sigma^2}{d}\,\mathbb E\|\nabla\ln q_t\|^2 .$$


# %%
def uniform(schedule):
    """Times and weights for means over a uniform t: midpoints in √t, which crowd at 0, where the floor is steep."""
    root = (np.arange(50) + 0.5) / 50
    return schedule.t_min + (schedule.t_max - schedule.t_min) * root**2, 2 * root / 50


times, weights = uniform(process)
linear = weights @ process.at(times).alpha ** 2
floor = weights @ oracle.floor(times)

fig, ax = plt.subplots(figsize=(7.4, 2.9))
ax.plot(losses, color=DATA, lw=0.7, alpha=0.7)
ax.plot(np.arange(30, 301), np.convolve(losses, np.ones(30) / 30, mode="valid"), color=MODEL)
ax.axhline(linear, color=DATA, ls="--", lw=1.5)
ax.axhline(floor, color=EXACT, lw=1.5)
ax.set(xlabel="step", ylabel="loss", xlim=(0, 300), ylim=(0, 0.45), yticks=[0, 0.2, 0.4])
ax.text(303, linear, f"linear guess\n{linear:.3f}", color=DATA, va="center", fontsize=10)
ax.text(303, floor, f"floor\n{floor:.4f}", color=EXACT, va="top", fontsize=10)
show(
    fig,
    "The loss of 300 steps, noisy, falls from the dashed line of the linear guess about half way to the floor, "
    "which is far above 0.",
)

# %% [markdown]
# *What to see:* grey are single batches, orange the mean of 30. The whole game is played between two lines. A loss of 0
# is out of reach for anybody, most of what one pays is the floor, and the noise of the batches nearly hides the rest.
# **A loss means nothing without its floor.**
#
# The floor belongs to the data *and* to the schedule. The same perfect denoiser, on the same data, with the same
# uniform $t$:

# %%
print("schedule               L_simple of the perfect denoiser")
for schedule in (process, td.Cosine(), td.Straight()):
    times, weights = uniform(schedule)
    print(f"{type(schedule).__name__:22s} {weights @ td.Oracle(data, schedule).floor(times):8.4f}")

# %% [markdown]
# Three perfect models, three losses: the first way to be fooled. A paper that reports "a lower loss with our schedule"
# may have changed only where $t$ is drawn.
#
# ## A better target
#
# Before the real training, an improvement that changes nothing but the noise of the target. The $\varepsilon$ of a
# noisy point is a lottery ticket: its mean given $x_t$ is $\varepsilon^*(x_t)$, but the mean square by which a single
# draw is off is the floor, up to 1 per coordinate. Now suppose the batch is $x_0^1, \dots, x_0^B$ and $x_t$ was made
# from the first. Any of the others might have led to the same $x_t$, with other noise. Weigh them by how likely that is
# [Xu et al. 2023],
#
# $$\bar x_0 = \sum_j w_j\,x_0^j \Big/ \sum_j w_j, \qquad w_j = \mathcal N\big(x_t;\ \alpha x_0^j,\ \sigma^2 I\big), \qquad
#   \bar\varepsilon = (x_t - \alpha\bar x_0)/\sigma .$$
#
# Is the mean of $\bar x_0$ given $x_t$ still right, with one point that *is* the origin of $x_t$ in the batch? Exactly.
# Write $q(x_0)$ for the density of the data and $q(x_t)$ for that of $x_t$. Given $x_t$, the first point has the
# density $q(x_0^1)\,w_1/q(x_t)$ by Bayes' rule, and the others have $q(x_0)$. So
#
# $$\mathbb E[\bar x_0 \mid x_t] = \int \prod_j q(x_0^j)\;\frac{w_1}{q(x_t)}\;\frac{\sum_j w_j x_0^j}{\sum_j w_j}\,dx_0^1\cdots dx_0^B .$$
#
# Apart from $w_1$ nothing here distinguishes the first point, so $w_1$ may be replaced by any $w_i$, and by their mean
# $\tfrac1B\sum_i w_i$. The sums cancel, and what is left is
# $\tfrac1B\sum_j \int q(x_0^j)\,\frac{w_j}{q(x_t)}\,x_0^j\,dx_0^j = \mathbb E[x_0 \mid x_t]$. No bias, for any $B$, and
# the same network in the end. (The paper speaks of a bias that vanishes as the batch grows. With independent points,
# the origin of $x_t$ among them, the argument leaves none.) Measure it at fixed $t$: the variance of the target, and
# its bias. Without bias $\mathbb E[(\bar\varepsilon - \varepsilon^*)\,f(x_t)] = 0$ for *every* function $f$; we try
# four.

# %%
t_fixed, batches, size = (0.03, 0.1, 0.3, 0.6), 60, 512
tests = (
    lambda x: x,
    lambda x: x**3,
    lambda x: np.sin(3 * x),
    lambda x: x[:, ::-1] * np.sum(x * x, axis=1, keepdims=True),
)
spread, worst = {}, 0.0
print(
    "   t   variance of the target: single (floor)   from the batch   largest mean of (target − ε*) f, in standard errors"
)
for t in t_fixed:
    square, mean = [], []
    for _ in range(batches):
        x0, eps = data.sample(rng, size), rng.standard_normal((size, 2))
        now = process.at(np.full(size, t), like=x0)  # one level for each row, as in training
        x_t = now.perturb(x0, eps)
        eps_star = oracle(x_t, now)
        eps_bar = batch_means(now, x0, eps)[1]
        square.append([np.mean((eps - eps_star) ** 2), np.mean((eps_bar - eps_star) ** 2)])
        mean.append([np.mean((eps_bar - eps_star) * f(x_t)) for f in tests])
    single, batch = spread[t] = np.mean(square, axis=0)
    off = np.max(np.abs(np.mean(mean, axis=0)) / (np.std(mean, axis=0, ddof=1) / np.sqrt(batches)))
    worst = max(worst, off)
    print(f"{t:5.2f} {single:32.4f} ({oracle.floor(t):.4f}) {batch:15.5f} {off:26.1f}")

# %% [markdown]
# No bias beyond the standard errors, and a variance that is twenty to five hundred times less. (In the limit of a
# batch of *all* data there would be no noise at all, but also a cost of $B^2$; and with a *finite* data set that
# limit is the denoiser of notebook 14, which memorises.)
#
# ## The real training
#
# `td.train` is the same loop with this target and four helpers: times drawn where modes part (most log-SNRs around 2.5,
# and no weights that make up for it: another loss, with the same minimum at each level), a rate that rises shortly and
# then falls to 0, gradients cut to a length of at most 1, and the moving average of notebook 6, which is what we use.
# Our run also has more and larger batches, 5.3 times the points: figures beside the ten lines compare two things at once.
# It keeps to Adam, as they do; what `td.train` takes by default, Muon, needs a third of the steps.

# %%
steps = 800


def trained(network, seed=71):
    """The denoiser of the averaged parameters after training."""
    states = td.train(network, process, data, steps=steps, batch=512, optimizer="adam", ema=0.999, rng=seed)
    state = td.last(tqdm(states, total=steps, leave=False))
    return td.NetworkDenoiser(network, state.ema, process)


model = trained(network)

# %% [markdown]
# ## Good at which noise level?
#
# The loss splits at $\varepsilon^*$, since the error of $\varepsilon^*$ has no relation to $x_t$ (notebook 4). At every $t$
#
# $$\tfrac1d\,\mathbb E\|\varepsilon - \hat\varepsilon\|^2 \;=\; \underbrace{\tfrac1d\,\mathbb E\|\varepsilon - \varepsilon^*\|^2}_{\text{floor}}
#   \;+\; \underbrace{\tfrac1d\,\mathbb E\|\hat\varepsilon - \varepsilon^*\|^2}_{\text{excess}} .$$
#
# The excess is the part that training can change. As a difference of the two sides it would drown in the noise of
# $\varepsilon$. Computed as it stands, from $\hat\varepsilon$ and $\varepsilon^*$ *at the same points*, it has next to
# no noise of its own.
#
# **Predict.** Where is the excess largest: at nearly clean points, in the middle, or in nearly pure noise?

# %%
levels = np.linspace(-8, 10, 37)  # log-SNR
ts = process.time(levels)
floors = oracle.floor(ts)


def per_time(model):
    """(loss, excess) at each of the times, (37, 2); the same points for every model."""
    return np.array([td.denoising(model, oracle, t, n=4000, rng=72) for t in ts])


measured, measured_first = per_time(model), per_time(first_try)

fig, (ax, log) = plt.subplots(1, 2, figsize=(8.6, 3.3))
ax.plot(levels, floors, color=EXACT, lw=4, alpha=0.5)
ax.plot(levels, measured[:, 0], color=MODEL, lw=1.4)
ax.set(xlabel="log-SNR λ (← noise, data →)", ylabel="loss per coordinate", xticks=[-8, -2, 4, 10], yticks=[0, 0.5, 1])
ax.text(-7.5, 0.62, "loss of the network,\non the floor", color=MODEL)
ax.text(-7.5, 0.5, "floor", color=EXACT)
log.semilogy(levels, floors, color=EXACT, lw=4, alpha=0.5)
log.semilogy(levels, measured_first[:, 1], "--", color=DATA)
log.semilogy(levels, measured[:, 1], color=MODEL)
log.set(
    xlabel="log-SNR λ (← noise, data →)",
    ylabel="mean square per coordinate",
    xticks=[-8, -2, 4, 10],
    ylim=(1e-6, 2),
    yticks=[1e-6, 1e-4, 1e-2, 1],
)
log.minorticks_off()
log.text(-7.8, 0.3, "floor", color=EXACT)
log.text(10, 0.006, "excess, ten lines", color=DATA, ha="right")
log.text(10, 1.5e-4, "excess, td.train", color=MODEL, ha="right")
show(
    fig,
    "Left: the floor of the loss along the log-SNR, an S from 0 in noise to 1 at clean points, and the loss of "
    "the network right on it. Right, logarithmic: the excess of the trained network, from under twenty to a thousand times "
    "below the floor, and that of the ten-line loop, far higher.",
)

# %% [markdown]
# *What to see:* on the left nothing: the orange line lies on the blue band, whatever there is to tell. (The dip of the
# floor is where the modes have parted: which one a point came from is mostly known, and so most of its noise can be
# seen. Further right the noise is smaller than a mode, and hides in it.) The right panel shows more. The excess is
# largest around $\lambda = 4$, where the modes have just parted and, between them, the field turns around within a
# short way. There the ten-line loop is off by as much as the floor itself: it doubles the loss. And note the far left,
# where it is the *better* one: with $t$ uniform it spent half of its points below $\lambda = -2.5$, where there is
# little to learn.

# %% [markdown]
# ## Good in which place?
#
# The perfect answer is a field of arrows, the score $\nabla\ln q_t = -\varepsilon^*/\sigma$ (notebook 4). Here it is
# times $\sigma$, so that lengths are comparable at all times, with the learned one on it. (*Off by* compares root mean
# squares over the arrows of a panel: of the difference, and of the exact field.)

# %%
side = np.linspace(-2, 2, 10)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
fig, axes = plt.subplots(1, 3, figsize=(8.6, 3.3))
for ax, t in zip(axes, (0.4, 0.15, 0.05), strict=True):
    density = np.exp(oracle.log_density(grid, t))
    near = grid[density > 2e-3 * density.max()]
    exact, learned = -oracle(near, t), -model(near.astype(np.float32), t)
    scale = {"angles": "xy", "scale_units": "xy", "scale": 4.5}
    ax.quiver(*near.T, *exact.T, color=EXACT, width=0.017, headwidth=2.5, alpha=0.4, **scale)
    ax.quiver(*near.T, *learned.T, color=MODEL, width=0.006, headwidth=4, **scale)
    off = np.sqrt(np.mean((learned - exact) ** 2) / np.mean(exact**2))
    ax.set(aspect="equal", xticks=[], yticks=[], xlim=(-2.1, 2.1), ylim=(-2.1, 2.1))
    ax.set_title(f"t = {t} (λ = {process.at(t).log_snr:.1f}),\noff by {off:.1%}".replace("-", "−"))
    ax.spines[:].set_visible(False)
axes[0].set_ylabel("blue exact, orange learned")
show(
    fig,
    "Score fields at three times, the learned arrows on the exact ones: one big pull to the centre ring at t = "
    "0.4, and eight separate basins at t = 0.05. The arrows agree except at a few places between modes.",
)

# %% [markdown]
# *What to see:* at $t = 0.4$ one basin, at $t = 0.05$ eight. Where arrows disagree it is between the modes: there
# points are rare, and the exact field turns around within a short way. The third panel is next to the worst level,
# and its percentage counts places that hardly a point visits as fully as the others.
#
# ## The samples
#
# `td.sample` goes from noise to data with a denoiser, here in 50 steps, each with one evaluation of it; notebook 8 is
# about how.

# %%
n = 2000
samples = td.sample(model, n, steps=50, rng=73)
early = td.sample(first_try, n, steps=50, rng=73)
true = data.sample(rng, n)
fig, axes = plt.subplots(1, 3, figsize=(8.6, 2.9))
for ax, x, color, title in zip(
    axes,
    (true, early, samples),
    (DATA, MODEL, MODEL),
    ("data", "ten lines, 300 steps", f"td.train, {steps} steps"),
    strict=True,
):
    ax.scatter(*x.T, s=14, color=color, alpha=0.5, linewidths=0)
    ax.set(xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[], aspect="equal", title=title)
    ax.spines[:].set_visible(False)
show(
    fig,
    "Three clouds of 2,000 points: the data, eight round modes; the ten-line loop's samples, smeared between "
    "modes; and those of the trained network, like the data, with a few stray points.",
)

# %% [markdown]
# *What to see:* the middle cloud is plainly wrong. The right one looks right, but for a few strays. How much do they
# matter? Looking cannot say, so let us have a number.
#
# ## One number, in nats
#
# The network defines a density $p_\theta$, that of its *probability flow* followed exactly (notebook 10 will show how it
# is computed: by following each point to the noise and adding up how much space stretches on the way). The samples
# above, in 50 steps, come only near to it. Let $q$ be the density of the data. The **Kullback–Leibler
# divergence**
#
# $$\mathrm{KL}(q\,\|\,p_\theta) = \mathbb E_{x\sim q}\big[\ln q(x) - \ln p_\theta(x)\big] \ge 0$$
#
# is what one pays, per point, for believing $p_\theta$. It is 0 only for the truth. Here both densities are known *at
# the same points*, so it is the mean of a difference that is small point by point, and its standard error is small,
# too.

# %%
kl = {}
for name, denoiser, points in (("perfect", oracle, 200), ("ten lines", first_try, 400), ("td.train", model, 1000)):
    kl[name] = td.kl_from_truth(denoiser, data, n=points, rng=74)
    print(f"KL(data ‖ model), {name:10s} {kl[name][0]:8.4f} ± {kl[name][1]:.4f} nats")

# %% [markdown]
# A nat is large: the ten lines pay about one of them for every point. `td.train` pays about three hundredths: a part of
# its density lies between the modes, and is missing in them. That looks like 0 and is not: it is four standard errors
# away. The perfect denoiser's is negative, which no KL is: what it shows is the error of the solver and of the sampling.
#
# ## Two more ways to be fooled
#
# The data have an **entropy**, $\mathbb E_q[-\ln q]$. It is tempting to judge samples by
# $-\ln q(\text{sample})$, "how likely the truth finds them", and to call low good.
#
# **Predict.** Make samples that score *below* the entropy, that is, better than true ones.
#
# And a distance between samples? The **sliced Wasserstein distance** $\mathrm{SW}_2$ sorts both samples along many
# directions and compares them in order. It needs a yardstick: the same distance between two *true* samples. To fool it,
# take true points and shrink every mode to half its width.

# %%
labels = np.argmin(np.sum((true[:, None] - data.means) ** 2, axis=2), axis=1)  # the modes do not overlap


def halved(x, k):
    """Each point of x half as far from the centre of its mode k."""
    return data.means[k] + 0.5 * (x - data.means[k])


clouds = {
    "true": true,
    "td.train": samples,
    "modes half as wide": halved(true, labels),
    "one point of one mode": np.tile(data.means[:1], (n, 1)),
}
other = data.sample(rng, n)
nll, entropy = {}, data.entropy()[0]
print(f"entropy {entropy:.3f} nats")
print(f"samples                    −ln q, nats           SW2 to {n} true points")
for name, x in clouds.items():
    each = -data.log_density(np.asarray(x, float))
    nll[name] = each.mean(), each.std() / np.sqrt(n)
    distance = td.sliced_w2(x, other, rng=rng, directions=64)
    print(f"{name:22s} {nll[name][0]:9.3f} ± {nll[name][1]:.3f} {distance:16.3f}")

# %% [markdown]
# The worst possible model, one point for ever, has the best score, $0.546 - 1$: a Gaussian in $d = 2$ has
# $-\ln q = -\ln q_\text{centre} + \tfrac12\|z\|^2$ with $z \sim \mathcal N(0, I)$, and the mean of the last term is
# $d/2 = 1$. So $-\ln q$ is not a score to be minimised. It must *equal* the entropy, and below is as wrong as above.
# $\mathrm{SW}_2$ sees this collapse at once. And the modes half as wide? One draw says nothing; take forty.

# %%
draws = {"true": [], "half": []}
scores = {"true": [], "half": []}
for _ in tqdm(range(40), leave=False):
    one, two = data.sample(rng, 1000), data.sample(rng, 1000)
    k = np.argmin(np.sum((one[:, None] - data.means) ** 2, axis=2), axis=1)
    for name, x in (("true", one), ("half", halved(one, k))):
        draws[name].append(td.sliced_w2(x, two, rng=rng, directions=64))
        scores[name].append(-data.log_density(x).mean())

fig, (ax, score) = plt.subplots(1, 2, figsize=(8.4, 2.9))
for axis, values, bins in ((ax, draws, np.linspace(0.02, 0.22, 21)), (score, scores, np.linspace(-0.4, 0.7, 34))):
    axis.hist(values["true"], bins=bins, color=EXACT, alpha=0.5)
    axis.hist(values["half"], bins=bins, color=MODEL, histtype="step", lw=2)
ax.set(xlabel="SW₂ to 1,000 true points", ylabel="number of draws, of 40", xticks=[0.05, 0.1, 0.15, 0.2])
score.text(0.27, 0.85, "half as wide", color=MODEL, transform=score.transAxes)
score.text(0.77, 0.58, "true", color=EXACT, transform=score.transAxes)
score.set(xlabel="mean of −ln q over 1,000 points (nats)", xticks=[-0.2, 0.2, 0.55])
show(
    fig,
    "Two pairs of histograms. Left: the sliced distances of true samples and of samples with modes half as wide "
    "overlap. Right: their mean −ln q lies far apart, near 0.55 and near −0.2 nats.",
)

# %% [markdown]
# *What to see:* on the left the two overlap. Most samples with modes half as wide are no farther from true points
# than some true samples are: what the distance sees above all is how many points *happened* to fall into each mode.
# (The next cell gives each mode 125 points, and most of the distance is gone.) On the right $-\ln q$, used as a test for
# equality and not as a score, parts them by a mile. Each judge is blind somewhere. KL, where one can have it, is not.

# %%
k, width = np.arange(1000) % 8, np.sqrt(data.covariances[0, 0, 0])  # the modes are round and alike
equal = {"true": [], "half": []}
for one, two in data.means[k] + width * rng.standard_normal((20, 2, 1000, 2)):
    equal["true"].append(td.sliced_w2(one, two, rng=rng, directions=64))
    equal["half"].append(td.sliced_w2(halved(one, k), two, rng=rng, directions=64))
passed = np.mean(np.array(draws["half"]) < np.max(draws["true"]))
print(f"{passed:.0%} of the draws with modes half as wide are nearer to the truth than the farthest true one")
print("mean SW2            true   half as wide")
for name, values in (("random counts", draws), ("equal counts", equal)):
    print(f"{name:16s} {np.mean(values['true']):7.3f} {np.mean(values['half']):11.3f}")
assert np.mean(equal["half"]) < np.mean(draws["true"])
assert np.max(equal["true"]) < np.min(equal["half"])

# %% [markdown]
# ## Break it
#
# On some slides a comma is lost,
# $\hat\varepsilon_\theta(\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon\;t)$, and with it the time. What
# if the network is not given the noise level? Two lines: it sees $\lambda = 0$ whatever the truth. Everything else
# stays, the seed too, and its one answer $\hat v$ is still turned into $\hat\varepsilon$ with the right $\alpha$ and
# $\sigma$.
#
# **Predict.** Will the training complain? At which noise levels does it hurt?


# %%
class Timeless(td.TimeMLP):
    """A network that does not see the noise level."""

    def __call__(self, theta, x, lam, labels=None):
        return super().__call__(theta, x, 0 * lam, labels)


timeless = trained(Timeless(dim=2, blocks=5))
measured_timeless = per_time(timeless)
lost = td.sample(timeless, n, steps=50, rng=73)

# %%
fig, (ax, cloud) = plt.subplots(1, 2, figsize=(8, 3.2), width_ratios=(1.6, 1))
ax.semilogy(levels, floors, color=EXACT, lw=4, alpha=0.5)
ax.semilogy(levels, measured[:, 1], color=MODEL)
ax.semilogy(levels, measured_timeless[:, 1], "--", color="black", lw=1.6)
ax.set(
    xlabel="log-SNR λ (← noise, data →)",
    ylabel="excess",
    xticks=[-8, -2, 4, 10],
    ylim=(1e-6, 2),
    yticks=[1e-6, 1e-4, 1e-2, 1],
)
ax.minorticks_off()
cloud.scatter(*lost.T, s=14, color="black", alpha=0.4, linewidths=0)
cloud.set(xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[], aspect="equal", title="sampled without the time")
cloud.spines[:].set_visible(False)
ax.text(-7.8, 0.3, "floor", color=EXACT)
ax.text(-2, 0.012, "without the time", ha="left", va="top")
ax.text(10, 1.5e-4, "with the time", color=MODEL, ha="right")
show(
    fig,
    "Left: the excess of a network with the noise level and of one without it, along the log-SNR: without it is many "
    "times larger nearly everywhere, up to several hundred times. Right: samples of the network without it, eight points that are "
    "far too sharp, with strays between them.",
)
far = np.min(np.linalg.norm(lost[:, None] - data.means, axis=2), axis=1) > 4 * width
print(f"more than 4 standard deviations from a centre: {np.sum(far)} of {n} (of true points, {n * np.exp(-8):.1f})")

# %% [markdown]
# *What to see:* the training runs through without complaint, but the excess is many times larger at nearly every level,
# up to several hundred times. At one, near $\lambda = 6.5$, its one answer for all levels happens to be nearly right.
# At the clean end it is not: there is next to no noise left, and still it takes some away, so that the modes end up far
# too narrow, with some twenty strays far from them. They look *sharp*, and by $-\ln q$ they would win a contest.
#
# ## The numbers
#
# First, whether the splitting holds: loss = floor + excess, at three times, on fresh points, in standard errors of the
# difference. Then the rest.

# %%
n_check = 20_000
print("   t       loss    floor + excess   difference (standard error)")
for t in (0.05, 0.15, 0.4):
    x0, eps = data.sample(rng, n_check), rng.standard_normal((n_check, 2))
    x_t = process.at(t).perturb(x0, eps)
    eps_hat, eps_star = model(x_t.astype(np.float32), t), oracle(x_t, t)
    loss, excess = np.mean((eps - eps_hat) ** 2, axis=1), np.mean((eps_hat - eps_star) ** 2, axis=1)
    difference = loss - excess - oracle.floor(t)
    standard_error = difference.std() / np.sqrt(n_check)
    print(
        f"{t:5.2f} {loss.mean():10.4f} {oracle.floor(t) + excess.mean():12.4f} {difference.mean():16.4f} ({standard_error:.4f})"
    )
    assert abs(difference.mean()) < 4 * standard_error

# %% [markdown]
# Now the models side by side. $L_{\text{simple}}$ is the floor plus the excess, averaged over $t$.

# %%
kl["no time"] = td.kl_from_truth(timeless, data, n=300, rng=74)
print(
    f"model          L_simple     of it excess     KL of the flow         −ln q of its samples (entropy {entropy:.3f})"
)
print(
    f"perfect        {floor:8.4f} {0:16.4f} {kl['perfect'][0]:12.4f} ± {kl['perfect'][1]:.4f} {nll['true'][0]:13.3f} ± {nll['true'][1]:.3f}"
)
rows = (("ten lines", measured_first, early), ("td.train", measured, samples), ("no time", measured_timeless, lost))
for name, measure, x in rows:
    excess = -np.trapezoid(measure[:, 1], ts)  # t falls along the grid
    each = -data.log_density(np.asarray(x, float))
    print(
        f"{name:14s} {floor + excess:8.4f} {excess:16.4f} {kl[name][0]:12.4f} ± {kl[name][1]:.4f} {each.mean():13.3f} ± {each.std() / np.sqrt(n):.3f}"
    )

assert abs(kl["perfect"][0]) < 1e-3 + 4 * kl["perfect"][1]
assert -4 * kl["td.train"][1] < kl["td.train"][0] < 0.1  # at most a tenth of what the ten lines pay
assert kl["ten lines"][0] > kl["td.train"][0] + 4 * kl["ten lines"][1]
assert abs(nll["true"][0] - td.toys.FLOORS["ring8"]) < 4 * nll["true"][1]
assert abs(nll["one point of one mode"][0] - (td.toys.FLOORS["ring8"] - 1)) < 1e-3  # the modes hardly overlap
assert worst < 4  # the batch's target has no bias
assert all(batch < single / 5 for single, batch in spread.values())
assert np.mean(draws["half"]) < np.max(draws["true"])
assert np.max(scores["half"]) < np.min(scores["true"])

# %% [markdown]
# From the ten lines to the network without the time the loss rises by 3 %, and the KL doubles: a loss does not say which
# errors matter.
#
# A deeper network and longer training get closer: the defaults, eight blocks and 3,000 steps of 1,024 points, about 40 s
# of one core, reach a KL of 0.0010 ± 0.0005 nats on this toy (mean and standard deviation of three seeds, each measured
# to 0.001; the [README](https://github.com/tinydiff/tinydiff#readme) has the other toys).
#
# ## What you know now
#
# - Training is ten lines: noisy points, a loss, a gradient, a step.
# - A loss means nothing without its floor, and floors belong to schedules; the *excess* over the floor, per noise
#   level, is what one can improve.
# - A target averaged over the batch has the same mean and far less noise.
# - Samples with a low $-\ln q$ may be a collapse; a distance that passes may be blind. KL in nats, paired with the
#   truth, is neither.
#
# **Next:** [8. One family of samplers](08_samplers.ipynb). We have a good denoiser. How do we get from noise to data
# with it, and in how many steps?
