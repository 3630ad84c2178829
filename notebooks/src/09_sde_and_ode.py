# %% [markdown]
# # 9. SDE and ODE, same crowd
#
# **How can random and smooth paths end alike?**
#
# *You need:* notebook 4 (the score) and notebook 8 (DDPM and DDIM), of 6 the complex step;
# the chain rule and integration by parts. *To read:* 30 minutes. *To work:* 40 minutes. *Paper:* Song et
# al. 2021, [score-based SDEs](https://arxiv.org/abs/2011.13456), §3 and §4.3.
#
# In notebook 8 DDPM's points trembled and DDIM's glided, and both ended on the data. That was no accident of those two
# formulas. Let the steps become infinitely many: one becomes a stochastic differential equation, the other an ordinary
# one. Both move the *same density*, and you will see why in three lines of calculus.

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap, PowerNorm
from scipy.special import ndtr  # Φ, the distribution function of N(0, 1)

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(9)
process = td.VP()

# %% [markdown]
# ## From the chain to an SDE
#
# A noising step is $x_t = \sqrt{1-\beta_t}\,x_{t-1} + \sqrt{\beta_t}\,z$ with $z \sim \mathcal N(0, 1)$. Take $T$
# steps, put them on a clock that runs from 0 to 1, so that a step lasts $dt = 1/T$, and let a function $\beta(t)$ say
# how fast noise comes in: $\beta_t = \beta(t/T)\,dt$. From now on $t$ is a number in $[0, 1]$, as in the library.
#
# For small $dt$, $\sqrt{1-\beta\,dt} = 1 - \tfrac12\beta\,dt$ up to terms of order $dt^2$. A step is then
#
# $$x(t + dt) = x(t) - \tfrac12\,\beta(t)\,x(t)\,dt + \sqrt{\beta(t)}\,\sqrt{dt}\;z .$$
#
# Sums of independent $\sqrt{dt}\,z$ are the increments of a **Brownian path** $w$: over any stretch of time, Gaussian
# with the length of the stretch as variance, and independent of what came before. As $dt \to 0$ we write
#
# $$\boxed{\;dx = -\tfrac12\,\beta(t)\,x\,dt + \sqrt{\beta(t)}\;dw\;}$$
#
# This is a **stochastic differential equation** (SDE), called variance preserving [Song et al. 2021, §3.4]. The part
# before $dt$ is its **drift**, here $f x$ with the rate $f = -\tfrac12\beta$, and $g = \sqrt\beta$ is its **diffusion**.
# You may always read it as the line above it, with a small $dt$: that reading, as an algorithm, is the
# **Euler–Maruyama method**.
#
# The library's `td.VP()` has $\beta(t) = 0.1 + 19.9\,t$, with signal $\alpha = e^{-\frac12\int_0^t\beta}$ and noise
# $\sigma^2 = 1 - \alpha^2$. At a time $t$ all of these are numbers of one level, `now = process.at(t)`: `now.alpha`,
# `now.sigma`, `now.f` and `now.g2`, which is $g^2$. A chain of $T$ steps with $\beta_i = \beta(i/T)/T$ tends to
# this process: as $\ln(1-\beta_i) = -\beta_i - \frac12\beta_i^2 - \dots$, its $\ln\bar\alpha$ at the end is off in
# proportion to $1/T$.
#
# ### Exercise 9.1: one step of Euler–Maruyama
#
# For any drift, here a function `f(x, t)`, and any diffusion `g(t)`, from $t$ to $s$. On the way back $s$ is the earlier
# time, so that $s - t$ is negative. The drift feels that sign. The noise does not: a variance is a length of time.


# %%
def euler_maruyama_step(f, g, x, t, s, z):
    """x_s from x = x_t; f(x, t) is all of the drift (B, D), g(t) the diffusion, a number; z ~ N(0, I), (B, D)."""
    ### BEGIN SOLUTION
    return x + (s - t) * f(x, t) + np.sqrt(abs(s - t)) * g(t) * z
    ### END SOLUTION


check(euler_maruyama_step)

# %% [markdown]
# ## What drives points where
#
# Our data are two modes on a line, one narrow and one wide. Here $\nabla$ is the derivative by $x$, and the exact score
# is $\nabla\ln q_t(x)$. Often one reads that the drift carries points towards a mode. Let us look: the forward drift
# $-\tfrac12\beta x$, and the score, scaled by $\tfrac12\beta$ so that both are velocities.
#
# **Predict.** Where is each of the two curves zero?

# %%
data = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]])
model = td.Oracle(data, process)  # model.marginal(t) is q_t, with log_density and score
t = 0.1
line = np.linspace(-2.6, 2.6, 401)[:, None]
beta = process.beta(t)
drift, scaled_score = -0.5 * beta * line, 0.5 * beta * model.marginal(t).score(line)

fig, ax = plt.subplots(figsize=(7.5, 3.2))
density = np.exp(model.log_density(line, t))
ax.fill_between(line[:, 0], 9 * density - 9, -9, color=DATA, alpha=0.25, lw=0)
ax.axhline(0, color=DATA, lw=0.8)
ax.plot(line, drift, color="#000000", ls="--")
ax.plot(line, scaled_score, color=EXACT)
ax.text(1.75, -3.9, "forward drift", color="#000000")
ax.text(-1.85, 6.0, "score × β/2", color=EXACT)
ax.text(0.25, -8.4, "$q_t$, t = 0.1", color="#4a4a4a")
ax.set(xlabel="x", ylabel="velocity (per unit of t)", ylim=(-9, 9), xlim=(-2.6, 2.6))
show(fig, "Two curves over the two-mode density: the forward drift is a falling straight line through 0, the score falls "
     "through zero at each mode and rises through zero between them.")  # fmt: skip

# %% [markdown]
# *What to see:* the drift knows nothing of the data. It leads to the origin, where there is no mode. It is the *score*
# that points to modes: positive to the left of each, negative to the right.
#
# ## How a density moves
#
# Points obey $dx = f x\,dt + g\,dw$, here with $f = -\tfrac12\beta$, $g = \sqrt\beta$. What does their density $q_t$
# do? Take a smooth test function $\phi$ that vanishes far out, and ask how its mean changes. To second order
# $\phi(x + dx) = \phi + \phi'\,dx + \tfrac12\phi''\,dx^2$. Given $x_t$, the mean of $dw$ is 0 and that of $dw^2$ is
# $dt$; all else in $dx^2$ is smaller than $dt$. So
#
# $$\frac{d}{dt}\,\mathbb E\,\phi(x_t) = \mathbb E\big[f x\,\phi' + \tfrac12 g^2\,\phi''\big],
#   \qquad\text{that is}\qquad
#   \int \phi\;\partial_t q = \int \big(f x\,\phi' + \tfrac12 g^2\,\phi''\big)\,q .$$
#
# Integrate by parts, once in the first term and twice in the second; nothing comes from the ends, where $\phi$ is 0. The
# derivatives move from $\phi$ to the rest. As the result holds for every $\phi$, it holds without it:
#
# $$\boxed{\;\partial_t q = -\,\nabla(f x\,q) + \tfrac12\,g^2\,\nabla^2 q\;}$$
#
# the **Fokker–Planck equation**. The first term carries the density along, the second spreads it. (In more dimensions:
# the divergence of $f x\,q$, the Laplacian of $q$.) Divide by $q$, and use $\nabla q = q\,\nabla\ln q$ and so
# $\nabla^2 q = q\,\big(\nabla^2\ln q + (\nabla\ln q)^2\big)$:
#
# $$\partial_t \ln q = -f - f x\,\nabla\ln q + \tfrac12\,g^2\,\big(\nabla^2\ln q + (\nabla\ln q)^2\big).$$
#
# Let us not believe it. The left side we get by a **complex step** (notebook 6): $\operatorname{Im} F(t + ih)/h$ is
# $F'(t)$ to full precision for $h = 10^{-30}$. We get $\nabla^2\ln q$, the slope of the score, in the same way.

# %%
h = 1e-30


def rate(x, t):
    """∂_t ln q_t(x), (B,), by a complex step in t; x (B, 1)."""
    later = t + 1j * h
    return data.diffused(process.alpha(later), process.sigma(later)).log_density(x).imag / h


def score_and_slope(x, t):
    """∇ ln q_t(x) and ∇² ln q_t(x), both (B,); x (B, 1)."""
    q = model.marginal(t)
    return q.score(x)[:, 0], q.score(x + 1j * h)[:, 0].imag / h


print("   t    mean of |∂_t ln q|    largest difference of the two sides / largest |∂_t ln q|")
for t in (0.02, 0.1, 0.3, 0.6):
    left, (score, slope) = rate(line, t), score_and_slope(line, t)
    now, x = process.at(t), line[:, 0]
    right = -now.f - now.f * x * score + 0.5 * now.g2 * (slope + score**2)
    apart = np.max(np.abs(left - right)) / np.max(np.abs(left))
    print(f"{t:5.2f}   {np.mean(np.abs(left)):12.4f}          {apart:.0e}")
    assert apart < 1e-11  # rounding: terms much larger than their sum cancel at large t

# %% [markdown]
# ## The trick: noise as drift
#
# Look at the spreading term once more, and write it with the score:
#
# $$\tfrac12\,g^2\,\nabla^2 q = \nabla\big(\tfrac12\,g^2\,\nabla q\big) = \nabla\big(\tfrac12\,g^2\,(\nabla\ln q)\,q\big) .$$
#
# It has the form of a carrying term! Noise acts on the *density* exactly as a velocity $-\tfrac12 g^2\,\nabla\ln q$, away
# from where points crowd. So Fokker–Planck may be read in another way, with no noise in it:
#
# $$\partial_t q = -\nabla\big((f x - \tfrac12 g^2\,\nabla\ln q)\,q\big) .$$
#
# That is how a density moves whose points obey (Fokker–Planck with $g = 0$; that the equation has one solution from a
# given start is used, not shown)
#
# $$\boxed{\;\frac{dx}{dt} = f x - \tfrac12\,g^2\,\nabla\ln q\;}$$
#
# This ODE is the **probability flow**. An ODE may be run in either direction, so here is a way from noise to data [Song
# et al. 2021, §4.3].
#
# And we may trade only *some* noise for drift, or more than all of it. Add and subtract $\tfrac12\eta^2 g^2\,\nabla^2 q$,
# for any number $\eta \ge 0$:
#
# $$\partial_t q = -\nabla\Big(\big[f x - \tfrac12(1+\eta^2)\,g^2\,\nabla\ln q\big]\,q\Big) - \tfrac12\,\eta^2 g^2\,\nabla^2 q .$$
#
# The last term has the wrong sign for a forward process. Run time backwards, $\tau = 1 - t$, and both signs flip:
# the drift is walked the other way, and the noise spreads as it should. So, for $dt < 0$,
#
# $$\boxed{\;dx = \big[f x - \tfrac12\,(1+\eta^2)\,g^2\,\nabla\ln q\big]\,dt + \eta\,g\,d\bar w\;}$$
#
# with $\bar w$ a Brownian path in backward time, has the densities $q_t$ for every $\eta$, if it starts from $q_1$:
#
# | $\eta$ | drift | noise | name |
# |---|---|---|---|
# | 0 | $f x - \tfrac12 g^2\,\nabla\ln q$ | none | probability flow: DDIM, in the limit |
# | 1 | $f x - g^2\,\nabla\ln q$ | $g\,d\bar w$ | **reverse SDE** [Anderson 1982, [Reverse-time diffusion](https://doi.org/10.1016/0304-4149(82)90051-5)]: DDPM, in the limit |
#
# (For $\eta = 1$ more is true: not only the densities agree with the forward process, but the laws of whole paths.)
#
# Why DDPM and DDIM? Take a step of each, from $t$ to $t - \Delta$ with a small $\Delta$. DDPM's, in the score form of
# notebook 8 with $\beta_t = \beta\Delta$, is
#
# $$\frac{x + \beta\Delta\,\nabla\ln q}{\sqrt{1-\beta\Delta}} + \sqrt{\beta\Delta}\;z
#   \;\approx\; x + \tfrac12\beta x\,\Delta + \beta\Delta\,\nabla\ln q + \sqrt{\beta\Delta}\;z
#   \;=\; x - (f x - g^2\,\nabla\ln q)\,\Delta + g\,\sqrt\Delta\;z ,$$
#
# the reverse SDE. DDIM's turns by a small angle $\delta$: it is $x - \delta\,v$, nearly. With
# $\hat x_0 = (x - \sigma\hat\varepsilon)/\alpha$ and $\hat\varepsilon = -\sigma\,\nabla\ln q$,
#
# $$v = \alpha\hat\varepsilon - \sigma\hat x_0 = \frac{\hat\varepsilon - \sigma x}{\alpha}
#   = -\frac\sigma\alpha\,(x + \nabla\ln q) .$$
#
# The angle has $\cos\varphi = \alpha$. Differentiated, $-\sigma\,d\varphi/dt = -\tfrac12\beta\alpha$, so
#
# $$\delta = \tfrac12\,\beta\,\frac\alpha\sigma\,\Delta .$$
#
# Together $x + \tfrac12\beta\,(x + \nabla\ln q)\,\Delta = x - (f x - \tfrac12 g^2\,\nabla\ln q)\,\Delta$, the flow.
#
# And what lies between the two ends? A step of DDIM with any $\eta$ adds noise of variance
# $d^2 = \eta^2\tilde\beta \approx \eta^2\beta\Delta$, as much as a step of the family with the same $\eta$. Its mean should
# agree with the family's, too, and what is left over should be of order $\Delta^2$:

# %%
now = process.at(0.3)
x0_hat, score = model.x0(line, now), model.marginal(now).score(line)
print("DDIM's mean − that of the family, divided by Δ² (largest of 401 points)")
print("     Δ     η = 1 (DDPM)    η = ½    η = 0 (DDIM)")
left_over = []
for small in (1e-2, 1e-3, 1e-4):
    then, row = process.at(now.t - small), []
    for eta in (1.0, 0.5, 0.0):
        ddim = td.ddim_step(line, x0_hat, now, then, 0 * line, eta)  # its mean, since z = 0
        family = line - small * (now.f * line - 0.5 * (1 + eta**2) * now.g2 * score)
        row.append(np.max(np.abs(ddim - family)) / small**2)
    left_over.append(row)
    print(f"{small:7.4f} {row[0]:14.2f} {row[1]:10.2f} {row[2]:13.2f}")
assert np.allclose(left_over[-2], left_over[-1], rtol=0.01)  # the same: of order Δ²

# %% [markdown]
# *What to see:* while $\Delta$ falls a hundredfold each column stays nearly constant: what is left over falls as
# $\Delta^2$.
#
# ### Exercise 9.2: the drift of the reverse SDE
#
# For the variance preserving SDE, $f = -\tfrac12\beta$ and $g^2 = \beta$.


# %%
def reverse_sde_drift(x, beta, score):
    """The drift of the reverse SDE, η = 1; x and score (B, D), beta = β(t), a number."""
    ### BEGIN SOLUTION
    return -0.5 * beta * x - beta * score
    ### END SOLUTION


check(reverse_sde_drift)

# %% [markdown]
# ### Exercise 9.3: the drift of the flow


# %%
def probability_flow_drift(x, beta, score):
    """The drift of the probability flow, η = 0; x and score (B, D), beta = β(t), a number."""
    ### BEGIN SOLUTION
    return -0.5 * beta * (x + score)
    ### END SOLUTION


check(probability_flow_drift)

# %% [markdown]
# ## The picture to remember
#
# Six points of noise, at the quantiles 0.1, 0.25, …, 0.85 of $q_1$, go down to the data: by the flow, $\eta = 0$, then
# with a little noise, $\eta = 0.4$, and by the reverse SDE, $\eta = 1$. All random paths have **one** Brownian path
# $\bar w$ in common, so that whatever is different between them is not luck.
#
# **Predict.** Six starts and one $\bar w$: where do the six paths of the reverse SDE end? Write it down before you run
# the next cell.


# %%
def cdf(x, t):
    """F_t(x), the distribution function of q_t; x (B, 1)."""
    q = model.marginal(t)
    return ndtr((x - q.means[:, 0]) / np.sqrt(q.covariances[:, 0, 0])) @ q.weights


fractions = np.array([0.1, 0.25, 0.4, 0.55, 0.7, 0.85])
fine = np.linspace(-5, 5, 200_001)[:, None]
start = np.interp(fractions, cdf(fine, 1.0), fine[:, 0])[:, None]

ts = process.t_max + (process.t_min - process.t_max) * (1 - np.linspace(1, 0, 601) ** 2)  # finer towards the data
path = td.brownian_path(rng, np.zeros((1, 1)), ts)  # one path for all: path(t, s) = w_s − w_t, (1, 1)
# "heun", and "rk45" below, are ways to solve an ODE; notebook 10 explains them
smooth = np.array([x[:, 0] for _, x in td.probability_flow(model, start, ts, method="heun")])
jagged = {
    eta: np.array([x[:, 0] for _, x in td.euler_maruyama(model, start, ts, eta=eta, noise=path)]) for eta in (0.4, 1.0)
}

xs, times = np.linspace(-2.8, 2.8, 281), np.linspace(1, 0.004, 300) ** 2
image = np.array([np.exp(model.log_density(xs[:, None], t)) for t in times]).T
ticks = np.array([1, 0.6, 0.3, 0.1, 0.02])
greys = ListedColormap(plt.get_cmap("Greys")(np.linspace(0, 0.45, 256)))


def backdrop(ax):
    """The density of x_t: time on a square-root scale, noise left, data right; darker is denser."""
    ax.contourf(np.sqrt(times), xs, image, levels=np.linspace(0, 1, 16) ** 2, cmap=greys, norm=PowerNorm(0.5, 0, 1),
                extend="max")  # fmt: skip
    ax.set(
        xlim=(1, 0.004),
        ylim=(-2.8, 2.8),
        xticks=[*np.sqrt(ticks), 0.004],
        xticklabels=[*map("{:g}".format, ticks), "0"],
    )


fig, axes = plt.subplots(2, 1, figsize=(9, 5.4), sharex=True)
for ax, (eta, paths), name in zip(axes, jagged.items(), ("a little noise", "the reverse SDE"), strict=True):
    backdrop(ax)
    ax.plot(np.sqrt(ts), smooth, color=EXACT, lw=2.5)
    ax.plot(np.sqrt(ts), paths, color=MODEL, lw=1)
    ax.plot(np.ones(6), start, "o", color="white", ms=6, mec="black", clip_on=False, zorder=3)
    ax.set(ylabel="x")
    ax.tick_params(labelbottom=True)
    ax.text(0.985, -2.55, "the flow", color=EXACT)
    ax.text(0.87, -2.55, rf"{name}, $\eta$ = {eta:g}", color=MODEL)
axes[1].set_xlabel("time t, on a square-root scale (noise left, data right)")
show(fig, "The density of x over time as an image, twice: one bell on the left that splits into two dark bands on the right. "
     "Six smooth blue curves run through it without crossing. Above, six orange paths tremble in one rhythm about them; "
     "below, six orange paths from the same starts run together into one.")  # fmt: skip
print("ends of the flow          ", np.round(smooth[-1], 2))
for eta, paths in jagged.items():
    print(f"ends with η = {eta:g}".ljust(26), np.round(paths[-1], 2))
assert np.ptp(jagged[1.0][-1]) < 0.1 * np.ptp(smooth[-1])

# %% [markdown]
# *What to see:* the image is the density, darker where it is denser, and it is the same for all. The blue curves part
# like a river around an island and never cross. With a little noise the paths tremble in one rhythm, and all six end in
# the upper mode. The reverse SDE goes further: its six paths run together and end in *one* place. Why? At high noise
# $\nabla\ln q \approx -x$, and its drift, walked back, is $-\tfrac12\beta x$. So the differences of paths with one
# $\bar w$ shrink. It forgets the start; where a path ends is written in $\bar w$. A crowd needs a Brownian path for each point.
# Then no path agrees with its blue curve. Does the crowd?
#
# ## Curves that keep their quantile
#
# Two curves of an ODE cannot cross. On a line, then, as many points stay below a curve as were there at the start:
# $F_t(x_t)$, with $F_t$ the distribution function of $q_t$, is constant along it. So the flow of each point is known *exactly*,
# as $x_t = F_t^{-1}(F_1(x_1))$, and this is a sharp test of any ODE solver.

# %%
print("    t     F_t(x_t) along the six curves                              largest change")
grid = td.grids.even_log_snr(process, 5)
for t, x in td.probability_flow(model, start, grid, method="rk45", rtol=1e-11, atol=1e-11):
    change = np.max(np.abs(cdf(x, t) - cdf(start, 1.0)))
    print(f"{t:.6f}  " + "  ".join(f"{fraction:.6f}" for fraction in cdf(x, t)) + f"   {change:.0e}")
    assert change < 1e-10

# %% [markdown]
# ## The same crowd
#
# Ten thousand points, from $q_1$, by both ways. Then compare: all ends with the exact density, and the two ends of each
# start with each other.

# %%
n = 10_000
noise = model.marginal(1.0).sample(rng, n)
steps = td.grids.even_time(process, 400)
by_sde = td.last(td.euler_maruyama(model, noise, steps, rng=rng))[1]
by_ode = td.last(td.probability_flow(model, noise, td.grids.even_time(process, 100), method="heun"))[1]

fig, axes = plt.subplots(1, 3, figsize=(9, 3.1), width_ratios=[1, 1, 0.9])
exact = np.exp(model.log_density(line, process.t_min))
for ax, ends, name in zip(axes, (by_sde, by_ode), ("reverse SDE", "probability flow"), strict=False):
    ax.hist(ends[:, 0], bins=90, range=(-2.4, 2.4), density=True, color=MODEL, alpha=0.5)
    ax.plot(line, exact, color=EXACT, lw=1.5)
    ax.set(title=name, xlabel="x at the end", yticks=[], xlim=(-2.4, 2.4))
axes[0].set_ylabel("density")
axes[2].plot(by_ode[:1500], by_sde[:1500], ".", color=MODEL, ms=3, alpha=0.5, rasterized=True)
axes[2].set(title="from the same start", xlabel="end of the flow", ylabel="end of the SDE", aspect="equal",
            xticks=[-2, 0, 2], yticks=[-2, 0, 2])  # fmt: skip
show(fig, "Two histograms of ends, by the SDE and by the flow, both under the exact two-mode density. A third panel "
     "plots the end of the SDE against that of the flow from the same start: four clouds, no relation.")  # fmt: skip
low, low_ode = by_sde[:, 0] < -0.6, by_ode[:, 0] < -0.6
fraction, error = np.mean(low), np.sqrt(np.mean(low) * np.mean(~low))
print(
    f"fraction of the SDE's ends below −0.6\nof all starts                    {fraction:.3f} ± {error / np.sqrt(n):.3f}"
)
for name, chosen in (("below", low_ode), ("above", ~low_ode)):
    given, standard_error = np.mean(low[chosen]), error / np.sqrt(np.sum(chosen))
    print(f"where the flow's is {name} −0.6   {given:.3f} ± {standard_error:.3f}")
    assert abs(given - fraction) < 4 * standard_error

# %% [markdown]
# *What to see:* two histograms, one law. On the right, a point for each of the first 1,500 starts: where the flow takes
# it says nothing about where the SDE takes it, and the table agrees. Random and smooth paths end alike as a *crowd*,
# and only as a crowd. So "sampling is a deterministic mapping" is true of the flow and false of the SDE.
#
# ## Break it
#
# **The missing ½.** The flow has $\tfrac12 g^2\,\nabla\ln q$, the reverse SDE $g^2\,\nabla\ln q$. Take the SDE's drift, and leave out the
# noise (or: write the flow without its ½).


# %%
def flow_without_the_half(x, beta, score):
    """The reverse SDE's drift, used as an ODE."""
    return -0.5 * beta * x - beta * score


print(check(flow_without_the_half, "probability_flow_drift"))
print(f"\nα(1) = {process.at(1.0).alpha:.4f}")

# %% [markdown]
# How wrong is it? On data $\mathcal N(0, 1)$, where the score is $-x$ and the right flow stands still, it says
# $dx/dt = +\tfrac12\beta x$. From $t = 1$ down to 0 that multiplies $x$ by $\alpha(1) = 0.0066$: all samples are nearly
# at 0. **Predict** what it does to two modes.

# %%
wrong = np.array([x[:, 0] for _, x in td.euler_maruyama(model, start, ts, noise=lambda t, s: 0.0)])  # η = 1

fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True)
for ax, curves, ink, name in zip(axes, (smooth, wrong), (EXACT, MODEL), ("the flow", "without the ½"), strict=True):
    backdrop(ax)
    ax.plot(np.sqrt(ts), curves, color=ink, lw=1.6)
    ax.set(xlabel="time t (noise left, data right)", title=name)
    ax.tick_params(labelleft=True)
axes[0].set_ylabel("x")
show(fig, "The density over time, twice, with six curves. Left the flow, whose curves spread over both modes. Right "
     "without the half: all six rush together into one curve, which ends in the upper mode.")  # fmt: skip
print(
    f"from the lowest to the highest of six ends: the flow {np.ptp(smooth[-1]):.2f}, without the ½ {np.ptp(wrong[-1]):.4f}"
)
assert np.ptp(wrong[-1]) < 0.01 * np.ptp(smooth[-1])

# %% [markdown]
# *What to see:* the curves rush together long before the modes part, and six starts give one sample. The density in the
# background is no longer theirs.
#
# Fokker–Planck sees the mistake at any time, without a sample. For an ODE with drift $\tilde f(x, t)$ it says
# $\partial_t \ln q = -\nabla\tilde f - \tilde f\,\nabla\ln q$. The **residual** is what is left over; its root mean square under
# $q_t$, beside that of $\partial_t \ln q$ itself:

# %%
print("   t    right drift    without the ½      (residual / signal)")
ratio = {}


def rms(residual, weights):
    """The root of the weighted mean of the squares."""
    return np.sqrt(np.sum(weights * residual**2) / np.sum(weights))


for t in (0.05, 0.1, 0.2, 0.3, 0.4):
    now, q = process.at(t), np.exp(model.log_density(line, t))
    signal, (score, slope) = rate(line, t), score_and_slope(line, t)
    ratio[t] = []
    for factor in (0.5, 1.0):  # of g² ∇ ln q in the drift
        drift, divergence = now.f * line[:, 0] - factor * now.g2 * score, now.f - factor * now.g2 * slope
        ratio[t].append(rms(signal + divergence + drift * score, q) / rms(signal, q))
    print(f"{t:5.2f}      {ratio[t][0]:.0e}          {ratio[t][1]:5.2f}")
    assert ratio[t][0] < 1e-11 < 1 < ratio[t][1]

# %% [markdown]
# The ratio grows because at large $t$ the true density hardly changes: the mistake, though smaller there, is large
# beside it.
#
# **The sign of $dt$.** Sampling runs from 1 down to 0, so $dt < 0$. Take its absolute value, as one does without
# thinking. **Predict** what the points of noise do.

# %%
x, z = noise[:500], rng.standard_normal((400, 500, 1))
for k in range(60):
    t, dt = steps[k], abs(steps[k + 1] - steps[k])
    now = process.at(t)
    drift = now.f * x - now.g2 * model.marginal(t).score(x)
    x = x + dt * drift + np.sqrt(now.g2 * dt) * z[k]
print(f"standard deviation after 60 of 400 steps, dt > 0: {x.std():.1f}    (it should still be about 1)")
assert x.std() > 3

# %% [markdown]
# The score now drives points away from the data, and the farther they are the harder it drives.
#
# ## The numbers
#
# First the family: the Fokker–Planck residual for four $\eta$, at $t = 0.1$, relative to $\partial_t \ln q$. Then
# the crowds, against the exact law at the end, with standard errors; $D$ is the largest distance between the
# distribution function of the ends and the exact one. If the law is right, $D$ stays below $1.63/\sqrt n$ in 99 % of
# all cases.

# %%
now, x = process.at(0.1), line[:, 0]
signal, (score, slope) = rate(line, now.t), score_and_slope(line, now.t)
for eta in (0.0, 0.5, 1.0, 2.0):
    factor = 0.5 * (1 + eta**2)
    drift, divergence = now.f * x - factor * now.g2 * score, now.f - factor * now.g2 * slope
    right = -divergence - drift * score - 0.5 * eta**2 * now.g2 * (slope + score**2)
    apart = np.max(np.abs(signal - right)) / np.max(np.abs(signal))
    print(f"η = {eta:3.1f}: residual {apart:.0e}")
    assert apart < 1e-12

q = model.marginal(process.t_min)
means, variances = q.means[:, 0], q.covariances[:, 0, 0]
mean = q.weights @ means
variance = q.weights @ (variances + means**2) - mean**2
left_mode = cdf(np.array([[-0.6]]), process.t_min)[0]
half = td.last(td.euler_maruyama(model, noise, steps, rng=rng, eta=0.5))[1]
crowds = {"exact": (mean, variance, left_mode), "reverse SDE": by_sde, "η = ½": half, "probability flow": by_ode}
print(f"\n{'':18s}mean              variance          fraction < −0.6     D")
for name, ends in crowds.items():
    if name == "exact":
        print(f"{name:17s}{mean:7.4f}           {variance:7.4f}           {left_mode:7.4f}")
        continue
    se_mean, se_variance = np.sqrt(variance / n), np.sqrt(np.var((ends - mean) ** 2) / n)
    se_fraction = np.sqrt(left_mode * (1 - left_mode) / n)
    ordered = np.sort(ends[:, 0])
    D = np.max(np.abs(cdf(ordered[:, None], process.t_min) - (np.arange(n) + 0.5) / n))
    fraction = np.mean(ends < -0.6)
    print(f"{name:17s}{ends.mean():7.4f} ({se_mean:.4f})  {ends.var():7.4f} ({se_variance:.4f})  {fraction:7.4f} ({se_fraction:.4f})"
          f"    {D:.4f} < {1.63 / np.sqrt(n):.4f}")  # fmt: skip
    assert abs(ends.mean() - mean) < 4 * se_mean
    assert abs(ends.var() - variance) < 4 * se_variance
    assert abs(fraction - left_mode) < 4 * se_fraction
    assert np.sqrt(n) * D < 1.63
correlation = np.corrcoef(by_sde[:, 0], by_ode[:, 0])[0, 1]
print(f"\ncorrelation of the two ends of one start: {correlation:.3f}, standard error {1 / np.sqrt(n):.3f}")
assert abs(correlation) < 4 / np.sqrt(n)

# %% [markdown]
# ## What you know now
#
# - DDPM's noising chain, in ever smaller steps, is the SDE $dx = -\tfrac12\beta x\,dt + \sqrt\beta\,dw$.
# - Fokker–Planck says how its density moves. On a density, noise acts as the velocity $-\tfrac12 g^2\,\nabla\ln q$.
# - So there is a family with the same densities: the flow ($\eta = 0$), the reverse SDE ($\eta = 1$), and all others.
# - The drift leads to the origin; the score points to the modes. The flow has the ½, the reverse SDE has not, and $dt < 0$.
# - The flow keeps quantiles, so each of its paths has an exact answer.
#
# **Next:** [10. Solvers and likelihood](10_solvers_and_likelihood.ipynb). The flow is an ordinary differential
# equation: what does a step of a good solver cost, and how likely is a point?
