"""The pages of the identities, written from the tests themselves: their docstrings, tolerances, bugs and source."""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from types import ModuleType

from identities.bugs import Bug
from identities.catalogue import Identity, identities, marked
from identities.planted import pages

NAMES = """Adam Bayes Brownian CDF Chapman DDIM DDPM DDPM's DPM EDM ELBO EMA Euler Fisher Fokker Gaussian Gaussians Heun
Hutchinson Jacobian KL Karras Kolmogorov Langevin MMSE Maruyama ODE Planck SDE SNR SciPy Stein Tweedie VE VP W₂"""

INTRODUCTION = """---
hide-toc: true
---

# The identities

Laws of diffusion, each of them a test. *Holds to* is the largest relative error that the test allows, in float64 and
then in float32; a law that is judged in double precision alone says why on its own page. Each is proved to bite:
planted in the library, every mistake that its page lists turns it red. A mistake is another function in the place of
the right one, or an edit of its code, in which `_` is any expression.
"""
REFUTED = """## What is false

Plausible statements, each refuted with its number by a test.
"""
ERRATA = """## Errata of lecture notes

Formulas that are often written and do not hold. Each is a small function in the tests; put in the place of the right
one, it is killed by the identity that the last column names.
"""


def write(folder: Path) -> None:
    """An index with one row for each identity, and a page for each group with the whole of it."""
    folder.mkdir(exist_ok=True)
    groups, refuted = by_module(identities()), by_module(marked("refuted"))
    for module, tests in (groups | refuted).items():
        put(folder / f"{page_of(module)}.md", page(module, tests))
    put(folder / "index.md", index(groups, refuted, marked("erratum")))


def by_module(tests: list[Callable]) -> dict[ModuleType, list[Callable]]:
    """The tests of each module."""
    return {sys.modules[name]: list(group) for name, group in groupby(tests, lambda test: test.__module__)}


def page_of(module: ModuleType) -> str:
    """test_01_forward_kernel → forward-kernel."""
    return re.sub(r".*test_(\d+_)?", "", module.__name__).replace("_", "-")


def title(test: Callable) -> str:
    """What the name of a test states."""
    proper = {name.lower().replace("'", "").replace("₂", "2"): name for name in NAMES.split()}
    words = [proper.get(word, word) for word in test.__name__.split("_")[1:]]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def heading(module: ModuleType) -> tuple[str, str]:
    """The title of a group, and what it is about."""
    name, _, rest = inspect.getdoc(module).split("\n\n")[0].rstrip(".").partition(": ")
    return name, rest[:1].upper() + rest[1:] + "." * bool(rest)


def anchor(test: Callable) -> str:
    """The target of a link to a test."""
    return test.__name__.removeprefix("test_").replace("_", "-")


def statement(test: Callable) -> str:
    """The first paragraph of a docstring."""
    return inspect.getdoc(test).partition("\n\n")[0].replace("\n", " ")


def fields(test: Callable) -> tuple[str, str, str]:
    """(prose, source, what it catches) of a docstring."""
    rest = inspect.getdoc(test).partition("\n\n")[2]
    prose, source, catches = re.fullmatch(r"(.*?)\s*Source: (.*?)\nCatches: (.*)", rest, re.DOTALL).groups()
    return prose, source.replace("\n", " "), catches.replace("\n", " ")


def link(function: Callable) -> str:
    """A function of the library, linked where the site documents it."""
    name = function.__qualname__
    if re.search(r"(^|\.)_(?!_call__)", name):
        return f"`{name}`"
    return f"{{py:obj}}`{name} <{function.__module__}.{name}>`"


def holds(test: Callable) -> str:
    """The tolerances in both precisions."""
    tolerances = test.identity.float64, test.identity.float32
    return ", ".join("–" if isinstance(tol, str) else number(tol) for tol in tolerances)


def number(tolerance: float) -> str:
    """.15 as it is, and 1e-6 rather than 1e-06."""
    return f"{tolerance:.2g}" if tolerance >= 0.01 else f"{tolerance:.0e}".replace("e-0", "e-")


def index(groups: dict, refuted: dict, errata: list) -> str:
    """The page with everything at a glance."""
    lines = [INTRODUCTION]
    for module, tests in groups.items():
        rows = (
            (
                str(t.identity.number),
                statement(t),
                fields(t)[1],
                link(t.identity.about),
                f"{{ref}}`{title(t)} <{anchor(t)}>`",
                holds(t),
            )
            for t in tests
        )
        lines += [
            f"## {heading(module)[0]}\n",
            table("3 43 18 14 15 7", ("", "Statement", "Source", "About", "Test", "Holds to"), rows),
        ]
    lines += [REFUTED]
    for tests in refuted.values():
        rows = ((t.refuted.claim, fields(t)[1], f"{{ref}}`{title(t)} <{anchor(t)}>`") for t in tests)
        lines += [table("45 25 30", ("Claim", "Source", "Test"), rows)]
    lines += [ERRATA]
    rows = ((e.erratum.written, e.erratum.correct, e.erratum.breaks, killer(e)) for e in errata)
    lines += [table("28 30 24 18", ("Often written", "Correct", "What breaks", "Killed by"), rows)]
    names = "\n".join(page_of(module) for module in [*groups, *refuted])
    return "\n".join(lines) + f"\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"


def killer(wrong: Callable) -> str:
    """The identity that kills an erratum, linked."""
    test = next(test for test in identities() if test.identity.number == wrong.erratum.killed_by)
    return f"{{ref}}`{test.identity.number}. {title(test)} <{anchor(test)}>`"


def table(widths: str, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A MyST table whose cells may hold bars and mathematics."""
    cells = "\n".join(
        "\n".join(f"{'* -' if i == 0 else '  -'} {cell}" for i, cell in enumerate(row)) for row in [header, *rows]
    )
    return f"````{{list-table}}\n:header-rows: 1\n:widths: {widths}\n:class: catalogue\n\n{cells}\n````\n"


def page(module: ModuleType, tests: list[Callable]) -> str:
    """One group: each law with its meaning, source, tolerance, bugs and the test itself."""
    return "# {}\n\n{}\n\n".format(*heading(module)) + "\n".join(card(test) for test in tests)


def card(test: Callable) -> str:
    """One law."""
    prose, source, catches = fields(test)
    known = getattr(test, "identity", None)
    lines = [
        f"({anchor(test)})=\n## {f'{known.number}. ' if known else ''}{title(test)}\n",
        *([] if known else [f"*Claim:* {test.refuted.claim}\n"]),
        f"{statement(test)}\n\n{prose}\n",
        f"- *Source:* {source}",
        f"- *Catches:* {catches}",
    ]
    if known:
        lines += [f"- *About:* {link(known.about)}", f"- *Holds to:* {precision(known)}", "- *Turns red when*"]
        lines += [f"  - {entry}" for entry in mistakes(test)]
    code = "\n\n".join([code_of(test), *wrong_functions(test)])
    lines += [f"\n<details><summary>The test</summary>\n\n````python\n{code}````\n\n</details>\n"]
    return "\n".join(lines)


def code_of(test: Callable) -> str:
    """The code of a test, with its decorators."""
    return inspect.getsource(inspect.unwrap(test, stop=lambda f: not hasattr(f, "hypothesis")))


def entries(test: Callable) -> list[tuple[ast.expr, Bug]]:
    """The bugs of an identity, each with how its page of planted bugs writes it."""
    number = test.identity.number
    tree = ast.parse(inspect.getsource(pages()[number]))
    bugs = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "BUGS")
    lists = {key.value: value.elts for key, value in zip(bugs.keys, bugs.values, strict=True)}
    return list(zip(lists[number], test.identity.bugs, strict=True))


def mistakes(test: Callable) -> list[str]:
    """What is wrong in each of the bugs of an identity."""
    return [mistake(written, link(bug.target)) for written, bug in entries(test)]


def mistake(written: ast.expr, place: str) -> str:
    """What is wrong in a bug: another function, or an edit."""
    match written:
        case ast.Tuple([_, wrong]):
            name = ast.unparse(wrong)
            return f"`` {name.rpartition('.')[2] if is_name(wrong) else name} `` answers in the place of {place}"
        case ast.Call(ast.Name("edit"), [_, ast.Constant(right), ast.Constant(wrong)]):
            return f"`` {right} `` is written `` {wrong} `` in {place}"
        case ast.Call(ast.Name("without"), [_, ast.Constant(operand)]):
            return f"`` {operand} `` is left out in {place}"
    raise ValueError(f"a bug is a pair, an edit or a without; got {ast.unparse(written)}")


def wrong_functions(test: Callable) -> list[str]:
    """The code of the functions that the bugs of an identity name."""
    known = entries(test) if hasattr(test, "identity") else []
    named = [bug.wrong for written, bug in known if isinstance(written, ast.Tuple) and is_name(written.elts[1])]
    return [inspect.getsource(wrong) for wrong in dict.fromkeys(named)]


def is_name(node: ast.expr) -> bool:
    """Whether an expression is a name, or a name in a module."""
    return isinstance(node, ast.Name | ast.Attribute)


def precision(known: Identity) -> str:
    """Both tolerances in words."""
    double = f"{number(known.float64)} in float64"
    single = known.float32
    return f"{double} alone: {single}" if isinstance(single, str) else f"{double}, {number(single)} in float32"


def put(path: Path, text: str) -> None:
    """Leave a page that has not changed alone, so that it is not built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
