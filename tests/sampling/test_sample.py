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

VP, CHAIN = td.VP(), td.Discrete.linear(1000)
RING = td.toys.ring8()
N = 1000


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


def unknown(model, x, ts, *, rng):
    """Inpainting where nothing is known."""
    return td.inpaint(model, x, ts, known=0 * x, mask=np.array([False, False]), rng=rng)


SAMPLERS = {  # (sampler, steps enough for it)
    "ddpm": (td.ddpm, 200),
    "ddpm, β": (partial(td.ddpm, variance="beta"), 200),
    "ddim": (td.ddim, 60),
    "ddim, η = .5": (partial(td.ddim, eta=0.5), 100),
    "dpm_solver_2m": (td.dpm_solver_2m, 40),
    "edm_heun": (td.edm_heun, 40),
    "edm_heun, churn": (partial(td.edm_heun, churn=10.0), 100),
    "probability_flow": (td.probability_flow, 40),
    "probability_flow, rk45": (partial(td.probability_flow, method="rk45"), 2),
    "euler_maruyama": (td.euler_maruyama, 300),
    "euler_maruyama, η = .5": (partial(td.euler_maruyama, eta=0.5), 300),
    "predictor_corrector": (td.predictor_corrector, 150),
    "inpaint": (unknown, 200),
    "one's own": (one_of_ones_own, 60),
    "one's own that returns x": (one_that_returns, 60),
    "one's own with noise": (one_with_noise, 200),
    "one's own list": (one_that_is_a_list, 60),
}
ONE_EVALUATION = {  # a step
    "ddpm": td.ddpm,
    "ddim": td.ddim,
    "ddim, η = .5": partial(td.ddim, eta=0.5),
    "dpm_solver_2m": td.dpm_solver_2m,
    "euler": partial(td.probability_flow, method="euler"),
    "euler_maruyama": td.euler_maruyama,
    "inpaint": partial(td.inpaint, known=np.zeros((4, 2)), mask=np.array([True, False])),
    "one's own": one_of_ones_own,
}
ON_CHAINS = {name: sampler for name, sampler in ONE_EVALUATION.items() if not name.startswith("euler")}


# Every sampler ends on data


@pytest.mark.parametrize(("sampler", "steps"), SAMPLERS.values(), ids=SAMPLERS)
def test_every_sampler_ends_on_data(sampler, steps):
    """With the exact oracle the mean of ln q_0 is the truth's, −entropy; at t_min, without the answer, it is lower.

    1,000 draws know it to .03 nats; the rest of .13 is the steps'.
    """
    x = td.sample(td.Oracle(RING, VP), N, sampler=sampler, steps=steps, rng=0)
    assert abs(np.mean(RING.log_density(x)) + RING.entropy()[0]) < 0.13


@pytest.mark.parametrize("process", [VP, td.VE(), td.Cosine(), td.Straight(), CHAIN], ids=repr)
@pytest.mark.parametrize("sampler", ON_CHAINS.values(), ids=ON_CHAINS)
def test_of_a_single_point_every_draw_is_that_point(process, sampler):
    """Whatever the steps: x̂_0 is that point, and the answer is x̂_0."""
    point = np.array([[0.5, -2.0]])
    if isinstance(sampler, partial) and "known" in sampler.keywords:
        sampler = partial(sampler, known=np.tile(point, (4, 1)))
    for steps in (1, 2, 10):
        x = td.sample(td.Oracle(point, process), 4, sampler=sampler, steps=steps, rng=0)
        assert_allclose(x, np.tile(point, (4, 1)), rtol=1e-12)


@pytest.mark.parametrize(
    "sampler", [td.probability_flow, td.edm_heun, td.euler_maruyama, td.predictor_corrector], ids=lambda f: f.__name__
)
def test_samplers_that_stop_at_t_min_end_on_data_too(sampler):
    point = np.array([[0.5, -2.0]])
    x = td.sample(td.Oracle(point, VP), 4, sampler=sampler, steps=10, rng=0)
    assert_allclose(x, np.tile(point, (4, 1)), rtol=1e-12)


@pytest.mark.parametrize(("sampler", "steps"), SAMPLERS.values(), ids=SAMPLERS)
def test_one_step_is_the_answer_at_the_noisy_end(sampler, steps):
    """steps = 1: x̂_0(x_T, t_max), with no step taken."""
    model = td.Oracle(RING, VP)
    x = td.sample(model, 20, sampler=sampler, steps=1, rng=0)
    z = VP.prior(np.random.default_rng(0), 20, model.like)
    assert_array_equal(x, model.x0(z, VP.t_max))


@pytest.mark.parametrize("process", [VP, td.VE(), td.Cosine(), CHAIN, CHAIN.zero_terminal_snr()], ids=repr)
@pytest.mark.parametrize(
    ("sampler", "step"),
    [
        (td.ddim, td.ddim_step),
        (partial(td.ddim, eta=0.7), partial(td.ddim_step, eta=0.7)),
        (td.ddpm, td.ddpm_step),
        (partial(td.ddpm, variance="beta"), partial(td.ddpm_step, variance="beta")),
    ],
    ids=["ddim", "ddim, η = .7", "ddpm", "ddpm, β"],
)
def test_the_answer_is_the_step_to_zero(process, sampler, step):
    """What these samplers' own step to s = 0 is, whatever its noise, to 1e-14."""
    model = td.Oracle(RING, process)
    *_, (t, x), (_, answer) = td.trajectory(model, 20, sampler=sampler, steps=7, rng=0)
    to_zero = step(x, model.x0(x, t), process.at(t), process.at(0.0), np.ones_like(x))
    assert_allclose(answer, to_zero, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("process", [VP, td.VE(), td.Cosine(), CHAIN], ids=repr)
def test_the_answer_is_the_step_to_zero_of_dpm_solver(process):
    model = td.Oracle(RING, process)
    *_, (s, y), (t, x), (_, answer) = td.trajectory(model, 20, sampler=td.dpm_solver_2m, steps=7, rng=0)
    before, now, zero = process.at(s), process.at(t), process.at(0.0)
    to_zero = td.dpm_solver_2m_step(x, model.x0(x, now), model.x0(y, before), before, now, zero)
    assert_allclose(answer, to_zero, rtol=1e-14, atol=1e-14)


def test_a_sampler_of_ones_own_that_goes_to_zero_has_answered():
    """A walk whose last pair is at t = 0 is taken at its word."""

    def to_zero(model, x, ts, *, rng=None):
        yield from one_of_ones_own(model, x, ts)
        yield 0.0, 7 + 0 * x

    assert_array_equal(td.sample(td.Oracle(RING, VP), 3, sampler=to_zero, rng=0), np.full((3, 2), 7.0))


# Trajectories


@pytest.mark.parametrize(("sampler", "steps"), SAMPLERS.values(), ids=SAMPLERS)
def test_a_trajectory_ends_at_zero_with_the_sample(sampler, steps):
    """From the prior's draw at t_max, over each of the times of the grid, to (0.0, x̂_0)."""
    model = td.Oracle(RING, VP)
    arguments = {"sampler": sampler, "steps": 4, "rng": 3}
    pairs = list(td.trajectory(model, 20, **arguments))
    assert [t for t, _ in pairs] == [*td.grids.default(VP, 3), 0.0]
    assert all(type(t) is float for t, _ in pairs)
    assert_array_equal(pairs[0][1], VP.prior(np.random.default_rng(3), 20, model.like))
    assert_array_equal(pairs[-1][1], model.x0(*reversed(pairs[-2])))
    assert_array_equal(pairs[-1][1], td.sample(model, 20, **arguments))


def test_a_trajectory_can_be_stopped():
    """It is made as it is asked for."""
    model = td.Counting(td.Oracle(RING, VP))
    walk = td.trajectory(model, 5, steps=50, rng=0)
    for _ in range(4):
        next(walk)
    assert model.nfe == 3


# How often the model is asked, and when


@pytest.mark.parametrize("process", [VP, td.Cosine(), td.Discrete.linear(100)], ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_steps_are_evaluations(process, steps):
    """Of a sampler with one evaluation a step: steps − 1 of these, and the answer."""
    samplers = ON_CHAINS if isinstance(process, td.Discrete) else ONE_EVALUATION
    for name, sampler in samplers.items():
        model = td.Counting(td.Oracle(RING, process))
        td.sample(model, 4, sampler=sampler, steps=steps, rng=0)
        assert model.nfe == steps, name


@pytest.mark.parametrize(
    ("sampler", "each"),
    [
        (partial(td.probability_flow, method="heun"), 2),
        (partial(td.probability_flow, method="rk4"), 4),
        (td.edm_heun, 2),
        (partial(td.edm_heun, churn=3.0), 2),
        (td.predictor_corrector, 2),
        (partial(td.predictor_corrector, corrections=3), 4),
        (partial(td.inpaint, known=np.zeros((4, 2)), mask=np.array([True, False]), resamples=3), 3),
    ],
)
def test_evaluations_of_the_others(sampler, each):
    model = td.Counting(td.Oracle(RING, VP))
    td.sample(model, 4, sampler=sampler, steps=11, rng=0)
    assert model.nfe == 10 * each + 1


@pytest.mark.parametrize("steps", [1, 50, 500, 1000])
def test_on_a_chain_the_model_is_asked_at_exactly_as_many_times(steps):
    """Strided and uniform: 1,000 on Discrete(1000) is each of its steps, where a log-SNR grid gave 497 in silence."""
    ts = [t for t, _ in td.trajectory(td.Oracle(RING, CHAIN), 1, steps=steps, rng=0)][:-1]
    assert len(ts) == steps
    strides = -np.diff(CHAIN.index(ts))
    assert steps == 1 or np.ptp(strides) <= 1


def test_more_steps_than_a_chain_has_are_refused():
    with pytest.raises(ValueError, match="has no 1001 different times"):
        td.sample(td.Oracle(RING, CHAIN), 1, steps=1001, rng=0)


def test_another_grid_is_taken():
    """The library's, and one's own: a function of the process and the number of steps."""

    def halves(process, n):
        return process.t_max * 0.5 ** np.arange(n + 1)

    for grid in (td.grids.even_time, td.grids.karras, halves):
        ts = [t for t, _ in td.trajectory(td.Oracle(RING, VP), 1, steps=5, grid=grid, rng=0)]
        assert ts == [*grid(VP, 4), 0.0]


# Where a walk may not go


EVERY_SAMPLER = {
    **ONE_EVALUATION,
    "edm_heun": td.edm_heun,
    "rk4": td.probability_flow,
    "rk45": partial(td.probability_flow, method="rk45"),
    "predictor_corrector": td.predictor_corrector,
}
EVERY_SAMPLER.pop("one's own")
every_sampler = pytest.mark.parametrize("sampler", EVERY_SAMPLER.values(), ids=EVERY_SAMPLER)


@every_sampler
def test_a_walk_to_zero_is_refused(sampler):
    model = td.Counting(td.Oracle(RING, VP))
    with pytest.raises(ValueError, match=r"ts must lie in \(0, 1\], without 0: a walk ends at its last time"):
        next(iter(sampler(model, np.zeros((4, 2)), [0.5, 0.25, 0.0], rng=0)))
    assert model.nfe == 0


@every_sampler
@pytest.mark.parametrize("ts", [[], [0.5, 0.5], [0.9, 0.2, 0.5]], ids=str)
def test_times_must_fall(sampler, ts):
    model = td.Counting(td.Oracle(RING, VP))
    with pytest.raises(ValueError, match="ts must hold one or more times that fall"):
        next(iter(sampler(model, np.zeros((4, 2)), ts, rng=0)))
    assert model.nfe == 0


@every_sampler
def test_times_must_be_times(sampler):
    for ts in ([1.5, 0.5], [np.nan, 0.5], [1000, 500]):
        with pytest.raises(ValueError, match=r"t must lie in \[0, 1\]"):
            next(iter(sampler(td.Oracle(RING, VP), np.zeros((4, 2)), ts, rng=0)))


@every_sampler
def test_points_must_fit_the_model(sampler):
    for x in (np.zeros((4, 3)), np.zeros(2), [[0.0, 0.0]]):
        with pytest.raises(ValueError, match=r"x must be an array of shape \(B, 2\)"):
            next(iter(sampler(td.Oracle(RING, VP), x, [0.5, 0.4], rng=0)))


@every_sampler
def test_what_is_no_denoiser_is_named(sampler):
    for model in (VP, np.zeros(2), td.Oracle(RING, VP).x0):
        with pytest.raises(TypeError, match="model must be a Denoiser"):
            next(iter(sampler(model, np.zeros((4, 2)), [0.5, 0.4], rng=0)))


@every_sampler
def test_one_time_is_a_walk_of_no_steps(sampler):
    x = np.ones((4, 2))
    ((t, y),) = sampler(td.Oracle(RING, VP), x, [0.5], rng=0)
    assert t == 0.5
    assert y is x


@every_sampler
def test_a_walk_takes_levels_for_times(sampler):
    model, x, ts = td.Oracle(RING, VP), np.ones((4, 2)), [0.9, 0.5, 0.2]
    plain = list(sampler(model, x, ts, rng=0))
    for (t, y), (time, expected) in zip(sampler(model, x, map(VP.at, ts), rng=0), plain, strict=True):
        assert t == time
        assert_array_equal(y, expected)
    with pytest.raises(ValueError, match=r"(?s)Cosine.*VP|VP.*Cosine"):
        next(iter(sampler(model, x, map(td.Cosine().at, ts), rng=0)))


@every_sampler
def test_a_walk_keeps_to_its_times_and_to_float32(sampler):
    """(t, x) at each, from what it is given on; t a float."""
    x, ts = np.ones((4, 2), np.float32), [0.9, 0.5, 0.2]
    pairs = list(sampler(td.Oracle(RING, VP), x, np.array(ts), rng=0))
    assert [t for t, _ in pairs] == ts
    assert all(type(t) is float for t, _ in pairs)
    assert pairs[0][1] is x
    assert all(y.dtype == np.float32 for _, y in pairs)


@every_sampler
def test_a_walk_does_not_change_what_it_was_given(sampler):
    x = np.ones((4, 2))
    list(sampler(td.Oracle(RING, VP), x, [0.9, 0.5, 0.2], rng=0))
    assert_array_equal(x, np.ones((4, 2)))


# Seeds


SEEDED = {
    "ddpm": td.ddpm,
    "ddim, η = .5": partial(td.ddim, eta=0.5),
    "edm_heun, churn": partial(td.edm_heun, churn=10.0),
    "euler_maruyama": td.euler_maruyama,
    "predictor_corrector": td.predictor_corrector,
    "inpaint": partial(td.inpaint, known=np.zeros((4, 2)), mask=np.array([True, False])),
}
every_seeded = pytest.mark.parametrize("sampler", SEEDED.values(), ids=SEEDED)
NO_GENERATORS = [
    (None, ValueError, "pass rng=0, say, or"),
    (1.5, TypeError, r"rng must be a np\.random\.Generator, or a whole number that seeds one; got 1\.5"),
    (True, TypeError, "got True"),
    ("0", TypeError, "got '0'"),
    (np.random.RandomState(0), TypeError, "got RandomState"),
    (np.random, TypeError, "got <module"),
    (-1, ValueError, "rng, as a seed, must be 0 or more; got -1"),
]
no_generator = pytest.mark.parametrize(("rng", "error", "says"), NO_GENERATORS, ids=lambda a: str(a)[:30])


@every_seeded
def test_a_whole_number_seeds_a_generator(sampler):
    """The same numbers from np.random.default_rng(3), 3 and np.int64(3); others from 4."""
    model, x = td.Oracle(RING, VP), np.ones((4, 2))

    def end(rng):
        return td.last(sampler(model, x, [0.9, 0.5, 0.2], rng=rng))[1]

    expected = end(np.random.default_rng(3))
    for rng in (3, np.int64(3), np.uint8(3)):
        assert_array_equal(end(rng), expected)
    assert not np.allclose(end(4), expected)


@every_seeded
def test_the_seed_of_a_sample_decides(sampler):
    model = td.Oracle(RING, VP)
    expected = td.sample(model, 4, sampler=sampler, steps=5, rng=np.random.default_rng(3))
    for rng in (3, np.int64(3)):
        assert_array_equal(td.sample(model, 4, sampler=sampler, steps=5, rng=rng), expected)
    assert not np.allclose(td.sample(model, 4, sampler=sampler, steps=5, rng=4), expected)


def test_a_generator_goes_on_where_it_was():
    """Two samples from one generator differ; two from one whole number do not."""
    model, rng = td.Oracle(RING, VP), np.random.default_rng(3)
    one, other = (td.sample(model, 4, steps=3, rng=rng) for _ in range(2))
    assert not np.allclose(one, other)


@every_seeded
@no_generator
def test_what_is_no_generator_is_named_by_a_sampler(sampler, rng, error, says):
    with pytest.raises(error, match=says):
        next(iter(sampler(td.Oracle(RING, VP), np.ones((4, 2)), [0.9, 0.5], rng=rng)))


@no_generator
def test_what_is_no_generator_is_named_by_sample(rng, error, says):
    with pytest.raises(error, match=says):
        td.sample(td.Oracle(RING, VP), 4, rng=rng)
    with pytest.raises(error, match=says):
        next(td.trajectory(td.Oracle(RING, VP), 4, rng=rng))


@no_generator
def test_what_is_no_generator_is_named_by_a_path(rng, error, says):
    with pytest.raises(error, match=says):
        td.brownian_path(rng, np.ones((4, 2)), [0.9, 0.5])


# Other arguments of sample


def test_numbers_under_one_are_named():
    model = td.Oracle(RING, VP)
    with pytest.raises(ValueError, match="n must be 1 or more; got 0"):
        td.sample(model, 0, rng=0)
    with pytest.raises(ValueError, match="steps must be 1 or more; got 0"):
        td.sample(model, 1, steps=0, rng=0)


def test_sample_wants_a_denoiser():
    with pytest.raises(TypeError, match="model must be a Denoiser"):
        td.sample(VP, 1, rng=0)


def test_options_that_no_sampler_takes_are_named():
    with pytest.raises(TypeError, match="lam"):
        td.sample(td.Oracle(RING, VP), 1, rng=0, lam=0.5)


# A prior that is off


def test_sampling_from_a_far_prior_warns():
    """Unscaled β at T = 50 leaves ᾱ_T = .60."""
    process = td.Discrete.linear(50, rescale=False)
    with pytest.warns(UserWarning, match="nats per dimension from its prior"):
        td.sample(td.Oracle(RING, process), 3, rng=0)


def test_a_gap_per_dimension_of_less_than_a_hundredth_is_silent():
    """One draw is a sample, and .006 nats per dimension, .012 in the plane, are no reason to warn."""
    oracle = td.Oracle(RING, td.VP(0.1, 8.8))
    assert 0.005 < oracle.process.prior_gap(np.ones((1, 1))).item() < 0.01
    assert td.sample(oracle, 1, steps=2, rng=0).shape == (1, 2)


def test_the_warning_of_a_far_prior_names_the_callers_line():
    oracle = td.Oracle(RING, td.VP(0.1, 5.0))
    with pytest.warns(UserWarning, match="nats per dimension") as caught:
        td.sample(oracle, 1, steps=2, rng=0)
    assert caught[0].filename == __file__


def test_the_warning_of_a_far_prior_names_the_line_that_asks_for_a_trajectory():
    oracle = td.Oracle(RING, td.VP(0.1, 5.0))
    with pytest.warns(UserWarning, match="nats per dimension") as caught:
        list(td.trajectory(oracle, 1, steps=2, rng=0))
    assert caught[0].filename == __file__


class AtTheEdge(td.VP):
    def prior_gap(self, x0):
        return np.full(len(x0), 0.01)


def test_a_gap_of_a_hundredth_is_not_over_it():
    """The warning is for more than .01 nats per dimension."""
    with warnings.catch_warnings(action="error"):
        td.sample(td.Oracle(RING, AtTheEdge()), 1, steps=2, rng=0)


# What a step costs


def python_calls(f):
    """How many Python functions f() calls, itself not counted."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        f()
    finally:
        sys.setprofile(None)
    return calls - 1


class Silent(td.Denoiser):
    """A denoiser that costs one Python call."""

    process, dim, like = VP, 2, np.empty((0, 2))

    def x0(self, x, t):
        return x


def test_a_ddim_step_is_at_most_twenty_python_calls():
    """The walk's next pair with the call of the model in it, so that the formula is what a debugger steps through."""
    walk = td.ddim(Silent(), np.zeros((4, 2)), [0.9, 0.5, 0.2])
    next(walk)
    assert python_calls(lambda: next(walk)) <= 20


def test_a_ddim_step_on_a_chain_is_as_short():
    model = Silent()
    model.process = CHAIN
    walk = td.ddim(model, np.zeros((4, 2)), [0.9, 0.5, 0.2])
    next(walk)
    assert python_calls(lambda: next(walk)) <= 20


@pytest.mark.parametrize("name", ["ddpm", "ddim", "ddim, η = .5", "dpm_solver_2m", "inpaint", "edm_heun"])
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
    list(EVERY_SAMPLER[name](model, np.zeros((4, 2)), ts, rng=0))
    assert asked[: len(ts)] == ts
    assert len(asked) <= len(ts) + (name == "edm_heun")  # which also asks for the level of t_max
