"""The denoiser made from a network: what it sees of x_t, and how its answer becomes ε̂ and x̂_0.

Shapes: B rows, D coordinates; x (B, D), labels (B,) or one for all.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from tinydiff import checks
from tinydiff.backend import Array, cast, namespace
from tinydiff.denoisers import FromPrediction, Pull
from tinydiff.learned.network import Network
from tinydiff.learned.parts import each, even_parts
from tinydiff.processes import LOG_SNR_END, Level, Process


def network_inputs(x: Array, now: Level, sigma_data: float = 1.0) -> tuple[Array, Array]:
    """What a network sees: x/√(α² σ_data² + σ²) (B, D), of unit variance, and the clipped λ, (1|B,).

    Training and sampling both come through here, so that they cannot disagree.
    """
    lam = cast(np.clip(now.host.log_snr, -LOG_SNR_END, LOG_SNR_END), x)
    return input_scale(now, sigma_data) * x, namespace(x).reshape(lam, (-1,))


def input_scale(now: Level, sigma_data: float = 1.0) -> Any:
    """1/√(α² σ_data² + σ²), by which a network sees its points: EDM's c_in/α."""
    return ((sigma_data * now.alpha) ** 2 + now.sigma**2) ** -0.5


class NetworkDenoiser(FromPrediction):
    """The denoiser of a trained network, which answers ε̂ = a x + b F and x̂_0 = a′ x + b′ F.

    Parameters
    ----------
    network : TimeMLP, Mixer or another Network
        The network, with an output for each coordinate.
    theta : (size,)
        Its parameters; the library, dtype and device of the denoiser are theirs.
    process : Process
        The process that it was trained under.
    labels : (B,) or int, optional
        The class of each row, or one for all, −1 for none; `given` sets it.
    threads : int
        How many threads work on the parts of a batch that is too large for one; their number changes no bit.

    Raises
    ------
    TypeError, ValueError
        For parameters, labels or a process that do not fit the network.

    Examples
    --------
    >>> import numpy as np, tinydiff as td
    >>> network = td.TimeMLP(2, width=8, blocks=1)
    >>> model = td.NetworkDenoiser(network, network.init(np.random.default_rng(0)), td.VP())
    >>> model(np.ones((3, 2), np.float32), 0.5).shape
    (3, 2)
    """

    def __init__(self, network: Network, theta: Array, process: Process, labels: Any = None, threads: int = 1) -> None:
        checks.check_theta(network.size, theta)
        checks.check_denoising(network)
        like = namespace(theta).reshape(theta[:0], (0, network.dim))
        super().__init__(process, network.dim, network.prediction, like, network.sigma_data)
        self.network, self.theta, self.threads = network, theta, checks.as_count("threads", threads)
        self.labels = checks.as_conditions(labels, network.classes)

    def given(self, labels: Any) -> Self:
        """The same network conditioned on labels: (B,), or one for all rows; −1 is no condition."""
        return type(self)(self.network, self.theta, self.process, labels, self.threads)

    def rows(self, rows: slice) -> Self:
        """The same for some rows of a batch, which its labels follow."""
        return self if self.labels is None or len(self.labels) == 1 else self.given(self.labels[rows])

    def output(self, x: Array, now: Level) -> Array:
        """F, (B, D), some rows at a time."""
        parts = even_parts(x.shape[0], self.network.rows)
        if len(parts) == 1:
            return self._forward(x, now)[0]

        def answer(rows: slice) -> Array:
            return self.rows(rows)._forward(x[rows, :], now[rows])[0]

        return namespace(x).concat(each(answer, parts, self.threads))

    def linearize_output(self, x: Array, now: Level) -> tuple[Array, Pull]:
        """(F, pull) with pull(u) = uᵀ ∂F/∂x."""
        y, pullback = self._forward(x, now)
        return y, lambda u: input_scale(now, self.sigma_data) * pullback(u)

    def _forward(self, x: Array, now: Level) -> tuple[Array, Callable]:
        checks.check_rows("labels", 1 if self.labels is None else len(self.labels), x.shape[0])
        return self.network(self.theta, *network_inputs(x, now, self.sigma_data), self.labels)
