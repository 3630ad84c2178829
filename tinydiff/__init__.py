"""tinydiff: denoising diffusion from scratch in NumPy, checked against exact truth.

A process gives α(t) and σ(t) of x_t = α x_0 + σ ε. A denoiser, exact or learned, answers "what noise is in x at t?" for
its process. Samplers, likelihoods and metrics take a denoiser, and never ask which kind it is.

    import tinydiff as td

    data  = td.toys.ring8()                    # a mixture: its density is known exactly
    model = td.fit(data, rng=0)                # an MLP with hand-written backprop, trained: a denoiser
    x     = td.sample(model, 2000, rng=1)      # from noise to data
    td.kl_from_truth(model, data, rng=2)       # KL(data ‖ model) in nats, against the exact density

Importing this needs NumPy and array-api-compat alone; matplotlib is imported when a figure is drawn.
"""

from tinydiff import backend, denoisers, grids, plotting, predictions
from tinydiff.app import checkpoint, parallel, weights
from tinydiff.app.images import load_pictures
from tinydiff.app.parallel import data_parallel
from tinydiff.app.read import load_points
from tinydiff.datasets import mnist, toys
from tinydiff.datasets.mnist import load_mnist
from tinydiff.datasets.points import Dataset
from tinydiff.denoisers import Counting, Denoiser, as_denoiser, score
from tinydiff.evaluation import score_matching
from tinydiff.evaluation.elbo import ElboTerms, elbo, forward_path, optimal_variances, path_log_ratio
from tinydiff.evaluation.likelihood import hutchinson_log_likelihood, kl_from_truth, log_likelihood
from tinydiff.evaluation.metrics import (
    against_truth,
    class_agreement,
    classifier_test,
    denoising,
    energy_distance,
    frechet_distance,
    memorisation,
    mmd,
    mode_coverage,
    nearest,
    sliced_w2,
)
from tinydiff.evaluation.race import race
from tinydiff.exact.mixture import GaussianMixture
from tinydiff.exact.oracle import Oracle
from tinydiff.guidance import AdaptiveProjectedGuidance, Autoguidance, ClassifierFreeGuidance, ClassifierGuidance
from tinydiff.inverse import MeasurementGuidance, inpaint
from tinydiff.learned import couplings, objective
from tinydiff.learned.classifier import Classifier, train_classifier
from tinydiff.learned.denoiser import NetworkDenoiser
from tinydiff.learned.flow_matching import Velocity, flow_matching
from tinydiff.learned.mean_flow import MeanVelocity, mean_flow
from tinydiff.learned.mixer import Mixer
from tinydiff.learned.network import TimeMLP
from tinydiff.learned.optim import Adam, Muon, clip, ema_update, linear_decay
from tinydiff.learned.train import TrainState, fit, last, train
from tinydiff.learned.variances import VarianceDenoiser, VarianceMLP, fit_variances
from tinydiff.processes import (
    VE,
    VP,
    Cosine,
    Discrete,
    Level,
    Process,
    Straight,
    SubVP,
    posterior,
    same_process,
    transition,
)
from tinydiff.sampling import few_steps
from tinydiff.sampling.adams_bashforth import adams_bashforth
from tinydiff.sampling.ddim import ddim, ddim_step
from tinydiff.sampling.ddpm import ddpm, ddpm_step
from tinydiff.sampling.dpm_solver import dpm_solver_2m, dpm_solver_2m_step, dpm_solver_3m
from tinydiff.sampling.edm import edm_heun
from tinydiff.sampling.exponential_euler import exponential_euler
from tinydiff.sampling.flow import flow
from tinydiff.sampling.predictor_corrector import predictor_corrector
from tinydiff.sampling.probability_flow import decode, encode, interpolate, probability_flow
from tinydiff.sampling.reverse_sde import brownian_path, euler_maruyama, euler_maruyama_step
from tinydiff.sampling.sample import sample, trajectory
from tinydiff.sampling.sde_dpm_solver import sde_dpm_solver_2m
from tinydiff.sampling.unipc import unipc

__version__ = "0.2.0"

__all__ = [
    "VE",
    "VP",
    "Adam",
    "AdaptiveProjectedGuidance",
    "Autoguidance",
    "Classifier",
    "ClassifierFreeGuidance",
    "ClassifierGuidance",
    "Cosine",
    "Counting",
    "Dataset",
    "Denoiser",
    "Discrete",
    "ElboTerms",
    "GaussianMixture",
    "Level",
    "MeanVelocity",
    "MeasurementGuidance",
    "Mixer",
    "Muon",
    "NetworkDenoiser",
    "Oracle",
    "Process",
    "Straight",
    "SubVP",
    "TimeMLP",
    "TrainState",
    "VarianceDenoiser",
    "VarianceMLP",
    "Velocity",
    "adams_bashforth",
    "against_truth",
    "as_denoiser",
    "backend",
    "brownian_path",
    "checkpoint",
    "class_agreement",
    "classifier_test",
    "clip",
    "couplings",
    "data_parallel",
    "ddim",
    "ddim_step",
    "ddpm",
    "ddpm_step",
    "decode",
    "denoisers",
    "denoising",
    "dpm_solver_2m",
    "dpm_solver_2m_step",
    "dpm_solver_3m",
    "edm_heun",
    "elbo",
    "ema_update",
    "encode",
    "energy_distance",
    "euler_maruyama",
    "euler_maruyama_step",
    "exponential_euler",
    "few_steps",
    "fit",
    "fit_variances",
    "flow",
    "flow_matching",
    "forward_path",
    "frechet_distance",
    "grids",
    "hutchinson_log_likelihood",
    "inpaint",
    "interpolate",
    "kl_from_truth",
    "last",
    "linear_decay",
    "load_mnist",
    "load_pictures",
    "load_points",
    "log_likelihood",
    "mean_flow",
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
    "posterior",
    "predictions",
    "predictor_corrector",
    "probability_flow",
    "race",
    "same_process",
    "sample",
    "score",
    "score_matching",
    "sde_dpm_solver_2m",
    "sliced_w2",
    "toys",
    "train",
    "train_classifier",
    "trajectory",
    "transition",
    "unipc",
    "weights",
]
