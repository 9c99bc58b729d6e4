"""Clean a register: what is no parcel is dropped, and every drop is counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas
import pyproj
import shapely
from numpy.typing import NDArray

from cropflow.config.registers import Cleaning
from cropflow.errors import CropflowError, listing
from cropflow.labels.area import measured, narrower
from cropflow.labels.counts import Count, count, count_by, count_rows, rounded_ha, total
from cropflow.labels.hilbert import hilbert_distance
from cropflow.labels.outlines import POLYGONS, canonical, flat, mended, not_finite
from cropflow.labels.placing import check_place

logger = logging.getLogger(__name__)

# In the order in which they are looked for: a parcel is counted under the first that fits.
REASONS = {
    "no_code": "no crop code",
    "empty": "no geometry, or one without any area",
    "not_finite": "coordinates that are no numbers or lie outside the CRS",
    "not_polygon": "a point or a line",
    "too_small": "smaller than minimum_area_m2",
    "sliver": "narrower than minimum_width_m",
    "duplicate": "same outline and code as another parcel",
    "conflicting": "same outline as another parcel, another code",
}
FATES = ("", *REASONS)
NOTHING_READ = "The register has 0 parcels; expected at least 1. Check the file and its layer."
# Registers hold byte-order marks and zero-width spaces, which str.strip leaves alone.
_BLANK = "\ufeff\u200b"


def stripped(codes: pandas.Series) -> pandas.Series:
    """Codes without blanks around them, the invisible ones included; missing codes stay missing."""
    return codes.str.strip().str.strip(_BLANK).str.strip()


@dataclass(frozen=True)
class Judged:
    """What each parcel is worth by itself, whatever the others are; all ``(parcel,)``.

    Attributes:
        geometries: Repaired and two-dimensional.
        repaired: True where something was mended.
        changed: True where the geometry is another one than was read.
        area_ha: Hectares on the ellipsoid, six decimals; 0 where that cannot be measured.
        reason: Why it goes, position in :data:`FATES`; 0 where it stays.
    """

    geometries: NDArray[np.object_]
    repaired: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    area_ha: NDArray[np.float64]
    reason: NDArray[np.int8]

    def dropped(self) -> dict[str, Count]:
        """Reason -> parcels that go."""
        gone = self.reason > 0
        found = count_by(self.reason[gone], self.area_ha[gone])
        return {FATES[number]: counted for number, counted in found.items()}


def judge(geometries: NDArray[np.object_], codes: pandas.Series, crs: pyproj.CRS, settings: Cleaning) -> Judged:
    """Repair and measure parcels, and say why they go: for every reason but repeated outlines.

    Args:
        geometries: As read, may be missing, ``(parcel,)``.
        codes: Crop codes without blanks around them, may be missing, ``(parcel,)``.
        crs: Of the geometries.
        settings: Thresholds, m2 and m.
    """
    raw, tall = flat(geometries)
    valid = shapely.is_valid(raw)
    lost = not_finite(raw, valid)
    raw[lost] = None
    outlines, repaired = mended(raw, valid)
    series = geopandas.GeoSeries(outlines, crs=crs)
    area_ha, at_least_m = measured(series)
    lost |= ~np.isfinite(area_ha)
    # The area of an outline that cannot be measured counts as 0 on both sides of the account.
    area_ha = rounded_ha(np.where(lost, 0.0, area_ha))
    reason = np.zeros(len(raw), dtype=np.int8)

    def drop(name: str, rows: NDArray[np.bool_]) -> None:
        reason[rows & (reason == 0)] = FATES.index(name)

    kinds = shapely.get_type_id(outlines)
    drop("no_code", (codes.isna() | (codes == "")).to_numpy(dtype=np.bool_))
    drop("empty", ((kinds < 0) | shapely.is_empty(outlines)) & ~lost)
    drop("not_finite", lost)
    drop("not_polygon", ~np.isin(kinds, POLYGONS))
    drop("too_small", area_ha * 10_000 < settings.minimum_area_m2)
    # Of those that go already no width is measured.
    at_least_m[reason > 0] = np.inf
    drop("sliver", narrower(series, area_ha, at_least_m, settings.minimum_width_m))
    return Judged(outlines, repaired, repaired | tall, area_ha, reason)


def repeated(shapes: pandas.Series, codes: pandas.Series) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find outlines that occur again.

    Args:
        shapes: What is equal where outlines are, ``(parcel,)``, in the order in which the first is kept.
        codes: Crop codes without blanks around them, in the same order.

    Returns:
        True where an earlier parcel has the same outline and code; True where an earlier parcel has
        the same outline and another code.
    """
    first_code = codes.groupby(shapes).transform("first")
    again = shapes.duplicated().to_numpy(dtype=np.bool_)
    same = (codes == first_code).to_numpy(dtype=np.bool_)
    return again & same, again & ~same


def _repeated(geometries: NDArray[np.object_], codes: pandas.Series) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The same of geometries; only parcels that share their bounds are compared in full."""
    duplicate = np.zeros(len(geometries), dtype=np.bool_)
    conflicting = duplicate.copy()
    # The bounds do not depend on where a ring starts.
    suspects = np.flatnonzero(pandas.DataFrame(shapely.bounds(geometries)).duplicated(keep=False))
    shapes = pandas.Series(canonical(geometries[suspects]), dtype=object)
    duplicate[suspects], conflicting[suspects] = repeated(shapes, codes.iloc[suspects].reset_index(drop=True))
    return duplicate, conflicting


def unique_ids(ids: pandas.Series) -> pandas.Series:
    """Give parcels that share an id one of their own: the first keeps it, others become ``id#2``, ``id#3``, ..."""
    result = ids.tolist()
    taken = set(result)
    number: Counter[str] = Counter()
    for row in np.flatnonzero(ids.duplicated()).tolist():
        name = result[row]
        while result[row] in taken:
            number[name] += 1
            result[row] = f"{name}#{number[name] + 1}"
        taken.add(result[row])
    return pandas.Series(result, index=ids.index, dtype="str")


def clean(
    parcels: geopandas.GeoDataFrame, settings: Cleaning | None = None, groups: Sequence[str] = ()
) -> tuple[geopandas.GeoDataFrame, dict[str, Any]]:
    """Repair, drop and sort the parcels of a register that fits into memory; :mod:`.ingest` does the same to any.

    Invalid outlines are repaired. Dropped are, in this order: parcels without a code, empty ones,
    ones with impossible coordinates, points and lines, parcels below the minimum area, slivers (mean
    width 2 x area / perimeter), and outlines that occur again, of which the first in the order of
    ``parcel_id`` stays. Parcels that share an id but not an outline are kept and renamed.

    Args:
        parcels: ``parcel_id`` str, ``crop_code`` str (missing where there is none), ``geometry``, with
            a geographic or projected CRS. Further columns are kept.
        settings: Thresholds, m2 and m.
        groups: Columns by which parcels are counted beside code and reason.

    Returns:
        The parcels in the same CRS, along a Hilbert curve: ``parcel_id``, ``crop_code``, ``area_ha``
        (float64, hectares on the ellipsoid, six decimals), any further columns as they were read,
        ``geometry`` (valid Polygon or MultiPolygon). And the summary: ``read``, ``kept`` and
        ``dropped`` (by reason) with ``parcels`` and ``hectares``, ``codes`` (the same per code kept),
        ``repaired`` and ``renamed`` (parcels among the kept ones); with ``groups`` a list of that name,
        one row per code, group and ``reason`` (``kept`` where it stays; an empty text stands for a
        missing code or group).

    Raises:
        CropflowError: If there are no parcels, none is left, or they lie far from where their CRS is used.
    """
    settings = settings or Cleaning()
    if parcels.empty:
        raise CropflowError(NOTHING_READ)
    table = parcels.sort_values("parcel_id", kind="stable", ignore_index=True)
    codes = stripped(table["crop_code"])
    judged = judge(table.geometry.to_numpy(), codes, table.crs, settings)
    alive = np.flatnonzero(judged.reason == 0)
    duplicate, conflicting = _repeated(judged.geometries[alive], codes.iloc[alive])
    judged.reason[alive[duplicate]] = FATES.index("duplicate")
    judged.reason[alive[conflicting]] = FATES.index("conflicting")
    kept = judged.reason == 0
    result = table.set_geometry(geopandas.GeoSeries(judged.geometries, crs=table.crs))[kept].reset_index(drop=True)
    result["area_ha"] = judged.area_ha[kept]
    ids = unique_ids(result["parcel_id"])
    renamed = int((ids != result["parcel_id"]).sum())
    result["parcel_id"] = ids
    bounds = shapely.bounds(result.geometry.to_numpy())
    x, y = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    summary = summarised(
        count(judged.area_ha),
        judged.dropped(),
        count_by(result["crop_code"], result["area_ha"].to_numpy()),
        repaired=int(judged.repaired[kept].sum()),
        renamed=renamed,
    )
    if groups:
        keys = table[["crop_code", *groups]].assign(reason=np.where(kept, "kept", np.array(FATES)[judged.reason]))
        summary["groups"] = count_rows(keys, judged.area_ha)
    check_place(table.crs, x, y)
    # The rows are in order of parcel_id, and a stable sort keeps that order where the curve ties.
    order = np.argsort(hilbert_distance(x, y, (x.min(), y.min(), x.max(), y.max())), kind="stable")
    names = result_columns(parcels.columns)
    return result.iloc[order].reset_index(drop=True)[names], summary


def result_columns(names: Iterable[str]) -> list[str]:
    """Columns of cleaned parcels, in order, by those that were read: further ones are carried along."""
    further = [name for name in names if name not in ("parcel_id", "crop_code", "area_ha", "geometry")]
    return ["parcel_id", "crop_code", "area_ha", *further, "geometry"]


def summarised(
    read: Count, dropped: Mapping[str, Count], codes: Mapping[str, Count], repaired: int, renamed: int
) -> dict[str, Any]:
    """Put the counts of a cleaned register together, check that they add up, and log them.

    Args:
        read: All parcels.
        dropped: Reason -> parcels that went.
        codes: Code -> parcels that stayed.
        repaired: Of those that stayed.
        renamed: Of those that stayed.

    Raises:
        CropflowError: If no parcel stayed.
    """
    dropped = {name: dropped[name] for name in REASONS if name in dropped}
    kept = total(codes.values())
    if not kept.parcels:
        told = listing(f"{name}: {number.parcels}" for name, number in dropped.items())
        raise CropflowError(
            f"No parcel of {read.parcels} is left ({told}); expected at least 1. Check the register's CRS, "
            f"columns and cleaning thresholds."
        )
    if read != kept + total(dropped.values()):
        raise RuntimeError(f"read {read}, but kept {kept} and dropped {total(dropped.values())}")
    summary = {
        "read": read.as_json(),
        "kept": kept.as_json(),
        "dropped": {name: number.as_json() for name, number in dropped.items()},
        "repaired": repaired,
        "renamed": renamed,
        "codes": {code: number.as_json() for code, number in sorted(codes.items())},
    }
    _log(summary)
    return summary


def _log(summary: dict[str, Any]) -> None:
    read, kept = summary["read"], summary["kept"]
    logger.info(
        "kept %d of %d parcels (%.1f of %.1f ha); repaired %d outlines",
        kept["parcels"], read["parcels"], kept["hectares"], read["hectares"], summary["repaired"],
    )  # fmt: skip
    for name, number in summary["dropped"].items():
        logger.warning(
            "dropped %d of %d parcels (%.4f ha): %s",
            number["parcels"], read["parcels"], number["hectares"], REASONS[name],
        )  # fmt: skip
    if summary["renamed"]:
        logger.warning(
            "%d of %d parcels share an id with another one and were renamed", summary["renamed"], kept["parcels"]
        )
