"""The rules of the course: what a reader meets in every notebook that lets them keep their functions."""

import ast
import functools
import html
import re
import subprocess
import sys
import textwrap

import pytest
from running import FOLDER, kept_names, load_build, made_wrong, run_cells

from tinydiff.course import mine

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[notebooks]'")
pytest.importorskip("jupytext", reason="pip install -e '.[notebooks]'")

if not FOLDER.is_dir():
    pytest.skip("the course is in the repository", allow_module_level=True)
build = load_build()
SOURCES = [source for source in build.sources() if "keep(" in source.read_text(encoding="utf-8")]
LABELS = {"transcribe", "derive", "diagnose", "design", "prove", "open"}
WORDS = {
    "00": 1100,
    "01": 1200,
    "02": 1400,
    "03": 2050,
    "04": 1800,
    "05": 1900,
    "06": 2300,
    "07": 2100,
    "08": 2000,
    "09": 2100,
    "10": 2000,
    "11": 1800,
    "12": 1750,
}
"""The most words of a notebook: together a quarter fewer than its first edition had."""
PALETTE = {"black", "white", "none"}
"""The colours that a notebook may name; all others are those of the palette, by their names."""

of_all = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
both = pytest.mark.parametrize("kind", ["student", "solutions"])


@functools.cache
def read(source):
    return build.read(source)


@functools.cache
def student(source):
    return build.stubbed(build.read(source))


@functools.cache
def executed(source, kind="student"):
    folder = FOLDER if kind == "student" else FOLDER / "solutions"
    return nbformat.read(folder / f"{source.stem}.ipynb", as_version=4)


def texts(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def codes(notebook):
    """What the reader runs: the code cells, but for the install cell."""
    return [cell.source for cell in notebook.cells[2:] if cell.cell_type == "code"]


def sections(source):
    """Label and cells of each exercise, up to the next heading."""
    found = []
    for cell in read(source).cells:
        if heading := re.match(r"#{2,3} (?:Exercise (\d+\.\d+)(?: ☆)? \((\w+)\))?", cell.source):
            found.append((heading[1], heading[2], []))
        if found:
            found[-1][2].append(cell)
    return [section for section in found if section[0]]


# ---- the beats


@of_all
def test_it_opens_with_what_one_needs_and_can_do_afterwards(source):
    opening = read(source).cells[0].source
    assert opening.startswith(f"# {int(source.stem[:2])}. ")
    assert re.search(r"^\*\*.*\?\*\*$", opening, re.MULTILINE), "it asks one question, in bold"
    for words in ("*You need:*", "*Afterwards:*", "*Minutes:*", "colab.research.google.com"):
        assert words in opening


@of_all
def test_it_ends_with_an_open_problem_what_one_knows_and_the_file(source):
    everything = "\n".join(texts(read(source)))
    assert "## What you know now" in everything
    assert "**Next:**" in everything
    assert source.stem.startswith("00") or "(open)" in everything
    assert "mine" in codes(read(source)), "a cell shows how long mine.py is"


@of_all
def test_three_guesses_each_alone_in_its_cell_and_revealed_by_a_later_one(source):
    cells = codes(read(source))
    names = [re.search(r"^(\w+) = guess\(", code, re.MULTILINE) for code in cells]
    asked = [(i, found[1]) for i, found in enumerate(names) if found]
    assert len(asked) >= (2 if source.stem.startswith("00") else 3)
    for i, name in asked:
        assert len(ast.parse(cells[i]).body) == 1
        assert sum(f"{name}.reveal(" in code for code in cells[i + 1 :]) == 1


@of_all
def test_what_answers_a_guess_is_folded_and_nothing_else_is_shown_there(source):
    for kind in ("student", "solutions"):
        for cell in executed(source, kind).cells:
            if ".reveal(" in cell.source:
                (output,) = cell.outputs
                text = output.data["text/html"]
                assert text.startswith("<details><summary>No guess was made.")
                assert text.endswith("</details>")
                assert text.count("<details") == 1


@of_all
def test_sliders_move_a_picture_which_is_still_where_no_kernel_runs(source):
    played = [cell for cell in executed(source).cells if cell.cell_type == "code" and "play(" in cell.source]
    assert played
    for cell in played:
        assert any("image/png" in output.get("data", {}) for output in cell.outputs)
        call = next(n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.Call) and _name(n) == "play")
        assert 1 <= len(call.keywords) <= 3


def _name(call):
    return getattr(call.func, "id", "")


@of_all
def test_it_takes_no_other_name_of_the_course(source):
    imports = [n for code in codes(read(source)) for n in ast.walk(ast.parse(code)) if isinstance(n, ast.ImportFrom)]
    taken = {alias.name for node in imports if node.module == "tinydiff.course" for alias in node.names}
    assert taken <= {"keep", "mine", "credit", "guess", "play", "digits_model", "digits_judge", "unseen_digits"}


# ---- the exercises


@of_all
def test_exercises_are_numbered_labelled_and_each_ends_in_an_answer_to_keep(source):
    found = sections(source)
    chapter = int(source.stem[:2])
    assert [number for number, _, _ in found] == [f"{chapter}.{k}" for k in range(1, len(found) + 1)]
    assert {label for _, label, _ in found} <= LABELS
    for number, _, cells in found:
        assert any(build.is_kept(cell) for cell in cells), number


@of_all
def test_a_cell_keeps_one_answer_in_its_last_line(source):
    for code in codes(read(source)):
        kept = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call) and _name(n) == "keep"]
        assert len(kept) <= 1
        assert not kept or code.rpartition("\n")[2].startswith("keep(")


@of_all
def test_each_exercise_has_its_reasons_in_the_solutions_alone(source):
    for number, _, cells in sections(source):
        reasons = [cell for cell in cells if build.explains(cell)]
        assert reasons, number
        assert reasons[0].source.startswith("**Solution.**"), number
    assert "**Solution.**" not in nbformat.writes(student(source))


@of_all
def test_each_derivation_is_folded_at_the_end(source):
    derived = [number for number, label, _ in sections(source) if label == "derive"]
    folded = re.findall(r"<details>\s*<summary>[^<]*?(\d+\.\d+)", "\n".join(texts(student(source))))
    assert [number for number in derived if number not in folded] == []


# ---- no answer near


def shape(node):
    """An expression without its names: what it does to the first, the second, … name in it."""
    order = {}

    class Anonymous(ast.NodeTransformer):
        def visit_Name(self, name):
            if name.id == "np":
                return name
            return ast.Name(f"v{order.setdefault(name.id, len(order))}", ast.Load())

    return ast.unparse(Anonymous().visit(ast.parse(ast.unparse(node), mode="eval").body))


def formulas(tree, least=4):
    """The shapes of all expressions of at least so many operations and calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and not isinstance(node, ast.JoinedStr | ast.FormattedValue):
            size = sum(isinstance(part, ast.BinOp | ast.Call | ast.UnaryOp) for part in ast.walk(node))
            if size >= least:
                yield shape(node)


@of_all
def test_what_a_derivation_gives_stands_in_no_cell_in_code(source):
    """By the shape of the expression, whatever its names."""
    answers = {}
    for number, label, cells in sections(source):
        for cell in cells if label == "derive" else ():
            for found in build.SOLUTION.finditer(cell.source if cell.cell_type == "code" else ""):
                answers |= dict.fromkeys(formulas(ast.parse(textwrap.dedent(found[2]))), number)
    seen = {text: code for code in codes(student(source)) for text in formulas(ast.parse(code))}
    assert [(number, answer, seen[answer]) for answer, number in answers.items() if answer in seen] == []


def plain(formula):
    """A formula of LaTeX without what only spaces it out."""
    return re.sub(r"\s|\\[,;:! ]|\\q?quad|\\boxed|\\displaystyle|\\(?:big|Big|bigg)[lr]?|\\left|\\right", "", formula)


@of_all
def test_what_a_derivation_gives_stands_in_no_text_as_a_formula(source):
    """The displayed formulas of the folded derivations, sides of equations apart, are nowhere else on the page."""
    whole = "\n".join(texts(student(source)))
    folded = re.findall(r"<details>.*?</details>", whole, re.DOTALL)
    visible = plain(re.sub(r"<details>.*?</details>", "", whole, flags=re.DOTALL))
    last = [re.findall(r"\$\$(.*?)\$\$", text, re.DOTALL) for text in folded if re.search(r"\d+\.\d+", text)]
    sides = [side for shown in last if shown for side in plain(shown[-1]).split("=")[1:]]
    assert [side for side in sides if len(side) > 25 and side.rstrip(".,") in visible] == []


# ---- the words


def sentences(text):
    """The sentences of a text; a formula, a link's address or a piece of code is one word."""
    text = re.sub(r"\$\$.*?\$\$", " F ", text, flags=re.DOTALL)
    text = re.sub(r"\$[^$]*\$", "F", text)
    text = re.sub(r"`[^`]*`", "C", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    text = re.sub(r"<[^>]*>", "\n\n", text)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.) )", text):
        if block.lstrip().startswith(("|", "#")) or "    " in block[:4]:
            continue
        yield from re.split(r"(?<=[.?!:])[\"')*]*\s+", " ".join(block.split()))


@of_all
def test_a_sentence_has_at_most_25_words(source):
    long = [s for text in texts(read(source)) for s in sentences(text) if len(re.findall(r"[\w'’-]+", s)) > 25]
    assert long == []


@of_all
def test_it_is_short(source):
    assert sum(len(text.split()) for text in texts(student(source))) <= WORDS[source.stem[:2]]


@of_all
@both
def test_numbers_in_the_text_come_from_cells(source, kind):
    """Each number with a decimal point stands in what a cell prints, or in the code of one."""
    notebook = executed(source, kind)
    shown = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            shown += output.get("text", "") + "".join(str(v) for k, v in output.get("data", {}).items() if "text" in k)
    known = set(re.findall(r"\d+\.\d+|\.\d+", re.sub(r"data:[\w/+;-]*,[\w+/=]*", "", html.unescape(shown))))
    known |= {number.lstrip("0") for number in known}
    for text in texts(notebook):
        text = re.sub(r"\]\([^)]*\)|(?:Exercise|exercise|of|seed|eqs?\.|§) ?\d+\.\d+", "", text)
        text = re.sub(r"^#{1,3} .*$|<summary>.*?</summary>|arXiv\S*", "", text, flags=re.MULTILINE)
        for number in re.findall(r"(?<![\w.])\d*\.\d+(?![\w.]*\.\d)", text):
            assert number.lstrip("0") in {n.lstrip("0") for n in known}, (number, text)


@of_all
def test_a_colour_says_whose_code_made_the_mark_and_nothing_else(source):
    for code in codes(read(source)):
        assert not re.search(r"#[0-9a-fA-F]{6}|\bCYCLE\b|\bC\d\b(?=['\"])", code)
        for node in ast.walk(ast.parse(code)):
            named = isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant)
            if named and node.arg in ("color", "c", "facecolor", "edgecolor", "colors"):
                assert node.value.value in PALETTE, ast.unparse(node)
            if named and node.arg == "cmap":
                assert ast.literal_eval(node.value) in ("Greys", "gray_r", "Greys_r"), ast.unparse(node)


# ---- what runs


@of_all
def test_with_the_solutions_every_answer_is_right_and_nothing_is_the_librarys(source, tmp_path, monkeypatch):
    """All functions are those that the solutions keep: 03 and 06 draw the ring without the library's stand-ins."""
    build.solve(tmp_path / "mine.py", [other for other in SOURCES if other <= source])
    monkeypatch.setattr(mine, "answers", None)
    verdicts = run_cells(read(source).cells[2:], tmp_path, monkeypatch)
    assert len(verdicts) == len([cell for cell in read(source).cells if build.is_kept(cell)])
    assert [verdict for verdict in verdicts if not verdict] == []


@of_all
def test_untouched_it_runs_and_says_not_yet(source, tmp_path, monkeypatch):
    verdicts = run_cells(student(source).cells[2:], tmp_path, monkeypatch)
    assert verdicts
    assert [repr(verdict) for verdict in verdicts if "not yet" not in repr(verdict)] == []
    assert not (tmp_path / "mine.py").exists()


def wrong_in_turn():
    for source in SOURCES:
        for name in kept_names(read(source).cells):
            quick = () if source.stem.startswith("00") else pytest.mark.slow
            yield pytest.param(source, name, marks=quick, id=f"{source.stem}-{name}")


@pytest.mark.parametrize(("source", "name"), list(wrong_in_turn()))
def test_a_wrong_answer_spoils_nothing(source, name, tmp_path, monkeypatch):
    """The notebook runs to its end, beside a file with the functions of those before."""
    build.solve(tmp_path / "mine.py", [other for other in SOURCES if other < source])
    cells = [cell.copy() for cell in read(source).cells[2:]]
    mark = [i for i, cell in enumerate(cells) if cell.source.rpartition("\n")[2].startswith(f"keep({name}")][-1]
    wrong = made_wrong(cells[mark].source, name)
    if wrong == ast.unparse(ast.parse(cells[mark].source)):
        pytest.skip(f"{name} is no function")
    cells[mark].source = wrong
    verdicts = run_cells(cells, tmp_path, monkeypatch)
    assert not verdicts[[build.is_kept(cell) for cell in cells[: mark + 1]].count(True) - 1]


RING = """
import sys
import numpy as np
import mine
rng = np.random.default_rng(0)
angle = 2 * np.pi * np.arange(8) / 8
weights, means, variances = np.full(8, 1 / 8), 1.4 * np.stack([np.cos(angle), np.sin(angle)], 1), np.full(8, .0125)
betas = np.linspace(1e-4, .02, 100) * 10
x = mine.ancestral(
    lambda x, t: mine.mixture_x0(x, weights, means, variances, t, betas),
    rng.standard_normal((2000, 2)), rng.standard_normal((100, 2000, 2)), betas,
)
assert "tinydiff" not in sys.modules
r = np.hypot(*x.T)
print(abs(r.mean() - 1.4) < .02, .05 < r.std() < .15, np.ptp(np.histogram(np.arctan2(*x.T), 8)[0]) < 100)
"""


def test_mine_py_draws_a_ring_without_the_library(tmp_path):
    build.solve(tmp_path / "mine.py", SOURCES[:4])
    said = subprocess.run(
        [sys.executable, "-c", RING], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert (said.stdout.split(), said.stderr) == (["True"] * 3, "")
