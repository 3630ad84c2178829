"""Denoisers answer one question: what noise is in x at time t?

A denoiser is exact (`Oracle`) or learned (`NetworkDenoiser`), or a function of one's own (`as_denoiser`). It belongs to
a process, so nothing takes a process beside it. Samplers, likelihoods and metrics take any and never ask which.

It offers both ε̂ and x̂_0, though each is an affine function of the other, because of rounding: where α is nearly 0, ε̂
cannot carry x̂_0, and where σ is nearly 0, x̂_0 cannot carry ε̂. Differentiating is called pulling: `linearize` gives
the answer and a function pull, u ↦ uᵀ ∂(answer)/∂x for each row.

Shapes: x, u (B, D); t a number, (B,), or a level of the denoiser's process.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from tinydiff.backend import Array, cast, changed
from tinydiff.checks import as_answer, check_kind, check_noise, check_process, check_pull, check_range
from tinydiff.predictions import Prediction, check_prediction, to_eps, to_x0, x0_from_eps
from tinydiff.processes import Level, Process, same_process

Pull = Callable[[Array], Array]
"""u (B, D) ↦ uᵀ ∂f/∂x for each row, (B, D): a vector–Jacobian product."""


class Denoiser:
    """What samplers, bounds and metrics ask of a model; a subclass gives at least the noise, `__call__`.

    Attributes
    ----------
    process : Process
        The process whose noise it takes out.
    dim : int
        The number D of coordinates.
    like : array (0, D)
        An empty array that carries library, dtype and device.
    chunk : int
        How many points a likelihood carries at a time, since a linearization keeps what its pulls need.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> class StandardNormal(td.Denoiser):
    ...     process, dim, like = td.VP(), 2, np.empty((0, 2))
    ...     def __call__(self, x, t): return self.process.at(t, like=x).sigma * x
    >>> td.sample(StandardNormal(), 3, rng=0).shape
    (3, 2)
    """

    process: Process
    dim: int
    like: Array
    chunk: int = 4096

    def __call__(self, x: Array, t: Any) -> Array:
        """ε̂(x, t) ≈ E[ε | x_t = x], (B, D)."""
        raise NotImplementedError

    def x0(self, x: Array, t: Any) -> Array:
        """x̂_0(x, t) ≈ E[x_0 | x_t = x], (B, D); from ε̂ unless a subclass knows better, ValueError where α < 1e-8."""
        now = self.process.at(t, like=x)
        return x0_from_eps(x, self(x, now), now)

    def linearize(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(ε̂, pull) with pull(u) = uᵀ ∂ε̂/∂x; ValueError where it cannot be differentiated."""
        raise ValueError(f"{type(self).__name__} has no pull: define linearize, or pass pull= to as_denoiser.")

    def linearize_x0(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(x̂_0, pull) with pull(u) = uᵀ ∂x̂_0/∂x; from `linearize` unless a subclass knows better."""
        now = self.process.at(t, like=x)
        eps, pull = self.linearize(x, now)
        return x0_from_eps(x, eps, now), lambda u: x0_from_eps(u, pull(u), now)

    def given(self, labels: Array) -> Self:
        """The same model conditioned on a class for each row, (B,), or one for all; −1 is no condition."""
        raise ValueError(f"{type(self).__name__} takes no labels.")

    def rows(self, rows: slice) -> Self:
        """The same model for some rows of a batch, which its labels follow."""
        return self


class FromPrediction(Denoiser):
    """A denoiser made from an output F, which is what `prediction` says: ε̂ and x̂_0 are a x + b F.

    A subclass gives F, by `output`, and its derivative, by `linearize_output`.
    """

    def __init__(
        self, process: Process, dim: int, prediction: Prediction, like: Array, sigma_data: float = 1.0
    ) -> None:
        check_process(process)
        check_prediction(prediction)
        check_range("sigma_data", sigma_data, 0, open_low=True)
        self.process, self.dim, self.prediction, self.like, self.sigma_data = process, dim, prediction, like, sigma_data

    def output(self, x: Array, now: Level) -> Array:
        """F, (B, D)."""
        raise NotImplementedError

    def linearize_output(self, x: Array, now: Level) -> tuple[Array, Pull]:
        """(F, pull) with pull(u) = uᵀ ∂F/∂x."""
        raise NotImplementedError

    def __call__(self, x: Array, t: Any) -> Array:
        """ε̂, (B, D)."""
        return self._answer(to_eps, x, t)

    def x0(self, x: Array, t: Any) -> Array:
        """x̂_0, (B, D)."""
        return self._answer(to_x0, x, t)

    def linearize(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(ε̂, pull) with pull(u) = uᵀ ∂ε̂/∂x."""
        return self._linearized(to_eps, x, t)

    def linearize_x0(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """(x̂_0, pull) with pull(u) = uᵀ ∂x̂_0/∂x."""
        return self._linearized(to_x0, x, t)

    def _answer(self, rule: Callable, x: Array, t: Any) -> Array:
        now = self.process.at(t, like=x)
        a, b = rule(self.prediction, now, self.sigma_data)
        return a * x + b * self.output(x, now)

    def _linearized(self, rule: Callable, x: Array, t: Any) -> tuple[Array, Pull]:
        now = self.process.at(t, like=x)
        a, b = rule(self.prediction, now, self.sigma_data)
        y, pull = self.linearize_output(x, now)
        return a * x + b * y, lambda u: a * u + pull(b * u)


class FunctionDenoiser(FromPrediction):
    """A function of x and t as a denoiser; see `as_denoiser`."""

    def __init__(
        self, f: Callable, process: Process, dim: int, prediction: Prediction, pull: Any, like: Array,
        sigma_data: float,
    ) -> None:  # fmt: skip
        super().__init__(process, dim, prediction, like, sigma_data)
        self.f, self.pull = f, pull

    def output(self, x: Array, now: Level) -> Array:
        """F(x, t), (B, D)."""
        return as_answer(self.f(x, _times(x, now)), x)

    def linearize_output(self, x: Array, now: Level) -> tuple[Array, Pull]:
        """(F, pull), where there is a pull."""
        check_pull(self.pull)
        return self.output(x, now), lambda u: self.pull(x, _times(x, now), u)


def _times(x: Array, now: Level) -> Array:
    """The time of each row, (B,), of the kind of x."""
    return cast(np.broadcast_to(now.t, x.shape[:1]), x)


def as_denoiser(
    f: Callable[[Array, Array], Array], process: Process, *, dim: int, prediction: Prediction = "eps",
    pull: Callable[[Array, Array, Array], Array] | None = None, like: Array | None = None, sigma_data: float = 1.0,
) -> Denoiser:  # fmt: skip
    """Your own function, or another library's network, as a denoiser for every sampler, bound and measure.

    Parameters
    ----------
    f : callable
        f(x, t) for x (B, D) and the time of each row t (B,), both of the kind of `like`, gives F (B, D).
    process : Process
        The process that it was made for.
    dim : int
        The number D of coordinates.
    prediction : {"eps", "x0", "v", "score", "edm"}
        What F is.
    pull : callable, optional
        pull(x, t, u) = uᵀ ∂F/∂x for each row, (B, D). Likelihoods need it, samplers do not.
    like : array (0, D), optional
        Carries the library, dtype and device that f computes with; NumPy's float64 unless given.
    sigma_data : float
        The standard deviation of the data that "edm" was made for.

    Returns
    -------
    Denoiser
        With `x0`, and with `linearize` where there is a pull.

    Raises
    ------
    TypeError, ValueError
        For a process that is none, another prediction, or a sigma_data that is not over 0; when it is called, for an F
        of another shape or library.

    Examples
    --------
    >>> import tinydiff as td
    >>> process = td.VP()
    >>> noise_in_noise = td.as_denoiser(lambda x, t: process.at(t, like=x).sigma * x, process, dim=2)
    >>> td.sample(noise_in_noise, 4, rng=0).shape
    (4, 2)
    """
    check_kind("f", f, Callable, "a function of x and t")
    like = np.empty((0, dim)) if like is None else like
    return FunctionDenoiser(f, process, dim, prediction, pull, like, sigma_data)


def score(model: Denoiser, x: Array, t: Any) -> Array:
    """The score of a model, its ∇_x log q_t(x) ≈ −ε̂/σ.

    Parameters
    ----------
    model : Denoiser
        Exact or learned.
    x : (B, D)
        Points.
    t : float, (B,) or Level
        A time over 0, or one for each row.

    Returns
    -------
    (B, D)
        The gradient of the log-density, in nats per unit of x.

    Raises
    ------
    ValueError
        For times outside [0, 1], and at t = 0.

    References
    ----------
    Song et al. 2021 (score SDE), §3; Vincent 2011.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> standard_normal = td.GaussianMixture([1.0], [[0.0]], [[[1.0]]])
    >>> td.score(td.Oracle(standard_normal, td.VP()), np.array([[0.5]]), 0.3).round(12)
    array([[-0.5]])
    """
    now = model.process.at(t, like=x)
    check_noise(now, "take a later time")
    return -model(x, now) / now.sigma


class Wrapper(Denoiser):
    """A denoiser made from another, `model`, whose process, dim and like it has."""

    def __init__(self, model: Denoiser) -> None:
        check_denoiser(model)
        self.model = model
        self.process, self.dim, self.like, self.chunk = model.process, model.dim, model.like, model.chunk

    def rows(self, rows: slice) -> Self:
        """The same for some rows of a batch."""
        model = self.model.rows(rows)
        return self if model is self.model else changed(self, model=model)


class Counting(Wrapper):
    """The same denoiser, counting in `nfe` how often it is called.

    A linearization is one call, however often it is pulled; a batch that is cut into chunks of rows is a call for each.
    Conditioned by `given`, it counts from 0.

    Parameters
    ----------
    model : Denoiser
        The denoiser to count.

    Examples
    --------
    >>> import tinydiff as td
    >>> model = td.Counting(td.Oracle(td.toys.ring8(), td.VP()))
    >>> x = td.sample(model, 10, steps=7, rng=0)
    >>> model.nfe
    7
    """

    def __init__(self, model: Denoiser) -> None:
        super().__init__(model)
        self._count = [0]  # the rows of a counted model count here too

    @property
    def nfe(self) -> int:
        """The number of evaluations so far."""
        return self._count[0]

    def given(self, labels: Array) -> "Counting":
        """The conditioned model, counting from 0."""
        return Counting(self.model.given(labels))

    def __call__(self, x: Array, t: Any) -> Array:
        """The model's ε̂, counted."""
        self._count[0] += 1
        return self.model(x, t)

    def x0(self, x: Array, t: Any) -> Array:
        """The model's x̂_0, counted."""
        self._count[0] += 1
        return self.model.x0(x, t)

    def linearize(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """The model's linearization, counted once."""
        self._count[0] += 1
        return self.model.linearize(x, t)

    def linearize_x0(self, x: Array, t: Any) -> tuple[Array, Pull]:
        """The model's linearization of x̂_0, counted once."""
        self._count[0] += 1
        return self.model.linearize_x0(x, t)


def check_same_process(**models: Denoiser) -> None:
    """Raise a ValueError unless two models agree in process and dim, with both named."""
    (name, one), (other_name, other) = models.items()
    if one.dim != other.dim:
        raise ValueError(f"{name} and {other_name} must agree in dim; got {one.dim} and {other.dim}.")
    if not same_process(one.process, other.process):
        raise ValueError(f"{name} and {other_name} must be of one process; got {one.process} and {other.process}.")


def check_denoiser(model: Any, name: str = "model") -> None:
    """Raise a TypeError unless the model is a denoiser."""
    check_kind(name, model, Denoiser, "a Denoiser (an Oracle, what td.fit gives, as_denoiser)")
