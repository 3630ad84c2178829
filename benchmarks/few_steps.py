"""One evaluation in the place of fifty: distillation, consistency and average velocities beside the exact map.

    python benchmarks/few_steps.py             # thirteen minutes of a core

Distillation and consistency begin from one trained network, average velocities from nothing; all draw from the same
noise. rms is the distance to where the exact flow carries it; beside it is the energy distance to true points, of which
others have that of the head. CPU seconds are those of the training, the teacher's included where there is one.
"""

import time
from functools import partial

import numpy as np
from tqdm import tqdm

import tinydiff as td
from tinydiff.learned.mean_flow import By
from tinydiff.sampling.few_steps import consistency, progressive

TOYS, N, SEED = ("ring8", "grid25", "spiral60"), 4000, 1
BATCH, STEPS = 512, (400, 1500, 1000)  # of each halving, of consistency, and of average velocities
LEARNING_RATES: dict[By, float] = {"r": 0.02, "t": 0.01}  # from pairs of ring8, by t diverges at 0.02
VP, STRAIGHT = td.VP(), td.Straight()


def root_weight(now: td.Level) -> np.ndarray:
    """√SNR on the error of x_0: nearer to the data more, as in Song & Dhariwal 2024."""
    return now.snr**-0.5


class Race:
    """A toy, its exact map, and the rows that are printed."""

    def __init__(self, toy: str) -> None:
        self.data, start = td.toys.TOYS[toy](), time.process_time()
        self.teacher = td.fit(self.data, VP, rng=0, progress=False)
        self.seconds = time.process_time() - start
        oracle, self.noise = td.Oracle(self.data, VP), VP.prior(np.random.default_rng(SEED), N, self.teacher.like)
        ends = VP.t_max, VP.t_min
        walk = td.probability_flow(oracle, self.noise.astype(float), ends, method="rk45", rtol=1e-6, atol=1e-6)
        self.exact, self.true = oracle.x0(td.last(walk)[1], VP.t_min), self.data.sample(5, N)
        others = td.energy_distance(self.data.sample(6, N), self.true)
        print(f"\n{toy}: energy distance of true points to others {others:.4f}")
        print(f"{'':36}{'evaluations':>12}{'rms':>9}{'energy':>9}{'CPU s':>8}")

    def row(self, name: str, model: td.NetworkDenoiser, ts: np.ndarray, seconds: float, sampler=td.ddim) -> None:
        """Sample on a grid, and print how far it is."""
        x = td.sample(model, N, sampler=sampler, grid=lambda process, n: ts, steps=len(ts), rng=SEED)
        self.measured(name, x, len(ts), seconds)

    def measured(self, name: str, x: np.ndarray, evaluations: int, seconds: float) -> None:
        """Print how far points are from the exact map, and their law from that of the data."""
        rms = np.sqrt(np.mean(np.sum((x - self.exact) ** 2, axis=1)))
        print(f"{name:36}{evaluations:12}{rms:9.4f}{td.energy_distance(x, self.true):9.4f}{seconds:8.0f}", flush=True)

    def velocity(self, x: np.ndarray, t: np.ndarray) -> np.ndarray:
        """ε̂ − x̂_0 of the teacher on the straight path: where VP has the same log-SNR, and so the same x/σ."""
        t = np.clip(t, STRAIGHT.t_min, STRAIGHT.t_max)
        now = VP.at(VP.time(STRAIGHT.log_snr(t)), like=x)
        at_now = x * (now.sigma / t[:, None].astype(x.dtype))
        return self.teacher(at_now, now) - self.teacher.x0(at_now, now)

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
        options = {"times": td.grids.times_of(ts[::2]), "objective": progressive(student, ts), "weight": "x0"}
        student, seconds = race.taught(student.theta, STEPS[0], **options)
        ts, spent = ts[::2], spent + seconds
        if len(ts) <= 4:
            race.row("progressive distillation", student, ts, spent)
    ts = td.grids.logistic(VP, 16)
    for name, guide in (("consistency distillation", teacher), ("consistency training", None)):
        options = {"times": td.grids.times_of(ts), "objective": consistency(ts, guide), "weight": root_weight}
        student, seconds = race.taught(teacher.theta, STEPS[1], **options)
        race.row(name, student, ts[:1], race.seconds + seconds)
    averages(race)


def averages(race: Race) -> None:
    """The rows of average velocities: from pairs and from the teacher, differentiated by either end."""
    for guide, spent in ((None, 0.0), (race.velocity, race.seconds)):
        for by, lr in LEARNING_RATES.items():
            name, start = f"average velocity by {by}, {'distilled' if guide else 'from pairs'}", time.process_time()
            learn = partial(td.mean_flow, steps=STEPS[2], batch=BATCH, lr=lr, rng=0, progress=False)
            u = learn(td.couplings.independent(race.data), by=by, teacher=guide)
            seconds = spent + time.process_time() - start
            for n in (4, 2, 1):
                x = td.last(u.walk(race.noise, np.linspace(1, 0, n + 1)))[1]
                race.measured(name, x, n, seconds)


def main() -> None:
    """Toy by toy."""
    for toy in tqdm(TOYS, unit="toy"):
        run(toy)


if __name__ == "__main__":
    main()
