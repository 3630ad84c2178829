"""The package as a user meets it: what importing costs, and what it brings."""

import subprocess
import sys

import tinydiff as td


def fresh(code):
    """What a new Python prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    return run.stdout.split()


def test_importing_brings_numpy_and_array_api_compat_alone_and_leaves_the_process_as_it_is():
    """No matplotlib, no scipy, no progress bar, no command line and no self-test: they are imported where they are
    used. No C library is asked for anything, and sys.path is as it was.
    """
    names = fresh("""if True:
        import ctypes, sys
        before = set(sys.modules)
        import numpy, array_api_compat
        ctypes.CDLL, path = None, list(sys.path)
        import tinydiff
        assert sys.path == path
        print(*set(sys.modules) - before)
    """)
    packages = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert {name for name in packages if "cython" not in name} == {"numpy", "array_api_compat", "tinydiff"}
    commands = {name for name in names if name.startswith("tinydiff.app.")}
    reading = {"read", "images", "frames", "lines", "text", "columns", "atoms"}
    assert commands <= {f"tinydiff.app.{name}" for name in {"checkpoint", "parallel", "process", "weights"} | reading}


def test_the_app_as_a_package_imports_nothing():
    code = "import sys, tinydiff; before = set(sys.modules); import tinydiff.app; print(*set(sys.modules) - before)"
    assert fresh(code) == []


def test_all_public_names_exist():
    assert [name for name in td.__all__ if not hasattr(td, name)] == []
    assert sorted(td.__all__) == sorted(set(td.__all__))
