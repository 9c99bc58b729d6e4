"""The layers of a site: parcels, crops and folds, and why each pixel may or may not be learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas
import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.sections import SampleSet
from cropflow.regions.grid import Grid
from cropflow.samples.blocks import block_fold, ring
from cropflow.samples.labels import BACKGROUND, NO_FOLD, UNKNOWN
from cropflow.samples.rasters import ParcelRasters, crop_raster, rasterise_interiors, rasterise_parcels

# What becomes of a pixel; the first that holds, in this order, is its reason.
REASONS = ("outside", "rim", "out_of_scope", "unknown", "other_fold", "ring", "no_value", "usable")
USABLE = REASONS.index("usable")


@dataclass(frozen=True)
class Layers:
    """The label layers of a site.

    Attributes:
        grid: The pixel grid.
        rasters: Parcel index and interior.
        crops: Crop id, 0 background or out of scope, 65534 unknown, 65535 ignore, uint16, ``(y, x)``.
        folds: Fold in which the pixel may be used, 255 = none, uint8, ``(y, x)``.
        truth: Crop of the pixel's parcel, rims included, uint16, ``(y, x)``.
        reason: Index into ``REASONS``, uint8, ``(y, x)``.
    """

    grid: Grid
    rasters: ParcelRasters
    crops: NDArray[np.uint16]
    folds: NDArray[np.uint8]
    truth: NDArray[np.uint16]
    reason: NDArray[np.uint8]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """True where a pixel is learnt from or scored, bool, ``(y, x)``."""
        return np.equal(self.reason, USABLE)


def build_layers(
    parcels: geopandas.GeoDataFrame,
    crop: NDArray[np.uint16],
    fold: NDArray[np.uint8],
    grid: Grid,
    folds: pandas.DataFrame,
    has_value: NDArray[np.bool_],
    settings: SampleSet,
) -> Layers:
    """Make the layers of a site.

    Args:
        parcels: Parcels clipped to the site: ``index`` 1..n, ``cut``, ``geometry``.
        crop: Crop of each parcel, in their order, uint16.
        fold: Fold of each parcel, in their order, uint8.
        grid: The pixel grid.
        folds: Table of blocks.
        has_value: True where every period has a value, bool, ``(y, x)``.
        settings: Buffer, ring, and what pixels outside parcels are.

    Raises:
        ValueError: If ``has_value`` is not on the grid.
    """
    if has_value.shape != grid.shape:
        raise ValueError(f"has_value has the shape {has_value.shape}, the grid {grid.shape}")
    burnt = rasterise_parcels(parcels, grid)
    rasters = rasterise_interiors(parcels, burnt, grid, settings.inner_buffer_m)
    index = parcels["index"].to_numpy()
    crop_of, fold_of = np.zeros(len(parcels) + 1, np.uint16), np.zeros(len(parcels) + 1, np.uint8)
    crop_of[index], fold_of[index] = crop, fold
    fold_of[0] = NO_FOLD
    crop_of[0] = BACKGROUND if settings.outside == "background" else UNKNOWN
    block = block_fold(grid, folds)
    in_ring = ring(grid, folds, settings.folds.ring_m)
    inside = burnt > 0
    own = fold_of[burnt] == block if settings.outside == "unknown" else ~inside | (fold_of[burnt] == block)
    own &= block != NO_FOLD
    truth = crop_of[burnt]
    reason = np.full(grid.shape, USABLE, dtype=np.uint8)
    lost = {
        "outside": ~inside & (settings.outside == "unknown"),
        "rim": inside & ~rasters.interior,
        "out_of_scope": (truth == BACKGROUND) & (not settings.background),
        "unknown": truth == UNKNOWN,
        "other_fold": ~own,
        "ring": in_ring,
        "no_value": ~has_value,
    }
    for name in reversed(REASONS[:USABLE]):
        reason[lost[name]] = REASONS.index(name)
    return Layers(
        grid=grid,
        rasters=rasters,
        crops=crop_raster(rasters, crop_of),
        folds=np.where(own & ~in_ring, block, NO_FOLD).astype(np.uint8),
        truth=truth,
        reason=reason,
    )
