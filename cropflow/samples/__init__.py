"""Parcels and composites become samples: label rasters, spatial folds without leaks, patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.samples.blocks import block_fold
    from cropflow.samples.folds import assign_folds
    from cropflow.samples.rasters import rasterise_parcels
    from cropflow.samples.sources import read_composites
    from cropflow.samples.stack import Stack

__all__ = ["Stack", "assign_folds", "block_fold", "rasterise_parcels", "read_composites"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Stack": "stack",
        "assign_folds": "folds",
        "block_fold": "blocks",
        "rasterise_parcels": "rasters",
        "read_composites": "sources",
    },
)
