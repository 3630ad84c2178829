"""Langevin, guidance, preconditioning, measurements: steps along a score, sums of scores, and what moves a denoiser."""

from functools import partial

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinydiff as td
from identities.catalogue import identity
from identities.draws import generators, mixtures, processes, sdes, times
from identities.tools import complex_step, gradient, log_density, log_normal, trapezoid
from tinydiff.learned.denoiser import network_inputs
from tinydiff.learned.objective import edm_weight, loss_and_grad
from tinydiff.predictions import target, to_eps, to_x0
from tinydiff.sampling.predictor_corrector import langevin_step

FUNCTIONS = [  # f′ and f″ of x², x³, sin and tanh
    (lambda x: 2 * x, lambda x: 2 + 0 * x),
    (lambda x: 3 * x**2, lambda x: 6 * x),
    (np.cos, lambda x: -np.sin(x)),
    (lambda x: 1 - np.tanh(x) ** 2, lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)),
]


@st.composite
def scenes(draw) -> tuple[td.GaussianMixture, td.Oracle, float, float, float, np.ndarray]:
    """A mixture of one to three classes, its denoiser, a time and its α and σ, and points (5, D) drawn from q_t."""
    m, process, rng = draw(mixtures()), draw(processes), draw(generators)
    data = td.GaussianMixture(m.weights, m.means, m.covariances, np.arange(len(m.weights)) % 3)
    now = process.at(draw(times(process))[0])
    x = now.perturb(data.sample(rng, 5), rng.standard_normal((5, m.dim)))
    return data, td.Oracle(data, process), now.t, float(now.alpha), float(now.sigma), x


def of_class(data: td.GaussianMixture, y: int) -> tuple[float, td.GaussianMixture]:
    """p(y) and the law q(x_0 | y)."""
    keep = data.labels == y
    p = data.weights[keep].sum()
    return p, td.GaussianMixture(data.weights[keep] / p, data.means[keep], data.covariances[keep])


@identity(64, langevin_step, float64=1e-12, float32=2e-6)
@given(data=mixtures(dims=(1, 1)), process=sdes, log_snr=st.floats(-3, 4), snr=st.floats(0.05, 0.5))
def test_langevin_keeps_a_law_only_in_the_limit(hold, data, process, log_snr, snr):
    r"""$\mathbb E_q[\Delta f + \nabla\log q\cdot\nabla f] = 0$; but steps δ turn $N(0,c)$ into $N(0,\,c/(1-\delta/2c))$

    A step $x + \delta\,\nabla\log q(x) + \sqrt{2\delta}\,z$ changes the mean of any f by δ times the first expression,
    and by terms in δ²: infinitely small steps leave q as it is, finite ones settle on a law that is wider.

    Source: Roberts & Tweedie 1996 (Langevin algorithms); Song et al. 2021 (score SDE), Alg. 4–5 (the corrector).
    Catches: √δ for √(2δ), which cools the law; the wrong sign of the score; ε̂ taken for the score.
    """
    t = min(float(process.time(log_snr)), process.t_max)
    now, alpha, sigma = process.at(t), float(process.alpha(t)), float(process.sigma(t))
    delta = 2 * (snr * sigma) ** 2

    # the step's drift and noise, at the nodes of an integral over q_t
    q = td.GaussianMixture(data.weights, alpha * data.means, alpha**2 * data.covariances + sigma**2)
    x, w = hold.cast(*trapezoid(q, 800))
    eps_hat = td.Oracle(data, process)(x, now)
    still, moved = (langevin_step(x, eps_hat, now, z + 0 * x, snr) for z in (0, 1))
    drift, noise = still - x, moved - still
    for slope, curvature in FUNCTIONS:
        change = 0.5 * noise**2 * curvature(x) + drift * slope(x)
        hold(w @ change, 0, scale=w @ np.abs(noise**2 * curvature(x)) + w @ np.abs(x * slope(x)))

    # one Gaussian: the step is x ↦ a x + b z + c, and a law of variance a² var + b² = var stays
    m, var = 0.5, alpha**2 * 0.4 + sigma**2
    gaussian = td.Oracle(td.GaussianMixture([1.0], [[m]], [[[0.4]]]), process)
    x, z = hold.cast([[0.0], [1.0], [0.0]], [[0.0], [0.0], [1.0]])
    c, a_c, b_c = langevin_step(x, gaussian(x, now), now, z, snr)[:, 0]
    a, b = a_c - c, b_c - c
    wider = var / (1 - delta / (2 * var))
    hold(a**2 * wider + b**2, wider)
    hold(a * alpha * m + c, alpha * m)


@identity(65, td.Oracle.grad_log_p, float64=1e-12, float32=8e-6)
@given(scene=scenes())
def test_a_class_adds_the_gradient_of_its_probability_to_the_score(hold, scene):
    r"""$\nabla\log q(x|y) - \nabla\log q(x) = \nabla\log p(y|x)$, whose mean over $y$ given $x$ is 0

    Bayes' rule under a gradient: what a perfect classifier of noisy points says is the difference of two scores. The
    unconditional score is the mean of the conditional ones, each as often as its class is likely at x.

    Source: Dhariwal & Nichol 2021 (classifier guidance), §4; Ho & Salimans 2022 (classifier-free guidance), §3.
    Catches: the sign of the push; class weights that are not normalised, or left out of $p(y|x)$.
    """
    (data, model, t, alpha, sigma, x), x_cast = scene, hold.cast(scene[-1])
    size = (1 + np.max(np.abs(x))) ** 2 / sigma**3  # of scores times log-odds, which cancel

    def log_joint(x, y):
        p, law = of_class(data, y)
        return np.log(p) + log_density(law, x, alpha, sigma)

    log_q = partial(log_density, data, alpha=alpha, sigma=sigma)
    score = td.score(model, x_cast, t)
    p, average = np.exp(model.log_p(x_cast, t)), 0.0
    for i, y in enumerate(np.unique(data.labels)):
        push = gradient(partial(log_joint, y=y), x) - gradient(log_q, x)
        hold(model.grad_log_p(y)(x_cast, t), push, scale=size)
        hold(td.score(model.given(y), x_cast, t) - score, push, scale=size)
        average += p[:, i : i + 1] * td.score(model.given(y), x_cast, t)
    hold(average, gradient(log_q, x), scale=size)


@identity(66, td.ClassifierFreeGuidance.__call__, float64=1e-12, float32=2e-6)
@given(scene=scenes(), w=st.sampled_from([-1.0, 0.0]) | st.floats(-1, 5))
def test_guidance_has_the_score_of_a_tilted_law_at_each_time(hold, scene, w):
    r"""$(1+w)\,\hat\varepsilon_c - w\,\hat\varepsilon_u = -\sigma\,\nabla\log\,[q_c^{1+w}\,q_u^{-w}]$ at a fixed time

    w = 0 is the conditional model and w = −1 the unconditional one; a classifier on the unconditional model pushes as
    far with the weight 1 + w. Of two Gaussians of precisions $p_c$ and $p_u$ the tilted law is the one of precision
    $(1+w)\,p_c - w\,p_u$, where that is positive. Tilted laws of different times are no diffusion of one another, so
    that samples follow none.

    Source: Ho & Salimans 2022 (classifier-free guidance), eq. 6; by a classifier: Dhariwal & Nichol 2021, Alg. 2.
    Catches: w counted from 1 and not from 0; c and u exchanged; σ left out of a classifier's push, or its sign.
    """
    (data, model, t, alpha, sigma, x), x_cast = scene, hold.cast(scene[-1])
    size = (1 + abs(w)) * ((1 + np.max(np.abs(x))) / sigma) ** 2  # of the noise times log-odds, which cancel
    _, law = of_class(data, 0)

    def log_tilted(x):
        return (1 + w) * log_density(law, x, alpha, sigma) - w * log_density(data, x, alpha, sigma)

    expected = -sigma * gradient(log_tilted, x)
    hold(td.ClassifierFreeGuidance(model.given(0), model, w)(x_cast, t), expected, scale=size)
    hold(td.ClassifierGuidance(model, model.grad_log_p(0), 1 + w)(x_cast, t), expected, scale=size)

    # two Gaussians, the first component and the last
    ends = [td.GaussianMixture([1.0], data.means[[k]], data.covariances[[k]]) for k in (0, -1)]
    p_c, p_u = (np.linalg.inv(alpha**2 * each.covariances[0] + sigma**2 * np.eye(data.dim)) for each in ends)
    precision = (1 + w) * p_c - w * p_u
    centre = alpha * ((1 + w) * p_c @ data.means[0] - w * p_u @ data.means[-1])  # times the precision
    guided = td.ClassifierFreeGuidance(*(td.Oracle(each, model.process) for each in ends), w)
    hold(guided(x_cast, t), sigma * (x @ precision - centre), scale=size)


@identity(67, to_x0, float64=1e-12, float32=2e-6)
@given(drawn=st.data(), process=processes, d=st.floats(0.1, 10))
def test_preconditioning_gives_a_network_unit_variance(hold, drawn, process, d):
    r"""$D(y) = c_{skip}\,y + c_{out}\,F(c_{in}\,y)$ gives F inputs and targets of variance 1; at d = 1 they are $-v$

    EDM's denoiser of $y = x/\alpha$ at the noise level $u = \sigma/\alpha$, for data of variance $d^2$:

    $$c_{in} = \frac{1}{\sqrt{d^2+u^2}},\ \ c_{skip} = \frac{d^2}{d^2+u^2},\ \ c_{out} = \frac{ud}{\sqrt{d^2+u^2}}$$

    This $c_{skip}$ makes $c_{out}^2$, by which errors of F are multiplied, as small as it can be; and with the weight
    $1/c_{out}^2$ a fresh network, F = 0, has the loss 1 at every level. For data of variance 1 it is v-prediction,
    with the sign changed, on any process.

    Source: Karras et al. 2022 (EDM), App. B.6; v: Salimans & Ho 2022 (progressive distillation), App. D.
    Catches: VE's coefficients without α² + σ²; the scale of the data forgotten; a root too few or too many.
    """
    t = drawn.draw(times(process, 1))[0]
    a, s = float(process.alpha(t)), float(process.sigma(t))
    u = s / a
    x0, eps = hold.cast([[d], [d], [-d], [-d]], [[1], [-1], [1], [-1]])  # of variance d² and 1, uncorrelated
    now = process.at(np.full(4, t), like=x0)
    x = now.perturb(x0, eps)
    skip, out = to_x0("edm", now, d)
    f = target("edm", x0, eps, now, d)

    # EDM's coefficients, by its own formulas
    seen = network_inputs(x, now, d)[0]
    hold(seen, (x0 + u * eps) / (d**2 + u**2) ** 0.5, scale=1)
    hold(skip, d**2 / (d**2 + u**2) / a)
    hold(out, u * d / (d**2 + u**2) ** 0.5)
    hold(skip * x + out * f, x0, scale=d)
    for rule in (to_eps, to_x0):
        hold(rule("edm", now)[1], -rule("v", now)[1])
    hold(target("edm", x0, eps, now), -target("v", x0, eps, now), scale=1 + d)

    # what they are for
    def variance(c):
        """That of x_0 − c x."""
        return (d * (1 - c * a)) ** 2 + (c * s) ** 2

    hold(np.mean(seen**2), 1)
    hold(np.mean(f**2), 1)
    hold(out**2, variance(skip[0].item()))
    hold(complex_step(variance, skip[0].item()), 0, scale=2 * a * d**2)
    network, weight = td.TimeMLP(1, 2, 1, prediction="edm", sigma_data=d), partial(edm_weight, sigma_data=d)
    fresh = network.init(np.random.default_rng(0), hold.dtype)
    hold(loss_and_grad(network, fresh, now, x0, eps, weight=weight)[0], 1)


@identity(74, td.GaussianMixture.conditioned, float64=1e-11, float32=2e-5)
@given(rough=mixtures(), rng=generators, tau=st.floats(0.1, 3))
def test_the_posterior_of_a_measurement_is_a_mixture(hold, rough, rng, tau):
    r"""$\log q(x|y) = \log q(x) + \log N(y;\,Ax,\,\tau^2 I) - \log p(y)$ is a mixture, for $y = Ax + \tau n$

    Each component is conditioned as a Gaussian is, and gets the weight of its own evidence,
    $w_k\,N(y;\,Am_k,\,AC_kA^\top + \tau^2 I)$; their sum is $p(y)$. Without noise every draw measures $y$ exactly.

    Source: Bishop 2006, §2.3.3 (Bayes' theorem for Gaussian variables).
    Catches: τ for τ²; weights that forget the evidence, or its determinant; a gain in the place of its complement.
    """
    q = rough.diffused(1.0, 0.3)
    A, x = rng.standard_normal((2, q.dim)), q.sample(rng, 5)
    y = A @ q.sample(rng, 1)[0] + tau * rng.standard_normal(2)
    measured = td.GaussianMixture(q.weights, q.means @ A.T, A @ q.covariances @ A.T + tau**2 * np.eye(2))
    prior, noise, evidence = log_density(q, x), log_normal(y - x @ A.T, 0.0, tau**2), log_density(measured, y[None])
    scale = 1 + np.abs(prior) + np.abs(noise) + np.abs(evidence) + np.sum((x / 0.3) ** 2, axis=1)
    hold(q.conditioned(A, y, tau).log_density(hold.cast(x)), prior + noise - evidence, scale=scale)

    exact = hold.cast(q.conditioned(A[:1], y[:1]).sample(rng, 5))
    hold(exact @ hold.cast(A[0]), y[0], scale=np.abs(exact) @ np.abs(A[0]))


@identity(75, td.MeasurementGuidance.x0, float64=1e-9, float32=1e-3)
@given(process=sdes, log_snr=st.floats(-2, 3), rng=generators, tau=st.floats(0.2, 2))
def test_on_one_gaussian_the_kalman_update_of_a_denoiser_is_the_posteriors(hold, process, log_snr, rng, tau):
    r"""$\hat x_0 + \mathrm{Cov}A^\top(A\Sigma A^\top + \tau^2 I)^{-1}(y - A\hat x_0) = E[x_0|x_t,y]$ on one Gaussian

    Where $\Sigma = \mathrm{Cov} = (\sigma^2/\alpha)\,\partial\hat x_0/\partial x$ is the covariance of $x_0$ given
    $x_t$, which there does not depend on $x_t$. With $\Sigma = \sigma^2/(\alpha^2+\sigma^2)\,I$ it holds on $N(0, I)$.

    Source: Boys et al. 2023 (TMPD), §3; Rozet et al. 2024 (MMPS), §4; Song et al. 2023 (ΠGDM), eq. 8.
    Catches: the sign of the innovation; τ for τ²; the covariance without σ²/α; conjugate gradients one step short.
    """
    t = min(float(process.time(log_snr)), process.t_max)
    A, y, root = rng.standard_normal((2, 3)), rng.standard_normal(2), rng.standard_normal((3, 3))
    normal = td.GaussianMixture([1.0], rng.standard_normal((1, 3)), [root @ root.T / 3 + 0.2 * np.eye(3)])
    standard = td.GaussianMixture([1.0], np.zeros((1, 3)), [np.eye(3)])
    for data, covariance in ((normal, "mmps"), (standard, "pigdm")):
        x = hold.cast(process.at(t).perturb(data.sample(rng, 4), rng.standard_normal((4, 3))))
        guided = td.MeasurementGuidance(td.Oracle(data, process), A, y, tau, covariance)
        exact = td.Oracle(data.conditioned(A, y, tau), process)
        hold(guided.x0(x, t), exact.x0(x, t), scale=1 + np.max(np.abs(exact.x0(x, t))))
