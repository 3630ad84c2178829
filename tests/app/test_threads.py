"""A batch in parts: the loss and gradient of the whole, in the same bits however many threads share the parts."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydiff as td
from tinydiff.app.parallel import cores, in_parts
from tinydiff.learned import network as networks
from tinydiff.learned.classifier import cross_entropy
from tinydiff.learned.objective import loss_and_grad

KINDS = {
    "plain": (td.TimeMLP(2, 6, 1), loss_and_grad),
    "of classes": (td.TimeMLP(2, 6, 1, 3), loss_and_grad),
    "mixer": (td.Mixer((4, 3), 2, 5, 1, 3), loss_and_grad),
    "classifier": (td.TimeMLP(2, 6, 1, outputs=3), lambda *given: cross_entropy(*given[:6])),
}


def batch_of(seed, n, network, dtype=np.float64):
    """What an objective is given: (network, θ, now, x0, ε, labels, weight)."""
    rng = np.random.default_rng(seed)
    theta = 0.3 * rng.standard_normal(network.size).astype(dtype)
    x0, eps = rng.standard_normal((2, n, network.dim)).astype(dtype)
    labels = rng.integers(0, 3, n) if network.classes or network.outputs else None
    now = td.VP().at(rng.uniform(0.1, 0.9, n), like=x0)
    return network, theta, now, x0, eps, labels, td.objective.min_snr_weight


@given(st.integers(2, 12), st.integers(1, 4), st.sampled_from(sorted(KINDS)), st.integers(0, 9))
def test_parts_add_up_to_the_batch_however_many_threads_share_them(n, most, kind, seed):
    """∂L/∂θ = Σ_r (B_r/B) ∂L_r/∂θ, for any objective, weight of times and unequal parts."""
    network, objective = KINDS[kind]
    arguments = batch_of(seed, n, network)
    loss, grad = objective(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "NUMBERS", most * network.widest)
        (its_loss, its_grad), *more = (in_parts(threads, objective)(*arguments) for threads in (1, 2, 3))
    assert its_loss == pytest.approx(loss, rel=1e-13)
    assert np.linalg.norm(its_grad - grad) <= 1e-13 * np.linalg.norm(grad)
    assert its_grad.dtype == grad.dtype
    for other, other_grad in more:
        assert other == its_loss
        np.testing.assert_array_equal(other_grad, its_grad)


def test_a_batch_of_one_part_is_the_objectives_as_it_is():
    """With the very arguments, none of them copied; a batch of more rows than fit is not."""
    calls = []

    def objective(*given):
        calls.append(given)
        return 0.0, np.zeros(1)

    network = td.TimeMLP(networks.NUMBERS // 3, 4, 0)
    assert network.rows == 3
    for n, parts in ((3, 1), (4, 2), (7, 3)):
        given = batch_of(0, n, network, np.float32)
        calls.clear()
        in_parts(2, objective)(*given)
        assert len(calls) == parts
        if parts == 1:
            assert all(a is b for a, b in zip(calls[0], given, strict=True))
        assert sorted(len(call[3]) for call in calls) == {1: [3], 2: [2, 2], 3: [2, 2, 3]}[parts]


def test_an_error_in_a_thread_is_the_callers_and_so_is_what_it_says_of_floats(monkeypatch):
    def objective(network, theta, now, x0, *more):
        return 0.0, np.float32(1) / x0[0]

    network = td.TimeMLP(2, 6, 1)
    monkeypatch.setattr(networks, "NUMBERS", 2 * network.widest)
    given = list(batch_of(0, 8, network))
    given[3] = np.zeros((8, 2))
    for threads in (1, 2):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
            in_parts(threads, objective)(*given)
        with np.errstate(divide="ignore"):
            assert np.all(np.isinf(in_parts(threads, objective)(*given)[1]))


def test_training_in_parts_is_training(same, monkeypatch):
    """To rounding that of the whole batch, and to the bit whatever the number of threads."""
    network, data = td.TimeMLP(2, 6, 1), td.toys.moons32()
    options = {"steps": 3, "batch": 32, "rng": 0, "like": np.zeros(1)}
    whole = td.last(td.train(network, td.VP(), data, **options))
    monkeypatch.setattr(networks, "NUMBERS", 10 * network.widest)
    one, two = (td.last(td.train(network, td.VP(), data, **options, objective=in_parts(k))) for k in (1, 2))
    assert same(one, two)
    np.testing.assert_allclose(one.theta, whole.theta, rtol=1e-6, atol=1e-9)


OF_BLAS = """
import sys
import numpy as np, tinydiff as td
from tinydiff.app.parallel import in_parts

network, rng = td.TimeMLP(784, 256, 1), np.random.default_rng(0)
theta = network.init(rng) + 0.02 * rng.standard_normal(network.size, dtype=np.float32)
x0, eps = rng.standard_normal((2, 400, 784), dtype=np.float32)
given = network, theta, td.Cosine().at(rng.uniform(0.1, 0.9, 400), like=x0), x0, eps
grads = [in_parts(threads)(*given)[1] for threads in (1, 2)]
sys.exit(not np.array_equal(*grads))
"""


@pytest.mark.skipif(cores() == 1, reason="BLAS has one thread where there is one core")
def test_the_threads_of_blas_change_no_bit_either():
    """BLAS divides large products where it may take two threads, and sums in another order then."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    assert subprocess.run([sys.executable, "-c", OF_BLAS], env=environment, check=False).returncode == 0
