"""What each crop does when: dates, covers and colours of an average year, the table behind the phenology.

Days count from 1 January of the harvest year (negative: the autumn before), for 47 degrees north; the southern
hemisphere is half a year later. The dates were set so that the NDVI of an average parcel meets the monthly medians of
FR23 and FL18 (marked M there) and expert values for the crops that those samples do not hold (E): see
``docs/simulation.md``. Crops without a row of their own there follow their nearest relative (E).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Flowering:
    """A colour for some weeks: day of the peak, width in days (sd), share of the green cover that turns."""

    day: float
    width_days: float
    share: float
    pale: bool = False


@dataclass(frozen=True)
class Annual:
    """A crop that is sown and harvested.

    Attributes:
        sown: Day of sowing; the ground is cleared some days before.
        rise: Day on which half the cover is reached, and ``rise_days`` its logistic scale.
        fade: Day on which half the cover has turned to straw, and ``fade_days`` its scale.
        harvest: Day of harvest.
        peak: Green cover at its fullest.
        straw: Share of the faded cover that stands until harvest.
        stubble: Cover of stubble after harvest; fades over two months.
        regrowth: Green cover after harvest (volunteers, weeds, cover crop) and days from harvest to half of it.
        winter: What stands before: the rest of the crop before (autumn sowing) or a catch crop or none (spring).
        clearing: Day on which a catch crop is destroyed.
        flowering: Flowers that colour the canopy.
        sowing_sd: Spread of emergence between parcels, days; ``harvest_sd`` of ripening and harvest.
        canopy: Factors on the reflectance of full green cover: visible, red edge, near infrared, short-wave infrared.
        texture: Spread of cover inside a parcel at mid cover, sd.
    """

    sown: float
    rise: float
    rise_days: float
    fade: float
    fade_days: float
    harvest: float
    peak: float
    winter: Literal["before", "catch"]
    straw: float = 0.8
    stubble: float = 0.45
    regrowth: tuple[float, float] = (0.2, 40.0)
    clearing: float = 0.0
    flowering: Flowering | None = None
    sowing_sd: float = 7.0
    harvest_sd: float = 6.0
    canopy: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    texture: float = 0.07


@dataclass(frozen=True)
class Perennial:
    """A stand that stays.

    Attributes:
        cover: Green cover in the middle of each month, January to December, before cuts.
        straw: Dry cover as a share of what is not green.
        cuts: Days of the cuts that a parcel may have.
        cut_share: Share of parcels that have any cut.
        drought: How much of the drought of a region reaches the stand, 0 to 1.
        sward: Spread of cover between parcels, sd.
        bare_winter: Share of parcels whose ground is bare in winter (rows without grass).
        canopy: As for annual crops.
        texture: As for annual crops.
    """

    cover: tuple[float, ...]
    straw: float = 0.5
    cuts: tuple[float, ...] = ()
    cut_share: float = 0.0
    drought: float = 1.0
    sward: float = 0.08
    bare_winter: float = 0.0
    canopy: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    texture: float = 0.045
    flowering: Flowering | None = None


Calendar = Annual | Perennial

_WHEAT = Annual(
    -75, 14, 35, 176, 6, 198, 0.95, "before", regrowth=(0.19, 35), sowing_sd=12, canopy=(1.0, 1.0, 0.97, 0.95)
)
_BARLEY = Annual(
    -85, 8, 36, 156, 8, 176, 0.98, "before", straw=0.75, regrowth=(0.52, 42), sowing_sd=12,
    canopy=(1.0, 1.1, 1.0, 1.0),
)  # fmt: skip
_SPRING_BARLEY = Annual(
    65, 122, 10, 178, 6, 200, 0.87, "catch", clearing=40, regrowth=(0.13, 45), canopy=(1.15, 1.1, 1.02, 1.0)
)
_RAPESEED = Annual(
    -130, -58, 30, 180, 6, 195, 0.86, "before", straw=0.7, stubble=0.35, regrowth=(0.66, 22), sowing_sd=12,
    flowering=Flowering(110, 15, 0.34), canopy=(1.05, 0.95, 1.1, 1.05),
)  # fmt: skip
_MAIZE = Annual(
    118, 175, 8, 264, 11, 282, 0.92, "catch", clearing=111, stubble=0.5, regrowth=(0.15, 30), sowing_sd=8, harvest_sd=8,
    canopy=(1.0, 0.98, 0.9, 0.95), texture=0.1,
)  # fmt: skip
_SUNFLOWER = Annual(
    112, 174, 8, 252, 10, 268, 0.8, "catch", straw=0.55, clearing=101, regrowth=(0.25, 30),
    flowering=Flowering(200, 7, 0.12), sowing_sd=8, harvest_sd=7, canopy=(1.1, 1.05, 1.05, 1.1), texture=0.09,
)  # fmt: skip
_SOY = Annual(
    125, 192, 9, 257, 7, 274, 0.96, "catch", straw=0.6, clearing=116, regrowth=(0.15, 30), sowing_sd=8,
    canopy=(1.0, 1.0, 1.15, 1.0), texture=0.08,
)  # fmt: skip
_BEET = Annual(
    82, 161, 9, 300, 28, 302, 0.85, "catch", straw=0.3, stubble=0.1, clearing=60, regrowth=(0.1, 30), harvest_sd=15,
    canopy=(1.0, 1.1, 1.18, 0.95), texture=0.08,
)  # fmt: skip
_POTATO = Annual(
    105, 152, 6, 228, 11, 256, 0.88, "catch", straw=0.4, stubble=0.1, clearing=64, regrowth=(0.2, 30), harvest_sd=9,
    flowering=Flowering(178, 8, 0.06, pale=True), canopy=(1.1, 1.05, 1.08, 0.95), texture=0.09,
)  # fmt: skip
_PEAS = Annual(
    60, 120, 9, 174, 5, 191, 0.88, "catch", straw=0.7, clearing=38, regrowth=(0.17, 35),
    flowering=Flowering(148, 8, 0.08, pale=True), canopy=(1.1, 1.05, 1.1, 1.0),
)  # fmt: skip
_FLAX = Annual(
    78, 121, 8, 183, 5, 191, 0.88, "catch", clearing=50, stubble=0.6, regrowth=(0.15, 50),
    flowering=Flowering(160, 5, 0.18, pale=True), canopy=(1.1, 1.1, 0.95, 1.05),
)  # fmt: skip
_GRASS = Perennial(
    (0.76, 0.74, 0.81, 0.91, 0.94, 0.76, 0.75, 0.80, 0.80, 0.82, 0.82, 0.78),
    cuts=(140.0, 190.0, 250.0), cut_share=0.5, sward=0.27, canopy=(1.0, 1.0, 0.95, 1.05),
)  # fmt: skip
_LEY = Perennial(
    (0.80, 0.79, 0.86, 0.96, 0.86, 0.79, 0.93, 0.98, 0.82, 0.86, 0.88, 0.84),
    cuts=(128.0, 164.0, 205.0, 245.0, 283.0), cut_share=1.0, drought=0.8, sward=0.28, canopy=(0.95, 1.02, 1.05, 1.0),
)  # fmt: skip
_ALFALFA = Perennial(
    (0.66, 0.68, 0.80, 0.95, 0.88, 0.80, 0.95, 0.98, 0.82, 0.84, 0.80, 0.72),
    cuts=(132.0, 170.0, 208.0, 248.0, 290.0), cut_share=1.0, drought=0.35, sward=0.28,
    flowering=Flowering(166, 6, 0.06, pale=True), canopy=(0.95, 0.98, 1.15, 0.95),
)  # fmt: skip
_VINES = Perennial(
    (0.68, 0.60, 0.48, 0.44, 0.71, 0.70, 0.64, 0.64, 0.78, 0.80, 0.82, 0.74),
    drought=0.3, sward=0.12, bare_winter=0.3, canopy=(1.15, 1.0, 0.85, 1.05), texture=0.06,
)  # fmt: skip
_ORCHARD = Perennial(
    (0.58, 0.56, 0.58, 0.66, 0.76, 0.76, 0.72, 0.71, 0.70, 0.68, 0.64, 0.60),
    drought=0.3, sward=0.12, bare_winter=0.1, canopy=(0.9, 0.9, 0.78, 0.85), texture=0.09,
    flowering=Flowering(100, 8, 0.12, pale=True),
)  # fmt: skip
_FALLOW = Perennial(
    (0.60, 0.59, 0.61, 0.67, 0.70, 0.69, 0.65, 0.73, 0.71, 0.68, 0.67, 0.63),
    straw=0.6, cuts=(185.0,), cut_share=0.4, sward=0.21, canopy=(1.05, 1.0, 0.9, 1.1), texture=0.06,
)  # fmt: skip

PHENOLOGY: dict[str, Calendar] = {
    "winter_wheat": _WHEAT,
    "winter_durum": replace(_WHEAT, rise=10, fade=168, harvest=188, peak=0.87, canopy=(1.08, 1.05, 0.94, 1.02)),
    "winter_barley": _BARLEY,
    "spring_barley": _SPRING_BARLEY,
    "triticale": replace(_WHEAT, rise=20, fade=160, fade_days=7, harvest=193, peak=0.97, canopy=(1.0, 1.02, 1.0, 0.98)),
    "rye": replace(_WHEAT, rise=-4, fade=165, fade_days=8, harvest=201, peak=0.9, canopy=(1.0, 1.0, 0.9, 1.02)),
    "oats": replace(_WHEAT, rise=26, fade=181, harvest=203, peak=0.88, canopy=(1.12, 1.1, 1.02, 1.0)),
    "rapeseed": _RAPESEED,
    "maize": _MAIZE,
    "sorghum": replace(_MAIZE, sown=135, rise=186, peak=0.84, fade=258, harvest=276, canopy=(1.05, 1.0, 0.92, 1.05)),
    "sunflower": _SUNFLOWER,
    "soy": _SOY,
    "sugar_beet": _BEET,
    "carrot": replace(_BEET, sown=110, rise=182, peak=0.75, harvest=288, canopy=(1.15, 1.1, 1.0, 0.95)),
    "potato": _POTATO,
    "onion": replace(_POTATO, sown=75, rise=158, rise_days=11, peak=0.6, fade=212, harvest=232, flowering=None),
    "peas": _PEAS,
    "winter_peas": replace(
        _PEAS, sown=-50, rise=78, rise_days=16, fade=162, harvest=178, winter="before",
        flowering=Flowering(132, 9, 0.08, pale=True),
    ),
    "field_beans": replace(
        _PEAS, sown=62, rise=120, fade=196, fade_days=6, harvest=222, peak=0.86, canopy=(1.05, 1.0, 1.15, 0.95),
        flowering=Flowering(145, 9, 0.1, pale=True),
    ),
    "lentils": replace(_PEAS, sown=78, rise=132, peak=0.7, fade=182, harvest=202, flowering=None),
    "flax": _FLAX,
    "hemp": replace(
        _FLAX, sown=105, rise=148, rise_days=7, peak=0.95, fade=236, harvest=250, clearing=85, flowering=None,
        canopy=(0.9, 0.95, 1.05, 0.9),
    ),
    "buckwheat": replace(
        _FLAX, sown=148, rise=178, rise_days=6, peak=0.84, fade=240, fade_days=8, harvest=260, clearing=125,
        flowering=Flowering(208, 14, 0.25, pale=True), canopy=(1.1, 1.05, 1.05, 1.0),
    ),
    "alfalfa": _ALFALFA,
    "temporary_grass": _LEY,
    "permanent_grass": _GRASS,
    "vines": _VINES,
    "orchard": _ORCHARD,
    "fallow": _FALLOW,
    "buffer_strip": replace(_GRASS, cover=tuple(0.9 * cover for cover in _GRASS.cover), texture=0.06),
}  # fmt: skip
