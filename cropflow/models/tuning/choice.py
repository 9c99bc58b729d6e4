"""Which trial is kept: the one that is best on the validation fold."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.models.tuning.search import Trial

COLUMNS = {"loss": "validation_loss", "balanced_accuracy": "validation_balanced_accuracy"}


def read_trial(settings: Path, model: Path, metric: Literal["loss", "balanced_accuracy"]) -> Trial:
    """Read what a trial tried and how it did at its best epoch.

    Args:
        settings: ``settings.json`` of the trial.
        model: Folder of its trained model.
        metric: What is read from ``history.csv``.

    Raises:
        CropflowError: If a file is missing, or the validation fold had nothing to score.
    """
    for path in (settings, model / "model.json", model / "history.csv"):
        if not path.is_file():
            raise CropflowError(f"{path} is missing; expected a trial with its model. Run its models rule.")
    epoch = int(read_json(model / "model.json").get("best_epoch", 1))
    with (model / "history.csv").open(encoding="utf-8", newline="") as handle:
        rows = {int(row["epoch"]): row for row in csv.DictReader(handle)}
    value = rows[epoch][COLUMNS[metric]]
    score = float(value) if value else math.nan
    if math.isnan(score):
        raise CropflowError(
            f"{model} has no {COLUMNS[metric]} at epoch {epoch}; expected a validation fold with usable pixels to "
            "choose by. Use fewer folds or more sites, or leave tuning out."
        )
    return Trial(dict(read_json(settings)["parameters"]), score)


def best(trials: Sequence[Trial], metric: Literal["loss", "balanced_accuracy"]) -> int:
    """Number of the best trial; of equals the first."""
    sign = 1 if metric == "loss" else -1
    return min(range(len(trials)), key=lambda number: (sign * trials[number].score, number))


def table(trials: Sequence[Trial], metric: Literal["loss", "balanced_accuracy"]) -> list[dict[str, Any]]:
    """One row per trial: its number, what it tried, its score, and whether it was chosen."""
    chosen = best(trials, metric)
    return [
        {"trial": number, "parameters": trial.parameters, metric: trial.score, "chosen": number == chosen}
        for number, trial in enumerate(trials)
    ]
