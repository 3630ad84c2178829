"""Levels: a process at one time, checked, cast and shaped once; and what holds between two of them.

The expected value of α, σ and the rest is what the process gives on the host; tests/identities holds the formulas.
"""

import copy
import pickle

import array_api_strict as strict
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.backend import to_numpy

CONTINUOUS = [td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight()]
CHAINS = [td.Discrete.linear(100), td.Discrete.cosine(100).zero_terminal_snr()]
PROCESSES = [*CONTINUOUS, *CHAINS]
TIMES = np.array([0.9, 0.5, 0.02])
NUMBERS = ["t", "alpha", "sigma", "log_snr", "snr", "f", "g2"]

every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)
every_continuous = pytest.mark.parametrize("process", CONTINUOUS, ids=repr)
every_number = pytest.mark.parametrize("name", NUMBERS)


def on_strict(a):
    return strict.asarray(np.asarray(a), device=strict.Device("device1"))


def on_torch(a):
    return pytest.importorskip("torch").asarray(np.array(a))


on_other_backends = pytest.mark.parametrize("asarray", [on_strict, on_torch])


def numbers(process):
    """The names of what a level of this process knows."""
    return [name for name in NUMBERS if name not in ("f", "g2") or not isinstance(process, td.Discrete)]


def host(process, name, t):
    """The same number by the process's functions on the host."""
    with np.errstate(divide="ignore"):
        match name:
            case "t":
                return t
            case "snr":
                return (process.alpha(t) / process.sigma(t)) ** 2
    return getattr(process, name)(t)


# What a level holds


@every_process
def test_a_level_of_a_number_holds_floats(process):
    """Whatever kind of number t is, so that they scale arrays of any dtype without promoting them."""
    for t in (0.5, np.float64(0.5), np.float32(0.5), np.asarray(0.5), on_strict(0.5)):
        level = process.at(t)
        for name in numbers(process):
            value = getattr(level, name)
            assert type(value) is float
            assert value == pytest.approx(float(host(process, name, 0.5)), rel=1e-12)


@every_process
def test_a_time_may_be_a_whole_number(process):
    for t in (0, 1, np.int64(1)):
        assert (process.at(t).alpha, process.at(t).sigma) == (process.at(float(t)).alpha, process.at(float(t)).sigma)
        assert type(process.at(t).t) is float


@every_process
@pytest.mark.parametrize("kind", [list, tuple, np.asarray, on_strict, on_torch])
def test_a_level_of_a_vector_holds_vectors_in_float64(process, kind):
    """(B,), on the host, from a list or an array of any library."""
    level = process.at(kind(TIMES))
    for name in numbers(process):
        value = getattr(level, name)
        assert type(value) is np.ndarray
        assert (value.shape, value.dtype) == ((3,), np.float64)
        assert_allclose(value, host(process, name, TIMES), rtol=1e-12)


@every_process
@pytest.mark.parametrize("asarray", [np.asarray, on_strict, on_torch])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_with_like_a_level_of_a_vector_holds_columns_that_scale_its_rows(process, asarray, dtype):
    """(B, 1, 1) for an x (B, H, W), in x's namespace, dtype and device."""
    x = asarray(np.zeros((3, 4, 5), dtype))
    level = process.at(TIMES, like=x)
    assert_array_equal(level.t, TIMES)  # which stays on the host
    for name in set(numbers(process)) - {"t"}:
        value = getattr(level, name)
        assert type(value) is type(x)
        assert (tuple(value.shape), value.dtype) == ((3, 1, 1), x.dtype)
        assert getattr(value, "device", None) == getattr(x, "device", None)
        expected = host(process, name, TIMES)
        assert_allclose(to_numpy(value)[:, 0, 0], expected, rtol=1e-12 if dtype is np.float64 else 1e-6)


@every_process
def test_with_like_a_level_of_a_number_still_holds_floats(process):
    level = process.at(0.5, like=np.zeros((3, 2), np.float32))
    assert all(type(getattr(level, name)) is float for name in numbers(process))


@every_process
def test_a_single_row_has_a_column_too(process):
    assert process.at([0.5], like=np.zeros((1, 2))).alpha.shape == (1, 1)
    assert process.at([0.5]).alpha.shape == (1,)


@every_process
def test_at_data_the_signal_to_noise_ratio_is_infinite(process):
    level = process.at(0.0)
    assert (level.alpha, level.sigma, level.snr, level.log_snr) == (1, 0, np.inf, np.inf)
    assert_array_equal(process.at([0.0, 0.5]).snr == np.inf, [True, False])


def test_where_no_signal_is_left_the_log_snr_is_minus_infinity():
    level = CHAINS[1].at(1.0)
    assert (level.alpha, level.snr, level.log_snr) == (0, 0, -np.inf)


@every_process
def test_a_level_knows_its_process_and_what_it_is_like(process):
    x = np.zeros((3, 2))
    assert process.at(0.5).process is process
    assert process.at(0.5).like is None
    assert process.at(TIMES, like=x).process is process
    assert process.at(TIMES, like=x).like is not None


@every_process
def test_a_level_pickles_and_copies(process):
    for level in (process.at(0.5), process.at(TIMES), process.at(TIMES, like=np.zeros((3, 2)))):
        for twin in (pickle.loads(pickle.dumps(level)), copy.deepcopy(level)):
            for name in numbers(process):
                assert_array_equal(getattr(twin, name), getattr(level, name))


def test_a_level_shows_its_process_and_time():
    assert "VP" in repr(td.VP().at(0.5))
    assert "0.5" in repr(td.VP().at(0.5))


# Levels of levels, and of rows


@every_process
def test_the_level_at_a_level_is_that_level(process):
    for level in (process.at(0.5), process.at(TIMES)):
        assert process.at(level) is level


@every_process
def test_a_level_of_an_equal_process_is_taken(process):
    """Two equal processes, or one that was pickled, are one."""
    twin = pickle.loads(pickle.dumps(process))
    level = twin.at(0.5)
    assert process.at(level) is level


def test_a_level_of_another_process_is_refused_and_both_are_named():
    with pytest.raises(ValueError, match=r"(?s)VP\(.*Cosine\(|Cosine\(.*VP\("):
        td.VP().at(td.Cosine().at(0.5))
    with pytest.raises(ValueError, match=r"(?s)beta_max=20.*beta_max=40|beta_max=40.*beta_max=20"):
        td.VP().at(td.VP(0.1, 40.0).at(0.5))


@every_process
def test_a_level_of_vectors_becomes_one_of_columns(process):
    """As where a level made on the host meets points of another library."""
    x = on_strict(np.zeros((3, 2)))
    level, expected = process.at(process.at(TIMES), like=x), process.at(TIMES, like=x)
    for name in numbers(process):
        assert_array_equal(to_numpy(getattr(level, name)), to_numpy(getattr(expected, name)), strict=True)


@every_process
@pytest.mark.parametrize("rows", [slice(1, 3), slice(0, 1), slice(None)], ids=str)
def test_a_level_of_some_rows(process, rows):
    """Of vectors and of columns, so that times follow their rows into chunks."""
    level = process.at(TIMES)[rows]
    for name in numbers(process):
        assert_array_equal(getattr(level, name), getattr(process.at(TIMES[rows]), name))
    x = on_strict(np.zeros((3, 2)))
    columns = process.at(TIMES, like=x)[rows]
    for name in numbers(process):
        expected = getattr(process.at(TIMES[rows], like=x[rows, ...]), name)
        assert_array_equal(to_numpy(getattr(columns, name)), to_numpy(expected), strict=True)


def test_the_rows_of_a_level_of_a_number_are_that_level():
    level = td.VP().at(0.5)
    assert level[1:3] is level


# Perturbing


@every_process
def test_perturb_is_alpha_x0_plus_sigma_eps_in_each_row(process, rng):
    """[DDPM 4], with one time for all rows or one for each, of any trailing shape."""
    x0, eps = rng.standard_normal((2, 3, 4, 5))
    alpha, sigma = process.alpha(TIMES), process.sigma(TIMES)
    rows = process.at(TIMES, like=x0).perturb(x0, eps)
    for i, t in enumerate(TIMES):
        assert_allclose(rows[i], alpha[i] * x0[i] + sigma[i] * eps[i], rtol=1e-14)
        assert_allclose(process.at(t).perturb(x0[i], eps[i]), rows[i], rtol=1e-14)


@every_continuous
def test_velocity_is_the_rate_of_perturb(process, rng):
    """α̇ x_0 + σ̇ ε, by a complex step of α and σ."""
    x0, eps = rng.standard_normal((2, 3, 4))
    rates = (np.imag(f(TIMES + 1e-30j)) / 1e-30 for f in (process.alpha, process.sigma))
    alpha_dot, sigma_dot = (rate[:, None] for rate in rates)
    velocity = process.at(TIMES, like=x0).velocity(x0, eps)
    assert_allclose(velocity, alpha_dot * x0 + sigma_dot * eps, rtol=1e-11, atol=1e-12)


@every_process
def test_float32_points_stay_float32(process, rng):
    """NumPy 2 would promote them without a word; the values are right to float32."""
    x, x0 = rng.standard_normal((2, 3, 4))
    x32, x032 = x.astype(np.float32), x0.astype(np.float32)
    for t, s in ((TIMES, TIMES / 2), (0.5, 0.25), (np.float64(0.5), np.float64(0.25)), (1, 0)):
        t, s = (process.nearest(np.asarray(each)) for each in (t, s))
        for then_like in (None, x032):
            now, then = process.at(t, like=x032), process.at(s, like=then_like)
            if then_like is None and np.ndim(s):
                continue
            c_t, c_0, _ = td.posterior(now, then)
            single = now.perturb(x032, x32), c_t * x32 + c_0 * x032
            c_t, c_0, _ = td.posterior(process.at(t, like=x0), process.at(s, like=x0))
            double = process.at(t, like=x0).perturb(x0, x), c_t * x + c_0 * x0
            for a, b in zip(single, double, strict=True):
                assert a.dtype == np.float32
                assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


def test_whole_numbers_are_not_multiplied_by_truncated_coefficients():
    """Columns like an array of integers would be 0 and 1."""
    x0, eps, t = np.array([[1, 2], [3, 4]]), np.zeros((2, 2)), np.array([0.1, 0.5])
    expected = td.VP().at(t, like=eps).perturb(x0.astype(float), eps)
    assert_allclose(td.VP().at(t, like=x0).perturb(x0, eps), expected)


@on_other_backends
@every_process
def test_points_may_live_on_another_backend(process, asarray, rng):
    """With times on the host perturb and the posterior give NumPy's numbers in the library of the points."""
    x, x0 = rng.standard_normal((2, 3, 4))
    s = process.nearest(TIMES / 2)

    def both(x, x0):
        now, then = process.at(TIMES, like=x), process.at(s, like=x)
        c_t, c_0, _ = td.posterior(now, then)
        return now.perturb(x0, x), c_t * x + c_0 * x0, process.at(0.5).perturb(x0, x)

    for here, there in zip(both(x, x0), both(asarray(x), asarray(x0)), strict=True):
        assert type(there) is type(asarray(x))
        assert_allclose(to_numpy(there), here, rtol=1e-13, atol=1e-15)


# Times that are refused


@every_process
@pytest.mark.parametrize("t", [-0.01, 1.01, 2, -1, np.nan, np.inf, [0.5, 1.5], np.array([-1.0, 0.0])], ids=repr)
def test_times_outside_the_unit_interval_are_refused(process, t):
    """A student who passes the step n for the time n/T must hear of it."""
    with pytest.raises(ValueError, match=r"t must lie in \[0, 1\].*Step n of T is t = n/T"):
        process.at(t)


@every_process
def test_times_off_by_a_rounding_are_the_ends(process):
    """As far as 1e-9 outside [0, 1]."""
    assert process.at(-1e-9).t == 0
    assert process.at(1 + 5e-10).t == 1
    assert_array_equal(process.at([-1e-10, 1 + 1e-10]).t, [0, 1])
    for t in (-2e-9, 1 + 2e-9):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            process.at(t)


@pytest.mark.parametrize("t", [0.0304, [0.03, 0.0304, 0.5], np.array([0.0304])], ids=repr)
def test_a_time_off_the_grid_names_its_neighbours(t):
    for process in (td.Discrete.linear(100), td.Discrete.cosine(100)):
        with pytest.raises(ValueError, match=r"0\.0304.*3/100 = 0\.03\b.*4/100 = 0\.04\b"):
            process.at(t)


@every_process
@pytest.mark.parametrize("n", [1, 2, 4])
def test_times_for_another_number_of_rows_are_refused(process, n):
    """One for each row; (1,) is not a number, and would broadcast in silence."""
    with pytest.raises(ValueError, match=rf"(?s){n}.*3|3.*{n}"):
        process.at(np.full(n, 0.5), like=np.zeros((3, 2)))


@pytest.mark.parametrize("t", [[[0.5], [0.5]], np.full((2, 1), 0.5), "0.5", None, True], ids=repr)
def test_what_is_neither_a_number_nor_a_vector_is_refused(t):
    with pytest.raises((ValueError, TypeError), match=r"\bt\b|time"):
        td.VP().at(t)


# Between two levels


def kernel(process, s, t):
    """(a, var) of q(x_t | x_s) from α and σ alone."""
    a = process.alpha(t) / process.alpha(s)
    return a, process.sigma(t) ** 2 - a**2 * process.sigma(s) ** 2


@every_process
def test_transition_is_for_numbers_vectors_and_columns(process):
    """a = α_t/α_s, var = σ_t² − a²σ_s² [VDM, App. A]: floats, float64 or columns, as the levels are."""
    s = process.nearest(TIMES / 2)
    expected = kernel(process, s, TIMES)
    for found, by_hand in zip(td.transition(process.at(TIMES), process.at(s)), expected, strict=True):
        assert found.dtype == np.float64
        assert_allclose(found, by_hand, rtol=1e-9)
    x = np.zeros((3, 2, 2), np.float32)
    columns = td.transition(process.at(TIMES, like=x), process.at(s, like=x))
    for found, by_hand in zip(columns, expected, strict=True):
        assert (found.shape, found.dtype) == ((3, 1, 1), np.float32)
        assert_allclose(found[:, 0, 0], by_hand, rtol=1e-6)
    for i, t in enumerate(TIMES):
        numbers = td.transition(process.at(t), process.at(s[i]))
        assert [type(c) for c in numbers] == [float, float]
        assert_allclose(numbers, [each[i] for each in expected], rtol=1e-9)


@every_process
def test_the_variance_of_a_posterior_is_one_number_for_each_row(process):
    s = process.nearest(TIMES / 2)
    _, _, var = td.posterior(process.at(TIMES), process.at(s))
    assert var.shape == (3,)
    for i, t in enumerate(TIMES):
        assert_allclose(var[i], td.posterior(process.at(t), process.at(s[i]))[2], rtol=1e-12)


@every_continuous
@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9])
def test_the_variance_of_a_short_transition_keeps_its_digits(process, step):
    """var → g² (t − s): σ_t² − a²σ_s² by subtraction keeps 7 of 16 digits at a step of 1e-9."""
    now, then = process.at(0.5), process.at(0.5 - step)
    elapsed = now.t - then.t  # as it is in floating point
    mean_rate = 0.5 * (now.g2 + then.g2)
    assert td.transition(now, then)[1] == pytest.approx(mean_rate * elapsed, rel=20 * step + 1e-6)


@every_process
def test_float32_columns_do_not_cancel(process):
    """The variance is worked out in float64 before it is cast."""
    t, s = process.nearest(np.array([0.5, 0.9])), process.nearest(np.array([0.49, 0.89]))
    x = np.zeros((2, 1), np.float32)
    var = td.transition(process.at(t, like=x), process.at(s, like=x))[1]
    assert_allclose(var[:, 0], td.transition(process.at(t), process.at(s))[1], rtol=1e-6)


@pytest.mark.parametrize("between", [td.transition, td.posterior])
@every_process
@pytest.mark.parametrize(("t", "s"), [(0, 0), (1, 1), (0, 1), ([1, 1], [0, 1]), (1, [0, 1]), (0.5, 0.51)], ids=repr)
def test_the_later_time_comes_first(between, process, t, s):
    """s < t in every row; equal times are refused too."""
    with pytest.raises(ValueError, match="now comes first, and then is earlier"):
        between(process.at(t), process.at(s))


@pytest.mark.parametrize("between", [td.transition, td.posterior])
def test_levels_of_two_processes_are_refused_and_both_are_named(between):
    with pytest.raises(ValueError, match=r"(?s)VP\(.*Cosine\(|Cosine\(.*VP\("):
        between(td.VP().at(0.5), td.Cosine().at(0.4))
    with pytest.raises(ValueError, match=r"(?s)T=100.*T=50|T=50.*T=100"):
        between(td.Discrete.linear(100).at(0.5), td.Discrete.linear(50).at(0.4))


@pytest.mark.parametrize("between", [td.transition, td.posterior])
@every_process
def test_levels_of_equal_processes_belong_together(between, process):
    twin = pickle.loads(pickle.dumps(process))
    assert between(process.at(0.5), twin.at(0.4)) == between(process.at(0.5), process.at(0.4))


# Whether two processes are one


@every_process
def test_a_process_is_the_same_as_its_copies(process):
    for twin in (process, copy.copy(process), copy.deepcopy(process), pickle.loads(pickle.dumps(process))):
        assert td.same_process(process, twin)


def test_processes_are_compared_by_their_numbers():
    """Not by their classes: a chain made twice, or a subclass that changes nothing, is the same."""

    class Renamed(td.VP):
        pass

    assert td.same_process(td.Discrete.linear(100), td.Discrete.linear(100))
    assert td.same_process(td.VP(), Renamed())
    assert td.same_process(td.VP(0.1, 20.0), td.VP())


def test_different_processes_differ():
    different = [*PROCESSES, td.VP(0.1, 20.1), td.VE(0.01, 51.0), td.Discrete.linear(50), td.Discrete.sigmoid(100)]
    for i, p in enumerate(different):
        for j, q in enumerate(different):
            assert td.same_process(p, q) is (i == j), (p, q)
