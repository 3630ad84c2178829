"""Few-step maps: the targets are where the teacher leads, and a student lands there in one step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from identities.draws import generators
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.sampling import few_steps

VP, RING = td.VP(), td.toys.ring8()
NETWORK = td.TimeMLP(2, 6, 1)
processes = st.sampled_from([VP, td.Cosine(), td.VE(), td.Straight()])


class Target(Exception):
    """What an objective asks the loss for."""

    def __init__(self, now, x0, eps, labels, weight):
        self.now, self.x0, self.eps, self.labels, self.weight = now, x0, eps, labels, weight


def aimed(objective, now, x0, eps, theta=None, labels=None):
    """The x̃_0 and ε̃ that an objective makes of a batch; they lead to the same x_t."""

    def loss_and_grad(network, theta, *given):
        raise Target(*given)

    theta = NETWORK.init(0, np.float64) if theta is None else theta
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_steps, "loss_and_grad", loss_and_grad)
        with pytest.raises(Target) as found:
            objective(NETWORK, theta, now, x0, eps, labels, "the weight")
    target = found.value
    assert (target.now, target.weight) == (now, "the weight")
    assert target.labels is labels
    assert_allclose(now.perturb(target.x0, target.eps), now.perturb(x0, eps), rtol=1e-9, atol=1e-9)
    return target.x0


def batch(process, ts, rng):
    """Levels of a grid in any order, and data and noise for each."""
    now = process.at(rng.permutation(ts), like=np.zeros((len(ts), 2)))
    return now, RING.sample(rng, len(ts)), rng.standard_normal((len(ts), 2))


@given(process=processes, n=st.integers(1, 5), rng=generators)
def test_a_student_takes_one_step_for_two_of_its_teachers(process, n, rng):
    """With x̃_0 DDIM's step from t lands where two of the teacher's do; the last is to t = 0, and x̃_0 the answer."""
    teacher, ts = td.Oracle(RING, process), td.grids.logistic(process, 2 * n - 1)
    now, x0, eps = batch(process, ts[::2], rng)
    x0_aimed = aimed(few_steps.progressive(teacher, ts), now, x0, eps)
    for row, t in enumerate(now.host.t):
        i, x = int(np.argmin(np.abs(ts - t))), now[row : row + 1].perturb(x0[[row]], eps[[row]])
        start = process.at(float(ts[i]))
        if i + 2 < len(ts):
            end = process.at(float(ts[i + 2]))
            twice = td.last(td.ddim(teacher, x, ts[i : i + 3]))[1]
            once = td.ddim_step(x, x0_aimed[[row]], start, end, 0.0)
        else:
            _, middle = td.last(td.ddim(teacher, x, ts[i:]))
            twice, once = teacher.x0(middle, ts[-1]), x0_aimed[[row]]
        assert_allclose(once, twice, rtol=1e-7, atol=1e-7)


@given(process=processes, taught=st.booleans(), rng=generators)
def test_the_answer_is_to_be_that_at_the_next_time(process, taught, rng):
    """f_θ(x_s, s), with x_s by the teacher's step or by the same noise; at the end the teacher's answer, or x_0."""
    teacher, ts = td.Oracle(RING, process), td.grids.logistic(process, 6)
    theta = 0.4 * rng.standard_normal(NETWORK.size)
    now, x0, eps = batch(process, ts, rng)
    x0_aimed = aimed(few_steps.consistency(ts, teacher if taught else None), now, x0, eps, theta)
    student = td.NetworkDenoiser(NETWORK, theta, process)
    for row, t in enumerate(now.host.t):
        i, x = int(np.argmin(np.abs(ts - t))), now[row : row + 1].perturb(x0[[row]], eps[[row]])
        if i + 1 < len(ts):
            s = float(ts[i + 1])
            by_noise = process.at(s).perturb(x0[[row]], eps[[row]])
            x_s = td.last(td.ddim(teacher, x, ts[i : i + 2]))[1] if taught else by_noise
            expected = student.x0(x_s, s)
        else:
            expected = teacher.x0(x, ts[-1]) if taught else x0[[row]]
        assert_allclose(x0_aimed[[row]], expected, rtol=1e-7, atol=1e-7)


def test_labels_are_the_teachers_and_the_students_too(rng):
    teacher, ts = td.Oracle(td.toys.moons32(), VP), td.grids.logistic(VP, 3)
    now, x0, eps = batch(VP, ts[::2], rng)
    for labels in (np.array([0, 1]), np.array([1, 0])):
        found = aimed(few_steps.progressive(teacher, ts), now, x0, eps, labels=labels)
        each = [
            aimed(few_steps.progressive(teacher.given(int(label)), ts), now, x0, eps)[[row]]
            for row, label in enumerate(labels)
        ]
        assert_allclose(found, np.concatenate(each), rtol=1e-9)


@pytest.mark.parametrize(("way", "within"), [("progressive", 0.06), ("consistency", 0.2)])
def test_one_step_of_a_student_is_the_flows_map(way, within, rng):
    """On N(1, .25): from noise to where the flow leads, 1 + x/2, by one evaluation; a constant would be off by .5."""
    data, process = td.GaussianMixture([1.0], [[1.0]], [[[0.25]]]), td.Cosine()
    network, teacher, ts = td.TimeMLP(1, 16, 2), td.Oracle(data, process), td.grids.logistic(process, 15)
    options = {"batch": 128, "targets": "single", "weight": "x0", "rng": 1}
    student = teacher
    if way == "consistency":
        taught, times = few_steps.consistency(ts[::2], teacher), td.grids.times_of(ts[::2])
        options |= {"times": times, "objective": taught, "weight": lambda now: now.snr**-0.5}
        student = td.NetworkDenoiser(
            network, td.last(td.train(network, process, data, steps=600, **options)).ema, process
        )
    else:
        while len(ts) > 1:
            taught = few_steps.progressive(student, ts)
            times = td.grids.times_of(ts[::2])
            state = td.last(td.train(network, process, data, steps=150, times=times, objective=taught, **options))
            student, ts = td.NetworkDenoiser(network, state.ema, process), ts[::2]
    x = rng.standard_normal((500, 1)).astype(np.float32)
    assert np.sqrt(np.mean((student.x0(x, process.t_max) - (1 + 0.5 * x)) ** 2)) < within


def test_times_are_those_of_the_grid_each_as_likely(rng):
    ts = np.array([0.9, 0.5, 0.1])
    drawn = td.grids.times_of(ts)(VP, rng, 6000)
    assert_array_equal(np.unique(drawn), ts[::-1])
    assert np.all(np.abs(np.unique(drawn, return_counts=True)[1] - 2000) < 5 * np.sqrt(6000 * 2 / 9))
    assert_array_equal(td.grids.times_of([0.7])(VP, rng, 3), [0.7] * 3)


ORACLE, RNG = td.Oracle(RING, VP), np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: few_steps.progressive(ORACLE, [0.9, 0.5, 0.1]), "ts must be an even number of times.*; got 3"),
        (lambda: few_steps.progressive(ORACLE, [0.1, 0.5]), "fall strictly"),
        (lambda: few_steps.progressive("teacher", [0.9, 0.5]), "model must be a Denoiser"),
        (lambda: few_steps.consistency([0.9, 0.5], "teacher"), "model must be a Denoiser"),
        (lambda: few_steps.consistency([0.5, 0.9]), "fall strictly"),
        (lambda: td.grids.times_of([]), "fall strictly"),
        (
            lambda: few_steps.progressive(ORACLE, [0.9, 0.5])(NETWORK, None, *batch(td.Cosine(), [0.9], RNG)),
            r"Cosine\(.*VP\(",
        ),
        (
            lambda: td.fit(RING, rng=0, steps=1, progress=False, objective=few_steps.consistency([0.9, 0.5])),
            r"train on the times of the grid, times=td\.grids\.times_of\(ts\)",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, says):
    with pytest.raises((TypeError, ValueError), match=says):
        call()
