# %% [markdown]
# # 0. Start here
#
# **What does a diffusion model do?**
#
# *You need:* probability (Gaussians, conditional expectation, Bayes' rule) and a little NumPy.
#
# *Afterwards:* you know what you will build and how this course works, and you own your first function.
#
# *Minutes:* 30. *Paper:* Ho et al. 2020, [Denoising diffusion probabilistic models](https://arxiv.org/abs/2006.11239).

# %% [markdown]
# <details><summary>How to install it</summary>
#
# On Colab press the badge: the first cell installs everything. On your own machine, with a recent Python:
#
#     git clone https://github.com/tinydiff/tinydiff && cd tinydiff
#     python -m venv .venv && .venv/bin/pip install -e ".[notebooks]"
#     .venv/bin/jupyter lab notebooks
#
# Two ordinary cores are enough, and no GPU is needed.
#
# </details>

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation

import tinydiff as td
from tinydiff.course import credit, digits_model, guess, keep, mine, play
from tinydiff.course_tests import start_here as tests
from tinydiff.plotting import DATA, EXACT, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(0)

# %% [markdown]
# ## Ten digits out of noise
#
# A trained network lies beside this notebook. Let it draw. (You need not read the code above a picture.)


# %%
def way(seed):
    """Ten digits after 0, 1, …, 20 steps out of noise: (21, 10, 784)."""
    path = td.trajectory(model, 10, sampler=td.ddim, steps=20, grid=grid, eta=1.0, rng=seed)
    return np.array([x for _, x in path])


def grid(process, n):
    """Times from nearly all noise to hardly any: notebook 2 has the clock."""
    return process.time(np.linspace(-8, 3, n + 1))


def sheet(images):
    """The images as one picture with five in a row."""
    return images.reshape(2, 5, 28, 28).swapaxes(1, 2).reshape(56, 140)


digits = digits_model()
model = td.ClassifierFreeGuidance(digits.given(np.arange(10)), digits, 0.5)  # the digits 0 to 9
ways = [way(seed) for seed in (7, 0, 1, 3)]

# %%
fig, ax = plt.subplots(figsize=(5, 2.1))
ax.axis("off")
image = ax.imshow(sheet(ways[0][0]), cmap="Greys", vmin=-1, vmax=1, interpolation="nearest")


def frame(step):
    image.set_data(np.round(3 * sheet(ways[0][step])) / 3)


frames = [0, 4, 7, 9, 11, 12, 13, 14, 15, 16, 18, 20, 20, 20]
show(
    FuncAnimation(fig, frame, frames, interval=300),
    "A moving picture of ten squares in two rows. They begin as grey noise, dark shapes appear in it, and after twenty "
    "steps they are the handwritten digits 0 to 9.",
)

# %% [markdown]
# *What to see:* a **diffusion model**. It begins with noise and takes a little of it away, twenty times (and puts less back, as you will see). Nobody wrote
# these ten digits.
#
# In this course you write every part of such a machine, in NumPy alone: the noise, the way back, the network, its
# training. Only the trained numbers of this network are given, because training takes nine minutes.

# %%
ring = td.toys.ring8()  # a mixture of eight Gaussians: its density is known as a formula
path = [x for _, x in td.trajectory(td.Oracle(ring, td.VP()), 1500, sampler=td.ddim, steps=60, rng=0)]

fig, ax = plt.subplots(figsize=(3, 3))
ax.set(xlim=(-2.6, 2.6), ylim=(-2.6, 2.6), xticks=[], yticks=[], aspect="equal", frame_on=False)
dots = ax.scatter(*path[0].T, s=4, color=EXACT)
frames = [0, 10, 20, 26, 30, 34, 37, 40, 43, 46, 49, 52, 56, 60, 60, 60, 60]
show(
    FuncAnimation(fig, lambda step: dots.set_offsets(path[step]), frames, interval=300),
    "A moving picture of 1,500 points. A round cloud contracts and gathers in eight small clouds on a circle.",
)

# %% [markdown]
# *What to see:* the same for points in the plane, which gather on a ring. Here the best answer is a formula, so we can
# compare every step with the truth. In notebook 3 your own code draws this ring.
#
# Colour says whose code made a mark. Grey is data, blue is exact, and orange is learned by our library. Green is made
# by your functions, and purple is broken on purpose.
#
# ## The way into noise
#
# The way back is learned from the way there: a picture is noised in 1,000 small steps. (The way back may take fewer and
# longer steps, here 20.) Guess before you look: put your number in the place of the three dots.

# %%
changed = guess("A digit has 784 pixels. How many of them does the first of 1,000 noising steps change?", ..., "pixels")

# %%
betas = np.linspace(1e-4, 0.02, 1000)  # the paper's: betas[t − 1] belongs to step t
x0 = ways[0][-1]  # the ten digits
x1 = mine.q_step(x0, 1, rng.standard_normal(x0.shape), betas)
change = np.sqrt(np.mean((x1 - x0) ** 2))
assert np.all(x1 != x0)
assert 0.009 < change < 0.011
changed.reveal(
    784,
    f"Every pixel changes, but by little: {change:.3f} in the mean (root mean square), where white is −1 and black is 1. "
    "All noise of this course is of this kind: Gaussian, and each pixel has its own.",
)

# %% [markdown]
# One **noising step** has a small number $\beta_t$ of its own. It shrinks what is there by the factor
# $\sqrt{1-\beta_t}$ and adds Gaussian noise of variance $\beta_t$:
#
# $$x_t = \sqrt{1-\beta_t}\;x_{t-1} + \sqrt{\beta_t}\;\varepsilon, \qquad \varepsilon \sim \mathcal N(0, I).$$
#
# Independent variances add. So a variance of 1 stays 1: the noise replaces what the shrinking took. Any other variance
# comes nearer to 1.

# %% [markdown]
# ### Exercise 0.1 (transcribe): one step
#
# Write the formula as a function. Arrays are batches (B, D): B points of D coordinates. The noise is an argument.
#
# `keep` has no answer key. It tries **laws** that the right function obeys, and shows the smallest numbers that break
# one. If all hold, it writes your function into your file `mine.py`.


# %%
def q_step(x, t, eps, betas):
    """x_t from x = x_{t−1}: one noising step, t from 1 to T; x and eps (B, D)."""
    ### BEGIN SOLUTION
    beta = betas[t - 1]
    return np.sqrt(1 - beta) * x + np.sqrt(beta) * eps
    ### END SOLUTION


keep(q_step)

# %% [markdown] tags=["solution"]
# **Solution.** Step $t$ has the number `betas[t - 1]`, because Python counts from 0. The usual wrong turn is
# `betas[t]`, which fails at the last step. The next is $\beta$ in the place of $\sqrt\beta$: the noise then has
# variance $\beta^2$, and a variance of 1 does not stay 1.

# %% [markdown]
# From now on `mine.q_step` is yours. Until then the library's stands in, and figures say so. Nothing breaks if you skip
# an exercise.

# %%
share = guess(
    "Data of variance 1 are noised. After 300 of the 1,000 steps, how much of the variance is still data?",
    ...,
    "percent",
)

# %%
x = np.concatenate([x0, np.ones((1, 784))])  # an eleventh row without noise: what becomes of the signal alone
noisy = {0: x}
for t in range(1, 1001):
    eps = rng.standard_normal(x.shape) * (np.arange(11) < 10)[:, None]
    noisy[t] = x = mine.q_step(x, t, eps, betas)
left = {t: 100 * x[10, 0] ** 2 for t, x in noisy.items()}  # in percent of a variance of 1
assert abs(left[300] - 39.6) < 0.1
assert left[1000] < 0.01

times = (0, 1, 100, 300, 1000)
fig, axes = plt.subplots(5, 1, figsize=(6, 3.4))
for ax, t in zip(axes, times, strict=True):
    row = noisy[t][:10].reshape(10, 28, 28).swapaxes(0, 1).reshape(28, 280)
    ax.imshow(np.round(3 * row) / 3, cmap="Greys", vmin=-1.5, vmax=1.5, interpolation="nearest")
    ax.set(xticks=[], yticks=[], frame_on=False)
    ax.set_ylabel(f"t = {t}", rotation=0, ha="right", va="center")
fig.suptitle(credit("q_step").title)
share.reveal(
    left[300],
    f"Each step leaves the share 1 − β of it. You still read most digits at t = 300. At t = 1,000 only {left[1000]:.3f} percent are left: this is noise. "
    "A machine that can go back up, row by row, draws digits from nothing.",
    picture=fig,
    alt="Five rows of the same ten digits at t = 0, 1, 100, 300 and 1000. The first two look alike, the third is grainy, "
    "the fourth is very grainy but most digits can be read, and the last is noise alone.",
)

# %% [markdown]
# ## Play with the way back
#
# Find the place where you first know all ten digits. What comes after it? Another `seed` is other noise.


# %%
def draw(step, seed):
    fig, ax = plt.subplots(figsize=(5, 2.3))
    ax.imshow(sheet(ways[seed][step]), cmap="Greys", vmin=-1, vmax=1)
    ax.set(xticks=[], yticks=[], title=f"step {step} of 20", frame_on=False)
    return fig


play(
    draw,
    "Ten grey squares in two rows after 0 of 20 steps: nothing but noise, in which no digit can be told.",
    step=(0, 20, 0),
    seed=(0, 3, 0),
)

# %% [markdown]
# Large shapes come first, strokes come last. Another seed gives another digit of the same class.
#
# ## Which is the data?
#
# How good is a machine that draws? Here are four clouds of 2,000 points. One is data of the ring. All are black, since
# colour would tell.

# %%
clouds = tests.four_clouds()

fig, axes = plt.subplots(1, 4, figsize=(9, 2.5))
for ax, (letter, x) in zip(axes, clouds.items(), strict=True):
    ax.scatter(*x.T, s=4, color="black", alpha=0.4, linewidths=0, rasterized=True)
    ax.set(title=letter, xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[], aspect="equal", frame_on=False)
show(fig, "Four panels, a to d, each with small clouds on a circle: eight in a, b and c, and seven in d. They are "
     "smallest in b and largest in c and d.")  # fmt: skip

# %% [markdown]
# *What to see:* four rings. Their small clouds, called **modes**, differ in width, and one ring lacks a mode.

# %%
real = guess("Which cloud is the data? Trust your eye.", ["a", "b", "c", "d"])

# %%
numbers = {letter: tests.measured(x) for letter, x in clouds.items()}
lines = ["cloud    mean of −ln q    width of a mode    share of the rarest mode"]
lines += [f"  {letter}  {nll:15.2f}  {width:16.3f}  {share:20.3f}" for letter, (nll, width, share) in numbers.items()]
entropy, width = -np.mean(ring.log_density(ring.sample(0, 50_000))), np.sqrt(ring.covariances[0, 0, 0])
lines += [f"truth  {entropy:15.2f}  {width:16.3f}  {1 / 8:20.3f}"]
real.reveal(
    "c",
    "q is the density of the ring, so −ln q is low where points are expected. Its mean over true points is known, and a "
    "cloud with less is no better: it keeps to the middle of the modes. This mean does not see that a mode is lost; the "
    "last column does. Eyes prefer what is sharp, so we measure.",
    table="\n".join(lines),
)

# %% [markdown]
# ### Exercise 0.2 (diagnose): who made the others?
#
# The program in the next cell goes back in 100 steps. Its `denoiser` is exact: it says which $x_0$ to expect, given
# $x$. Its `law_back` is exact too: if this guess is right, the step back is Gaussian with this mean and this variance.
# You write both in notebook 3. One of the five lines is wrong.
#
# Three clouds are left. One is from this program, one is from the mended program, and one lacks a mode. The mended
# program is not perfect: 100 steps are few, so its modes are a little too narrow. Enter the letters and the line, and
# mend the program.

# %%
letters, line = ..., ...  # such as "dcb": mended program, program as it stands, a mode lost; the wrong line


def back(denoiser, law_back, rng):
    x = rng.standard_normal((2000, 2))  # 1
    for t in range(100, 0, -1):  # 2
        x0_hat = denoiser(x, t)  # 3
        mean, variance = law_back(x, x0_hat, t)  # 4
        x = mean + variance * rng.standard_normal(x.shape)  # 5
    return x


### BEGIN SOLUTION
letters, line = "abd", 5


def back(denoiser, law_back, rng):
    x = rng.standard_normal((2000, 2))
    for t in range(100, 0, -1):
        x0_hat = denoiser(x, t)
        mean, variance = law_back(x, x0_hat, t)
        x = mean + np.sqrt(variance) * rng.standard_normal(x.shape)
    return x


### END SOLUTION


keep(letters, line, back, test=tests.who_made_them)

# %% [markdown] tags=["solution"]
# **Solution.** Noise of variance $V$ is $\sqrt V$ times a standard one. Line 5 adds too little, so its modes are much
# too narrow: b. In cloud a they are a little too narrow, because 100 steps are few; notebook 3 says why. Cloud d has
# the width and the mean of $-\ln q$ of data, and only the third number shows that a mode is lost. The usual wrong turn
# is to call the lowest number the best.

# %% [markdown]
# ### Exercise 0.3 (design): half of it
#
# Ten steps have one and the same $\beta$. Choose it so that they leave as much signal as noise: half of a variance of 1
# is data. Your share may be off by one in 10,000.

# %%
beta = ...  # one number between 0 and 1

### BEGIN SOLUTION
beta = 1 - 2 ** (-1 / 10)
### END SOLUTION

keep(beta, test=tests.half_after_ten)

# %% [markdown] tags=["solution"]
# **Solution.** Each step multiplies the share of the data by $1 - \beta$, so ten steps leave $(1-\beta)^{10}$. That is
# a half for $\beta = 1 - 2^{-1/10}$. The usual wrong turn is $\beta = 1/20$, as if each step took the same amount.

# %% [markdown]
# ## A ring melts
#
# The thing of this notebook: your step, 1,000 times.

# %%
by = credit("q_step")
shown = (0, 50, 150, 300, 1000)
x = ring.sample(rng, 1500)
fig, axes = plt.subplots(1, 5, figsize=(9, 2.4))
for t in range(1001):
    if t:
        x = mine.q_step(x, t, rng.standard_normal(x.shape), betas)
    if t in shown:
        ax = axes[shown.index(t)]
        ax.scatter(*x.T, s=4, color=by.color if t else DATA, alpha=0.5, linewidths=0, rasterized=True)
        ax.set(title=f"t = {t}", xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal", frame_on=False)
fig.suptitle(by.title)
assert abs(np.var(x) - 1) < 4 * np.sqrt(2 / x.size)
show(fig, "Five panels at t = 0, 50, 150, 300 and 1000. Eight small clouds on a ring widen, run into each other, and are one "
     "round cloud at the end.")  # fmt: skip

# %% [markdown]
# *What to see:* data become noise, by one small step that knows nothing of the data. The ring has variance 1 too, and
# keeps it. Only its shape is lost.
#
# Take `mine.py` along: it is your model. On your own machine it stays in the folder. On Colab the first cell of each
# notebook asks for it, and elsewhere `mine.upload()` does. `tinydiff check mine.py` judges it in a terminal.
# `mine.try_(f)` lets `f` draw the next figures as it is, right or wrong, in purple.

# %%
mine

# %% [markdown]
# ## The map

# %%
needs = {1: [0], 2: [1], 3: [1], 4: [3], 5: [2, 3, 4], 6: [3, 4], 7: [4, 6], 8: [3, 7], 9: [4, 7, 8], 10: [5, 7, 9]}
needs |= {11: [8, 9], 12: [7, 9, 11], 13: [7, 8, 11], 14: [3, 7], 15: [4, 9, 11], 16: [4, 15], 17: [8, 15, 16]}
parts = {"exact": (0, 5), "learned": (6, 7), "samplers": (8, 11), "after 2022": (12, 13), "what one wants": (14, 17)}

fig, ax = plt.subplots(figsize=(9, 2.9))
half = np.linspace(0, np.pi, 60)
for late, before in needs.items():
    for early in before:
        middle, radius = (early + late) / 2, (late - early) / 2
        ax.plot(middle + radius * np.cos(half), 3 * radius**0.7 * np.sin(half), color="black", lw=0.7)
for number in range(18):
    yours = number in (3, 6, 17)
    ax.text(number, 0, str(number), color="white" if yours else "black", ha="center", va="center",
            bbox={"boxstyle": "circle", "facecolor": "black" if yours else "white", "edgecolor": "black"})  # fmt: skip
for name, (first, last) in parts.items():
    ax.plot([first - 0.35, last + 0.35], [-1.6, -1.6], color="black", lw=0.7)
    ax.text((first + last) / 2, -1.9, name, ha="center", va="top")
ax.set(xlim=(-0.6, 17.6), ylim=(-3.6, 11.2))
ax.axis("off")
show(fig, "The numbers 0 to 17 in a row, joined by arcs. 0 to 5 are called exact, 6 and 7 learned, 8 to 11 samplers, 12 and 13 "
     "after 2022, 14 to 17 what one wants. 3, 6 and 17 are black.")  # fmt: skip

# %% [markdown]
# *What to see:* an arc leads from a notebook to those that lean on it most. The black ones end with a picture by your code alone:
# the ring with a formula (3), and with your network (6). Of the digits (17) only the trained numbers are given.
#
# | | its question |
# |---|---|
# | [1. One noisy step](01_one_noisy_step.ipynb) | Can we jump to any step? |
# | [2. Schedules](02_schedules.ipynb) | Does the number of steps matter? |
# | [3. Undoing one step](03_undoing_one_step.ipynb) | Can one go back step by step? |
# | [4. A denoiser is a score](04_denoiser_is_score.ipynb) | What does a perfect network say? |
# | [5. The bound](05_bound.ipynb) | Why a squared error? |
# | [6. A network of your own](06_your_network.ipynb) | Can I trust my gradient? |
# | [7. Learning well](07_learning_well.ipynb) | What makes a network better? |
# | [8. One family of samplers](08_one_family.ipynb) | How much noise does sampling need? |
# | [9. SDE and ODE](09_sde_and_ode.ipynb) | How can random and smooth paths end alike? |
# | [10. How good is good?](10_how_good.ipynb) | How likely is a point, and which judge can be fooled? |
# | [11. A race of solvers](11_race_of_solvers.ipynb) | What does a step cost, and who wins at eight evaluations? |
# | [12. Flow matching](12_flow_matching.ipynb) | Is flow matching something else? |
# | [13. Few steps](13_few_steps.ipynb) | What is the best that one step can do? |
# | [14. Memorisation](14_memorisation.ipynb) | What if training succeeds completely? |
# | [15. Guidance](15_guidance.ipynb) | How do we ask for a class, and what do we pay? |
# | [16. Inverse problems](16_inverse_problems.ipynb) | What is consistent with a measurement? |
# | [17. Digits](17_digits.ipynb) | Does all of it hold on pictures? |
#
# In a hurry, read 1, 3, 4, 6, 8, 15 and 17. What you leave out, the library does in your place.
#
# ## What you know now
#
# - A diffusion model draws by taking noise away, step by step.
# - The way into noise is simple: shrink, add noise, and keep a variance of 1.
# - The sharpest picture need not be the right one, so we measure.
# - You guess, you write, `keep` judges, and `mine.py` grows.
#
# **Next:** [1. One noisy step, a thousand at once](01_one_noisy_step.ipynb). Can we jump to step 600 without walking?
