"""Data parallelism: however many ranks there are, what comes out is that of one; and where one dies, all end.

Ranks are threads in the first part, which needs no MPI, and processes that mpiexec starts in the second.
"""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinydiff as td
from tinydiff.app import cli, runs
from tinydiff.app.config import Config, UsageError, open_data
from tinydiff.app.directory import Run
from tinydiff.app.parallel import RowsOf, data_parallel, rows_of_rank
from tinydiff.app.sampling import SAMPLERS, Draw, draw
from tinydiff.learned.objective import loss_and_grad


class Ranks:
    """A communicator among threads, with mpi4py's names."""

    def __init__(self, rank, size, barrier=None, box=None):
        self.rank, self.size, self.barrier, self.box = rank, size, barrier or threading.Barrier(1), box or [None]
        self.aborted = None

    def exchanged(self, mine):
        self.box[self.rank] = np.array(mine)
        self.barrier.wait(30)
        everyones = list(self.box)
        self.barrier.wait(30)
        return everyones

    def Allgather(self, mine, out):
        out[...] = np.concatenate(self.exchanged(mine)).reshape(out.shape)

    def Allreduce(self, mine, out):
        out[...] = sum(self.exchanged(mine))

    def Gatherv(self, mine, out):
        parts = self.exchanged(mine)
        if self.rank == 0:
            whole, counts = out
            assert [part.size for part in parts] == list(counts)
            whole[...] = np.concatenate(parts)
        else:
            assert out is None

    def Abort(self, code):
        self.aborted = code


def among(size, work):
    """work(comm) on each of so many ranks; their results."""
    barrier, box = threading.Barrier(size), [None] * size
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: work(Ranks(rank, size, barrier, box)), range(size)))


@given(st.integers(1, 300), st.integers(1, 40))
@example(3, 4)
def test_the_rows_of_ranks_follow_one_another_and_differ_by_one_at_most(n, size):
    if n < size:
        with pytest.raises(ValueError, match=rf"at most {n} ranks for {n} rows; got {size} ranks"):
            rows_of_rank(Ranks(0, size), n)
        return
    rows = [np.arange(n)[rows_of_rank(Ranks(rank, size), n)] for rank in range(size)]
    np.testing.assert_array_equal(np.concatenate(rows), np.arange(n))
    sizes = [len(each) for each in rows]
    assert max(sizes) - min(sizes) <= 1


def batch(rng, n, network, dtype=np.float64):
    """What an objective is given: (network, θ, now, x0, ε, labels)."""
    theta = 0.3 * rng.standard_normal(network.size).astype(dtype)
    x0, eps = rng.standard_normal((2, n, network.dim)).astype(dtype)
    classes = network.classes or network.outputs
    labels = rng.integers(-1 if network.classes else 0, classes, n) if classes else None
    now = td.VP().at(rng.uniform(0.1, 0.9, n), like=x0)
    return network, theta, now, x0, eps, labels


OBJECTIVES = {
    "plain": (td.TimeMLP(2, 6, 1), loss_and_grad),
    "of classes": (td.TimeMLP(2, 6, 1, 3), loss_and_grad),
    "of pictures": (td.Mixer((2, 3), 2, 4, 1, 3), loss_and_grad),
    "classifier": (td.TimeMLP(2, 6, 1, outputs=3), lambda *batch: td.learned.classifier.cross_entropy(*batch[:6])),
}


@given(st.integers(1, 5), st.integers(0, 9), st.sampled_from(sorted(OBJECTIVES)), st.integers(0, 9))
@example(1, 7, "of classes", 0)
def test_the_gradients_of_ranks_add_up_to_that_of_the_batch(size, more, objective, seed):
    """∂L/∂θ = Σ_r (B_r/B) ∂L_r/∂θ, for any objective, numbers of rows and weight of times; one rank's to the bit."""
    network, objective = OBJECTIVES[objective]
    dtype = np.float32 if size == 1 else np.float64
    given = (*batch(np.random.default_rng(seed), size + more, network, dtype), td.objective.min_snr_weight)
    loss, grad = objective(*given)
    tolerance = 0 if size == 1 else 1e-13
    results = among(size, lambda comm: data_parallel(comm, objective)(*given))
    for its_loss, its_grad in results:
        assert abs(its_loss - loss) <= tolerance * loss
        assert np.linalg.norm(its_grad - grad) <= tolerance * np.linalg.norm(grad)
        assert its_grad.dtype == dtype
        assert its_loss == results[0][0]
        assert np.array_equal(its_grad, results[0][1])


@pytest.mark.parametrize("differs", [3, 4])
def test_ranks_that_drew_different_batches_are_an_error(differs):
    """A seed for each rank, or data of its own, would be trained on without a word."""

    def work(comm):
        given = list(batch(np.random.default_rng(0), 6, td.TimeMLP(2, 6, 1)))
        given[differs] = given[differs] + 0.01 * comm.rank * np.random.default_rng(1).standard_normal((6, 2))
        with pytest.raises(ValueError, match="drew different batches"):
            data_parallel(comm)(*given)

    among(2, work)


@given(st.integers(1, 5), st.integers(0, 9), st.sampled_from([np.float32, np.float64]))
def test_the_noise_of_all_ranks_is_that_of_one_generator(size, more, dtype):
    """Draw after draw; so a sample has the same noise on the way whichever rank makes it."""
    n, like = size + more, np.empty((0, 3), dtype)
    whole = np.random.default_rng(5)
    generators = [RowsOf(np.random.default_rng(5), rows_of_rank(Ranks(rank, size), n), n) for rank in range(size)]
    for _ in range(2):
        parts = [td.backend.normal_like(each, like, (each.rows.stop - each.rows.start, 3)) for each in generators]
        np.testing.assert_array_equal(np.concatenate(parts), td.backend.normal_like(whole, like, (n, 3)))
        assert {part.dtype for part in parts} == {np.dtype(dtype)}


def test_a_generator_of_rows_draws_nothing_else():
    rng = RowsOf(np.random.default_rng(0), slice(2, 4), 9)
    with pytest.raises(ValueError, match=r"draws for 2 rows of 9; got shape \(3, 2\)"):
        rng.standard_normal((3, 2))
    for draw_something in (lambda: rng.random(2), lambda: rng.integers(3), lambda: rng.spawn(2)):
        with pytest.raises(TypeError, match="a generator of 9 rows among ranks draws standard_normal alone; got "):
            draw_something()
    assert isinstance(rng, np.random.Generator)
    assert td.checks.as_generator(rng) is rng


@pytest.mark.parametrize(
    "options",
    [
        *({"sampler": name} for name in SAMPLERS),
        {"sampler": "ddim", "eta": 1.0, "w": 0.7},
        {"sampler": "edm_heun", "churn": 20.0},
    ],
    ids=str,
)
def test_samples_are_the_same_however_many_ranks_draw_them(random_model, options):
    """With noise on the way or without, of all classes: to rounding, and in the same bits on one rank."""
    model, options = random_model(), Draw("somewhere", n=8, steps=5, **options)
    x, labels = draw(model, options)
    (first, its_labels), *others = among(3, lambda comm: draw(model, options, comm))
    np.testing.assert_allclose(first, x, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(its_labels, labels)
    assert [len(each) for each, _ in others] == [3, 3]
    np.testing.assert_array_equal(draw(model, options, Ranks(0, 1))[0], x)


def test_rk45_is_not_divided(random_model):
    """The worst row decides its steps, so another split would give other samples."""
    with pytest.raises(UsageError, match="leave out --mpi"):
        draw(random_model(), Draw("somewhere", sampler="probability_flow", method="rk45"), Ranks(0, 1))


def test_without_mpi4py_it_is_said_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert cli.main(["train", "ring8", "--mpi"]) == 1
    assert "pip install 'tinydiff[mpi]'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["train", "ring8", "--batch", "2"], ["sample", "somewhere", "--n", "2"]])
def test_fewer_rows_than_ranks_is_wrong_usage(monkeypatch, capsys, command):
    monkeypatch.setattr(cli, "world", lambda: Ranks(0, 3))
    assert cli.main([*command, "--mpi"]) == 2
    says = "tinydiff: rank 0 of 3: each rank needs a row: start at most 2 ranks for 2 rows; got 3 ranks.\n"
    assert capsys.readouterr().err == says


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_names_itself_and_ends_all(rank, monkeypatch, capsys):
    """The others wait a second, since what befalls all is rank 0's to print."""
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    comm = Ranks(rank, 4)
    assert cli.fail("the disk\nis full", 1, comm) == comm.aborted == 1
    assert capsys.readouterr().err.lstrip() == f"tinydiff: rank {rank} of 4: the disk is full\n"
    assert slept[0] == rank


def test_a_mistake_of_ours_ends_all_ranks_with_its_traceback(monkeypatch, capsys):
    monkeypatch.setattr(cli, "world", lambda: Ranks(0, 2))
    monkeypatch.setattr(runs, "train", lambda *a: {}["no such key"])
    assert cli.main(["train", "ring8", "--mpi"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith("tinydiff: rank 0 of 2: 'no such key'\n")


SMALL = Config("circles", conditional=True, width=16, blocks=1, steps=40, batch=7, save_every=10)
SIZES = ["--width", "16", "--blocks", "1", "--steps", "40", "--batch", "7", "--save-every", "10", "--mpi"]
OPTIONS = ["circles", "--conditional", *SIZES]


def apart(a, b):
    """How far the states of two runs are apart, relative to their size: the worst of θ, its average, μ and ν."""
    a, b = a.load().state, b.load().state
    assert (a.step, a.rng_state) == (b.step, b.rng_state)
    pairs = ((a.theta, b.theta), (a.ema, b.ema), (a.optimizer.mu, b.optimizer.mu), (a.optimizer.nu, b.optimizer.nu))
    return max(float(np.linalg.norm(x - y) / np.linalg.norm(y)) for x, y in pairs)


@pytest.mark.parametrize(("targets", "optimizer"), [("single", "muon"), ("batch", "adam")])
def test_ranks_train_what_one_process_trains(tmp_path, capsys, train_run, targets, optimizer):
    """In float32 to rounding, of 7 rows divided unevenly, with labels; rank 0 alone saves, logs and shows a bar."""
    config = replace(SMALL, targets=targets, optimizer=optimizer)
    runs_of = [Run.create(tmp_path / str(rank), config) for rank in range(3)]
    thetas = among(3, lambda comm: runs_of[comm.rank].train(open_data("circles"), comm=comm).model.theta)
    assert capsys.readouterr().err.count("training:   0%") <= 1
    for theta in thetas[1:]:
        np.testing.assert_array_equal(theta, thetas[0])
    assert [run.checkpoint.exists() or run.log.exists() for run in runs_of] == [True, False, False]
    assert 0 < apart(runs_of[0], train_run(tmp_path / "plain", config)) < 1e-5
    assert len(runs_of[0].read_log()) == 40


# With MPI. The script trains without measuring, and a signal may reach rank 1 after step 23.

SCRIPT = """
import os, signal, sys
from tinydiff.app import cli, directory, parallel, runs
name, train = sys.argv[1], directory.train

def befallen(*arguments, **kwargs):
    for state in train(*arguments, **kwargs):
        yield state
        if state.step == 23 and parallel.world().rank == 1 and name != "none":
            os.kill(os.getpid(), signal.Signals[name])

directory.train = befallen
runs._finish = lambda *arguments: {}
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.fixture
def mpiexec(tmp_path):
    """A function (n, name of a signal, *arguments) that runs the script, or the command itself without one, on n ranks.

    It returns what is printed and said, and demands the exit code.
    """
    pytest.importorskip("mpi4py")
    program = Path(sys.executable).parent / "mpiexec"
    if not program.exists():
        pytest.skip("no mpiexec beside this Python")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")

    def run(n, name, *arguments, code=0):
        what = ["-m", "tinydiff"] if name is None else [tmp_path / "script.py", name]
        command = [str(each) for each in (program, "-n", n, sys.executable, *what, *arguments)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=90, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr.replace("\r", "\n")

    return run


def test_ranks_of_mpiexec_train_what_one_process_trains(mpiexec, tmp_path, train_run):
    """The configuration is the same to the byte. A rank other than 0 leaves Control-C to it and goes on."""
    mpiexec(2, "SIGINT", "train", *OPTIONS, "--out", tmp_path / "run")
    run, plain = Run.open(tmp_path / "run"), train_run(tmp_path / "plain", SMALL)
    assert 0 < apart(run, plain) < 1e-5
    assert (run.path / "config.json").read_bytes() == (plain.path / "config.json").read_bytes()


@pytest.mark.slow
def test_a_rank_killed_midway_ends_the_run_and_resumed_it_ends_in_the_same_bits(mpiexec, tmp_path):
    """kill -9 of one of two: mpiexec ends with its code, the checkpoint is whole; of any number of ranks it goes on."""
    mpiexec(2, "none", "train", *OPTIONS, "--out", tmp_path / "never")
    for name, ranks in (("two", 2), ("one", 1)):
        mpiexec(2, "SIGKILL", "train", *OPTIONS, "--out", tmp_path / name, code=9)
        assert Run.open(tmp_path / name).load().state.step == 20
        mpiexec(ranks, "none", "train", "circles", "--out", tmp_path / name, "--resume", "--mpi")
    assert apart(Run.open(tmp_path / "two"), Run.open(tmp_path / "never")) == 0
    assert apart(Run.open(tmp_path / "one"), Run.open(tmp_path / "never")) < 1e-5


@pytest.mark.slow
def test_the_commands_as_they_are(mpiexec, tmp_path, rng):
    """train and sample on two ranks: one report, and the samples that one process draws; a failure ends both."""
    points, path = tmp_path / "points.csv", tmp_path / "run"
    np.savetxt(points, rng.standard_normal((24, 1)), delimiter=",", header="x0", comments="")
    out, _ = mpiexec(2, None, "train", points, *SIZES, "--out", path)
    assert out.count("Written:") == 1
    assert json.loads((path / "report.json").read_text(encoding="utf-8"))["steps"] == 40

    for options in (["--n", "9"], ["--n", "9", "--sampler", "ddpm"]):
        out, _ = mpiexec(2, None, "sample", path, "--mpi", *options)
        assert out.count("draws.npy") == 1
        x = np.load(path / "draws.npy")
        assert cli.main(["sample", str(path), *options, "--out", str(tmp_path / "plain.npy")]) == 0
        np.testing.assert_allclose(x, np.load(tmp_path / "plain.npy"), rtol=1e-4, atol=1e-5)

    _, said = mpiexec(2, None, "sample", tmp_path / "nowhere", "--mpi", code=1)
    assert said.count("tinydiff: rank 0 of 2:") == said.count("tinydiff:") == 1
