"""The forward processes: what α, σ, f and g² must satisfy, whatever the schedule.

The expected value comes by another road than the library's: 50-digit arithmetic from the papers' definitions, one-step
kernels composed one by one, Bayes' rule by precisions, complex-step derivatives. Algebra is held to 1e-12 relative.
"""

import math
from decimal import Decimal, localcontext

import array_api_strict as strict
import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, special, stats

from tinydiff.backend import to_numpy
from tinydiff.processes import SDE, VE, VP, Cosine, Discrete, Process, Straight, SubVP

SDES = {repr(p): p for p in (VP(), VP(0.1, 40.0), VP(2.0, 2.0), SubVP(), VE(), Cosine(), Straight())}
RISING = {"linear": Discrete.linear, "quadratic": Discrete.quadratic, "sigmoid": Discrete.sigmoid}
CHAINS = {
    "linear 25": Discrete.linear(25),
    "linear 1000": Discrete.linear(1000),
    "quadratic 100": Discrete.quadratic(100),
    "sigmoid 100": Discrete.sigmoid(100),
    "cosine 4": Discrete.cosine(4),
    "cosine 1000": Discrete.cosine(1000),
    "linear 25, zero SNR": Discrete.linear(25).zero_terminal_snr(),
    "cosine 1000, zero SNR": Discrete.cosine(1000).zero_terminal_snr(),
    "linear 10, far from noise": Discrete.linear(10, rescale=False),
}
PROCESSES = SDES | CHAINS


def over(processes: dict[str, Process]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("process", processes.values(), ids=processes)


every_sde, every_chain, every_process = over(SDES), over(CHAINS), over(PROCESSES)

examples = settings(deadline=None, derandomize=True, print_blob=True, max_examples=60)
some_betas = st.lists(st.floats(1e-6, 0.999), min_size=1, max_size=20).map(np.array)

DEVICE = strict.Device("device1")
BACKENDS = {
    "strict": lambda a: strict.asarray(np.asarray(a), device=DEVICE),
    "torch": lambda a: pytest.importorskip("torch").asarray(np.array(a)),
}
on_other_backends = pytest.mark.parametrize("asarray", BACKENDS.values(), ids=BACKENDS)


def times(process: Process, rng, n: int = 40) -> np.ndarray:
    """n times in [t_min, t_max] with both ends, at which the process is defined, (n,)."""
    if isinstance(process, Discrete):
        return np.append(rng.integers(1, process.T + 1, n - 2), [1, process.T]) / process.T
    return np.append(rng.uniform(process.t_min, process.t_max, n - 2), [process.t_min, process.t_max])


def increasing(process: Process, rng, k: int, n: int = 40) -> list[np.ndarray]:
    """k times s < t < ... for each of n rows, k × (n,); with s = 0 in the first row."""
    if isinstance(process, Discrete):
        ts = np.sort([rng.choice(process.T, k, replace=False) + 1 for _ in range(n)]) / process.T
    else:
        ts = np.sort(rng.uniform(process.t_min, process.t_max, (n, k)))
    ts[0, 0] = 0
    return list(ts.T)


def exact(process: Process, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(α, σ²) at each time in 50 digits, from the definitions in the papers; two object arrays of mpmath numbers."""
    if isinstance(process, Discrete):
        alpha_bar = [mp.mpf(1)]
        for beta in process.betas:
            alpha_bar.append(alpha_bar[-1] * (1 - mp.mpf(beta)))
        pairs = [(mp.sqrt(alpha_bar[n]), 1 - alpha_bar[n]) for n in np.rint(t * process.T).astype(int)]
    else:
        pairs = [_exact(process, mp.mpf(float(u))) for u in t]
    return tuple(np.array(column, dtype=object) for column in zip(*pairs, strict=True))


def _exact(process: SDE, t: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    match process:
        case VP(beta_min=low, beta_max=high):  # and SubVP
            b = t * (2 * low + t * (mp.mpf(high) - low)) / 2  # the area of a trapezium
            return mp.exp(-b / 2), (1 - mp.exp(-b)) ** (2 if isinstance(process, SubVP) else 1)
        case VE(sigma_min=low, sigma_max=high):
            return mp.mpf(1), low**2 * ((mp.mpf(high) / low) ** (2 * t) - 1)
        case Cosine():
            return mp.cos(mp.pi * t / 2), mp.sin(mp.pi * t / 2) ** 2
        case Straight():
            return 1 - t, t**2


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


def as_float(x) -> np.ndarray:
    return np.asarray(x, dtype=np.float64)


def derivative(f, t: np.ndarray) -> np.ndarray:
    """df/dt by complex step: exact to rounding, unlike a finite difference."""
    return np.imag(f(t + 1e-30j)) / 1e-30


def normal_kl(m1, v1, m2, v2):
    """KL(N(m1, v1) ‖ N(m2, v2)) in nats for each coordinate."""
    return 0.5 * (np.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1)


# Schedules: α, σ and the log-SNR


@every_process
def test_alpha_and_sigma_are_the_papers_in_fifty_digits(process, rng):
    """α and σ² from the definitions. Catches 1 − ᾱ by subtraction (cancellation), and α for α².

    Early times are included: there 1 − ᾱ by cumprod, or VE's σ² without expm1, keeps half the digits.
    """
    t = times(process, rng)
    if isinstance(process, SDE):
        t = np.append(t, [1e-7, 1e-5])
    alpha, variance = exact(process, t)
    assert_allclose(process.alpha(t), as_float(alpha), rtol=1e-12, atol=1e-300)
    assert_allclose(process.sigma(t) ** 2, as_float(variance), rtol=1e-12)


@every_process
def test_log_snr_is_the_logit_of_the_signal_variance(process, rng):
    """α²/(α² + σ²) = sigmoid(λ) and σ²/(α² + σ²) = sigmoid(−λ) [VDM 3–4]. DPM-Solver's λ is half of this one."""
    t = times(process, rng)
    alpha, variance = exact(process, t)
    assert_allclose(special.expit(process.log_snr(t)), as_float(alpha**2 / (alpha**2 + variance)), rtol=1e-11)
    assert_allclose(special.expit(-process.log_snr(t)), as_float(variance / (alpha**2 + variance)), rtol=1e-11)


@every_process
def test_data_are_untouched_at_time_zero(process):
    assert process.alpha(0) == 1
    assert process.sigma(0) == 0
    assert process.log_snr(0) == np.inf


@over({name: p for name, p in PROCESSES.items() if not isinstance(p, SubVP | VE | Straight)})
def test_variance_is_preserved(process, rng):
    """α² + σ² = 1, found by probing perturb: f(1, 0)² + f(0, 1)² = 1. Catches a missing square root."""
    t, one, zero = times(process, rng), np.ones((40, 1)), np.zeros((40, 1))
    assert_allclose(process.perturb(one, t, zero) ** 2 + process.perturb(zero, t, one) ** 2, 1, rtol=1e-14)


@every_process
def test_log_snr_falls(process):
    """Time runs towards noise: λ decreases strictly from data to noise."""
    t = np.arange(process.T + 1) / process.T if isinstance(process, Discrete) else np.linspace(0, process.t_max, 99)
    assert np.all(np.diff(process.log_snr(t)[1:]) < 0)


@examples
@given(some_betas)
def test_noise_variance_is_the_sum_of_the_faded_steps(betas):
    """1 − ᾱ_n = Σ_{m ≤ n} β_m ∏_{r = m+1..n} (1 − β_r) [DDPM 4]: what each step adds, and the later ones fade."""
    process = Discrete(betas)
    for n in range(process.T + 1):
        faded = sum(betas[m] * math.prod(1 - betas[m + 1 : n]) for m in range(n))
        assert_allclose(process.sigma(n / process.T) ** 2, faded, rtol=1e-13)


@pytest.mark.parametrize("beta", [1e-9, 1e-12, 3e-5])
def test_tiny_betas_keep_their_digits(beta):
    """1 − ∏(1 − β) against 50-digit Decimal; 1 − cumprod loses 2.7e-8 of it at β = 1e-9."""
    process = Discrete(np.full(5, beta))
    with localcontext(prec=50):
        expected = [float(1 - (1 - Decimal(beta)) ** n) for n in range(1, 6)]
    assert_allclose(process.sigma(np.arange(1, 6) / 5) ** 2, expected, rtol=1e-15)


@pytest.mark.parametrize("T", [21, 25, 100, 1000])
@pytest.mark.parametrize("name", ["linear", "quadratic", "sigmoid"])
def test_betas_rise_as_their_name_says(name, T):
    """β, √β or logit(β) rises in equal steps between the ends [DDPM §4; DDIM, App. D], all times 1000/T.

    Catches an end point left out of the spacing, and a schedule meant for T = 1000 used as it stands at another T.
    """
    first, last = (1e-4, 0.02) if name != "sigmoid" else (1e-4 + 0.0199 * special.expit([-6, 6]))
    straighten = {"linear": np.asarray, "quadratic": np.sqrt, "sigmoid": lambda b: special.logit((b - 1e-4) / 0.0199)}
    betas = RISING[name](T).betas * (T / 1000)
    assert_allclose(betas[[0, -1]], [first, last], rtol=1e-12)
    straight = straighten[name](betas)
    assert_allclose(np.diff(straight), (straight[-1] - straight[0]) / (T - 1), rtol=1e-7)


@pytest.mark.parametrize("make", RISING.values(), ids=RISING)
def test_rescaled_betas_end_at_the_same_noise_for_every_T(make):
    """Σβ is the same for every T up to O(1/T), so ln ᾱ_T is; unscaled β leave ᾱ_T = .6 at T = 50."""
    assert_allclose(make(200).betas.sum(), make(1000).betas.sum(), rtol=0.01)
    assert_array_equal(make(1000).betas, make(1000, rescale=False).betas)
    assert_allclose(make(50, rescale=False).betas * 20, make(50).betas, rtol=1e-14)
    assert make(50, rescale=False).alpha(1.0) > 0.7 > 0.02 > make(50).alpha(1.0)


@pytest.mark.parametrize("T", [4, 25, 1000])
@pytest.mark.parametrize("s", [0.008, 0.1])
def test_cosine_chain_follows_its_formula_until_the_clip(T, s):
    """∏(1 − β) = f(n)/f(0) for n < T, and .001 ᾱ_{T−1} at T [Nichol & Dhariwal 17]. Catches a lost clip."""
    process, n = Discrete.cosine(T, s), np.arange(T + 1)
    f = [mp.cos(mp.pi / 2 * (mp.mpf(int(k)) / T + s) / (1 + mp.mpf(s))) ** 2 for k in n]
    alpha_bar = process.alpha(n / T) ** 2
    assert_allclose(alpha_bar[:-1], as_float([value / f[0] for value in f[:-1]]), rtol=1e-10)
    assert_allclose(alpha_bar[-1], 0.001 * alpha_bar[-2], rtol=1e-12)


@pytest.mark.parametrize("T", [4, 25, 1000])
def test_cosine_chain_without_offset_is_the_cosine_process(T):
    """With s = 0 the log-SNR is −2 ln tan(πt/2) at every step but the clipped last."""
    t = np.arange(1, T) / T
    assert_allclose(Discrete.cosine(T, s=0).log_snr(t), Cosine().log_snr(t), rtol=0, atol=1e-9)


def test_the_chain_converges_to_the_sde_at_order_one():
    """β_n = β(n/N)/N tends to VP: the error of ln ᾱ(1) halves as N doubles [Song et al. 33]. Catches a lost 1/N."""
    sde, sizes = VP(), 250 * 2 ** np.arange(4)
    errors = [np.log(Discrete(sde.beta(np.arange(1, N + 1) / N) / N).alpha(1) / sde.alpha(1)) for N in sizes]
    slopes = -np.diff(np.log(np.abs(errors))) / np.log(2)
    assert_allclose(slopes, 1, atol=0.15)


@every_chain
def test_zero_terminal_snr_shifts_and_scales(process):
    """√ᾱ' = c (√ᾱ − √ᾱ_T) from n = 1 on, with √ᾱ'_T = 0 exactly and √ᾱ'_1 = √ᾱ_1 [Lin et al. 2023, Alg. 1]."""
    t = np.arange(1, process.T + 1) / process.T
    before, after = process.alpha(t), process.zero_terminal_snr().alpha(t)
    assert after[-1] == 0
    assert_allclose(after[0], before[0], rtol=1e-14)
    assert_allclose(after, before[0] / (before[0] - before[-1]) * (before - before[-1]), rtol=1e-9, atol=1e-14)
    assert_array_equal(process.alpha(t), before)  # the chain it was made from is left alone


def test_one_step_cannot_keep_its_signal_and_lose_it():
    with pytest.raises(ValueError, match="T"):
        Discrete.cosine(1).zero_terminal_snr()


# The forward kernel


@every_chain
def test_adjacent_steps_are_the_chain(process):
    """a = √(1 − β_n) and v = β_n for s = (n − 1)/T, t = n/T, n = 1 included [DDPM 2; VDM, App. A]. Off by one shows."""
    n = np.arange(1, process.T + 1)
    a, v = process.transition(n / process.T, (n - 1) / process.T)
    assert_allclose(a, np.sqrt(1 - process.betas), rtol=1e-12)
    assert_allclose(v, process.betas, rtol=1e-12)


@over({name: p for name, p in CHAINS.items() if p.T <= 100})
def test_many_steps_in_one_are_the_steps_one_by_one(process):
    """perturb at n/T equals n noisings x ← √(1 − β) x + √β ε, followed by x's coefficients of x_0, ε_1, ε_2, ...

    [DDPM 2, 4]. Catches α_n = √(1 − β_n) in place of the product.
    """
    x = np.eye(process.T + 1)[0]
    for n, beta in enumerate(process.betas, start=1):
        x = math.sqrt(1 - beta) * x + math.sqrt(beta) * np.eye(process.T + 1)[n]
        assert_allclose(process.perturb(np.ones(1), n / process.T, np.zeros(1)), x[0], rtol=1e-12, atol=1e-15)
        assert_allclose(process.perturb(np.zeros(1), n / process.T, np.ones(1)), np.linalg.norm(x[1:]), rtol=1e-12)


@every_process
def test_transition_is_the_kernel_between_two_times(process, rng):
    """a = α_t/α_s and v = σ_t² − a²σ_s² in 50 digits [VDM, App. A]. Catches a in place of a²."""
    s, t = increasing(process, rng, 2)
    (alpha_s, var_s), (alpha_t, var_t) = exact(process, s), exact(process, t)
    a, v = process.transition(t, s)
    assert_allclose(a, as_float(alpha_t / alpha_s), rtol=1e-12)
    assert_allclose(v, as_float(var_t - (alpha_t / alpha_s) ** 2 * var_s), rtol=1e-11)


@every_process
def test_two_transitions_compose_to_one(process, rng):
    """a_{u|s} = a_{u|t} a_{t|s} and v_{u|s} = a²_{u|t} v_{t|s} + v_{u|t} for s < t < u [VDM, App. A]."""
    s, t, u = increasing(process, rng, 3)
    (a_ts, v_ts), (a_ut, v_ut), (a_us, v_us) = (process.transition(*pair) for pair in ((t, s), (u, t), (u, s)))
    assert_allclose(a_us, a_ut * a_ts, rtol=1e-12)
    assert_allclose(v_us, a_ut**2 * v_ts + v_ut, rtol=1e-11)


@every_process
def test_a_vector_of_times_is_the_loop_over_rows(process, rng):
    """Rows do not mix, the same noise gives the same result, and inputs are left alone. Catches hidden state."""
    s, t = increasing(process, rng, 2, n=6)
    x0, eps = rng.standard_normal((2, 6, 3, 2))
    calls = [
        lambda i: process.perturb(x0[i], t[i], eps[i]),
        lambda i: process.transition(t[i], s[i])[1],
        lambda i: process.posterior(eps[i], x0[i], t[i], s[i])[0],
        lambda i: process.posterior(eps[i], x0[i], t[i], s[i])[1],
        lambda i: process.log_snr(t[i]),
    ]
    inputs = [a.copy() for a in (s, t, x0, eps)]
    for call in calls:
        once = call(slice(None))
        assert once.shape[:1] == (6,)
        assert_array_equal(call(slice(None)), once)
        assert_allclose(np.stack([np.asarray(call(i)) for i in range(6)]), once, rtol=1e-14)
    for a, before in zip((s, t, x0, eps), inputs, strict=True):
        assert_array_equal(a, before)


# The posterior


@every_process
def test_posterior_is_bayes_rule_by_precisions(process, rng):
    """1/var = a²/v + 1/σ_s², mean = var (a x/v + α_s x_0/σ_s²): the product of two Gaussians in x_s [DDPM 6–7].

    On adjacent steps this is 1/β̃_n = (1 − β_n)/β_n + 1/(1 − ᾱ_{n−1}).
    """
    s, t = (u[1:] for u in increasing(process, rng, 2))
    x, x0 = rng.standard_normal((2, *s.shape, 3))
    (alpha_s, var_s), (alpha_t, var_t) = exact(process, s), exact(process, t)
    a, v = alpha_t / alpha_s, var_t - (alpha_t / alpha_s) ** 2 * var_s
    precision = a**2 / v + 1 / var_s
    mean, var = process.posterior(x, x0, t, s)
    assert_allclose(var, as_float(1 / precision), rtol=1e-11)
    expected = as_float(a / v / precision)[:, None] * x + as_float(alpha_s / var_s / precision)[:, None] * x0
    assert_allclose(mean, expected, rtol=1e-11, atol=1e-11)


@every_process
def test_posterior_is_bayes_rule_pointwise(process, rng):
    """ln q(x_s|x_t,x_0) = ln q(x_t|x_s) + ln q(x_s|x_0) − ln q(x_t|x_0) at any three points [DDPM 6–7]."""
    s, t = (u[1:] for u in increasing(process, rng, 2))
    x0, z, w = rng.standard_normal((3, *s.shape))
    x_s = process.perturb(x0, s, z)
    a, v = process.transition(t, s)
    x_t = a * x_s + np.sqrt(v) * w
    mean, var = process.posterior(x_t, x0, t, s)
    log_q = lambda x, mean, var: stats.norm.logpdf(x, mean, np.sqrt(var))  # noqa: E731
    bayes = log_q(x_t, a * x_s, v) + log_q(x_s, process.alpha(s) * x0, process.sigma(s) ** 2)
    bayes -= log_q(x_t, process.alpha(t) * x0, process.sigma(t) ** 2)
    assert_allclose(log_q(x_s, mean, var), bayes, rtol=1e-9, atol=1e-9)


@examples
@given(some_betas, st.data())
def test_strided_posterior_of_any_chain_comes_from_its_single_steps(betas, data):
    """Kernels from n to m > n composed one by one, then Bayes' rule [VDM, App. A]. Catches β_t in a strided sampler."""
    T = len(betas)
    n = data.draw(st.integers(0, T - 1))
    m = data.draw(st.integers(n + 1, T))
    gain, before, a, v = 1.0, 0.0, 1.0, 0.0
    for k, beta in enumerate(betas[:m]):
        if k < n:
            gain, before = gain * math.sqrt(1 - beta), (1 - beta) * before + beta
        else:
            a, v = a * math.sqrt(1 - beta), (1 - beta) * v + beta
    noise = a**2 * before + v
    c_t, c_0, var = Discrete(betas).posterior_coefficients(m / T, n / T)
    assert_allclose(c_t, a * before / noise, rtol=1e-9)
    assert_allclose(c_0, gain * v / noise, rtol=1e-9)
    assert_allclose(var, v * before / noise, rtol=1e-9)


@every_process
def test_posterior_agrees_with_the_marginal(process, rng):
    """c_0 + c_t α_t = α_s and var + c_t² σ_t² = σ_s²: averaging q(x_s|x_t,x_0) over q(x_t|x_0) gives q(x_s|x_0)."""
    s, t = increasing(process, rng, 2)
    c_t, c_0, var = process.posterior_coefficients(t, s)
    assert_allclose(c_0 + c_t * process.alpha(t), process.alpha(s), rtol=1e-12)
    assert_allclose(var + c_t**2 * process.sigma(t) ** 2, process.sigma(s) ** 2, rtol=1e-12)


@every_process
def test_the_step_to_zero_lands_on_the_data(process, rng):
    """With s = 0 the posterior is x_0 without noise: β̃_1 = 0."""
    x, x0 = rng.standard_normal((2, 4, 3))
    mean, var = process.posterior(x, x0, times(process, rng, 4), 0)
    assert_allclose(mean, x0, rtol=1e-12)
    assert_array_equal(var, 0)


@every_chain
def test_beta_tilde_is_below_beta(process):
    """β̃_n/β_n = (1 − ᾱ_{n−1})/(1 − ᾱ_n) < 1, and tends to 1 − ᾱ_{T−1} or more at T. Catches a flipped ratio."""
    n = np.arange(1, process.T + 1)
    ratio = process.posterior_coefficients(n / process.T, (n - 1) / process.T)[2] / process.betas
    alpha_bar = np.append(1, np.cumprod(1 - process.betas))
    assert ratio[0] == 0
    assert np.all(ratio < 1)
    assert ratio[-1] >= (1 - alpha_bar[-2]) * (1 - 1e-12)
    assert_allclose(ratio, (1 - alpha_bar[:-1]) / (1 - alpha_bar[1:]), rtol=1e-9, atol=1e-12)


# KL: what each step costs, and what the prior costs


@every_process
def test_step_kl_is_half_the_drop_in_snr(process, rng):
    """KL = ½ (SNR_s − SNR_t) ‖Δx_0‖² = ½ (SNR_s/SNR_t − 1) ‖Δε‖² between two posteriors [VDM 13–14].

    The means differ by an error Δx_0 in the data, or Δε = −(α/σ) Δx_0 in the noise.
    """
    s, t = (u[1:] for u in increasing(process, rng, 2))
    if process.alpha(t).min() == 0:
        t, s = t[t < 1], s[t < 1]
    x, x0, other = rng.standard_normal((3, *t.shape))
    (m1, v1), (m2, v2) = (process.posterior(x, guess, t, s) for guess in (x0, other))
    (alpha_s, var_s), (alpha_t, var_t) = exact(process, s), exact(process, t)
    snr_s, snr_t = as_float(alpha_s**2 / var_s), as_float(alpha_t**2 / var_t)
    kl = normal_kl(m1, v1, m2, v2)
    eps_gap = (x - as_float(alpha_t) * x0) / process.sigma(t) - (x - as_float(alpha_t) * other) / process.sigma(t)
    assert_allclose(kl, 0.5 * (snr_s - snr_t) * (x0 - other) ** 2, rtol=1e-9)
    assert_allclose(kl, 0.5 * (snr_s / snr_t - 1) * eps_gap**2, rtol=1e-9)


@every_chain
def test_step_kl_is_ddpms_weight_on_the_noise(process):
    """KL = β²/(2β̃(1 − β)(1 − ᾱ_n)) ‖Δε‖² [DDPM 12] = β/(2(1 − β)(1 − ᾱ_{n−1})) ‖Δε‖², for n ≥ 2 and β < 1."""
    n = np.arange(2, process.T + 1)
    n = n[process.alpha(n / process.T) > 0]
    beta, before, after = process.betas[n - 1], *(np.cumprod(1 - process.betas)[n - k] for k in (2, 1))
    _, c_0, beta_tilde = process.posterior_coefficients(n / process.T, (n - 1) / process.T)
    kl = c_0**2 * (1 - after) / after / (2 * beta_tilde)  # of two means c_0 Δx_0 apart, where Δε² = 1
    assert_allclose(kl, beta**2 / (2 * beta_tilde * (1 - beta) * (1 - after)), rtol=1e-9)
    assert_allclose(kl, beta / (2 * (1 - beta) * (1 - before)), rtol=1e-9)


@every_process
def test_prior_std_is_where_data_of_unit_variance_arrive(process):
    """√(α² + σ²) at t_max: 1 where variance is preserved, about σ_max for VE."""
    (alpha,), (variance,) = exact(process, np.array([process.t_max]))
    assert_allclose(process.prior_std, float(mp.sqrt(alpha**2 + variance)), rtol=1e-13)
    assert type(process.prior_std) is float


@every_process
def test_prior_log_density_is_scipys(process, rng):
    """Σ ln N(x_i; 0, prior_std²) in nats, over all trailing axes. Catches a lost ln σ, or 2π."""
    x = process.prior_std * rng.standard_normal((5, 3, 2))
    expected = stats.norm.logpdf(x, scale=process.prior_std).sum((1, 2))
    assert_allclose(process.prior_log_density(x), expected, rtol=1e-13)
    assert_allclose(process.prior_log_density(x[:, 0, 0]), stats.norm.logpdf(x[:, 0, 0], scale=process.prior_std))


@every_process
def test_prior_draws_are_the_noise_at_the_priors_scale(process):
    """prior_std times the generator's own standard normals: one draw, of the shape and dtype of `like`."""
    draws = process.prior(np.random.default_rng(3), 4, np.empty((0, 3, 2), np.float32))
    z = np.random.default_rng(3).standard_normal((4, 3, 2), np.float32)
    assert draws.dtype == np.float32
    assert_allclose(draws, process.prior_std * z, rtol=1e-6)


@every_process
def test_prior_gap_is_the_kl_between_where_data_end_and_the_prior(process, rng):
    """KL(N(α x_0, σ²) ‖ N(0, prior_std²)) in nats, summed; for VP ½ (ᾱ‖x_0‖² − dᾱ − d ln(1 − ᾱ)) [DDPM 5].

    Catches the log of the variance passed as the variance, d dropped, and a factor of 2.
    """
    x0 = rng.standard_normal((5, 3, 2))
    (alpha,), (variance,) = exact(process, np.array([process.t_max]))
    ratio = variance / (alpha**2 + variance)
    expected = as_float(alpha**2 / (alpha**2 + variance)) * x0**2 / 2 + float((ratio - 1 - mp.log(ratio)) / 2)
    assert_allclose(process.prior_gap(x0), expected.sum((1, 2)), rtol=1e-10, atol=1e-25)


def test_prior_gap_is_an_integral():
    """∫ q ln(q/p) dx by quadrature, on a chain that stops long before noise."""
    process, x0 = Discrete.linear(10, rescale=False), 1.7
    q, p = stats.norm(process.alpha(1) * x0, process.sigma(1)), stats.norm(0, process.prior_std)
    gap = integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), -8, 8, points=[1.6], epsabs=1e-12)[0]
    assert_allclose(process.prior_gap(np.array([[x0]])), [gap], rtol=1e-9)


# Continuous time: f, g² and the log-SNR as a clock


@every_sde
def test_f_and_g2_are_the_derivatives_of_alpha_and_sigma(process, rng):
    """f = α̇/α and g² = 2σσ̇ − 2fσ², by complex step. Catches β for ½β, and σ̇ for dσ²/dt."""
    t = times(process, rng)
    alpha, sigma = process.alpha(t), process.sigma(t)
    f = derivative(process.alpha, t) / alpha
    assert_allclose(process.f(t), f, rtol=1e-12, atol=1e-300)
    assert_allclose(process.g2(t), 2 * sigma * derivative(process.sigma, t) - 2 * f * sigma**2, rtol=1e-12)


@every_sde
def test_g2_is_the_rate_at_which_log_snr_falls(process, rng):
    """g² = −σ² dλ/dt [VDM, App. A], by complex step."""
    t = times(process, rng)
    assert_allclose(process.g2(t), -(process.sigma(t) ** 2) * derivative(process.log_snr, t), rtol=1e-12)


@over({name: p for name, p in SDES.items() if isinstance(p, VP)})
def test_vp_integral_is_the_integral_of_beta(process):
    """B(t) = ∫_0^t β by quadrature, and σ² ≤ VP's for sub-VP, whose σ is VP's σ² [Song et al. 2021, 29]."""
    for t in (0.1, 0.7, 1.0):
        assert_allclose(process.integral(t), integrate.quad(process.beta, 0, t)[0], rtol=1e-12)
        vp = VP(process.beta_min, process.beta_max)
        assert_allclose(process.sigma(t), vp.sigma(t) ** 2 if isinstance(process, SubVP) else vp.sigma(t), rtol=1e-14)
    assert_allclose(process.beta([0, 1]), [process.beta_min, process.beta_max])


@every_sde
def test_time_is_the_inverse_of_log_snr(process):
    """λ(t(λ)) = λ from the noisiest λ to 14, as arrays and as numbers, and t(λ(t)) = t."""
    lam = np.linspace(float(process.log_snr(process.t_max)), 14, 99)
    assert_allclose(process.log_snr(process.time(lam)), lam, rtol=0, atol=1e-10)
    assert process.time(3) == process.time(3.0) == process.time(np.array([3.0]))[0]
    t = np.linspace(process.t_min, process.t_max, 99)
    assert_allclose(process.time(process.log_snr(t)), t, rtol=1e-11)


@every_sde
def test_sde_ends_where_log_snr_is_fourteen_either_way(process):
    """λ(t_min) = 14; λ(t_max) = −14, or t_max = 1 where there is still more signal than that."""
    assert_allclose(process.log_snr(process.t_min), 14, atol=1e-9)
    assert type(process.t_min) is type(process.t_max) is float
    if process.t_max < 1:
        assert_allclose(process.log_snr(process.t_max), -14, atol=1e-9)
    else:
        assert process.t_max == 1
        assert process.log_snr(1) >= -14


def test_some_sdes_end_before_one_and_some_at_one():
    """Which keeps the test above honest: both of its branches are taken."""
    assert {p.t_max < 1 for p in SDES.values()} == {True, False}
    assert Cosine().t_max < 1
    assert VP().t_max == VE().t_max == 1


@every_sde
@pytest.mark.parametrize("other", [VE(), Straight()], ids=repr)
def test_processes_differ_in_clock_and_scale_alone(process, other, rng):
    """At equal log-SNR x_t/α is the same in any two processes, and so s(x) = s_VE(x/α)/α, here on data {−1, 2}."""
    t = times(process, rng)[3:]
    t = t[process.log_snr(t) > -7]  # VE() ends at −7.8
    u, x0, eps = other.time(process.log_snr(t)), *rng.standard_normal((2, *t.shape))
    alpha, beta = process.alpha(t), other.alpha(u)
    assert_allclose(process.perturb(x0, t, eps) / alpha, other.perturb(x0, u, eps) / beta, rtol=1e-9, atol=1e-12)

    def score(p, x, t):  # of q_t, by complex step
        z = x + 1e-30j
        terms = [-((z - p.alpha(t) * m) ** 2) / (2 * p.sigma(t) ** 2) for m in (-1, 2)]
        top = np.maximum(*np.real(terms))
        return np.imag(np.log(sum(np.exp(term - top) for term in terms))) / 1e-30

    x = process.perturb(np.full(t.shape, 2.0), t, eps)
    assert_allclose(score(process, x, t), score(other, x / alpha * beta, u) * beta / alpha, rtol=1e-7, atol=1e-9)


# Times


@every_chain
def test_chain_ends_and_its_clock(process):
    """t_min = 1/T, t_max = 1, and time(λ) is the grid time from 1/T on of the nearest λ."""
    assert process.t_min * process.T == process.t_max == 1
    t = np.arange(1, process.T + 1) / process.T
    t = t[process.alpha(t) > 0]
    lam = process.log_snr(t)
    assert_array_equal(process.time(lam), t)
    probes = np.linspace(20, max(lam[-1], -20), 57)
    assert_array_equal(process.time(probes), [t[np.argmin(np.abs(lam - probe))] for probe in probes])
    assert process.time(float(lam[0])) == process.time(np.inf) == t[0]


def test_the_clock_of_a_chain_knows_where_no_signal_is_left():
    process = CHAINS["cosine 1000, zero SNR"]
    assert process.time(process.log_snr(1)) == 1


@every_chain
def test_nearest_is_the_nearest_step(process):
    t = np.linspace(0, 1, 101) ** 2
    gap = np.abs(t[:, None] - np.arange(process.T + 1) / process.T)
    assert_allclose(np.abs(process.nearest(t) - t), gap.min(1), atol=1e-15)
    process.index(process.nearest(t))  # all of them on the grid


@every_sde
def test_every_time_of_an_sde_is_its_own_nearest(process):
    assert process.nearest(0.3) == 0.3
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        process.nearest(1.5)


@every_sde
def test_sampled_times_fill_each_stratum_once(process, rng):
    """One time in each of n equal parts of [t_min, t_max], in order; uniform within it, by its mean over 2,000."""
    n = 2000
    u = (process.sample_times(rng, n) - process.t_min) / (process.t_max - process.t_min) * n
    assert_array_equal(np.floor(u), np.arange(n))
    assert abs(np.mean(u % 1) - 0.5) < 5 / math.sqrt(12 * n)


@every_chain
@pytest.mark.parametrize("rounds", [1, 3])
def test_sampled_steps_hit_each_n_equally(process, rounds, rng):
    """With n a multiple of T every step 1/T, ..., 1 comes n/T times, and never 0. Catches floor without + 1."""
    t = process.sample_times(rng, rounds * process.T)
    assert_array_equal(np.bincount(process.index(t), minlength=process.T + 1), [0] + [rounds] * process.T)


def test_few_sampled_steps_still_cover_the_chain(rng):
    """One draw is uniform over 1..T: every step of a short chain comes up."""
    process = Discrete.cosine(4)
    counts = np.bincount(process.index(np.concatenate([process.sample_times(rng, 1) for _ in range(2000)])))
    assert counts[0] == 0
    assert_allclose(counts[1:], 500, atol=5 * math.sqrt(2000 * 3 / 16))


@every_process
@pytest.mark.parametrize("kind", [float, np.float64, np.asarray, lambda t: [t], lambda t: np.array([t])])
def test_a_time_may_be_any_kind_of_number(process, kind):
    t = 1 / 2 if isinstance(process, SDE) or process.T % 2 == 0 else 1.0
    names = ["alpha", "sigma", "log_snr", *(["f", "g2"] if isinstance(process, SDE) else [])]
    if t == 1 and process.alpha(1) == 0:
        names.remove("log_snr")
    for name in names:
        value = getattr(process, name)(kind(t))
        assert value.dtype == np.float64
        assert np.shape(value) == np.shape(kind(t))
        assert_array_equal(value, getattr(process, name)(t))


@every_process
@pytest.mark.parametrize("kind", [int, np.int64, np.int32, lambda t: [t]])
def test_a_time_may_be_a_whole_number(process, kind):
    for t in (0, 1):
        for f in (process.alpha, process.sigma):
            assert f(kind(t)) == f(float(t))
            assert f(kind(t)).dtype == np.float64


@every_process
def test_float32_data_stay_float32(process, rng):
    """Times are float64; NumPy 2 would promote the batch without a word. The values are right to float32."""
    s, t = increasing(process, rng, 2, n=4)
    x, x0 = rng.standard_normal((2, 4, 3))
    x32, x032 = x.astype(np.float32), x0.astype(np.float32)
    for later, earlier in ((t, s), (t[1], s[1]), (float(t[1]), float(s[1])), (1, 0)):
        single = process.perturb(x032, later, x32), process.posterior(x32, x032, later, earlier)[0]
        double = process.perturb(x0, later, x), process.posterior(x, x0, later, earlier)[0]
        for a, b in zip(single, double, strict=True):
            assert a.dtype == np.float32
            assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


def test_integer_data_are_not_multiplied_by_truncated_coefficients():
    x0, eps, t = np.array([[1, 2], [3, 4]]), np.zeros((2, 2)), np.array([0.1, 0.5])
    assert_allclose(VP().perturb(x0, t, eps), VP().perturb(x0.astype(float), t, eps))


@on_other_backends
@every_process
def test_data_may_live_on_another_backend(process, asarray, rng):
    """With times on the host, perturb, posterior and the prior give NumPy's numbers in the library of the data."""
    s, t = increasing(process, rng, 2, n=4)
    x, x0 = rng.standard_normal((2, 4, 3))

    def everything(x, x0):
        for later, earlier in ((t, s), (float(t[1]), float(s[1]))):
            yield process.perturb(x0, later, x)
            yield process.posterior(x, x0, later, earlier)[0]
        yield process.prior(np.random.default_rng(1), 2, x[:0, ...])
        yield process.prior_log_density(x)
        yield process.prior_gap(x0)

    for here, there in zip(everything(x, x0), everything(asarray(x), asarray(x0)), strict=True):
        assert type(there) is type(asarray(x))
        assert_allclose(to_numpy(there), here, rtol=1e-13, atol=1e-15)


@on_other_backends
@every_sde
def test_times_of_an_sde_may_live_on_another_backend(process, asarray, request):
    t, s = np.array([0.5, 0.9]), np.array([0.2, 0.7])
    for name in ("alpha", "sigma", "log_snr", "f", "g2", "nearest"):
        there = getattr(process, name)(asarray(t))
        assert type(there) is type(asarray(t))
        assert_allclose(to_numpy(there), getattr(process, name)(t), rtol=1e-12)
    for here, there in zip(process.transition(t, s), process.transition(asarray(t), asarray(s)), strict=True):
        assert_allclose(to_numpy(there), here, rtol=1e-12)


@on_other_backends
@every_sde
def test_log_snr_may_live_on_another_backend(process, asarray, request):
    lam = np.array([-3.0, 2.0])
    there = process.time(asarray(lam))
    assert type(there) is type(asarray(lam))
    assert_allclose(to_numpy(there), process.time(lam), rtol=1e-12)


# Errors


@every_process
@pytest.mark.parametrize("t", [-0.01, 1.01, 2, -1, np.nan, np.inf, [0.5, 1.5], np.array([-1.0, 0.0])], ids=repr)
def test_times_outside_the_unit_interval_are_refused(process, t):
    """A student who passes the step n for the time n/T must hear of it."""
    for call in (process.alpha, process.sigma, process.log_snr, lambda t: process.transition(t, 0.0)):
        with pytest.raises(ValueError, match=r"t must lie in \[0, 1\].*Step n of T is t = n/T"):
            call(t)


@every_process
@pytest.mark.parametrize(("t", "s"), [(0, 0), (1, 1), (0, 1), ([1, 1], [0, 1]), (1, [0, 1])], ids=repr)
def test_transition_refuses_the_wrong_order_of_times(process, t, s):
    """s < t in every row; equal times are refused too."""
    for call in (process.transition, process.posterior_coefficients, lambda *ts: process.posterior(1.0, 1.0, *ts)):
        with pytest.raises(ValueError, match="earlier to a later time, s < t; got s = "):
            call(t, s)


@pytest.mark.parametrize("t", [0.0304, [0.03, 0.0304, 0.5], np.array([0.0304])], ids=repr)
def test_a_time_off_the_grid_names_its_neighbours(t):
    for process in (Discrete.linear(100), Discrete.cosine(100)):
        for call in (process.alpha, process.sigma, process.log_snr, process.index):
            with pytest.raises(ValueError, match=r"0\.0304.*3/100 = 0\.03\b.*4/100 = 0\.04\b"):
                call(t)


def test_rounding_of_a_grid_time_is_forgiven():
    """n·(1/T) and 1 − m/T miss n/T by a few ulp; such times are on the grid."""
    process = Discrete.linear(1000)
    n = np.arange(1001)
    for t in (n / 1000, n * 0.001, 1 - n[::-1] / 1000, np.linspace(0, 1, 1001), np.cumsum([0.0] + [0.001] * 1000)):
        assert_array_equal(process.index(t), n)
    assert process.index(0.25).dtype == np.int64


def test_float32_times_are_on_the_grid():
    n = np.arange(1001)
    assert_array_equal(Discrete.linear(1000).index(np.float32(n / 1000)), n)


@every_sde
def test_rounding_below_zero_is_forgiven(process):
    for name in ("alpha", "sigma", "log_snr"):
        assert_allclose(getattr(process, name)(-1e-10), getattr(process, name)(0), atol=1e-4)


@pytest.mark.parametrize("betas", [[0.0, 0.5], [-0.1], [0.5, 1.1], [1.0, 0.5], [np.nan, 0.5], [0.5, np.inf]], ids=repr)
def test_betas_outside_the_unit_interval_are_refused(betas):
    with pytest.raises(ValueError, match=r"betas must lie in \(0, 1\), the last may be 1"):
        Discrete(np.array(betas))


@pytest.mark.parametrize("betas", [[], 0.5, [[0.1, 0.2]]], ids=repr)
def test_betas_that_are_no_vector_are_refused(betas):
    with pytest.raises(ValueError, match="betas must be a vector of T numbers; got shape"):
        Discrete(np.array(betas))


def test_betas_may_be_a_list_and_may_end_at_one():
    process = Discrete([0.5, 1])
    assert process.T == 2
    assert process.alpha(1) == 0
    assert process.sigma(1) == 1


@pytest.mark.parametrize("make", RISING.values(), ids=RISING)
@pytest.mark.parametrize("T", [10, 19])
def test_a_chain_too_short_for_its_schedule_is_refused(make, T):
    """Rescaled by 1000/T, β would reach 1: the error gives T and the β."""
    with pytest.raises(ValueError, match=f"T = {T} is too short for this schedule: its largest β would be [12]"):
        make(T)


@pytest.mark.parametrize("T", [-3, 0])
@pytest.mark.parametrize("make", [*RISING.values(), Discrete.cosine], ids=[*RISING, "cosine"])
def test_a_chain_without_steps_is_refused(make, T):
    with pytest.raises(ValueError, match=f"T.*{T}"):
        make(T)


@pytest.mark.parametrize("make", [VP, SubVP])
@pytest.mark.parametrize("pair", [(0, 1), (-1, 1), (2, 1), (1, np.inf), (np.nan, 1), (1, np.nan)], ids=repr)
def test_bad_rates_of_noising_are_refused(make, pair):
    with pytest.raises(ValueError, match=r"need 0 < beta_min <= beta_max; got"):
        make(*pair)


@pytest.mark.parametrize("pair", [(0, 1), (-1, 1), (2, 1), (1, 1), (1, np.inf), (np.nan, 1), (1, np.nan)], ids=repr)
def test_bad_noise_levels_are_refused(pair):
    with pytest.raises(ValueError, match=r"need 0 < sigma_min < sigma_max; got"):
        VE(*pair)


def test_a_process_cannot_be_changed():
    """Two users of one process cannot surprise each other."""
    for process, name in ((VP(), "beta_min"), (VE(), "sigma_max"), (Discrete.linear(25), "betas")):
        with pytest.raises(AttributeError):
            setattr(process, name, 1)
    assert VP() == VP()
    assert VP() != SubVP()
