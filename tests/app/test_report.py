"""Reports: each figure in them against what it claims, the oracle playing the network where truth is to be seen."""

import json

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import report
from tinydiff.app.config import Config, open_data, open_parts
from tinydiff.app.directory import Run, Trained
from tinydiff.app.parts import Parts
from tinydiff.app.report import losses, measure
from tinydiff.app.sampling import under_guidance
from tinydiff.app.table import table

pytestmark = pytest.mark.usefixtures("short_chains")

SHORT = {"width": 8, "blocks": 1, "steps": 20, "batch": 64}
TWO = td.GaussianMixture([0.6, 0.4], [[-1.0, 0.0], [1.0, 0.5]], [0.1 * np.eye(2), 0.2 * np.eye(2)], labels=[0, 1])
"""A mixture whose truths are quickly known."""


class Perfect(td.Oracle):
    """The oracle in the network's place."""

    def __init__(self, data, process, classes=0):
        super().__init__(data, process)
        self.network = td.TimeMLP(data.dim, 1, 0, classes)


def trained_on(path, config, data=None):
    """A run and its report."""
    run, (data, unseen) = Run.create(path, config), open_parts(config.name) if data is None else (data, None)
    return run, measure(run, run.train(data), data, unseen)


def test_the_oracle_is_at_the_floor_and_at_zero_nats():
    perfect = Trained(Perfect(TWO, td.VP(), 2), None, np.zeros(2), np.ones(2), "")
    report.exact_report(found := Parts(), perfect, TWO, np.random.default_rng(0))
    measured, figures = found.numbers, found.figures
    assert not found.failed
    np.testing.assert_allclose(measured["excess_t"], 0, atol=1e-20)
    assert measured["loss"] == pytest.approx(measured["floor"], abs=1e-12)
    assert measured["kl_nats"] == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(measured["kl_nats_of_class"], 0, atol=2e-3)
    np.testing.assert_allclose(measured["guidance_distance"], 0, atol=1e-9)
    assert measured["agreement"] == measured["agreement_exact"]
    assert measured["sliced_w2"] < 0.1
    assert measured["entropy_nats"] == TWO.entropy()[0]
    assert measured["modes_covered"] == 1
    assert measured["modes_p_value"] > 1e-4  # 50 steps are a little off
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
    oracle = Perfect(TWO, td.VP(), 2)
    labels, noise = np.arange(100) % 2, rng.standard_normal((100, 2))
    clouds = under_guidance(oracle, labels, noise)
    conditional, ts = oracle.given(labels), td.grids.even_log_snr(oracle.process, 49)
    plain = conditional.x0(td.last(td.ddim(conditional, noise, ts))[1], ts[-1])
    np.testing.assert_array_equal(clouds[0], plain)
    noisy = under_guidance(oracle, labels, noise, (0.0, 0.0), grid=td.grids.even_time, eta=1.0)
    np.testing.assert_array_equal(noisy[0], noisy[1])  # that on the way is the same too
    ts = td.grids.even_time(oracle.process, 49)
    chain = td.last(td.ddim(conditional, noise, ts, eta=1.0, rng=0))[1]
    np.testing.assert_array_equal(noisy[0], conditional.x0(chain, ts[-1]))
    sure = [np.mean(TWO.given(labels).log_density(x) - TWO.log_density(x)) for x in clouds]
    assert sure[0] < sure[1] < sure[2]


@pytest.mark.parametrize("conditional", [False, True])
def test_a_report_on_a_mixture(tmp_path, undrawn, conditional):
    run, written = trained_on(tmp_path, Config("two", conditional=conditional, **SHORT), TWO)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == written
    assert written["kl_nats"] > 0.05
    assert 0 < written["floor"] < written["loss"]
    assert written["steps"] == 20
    assert written["training_loss"] == pytest.approx(np.mean([row[1] for row in run.read_log()]))
    assert written["training_seconds"] == run.read_log()[-1][3]
    assert ("agreement" in written) == ("guidance.png" in written["figures"]) == conditional
    assert not conditional or written["agreement"][0] < written["agreement_exact"][0]
    assert {"training.png", "score.png"} <= set(written["figures"])
    assert table(written).row_count == (23 if conditional else 15)


@pytest.mark.parametrize("name", ["circles", "checkerboard"])
def test_a_report_on_a_shape(tmp_path, undrawn, name):
    """Between samples and true points, a shape's density being unknown."""
    _, written = trained_on(tmp_path, Config(name, conditional=name == "circles", **SHORT))
    assert written["sliced_w2_true"] < written["sliced_w2"]
    assert ("guidance.png" in written["figures"]) == (name == "circles")
    assert "samples.png" in written["figures"]


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_a_report_on_your_own_points_is_in_their_own_units(tmp_path, undrawn, rng, dim):
    """Stretched by 1,000 they cost ln 1,000 more in each coordinate; scatter plots are in the plane alone."""
    points, found = 50 + 7 * rng.standard_normal((101, dim)), []
    for stretch in (1, 1000):
        np.save(tmp_path / f"{stretch}.npy", stretch * points)
        found.append(trained_on(tmp_path / str(stretch), Config(str(tmp_path / f"{stretch}.npy"), **SHORT)))
    (run, one), (_, other) = found
    assert ("samples.png" in one["figures"]) == (dim == 2)
    assert "histograms.png" in one["figures"]
    assert 0 < one["sliced_w2_true"] < 1
    assert one["log_scale_nats"] == pytest.approx(np.sum(np.log(points.std(axis=0))))
    for name in ("nll_nats", "neg_elbo_nats", "neg_elbo_optimal_nats"):
        assert other[name] - one[name] == pytest.approx(dim * np.log(1000), abs=1e-3)
    with pytest.raises(ValueError, match=r"1\.npy is not what it was when this run began"):
        measure(run, run.load(), td.Dataset.standardised(points**3, None), None)


def test_an_error_in_a_part_is_a_line_and_the_rest_is_measured_and_drawn(tmp_path, undrawn, monkeypatch):
    """Whatever it is, out of memory too; the table has what is left."""

    def fails(*arguments, **options):
        raise MemoryError("8 TB for a\nmatrix")

    monkeypatch.setattr(report, "in_nats", fails)
    monkeypatch.setattr(report.plotting, "histograms", fails)
    np.save(tmp_path / "points.npy", np.random.default_rng(0).standard_normal((40, 2)))
    _, written = trained_on(tmp_path / "run", Config(str(tmp_path / "points.npy"), **SHORT))
    why = "MemoryError: 8 TB for a matrix"
    assert written["failed"] == {"nats": why, "histograms.png": why}
    assert written["figures"] == ["samples.png", "trajectory.png", "training.png"]
    assert written["mmd_true"] < 1
    assert table(written).row_count == 10


def test_whole_numbers_and_few_rows_are_reported(tmp_path, undrawn):
    """Of forty points four are unseen; where most are equal the kernel still has a width."""
    for name, points in (("few", np.arange(40.0)[:, None] ** 2), ("counts", [[0.0]] * 50 + [[1.0]] * 9 + [[2.0]])):
        np.save(tmp_path / f"{name}.npy", np.array(points))
        _, written = trained_on(tmp_path / name, Config(str(tmp_path / f"{name}.npy"), **SHORT))
        assert written["failed"] == {}
    np.save(tmp_path / "three.npy", np.arange(39.0)[:, None])
    with pytest.raises(ValueError, match=r"three.npy has 39 points: a run needs 40"):
        open_data(str(tmp_path / "three.npy"))
