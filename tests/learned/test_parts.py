"""Parts of a batch: they are the batch, as even as can be, and come back in their order from however many threads."""

import threading
import warnings

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinydiff as td
from tinydiff.learned.parts import each, even_parts


@given(st.integers(0, 300), st.integers(1, 60))
@example(0, 1)
@example(60, 60)
@example(61, 60)
def test_parts_follow_one_another_are_even_and_few(n, most):
    parts = even_parts(n, most)
    np.testing.assert_array_equal(np.concatenate([np.arange(n)[rows] for rows in parts]), np.arange(n))
    sizes = [rows.stop - rows.start for rows in parts]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == 1 or (len(parts) - 1) * most < n


PARTS = even_parts(7, 1)


def test_answers_come_in_the_order_of_the_parts():
    """Though the first part is done last, by another thread than the caller's; one thread is the caller itself."""
    last, threads = threading.Event(), set()

    def answer(rows):
        threads.add(threading.current_thread())
        if rows.start == 0:
            last.wait(10)
        elif rows.start == 6:
            last.set()
        return rows.start

    assert each(answer, PARTS, 2) == list(range(7))
    assert threading.current_thread() not in threads
    threads.clear()
    last.set()
    assert each(answer, PARTS) == list(range(7))
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_reach_the_caller_and_its_errstate_the_threads(threads):
    def divide(rows):
        return np.ones(1) / np.float64(rows.start - 3)

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        each(divide, PARTS, threads)
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.simplefilter("error")
        assert each(divide, PARTS, threads)[3] == np.inf


@pytest.mark.parametrize("network", [td.TimeMLP(3, 6, 1, 4), td.Mixer((4, 3), 2, 6, 1, 4)], ids=["mlp", "mixer"])
def test_the_number_of_threads_changes_no_bit_of_an_answer(network, rng, monkeypatch):
    """And parts none but the last: each row has its own time and label, whichever part it is in."""
    theta, x = 0.3 * rng.standard_normal(network.size), rng.standard_normal((11, network.dim))
    model, t = td.NetworkDenoiser(network, theta, td.VP(), rng.integers(-1, 4, 11)), rng.uniform(0.1, 0.9, 11)
    whole = model(x, t)
    monkeypatch.setattr("tinydiff.learned.network.NUMBERS", 3 * network.widest)
    one, *more = (td.NetworkDenoiser(network, theta, td.VP(), threads=n).given(model.labels)(x, t) for n in (1, 2, 3))
    np.testing.assert_allclose(one, whole, rtol=1e-12, atol=1e-13)
    for answer in more:
        np.testing.assert_array_equal(answer, one)
