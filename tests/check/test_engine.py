"""The check itself: what it finds, what it says, and that nothing a function does can hurt it."""

import importlib.util
import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from right import ANSWERS

from tinydiff.check import LawBroken, Report, check, domains, engine, probe, spec, specs


def q_sample(x0, t, eps, betas):
    """An erratum of lecture notes: α_t = 1 − β_t for ᾱ_t."""
    alpha = 1 - betas[t - 1]
    return np.sqrt(alpha) * x0 + np.sqrt(1 - alpha) * eps


def test_the_smallest_counterexample_is_two_steps_of_one_half():
    report = check(q_sample)
    assert not report
    assert report.law.startswith("a jump to t is t single steps: the signal")
    assert report.case == "q_sample(x0=np.array([[1.0]]), t=2, eps=np.array([[0.0]]), betas=np.array([0.5, 0.5]))"
    np.testing.assert_allclose(report.yours, 0.5**0.5)
    np.testing.assert_allclose(report.expected, 0.5)
    assert report.hint == "Consistent with α_t = 1 − β_t in place of ᾱ_t, the product of all up to t."


def test_the_case_can_be_pasted():
    report = check(q_sample)
    np.testing.assert_array_equal(eval(report.case, {"np": np, "q_sample": q_sample}), report.yours)


def test_a_case_with_functions_can_be_pasted():
    report = check(lambda f, x, t, s: x + (t - s) * f(x, t), "euler_step")
    step = spec("euler_step").mistakes[0].function
    np.testing.assert_array_equal(eval(report.case, {"np": np, "euler_step": step}), report.yours)


def test_a_default_that_differs_is_named():
    right = ANSWERS["cosine_alpha_bar"][0]
    report = check(lambda t, T, s=0.08: right(t, T, s), "cosine_alpha_bar")
    ends_in(report, law="the arguments", yours="s=0.08", expected="s=0.008")
    assert check(lambda t, T, s: right(t, T, s), "cosine_alpha_bar")


def test_of_two_mistakes_that_fit_the_case_the_one_that_fits_those_after_it_is_named():
    # at s = t − 1 a step that ignores s is right; at the first broken case, others give its number too
    step = spec("ddim_step").mistakes
    ignores_s = next(m for m in step if m.words.startswith("s ignored"))
    assert check(ignores_s.function, "ddim_step").hint.endswith(f"Consistent with {ignores_s.words}.")


def test_a_mistake_that_answers_with_infinity_is_not_consistent_with_a_number():
    assert not engine.agree(np.float64(3.0), np.float64(np.inf))
    assert engine.agree(np.float64(np.inf), np.float64(np.inf))
    report = check(lambda t, betas: -ANSWERS["snr"][0](t, betas), "snr")
    assert "left out" not in report.hint


def test_a_number_that_no_known_mistake_gives_gets_no_hint():
    report = check(lambda x0, t, eps, betas: 3.7 * x0, "q_sample")
    assert not report
    assert report.hint == ""


# ---- finding the specification


def test_an_unknown_name_lists_the_near_ones():
    with pytest.raises(ValueError, match=r"no specification is called 'q_samples'\. Did you mean q_sample"):
        check(q_sample, "q_samples")
    with pytest.raises(ValueError, match="specs\\(\\) lists all 35"):
        spec("zzz")


def test_what_has_no_name_needs_a_specification():
    with pytest.raises(TypeError, match="Pass spec="):
        check(lambda x: x)


@pytest.mark.parametrize("fn", [None, 3, "q_sample", np.ones(2)])
def test_what_is_no_function_is_an_error_that_says_what_to_pass(fn):
    with pytest.raises(TypeError, match="takes the function itself, without calling it"):
        check(fn)


def test_levels():
    with pytest.raises(ValueError, match="level must be one of quick, deep; got 'slow'"):
        check(q_sample, level="slow")


def test_a_specification_shows_itself():
    text = repr(spec("q_sample"))
    assert text.startswith("q_sample(x0, t, eps, betas) -> x_t")
    assert "√ᾱ_t x_0 + √(1 − ᾱ_t) ε" in text
    assert "Ho et al. 2020" in text
    assert "a jump to t is t single steps" in text
    assert "β_t = betas[t − 1]" in text
    assert "β̃_t" in spec("ddpm_step").about  # where several answers are right, it says so
    assert "<code>q_sample(x0, t, eps, betas) -&gt; x_t</code>" in spec("q_sample")._repr_html_()


# ---- what a function may do


def ends_in(report, **expected):
    """The report fails with these words in these fields."""
    assert not report.passed
    for name, words in expected.items():
        assert words in str(getattr(report, name)), report


def stub(x0, t, eps, betas):
    raise NotImplementedError


def with_a_bug(x0, t, eps, betas):
    table = np.cumprod(1 - betas)
    return table[t] * x0  # one too far


def test_none():
    ends_in(check(lambda *a: None, "q_sample"), law="answers with numbers", yours="None", hint="`return`")


def test_a_stub():
    ends_in(check(stub, "q_sample"), yours="NotImplementedError", hint="stub")
    ends_in(check(lambda x0, t, eps, betas: ..., "q_sample"), yours="...", hint="stub")


def test_an_exception_names_the_line():
    report = check(with_a_bug, "q_sample")
    ends_in(report, yours="IndexError: index 1 is out of bounds", hint="return table[t] * x0  # one too far")
    assert report.case.startswith("q_sample(")


class Mute(Exception):
    def __str__(self):
        raise ValueError


@pytest.mark.parametrize(
    "error", [SystemExit(2), KeyboardInterrupt(), probe.Stop(), RecursionError("deep"), MemoryError(), Mute()]
)
def test_no_exception_escapes(error):
    def function(x0, t, eps, betas):
        raise error

    ends_in(check(function, "q_sample"), yours=type(error).__name__)


def test_a_long_exception_is_cut():
    def function(x0, t, eps, betas):
        raise ValueError("x" * 10_000)

    assert len(check(function, "q_sample").yours) == 300


class Unreadable:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no data yet")


def test_an_answer_that_cannot_be_read():
    ends_in(check(lambda *a: Unreadable(), "q_sample"), yours="cannot be read: RuntimeError: no data yet")


def test_an_answer_that_does_not_fit_the_law():
    subject = spec("alpha_bar")
    short = subject.probe(lambda betas: np.cumprod(1 - betas))
    each_step = next(law for law in subject.laws if law.statement.startswith("each step keeps"))
    with pytest.raises(probe.Broken) as caught:
        engine.judge(each_step, short, {"betas": np.array([0.5, 0.1, 0.1])})
    assert caught.value.yours.startswith("an answer that does not fit")


def test_a_list():
    ends_in(check(lambda x0, *a: x0.tolist(), "q_sample"), yours="a list", hint="np.array")


def test_a_tuple_with_too_much_or_too_little():
    ends_in(check(lambda x_t, x0, t, betas: x_t, "posterior"), expected="(mean, variance)")
    ends_in(check(lambda x_t, x0, t, betas: (x_t, x_t, x_t), "posterior"), yours="tuple of 3")


@pytest.mark.parametrize(
    ("value", "word"),
    [("0.5", "str"), (np.array(["a"]), "ndarray"), (1 + 2j, "complex"), (len, "function"), (True, "bool")],
)
def test_what_is_no_number(value, word):
    ends_in(check(lambda *a: value, "q_sample"), law="answers with numbers", yours=word)


def test_a_wrong_shape():
    ends_in(check(lambda x0, t, eps, betas: x0.ravel(), "q_sample"), law="shape", yours="(1,)", expected="(1, 1)")


def test_nan_says_what_numpy_met():
    ends_in(check(lambda x0, t, eps, betas: x0 / np.zeros(1), "q_sample"), law="finite", hint="NumPy met")


def test_changed_arguments():
    def function(x0, t, eps, betas):
        x0 += 1
        return x0

    ends_in(check(function, "q_sample"), law="leaves its arguments", what="x0 after the call", yours="1", expected="0")


def test_noise_of_its_own():
    rng = np.random.default_rng(0)

    def noisy(x0, t, eps, betas):
        return rng.normal(size=x0.shape)

    ends_in(check(noisy, "q_sample"), law="the same arguments give the same answer", hint="noise is an argument")


def test_a_wrong_signature():
    ends_in(check(lambda x0, t: x0, "q_sample"), law="the arguments", expected="q_sample(x0, t, eps, betas)")
    ends_in(check(lambda t, x0, eps, betas: x0, "q_sample"), law="the arguments", hint="in this order")
    ends_in(check(7, "q_sample"), yours="7", expected="a function")


def test_other_names_and_defaults_are_fine():
    right = ANSWERS["q_sample"][0]
    assert check(lambda clean, step, noise, schedule, scale=1.0: right(clean, step, noise, schedule), "q_sample")
    assert check(lambda *args: right(*args), "q_sample")


def test_a_function_that_never_returns_is_given_up(monkeypatch):
    monkeypatch.setattr(probe, "LIMIT", 0.2)

    def endless(x0, t, eps, betas):
        while True:
            pass

    ends_in(check(endless, "q_sample"), yours="no answer within 0.2 s", hint="loop")
    time.sleep(0.2)
    assert all("endless" not in thread.name and not thread.name.startswith("check") for thread in threading.enumerate())


def test_a_function_that_is_slow_is_given_up(monkeypatch):
    monkeypatch.setattr(probe, "BUDGET", 0.2)
    right = ANSWERS["q_sample"][0]

    def slow(*args):
        time.sleep(0.01)
        return right(*args)

    ends_in(check(slow, "q_sample"), yours="calls took", hint="too slow")


def test_a_given_up_function_is_not_called_again(monkeypatch):
    monkeypatch.setattr(probe, "LIMIT", 0.1)
    calls, right = [], ANSWERS["q_sample"][0]

    def swallows_the_stop(*args):
        calls.append(args)
        try:
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                pass
        except BaseException:
            pass
        return right(*args)

    ends_in(check(swallows_the_stop, "q_sample"), yours="no answer within")
    time.sleep(0.5)
    assert len(calls) == 1


def test_a_check_within_the_function_is_named():
    def q_sample(x0, t, eps, betas):
        return x0 if check(q_sample) else eps

    inner = []

    def nested(x0, t, eps, betas):
        inner.append(check(ANSWERS["q_sample"][0]))
        return x0

    check(q_sample)
    check(nested, "q_sample")
    ends_in(inner[0], yours="a check within the function", hint="at the left margin")


def test_two_checks_at_once_leave_the_output_as_it_was():
    before, out, err = list(warnings.filters), sys.stdout, sys.stderr

    def late(x0, t, eps, betas, seconds):
        time.sleep(seconds)

    threads = [threading.Thread(target=check, args=(lambda *args, s=s: late(*args, s), "q_sample")) for s in (0.1, 0.2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sys.stdout, sys.stderr, list(warnings.filters)) == (out, err, before)


def test_a_closed_or_flooded_output_does_no_harm():
    def closes(x0, t, eps, betas):
        print("x" * 9_000)
        sys.stdout.close()
        return x0

    report = check(closes, "q_sample")
    assert not report.passed
    assert "printed" in report.hint


def test_an_array_that_the_function_uses_again_is_read_in_time():
    buffers, right = {}, ANSWERS["q_sample"][0]

    def reuses(x0, t, eps, betas):
        buffer = buffers.setdefault(x0.shape, np.empty(x0.shape))
        buffer[...] = right(x0, t, eps, betas)
        return buffer

    assert check(reuses, "q_sample")


def test_an_empty_answer_agrees_with_nothing():
    assert not engine.agree(np.zeros(0), np.zeros(1))


def test_without_threads_it_still_checks(monkeypatch):
    def no_threads(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_threads)
    assert check(ANSWERS["q_sample"][0])
    assert not check(q_sample)


def test_prints_are_kept_back_and_mentioned(capsys):
    right = ANSWERS["q_sample"][0]

    def talks(*args):
        print("shape", args[0].shape)
        return right(*args)

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

    before = np.geterr(), sys.stdout, sys.stderr, list(warnings.filters)
    check(meddles, "q_sample")
    assert (np.geterr(), sys.stdout, sys.stderr, list(warnings.filters)) == before


# ---- the report


def test_a_passing_report():
    report = check(ANSWERS["q_sample"][0])
    assert (report.passed, report.law, report.case, report.yours, report.expected) == (True, None, None, None, None)
    assert repr(report).startswith("q_sample obeys its 13 laws")
    assert "<li>a jump to t is t single steps" in report._repr_html_()


def test_a_failing_report_in_words():
    text = repr(check(q_sample))
    assert text.splitlines()[0].startswith("q_sample breaks a law: a jump to t")
    assert "    yours     0.7071068" in text
    assert "    expected  0.5" in text
    assert text.splitlines()[-1] == "More: spec('q_sample'); Ho et al. 2020, DDPM, eq. 4 and Alg. 1."


def test_a_failing_report_in_html_escapes_what_the_function_said():
    def function(x0, t, eps, betas):
        raise ValueError("<script>alert(1)</script>")

    html = check(function, "q_sample")._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_failing_report_in_html_shows_code_as_code():
    html = check(lambda x0, t, eps, betas: None, "q_sample")._repr_html_()
    assert "<p>Is a <code>return</code> missing?</p>" in html


def test_raises_is_for_graders():
    with pytest.raises(LawBroken, match="breaks a law") as caught:
        check(q_sample, raises=True)
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value.report, Report)
    assert check(ANSWERS["q_sample"][0], raises=True).passed


# ---- the deep level


def test_deep_finds_what_small_cases_miss_and_shrinks_it():
    right = ANSWERS["q_sample"][0]

    def wrong_at_seven(x0, t, eps, betas):
        return right(x0, 6 if t == 7 else t, eps, betas)

    assert check(wrong_at_seven, "q_sample").passed
    report = check(wrong_at_seven, "q_sample", level="deep")
    ends_in(report, law="a jump to t is t single steps")
    assert "t=7, eps=np.array([[0.0]]), betas=np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])" in report.case


def test_deep_notices_a_change_of_mind():
    right, calls = ANSWERS["ema_update"][0], []
    late = check(right).calls + 100

    def wavers(ema, theta, decay):
        calls.append(0)
        if len(calls) == late:
            raise ValueError("once")
        return right(ema, theta, decay)

    ends_in(check(wavers, "ema_update", level="deep"), hint="keep nothing between calls")


def test_deep_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install hypothesis"):
        check(ANSWERS["q_sample"][0], level="deep")


def test_quick_needs_numpy_alone():
    code = (
        "import sys, numpy as np; before = set(sys.modules)\n"
        "from tinydiff.check import check, specs\n"
        "from right import ANSWERS\n"
        "assert all(check(ANSWERS[name][0]) for name in specs())\n"
        "heavy = {'hypothesis', 'scipy', 'matplotlib', 'tqdm', 'rich', 'msgspec', 'tyro', 'pooch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )


# ---- cases


def test_cases_come_in_order_of_size():
    subject = spec("q_sample")
    chain_lengths = [len(case["betas"]) for case in engine.cases(subject, subject.laws[-1])]
    assert chain_lengths[:4] == [1, 1, 1, 1]
    first = next(engine.cases(subject, subject.laws[6]))
    assert first["x0"].item() == 0
    assert first["t"] == 1
    assert first["betas"].tolist() == [0.5]


def test_each_value_is_tried_alone_for_laws_of_form():
    subject = spec("ddim_step")
    tried = {case["eta"] for case in domains.each_alone(subject.domains)}
    assert tried == {0.0, 0.5, 1.0}


def test_every_specification_names_a_source_and_an_equation():
    for name in specs():
        assert any(c.isdigit() for c in spec(name).source)
        assert spec(name).statement
