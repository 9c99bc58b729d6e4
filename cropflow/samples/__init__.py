"""Parcels and composites become samples: label rasters, spatial folds without leaks, patches."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cropflow.samples.blocks import block_fold
    from cropflow.samples.folds import assign_folds
    from cropflow.samples.rasters import rasterise_parcels

__all__ = ["assign_folds", "block_fold", "rasterise_parcels"]

_MODULES = {"assign_folds": "folds", "block_fold": "blocks", "rasterise_parcels": "rasters"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
