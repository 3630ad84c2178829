import array_api_strict
import numpy as np
import pytest

import tinydiff as td


@pytest.fixture(scope="session")
def network():
    """Makes untrained networks of a process, none of whose answers is right."""

    def network(process, dim, **options):
        net = td.TimeMLP(dim, 8, 1, **options)
        return td.NetworkDenoiser(net, 0.3 * np.random.default_rng(0).standard_normal(net.size), process)

    return network


@pytest.fixture(params=["numpy", "strict", "torch"])
def asarray(request):
    """What makes an array of NumPy's a library's own."""
    if request.param == "torch":
        torch = pytest.importorskip("torch")
        return lambda a: torch.asarray(np.array(a))
    return {"numpy": np.asarray, "strict": array_api_strict.asarray}[request.param]
