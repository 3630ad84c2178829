"""The race of the README: `python docs/animations_11.py` draws docs/figures/race.webp.

Eight particles ride along the exact curves of the probability flow, from noise to the finish line, which is the exact
map. Three solvers follow them with eight evaluations each, and leave a dot at every step.
"""

from io import BytesIO
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from tinydiff.course_tests.race_of_solvers import tracks
from tinydiff.files import atomic
from tinydiff.plotting import EXACT

FIGURES = Path(__file__).parent / "figures"
FINISH = 8.0
"""The log-SNR of the finish line: from there on the curves are flat."""
COSTS = {"Heun": 2, "DDIM": 1, "DPM-Solver++(2M)": 1}


def race(path: Path = FIGURES / "race.webp", evaluations: int = 8) -> None:
    """Draw the race. Each solver asks for its answer x̂_0 at λ = 4, and that stands on the finish line."""
    plt.style.use("tinydiff.course")
    lam, exact, walks = tracks(evaluations)
    fig, axes = plt.subplots(1, 3, figsize=(8, 3.1), sharey=True, dpi=100)
    for ax in axes:
        ax.set(xlim=(-10.5, FINISH + 0.6), ylim=(-1.9, 1.75), yticks=[], xticks=[])
        ax.set_xlabel("noise → data")
        ax.axvline(FINISH, color="black", lw=3, ls=(0, (1, 1)))
        ax.spines["left"].set_visible(False)
        ax.set_title("x\nx")  # room for two lines
    fig.draw_without_rendering()
    fig.set_layout_engine("none")
    drawn, frames = [], []
    moments = [*np.linspace(lam[0], -3, 10), *np.linspace(-2.6, FINISH, 30)]
    for moment in moments:
        for artist in drawn:
            artist.remove()
        drawn = []
        here = np.array([np.interp(moment, lam, path) for path in exact.T])
        ridden = lam < moment
        for ax, name in zip(axes, COSTS, strict=True):
            at, x = walks[name]
            place = np.minimum(at, FINISH)
            done = place <= moment + 1e-9
            steps = int(done.sum()) - 1
            asked = evaluations if done[-1] else COSTS[name] * steps
            rms = np.sqrt(np.mean((x[-1] - exact[-1]) ** 2))
            said = f"distance to the exact map: {rms:.2f}" if done[-1] else f"{asked} of {evaluations} evaluations"
            ax.set_title(f"{name}\n{said}")
            drawn += ax.plot(np.append(lam[ridden], moment), np.vstack([exact[ridden], here]), color=EXACT, lw=1.2)
            drawn += ax.plot(np.full(8, moment), here, "o", color=EXACT, ms=6)
            drawn += ax.plot(place[done], x[done], "o-", color="black", ms=3.5, lw=0.7)
        fig.savefig(file := BytesIO(), format="png")
        frames.append(Image.open(file).convert("RGB"))
    plt.close(fig)
    times = [500, *[70] * (len(frames) - 2), 3000]
    with atomic(path) as part:
        frames[0].save(
            part, format="WEBP", save_all=True, append_images=frames[1:], duration=times, loop=0, quality=70, method=6
        )


if __name__ == "__main__":
    race()
