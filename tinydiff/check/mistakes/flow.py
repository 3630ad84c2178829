"""Mistakes in the drifts of the reverse process, and in its divergence."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import sqrt

from tinydiff.check.laws.flow import hutchinson, probability_flow_drift, reverse_family_drift, reverse_sde_drift

reverse_sde_drift.mistake("the sign of the score", lambda x, beta, score: -0.5 * beta * x + beta * score)
reverse_sde_drift.mistake(
    "½ β before the score: the probability flow's, which has no noise",
    lambda x, beta, score: -0.5 * beta * x - 0.5 * beta * score,
)
reverse_sde_drift.mistake("the ½ before β x dropped", lambda x, beta, score: -beta * x - beta * score)
reverse_sde_drift.mistake("the sign of the whole, for dt > 0", lambda x, beta, score: 0.5 * beta * x + beta * score)
reverse_sde_drift.mistake("β² in place of g² = β", lambda x, beta, score: -0.5 * beta * x - beta**2 * score)
reverse_sde_drift.mistake("g = √β in place of g² = β", lambda x, beta, score: -0.5 * beta * x - sqrt(beta) * score)
reverse_sde_drift.mistake("the forward drift forgotten", lambda x, beta, score: -beta * score)
reverse_sde_drift.mistake("the sign of β x", lambda x, beta, score: 0.5 * beta * x - beta * score)
reverse_sde_drift.mistake("the ½ before the score in place of x", lambda x, beta, score: -beta * x - 0.5 * beta * score)
reverse_sde_drift.mistake("β left out before the score", lambda x, beta, score: -0.5 * beta * x - score)
reverse_sde_drift.mistake("β left out before x", lambda x, beta, score: -0.5 * x - beta * score)
reverse_sde_drift.mistake("the score forgotten: the forward drift", lambda x, beta, score: -0.5 * beta * x)
reverse_sde_drift.mistake("2 β before the score", lambda x, beta, score: -0.5 * beta * x - 2 * beta * score)


probability_flow_drift.mistake(
    "the ½ before the score dropped: the reverse SDE's drift", lambda x, beta, score: -0.5 * beta * x - beta * score
)
probability_flow_drift.mistake("the sign of the score", lambda x, beta, score: -0.5 * beta * x + 0.5 * beta * score)
probability_flow_drift.mistake("both ½ dropped", lambda x, beta, score: -beta * (x + score))
probability_flow_drift.mistake("the sign of the whole", lambda x, beta, score: 0.5 * beta * (x + score))
probability_flow_drift.mistake(
    "g = √β in place of g² = β", lambda x, beta, score: -0.5 * beta * x - 0.5 * sqrt(beta) * score
)
probability_flow_drift.mistake("the forward drift forgotten", lambda x, beta, score: -0.5 * beta * score)
probability_flow_drift.mistake("β left out before the score", lambda x, beta, score: -0.5 * (beta * x + score))
probability_flow_drift.mistake("the sign of β x", lambda x, beta, score: 0.5 * beta * x - 0.5 * beta * score)
probability_flow_drift.mistake("the ½ before β x dropped", lambda x, beta, score: -beta * x - 0.5 * beta * score)
probability_flow_drift.mistake("β² in place of g² = β", lambda x, beta, score: -0.5 * beta * x - 0.5 * beta**2 * score)
probability_flow_drift.mistake("β left out before x", lambda x, beta, score: -0.5 * (x + beta * score))
probability_flow_drift.mistake("β left out", lambda x, beta, score: -0.5 * (x + score))
probability_flow_drift.mistake("the score forgotten", lambda x, beta, score: -0.5 * beta * x)
probability_flow_drift.mistake("the ½ before the score twice", lambda x, beta, score: -0.5 * beta * (x + 0.5 * score))


def family(x: Any, beta: float, score: Any, eta: float, **change: Any) -> Any:
    """The drift, with the factors of β x and of β ∇ ln q changed."""
    of_score = change.get("of_score", lambda eta: -0.5 * (1 + eta**2))(eta)
    return change.get("of_x", -0.5) * beta * x + of_score * change.get("g2", beta) * score


reverse_family_drift.mistake("η in place of η²", lambda *a: family(*a, of_score=lambda eta: -0.5 * (1 + eta)))
reverse_family_drift.mistake(
    "1 − η² in place of 1 + η²", lambda *a: family(*a, of_score=lambda eta: -0.5 * (1 - eta**2))
)
reverse_family_drift.mistake(
    "the ½ before the score dropped", lambda *a: family(*a, of_score=lambda eta: -(1 + eta**2))
)
reverse_family_drift.mistake("½ + η² in place of ½ (1 + η²)", lambda *a: family(*a, of_score=lambda eta: -0.5 - eta**2))
reverse_family_drift.mistake("the noise's part alone, ½ η²", lambda *a: family(*a, of_score=lambda eta: -0.5 * eta**2))
reverse_family_drift.mistake("η forgotten: the flow's drift", lambda *a: family(*a, of_score=lambda eta: -0.5))
reverse_family_drift.mistake("η forgotten: the reverse SDE's drift", lambda *a: family(*a, of_score=lambda eta: -1.0))
reverse_family_drift.mistake(
    "(1 + η)² in place of 1 + η²", lambda *a: family(*a, of_score=lambda eta: -0.5 * (1 + eta) ** 2)
)
reverse_family_drift.mistake(
    "the mean of the two ends by η, not η²", lambda *a: family(*a, of_score=lambda eta: -0.5 - eta / 2)
)
reverse_family_drift.mistake("2 η² in place of η²", lambda *a: family(*a, of_score=lambda eta: -0.5 * (1 + 2 * eta**2)))
reverse_family_drift.mistake("the sign of the score", lambda *a: family(*a, of_score=lambda eta: 0.5 * (1 + eta**2)))
reverse_family_drift.mistake("the sign of β x", lambda *a: family(*a, of_x=0.5))
reverse_family_drift.mistake("the sign of the whole, for dt > 0", lambda *a: -family(*a))
reverse_family_drift.mistake("the ½ before β x dropped", lambda *a: family(*a, of_x=-1.0))
reverse_family_drift.mistake("the forward drift forgotten", lambda *a: family(*a, of_x=0.0))
reverse_family_drift.mistake("the score forgotten", lambda *a: family(*a, of_score=lambda eta: 0.0))
reverse_family_drift.mistake("η² before β x too", lambda *a: family(*a, of_x=-0.5 * (1 + a[3] ** 2)))
reverse_family_drift.mistake("g = √β in place of g² = β", lambda *a: family(*a, g2=sqrt(a[1])))
reverse_family_drift.mistake("β² in place of g² = β", lambda *a: family(*a, g2=a[1] ** 2))
reverse_family_drift.mistake("β left out before the score", lambda *a: family(*a, g2=1.0))
reverse_family_drift.mistake("β left out before x", lambda *a: family(*a, of_x=-0.5 / a[1]))


def probed(vjp: Callable, x: Any, probes: Any) -> Any:
    """vᵀ J v, (P, B, D), before its sums."""
    return np.stack([v * vjp(x, v) for v in probes])


hutchinson.mistake("a sum over the probes in place of a mean", lambda vjp, x, p: probed(vjp, x, p).sum(axis=(0, 2)))
hutchinson.mistake("a mean over the coordinates", lambda vjp, x, p: probed(vjp, x, p).mean(axis=(0, 2)))
hutchinson.mistake(
    "the product with v forgotten: a sum of vᵀ J", lambda vjp, x, p: np.mean([vjp(x, v).sum(axis=1) for v in p], axis=0)
)
hutchinson.mistake("the first probe alone", lambda vjp, x, p: probed(vjp, x, p)[0].sum(axis=1))
hutchinson.mistake("absolute values", lambda vjp, x, p: np.abs(probed(vjp, x, p)).sum(axis=2).mean(axis=0))
hutchinson.mistake("‖vᵀ J‖² in place of vᵀ J v", lambda vjp, x, p: np.mean([np.sum(vjp(x, v) ** 2, 1) for v in p], 0))
hutchinson.mistake("a sum over the batch", lambda vjp, x, p: np.full(len(x), probed(vjp, x, p).sum(2).mean(0).sum()))
hutchinson.mistake("the sign", lambda vjp, x, p: -probed(vjp, x, p).sum(axis=2).mean(axis=0))
hutchinson.mistake(
    "vjp called as vjp(v, x)", lambda vjp, x, p: np.mean([np.sum(v * vjp(v, x), axis=1) for v in p], axis=0)
)
hutchinson.mistake(
    "divided by vᵀ v/D",
    lambda vjp, x, p: np.mean(x.shape[1] * probed(vjp, x, p).sum(axis=2) / np.sum(p**2, axis=2), axis=0),
)
hutchinson.mistake("a mean over the batch", lambda vjp, x, p: np.full(len(x), probed(vjp, x, p).sum(2).mean()))
hutchinson.mistake(
    "the mean of the probes taken for one probe", lambda vjp, x, p: np.sum(p.mean(0) * vjp(x, p.mean(0)), 1)
)
hutchinson.mistake("x in place of v: vᵀ J x", lambda vjp, x, p: np.mean([np.sum(x * vjp(x, v), 1) for v in p], axis=0))
hutchinson.mistake("not summed over the coordinates", lambda vjp, x, p: probed(vjp, x, p).mean(axis=0))
hutchinson.mistake(
    "a sum over the rows in place of the coordinates", lambda vjp, x, p: probed(vjp, x, p).sum(1).mean(0)
)
hutchinson.mistake(
    "the probes ignored: the exact trace",
    lambda vjp, x, p: sum(vjp(x, 0 * x + e)[:, i] for i, e in enumerate(np.eye(x.shape[1]))),
)
