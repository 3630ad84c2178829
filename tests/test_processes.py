"""The forward processes: what α, σ, f and g² must satisfy, whatever the schedule.

The expected value comes by another road than the library's: 50-digit arithmetic from the papers' definitions,
quadrature, closed forms. Algebra is held to 1e-12 relative. Levels are in test_levels.py, kernels and posteriors in
tests/identities.
"""

import math
from functools import partial

import array_api_strict as strict
import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, special, stats

from tinydiff import VE, VP, Cosine, Discrete, Process, Straight, SubVP
from tinydiff.backend import to_numpy

CONTINUOUS = {repr(p): p for p in (VP(), VP(0.1, 40.0), VP(2.0, 2.0), SubVP(), VE(), Cosine(), Straight())}
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
PROCESSES = CONTINUOUS | CHAINS


def over(processes: dict[str, Process]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("process", processes.values(), ids=processes)


every_continuous, every_chain, every_process = over(CONTINUOUS), over(CHAINS), over(PROCESSES)

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


def _exact(process: Process, t: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
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


# Schedules: α, σ and the log-SNR


@every_process
def test_alpha_and_sigma_are_the_papers_in_fifty_digits(process, rng):
    """α and σ² from the definitions. Catches 1 − ᾱ by subtraction (cancellation), and α for α².

    Early times are included: there 1 − ᾱ by cumprod, or VE's σ² without expm1, keeps half the digits.
    """
    t = times(process, rng)
    if not isinstance(process, Discrete):
        t = np.append(t, [1e-7, 1e-5])
    alpha, variance = exact(process, t)
    assert_allclose(process.alpha(t), as_float(alpha), rtol=1e-12, atol=1e-300)
    assert_allclose(process.sigma(t) ** 2, as_float(variance), rtol=1e-12)


@every_process
def test_data_are_untouched_at_time_zero(process):
    assert process.alpha(0) == 1
    assert process.sigma(0) == 0
    assert process.log_snr(0) == np.inf


@every_process
def test_log_snr_falls(process):
    """Time runs towards noise: λ decreases strictly from data to noise."""
    t = np.arange(process.T + 1) / process.T if isinstance(process, Discrete) else np.linspace(0, process.t_max, 99)
    assert np.all(np.diff(process.log_snr(t)[1:]) < 0)


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


def test_one_step_cannot_keep_its_signal_and_lose_it():
    with pytest.raises(ValueError, match="T"):
        Discrete.cosine(1).zero_terminal_snr()


# The prior


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
def test_the_gap_of_a_picture_is_that_of_its_pixels_in_a_row(process, rng):
    """KL(q(x_T | x_0) ‖ p(x_T)) for x_0 (B, C, H, W): one number for each point, as of the same points (B, CHW)."""
    x0 = rng.standard_normal((3, 2, 4, 5))
    gap = process.prior_gap(x0)
    assert gap.shape == (3,)
    assert_allclose(gap, process.prior_gap(x0.reshape(3, 40)), rtol=1e-13)


@every_process
def test_the_gap_is_the_sum_over_coordinates_of_kls_of_two_normals(process, rng):
    """½ (σ²/v + α² x²/v − 1 − ln σ²/v) with v = prior_std², summed over coordinates, in nats."""
    x0 = rng.standard_normal((3, 4))
    (alpha,), (variance,) = exact(process, np.array([process.t_max]))
    v = alpha**2 + variance
    kl = [[(variance / v + alpha**2 * mp.mpf(x) ** 2 / v - 1 - mp.log(variance / v)) / 2 for x in row] for row in x0]
    assert_allclose(process.prior_gap(x0), as_float([sum(row) for row in kl]), rtol=1e-8, atol=1e-15)


# What follows from α and σ: f, g², the log-SNR and its inverse


def reference(process: Process, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(f, g²) from the papers' closed forms [Song et al. 2021, App. B, for the first three]."""
    match process:
        case SubVP():
            return -process.beta(t) / 2, -process.beta(t) * np.expm1(-2 * process.integral(t))
        case VP():
            return -process.beta(t) / 2, process.beta(t)
        case VE(sigma_min=low, sigma_max=high):
            rate = 2 * math.log(high / low)
            return 0 * t, rate * low**2 * np.exp(rate * t)
        case Cosine():
            return -np.pi / 2 * np.tan(np.pi * t / 2), np.pi * np.tan(np.pi * t / 2)
        case Straight():
            return -1 / (1 - t), 2 * t / (1 - t)


def derived(process: Process, name: str):
    """The method by this name of the base class, whether or not the process has its own."""
    return partial(getattr(Process, name), process)


@every_continuous
def test_f_and_g2_by_complex_step_are_the_papers_closed_forms(process, rng):
    """f = α̇/α and g² = 2σσ̇ − 2fσ², to 1e-13 relative, from early times to t_max."""
    t = np.append(times(process, rng), [1e-7, 1e-4])
    f, g2 = reference(process, t)
    assert_allclose(derived(process, "f")(t), f, rtol=1e-13)
    assert_allclose(derived(process, "g2")(t), g2, rtol=1e-13)


@every_continuous
@pytest.mark.parametrize("name", ["f", "g2", "log_snr"])
def test_a_closed_form_agrees_with_the_derived_one(process, name, rng):
    """Where a process gives its own f, g² or λ, that is what follows from its α and σ."""
    t = times(process, rng)
    assert_allclose(getattr(process, name)(t), derived(process, name)(t), rtol=1e-12, atol=1e-12)


@every_continuous
def test_a_closed_form_of_time_agrees_with_the_derived_one(process):
    lam = np.linspace(float(process.log_snr(process.t_max)), 14, 99)
    assert_allclose(process.time(lam), derived(process, "time")(lam), rtol=1e-11)


@every_process
def test_log_snr_is_the_logarithm_of_alpha2_over_sigma2(process, rng):
    t = times(process, rng)
    t = t[process.alpha(t) > 0]
    alpha, variance = exact(process, t)
    expected = as_float([mp.log(a**2 / v) for a, v in zip(alpha, variance, strict=True)])
    assert_allclose(process.log_snr(t), expected, rtol=1e-11, atol=1e-11)


@every_continuous
def test_g2_is_the_rate_at_which_log_snr_falls(process, rng):
    """g² = −σ² dλ/dt [VDM, App. A], by a central difference."""
    t = np.clip(times(process, rng), 1e-3, process.t_max - 1e-3)
    h = 1e-5 * t * (1 - t)
    rate = (process.log_snr(t + h) - process.log_snr(t - h)) / (2 * h)
    assert_allclose(process.g2(t), -(process.sigma(t) ** 2) * rate, rtol=1e-6)


@every_continuous
def test_nothing_is_infinite_at_data(process):
    """f and g² at t = 0 are their limits: VE's f is 0 there as everywhere."""
    for name in ("f", "g2"):
        at_zero, near = getattr(process, name)(np.array([0.0, 1e-9]))
        assert_allclose(at_zero, near, rtol=1e-5, atol=1e-7)


@over({name: p for name, p in CONTINUOUS.items() if isinstance(p, VP)})
def test_vp_integral_is_the_integral_of_beta(process):
    """B(t) = ∫_0^t β by quadrature, and σ² ≤ VP's for sub-VP, whose σ is VP's σ² [Song et al. 2021, 29]."""
    for t in (0.1, 0.7, 1.0):
        assert_allclose(process.integral(t), integrate.quad(process.beta, 0, t)[0], rtol=1e-12)
        vp = VP(process.beta_min, process.beta_max)
        assert_allclose(process.sigma(t), vp.sigma(t) ** 2 if isinstance(process, SubVP) else vp.sigma(t), rtol=1e-14)
    assert_allclose([process.beta(t) for t in (0.0, 1.0)], [process.beta_min, process.beta_max])


@every_continuous
def test_time_is_the_inverse_of_log_snr(process):
    """λ(t(λ)) = λ from the noisiest λ to 14, and t(λ(t)) = t."""
    lam = np.linspace(float(process.log_snr(process.t_max)), 14, 99)
    assert_allclose(process.log_snr(process.time(lam)), lam, rtol=0, atol=1e-10)
    t = np.linspace(process.t_min, process.t_max, 99)
    assert_allclose(process.time(process.log_snr(t)), t, rtol=1e-11)


@every_continuous
def test_time_takes_numbers_and_arrays(process):
    assert float(process.time(3)) == float(process.time(3.0)) == process.time(np.array([3.0]))[0]


@every_continuous
def test_time_is_clamped_to_what_the_process_reaches(process):
    """0 for a log-SNR over all of them, and 1 for one below λ(1), infinite ones included."""
    assert_allclose(process.time(np.array([1e4, np.inf])), 0, atol=1e-12)
    assert_allclose(process.time(np.array([-1e4, -np.inf])), 1, atol=2e-8)  # Cosine's α is under 1e-8 beyond that


@every_continuous
def test_a_process_ends_where_log_snr_is_fourteen_either_way(process):
    """λ(t_min) = 14; λ(t_max) = −14, or t_max = 1 where there is still more signal than that."""
    assert_allclose(process.log_snr(process.t_min), 14, atol=1e-9)
    assert type(process.t_min) is type(process.t_max) is float
    if process.t_max < 1:
        assert_allclose(process.log_snr(process.t_max), -14, atol=1e-9)
    else:
        assert process.t_max == 1
        assert process.log_snr(1.0) >= -14


def test_some_processes_end_before_one_and_some_at_one():
    """Which keeps the test above honest: both of its branches are taken."""
    assert {p.t_max < 1 for p in CONTINUOUS.values()} == {True, False}
    assert Cosine().t_max < 1
    assert VP().t_max == VE().t_max == 1


@every_chain
@pytest.mark.parametrize("name", ["f", "g2"])
def test_a_chain_has_no_f_and_no_g2(process, name):
    """It lives on n/T alone, where nothing has a derivative: the error says what to take instead."""
    with pytest.raises(ValueError, match="continuous"):
        getattr(process, name)(1.0)
    with pytest.raises(ValueError, match="continuous"):
        getattr(process.at(1.0), name)


# What a complex step cannot see


class Blind(Process):
    """VP with β = 4, its exponential written in a way that drops, or does not take, the imaginary part of t."""

    def __init__(self, exp):
        self.exp = exp

    def alpha(self, t):
        return self.exp(-2 * t)

    def sigma(self, t):
        return np.sqrt(1 - self.alpha(t) ** 2)


def through_abs(x):
    return np.exp(-np.abs(x))


def through_real(x):
    return np.exp(np.real(x))


def through_math(x):
    return math.exp(x)


def through_interp(x):
    return np.exp(np.interp(x, np.linspace(-2, 0, 11), np.linspace(-2, 0, 11)))


def through_a_cast(x):
    return np.exp(np.asarray(x, dtype=np.float64))


def through_a_loop(x):
    return np.array([math.exp(each) for each in np.atleast_1d(x)])


BLIND = [through_abs, through_real, through_math, through_interp, through_a_cast, through_a_loop]


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("name", ["f", "g2"])
@pytest.mark.parametrize("exp", BLIND, ids=lambda f: f.__name__)
def test_a_derivative_that_a_complex_step_cannot_see_is_named(exp, name):
    """Such a step is silent or a TypeError; the error names the process and what not to write."""
    with pytest.raises(ValueError, match=r"(?s)Blind.*complex|complex.*Blind"):
        getattr(Blind(exp).at(0.5), name)


def clipped(x):
    return np.exp(np.clip(x, -2, 0))


def minimum(x):
    return np.exp(np.minimum(x, 0))


def maximum(x):
    return np.exp(np.maximum(x, -2))


@pytest.mark.parametrize("exp", [clipped, minimum, maximum], ids=lambda f: f.__name__)
def test_what_keeps_the_imaginary_part_is_right_or_refused(exp):
    """NumPy compares complex numbers by their real parts first; no derivative that is wrong goes through."""
    level = Blind(exp).at(0.5)
    try:
        f, g2 = level.f, level.g2
    except ValueError as error:
        assert "Blind" in str(error)  # noqa: PT017
    else:
        assert_allclose([f, g2], [-2, 4], rtol=1e-12)


def test_a_kink_that_was_clipped_flat_is_found_out():
    """Where abs bites at some times only, the first use at such a time finds it."""

    class Late(VP):
        def alpha(self, t):
            return np.where(np.real(t) > 0.6, np.abs(super().alpha(t)), super().alpha(t))

    with pytest.raises(ValueError, match="Late"):
        Late().at(0.9).f  # noqa: B018


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


@every_continuous
def test_every_time_of_a_continuous_process_is_its_own_nearest(process):
    assert process.nearest(0.3) == 0.3


@every_continuous
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


# Other libraries


@on_other_backends
@every_process
def test_the_prior_may_live_on_another_backend(process, asarray, rng):
    """NumPy's numbers in the library of the data."""
    x, x0 = rng.standard_normal((2, 4, 3))

    def everything(x, x0):
        yield process.prior(np.random.default_rng(1), 2, x[:0, ...])
        yield process.prior_log_density(x)
        yield process.prior_gap(x0)

    for here, there in zip(everything(x, x0), everything(asarray(x), asarray(x0)), strict=True):
        assert type(there) is type(asarray(x))
        assert_allclose(to_numpy(there), here, rtol=1e-13, atol=1e-15)


# Errors


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
    with pytest.raises(ValueError, match=r"beta_m(in|ax) must be .*; got"):
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


@pytest.mark.parametrize("make", RISING.values(), ids=RISING)
def test_the_shortest_chains(make):
    """One step is a chain; two can end without signal; at T = 20 the linear β, .02 · 1000/20, would be 1."""
    assert make(1).T == 1
    assert Discrete.cosine(2).zero_terminal_snr().alpha(1) == 0
    with pytest.raises(ValueError, match="T = 20 is too short"):
        Discrete.linear(20)


def test_only_the_last_step_may_lose_all_signal():
    with pytest.raises(ValueError, match="betas must lie in"):
        Discrete([0.5, 1.0, 0.5])


def test_a_time_off_the_grid_of_a_chain_has_no_index():
    for process in (Discrete.linear(100), Discrete.cosine(100)):
        with pytest.raises(ValueError, match=r"0\.0304.*3/100 = 0\.03\b.*4/100 = 0\.04\b"):
            process.index(0.0304)


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
