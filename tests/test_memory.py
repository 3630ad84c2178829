"""Many points in bounded memory: a hundred thousand samples and likelihoods, and the oracle of sixty thousand digits.

Memory is what tracemalloc sees, and NumPy reports every array to it: it is the same on each machine.
"""

import tracemalloc

import numpy as np
import pytest

import tinydiff as td
from tinydiff.backend import chunks

MANY = 100_000
LIMIT = 2**30
PROCESS = td.VP()


@pytest.fixture
def peak():
    """A function that gives the bytes held at most until it is called."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def learned(dim=2, classes=0, **shape):
    network = td.TimeMLP(dim, classes=classes, **shape)
    return td.NetworkDenoiser(network, network.init(np.random.default_rng(0)), PROCESS)


@pytest.mark.parametrize("model", [learned(), td.Oracle(td.toys.ring8(), PROCESS)], ids=["network", "oracle"])
def test_samples_and_their_likelihoods(model, peak, rng):
    """A step and the answer, and one step of the likelihood: a step frees what it took. All keep to one gigabyte."""
    x = td.sample(model, MANY, steps=2, rng=rng)
    nats = td.log_likelihood(model, x, steps=1)
    assert x.shape == (MANY, 2)
    assert nats.shape == (MANY,)
    assert peak() < LIMIT


def test_a_network_as_wide_as_the_digits(peak, rng):
    """Seven blocks of width 512: the layers of 20,000 rows at once would take two gigabytes, of 100,000 ten."""
    td.sample(learned(width=512, blocks=7), 20_000, steps=2, rng=rng)
    assert peak() < LIMIT


def test_the_oracle_of_sixty_thousand_digits(peak, rng):
    """The distances of 1,000 points to all digits would take two gigabytes with what is made of them."""
    digits = rng.random((60_000, 784), dtype=np.float32)
    td.Oracle(digits, PROCESS).x0(rng.standard_normal((1000, 784), dtype=np.float32), 0.3)
    assert peak() < LIMIT


def test_the_oracle_of_data_at_many_points(peak, rng):
    """As many as there are rows, a chunk of these at a time."""
    td.Oracle(rng.random((4096, 2)), PROCESS).x0(rng.standard_normal((MANY // 4, 2)), 0.3)
    assert peak() < LIMIT


def test_chunks_part_what_there_is_in_order():
    for n, size in ((0, 3), (1, 3), (6, 3), (7, 3)):
        parts = chunks(n, size)
        assert [i for part in parts for i in range(n)[part]] == list(range(n))
        assert all(part.stop - part.start <= size for part in parts)


@pytest.mark.parametrize("times", [0.3, np.linspace(0.1, 0.9, 50)], ids=["one time", "a time a row"])
@pytest.mark.parametrize("labels", [[-1], np.arange(50) % 3], ids=["one label", "a label a row"])
@pytest.mark.parametrize("size", [1, 7, 49])
def test_what_is_computed_in_chunks_is_what_is_computed_at_once(times, labels, size, rng, monkeypatch):
    """Rows do not know of each other: a chunk has its own times, labels and cotangents."""
    x, u = rng.standard_normal((2, 50, 2))
    network = td.TimeMLP(2, 8, 2, classes=3)
    net = td.NetworkDenoiser(network, rng.standard_normal(network.size), PROCESS).given(labels)
    points = td.Oracle(rng.standard_normal((40, 2)), PROCESS, np.arange(40) % 3).given(labels)

    def all_of_it():
        yield from (model(x, times) for model in (net, points))
        yield from (model.x0(x, times) for model in (net, points))
        yield points.log_density(x, times)
        for model in (net, points):
            for linearized in (model.linearize(x, times), model.linearize_x0(x, times)):
                yield linearized[0]
                yield linearized[1](u)

    at_once = list(all_of_it())
    monkeypatch.setattr("tinydiff.learned.network.ROWS", size)
    monkeypatch.setattr("tinydiff.exact.oracle.Points.chunk", size)
    for one, other in zip(all_of_it(), at_once, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
