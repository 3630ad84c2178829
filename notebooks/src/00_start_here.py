# %% [markdown]
# # 0. The map
#
# **What is where, and what is it called?**
#
# *You need:* probability (Gaussians, conditional expectation, Bayes' rule) and a little NumPy. *To read:* 10 minutes.
# Come back to this page whenever a symbol puzzles you.
#
# A diffusion model learns to turn noise into data by learning to undo a little noise at a time. This course builds one
# from nothing but NumPy, backpropagation included, and does something that is rarely possible: it compares every step
# with the exact truth. On mixtures of Gaussians all that a diffusion model tries to learn is known as a formula, and the
# formula is called just as the network is, `model(x, t)`, so either can take the other's place.
#
# ## Install
#
# On Colab, press the badge: the first cell installs everything. On your own machine, with Python 3.11 or newer:
#
#     git clone https://github.com/tinydiff/tinydiff && cd tinydiff
#     python -m venv .venv && .venv/bin/pip install -e ".[notebooks]"
#     .venv/bin/jupyter lab notebooks
#
# No GPU is needed. Each notebook runs from top to bottom within a minute on two ordinary cores.

# %%
import matplotlib.pyplot as plt
import numpy as np

import tinydiff as td
from tinydiff.check import spec, specs
from tinydiff.plotting import DATA, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(0)

# %% [markdown]
# ## The whole course in one picture
#
# Above, data become noise: that takes a formula (notebooks 1 and 2). Below, noise becomes data: that takes a **denoiser**,
# a function that sees a noisy point and its time and guesses the noise in it. Here it is the exact one; in notebook 7
# you train your own.

# %%
data = td.toys.pinwheel40()  # a mixture of 40 Gaussians: its density is known exactly
process = td.VP()  # x_t = α(t) x_0 + σ(t) ε, for times t from 0, the data, to 1, noise
model = td.Oracle(data, process)  # the perfect denoiser

times = [0.0, 0.03, 0.1, 0.2, 1.0]
n = 1500
x0, eps = data.sample(rng, n), rng.standard_normal((n, 2))
forward = [process.at(t).perturb(x0, eps) for t in times]

way = td.trajectory(model, n, sampler=td.ddpm, steps=100, grid=td.grids.even_time, rng=rng)
path = list(way)  # pairs (t, x), from noise at t = 1 to data at t = 0
backward = [min(path, key=lambda pair: abs(pair[0] - t))[1] for t in times]  # the pairs nearest in time

fig, axes = plt.subplots(2, 5, figsize=(9, 4), sharex=True, sharey=True)
for row, clouds, color, name in zip(axes, (forward, backward), (DATA, MODEL), ("forward", "backward"), strict=True):
    for ax, x, t in zip(row, clouds, times, strict=True):
        ax.scatter(x[:, 0], x[:, 1], s=9, color=color, alpha=0.5, linewidths=0)
        ax.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
        if name == "forward":
            ax.set_title(f"t = {t:g}")
    row[0].set_ylabel(name + (" →" if name == "forward" else " ←"))
show(fig, "Two rows of five clouds of points at t = 0, 0.03, 0.1, 0.2 and 1. Above, a pinwheel with five arms dissolves "
     "into a round cloud; below, a round cloud on the right becomes the same pinwheel on the left.")  # fmt: skip

# %% [markdown]
# *What to see:* the clouds in a column look alike, though the upper ones were made from data and the lower ones from
# noise, point by point unrelated. That is what a diffusion model is for. (A hundred steps are few: the arms below are a
# little too thin. Notebook 3 says why.)
#
# ## The order to read
#
# | | the question | you need |
# |---|---|---|
# | [1. One noisy step](01_one_noisy_step.ipynb) | Why can we jump to any step? | |
# | [2. Schedules are SNR curves](02_schedules.ipynb) | Does the number of steps matter? | 1 |
# | [3. Undoing one step](03_undoing_one_step.ipynb) | When is the reverse step Gaussian? | 1, 2 |
# | [4. The ELBO, every term](04_elbo.ipynb) | Why does likelihood become a squared error of noise? | 2, 3 |
# | [5. A denoiser is a score](05_denoiser_is_score.ipynb) | What does the perfect network output? | 1, 2 |
# | [6. Backpropagation by hand](06_backpropagation.ipynb) | Can I trust my gradient? | |
# | [7. Train it in 2D](07_train_in_2d.ipynb) | How good is good? | 5, 6 |
# | [8. One family of samplers](08_samplers.ipynb) | How much noise does sampling need? | 3, 5 |
# | [9. SDE and ODE, same crowd](09_sde_and_ode.ipynb) | How can random and smooth paths end alike? | 5, 8 |
# | [10. Solvers and likelihood](10_solvers_and_likelihood.ipynb) | What does a step cost, and how likely is a point? | 4, 9 |
# | [11. The perfect model memorises](11_memorisation.ipynb) | What if training succeeds completely? | 5, 8 |
# | [12. Guidance, then digits](12_guidance_and_digits.ipynb) | How do we ask for a 7, and what do we pay for insisting? | 5, 7, 8, 9 |
#
# In a hurry: 1, 2, 3, 5, 8, with the exact denoiser throughout. With an interest in theory: 1 to 5, 8, 9, 10. To build
# one: 1, 2, 5, 6, 7.
#
# Each notebook lets you predict, breaks something on purpose, and has exercises. An exercise is a function with a hole,
# `...`, and below it a line `check(...)`. There is no answer key in it: `check` tries the laws that the right function
# obeys, and shows the smallest numbers that break one. Notebooks run with the holes unfilled too. `solutions/` has them
# filled. `spec(name)` says what a function should do and which laws `check` tries.

# %%
print(f"{len(specs())} functions that check knows:")
for i in range(0, len(specs()), 5):
    print("   ", ", ".join(specs()[i : i + 5]))
spec("q_step")

# %% [markdown]
# ## Notation
#
# A letter means one thing, here as in the library, and the table of all of them stands once, with what each paper calls
# them: [one letter, one meaning](https://github.com/tinydiff/tinydiff/blob/main/docs/notation.md). These are what the
# course adds, and what you will look up most often:
#
# | symbol | in code | what it is |
# |---|---|---|
# | $x_0$ | `x0` | a data point; batches are (B, D): B points of D coordinates |
# | $\beta_t$ | `betas[t - 1]` | variance of the noise of step $t = 1, \dots, T$ |
# | $\bar\alpha_t = \prod_{s \le t} (1-\beta_s)$ | `alpha_bar` | fraction of the data's variance that is left; $\bar\alpha_0 = 1$ |
# | $\alpha$, $\sigma$ | `now.alpha`, `now.sigma` | coefficients of signal and noise at `now = process.at(t)`: $x_t = \alpha x_0 + \sigma\varepsilon$; in a chain $\alpha = \sqrt{\bar\alpha}$, $\sigma = \sqrt{1-\bar\alpha}$ |
# | $\varepsilon$, $\hat\varepsilon$, $\varepsilon^*$ | `eps`, `model(x, t)` | the noise that was drawn, a model's guess of it, the best possible guess |
# | $\hat x_0$ | `model.x0(x, t)` | the same guess, said as data |
# | $\mathrm{SNR} = \alpha^2/\sigma^2$, $\lambda = \ln \mathrm{SNR}$ | `now.snr`, `now.log_snr` | signal-to-noise ratio, and its logarithm in nats |
# | $q$, $p$ | | the true laws, from data to noise; a model's, from noise to data |
# | $\nabla_x \ln q_t(x)$ | `score` | the score; $\varepsilon^* = -\sigma\,\nabla_x \ln q_t$ |
# | $\tilde\beta_t$ | `beta_tilde` | variance of $x_{t-1}$ given $x_t$ and $x_0$ |
# | $V$ | `var` | a variance |
# | $J$, $J^\top u$ | `pull(u)` | derivative of a denoiser by $x$, and what its pullback makes of $u$ |
# | $w$ | `w` | guidance weight; 0 is none |
# | $w_t$, $w_k$ | `weight`, `weights` | weight of the squared error of step $t$ in a loss; weight of a component of a mixture |
# | nats, bits | | the units of $-\ln q$ and of $-\log_2 q$; a nat is 1.4427 bits |
#
# In exercises with `betas`, $t$ is an integer from 1 to $T$ (others say what it is). In the library $t$ is a number
# from 0, the data, to 1, noise, and a chain of $T$ steps lives on $t = n/T$.
#
# Most mistakes are made where papers write one letter for two things. DDPM's $\alpha_t$ is $1-\beta_t$, and DDIM's
# $\alpha_t$ is DDPM's $\bar\alpha_t$; here `alpha` is always the coefficient of the signal. DDPM's $\sigma_t$ is another
# thing than $\sigma$: the noise of a step back (notebook 3). EDM's $\sigma$ is $\sigma/\alpha$, and VDM's $\gamma$ is
# $-\lambda$. Papers: Ho et al. 2020, [DDPM](https://arxiv.org/abs/2006.11239); Song, Meng & Ermon 2021,
# [DDIM](https://arxiv.org/abs/2010.02502); Song et al. 2021, [score-based SDEs](https://arxiv.org/abs/2011.13456); Kingma
# et al. 2021, [VDM](https://arxiv.org/abs/2107.00630); Karras et al. 2022, [EDM](https://arxiv.org/abs/2206.00364).
#
# ## Errata of common lecture notes
#
# You will meet these elsewhere. Each is a real formula with one thing wrong; the notebook named puts it right, most often
# by breaking it first.
#
# | often written | correct | notebook |
# |---|---|---|
# | $x_t = \sqrt{\alpha_t}\,x_0 + \sqrt{1-\alpha_t}\,\varepsilon$ with $\alpha_t = 1-\beta_t$ | $\bar\alpha_t$ in both places | 1 |
# | mean and standard deviation of a step scaled by $\beta$ | $\sqrt{1-\beta}\,x$ and $\sqrt\beta$ | 1 |
# | "a Gaussian convolution" | rescale by $\sqrt{\bar\alpha}$, then convolve with $\mathcal N(0, 1-\bar\alpha)$ | 1 |
# | "at the end you get a normal distribution" | only up to $L_T$ nats | 2 |
# | reverse covariance $\alpha_t^2 I$ | $\sigma_t^2 I$ with $\sigma_t^2 = \beta_t$ or $\tilde\beta_t$ | 3 |
# | $z \sim \mathcal N(0, I)$ in every step | $z = 0$ in the last | 3, 8 |
# | $L_\text{simple}$ called the bound | it drops the weights of the terms | 4 |
# | $\nabla \log_{q_t}(x_t)$ | $\nabla_x \log q_t(x)$ | 5 |
# | $\varepsilon_\theta(\dots\varepsilon\,t)$, no time given | $\varepsilon_\theta(\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon,\ t)$ | 7 |
# | sampler coefficient $(1-\alpha_t)/\sqrt{1-\alpha_t}$ | $\beta_t/\sqrt{1-\bar\alpha_t}$ | 8 |
# | "sampling is a deterministic mapping" | ancestral sampling is random; DDIM with $\eta = 0$ and the flow are not | 8, 9 |
# | the drift pulls towards a mode | towards the origin; the score points to modes | 9 |
# | the flow without the ½ | $f x - \tfrac12 g^2\,\nabla\ln q_t$ for the flow, $f x - g^2\,\nabla\ln q_t$ for the reverse SDE | 9 |
#
# **Next:** [1. One noisy step, a thousand at once](01_one_noisy_step.ipynb).
