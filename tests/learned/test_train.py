"""Training: it learns, it resumes bit for bit, and it says what is wrong."""

import itertools

import numpy as np
import pytest

import tinydiff as td
from tinydiff.learned.train import batches

NETWORK = td.TimeMLP(dim=2, width=16, blocks=1)
RING, POINTS = td.toys.ring8(), np.random.default_rng(1).standard_normal((20, 2))


def trained(rng=0, data=RING, network=NETWORK, **options):
    """The states of a short training."""
    return list(td.train(network, td.VP(), data, rng=rng, **{"steps": 3, "batch": 16} | options))


def test_it_learns_a_gaussian(rng):
    """Of N(0, I) the exact ε̂ is σ x; a short training comes within 0.03 of it, from 0.5 at the start."""
    data, process, network = td.GaussianMixture([1.0], np.zeros((1, 2)), np.eye(2)[None]), td.Cosine(), NETWORK
    state = td.last(td.train(network, process, data, steps=150, batch=128, lr=1e-2, rng=rng))
    model, oracle = td.NetworkDenoiser(network, state.ema, process), td.Oracle(data, process)
    excess = np.mean([td.denoising(model, oracle, t, rng=rng)[1] for t in np.linspace(0.1, 0.9, 9)])
    assert excess < 0.03


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_a_stopped_and_resumed_run_equals_one_that_never_stopped(same, rng, optimizer):
    """Bit for bit; and a whole number is the seed of a generator."""
    unbroken = trained(3, steps=12, optimizer=optimizer)
    assert [state.step for state in unbroken] == list(range(1, 13))
    resumed = trained(rng, state=unbroken[4], steps=12, optimizer=optimizer)
    assert all(same(*pair) for pair in zip(resumed, unbroken[5:], strict=True))
    assert same(trained(np.random.default_rng(3), steps=12, optimizer=optimizer)[-1], unbroken[-1])


def test_the_average_forgets_the_start_and_then_decays_as_asked():
    """ema_k = d ema_{k−1} + (1 − d) θ_k with d = min(ema, k/(k + 9))."""
    for before, after in itertools.pairwise(trained(steps=8, ema=0.3)):
        d = min(0.3, after.step / (after.step + 9))
        np.testing.assert_allclose(after.ema, d * before.ema + (1 - d) * after.theta, rtol=1e-4, atol=1e-6)


def test_states_are_float32_and_are_not_changed_by_the_steps_after_them(same, rng):
    states = td.train(NETWORK, td.VP(), RING, steps=4, batch=32, rng=rng)
    first = next(states)
    arrays = first.theta, first.ema, first.optimizer.mu, first.optimizer.nu
    kept = [a.copy() for a in arrays]
    assert not same(first, td.last(states))
    for before, after in zip(kept, arrays, strict=True):
        assert after.dtype == np.float32
        np.testing.assert_array_equal(before, after)


def test_the_rate_rises_over_a_fiftieth_of_the_steps_and_gradients_are_clipped():
    """θ_1 = −lr_1 sign(g), as the first step of Adam is, and the averages are of gradients no longer than max_norm."""
    adam = {"optimizer": "adam", "lr": 0.1, "max_norm": 0.01}
    for steps, lr in ((40, 0.1), (100, 0.1 / 3)):
        first = next(td.train(NETWORK, td.VP(), POINTS, steps=steps, batch=16, rng=0, **adam))
        start = NETWORK.init(np.random.default_rng(0))
        assert np.max(np.abs(first.theta - start)) == pytest.approx(lr, rel=1e-2)
        assert first.grad_norm > 0.01
        assert np.linalg.norm(first.optimizer.mu) == pytest.approx(0.1 * 0.01, rel=1e-4)


def test_a_name_is_an_optimizer_at_its_own_rate(same):
    """Muon moves all but the matrices of the blocks by Adam at a third of its rate."""
    network, muon = td.TimeMLP(2, 4, 2, classes=2), td.Muon
    matrices = td.TimeMLP(2, 4, 2, classes=2).matrices
    for name, lr, made in (
        ("adam", None, td.Adam(lr=4e-3)),
        ("adam", 1e-3, td.Adam(lr=1e-3)),
        ("muon", None, muon(matrices)),
        ("muon", 0.1, muon(matrices, lr=0.1, adam=td.Adam(lr=0.1 / 3))),
    ):
        ends = [
            td.last(td.train(network, td.VP(), (POINTS, np.arange(20) % 2), steps=4, batch=16, rng=0, **options))
            for options in ({"optimizer": name, "lr": lr}, {"optimizer": made})
        ]
        assert same(*ends)


def test_what_is_no_optimizer_or_has_a_rate_already_is_refused():
    for options, message in (
        ({"optimizer": "sgd"}, "optimizer must be 'muon', 'adam' or an object with init and update; got 'sgd'"),
        ({"optimizer": 3}, "optimizer must be .* got 3"),
        ({"optimizer": td.Adam}, "optimizer must be .* got <class"),
        ({"optimizer": td.Adam(), "lr": 0.1}, "lr=0.1 is for an optimizer by name"),
        ({"lr": 0.0}, "lr must be"),
    ):
        with pytest.raises(ValueError, match=message):
            td.train(NETWORK, td.VP(), RING, rng=0, **options)


def test_batch_targets_have_less_noise_than_the_draws_themselves():
    """Of the same draws: the squared error from E[v|x_t] is smaller than that from v by its variance."""
    single, batch = (trained(steps=1, targets=targets)[0].loss for targets in ("single", "batch"))
    assert batch < 0.9 * single


def test_what_is_left_out_is_the_default(same):
    """Of wide data, whose gradients are clipped, and with labels, some of which are hidden."""
    network, data = td.TimeMLP(2, 4, 1, classes=2, prediction="x0"), (9 * POINTS, np.arange(20) % 2)
    defaults = {
        "steps": 1050, "batch": 1024, "optimizer": "muon", "lr": 0.02, "weight": "simple", "times": "logistic",
        "label_dropout": 0.1, "targets": "batch", "max_norm": 1.0,
    }  # fmt: skip
    named, left_out = (next(td.train(network, td.VP(), data, rng=0, **options)) for options in (defaults, {}))
    assert named.grad_norm > 2
    assert same(named, left_out)


# Data


def test_data_may_be_a_mixture_an_array_or_a_pair_and_points_keep_their_labels(rng):
    points, labels = np.linspace(-1, 1, 20)[:, None], np.arange(20)
    for data in ((points, labels), td.Dataset(points, labels, 0.0, 1.0)):
        x, y = batches(data, 1, classes=20)(rng, 100)
        np.testing.assert_array_equal(x, points[y])
        assert len(np.unique(y)) > 15
    mixture = td.toys.moons32()
    for data, classes in ((points, 0), (mixture, 0), (mixture, 2)):
        x, y = batches(data, data.shape[1] if data is points else 2, classes)(rng, 7)
        assert len(x) == 7
        assert (y is None) == (classes == 0)


def test_label_dropout_hides_that_fraction_of_labels(rng):
    """The network sees −1 as often as label_dropout says, and the true label otherwise: bytes too, which have no −1."""
    seen = []

    class Spy(td.TimeMLP):
        def __call__(self, theta, x, lam, labels=None):
            seen.append(labels)
            return super().__call__(theta, x, lam, labels)

    data = POINTS, np.arange(20, dtype=np.uint8) % 2
    trained(rng, data, Spy(2, 4, 1, classes=2), steps=20, batch=200, label_dropout=0.3)
    assert np.mean(np.concatenate(seen) == -1) == pytest.approx(0.3, abs=0.03)
    assert np.mean(np.concatenate(seen) == 1) == pytest.approx(0.35, abs=0.03)


@pytest.mark.parametrize(
    ("data", "classes", "says"),
    [
        (POINTS, 2, "must be a pair"),
        ((POINTS, np.zeros(6, int)), 2, "with a label a point"),
        ((POINTS, np.full(20, 0.5)), 2, "labels must be whole numbers among 0 to 1"),
        ((POINTS, np.arange(20) % 2 + 1), 2, "labels must be whole numbers among 0 to 1"),
        ((POINTS, np.arange(20) % 2 - 2), 2, "labels must be whole numbers among 0 to 1"),
        ([[0.0, 1.0]], 0, "got a list"),
        (td.toys.ring8, 0, "got a function"),
        (None, 0, "got a NoneType"),
        (np.zeros(5), 0, r"got shape \(5,\)"),
        (np.zeros((5, 3)), 0, r"points \(N, 2\).*got shape \(5, 3\)"),
        (np.zeros((0, 2)), 0, "got shape"),
        (td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), 0, "points of 2 coordinates; the data have 1"),
        (np.where(np.arange(20)[:, None] == 3, np.inf, POINTS), 0, "data must be finite"),
        (POINTS + 50, 0, r"Dataset\.standardised\(x\)"),
    ],
)
def test_data_of_another_kind_are_refused_before_the_first_step(data, classes, says):
    with pytest.raises(ValueError, match=says):
        td.train(td.TimeMLP(2, 4, 1, classes), td.VP(), data, rng=0)
    if classes or says.endswith(r"\(x\)"):
        with pytest.raises(ValueError, match=says):
            td.train_classifier(td.TimeMLP(2, 4, 1, outputs=2), td.VP(), data, rng=0)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"steps": 0}, "steps must"),
        ({"batch": 0}, "batch must"),
        ({"lr": 0.0}, "lr must be over 0"),
        ({"max_norm": 0.0}, "max_norm must be over 0"),
        ({"ema": 2.0}, "ema must"),
        ({"label_dropout": -0.1}, "label_dropout must"),
        ({"label_dropout": 1.1}, "label_dropout must"),
        ({"weight": "x"}, "weight must be a function or one of simple, vlb, min_snr, x0, edm; got 'x'"),
        ({"times": "x"}, "times must be a function or one of uniform, log_snr, logistic; got 'x'"),
        ({"targets": "x"}, "targets must be one of 'batch', 'single'; got 'x'"),
        ({"process": td.VP}, r"VP\(\)"),
        ({"rng": None}, "rng"),
    ],
    ids=str,
)
def test_options_out_of_range_are_named(wrong, says):
    with pytest.raises((TypeError, ValueError), match=says):
        td.train(**{"network": NETWORK, "process": td.VP(), "data": POINTS, "rng": 0} | wrong)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_stops_the_run_after_the_last_good_state(rng):
    data = POINTS.copy()
    states = td.train(NETWORK, td.VP(), data, steps=9, batch=4, rng=rng)
    good = next(states)
    data[:] = np.inf
    with pytest.raises(FloatingPointError, match="at step 2: try a lower lr"):
        next(states)
    assert np.all(np.isfinite(good.theta))


def test_last_keeps_one_item():
    assert td.last(iter(range(5))) == 4
    with pytest.raises(ValueError, match="gave nothing"):
        td.last([])
