"""Gaussian classes with missing features: each class is a few weighted Gaussians, absent features are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Components:
    """Gaussians of all classes.

    Attributes:
        owner: Class of each component, ``(component,)``.
        log_weight: Log of prior of the class times share of the component, ``(component,)``.
        mean: ``(component, feature)``.
        covariance: ``(component, feature, feature)``.
    """

    owner: NDArray[np.int64]
    log_weight: Float64
    mean: Float64
    covariance: Float64


def fit(
    features: Float64, component: NDArray[np.int64], owner: NDArray[np.int64], log_prior: Float64, shrinkage: float
) -> Components:
    """Fit one Gaussian per component, its covariance drawn towards the mean one.

    Args:
        features: ``(sample, feature)``, none missing.
        component: Component of each sample.
        owner: Class of each component; every component has samples.
        log_prior: Log prior of each class.
        shrinkage: Share of the mean covariance within components, 0 to 1.

    Source:
        Friedman (1989), regularised discriminant analysis, https://doi.org/10.1080/01621459.1989.10478752.
    """
    count = np.bincount(component, minlength=owner.size).astype(float)
    mean = np.stack([features[component == index].mean(axis=0) for index in range(owner.size)])
    own = np.stack([np.cov(features[component == index].T, bias=True) for index in range(owner.size)]).reshape(
        owner.size, features.shape[1], features.shape[1]
    )
    pooled = np.tensordot(count / count.sum(), own, axes=1)
    covariance = (1 - shrinkage) * own + shrinkage * pooled
    # Reflectance is stored in steps of 0.0001: no direction is narrower than a few of them.
    covariance += np.eye(features.shape[1]) * (4e-8 + 1e-3 * np.trace(pooled) / features.shape[1])
    share = count / np.bincount(owner, count)[owner]
    return Components(owner, log_prior[owner] + np.log(share), mean, covariance)


def classify(components: Components, features: Float64) -> NDArray[np.int64]:
    """The most probable class of each sample, ``(sample,)``.

    Args:
        components: The fitted classes.
        features: ``(sample, feature)``; NaN = missing. A sample without any feature gets the class of highest prior.
    """
    classes = int(components.owner.max()) + 1
    result = np.empty(len(features), np.int64)
    patterns, which = np.unique(~np.isnan(features), axis=0, return_inverse=True)
    for index, present in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == index)
        density = _log_density(components, features[np.ix_(rows, np.flatnonzero(present))], present)
        score = np.full((len(rows), classes), -np.inf)
        for column, owner in enumerate(components.owner):
            score[:, owner] = np.logaddexp(score[:, owner], density[:, column])
        result[rows] = score.argmax(axis=1)
    return result


def _log_density(components: Components, features: Float64, present: NDArray[np.bool_]) -> Float64:
    """Log of weight times density of each component, up to a constant, ``(sample, component)``."""
    from scipy.linalg import solve_triangular

    chosen = np.flatnonzero(present)
    result = np.tile(components.log_weight, (len(features), 1))
    if chosen.size == 0:
        return result
    roots = np.linalg.cholesky(components.covariance[:, chosen[:, None], chosen[None, :]])
    for index, root in enumerate(roots):
        away = solve_triangular(root, (features - components.mean[index, chosen]).T, lower=True, check_finite=False)
        result[:, index] -= 0.5 * (away**2).sum(axis=0) + np.log(np.diagonal(root)).sum()
    return result
