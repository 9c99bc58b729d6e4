"""Provinces: the area that a parcel lies in, by a layer of areas."""

from __future__ import annotations

import logging
from pathlib import Path

import geopandas
import numpy as np
import pandas
import shapely

from cropflow.errors import CropflowError, listing
from cropflow.labels.registers.frame import read_frame
from cropflow.labels.registers.vector import choose_layer

logger = logging.getLogger(__name__)


def read_provinces(path: Path, column: str) -> geopandas.GeoDataFrame:
    """Read the layer of provinces.

    Args:
        path: A vector file with one layer of areas.
        column: Column with their names.

    Returns:
        ``province`` str, ``geometry``, in the layer's CRS.

    Raises:
        CropflowError: If the file is missing or damaged, lacks the column or the CRS, or a name is missing or occurs
            twice.
    """
    if not path.exists():
        raise CropflowError(f"Layer of provinces {path} does not exist; check registers.<name>.provinces.path.")
    areas = read_frame(path, choose_layer(path, None), (column,))
    names = areas["crop_code"]
    doubled = sorted(set(names[names.duplicated()].dropna()))
    if doubled or names.isna().any():
        raise CropflowError(
            f"Column {column!r} of {path.name} has {int(names.isna().sum())} areas without a name and these names "
            f"twice: {listing(doubled) or 'none'}; expected one area per province. Merge them, or name another column "
            f"as registers.<name>.provinces.column."
        )
    return areas.rename(columns={"crop_code": "province"})[["province", "geometry"]]


def province_of(geometries: geopandas.GeoSeries, provinces: geopandas.GeoDataFrame) -> pandas.Series:
    """Find the province that the centroid of each geometry lies in.

    Args:
        geometries: Any geometries, valid or not, with a CRS.
        provinces: ``province`` str and areas, in any CRS.

    Returns:
        Names, str, in the order and with the index of the input; missing where a geometry lies in none or has no
        place. On a common border the first province of the layer counts.
    """
    # A country's own layer may be in Web Mercator: its areas are moved to the parcels, never the other way.
    areas = provinces.geometry.to_crs(geometries.crs).to_numpy()
    centroids = shapely.centroid(geometries.to_numpy())
    # The coordinates of an empty point cannot be asked for, and those of a useless one meet no area.
    centroids[shapely.is_empty(centroids)] = None
    centroids[~(np.isfinite(shapely.get_x(centroids)) & np.isfinite(shapely.get_y(centroids)))] = None
    position, area = shapely.STRtree(areas).query(centroids, predicate="intersects")
    first = pandas.Series(area).groupby(position).min()
    names = pandas.Series(pandas.NA, index=range(len(geometries)), dtype="str")
    names.loc[first.index] = provinces["province"].to_numpy()[first.to_numpy()]
    return names.set_axis(geometries.index)
