"""How long a check takes: passing, on right answers, and failing, on every known mistake and on mistakes of form.

    python benchmarks/check.py

Prints a table of medians and of the slowest, in milliseconds, and fails where a passing check takes over a second or a
failing one over a fifth, but for functions that never return, which are given up after two seconds.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from tinydiff.check import check, spec, specs

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "check"))
from right import ANSWERS
from test_specs import FORMS

PASSING, FAILING = 1.0, 0.2  # seconds


def seconds(function: Callable, name: str, repeats: int = 3) -> float:
    """The median time of a check."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        check(function, name)
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> int:
    """The table; 1 where a target is missed."""
    print(f"NumPy {np.__version__}, Python {sys.version.split()[0]}; milliseconds, median / slowest\n")
    print(f"{'':24}{'passing':>16}{'failing':>16}{'calls':>8}")
    slowest = [0.0, 0.0]
    for name in specs():
        right = ANSWERS[name]
        wrong = [mistake.function for mistake in spec(name).mistakes] + [form(right[0]) for form in FORMS.values()]
        wrong = [function for function in wrong if not check(function, name)]
        times = [[seconds(function, name) for function in functions] for functions in (right, wrong)]
        row = [f"{1e3 * median(each):.0f} / {1e3 * max(each):.0f}" for each in times]
        slowest = [max(so_far, *each) for so_far, each in zip(slowest, times, strict=True)]
        print(f"{name:24}{row[0]:>16}{row[1]:>16}{check(right[0]).calls:>8}")
    print(f"\nslowest: passing {slowest[0]:.3f} s of {PASSING} s, failing {slowest[1]:.3f} s of {FAILING} s")
    return int(slowest[0] > PASSING or slowest[1] > FAILING)


if __name__ == "__main__":
    sys.exit(main())
