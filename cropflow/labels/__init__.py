"""Labels: read a register of parcels, clean it, and map its codes to a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.labels.annotation import annotate, in_8_bits
    from cropflow.labels.area import ellipsoidal_area_ha, ellipsoidal_perimeter_m
    from cropflow.labels.cropland import cropland_share
    from cropflow.labels.download import download
    from cropflow.labels.legend import Legend, read_legend, read_table
    from cropflow.labels.mapping import map_codes
    from cropflow.labels.parcels import clean
    from cropflow.labels.registers import read_register
    from cropflow.labels.windows import harvest_windows, windows_of

__all__ = [
    "Legend",
    "annotate",
    "clean",
    "cropland_share",
    "download",
    "ellipsoidal_area_ha",
    "ellipsoidal_perimeter_m",
    "harvest_windows",
    "in_8_bits",
    "map_codes",
    "read_legend",
    "read_register",
    "read_table",
    "windows_of",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Legend": "legend",
        "annotate": "annotation",
        "clean": "parcels",
        "cropland_share": "cropland",
        "download": "download",
        "ellipsoidal_area_ha": "area",
        "ellipsoidal_perimeter_m": "area",
        "harvest_windows": "windows",
        "in_8_bits": "annotation",
        "map_codes": "mapping",
        "read_legend": "legend",
        "read_register": "registers",
        "read_table": "legend",
        "windows_of": "windows",
    },
)
