"""What each fold holds, what it lacks, and how far apart folds lie; and the proof that they share no ground."""

from __future__ import annotations

from typing import Any

import geopandas
import numpy as np
import pandas
import shapely
from numpy.typing import NDArray

from cropflow.config.sections import Folds
from cropflow.samples.blocks import KEY, block_size, boxes
from cropflow.samples.parcels import is_labelled, look_up_folds, place_in_blocks

# A class in fewer blocks cannot be in training, validation and test at once.
FEW_BLOCKS = 3
# Rounding of coordinates along a shared border, square metres.
TOUCH_M2 = 1e-3


def summarise_folds(
    folds: pandas.DataFrame, parcels: pandas.DataFrame, settings: Folds, background: bool
) -> dict[str, Any]:
    """Describe the folds.

    Args:
        folds: Table of :func:`cropflow.samples.folds.assign_folds`.
        parcels: Parcels of all seasons, as it was given there.
        settings: Number of folds, side of a block, ring.
        background: Whether parcels out of the legend's scope count as labelled.

    Returns:
        JSON-ready: per fold blocks, parcels, hectares, classes and absent classes, and the distance from its parcels
        to the nearest of another fold (representative points, same season and UTM zone, metres); per class blocks,
        parcels, hectares and folds; ``rare_classes``, found in fewer than three blocks.
    """
    placed = place_in_blocks(parcels[is_labelled(parcels["crop"], background)], settings.block_m)
    placed = placed.assign(fold=look_up_folds(placed.reset_index(drop=True), folds).to_numpy())
    # Parts of one parcel in several sites are one parcel with the area of all parts.
    whole = placed.assign(hectares=placed.groupby(["season", "parcel_id"])["site_area_ha"].transform("sum"))
    whole = whole.drop_duplicates(["season", "parcel_id"]).reset_index(drop=True)
    whole["nearest_m"] = _nearest_other(whole)
    classes: dict[str, dict[str, Any]] = {
        str(crop): {
            "blocks": len(rows[KEY].drop_duplicates()),
            "parcels": len(rows),
            "hectares": round(float(rows["hectares"].sum()), 4),
            "folds": sorted(int(fold) for fold in rows["fold"].unique()),
        }
        for crop, rows in whole.groupby("crop")
    }
    described = []
    for fold in range(settings.count):
        rows, blocks = whole[whole["fold"] == fold], folds[folds["fold"] == fold]
        near = rows["nearest_m"].dropna()
        described.append(
            {
                "fold": fold,
                "blocks": len(blocks),
                "blocks_with_parcels": int((blocks["parcels"] > 0).sum()),
                "parcels": len(rows),
                "hectares": round(float(rows["hectares"].sum()), 4),
                "class_hectares": {
                    str(crop): round(float(area), 4) for crop, area in rows.groupby("crop")["hectares"].sum().items()
                },
                "absent_classes": [int(crop) for crop in classes if fold not in classes[crop]["folds"]],
                "nearest_other_fold_m": (
                    {"minimum": round(float(near.min()), 1), "median": round(float(near.median()), 1)}
                    if len(near)
                    else None
                ),
            }
        )
    return {
        "count": settings.count,
        "block_m": settings.block_m,
        "ring_m": settings.ring_m,
        "background": background,
        "seasons": int(parcels["season"].nunique()),
        "blocks": len(folds),
        "parcels": {"read": len(parcels[["season", "parcel_id"]].drop_duplicates()), "labelled": len(whole)},
        "folds": described,
        "classes": classes,
        "rare_classes": [int(crop) for crop, found in classes.items() if found["blocks"] < FEW_BLOCKS],
    }


def _nearest_other(parcels: pandas.DataFrame) -> NDArray[np.float64]:
    """Distance from each parcel's home to the nearest of another fold, metres; NaN where there is none."""
    nearest = np.full(len(parcels), np.nan)
    for _, rows in parcels.groupby(["season", "epsg"]):
        points = shapely.points(rows["x"].to_numpy(), rows["y"].to_numpy())
        fold = rows["fold"].to_numpy()
        for own in np.unique(fold):
            others = points[fold != own]
            if len(others):
                here, distance = shapely.STRtree(others).query_nearest(
                    points[fold == own], return_distance=True, all_matches=False
                )
                nearest[rows.index.to_numpy()[fold == own][here[0]]] = distance
    return nearest


def check_disjoint(parcels: geopandas.GeoDataFrame, fold: NDArray[np.uint8], folds: pandas.DataFrame) -> None:
    """Prove on geometries that parcels used in different folds share no ground.

    What is used of a parcel is its part inside the blocks of its own fold.

    Args:
        parcels: Parcels of a site in its UTM zone.
        fold: Fold of each parcel, uint8, ``(parcel,)``.
        folds: Table of blocks: ``epsg``, ``block_x``, ``block_y``, ``fold``, ``block_m``.

    Raises:
        RuntimeError: If two share ground.
    """
    used = np.array(parcels.geometry.to_numpy(), dtype=object)
    here = folds[folds["epsg"] == parcels.crs.to_epsg()]
    bounds = parcels.total_bounds
    outlines = boxes(here, block_size(folds))
    near = shapely.intersects(outlines, shapely.box(*bounds)) if len(parcels) else np.zeros(len(outlines), dtype=bool)
    for value in np.unique(fold):
        area = shapely.union_all(outlines[near & (here["fold"].to_numpy() == value)])
        shapely.prepare(area)
        own = np.flatnonzero(fold == value)
        crossing = own[~shapely.contains_properly(area, used[own])]
        used[crossing] = shapely.intersection(used[crossing], area)
    left, right = shapely.STRtree(used).query(used, predicate="intersects")
    pairs = (left < right) & (fold[left] != fold[right])
    shared = shapely.area(shapely.intersection(used[left[pairs]], used[right[pairs]]))
    if (shared > TOUCH_M2).any():
        raise RuntimeError(f"{int((shared > TOUCH_M2).sum())} pairs of parcels of different folds share ground")
