"""Samples of a run: the labels asked for, guided as asked, in the units of the data, and readable again."""

import re

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app.config import UsageError
from tinydiff.app.directory import Trained
from tinydiff.app.sampling import GRIDS, OPTIONS, SAMPLERS, Draw, draw, guided, write_points

RUN = "somewhere"


def trained(classes=3, process=None):
    """A network with random weights, so that every label and weight tells."""
    process = process or td.VP()
    network = td.TimeMLP(2, 16, 2, classes)
    theta = 0.2 * np.random.default_rng(0).standard_normal(network.size)
    return Trained(td.NetworkDenoiser(network, theta, process), None, np.zeros(2), np.ones(2), "")


def test_the_default_is_ddim_in_fifty_evaluations_on_all_classes_in_turn():
    t = trained()
    x, labels = draw(t, Draw(RUN, n=7, seed=3))
    np.testing.assert_array_equal(labels, [0, 1, 2, 0, 1, 2, 0])
    expected = td.sample(t.model.given(labels), 7, sampler=td.ddim, steps=50, rng=3)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("w", [0.0, 0.7])
def test_a_label_and_a_weight_are_those_asked_for(label, w):
    t = trained()
    x, labels = draw(t, Draw(RUN, n=5, label=label, w=w, steps=9))
    np.testing.assert_array_equal(labels, np.full(5, label))
    model = td.ClassifierFreeGuidance(t.model.given(labels), t.model.given(-1), w)
    expected = td.sample(model, 5, steps=9, rng=0)
    np.testing.assert_allclose(x, expected, rtol=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("grid", GRIDS)
def test_every_sampler_on_every_grid(sampler, grid):
    t = trained(classes=0)
    x, labels = draw(t, Draw(RUN, n=4, sampler=sampler, grid=grid, steps=6))
    assert labels is None
    expected = td.sample(t.model, 4, sampler=getattr(td, sampler), grid=getattr(td.grids, grid), steps=6, rng=0)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize(("sampler", "eta"), [("ddim", 0.5), ("euler_maruyama", 0.5), ("euler_maruyama", 1.5)])
def test_eta_is_ddims_and_euler_maruyamas(sampler, eta):
    t = trained(classes=0)
    x, _ = draw(t, Draw(RUN, n=4, sampler=sampler, eta=eta, steps=6))
    expected = td.sample(t.model, 4, sampler=getattr(td, sampler), steps=6, eta=eta, rng=0)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize(
    ("classes", "options", "says"),
    [
        (0, {"label": 0}, "trained without labels"),
        (0, {"w": 1.0}, "trained without labels"),
        (3, {"label": 3}, "--label must be a class from 0 to 2, or -1 for none; got 3"),
        (3, {"label": -2}, "got -2"),
        (3, {"label": -1, "w": 1.0}, "leave out --w"),
        (0, {"end": 3.0, "grid": "karras"}, "--end is for the grid even_log_snr; got karras"),
        (3, {"eta": 0.5, "sampler": "ddpm"}, "--eta is for the sampler ddim or euler_maruyama; got ddpm"),
        (0, {"eta": 1.5}, "--eta of the sampler ddim is at most 1; got 1.5"),
    ],
)
def test_what_a_run_cannot_draw_is_said(classes, options, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        draw(trained(classes), Draw(RUN, **options))


def test_guided_without_a_weight_is_the_conditional_model():
    model = trained().model
    x, labels = np.ones((3, 2)), np.array([0, 1, 2])
    assert guided(model, None, 0.0) is model
    np.testing.assert_array_equal(guided(model, labels, 0.0)(x, 0.5), model.given(labels)(x, 0.5))
    apart = guided(model, labels, 2.0)(x, 0.5) - model.given(labels)(x, 0.5)
    np.testing.assert_allclose(apart, 2 * (model.given(labels)(x, 0.5) - model(x, 0.5)), rtol=1e-12)


@pytest.mark.parametrize("labels", [None, np.array([2, 0, 1, 1])])
def test_written_points_are_read_back(tmp_path, rng, labels):
    """Through .csv every digit and label survives, through .npy every bit."""
    x = rng.standard_normal((4, 3)) * 10.0 ** rng.integers(-8, 8, (4, 3))
    write_points(tmp_path / "x.npy", x, labels)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), x)
    write_points(tmp_path / "x.csv", x, labels)
    back = td.load_points(tmp_path / "x.csv")
    np.testing.assert_allclose(back.restore(back.x), x, rtol=1e-9, atol=1e-12 * np.abs(x).max())
    assert (back.labels is None) == (labels is None)
    np.testing.assert_array_equal(back.labels, labels)


def test_without_a_label_there_is_none_to_write():
    t = trained()
    x, labels = draw(t, Draw(RUN, n=5, label=-1, steps=9))
    assert labels is None
    plain = td.sample(t.model, 5, steps=9, rng=0)
    np.testing.assert_allclose(x, plain, rtol=1e-9)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_ends_where_it_is_asked_to(sampler):
    """The walk goes down to this log-SNR, at the last of 9 times, and the model answers x̂_0 there."""
    t, rng = trained(classes=0), np.random.default_rng(0)
    x, _ = draw(t, Draw(RUN, n=5, sampler=sampler, steps=9, end=3.0))
    ts = td.grids.even_log_snr(t.model.process, 8, end=3.0)
    assert t.model.process.log_snr(ts[-1]) == pytest.approx(3)
    noise = t.model.process.prior(rng, 5, t.model.like)
    walked = td.last(getattr(td, sampler)(t.model, noise, ts, rng=rng))[1]
    np.testing.assert_array_equal(x, t.model.x0(walked, ts[-1]))


def test_the_grid_ends_within_the_process():
    t = trained(classes=0)
    with pytest.raises(ValueError, match=r"end must be from -10\.05 \(excluded\) to 14; got 99"):
        draw(t, Draw(RUN, n=5, end=99.0))


def test_samples_that_are_not_finite_are_said():
    t = trained()
    t.model.theta[:] = 1e200
    with pytest.raises(FloatingPointError, match="the samples are not finite: take more --steps, or less noise"):
        draw(t, Draw(RUN, n=5))


def test_folders_on_the_way_are_made_and_capitals_are_fine(tmp_path):
    write_points(tmp_path / "a" / "b" / "x.NPY", np.ones((2, 2)), None)
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "b" / "x.NPY"), 1)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_from_a_run(sampler):
    x, labels = draw(trained(classes=0), Draw(RUN, n=7, sampler=sampler, steps=20))
    assert x.shape == (7, 2)
    assert labels is None


def test_the_options_of_a_sampler_reach_it():
    """Each option changes what is drawn from the same noise; rk45 takes no steps from us."""
    t, values = trained(classes=0), {"variance": "beta", "eta": 0.5, "churn": 9.0, "method": "euler", "corrections": 3}
    assert values.keys() == OPTIONS.keys()
    for name, value in values.items():
        for sampler in OPTIONS[name]:
            common = {"n": 5, "sampler": sampler, "steps": 20}
            plain, changed = (draw(t, Draw(RUN, **common, **more))[0] for more in ({}, {name: value}))
            assert not np.allclose(plain, changed), (name, sampler)
        for other in set(SAMPLERS) - set(OPTIONS[name]):
            with pytest.raises(
                UsageError, match=f"--{name} is for the sampler {' or '.join(OPTIONS[name])}; got {other}"
            ):
                draw(t, Draw(RUN, sampler=other, **{name: value}))
    fine = draw(t, Draw(RUN, n=5, sampler="probability_flow", steps=400))[0]
    free = draw(t, Draw(RUN, n=5, sampler="probability_flow", method="rk45"))[0]
    np.testing.assert_allclose(free, fine, atol=1e-3)
    for more in ({"steps": 9}, {"grid": "karras"}):
        with pytest.raises(UsageError, match="rk45 chooses its own steps: leave out --steps and --grid"):
            draw(t, Draw(RUN, sampler="probability_flow", method="rk45", **more))
