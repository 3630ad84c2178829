# %% [markdown]
# # 14. The perfect model memorises
#
# **What if training succeeds completely?**
#
# *You need:* the conditional mean as the best denoiser, and the floor of the loss (notebook 4), DDIM (8); `td.train`
# (7) helps. *To read:* 30 minutes. *To work:* 45 minutes. *Papers:* Karras et al. 2022,
# [EDM](https://arxiv.org/abs/2206.00364), App. B.3; Gu et al. 2023, [On memorization in diffusion
# models](https://arxiv.org/abs/2310.02664).
#
# So far the exact denoiser mostly belonged to a *density*. But a network is trained on a finite set of points, and its loss
# has a minimiser of its own. We can write that down too, and sample with it. It is what the training loss asks for, and
# you would not want to arrive.

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation
from tqdm.auto import tqdm

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(11)

# %% [markdown]
# ## The least loss on N points
#
# Let $y_1, \dots, y_N$ be the training points. Training draws one of them, each with probability $1/N$, draws
# $\varepsilon$, and shows the network $x_t = \alpha y_i + \sigma\varepsilon$. The loss is smallest where the network
# answers with the conditional mean of what was drawn (notebook 4). Nothing in that argument asked for a density: here
# $x_0$ is one of $N$ points, and Bayes' rule gives the probability of each,
#
# $$w_i(x_t) = \frac{\mathcal N(x_t;\ \alpha y_i, \sigma^2 I)}{\sum_j \mathcal N(x_t;\ \alpha y_j, \sigma^2 I)}
#   = \frac{\exp\big(-\lVert x_t - \alpha y_i\rVert^2 / 2\sigma^2\big)}{\sum_j \exp\big(-\lVert x_t - \alpha y_j\rVert^2 / 2\sigma^2\big)} ,$$
#
# so that the conditional mean is
#
# $$\boxed{\;\hat x_0(x_t) = \sum_{i=1}^N w_i(x_t)\,y_i\;}$$
#
# This is the **empirical denoiser**: a softmax average of the training points. Under much noise it averages many; under
# little, the nearest training point takes all.
#
# ### Exercise 14.1: the empirical denoiser
#
# In DDPM's notation, with an integer $t$ from 1 to $T$. Far from all points every exponential is 0 in float64 and $0/0$
# is not a number: subtract the largest exponent of each row first, which cancels in the fraction.


# %%
def empirical_denoiser(x_t, points, t, betas):
    """E[x_0|x_t] (B, D) if the points (N, D) are all the data there is; x_t (B, D)."""
    ### BEGIN SOLUTION
    alpha_bar = np.prod(1 - betas[:t])
    apart = x_t[:, None, :] - np.sqrt(alpha_bar) * points  # (B, N, D)
    logits = -np.sum(apart**2, axis=2) / (2 * (1 - alpha_bar))  # (B, N)
    weights = np.exp(logits - np.max(logits, axis=1, keepdims=True))
    return weights @ points / np.sum(weights, axis=1, keepdims=True)
    ### END SOLUTION


check(empirical_denoiser)

# %% [markdown]
# A sampler also needs the noise that goes with it. Any denoiser says the same thing twice, once as data and once as
# noise.
#
# ### Exercise 14.2: the noise that goes with it
#
# The function of exercise 4.2. Can you still write it from memory?


# %%
def eps_from_x0(x_t, t, x0, betas):
    """The ε with x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε; x_t and x0 (B, D)."""
    ### BEGIN SOLUTION
    alpha_bar = np.prod(1 - betas[:t])
    return (x_t - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar)
    ### END SOLUTION


check(eps_from_x0)

# %% [markdown]
# The library has both in `td.Oracle`, which takes points as well as a density. Compare yours with it:

# %%
data = td.toys.moons32()  # two half moons, a density that we know
N = 60
seen = data.sample(rng, N)  # the training points
unseen = data.sample(rng, N)  # as many that no model has seen

chain = td.Discrete(np.linspace(1e-4, 0.02, 1000))
x_t = rng.standard_normal((5, 2))
answer = empirical_denoiser(x_t, seen, 300, chain.betas)
if answer is None:
    print("not yet: fill in exercise 14.1, and this cell compares it with the library.")
else:
    print(f"largest difference from td.Oracle: {np.max(np.abs(answer - td.Oracle(seen, chain).x0(x_t, 0.3))):.0e}")

# %% [markdown]
# ## Sampling with it
#
# From here on $t$ is the library's time, from 0, the data, to 1. Take 60 training points of the two moons, the
# empirical denoiser, and DDIM. `td.trajectory` draws noise and yields the points at each time of the walk, and last the
# answer $\hat x_0$, which `td.sample` returns alone.
#
# **Predict.** Where do the samples go?
#
# The pictures show $x_t/\alpha$, so that the data stay where they are: it is data plus noise of standard deviation
# $\sigma/\alpha$.

# %%
process = td.VP()
truth = td.Oracle(data, process)  # the exact denoiser of the density
perfect = td.Oracle(seen, process)  # the exact denoiser of the 60 points

n = 500
path = list(td.trajectory(perfect, n, sampler=td.ddim, steps=60, rng=rng))  # the prior, the walk, the answer
ratios = np.array([process.sigma(t) / process.alpha(t) for t, _ in path])

fig, axes = plt.subplots(1, 4, figsize=(9, 2.7), sharex=True, sharey=True)
for ax, wanted in zip(axes, (1.0, 0.3, 0.1, 0.0), strict=True):
    k = np.argmin(np.abs(ratios - wanted))
    t, x = path[k]
    ax.plot(seen[:, 0], seen[:, 1], "o", mfc="none", mec=DATA, ms=6, mew=0.8)
    ax.scatter(*(x / process.alpha(t)).T, color=MODEL, s=30, linewidths=0)
    ax.set(xlim=(-2.8, 2.8), ylim=(-2.8, 2.8), aspect="equal")
    ax.set_axis_off()
    ax.set_title(rf"$\sigma/\alpha$ = {ratios[k]:.2g}")
show(fig, "Four pictures of 500 samples and 60 training points drawn as rings: first a cloud, then a band along the two "
     "moons, then clumps, and at the end every sample sits in a ring.")  # fmt: skip

# %% [markdown]
# *What to see:* grey rings are the training points, orange the samples. At first they do roughly what they would do
# with the true density: a cloud, then two moons, but with a hole in the lower one, where no training point lies. Below
# $\sigma/\alpha$ = 0.1 each falls into a ring. At the end there is nothing else:

# %%
samples = path[-1][1]
distance = td.nearest(samples, seen)[1]  # [0] says which point is nearest, [1] how far it is
print(f"largest distance of a sample from the nearest training point: {distance.max():.1e}")
assert distance.max() < 1e-12  # with so little noise the weights of all other points round to 0

# %% [markdown]
# Once more in motion. The noise falls by the same factor from frame to frame.

# %%
frames = [(r, x[:120] / process.alpha(t)) for r, (t, x) in zip(ratios, path, strict=True) if 0.008 < r < 2]
fig, ax = plt.subplots(figsize=(3.2, 3.2))
ax.plot(seen[:, 0], seen[:, 1], "o", mfc="none", mec=DATA, ms=7, mew=0.8)
dots = ax.scatter(*frames[0][1].T, color=MODEL, s=60, linewidths=0)
ax.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
ax.set_axis_off()


def draw(k):
    """Frame k; the last one rests."""
    ratio, x = frames[min(k, len(frames) - 1)]
    dots.set_offsets(x)
    ax.set_title(rf"$\sigma/\alpha$ = {ratio:.3f}")
    return (dots,)


show(FuncAnimation(fig, draw, frames=len(frames) + 4, interval=150), "120 samples in motion: a cloud contracts to two "
     "moons, then each sample falls into one of 60 rings, the training points.")  # fmt: skip

# %% [markdown]
# *What to see:* there are two events. First the cloud finds the moons, which is what we want to learn. Later it finds
# the points, which is not. What separates the two is a number.
#
# ## How many neighbours?
#
# How many points does the average $\sum_i w_i y_i$ really take in? If $k$ weights are equal and the rest 0, then
# $\sum_i w_i^2 = k \cdot 1/k^2 = 1/k$. So call
#
# $$n_\text{eff} = \frac{1}{\sum_i w_i^2}$$
#
# the **effective number of neighbours**. It lies between 1, one point takes all, and $N$. (And $1/n_\text{eff}$ is the
# probability that two draws by these weights are the same point.)
#
# ### Exercise 14.3: effective neighbours


# %%
def effective_neighbours(weights):
    """1/Σ w² for each row of weights (B, N), which sum to 1: (B,)."""
    ### BEGIN SOLUTION
    return 1 / np.sum(weights**2, axis=1)
    ### END SOLUTION


check(effective_neighbours)

# %% [markdown]
# The number falls from $N$ to 1 as the noise falls. **Predict.** Where is the fall if there are ten times as many
# points? And where if each point has 128 coordinates in place of 2?


# %%
def neighbours(points, ratio, most=200):
    """The median n_eff over x = y + ratio · ε with y one of the points (N, D)."""
    y = points[rng.integers(0, len(points), most)]
    x = y + ratio * rng.standard_normal(y.shape)
    # −‖x − y‖²/(2 ratio²), but for ‖x‖², which cancels in the weights
    logits = (x @ points.T - np.sum(points**2, axis=1) / 2) / ratio**2
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.median(np.sum(weights, axis=1) ** 2 / np.sum(weights**2, axis=1))  # the sum of the weights is not 1 yet


def two_left(curve):
    """The noise σ/α at which the curve of n_eff passes 2, on the line between two that were tried."""
    k = np.argmax(curve > 2)
    return np.exp(np.interp(np.log(2), np.log(curve[k - 1 : k + 1]), np.log(tried[k - 1 : k + 1])))


tried = np.geomspace(0.002, 30, 28)  # σ/α
fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), sharey=True)
collapse = {}
for D, ls in ((2, "-"), (16, "--"), (128, ":")):
    cloud = rng.standard_normal((1000, D))
    curve = np.array([neighbours(cloud, ratio) for ratio in tried])
    axes[1].loglog(tried, curve, color=MODEL, ls=ls)
    predicted = (1000 ** (2 / D) - 1) ** -0.5
    axes[1].plot(predicted, 1, "^", color=EXACT, ms=9, clip_on=False, zorder=5)
    x, y, side = {2: (0.07, 25, "right"), 16: (0.95, 8, "right"), 128: (5, 8, "left")}[D]
    axes[1].text(x, y, f"D = {D}", color=MODEL, ha=side)
    collapse[D] = two_left(curve), predicted
for count, ls in ((100, ":"), (1000, "--"), (10_000, "-")):
    cloud = data.sample(rng, count)
    curve = np.array([neighbours(cloud, ratio) for ratio in tried])
    axes[0].loglog(tried, curve, color=MODEL, ls=ls)
    print(f"two moons, {count:6,} points: two neighbours are left at σ/α = {two_left(curve):.3f}")
    axes[0].text(33, count, f"{count:,}", color=MODEL, va="center")
axes[0].set(ylabel="effective neighbours", title="two moons, N points")
axes[1].set(title="normal data, 1,000 points")
for ax in axes:
    ax.set(xlabel=r"noise $\sigma/\alpha$", xticks=[0.01, 0.1, 1, 10])
    ax.minorticks_off()
axes[0].set_xlim(0.002, 150)
show(fig, "Effective neighbours against noise on logarithmic axes. Left, for 100, 1,000 and 10,000 points on the moons: each "
     "curve rises from 1 to N, later for fewer points. Right, in 2, 16 and 128 dimensions: the rise moves to more "
     "noise and gets steeper, close to the predicted marks.")  # fmt: skip

# %% [markdown]
# *What to see:* on the left ten times as many points put off the fall to about a third of the noise, a hundred times to
# about a tenth: in the plane, spacing goes like $N^{-1/2}$. On the right one of a thousand points in 128 dimensions is
# singled out when the noise is still three times the signal. In high dimension points are far apart, all of them, and
# an average of neighbours is an average of one. If pictures are like that, the perfect model decides early on a
# training image.
#
# The blue marks are an answer in one line, for data from $\mathcal N(0, I)$ in $D$ dimensions. What $x_t$ tells about
# its own $x_0$, their **mutual information**, is the entropy of $x_t$ less that of its noise, $\frac D2
# \ln\frac{\alpha^2 + \sigma^2}{\sigma^2} = \frac D2 \ln(1 + \text{SNR})$ nats. To single out one of $N$ points takes
# $\ln N$ nats. So it should happen about where
#
# $$\tfrac D2 \ln(1 + \text{SNR}) = \ln N \quad\Longleftrightarrow\quad \text{SNR} = N^{2/D} - 1, \qquad \frac\sigma\alpha = \big(N^{2/D} - 1\big)^{-1/2}.$$
#
# (Biroli et al. 2024, [Dynamical regimes of diffusion models](https://arxiv.org/abs/2402.18491), study this *collapse*
# onto a training point by the methods of statistical physics. The $N$ that holds it off at a given noise,
# $(1 + \text{SNR})^{D/2}$, grows exponentially with $D$.)

# %%
print("noise σ/α at which two neighbours are left, of 1,000 normal points")
print("       D    measured    by the formula")
for D, (found, predicted) in collapse.items():
    print(f"    {D:4d}    {found:8.2f}             {predicted:8.2f}")
    assert 0.4 < found / predicted < 2.5  # it is an argument, not a theorem

# %% [markdown]
# ## Below the floor
#
# Notebook 4 found a floor: no denoiser has a lower expected loss on $q$ than the exact one. **Predict.** What is the
# loss of the empirical denoiser on the points that it was made of, and what on new ones?
#
# We measure $\mathbb E\,\lVert\varepsilon - \hat\varepsilon\rVert^2/D$ at each log-SNR $\lambda$, on the 60 training
# points with 30 draws of noise each, and on 1,800 fresh points.

# %%
lam = np.linspace(-6, 10, 21)
times = process.time(lam)
floor = truth.floor(times)
old = np.repeat(seen, 30, axis=0)  # (1800, 2)
new = data.sample(rng, len(old))
noise = rng.standard_normal(old.shape)  # the same for all


def losses(model, x0):
    """E‖ε − ε̂‖²/D at each of the times, (21,)."""
    return np.array([np.mean((noise - model(process.at(t).perturb(x0, noise), t)) ** 2) for t in times])


on_seen, on_new = losses(perfect, old), losses(perfect, new)

fig, ax = plt.subplots(figsize=(7.5, 3.4))
ax.plot(lam, floor, color=EXACT)
ax.plot(lam, on_seen, color=MODEL)
ax.plot(lam, on_new, color=MODEL, ls="--")
ax.text(6.4, 1.03, "floor of the density", color=EXACT, va="bottom")
ax.text(6.4, 0.34, "on its training points", color=MODEL)
ax.text(4.75, 1.45, f"on new points:\nto {on_new[-1]:.0f} at λ = 10", color=MODEL)
ax.set(
    xlabel="log-SNR λ, nats (noise left, data right)",
    ylabel=r"$\mathbb{E}\,\|\varepsilon-\hat\varepsilon\|^2/D$",
    ylim=(0, 1.65),
)
show(fig, "Loss against log-SNR. The floor rises from 0 to 1. The empirical denoiser follows it to λ = 1, then drops to 0 "
     "on its training points and shoots up on new ones.")  # fmt: skip

# %% [markdown]
# *What to see:* up to $\lambda \approx 1$ the three agree: with that much noise 60 points are as good as the density.
# Then they part, downwards on the training points and upwards on new ones. This pair of curves is the signature of
# memorising, and the floor shows it without a second data set: *a training loss below the floor of the density is not
# skill.*
#
# Why does the loss on new points explode? With little noise $\hat x_0$ is the nearest training point $y$ and not $x_0$.
# Since $\varepsilon = (x - \alpha x_0)/\sigma$ and $\hat\varepsilon = (x - \alpha\hat x_0)/\sigma$,
#
# $$\lVert\varepsilon - \hat\varepsilon\rVert^2 = \frac{\alpha^2}{\sigma^2}\,\lVert x_0 - \hat x_0\rVert^2 \approx \text{SNR}\cdot\lVert x_0 - y\rVert^2 .$$
#
# The distance to the nearest point stays, and the SNR grows without bound.

# %%
apart = td.nearest(new, seen)[1]
print(
    f"loss on new points at λ = 10: {on_new[-1]:.1f};  SNR · E‖x_0 − y‖²/D = {np.exp(10) * np.mean(apart**2) / 2:.1f}"
)
assert abs(on_new[-1] / (np.exp(10) * np.mean(apart**2) / 2) - 1) < 0.02

# %% [markdown]
# One number for a whole curve: half the area between a loss and the floor, times $D$, is what the reverse chain of that
# denoiser pays over the entropy, in nats (notebook 5). It is a bound on a Kullback–Leibler divergence, *if* the
# expectation in the loss is over the density $q$.


# %%
def apparent_kl(loss, last=10.0):
    """D/2 times the area between a loss (21,) and the floor, in nats, up to the log-SNR `last`."""
    kept = lam < last + 1e-6
    return data.dim / 2 * np.trapezoid((loss - floor)[kept], lam[kept])


print("area over the floor, nats")
print(f"    on training points   {apparent_kl(on_seen):7.2f}")
print(f"    on new points        {apparent_kl(on_new):7.2f}")

# %% [markdown]
# ## Measuring memory
#
# A sample can be suspected of being a copy if it is nearer to a training point than it should be. How near is that?
# Compare with points that were *held out*: draw as many, and ask of each sample whether it is nearer to a training
# point or to a held-out one. True samples cannot tell the two sets apart: over many pairs of sets the fraction of them
# that is nearer to training points is ½ on average. Of copies it is 1. But one pair of sets has luck of its own, which
# is in all rows and which ± does not count. So compare with the row of true points, not with ½. `td.memorisation`
# measures the fraction, `td.nearest` the distance.
#
# Now let a *trained* network stand beside the perfect model: a small one, the same 60 points, 1,500 steps. On the way
# we keep what it was after some hundreds. It too is sampled with DDIM, in 40 steps.

# %%
network, steps = td.TimeMLP(dim=2, width=64, blocks=2), 1500
checkpoints = {}
training = td.train(network, process, seen, steps=steps, batch=128, optimizer="adam", ema=0.999, rng=rng)
for state in tqdm(training, total=steps):
    if state.step in (200, 400, 600, 1000, 1500):
        checkpoints[state.step] = td.NetworkDenoiser(network, state.ema, process)  # the averaged parameters

drawn = {"perfect model": samples, "new true points": data.sample(rng, n)}
for step in (200, 600, 1500):
    drawn[f"network, {step} steps"] = td.sample(checkpoints[step], n, sampler=td.ddim, steps=40, rng=rng)
print(f"the network has {network.size:,} parameters")
print("                      nearer to a training point    median distance to the nearest of them")
for name, x in drawn.items():
    fraction, error = td.memorisation(x, seen, unseen)
    print(f"{name:20s}        {fraction:.3f} ± {error:.3f}                {np.median(td.nearest(x, seen)[1]):.3f}")

# %%
fig, axes = plt.subplots(1, 4, figsize=(9, 2.7), sharex=True, sharey=True)
names = ("network, 200 steps", "network, 600 steps", "network, 1500 steps", "new true points")
for ax, name in zip(axes, names, strict=True):
    color = DATA if name.startswith("new") else MODEL
    ax.scatter(*drawn[name].T, color=color, s=28, linewidths=0, alpha=0.7)
    ax.plot(seen[:, 0], seen[:, 1], "o", mfc="none", mec="k", ms=5, mew=0.6)
    ax.set(title=name, xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
    ax.set_axis_off()
show(fig, "Four clouds with the 60 training points as rings: after 200 steps two blurred moons, after 600 two thin ones, "
     "after 1,500 a chain that passes through the rings; true points fill the moons evenly.")  # fmt: skip

# %% [markdown]
# *What to see:* after 200 steps the moons are blurred, and the samples twice as far from the training points (rings) as
# true points are. After 600 neither number tells them from true points; the eye does, for some still stray between the
# moons, which a fraction and a median do not see. After 1,500 they are nearer to the training points than true points
# are, in distance and in number: the network has begun to memorise. It is still far from the perfect model.
#
# Its loss says the same. Here is the area between loss and floor during training, on the 60 points and on new ones:

# %%
kl_seen = {step: apparent_kl(losses(model, old)) for step, model in checkpoints.items()}
kl_new = {step: apparent_kl(losses(model, new)) for step, model in checkpoints.items()}
best = min(kl_new, key=kl_new.get)

fig, ax = plt.subplots(figsize=(7.5, 3.2))
ax.axhline(0, color=EXACT)
ax.plot(list(kl_seen), list(kl_seen.values()), color=MODEL, marker="o", ms=5)
ax.plot(list(kl_new), list(kl_new.values()), color=MODEL, ls="--", marker="s", ms=5)
ax.text(1530, kl_seen[steps], "on training points", color=MODEL, va="center")
ax.text(1530, kl_new[steps], "on new points", color=MODEL, va="center")
ax.text(1530, 0, "exact denoiser of q", color=EXACT, va="bottom")
ax.set(xlabel="training steps", ylabel="area over the floor, nats", xlim=(0, 2150),
       xticks=[0, 500, 1000, 1500], yticks=[-0.5, 0, 0.5, 1, 1.5])  # fmt: skip
show(fig, "The area between loss and floor against training steps. Both curves fall at first; that on training points "
     "goes on below zero, that on new points turns and rises.")  # fmt: skip

# %% [markdown]
# *What to see:* at first both fall: that is learning. On new points the area is least after some 600 steps, and then it
# rises. On training points it goes on, below zero, which over the density itself is impossible. Only new points say
# when to stop; to stop there is called **early stopping**.
#
# ## So why do trained networks not memorise?
#
# We measured one thing: *this* network, after so many steps, has not reached the minimiser of its loss, though it was
# on its way. That leaves several reasons, and our experiment does not decide between them. Training stopped early. The
# network is smooth, and would need steep steps between points at small noise. It is not for want of parameters: it has
# 25,410, and 60 points are 120 numbers. The literature knows more:
#
# - Networks *can* memorise. Carlini et al. 2023, [Extracting training data from diffusion models](https://arxiv.org/abs/2301.13188), recovered
#   training images from large models, Stable Diffusion among them.
# - It depends on $N$. Kadkhodaie et al. 2024, [Generalization in diffusion models](https://arxiv.org/abs/2310.02557), trained two networks on
#   non-overlapping sets of images. Where the sets are large enough, the two learn nearly the same score, and their samples differ
#   from all training images; where they are small, training images come back.
# - It depends on the architecture. Kamb & Ganguli 2024, [An analytic theory of
#   creativity](https://arxiv.org/abs/2412.20292), name two properties of convolutional networks that keep them from the
#   minimiser: locality (a pixel's answer depends on the pixels near it) and equivariance (a shifted input gives a
#   shifted answer). A denoiser in closed form with just these two, made of the training points, predicts the samples of
#   trained networks well.
#
# So a diffusion model generalises only where it does not reach the minimiser of its loss, and stays away from it in the
# right way. Which way that is, our experiment does not decide.
#
# ## More points
#
# There is one way for the perfect model to be right: infinitely many points. Then the average over points becomes the
# integral over the density. How fast? At a fixed noise $\hat x_0$ is one mean of $N$ random terms divided by another,
# and each is off by about $1/\sqrt N$. So the excess of its loss over the floor,
# $\mathbb E\,\lVert\hat\varepsilon - \varepsilon^*\rVert^2/D$, should fall like $1/N$.

# %%
sizes = np.array([100, 300, 1000, 3000, 10_000])
rates = {}
fig, ax = plt.subplots(figsize=(7.5, 3.3))
for noise_level, marker in ((0.0, "o"), (3.0, "s"), (6.0, "D")):
    t = float(process.time(noise_level))
    x = process.at(t).perturb(data.sample(rng, 100), rng.standard_normal((100, 2)))
    exact = truth(x, t)
    error = np.zeros(len(sizes))
    for k, size in enumerate(sizes):
        draws = [td.Oracle(data.sample(rng, size), process)(x, t) for _ in range(8)]
        error[k] = np.mean([(found - exact) ** 2 for found in draws])
    fit, covariance = np.polyfit(np.log(sizes[1:]), np.log(error[1:]), 1, cov=True)  # from 300 points on
    rates[noise_level], slope_error = fit[0], np.sqrt(covariance[0, 0])
    ax.loglog(sizes, error, color=MODEL, marker=marker, ms=6, lw=1.5)
    ax.text(
        12_000,
        error[-1],
        f"λ = {noise_level:.0f}, slope {rates[noise_level]:.2f} ± {slope_error:.2f}".replace("-", "−"),
        color=MODEL,
        va="center",
    )
ax.set(xlabel="training points N", ylabel=r"$\mathbb{E}\,\|\hat\varepsilon-\varepsilon^*\|^2/D$", xlim=(80, 60_000))
ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
ax.minorticks_off()
show(fig, "The excess loss of the empirical denoiser against the number of points, on logarithmic axes: three nearly parallel "
     "lines that fall with slope about −1.")  # fmt: skip

# %% [markdown]
# *What to see:* a slope of about −1 at each noise level, at $\lambda = 6$ still steeper (fitted from 300 points on; ±
# one standard error, from the residuals). But the less noise, the higher the line: at $\lambda = 6$, $\sigma/\alpha$ =
# 0.05, ten thousand points leave about as much excess as a hundred at $\lambda = 0$. As $\lambda \to \infty$ no number
# is enough: at the very end the perfect model of any finite set falls into its points.
#
# ## Break it
#
# Suppose somebody evaluates models on the points they were trained on, and reports entropy plus area as a mean
# $-\ln p$, with $p$ the law of the reverse chain:
#
# $$\mathrm{KL}(q \,\Vert\, p) \le \frac D2 \int \big(\text{loss}(\lambda) - \text{floor}(\lambda)\big)\,d\lambda , \qquad
#   -\mathbb E \ln p = \text{entropy} + \mathrm{KL} .$$
#
# No model can be below the entropy. Here they are, with the area from $\lambda = -6$ to $10$. **Predict.** In which
# order does the training set put the perfect model, the network and the exact denoiser of $q$? And new points?

# %%
entropy = data.entropy()[0]
print(f"nats; the entropy of the data is {entropy:.2f}")
print("                        training points             new points")
print("                      area   entropy + area     area   entropy + area")
report = {
    "perfect model": (apparent_kl(on_seen), apparent_kl(on_new)),
    **{f"network, {step} steps": (kl_seen[step], kl_new[step]) for step in (best, steps)},
    "exact denoiser of q": (apparent_kl(losses(truth, old)), apparent_kl(losses(truth, new))),
}
for name, (a, b) in report.items():
    print(f"{name:20s}{a:6.2f}{entropy + a:17.2f}{b:9.2f}{entropy + b:17.2f}")
luck = []  # the standard error of the last row, on the 60 training points and on the new ones
for x0, groups in ((old, N), (new, len(new))):
    each = [np.sum((noise - truth(process.at(t).perturb(x0, noise), t)) ** 2, axis=1) / 2 for t in times]
    areas = np.trapezoid(each, lam, axis=0).reshape(groups, -1).mean(axis=1)  # of each point, up to a constant
    luck.append(areas.std() / np.sqrt(groups))
print(f"standard error of the last row: {luck[0]:.2f} and {luck[1]:.2f}")
ends = 6.8, 8.4, 10.0
print("\nthe area of the perfect model up to λ =" + "".join(f"{end:9.1f}" for end in ends))
for name, loss in (("on training points", on_seen), ("on new points", on_new)):
    print(f"    {name:35s}" + "".join(f"{apparent_kl(loss, end):9.2f}" for end in ends))
assert report["perfect model"][0] < report[f"network, {steps} steps"][0] < report["exact denoiser of q"][0]
assert report["perfect model"][1] > report[f"network, {steps} steps"][1] > report["exact denoiser of q"][1]

# %% [markdown]
# On its own training points the worst model of all "beats" the entropy of the data by nats, and the exact denoiser with
# it. On new points it is off by hundreds. Nothing was computed wrongly; the expectation was taken over the wrong law.
# How many nats depends on where the integral ends: towards the data the area falls by up to $D/2 = 1$ for each nat of
# $\lambda$ on the training points, and grows like $e^\lambda$ on new ones. Without an end they are $-\infty$ and
# $+\infty$: the law of this model sits on 60 points and has no density. The row of the exact denoiser checks the
# measure itself: 0, to about a standard error.
#
# ## The numbers

# %%
fractions = []  # of true points, over many pairs of sets
for _ in range(1000):
    sets = data.sample(rng, 3 * N)
    fractions.append(td.memorisation(sets[2 * N :], sets[:N], sets[N : 2 * N])[0])
half, half_error = np.mean(fractions), np.std(fractions) / np.sqrt(len(fractions))
copies = td.memorisation(samples, seen, unseen)[0]
print("fraction of samples nearer to a training point       measured            exact")
print(f"    perfect model                                     {copies:.3f}              1")
print(f"    true points, mean over 1,000 pairs of sets        {half:.3f} ± {half_error:.3f}      0.5")
assert copies == 1
assert abs(half - 0.5) < 4 * half_error

few, many = perfect.x0(path[0][1], path[0][0]), seen.mean(axis=0)
print("\nthe empirical denoiser at the ends")
print(
    f"    pure noise: distance of x̂_0 from the mean of the points, rms         {np.sqrt(np.mean((few - many) ** 2)):.4f}"
)
print(f"    no noise:   distance of x̂_0 from the nearest training point, at most {distance.max():.1e}")
assert np.sqrt(np.mean((few - many) ** 2)) < 0.02  # α = 0.0066 is left of the signal

print("\nexponent of N in its excess loss                     measured            exact")
print(f"    λ = 0                                            {rates[0.0]:6.2f}               −1")
print(f"    λ = 3                                            {rates[3.0]:6.2f}               −1")
assert abs(rates[0.0] + 1) < 0.2  # eight draws of each set of points
assert abs(rates[3.0] + 1) < 0.2

inside = lam > 3
assert np.all(on_seen[inside] < floor[inside])
assert np.all(on_new[inside] > floor[inside])
print(f"\nfor λ > 3 at all {inside.sum()} of {inside.sum()} times: training loss < floor < loss on new points")

# %% [markdown]
# ## What you know now
#
# - The minimiser of the training loss is known: a softmax average of the training points, and its samples are training points.
# - The effective number of neighbours $1/\sum w^2$ falls from $N$ to 1; the fall comes at more noise if points are few, and far sooner in high dimension.
# - Training loss below the floor of the density, test loss above it: that is memorising. Judge a model on points that it has not seen.
# - A trained network generalises only where it does not reach the minimiser, and stays away from it in the right way.
#   Which way that is, we did not decide.
#
# **Next:** [15. Guidance, then digits](15_guidance_and_digits.ipynb). Two denoisers can be combined into a third. What
# does that sample?
