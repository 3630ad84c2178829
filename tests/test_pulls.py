"""Every kind of denoiser: its two linearizations, uᵀ ∂ε̂/∂x and uᵀ ∂x̂_0/∂x, exact to rounding, and its rows.

Since x = α x̂_0 + σ ε̂ they obey u = α pull_x0(u) + σ pull_ε(u). Divided by a small α this has lost all digits in
float32, so that every kind has its own pull of x̂_0.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td

STEP = 1e-30  # of complex steps
MIXTURE = td.GaussianMixture(
    [0.5, 0.2, 0.3],
    [[-1.0, 0.3], [0.8, 1.0], [0.6, -1.2]],
    [[[0.3, 0.2], [0.2, 0.4]], [[0.5, -0.3], [-0.3, 0.3]], [[0.1, 0.0], [0.0, 0.6]]],
    [0, 1, 1],
)
POINTS, LABELS = np.random.default_rng(0).normal(size=(11, 2)), np.arange(11) // 4
ROWS = np.array([0.2, 0.5, 0.75, 0.8])


def network(process, prediction, dtype):
    """The denoiser of an untrained network: its Jacobian is not symmetric."""
    return untrained(td.TimeMLP(2, 8, 2, classes=2, prediction=prediction), process, dtype)


def mixer(process, prediction, dtype):
    """The same of pictures with a pixel beside the other."""
    return untrained(td.Mixer((1, 2), 1, 4, 1, classes=2, prediction=prediction), process, dtype)


def untrained(network, process, dtype):
    theta = 0.4 * np.random.default_rng(1).standard_normal(network.size)
    return td.NetworkDenoiser(network, theta.astype(dtype), process)


def own_function(process, prediction):
    """A function of one's own, F = x A tanh(t) with a pull."""
    a = np.array([[0.3, -0.5], [0.2, 0.9]])
    return td.as_denoiser(
        lambda x, t: x @ a.astype(x.dtype) * np.tanh(t)[:, None],
        process,
        dim=2,
        prediction=prediction,
        pull=lambda x, t, u: u @ a.T.astype(x.dtype) * np.tanh(t)[:, None],
    )


def classifier(process, dtype):
    mlp = td.TimeMLP(2, 8, 1, outputs=2)
    return td.Classifier(mlp, (0.4 * np.random.default_rng(2).standard_normal(mlp.size)).astype(dtype), process)


NATIVE = {
    "mixture": lambda process, dtype: td.Oracle(MIXTURE, process).given([0, 1, -1, 1]),
    "points": lambda process, dtype: td.Oracle(POINTS, process, LABELS).given(1),
    "x0 network": lambda process, dtype: network(process, "x0", dtype),
    "v network": lambda process, dtype: network(process, "v", dtype).given([0, 1, -1, 1]),
    "x0 mixer": lambda process, dtype: mixer(process, "x0", dtype).given([0, 1, -1, 1]),
    "v function": lambda process, dtype: own_function(process, "v"),
    "counted": lambda process, dtype: td.Counting(td.Oracle(MIXTURE, process).given([1, 1, 0, 0])),
    "classifier-free": lambda process, dtype: td.ClassifierFreeGuidance(
        network(process, "v", dtype).given([1, 0, 1, -1]), network(process, "v", dtype).given([0, 0, 1, 1]), 1.5
    ),
    "projected": lambda process, dtype: td.AdaptiveProjectedGuidance(
        network(process, "v", dtype).given([1, 0, 1, -1]), td.Oracle(MIXTURE, process), 1.5, parallel=0.3, longest=0.6
    ),
}
"""Denoisers whose x̂_0 does not come from ε̂: (process, dtype) ↦ a denoiser."""
PUSHED = {
    "classifier, exact": lambda process, dtype: td.ClassifierGuidance(
        td.Oracle(MIXTURE, process), td.Oracle(MIXTURE, process).grad_log_p(1), 1.5
    ),
    "classifier, learned": lambda process, dtype: td.ClassifierGuidance(
        network(process, "v", dtype).given([0, 1, 1, 0]), classifier(process, dtype).grad_log_p(1), 1.5
    ),
}
FROM_NOISE = PUSHED | {
    "eps network": lambda process, dtype: network(process, "eps", dtype),
    "score network": lambda process, dtype: network(process, "score", dtype),
    "eps mixer": lambda process, dtype: mixer(process, "eps", dtype),
    "eps function": lambda process, dtype: own_function(process, "eps"),
}
DENOISERS = NATIVE | FROM_NOISE


def over(denoisers):
    return pytest.mark.parametrize("make", denoisers.values(), ids=denoisers)


def draw(process, t, dtype=np.float64):
    """x_t and a cotangent u, (4, 2)."""
    rng = np.random.default_rng(3)
    x0, eps, u = MIXTURE.sample(rng, 4), *rng.standard_normal((2, 4, 2))
    return process.at(t, like=x0).perturb(x0, eps).astype(dtype), u.astype(dtype)


@over(DENOISERS)
@pytest.mark.parametrize("t", [0.3, ROWS], ids=["one", "rows"])
def test_a_pull_is_the_transposed_jacobian(make, t):
    """pull(u)_j = Σ_i u_i ∂f_i/∂x_j of f = ε̂ and f = x̂_0, by complex steps, where α² + σ² ≠ 1; it may be used again."""
    process = td.SubVP()
    model, (x, u) = make(process, np.float64), draw(process, t)
    for f, (value, pull) in ((model, model.linearize(x, t)), (model.x0, model.linearize_x0(x, t))):
        expected = [np.sum(u * np.imag(f(x + 1j * STEP * e, t)) / STEP, axis=1) for e in np.eye(2)]
        assert_allclose(pull(u), np.stack(expected, axis=1), rtol=0, atol=1e-10 * np.max(np.abs(expected)))
        assert_allclose(value, f(x, t), rtol=1e-12, atol=1e-12)
        assert_array_equal(pull(u), pull(u))
    now = process.at(t, like=x)
    assert_allclose(now.perturb(model.x0(x, t), model(x, t)), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NATIVE | PUSHED)
def test_in_float32_the_pull_of_x0_keeps_its_digits_where_alpha_is_small(name):
    """On Cosine α is 1.6e−4 at t = .9999, and 6e−17 at 1; (u − σ pull(u))/α would be wrong by 6e−8/α."""
    make, t = DENOISERS[name], np.array([1.0 if name in NATIVE else 0.9, 0.9999, 0.999, 0.99])
    x, u = draw(td.Cosine(), t, np.float32)
    exact, exact_pull = make(td.Cosine(), np.float64).linearize_x0(x.astype(float), t)
    found, pull = make(td.Cosine(), np.float32).linearize_x0(x, t)
    for each, expected in ((found, exact), (pull(u), exact_pull(u.astype(float)))):
        assert each.dtype == np.float32
        assert_allclose(each, expected, rtol=0, atol=1e-5 * max(1, np.max(np.abs(expected))))


@over(FROM_NOISE)
def test_what_divides_by_alpha_is_refused_where_nothing_is_left_of_the_data(make):
    """Rather than answers of 1e16, at t = 1 on Cosine."""
    model, (x, _) = make(td.Cosine(), np.float64), draw(td.Cosine(), 0.9)
    for answer in (model.x0, model.linearize_x0):
        with pytest.raises(ValueError, match="alpha"):
            answer(x, 1.0)


@over(DENOISERS)
def test_labels_follow_their_rows(make):
    """The model for some rows of a batch, as in chunks, answers as the whole does for these, whatever it is made of."""
    model, (x, _) = make(td.VP(), np.float64), draw(td.VP(), ROWS)
    for rows in (slice(0, 1), slice(1, 4)):
        part = model.rows(rows)
        assert_allclose(part(x[rows], ROWS[rows]), model(x, ROWS)[rows], rtol=1e-10, atol=1e-12)
        assert_allclose(part.x0(x[rows], 0.5), model.x0(x, 0.5)[rows], rtol=1e-10, atol=1e-12)
