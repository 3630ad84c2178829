"""Figures. Matplotlib is imported when a figure is drawn, never before.

Each function returns a Figure, which `show` shows in a notebook and `save` writes; `save_gif` writes a moving one. Data
are grey, a model orange, the exact answer blue, what a reader of the course wrote green, a planted bug purple: the
Okabe–Ito palette, which colour-blind readers can tell apart.

Shapes: N points of the data, M samples, D coordinates; arrays may be of any library.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinydiff.backend import Array, cast, to_numpy
from tinydiff.checks import own_labels
from tinydiff.extras import extra
from tinydiff.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinydiff.evaluation.race import Race

DATA, MODEL, EXACT, YOURS, BUG = "#6b6b6b", "#D55E00", "#0072B2", "#009E73", "#CC79A7"
OTHERS = ("#0072B2", "#56B4E9", "#000000", "#D55E00", "#CC79A7", "#E69F00", "#999999", "#F0E442")
CYCLE = ("#0072B2", "#56B4E9", "#009E73", "#000000", "#D55E00", "#CC79A7", "#E69F00")


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """A figure of this size in inches, and its axes (rows, columns)."""
    with extra("app"):
        from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), dpi=110, layout="constrained")
    return fig, fig.subplots(rows, columns, squeeze=False, **kwargs)


def _points(ax: Any, x: Array, color: str, title: str = "", reach: float = 3.0) -> Any:
    """A cloud of points (N, 2) in a square without ticks."""
    x = to_numpy(x)
    dots = ax.scatter(x[:, 0], x[:, 1], s=1.5, c=color, alpha=0.5, linewidths=0, rasterized=True)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
    ax.set_title(title, fontsize=9)
    return dots


def samples_against_data(data: Array, samples: Array, title: str = "samples") -> Figure:
    """Draw true points beside a model's samples, on one scale.

    Parameters
    ----------
    data : (N, 2)
        True points, in grey.
    samples : (M, 2)
        The model's, in orange.
    title : str
        What stands above the samples.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels, the data on the left.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> rng = np.random.default_rng(0)
    >>> figure = td.plotting.samples_against_data(rng.standard_normal((50, 2)), rng.standard_normal((40, 2)))
    >>> [axes.get_title() for axes in figure.axes]
    ['data', 'samples']
    """
    fig, axes = _figure(6.4, 3.4, columns=2)
    reach = _reach(data, samples)
    _points(axes[0, 0], data, DATA, "data", reach)
    _points(axes[0, 1], samples, MODEL, title, reach)
    return fig


def points(x: Array, title: str = "samples") -> Figure:
    """Draw samples alone.

    Parameters
    ----------
    x : (M, 2)
        The samples, in orange.
    title : str
        What stands above them.

    Returns
    -------
    matplotlib.figure.Figure
        One panel.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> figure = td.plotting.points(np.random.default_rng(0).standard_normal((50, 2)), title="noise")
    >>> figure.axes[0].get_title()
    'noise'
    """
    fig, axes = _figure(3.2, 3.4)
    _points(axes[0, 0], x, MODEL, title, _reach(x))
    return fig


def strip(frames: Sequence[tuple[float, Array]], color: str = MODEL) -> Figure:
    """Draw clouds of points at several times in a row: a forward process, or the trajectory of a sampler.

    Parameters
    ----------
    frames : sequence of (t, x)
        Times, and the points (M, 2) at each of them.
    color : str
        The colour of the points, orange unless given.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each time, all on one scale.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> x0, eps = np.random.default_rng(0).standard_normal((2, 50, 2))
    >>> frames = [(t, td.VP().at(t).perturb(x0, eps)) for t in (0.0, 0.5, 1.0)]
    >>> [axes.get_title() for axes in td.plotting.strip(frames, td.plotting.DATA).axes]
    ['t = 0', 't = 0.5', 't = 1']
    """
    fig, axes = _figure(1.5 * len(frames), 1.75, columns=len(frames))
    reach = _reach(*(x for _, x in frames))
    for ax, (t, x) in zip(axes[0], frames, strict=True):
        _points(ax, x, color, f"t = {t:.3g}", reach)
    return fig


def spread(frames: Sequence[tuple[float, Array]], count: int) -> list[tuple[float, Array]]:
    """Choose some of the frames of a trajectory, at equal distances, the first and the last among them.

    Parameters
    ----------
    frames : sequence of (t, x)
        All frames, or anything else in a sequence.
    count : int
        How many to choose.

    Returns
    -------
    list of (t, x)
        The chosen frames, in their order.

    Examples
    --------
    >>> import tinydiff as td
    >>> td.plotting.spread("abcdefghij", 4)
    ['a', 'd', 'g', 'j']
    """
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int)]


def score_fields(exact: Any, learned: Any, times: Sequence[float]) -> Figure:
    """Draw the scaled score σ ∇ln q_t = −ε̂ of the oracle and of a model, where the marginal q_t has its mass.

    Parameters
    ----------
    exact : Oracle
        The exact denoiser of data in the plane, in blue.
    learned : Denoiser
        A model of the same data under the same process, in orange.
    times : sequence of float
        A panel for each, with times in (0, 1].

    Returns
    -------
    matplotlib.figure.Figure
        Above each panel stands the relative error: the root mean square of the difference over that of the exact
        field, on a grid of the points where q_t is at least a thousandth of its largest value.

    Examples
    --------
    >>> import tinydiff as td
    >>> oracle = td.Oracle(td.toys.ring8(), td.VP())
    >>> figure = td.plotting.score_fields(oracle, oracle, [0.1, 0.5])
    >>> figure.axes[1].get_title()
    't = 0.5: relative error 0.0%'
    """
    fig, axes = _figure(3.1 * len(times), 3.4, columns=len(times))
    side = np.linspace(-2.6, 2.6, 18)
    x = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    for ax, t in zip(axes[0], times, strict=True):
        density = np.exp(to_numpy(exact.log_density(x, t)))
        near = x[density > 1e-3 * density.max()]
        true, guess = -to_numpy(exact(near, t)), -to_numpy(learned(cast(near, learned.like), t))
        kwargs = {"angles": "xy", "scale_units": "xy", "scale": 8.0}
        ax.quiver(*near.T, *true.T, color=EXACT, width=0.009, headwidth=3, alpha=0.4, label="exact", **kwargs)
        ax.quiver(*near.T, *guess.T, color=MODEL, width=0.0035, headwidth=3, label="learned", **kwargs)
        error = np.sqrt(np.mean((true - guess) ** 2) / np.mean(true**2))
        ax.set(aspect="equal", xticks=[], yticks=[], xlim=(-2.8, 2.8), ylim=(-2.8, 2.8))
        ax.set_title(f"t = {t:.3g}: relative error {error:.1%}", fontsize=9)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def loss_per_time(lam: np.ndarray, loss: np.ndarray, floor: np.ndarray, excess: np.ndarray) -> Figure:
    """Draw the loss of a network against its floor, and the excess of one over the other, over the log-SNR.

    Parameters
    ----------
    lam : (n,)
        The log-SNR λ of each level of noise.
    loss : (n,)
        The mean square error of ε̂ there, for each coordinate: E‖ε − ε̂‖²/D.
    floor : (n,)
        The least that any network can reach there, that of the exact ε*.
    excess : (n,)
        How far the network is from the exact answer, E‖ε̂ − ε*‖²/D, positive.

    Returns
    -------
    matplotlib.figure.Figure
        Loss and floor on the left, the excess on a logarithmic scale on the right.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> lam = np.linspace(-10, 10, 5)
    >>> floor = 1 / (1 + np.exp(lam))
    >>> figure = td.plotting.loss_per_time(lam, floor + 0.01, floor, np.full(5, 0.01))
    >>> len(figure.axes)
    2
    """
    fig, axes = _figure(7.2, 3.0, columns=2)
    top, bottom = axes[0]
    top.plot(lam, floor, color=EXACT, lw=2.5, alpha=0.6, label="floor: the least possible")
    top.plot(lam, loss, color=MODEL, lw=1, label="network")
    top.set(xlabel="log-SNR λ (noise left, data right)", ylabel="E‖ε − ε̂‖² / d", ylim=(0, 1.05))
    top.legend(frameon=False, fontsize=8)
    bottom.semilogy(lam, excess, color=MODEL, lw=1)
    bottom.set(xlabel="log-SNR λ", ylabel="excess E‖ε̂ − ε*‖² / d")
    for ax in axes[0]:
        ax.spines[["top", "right"]].set_visible(False)
    return fig


def histograms(data: Array, samples: Array, most: int = 6, names: Sequence[str] = ()) -> Figure:
    """Draw the histogram of each of the first coordinates, of the data and of samples.

    Parameters
    ----------
    data : (N, D)
        True points, as grey bars.
    samples : (M, D)
        The model's, as an orange line in the same bins.
    most : int
        How many coordinates to show, at most.
    names : sequence of str
        Their names.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each coordinate; where samples lie outside of the data's range, its title says how many.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> rng = np.random.default_rng(0)
    >>> figure = td.plotting.histograms(rng.standard_normal((90, 8)), rng.standard_normal((90, 8)), most=3)
    >>> len(figure.axes)
    3
    """
    data, samples = to_numpy(data), to_numpy(samples)
    count = min(most, data.shape[1])
    if names and len(names) < count:
        raise ValueError(f"names must be one for each coordinate, {count}; got {len(names)}.")
    fig, axes = _figure(2.4 * count, 2.2, columns=count)
    for i, ax in enumerate(axes[0]):
        edges = np.histogram_bin_edges(data[:, i], 40)
        ax.hist(data[:, i], edges, density=True, color=DATA, alpha=0.4, label="data")
        weights = np.full(len(samples), 1 / (len(samples) * (edges[1] - edges[0])))  # what is outside is not drawn
        ax.hist(samples[:, i], edges, weights=weights, color=MODEL, histtype="step", label="samples")
        outside = np.mean((samples[:, i] < edges[0]) | (samples[:, i] > edges[-1]))
        ax.set(yticks=[])
        name = names[i] if names else f"coordinate {i}"
        ax.set_title(name + (f": {outside:.1%} of the samples outside" if outside else ""), fontsize=9)
    axes[0, 0].legend(frameon=False, fontsize=8)
    return fig


def pairs(
    x: Array,
    names: Sequence[str] = (),
    labels: Array | None = None,
    classes: Sequence[str] = (),
    colors: Sequence[str] = (),
    most: int = 5,
) -> Figure:
    """Draw each of the first coordinates against each other, and alone as a histogram; and how many are of each class.

    Parameters
    ----------
    x : (N, D)
        The points; at most 2,000 of them are drawn, at equal distances in their order.
    names : sequence of str
        The names of the coordinates.
    labels : (N,), optional
        The class of each point, 0, 1, …
    classes : sequence of str
        The names of the classes.
    colors : sequence of str
        Their colours.
    most : int
        How many coordinates to show, at most.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each pair below the diagonal, a histogram on it; with labels, bars of the classes in the corner.

    Raises
    ------
    ValueError
        For points that are not (N, D) and finite, too few names, labels that are not one for each point, and no panel.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> figure = td.plotting.pairs(np.random.default_rng(0).standard_normal((90, 3)), names=["a", "b", "c"])
    >>> figure.axes[-1].get_xlabel()
    'c'
    """
    with extra("app"):
        from matplotlib import colormaps
        from matplotlib.colors import to_rgba_array

    x = np.asarray(to_numpy(x), float)
    if x.ndim != 2 or not x.size or not np.all(np.isfinite(x)):
        raise ValueError(f"x must be points (N, D), one or more and finite; got shape {x.shape}.")
    labels = own_labels(labels, len(x))
    if most < 1 or (names and len(names) < min(most, x.shape[1])):
        raise ValueError(f"most must be 1 or more, with a name for each coordinate; got {most}, {len(names)} names.")
    count = min(most, x.shape[1])
    rows = np.linspace(0, len(x) - 1, min(len(x), 2000)).astype(int)
    titles = names or [f"coordinate {i}" for i in range(count)]
    tints = to_rgba_array(colors) if colors else colormaps["tab10"](np.arange(10))
    colours = DATA if labels is None else tints[labels[rows] % len(tints)]
    side = count + (labels is not None and count == 1)  # room for the classes
    fig, axes = _figure(max(3.0, 1.9 * side), max(2.6, 1.9 * count), rows=count, columns=side)
    for (i, j), ax in np.ndenumerate(axes):
        ax.set_visible(j <= i)
        ax.tick_params(labelsize=7, labelleft=j == 0 < i)
        if i == j:
            ax.hist(x[:, i], 40, color=DATA, alpha=0.6)
            ax.set_yticks([])
        elif j < i:
            size = 3 if len(rows) > 500 else 12
            ax.scatter(x[rows, j], x[rows, i], s=size, c=colours, alpha=0.5, linewidths=0, rasterized=True)
    for i, title in zip(range(count), titles, strict=False):
        axes[-1, i].set_xlabel(title, fontsize=8)
        axes[i, 0].set_ylabel(title if i else "", fontsize=8)
    if labels is not None:
        ax, number = axes[0, -1], np.bincount(labels)
        ax.set_visible(True)
        ax.bar(range(len(number)), number, color=tints[np.arange(len(number)) % len(tints)], alpha=0.6)
        ax.set_title("number of points", fontsize=8)
        ax.tick_params(labelleft=True)
        if len(number) <= 12 and len(classes) == len(number):
            ax.set_xticks(range(len(number)), classes, rotation=90)
    return fig


def guidance(clouds: dict[str, list[Array]], weights: Sequence[float], labels: Array) -> Figure:
    """Draw guided samples in the colours of their labels, a row for each model and a column for each weight.

    Parameters
    ----------
    clouds : dict of str to list of (M, 2)
        The samples of each model, by its name, one cloud for each weight.
    weights : sequence of float
        The guidance weights w, 0 for none.
    labels : (M,)
        The class 0, 1, … that each sample was drawn for.

    Returns
    -------
    matplotlib.figure.Figure
        All panels are on one scale.

    References
    ----------
    Ho & Salimans 2022, eq. 6, where w = 0 is no guidance.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> x, labels = np.random.default_rng(0).standard_normal((2, 30, 2)), np.arange(30) % 3
    >>> figure = td.plotting.guidance({"learned": list(x)}, [0.0, 2.5], labels)
    >>> [axes.get_title() for axes in figure.axes]
    ['learned, w = 0', 'learned, w = 2.5']
    """
    colours: dict[str, Any] = {"array": labels, "cmap": "tab10", "clim": (-0.5, 9.5)}
    if np.max(labels) > 9:
        colours |= {"cmap": "turbo", "clim": (0, np.max(labels))}
    fig, axes = _figure(2.4 * len(weights), 2.6 * len(clouds), rows=len(clouds), columns=len(weights))
    reach = _reach(*(x for row in clouds.values() for x in row))
    for row, (name, xs) in zip(axes, clouds.items(), strict=True):
        for ax, x, w in zip(row, xs, weights, strict=True):
            _points(ax, x, "k", f"{name}, w = {w:g}", reach).set(**colours)
    return fig


def training(steps: Sequence[float], losses: Sequence[float], window: int = 100) -> Figure:
    """Draw the loss of each training step, and its mean over a window of steps.

    Parameters
    ----------
    steps : sequence of float
        The number of each step.
    losses : sequence of float
        The loss of each step, positive.
    window : int
        Over how many steps the mean is taken, the present one the last.

    Returns
    -------
    matplotlib.figure.Figure
        One panel, with a logarithmic scale for the loss.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> figure = td.plotting.training(np.arange(300), np.linspace(1, 0.5, 300))
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['a batch', 'mean of 100']
    """
    fig, axes = _figure(5.0, 2.8)
    ax, window = axes[0, 0], min(window, len(losses))
    mean = np.convolve(losses, np.full(window, 1 / window), mode="valid")
    ax.semilogy(steps, losses, color=DATA, lw=0.4, alpha=0.5, label="a batch")
    ax.semilogy(steps[window - 1 :], mean, color=MODEL, lw=1.2, label=f"mean of {window}")
    ax.set(xlabel="step", ylabel="training loss")
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return fig


def error_against_evaluations(rows: Sequence[dict[str, Any]], baseline: float) -> Figure:
    """Draw the error of each sampler over its function evaluations: to the exact flow, and to true points.

    Parameters
    ----------
    rows : sequence of dict
        A run each, with its ``sampler``, its evaluations ``nfe`` and its ``energy_distance`` to true points; a sampler
        that follows the flow has ``nfe_flow`` and ``distance``, the median distance to the exact end, too. An error is
        None where the samples were not finite.
    baseline : float
        The energy distance of true points to other true points.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels with a curve for each sampler: solid if it follows the flow, dashed if it draws noise.

    Examples
    --------
    >>> import tinydiff as td
    >>> rows = [{"sampler": "ddpm", "nfe": n, "energy_distance": 1 / n} for n in (10, 20, 40)]
    >>> figure = td.plotting.error_against_evaluations(rows, baseline=0.01)
    >>> figure.axes[1].lines[0].get_label()
    'ddpm'
    """
    names = list(dict.fromkeys(row["sampler"] for row in rows))
    fig, axes = _figure(9.6, 3.9, columns=2)
    for ax, error, nfe in ((axes[0, 0], "distance", "nfe_flow"), (axes[0, 1], "energy_distance", "nfe")):
        for i, name in enumerate(names):
            ends = sorted((row[nfe], row[error]) for row in rows if row["sampler"] == name and row.get(error))
            if ends:
                flows = any("distance" in row for row in rows if row["sampler"] == name)
                style = {"marker": "osD^vP*Xph<"[i % 11], "ms": 4, "lw": 1, "ls": "-" if flows else "--"}
                ax.loglog(*zip(*ends, strict=True), color=CYCLE[i % len(CYCLE)], label=name, **style)
        ax.set(xlabel="function evaluations")
        ax.grid(alpha=0.2, lw=0.5)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_title("median distance to the exact flow, from the same noise", fontsize=9)
    axes[0, 1].set_title("energy distance to true points", fontsize=9)
    axes[0, 1].axhline(baseline, color=DATA, lw=3, alpha=0.4, label="other true points")
    fig.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    return fig


def race(found: Race) -> Figure:
    """Draw a race: on each toy the rms distance to the exact map over the evaluations, the one that entered in green.

    Parameters
    ----------
    found : Race
        What `tinydiff.race` returned.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each toy. A sampler has no point where it diverges, or where a step costs more.

    Examples
    --------
    >>> import tinydiff as td
    >>> found = td.race(td.ddim, toys=["ring8"], evaluations=[6, 12], n=50, progress=False)
    >>> td.plotting.race(found).axes[0].get_title()
    'ring8'
    """
    columns = min(3, len(found.toys))
    rows = -(-len(found.toys) // columns)
    fig, axes = _figure(2.9 * columns + 1.9, 2.7 * rows, rows, columns)
    others = [name for name in found.rms if name != found.name]
    for ax, toy, j in zip(axes.flat, found.toys, range(len(found.toys)), strict=False):
        for i, name in enumerate([*others, found.name]):
            own = name == found.name
            style = {"color": YOURS, "lw": 2.5, "zorder": 3} if own else {"color": OTHERS[i % len(OTHERS)], "lw": 1}
            ax.loglog(found.evaluations, found.rms[name][:, j], label=name, marker="osD^vP*X"[i % 8], ms=4, **style)
        ax.set_title(toy, fontsize=9)
        ax.set_xticks(found.evaluations, found.evaluations)
        ax.minorticks_off()
        ax.grid(alpha=0.2, lw=0.5)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(found.toys) :]:
        ax.set_axis_off()
    fig.supxlabel("evaluations", fontsize=9)
    fig.supylabel("rms distance to the exact map", fontsize=9)
    fig.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    return fig


def pictures(images: Array, size: tuple[int, int] = (28, 28), columns: int = 10) -> Figure:
    """Draw grey pictures in rows, dark on white.

    Parameters
    ----------
    images : (N, H·W)
        Pictures row by row, with values in [−1, 1]; beyond them they are drawn as −1 and 1.
    size : (int, int)
        Rows H and columns W of each, in pixels; those of MNIST unless given.
    columns : int
        How many stand in a row.

    Returns
    -------
    matplotlib.figure.Figure
        One panel, a white pixel after each picture; a last row that is not full is white at its end.

    Raises
    ------
    ValueError
        For pictures of another size.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> figure = td.plotting.pictures(np.full((7, 784), -1.0), columns=3)
    >>> figure.axes[0].images[0].get_array().shape
    (87, 87)
    """
    images, (height, width) = to_numpy(images), size
    if images.ndim != 2 or images.shape[1] != height * width:
        raise ValueError(f"images must be (N, {height * width}), pictures of {height} × {width}; got {images.shape}.")
    rows = -(-len(images) // columns)
    tiles = np.full((rows * columns, height + 1, width + 1), -1.0)
    tiles[: len(images), :height, :width] = images.reshape(-1, height, width)
    sheet = np.concatenate(np.concatenate(tiles.reshape(rows, columns, height + 1, width + 1), axis=1), axis=1)
    fig, axes = _figure(0.5 * columns, 0.5 * rows * height / width)
    axes[0, 0].imshow(-sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axes[0, 0].set_axis_off()
    return fig


def save(fig: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure to a file, completely or not at all.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        The figure.
    path : str or os.PathLike
        Where to, with a suffix that Matplotlib knows, such as .png or .pdf.

    Returns
    -------
    pathlib.Path
        The path, to go on with.

    Raises
    ------
    ValueError
        For a suffix that Matplotlib does not know; a file that is there stays as it is.
    OSError
        What the disk reports.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, tinydiff as td
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = td.plotting.save(td.plotting.points(np.eye(2)), folder + "/points.png")
    ...     path.name, path.read_bytes()[1:4]
    ('points.png', b'PNG')
    """
    with atomic(path) as part:
        fig.savefig(part)
    return Path(path)


def save_gif(frames: Sequence[tuple[float, Array]], path: str | os.PathLike[str], fps: int = 20) -> Path:
    """Write the trajectory of a sampler as a GIF that rests on its last frame for a second.

    Parameters
    ----------
    frames : sequence of (t, x)
        Times, and the points (M, 2) at each of them.
    path : str or os.PathLike
        Where to, with the suffix .gif.
    fps : int
        Frames for each second.

    Returns
    -------
    pathlib.Path
        The path, to go on with.

    Raises
    ------
    OSError
        What the disk reports; a file that is there stays as it is.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, tinydiff as td
    >>> frames = [(t, t * np.eye(2)) for t in (1.0, 0.5, 0.0)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     td.plotting.save_gif(frames, folder + "/moving.gif", fps=2).read_bytes()[:3]
    b'GIF'
    """
    with extra("app"):
        from matplotlib.animation import FuncAnimation, PillowWriter
        from matplotlib.backends.backend_agg import FigureCanvasAgg

    fig, axes = _figure(3.0, 3.2)
    FigureCanvasAgg(fig)
    dots = _points(axes[0, 0], frames[0][1], MODEL, " ", _reach(frames[-1][1], frames[0][1]))

    def draw(frame: tuple[float, Array]) -> tuple[Any]:
        dots.set_offsets(to_numpy(frame[1]))
        axes[0, 0].set_title(f"t = {frame[0]:.3f}", fontsize=9)
        return (dots,)

    rest = [frames[-1]] * fps
    with atomic(path) as part:
        animation = FuncAnimation(fig, draw, frames=[*frames, *rest], cache_frame_data=False)
        animation.save(part, writer=PillowWriter(fps=fps))
    return Path(path)


def show(picture: Any, alt: str) -> None:
    """Show a figure, or an animation as a GIF, in a notebook, with words for readers who do not see it.

    Parameters
    ----------
    picture : matplotlib.figure.Figure or matplotlib.animation.Animation
        What to show. It is closed, so that the notebook does not show it a second time.
    alt : str
        What is to be seen, in words. Screen readers and the site take them from the output.

    Raises
    ------
    ValueError
        Where there are no words.
    ModuleNotFoundError
        Where IPython is missing, which every notebook brings.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> td.plotting.show(td.plotting.points(np.eye(2)), alt="")
    Traceback (most recent call last):
        ...
    ValueError: alt must say in words what the picture shows; got nothing.
    """
    if not alt.strip():
        raise ValueError("alt must say in words what the picture shows; got nothing.")
    with extra("notebooks"):
        import matplotlib.pyplot as plt
        from IPython.display import Image, display

    still = hasattr(picture, "savefig")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("figure.png" if still else "animation.gif")
        picture.savefig(path) if still else picture.save(path, writer="pillow", dpi=72)
        plt.close(picture if still else picture._fig)  # the notebook would show it a second time
        display(Image(path.read_bytes(), format=path.suffix[1:], alt=" ".join(alt.split())))


def _reach(*clouds: Array) -> float:
    """Half the side of a square around 0 that holds nearly all points."""
    return 1.15 * max(float(np.quantile(np.abs(to_numpy(x)), 0.995)) for x in clouds)
