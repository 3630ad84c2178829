"""Many points in bounded memory: a hundred thousand samples and likelihoods, and the oracle of sixty thousand digits.

Memory is what tracemalloc sees, and NumPy reports every array to it: it is the same on each machine.
"""

import tracemalloc

import numpy as np
import pytest

import tinydiff as td

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
    """A step frees what it took: two of sampling and one of the likelihood keep to one gigabyte."""
    x = td.sample(model, MANY, steps=2, rng=rng)
    nats = td.log_likelihood(model, x, steps=1)
    assert x.shape == (MANY, 2)
    assert nats.shape == (MANY,)
    assert peak() < LIMIT


@pytest.mark.parametrize(
    ("make", "rows", "dim", "dtype"),
    [
        (lambda rng: learned(width=512, blocks=7), 20_000, 2, np.float32),  # two gigabytes at once; ten of 100,000 rows
        (lambda rng: td.Oracle(rng.random((60_000, 196), dtype=np.float32), PROCESS), 1000, 196, np.float32),
        (lambda rng: td.Oracle(rng.random((4096, 2)), PROCESS), 12_000, 2, np.float64),
    ],
    ids=["a network as wide as the digits", "sixty thousand digits, a quarter of each", "as many points as rows"],
)
def test_what_would_take_gigabytes_at_once_is_computed_in_chunks(make, rows, dim, dtype, peak, rng):
    """The layers of all rows, or their distances to all points of the data, with what is made of them."""
    make(rng).x0(rng.standard_normal((rows, dim), dtype=dtype), 0.3)
    assert peak() < LIMIT


@pytest.mark.parametrize("times", [0.3, np.linspace(0.1, 0.9, 50)], ids=["one time", "a time a row"])
@pytest.mark.parametrize("labels", [[-1], np.arange(50) % 3], ids=["one label", "a label a row"])
def test_what_is_computed_in_chunks_is_what_is_computed_at_once(times, labels, rng, monkeypatch):
    """Rows do not know of each other: a chunk has its own times, labels and cotangents."""
    x, u = rng.standard_normal((2, 50, 2))
    network = td.TimeMLP(2, 8, 2, classes=3)
    net = td.NetworkDenoiser(network, rng.standard_normal(network.size), PROCESS).given(labels)
    points = td.Oracle(rng.standard_normal((40, 2)), PROCESS, np.arange(40) % 3).given(labels)

    def all_of_it():
        yield points.log_density(x, times)
        for model in (net, points):
            yield from (model(x, times), model.x0(x, times))
            for y, pull in (model.linearize(x, times), model.linearize_x0(x, times)):
                yield from (y, pull(u))

    at_once = list(all_of_it())
    for size in (1, 7, 49):
        monkeypatch.setattr("tinydiff.learned.network.ROWS", size)
        monkeypatch.setattr("tinydiff.exact.oracle.Points.chunk", size)
        for one, other in zip(all_of_it(), at_once, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
