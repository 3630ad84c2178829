"""Denoisers: a base class that derives what it can, one's own functions in front of it, and a count of evaluations."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.denoisers import Denoiser, Wrapper, score
from tinydiff.predictions import target

PROCESSES = [td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight(), td.Discrete.linear(100), td.Discrete.cosine(100)]
PREDICTIONS = ["eps", "x0", "v", "score"]
TIMES = np.array([0.02, 0.1, 0.3, 0.5, 0.77, 0.95])

every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)
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
        self.process, self.calls = process, 0

    def __call__(self, x, t):
        self.calls += 1
        now = self.process.at(t, like=x)
        return now.sigma / (now.alpha**2 + now.sigma**2) * x


class Linearizing(StandardNormal):
    def linearize(self, x, t):
        eps = self(x, t)

        def pull(u):
            return self(u, t)

        return eps, pull

    def given(self, labels):
        return Linearizing(self.process)


# The base class


@every_process
@number_and_rows
def test_data_follow_from_the_noise(process, t, pair):
    """x̂_0 = (x − σ ε̂)/α, where a subclass gives the noise alone: αx/(α² + σ²) on N(0, I)."""
    now = process.at(t, like=pair[0])
    expected = now.alpha / (now.alpha**2 + now.sigma**2) * pair[0]
    # (x − σ ε̂)/α loses σ²/α² of its digits
    lost = np.max((process.sigma(t) / process.alpha(t)) ** 2)
    assert_allclose(StandardNormal(process).x0(pair[0], t), expected, rtol=1e-14 * (10 + lost))


@number_and_rows
def test_the_pull_of_data_follows_from_that_of_the_noise(t, pair):
    """∂x̂_0/∂x = (I − σ ∂ε̂/∂x)/α."""
    (x, u), now = pair, td.VP().at(t, like=pair[0])
    x0_hat, pull = Linearizing(td.VP()).linearize_x0(x, t)
    ratio = now.alpha / (now.alpha**2 + now.sigma**2)
    assert_allclose(x0_hat, ratio * x, rtol=1e-9)
    assert_allclose(pull(u), ratio * u, rtol=1e-9)


def test_a_denoiser_takes_a_number_a_vector_or_a_level(pair):
    model, x = StandardNormal(td.VP()), pair[0]
    for answer in (model, model.x0):
        assert_array_equal(answer(x, 0.5), answer(x, td.VP().at(0.5)))
        assert_allclose(answer(x, np.full(6, 0.5)), answer(x, 0.5), rtol=1e-13)
        assert_array_equal(answer(x, TIMES), answer(x, td.VP().at(TIMES)))
        assert_array_equal(answer(x, TIMES), answer(x, td.VP().at(TIMES, like=x)))


def test_a_level_of_another_process_is_refused(pair):
    with pytest.raises(ValueError, match=r"(?s)Cosine.*VP|VP.*Cosine"):
        StandardNormal(td.VP())(pair[0], td.Cosine().at(0.5))


def test_where_no_signal_is_left_noise_gives_no_data(pair):
    """An ε network under Cosine at t = 1, where α = 6e-17, reached 1e30."""
    for process in (td.Cosine(), td.Straight(), td.Discrete.linear(100).zero_terminal_snr()):
        model = Linearizing(process)
        for t in (1.0, np.array([0.5] * 5 + [1.0])):
            for answer in (model.x0, model.linearize_x0):
                with pytest.raises(ValueError, match="no signal is left at t = "):
                    answer(pair[0], t)
            assert np.all(np.isfinite(model(pair[0], t)))


@pytest.mark.parametrize("sampler", [td.ddim, td.ddpm, td.dpm_solver_2m], ids=lambda f: f.__name__)
def test_an_eps_network_is_not_sampled_from_where_no_signal_is_left(sampler):
    """A walk of one's own may begin at t = 1, which the grids of the library leave out."""
    network = td.TimeMLP(2, 8, 1, prediction="eps")
    model = td.NetworkDenoiser(network, network.init(np.random.default_rng(0)), td.Cosine())
    x = np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match="no signal is left at t = 1"):
        model.x0(x, 1.0)
    with pytest.raises(ValueError, match="no signal is left at t = 1"):
        list(sampler(model, x, [1.0, 0.5], rng=0))
    assert np.all(np.isfinite(td.sample(model, 3, sampler=sampler, steps=4, rng=0)))


def test_what_a_denoiser_cannot_do_it_says(pair):
    model = StandardNormal(td.VP())
    with pytest.raises(ValueError, match="StandardNormal has no pull"):
        model.linearize(pair[0], 0.5)
    with pytest.raises(ValueError, match="StandardNormal has no pull"):
        model.linearize_x0(pair[0], 0.5)
    with pytest.raises(ValueError, match="StandardNormal takes no labels"):
        model.given(1)


@every_process
@number_and_rows
def test_score_of_a_model_is_the_gradient_of_the_log_density(process, t, pair):
    """−ε̂/σ = −x/(α² + σ²), where the data are N(0, I) and ε̂ is exact [Song et al. 2021]."""
    now, x = process.at(t, like=pair[0]), pair[0]
    gradient = np.imag(-((x + 1e-30j) ** 2) / (2 * (now.alpha**2 + now.sigma**2))) / 1e-30
    assert_allclose(score(StandardNormal(process), x, t), gradient, rtol=1e-12)


@number_and_rows
def test_score_keeps_float32(t, pair):
    assert score(StandardNormal(td.VP()), pair[0].astype(np.float32), t).dtype == np.float32


# One's own function


def mixture_and_oracle(process, labels=None):
    mixture = td.toys.moons32()
    return mixture, td.Oracle(mixture, process)


class Predicting:
    """What an oracle would output if it were a network of some prediction, and its pull."""

    def __init__(self, oracle, prediction):
        self.oracle, self.prediction = oracle, prediction

    def __call__(self, x, t):
        now = self.oracle.process.at(t, like=x)
        return target(self.prediction, self.oracle.x0(x, now), self.oracle(x, now), now)

    def pull(self, x, t, u):
        """F is linear in (x̂_0, ε̂), so its pull is the same of their pulls."""
        now = self.oracle.process.at(t, like=x)
        pulls = (each(x, now)[1](u) for each in (self.oracle.linearize_x0, self.oracle.linearize))
        return target(self.prediction, *pulls, now)


def own(oracle, prediction, **options):
    """The oracle once more, as a user's function."""
    return td.as_denoiser(
        Predicting(oracle, prediction), oracle.process, dim=oracle.dim, prediction=prediction, **options
    )


@every_process
@every_prediction
@number_and_rows
def test_ones_own_function_answers_as_the_oracle(process, prediction, t, rng):
    """Noise and data are read from F, whatever F predicts."""
    mixture, oracle = mixture_and_oracle(process)
    x = process.at(t, like=rng.standard_normal((6, 2))).perturb(mixture.sample(rng, 6), rng.standard_normal((6, 2)))
    model = own(oracle, prediction)
    ratio = np.max(process.sigma(t) / process.alpha(t))
    size = 1e-13 * (1 + np.max(np.abs(x))) * (1 + ratio + np.max(process.alpha(t) / process.sigma(t)))
    assert_allclose(model(x, t), oracle(x, t), rtol=0, atol=size)
    assert_allclose(model.x0(x, t), oracle.x0(x, t), rtol=0, atol=size * (1 + ratio))


@every_prediction
@number_and_rows
def test_with_a_pull_it_is_differentiated_as_the_oracle(prediction, t, rng):
    _, oracle = mixture_and_oracle(td.VP())
    model = own(oracle, prediction, pull=Predicting(oracle, prediction).pull)
    x, u = rng.standard_normal((2, 6, 2))
    for name in ("linearize", "linearize_x0"):
        (answer, pull), (expected, expected_pull) = (getattr(each, name)(x, t) for each in (model, oracle))
        assert_allclose(answer, expected, rtol=1e-9, atol=1e-9)
        assert_allclose(pull(u), expected_pull(u), rtol=1e-9, atol=1e-7)


def test_without_a_pull_it_says_how_to_give_one(rng):
    """Samplers need none; a likelihood does."""
    _, oracle = mixture_and_oracle(td.VP())
    model, x = own(oracle, "eps"), rng.standard_normal((6, 2))
    for needs in (model.linearize, model.linearize_x0):
        with pytest.raises(ValueError, match=r"pass as_denoiser\(\.\.\., pull="):
            needs(x, 0.5)
    with pytest.raises(ValueError, match=r"pass as_denoiser\(\.\.\., pull="):
        td.log_likelihood(model, x, steps=4)


@every_prediction
def test_a_likelihood_of_ones_own_function(prediction, rng):
    mixture, oracle = mixture_and_oracle(td.VP())
    model, x = own(oracle, prediction, pull=Predicting(oracle, prediction).pull), mixture.sample(rng, 5)
    assert_allclose(td.log_likelihood(model, x, steps=20), td.log_likelihood(oracle, x, steps=20), atol=1e-8)


SAMPLERS = {
    "ddpm": (td.ddpm, {}),
    "ddim": (td.ddim, {}),
    "ddim, eta .5": (td.ddim, {"eta": 0.5}),
    "dpm_solver_2m": (td.dpm_solver_2m, {}),
    "edm_heun": (td.edm_heun, {"churn": 1.0}),
    "probability_flow": (td.probability_flow, {}),
    "rk45": (td.probability_flow, {"method": "rk45"}),
    "euler_maruyama": (td.euler_maruyama, {}),
    "predictor_corrector": (td.predictor_corrector, {}),
    "inpaint": (td.inpaint, {"known": np.full((4, 2), 0.5), "mask": np.array([True, False])}),
}


@every_prediction
@pytest.mark.parametrize(("sampler", "options"), SAMPLERS.values(), ids=SAMPLERS)
def test_ones_own_function_is_sampled_by_every_sampler(sampler, options, prediction):
    """The oracle's draws, from the same seed."""
    _, oracle = mixture_and_oracle(td.VP())
    found, expected = (
        td.sample(model, 4, sampler=sampler, steps=6, rng=3, **options) for model in (own(oracle, prediction), oracle)
    )
    assert_allclose(found, expected, rtol=0, atol=1e-8)


def test_a_function_gets_a_time_for_each_row(rng):
    """(B,), in x's dtype, so that a network need not ask whether it is a number."""
    seen = []

    def f(x, t):
        seen.append(t)
        return 0 * x

    model = td.as_denoiser(f, td.VP(), dim=2)
    for dtype in (np.float32, np.float64):
        x = np.zeros((3, 2), dtype)
        for t in (0.5, np.array([0.1, 0.5, 0.9]), td.VP().at(0.5), td.VP().at([0.1, 0.5, 0.9], like=x)):
            assert model(x, t).dtype == dtype
            assert (seen[-1].shape, seen[-1].dtype) == ((3,), dtype)
            assert_allclose(seen[-1], td.VP().at(t).t, rtol=1e-6)


def test_a_function_of_another_shape_or_library_is_named(rng):
    x = rng.standard_normal((4, 2))

    def sum_of_coordinates(x, t):
        return x.sum(1)

    def tuples(x, t):
        return x, t

    def of_torch(x, t):
        return pytest.importorskip("torch").zeros((4, 2))

    for f in (sum_of_coordinates, tuples, of_torch):
        with pytest.raises(ValueError, match=r"f\(x, t\) must be an array of x's library and shape \(4, 2\)"):
            td.as_denoiser(f, td.VP(), dim=2)(x, 0.5)


def nothing(x, t):
    return 0 * x


def test_wrong_arguments_of_as_denoiser_are_named():
    with pytest.raises(TypeError, match=r"td\.VP\(\)"):
        td.as_denoiser(nothing, td.VP, dim=2)
    with pytest.raises(ValueError, match="prediction must be one of"):
        td.as_denoiser(nothing, td.VP(), dim=2, prediction="noise")
    with pytest.raises(TypeError, match="f must be a function of x and t"):
        td.as_denoiser(None, td.VP(), dim=2)


def test_an_eps_function_has_no_data_where_no_signal_is_left():
    x = np.ones((2, 2))
    for process in (td.Cosine(), td.Straight()):
        for prediction in ("eps", "score"):
            with pytest.raises(ValueError, match="no signal is left at t = 1"):
                td.as_denoiser(nothing, process, dim=2, prediction=prediction).x0(x, 1.0)
        for prediction in ("x0", "v"):
            assert np.all(np.isfinite(td.as_denoiser(nothing, process, dim=2, prediction=prediction).x0(x, 1.0)))


def test_ones_own_function_knows_its_process_and_dimension():
    process = td.Cosine()
    model = td.as_denoiser(nothing, process, dim=5)
    assert isinstance(model, Denoiser)
    assert (model.process, model.dim, model.like.shape, model.like.dtype) == (process, 5, (0, 5), np.float64)
    assert td.as_denoiser(nothing, process, dim=5, like=np.empty((0, 5), np.float32)).like.dtype == np.float32


def test_ones_own_function_pickles():
    model = pickle.loads(pickle.dumps(td.as_denoiser(nothing, td.VP(), dim=2)))
    assert_array_equal(model(np.ones((2, 2)), 0.5), np.zeros((2, 2)))


def test_a_torch_module_is_a_denoiser():
    """Sampled, and differentiated by torch's own backward pass; its Jacobian against central differences."""
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
    x, u, d = torch.randn((3, 5, 2), dtype=torch.float64)
    eps, back = model.linearize(x, 0.5)
    assert torch.equal(eps, model(x, 0.5))
    difference = (model(x + 1e-6 * d, 0.5) - model(x - 1e-6 * d, 0.5)) / 2e-6
    assert_allclose((back(u) * d).sum(1), (u * difference).sum(1), rtol=1e-7, atol=1e-8)
    assert bool(torch.all(torch.isfinite(td.log_likelihood(model, x, steps=4))))


# Counting


@number_and_rows
def test_counting_answers_like_its_model(t, pair):
    model = Linearizing(td.VP())
    counted, (x, u) = td.Counting(model), pair
    assert_array_equal(counted(x, t), model(x, t))
    assert_array_equal(counted.x0(x, t), model.x0(x, t))
    for name in ("linearize", "linearize_x0"):
        (answer, pull), (expected, expected_pull) = (getattr(each, name)(x, t) for each in (counted, model))
        assert_array_equal(answer, expected)
        assert_array_equal(pull(u), expected_pull(u))
    assert (counted.dim, counted.process, counted.like is model.like) == (3, model.process, True)


def test_counting_counts_each_kind_of_evaluation_once(pair):
    x, _ = pair
    counted = td.Counting(Linearizing(td.VP()))
    assert counted.nfe == 0
    for n, evaluate in enumerate((counted, counted.x0, counted.linearize, counted.linearize_x0), start=1):
        evaluate(x, 0.5)
        assert counted.nfe == n
    _ = counted.dim, counted.process, counted.like
    assert counted.nfe == 4


def test_pulls_that_share_a_forward_pass_are_not_counted(pair):
    counted = td.Counting(Linearizing(td.VP()))
    _, pull = counted.linearize(pair[0], 0.5)
    for _ in range(3):
        pull(pair[1])
    assert counted.nfe == 1


def test_a_conditioned_model_counts_from_zero(pair):
    counted = td.Counting(Linearizing(td.VP()))
    counted(pair[0], 0.5)
    conditioned = counted.given(np.array([1]))
    assert conditioned.nfe == 0
    conditioned(pair[0], 0.5)
    assert (counted.nfe, conditioned.nfe) == (1, 1)


def test_a_wrapper_has_what_its_model_has():
    model = StandardNormal(td.Cosine())
    wrapper = Wrapper(model)
    assert (wrapper.model, wrapper.process, wrapper.dim) == (model, model.process, 3)
    assert wrapper.like is model.like


# Rows of a batch, as in chunks


LABELS = np.array([0, 1, 0, 1, 1, 0])
TOY = td.GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.1 * np.ones((2, 1, 1)) * np.eye(2), [0, 1])


def oracle_given(labels):
    return td.Oracle(TOY, td.VP()).given(labels)


def network_given(labels):
    network = td.TimeMLP(2, 8, 2, classes=2)
    theta = 0.3 * np.random.default_rng(0).standard_normal(network.size)
    return td.NetworkDenoiser(network, theta, td.VP()).given(labels)


def counted_given(labels):
    return td.Counting(oracle_given(labels))


def guided_given(labels):
    return td.ClassifierFreeGuidance(oracle_given(labels), oracle_given(1 - np.asarray(labels)), 1.5)


def pushed_given(labels):
    model = td.Oracle(TOY, td.VP())
    return td.ClassifierGuidance(model.given(labels), model.grad_log_p(1), 1.5)


@pytest.mark.parametrize(
    "given", [oracle_given, network_given, counted_given, guided_given, pushed_given], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("rows", [slice(0, 2), slice(2, 5), slice(5, 6)], ids=str)
def test_labels_follow_their_rows(given, rows, rng):
    """The model for some rows answers as the whole does for these, whatever it is made of."""
    x, model = rng.standard_normal((6, 2)), given(LABELS)
    assert_allclose(model.rows(rows)(x[rows], TIMES[rows]), model(x, TIMES)[rows], rtol=1e-10, atol=1e-12)
    assert_allclose(model.rows(rows).x0(x[rows], 0.5), model.x0(x, 0.5)[rows], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("given", [oracle_given, network_given, counted_given, guided_given, pushed_given])
def test_one_label_is_for_any_rows(given, rng):
    x, model = rng.standard_normal((6, 2)), given(1)
    assert_allclose(model.rows(slice(2, 5))(x[2:5], 0.5), model(x, 0.5)[2:5], rtol=1e-10, atol=1e-12)


def test_rows_of_a_counted_model_are_counted_with_it(rng):
    """A likelihood in chunks costs as many evaluations as each chunk has, and the count shows them."""
    model = counted_given(LABELS)
    model.rows(slice(0, 2))(rng.standard_normal((2, 2)), 0.5)
    assert model.nfe == 1
