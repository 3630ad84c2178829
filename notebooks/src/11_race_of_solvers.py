# %% [markdown]
# # 11. A race of solvers
#
# **What does a step cost, and who wins at eight evaluations?**
#
# *You need:* the flow of notebook 9, DDIM of [notebook 8](08_one_family.ipynb), integrals of $e^x$ times a polynomial.
#
# *Afterwards:* you read an order off a figure, derive a solver that remembers its last answers, and enter it in a race.
#
# *Minutes:* 90. *Papers:* Lu et al. 2022, [DPM-Solver++](https://arxiv.org/abs/2211.01095); Zhao et al. 2023,
# [UniPC](https://arxiv.org/abs/2302.04867).

# %% [markdown]
# ## What you have so far
#
# Time $t$ goes from 0, the data, to 1, the noise. At each time $x = \alpha x_0 + \sigma\varepsilon$, and
# $\lambda = \ln(\alpha^2/\sigma^2)$. A denoiser answers $\hat x_0$ and $\hat\varepsilon$ with
# $x = \alpha\hat x_0 + \sigma\hat\varepsilon$.
#
# - DDIM without noise steps from $t$ to $s$ by $x_s = \alpha_s\hat x_0 + \sigma_s\hat\varepsilon$ (notebook 8).
# - The flow is $\dot x = f x - \tfrac12 g^2\,\nabla\ln q_t$ (notebook 9). A dot is the derivative by $t$.
# - A flow has a density: $\ln p_0(x_0) = \ln p_1(x_1) + \int_0^1\operatorname{tr} J\,dt$, with $J$ the derivative of $\dot x$
#   by $x$. Random signs $u$ give the trace, as the mean of $u^\top J u$. Notebook 10 added it up in a hundred steps.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import tinydiff as td
from tinydiff.course import credit, guess, keep, mine, play
from tinydiff.course_tests import race_of_solvers as tests
from tinydiff.plotting import DATA, EXACT, show

plt.style.use("tinydiff.course")
process = td.VP()
# ends_at[4](process, n): n equal steps in λ, from noise to λ = 4
ends_at = {end: lambda process, n, end=end: td.grids.even_log_snr(process, n, end=end) for end in range(2, 11)}

# %% [markdown]
# ## Eight particles
#
# A network is asked once or more in each step, and that is nearly the whole cost of drawing a sample. Each question is
# an **evaluation**. Eight particles ride along the exact curves of the flow, from noise on the left. Four solvers
# follow them, each with at most eight evaluations. The last one asks for $\hat x_0$, which is their finish: the dotted
# line stands for $\lambda = \infty$. Where the
# flow itself carries each noise is the **exact map**. It is the truth of this notebook.

# %%
lam, exact, walks = tests.tracks(8)
finish = 8.0  # where the curves are flat


def place(of):
    """The λ of steps, the answer's at the finish line."""
    return np.minimum(of, finish)


fig, axes = plt.subplots(1, 4, figsize=(9, 2.9), sharey=True)
dots = [ax.plot([], [], "o-", color="black", ms=3, lw=0.7)[0] for ax in axes]
riders = [ax.plot([], [], "o", color=EXACT, ms=4, alpha=0.7)[0] for ax in axes]
trails = [[ax.plot([], [], color=EXACT, lw=1)[0] for _ in range(8)] for ax in axes]
for ax, name in zip(axes, walks, strict=True):
    ax.axvline(finish, color="black", lw=2, ls=(0, (1, 1)))
    ax.set(xlim=(-10.5, finish + 0.5), ylim=(-2.1, 1.9), xlabel="log-SNR λ", title=name, yticks=[-1, 0, 1])
axes[0].set_ylabel("x")
fig.draw_without_rendering()
fig.set_layout_engine("none")


def frame(until):
    """All that has happened up to this λ."""
    ridden = lam <= until
    for dot, rider, trail, (at, x) in zip(dots, riders, trails, walks.values(), strict=True):
        for line, path in zip(trail, exact[ridden].T, strict=True):
            line.set_data(lam[ridden], path)
        rider.set_data(np.full(8, lam[ridden][-1]), exact[ridden][-1])
        shown = place(at) <= until
        gap = np.full((1, 8), np.nan)  # so that no line leads from one particle to the next
        ys = np.concatenate([x[shown], gap])
        dot.set_data(np.tile(np.append(place(at)[shown], np.nan), 8), ys.T.ravel())


show(
    FuncAnimation(fig, frame, frames=[-10, -8, -6, -4, -3, -2, -1, 0, 1, 1.5, 1.5, 1.5], interval=300),
    "Four panels with the same eight blue curves, which are drawn from noise to λ = 1.5 and end there. The black dots of "
    "the four solvers lie near the curves. Those of Heun are few, and those of DDIM fall behind where curves bend.",
)

# %% [markdown]
# *What to see:* blue is exact, black are the steps. The film stops before the finish, where the modes part.

# %%
nearest = guess("Which solver is nearest to the exact curves at the finish?", [*walks])

# %%
off = {name: np.sqrt(np.mean((x[-1] - exact[-1]) ** 2)) for name, (_, x) in walks.items()}
fig, axes = plt.subplots(1, 4, figsize=(9, 3.1), sharey=True)
for ax, (name, (at, x)) in zip(axes, walks.items(), strict=True):
    ax.plot(lam, exact, color=EXACT, lw=1)
    ax.plot(place(at), x, "o-", color="black", ms=3, lw=0.7)
    ax.axvline(finish, color="black", lw=2, ls=(0, (1, 1)))
    ax.set(xlim=(-10.5, finish + 0.5), ylim=(-2.1, 1.9), xlabel="log-SNR λ", title=f"{name}\n{off[name]:.3f}")
axes[0].set(ylabel="x", yticks=[-1, 0, 1])
nearest.reveal(
    min(off, key=off.get),
    f"The numbers are rms distances to the exact ends. Heun asks twice in a step, so it has only three steps, and one of "
    f"them leaps over the place where the modes part: {off['Heun']:.2f}. Euler and DDIM ask once, and follow an old answer. "
    "DPM-Solver++(2M) asks once too, but it remembers its last answer. You will derive it.",
    picture=fig,
    alt="The whole way in four panels. Heun's few steps cross between the curves, and two of them end far off. Some of Euler's and "
    "DDIM's end beside a curve. The last steps of DPM-Solver++ end on the curves.",
)
assert off["DPM-Solver++(2M)"] < 0.3 * min(off["Euler"], off["DDIM"]) < 0.3 * off["Heun"]

# %% [markdown]
# ## What a step is
#
# Let $\dot x = f(x, t)$ be any equation; in this section $f$ is all of its right side. A step leads from $t$ to $s$, and
# $h = s - t$ is its length, negative towards the data. The truth has a Taylor series,
# $x_s = x_t + h\dot x + \tfrac12h^2\ddot x + O(h^3)$. **Euler** keeps two terms. **Heun** takes the mean of two slopes,
# the second where Euler would arrive:
#
# $$x_{\mathrm E} = x_t + h f(x_t, t), \qquad x_s \approx x_t + \tfrac h2\big(f(x_t, t) + f(x_{\mathrm E}, s)\big).$$
#
# The second slope is $f + h\,(f_t + f_x f) + O(h^2)$, with derivatives as indices. The bracket is $\ddot x$. So
# Heun agrees with the Taylor series to $h^2$, without any derivative in it.
#
# Euler errs by about $h^2$ in a step. A whole way has a number of steps in proportion to $1/h$. So the error at the end
# goes as $h$. A solver whose error at the end goes as $h^p$ has the **order** $p$.

# %% [markdown]
# ### Exercise 11.1 (transcribe): Euler and Heun


# %%
def euler_step(f, x, t, s):
    """x_s (B, D) from x at time t, along the slope f(x, t) there; s may lie on either side of t."""
    ### BEGIN SOLUTION
    return x + (s - t) * f(x, t)
    ### END SOLUTION


keep(euler_step)


# %%
def heun_step(f, x, t, s):
    """x_s (B, D) from x at time t, along the mean of two slopes: at t, and at s where Euler's step arrives."""
    ### BEGIN SOLUTION
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h * k1, s)
    return x + h / 2 * (k1 + k2)
    ### END SOLUTION


keep(heun_step)

# %% [markdown] tags=["solution"]
# **Solution.** Both stand above. Ask for each slope once: a second `f(x, t)` in the code is a second evaluation. The
# usual slip is $t - s$ for $s - t$.

# %% [markdown]
# ## Solve what can be solved
#
# The flow is not just any equation. Most of it is linear, with coefficients that we chose ourselves. The signal obeys
# $\dot\alpha = f\alpha$, and the variance of the noise obeys $\tfrac{d}{dt}\sigma^2 = 2f\sigma^2 + g^2$. Put both into the
# flow, with $\nabla\ln q_t = -\hat\varepsilon/\sigma$ and $x = \alpha\hat x_0 + \sigma\hat\varepsilon$. What is left is
#
# $$\dot x = \dot\alpha\,\hat x_0 + \dot\sigma\,\hat\varepsilon .$$
#
# Suppose that $\hat x_0$ stays the same along the way. Then $\alpha\hat x_0 + \sigma\hat\varepsilon$ with a constant
# $\hat\varepsilon$ is a solution, as its derivative shows. So the solution is known for steps of *any* length: it is DDIM.
# Nothing costs accuracy but a change of $\hat x_0$. A solver that uses this is called an **exponential integrator**.

# %% [markdown]
# ### Exercise 11.2 (derive): remember one answer
#
# What moves $x/\sigma$? Write its derivative with $\hat x_0$ alone. Integrate it from $t$ to $s$, in the clock
# $\ell = \ln(\alpha/\sigma) = \lambda/2$. Only $\hat x_0$ along the way is unknown. Take one value for the whole step: that
# in the *middle* of the step, in $\ell$. You know $\hat x_0$ now, and one step ago. Go on along the straight line
# through both.


# %%
def dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma):
    """x_s (B, D) from x_t, x̂_0 at t and x̂_0 at t_before; t_before > t > s > 0; alpha(t) and sigma(t) are functions."""
    ### BEGIN SOLUTION
    before, now, later = (np.log(alpha(u) / sigma(u)) for u in (t_before, t, s))
    h, h_before = later - now, now - before
    middle = x0_hat + h / (2 * h_before) * (x0_hat - x0_hat_before)
    return sigma(s) / sigma(t) * x_t + alpha(s) * (1 - np.exp(-h)) * middle
    ### END SOLUTION


keep(dpm_solver_2m_step)

# %% [markdown] tags=["solution"]
# **Solution.** $d(x/\sigma) = \hat x_0\,d(\alpha/\sigma)$, and $\alpha/\sigma = e^\ell$. A constant $\bar x_0$ comes out of
# the integral, and leaves $\sigma_s(e^{\ell_s} - e^{\ell_t})\,\bar x_0$. Two slips are common: half a step is $h/2$, and
# the slope is per $h_\text{before}$, not per $h$. This is DPM-Solver++(2M).

# %% [markdown]
# ### Exercise 11.3 (derive): remember all of them
#
# Now let $\hat x_0$ be a polynomial in $\ell$, that through the last $k$ answers. Integrate it *exactly*. The step is a sum
# of the answers with $k$ weights, so it is enough that $1, u, u^2, \dots$ come out right, with $u = \ell - \ell_s$. With one
# answer your step must be DDIM. The lengths of the steps may differ, and $k$ is the length of the list.


# %%
def multistep_step(x_t, x0_hats, times, s, alpha, sigma):
    """x_s (B, D) from x_t and a list of past answers x̂_0, each (B, D), at the falling times; the newest, at t, is last."""
    ### BEGIN SOLUTION
    ell, end = np.array([np.log(alpha(t) / sigma(t)) for t in times]), np.log(alpha(s) / sigma(s))
    u, h = ell - end, end - ell[-1]
    moments = [-np.expm1(-h)]  # of u^j under the weight e^u, from −h to 0
    for j in range(1, len(u)):
        moments.append(-((-h) ** j) * np.exp(-h) - j * moments[-1])
    weights = np.linalg.solve(np.vander(u, increasing=True).T, moments)
    return sigma(s) / sigma(times[-1]) * x_t + alpha(s) * sum(w * x for w, x in zip(weights, x0_hats, strict=True))
    ### END SOLUTION


keep(multistep_step)

# %% [markdown] tags=["solution"]
# **Solution.** Put $u = \ell - \ell_s$. Integration by parts gives the integrals $M_j$ of $e^u u^j$ from $-h$ to 0, one
# from another. The weights $w_i$ solve $\sum_i w_i u_i^j = M_j$, a small system of equations. The usual wrong turn is
# to take the polynomial in $t$, or in $\lambda$ as if it were $\ell$. With two answers this is not quite 2M, which puts
# the middle in the place of the exact mean. Both have order 2.

# %% [markdown]
# ## Orders, measured
#
# A **sampler** is a generator: it walks along given times, and yields each time and its points. `multistep(k)` is one,
# made of your step. It remembers $k$ answers. Its first steps have
# fewer, which costs little: in the noise $\hat x_0$ hardly counts.


# %%
def multistep(k):
    """The sampler that steps with the last k answers."""

    def sampler(model, x, ts, *, rng=None):
        answers, times = [], []
        yield ts[0], x
        for t, s in pairwise(ts):
            answers, times = [*answers, model.x0(x, t)][-k:], [*times, t][-k:]
            x = mine.multistep_step(x, answers, times, s, alpha, sigma)
            yield s, x

    return sampler


def alpha(t):
    return process.at(t).alpha


def sigma(t):
    return process.at(t).sigma


# %%
factor = guess("Three answers, and all steps half as long: by which factor does the error fall?", ...)

# %%
data = td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]])
model = td.Oracle(data, process)
start = np.linspace(-2, 2, 40)[:, None]
whole = process.t_max, process.time(np.array([5.0])).item()
truth = td.last(td.probability_flow(model, start, whole, method="rk45", rtol=1e-11, atol=1e-11))[1]


def slope(x, t):
    """dx/dt of the flow."""
    now = process.at(t)
    return now.f * x + now.g2 / (2 * now.sigma) * model(x, now)


def by_steps(step):
    """The sampler of a step(f, x, t, s)."""

    def walk(ts):
        x = start
        for t, s in pairwise(ts):
            x = step(slope, x, t, s)
        return x

    return walk


def two_m(ts):
    """The walk of dpm_solver_2m_step, its first step DDIM."""
    x, before, t_before = start, None, None
    for t, s in pairwise(ts):
        now = model.x0(x, t)
        if before is None:
            x = mine.multistep_step(x, [now], [t], s, alpha, sigma)
        else:
            x = mine.dpm_solver_2m_step(x, now, before, t_before, t, s, alpha, sigma)
        before, t_before = now, t
    return x


methods = {
    "Euler": (by_steps(mine.euler_step), 1),
    "DDIM, 1 answer": (lambda ts: td.last(multistep(1)(model, start, ts))[1], 1),
    "Heun": (by_steps(mine.heun_step), 2),
    "DPM-Solver++(2M)": (two_m, 2),
    "2 answers": (lambda ts: td.last(multistep(2)(model, start, ts))[1], 2),
    "3 answers": (lambda ts: td.last(multistep(3)(model, start, ts))[1], 3),
}
counts = np.array([32, 64, 128, 256])
errors = {
    name: np.array([np.sqrt(np.mean((walk(ends_at[5](process, n)) - truth) ** 2)) for n in counts])
    for name, (walk, _) in methods.items()
}
orders = {name: np.log2(error[-2] / error[-1]) for name, error in errors.items()}

by = credit("euler_step", "heun_step", "dpm_solver_2m_step", "multistep_step")
fig, ax = plt.subplots(figsize=(7.5, 3.8))
heights = {"Euler": 0.8, "DDIM, 1 answer": 1.3, "DPM-Solver++(2M)": 0.75, "2 answers": 1.7}
for (name, error), marker in zip(errors.items(), "os^Dvp", strict=True):
    ax.loglog(counts, error, marker=marker, color=by.color, ms=5, lw=1.3)
    ax.text(280, error[-1] * heights.get(name, 1), f"{name}, {orders[name]:.2f}", color=by.color, va="center")
ax.set(xlabel="steps", ylabel="rms error at λ = 5", xlim=(28, 900))
ax.set_xticks(counts, counts)
ax.minorticks_off()
fig.suptitle(by.title)
factor.reveal(
    errors["3 answers"][-2] / errors["3 answers"][-1],
    "The order is the slope on logarithmic axes, and stands beside each name. Order 3 leaves an eighth, order 2 a quarter, "
    "order 1 a half. Methods of one order differ by a constant factor. Here Euler's is smaller than DDIM's, and Heun's than 2M's: the gain of the exact part is at long steps, as in the first picture. Heun asks twice "
    "in a step: at equal evaluations its line stands a factor of two further right.",
    picture=fig,
    alt="Six falling lines, error against steps. Two have slope 1, three have slope 2, and the lowest, of three answers, has "
    "slope 3.",
)
for name, (_, order) in methods.items():
    assert abs(orders[name] - order) < 0.15

# %% [markdown]
# ## Two tests that deceive
#
# ### Exercise 11.4 (diagnose): it converges all the same
#
# (a) One line of this Heun is wrong. Its errors still fall with the steps. Which line is it? Mend it.


# %%
def heun(f, x, t, s):
    h = s - t  # line 1
    k1 = f(x, t)  # line 2
    arrived = x + h * k1  # line 3
    k2 = f(arrived, t)  # line 4
    return x + h / 2 * (k1 + k2)  # line 5


def classical(f, x, t, s):
    """Runge and Kutta's step of order 4."""
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h / 2 * k1, t + h / 2)
    k3 = f(x + h / 2 * k2, t + h / 2)
    k4 = f(x + h * k3, s)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


wrong = [np.sqrt(np.mean((by_steps(heun)(ends_at[5](process, n)) - truth) ** 2)) for n in counts]
print(f"errors of this Heun  {', '.join(f'{error:.4f}' for error in wrong)}")
print(f"its slope            {np.log2(wrong[-2] / wrong[-1]):.2f}; of the right one {orders['Heun']:.2f}")
assert abs(np.log2(wrong[-2] / wrong[-1]) - 1) < 0.1

# %% [markdown]
# (b) Without a truth, one may go down to the data and back up, and see how far from the start one ends. This is done
# here for orders 1, 2 and 4, and for a solver that stands still. What slope would a method of order 3 have?

# %%
print("error           there               there and back       its slope")
print("steps             64      128           64      128")
for name, step in {"Euler": mine.euler_step, "Heun": mine.heun_step, "Runge–Kutta": classical}.items():
    there, back = [], []
    for n in (64, 128):
        ts = ends_at[5](process, n)
        x = by_steps(step)(ts)
        there.append(np.sqrt(np.mean((x - truth) ** 2)))
        for t, s in pairwise(ts[::-1]):
            x = step(slope, x, t, s)
        back.append(np.sqrt(np.mean((x - start) ** 2)))
    print(
        f"{name:12s} {there[0]:8.1e} {there[1]:8.1e}   {back[0]:8.1e} {back[1]:8.1e} {np.log2(back[0] / back[1]):12.2f}"
    )
still = np.sqrt(np.mean((start - truth) ** 2))
print(f"stand still  {still:8.1e} {still:8.1e}   {0:8.1e} {0:8.1e}       no error")

# %%
line = ...  # 1 to 5
round_trip = ...  # the slope there and back of a method of order 3


def mended(f, x, t, s):
    h = s - t  # line 1
    k1 = f(x, t)  # line 2
    arrived = x + h * k1  # line 3
    k2 = f(arrived, t)  # line 4
    return x + h / 2 * (k1 + k2)  # line 5


### BEGIN SOLUTION
line, round_trip = 4, 3


def mended(f, x, t, s):
    h = s - t
    k1 = f(x, t)
    arrived = x + h * k1
    k2 = f(arrived, s)
    return x + h / 2 * (k1 + k2)


### END SOLUTION

keep(line, mended, round_trip, test=tests.second_slope, into=None)

# %% [markdown] tags=["solution"]
# **Solution.** Line 4 asks for the slope at time $t$, at a point that belongs to $s$. Each step then errs by $h^2$, as
# Euler's does. So errors that fall show nothing. Only the slope does. There and back: a step of
# order $p$ errs by $Ch^{p+1}$, and back by $C(-h)^{p+1}$. For even $p$ the two cancel, and the trip gains an order. For odd
# $p$ they add. So an order of 3 shows as 3. A round trip measures whether a solver can undo itself.

# %% [markdown]
# ## Orders are promises about short steps
#
# With few evaluations the steps are long, and it matters *where* they are. The next picture lets `multistep(answers)`
# walk on the ring, in equal steps of $\lambda$ up to an end, where it asks for $\hat x_0$. Find the best end at 8
# evaluations, and at 20. Then do it with 3 answers.

# %%
by = credit("multistep_step")


def draw(evaluations, end, answers):
    """Where 100 points end, and the distance for each number of evaluations."""
    grid, sampler = ends_at[end], multistep(answers)
    x = td.sample(tests.oracle("ring8"), 100, sampler=sampler, steps=evaluations, grid=grid, rng=0)
    exact_ends, budgets = tests.ends("ring8", 100, 0), range(4, 31, 2)
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.1), width_ratios=(1, 1.6))
    left.plot(*np.stack([exact_ends, x], axis=1).T, color=by.color, lw=1)
    left.plot(*exact_ends.T, "o", color="black", ms=2.5, zorder=3)
    left.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xticks=[], yticks=[], title="exact ends, and how far off")
    curve = [tests.rms(sampler, "ring8", n, grid) for n in budgets]
    mark = tests.rms(sampler, "ring8", evaluations, grid)
    right.semilogy(budgets, curve, color=by.color, lw=1.5)
    right.plot(evaluations, mark, "o", color=by.color)
    right.set(xlabel="evaluations", ylim=(1e-3, 3), title=f"rms distance at {evaluations}: {mark:.4f}")
    fig.suptitle(by.title)
    return fig


play(
    draw,
    "Left, short lines lead from the exact ends, on eight modes, to the ends of eight evaluations. Right, the distance falls "
    "with the evaluations.",
    evaluations=(4, 30, 8),
    end=(2, 10, 8),
    answers=(1, 4, 2),
)

# %%
print("best end for the ring    8 evaluations   20 evaluations")
for k in (1, 2, 3):
    best = [min((tests.rms(multistep(k), "ring8", n, ends_at[end]), end) for end in ends_at) for n in (8, 20)]
    print(f"{k} answer{'s' * (k > 1):14s} " + "".join(f"     λ = {end:d}: {off:.4f}" for off, end in best))

# %% [markdown]
# Why not go on to larger $\lambda$? A longer way makes each step longer. At $\lambda = 4$ the exact $\hat x_0$ is still a
# little off. With eight evaluations longer steps cost more than that. With 20 they no longer do: for two answers and three the
# best end is $\lambda = 7$.
#
# Now four clouds: the ring, two moons of 32 modes, two arms of a spiral of 60 modes, and a grid of 5 by 5.

# %%
better = guess(
    "Mean of ring8, spiral60, grid25 and moons32, 8 evaluations, to λ = 4: who is nearer?",
    ["2 answers", "3 answers", "they are level"],
)

# %%
budgets = (6, 8, 12, 20, 32)
fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
rows = {}
for ax, end in zip(axes, (4, 7), strict=True):
    for k, ls in ((1, ":"), (2, "-"), (3, "--")):
        sampler = multistep(k)
        rows[end, k] = [np.mean([tests.rms(sampler, toy, n, ends_at[end]) for toy in tests.TOYS]) for n in budgets]
        ax.loglog(budgets, rows[end, k], "o", ls=ls, color=by.color, ms=4, label=f"{k} answer{'s' * (k > 1)}")
    ax.set(xlabel="evaluations", title=f"even in λ, up to {end}")
    ax.set_xticks(budgets, budgets)
    ax.minorticks_off()
axes[0].set_ylabel("rms distance")
axes[0].legend(loc="lower left", handlelength=3)
fig.suptitle(by.title)
lines = [f"to λ = {end}, {k} answers {''.join(f'{v:9.4f}' for v in row)}" for (end, k), row in rows.items()]
better.reveal(
    "2 answers",
    "With 8 evaluations a step is 2 units of `λ` long, and three answers reach back over 6. On such a way `x̂_0` may turn from "
    "one mode to another, and no parabola follows that. At 32 evaluations on the longer way, three answers are far ahead.",
    picture=fig,
    alt="Distance against evaluations for one, two and three answers, on two grids. At 6 and 8 two answers are lowest. On the "
    "right, at 32, three answers are lowest by far.",
    table="\n".join([f"mean of four toys   {''.join(f'{n:9d}' for n in budgets)}", *lines]),
)
assert rows[4, 2][1] < 0.7 * rows[4, 3][1]
assert rows[7, 3][-1] < 0.4 * rows[7, 2][-1]

# %% [markdown]
# ## The thing: a race
#
# `td.race` lets your sampler run against eight of the library's, from the same noise. What counts is the rms distance to
# the exact map, at equal evaluations. You choose the grid of yours. This one ends at $\lambda = 4$ if there are few steps.
# With more of them it takes the library's `logistic` grid, which has short steps where modes part. The others walk on
# `logistic`, and EDM's Heun on its own.


# %%
def grid(process, n):
    return ends_at[4](process, n) if n < 10 else td.grids.logistic(process, n)


found = td.race(
    multistep(2), name="yours", grid=grid, toys=tests.TOYS, evaluations=(6, 8, 12, 20), n=50, progress=False
)
print(found)

# %%
by = credit("multistep_step")
NAMED = {"unipc": ("-", "s"), "dpm_solver_3m": ("--", "^"), "dpm_solver_2m": (":", "D")}
fig, axes = plt.subplots(1, 4, figsize=(9, 3.2), sharey=True)
for j, (ax, toy) in enumerate(zip(axes, found.toys, strict=True)):
    for name, distances in sorted(found.rms.items(), key=lambda row: row[0] in NAMED):
        own = name == found.name
        label, color, lw = (
            ("multistep(2)", by.color, 2.5) if own else (name, "black", 1) if name in NAMED else (None, DATA, 0.5)
        )
        ls, marker = NAMED.get(name, ("-", "o" if own else ""))
        ax.loglog(found.evaluations, distances[:, j], ls=ls, marker=marker, ms=5, lw=lw, color=color, label=label)
    ax.set(title=toy, ylim=(1.5e-3, 2), xlabel="evaluations")
    ax.set_xticks(found.evaluations, found.evaluations)
    ax.minorticks_off()
axes[0].set_ylabel("rms distance")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
fig.suptitle(by.title)
show(
    fig,
    "Four panels, one for each toy, with the distance of nine solvers against evaluations, five of them thin and grey. The "
    "thick line of two answers is lowest at 6, and at 8 too but for the ring. At 12 and 20 it is among the others, or behind.",
)

# %% [markdown]
# *What to see:* at 6 and 8 yours wins, but mostly by its grid: the others walk further. On your grid `dpm_solver_2m` is as
# good at 8, as the table below shows. At 12 `unipc` wins and at 20 `dpm_solver_3m`, which both remember three. UniPC uses each answer
# twice. When the answer at $s$ arrives, it takes the step from $t$ to $s$ once more, with the answers at both ends. That *correction*
# costs no evaluation. With 50 points a few that end on another mode decide; the table has 20 draws of 400.

# %%
mine

# %% [markdown]
# ## Open problem
#
# ### Exercise 11.5 (open): eight evaluations
#
# Write a sampler that comes nearest to the exact map with 8 evaluations: seven of yours, and the answer at your last
# time. Your `multistep_step` steps from the last of its `times`; the others may lie on either side of it. You are given the
# noise `x` at `ts[0]` and the eight times of the grid to $\lambda = 4$. You may walk along others:
# `model.process.time(lam)` has the times of log-SNRs, and `model.process.at(t)` has `alpha` and `sigma`. The score is the
# mean over the four toys. The check is green if you are no more than 2 % worse than ours from the same noise, without
# random numbers. Call `multistep_step` by its bare name, and define `alpha` and `sigma` inside: `mine.py` knows NumPy
# and your kept functions, and nothing else of this notebook. No best answer is known to us.
#
# The table has means of 20 draws of 400 points. UniPC here leaves out answers from more than 4 units of $\lambda$ before
# the end of a step. A step here is just over 2 units, so the second answer is just left out, and only one is left.

# %%
print(f"{'':40s}" + "".join(f"{toy.rstrip('0123456789'):>7s}" for toy in tests.TOYS))
for (grid_name, method), row in tests.TABLE.items():
    print(f"{grid_name:18s}{method:22s}" + "".join(f"{v:7.3f}" for v in row) + f"   mean {np.mean(row):.3f}")
print(f"ours{'':36s}" + "".join(f"{v:7.3f}" for v in tests.OURS) + f"   mean {np.mean(tests.OURS):.3f}")
for name, mean in {
    "ours, with its end at λ = 5.5": tests.MOVED,
    "ours, times found by a search": tests.SEARCHED,
}.items():
    print(f"{name:68s}   mean {mean:.3f}")


# %%
def my_sampler(model, x, ts, *, rng=None):
    """Yields (t, x) from (ts[0], x) on; a function of mine.py, so that it can race."""
    ### BEGIN SOLUTION
    times = [ts[0], *model.process.time(np.linspace(-1, 6, len(ts) - 1))]

    def alpha(t):
        return model.process.at(t).alpha

    def sigma(t):
        return model.process.at(t).sigma

    yield times[0], x
    start = old = x
    for i in range(len(times) - 1):
        t, new = times[i], model.x0(x, times[i])
        if i == 1:  # the long step once more, with the answer at its end
            x = multistep_step(start, [new], [times[0]], t, alpha, sigma)
        elif i > 1:  # the last step once more, with the answers at both ends
            x = multistep_step(start, [new, old], [t, times[i - 1]], t, alpha, sigma)
        start, old = x, new
        x = multistep_step(x, [new], [t], times[i + 1], alpha, sigma)
        yield times[i + 1], x
    ### END SOLUTION


keep(my_sampler, test=tests.eight_evaluations)

# %% [markdown] tags=["solution"]
# **Solution.** Two ideas. While there is almost only noise, $\hat x_0$ hardly changes, so one long step leads to
# $\lambda = -1$. And an answer is used twice: for the next step, and to *take the last step again*, with the
# answers at both ends. Your `multistep_step` does that: the last in its list stands where the step starts, and need
# not be the newest. This is UniPC with one answer. The times matter much. With an end a little earlier
# the mean is 0.048. A search found times with 0.038.

# %% [markdown]
# Once it is kept, it races from a shell too, against all of the library's, with a figure:
#
#     tinydiff race mine.py:my_sampler --evaluations 6 8 12
#
# ## What you know now
#
# - An order is a slope on logarithmic axes: a promise about short steps.
# - The linear part of the flow is solved exactly. Then only the change of $\hat x_0$ costs accuracy.
# - What a solver remembers is free. With few evaluations two answers beat three, and the grid matters more than that.
# - Errors that fall, and a round trip that closes, prove no order. A truth does.
#
# <details><summary>The derivation of 11.2, when your check is green</summary>
#
# By the quotient rule, with $x = \alpha\hat x_0 + \sigma\hat\varepsilon$,
#
# $$\frac{d}{dt}\frac x\sigma = \frac{\dot\alpha\hat x_0 + \dot\sigma\hat\varepsilon}{\sigma}
#   - \frac{\dot\sigma(\alpha\hat x_0 + \sigma\hat\varepsilon)}{\sigma^2} = \hat x_0\,\frac{d}{dt}\frac\alpha\sigma .$$
#
# In the clock $\ell$ this integrates to
# $x_s = \frac{\sigma_s}{\sigma_t}x_t + \sigma_s\int e^\ell\,\hat x_0\,d\ell$, which is exact. For $\hat x_0$ linear in
# $\ell$, its value in the middle errs by $O(h^3)$ in a step. With $h = \ell_s - \ell_t$ and $\sigma_s e^{\ell_s} = \alpha_s$,
#
# $$x_s = \frac{\sigma_s}{\sigma_t}\,x_t + \alpha_s\,(1 - e^{-h})\Big(\hat x_0 + \frac{h}{2h_\text{before}}\,(\hat x_0 - \hat x_0^\text{before})\Big) .$$
#
# </details>
#
# <details><summary>What 11.4 shows, when your test is green</summary>
#
# A step of order $p$ errs by $C h^{p+1}$, and the step back by $C (-h)^{p+1}$. For even $p$ the two cancel, and the trip
# gains an order. For odd $p$ they add.
#
# </details>
#
# <details><summary>The derivation of 11.3, when your check is green</summary>
#
# With $u = \ell - \ell_s$ the integral is $\alpha_s\int_{-h}^0 e^u\,\hat x_0\,du$. Call $M_j$ the integral of $e^u u^j$. By
# parts, $M_0 = 1 - e^{-h}$ and $M_j = -(-h)^j e^{-h} - j M_{j-1}$. The answers stand at $u_1, \dots, u_k$. Weights that are
# right for $1, u, \dots, u^{k-1}$ are right for the polynomial:
#
# $$\sum_i w_i u_i^j = M_j \quad (j < k), \qquad x_s = \frac{\sigma_s}{\sigma_t}\,x_t + \alpha_s\sum_i w_i\,\hat x_{0,i} .$$
#
# </details>
#
# **Next:** [12. Flow matching](12_flow_matching.ipynb). Your solvers follow curved paths that start in noise. Must they be
# curved, and must they start there?
