"""What `make mutants` counts, and that its list of equivalent mutants is of lines that stand."""

import ast
import inspect
import pkgutil
import textwrap
from operator import attrgetter

import pytest
from mutation import equivalent, is_mathematics

import tinydiff


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ("a + b", "a - b", True),
        ("a**2", "a**3", True),
        ("x[:, 1]", "x[:, 2]", True),
        ("a < b", "a <= b", True),
        ("a and b", "a or b", True),
        ("-a", "+a", True),
        ("not a", "a", True),
        ("f(keepdims=True)", "f(keepdims=False)", True),
        ("a if b else c", "a if (b) and False else c", True),
        ("s += a", "s = a", True),
        ("zip(a, b, strict=True)", "zip(a, b, strict=False)", False),
        ("'beta'", "'XXbetaXX'", False),
        ("f(a, b)", "f(None, b)", False),
        ("f(a, b)", "f(b)", False),
        ("f(a + 1)", "f(None)", False),
        ("y = a", "y = None", False),
        ("lambda x: x", "lambda x: None", False),
        ("f'{a + 1}'", "f'{a - 1}'", False),
        ("raise ValueError(a + 1)", "raise ValueError(a - 1)", False),
        ("warnings.warn('', stacklevel=2)", "warnings.warn('', stacklevel=3)", False),
    ],
)
def test_operators_constants_comparisons_and_conditions_count(before, after, counts):
    assert is_mathematics(ast.parse(before), ast.parse(after)) == counts


@pytest.mark.parametrize("key", sorted(equivalent()), ids=lambda key: key[0])
def test_an_equivalent_mutant_is_of_a_line_that_stands(key):
    function, before, after = key
    modules = {m.name for m in pkgutil.walk_packages(tinydiff.__path__, "tinydiff.")}
    module = max((m for m in modules if f"tinydiff.{function}.".startswith(f"{m}.")), key=len)
    found = attrgetter(f"tinydiff.{function}".removeprefix(f"{module}."))(__import__(module, fromlist=["_"]))
    source = textwrap.dedent(inspect.getsource(found))
    assert before != after
    assert before in {line.strip() for line in source.splitlines()} | {ast.unparse(ast.parse(source).body[0].args)}
