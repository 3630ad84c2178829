"""`tinydiff doctor` says what is here and what is missing, and tries the core."""

import importlib.metadata
import re
import sys

import numpy as np

import tinydiff as td
from tinydiff.app import cli, doctor


def test_it_says_what_is_here_and_that_the_core_is_right(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TINYDIFF_MNIST_DIR", str(tmp_path))
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    version = ".".join(map(str, sys.version_info[:3]))
    for words in (
        f"tinydiff {td.__version__}, Python {version}",
        f"numpy {np.__version__}",
        f"MNIST: 0 of 4 files in {tmp_path}",
    ):
        assert words in out
    assert len(re.findall(r"^self-test, \w+: .* s: right$", out, re.MULTILINE)) == 2


def test_it_says_how_to_install_what_is_missing(monkeypatch):
    def version(name):
        if name in ("pyarrow", "scipy"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(doctor, "version", version)
    lines = dict(line.split(": ", 1) for line in doctor.libraries())
    assert lines["core"] == "array-api-compat 1.2, numpy 1.2"
    assert lines["app"].endswith('; optional scipy: pip install "tinydiff[app]"')
    assert lines["files"] == 'pillow 1.2; optional pyarrow: pip install "tinydiff[files]"'


def test_a_core_that_is_wrong_or_fails_is_said_to_be(monkeypatch, capsys):
    """With the exit code 1, and the rest is still tried."""
    monkeypatch.setattr(doctor, "kl_from_truth", lambda *args, **options: (7.0, 0.0))
    monkeypatch.setattr(doctor, "fit", lambda *args, **options: 1 / 0)
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert re.search("self-test, training: ZeroDivisionError: .*: WRONG", out)
    assert re.search("self-test, exactness: the oracle is 7.00000 nats .*: WRONG", out)
