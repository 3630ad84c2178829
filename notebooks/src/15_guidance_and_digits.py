# %% [markdown]
# # 15. Guidance, then digits
#
# **How do we ask for a 7, and what do we pay for insisting?**
#
# *You need:* notebooks 4, 7, 8 and 9 (score, training, samplers, flow). *To read:* 35 minutes. *To work:* 45 minutes.
# *Papers:* Ho & Salimans 2022, [Classifier-free guidance](https://arxiv.org/abs/2207.12598); Lugmayr et al. 2022,
# [RePaint](https://arxiv.org/abs/2201.09865).
#
# So far a model gave us *something* from the data. Now we want to choose: this class, this half of the picture. Both
# wishes are conditions, and Bayes' rule turns conditions into scores. We first watch guidance where everything is known
# exactly, and find that it does *not* sample the law that its formula suggests. Then we train on handwritten digits.

# %%
from functools import partial
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp
from tqdm.auto import tqdm

import tinydiff as td
from tinydiff.check import check
from tinydiff.course import digits_judge, digits_model
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(12)

# %% [markdown]
# ## A condition is a second score
#
# Let every data point carry a label $y$. Noise is added to $x_0$ and never looks at the label, so the points of one class
# have noisy laws $q_t(x \mid y)$ of their own. Bayes' rule at one time $t$:
#
# $$q_t(x \mid y) = \frac{q_t(x)\,q_t(y \mid x)}{q(y)} .$$
#
# Take the logarithm and the gradient in $x$. The probability $q(y)$ of the class does not depend on $x$ and drops out:
#
# $$\nabla \ln q_t(x \mid y) = \nabla \ln q_t(x) + \nabla \ln q_t(y \mid x). \tag{1}$$
#
# The last term points to where a perfect classifier of *noisy* points becomes surer of $y$. **Guidance** says: more of
# it, by a factor $1 + w$. We do not have the classifier, but by (1) its gradient is the difference of two scores:
#
# $$\nabla \ln q_t(x) + (1+w)\,\nabla \ln q_t(y\mid x)
#   = \nabla \ln q_t(x) + (1+w)\big[\nabla \ln q_t(x\mid y) - \nabla \ln q_t(x)\big]
#   = (1+w)\,\nabla \ln q_t(x\mid y) - w\,\nabla \ln q_t(x).$$
#
# No classifier is left, so this is **classifier-free guidance**. The factor $-\sigma$ turns scores into noise answers,
# $\varepsilon^* = -\sigma\,\nabla\ln q_t$ (notebook 4). With $\hat\varepsilon(x, t\mid y)$ for the answer of a denoiser
# that is given the label,
#
# $$\boxed{\;\hat\varepsilon_w = (1+w)\,\hat\varepsilon(x, t\mid y) - w\,\hat\varepsilon(x, t)\;}$$
#
# [Ho & Salimans 2022, eq. 6]. At $w = 0$ the conditional model speaks alone, at $w = -1$ the unconditional one. (Other
# texts call $1 + w$ the scale.) One network can give both answers: in training its label is hidden now and then.
#
# ### Exercise 15.1: guidance
#
# `c` is what the conditional model says, `u` the unconditional one.


# %%
def cfg(c, u, w):
    """ε̂ (B, D) under guidance from c and u (B, D); w a number, 0 for the conditional answer, −1 for the unconditional."""
    ### BEGIN SOLUTION
    return c + w * (c - u)
    ### END SOLUTION


check(cfg)

# %% [markdown]
# ## Where everything is known
#
# Three overlapping classes in the plane, each a pair of Gaussians. The oracle gives both exact answers,
# `oracle.given(labels)` and `oracle`; `td.ClassifierFreeGuidance` is the denoiser that combines them as in the box, and
# DPM-Solver++ (notebook 11) follows the flow closely in 50 steps. So whatever happens below is guidance itself, not the error of a network or a
# sampler.
#
# From here on we use the library, where $t$ is a float in $[0, 1]$ and $\alpha$, $\sigma$ are those of a process at $t$.
#
# **Predict.** With $w = 3$, will the samples of a class fill its cloud more densely, move, or shrink? Towards where?
# Sketch it before you run the next cell.

# %%
angles = 2 * np.pi * np.arange(3) / 3 + np.pi / 2
out = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (3, 2): unit vectors
side = np.stack([-np.sin(angles), np.cos(angles)], axis=1)
means = np.concatenate([0.75 * out + 0.55 * side, 0.75 * out - 0.35 * side])
covariances = np.concatenate([0.06 * np.eye(2) + 0.12 * np.einsum("ki,kj->kij", out, out)] * 2)
data = td.GaussianMixture(np.full(6, 1 / 6), means, covariances, labels=np.tile(np.arange(3), 2))
process = td.Cosine()
oracle = td.Oracle(data, process)

labels = np.repeat(np.arange(3), 700)
truth = data.given(labels).sample(rng, len(labels))
noise = process.prior(rng, len(labels), oracle.like)  # x_t at t = 1: N(0, I), an array like the oracle's
ts = td.grids.even_log_snr(process, 49)  # 50 times, equal steps in log-SNR; the answer at the last is the 50th step


def samples(model, noise, ts):
    """What DPM-Solver++(2M) makes of the noise: a walk along ts, and then the answer x̂_0, (B, D)."""
    t, x = td.last(td.dpm_solver_2m(model, noise, ts))
    return model.x0(x, t)


clouds = [
    samples(td.ClassifierFreeGuidance(oracle.given(labels), oracle, w), noise, ts)
    for w in tqdm((0.0, 1.0, 3.0), desc="w")
]

fig, axes = plt.subplots(1, 4, figsize=(9.2, 2.7), sharex=True, sharey=True)
names = ("the data", "guided, w = 0", "guided, w = 1", "guided, w = 3")
for ax, x, name in zip(axes, [truth, *clouds], names, strict=True):
    for y, (colour, marker) in enumerate(zip((EXACT, "#E69F00", "#000000"), "o^s", strict=True)):
        ax.scatter(*x[labels == y][::2].T, s=5, c=colour, marker=marker, alpha=0.4, linewidths=0)
    ax.set(title=name, aspect="equal", xlim=(-2.4, 2.4), ylim=(-2.1, 2.7), xticks=[-2, 0, 2], yticks=[-2, 0, 2])
    ax.set_xlabel("$x_1$")
axes[0].set_ylabel("$x_2$")
show(fig, "Three overlapping classes in the plane. The samples with w = 0 look like the data; with w = 1 and 3 each class "
     "draws back from the others and shrinks to a denser patch at its outer side.")  # fmt: skip

# %% [markdown]
# *What to see:* $w = 0$ gives the data. A larger $w$ pushes each class away from where the others are, and it
# shrinks. Nothing in the formula says shrink: the push grows with the doubt, and all doubtful places are emptied.
#
# Put numbers to both. How sure is the exact classifier of the label that was asked for, and how wide is a class?

# %%
many = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0])
few = slice(None, None, 2)
sure, wide = [], []
for w in tqdm(many, desc="w"):
    x = samples(td.ClassifierFreeGuidance(oracle.given(labels[few]), oracle, w), noise[few], ts)
    p = np.exp(oracle.log_p(x, process.t_min))  # the exact q_t(y | x) at the least noise, (B, 3)
    sure.append(np.mean(p[np.arange(len(x)), labels[few]]))
    wide.append(np.sqrt(np.mean([x[labels[few] == y].var(axis=0).mean() for y in range(3)])))
sure, wide = np.array(sure), np.array(wide)
true_wide = np.sqrt(np.mean([np.trace(data.given(y).moments()[1][0]) / 2 for y in range(3)]))

fig, axes = plt.subplots(1, 2, figsize=(8, 2.8))
fig.get_layout_engine().set(wspace=0.08)
axes[0].plot(many, 100 * sure, "o-", color=MODEL)
axes[0].set(xlabel="guidance weight w", ylabel="% sure of the label", ylim=(80, 101))
axes[1].plot(many, wide, "o-", color=MODEL)
axes[1].axhline(true_wide, color=EXACT, ls="--")
axes[1].text(5, true_wide + 0.01, "the data's", color=EXACT, ha="right", va="bottom")
axes[1].set(xlabel="guidance weight w", ylabel="standard deviation in a class", ylim=(0, 0.6))
show(fig, "With growing w the exact classifier becomes surer of the label, up to 100 percent, while the standard "
     "deviation within a class falls from the data's 0.47 to 0.34.")  # fmt: skip
for name, row in (("w", many), ("% sure of the label", 100 * sure), ("standard deviation", wide)):
    print(f"{name:20s}" + "".join(f"{value:8.4g}" for value in row))

# %% [markdown]
# *What to see:* that is the bargain. The first unit of $w$ lifts the certainty from 81 to 98 percent. The next four
# units add 2 points, and take nearly as much of the variety again: 16 percent of the deviation, then 15.
#
# ## Not the law that the formula suggests
#
# The guided score at time $t$ is the gradient of $\ln\,[\,q_t(x\mid y)^{1+w}\,q_t(x)^{-w}\,]$. So it is tempting to
# say: guided samples follow the **tilted law** $p(x\mid y)^{1+w}\,p(x)^{-w}$, normalised. With two Gaussians we can
# check. Let $p_c = \mathcal N(m, C)$ be the class and $p_u = \mathcal N(0, I)$ all data. The logarithm of the tilted
# law is
#
# $$-\tfrac{1+w}{2}(x-m)^\top C^{-1}(x-m) + \tfrac w2\,x^\top x + \text{const},$$
#
# a quadratic again: a Gaussian where its precision $P$ is positive definite, as here. Collect the terms in $x^\top x$
# and in $x$:
#
# $$\text{precision } P = (1+w)\,C^{-1} - w\,I, \qquad \text{mean } P^{-1}(1+w)\,C^{-1}m .$$
#
# **Predict.** We draw its ellipse over guided samples. Will they fill it?

# %%
w = 2.0
m = np.array([1.0, 0.5])
C = np.array([[0.4, 0.15], [0.15, 0.25]])
of_class = td.Oracle(td.GaussianMixture([1.0], [m], [C]), process)
of_all = td.Oracle(td.GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)]), process)
noise = process.prior(rng, 1500, of_all.like)
x = samples(td.ClassifierFreeGuidance(of_class, of_all, w), noise, td.grids.even_log_snr(process, 99))

P = (1 + w) * np.linalg.inv(C) - w * np.eye(2)
tilted_mean, tilted_cov = np.linalg.solve(P, (1 + w) * np.linalg.solve(C, m)), np.linalg.inv(P)


def ellipse(mean, cov, radius=2.0):
    """The points at `radius` standard deviations, (100, 2)."""
    angle = np.linspace(0, 2 * np.pi, 100)
    return mean + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ np.linalg.cholesky(cov).T


fig, ax = plt.subplots(figsize=(7, 3.5))
ax.scatter(*x.T, s=6, c=MODEL, alpha=0.5, linewidths=0)
ax.plot(*ellipse(m, C).T, color=DATA, ls=":")
ax.plot(*ellipse(tilted_mean, tilted_cov).T, color=EXACT)
ax.text(-0.2, 1.15, "the class $p_c$", color=DATA, ha="right")
ax.text(2.2, 0.6, "the tilted law,\nwhich the formula suggests", color=EXACT, va="top")
ax.text(2.75, 1.3, "guided samples", color=MODEL)
ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$", xlim=(-1.4, 4.0), ylim=(-0.75, 1.8), yticks=[0, 1])
show(fig, "Two ellipses of two standard deviations, the class and, within it, the tilted law. The guided samples form a "
     "much narrower cloud, near the outer end of the tilted law's ellipse and partly outside.")  # fmt: skip

# %% [markdown]
# *What to see:* they differ, and not by a little. Yet both the formula and the sampler are right. What is wrong is
# the step from "the score of a tilted law at each time" to "the tilted law".
#
# Here is why. A sampler's path ends in $p$ if the scores it follows are those of *one* law $p$, **diffused** to all
# times. The tilted laws $q_t(x\mid y)^{1+w} q_t(x)^{-w}$ are each a good law, but they are not the diffusion of their own
# $t = 0$ member: tilting and diffusing do not commute.
#
# In one dimension we can even solve it. Let $p_c = \mathcal N(m, V)$, $p_u = \mathcal N(0, 1)$. The velocity of the
# probability flow is $f x - \frac12 g^2\,\nabla\ln q_t$ (notebook 9). Since $1 + w$ and $-w$ sum to 1, the guided one is
# $1 + w$ times that of the class minus $w$ times that of all data. On $p_u$ the flow stands still, and only the first
# part is left. The class's flow carries its Gaussian $\mathcal N(\alpha m, r^2)$ with
# $r^2 = \alpha^2 V + 1 - \alpha^2$: a point keeps its place $z$ in $x = \alpha m + r z$. So $x$ moves, as $\alpha$ grows
# from 0 to 1 and with a prime for $d/d\alpha$, by
#
# $$\frac{dx}{d\alpha} = m + \frac{r'}{r}\,(x - \alpha m), \qquad\text{and under guidance}\qquad
#   \frac{dx}{d\alpha} = (1+w)\Big[m + \frac{r'}{r}\,(x - \alpha m)\Big].$$
#
# The distance $\Delta$ of two samples obeys $\Delta'/\Delta = (1+w)\,r'/r$, hence $\Delta \propto r^{1+w}$. From
# $r = 1$ at the noise to $r = \sqrt V$ at the data,
#
# $$\text{variance of guided samples} = V^{1+w}, \qquad\text{where the tilted law has } \Big(\tfrac{1+w}{V} - w\Big)^{-1}.$$
#
# With $V = 0.3$ and $w = 2$: $0.027$ against $0.125$. And the family of notebook 9 has one law no longer: from the same
# guided score its reverse SDE makes a variance of $0.086$, and more noise leads on towards the tilted $0.125$. The
# section *The numbers* measures it. What guided samples do follow is analysed by [Bradley & Nakkiran
# 2024](https://arxiv.org/abs/2408.09000).

# %% [markdown]
# ## Digits, small
#
# Now a network and real data. MNIST has 60,000 handwritten digits of 28 × 28 pixels [LeCun et al.]. We take means over
# 2 × 2 pixels, so that seconds of training are enough: $D = 196$ coordinates in $[-1, 1]$.

# %%
mnist, unseen = td.load_mnist("train"), td.load_mnist("test")


def halved(x):
    """28 × 28 images (N, 784) as 14 × 14 ones (N, 196)."""
    return x.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196)


def sheet(x, columns):
    """Images (N, side²) as one picture with `columns` of them in a row, black on white."""
    size = int(np.sqrt(x.shape[1]))
    grey = -np.round(16 * np.clip(1.08 * x, -1, 1)) / 16  # few greys make small files; 1.08 makes nearly white white
    return grey.reshape(-1, columns, size, size).swapaxes(1, 2).reshape(-1, columns * size)


def draw(ax, x, columns, title=""):
    """Show such a sheet."""
    ax.imshow(sheet(x, columns), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    ax.set_axis_off()
    ax.set_title(title)


small, small_unseen = halved(mnist.x), halved(unseen.x)
variances = np.linalg.eigvalsh(np.cov(small.T))[::-1]  # along the principal axes (the eigenvectors)
print(f"D = 196; the first 50 principal axes hold {variances[:50].sum() / variances.sum():.1%} of the variance, "
      f"the first 128 hold {variances[:128].sum() / variances.sum():.2%}")  # fmt: skip

# %% [markdown]
# ## What to predict through a narrow network
#
# Should a network predict $\varepsilon$ or $x_0$? Each gives the other (notebook 4), and with exact answers it is all
# one. Here it decides everything. Our network is the library's `td.TimeMLP`, a **multilayer
# perceptron** (MLP: linear layers with something bent between them). Its last layer is $F = A h + b$ with $h$ of $W$
# numbers, its **width**. Whatever the network does before, all its answers lie in one affine space of at most $W$
# dimensions.
#
# **Predict.** With $W = 128$ and $D = 196$, below which loss per coordinate can an $\varepsilon$-network never fall?
#
# Let $W < D$. In the $D - W$ directions orthogonal to that space, $F$ is a *constant*. The best constant is the mean of
# the target, and what remains is the target's variance in these directions. So for any training whatever,
#
# $$\frac1D\,\mathbb E\,\|\text{target} - F\|^2 \;\ge\; \frac1D \sum_{i > W} \ell_i,$$
#
# with $\ell_1 \ge \ell_2 \ge \dots$ the variances of the target along its principal axes, the eigenvectors of its
# covariance: the best a network can do is to keep the first $W$ and drop the rest.
#
# - The target $\varepsilon$ is white: all $\ell_i = 1$. **The floor is $1 - W/D$.** Noise has no small directions to drop.
# - The target $x_0$ is a digit: $\ell_i$ falls fast. **The floor is the tail of the spectrum**, next to nothing.

# %%
D, W = 196, 128
widths = np.arange(1, D)
tail = np.array([variances[k:].sum() / D for k in widths])

fig, ax = plt.subplots(figsize=(7.5, 3))
ax.semilogy(widths, 1 - widths / D, color=MODEL)
ax.semilogy(widths, np.maximum(tail, 1e-9), color=EXACT, ls="--")
ax.axvline(W, color=DATA, lw=1, ls=":")
ax.plot([W, W], [1 - W / D, tail[W - 1]], "o", color=DATA, zorder=3)
ax.text(60, 1.15, r"target $\varepsilon$: $1 - W/D$", color=MODEL)
ax.text(95, 6e-4, "target $x_0$: tail of the spectrum", color=EXACT, ha="right")
ax.text(W - 2, 3e-6, "width 128", color=DATA, ha="right")
ax.set(xlabel="width W of the network", ylabel="least error per coordinate", ylim=(1e-6, 4))
show(fig, "The least possible error against the width. For the noise it falls along 1 minus W over D and is a third at "
     "width 128; for the images it falls steeply, to two ten-thousandths there.")  # fmt: skip
print(f"at W = {W}: {1 - W / D:.3f} for ε, {tail[W - 1]:.5f} for x_0")

# %% [markdown]
# *What to see:* at our width, 128, an $\varepsilon$-network must lose a third of the noise's variance, an $x_0$-network
# a thousandth of the digits' (0.0002 per pixel), which no eye sees.
#
# And a lost piece of noise does not vanish. It stays in the picture, enlarged.
#
# ### Exercise 15.2: from noise to image
#
# You wrote it in exercise 3.3. Again, without looking; $t$ is an integer once more. Solve
# $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$ for $x_0$, and read off: an error $\delta$ in
# $\hat\varepsilon$ becomes which error in $\hat x_0$?


# %%
def x0_from_eps(x_t, t, eps, betas):
    """x̂_0 from ε̂; x_t and eps (B, D)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return (x_t - np.sqrt(1 - left) * eps) / np.sqrt(left)
    ### END SOLUTION


check(x0_from_eps)

# %% [markdown]
# The answer: $-\frac{\sigma}{\alpha}\,\delta$. With $\lambda = \ln(\alpha^2/\sigma^2)$ the squared error is multiplied
# by $e^{-\lambda}$. So that of the $\varepsilon$-network's $\hat x_0$ is at least $(1 - W/D)\,e^{-\lambda}$ per
# coordinate, and that is huge where a sampler begins.
#
# Train both, the same network for the same number of steps (a quarter of a minute together). The first minimises
# $\|x_0 - \hat x_0\|^2$, the second DDPM's $\|\varepsilon - \hat\varepsilon\|^2$, each with the one target that was
# drawn (`"single"`), as DDPM does. `td.train` hides a tenth of the labels.

# %%
steps = 600
models = {}
for prediction, weight in (("x0", "x0"), ("eps", "simple")):
    network = td.TimeMLP(D, width=W, blocks=3, classes=10, prediction=prediction, norm=True)
    training = td.train(
        network, process, (small, mnist.labels), steps=steps, batch=256, optimizer="adam", lr=3e-3, ema=0.995,
        weight=weight, times="uniform", targets="single", rng=np.random.default_rng(12),
    )  # fmt: skip
    state = td.last(tqdm(training, total=steps, desc=f"predicting {prediction}", unit="step"))
    models[prediction] = td.NetworkDenoiser(network, state.ema, process)
print(f"{network.size:,} parameters each")

# %% [markdown]
# Give both the same noisy, unseen digits and ask for $\hat x_0$.

# %%
x0, y = small_unseen[:1000], unseen.labels[:1000]
eps = rng.standard_normal(x0.shape).astype(np.float32)
lams = np.array([-4.0, -2.0, 0.0, 2.0, 4.0])
error = {name: [] for name in models}
eps_error, pictures = [], {}
for lam in lams:
    t = float(process.time(lam))
    x_t = process.at(t).perturb(x0, eps)
    answers = {name: model.given(y).x0(x_t, t) for name, model in models.items()}
    for name, answer in answers.items():
        error[name].append(np.mean((answer - x0) ** 2))
    eps_error.append(np.mean((models["eps"].given(y)(x_t, t) - eps) ** 2))
    pictures[lam] = [x_t[:10], answers["x0"][:10], answers["eps"][:10]]
error, eps_error = {name: np.array(e) for name, e in error.items()}, np.array(eps_error)

fig, axes = plt.subplots(3, 1, figsize=(8, 2.8))
for ax, x, name in zip(axes, pictures[0.0], ("$x_t$", "predicting $x_0$", r"predicting $\varepsilon$"), strict=True):
    ax.imshow(sheet(x, 10), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
    ax.spines[:].set_visible(False)
show(fig, "Three rows of the same ten digits: noisy at log-SNR 0, cleaned by the network that predicts x_0, and by the one "
     "that predicts the noise. The second row is clean, the third is covered with grain.")  # fmt: skip

# %% [markdown]
# *What to see:* the same noisy digits, as much noise as signal, cleaned twice. The lower row is grainy. The grain *is*
# the noise that did not fit through the network: a third of the directions, left as they came.

# %%
fig, ax = plt.subplots(figsize=(7.5, 3))
line = np.linspace(-4.3, 4.3, 50)
ax.semilogy(line, (1 - W / D) * np.exp(-line), color=DATA, ls=":")
ax.semilogy(lams, error["eps"], "o-", color=MODEL)
ax.semilogy(lams, error["x0"], "s--", color=EXACT)
ax.text(-2.3, 6, r"predicting $\varepsilon$", color=MODEL)
ax.text(-4.2, 0.05, "predicting $x_0$", color=EXACT)
ax.text(2.2, 0.004, r"floor $(1 - W/D)\,e^{-\lambda}$", color=DATA, ha="right")
ax.set(xlabel="log-SNR λ (noise left, data right), nats", ylabel=r"$E\,\|x_0 - \hat x_0\|^2/D$", ylim=(2e-3, 60))
show(fig, "The error of x_0-hat against log-SNR. The noise-predicting network lies on its floor, a falling line from 19 at "
     "log-SNR minus 4; the x_0-predicting one lies between 0.15 and 0.03 throughout.")  # fmt: skip

# %% [markdown]
# *What to see:* the $\varepsilon$-network is not badly trained. Wherever noise prevails it sits on its floor, which no
# training can lower. Only where hardly any noise is left, at the right, is it the better one. To predict $\varepsilon$
# of images a network must let it through: a U-Net, DDPM's network, carries the noise around its narrow middle by skip
# connections [Ho et al. 2020, App. B]. A like argument, on large transformers, is made by [Li & He
# 2025](https://arxiv.org/abs/2511.13720).
#
# Now sample from both. The chain is DDIM with $\eta = 1$ (notebook 8), in equal steps of $\lambda$ up to $\lambda = 3$,
# where the answer $\hat x_0$ is the last step.

# %%
chain = {"sampler": td.ddim, "steps": 50, "grid": partial(td.grids.even_log_snr, end=3.0), "eta": 1.0}
labels = np.tile(np.arange(10), 4)
digits = {}
for name, w in (("x0", 0.0), ("x0", 1.0), ("eps", 0.0)):
    guided = td.ClassifierFreeGuidance(models[name].given(labels), models[name], w)
    digits[name, w] = td.sample(guided, 40, rng=5, **chain)

fig, axes = plt.subplots(1, 3, figsize=(9, 2.7))
titles = ("predicting $x_0$, w = 0", "predicting $x_0$, w = 1", r"predicting $\varepsilon$, w = 0")
for ax, x, title in zip(axes, digits.values(), titles, strict=True):
    draw(ax, x[:20], 5, title)
show(fig, "Twenty samples each. The network that predicts x_0 draws digits 0 to 9, cleaner with guidance 1; the one that "
     "predicts noise gives black and white noise.")  # fmt: skip
rms = np.sqrt(np.mean(digits["eps", 0.0] ** 2))
print(f"root mean square of a pixel: {np.sqrt(np.mean(small**2)):.2f} of digits; {rms:.0f} of the last, "
      f"which is {rms / np.sqrt(1 - W / D):.0f} if all lies in the lost directions")  # fmt: skip

# %% [markdown]
# *What to see:* digits come out of noise. Predicting $\varepsilon$ through the same width gives nothing. In the lost
# directions $\hat\varepsilon$ is a constant, so no step takes any noise away there. Each step multiplies by
# $\alpha_s/\alpha_t$ and adds fresh noise, which the next steps enlarge too. `td.Cosine` starts at $\lambda = -14$, so
# the first noise comes out $e^7 \approx 1{,}100$ times as large; with the fresh noise it is about 1,400 in a third of
# the directions, and 850 over all pixels.

# %% [markdown]
# ## Digits, full size
#
# An MLP learns each place of a picture anew: at 28 × 28 it took 4.7 million parameters. `td.Mixer` cuts the picture into
# 16 patches and shares its weights over them. In each block one small MLP mixes the patches, the same one for all
# features; then another mixes the features, the same one for all patches [Tolstikhin et al. 2021]. With a tenth of the
# parameters it draws better digits. `make mnist` trains it in nine minutes on two quiet cores, and its averaged weights
# lie beside this notebook. So does a judge, a small classifier that has learned from training digits alone.


# %%
model, judge = digits_model(), digits_judge()


def judged_as(x):
    """What the judge reads in 28 × 28 images, (N,)."""
    return np.argmax(judge.log_p(x, judge.process.t_min), axis=1)


labels = np.tile(np.arange(10), 4)
full = {}
for w in tqdm((0.0, 0.5, 1.5), desc="w"):
    guided = td.ClassifierFreeGuidance(model.given(labels), model, w)
    full[w] = td.sample(guided, len(labels), rng=8, **chain)

right = {w: judged_as(x) == labels for w, x in full.items()}
print("the judge misreads of 40: " + ", ".join(f"{np.sum(~good)} at w = {w:g}" for w, good in right.items()))
doubtful = np.argsort(right[0.0], kind="stable")[:3]  # the misread come first
fig, axes = plt.subplots(2, 3, figsize=(9.2, 3.9), height_ratios=(12, 5))
for (above, below), (w, x) in zip(axes.T, full.items(), strict=True):
    draw(above, x[:20], 5, f"w = {w:g}")
    draw(below, x[doubtful], 3)
show(fig, "Twenty digits of 28 by 28 pixels for each of w = 0, 0.5 and 1.5, from the same noise. They look handwritten. Below, "
     "larger, two 3s and a 2 that are misread at w = 0: each becomes clear with larger w.")  # fmt: skip

# %% [markdown]
# *What to see:* a digit has the same noise in all three sheets. Enlarged below are the three that the judge misreads at
# $w = 0$. With guidance it reads them right. Forty digits cannot show the price. For the README's table an independent
# judge, a convolutional network trained apart, read 4,000: 96 % are of their class at $w = 0$, and 99.8 % at $0.5$. The
# **Fréchet distance** fits two Gaussians $\mathcal N(m_i, C_i)$ to what a layer of the judge makes of samples and of test
# digits, and is $\|m_1 - m_2\|^2 + \operatorname{tr}\big(C_1 + C_2 - 2(C_1C_2)^{1/2}\big)$: 0 if they agree. It is 16
# and 27, where training digits have 5.6. So what guidance makes surer it makes less varied. Less of the price is paid
# where guidance guides only for log-SNRs of $-3$ to $2$, while a stroke becomes a 3 or an 8 [Kynkäänniemi et al. 2024]:
# then 99.5 % are of their class, at a distance of 18. `td.ClassifierFreeGuidance(..., interval=(-3, 2))` does that, and
# so does `make mnist`.
#
# ## Half a digit
#
# A condition need not be a label. Let a part of the picture be known, say its upper half. **Inpainting** by RePaint
# needs no new training: in each step from $t$ to $s$ the unknown pixels take the chain's step, and the known ones a
# fresh draw of what they would be at time $s$,
#
# $$x_s^{\text{known}} = \sqrt{\bar\alpha_s}\;x_0^{\text{known}} + \sqrt{1-\bar\alpha_s}\;\varepsilon$$
#
# [Lugmayr et al. 2022, eq. 8]. The network sees a picture that is everywhere as noisy as it expects, and draws a lower
# half to match.
#
# ### Exercise 15.3: what is known
#
# `s` is an integer from 0 to $T$; at 0 no noise is left.


# %%
def inpaint_known(x_s, known, mask, s, eps, betas):
    """x_s with the known part, where mask is True, drawn from q(x_s | x_0 = known); all arrays (B, D)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:s])
    return np.where(mask, np.sqrt(left) * known + np.sqrt(1 - left) * eps, x_s)
    ### END SOLUTION


check(inpaint_known)

# %% [markdown]
# One pass down the chain is not enough, and *Break it* will show why. So RePaint goes back: after a step from $t$ to
# $s$ it adds the noise of $s \to t$ again and repeats the step, until it has taken it five times (`resamples`).
#
# Six digits that the network has never seen, their upper halves, and five completions of each: three that know the
# label, and two that do not.
#
# **Predict.** Which digits will be completed in more than one way when the label is hidden?

# %%
rows = [np.flatnonzero(unseen.labels == digit)[1] for digit in (0, 3, 4, 5, 7, 9)]
original = unseen.x[rows]
mask = np.arange(784) < 392  # the upper half
known = np.tile(original, (5, 1))
asked = np.concatenate([np.tile(unseen.labels[rows], 3), np.full(12, -1)])  # −1: no label
steps = 40
repaint = partial(td.inpaint, known=known, mask=mask, resamples=5)
path = td.trajectory(model.given(asked), len(known), sampler=repaint, steps=steps, grid=chain["grid"], rng=rng)
filled = td.last(tqdm(path, total=steps + 1))[1]

masked = np.where(mask, original, -0.6)
panels = {"digit": [original], "known": [masked], "three with the label": np.split(filled[:18], 3),
          "two without": np.split(filled[18:], 2)}  # fmt: skip
fig, axes = plt.subplots(1, 4, figsize=(8.4, 5), width_ratios=(1, 1, 3, 2))
for ax, (title, columns) in zip(axes, panels.items(), strict=True):
    draw(ax, np.stack(columns, axis=1).reshape(-1, 784), len(columns), title)
show(fig, "Six digits, their upper halves, three completions that know the label and two that do not. Those with the label "
     "are varied lower halves of the right digit; those without sometimes become another digit.")  # fmt: skip
assert np.array_equal(filled[:, mask], known[:, mask])

# %% [markdown]
# *What to see:* the upper halves are kept, to the last bit, and the lower ones join them. They vary, since many lower
# halves fit. Without the label, a top that allows it is sometimes completed to another digit: here the 5 and the 9.

# %% [markdown]
# ## Break it
#
# **The sign of $w$.** Write $(1-w)\,\hat\varepsilon_c + w\,\hat\varepsilon_u$: both weights still sum to 1, so nothing
# explodes. `check` is not fooled:


# %%
def wrong_sign(c, u, w):
    """The sign of w is wrong."""
    return (1 - w) * c + w * u


print(check(wrong_sign, "cfg"))

# %% [markdown]
# On the small digits we take a plain judge: the label of the nearest of 5,000 training digits. How good is it? The first
# line says. In brackets, standard errors.


# %%
def read(x):
    """What the plain judge reads in 14 × 14 images, (N,)."""
    return mnist.labels[td.nearest(x, small[:5000])[0]]


p = np.mean(read(small_unseen[:400]) == unseen.labels[:400])
print(f"the judge is right on {p:.0%} ({np.sqrt(p * (1 - p) / 400):.1%}) of 400 unseen digits")
labels = np.tile(np.arange(10), 20)
judged = {}
for w in tqdm((-2.0, -1.0, 0.0, 1.0), desc="w"):  # the wrong sign at w is guidance at −w
    guided = td.ClassifierFreeGuidance(models["x0"].given(labels), models["x0"], w)
    x = td.sample(guided, len(labels), rng=6, **chain)
    judged[w] = p = np.mean(read(x) == labels)
    print(f"w = {w:4g}: {p:4.0%} ({np.sqrt(p * (1 - p) / 200):.1%}) of 200 samples are of the class that was asked for")

# %% [markdown]
# With the wrong sign, $w = 1$ (the row $-1$) is the unconditional model, which ignores the request and is right one
# time in ten by chance. With $w = 2$ it is *repelled* by what you asked for. (In the last row the judge does better
# than on true digits: guided ones are plainer, and it finds them easier.)
#
# **Inpainting in one pass.** The known pixels are exact at every step; so is the model's answer. Is one pass then a
# draw of what is unknown, given what is known? Take a law whose conditional we know: two standard normal coordinates
# with correlation $\rho = 0.8$. Given $x_1 = 1$ the other is $\mathcal N(\rho,\ 1 - \rho^2) = \mathcal N(0.8,\ 0.36)$.
# The oracle is the model.

# %%
rho, n = 0.8, 2500
pair = td.Oracle(td.GaussianMixture([1.0], [[0.0, 0.0]], [[[1.0, rho], [rho, 1.0]]]), process)
known, mask = np.ones((n, 2)), np.array([True, False])
filled = {}
for resamples in tqdm((1, 3, 10), desc="resamples"):
    repaint = partial(td.inpaint, known=known, mask=mask, resamples=resamples)
    filled[resamples] = td.sample(pair, n, sampler=repaint, steps=100, rng=rng)[:, 1]

pasted = process.prior(rng, n, pair.like)
levels = [process.at(t) for t in td.grids.even_log_snr(process, 99)]
for now, then in pairwise(levels):  # one pass, and the known coordinate without its noise
    pasted = np.where(mask, known, pasted)
    pasted = td.ddpm_step(pasted, pair.x0(pasted, now), now, then, rng.standard_normal(pasted.shape))
pasted = pair.x0(np.where(mask, known, pasted), levels[-1])

print("x_2 given x_1 = 1           mean   (error)   variance (error)")
rows = {f"RePaint, resamples = {r}": x for r, x in filled.items()} | {"one pass, known unnoised": pasted[:, 1]}
for name, x in rows.items():
    errors = x.std() / np.sqrt(n), x.var() * np.sqrt(2 / n)
    print(f"{name:24s}  {x.mean():7.3f}  ({errors[0]:.3f})   {x.var():7.3f}  ({errors[1]:.3f})")
print(f"{'exact':24s}  {rho:7.3f}            {1 - rho**2:7.3f}")

# %% [markdown]
# One pass loses more than a third of what the known coordinate says. In each step $x_2$ follows a *draw* of the noisy
# $x_1$, and the next step draws that noise afresh: the two never agree on it, and what $x_2$ has learned from one draw
# the next contradicts. Going back and forth lets both settle at each noise level before it falls; with ten rounds the
# mean is nearly where it should be. The variance ends a little low; that is the chain's finite steps (their
# $\tilde\beta$ is right for points, notebook 3). Try 400 of them: on 20,000 points we found a variance of 0.36, but the
# mean did not move (0.77). That takes more rounds: with 40 of them, at 100 steps, 0.79.
#
# The row before the last is a surprise: to paste $x_1 = 1$ *without* noise is not the worse of the two in one pass
# here. It is another approximation, in which the model reckons with noise that is not there. A plausible argument is
# not a measurement.

# %% [markdown]
# ## The numbers
#
# First, one dimension, where guided flow and tilted law are both known: $m = 1$, $V = 0.3$, $w = 2$. The distance of
# two samples gave the variance $V^{1+w}$. The mean $\mu(\alpha)$ obeys the same linear equation. From
# $r^2 = 1 - \alpha^2(1 - V)$ follows $1 - \alpha r'/r = 1/r^2$, so the equation reads
# $\mu' = (1+w)\,\big[m/r^2 + \mu\,r'/r\big]$, or $(\mu\,r^{-(1+w)})' = (1+w)\,m\,r^{-(3+w)}$. Integrate from $\mu = 0$
# at $\alpha = 0$ to $\alpha = 1$, where $r = \sqrt V$:
#
# $$\mu(1) = (1+w)\,m\,V^{(1+w)/2}\int_0^1 \big(1 - \alpha^2(1-V)\big)^{-(3+w)/2}\,d\alpha .$$
#
# A flow on Gaussians is an affine map, so two paths say all about it; a third checks. For other members of notebook
# 9's family, with their $\eta$, we integrate mean and variance: the guided score is linear, $b - Px$.

# %%
m, var, w = 1.0, 0.3, 2.0  # in the text the class's variance is V
of_class = td.Oracle(td.GaussianMixture([1.0], [[m]], [[[var]]]), process)
of_all = td.Oracle(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), process)
guided = td.ClassifierFreeGuidance(of_class, of_all, w)
three = np.array([[-1.0], [0.0], [1.0]])
ends = np.array([process.t_max, process.t_min])
ran = td.probability_flow(guided, three, ends, method="rk45", rtol=1e-9, atol=1e-11)
low, middle, high = td.last(ran)[1][:, 0]
assert np.isclose(middle, (low + high) / 2, rtol=0, atol=1e-6)
flow = middle, ((high - low) / 2) ** 2

nodes, node_weights = np.polynomial.legendre.leggauss(60)
alpha = (nodes + 1) / 2
integral = np.sum(node_weights / 2 * (1 - alpha**2 * (1 - var)) ** (-(3 + w) / 2))
formula = (1 + w) * m * var ** ((1 + w) / 2) * integral, var ** (1 + w)
tilted_variance = 1 / ((1 + w) / var - w)
tilted = tilted_variance * (1 + w) / var * m, tilted_variance


def rates(t, moments, eta):
    """d/dt of mean and variance of guided samples, under the member η of notebook 9's family."""
    now = process.at(t)
    r2 = now.alpha**2 * var + 1 - now.alpha**2
    P, b, half = (1 + w) / r2 - w, (1 + w) * now.alpha * m / r2, (1 + eta**2) * now.g2 / 2
    return (now.f + half * P) * moments[0] - half * b, 2 * (now.f + half * P) * moments[1] - eta**2 * now.g2


by_moments = {
    eta: solve_ivp(rates, ends, (0.0, 1.0), method="LSODA", args=(eta,), rtol=1e-8, atol=1e-10).y[:, -1]
    for eta in (0.0, 1.0, 10.0)
}
print("one dimension, w = 2        mean      variance")
for name, (mean, variance) in {
    "guided flow, rk45": flow,
    "guided flow, formula": formula,
    "reverse SDE, η = 1": by_moments[1.0],
    "more noise, η = 10": by_moments[10.0],
    "tilted law": tilted,
}.items():
    print(f"{name:22s}   {mean:8.4f}     {variance:8.4f}")
assert np.allclose(flow, formula, rtol=2e-3)  # the flow ends at t_min and begins at t_max, not at 0 and ∞
assert np.allclose(formula, (1.60, 0.027), atol=0.005)
assert np.allclose(by_moments[0.0], formula, rtol=2e-3)
assert np.isclose(by_moments[1.0][1], 0.0855, atol=5e-4)
assert np.allclose(tilted, (1.25, 0.125))

now = process.at(0.4)  # at a fixed time the guided score is exactly that of the tilted law of that time
grid = np.linspace(-3, 3, 7)[:, None]
score = -(1 + w) * (grid - now.alpha * m) / (now.alpha**2 * var + now.sigma**2) + w * grid
assert np.allclose(td.score(guided, grid, now), score, rtol=0, atol=1e-12)

# %% [markdown]
# Then the three classes and the networks. The errors in brackets are one standard error.

# %%
labels = np.repeat(np.arange(3), 700)
print("class   mean x_1: data, w = 0 (error)    mean x_2: data, w = 0 (error)")
for y in range(3):
    mean, cov = (moment[0] for moment in data.given(y).moments())
    found, standard = clouds[0][labels == y].mean(axis=0), np.sqrt(np.diag(cov) / 700)
    print(
        f"  {y}        {mean[0]:7.3f} {found[0]:7.3f} ({standard[0]:.3f})         {mean[1]:7.3f} {found[1]:7.3f} ({standard[1]:.3f})"
    )
    assert np.all(np.abs(found - mean) < 4 * standard)

print("\nlog-SNR λ    ε-network's error in ε, floor    error in x_0: ε-network, its floor, x_0-network")
for lam, e, in_x0, direct in zip(lams, eps_error, error["eps"], error["x0"], strict=True):
    print(
        f"{lam:7.0f}           {e:7.3f}  {1 - W / D:7.3f}              {in_x0:15.3f} {(1 - W / D) * np.exp(-lam):11.3f} {direct:11.3f}"
    )
sampling = np.sqrt(2 / (D * (1 - W / D) * len(x0)))  # relative standard error of a mean of squares of Gaussians
assert np.all(eps_error > (1 - W / D) * (1 - 4 * sampling))
assert np.allclose(error["eps"], eps_error * np.exp(-lams), rtol=1e-3)  # float32
assert error["x0"][0] < 0.01 * error["eps"][0]

assert judged[-1.0] < 0.3 < 0.8 < judged[0.0] <= judged[1.0] + 0.05
assert abs(filled[1].mean() - rho) > 10 * filled[1].std() / np.sqrt(n)  # one pass is off
assert abs(filled[10].mean() - rho) < 0.2 * abs(filled[1].mean() - rho)

# %% [markdown]
# ## What you know now
#
# - Guidance is Bayes' rule with the class counted $1 + w$ times: $\hat\varepsilon_w = (1+w)\,\hat\varepsilon(x,t\mid y) - w\,\hat\varepsilon(x,t)$. It
#   buys certainty and pays in variety.
# - At each time its score is that of a tilted law; its samples do not follow the tilted law. In one dimension, with
#   $p_u = \mathcal N(0, 1)$ and a class of variance $V$, those of the flow have the variance $V^{1+w}$.
# - A last layer of width $W$ leaves at least $1 - W/D$ of any white target: predict what has few dimensions, the image, or
#   make the network wide.
# - Inpainting replaces the known part by a draw of $q(x_s \mid x_0)$ in each step, and must go back and forth to be near the
#   conditional law.
#
# **Next:** you have come to the end of the course. [Start here](00_start_here.ipynb) shows all of it on one map. Everything here
# also runs on your own points: `tinydiff train points.csv`.
