"""scikit-learn classifiers on flattened series."""

from __future__ import annotations

from typing import Any

from cropflow.config.models import Baseline
from cropflow.config.models.baselines import GradientBoosting


def build_baseline(settings: Baseline, seed: int, threads: int) -> Any:
    """The scikit-learn classifier of a config section.

    Args:
        settings: Its config section.
        seed: Seed of everything random.
        threads: Threads; the result does not depend on them.
    """
    if isinstance(settings, GradientBoosting):
        raise NotImplementedError
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=settings.trees,
        max_depth=settings.max_depth,
        min_samples_leaf=settings.minimum_leaf,
        random_state=seed,
        n_jobs=threads,
    )
