"""The core suite, its second half: samplers, bounds, likelihoods and measures; the pieces are as in `core`."""

from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np

import tinydiff as td
from tinydiff.app.selftest.core import (
    LABELS,
    MIXTURE,
    NETWORK,
    OF_POINTS,
    POINTS,
    PROCESS,
    PROCESSES,
    THETA,
    VARIED,
    Entries,
    S,
    T,
    To,
    X,
    Y,
    Z,
    applied,
    last,
    models,
    seeded,
)
from tinydiff.backend import Array
from tinydiff.sampling.ddim import ddim_step
from tinydiff.sampling.ddpm import ddpm_step
from tinydiff.sampling.dpm_solver import dpm_solver_2m_step
from tinydiff.sampling.predictor_corrector import langevin_step
from tinydiff.sampling.probability_flow import velocity
from tinydiff.sampling.reverse_sde import euler_maruyama_step
from tinydiff.sampling.solvers import euler_step, heun_step, rk4_step

TS = td.grids.even_log_snr(PROCESS, 3)


def samplers(to: To) -> Entries:
    """Every sampler on every kind of denoiser, and on a chain and a few other processes."""
    x, y = to(X), to(Y)
    mask, masks = np.array([True, False]), to(np.arange(10).reshape(5, 2) % 3 == 0)
    ends, loose = [PROCESS.t_max, PROCESS.t_min], {"rtol": 0.01, "atol": 0.01}
    for name, model in models(to).items():
        yield f"{name} ddpm", last(td.ddpm, model, x, TS, rng=seeded())
        yield f"{name} ddim", last(td.ddim, model, x, TS, rng=seeded(), eta=0.5)
        yield f"{name} adams_bashforth", last(td.adams_bashforth, model, x, TS)
        yield f"{name} dpm_solver_2m", last(td.dpm_solver_2m, model, x, TS)
        yield f"{name} dpm_solver_3m", last(td.dpm_solver_3m, model, x, TS)
        yield f"{name} unipc", last(td.unipc, model, x, TS)
        yield f"{name} edm_heun", last(td.edm_heun, model, x, TS, rng=seeded(), churn=2.0)
        yield f"{name} euler_maruyama", last(td.euler_maruyama, model, x, TS, rng=seeded(), eta=0.7)
        yield f"{name} exponential_euler", last(td.exponential_euler, model, x, TS, rng=seeded(), eta=0.7)
        yield f"{name} sde_dpm_solver_2m", last(td.sde_dpm_solver_2m, model, x, TS, rng=seeded(), eta=0.7)
        path = td.brownian_path(seeded(), x, TS)
        yield f"{name} brownian_path", last(td.euler_maruyama, model, x, TS, noise=path)
        yield f"{name} predictor_corrector", last(td.predictor_corrector, model, x, TS, rng=seeded())
        for method in ("euler", "heun", "rk4"):
            yield f"{name} {method}", last(td.probability_flow, model, x, TS, method=method)
        known = {"known": y, "mask": mask, "resamples": 2}
        yield f"{name} inpaint", last(td.inpaint, model, x, TS, rng=seeded(), **known)
        yield f"{name} inpaint each", last(td.inpaint, model, x, TS, known=y, mask=masks, rng=seeded())
    for name in ("network", "oracle"):
        model = models(to)[name]
        yield f"{name} rk45", last(td.probability_flow, model, x, ends, method="rk45", **loose)
        yield f"{name} decode", partial(td.decode, model, x, **loose)
        yield f"{name} encode", partial(td.encode, model, x, rtol=0.1, atol=0.1)
    yield "interpolate", partial(td.interpolate, x, y, 0.3)
    network = td.NetworkDenoiser(NETWORK, to(THETA), PROCESS)
    yield "sample", partial(td.sample, network, 6, steps=3, rng=2)
    yield "trajectory", lambda: tuple(at for _, at in td.trajectory(network, 6, steps=3, rng=2))
    painted = partial(td.inpaint, known=y, mask=masks)
    yield "sample of inpaint", partial(td.sample, network, 5, sampler=painted, steps=3, rng=2)
    for name in ("VE", "Straight", "Discrete"):
        process = PROCESSES[name]
        model, ts = td.NetworkDenoiser(NETWORK, to(THETA), process), td.grids.default(process, 3)
        yield f"ddpm on {name}", last(td.ddpm, model, x, ts, rng=seeded(), variance="beta")
        yield f"dpm_solver_2m on {name}", last(td.dpm_solver_2m, model, x, ts)
        yield f"sample on {name}", partial(td.sample, model, 6, steps=3, rng=2)


def steps(to: To) -> Entries:
    """The steps of the samplers, pure functions of points and levels: of a level for each row, and down to 0, too."""
    x, y, z = to(X), to(Y), to(Z)
    one = PROCESS.at(0.5), PROCESS.at(0.3)
    each = PROCESS.at(T, like=x), PROCESS.at(S, like=x)
    for name, (now, then) in {
        "one level": one,
        "a level for each row": each,
        "to 0": (one[0], PROCESS.at(0.0)),
    }.items():
        yield f"ddpm_step, {name}", partial(ddpm_step, x, y, now, then, z)
        yield f"ddim_step, {name}", partial(ddim_step, x, y, now, then, z, eta=0.5)
        yield f"dpm_solver_2m_step, {name}", partial(dpm_solver_2m_step, x, y, None, None, now, then)
    before = PROCESS.at(0.7)
    yield "dpm_solver_2m_step, the second", partial(dpm_solver_2m_step, x, y, z, before, *one)
    yield "euler_maruyama_step", partial(euler_maruyama_step, x, y, *one, z, eta=0.5)
    yield "langevin_step", partial(langevin_step, x, y, one[0], z, 0.16)
    for step in (euler_step, heun_step, rk4_step):
        yield step.__name__, partial(step, slope, x, 0.5, 0.3)
    yield "velocity of the flow", partial(velocity, td.Oracle(MIXTURE, PROCESS), x, one[0])


def slope(x: Array, t: float) -> Array:
    """An ODE's right-hand side."""
    return t * x


def bounds(to: To) -> Entries:
    """The ELBO, log-densities along paths, and likelihoods of the flow."""
    x, noise = to(X), to(np.random.default_rng(1).standard_normal((4, 5, 2)))
    levels = to(np.rint((np.clip(X, -1, 1) + 1) * 127.5) / 127.5 - 1)
    probes = to(np.array([[1.0, -1.0], [1.0, 1.0], [-0.3, 2.0]]))
    for name, model in models(to).items():
        bound = partial(td.elbo, model)
        yield f"{name} elbo", partial(bound, x, TS, seeded(), variance=np.full(4, 0.1))
        of_noise = partial(bound, x, TS, noise=noise, variance="beta")
        yield f"{name} elbo of noise, bits", applied(attrgetter("bits_per_dim"), of_noise)
        of_bins = partial(bound, levels, TS, seeded(), decoder="bins")
        yield f"{name} elbo of bins, nats", applied(attrgetter("nats"), of_bins)
        walk = td.forward_path(PROCESS, x, TS, seeded())
        yield f"{name} path_log_ratio", partial(td.path_log_ratio, model, walk, TS)
        yield f"{name} log_likelihood", partial(td.log_likelihood, model, x, steps=3)
        estimate = partial(td.hutchinson_log_likelihood, model, x, steps=3)
        yield f"{name} hutchinson", applied(itemgetter(0), partial(estimate, probes=probes))
        if name != "points":  # where the flow is stiff and the probes agree, rounding decides the error
            yield f"{name} hutchinson with its error", partial(estimate, probes=2, rng=seeded())
        yield f"{name} explicit", partial(td.score_matching.explicit, model, td.Oracle(MIXTURE, PROCESS), x, 0.3)
        yield f"{name} implicit", partial(td.score_matching.implicit, model, x, T)
        sliced = partial(td.score_matching.sliced, model, x, 0.3, probes=2)
        yield f"{name} sliced", partial(sliced, seeded())
        yield f"{name} sliced, as first", partial(sliced, seeded(), reduced=False)
        yield f"{name} denoising", partial(td.score_matching.denoising, model, x, T, seeded())
    yield (
        "optimal_variances",
        lambda: tuple(td.optimal_variances(td.Oracle(MIXTURE, PROCESS), x, TS, seeded()).tolist()),
    )
    varied = td.VarianceDenoiser(VARIED, to(THETA[: VARIED.size]), PROCESS)
    learned: dict[str, Any] = {"variance": varied.variance}
    yield "elbo of learned variances", partial(td.elbo, varied, x, TS, seeded(), **learned)
    yield "elbo of bins, learned variances", partial(td.elbo, varied, levels, TS, seeded(), decoder="bins", **learned)
    yield "path_log_ratio, learned variances", partial(td.path_log_ratio, varied, walk, TS, **learned)
    yield "ddpm of learned variances", last(td.ddpm, varied, x, TS, rng=seeded(), **learned)
    network = td.NetworkDenoiser(NETWORK, to(THETA), PROCESS)
    yield "kl_from_truth", partial(td.kl_from_truth, network, MIXTURE, n=5, steps=3, rng=seeded())


def measures(to: To) -> Entries:
    """The metrics, which work on the host and give numbers, from samples there."""
    x, y, points = to(X), to(Y), to(POINTS)
    oracle = td.Oracle(MIXTURE, PROCESS)
    network = td.NetworkDenoiser(NETWORK, to(THETA), PROCESS)
    yield "sliced_w2", partial(td.sliced_w2, x, y, rng=seeded())
    yield "energy_distance", partial(td.energy_distance, x, points)
    yield "mmd", partial(td.mmd, x, points)
    yield "frechet_distance", partial(td.frechet_distance, x, points)
    yield "against_truth", partial(td.against_truth, td.energy_distance, x, y, points)
    yield "memorisation", partial(td.memorisation, points, x, y)
    yield "nearest", lambda: tuple(td.nearest(x, points)[1].tolist())
    yield "mode_coverage", lambda: td.mode_coverage(MIXTURE, points, rng=seeded())[1:]
    yield "class_agreement", lambda: td.class_agreement(oracle.log_p(x, 0.3), to(LABELS % 2))
    yield "denoising of a network", partial(td.denoising, network, oracle, 0.3, n=20, rng=seeded())
    exact = td.Oracle(points, PROCESS, OF_POINTS)
    yield "denoising of points", partial(td.denoising, exact, exact, 0.3, n=20, rng=seeded())
