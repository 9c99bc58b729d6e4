"""Boosted trees: how they are fitted, and when that ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cropflow.models.baselines.forest import Pixels

log = logging.getLogger(__name__)


def fit_boosted(model: Any, training: Pixels, validation: Pixels, patience: int | None, threads: int) -> int:
    """Fit boosted trees; what stops them early is the validation fold, never a share of what they learn from.

    Args:
        model: Unfitted ``HistGradientBoostingClassifier``; fitted in place.
        training: What it learns from.
        validation: What its loss is watched on; samples of classes that the training lacks do not count.
        patience: Rounds without a lower loss before it stops; None: never.
        threads: Threads. Sums over samples are shared out among them, hence another number of threads may change the
            last digits.

    Returns:
        Rounds that were run.

    Source:
        Friedman (2001), https://doi.org/10.1214/aos/1013203451, on histograms as in Ke et al. (2017), LightGBM.
    """
    from threadpoolctl import threadpool_limits

    known = np.isin(validation.classes, training.classes)
    watched: dict[str, Any] = {}
    if patience is not None and known.any():
        model.set_params(early_stopping=True, n_iter_no_change=patience)
        watched = {"X_val": validation.features[known], "y_val": validation.classes[known]}
    with threadpool_limits(threads, user_api="openmp"):
        model.fit(training.features, training.classes, **watched)
    log.info("%d of at most %d rounds of boosting", model.n_iter_, model.max_iter)
    return int(model.n_iter_)


def limit_openmp(threads: int) -> None:
    """Let OpenMP take so many threads for work of the calling thread, from now on."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads, user_api="openmp")
