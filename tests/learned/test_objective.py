"""Weights, times and targets of the loss; identities 27, 43 and 68 hold the loss, its weights and its gradient."""

from functools import partial

import numpy as np
import pytest

import tinydiff as td
from tinydiff.learned import objective, targets
from tinydiff.learned.denoiser import network_inputs
from tinydiff.learned.objective import loss_and_grad
from tinydiff.learned.targets import batch_means

STEP = 1e-30
PREDICTIONS = ("eps", "x0", "v", "score", "edm")


def batch(rng, n=6):
    """x_0 and ε (n, 3), and n times."""
    return *rng.standard_normal((2, n, 3)), rng.uniform(0.1, 0.9, n)


@pytest.mark.parametrize("process", [td.VP(), td.VE(), td.Straight(), td.Discrete.cosine(50)], ids=repr)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_the_weighted_error_of_the_noise_and_with_1_over_snr_that_of_the_data(process, prediction, rng):
    """L = mean of w ‖ε − ε̂‖²/d with the denoiser's own ε̂, and of ‖x_0 − x̂_0‖²/d where w = 1/SNR."""
    network, (x0, eps, t) = td.TimeMLP(3, 8, 2, prediction=prediction, sigma_data=0.5), batch(rng)
    theta, now = 0.3 * rng.standard_normal(network.size), process.at(process.nearest(t), like=x0)
    x, model = now.perturb(x0, eps), td.NetworkDenoiser(network, theta, process)
    w = np.minimum(1, 5 * (now.sigma / now.alpha) ** 2)
    for weight, expected in (
        (objective.min_snr_weight, w * (eps - model(x, now)) ** 2),
        (objective.x0_weight, (x0 - model.x0(x, now)) ** 2),
    ):
        loss, _ = loss_and_grad(network, theta, now, x0, eps, weight=weight)
        np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-9)


def test_vlb_weight_is_the_derivative_of_the_log_snr():
    """w = −½ dλ/dt [VDM 17], by complex step, on every process in continuous time."""
    t = np.linspace(0.05, 0.95, 13)
    for process in (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight()):
        slope = np.imag(process.log_snr(t + 1j * STEP)) / STEP
        np.testing.assert_allclose(objective.vlb_weight(process.at(t)), -0.5 * slope, rtol=1e-11)


@pytest.mark.parametrize("process", [td.Discrete([0.1, 0.3, 0.2, 0.6]), td.Discrete.cosine(20)], ids=repr)
def test_the_vlb_weight_over_a_chain_makes_the_loss_the_bound(process, rng):
    """(D/T) Σ_n L_n = Σ L_{n−1} + L_0 up to L_0's constant, draw for draw, the first step n = 1 included [DDPM 5, 12].

    L_0 = −ln N(x_0; x̂_0, σ²/α² I) holds ½ SNR ‖x_0 − x̂_0‖² = ½ ‖ε − ε̂‖², whose weight is T/2.
    """
    network, ts = td.TimeMLP(3, 8, 2), np.arange(process.T, 0, -1) / process.T
    theta, x0, noise = 0.3 * rng.standard_normal(network.size), batch(rng)[0], rng.standard_normal((process.T, 6, 3))
    losses = [
        loss_and_grad(network, theta, process.at(np.full(6, t), like=x0), x0, eps, weight=objective.vlb_weight)[0]
        for t, eps in zip(ts, noise, strict=True)
    ]
    bound = td.elbo(td.NetworkDenoiser(network, theta, process), x0, ts, noise=noise)
    constant = 1.5 * np.log(2 * np.pi / process.at(ts[-1]).snr)
    expected = np.mean(np.sum(bound.diffusion, axis=1) + bound.reconstruction - constant)
    assert 3 / process.T * np.sum(losses) == pytest.approx(expected, rel=1e-9)


def test_the_weights_are_known_by_their_names():
    """At SNR = 1 and 16 of the cosine, where −½ dλ/dt = ½ π (tan + 1/tan)(πt/2) and SNR = 1/tan²: γ = 5 is between."""
    levels = [td.Cosine().at(t) for t in (0.5, 2 / np.pi * np.arctan(0.25))]
    at = {name: tuple(map(weight, levels)) for name, weight in objective.WEIGHTS.items()}
    expected = {"simple": (1, 1), "vlb": (np.pi, np.pi * (0.25 + 4) / 2), "min_snr": (1, 5 / 16), "x0": (1, 1 / 16)}
    expected["edm"] = (2, 17 / 16)
    assert at.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(at[name], values, rtol=1e-12, err_msg=name)


def test_edms_weight_makes_the_loss_plain(rng):
    """λ(s) ‖x_0 − x̂_0‖² = ‖target − F‖² with λ = (s² + d²)/(s d)², s = σ/α [Karras et al. 2022, 8 and Table 1]."""
    d, process, (x0, eps, t) = 0.5, td.VP(), batch(rng)
    network, now = td.TimeMLP(3, 8, 2, prediction="edm", sigma_data=d), process.at(t, like=x0)
    theta, x, s = 0.3 * rng.standard_normal(network.size), now.perturb(x0, eps), now.sigma / now.alpha
    weight = partial(objective.edm_weight, sigma_data=d)
    loss, _ = loss_and_grad(network, theta, now, x0, eps, weight=weight)
    x0_hat = td.NetworkDenoiser(network, theta, process).x0(x, now)
    np.testing.assert_allclose(loss, np.mean((s**2 + d**2) / (s * d) ** 2 * (x0 - x0_hat) ** 2), rtol=1e-10)
    error = network(theta, *network_inputs(x, now, d))[0] - td.predictions.target("edm", x0, eps, now, d)
    np.testing.assert_allclose(loss, np.mean(error**2), rtol=1e-10)


def test_edms_weight_by_name_is_for_the_networks_scale(same):
    network = td.TimeMLP(2, 4, 1, prediction="edm", sigma_data=0.5)

    def trained(weight):
        return td.last(td.train(network, td.VP(), td.toys.ring8(), steps=2, batch=16, weight=weight, rng=0))

    assert same(trained("edm"), trained(partial(objective.edm_weight, sigma_data=0.5)))
    assert not same(trained("edm"), trained(objective.edm_weight))


def test_an_infinite_weight_is_named():
    network, x = td.TimeMLP(2, 4, 1), np.zeros((1, 2))
    now = td.Discrete.linear(100).zero_terminal_snr().at(np.ones(1), like=x)
    with pytest.raises(ValueError, match="this weight is infinite at t = 1"):
        loss_and_grad(network, network.init(0), now, x, x, weight=objective.x0_weight)


@pytest.mark.parametrize("process", [td.VP(), td.VE(), td.Cosine(), td.Discrete.linear(1000)], ids=repr)
def test_times_fill_their_clock_evenly(process, rng):
    """Read on its own clock (t, λ or the logistic's distribution function) a draw falls in each of n equal strata."""
    n = 200
    for clock, read in (
        (objective.uniform_times, lambda t: t),
        (objective.log_snr_times, process.log_snr),
        (objective.logistic_times, lambda t: 1 / (1 + np.exp((2.5 - process.log_snr(t)) / 2))),
    ):
        ends = np.sort(read(np.array([process.t_min, process.t_max])))
        shown = np.sort((read(clock(process, rng, n)) - ends[0]) / (ends[1] - ends[0]))
        slack = 0.06 if isinstance(process, td.Discrete) and clock is not objective.uniform_times else 1e-3
        assert np.all(np.abs(shown - (np.arange(n) + 0.5) / n) <= 0.5 / n + slack)


# The means of a batch


@pytest.mark.parametrize("process", [td.VP(), td.VE(sigma_min=0.02, sigma_max=5), td.Straight()], ids=repr)
def test_batch_means_are_the_answers_of_the_perfect_denoiser_of_the_batch(process, rng):
    """E[x_0|x_t] and E[ε|x_t] over the points of the batch; of a label over its points, and of −1 over all."""
    (x0, eps, t), labels = batch(rng, 40), rng.integers(-1, 2, 40)
    now = process.at(t, like=x0)
    x = now.perturb(x0, eps)
    mean, noise = batch_means(now, x0, eps)
    np.testing.assert_allclose(mean, td.Oracle(x0, process).x0(x, t), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(now.perturb(mean, noise), x, rtol=1e-9, atol=1e-9)
    labelled, _ = batch_means(now, x0, eps, labels)
    for label in (-1, 0, 1):
        own, of = labels == label, slice(None) if label == -1 else labels == label
        np.testing.assert_allclose(labelled[own], td.Oracle(x0[of], process).x0(x[own], t[own]), rtol=1e-9, atol=1e-9)


def test_batch_means_do_not_depend_on_how_many_rows_are_taken_at_a_time(rng, monkeypatch):
    (x0, eps, t), labels = batch(rng, 20), rng.integers(-1, 2, 20)
    now = td.VP().at(t, like=x0)
    for of in (None, labels):
        expected = batch_means(now, x0, eps, of)
        monkeypatch.setattr(targets, "ROWS", 8)
        np.testing.assert_allclose(batch_means(now, x0, eps, of), expected, rtol=1e-12, atol=1e-12)
        monkeypatch.undo()


def test_batch_means_have_no_bias_however_small_the_batch():
    """Over all ways to draw two points, x_0 from p(x_0|x_t) and the other from p(x_0), the mean is E[x_0|x_t]."""
    points, p = np.array([[-1.0], [0.5], [2.0]]), np.array([0.2, 0.5, 0.3])
    now = td.VP().at([0.3, 0.3], like=points[:2])
    for x in (-1.0, 0.0, 0.7, 3.0):
        noise = (x - now.alpha[0] * points) / now.sigma[0]
        posterior = p * np.exp(-0.5 * noise[:, 0] ** 2)
        posterior /= posterior.sum()
        mean = sum(
            posterior[i] * p[j] * batch_means(now, points[[i, j]], noise[[i, j]])[0][0, 0] for i, j in np.ndindex(3, 3)
        )
        assert mean == pytest.approx(posterior @ points[:, 0], rel=1e-12)


def test_batch_means_in_float32_are_those_in_float64_where_the_noise_is_small(rng):
    """At log-SNR 14 of points σ apart, where the squares of points a thousand σ from 0 cancel down to a few σ²; of
    images far apart, whose odds would overflow, they are the points.
    """
    t = np.full(200, td.VP().t_min)
    x0, eps = (1 + 1e-3 * rng.standard_normal((200, 2))).astype(np.float32), rng.standard_normal((200, 2))
    mean, noise = batch_means(td.VP().at(t, like=x0), x0, eps.astype(np.float32))
    exact = td.VP().at(t, like=eps)
    expected_mean, expected_noise = batch_means(exact, x0.astype(float), eps.astype(np.float32).astype(float))
    assert mean.dtype == noise.dtype == np.float32
    np.testing.assert_allclose(mean / exact.sigma, expected_mean / exact.sigma, rtol=0, atol=2e-3)
    np.testing.assert_allclose(noise, expected_noise, rtol=0, atol=2e-3)
    assert np.max(np.abs(expected_noise - eps)) > 0.1  # so there was something to average
    images = rng.standard_normal((20, 784)).astype(np.float32)
    np.testing.assert_array_equal(batch_means(td.VP().at(t[:20], like=images), images, images[::-1])[0], images)
