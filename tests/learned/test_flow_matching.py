"""Flow matching is the diffusion on Straight where its source is noise, and a flow alone where it is not."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from identities.draws import generators
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import tinydiff as td
from tinydiff.learned.couplings import straightness, transport_cost
from tinydiff.learned.flow_matching import clock, flow_matching_loss

STRAIGHT, VP = td.Straight(), td.VP()
STEP = 1e-30


def batch(rng, n=6):
    """A network, θ, pairs x_0 and x_1 (n, 2), and their times."""
    network = td.TimeMLP(2, 6, 1)
    return network, 0.4 * rng.standard_normal(network.size), *rng.standard_normal((2, n, 2)), rng.uniform(0.1, 0.9, n)


# One regression, one family


@given(rng=generators)
def test_the_loss_is_that_of_the_noise_and_of_the_data_up_to_a_weight(rng):
    """‖u − û‖² = ‖ε − ε̂‖²/(1 − t)² = ‖x_0 − x̂_0‖²/t², with û = ε̂ − x̂_0: draw for draw."""
    network, theta, x0, eps, t = batch(rng)
    loss, _ = flow_matching_loss(network, theta, x0, eps, t)
    now, u = STRAIGHT.at(t, like=x0), td.Velocity(network, theta)
    x = now.perturb(x0, eps)
    x0_hat = x - t[:, None] * u(x, t)
    eps_hat = x + (1 - t[:, None]) * u(x, t)
    assert_allclose(now.perturb(x0_hat, eps_hat), x, atol=1e-12)
    assert_allclose(loss, np.mean(((eps - eps_hat) / (1 - t[:, None])) ** 2), rtol=1e-10)
    assert_allclose(loss, np.mean(((x0 - x0_hat) / t[:, None]) ** 2), rtol=1e-10)


@given(rng=generators)
def test_its_gradient_is_the_derivative_of_the_loss(rng):
    """By complex step along a random direction."""
    network, theta, x0, x1, t = batch(rng)
    a = rng.standard_normal(network.size)
    _, grad = flow_matching_loss(network, theta, x0, x1, t)
    at = t[:, None]
    u = network(theta + 1j * STEP * a, ((1 - at) * x0 + at * x1).astype(complex), clock(t, x0))[0]
    slope = np.imag(np.mean((u - (x1 - x0)) ** 2)) / STEP
    assert_allclose(grad @ a, slope, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("toy", ["ring8", "grid25", "spiral60"])
def test_another_clock_and_scale_make_vp_of_straight(toy, rng):
    """Where log-SNRs agree the flows have one x/α: the same trajectory, step for step."""
    data, ts = td.toys.TOYS[toy](), td.grids.logistic(VP, 30)
    noise = rng.standard_normal((20, 2))
    walk = td.dpm_solver_2m(td.Oracle(data, VP), VP.at(ts[0]).sigma * noise, ts)
    on_straight = [float(STRAIGHT.time(VP.log_snr(t))) for t in ts]
    straight = td.dpm_solver_2m(td.Oracle(data, STRAIGHT), STRAIGHT.at(on_straight[0]).sigma * noise, on_straight)
    for (t, x), (s, y) in zip(walk, straight, strict=True):
        assert_allclose(x / VP.alpha(t), y / STRAIGHT.alpha(s), rtol=1e-7, atol=1e-7 / VP.alpha(t))


@pytest.mark.parametrize("toy", ["ring8", "spiral60"])
def test_the_velocity_of_the_flow_is_what_flow_matching_would_learn(toy, rng):
    """f x + (g²/2σ) ε̂ = ε̂ − x̂_0 on Straight, and no other velocity has a smaller loss over pairs."""
    model = td.Oracle(td.toys.TOYS[toy](), STRAIGHT)
    x0, eps = model.data.sample(rng, 4000), rng.standard_normal((4000, 2))
    now = STRAIGHT.at(0.4)
    x = now.perturb(x0, eps)
    u = model(x, now) - model.x0(x, now)
    assert_allclose(u, now.f * x + now.g2 / (2 * now.sigma) * model(x, now), rtol=1e-9, atol=1e-9)
    error = (eps - x0) - u  # orthogonal to every function of x_t
    for function in (x, np.sin(3 * x), u):
        of_rows = np.sum(error * function, axis=1)
        assert abs(np.mean(of_rows)) < 4.5 * np.std(of_rows) / np.sqrt(len(x))


def test_it_learns_that_velocity(rng):
    """From two points of one law to noise: u = ε̂ − x̂_0 of the oracle, nearly."""
    data = td.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.1 * np.stack([np.eye(2)] * 2))
    u = td.flow_matching(td.couplings.independent(data), network=td.TimeMLP(2, 32, 3), steps=300, rng=0, progress=False)
    model = td.Oracle(data, STRAIGHT)
    x, t = model.marginal(0.5).sample(rng, 500), 0.5
    exact = model(x, t) - model.x0(x, t)
    assert np.mean((u(x, t) - exact) ** 2) < 0.05 * np.mean(exact**2)


# Couplings


@given(group=st.integers(1, 40), rng=generators)
def test_an_optimal_pairing_is_of_the_same_points_and_no_swap_is_shorter(group, rng):
    pairs = td.couplings.independent(td.toys.spiral60(), td.toys.ring8())
    seed = int(rng.integers(2**31))
    y0, y1 = pairs(np.random.default_rng(seed), 30)
    x0, x1 = td.couplings.optimal(pairs, group)(np.random.default_rng(seed), 30)
    assert_array_equal(x0, y0)
    for start in range(0, 30, group):
        rows = slice(start, start + group)
        assert_array_equal(np.sort(x1[rows], axis=0), np.sort(y1[rows], axis=0))
        for i, j in itertools.combinations(range(start, min(30, start + group)), 2):
            assert np.sum((x0[i] - x1[i]) ** 2 + (x0[j] - x1[j]) ** 2) <= 1e-12 + np.sum(
                (x0[i] - x1[j]) ** 2 + (x0[j] - x1[i]) ** 2
            )
    assert transport_cost(x0, x1) <= transport_cost(y0, y1) + 1e-12


def test_on_a_line_the_optimal_pairing_is_by_rank(rng):
    line = td.GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [[[0.1]], [[0.2]]])
    x0, x1 = td.couplings.optimal(td.couplings.independent(line))(rng, 60)
    assert_array_equal(stats.rankdata(x0[:, 0], "ordinal"), stats.rankdata(x1[:, 0], "ordinal"))


def test_reflow_makes_ways_straight_and_not_longer_and_keeps_the_ends():
    """Ring to spiral [Liu et al. 2023, Thm. 3.5]: it bends less, costs no more, and one step errs less."""
    ring, spiral = td.toys.ring8(), td.toys.spiral60()
    options = {"network": td.TimeMLP(2, 32, 3), "steps": 300, "rng": 0, "progress": False}
    ts, x1 = np.linspace(1, 0, 41), ring.sample(5, 500)

    def measured(pairs):
        u = td.flow_matching(pairs, **options)
        walk = list(td.flow(u, x1, ts))
        once = td.last(td.flow(u, x1, [1.0, 0.0], method="euler"))[1]
        end = walk[-1][1]
        return u, end, straightness(u, walk), transport_cost(end, x1), np.sqrt(np.mean((once - end) ** 2))

    u, end, bent, cost, error = measured(td.couplings.independent(spiral, ring))
    pairs = td.couplings.reflowed(lambda x: td.last(td.flow(u, x, ts))[1], ring.sample(6, 5000))
    _, again, straight, cost_again, error_again = measured(pairs)
    assert straight < 0.1 * bent
    assert cost_again < 1.02 * cost
    assert error_again < 0.3 * error
    true, others = spiral.sample(1, 500), spiral.sample(2, 500)
    for x in (end, again):
        assert td.energy_distance(x, true) < td.energy_distance(others, true) + 0.05


def test_a_way_along_lines_is_straight():
    """u = x_1 − x_0 is the same all the way; of a way that turns it is the mean square off its chord."""
    x = np.array([[1.0, 2.0], [0.0, -1.0]])
    line = list(td.flow(lambda x, t: np.full_like(x, 3.0), x, np.linspace(1, 0, 11)))
    assert straightness(lambda x, t: np.full_like(x, 3.0), line) < 1e-25
    turned = list(td.flow(lambda x, t: np.full_like(x, 2 * t), x, np.linspace(1, 0, 101)))
    assert straightness(lambda x, t: np.full_like(x, 2 * t), turned) == pytest.approx(1 / 3, rel=1e-3)  # ∫ (1 − 2t)² dt


# What it is not, and what is refused


def test_a_velocity_has_a_flow_and_says_that_it_has_no_more():
    network = td.TimeMLP(2, 6, 1)
    u = td.Velocity(network, network.init(0))
    for name in ("process", "prior", "x0", "score", "log_likelihood"):
        with pytest.raises(AttributeError, match=f"a flow alone, and no {name}"):
            getattr(u, name)
    with pytest.raises(TypeError, match="model must be a Denoiser"):
        td.sample(u, 3, rng=0)


U = td.Velocity(td.TimeMLP(2, 6, 1), td.TimeMLP(2, 6, 1).init(0))
ONE = td.couplings.independent(td.toys.ring8())


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: U(np.ones((3, 2)), 1.5), "t must be from 0, the data, to 1, the source; got 1.5"),
        (lambda: U(np.ones((3, 2)), np.nan), "t must be from 0.*; got nan"),
        (lambda: U(np.ones((3, 2)), np.array([0.1, 0.2])), "t must be one, or one for each of 3 rows; got 2"),
        (lambda: U([[1.0, 1.0]], 0.5), r"points must be an array of shape \(B, 2\); got a list"),
        (lambda: U(np.ones((3, 3)), 0.5), r"shape \(B, 2\); got shape \(3, 3\)"),
        (lambda: td.last(td.flow(U, np.ones((3, 2)), [])), "ts must hold one or more finite times"),
        (lambda: td.last(td.flow(abs, np.ones((3, 2)), [1.0, np.nan])), "ts must hold one or more finite times"),
        (lambda: td.last(td.flow(None, np.ones((3, 2)), [1.0, 0.0])), "u must be a function"),
        (lambda: td.flow_matching(None, rng=0), "pairs must be a function"),
        (lambda: td.flow_matching(lambda rng, n: np.ones((n, 2)), rng=0), r"must give two arrays \(2, D\)"),
        (lambda: td.flow_matching(lambda rng, n: (np.ones((n, 2)), np.ones((n, 3))), rng=0), "finite and of one shape"),
        (lambda: td.flow_matching(lambda rng, n: (np.ones((n, 2)), np.nan * np.ones((n, 2))), rng=0), "finite"),
        (lambda: td.flow_matching(ONE, network=td.TimeMLP(2, 6, 1, outputs=3), rng=0), "output for each coordinate"),
        (lambda: td.couplings.optimal(None), "pairs must be a function"),
        (lambda: td.couplings.reflowed(None, np.ones((3, 2))), "carry must be a function"),
        (lambda: td.couplings.reflowed(lambda x: x, np.empty((0, 2))), "one or more"),
        (lambda: td.couplings.reflowed(lambda x: x, [[1.0, 2.0]]), "one or more; got list"),
        (lambda: td.Velocity(td.TimeMLP(2, 6, 1), np.zeros(3)), "theta"),
        (lambda: td.last(td.flow(U, np.ones((3, 2)), [1.0, 0.0], method="rk45")), "method must be one of 'euler'"),
        (lambda: td.flow_matching(ONE, steps=0, rng=0), "steps must be"),
        (lambda: td.flow_matching(ONE, batch=0, rng=0), "batch must be"),
        (lambda: td.flow_matching(ONE, ema=2.0, rng=0), "ema must be"),
        (lambda: td.flow_matching(ONE, rng=None), "rng"),
        (lambda: td.couplings.optimal(ONE, group=0), "group must be"),
        (
            lambda: td.couplings.reflowed(lambda x: x[:1], np.ones((3, 2))),
            r"a point for each of \(3, 2\); got \(1, 2\)",
        ),
        (lambda: td.couplings.independent(td.toys.ring8(), np.ones((9, 3))), "2|3"),
        (lambda: flow_matching_loss(U.network, U.theta, np.ones((3, 2)), np.ones((2, 2)), np.ones(3)), "of one shape"),
    ],
)
def test_what_does_not_fit_is_named(call, says):
    with pytest.raises((TypeError, ValueError), match=says):
        call()


def test_a_learning_rate_that_is_too_high_is_said():
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="try a lower lr"):
        td.flow_matching(ONE, network=td.TimeMLP(2, 6, 1), steps=60, lr=1e12, rng=0, progress=False)


def test_a_seed_is_the_result():
    options = {"network": td.TimeMLP(2, 6, 1), "steps": 5, "progress": False}
    one, two = (td.flow_matching(ONE, rng=seed, **options).theta for seed in (0, np.random.default_rng(0)))
    assert_array_equal(one, two)
