"""The two models of one network in nats, the oracle playing the network."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff.runs import nats
from tinydiff.runs.nats import in_nats, mean_and_error


@pytest.mark.parametrize("process", [td.VP(), td.VE()], ids=repr)
def test_the_oracle_costs_the_entropy_and_the_chain_its_steps(process, rng):
    """NLL is the entropy; −ELBO is above it by the chain's gap, which optimal variances make smaller."""
    data = td.toys.moons32()
    x, others, entropy = data.sample(rng, 500), data.sample(rng, 500), data.entropy()[0]
    found = in_nats(td.Oracle(data, process), process, x, others, rng, data.log_density(x), entropy)
    assert found["nll_nats"] == pytest.approx(entropy, abs=2e-3)
    assert found["nll_standard_error"] < 1e-3
    gap, error = found["neg_elbo_nats"] - entropy, found["neg_elbo_standard_error"]
    assert -3 * error < gap < 0.4 + 3 * error
    assert found["neg_elbo_optimal_nats"] - entropy > -3 * error
    assert found["neg_elbo_optimal_nats"] < found["neg_elbo_nats"] + 3 * error
    assert set(found["elbo_parts"]) == {"prior", "diffusion", "reconstruction"}


def test_pairing_with_the_truth_changes_the_error_and_not_the_mean(rng, monkeypatch):
    """entropy + mean(ln q − ln p) estimates what −mean(ln p) does; unpaired, the parts add up to −ELBO."""
    monkeypatch.setattr(nats, "STEPS", 50)
    data, process = td.toys.moons32(), td.VP()
    oracle, x = td.Oracle(data, process), data.sample(rng, 1000)
    paired = in_nats(oracle, process, x, x, np.random.default_rng(1), data.log_density(x), data.entropy()[0])
    alone = in_nats(oracle, process, x, x, np.random.default_rng(1))
    for name in ("nll", "neg_elbo", "neg_elbo_optimal"):
        apart = paired[f"{name}_nats"] - alone[f"{name}_nats"]
        assert apart == pytest.approx(data.entropy()[0] + np.mean(data.log_density(x)), abs=1e-9)
    assert paired["nll_standard_error"] < 0.1 * alone["nll_standard_error"]
    assert sum(alone["elbo_parts"].values()) == pytest.approx(alone["neg_elbo_nats"], abs=1e-9)


def test_many_dimensions_are_probed(rng):
    """Over 16 coordinates the divergence is Hutchinson's: of N(0, I), whose Jacobian is diagonal, that is exact."""
    data, process = td.GaussianMixture([1.0], np.zeros((1, 20)), [np.eye(20)]), td.VP()
    x = data.sample(rng, 50)
    found = in_nats(td.Oracle(data, process), process, x, x, rng, data.log_density(x), 1.0)
    assert found["nll_nats"] == pytest.approx(1, abs=1e-2)


def test_mean_and_error():
    assert mean_and_error(np.array([1.0, 2.0, 3.0])) == (2.0, pytest.approx(1 / np.sqrt(3)))
