"""Checks of arguments, where users meet the library: which argument it is, what was given and what is allowed."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from tinydiff.backend import cast, namespace, to_numpy

NO_SIGNAL = 1e-8
"""An α below this leaves no signal, and what is divided by it is rounding."""


def as_generator(rng: Any) -> np.random.Generator:
    """The generator that is given, or the one that a whole number seeds; TypeError or ValueError for anything else.

    None is refused: a result that cannot be repeated teaches nothing.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        raise ValueError("this draws random numbers: pass rng=0, say, or rng=np.random.default_rng(0).")
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer):
        raise TypeError(f"rng must be a np.random.Generator, or a whole number that seeds one; got {rng!r}.")
    if rng < 0:
        raise ValueError(f"rng, as a seed, must be 0 or more; got {rng}.")
    return np.random.default_rng(int(rng))


def describe(x: Any) -> str:
    """What x is, for an error message: its shape, or its type where it has none."""
    return f"shape {tuple(x.shape)}" if hasattr(x, "shape") else f"a {type(x).__name__}"


def check_array(name: str, x: Any) -> None:
    """Raise a TypeError unless x is an array: lists of points are refused, as they say neither dtype nor device."""
    if not hasattr(x, "shape"):
        raise TypeError(f"{name} must be an array; got {describe(x)}.")


def check_kind(name: str, value: Any, kind: Any, what: str) -> None:
    """Raise a TypeError unless the value is an instance of `kind`, which the message calls `what`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {what}; got {value!r:.80}.")


def as_answer(y: Any, x: Any, what: str = "f(x, t)") -> Any:
    """What a function of one's own gave for x, (B, D); ValueError for another shape or library."""
    if tuple(getattr(y, "shape", ())) != tuple(x.shape) or namespace(y) is not namespace(x):
        raise ValueError(f"{what} must be an array of x's library and shape {tuple(x.shape)}; got {y!r:.80}.")
    return y


def as_variances_of_points(y: Any, x: Any) -> Any:
    """The variances that a function of one's own gave for x, (B, D); ValueError unless they are positive."""
    if not bool(namespace(x).all(as_answer(y, x, "variance(x, now, then)") > 0)):
        raise ValueError("variance(x, now, then) must be positive.")
    return y


def check_process(process: Any) -> None:
    """Raise a TypeError unless it is a process, made by calling its class."""
    is_class, levels = isinstance(process, type), getattr(process, "at", None)
    if is_class and levels:
        raise TypeError(f"process must be made by calling its class: td.{process.__name__}(), say.")
    if is_class or not callable(levels):
        raise TypeError(f"process must be a Process, such as td.VP(); got {process!r:.80}.")


def check_points(x: Any, dim: int, name: str = "points") -> None:
    """Raise a ValueError unless x is an array of points (B, dim)."""
    if getattr(x, "ndim", None) != 2 or x.shape[1] != dim:
        raise ValueError(f"{name} must be an array of shape (B, {dim}); got {describe(x)}.")


def check_range(name: str, value: Any, low: float, high: float = float("inf"), *, open_low: bool = False) -> None:
    """Raise a ValueError unless low ≤ value ≤ high, or low < value where `open_low`; NaN is refused."""
    number: Any = value
    if not isinstance(number, Real):
        raise TypeError(f"{name} must be a number; got {value!r:.80}.")
    if not (low < value <= high if open_low else low <= value <= high):
        least = f"over {low:g}" if open_low else f"{low:g} or more"
        allowed = least if high == float("inf") else f"from {low:g}{' (excluded)' * open_low} to {high:g}"
        raise ValueError(f"{name} must be {allowed}; got {value}.")


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Raise a ValueError unless the value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")


def chosen(kind: str, choice: Any, table: dict[str, Any]) -> Any:
    """What a name stands for; a function stands for itself. ValueError for others."""
    if callable(choice):
        return choice
    if choice not in table:
        raise ValueError(f"{kind} must be a function or one of {', '.join(table)}; got {choice!r}.")
    return table[choice]


def as_labels(labels: Any, classes: Any, *, none: bool = True) -> np.ndarray:
    """Labels as whole numbers (B,) on the host; ValueError unless each is among the classes, or −1 where `none`."""
    labels, classes = np.atleast_1d(to_numpy(labels)), np.asarray(classes)
    whole = labels.ndim == 1 and labels.dtype.kind in "iu"
    if not whole or not np.all(np.isin(labels, classes) | (none & (labels == -1))):
        few = labels.tolist() if labels.size < 10 else f"{labels.dtype} of shape {labels.shape}"
        known = f"0 to {len(classes) - 1}" if np.array_equal(classes, np.arange(len(classes))) else classes.tolist()
        raise ValueError(f"labels must be whole numbers among {known}{', or −1 for none' * none}; got {few}.")
    return labels.astype(np.int64)


def check_rows(what: str, count: int, rows: int) -> None:
    """Raise a ValueError unless there is one of what is named, or one for each row."""
    if count not in (1, rows):
        raise ValueError(f"{what} must be one, or one for each of {rows} rows; got {count}.")


def check_data(x: Any, dim: int | None = None) -> None:
    """Raise a ValueError unless x is an array of points (N, D), one or more, all finite, and of `dim` if given."""
    if getattr(x, "ndim", 0) != 2 or x.shape[0] == 0 or x.shape[1] != (dim or x.shape[1]):
        raise ValueError(
            f"data must be a mixture, or an array of points (N, {dim or 'D'}), one or more; got {describe(x)}."
        )
    if not bool(namespace(x).all(namespace(x).isfinite(x))):
        raise ValueError("data must be finite: some of the points are NaN or infinite.")


def points_and_labels(data: Any, dim: int, classes: int) -> tuple[Any, np.ndarray | None]:
    """Points (N, dim) of unit scale, and where there are classes their labels (N,); ValueError for other data."""
    x, labels = data[:2] if isinstance(data, tuple) and len(data) > 1 else (data, None)
    check_data(x, dim)
    check_scale(x)
    if not classes:
        return x, None
    if labels is None or tuple(np.shape(labels)) != (x.shape[0],):
        raise ValueError("the network has classes, so data must be a pair (points, labels) with a label a point.")
    return x, as_labels(labels, np.arange(classes))


def dim_of(data: Any) -> int:
    """The number of coordinates of any data that `train` takes."""
    if hasattr(data, "sample"):
        return data.dim
    x = data[0] if isinstance(data, tuple) and data else data
    check_data(x)
    return x.shape[1]


def check_dim(data: Any, dim: int) -> None:
    """Raise a ValueError unless the data have as many coordinates as the network."""
    if data.dim != dim:
        raise ValueError(f"the network is for points of {dim} coordinates; the data have {data.dim}.")


def check_scale(x: Any) -> None:
    """Raise a ValueError where points (N, D) are far from unit scale, over all coordinates together."""
    xp = namespace(x)
    x = xp.astype(x, xp.float64) if xp.isdtype(x.dtype, "integral") else x
    mean, spread = float(xp.mean(x)), float(xp.mean(xp.var(x, axis=0))) ** 0.5
    if abs(mean) > 2 or not 0.1 <= spread <= 10:
        raise ValueError(
            f"data must be of about unit scale, where the noise is: their mean is {mean:.4g} and their spread "
            f"{spread:.4g}. Train on data = td.Dataset.standardised(x); data.restore(samples) maps back."
        )


def own_labels(labels: Any, n: int) -> np.ndarray | None:
    """The classes, 0, 1, …, of n components or points, on the host; ValueError for others."""
    if labels is None:
        return None
    labels = to_numpy(labels)
    if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min() < 0:
        given = labels.tolist() if labels.size < 10 else f"{labels.dtype} of shape {labels.shape}"
        raise ValueError(f"labels must be whole numbers, 0 or more, ({n},); got {given}.")
    return labels


def given_labels(labels: Any, otherwise: str) -> Any:
    """The labels of components or points, or a ValueError that says otherwise where there are none."""
    if labels is None:
        raise ValueError(otherwise)
    return labels


def check_draws(n: int, rows: int) -> None:
    """Raise a ValueError unless n draws can come from as many mixtures as there are rows, or from one."""
    if rows not in (1, n):
        raise ValueError(f"there is one mixture for each of {rows} rows, so n must be {rows}; got {n}.")


def check_some_left(log_weights: np.ndarray) -> None:
    """Raise a ValueError where all components (K, B) of a row have weight 0."""
    if not np.all(np.any(np.isfinite(log_weights), axis=0)):
        raise ValueError("no component is left: this mixture is already conditioned on another class.")


def check_diffused(what: str, spread: Any) -> None:
    """Raise a ValueError where a spread is 0 or NaN, since there is no density; `what` begins the sentence."""
    if not bool(namespace(spread).all(namespace(spread).abs(spread) > 0)):
        raise ValueError(f"{what} no density: ask for diffused(alpha, sigma > 0), or for t > 0.")


def shared_weights(weights: Any) -> np.ndarray:
    """The weights (K,) on the host, or a ValueError where each row has its own."""
    if np.ndim(weights) > 1:
        raise ValueError("this mixture is one for each row: its classes have no weights in common.")
    return to_numpy(weights)


def check_truth(data: Any) -> None:
    """Raise a ValueError unless the density of the data is known."""
    if not hasattr(data, "log_density"):
        raise ValueError("the truth must be known: data needs a log_density, as a GaussianMixture has.")


def check_some(x: Any) -> None:
    """Raise a ValueError where there are no points."""
    if x.shape[0] == 0:
        raise ValueError("optimal_variances needs points to fit to; got none.")


def check_pull(pull: Any) -> None:
    """Raise a ValueError where a function of one's own came without its derivative."""
    if pull is None:
        raise ValueError("this needs ∂f/∂x: pass as_denoiser(..., pull=), with pull(x, t, u) = uᵀ ∂f/∂x.")


def as_known(mask: Any, dim: int) -> np.ndarray:
    """A boolean mask (D,) of the coordinates that are known; ValueError unless some are and some are not."""
    known = to_numpy(mask)
    if known.dtype != bool or known.shape != (dim,) or known.all() or not known.any():
        raise ValueError(f"mask must be boolean, ({dim},), with some true and some false; got {mask}.")
    return known


def real_numbers(name: str, value: Any) -> np.ndarray:
    """The value as float64 on the host; ValueError for what is no array of real numbers."""
    try:
        numbers = np.asarray(to_numpy(value))
    except ValueError:
        numbers = np.array(None)
    if numbers.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be an array of real numbers; got {value!r:.80}.")
    return numbers.astype(np.float64)


def as_measurement(A: Any, y: Any, tau: Any, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """A (M, D) and y (1|B, M) of y = A x + τ n in float64; ValueError for others, and for a τ under 0."""
    check_range("tau", tau, 0.0, 1e150)
    A, y = real_numbers("A", A), real_numbers("y", y)
    if A.ndim != 2 or A.shape[1] != dim or A.shape[0] == 0:
        raise ValueError(f"A must be a matrix (M, {dim}), a row for each number that is measured; got {describe(A)}.")
    if y.ndim not in (1, 2) or y.shape[-1] != len(A):
        raise ValueError(f"y must be ({len(A)},), or (B, {len(A)}), a number for each row of A; got {describe(y)}.")
    if not (np.all(np.abs(A) < 1e100) and np.all(np.abs(y) < 1e100)):
        raise ValueError("A and y, the values that are known, must be finite, and below 1e100.")
    return A, np.atleast_2d(y)


def check_one_shape(variances: Any) -> None:
    """Raise a ValueError where each row has covariances of its own, (K, B, D)."""
    if variances.shape[1] > 1:
        raise ValueError("each row of this mixture has covariances of its own, and conditioning takes shared ones.")


def check_measured(var: np.ndarray) -> None:
    """Raise a ValueError where what is measured, of variances (K, 1, M), has no spread and no noise, so no density."""
    if np.any(var <= 1e-24 * np.max(var, axis=2, keepdims=True)):
        raise ValueError(
            "a component has no spread along something that is known, or A's rows depend on each other: "
            "condition on less, or with a larger tau."
        )


def mixture_parameters(weights: Any, means: Any, covariances: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (K,), means (K, D) and covariances (K, D, D) in float64; ValueError unless a mixture has such."""
    w, m, c = (np.asarray(to_numpy(a), dtype=np.float64) for a in (weights, means, covariances))
    if m.ndim != 2 or m.size == 0 or w.shape != m.shape[:1] or c.shape != (*m.shape, m.shape[1]):
        raise ValueError(
            "a mixture takes weights (K,), means (K, D) and covariances (K, D, D); "
            f"got shapes {w.shape}, {m.shape} and {c.shape}."
        )
    if not (np.all(w > 0) and abs(w.sum() - 1) < 1e-6):
        raise ValueError(f"weights must be positive with sum 1; got the sum {w.sum():.9g}, the least {w.min():.3g}.")
    if not (np.all(np.isfinite(m)) and np.all(np.isfinite(c))):
        raise ValueError("means and covariances must be finite.")
    if not np.allclose(c, c.swapaxes(1, 2), rtol=1e-9, atol=1e-12):
        raise ValueError("each covariance must be symmetric.")
    least, most = np.linalg.eigvalsh(c).min(), np.linalg.eigvalsh(c).max()
    if least < -1e-9 * max(1.0, most):
        raise ValueError(f"each covariance must be positive semidefinite; got the eigenvalue {least:.3g}.")
    return w / w.sum(), m, c


def as_mask(mask: Any, known: Any, x: Any) -> np.ndarray:
    """A boolean mask (D,) or (B, D) as (B, D); ValueError unless it and the known values (B, D) fit x (B, D)."""
    if tuple(getattr(known, "shape", ())) != tuple(x.shape):
        raise ValueError(f"known must have the shape of x, {tuple(x.shape)}; got {describe(known)}.")
    mask = to_numpy(mask)
    if mask.dtype != bool or mask.shape not in (x.shape, x.shape[1:]):
        raise ValueError(
            f"mask must be boolean, (D,) or (B, D) for x {tuple(x.shape)}; got {mask.dtype}, {mask.shape}."
        )
    mask = np.broadcast_to(mask, x.shape)
    if not np.all(np.isfinite(to_numpy(known)[mask])):
        raise ValueError("known must be finite where mask is true.")
    return mask


def check_finite(*samples: Any) -> None:
    """Raise a ValueError unless all points are finite: what is NaN has no distance to anything."""
    if not all(np.all(np.isfinite(to_numpy(each))) for each in samples):
        raise ValueError("the samples must be finite: some points are NaN or infinite.")


def two_samples(x: Any, y: Any, least: int = 1, *, alike: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 (N, D), (M, D) on the host, of `least` points or more; `alike` asks for N = M."""
    a, b = (np.asarray(to_numpy(each), dtype=np.float64) for each in (x, y))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or (alike and len(a) != len(b)):
        raise ValueError(
            f"two samples (N, D) and ({'N' if alike else 'M'}, D) of one space; got {describe(a)} and {describe(b)}."
        )
    if min(len(a), len(b)) < least or a.size == 0:
        raise ValueError(f"each sample must hold {least} or more points; got {len(a)} and {len(b)}.")
    check_finite(a, b)
    return a, b


def class_probabilities(log_p: Any, labels: Any, classes: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln p (N, C), labels (N,) and the class of each column (C,), on the host; ValueError unless they fit."""
    log_p, labels = to_numpy(log_p), to_numpy(labels)
    if log_p.ndim != 2 or labels.shape != log_p.shape[:1] or labels.size == 0:
        raise ValueError(f"log_p must be (N, C) and labels (N,), N ≥ 1; got {log_p.shape} and {labels.shape}.")
    classes = np.arange(log_p.shape[1]) if classes is None else to_numpy(classes)
    if classes.shape != log_p.shape[1:] or not np.all(np.isin(labels, classes)):
        raise ValueError(f"labels must be among the classes of the columns, {classes}; got {np.unique(labels)}.")
    if np.any(np.isnan(log_p)):
        raise ValueError("log_p has NaN in it: the samples are not finite.")
    return log_p, labels, classes


def as_betas(betas: Any) -> np.ndarray:
    """The variances of a chain's steps, (T,), in float64; ValueError unless they lie in (0, 1), the last up to 1."""
    betas = np.array(betas, dtype=np.float64)
    if betas.ndim != 1 or betas.size == 0:
        raise ValueError(f"betas must be a vector of T numbers; got shape {betas.shape}.")
    if not (np.all(betas > 0) and np.all(betas[:-1] < 1) and betas[-1] <= 1):
        raise ValueError(f"betas must lie in (0, 1), the last may be 1; got {betas.min():g} to {betas.max():g}.")
    return betas


def as_steps(t: Any, T: int) -> np.ndarray:
    """The n with t = n/T, or a ValueError that names the grid points around t."""
    steps = np.asarray(t, dtype=np.float64) * T
    n = np.rint(steps)
    off = np.abs(steps - n) > 1e-3  # float32 times are good to 6e-5 of a step at T = 1000
    if np.any(off):
        bad = steps[off].flat[0]
        low, high = int(np.floor(bad)), int(np.ceil(bad))
        raise ValueError(
            f"t = {bad / T:.6g} is not on the grid n/T with T = {T}; "
            f"the nearest are {low}/{T} = {low / T:.6g} and {high}/{T} = {high / T:.6g}."
        )
    return n.astype(np.int64)


def as_time(t: Any) -> Any:
    """t on the host: a float, or float64 (B,), in [0, 1], or complex with such a real part; ValueError for others."""
    if type(t) is float and 0 <= t <= 1:
        return t
    t = to_numpy(t)
    if t.dtype.kind not in "fiuc" or t.ndim > 1:
        raise ValueError(f"t must be a number in [0, 1], or a vector of them; got {t.dtype} of shape {t.shape}.")
    if not np.all((t.real >= -1e-9) & (t.real <= 1 + 1e-9)):
        raise ValueError(f"t must lie in [0, 1], data at 0 and noise at 1; got {t}. Step n of T is t = n/T.")
    t = t.astype(np.complex128) if t.dtype.kind == "c" else np.clip(t.astype(np.float64), 0.0, 1.0)
    return t if t.ndim else t.item()


def coefficients(process: Any, t: Any) -> tuple[Any, Any, Any]:
    """(t, α, σ) of a process on the host, numbers or (B,); ValueError where they are not what a process has."""
    t = as_time(t)
    try:
        pair = [c(t) + 0.0 * t for c in (process.alpha, process.sigma)]
    except TypeError as error:
        raise ValueError(f"alpha and sigma of {process} must take arrays of times ({error}): use NumPy.") from error
    if not all(np.all((np.real(c) >= 0) & np.isfinite(c)) for c in pair):
        raise ValueError(f"alpha and sigma of {process} must be finite and 0 or more; got {pair} at t = {t}.")
    alpha, sigma = pair if np.ndim(t) else (np.asarray(c).item() for c in pair)
    return t, alpha, sigma


def check_rates(process: Any, t: Any) -> None:
    """Raise a ValueError where α < 1e-8, which f and g² divide by."""
    if not np.all(np.real(process.alpha(t)) >= NO_SIGNAL):
        raise ValueError(f"f and g² divide by α, which is under {NO_SIGNAL:g} at t = {t}: {process} leaves no signal.")


def check_earlier(t: Any, s: Any) -> None:
    """Raise a ValueError unless s < t, in all rows."""
    if not _every(s.real < t.real):
        raise ValueError(f"now comes first, and then is earlier, s < t; got t = {t} and s = {s}.")


def check_signal(now: Any, instead: str) -> None:
    """Raise a ValueError where α < 1e-8, for a formula that divides by it; `instead` says what to do."""
    if not _every(now.host.alpha.real >= NO_SIGNAL):
        raise ValueError(f"no signal is left at t = {now.t} (alpha is under {NO_SIGNAL:g}): {instead}.")


def check_noise(now: Any, instead: str) -> None:
    """Raise a ValueError where σ = 0, for a formula that divides by it; `instead` says what to do."""
    if not _every(now.host.sigma.real > 0):
        raise ValueError(f"there is no noise at t = {now.t} (sigma is 0): {instead}.")


def check_columns(now: Any) -> None:
    """Raise a ValueError where a level at many times would scale columns of x, not rows."""
    if now.like is None and isinstance(now.t, np.ndarray):
        raise ValueError("levels at many times must be columns, process.at(t, like=x), to scale the rows of x.")


def equal(p: Any, q: Any) -> bool:
    """Whether two objects of one type say that they are equal; arrays among their fields have no such answer."""
    try:
        return type(p) is type(q) and bool(p == q)
    except ValueError:
        return False


def as_count(name: str, value: Any, least: int = 1) -> int:
    """The value as an int, or a ValueError unless it is a whole number, `least` or more."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number; got {value!r}.")
    check_range(name, value, least)
    return int(value)


def as_pair(name: str, value: Any) -> tuple[Any, Any]:
    """Two values, such as the rows and columns of a picture; ValueError for anything else."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise ValueError(f"{name} must be two numbers, rows and columns; got {value!r}.")
    return value[0], value[1]


def as_interval(name: str, value: Any) -> tuple[float, float]:
    """(low, high), the first below the second; either may be infinite. ValueError for anything else."""
    low, high = value if isinstance(value, Sequence) and len(value) == 2 else (np.nan, np.nan)
    if not (isinstance(low, Real) and isinstance(high, Real) and low < high):
        raise ValueError(f"{name} must be two numbers, the lower first; got {value!r}.")
    return float(low), float(high)


def _every(holds: Any) -> bool:
    """Whether it holds for all of the numbers that were compared, or for the one."""
    return holds if isinstance(holds, bool) else bool(holds.all())


def check_walk(ts: list[float], rising: bool) -> None:
    """Raise a ValueError unless there are times, over 0, that fall, or also where they rise."""
    steps = np.diff(ts)
    if not ts or not (np.all(steps < 0) or (rising and np.all(steps > 0))):
        way = "fall or rise" if rising else "fall"
        raise ValueError(f"ts must hold one or more times that {way} strictly; got {ts[:4]}….")
    if min(ts) == 0:
        raise ValueError("ts must lie in (0, 1], without 0: a walk ends at its last time, where sample takes x̂_0.")


def as_falling(ts: Any) -> np.ndarray:
    """Times as float64 (N,), or a ValueError unless they are two or more that fall."""
    times = np.array([float(t) for t in ts])
    if len(times) < 2 or not np.all(np.diff(times) < 0):
        raise ValueError(f"ts must hold two or more times that fall strictly; got {times[:4]}….")
    return times


def check_flow(process: Any, *ends: float) -> None:
    """Raise a ValueError unless the first and last time lie between t_min and t_max."""
    low, high = min(ends), max(ends)
    if low < process.t_min - 1e-12 or high > process.t_max + 1e-12:
        raise ValueError(
            f"the flow runs between t_min = {process.t_min:.4g} and t_max = {process.t_max:.4g} of {process}; "
            f"got times from {low:.4g} to {high:.4g}."
        )


def check_arc(z: Any, other: Any) -> None:
    """Raise a ValueError unless z and other, (B, D), have directions that are not opposite."""
    check_array("z", z)
    check_array("other", other)
    if z.ndim != 2 or tuple(z.shape) != tuple(other.shape):
        raise ValueError(f"z and other must both be (B, D); got {tuple(z.shape)} and {tuple(other.shape)}.")
    xp = namespace(z)
    lengths = [xp.sqrt(xp.sum(a * a, axis=1, keepdims=True)) for a in (z, other)]
    if not all(bool(xp.all(length > 0)) for length in lengths):
        raise ValueError("no row of z or other may be zero or NaN: it has no direction.")
    both = z / lengths[0] + other / lengths[1]
    if not bool(xp.all(xp.sum(both * both, axis=1) > 1e-12)):
        raise ValueError("a row of other is opposite to that of z: no arc between them is the shortest.")


def check_start(x: Any) -> None:
    """Raise a ValueError unless there are points (B, D), all finite, for steps whose length depends on the worst."""
    if x.shape[0] == 0 or not bool(namespace(x).all(namespace(x).isfinite(x))):
        raise ValueError(
            f"rk45 needs finite points, one or more; got {describe(x)} with some NaN or infinite, or none."
        )


def check_tolerances(allowed: Any, size: Any, rtol: float, atol: float) -> None:
    """Raise a ValueError where the allowed error of numbers of this size is under ten roundings."""
    xp = namespace(size)
    least = 10 * float(xp.finfo(size.dtype).eps)
    if bool(xp.any(allowed < least * size)):
        raise ValueError(
            f"rtol or atol must allow ten roundings: rtol ≥ {least:.2g} for {size.dtype}; got {rtol} and {atol}."
        )


def check_shape(name: str, x: Any, shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless x is an array of this shape."""
    if tuple(getattr(x, "shape", ())) != shape:
        raise ValueError(f"{name} must have the shape {shape}; got {describe(x)}.")


def check_path(path: Any, times: int, dim: int) -> None:
    """Raise a ValueError unless a path holds points (B, dim) at each of the times, and x_0."""
    if len(path) != times + 1:
        raise ValueError(f"path must hold a point for each of {times} times, and x_0; got {len(path)}.")
    for points in path:
        check_points(points, dim, "path")


def as_variances(variance: Any, n: int) -> np.ndarray:
    """The variances of n steps, (n,), on the host; ValueError unless they are positive."""
    values = np.asarray(to_numpy(variance), dtype=np.float64)
    if values.shape != (n,) or not np.all(values > 0):
        raise ValueError(f"variance must be positive, one for each of {n} times; got {values}.")
    return values


def as_pixels(x: Any, bins: int) -> np.ndarray:
    """Pixels on the host, in float64; ValueError unless they lie on so many even levels from −1 to 1."""
    pixels = to_numpy(x).astype(np.float64)
    index = (pixels + 1) * (bins - 1) / 2
    nearest = np.rint(index)
    if not np.all((np.abs(index - nearest) < 1e-2) & (nearest >= 0) & (nearest < bins)):
        raise ValueError(f"decoder 'bins' is for pixels on the {bins} levels from −1 to 1; some of these are not.")
    return pixels


def as_finite(name: str, value: Any) -> float:
    """The value as a float, or a ValueError unless it is a finite number."""
    if isinstance(value, str) or not np.isfinite(value):
        raise ValueError(f"{name} must be a finite number; got {value!r}.")
    return float(value)


def as_probes(probes: Any, x: Any) -> Any:
    """Probes (P, D) or (P, B, D) that are given for points x (B, D), as (P, 1|B, D); ValueError for others."""
    if getattr(probes, "ndim", 0) not in (2, 3) or probes.shape[0] < 1 or probes.shape[-1] != x.shape[1]:
        raise ValueError(f"probes must be a number, or an array (P, D) or (P, B, D); got {describe(probes)}.")
    if probes.ndim == 3:
        check_rows("probes (P, B, D)", probes.shape[1], x.shape[0])
    probes = cast(probes, x)
    return probes[:, None, :] if probes.ndim == 2 else probes


def check_weight(w: Any) -> None:
    """Raise a ValueError unless the weights of a loss are finite."""
    if not np.all(np.isfinite(w)):
        raise ValueError("this weight is infinite at t = 1, where this process leaves no signal: take another weight.")


def check_theta(size: int, theta: Any) -> None:
    """Raise a ValueError unless theta is an array of so many parameters."""
    if tuple(getattr(theta, "shape", ())) != (size,):
        raise ValueError(f"theta must be an array of the network's {size} parameters; got {describe(theta)}.")


def check_classifier(network: Any) -> None:
    """Raise a ValueError unless a network outputs classes, and is told none."""
    if not network.outputs or network.classes:
        raise ValueError("a classifier is told no class, it outputs them: make the network with outputs= alone.")


def check_outputs_noise(network: Any) -> None:
    """Raise a ValueError where a network outputs classes, for which there is another training."""
    if network.outputs:
        raise ValueError("this network outputs no noise: train it with train_classifier.")


def check_denoising(network: Any) -> None:
    """Raise a ValueError where a network has other outputs than one for each coordinate."""
    if network.outputs:
        raise ValueError(f"a denoiser has an output for each coordinate; this network has {network.outputs}.")


def check_average(network: Any) -> None:
    """Raise a ValueError unless a network sees one coordinate more than it outputs, the step, and is told no class."""
    if network.outputs != network.dim - 1 or network.outputs < 1 or network.classes:
        outputs = network.outputs or network.dim
        raise ValueError(
            "an average velocity sees D coordinates and the step and has D outputs, as TimeMLP(D + 1, outputs=D) does; "
            f"this network sees {network.dim} and has {outputs}{', and takes classes' * (network.classes > 0)}."
        )


def as_conditions(labels: Any, classes: int) -> np.ndarray | None:
    """The labels that a network of so many classes is told, or None; ValueError for labels that it cannot be told."""
    if labels is None:
        return None
    if not classes:
        raise ValueError("this network was made without classes: make it with classes=.")
    return as_labels(labels, np.arange(classes))


def check_library(theta: Any, x: Any) -> None:
    """Raise a ValueError unless x is of the library of theta: moving all parameters at every call would be slow."""
    if type(theta) is not type(x) and namespace(theta) is not namespace(x):  # the first half is a hundred times faster
        ours, theirs = (namespace(a).__name__.removeprefix("array_api_compat.") for a in (theta, x))
        raise ValueError(f"theta is an array of {ours} and the points are of {theirs}: let both be of one library.")


def check_complex_steps(process: Any, derivative: Callable[..., Any]) -> bool:
    """True, or a ValueError that names the function of a process whose complex step is not its derivative."""
    for name in ("alpha", "sigma"):
        _check_complex_step(name, getattr(process, name), derivative, process)
    return True


def _check_complex_step(name: str, c: Callable[[Any], Any], derivative: Callable[..., Any], owner: Any) -> None:
    """Raise a ValueError unless the complex step of c agrees with a difference; np.abs drops what it needs."""
    t, h = np.linspace(0.05, 0.95, 9), 1e-6
    write = f"write it in NumPy functions that take complex numbers, or define f(t) and g2(t) of {owner} too"
    try:
        step = derivative(c, t) + 0 * t
    except TypeError as error:
        raise ValueError(f"{name}(t) cannot be differentiated by a complex step ({error}): {write}.") from error
    difference = (c(t + h) - c(t - h)) / (2 * h) + 0 * t
    off = np.abs(step - difference) > 1e-4 * (1e-2 + np.abs(difference))
    if np.any(off):
        raise ValueError(
            f"{name}(t) cannot be differentiated by a complex step, which gives {step[off][0]:.4g} at "
            f"t = {t[off][0]:.4g} where a difference gives {difference[off][0]:.4g}. np.abs, .real, np.interp "
            f"and comparisons drop the imaginary part: {write}."
        )
