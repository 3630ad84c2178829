"""The moving figures of the README and the site, from exact denoisers and fixed seeds.

    python docs/animations.py                    all of them, into docs/figures
    python docs/animations.py encode_and_decode  those of these names

Each function returns an animation; its name is that of its file.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import tinydiff as td
from tinydiff.files import atomic
from tinydiff.plotting import DATA, EXACT

FIGURES = Path(__file__).parent / "figures"
FPS = 15


def glide_and_wander() -> FuncAnimation:
    """One crowd of noise becomes a ring of modes, without fresh noise and with DDPM's; the paths of four are drawn."""
    model = td.Oracle(td.toys.ring8(), td.VP())
    rng = np.random.default_rng(8)
    crowd = np.concatenate([[[0.3, 0.5], [1.7, -1.2], [-1.2, 1.6], [-0.8, -0.5]], rng.standard_normal((296, 2))])
    paths = {}
    for name, eta in {"glide: no noise": 0.0, "wander: the noise of DDPM": 1.0}.items():
        walk = [x for _, x in td.ddim(model, crowd, even_turns(50), rng=9, eta=eta)]
        paths[name] = np.array([*walk, model.x0(walk[-1], even_turns(50)[-1])])
    figure, axes = panels(list(paths))
    drawn = []
    for ax, path in zip(axes, paths.values(), strict=True):
        dots = ax.plot(*path[0].T, ".", color=EXACT, ms=4.5, mew=0, alpha=0.4)[0]
        few = [(ax.plot([], [], color=EXACT, lw=1.2)[0], ax.plot([], [], "o", color=EXACT, ms=6)[0]) for _ in range(4)]
        drawn.append((path, dots, few))

    def frame(i: int) -> None:
        for path, dots, few in drawn:
            dots.set_data(*path[i].T)
            for k, (line, head) in enumerate(few):
                line.set_data(*path[max(0, i - 12) : i + 1, k].T)
                head.set_data(*path[i : i + 1, k].T)

    return animated(figure, frame, [*[0] * 6, *range(51), *[50] * 18])


def encode_and_decode() -> FuncAnimation:
    """A ring of modes, every other one dark, is carried to noise by the flow, as slices of a cake, and back again."""
    ring = td.toys.ring8()
    model, rng = td.Oracle(ring, td.VP()), np.random.default_rng(8)
    points, mode = ring.sample(rng, 400, labels=True)
    times = even_turns(32)
    up = [x for _, x in td.probability_flow(model, points, times[::-1])]
    path = np.array([*up, *[x for _, x in td.probability_flow(model, up[-1], times)][1:]])
    figure, (ax,) = panels([""])
    dark, light = (
        ax.plot([], [], ".", color=color, ms=5, mew=0, alpha=alpha)[0] for color, alpha in ((EXACT, 1), (EXACT, 0.35))
    )

    def frame(i: int) -> None:
        dark.set_data(*path[i, mode % 2 == 0].T)
        light.set_data(*path[i, mode % 2 == 1].T)
        ax.set_title("encode" if i < len(up) else "decode", color=DATA)

    return animated(figure, frame, [*[0] * 8, *range(32), *[31] * 8, *range(32, 63), *[62] * 4])


ALL: dict[str, Callable[[], FuncAnimation]] = {made.__name__: made for made in (glide_and_wander, encode_and_decode)}


def even_turns(n: int) -> np.ndarray:
    """Times of td.VP() at which the angle arctan(σ/α) falls in equal steps: points move at an even pace, (n,)."""
    process = td.VP()
    first, last = (float(np.arctan2(now.sigma, now.alpha)) for now in map(process.at, (process.t_max, process.t_min)))
    return process.time(-2 * np.log(np.tan(np.linspace(first, last, n))))


def panels(titles: list[str], reach: float = 2.7) -> tuple[Figure, list[Axes]]:
    """A figure of squares without axes, each with its title."""
    figure = Figure(figsize=(3 * len(titles), 3.2), dpi=95, layout="constrained")
    axes = figure.subplots(1, len(titles), squeeze=False)[0]
    for ax, title in zip(axes, titles, strict=True):
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[], frame_on=False)
        ax.set_title(title or " ", color=DATA, fontsize=11)
    return figure, list(axes)


def animated(figure: Figure, frame: Callable[[int], None], frames: list[int]) -> FuncAnimation:
    """The animation of frame(i) for these i, whose axes keep their places."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return FuncAnimation(figure, frame, frames=frames, cache_frame_data=False)


def main() -> None:
    """Write those of the names on the command line, or all."""
    for name in sys.argv[1:] or ALL:
        with atomic(FIGURES / f"{name.replace('_', '-')}.gif") as part:
            ALL[name]().save(part, writer=PillowWriter(fps=FPS))


if __name__ == "__main__":
    main()
