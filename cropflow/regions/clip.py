"""The parcels of a site: selected, carried to its UTM zone, clipped to its square."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pyarrow.parquet
import pyproj
import shapely
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.files.geoheader import geo_header
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.regions.grid import Grid
from cropflow.regions.sites import footprint

COLUMNS = ["parcel_id", "crop_code", "area_ha", "geometry"]
# Relative change of a parcel's area on the ellipsoid that reprojection may cause.
AREA_TOLERANCE = 1e-3
# Registers hold hectares to six decimals: of a tiny parcel that is more than the tolerance.
AREA_ROUNDING_HA = 1e-6
# Less of a parcel than this inside a site is a touching edge or corner, not ground.
SMALLEST_PART_M2 = 1.0


@dataclass(frozen=True)
class Clipped:
    """The parcels of a site and what became of those that were selected.

    Attributes:
        parcels: ``index`` uint32 (1..n in the order of ``parcel_id``), ``parcel_id``, ``crop_code``, ``area_ha`` (of
            the whole parcel, ellipsoid), ``site_area_ha`` (inside the site, ellipsoid), ``cut`` bool, ``geometry``
            (Polygon or MultiPolygon, UTM zone of the site).
        outside: Parcels whose bounding box met the site's but not they themselves.
        degenerate: Parcels of which less than 1 m2 lies inside: dropped.
        elsewhere: Parcels that belong to another site whose rectangle shares their ground: dropped here.
    """

    parcels: geopandas.GeoDataFrame
    outside: int
    degenerate: int
    elsewhere: int = 0

    def without(self, parcel_ids: Collection[str]) -> Clipped:
        """The same, less parcels that belong to another site; those that stay are numbered anew."""
        stay = ~self.parcels["parcel_id"].isin(list(parcel_ids))
        parcels = self.parcels[stay].reset_index(drop=True)
        parcels["index"] = np.arange(1, len(parcels) + 1, dtype=np.uint32)
        return Clipped(parcels, self.outside, self.degenerate, self.elsewhere + int((~stay).sum()))

    def summary(self) -> dict[str, float | int]:
        """Counts and hectares, JSON-ready."""
        return {
            "parcels": len(self.parcels),
            "hectares": round(float(self.parcels["site_area_ha"].sum()), 4),
            "cut": int(self.parcels["cut"].sum()),
            "dropped": self.degenerate,
            "elsewhere": self.elsewhere,
        }


def parcels_crs(path: Path | str) -> pyproj.CRS:
    """The CRS of a GeoParquet file, from its header.

    Raises:
        CropflowError: If the file is missing, is no GeoParquet, or has no CRS.
    """
    if not Path(path).is_file():
        raise CropflowError(f"{path} is missing; expected the parcels of a register. Run cropflow labels clean.")
    header = geo_header(pyarrow.parquet.read_schema(path))
    if header is None:
        raise CropflowError(
            f"{path} is no GeoParquet (no 'geo' metadata); expected the result of cropflow labels clean."
        )
    if header.crs is None:
        raise CropflowError(f"{path} has no CRS; parcels cannot be placed. Declare it where the file is written.")
    return header.crs


def count_rows(path: Path | str) -> int:
    """Parcels in a file, from its header."""
    return int(pyarrow.parquet.read_metadata(path).num_rows)


def read_parcels_within(path: Path | str, grid: Grid) -> geopandas.GeoDataFrame:
    """Read the parcels whose bounding box meets a site; the file's bbox column spares reading the rest.

    Args:
        path: GeoParquet of a register, in its own CRS, with a bbox column.
        grid: The site.

    Returns:
        ``parcel_id``, ``crop_code``, ``area_ha`` (hectares, ellipsoid) and ``geometry`` in the register's CRS.
    """
    crs = parcels_crs(path)
    # Two parts where the site crosses the antimeridian and the register counts in degrees.
    found = [_read_window(path, part.bounds) for part in shapely.get_parts(footprint(grid, crs))]
    rest = [table[~table["parcel_id"].isin(found[0]["parcel_id"])] for table in found[1:]]
    return pandas.concat([found[0], *rest], ignore_index=True) if rest else found[0]


def _read_window(path: Path | str, bounds: tuple[float, float, float, float]) -> geopandas.GeoDataFrame:
    # The densified outline may miss the true bulge of an edge by centimetres.
    margin = 0.001 * max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    window = (bounds[0] - margin, bounds[1] - margin, bounds[2] + margin, bounds[3] + margin)
    return geopandas.read_parquet(path, columns=COLUMNS, bbox=window)


def _polygons(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """Keep the polygons of each geometry: clipping may leave lines and points where a parcel touches the edge."""
    kinds = shapely.get_type_id(geometries)
    result = geometries.copy()
    for position in np.flatnonzero(~np.isin(kinds, (3, 6))):
        parts = shapely.get_parts(shapely.get_parts(geometries[position]))
        result[position] = shapely.union_all(parts[shapely.get_type_id(parts) == 3])
    return result


def _check_areas(parcels: geopandas.GeoDataFrame, projected: geopandas.GeoSeries) -> None:
    if not np.isfinite(shapely.bounds(projected.to_numpy())).all():
        raise CropflowError(
            f"Parcels of {parcels.crs} have no finite coordinates in {projected.crs}; expected parcels near the site. "
            "Check the CRS that the register declares."
        )
    before = parcels["area_ha"].to_numpy(dtype=float)
    after = np.asarray(ellipsoidal_area_ha(projected), dtype=float)
    excess = np.abs(after - before) - AREA_TOLERANCE * before - AREA_ROUNDING_HA
    worst = int(np.argmax(excess))
    if excess[worst] > 0:
        raise CropflowError(
            f"Parcel {parcels['parcel_id'].iloc[worst]} covers {before[worst]:.6f} ha in the register and "
            f"{after[worst]:.6f} ha after reprojection to {projected.crs} (ellipsoid); expected a change of at most "
            f"{AREA_TOLERANCE:.1%} ({int((excess > 0).sum())} of {len(excess)} parcels change more). "
            "Check the CRS that the register declares."
        )


def clip_parcels(parcels: geopandas.GeoDataFrame, grid: Grid) -> Clipped:
    """Carry parcels to the UTM zone of a site and clip them to it.

    Vertices are transformed and edges stay straight between them: against the true curve an edge of 1 km is off by
    about 2 cm (sagitta ``L^2 / 8R``), far below a pixel, so edges are not densified; the check of areas would tell.

    Args:
        parcels: ``parcel_id``, ``crop_code``, ``area_ha`` (hectares on the ellipsoid) and polygons in any CRS.
        grid: The site.

    Returns:
        The parcels inside the site and counts of the others; every row read is in one of the three.

    Raises:
        CropflowError: If an id occurs twice, or an area changes by more than 0.1 % in reprojection.
    """
    doubled = parcels["parcel_id"][parcels["parcel_id"].duplicated()]
    if len(doubled):
        raise CropflowError(
            f"{len(doubled)} parcel ids occur twice: {listing(sorted(doubled), 5)}; expected each once. "
            "Choose another columns.parcel_id for the register."
        )
    ordered = parcels.sort_values("parcel_id", kind="stable").reset_index(drop=True)
    projected = ordered.geometry.to_crs(epsg=grid.epsg)
    if len(ordered):
        _check_areas(ordered, projected)
    square = shapely.box(*grid.bounds)
    whole = projected.to_numpy().copy()
    # Rounding in the reprojection may fold a needle over itself; an invalid polygon cannot be clipped.
    folded = ~shapely.is_valid(whole)
    whole[folded] = shapely.make_valid(whole[folded])
    meets = shapely.intersects(whole, square)
    inside = _polygons(shapely.intersection(whole, square))
    area_m2 = shapely.area(inside)
    kept = meets & (area_m2 >= SMALLEST_PART_M2)
    geometry = geopandas.GeoSeries(inside[kept], crs=projected.crs)
    result = geopandas.GeoDataFrame(
        {
            "index": np.arange(1, int(kept.sum()) + 1, dtype=np.uint32),
            "parcel_id": ordered["parcel_id"][kept].astype("str").reset_index(drop=True),
            "crop_code": ordered["crop_code"][kept].astype("str").reset_index(drop=True),
            "area_ha": ordered["area_ha"][kept].astype(float).reset_index(drop=True),
            "site_area_ha": np.asarray(ellipsoidal_area_ha(geometry), dtype=float),
            # A tenth of a square metre is far above rounding and far below a pixel.
            "cut": pandas.Series((shapely.area(whole) - area_m2)[kept] > 0.1, dtype=bool),
        },
        geometry=geometry,
        crs=projected.crs,
    )
    return Clipped(result, int((~meets).sum()), int((meets & ~kept).sum()))
