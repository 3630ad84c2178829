"""Each layer's pullback is the transpose of its derivative, by complex step."""

import numpy as np
import pytest

from tinydiff.learned import layers

STEP = 1e-30
B, N, M = 5, 4, 3


def directional(f, x, u):
    """∂f(x)·u by complex step: exact to rounding, unlike a finite difference."""
    return np.imag(f(x + 1j * STEP * u)) / STEP


def cases(rng):
    theta = rng.standard_normal((N + 1) * M)
    modulation = rng.standard_normal((2 + 1) * 2 * N)
    table = rng.standard_normal(4 * M)
    c = rng.standard_normal((B, 2))
    x = rng.standard_normal((B, N))
    labels = np.array([0, 2, -1, 1, 2])
    return {
        "linear in x": (lambda x: layers.linear(theta, x), x),
        "silu": (layers.silu, 3 * x),
        "layer_norm": (layers.layer_norm, x),
        "modulate in x": (lambda x: layers.modulate(modulation, x, c), x),
        "linear in theta": (lambda theta: layers.linear(theta, x), theta),
        "embedding in theta": (lambda table: layers.embedding(table, labels, 3), table),
        "modulate in theta": (lambda theta: layers.modulate(theta, x, c), modulation),
        "modulate in c": (lambda c: layers.modulate(modulation, x, c), c),
    }


@pytest.mark.parametrize("name", cases(np.random.default_rng(0)))
def test_pullback_is_the_transpose_of_the_derivative(name, rng):
    """⟨dy, J u⟩ = ⟨Jᵀ dy, u⟩ for random u and dy, to 1e-13."""
    layer, at = cases(rng)[name]
    y, pullback = layer(at)
    dy, u = rng.standard_normal(y.shape), rng.standard_normal(at.shape)
    grad = np.full_like(at, np.nan) if "theta" in name else np.empty((2 + 1) * 2 * N)
    if name.startswith(("silu", "layer_norm")):
        pulled = pullback(dy)
    else:
        pulled = pullback(dy, grad if "theta" in name or "modulate" in name else None)
    pulled = grad if "theta" in name else pulled
    if name == "modulate in x":
        pulled = pulled[0]
    if name == "modulate in c":
        pulled = pulled[1]
    np.testing.assert_allclose(np.sum(pulled * u), np.sum(dy * directional(lambda a: layer(a)[0], at, u)), rtol=1e-13)


def test_linear_without_grad_gives_the_same_dx(rng):
    theta, x, dy = rng.standard_normal((N + 1) * M), rng.standard_normal((B, N)), rng.standard_normal((B, M))
    pullback = layers.linear(theta, x)[1]
    np.testing.assert_array_equal(pullback(dy), pullback(dy, np.empty_like(theta)))


def test_silu_is_x_times_the_logistic_function_and_never_overflows():
    x = np.array([-1000.0, -30.0, -1.0, 0.0, 2.0, 1000.0])
    expected = x / (1 + np.exp(-np.clip(x, -700, 700)))
    np.testing.assert_allclose(layers.silu(x)[0], expected, rtol=1e-12, atol=1e-12)


def test_layer_norm_rows_have_mean_0_and_variance_1(rng):
    y, _ = layers.layer_norm(5 + 3 * rng.standard_normal((B, 100)), eps=0.0)
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=1), 1, rtol=1e-13)


def test_layer_norm_ignores_shift_and_scale_so_its_pullback_is_orthogonal_to_both(rng):
    """y(x + c) = y(x) and y(cx) = y(x) at eps = 0, hence dx ⟂ 1 and dx ⟂ x."""
    x = rng.standard_normal((B, N))
    dx = layers.layer_norm(x, eps=0.0)[1](rng.standard_normal((B, N)))
    np.testing.assert_allclose(np.sum(dx, axis=1), 0, atol=1e-13)
    np.testing.assert_allclose(np.sum(dx * x, axis=1), 0, atol=1e-13)


def test_embedding_is_the_row_of_the_label_and_minus_one_the_last(rng):
    table = rng.standard_normal((4, M))
    y, _ = layers.embedding(table.ravel(), np.array([0, -1, 2]), 3)
    np.testing.assert_array_equal(y, table[[0, 3, 2]])


@pytest.mark.parametrize("labels", [[3], [-2], [0.5]])
def test_embedding_rejects_other_labels(labels):
    with pytest.raises(ValueError, match="labels must be whole numbers among 0 to 2, or −1 for none"):
        layers.embedding(np.zeros(4), np.array(labels), 3)
