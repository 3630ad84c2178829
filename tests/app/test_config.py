"""The configuration: every value has a type and a range, and what is written is what is read."""

import json
import re
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydiff as td
from tinydiff.app.config import (
    FORMAT,
    NAMES,
    PICTURES,
    Config,
    UsageError,
    checked,
    data_name,
    extent,
    make_network,
    open_data,
    open_parts,
    parted,
    read_config,
    recipe,
    write_config,
)

MNIST = recipe("mnist")


def test_every_recipe_is_valid_and_says_only_what_differs():
    for name in NAMES:
        assert checked(recipe(name)) == recipe(name)
        assert recipe(name).name == name
    plain = Config("mnist")
    assert all(getattr(plain, key) != value for key, value in PICTURES.items())


def test_the_defaults_are_those_of_train_and_of_the_network():
    """`tinydiff train ring8` is the long way of the README."""
    plain, network = Config("ring8"), td.TimeMLP(dim=2)
    for name in ("prediction", "sigma_data", "width", "blocks", "norm"):
        assert getattr(plain, name) == getattr(network, name)
    defaults = td.train.__kwdefaults__
    for name in ("steps", "batch", "optimizer", "lr", "weight", "times", "targets", "ema", "label_dropout"):
        assert getattr(plain, name) == defaults[name]


@pytest.mark.parametrize("config", [Config("ring8"), MNIST, replace(MNIST, lr=1 / 3, ema=1.0, seed=2**40, blocks=0)])
def test_what_is_written_is_read(tmp_path, config):
    path = tmp_path / "config.json"
    write_config(path, config)
    assert read_config(path) == config
    assert set(json.loads(path.read_text(encoding="utf-8"))) == {"format"} | {f.name for f in fields(Config)}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("steps", 0, ">= 1; got 0"),
        ("steps", 10**20, "<= 1000000000; got 1"),
        ("steps", "many", "Expected int, got str; got 'many'"),
        ("width", -1, ">= 1"),
        ("blocks", -1, ">= 0"),
        ("batch", True, "Expected int"),
        ("lr", 0.0, "> 0.0"),
        ("ema", 1.5, "<= 1.0"),
        ("label_dropout", -0.1, ">= 0.0"),
        ("seed", -1, ">= 0"),
        ("save_every", 0, ">= 1"),
        ("norm", 1, "Expected bool"),
        ("process", "vq", "Expected vp, subvp, ve, cosine, straight, or module:Class for your own; got 'vq'"),
        ("weight", "soft", "allowed: simple, vlb, min_snr, x0, edm"),
        ("sigma_data", 0.0, "> 0.0"),
        ("prediction", ["x0"], "got ['x0']; allowed: eps"),
        ("name", 3, "Expected str"),
        ("labels", 3, "Expected str | null"),
        ("network", "unet", "allowed: mlp, mixer"),
        ("patch", 0, ">= 1"),
    ],
)
def test_values_out_of_type_or_range_are_named(tmp_path, name, value, says):
    with pytest.raises(ValueError, match=f"^{name}: .*{re.escape(says)}"):
        checked(replace(Config("ring8"), **{name: value}))
    (tmp_path / "config.json").write_text(broken(**{name: value}), encoding="utf-8")
    with pytest.raises(ValueError, match=f"config.json: {name}: "):
        read_config(tmp_path / "config.json")


def broken(without="", **changes):
    """config.json with entries changed, or one left out."""
    content = {"format": FORMAT, **asdict(MNIST)} | changes
    return json.dumps({key: value for key, value in content.items() if key != without})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not JSON"),
        ("\ufeff{}", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is of format None"),
        ("{}", "is of format None"),
        (broken(format=FORMAT + 1), f"is of format {FORMAT + 1}; this version of tinydiff reads format {FORMAT}"),
        (broken(format="1"), "is of format 1"),
        (broken(without="steps"), "entries missing or unknown: steps"),
        (broken(without="labels", stps=3), "entries missing or unknown: labels, stps"),
        (broken(stps=3), "entries missing or unknown: stps"),
    ],
)
def test_broken_files_are_one_clear_error(tmp_path, text, says):
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} .*{re.escape(says)}") as error:
        read_config(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mnist"])
def test_every_name_opens_data_in_the_plane_and_gives_a_network(name):
    dim, classes, picture = extent(open_data(name))
    assert (dim, picture) == (2, None)
    assert make_network(Config(name, conditional=classes > 0), dim, classes).classes == classes
    assert make_network(Config(name), dim, classes).classes == 0


def test_the_scale_of_the_data_reaches_either_network():
    for config, picture in ((Config("ring8"), None), (replace(MNIST, conditional=False), (4, 4))):
        network = make_network(replace(config, prediction="edm", sigma_data=0.5), 16, 0, picture)
        assert (network.prediction, network.sigma_data) == ("edm", 0.5)


def test_a_file_of_points_is_known_by_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.arange(120.0).reshape(40, 3) ** 2)
    assert data_name("mine.npy") == str(tmp_path / "mine.npy")
    assert extent(open_data("mine.npy")) == (3, 0, None)
    assert data_name("ring8") == "ring8"
    with pytest.raises(UsageError, match="NAME is empty"):
        data_name("")
    for name in ("ring9", "mine.doc"):
        with pytest.raises(
            ValueError, match=r"NAME must be one of ring8, .*mnist, a file, or - for standard input; got"
        ):
            data_name(name)


def test_conditional_needs_labels():
    with pytest.raises(UsageError, match="s_curve has no labels: leave out --conditional"):
        make_network(Config("s_curve", conditional=True), 2, 0)
    with pytest.raises(UsageError, match="--conditional needs a --label-dropout above 0"):
        make_network(Config("moons32", conditional=True, label_dropout=0.0), 2, 2)


# Pictures


@pytest.mark.parametrize("labelled", [False, True])
def test_the_recipe_of_a_file_of_pictures_is_that_of_mnist(tmp_path, rng, labelled):
    """It is conditional where labels lie beside the file; a file of points has the defaults."""
    images, points = tmp_path / "my-images-idx3-ubyte", str(tmp_path / "points.npy")
    images.write_bytes(b"\0\0\x08\3" + np.array([20, 6, 6], ">u4").tobytes() + rng.bytes(720))
    if labelled:
        labels = bytes(k % 2 for k in range(20))
        (tmp_path / "my-labels-idx1-ubyte").write_bytes(b"\0\0\x08\1" + np.array([20], ">u4").tobytes() + labels)
    assert recipe(str(images)) == replace(MNIST, name=str(images), conditional=labelled)
    assert extent(open_data(str(images))) == (36, 2 if labelled else 0, (6, 6))
    np.save(points, rng.standard_normal((20, 36)))
    assert recipe(points) == Config(points)
    assert recipe(str(tmp_path / "none.npy")) == Config(str(tmp_path / "none.npy"))


@given(st.integers(2, 60), st.integers(0, 5), st.integers(0, 9))
def test_pictures_are_parted_into_nine_tenths_and_one(n, classes, seed):
    """Disjoint, together all, always the same; labels follow, and each label of many is among the nine tenths."""
    labels = np.random.default_rng(seed).integers(0, classes, n) if classes else None
    data = td.Dataset(np.arange(4 * n, dtype=np.float32).reshape(n, 4), labels, 3.0, 2.0, (2, 2))
    seen, unseen = parted(data)
    assert len(unseen.x) == max(1, n // 10)
    rows = [(each.x[:, 0] / 4).astype(int) for each in (seen, unseen)]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(n))
    for each, again, at in zip((seen, unseen), parted(data), rows, strict=True):
        np.testing.assert_array_equal(each.x, data.x[at])
        np.testing.assert_array_equal(each.x, again.x)
        assert each.labels is None if labels is None else np.array_equal(each.labels, labels[at])
        assert each[2:5] == (3.0, 2.0, (2, 2))
    if labels is not None and n > 10:
        assert set(seen.labels) == set(labels)


def test_what_is_unseen_is_what_was_not_trained_on(tmp_path, rng):
    """Of the same file, with its labels; a file of too few pictures to be parted is said to be."""
    path, labels = str(tmp_path / "mine.npy"), str(tmp_path / "labels.npy")
    np.save(path, rng.permutation(20 * 36).reshape(20, 6, 6))
    np.save(labels, np.arange(20) % 3)
    whole, (data, unseen) = td.load_pictures(path, labels), open_parts(path, labels)
    assert (len(data.x), len(unseen.x)) == (18, 2)
    assert set(whole.x[:, 0]) == {*data.x[:, 0], *unseen.x[:, 0]}
    for each in (data, unseen):
        at = np.argmax(whole.x[:, 0] == each.x[:, :1], axis=1)
        np.testing.assert_array_equal(each.labels, at % 3)
    np.save(path, np.load(path)[:19])
    with pytest.raises(ValueError, match=f"{re.escape(path)} has 19 pictures: a run needs 20"):
        open_data(path)


def test_labels_are_for_files(tmp_path):
    """Of pictures, as a file of their own; of a table, as the name of a column."""
    for name in ("ring8", "mnist"):
        with pytest.raises(UsageError, match=f"--labels is for a file; got {name}"):
            open_data(name, "labels.npy")
    (path := tmp_path / "points.csv").write_text("a,b\n" + 20 * "1,2\n3,7\n", encoding="utf-8")
    assert open_data(str(path), "b").classes == ("2", "7")
    with pytest.raises(
        ValueError, match=r"points.csv: there is no column 'labels.npy' for the classes: the columns are"
    ):
        open_data(str(path), "labels.npy")
    with pytest.raises(FileNotFoundError, match="none"):
        open_data(str(tmp_path / "none.npy"), "labels.npy")


@pytest.mark.parametrize(
    ("picture", "options", "patch", "overlap"),
    [
        ((28, 28), {}, 7, 2),
        ((14, 14), {}, 4, 1),
        ((8, 8), {}, 2, 0),
        ((3, 3), {}, 2, 0),
        ((10, 40), {}, 5, 1),
        ((8, 8), {"patch": 5}, 5, 1),
        ((8, 8), {"overlap": 3}, 2, 3),
        ((28, 28), {"overlap": 0}, 7, 0),
    ],
)
def test_a_patch_of_the_mixer_is_a_quarter_of_the_picture_and_a_third_more_on_each_side(
    picture, options, patch, overlap
):
    dim = picture[0] * picture[1]
    config = replace(MNIST, width=5, blocks=2, **options)
    assert make_network(config, dim, 10, picture) == td.Mixer(picture, patch, 5, 2, 10, "x0", overlap=overlap)
    assert make_network(Config("mnist", blocks=1), dim, 10, picture) == td.TimeMLP(dim, 64, 1)


@pytest.mark.parametrize(
    ("options", "picture", "says"),
    [
        ({"network": "mixer"}, None, "--network mixer is for pictures"),
        ({"network": "mixer", "norm": True}, (6, 6), "--norm is for --network mlp: the mixer always normalises"),
        ({"patch": 2}, (6, 6), "--patch is for --network mixer"),
        ({"overlap": 0}, (6, 6), "--overlap is for --network mixer"),
        ({"network": "mixer", "conditional": True}, (6, 6), "mine.npy has no labels: leave out --conditional"),
    ],
)
def test_options_that_do_not_fit_the_network_are_wrong_usage(options, picture, says):
    with pytest.raises(UsageError, match=says):
        make_network(Config("mine.npy", **options), 36, 0, picture)
