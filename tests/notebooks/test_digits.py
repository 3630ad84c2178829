"""The files of the course: small, with the sums that the library knows, and worth what the text says of them."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from running import load_build

import tinydiff as td
from tinydiff import course_answers
from tinydiff.app.sampling import guided
from tinydiff.course import digits, digits_judge, digits_model, narrow_model, unseen_digits
from tinydiff.course_tests import digits as page

FOLDER = Path(__file__).parents[2] / "notebooks"
if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)
LIMITS = {
    "digits.npz": 1_000_000,
    "judge.npz": 100_000,
    "test-digits.npz": 250_000,
    "narrow-eps.npz": 200_000,
    "narrow-x0.npz": 200_000,
}


@pytest.fixture(autouse=True)
def beside_the_notebooks(monkeypatch):
    monkeypatch.chdir(FOLDER)


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_a_file_is_small_and_is_the_one_that_the_library_knows(name, limit):
    raw = (FOLDER / name).read_bytes()
    assert len(raw) <= limit
    assert hashlib.sha256(raw).hexdigest() == digits.SHA256[name]
    assert digits.file(name) == Path(name)


def test_all_files_together_are_small():
    assert sum(file.stat().st_size for file in FOLDER.glob("*.npz")) <= 2_000_000
    assert {file.name for file in FOLDER.glob("*.npz")} == set(LIMITS) == set(digits.SHA256)


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


def test_the_narrow_networks_are_alike_but_for_what_they_predict():
    eps, x0 = narrow_model("eps"), narrow_model("x0")
    assert (eps.network.prediction, x0.network.prediction) == ("eps", "x0")
    assert eps.network.size == x0.network.size
    assert 1 - 128 / 196 < page.eps_loss("eps", -4.0) < 1.03 * (1 - 128 / 196)


# ---- the reader's functions, and nobody else's

NEEDED = "betas_from_log_snr", "ddim_step", "cfg", "draw", "inpaint_known", "q_step", "my_digits"


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The file that a reader has who solved all exercises: it imports NumPy alone."""
    pytest.importorskip("jupytext", reason="pip install -e '.[notebooks]'")
    build, path = load_build(), tmp_path_factory.mktemp("reader") / "mine.py"
    build.solve(path, [source for source in build.sources() if "keep(" in source.read_text(encoding="utf-8")])
    spec = importlib.util.spec_from_file_location("mine_of_a_reader_of_digits", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if missing := [name for name in NEEDED if not hasattr(module, name)]:
        pytest.skip(f"no notebook asks for {missing} yet")
    assert [line for line in path.read_text(encoding="utf-8").splitlines() if "import" in line] == [
        "import numpy as np"
    ]
    return module


def test_the_readers_functions_draw_forty_digits_which_the_judge_reads(reader):
    """38 of 40 at least; and to 1e-4 they are the library's, from the same noise."""
    model, labels, noise = digits_model(), np.arange(40) % 10, page.Noise(0)
    x = reader.draw(model, labels, 0.5, page.even(20), noise)
    assert np.sum(page.read(x) == labels) >= 38
    whole = guided(model, labels, 0.5)
    t, last = td.last(td.ddim(whole, noise.start((40, 784)), page.even(20)))
    np.testing.assert_allclose(x, whole.x0(last, t), atol=1e-4)


def test_the_readers_functions_complete_two_digits_and_keep_the_known_halves_to_the_bit(reader):
    model, data, rng = digits_model(), unseen_digits(), np.random.default_rng(1)
    rows, mask = [23, 55], np.arange(784) < 392
    known, asked, lam = data.x[rows], model.given(data.labels[rows]), np.linspace(-14, 3, 25)
    betas, times = reader.betas_from_log_snr(lam[::-1]), page.times(lam)
    x = rng.standard_normal(known.shape)
    for k in range(25, 0, -1):
        for again in (2, 1, 0):
            single = x.astype(np.float32)
            eps = reader.cfg(asked(single, times[-k]), model(single, times[-k]), 0.5)
            x_s = reader.ddim_step(x, k, k - 1, eps, rng.standard_normal(x.shape), betas, 1.0)
            x_s = reader.inpaint_known(x_s, known, mask, k - 1, rng.standard_normal(x.shape), betas)
            if again:
                x = reader.q_step(x_s, k, rng.standard_normal(x.shape), betas)
        x = x_s
    np.testing.assert_array_equal(x[:, mask], known[:, mask])
    np.testing.assert_array_equal(page.read(x), data.labels[rows])
    assert np.all(np.any(np.abs(x - known)[:, ~mask] > 0.5, axis=1))


# ---- what judges the answers


def right(marks):
    return [bool(mark) for mark, _ in marks]


def with_slip(slip):
    """A draw with one thing wrong."""

    def draw(model, labels, w, times, rng):
        lam = np.array([model.process.at(t).log_snr for t in times])
        betas, asked = course_answers.betas_from_log_snr(lam[::-1]), model.given(labels)
        if slip == "labels":
            asked = model.given(labels[::-1])
        if slip == "seed":
            rng = np.random.default_rng(0)
        x = rng.standard_normal((len(labels), model.dim))
        for k in range(len(times), 0, -1):
            t, eta = times[-k], float(slip == "noise")
            eps = asked(x.astype(np.float32), t)
            if w != 0 or slip == "asked":
                eps = eps + (-w if slip == "sign" else w) * (eps - model(x.astype(np.float32), t))
            z = rng.standard_normal(x.shape) if eta else 0 * x
            x = course_answers.ddim_step(x, k, k - 1, eps, z, betas, eta)
            if slip == "early" and k == 2:
                break
        return x

    return draw


SLIPS = {"": [], "labels": [0, 4], "noise": [0], "asked": [2], "sign": [0], "early": [0]}


@pytest.mark.parametrize(("slip", "wrong"), SLIPS.items())
def test_a_draw_is_held_to_the_librarys_to_what_it_asks_and_to_its_labels(slip, wrong):
    assert [i for i, good in enumerate(right(page.draw(with_slip(slip)))) if not good] == wrong


def test_a_draw_with_noise_of_its_own_is_told_so():
    with pytest.raises(ValueError, match=r"rng must draw the start, of the shape \(5, 6\); it drew 0 numbers"):
        list(page.draw(with_slip("seed")))


def floor(variances, width):
    return np.sort(variances)[: len(variances) - width].sum() / len(variances)


def test_the_floor_is_the_tail_of_the_sorted_spectrum():
    assert all(right(page.least_loss(floor)))
    assert right(page.least_loss(lambda variances, width: 1 - width / len(variances))) == [False, True, True]
    assert not right(page.least_loss(lambda variances, width: np.sum(variances[width:]) / len(variances)))[0]
    assert right(page.least_loss(lambda variances, width: floor(variances, width) * len(variances)))[:2] == [False] * 2


def test_no_line_is_wrong_and_the_size_is_that_of_the_start_in_the_blind_directions():
    def size(width, dim, lam):
        return np.sqrt((1 - width / dim) * (1 + np.exp(-lam)))

    assert right(page.no_line(0)) == right(page.blind_size(size)) == [True]
    assert right(page.no_line(3)) == [False]
    assert right(page.blind_size(lambda width, dim, lam: np.exp(-lam / 2))) == [False]
    assert right(page.blind_size(lambda width, dim, lam: (1 - width / dim) * np.exp(-lam / 2))) == [False]


def test_few_evaluations_must_draw_readable_digits_of_some_variety():
    assert right(page.fewest(0.0, [-14, -3, -1, 1])) == [True] * 4
    assert right(page.fewest(0.0, [-14])) == [True, True, False, True], "the mean of each class is read with ease"
    assert right(page.fewest(0.5, [-14, -3, -1, 1])) == [True, True, False, False]
    assert right(page.fewest(0.0, [-10, -3])) == right(page.fewest(0.0, [-14, 1, -3])) == [False]


def test_twenty_evaluations_are_counted_with_labels_and_without():
    def sampler(steps, w):
        return lambda model, labels, rng: course_answers.draw(model, labels, w, page.even(steps), rng)

    assert right(page.twenty_evaluations(page.ours)) == [True] * 3
    assert right(page.twenty_evaluations(sampler(10, 0.5))) == [True, True, False]
    assert right(page.twenty_evaluations(sampler(11, 0.0))) == [True, False, False]
    assert right(page.twenty_evaluations(sampler(11, 0.5)))[0] is False
    assert right(page.twenty_evaluations(lambda model, labels, rng: labels)) == [False]


def test_the_energy_distance_of_two_samples_of_one_law_is_0_on_average():
    rng = np.random.default_rng(2)
    found = [page.energy(*rng.standard_normal((2, 20, 3))) for _ in range(300)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(300)
    x = rng.standard_normal((20, 3))
    assert page.energy(x, x) < 0 < page.energy(x, x + 1)
