"""The whole evaluation of an experiment: all places, all folds, one set of matrices."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.config.base import dump
from cropflow.config.sections import Experiment
from cropflow.errors import CropflowError
from cropflow.evaluation.baseline import majority_confusions
from cropflow.evaluation.confusion import UNITS, level_groups, long_table, scored_ids
from cropflow.evaluation.inputs import Predictions, read_parcels, read_predictions, read_site, site_names
from cropflow.evaluation.intervals import (
    CONFIDENCE_PERCENT,
    RESAMPLES,
    balanced_accuracy_error,
    chance_error,
    parcel_intervals,
)
from cropflow.evaluation.metrics import (
    PARCEL_UNITS,
    VERSION,
    Intervals,
    amount,
    average_metrics,
    class_metrics,
    fold_summaries,
    number,
    without_background,
)
from cropflow.evaluation.outcomes import COLUMNS, parcel_confusions, parcel_outcomes, positions
from cropflow.evaluation.parcels import NONE
from cropflow.evaluation.places import PIXEL_UNITS, SiteScore, score_site
from cropflow.samples.labels import BACKGROUND

if TYPE_CHECKING:
    import pandas

    from cropflow.labels.legend import Legend

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation finds.

    Attributes:
        metrics: Content of ``metrics.json``.
        confusion: Long table of all matrices.
        parcels: One row per scored test parcel.
    """

    metrics: dict[str, Any]
    confusion: pandas.DataFrame
    parcels: pandas.DataFrame


@dataclass(frozen=True)
class _Tested:
    """All places: matrices of the pixel units, pixels without a prediction, test parcels, and parcels read."""

    pixels: NDArray[np.float64]
    not_predicted: NDArray[np.int64]
    parcels: pandas.DataFrame
    counts: dict[str, int]


def evaluate(samples: Mapping[str, Path], stores: Sequence[Path], experiment: Experiment) -> Evaluation:
    """Score an experiment.

    Args:
        samples: Place ``region/season`` -> its sample folder.
        stores: One store of predictions per fold.
        experiment: Settings of the experiment.

    Raises:
        CropflowError: If predictions and samples do not belong together.
    """
    from cropflow.labels.legend import read_legend

    predictions = read_predictions(stores)
    legend = read_legend(predictions[0].legend)
    models = [fold.classes for fold in predictions]
    ids = scored_ids(legend, models)
    tested = _test_places(samples, predictions, ids)
    scored = tested.parcels[tested.parcels["predicted"] != NONE]
    confusions = np.concatenate([tested.pixels, parcel_confusions(scored, ids, len(predictions))], axis=1)
    logger.info(
        "scored %d of %d test parcels and %d of %d labelled test pixels",
        len(scored),
        len(tested.parcels),
        tested.pixels[:, 0].sum(),
        tested.pixels[:, 0].sum() + tested.not_predicted[0],
    )
    baseline = majority_confusions(confusions)
    metrics = {
        "version": VERSION,
        "settings": dump(experiment),
        "legend": predictions[0].legend,
        "metrics": average_metrics(confusions, ids, legend, _intervals(scored, ids, legend, experiment.seed)),
        "classes": class_metrics(confusions, ids, legend, models),
        "baseline": {"majority": average_metrics(baseline, ids, legend)},
        "folds": fold_summaries(confusions, ids, models, experiment.minimum_test_parcels),
        **_chance(confusions[:, UNITS.index("parcel")].sum(axis=0)),
        "interval_method": f"{CONFIDENCE_PERCENT} % percentile interval, bootstrap over parcels, "
        f"{RESAMPLES} resamples; neighbouring parcels are alike, so the true interval is wider",
        "not_predicted": _not_predicted(confusions, tested),
        "counts": tested.counts
        | {
            "test parcels": len(tested.parcels),
            "test parcels scored": len(scored),
            "test pixels scored": int(confusions[:, 0].sum()),
            "test pixels not predicted": int(tested.not_predicted[0]),
        },
    }
    if BACKGROUND in ids:
        metrics["without_background"] = average_metrics(without_background(confusions, ids), ids, legend)
    for fold in metrics["folds"]:
        if fold["warning"]:
            logger.warning(fold["warning"])
    return Evaluation(metrics, long_table(confusions, ids, legend), scored.reset_index(drop=True))


def _test_places(samples: Mapping[str, Path], predictions: Sequence[Predictions], ids: Sequence[int]) -> _Tested:
    import pandas

    pixels = np.zeros((len(predictions), len(PIXEL_UNITS), len(ids), len(ids)))
    not_predicted = np.zeros(len(PIXEL_UNITS), dtype=np.int64)
    outcomes: list[pandas.DataFrame] = []
    counts = {"parcels": 0, "parcels out of scope or unknown": 0, "parcels without fold": 0}
    for place, folder in samples.items():
        region, season = place.split("/")
        table = read_parcels(folder, len(predictions)).assign(region=region, season=season)
        in_scope = table["crop"].isin(ids)
        has_fold = table["fold"] < len(predictions)
        counts["parcels"] += len(table)
        counts["parcels out of scope or unknown"] += int((~in_scope).sum())
        counts["parcels without fold"] += int((in_scope & ~has_fold).sum())
        sites = site_names(folder)
        lost = sorted(set(table["site"]) - set(sites))
        if lost:
            raise CropflowError(
                f"{folder} has parcels but no crops.tif of the site {lost[0]!r}. Build the samples again."
            )
        for site in sites:
            here = table["site"] == site
            for fold, score in _score_folds(folder, place, site, table[here], predictions, ids):
                pixels[fold] += score.confusions
                not_predicted += score.not_predicted
                rows = table[here & in_scope & (table["fold"] == fold)]
                outcomes.append(parcel_outcomes(rows, score.sums, predictions[fold].classes))
        logger.info(
            "tested %s: %d sites, %d parcels with a crop and a fold", place, len(sites), (in_scope & has_fold).sum()
        )
    parcels = pandas.concat(outcomes, ignore_index=True)[list(COLUMNS)]
    return _Tested(
        pixels, not_predicted, parcels.sort_values(["region", "season", "site", "index"], ignore_index=True), counts
    )


def _score_folds(
    folder: Path,
    place: str,
    site: str,
    parcels: pandas.DataFrame,
    predictions: Sequence[Predictions],
    ids: Sequence[int],
) -> list[tuple[int, SiteScore]]:
    region, season = place.split("/")
    truth, grid = read_site(folder, place, site, parcels)
    scores = []
    for fold in predictions:
        found = fold.site(region, season, site)
        if found is None and (truth.folds == fold.fold).any():
            raise CropflowError(
                f"Predictions of fold {fold.fold} lack {place}/{site}, which has pixels of that fold. Predict again."
            )
        if found is not None and found[1] != grid:
            raise CropflowError(
                f"Predictions of fold {fold.fold} on {place}/{site} lie on {found[1]}, the samples on {grid}. "
                "Predict again."
            )
        scores.append((fold.fold, score_site(truth, found[0] if found else None, fold.classes, ids, fold.fold)))
    return scores


def _intervals(scored: pandas.DataFrame, ids: Sequence[int], legend: Legend, seed: int) -> Intervals:
    truth, predicted = positions(scored, ids)
    levels = [
        (groups, len(coarse))
        for coarse, groups in (level_groups(legend, ids, level) for level in range(1, legend.levels + 1))
    ]
    weights = {"parcel": np.ones(len(scored)), "parcel_area": scored["site_area_ha"].to_numpy(dtype=np.float64)}
    return {unit: parcel_intervals(truth, predicted, weights[unit], levels, len(ids), seed) for unit in PARCEL_UNITS}


def _chance(parcels: NDArray[np.float64]) -> dict[str, Any]:
    """What guessing scores, and how far a score of these parcels may stray: both for parcels at the finest level."""
    classes = int((parcels.sum(axis=1) > 0).sum())
    return {
        "chance_balanced_accuracy": number(1 / classes) if classes else None,
        "chance_standard_error_balanced_accuracy": number(chance_error(parcels)),
        "standard_error_balanced_accuracy": number(balanced_accuracy_error(parcels)),
    }


def _not_predicted(confusions: NDArray[np.float64], tested: _Tested) -> dict[str, dict[str, float | int | None]]:
    """What has a label and lies in a test block, but has no prediction: it enters no matrix."""
    lost = tested.parcels[tested.parcels["predicted"] == NONE]
    amounts = [*tested.not_predicted.tolist(), len(lost), float(lost["site_area_ha"].sum())]
    found: dict[str, dict[str, float | int | None]] = {}
    for unit, (name, missing) in enumerate(zip(UNITS, amounts, strict=True)):
        total = float(confusions[:, unit].sum()) + missing
        found[name] = {
            "count": amount(missing),
            "of": amount(total),
            "share": number(missing / total) if total else None,
        }
    return found
