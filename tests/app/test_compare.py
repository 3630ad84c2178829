"""Error against evaluations: the errors are those of the samplers that they name, at the cost that they took."""

import json

import numpy as np
import pytest

import tinydiff as td
from tinydiff import plotting
from tinydiff.app import cli
from tinydiff.app.compare import ENTRIES, compared, comparison_tables, short, true_points
from tinydiff.app.config import Config
from tinydiff.app.sampling import SAMPLERS

PROCESS, N = td.VP(), 50
FLOWS = [name for name, entry in ENTRIES.items() if entry.flow]


@pytest.fixture(scope="module")
def model():
    network, data = td.TimeMLP(2, 16, 1), td.toys.ring8()
    state = td.last(td.train(network, PROCESS, data, steps=100, batch=128, rng=0))
    return td.NetworkDenoiser(network, state.ema, PROCESS)


@pytest.fixture(scope="module")
def report(model):
    rng, data = np.random.default_rng(1), td.toys.ring8()
    return compared(model, data.sample(rng, N), data.sample(rng, N), most=100, seed=3)


def rows(report, name):
    return [row for row in report["rows"] if row["sampler"] == name]


def test_every_sampler_is_there_at_every_budget(report):
    assert {entry.sampler for entry in ENTRIES.values()} == set(SAMPLERS)
    assert {row["sampler"] for row in report["rows"]} == set(ENTRIES)
    for name, (_, _, cost, _) in ENTRIES.items():
        if cost:
            assert [row["budget"] for row in rows(report, name)] == [8, 12, 20, 32, 48, 100]
            for row in rows(report, name):
                assert (row["nfe"] - 1) % cost == 0  # steps, and the answer
                assert 0 <= row["budget"] - row["nfe"] < cost
            assert all(row["nfe_flow"] == row["budget"] for row in rows(report, name) if name in FLOWS)
        assert all(("distance" in row) == (name in FLOWS) for row in rows(report, name))


def test_the_distance_is_to_the_models_own_flow(report, model):
    """It falls with the evaluations, at the sampler's order; DDIM's and EDM's are theirs to a finer solution."""
    for name in FLOWS:
        assert rows(report, name)[-1]["distance"] < 0.1 * rows(report, name)[0]["distance"]
    for name, order in {"Euler": 1, "DDIM": 1, "DPM-Solver++(2M)": 2, "EDM Heun": 2}.items():
        coarse, fine = (row["distance"] for row in rows(report, name)[-2:])
        assert np.log2(coarse / fine) == pytest.approx(order, abs=0.4), name
    noise = PROCESS.prior(np.random.default_rng(3), N, model.like)
    precise = td.NetworkDenoiser(model.network, model.theta.astype(float), PROCESS)
    fine = td.last(td.probability_flow(precise, noise.astype(float), td.grids.even_log_snr(PROCESS, 400)))[1]
    for name, sampler, ts in (
        ("DDIM", td.ddim, td.grids.even_log_snr(PROCESS, 20)),
        ("EDM Heun", td.edm_heun, td.grids.karras(PROCESS, 10)),
    ):
        rough = td.last(sampler(precise, noise.astype(float), ts))[1]
        expected = np.median(np.linalg.norm(rough - fine, axis=1))
        assert rows(report, name)[2]["distance"] == pytest.approx(expected, rel=1e-3)


def test_the_baseline_is_of_true_points(report):
    data, rng = td.toys.ring8(), np.random.default_rng(1)
    true, again = data.sample(rng, N), data.sample(rng, N)
    assert report["energy_distance_true"] == td.energy_distance(again, true)
    assert report["n"] == N


def test_the_tables_and_the_figure_show_all(report):
    flows, all_samplers = comparison_tables(report)
    assert (flows.row_count, all_samplers.row_count) == (len(FLOWS), len(ENTRIES) + 1)
    assert len(flows.columns) == 7
    for table, error in ((flows, "distance"), (all_samplers, "energy_distance")):
        for i, row in enumerate(rows(report, "Euler")):
            assert next(iter(table.columns[1 + i].cells)) == short(row[error])
    assert [short(error) for error in (0.00004, 0.12345, 1.2345, 12345.6)] == [".0000", ".1235", "1.23", "1.23e+04"]
    report["rows"][0] = report["rows"][0] | {"energy_distance": None}  # samples that were not finite
    figure = plotting.error_against_evaluations(report["rows"], report["energy_distance_true"])
    left, right = figure.axes
    assert (len(left.lines), len(right.lines)) == (len(FLOWS), len(ENTRIES) + 1)
    assert len(right.lines[0].get_xdata()) == 5


def test_the_same_seed_makes_the_same_comparison(model):
    """Stochastic samplers too; another seed makes another."""
    data = td.toys.ring8()
    true, again = (data.sample(np.random.default_rng(k), 30) for k in range(2))
    first, second, other = (compared(model, true, again, 8, seed)["rows"] for seed in (0, 0, 1))
    assert first == second
    assert all(a["energy_distance"] != b["energy_distance"] for a, b in zip(first, other, strict=True))


def test_true_points_are_two_samples(rng):
    data = td.toys.moons32()
    x, y = true_points(data, 30, rng)
    assert x.shape == y.shape == (30, 2)
    assert not np.any(x == y)
    few = td.Dataset(np.arange(14.0).reshape(7, 2), None, np.zeros(2), np.ones(2))
    x, y = true_points(few, 30, rng)
    assert x.shape == y.shape == (3, 2)
    assert len(np.unique(np.concatenate([x, y]), axis=0)) == 6


def test_a_run_is_compared(tmp_path, capsys, train_run):
    train_run(tmp_path, Config("circles", width=8, blocks=1, steps=5, batch=16))
    assert cli.main(["compare", str(tmp_path), "--n", "20", "--most", "8", "--seed", "4"]) == 0
    report = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert (report["n"], report["seed"]) == (20, 4)
    assert {row["budget"] for row in report["rows"]} == {8, None}
    assert (tmp_path / "compare.png").stat().st_size > 1000
    assert "predictor–corrector" in capsys.readouterr().out
