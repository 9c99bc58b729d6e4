"""Clean a register: what is no parcel is dropped, and every drop is counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import geopandas
import numpy as np
import pandas
import shapely
from numpy.typing import NDArray

from cropflow.config.registers import Cleaning
from cropflow.errors import CropflowError, listing
from cropflow.labels.area import ellipsoidal_area_ha, ellipsoidal_perimeter_m
from cropflow.labels.counts import count, count_by, count_rows, rounded_ha, total

logger = logging.getLogger(__name__)

POLYGONS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
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
# Registers hold byte-order marks and zero-width spaces, which str.strip leaves alone.
_BLANK = "\ufeff\u200b"


def stripped(codes: pandas.Series) -> pandas.Series:
    """Codes without blanks around them, the invisible ones included; missing codes stay missing."""
    return codes.str.strip().str.strip(_BLANK).str.strip()


def repair(geometries: NDArray[np.object_]) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Make polygons valid and keep nothing but polygons.

    Args:
        geometries: Any geometries, finite, ``(geometry,)``; may be missing.

    Returns:
        The geometries, two-dimensional; polygonal ones are valid, collections are reduced to their
        polygons, points and lines come back as they are. And True where something was mended.
    """
    result = shapely.force_2d(geometries)
    invalid = ~shapely.is_valid(result) & ~shapely.is_missing(result)
    # Method structure: overlapping parts are merged, where linework would cut the overlap out.
    result[invalid] = shapely.make_valid(result[invalid], method="structure", keep_collapsed=False)
    mixed = shapely.get_type_id(result) == shapely.GeometryType.GEOMETRYCOLLECTION
    result[mixed] = [_polygons_of(collection) for collection in result[mixed]]
    return result, invalid | mixed


def _polygons_of(collection: shapely.GeometryCollection) -> shapely.Geometry:
    """The union of a collection's polygons, nested collections included; the collection where it has none."""
    found: list[shapely.Geometry] = []
    waiting = list(collection.geoms)
    while waiting:
        part = waiting.pop()
        if hasattr(part, "geoms"):
            waiting += list(part.geoms)
        elif isinstance(part, shapely.Polygon) and not part.is_empty:
            found.append(part)
    return shapely.union_all(found) if found else collection


def _not_finite(geometries: NDArray[np.object_]) -> NDArray[np.bool_]:
    """True where a coordinate is NaN or infinite; such geometries are never valid, so only those are read."""
    result = np.zeros(len(geometries), dtype=np.bool_)
    suspects = np.flatnonzero(~shapely.is_valid(geometries))
    coordinates, owner = shapely.get_coordinates(geometries[suspects], return_index=True)
    result[suspects[np.unique(owner[~np.isfinite(coordinates).all(axis=1)])]] = True
    return result


def _repeated(geometries: NDArray[np.object_], codes: pandas.Series) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Find outlines that occur again.

    Args:
        geometries: Valid polygons, ``(parcel,)``, in the order in which the first is kept.
        codes: Crop code, ``(parcel,)``.

    Returns:
        True where an earlier parcel has the same outline and code; True where an earlier parcel has
        the same outline and another code.
    """
    duplicate = np.zeros(len(geometries), dtype=np.bool_)
    conflicting = duplicate.copy()
    # The bounds do not depend on where a ring starts; only parcels that share them are compared in full.
    suspects = np.flatnonzero(pandas.DataFrame(shapely.bounds(geometries)).duplicated(keep=False))
    outlines = pandas.Series(shapely.to_wkb(shapely.normalize(geometries[suspects])), dtype=object)
    suspect_codes = codes.iloc[suspects].reset_index(drop=True)
    first_code = suspect_codes.groupby(outlines).transform("first")
    again = outlines.duplicated().to_numpy()
    same = (suspect_codes == first_code).to_numpy(dtype=np.bool_)
    duplicate[suspects] = again & same
    conflicting[suspects] = again & ~same
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
    """Repair, drop and sort the parcels of a register.

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
        (float64, hectares on the ellipsoid, six decimals), ``geometry`` (valid Polygon or
        MultiPolygon). And the summary: ``read``, ``kept`` and ``dropped`` (by reason) with
        ``parcels`` and ``hectares``, ``codes`` (the same per code kept), ``repaired`` and
        ``renamed`` (parcels among the kept ones); with ``groups`` a list of that name, one row per code,
        group and ``reason`` (``kept`` where it stays; an empty text stands for a missing code or group).

    Raises:
        CropflowError: If there are no parcels, or none is left.
    """
    settings = settings or Cleaning()
    if parcels.empty:
        raise CropflowError("The register has 0 parcels; expected at least 1. Check the file and its layer.")
    table = parcels.sort_values("parcel_id", kind="stable", ignore_index=True)
    table, repaired, area_ha, reason = _judged(table, settings)
    kept = reason == ""
    result = table[kept].reset_index(drop=True)
    result["area_ha"] = area_ha[kept]
    ids = unique_ids(result["parcel_id"])
    renamed = int((ids != result["parcel_id"]).sum())
    result["parcel_id"] = ids
    counts = count_by(reason[~kept], area_ha[~kept])
    dropped = {name: counts[name] for name in REASONS if name in counts}
    if result.empty:
        told = listing(f"{name}: {number.parcels}" for name, number in dropped.items())
        raise CropflowError(
            f"No parcel of {len(table)} is left ({told}); expected at least 1. Check the register's CRS, "
            f"columns and cleaning thresholds."
        )
    read, remaining = count(area_ha), count(result["area_ha"].to_numpy())
    if read != remaining + total(dropped.values()):
        raise RuntimeError(f"read {read}, but kept {remaining} and dropped {total(dropped.values())}")
    # The rows are in order of parcel_id, and a stable sort keeps that order where the curve ties.
    order = np.argsort(result.geometry.hilbert_distance().to_numpy(), kind="stable")
    first = ["parcel_id", "crop_code", "area_ha"]
    further = [name for name in result.columns if name not in (*first, "geometry")]
    result = result.iloc[order].reset_index(drop=True)[[*first, *further, "geometry"]]
    summary = {
        "read": read.as_json(),
        "kept": remaining.as_json(),
        "dropped": {name: number.as_json() for name, number in dropped.items()},
        "repaired": int(repaired[kept].sum()),
        "renamed": renamed,
        "codes": {
            code: number.as_json()
            for code, number in count_by(result["crop_code"], result["area_ha"].to_numpy()).items()
        },
    }
    if groups:
        summary["groups"] = count_rows(
            table[["crop_code", *groups]].assign(reason=np.where(kept, "kept", reason)), area_ha
        )
    _log(summary)
    return result, summary


def _judged(
    table: geopandas.GeoDataFrame, settings: Cleaning
) -> tuple[geopandas.GeoDataFrame, NDArray[np.bool_], NDArray[np.float64], NDArray[np.object_]]:
    """Repair and measure every row, and say why it goes ("" where it stays)."""
    raw = table.geometry.to_numpy().copy()
    not_finite = _not_finite(raw)
    raw[not_finite] = None
    geometries, repaired = repair(raw)
    series = geopandas.GeoSeries(geometries, crs=table.crs)
    area_ha = ellipsoidal_area_ha(series)
    not_finite |= ~np.isfinite(area_ha)
    # The area of an outline that cannot be measured counts as 0 on both sides of the account.
    area_ha = rounded_ha(np.where(not_finite, 0.0, area_ha))
    reason = np.full(len(table), "", dtype=object)

    def drop(name: str, rows: NDArray[np.bool_]) -> None:
        reason[rows & (reason == "")] = name

    codes = stripped(table["crop_code"])
    drop("no_code", (codes.isna() | (codes == "")).to_numpy(dtype=np.bool_))
    drop("empty", (shapely.is_missing(geometries) | shapely.is_empty(geometries)) & ~not_finite)
    drop("not_finite", not_finite)
    drop("not_polygon", ~np.isin(shapely.get_type_id(geometries), POLYGONS))
    drop("too_small", area_ha * 10_000 < settings.minimum_area_m2)
    alive = np.flatnonzero(reason == "")
    perimeter = ellipsoidal_perimeter_m(series.iloc[alive])
    narrow = np.zeros(len(table), dtype=np.bool_)
    narrow[alive] = 2 * area_ha[alive] * 10_000 < settings.minimum_width_m * perimeter
    drop("sliver", narrow)
    alive = np.flatnonzero(reason == "")
    duplicate, conflicting = _repeated(geometries[alive], codes.iloc[alive])
    reason[alive[duplicate]] = "duplicate"
    reason[alive[conflicting]] = "conflicting"
    return table.set_geometry(series), repaired, area_ha, reason


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
