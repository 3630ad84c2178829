"""The configuration: every value has a type and a range, and what is written is what is read."""

import json
import re
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app.config import (
    FORMAT,
    NAMES,
    RECIPES,
    Config,
    UsageError,
    checked,
    data_name,
    extent,
    make_network,
    open_data,
    read_config,
    recipe,
    write_config,
)

MNIST = recipe("mnist")


def test_every_recipe_is_valid_and_says_only_what_differs():
    for name in NAMES:
        assert checked(recipe(name)) == recipe(name)
        assert recipe(name).name == name
    for name, changes in RECIPES.items():
        plain = Config(name)
        assert all(getattr(plain, key) != value for key, value in changes.items())


def test_the_defaults_are_those_of_train_and_of_the_network():
    """`tinydiff train ring8` is the long way of the README."""
    plain, network = Config("ring8"), td.TimeMLP(dim=2)
    for name in ("prediction", "width", "blocks", "norm"):
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
        ("weight", "soft", "allowed: simple, vlb, min_snr, x0"),
        ("prediction", ["x0"], "got ['x0']; allowed: eps"),
        ("name", 3, "Expected str"),
    ],
)
def test_values_out_of_type_or_range_are_named(tmp_path, name, value, says):
    with pytest.raises(ValueError, match=f"^{name}: .*{re.escape(says)}"):
        checked(replace(Config("ring8"), **{name: value}))
    (tmp_path / "config.json").write_text(broken(**{name: value}), encoding="utf-8")
    with pytest.raises(ValueError, match=f"config.json: {name}: "):
        read_config(tmp_path / "config.json")


def broken(**changes):
    """config.json with entries changed, or left out where None."""
    content = {"format": FORMAT, **asdict(MNIST)} | changes
    return json.dumps({key: value for key, value in content.items() if value is not None})


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
        (broken(steps=None), "entries missing or unknown: steps"),
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
    dim, classes = extent(open_data(name))
    assert dim == 2
    assert make_network(Config(name, conditional=classes > 0), dim, classes).classes == classes
    assert make_network(Config(name), dim, classes).classes == 0


def test_a_file_of_points_is_known_by_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.arange(12.0).reshape(4, 3) ** 2)
    assert data_name("mine.npy") == str(tmp_path / "mine.npy")
    assert extent(open_data("mine.npy")) == (3, 0)
    assert data_name("ring8") == "ring8"
    for name in ("ring9", "mine.txt", ""):
        with pytest.raises(ValueError, match=r"NAME must be one of ring8, .*mnist, or a \.csv or \.npy file; got"):
            data_name(name)


def test_conditional_needs_labels():
    with pytest.raises(UsageError, match="s_curve has no labels: leave out --conditional"):
        make_network(Config("s_curve", conditional=True), 2, 0)
    with pytest.raises(UsageError, match="--conditional needs a --label-dropout above 0"):
        make_network(Config("moons32", conditional=True, label_dropout=0.0), 2, 2)
