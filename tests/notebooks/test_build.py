"""The script that makes the notebooks: several at once are the files that one after another makes, each whole."""

import subprocess
import sys

import pytest
from running import FOLDER

for module in ("jupytext", "nbclient", "ipykernel"):
    pytest.importorskip(module, reason="pip install -e '.[notebooks]'")
if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)

RIGHT = "# %% [markdown]\n# # 0. Right\n\n# %%\nimport os\n\nprint(6 * 7, os.path.exists('mine.py'))\n"
WRONG = "# %% [markdown]\n# # 1. Wrong\n\n# %%\nprint(undefined)\n"


@pytest.fixture
def folder(tmp_path):
    """One with the script, and a source that is right."""
    (tmp_path / "src").mkdir()
    (tmp_path / "build.py").write_bytes((FOLDER / "build.py").read_bytes())
    (tmp_path / "src" / "00_right.py").write_text(RIGHT, encoding="utf-8")
    return tmp_path


def made(folder, *options):
    return subprocess.run(
        [sys.executable, "build.py", *options], cwd=folder, capture_output=True, encoding="utf-8", check=False
    )


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.ipynb")}


def test_the_number_of_processes_decides_nothing(folder):
    found = []
    for jobs in ("1", "2"):
        done = made(folder, "--jobs", jobs)
        assert done.returncode == 0, done.stderr
        assert sorted(line.partition(":")[0] for line in done.stdout.splitlines()) == [
            "00_right.ipynb",
            "solutions/00_right.ipynb",
        ]
        assert "2/2" in done.stderr  # the bar
        found.append(files(folder))
    assert sorted(found[0]) == ["00_right.ipynb", "solutions/00_right.ipynb"]
    assert found[0] == found[1]
    assert all(b"42 False" in text for text in found[0].values())


def test_an_error_names_its_notebook_whose_file_stays_as_it_was(folder):
    (folder / "src" / "01_wrong.py").write_text(WRONG, encoding="utf-8")
    (folder / "01_wrong.ipynb").write_text("as it was", encoding="utf-8")
    done = made(folder, "01")
    assert done.returncode == 1
    assert "01_wrong.ipynb: " in done.stderr
    assert "name 'undefined' is not defined" in done.stderr
    assert files(folder)["01_wrong.ipynb"] == b"as it was"
    assert "solutions/01_wrong.ipynb" not in files(folder)
    assert [path.name for path in folder.rglob(".*")] == []  # no half of one
