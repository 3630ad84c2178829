"""`sample` answers: every sampler ends on data, one's own included, and asks the model as often as it says."""

import itertools
import sys
import warnings
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.backend import normal_like
from tinydiff.testing import assert_same_law

VP, CHAIN = td.VP(), td.Discrete.linear(1000)
RING, POINT = td.toys.ring8(), np.array([[0.5, -2.0]])
LINE = td.GaussianMixture([0.3, 0.7], [[-1.0], [0.8]], [[[0.1]], [[0.2]]])


def one_of_ones_own(model, x, ts, *, rng=None):
    """A student's DDIM: a generator of pairs, and no more."""
    levels = [model.process.at(t) for t in ts]
    yield levels[0].t, x
    for now, then in itertools.pairwise(levels):
        x0_hat = model.x0(x, now)
        x = then.alpha * x0_hat + then.sigma * (x - now.alpha * x0_hat) / now.sigma
        yield then.t, x


def one_that_returns(model, x, ts, *, rng=None):
    """The same with a last line that many write."""
    for pair in one_of_ones_own(model, x, ts):
        yield pair
    return pair[1]


def one_with_noise(model, x, ts, *, rng):
    """A student's DDPM, which may draw from the rng that it is given."""
    levels = [model.process.at(t) for t in ts]
    yield levels[0].t, x
    for now, then in itertools.pairwise(levels):
        x = td.ddpm_step(x, model.x0(x, now), now, then, normal_like(rng, x))
        yield then.t, x


def one_that_is_a_list(model, x, ts, *, rng=None):
    return list(one_of_ones_own(model, x, ts))


HALF_KNOWN = {"known": np.tile(POINT, (4, 1)), "mask": np.array([True, False])}
LIBRARY = {
    "ddpm": td.ddpm,
    "ddpm, β": partial(td.ddpm, variance="beta"),
    "ddim": td.ddim,
    "ddim, η = .5": partial(td.ddim, eta=0.5),
    "adams_bashforth": td.adams_bashforth,
    "dpm_solver_2m": td.dpm_solver_2m,
    "inpaint": partial(td.inpaint, **HALF_KNOWN),
    "inpaint, 3 times": partial(td.inpaint, **HALF_KNOWN, resamples=3),
    "edm_heun": td.edm_heun,
    "edm_heun, churn": partial(td.edm_heun, churn=10.0),
    "euler": partial(td.probability_flow, method="euler"),
    "heun": partial(td.probability_flow, method="heun"),
    "rk4": td.probability_flow,
    "rk45": partial(td.probability_flow, method="rk45"),
    "euler_maruyama": td.euler_maruyama,
    "euler_maruyama, η = .5": partial(td.euler_maruyama, eta=0.5),
    "predictor_corrector": td.predictor_corrector,
    "predictor_corrector, none": partial(td.predictor_corrector, corrections=0),
    "predictor_corrector, 3": partial(td.predictor_corrector, corrections=3),
}
OWN = {
    "one's own": one_of_ones_own,
    "one's own that returns x": one_that_returns,
    "one's own with noise": one_with_noise,
    "one's own list": one_that_is_a_list,
}
ALL = LIBRARY | OWN
EVALUATIONS = dict.fromkeys(ALL, 1) | {
    "inpaint, 3 times": 3, "edm_heun": 2, "edm_heun, churn": 2, "heun": 2, "rk4": 4, "predictor_corrector": 2,
    "predictor_corrector, 3": 4,
}  # fmt: skip
NEEDS_RATES = ("edm", "euler", "heun", "rk", "predictor")
SEEDED = ("ddpm", "ddim, η", "edm_heun, churn", "euler_maruyama", "predictor_corrector", "inpaint")

every_sampler = pytest.mark.parametrize("sampler", LIBRARY.values(), ids=LIBRARY)
every_seeded_sampler = pytest.mark.parametrize(
    "sampler", [pytest.param(LIBRARY[name], id=name) for name in LIBRARY if name.startswith(SEEDED)]
)


# Every sampler ends on data


@pytest.mark.parametrize("name", [name for name in ALL if "inpaint" not in name])
def test_every_sampler_draws_from_the_law_of_the_data(name):
    """With the exact oracle, from the prior. What is half known has another law."""
    steps = 2 if name == "rk45" else 100
    assert_same_law(td.sample(td.Oracle(LINE, VP), 2000, sampler=ALL[name], steps=steps, rng=0), LINE, rng=1)


@pytest.mark.parametrize("process", [VP, td.VE(), td.Cosine(), td.Straight(), CHAIN], ids=repr)
def test_of_a_single_point_every_draw_is_that_point(process):
    """Whatever the steps: x̂_0 is that point, and the answer is x̂_0."""
    for name, sampler in ALL.items():
        for steps in (1, 2, 10):
            if process is not CHAIN or not name.startswith(NEEDS_RATES):
                x = td.sample(td.Oracle(POINT, process), 4, sampler=sampler, steps=steps, rng=0)
                assert_allclose(x, np.tile(POINT, (4, 1)), rtol=1e-12, err_msg=name)


def test_a_sampler_of_ones_own_that_goes_to_zero_has_answered():
    """A walk whose last pair is at t = 0 is taken at its word."""

    def to_zero(model, x, ts, *, rng=None):
        yield from one_of_ones_own(model, x, ts)
        yield 0.0, 7 + 0 * x

    *_, (t, _), (zero, x) = td.trajectory(td.Oracle(RING, VP), 3, sampler=to_zero, rng=0)
    assert t > zero
    assert_array_equal(x, np.full((3, 2), 7.0))


def test_a_sampler_without_a_single_pair_has_no_answer():
    assert list(td.trajectory(td.Oracle(RING, VP), 3, sampler=lambda model, x, ts, *, rng: [], rng=0)) == []


# Trajectories


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("steps", [1, 4])
def test_a_trajectory_leads_from_the_prior_to_the_answer(name, steps):
    """From its draw at t_max, over each of the times of the grid, to (0.0, x̂_0), which is the sample."""
    model, arguments = td.Oracle(RING, VP), {"sampler": ALL[name], "steps": steps, "rng": 3}
    *walk, (zero, answer) = td.trajectory(model, 4, **arguments)
    t, x = walk[-1]
    expected = model.x0(x, t)
    if "inpaint" in name:
        expected[:, 0] = POINT[0, 0]
    assert [t for t, _ in walk] == td.grids.default(VP, steps - 1).tolist()
    assert zero == 0
    assert_array_equal(walk[0][1], VP.prior(np.random.default_rng(3), 4, model.like))
    assert_array_equal(answer, expected)
    assert_array_equal(answer, td.sample(model, 4, **arguments))


def test_a_trajectory_can_be_stopped():
    """It is made as it is asked for."""
    model = td.Counting(td.Oracle(RING, VP))
    list(itertools.islice(td.trajectory(model, 5, steps=50, rng=0), 4))
    assert model.nfe == 3


# How often the model is asked, and when


@pytest.mark.parametrize("name", [name for name in ALL if name != "rk45"])
def test_steps_are_times_at_which_the_model_is_asked(name):
    """steps − 1 steps of the sampler, and the answer."""
    for steps in (1, 2, 11):
        model = td.Counting(td.Oracle(RING, VP))
        td.sample(model, 4, sampler=ALL[name], steps=steps, rng=0)
        assert model.nfe == EVALUATIONS[name] * (steps - 1) + 1


@pytest.mark.parametrize("steps", [1, 50, 1000])
def test_on_a_chain_the_model_is_asked_at_exactly_as_many_times(steps):
    """Strided and uniform: 1,000 on Discrete(1000) is each of its steps; there are no more."""
    ts = [t for t, _ in td.trajectory(td.Oracle(RING, CHAIN), 1, steps=steps, rng=0)][:-1]
    assert len(ts) == steps
    assert steps == 1 or np.ptp(np.diff(CHAIN.index(ts))) <= 1
    with pytest.raises(ValueError, match="has no 1001 different times"):
        td.sample(td.Oracle(RING, CHAIN), 1, steps=1001, rng=0)


def test_another_grid_is_taken():
    """The library's, and one's own: a function of the process and the number of steps."""

    def halves(process, n):
        return process.t_max * 0.5 ** np.arange(n + 1)

    for grid in (td.grids.even_time, halves):
        ts = [t for t, _ in td.trajectory(td.Oracle(RING, VP), 1, steps=5, grid=grid, rng=0)]
        assert ts == [*grid(VP, 4), 0.0]


# A walk


BAD_WALKS = {  # (arguments, error, says)
    "to zero": ({"ts": [0.5, 0.0]}, ValueError, r"ts must lie in \(0, 1\], without 0: a walk ends at its last time"),
    "of no times": ({"ts": []}, ValueError, "ts must hold one or more times that fall"),
    "that stays": ({"ts": [0.5, 0.5]}, ValueError, "ts must hold one or more times that fall"),
    "that turns": ({"ts": [0.9, 0.2, 0.5]}, ValueError, "ts must hold one or more times that fall"),
    "of steps of a chain": ({"ts": [1000, 500]}, ValueError, r"t must lie in \[0, 1\]"),
    "of NaN": ({"ts": [np.nan, 0.5]}, ValueError, r"t must lie in \[0, 1\]"),
    "of another process": ({"ts": [td.Cosine().at(0.5)]}, ValueError, r"(?s)Cosine.*VP|VP.*Cosine"),
    "of other points": ({"x": np.zeros((4, 3))}, ValueError, r"x must be an array of shape \(B, 2\)"),
    "of one point": ({"x": np.zeros(2)}, ValueError, r"x must be an array of shape \(B, 2\)"),
    "of a list": ({"x": [[0.0, 0.0]]}, ValueError, r"x must be an array of shape \(B, 2\)"),
    "of a process": ({"model": VP}, TypeError, "model must be a Denoiser"),
}


@every_sampler
@pytest.mark.parametrize(("wrong", "error", "says"), BAD_WALKS.values(), ids=BAD_WALKS)
def test_no_walk_goes_astray(sampler, wrong, error, says):
    """It is refused when its first pair is asked for, before the model is."""
    model = td.Counting(td.Oracle(RING, VP))
    arguments = {"model": model, "x": np.zeros((4, 2)), "ts": [0.5, 0.4]} | wrong
    with pytest.raises(error, match=says):
        next(iter(sampler(*arguments.values(), rng=0)))
    assert model.nfe == 0


@pytest.mark.parametrize("name", [name for name in LIBRARY if name not in ("euler", "heun", "rk4", "rk45")])
def test_only_the_flow_may_rise(name):
    with pytest.raises(ValueError, match="times that fall strictly"):
        next(LIBRARY[name](td.Oracle(RING, VP), np.zeros((4, 2)), [0.2, 0.9], rng=0))


FLOWS = [name for name in LIBRARY if name.startswith(NEEDS_RATES)]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(
    ("process", "ts", "says"),
    [
        (td.Cosine(), [1.0, 0.5], r"the flow runs between t_min.*t_max = 0\.99"),
        (VP, [0.5, 1e-7], "the flow runs between t_min"),
        (CHAIN, [0.5, 0.4], "f and g² of a process in continuous time"),
    ],
    ids=["beyond t_max", "beyond t_min", "a chain"],
)
def test_what_needs_f_and_g2_keeps_to_where_they_are_finite(name, process, ts, says):
    with pytest.raises(ValueError, match=says):
        next(LIBRARY[name](td.Oracle(RING, process), np.zeros((1, 2)), ts, rng=0))


@pytest.mark.parametrize(
    ("sampler", "options", "says"),
    [
        (td.ddim, {"eta": 1.5}, "eta must be from 0 to 1; got 1.5"),
        (td.ddim, {"eta": 0.5, "rng": None}, "pass rng"),
        (td.euler_maruyama, {"eta": -1e-9}, "eta must be 0 or more; got -1e-09"),
        (td.euler_maruyama, {"eta": np.nan}, "eta must be 0 or more; got nan"),
        (td.euler_maruyama, {"rng": None}, "pass rng"),
        (td.edm_heun, {"churn": -1.0}, "churn must be 0 or more; got -1.0"),
        (td.edm_heun, {"churn": 1.0, "rng": None}, "pass rng"),
        (td.predictor_corrector, {"corrections": -1}, "corrections must be 0 or more; got -1"),
        (td.predictor_corrector, {"snr": 0.0}, "snr must be over 0; got 0.0"),
        (td.probability_flow, {"method": "rk5"}, "method must be one of 'euler', 'heun', 'rk4', 'rk45'; got 'rk5'"),
        (td.probability_flow, {"rtol": -1e-5}, "rtol must be 0 or more; got -1e-05"),
        (td.probability_flow, {"atol": 0.0}, "atol must be over 0; got 0.0"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or (" ".join(value) if isinstance(value, dict) else ""),
)
def test_wrong_options_of_a_sampler_are_named(sampler, options, says):
    """When its first pair is asked for, before the model is."""
    model = td.Counting(td.Oracle(RING, VP))
    with pytest.raises(ValueError, match=says):
        next(sampler(model, np.zeros((1, 2)), [0.5, 0.4], **{"rng": 0} | options))
    assert model.nfe == 0


@every_sampler
@pytest.mark.parametrize("ts", [[0.5], [0.9, 0.5, 0.2]], ids=str)
def test_a_walk_keeps_to_its_times_and_to_float32(sampler, ts):
    """(t, x) at each, from the x that it is given, which stays as it is; t is a float. Levels serve as times."""
    model, x = td.Oracle(RING, VP), np.ones((4, 2), np.float32)
    pairs = list(sampler(model, x, np.array(ts), rng=0))
    assert [t for t, _ in pairs] == ts
    assert all(type(t) is float and y.dtype == np.float32 for t, y in pairs)
    assert pairs[0][1] is x
    assert np.all(x == 1)
    for (_, y), (_, by_levels) in zip(pairs, sampler(model, x, map(VP.at, ts), rng=0), strict=True):
        assert_array_equal(y, by_levels)


@every_seeded_sampler
def test_the_seed_decides(sampler):
    """A whole number is the generator that it seeds, to a sampler and to `sample`."""
    model, x = td.Oracle(RING, VP), np.ones((4, 2))

    def walked(rng):
        return td.last(sampler(model, x, [0.9, 0.5, 0.2], rng=rng))[1]

    def sampled(rng):
        return td.sample(model, 4, sampler=sampler, steps=5, rng=rng)

    for draw in (walked, sampled):
        expected = draw(np.random.default_rng(3))
        assert_array_equal(draw(3), expected)
        assert not np.allclose(draw(4), expected)


@every_seeded_sampler
def test_what_is_no_generator_is_refused(sampler):
    """By a sampler, `sample`, `trajectory` and `brownian_path`: one sentence for all, in test_checks."""
    model, x = td.Oracle(RING, VP), np.ones((4, 2))
    for ask in (
        lambda rng: next(iter(sampler(model, x, [0.9, 0.5], rng=rng))),
        lambda rng: td.sample(model, 4, rng=rng),
        lambda rng: next(td.trajectory(model, 4, rng=rng)),
        lambda rng: td.brownian_path(rng, x, [0.9, 0.5]),
    ):
        with pytest.raises(ValueError, match="pass rng=0, say, or"):
            ask(None)
        with pytest.raises(TypeError, match=r"rng must be a np\.random\.Generator, or a whole number that seeds one"):
            ask(1.5)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"n": 0}, ValueError, "n must be 1 or more; got 0"),
        ({"steps": 0}, ValueError, "steps must be 1 or more; got 0"),
        ({"model": VP}, TypeError, "model must be a Denoiser"),
        ({"lam": 0.5}, TypeError, "lam"),
    ],
    ids=["n", "steps", "model", "option"],
)
def test_other_arguments_of_sample_are_named(arguments, error, says):
    with pytest.raises(error, match=says):
        td.sample(**{"model": td.Oracle(RING, VP), "n": 1, "rng": 0} | arguments)


# A prior that is off


@pytest.mark.parametrize("process", [td.VP(0.1, 5.0), td.Discrete.linear(50, rescale=False)], ids=repr)
def test_the_warning_of_a_far_prior_names_the_callers_line(process):
    """Of `sample` and of `trajectory`; unscaled β at T = 50 leave ᾱ_T = .60."""
    for ask in (td.sample, lambda *args, **options: list(td.trajectory(*args, **options))):
        with pytest.warns(UserWarning, match="nats per dimension from its prior") as caught:
            ask(td.Oracle(RING, process), 1, steps=2, rng=0)
        assert caught[0].filename == __file__


class AtTheEdge(td.VP):
    def prior_gap(self, x0):
        return np.full(len(x0), 0.01)


@pytest.mark.parametrize("process", [AtTheEdge(), td.VP(0.1, 8.8)], ids=repr)
def test_a_gap_of_up_to_a_hundredth_per_dimension_is_silent(process):
    """One draw is a sample, and .006 nats per dimension, .012 in the plane, are no reason to warn."""
    with warnings.catch_warnings(action="error"):
        td.sample(td.Oracle(RING, process), 1, steps=2, rng=0)


# What a step costs


class Silent(td.Denoiser):
    """A denoiser that costs one Python call."""

    dim, like = 2, np.empty((0, 2))

    def __init__(self, process):
        self.process = process

    def x0(self, x, t):
        return x


@pytest.mark.parametrize("process", [VP, CHAIN], ids=repr)
def test_a_ddim_step_is_at_most_twenty_python_calls(process):
    """The walk's next pair with the call of the model in it, so that the formula is what a debugger steps through."""
    walk, calls = td.ddim(Silent(process), np.zeros((4, 2)), [0.9, 0.5, 0.2]), []
    next(walk)
    sys.setprofile(lambda frame, event, argument: calls.append(frame) if event == "call" else None)
    try:
        next(walk)
    finally:
        sys.setprofile(None)
    assert len(calls) <= 20


@pytest.mark.parametrize(
    "name", ["ddpm", "ddim", "ddim, η = .5", "adams_bashforth", "dpm_solver_2m", "inpaint", "edm_heun"]
)
def test_a_sampler_makes_each_level_once(name):
    """α and σ are asked for once for each time of the grid, and not for each formula."""
    asked = []

    class Noting(td.VP):
        def alpha(self, t):
            asked.append(t)
            return super().alpha(t)

    ts = [0.9, 0.7, 0.5, 0.2, 0.05]
    model = td.Oracle(RING, Noting())
    _ = model.process.t_min, model.process.t_max, model.process.prior_std
    asked.clear()
    list(LIBRARY[name](model, np.zeros((4, 2)), ts, rng=0))
    assert asked[: len(ts)] == ts
    assert len(asked) <= len(ts) + (name == "edm_heun")  # which also asks for the level of t_max


@pytest.mark.parametrize("sampler", ["ddim", None])
def test_a_sampler_is_a_function(sampler):
    with pytest.raises(TypeError, match=f"sampler must be a function, such as td.ddim; got {sampler!r}"):
        td.sample(td.Oracle(td.toys.ring8(), td.VP()), 3, sampler=sampler, rng=0)
