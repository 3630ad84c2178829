"""Numbers that are none, levels that would scale columns, and empty batches: a sentence, or the right answer."""

import numpy as np
import pytest

import tinydiff as td

ORACLE, X = td.Oracle(td.toys.ring8(), td.VP()), td.toys.ring8().sample(0, 2)
MANY = td.VP().at([0.1, 0.5])


@pytest.mark.parametrize("eta", [None, "1", [0.5], np.nan])
def test_what_is_no_number_is_refused(eta):
    with pytest.raises((TypeError, ValueError), match="eta must be"):
        td.ddim_step(X, X, td.VP().at(0.5), td.VP().at(0.4), 0.0, eta=eta)


@pytest.mark.parametrize(
    "formula",
    [
        lambda: td.predictions.target("v", X, X, MANY),
        lambda: td.predictions.eps_from_x0(X, X, MANY),
        lambda: td.predictions.x0_from_eps(X, X, MANY),
    ],
)
def test_levels_at_many_times_must_scale_rows(formula):
    """With as many times as coordinates NumPy would scale columns in silence."""
    with pytest.raises(ValueError, match="must be columns"):
        formula()


@pytest.mark.parametrize("options", [{"steps": 2.5}, {"batch": 2.5}, {"steps": 0}, {"steps": None}])
def test_counts_of_training_are_whole(options):
    with pytest.raises(ValueError, match="must be"):
        td.fit(td.toys.ring8(), rng=0, progress=False, **options)


def test_no_points_have_no_likelihood_and_no_error():
    assert td.log_likelihood(ORACLE, X[:0], steps=2).shape == (0,)
    assert td.VP().prior_gap(X[:0]).shape == (0,)
