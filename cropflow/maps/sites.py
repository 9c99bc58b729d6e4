"""Map one site: probabilities by the right models, then ids, confidence and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.evaluation.metrics import class_name, number
from cropflow.evaluation.places import Cube, predicted_pixels
from cropflow.maps.assembly import FoldModel, all_classes, average_folds, out_of_fold
from cropflow.maps.labelling import CONFIDENCE_NODATA, label_pixels, map_type
from cropflow.maps.seams import seams
from cropflow.regions.grid import Grid

if TYPE_CHECKING:
    from cropflow.labels.legend import Legend

M2_PER_HA = 10_000.0
AVERAGE = "mean of all folds"
STORED = "out of fold, from stored predictions"
MODELS = "out of fold, by the models"


@dataclass(frozen=True)
class SiteMap:
    """The map of a site.

    Attributes:
        probability: Probabilities x 10000, 65535 = not predicted, uint16, ``(class, y, x)``.
        classes: Their classes, ids of the legend, ascending.
        crops: Ids of the legend, ``(y, x)``.
        confidence: Percent, 255 = not predicted, uint8, ``(y, x)``.
        how: Which models spoke.
    """

    probability: NDArray[np.uint16]
    classes: tuple[int, ...]
    crops: NDArray[Any]
    confidence: NDArray[np.uint8]
    how: str


def map_site(
    models: Sequence[FoldModel],
    legend: Legend,
    shape: tuple[int, int],
    pixel_fold: NDArray[np.uint8] | None,
    stored: Mapping[int, Cube] | None,
    name: str,
) -> SiteMap:
    """Predict every pixel of a site.

    Args:
        models: One model per fold, in order from fold 0.
        legend: The legend.
        shape: Rows and columns.
        pixel_fold: Fold of each pixel's block, 255 = none, uint8, ``(y, x)``; None where no model learnt here.
        stored: Fold -> stored predictions of its test blocks; None where there are none.
        name: The site in messages.

    Raises:
        CropflowError: If what is predicted are no probabilities.
    """
    if pixel_fold is None:
        probability, how = average_folds(models, np.ones(shape, dtype=bool)), AVERAGE
    else:
        probability, how = out_of_fold(models, pixel_fold, stored), MODELS if stored is None else STORED
    predicted_pixels(probability, f"The map of {name}")
    classes = all_classes(models)
    crops, confidence = label_pixels(probability, classes, *map_type(legend))
    return SiteMap(probability, classes, crops, confidence, how)


def site_summary(
    site: SiteMap,
    grid: Grid,
    legend: Legend,
    pixel_fold: NDArray[np.uint8] | None,
    filled: float | None,
    outside: int | None = None,
) -> dict[str, Any]:
    """Figures of a site's map.

    Args:
        site: Its map.
        grid: Its grid.
        legend: The legend.
        pixel_fold: Fold of each pixel's block, uint8, ``(y, x)``; None where no model learnt here.
        filled: Share of the values behind the map that were interpolated, in [0, 1]; None where no pixel is mapped.
        outside: Pixels outside parcels, of models that give one answer per parcel and none elsewhere.

    Returns:
        ``how``, ``epsg``, ``pixels``, ``not_predicted`` (pixels) and ``not_predicted_share``, ``outside_parcels`` (of
        the pixels not predicted, those that models of parcels leave out; null for other models), ``filled_share`` (of
        mapped pixels times periods), ``hectares`` (per class that occurs: ``id``, ``name``, ``hectares``; pixels
        counted, in UTM), ``mean_confidence_percent``, and ``seams`` between folds, null where one mean of models
        covers the site.
    """
    known = site.confidence != CONFIDENCE_NODATA
    found, pixels = np.unique(site.crops[known], return_counts=True)
    _, nodata = map_type(legend)
    return {
        "how": site.how,
        "epsg": grid.epsg,
        "pixels": known.size,
        "not_predicted": int((~known).sum()),
        "not_predicted_share": number(float((~known).mean())),
        "outside_parcels": outside,
        "filled_share": None if filled is None else number(filled),
        "hectares": [
            {"id": int(crop), "name": class_name(legend, int(crop)), "hectares": hectares(int(count), grid)}
            for crop, count in zip(found, pixels, strict=True)
        ],
        "mean_confidence_percent": number(float(site.confidence[known].mean())) if known.any() else None,
        "seams": seams(site.crops, site.confidence, nodata, pixel_fold) if pixel_fold is not None else None,
    }


def hectares(pixels: int, grid: Grid) -> float:
    """Area of a number of pixels, hectares in the projection."""
    return round(pixels * grid.pixel_m**2 / M2_PER_HA, 4)
