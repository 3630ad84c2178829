"""The forward kernel: noising in one step, in many, and between any two times."""

from copy import deepcopy

import numpy as np
from hypothesis import given
from scipy import stats

import tinydiff as td
from identities.catalogue import identity
from identities.draws import generators, journeys, mixtures, preserving, shapes
from identities.tools import columns, kernel


def transitions(at_s, at_t, at_u):
    """(α, σ²) of q(x_t | x_s), of q(x_u | x_t) and of q(x_u | x_s)."""
    return td.transition(at_t, at_s), td.transition(at_u, at_t), td.transition(at_u, at_s)


def smeared(x, mean, var, noise, nodes=60):
    """∫ N(x; y, noise) N(y; mean, var) dy by Gauss–Hermite quadrature over the narrower of the two."""
    if var > noise:
        x, mean, var, noise = mean, x, noise, var
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return stats.norm.pdf(x, mean + np.sqrt(var) * z, np.sqrt(noise)) @ w / w.sum()


def characteristic(q, k):
    """E exp(i k·x) = Σ w exp(i k·m − ½ kᵀC k), its real and imaginary part."""
    phi = np.sum(q.weights * np.exp(1j * (q.means @ k) - 0.5 * (q.covariances @ k) @ k))
    return np.stack([phi.real, phi.imag])


@identity(8, td.transition, float64=1e-13, float32=1e-6)
@given(journey=journeys(3, zero=True))
def test_two_transitions_compose_to_one(hold, journey):
    r"""$\alpha_{u|s} = \alpha_{u|t} \alpha_{t|s}$ and $\sigma^2_{u|s} = \alpha^2_{u|t} \sigma^2_{t|s} + \sigma^2_{u|t}$

    For s < t < u: what is left of $x_s$ at t fades again on the way to u, with the noise that it took on. From data,
    $s = 0$, the kernel is $(\alpha_u, \sigma_u^2)$.

    Source: Kingma et al. 2021 (VDM), App. A.
    Catches: one α for two things, the signal's and the variance's; a ratio upside down.
    """
    process, (s, t, u) = journey
    at_s, at_t, at_u = columns(process, s, t, u, like=hold.cast([[0]]))
    (a_ts, v_ts), (a_ut, v_ut), (a_us, v_us) = transitions(at_s, at_t, at_u)
    hold(a_ut * a_ts, a_us)
    hold(a_ut**2 * v_ts + v_ut, v_us, scale=process.sigma(u) ** 2)
    hold(a_us * at_s.alpha, process.alpha(u))
    hold(a_us**2 * at_s.sigma**2 + v_us, process.sigma(u) ** 2)


@identity(9, td.transition, float64=1e-12, float32=3e-6)
@given(journey=journeys(2, zero=True))
def test_a_transition_gathers_what_comes_in_between(hold, journey):
    r"""$\sigma^2_{t|s} = \sigma_t^2 - \alpha^2_{t|s} \sigma_s^2$, which is $1 - \bar\alpha_t / \bar\alpha_s$ in a chain

    One step of a chain adds $\beta_t$. Many add up the β between s and t, each faded by the later ones. An SDE does so
    in every instant:
    $\alpha_{t|s} = \exp \int_s^t f$ and $\sigma^2_{t|s} = \int_s^t \alpha^2_{t|r}\, g^2(r)\, dr$.

    Source: Ho et al. 2020 (DDPM), eq. 2; Kingma et al. 2021 (VDM), App. A.
    Catches: a for a²; σ for σ²; β of the last step for the noise of many.
    """
    process, (s, t) = journey
    a, v = td.transition(*columns(process, t, s, like=hold.cast([[0]])))
    signal, noise = kernel(process, t, s)
    hold(a, signal)
    hold(v, noise, scale=process.sigma(t) ** 2)


@identity(10, td.transition, float64=1e-11, float32="quadrature is judged in double precision")
@given(journey=journeys(3, zero=True), rng=generators)
def test_chapman_kolmogorov(hold, journey, rng):
    r"""$q(x_u | x_s) = \int q(x_u | x_t)\, q(x_t | x_s)\, dx_t$ for s < t < u

    Noising is a Markov process: the way to u forgets how it came to t. The integral is taken numerically.

    Source: Sohl-Dickstein et al. 2015; the Chapman–Kolmogorov equation.
    Catches: kernels that belong to no Markov process, such as σ_t² for $\sigma^2_{t|s}$.
    """
    process, times = journey
    (a_ts, v_ts), (a_ut, v_ut), (a_us, v_us) = transitions(*map(process.at, times))
    x_s, z = rng.standard_normal(2)
    x_u = a_us * x_s + np.sqrt(v_us) * z
    integral = smeared(x_u, a_ut * a_ts * x_s, a_ut**2 * v_ts, v_ut)
    hold(stats.norm.pdf(x_u, a_us * x_s, np.sqrt(v_us)), integral)


@identity(11, td.Level.perturb, float64=1e-13, float32=1e-6)
@given(journey=journeys(1, of=preserving), shape=shapes)
def test_noising_at_once_is_noising_step_by_step(hold, journey, shape):
    r"""$x_t = f(x_0, \varepsilon)$ has $f(1, 0)^2 + f(0, 1)^2 = 1$, and takes t steps at once

    A black box that noises data gives its coefficients away when fed with ones and zeros. They must be those of the
    steps $x \leftarrow \sqrt{1 - \beta}\, x + \sqrt\beta\, \varepsilon$: of $x_0$, and of all the noises together.

    Source: Ho et al. 2020 (DDPM), eqs. 2 and 4.
    Catches: a missing square root; $\sqrt{1 - \beta_t}$ in place of the product $\sqrt{\bar\alpha_t}$.
    """
    process, (t,) = journey
    one, zero = hold.cast(np.ones(shape), np.zeros(shape))
    (now,) = columns(process, t, like=one)
    signal, noise = now.perturb(one, zero), now.perturb(zero, one)
    hold(signal**2 + noise**2, 1)
    if isinstance(process, td.Discrete):
        of_x0, of_noise = 1.0, []
        for beta in process.betas[: round(t * process.T)]:
            of_x0, of_noise = np.sqrt(1 - beta) * of_x0, [*(np.sqrt(1 - beta) * np.array(of_noise)), np.sqrt(beta)]
        hold(signal, of_x0)
        hold(noise, np.linalg.norm(of_noise))


@identity(12, td.GaussianMixture.diffused, float64=1e-11, float32=5e-5)
@given(journey=journeys(2, zero=True), data=mixtures(), line=mixtures(dims=(1, 1)), rng=generators)
def test_diffusing_rescales_and_then_convolves(hold, journey, data, line, rng):
    r"""$q_t(x) = \int N(x; \alpha y, \sigma^2)\, q_0(y)\, dy$; $\varphi_t(k) = \varphi_0(\alpha k) e^{-\sigma^2 k^2/2}$

    The law of $\alpha x_0 + \sigma \varepsilon$: the data shrink and are blurred. The characteristic function
    $\varphi(k) = E\, e^{ik \cdot x}$ makes a product of it. From s to t it goes by the transition's α and σ.

    Source: Sohl-Dickstein et al. 2015; Ho et al. 2020 (DDPM), eq. 4.
    Catches: "adding noise is a convolution", without the rescaling by α (that is VE); α for α² in the covariance.
    """
    process, (s, t) = journey
    now, then = process.at(t), process.at(s)
    alpha, sigma, (a, v) = now.alpha, now.sigma, td.transition(now, then)
    k = hold.cast(rng.standard_normal(data.dim))
    y, q = k.astype(float), data.cast(k[None])
    product = characteristic(data, alpha * y) * np.exp(-0.5 * sigma**2 * (y @ y))
    hold(characteristic(q.diffused(alpha, sigma), k), product, scale=1)
    hold(characteristic(q.diffused(then.alpha, then.sigma).diffused(a, v**0.5), k), product, scale=1)

    x = hold.cast(line.diffused(alpha, sigma).sample(rng, 1))
    components = zip(line.weights, line.means[:, 0], line.covariances[:, 0, 0], strict=True)
    integral = sum(w * smeared(float(x[0, 0]), alpha * m, alpha**2 * c, sigma**2) for w, m, c in components)
    hold(np.exp(line.diffused(alpha, sigma).log_density(x)), integral)


@identity(13, td.Level.perturb, float64=1e-13, float32=2e-6)
@given(journey=journeys(4, zero=True), shape=shapes, rng=generators)
def test_a_vector_of_times_is_a_loop_over_rows(hold, journey, shape, rng):
    r"""$f(x, t, \varepsilon)_i = f(x_i, t_i, \varepsilon_i)$, and the same noise gives the same result

    A batch holds rows at times of their own, as in training. Rows do not mix, nothing random happens inside, and the
    inputs are left alone.

    Source: a contract of code, not of a paper.
    Catches: hidden random state; times broadcast along the wrong axis.
    """
    process, times = journey
    s, t = np.transpose([np.sort(rng.choice(times, 2, replace=False)) for _ in range(shape[0])])
    x0, x = hold.cast(rng.standard_normal((2, *shape)))
    inputs = deepcopy((s, t, x0, x))

    def answers(s, t, x0, x):
        now, then = process.at(t, like=x), process.at(s, like=x)
        between = (*td.transition(now, then), *td.posterior(now, then))
        return process.at(t).perturb(x0, x), now.perturb(x0, x), *(c * x for c in between)

    rows = [answers(s[i].item(), t[i].item(), x0[i : i + 1], x[i : i + 1]) for i in range(shape[0])]
    for every, again, *each in zip(answers(s, t, x0, x), answers(s, t, x0, x), *rows, strict=True):
        assert np.array_equal(every, again)
        hold(every, np.concatenate(each), scale=np.max(np.abs(each)))
    assert all(map(np.array_equal, (s, t, x0, x), inputs))
