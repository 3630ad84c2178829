"""Levels: a process at one time, checked, cast and shaped once; and what holds between two of them.

The expected value of α, σ and the rest is what the process gives on the host; tests/identities holds the formulas.
"""

import copy
import pickle
from dataclasses import dataclass

import array_api_strict as strict
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.backend import to_numpy

CONTINUOUS = [td.VP(), td.VE(), td.Cosine()]
PROCESSES = [*CONTINUOUS, td.Discrete.cosine(100).zero_terminal_snr()]
TIMES = np.array([0.9, 0.5, 0.02])
EARLIER = np.array([0.45, 0.25, 0.01])

every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)
every_continuous = pytest.mark.parametrize("process", CONTINUOUS, ids=repr)
either_way = pytest.mark.parametrize("between", [td.transition, td.posterior])


def on_strict(a):
    return strict.asarray(np.asarray(a), device=strict.Device("device1"))


def host(process, t):
    """What a level of this process knows, by the process's functions on the host."""
    known = {"t": t, "alpha": process.alpha(t), "sigma": process.sigma(t), "log_snr": process.log_snr(t)}
    known["snr"] = (known["alpha"] / known["sigma"]) ** 2
    if not isinstance(process, td.Discrete):
        known |= {"f": process.f(t), "g2": process.g2(t)}
    return known


# What a level holds


@every_process
def test_a_level_of_a_number_holds_floats(process):
    """Whatever kind of number t is, and whatever it is like, so that they scale arrays without promoting them."""
    for t in (0.5, np.float64(0.5), np.float32(0.5), np.asarray(0.5), on_strict(0.5)):
        for level in (process.at(t), process.at(t, like=np.zeros((3, 2), np.float32))):
            for name, expected in host(process, 0.5).items():
                assert type(getattr(level, name)) is float
                assert getattr(level, name) == pytest.approx(float(expected), rel=1e-12)
    for t in (0, 1, np.int64(1)):
        assert type(process.at(t).t) is float
        assert (process.at(t).alpha, process.at(t).sigma) == (process.at(float(t)).alpha, process.at(float(t)).sigma)


@every_process
@pytest.mark.parametrize("kind", [list, tuple, np.asarray, on_strict])
def test_a_level_of_a_vector_holds_vectors_in_float64(process, kind):
    """(B,), on the host, from a list or an array of any library."""
    level = process.at(kind(TIMES))
    for name, expected in host(process, TIMES).items():
        value = getattr(level, name)
        assert type(value) is np.ndarray
        assert (value.shape, value.dtype) == ((3,), np.float64)
        assert_allclose(value, expected, rtol=1e-12)


@every_process
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("asarray", [np.asarray, on_strict])
def test_with_like_a_level_of_a_vector_holds_columns_that_scale_its_rows(process, asarray, dtype):
    """(B, 1, 1) for an x (B, H, W), in x's namespace, dtype and device; also from a level that was made without x."""
    x = asarray(np.zeros((3, 4, 5), dtype))
    for level in (process.at(TIMES, like=x), process.at(process.at(TIMES), like=x)):
        assert_array_equal(level.t, TIMES)  # which stays on the host
        for name, expected in host(process, TIMES).items():
            value = getattr(level, name)
            if name != "t":
                assert type(value) is type(x)
                assert (tuple(value.shape), value.dtype) == ((3, 1, 1), x.dtype)
                assert getattr(value, "device", None) == getattr(x, "device", None)
                assert_allclose(to_numpy(value)[:, 0, 0], expected, rtol=1e-12 if dtype is np.float64 else 1e-6)
    assert process.at([0.5], like=x[:1, ...]).alpha.shape == (1, 1, 1)


@every_process
def test_at_data_the_signal_to_noise_ratio_is_infinite_and_without_signal_zero(process):
    level = process.at(0.0)
    assert (level.alpha, level.sigma, level.snr, level.log_snr) == (1, 0, np.inf, np.inf)
    assert_array_equal(process.at([0.0, 0.5]).snr == np.inf, [True, False])
    end = PROCESSES[-1].at(1.0)
    assert (end.alpha, end.snr, end.log_snr) == (0, 0, -np.inf)


def test_a_level_shows_its_process_and_time():
    assert repr(td.VP().at(0.5)) == "Level(VP(beta_min=0.1, beta_max=20.0), t=0.5)"


# Levels of levels, and of rows


@every_process
def test_the_level_at_a_level_is_that_level(process):
    """Of the process itself, or of one that is equal, as one that was pickled."""
    for level in (process.at(0.5), process.at(TIMES), pickle.loads(pickle.dumps(process)).at(0.5)):
        assert process.at(level) is level
    assert process.at(0.5)[1:3].alpha == process.at(0.5).alpha


@every_process
@pytest.mark.parametrize("rows", [slice(1, 3), slice(0, 1), slice(None)], ids=str)
def test_a_level_of_some_rows(process, rows):
    """Of vectors and of columns, so that times follow their rows into chunks."""
    x = on_strict(np.zeros((3, 2)))
    for level, expected in (
        (process.at(TIMES), process.at(TIMES[rows])),
        (process.at(TIMES, like=x), process.at(TIMES[rows], like=x[rows, ...])),
    ):
        for name in host(process, TIMES):
            assert_array_equal(to_numpy(getattr(level[rows], name)), to_numpy(getattr(expected, name)), strict=True)


def test_levels_of_two_processes_are_refused_and_both_are_named():
    for mix in (lambda now, then: now.process.at(then), td.transition, td.posterior):
        with pytest.raises(ValueError, match=r"(?s)VP\(.*Cosine\(|Cosine\(.*VP\("):
            mix(td.VP().at(0.5), td.Cosine().at(0.4))
    with pytest.raises(ValueError, match=r"(?s)beta_max=20.*beta_max=40|beta_max=40.*beta_max=20"):
        td.VP().at(td.VP(0.1, 40.0).at(0.5))


# Perturbing


@every_process
def test_float32_points_stay_float32(process, rng):
    """NumPy 2 would promote them without a word; the values are right to float32."""
    x, x0 = rng.standard_normal((2, 3, 4))

    def results(x, x0):
        for t, s in ((TIMES, EARLIER), (0.5, 0.25), (np.float64(0.5), np.float64(0.25)), (1, 0)):
            now, then = process.at(t, like=x), process.at(s, like=x)
            c_t, c_0, _ = td.posterior(now, then)
            yield now.perturb(x0, x)
            yield c_t * x + c_0 * x0

    for single, double in zip(results(np.float32(x), np.float32(x0)), results(x, x0), strict=True):
        assert single.dtype == np.float32
        assert_allclose(single, double, rtol=1e-5, atol=1e-5 * np.abs(double).max())


def test_whole_numbers_are_not_multiplied_by_truncated_coefficients():
    """Columns like an array of integers would be 0 and 1."""
    x0, eps, t = np.array([[1, 2], [3, 4]]), np.zeros((2, 2)), np.array([0.1, 0.5])
    expected = td.VP().at(t, like=eps).perturb(x0.astype(float), eps)
    assert_allclose(td.VP().at(t, like=x0).perturb(x0, eps), expected)


@every_continuous
def test_velocity_is_the_rate_of_perturb(process, rng):
    """α̇ x_0 + σ̇ ε, by a complex step of α and σ, with one time for all rows or one for each."""
    x0, eps = rng.standard_normal((2, 3, 4))
    alpha_dot, sigma_dot = (np.imag(f(TIMES + 1e-30j))[:, None] / 1e-30 for f in (process.alpha, process.sigma))
    expected = alpha_dot * x0 + sigma_dot * eps
    assert_allclose(process.at(TIMES).velocity(x0, eps), expected, rtol=1e-11, atol=1e-12)
    assert_allclose(process.at(TIMES[0]).velocity(x0[0], eps[0]), expected[0], rtol=1e-11, atol=1e-12)


# Times that are refused


@every_process
@pytest.mark.parametrize("t", [-2e-9, 1 + 2e-9, 2, np.nan, np.inf, [0.5, 1.5], np.array([-1.0, 0.0])], ids=repr)
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


@pytest.mark.parametrize("t", [0.0304, [0.03, 0.0304, 0.5]], ids=repr)
def test_a_time_off_the_grid_names_its_neighbours(t):
    with pytest.raises(ValueError, match=r"0\.0304.*3/100 = 0\.03\b.*4/100 = 0\.04\b"):
        PROCESSES[-1].at(t)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_times_for_another_number_of_rows_are_refused(n):
    """One for each row; (1,) is not a number, and would broadcast in silence."""
    with pytest.raises(ValueError, match=f"one for each of 3 rows; got {n} times"):
        td.VP().at(np.full(n, 0.5), like=np.zeros((3, 2)))


@pytest.mark.parametrize("t", [np.full((2, 1), 0.5), "0.5", None, True], ids=repr)
def test_what_is_neither_a_number_nor_a_vector_is_refused(t):
    with pytest.raises((ValueError, TypeError), match=r"\bt\b|time"):
        td.VP().at(t)


# Between two levels


@every_process
def test_coefficients_between_levels_are_numbers_vectors_or_columns_as_these_are(process):
    """In float32 columns too the variance is worked out in float64: σ_t² − a²σ_s² would cancel."""
    s = TIMES - 0.01
    for between in (td.transition, td.posterior):
        vectors = between(process.at(TIMES), process.at(s))
        columns = between(*(process.at(times, like=np.zeros((3, 2, 2), np.float32)) for times in (TIMES, s)))
        numbers = [between(process.at(t), process.at(u)) for t, u in zip(TIMES, s, strict=True)]
        assert {type(c) for row in numbers for c in row} == {float}
        for vector, column, row in zip(vectors, columns, np.transpose(numbers), strict=True):
            assert (vector.shape, vector.dtype) == ((3,), np.float64)
            assert (column.shape, column.dtype) == ((3, 1, 1), np.float32)
            assert_allclose(vector, row, rtol=1e-12)
            assert_allclose(column[:, 0, 0], row, rtol=1e-6)


@every_continuous
@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9])
def test_the_variance_of_a_short_transition_keeps_its_digits(process, step):
    """var → g² (t − s): σ_t² − a²σ_s² by subtraction keeps 7 of 16 digits at a step of 1e-9."""
    now, then = process.at(0.5), process.at(0.5 - step)
    elapsed = now.t - then.t  # as it is in floating point
    mean_rate = 0.5 * (now.g2 + then.g2)
    assert td.transition(now, then)[1] == pytest.approx(mean_rate * elapsed, rel=20 * step + 1e-6)


@either_way
@every_process
@pytest.mark.parametrize(("t", "s"), [(0, 0), (1, 1), (0, 1), ([1, 1], [0, 1]), (1, [0, 1]), (0.5, 0.51)], ids=repr)
def test_the_later_time_comes_first(between, process, t, s):
    """s < t in every row; equal times are refused too."""
    with pytest.raises(ValueError, match="now comes first, and then is earlier"):
        between(process.at(t), process.at(s))


# Whether two processes are one


def test_processes_are_compared_by_their_numbers():
    """Not by their classes: a chain made twice, a copy, or a subclass that changes nothing, is the same."""

    class Renamed(td.VP):
        pass

    assert td.same_process(td.VP(), Renamed())
    chains = [td.Discrete.linear(50), td.Discrete([0.1, 0.2]), td.Discrete([0.1, 0.21])]
    different = [*PROCESSES, *chains, td.VP(0.1, 20.1), td.VE(0.01, 51.0)]
    for i, p in enumerate(different):
        for j, q in enumerate(copy.deepcopy(different)):
            assert td.same_process(p, q) is (i == j), (p, q)


def test_processes_with_tables_and_chains_are_compared_too():
    """Arrays among the fields have no answer to ==; a chain has no values between its steps."""

    @dataclass(frozen=True)
    class Tabled(td.Process):
        ends: np.ndarray

        def alpha(self, t):
            return 1 - self.ends[0] * t

        def sigma(self, t):
            return self.ends[1] * t

    class FromHalf(td.VP):
        t_min, t_max = 0.5, 1.0

    ends = np.array([0.9, 1.0])
    assert td.same_process(Tabled(ends), Tabled(ends.copy()))
    assert not td.same_process(Tabled(ends), Tabled(ends / 2))
    assert not td.same_process(FromHalf(), td.Discrete([0.1, 0.2]))
