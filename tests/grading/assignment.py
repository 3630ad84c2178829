# %% [markdown]
# # Three exercises
#
# What tests/grading has nbgrader and Otter grade.

# %%
import numpy as np

import tinydiff as td
from tinydiff.check import check

# %% [markdown]
# As in the course, the arguments' names are those of variables too, which tinydiff has made.

# %%
rng = np.random.default_rng(1)
betas = np.linspace(1e-4, 0.02, 10)
x = x0 = td.GaussianMixture(weights=[0.35, 0.65], means=[[-1.5], [0.8]], covariances=[[[0.02]], [[0.15]]]).sample(
    rng, 5
)
for t in range(1, 11):
    eps = rng.standard_normal(x.shape)
    x_t = x = np.sqrt(1 - betas[t - 1]) * x + np.sqrt(betas[t - 1]) * eps


# %%
def q_step(x, t, eps, betas):
    """x_t from x = x_{t−1}: one noising step."""
    ### BEGIN SOLUTION
    beta = betas[t - 1]
    return np.sqrt(1 - beta) * x + np.sqrt(beta) * eps
    ### END SOLUTION


check(q_step)


# %%
def q_sample(x0, t, eps, betas):
    """x_t from x_0 in one jump."""
    ### BEGIN SOLUTION
    left = np.prod(1 - betas[:t])
    return np.sqrt(left) * x0 + np.sqrt(1 - left) * eps
    ### END SOLUTION


check(q_sample)


# %%
def posterior(x_t, x0, t, betas):
    """The pair of mean and variance of q(x_{t−1}|x_t, x_0)."""
    ### BEGIN SOLUTION
    beta, left, left_before = betas[t - 1], np.prod(1 - betas[:t]), np.prod(1 - betas[: t - 1])
    mean = (np.sqrt(1 - beta) * (1 - left_before) * x_t + np.sqrt(left_before) * beta * x0) / (1 - left)
    return mean, beta * (1 - left_before) / (1 - left)
    ### END SOLUTION


check(posterior)
