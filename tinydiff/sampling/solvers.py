"""Steps of solvers for dx/dt = f(x, t), from t to s, in the orders 1, 2 and 4.

Shapes: x (B, D); f(x, t) ↦ (B, D).
"""

from collections.abc import Callable

from tinydiff.backend import Array

Slope = Callable[[Array, float], Array]


def euler_step(f: Slope, x: Array, t: float, s: float) -> Array:
    """x_s = x_t + h f(x_t, t), h = s − t: order 1."""
    return x + (s - t) * f(x, t)


def heun_step(f: Slope, x: Array, t: float, s: float) -> Array:
    """A step along the average of the slopes at both ends of Euler's: order 2."""
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h * k1, s)
    return x + h / 2 * (k1 + k2)


def rk4_step(f: Slope, x: Array, t: float, s: float) -> Array:
    """The classical Runge–Kutta step: order 4."""
    h = s - t
    k1 = f(x, t)
    k2 = f(x + h / 2 * k1, t + h / 2)
    k3 = f(x + h / 2 * k2, t + h / 2)
    k4 = f(x + h * k3, s)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


STEPS = {"euler": euler_step, "heun": heun_step, "rk4": rk4_step}
