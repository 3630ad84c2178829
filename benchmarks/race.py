"""Every solver of the flow at 6 to 50 evaluations, against the exact map: race.json, from which the site has its table.

python benchmarks/race.py                  # two minutes of a core
"""

import json
from functools import partial
from pathlib import Path

import tinydiff as td
from tinydiff.files import atomic

RESULTS = Path(__file__).with_name("race.json")
ENTRIES = {
    **{f"adams_bashforth, order {k}": partial(td.adams_bashforth, order=k) for k in (2, 3, 4)},
    **{f"unipc, order {k}": partial(td.unipc, order=k) for k in (1, 2, 3)},
}
N, SEED = 2000, 0


def main() -> None:
    """Race each entry, and write the distances of all."""
    rms: dict[str, list[list[float]]] = {}
    for name, sampler in ENTRIES.items():
        found = td.race(sampler, name=name, n=N, rng=SEED)
        print(found, end="\n\n", flush=True)
        rms |= {each: distances.tolist() for each, distances in found.rms.items()}
    for name in ("adams_bashforth", "unipc"):  # they are there with their orders
        del rms[name]
    result = {"n": N, "seed": SEED, "toys": found.toys, "evaluations": found.evaluations, "rms": rms}
    with atomic(RESULTS) as part:
        part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
