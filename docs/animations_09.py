"""One moving figure of the README and the site: six points on one Brownian path, from an exact denoiser.

python docs/animations_09.py     into docs/figures
"""

from pathlib import Path

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure

import tinydiff as td
from tinydiff.files import atomic
from tinydiff.plotting import DATA, EXACT

FIGURES = Path(__file__).parent / "figures"
FPS = 15


def brownian() -> FuncAnimation:
    """Six points go back to two modes, shaken by one Brownian path, while the share of noise η grows."""
    data = td.GaussianMixture([0.35, 0.65], [[-1.5], [0.8]], [[[0.02]], [[0.15]]])
    model = td.Oracle(data, td.VP())
    six = np.array([[-1.3], [-0.7], [-0.25], [0.1], [0.5], [1.05]])
    clock = np.linspace(1, 0.02, 201) ** 2
    noise = td.brownian_path(11, np.zeros((1, 1)), clock)
    etas = np.linspace(0, 1, 17)
    ways = [[x[:, 0] for _, x in td.euler_maruyama(model, six, clock, eta=eta, noise=noise)] for eta in etas]

    figure = Figure(figsize=(6.4, 2.7), dpi=95, layout="constrained")
    ax = figure.subplots()
    x_side, t_side = np.linspace(-2.8, 2.8, 201), np.linspace(1, 0.02, 120) ** 2
    density = np.exp([model.log_density(x_side[:, None], t) for t in t_side]).T
    ax.contourf(np.sqrt(t_side), x_side, density, levels=np.linspace(0, 1.1, 7) ** 2, cmap="Greys", vmax=1.6)
    ax.set(xlim=(1, 0.02), ylim=(-2.8, 2.8), xticks=[], yticks=[], xlabel="from noise to data", frame_on=False)
    ax.set_title(" ", color=DATA, fontsize=11)
    lines = ax.plot(np.sqrt(clock), ways[0], color=EXACT, lw=1.3)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")

    def frame(i: int) -> None:
        for line, path in zip(lines, np.array(ways[i]).T, strict=True):
            line.set_ydata(path)
        ax.set_title(f"one noise, six points: share of the noise η = {etas[i]:.2f}", color=DATA, fontsize=11)

    frames = np.repeat(np.arange(17), [12, *[3] * 15, 24]).tolist()
    return FuncAnimation(figure, frame, frames=frames, cache_frame_data=False)


if __name__ == "__main__":
    with atomic(FIGURES / "brownian.gif") as part:
        brownian().save(part, writer=PillowWriter(fps=FPS))
