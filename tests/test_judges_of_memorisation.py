"""The judges of notebook 14: each refuses what students get wrong, and says which part it is."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff import course_answers
from tinydiff.course_tests import memorisation


def right(marks):
    return [bool(mark) for mark, _ in marks]


def test_the_nats_of_a_denoiser_are_a_divergence():
    """Up to the ends of λ and the luck of the points; those of the exact denoiser are 0."""
    assert memorisation.nats(memorisation.of_mixture(memorisation.MOONS, memorisation.BETAS), 50) < 1e-12
    points, h = memorisation.seen(), 0.2
    bumps = td.GaussianMixture(np.full(60, 1 / 60), points, np.tile(h**2 * np.eye(2), (60, 1, 1)))
    x = memorisation.MOONS.sample(np.random.default_rng(0), 5000)
    kl = np.mean(memorisation.MOONS.log_density(x) - bumps.log_density(x))
    assert memorisation.nats(memorisation.smoothed(points, h), 500) == pytest.approx(kl, abs=0.08)
    assert memorisation.nats(memorisation.of_mixture(bumps, memorisation.BETAS), 50) == pytest.approx(
        memorisation.nats(memorisation.smoothed(points, h), 50), abs=1e-10
    )


@pytest.mark.parametrize(
    ("formula", "holds"),
    [
        (lambda N, D: (N ** (2 / D) - 1) ** -0.5, True),
        (lambda N, D: np.expm1(2 * np.log(N) / D) ** -0.5, True),
        (lambda N, D: 1.1 * (N ** (2 / D) - 1) ** -0.5, False),
        (lambda N, D: N ** (-1 / D), False),
        (lambda N, D: (N ** (1 / D) - 1) ** -0.5, False),
        (lambda N, D: (N ** (2 / D) - 1) ** -1, False),
    ],
)
def test_points_are_told_apart_where_as_many_nats_are_told_as_needed(formula, holds):
    assert all(right(memorisation.told_apart(formula))) is holds


def test_a_point_that_judges_itself_makes_every_width_too_small():
    def program(leave_out):
        def choose(points, widths):
            scores = []
            for h in widths:
                log_p = []
                for i in range(len(points)):
                    centres = np.delete(points, i, axis=0) if leave_out else points
                    square = np.sum((points[i] - centres) ** 2, axis=1)
                    log_p.append(np.logaddexp.reduce(-square / (2 * h**2)) - 2 * np.log(h))
                scores.append(np.mean(log_p))
            return widths[np.argmax(scores)]

        return choose

    judge = memorisation.without_a_test_set
    for line in (3, 4, 5):  # each can leave the point out
        assert all(right(judge("C", "d", "a", "B", "c", line, program(leave_out=True))))
    assert not any(right(judge("B", "A", "D", "C", "B", 6, program(leave_out=False))))
    assert right(judge("C", "D", "A", "B", "B", 3, lambda points, widths: widths[widths > 0.1][0]))[4:] == [
        False,
        True,
        False,
    ]


@pytest.mark.slow
def test_the_letters_are_those_of_the_models():
    seen, new = zip(*memorisation.four_models().values(), strict=True)  # A, B, C, D: late, exact, empirical, early
    assert seen[2] < seen[0] < seen[3] < seen[1]
    assert new[1] < new[3] < new[0] < new[2]
    assert abs(new[1]) < 0.1


@pytest.mark.slow
def test_the_shares_are_measured():
    """Two draws of the 20: a network and bumps lean to their points, new points do not, and none copies."""
    found = {name: mean for name, (mean, _) in memorisation.shares(2).items()}
    assert list(found) == list(memorisation.SHARES)
    for name, (mean, error) in memorisation.SHARES.items():
        assert found[name] == pytest.approx(mean, abs=4 * error * np.sqrt(10))


@pytest.mark.parametrize(("h", "holds"), [(0.15, True), (0.16, True), (0.1, False), (0.13, False), (0.3, False)])
def test_a_width_is_judged_by_other_new_points(h, holds):
    assert right(memorisation.one_width(h)) == [holds]


def test_ours_from_few_points_is_level_with_ours_and_one_width_is_not():
    assert all(right(memorisation.from_few(memorisation.ours)))
    assert right(memorisation.from_few(lambda points, betas, rng: memorisation.smoothed(points, 0.14))) == [False]


def test_moons_that_are_turned_are_as_hard():
    data = memorisation.turned(148)
    assert data.entropy()[0] == pytest.approx(memorisation.MOONS.entropy()[0], abs=1e-6)
    assert np.abs(data.means - memorisation.MOONS.means).max() > 0.1


def test_a_mixture_is_fitted_to_its_own_points():
    """One component is the mean and the covariance of the points, and `least`² more."""
    points = memorisation.seen()
    found = memorisation.em(points, memorisation.BETAS, np.random.default_rng(0), components=1, least=0.1)
    law = td.GaussianMixture(
        np.ones(1), points.mean(axis=0)[None], np.cov(points.T, bias=True)[None] + 0.01 * np.eye(2)
    )
    exact = memorisation.of_mixture(law, memorisation.BETAS)
    x = np.random.default_rng(1).standard_normal((5, 2))
    np.testing.assert_allclose(found(x, 12), exact(x, 12), rtol=1e-6)


def test_where_all_weights_are_equal_all_points_count():
    np.testing.assert_allclose(course_answers.effective_neighbours(np.full((2, 5), 0.2)), 5)
