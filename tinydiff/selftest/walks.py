"""The core suite, its second half: samplers, bounds, likelihoods and measures; the pieces are as in `core`."""

from functools import partial
from operator import attrgetter, itemgetter

import numpy as np

import tinydiff as td
from tinydiff.selftest.core import (
    LABELS,
    MIXTURE,
    NETWORK,
    OF_POINTS,
    POINTS,
    PROCESS,
    PROCESSES,
    THETA,
    Entries,
    To,
    X,
    Y,
    last,
    models,
    seeded,
    then,
)

ZERO, END = (td.grids.log_snr(PROCESS, 4, to_zero=flag) for flag in (True, False))


def samplers(to: To) -> Entries:
    """Every sampler on every kind of denoiser, and on a chain and a few other processes."""
    x, y = to(X), to(Y)
    mask, masks = np.array([True, False]), to(np.arange(10).reshape(5, 2) % 3 == 0)
    ends, loose = [PROCESS.t_max, PROCESS.t_min], {"rtol": 0.01, "atol": 0.01}
    for name, model in models(to).items():
        yield f"{name} ddpm", last(td.ddpm, model, PROCESS, x, ZERO, rng=seeded())
        yield f"{name} ddim", last(td.ddim, model, PROCESS, x, ZERO, rng=seeded(), eta=0.5)
        yield f"{name} dpm_solver_pp_2m", last(td.dpm_solver_pp_2m, model, PROCESS, x, ZERO)
        yield f"{name} edm_heun", last(td.edm_heun, model, PROCESS, x, ZERO, rng=seeded(), churn=2.0)
        yield f"{name} euler_maruyama", last(td.euler_maruyama, model, PROCESS, x, END, rng=seeded(), lam=0.7)
        path = td.brownian_path(seeded(), x, END)
        yield f"{name} brownian_path", last(td.euler_maruyama, model, PROCESS, x, END, noise=path)
        yield f"{name} predictor_corrector", last(td.predictor_corrector, model, PROCESS, x, END, rng=seeded())
        for method in ("euler", "heun", "rk4"):
            yield f"{name} {method}", last(td.probability_flow, model, PROCESS, x, END, method=method)
        yield f"{name} inpaint", last(td.inpaint, model, PROCESS, x, ZERO, y, mask, resamples=2, rng=seeded())
        yield f"{name} inpaint each", last(td.inpaint, model, PROCESS, x, ZERO, y, masks, rng=seeded())
    for name in ("network", "oracle"):
        model = models(to)[name]
        yield f"{name} rk45", last(td.probability_flow, model, PROCESS, x, ends, method="rk45", **loose)
        yield f"{name} decode", partial(td.decode, model, PROCESS, x, **loose)
        yield f"{name} encode", partial(td.encode, model, PROCESS, x, rtol=0.1, atol=0.1)
    yield "interpolate", partial(td.interpolate, x, y, 0.3)
    network = td.NetworkDenoiser(NETWORK, to(THETA), PROCESS)
    yield "sample", partial(td.sample, network, PROCESS, 6, steps=3, rng=seeded())
    for name in ("VE", "Straight", "Discrete"):
        process = PROCESSES[name]
        model, ts = td.NetworkDenoiser(NETWORK, to(THETA), process), td.grids.log_snr(process, 4, to_zero=True)
        yield f"ddpm on {name}", last(td.ddpm, model, process, x, ts, rng=seeded(), variance="beta")
        yield f"dpm_solver_pp_2m on {name}", last(td.dpm_solver_pp_2m, model, process, x, ts)


def bounds(to: To) -> Entries:
    """The ELBO, log-densities along paths, and likelihoods of the flow."""
    x, noise = to(X), to(np.random.default_rng(1).standard_normal((4, 5, 2)))
    levels = to(np.rint((np.clip(X, -1, 1) + 1) * 127.5) / 127.5 - 1)
    probes = to(np.array([[1.0, -1.0], [1.0, 1.0], [-0.3, 2.0]]))
    for name, model in models(to).items():
        bound = partial(td.elbo, model, PROCESS)
        yield f"{name} elbo", partial(bound, x, ZERO, seeded(), variance=np.full(4, 0.1))
        of_noise = partial(bound, x, ZERO, noise=noise, variance="beta")
        yield f"{name} elbo of noise, bits", then(attrgetter("bits_per_dim"), of_noise)
        yield (
            f"{name} elbo of bins, nats",
            then(attrgetter("nats"), partial(bound, levels, ZERO, seeded(), decoder="bins")),
        )
        walk = td.forward_path(PROCESS, x, ZERO, seeded())
        yield f"{name} path_log_ratio", partial(td.path_log_ratio, model, PROCESS, walk, ZERO)
        yield f"{name} log_likelihood", partial(td.log_likelihood, model, PROCESS, x, steps=3)
        estimate = partial(td.hutchinson_log_likelihood, model, PROCESS, x, steps=3)
        yield f"{name} hutchinson", then(itemgetter(0), partial(estimate, probes=probes))
        if name != "points":  # where the flow is stiff and the probes agree, rounding decides the error
            yield f"{name} hutchinson with its error", partial(estimate, probes=2, rng=seeded())
    yield (
        "optimal_variances",
        lambda: tuple(td.optimal_variances(td.Oracle(MIXTURE, PROCESS), PROCESS, x, ZERO, seeded()).tolist()),
    )
    network = td.NetworkDenoiser(NETWORK, to(THETA), PROCESS)
    yield "kl_from_truth", partial(td.kl_from_truth, network, PROCESS, MIXTURE, n=5, steps=3, rng=seeded())


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
