"""CuPy without a GPU: that the core calls only what CuPy has, as CuPy takes it (see recording.py)."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinydiff as td
from tinydiff import backend
from tinydiff.app import selftest
from tinydiff.app.selftest import agreement, core
from tinydiff.learned.layers import matrix

cupy = pytest.importorskip("cupy")
import recording  # noqa: E402
from recording import NAMESPACE, Recorded, Refused  # noqa: E402

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "gpu.md"
X = Recorded(np.arange(6.0).reshape(2, 3))


@pytest.fixture
def calls():
    with recording.recording() as calls:
        yield calls


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_core_calls_what_cupy_has_as_cupy_takes_it(dtype, calls):
    """And with the numbers of NumPy, which computes them: so what was recorded is what the core is."""
    for line in agreement.compare(Recorded, dtype):
        assert not line.error, f"{line.piece}, {line.name}: {line.error}"
        assert line.difference == 0, line
    if not PAGE.is_file():
        pytest.skip("the page of all that is called is in the repository")
    found = set(re.search(r"<!-- called -->(.*?)<!-- end -->", PAGE.read_text(encoding="utf-8"), re.S)[1].split())
    assert {name.strip("`,.") for name in found} == set(recording.functions())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: np.exp(X), "np.exp met an array"),
        (lambda: np.mean(X), "np.mean was called"),
        (lambda: np.asarray(X), "turned into NumPy's"),
        (lambda: X * np.ones(3), r"\* was given a numpy.ndarray"),
        (lambda: np.ones(3) * X, "np.multiply met an array"),
        (lambda: X * [1.0, 2.0, 3.0], r"\* was given a builtins.list"),
        (lambda: X.sum(), "no method sum"),
        (lambda: X[np.array([0])], "indexed by a ndarray"),
        (lambda: X[Recorded(np.array([2]))], "would wrap it"),
        (lambda: NAMESPACE.take(X, Recorded(np.array([0, 3])), axis=1), "would wrap it"),
        (lambda: NAMESPACE.no_such_thing(X), "cupy has no no_such_thing"),
        (lambda: NAMESPACE.exp([1.0, 2.0]), "exp was given a builtins.list"),
        (lambda: NAMESPACE.exp(np.ones(2)), "exp was given a numpy.ndarray"),
        (lambda: NAMESPACE.concat([X, np.ones((2, 3))]), "a list with a ndarray in it"),
        (lambda: NAMESPACE.exp(X, where=True), "exp takes 1 arrays"),
        (lambda: NAMESPACE.sum(X, where=True), "sum.* does not take the call"),
        (lambda: NAMESPACE.std(X, mean=0.0), "std has no mean"),
        (lambda: NAMESPACE.logical_not(1j * X), "logical_not has no loop for complex128"),
        (lambda: recording.check_types("sqrt", cupy.sqrt, [np.ones(2)], np.dtype("f")), "float64 in CuPy and float32"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cupy_refuses_is_refused(wrong, says, calls):
    with pytest.raises((Refused, TypeError), match=says):
        wrong()


def test_an_array_shows_what_cupys_has(calls):
    assert not hasattr(X, "to_device")
    assert np.shape(X) == X.shape == (2, 3)
    assert type(backend.to_numpy(X)) is np.ndarray


def cupys(a):
    """CuPy's own array over NumPy's memory: nothing can be computed with it, but views can be made."""
    memory = cupy.cuda.UnownedMemory(a.ctypes.data, a.nbytes, a, 0)
    return cupy.ndarray(a.shape, a.dtype, memptr=cupy.cuda.MemoryPointer(memory, 0))


def test_pieces_of_theta_are_views_in_cupy_and_products_land_in_them():
    """Each layer's matrix lies where NumPy's does, and is contiguous, so that matmul needs no copy."""
    here = np.zeros(core.NETWORK.size)
    there = cupys(here)
    pieces = core.NETWORK.split(there)
    for name, piece in core.NETWORK.split(here).items():
        n, m = core.NETWORK.shapes[name]
        one, other = matrix(piece, n, m), matrix(pieces[name], n, m)
        assert (other.data.ptr, other.shape, other.strides) == (one.ctypes.data, one.shape, one.strides)
        assert other.flags.c_contiguous
        assert (other.T.shape, other[:, None].shape, other[None, ...].shape) == ((m, n), (n, 1, m), (1, n, m))
    model = td.NetworkDenoiser(core.NETWORK, there, core.PROCESS)
    assert (model.like.shape, type(model.like)) == ((0, 2), cupy.ndarray)
    with pytest.raises(ValueError, match="theta is an array of numpy and the points are of cupy"):
        core.NETWORK(core.THETA, cupys(np.zeros((5, 2))), np.zeros(5))


# The device, and the self-test


def none(*args):
    raise RuntimeError("no driver\nat all")


@pytest.mark.parametrize(
    ("where", "what", "says"),
    [
        ("cuda.runtime.getDeviceCount", none, "no GPU or driver was found: RuntimeError: no driver.$"),
        ("cuda.runtime.getDeviceCount", lambda: 0, "no GPU was found"),
        ("zeros", none, "cannot compute on it: RuntimeError: no driver.$"),
    ],
)
def test_without_a_gpu_one_sentence_says_so(where, what, says, monkeypatch, capsys):
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 1)
    monkeypatch.setattr(f"cupy.{where}", what)
    with pytest.raises(ValueError, match=says):
        backend.device_like("gpu")
    assert selftest.main(["cupy"]) == 2
    assert re.search(says, capsys.readouterr().err.strip())


def test_the_gpus_array_is_empty_and_float32(monkeypatch):
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", lambda: 1)
    for name in ("zeros", "exp", "empty"):
        monkeypatch.setattr(cupy, name, getattr(np, name))
    assert (backend.device_like("gpu").shape, backend.device_like("gpu").dtype) == ((0,), np.float32)


def test_without_cupy_the_self_test_says_how_to_install_it():
    code = """if True:
        import runpy, sys

        class Without:
            def find_spec(self, name, *rest):
                if name == "cupy":
                    raise ModuleNotFoundError("No module named 'cupy'", name="cupy")

        sys.meta_path.insert(0, Without())
        sys.argv = ["selftest"]
        runpy.run_module("tinydiff.app.selftest", run_name="__main__")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tinydiff: CuPy is not installed: pip install 'tinydiff[gpu]'.\n"


def test_a_cupy_that_does_not_import_is_not_taken_for_none(monkeypatch):
    def broken(name):
        raise ImportError("libcuda.so.1: no such file\nand more")

    monkeypatch.setattr(backend.importlib, "import_module", broken)
    with pytest.raises(ValueError, match=r"but cannot be imported: ImportError: libcuda.so.1: no such file\.$"):
        backend.device_like("gpu")


def test_the_table_of_calls_is_printed(calls, monkeypatch, capsys):
    monkeypatch.setattr(recording, "compare", lambda to: agreement.compare(to, suite=(core.denoisers,)))
    recording.main()
    assert re.search(r"^matmul .*|^exp +\d+ +e->e.* D->D$", capsys.readouterr().out, re.M)
