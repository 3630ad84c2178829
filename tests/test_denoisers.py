"""Denoisers: a base class that derives what it can, one's own functions in front of it, and a count of evaluations."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.denoisers import Denoiser, score
from tinydiff.predictions import target

PROCESSES = [td.VP(), td.VE(), td.Cosine(), td.Discrete.linear(100)]
TIMES = np.array([0.02, 0.1, 0.3, 0.5, 0.77, 0.95])

every_prediction = pytest.mark.parametrize("prediction", ["eps", "x0", "v", "score"])
every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)
number_and_rows = pytest.mark.parametrize("t", [0.5, TIMES], ids=["one", "rows"])


@pytest.fixture
def pair(rng):
    """x and u, (6, 3) each."""
    return rng.standard_normal((2, 6, 3))


class StandardNormal(Denoiser):
    """The exact denoiser of N(0, I) data: ε̂ = σx/(α² + σ²), and so the score is −x/(α² + σ²)."""

    dim, like = 3, np.empty((0, 3))

    def __init__(self, process):
        self.process = process

    def __call__(self, x, t):
        now = self.process.at(t, like=x)
        return now.sigma / (now.alpha**2 + now.sigma**2) * x


class Linearizing(StandardNormal):
    def linearize(self, x, t):
        return self(x, t), lambda u: self(u, t)

    def given(self, labels):
        return Linearizing(self.process)


# The base class


@every_process
@number_and_rows
def test_data_their_pull_and_the_score_follow_from_the_noise(process, t, pair):
    """x̂_0 = (x − σ ε̂)/α, ∂x̂_0/∂x = (I − σ ∂ε̂/∂x)/α and s = −ε̂/σ: αx/n, α/n and −x/n on N(0, I), n = α² + σ²."""
    (x, u), now, model = pair, process.at(t, like=pair[0]), Linearizing(process)
    n = now.alpha**2 + now.sigma**2
    lost = np.max((process.sigma(t) / process.alpha(t)) ** 2)  # of the digits, by (x − σ ε̂)/α
    x0_hat, pull = model.linearize_x0(x, t)
    for found, y in ((model.x0(x, t), x), (x0_hat, x), (pull(u), u)):
        assert_allclose(found, now.alpha / n * y, rtol=1e-14 * (10 + lost))
    assert_allclose(score(model, x, t), -x / n, rtol=1e-12)
    assert score(model, x.astype(np.float32), t).dtype == np.float32


def test_a_denoiser_takes_a_number_a_vector_or_a_level(pair):
    model, x = StandardNormal(td.VP()), pair[0]
    for answer in (model, model.x0):
        assert_array_equal(answer(x, 0.5), answer(x, td.VP().at(0.5)))
        assert_allclose(answer(x, np.full(6, 0.5)), answer(x, 0.5), rtol=1e-13)
        assert_array_equal(answer(x, TIMES), answer(x, td.VP().at(TIMES)))
    with pytest.raises(ValueError, match=r"(?s)Cosine.*VP|VP.*Cosine"):
        model(x, td.Cosine().at(0.5))


def test_what_a_denoiser_cannot_do_it_says(pair):
    model = StandardNormal(td.VP())
    for linearize in (model.linearize, model.linearize_x0):
        with pytest.raises(ValueError, match="StandardNormal has no pull"):
            linearize(pair[0], 0.5)
    with pytest.raises(ValueError, match="StandardNormal takes no labels"):
        model.given(1)


# One's own function


MOONS = td.toys.moons32()


def own(oracle, prediction, **options):
    """The oracle once more, as a user's function F and its pull; F is linear in (x̂_0, ε̂), so its pull is in theirs."""

    def f(x, t):
        now = oracle.process.at(t, like=x)
        return target(prediction, oracle.x0(x, now), oracle(x, now), now)

    def pull(x, t, u):
        now = oracle.process.at(t, like=x)
        return target(prediction, *(each(x, now)[1](u) for each in (oracle.linearize_x0, oracle.linearize)), now)

    return td.as_denoiser(f, oracle.process, dim=oracle.dim, prediction=prediction, pull=pull, **options)


@every_process
@every_prediction
@number_and_rows
def test_ones_own_function_answers_and_is_differentiated_as_the_oracle(process, prediction, t, rng):
    """Noise, data and their pulls are read from F, whatever F predicts."""
    oracle, u = td.Oracle(MOONS, process), rng.standard_normal((6, 2))
    x = process.at(t, like=u).perturb(MOONS.sample(rng, 6), rng.standard_normal((6, 2)))
    model = own(oracle, prediction)
    ratio = np.max(process.sigma(t) / process.alpha(t))
    size = 1e-13 * (1 + np.max(np.abs(x))) * (1 + ratio + np.max(process.alpha(t) / process.sigma(t)))
    for name, tolerance in (("linearize", size), ("linearize_x0", size * (1 + ratio))):
        (answer, pull), (expected, expected_pull) = (getattr(each, name)(x, t) for each in (model, oracle))
        assert_allclose(answer, expected, rtol=0, atol=tolerance)
        assert_allclose(pull(u), expected_pull(u), rtol=0, atol=1e3 * tolerance)
    assert_allclose(model(x, t), oracle(x, t), rtol=0, atol=size)
    assert_allclose(model.x0(x, t), oracle.x0(x, t), rtol=0, atol=size * (1 + ratio))


@every_prediction
def test_ones_own_function_is_sampled_and_has_a_likelihood(prediction, rng):
    """The oracle's draws, from the same seed, and its density."""
    oracle = td.Oracle(MOONS, td.VP())
    model, x = own(oracle, prediction), MOONS.sample(rng, 3)
    found, expected = (td.sample(each, 4, sampler=td.ddpm, steps=6, rng=3) for each in (model, oracle))
    assert_allclose(found, expected, rtol=0, atol=1e-8)
    assert_allclose(td.log_likelihood(model, x, steps=4), td.log_likelihood(oracle, x, steps=4), atol=1e-8)


def nothing(x, t):
    return 0 * x


def test_without_a_pull_it_says_how_to_give_one(rng):
    """Samplers need none; a likelihood does."""
    model, x = td.as_denoiser(nothing, td.VP(), dim=2), rng.standard_normal((6, 2))
    for needs in (
        lambda: model.linearize(x, 0.5),
        lambda: model.linearize_x0(x, 0.5),
        lambda: td.log_likelihood(model, x),
    ):
        with pytest.raises(ValueError, match=r"pass as_denoiser\(\.\.\., pull="):
            needs()


def test_a_function_gets_a_time_for_each_row():
    """(B,), in x's dtype, so that a network need not ask whether it is a number."""
    seen = []

    def f(x, t):
        seen.append(t)
        return 0 * x

    model, times = td.as_denoiser(f, td.VP(), dim=2), [0.1, 0.5, 0.9]
    for dtype in (np.float32, np.float64):
        x = np.zeros((3, 2), dtype)
        for t in (0.5, np.array(times), td.VP().at(0.5), td.VP().at(times, like=x)):
            assert model(x, t).dtype == dtype
            assert (seen[-1].shape, seen[-1].dtype) == ((3,), dtype)
            assert_allclose(seen[-1], td.VP().at(t).t, rtol=1e-6)


def test_an_answer_of_another_shape_or_library_is_named():
    x, library = np.zeros((4, 2)), pytest.importorskip("array_api_strict")
    for f in (lambda x, t: x.sum(1), lambda x, t: (x, t), lambda x, t: library.zeros((4, 2))):
        with pytest.raises(ValueError, match=r"f\(x, t\) must be an array of x's library and shape \(4, 2\)"):
            td.as_denoiser(f, td.VP(), dim=2)(x, 0.5)


def test_wrong_arguments_of_as_denoiser_are_named():
    with pytest.raises(TypeError, match=r"td\.VP\(\)"):
        td.as_denoiser(nothing, td.VP, dim=2)
    with pytest.raises(ValueError, match="prediction must be one of"):
        td.as_denoiser(nothing, td.VP(), dim=2, prediction="noise")
    with pytest.raises(TypeError, match="f must be a function of x and t"):
        td.as_denoiser(None, td.VP(), dim=2)


def test_ones_own_function_knows_its_process_and_dimension_and_pickles():
    process = td.Cosine()
    model = td.as_denoiser(nothing, process, dim=5)
    assert isinstance(model, Denoiser)
    assert (model.process, model.dim, model.like.shape, model.like.dtype) == (process, 5, (0, 5), np.float64)
    assert td.as_denoiser(nothing, process, dim=5, like=np.empty((0, 5), np.float32)).like.dtype == np.float32
    assert_array_equal(pickle.loads(pickle.dumps(model))(np.ones((2, 5)), 0.5), np.zeros((2, 5)))


def test_a_torch_module_is_a_denoiser():
    """Sampled, and differentiated by torch's own backward pass, which central differences judge."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.SiLU(), torch.nn.Linear(8, 2)).double()

    def f(x, t):
        with torch.no_grad():
            return net(torch.cat([x, t[:, None]], dim=1))

    def pull(x, t, u):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(net(torch.cat([x, t[:, None]], dim=1)), x, u)[0]

    model = td.as_denoiser(f, td.VP(), dim=2, prediction="v", pull=pull, like=torch.empty((0, 2), dtype=torch.float64))
    drawn = td.sample(model, 5, steps=4, rng=0)
    assert isinstance(drawn, torch.Tensor)
    assert drawn.dtype == torch.float64
    assert bool(torch.all(torch.isfinite(drawn)))
    difference = (model(drawn + 1e-6, 0.5) - model(drawn - 1e-6, 0.5)) / 2e-6
    assert_allclose(model.linearize(drawn, 0.5)[1](drawn).sum(1), (drawn * difference).sum(1), rtol=1e-7, atol=1e-8)
    assert bool(torch.all(torch.isfinite(td.log_likelihood(model, drawn, steps=2))))


# Counting


@number_and_rows
def test_counting_answers_like_its_model_and_counts_each_evaluation_once(t, pair):
    """However often a linearization is pulled."""
    model = Linearizing(td.VP())
    counted, (x, u) = td.Counting(model), pair
    assert (counted.dim, counted.process, counted.like is model.like, counted.nfe) == (3, model.process, True, 0)
    assert_array_equal(counted(x, t), model(x, t))
    assert_array_equal(counted.x0(x, t), model.x0(x, t))
    assert counted.nfe == 2
    for n, name in ((3, "linearize"), (4, "linearize_x0")):
        (answer, pull), (expected, expected_pull) = (getattr(each, name)(x, t) for each in (counted, model))
        assert_array_equal(answer, expected)
        for v in (u, x):
            assert_array_equal(pull(v), expected_pull(v))
        assert counted.nfe == n


def test_a_conditioned_model_counts_from_zero_and_rows_with_the_whole(pair):
    """A likelihood in chunks costs as many evaluations as each chunk has, and the count shows them."""
    counted = td.Counting(Linearizing(td.VP()))
    counted.rows(slice(0, 2))(pair[0][:2], 0.5)
    conditioned = counted.given(np.array([1]))
    assert (counted.nfe, conditioned.nfe) == (1, 0)
    conditioned(pair[0], 0.5)
    assert (counted.nfe, conditioned.nfe) == (1, 1)
