"""Reports: each figure in them against what it claims, the oracle playing the network where truth is to be seen."""

import json

import numpy as np
import pytest

import tinydiff as td
from tinydiff.runs import report
from tinydiff.runs.config import Config, open_data
from tinydiff.runs.directory import Run, Trained
from tinydiff.runs.report import WEIGHTS, agreement, losses, measure, table, under_guidance, x0_loss

SHORT = {"width": 16, "blocks": 1, "steps": 20, "batch": 64}


class Perfect(td.Oracle):
    """The oracle in the network's place."""

    def __init__(self, data, process, classes=0):
        super().__init__(data, process)
        self.network = td.TimeMLP(data.dim, 1, 0, classes)


def trained_on(path, config):
    run = Run.create(path, config)
    return run, run.train(open_data(config.name))


def test_the_oracle_is_at_the_floor_and_at_zero_nats(tmp_path):
    data, process = td.toys.moons32(), td.VP()
    perfect = Trained(Perfect(data, process, 2), process, None, np.zeros(2), np.ones(2), "")
    measured, figures = report.exact_report(perfect, data, np.random.default_rng(0))
    np.testing.assert_allclose(measured["excess_t"], 0, atol=1e-20)
    assert measured["loss"] == pytest.approx(measured["floor"], abs=1e-12)
    assert measured["kl_nats"] == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(measured["kl_nats_of_class"], 0, atol=2e-3)
    np.testing.assert_allclose(measured["guidance_distance"], 0, atol=1e-9)
    assert measured["agreement"] == measured["agreement_exact"]
    assert measured["sliced_w2"] < 0.1
    assert set(figures) == {"samples.png", "forward.png", "trajectory.png", "score.png", "loss.png", "guidance.png"}


def test_the_averaged_loss_is_the_integral_over_uniform_t():
    """For the oracle of N(0, 1) under VP the loss at t is α², so its average is ∫ α² dt / (t_max − t_min)."""
    process = td.VP()
    data = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])
    measured = losses(Perfect(data, process), td.Oracle(data, process), np.random.default_rng(0))
    t = np.linspace(process.t_min, process.t_max, 20_001)
    np.testing.assert_allclose(measured["floor_t"], process.alpha(np.array(measured["t"])) ** 2, rtol=1e-6)
    assert measured["floor"] == pytest.approx(np.mean(process.alpha(t) ** 2), rel=0.01)


def test_agreement_is_the_exact_posteriors():
    """Two unit Gaussians at ±1 with weights 3:1: the boundary is at ½ ln 3, by Bayes."""
    data = td.GaussianMixture([0.75, 0.25], [[-1.0], [1.0]], [[[1.0]], [[1.0]]], labels=np.array([0, 1]))
    x = np.array([[-3.0], [0.0], [0.5493], [0.5494], [3.0]])
    assert np.log(3) / 2 == pytest.approx(0.54931, abs=1e-5)
    np.testing.assert_array_equal([agreement(data, point[None], np.zeros(1)) for point in x], [1.0, 1.0, 1.0, 0.0, 0.0])
    assert agreement(data, x, np.array([0, 1, 0, 1, 1])) == 0.8


def test_under_guidance_starts_from_the_same_noise(rng):
    """At w = 0 it is DDIM on the conditional model; a larger w moves samples on to where the label is surer."""
    data = td.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [np.eye(2), np.eye(2)], labels=np.array([0, 1]))
    oracle = Perfect(data, td.VP(), 2)
    labels, noise = np.arange(400) % 2, rng.standard_normal((400, 2))
    clouds = under_guidance(oracle, labels, noise)
    ts = td.grids.log_snr(oracle.process, 50, to_zero=True)
    plain = td.last(td.ddim(oracle.given(labels), oracle.process, noise, ts))[1]
    np.testing.assert_array_equal(clouds[0], plain)
    sure = [np.mean(oracle.data.given(labels).log_density(x) - oracle.data.log_density(x)) for x in clouds]
    assert sure[0] < sure[1] < sure[2]


@pytest.mark.parametrize("name", ["ring8", "moons32"])
def test_a_report_on_a_mixture(tmp_path, name):
    run, trained = trained_on(tmp_path, Config(name, conditional=name == "moons32", **SHORT))
    written = measure(run, trained, open_data(run.config.name))
    assert json.loads((tmp_path / "report.json").read_text()) == written
    assert written["kl_nats"] > 0.05
    assert 0 < written["floor"] < written["loss"]
    assert written["steps"] == 20
    assert written["training_loss"] == pytest.approx(np.mean([row[1] for row in run.read_log()]))
    assert ("agreement" in written) == (name == "moons32")
    if name == "moons32":
        assert written["agreement"][0] < written["agreement_exact"][0]
    assert {"training.png", "score.png"} <= set(written["figures"])
    for figure in written["figures"]:
        assert (tmp_path / figure).stat().st_size > 1000
    assert table(written).row_count == (15 if name == "moons32" else 7)


@pytest.mark.parametrize("name", ["circles", "checkerboard"])
def test_a_report_on_a_shape(tmp_path, name):
    run, trained = trained_on(tmp_path, Config(name, conditional=name == "circles", **SHORT))
    written = measure(run, trained, open_data(run.config.name))
    assert written["sliced_w2_true"] < written["sliced_w2"]
    assert ("guidance.png" in written["figures"]) == (name == "circles")
    assert "samples.png" in written["figures"]


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_a_report_on_your_own_points(tmp_path, rng, dim):
    """Histograms in the file's own units; scatter plots in the plane alone."""
    np.save(tmp_path / "mine.npy", 50 + 7 * rng.standard_normal((101, dim)))
    run, trained = trained_on(tmp_path / "run", Config(str(tmp_path / "mine.npy"), **SHORT))
    written = measure(run, trained, open_data(run.config.name))
    assert ("samples.png" in written["figures"]) == (dim == 2)
    assert "histograms.png" in written["figures"]
    assert 0 < written["sliced_w2_true"] < 1


def test_the_x0_loss_of_simple_denoisers():
    """Of a network that says 0 it is E x_0²; with all images alike and said as they are it is 0."""
    network = td.TimeMLP(784, 4, 0, classes=10, prediction="x0")
    theta = np.zeros(network.size, np.float32)
    rng = np.random.default_rng(0)
    x, labels = np.full((30, 784), 0.5, np.float32), np.arange(30) % 10
    data = td.Dataset(x, labels, np.float32(0), np.float32(1))
    model = td.NetworkDenoiser(network, theta, td.Cosine())
    assert x0_loss(model, data, rng, n=20) == pytest.approx(0.25, rel=1e-6)
    theta[-784:] = 0.5
    assert x0_loss(model, data, rng, n=20) == pytest.approx(0, abs=1e-12)


def test_the_x0_loss_asks_for_each_digit_by_its_own_label(rng):
    """A model that answers with the one image of the label that it was given misses nothing."""
    images = rng.standard_normal((10, 784)).astype(np.float32)

    class Answers:
        network, process, dim = td.TimeMLP(784, 1, 0, classes=10), td.Cosine(), 784

        def given(self, labels):
            self.labels = labels
            return self

        def x0(self, x, t):
            return images[self.labels]

    labels = rng.integers(0, 10, 40)
    data = td.Dataset(images[labels], labels, np.float32(0), np.float32(1))
    assert x0_loss(Answers(), data, rng, n=30) == 0


@pytest.mark.parametrize("conditional", [True, False])
def test_a_report_on_digits(tmp_path, monkeypatch, rng, conditional):
    """Both splits are looked at, and there is a sheet for each weight, or one where there are no labels."""
    seen = []

    def load(split="train"):
        seen.append(split)
        x = (rng.integers(0, 256, (60, 784)) / 127.5 - 1).astype(np.float32)
        return td.Dataset(x, np.arange(60) % 10, np.float32(127.5), np.float32(127.5))

    monkeypatch.setattr(report, "load_mnist", load)
    data = load()
    run = Run.create(tmp_path, Config("mnist", conditional=conditional, prediction="x0", **SHORT))
    written = measure(run, run.train(data), data)
    assert seen == ["train", "test"]
    sheets = {f"digits-w{w:g}.png" for w in WEIGHTS} if conditional else {"digits.png"}
    assert {name for name in written["figures"] if name.startswith("digits")} == sheets
    for name in ("loss_train", "loss_test"):
        assert 0.1 < written[name] < 2
    assert table(written).row_count == 2


def test_other_data_than_those_of_the_run_are_said(tmp_path, rng):
    data = td.Dataset(rng.standard_normal((50, 2)), None, np.zeros(2), np.ones(2))
    run = Run.create(tmp_path, Config("mine.npy", **SHORT))
    trained = run.train(data)
    with pytest.raises(ValueError, match=r"mine\.npy is not what it was when this run began"):
        measure(run, trained, data._replace(x=data.x * 2))
