"""Figures. Matplotlib is imported when a figure is drawn, never before.

Each function returns a Figure, which `show` shows in a notebook and `save` writes; `save_gif` writes a moving one. Data
are grey, a model orange, the exact answer blue: the Okabe–Ito palette, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinydiff.backend import Array, to_numpy
from tinydiff.files import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA, MODEL, EXACT = "#6b6b6b", "#D55E00", "#0072B2"
CYCLE = ("#0072B2", "#56B4E9", "#009E73", "#000000", "#D55E00", "#CC79A7", "#E69F00")


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **kwargs: Any) -> tuple[Figure, np.ndarray]:
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
    """True points (N, 2) beside the model's (M, 2), on one scale."""
    fig, axes = _figure(6.4, 3.4, columns=2)
    reach = _reach(data, samples)
    _points(axes[0, 0], data, DATA, "data", reach)
    _points(axes[0, 1], samples, MODEL, title, reach)
    return fig


def points(x: Array, title: str = "samples") -> Figure:
    """Samples (N, 2) alone."""
    fig, axes = _figure(3.2, 3.4)
    _points(axes[0, 0], x, MODEL, title, _reach(x))
    return fig


def strip(frames: Sequence[tuple[float, Array]], color: str = MODEL) -> Figure:
    """Clouds (N, 2) at several times in a row, from (t, x) pairs: a forward process, or a sampler's trajectory."""
    fig, axes = _figure(1.5 * len(frames), 1.75, columns=len(frames))
    reach = _reach(*(x for _, x in frames))
    for ax, (t, x) in zip(axes[0], frames, strict=True):
        _points(ax, x, color, f"t = {t:.3g}", reach)
    return fig


def spread(frames: Sequence[tuple[float, Array]], count: int) -> list[tuple[float, Array]]:
    """`count` of the frames at equal distances, the first and the last among them."""
    return [frames[i] for i in np.linspace(0, len(frames) - 1, count).round().astype(int)]


def score_fields(exact: Any, learned: Any, process: Any, times: Sequence[float]) -> Figure:
    """σ∇ln q_t = −ε̂ of the oracle and of a model on a grid of points, over the region where q_t has its mass."""
    fig, axes = _figure(3.1 * len(times), 3.4, columns=len(times))
    side = np.linspace(-2.6, 2.6, 18)
    x = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    for ax, t in zip(axes[0], times, strict=True):
        density = np.exp(to_numpy(exact.log_density(x, t)))
        near = x[density > 1e-3 * density.max()]
        true, guess = -to_numpy(exact(near, t)), -to_numpy(learned(near.astype(learned.like.dtype), t))
        kwargs = {"angles": "xy", "scale_units": "xy", "scale": 8.0}
        ax.quiver(*near.T, *true.T, color=EXACT, width=0.009, headwidth=3, alpha=0.4, label="exact", **kwargs)
        ax.quiver(*near.T, *guess.T, color=MODEL, width=0.0035, headwidth=3, label="learned", **kwargs)
        error = np.sqrt(np.mean((true - guess) ** 2) / np.mean(true**2))
        ax.set(aspect="equal", xticks=[], yticks=[], xlim=(-2.8, 2.8), ylim=(-2.8, 2.8))
        ax.set_title(f"t = {t:.3g}: relative error {error:.1%}", fontsize=9)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def loss_per_time(lam: np.ndarray, loss: np.ndarray, floor: np.ndarray, excess: np.ndarray) -> Figure:
    """The loss against its floor, and the excess of one over the other, as functions of the log-SNR, all (n,)."""
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


def histograms(data: Array, samples: Array, most: int = 6) -> Figure:
    """The histogram of each coordinate, the first `most` of them: data (N, D) grey, samples (M, D) a line."""
    data, samples = to_numpy(data), to_numpy(samples)
    count = min(most, data.shape[1])
    fig, axes = _figure(2.4 * count, 2.2, columns=count)
    for i, ax in enumerate(axes[0]):
        edges = np.histogram_bin_edges(data[:, i], 40)
        ax.hist(data[:, i], edges, density=True, color=DATA, alpha=0.4, label="data")
        weights = np.full(len(samples), 1 / (len(samples) * (edges[1] - edges[0])))  # what is outside is not drawn
        ax.hist(samples[:, i], edges, weights=weights, color=MODEL, histtype="step", label="samples")
        outside = np.mean((samples[:, i] < edges[0]) | (samples[:, i] > edges[-1]))
        ax.set(yticks=[])
        ax.set_title(f"coordinate {i}" + (f": {outside:.1%} of the samples outside" if outside else ""), fontsize=9)
    axes[0, 0].legend(frameon=False, fontsize=8)
    return fig


def guidance(clouds: dict[str, list[Array]], weights: Sequence[float], labels: Array) -> Figure:
    """Samples (N, 2), coloured by the label (N,) they were drawn for: a row for each model, a column for each w."""
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
    """The loss of each step, and its mean over a window."""
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
    """A curve for each sampler, on two scales: distance to the exact flow, and energy distance to true points.

    rows: sampler, nfe, energy_distance, and where it follows the flow nfe_flow and distance, for each run; None where
    the samples were not finite. baseline: the energy distance of true points to others.
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


def digit_grid(images: Array, columns: int = 10) -> Figure:
    """Images (N, 784) with values in [−1, 1], in rows of `columns`."""
    images = to_numpy(images)
    rows = -(-len(images) // columns)
    tiles = np.full((rows * columns, 28, 28), -1.0)
    tiles[: len(images)] = images.reshape(-1, 28, 28)
    sheet = tiles.reshape(rows, columns, 28, 28).swapaxes(1, 2).reshape(rows * 28, columns * 28)
    fig, axes = _figure(0.5 * columns, 0.5 * rows)
    axes[0, 0].imshow(-sheet, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    axes[0, 0].set_axis_off()
    return fig


def save(fig: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure to `path` whole or not at all."""
    with whole(path) as part:
        fig.savefig(part)
    return Path(path)


def save_gif(frames: Sequence[tuple[float, Array]], path: str | os.PathLike[str], fps: int = 20) -> Path:
    """Write a sampler's (t, x) pairs, x (N, 2), as a GIF that rests on its last frame."""
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
    with whole(path) as part:
        animation = FuncAnimation(fig, draw, frames=[*frames, *rest], cache_frame_data=False)
        animation.save(part, writer=PillowWriter(fps=fps))
    return Path(path)


def show(picture: Any, alt: str) -> None:
    """Show a figure, or an animation as a GIF, in a notebook; `alt` says in words what is to be seen there.

    The words are for readers who do not see the picture: screen readers, and the site, take them from the output.
    ValueError where there are none.
    """
    import matplotlib.pyplot as plt
    from IPython.display import Image, display

    if not alt.strip():
        raise ValueError("alt must say in words what the picture shows; got nothing.")
    still = hasattr(picture, "savefig")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("figure.png" if still else "animation.gif")
        picture.savefig(path) if still else picture.save(path, writer="pillow", dpi=72)
        plt.close(picture if still else picture._fig)  # the notebook would show it a second time
        display(Image(path.read_bytes(), format=path.suffix[1:], alt=" ".join(alt.split())))


def _reach(*clouds: Array) -> float:
    """Half the side of a square around 0 that holds nearly all points."""
    return 1.15 * max(float(np.quantile(np.abs(to_numpy(x)), 0.995)) for x in clouds)
