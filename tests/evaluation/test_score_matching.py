"""The forms of score matching agree up to their constants, for any model: by quadrature, and in closed form."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identities.draws import smooth_scenes
from identities.tools import exact_score, gradient, trapezoid
from numpy.testing import assert_allclose, assert_array_equal

import tinydiff as td
from tinydiff.backend import normal_like
from tinydiff.testing import generators, mixtures

form = td.score_matching
VP, NOW = td.VP(), td.VP().at(0.3)
COVARIANCES = [[[0.4, 0.2], [0.2, 0.5]], [[0.3, -0.1], [-0.1, 0.6]]]
PLANE = td.GaussianMixture([0.4, 0.6], [[1.0, 0.3], [-0.8, -0.5]], COVARIANCES)


def nodes(mixture, now):
    """x (M, 2) and weights with Σ w f = E f under q_t, and x_0 and w_0 (M · 9K) with the same for f of x and x_0.

    At a fixed x the second is exact for polynomials in x_0 of degree 5: three nodes along each axis of each component.
    """
    x, w = trapezoid(mixture.diffused(now.alpha, now.sigma), 90)
    z, w_z = np.polynomial.hermite_e.hermegauss(3)
    z, w_z = np.array([*product(z, repeat=2)]), np.prod([*product(w_z / w_z.sum(), repeat=2)], axis=1)
    law = mixture.posterior(x, now.alpha, now.sigma)
    root = law.axes * np.sqrt(law.variances)  # (K, 2, 2)
    x0 = law.centres[:, :, None] + (z @ root.swapaxes(1, 2))[:, None]  # (K, M, 9, 2)
    w_0 = np.exp(law.log_weights)[:, :, None] * w[:, None] * w_z
    return x, w, x0.reshape(-1, 2), w_0.ravel(), np.broadcast_to(x[:, None], x0.shape).reshape(-1, 2)


def network(rng, dim):
    """A random network: right about nothing."""
    net = td.TimeMLP(dim, 8, 1)
    return td.NetworkDenoiser(net, 0.5 * rng.standard_normal(net.size), VP)


WRONG = td.Oracle(PLANE.shifted(np.array([0.3, 0.1])), VP)
OTHERS = {"network": network(np.random.default_rng(0), 2), "wrong law": WRONG}
every_model = pytest.mark.parametrize("model", [*OTHERS.values(), td.Oracle(PLANE, VP)], ids=[*OTHERS, "oracle"])


@every_model
def test_the_means_agree_up_to_their_constants_in_the_plane(model):
    """With E‖s‖² from the density that is written out, and x_0 given x by nodes that are exact for its square."""
    x, w, x0, w_0, x_of_x0 = nodes(PLANE, NOW)
    information = w @ np.sum(exact_score(PLANE, x, NOW.alpha, NOW.sigma) ** 2, axis=1)
    least = w @ form.explicit(model, td.Oracle(PLANE, VP), x, NOW)
    noise = (x_of_x0 - NOW.alpha * x0) / NOW.sigma
    signs = np.array([[1.0, 1.0], [1.0, -1.0]])
    assert_allclose(w @ form.implicit(model, x, NOW), least - information / 2, atol=1e-9)
    assert_allclose(w @ form.sliced(model, x, NOW, probes=signs), least - information / 2, atol=1e-9)
    assert_allclose(w @ form.sliced(model, x, NOW, probes=signs, reduced=False), least - information / 2, atol=1e-9)
    found = w_0 @ form.denoising(model, x0, NOW, noise=noise)
    assert_allclose(found, least + (2 / NOW.sigma**2 - information) / 2, rtol=1e-9)
    assert (least < 1e-20) == (getattr(model, "data", None) is PLANE)


@settings(max_examples=20)
@given(scene=smooth_scenes(mixtures(dims=(1, 2), components=3, finite=False)), wrong=st.booleans(), rng=generators())
def test_implicit_is_explicit_less_the_information_for_any_model_and_law(scene, wrong, rng):
    law, now = scene
    now = VP.at(float(np.clip(VP.time(now.log_snr), 0.05, 0.95)))
    model = network(rng, law.dim)
    if wrong:
        model = td.Oracle(law.shifted(0.2 * rng.standard_normal(law.dim)), VP)
    x, w = trapezoid(law.diffused(now.alpha, now.sigma), 800 if law.dim == 1 else 120)
    information = w @ np.sum(exact_score(law, x, now.alpha, now.sigma) ** 2, axis=1)
    least, size = w @ form.explicit(model, td.Oracle(law, VP), x, now), w @ np.sum(td.score(model, x, now) ** 2, axis=1)
    gap = w @ form.implicit(model, x, now) + information / 2 - least
    assert abs(gap) < 1e-8 * (information + size + 1 / now.sigma**2)


def test_the_least_denoising_is_the_oracles_floor():
    oracle = td.Oracle(PLANE, VP)
    _, _, x0, w_0, x = nodes(PLANE, NOW)
    found = w_0 @ form.denoising(oracle, x0, NOW, noise=(x - NOW.alpha * x0) / NOW.sigma)
    assert_allclose(found, oracle.floor(NOW.t) / NOW.sigma**2, rtol=1e-6)  # ½ D/σ² of it, with D = 2


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_on_noise_all_is_in_closed_form(dim):
    """ŝ = −x: implicit ½‖x‖² − D, sliced ½‖x‖² − ‖u‖², denoising ½‖(α²/σ)ε − αx_0‖²."""
    unit = td.Oracle(td.GaussianMixture([1.0], np.zeros((1, dim)), np.eye(dim)[None]), VP)
    x, eps, u = np.random.default_rng(2).standard_normal((3, 7, dim))
    square = np.sum(x**2, axis=1)
    assert_allclose(form.implicit(unit, x, NOW), square / 2 - dim, rtol=1e-12)
    assert_allclose(form.sliced(unit, x, NOW, probes=u[None]), square / 2 - np.sum(u**2, axis=1), rtol=1e-11)
    first = np.sum(u * x, axis=1) ** 2 / 2 - np.sum(u**2, axis=1)
    assert_allclose(form.sliced(unit, x, NOW, probes=u[None], reduced=False), first, rtol=1e-11)
    apart = NOW.alpha**2 / NOW.sigma * eps - NOW.alpha * x
    assert_allclose(form.denoising(unit, x, NOW, noise=eps), np.sum(apart**2, axis=1) / 2, rtol=1e-11)


@pytest.mark.parametrize("t", [0.3, np.array([0.1, 0.3, 0.5, 0.7])], ids=["one time", "a time for each row"])
@pytest.mark.parametrize("dim", [1, 3])
def test_each_point_has_the_value_that_the_formula_gives(t, dim):
    """With the Jacobian by complex steps."""
    rng = np.random.default_rng(dim)
    model, truth = network(rng, dim), td.Oracle(rng.standard_normal((5, dim)), VP)
    x, eps = rng.standard_normal((2, 4, dim))
    u, sigma = rng.standard_normal((3, 4, dim)), VP.at(t, like=x).sigma
    s, slope = td.score(model, x, t), gradient(lambda x: td.score(model, x, t), x)  # (4, D), (4, D, D)
    along = np.einsum("pbi,bij,pbj->bp", u, slope, u)
    half = np.sum(s**2, axis=1) / 2
    assert_allclose(form.implicit(model, x, t), half + np.trace(slope, axis1=1, axis2=2), rtol=1e-11)
    assert_allclose(form.sliced(model, x, t, probes=u), half + along.mean(axis=1), rtol=1e-11)
    first = np.einsum("pbi,bi->bp", u, s) ** 2 / 2
    assert_allclose(form.sliced(model, x, t, probes=u, reduced=False), (first + along).mean(axis=1), rtol=1e-11)
    apart = s - truth.score(x, t)
    assert_allclose(form.explicit(model, truth, x, t), np.sum(apart**2, axis=1) / 2, rtol=1e-11)
    at = VP.at(t, like=x).perturb(x, eps)
    error = (eps - model(at, t)) / sigma
    assert_allclose(form.denoising(model, x, t, noise=eps), np.sum(error**2, axis=1) / 2, rtol=1e-11)


def test_over_all_signs_the_slices_are_the_whole():
    """Σ uuᵀ = I over the 2^D sign vectors, point by point."""
    rng = np.random.default_rng(4)
    model, x = network(rng, 3), rng.standard_normal((4, 3))
    signs = np.array([*product([-1.0, 1.0], repeat=3)])
    for reduced in (True, False):
        found = form.sliced(model, x, 0.4, probes=signs, reduced=reduced)
        assert_allclose(found, form.implicit(model, x, 0.4), rtol=1e-12)


def test_what_is_drawn_is_the_generators():
    rng = np.random.default_rng(5)
    model, x = network(rng, 2), rng.standard_normal((4, 2))
    drawn = normal_like(np.random.default_rng(1), x, (3, 4, 2))
    for distribution, u in (("gaussian", drawn), ("rademacher", np.sign(drawn))):
        found = form.sliced(model, x, 0.4, 1, probes=3, distribution=distribution)
        assert_array_equal(found, form.sliced(model, x, 0.4, probes=u))
    assert_array_equal(form.sliced(model, x, 0.4, 1), form.sliced(model, x, 0.4, probes=np.sign(drawn[:1])))
    noise = normal_like(np.random.default_rng(1), x)
    assert_array_equal(form.denoising(model, x, 0.4, 1), form.denoising(model, x, 0.4, noise=noise))


def test_a_form_costs_what_the_table_says():
    """One evaluation, and D, P or no pulls."""
    pulled = []

    class Pulled(td.Counting):
        def linearize(self, x, t):
            eps, pull = super().linearize(x, t)
            return eps, lambda u: (pulled.append(u), pull(u))[1]

    x = np.ones((4, 2))
    for value, pulls in (
        (lambda model: form.explicit(model, td.Oracle(PLANE, VP), x, 0.3), 0),
        (lambda model: form.implicit(model, x, 0.3), 2),
        (lambda model: form.sliced(model, x, 0.3, 0, probes=5), 5),
        (lambda model: form.denoising(model, x, 0.3, 0), 0),
    ):
        model = Pulled(OTHERS["network"])
        pulled.clear()
        value(model)
        assert (model.nfe, len(pulled)) == (1, pulls)


@pytest.mark.parametrize("dim", [2, 20])
def test_where_the_variances_grow_on_noise(dim):
    """On N(0, I): D/2 of implicit, as of slices by signs; D²/2 of the first slices; (α/σ)⁴ D/2 of denoising."""
    unit = td.Oracle(td.GaussianMixture([1.0], np.zeros((1, dim)), np.eye(dim)[None]), VP)
    x, t, n = np.random.default_rng(6).standard_normal((20_000, dim)), 0.02, 20_000
    now = VP.at(t)
    for value, var in (
        (form.implicit(unit, x, t), dim / 2),
        (form.sliced(unit, x, t, 1), dim / 2),
        (form.sliced(unit, x, t, 1, distribution="gaussian"), dim / 2 + 2 * dim),
        (form.sliced(unit, x, t, 1, reduced=False), dim**2 / 2),
        (form.denoising(unit, x, t, 1), dim / 2 * (now.alpha / now.sigma) ** 4),
    ):
        kurtosis = np.mean((value - value.mean()) ** 4) / np.var(value) ** 2
        assert abs(np.var(value) / var - 1) < 4 * math.sqrt((kurtosis - 1) / n)
