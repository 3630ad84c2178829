"""Adam's averages, its schedule and its blocks, and clipping; identity 69 holds its steps and the moving average."""

import numpy as np
import pytest

from tinydiff.learned.network import TimeMLP
from tinydiff.learned.optim import BLOCK, Adam, Muon, blocks, clip, ema_update, linear_decay


def test_averages_forget_at_the_rates_b1_and_b2(rng):
    """mu_n = (1 − b1) Σ b1^{n−k} g_k, and nu_n the same of g²."""
    adam, gs = Adam(lr=0.1, b1=0.8, b2=0.95), rng.standard_normal((6, 10))
    state = adam.init(gs[0])
    for g in gs:
        step, state = adam.update(g, state)
    age = np.arange(6)[::-1, None]
    np.testing.assert_allclose(state.mu, 0.2 * np.sum(0.8**age * gs, axis=0), rtol=1e-12)
    np.testing.assert_allclose(state.nu, 0.05 * np.sum(0.95**age * gs**2, axis=0), rtol=1e-12)
    mu, nu = state.mu / (1 - 0.8**6), state.nu / (1 - 0.95**6)
    np.testing.assert_allclose(step, -0.1 * mu / (np.sqrt(nu) + 1e-8), rtol=1e-12)


@pytest.mark.parametrize("optimizer", [Adam(), Muon([(1, 2, 3), (8, 2, 1)])])
def test_nothing_that_goes_in_is_changed(optimizer, rng):
    g = rng.standard_normal(10)
    state = optimizer.update(g, optimizer.init(g))[1]
    kept = g.copy(), state.mu.copy(), state.nu.copy()
    optimizer.update(g, state), clip(g, 0.1), ema_update(g, state.mu, 0.9)
    for before, after in zip(kept, (g, state.mu, state.nu), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_gradient_that_has_no_square_in_float32_moves_a_matrix_as_any_other():
    g = np.array([1e-25, 2e-25, 0.0, 1e-25], np.float32)
    muon = Muon([(0, 2, 2)])
    steps = [muon.update(each, muon.init(each))[0] for each in (g, g * np.float32(1e25))]
    np.testing.assert_allclose(*steps, rtol=1e-4, atol=1e-6)


def test_a_matrix_without_a_gradient_stays(rng):
    """As those of a block do whose last layer is 0, at the first step of training."""
    muon, g = Muon([(0, 2, 3)]), np.append(np.zeros(6), 1.0)
    step, _ = muon.update(g, muon.init(g))
    np.testing.assert_array_equal(step[:6], 0)
    assert step[6] < 0
    step, _ = muon.update(0 * g, muon.init(g))
    np.testing.assert_array_equal(step, 0)


@pytest.mark.parametrize("network", [TimeMLP(3, 4, 2), TimeMLP(1, 5, 1, classes=2, outputs=3, norm=True)])
def test_the_matrices_of_a_network_are_the_weights_of_its_blocks(network):
    """Two in each block, up and down, each followed by its bias; those of the modulations are not among them."""
    w, pieces = network.width, network.split(np.arange(network.size))
    names = [f"{name}{i}" for i in range(network.blocks) for name in ("up", "down")]
    assert len(network.matrices) == len(names)
    for (start, n, m), name in zip(network.matrices, names, strict=True):
        assert (n, m) == (w, w)
        np.testing.assert_array_equal(np.arange(start, start + n * m), pieces[name][:-w])


def test_linear_decay_rises_to_lr_falls_through_half_and_ends_at_zero():
    rate = linear_decay(0.4, steps=100, warmup=4)
    assert [rate(k) for k in range(3)] == pytest.approx([0.4 * 0.2, 0.4 * 0.4 * 0.99, 0.4 * 0.6 * 0.98], rel=1e-12)
    assert rate(50) == pytest.approx(0.2, rel=1e-12)
    assert [rate(100), rate(120)] == pytest.approx([0, 0], abs=1e-15)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 2.5}, {"steps": None}, {"steps": 9, "warmup": -1}])
def test_a_decay_takes_whole_numbers(wrong):
    with pytest.raises((TypeError, ValueError), match="warmup" if "warmup" in wrong else "steps"):
        linear_decay(1.0, **wrong)


def test_clip_keeps_direction_and_bounds_the_norm(rng):
    g = rng.standard_normal(30)
    norm = np.linalg.norm(g)
    clipped, before = clip(g, 0.5)
    assert before == pytest.approx(norm, rel=1e-14)
    np.testing.assert_allclose(clipped, 0.5 * g / norm, rtol=1e-13)
    np.testing.assert_array_equal(clip(g, 2 * norm)[0], g)


def test_each_parameter_is_moved_alone(rng):
    """A vector of several blocks, the last of them short, moves as its pieces do, to the bit."""
    n, adam = 2 * BLOCK + 7, Adam(lr=0.1)
    gs, cuts = rng.standard_normal((2, n)), (slice(0, 5), slice(5, n - 3), slice(n - 3, n))
    state, pieces = adam.init(gs[0]), [adam.init(gs[0][cut]) for cut in cuts]
    for g in gs:
        step, state = adam.update(g, state)
        moved = [adam.update(g[cut], piece) for cut, piece in zip(cuts, pieces, strict=True)]
        pieces = [piece for _, piece in moved]
        np.testing.assert_array_equal(step, np.concatenate([move for move, _ in moved]))


@pytest.mark.parametrize("n", [0, 1, BLOCK, 2 * BLOCK + 7])
def test_a_vector_is_cut_on_the_host_alone(n):
    """On a device each block would launch kernels of its own."""
    strict = pytest.importorskip("array_api_strict")
    assert len(blocks(np.zeros(n))) == -(-n // BLOCK)
    assert blocks(strict.zeros(n, device=strict.Device("device1"))) == ([slice(0, n)] if n else [])
