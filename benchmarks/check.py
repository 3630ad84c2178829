"""How long a check takes: passing, on right answers, and failing, on every known mistake and on mistakes of form.

    python benchmarks/check.py

Prints a table of medians and of the slowest, in milliseconds, writes check.json for the docs, and fails where a check
takes more than .3 s, but for functions that never return, which are given up after two seconds.
"""

import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tinydiff.check import check, grade, spec, specs

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "check"))
from right import ANSWERS
from test_specs import FORMS

TARGET = 0.3  # seconds
COLD = "import time; start = time.perf_counter()\n{}\nprint(time.perf_counter() - start)"
IMPORT, FIRST = "from tinydiff.check import check", "report = check(lambda c, u, w: c + w * (c - u), 'cfg')"


def seconds(call: Callable[[], Any], repeats: int = 3) -> float:
    """The median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times)


def cold(code: str) -> float:
    """The median time of some lines in a new process."""
    run = [sys.executable, "-c", COLD.format(code)]
    return median(float(subprocess.run(run, capture_output=True, text=True, check=True).stdout) for _ in range(5))


def graded() -> float:
    """The time of a mark, with the process that it takes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mine.py")
        file.write_text("def cfg(c, u, w):\n    return c + w * (c - u)\n", encoding="utf-8")
        return seconds(lambda: grade(file, ["cfg"]), 5)


def main() -> int:
    """The table; 1 where a target is missed."""
    print(f"NumPy {np.__version__}, Python {sys.version.split()[0]}; milliseconds, median / slowest\n")
    print(f"{'':24}{'passing':>16}{'failing':>16}{'calls':>8}")
    every: tuple[list[float], list[float]] = [], []
    for name in specs():
        right = ANSWERS[name]
        wrong = [mistake.function for mistake in spec(name).mistakes] + [form(right[0]) for form in FORMS.values()]
        wrong = [function for function in wrong if not check(function, name)]
        times = [[seconds(lambda f=f: check(f, name)) for f in functions] for functions in (right, wrong)]  # noqa: B023
        row = [f"{1e3 * median(each):.0f} / {1e3 * max(each):.0f}" for each in times]
        for so_far, each in zip(every, times, strict=True):
            so_far += each
        print(f"{name:24}{row[0]:>16}{row[1]:>16}{check(right[0]).calls:>8}")
    found = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, one core",
        "passing": [round(1e3 * median(every[0])), round(1e3 * max(every[0]))],
        "failing": [round(1e3 * median(every[1])), round(1e3 * max(every[1]))],
        "import_numpy": round(1e3 * cold("import numpy")),
        "import": round(1e3 * cold(IMPORT)),
        "import_and_first": round(1e3 * cold(f"{IMPORT}\n{FIRST}")),
        "grade": round(1e3 * graded()),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n" + "\n".join(f"{name}: {value}" for name, value in found.items()))
    return int(max(map(max, every)) > TARGET)


if __name__ == "__main__":
    sys.exit(main())
