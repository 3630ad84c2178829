# %% [markdown]
# # 6. Backpropagation by hand
#
# **Can I trust my gradient?**
#
# *You need:* the chain rule, matrix products, and the complex numbers. *To read:* 45 minutes. *To work:* 50 minutes.
# *Papers:* Rumelhart, Hinton & Williams 1986, [Learning representations by back-propagating
# errors](https://doi.org/10.1038/323533a0); Squire & Trapp 1998, [Using complex variables to estimate derivatives of
# real functions](https://doi.org/10.1137/S003614459631241X); Kingma & Ba 2015, [Adam](https://arxiv.org/abs/1412.6980).
#
# A denoiser is a function $\hat\varepsilon_\theta(x_t, t)$ with thousands of parameters $\theta$, and to train it we
# walk down the gradient of its loss. Here we write that gradient by hand. It is shorter than its reputation. The hard
# part is another one: a gradient that is *wrong* often still trains, a little worse, and never complains. So the heart
# of this notebook is a test that finds any term that is wrong where one looks, with one evaluation of the loss, to 15
# digits.

# %%
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
from tqdm.auto import tqdm

import tinydiff as td
from tinydiff.check import check
from tinydiff.learned import layers
from tinydiff.plotting import DATA, EXACT, MODEL, show

plt.style.use("tinydiff.course")
rng = np.random.default_rng(6)

# %% [markdown]
# ## What a gradient is
#
# Write $\langle a, b\rangle = \sum_i a_i b_i$ for arrays of one shape, whatever that shape is. Let a **layer** turn $x$
# into $y = f(x)$, and let a number, the loss $L$, be computed from $y$. Suppose that we know already how $L$ depends on
# $y$: the array $dy = \partial L/\partial y$, of the shape of $y$. (It is one symbol; we write $dx$ for
# $\partial L/\partial x$ in the same way.) Move $x$ by a small $z$. To first order
#
# $$y \text{ moves by } Jz, \qquad L \text{ moves by } \langle dy, Jz\rangle = \langle J^\top dy, z\rangle,$$
#
# where $J$ is the matrix of the derivatives of $y$ by $x$, both read as long vectors. The gradient $dx$ is *defined* by
# $L$ moving by $\langle dx, z\rangle$ for every $z$, so
#
# $$\boxed{\;dx = J^\top dy\;}$$
#
# The map $dy \mapsto J^\top dy$ is the layer's **pullback**: it pulls a gradient at the output back to the input. So a
# layer, in code, is a function that returns two things: its value, and its pullback, which remembers what it needs.
#
#     layer(theta, x) -> (y, pullback),    pullback(dy) -> dx
#
# **The chain rule** is then a sentence. Of two layers in a row the derivative is $J_2 J_1$, and
# $(J_2 J_1)^\top dy = J_1^\top (J_2^\top dy)$: *apply the pullbacks in reverse*. No matrix $J$ is ever formed. A linear
# layer is one matrix product forward and two back, so a gradient by a million parameters costs about as much as three
# losses. (Forward, one column of $J$ at a time, it would cost a million.)

# %%
fig, ax = plt.subplots(figsize=(8, 2.1))
names, values = ("linear", "silu", "linear", "square"), ("x", "y_1", "y_2", "y_3", "L")
for i, name in enumerate(names):
    for y, label, color in ((0.5, name, "black"), (-0.5, f"pullback {i + 1}", MODEL)):
        box = {"boxstyle": "round,pad=0.4", "fc": "white", "ec": color}
        ax.text(2 * i + 1, y, label, ha="center", va="center", color=color, fontsize=10, bbox=box, zorder=3)
    for y, a, b, color in ((0.5, 0.2, 1.8, "black"), (-0.5, 1.75, 0.3, MODEL)):
        arrow = {"arrowstyle": "->", "lw": 1.5, "color": color}
        ax.annotate("", (2 * i + b, y), (2 * i + a, y), arrowprops=arrow, zorder=1)
for i, value in enumerate(values):
    ax.text(2 * i, 0.5, f"${value}$", ha="center", va="center", fontsize=14)
    ax.text(2 * i, -0.5, f"$d{value}$" if value != "L" else "1", ha="center", va="center", fontsize=14, color=MODEL)
ax.set(xlim=(-0.4, 8.4), ylim=(-1, 1))
ax.set_axis_off()
show(
    fig,
    "Four layers in a row. Above them values flow from x to the loss L; below them gradients flow back from 1 "
    "to dx, through the four pullbacks in reverse order.",
)

# %% [markdown]
# *What to see:* values go right, gradients go left, and at every place there is a gradient of the same shape as the
# value.
#
# A linear layer also has parameters, its weights and biases in one flat vector. In the library its pullback may be given
# an array, `pull1(dy1, grad)`, and writes the gradient by them into it. Here is the picture as code, on five points, for
# $dx$ alone:

# %%
x = rng.standard_normal((5, 2))
theta1 = rng.standard_normal(3 * 8)  # W (2, 8), then b (8,)
theta2 = rng.standard_normal(9 * 2)  # W (8, 2), then b (2,)


def forward(x):
    """½ Σ y_3², and the gradient by x."""
    y1, pull1 = layers.linear(theta1, x)  # (5, 8)
    y2, pull2 = layers.silu(y1)  # (5, 8)
    y3, pull3 = layers.linear(theta2, y2)  # (5, 2)
    loss, dy3 = 0.5 * np.sum(y3 * y3), y3  # the gradient of ½ Σ y² is y
    return loss, pull1(pull2(pull3(dy3)))


_, dx = forward(x)
h, e = 1e-6, np.zeros((5, 2))
e[3, 1] = 1  # move one number of the 10
by_difference = (forward(x + h * e)[0] - forward(x - h * e)[0]) / (2 * h)
print(f"∂L/∂x[3, 1]: {dx[3, 1]:.9f} by pullbacks, {by_difference:.9f} by a difference of two losses")
assert abs(dx[3, 1] - by_difference) < 1e-6 * abs(dx[3, 1])

# %% [markdown]
# ## Three layers
#
# The recipe for every layer is the same three steps: *move* the inputs, *pair* the movement of $y$ with $dy$, and
# *collect* what multiplies each movement. What is collected is the gradient.
#
# ### Linear
#
# $y = xW + b$ with rows $x$ (B, n), $W$ (n, m), $b$ (m,). Move all three by $z$, $Z$ and $\zeta$. To first order $y$
# moves by $zW + xZ + \zeta$, and $L$ by
#
# $$\langle dy,\ zW\rangle + \langle dy,\ xZ\rangle + \langle dy,\ \zeta\rangle
#   = \langle \underbrace{dy\,W^\top}_{dx},\ z\rangle + \langle \underbrace{x^\top dy}_{dW},\ Z\rangle
#   + \Big\langle \underbrace{\textstyle\sum_{\text{rows}} dy}_{db},\ \zeta\Big\rangle .$$
#
# The first two use $\langle A, BC\rangle = \operatorname{tr}(A^\top BC)$, in which factors may be turned around in a
# circle: $\langle A, BC\rangle = \langle AC^\top, B\rangle = \langle B^\top A, C\rangle$. The third pairs $dy$ with
# $\zeta$ repeated in *every* row, so every row contributes. There is no mean over the batch: $L$ has it already, in
# $dy$.
#
# ### Exercise 6.1: the backward pass of a linear layer


# %%
def linear_backward(x, w, dy):
    """(dx, dw, db) of y = x w + b; x (B, n), w (n, m), dy = ∂L/∂y (B, m)."""
    ### BEGIN SOLUTION
    return dy @ w.T, x.T @ dy, dy.sum(axis=0)
    ### END SOLUTION


check(linear_backward)

# %% [markdown]
# ### SiLU
#
# Without something bent in between, linear layers in a row are one linear layer. We bend with the **sigmoid linear
# unit** $y = x\,s(x)$, $s(x) = 1/(1 + e^{-x})$ [[Elfwing et al. 2018](https://arxiv.org/abs/1702.03118)]: close to 0 on
# the left, to $x$ on the right, and smooth. First the slope of $s$:
#
# $$s' = \frac{e^{-x}}{(1+e^{-x})^2} = s\cdot\frac{e^{-x}}{1+e^{-x}} = s\,(1-s),
#   \qquad\text{so}\qquad y' = s + x\,s\,(1-s) = s\,\big(1 + x\,(1-s)\big).$$
#
# Each number of $y$ depends on one number of $x$ alone. $J$ is diagonal, and the pullback is a product number by
# number.
#
# ### Exercise 6.2: the backward pass of SiLU
#
# One law asks for $x = \pm 800$, where $e^{800}$ overflows. The identity $s(x) = \tfrac12\big(1 + \tanh\tfrac x2\big)$
# helps.


# %%
def silu_backward(x, dy):
    """dx of y = x s(x), with s = 1/(1 + e^{−x}); x and dy = ∂L/∂y are (B, D)."""
    ### BEGIN SOLUTION
    s = 0.5 * (1 + np.tanh(0.5 * x))
    return dy * s * (1 + x * (1 - s))
    ### END SOLUTION


check(silu_backward)

# %% [markdown]
# ### Layer normalisation
#
# It brings the features of each point, a row, to mean 0 and variance 1, so that they keep their size from layer to
# layer. Every output of a row depends on every input of it, and that is where mistakes are made. For one row of $n$
# numbers write $\bar x$ for their mean, $c = x - \bar x$, and
#
# $$y = \frac{c}{r}, \qquad r = \sqrt{\overline{c^2} + \epsilon},$$
#
# with a bar for the mean over the row, and a small $\epsilon$ against division by 0 (the noise is written
# $\varepsilon$) [[Ba et al. 2016](https://arxiv.org/abs/1607.06450)]. Move $x$ by $z$, step by step:
#
# 1. $c$ moves by $z - \bar z$.
# 2. $r^2 = \overline{c^2} + \epsilon$ moves by $2\,\overline{c\,(z - \bar z)} = 2\,\overline{c\,z}$, since
#    $\overline{c\,\bar z} = \bar c\,\bar z = 0$. And $r^2$ moves by $2r$ times what $r$ moves by. So $r$ moves by
#    $\overline{c\,z}/r = \overline{y\,z}$.
# 3. $y = c/r$ moves by
#    $\dfrac{z - \bar z}{r} - \dfrac{c}{r^2}\,\overline{y\,z} = \dfrac1r\,\big(z - \bar z - y\,\overline{y\,z}\big)$.
#
# As a matrix, with $\mathbf 1$ for the vector of ones,
# $J = \frac1r\big(I - \tfrac1n \mathbf 1\mathbf 1^\top - \tfrac1n\,y\,y^\top\big)$. It is **symmetric**, $J^\top = J$,
# so the pullback is the same formula with $dy$ in the place of $z$:
#
# $$\boxed{\;dx = \frac{1}{r}\,\Big(dy - \overline{dy} - y\;\overline{y\,dy}\Big)\;}$$
#
# Each of the two subtracted terms has a meaning. Shifting the row does not change $y$, so $dx$ has no component along
# $\mathbf 1$. Stretching the row does not change it either (but for $\epsilon$), so $dx$ has none along $y$.
#
# ### Exercise 6.3: the backward pass of layer normalisation


# %%
def layer_norm_backward(x, dy, eps):
    """dx of y = (x − mean)/√(variance + eps) in each row; x and dy = ∂L/∂y are (B, D)."""
    ### BEGIN SOLUTION
    centred = x - x.mean(axis=1, keepdims=True)
    r = np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
    y = centred / r
    return (dy - dy.mean(axis=1, keepdims=True) - y * (y * dy).mean(axis=1, keepdims=True)) / r
    ### END SOLUTION


check(layer_norm_backward)

# %% [markdown]
# ## A whole network
#
# `td.TimeMLP` is made of these parts and of one more, *modulate*: $y = x\,(1+\gamma) + \delta$, number by number, where
# $\gamma$ and $\delta$ are linear layers of features of the noise level. The recipe gives $dx = dy\,(1+\gamma)$,
# $d\gamma = dy\,x$, $d\delta = dy$. (The gain and shift that often come with layer normalisation are these.) It starts
# with a linear layer (*in*), goes on with blocks
#
# $$h \;\leftarrow\; h + \text{linear}_{\text{down}}\Big(\text{silu}\big(\text{linear}_{\text{up}}(\text{modulate}(\text{norm}(h)))\big)\Big),
#   \qquad\text{pulled back as}\qquad dh \;\leftarrow\; dh + (\text{the five pullbacks in reverse}),$$
#
# (the derivative of $h + f(h)$ is $I + J$), where norm is the layer normalisation, and ends with a linear layer
# (*out*). All parameters lie in one flat vector $\theta$. The loss is notebook 4's $L_\text{simple}$, divided by $d$ so
# that it is per coordinate,
#
# $$L(\theta) = \frac1{Bd}\sum_{i=1}^{B} \big\|\varepsilon_i - \hat\varepsilon_\theta(\alpha x_0^i + \sigma\varepsilon_i,\ t_i)\big\|^2,$$
#
# on $B$ points of $d$ coordinates. Below it is written out a second time, as plainly as can be, to judge the library's
# `loss_and_grad`.

# %%
process = td.VP()
network = td.TimeMLP(dim=2, width=24, blocks=3, norm=True)
theta = network.init(rng, dtype=np.float64)
theta += 0.1 * rng.standard_normal(network.size)  # init leaves some layers at 0: give every layer something to do

x0 = td.toys.moons32().sample(rng, 32)
now = process.at(process.sample_times(rng, 32), like=x0)  # a time for each point: now.alpha is a column, (32, 1)
eps = rng.standard_normal((32, 2))
x_t = now.perturb(x0, eps)


def loss(theta):
    """The loss by its definition."""
    eps_hat = td.NetworkDenoiser(network, theta, process)(x_t, now)
    return np.mean((eps - eps_hat) ** 2)


value, g = td.objective.loss_and_grad(network, theta, now, x0, eps)
print(f"{network.size:,} parameters; the loss is {loss(theta):.15f} by definition, {value:.15f} beside its gradient")
assert abs(loss(theta) - value) < 1e-12

# %% [markdown]
# ## Is it right?
#
# A gradient of thousands of numbers looks like noise. One cannot *see* that it is right. But we know what it claims:
# for every direction $z$,
#
# $$\langle g, z\rangle = \frac{d}{dh}\,L(\theta + hz)\Big|_{h=0}.$$
#
# The right side needs no backpropagation, only the loss. Take *one* random $z$ of length 1. If $g$ is off by $e$, the
# two sides differ by $\langle e, z\rangle$, which is 0 only for $z$ at right angles to $e$, and a random $z$ is that
# with probability 0. So **one number tests all parameters at once**, at this $\theta$ and on this batch. (A layer whose
# weights are 0 hides the mistakes of those before it; hence the perturbed $\theta$ above.) It remains to differentiate
# by $h$, a single real variable. Three ways:
#
# - **One-sided difference**, $\big(L(\theta + hz) - L(\theta)\big)/h$. By Taylor's formula it is off by about
#   $\tfrac h2 L''$. But both losses are rounded, each by about $10^{-16} L$, and what rounding does to their difference
#   is divided by $h$: $\tfrac h2 |L''| + 10^{-16} |L|/h$. Small $h$ hurts as large $h$ does.
# - **Central difference**, $\big(L(\theta + hz) - L(\theta - hz)\big)/2h$. Even terms cancel:
#   $\tfrac{h^2}{6} |L'''| + 10^{-16} |L|/h$.
# - **Complex step**, $\operatorname{Im} L(\theta + ihz)/h$, with $i^2 = -1$. Where $L$ is made of analytic functions,
#   Taylor's formula holds for the complex number $ih$ as well:
#
# $$L(\theta + ihz) = L + ih\,L' - \tfrac{h^2}{2} L'' - \tfrac{ih^3}{6} L''' + \dots \qquad\Longrightarrow\qquad
#   \frac{\operatorname{Im} L(\theta + ihz)}{h} = L' - \tfrac{h^2}{6} L''' + \dots$$
#
# The value sits in the real part, the derivative in the imaginary part. **Nothing is subtracted**, so nothing cancels.
#
# **Predict.** At which $h$ is each of the two differences at its best, and how many digits does it give there? (Find
# the minimum of $h + 10^{-16}/h$ and of $h^2 + 10^{-16}/h$.) And the complex step at $h = 10^{-200}$?

# %%
z = rng.standard_normal(network.size)
z /= np.linalg.norm(z)
claim = g @ z

steps = np.logspace(0, -16, 65)
one_sided = np.array([(loss(theta + h * z) - loss(theta)) / h for h in steps])
central = np.array([(loss(theta + h * z) - loss(theta - h * z)) / (2 * h) for h in steps])
small_steps = np.logspace(-0.5, -300, 150)
complex_step = np.array([loss(theta + 1j * h * z).imag / h for h in small_steps])


def error(estimate):
    """Relative to the claim; nothing below half a last digit is drawn."""
    return np.maximum(np.abs(estimate / claim - 1), 1e-16)


fig, (far, ax) = plt.subplots(1, 2, figsize=(8.4, 3.6), sharey=True, width_ratios=(1, 2.6))
far.loglog(small_steps, error(complex_step), ".", color=EXACT, ms=4)
again = np.array([loss(theta + 1j * h * z).imag / h for h in steps[2:]])  # where the differences are
ax.loglog(steps[2:], error(again), ".-", color=EXACT, lw=1.2, ms=5)
ax.loglog(steps, error(one_sided), color=MODEL, lw=1.8)
ax.loglog(steps, error(central), "--", color=DATA, lw=1.8)
ax.set(xlabel="step $h$", xlim=(2e-17, 3), xticks=[1e-16, 1e-12, 1e-8, 1e-4, 1], ylim=(3e-17, 30))
far.set(xlabel="$h$, further down", xlim=(1e-302, 1e-17), xticks=[1e-300, 1e-200, 1e-100])
far.set(ylabel="relative error", yticks=[1e-16, 1e-12, 1e-8, 1e-4, 1])
ax.minorticks_off()
ax.text(2e-5, 2e-4, "one-sided", color=MODEL, ha="right")
ax.text(3e-10, 2e-9, "central", color=DATA, ha="right")
ax.text(4e-15, 3e-15, "complex step", color=EXACT, va="bottom")
ax.text(4e-13, 1, "← rounding", fontsize=10, va="center")
ax.text(2e-3, 1, "truncation →", fontsize=10, ha="right", va="center")
show(
    fig,
    "Relative error of three numerical derivatives against the step h. The one-sided and the central difference "
    "each form a V, with bottoms near 1e-8 and 1e-11. The complex step falls below 1e-15 and stays there down "
    "to h = 1e-300.",
)

# %% [markdown]
# *What to see:* two Vs and a floor. The right arms fall with the slopes 1 and 2 of the truncation, the left arms rise
# with $1/h$. The complex step has a right arm and *no left arm*: where $h^2$ drops under the last digit, below
# $h = 10^{-8}$ at the latest, it gives all the digits there are, at $h = 10^{-30}$ and at $10^{-300}$ alike.
#
# (Its right arm is the central difference's: the same $\tfrac{h^2}{6} L'''$, with the other sign.)
#
# And mind what is compared: the judge knows the loss alone, the accused came through the pullbacks of all layers, and
# they agree to 15 digits.

# %%
print("                      best h     relative error there")
for name, h, estimate in (("one-sided", steps, one_sided), ("central", steps, central)):
    k = np.argmin(error(estimate))
    print(f"{name:14s}    {h[k]:10.1e}     {error(estimate)[k]:.1e}")
at = np.argmin(np.abs(np.log10(small_steps) + 200))
print(f"complex step      {small_steps[at]:10.1e}     {error(complex_step)[at]:.1e}")

# %% [markdown]
# With all constants 1 the differences would be best at $h = 10^{-8}$ and $4\cdot10^{-6}$, with errors of
# $2\cdot10^{-8}$ and $4\cdot10^{-11}$. Along $z$ this loss bends less than it slopes, so both are best at a larger $h$
# and do a little better.
#
# ### What breaks it
#
# The judge needs a loss made of *analytic* operations: sums, products, powers, exp, tanh, sin. Whatever looks at a
# complex number as a point of the plane, and not as a number, throws the derivative away without a word:

# %%
cases = [
    ("sqrt(x * x)", lambda x: np.sqrt(x * x), -0.7, "-1.0"),
    ("abs(x)", np.abs, -0.7, "-1.0"),
    ("x * x", lambda x: x * x, -0.7, "-1.4"),
    ("x * conj(x)", lambda x: x * np.conj(x), -0.7, "-1.4"),
    ("mean of (x − mean)²", lambda x: np.mean((np.array([x, 1]) - (x + 1) / 2) ** 2), 0.2, "-0.4"),
    ("np.var", lambda x: np.var(np.array([x, 1])), 0.2, "-0.4"),
    ("np.maximum(x, 0)", lambda x: np.maximum(x, 0), -0.7, "0.0"),
    ("np.maximum(x, 0)", lambda x: np.maximum(x, 0), 0.0, "none"),
]
print("function                  at    complex step     true")
for name, f, at, true in cases:
    print(f"{name:20s} {at:7.1f} {np.imag(f(at + 1e-30j)) / 1e-30:15.1f} {true:>8s}")

# %% [markdown]
# `abs`, `conj` and `var` (which multiplies by the conjugate) answer 0. NumPy's `maximum` compares real parts first, so
# it is right away from the corner; *at* the corner there is no derivative, and it answers all the same. Some libraries,
# PyTorch for one, refuse to order complex numbers at all. So a loss that is to be judged says the mean of $c^2$ for the
# variance. (The sigmoid passes in either form; $\tanh$ is for overflow only.)
#
# ## Find the culprit
#
# Two more tests cost nothing now. If the number is wrong, let $z$ move the parameters of *one layer* and stay 0
# elsewhere: that says which layer. For a standard normal $z$ the difference $\langle e, z\rangle$ has the standard
# deviation $\|e\|$, so divided by $\|g\|$ it says how large the error is, too. And likelihoods (notebook 10) need
# pullbacks to $x$, not to $\theta$. For them there is the **dot-product test**: with the derivative $J$ of
# $\hat\varepsilon$ by $x$,
#
# $$\langle Jz, u\rangle = \langle z, J^\top u\rangle \qquad\text{for all } z, u.$$
#
# $Jz$ comes forward, by a complex step; $J^\top u$ comes backward, by the pullback: `model.linearize(x, t)` gives
# $\hat\varepsilon$ and `pull`, and `pull(u)` is $J^\top u$. Random $z$ and $u$ test all of $J$.


# %%
def by_complex_step(f, x, z, h=1e-30):
    """d/dh f(x + h z) at h = 0."""
    return np.imag(f(x + 1j * h * z)) / h


def by_layer(network, theta):
    """For each layer |⟨g, z⟩ − truth|/‖g‖, for a standard normal z that moves this layer alone."""
    g = td.objective.loss_and_grad(network, theta, now, x0, eps)[1]
    errors = {}
    for name, piece in network.split(np.arange(network.size)).items():  # the indices of each layer's parameters
        z = np.zeros(network.size)
        z[piece] = np.random.default_rng(0).standard_normal(len(piece))
        errors[name] = abs(g @ z - by_complex_step(loss, theta, z)) / np.linalg.norm(g[piece])
    return errors


healthy = by_layer(network, theta)
model = td.NetworkDenoiser(network, theta, process)
_, pull = model.linearize(x_t, now)
z, u = rng.standard_normal((2, 32, 2))
forth = np.sum(by_complex_step(lambda x: model(x, now), x_t, z) * u)
back = np.sum(z * pull(u))
print(f"⟨Jz, u⟩ = {forth:.14f}\n⟨z, Jᵀu⟩ = {back:.14f}")

# %% [markdown]
# ## Break it
#
# We leave one term out of the backward pass of layer normalisation, $y\,\overline{y\,dy}$, as if stretching a row
# changed nothing that matters. The forward pass is untouched. Then we train two networks from the same seed on the same
# batches, one with the right pullback and one with the wrong one.
#
# **Predict.** Will you see it in the loss?


# %%
def careless_layer_norm(x, eps=1e-5):
    """The library's layer_norm, with y mean(y dy) left out of its pullback."""
    centred = x - np.mean(x, axis=1, keepdims=True)
    rstd = (np.mean(centred * centred, axis=1, keepdims=True) + eps) ** -0.5
    return centred * rstd, lambda dy: rstd * (dy - np.mean(dy, axis=1, keepdims=True))


def losses(steps=500):
    """The loss of each step, from a seed of its own; times and targets are the plain ones of the loss above."""
    data, rng = td.toys.ring8(), np.random.default_rng(60)
    plain = {"optimizer": "adam", "times": "uniform", "targets": "single"}  # notebook 7 has better ones
    states = td.train(network, process, data, steps=steps, batch=256, rng=rng, **plain)
    return np.array([state.loss for state in tqdm(states, total=steps, leave=False)])


right = losses()
with patch("tinydiff.learned.network.layer_norm", careless_layer_norm):  # within this block only
    wrong = losses()
    broken = by_layer(network, theta)

# %%
window = np.ones(40) / 40
fig, (ax, bars) = plt.subplots(1, 2, figsize=(8.6, 3.3), width_ratios=(1, 1.15))
for curve, color, style in ((right, EXACT, "-"), (wrong, MODEL, "--")):
    ax.plot(np.arange(40, 501), np.convolve(curve, window, mode="valid"), style, color=color)
ax.set(xlabel="step", ylabel="loss, mean of 40 steps", ylim=(0.2, 0.3), xlim=(0, 500), yticks=[0.2, 0.25, 0.3])
ax.text(40, 0.222, "right\ngradient", color=EXACT)
ax.text(170, 0.262, "a term missing", color=MODEL)
names = list(healthy)
for errors, color, marker in ((healthy, EXACT, "o"), (broken, MODEL, "D")):
    size = 10 if marker == "o" else 5  # where they coincide, the diamond lies in the circle
    face = "none" if marker == "o" else color
    bars.semilogx(
        [max(errors[name], 1e-17) for name in names], range(len(names)), marker, color=color, ms=size, mfc=face
    )
bars.set(yticks=range(len(names)), yticklabels=names, xlim=(3e-18, 10), xticks=[1e-16, 1e-12, 1e-8, 1e-4, 1])
bars.set(xlabel="|⟨g, z⟩ − truth| / ‖g‖, layer by layer")
bars.minorticks_off()
bars.invert_yaxis()
bars.text(2e-14, 4.1, "right gradient", color=EXACT)
bars.text(6e-4, 8.1, "a term missing", color=MODEL, ha="right")
show(
    fig,
    "Left: two training losses that fall together, one of the right and one of the wrong gradient. Right: the "
    "error of the gradient in each layer: below 1e-14 everywhere for the right one, 0.01 to 1 for the wrong one "
    "in all layers before a normalisation.",
)

# %% [markdown]
# *What to see:* on the left (the axis starts at 0.2) two losses that fall to the same place, the wrong one more slowly
# at first; and when you work you have only *one* of these curves. (This is one toy and one seed, chosen since the two
# meet here; elsewhere the wrong one may end visibly higher. Try `td.toys.moons32()`. But higher than what, if you have
# only one?) On the right the verdict is thirteen decades wide. It also says where to look: the last block after its
# normalisation (modulate2, up2, down2) and the output are right (a diamond in a circle), everything that gets its
# gradient *through* a normalisation is wrong. A loss curve that falls is no evidence for a gradient; it falls for
# anything that points downhill on the whole.

# %%
print(
    f"loss, mean of the last 100 steps: {right[-100:].mean():.3f} with all terms, {wrong[-100:].mean():.3f} without one"
)
print(f"worst layer: {max(healthy.values()):.1e} with all terms, {max(broken.values()):.1e} without one")

# %% [markdown]
# ## Down the hill: Adam
#
# With $g_k$ the gradient at step $k$, plain **gradient descent** (SGD, *stochastic*, where each $g_k$ comes from
# another batch) is $\theta \leftarrow \theta - \mathrm{lr}\,g_k$ with a rate $\mathrm{lr}$. Where the loss is steep in
# one direction and flat in another, one rate cannot suit both: on $\tfrac12\kappa\,\theta_j^2$ a step multiplies
# $\theta_j$ by $1 - \mathrm{lr}\,\kappa$, so $\mathrm{lr}$ must stay below $2/\kappa$ of the steepest direction, and
# the flattest then crawls.
#
# **Adam** gives each parameter a scale of its own: it steps along the average gradient, divided by the gradient's
# typical size. Both are running averages,
#
# $$\mu_k = b_1\,\mu_{k-1} + (1-b_1)\,g_k, \qquad \nu_k = b_2\,\nu_{k-1} + (1-b_2)\,g_k^2, \qquad \mu_0 = \nu_0 = 0,$$
#
# number by number, with for instance $b_1 = 0.9$ and $b_2 = 0.99$. They start at 0, which is wrong. How wrong? Unroll
# the recursion: $\mu_k = (1-b_1)\sum_{j=1}^{k} b_1^{\,k-j} g_j$. If all $g_j$ have the mean $m$, the mean of $\mu_k$
# is $m\,(1-b_1)\sum_{j=1}^k b_1^{\,k-j} = m\,(1-b_1^{\,k})$, by the geometric sum. So dividing by $1 - b_1^{\,k}$
# removes the bias, and likewise for $\nu$:
#
# $$\hat\mu_k = \frac{\mu_k}{1-b_1^{\,k}}, \qquad \hat\nu_k = \frac{\nu_k}{1-b_2^{\,k}}, \qquad
#   \boxed{\;\theta \leftarrow \theta - \mathrm{lr}\,\frac{\hat\mu_k}{\sqrt{\hat\nu_k} + \epsilon}\;}$$
#
# Three consequences, which the last table checks:
#
# - **The first step** has $\hat\mu_1 = g$ and $\hat\nu_1 = g^2$: it is $-\mathrm{lr}\,g/(|g|+\epsilon)$, a step of
#   length $\mathrm{lr}$ in every parameter, whatever the size of its gradient as long as $|g| \gg \epsilon$. (If $\nu$
#   alone were not corrected, it would be 10 times too long at $b_2 = 0.99$.)
# - **A constant gradient** gives $\hat\mu_k = g$ and $\hat\nu_k = g^2$ forever: after $k$ steps $\theta$ has moved by
#   $-k\,\mathrm{lr}\,\mathrm{sign}(g)$. Where gradients contradict each other $\hat\mu$ is small beside
#   $\sqrt{\hat\nu}$, and steps are shorter.
# - **Scale does not matter**: $c\,g$ in place of $g$, $c > 0$, multiplies $\hat\mu$ and $\sqrt{\hat\nu}$ by $c$, and
#   the step stays, but for $\epsilon$.
#
# ### Exercise 6.4: a step of Adam
#
# `count` is $k$, the number of this step, 1 at the first. Return the new averages as they are, not corrected.


# %%
def adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps):
    """(theta, mu, nu) after step number count = 1, 2, …; arrays of one shape; eps is ϵ, outside the root."""
    ### BEGIN SOLUTION
    mu = b1 * mu + (1 - b1) * grad
    nu = b2 * nu + (1 - b2) * grad**2
    mu_hat, nu_hat = mu / (1 - b1**count), nu / (1 - b2**count)
    return theta - lr * mu_hat / (np.sqrt(nu_hat) + eps), mu, nu
    ### END SOLUTION


check(adam_step)

# %% [markdown]
# ### A ravine
#
# A loss whose curvature is 100 times larger across than along, once with the axes of the ravine along the parameters,
# once turned by 45°. Both methods start at the same place.
#
# **Predict.** Does turning the ravine slow down gradient descent? And Adam?

# %%
turn = np.sqrt(0.5) * np.array([[1, -1], [1, 1]])
ravines = {"along the axes": np.diag([1.0, 100.0]), "turned by 45°": turn @ np.diag([1.0, 100.0]) @ turn.T}
start = {"along the axes": np.array([-1.8, 0.35]), "turned by 45°": turn @ np.array([-1.8, 0.35])}


def descend(hessian, theta, rule, steps=60):
    """The path of θ on ½ θᵀHθ; rule(gradient) is the step to add."""
    path = [theta]
    for _ in range(steps):
        theta = theta + rule(hessian @ theta)
        path.append(theta)
    return np.array(path)


def adam_rule(lr):
    """Adam with a memory of its own."""
    adam = td.Adam(lr=lr)
    memory = adam.init(np.zeros(2))

    def rule(gradient):
        nonlocal memory
        step, memory = adam.update(gradient, memory)
        return step

    return rule


side = np.linspace(-2.2, 2.2, 200)
plane = np.stack(np.meshgrid(side, side), axis=-1)  # (200, 200, 2)
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), width_ratios=(1, 1, 1.05))
ends = {}
for ax, (name, hessian) in zip(axes, ravines.items(), strict=False):
    height = 0.5 * np.sum(plane @ hessian * plane, axis=-1)
    ax.contour(side, side, height, levels=[0.1, 1, 4, 16, 64, 150], colors=DATA, linewidths=0.7, alpha=0.6)
    for rule, color, style, label in (
        (lambda g: -0.0185 * g, DATA, ".-", "SGD"),  # a little below 2/100, where it would diverge
        (adam_rule(0.15), MODEL, "D-", "Adam"),
    ):
        path = descend(hessian, start[name], rule)
        ax.plot(*path.T, style, color=color, lw=1.2, ms=4 if label == "SGD" else 2.5)
        ends[name, label] = 0.5 * np.sum(path @ hessian * path, axis=1)
    ax.plot(0, 0, "k+", ms=9)
    ax.set(xlim=(-2.2, 1.2), ylim=(-1.7, 1.7), aspect="equal", xticks=[], yticks=[], xlabel=r"$\theta_1$", title=name)
axes[0].set_ylabel(r"$\theta_2$")
for (name, label), curve in ends.items():
    style = "-" if name == "along the axes" else (0, (1, 1.5))
    axes[2].semilogy(curve, ls=style, color=MODEL if label == "Adam" else DATA, lw=1.8)
axes[2].set(
    title="the loss of all four", xlabel="step", ylabel="loss", xlim=(0, 60), xticks=[0, 30, 60], yticks=[1e-4, 1e-2, 1]
)
axes[2].minorticks_off()
axes[2].text(33, 2.2, "Adam, turned", color=MODEL, fontsize=10)
axes[2].text(37, 0.1, "descent, both", color=DATA, fontsize=10)
axes[2].text(4, 0.0012, "Adam,\nalong the axes", color=MODEL, fontsize=10, ha="left")
show(
    fig,
    "Left and middle: paths of gradient descent and Adam in a narrow ravine, along the axes and turned by 45 "
    "degrees. Right: the loss at each step.",
)

# %% [markdown]
# *What to see:* gradient descent (grey) bounces from wall to wall and creeps along. It only knows lengths and angles:
# turning the ravine turns its path, and its loss is the same, the two grey curves lie on each other. Adam, where the
# axes are the ravine's, strides along it as fast as across. (Its loss swings, since an average of past gradients
# carries it past the bottom.) Turned, each of its two parameters sees the same mixture of steep and flat, the two
# scales come out alike, and for fifty steps it is no better than gradient descent. Adam is not magic. It rescales *parameters*,
# and helps as far as steep and flat go by parameter, as they tend to in networks, where layers differ.

# %% [markdown]
# ## The average that is sampled from
#
# Each step follows the gradient of *one* batch, so $\theta$ never rests: it trembles around where it should be.
# Diffusion models are sampled not from $\theta$ but from an **exponential moving average** of it,
#
# $$\theta^{\text{ema}}_n = \rho\,\theta^{\text{ema}}_{n-1} + (1-\rho)\,\theta_n,$$
#
# from $\theta^{\text{ema}}_0 = \theta_0$, with a decay $\rho$ a little below 1. Unrolled, by the same sum as before,
#
# $$\theta^{\text{ema}}_n = \rho^n\,\theta_0 + (1-\rho)\sum_{k=1}^{n} \rho^{\,n-k}\,\theta_k :$$
#
# the weight of a value falls by the factor $\rho$ with every step of its age, its mean age is $\rho/(1-\rho)$ steps,
# and so it averages over the last $1/(1-\rho)$ steps or so.
#
# ### Exercise 6.5: the average


# %%
def ema_update(ema, theta, decay):
    """The new average, of the old one and θ; arrays of one shape."""
    ### BEGIN SOLUTION
    return decay * ema + (1 - decay) * theta
    ### END SOLUTION


check(ema_update)

# %% [markdown]
# How much does it calm? Let $\theta$ tremble as SGD does at the bottom of $\tfrac12\theta^2$, where every gradient has
# a noise $\xi$ of variance 1: $\theta \leftarrow \theta - \mathrm{lr}\,(\theta + \xi) = a\,\theta - \mathrm{lr}\,\xi$
# with $a = 1 - \mathrm{lr}$. Values that are $l$ steps apart then have the correlation $a^l$, and the variance of the
# average, with its weights $(1-\rho)\,\rho^{\,i}$ at the age $i$, is that of $\theta$ times
#
# $$(1-\rho)^2 \sum_{i,j\ge 0} \rho^{\,i+j}\,a^{|i-j|} = (1-\rho)^2\cdot\frac{1}{1-\rho^2}\Big(1 + 2\sum_{l\ge1} (a\rho)^l\Big) = \frac{1-\rho}{1+\rho}\cdot\frac{1+a\rho}{1-a\rho}.$$

# %%
from scipy.signal import lfilter  # lfilter([b], [1, −a], z) runs y ← a y + b z

rate, decay, n = 0.3, 0.98, 400_000
xi = rng.standard_normal(n)
trembling = lfilter([-rate], [1, -(1 - rate)], xi, zi=[2.5 * (1 - rate)])[0]  # starts from 2.5
average = lfilter([1 - decay], [1, -decay], trembling, zi=[2.5 * decay])[0]

fig, ax = plt.subplots(figsize=(7.6, 2.8))
ax.plot(trembling[:500], color=DATA, lw=0.8)
ax.plot(average[:500], color=MODEL, lw=2.2)
ax.axhline(0, color=EXACT, lw=1.2, ls=":")
ax.set(xlabel="step", ylabel=r"$\theta$", xlim=(0, 500), yticks=[-1, 0, 1, 2])
ax.text(60, 1.55, "the average, ρ = 0.98", color=MODEL)
ax.text(330, 1.15, r"$\theta$, step by step", color=DATA)
ax.text(503, 0, "minimum", color=EXACT, va="center", fontsize=10, clip_on=False)
show(
    fig,
    "A trembling grey line around the minimum at 0, and its moving average, a calm line that starts far off, "
    "arrives later than the grey one, and then stays close to 0.",
)

# %% [markdown]
# *What to see:* the average is calmer and *late*: it pays with memory of the beginning. That is why `td.train` lets the
# decay rise slowly, as $\min(\rho,\ k/(k+9))$ at step $k$.
#
# ## The numbers

# %%
k = 50
gradient = rng.standard_normal(10)
adam = td.Adam(lr=0.1)
first = adam.update(gradient, adam.init(gradient))[0]
exact_first = -0.1 * gradient / (np.abs(gradient) + adam.eps)

pure = td.Adam(lr=0.1, eps=0.0)
moved, memory, loud, loud_memory = 0.0, pure.init(gradient), 0.0, pure.init(gradient)
for _ in range(k):
    step, memory = pure.update(gradient, memory)
    moved = moved + step
    step, loud_memory = pure.update(1000 * gradient, loud_memory)
    loud = loud + step

thetas = rng.standard_normal((k + 1, 10))
ema = thetas[0]
for each in thetas[1:]:
    ema = td.ema_update(ema, each, 0.9)
unrolled = 0.9**k * thetas[0] + 0.1 * (0.9 ** np.arange(k - 1, -1, -1)) @ thetas[1:]

directions = rng.standard_normal((20, network.size))
truths = np.array([by_complex_step(loss, theta, z) for z in directions])
worst = np.max(np.abs(directions @ g - truths)) / np.linalg.norm(g)

table = [
    ("⟨g, z⟩ against the complex step, worst of 20 directions", worst, 1e-13),
    ("⟨Jz, u⟩ against ⟨z, Jᵀu⟩", abs(forth / back - 1), 1e-12),
    ("Adam's first step against −lr g/(|g| + ε)", np.max(np.abs(first - exact_first)), 1e-14),
    (
        "Adam after 50 equal gradients against −50 lr sign(g)",
        np.max(np.abs(moved + k * 0.1 * np.sign(gradient))),
        1e-12,
    ),
    ("Adam on 1000 g against Adam on g", np.max(np.abs(loud - moved)), 1e-12),
    ("the average against its closed form", np.max(np.abs(ema - unrolled)), 1e-14),
]
print("what agrees with what                                     difference   allowed, for rounding")
for name, difference, allowed in table:
    print(f"{name:56s}   {difference:9.1e}   {allowed:.0e}")
    assert difference < allowed

# %% [markdown]
# One more, with an error that is not rounding: how much calmer the average is. Its standard error counts about one value
# in $1/(1-\rho)$ as independent.

# %%
a = 1 - rate
exact = (1 - decay) / (1 + decay) * (1 + a * decay) / (1 - a * decay)
late = slice(1000, None)
measured = np.var(average[late]) / np.var(trembling[late])
standard_error = exact * np.sqrt(2 * (1 + decay**2) / (1 - decay**2) / (n - 1000))
print(f"variance of the average over that of θ: {measured:.5f} ± {standard_error:.5f}, exactly {exact:.5f}")
assert abs(measured - exact) < 4 * standard_error
assert error(one_sided).min() > 1e-11  # no step makes a difference as good as the complex step
assert error(central).min() > 1e-14
assert max(healthy.values()) < 1e-13
assert max(broken.values()) > 1e-2

# %% [markdown]
# ## What you know now
#
# - A layer is a value and a pullback, $dy \mapsto J^\top dy$; the chain rule is pullbacks in reverse.
# - A directional derivative tests all parameters at once, and the complex step takes it to the last digit, since it
#   subtracts nothing.
# - A loss that falls does not prove a gradient.
# - Adam's step does not depend on the scale of the gradient: about its rate where gradients agree, shorter where they
#   contradict each other; its averages are corrected for their start at 0.
# - The moving average is a weighted mean of all steps so far, mostly of the last $1/(1-\rho)$: calmer, and late.
#
# **Next:** [7. Train it in 2D](07_train_in_2d.ipynb). We have a network, a loss and a gradient that we trust. How good
# does it get?
