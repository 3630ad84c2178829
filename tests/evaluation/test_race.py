"""A race measures what it says: the distance to the flow's own end, at evaluations that were counted."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.evaluation import race as racing

FEW = {"toys": ["ring8", "moons32"], "evaluations": (6, 12), "n": 50, "progress": False}


def midpoint(model, x, ts, *, rng=None):
    """DDIM with x̂_0 in the middle of each step: two evaluations for one."""
    levels = [model.process.at(t) for t in ts]
    yield levels[0].t, x
    for now, then in pairwise(levels):
        middle = model.process.at(model.process.time((now.log_snr + then.log_snr) / 2))
        halfway = td.ddim_step(x, model.x0(x, now), now, middle, 0.0)
        x = td.ddim_step(x, model.x0(halfway, middle), now, then, 0.0)
        yield then.t, x


@pytest.fixture(scope="module")
def found():
    return td.race(midpoint, **FEW)


def test_the_distance_is_that_to_where_the_flow_leads_at_so_many_evaluations(found):
    """By decode from the noise of `sample`, in as many steps as the evaluations pay."""
    seed = int(np.random.default_rng(0).integers(2**63))
    for j, toy in enumerate(FEW["toys"]):
        model = td.Counting(td.Oracle(td.toys.TOYS[toy](), td.VP()))
        noise = model.process.prior(np.random.default_rng(seed), 50, model.like)
        exact = td.decode(model.model, noise, rtol=1e-8, atol=1e-8)
        for i, (budget, steps) in enumerate([(6, 3), (12, 6)]):
            before = model.nfe
            x = td.sample(model, 50, sampler=midpoint, steps=steps, grid=td.grids.logistic, rng=seed)
            assert budget - 2 < model.nfe - before <= budget
            expected = np.sqrt(np.mean(np.sum((x - exact) ** 2, axis=1)))
            assert_allclose(found.rms["midpoint"][i, j], expected, rtol=1e-3)


def test_the_others_are_the_librarys_and_one_of_them_runs_beside_itself_no_more(found):
    assert set(found.rms) == {"midpoint", *racing.RIVALS}
    own = td.race(td.ddim, **FEW)
    assert next(iter(own.rms)) == "ddim"
    assert set(own.rms) == set(racing.RIVALS)
    assert_array_equal(own.rms["unipc"], found.rms["unipc"])
    assert_array_equal(own.rms["ddim"], found.rms["ddim"])


def test_the_grid_is_the_entrys_alone(found):
    grid = partial(td.grids.even_log_snr, end=4.0)
    other = td.race(midpoint, grid=grid, **FEW)
    assert np.all(other.rms["midpoint"] != found.rms["midpoint"])
    assert_array_equal(other.rms["dpm_solver_2m"], found.rms["dpm_solver_2m"])


def test_places_and_verdict_are_by_the_mean_over_the_toys():
    rms = {"mine": [[1.0, 3.0], [0.1, 0.1]], "ddim": [[2.0, 1.0], [0.3, 0.1]], "unipc": [[9.0, 9.0], [0.2, 0.1]]}
    found = racing.Race("mine", ("ring8", "grid25"), (6, 20), {name: np.array(each) for name, each in rms.items()})
    assert found.places() == {6: 2, 20: 1}
    assert found.verdict() == (
        "Of 3, by the mean over the toys, mine is number 2 at 6, 1 at 20 evaluations. Nearest: ddim at 6; mine at 20."
    )
    title, head, *lines, _, said = str(found).split("\n")
    assert title == "rms distance to the exact map, mean over ring8, grid25"
    assert head.split() == ["evaluations", "6", "20"]
    assert [line.split() for line in lines] == [
        ["mine", "2.0000", "0.1000", "*"],
        ["unipc", "9.0000", "0.1500"],
        ["ddim", "1.5000", "0.2000"],
    ]
    assert said == found.verdict()


def test_what_cannot_pay_or_diverges_is_infinitely_far():
    """RK4 has four evaluations a step and one for its answer; RK45 takes as many as it wants."""

    def explodes(model, x, ts, *, rng=None):
        for t in ts:
            yield t, np.inf * x

    with np.errstate(invalid="ignore"):
        found = td.race(explodes, **FEW | {"evaluations": (4, 6)})
    assert np.all(found.rms["explodes"] == np.inf)
    assert np.all(found.rms["rk4"][0] == np.inf)
    assert np.all(found.rms["rk4"][1] < np.inf)
    adaptive = td.race(partial(td.probability_flow, method="rk45"), **FEW)
    assert np.all(adaptive.rms["probability_flow(method=rk45)"] == np.inf)


def test_a_seed_is_the_race(found):
    assert_array_equal(td.race(midpoint, **FEW, rng=0).rms["midpoint"], found.rms["midpoint"])
    assert np.all(td.race(midpoint, **FEW, rng=1).rms["midpoint"] != found.rms["midpoint"])


def torch_like(dtype):
    """An empty array of PyTorch's, where there is PyTorch."""
    torch = pytest.importorskip("torch")
    return torch.empty((0, 2), dtype=getattr(torch, dtype))


@pytest.mark.parametrize(
    ("like", "near"),
    [
        (lambda: np.empty((0, 2)), 1e-9),
        (lambda: np.empty((0, 2), np.float32), 0.3),
        (lambda: torch_like("float64"), 1e-9),
        (lambda: torch_like("float32"), 0.3),
    ],
    ids=["NumPy", "NumPy in float32", "PyTorch", "PyTorch in float32"],
)
def test_a_model_of_ones_own_is_a_flow_to_race_on(like, near, monkeypatch):
    """Of the oracle's answers in any library the distances are those on the toy; in float32 the draws are others."""
    oracle = td.Oracle(td.toys.ring8(), td.VP())
    own = td.as_denoiser(oracle, td.VP(), dim=2, like=like())
    monkeypatch.setattr(racing, "RIVALS", {name: racing.RIVALS[name] for name in ("dpm_solver_2m", "edm_heun")})
    options = FEW | {"evaluations": (12, 20), "n": 50}
    toy, on_own = td.race(td.ddim, **options | {"toys": ["ring8"]}), td.race(td.ddim, model=own, **options)
    for name, rms in toy.rms.items():
        assert_allclose(on_own.rms[name], rms, rtol=near, atol=near / 10)
    assert str(on_own).startswith("rms distance to the exact map, on the model's own flow\n")
    assert on_own.verdict().startswith("Of 3, on the model's own flow, ddim is number ")


def test_a_chain_of_ones_own_has_no_flow():
    with pytest.raises(ValueError, match="continuous time"):
        td.race(td.ddim, model=td.Oracle(td.toys.ring8(), td.Discrete.linear(100)), **FEW)


def half(model, x, ts, *, rng=None):
    for t, at in td.ddim(model, x, ts):
        yield t, at[:, :1]


@pytest.mark.parametrize(
    ("sampler", "options", "says"),
    [
        (td.ddpm, {}, "ddpm draws noise of its own"),
        ("ddim", {}, "sampler must be callable.*'ddim'"),
        (midpoint, {"toys": ["ring9"]}, "each of toys must be one of 'ring8'.*'ring9'"),
        (midpoint, {"evaluations": [1]}, "each of evaluations must be 2 or more; got 1"),
        (midpoint, {"process": td.Discrete.linear(100)}, "continuous time"),
        (midpoint, {"rng": None}, "rng"),
        (midpoint, {"toys": []}, "one toy or more, and one budget or more"),
        (midpoint, {"evaluations": []}, "one toy or more, and one budget or more"),
        (midpoint, {"n": 0}, "n must be"),
        (half, {}, r"\(3, 2\)|\(B, 2\)|of shape|must yield"),
    ],
    ids=["noise", "a name", "toys", "evaluations", "a chain", "rng", "no toys", "no evaluations", "n", "half a point"],
)
def test_what_cannot_race_is_refused(sampler, options, says):
    with pytest.raises((TypeError, ValueError), match=says):
        td.race(sampler, **FEW | options)
