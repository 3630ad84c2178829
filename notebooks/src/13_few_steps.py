# %% [markdown]
# # 13. Few steps
#
# **What is the best that one step can do?**
#
# *You need:* DDIM of [notebook 8](08_one_family.ipynb); the network of [notebook 6](06_your_network.ipynb); Muon of
# [notebook 7](07_learning_well.ipynb). From notebooks 10 and 11: the energy distance, the exact map and `multistep_step`.
#
# *Afterwards:* you know the goal of a single step, which is a map. You can train towards it in three ways, and say
# where each breaks.
#
# *Minutes:* 75. *Papers:* Salimans & Ho 2022, [Progressive distillation](https://arxiv.org/abs/2202.00512); Song et al.
# 2023, [Consistency models](https://arxiv.org/abs/2303.01469).

# %% [markdown]
# ## What you have so far
#
# Times go from 0, the data, to 1, the noise, with $x_t = \alpha x_0 + \sigma\varepsilon$ and $\lambda =
# \ln(\alpha^2/\sigma^2)$. Notebook 12 asked for these.
#
# - On the straight path, where $\alpha + \sigma = 1$, the velocity is $u = \varepsilon - x_0 = (\varepsilon - x_t)/(1 - t)$.
# - Any path becomes straight by $x' = x/(\alpha + \sigma)$ and $t' = \sigma/(\alpha + \sigma)$. So a path is a choice of
#   scale and clock, and the flow is the same.
#
# From notebook 8: a step of DDIM without noise leads from $x_t$ to $x_s = \alpha_s\hat x_0 + \sigma_s\hat\varepsilon$,
# where $\alpha_t\hat x_0 + \sigma_t\hat\varepsilon = x_t$.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import tinydiff as td
from tinydiff.course import credit, guess, keep, mine, play
from tinydiff.course_tests import few_steps as tests
from tinydiff.plotting import BUG, DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
process, ring = td.VP(), td.toys.ring8()
model = td.Oracle(ring, process)  # the exact denoiser
points = ring.sample(0, 10_000)
# hidden from all trainings; and where the exact flow carries it
noise, goal = tests.noise(2000, 1), tests.ends(2000, 1)

# %% [markdown]
# ## One evaluation
#
# The flow carries each noise $x_1$ to a point $\Phi(x_1)$. That is the **exact map** of notebook 11. We computed 4,096
# arrows of it, from noise to end. Your network $F_\theta$ may learn them by **regression**: over all noises, the mean
# square of its error is to be least.
#
# $$\min_\theta\ \mathbb E\,\big\|F_\theta(x_1) - \Phi(x_1)\big\|^2 .$$
#
# Here is a loop for all trainings of this notebook, made of your functions. It is that of notebook 7. `batch` gives
# what the network sees, and a function from its answers to the loss and its derivative. Where a function of yours is
# missing, the library's takes its name.


# %%
names = ("mlp", "newton_schulz", "adam_step", "ema_update", "fourier_features", "multistep_step")
mlp, newton_schulz, adam_step, ema_update, fourier_features, multistep_step = (getattr(mine, name) for name in names)


def train(batch, steps, params, rng):
    """Muon for matrices and Adam for biases: yields averaged parameters and loss of each step."""
    params, average = [*params], [*params]
    mu, nu = [0 * param for param in params], [0 * param for param in params]
    for k in range(1, steps + 1):
        seen, loss_of = batch(rng)
        answer, pullback = mlp(params, seen)
        loss, dy = loss_of(answer)
        fall = 1 - k / steps
        for i, grad in enumerate(pullback(dy)[0]):
            if grad.ndim == 2:
                mu[i] = 0.95 * mu[i] + 0.05 * grad
                rate = 0.05 * fall * np.sqrt(max(1, grad.shape[1] / grad.shape[0]))
                params[i] = params[i] - rate * newton_schulz(0.95 * mu[i] + 0.05 * grad, 6)
            else:
                params[i], mu[i], nu[i] = adam_step(params[i], grad, mu[i], nu[i], k, 0.01 * fall, 0.9, 0.99, 1e-8)
            average[i] = ema_update(average[i], params[i], min(0.99, k / (k + 9)))
        yield tuple(average), loss


def fresh(rng, *sizes):
    """Parameters before any training."""
    return [part for n, m in pairwise(sizes) for part in (rng.standard_normal((n, m)) * np.sqrt(2 / n), np.zeros(m))]


def square(wanted):
    """The loss of regression, and its derivative by the answers."""
    return lambda answer: (np.mean((answer - wanted) ** 2), 2 * (answer - wanted) / answer.size)


# %%
arrows_from, arrows_to = tests.noise(4096, 0), tests.ends(4096, 0)


def some_arrows(rng):
    """256 of the arrows."""
    i = rng.integers(4096, size=256)
    return arrows_from[i], square(arrows_to[i])


rng = np.random.default_rng(13)
learned = [params for params, _ in train(some_arrows, 500, fresh(rng, 2, 64, 64, 2), rng)]
regression = learned[-1]

# %%
by = credit("mlp", "newton_schulz", "adam_step", library=MODEL)
start = model.x0(noise, process.t_max)
fig, axes = plt.subplots(1, 3, figsize=(8.4, 3.2))
for ax, x, color, name in ((axes[0], start, EXACT, "DDIM, one evaluation"), (axes[2], goal, EXACT, "the exact map")):
    ax.scatter(*x[:800].T, s=25 if x is start else 4, color=color, linewidths=0, rasterized=True)
    ax.set_title(name)
(cloud,) = axes[1].plot([], [], ".", color=by.color, ms=2)
name_of = axes[1].set_title("a network, 500 steps")
for ax in axes:
    ax.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal", xticks=[], yticks=[])
fig.suptitle(by.title)
fig.draw_without_rendering()
fig.set_layout_engine("none")


def frame(k):
    """The network's cloud after k steps."""
    cloud.set_data(*mlp(learned[k - 1], noise[:800])[0].T)
    name_of.set_text(f"a network, {k} steps")


show(
    FuncAnimation(fig, frame, frames=[2, 5, 10, 20, 40, 60, 100, 150, 250, 500, 500], interval=400),
    "Three clouds. Left, all points of DDIM lie on one dot in the middle. In the middle panel a blob opens to a "
    "ring with eight "
    "modes, with some points between them, while training goes on. Right, the eight modes of the exact map.",
)

# %% [markdown]
# *What to see:* the clouds on the left and in the middle cost one evaluation for each point. The network's training
# took about a second.
#
# Two distances judge. The **rms distance** is the root of the mean square of a length: from where a method carries a noise to
# where the flow carries it. (Notebook 12's was for each coordinate, and so smaller by √2.) The **energy distance** compares two
# clouds as laws: it is 0 for equal laws, and small for two clouds of true points. The rms distance asks more: that *each*
# noise goes where the flow carries it.

# %%
off = guess("With how many evaluations does DDIM come as near to the exact map as the network does with one?", ...)


# %%
def draw(denoiser, ts):
    """Your DDIM without noise along falling times; the last evaluation gives x̂_0. denoiser(x, now) is asked."""
    n, betas = len(ts), mine.betas_from_log_snr(process.log_snr(ts)[::-1])

    def eps_of(x, k):
        now = process.at(ts[n - k])
        return (x - now.alpha * denoiser(x, now)) / now.sigma

    return mine.ddim(eps_of, noise, [*range(n, -1, -1)], np.zeros((n, 1, 1)), betas, 0.0)


ts = td.grids.logistic(process, 31)  # 32 times, dense where modes part
counts = (1, 2, 4, 8, 16, 32)
by = credit("ddim")
ddim_off = {n: tests.rms(draw(model.x0, ts[:: 32 // n]), 1) for n in counts}
fig, ax = plt.subplots(figsize=(7, 3.1))
ax.loglog(counts, [*ddim_off.values()], "o-", color=by.color)
net = tests.rms(mlp(regression, noise)[0], 1)
ax.plot(1, net, "s", color=credit("mlp", library=MODEL).color)
ax.annotate("the network", (1, net), (1.15, net), va="center")
ax.set(xlabel="evaluations", ylabel="rms distance to the exact map", xticks=counts)
ax.set_xticks(counts, counts)
ax.minorticks_off()
fig.suptitle(by.title)
off.reveal(
    min(n for n in counts if ddim_off[n] < 1.1 * net),
    f"At the noise the exact answer is the mean of the data, whatever the noise is. So every point is off by its "
    f"own distance from "
    f"the mean, which is √2 as rms. DDIM needs about 8 evaluations to come as near as the network, {net:.2f}. "
    f"No error of the "
    "denoiser is in this: it is exact. What is wrong is the question.",
    picture=fig,
    alt="Distance against evaluations on logarithmic axes. DDIM falls from 1.4 at one evaluation to 0.03 at 32. A "
    "single square, the "
    "network with one evaluation, lies near the height of DDIM with eight.",
)
assert abs(ddim_off[1] - np.sqrt(2)) < 0.02
assert ddim_off[16] < net < ddim_off[4]

# %% [markdown]
# ## Two steps in one
#
# A denoiser answers with a *mean*, and one step needs an *end*. Arrows of the exact map have that end. But each costs a
# walk of many evaluations. **Progressive distillation** takes small walks instead: a student learns to do in one step
# what its teacher does in two. Then it is the teacher of the next student. From 32 evaluations it is five halvings to
# one.
#
# The student, too, answers an $\hat x_0$, but no longer the mean. It takes a step of DDIM with its own answer, and that step
# should land where two steps of the teacher landed. Its $x_t$ are noised data points. No noise is walked in more than two
# steps.

# %% [markdown]
# ### Exercise 13.1 (derive): which answer lands there?
#
# The teacher's two steps led from $x_t$ to $x_s$. Find the $\hat x_0$ with which *one* step of DDIM leads from $x_t$ to
# $x_s$.


# %%
def two_steps_in_one(x_t, x_s, alpha_t, sigma_t, alpha_s, sigma_s):
    """The x̂_0 (B, D) whose one step leads from x_t to x_s, both (B, D); the α and σ are columns (B, 1)."""
    ### BEGIN SOLUTION
    ratio = sigma_s / sigma_t
    return (x_s - ratio * x_t) / (alpha_s - ratio * alpha_t)
    ### END SOLUTION


keep(two_steps_in_one)

# %% [markdown] tags=["solution"]
# **Solution.** Put $\hat\varepsilon = (x_t - \alpha_t\hat x_0)/\sigma_t$ into the step, and solve for $\hat x_0$. It is
# one linear equation. The usual slip keeps the teacher's first $\hat\varepsilon$. At the end, $\sigma_s = 0$, and it is
# $x_s/\alpha_s$.


# %%
def waves(x, lam):
    """What the network sees: x (B, 2) and 16 waves of λ (B,)."""
    return np.concatenate([x, fourier_features(lam, 2.0 ** np.arange(-4, 4))], axis=1)


def denoiser(params):
    """x̂_0 of a network that predicts v, as in notebook 6."""

    def x0_of(x, now):
        lam = np.broadcast_to(np.ravel(now.log_snr), len(x))
        return now.alpha * x - now.sigma * mlp(params, waves(x, lam))[0]

    return x0_of


def halved(teacher, ts, steps, params, rng):
    """A student that takes one step for two of its teacher's along ts; the last step leads to t = 0."""
    after = np.append(ts, 0.0)

    def step(x, now, then):
        x0 = teacher(x, now)
        return then.alpha * x0 + then.sigma * (x - now.alpha * x0) / now.sigma

    def batch(rng):
        i = 2 * rng.integers(len(ts) // 2, size=256)
        x0, eps = points[rng.integers(len(points), size=256)], rng.standard_normal((256, 2))
        now, middle, then = (process.at(after[i + k], like=x0) for k in range(3))
        x_t = now.alpha * x0 + now.sigma * eps
        x_s = step(step(x_t, now, middle), middle, then)
        aim = mine.two_steps_in_one(x_t, x_s, now.alpha, now.sigma, then.alpha, then.sigma)
        return waves(x_t, np.ravel(now.log_snr)), square((now.alpha * x_t - aim) / now.sigma)

    *_, (params, _) = train(batch, steps, params, rng)
    return params


# %%
rng = np.random.default_rng(13)
teacher, params, times, students = model.x0, fresh(rng, 18, 64, 64, 2), ts, {}
while len(times) > 1:
    params = halved(teacher, times, 600 if teacher == model.x0 else 300, params, rng)
    teacher, times = denoiser(params), times[::2]
    students[len(times)] = draw(teacher, times)

# %%
by = credit("two_steps_in_one", "ddim", "mlp", library=MODEL)
fig, ax = plt.subplots(figsize=(7, 3.1))
student_off = {n: tests.rms(x, 1) for n, x in students.items()}
ax.loglog(counts, [*ddim_off.values()], "o--", color=credit("ddim").color, label="the exact denoiser")
ax.loglog([*student_off], [*student_off.values()], "o-", color=by.color, label="students")
ax.set(xlabel="evaluations", ylabel="rms distance to the exact map")
ax.set_xticks(counts, counts)
ax.minorticks_off()
ax.legend()
fig.suptitle(by.title)
show(
    fig,
    "Distance against evaluations on logarithmic axes. The dashed line of the exact denoiser rises from 0.03 at "
    "32 evaluations to 1.4 at one. The "
    "solid line of the students begins higher at 16, crosses it before 8, and rises slowly to 0.13 at one.",
)
for n, x in students.items():
    print(
        f"student of {n:2d} evaluation{'s' if n > 1 else ' '}   rms {student_off[n]:.3f}   energy distance {tests.energy(x):.4f}"
    )
print(f"other true points, mean of 20 draws   energy distance {tests.TRUE:.4f}")
assert student_off[1] < 0.2 * ddim_off[1]

# %% [markdown]
# *What to see:* the first halving and the last cost most: a network takes the place of the exact denoiser, and one step
# has to do all. The
# student never sees an end of the exact map, only two steps of its teacher. It is not free: all five trainings together took
# 1,800 steps, and each step asks the teacher twice.
#
# ## Answers that agree
#
# On one curve of the flow all points have the same end. So the map from any noise $\sigma$ to the end gives *the same answer*
# along the curve. A **consistency model** learns just that: its answers at two neighbours on a curve are to agree. Here
# neighbours are the two ends of one step of DDIM with the exact denoiser. There are 17 levels. The steps
# are short, but for the first, in which hardly anything happens.
#
# In this section the signal is kept at 1: $x = x_0 + \sigma\varepsilon$, which is $x_t/\alpha_t$. So $\sigma$ stands
# for $\sigma_t/\alpha_t$, and $\lambda = -2\ln\sigma$. The levels fall to $\sigma_{\min} = e^{-3.5}$, where there is
# hardly noise. There the answer must be $x$ itself. From there the truth is handed up, one level after another.

# %% [markdown]
# ### Exercise 13.2 (design): the point itself
#
# A network says $F$. The answer is $c_\text{skip}(\sigma)\,x + c_\text{out}(\sigma)\,F$. Choose both, as smooth
# functions of $\sigma$. At $\sigma_{\min}$ the answer is $x$, whatever the network says. Nowhere is $|c_\text{out}|$
# above $\sigma_\text{data}$, the standard deviation of the data. In much noise $|c_\text{out}|$ is near $\sigma_\text{data}$, and
# $c_\text{skip}\,\sigma$ stays no larger than about that. Many choices are right.


# %%
def consistency_output(f, x, sigma, sigma_data, sigma_min):
    """The answer (B, D) from the network's word F, here f (B, D), at x (B, D), with noise sigma (B, 1), from sigma_min on."""
    ### BEGIN SOLUTION
    c_skip = sigma_data**2 / ((sigma - sigma_min) ** 2 + sigma_data**2)
    c_out = sigma_data * (sigma - sigma_min) / np.sqrt(sigma**2 + sigma_data**2)
    return c_skip * x + c_out * f
    ### END SOLUTION


keep(consistency_output)

# %% [markdown] tags=["solution"]
# **Solution.** These are the paper's: EDM's coefficients (notebook 7), moved so that they begin at $\sigma_{\min}$. Nearly as good here are
# $\sigma_{\min}/\sigma$ and $\sigma_\text{data}(1 - \sigma_{\min}/\sigma)$, or an exponential. The usual slip is EDM's
# own, which reach 1 and 0 at $\sigma = 0$. A jump at $\sigma_{\min}$ is no help: the levels beside it know nothing of
# it.

# %%
lam = np.array([process.log_snr(process.t_max), *np.linspace(-5, 7, 16)])  # 17 levels, from noise
times, sigma = process.time(lam), np.exp(-lam / 2)


def agreeing(output, steps, seed):
    """Train answers output(F, x, σ, 1, σ_min) to agree along steps of DDIM with the exact denoiser."""

    def batch(rng):
        i = rng.integers(16, size=256)
        x = points[rng.integers(len(points), size=256)] + sigma[i, None] * rng.standard_normal((256, 2))
        now = process.at(times[i], like=x)
        x0 = model.x0(now.alpha * x, now)
        x_s = x0 + sigma[i + 1, None] / sigma[i, None] * (x - x0)  # DDIM to the next level
        two, at = np.concatenate([x, x_s]), np.concatenate([sigma[i], sigma[i + 1]])[:, None]
        weight = sigma[i, None] ** -0.5  # near the data answers must be right first

        def loss_of(F):
            answer, other = np.split(output(F, two, at, 1.0, sigma[-1]), 2)
            error = answer - other
            c_out = output(0 * F + 1, 0 * two, at, 1.0, sigma[-1])  # the slope of the answer by F
            dy = 2 * weight * error / error.size
            return np.mean(weight * error**2), c_out * np.concatenate([dy, -dy])

        return waves(two / np.sqrt(1 + at**2), -2 * np.log(at[:, 0])), loss_of

    rng = np.random.default_rng(seed)
    trained = list(train(batch, steps, fresh(rng, 18, 64, 64, 2), rng))
    params = trained[-1][0]

    def f(x, s):
        at = np.full((len(x), 1), s)
        F = mlp(params, waves(x / np.sqrt(1 + s**2), -2 * np.log(at[:, 0])))[0]
        return output(F, x, at, 1.0, sigma[-1])

    return f, np.array([loss for _, loss in trained])


f, losses = agreeing(mine.consistency_output, 1000, 13)
one = f(sigma[0] * noise, sigma[0])
print(f"loss at the end {np.mean(losses[-50:]):.5f}   rms {tests.rms(one, 1):.3f}   energy {tests.energy(one):.4f}")

# %% [markdown]
# Both answers move in this loss. The paper holds the one at the lower level fixed in each step, and lets it follow
# slowly. With an exact teacher both ways have the same goal, but the second comes
# there more slowly.
#
# Now somebody changes one line of the answer. The loss falls below a millionth.

# %%
without = guess(
    "How near to the exact map are its points?", ["below 0.05", "about 0.13, as before", "as far as DDIM's dot"]
)

# %%
g, silent = agreeing(lambda F, x, sigma, sigma_data, sigma_min: F, 500, 13)
dot = g(sigma[0] * noise, sigma[0])
fig, (ax, left, right) = plt.subplots(1, 3, figsize=(8.8, 3), width_ratios=(1.5, 1, 1))
by = credit("consistency_output", "mlp", library=MODEL)
for curve, color, ls in ((losses, by.color, "-"), (silent, BUG, "--")):
    ax.semilogy(np.arange(25, len(curve) + 1), np.convolve(curve, np.ones(25) / 25, "valid"), ls, color=color)
ax.set(xlabel="step", ylabel="loss, mean of 25 steps")
ax.legend(["right", "one line changed"])
for where, x, color in ((left, one, by.color), (right, dot, BUG)):
    where.scatter(*x[:800].T, s=4 if x is one else 25, color=color, linewidths=0, rasterized=True)
    where.set(
        xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal", xticks=[], yticks=[], title=f"rms {tests.rms(x, 1):.2f}"
    )
fig.suptitle(by.title)
without.reveal(
    "as far as DDIM's dot",
    f"Its loss is {silent[-1]:.0e}, and all its answers are one point: their standard deviation is "
    f"{dot.std(axis=0).max():.5f}. "
    "Answers that are all the same agree perfectly. Nothing in the loss asks for more.",
    picture=fig,
    alt="Left, two losses against steps: the solid one falls slowly to below 0.0001, the dashed one falls to 1e-12. In the "
    "middle, eight modes of the right "
    "training, with some points between them. Right, a single purple dot near the middle.",
    table=f"energy distance   right {tests.energy(one):.4f}   without the boundary {tests.energy(dot):.4f}",
)
assert silent[-1] < 1e-6
assert dot.std(axis=0).max() < 0.01
assert tests.rms(dot, 1) > 1.3

# %% [markdown]
# ### Exercise 13.3 (diagnose): the loss is 0, and honest
#
# This is the loss of that training, without its weight. Which line is at fault? Mend it. The loss keeps its arguments;
# $\sigma_\text{data}$ is 1 here, and `network(x, s)` is any network. Which standard deviation does each coordinate of *right*
# answers have?


# %%
def loss(network, x, sigma, x_s, sigma_s, sigma_min):
    def answer(x, s):
        return network(x, s)  # line 1

    here, there = answer(x, sigma), answer(x_s, sigma_s)  # line 2
    error = here - there  # line 3
    return np.mean(error**2)  # line 4


# %%
line, spread = ..., ...  # 1 to 4, and a standard deviation


def mended(network, x, sigma, x_s, sigma_s, sigma_min):
    def answer(x, s):
        return network(x, s)  # line 1

    here, there = answer(x, sigma), answer(x_s, sigma_s)  # line 2
    error = here - there  # line 3
    return np.mean(error**2)  # line 4


### BEGIN SOLUTION
line, spread = 1, 1.0


def mended(network, x, sigma, x_s, sigma_s, sigma_min):
    def answer(x, s):
        return mine.consistency_output(network(x, s), x, s, 1.0, sigma_min)

    here, there = answer(x, sigma), answer(x_s, sigma_s)
    error = here - there
    return np.mean(error**2)


### END SOLUTION

keep(line, mended, spread, test=tests.missing_boundary, into=None)

# %% [markdown] tags=["solution"]
# **Solution.** Line 1. The loss is honest: it asks that answers agree, and they do. The boundary is the only place
# where data enter. A right answer has the law of the data, and so its standard deviation, 1. The usual wrong turn is to
# blame line 2, and to hold one answer fixed. Then the answers run away instead of collapsing, and still know nothing
# of the data.

# %% [markdown]
# A consistency model may be asked twice. Its answer gets fresh noise, up to a level on the way, and it answers again.
# At $\lambda = -1$ this hardly changes the energy distance.

# %%
again = guess(
    "How large is the rms distance after the second evaluation, at λ = −1, beside that after the first?",
    ["lower", "about the same", "ten times as large"],
)


# %%
def asked_again(s):
    """The second answer, after fresh noise of size s."""
    return f(one + s * np.random.default_rng(14).standard_normal(one.shape), s)


rows = {"once": one} | {f"again at λ = {lam[k]:g}": asked_again(sigma[k]) for k in (6, 11)}
rows["again at λ = 1"] = asked_again(np.exp(-0.5))  # between two of the 17 levels
again.reveal(
    "ten times as large",
    "Fresh noise forgets where the point came from. It mostly ends on another mode, so it is far from the map, while the "
    "law is as good or better. "
    "With less fresh noise more is remembered. The last row asks at a level that was never trained, between two "
    "that were: there the network may say anything, and the law is worse than before.",
    table="\n".join(
        [
            f"{'':20s}     rms   energy",
            *(f"{name:20s} {tests.rms(x, 1):7.3f} {tests.energy(x):8.4f}" for name, x in rows.items()),
        ]
    ),
)
assert tests.rms(rows["again at λ = -1"], 1) > 8 * tests.rms(one, 1)
assert abs(tests.energy(rows["again at λ = -1"]) - tests.energy(one)) < 0.003
assert tests.energy(one) < tests.energy(rows["again at λ = 1"])

# %% [markdown]
# ## Where to ask twice
#
# DDIM with two evaluations has one choice: the level of the second. Move it, on four clouds: ring8, spiral60, moons32,
# grid25. Left, a line joins each exact end to where two evaluations end. Find the place where these lines are shortest. Then find
# the place where the cloud is best, by its energy distance. Are the two the same?

# %%
by = credit("ddim_step")


def two_evaluations(toy, middle, start):
    """The ends of two evaluations, the second at this λ, by your step."""
    exact, betas = tests.oracle(toy), mine.betas_from_log_snr(np.array([middle, process.log_snr(process.t_max)]))
    x = start
    for k, t in ((2, process.t_max), (1, process.time(np.array([middle])).item())):
        x = mine.ddim_step(x, k, k - 1, exact(x, t), 0 * x, betas, 0.0)
    return x


def picture(toy, middle):
    """Lines from the exact ends to those of two evaluations, and both clouds."""
    name = tests.TOYS[toy]
    start, exact = tests.noise(1000, 2), tests.ends(1000, 2, name)
    x = two_evaluations(name, middle, start)
    fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.5))
    left.plot(*np.stack([exact, x], axis=1)[:150].T, color=by.color, lw=0.8)
    left.plot(*exact[:150].T, "o", color="black", ms=2, zorder=3)
    right.scatter(*tests.true(1000, name).T, s=4, color=DATA, linewidths=0, rasterized=True)
    right.scatter(*x.T, s=4, color=by.color, linewidths=0, rasterized=True)
    left.set_title(f"{name}: rms {tests.rms(x, 2, name):.3f}")
    right.set_title(f"energy distance {tests.energy(x, name):.4f}")
    for ax in (left, right):
        ax.set(xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), aspect="equal", xticks=[], yticks=[])
    fig.suptitle(by.title)
    return fig


play(
    picture,
    "Two panels of the ring. Left, lines lead from black exact ends inwards to the ends of two evaluations. "
    "Right, these lie in one round blob "
    "inside the eight grey modes.",
    toy=(0, 3, 0),
    middle=(-3.0, 7.0, -2.0, 0.5),
)

# %% [markdown]
# ### Exercise 13.4 (design): one level
#
# Enter the four $\lambda$ with the least rms, in steps of ½, and the one of ring8 with the least energy distance.
# Hidden noise judges.

# %%
middle, by_law = ..., ...  # {"ring8": ..., "spiral60": ..., "moons32": ..., "grid25": ...}, and a λ for ring8

### BEGIN SOLUTION
middle, by_law = {"ring8": 2.5, "spiral60": 0.5, "moons32": 0.0, "grid25": 0.5}, 2.0
### END SOLUTION

keep(middle, by_law, test=tests.two_evaluations)

# %% [markdown] tags=["solution"]
# **Solution.** A loop over the levels finds them. The first step goes to the mean, whatever $\lambda$ is. So the second
# evaluation stands at $\sigma\varepsilon$, a pure noise of that level. If it is too early, its answer is near the mean
# again. If it is too late, the modes have parted without it. The best place is where modes part. On three clouds map
# and law agree. On ring8 no point goes to a wrong mode; all are too near to the middle. At $\lambda = 2$ the cloud is a little
# wider, which its law gains, while each point is a little farther from its own end.

# %% [markdown]
# ## The thing
#
# One, two, four and fifty evaluations. The first row is your DDIM with the exact denoiser, the second are your
# students, the third is your consistency model. In the last column, DDIM takes fifty, and the other two are the exact
# map and the regression of the beginning, with one evaluation.

# %%
more = one
for k in (6, 8, 11):
    more = f(more + sigma[k] * np.random.default_rng(k).standard_normal(more.shape), sigma[k])
by = credit("two_steps_in_one", "consistency_output", "ddim", "mlp")
colors = [
    credit("ddim").color,
    credit("two_steps_in_one", "mlp", library=MODEL).color,
    credit("consistency_output", "mlp", library=MODEL).color,
]
table = [
    {f"DDIM, {n}": draw(model.x0, ts[:: 32 // n]) for n in (1, 2, 4)}
    | {"DDIM, 50": draw(model.x0, td.grids.logistic(process, 49))},
    {f"students, {n}": students[n] for n in (1, 2, 4)} | {"the exact map": goal},
    {"consistency, 1": one, "consistency, 2": asked_again(sigma[11]), "consistency, 4": more}
    | {"regression, 1": mlp(regression, noise)[0]},
]
fig, axes = plt.subplots(3, 4, figsize=(8.6, 7.4))
for row, clouds, color in zip(axes, table, colors, strict=True):
    for ax, (name, x) in zip(row, clouds.items(), strict=True):
        ax.scatter(*x[:800].T, s=3, color=EXACT if x is goal else color, linewidths=0, rasterized=True)
        ax.set(xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal", xticks=[], yticks=[])
        ax.set_title(f"{name}\nrms {tests.rms(x, 1):.3f}, {tests.energy(x):.4f}", fontsize=9)
fig.suptitle(by.title)
show(
    fig,
    "Three rows of four clouds. DDIM is a dot at one evaluation, a ring without modes and with points inside at "
    "two, a ring with eight thickenings at four, and eight modes at fifty. "
    "Students and consistency model show eight modes at one, two and four evaluations, with some points between "
    "them, and so does the regression. The exact map has eight clean modes.",
)

# %% [markdown]
# *What to see:* above each cloud stand its rms distance to the exact map and its energy distance to the data. With one
# evaluation all three trainings have the modes, and a few points between them. They lie where the map is steep. There two
# noises lie side by side, and their ends on two modes. The consistency model is asked again after fresh noise: for two at
# $\lambda = 3$, for four at three levels. With four its rms is as bad as that of DDIM's dot, and its law as good as before. It
# draws the ring, but not the map.
#
# Regression is nearest here, because arrows of a small exact denoiser cost almost nothing. For pictures each arrow is a
# long walk of a large network. Then two steps, or one, are the cheaper lesson.
#
# **What comes next.** MeanFlow [Geng et al. 2025, [MeanFlow](https://arxiv.org/abs/2505.13447)] learns the mean of the
# velocity between two times, for all pairs of times at once. One network then takes steps of any length, and needs
# neither a teacher nor a boundary. `td.mean_flow` has it.

# %%
mine

# %% [markdown]
# ## Open problem
#
# ### Exercise 13.5 (open): one evaluation
#
# Come nearest to the exact map of ring8 with one evaluation of an `mlp` of at most 10,000 numbers. You are given the
# exact denoiser: `model.x0(x, t)` answers, `model.process.time(lam)` has the times of log-SNRs, and
# `model.process.at(t)` has `alpha` and `sigma`. All else is free: the method, the walks, the size. At most 8 seconds of
# a processor, arrows included. The check is green if you are at most 2 standard deviations of ours above our mean. The noise
# is standard normal, and `model.process.t_max` is its time. `mine.py` knows NumPy and your kept functions, by their bare names, and
# nothing else of this notebook: what you need of `train` and `fresh` must stand inside. No best answer is known to us.

# %%
print(f"{'20 seeds, 2,000 points':44s}    rms     ±  energy  seconds")
for name, (distance, spread_of, law, seconds) in tests.TABLE.items():
    print(f"{name:44s} {distance:6.3f} {spread_of:5.3f} {law:7.4f} {seconds:8.1f}")
print(f"{'other true points':44s} {'':12s} {tests.TRUE:7.4f}")


# %%
def my_map(model, rng):
    """Parameters [w_1, b_1, …] of an mlp that carries noise (B, 2) to the ends of the flow of the denoiser model."""
    ### BEGIN SOLUTION
    at = model.process.at
    times = [model.process.t_max, *model.process.time(np.linspace(-5, 7, 40))]
    x, answers = rng.standard_normal((16_384, 2)), []
    noise = x
    for i in range(40):
        answers = [*answers, model.x0(x, times[i])][-3:]
        seen = times[i + 1 - len(answers) : i + 1]
        x = multistep_step(x, answers, seen, times[i + 1], lambda t: at(t).alpha, lambda t: at(t).sigma)
    ends = model.x0(x, times[40])
    params = []
    for n, m in ((2, 64), (64, 64), (64, 64), (64, 2)):
        params += [rng.standard_normal((n, m)) * np.sqrt(2 / n), np.zeros(m)]
    mu, nu, average = [0 * p for p in params], [0 * p for p in params], [*params]
    for k in range(1, 1501):
        i, fall = rng.integers(len(noise), size=256), 1 - k / 1500
        answer, pullback = mlp(params, noise[i])
        for j, grad in enumerate(pullback(2 * (answer - ends[i]) / answer.size)[0]):
            if grad.ndim == 2:
                mu[j] = 0.95 * mu[j] + 0.05 * grad
                rate = 0.05 * fall * np.sqrt(max(1, grad.shape[1] / grad.shape[0]))
                params[j] = params[j] - rate * newton_schulz(0.95 * mu[j] + 0.05 * grad, 6)
            else:
                params[j], mu[j], nu[j] = adam_step(params[j], grad, mu[j], nu[j], k, 0.01 * fall, 0.9, 0.99, 1e-8)
            average[j] = ema_update(average[j], params[j], min(0.99, k / (k + 9)))
    return average
    ### END SOLUTION


keep(my_map, test=tests.one_evaluation)

# %% [markdown] tags=["solution"]
# **Solution.** With a fast solver arrows are cheap: your `multistep_step` makes 16,384 in a fraction of a second. More
# arrows, a third hidden layer and Muon each bring it nearer. What is left lies between modes, where the map is steep.
# The usual wrong turn is few arrows, learned by heart.

# %% [markdown]
# ## What you know now
#
# - The goal of one step is a map, and the exact denoiser's answer at the noise is not the map's value.
# - Distillation needs no ends, only two steps in one. Consistency needs only neighbours, and a boundary.
# - A loss of 0 may be honest, and useless.
# - By map and by law are two questions. Fresh noise may help the law, and ruins the map.
#
# <details><summary>The derivation of 13.1, when your check is green</summary>
#
# The noise that belongs to $\hat x_0$ is $\hat\varepsilon = (x_t - \alpha_t\hat x_0)/\sigma_t$. The step lands at
# $\alpha_s\hat x_0 + \sigma_s\hat\varepsilon$. Set this equal to $x_s$, and collect $\hat x_0$:
#
# $$\hat x_0 = \frac{x_s - (\sigma_s/\sigma_t)\,x_t}{\alpha_s - (\sigma_s/\sigma_t)\,\alpha_t} .$$
#
# </details>
#
# **Next:** [14. The perfect model memorises](14_memorisation.ipynb). Here the exact denoiser was the teacher. What does training itself tend to?
