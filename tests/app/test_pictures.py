"""The report on pictures, on small made-up digits: each figure against what it claims."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import pictures
from tinydiff.app.config import Config
from tinydiff.app.directory import Run, Trained
from tinydiff.app.parts import Parts
from tinydiff.app.pictures import bits, levels, x0_loss
from tinydiff.app.report import measure
from tinydiff.app.sampling import WEIGHTS
from tinydiff.app.table import table

SHORT = {"width": 16, "blocks": 1, "steps": 5, "batch": 64}


def made_up(rng, n=60):
    """Ten patterns of 784 pixels, each with a tenth of the pixels redrawn, on the levels of an image."""
    labels = np.arange(n) % 10
    pixels = np.random.default_rng(7).integers(0, 256, (10, 784))[labels]
    pixels = np.where(rng.random((n, 784)) < 0.1, rng.integers(0, 256, (n, 784)), pixels)
    return td.Dataset((pixels / 127.5 - 1).astype(np.float32), labels, np.float32(127.5), np.float32(127.5), (28, 28))


@pytest.fixture(autouse=True)
def quick(monkeypatch, undrawn):
    sizes = {"COUNT": 50, "SHOWN": 20, "CHUNK": 25, "STEPS": 20, "JUDGE_STEPS": 40, "ENDS": (-1.0, 2.0, 6.0)}
    for name, value in sizes.items():
        monkeypatch.setattr(pictures, name, value)


@pytest.mark.parametrize("conditional", [True, False])
def test_a_report_on_digits(tmp_path, monkeypatch, rng, conditional):
    """Both splits are looked at, the judge has learned, and there is a sheet for each weight, or one without labels."""
    unseen, data = made_up(rng), made_up(rng)
    run = Run.create(tmp_path, Config("mnist", conditional=conditional, prediction="x0", **SHORT))
    written = measure(run, run.train(data), data, unseen)
    sheets = {f"pictures-w{w:g}.png" for w in WEIGHTS} if conditional else {"pictures.png"}
    sheets.add("pictures-nearest.png")
    assert {name for name in written["figures"] if name.startswith("pictures")} == sheets
    for name in ("loss_train", "loss_test"):
        assert 0.1 < written[name] < 2
    assert written["judge_accuracy"] > 0.9
    assert len(written["frechet"]) == len(written["energy_distance"]) == (3 if conditional else 1)
    assert all(found > written["frechet_true"] > 0 for found in written["frechet"])
    assert all(found > written["energy_distance_true"] > 0 for found in written["energy_distance"])
    assert ("agreement" in written) == conditional
    assert 0 <= written["memorised"] <= 1
    assert table(written).row_count == (15 if conditional else 8)
    assert 0 < written["nearest_true"] < written["nearest"]


def test_the_bound_is_on_the_levels_of_an_image(rng):
    """Knowing the one image well within a bin costs 0 bits; knowing the range of the levels alone costs 8."""
    image = made_up(rng, 1).x.astype(np.float64)
    sure = td.Oracle(td.GaussianMixture([1.0], image, [1e-6 * np.eye(784)]), td.Cosine())
    images = np.tile(image, (5, 1))
    assert bits(sure, images, images, rng)["bits_per_dim"] == pytest.approx(0, abs=1e-2)
    noise = (rng.integers(0, 256, (10, 784)) / 127.5 - 1).astype(np.float64)
    wide = td.Oracle(td.GaussianMixture([1.0], np.zeros((1, 784)), [np.eye(784) / 3]), td.Cosine())
    found = bits(wide, noise, noise, rng)
    assert 8 < found["bits_per_dim"] < 8.5
    assert sum(found["elbo_parts"].values()) == pytest.approx(found["bits_per_dim"])
    assert found["elbo_end_log_snr"] in pictures.ENDS


def test_a_chain_ends_where_the_model_is_still_of_use(rng):
    """A model that is off by .3 however little noise there is had better hand over early."""
    image = made_up(rng, 1).x.astype(np.float64)

    def off(x, t):
        return image + 0.3 + 0 * x

    model, images = td.as_denoiser(off, td.Cosine(), dim=784, prediction="x0"), np.tile(image, (5, 1))
    assert bits(model, images, images, rng)["elbo_end_log_snr"] <= 2


def test_a_model_that_copies_its_data_is_found_out(rng, monkeypatch):
    """Its samples are training digits: of the class asked for, and nearest to the half that is looked at, if in it."""
    data = made_up(rng)
    oracle = td.Oracle(data.x, td.Cosine(), data.labels)
    oracle.network = td.TimeMLP(784, 1, 0, classes=10)
    trained = Trained(oracle, None, np.zeros(784), np.ones(784), "")
    monkeypatch.setattr(pictures, "bits", lambda *arguments: {})
    pictures.pictures_report(found := Parts(), trained, data, made_up(np.random.default_rng(5)), rng)
    report = found.numbers
    assert report["memorised"] > 0.6
    assert report["loss_train"] < 0.5 * report["loss_test"]
    assert report["nearest"] < 0.5 * report["nearest_true"]
    assert report["agreement"][0] > 0.9


def test_the_x0_loss_asks_for_each_digit_by_its_own_label(rng):
    """A model that answers with the image of the label that it was given, but for 1/2, misses it by 1/4."""
    images = rng.standard_normal((10, 784)).astype(np.float32)

    class Answers:
        network, process, dim = td.TimeMLP(784, 1, 0, classes=10), td.Cosine(), 784

        def given(self, labels):
            self.labels = labels
            return self

        def x0(self, x, t):
            return images[self.labels] + 0.5

    labels = rng.integers(0, 10, 40)
    data = td.Dataset(images[labels], labels, np.float32(0), np.float32(1))
    assert x0_loss(Answers(), data, rng, n=30) == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize(
    ("low", "step", "high", "expected"),
    [
        (0, 1, 255, 256),
        (0, 1, 1, 2),
        (-3, 1, 13, 17),
        (0, 1, 2**16 - 1, 2**16),
        (1000, 1, 1016, 17),
        (0, 51, 255, 256),
        (0, 1, 2**16, None),
        (0.0, 0.5, 8.0, None),
        (0.25, 1.0, 8.25, None),
    ],
)
def test_levels_are_the_whole_numbers_that_a_pixel_can_be(tmp_path, low, step, high, expected):
    """Those that no picture has are counted; what is between whole numbers has none."""
    values = np.arange(low, high + step, step)
    np.save(tmp_path / "mine.npy", np.stack([values, values[::-1]])[:, None, :])
    assert levels(td.load_pictures(tmp_path / "mine.npy")) == expected
