"""Docstrings of plain text, as reStructuredText with mathematics and numpydoc's sections, made at each build.

The source is a page that students read, so it says everything once, in sentences. For the reference, indented equations
are displayed, tables are tables, "name: what it is" is a parameter, "Raises …" an error, and [sources] references.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from mathematics import ACCENTS, Unclear, latex, pieces

BIBLIOGRAPHY = Path(__file__).parent / "bibliography.md"
TARGETS = re.findall(r"^\(([\w-]+)\)=", BIBLIOGRAPHY.read_text(), re.M) if BIBLIOGRAPHY.exists() else []
PAPERS = {
    "DDPM": "ho2020",
    "DDIM": "song2021ddim",
    "VDM": "kingma2021",
    "CFG": "ho2022",
    "DPM-Solver++": "lu2022b",
    "RePaint": "lugmayr2022",
    "Song et al.": "song2021",
}
"""Targets of sources that are not called by a name and a year, or not by these alone."""
SOURCE = re.compile(r"\[((?:[A-Z][^\W\d_]+|iterated)[ ,][^\[\]]*)\]")
SHAPES = re.compile(r"((?:\w+(?:, | and ))*\w+) (\((?:[A-Z\d]|n,)[^()]*,[^()]*\)|scalar or (?:columns )?\([^()]*\))")
ANSWER = re.compile(r"(?:→ |, )(\((?:[A-Zn\d]|\.\.\.)[^()]*,[^()]*\))")

Section = list[tuple[str, str]]


def translate(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite the lines of a docstring in place."""
    original = "\n".join(lines)
    known = signature(obj)
    shapes = dict(shaped(f"{inspect.getdoc(inspect.getmodule(obj))}\n{original}")) if known else {}
    text, described = parameters(original, known)
    text, raised = errors(text)
    listed = [(of_shape(line, shapes.get(name)), described.get(name, "")) for name, line in known.items()]
    out = [line for block in blocks(text) for line in [*rendered(block), ""]]
    out += section("Parameters", listed) + section(*answer(obj, original)) + section("Raises", raised)
    if found := list(sources(original)):
        title = [".. rubric:: References", ""] if what == "module" else ["References", "----------"]  # as numpydoc does
        out += [*title, *(f"* {source}" for source in found), ""]
    lines[:] = out


def section(title: str, entries: Section) -> list[str]:
    """A section of numpydoc."""
    rows = [line for head, words in entries for line in (head, f"    {inline(sentence(words))}")]
    return [title, "-" * len(title), *rows, ""] if entries else []


def of_shape(head: str, shape: str | None) -> str:
    """The line of an argument, with its shape."""
    return f"{head}, {inline(shape)}" if shape else head


def sentence(words: str) -> str:
    """With a capital, unless it begins with a name, and a full stop."""
    words = words.strip(" ,;")
    capital = words[:1].upper() + words[1:] if re.match("[a-z]+ (?![=,])", words) else words
    return capital + "." * (capital[-1:] not in ("", "."))


def blocks(text: str) -> Iterator[list[str]]:
    """The paragraphs, and the indented blocks, which need no empty line before them."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if block and (not line.strip() or line.startswith("    ") != block[0].startswith("    ")):
            yield block
            block = []
        if line.strip():
            block.append(line)


def rendered(block: list[str]) -> list[str]:
    """A paragraph, a displayed equation or a table; what is none of these stays as it is."""
    if not block[0].startswith("    "):
        return [inline(" ".join(block))]
    for attempt in (displayed, tabled):
        try:
            return attempt([line[4:] for line in block])
        except Unclear:
            continue
    return ["::", "", *block]


def inline(text: str) -> str:
    """Prose: mathematics and `names` in their roles, and no other sign a mark-up."""
    out = ""
    for kind, piece in pieces(text):
        try:
            math = latex(piece) if kind == "math" else ""
        except Unclear:
            math, kind = "", "code"
        if math:
            out += rf"\ :math:`{math}`\ "
        elif kind == "code":
            out += rf"\ ``{piece}``\ "
        else:
            out += re.sub(r"([*|_`\\])", r"\\\1", piece)
    return re.sub(r"^(\\ )+|(\\ )+$", "", out.replace(r"\ \ ", r"\ "))


def displayed(lines: list[str]) -> list[str]:
    """Equations, one to a line, in columns that runs of spaces part. Raises Unclear where a line is none."""
    if len(lines) == 2 and lines[1].startswith("     "):
        return [".. math::", "", f"   {braced(*lines)}"]
    rows = []
    for line in lines:
        first, *more = re.split(r"\s{2,}", line.rstrip())
        if not first or not re.search("[=≤≥←·]", first) or re.search(r"->|[\"@]|\*\*|:$", line):
            raise Unclear(line)
        rows.append([column(each) for each in (first, *more)])
    if len(rows) == 1:
        return [".. math::", "", "   " + r" \qquad ".join(rows[0])]
    body = (r" \\" + "\n   ").join(" & ".join(row) for row in rows).splitlines()
    return [".. math::", "", r"   \begin{array}{lll}", f"   {body[0]}", *body[1:], r"   \end{array}"]


def braced(line: str, names: str) -> str:
    """An equation whose terms have their names below them. Raises Unclear where a name is below no one term."""
    equation, *source = re.split(r"\s{3,}", line.rstrip())
    signs = [
        m.start()
        for m in re.finditer(" [≤=+−] ", equation)
        if equation[: m.start()].count("(") == equation[: m.start()].count(")")
    ]
    spans = list(zip([i + 3 for i in signs], [*signs[1:], len(equation)], strict=True))
    places = [((m.start() + m.end()) / 2, m[0]) for m in re.finditer(r"\S+", names)]
    if len(spans) != len(places) or not all(i <= at <= j for (i, j), (at, _) in zip(spans, places, strict=True)):
        raise Unclear(names)
    terms = (
        rf"{latex(equation[i - 3 : i])} \underbrace{{{latex(equation[i:j])}}}_{{{latex(name)}}}"
        for (i, j), (_, name) in zip(spans, places, strict=True)
    )
    return r" \qquad ".join([latex(equation[: signs[0]]) + " " + " ".join(terms), *map(column, source)])


def column(text: str) -> str:
    """An equation, or words with mathematics among them."""
    if not re.search(r"[^\W\d_]{2,},? [^\W\d_]{3,}|^\[[A-Z]|^so$|: ", re.sub(r"\b(?:ln|exp|sin|cos)\b", "", text)):
        return latex(text)
    runs = groupby(pieces(f" {text}"), lambda piece: piece[0] == "math")
    return "".join(
        latex(words) if math else rf"\text{{{words}}}" for math, run in runs if (words := "".join(w for _, w in run))
    )


def tabled(lines: list[str]) -> list[str]:
    """A table whose columns begin where those of its first line do. Raises Unclear for anything else."""
    grid = [re.findall(rf".[{''.join(ACCENTS)}]*", line) for line in lines]  # ε̂ is one place
    starts = [i for i, sign in enumerate(grid[0]) if sign != " " and not "".join(grid[0][max(i - 3, 0) : i]).strip()]
    if len(lines) < 3 or len(starts) < 2 or any("".join(row[i - 2 : i]).strip() for row in grid for i in starts[1:]):
        raise Unclear(lines[0])
    ends = [*starts[1:], None]
    rows = [[inline("".join(row[i:j]).strip()) for i, j in zip(starts, ends, strict=True)] for row in grid]
    options = ["   :header-rows: 1"] * (not lines[0].startswith('"')) + ["   :widths: auto"]
    cells = [f"   {'-' if i else '* -':>3} {cell}" for row in rows for i, cell in enumerate(row)]
    return [".. list-table::", *options, "", *cells]


def signature(obj: Any) -> dict[str, str]:
    """The parameters of a function, or the fields of a class, by name, each with its type as it is written."""
    node = parsed(obj)
    if isinstance(node, ast.ClassDef):
        made = is_dataclass(obj) or hasattr(obj, "_fields")
        fields = [each for each in node.body if made and isinstance(each, ast.AnnAssign) and each.target.id[0] != "_"]
        if fields:
            return {f.target.id: head(f.target.id, f.annotation, f.value) for f in fields}
        node = next((each for each in node.body if getattr(each, "name", "") == "__init__"), None)
    if node is None:
        return {}
    plain, defaults = [*node.args.posonlyargs, *node.args.args], node.args.defaults
    pairs = [*zip(plain, [None] * (len(plain) - len(defaults)) + defaults, strict=True)]
    pairs += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    found = {a.arg: head(a.arg, a.annotation, default) for a, default in pairs if a.arg not in ("self", "cls")}
    stars = ((stars, a) for stars, a in (("*", node.args.vararg), ("**", node.args.kwarg)) if a)
    return found | {a.arg: head(stars + a.arg, a.annotation, None) for stars, a in stars}


def parsed(obj: Any) -> Any:
    """The syntax tree of a function or a class; None for anything else, and where there is no source."""
    obj = inspect.unwrap(obj)
    if not (inspect.isroutine(obj) or inspect.isclass(obj)):
        return None
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(obj))).body[0]
    except (OSError, TypeError):
        return None


def head(name: str, annotation: ast.expr | None, default: ast.expr | None) -> str:
    """The line of a parameter: x : Array, default: None."""
    kind = ast.unparse(annotation) if annotation else ""
    if isinstance(default, ast.expr) and not isinstance(default, ast.Call):
        kind += f", default: ``{ast.unparse(default)}``"
    return f"{name} : {kind}" if kind else name


def shaped(text: str) -> Iterator[tuple[str, str]]:
    """The shapes that a docstring gives its arrays: x, x0_hat, z (B, D)."""
    for names, shape in SHAPES.findall(text):
        yield from ((name, shape) for name in re.split(", | and ", names))


def parameters(text: str, known: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The text without its lines "name: what it is", and these by name."""
    names, kept, described, current = "|".join(known) or "$.", [], {}, ""
    for line in text.splitlines():
        start = re.match(rf"({names}): (?=\w|\")", line)
        if start or not line.strip() or re.match(r"    |Raises |Shapes: |Evaluations", line):
            current = start[1] if start else ""
        if current:
            described[current] = f"{described.get(current, '')} {line[start.end() :] if start else line}".strip()
        else:
            kept.append(line)
    for name, words in list(described.items()):
        described[name], *more = re.split(rf"; (?=(?:{names}): )", words)
        described |= {other.partition(": ")[0]: other.partition(": ")[2] for other in more}
    return "\n".join(kept), described


def errors(text: str) -> tuple[str, Section]:
    """The text without the sentences that say only what is raised, and what raises which error."""
    kept, raised = [], []
    for paragraph in re.split(r"(\n\n|\n(?=    )|(?<=\S)\n(?=Raises ))", text):
        for sentence in re.split(r"(?<=[.;])(?<!e\.g\.)([ \n])(?=[A-Z\"`]|ValueError)", paragraph):
            if re.match(r"(?:Raises )?[A-Z]\w*Error\b", sentence):
                raised += re.findall(
                    r"([A-Z]\w*Error)\b(.*?)(?=,? (?:or|and) (?:an? )?[A-Z]\w*Error|[.;]?$)", " ".join(sentence.split())
                )
            else:
                kept.append(sentence)
                raised += re.findall(r"(?:[Rr]aises?|or) an? ([A-Z]\w*Error)( [^.;]*)", " ".join(sentence.split()))
    words = re.sub(r";\s*(?=\n\n|$)", ".", "".join(kept).rstrip())
    return words, raised


def answer(obj: Any, text: str) -> tuple[str, Section]:
    """What a function returns or yields: its type, and its shape where the first paragraph ends with one."""
    node = parsed(obj)
    if getattr(node, "returns", None) is None or (kind := ast.unparse(node.returns)) == "None":
        return "Returns", []
    yields = re.fullmatch(r"Iterator\[(.*)\]", kind)
    shape = ANSWER.findall(text.split("\n\n")[0])
    kind = of_shape(yields[1] if yields else kind, shape[-1] if len(shape) == 1 and "Array" in kind else None)
    return ("Yields" if yields else "Returns"), [(kind, "")]


def sources(text: str) -> Iterator[str]:
    """The papers in brackets, each once, linked to the bibliography."""
    found = dict.fromkeys(one for many in SOURCE.findall(" ".join(text.split())) for one in many.split("; "))
    for source in found:
        paper, place = re.fullmatch(r"(.*?\d{4}|[^\d,§]*[^\d,§ ])(.*)", source).groups()
        place = re.sub(r"^[, ]*(?=\d)", ", eq. ", re.sub(r"^ (?=§)", ", ", place))
        named = next((key for name, key in PAPERS.items() if name in source), None)
        author = re.search(r"([A-Z][^\W\d_]+)[^;]*?(\d{4})", source)
        key = named or (f"{author[1]}{author[2]}".lower() if author else "")
        target = key if key in TARGETS else next((each for each in TARGETS if key and each.startswith(key)), "")
        if target:
            yield f":ref:`{paper} <{target}>`{inline(place)}"
        elif BIBLIOGRAPHY.exists():
            yield f":doc:`{paper} </bibliography>`{inline(place)}"
        else:
            yield inline(f"{paper}{place}")
