"""Layers at their edges; what they compute, test_network writes out, and identity 68 holds their pullbacks to it."""

import numpy as np
import pytest

from tinydiff.learned import layers


def test_silu_is_x_times_the_logistic_function_and_never_overflows():
    x = np.array([-1000.0, -30.0, -1.0, 0.0, 2.0, 1000.0])
    np.testing.assert_allclose(layers.silu(x)[0], x / (1 + np.exp(-np.clip(x, -700, 700))), rtol=1e-12, atol=1e-12)


def test_layer_norm_of_equal_numbers_is_zero():
    """The variance is 0, and eps stands under the root."""
    np.testing.assert_array_equal(layers.layer_norm(np.full((2, 5), 3.0))[0], 0)


def test_modulate_pulls_back_to_its_condition_unless_told_not_to(rng):
    """∂L/∂c = Σ x dy ∂γ/∂c + dy ∂δ/∂c where a gradient is asked for."""
    (x, dy), c, weights = rng.standard_normal((2, 5, 4)), rng.standard_normal((5, 2)), rng.standard_normal((2, 3, 4))
    _, pullback = layers.modulate(weights.ravel(), x, c)
    dc = (dy * x) @ weights[0, :2].T + dy @ weights[1, :2].T
    np.testing.assert_allclose(pullback(dy, np.empty(24))[1], dc, rtol=1e-13)
    assert pullback(dy)[1] is None
    assert pullback(dy, np.empty(24), dc=False)[1] is None


def linear_of(x, dy, c, theta):
    (y, pullback), grad = layers.linear(theta[:20], x), np.empty(20)
    return (y, pullback(dy, grad)), (grad,)


def modulate_of(x, dy, c, theta):
    (y, pullback), grad = layers.modulate(theta, x, c), np.empty(24)
    dx, dc = pullback(dy, grad)
    return (y, dx), (grad, dc)


def layer_norm_of(x, dy, c, theta):
    y, pullback = layers.layer_norm(x)
    return (y, pullback(dy)), ()


@pytest.mark.parametrize("layer", [linear_of, modulate_of, layer_norm_of])
def test_a_layer_takes_each_token_of_a_row_alone(layer, rng):
    """Of (B, T, n) it is that of each token; what tokens share, θ and the condition of a row, is pulled to a sum."""
    (x, dy), c, theta = rng.standard_normal((2, 3, 5, 4)), rng.standard_normal((3, 2)), rng.standard_normal(24)
    found, shared = layer(x, dy, c, theta)
    alone = [layer(x[:, t], dy[:, t], c, theta) for t in range(5)]
    for i, each in enumerate(found):
        np.testing.assert_allclose(each, np.stack([of[i] for of, _ in alone], axis=1), rtol=1e-12, atol=1e-13)
    for i, each in enumerate(shared):
        np.testing.assert_allclose(each, sum(of[i] for _, of in alone), rtol=1e-12, atol=1e-13)


def test_swap_transposes_each_row_and_back(rng):
    x = rng.standard_normal((3, 5, 4))
    y, pullback = layers.swap(x)
    np.testing.assert_array_equal(y, [row.T for row in x])
    np.testing.assert_array_equal(pullback(y), x)


def test_a_layer_after_a_modulation_folds_it_into_its_weights(rng):
    """(x (1 + γ) + δ) W + b is one linear layer where all rows share γ and δ."""
    x, c, theta, after = (rng.standard_normal(shape) for shape in ((5, 4), (1, 2), 24, 15))
    expected = layers.linear(after, layers.modulate(theta, x, c)[0])[0]
    np.testing.assert_allclose(layers.linear(layers.folded(theta, after, c), x)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("labels", [[3], [-2], [0.5]], ids=str)
def test_embedding_rejects_other_labels(labels):
    with pytest.raises(ValueError, match="labels must be whole numbers among 0 to 2, or −1 for none"):
        layers.embedding(np.zeros(4), np.array(labels), 3)
