"""Bugs, planted in a function of the library for all who hold a reference to it.

A bug is one of two things. Where the mistake shows in what a function takes or gives, it is a pair (function, wrong) of
the right function and another, wrong(right, *args, **kwargs), that answers in its place:

    def beta_for_beta_tilde(right, now, then):
        c_t, c_0, _ = right(now, then)
        return c_t, c_0, td.transition(now, then)[1]

    (td.posterior, beta_for_beta_tilde)
    (td.posterior, with_output(2, np.sqrt))
    (td.velocity, scaled(2))

Where the mistake lies inside a longer function, it is an edit of the function's syntax tree, which no line break,
comment or parenthesis disturbs:

    edit(td.ddim_step, "eta**2 * _", "eta * _")
    without(td.ddim_step, "z")
"""

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import CodeType, FunctionType
from typing import Any


@dataclass(frozen=True)
class Bug:
    """A function of the library, and what makes a wrong one of the right one."""

    function: Any
    spoil: Callable[[Callable], Callable]
    wrong: Callable | None = None
    """Of a pair, what answers for the function."""

    @property
    def target(self) -> Callable:
        """The plain function, inside a property or a class method too."""
        return plain(self.function)

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The function is the wrong one, for all who hold a reference to it."""
        with replaced(self.target, self.spoil(_copied(self.target))):
            yield


def bug(function: Any, wrong: Callable) -> Bug:
    """The bug of a pair: wrong(right, *args, **kwargs) answers for the function, right is the function as it was."""
    return Bug(function, lambda right: partial(wrong, right), wrong)


def plain(function: Any) -> Callable:
    """The function that a property, a cached property, a class method or a bound method calls."""
    return next((inner for name in ("fget", "func", "__func__") if (inner := getattr(function, name, None))), function)


@contextmanager
def replaced(function: Any, other: Callable) -> Iterator[None]:
    """The function calls another in its place, for all who hold a reference to it."""
    function = plain(function)
    names = function.__code__.co_freevars  # a function may only get code that closes over as many variables
    text = f"def planted(*args, __planted, **kwargs): return __planted(*args, **kwargs); {', '.join(names)}"
    signature = inspect.signature(function)
    before = function.__code__, function.__defaults__, function.__kwdefaults__
    function.__code__ = _compiled(ast.parse(text).body[0], function)
    function.__defaults__, function.__kwdefaults__ = None, {"__planted": other}
    function.__signature__ = signature
    try:
        yield
    finally:
        function.__code__, function.__defaults__, function.__kwdefaults__ = before
        vars(function).pop("__signature__", None)


# wrong functions of the right one


def scaled(k: float) -> Callable:
    """The answer times k."""
    return with_answer(lambda answer: k * answer)


def with_answer(f: Callable) -> Callable:
    """The f of the answer."""
    return lambda right, *args, **kwargs: f(right(*args, **kwargs))


def with_output(i: int, f: Callable) -> Callable:
    """The right answers, but for the f of the i-th of them."""
    return with_answer(lambda answers: tuple(f(answer) if j == i else answer for j, answer in enumerate(answers)))


def with_argument(name: str, f: Callable) -> Callable:
    """The answer to the f of an argument, whether or not the caller left it at its default."""

    def change(arguments: dict[str, Any]) -> None:
        arguments[name] = f(arguments[name])

    return _with_arguments(change)


def exchanged(name: str, other: str) -> Callable:
    """The answer to two arguments, each in the place of the other."""

    def change(arguments: dict[str, Any]) -> None:
        arguments[name], arguments[other] = arguments[other], arguments[name]

    return _with_arguments(change)


def only_for(cls: type, wrong: Callable) -> Callable:
    """A wrong method for objects of one class, where several inherit it."""

    def method(right: Callable, self: Any, *args: Any, **kwargs: Any) -> Any:
        return wrong(right, self, *args, **kwargs) if isinstance(self, cls) else right(self, *args, **kwargs)

    return method


def _with_arguments(change: Callable[[dict[str, Any]], None]) -> Callable:
    def wrong(right: Callable, *args: Any, **kwargs: Any) -> Any:
        call = inspect.signature(right).bind(*args, **kwargs)
        call.apply_defaults()
        change(call.arguments)
        return right(*call.args, **call.kwargs)

    return wrong


# edits of the syntax tree


def edit(function: Any, right: str, wrong: str) -> Bug:
    """The expression, or statement, `right` is written `wrong`; by its structure it must stand once in the function.

    `_` in `right` is any expression, the same wherever it stands, and is that expression in `wrong`; so are `__` and
    `___`. As Python groups from the left, a * b * c holds a * b and not b * c; `_ * c` finds it.
    """
    pattern, written = _parsed(right), _parsed(wrong)
    if isinstance(pattern, ast.stmt) != isinstance(written, ast.stmt):
        pattern, written = (each if isinstance(each, ast.stmt) else ast.Expr(each) for each in (pattern, written))

    def edited(node: ast.AST) -> ast.AST | None:
        bound: dict[str, ast.AST] = {}
        return _Filled(bound).visit(copy.deepcopy(written)) if _matches(pattern, node, bound) else None

    return Bug(function, lambda f: _edited(f, edited, right))


def without(function: Any, operand: str) -> Bug:
    """The term, factor, divisor or exponent that stands once in the function is left out; of a − b or a/b all else."""
    pattern = _parsed(operand)

    def edited(node: ast.AST) -> ast.AST | None:
        if not isinstance(node, ast.BinOp):
            return None
        if _matches(pattern, node.right, {}):
            return node.left
        if _matches(pattern, node.left, {}):
            rest = {ast.Sub: "-_", ast.Div: "1 / _"}.get(type(node.op), "_")
            return _Filled({"_": node.right}).visit(_parsed(rest))
        return None

    return Bug(function, lambda f: _edited(f, edited, operand))


def _parsed(text: str) -> ast.AST:
    (statement,) = ast.parse(textwrap.dedent(text)).body
    return statement.value if isinstance(statement, ast.Expr) else statement


def _is_wildcard(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and not node.id.strip("_")


def _matches(pattern: Any, node: Any, bound: dict[str, ast.AST]) -> bool:
    """Whether two trees are the same but for wildcards, which are bound; a name read is the same as a name written."""
    if _is_wildcard(pattern):
        return isinstance(node, ast.expr) and _matches(bound.setdefault(pattern.id, node), node, {})
    if isinstance(pattern, list):
        return len(pattern) == len(node) and all(_matches(*pair, bound) for pair in zip(pattern, node, strict=True))
    if not isinstance(pattern, ast.AST):
        return type(pattern) is type(node) and pattern == node
    return type(pattern) is type(node) and all(
        _matches(getattr(pattern, name), getattr(node, name), bound) for name in pattern._fields if name != "ctx"
    )


class _Filled(ast.NodeTransformer):
    """Puts what the wildcards are bound to in their place."""

    def __init__(self, bound: dict[str, ast.AST]) -> None:
        self.bound = bound

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return copy.deepcopy(self.bound[node.id]) if _is_wildcard(node) else node


class _Edited(ast.NodeTransformer):
    """Puts `change(node)` in the place of each node for which it gives one; their number is `count`."""

    def __init__(self, change: Callable[[ast.AST], ast.AST | None]) -> None:
        self.change, self.count = change, 0

    def visit(self, node: ast.AST) -> ast.AST:
        is_target = isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
        new = None if is_target else self.change(node)
        self.count += new is not None
        self.generic_visit(node)
        return node if new is None else ast.copy_location(new, node)


def _edited(function: Callable, change: Callable[[ast.AST], ast.AST | None], text: str) -> Callable:
    """The function of a changed syntax tree, with the defaults, globals and closure of the right one."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    ast.increment_lineno(definition, function.__code__.co_firstlineno - 1)
    editor = _Edited(change)
    editor.generic_visit(definition)
    assert editor.count == 1, f"{text!r} must stand once in {function.__qualname__}, not {editor.count} times"
    return _copied(function, _compiled(definition, function))


def _compiled(definition: ast.FunctionDef, function: Callable) -> CodeType:
    """The code of a definition that stands where the function stands: the free variables are those of the function."""
    definition.decorator_list = []
    names = function.__code__.co_freevars
    (scope,) = ast.parse("def scope():\n    pass").body
    scope.body = [*(ast.parse(f"{name} = None").body[0] for name in names), definition]
    module = ast.fix_missing_locations(ast.Module([scope], type_ignores=[]))
    future = function.__code__.co_flags & 0x1000000  # from __future__ import annotations
    code = compile(module, inspect.getfile(function), "exec", flags=future, dont_inherit=True)
    for name in ("scope", definition.name):
        code = next(part for part in code.co_consts if isinstance(part, CodeType) and part.co_name == name)
    return code


def _copied(function: Callable, code: CodeType | None = None) -> Callable:
    """The function under another identity, with other code if given."""
    code = code or function.__code__
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    other = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    other.__kwdefaults__, other.__qualname__ = function.__kwdefaults__, function.__qualname__
    return other
