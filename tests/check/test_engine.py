"""The check itself: what it finds, what it says, and that nothing a function does can hurt it."""

import importlib.util
import os
import subprocess
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest
from right import ANSWERS

from tinydiff.check import LawBroken, Report, check, domains, judging, probe, spec, specs
from tinydiff.check.report import spelled

RIGHT = {name: answers[0] for name, answers in ANSWERS.items()}


def q_sample(x0, t, eps, betas):
    """An erratum of lecture notes: 1 − β_t for ᾱ_t."""
    alpha = 1 - betas[t - 1]
    return np.sqrt(alpha) * x0 + np.sqrt(1 - alpha) * eps


def breaks(function, name="q_sample", level="quick", **says):
    """The report, which fails with these words in these fields."""
    report = check(function, name, level)
    assert not report.passed
    for field, words in says.items():
        assert words in str(getattr(report, field)), report
    return report


# ---- the counterexample and its hint


def test_the_smallest_counterexample_is_two_steps_of_one_half():
    report = check(q_sample)
    assert not report
    assert report.law.startswith("a jump to t is t single steps: the signal")
    assert report.case == "q_sample(x0=np.array([[1.0]]), t=2, eps=np.array([[0.0]]), betas=np.array([0.5, 0.5]))"
    np.testing.assert_allclose(report.yours, 0.5**0.5)
    np.testing.assert_allclose(report.expected, 0.5)
    assert report.hint == "Consistent with 1 − β_t in place of ᾱ_t, the product of all up to t."


def short_chains_alone(betas):
    return RIGHT["alpha_bar"](betas) * (len(betas) < 200)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("q_sample", q_sample),
        ("euler_step", spec("euler_step").mistakes[0].function),  # whose case holds a function
        ("alpha_bar", short_chains_alone),
    ],
)
def test_the_case_can_be_pasted(name, function):
    report = breaks(function, name)
    np.testing.assert_array_equal(eval(report.case, {"np": np, report.case.split("(")[0]: function}), report.yours)


def test_the_case_calls_the_function_as_it_is_called_here():
    def guided(cond, uncond, weight):
        return uncond + weight * (cond - uncond)

    assert breaks(guided, "cfg").case == "guided(cond=np.array([[0.0]]), uncond=np.array([[1.0]]), weight=0.0)"
    assert breaks(lambda *args: 0 * args[0], "cfg").case.startswith("cfg(np.array([[1.0]]), np.array(")


def test_of_two_mistakes_that_fit_the_case_the_one_that_fits_those_after_it_is_named():
    # at s = t − 1 a step that ignores s is right; at the first broken case, others give its number too
    ignores_s = next(m for m in spec("ddim_step").mistakes if m.words.startswith("s ignored"))
    assert check(ignores_s.function, "ddim_step").hint.endswith(f"Consistent with {ignores_s.words}.")


def test_a_mistake_that_answers_with_infinity_or_nothing_is_not_consistent_with_a_number():
    assert judging.agree(np.float64(np.inf), np.float64(np.inf))
    assert not judging.agree(np.float64(3.0), np.float64(np.inf))
    assert not judging.agree(np.zeros(0), np.zeros(1))
    assert "left out" not in breaks(lambda t, betas: -RIGHT["snr"](t, betas), "snr").hint


def test_a_number_that_no_known_mistake_gives_gets_no_hint():
    assert breaks(lambda x0, t, eps, betas: 3.7 * x0).hint == ""


def test_who_agrees_with_a_mistake_in_the_smallest_case_alone_is_not_told_of_it():
    """At β = ½ √β_t, √(1 − β_t) and √ᾱ_1 are the same number."""
    named = breaks(q_sample).hint
    for other in (
        lambda x0, t, eps, betas: np.sqrt(betas[t - 1]) * x0 + np.sqrt(1 - betas[t - 1]) * eps,
        lambda x0, t, eps, betas: q_sample(x0, t, eps, betas) if t == 2 else q_sample(x0, 1, eps, betas),
    ):
        assert named not in breaks(other).hint


def test_two_answers_agree_where_they_have_as_many_numbers():
    assert not judging.agree(np.array([0.6]), np.zeros(0))
    assert not judging.agree(np.array([0.6, 0.6]), np.zeros((0, 2)))
    assert judging.agree(np.array([[0.6]]), 0.6)


def of(name, change):
    """The right function, with a change of its answer."""
    return lambda *args: change(RIGHT[name](*args))


@pytest.mark.parametrize(
    ("name", "function", "says"),
    [
        ("posterior", of("posterior", lambda out: out[::-1]), "the answers are returned in the order (mean, variance)"),
        ("adam_step", of("adam_step", lambda out: (out[0], out[2], out[1])), "in the order (theta, mu, nu)"),
        ("vlb_weight", of("vlb_weight", np.sqrt), "weight is squared"),
        ("adam_step", of("adam_step", lambda out: (*out[:2], out[2] ** 0.5)), "nu is squared"),
        ("alpha_bar", of("alpha_bar", np.square), "alpha_bar is replaced by its square root"),
        ("tweedie", of("tweedie", np.negative), "x0_hat changes its sign"),
        ("tweedie", of("tweedie", lambda out: 2 * out), "x0_hat is halved"),
        ("normal_kl", of("normal_kl", lambda out: out / 2), "nats is doubled"),
        ("eps_from_x0", lambda x, t, x0, betas: RIGHT["eps_from_x0"](x0, t, x, betas), "x_t and x0 are exchanged"),
        ("q_sample", lambda x, t, e, betas: RIGHT["q_sample"](x, t, e, np.r_[betas[1:], 0.1]), None),
        ("snr", lambda t, betas: RIGHT["snr"](t + 1, betas), "t is replaced by t − 1"),
    ],
)
def test_the_one_change_that_makes_a_function_right_is_named(name, function, says):
    hint = breaks(function, name).hint
    assert ("All laws hold once " in hint and f"{says}." in hint) if says else "once" not in hint


@pytest.mark.parametrize("name", ["euler_step", "heun_step"])
def test_who_changes_what_a_function_gave_back_is_told_that_it_may_be_an_argument(name):
    def in_place(f, x, t, s):
        k = f(x, t)
        k *= 1.0
        k += 1.0
        return k

    assert "`k += …`" in breaks(in_place, name, law="leaves its arguments").hint


# ---- a function that returns a pullback


def linear(params, x):
    w, b = params[:2]
    return x @ w + b, lambda dy: ([x.T @ dy, dy.sum(axis=0)], dy @ w.T)


def with_answer(change):
    """The linear layer, with a change of what it returns."""
    return lambda params, x: change(*linear(params, x))


def eats_its_arguments(params, x):
    y, pullback = linear(params, x)
    return (y + params.pop() * 0, pullback) if len(params) == 2 else RIGHT["mlp"](params, x)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (with_answer(lambda y, pull: y), {"yours": "a ndarray", "expected": "(y, pullback)"}),
        (with_answer(lambda y, pull: (pull, y)), {"yours": "ndarray for pullback", "hint": "do not call it"}),
        (with_answer(lambda y, pull: (y, pull(y))), {"yours": "tuple for pullback", "hint": "do not call it"}),
        (
            with_answer(lambda y, pull: (y, lambda dy: pull(dy)[0])),
            {"law": "numbers", "yours": "a ndarray for dparams"},
        ),
        (with_answer(lambda y, pull: (y, lambda dy: pull(dy)[::-1])), {"yours": "a ndarray for dparams"}),
        (with_answer(lambda y, pull: (y, lambda dy: None)), {"yours": "a NoneType", "expected": "of pullback(dy)"}),
        (
            with_answer(lambda y, pull: (y, lambda dy: 1 / 0)),
            {"yours": "ZeroDivisionError", "hint": "lambda dy: 1 / 0"},
        ),
        (lambda x, params: linear(params, x), {"law": "the arguments", "hint": "in this order"}),
        (linear, {"law": "numbers", "yours": "a list of 2 for dparams", "expected": "a list of 4"}),
        (eats_its_arguments, {"law": "leaves its arguments", "what": "params[1] after the call", "yours": "None"}),
    ],
)
def test_a_pullback_that_is_none_is_reported_in_words_that_help(function, says):
    breaks(function, "mlp", **says)


def test_the_case_of_a_pullback_can_be_pasted():
    def mlp(params, x):
        y, pullback = RIGHT["mlp"](params, x)
        return y, lambda dy: (pullback(dy)[0], 2 * pullback(dy)[1])

    report = breaks(mlp, "mlp", what="dx", hint="All laws hold once dx is halved.")
    first, second = report.case.splitlines()
    assert (first[:24], second[:12]) == ("y, pullback = mlp(params", "y, *pullback")
    names = {"np": np, "mlp": mlp}
    exec(first, names)
    _, _, dx = eval(f"({second})", names)
    np.testing.assert_array_equal(dx, report.yours)


# ---- finding the specification


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda: check(q_sample, "q_samples"), ValueError, r"is called 'q_samples'\. Did you mean q_sample"),
        (lambda: spec("zzz"), ValueError, r"specs\(\) lists all 56"),
        (lambda: check(q_sample, level="slow"), ValueError, "level must be one of quick, deep; got 'slow'"),
        (lambda: check(lambda x: x), TypeError, "Pass spec="),
        *((lambda fn=fn: check(fn), TypeError, "takes the function itself") for fn in (None, 3, "q_sample")),
    ],
    ids=["near", "unknown", "level", "nameless", "None", "a number", "a name"],
)
def test_what_cannot_be_checked_is_an_error_that_says_what_to_pass(ask, error, says):
    with pytest.raises(error, match=says):
        ask()


def test_a_specification_shows_itself():
    text = repr(spec("q_sample"))
    assert text.startswith("q_sample(x0, t, eps, betas) -> x_t")
    for words in ("√ᾱ_t x_0 + √(1 − ᾱ_t) ε", "Ho et al. 2020", "a jump to t is t single steps", "β_t = betas[t − 1]"):
        assert words in text
    assert "β̃_t" in spec("ddpm_step").about  # where several answers are right, it says so
    assert "<code>q_sample(x0, t, eps, betas) -&gt; x_t</code>" in spec("q_sample")._repr_html_()


# ---- what a function may do


def raises(error):
    def function(x0, t, eps, betas):
        raise error

    return function


def one_too_far(x0, t, eps, betas):
    table = np.cumprod(1 - betas)
    return table[t] * x0  # one too far


def closes_the_output(x0, t, eps, betas):
    print("x" * 9_000)
    sys.stdout.close()
    return x0


class Unreadable:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no data yet")


class Mute(Exception):
    def __str__(self):
        raise ValueError


RNG = np.random.default_rng(0)
NUMBERS, SIGNATURE = "answers with numbers", "the arguments"
FAULTS = {
    "None": (lambda x0, *a: print(end=""), {"law": NUMBERS, "yours": "None", "hint": "`return`"}),
    "an exception": (
        one_too_far,
        {
            "yours": "IndexError: index 1 is out of bounds",
            "hint": "return table[t] * x0  # one too far",
            "case": "one_too_far(",
        },
    ),
    "an unreadable answer": (lambda *a: Unreadable(), {"yours": "cannot be read: RuntimeError: no data yet"}),
    "a list": (lambda x0, *a: x0.tolist(), {"yours": "a list", "hint": "np.array"}),
    "a tuple": (lambda x0, *a: (x0, x0), {"yours": "a tuple of 2", "hint": "Return x_t alone."}),
    "text": (lambda *a: "0.5", {"law": NUMBERS, "yours": "str"}),
    "an array of text": (lambda *a: np.array(["a"]), {"law": NUMBERS, "yours": "ndarray"}),
    "complex": (lambda *a: 1 + 2j, {"law": NUMBERS, "yours": "complex"}),
    "a function": (lambda *a: len, {"law": NUMBERS, "yours": "function"}),
    "a truth value": (lambda *a: True, {"law": NUMBERS, "yours": "bool"}),
    "another shape": (lambda x0, t, eps, betas: x0.ravel(), {"law": "shape", "yours": "(1,)", "expected": "(1, 1)"}),
    "NaN": (lambda x0, t, eps, betas: x0 / np.zeros(1), {"law": "finite", "hint": "NumPy met"}),
    "a changed argument": (
        lambda x0, t, eps, betas: np.add(x0, 1, out=x0),
        {"law": "leaves its arguments", "what": "x0 after the call", "yours": "1", "expected": "0"},
    ),
    "noise of its own": (
        lambda x0, *a: RNG.normal(size=x0.shape),
        {"law": "the same arguments give the same answer", "hint": "noise is an argument"},
    ),
    "too few arguments": (lambda x0, t: x0, {"law": SIGNATURE, "expected": "q_sample(x0, t, eps, betas)"}),
    "another order": (lambda t, x0, eps, betas: x0, {"law": SIGNATURE, "hint": "in this order"}),
    "no function": (7, {"yours": "7", "expected": "a function"}),
    "another default": (
        lambda t, T, s=0.08: RIGHT["cosine_alpha_bar"](t, T, s),
        {"name": "cosine_alpha_bar", "law": SIGNATURE, "yours": "s=0.08", "expected": "s=0.008"},
    ),
    "one output": (lambda x_t, *a: x_t, {"name": "posterior", "expected": "(mean, variance)"}),
    "three outputs": (lambda x_t, *a: (x_t, x_t, x_t), {"name": "posterior", "yours": "tuple of 3"}),
    "a closed output": (closes_the_output, {"hint": "printed"}),
} | {
    f"raises {type(error).__name__}": (raises(error), {"yours": type(error).__name__})
    for error in (SystemExit(2), KeyboardInterrupt(), probe.Stop(), RecursionError("deep"), MemoryError(), Mute())
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_reported_in_words_that_help(fault):
    function, says = FAULTS[fault]
    breaks(function, **says)


def dots(x0, t, eps, betas):
    """To be written."""


def passes(x0, t, eps, betas):
    pass


def ends(x0, t, eps, betas):
    return ...


@pytest.mark.parametrize(
    "stub", [dots, passes, ends, raises(NotImplementedError()), raises(NotImplementedError("yet"))]
)
@pytest.mark.parametrize("name", ["q_sample", "posterior"])
def test_what_is_not_begun_is_not_wrong_yet(stub, name):
    with pytest.raises(LawBroken):
        check(stub, name, raises=True)
    report = check(stub, name)
    assert (report.passed, report.written, report.law, report.case) == (False, False, None, None)
    assert repr(report) == f"{name}: not yet. Write its body, then check again."
    assert "not yet" in (html := report._repr_html_())
    assert "law" not in html
    assert check(lambda x0, *a: print(end=""), name).written


def test_a_long_exception_is_cut():
    assert len(breaks(raises(ValueError("x" * 10_000))).yours) == 300


def test_an_answer_that_does_not_fit_the_law():
    subject = spec("alpha_bar")
    short = subject.probe(lambda betas: np.cumprod(1 - betas))
    each_step = next(law for law in subject.laws if law.statement.startswith("each step keeps"))
    with pytest.raises(probe.Broken) as caught:
        judging.judge(each_step, short, {"betas": np.array([0.5, 0.1, 0.1])})
    assert caught.value.yours.startswith("an answer that does not fit")


def reuses_its_buffer(x0, t, eps, betas, buffers={}):  # noqa: B006 - kept between calls
    buffer = buffers.setdefault(x0.shape, np.empty(x0.shape))
    buffer[...] = RIGHT["q_sample"](x0, t, eps, betas)
    return buffer


def variance_0_as_a_whole_number(x_t, x0, t, betas):
    mean, variance = RIGHT["posterior"](x_t, x0, t, betas)
    return mean, np.zeros((1, 1), int) if t == 1 else np.full((1, 1), variance)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("q_sample", lambda clean, step, noise, schedule, scale=1.0: RIGHT["q_sample"](clean, step, noise, schedule)),
        ("q_sample", lambda *args: RIGHT["q_sample"](*args)),
        ("q_sample", reuses_its_buffer),
        ("cosine_alpha_bar", lambda t, T, s: RIGHT["cosine_alpha_bar"](t, T, s)),
        ("cosine_alpha_bar", lambda t, T, s=None: RIGHT["cosine_alpha_bar"](t, T, 0.008 if s is None else s)),
        ("posterior", variance_0_as_a_whole_number),
    ],
    ids=["other names and defaults", "any arguments", "an array used again", "no default", "None", "a whole 0"],
)
def test_what_is_right_in_another_form_passes(name, function):
    assert check(function, name)


# ---- time


def test_a_function_that_never_returns_is_given_up(monkeypatch):
    monkeypatch.setattr(probe, "LIMIT", 0.1)

    def endless(x0, t, eps, betas):
        while True:
            pass

    before = set(threading.enumerate())
    breaks(endless, yours="no answer within 0.1 s", hint="loop")
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


def test_who_is_wrong_and_loops_where_hints_are_sought_is_told_what_is_wrong(monkeypatch):
    """Such as at t = 0, where no law calls it: the finding and its call stand."""
    monkeypatch.setattr(probe, "LIMIT", 0.1)

    def counts_up(t, betas):
        n = 1
        while n != t:
            n += 1
        return 0.5

    report = breaks(counts_up, "snr", yours="0.5")
    assert report.hint == ""
    assert eval(report.case, {"np": np, "counts_up": counts_up}) == 0.5


def test_a_function_that_is_slow_is_given_up(monkeypatch):
    monkeypatch.setattr(probe, "BUDGET", 0.1)

    def slow(*args):
        time.sleep(0.01)
        return RIGHT["q_sample"](*args)

    breaks(slow, yours="calls took", hint="too slow")


def test_an_import_is_no_part_of_the_time_and_is_left_to_end(monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "LIMIT", 0.1)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_to_import.py").write_text(
        "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass\n", encoding="utf-8"
    )

    def imports(c, u, w):
        import slow_to_import

        assert slow_to_import.end
        return (1 + w) * c - w * u

    assert check(imports, "cfg")


def test_what_hypothesis_takes_is_no_part_of_the_time(monkeypatch):
    monkeypatch.setattr(probe, "BUDGET", 2.0)
    report = check(RIGHT["effective_neighbours"], level="deep")
    assert report.passed


def test_a_given_up_function_is_not_called_again(monkeypatch):
    monkeypatch.setattr(probe, "LIMIT", 0.1)
    calls = []

    def swallows_the_stop(*args):
        calls.append(args)
        try:
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                pass
        except BaseException:
            pass
        return RIGHT["q_sample"](*args)

    breaks(swallows_the_stop, yours="no answer within")
    time.sleep(0.4)
    assert len(calls) == 1


def test_without_threads_it_still_checks(monkeypatch):
    def no_threads(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_threads)
    assert check(RIGHT["q_sample"])
    assert not check(q_sample)


def test_a_check_within_the_function_is_named():
    inner = []

    def nested(x0, t, eps, betas):
        inner.append(check(RIGHT["q_sample"]))
        return x0

    check(nested, "q_sample")
    assert inner[0].yours == "a check within the function"
    assert "at the left margin" in inner[0].hint


# ---- the output and NumPy's state


def state():
    return np.geterr(), sys.stdout, sys.stderr, list(warnings.filters)


def test_prints_are_kept_back_and_mentioned(capsys):
    def talks(*args):
        print("shape", args[0].shape)
        return RIGHT["q_sample"](*args)

    for function in (talks, lambda *args: 2 * talks(*args)):
        report = check(function, "q_sample")
        assert report.passed == (function is talks)
        assert "printed" in report.hint
        assert "shape (1, 1)" in report.hint
    assert capsys.readouterr().out == ""


def test_state_of_numpy_and_of_the_output_is_as_before():
    def meddles(x0, t, eps, betas):
        warnings.simplefilter("always")
        np.seterr(all="ignore")
        print("hello", file=sys.stderr)
        return x0 / np.zeros(1)

    before = state()
    check(meddles, "q_sample")
    assert state() == before


def test_two_checks_at_once_leave_the_output_as_it_was():
    def sleeps(seconds):
        return lambda x0, t, eps, betas: time.sleep(seconds)

    before = state()
    threads = [threading.Thread(target=check, args=(sleeps(seconds), "q_sample")) for seconds in (0.01, 0.02)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state() == before


# ---- the report


@pytest.mark.parametrize(
    ("line", "shown"), [("check(f, 'snr')", True), ("a = check(f, 'snr')", False), ("str(check(f, 'snr'))", False)]
)
def test_a_report_that_would_be_thrown_away_is_shown(line, shown, capsys):
    exec(compile(line, "script.py", "exec"), {"check": check, "f": RIGHT["snr"]})
    assert ("snr obeys its" in capsys.readouterr().out) == shown


def test_in_a_notebook_it_is_shown_as_a_box(monkeypatch, capsys):
    boxes = []
    display = types.SimpleNamespace(display=boxes.append)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: 1, display=display))
    check(RIGHT["snr"], "snr")
    assert [box.name for box in boxes] == ["snr"]
    assert capsys.readouterr().out == ""


def test_a_passing_report():
    report = check(RIGHT["q_sample"], raises=True)
    assert (report.passed, report.law, report.case, report.yours, report.expected) == (True, None, None, None, None)
    assert repr(report).startswith("q_sample obeys its 15 laws")
    assert "<li>a jump to t is t single steps" in report._repr_html_()


def test_a_failing_report_in_words_which_raises_for_graders():
    with pytest.raises(LawBroken) as caught:
        check(q_sample, raises=True)
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value.report, Report)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("q_sample breaks a law: a jump to t")
    assert {"    yours     0.7071068", "    expected  0.5"} <= set(lines)
    assert lines[-1] == "More: spec('q_sample'); Ho et al. 2020, DDPM, eq. 4 and Alg. 1."


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1"])
def test_a_report_is_spelled_where_the_terminal_lacks_its_letters(encoding):
    """With no letter that is not in the table, in any law or mistake of any specification."""
    assert "Consistent with 1 - beta_t in place of alpha_bar_t" in spelled(repr(check(q_sample)), encoding)
    for name in specs():
        texts = [repr(spec(name)), *(mistake.words for mistake in spec(name).mistakes)]
        assert "?" not in "".join(spelled(text.replace("?", ""), "ascii") for text in texts)
    assert spelled("ᾱ", "utf-8") == "ᾱ"


def test_printing_a_report_ends_well_in_any_terminal():
    code = "from tinydiff.check import check; print(check(lambda t, betas: 0.5, 'snr'))"
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ | paths, check=True)
    assert done.stdout.decode("cp1252").startswith("snr breaks a law: ")


def test_a_failing_report_in_html_shows_code_as_code_and_escapes_what_the_function_said():
    html = check(raises(ValueError("<script>")), "q_sample")._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert "<code>return</code>" in check(lambda x0, t, eps, betas: print(end=""), "q_sample")._repr_html_()


# ---- the deep level


def test_deep_finds_what_small_cases_miss_and_shrinks_it():
    def wrong_at_six(t, betas):
        left = np.prod(1 - betas[: 5 if t == 6 else t])
        return left / (1 - left)

    assert check(wrong_at_six, "snr").passed
    report = breaks(wrong_at_six, "snr", level="deep")
    assert report.case == "wrong_at_six(t=6, betas=np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5]))"


def test_deep_notices_a_change_of_mind():
    right, calls = RIGHT["ema_update"], []
    late = check(right).calls + 100

    def wavers(ema, theta, decay):
        calls.append(0)
        if len(calls) == late:
            raise ValueError("once")
        return right(ema, theta, decay)

    breaks(wavers, "ema_update", level="deep", hint="keep nothing between calls")


def test_deep_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"tinydiff\[testing\]"):
        check(RIGHT["q_sample"], level="deep")


def test_quick_needs_numpy_alone():
    code = (
        "import sys\n"
        "from tinydiff.check import check\n"
        "assert check(lambda c, u, w: (1 + w) * c - w * u, 'cfg')\n"
        "heavy = {'hypothesis', 'scipy', 'matplotlib', 'tqdm', 'rich', 'msgspec', 'tyro', 'pooch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})


# ---- cases


def test_cases_come_in_order_of_size():
    subject = spec("q_sample")
    chain_lengths = [len(case["betas"]) for case in judging.cases(subject, subject.laws[-1])]
    assert chain_lengths[:4] == [1, 1, 1, 1]
    first = next(judging.cases(subject, subject.laws[6]))
    assert (first["x0"].item(), first["t"], first["betas"].tolist()) == (0, 1, [0.5])


def test_each_value_is_tried_alone_for_laws_of_form():
    tried = {case["eta"] for case in domains.each_alone(spec("ddim_step").domains)}
    assert tried == {0.0, 0.5, 1.0}
