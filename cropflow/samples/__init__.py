"""Parcels and composites become samples: label rasters, spatial folds without leaks, patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.samples.blocks import block_fold
    from cropflow.samples.folds import assign_folds
    from cropflow.samples.rasters import rasterise_parcels

__all__ = ["assign_folds", "block_fold", "rasterise_parcels"]

__getattr__ = lazy(
    __name__,
    {"assign_folds": "folds", "block_fold": "blocks", "rasterise_parcels": "rasters"},
)
