"""The two models of one network in nats, the oracle playing the network."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

import tinydiff as td
from tinydiff.app import nats
from tinydiff.app.nats import in_nats, mean_and_error, stratified_normal

DATA = td.GaussianMixture([0.6, 0.4], [[-1.0, 0.0], [1.0, 0.5]], [0.1 * np.eye(2), 0.2 * np.eye(2)])
ENTROPY = DATA.entropy()[0]


@pytest.mark.parametrize("process", [td.VP(), td.VE()], ids=repr)
def test_the_oracle_costs_the_entropy_and_the_chain_its_steps(process, rng):
    """NLL is the entropy; −ELBO is above it by the chain's gap, which optimal variances make smaller."""
    x, others = DATA.sample(rng, 100), DATA.sample(rng, 100)
    found = in_nats(td.Oracle(DATA, process), x, others, rng, DATA.log_density(x), ENTROPY)
    assert found["nll_nats"] == pytest.approx(ENTROPY, abs=2e-3)
    assert found["nll_standard_error"] < 1e-3
    gap, error = found["neg_elbo_nats"] - ENTROPY, found["neg_elbo_standard_error"]
    assert -3 * error < gap < 0.4 + 3 * error
    assert -3 * error < found["neg_elbo_optimal_nats"] - ENTROPY < gap - 0.15  # of the same noise; with β 0.09 under VE
    assert found["elbo_steps"] == nats.STEPS
    assert set(found["elbo_parts"]) == {"prior", "diffusion", "reconstruction"}


def test_pairing_with_the_truth_changes_the_error_and_not_the_mean(rng, monkeypatch):
    """entropy + mean(ln q − ln p) estimates what −mean(ln p) does; unpaired, the parts add up to −ELBO."""
    monkeypatch.setattr(nats, "STEPS", 20)
    oracle, x = td.Oracle(DATA, td.VP()), DATA.sample(rng, 200)
    paired = in_nats(oracle, x, x, np.random.default_rng(1), DATA.log_density(x), ENTROPY)
    alone = in_nats(oracle, x, x, np.random.default_rng(1))
    for name in ("nll", "neg_elbo", "neg_elbo_optimal"):
        apart = paired[f"{name}_nats"] - alone[f"{name}_nats"]
        assert apart == pytest.approx(ENTROPY + np.mean(DATA.log_density(x)), abs=1e-9)
    assert paired["nll_standard_error"] < 0.1 * alone["nll_standard_error"]
    assert sum(alone["elbo_parts"].values()) == pytest.approx(alone["neg_elbo_nats"], abs=1e-9)


def test_stratified_noise_is_normal_and_fills_every_stratum(rng):
    """In each batch each coordinate has one draw in each stratum; whole columns are standard normal."""
    z = stratified_normal(rng, (3, 400, 2), 100)
    strata = np.floor(100 * norm.cdf(z)).reshape(3, 4, 100, 2)
    np.testing.assert_array_equal(np.sort(strata, axis=2), np.broadcast_to(np.arange(100)[:, None], strata.shape))
    assert abs(np.corrcoef(z.reshape(-1, 2).T)[0, 1]) < 4 / np.sqrt(1200)
    plain = stratified_normal(rng, (5, 2000, 1), 1).ravel()
    assert kstest(plain, "norm").pvalue > 1e-3


def test_the_standard_error_is_that_of_repeated_reports(rng, monkeypatch):
    """Over 30 fresh sets of points the scatter of −ELBO is what each says of itself, and under that of plain draws."""
    monkeypatch.setattr(nats, "STEPS", 30)
    monkeypatch.setattr(nats, "log_likelihood", lambda model, x, **options: np.zeros(len(x)))
    process, found = td.VP(), []
    oracle = td.Oracle(DATA, process)
    for _ in range(30):
        x = DATA.sample(rng, 200)
        found.append(in_nats(oracle, x, x, rng, DATA.log_density(x), ENTROPY))
    scatter = np.std([each["neg_elbo_nats"] for each in found], ddof=1)
    said = np.sqrt(np.mean([each["neg_elbo_standard_error"] ** 2 for each in found]))
    assert 0.7 < scatter / said < 1.4
    x = DATA.sample(rng, 200)
    plain = td.elbo(oracle, x, td.grids.even_log_snr(process, 29), rng).nats + DATA.log_density(x)
    assert said < 0.8 * np.std(plain) / np.sqrt(200)


def test_many_dimensions_are_probed(rng, monkeypatch):
    """Over 16 coordinates the divergence is Hutchinson's: of N(0, I), whose Jacobian is diagonal, that is exact."""
    monkeypatch.setattr(nats, "STEPS", 20)
    data = td.GaussianMixture([1.0], np.zeros((1, 20)), [np.eye(20)])
    x = data.sample(rng, 50)
    found = in_nats(td.Oracle(data, td.VP()), x, x, rng, data.log_density(x), 1.0)
    assert found["nll_nats"] == pytest.approx(1, abs=1e-2)


def test_mean_and_error():
    assert mean_and_error(np.array([1.0, 2.0, 3.0])) == (2.0, pytest.approx(1 / np.sqrt(3)))
