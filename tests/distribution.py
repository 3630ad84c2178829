"""What a stranger gets by `pip install tinydiff`: the wheel and the sdist, and an environment of the wheel alone.

    python tests/distribution.py dist .venv-dist    # by make dist

The files are as small as they should be and hold what they should. Their page on PyPI has no link that leads nowhere.
With NumPy and array-api-compat alone the core works, and what needs more says what to install, in one line.
"""

import email
import os
import re
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

WHEEL, SDIST = 560_000, 3_000_000
"""The most bytes of each."""
HERE = Path(__file__).resolve().parents[1]


def main(dist: Path, environment: Path) -> None:
    """Each check in turn; AssertionError at the first that fails."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    python = environment.resolve() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    for check in (sizes, contents, page):
        check(wheel, sdist)
        print(f"{check.__name__}: as it should be", flush=True)
    for check in (core, extras, types, odd_places):
        check(python)
        print(f"{check.__name__}: as it should be", flush=True)


def sizes(wheel: Path, sdist: Path) -> None:
    """The sdist has no executed notebooks, and the wheel no data."""
    for path, most in ((wheel, WHEEL), (sdist, SDIST)):
        size = path.stat().st_size
        print(f"{path.name}: {size:,} bytes, at most {most:,}")
        assert size <= most


def contents(wheel: Path, sdist: Path) -> None:
    """The wheel is the package with its marker of types; the sdist builds it, and its notebooks and site, anew."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"tinydiff", wheel.name.rsplit("-", 3)[0] + ".dist-info"}
    assert "tinydiff/py.typed" in names
    assert not [name for name in names if re.search(r"(^|/)(tests?/|test_|conftest)|\.(npz|ipynb|gif)$", name)]
    with tarfile.open(sdist) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    for name in ("Makefile", "README.md", "LICENSE", "tests/test_docs.py", "notebooks/build.py", "docs/index.md"):
        assert name in held, name
    assert not [name for name in held if name.endswith(".ipynb")]


def page(wheel: Path, sdist: Path) -> None:
    """The metadata: two dependencies, the links of a project, and a description without a relative link."""
    file = zipfile.ZipFile(wheel)
    (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
    data = email.message_from_bytes(file.read(name))
    needed = [line for line in data.get_all("Requires-Dist") or [] if "extra ==" not in line]
    assert sorted(re.split(r"[><=]", line)[0] for line in needed) == ["array-api-compat", "numpy"], needed
    urls = {line.split(",")[0] for line in data.get_all("Project-URL") or []}
    assert urls == {"Documentation", "Source", "Changelog", "Issues"}
    version = data["Version"]
    text = file.read(name).decode().partition("\n\n")[2]
    links = re.findall(r'\]\(([^)#]+)\)|src="([^"]+)"', text)
    for link in map("".join, links):
        assert link.startswith("https://"), link
        if link.startswith("https://github.com/tinydiff/tinydiff/blob/") or "raw.githubusercontent" in link:
            path = link.partition(f"/v{version}/")[2].partition("#")[0]
            assert path, link
            assert (HERE / path).exists(), link
    assert f"version: {version}\n" in (HERE / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(
        rf"^## {re.escape(version)} · \d{{4}}-\d\d-\d\d$", (HERE / "CHANGELOG.md").read_text("utf-8"), re.M
    )


def run(python: Path, code: str, *options: str, code_of_exit: int = 0, **more: str) -> str:
    """What the code prints, in a folder of its own, where nothing but the wheel can be imported."""
    with tempfile.TemporaryDirectory() as folder:
        words = [str(python), *options, *(["-c", code] if code else [])]
        environment = {**os.environ, "PYTHONPATH": "", "OPENBLAS_NUM_THREADS": "1", **more}
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300
        )
    assert done.returncode == code_of_exit, f"{code or words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


CORE = """if True:
    import numpy as np, tinydiff as td
    data = td.toys.ring8()
    model = td.fit(data, rng=0, steps=20, network=td.TimeMLP(2, 16, 1))
    x = td.sample(model, 50, rng=1)
    assert x.shape == (50, 2)
    nats, error = td.kl_from_truth(model, data, n=100, rng=2)
    oracle = td.Oracle(data, td.VP())
    assert td.kl_from_truth(oracle, data, n=100, rng=2)[0] < 0.01 < nats
    assert np.all(np.isfinite(td.log_likelihood(oracle, x, steps=20)))
    assert np.isfinite(np.mean(td.elbo(oracle, x, td.grids.even_log_snr(td.VP(), 20), 0).nats))
    pairs = td.couplings.independent(td.toys.ring8())
    td.flow_matching(pairs, steps=3, rng=0)
    assert td.race(td.ddim, toys=["ring8"], evaluations=[6], n=20).verdict()
    print(td.__version__)
    def q_sample(x0, t, eps, betas):
        alpha_bar = np.concatenate([[1.0], np.cumprod(1 - betas)])[t]
        return np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * eps
    from tinydiff.check import check
    print(check(q_sample))
"""


def core(python: Path) -> None:
    """Training, sampling, bounds, likelihoods, flows, races and laws, with plain lines for bars."""
    said = run(python, CORE)
    for words in ("training: step 20 of 20", "flow matching: step 3 of 3, loss", "racing: "):
        assert words in said, said
    assert "q_sample obeys its" in said, said
    run(python, CORE, "-OO")
    held = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "list", "--python", str(python)], capture_output=True, text=True
    )
    packages = {line.split()[0] for line in held.stdout.splitlines()[2:]}
    assert packages == {"array-api-compat", "numpy", "tinydiff"}, packages


EXTRAS = {
    "td.plotting.points(np.eye(2))": ("matplotlib", "app"),
    "td.energy_distance(np.eye(2), np.eye(2))": ("scipy", "app"),
    "td.couplings.optimal(td.couplings.independent(td.toys.ring8()))": ("scipy", "app"),
    "open('a.parquet', 'wb').close(); td.load_points('a.parquet')": ("pyarrow", "files"),
    "import os; os.mkdir('a'); open('a/b.png', 'wb'); td.load_pictures('a')": ("PIL", "files"),
    "from tinydiff.check import check; check(lambda betas: betas, 'alpha_bar', level='deep')": (
        "Hypothesis",
        "testing",
    ),
    "import tinydiff.testing": ("Hypothesis", "testing"),
}


def extras(python: Path) -> None:
    """What lacks a library says so at the call, in one line with the command; the command line too."""
    for code, (library, name) in EXTRAS.items():
        *_, last = run(python, f"import numpy as np, tinydiff as td; {code}", code_of_exit=1).splitlines()
        assert library in last, last
        assert f'pip install "tinydiff[{name}]"' in last, last
    assert "self-test, training: " in run(python, "", "-m", "tinydiff", "doctor")
    assert run(python, "", "-m", "tinydiff", "--version").startswith("tinydiff ")
    said = run(python, "", "-m", "tinydiff", "demo", code_of_exit=1)
    assert re.fullmatch(r'tinydiff: this needs \w+, which is not installed: pip install "tinydiff\[app\]"\n', said), (
        said
    )


TEN_LINES = """import numpy as np
import tinydiff as td
data: td.GaussianMixture = td.toys.ring8()
model: td.NetworkDenoiser = td.fit(data, rng=0)
x = td.sample(model, 2000, rng=1)
nats, error = td.kl_from_truth(model, data, rng=2)
total: float = nats + error
oracle = td.Oracle(data, td.VP())
for t, y in td.trajectory(oracle, 10, steps=5, rng=0):
    time: float = t
"""


def types(python: Path) -> None:
    """Ten lines of a user pass mypy --strict, and it sees a wrong one: the types come with the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.py"
        for code, right in ((TEN_LINES, True), (TEN_LINES.replace("total: float", "total: str"), False)):
            path.write_text(code, encoding="utf-8")
            words = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "mine.py"]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
            assert (done.returncode == 0) == right, done.stdout


def odd_places(python: Path) -> None:
    """Without a home, with one that cannot be written, in a folder of spaces and umlauts, and on a cp1252 console."""
    short = "import tinydiff as td; td.fit(td.toys.ring8(), rng=0, steps=2); print(td.__version__, td.toys.ring8)"
    with tempfile.TemporaryDirectory() as folder:
        closed = Path(folder) / "ein Ordner für alles"
        closed.mkdir()
        closed.chmod(stat.S_IREAD | stat.S_IEXEC)
        for more in (
            {"HOME": str(closed)},
            {"HOME": "", "USERPROFILE": ""},
            {"PYTHONIOENCODING": "cp1252"},
            {"NO_COLOR": "1"},
        ):
            run(python, short, "-OO", **more)
        closed.chmod(stat.S_IRWXU)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
