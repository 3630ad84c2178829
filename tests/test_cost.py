"""A guard of cost without a clock: the Python calls and the arrays of one step, which are the same on every machine.

Calls are those of the library's own functions. Arrays are what NumPy makes anew from an array of the step's own: views,
and results that are written in place, cost nothing. A step may take a tenth more than is written here; where it takes a
tenth less, the number here is out of date.
"""

import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td

LIBRARY = str(Path(td.__file__).parent)


class Counted(np.ndarray):
    """An array that counts the arrays made from it."""

    made = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        Counted.made += 0 if out else ufunc.nout
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        given = {"out": tuple(x.view(np.ndarray) for x in out)} if out else {}
        result = getattr(ufunc, method)(*plain, **given, **options)
        return out[0] if out else result.view(Counted) if isinstance(result, np.ndarray) else result

    def __array_function__(self, function, types, args, kwargs):
        before, result = Counted.made, super().__array_function__(function, types, args, kwargs)
        is_new = isinstance(result, np.ndarray) and result.base is None
        Counted.made = max(Counted.made, before + is_new)  # np.sum makes the array that np.add.reduce has counted
        return result


@contextmanager
def counting():
    """A list that holds, after the block, how many calls and arrays there were in it."""
    calls, found = [], []

    def count(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(LIBRARY):
            calls.append(frame.f_code)

    before, Counted.made = sys.getprofile(), 0
    sys.setprofile(count)
    try:
        yield found
    finally:
        sys.setprofile(before)
        found += [len(calls), Counted.made]


NETWORK = td.TimeMLP(2, width=8, blocks=2)
RING = td.toys.ring8()
X = np.random.default_rng(0).standard_normal((4, 2)).view(Counted)


@pytest.fixture
def model():
    """A network whose parameters are counted too."""
    theta = NETWORK.init(np.random.default_rng(0), np.float64)
    return td.NetworkDenoiser(NETWORK, theta.view(Counted), td.VP())


def third(walk):
    """What the third of its steps costs, when all that is made once has been made."""
    for _ in range(2):
        next(walk)
    with counting() as found:
        next(walk)
    return found


def training_step(model):
    *_, state = td.train(NETWORK, model.process, RING, steps=1, batch=16, rng=0)
    theta, ema, mu, nu = (a.view(Counted) for a in (state.theta, state.ema, state.optimizer.mu, state.optimizer.nu))
    state = state._replace(theta=theta, ema=ema, optimizer=state.optimizer._replace(mu=mu, nu=nu))
    return third(td.train(NETWORK, model.process, RING, steps=9, batch=16, rng=0, state=state))


def sampling_step(model):
    return third(td.ddim(model, X, td.grids.even_log_snr(model.process, 5)))


def stochastic_step(model):
    return third(td.euler_maruyama(model, X, td.grids.even_log_snr(model.process, 5), rng=0))


def likelihood_step(model):
    """One step more."""
    found = []
    for steps in (4, 5):
        with counting() as each:
            td.log_likelihood(model, X, steps=steps)
        found.append(each)
    return np.subtract(*found[::-1])


@pytest.mark.parametrize(
    ("step", "calls", "arrays"),
    [(training_step, 471, 93), (sampling_step, 123, 39), (stochastic_step, 166, 38), (likelihood_step, 857, 312)],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_a_step_costs_no_more_than_it_did(step, calls, arrays, model):
    found = step(model)
    for what, now, before in zip(("calls", "arrays"), found, (calls, arrays), strict=True):
        assert now <= 1.1 * before, f"{now} {what}, {before} before: what costs more?"
        assert now >= 0.9 * before, f"{now} {what}: write that in the place of {before}"


def test_the_counter_counts_what_is_made_anew():
    x = np.arange(4.0).view(Counted)
    with counting() as found:
        y = x + 1  # one
        y *= 2
        np.exp(y, out=y)
        y[1:].reshape((3, 1))
        np.stack([np.sum(x, keepdims=True), y[:1]])  # two
        td.grids.even_time(td.VP(), 2)
    assert found[1] == 3
    assert found[0] > 0
