"""The likelihood of the probability flow, against densities that are known."""

import itertools
import math
import re

import array_api_strict as strict
import numpy as np
import pytest

import tinydiff as td
from tinydiff.backend import namespace, to_numpy
from tinydiff.evaluation.likelihood import flow_and_divergence

PROCESSES = (td.VP(), td.SubVP(), td.VE(), td.Cosine(), td.Straight())
on_every_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)
WIDE = td.GaussianMixture(
    [0.4, 0.6], [[-1.0, 0.3], [0.8, -0.2]], [[[0.5, 0.1], [0.1, 0.4]], [[0.3, -0.05], [-0.05, 0.6]]]
)
"""Two overlapping bumps, tilted, so that the Jacobian of the flow is nowhere diagonal."""


def random_network(rng, process, dim=3):
    network = td.TimeMLP(dim, 8, 1)
    return td.NetworkDenoiser(network, 0.3 * rng.standard_normal(network.size), process)


def law_of_noise(oracle):
    """ln q_T, which with the oracle's flow makes the density of the data."""
    return lambda x: oracle.log_density(x, oracle.process.t_max)


def sign_vectors(d):
    return np.array(list(itertools.product([-1.0, 1.0], repeat=d)))


@on_every_process
@pytest.mark.parametrize("toy", ["ring8", "spiral60"])
def test_the_oracles_likelihood_is_the_exact_density(toy, process, rng):
    """ln p(x) = ln q_0(x) to 1e-3 nats, with q_T as prior and the default steps [Song et al. 2021, 39]."""
    data = td.toys.TOYS[toy]()
    oracle, x = td.Oracle(data, process), data.sample(rng, 30)
    found = td.log_likelihood(oracle, x, prior=law_of_noise(oracle))
    np.testing.assert_allclose(found, data.log_density(x), atol=1e-3)


@pytest.mark.parametrize(
    ("toy", "n"), [("ring8", 300), ("grid25", 100), ("moons32", 100), ("pinwheel40", 60), ("spiral60", 60)]
)
def test_at_the_worst_point_400_steps_leave_less_than_2e_5_nats(toy, n, rng):
    """The flow starts at the data, not at t_min, where ln q differs from that of the data by up to 1.5e-3 nats."""
    data = td.toys.TOYS[toy]()
    oracle, x = td.Oracle(data, td.VP()), data.sample(rng, n)
    found = td.log_likelihood(oracle, x, steps=400, prior=law_of_noise(oracle))
    np.testing.assert_allclose(found, data.log_density(x), rtol=0, atol=2e-5)


def test_the_process_prior_costs_what_its_gap_says(rng):
    """With p(x_T) for q_T the mean log-likelihood falls by KL(q_T ‖ p_T), which is below the mean of L_T."""
    data, process = td.toys.ring8(), td.VP()
    oracle, x = td.Oracle(data, process), data.sample(rng, 100)
    lost = td.log_likelihood(oracle, x, prior=law_of_noise(oracle)) - td.log_likelihood(oracle, x)
    assert abs(np.mean(lost)) <= np.mean(process.prior_gap(x))
    assert np.max(np.abs(lost)) > 0


@on_every_process
def test_more_steps_converge_to_the_density_of_the_data(process, rng):
    """To 1e-7 of ln q_0(x), with q_T as prior [Song et al. 2021, 39]."""
    oracle, x = td.Oracle(WIDE, process), WIDE.sample(rng, 6)
    found = td.log_likelihood(oracle, x, steps=450, prior=law_of_noise(oracle))
    np.testing.assert_allclose(found, WIDE.log_density(x), atol=1e-7)


def test_the_steps_are_of_order_four(rng):
    """RK4 in equal log-SNR: twice the steps make a sixteenth of the error, 4 ± 0.3 in powers of two."""
    oracle, x = td.Oracle(WIDE, td.VP()), WIDE.sample(rng, 20)
    errors = []
    for steps in (25, 50, 100, 200):
        found = td.log_likelihood(oracle, x, steps=steps, prior=law_of_noise(oracle))
        errors.append(np.sqrt(np.mean((found - WIDE.log_density(x)) ** 2)))
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 4, atol=0.3)


def test_a_step_costs_four_evaluations_whatever_the_probes(rng):
    """RK4's, and the half step from the data costs one; a forward pass is shared between the pulls of all probes, so
    that 16 cost no more than the exact trace.
    """
    x = WIDE.sample(rng, 3)
    for probes, steps in itertools.product((None, 1, 16), (1, 7)):
        model = td.Counting(td.Oracle(WIDE, td.VP()))
        td.log_likelihood(model, x, probes=probes, steps=steps, rng=rng)
        assert model.nfe == 4 * steps + 1


@on_every_process
def test_gaussian_data_under_the_process_prior_in_closed_form(process, rng):
    """The flow of N(m, v I) is x_T = α_T m + √(V_T/v) (x − m) with V = α² v + σ² [no. 58].

    So ln p(x) = ln N(x_T; 0, (α_T² + σ_T²) I) + (D/2) ln (V_T/v).
    """
    centre, spread = np.array([0.7, -1.2, 0.4]), 0.6
    data = td.GaussianMixture([1.0], [centre], [spread * np.eye(3)])
    x, end = data.sample(rng, 8), process.at(process.t_max)
    stretch = (end.alpha**2 * spread + end.sigma**2) / spread
    x_end = end.alpha * centre + math.sqrt(stretch) * (x - centre)
    var = end.alpha**2 + end.sigma**2
    expected = -0.5 * np.sum(x_end**2, axis=1) / var - 1.5 * math.log(2 * math.pi * var) + 1.5 * math.log(stretch)
    found = td.log_likelihood(td.Oracle(data, process), x, steps=250)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# The divergence and its estimates


@on_every_process
def test_each_probe_gives_vjv_of_the_flow(process, rng):
    """(f̃, vᵀ (∂f̃/∂x) v) with f̃ = f x − ½ g² s and its Jacobian by complex steps of the score, to 1e-12."""
    oracle, now = td.Oracle(WIDE, process), process.at(0.4 * process.t_max)
    x, h = rng.standard_normal((5, 2)), 1e-30

    def velocity(x):
        return now.f * x - 0.5 * now.g2 * oracle.marginal(now).score(x)

    jacobian = np.stack([velocity(x + h * 1j * e).imag / h for e in np.eye(2)], axis=2)  # (B, D, D)
    for probes in (rng.standard_normal((4, 1, 2)), rng.standard_normal((4, 5, 2))):
        flow, squares = flow_and_divergence(oracle, x, now, probes)
        assert squares.shape == (5, 4)
        v = np.broadcast_to(probes, (4, 5, 2))
        np.testing.assert_allclose(flow, velocity(x), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(squares, np.einsum("pbi,bij,pbj->bp", v, jacobian, v), rtol=1e-12, atol=1e-13)


def test_all_sign_vectors_give_the_exact_divergence(rng):
    """The mean of vᵀJv over {±1}^d is tr J [Hutchinson 1989; no. 60]; so is that over √d e_j."""
    model, x = random_network(rng, td.VP()), rng.standard_normal((5, 3))
    exact = td.log_likelihood(model, x, steps=5)
    for probes in (sign_vectors(3), math.sqrt(3) * np.eye(3)):
        np.testing.assert_allclose(td.log_likelihood(model, x, steps=5, probes=probes), exact, rtol=1e-12)


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_random_probes_are_unbiased(distribution, rng):
    """The mean over many draws of 4 probes is within four standard errors of the exact likelihood."""
    data = td.toys.ring8()
    oracle, x = td.Oracle(data, td.VP()), np.repeat(data.sample(rng, 1), 2000, axis=0)
    found = td.log_likelihood(oracle, x, steps=20, probes=4, distribution=distribution, rng=rng)
    exact = td.log_likelihood(oracle, x[:1], steps=20)[0]
    assert np.std(found) > 0
    assert abs(np.mean(found) - exact) < 4 * np.std(found) / np.sqrt(2000) + 1e-12


def test_signs_have_less_variance_than_gaussians(rng):
    """Along the whole trajectory too: 2 Σ_{i≠j} S_ij² against 2 Σ_ij S_ij², S the integral of the flow's Jacobian.

    The probes stay what they are along it [FFJORD §3.1], so that the estimate is vᵀ(∫J)v, and no. 60 holds of ∫J.
    """
    model, x = random_network(rng, td.VP()), rng.standard_normal((1, 3))

    def each(probe):
        return td.log_likelihood(model, x, steps=10, probes=probe[None, :])[0]

    unit, none = np.eye(3), each(np.zeros(3))
    diagonal = np.array([each(e) - none for e in unit])
    s = [[0.5 * (each(unit[i] + unit[j]) - none - diagonal[i] - diagonal[j]) for j in range(3)] for i in range(3)]
    s = np.array(s)
    np.testing.assert_allclose(np.diagonal(s), diagonal, rtol=1e-9)
    of_signs = np.array([each(probe) for probe in sign_vectors(3)])
    assert np.var(of_signs) == pytest.approx(2 * (np.sum(s**2) - np.sum(diagonal**2)), rel=1e-9)
    many = np.repeat(x, 4000, axis=0)
    drawn = {
        name: td.log_likelihood(model, many, steps=10, probes=1, distribution=name, rng=rng)
        for name in ("rademacher", "gaussian")
    }
    expected = {"rademacher": np.var(of_signs), "gaussian": 2 * np.sum(s**2)}
    for name, found in drawn.items():
        fourth = np.mean((found - np.mean(found)) ** 4)
        error = math.sqrt((fourth - np.var(found) ** 2) / len(found))
        assert abs(np.var(found) - expected[name]) < 4.5 * error
    assert np.var(drawn["rademacher"]) < np.var(drawn["gaussian"])
    assert set(np.round(drawn["rademacher"], 9)) <= set(np.round(of_signs, 9))


@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_the_standard_error_is_that_of_the_probes(distribution, rng):
    """Over many draws (ln p̂ − ln p)/SE has mean 0 and variance 1: 63 degrees of freedom make it 63/61."""
    n, model = 400, random_network(rng, td.VP(), dim=4)
    x = np.repeat(rng.standard_normal((1, 4)), n, axis=0)
    options = {"probes": 64, "distribution": distribution, "steps": 10}
    found, error = td.hutchinson_log_likelihood(model, x, rng=rng, **options)
    assert found.shape == error.shape == (n,)
    exact = td.log_likelihood(model, x[:1], steps=10)[0]
    z = (found - exact) / error
    assert abs(np.mean(z)) < 4 * np.std(z) / math.sqrt(n)
    assert abs(np.var(z) - 63 / 61) < 4 * math.sqrt(2 / n) * 63 / 61
    assert np.mean(error) == pytest.approx(np.std(found), rel=4 / math.sqrt(2 * n))


def test_hutchinsons_estimate_is_the_mean_over_its_probes_with_its_spread(rng):
    """(mean, s/√P) of the P likelihoods by one probe each, s² = Σ (each − mean)²/(P − 1); the other has the mean."""
    model, x, probes = random_network(rng, td.VP()), rng.standard_normal((5, 3)), rng.standard_normal((6, 3))
    options = {"steps": 5, "prior": lambda y: -np.sum(np.abs(y), axis=1)}
    each = np.stack([td.log_likelihood(model, x, probes=probe[None, :], **options) for probe in probes])
    found, error = td.hutchinson_log_likelihood(model, x, probes=probes, **options)
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_allclose(error, np.std(each, axis=0, ddof=1) / math.sqrt(6), rtol=1e-9)
    np.testing.assert_allclose(td.log_likelihood(model, x, probes=probes, **options), found, rtol=1e-14)


def test_probes_are_signs_or_normal_numbers_of_the_generator(rng):
    """A seed means the same to both functions, and the default is 16 signs, the same on no two rows."""
    model, x = random_network(rng, td.VP()), rng.standard_normal((5, 3))
    by_default, _ = td.hutchinson_log_likelihood(model, x, steps=5, rng=7)
    for probes, distribution, drawn in (
        (np.int64(16), "rademacher", np.sign(np.random.default_rng(7).standard_normal((16, 5, 3)))),
        (3, "gaussian", np.random.default_rng(7).standard_normal((3, 5, 3))),
    ):
        found = td.log_likelihood(model, x, steps=5, probes=probes, distribution=distribution, rng=7)
        np.testing.assert_allclose(found, td.log_likelihood(model, x, steps=5, probes=drawn), rtol=1e-12)
        assert np.array_equal(found, by_default) == (distribution == "rademacher")


def test_on_the_line_signs_are_exact(rng):
    """v² = 1, so that each sign gives the divergence itself and the standard error is 0; not so for N(0, 1)."""
    model, x = random_network(rng, td.VP(), dim=1), rng.standard_normal((5, 1))
    exact = td.log_likelihood(model, x, steps=10)
    found, error = td.hutchinson_log_likelihood(model, x, probes=8, steps=10, rng=rng)
    np.testing.assert_allclose(found, exact, rtol=1e-13)
    np.testing.assert_allclose(error, 0, atol=1e-14)
    _, error = td.hutchinson_log_likelihood(model, x, probes=8, steps=10, distribution="gaussian", rng=rng)
    assert np.all(error > 1e-3)


def test_probes_are_shared_by_all_points_or_one_for_each(rng):
    """(P, D) is (P, 1, D), and (P, B, D) with all rows alike; of (P, B, D) each row gets its own."""
    model, x = random_network(rng, td.VP()), rng.standard_normal((5, 3))
    probes = rng.standard_normal((4, 5, 3))

    def run(x, probes):
        return td.hutchinson_log_likelihood(model, x, probes=probes, steps=5)

    alike = np.broadcast_to(probes[:, :1], (4, 5, 3))
    for same in (probes[:, :1], alike):
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
    oracle, x64 = td.Oracle(WIDE, td.VP()), WIDE.sample(rng, 4)
    x, probes = asarray(x64.astype(np.float32)), rng.standard_normal((3, 2))
    expected = td.hutchinson_log_likelihood(oracle, x64, probes=probes, steps=20)
    found = td.hutchinson_log_likelihood(oracle, x, probes=probes, steps=20)
    drawn = td.hutchinson_log_likelihood(oracle, x, probes=2, steps=20, rng=rng)
    for value in (*found, *drawn, td.log_likelihood(oracle, x, steps=20)):
        assert namespace(value) is namespace(x)
        assert value.dtype == x.dtype
    for value, exact in zip(found, expected, strict=True):
        np.testing.assert_allclose(to_numpy(value), exact, rtol=1e-3, atol=1e-3)


# Against the truth


def test_kl_of_the_oracle_is_zero_and_of_a_wrong_model_is_not(rng):
    """KL(data ‖ oracle) is 0 to the prior's gap; against the oracle of another mixture it is the KL between the two."""
    data, other = td.toys.moons32(), td.toys.spiral60()
    kl, error = td.kl_from_truth(td.Oracle(data, td.VP()), data, n=500, rng=rng)
    assert abs(kl) < 1e-3
    assert error < 1e-3
    kl, error = td.kl_from_truth(td.Oracle(other, td.VP()), data, n=500, rng=rng)
    x = data.sample(rng, 20_000)
    gap = data.log_density(x) - other.log_density(x)
    assert error == pytest.approx(np.std(gap) / np.sqrt(500), rel=0.3)
    assert abs(kl - np.mean(gap)) < 4 * np.hypot(error, np.std(gap) / np.sqrt(20_000))


def test_the_distance_to_the_truth_is_paired_at_fresh_points(rng):
    """mean(ln q − ln p) and s/√n over the same n draws of the data, s² with n − 1, in the dtype of the model."""
    network = td.TimeMLP(2, 8, 1)
    theta = (0.3 * rng.standard_normal(network.size)).astype(np.float32)
    model = td.NetworkDenoiser(network, theta, td.VP())
    kl, error = td.kl_from_truth(model, WIDE, n=5, steps=7, rng=4)
    x = WIDE.sample(np.random.default_rng(4), 5)
    modelled = td.log_likelihood(model, x.astype(np.float32), steps=7)
    gap = WIDE.log_density(x) - modelled.astype(float)
    assert kl == pytest.approx(np.sum(gap) / 5, rel=1e-12)
    assert error == pytest.approx(math.sqrt(np.sum((gap - np.mean(gap)) ** 2) / 4 / 5), rel=1e-12)


def test_the_likelihood_integrates_to_one(rng):
    """Of an untrained network too: the flow is a change of variables whatever ε̂ is."""
    model, x = random_network(rng, td.VP(), dim=1), np.linspace(-20, 20, 4001)[:, None]
    density = np.exp(td.log_likelihood(model, x, steps=100))
    np.testing.assert_allclose(np.trapezoid(density, x[:, 0]), 1, atol=1e-3)


LIKELIHOODS = pytest.mark.parametrize("likelihood", [td.log_likelihood, td.hutchinson_log_likelihood])


@LIKELIHOODS
def test_a_chain_has_no_flow(likelihood, rng):
    chain = td.Oracle(td.toys.ring8(), td.Discrete.linear(100))
    with pytest.raises(ValueError, match="f and g²"):
        likelihood(chain, np.zeros((1, 2)), rng=rng)


@LIKELIHOODS
def test_wrong_points_and_probes_are_named(likelihood, rng):
    oracle, x = td.Oracle(td.toys.ring8(), td.VP()), np.zeros((1, 2))
    for wrong in (np.zeros(2), np.zeros((1, 3))):
        with pytest.raises(ValueError, match=re.escape(f"shape (B, 2); got shape {wrong.shape}")):
            likelihood(oracle, wrong, rng=rng)
    with pytest.raises(ValueError, match="distribution must be one of 'rademacher', 'gaussian'; got 'uniform'"):
        likelihood(oracle, x, probes=4, distribution="uniform", rng=rng)
    for wrong in (np.zeros((4, 3)), np.zeros(2), np.zeros((0, 2)), np.zeros((4, 1, 1, 2)), np.zeros((4, 1, 1)), 2.5):
        with pytest.raises(ValueError, match=r"probes must be a number, or an array \(P, D\) or \(P, B, D\)"):
            likelihood(oracle, x, probes=wrong, rng=rng)
    with pytest.raises(ValueError, match=r"probes \(P, B, D\) must be one, or one for each of 3 rows; got 2"):
        likelihood(oracle, np.zeros((3, 2)), probes=np.ones((4, 2, 2)))
    with pytest.raises(ValueError, match="got 0"):
        likelihood(oracle, x, probes=0, rng=rng)


@LIKELIHOODS
@pytest.mark.parametrize("seed", [None, 1.0, np.random.RandomState(0)], ids=["None", "float", "RandomState"])
def test_drawing_probes_needs_a_generator_or_a_whole_number(likelihood, seed):
    with pytest.raises((TypeError, ValueError), match="rng"):
        likelihood(td.Oracle(td.toys.ring8(), td.VP()), np.zeros((1, 2)), probes=3, rng=seed)


def test_the_exact_divergence_draws_nothing(rng):
    """So log_likelihood needs no rng, and one that is given is not used."""
    model, x = random_network(rng, td.VP()), rng.standard_normal((5, 3))
    state = rng.bit_generator.state
    np.testing.assert_array_equal(td.log_likelihood(model, x, steps=5), td.log_likelihood(model, x, steps=5, rng=rng))
    assert rng.bit_generator.state == state


def test_a_standard_error_needs_two_probes(rng):
    for one in (1, np.ones((1, 2))):
        with pytest.raises(ValueError, match=r"a standard error needs two or more probes; got 1\."):
            td.hutchinson_log_likelihood(td.Oracle(WIDE, td.VP()), np.zeros((1, 2)), probes=one, rng=rng)


def test_the_distance_to_the_truth_needs_a_truth_two_points_and_a_seed(rng):
    oracle = td.Oracle(WIDE, td.VP())
    with pytest.raises(ValueError, match="n must be 2 or more; got 1"):
        td.kl_from_truth(oracle, WIDE, n=1, rng=rng)
    with pytest.raises(ValueError, match="data needs a log_density"):
        td.kl_from_truth(oracle, np.zeros((1, 2)), rng=rng)
    for seed in (None, 0.5, np.random.RandomState(0)):
        with pytest.raises((TypeError, ValueError), match="rng"):
            td.kl_from_truth(oracle, WIDE, n=4, steps=2, rng=seed)


def test_a_whole_number_seeds_the_points_of_the_distance():
    """rng=4 is np.random.default_rng(4), whatever kind of whole number it is."""
    oracle = td.Oracle(WIDE, td.Cosine())
    by_number, by_generator, by_numpy = (
        td.kl_from_truth(oracle, WIDE, n=6, steps=3, rng=seed) for seed in (4, np.random.default_rng(4), np.int64(4))
    )
    assert by_number == by_generator == by_numpy
