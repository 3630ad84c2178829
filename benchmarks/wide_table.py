"""What reading and reporting a large table take: 784 columns × 60,000 rows, as MNIST in a spreadsheet has.

    OPENBLAS_NUM_THREADS=1 python benchmarks/wide_table.py  # two minutes

CPU seconds, and the peak of what tracemalloc sees beyond the points themselves, which are 340 MB in float64. Results go
to wide_table.json.
"""

import json
import os
import platform
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from tinydiff.app.config import Config, open_parts
from tinydiff.app.directory import Run
from tinydiff.app.report import measure
from tinydiff.files import atomic

RESULTS = Path(__file__).with_name("wide_table.json")
ROWS, COLUMNS = 60_000, 784


def main() -> None:
    """Write such a table, read it, train on it for a moment, and measure the report."""
    rng, found = np.random.default_rng(0), {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wide.csv"
        modes = rng.standard_normal((10, COLUMNS))
        with path.open("w", encoding="utf-8") as file:
            for _ in range(ROWS // 1000):
                x = modes[rng.integers(0, 10, 1000)] + rng.standard_normal((1000, COLUMNS))
                np.savetxt(file, x, "%.3f", ",")
        config = Config(str(path), steps=20, batch=64, width=32, blocks=1)
        start = time.process_time()
        data, unseen = open_parts(*config.source)
        found["reading_seconds"] = time.process_time() - start
        found["megabytes_of_text"] = path.stat().st_size / 1e6
        run = Run.create(Path(folder) / "run", config)
        trained = run.train(data)
        parts, last = {}, ["", time.process_time()]

        def watch(name: str) -> None:
            parts[last[0]], last[:] = time.process_time() - last[1], [name, time.process_time()]

        tracemalloc.start()
        before, start = tracemalloc.get_traced_memory()[0], time.process_time()
        measure(run, trained, data, unseen, watch)
        found["report_seconds"] = time.process_time() - start
        found["report_peak_gigabytes"] = (tracemalloc.get_traced_memory()[1] - before) / 1e9
        found["seconds_of_part"] = {name: seconds for name, seconds in parts.items() if name and seconds > 1}
    found["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, NumPy {np.__version__}"
    with atomic(RESULTS) as part:
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
