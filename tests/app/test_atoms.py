"""Columns with atoms: known, said, given no nats; spread by noise where that is asked for, and whole in samples."""

import io
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydiff as td
from tinydiff.app import cli
from tinydiff.app.atoms import dequantised, step_of, with_atoms

RNG = np.random.default_rng(0)
N = 500
NORMAL = RNG.standard_normal(N)
COUNTS = RNG.poisson(4.0, N).astype(float)
SHORT = ["--steps", "30", "--batch", "32", "--width", "16", "--blocks", "1"]


@pytest.mark.parametrize(
    ("column", "atoms"),
    [
        (NORMAL, False),
        (np.round(NORMAL, 1), False),  # a tenth of the deviation, as a ruler has it
        (np.round(NORMAL), True),
        (np.round(2 * NORMAL) / 2, True),
        (COUNTS, True),
        (RNG.integers(0, 17, N), True),
        (RNG.integers(0, 17, N) / 10, False),
        (RNG.poisson(1000.0, N), False),
        (NORMAL > 0, True),
        (np.where(NORMAL > 0.5, NORMAL, 0.0), True),  # rain: none on many days, any amount on others
        (RNG.integers(0, 256, N) * (NORMAL > -0.5), True),
        (np.append(np.repeat(NORMAL[:200], 2), NORMAL[:100]), False),  # each twice is no atom
        (np.arange(5.0), False),
    ],
)
def test_a_column_has_atoms_where_its_values_come_again_and_again(column, atoms):
    """Whatever its unit, and however many points there are."""
    column = np.asarray(column, float)
    for shift, scale in ((0.0, 1.0), (-3.0, 2.0**30), (7.0, 2.0**10)):
        assert with_atoms(scale * (column + shift)[:, None]).item() == atoms
    assert with_atoms(np.tile(column, 20)[:, None]).item() == atoms or len(column) == 5


@given(
    values=st.lists(st.integers(-30, 30), min_size=2, max_size=40).filter(lambda values: len(set(values)) > 1),
    step=st.sampled_from([1.0, 2.0, 0.5, 0.1, 1e-6, 250.0]),
    origin=st.sampled_from([0.0, 1.0, -0.25, 1e3]),
)
def test_the_step_is_the_greatest_that_all_values_are_apart_by(values, step, origin):
    """Of whole numbers, tenths and hundredths the greatest common divisor; other gaps are twenty steps at most."""
    whole = sorted(set(values))
    greatest = math.gcd(*(b - a for a, b in itertools.pairwise(whole)))
    found = step_of(origin + step * np.array(whole, float))
    if step != 1e-6 or min(b - a for a, b in itertools.pairwise(whole)) <= 20 * greatest:
        assert found == pytest.approx(step * greatest, rel=1e-6)
    else:
        assert found is None


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_noise_fills_the_cells_and_samples_are_whole_again(dtype):
    """The noise is uniform over a cell and the same each time; columns that are no lattice stay as they are."""
    rain = np.where(NORMAL > 0, NORMAL, 0.0)
    x = np.stack([NORMAL, COUNTS, rain, 3.0 + 0.25 * COUNTS[::-1]], axis=1)
    spread, lattice = dequantised(x)
    assert lattice == ((1, 0.0, COUNTS.max(), 1.0), (3, 3.0, 3.0 + COUNTS.max() / 4, 0.25))
    np.testing.assert_array_equal(spread, dequantised(x)[0])
    np.testing.assert_array_equal(spread[:, [0, 2]], x[:, [0, 2]])
    u = (spread - x)[:, [1, 3]] / [1.0, 0.25]
    assert np.all(np.abs(u) <= 0.5)
    assert np.max(np.abs(np.sort(u, axis=0) - (np.arange(N)[:, None] + 0.5) / N + 0.5)) < 1.95 / np.sqrt(
        N
    )  # one of a thousand
    data = td.load_points(x, dequantise=True)
    restored = data.restore(data.x.astype(dtype))
    assert restored.dtype == dtype
    np.testing.assert_array_equal(restored[:, [1, 3]], x[:, [1, 3]])
    np.testing.assert_allclose(restored[:, [0, 2]], x[:, [0, 2]], rtol=1e-5, atol=1e-6)
    assert data.notes == (
        "noise is added within the steps of columns 2, 4, and samples are rounded",
        "columns 3 repeat their values, so they have no density and no nats",
    )


def test_samples_of_tenths_are_tenths():
    """To the last digit, whatever the least of them is; thirds are thirds."""
    tenths = RNG.integers(-34, 28, N) / 10
    data = td.load_points(np.stack([tenths, RNG.integers(0, 9, N) / 3], axis=1), dequantise=True)
    restored = data.restore(data.x)
    assert set(restored[:, 0].tolist()) <= {k / 10 for k in range(-34, 28)}
    np.testing.assert_allclose(restored[:, 1] * 3, np.rint(restored[:, 1] * 3), atol=1e-13)


def test_what_has_no_atoms_is_not_dequantised():
    with pytest.raises(ValueError, match="the data has no column to dequantise: none has few values, in equal steps"):
        td.load_points(NORMAL[:, None], dequantise=True)
    with pytest.raises(ValueError, match="dequantise must be True or False; got 1"):
        td.load_points(COUNTS[:, None], dequantise=1)


def run(tmp_path, name, columns, *options):
    header = ",".join("abcdef"[: len(columns)])
    path = tmp_path / f"{name}.csv"
    np.savetxt(path, np.stack(columns, axis=1), "%.12g", ",", header=header, comments="")
    assert cli.main(["train", str(path), "--out", str(tmp_path / name), *SHORT, *options]) == 0
    return json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))


def test_a_report_gives_no_nats_where_there_is_no_density(tmp_path, capsys):
    """A run on counts says so beforehand and in its report, which has the rest; it draws numbers that are not whole."""
    report = run(tmp_path, "mine", [NORMAL, COUNTS])
    out, err = capsys.readouterr()
    assert "columns 'b' repeat their values, so they have no density and no nats (--dequantise adds noise" in err
    assert report["atoms"] == ["b"]
    assert report["failed"] == {}
    assert not [name for name in report if "nll" in name or "elbo" in name]
    assert "energy_distance" in report
    assert "none: no density" in out
    assert "NLL" not in out


def test_a_dequantised_run_bounds_probabilities_and_draws_whole_numbers(tmp_path, capsys):
    """−ln P has no unit: counts in dozens have the nats of counts. What is beyond the counts is said, and clipped."""
    columns = [COUNTS, RNG.integers(0, 2, N)]
    single = run(tmp_path, "single", columns, "--dequantise")
    dozens = run(tmp_path, "dozens", [12.0 * column for column in columns], "--dequantise")
    assert "at least −ln P" in capsys.readouterr().out
    assert single["nll_nats"] == pytest.approx(dozens["nll_nats"], rel=1e-6)
    assert single["nll_nats"] > 1.0  # the entropy is 2.1 + 0.7
    words = ["sample", str(tmp_path / "dozens"), "--n", "300", "--steps", "5", "--out", str(tmp_path / "x.csv")]
    assert cli.main(words) == 0
    assert "of the dequantised numbers are beyond the data's range; --clip clips them." in capsys.readouterr().err
    x = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1, dtype=int)  # as they stand there
    assert x.shape == (300, 2)
    assert np.all(x % 12 == 0)
    assert cli.main([*words, "--clip"]) == 0
    assert capsys.readouterr().err == ""
    low, high = 12 * np.min(columns, axis=1), 12 * np.max(columns, axis=1)
    clipped = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1, dtype=int)
    np.testing.assert_array_equal(clipped, np.clip(x, low, high))
    assert np.any(clipped != x)


def test_a_gap_of_a_dequantised_run_is_filled_by_a_whole_number(tmp_path):
    run(tmp_path, "mine", [NORMAL, COUNTS], "--dequantise")
    words = ["inpaint", str(tmp_path / "mine"), "--known", "a=0.3", "--n", "50", "--steps", "5", "--resamples", "1"]
    assert cli.main([*words, "--out", str(tmp_path / "x.csv")]) == 0
    x = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(x[:, 0], 0.3)
    np.testing.assert_array_equal(x[:, 1], np.rint(x[:, 1]))
    assert len(set(x[:, 1])) > 1


def piped(monkeypatch, raw, *words):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))
    return cli.main([str(word) for word in words])


def test_a_run_may_come_by_a_pipe_and_keeps_what_came(tmp_path, monkeypatch, capsys):
    """So that it is evaluated and gone on with, in another place too."""
    raw = ("a;b\n" + "".join(f"{x:.3f};{y:.3f}\n" for x, y in NORMAL.reshape(-1, 2))).replace(".", ",").encode()
    monkeypatch.chdir(tmp_path)
    assert piped(monkeypatch, raw, "train", "-", *SHORT) == 0
    assert (tmp_path / "runs" / "stdin" / "stdin.csv").read_bytes() == raw
    assert "decimal commas" in capsys.readouterr().err
    assert piped(monkeypatch, raw, "train", "-", *SHORT) == 1
    assert "holds a run: train on " in capsys.readouterr().err
    (tmp_path / "runs" / "stdin").rename(tmp_path / "moved")
    assert cli.main(["evaluate", "moved"]) == 0


@pytest.mark.parametrize(
    ("raw", "options", "code", "says"),
    [
        (b"", [], 1, "standard input: it holds no numbers."),
        (b"a,b\n1,2\n3,x\n", [], 1, "standard input: line 3, column 'b' is no number: 'x'"),
        (b"1,2\n3,5\n", ["--array", "x"], 1, "standard input: --array is for .npz files"),
        (b"1,2\n3,5\n", ["--steps", "none"], 2, "--steps"),
    ],
)
def test_what_comes_by_a_pipe_and_cannot_be_read_is_not_kept(tmp_path, monkeypatch, capsys, raw, options, code, says):
    monkeypatch.chdir(tmp_path)
    assert piped(monkeypatch, raw, "train", "-", *options) == code
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
