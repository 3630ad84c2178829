# %% [markdown]
# # 2. Schedules are SNR curves
#
# **Does $T$, the number of steps, matter?**
#
# *You need:* notebook 1, and the logarithm. *To read:* 35 minutes. *To work:* 40 minutes.
# *Paper:* Kingma et al. 2021, [VDM](https://arxiv.org/abs/2107.00630), §3.
#
# The first notebook ended with one line, $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$, in
# which only $\bar\alpha_t$ remembers the schedule. Papers offer many schedules, and many numbers of steps. Here you
# learn to see them all as one kind of curve, to tell at a glance which parts of a schedule do any work, and to notice
# when one of them stops too early.

# %%
from decimal import Decimal, localcontext

import matplotlib.pyplot as plt
import numpy as np

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(2)

# %% [markdown]
# ## Only a ratio matters
#
# Write $\alpha = \sqrt{\bar\alpha}$ for the coefficient of the signal and $\sigma = \sqrt{1-\bar\alpha}$ for that of
# the noise, and let time $t$ run from 0, the data, to 1, noise: step $n$ of $T$ is the time $n/T$. A **forward
# process** is then a pair of functions,
#
# $$x_t = \alpha(t)\,x_0 + \sigma(t)\,\varepsilon .$$
#
# Noising steps of notebook 1 keep $\alpha^2 + \sigma^2 = 1$; such processes are called **variance preserving**. Others
# do not bother: the **variance exploding** process keeps $\alpha = 1$ and adds ever more noise, and the **straight**
# path has $\alpha = 1 - t$, $\sigma = t$. Are they different? Divide the line by $\alpha$:
#
# $$\frac{x_t}{\alpha} = x_0 + \frac{\sigma}{\alpha}\,\varepsilon .$$
#
# On the right the process enters by one number, $\sigma/\alpha$. Two processes that have the same $\sigma/\alpha$ (one
# at its time, the other at *its* time) therefore show the same noisy data, up to a factor $\alpha$ that everybody knows
# and can divide out. Whatever can be guessed about $x_0$ from one can be guessed from the other, exactly as well. The
# number has a name, in this form: the **signal-to-noise ratio**
#
# $$\mathrm{SNR} = \frac{\alpha^2}{\sigma^2}\,, \qquad\text{so that after $t$ steps}\quad
#   \mathrm{SNR}(t) = \frac{\bar\alpha_t}{1-\bar\alpha_t} \quad\text{[VDM, eq. 2]}.$$
#
# ### Exercise 2.1: the signal-to-noise ratio
#
# In the exercises $t$ is the number of steps, an integer from 1 to $T$, and `betas[t - 1]` is $\beta_t$, as before.


# %%
def snr(t, betas):
    """The signal-to-noise ratio after t steps: a number."""
    ### BEGIN SOLUTION
    alpha_bar = np.prod(1 - betas[:t])
    return alpha_bar / (1 - alpha_bar)
    ### END SOLUTION


check(snr)

# %% [markdown]
# ## Three processes, one ratio
#
# In the library a process *is* its two functions, `alpha(t)` and `sigma(t)`, $t$ from 0 to 1. Its `time(lam)` finds the
# time at which $\ln \mathrm{SNR}$ is `lam`. And `now = process.at(t)` is the process stopped at one time, a **level**: it
# has the numbers `now.alpha`, `now.sigma`, `now.snr` and `now.log_snr`, and `now.perturb(x0, eps)` is
# $\alpha x_0 + \sigma\varepsilon$. We stop three processes where signal and noise have the same variance, SNR = 1, and
# give all three the same data and the same draws of noise.
#
# **Predict.** Is the cloud the same in all three? If not, how do they differ?

# %%
data = td.toys.ring8()  # eight modes on a circle, a mixture of Gaussians in the plane
x0 = data.sample(rng, 1500)
eps = rng.standard_normal(x0.shape)
processes = {"straight": td.Straight(), "VP": td.VP(), "VE": td.VE()}
curves = {"straight": ("--", MODEL), "VP": ("-", EXACT), "VE": (":", "black")}

fig, axes = plt.subplots(1, 4, figsize=(9, 2.7))
plane, t = axes[0], np.linspace(0, 1, 400)
plane.plot([0, 1.4], [0, 1.4], color=DATA, lw=1)
plane.text(0.03, 0.13, "SNR = 1", color=DATA, rotation=45, fontsize=9)
for ax, (name, process) in zip(axes[1:], processes.items(), strict=True):
    line, color = curves[name]
    now = process.at(process.time(np.log(1.0)))
    plane.plot(process.alpha(t), process.sigma(t), line, color=color)
    plane.plot(now.alpha, now.sigma, "o", color=color)
    x = now.perturb(x0, eps)  # α x_0 + σ ε
    ax.scatter(x[:, 0], x[:, 1], s=8, color=color, alpha=0.5, linewidths=0)
    ax.plot(*(now.alpha * data.means).T, "o", color=DATA, mec="white", ms=5)
    ax.set(title=f"{name}, t = {now.t:.2f}", xlim=(-3.6, 3.6), ylim=(-3.6, 3.6))
    ax.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2])
    ax.set_box_aspect(1)
plane.set(title="three paths", xlim=(0, 1.4), ylim=(0, 1.4), xticks=[0, 1], yticks=[0, 1])
plane.set(xlabel=r"signal $\alpha$", ylabel=r"noise $\sigma$")
plane.set_box_aspect(1)
plane.text(0.3, 1.02, "VP", color=EXACT)
plane.text(0.24, 0.05, "straight", color=MODEL)
plane.text(1.05, 1.2, "VE", color="black")
show(
    fig,
    "Left, three paths in the plane of alpha and sigma: a chord, a quarter circle and a vertical line, which "
    "all cross the ray SNR = 1. Right, three clouds of points at the crossings, with the eight centres of the "
    "modes: the same picture in three sizes.",
)

# %% [markdown]
# *What to see:* a process is a path from $(1, 0)$ to noise, and a ratio is a ray from the origin, which each of these
# paths crosses (down to the SNR at which it ends). On the ray the three clouds are one picture in three sizes, its
# centres (grey) at distances in proportion to $\alpha$, reached at three different times. So $t$ is only a label: one
# event, three clocks.
#
# A perfect guess of $x_0$ should not notice the difference. The library has one: the `Oracle` knows the mixture and
# gives $\mathbb E[x_0 \mid x_t]$ by formula: the mean of all the $x_0$ that could have led to $x_t$,
# weighted by how likely each is.

# %%
for lam in (4.0, 0.0, -4.0):
    seen = {}
    for name, process in processes.items():
        now = process.at(process.time(lam))
        x = now.perturb(x0, eps)
        seen[name] = x / now.alpha, td.Oracle(data, process).x0(x, now)
    apart = [max(np.max(np.abs(seen[name][i] - seen["VP"][i])) for name in seen) for i in (0, 1)]
    print(f"ln SNR = {lam:4.0f}: largest difference of x/α {apart[0]:.0e}, of the best guesses of x_0 {apart[1]:.0e}")
    assert max(apart) < 1e-10  # rounding, magnified by 1/α

# %% [markdown]
# ## The right scale is logarithmic
#
# From data to noise the SNR falls from infinity to nearly 0, through many powers of ten. Its logarithm
# $\lambda = \ln \mathrm{SNR}$, the **log-SNR**, is in **nats**, units of the natural logarithm. A variance-preserving
# process can be read off from it: solve $e^\lambda = \bar\alpha/(1-\bar\alpha)$ for $\bar\alpha$,
#
# $$\bar\alpha = \frac{e^\lambda}{1 + e^\lambda} = \frac{1}{1+e^{-\lambda}} = \mathrm{sigmoid}(\lambda), \qquad 1 - \bar\alpha = \mathrm{sigmoid}(-\lambda).$$
#
# So a schedule *is* the curve $\lambda(t)$, and the only rule is that it falls. At $\lambda = 5$ the noise has less
# than 1 % of the variance, and at $\lambda = -5$ the signal has. What happens between is what a model has to learn.
#
# Let us collect schedules. The **linear** one you know. The **quadratic** one lets $\sqrt{\beta}$ rise along a line,
# the **sigmoid** one lets $\beta$ rise along an S, that of the sigmoid function between −6 and 6. The **cosine**
# schedule [Nichol & Dhariwal 2021, [Improved DDPM](https://arxiv.org/abs/2102.09672), §3.2] begins at the other end: it
# prescribes $\bar\alpha$ and lets $\beta$ follow,
#
# $$\bar\alpha_t = \frac{f(t)}{f(0)}, \qquad f(t) = \cos^2\!\Big(\frac{t/T + s}{1+s}\cdot\frac\pi2\Big), \qquad
#   \beta_t = 1 - \frac{\bar\alpha_t}{\bar\alpha_{t-1}}, \text{ but at most } 0.999,$$
#
# where the small offset $s = 0.008$ makes the first steps not too tiny. The clip at 0.999 acts on the last step alone,
# where the formula would say $\bar\alpha_T = 0$: nothing left at all.
#
# ### Exercise 2.2: the cosine schedule
#
# As the formula has it, without the clip.


# %%
def cosine_alpha_bar(t, T, s=0.008):
    """ᾱ_t of the cosine schedule, t from 0 to T: a number."""
    ### BEGIN SOLUTION
    f_t = np.cos((t / T + s) / (1 + s) * np.pi / 2) ** 2
    f_0 = np.cos(s / (1 + s) * np.pi / 2) ** 2
    return f_t / f_0
    ### END SOLUTION


check(cosine_alpha_bar)

# %% [markdown]
# **Predict.** Halfway, at $t = \tfrac12$, the cosine schedule has as much signal as noise, $\lambda \approx 0$. The
# linear schedule's $\beta$ is then 0.01, just half of its last value. Is its $\lambda$ at $t = \tfrac12$ near 0 too,
# above, or below?

# %%
T = 1000
t = np.arange(1, T + 1) / T
chains = {"linear": "-", "quadratic": "--", "sigmoid": "-.", "cosine": ":"}
continuous = {"VP": td.VP(), "VE": td.VE(), "Cosine": td.Cosine(), "Straight": td.Straight()}
colors = [EXACT, "#009E73", "#E69F00", "#CC79A7"]

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True)
for (name, line), color in zip(chains.items(), colors, strict=True):
    left.plot(t, getattr(td.Discrete, name)(T).log_snr(t), line, color=color, label=name)
for (name, process), line, color in zip(
    continuous.items(), ("-", "--", ":", "-."), (EXACT, "black", "#CC79A7", "#56B4E9"), strict=True
):
    right.plot(t, process.log_snr(t), line, color=color, label=name)
for ax, title in ((left, "chains of 1000 steps"), (right, "in continuous time")):
    ax.axhspan(-5, 5, color=DATA, alpha=0.12, lw=0)
    ax.set(title=title, xlabel="t", xticks=[0, 0.5, 1], ylim=(-15, 15), yticks=[-10, -5, 0, 5, 10])
    ax.legend(loc="upper right", ncols=2, columnspacing=1, handlelength=2.2)
left.set_xlabel("t (fraction of the steps)")
left.set_ylabel(r"log-SNR $\lambda$ (nats)")
left.text(0.0, -4.4, "1 % to 99 %\nsignal", color=DATA)
show(
    fig,
    "Curves of log-SNR over time, all falling: left the linear, quadratic, sigmoid and cosine chains, right "
    "VP, VE, Cosine and Straight. The linear curve falls through the grey band early, the quadratic and "
    "cosine ones in the middle.",
)

# %% [markdown]
# *What to see:* all schedules are falling curves, and they differ in how long they linger in the grey band, where there
# is both something to see and something to guess. The linear one leaves the band with 30 % of its steps still to go,
# all of them in almost pure noise: at $t = \tfrac12$ it is already at −2.5, for all five hundred $\beta$ up to there
# add up, to 2.5, and $\bar\alpha \approx e^{-2.5} = 0.08$. That was the reason to invent the cosine schedule. The
# linear chain and the continuous VP are one curve, and so are cosine and Cosine but for the offset and the clip; VE
# falls, after a steep start, in a straight line, and the straight path nearly as the cosine.

# %%
halfway = {name: getattr(td.Discrete, name)(T).at(0.5).log_snr for name in chains}
for name in chains:
    chain = getattr(td.Discrete, name)(T)
    lam = chain.log_snr(t)
    print(f"{name:10s} λ(½) = {halfway[name]:5.2f},  fraction of steps with |λ| < 5: {np.mean(np.abs(lam) < 5):.0%}, "
          f"below −5: {np.mean(lam < -5):.0%}")  # fmt: skip
assert halfway["linear"] < -2
assert abs(halfway["cosine"]) < 0.1

# %% [markdown]
# ## What is left at the end
#
# To go back we shall start from noise: a draw from $\mathcal N(0, I)$, the **prior**, in place of $x_T$. But $x_T$
# still holds a fraction $\bar\alpha_T$ of the data. How wrong is the prior? The natural unit of "how wrong" is the
# **Kullback–Leibler divergence** $\mathrm{KL}(q \,\|\, p) = \mathbb E_q[\ln q - \ln p]$, the nats of log-likelihood
# that one loses by believing $p$ where $q$ is true. It is 0 only if the two agree. Let us compute the **prior gap**
# of a point $x_0$ in $d$ dimensions,
#
# $$L_T = \mathrm{KL}\big(q(x_T \mid x_0) \,\big\|\, \mathcal N(0, I)\big), \qquad q(x_T \mid x_0) = \mathcal N\big(\sqrt{\bar\alpha_T}\,x_0,\ (1-\bar\alpha_T) I\big).$$
#
# Coordinates are independent under both laws, so their nats add up; take one, with $m = \sqrt{\bar\alpha_T}\,x_0$ and
# $V = 1-\bar\alpha_T$. The two log-densities are
#
# $$\ln q = -\tfrac12 \ln 2\pi V - \frac{(x-m)^2}{2V}, \qquad \ln p = -\tfrac12\ln 2\pi - \frac{x^2}{2}.$$
#
# Take the expectation under $q$. By definition $\mathbb E_q (x-m)^2 = V$, and $\mathbb E_q\, x^2 = V + m^2$. The
# $\ln 2\pi$ cancel, and what stays is
#
# $$\mathbb E_q[\ln q - \ln p] = -\tfrac12 \ln V - \tfrac12 + \tfrac12\,(V + m^2) = \tfrac12\big(m^2 + V - 1 - \ln V\big).$$
#
# Put $m$ and $V$ back, where $V - 1 = -\bar\alpha_T$, and sum over the $d$ coordinates:
#
# $$\boxed{\;L_T = \tfrac12\Big(\bar\alpha_T\,\|x_0\|^2 - d\,\bar\alpha_T - d \ln(1-\bar\alpha_T)\Big)\;}$$
#
# For small $\bar\alpha_T$ we have $-\ln(1-\bar\alpha_T) \approx \bar\alpha_T + \tfrac12\bar\alpha_T^2$, so that
# $L_T \approx \tfrac12\bar\alpha_T\|x_0\|^2$ unless $x_0$ is very near 0: the gap is half the signal that is left. It is
# the first of the terms of the bound in notebook 4 [DDPM, eq. 5].
#
# ### Exercise 2.3: the prior gap


# %%
def prior_kl(x0, betas):
    """KL(q(x_T|x_0) ‖ N(0, I)) in nats for each row of x0 (B, D): (B,)."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas)
    return 0.5 * np.sum(left * x0**2 - left - np.log(1 - left), axis=1)
    ### END SOLUTION


check(prior_kl)

# %% [markdown]
# The library calls $L_T$ `process.prior_gap`. Compare on ten points of 784 dimensions, the number of pixels of a small
# image:

# %%
points = rng.standard_normal((10, 784))
chain = td.Discrete.linear(1000)
answer = prior_kl(points, chain.betas)
if answer is None:
    print("not yet: prior_kl returns nothing.")
else:
    print(f"yours {np.sum(answer):.12f} nats, the library's {np.sum(chain.prior_gap(points)):.12f} nats, for all ten")

# %% [markdown]
# ## Does T matter?
#
# A thousand steps are slow. Somebody takes a tenth: the paper's $\beta$ from 0.0001 to 0.02, in $T = 100$ steps.
#
# **Predict.** How many nats is the prior wrong by, for 784 coordinates of variance 1? At $T = 1000$ it is 0.016 nats,
# which nobody could ever notice.

# %%
x = np.ones((1, 784))  # ‖x_0‖² = 784, the mean of data of unit variance
cases = {
    "T = 1000": td.Discrete(np.linspace(1e-4, 0.02, 1000)),
    "T = 100, same β": td.Discrete(np.linspace(1e-4, 0.02, 100)),
    "T = 100, β × 10": td.Discrete(10 * np.linspace(1e-4, 0.02, 100)),
    "T = 25, β × 40": td.Discrete(40 * np.linspace(1e-4, 0.02, 25)),
}
gap = {}
print("                      ᾱ_T     λ at the end   prior gap, d = 784")
for name, chain in cases.items():
    gap[name] = chain.prior_gap(x)[0]
    end = chain.at(1.0)
    print(f"{name:16s} {end.alpha**2:9.2g} {end.log_snr:12.2f}     {gap[name]:12.5f} nats")
assert round(gap["T = 1000"], 3) == 0.016
assert round(gap["T = 100, same β"]) == 177

# %% [markdown]
# 177 nats: on the points that really arise from one $x_0$, the prior's density is typically $e^{177}$ times too small.
# More than a third of the variance at the end is still data. The reason is plain once said: a $\beta$ is noise *per
# step*, and a tenth of the steps brings a tenth of $\sum\beta$: $\bar\alpha_T \approx e^{-\sum\beta}$ is $e^{-1}$ where
# it was $e^{-10}$. Multiply each $\beta$ by $1000/T$ and the schedule arrives. `td.Discrete.linear(T)` does this by
# default.

# %%
fig, ax = plt.subplots(figsize=(7.2, 3.4))
t = np.linspace(0.002, 1, 500)
ax.plot(t, td.VP().log_snr(t), color=DATA, lw=5, alpha=0.35)
ax.text(0.72, -3.4, "the continuous VP", color=DATA)
styles = {  # marker, colour, size, height of the name
    "T = 100, same β": ("^", MODEL, 4, -1.2),
    "T = 100, β × 10": (".", EXACT, 5, -11.4),
    "T = 25, β × 40": ("s", "black", 5, -14.0),
}
for name, (marker, color, size, height) in styles.items():
    chain = cases[name]
    steps = np.arange(1, chain.T + 1) / chain.T
    ax.plot(steps, chain.log_snr(steps), marker, color=color, ms=size)
    ax.text(1.02, height, name, color=color)
ax.set(
    xlabel="t (fraction of the steps)",
    ylabel=r"log-SNR $\lambda$ (nats)",
    xticks=[0, 0.5, 1],
    xlim=(0, 1.3),
    ylim=(-16, 12),
)
show(
    fig,
    "Log-SNR over time. Dots of 100 rescaled steps lie along the grey curve of the continuous process; squares "
    "of 25 do so in the middle and end below it; triangles of 100 steps with the beta of 1000 stay far above it "
    "and end near 0.",
)

# %% [markdown]
# *What to see:* with rescaled $\beta$ and many steps, $T$ sets only how densely one curve is dotted. Even 25 squares
# follow it through the middle. They begin above it, and the large $\beta$ at the end take them below it: more noise,
# and a smaller gap. With the wrong $\beta$ the chain ends at $\lambda = -0.56$, where the signal is still more than
# half as strong as the noise.
#
# ## The limit of many steps
#
# What is the grey curve? Fix a function $\beta(t)$ on $[0, 1]$, the rate of noising, and take $T$ steps with
# $\beta_i = \beta(i/T)/T$. Then
#
# $$\ln\bar\alpha_T = \sum_{i=1}^{T} \ln\Big(1 - \frac{\beta(i/T)}T\Big)
#   = \underbrace{-\frac1T \sum_i \beta(i/T)}_{\to\ -\int_0^1\beta\,dt} \;-\; \underbrace{\frac1{2T^2} \sum_i \beta(i/T)^2}_{\to\ 0} - \dots$$
#
# by $\ln(1-y) = -y - \tfrac12y^2 - \dots$, and likewise up to any time $t$. So the chain tends to
# $\bar\alpha(t) = \exp\big(-\int_0^t \beta\big)$. For the linear rate
# $\beta(t) = \beta_{\min} + (\beta_{\max}-\beta_{\min})\,t$ that is
#
# $$\ln\bar\alpha(t) = -\Big(\beta_{\min} t + \tfrac12 (\beta_{\max}-\beta_{\min})\,t^2\Big),$$
#
# the VP process [Song et al. 2021, [score-based SDEs](https://arxiv.org/abs/2011.13456), eq. 33], with
# $\beta_{\min} = 0.1$ and $\beta_{\max} = 20$: the paper's numbers times a thousand. How fast? Two errors remain, each
# of size $1/T$. A sum over right end points exceeds the integral by half a step times the rise,
# $(\beta_{\max}-\beta_{\min})/2T$; and the second sum is nearly $\tfrac1{2T}\int\beta^2$. Together
#
# $$\ln\bar\alpha_T - \ln\bar\alpha(1) \approx -\frac CT, \qquad C = \frac{\beta_{\max}-\beta_{\min}}2 + \frac12\int_0^1\beta(t)^2\,dt .$$
#
# An error in proportion to $1/T$ is called **order 1**: with twice the steps, half the error. (The evenly spaced
# numbers of the figure are another rule: they hold both ends of $\beta(t)$, their sum is exactly $\int\beta$, and of
# $C$ only the second term is left.)

# %%
vp = td.VP(beta_min=0.1, beta_max=20.0)
C = (20 - 0.1) / 2 + (20**3 - 0.1**3) / (6 * (20 - 0.1))  # ∫β² = (β_max³ − β_min³)/3(β_max − β_min)
sizes, errors = np.array([100, 200, 400, 800, 1600, 3200]), []
for T in sizes:
    chain = td.Discrete(vp.beta(np.arange(1, T + 1) / T) / T)
    errors.append(2 * np.log(chain.at(1.0).alpha / vp.at(1.0).alpha))  # ln ᾱ = 2 ln α
orders = -np.diff(np.log(np.abs(errors))) / np.log(2)
print("    T     error of ln ᾱ_T     −C/T     order")
for T, error, order in zip(sizes, errors, [None, *orders], strict=True):
    print(f"{T:5d}     {error:10.4f}     {-C / T:10.4f}     " + (f"{order:.3f}" if order else ""))
assert abs(orders[2] - 1.02) < 0.005
assert abs(orders[-1] - 1) < 0.01
assert abs(errors[-1] * sizes[-1] / -C - 1) < 0.01

# %% [markdown]
# Order 1, and the predicted constant. (An order is a slope in the limit; from 400 to 800 steps it still reads 1.02.)
#
# ## Count digits before you count steps
#
# Many steps mean small $\beta$, and there a trap waits. The variance of the noise is $1 - \bar\alpha_t$, and one computes
# it as one minus a product. But near 1 a floating-point number has no room for small differences: neighbours of 1 in
# double precision are $2\cdot10^{-16}$ apart, in single precision, which networks use, $10^{-7}$. Two functions exist
# for this purpose: `log1p(y)` is $\ln(1+y)$ and `expm1(y)` is $e^y - 1$, both without ever forming $1 + y$. So
#
# $$1 - \bar\alpha_t = -\operatorname{expm1}\Big(\sum_{s\le t} \operatorname{log1p}(-\beta_s)\Big).$$
#
# **Predict.** Ten equal steps of $\beta = 10^{-4}$, the paper's first. How many digits of $1-\bar\alpha_{10}$ are right
# in single precision, the obvious way? The truth comes from Python's `Decimal`, with fifty digits.

# %%
exponents = np.linspace(-17, -2, 91)
ways = {
    "1 − prod": lambda beta: 1 - np.prod(np.full(10, 1 - beta)),
    "−expm1(Σ log1p)": lambda beta: -np.expm1(np.sum(np.log1p(np.full(10, -beta)))),
}
lost = {(name, kind): [] for name in ways for kind in (np.float32, np.float64)}
for (name, kind), errors in lost.items():
    for beta in kind(10.0**exponents):
        with localcontext(prec=50):
            exact = 1 - (1 - Decimal(float(beta))) ** 10
            errors.append(float(abs(Decimal(float(ways[name](beta))) / exact - 1)))

truth = float(1 - (1 - Decimal(float(np.float32(1e-4)))) ** 10)
for name, way in ways.items():
    print(f"single precision, {name:16s} {way(np.float32(1e-4)):.9f},  truth {truth:.9f}")

fig, ax = plt.subplots(figsize=(7.2, 3.4))
for (name, kind), errors in lost.items():
    # Rounding is lucky for some β: of each five neighbours, the worst.
    worst = np.lib.stride_tricks.sliding_window_view(errors, 5).max(axis=1)
    line, color = "-" if kind is np.float64 else "--", MODEL if name == "1 − prod" else EXACT
    ax.loglog(10.0 ** exponents[2:-2], worst, line, lw=1.5, color=color)
ax.set(xlabel=r"$\beta$, ten equal steps", ylabel=r"relative error of $1-\bar\alpha$", ylim=(1e-17, 300))
ax.set(xticks=[1e-16, 1e-12, 1e-8, 1e-4], yticks=[1e-16, 1e-12, 1e-8, 1e-4, 1])
ax.text(2e-6, 0.1, "1 − prod, single", color=MODEL)
ax.text(3e-13, 3e-3, "1 − prod, double", color=MODEL)
ax.text(2e-17, 1e-6, "expm1 and log1p, single", color=EXACT)
ax.text(2e-17, 3e-15, "expm1 and log1p, double", color=EXACT)
show(
    fig,
    "Relative error over beta on logarithmic axes. The two ways with a product rise to 1, all digits lost, as "
    "beta falls: in single precision below 3e-8, in double at 1e-16. With expm1 and log1p the error stays "
    "flat at rounding.",
)

# %% [markdown]
# *What to see:* orange loses a digit for each power of ten; blue never does. At $\beta = 10^{-4}$ single precision has
# an error of some $10^{-4}$ already: between three and four digits of $1-\bar\alpha_{10}$ are right. Below
# $3\cdot10^{-8}$ it says that there is no noise at all, and just above, where $1-\beta$ is rounded to the neighbour of
# 1, that there is twice as much as there is. In double precision at $\beta = 10^{-9}$ about seven digits are left of
# sixteen.
#
# ## Break it
#
# "At the end you get a normal distribution", lecture notes say. Only up to $L_T$. Let us see what 177 nats look like.
#
# Our images have 28 × 28 pixels, each image of one brightness $b$, with a little grain: pixel $i$ is
# $x_{0,i} = b + 0.3\,z_i$ with $b \sim \mathcal N(0, 0.91)$, so each pixel has variance 1. This is one Gaussian law,
# and Bayes' rule for it takes one line. Along a direction in which the data have the variance $\Lambda$, $x_T$ has the
# variance $V = \bar\alpha_T\Lambda + 1 - \bar\alpha_T$, and
#
# $$q(x_0 \mid x_T) = \mathcal N\Big(\frac{\sqrt{\bar\alpha_T}\,\Lambda}{V}\,x_T,\ \ \frac{\Lambda\,(1-\bar\alpha_T)}{V}\Big)$$
#
# (the usual regression of one Gaussian on another: the slope is the covariance $\sqrt{\bar\alpha_T}\,\Lambda$ over the
# variance $V$, and $\Lambda - \bar\alpha_T\Lambda^2/V$ is left over). The unit vector
# $e = (1, \dots, 1)/28$ carries the brightness, with $\Lambda = 0.91\cdot 784 + 0.09$; all directions across it have
# $\Lambda = 0.09$.
#
# If we draw $x_T$ from its true law and then $x_0$ from $q(x_0 \mid x_T)$, we get the data back exactly, whatever the
# schedule. No sampler could do better. Now we draw $x_T$ from $\mathcal N(0, I)$ instead, as samplers do.
#
# **Predict.** What will be wrong with the images at $T = 100$ with the $\beta$ of $T = 1000$?

# %%
d, n = 784, 2000
e = np.ones(d) / np.sqrt(d)


def back_from_noise(rng, left, n):
    """x_0 drawn from q(x_0|x_T) for x_T from N(0, I) where ᾱ_T = left: (n, d)."""
    x = rng.standard_normal((n, d))
    z = rng.standard_normal((n, d))
    x0 = np.zeros((n, d))
    along, across = lambda a: np.outer(a @ e, e), lambda a: a - np.outer(a @ e, e)
    for part, variance in ((along, 0.91 * d + 0.09), (across, 0.09)):
        var = left * variance + 1 - left  # of x_T
        x0 += np.sqrt(left) * variance / var * part(x) + np.sqrt(variance * (1 - left) / var) * part(z)
    return x0


rows = {"data": np.sqrt(0.91) * rng.standard_normal((n, 1)) + 0.3 * rng.standard_normal((n, d))}
for name in ("T = 1000", "T = 100, β × 10", "T = 100, same β"):
    rows[name] = back_from_noise(rng, cases[name].at(1.0).alpha ** 2, n)

fig, axes = plt.subplots(4, 1, figsize=(8, 2.9))
for ax, (name, images) in zip(axes, rows.items(), strict=True):
    strip = np.hstack([np.pad(image.reshape(28, 28), 2, constant_values=np.nan) for image in images[:12]])
    ax.imshow(strip, cmap="gray", vmin=-2.2, vmax=2.2, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(
        name, rotation=0, ha="right", va="center", color={"data": DATA, "T = 100, same β": MODEL}.get(name, EXACT)
    )
    ax.spines[:].set_visible(False)
show(
    fig,
    "Four rows of twelve grainy square images. Data, T = 1000 and T = 100 with ten times the beta: all "
    "brightnesses from black to white. T = 100 with the beta of T = 1000: all images the same medium grey.",
)

# %% [markdown]
# *What to see:* the grain is right and each image alone is plausible, yet all images of the last row have the same
# medium brightness. The brightness is a mean over 784 pixels. In $\mathcal N(0, I)$ such a mean is nearly 0, and as
# $x_T$ should still hold a third of the data, an honest Bayesian reads from it: "this image is grey".
#
# This has happened to large models. Stable Diffusion's schedule ended at SNR = 0.0047, and its images came out at
# medium brightness whatever one asked for; the repair is a schedule that ends at SNR = 0 [Lin et al. 2023, [Common
# diffusion noise schedules and sample steps are flawed](https://arxiv.org/abs/2305.08891)]. In the library:
# `chain.zero_terminal_snr()`.
#
# ## The numbers
#
# The standard deviation of the brightness over 2,000 images, against the exact answer. Each is known to one part in
# $\sqrt{2n}$, and we allow four times that.

# %%
print("                       standard deviation of the brightness     prior gap")
print("                       measured    exact     (error)            (nats)")
for name, images in rows.items():
    variance = 0.91 * d + 0.09  # of the data, along e
    if name != "data":
        left = cases[name].at(1.0).alpha ** 2
        var = left * variance + 1 - left
        variance = left * variance**2 / var**2 + variance * (1 - left) / var  # x_T has variance 1 along e, not var
    exact = np.sqrt(variance / d)
    measured = np.std(images.mean(axis=1))
    error = exact / np.sqrt(2 * n)
    text = f"{gap[name]:12.4f}" if name in gap else ""
    print(f"{name:20s} {measured:9.4f} {exact:9.4f}     ({error:.4f})       {text}")
    assert abs(measured - exact) < 4 * error

# %% [markdown]
# $L_T$ is the gap seen from one $x_0$. The law of *all* $x_T$ is closer to the prior than that, and its own gap is
# known here too, because it is Gaussian: $\tfrac12(V - 1 - \ln V)$ for each direction, by the derivation above with
# $m = 0$.

# %%
left = cases["T = 100, same β"].at(1.0).alpha ** 2
var = left * np.array([0.91 * d + 0.09] + [0.09] * (d - 1)) + 1 - left  # of x_T, in d directions at right angles
of_all = 0.5 * np.sum(var - 1 - np.log(var))
print(f"KL(q(x_T) ‖ N(0, I)) = {of_all:.1f} nats, less than the mean of L_T, {gap['T = 100, same β']:.1f} nats")
assert of_all < gap["T = 100, same β"]

# %% [markdown]
# So, does $T$ matter? Not for where the noising ends, if the $\beta$ are scaled with it: 0.016 nats at $T = 1000$,
# 0.008 at $T = 100$. Very much, 177 nats, if they are not. It does set how far one step goes:

# %%
print("   T    largest fall of λ in one step from λ = 5 to λ = −5     steps on that way")
for T in (25, 100, 1000):
    lam = td.Discrete.linear(T).log_snr(np.arange(1, T + 1) / T)
    inside = lam[np.abs(lam) < 5]
    print(f"{T:5d}             {np.max(-np.diff(inside)):8.3f} nats                                  {len(inside):6d}")

# %% [markdown]
# Going forward, a long step costs nothing: notebook 1 jumps. Going back it does, as we find out next.
#
# ## What you know now
#
# - A forward process is a curve of signal-to-noise ratio. Two processes at the same SNR show the same picture, up to
#   scale.
# - On the scale of $\lambda = \ln\mathrm{SNR}$ the work is done between about 5 and −5, and schedules differ in how
#   long they stay there.
# - The prior is wrong by $L_T = \tfrac12(\bar\alpha_T\|x_0\|^2 - d\bar\alpha_T - d\ln(1-\bar\alpha_T))$ nats; a $\beta$
#   belongs to a $T$.
# - With $\beta_i = \beta(i/T)/T$ the chain tends to $\exp(-\int\beta)$ at order 1: a large $T$ only dots the curve.
# - Near 1, compute with `expm1` and `log1p`.
#
# **Next:** [3. Undoing one step](03_undoing_one_step.ipynb). Why does it take many steps to go back?
