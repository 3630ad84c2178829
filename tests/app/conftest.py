"""What tests of whole runs share."""

import numpy as np
import pytest

import tinydiff as td
from tinydiff import plotting
from tinydiff.app import directory, runs
from tinydiff.app.config import open_data
from tinydiff.learned.train import train


@pytest.fixture(scope="module")
def unmeasured():
    """Runs end in a report of one line, for a module that does not ask what the model is worth; test_report does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "measure", lambda run, trained, *rest: {"figures": ["a.png"], "step": trained.state.step})
        patch.setattr(runs, "table", lambda report: f"β̃ at step {report['step']}")
        yield


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made and not saved; the demo in test_cli saves them."""
    monkeypatch.setattr(plotting, "save", lambda figure, path: path)


@pytest.fixture(scope="session")
def train_run():
    """A function (path, config, data that it names) of a run, trained to its end."""

    def train_run(path, config, data=None):
        run = directory.Run.create(path, config)
        run.train(open_data(config.name) if data is None else data)
        return run

    return train_run


@pytest.fixture(scope="session")
def random_model():
    """A function (classes) of a network with random weights, so that every label and weight tells."""

    def random_model(classes=3):
        network = td.TimeMLP(2, 8, 1, classes)
        theta = 0.2 * np.random.default_rng(0).standard_normal(network.size)
        return directory.Trained(td.NetworkDenoiser(network, theta, td.VP()), None, np.zeros(2), np.ones(2), "")

    return random_model


@pytest.fixture
def befall(monkeypatch):
    """A function (at, error) that lets the error befall the training in the place of its step `at`."""

    def befall(at, error):
        def befallen(*arguments, **kwargs):
            for state in train(*arguments, **kwargs):
                if state.step == at:
                    raise error
                yield state

        monkeypatch.setattr(directory, "train", befallen)

    return befall


@pytest.fixture(scope="session")
def assert_same():
    """A function of two runs, which must hold the same bits, but for the clock."""

    def assert_same(a, b):
        with np.load(a.checkpoint) as x, np.load(b.checkpoint) as y:
            assert set(x) == set(y)
            for name in x:
                np.testing.assert_array_equal(x[name], y[name], err_msg=name)
                assert x[name].dtype == y[name].dtype
        assert [row[:3] for row in a.read_log()] == [row[:3] for row in b.read_log()]

    return assert_same
