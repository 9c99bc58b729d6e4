"""Backscatter of each crop through the year: VV and VH, sigma0 in dB at 38 degrees.

The months January, April to September are the monthly values of FR23, BE19 and FL18 (M; beet and potato are a few
fields, U); between them the course is interpolated over the year. Crops that those samples do not hold follow a
relative, some days earlier or later and some tenths of a dB apart (E).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
# Middle of January and of April to September, days of the year.
_DAYS = np.array([15.5, 105, 135.5, 166, 196.5, 227.5, 258])


@dataclass(frozen=True)
class Course:
    """VV and VH in the seven months of the table, dB, and by how many days the crop is later than its row."""

    vv: tuple[float, ...]
    vh: tuple[float, ...]
    later_days: float = 0.0
    vv_db: float = 0.0
    vh_db: float = 0.0

    def like(self, later_days: float = 0.0, vv_db: float = 0.0, vh_db: float = 0.0) -> Course:
        """The course of a relative."""
        return Course(self.vv, self.vh, later_days, vv_db, vh_db)


_WHEAT = Course((-8, -13.5, -16, -13, -11.5, -10, -9.5), (-16.5, -18.5, -21, -19, -18.5, -19, -17.5))
_BARLEY = Course((-9, -14.5, -14, -9, -9.5, -10.5, -9), (-16, -20.5, -20, -15, -18.5, -19, -16.5))
_RAPESEED = Course((-8, -9, -8.5, -7.5, -12, -10, -8.5), (-15.5, -15, -12, -12, -19.5, -18, -16.5))
_MAIZE = Course((-9, -9.5, -10.5, -9.5, -10, -9, -9.5), (-16, -17.5, -19.5, -17, -16.5, -15.5, -16.5))
_SUNFLOWER = Course((-10.5, -9.5, -11, -8.5, -7, -7, -9), (-17, -18, -19, -17, -16, -16, -15.5))
_SOY = Course((-10.5, -11, -9, -10, -8, -8, -8), (-17, -17, -17, -18.5, -16, -15.5, -15))
_BEET = Course((-8, -9.5, -12.5, -6.5, -6, -5.5, -5.5), (-14, -17.5, -22.5, -14.5, -14, -13.5, -13.5))
_POTATO = Course((-9, -10, -8.5, -6.5, -7, -9, -11), (-18, -20, -18.5, -13.5, -13.5, -16.5, -19.5))
_GRASS = Course((-10, -12.5, -11.5, -10.5, -11, -11, -11.5), (-17.5, -18.5, -17.5, -16.5, -17, -18, -18))
_VINES = Course((-10, -11, -9.5, -8.5, -9, -9.5, -9), (-16, -17.5, -16.5, -16, -16, -17, -16))
# Spring-sown, broad-leaved and small: bare soil until April, volume scattering in June (E).
_PEAS = Course((-9, -10, -11, -8.5, -10.5, -10, -9.5), (-16.5, -18.5, -18, -14.5, -18.5, -18.5, -17))
_FLAX = Course((-9, -10, -12, -10.5, -10.5, -10, -9.5), (-16.5, -18.5, -19, -16.5, -18.5, -18.5, -17))

BACKSCATTER: dict[str, Course] = {
    "winter_wheat": _WHEAT,
    "winter_durum": _WHEAT.like(-8, 0.3, 0.3),
    "triticale": _WHEAT.like(-5, 0.8, 0.6),
    "rye": _WHEAT.like(-9, 0.9, 0.8),
    "oats": _WHEAT.like(6, 1.0, 1.2),
    "winter_barley": _BARLEY,
    "spring_barley": _BARLEY.like(26, 0.3, 0.2),
    "rapeseed": _RAPESEED,
    "maize": _MAIZE,
    "sorghum": _MAIZE.like(9, -0.4, 0.3),
    "sunflower": _SUNFLOWER,
    "soy": _SOY,
    "sugar_beet": _BEET,
    "carrot": _BEET.like(24, -1.2, -1.4),
    "potato": _POTATO,
    "onion": _POTATO.like(4, -1.6, -2.0),
    "peas": _PEAS,
    "winter_peas": _PEAS.like(-16, 0.2, 0.3),
    "field_beans": _PEAS.like(16, 0.4, 0.9),
    "lentils": _PEAS.like(12, -0.8, -1.2),
    "flax": _FLAX,
    "hemp": _FLAX.like(22, 1.2, 2.0),
    "buckwheat": _SOY.like(4, -0.4, -0.2),
    "alfalfa": _GRASS.like(0, 0.9, 1.3),
    "temporary_grass": _GRASS.like(0, 0.3, 0.3),
    "permanent_grass": _GRASS,
    "buffer_strip": _GRASS.like(0, 0.4, 0.6),
    "fallow": _VINES.like(0, -0.6, -0.3),
    "vines": _VINES,
    "orchard": _VINES.like(0, 0.6, 1.0),
}

# Verge, woodland, built, water: VV and VH, dB (E).
OTHERS_DB = np.array([[-11.0, -17.0], [-8.5, -14.0], [-4.0, -12.0], [-19.0, -27.0]], np.float32)


def course(crop: str, days: Float32) -> tuple[Float32, Float32]:
    """VV and VH of a crop on days of its own calendar, dB, the shape of ``days``."""
    row = BACKSCATTER[crop]
    day = days - row.later_days
    vv = np.interp(day, _DAYS, row.vv, period=365.25) + row.vv_db
    vh = np.interp(day, _DAYS, row.vh, period=365.25) + row.vh_db
    return vv.astype(np.float32), vh.astype(np.float32)
