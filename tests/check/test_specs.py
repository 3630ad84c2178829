"""Every specification catches its mistakes, passes what is right, and has no law that catches nothing."""

import ast
import re
from itertools import islice

import numpy as np
import pytest
from right import ANSWERS, asked, seen

from tinydiff.check import check, engine, judging, spec, specs
from tinydiff.check.form import in_tuple, scaled
from tinydiff.check.judging import judge
from tinydiff.check.letters import LETTERS
from tinydiff.check.probe import Broken

MISTAKES = [(name, mistake) for name in specs() for mistake in spec(name).mistakes]
RIGHT = [(name, i) for name in specs() for i in range(len(ANSWERS[name]))]
every_spec = pytest.mark.parametrize("name", specs())


@every_spec
def test_a_specification_has_a_source_an_equation_and_five_mistakes_or_more(name):
    assert any(c.isdigit() for c in spec(name).source)
    assert spec(name).statement
    assert len(spec(name).mistakes) >= 5


def pasted(function, case):
    """What each of the pasted calls gives, with the arguments by position, or None where it raises."""
    found, name = [], re.search(r"(\w+)\(", case)[1]
    names = {"np": np, name: lambda *args, **named: function(*args, *named.values())}
    for line in ast.parse(case).body:
        try:
            with np.errstate(all="ignore"):
                if isinstance(line, ast.Expr):
                    found.append(numbers(eval(ast.unparse(line), names)))
                else:
                    exec(ast.unparse(line), names)
        except Exception:
            found.append(None)
    return found


def numbers(answer):
    """All arrays of an answer, those in lists too."""
    if isinstance(answer, tuple | list):
        return [array for one in answer for array in numbers(one)]
    return [answer]


def differ(one, other):
    """Whether two answers are not the same numbers, or one is none."""
    if one is None or other is None or len(one) != len(other):
        return True
    return not all(np.shape(a) == np.shape(b) and judging.agree(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("name", "mistake"), MISTAKES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(MISTAKES)])
def test_a_mistake_is_caught_and_named_and_who_pastes_the_calls_sees_it(name, mistake):
    report, right = check(mistake.function, name), ANSWERS[name][0]
    assert not report.passed
    assert f"onsistent with {mistake.words}" in report.hint or f"or with {mistake.words}" in report.hint
    seen_by_eye = "digits" not in report.what
    assert not seen_by_eye or any(map(differ, pasted(mistake.function, report.case), pasted(right, report.case)))


@pytest.mark.parametrize(("name", "i"), RIGHT)
def test_what_is_right_passes(name, i):
    """The library's own functions too, on the small cases."""
    report = check(ANSWERS[name][i])
    assert report.passed, report
    assert len(report.held) == 1 + len(spec(name).laws)  # and the signature


@pytest.mark.parametrize(
    ("name", "i", "examples"),
    [*((name, 0, 5) for name in specs()), *(pytest.param(name, i, 100, marks=pytest.mark.slow) for name, i in RIGHT)],
)
def test_what_is_right_passes_on_drawn_cases(name, i, examples, monkeypatch):
    """On so many of each law; a second right answer on many alone."""
    monkeypatch.setattr(engine, "EXAMPLES", examples)
    report = check(ANSWERS[name][i], level="deep")
    assert report.passed, report


# ---- wrong in form, or by one part in ten thousand, whatever the function is


def on_outputs(change):
    """A mistake that changes what the right answer returns."""

    def wrong(right):
        def function(*args):
            out = right(*args)
            return tuple(map(change, out)) if isinstance(out, tuple | list) else change(out)

        return function

    return wrong


def spoils_its_arguments(right):
    def function(*args):
        out = right(*args)
        for a in numbers(args):
            if isinstance(a, np.ndarray):
                a += a.dtype.type(1)
        return out

    return function


def remembers(right):
    calls = []

    def function(*args):
        calls.append(args)
        return on_outputs(lambda out: out + len(calls))(right)(*args)

    return function


def float32_inside(right):
    def rounded(a):
        if isinstance(a, list):
            return [rounded(one) for one in a]
        return np.float64(np.float32(a)) if np.asarray(a).dtype == float else a

    return lambda *args: right(*map(rounded, args))


FORMS = {
    "nothing": on_outputs(lambda out: None),
    "a list": on_outputs(lambda out: np.asarray(out).tolist() if np.ndim(out) else [out]),
    "a string": on_outputs(str),
    "one axis more": on_outputs(lambda out: np.asarray(out)[None, None, None]),
    "float32": on_outputs(np.float32),
    "float32 inside": float32_inside,
    "NaN": on_outputs(lambda out: out * np.nan),
    "spoiled arguments": spoils_its_arguments,
    "a memory": remembers,
    "the first row for all": on_outputs(lambda out: out * 0 + np.asarray(out)[:1] if np.ndim(out) else out),
    "an offset": on_outputs(lambda out: out + 0.001),
}


def through(change):
    """The change of a right function, as laws see it: of its pullback too."""
    return lambda right: asked(right.__name__, change(seen(right.__name__, right)))


FORMS = {words: through(form) for words, form in FORMS.items()}


@every_spec
def test_every_law_catches_a_mistake(name):
    subject, right = spec(name), ANSWERS[name][0]
    forms, mistakes = [form(right) for form in FORMS.values()], [mistake.function for mistake in subject.mistakes]
    for law in subject.laws:
        wrong = forms + mistakes if law.of_form else mistakes + forms
        tries = ((function, every) for every in (10, 1) for function in wrong)  # on a tenth of the cases, and on all
        assert any(breaks(law, subject, *each) for each in tries), law.statement


@every_spec
def test_float32_inside_is_found_and_said(name):
    assert "float32" in check(FORMS["float32 inside"](ANSWERS[name][0]), name).hint


GREEK = re.compile("[α-ωᾱ][\u0300-\u036f]*|x\u0302_0")


@every_spec
def test_a_letter_means_what_the_specification_or_the_table_says(name):
    """DDPM's α_t is spelled 1 − β_t, λ is the log-SNR and s a time, as in the course."""
    known = "".join([*LETTERS, spec(name).statement, spec(name).about, "πφΣ"])
    for text in [*(law.statement for law in spec(name).laws), *(mistake.words for mistake in spec(name).mistakes)]:
        assert not [letter for letter in GREEK.findall(text) if letter not in known], text
    texts = [repr(spec(name)), *(mistake.words for mistake in spec(name).mistakes)]
    assert not re.search("∇ log|score s" + "|α_t|α_{t" * ("betas" in spec(name).names), " ".join(texts))


def breaks(law, subject, function, every=1):
    """Whether this law by itself, without those before it, is broken by the function, in every case or every tenth."""
    probe = subject.probe(function)
    try:
        for case in islice(judging.cases(subject, law), 0, None, every):
            judge(law, probe, case)
    except Broken as broken:
        return broken.law == law.statement
    return False


def argument_off(right, at):
    """The function that sees one argument a ten-thousandth too large."""

    def function(*args):
        args = list(args)
        value = args[at]
        args[at] = (lambda *a: 1.0001 * value(*a)) if callable(value) else scaled(value, 1.0001)
        return right(*args)

    return function


def output_off(right, at):
    """The function one of whose outputs is a ten-thousandth too large."""

    def function(*args):
        out = [one * 1.0001 if i == at else one for i, one in enumerate(in_tuple(right(*args)))]
        return tuple(out) if len(out) > 1 else out[0]

    return function


CANCELS = [
    ("consistency_output", "f"),  # another c_out, which is right too
    ("consistency_output", "sigma_data"),  # as f
    ("dpm_solver_2m_step", "sigma"),  # in σ_s/σ_t and in differences of λ
    ("elbo_step", "x_t"),  # in the difference of the means
    ("mixture_x0", "weights"),  # in r_k, whose sum is 1
    ("multistep_step", "sigma"),  # as in dpm_solver_2m_step
    ("newton_schulz", "m"),  # in m/‖m‖
]


def coefficients(name):
    """Each continuous argument and each output off by one part in ten thousand."""
    subject, right = spec(name), seen(name, ANSWERS[name][0])
    first = next(judging.cases(subject, subject.laws[0]))
    for at, argument in enumerate(subject.names):
        discrete = np.asarray(numbers(first[argument])[0]).dtype.kind in "ib"
        if not discrete and (name, argument) not in CANCELS:
            yield argument, asked(name, argument_off(right, at))
    for at, output in enumerate(subject.returns):
        yield output, asked(name, output_off(right, at))


@every_spec
def test_a_coefficient_off_by_one_part_in_ten_thousand_is_caught(name, monkeypatch):
    """By a number; what else the hint would say is not sought."""
    monkeypatch.setattr(engine, "with_hint", lambda broken, *about: broken)
    for where, function in coefficients(name):
        report = check(function, name)
        assert not report.passed, where
        assert not isinstance(report.yours, str), report  # a number, and no complaint about an argument
