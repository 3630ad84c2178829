"""The package as a user meets it: what importing costs, and the lines that the README shows."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td

README = Path(__file__).parents[1] / "README.md"


def fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_brings_numpy_and_array_api_compat_alone():
    """No matplotlib, no scipy, no progress bar: they are imported where they are used."""
    code = "import sys; before = set(sys.modules); import tinydiff; print(*set(sys.modules) - before)"
    packages = {name.partition(".")[0] for name in fresh(code).split()}
    third_party = {name for name in packages - set(sys.stdlib_module_names) if "cython" not in name}  # NumPy's own
    assert third_party == {"numpy", "array_api_compat", "tinydiff"}


def test_importing_leaves_the_process_as_it_is():
    """No C library is asked for anything, no module of the command line is there, and sys.path is as it was."""
    code = """if True:
        import ctypes, sys
        import numpy, array_api_compat
        ctypes.CDLL, path = None, list(sys.path)
        import tinydiff
        assert sys.path == path
        print(*(name for name in sys.modules if name.startswith("tinydiff.app.")))
    """
    assert set(fresh(code).split()) <= {f"tinydiff.app.{name}" for name in ("checkpoint", "parallel", "read")}


def test_the_app_as_a_package_imports_nothing():
    code = "import sys, tinydiff; before = set(sys.modules); import tinydiff.app; print(*set(sys.modules) - before)"
    assert fresh(code).split() == []


def test_all_public_names_exist():
    assert [name for name in td.__all__ if not hasattr(td, name)] == []
    assert sorted(td.__all__) == sorted(set(td.__all__))


def test_the_readmes_first_example_runs_as_written(monkeypatch):
    """Four lines, with a short training in place of the default one; `make demo` trains at full length."""
    monkeypatch.setattr(td, "fit", partial(td.fit, steps=20, progress=False))
    code = re.search(r"```python\n(import tinydiff as td\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) == 5
    namespace = {}
    exec("\n".join(lines[:-1]), namespace)
    kl, error = eval(lines[-1], namespace)
    assert namespace["x"].shape == (2000, 2)
    assert np.all(np.isfinite(namespace["x"]))
    assert kl > 0
    assert error > 0


@pytest.mark.parametrize("name", ["ring8", "grid25", "moons32", "pinwheel40", "spiral60"])
def test_toys_are_reached_by_name(name):
    assert isinstance(getattr(td.toys, name)(), td.GaussianMixture)
