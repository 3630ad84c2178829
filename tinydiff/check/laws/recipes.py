"""What makes a network better: EDM's coefficients, and Newton and Schulz's iteration."""

from collections.abc import Iterator

import numpy as np

from tinydiff.check.domains import choice, numbers
from tinydiff.check.form import like, scalar
from tinydiff.check.probe import Probe
from tinydiff.check.report import Between
from tinydiff.check.spec import Spec

# ---- edm_coefficients

edm_coefficients = Spec(
    "edm_coefficients(sigma, sigma_data) -> (c_skip, c_out, c_in)",
    "c_skip = σ_data²/(σ² + σ_data²),  c_out = σ σ_data/√(σ² + σ_data²),  c_in = 1/√(σ² + σ_data²)",
    "Karras et al. 2022, EDM, Table 1 and App. B.6",
    (
        numbers("sigma", 1.0, 0.5, 2.0, 0.1, 10.0, least=0.002, most=80),
        numbers("sigma_data", 1.0, 0.5, 2.0, least=0.1, most=3),
    ),
    {"c_skip": scalar, "c_out": scalar, "c_in": scalar},
    about="The denoiser is x̂_0 = c_skip x + c_out F(c_in x) for x = x_0 + σ ε, where F is the network and x_0 has "
    "variance σ_data².",
)


@edm_coefficients.law("what the network sees, c_in x, has variance 1")
def _(f: Probe, sigma: float, sigma_data: float) -> Iterator[tuple]:
    yield f(sigma, sigma_data)[2] * np.hypot(sigma, sigma_data), 1, "c_in times the standard deviation of x"


@edm_coefficients.law("what the network is to say, (x_0 − c_skip x)/c_out, has variance 1")
def _(f: Probe, sigma: float, sigma_data: float) -> Iterator[tuple]:
    c_skip, c_out, _ = f(sigma, sigma_data)
    yield c_out, np.hypot((1 - c_skip) * sigma_data, c_skip * sigma), "c_out, and the deviation of x_0 − c_skip x"


@edm_coefficients.law("no other c_skip leaves less to say: a little more of it and a little less cost the same")
def _(f: Probe, sigma: float, sigma_data: float) -> Iterator[tuple]:
    c_skip = f(sigma, sigma_data)[0]
    more, less = ((1 - c) ** 2 * sigma_data**2 + c**2 * sigma**2 for c in (c_skip + 0.5, c_skip - 0.5))
    yield more, less, "the variance of x_0 − c x, with c a half above c_skip and a half below"


@edm_coefficients.law(
    "where there is hardly noise, x is the answer; where there is nothing else, the network says it all"
)
def _(f: Probe, sigma_data: float) -> Iterator[tuple]:
    c_skip, c_out, _ = f(1e-6, sigma_data)
    yield c_skip, 1, "c_skip at σ = 10⁻⁶"
    yield c_out / 1e-6, 1, "c_out/σ at σ = 10⁻⁶"
    yield f(1e7, sigma_data)[1], sigma_data, "c_out at σ = 10⁷"


@edm_coefficients.law("they have units: with σ and σ_data times 2 c_out doubles, c_in halves and c_skip stays")
def _(f: Probe, sigma: float, sigma_data: float) -> Iterator[tuple]:
    c_skip, c_out, c_in = f(sigma, sigma_data)
    for one, other, name in zip(f(2 * sigma, 2 * sigma_data), (c_skip, 2 * c_out, c_in / 2), NAMES, strict=True):
        yield one, other, f"{name} with σ and σ_data times 2"


NAMES = ("c_skip", "c_out", "c_in")

# ---- newton_schulz

MATRICES = (
    [[1.0]],
    [[-2.0]],
    [[2.0, 0.0], [0.0, 1.0]],
    [[1.0, 1.0], [0.0, 1.0]],
    [[3.0, 0.0, 1.0], [0.0, -1.0, 0.5]],
    [[1.0], [2.0]],
)


def matrices(rng: np.random.Generator) -> tuple:
    """A matrix of any scale whose singular values are not far apart."""
    n, m = rng.integers(1, 5, 2)
    u, _, vt = np.linalg.svd(rng.standard_normal((n, m)), full_matrices=False)
    return (np.round(10 ** rng.uniform(-1, 2) * (u * rng.uniform(0.2, 1, min(n, m))) @ vt, 3),)


newton_schulz = Spec(
    "newton_schulz(m, steps) -> matrix",
    "X ← ½ (3 X − X Xᵀ X), so many times, from X = m/‖m‖",
    "Kovarik 1970; Jordan et al. 2024, Muon",
    (
        choice(("m",), *((np.array(m),) for m in MATRICES), random=matrices),
        choice(("steps",), (1,), (2,), (5,), (0,), random=lambda rng: (int(rng.integers(0, 8)),)),
    ),
    {"matrix": like("m")},
    about="m is (n, k), not 0. It is first divided by a norm that leaves no singular value over 1: Frobenius's, or any "
    "other with the laws. steps counts the cubics, 0 or more.",
)


@newton_schulz.law("the singular vectors stay: in those of m the answer is diagonal")
def _(f: Probe, m: np.ndarray, steps: int) -> Iterator[tuple]:
    u, _, vt = np.linalg.svd(m, full_matrices=False)
    seen = u.T @ f(m, steps) @ vt.T
    yield seen - np.diag(np.diag(seen)), 0, "Uᵀ X V beside its diagonal, with m = U S Vᵀ"


@newton_schulz.law("before the first step m is only scaled, and no singular value is over 1")
def _(f: Probe, m: np.ndarray) -> Iterator[tuple]:
    s, start = np.linalg.svd(m)[1], np.linalg.svd(f(m, 0))[1]
    yield start / start[0], s / s[0], "singular values over the largest, of X before the first step, and of m"
    yield start[0], Between(0.2, 1 + 1e-12), "the largest"


@newton_schulz.law("one more step takes each singular value s to ½ s (3 − s²), which keeps 1")
def _(f: Probe, m: np.ndarray, steps: int) -> Iterator[tuple]:
    u, _, vt = np.linalg.svd(m, full_matrices=False)
    s, more = (np.diag(u.T @ f(m, count) @ vt.T) for count in (steps, steps + 1))
    yield more, s * (3 - s**2) / 2, "after one more step, and ½ s (3 − s²)"


@newton_schulz.law("after many steps all singular values are 1: it is U Vᵀ of m = U S Vᵀ")
def _(f: Probe, m: np.ndarray) -> Iterator[tuple]:
    u, _, vt = np.linalg.svd(m, full_matrices=False)
    yield f(m, 40), u @ vt, "after 40 steps"
    off = np.max(np.abs(np.linalg.svd(f(m, 40))[1] - 1))
    yield -np.log10(max(off, 1e-16)), Between(9, 16), "the digits to which all are 1, after 40 steps"


@newton_schulz.law("the scale of m does not matter, and its sign stays")
def _(f: Probe, m: np.ndarray, steps: int) -> Iterator[tuple]:
    for k in (2.0, -100.0):
        yield f(k * m, steps), np.sign(k) * f(m, steps), f"with m times {k:g}"


@newton_schulz.law("the transpose of m gives the transpose")
def _(f: Probe, m: np.ndarray, steps: int) -> Iterator[tuple]:
    yield f(m.T.copy(), steps).T, f(m, steps), "of mᵀ, and of m"
