"""What the library needs of a machine: no more than tests/bare leaves of it."""

import os
import subprocess
import sys
from pathlib import Path

BARE = {
    "PYTHONPATH": str(Path(__file__).parent / "bare"),
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "cp1252",
    "PYTHONWARNDEFAULTENCODING": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
}


def on_a_bare_machine(code, folder):
    """What comes of the code there, in a console of Western Windows."""
    (folder / "code.py").write_text(code, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "code.py"],
        capture_output=True, encoding="cp1252", cwd=folder, env={**os.environ, **BARE}, check=False,
    )  # fmt: skip


GONE = [
    "import resource",
    "import fcntl",
    "import IPython",
    "import cupy",
    "from mpi4py import MPI",
    "import torch",
    "import signal; signal.SIGKILL",
    "import signal; signal.alarm(1)",
    "import os; os.fork()",
    "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)",
    "import socket; socket.getaddrinfo('example.org', 80)",
    "open('a.txt', 'w')",
    "print('β')",
]


def test_a_bare_machine_is_bare(tmp_path):
    code = f"""if True:
        import contextlib
        for line in ["import json", *{GONE}]:
            with contextlib.suppress(Exception):
                exec(line)
                print(line)
    """
    done = on_a_bare_machine(code, tmp_path)
    assert (done.stdout, done.stderr) == ("import json\n", "")


def test_every_module_is_imported_and_the_command_does_its_main_jobs_there(tmp_path):
    """As `python -m tinydiff` it trains, measures and draws, on points with Greek names, whatever the console lacks."""
    code = """if True:
        import importlib, pkgutil, runpy, sys
        from pathlib import Path
        import tinydiff
        names = [module.name for module in pkgutil.walk_packages(tinydiff.__path__, "tinydiff.")]
        assert len(names) > 50
        for name in names:
            if not name.endswith("__main__") and ".graders." not in name:  # which need nbgrader or Otter
                importlib.import_module(name)
        from tinydiff.app import nats
        nats.STEPS = 20
        Path("points.csv").write_text("α,β\\n" + "1,2\\n3,4\\n5,7\\n" * 20, encoding="utf-8")
        for line in (
            "train points.csv --out run --steps 3 --batch 16 --width 8 --blocks 1",
            "sample run --n 5 --steps 3 --out draws.csv",
        ):
            sys.argv = ["tinydiff", *line.split()]
            try:
                runpy.run_module("tinydiff", run_name="__main__")
            except SystemExit as end:
                assert end.code == 0, line
    """
    done = on_a_bare_machine(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "nats" in done.stdout
    for name in ("run/report.json", "draws.csv", "draws.png"):
        assert (tmp_path / name).stat().st_size > 0
