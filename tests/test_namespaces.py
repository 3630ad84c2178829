"""One core, many array libraries: the same numbers on NumPy, array-api-strict and PyTorch.

array-api-strict runs on a device of its own, where any silent conversion to NumPy and any mixing with the host raises.
The core is what tinydiff.app.selftest has in its suite; test_cupy.py holds the same suite to CuPy.
"""

import re

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import selftest
from tinydiff.app.selftest import agreement, core
from tinydiff.app.selftest.libraries import open_library
from tinydiff.backend import cast, device_like, namespace, on_host, to_numpy

TOLERANCES = {"float64": 1e-12, "float32": 2e-3}


@pytest.fixture(params=["strict", "torch"])
def to(request):
    """A function that takes a NumPy array to the other library."""
    if request.param == "torch":
        torch = pytest.importorskip("torch")
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # on arrays this small more threads only wait for each other, 30 times as long
        yield open_library("torch")
        torch.set_num_threads(threads)
    else:
        yield open_library("strict")


@pytest.mark.parametrize(
    ("to", "dtype"), [("strict", "float64"), ("torch", "float64"), ("torch", "float32")], indirect=["to"]
)
def test_the_core_gives_numpys_numbers_in_its_own_arrays(dtype, to):
    """In the library, dtype and device of what went in; in float32 the flows carry a rounding of 1e-7 up to 4e-4."""
    for line in agreement.compare(to, np.dtype(dtype)):
        assert not line.error, f"{line.piece}, {line.name}: {line.error}"
        assert line.difference <= TOLERANCES[dtype], line


def test_training_begins_in_the_library_and_dtype_asked_for(to, same):
    """One seed gives the start of network.init in that dtype; like NumPy's float32 it is the default, to the bit."""
    begun = []

    def objective(network, theta, *batch):
        begun.append(to_numpy(theta))
        return td.objective.loss_and_grad(network, theta, *batch)

    arguments = {"steps": 2, "batch": 8, "objective": objective}
    for dtype in (np.float32, np.float64):
        like, rng = to(np.empty(0, dtype)), core.seeded()
        state = td.last(td.train(core.NETWORK, core.PROCESS, core.MIXTURE, rng=rng, like=like, **arguments))
        for a in averages(state):
            assert agreement.kind(a) == agreement.kind(like)
        np.testing.assert_array_equal(begun[-2], core.NETWORK.init(core.seeded(), dtype), strict=True)
        here = td.last(td.train(core.NETWORK, core.PROCESS, core.MIXTURE, rng=core.seeded(), **arguments))
        if dtype is np.float32:
            np.testing.assert_allclose(to_numpy(state.theta), here.theta, atol=2e-6)
    on_cpu = td.train(core.NETWORK, core.PROCESS, core.MIXTURE, rng=core.seeded(), like=device_like("cpu"), **arguments)
    assert same(td.last(on_cpu), here)


def averages(state):
    return state.theta, state.ema, state.optimizer.mu, state.optimizer.nu


def test_a_state_in_numpy_goes_on_elsewhere(to):
    """As a checkpoint does, with all of its averages."""

    def states(**more):
        return td.train(core.NETWORK, core.PROCESS, core.MIXTURE, steps=4, batch=8, **more)

    whole = list(states(rng=core.seeded()))
    there = td.last(states(rng=core.seeded(9), state=whole[1], like=to(np.empty(0, np.float32))))
    assert there.step == 4
    assert namespace(there.theta) is namespace(to(np.empty(0)))
    for found, expected in zip(averages(there), averages(whole[3]), strict=True):
        np.testing.assert_allclose(to_numpy(found), expected, atol=2e-6)


def test_parameters_and_points_of_two_libraries_are_refused_and_named(to):
    x = to(core.X)
    name = namespace(x).__name__.removeprefix("array_api_compat.")
    classifier = td.Classifier(core.CLASSIFIER, core.THETA_OF_CLASSIFIER, core.PROCESS)
    for model in (td.NetworkDenoiser(core.NETWORK, core.THETA, core.PROCESS), classifier.log_p):
        with pytest.raises(ValueError, match=f"theta is an array of numpy and the points are of {name}"):
            model(x, 0.3)
    with pytest.raises(ValueError, match=f"theta is an array of {name} and the points are of numpy"):
        td.NetworkDenoiser(core.NETWORK, to(core.THETA), core.PROCESS)(core.X, 0.3)


def test_the_host_is_distinguished_from_other_devices():
    assert on_host(np.empty(0))
    assert on_host(pytest.importorskip("torch").empty(0))
    assert not on_host(pytest.importorskip("torch").empty(0, device="meta"))
    assert not on_host(open_library("strict")(np.empty(0)))


def test_a_device_is_asked_for_by_name():
    assert (device_like("cpu").shape, device_like("cpu").dtype) == ((0,), np.float32)
    with pytest.raises(ValueError, match="device must be 'cpu' or 'gpu'; got 'tpu'"):
        device_like("tpu")


# The self-test


def off(a):
    """NumPy, but for one part in a thousand where there are points."""
    return a * 1.001 if a.dtype.kind == "f" and a.ndim == 2 else a


def wrong(a):
    if a.size == core.THETA.size:
        raise RuntimeError("no memory for this")
    return a


@pytest.mark.parametrize(
    ("to", "code", "says"),
    [
        (np.asarray, 0, "numpy agrees with NumPy"),
        (off, 1, r"wrong +│ v_from_x0_eps +│ \d\.\de-04.*does not agree"),
        (wrong, 1, r"wrong +│ its set-up +│ RuntimeError: no.*does not agree"),
        (lambda a: cast(a, np.empty(0, np.float32)), 1, "does not agree"),
    ],
)
def test_the_self_test_shows_what_disagrees(to, code, says, monkeypatch, capsys):
    pieces = (core.denoisers, core.learned)
    monkeypatch.setattr(selftest, "open_library", lambda name, device: to)
    monkeypatch.setattr(selftest, "compare", lambda to, dtype: agreement.compare(to, dtype, pieces))
    monkeypatch.setenv("COLUMNS", "100")
    assert selftest.main(["numpy", "--quick"]) == code
    assert re.search(says, capsys.readouterr().out, re.S)


def test_the_timings_of_the_recipes_are_a_table(monkeypatch):
    tasks = list(selftest.timing.tasks(np.asarray))
    assert tasks[0].name == "training step, toy 64×8, batch 1,024"
    assert [task.name for task in tasks[3:5]] == [f"training step, digits 128×5, batch {n}" for n in ("128", "4,096")]
    monkeypatch.setattr(selftest.timing, "tasks", lambda to: [tasks[0]._replace(repeats=1)])
    table = selftest.timing_table("numpy", np.asarray)
    assert [column.header for column in table.columns][1:] == ["NumPy, ms", "numpy, ms", "times as fast"]
    assert table.row_count == 1


@pytest.mark.parametrize(("name", "device"), [("numpy", "cuda"), ("strict", "nowhere"), ("torch", "nowhere")])
def test_a_device_that_is_not_there_is_one_sentence(name, device, capsys):
    pytest.importorskip({"strict": "array_api_strict"}.get(name, name))
    assert selftest.main([name, "--device", device]) == 2
    assert re.fullmatch(f"tinydiff: {name} has no device '{device}': .*\\.\n", capsys.readouterr().err)
