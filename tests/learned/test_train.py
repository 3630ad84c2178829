"""Training: it learns, it resumes bit for bit, and it says what is wrong."""

import itertools

import numpy as np
import pytest

import tinydiff as td
from tinydiff.learned.train import batches

NETWORK = td.TimeMLP(dim=2, width=16, blocks=1)
POINTS = np.random.default_rng(1).standard_normal((20, 2))


def test_it_learns_a_gaussian(rng):
    """Of N(0, I) the exact ε̂ is σ x; a short training comes within 0.01 of it, from 0.5 at the start."""
    data = td.GaussianMixture([1.0], np.zeros((1, 2)), np.eye(2)[None])
    process = td.Cosine()
    state = td.last(td.train(td.TimeMLP(2, 32, 1), process, data, steps=600, batch=256, rng=rng))
    model, oracle = td.NetworkDenoiser(td.TimeMLP(2, 32, 1), state.ema, process), td.Oracle(data, process)
    excess = np.mean([td.denoising(model, oracle, t, rng=rng)[1] for t in np.linspace(0.1, 0.9, 9)])
    assert excess < 0.01


def test_a_stopped_and_resumed_run_equals_one_that_never_stopped(same, rng):
    arguments = {"steps": 12, "batch": 32}
    unbroken = list(td.train(NETWORK, td.VP(), td.toys.ring8(), rng=3, **arguments))
    assert [state.step for state in unbroken] == list(range(1, 13))
    resumed = td.train(NETWORK, td.VP(), td.toys.ring8(), rng=rng, state=unbroken[4], **arguments)
    for state, expected in zip(resumed, unbroken[5:], strict=True):
        assert same(state, expected)


def test_a_whole_number_seeds_the_generator(same):
    """rng=3 is np.random.default_rng(3)."""
    by_number, by_generator = (
        td.last(td.train(NETWORK, td.VP(), td.toys.ring8(), steps=3, batch=16, rng=rng))
        for rng in (3, np.random.default_rng(3))
    )
    assert same(by_number, by_generator)


def test_the_average_forgets_the_start_and_then_decays_as_asked(rng):
    """ema_k = d ema_{k−1} + (1 − d) θ_k with d = min(ema, k/(k + 9))."""
    states = list(td.train(NETWORK, td.VP(), td.toys.ring8(), steps=8, batch=16, ema=0.3, rng=rng))
    for before, after in itertools.pairwise(states):
        d = min(0.3, after.step / (after.step + 9))
        np.testing.assert_allclose(after.ema, d * before.ema + (1 - d) * after.theta, rtol=1e-4, atol=1e-6)


def test_states_are_not_changed_by_the_steps_after_them(same, rng):
    states = td.train(NETWORK, td.VP(), td.toys.ring8(), steps=4, batch=32, rng=rng)
    first = next(states)
    kept = first.theta.copy(), first.ema.copy(), first.adam.mu.copy()
    assert not same(first, td.last(states))
    for before, after in zip(kept, (first.theta, first.ema, first.adam.mu), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("dtype", [np.float32])
def test_everything_stays_in_the_dtype_of_theta(dtype, rng):
    state = td.last(td.train(NETWORK, td.VP(), td.toys.ring8(), steps=3, batch=8, rng=rng))
    assert {a.dtype for a in (state.theta, state.ema, state.adam.mu, state.adam.nu)} == {np.dtype(dtype)}


def test_data_may_be_a_mixture_an_array_or_a_pair(rng):
    mixture, (points, labels) = td.toys.moons32(), td.toys.moons32().sample(rng, 50, labels=True)
    for data in (mixture, (points, labels), td.Dataset(points, labels, 0.0, 1.0)):
        x, y = batches(data, 2, classes=2)(rng, 7)
        assert x.shape == (7, 2)
        assert y.shape == (7,)
    x, y = batches(points, 2, classes=0)(rng, 7)
    assert y is None
    assert all(any(np.array_equal(row, point) for point in points) for row in x)


def test_points_keep_their_labels(rng):
    x, y = batches((np.linspace(-1, 1, 20)[:, None], np.arange(20)), 1, classes=20)(rng, 100)
    np.testing.assert_array_equal(x[:, 0], np.linspace(-1, 1, 20)[y])


def test_label_dropout_hides_that_fraction_of_labels(rng):
    """The network sees −1 as often as label_dropout says, and the true label otherwise."""
    seen = []

    class Spy(td.TimeMLP):
        def __call__(self, theta, x, lam, labels=None):
            seen.append(labels)
            return super().__call__(theta, x, lam, labels)

    td.last(
        td.train(Spy(2, 4, 1, classes=2), td.VP(), td.toys.moons32(), steps=20, batch=200, label_dropout=0.3, rng=rng)
    )
    seen = np.concatenate(seen)
    assert np.mean(seen == -1) == pytest.approx(0.3, abs=0.03)
    assert np.mean(seen == 1) == pytest.approx(0.35, abs=0.03)


@pytest.mark.parametrize(
    ("data", "classes", "says"),
    [
        (POINTS, 2, "must be a pair"),
        ((POINTS, np.zeros(6, int)), 2, "with a label a point"),
        ((POINTS, np.full(20, 0.5)), 2, "labels must be whole numbers"),
        ([[0.0, 1.0]], 0, "got a list"),
        (td.toys.ring8, 0, "got a function"),
        (np.zeros(5), 0, r"got shape \(5,\)"),
        (np.zeros((5, 3)), 0, r"points \(N, 2\).*got shape \(5, 3\)"),
        (np.zeros((0, 2)), 0, "got shape"),
        (td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), 0, "points of 2 coordinates; the data have 1"),
        (np.full((5, 2), np.nan), 0, "data must be finite"),
        (np.where(np.arange(20)[:, None] == 3, np.inf, POINTS), 0, "data must be finite"),
    ],
)
def test_data_of_another_kind_are_refused_before_the_first_step(data, classes, says, rng):
    with pytest.raises(ValueError, match=says):
        td.train(td.TimeMLP(2, 4, 1, classes), td.VP(), data, rng=rng)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": 0}, {"lr": -1.0}, {"max_norm": 0.0}, {"ema": 2.0}, {"label_dropout": -0.1}]
)
def test_numbers_out_of_range_are_named(wrong, rng):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} must"):
        td.train(NETWORK, td.VP(), td.toys.ring8(), rng=rng, **wrong)


def test_raw_mnist_labels_are_bytes_and_can_still_be_hidden(rng):
    """uint8 has no −1: labels become int64 first."""
    data = POINTS, np.arange(20, dtype=np.uint8) % 2
    td.last(td.train(td.TimeMLP(2, 4, 1, classes=2), td.VP(), data, steps=3, batch=50, label_dropout=0.5, rng=rng))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_stops_the_run_after_the_last_good_state(rng):
    data = POINTS.copy()
    states = td.train(NETWORK, td.VP(), data, steps=9, batch=4, rng=rng)
    good = next(states)
    data[:] = np.inf
    with pytest.raises(FloatingPointError, match="at step 2: try lr below"):
        next(states)
    assert np.all(np.isfinite(good.theta))


@pytest.mark.parametrize("rng", [None, 1.0, np.random.RandomState(0)], ids=["None", "float", "RandomState"])
def test_training_needs_a_generator_or_a_whole_number(rng):
    with pytest.raises((TypeError, ValueError), match="rng"):
        td.train(NETWORK, td.VP(), POINTS, steps=1, rng=rng)


def test_the_process_is_an_instance(rng):
    with pytest.raises((TypeError, ValueError), match=r"VP\(\)"):
        td.train(NETWORK, td.VP, POINTS, rng=rng)


def test_last_keeps_one_item():
    assert td.last(iter(range(5))) == 4
    with pytest.raises(ValueError, match="gave nothing"):
        td.last([])
