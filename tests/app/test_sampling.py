"""Samples of a run: the labels asked for, guided as asked, in the units of the data, and readable again."""

import re
from functools import partial

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app.config import UsageError
from tinydiff.app.sampling import GRIDS, OPTIONS, SAMPLERS, Draw, draw, write_points

RK45 = {"method": "rk45", "sampler": "probability_flow"}


def test_the_default_is_that_of_sample_in_fifty_evaluations_on_all_classes_in_turn(random_model):
    t = random_model()
    x, labels = draw(t, Draw("run", n=7, seed=3))
    np.testing.assert_array_equal(labels, [0, 1, 2, 0, 1, 2, 0])
    expected = td.sample(t.model.given(labels), 7, steps=50, rng=3)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize(("label", "w"), [(0, 0.0), (0, 0.7), (2, 0.7), (-1, 0.0)])
def test_a_label_and_a_weight_are_those_asked_for(random_model, label, w):
    """The label −1 is none."""
    t = random_model()
    x, labels = draw(t, Draw("run", n=5, label=str(label), w=w, steps=9))
    np.testing.assert_array_equal(labels, None if label == -1 else np.full(5, label))
    model = td.ClassifierFreeGuidance(t.model.given(label), t.model.given(-1), w)
    expected = td.sample(model, 5, steps=9, rng=0)
    np.testing.assert_allclose(x, expected, rtol=1e-9)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("grid", "end"), [*((grid, None) for grid in GRIDS), ("even_log_snr", 3.0)])
def test_every_sampler_on_every_grid(random_model, sampler, grid, end):
    """The walk goes down to the log-SNR where it is asked to end, if it is."""
    t = random_model(classes=0)
    x, labels = draw(t, Draw("run", n=4, sampler=sampler, grid=grid, steps=6, end=end))
    assert labels is None
    where = getattr(td.grids, grid) if end is None else partial(td.grids.even_log_snr, end=end)
    expected = td.sample(t.model, 4, sampler=getattr(td, sampler), grid=where, steps=6, rng=0)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize(
    ("classes", "options", "says"),
    [
        (0, {"label": "0"}, "trained without labels"),
        (0, {"w": 1.0}, "trained without labels"),
        (3, {"label": "3"}, "--label must be one of 0, 1, 2, or -1 for no class; got '3'"),
        (3, {"label": "-2"}, "got '-2'"),
        (3, {"label": "-1", "w": 1.0}, "leave out --w"),
        (0, {"end": 3.0, "grid": "karras"}, "--end is for the grid even_log_snr; got karras"),
        (0, {"sampler": "ddim", "eta": 1.5}, "--eta of the sampler ddim is at most 1; got 1.5"),
        (0, {**RK45, "steps": 9}, "rk45 chooses its own steps: leave out --st"),
        (0, {**RK45, "grid": "karras"}, "leave out --steps and --grid"),
    ],
)
def test_what_a_run_cannot_draw_is_said(random_model, classes, options, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        draw(random_model(classes), Draw("run", **options))


@pytest.mark.parametrize("labels", [None, np.array([2, 0, 1, 1])])
def test_written_points_are_read_back(tmp_path, rng, labels):
    """Through .csv every digit and label survives, through .npy every bit; in a new folder, of any capitals."""
    x = rng.standard_normal((4, 3)) * 10.0 ** rng.integers(-8, 8, (4, 3))
    write_points(tmp_path / "a" / "b" / "x.NPY", x, labels)
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "b" / "x.NPY"), x)
    write_points(tmp_path / "x.csv", x, labels)
    back = td.load_points(tmp_path / "x.csv")
    np.testing.assert_allclose(back.restore(back.x), x, rtol=1e-9, atol=1e-12 * np.abs(x).max())
    assert (back.labels is None) == (labels is None)
    np.testing.assert_array_equal(back.labels, labels)


def test_samples_that_are_not_finite_are_said(random_model):
    t = random_model()
    t.model.theta[:] = 1e200
    with pytest.raises(FloatingPointError, match="the samples are not finite: take more --steps, or less noise"):
        draw(t, Draw("run", n=5))


VALUES = {"variance": "beta", "eta": 0.5, "churn": 9.0, "method": "euler", "corrections": 3, "order": 2}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_option_reaches_its_samplers_and_no_other(random_model, name, sampler):
    t, option = random_model(classes=0), {name: VALUES[name]}
    options = Draw("run", n=5, sampler=sampler, steps=20, **option)
    if sampler in OPTIONS[name]:
        expected = td.sample(t.model, 5, sampler=getattr(td, sampler), steps=20, rng=0, **option)
        np.testing.assert_array_equal(draw(t, options)[0], expected)
        return
    with pytest.raises(UsageError, match=f"--{name} is for the sampler {' or '.join(OPTIONS[name])}; got {sampler}"):
        draw(t, options)


def test_rk45_takes_its_own_steps(random_model):
    t = random_model(classes=0)
    fine = draw(t, Draw("run", n=5, sampler="probability_flow", steps=100))[0]
    free = draw(t, Draw("run", n=5, **RK45))[0]
    np.testing.assert_allclose(free, fine, atol=1e-3)


def test_guidance_may_be_for_an_interval(random_model):
    t = random_model(classes=3)
    label = np.arange(6) % 3
    model = td.ClassifierFreeGuidance(t.model.given(label), t.model.given(-1), 1.5, (-2.0, 2.0))
    expected = td.sample(model, 6, steps=20, rng=0)
    np.testing.assert_array_equal(draw(t, Draw("run", n=6, w=1.5, interval=(-2.0, 2.0), steps=20))[0], expected)
    assert np.any(draw(t, Draw("run", n=6, w=1.5, steps=20))[0] != expected)
    with pytest.raises(UsageError, match="--interval is for guidance: give --w too"):
        draw(t, Draw("run", n=6, interval=(-2.0, 2.0)))
    with pytest.raises(UsageError, match="--interval is two log-SNRs, the lower first; got 2 -2"):
        draw(t, Draw("run", n=6, w=1.0, interval=(2.0, -2.0)))
