"""Figures show what they are given, and files are written whole."""

import numpy as np
import pytest
from PIL import Image

import tinydiff as td
from tinydiff import plotting


def offsets(ax):
    return np.asarray(ax.collections[0].get_offsets())


def test_samples_against_data_shows_both_clouds_on_one_scale(rng):
    data, samples = rng.standard_normal((2, 50, 2))
    left, right = plotting.samples_against_data(data, 3 * samples).axes
    np.testing.assert_array_equal(offsets(left), data)
    np.testing.assert_array_equal(offsets(right), 3 * samples)
    assert left.get_xlim() == right.get_xlim() == left.get_ylim()


def test_strip_names_each_time(rng):
    frames = [(t, rng.standard_normal((20, 2))) for t in (1.0, 0.25, 0.0)]
    axes = plotting.strip(frames).axes
    assert [ax.get_title() for ax in axes] == ["t = 1", "t = 0.25", "t = 0"]
    for ax, (_, x) in zip(axes, frames, strict=True):
        np.testing.assert_array_equal(offsets(ax), x)


def test_spread_keeps_both_ends():
    assert plotting.spread(list(range(10)), 4) == [0, 3, 6, 9]


def test_score_fields_of_the_oracle_have_no_error():
    oracle = td.Oracle(td.toys.ring8(), td.VP())
    figure = plotting.score_fields(oracle, oracle, td.VP(), [0.1, 0.5])
    assert [ax.get_title() for ax in figure.axes] == ["t = 0.1: relative error 0.0%", "t = 0.5: relative error 0.0%"]


def test_loss_per_time_draws_the_numbers(rng):
    lam = np.linspace(-10, 10, 5)
    loss, floor, excess = rng.random((3, 5))
    left, right = plotting.loss_per_time(lam, loss, floor, excess).axes
    np.testing.assert_array_equal([line.get_ydata() for line in left.lines], [floor, loss])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), excess)


def test_digit_grid_puts_image_k_in_row_k_over_columns():
    images = np.full((7, 784), -1.0)
    images[5] = 1.0
    sheet = -plotting.digit_grid(images, columns=3).axes[0].images[0].get_array()
    assert sheet.shape == (3 * 28, 3 * 28)
    assert np.all(sheet[28:56, 56:] == 1)
    assert np.sum(sheet == 1) == 784


def test_saved_files_are_images_and_leave_nothing_else(tmp_path, rng):
    frames = [(t, rng.standard_normal((20, 2))) for t in (1.0, 0.5, 0.0)]
    plotting.save(plotting.strip(frames), tmp_path / "strip.png")
    plotting.save_gif(frames, tmp_path / "moving.gif", fps=5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moving.gif", "strip.png"]
    with Image.open(tmp_path / "strip.png") as still, Image.open(tmp_path / "moving.gif") as moving:
        assert still.width > still.height
        assert moving.n_frames >= 3


def test_a_figure_that_cannot_be_written_leaves_the_old_one(tmp_path, rng):
    path = tmp_path / "figure.unknown"
    path.write_text("old")
    with pytest.raises(ValueError, match="not supported"):
        plotting.save(plotting.samples_against_data(*rng.standard_normal((2, 9, 2))), path)
    assert path.read_text() == "old"
