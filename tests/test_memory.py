"""Many points in bounded memory: a hundred thousand samples and likelihoods, and the oracle of sixty thousand digits.

Memory is what tracemalloc sees, and NumPy reports every array to it: it is the same on each machine.
"""

import tracemalloc

import numpy as np
import pytest
import scipy.stats  # noqa: F401 - a metric imports it, which takes seconds while memory is traced

import tinydiff as td
from tinydiff.exact.points import Points

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


def mixture(k):
    return td.GaussianMixture(
        np.full(k, 1 / k), np.linspace([-1, 1], [1, 0], k), [0.04 * np.eye(2)] * k, np.arange(k) % 3
    )


@pytest.mark.parametrize("times", [0.3, np.linspace(0.1, 0.9, 50)], ids=["one time", "a time a row"])
@pytest.mark.parametrize("labels", [[-1], np.arange(50) % 3], ids=["one label", "a label a row"])
def test_what_is_computed_in_chunks_is_what_is_computed_at_once(times, labels, rng, monkeypatch):
    """Rows do not know of each other: a chunk has its own times, labels, probes and cotangents."""
    x, u = rng.standard_normal((2, 50, 2))
    network, data, now = td.TimeMLP(2, 8, 2, classes=3), rng.standard_normal((40, 2)), PROCESS.at(times, like=x)
    theta, probes = rng.standard_normal(network.size), np.sign(rng.standard_normal((2, 50, 2)))

    def all_of_it():
        oracles = td.Oracle(data, PROCESS, np.arange(40) % 3), td.Oracle(mixture(6), PROCESS)
        for model in (td.NetworkDenoiser(network, theta, PROCESS), *oracles):
            own = model.given(labels)
            yield from (own(x, times), own.x0(x, times), td.log_likelihood(own, x, probes=probes, steps=1))
            for y, pull in (own.linearize(x, times), own.linearize_x0(x, times)):
                yield from (y, pull(u))
        for oracle in oracles:
            own = oracle.given(labels)
            yield from (own.log_density(x, times), own.score(x, times))
            yield own.data.x0_mean(x, now.alpha, now.sigma)
        yield from own.data.x0_posterior(x, now.alpha, now.sigma)
        yield from (mixture(6).sample(0, 50), td.mode_coverage(mixture(6), x, rng=0).counts)
        yield np.array([td.sliced_w2(x, u, rng=0), td.energy_distance(x, u), *td.memorisation(x, u, u)])

    at_once = list(all_of_it())
    for size in (3, 49):
        monkeypatch.setattr("tinydiff.learned.network.NUMBERS", 8 * size)
        monkeypatch.setattr(td.Denoiser, "chunk", size)
        monkeypatch.setattr(Points, "chunk", size)
        monkeypatch.setattr(Points, "block", size)
        monkeypatch.setattr("tinydiff.exact.mixture.NUMBERS", 6 * 2 * size)
        monkeypatch.setattr("tinydiff.evaluation.metrics.NUMBERS", 50 * size)
        for one, other in zip(all_of_it(), at_once, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def of_oracle(data):
    """What an exact denoiser says of rows x, and what is made of that."""
    model, t = td.Oracle(data, PROCESS, *([np.arange(len(data)) % 3] if isinstance(data, np.ndarray) else [])), 0.3
    return {
        "eps": lambda x: model(x, t),
        "eps, a time a row": lambda x: model(x, np.linspace(0.1, 0.9, len(x))),
        "x0": lambda x: model.x0(x, t),
        "x0, a time a row": lambda x: model.x0(x, np.linspace(0.1, 0.9, len(x))),
        "score": lambda x: model.score(x, t),
        "log_density": lambda x: model.log_density(x, t),
        "linearize": lambda x: model.linearize(x, t)[1](x),
        "linearize_x0": lambda x: model.linearize_x0(x, t)[1](x),
        "marginal, log_density": lambda x: model.marginal(t).log_density(x),
        "marginal, score": lambda x: model.marginal(t).score(x),
        "marginal, sample": lambda x: model.marginal(t).sample(0, len(x)),
        "log_p": lambda x: model.log_p(x, t),
        "grad_log_p": lambda x: model.grad_log_p(1)(x, t),
        "floor": lambda x: model.floor(t, 0, len(x)),
        "td.sample": lambda x: td.sample(model, len(x), steps=2, rng=0),
        "log_likelihood": lambda x: td.log_likelihood(model, x, steps=1),
        "elbo": lambda x: td.elbo(model, x, [0.9, 0.1], 0).nats,
        "denoising": lambda x: td.denoising(model, model, t, n=len(x), rng=0),
    }


def of_mixture(data):
    """What a mixture alone has."""
    return {
        "sample": lambda x: data.sample(0, len(x)),
        "entropy": lambda x: data.entropy(0, len(x)),
        "x0_posterior": lambda x: data.x0_posterior(x, 0.8, 0.6),
        "mode_coverage": lambda x: td.mode_coverage(data, x, rng=0),
        "kl_from_truth": lambda x: td.kl_from_truth(td.Oracle(data, PROCESS), data, n=len(x), steps=1, rng=0),
    }


def of_points(y):
    """Distances between samples."""
    return {
        "energy_distance": lambda x: td.energy_distance(x, y),
        "mmd": lambda x: td.mmd(x, y, bandwidth=1.0),
        "nearest": lambda x: td.nearest(x, y),
        "memorisation": lambda x: td.memorisation(x, y, y),
        "sliced_w2": lambda x: td.sliced_w2(x, x, rng=0, directions=len(y)),
    }


def points(n):
    return np.random.default_rng(0).standard_normal((n, 2))


@pytest.mark.parametrize(
    ("make", "of"), [(mixture, of_oracle), (mixture, of_mixture), (points, of_oracle), (points, of_points)],
    ids=["the oracle of a mixture", "a mixture", "the oracle of a data set", "distances"],
)  # fmt: skip
def test_memory_grows_with_rows_and_with_points_and_never_with_their_product(make, of, peak, monkeypatch):
    """Four times the rows and the points take about four times the memory, and less than one number for each pair.

    A product would take sixteen times as much. Chunks are small here, so that few points are many chunks.
    """
    monkeypatch.setattr(Points, "block", 64)
    monkeypatch.setattr("tinydiff.exact.mixture.NUMBERS", 2**13)
    monkeypatch.setattr("tinydiff.evaluation.metrics.NUMBERS", 2**13)
    rows, n = 250, 48
    for (name, few), many in zip(of(make(n)).items(), of(make(4 * n)).values(), strict=True):
        few(points(10))  # what is imported, or made once
        found = []
        for call, x in ((few, points(rows)), (many, points(4 * rows))):
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            call(x)
            found.append(peak() - before)
        assert found[1] < 6 * found[0], f"{name}: {found} bytes"
        assert found[1] < 8 * 4 * rows * 4 * n, f"{name}: {found[1]} bytes"
