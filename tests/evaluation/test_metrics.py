"""Distances with known values."""

import numpy as np
import pytest

import tinydiff as td


def test_sliced_w2_of_a_shift_is_its_length_over_root_d(rng):
    """SW₂²(X, X + c) = E (c·u)² = ‖c‖²/d."""
    x = rng.standard_normal((500, 2))
    for c in ([3.0, 0.0], [0.6, -0.8]):
        expected = np.linalg.norm(c) / np.sqrt(2)
        assert td.sliced_w2(x, x + c, rng=rng, directions=20_000) == pytest.approx(expected, rel=0.02)


def test_in_one_dimension_it_is_w2_of_the_order_statistics(rng):
    """W₂² between N(m, s²) and N(m′, s′²) is (m − m′)² + (s − s′)², here on quantile grids."""
    z = np.sort(rng.standard_normal(1000))[:, None]
    expected = np.sqrt(np.mean((1 + 2 * z - (3 + 0.5 * z)) ** 2))
    assert td.sliced_w2(1 + 2 * z, rng.permutation(3 + 0.5 * z), rng=rng) == pytest.approx(expected, rel=1e-12)


def test_it_is_zero_for_a_permutation_and_symmetric(rng):
    x, y = rng.standard_normal((2, 300, 3))
    assert td.sliced_w2(x, rng.permutation(x), rng=rng) == 0
    seeded = lambda a, b: td.sliced_w2(a, b, rng=np.random.default_rng(5))  # noqa: E731
    assert seeded(x, y) == seeded(y, x) > 0


def test_it_wants_equal_shapes(rng):
    with pytest.raises(ValueError, match="must both have the shape"):
        td.sliced_w2(np.zeros((3, 2)), np.zeros((4, 2)), rng=rng)


def test_loss_is_floor_plus_excess(rng):
    """E‖ε − ε̂‖² = floor + E‖ε̂ − ε*‖² for any model [Vincent 2011]; the oracle has excess 0."""
    process, data = td.VP(), td.toys.ring8()
    oracle, network = td.Oracle(data, process), td.TimeMLP(2, 8, 1)
    model = td.NetworkDenoiser(network, 0.3 * rng.standard_normal(network.size), process)
    for t in (0.01, 0.2, 0.7):
        loss, excess = td.denoising(model, oracle, t, n=200_000, rng=rng)
        assert loss == pytest.approx(oracle.floor(t) + excess, rel=0.02)
        loss, excess = td.denoising(oracle, oracle, t, n=200_000, rng=rng)
        assert excess == 0
        assert loss == pytest.approx(oracle.floor(t), rel=0.02)
