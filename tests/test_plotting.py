"""Figures show what they are given, and files are written whole."""

import numpy as np
import pytest
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

import tinydiff as td
from tinydiff import plotting


def offsets(ax):
    return np.asarray(ax.collections[0].get_offsets())


def test_clouds_are_on_one_scale_and_each_time_is_named(rng):
    data, samples = rng.standard_normal((2, 50, 2))
    left, right = plotting.samples_against_data(data, 3 * samples).axes
    assert left.get_xlim() == right.get_xlim() == left.get_ylim()
    panels = plotting.strip([(1.0, data), (0.25, samples), (0.0, -data)]).axes
    assert [ax.get_title() for ax in panels] == ["t = 1", "t = 0.25", "t = 0"]
    for ax, x in zip([left, right, *panels], (data, 3 * samples, data, samples, -data), strict=True):
        np.testing.assert_array_equal(offsets(ax), x)


def test_spread_keeps_both_ends():
    assert plotting.spread(list(range(10)), 4) == [0, 3, 6, 9]


def test_score_fields_are_titled_by_the_relative_error():
    """0 for the oracle; a network that knows nothing, ε̂ = 0, is wrong by all of the field, in its own float32."""
    network, oracle = td.TimeMLP(2, 8, 1, prediction="eps"), td.Oracle(td.toys.ring8(), td.VP())
    nothing = td.NetworkDenoiser(network, np.zeros(network.size, np.float32), td.VP())
    for model, error in ((oracle, "0.0%"), (nothing, "100.0%")):
        figure = plotting.score_fields(oracle, model, [0.1, 0.5])
        assert [ax.get_title() for ax in figure.axes] == [f"t = {t}: relative error {error}" for t in (0.1, 0.5)]


def test_loss_per_time_draws_the_numbers(rng):
    lam = np.linspace(-10, 10, 5)
    loss, floor, excess = rng.random((3, 5))
    left, right = plotting.loss_per_time(lam, loss, floor, excess).axes
    np.testing.assert_array_equal([line.get_ydata() for line in left.lines], [floor, loss])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), excess)


def heights(artist):
    """The height of a step histogram in each of its bins, from the corners of its outline."""
    corners = artist.get_xy()
    inner = corners[1:-1]  # without the feet on the axis
    np.testing.assert_array_equal(inner[::2, 1], inner[1::2, 1])
    return inner[::2, 1], np.append(inner[::2, 0], inner[-1, 0])


def density(x, edges):
    """The fraction of x in each bin over the bin's width."""
    return np.histogram(x, edges)[0] / len(x) / np.diff(edges)


def test_histograms_are_the_densities_of_each_coordinate(rng):
    """Grey bars of the data with area 1, and the samples as an orange line; those outside are told."""
    data = rng.standard_normal((500, 3)) * [1.0, 2.0, 5.0] + [0.0, 1.0, -3.0]
    samples = np.concatenate([0.9 * data[:300], data.max(axis=0) + np.ones((100, 3))])
    axes = plotting.histograms(data, samples).axes
    assert [ax.get_title() for ax in axes] == [f"coordinate {i}: 25.0% of the samples outside" for i in range(3)]
    for i, ax in enumerate(axes):
        bars, line = ax.patches[:-1], ax.patches[-1]
        edges = np.array([bar.get_x() for bar in bars] + [bars[-1].get_x() + bars[-1].get_width()])
        tall = np.array([bar.get_height() for bar in bars])
        np.testing.assert_allclose(edges, np.linspace(data[:, i].min(), data[:, i].max(), 41), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(tall, density(data[:, i], edges), rtol=1e-12)
        np.testing.assert_allclose(np.sum(tall * np.diff(edges)), 1, rtol=1e-12)
        step, step_edges = heights(line)
        np.testing.assert_allclose(step_edges, edges, rtol=1e-12)
        np.testing.assert_allclose(step, density(samples[:, i], edges), rtol=1e-12)
        assert {colors.to_hex(bar.get_facecolor()) for bar in bars} == {plotting.DATA}
        assert colors.to_hex(line.get_edgecolor()) == colors.to_hex(plotting.MODEL)
        assert not line.get_fill()
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["data", "samples"]


@pytest.mark.parametrize(("dim", "options", "count"), [(1, {}, 1), (9, {}, 6), (9, {"most": 2}, 2)])
def test_histograms_show_the_first_coordinates_and_no_more_than_asked(dim, options, count, rng):
    """Where samples miss the data altogether their line is flat, and there is no division of 0 by 0."""
    data = rng.standard_normal((50, dim)) + 100.0 * np.arange(dim)
    axes = plotting.histograms(data, data + 1000, **options).axes
    assert [round(np.mean(ax.get_xlim()) / 100) for ax in axes] == list(range(count))
    assert not np.any(heights(axes[0].patches[-1])[0] > 0)


def seen_colors(dots):
    """The colour in which each dot is drawn."""
    dots.figure.canvas.draw()
    return [colors.to_hex(color) for color in dots.get_facecolor()]


@pytest.mark.parametrize("classes", [1, 10, 11])
def test_guidance_has_a_row_for_each_model_and_a_column_for_each_w(classes, rng):
    """Each cloud in its place, each label in a colour of its own, the same in every panel."""
    labels = np.arange(64) % classes
    clouds = {name: list(rng.standard_normal((3, 64, 2))) for name in ("exact", "learned")}
    figure = plotting.guidance(clouds, [0.0, 1.5, 4], labels)
    FigureCanvasAgg(figure)
    axes = np.reshape(figure.axes, (2, 3))
    grid = axes[0, 0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 3)
    palette = seen_colors(axes[0, 0].collections[0])
    assert len({*zip(labels, palette, strict=True)}) == len(set(palette)) == classes
    for row, (name, xs) in zip(axes, clouds.items(), strict=True):
        for ax, x, w in zip(row, xs, ("0", "1.5", "4"), strict=True):
            np.testing.assert_array_equal(offsets(ax), x)
            assert ax.get_title() == f"{name}, w = {w}"
            assert seen_colors(ax.collections[0]) == palette


@pytest.mark.parametrize("far", [0, 3])
def test_guidance_is_on_one_scale_that_holds_the_widest_cloud(far, rng):
    """Guided samples leave the data: the reach is that of all panels together."""
    clouds = rng.standard_normal((4, 1000, 2))
    clouds[far] *= 10
    figure = plotting.guidance({"a": list(clouds[:2]), "b": list(clouds[2:])}, [0, 1], np.zeros(1000))
    ((left, right, bottom, top),) = {(*ax.get_xlim(), *ax.get_ylim()) for ax in figure.axes}
    assert -left == right == -bottom == top
    assert np.mean(np.abs(clouds[far]) < right) >= 0.995
    assert right < 1.2 * np.max(np.abs(clouds[far]))


@pytest.mark.parametrize(
    ("n", "window", "used"), [(250, {}, 100), (250, {"window": 7}, 7), (30, {}, 30), (5, {"window": 5}, 5)], ids=str
)
def test_training_draws_each_loss_and_its_mean_over_the_last_window(n, window, used, rng):
    """At each step from the window's end on, the mean of the last `used` losses, by sums of slices."""
    steps, losses = np.arange(10, 10 + n), rng.uniform(0.1, 1, n)
    (ax,) = plotting.training(list(steps), list(losses), **window).axes
    each, mean = ax.lines
    np.testing.assert_array_equal(each.get_xydata(), np.stack([steps, losses], axis=1))
    np.testing.assert_array_equal(mean.get_xdata(), steps[used - 1 :])
    expected = [np.mean(losses[end - used : end]) for end in range(used, n + 1)]
    np.testing.assert_allclose(mean.get_ydata(), expected, rtol=1e-12)
    assert ax.get_yscale() == "log"
    assert (each.get_color(), mean.get_color()) == (plotting.DATA, plotting.MODEL)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a batch", f"mean of {used}"]


def test_pictures_puts_image_k_in_row_k_over_columns():
    images = np.full((7, 784), -1.0)
    images[5] = 1.0
    sheet = -plotting.pictures(images, columns=3).axes[0].images[0].get_array()
    assert sheet.shape == (3 * 29, 3 * 29)
    assert np.all(sheet[29:57, 58:86] == 1)
    assert np.sum(sheet == 1) == 784
    tall = -plotting.pictures(np.arange(12.0).reshape(2, 6) / 12, (3, 2), columns=2).axes[0].images[0].get_array()
    with pytest.raises(ValueError, match=r"images must be \(N, 784\), pictures of 28 × 28; got \(2, 6\)"):
        plotting.pictures(np.zeros((2, 6)))
    white = [-12] * 6
    np.testing.assert_array_equal(
        12 * tall, [[0, 1, -12, 6, 7, -12], [2, 3, -12, 8, 9, -12], [4, 5, -12, 10, 11, -12], white]
    )


def test_saved_files_are_images_and_what_cannot_be_written_leaves_the_old_one(tmp_path, rng):
    frames = [(t, rng.standard_normal((20, 2))) for t in (1.0, 0.5, 0.0)]
    plotting.save(plotting.strip(frames), tmp_path / "strip.png")
    plotting.save_gif(frames, tmp_path / "moving.gif", fps=5)
    old = tmp_path / "old.unknown"
    old.write_text("old", encoding="utf-8")
    with pytest.raises(ValueError, match="not supported"):
        plotting.save(plotting.strip(frames), old)
    assert old.read_text(encoding="utf-8") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moving.gif", "old.unknown", "strip.png"]
    with Image.open(tmp_path / "strip.png") as still, Image.open(tmp_path / "moving.gif") as moving:
        assert still.width > still.height
        assert moving.n_frames >= 3


@pytest.fixture
def shown(monkeypatch):
    """The images that `show` displays."""
    images = []
    monkeypatch.setattr(pytest.importorskip("IPython.display"), "display", images.append)
    return images


def test_show_displays_a_figure_with_its_words_and_none_without(rng, shown):
    plotting.show(plotting.points(rng.standard_normal((20, 2))), "  Twenty points\n in the plane. ")
    (image,) = shown
    assert image.data.startswith(b"\x89PNG")
    assert image.alt == "Twenty points in the plane."
    with pytest.raises(ValueError, match="alt must say in words"):
        plotting.show(plotting.points(np.eye(2)), " ")


def test_show_displays_an_animation_as_a_gif_and_nothing_twice(shown):
    import matplotlib.pyplot as plt
    from matplotlib.animation import FuncAnimation

    fig, ax = plt.subplots()
    (line,) = ax.plot([0, 1], [0, 0])
    plotting.show(FuncAnimation(fig, lambda i: line.set_ydata([0, i]), frames=2), "A line that rises.")
    assert shown[0].data.startswith(b"GIF89a")
    assert not plt.fignum_exists(fig.number)


def test_the_style_of_the_course_has_the_colours_of_the_figures():
    import matplotlib.pyplot as plt

    with plt.style.context("tinydiff.course"):
        cycle = [color.upper() for color in plt.rcParams["axes.prop_cycle"].by_key()["color"]]
    assert sorted(cycle) == sorted(color.upper() for color in plotting.CYCLE)
    assert cycle[:2] == [plotting.EXACT.upper(), plotting.MODEL.upper()]
