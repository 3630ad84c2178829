"""Wrong answers of each kind, for each function where it makes sense: all are caught, and no hint misleads."""

import re
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from kinds import ANY, KINDS, NUMBERS, OWN
from right import asked

from tinydiff.check import check, engine, spec, specs
from tinydiff.check.domains import at_random, combinations
from tinydiff.check.hints import _alike, _outcome

ROWS = "each row of a batch has the answer that it has alone"
OTHERWISE = {  # where a kind is found by another law, as it must be
    **{(f"t {k} 1 or s {k} 1", "cosine_alpha_bar"): NUMBERS for k in "−+"},  # the library's raises there
    ("one axis less", "prior_kl"): OWN,  # a number is the sum of all rows
    ("changes what a function gave", "hutchinson"): OWN,  # the library's goes on with the probe that has changed
    ("a function called with its arguments exchanged", "ancestral"): NUMBERS,  # one of them takes t for an index
    ("a function called with its arguments exchanged", "flow_log_density"): ANY,  # or a row of points for a time
    ("the root, where it is positive", "elbo_step"): OWN,  # of a 0 that is rounded to −1e-17
    ("whole numbers", "betas_from_log_snr"): OWN,  # all are 0
    ("changes what a function gave", "flow_log_density"): ANY,  # a column of x is x, too
    ("a result by way of float32", "newton_schulz"): OWN,  # which m does not move, whatever its scale
    **{(kind, "mlp"): ANY for kind in ("(B, 1) for (B,)", "(1, B, D)", "(B, B)", "one axis less")},  # no list
    ("another order of the results", "mlp"): ANY,
    ("a list", "mlp"): NUMBERS,  # which dparams is
    ("a function called with its arguments exchanged", "flow_matching_loss"): NUMBERS,  # a time has no columns
}
RIGHT_TOO = [  # (kind, function, which of them): the change makes no difference, or leaves what is allowed
    *(("betas rolled by 1", "prior_kl", 0), ("betas rolled by −1", "prior_kl", 0), ("wrong at t = 1", "vlb_weight", 0)),
    ("wrong at t = 1", "elbo_step", 0),
    *((kind, "elbo_step", 1) for kind in ("an argument in float32", "points clipped at 20")),  # x_t
    ("points clipped at 20", "tilted_gaussian", 1),  # v, which is no more than 1
    ("transposed", "condition_gaussian", 0),  # cov is symmetric
    ("changes what a function gave", "flow_matching_loss", 0),  # or x_t, which is its own
    ("points clipped at 20", "flow_matching_loss", 2),  # t
    *(("(B, 1) for (B,)", "posterior", 0), ("(1, B, D)", "posterior", 1), ("(1, B, D)", "linear_backward", 2)),
]


def pairs() -> Iterator:
    """Each kind with each function where it makes sense; in `make test` every third of them, each function's turn."""
    for i, (kind, (makes, _)) in enumerate(KINDS.items()):
        names = [name for name in specs() if next(makes(name), None)]
        for j, name in enumerate(names):
            quick = (i + j) % min(3, len(names)) == 0
            yield pytest.param(kind, name, marks=() if quick else pytest.mark.slow)


def consistent(hint: str) -> list[str]:
    """The words of the mistakes that a hint names."""
    named = re.search(r"Consistent with (.*)\.$", hint, re.MULTILINE)
    return named[1].split(", or with ") if named else []


@np.errstate(all="ignore")
def is_true(hint: str, function: Callable, name: str) -> bool:
    """Whether a function answers as all mistakes that the hint names, in other cases than those that it rests on."""
    rng, subject, named = np.random.default_rng(1), spec(name), consistent(hint)
    cases = [*combinations(subject.domains, subject.names, 60), *(at_random(subject.domains, rng) for _ in range(60))]
    cases = [case for case in cases if "T" not in case or case["t"] < case["T"]]  # where clipping is right too

    def answers(function: Callable) -> list:
        probe = subject.probe(function)
        return [_outcome(partial(probe, *(case[n] for n in subject.names))) for case in cases]

    mine = answers(function) if named else []
    known = [mistake.function for mistake in subject.mistakes if mistake.words in named]  # some words have several
    return sum(all(map(_alike, mine, answers(mistake))) for mistake in known) >= len(named)


@pytest.mark.parametrize(("kind", "name"), list(pairs()))
def test_a_wrong_answer_is_caught_in_true_words(kind, name, monkeypatch):
    makes, says = KINDS[kind][0], OTHERWISE.get((kind, name), KINDS[kind][1])
    if "law" in says:  # of form: what else may be amiss is not sought
        monkeypatch.setattr(engine, "with_hint", lambda broken, *about: broken)
    for i, wrong in enumerate(makes(name)):
        if (kind, name, i) in RIGHT_TOO:
            continue
        function = asked(name, wrong)
        report = check(function, name)
        assert not report.passed, i
        assert is_true(report.hint, function, name), report
        for field, words in says.items():
            assert re.search(words, str(getattr(report, field))) or consistent(report.hint), report  # or a true name
        assert says != OWN or report.law in {ROWS, *(law.statement for law in spec(name).laws if not law.of_form)}


@pytest.mark.parametrize(("kind", "name", "i"), RIGHT_TOO)
def test_what_is_right_too_passes(kind, name, i):
    assert check(asked(name, list(KINDS[kind][0](name))[i]), name)
