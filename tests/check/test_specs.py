"""Every specification catches its mistakes, passes what is right, and has no law that catches nothing."""

import numpy as np
import pytest
from right import ANSWERS

from tinydiff.check import check, engine, spec, specs
from tinydiff.check.engine import cases, judge
from tinydiff.check.form import in_tuple
from tinydiff.check.probe import Broken

NAMES = [
    "alpha_bar(betas)",
    "q_step(x, t, eps, betas)",
    "q_sample(x0, t, eps, betas)",
    "posterior(x_t, x0, t, betas)",
    "posterior_variance(t, betas)",
    "snr(t, betas)",
    "cosine_alpha_bar(t, T, s=0.008)",
    "normal_kl(m1, v1, m2, v2)",
    "prior_kl(x0, betas)",
    "vlb_weight(t, betas)",
    "x0_from_eps(x_t, t, eps, betas)",
    "eps_from_x0(x_t, t, x0, betas)",
    "v_from_x0_eps(t, x0, eps, betas)",
    "score_from_eps(t, eps, betas)",
    "tweedie(x_t, t, score, betas)",
    "simple_loss(eps_hat, eps)",
    "ddpm_step(x_t, t, eps_hat, z, betas)",
    "ddim_step(x_t, t, s, eps_hat, z, betas, eta)",
    "dpm_solver_2m_step(x_t, x0_hat, x0_hat_before, t_before, t, s, alpha, sigma)",
    "euler_step(f, x, t, s)",
    "heun_step(f, x, t, s)",
    "euler_maruyama_step(f, g, x, t, s, z)",
    "reverse_sde_drift(x, beta, score)",
    "probability_flow_drift(x, beta, score)",
    "hutchinson(vjp, x, probes)",
    "cfg(c, u, w)",
    "linear_backward(x, w, dy)",
    "silu_backward(x, dy)",
    "layer_norm_backward(x, dy, eps)",
    "adam_step(theta, grad, mu, nu, count, lr, b1, b2, eps)",
    "ema_update(ema, theta, decay)",
    "fourier_features(t, frequencies)",
    "empirical_denoiser(x_t, points, t, betas)",
    "effective_neighbours(weights)",
    "inpaint_known(x_s, known, mask, s, eps, betas)",
]
MISTAKES = [(name, mistake) for name in specs() for mistake in spec(name).mistakes]


def test_the_signatures_are_those_of_the_course():
    assert sorted(spec(name).signature.split(" ->")[0] for name in specs()) == sorted(NAMES)
    assert set(ANSWERS) == set(specs())


def test_there_are_enough_mistakes_and_right_answers():
    assert all(len(spec(name).mistakes) >= 5 for name in specs())
    assert len(MISTAKES) >= 150
    assert all(len(ANSWERS[name]) >= 2 for name in specs())


@pytest.mark.parametrize(("name", "mistake"), MISTAKES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(MISTAKES)])
def test_a_mistake_is_caught_and_named(name, mistake):
    report = check(mistake.function, name)
    assert not report.passed
    assert f"onsistent with {mistake.words}" in report.hint or f"or with {mistake.words}" in report.hint


RIGHT = [(name, i) for name in specs() for i in range(len(ANSWERS[name]))]


@pytest.mark.parametrize(("name", "i"), RIGHT)
def test_what_is_right_passes(name, i):
    report = check(ANSWERS[name][i])
    assert report.passed, report
    assert len(report.held) == 1 + len(spec(name).laws)  # and the signature


@pytest.mark.parametrize(("name", "i"), [(name, i) for name, i in RIGHT if i == 1])
def test_what_is_right_passes_on_drawn_cases(name, i, monkeypatch):
    monkeypatch.setattr(engine, "EXAMPLES", 40)
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
        for a in args:
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


FORMS = {
    "nothing": on_outputs(lambda out: None),
    "a list": on_outputs(lambda out: np.asarray(out).tolist() if np.ndim(out) else [out]),
    "a string": on_outputs(str),
    "one axis more": on_outputs(lambda out: np.asarray(out)[None, None, None]),
    "float32": on_outputs(np.float32),
    "NaN": on_outputs(lambda out: out * np.nan),
    "spoiled arguments": spoils_its_arguments,
    "a memory": remembers,
    "the first row for all": on_outputs(lambda out: out * 0 + np.asarray(out)[:1] if np.ndim(out) else out),
    "an offset": on_outputs(lambda out: out + 0.001),
}


@pytest.mark.parametrize("name", specs())
def test_every_law_catches_a_mistake(name):
    subject, right = spec(name), ANSWERS[name][0]
    wrong = [mistake.function for mistake in subject.mistakes] + [form(right) for form in FORMS.values()]
    for law in subject.laws:
        assert any(breaks(law, subject, function) for function in wrong), law.statement


def breaks(law, subject, function):
    """Whether this law by itself, without those before it, is broken by the function."""
    probe = subject.probe(function)
    try:
        for case in cases(subject, law):
            judge(law, probe, case)
    except Broken as broken:
        return broken.law == law.statement
    return False


def scaled(right, at):
    """The function that sees one argument a ten-thousandth too large."""

    def function(*args):
        args = list(args)
        value = args[at]
        args[at] = (lambda *a: 1.0001 * value(*a)) if callable(value) else value * 1.0001
        return right(*args)

    return function


def of_continuous_arguments():
    for name in specs():
        first = next(cases(spec(name), spec(name).laws[0]))
        for at, argument in enumerate(spec(name).names):
            discrete = np.asarray(first[argument]).dtype.kind in "ib"
            if not discrete and (name, argument) != ("dpm_solver_2m_step", "sigma"):
                yield name, at  # a factor of σ cancels in σ_s/σ_t and in differences of λ


@pytest.mark.parametrize(("name", "at"), list(of_continuous_arguments()))
def test_a_coefficient_off_by_one_part_in_ten_thousand_is_caught(name, at):
    assert not check(scaled(ANSWERS[name][0], at), name).passed


@pytest.mark.parametrize("name", specs())
def test_an_output_off_by_one_part_in_ten_thousand_is_caught(name):
    subject = spec(name)
    for i in range(len(subject.returns)):

        def function(*args, i=i):
            out = list(in_tuple(ANSWERS[name][0](*args)))
            out[i] = out[i] * 1.0001
            return tuple(out) if len(out) > 1 else out[0]

        assert not check(function, name).passed
