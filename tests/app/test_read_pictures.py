"""One's own pictures: scaled and back, from .npy and IDX, with labels given or found, and errors that name the file."""

import gzip
import re

import numpy as np
import pytest
from PIL import Image

from tinydiff.app.images import is_pictures, labels_beside, load_pictures


def idx(array):
    """The bytes of an IDX file."""
    array = np.asarray(array, np.uint8)
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write(path, array):
    """A file of the kind that its name says; its path."""
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        path.write_bytes(gzip.compress(idx(array)) if path.suffix == ".gz" else idx(array))
    return path


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<f2", "u1", "i1", ">i2", "<u8", "?"])
def test_an_array_of_any_real_dtype_is_scaled_to_its_ends_and_led_back(tmp_path, rng, dtype, order):
    """The least pixel is −1 and the greatest 1; row by row; restored to float32's rounding."""
    array = np.asarray(rng.integers(0, 2 if dtype == "?" else 100, (7, 3, 2)), dtype, order=order)
    if np.dtype(dtype).kind == "f":
        array = array / array.dtype.type(99) - array.dtype.type(0.3)
    data = load_pictures(write(tmp_path / "mine.npy", array))
    assert (data.x.shape, data.x.dtype, data.labels, data.picture) == ((7, 6), np.float32, None, (3, 2))
    assert (data.x.min(), data.x.max()) == (-1, 1)
    flat = array.astype(float).reshape(7, 6)
    np.testing.assert_allclose(data.x, 2 * (flat - flat.min()) / (flat.max() - flat.min()) - 1, atol=1e-7)
    np.testing.assert_allclose(data.restore(data.x), flat, rtol=1e-6, atol=1e-6)


def test_neighbouring_numbers_far_from_0_are_told_apart(tmp_path):
    """Their middle is no number of float32, in which nothing is worked out."""
    array = np.float32(1e6) + np.float32(0.0625) * (np.arange(8, dtype=np.float32).reshape(2, 2, 2) % 2)
    np.testing.assert_array_equal(np.unique(load_pictures(write(tmp_path / "mine.npy", array)).x), [-1, 1])


@pytest.mark.parametrize("name", ["a-images-idx3-ubyte", "a-images-idx3-ubyte.gz", "images.idx", "IMAGES.IDX.gz"])
def test_idx_files_are_read_and_labels_found_beside_them(tmp_path, rng, name):
    """Under MNIST's name for them, where that is another; labels that are given come first."""
    pixels, labels, others = rng.integers(0, 256, (4, 5, 3)), [2, 0, 1, 0], [0, 1, 1, 0]
    path = write(tmp_path / name, pixels)
    assert is_pictures(path)
    assert labels_beside(path) is load_pictures(path).labels is None
    plain = load_pictures(path).x
    np.testing.assert_allclose(plain, 2 * (pixels.reshape(4, 15) - pixels.min()) / np.ptp(pixels) - 1, atol=1e-7)
    given = write(tmp_path / "others.npy", np.array(others, float))
    np.testing.assert_array_equal(load_pictures(path, given).labels, others)
    if "images" in name:
        beside = write(tmp_path / name.replace("images", "labels").replace("idx3", "idx1"), labels)
        assert labels_beside(path) == beside
        data = load_pictures(str(path))
        np.testing.assert_array_equal(data.labels, labels)
        assert data.labels.dtype == np.int64
        np.testing.assert_array_equal(data.x, plain)
        np.testing.assert_array_equal(load_pictures(path, str(given)).labels, others)


def test_labels_beside_an_array_are_not_taken(tmp_path, rng):
    path = write(tmp_path / "my-images-idx3.npy", rng.random((4, 2, 2)))
    write(tmp_path / "my-labels-idx1.npy", np.arange(4))
    assert labels_beside(path) is load_pictures(path).labels is None


PIXELS = np.arange(24.0).reshape(4, 3, 2)
ERRORS = {
    "rank 2": ("mine.npy", PIXELS[0], r"two pictures or more, \(N, H, W\); its shape is \(3, 2\)"),
    "rank 1": ("mine-ubyte", [0, 1, 2], r"two pictures or more, \(N, H, W\); its shape is \(3,\)"),
    "empty": ("mine.npy", PIXELS[:0], r"its shape is \(0, 3, 2\)"),
    "one": ("mine.npy", PIXELS[:1], r"its shape is \(1, 3, 2\)"),
    "no pixels": ("mine.idx", PIXELS[:, :0], r"its shape is \(4, 0, 2\)"),
    "constant": ("mine.npy", 0 * PIXELS + 5, "go from 5 to 5: that cannot be scaled"),
    "too far": ("mine.npy", 1e150 * PIXELS, r"go from 0 to 2\.3e\+151: that cannot be scaled"),
    "too near": ("mine.npy", 1e-155 * PIXELS, "that cannot be scaled"),
    "nan": ("mine.npy", np.where(PIXELS == 9, np.nan, PIXELS), r"finite numbers; pixel \[1, 1\] of picture 1 is nan"),
    "inf": ("mine.npy", np.where(PIXELS == 23, -np.inf, PIXELS), r"pixel \[2, 1\] of picture 3 is -inf"),
    "complex": ("mine.npy", PIXELS + 1j, "must hold real numbers; got complex128"),
}


def check_error(path, says, *arguments):
    """One line that names the file and says what is wrong."""
    with pytest.raises(ValueError, match=says) as error:
        load_pictures(*arguments)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("what", ERRORS)
def test_a_file_that_is_not_pictures_is_a_value_error(tmp_path, what):
    name, array, says = ERRORS[what]
    path = write(tmp_path / name, array)
    check_error(path, says, path)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 1, 0], r"a label for each of the 4 pictures of .*mine\.npy; got \(3,\)"),
        ([[0], [1], [0], [1]], r"got \(4, 1\)"),
        ([0, 1, 0.5, 1], "integers 0, 1, …, below 1000"),
        ([0, 1, -1, 1], "integers 0, 1, …, below 1000"),
        ([0, 1, np.nan, 1], "integers 0, 1, …, below 1000"),
        ([0, 1, 1000, 1], "integers 0, 1, …, below 1000"),
        ([0, 3, 1, 3], r"without gaps; no point has the label 2\."),
        ([1, 1, 1, 1], r"without gaps; no point has the label 0\."),
        (["0", "1", "0", "1"], "must hold real numbers"),
    ],
)
def test_labels_that_are_not_the_pictures_are_a_value_error(tmp_path, labels, says):
    """Which names the file of labels."""
    pictures, path = write(tmp_path / "mine.npy", PIXELS), write(tmp_path / "labels.npy", np.array(labels))
    check_error(path, says, pictures, path)


@pytest.mark.parametrize("name", ["mine.csv", "mine.png", "mine.npy.gz", "mine"])
def test_other_files_are_named_and_missing_ones_are_not_found(tmp_path, name):
    pictures = write(tmp_path / "right.npy", PIXELS)
    (tmp_path / name).write_text("1,2\n3,4\n", encoding="utf-8")
    for arguments in ((tmp_path / name,), (pictures, tmp_path / name)):
        check_error(tmp_path / name, r"come from a \.npy file or an IDX file", *arguments)
    for missing in ("none.npy", "none-ubyte", "none.idx.gz"):
        for arguments in ((tmp_path / missing,), (pictures, tmp_path / missing)):
            with pytest.raises(FileNotFoundError, match=re.escape(missing)):
                load_pictures(*arguments)


def test_pictures_are_known_by_their_name_or_by_their_axes(tmp_path):
    """What cannot be opened is none, whatever is wrong with it."""
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01\0\x76\0{'shape': (10**30, 2,")
    for name, array in (("three.npy", PIXELS), ("TWO.NPY", PIXELS[0]), ("complex.npy", PIXELS + 1j)):
        with (tmp_path / name).open("wb") as file:
            np.save(file, array)
    assert is_pictures(tmp_path / "three.npy")
    assert is_pictures("anywhere/train-images-idx3-ubyte.gz")
    for name in ("TWO.NPY", "complex.npy", "folder.npy", "broken.npy", "none.npy", "three.csv", "", "\0.npy"):
        assert not is_pictures(tmp_path / name)


def images(folder, shape=(3, 5), count=4, kind="png", mode="L"):
    """A folder of images, and what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    for i, array in enumerate(arrays):
        Image.fromarray(array).convert(mode).save(folder / f"{i:02}.{kind}")
    return arrays


@pytest.mark.parametrize(("kind", "mode"), [("png", "L"), ("PNG", "RGB"), ("png", "RGBA")])
def test_a_folder_of_images_is_read_in_the_order_of_their_names_as_grey_values(tmp_path, kind, mode):
    arrays = images(tmp_path / "mine", kind=kind, mode=mode)
    (tmp_path / "mine" / "notes.txt").write_text("no image", encoding="utf-8")
    data = load_pictures(tmp_path / "mine")
    assert is_pictures(tmp_path / "mine")
    assert (data.picture, data.labels, data.classes) == ((3, 5), None, ())
    np.testing.assert_allclose(data.restore(data.x), arrays.reshape(4, 15), atol=1e-4)


def test_folders_in_a_folder_are_classes(tmp_path):
    cats, dogs = images(tmp_path / "mine" / "cats", count=3), images(tmp_path / "mine" / "dogs", count=2)
    data = load_pictures(tmp_path / "mine")
    assert (data.labels.tolist(), data.classes) == ([0, 0, 0, 1, 1], ("cats", "dogs"))
    np.testing.assert_allclose(data.restore(data.x), np.concatenate([cats, dogs]).reshape(5, 15), atol=1e-4)
    np.save(tmp_path / "labels.npy", np.array([1, 0, 1, 0, 1]))
    assert load_pictures(tmp_path / "mine", tmp_path / "labels.npy").labels.tolist() == [1, 0, 1, 0, 1]


def test_a_folder_that_cannot_be_read_is_a_value_error_that_names_a_file(tmp_path):
    images(tmp_path / "mine")
    (tmp_path / "none").mkdir()
    check_error(tmp_path / "none", "has no images", tmp_path / "none")
    images(cats := tmp_path / "mine" / "cats")
    check_error(tmp_path / "mine", "has images beside folders of images: 00.png", tmp_path / "mine")
    Image.new("L", (9, 9)).save(cats / "99.png")
    check_error(cats, r"of one size: .*00.png has 5 × 3 pixels, .*99.png 9 × 9", cats)
    (cats / "99.png").write_bytes(b"\x89PNG and no more")
    check_error(cats / "99.png", "is no image that can be read", cats)
