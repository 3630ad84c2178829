"""One evaluation in the place of fifty: what distillation and consistency give, held against the exact map.

    python benchmarks/few_steps.py             # six minutes of a core

All begin from the same trained network, and all draw from the same noise. rms is the distance to where the exact flow
carries it; beside it is the energy distance to true points, of which others have that of the head. CPU seconds are
those of the training, the teacher's included.
"""

import time

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.sampling.few_steps import consistency, progressive, times_of

TOYS, N, SEED = ("ring8", "grid25", "spiral60"), 4000, 1
BATCH, STEPS = 512, (400, 1500)  # of each halving, and of consistency
VP = td.VP()


def root_weight(now: td.Level) -> np.ndarray:
    """√SNR on the error of x_0: nearer to the data more, as in Song & Dhariwal 2024."""
    return now.snr**-0.5


class Race:
    """A toy, its exact map, and the rows that are printed."""

    def __init__(self, toy: str) -> None:
        self.data, start = td.toys.TOYS[toy](), time.process_time()
        self.teacher = td.fit(self.data, VP, rng=0, progress=False)
        self.seconds = time.process_time() - start
        oracle, noise = td.Oracle(self.data, VP), VP.prior(np.random.default_rng(SEED), N, self.teacher.like)
        ends = VP.t_max, VP.t_min
        walk = td.probability_flow(oracle, noise.astype(float), ends, method="rk45", rtol=1e-6, atol=1e-6)
        self.exact, self.true = oracle.x0(td.last(walk)[1], VP.t_min), self.data.sample(5, N)
        others = td.energy_distance(self.data.sample(6, N), self.true)
        print(f"\n{toy}: energy distance of true points to others {others:.4f}")
        print(f"{'':36}{'evaluations':>12}{'rms':>9}{'energy':>9}{'CPU s':>8}")

    def row(self, name: str, model: td.NetworkDenoiser, ts: np.ndarray, seconds: float, sampler=td.ddim) -> None:
        """Sample on a grid, and print how far it is."""
        x = td.sample(model, N, sampler=sampler, grid=lambda process, n: ts, steps=len(ts), rng=SEED)
        rms = np.sqrt(np.mean(np.sum((x - self.exact) ** 2, axis=1)))
        print(f"{name:36}{len(ts):12}{rms:9.4f}{td.energy_distance(x, self.true):9.4f}{seconds:8.0f}", flush=True)

    def taught(self, theta: np.ndarray, steps: int, **options) -> tuple[td.NetworkDenoiser, float]:
        """A student that begins with these parameters, and the CPU seconds of its training."""
        network, start = self.teacher.network, time.process_time()
        averages = td.Muon(network.matrices, adam=td.Adam(td.Muon.lr / 3)).init(theta)
        begin = td.TrainState(0, theta, theta, averages, np.random.default_rng(steps).bit_generator.state, 0.0, 0.0)
        options |= {"steps": steps, "batch": BATCH, "targets": "single", "rng": 0, "state": begin}
        state = td.last(td.train(network, VP, self.data, **options))
        return td.NetworkDenoiser(network, state.ema, VP), time.process_time() - start


def run(toy: str) -> None:
    """All rows of a toy."""
    race = Race(toy)
    teacher, spent = race.teacher, race.seconds
    race.row("the teacher, Adams and Bashforth", teacher, td.grids.logistic(VP, 49), spent, td.adams_bashforth)
    for n in (4, 2):
        race.row("the teacher, DDIM", teacher, td.grids.logistic(VP, n - 1), spent)
    race.row("the teacher, DDIM", teacher, np.array([VP.t_max]), spent)
    ts, student = td.grids.logistic(VP, 31), teacher
    while len(ts) > 1:
        options = {"times": times_of(ts[::2]), "objective": progressive(student, ts), "weight": "x0"}
        student, seconds = race.taught(student.theta, STEPS[0], **options)
        ts, spent = ts[::2], spent + seconds
        if len(ts) <= 4:
            race.row("progressive distillation", student, ts, spent)
    ts = td.grids.logistic(VP, 16)
    for name, guide in (("consistency distillation", teacher), ("consistency training", None)):
        options = {"times": times_of(ts), "objective": consistency(ts, guide), "weight": root_weight}
        student, seconds = race.taught(teacher.theta, STEPS[1], **options)
        race.row(name, student, ts[:1], race.seconds + seconds)


def main() -> None:
    """Toy by toy."""
    for toy in tqdm(TOYS, unit="toy"):
        run(toy)


if __name__ == "__main__":
    main()
