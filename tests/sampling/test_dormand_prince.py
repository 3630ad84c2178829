"""Dormand & Prince's pair: its order, its steps and what they cost, on equations whose solutions are known."""

import contextlib
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff.sampling import dormand_prince
from tinydiff.sampling.dormand_prince import rk45
from tinydiff.testing import assert_order

# From the paper, and not from the code.
NODES = (0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1)
FIFTH = (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0)
FOURTH = (5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40)


def test_its_numbers_are_the_papers():
    """The weights of a stage sum to its node; those of the last are the result's, and the seventh slope has none."""
    assert_allclose([sum(row) for row in dormand_prince.STAGES], dormand_prince.NODES, rtol=1e-14)
    assert_allclose(dormand_prince.NODES, NODES[1:], rtol=1e-15)
    assert_allclose(dormand_prince.STAGES[-1], FIFTH[:-1], rtol=1e-15)
    assert_allclose(dormand_prince.ERROR, np.subtract(FIFTH, FOURTH), rtol=1e-13)


def test_its_result_is_of_order_5():
    """ẋ = x (1 − x) cos t has x = 1/(1 + (1/x_0 − 1) exp(−sin t)). With no limit to the error a step is an interval.

    But for the first, which it enters in four.
    """

    def end(n):
        walk = rk45(lambda x, t: np.cos(t) * x * (1 - x), np.array([[0.1]]), list(np.linspace(0, 2, n + 1)), 0.0, 1e9)
        return td.last(walk)[1]

    assert_order(end, np.array([[1 / (1 + 9 * math.exp(-math.sin(2)))]]), 5, steps=(32, 64))


@pytest.mark.parametrize("start", [0.2, 2.9])
def test_the_error_decides_the_steps(start):
    """Replayed from the slopes that it saw: which steps it takes, and how long the next one is.

    A sudden bend makes it try again. All x tend to ½π, from either side, so that the larger of |x| and |x_new| is
    now the one and now the other.
    """
    seen, rates = [], np.array([[1.0, 2.0], [0.5, 3.0], [1.5, 0.0]])

    def f(x, t):
        seen.append((t, x, rates * np.cos(x) * (0.1 + 30 * math.exp(-(((t - 0.5) / 0.01) ** 2)))))
        return seen[-1][2]

    ts, rtol, atol = [0.0, 0.4, 1.0], 1e-5, 1e-7
    assert [t for t, _ in rk45(f, np.full((3, 2), start), ts, rtol, atol)] == ts
    (t, x, slope), h, goals, growths = seen[0], 0.4 / 100, [0.4, 1.0], []
    assert t == 0
    for i in range(1, len(seen), 6):
        cut = h >= (goals[0] - t) * (1 - 1e-9)
        step = goals[0] - t if cut else h
        times, points, slopes = zip((t, x, slope), *seen[i : i + 6], strict=True)
        assert_allclose(times, t + step * np.array(NODES), atol=1e-13)
        end = points[-1]
        error = step * sum((b - c) * k for b, c, k in zip(FIFTH, FOURTH, slopes, strict=True))
        scaled = error / (atol + rtol * np.maximum(np.abs(x), np.abs(end)))
        worst = np.sqrt(np.max(np.mean(scaled**2, axis=1)))
        growths.append(0.9 * worst**-0.2)
        proposed = step * min(5.0, max(0.2, growths[-1]))
        h = max(h, proposed) if cut and worst <= 1 else proposed
        if worst <= 1:
            t, x, slope = times[-1], end, slopes[-1]
        if t == goals[0]:
            goals.pop(0)
    assert goals == []
    assert min(growths) < 0.9
    assert max(growths) > 5


def test_steps_where_the_error_is_known():
    """Of the slope t⁴ it is ε h⁵ wherever the step lies, so that the next step is .9 (atol/ε)^{1/5}, or 5 h.

    With atol = ε/10⁵ a first step of .11 fails by a factor of 1.6, and in the second interval, 5 % longer than the
    error allows, there are two. The last of them, cut short, leaves the step as it was. Of a step of 1 the error is
    10⁵ times too large, for a growth of .09: it takes .2.
    """
    nodes, differences = np.array(NODES), np.subtract(FIFTH, FOURTH)
    atol = abs(np.sum(differences * nodes**4)) * 1e-5

    def attempts(ts):
        seen = []
        with contextlib.suppress(ValueError):  # far out t⁵/5 is so large that atol is below its rounding
            td.last(rk45(lambda x, t: seen.append(t) or t**4 + 0 * x, np.zeros((2, 3)), ts, 0.0, atol))
        assert seen.pop(0) == ts[0]
        times = np.reshape(seen[: len(seen) // 6 * 6], (-1, 6))
        return (times[:, -1] - times[:, 0]) / 0.8

    expected = [0.11, *[0.09] * 122, 0.02, 0.09, 0.0045, 0.09, 0.09, 0.02]
    assert_allclose(attempts([-5.5, 5.5, 5.5945, 5.7945]), expected, rtol=1e-3, atol=2e-5)
    assert_allclose(attempts([-5.0, 95.0])[:4], [1, 0.2, 0.09, 0.09], rtol=1e-3)


@pytest.mark.parametrize("ts", [[0.5, 0.4], [0.1, 0.9], [0.9, 0.5, 0.2], [0.05, 0.06, 0.5, 0.95]], ids=str)
def test_it_lands_on_the_times_asked_for(ts, rng):
    """Falling or rising; the last two slopes of an interval are taken there too, and never beyond."""
    times = []

    def line(x, t):
        times.append(t)
        return 1 + 0 * x

    x = rng.standard_normal((3, 2))
    for goal, (t, y) in zip(ts, rk45(line, x, ts, 1e-6, 1e-6), strict=True):
        assert t == goal
        assert_allclose(y, x + (t - ts[0]), rtol=1e-13, atol=1e-14)
    assert set(ts) <= set(times)
    assert min(ts) == min(times)
    assert max(ts) == max(times)


def test_evaluations():
    """Six for each step and one more: of a constant slope it takes a 100th, a 20th, a quarter and the rest.

    The time after that is reached in one step, though it is farther than the five times allowed by rounding.
    """
    seen = []
    for ts in ([1.0, 0.5], [1.0, 0.5, 0.4], [0.0, 0.1, 0.1 + 5 * 0.069 * (1 + 1e-10)]):
        seen.clear()
        td.last(rk45(lambda x, t: seen.append(t) or 1 + 0 * x, np.ones((1, 1)), ts, 1e-6, 1e-6))
        assert len(seen) == 6 * (4 + len(ts) - 2) + 1


@pytest.mark.parametrize("slope", [lambda x, t: math.nan * x, lambda x, t: x * x], ids=["nan", "pole at t = 1"])
def test_where_no_step_is_short_enough_it_says_so(slope):
    """Slopes that are not numbers, and ẋ = x², whose solution 1/(1 − t) ends within the interval."""
    calls = []
    with pytest.raises(FloatingPointError, match="rk45 found no step at t = "):
        td.last(rk45(lambda x, t: calls.append(t) or slope(x, t), np.ones((2, 1)), [0.0, 1.5], 1e-5, 1e-5))
    assert len(calls) < 5000


def test_a_step_that_leaves_the_domain_is_tried_again_shorter():
    """ẋ = −min(1, 5x) brings x to 0 and never below, where a step too long goes and its slope is not a number."""
    slopes = []

    def f(x, t):
        slopes.append(np.where(x > 0, -np.minimum(1, 5 * x), math.nan))
        return slopes[-1]

    end = td.last(rk45(f, np.ones((1, 1)), [0.0, 2.0], 1e-8, 1e-8))[1]
    assert np.any(np.isnan(slopes))
    assert_allclose(end, 0.2 * math.exp(-5 * (2 - 0.8)), rtol=1e-4)


@pytest.mark.parametrize(("kind", "least"), [(np.float32, "1.2e-06"), (np.float64, "2.2e-15")])
@pytest.mark.parametrize("start", [1e5, 0.0])
def test_a_tolerance_below_rounding_is_named(kind, least, start):
    """Steps whose error is rounding would crawl on: ten roundings are the least that is taken, wherever x goes."""

    def f(x, t):
        return 100 * np.cos(3 * x + t)

    with pytest.raises(ValueError, match=f"must allow ten roundings: rtol ≥ {least} for {kind.__name__}"):
        td.last(rk45(f, np.full((1, 1), start, kind), [0.0, 1.0], 0.0, 1e-18))


def test_times_may_lie_close_together():
    times = [0.5, 0.5 + 1e-11, 0.6]
    assert [t for t, _ in rk45(lambda x, t: -x, np.ones((1, 1)), times, 1e-5, 1e-5)] == times
