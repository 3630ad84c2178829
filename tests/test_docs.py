"""The pages' code runs: every Python block of docs/howto and of the README, and every command line beside them.

The blocks of a page share their names, in order, in an empty folder. Training is cut short: td.train and td.fit to 30
steps of 128 points, a `tinydiff train` to 4. What is not for running says so: ```python no-run. Commands are in blocks
of ```console, and in the README in indented lines that begin with tinydiff.
"""

import contextlib
import os
import re
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

import tinydiff as td
from tinydiff.app import cli, runs
from tinydiff.app.config import open_data
from tinydiff.app.directory import Run
from tinydiff.app.inpainting import Inpaint, fill
from tinydiff.app.sampling import Draw
from tinydiff.check.spec import SPECS

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))
BLOCK = re.compile(r"^```(?P<kind>python|console)\n(?P<code>.*?)^```$|^ {4}(?P<command>tinydiff .*)$", re.M | re.S)
PRINTED = re.compile(r"^```python\n(?:(?!^```).)*print\((?:(?!^```).)*^```\n\n```text\n(.*?)^```$", re.M | re.S)


def blocks(page):
    """(line, kind, text) of all that a page runs."""
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found["command"] is None:
            yield line, found["kind"], found["code"]
        elif page.name == "README.md":
            yield line, "console", found["command"].partition("  #")[0]


def short(train):
    """td.train or td.fit, for 30 steps of 128 points at most."""
    return lambda *a, steps=30, batch=128, **more: train(*a, steps=min(steps, 30), batch=min(batch, 128), **more)


def obey(command):
    """Parse a command line of tinydiff as the program does, and do what it asks in little; others are not ours."""
    words = shlex.split(re.sub(r"^mpiexec -n \d+ ", "", command), comments=True)
    if words[:1] != ["tinydiff"]:
        return
    with contextlib.suppress(SystemExit):  # --help
        options = cli.parse(words[1:])
        if isinstance(options, cli.Train) and options.config.name == "mnist" and "TINYDIFF_MNIST_DIR" not in os.environ:
            return  # nothing is downloaded for it
        if isinstance(options, cli.Train) and not options.resume:
            data = open_data(*options.config.source)
            config = replace(options.config, steps=4, batch=8, width=4, blocks=1, save_every=2)
            Run.create(options.out, config).train(data)
        elif isinstance(options, Draw) and (options.run / "checkpoint.npz").exists():
            runs.sample(replace(options, n=12, steps=3, device="cpu"))
        elif isinstance(options, Inpaint) and (options.run / "checkpoint.npz").exists():
            fill(replace(options, n=2, steps=3, resamples=1))


@pytest.fixture
def little(tmp_path, monkeypatch):
    """An empty folder, short trainings, a rough measure, and specifications that are forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(td, "train", short(td.train))
    monkeypatch.setattr(td, "fit", short(td.fit))
    monkeypatch.setattr(td, "kl_from_truth", partial(td.kl_from_truth, n=50, steps=10))
    known = dict(SPECS)
    yield
    for name in set(SPECS) - set(known):
        del SPECS[name]


def perform(page, names):
    """All blocks of the page, with these names at first; a failure says the line of the page."""
    for line, kind, text in blocks(page):
        if kind == "console":
            for command in text.splitlines():
                obey(command.removeprefix("$ "))
        else:
            exec(compile("\n" * line + text, str(page), "exec"), names)
    return names


@pytest.mark.filterwarnings("ignore:.*samples will be off")
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_code_of_a_page_runs_as_written(page, little, capsys):
    """And prints the words, if not the digits, that the page shows below it."""
    if "import torch" in page.read_text(encoding="utf-8"):
        pytest.importorskip("torch").set_num_threads(1)
    if "parallel.world" in page.read_text(encoding="utf-8"):
        pytest.importorskip("mpi4py")
    assert list(blocks(page)), "a page that shows how has code"
    perform(page, {"__name__": page.stem})
    words = partial(re.findall, r"[^\W\d]{2,}")
    assert set(words("".join(PRINTED.findall(page.read_text(encoding="utf-8"))))) <= set(words(capsys.readouterr().out))


@pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="the README is in the repository")
def test_the_readmes_commands_and_other_blocks_run(little):
    """With a short training in its first lines; `make demo` trains at full length."""
    names = perform(ROOT / "README.md", {"np": np})
    assert names["x"].shape == (2000, 2)
    assert np.all(np.isfinite(names["x"]))
    said = str(names["check"](names["q_sample"]))
    readme = ROOT.joinpath("README.md").read_text(encoding="utf-8")
    assert "\n".join(f"    {line}".rstrip() for line in said.splitlines()) in readme  # word for word


@pytest.mark.skipif(not (ROOT / "docs" / "bibliography.md").is_file(), reason="the bibliography is in the repository")
def test_the_bibliography_has_each_work_once_and_a_number_links_to_itself():
    page = (ROOT / "docs" / "bibliography.md").read_text(encoding="utf-8")
    labels = re.findall(r"^\((\S+)\)=$", page, re.M)
    links = re.findall(r"\[([^\]]+)\]\((https://[^)\s]+)\)", page)
    assert len(set(labels)) == len(labels) == len(re.findall(r"^\*\*.+?\*\*", page, re.M))
    assert len({address for _, address in links}) == len(links)
    numbers = [(text.partition(":")[2], unquote(address)) for text, address in links if text[:4] in ("arXi", "doi:")]
    assert [number for number, address in numbers if not address.endswith(f"/{number}")] == []


def test_no_page_shows_python_in_another_way():
    """A fence with a misspelt word would not be run."""
    for page in PAGES:
        fences = set(re.findall(r"^ *```(\S.*)$", page.read_text(encoding="utf-8"), re.M))
        assert fences <= {"python", "python no-run", "console", "text"} or page.stem == "index", page
