"""The four pictures of the midterm, and the numbers of its solutions.

python docs/midterm.py      # writes docs/figures/midterm.png, and prints
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import tinydiff as td
from tinydiff import course_answers as course
from tinydiff.course_tests.undoing_one_step import RING, RING_BETAS, numbers
from tinydiff.plotting import BUG, save

PROGRAMS = "GEHF"
"""What pictures 1 to 4 show."""


def walk(program: str, count: int = 2000) -> np.ndarray:
    """The cloud (count, 2) of a program: E starts at 0, F stops at t = 11, G has one z, H moves to x̂_0 itself."""
    rng, parts = np.random.default_rng(71), (RING.weights, RING.means, RING.covariances[:, 0, 0])
    x, zs = rng.standard_normal((count, 2)), rng.standard_normal((100, count, 2))
    x = 0 * x if program == "E" else x
    for t in range(100, 10 if program == "F" else 0, -1):
        x0_hat = course.mixture_x0(x, *parts, t, RING_BETAS)
        mean, variance = course.posterior(x, x0_hat, t, RING_BETAS)
        z = zs[0] if program == "G" else zs[t - 1]
        x = (x0_hat if program == "H" else mean) + np.sqrt(variance) * z
    return x


def main() -> None:
    """The figure, and the numbers."""
    fig = Figure(figsize=(8.4, 2.4), dpi=110, layout="constrained")
    for i, (ax, program) in enumerate(zip(fig.subplots(1, 4), PROGRAMS, strict=True), 1):
        x = walk(program)
        ax.scatter(*x.T, s=3, color=BUG, linewidths=0, rasterized=True)
        ax.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=[], yticks=[], title=f"picture {i}")
        print(f"picture {i}, program {program}:", *(f"{number:.3f}" for number in numbers(x)))
    print("Wrote", save(fig, Path(__file__).parent / "figures" / "midterm.png"))
    betas = course.betas_from_log_snr(np.array([4.0, 2.0, 0.0, -2.0]))
    print("betas", betas.round(4), "gap", course.prior_kl(np.full((1, 784), 1.0), betas).round(2))
    for lam in (-4, -6, -8, -10, -12):
        longer = course.betas_from_log_snr(np.arange(4.0, lam - 1, -2))
        print("end at", lam, "gap", course.prior_kl(np.full((1, 784), 1.0), longer).round(4))
    for process in (td.VP(), td.Cosine(), td.Straight()):
        floors = td.Oracle(RING, process).floor(np.linspace(0.005, 0.995, 100))
        print(type(process).__name__, f"floor {np.mean(floors):.4f}")


if __name__ == "__main__":
    main()
