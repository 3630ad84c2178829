"""The likelihood of the probability flow, against densities that are known."""

import itertools

import numpy as np
import pytest

import tinydiff as td

SDES = (td.VP(), td.SubVP(), td.VE(), td.Cosine())


@pytest.mark.parametrize("process", SDES, ids=repr)
@pytest.mark.parametrize("toy", ["ring8", "spiral60"])
def test_the_oracles_likelihood_is_the_exact_density(toy, process, rng):
    """ln p(x) = ln q_0(x) to 1e-3 nats, with q_T as prior and the default steps [Song et al. 2021, 39]."""
    data = td.toys.TOYS[toy]()
    oracle, x = td.Oracle(data, process), data.sample(rng, 100)
    found = td.log_likelihood(oracle, process, x, prior=lambda y: oracle.log_density(y, process.t_max))
    np.testing.assert_allclose(found, data.log_density(x), atol=1e-3)


def test_the_process_prior_costs_what_its_gap_says(rng):
    """With p(x_T) for q_T the mean log-likelihood falls by KL(q_T ‖ p_T), which is below the mean of L_T."""
    data, process = td.toys.ring8(), td.VP()
    oracle, x = td.Oracle(data, process), data.sample(rng, 400)
    exact = td.log_likelihood(oracle, process, x, prior=lambda y: oracle.log_density(y, 1.0))
    lost = exact - td.log_likelihood(oracle, process, x)
    assert abs(np.mean(lost)) <= np.mean(process.prior_gap(x))
    assert np.max(np.abs(lost)) > 0


def test_more_steps_converge_to_the_density_at_t_min(rng):
    """To 1e-6 of ln q_{t_min}(α x) + d ln α."""
    data, process = td.toys.moons32(), td.VP()
    oracle, x, a = td.Oracle(data, process), data.sample(rng, 20), process.alpha(process.t_min)
    found = td.log_likelihood(oracle, process, x, steps=800, prior=lambda y: oracle.log_density(y, 1.0))
    np.testing.assert_allclose(found, oracle.log_density(a * x, process.t_min) + 2 * np.log(a), atol=1e-6)


def test_all_sign_vectors_give_the_exact_divergence(rng):
    """The mean of vᵀJv over {±1}^d is tr J [Hutchinson 1989]; so is that over √d e_j."""
    network = td.TimeMLP(3, 8, 1)
    process = td.VP()
    model = td.NetworkDenoiser(network, 0.3 * rng.standard_normal(network.size), process)
    x, signs = rng.standard_normal((5, 3)), np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    exact = td.log_likelihood(model, process, x, steps=5)
    np.testing.assert_allclose(td.log_likelihood(model, process, x, steps=5, probes=signs), exact, rtol=1e-12)


def test_random_probes_are_unbiased(rng):
    """The mean over many draws of 4 probes is within four standard errors of the exact likelihood."""
    process, data = td.VP(), td.toys.ring8()
    oracle, x = td.Oracle(data, process), np.repeat(data.sample(rng, 1), 2000, axis=0)
    found = td.log_likelihood(oracle, process, x, steps=20, probes=4, rng=rng)
    exact = td.log_likelihood(oracle, process, x[:1], steps=20)[0]
    assert np.std(found) > 0
    assert abs(np.mean(found) - exact) < 4 * np.std(found) / np.sqrt(2000) + 1e-12


def test_kl_of_the_oracle_is_zero_and_of_a_wrong_model_is_not(rng):
    """KL(data ‖ oracle) is 0 to the prior's gap; against the oracle of another mixture it is the KL between the two."""
    data, other, process = td.toys.moons32(), td.toys.spiral60(), td.VP()
    kl, error = td.kl_from_truth(td.Oracle(data, process), process, data, n=500, rng=rng)
    assert abs(kl) < 1e-3
    assert error < 1e-3
    kl, error = td.kl_from_truth(td.Oracle(other, process), process, data, n=500, rng=rng)
    x = data.sample(rng, 20_000)
    gap = data.log_density(x) - other.log_density(x)
    assert error == pytest.approx(np.std(gap) / np.sqrt(500), rel=0.3)
    assert abs(kl - np.mean(gap)) < 4 * np.hypot(error, np.std(gap) / np.sqrt(20_000))


def test_the_likelihood_integrates_to_one(rng):
    """Of an untrained network too: the flow is a change of variables whatever ε̂ is."""
    network, process = td.TimeMLP(1, 8, 1), td.VP()
    model = td.NetworkDenoiser(network, 0.3 * rng.standard_normal(network.size), process)
    x = np.linspace(-20, 20, 4001)[:, None]
    density = np.exp(td.log_likelihood(model, process, x, steps=100))
    np.testing.assert_allclose(np.trapezoid(density, x[:, 0]), 1, atol=1e-3)


def test_wrong_use_is_named(rng):
    x, chain = np.zeros((1, 2)), td.Discrete.linear(100)
    with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
        td.log_likelihood(td.Oracle(td.toys.ring8(), chain), chain, x)
    with pytest.raises(ValueError, match="drawing probes needs rng"):
        td.log_likelihood(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), x, probes=3)
    with pytest.raises(ValueError, match="drawing probes needs rng and a number of 1 or more; got 0"):
        td.log_likelihood(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), x, probes=0, rng=rng)
    with pytest.raises(ValueError, match=r"shape \(B, 2\); got shape \(2,\)"):
        td.log_likelihood(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), x[0])
    with pytest.raises(ValueError, match="n must be at least 2"):
        td.kl_from_truth(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), td.toys.ring8(), n=1, rng=rng)
    with pytest.raises(ValueError, match="data needs a log_density"):
        td.kl_from_truth(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), x, rng=rng)
