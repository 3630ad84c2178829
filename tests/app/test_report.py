"""Reports: each figure in them against what it claims, the oracle playing the network where truth is to be seen."""

import json

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import report
from tinydiff.app.config import Config, open_data
from tinydiff.app.directory import Run, Trained
from tinydiff.app.report import losses, measure
from tinydiff.app.sampling import under_guidance
from tinydiff.app.table import table

pytestmark = pytest.mark.usefixtures("short_chains")

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
    perfect = Trained(Perfect(data, process, 2), None, np.zeros(2), np.ones(2), "")
    measured, figures = report.exact_report(perfect, data, np.random.default_rng(0))
    np.testing.assert_allclose(measured["excess_t"], 0, atol=1e-20)
    assert measured["loss"] == pytest.approx(measured["floor"], abs=1e-12)
    assert measured["kl_nats"] == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(measured["kl_nats_of_class"], 0, atol=2e-3)
    np.testing.assert_allclose(measured["guidance_distance"], 0, atol=1e-9)
    assert measured["agreement"] == measured["agreement_exact"]
    assert measured["sliced_w2"] < 0.1
    assert measured["entropy_nats"] == data.entropy()[0]
    assert measured["modes_covered"] == 1
    assert measured["modes_p_value"] > 1e-5  # 50 steps are a little off: 1e-4 to 1e-1 over seeds
    for name in ("energy_distance", "mmd"):
        assert measured[name] < measured[f"{name}_true"] + 0.005
    assert set(figures) == {"samples.png", "forward.png", "trajectory.png", "score.png", "loss.png", "guidance.png"}


def test_the_averaged_loss_is_the_integral_over_uniform_t():
    """For the oracle of N(0, 1) under VP the loss at t is α², so its average is ∫ α² dt / (t_max − t_min)."""
    process = td.VP()
    data = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])
    measured = losses(Perfect(data, process), td.Oracle(data, process), np.random.default_rng(0))
    t = np.linspace(process.t_min, process.t_max, 20_001)
    np.testing.assert_allclose(measured["floor_t"], process.alpha(np.array(measured["t"])) ** 2, rtol=1e-6)
    assert measured["floor"] == pytest.approx(np.mean(process.alpha(t) ** 2), rel=0.01)


def test_under_guidance_starts_from_the_same_noise(rng):
    """At w = 0 it is DDIM's answer of the conditional model; a larger w moves samples to where the label is surer."""
    data = td.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], [np.eye(2), np.eye(2)], labels=np.array([0, 1]))
    oracle = Perfect(data, td.VP(), 2)
    labels, noise = np.arange(400) % 2, rng.standard_normal((400, 2))
    clouds = under_guidance(oracle, labels, noise)
    conditional, ts = oracle.given(labels), td.grids.even_log_snr(oracle.process, 49)
    plain = conditional.x0(td.last(td.ddim(conditional, noise, ts))[1], ts[-1])
    np.testing.assert_array_equal(clouds[0], plain)
    noisy = under_guidance(oracle, labels, noise, (0.0, 0.0), grid=td.grids.even_time, eta=1.0)
    np.testing.assert_array_equal(noisy[0], noisy[1])  # that on the way is the same too
    ts = td.grids.even_time(oracle.process, 49)
    chain = td.last(td.ddim(conditional, noise, ts, eta=1.0, rng=0))[1]
    np.testing.assert_array_equal(noisy[0], conditional.x0(chain, ts[-1]))
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
    assert table(written).row_count == (23 if name == "moons32" else 15)


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
    assert written["log_scale_nats"] == pytest.approx(dim * np.log(7), abs=0.2 * dim)


def test_the_nats_of_points_are_in_their_own_units(tmp_path, rng):
    """Stretched by 1,000 the same points cost ln 1,000 more in each coordinate, by the change of variables."""
    x = rng.standard_normal((80, 2))
    found = []
    for stretch in (1.0, 1000.0):
        path = tmp_path / f"{stretch:g}.npy"
        np.save(path, stretch * x)
        run, trained = trained_on(tmp_path / f"run{stretch:g}", Config(str(path), **SHORT))
        found.append(measure(run, trained, open_data(run.config.name)))
    for name in ("nll_nats", "neg_elbo_nats", "neg_elbo_optimal_nats"):
        assert found[1][name] - found[0][name] == pytest.approx(2 * np.log(1000), abs=1e-3)


def test_other_data_than_those_of_the_run_are_said(tmp_path, rng):
    data = td.Dataset(rng.standard_normal((50, 2)), None, np.zeros(2), np.ones(2))
    run = Run.create(tmp_path, Config("mine.npy", **SHORT))
    trained = run.train(data)
    with pytest.raises(ValueError, match=r"mine\.npy is not what it was when this run began"):
        measure(run, trained, data._replace(x=data.x * 2))
