"""The parcels of a place as the register declares them: outline, crop, and the fold that each belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cropflow.regions.grid import Grid

if TYPE_CHECKING:
    import geopandas
    import pandas

UNDECLARED = -1


@dataclass(frozen=True)
class SiteParcels:
    """The parcels of one site.

    Attributes:
        table: One row per parcel in the order of ``index`` (1..n), in the site's UTM zone, with ``site``.
        declared: Crop of each row: id of the legend, 0 out of its scope, 65534 unknown, -1 undeclared, int32,
            ``(parcel,)``.
        fold: Fold of each parcel by its index, uint8, ``(index,)``, 255 at 0; None where no model learnt here.
    """

    table: geopandas.GeoDataFrame
    declared: NDArray[np.int32]
    fold: NDArray[np.uint8] | None


def read_declared(
    folder: Path, crops: Path | None, grids: Mapping[str, Grid], folds: pandas.DataFrame | None
) -> dict[str, SiteParcels]:
    """Read the parcels of all sites.

    Args:
        folder: Holds ``<site>.parquet`` for every site.
        crops: Table of ``parcel_id`` and ``crop``; all parcels are undeclared where absent.
        grids: Site -> grid.
        folds: Table of blocks and their folds, where models learnt in the region.

    Raises:
        CropflowError: If a file is missing, lies in another CRS, or a parcel has no crop or no fold.
    """
    import pandas

    from cropflow.samples.blocks import block_size
    from cropflow.samples.labels import NO_FOLD, UNKNOWN
    from cropflow.samples.parcels import gather, look_up_folds, place_in_blocks, read_crops, read_parcels

    tables = read_parcels(folder, grids)
    names = sorted({name for table in tables.values() for name in table["parcel_id"]})
    declared = read_crops(crops) if crops is not None else pandas.Series(UNKNOWN, index=names, dtype="uint16")
    together = gather(tables, declared)
    fold = look_up_folds(place_in_blocks(together, block_size(folds)), folds) if folds is not None else None
    found = {}
    for site, table in tables.items():
        here = (together["site"] == site).to_numpy()
        crop = together.loc[here, "crop"].to_numpy(dtype=np.int32)
        found[site] = SiteParcels(
            table.sort_values("index", ignore_index=True).assign(site=site),
            crop if crops is not None else np.full_like(crop, UNDECLARED),
            np.append(np.uint8(NO_FOLD), fold[here].to_numpy(dtype=np.uint8)) if fold is not None else None,
        )
    return found
