"""The short way from data to a denoiser: it is train's last average, and says what it cannot learn from."""

import re

import numpy as np
import pytest

import tinydiff as td

SHORT = {"rng": 0, "steps": 4, "batch": 16, "progress": False}
POINTS = np.random.default_rng(0).standard_normal((30, 2))
UNIT = td.Dataset.standardised(POINTS)
LABELS = np.arange(30) % 2


@pytest.mark.parametrize(
    ("data", "dim"),
    [(td.toys.moons32(), 2), (np.tile(POINTS, 2), 4), ((POINTS.astype(np.float32), LABELS), 2), (UNIT, 2)],
    ids=["mixture", "points", "pair", "dataset"],
)
def test_a_mixture_points_and_a_dataset_become_a_denoiser_of_their_dimension(data, dim):
    model = td.fit(data, **SHORT)
    assert td.same_process(model.process, td.VP())
    assert td.sample(model, 5, steps=3, rng=0).shape == (5, dim)


def test_it_is_the_last_average_of_train():
    """The network, the process and all options go to `train`."""
    network, process = td.TimeMLP(2, 8, 1, classes=2, prediction="x0"), td.Cosine()
    options = {
        "steps": 5, "batch": 8, "lr": 0.02, "weight": "min_snr", "times": "uniform", "ema": 0.5, "label_dropout": 0.4,
        "targets": "single", "max_norm": 0.3, "rng": 3,
    }  # fmt: skip
    model = td.fit((POINTS, LABELS), process, network=network, progress=False, **options)
    state = td.last(td.train(network, process, (POINTS, LABELS), **options))
    np.testing.assert_array_equal(model.theta, state.ema)
    assert model.network is network
    assert model.process is process


def test_progress_is_a_bar_on_stderr(capfd):
    """Unless told otherwise it counts the steps and shows the loss; it changes nothing of the model."""
    model = td.fit(POINTS, rng=0, steps=4, batch=16)
    out, err = capfd.readouterr()
    assert out == ""
    assert "4/4" in err
    assert "loss" in err
    np.testing.assert_array_equal(model.theta, td.fit(POINTS, **SHORT).theta)
    assert capfd.readouterr() == ("", "")


# What it refuses


@pytest.mark.parametrize("data", [POINTS, td.toys.ring8()], ids=["points", "mixture"])
def test_data_of_another_dimension_than_the_network_are_refused(data):
    with pytest.raises(ValueError, match="3"):
        td.fit(data, network=td.TimeMLP(3, 4, 1), **SHORT)


@pytest.mark.parametrize("data", [POINTS.tolist(), POINTS[0], td.toys.ring8, None], ids=["list", "one", "maker", "no"])
def test_what_is_no_set_of_points_is_refused(data):
    with pytest.raises(ValueError, match="got "):
        td.fit(data, **SHORT)


@pytest.mark.parametrize(
    ("x", "mean", "spread"),
    [
        (np.array([[1.0, 2.0], [3.0, 4.0]]) + 5, "7.5", "1"),
        (100 * np.array([[1.0, -1.0], [-1.0, 1.0]]), "0", "100"),
        (np.array([[0, 255], [255, 0]]), "127.5", "127.5"),
        (np.ones((4, 2)), "1", "0"),
    ],
    ids=["shifted", "wide", "bytes", "constant"],
)
def test_data_far_from_unit_scale_are_refused_with_their_numbers_and_the_line_that_mends_it(x, mean, spread):
    for data in (x, (x, np.zeros(len(x), int)), td.Dataset(x, None, 0.0, 1.0)):
        with pytest.raises(ValueError, match=r"Dataset\.standardised\(x\)") as refused:
            td.fit(data, **SHORT)
        assert re.search(rf"mean is {re.escape(mean)}\b.*spread\s+{re.escape(spread)}\b", str(refused.value))


@pytest.mark.parametrize(
    ("mean", "spread", "fine"),
    [
        (1.99, 1.0, True), (2.01, 1.0, False), (-1.99, 1.0, True), (-2.01, 1.0, False), (0.0, 9.99, True),
        (0.0, 10.01, False), (0.0, 0.101, True), (0.0, 0.099, False),
    ],
)  # fmt: skip
def test_data_up_to_a_mean_of_2_and_a_spread_of_a_tenth_to_ten_are_fine(mean, spread, fine):
    data = mean + spread * UNIT.x
    if fine:
        td.fit(data, **SHORT)
    else:
        with pytest.raises(ValueError, match=r"Dataset\.standardised"):
            td.fit(data, **SHORT)


def test_constant_pixels_at_the_border_are_fine(rng):
    """The scale is that of all coordinates together: images have many of variance 0."""
    x = -np.ones((50, 8, 8))
    x[:, 2:6, 2:6] = rng.choice([-1.0, 1.0], (50, 4, 4))
    td.fit(x.reshape(50, -1), **SHORT)
