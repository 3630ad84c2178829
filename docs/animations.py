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
from tinydiff.course_tests.race_of_solvers import tracks
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


def brownian() -> FuncAnimation:
    """Six points go back to two modes, shaken by one Brownian path, while the share of noise η grows."""
    data = td.GaussianMixture([0.35, 0.65], [[-1.5], [0.8]], [[[0.02]], [[0.15]]])
    model = td.Oracle(data, td.VP())
    six = np.array([[-1.3], [-0.7], [-0.25], [0.1], [0.5], [1.05]])
    clock = np.linspace(1, 0.02, 201) ** 2
    noise = td.brownian_path(11, np.zeros((1, 1)), clock)
    etas = np.linspace(0, 1, 17)
    ways = [np.array([x[:, 0] for _, x in td.euler_maruyama(model, six, clock, eta=eta, noise=noise)]) for eta in etas]

    figure = Figure(figsize=(6.4, 2.7), dpi=95, layout="constrained")
    ax = figure.subplots()
    x_side, t_side = np.linspace(-2.8, 2.8, 201), np.linspace(1, 0.02, 120) ** 2
    density = np.exp([model.log_density(x_side[:, None], t) for t in t_side]).T
    ax.contourf(np.sqrt(t_side), x_side, density, levels=np.linspace(0, 1.1, 7) ** 2, cmap="Greys", vmax=1.6)
    ax.set(xlim=(1, 0.02), ylim=(-2.8, 2.8), xticks=[], yticks=[], xlabel="from noise to data", frame_on=False)
    ax.set_title(" ", color=DATA, fontsize=11)
    lines = ax.plot(np.sqrt(clock), ways[0], color=EXACT, lw=1.3)

    def frame(i: int) -> None:
        for line, path in zip(lines, ways[i].T, strict=True):
            line.set_ydata(path)
        ax.set_title(f"one noise, six points: share of the noise η = {etas[i]:.2f}", color=DATA, fontsize=11)

    return animated(figure, frame, np.repeat(np.arange(17), [12, *[3] * 15, 24]).tolist())


def race() -> FuncAnimation:
    """Eight particles on the exact curves of the flow, and three solvers that follow with eight evaluations each."""
    lam, exact, walks = tracks(8)
    finish, costs = 8.0, {"Heun": 2, "DDIM": 1, "DPM-Solver++(2M)": 1}
    figure = Figure(figsize=(8, 3), dpi=75, layout="constrained")
    drawn = []
    for ax, name in zip(figure.subplots(1, 3, sharey=True), costs, strict=True):
        ax.set(xlim=(-10.5, finish + 0.6), ylim=(-1.9, 1.75), xticks=[], yticks=[], frame_on=False)
        ax.set_xlabel("from noise to data", color=DATA)
        ax.set_title(" \n ", color=DATA, fontsize=10)
        ax.axvline(finish, color=DATA, lw=3, ls=(0, (1, 1)))
        curves, heads = ax.plot([], np.empty((0, 8)), color=EXACT, lw=1.2), ax.plot([], [], "o", color=EXACT, ms=5)[0]
        steps = ax.plot([], np.empty((0, 8)), "o-", color="black", ms=3, lw=0.7)
        drawn.append((ax, name, curves, heads, steps))
    moments = [*np.linspace(lam[0], -3, 6), *np.linspace(-2.4, finish, 22)]

    def frame(i: int) -> None:
        here = np.array([np.interp(moments[i], lam, path) for path in exact.T])
        ridden = lam < moments[i]
        for ax, name, curves, heads, steps in drawn:
            at, x = walks[name]
            place = np.minimum(at, finish)
            done = place <= moments[i] + 1e-9
            rms, asked = np.sqrt(np.mean((x[-1] - exact[-1]) ** 2)), costs[name] * (int(done.sum()) - 1)
            said = f"distance to the exact map: {rms:.2f}" if done[-1] else f"{asked} of 8 evaluations"
            ax.set_title(f"{name}\n{said}", color=DATA, fontsize=10)
            heads.set_data(np.full(8, moments[i]), here)
            for k in range(8):
                curves[k].set_data(np.append(lam[ridden], moments[i]), np.append(exact[ridden, k], here[k]))
                steps[k].set_data(place[done], x[done, k])

    return animated(figure, frame, np.repeat(np.arange(28), [6, *[2] * 26, 30]).tolist())


ALL: dict[str, Callable[[], FuncAnimation]] = {
    made.__name__: made for made in (glide_and_wander, encode_and_decode, brownian, race)
}


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
