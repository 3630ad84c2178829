"""tinydiff: denoising diffusion from scratch in NumPy, checked against exact truth.

A process gives α(t) and σ(t) of x_t = α x_0 + σ ε. A denoiser, exact or learned, answers "what noise is in x at t?".
Samplers, likelihoods and metrics take a process and a denoiser, and never ask which kind it is.

    import tinydiff as td

Importing this needs NumPy and array-api-compat alone; matplotlib is imported when a figure is drawn.
"""

from tinydiff import backend, denoisers, grids, parallel, plotting
from tinydiff.datasets import mnist, toys
from tinydiff.datasets.mnist import load_mnist
from tinydiff.datasets.points import Dataset, load_points
from tinydiff.denoisers import Denoiser, counting, score
from tinydiff.evaluation.elbo import Elbo, elbo, forward_path, optimal_variances, path_log_ratio
from tinydiff.evaluation.likelihood import hutchinson_log_likelihood, kl_from_truth, log_likelihood
from tinydiff.evaluation.metrics import (
    against_truth,
    class_agreement,
    denoising,
    energy_distance,
    frechet_distance,
    memorisation,
    mmd,
    mode_coverage,
    nearest,
    sliced_w2,
)
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle
from tinydiff.guidance import classifier, classifier_free
from tinydiff.learned import checkpoint, objective
from tinydiff.learned.classifier import Classifier, train_classifier
from tinydiff.learned.network import NetworkDenoiser, TimeMLP
from tinydiff.learned.optim import Adam, clip, cosine_decay, ema_update
from tinydiff.learned.train import TrainState, last, train
from tinydiff.parallel import data_parallel
from tinydiff.processes import SDE, VE, VP, Cosine, Discrete, Process, Straight, SubVP
from tinydiff.sampling import sample
from tinydiff.sampling.ancestral import ddim, ddim_step, ddpm, ddpm_step
from tinydiff.sampling.dpm_solver import dpm_solver_pp_2m
from tinydiff.sampling.edm import edm_heun
from tinydiff.sampling.inpainting import inpaint
from tinydiff.sampling.ode import decode, encode, interpolate, probability_flow
from tinydiff.sampling.stochastic import brownian_path, euler_maruyama, predictor_corrector

backend.keep_freed_memory()

__version__ = "0.1.0"

__all__ = [
    "SDE",
    "VE",
    "VP",
    "Adam",
    "Classifier",
    "Cosine",
    "Dataset",
    "Denoiser",
    "Discrete",
    "Elbo",
    "GaussianMixture",
    "NetworkDenoiser",
    "Oracle",
    "Process",
    "Straight",
    "SubVP",
    "TimeMLP",
    "TrainState",
    "against_truth",
    "backend",
    "brownian_path",
    "checkpoint",
    "class_agreement",
    "classifier",
    "classifier_free",
    "clip",
    "cosine_decay",
    "counting",
    "data_parallel",
    "ddim",
    "ddim_step",
    "ddpm",
    "ddpm_step",
    "decode",
    "denoisers",
    "denoising",
    "dpm_solver_pp_2m",
    "edm_heun",
    "elbo",
    "ema_update",
    "encode",
    "energy_distance",
    "euler_maruyama",
    "forward_path",
    "frechet_distance",
    "grids",
    "hutchinson_log_likelihood",
    "inpaint",
    "interpolate",
    "kl_from_truth",
    "last",
    "load_mnist",
    "load_points",
    "log_likelihood",
    "memorisation",
    "mmd",
    "mnist",
    "mode_coverage",
    "nearest",
    "objective",
    "optimal_variances",
    "parallel",
    "path_log_ratio",
    "plotting",
    "predictor_corrector",
    "probability_flow",
    "sample",
    "score",
    "sliced_w2",
    "toys",
    "train",
    "train_classifier",
]
