"""Adam's averages, its schedule and its blocks, and clipping; identity 69 holds its steps and the moving average."""

import numpy as np
import pytest

from tinydiff.learned.optim import BLOCK, Adam, blocks, clip, cosine_decay, ema_update


def test_averages_forget_at_the_rates_b1_and_b2(rng):
    """mu_n = (1 − b1) Σ b1^{n−k} g_k, nu_n the same of g², and θ moves by lr_n, which may be a schedule."""
    adam, gs = Adam(lr=lambda k: 0.1 / (k + 1), b1=0.8, b2=0.95), rng.standard_normal((6, 10))
    state = adam.init(gs[0])
    for g in gs:
        step, state = adam.update(g, state)
    age = np.arange(6)[::-1, None]
    np.testing.assert_allclose(state.mu, 0.2 * np.sum(0.8**age * gs, axis=0), rtol=1e-12)
    np.testing.assert_allclose(state.nu, 0.05 * np.sum(0.95**age * gs**2, axis=0), rtol=1e-12)
    mu, nu = state.mu / (1 - 0.8**6), state.nu / (1 - 0.95**6)
    np.testing.assert_allclose(step, -0.1 / 6 * mu / (np.sqrt(nu) + 1e-8), rtol=1e-12)


def test_nothing_that_goes_in_is_changed(rng):
    adam, g = Adam(), rng.standard_normal(10)
    state = adam.update(g, adam.init(g))[1]
    kept = g.copy(), state.mu.copy(), state.nu.copy()
    adam.update(g, state), clip(g, 0.1), ema_update(g, state.mu, 0.9)
    for before, after in zip(kept, (g, state.mu, state.nu), strict=True):
        np.testing.assert_array_equal(before, after)


def test_cosine_decay_rises_to_lr_falls_through_half_and_ends_at_zero():
    rate = cosine_decay(0.4, steps=100, warmup=4)
    assert [rate(k) for k in range(3)] == pytest.approx([0.4 / 5, 0.4 * 2 / 5, 0.4 * 3 / 5], rel=2e-3)
    assert rate(50) == pytest.approx(0.2, rel=1e-12)
    assert [rate(100), rate(120)] == pytest.approx([0, 0], abs=1e-15)


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
