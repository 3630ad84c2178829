"""The forward processes: what α, σ, f and g² must be, whatever the schedule; the prior; and the clock.

The expected value comes by another road than the library's: 50-digit arithmetic from the papers' definitions, closed
forms, scipy. Levels are in test_levels.py, laws of schedules, kernels and posteriors in tests/identities.
"""

import math

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

from tinydiff import VE, VP, Cosine, Discrete, Process, Straight, SubVP

CONTINUOUS = {repr(p): p for p in (VP(), VP(0.1, 40.0), SubVP(), VE(), Cosine(), Straight())}
CHAINS = {
    "linear": Discrete.linear(1000),
    "cosine": Discrete.cosine(4),
    "zero SNR": Discrete.cosine(1000).zero_terminal_snr(),
    "far from noise": Discrete.linear(10, rescale=False),
}
RISING = {  # the function of β that rises in equal steps
    Discrete.linear: np.asarray,
    Discrete.quadratic: np.sqrt,
    Discrete.sigmoid: lambda beta: special.logit((beta - 1e-4) / 0.0199),
}


def over(processes: dict[str, Process]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("process", processes.values(), ids=processes)


every_continuous, every_chain, every_process = over(CONTINUOUS), over(CHAINS), over(CONTINUOUS | CHAINS)
every_rising = pytest.mark.parametrize("make", RISING, ids=lambda make: make.__name__)


def times(process: Process) -> np.ndarray:
    """Times from 0 to t_max at which the process is defined, early ones included."""
    if isinstance(process, Discrete):
        return np.arange(process.T + 1) / process.T
    return np.append([0, 1e-7], np.linspace(process.t_min, process.t_max, 30))


def exact(process: Process, t: float) -> tuple[mp.mpf, mp.mpf]:
    """(α, σ²) in 50 digits, from the definitions in the papers."""
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
        case Discrete(betas=betas):
            alpha_bar = mp.fprod(1 - mp.mpf(beta) for beta in betas[: round(t * process.T)])
            return mp.sqrt(alpha_bar), 1 - alpha_bar


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


# Schedules


@every_process
def test_alpha_and_sigma_are_the_papers_in_fifty_digits(process):
    """Early times are included: there 1 − ᾱ by cumprod, or VE's σ² without expm1, keeps half the digits."""
    t = times(process)
    t = t[:: 1 + len(t) // 15]
    alpha, variance = np.transpose([exact(process, mp.mpf(float(each))) for each in t]).astype(float)
    assert_allclose(process.alpha(t), alpha, rtol=1e-12, atol=1e-300)
    assert_allclose(process.sigma(t) ** 2, variance, rtol=1e-12)


@every_process
def test_log_snr_falls_from_infinity(process):
    """Time runs from data, where nothing is lost, towards noise."""
    lam = process.log_snr(times(process))
    assert lam[0] == np.inf
    assert np.all(np.diff(lam) < 0)


@every_rising
@pytest.mark.parametrize("T", [21, 100, 1000])
def test_betas_rise_as_their_name_says(make, T):
    """β, √β or logit(β) rises in equal steps between the ends [DDPM §4; DDIM, App. D], all times 1000/T.

    Catches an end point left out of the spacing, and a schedule meant for T = 1000 used as it stands at another T.
    """
    first, last = (1e-4, 0.02) if make != Discrete.sigmoid else (1e-4 + 0.0199 * special.expit([-6, 6]))
    betas = make(T).betas * (T / 1000)
    assert_allclose(betas[[0, -1]], [first, last], rtol=1e-12)
    straight = RISING[make](betas)
    assert_allclose(np.diff(straight), (straight[-1] - straight[0]) / (T - 1), rtol=1e-7)
    assert_allclose(make(T, rescale=False).betas, betas, rtol=1e-14)


# The prior


@every_process
def test_the_prior_is_normal_noise_where_data_of_unit_variance_arrive(process, rng):
    """N(0, α² + σ²) at t_max: one draw of the generator's, and scipy's log-density in nats over all trailing axes."""
    alpha, variance = exact(process, mp.mpf(process.t_max))
    assert_allclose(process.prior_std, float(mp.sqrt(alpha**2 + variance)), rtol=1e-13)
    assert type(process.prior_std) is float
    draws = process.prior(np.random.default_rng(3), 4, np.empty((0, 3, 2), np.float32))
    z = np.random.default_rng(3).standard_normal((4, 3, 2), np.float32)
    assert draws.dtype == np.float32
    assert_allclose(draws, process.prior_std * z, rtol=1e-6)
    x = process.prior_std * rng.standard_normal((5, 3, 2))
    expected = stats.norm.logpdf(x, scale=process.prior_std).sum((1, 2))
    assert_allclose(process.prior_log_density(x), expected, rtol=1e-13)
    assert_allclose(process.prior_log_density(x[:, 0, 0]), stats.norm.logpdf(x[:, 0, 0], scale=process.prior_std))
    assert_allclose(process.prior_gap(x), process.prior_gap(x.reshape(5, 6)), rtol=1e-13)


# Rates


@every_continuous
def test_rates_at_data_are_their_limits(process):
    """f and g² at t = 0, where σ̇ is infinite on VP and VE; elsewhere they are an identity."""
    for rate in (process.f, process.g2):
        at_zero, near = rate(np.array([0.0, 1e-9]))
        assert_allclose(at_zero, near, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rate", ["f", "g2"])
def test_there_are_no_rates_where_no_signal_is_left(rate):
    """Cosine's α at t = 1 is 6e-17, and not 0."""
    with pytest.raises(ValueError, match=r"f and g² divide by α, which is under 1e-08 at t = 1\.0: Cosine"):
        getattr(Cosine(), rate)(1.0)


@every_chain
@pytest.mark.parametrize("name", ["f", "g2"])
def test_a_chain_has_no_f_and_no_g2(process, name):
    """It lives on n/T alone, where nothing has a derivative: the error says what to take instead."""
    for rate in (lambda: getattr(process, name)(1.0), lambda: getattr(process.at(1.0), name)):
        with pytest.raises(ValueError, match="Take a process in continuous time"):
            rate()


class Own(Process):
    """A process by two functions."""

    def __init__(self, alpha, sigma):
        self.alpha, self.sigma = alpha, sigma


BLIND = {  # ways to write an exponential that drop, or do not take, an imaginary part
    "abs": lambda x: np.exp(-np.abs(x)),
    "math": math.exp,
    "interp": lambda x: np.exp(np.interp(x, np.linspace(-2, 0, 11), np.linspace(-2, 0, 11))),
    "abs, early": lambda x: np.where(np.real(x) > -0.8, np.exp(-np.abs(x)), np.exp(x)),
    "abs, late": lambda x: np.where(np.real(x) < -1.2, np.exp(-np.abs(x)), np.exp(x)),
}


@pytest.mark.parametrize("exp", BLIND.values(), ids=BLIND)
def test_a_derivative_that_a_complex_step_cannot_see_is_named(exp):
    """Such a step is silent or a TypeError; the error names the process and what not to write."""
    process, x = Own(lambda t: exp(-2 * t), lambda t: np.sqrt(1 - exp(-2 * t) ** 2)), np.ones((1, 2))
    level = process.at(0.5)
    for rate in (lambda: level.f, lambda: level.g2, lambda: level.velocity(x, x)):
        with pytest.raises(ValueError, match=r"(?s)complex step.*Own"):
            rate()


# The clock


CLOCKS = CONTINUOUS | {
    "as Song et al. write VE, not 0 at t = 0": Own(lambda t: 1, lambda t: 0.01 * 5000**t),
    "all noise in a tenth of the time": Own(
        lambda t: np.sqrt(0.5 * (1 - np.tanh(20 * (t - 0.5)))), lambda t: np.sqrt(0.5 * (1 + np.tanh(20 * (t - 0.5))))
    ),
    "nothing for half of the time": Own(lambda t: np.exp(-5 * t**8), lambda t: np.sqrt(-np.expm1(-10 * t**8))),
}
every_clock = over(CLOCKS)


@every_clock
def test_time_is_the_inverse_of_log_snr(process):
    """λ(t(λ)) = λ, from the noisiest to the cleanest λ of the way."""
    lam = np.linspace(float(process.log_snr(process.t_max)), float(process.log_snr(process.t_min)), 199)
    assert_allclose(process.log_snr(process.time(lam)), lam, rtol=0, atol=1e-10)
    assert float(process.time(3)) == float(process.time(3.0)) == process.time(np.array([3.0]))[0]


@every_continuous
def test_time_is_clamped_to_what_the_process_reaches(process):
    """0 for a log-SNR over all of them, and 1 for one below λ(1), infinite ones included."""
    assert_allclose(process.time(np.array([1e4, np.inf])), 0, atol=1e-12)
    assert_allclose(process.time(np.array([-1e4, -np.inf])), 1, atol=2e-8)  # Cosine's α is under 1e-8 beyond that


@every_clock
def test_a_process_starts_and_ends_where_log_snr_is_fourteen_or_it_has_no_more(process):
    assert type(process.t_min) is type(process.t_max) is float
    assert 0 <= process.t_min < process.t_max <= 1
    assert process.log_snr(process.t_min) == pytest.approx(min(14, float(process.log_snr(0.0))), abs=1e-9)
    assert process.log_snr(process.t_max) == pytest.approx(max(-14, float(process.log_snr(1.0))), abs=1e-9)
    assert (process.t_max == 1) == (process.log_snr(1.0) >= -14)


@pytest.mark.parametrize("sigma", [lambda t: 1 - t, lambda t: t * (1.5 - t)], ids=["throughout", "at the end"])
def test_a_process_whose_noise_falls_has_no_clock(sigma):
    with pytest.raises(ValueError, match=r"log-SNR of Own\(\) must fall"):
        _ = Own(lambda t: 1, sigma).t_min


@every_chain
def test_the_clock_of_a_chain_is_the_nearest_of_its_steps(process):
    """From 1/T on, where the log-SNR is nearest; t = 1 where no signal is left there."""
    assert process.t_min * process.T == process.t_max == 1
    t = times(process)[1:]
    lam = process.log_snr(t)
    assert_array_equal(process.time(lam), t)
    probes = np.linspace(20, max(lam[-2], -20), 57)
    assert_array_equal(process.time(probes), [t[np.argmin(np.abs(lam - probe))] for probe in probes])
    assert process.time(float(lam[0])) == process.time(np.inf) == t[0]


# Times


@every_chain
def test_the_nearest_time_of_a_chain_is_on_its_grid(process):
    t = np.linspace(0, 1, 101) ** 2
    gap = np.abs(t[:, None] - np.arange(process.T + 1) / process.T)
    assert_allclose(np.abs(process.nearest(t) - t), gap.min(1), atol=1e-15)
    process.index(process.nearest(t))


@every_continuous
def test_sampled_times_fill_each_stratum_once(process, rng):
    """One time in each of n equal parts of [t_min, t_max], in order; uniform within it, by its mean over 2,000."""
    n = 2000
    u = (process.sample_times(rng, n) - process.t_min) / (process.t_max - process.t_min) * n
    assert_array_equal(np.floor(u), np.arange(n))
    assert abs(np.mean(u % 1) - 0.5) < 5 / math.sqrt(12 * n)
    assert process.nearest(u[0]) == u[0]


@every_chain
def test_sampled_steps_hit_each_n_equally(process, rng):
    """With n a multiple of T every step 1/T, ..., 1 comes n/T times, and never 0. Catches floor without + 1."""
    t = process.sample_times(rng, 3 * process.T)
    assert_array_equal(np.bincount(process.index(t), minlength=process.T + 1), [0] + [3] * process.T)


def test_rounding_of_a_grid_time_is_forgiven():
    """n·(1/T) and 1 − m/T miss n/T by a few ulp, float32 by more; such times are on the grid."""
    chain, n = CHAINS["linear"], np.arange(1001)
    for t in (n * 0.001, 1 - n[::-1] / 1000, np.cumsum([0.0] + [0.001] * 1000), np.float32(n / 1000)):
        assert_array_equal(chain.index(t), n)
    assert chain.index(0.25).dtype == np.int64


# What is refused


REFUSED = {
    "betas of 0": (lambda: Discrete([0.0, 0.5]), r"betas must lie in \(0, 1\), the last may be 1"),
    "betas over 1": (lambda: Discrete([0.5, 1.1]), "betas must lie in"),
    "1 before the end": (lambda: Discrete([1.0, 0.5]), "betas must lie in"),
    "betas of NaN": (lambda: Discrete([np.nan, 0.5]), "betas must lie in"),
    "no betas": (lambda: Discrete([]), "betas must be a vector of T numbers; got shape"),
    "a table of betas": (lambda: Discrete([[0.1, 0.2]]), "betas must be a vector"),
    "no steps": (lambda: Discrete.cosine(0), "T must be 1 or more; got 0"),
    "one step for two ends": (lambda: Discrete.cosine(1).zero_terminal_snr(), "T, for a zero terminal SNR, must be 2"),
    "no noise": (lambda: VP(0, 1), "beta_min must be over 0; got 0"),
    "falling noise": (lambda: SubVP(2, 1), "beta_max must be finite, and beta_min = 2 or more; got 1"),
    "infinite rates": (lambda: VP(1, math.inf), "beta_max must be finite"),
    "sigma of 0": (lambda: VE(0, 1), "need 0 < sigma_min < sigma_max; got 0 and 1"),
    "one sigma": (lambda: VE(1, 1), "need 0 < sigma_min"),
    "infinite sigma": (lambda: VE(1, math.inf), "need 0 < sigma_min"),
}


@pytest.mark.parametrize(("make", "says"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_process_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@every_rising
def test_a_chain_too_short_for_its_schedule_is_refused(make):
    """Rescaled by 1000/T, β would reach 1: the error gives T and the β. A linear β_T = .02 is 1 at T = 20."""
    for T in (0, -3):
        with pytest.raises(ValueError, match=f"T must be 1 or more; got {T}"):
            make(T)
    for T in (10, 19, *([20] if make == Discrete.linear else [])):
        with pytest.raises(ValueError, match=f"T = {T} is too short for this schedule: its largest β would be [12]"):
            make(T)


@every_rising
def test_the_shortest_chains(make):
    """One step is a chain; two can end without signal; constant rates and a last β of 1 are allowed."""
    assert make(1).T == Discrete.cosine(1).T == 1
    assert Discrete.cosine(2).zero_terminal_snr().alpha(1) == 0
    assert Discrete([0.5, 1]).alpha(1) == 0
    assert VP(2, 2).beta(0.3) == 2


def test_a_process_cannot_be_changed():
    """Two users of one process cannot surprise each other."""
    for process, name in ((VP(), "beta_min"), (VE(), "sigma_max"), (Discrete.linear(25), "betas")):
        with pytest.raises(AttributeError):
            setattr(process, name, 1)
    assert VP() == VP()
    assert VP() != SubVP()
