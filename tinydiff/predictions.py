"""The same answer has five names: what a network may predict, and how to read ε̂ and x̂_0 from it.

Each is an affine function of the others at a given x = α x_0 + σ ε:

    prediction    its target            noise ε̂                     data x̂_0
    eps           ε                     F                           (x − σF)/α
    x0            x_0                   (x − αF)/σ                  F
    v             (αε − σx_0)/n         (σx + αnF)/n²               (αx − σnF)/n²,    n = √(α² + σ²)
    score         −ε/σ                  −σF                         (x + σ²F)/α
    edm           (σx_0 − αd²ε)/(dm)    (σx − αdmF)/m²              (αd²x + σdmF)/m²,   m = √(α²d² + σ²)

"v" is Salimans & Ho's [2022], whose n is 1; divided by n it has unit variance on every process where the data have.
"edm" is the preconditioning of Karras et al. [2022, Table 1] for data of standard deviation d, σ_data: F has unit
variance, and is −v where d = 1. In their letters, with the noise level s = σ/α of x/α, it is

    x̂_0 = c_skip x/α + c_out F,    c_skip = d²/(s² + d²),    c_out = s d/√(s² + d²)        [their 7]

The score row holds Tweedie's formula. Where α is near 0 only x0, "v" and "edm" can carry x̂_0, and where σ is near 0
only eps, "v", "edm" and score can carry ε̂. A network has `sigma_data` as a field beside its prediction, since that is
the scale of its inputs as well; the four others do not depend on it.

Shapes: x, eps, x0, F (B, D); `now` is the level of x, with columns where each row has its own time.
"""

from typing import Any, Literal, get_args

from tinydiff.backend import Array
from tinydiff.checks import check_choice, check_columns, check_noise, check_signal
from tinydiff.processes import Level

Prediction = Literal["eps", "x0", "v", "score", "edm"]


def check_prediction(prediction: str) -> None:
    """Raise a ValueError unless the prediction is one of the five."""
    check_choice("prediction", prediction, get_args(Prediction))


def target(prediction: Prediction, x0: Array, eps: Array, now: Level, sigma_data: float = 1.0) -> Array:
    """What a network of this prediction should output, (B, D): the table's second column."""
    check_prediction(prediction)
    check_columns(now)
    if prediction == "eps":
        return eps
    if prediction == "x0":
        return x0
    if prediction == "v":
        return (now.alpha * eps - now.sigma * x0) / (now.alpha**2 + now.sigma**2) ** 0.5
    if prediction == "edm":
        return (now.sigma * x0 - now.alpha * sigma_data**2 * eps) / (sigma_data * spread(now, sigma_data))
    check_noise(now, "take a later time")
    return -eps / now.sigma


def to_eps(prediction: Prediction, now: Level, sigma_data: float = 1.0) -> tuple[Any, Any]:
    """(a, b) with ε̂ = a x + b F: the table's third column; ValueError where it divides by 0.

    b² is the factor from F's squared error to ε̂'s.
    """
    check_prediction(prediction)
    alpha, sigma = now.alpha, now.sigma
    if prediction == "eps":
        return 0.0, 1.0
    if prediction == "x0":
        check_noise(now, "let the network predict eps or v")
        return 1 / sigma, -alpha / sigma
    if prediction == "v":
        return sigma / (alpha**2 + sigma**2), alpha / (alpha**2 + sigma**2) ** 0.5
    if prediction == "edm":
        m = spread(now, sigma_data)
        return sigma / m**2, -alpha * sigma_data / m
    return 0.0, -sigma


def to_x0(prediction: Prediction, now: Level, sigma_data: float = 1.0) -> tuple[Any, Any]:
    """(a, b) with x̂_0 = a x + b F: the table's last column; ValueError where α < 1e-8 and it divides by α."""
    check_prediction(prediction)
    alpha, sigma = now.alpha, now.sigma
    if prediction == "x0":
        return 0.0, 1.0
    if prediction == "v":
        return alpha / (alpha**2 + sigma**2), -sigma / (alpha**2 + sigma**2) ** 0.5
    if prediction == "edm":
        m = spread(now, sigma_data)
        return alpha * sigma_data**2 / m**2, sigma * sigma_data / m
    check_signal(now, "let the network predict x0 or v, or begin at a smaller time")
    return 1 / alpha, (-sigma if prediction == "eps" else sigma**2) / alpha


def spread(now: Level, sigma_data: float = 1.0) -> Any:
    """√(α² σ_data² + σ²), the standard deviation of x_t where the data have σ_data."""
    return ((sigma_data * now.alpha) ** 2 + now.sigma**2) ** 0.5


def eps_from_x0(x: Array, x0: Array, now: Level) -> Array:
    """ε = (x − α x_0)/σ; ValueError at t = 0."""
    check_columns(now)
    check_noise(now, "there is no noise to find in data")
    return (x - now.alpha * x0) / now.sigma


def x0_from_eps(x: Array, eps: Array, now: Level) -> Array:
    """x_0 = (x − σ ε)/α [DDPM 15]; ValueError where α < 1e-8."""
    check_columns(now)
    check_signal(now, "take x0 from the model itself, or begin at a smaller time")
    return (x - now.sigma * eps) / now.alpha


def v_from_x0_eps(x0: Array, eps: Array, now: Level) -> Array:
    """(α ε − σ x_0)/√(α² + σ²), which Salimans & Ho [2022] call v; their root is 1."""
    return target("v", x0, eps, now)
