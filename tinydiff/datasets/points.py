"""Dataset: points as a model sees them, and the way back to their own units.

Shapes: N points, D coordinates; B samples of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from tinydiff.backend import Array, cast, namespace, to_numpy
from tinydiff.checks import check_points, own_labels


class Steps(NamedTuple):
    """A column of the points whose values are least, least + step, …, greatest, in the units of the data."""

    place: int
    least: float
    greatest: float
    step: float


class Dataset(NamedTuple):
    """Points as a model sees them, their labels, and what leads back to their own units: original = x · scale + shift.

    A noise schedule is made for data of mean 0 and variance 1, so points are moved and scaled before a model is trained
    on them. The model then lives in that space, and ``restore`` brings its samples back.

    Parameters
    ----------
    x : (N, D)
        The points, moved and scaled.
    labels : (N,) or None
        Their classes 0, 1, …, where they have any.
    shift : (D,) or float
        What was taken away from the points, in their own units.
    scale : (D,) or float
        What the points were divided by then, in their own units.
    picture : (int, int), optional
        Rows and columns, where each point is a picture, row by row.
    names : tuple of str
        The names of the columns that ``restore`` makes, where they have any.
    classes : tuple of str
        The names of the classes, where they have any.
    constants : tuple of (int, float)
        Columns of the data that never change, which the points lack: the place of each, and its value.
    lattice : tuple of Steps
        Columns of the points whose whole numbers were spread by noise. ``restore`` moves them to the nearest step.
    atoms : tuple of int
        Columns of the points whose values come again and again, so that the data have no density.
    notes : tuple of str
        What was guessed as the data were read.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> data = td.Dataset(np.array([[-1.0], [1.0]]), None, shift=20.0, scale=5.0)
    >>> data.restore(data.x)
    array([[15.],
           [25.]])
    """

    x: Array
    labels: Array | None
    shift: Array
    scale: Array
    picture: tuple[int, int] | None = None
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    constants: tuple[tuple[int, float], ...] = ()
    lattice: tuple[Steps, ...] = ()
    atoms: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def standardised(cls, x: Any, labels: Any = None) -> Dataset:
        """Move and scale each coordinate of the points to mean 0 and variance 1.

        A coordinate that is constant up to rounding, such as a pixel on the border of all images, has no variance to
        scale by: it is moved to 0 and keeps the scale 1.

        Parameters
        ----------
        x : (N, D)
            Finite real numbers, an array of any library or lists of numbers. Images are flattened first:
            ``x.reshape(len(x), -1)``.
        labels : (N,), optional
            Whole numbers, 0 or more, one for each point.

        Returns
        -------
        Dataset
            Its ``x`` is of the library, device and dtype of the points where these are an array of floats, and NumPy's
            float64 otherwise; ``shift`` and ``scale`` are float64 arrays (D,), and ``labels`` int64 (N,) or None.

        Raises
        ------
        ValueError
            Where there are not two points or more, (N, D), of finite real numbers, with the first that is not finite
            named; and where there is not one whole number as a label for each point.

        Examples
        --------
        >>> import tinydiff as td
        >>> data = td.Dataset.standardised([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])
        >>> data.x.round(4)
        array([[-1.2247,  0.    ],
               [ 0.    ,  0.    ],
               [ 1.2247,  0.    ]])
        >>> data.scale.round(4)
        array([0.8165, 1.    ])
        >>> data.restore(data.x)
        array([[1., 7.],
               [2., 7.],
               [3., 7.]])
        """
        given = _real_points(x)
        floats = given.dtype.kind == "f"
        points = given.astype(np.float64)
        _, exponent = np.frexp(np.maximum(points.max(axis=0), -points.min(axis=0)))
        unit = np.ldexp(1.0, exponent - 1)  # a power of two: squares of points/unit neither overflow nor vanish
        points /= unit
        mean = points.mean(axis=0)
        points -= mean
        points -= (rest := points.mean(axis=0))  # what rounding left of the mean
        std = points.std(axis=0)
        classes = own_labels(labels, len(points))
        constant = std <= np.finfo(given.dtype if floats else np.float64).eps
        points /= np.where(constant, np.inf, std)
        return cls(
            cast(points, x) if floats and array_api_compat.is_array_api_obj(x) else points,
            None if classes is None else classes.astype(np.int64),
            shift=unit * (mean + rest),
            scale=np.where(constant, 1.0, unit * std),
        )

    def rows(self, rows: Any) -> Dataset:
        """Some of the points, such as those of an array of indices, with their labels."""
        return self._replace(x=self.x[rows], labels=None if self.labels is None else self.labels[rows])

    def restore(self, x: Array) -> Array:
        """Bring points of the model's space back to the units of the data, as x · scale + shift, constants among them.

        Parameters
        ----------
        x : (B, D)
            Points in the space of ``self.x``, such as samples of a model that was trained on it.

        Returns
        -------
        (B, D) or more columns
            The same points in the data's own units, of the library, device and dtype of ``x``; where the data have
            columns that never change, these are back in their places.

        Raises
        ------
        ValueError
            Where ``x`` is not an array of points with as many coordinates as the data.

        Examples
        --------
        >>> import numpy as np, tinydiff as td
        >>> data = td.Dataset.standardised([[10.0], [30.0]])
        >>> data.restore(np.array([[0.0], [2.0]]))
        array([[20.],
               [40.]])
        """
        check_points(x, self.x.shape[1], "x")
        return with_constants(on_lattice(cast(self.scale, x) * x + cast(self.shift, x), self.lattice), self.constants)


def on_lattice(x: Array, lattice: Sequence[Steps]) -> Array:
    """The points (B, D), in the data's units, with each of these columns moved to the nearest of its steps."""
    if not lattice:
        return x
    origin, step = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for column in lattice:
        origin[column.place], step[column.place] = column.least, column.step
    xp, width = namespace(x), np.where(step > 0, step, 1.0)
    per_unit = np.rint(1 / width)  # 10 for steps of .1: 7/10 is .7, and 7 · .1 is more
    even = (per_unit > 0) & (np.abs(per_unit * width - 1) < 1e-9) & (np.abs(origin * per_unit % 1 - 0.5) > 0.499)
    per_unit, even = cast(np.where(even, per_unit, 1.0), x), cast(even.astype(float), x) > 0
    origin, width = cast(origin, x), cast(width, x)
    nearest = origin + width * xp.round((x - origin) / width)
    nearest = xp.where(even, xp.round(nearest * per_unit) / per_unit, nearest)
    return xp.where(cast(step, x) > 0, nearest, x)


def with_constants(x: Array, constants: Sequence[tuple[int, float]]) -> Array:
    """The points (B, D) with these columns in their places, each constant."""
    if not constants:
        return x
    xp, d = namespace(x), x.shape[1]
    order = [i for i in range(d + len(constants)) if i not in dict(constants)]
    places = np.argsort([*order, *dict(constants)])  # where in the points, or behind them, each column is
    values = cast(np.array([value for _, value in constants]), x)
    whole = xp.concat([x, xp.broadcast_to(values, (x.shape[0], len(constants)))], axis=1)
    return xp.take(whole, xp.asarray(places, device=array_api_compat.device(x)), axis=1)


def _real_points(x: Any) -> np.ndarray:
    """The points on the host, in their own dtype; ValueError unless they are two or more, of finite real numbers."""
    try:
        points = to_numpy(x)
    except ValueError:  # of lists of unequal lengths
        raise ValueError(
            "x must be points (N, D), each with as many coordinates; got lists of unequal lengths."
        ) from None
    if points.ndim != 2 or len(points) < 2 or points.shape[1] == 0:
        flatten = "; flatten images by x.reshape(len(x), -1)" * (points.ndim > 2)
        raise ValueError(f"x must be two points or more, (N, D); got shape {points.shape}{flatten}.")
    if points.dtype.kind not in "fiub":
        raise ValueError(f"x must hold real numbers; got {points.dtype}.")
    for row, at in np.argwhere(~np.isfinite(points))[:1]:
        raise ValueError(f"x must hold finite numbers; coordinate {at} of point {row} is {points[row, at]}.")
    return points
