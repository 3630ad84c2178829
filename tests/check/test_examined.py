"""The answers of someone who had not seen the laws are judged as they were meant."""

import pytest
from examined import ANSWERS

from tinydiff.check import check


@pytest.mark.parametrize("answer", ANSWERS, ids=[f"{i}-{answer['name']}" for i, answer in enumerate(ANSWERS)])
def test_an_answer_is_judged_as_it_was_meant(answer):
    report = check(answer["function"], answer["name"])
    assert report.passed == answer["right"], report
    assert answer["says"] in report.hint
    assert answer["says"] or "onsistent with" not in report.hint
