"""tinydiff: denoising diffusion from scratch in NumPy, checked against exact truth.

A process gives α(t) and σ(t) of x_t = α x_0 + σ ε. A denoiser, exact or learned, answers "what noise is in x at t?".
Samplers, likelihoods and metrics take a process and a denoiser, and never ask which kind it is.

    import tinydiff as td

Importing this needs NumPy and array-api-compat alone; matplotlib is imported when a figure is drawn.
"""

from tinydiff import backend, denoisers, grids, plotting
from tinydiff.datasets import mnist, toys
from tinydiff.datasets.mnist import load_mnist
from tinydiff.datasets.points import Dataset, load_points
from tinydiff.denoisers import Denoiser, counting, score
from tinydiff.evaluation.likelihood import kl_from_truth, log_likelihood
from tinydiff.evaluation.metrics import denoising, sliced_w2
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle
from tinydiff.guidance import classifier_free
from tinydiff.learned import checkpoint, objective
from tinydiff.learned.network import NetworkDenoiser, TimeMLP
from tinydiff.learned.optim import Adam, clip, cosine_decay, ema_update
from tinydiff.learned.train import TrainState, last, train
from tinydiff.processes import SDE, VE, VP, Cosine, Discrete, Process, Straight, SubVP
from tinydiff.sampling import sample
from tinydiff.sampling.ancestral import ddim, ddim_step, ddpm, ddpm_step
from tinydiff.sampling.ode import probability_flow

__version__ = "0.1.0"

__all__ = [
    "SDE",
    "VE",
    "VP",
    "Adam",
    "Cosine",
    "Dataset",
    "Denoiser",
    "Discrete",
    "GaussianMixture",
    "NetworkDenoiser",
    "Oracle",
    "Process",
    "Straight",
    "SubVP",
    "TimeMLP",
    "TrainState",
    "backend",
    "checkpoint",
    "classifier_free",
    "clip",
    "cosine_decay",
    "counting",
    "ddim",
    "ddim_step",
    "ddpm",
    "ddpm_step",
    "denoisers",
    "denoising",
    "ema_update",
    "grids",
    "kl_from_truth",
    "last",
    "load_mnist",
    "load_points",
    "log_likelihood",
    "mnist",
    "objective",
    "plotting",
    "probability_flow",
    "sample",
    "score",
    "sliced_w2",
    "toys",
    "train",
]
