"""A denoiser's two linearizations: uᵀ ∂ε̂/∂x and uᵀ ∂x̂_0/∂x, of every kind of denoiser, exact to rounding.

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
PROCESSES = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight())


def network(process, prediction, dtype):
    """The denoiser of an untrained network: its Jacobian is not symmetric."""
    mlp = td.TimeMLP(2, 8, 2, classes=2, prediction=prediction)
    theta = 0.4 * np.random.default_rng(1).standard_normal(mlp.size)
    return td.NetworkDenoiser(mlp, theta.astype(dtype), process)


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


def oracle(process):
    return td.Oracle(MIXTURE, process)


NATIVE = {
    "mixture": lambda process, dtype: oracle(process),
    "a class of the mixture": lambda process, dtype: oracle(process).given([0, 1, -1, 1]),
    "points": lambda process, dtype: td.Oracle(POINTS, process, LABELS),
    "a class of the points": lambda process, dtype: td.Oracle(POINTS, process, LABELS).given(1),
    "x0 network": lambda process, dtype: network(process, "x0", dtype),
    "v network": lambda process, dtype: network(process, "v", dtype).given([0, 1, -1, 1]),
    "x0 function": lambda process, dtype: own_function(process, "x0"),
    "v function": lambda process, dtype: own_function(process, "v"),
    "counted": lambda process, dtype: td.Counting(oracle(process)),
    "classifier-free, exact": lambda process, dtype: td.ClassifierFreeGuidance(
        oracle(process).given(1), oracle(process), 1.5
    ),
    "classifier-free, learned": lambda process, dtype: td.ClassifierFreeGuidance(
        network(process, "v", dtype).given(1), network(process, "v", dtype), 1.5
    ),
}
"""Denoisers whose x̂_0 does not come from ε̂: (process, dtype) ↦ a denoiser."""
DENOISERS = NATIVE | {
    "eps network": lambda process, dtype: network(process, "eps", dtype),
    "score network": lambda process, dtype: network(process, "score", dtype),
    "eps function": lambda process, dtype: own_function(process, "eps"),
    "classifier, exact": lambda process, dtype: td.ClassifierGuidance(
        oracle(process), oracle(process).grad_log_p(1), 1.5
    ),
    "classifier, learned": lambda process, dtype: td.ClassifierGuidance(
        network(process, "v", dtype), classifier(process, dtype).grad_log_p([1, 0, 0, 1]), 1.5
    ),
}

every_denoiser = pytest.mark.parametrize("make", DENOISERS.values(), ids=DENOISERS)
every_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
every_time = pytest.mark.parametrize("t", [0.2, 0.7, ROWS], ids=["early", "late", "rows"])


def draw(process, t, dtype=np.float64):
    """x_t and a cotangent u, (4, 2)."""
    rng = np.random.default_rng(3)
    x0, eps, u = MIXTURE.sample(rng, 4), *rng.standard_normal((2, 4, 2))
    return process.at(t, like=x0).perturb(x0, eps).astype(dtype), u.astype(dtype)


@every_denoiser
@every_process
@every_time
def test_the_two_pulls_make_up_u(make, process, t):
    """α pull_x0(u) + σ pull_ε(u) = u, to 1e-10 of what is divided by α [x = α x̂_0 + σ ε̂]."""
    model, (x, u), now = make(process, np.float64), draw(process, t), process.at(t, like=np.zeros((4, 2)))
    pull, pull_x0 = model.linearize(x, t)[1], model.linearize_x0(x, t)[1]
    expected = (u - now.sigma * pull(u)) / now.alpha
    assert_allclose(pull_x0(u), expected, rtol=0, atol=1e-10 * (1 + np.max(np.abs(expected))))


@every_denoiser
@every_time
def test_a_pull_is_the_transposed_jacobian(make, t):
    """pull(u)_j = Σ_i u_i ∂f_i/∂x_j of f = ε̂ and f = x̂_0, by complex steps → the Jacobian not transposed."""
    process = td.VP()
    model, (x, u) = make(process, np.float64), draw(process, t)
    for f, (value, pull) in ((model, model.linearize(x, t)), (model.x0, model.linearize_x0(x, t))):
        expected = [np.sum(u * np.imag(f(x + 1j * STEP * e, t)) / STEP, axis=1) for e in np.eye(2)]
        assert_allclose(pull(u), np.stack(expected, axis=1), rtol=0, atol=1e-10 * np.max(np.abs(expected)))
        assert_allclose(value, f(x, t), rtol=1e-12, atol=1e-12)


@every_denoiser
@every_time
def test_a_pull_is_linear_and_may_be_used_again(make, t):
    model, (x, u) = make(td.VP(), np.float64), draw(td.VP(), t)
    for _, pull in (model.linearize(x, t), model.linearize_x0(x, t)):
        assert_allclose(pull(2 * u + x), 2 * pull(u) + pull(x), rtol=1e-9, atol=1e-9)
        assert_array_equal(pull(u), pull(u))


@pytest.mark.parametrize("make", NATIVE.values(), ids=NATIVE)
@pytest.mark.parametrize("t", [1.0, 0.9999, [1.0, 0.9999, 0.999, 0.99]], ids=["none", "little", "rows"])
def test_in_float32_the_pull_of_x0_keeps_its_digits_where_alpha_is_small(make, t):
    """On Cosine α is 6e−17 at t = 1 and 1.6e−4 at .9999; (u − σ pull(u))/α would be wrong by 6e−8/α."""
    process = td.Cosine()
    x, u = draw(process, t, np.float32)
    exact, exact_pull = make(process, np.float64).linearize_x0(x.astype(float), t)
    found, pull = make(process, np.float32).linearize_x0(x, t)
    assert found.dtype == pull(u).dtype == np.float32
    for each, expected in ((found, exact), (pull(u), exact_pull(u.astype(float)))):
        assert np.all(np.isfinite(each))
        assert_allclose(each, expected, rtol=0, atol=1e-5 * np.max(np.abs(expected)))


@pytest.mark.parametrize("name", ["classifier, exact", "classifier, learned"])
@pytest.mark.parametrize("t", [0.9999, [0.9999, 0.999, 0.99, 0.9]], ids=["little", "rows"])
def test_in_float32_the_push_of_a_classifier_rounds_u_alone(name, t):
    """Its pull, a complex step, is as good as u itself where α = 1.6e−4: no rounding is divided by α."""
    x, u = draw(td.Cosine(), t, np.float32)
    exact, exact_pull = DENOISERS[name](td.Cosine(), np.float64).linearize_x0(x.astype(float), t)
    found, pull = DENOISERS[name](td.Cosine(), np.float32).linearize_x0(x, t)
    for each, expected in ((found, exact), (pull(u), exact_pull(u.astype(float)))):
        assert_allclose(each, expected, rtol=0, atol=2e-6 * max(1, np.max(np.abs(expected))))


@pytest.mark.parametrize("name", sorted(set(DENOISERS) - set(NATIVE)))
@pytest.mark.parametrize("answer", ["x0", "linearize_x0"])
def test_what_divides_by_alpha_is_refused_where_nothing_is_left_of_the_data(name, answer):
    """α = 6e−17 on Cosine at t = 1, under 1e−8, rather than answers of 1e16."""
    model, (x, _) = DENOISERS[name](td.Cosine(), np.float64), draw(td.Cosine(), 0.9)
    with pytest.raises(ValueError, match="alpha"):
        getattr(model, answer)(x, 1.0)


@every_denoiser
def test_float32_stays_float32(make):
    for t in (0.5, ROWS):
        x, u = draw(td.VP(), t, np.float32)
        model = make(td.VP(), np.float32)
        for value, pull in (model.linearize(x, t), model.linearize_x0(x, t)):
            assert value.dtype == pull(u).dtype == np.float32


def test_a_linearization_counts_once_however_often_it_is_pulled():
    model, (x, u) = td.Counting(oracle(td.VP())), draw(td.VP(), 0.5)
    for _, pull in (model.linearize(x, 0.5), model.linearize_x0(x, 0.5)):
        pull(u), pull(x)
    assert model.nfe == 2


def test_a_function_without_a_pull_says_what_to_pass():
    model = td.as_denoiser(lambda x, t: x, td.VP(), dim=2)
    for linearize in (model.linearize, model.linearize_x0):
        with pytest.raises(ValueError, match="pull="):
            linearize(np.zeros((3, 2)), 0.5)
