"""Parcels that kept their outline over several seasons: one outline, one label a year.

Source of the selection: Quinton and Landrieu (2021), https://doi.org/10.3390/rs13224599, who learn on parcels with
stable contours over three years. What stable means is a threshold here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas

from cropflow.errors import CropflowError
from cropflow.labels.counts import count

logger = logging.getLogger(__name__)

# In the order in which they are looked for: a parcel is counted under the first that fits, of the nearest season.
REASONS = {
    "not_covered": "no parcel of the earlier season",
    "moved": "intersection over union below stable_iou",
    "taken": "the earlier parcel fits another parcel better",
}


def stable_parcels(
    parcels: pandas.DataFrame, pieces: Mapping[str, pandas.DataFrame], least_iou: float
) -> tuple[pandas.DataFrame, dict[str, Any]]:
    """Choose the parcels whose outline a parcel of every earlier season has too.

    Every earlier season is compared with the season itself, so that small moves do not add up. The match of
    a parcel is the earlier parcel of the largest intersection over union; it matches no other parcel.

    Args:
        parcels: ``parcel_id``, ``area_ha`` of the season.
        pieces: Earlier season -> ``parcel_id``, ``earlier_id``, ``iou``, the nearest season first.
        least_iou: Least intersection over union, above 0.5.

    Returns:
        ``parcel_id``, one column ``parcel_id_<season>`` per earlier season, and ``iou``, the least over the
        seasons, in the order of ``parcels``. And the counts: ``parcels``, ``stable`` and ``dropped`` (season ->
        reason) with parcels and hectares.

    Raises:
        CropflowError: If no parcel is stable, or a piece names a parcel that ``parcels`` do not have.
    """
    ids = pandas.Index(parcels["parcel_id"])
    area_ha = parcels["area_ha"].to_numpy(dtype=np.float64)
    alive = np.ones(len(ids), dtype=np.bool_)
    iou = np.ones(len(ids))
    columns: dict[str, Any] = {}
    dropped: dict[str, dict[str, Any]] = {}
    for season, found in pieces.items():
        best = found.assign(row=ids.get_indexer(pandas.Index(found["parcel_id"])))
        strange = best["parcel_id"][best["row"] < 0]
        if len(strange):
            raise CropflowError(
                f"The overlay with {season} names {len(strange)} parcels that the season lacks, such as "
                f"{strange.iloc[0]!r}; expected files of the same run. Run `labels overlay` again."
            )
        # Stable sorts: of equal matches the first in order stays.
        best = best.sort_values(["row", "iou"], ascending=[True, False], kind="stable").drop_duplicates("row")
        fits = best[best["iou"] >= least_iou].sort_values(["iou", "row"], ascending=[False, True], kind="stable")
        fits = fits.drop_duplicates("earlier_id").set_index("row")
        reason = np.full(len(ids), "not_covered", dtype=object)
        reason[best["row"]] = np.where(best["iou"] >= least_iou, "taken", "moved")
        reason[fits.index] = ""
        lost = alive & (reason != "")
        dropped[season] = {
            name: count(area_ha[lost & (reason == name)]).as_json() for name in REASONS if (reason[lost] == name).any()
        }
        alive &= reason == ""
        columns[f"parcel_id_{season}"] = fits["earlier_id"].reindex(range(len(ids)))
        iou[fits.index] = np.minimum(iou[fits.index], fits["iou"])
    counts = {
        "parcels": count(area_ha).as_json(),
        "stable": count(area_ha[alive]).as_json(),
        "dropped": dropped,
    }
    _log(counts)
    if not alive.any():
        raise CropflowError(
            f"None of {len(ids)} parcels keeps its outline over {', '.join(pieces)} with an intersection over union of "
            f"{least_iou}; expected at least one. Lower `history.stable_iou`, or check the registers."
        )
    table = pandas.DataFrame({"parcel_id": parcels["parcel_id"].to_numpy(), **columns, "iou": iou})
    return table[alive].reset_index(drop=True).astype({name: "str" for name in columns}), counts


def _log(counts: dict[str, Any]) -> None:
    whole, stable = counts["parcels"], counts["stable"]
    logger.info(
        "%d of %d parcels (%.1f of %.1f ha) keep their outline",
        stable["parcels"], whole["parcels"], stable["hectares"], whole["hectares"],
    )  # fmt: skip
    for season, reasons in counts["dropped"].items():
        for name, number in reasons.items():
            logger.info(
                "%s: dropped %d of %d parcels (%.1f ha): %s",
                season, number["parcels"], whole["parcels"], number["hectares"], REASONS[name],
            )  # fmt: skip
