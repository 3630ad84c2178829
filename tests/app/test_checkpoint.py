"""Checkpoints come back bit for bit, load no pickles, and say in a line what is wrong with a file."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import checkpoint
from tinydiff.learned.optim import AdamState

NETWORK = td.TimeMLP(dim=2, width=6, blocks=1, classes=2)
GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


def make(dtype=np.float64, bits=np.random.PCG64, size=5):
    """A state in which no two numbers are alike, its generator half-way through a 64-bit word where it can be."""
    rng = np.random.Generator(bits(7))
    theta, ema, mu, nu = rng.standard_normal((4, size)).astype(dtype)
    rng.integers(0, 100, dtype=np.uint32)
    return td.TrainState(7, theta, ema, AdamState(mu, nu, 3), rng.bit_generator.state, 0.1, 1 / 3)


def bits_of(state):
    """All numbers of a state, as types and bytes."""
    arrays = [(a.dtype.str, a.shape, a.tobytes()) for a in (state.theta, state.ema, state.adam.mu, state.adam.nu)]
    numbers = [(type(x), x.hex() if isinstance(x, float) else x) for x in (state.step, state.loss, state.grad_norm)]
    return arrays, numbers, (type(state.adam.count), state.adam.count)


def continued(rng_state):
    """What a generator in this state draws next."""
    rng = np.random.Generator(getattr(np.random, rng_state["bit_generator"])())
    rng.bit_generator.state = rng_state
    return rng.integers(0, 2**32, 3, dtype=np.uint32).tolist(), rng.standard_normal(5).tobytes()


@pytest.fixture
def path(tmp_path):
    """A good checkpoint."""
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, make())
    return path


def rewrite(path, **changes):
    """Save the file again by NumPy alone, with entries changed, or left out where None."""
    with np.load(path) as arrays:
        content = dict(arrays) | changes
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


def refused(path):
    """The one line that a ValueError says of this file."""
    with pytest.raises(ValueError, match=r"checkpoint\.npz") as caught:
        checkpoint.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


# What goes in comes out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_field_comes_back_bit_for_bit(tmp_path, dtype):
    """Each field its own: θ, its average, Adam's two averages and count, the step, the loss and the norm."""
    state = make(dtype)
    checkpoint.save(tmp_path / "a.npz", state)
    loaded, more = checkpoint.load(tmp_path / "a.npz")
    assert bits_of(loaded) == bits_of(state)
    assert loaded.rng_state == state.rng_state
    assert more == {}
    assert [each.name for each in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("bits", GENERATORS, ids=lambda b: b.__name__)
def test_the_generator_goes_on_where_it_was(tmp_path, bits):
    """Whatever NumPy's Generator runs on; the kept half of a 64-bit word is a part of the state."""
    state = make(bits=bits)
    checkpoint.save(tmp_path / "a.npz", state)
    loaded = checkpoint.load(tmp_path / "a.npz")[0]
    assert continued(loaded.rng_state) == continued(state.rng_state)


def test_the_state_before_the_first_step_comes_back(tmp_path):
    """Its loss and norm are NaN, which is no error, unlike NaN among the parameters."""
    theta = np.zeros(4, np.float32)
    state = td.TrainState(0, theta, theta, td.Adam().init(theta), make().rng_state, float("nan"), float("nan"))
    checkpoint.save(tmp_path / "a.npz", state)
    assert bits_of(checkpoint.load(tmp_path / "a.npz")[0]) == bits_of(state)


@pytest.mark.parametrize(
    "more",
    [
        {"shift": np.arange(3.0), "scale": np.float32([[1, 2]]), "dim": 2},
        {"fingerprint": "ab12", "labels": np.arange(4, dtype=np.uint8), "flag": True},
        {"args": 1.5, "arr_0": np.arange(2), "dtype": 0},
        {"empty": np.zeros((0, 3)), "nan": np.array([np.nan, np.inf])},
    ],
    ids=lambda more: "-".join(more),
)
def test_what_was_saved_beside_it_comes_back(tmp_path, more):
    """In its shape and dtype, and without a trace of the state among it."""
    checkpoint.save(tmp_path / "a.npz", make(), **more)
    loaded, found = checkpoint.load(tmp_path / "a.npz")
    assert bits_of(loaded) == bits_of(make())
    assert found.keys() == more.keys()
    for name, value in more.items():
        expected = np.asarray(value)
        assert (found[name].dtype, found[name].shape) == (expected.dtype, expected.shape)
        assert found[name].tobytes() == expected.tobytes()


def test_arrays_of_other_libraries_come_back_as_numpys(tmp_path):
    strict = pytest.importorskip("array_api_strict")

    def to(a):
        return strict.asarray(a, device=strict.Device("device1"))

    state = make()
    moved = state._replace(
        theta=to(state.theta), ema=to(state.ema), adam=AdamState(to(state.adam.mu), to(state.adam.nu), 3)
    )
    checkpoint.save(tmp_path / "a.npz", moved, shift=to(np.arange(3.0)))
    loaded, more = checkpoint.load(tmp_path / "a.npz")
    assert bits_of(loaded) == bits_of(state)
    assert more["shift"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("data", [td.toys.moons32(), td.toys.moons32().sample(np.random.default_rng(1), 40, True)])
def test_training_resumed_from_a_file_equals_training_that_never_stopped(tmp_path, data):
    """Five steps, a file, a new generator and five more are ten, bit for bit; so are ten files in a row."""
    arguments = {"steps": 10, "batch": 8, "label_dropout": 0.3}
    whole = list(td.train(NETWORK, td.VP(), data, rng=3, **arguments))
    path = tmp_path / "a.npz"
    checkpoint.save(path, whole[4])
    resumed = td.train(NETWORK, td.VP(), data, rng=99, state=checkpoint.load(path)[0], **arguments)
    for state, expected in zip(resumed, whole[5:], strict=True):
        assert bits_of(state) == bits_of(expected)
        assert state.rng_state == expected.rng_state

    state = None
    for expected in whole:
        state = next(td.train(NETWORK, td.VP(), data, rng=3, state=state, **arguments))
        checkpoint.save(path, state)
        state = checkpoint.load(path)[0]
        assert bits_of(state) == bits_of(expected)


# No pickles


class Mischief:
    """An object whose unpickling writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "gotcha")


@pytest.mark.parametrize("name", ["theta", "rng_state", "step", "format", "more"])
def test_a_pickle_inside_is_never_loaded(path, name):
    victim = path.with_name("gotcha")
    rewrite(path, **{name: np.array([Mischief(victim)], dtype=object)})
    with zipfile.ZipFile(path) as archive:
        assert b"gotcha" in archive.read(f"{name}.npy")  # it is armed
    assert "pickle" in refused(path)
    assert not victim.exists()


def test_a_file_that_is_a_pickle_is_never_loaded(path):
    victim = path.with_name("gotcha")
    path.write_bytes(pickle.dumps(Mischief(victim)))
    refused(path)
    assert not victim.exists()
    pickle.loads(path.read_bytes())
    assert victim.exists()  # it was armed


def test_objects_are_refused_when_saving_and_the_earlier_checkpoint_stays(path):
    """What could not be loaded again must not take the place of what could."""
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        checkpoint.save(path, make(), labels=np.array(["a", None], dtype=object))
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["theta", "ema", "mu", "step", "format", "rng_state"])
def test_what_is_saved_beside_the_state_cannot_take_its_place(path, name):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=name):
        checkpoint.save(path, make(), **{name: np.zeros(5)})
    assert path.read_bytes() == before


# Files that are not what they should be


@pytest.mark.parametrize("number", [0, 2, 1.5, "1.0", [1], [[1, 2], [3, 4]], np.nan])
def test_another_format_is_refused_with_its_number(path, number):
    rewrite(path, format=np.array(number))
    assert "this version of tinydiff reads format 1" in refused(path)
    assert not isinstance(number, int | float) or f"format {number}" in refused(path)


def test_without_a_format_it_is_not_a_checkpoint(path):
    rewrite(path, format=None)
    assert "format" in refused(path)
    np.savez(path, x=np.arange(3))
    assert "format" in refused(path)


ENTRIES = ["step", "theta", "ema", "mu", "nu", "count", "rng_state", "loss", "grad_norm"]


def test_the_entries_are_all_that_a_file_holds(path):
    with np.load(path) as arrays:
        assert set(arrays) == {"format", *ENTRIES}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_missing_entry_is_named(path, name):
    rewrite(path, **{name: None})
    assert f"'{name}'" in refused(path)


@pytest.mark.parametrize("name", ["theta", "ema", "mu", "nu"])
@pytest.mark.parametrize(
    "wrong",
    [np.zeros(4), np.zeros((1, 5)), np.zeros((5, 1)), np.float64(0), np.zeros(5, np.float32), np.zeros(5, "U3")],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_vectors_that_disagree_are_refused(path, name, wrong):
    """In shape, dimensions or dtype."""
    rewrite(path, **{name: wrong})
    refused(path)


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 5)), np.float64(0), np.zeros(5, "U3"), np.zeros(5, int), np.zeros(5, complex)]
)
def test_vectors_that_agree_on_what_parameters_cannot_be_are_refused(path, wrong):
    rewrite(path, theta=wrong, ema=wrong, mu=wrong, nu=wrong)
    refused(path)


@pytest.mark.parametrize("name", ["theta", "ema", "mu", "nu"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_that_are_not_finite_are_refused(path, name, bad, dtype):
    checkpoint.save(path, make(dtype))
    vector = np.arange(5, dtype=dtype)
    vector[2] = bad
    rewrite(path, **{name: vector})
    assert "not finite" in refused(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": np.arange(2)},
        {"loss": np.zeros(0)},
        {"count": np.arange(3)},
        {"rng_state": np.array(5)},
        {"rng_state": np.array("not JSON\nat all")},
        {"rng_state": np.array("{}")},
        {"rng_state": np.array("[1, 2]")},
        {"rng_state": np.array(json.dumps({"bit_generator": "PCG64"}))},
        {"rng_state": np.array(json.dumps({"bit_generator": "os.system", "state": {}}))},
        {"rng_state": np.array(json.dumps({"bit_generator": "seed", "state": {}}))},
        {"rng_state": np.array(json.dumps(make().rng_state | {"uinteger": -1}))},
        {"rng_state": np.array(json.dumps(make().rng_state | {"state": {"state": "a", "inc": 1}}))},
    ],
    ids=lambda wrong: f"{next(iter(wrong))}-{str(next(iter(wrong.values())))[:20].split()[0]}",
)
def test_entries_of_another_kind_are_refused(path, wrong):
    rewrite(path, **wrong)
    refused(path)


@pytest.mark.parametrize("name", ["format", "theta", "step", "rng_state"])
def test_an_archive_of_other_things_is_refused(path, name):
    """A zip file may hold what is not an array, under any name."""
    rewrite(path, **{name: None})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{name}.npy", "some words")
    refused(path)


@pytest.mark.parametrize("content", [b"", b"step,loss\n1,2\n", b"PK\x05\x06" + bytes(18), bytes(1000)])
def test_a_file_that_is_no_checkpoint_is_refused(path, content):
    path.write_bytes(content)
    refused(path)


def test_an_npy_file_is_refused(path):
    with path.open("wb") as file:
        np.save(file, np.arange(5.0))
    refused(path)


def test_any_truncation_is_noticed(path):
    content = path.read_bytes()
    for length in range(0, len(content), 23):
        path.write_bytes(content[:length])
        refused(path)
    path.write_bytes(content[:-1])
    refused(path)


def test_no_flipped_byte_goes_unnoticed(path):
    """Either the file is refused or the byte did not matter (a time stamp) and the state is the same in every bit."""
    content, expected, accepted = path.read_bytes(), bits_of(make()), 0
    positions = range(0, len(content), 5)
    for position in positions:
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        try:
            state, more = checkpoint.load(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
            continue
        accepted += 1
        assert bits_of(state) == expected
        assert state.rng_state == make().rng_state
        assert more == {}
    assert accepted < len(positions) / 4


@pytest.mark.parametrize(("old", "new"), [(b"(3000,)", b"(2000,)"), (b"<f8", b"<f4")])
def test_headers_that_agree_on_what_is_not_there_are_noticed(path, old, new):
    """A bit in each vector's header: NumPy would read a part, and never come to the checksum at the end."""
    checkpoint.save(path, make(size=3000))
    content = path.read_bytes()
    assert content.count(old) >= 4
    path.write_bytes(content.replace(old, new))
    assert "checksum" in refused(path)


def test_a_missing_file_is_not_a_broken_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoint.load(tmp_path / "nowhere.npz")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoint.save(tmp_path / "nowhere" / "a.npz", make())


def test_a_directory_is_not_a_broken_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        checkpoint.load(tmp_path)


# Saving that fails


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_save_that_fails_part_way_leaves_the_earlier_checkpoint(path, error, monkeypatch):
    before = path.read_bytes()

    def savez(file, *_, **__):
        file.write(b"PK\x03\x04 and no more")
        raise error

    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(type(error)) as caught:
        checkpoint.save(path, make(np.float32))
    assert caught.value is error
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert bits_of(checkpoint.load(path)[0]) == bits_of(make())


def test_a_save_that_outgrows_the_disk_leaves_the_earlier_checkpoint(path):
    """The kernel refuses the write half-way: EFBIG beyond RLIMIT_FSIZE, as ENOSPC on a full disk."""
    pytest.importorskip("resource")
    code = f"""
import resource
from pathlib import Path
import numpy as np
from tinydiff.app import checkpoint
from tinydiff.learned.optim import AdamState
state, _ = checkpoint.load({str(path)!r})
v = np.zeros(100_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
try:
    checkpoint.save({str(path)!r}, state._replace(theta=v, ema=v, adam=AdamState(v, v, 1)))
except OSError:
    raise SystemExit(7)
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert bits_of(checkpoint.load(path)[0]) == bits_of(make())
