"""The short way from data to a denoiser: it is train's last average, and says what it cannot learn from."""

import re

import numpy as np
import pytest

import tinydiff as td

SHORT = {"steps": 4, "batch": 16, "progress": False}
POINTS = np.random.default_rng(0).standard_normal((30, 2))
LABELS = np.arange(30) % 2


@pytest.mark.parametrize(
    "data",
    [td.toys.ring8(), td.toys.moons32(), POINTS, POINTS.astype(np.float32), td.Dataset.standardised(3 * POINTS + 7)],
    ids=["mixture", "labelled mixture", "points", "float32 points", "dataset"],
)
def test_a_mixture_points_and_a_dataset_become_a_denoiser(data):
    model = td.fit(data, rng=0, **SHORT)
    assert isinstance(model, td.NetworkDenoiser)
    assert td.same_process(model.process, td.VP())
    assert np.all(np.isfinite(td.sample(model, 5, steps=3, rng=0)))


def test_the_default_network_has_the_dimension_of_the_data(rng):
    assert td.fit(rng.standard_normal((20, 5)), rng=0, **SHORT).dim == 5
    assert td.fit(td.GaussianMixture([1.0], [[0.0]], [[[1.0]]]), rng=0, **SHORT).dim == 1


@pytest.mark.parametrize("seed", [3, np.int64(3), np.random.default_rng(3)], ids=["int", "int64", "Generator"])
def test_it_is_the_last_average_of_train(seed):
    """The network, the process and all options go to `train`; a whole number and its generator give the same model."""
    network, process = td.TimeMLP(2, 8, 1, classes=2, prediction="x0"), td.Cosine()
    options = {
        "steps": 5, "batch": 8, "lr": 0.02, "weight": "min_snr", "times": "uniform", "ema": 0.5, "label_dropout": 0.4,
        "targets": "single", "max_norm": 0.3,
    }  # fmt: skip
    model = td.fit((POINTS, LABELS), process, network=network, rng=seed, progress=False, **options)
    state = td.last(td.train(network, process, (POINTS, LABELS), rng=np.random.default_rng(3), **options))
    np.testing.assert_array_equal(model.theta, state.ema)
    assert model.network is network
    assert model.process is process


def test_samples_go_back_to_the_units_of_the_data(rng):
    """A model of a Dataset lives in its space, of unit scale; `restore` leads to the data's own."""
    data = td.Dataset.standardised(POINTS * [5.0, 0.1] + [100.0, -3.0])
    model = td.fit(data, rng=0, steps=200, batch=64, progress=False)
    x = data.restore(td.sample(model, 400, steps=10, rng=1))
    np.testing.assert_allclose(np.mean(x, axis=0), [100.0, -3.0], atol=2.5)
    assert 2 < np.std(x[:, 0]) < 10
    assert 0.04 < np.std(x[:, 1]) < 0.2


# Its progress


def test_without_progress_it_prints_nothing(capfd):
    td.fit(POINTS, rng=0, **SHORT)
    assert capfd.readouterr() == ("", "")


def test_progress_is_a_bar_on_stderr(capfd):
    """It counts the steps and shows the loss, and changes nothing of the model."""
    model = td.fit(POINTS, rng=0, **SHORT | {"progress": True})
    out, err = capfd.readouterr()
    assert out == ""
    assert "4/4" in err
    assert "loss" in err
    np.testing.assert_array_equal(model.theta, td.fit(POINTS, rng=0, **SHORT).theta)


# What it refuses


def test_a_process_is_made_by_calling_its_class():
    with pytest.raises(TypeError, match=re.escape("td.VP()")):
        td.fit(POINTS, td.VP, rng=0, **SHORT)


@pytest.mark.parametrize(
    ("x", "mean", "spread"),
    [
        (np.array([[1.0, 2.0], [3.0, 4.0]]) + 5, "7.5", "1"),
        (100 * np.array([[1.0, -1.0], [-1.0, 1.0]]), "0", "100"),
        (0.01 * np.array([[1.0, -1.0], [-1.0, 1.0]]), "0", "0.01"),
        (np.array([[0, 255], [255, 0]]), "127.5", "127.5"),
        (np.ones((4, 2)), "1", "0"),
    ],
    ids=["shifted", "wide", "narrow", "bytes", "constant"],
)
@pytest.mark.parametrize("kind", ["array", "pair", "dataset"])
def test_data_far_from_unit_scale_are_refused_with_their_numbers_and_the_line_that_mends_it(x, mean, spread, kind):
    data = {"array": x, "pair": (x, np.zeros(len(x), int)), "dataset": td.Dataset(x, None, 0.0, 1.0)}[kind]
    with pytest.raises(ValueError, match=r"Dataset\.standardised") as refused:
        td.fit(data, rng=0, **SHORT)
    said = str(refused.value)
    assert "Dataset.standardised(x)" in said
    assert re.search(rf"mean is {re.escape(mean)}\b", said)
    assert re.search(rf"spread\s+{re.escape(spread)}\b", said)


def test_train_refuses_them_too(rng):
    for trainer, network in ((td.train, td.TimeMLP(2, 4, 1)), (td.train_classifier, td.TimeMLP(2, 4, 1, outputs=2))):
        with pytest.raises(ValueError, match=re.escape("Dataset.standardised(x)")):
            trainer(network, td.VP(), (POINTS + 50, LABELS), rng=rng)


@pytest.mark.parametrize(("mean", "spread"), [(1.99, 1.0), (-1.99, 1.0), (0.0, 9.99), (0.0, 0.101)])
def test_data_of_about_unit_scale_are_fine(mean, spread):
    td.fit(mean + spread * td.Dataset.standardised(POINTS).x, rng=0, **SHORT)


@pytest.mark.parametrize(("mean", "spread"), [(2.01, 1.0), (-2.01, 1.0), (0.0, 10.01), (0.0, 0.099)])
def test_data_beyond_a_mean_of_2_and_a_spread_of_a_tenth_to_ten_are_refused(mean, spread):
    with pytest.raises(ValueError, match=r"Dataset\.standardised"):
        td.fit(mean + spread * td.Dataset.standardised(POINTS).x, rng=0, **SHORT)


def test_constant_pixels_at_the_border_are_fine(rng):
    """The scale is that of all coordinates together: images have many of variance 0."""
    x = -np.ones((50, 8, 8))
    x[:, 2:6, 2:6] = rng.choice([-1.0, 1.0], (50, 4, 4))
    td.fit(x.reshape(50, -1), rng=0, **SHORT)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (POINTS.tolist(), "got a list"),
        (POINTS.reshape(-1), "got shape (60,)"),
        (POINTS.reshape(3, 10, 2), "got shape (3, 10, 2)"),
        (POINTS[:0], "got shape (0, 2)"),
        (np.where(np.eye(30, 2), np.nan, POINTS), "data must be finite"),
        (td.toys.ring8, "got a function"),
        (None, "got a NoneType"),
    ],
    ids=["list", "vector", "images", "none", "NaN", "function", "nothing"],
)
def test_what_is_no_set_of_points_is_refused(data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        td.fit(data, rng=0, **SHORT)


def test_data_of_another_dimension_than_the_network_are_refused():
    for data in (POINTS, td.toys.ring8()):
        with pytest.raises(ValueError, match="3"):
            td.fit(data, network=td.TimeMLP(3, 4, 1), rng=0, **SHORT)


@pytest.mark.parametrize("labels", [LABELS + 0.5, LABELS.astype(float), LABELS + 1, LABELS - 2], ids=str)
def test_labels_are_whole_numbers_of_the_classes(labels):
    with pytest.raises(ValueError, match="labels must be whole numbers among 0 to 1"):
        td.fit((POINTS, labels), network=td.TimeMLP(2, 4, 1, classes=2), rng=0, **SHORT)


@pytest.mark.parametrize(
    "rng", [None, 0.0, "0", True, np.random.RandomState(0), -1], ids=lambda rng: type(rng).__name__
)
def test_the_source_of_randomness_is_a_generator_or_a_whole_number(rng):
    with pytest.raises((TypeError, ValueError), match="rng"):
        td.fit(POINTS, rng=rng, **SHORT)


def test_randomness_is_always_asked_for():
    with pytest.raises(TypeError, match="rng"):
        td.fit(POINTS)


def test_an_option_that_train_has_not_is_refused():
    with pytest.raises(TypeError, match="learning_rate"):
        td.fit(POINTS, rng=0, learning_rate=0.1, **SHORT)
