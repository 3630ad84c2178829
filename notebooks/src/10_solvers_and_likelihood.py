# %% [markdown]
# # 10. Solvers and likelihood
#
# **What does a step cost, and how likely is a point?**
#
# *You need:* DDIM (notebook 8), the probability flow (9), the ELBO (5). *To read:* 40 minutes. *To work:* 60 minutes.
# *Papers:* Lu et al. 2022, [DPM-Solver++](https://arxiv.org/abs/2211.01095); Song et al. 2021,
# [score-based SDEs](https://arxiv.org/abs/2011.13456), §4.3.
#
# The probability flow turns noise into data along smooth paths. To follow a path a computer takes steps, and each step
# asks the network, which is the expensive part of a diffusion model. So the first half of this notebook buys accuracy
# with as few questions as possible. The second half runs the same flow the other way, and reads off it something that few
# generative models can give: the exact density of a point.

# %%
from functools import partial
from itertools import pairwise, product

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import ndtr  # Φ, the distribution function of N(0, 1)

import tinydiff as td
from tinydiff.check import check
from tinydiff.plotting import CYCLE, EXACT, MODEL, show
from tinydiff.sampling.probability_flow import velocity
from tinydiff.sampling.solvers import rk4_step

plt.style.use("tinydiff.course")
rng = np.random.default_rng(10)

# %% [markdown]
# From here on $t$ is the library's time, a number from 0, the data, to 1, noise. As before $x_t = \alpha x_0 + \sigma
# \varepsilon$, and $\lambda = \ln \alpha^2/\sigma^2$ is the log-SNR: about $-10$ at the noisy end and $14$ where the
# library stops; the first experiments stop at $5$.
#
# ## A truth for every path
#
# To measure an error one must know the answer. The flow is
#
# $$\frac{dx}{dt} = f(t)\,x + \frac{g^2(t)}{2\sigma(t)}\,\varepsilon^*(x, t),$$
#
# with the exact answer $\varepsilon^* = -\sigma \nabla \ln q_t$ of a mixture, and with $f = -\tfrac12\beta$ and
# $g^2 = \beta$ for VP. In one dimension its paths never cross, so each keeps the fraction of the crowd that is to its
# left (notebook 9). With $F_t$ the distribution function of $x_t$,
#
# $$F_t(x_t) = F_s(x_s) \quad\text{on a path, and so}\quad x_s = F_s^{-1}\big(F_t(x_t)\big).$$
#
# No solver is in that formula. It is our truth, and we check it once against the best solver that SciPy has.

# %%
process = td.VP()
data = td.GaussianMixture(weights=[0.3, 0.7], means=[[-1.0], [0.8]], covariances=[[[0.1]], [[0.2]]])
model = td.Oracle(data, process)  # the exact denoiser: model(x, t) is ε*
fractions = (np.arange(40) + 0.5) / 40  # forty paths, spread evenly over the crowd


def distribution(model, x, t):
    """F_t(x), (B,), of the mixture that x_t has at time t; x (B,)."""
    q = model.marginal(t)
    return ndtr((x[:, None] - q.means[:, 0]) / np.sqrt(q.covariances[:, 0, 0])) @ q.weights


def quantiles(model, fractions, t):
    """F_t^{-1} of each fraction, (B, 1), by bisection."""
    low, high = np.full(len(fractions), -9.0), np.full(len(fractions), 9.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = distribution(model, middle, t) < fractions
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return ((low + high) / 2)[:, None]


def flow(t, y):
    """The flow's dx/dt, (B,), as SciPy asks for it."""
    return velocity(model, y[:, None], process.at(t))[:, 0]


noisy, clean = process.time(np.array([-10.0, 5.0]))  # the times of these two log-SNRs
x_noisy, x_clean = quantiles(model, fractions, noisy), quantiles(model, fractions, clean)
by_scipy = solve_ivp(flow, (noisy, clean), x_noisy[:, 0], method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
print(f"largest distance between the formula and SciPy's solver: {np.max(np.abs(by_scipy - x_clean[:, 0])):.0e}")
assert np.allclose(by_scipy, x_clean[:, 0], rtol=0, atol=1e-11)

# %% [markdown]
# ## A step, and a better one
#
# Let $dx/dt = f(x, t)$ be any equation; in this section $f$ is all of its right side. Let $h = s - t$ be the length of
# a step from $t$ to $s$, negative on the way to the data, and a dot the derivative along the path, so that
# $\dot x = f$. The truth has a Taylor series, $x_s = x_t + h\,\dot x + \tfrac12 h^2 \ddot x + O(h^3)$. **Euler's** step
# keeps the first two terms,
#
# $$x_s \approx x_t + h\,f(x_t, t),$$
#
# and so errs by $\tfrac12 h^2 \ddot x$ in each step. A path takes a number of steps proportional to $1/h$ (on a fixed
# smooth grid all steps shrink like one over their number), so the errors add up to something proportional to $h$. A
# solver whose error at the end is proportional to $h^p$ has the **order** $p$: Euler has order 1.
#
# **Heun's** step looks at the slope at both ends, the far one at $x_{\mathrm E}$, where Euler would arrive, and takes
# the mean:
#
# $$x_{\mathrm E} = x_t + h f(x_t, t), \qquad x_s \approx x_t + \tfrac h2\,\big(f(x_t, t) + f(x_{\mathrm E}, s)\big).$$
#
# Why is that better? Expand the second slope, with $f_t$ and $f_x$ the derivatives of $f$:
# $f(x_t + hf, t + h) = f + h\,(f_t + f_x f) + O(h^2)$. The bracket is the derivative of $f$ along the path,
# $\ddot x = f_t + f_x f$. So Heun's step is $x_t + hf + \tfrac12 h^2 \ddot x + O(h^3)$, the Taylor series to the second
# term, without any derivative in it. Order 2.
#
# ### Exercise 10.1: Euler


# %%
def euler_step(f, x, t, s):
    """x_s from x at time t, along the slope there: f(x, t) is dx/dt; x (B, D), and s may lie on either side of t."""
    ### BEGIN SOLUTION
    return x + (s - t) * f(x, t)
    ### END SOLUTION


check(euler_step)

# %% [markdown]
# ### Exercise 10.2: Heun


# %%
def heun_step(f, x, t, s):
    """x_s from x at time t, along the mean of two slopes: at t, and at s where Euler's step arrives; x (B, D)."""
    ### BEGIN SOLUTION
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h * k1, s)
    return x + h / 2 * (k1 + k2)
    ### END SOLUTION


check(heun_step)

# %% [markdown]
# Eight steps of each, equal in log-SNR, from noise to nearly clean data, on seven paths.

# %%
seven = np.linspace(0.04, 0.96, 7)
lam = np.linspace(-10, 5, 76)
exact = np.array([quantiles(model, seven, t)[:, 0] for t in process.time(lam)])  # (76, 7)
ts = process.time(np.linspace(-10, 5, 9))

fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), sharey=True)
for ax, method, cost in zip(axes, ("euler", "heun"), (8, 16), strict=True):
    path = list(td.probability_flow(model, quantiles(model, seven, noisy), ts, method=method))
    xs = np.array([x[:, 0] for _, x in path])
    ax.plot(lam, exact, color=EXACT, lw=1.5)
    ax.plot(process.log_snr(ts), xs, color=MODEL, lw=1, ls="--", marker="o", ms=4)
    off = np.sqrt(np.mean((xs[-1] - exact[-1]) ** 2))
    ax.set(title=f"{method.capitalize()}: {cost} evaluations, rms error {off:.3f}", xlabel="log-SNR λ, nats")
axes[0].set(ylabel="$x_t$", ylim=(-2.5, 2.1), yticks=[-2, -1, 0, 1, 2])
axes[0].text(-9.8, -2.35, "exact", color=EXACT)
axes[0].text(-7, -2.35, "8 steps", color=MODEL)
show(fig, "Two panels with seven exact paths each, from noise on the left to data on the right, and the paths of eight "
     "steps: Euler's fall behind where the exact ones turn, Heun's lie on them.")  # fmt: skip

# %% [markdown]
# *What to see:* the paths are nearly straight while there is only noise, part in the middle, and rest once the data are
# clean. Euler (orange, left) uses the slope of a step's beginning to its end, so it turns too late. Heun sees the turn
# coming. (A step of Euler's is straight in $t$, so on this axis of $\lambda$ its chords are not tangents.)
#
# ## Solve what can be solved
#
# There is a better idea than to treat the flow as any equation: most of it is linear, with coefficients that we chose
# ourselves. First write its velocity with the two answers of a denoiser, $x = \alpha \hat x_0 + \sigma
# \hat\varepsilon$. Now $f$ and $g$ are those of the flow again. The signal obeys $\dot\alpha = f\alpha$. The
# variance of the noise obeys $2\sigma\dot\sigma = 2f\sigma^2 + g^2$: start all points at 0, so that $\mathbb E\,x_t^2 =
# \sigma^2$, and take $x^2$ for the test function of notebook 9 (it does not vanish far out, but a Gaussian's tails are
# thin enough). So $f = \dot\alpha/\alpha$, $\;g^2/2\sigma = \dot\sigma - f\sigma$, and
#
# $$\frac{dx}{dt} = f x + \frac{g^2}{2\sigma}\hat\varepsilon
#   = \frac{\dot\alpha}{\alpha}\,(\alpha \hat x_0 + \sigma\hat\varepsilon) + \Big(\dot\sigma - \frac{\dot\alpha}{\alpha}\sigma\Big)\hat\varepsilon
#   = \dot\alpha\,\hat x_0 + \dot\sigma\,\hat\varepsilon .$$
#
# Now look at $x/\sigma$ in place of $x$. By the quotient rule, with the same
# $x = \alpha\hat x_0 + \sigma\hat\varepsilon$ put in,
#
# $$\frac{d}{dt}\frac{x}{\sigma} = \frac{\dot x}{\sigma} - \frac{\dot\sigma\,x}{\sigma^2}
#   = \frac{\dot\alpha\,\hat x_0 + \dot\sigma\hat\varepsilon}{\sigma} - \frac{\dot\sigma\,(\alpha \hat x_0 + \sigma\hat\varepsilon)}{\sigma^2}
#   = \Big(\frac{\dot\alpha}{\sigma} - \frac{\alpha\dot\sigma}{\sigma^2}\Big)\hat x_0
#   = \hat x_0\,\frac{d}{dt}\frac{\alpha}{\sigma} .$$
#
# All that is left of the flow is $d(x/\sigma) = \hat x_0\,d(\alpha/\sigma)$. Integrate from $t$ to $s$, in the clock
# $\ell = \ln(\alpha/\sigma) = \lambda/2$, in which $\alpha/\sigma = e^\ell$ (DPM-Solver's papers call it $\lambda$):
#
# $$x_s = \frac{\sigma_s}{\sigma_t}\,x_t + \sigma_s \int_{\ell_t}^{\ell_s} e^{\ell}\,\hat x_0\,d\ell .$$
#
# This is exact. A solver that does the linear part like this is called an **exponential integrator**. Only $\hat x_0$
# along the path is unknown, and in a short step it hardly moves. Take it out of the integral as a constant $\bar x_0$.
# What is left is $\sigma_s\,(e^{\ell_s} - e^{\ell_t})$, and $\sigma_s e^{\ell_s} = \alpha_s$:
#
# $$\boxed{\;x_s = \frac{\sigma_s}{\sigma_t}\,x_t + \alpha_s\,(1 - e^{-h})\,\bar x_0, \qquad h = \ell_s - \ell_t\;}$$
#
# In the rest of this section $h$ is a step in $\ell$, *positive* towards the data.
#
# - With $\bar x_0 = \hat x_0(x_t, t)$ this is **DDIM** once more, $\alpha_s \hat x_0 + \sigma_s\hat\varepsilon$, since
#   $\alpha_s e^{-h} = \sigma_s\alpha_t/\sigma_t$: order 1.
# - A better constant is the value in the *middle* of the step: for $\hat x_0$ linear in $\ell$ the error of a step is
#   $\sigma_s$ times the slope times $\int e^\ell (\ell - \ell_\text{mid})\,d\ell = O(h^3)$. We do not know the middle,
#   but we know $\hat x_0$ now and $\hat x_0^\text{before}$, a step of $h_\text{before}$ ago, and extrapolate the
#   straight line through both by half a step:
#
# $$\bar x_0 = \hat x_0 + \frac{h}{2h_\text{before}}\,\big(\hat x_0 - \hat x_0^\text{before}\big).$$
#
# That is **DPM-Solver++(2M)**: order 2, and the second look costs nothing, since it was paid a step ago. The first step
# has no step before it and takes DDIM's: *one* step that errs by $O(h^2)$ does no harm. (The step to $t = 0$, where $h$
# is infinite, is the denoiser's answer $\hat x_0$, here as in notebook 8.)
#
# ### Exercise 10.3: DPM-Solver++(2M)
#
# `x0_hat_before` is $\hat x_0^\text{before}$, the answer at `t_before`.


# %%
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    """x_s (B, D) from x_t, x̂_0 at t and x̂_0 at t_before; numbers t_before > t > s > 0; alpha(t), sigma(t) functions."""
    ### BEGIN SOLUTION
    before, now, later = (np.log(alpha(u) / sigma(u)) for u in (t_before, t, s))
    h, h_before = later - now, now - before
    d = x0_hat + h / (2 * h_before) * (x0_hat - x0_hat_before)
    return sigma(s) / sigma(t) * x_t + alpha(s) * (1 - np.exp(-h)) * d
    ### END SOLUTION


check(dpm_solver_2m_step)

# %% [markdown]
# ## Orders, measured
#
# Five solvers on the same forty paths: Euler, Heun, DDIM, DPM-Solver++(2M), and the classical Runge–Kutta method RK4
# (four slopes in each step, order 4: Hairer, Nørsett & Wanner 1993, *Solving Ordinary Differential Equations I*,
# §II.1).
#
# **Predict.** When the steps are half as long, by which factor does each error fall? On paper with two logarithmic axes,
# what does the curve of an order look like?

# %%
solvers = {  # name: how it is called, its order, evaluations in a step
    "Euler": (partial(td.probability_flow, method="euler"), 1, 1),
    "DDIM": (td.ddim, 1, 1),
    "DPM-Solver++(2M)": (td.dpm_solver_2m, 2, 1),
    "Heun": (partial(td.probability_flow, method="heun"), 2, 2),
    "RK4": (partial(td.probability_flow, method="rk4"), 4, 4),
}
looks = {  # name: a colour and a marker
    "Euler": (CYCLE[4], "o"),
    "DDIM": (CYCLE[5], "s"),
    "DPM-Solver++(2M)": (CYCLE[2], "D"),
    "Heun": (CYCLE[0], "^"),
    "RK4": (CYCLE[3], "v"),
}


def rms(x):
    """The root of the mean square."""
    return np.sqrt(np.mean(x**2))


counts = np.array([16, 32, 64, 128])
errors = {}
for name, (sampler, _, _) in solvers.items():
    times = [process.time(np.linspace(-10, 5, n + 1)) for n in counts]
    errors[name] = np.array([rms(td.last(sampler(model, x_noisy, ts))[1] - x_clean) for ts in times])
slopes = {name: -np.polyfit(np.log(counts), np.log(error), 1)[0] for name, error in errors.items()}

fig, ax = plt.subplots(figsize=(7.5, 3.6))
for name, error in errors.items():
    color, marker = looks[name]
    ax.loglog(counts, error, color=color, marker=marker, ms=5, lw=1.5)
    height = error[-1] * {"DDIM": 1.5, "Euler": 0.7}.get(name, 1)  # so that labels do not touch
    ax.text(counts[-1] * 1.1, height, f"{name}, slope −{slopes[name]:.2f}", color=color, va="center")
ax.set(xlabel="steps", ylabel="error at the end, rms", xlim=(14, 500), yticks=10.0 ** np.arange(-8, 0, 2))
ax.set_xticks(counts, counts)
ax.minorticks_off()
show(fig, "Five falling lines on logarithmic axes, error against the number of steps: Euler and DDIM with slope 1, Heun "
     "and DPM-Solver++(2M) with slope 2, RK4 with slope 4, down to one in a hundred million.")  # fmt: skip

# %% [markdown]
# *What to see:* straight lines, and the order is the slope. Twice the steps halve the error of Euler and DDIM, quarter
# that of Heun and DPM-Solver++(2M), and leave a sixteenth of RK4's. Two solvers of one order differ by a constant
# factor.
#
# ## Orders are paid for
#
# A step of Heun asks the network twice, one of RK4 four times. What counts is the **number of function evaluations**,
# NFE. `td.Counting(model)` is the same denoiser with a counter in it.

# %%
print("evaluations in 64 steps, counted")
for name, (sampler, _, cost) in solvers.items():
    counted = td.Counting(model)
    td.last(sampler(counted, x_noisy, process.time(np.linspace(-10, 5, 65))))
    print(f"    {name:17s} {counted.nfe:4d}")
    assert counted.nfe == 64 * cost

# %% [markdown]
# A fair race gives each solver the same number of evaluations. Make it a harder one: data with two narrow modes side by
# side, of standard deviation 0.03, as pictures have fine detail, and from pure noise down to a log-SNR of 14. And it
# matters *where* the steps are put. We compare equal steps in log-SNR with equal steps in $t$.
#
# **Predict.** Which solver would you take for 8 evaluations in all, and which for 256? On which grid?

# %%
fine = td.GaussianMixture([0.3, 0.3, 0.4], [[-1.2], [-1.0], [0.8]], [[[0.001]], [[0.001]], [[0.2]]])
fine_model = td.Oracle(fine, process)
start, end = quantiles(fine_model, fractions, process.t_max), quantiles(fine_model, fractions, process.t_min)
budgets = np.array([8, 16, 32, 64, 128, 256])
grids = {"log-SNR": td.grids.even_log_snr, "t": td.grids.even_time}
race = {}
for clock, grid in grids.items():
    for name, (sampler, _, cost) in solvers.items():
        ends = [td.last(sampler(fine_model, start, grid(process, n // cost)))[1] for n in budgets]
        race[clock, name] = np.array([rms(x - end) for x in ends])

fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True)
for ax, clock, title in zip(axes, grids, ("equal steps in log-SNR", "equal steps in $t$"), strict=True):
    for name in solvers:
        color, marker = looks[name]
        ax.loglog(budgets, race[clock, name], color=color, marker=marker, ms=5, lw=1.5, label=name)
    ax.set(title=title, xlabel="function evaluations")
    ax.set_xticks(budgets, budgets)
    ax.minorticks_off()
axes[0].set_ylabel("error at the end, rms")
axes[0].legend(loc="lower left", handlelength=1.5)
show(fig, "Error against function evaluations for five solvers on two grids. On the left they lie together up to 16 "
     "evaluations, then Euler and DDIM stay behind; on the right they stay together, DPM-Solver++(2M) above the rest.")  # fmt: skip
print(f"error; evaluations {''.join(f'{n:9d}' for n in budgets)}")
for (clock, name), error in race.items():
    print(f"{clock:8s}{name:17s}" + "".join(f"{e:9.5f}" for e in error))
assert min(error[0] for error in race.values()) == race["t", "Euler"][0]
assert min(error[-1] for error in race.values()) == race["log-SNR", "RK4"][-1]

# %% [markdown]
# *What to see:* an order is a promise about *short* steps. On the left, with 8 evaluations, Heun's four steps are the
# worst (0.55), the rest lie between 0.17 and 0.26. From 32 to 128 the three of higher order lie within a factor of
# three of each other, and about fifteenfold and more below Euler and DDIM at 64. Only at 256 does the fourth order
# break away. On the right the same three are 16 to 80 times worse at 256: equal steps in $t$ leap over the short time
# in which narrow modes form. Over both panels the best with 8 is *Euler* on equal steps in $t$ (0.15), the best with
# 256 RK4 on equal steps in log-SNR.
#
# Euler's error (left) falls tenfold from 64 to 128: with 64 steps one of the forty paths, which belongs to a narrow
# mode, still ends short of it, 0.38 away, and makes nearly all of the error. With 128 none does. At few steps an order
# is not yet a slope.
#
# No grid is best for all solvers and all data. In the table below Euler and DDIM are *better* with equal steps in $t$,
# even on the narrow modes, and on the broad ones of the figures before so is RK4. DPM-Solver++(2M) suffers most: it
# extrapolates in log-SNR, and in that clock the last of equal steps in $t$ are huge.

# %%
start_broad, end_broad = quantiles(model, fractions, process.t_max), quantiles(model, fractions, process.t_min)
for n in (64, 128):
    off = td.last(solvers["Euler"][0](fine_model, start, td.grids.even_log_snr(process, n)))[1] - end
    first, second = np.sort(np.abs(off[:, 0]))[:-3:-1]
    print(f"Euler, {n:3d} steps in log-SNR: the two largest of forty errors {first:.3f} and {second:.3f}")
print()
print("64 evaluations, error       narrow modes         broad modes")
print("                          log-SNR        t     log-SNR        t")
for name, (sampler, _, cost) in solvers.items():
    row = [race[clock, name][3] for clock in grids]
    for grid in grids.values():
        row.append(rms(td.last(sampler(model, start_broad, grid(process, 64 // cost)))[1] - end_broad))
    print(f"    {name:17s}     {row[0]:7.4f}  {row[1]:7.4f}     {row[2]:7.4f}  {row[3]:7.4f}")

# %% [markdown]
# ## How likely is a point?
#
# A flow moves points, and with them the probability around them. Let $p_t$ be the density of the crowd at time $t$. In
# a short time $h$ the map $x \mapsto x + h\,\tilde f(x, t)$, $\tilde f$ the velocity, turns a small volume into one
# that is $\lvert\det(I + hJ)\rvert$ times as large, with the Jacobian $J = \partial\tilde f/\partial x$. The
# probability in it stays, so the density is divided by that:
#
# $$\ln p_{t+h}(x_{t+h}) = \ln p_t(x_t) - \ln\lvert\det(I + hJ)\rvert .$$
#
# A determinant is the product of the eigenvalues, those of $I + hJ$ are $1 + h j_k$, and
# $\ln(1 + h j_k) = h j_k + O(h^2)$. Their sum is $h \operatorname{tr} J + O(h^2)$. Divide by $h$ and let it go to 0:
#
# $$\boxed{\;\frac{d}{dt}\ln p_t(x_t) = -\operatorname{tr}\frac{\partial \tilde f}{\partial x} = -\nabla\!\cdot\tilde f(x_t, t)\;}$$
#
# This is the **instantaneous change of variables** (Chen et al. 2018, [Neural ODEs](https://arxiv.org/abs/1806.07366)).
# No determinant is left, only a trace, the **divergence**. Integrate from the data to the noise, where the density is
# known, $\mathcal N(0, I)$:
#
# $$\ln p_0(x_0) = \ln \mathcal N(x_1; 0, I) + \int_0^1 \nabla\!\cdot\tilde f(x_t, t)\,dt .$$
#
# So carry a data point up to noise, add up the divergence on the way, and there is its likelihood, for *any* denoiser,
# right or wrong. `td.log_likelihood` does it with RK4 from log-SNR 14 on. The little way from $x_0$ to there is one step
# more: $x_0$ is scaled by $\alpha$, which adds $\ln\alpha$ for each coordinate, and takes half a step of the flow. So the
# likelihood is exact but for the steps of the solver. Try it with the exact denoiser, and with one that is
# 10 % too loud, $\hat\varepsilon = 1.1\,\varepsilon^*$.


# %%
class Louder(td.denoisers.Wrapper):
    """The denoiser with ε̂ = (1 + kappa) ε*, made from the exact one, `self.model`; x̂_0 follows from ε̂."""

    def __init__(self, oracle, kappa):
        super().__init__(oracle)
        self.kappa = kappa

    def __call__(self, x, t):
        """ε̂, (B, D)."""
        return (1 + self.kappa) * self.model(x, t)

    def linearize(self, x, t):
        """ε̂, and pull(u) = uᵀ ∂ε̂/∂x, of which the divergence is made."""
        eps, pull = self.model.linearize(x, t)
        return (1 + self.kappa) * eps, lambda u: (1 + self.kappa) * pull(u)


line = np.linspace(-3, 3, 301)[:, None]
right = td.log_likelihood(model, line, steps=100)
wrong = td.log_likelihood(Louder(model, 0.1), line, steps=100)
truth = data.log_density(line)

fig, ax = plt.subplots(figsize=(7.5, 3.2))
ax.plot(line, np.exp(truth), color=EXACT, lw=5, alpha=0.35)
ax.plot(line, np.exp(right), color=MODEL, lw=1.2, ls="--")
ax.plot(line, np.exp(wrong), color="k", lw=1.2)
ax.text(-2.9, 0.75, "density of the data", color=EXACT)
ax.text(-2.9, 0.65, "flow of the exact denoiser", color=MODEL)
ax.text(-2.9, 0.55, r"flow of $\hat\varepsilon = 1.1\,\varepsilon^*$", color="k")
ax.set(xlabel="$x_0$", ylabel="density")
show(fig, "The density of the data, a curve with two modes; the flow of the exact denoiser gives the same curve; that of "
     "the louder denoiser has narrower modes, both nearer to 0, the right one much higher.")  # fmt: skip

# %% [markdown]
# *What to see:* with the exact denoiser the flow's density (dashed) is the data's. With the louder one it is another,
# of modes that are too narrow and too near to 0: more noise was removed than there was. But it is a density too, and
# the area under it must be 1:

# %%
dx = line[1, 0] - line[0, 0]
exact_end = td.log_likelihood(model, line, steps=100, prior=lambda x: model.log_density(x, process.t_max))
print("largest error of ln p with the exact denoiser, nats")
print(f"    noise scored by N(0, 1)                {np.max(np.abs(right - truth)):.5f}")
print(f"    noise scored by its exact law q_1      {np.max(np.abs(exact_end - truth)):.5f}")
print(f"area under the densities: {np.sum(np.exp(right)) * dx:.6f} and {np.sum(np.exp(wrong)) * dx:.6f}")
assert np.max(np.abs(exact_end - truth)) < 1e-4  # what 100 steps of RK4 leave
assert abs(np.sum(np.exp(right)) * dx - 1) < 1e-3
assert abs(np.sum(np.exp(wrong)) * dx - 1) < 1e-3

# %% [markdown]
# The solver is right to 0.00001 nats, and any denoiser has a density. The larger error of the first row is not the
# solver's: at $t = 1$ the crowd is not quite $\mathcal N(0, 1)$, since 0.7 % of the mean of the data is left
# ($\alpha(1) = 0.0066$; the gap $L_T$ of notebook 2).
#
# ## A trace from random signs
#
# In $d$ dimensions the trace of a Jacobian takes $d$ products of a vector with it, one for each coordinate: 784
# backward passes for an image of 28 × 28 pixels, at every step. There is a cheaper way. Let $u$ be random with
# $\mathbb E\,uu^\top = I$, such as a vector of independent random signs $\pm 1$. Then
#
# $$\mathbb E\,u^\top J u = \mathbb E \operatorname{tr}(J\,u u^\top) = \operatorname{tr}(J\;\mathbb E\,uu^\top) = \operatorname{tr} J :$$
#
# one product with a vector, right on average (Hutchinson 1989; for flows, Grathwohl et al. 2019,
# [FFJORD](https://arxiv.org/abs/1810.01367)). How far off is one draw? With signs $u_i^2 = 1$, so the diagonal comes
# out exactly and only the rest is noise. Let $S = \frac12(J + J^\top)$, then
#
# $$u^\top J u = \operatorname{tr} J + 2\sum_{i<j} S_{ij}\,u_i u_j .$$
#
# The products $u_iu_j$ have mean 0 and variance 1, and two different ones are uncorrelated. So the variance is
# $4\sum_{i<j} S_{ij}^2 = 2\sum_{i \ne j} S_{ij}^2$.
#
# There are only $2^d$ vectors of signs. For $d = 4$ we can take all 16, and there is nothing random left.
#
# ### Exercise 10.4: Hutchinson
#
# The vectors $u$ are called **probes**. `vjp(x, u)` gives $u^\top \partial f/\partial x$ for each row, (B, D), as a
# model's pull does in the library. Take the mean over the probes.


# %%
def hutchinson(vjp, x, probes):
    """An estimate of the trace of ∂f/∂x for each row of x (B, D), from probes (P, B, D): (B,)."""
    ### BEGIN SOLUTION
    return np.mean([np.sum(vjp(x, u) * u, axis=1) for u in probes], axis=0)
    ### END SOLUTION


check(hutchinson)

# %%
J = rng.standard_normal((4, 4))
S = (J + J.T) / 2
signs = np.array(list(product([-1.0, 1.0], repeat=4)))  # all sixteen, (16, 4)
one_each = np.sum((signs @ J) * signs, axis=1)  # uᵀ J u for each
spread = np.sqrt(2 * (np.sum(S**2) - np.sum(np.diag(S) ** 2)))
print(f"trace {np.trace(J):.6f}, mean over all 16 vectors of signs {one_each.mean():.6f}")
print(f"standard deviation by the formula {spread:.6f}, over all 16 {one_each.std():.6f}")
assert np.isclose(one_each.mean(), np.trace(J), rtol=0, atol=1e-14)
assert np.isclose(one_each.std(), spread, rtol=1e-13)

fig, ax = plt.subplots(figsize=(7, 2.6))
ax.axvspan(np.trace(J) - spread, np.trace(J) + spread, color=EXACT, alpha=0.12, lw=0)
ax.axvline(np.trace(J), color=EXACT)
for value in np.unique(one_each.round(9)):
    height = np.arange(np.sum(np.isclose(one_each, value)))
    ax.plot(np.full(len(height), value), height + 0.5, "o", color=MODEL, ms=8)
ax.text(np.trace(J) - 0.12, 2.1, "the trace ± one\nstandard deviation", color=EXACT, ha="right")
ax.set(xlabel=r"$u^\top J u$", yticks=[], ylim=(0, 3))
ax.spines["left"].set_visible(False)
show(fig, "The sixteen values of one probe, in eight pairs on a line, spread widely on both sides of the trace.")

# %% [markdown]
# *What to see:* sixteen probes in eight pairs, since $u$ and $-u$ agree. Their mean is the trace to the digits shown,
# yet a single one may lie far away. One probe is an unbiased estimate, and that is all it is. A likelihood from probes
# needs its standard error beside it. Below, points in the plane, where the exact trace is at hand:

# %%
moons = td.toys.moons32()  # a mixture in the plane
moons_model = td.Oracle(moons, process)
x = moons.sample(rng, 40)
exact_trace = td.log_likelihood(moons_model, x, steps=30)
print("−ln p of 40 points of moons32, nats")
print("               mean    error of a point, rms    its standard error, rms")
print(f"exact trace  {-exact_trace.mean():6.3f}")
for probes in (2, 16):
    estimate, error = td.hutchinson_log_likelihood(moons_model, x, probes=probes, steps=30, rng=rng)
    print(f"{probes:2d} probes    {-estimate.mean():6.3f}    {rms(estimate - exact_trace):21.3f}    {rms(error):23.3f}")

# %% [markdown]
# With eight times the probes the error falls 3.5-fold, and its estimate, the standard error, 2.7-fold. Theory says
# $\sqrt 8 \approx 2.8$, and 40 points are few. A probe keeps its $u$ along the whole path, so each gives one unbiased
# estimate, and their spread the standard error. It needs no exact trace; from two probes it is right on average and
# rough for each point.
#
# ## Two models in one denoiser
#
# Now there are two numbers for "how good is it", both in nats for each point: the flow's mean $-\ln p(x_0)$, call it
# NLL(ODE), and the bound $-\text{ELBO}$ of notebook 5. And there is a third that nobody can beat, the **entropy** of
# the data, $-\mathbb E \ln q(x_0)$: any model's mean $-\ln p$ exceeds it by the Kullback–Leibler divergence from the
# data to the model, which is never negative.
#
# It is often said that entropy ≤ NLL(ODE) ≤ −ELBO, the bound above the likelihood. Take $\mathcal N(0, 1)$ as data and
# $\hat\varepsilon = (1+\kappa)\,\varepsilon^*$, where all three can be had exactly. **Predict.** On which side of
# $\kappa = 0$ is it false?
#
# Under VP $q_t$ is $\mathcal N(0, 1)$ at all times, $\varepsilon^* = \sigma x$, and the velocity is $-\frac12\beta x +
# \frac12\beta(1+\kappa)\,x = \frac12\beta\kappa\,x$. With $b = \int_0^1 \beta\,dt$ the flow maps $x_0$ to $x_1 =
# e^{\kappa b/2} x_0$, and adds up the divergence $\frac12\kappa b$. So
#
# $$-\ln p(x_0) = \tfrac12 \ln 2\pi + \tfrac12 e^{\kappa b}x_0^2 - \tfrac12\kappa b, \qquad
#   \text{NLL(ODE)} - \text{entropy} = \tfrac12\big(e^{\kappa b} - 1 - \kappa b\big).$$
#
# The bound of the reverse *chain*, in the limit of short steps, exceeds the entropy by half the integral over the
# log-SNR of $\mathbb E\,(\hat\varepsilon - \varepsilon^*)^2$ (notebook 5; that a loss is a floor and this excess,
# notebook 4). That is $\kappa^2\sigma^2$ here. Under VP $d\lambda/dt = -\beta/\sigma^2$, so
#
# $$-\text{ELBO} - \text{entropy} = \tfrac12\,\kappa^2 b .$$
#
# The library knows nothing of these formulas. It integrates and adds up, with five nodes of Gauss–Hermite quadrature
# for the expectations: weighted points on which the mean of a polynomial (up to degree 9) is its mean under
# $\mathcal N(0, 1)$.

# %%
normal = td.Oracle(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), process)
b = float(process.integral(1.0))  # 10.05
nodes, weights = np.polynomial.hermite_e.hermegauss(5)
weights = weights / weights.sum()
x0_nodes, eps_nodes = (each.reshape(-1, 1) for each in np.meshgrid(nodes, nodes))
pair_weights = np.outer(weights, weights).ravel()


def nll_of_the_flow(kappa):
    """NLL(ODE) in nats."""
    return -weights @ td.log_likelihood(Louder(normal, kappa), nodes[:, None], steps=100)


def minus_elbo(kappa):
    """−ELBO in nats in the limit of many steps: three counts of them, combined so that orders 1 and 2 cancel."""

    def bound(steps):
        ts = td.grids.even_log_snr(process, steps - 1)  # and the last step is the reconstruction
        noise = np.broadcast_to(eps_nodes, (steps, 25, 1))
        return pair_weights @ td.elbo(Louder(normal, kappa), x0_nodes, ts, noise=noise, variance="beta").nats

    return (8 * bound(200) - 6 * bound(100) + bound(50)) / 3


entropy = 0.5 * np.log(2 * np.pi * np.e)
kappas = np.linspace(-1, 0.25, 200)
measured = {kappa: (nll_of_the_flow(kappa), minus_elbo(kappa)) for kappa in (-1.0, -0.5, 0.0, 0.1)}

fig, ax = plt.subplots(figsize=(7.5, 3.4))
ax.axhline(entropy, color=EXACT)
ax.plot(kappas, entropy + (np.exp(kappas * b) - 1 - kappas * b) / 2, color=MODEL)
ax.plot(kappas, entropy + kappas**2 * b / 2, color="k", ls="--")
ax.plot(list(measured), [nll for nll, _ in measured.values()], "o", color=MODEL, ms=7)
ax.plot(list(measured), [bound for _, bound in measured.values()], "s", color="k", ms=5)
ax.text(-0.97, 1.53, "entropy of the data", color=EXACT)
ax.text(-0.62, 4.2, "NLL of the flow", color=MODEL)
ax.text(-0.88, 2.35, "−ELBO of the chain", color="k")
ax.set(xlabel=r"$\kappa$:   $\hat\varepsilon = (1+\kappa)\,\varepsilon^*$", ylabel="nats", ylim=(1, 7))
show(fig, "Two curves over the error κ that touch the entropy at κ = 0: the chain's bound is a parabola; the flow's "
     "negative log-likelihood lies above it on both sides of 0, much steeper on the right, and below it at the far left.")  # fmt: skip

# %% [markdown]
# *What to see:* lines are formulas, dots and squares measured. Both stay above the entropy and touch it only where the
# model is perfect. But neither lies above the other everywhere. At $\kappa = 0.1$ the "bound" (1.47) is far *below* the
# flow's NLL (1.78), which it is said to exceed; at $\kappa = -0.5$ too. Only at the far left does it lie above: at
# $\kappa = -1$, no denoising at all, 6.45 against 5.94.
#
# There is no contradiction. A denoiser makes **two models**: the flow, and the reverse chain with its noise. Their
# samples have different laws unless the denoiser is exact. The ELBO bounds the likelihood of the chain, and says
# nothing of the flow's. A chain forgets an early mistake under fresh noise [[Karras et al.
# 2022](https://arxiv.org/abs/2206.00364), §4]; the flow carries it to the end. For $\kappa > 0$ its price grows
# exponentially: $x_0 = e^{-\kappa b/2}x_1$, so the model's density is too narrow, and data lie far out in its tails.
#
# So in a table of results, say which of the two a number is.
#
# ## Break it
#
# Two ways to be fooled. First, Heun with one letter wrong: the second slope is taken at time $t$ in place of $s$.


# %%
def heun_at_t(f, x, t, s):
    """The second slope at the wrong time."""
    k1 = f(x, t)
    return x + (s - t) / 2 * (k1 + f(x + (s - t) * k1, t))


print(check(heun_at_t, "heun_step"))

# %% [markdown]
# It still converges; only its *order* is gone. Second: to test a solver one may go from data to noise and back, as we
# did in notebook 8, and look whether one arrives where one started. Let us measure the "order" of this round trip, for
# the right solvers, for the broken one, and for a fraud that does not move at all. **Predict** which of them it
# exposes.


# %%
def exact_flow(x, t):
    """The velocity of the probability flow, (B, 1)."""
    return velocity(model, x, process.at(t))


steps = {
    "Euler": lambda f, x, t, s: x + (s - t) * f(x, t),
    "Heun": lambda f, x, t, s: x + (s - t) / 2 * (f(x, t) + f(x + (s - t) * f(x, t), s)),
    "RK4": rk4_step,
    "Heun at t": heun_at_t,
    "stand still": lambda f, x, t, s: x,
}
numbers = (25, 50, 100)
rates, away = {}, {}
x_far = quantiles(model, fractions, process.time(-4.0))
x_near = quantiles(model, fractions, process.time(4.0))
for name, step in steps.items():
    there_off, back_off = [], []
    for n in numbers:
        ts = process.time(np.linspace(4, -4, n + 1))  # from data to noise
        x = x_near
        for t, s in pairwise(ts):
            x = step(exact_flow, x, t, s)
        there_off.append(rms(x - x_far))
        for t, s in pairwise(ts[::-1]):
            x = step(exact_flow, x, t, s)
        back_off.append(rms(x - x_near))
    away[name] = there_off, back_off
    with np.errstate(divide="ignore", invalid="ignore"):  # to stand still returns with no error at all
        rates[name] = [-np.polyfit(np.log(numbers), np.log(off), 1)[0] for off in (there_off, back_off)]

fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), sharey=True)
marks = {"Euler": (CYCLE[4], "o"), "Heun": (CYCLE[0], "^"), "RK4": (CYCLE[3], "v"), "Heun at t": (CYCLE[5], "X")}
for i, (ax, title) in enumerate(zip(axes, ("one way, against the truth", "there and back"), strict=True)):
    for name, (color, marker) in marks.items():
        ax.loglog(numbers, away[name][i], color=color, marker=marker, ms=6, lw=1.5)
        height = away[name][i][-1] * {"Heun at t": 2.5, "Euler": 0.5}.get(name, 1)
        ax.text(numbers[-1] * 1.08, height, f"{name}, slope −{rates[name][i]:.1f}", color=color, va="center")
    ax.set(title=title, xlabel="steps each way", xlim=(23, 420))
    ax.set_xticks(numbers, numbers)
    ax.minorticks_off()
axes[0].set_ylabel("error, rms")
show(fig, "Errors against steps, one way and there and back: one way the slopes are 1, 2, 4, and 1 for the broken Heun; "
     "there and back they are 1, 3, 5, and 1.")  # fmt: skip

# %% [markdown]
# *What to see:* one way the slopes are the orders, 1, 2 and 4, and the broken Heun is of order 1. There and back they
# are 1, 3 and 5: Heun and RK4 look better than they are (Heun at $t$ and Euler coincide). And the fraud?

# %%
print("−slope               one way    there and back")
for name, (one_way, back) in rates.items():
    print(f"    {name:12s}    {one_way:7.2f}    {f'{back:14.2f}' if np.isfinite(back) else '  no error at all'}")

# %% [markdown]
# Standing still returns with no error at all, and looks best. Why do even orders gain one? A step of order $p$ errs by
# $C h^{p+1}$, and the same step backwards by $C(-h)^{p+1}$. If $p$ is even the two have opposite signs and cancel, and
# the trip gains an order; if $p$ is odd they add up. A round trip measures whether a solver can undo itself, not
# whether it went to the right place.
#
# ## The numbers
#
# Orders and nats, beside their exact values.

# %%
print("order of a solver        measured   exact")
for name, (_, order, _) in solvers.items():
    print(f"    {name:17s}      {slopes[name]:6.2f}   {order:5d}")
    assert abs(slopes[name] - order) < 0.15  # what is left of higher orders at 16 steps
print("−slope of a round trip")
for name, order in (("Euler", 1), ("Heun", 3), ("RK4", 5)):
    print(f"    {name:17s}      {rates[name][1]:6.2f}   {order:5d}")
    assert abs(rates[name][1] - order) < 0.15

print("\nnats on N(0, 1)         entropy   NLL(ODE): measured, exact   −ELBO: measured, exact")
for kappa, (nll, bound) in measured.items():
    exact_nll, exact_bound = entropy + (np.exp(kappa * b) - 1 - kappa * b) / 2, entropy + kappa**2 * b / 2
    print(f"    ε̂ = {1 + kappa:3.1f} ε*          {entropy:7.3f}          {nll:7.3f} {exact_nll:7.3f}"
          f"          {bound:7.3f} {exact_bound:7.3f}")  # fmt: skip
    assert abs(nll - exact_nll) < 1e-6  # what the steps leave
    assert abs(bound - exact_bound) < 1e-3 * (1 + exact_bound)  # what is left of the order of the steps
    assert min(nll, bound) > entropy - 1e-6
assert measured[0.1][0] > measured[0.1][1]  # and they have no order
assert measured[-0.5][0] > measured[-0.5][1]
assert measured[-1.0][0] < measured[-1.0][1]

# %% [markdown]
# ## What you know now
#
# - A solver of order $p$ has an error proportional to $h^p$: a slope on logarithmic axes, for short steps only.
# - What counts is evaluations. DPM-Solver++(2M) solves the linear part of the flow exactly, remembers one answer, and gets order 2 for one
#   evaluation a step. The grid matters as much as the order.
# - $d \ln p/dt = -\nabla\!\cdot\tilde f$ along the flow, so any denoiser has an exact likelihood; random signs give the trace right on average only.
# - A denoiser makes two models, flow and chain. Both cost at least the entropy, and their numbers have no order.
# - A round trip does not measure an order.
#
# **Next:** [14. The perfect model memorises](14_memorisation.ipynb). So far the data were a density. What is the exact
# denoiser of a finite set of training points?
