import numpy as np
import pytest
from hypothesis import settings

for name, examples in {"few": 5, "test": 40, "all": 100}.items():
    settings.register_profile(name, max_examples=examples, deadline=None, derandomize=True, print_blob=True)
settings.load_profile("test")  # or what --hypothesis-profile names


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def short_chains():
    """Bounds in reports of 20 steps, for a module that does not ask what they are worth; test_nats does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinydiff.app.nats.STEPS", 20)
        yield


@pytest.fixture(scope="session")
def same():
    """Whether two states of training are equal in every bit."""

    def same(a, b):
        def numbers(state):
            return state.step, state.loss, state.rng_state, state.optimizer.updates

        arrays = zip((a.theta, a.ema, *a.optimizer[:2]), (b.theta, b.ema, *b.optimizer[:2]), strict=True)
        return all(np.array_equal(x, y) for x, y in arrays) and numbers(a) == numbers(b)

    return same
