"""The average velocity of a flow between two times obeys two identities, and a network learns it from each."""

import numpy as np
import pytest
from hypothesis import given
from identities.draws import generators
from numpy.testing import assert_allclose

import tinydiff as td
from tinydiff.learned.mean_flow import FLOOR, inputs, intervals, mean_flow_loss, target_by_r, target_by_t

STEP = 1e-30
NETWORK = td.TimeMLP(3, 6, 1, outputs=2)


def batch(rng, n=8):
    """θ, pairs x_0 and x_1 (n, 2), and r ≤ t, the first half r = t."""
    return 0.4 * rng.standard_normal(NETWORK.size), *rng.standard_normal((2, n, 2)), *intervals(rng, n)


class Exact:
    """In the place of a network: the average velocity x (1 − S(r)/S(t))/(t − r) from N(0, s²) to N(0, 1) on a line.

    S² = (1 − t)² s² + t² is the variance at t, and the flow keeps x/S. With s = 0 all data are at 0.
    """

    dim, outputs, classes, size = 2, 1, 0, 3

    def __init__(self, s, factor=1.0):
        self.s, self.factor = s, factor

    def scale(self, t):
        return np.sqrt((1 - t) ** 2 * self.s**2 + t**2)

    def velocity(self, x, t):
        t = np.asarray(t)[:, None]
        return x * (t - (1 - t) * self.s**2) / self.scale(t) ** 2  # x d ln S/dt

    def __call__(self, theta, seen, lam):
        x, step = seen[:, :1], seen[:, 1:]
        t = np.exp(-(lam[:, None] + 4) / 2) - 0.01  # the clock, backwards
        with np.errstate(invalid="ignore"):
            u = self.factor * x * (1 - self.scale(t - step) / self.scale(t)) / step
        still = x * (t - (1 - t) * self.s**2) / self.scale(t) ** 2
        return np.where(step == 0, still, u), lambda *args, **options: None


# Two identities


@pytest.mark.parametrize("by", ["t", "r"])
@pytest.mark.parametrize("s", [0.0, 0.3, 2.0])
def test_the_exact_average_velocity_has_no_residual(by, s, rng):
    """Between Gaussians, with the velocity of their flow; and one that is off by a hundredth has one."""
    x0, x1 = rng.standard_normal((2, 50, 1))
    r, t = np.sort(rng.uniform(0.05, 1.0, (2, 50)), axis=0)
    found = [mean_flow_loss(Exact(s, f), np.zeros(3), x0, x1, r, t, by, Exact(s).velocity)[0] for f in (1.0, 1.01)]
    assert found[0] < 1e-18 / FLOOR
    assert found[1] > 1e-6 / FLOOR


@pytest.mark.parametrize("by", ["t", "r"])
def test_of_data_in_one_point_each_pair_has_the_velocity_of_the_flow(by, rng):
    """x_1 − x_0 = x_t/t where all data are at 0: no teacher is needed for no residual."""
    x1 = rng.standard_normal((50, 1))
    r, t = np.sort(rng.uniform(0.05, 1.0, (2, 50)), axis=0)
    r[:20] = t[:20]
    assert mean_flow_loss(Exact(0.0), np.zeros(3), 0 * x1, x1, r, t, by)[0] < 1e-18


@pytest.mark.parametrize("ts", [[1.0, 0.2], [1.0, 0.7, 0.6, 0.2]])
def test_steps_of_any_length_are_the_flow(ts, rng):
    """x_r = x_t S(r)/S(t)."""
    x1, exact = rng.standard_normal((5, 1)), Exact(0.3)
    walk = list(td.MeanVelocity(exact, np.zeros(3)).walk(x1, ts))
    assert [t for t, _ in walk] == ts
    for t, x in walk:
        assert_allclose(x, x1 * exact.scale(t), rtol=1e-10)


def at_rest(rng):
    """u of a network as a function of columns, points, directions, and r ≤ t away from the data."""
    theta, x, v, r, t = batch(rng)
    return lambda x, r, t: NETWORK(theta, *inputs(x, r, t)), x, v, 0.2 + 0.8 * r[:, None], 0.2 + 0.8 * t[:, None]


@given(rng=generators)
def test_the_derivative_along_x_is_what_the_pullback_says(rng):
    """⟨dy, J v⟩ = ⟨Jᵀ dy, v⟩, where J v is the part of (v − target)/(t − r) that v has."""
    f, x, v, r, t = at_rest(rng)
    r = 0.9 * r
    dy = rng.standard_normal(x.shape)
    rate, by_t_alone = ((w - target_by_t(lambda *a: f(*a)[0], w, x, r, t)) / (t - r) for w in (v, 0 * v))
    pulled = f(x, r, t)[1](dy)[:, :2]
    assert_allclose(np.sum(dy * (rate - by_t_alone), axis=1), np.sum(pulled * v, axis=1), rtol=1e-9, atol=1e-9)


@given(rng=generators)
def test_targets_are_what_central_differences_say(rng):
    """d/dτ u(x + (τ − t) v, r, τ) at τ = t, and ∂_r u."""
    f, x, v, r, t = at_rest(rng)
    u, h = lambda *a: f(*a)[0], 1e-6
    by_t = v - (t - r) * (u(x + h * v, r, t + h) - u(x - h * v, r, t - h)) / (2 * h)
    by_r = v + (t - r) * (u(x, r + h, t) - u(x, r - h, t)) / (2 * h)
    assert_allclose(target_by_t(u, v, x, r, t), by_t, rtol=1e-6, atol=1e-6)
    assert_allclose(target_by_r(u, v, x, r, t), by_r, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("teacher", [None, lambda x, t: np.sin(x) + t[:, None]])
@pytest.mark.parametrize("by", ["t", "r"])
@given(rng=generators)
def test_its_gradient_is_the_derivative_of_the_loss_with_the_target_fixed(by, teacher, rng):
    """By complex step along a random direction of θ in u alone, not in the target."""
    theta, x0, x1, r, t = batch(rng)
    a, network = rng.standard_normal(NETWORK.size), NETWORK
    loss, grad = mean_flow_loss(network, theta, x0, x1, r, t, by, teacher)
    start, now = r[:, None], t[:, None]
    x = (1 - now) * x0 + now * x1

    def of(x, r, t):
        return network(theta, *inputs(x, r, t))[0]

    own = teacher or (lambda x, t: of(x, t[:, None], t[:, None]))
    v = x1 - x0 if teacher is None else teacher(x, t)
    end = x - (now - start) * of(x, start, now)
    aimed = target_by_t(of, v, x, start, now) if by == "t" else target_by_r(of, own(end, r), x, start, now)
    target = np.where(start < now, aimed, v)
    u = network(theta + 1j * STEP * a, *inputs(x + 0j, start, now))[0]
    square = np.mean((u - target) ** 2, axis=1)
    by_hand = np.mean(square if teacher is None else np.log(1 + square / FLOOR))
    assert_allclose(loss, by_hand.real, rtol=1e-10)
    assert_allclose(grad @ a, by_hand.imag / STEP, rtol=1e-9, atol=1e-11)


@given(rng=generators)
def test_where_r_is_t_it_is_flow_matching(rng):
    theta, x0, x1, _, t = batch(rng)
    x = (1 - t[:, None]) * x0 + t[:, None] * x1
    u = td.MeanVelocity(NETWORK, theta)
    loss, _ = mean_flow_loss(NETWORK, theta, x0, x1, t, t)
    assert_allclose(loss, np.mean((u(x, t, t) - (x1 - x0)) ** 2), rtol=1e-12)


def test_half_of_the_times_are_one_and_the_others_fall(rng):
    r, t = intervals(rng, 1000)
    assert np.all(r[:500] == t[:500])
    assert np.all((r[500:] < t[500:]) & (r[500:] >= 0) & (t[500:] <= 1))
    assert abs(np.mean(t[:500]) - 1 / 2) < 4.5 / np.sqrt(12 * 500)
    assert abs(np.mean(t[500:] - r[500:]) - 1 / 3) < 4.5 / np.sqrt(18 * 500)


@pytest.mark.parametrize(("by", "taught"), [("t", False), ("r", True)])
def test_it_learns_the_flow_of_a_gaussian(by, taught):
    """From N(0, 1) to N(1, 1/9) on a line, half of the way in one step: x_t = (1 − t) + x_1 S(t)."""
    exact = Exact(1 / 3)
    pairs = td.couplings.independent(td.GaussianMixture([1.0], [[1.0]], [[[1 / 9]]]))
    teacher = (lambda x, t: exact.velocity(x - (1 - t[:, None]), t) - 1) if taught else None
    options = {"network": td.TimeMLP(2, 24, 1, outputs=1), "steps": 400, "batch": 128, "rng": 0, "progress": False}
    u = td.mean_flow(pairs, by=by, teacher=teacher, **options)
    x1 = np.linspace(-1.5, 1.5, 9)[:, None]
    assert_allclose(td.last(u.walk(x1, [1.0, 0.5]))[1], 0.5 + x1 * exact.scale(0.5), atol=0.06)


# What is refused


U = td.MeanVelocity(NETWORK, NETWORK.init(0))
ONE = td.couplings.independent(td.toys.ring8())
ROWS = np.ones((3, 2))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: U(ROWS, 0.0, 1.5), "0 ≤ r ≤ t ≤ 1"),
        (lambda: U(ROWS, 0.6, 0.5), "0 ≤ r ≤ t ≤ 1.*r = 0.6 and t = 0.5"),
        (lambda: U(ROWS, -0.1, 0.5), "0 ≤ r ≤ t ≤ 1"),
        (lambda: U(ROWS, np.nan, 0.5), "0 ≤ r ≤ t ≤ 1"),
        (lambda: U(ROWS, np.zeros(2), 0.5), "r must be one, or one for each of 3 rows; got 2"),
        (lambda: U(ROWS, 0.0, np.ones(2)), "t must be one, or one for each of 3 rows; got 2"),
        (lambda: U(np.ones((3, 3)), 0.0, 1.0), r"shape \(B, 2\); got shape \(3, 3\)"),
        (lambda: U([[1.0, 1.0]], 0.0, 1.0), r"points must be an array of shape \(B, 2\)"),
        (lambda: td.last(U.walk(ROWS, [0.0, 1.0])), "times that fall strictly"),
        (lambda: td.last(U.walk(ROWS, [2.0, 0.0])), "0 ≤ r ≤ t ≤ 1"),
        (lambda: td.mean_flow(None, rng=0), "pairs must be a function"),
        (lambda: td.mean_flow(ONE, teacher="u", rng=0), "teacher must be a function"),
        (lambda: td.mean_flow(ONE, by="x", rng=0), "by must be one of"),
        (
            lambda: td.mean_flow(ONE, network=td.TimeMLP(2, 6, 1), rng=0),
            r"TimeMLP\(D \+ 1, outputs=D\) does; .* sees 2 and has 2",
        ),
        (lambda: td.mean_flow(ONE, network=td.TimeMLP(3, 6, 1, outputs=2, classes=2), rng=0), "and takes classes"),
        (
            lambda: td.mean_flow(ONE, network=td.TimeMLP(4, 6, 1, outputs=3), rng=0),
            r"shape \(B, 4\); got shape \(512, 3\)",
        ),
        (lambda: td.mean_flow(ONE, steps=0, rng=0), "steps must be"),
        (lambda: td.mean_flow(ONE, batch=0, rng=0), "batch must be"),
        (lambda: td.mean_flow(ONE, rng=None), "rng"),
        (lambda: td.MeanVelocity(NETWORK, np.zeros(3)), "theta"),
        (lambda: td.MeanVelocity(td.TimeMLP(2, 6, 1), np.zeros(td.TimeMLP(2, 6, 1).size)), "sees 2 and has 2"),
        (lambda: mean_flow_loss(NETWORK, U.theta, ROWS, ROWS, np.ones(2), np.ones(3)), "with r and t for each"),
    ],
)
def test_what_does_not_fit_is_named(call, says):
    with pytest.raises((TypeError, ValueError), match=says):
        call()
