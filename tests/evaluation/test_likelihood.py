"""The likelihood of the probability flow, against densities that are known."""

import itertools
import math

import array_api_strict as strict
import numpy as np
import pytest

import tinydiff as td
from tinydiff.backend import namespace, to_numpy
from tinydiff.evaluation.likelihood import flow_and_divergence

SDES = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight())
on_every_sde = pytest.mark.parametrize("process", SDES, ids=repr)
WIDE = td.GaussianMixture(
    [0.4, 0.6], [[-1.0, 0.3], [0.8, -0.2]], [[[0.5, 0.1], [0.1, 0.4]], [[0.3, -0.05], [-0.05, 0.6]]]
)
"""Two overlapping bumps, tilted, so that the Jacobian of the flow is nowhere diagonal."""


def random_network(rng, process, dim=3):
    network = td.TimeMLP(dim, 8, 1)
    return td.NetworkDenoiser(network, 0.3 * rng.standard_normal(network.size), process)


def sign_vectors(d):
    return np.array(list(itertools.product([-1.0, 1.0], repeat=d)))


@on_every_sde
@pytest.mark.parametrize("toy", ["ring8", "spiral60"])
def test_the_oracles_likelihood_is_the_exact_density(toy, process, rng):
    """ln p(x) = ln q_0(x) to 1e-3 nats, with q_T as prior and the default steps [Song et al. 2021, 39]."""
    data = td.toys.TOYS[toy]()
    oracle, x = td.Oracle(data, process), data.sample(rng, 30)
    found = td.log_likelihood(oracle, process, x, prior=lambda y: oracle.log_density(y, process.t_max))
    np.testing.assert_allclose(found, data.log_density(x), atol=1e-3)


def test_the_process_prior_costs_what_its_gap_says(rng):
    """With p(x_T) for q_T the mean log-likelihood falls by KL(q_T ‖ p_T), which is below the mean of L_T."""
    data, process = td.toys.ring8(), td.VP()
    oracle, x = td.Oracle(data, process), data.sample(rng, 100)
    exact = td.log_likelihood(oracle, process, x, prior=lambda y: oracle.log_density(y, 1.0))
    lost = exact - td.log_likelihood(oracle, process, x)
    assert abs(np.mean(lost)) <= np.mean(process.prior_gap(x))
    assert np.max(np.abs(lost)) > 0


@on_every_sde
def test_more_steps_converge_to_the_density_at_t_min(process, rng):
    """To 1e-7 of ln q_{t_min}(α x) + D ln α, where the flow starts, with q_T as prior [Song et al. 2021, 39]."""
    oracle, x, a = td.Oracle(WIDE, process), WIDE.sample(rng, 6), float(process.alpha(process.t_min))
    found = td.log_likelihood(oracle, process, x, steps=450, prior=lambda y: oracle.log_density(y, process.t_max))
    np.testing.assert_allclose(found, oracle.log_density(a * x, process.t_min) + 2 * math.log(a), atol=1e-7)


def test_the_steps_are_of_order_four(rng):
    """RK4 in equal log-SNR: twice the steps make a sixteenth of the error, 4 ± 0.3 in powers of two."""
    process = td.VP()
    oracle, x, a = td.Oracle(WIDE, process), WIDE.sample(rng, 20), float(process.alpha(process.t_min))
    exact = oracle.log_density(a * x, process.t_min) + 2 * math.log(a)
    errors = []
    for steps in (25, 50, 100, 200):
        found = td.log_likelihood(oracle, process, x, steps=steps, prior=lambda y: oracle.log_density(y, 1.0))
        errors.append(np.sqrt(np.mean((found - exact) ** 2)))
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 4, atol=0.3)


def test_a_step_costs_four_evaluations_whatever_the_probes(rng):
    """RK4's; a forward pass is shared between the pulls of all probes, so that 16 cost no more than the exact trace."""
    process, x = td.VP(), WIDE.sample(rng, 3)
    for probes, steps in itertools.product((None, 1, 16), (1, 7)):
        model = td.counting(td.Oracle(WIDE, process))
        td.log_likelihood(model, process, x, probes=probes, steps=steps, rng=rng)
        assert model.nfe == 4 * steps


@on_every_sde
def test_gaussian_data_under_the_process_prior_in_closed_form(process, rng):
    """The flow of N(m, v I) is x_T = α_T m + √(V_T/V_0) (x_0 − α_0 m), V = α² v + σ² [no. 58], from x_0 = α_0 x.

    So ln p(x) = ln N(x_T; 0, (α_T² + σ_T²) I) + (D/2) ln (V_T/V_0) + D ln α_0, with t_min for 0 and t_max for T.
    """
    centre, v = np.array([0.7, -1.2, 0.4]), 0.6
    data = td.GaussianMixture([1.0], [centre], [v * np.eye(3)])
    x, t, s = data.sample(rng, 8), process.t_max, process.t_min
    spread = lambda t: float(process.alpha(t) ** 2 * v + process.sigma(t) ** 2)  # noqa: E731
    stretch, a = spread(t) / spread(s), float(process.alpha(s))
    end = process.alpha(t) * centre + math.sqrt(stretch) * a * (x - centre)
    std2 = process.alpha(t) ** 2 + process.sigma(t) ** 2
    expected = -0.5 * np.sum(end**2, axis=1) / std2 - 1.5 * math.log(2 * math.pi * std2)
    expected = expected + 1.5 * math.log(stretch) + 3 * math.log(a)
    found = td.log_likelihood(td.Oracle(data, process), process, x, steps=250)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# The divergence and its estimates


@on_every_sde
def test_each_probe_gives_vjv_of_the_flow(process, rng):
    """(f̃, vᵀ (∂f̃/∂x) v) with f̃ = f x − ½ g² s and its Jacobian by complex steps of the score, to 1e-12."""
    oracle, t = td.Oracle(WIDE, process), 0.4 * process.t_max
    x, h = rng.standard_normal((5, 2)), 1e-30
    velocity = lambda x: process.f(t) * x - 0.5 * process.g2(t) * oracle.at(t).score(x)  # noqa: E731
    jacobian = np.stack([velocity(x + h * 1j * e).imag / h for e in np.eye(2)], axis=2)  # (B, D, D)
    for probes in (rng.standard_normal((4, 1, 2)), rng.standard_normal((4, 5, 2))):
        flow, squares = flow_and_divergence(oracle, process, x, t, probes)
        assert squares.shape == (5, 4)
        v = np.broadcast_to(probes, (4, 5, 2))
        np.testing.assert_allclose(flow, velocity(x), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(squares, np.einsum("pbi,bij,pbj->bp", v, jacobian, v), rtol=1e-12, atol=1e-13)


def test_all_sign_vectors_give_the_exact_divergence(rng):
    """The mean of vᵀJv over {±1}^d is tr J [Hutchinson 1989; no. 60]; so is that over √d e_j."""
    process = td.VP()
    model, x = random_network(rng, process), rng.standard_normal((5, 3))
    exact = td.log_likelihood(model, process, x, steps=5)
    for probes in (sign_vectors(3), math.sqrt(3) * np.eye(3)):
        np.testing.assert_allclose(td.log_likelihood(model, process, x, steps=5, probes=probes), exact, rtol=1e-12)


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_random_probes_are_unbiased(distribution, rng):
    """The mean over many draws of 4 probes is within four standard errors of the exact likelihood."""
    process, data = td.VP(), td.toys.ring8()
    oracle, x = td.Oracle(data, process), np.repeat(data.sample(rng, 1), 2000, axis=0)
    found = td.log_likelihood(oracle, process, x, steps=20, probes=4, distribution=distribution, rng=rng)
    exact = td.log_likelihood(oracle, process, x[:1], steps=20)[0]
    assert np.std(found) > 0
    assert abs(np.mean(found) - exact) < 4 * np.std(found) / np.sqrt(2000) + 1e-12


def test_signs_have_less_variance_than_gaussians(rng):
    """Along the whole trajectory too: 2 Σ_{i≠j} S_ij² against 2 Σ_ij S_ij², S the integral of the flow's Jacobian.

    The probes stay what they are along it [FFJORD §3.1], so that the estimate is vᵀ(∫J)v, and no. 60 holds of ∫J.
    """
    process = td.VP()
    model, x = random_network(rng, process), rng.standard_normal((1, 3))
    each = lambda v: td.log_likelihood(model, process, x, steps=10, probes=v[None, :])[0]  # noqa: E731
    unit, none = np.eye(3), each(np.zeros(3))
    diagonal = np.array([each(e) - none for e in unit])
    s = [[0.5 * (each(unit[i] + unit[j]) - none - diagonal[i] - diagonal[j]) for j in range(3)] for i in range(3)]
    s = np.array(s)
    np.testing.assert_allclose(np.diagonal(s), diagonal, rtol=1e-9)
    of_signs = np.array([each(v) for v in sign_vectors(3)])
    assert np.var(of_signs) == pytest.approx(2 * (np.sum(s**2) - np.sum(diagonal**2)), rel=1e-9)
    many = np.repeat(x, 4000, axis=0)
    drawn = {
        name: td.log_likelihood(model, process, many, steps=10, probes=1, distribution=name, rng=rng)
        for name in ("rademacher", "gaussian")
    }
    expected = {"rademacher": np.var(of_signs), "gaussian": 2 * np.sum(s**2)}
    for name, found in drawn.items():
        fourth = np.mean((found - np.mean(found)) ** 4)
        error = math.sqrt((fourth - np.var(found) ** 2) / len(found))
        assert abs(np.var(found) - expected[name]) < 4.5 * error
    assert np.var(drawn["rademacher"]) < np.var(drawn["gaussian"])
    assert {round(v, 9) for v in drawn["rademacher"]} <= {round(v, 9) for v in of_signs}


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_the_standard_error_is_that_of_the_probes(distribution, rng):
    """Over many draws (ln p̂ − ln p)/SE has mean 0 and variance 1: 63 degrees of freedom make it 63/61."""
    process, n = td.VP(), 400
    model = random_network(rng, process, dim=4)
    x = np.repeat(rng.standard_normal((1, 4)), n, axis=0)
    options = {"probes": 64, "distribution": distribution, "steps": 10}
    found, error = td.hutchinson_log_likelihood(model, process, x, rng=rng, **options)
    assert found.shape == error.shape == (n,)
    exact = td.log_likelihood(model, process, x[:1], steps=10)[0]
    z = (found - exact) / error
    assert abs(np.mean(z)) < 4 * np.std(z) / math.sqrt(n)
    assert abs(np.var(z) - 63 / 61) < 4 * math.sqrt(2 / n) * 63 / 61
    assert np.mean(error) == pytest.approx(np.std(found), rel=4 / math.sqrt(2 * n))


def test_hutchinsons_estimate_is_the_mean_over_its_probes_with_its_spread(rng):
    """(mean, s/√P) of the P likelihoods by one probe each, s² = Σ (each − mean)²/(P − 1); the other has the mean."""
    process = td.VP()
    model, x, probes = random_network(rng, process), rng.standard_normal((5, 3)), rng.standard_normal((6, 3))
    prior = lambda y: -np.sum(np.abs(y), axis=1)  # noqa: E731
    options = {"steps": 5, "prior": prior}
    each = np.stack([td.log_likelihood(model, process, x, probes=v[None, :], **options) for v in probes])
    found, error = td.hutchinson_log_likelihood(model, process, x, probes=probes, **options)
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_allclose(error, np.std(each, axis=0, ddof=1) / math.sqrt(6), rtol=1e-9)
    np.testing.assert_allclose(td.log_likelihood(model, process, x, probes=probes, **options), found, rtol=1e-14)
    # a seed means the same to both, and the default is 16 signs, the same on no two rows
    again = lambda f, **more: f(model, process, x, steps=5, rng=np.random.default_rng(7), **more)  # noqa: E731
    np.testing.assert_array_equal(
        again(td.hutchinson_log_likelihood)[0], again(td.log_likelihood, probes=16, distribution="rademacher")
    )
    drawn = np.sign(np.random.default_rng(7).standard_normal((16, 5, 3)))
    expected = td.log_likelihood(model, process, x, steps=5, probes=drawn)
    np.testing.assert_allclose(again(td.log_likelihood, probes=np.int64(16)), expected, rtol=1e-12)
    normal = np.random.default_rng(7).standard_normal((3, 5, 3))
    expected = td.log_likelihood(model, process, x, steps=5, probes=normal)
    np.testing.assert_allclose(again(td.log_likelihood, probes=3, distribution="gaussian"), expected, rtol=1e-12)


def test_on_the_line_signs_are_exact(rng):
    """v² = 1, so that each sign gives the divergence itself and the standard error is 0; not so for N(0, 1)."""
    process = td.VP()
    model, x = random_network(rng, process, dim=1), rng.standard_normal((5, 1))
    exact = td.log_likelihood(model, process, x, steps=10)
    found, error = td.hutchinson_log_likelihood(model, process, x, probes=8, steps=10, rng=rng)
    np.testing.assert_allclose(found, exact, rtol=1e-13)
    np.testing.assert_allclose(error, 0, atol=1e-14)
    _, error = td.hutchinson_log_likelihood(model, process, x, probes=8, steps=10, distribution="gaussian", rng=rng)
    assert np.all(error > 1e-3)


def test_probes_are_shared_by_all_points_or_one_for_each(rng):
    """(P, D) is (P, 1, D), and (P, B, D) with all rows alike; of (P, B, D) each row gets its own."""
    process = td.VP()
    model, x = random_network(rng, process), rng.standard_normal((5, 3))
    probes = rng.standard_normal((4, 5, 3))
    run = lambda x, probes: td.hutchinson_log_likelihood(model, process, x, probes=probes, steps=5)  # noqa: E731
    shared = np.broadcast_to(probes[:, :1], (4, 5, 3))
    for same in (probes[:, :1], shared):
        np.testing.assert_allclose(run(x, probes[:, 0]), run(x, same), rtol=1e-12)
    own = run(x, probes)
    for i in range(5):
        np.testing.assert_allclose(np.stack(own)[:, i], np.ravel(run(x[i : i + 1], probes[:, i])), rtol=1e-9)


BACKENDS = {
    "numpy": np.asarray,
    "strict": strict.asarray,
    "torch": lambda a: pytest.importorskip("torch").asarray(np.array(a)),
}


@pytest.mark.parametrize("asarray", BACKENDS.values(), ids=BACKENDS)
def test_float32_stays_float32_on_every_backend(asarray, rng):
    """Likelihoods come back in the library and dtype of x, to 1e-3 of float64's, with float64 probes as well."""
    process = td.VP()
    oracle, x64 = td.Oracle(WIDE, process), WIDE.sample(rng, 4)
    x, probes = asarray(x64.astype(np.float32)), rng.standard_normal((3, 2))
    expected = td.hutchinson_log_likelihood(oracle, process, x64, probes=probes, steps=20)
    found = td.hutchinson_log_likelihood(oracle, process, x, probes=probes, steps=20)
    drawn = td.hutchinson_log_likelihood(oracle, process, x, probes=2, steps=20, rng=rng)
    for value in (*found, *drawn, td.log_likelihood(oracle, process, x, steps=20)):
        assert namespace(value) is namespace(x)
        assert value.dtype == x.dtype
    for value, exact in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_numpy(value), exact, rtol=1e-3, atol=1e-3)


# Against the truth


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


def test_the_distance_to_the_truth_is_paired_at_fresh_points(rng):
    """mean(ln q − ln p) and s/√n over the same n draws of the data, s² with n − 1, in the dtype of the model."""
    process = td.VP()
    network = td.TimeMLP(2, 8, 1)
    theta = (0.3 * rng.standard_normal(network.size)).astype(np.float32)
    model = td.NetworkDenoiser(network, theta, process)
    kl, error = td.kl_from_truth(model, process, WIDE, n=5, steps=7, rng=np.random.default_rng(4))
    x = WIDE.sample(np.random.default_rng(4), 5)
    modelled = td.log_likelihood(model, process, x.astype(np.float32), steps=7)
    gap = WIDE.log_density(x) - modelled.astype(float)
    assert kl == pytest.approx(np.sum(gap) / 5, rel=1e-12)
    assert error == pytest.approx(math.sqrt(np.sum((gap - np.mean(gap)) ** 2) / 4 / 5), rel=1e-12)


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
    oracle, process = td.Oracle(td.toys.ring8(), td.VP()), td.VP()
    for likelihood in (td.log_likelihood, td.hutchinson_log_likelihood):
        with pytest.raises(ValueError, match="must be one of rademacher, gaussian; got 'uniform'"):
            likelihood(oracle, process, x, probes=4, distribution="uniform", rng=rng)
        for wrong in (
            np.zeros((4, 3)),
            np.zeros(2),
            np.zeros((0, 2)),
            np.zeros((4, 1, 1, 2)),
            np.zeros((4, 1, 1)),
            2.5,
        ):
            with pytest.raises(ValueError, match=r"probes must be a number, or an array \(P, D\) or \(P, B, D\)"):
                likelihood(oracle, process, x, probes=wrong, rng=rng)
    for one in (1, np.ones((1, 2))):
        with pytest.raises(ValueError, match=r"a standard error needs two or more probes; got 1\."):
            td.hutchinson_log_likelihood(oracle, process, x, probes=one, rng=rng)
    with pytest.raises(ValueError, match="drawing probes needs rng"):
        td.hutchinson_log_likelihood(oracle, process, x)
    with pytest.raises(ValueError, match=r"shape \(B, 2\); got shape \(1, 3\)"):
        td.hutchinson_log_likelihood(oracle, process, np.zeros((1, 3)), rng=rng)
    with pytest.raises(ValueError, match="f and g² of a process in continuous time"):
        td.hutchinson_log_likelihood(td.Oracle(td.toys.ring8(), chain), chain, x, rng=rng)
    with pytest.raises(ValueError, match="n must be at least 2"):
        td.kl_from_truth(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), td.toys.ring8(), n=1, rng=rng)
    with pytest.raises(ValueError, match="data needs a log_density"):
        td.kl_from_truth(td.Oracle(td.toys.ring8(), td.VP()), td.VP(), x, rng=rng)


def test_probes_are_as_many_as_points_or_shared():
    process, x = td.VP(), np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"probes \(P, B, D\) need B = 3, as many as points; got \(4, 2, 2\)"):
        td.log_likelihood(td.Oracle(td.toys.ring8(), process), process, x, probes=np.ones((4, 2, 2)))
