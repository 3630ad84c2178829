"""What works without the libraries of the extras, and what is said where one is needed."""

import builtins
import io
import sys

import pytest

import tinydiff as td
from tinydiff import __main__, progress
from tinydiff.extras import extra


@pytest.fixture
def without(monkeypatch):
    """A function of libraries, which cannot be imported from then on."""

    def without(*names):
        real = builtins.__import__

        def imported(name, *rest):
            if name.partition(".")[0] in names:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return real(name, *rest)

        monkeypatch.setattr(builtins, "__import__", imported)

    return without


def test_a_missing_library_is_one_line_with_the_command_that_brings_it():
    line = r'^this needs none_such, which is not installed: pip install "tinydiff\[app\]"$'
    with pytest.raises(ModuleNotFoundError, match=line), extra("app"):
        import none_such.inner  # noqa: F401
    with pytest.raises(ZeroDivisionError), extra("app"):
        1 / 0  # noqa: B018


def test_the_command_line_says_what_it_lacks(without, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "tinydiff.app.cli", raising=False)
    monkeypatch.delattr("tinydiff.app.cli", raising=False)
    without("tyro")
    assert __main__.main() == 1
    assert capsys.readouterr().err.startswith("tinydiff: this needs tyro, which is not installed: pip install")


def test_without_tqdm_progress_is_a_plain_line_now_and_then(without, monkeypatch):
    """Every five seconds and at the end; not at all where it is not wanted."""
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    without("tqdm")
    with progress.progress_bar(range(6), total=6, desc="walking", unit="step") as bar:
        for i in bar:
            bar.set_postfix_str(f"at {i}", refresh=False)
    assert sys.stderr.getvalue().splitlines() == [
        "walking: step 3 of 6, at 2",
        "walking: step 6 of 6, at 5",
        "walking: step 6 of 6, at 5",
    ]
    with progress.progress_bar(total=2, desc="silent", disable=True) as bar:
        bar.update(2)
    assert "silent" not in sys.stderr.getvalue()


def test_training_shows_its_loss_without_tqdm_too(without, capsys):
    without("tqdm")
    td.fit(td.toys.ring8(), network=td.TimeMLP(2, 4, 1), rng=0, steps=3, batch=8)
    assert "training: step 3 of 3, loss" in capsys.readouterr().err
