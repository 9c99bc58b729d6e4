"""Link the parcels of two seasons, a run of rows at a time, so that a country fits into memory.

A register is sorted along a Hilbert curve, so a run of its rows is a patch of land. Each parcel belongs to one run;
the earlier parcels that meet its patch are read for it. Neither the length of the runs nor the number of threads
changes the result.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas
import pyproj
import shapely
from numpy.typing import NDArray
from tqdm import tqdm

from cropflow.config.registers import History
from cropflow.errors import CropflowError
from cropflow.files.georows import BoundsIndex, GeoRows
from cropflow.labels.counts import Count, count, rounded_ha
from cropflow.labels.overlay import Geometries, Pieces, added_by, overlay

logger = logging.getLogger(__name__)

# Parcels laid over the earlier ones at once: about 30 MB for each thread.
RUN_ROWS = 20_000


@dataclass(frozen=True)
class Run:
    """What a thread works on: parcels and earlier parcels as WKB, with the rows they lie in."""

    start: int
    parcels: NDArray[np.bytes_]
    area_ha: NDArray[np.float64]
    earlier_rows: NDArray[np.int64]
    earlier: NDArray[np.bytes_]


def link(
    parcels: GeoRows, earlier: GeoRows, settings: History, workers: int = 1, run_rows: int = RUN_ROWS
) -> tuple[pandas.DataFrame, dict[str, Any]]:
    """Lay the parcels of a season over those of an earlier one.

    Args:
        parcels: Cleaned parcels of the season; shares are measured in their CRS.
        earlier: Cleaned parcels of the earlier season, in any CRS.
        settings: Thresholds of slivers.
        workers: Threads.
        run_rows: Parcels of a run.

    Returns:
        One row per piece, in the order of the parcels, then of the earlier ones: ``parcel_id``,
        ``earlier_id`` str, ``share`` (of the parcel's area) and ``iou`` float64, both in (0, 1]; parcels
        that nothing covers have no row. And the counts: ``parcels``, ``covered`` and ``uncovered`` add up
        in hectares; ``slivers`` and ``overlaps`` as ``pieces`` or ``parcels`` with ``hectares``;
        ``earlier`` read and ``without_successor``.

    Raises:
        CropflowError: If no parcel of the one meets any of the other.
    """
    area_ha = parcels.column("area_ha").to_numpy(dtype=np.float64)
    found = list(
        tqdm(
            _in_order(_runs(parcels, earlier, area_ha, run_rows), parcels.crs, earlier.crs, settings, workers),
            total=-(-len(parcels) // run_rows),
            desc="overlay",
            disable=None,
        )
    )
    row, other, share, iou, sliver_share, overlap_share = (
        np.concatenate([getattr(pieces, name) for pieces in found])
        for name in ("parcel", "earlier", "share", "iou", "sliver_share", "overlap_share")
    )
    if not len(row):
        raise CropflowError(
            f"None of the {len(parcels)} parcels of {parcels.path} lies on one of the {len(earlier)} parcels of "
            f"{earlier.path}; expected registers of the same land. Check the files of both seasons and their CRSs."
        )
    table = pandas.DataFrame(
        {
            "parcel_id": parcels.column("parcel_id").iloc[row].reset_index(drop=True),
            "earlier_id": earlier.column("parcel_id").iloc[other].reset_index(drop=True),
            "share": share,
            "iou": iou,
        }
    )
    earlier_ha = earlier.column("area_ha").to_numpy(dtype=np.float64)
    met = np.zeros(len(earlier), dtype=np.bool_)
    met[other] = True
    counts = _covered(area_ha, added_by(row, share, len(parcels))) | {
        "slivers": {
            "pieces": sum(pieces.slivers for pieces in found),
            "hectares": _hectares(sliver_share * area_ha),
        },
        "overlaps": count((overlap_share * area_ha)[overlap_share > 0]).as_json(),
        "earlier": count(earlier_ha).as_json(),
        "without_successor": count(earlier_ha[~met]).as_json(),
    }
    _log(counts)
    return table, counts


def _hectares(area_ha: NDArray[np.float64]) -> float:
    return count(area_ha).hectares


def _covered(area_ha: NDArray[np.float64], known: NDArray[np.float64]) -> dict[str, Any]:
    """Hectares covered and not, which add up to the whole; a parcel counts as covered if any of it is."""
    whole = count(area_ha)
    inside = Count(int((known > 0).sum()), count(rounded_ha(known * area_ha)).millionths)
    outside = Count(whole.parcels - inside.parcels, whole.millionths - inside.millionths)
    return {"parcels": whole.as_json(), "covered": inside.as_json(), "uncovered": outside.as_json()}


def _log(counts: dict[str, Any]) -> None:
    whole, covered = counts["parcels"], counts["covered"]
    logger.info(
        "%d of %d parcels (%.1f of %.1f ha) lie on earlier parcels",
        covered["parcels"], whole["parcels"], covered["hectares"], whole["hectares"],
    )  # fmt: skip
    logger.info("dropped %d slivers (%.4f ha)", counts["slivers"]["pieces"], counts["slivers"]["hectares"])
    if counts["overlaps"]["parcels"]:
        logger.warning(
            "%d of %d parcels lie where earlier parcels overlap each other; %.4f ha were given to the larger piece",
            counts["overlaps"]["parcels"], whole["parcels"], counts["overlaps"]["hectares"],
        )  # fmt: skip


def _runs(parcels: GeoRows, earlier: GeoRows, area_ha: NDArray[np.float64], run_rows: int) -> Iterator[Run]:
    index = BoundsIndex(_moved_bounds(earlier, parcels.crs))
    for start in range(0, len(parcels), run_rows):
        rows = np.arange(start, min(start + run_rows, len(parcels)))
        near = index.meeting_any(parcels.bounds[rows])
        yield Run(start, parcels.geometries(rows), area_ha[rows], near, earlier.geometries(near))


def _moved_bounds(rows: GeoRows, crs: pyproj.CRS) -> NDArray[np.float64]:
    """Bounds in another CRS: those of the four corners, and a tenth more for edges that bend."""
    if rows.crs == crs:
        return rows.bounds
    xmin, ymin, xmax, ymax = rows.bounds.T
    corners_x, corners_y = np.stack([xmin, xmin, xmax, xmax]), np.stack([ymin, ymax, ymin, ymax])
    x, y = pyproj.Transformer.from_crs(rows.crs, crs, always_xy=True).transform(corners_x, corners_y)
    low, high = np.stack([x.min(axis=0), y.min(axis=0)]), np.stack([x.max(axis=0), y.max(axis=0)])
    with np.errstate(invalid="ignore"):
        margin = (high - low) / 10
    return np.concatenate([low - margin, high + margin]).T


def _in_order(
    runs: Iterable[Run], crs: pyproj.CRS, earlier_crs: pyproj.CRS, settings: History, workers: int
) -> Iterator[Pieces]:
    """Work on runs in threads and hand the pieces on in order; a few runs are read ahead, not all."""
    waiting: deque[Future[Pieces]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        for run in runs:
            waiting.append(threads.submit(_pieces, run, crs, earlier_crs, settings))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _pieces(run: Run, crs: pyproj.CRS, earlier_crs: pyproj.CRS, settings: History) -> Pieces:
    """Lay one run over the earlier parcels near it; rows are those of the files."""
    parcels = shapely.from_wkb(run.parcels)
    found = overlay(parcels, run.area_ha, _moved(shapely.from_wkb(run.earlier), earlier_crs, crs), settings)
    return Pieces(
        found.parcel + run.start,
        run.earlier_rows[found.earlier],
        found.share,
        found.iou,
        found.slivers,
        found.sliver_share,
        found.overlap_share,
    )


def _moved(geometries: Geometries, crs: pyproj.CRS, to: pyproj.CRS) -> Geometries:
    """Outlines in another CRS, mended where the move made one invalid."""
    if crs == to:
        return geometries
    moved = geopandas.GeoSeries(geometries, crs=crs).to_crs(to).to_numpy()
    broken = ~shapely.is_valid(moved)
    moved[broken] = shapely.make_valid(moved[broken], method="structure", keep_collapsed=False)
    result: Geometries = moved
    return result
