# %% [markdown]
# # 5. The bound, every term
#
# **Why does likelihood become a squared error of noise?**
#
# *You need:* `q_sample`, `normal_kl`, `prior_kl`, `snr`, `betas_from_log_snr`, `posterior` and `mixture_x0` of your
# `mine.py`, and the least error of notebook 4.
#
# *Afterwards:* you compute a bound on the likelihood in nats, see where it is loose, and know which numbers are no
# bound.
#
# *Minutes:* 95. *Papers:* Ho et al. 2020, [DDPM](https://arxiv.org/abs/2006.11239), sections 2 and 3; Kingma et al.
# 2021, [Variational diffusion models](https://arxiv.org/abs/2107.00630).

# %% [markdown]
# What you found before. In [notebook 2](02_schedules.ipynb), between normal laws:
# $\mathrm{KL} = \frac12\big(\ln\frac{v_2}{v_1} + \frac{v_1 + (m_1-m_2)^2}{v_2} - 1\big)$. In
# [notebook 3](03_undoing_one_step.ipynb), the posterior of one step:
#
# $$q(x_{t-1} \mid x_t, x_0) = \mathcal N\big(c_t\,x_t + c_0\,x_0,\ \tilde\beta_t I\big), \qquad
#   c_0 = \frac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1 - \bar\alpha_t}, \quad
#   \tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\,\beta_t .$$
#
# In [notebook 4](04_denoiser_is_score.ipynb), the perfect denoiser and the score:
#
# $$\nabla \ln q_t(x_t) = -\frac{\mathbb E[\varepsilon \mid x_t]}{\sqrt{1 - \bar\alpha_t}}, \qquad
#   \mathbb E[x_0 \mid x_t] = \frac{x_t + (1 - \bar\alpha_t)\,\nabla \ln q_t(x_t)}{\sqrt{\bar\alpha_t}} .$$
#
# No guess $\hat\varepsilon$ has a smaller $\mathbb E\|\varepsilon - \hat\varepsilon\|^2$ than the perfect one. That
# least error was the **floor**.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import tinydiff as td
from tinydiff.course import credit, guess, keep, mine, play
from tinydiff.course_tests import bound as tests
from tinydiff.plotting import DATA, EXACT, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(5)
posterior = mine.posterior

# %% [markdown]
# ## Two averages of one rain
#
# A model draws noise, steps back eight times, and arrives at a point. How likely is it to arrive at $x_0 = 0.8$? It may
# come on any path, and nobody can add up all paths. So we let it rain: we take the point and noise it, again and again.
# The model starts from plain noise; each step back is the posterior of notebook 3, with $\hat x_0$ in the place of $x_0$. So a path
# has a density under the model. Each path gets a number, $\ln(p/q)$. Here $p$ is the density of the path under the model, and $q$ its density under
# the noising. Two averages are drawn. Dashed is the mean of the numbers. Solid is the logarithm of the mean *ratio*
# $p/q$, which is the model's density at $x_0$, as we shall see.

# %%
data = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
short = td.Discrete.cosine(8)
oracle = td.Oracle(data, short)  # the perfect denoiser is the model's guess in each step
ts = np.arange(8, 0, -1) / 8
point, n = 0.8, 20_000
path = td.forward_path(short, np.full((n, 1), point), ts, rng)  # x_8, …, x_0
number = td.path_log_ratio(oracle, path, ts)  # of each path, (n,)

fig, (ax, right) = plt.subplots(1, 2, figsize=(6.6, 2.6), layout="none")
fig.subplots_adjust(0.08, 0.2, 0.98, 0.88, 0.15)
drops = ax.plot(np.arange(9), np.stack(path[::-1])[:, :64, 0], color=DATA, lw=0.6, alpha=0.5)
ax.set(xlabel="step t", ylabel="x", ylim=(-3, 3))
edges = np.linspace(-5, 1.5, 41)
bars = right.bar(edges[:-1], np.zeros(40), np.diff(edges), align="edge", color=DATA, alpha=0.5)
mean_of_logs = right.axvline(0, color="black", ls="--", lw=1.5, label="mean of the logarithms")
log_of_mean = right.axvline(0, color="black", lw=1.5, label="logarithm of the mean")
right.set(xlabel="number of a path (nats)", yticks=[], xlim=(-5, 1.5), ylim=(0, 1))
right.legend(loc="upper left", fontsize=7)


def rain(count):
    heights, _ = np.histogram(number[:count], edges)
    for bar, height in zip(bars, heights, strict=True):
        bar.set_height(0.8 * height / heights.max())
    for i, drop in enumerate(drops):
        drop.set_visible(i < count)
    mean_of_logs.set_xdata([number[:count].mean()] * 2)
    log_of_mean.set_xdata([np.log(np.mean(np.exp(number[:count])))] * 2)
    ax.set_title(f"{count:,} paths")


show(
    FuncAnimation(fig, rain, [4, 8, 16, 32, 64, 128, 512, 2048, 20_000], interval=600),
    "A moving picture. Left, more and more noisy paths start at 0.8. Right, the histogram of their numbers grows. A dashed "
    "line, the mean of the logarithms, settles near −0.7, left of a solid line, the logarithm of the mean, near −0.3.",
)

# %% [markdown]
# *What to see:* both lines come to rest, and never at one place. The dashed one stays to the left. The solid one is
# where $\ln p(x_0)$ should be.

# %%
above = guess("Of 100 paths, how many have a number above ln p(x_0)?", ..., "paths")


# %%
def log_normal(x, mean, variance):
    """ln N(x; mean, variance), number by number."""
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))


line = np.linspace(-9, 9, 1801)[:, None]  # on a line one *can* add up all paths: eight integrals on this grid
p = np.exp(log_normal(line[:, 0], 0, 1))  # of x_8
for now, then in pairwise([short.at(t) for t in (*ts, 0.0)]):
    c_t, c_0, variance = td.posterior(now, then)
    mean = c_t * line + c_0 * oracle.x0(line, now)
    variance = variance if then.t else (now.sigma / now.alpha) ** 2
    p = np.exp(log_normal(line, mean.T, variance)) @ p * 0.01  # a row for each x_s, a column for x_t
log_p = np.interp(point, line[:, 0], np.log(p))

z = np.linspace(-7.5, 7.5, 31)  # nodes for a mean over a standard normal z: E f(z) ≈ gauss @ f(z)
gauss = np.exp(-(z**2) / 2) / np.sum(np.exp(-(z**2) / 2))
where = np.linspace(-2.2, 2.2, 89)[:, None]
noise = np.broadcast_to(np.tile(z, len(where))[:, None], (8, len(where) * len(z), 1))
nats = td.elbo(oracle, np.repeat(where, len(z), axis=0), ts, noise=noise).nats
means = -nats.reshape(len(where), len(z)) @ gauss

fig, (ax, right) = plt.subplots(1, 2, figsize=(9, 3.1))
ax.hist(number, bins=90, range=(-5, 1.5), color=DATA, alpha=0.5)
ax.axvline(number.mean(), color="black", ls="--")
ax.axvline(log_p, color=EXACT)
ax.set(xlabel="number of a path (nats)", yticks=[], xlim=(-5, 1.5), title="20,000 paths from 0.8")
right.plot(line, data.log_density(line), ":", color=DATA, lw=1.5, label="ln q, the data")
right.plot(line, np.log(p), color=EXACT, label="ln p, the model")
right.plot(where, means, "--", color="black", label="mean of the logarithms")
right.set(xlim=(-2.2, 2.2), ylim=(-9, 3), xlabel="$x_0$", ylabel="nats", title="at every point")
right.legend(loc="upper center", fontsize=8, ncols=2)

table = "coordinates    logarithm of the mean, for each    weight of the luckiest path\n"
for D in (1, 16, 256):
    many = np.sum([rng.choice(number, n) for _ in range(D)], axis=0)
    weight = np.exp(many - many.max())
    table += f"{D:11d} {(many.max() + np.log(weight.mean())) / D:27.3f} {1 / weight.sum():33.1%}\n"
above.reveal(
    100 * np.mean(number > log_p),
    f"Almost half, yet the mean {number.mean():.3f} lies below ln p = {log_p:.3f} (blue, from integrals on a grid), for a "
    "long tail is far below. The logarithm is concave, so the mean of logarithms is the smaller one, at every point. Why "
    "not use the logarithm of the mean? The table has independent copies of this line, up to 256 coordinates. All rows "
    "should say the same. But soon one lucky path has most of the weight, and the luckier ones are never seen.",
    picture=fig,
    alt="Left, a histogram of the numbers of the paths with a long tail to the left; a dashed line at its mean lies left of a "
    "solid one. Right, over all points, a dashed curve stays below the model's log-density, which is not quite the data's.",
    table=table,
)
assert abs(np.log(np.mean(np.exp(number))) - log_p) < 4 * np.std(np.exp(number - log_p)) / np.sqrt(n)
assert number.mean() < log_p - 0.3

# %% [markdown]
# ## A bound that one can average
#
# Write $x_{1:T}$ for the path $x_1, \dots, x_T$. Multiply and divide by the law of the noising, and pull the logarithm
# inside the mean:
#
# $$\ln p(x_0) = \ln \mathbb E_q\!\left[\frac{p(x_{0:T})}{q(x_{1:T} \mid x_0)}\right]
#   \ \ge\ \mathbb E_q\!\left[\ln\frac{p(x_{0:T})}{q(x_{1:T} \mid x_0)}\right] =: \mathrm{ELBO}(x_0).$$
#
# This is **Jensen's inequality**, and ELBO stands for *evidence lower bound*: evidence is an old name of $p(x_0)$. What
# is lost is a KL, that of the noising paths and the model's paths which end in $x_0$. We speak of $-\mathrm{ELBO}$, a
# price in nats. No KL is negative. So the mean of $-\mathrm{ELBO}$ over the data is at least that of $-\ln p(x_0)$. And
# this is at least the **entropy**, the mean of $-\ln q(x_0)$, since the two differ by $\mathrm{KL}(q\,\|\,p)$.
#
# ## The sum telescopes
#
# Both laws are products over the steps, but in opposite directions. Turn $q$ around by Bayes' rule, for $t \ge 2$:
#
# $$q(x_t \mid x_{t-1}) = q(x_{t-1} \mid x_t, x_0)\ \frac{q(x_t \mid x_0)}{q(x_{t-1} \mid x_0)} .$$
#
# In the product over $t$ each fraction's upper part cancels the next one's lower part. What stays is
#
# $$-\mathrm{ELBO} = \underbrace{\mathrm{KL}\big(q(x_T \mid x_0)\,\|\,p(x_T)\big)}_{L_T}
#   + \sum_{t=2}^{T} \underbrace{\mathbb E\,\mathrm{KL}\big(q(x_{t-1} \mid x_t, x_0)\,\|\,p(x_{t-1} \mid x_t)\big)}_{L_{t-1}}
#   + \underbrace{\mathbb E\big[-\ln p(x_0 \mid x_1)\big]}_{L_0} .$$
#
# $L_T$ is your prior gap. $L_{t-1}$ is the price of one step back. $L_0$ is the price of $x_0$ if one knows $x_1$. The
# model's step is the posterior with a guess: $p(x_{t-1} \mid x_t) = q(x_{t-1} \mid x_t, \hat x_0)$. At $t = 1$ the posterior is a single point, which is no density. There the last step is normal, with mean $\hat x_0$ and variance $(1 - \bar\alpha_1)/\bar\alpha_1$. That is a choice: it
# is the variance of $x_0 = (x_1 - \sqrt{1-\bar\alpha_1}\,\varepsilon)/\sqrt{\bar\alpha_1}$ given $x_1$, if nothing is known
# of $\varepsilon$.
#
# Before any mean is taken, this holds on each path. The cell counts both sides with your functions.

# %%
weights, centres, variances = data.weights, data.means, data.covariances[:, 0, 0]
betas, x0 = short.betas, path[-1]
both = log_normal(path[0], 0, 1) - log_normal(path[0], short.at(1.0).alpha * x0, short.at(1.0).sigma ** 2)
for t, x in zip(range(8, 0, -1), path, strict=False):
    x0_hat = mine.mixture_x0(x, weights, centres, variances, t, betas)
    if t > 1:
        (right_mean, variance), (mean, _) = mine.posterior(x, x0, t, betas), mine.posterior(x, x0_hat, t, betas)
        both += log_normal(path[9 - t], mean, variance) - log_normal(path[9 - t], right_mean, variance)
    else:
        both += log_normal(x0, x0_hat, 1 / mine.snr(1, betas))
print(f"telescoped − as defined, on 20,000 paths: at most {np.max(np.abs(both[:, 0] - number)):.0e} nats")
assert np.allclose(both[:, 0], number, atol=1e-9)

# %% [markdown]
# ### Exercise 5.1 (derive): what a step costs
#
# In $L_{t-1}$ both laws are normal. They have one variance, $\tilde\beta_t$, and their means differ in $x_0$ and
# $\hat x_0$ alone. A guess of $x_0$ is a guess of $\varepsilon$, since both must give the same point:
#
# $$x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\varepsilon
#   = \sqrt{\bar\alpha_t}\,\hat x_0 + \sqrt{1 - \bar\alpha_t}\,\hat\varepsilon .$$
#
# Show that the step costs a number times $\|\varepsilon - \hat\varepsilon\|^2$, and find the number.


# %%
def vlb_weight(t, betas):
    """The number w with KL = w ‖ε − ε̂‖² in step t, for t from 2 to T."""
    ### BEGIN SOLUTION
    left = np.cumprod(1 - betas)
    now, before = left[t - 1] / (1 - left[t - 1]), left[t - 2] / (1 - left[t - 2])
    return 0.5 * (before / now - 1)
    ### END SOLUTION


keep(vlb_weight)

# %% [markdown] tags=["solution"]
# **Solution.** With equal variances only the squared distance of the means is left, $c_0^2\|x_0 - \hat x_0\|^2$ over
# $2\tilde\beta_t$. Then $x_0 - \hat x_0 = -(\varepsilon - \hat\varepsilon)\sqrt{(1-\bar\alpha_t)/\bar\alpha_t}$. What
# remains is algebra: $\bar\alpha_{t-1}\beta_t = \bar\alpha_{t-1} - \bar\alpha_t$ turns the fraction into half of
# $\mathrm{SNR}_{t-1}/\mathrm{SNR}_t - 1$. Most people lose an index here: `betas[t - 2]` belongs to step $t - 1$. So
# this answers the question: likelihood becomes a squared error because each step compares two normal laws of one
# variance.

# %% [markdown]
# ### Exercise 5.2 (derive): any other variance
#
# A model may step with another variance than $\tilde\beta_t$: DDPM also tried $\beta_t$, and some networks learn it.
# Its mean stays $c_t\,x_t + c_0\,\hat x_0$. What does this step cost?


# %%
def elbo_step(x0, x_t, x0_hat, t, variance, betas):
    """KL of the posterior and the model's step, in nats for each row: (B,); x0, x_t, x0_hat (B, D), t from 2 to T."""
    ### BEGIN SOLUTION
    left, before, beta = np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1]), betas[t - 1]
    c_0, exact = np.sqrt(before) * beta / (1 - left), beta * (1 - before) / (1 - left)
    apart = c_0**2 * np.sum((x0 - x0_hat) ** 2, axis=1)
    return x0.shape[1] / 2 * (np.log(variance / exact) + exact / variance - 1) + apart / (2 * variance)
    ### END SOLUTION


keep(elbo_step)

# %% [markdown] tags=["solution"]
# **Solution.** The first law keeps its own variance $\tilde\beta_t$; the model's is free. Most wrong answers use the
# model's variance for both, or forget that each of the $D$ coordinates pays for the variance. $x_t$ cancels in the
# difference of the means. Averaged, the price is least at the variance $\tilde\beta_t + c_0^2\,\mathbb E\|x_0 - \hat
# x_0\|^2/D$: set the derivative to 0.

# %% [markdown]
# Now the whole bound can be computed with your functions. The helper takes means over $x_0$ and $\varepsilon$ on nodes,
# so nothing in it is random.

# %%
nodes = np.linspace(-6, 6, 13)
in_mode = np.exp(-(nodes**2) / 2) / np.sum(np.exp(-(nodes**2) / 2))
points = (centres + np.sqrt(variances)[:, None] * nodes).reshape(-1, 1)  # x_0, (26, 1)
chances = np.outer(weights, in_mode).ravel()
X0, EPS = np.repeat(points, len(z), axis=0), np.tile(z, len(points))[:, None]
chance = np.outer(chances, gauss).ravel()
entropy, _ = data.entropy()


def terms(betas, own=None):
    """L_T, [L_1, …, L_{T−1}] and L_0 of the perfect denoiser; `own` holds the T variances of the steps, from t = 1."""
    prices = np.zeros(len(betas))
    q_sample, guess_of, price_of = mine.q_sample, mine.mixture_x0, mine.elbo_step
    for t in range(1, len(betas) + 1):
        x = q_sample(X0, t, EPS, betas)
        x0_hat = guess_of(x, weights, centres, variances, t, betas)
        if t > 1:
            variance = posterior(x, X0, t, betas)[1] if own is None else own[t - 1]
            prices[t - 1] = chance @ price_of(X0, x, x0_hat, t, variance, betas)
        else:
            variance = 1 / mine.snr(1, betas) if own is None else own[0]
            L_0 = chance @ -log_normal(X0, x0_hat, variance)[:, 0]
    return chances @ mine.prior_kl(points, betas), prices[1:], L_0


# %% [markdown]
# ## What everybody leaves out
#
# DDPM trains on $L_\text{simple}$, the mean of $\|\varepsilon - \hat\varepsilon\|^2$ over all $t$, *without* the
# weights. Take the paper's chain of 1,000 steps and two models that are perfect, but for small errors of
# $\hat\varepsilon$. Model A has an error of mean square 0.05 at $2 \le t \le 50$. Model B has 0.01 at all $t > 50$.
# Such an error adds to the floor.

# %%
lower = guess("A has the lower L_simple. Which has the lower −ELBO?", ["A", "B", "equal"])

# %%
by = credit("vlb_weight")
paper = np.linspace(1e-4, 0.02, 1000)
chain = td.Discrete(paper)
lam = chain.log_snr(np.arange(1, 1001) / 1000)
weight = np.array([mine.vlb_weight(t, paper) for t in range(2, 1001)])
fall, middle = -np.diff(lam), (lam[1:] + lam[:-1]) / 2
fig, ax = plt.subplots(figsize=(7.2, 2.9))
ax.plot(middle, weight / fall / weight.sum(), color=by.color, label="the bound")
ax.plot(middle, 1 / fall / len(fall), "--", color="black", label="$L_{simple}$")
ax.set(xlabel="log-SNR λ (nats): noise on the left, data on the right", ylabel="share of the weight\nfor a nat of λ")
ax.set(ylim=(0, 0.12))
ax.legend(loc="upper right")
fig.suptitle(by.title)

floor_at = np.linspace(-10.1, 14.1, 300)
floors = np.array([td.Oracle(data, td.VP()).floor(td.VP().time(one)) for one in floor_at])
prior, steps, L_0 = terms(paper)
step = np.arange(2, 1001)
table, price = "            L_simple    −ELBO\n", {}
for name, error in {"perfect": 0 * step, "A": 0.05 * (step <= 50), "B": 0.01 * (step > 50)}.items():
    simple = np.sum(np.interp(lam, floor_at, floors)) + np.sum(error)
    price[name] = prior + np.sum(steps + weight * error) + L_0
    table += f"{name:10s} {simple / 1000:9.4f} {price[name]:9.3f}\n"
lower.reveal(
    "B",
    "In the bound every nat of log-SNR has almost the same weight. L_simple hardly looks at the right, where details are "
    "decided. A's errors are there. DDPM's authors leave the weights out because the pictures look better so. That is a "
    "choice, and a good one for eyes. It makes L_simple no likelihood.",
    picture=fig,
    alt="Two curves of weight over log-SNR with one area. That of the bound is nearly flat and rises at the right end. That of "
    "L_simple is a broad hump on the noisy side and almost zero on the right.",
    table=table,
)
assert price["B"] < price["A"]

# %% [markdown]
# ## More steps
#
# Place $T$ steps evenly in $\lambda$, from −10 to 14, and let the denoiser be perfect. The bound stays above the
# entropy, by a gap.

# %%
halved = guess("T doubles. By which factor does the gap change?", ...)

# %%
by = credit("betas_from_log_snr", "elbo_step", "mixture_x0")
counts = np.array([20, 40, 80, 160, 320])
gaps = []
for T in counts:
    prior_T, steps_T, L_0_T = terms(mine.betas_from_log_snr(np.linspace(14, -10, T)))
    gaps.append(prior_T + steps_T.sum() + L_0_T - entropy)
fig, (ax, right) = plt.subplots(1, 2, figsize=(9, 3))
ax.semilogx(counts, np.array(gaps) + entropy, "o-", color=by.color, label="−ELBO")
ax.axhline(entropy, color=EXACT, label="entropy of the data")
ax.set(xlabel="number of steps T", ylabel="nats", ylim=(0, 7))
ax.legend()
right.loglog(counts, gaps, "o-", color=by.color, label="gap")
right.loglog(counts, gaps[-1] * counts[-1] / counts, ":", color="black", label="slope −1")
right.set(xlabel="number of steps T", ylabel="nats above the entropy")
right.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
right.legend()
for one in (ax, right):
    one.set_xticks(counts, [str(T) for T in counts])
    one.minorticks_off()
fig.suptitle(by.title)
halved.reveal(
    gaps[-1] / gaps[-2],
    f"Twice the steps, half the gap: at {counts[-1]} steps it is {gaps[-1]:.3f} nats. "
    "In the limit, with wide ends, nothing is left, and the schedule between its ends does not matter any more (Kingma et al. "
    "2021). At each finite T it does.",
    picture=fig,
    alt="Left, the bound falls from 6.5 nats at 20 steps towards the line of the entropy at 0.77. Right, the gap over the "
    "number of steps on logarithmic axes approaches a dotted line of slope −1.",
)
assert 0.45 < gaps[-1] / gaps[-2] < 0.55

# %% [markdown]
# Draw each step as a bar over its piece of the $\lambda$-axis, so that its area is its price. The curve is half the
# floor of notebook 4. It is what ever shorter steps cost, since the weight of a short step is half its fall of
# $\lambda$ (exercise 5.1). Move the number of steps, and the log-SNR after the first and after the last step. Find the
# place where 20 steps have the smallest gap, and look which bars stick out.


# %%
def draw(T, start, end):
    by = credit("elbo_step", "mixture_x0")
    grid = np.linspace(start, end, T)
    betas = mine.betas_from_log_snr(grid)
    prior, steps, L_0 = terms(betas)
    fig, ax = plt.subplots(figsize=(7.2, 3.3))
    ax.bar(
        grid[1:], steps / -np.diff(grid), -np.diff(grid), align="edge", color=by.color, alpha=0.4, edgecolor=by.color
    )
    ax.plot(floor_at, floors / 2, color=EXACT)
    ax.set(xlabel="log-SNR λ (nats)", ylabel="nats for a nat of λ", xlim=(-10, 10), ylim=(0, 1.2))
    gap = prior + steps.sum() + L_0 - entropy
    ax.set_title(f"$L_T$ {prior:.3f}, steps {steps.sum():.3f}, $L_0$ {L_0:.3f}: gap {gap:.3f} nats")
    fig.suptitle(by.title)
    return fig


play(
    draw,
    "Bars over the axis of log-SNR from −10 to 8, one for each of 20 steps, above a rising curve, half the floor. The bars "
    "stick out most on the right, near the data. The gap is 1.84 nats.",
    T=(4, 60, 20),
    start=(2.0, 10.0, 8.0),
    end=(-10.0, 2.0, -10.0),
)

# %% [markdown]
# The bars near the data stick out most. At its best the chain ends with the data half visible, where notebook 2 wanted
# an end in pure noise. On this line a prior gap is cheap: one coordinate pays a few tenths of a nat, and all steps go
# where the curve is steep. An image with 784 coordinates would pay each of them.
#
# ## Five reports
#
# Five people report the "negative log-likelihood" of one model: the perfect denoiser on the paper's chain. The entropy
# of the data is the black line. `terms(paper)` gives the three parts of the right number.

# %%
total = prior + steps.sum() + L_0
reports = tests.reports()
fig, ax = plt.subplots(figsize=(7.2, 2.4))
ax.bar(list(reports), [min(value, 6) for value in reports.values()], color="white", edgecolor="black", width=0.6)
ax.axhline(entropy, color="black", lw=1)
for letter, value in reports.items():
    ax.text(letter, min(value, 6) + 0.1, f"{value:.3f}", ha="center")
ax.set(ylabel="nats", ylim=(0, 7))
print("entropy", f"{entropy:.3f};", ", ".join(f"{letter} {value:.3f}" for letter, value in reports.items()))
show(
    fig,
    "Five bars, a to e: 4.396, 0.227, infinity, 1.209 and 4.895 nats, and a line at the entropy, 0.765. Only bar b is below "
    "the line.",
)

# %% [markdown]
# *What to see:* one number is below the entropy, which no likelihood can be. One is infinite. Three look possible.

# %% [markdown]
# ### Exercise 5.3 (diagnose): who is right?
#
# Say what happened to each. 1: nothing, it is right. 2: $L_0$ was left out. 3: $L_0$ lost its constant. 4: the weights
# were left out. 5: the step $t = 1$ was treated like the others. Then mend the program of 3. `loss[t - 1]` is the mean
# of $\|\varepsilon - \hat\varepsilon\|^2$ at step $t$, the sum over the $D$ coordinates, and `weights` are those of $t
# \ge 2$.

# %%
faults = ...  # five digits for a to e, such as "12345"


def mended(loss, weights, prior, snr_1, D):
    nats = prior  # 1: L_T
    nats = nats + np.sum(weights * loss[1:])  # 2: all steps from t = 2 on
    nats = nats + 0.5 * loss[0]  # 3: L_0
    return nats  # 4


### BEGIN SOLUTION
faults = "24513"


def mended(loss, weights, prior, snr_1, D):
    nats = prior
    nats = nats + np.sum(weights * loss[1:])
    nats = nats + 0.5 * loss[0] + 0.5 * D * np.log(2 * np.pi / snr_1)
    return nats


### END SOLUTION


keep(faults, mended, test=tests.five_reports)

# %% [markdown] tags=["solution"]
# **Solution.** b is below the entropy: it is $L_\text{simple}$, which is not in nats at all. c: with $\bar\alpha_0 = 1$
# the weight of $t = 1$ has a 0 below. The other three need your own sum: steps and $L_T$ alone are a, so $L_0$ is
# missing there. e is a plus half a loss. So the squared error of $L_0$ is in it, and something negative was lost: the
# normal density of variance $1/\mathrm{SNR}_1$ has the constant $\frac D2\ln(2\pi/\mathrm{SNR}_1)$. Most people think
# that a price cannot be negative; that of a density can.

# %% [markdown]
# ### Exercise 5.4 (prove): a bound without a gap
#
# Let the data be normal, $\mathcal N(m, v)$ on a line. Start from the true law of $x_T$, and let each step have the
# mean of the posterior with the perfect $\hat x_0$. Show that one variance for each step makes the number of *every*
# path equal to $\ln q(x_0)$. So nothing is lost, even in a single step from noise to data. Enter the variance.


# %%
def tight_variance(t, v, betas):
    """The variance of step t, from 1 to T, for data of variance v: a number."""
    ### BEGIN SOLUTION
    left = np.concatenate([[1.0], np.cumprod(1 - betas)])
    total = left * v + 1 - left  # the variances of x_0, …, x_T
    return betas[t - 1] * total[t - 1] / total[t]
    ### END SOLUTION


keep(tight_variance, test=tests.tight_variance, into=None)

# %% [markdown] tags=["solution"]
# **Solution.** If the model's steps are the *true* ones, $p(x_{0:T}) = q(x_{0:T}) = q(x_0)\,q(x_{1:T} \mid x_0)$, and
# the ratio is $q(x_0)$ on every path. For normal data the true step is normal, with the right mean by construction. Its
# variance follows from precisions that add: $1/V_{t-1} + (1-\beta_t)/\beta_t = V_t/(\beta_t V_{t-1})$, with $V_t =
# \bar\alpha_t v + 1 - \bar\alpha_t$. At $v = 0$ it is $\tilde\beta_t$, at $v = 1$ it is $\beta_t$: DDPM's two choices.
# So a bound is not loose because steps are few. It is loose where the true step is no normal law of the model's
# variance.

# %% [markdown]
# ## Your bound, term by term
# The paper's chain once more, 1,000 steps, with your denoiser, your noising and your prices. Where does its gap come
# from? Average over the data. The noising can be read backwards, too, by its *true* steps back:
#
# $$q(x_{0:T}) = q(x_T)\,\prod_{t=1}^{T} q(x_{t-1} \mid x_t) .$$
#
# So the gap is a sum of what each step loses against the true one:
#
# $$\mathbb E[-\mathrm{ELBO}] - \text{entropy} = \mathrm{KL}\big(q(x_T)\,\|\,p(x_T)\big)
#   + \sum_{t=1}^{T} \mathbb E\,\mathrm{KL}\big(q(x_{t-1} \mid x_t)\,\|\,p(x_{t-1} \mid x_t)\big) .$$
#
# The denoiser is perfect, so the true step has the model's mean. It can differ in its variance and in its shape. The
# cell counts once more, with DDPM's other variance, $\beta_t$.

# %%
by = credit("q_sample", "mixture_x0", "prior_kl", "elbo_step")
other = terms(paper, np.concatenate([[1 / mine.snr(1, paper)], paper[1:]]))
gap_beta = other[0] + other[1].sum() + other[2] - entropy
print(f"L_T {prior:.5f} + steps {steps.sum():.3f} + L_0 {L_0:.3f} = {total:.3f} nats; the entropy is {entropy:.3f}")
print(f"the gap: {total - entropy:.3f} nats with the variances of the posterior, {gap_beta:.3f} with β")
groups = {"$L_0$": L_0, "t = 2": steps[0], "3–10": steps[1:9].sum(), "11–100": steps[9:99].sum()}
groups |= {"101–1000": steps[99:].sum(), "$L_T$": prior}
starts = np.concatenate([[0], np.cumsum(list(groups.values()))[:-1]])
fig, (ax, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=[1, 1.35])
ax.loglog(np.arange(2, 1001), steps, color=by.color)
ax.set(xlabel="step t", ylabel="price (nats)", title="each step")
right.bar(list(groups), list(groups.values()), bottom=starts, color=by.color, alpha=0.7, width=0.75)
for place, (start, height) in enumerate(zip(starts, groups.values(), strict=True)):
    right.text(place, max(start, start + height) + 0.08, f"{height:+.2f}".replace("-", "−"), ha="center", fontsize=9)
right.axhline(entropy, color=EXACT, lw=1.5)
right.text(-0.4, entropy + 0.12, "entropy of the data", color=EXACT, fontsize=9)
right.set(ylabel="nats", ylim=(-3.6, 2.4), title="stacked up, they are the bound")
fig.suptitle(by.title)
show(
    fig,
    "Left, the price of each step on logarithmic axes, falling from 0.6 nats at t = 2 to under a millionth at t = 1000. "
    "Right, bars stacked from L_0 at −3.19 upwards; the last ends at 1.21, above the line of the entropy at 0.77.",
)
assert entropy < total
assert abs(total - 1.209) < 1e-3

# %% [markdown]
# *What to see:* the steps near the data are dear, those in the noise cost next to nothing. $L_0$ is negative, since it
# is the price of a narrow density. The stack ends 0.443 nats above the entropy, and nearly all of that is a wrong
# variance: with $\beta_t$ the gap is 0.006.

# %%
mine

# %% [markdown]
# ### Exercise 5.5 (design): twenty steps
#
# You have 20 steps and the perfect denoiser for these data. Choose the grid `lam`, from $\lambda_1$ down to
# $\lambda_{20}$, and the 20 variances, the first for $t = 1$. Bring −ELBO within 0.15 nats of the entropy. `terms` is
# your judge. Which variance makes your `elbo_step` smallest on average? At $t = 1$ it is $L_0$ that counts. The ends of
# the grid are yours too. Some first tries:


# %%
def gap_of(lam, own=None):
    """−ELBO − entropy (nats) of the chain with this curve and these variances."""
    prior, steps, L_0 = terms(mine.betas_from_log_snr(lam), own)
    return prior + steps.sum() + L_0 - entropy


print("20 steps                                      gap (nats)")
for last in (14, 8, 6, 4):
    print(f"even from {last} to −10, variances β̃ {gap_of(np.linspace(last, -10, 20)):20.3f}")
grid = np.linspace(4, -10, 20)
ddpm = np.concatenate([[np.exp(-4)], mine.betas_from_log_snr(grid)[1:]])
print(f"even from 4 to −10, variances β {gap_of(grid, ddpm):22.3f}")

# %%
lam_20, own_20 = ..., ...  # the curve, and the variances

### BEGIN SOLUTION


def best_variances(lam):
    """β̃ + c_0² E‖x_0 − x̂_0‖² of each step."""
    betas, found = mine.betas_from_log_snr(lam), []
    for t in range(1, len(lam) + 1):
        x = mine.q_sample(X0, t, EPS, betas)
        error = chance @ (X0 - mine.mixture_x0(x, weights, centres, variances, t, betas))[:, 0] ** 2
        c_0, variance = mine.posterior(np.zeros((1, 1)), np.ones((1, 1)), t, betas)
        found.append(variance + c_0[0, 0] ** 2 * error)
    return np.array(found)


lam_20 = np.linspace(4.5, -1.25, 20)
own_20 = best_variances(lam_20)
### END SOLUTION

keep(lam_20, own_20, test=tests.twenty_steps)

# %% [markdown] tags=["solution"]
# **Solution.** Three ideas, each found by moving one thing in the play. The best variance is $\tilde\beta_t +
# c_0^2\,\mathbb E\|x_0 - \hat x_0\|^2$, by a derivative of the mean price; at $t = 1$ it is the error itself. Alone it
# gives 0.15. The last step to the data need not be tiny: around $\lambda = 4$ the modes are resolved. And the first
# need not be in pure noise: on a line a prior gap at $\lambda = -1.25$ costs a tenth of a nat, and all 20 steps go
# where the curve is steep. For independent copies of this line all prices grow alike, and the same grid is best.

# %% [markdown]
# ## Open problem

# %% [markdown]
# ### Exercise 5.6 (open): ten steps
#
# Now 10 steps. The grids above are even. Bend yours. No best grid is known to us.

# %%
print("10 steps                                           gap (nats)")
print(f"even from 4 to −10, variances β̃ {gap_of(np.linspace(4, -10, 10)):25.3f}")
print("even from 4 to −10, best variances                      0.287")
print("ours, an even grid with other ends                      0.126")

# %%
lam_10, own_10 = ..., ...

### BEGIN SOLUTION
lam_10 = np.linspace(3.75, -1.25, 10)
own_10 = best_variances(lam_10)
### END SOLUTION

keep(lam_10, own_10, test=tests.ten_steps)

# %% [markdown] tags=["solution"]
# **Solution.** Ours is the even grid with the best two ends. Descent on all ten $\lambda$, by
# `scipy.optimize.minimize`, beat it by a sixth: long steps at both ends and short ones where the two modes part.

# %% [markdown]
# ## What you know now
#
# - $\ln p(x_0)$ is out of reach. The mean of logarithms, the ELBO, lies below it and can be averaged.
# - It is a sum of three: the prior gap, the price of each step, and the price of $x_0$ given $x_1$.
# - Likelihood becomes a squared error because a step compares two normal laws that differ in their means.
# - With the perfect denoiser and ever more steps the bound falls to the entropy [Guo, Shamai & Verdú 2005,
#   [I-MMSE](https://arxiv.org/abs/cs/0412108)].
# - $L_\text{simple}$ is the bound with other weights [Kingma & Gao 2023, [Understanding diffusion
#   objectives](https://arxiv.org/abs/2303.00848)]. Train with it if you like. It is no likelihood.
# - Papers on images quote *bits per dimension*: nats, divided by $D \ln 2$.
# <details><summary>The proof of 5.4, when your test is green</summary>
#
# If the model's steps are the true ones, $p(x_{0:T}) = q(x_0)\,q(x_{1:T} \mid x_0)$, and the ratio is $q(x_0)$ on every
# path. For normal data the true step back is normal. Write $V_t = \bar\alpha_t v + 1 - \bar\alpha_t$ for the variance
# of $x_t$. Then precisions add, as in notebook 3:
#
# $$\frac1{V_{t-1}} + \frac{1-\beta_t}{\beta_t} = \frac{V_t}{\beta_t\,V_{t-1}}, \qquad \sigma_t^2 = \frac{\beta_t\,V_{t-1}}{V_t} .$$
#
# </details>
#
# <details><summary>The derivation of 5.1, when your check is green</summary>
#
# The variances are equal, and the means differ by $c_0\,(x_0 - \hat x_0)$, so the step costs
# $c_0^2\,\|x_0 - \hat x_0\|^2 / 2\tilde\beta_t$. Put in $c_0$ and $\tilde\beta_t$, with
# $\bar\alpha_{t-1}\beta_t = \bar\alpha_{t-1} - \bar\alpha_t$:
#
# $$\frac{c_0^2}{\tilde\beta_t} = \frac{\bar\alpha_{t-1} - \bar\alpha_t}{(1-\bar\alpha_{t-1})(1-\bar\alpha_t)}
#   = \mathrm{SNR}_{t-1} - \mathrm{SNR}_t .$$
#
# As $\|x_0 - \hat x_0\|^2 = \|\varepsilon - \hat\varepsilon\|^2/\mathrm{SNR}_t$, the number is
#
# $$w_t = \tfrac12\Big(\frac{\mathrm{SNR}_{t-1}}{\mathrm{SNR}_t} - 1\Big) .$$
#
# For a short step, $w_t$ is half its fall of $\lambda$: each nat of log-SNR weighs the same.
#
# </details>
#
# <details><summary>The derivation of 5.2, when your check is green</summary>
#
# Put $m_1 - m_2 = c_0\,(x_0 - \hat x_0)$, $v_1 = \tilde\beta_t$ and the model's variance $v_2 = v$ into the KL, and add
# the $D$ coordinates:
#
# $$\tfrac D2\Big(\ln\frac{v}{\tilde\beta_t} + \frac{\tilde\beta_t}{v} - 1\Big) + \frac{c_0^2\,\|x_0 - \hat x_0\|^2}{2v} .$$
#
# </details>
#
# **Next:** [6. A network of your own](06_your_network.ipynb). So far the denoiser was a formula. Now it learns.
