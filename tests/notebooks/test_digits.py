"""The files of the course: small, with the sums that the library knows, and worth what the text says of them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app.sampling import guided
from tinydiff.course import digits, digits_judge, digits_model, unseen_digits

FOLDER = Path(__file__).parents[2] / "notebooks"
if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)
LIMITS = {"digits.npz": 1_000_000, "judge.npz": 100_000, "test-digits.npz": 250_000}


@pytest.fixture(autouse=True)
def beside_the_notebooks(monkeypatch):
    monkeypatch.chdir(FOLDER)


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_a_file_is_small_and_is_the_one_that_the_library_knows(name, limit):
    raw = (FOLDER / name).read_bytes()
    assert len(raw) <= limit
    assert hashlib.sha256(raw).hexdigest() == digits.SHA256[name]
    assert digits.file(name) == Path(name)


def test_a_file_may_lie_one_folder_up_and_another_content_is_refused(tmp_path, monkeypatch):
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    (tmp_path / "judge.npz").write_bytes((FOLDER / "judge.npz").read_bytes())
    assert digits.file("judge.npz") == Path("..") / "judge.npz"
    (below / "judge.npz").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"judge.npz is not the judge.npz of this tinydiff: its SHA-256 begins with"):
        digits_judge()


def test_a_file_that_is_nowhere_near_is_fetched_once_with_its_sum(tmp_path, monkeypatch):
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pooch.retrieve", lambda url, **options: asked.append((url, options)) or FOLDER / "judge.npz")
    assert digits_judge().network.outputs == 10
    ((url, options),) = asked
    assert (url, options["known_hash"]) == (f"{digits.URL}judge.npz", digits.SHA256["judge.npz"])


def test_there_are_a_hundred_test_digits_of_each_class_on_the_levels_of_an_image():
    data = unseen_digits()
    assert (data.x.shape, data.x.dtype, data.picture) == ((1000, 784), np.float32, (28, 28))
    np.testing.assert_array_equal(data.labels, np.arange(1000) % 10)
    pixels = data.restore(data.x)
    np.testing.assert_allclose(pixels, np.rint(pixels), atol=1e-4)
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_the_judge_reads_test_digits_and_what_the_network_draws():
    """98 of 100 at least, and of forty guided samples all but two at most."""
    data, model, judge = unseen_digits(), digits_model(), digits_judge()
    assert isinstance(model.network, td.Mixer)
    assert np.mean(np.argmax(judge.log_p(data.x, judge.process.t_min), axis=1) == data.labels) >= 0.98
    labels = np.arange(40) % 10
    x = td.sample(guided(model, labels, 0.5), 40, sampler=td.ddim, eta=1.0, steps=20, rng=0)
    assert np.sum(np.argmax(judge.log_p(x, judge.process.t_min), axis=1) != labels) <= 2
