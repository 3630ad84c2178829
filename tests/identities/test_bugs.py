"""Every identity turns red when its function is broken, and the catalogue is complete."""

import pytest

from identities.catalogue import identities, run

COUNT = 75
TESTS = identities()
BUGS = [
    pytest.param(test, bug, id=f"{test.identity.number}-{bug.target.__qualname__}-{i}")
    for test in TESTS
    for i, bug in enumerate(test.identity.bugs)
]


def test_every_number_has_one_test():
    assert [test.identity.number for test in TESTS] == list(range(1, COUNT + 1))


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_every_identity_says_what_it_states(test):
    """A statement, its source and what it catches, and at least one bug that proves it."""
    statement, _, rest = test.__doc__.partition("\n")
    assert statement.strip()
    assert "Source: " in rest
    assert "Catches: " in rest
    assert test.identity.bugs
    assert not test.identity.about.__name__.startswith("_") or test.identity.about.__name__ == "__call__"


@pytest.mark.parametrize(("test", "bug"), BUGS)
def test_a_bug_turns_its_identity_red(test, bug):
    with bug.planted(), pytest.raises(Exception) as failure:  # noqa: PT011 - or what NumPy says of a wrong shape
        run(test)
    assert not isinstance(failure.value, NameError | AttributeError | TypeError), "the bug is not even wrong"
