"""The second part of the course as one chain: the reader's network, drawn, moved, measured and raced by their code.

All functions are those that the solutions keep, in a mine.py that imports NumPy alone. The library only judges: its
mixture is the truth. The chain of steps k = 1 … 341 is even in the log-SNR λ, from 9 to −8. With k as the clock of an
SDE, β(k) is the growth of −ln ᾱ = ln(1 + e^{−λ}), which is |dλ/dk|/(1 + e^λ).
"""

import importlib.util

import numpy as np
import pytest
from running import FOLDER, load_build

import tinydiff as td

pytest.importorskip("jupytext", reason="pip install -e '.[notebooks]'")
if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)

NEEDED = (
    *("fit", "train_well", "ddim", "euler_maruyama_step", "reverse_family_drift"),
    *("hutchinson", "flow_log_density", "multistep_step", "my_sampler"),
)
LAM = np.linspace(9, -8, 341)
RING = td.toys.ring8()


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The file that a reader has who solved all exercises."""
    build, path = load_build(), tmp_path_factory.mktemp("reader") / "mine.py"
    build.solve(path, build.sources())
    spec = importlib.util.spec_from_file_location("mine_of_a_reader", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if missing := [name for name in NEEDED if not hasattr(module, name)]:
        pytest.skip(f"no notebook asks for {missing} yet")
    assert "tinydiff" not in path.read_text(encoding="utf-8")
    return module


@pytest.fixture(scope="module")
def betas(reader):
    return reader.betas_from_log_snr(LAM)


@pytest.fixture(scope="module")
def network(reader, betas):
    rng = np.random.default_rng(7)
    return reader.train_well(RING.sample(rng, 10_000), betas, 600, rng)[0]


@pytest.fixture(scope="module")
def true():
    return RING.sample(np.random.default_rng(70), 2000)


@pytest.fixture(scope="module")
def by_luck(true):
    """The energy distance of two true clouds."""
    return td.energy_distance(RING.sample(np.random.default_rng(71), 2000), true)


def eps_of(reader, network, betas):
    return lambda x, k: reader.from_v(x, k, network(x, k)[0], betas)[1]


def score_of(reader, network, betas):
    def score(x, k):
        return reader.score_from_eps(round(k), eps_of(reader, network, betas)(x, round(k)), betas)

    return score


def beta(k):
    """β at step k of the clock."""
    return (LAM[0] - LAM[1]) / (1 + np.exp(LAM[round(k) - 1]))


def nats_over_the_floor(reader, network, betas, n=400):
    """½ ∫ E‖ε̂ − ε*‖² dλ, with ε* the exact answer for the ring."""
    rng, guessed, total = np.random.default_rng(72), eps_of(reader, network, betas), 0.0
    for k in range(1, len(LAM) + 1, 4):
        alpha, sigma = np.sqrt(1 / (1 + np.exp(-LAM[k - 1]))), np.sqrt(1 / (1 + np.exp(LAM[k - 1])))
        x = alpha * RING.sample(rng, n) + sigma * rng.standard_normal((n, 2))
        exact = -sigma * RING.diffused(alpha, sigma).score(x)
        total += 0.5 * np.mean(np.sum((guessed(x, k) - exact) ** 2, axis=1)) * 4 * (LAM[0] - LAM[1])
    return total


def test_what_the_reader_decided_in_7_saves_four_fifths_of_what_6_lost(reader, network, betas):
    rng = np.random.default_rng(7)
    before = reader.fit(RING.sample(rng, 10_000), betas, 600, rng)[0]
    assert 5 * nats_over_the_floor(reader, network, betas) < nats_over_the_floor(reader, before, betas)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_readers_ddim_draws_the_ring_with_the_readers_network(reader, network, betas, true, by_luck, eta):
    rng, visited = np.random.default_rng(73), [*range(341, 0, -10), 0]
    zs = rng.standard_normal((len(visited) - 1, 2000, 2))
    x = reader.ddim(eps_of(reader, network, betas), rng.standard_normal((2000, 2)), visited, zs, betas, eta)
    assert td.energy_distance(x, true) < 0.01 + by_luck


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_the_readers_family_moves_the_same_crowd_whatever_its_share_of_noise(
    reader, network, betas, true, by_luck, eta
):
    rng, score = np.random.default_rng(74), score_of(reader, network, betas)

    def drift(x, k):
        return reader.reverse_family_drift(x, beta(k), score(x, k), eta)

    x = rng.standard_normal((2000, 2))
    for k in range(341, 1, -1):
        z = rng.standard_normal(x.shape)
        x = reader.euler_maruyama_step(drift, lambda k: eta * np.sqrt(beta(k)), x, k, k - 1, z)
    assert td.energy_distance(x, true) < 0.01 + by_luck


def test_the_readers_flow_gives_the_readers_network_a_density_near_that_of_the_data(reader, network, betas):
    """KL(q_1 ‖ p_1) of the points after one step of the chain, where λ = 9: above 0, and of the size of the excess."""
    rng, score, n = np.random.default_rng(75), score_of(reader, network, betas), 400
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=float)
    probes = np.repeat(signs[:, None, :], n, axis=1)  # all of them, so that the trace is exact

    def drift(x, k):
        return reader.reverse_family_drift(x, beta(k), score(x, k), 0.0)

    def divergence(x, k):
        k = round(k)
        pullback, (alpha, sigma) = network(x, k)[1], levels(k)

        def vjp(x, u):  # of the score, −(σ x + α v̂)/σ
            return -u - alpha / sigma * pullback(u)[1][:, :2]

        return -0.5 * beta(k) * (2 + reader.hutchinson(vjp, x, probes))

    def log_prior(x):
        return -0.5 * np.sum(x**2, axis=1) - np.log(2 * np.pi)

    alpha, sigma = levels(1)
    x = alpha * RING.sample(rng, n) + sigma * rng.standard_normal((n, 2))
    log_p = reader.flow_log_density(drift, divergence, log_prior, x, np.arange(1.0, 342.0, 2))
    surplus = RING.diffused(alpha, sigma).log_density(x) - log_p
    kl, error = np.mean(surplus), np.std(surplus) / np.sqrt(n)
    assert kl > -4 * error
    assert kl < 0.3 + 4 * error


def levels(k):
    return 1 / np.sqrt(1 + np.exp(-LAM[k - 1])), 1 / np.sqrt(1 + np.exp(LAM[k - 1]))


def test_the_readers_steps_win_the_race_where_evaluations_are_few(reader):
    found = td.race(
        reader.my_sampler, toys=["ring8", "spiral60", "grid25"], evaluations=[6, 8], n=100, rng=76, progress=False
    )
    assert found.places() == {6: 1, 8: 1}
