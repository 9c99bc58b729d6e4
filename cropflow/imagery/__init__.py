"""Scenes of a region and season: found, judged, harmonised and written to the site grids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.imagery.catalog import Decision, judge_scenes
    from cropflow.imagery.export import export_scenes
    from cropflow.imagery.items import find_items
    from cropflow.imagery.offsets import harmonise
    from cropflow.imagery.safe import find_products
    from cropflow.imagery.scenes import Scene
    from cropflow.imagery.seasons import whole_months
    from cropflow.imagery.sentinel2 import read_scene
    from cropflow.imagery.windows import read_layer

__all__ = [
    "Decision",
    "Scene",
    "export_scenes",
    "find_items",
    "find_products",
    "harmonise",
    "judge_scenes",
    "read_layer",
    "read_scene",
    "whole_months",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Decision": "catalog",
        "Scene": "scenes",
        "export_scenes": "export",
        "find_items": "items",
        "find_products": "safe",
        "harmonise": "offsets",
        "judge_scenes": "catalog",
        "read_layer": "windows",
        "read_scene": "sentinel2",
        "whole_months": "seasons",
    },
)
