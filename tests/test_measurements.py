"""MeasurementGuidance beside the exact posterior: where each covariance is exact, and what the family shares.

The exact denoiser given y = A x_0 + τ n is the oracle of `data.conditioned(A, y, tau)`.

Shapes: B rows, D coordinates, M measurements. Sources: DPS [Chung et al. 2023], ΠGDM [Song et al. 2023], TMPD [Boys et
al. 2023], MMPS [Rozet et al. 2024].
"""

import re
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff import testing
from tinydiff.inverse import Covariance, conjugate_gradients

COVARIANCES = get_args(Covariance)
MIXTURE = td.GaussianMixture(
    [0.4, 0.6],
    [[-1.0, 0.3, 0.2], [0.8, 1.0, -0.5]],
    [[[0.3, 0.2, 0.1], [0.2, 0.4, 0.0], [0.1, 0.0, 0.5]], [[0.5, -0.3, 0.0], [-0.3, 0.3, 0.1], [0.0, 0.1, 0.4]]],
    [0, 1],
)
ORACLE = td.Oracle(MIXTURE, td.VP())
A, Y, TAU = np.array([[0.8, -0.6, 0.2], [0.1, 0.5, 1.0]]), np.array([0.3, -0.4]), 0.25
X = np.random.default_rng(4).normal(size=(5, 3))
every_covariance = pytest.mark.parametrize("covariance", COVARIANCES)


def normal(rng, dim):
    """N(m, C) with a full covariance."""
    b = rng.standard_normal((dim, dim))
    return td.GaussianMixture([1.0], rng.standard_normal((1, dim)), [b @ b.T + 0.1 * np.eye(dim)])


def agree(model, exact, x, t):
    """x̂_0 and ε̂ of both are equal to rounding."""
    assert_allclose(model.x0(x, t), exact.x0(x, t), rtol=1e-8, atol=1e-8)
    assert_allclose(model(x, t), exact(x, t), rtol=1e-8, atol=1e-8)


# Where each is exact


@given(
    rng=testing.generators(),
    process=testing.processes(td.VP, td.SubVP, td.VE, td.Cosine, td.Straight),
    t=st.floats(0.05, 0.95),
    measured=st.integers(1, 6),
    tau=st.floats(0.1, 2.0),
)
def test_mmps_is_the_posterior_of_one_gaussian(rng, process, t, measured, tau):
    """The covariance of x_0 given x_t is exact and does not depend on x: Kalman's mean is the posterior's."""
    data, B = normal(rng, 6), rng.standard_normal((measured, 6))
    y, x = rng.standard_normal(measured), process.at(t).perturb(data.sample(rng, 4), rng.standard_normal((4, 6)))
    model = td.MeasurementGuidance(td.Oracle(data, process), B, y, tau)
    agree(model, td.Oracle(data.conditioned(B, y, tau), process), x, t)


@pytest.mark.parametrize("process", [td.VP(), td.Straight(), td.VE()], ids=repr)
def test_pigdm_is_the_posterior_of_the_standard_normal(process, rng):
    """Cov[x_0 | x_t] = σ²/(α² + σ²) I where the data are N(0, I), whatever the scale of the process."""
    data = td.GaussianMixture([1.0], [np.zeros(3)], [np.eye(3)])
    model = td.MeasurementGuidance(td.Oracle(data, process), A, Y, TAU, "pigdm")
    for t in (0.1, 0.5, 0.9):
        agree(model, td.Oracle(data.conditioned(A, Y, TAU), process), X, t)


def test_tmpd_is_mmps_where_one_number_is_measured_or_the_errors_are_independent():
    """A matrix of one row is its own row sum, and so is a diagonal one."""
    one, both = (td.MeasurementGuidance(ORACLE, A[:1], Y[:1], TAU, c) for c in ("tmpd", "mmps"))
    agree(one, both, X, 0.4)
    data = td.GaussianMixture([1.0], [[0.5, -0.2, 0.1]], [np.diag([0.3, 2.0, 0.7])])
    agree(
        td.MeasurementGuidance(td.Oracle(data, td.VP()), np.eye(3)[:2], Y, TAU, "tmpd"),
        td.Oracle(data.conditioned(np.eye(3)[:2], Y, TAU), td.VP()),
        X,
        0.4,
    )


def test_all_are_one_as_the_noise_of_the_measurement_drowns_the_rest(rng):
    """Σ matters beside τ² alone: on one Gaussian all four are exact to first order in 1/τ²."""
    data = normal(rng, 3)
    oracle, exact = td.Oracle(data, td.VP()), td.Oracle(data.conditioned(A, Y, 1e3), td.VP())
    for covariance in COVARIANCES:
        moved = td.MeasurementGuidance(oracle, A, Y, 1e3, covariance).x0(X, 0.4) - oracle.x0(X, 0.4)
        assert_allclose(moved, exact.x0(X, 0.4) - oracle.x0(X, 0.4), rtol=1e-4, atol=1e-12)


# One formula, four covariances


@every_covariance
def test_it_is_kalmans_mean_with_another_covariance(covariance):
    """x̂_0 + Cov Aᵀ (A Σ Aᵀ + τ² I)⁻¹ (y − A x̂_0), with matrices in the place of pulls."""
    now = td.VP().at(0.4)
    mean, cov = MIXTURE.x0_posterior(X, now.alpha, now.sigma)  # (B, D), (B, D, D)
    spread = {
        "dps": np.zeros((5, 2, 2)),
        "pigdm": np.broadcast_to(now.sigma**2 * A @ A.T, (5, 2, 2)),  # α² + σ² = 1
        "tmpd": np.maximum((A @ cov @ A.T).sum(axis=2), 0.0)[:, :, None] * np.eye(2),
        "mmps": A @ cov @ A.T,
    }[covariance]
    gain = cov @ A.T @ np.linalg.inv(spread + TAU**2 * np.eye(2))
    expected = mean + (gain @ (Y - mean @ A.T)[:, :, None])[:, :, 0]
    assert_allclose(td.MeasurementGuidance(ORACLE, A, Y, TAU, covariance).x0(X, 0.4), expected, rtol=1e-9)


@every_covariance
def test_noise_and_data_agree(covariance):
    """x = α x̂_0 + σ ε̂, at a time for each row as well."""
    model, t = td.MeasurementGuidance(ORACLE, A, Y, TAU, covariance), np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    now = td.VP().at(t, like=X)
    assert_allclose(now.alpha * model.x0(X, t) + now.sigma * model(X, t), X, rtol=1e-9, atol=1e-12)
    assert_allclose(model.x0(X, t)[2], model.x0(X, 0.5)[2], rtol=1e-10)


def test_the_posteriors_samples_agree_with_the_exact_ones():
    """On two modes that a measurement along x_1 tells apart: the energy distance is at most .01; DPS overshoots."""
    data, y = td.toys.spiral60(), np.array([-0.9])
    truth = data.conditioned(np.array([[1.0, 0.0]]), y, 0.1).sample(0, 1500)
    off = {}
    for covariance in COVARIANCES:
        model = td.MeasurementGuidance(td.Oracle(data, td.VP()), np.array([[1.0, 0.0]]), y, 0.1, covariance)
        x = td.sample(model, 1500, sampler=td.ddim, eta=1.0, steps=50, rng=1)
        off[covariance] = td.energy_distance(x, truth)
    assert off["mmps"] < 0.02
    assert off["pigdm"] < 0.02
    assert off["dps"] > 0.5


# Conjugate gradients


@given(rng=testing.generators(), m=st.integers(1, 4))
def test_conjugate_gradients_solve_in_as_many_steps_as_there_are_numbers(rng, m):
    b, root = rng.standard_normal((3, m)), rng.standard_normal((m, m))
    S = root @ root.T + np.eye(m)
    found = conjugate_gradients(lambda v: v @ S, b, m)
    assert_allclose(found, np.linalg.solve(S, b.T).T, rtol=1e-7, atol=1e-9)


def test_conjugate_gradients_rest_at_the_answer_and_where_nothing_is_positive():
    """A row that is solved stays as it is for ever, a zero stays zero, and a negative direction is not taken."""
    b = np.array([[1.0, 2.0], [0.0, 0.0]])
    assert_allclose(conjugate_gradients(lambda v: 2 * v, b, 9), b / 2, rtol=1e-15)
    assert_array_equal(conjugate_gradients(lambda v: -v, b, 3), 0 * b)


def test_a_row_that_has_stopped_stays_where_it_is():
    """For a hundred steps, in float32, where the residual is large: S is positive along the first step alone."""
    S = np.diag(np.array([3.0, -1.0], np.float32))
    b = np.array([[20.0, 5.0], [5.0, 20.0]], np.float32)
    early, late = (conjugate_gradients(lambda v: v @ S, b, steps) for steps in (2, 100))
    assert_array_equal(early, late)
    assert np.all(np.isfinite(late))


# Bookkeeping


@every_covariance
def test_rows_labels_and_dtypes_are_followed(covariance):
    y = np.random.default_rng(1).normal(size=(5, 2))
    model = td.MeasurementGuidance(ORACLE, A, y, TAU, covariance)
    assert_allclose(model.rows(slice(1, 3)).x0(X[1:3], 0.5), model.x0(X, 0.5)[1:3], rtol=1e-12)
    one = td.MeasurementGuidance(ORACLE, A, y[0], TAU, covariance)
    assert_allclose(one.x0(X[:1], 0.5), model.x0(X, 0.5)[:1], rtol=1e-12)
    assert_allclose(one.rows(slice(1, 3)).x0(X[1:3], 0.5), one.x0(X, 0.5)[1:3], rtol=1e-12)
    of_class = td.MeasurementGuidance(td.Oracle(MIXTURE.given(1), td.VP()), A, Y, TAU, covariance)
    assert_allclose(td.MeasurementGuidance(ORACLE, A, Y, TAU, covariance).given(1)(X, 0.5), of_class(X, 0.5))
    single = X.astype(np.float32)
    assert one(single, 0.5).dtype == one.x0(single, 0.5).dtype == np.float32


def test_each_evaluation_of_x0_is_one_of_the_model():
    counting = td.Counting(ORACLE)
    model = td.MeasurementGuidance(counting, A, Y, TAU)
    model.x0(X, 0.5)
    assert counting.nfe == 1
    model(X, 0.5)
    assert counting.nfe == 3


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"A": A[:, :2]}, ValueError, "A must be a matrix (M, 3)"),
        ({"y": np.zeros(3)}, ValueError, "y must be (2,), or (B, 2)"),
        ({"tau": 0.0}, ValueError, "tau must be over 0; got 0.0"),
        ({"tau": -1.0}, ValueError, "tau must be from 0 to"),
        ({"covariance": "exact"}, ValueError, "covariance must be one of 'mmps', 'tmpd', 'pigdm', 'dps'"),
        ({"iterations": 0}, ValueError, "iterations must be 1 or more"),
        ({"model": lambda x, t: x}, TypeError, "model must be a Denoiser"),
    ],
)
def test_wrong_use_is_named(wrong, error, says):
    with pytest.raises(error, match=re.escape(says)):
        td.MeasurementGuidance(**{"model": ORACLE, "A": A, "y": Y, "tau": TAU} | wrong)


def test_what_it_can_not_do_is_said():
    """Other rows than y has, a model without a pull, pure noise, and a derivative."""
    model = td.MeasurementGuidance(ORACLE, A, np.zeros((4, 2)), TAU)
    with pytest.raises(ValueError, match="y must be one, or one for each of 5 rows; got 4"):
        model.x0(X, 0.5)
    deaf = td.as_denoiser(lambda x, t: x, td.VP(), dim=3)
    with pytest.raises(ValueError, match="pull"):
        td.MeasurementGuidance(deaf, A, Y, TAU).x0(X, 0.5)
    with pytest.raises(ValueError, match="begin at a smaller time"):
        td.MeasurementGuidance(td.Oracle(MIXTURE, td.Cosine()), A, Y, TAU).x0(X, 1.0)
    for answer in (guided := td.MeasurementGuidance(ORACLE, A, Y, TAU)), guided.x0:
        with pytest.raises(ValueError, match="take a later time"):
            answer(X, 0.0)
    assert td.MeasurementGuidance(td.Oracle(np.eye(20), td.VP()), np.eye(20), np.zeros(20), TAU).iterations == 3
    with pytest.raises(ValueError, match="MeasurementGuidance has no pull"):
        td.log_likelihood(td.MeasurementGuidance(ORACLE, A, Y, TAU), X)
