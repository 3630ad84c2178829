"""What the notebooks take: the reader's file, the judges of answers, guesses and sliders."""

import base64
import datetime
import itertools
import linecache
import subprocess
import sys
import textwrap
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinydiff import course_answers
from tinydiff.check import check, specs
from tinydiff.course import Credit, Mine, Verdict, credit, guess, keep, play
from tinydiff.course.file import HEADER
from tinydiff.plotting import BUG, EXACT, MODEL, YOURS

NUMBER = itertools.count()
Q_STEP = """
def q_step(x, t, eps, betas):
    # shrink, and add noise
    return np.sqrt(1 - betas[t - 1]) * x + np.sqrt(betas[t - 1]) * eps
"""
WRONG = Q_STEP.replace("np.sqrt(betas[t - 1])", "betas[t - 1]")


def cell(text, **names):
    """The names of a notebook's kernel after a cell of this text, whose lines `inspect` finds."""
    file = f"<cell {next(NUMBER)}>"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    names = {"np": np, **names}
    exec(compile(text, file, "exec"), names)
    return SimpleNamespace(**names)


@pytest.fixture
def mine(tmp_path):
    return Mine(str(tmp_path / "mine.py"))


def alone(path):
    """What the file gives in a Python that knows neither the notebook nor tinydiff."""
    module = ModuleType("mine")
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), vars(module))
    return module


always = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


# ---- what is kept


def test_a_right_function_is_written_with_its_comments_and_is_the_readers_from_then_on(mine):
    assert mine.q_step is course_answers.q_step
    report = keep(cell(Q_STEP).q_step, into=mine)
    assert report
    assert repr(report).endswith("Kept: " + repr(mine))
    assert "mine.py has 1 function, 8 lines." in repr(mine)
    assert "    # shrink, and add noise\n" in mine.text
    assert mine.q_step.__code__.co_filename == str(mine.path)
    assert check(mine.q_step)


def test_the_file_imports_numpy_alone_and_works_without_tinydiff(mine):
    keep(cell(Q_STEP).q_step, into=mine)
    code = "import mine, sys; print(mine.q_step(1.0, 1, 0.0, [0.75]), 'tinydiff' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=mine.path.parent, capture_output=True, encoding="utf-8", check=True
    )
    assert said.stdout.split() == ["0.5", "False"]


@pytest.mark.parametrize("text", [WRONG, "def q_step(x, t, eps, betas):\n    ...\n", "def q_step(x):\n    return x\n"])
def test_a_wrong_one_and_a_stub_are_not(mine, text):
    report = keep(cell(text).q_step, into=mine)
    assert not report
    assert not mine.path.exists()
    assert mine.q_step is course_answers.q_step


def test_a_stub_is_not_yet_without_a_law_and_without_red(mine):
    report = keep(cell("def q_step(x, t, eps, betas):\n    ...\n").q_step, into=mine)
    assert repr(report).startswith("q_step: not yet.")
    assert "law" not in repr(report)
    assert "#c62828" not in report._repr_html_()


def test_a_stricter_specification_may_judge(mine):
    loose = "def ddpm_step(x_t, t, eps_hat, z, betas):\n    beta, left = betas[t - 1], np.prod(1 - betas[:t])\n"
    loose += "    mean = (x_t - beta / np.sqrt(1 - left) * eps_hat) / np.sqrt(1 - beta)\n"
    function = cell(loose + "    return mean + np.sqrt(beta) * z * (t > 1)\n").ddpm_step
    assert keep(function, into=None)
    assert not keep(function, spec="ddpm_step_beta_tilde", into=mine)


def value(text):
    return st.integers(-9, 9).map(lambda k: text.format(k))


def test_a_certificate_has_each_function_with_its_lines_and_says_which_drew_and_which_are_missing(mine):
    keep(cell(Q_STEP).q_step, into=mine)
    mine.write("helper", "def helper(x):\n    return x")
    lines = mine.certificate("q_step", "draw").replace("\N{NO-BREAK SPACE}", " ").splitlines()
    assert lines[0].startswith(f"{mine.path} has 1 of the ")
    assert lines[0].endswith(" functions of the course, and 12 lines.")
    assert lines[2] == " 0  ● q_step (3)"
    assert lines[3] == " 1  − alpha_bar, − q_sample, − diffuse_mixture"
    assert "17  − draw, − my_digits" in lines
    assert lines[-1] == "Your own: helper"


def test_a_certificate_counts_no_function_that_breaks_a_law(mine, capsys):
    mine.path.write_text(HEADER + WRONG, encoding="utf-8")
    assert " 0  −" in mine.certificate()
    assert "breaks a law" in capsys.readouterr().out


BODIES = st.one_of(
    value("    return {} * x\n"),
    value("    # {} times, # as it says\n    return {} * x\n".replace("{}", "{0}")),
    value('    """Of {0}."""\n\n    def inner(y):\n        return {0} * y\n\n    return inner(x)\n'),
    value("    times = {}\n    return sum(times * y for y in [x])\n"),
)
HEADS = st.sampled_from(
    [
        "def {}(x):\n",
        "def {}(x, *, unused=None):\n",
        '@np.errstate(all="ignore")\ndef {}(x):\n',
        "def {}(x) -> float:\n",
    ]
)


@always
@given(
    st.lists(st.tuples(st.sampled_from("fgh"), HEADS, BODIES), min_size=1, max_size=6), st.sampled_from(["", "    "])
)
def test_the_last_of_each_name_is_kept_in_the_place_of_the_first_and_gives_the_same(tmp_path_factory, written, indent):
    """Whatever decorators, comments, defaults and inner functions it has, also where it is made within another."""
    mine = Mine(str(tmp_path_factory.mktemp("course") / "mine.py"))
    last = {}
    for name, head, body in written:
        text = textwrap.indent(head.format(name) + body, indent)
        if indent:
            text = f"def outer():\n{text}\n    return {name}\n\n{name} = outer()\n"
        last[name] = getattr(cell(text), name)
        assert keep(last[name], test=lambda f: f(2) == f(1) * 2, into=mine)
    kept = alone(mine.path)
    assert [name for name in vars(kept) if name in "fgh"] == list(dict.fromkeys(name for name, _, _ in written))
    assert {name: getattr(kept, name)(3) for name in last} == {name: f(3) for name, f in last.items()}
    assert mine.text.count("def f(") <= 1
    assert mine.text.count("import") == 1


@always
@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20), st.integers(1, 5))
def test_what_else_the_file_says_stays(tmp_path_factory, remark, times):
    mine = Mine(str(tmp_path_factory.mktemp("course") / "mine.py"))
    own = f"# {remark}\n\n\ndef helper(x):  # {remark}\n    return {times} * x\n\n\nCONSTANT = {times}\n"
    mine.path.write_text(HEADER + own, encoding="utf-8")
    assert keep(cell("def f(x):\n    return x\n").f, test=callable, into=mine)
    assert keep(cell("def f(x):\n    return 2 * x\n").f, test=callable, into=mine)
    assert mine.text == HEADER + own + "\n\ndef f(x):\n    return 2 * x\n"


def test_a_kept_function_may_call_kept_ones(mine):
    assert keep(cell("def f(x):\n    return 2 * x\n").f, test=callable, into=mine)
    g = cell("def g(x):\n    return f(x) + 1\n").g
    assert keep(g, test=lambda g: g(3) == 7, into=mine)
    assert mine.g(3) == 7


def test_it_may_lean_on_a_stand_in_but_is_not_kept_before_that_is_the_readers_own(mine):
    """By their bare names: the object `mine` is no part of the file."""
    jump = "def q_sample(x0, t, eps, betas):\n    left = {}alpha_bar(betas)[t]\n"
    jump += "    return np.sqrt(left) * x0 + np.sqrt(1 - left) * eps\n"
    text = "def alpha_bar(betas):\n    return np.concatenate([[1.0], np.cumprod(1 - betas)])\n"
    for before in ("", "mine."):
        verdict = keep(cell(jump.format(before), mine=mine).q_sample, into=mine)
        assert "It is right." in repr(verdict)
        assert "a kept function by its bare name" in repr(verdict)
    assert keep(cell(text).alpha_bar, into=mine)
    assert keep(cell(jump.format("")).q_sample, into=mine)


LEANING = {
    "a name of the notebook": "left = 1.0\ndef f(x):\n    return left * x\n",
    "one in an inner function": "left = 1.0\ndef f(x):\n    return [left * y for y in [x]][0]\n",
    "a function of the notebook": "def left(x): return x\ndef f(x):\n    return left(x)\n",
    "a default of the notebook": "left = 1.0\ndef f(x, k=left):\n    return k * x\n",
    "a decorator of the notebook": "def left(f): return f\n@left\ndef f(x):\n    return x\n",
    "a closure": "def outer(left):\n    def f(x):\n        return left * x\n    return f\nf = outer(1.0)\n",
    "within a decorator": "left = 1.0\n@np.errstate(all='ignore')\ndef f(x):\n    return left * x\n",
    "an annotation": "left = int\ndef f(x: left):\n    return x\n",
}


@pytest.mark.parametrize("text", LEANING.values(), ids=LEANING.keys())
def test_what_leans_on_the_notebook_is_refused_by_the_name_of_what_is_missing(mine, text):
    mine.path.write_text(HEADER, encoding="utf-8")
    verdict = keep(cell(text).f, test=callable, into=mine)
    assert not verdict
    assert "left" in repr(verdict)
    assert mine.text == HEADER


def test_a_lambda_and_a_function_without_lines_are_refused(mine):
    assert "def" in repr(keep(cell("f = lambda x: x\n").f, test=callable, into=mine))
    assert not keep(eval("lambda x: x"), test=callable, into=mine)
    assert not keep(np.sqrt, test=callable, into=mine)
    assert not mine.path.exists()


def test_a_file_with_a_slip_is_left_as_it_is_and_the_line_named(mine, capsys):
    mine.path.write_text("import numpy as np\n\ndef f(x:\n    return x\n", encoding="utf-8")
    before = mine.text
    assert "line 3" in repr(keep(cell(Q_STEP).q_step, into=mine))
    assert mine.text == before
    assert mine.q_step is mine.q_step is course_answers.q_step
    assert capsys.readouterr().out.count("The library stands in") == 1
    assert "has 1 function" in repr(mine)


def test_a_file_in_another_encoding_spoils_no_figure_and_stays(mine, capsys):
    content = HEADER.encode() + "# für mich\n".encode("cp1252")
    mine.path.write_bytes(content)
    assert mine.q_step is course_answers.q_step
    assert "The library stands in" in capsys.readouterr().out
    assert not keep(cell(Q_STEP).q_step, into=mine)
    assert mine.path.read_bytes() == content
    assert base64.b64encode(content).decode() in mine._repr_html_()


def test_a_mark_at_the_beginning_of_the_file_as_editors_of_windows_leave_it_is_no_part_of_it(mine):
    mine.path.write_text(HEADER + Q_STEP, encoding="utf-8-sig")
    assert mine.q_step is not course_answers.q_step


def test_a_function_that_was_made_wrong_in_the_file_draws_nothing(mine, capsys):
    mine.path.write_text(HEADER + WRONG, encoding="utf-8")
    assert mine.q_step is course_answers.q_step
    assert credit("q_step", of=mine).color == EXACT
    assert "The library stands in for q_step" in capsys.readouterr().out
    mine.path.write_text(HEADER + Q_STEP, encoding="utf-8")
    assert mine.q_step is not course_answers.q_step


def test_without_stand_ins_what_is_missing_is_an_error(mine):
    mine.answers = None
    with pytest.raises(AttributeError, match="has no function q_step"):
        mine.q_step  # noqa: B018


# ---- answers that a test judges


def test_each_part_of_an_answer_has_a_sentence_and_half_is_half(mine):
    def both(line, number):
        yield line == 2, f"the line {line}"
        yield number > 3, f"{number} is more than 3"

    verdict = keep(2, 1.0, test=both, into=mine)
    assert (bool(verdict), verdict.points) == (False, 0.5)
    assert repr(verdict) == "both:\n✓ the line 2\n✗ 1.0 is more than 3"
    assert "#c62828" in verdict._repr_html_()
    assert keep(2, 4.0, test=both, into=mine)
    assert not mine.path.exists()


@pytest.mark.parametrize("answers", [(..., 4.0), (2, ...), (lambda x: ..., 2)])
def test_an_answer_with_a_hole_is_not_yet(answers):
    verdict = keep(*answers, test=lambda *parts: 1 / 0)
    assert repr(verdict) == "<lambda>: not yet."
    assert "#8a8a8a" in verdict._repr_html_()


def test_a_test_may_be_true_or_false_and_what_is_raised_is_said():
    assert keep(1, test=lambda k: k == 1)
    assert not keep(2, test=lambda k: k == 1)
    assert "ZeroDivisionError: division by zero" in repr(keep(0, test=lambda k: 1 / k))


def test_one_function_is_needed_where_no_test_is():
    for answers in ((1.0,), (np.sin, np.cos), ()):
        with pytest.raises(TypeError, match="keep takes one function"):
            keep(*answers)


def test_what_is_no_function_and_no_name_is_an_error(mine):
    with pytest.raises(TypeError, match="test must be a function"):
        keep(1, test="x")
    with pytest.raises(TypeError, match="try_ takes functions"):
        mine.try_(None)
    with pytest.raises(ValueError, match="got none"):
        credit(of=mine)


def test_a_verdict_nobody_takes_is_printed(capsys):
    keep(1, test=lambda k: k == 1)
    assert capsys.readouterr().out == "<lambda>:\n✓ It passes its test.\n"


# ---- whose figure


def test_the_colour_and_the_title_say_whose_functions_drew(mine):
    assert credit("q_step", of=mine) == Credit(EXACT, "by the library: your q_step is not there yet")
    assert credit("q_step", "f", of=mine, library=MODEL).color == MODEL
    keep(cell(Q_STEP).q_step, into=mine)
    assert credit("q_step", of=mine) == Credit(YOURS, "by your q_step")
    assert credit("q_step", "f", of=mine) == Credit(EXACT, "by the library: your f is not there yet")


def test_what_is_tried_draws_as_it_is_in_purple_until_it_is_right(mine):
    keep(cell(Q_STEP).q_step, into=mine)
    wrong = cell(WRONG).q_step
    mine.try_(wrong)
    assert mine.q_step is wrong
    assert credit("q_step", of=mine).color == BUG
    mine.try_()
    assert credit("q_step", of=mine).color == YOURS
    mine.try_(wrong)
    keep(cell(Q_STEP).q_step, into=mine)
    assert credit("q_step", of=mine).color == YOURS


@pytest.mark.parametrize("name", [name for name in specs() if hasattr(course_answers, name)])
def test_a_stand_in_obeys_the_laws_that_the_readers_must(name):
    assert check(getattr(course_answers, name), name)


def test_whatever_a_notebook_keeps_has_a_stand_in():
    assert len([name for name in specs() if hasattr(course_answers, name)]) == 51


# ---- the file comes and goes


def test_the_file_downloads_as_it_is(mine):
    keep(cell(Q_STEP).q_step, into=mine)
    data = mine._repr_html_().partition("base64,")[2].partition('"')[0]
    assert base64.b64decode(data).decode() == mine.text


def test_in_colab_the_file_is_asked_for_and_one_that_is_no_python_is_refused(mine, monkeypatch, capsys):
    files = SimpleNamespace(upload=lambda: {"mine.py": (HEADER + Q_STEP).encode()})
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace(files=files))
    mine.upload()
    assert "has 1 function" in capsys.readouterr().out
    files.upload = lambda: {"mine.py": b"def f(:"}
    with pytest.raises(SyntaxError):
        mine.upload()
    assert mine.text == HEADER + Q_STEP


def test_elsewhere_a_button_takes_it(mine, monkeypatch, capsys):
    widgets = pytest.importorskip("ipywidgets", reason="pip install -e '.[notebooks]'")
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    mine.upload()
    (button,) = shown
    assert isinstance(button, widgets.FileUpload)
    file = {"name": "mine.py", "type": "", "size": 1, "last_modified": datetime.datetime.now(datetime.UTC)}
    button.value = [file | {"content": memoryview(HEADER.encode())}]
    assert mine.path.read_text(encoding="utf-8") == HEADER


# ---- guesses and sliders


@pytest.mark.parametrize(
    ("yours", "truth", "words"),
    [
        (..., 2.0, "It is 2 nats."),
        (1.5, 2.0, "You guessed 1.5 nats: off by 0.5 nats. It is 2 nats."),
        (20.0, 2.0, "You guessed 20 nats: off by a factor of 10. It is 2 nats."),
        (-1.0, 2.0, "You guessed -1 nats: off by 3 nats. It is 2 nats."),
    ],
)
def test_a_guess_is_held_against_the_answer(yours, truth, words):
    assert guess("How much?", yours, "nats").compared(truth) == words


def test_choices_are_right_or_not():
    which = guess("Which?", ["a", "b"])
    assert which.compared("a") == "It is a."
    which.choose("b")
    assert which.compared("a") == "You guessed b: not so. It is a."
    with pytest.raises(ValueError, match="one of the choices"):
        which.reveal("c")


@pytest.mark.parametrize("yours", ["much", None, True, float("nan"), [1, 2], np.array([])])
def test_a_guess_is_a_number(yours):
    with pytest.raises(TypeError, match="a guess is a number"):
        guess("How much?", yours)


@pytest.fixture
def displayed(monkeypatch):
    pytest.importorskip("ipywidgets", reason="pip install -e '.[notebooks]'")
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append((data, options)))
    return shown


def figure():
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1))


def test_the_answer_is_folded_until_there_is_a_guess_and_nothing_of_it_stands_outside(displayed):
    for yours, start in ((..., "<details><summary>No guess was made."), (1.0, "<details open><summary>The answer")):
        guess("How much?", yours).reveal(2.0, "It is `two`, a < b.", figure(), "a line of two", table="x  y")
        html = displayed.pop()[0].data
        assert html.startswith(start)
        assert html.endswith("</details>")
        for part in ('alt="a line of two"', "data:image/png;base64,", "<code>two</code>, a &lt; b", "<pre>x  y</pre>"):
            assert part in html


def test_a_picture_needs_words(displayed):
    with pytest.raises(ValueError, match="alt must say"):
        guess("How much?").reveal(2.0, picture=figure())
    with pytest.raises(ValueError, match="alt must say"):
        play(lambda t: figure(), "", t=(0, 2, 1))


def test_sliders_redraw_and_a_still_picture_is_there_without_a_kernel(displayed, monkeypatch):
    import ipywidgets

    drawn, boxes = [], []
    whole = ipywidgets.VBox
    monkeypatch.setattr(ipywidgets, "VBox", lambda parts: boxes.append(whole(parts)) or boxes[-1])

    def draw(t, width):
        drawn.append((t, width))
        return figure()

    play(draw, "a curve at t = 1", t=(0, 2, 1), width=(0.0, 1.0, 0.5))
    ((bundle, options),) = displayed
    assert drawn == [(1, 0.5)]
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert options["metadata"] == {"image/png": {"alt": "a curve at t = 1"}}
    assert "application/vnd.jupyter.widget-view+json" in bundle
    t, width, image = boxes[0].children
    t.value, width.value = 2, 0.25
    assert bytes(image.value).startswith(b"\x89PNG")
    assert drawn[1:] == [(2, 0.5), (2, 0.25)]


def test_a_verdict_without_parts_is_false():
    assert not Verdict("nothing")
    assert Verdict("nothing").points == 0
