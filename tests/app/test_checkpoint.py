"""Checkpoints come back bit for bit, load no pickles, and say in a line what is wrong with a file.

Files that are broken at random are in test_broken_files, saving that fails half-way in test_files, runs that go on in
test_directory, and arrays of other libraries in test_device.
"""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import checkpoint
from tinydiff.learned.optim import OptimizerState

GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]
VECTORS = ["theta", "ema", "mu", "nu"]
ENTRIES = [*VECTORS, "step", "count", "rng_state", "loss", "grad_norm"]


def make(dtype=np.float64, bits=np.random.PCG64, size=5):
    """A state in which no two numbers are alike, its generator half-way through a 64-bit word where it can be."""
    rng = np.random.Generator(bits(7))
    theta, ema, mu, nu = rng.standard_normal((4, size)).astype(dtype)
    rng.integers(0, 100, dtype=np.uint32)
    return td.TrainState(7, theta, ema, OptimizerState(mu, nu, 3), rng.bit_generator.state, 0.1, 1 / 3)


def bits_of(state):
    """All numbers of a state but its generator's, as types and bytes."""
    mu, nu, count = state.optimizer
    arrays = [(a.dtype.str, a.shape, a.tobytes()) for a in (state.theta, state.ema, mu, nu)]
    numbers = [(type(x), x.hex() if isinstance(x, float) else x) for x in (state.step, state.loss, state.grad_norm)]
    return arrays, numbers, (type(count), count)


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

THETA = np.zeros(4, np.float32)
STATES = {
    **{f"in {dtype}": make(dtype) for dtype in ("float32", "float64")},
    **{bits.__name__: make(bits=bits) for bits in GENERATORS},
    "before the first step": td.TrainState(0, THETA, THETA, td.Adam().init(THETA), make().rng_state, np.nan, np.nan),
}


@pytest.mark.parametrize("name", STATES)
def test_every_field_comes_back_bit_for_bit(path, name):
    """Each field its own, with any generator of NumPy's, to the kept half of a 64-bit word; they are all it holds.

    Before the first step the loss and norm are NaN, which is no error, unlike NaN among the parameters.
    """
    state = STATES[name]
    checkpoint.save(path, state)
    loaded, more = checkpoint.load(path)
    assert bits_of(loaded) == bits_of(state)
    assert continued(loaded.rng_state) == continued(state.rng_state)
    assert more == {}
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    with np.load(path) as arrays:
        assert set(arrays) == {"format", *ENTRIES}


def test_what_was_saved_beside_it_comes_back(path):
    """Under any name, in its shape and dtype, and without a trace of the state among it."""
    more = {
        "scale": np.float32([[1, 2]]), "dim": 2, "fingerprint": "ab12", "labels": np.arange(4, dtype=np.uint8),
        "flag": True, "args": 1.5, "arr_0": np.arange(2), "dtype": 0, "empty": np.zeros((0, 3)), "nan": np.nan,
    }  # fmt: skip
    checkpoint.save(path, make(), **more)
    loaded, found = checkpoint.load(path)
    assert bits_of(loaded) == bits_of(make())
    assert found.keys() == more.keys()
    for name, value in more.items():
        expected = np.asarray(value)
        assert (found[name].dtype, found[name].shape) == (expected.dtype, expected.shape)
        assert found[name].tobytes() == expected.tobytes()


# No pickles


class Mischief:
    """An object whose unpickling writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("name", ["theta", "rng_state", "format", "more"])
def test_a_pickle_inside_is_never_loaded(path, name):
    victim = path.with_name("gotcha")
    rewrite(path, **{name: np.array([Mischief(victim)], dtype=object)})
    assert "pickle" in refused(path)
    assert not victim.exists()
    with np.load(path, allow_pickle=True) as armed:
        armed[name]
    assert victim.exists()


@pytest.mark.parametrize("name", ["labels", "theta", "count", "format"])
def test_what_could_not_be_loaded_again_does_not_take_the_place_of_what_could(path, name):
    """Objects, which take pickles, and what has a name of the state's own."""
    before = path.read_bytes()
    with pytest.raises(ValueError, match=name):
        checkpoint.save(path, make(), **{name: np.array(["a", None], object) if name == "labels" else np.zeros(5)})
    assert path.read_bytes() == before


# Files that are not what they should be

OTHER = "is not a checkpoint of tinydiff"
WRONG = [
    *(({"format": number}, f"of format {number}; this version of") for number in (0, 2, 1.5, "1.0", np.nan)),
    *(({"format": numbers}, "this version of tinydiff reads format 1") for numbers in ([1], [[1, 2], [3, 4]])),
    ({"format": None}, "format None"),
    *(({name: None}, f"'{name}'") for name in ENTRIES),
    *(({name: [0, 1, bad, 3, 4]}, "not finite") for name in VECTORS for bad in (np.nan, np.inf, -np.inf)),
    *(
        (dict.fromkeys(names, wrong), "its vectors disagree in shape or real dtype")
        for names in (["theta"], ["ema"], ["mu"], ["nu"], VECTORS)
        for wrong in (np.zeros((1, 5)), np.float64(0), np.zeros(5, "U3"), np.zeros(5, int), 0j + np.ones(5))
    ),
    ({"step": [0, 1]}, OTHER),
    ({"rng_state": 5}, OTHER),
    ({"rng_state": "not JSON\nat all"}, OTHER),
    ({"rng_state": "{}"}, OTHER),
    *(({"rng_state": json.dumps({"bit_generator": name, "state": {}})}, OTHER) for name in ("os.system", "seed")),
    ({"rng_state": json.dumps(make().rng_state | {"uinteger": -1})}, OTHER),
    ({"rng_state": json.dumps(make().rng_state | {"state": {"state": "a", "inc": 1}})}, OTHER),
]


@pytest.mark.parametrize(("changes", "says"), WRONG)
def test_a_checkpoint_with_another_entry_or_without_one_is_refused(path, changes, says):
    """Formats are named, and what is missing; the vectors are wrong one by one and all together."""
    rewrite(path, **changes)
    assert says in refused(path)


def test_an_archive_of_other_things_is_refused(path):
    """A zip file may hold what is not an array, under an array's name."""
    rewrite(path, theta=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("theta.npy", "some words")
    assert "theta" in refused(path)


@pytest.mark.parametrize(("old", "new"), [(b"(3000,)", b"(2000,)"), (b"<f8", b"<f4")])
def test_headers_that_agree_on_what_is_not_there_are_noticed(path, old, new):
    """A bit in each vector's header: NumPy would read a part, and never come to the checksum at the end."""
    checkpoint.save(path, make(size=3000))
    content = path.read_bytes()
    assert content.count(old) >= 4
    path.write_bytes(content.replace(old, new))
    assert "checksum" in refused(path)


def test_a_missing_file_or_a_directory_is_not_a_broken_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoint.load(tmp_path / "nowhere.npz")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        checkpoint.save(tmp_path / "nowhere" / "a.npz", make())
    with pytest.raises((IsADirectoryError, PermissionError)):  # as Windows says it
        checkpoint.load(tmp_path)
