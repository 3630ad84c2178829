"""A function's own signature, beside that of its specification."""

import inspect
from collections.abc import Callable

from tinydiff.check.probe import Broken
from tinydiff.check.spec import SIGNATURE, Spec


def as_called(fn: Callable, spec: Spec) -> tuple[str, list[str]]:
    """The function's own name and the names of its arguments, so that a call can be pasted beside it."""
    name = getattr(fn, "__name__", "")
    try:
        own = list(inspect.signature(fn).parameters.values())[: len(spec.own_names)]
    except (TypeError, ValueError):
        own = []
    named = len(own) == len(spec.own_names) and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in own)
    return name if name.isidentifier() else spec.name, [p.name for p in own] if named else []


def takes_the_arguments(fn: Callable, spec: Spec) -> None:
    """Broken unless fn can be called with the specification's arguments in their order."""
    if not callable(fn):
        fix = f"Define {spec.name} first; check takes the function itself, without calling it."
        raise Broken(f"{fn!r:.60}", "a function", fix, SIGNATURE)
    try:
        own = inspect.signature(fn)
    except (TypeError, ValueError):  # some functions written in C do not say
        return
    names = list(own.parameters)
    try:
        bound = own.bind(*spec.parameters)
    except TypeError:
        bound = None
    if bound is None or (sorted(names) == sorted(spec.own_names) and names != list(spec.own_names)):
        raise Broken(
            f"{spec.name}{own}", spec.signature, "Take these arguments, in this order, by position.", SIGNATURE
        )
    for name, parameter in bound.arguments.items():
        default, given = own.parameters[name].default, str(parameter).partition("=")[2]
        same = default is None or (isinstance(default, int | float) and default == float(given or "nan"))
        if given and default is not inspect.Parameter.empty and not same:
            raise Broken(f"{name}={default!r}", parameter, "The default is another one.", SIGNATURE)
