"""Docstrings keep their word: examples run, and what `td` exports says what it takes, gives and raises."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap

import pytest

import tinydiff as td
from tinydiff import testing

MODULES = [
    m.name
    for m in pkgutil.walk_packages(td.__path__, "tinydiff.")
    if not m.name.endswith("__main__") and ".graders." not in m.name  # these need nbgrader or Otter: `make grading`
]
EXPORTS = {name: obj for name in td.__all__ if not inspect.ismodule(obj := getattr(td, name))}
EXPORTS |= {f"testing.{name}": getattr(testing, name) for name in testing.__all__}
COMPOSITE = {"testing.grids", "testing.mixtures", "testing.times"}
"""Strategies that Hypothesis has made of functions: their source cannot be had."""
FUNCTIONS = {name: obj for name, obj in EXPORTS.items() if inspect.isfunction(obj)}


def sections(obj):
    """The headings of numpydoc's sections."""
    return re.findall(r"^(\w[\w ]*)\n-{3,}$", inspect.getdoc(obj), re.M)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_has_an_example(name):
    assert "Examples" in sections(EXPORTS[name])
    assert ">>> " in EXPORTS[name].__doc__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_describes_each_parameter_and_what_it_gives(name):
    function = FUNCTIONS[name]
    described = re.search(r"^Parameters\n-+\n(.*?)(?:^\w+\n-+$|\Z)", inspect.getdoc(function), re.M | re.S)
    named = set(re.findall(r"\w+", " ".join(re.findall(r"^\S.*$", described[1], re.M)))) if described else set()
    signature = inspect.signature(function)
    assert set(signature.parameters) <= named
    assert signature.return_annotation is None or {"Returns", "Yields"} & set(sections(function))


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in COMPOSITE])
def test_a_function_that_raises_says_so(name):
    tree = ast.parse(textwrap.dedent(inspect.getsource(FUNCTIONS[name])))
    called = {getattr(node.func, "id", "") for node in ast.walk(tree) if isinstance(node, ast.Call)}
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(tree))
    if raises or any(name.startswith(("check_", "as_generator", "two_samples")) for name in called):
        assert "Raises" in sections(FUNCTIONS[name])
