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
        threads: Threads of a forest, which does not depend on them; boosted trees take those that OpenMP gives, see
            :func:`cropflow.models.baselines.boosting.fit_boosted`.
    """
    if isinstance(settings, GradientBoosting):
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            learning_rate=settings.learning_rate,
            max_iter=settings.iterations,
            max_leaf_nodes=settings.leaves,
            min_samples_leaf=settings.minimum_leaf,
            l2_regularization=settings.l2,
            class_weight=None if settings.class_weights == "none" else settings.class_weights,
            # Left to itself, it would hold back neighbours of the pixels it learns from.
            early_stopping=False,
            random_state=seed,
        )
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=settings.trees,
        max_depth=settings.max_depth,
        min_samples_leaf=settings.minimum_leaf,
        random_state=seed,
        n_jobs=threads,
    )
