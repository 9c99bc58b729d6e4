"""Labels: read a register of parcels, clean it, and map its codes to a legend."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cropflow.labels.area import ellipsoidal_area_ha, ellipsoidal_perimeter_m
    from cropflow.labels.cropland import cropland_share
    from cropflow.labels.download import download
    from cropflow.labels.legend import Legend, read_legend, read_table
    from cropflow.labels.mapping import map_codes
    from cropflow.labels.parcels import clean
    from cropflow.labels.registers import read_register

__all__ = [
    "Legend",
    "clean",
    "cropland_share",
    "download",
    "ellipsoidal_area_ha",
    "ellipsoidal_perimeter_m",
    "map_codes",
    "read_legend",
    "read_register",
    "read_table",
]

_HOMES = {
    "Legend": "legend",
    "clean": "parcels",
    "cropland_share": "cropland",
    "download": "download",
    "ellipsoidal_area_ha": "area",
    "ellipsoidal_perimeter_m": "area",
    "map_codes": "mapping",
    "read_legend": "legend",
    "read_register": "registers",
    "read_table": "legend",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
