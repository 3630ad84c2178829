"""The package as a user meets it: what importing costs, and the lines that the README shows."""

import re
import subprocess
import sys
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


def test_all_public_names_exist():
    assert [name for name in td.__all__ if not hasattr(td, name)] == []


def test_the_readme_lines_run_as_written():
    """With a short training in place of the default one; `make demo` runs the same lines at full length."""
    code = re.search(r"```python\n(import numpy as np\n.*?)```", README.read_text(), re.DOTALL).group(1)
    assert len(code.strip().splitlines()) == 10
    namespace = {}
    short = code.replace(
        "td.train(network, process, data, rng=rng)", "td.train(network, process, data, steps=20, rng=rng)"
    )
    assert short != code
    exec(short, namespace)
    assert namespace["x"].shape == (2000, 2)
    assert np.all(np.isfinite(namespace["x"]))


@pytest.mark.parametrize("name", ["ring8", "grid25", "moons32", "pinwheel40", "spiral60"])
def test_toys_are_reached_by_name(name):
    assert isinstance(getattr(td.toys, name)(), td.GaussianMixture)
