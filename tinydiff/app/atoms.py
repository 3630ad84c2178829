"""Values that come again and again, and the noise that spreads them.

A density says how likely the neighbourhood of a point is. A value with a probability of its own, an atom, has none: a
model may put as much density on it as it likes, and its nats fall without bound. Whole numbers and categories are
atoms. Uniform noise over the cell of each, "dequantising", gives them a density, and its nats then bound those of the
probabilities of the cells from above [Uria, Murray & Larochelle 2013; Theis, van den Oord & Bethge 2016, sec. 3.1].
"""

from collections.abc import Sequence

import numpy as np

from tinydiff.datasets.points import Steps

ROWS = 4000
"""Points that are looked at for atoms, at most."""
FEW = 32
"""Whole numbers are counts and grades, and no measurement, where so many different ones come again and again."""


def with_atoms(x: np.ndarray) -> np.ndarray:
    """Which columns of the points (N, D) have atoms, (D,).

    A column has them where a fifth of its points share a value, or where values come again and again and are a few
    whole numbers, or no two of them nearer than a quarter of the deviation: counts, grades and flags, no measurement
    in tenths of a millimetre.
    """
    x = x[:: -(-len(x) // ROWS)]
    return np.array([_has_atoms(column) for column in x.T], bool)


def _has_atoms(column: np.ndarray) -> bool:
    n, (values, counts) = len(column), np.unique(column, return_counts=True)
    if len(values) > n / 2 or len(values) == 1:
        return bool(counts.max() >= max(3, n / 5))
    whole = len(values) <= FEW and np.all(values == np.rint(values))
    return bool(whole or counts.max() >= n / 5 or np.diff(values).min() >= column.std() / 4)


def dequantised(x: np.ndarray) -> tuple[np.ndarray, tuple[Steps, ...]]:
    """The points (N, D) plus uniform noise, and the columns that got it: u ~ U(−s/2, s/2) for a column in steps of s.

    It is added where values come again and again in equal steps. The noise is the same each time.
    """
    lattice, atoms = [], with_atoms(x)
    for i, column in enumerate(x.T):
        values = np.unique(column)
        if (atoms[i] or len(values) <= len(x) / 2) and (step := step_of(values)) is not None:
            lattice.append(Steps(i, float(values[0]), float(values[-1]), step))
    places, steps = [column.place for column in lattice], np.array([column.step for column in lattice])
    spread = x.copy()
    spread[:, places] += steps * np.random.default_rng(0).uniform(-0.5, 0.5, (len(x), len(places)))
    return spread, tuple(lattice)


def step_of(values: np.ndarray) -> float | None:
    """The greatest s for which each of the sorted values is the least one plus a whole number of s; None without one.

    No two values need be neighbours: 0, 2 and 5 are in steps of 1. Decimals with up to three places, such as prices,
    are whole numbers of thousandths, and s is their greatest common divisor. Other values, thirds or those of float32,
    are tried with the least gap over 1, 2, …, 20.
    """
    for unit in (1.0, 10.0, 100.0, 1000.0):
        whole = np.rint(values * unit)
        lost = np.abs(values * unit - whole) / np.maximum(1, np.abs(whole))
        if np.max(lost) <= 1e-9 and np.max(np.abs(whole)) < 2.0**53:
            return float(np.gcd.reduce(np.diff(whole).astype(np.int64))) / unit
    apart, gap = values[1:] - values[0], float(np.diff(values).min())
    rulers = apart[np.unique(np.searchsorted(apart[:-1], np.geomspace(gap, apart[-1], 20)))]
    for parts in range(1, 21):
        step = gap / parts
        for ruler in rulers:  # each measures the step better than the one before
            step = float(ruler / np.rint(ruler / step))
        steps = np.rint(apart / step)
        lost = np.max(np.abs(apart - step * steps))
        if lost < 1e-3 * step:
            short = (float(f"{step:.{digits}g}") for digits in (3, 6))
            return next((each for each in short if np.max(np.abs(apart - each * steps)) <= 2 * lost), step)
    return None


def first_of(names: Sequence[str]) -> str:
    """The first names of columns, and how many more there are."""
    return ", ".join(names[:3]) + f" and {len(names) - 3} more" * (len(names) > 3)
