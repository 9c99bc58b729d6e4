"""The parcels of a site as models of parcels need them: from samples, or from outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.files.rasters import read_raster
from cropflow.models.applying.parcels import ParcelLayers
from cropflow.regions.grid import Grid
from cropflow.samples.labels import IGNORE

if TYPE_CHECKING:
    import geopandas
    import pandas

    from cropflow.models.applying.prediction import Predictor

_Value = TypeVar("_Value", bound=np.generic)
M2_PER_HA = 10_000.0
# What the table of samples must hold, of every parcel of a site.
COLUMNS = ["site", "index", "parcel_id", "site_area_ha", "perimeter_m", "row", "column"]


@dataclass(frozen=True)
class SiteParcels:
    """The parcels of a site, for any model.

    Attributes:
        layers: Without a history, whose classes are each model's own.
        index: Index of each parcel, ``(n,)``.
        parcel_ids: Its name, ``(n,)``.
        history: Table of what grew on the parcels in earlier seasons; None where no model asks for it.
    """

    layers: ParcelLayers
    index: NDArray[np.int64]
    parcel_ids: Sequence[str]
    history: Path | None

    def of(self, predictor: Predictor) -> ParcelLayers:
        """The layers with the history that a model takes.

        Raises:
            CropflowError: If it takes one and none was given, or that lacks a parcel or looks back less far.
        """
        if not predictor.lags:
            return self.layers
        if self.history is None:
            raise CropflowError(
                f"The model takes the crops of {predictor.lags} earlier seasons, and --history is missing; expected "
                "that of the place's parcels. Run the rule labels_history."
            )
        from cropflow.samples.histories import read_history

        shares = read_history(self.history, self.parcel_ids, predictor.classes, predictor.lags)
        return replace(self.layers, history=_by_index(self.index, shares, len(self.layers.points)))


def lay_out(
    parcels: geopandas.GeoDataFrame, grid: Grid, inner_buffer_m: float, history: Path | None = None
) -> SiteParcels:
    """Rasterise the parcels of a site as its samples would be.

    Args:
        parcels: ``index`` (1..n), ``parcel_id``, ``site_area_ha``, ``cut`` and geometry, in the CRS of the grid.
        grid: The pixel grid.
        inner_buffer_m: Width of the rim, metres.
        history: Table of what grew on the parcels in earlier seasons.
    """
    import shapely

    from cropflow.samples.parcels import pixels_of_points
    from cropflow.samples.rasters import rasterise_interiors, rasterise_parcels

    burnt = rasterise_parcels(parcels, grid)
    interior = rasterise_interiors(parcels, burnt, grid, inner_buffer_m).interior
    geometries = parcels.geometry.to_numpy()
    points = shapely.point_on_surface(geometries)
    pixels = pixels_of_points(shapely.get_x(points), shapely.get_y(points), grid)
    return _site_parcels(burnt, interior, parcels, pixels, shapely.length(geometries), history)


def read_table_of_samples(folder: Path) -> pandas.DataFrame:
    """Read the table of parcels in a folder of samples.

    Raises:
        CropflowError: If it is missing or lacks a column.
    """
    from cropflow.files.tables import read_table

    return read_table(folder / "parcels.parquet", COLUMNS)


def layers_of_samples(folder: Path, site: str, table: pandas.DataFrame, history: Path | None = None) -> SiteParcels:
    """Read the parcels of a site from its samples.

    Args:
        folder: Folder of samples, with ``<site>/parcels.tif`` and ``crops.tif``.
        site: The site.
        table: The parcels of all sites; see :func:`read_table_of_samples`.
        history: Table of what grew on the parcels in earlier seasons.
    """
    index, crops = (read_raster(folder / site / f"{name}.tif")[0][0] for name in ("parcels", "crops"))
    # Of the pixels of parcels, rims alone are to be ignored.
    interior = (index > 0) & (crops != IGNORE)
    own = table[table["site"] == site]
    pixels, perimeter = own[["row", "column"]].to_numpy(np.int64), own["perimeter_m"].to_numpy(np.float64)
    return _site_parcels(index.astype(np.uint32), interior, own, pixels, perimeter, history)


def _site_parcels(
    index: NDArray[np.uint32],
    interior: NDArray[np.bool_],
    table: pandas.DataFrame,
    points: NDArray[np.int64],
    perimeter: NDArray[np.float64],
    history: Path | None,
) -> SiteParcels:
    number = table["index"].to_numpy(np.int64)
    length = int(max(number.max(initial=0), index.max(initial=0))) + 1
    outlines = np.stack([perimeter, table["site_area_ha"].to_numpy(np.float64) * M2_PER_HA], axis=1)
    layers = ParcelLayers(index, interior, _by_index(number, points, length), _by_index(number, outlines, length))
    return SiteParcels(layers, number, table["parcel_id"].tolist(), history)


def _by_index(index: NDArray[np.int64], values: NDArray[_Value], length: int) -> NDArray[_Value]:
    """Rows of parcels at the place of their index; zeros where none is."""
    found = np.zeros((length, *values.shape[1:]), dtype=values.dtype)
    found[index] = values
    return found
