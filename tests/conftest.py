import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("tinydiff", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("tinydiff")


@pytest.fixture
def rng():
    return np.random.default_rng(0)
