"""How bugs are planted: in every kind of function, for all who hold it, and taken out again."""

import inspect
from functools import cached_property
from itertools import pairwise

import pytest

from identities.bugs import (
    bug,
    edit,
    exchanged,
    only_for,
    replaced,
    scaled,
    with_answer,
    with_argument,
    with_output,
    without,
)


def sums(a, b=2, *, c=3):
    return (a + b) * c, [
        7  # what is written over lines, with a comment
        * b
    ]


def steps(n):
    points = [0]
    points[-1] = 1
    points += range(2, n)
    for before, after in pairwise(points):
        yield after - before**2


class Base:
    def number(self):
        return 10


class Child(Base):
    def number(self):
        return super().number() + 1

    @property
    def doubled(self):
        return self.number() * 2

    @cached_property
    def kept(self):
        return self.number() * 3

    @classmethod
    def made(cls, count):
        return [cls() for _ in range(count)]


def closed_over(k):
    def f(x):
        return x - k

    return f


f = closed_over(4)


@pytest.mark.parametrize(
    ("planted", "call", "right", "wrong"),
    [
        (bug(sums, with_output(0, lambda total: 2 * total)), lambda: sums(1), (9, [14]), (18, [14])),
        (bug(sums, with_argument("c", lambda c: c + 1)), lambda: sums(1), (9, [14]), (12, [14])),
        (bug(sums, exchanged("a", "b")), lambda: sums(1), (9, [14]), (9, [7])),
        (edit(sums, "7 * _", "_"), lambda: sums(1), (9, [14]), (9, [2])),
        (without(sums, "c"), lambda: sums(1), (9, [14]), (3, [14])),
        (without(sums, "a"), lambda: sums(1), (9, [14]), (6, [14])),
        (bug(steps, with_answer(lambda answers: (-each for each in answers))), lambda: [*steps(4)], [1, -1], [-1, 1]),
        (edit(steps, "_**2", "_"), lambda: [*steps(4)], [1, -1], [1, 1]),
        (edit(steps, "points[-1] = _", "pass"), lambda: [*steps(4)], [1, -1], [2, -1]),
        (edit(steps, "yield _", "pass"), lambda: list(steps(4) or []), [1, -1], []),
        (edit(steps, "points += _", "points.append(5)"), lambda: [*steps(4)], [1, -1], [4]),
        (without(steps, "after"), lambda: [*steps(4)], [1, -1], [-1, -4]),
        (without(steps, "before**2"), lambda: [*steps(4)], [1, -1], [2, 3]),
        (bug(Child.number, lambda right, self: right(self) + 1), lambda: Child().doubled, 22, 24),
        (without(Child.number, "1"), lambda: Child().doubled, 22, 20),
        (bug(Child.doubled, scaled(2)), lambda: Child().doubled, 22, 44),
        (edit(Child.kept, "3", "4"), lambda: Child().kept, 33, 44),
        (bug(Child.made, with_argument("count", lambda n: n + 1)), lambda: len(Child.made(2)), 2, 3),
        (bug(Base.number, only_for(Child, scaled(2))), lambda: (Base().number(), Child().number()), (10, 11), (10, 21)),
        (bug(f, scaled(2)), lambda: f(5), 1, 2),
        (without(f, "x"), lambda: f(5), 1, -4),
    ],
)
def test_a_bug_is_there_while_it_is_planted(planted, call, right, wrong):
    assert call() == right
    with planted.planted():
        assert call() == wrong
    assert call() == right


def test_whoever_holds_the_function_sees_the_bug_and_its_signature():
    held, signature = sums, inspect.signature(sums)
    with replaced(sums, lambda *args, **kwargs: (args, kwargs)):
        assert held(1, c=2) == ((1,), {"c": 2})
        assert inspect.signature(sums) == signature
        with bug(sums, scaled(2)).planted():
            assert held(1) == ((1,), {}) * 2
        assert held(1) == ((1,), {})
    assert vars(sums) == {}


@pytest.mark.parametrize(("pattern", "count"), [("b", 2), ("c * (a + b)", 0), ("_ + _", 0), ("_ * __", 2)])
def test_what_is_edited_must_stand_there_once(pattern, count):
    message = f"must stand once in sums, not {count} times"
    with pytest.raises(AssertionError, match=message), edit(sums, pattern, "1").planted():
        pass
    assert sums(1) == (9, [14])
