"""The numbers of the simulated sensors: value, unit, how sure they are, and where they come from.

Marks: M measured on real samples, P published or official, E expert value, U unsure (a setting, or a case for a
sensitivity run). Samples: FL18 one 640 m square in Flanders, Sentinel-2 Aug 2017 to Nov 2018 and Sentinel-1 2018;
BE19 two Belgian squares, Sentinel-1, Oct 2018 to Oct 2019; FR23 500 pixels of French parcels, Oct 2022 to Sep 2023.
The numbers are rounded and describe one or two years each; none was chosen by looking at a classification score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Parameter:
    """One number or a few that belong together."""

    value: float | tuple[float, ...]
    unit: str
    mark: Literal["M", "P", "E", "U"]
    source: str


class Table(dict[str, Parameter]):
    """Parameters by name; a name that is not there, or holds another count of numbers, is a bug."""

    def number(self, name: str) -> float:
        """A parameter that is one number."""
        value = self[name].value
        if isinstance(value, tuple):
            raise TypeError(f"parameter {name} has {len(value)} numbers, expected one")
        return value

    def numbers(self, name: str) -> tuple[float, ...]:
        """A parameter that is several numbers."""
        value = self[name].value
        if not isinstance(value, tuple):
            raise TypeError(f"parameter {name} is one number, expected several")
        return value

    def limits(self, name: str) -> tuple[float, float]:
        """A parameter that is a range."""
        low, high = self.numbers(name)
        return low, high


TABLE = Table({
    # --- phenology ---------------------------------------------------------------------------------------------
    "phenology.parcel_shift": Parameter(4.0, "days, sd", "E", "sd of heading dates; heading itself Cere'Obs 2019"),
    "phenology.region_shift": Parameter(4.0, "days, sd", "E", "region +-10 d"),
    "phenology.region_limit": Parameter(10.0, "days", "E", "region +-10 d, latitude included"),
    "phenology.latitude_shift": Parameter(1.5, "days per degree from 47", "E", "the north is 1-2 weeks later"),
    "phenology.year_shift": Parameter(5.5, "days, sd", "E", "5-6 d; wheat harvest moved 10-14 d from 2021 to 2022"),
    "phenology.rate": Parameter(0.15, "share, sd", "E", "speed of growth and ripening"),
    "phenology.peak": Parameter(0.08, "cover, sd", "M", "FR23: NDVI sd .05-.08 at the peak"),
    "weather.shared": Parameter(0.5, "share of variance", "E", "drought, dry spells: common to a year (FR23, FL18)"),
    "phenology.vigour": Parameter(0.03, "share, sd", "E", "weather of a season, all crops of a region"),
    "phenology.catch_share": Parameter(2 / 3, "share", "M", "FR23, FL18: two thirds green, one third bare"),
    "phenology.drought": Parameter((0.0, 1.0), "range", "M", "FL18: grass NDVI down to .45-.50 in July-August 2018"),
    "phenology.drought_depth": Parameter(0.55, "share of green cover lost", "M", "FL18, the same"),
    "phenology.cuts": Parameter((3.0, 5.0), "cuts a year", "E", "temporary grass and alfalfa"),
    "phenology.cut_depth": Parameter((0.25, 0.5), "share of cover", "E", "NDVI -.2 to -.4 for 2-3 weeks"),
    "phenology.cut_recovery": Parameter(9.0, "days, e-fold", "E", "2-3 weeks until the cut is no longer seen"),
    "pixel.length": Parameter((20.0, 60.0), "m", "U", "correlation length inside a parcel"),
    "pixel.near_infrared": Parameter(0.06, "share, sd", "M", "FL18: NIR varies by 9 % inside a parcel, all causes"),
    # --- spectra -----------------------------------------------------------------------------------------------
    "soil.levels": Parameter((0.55, 0.8, 1.05, 1.35), "times the reference soil", "E", "four brightness levels"),
    "soil.wetness": Parameter((0.6, 1.0), "factor, wet to dry", "E", "wet/dry factor 0.6-1"),
    "canopy.parcel": Parameter((0.06, 0.05, 0.06, 0.08), "share, sd: visible, red edge, NIR, SWIR", "E", "varieties"),
    # --- Sentinel-2 --------------------------------------------------------------------------------------------
    "sentinel2.revisit": Parameter(5.0, "days", "P", "ESA: two satellites; orbits alternate here"),
    "sentinel2.blur": Parameter((1.2, 1.5), "pixels, FWHM", "U", "Gaussian, 10 m and 20 m bands separately"),
    "sentinel2.registration": Parameter((12.0, 5.0), "m, 95 %: before, from April 2021", "P", "ESA, CESBIO"),
    "sentinel2.orbit": Parameter(0.05, "share of NIR", "U", "BRDF, neighbouring orbits"),
    "sentinel2.noise": Parameter((0.0015, 0.01), "reflectance, share of it; sd", "E", "radiometric noise"),
    "sentinel2.haze_bias": Parameter(0.004, "reflectance in blue, sd per scene", "E", "aerosol correction"),
    "sentinel2.dark": Parameter(0.03, "reflectance", "E", "below this a pixel is dark"),
    "sentinel2.dark_negative": Parameter((0.005, 0.02), "share of dark pixels at or below 0", "U", "after the offset"),
    "sentinel2.duplicates": Parameter(0.03, "share of scenes", "M", "Earth Search: about 21 of 843 items"),
    # --- clouds ------------------------------------------------------------------------------------------------
    "clouds.usable": Parameter(0.49, "share, Flanders, 16 months", "M", "FL18: .49; .54 in the sunny year 2018"),
    "clouds.lost_otherwise": Parameter(0.17, "share of cloud-free ground", "E", "cirrus, shadow, invented cloud"),
    "clouds.usable_by_latitude": Parameter(-0.016, "share per degree from 51", "U", ".30-.45 north, .55-.70 south"),
    "clouds.month": Parameter(
        (-0.16, -0.10, -0.07, 0.01, 0.04, 0.09, 0.15, 0.15, 0.11, -0.04, -0.14, -0.18),
        "share, January to December (northern hemisphere)", "E", "FR23: months without a value; rounded",
    ),
    "clouds.broken": Parameter(0.22, "share of scenes at half cover", "M", "FL18: 38 % < 5 % clear, 44 % > 95 % clear"),
    "clouds.persistence": Parameter((2.0, 25.0), "days, e-fold: weather, spells", "M", "FR23: gap after gap .47, .36"),
    "clouds.spell_share": Parameter(0.1, "share of variance", "E", "FR23: whole months without a value"),
    "clouds.sizes": Parameter(
        (30e3, 15e3, 7.5e3, 3.7e3, 1.8e3, 900.0, 450.0, 225.0, 110.0), "m", "E", "power law .3-30 km; edges finer"
    ),
    "clouds.size_exponent": Parameter(1 / 3, "amplitude by wavelength", "E", "-5/3 law"),
    "clouds.height": Parameter((500.0, 3000.0), "m", "E", "sets the shift of shadows"),
    "clouds.shadow": Parameter(0.62, "share of light lost under thick cloud, NIR", "E", "diffuse light remains"),
    "clouds.cirrus": Parameter(0.14, "share of scenes", "M", "FL18: class 10 is .06 of all pixels"),
    "haze.share": Parameter(0.5, "share of scenes", "M", "FL18: class 7 is .09 and half of it is contaminated"),
    "haze.opacity": Parameter(0.085, "opacity, typical", "M", "FL18: class 7 has blue +.045, NDVI -.10"),
    "scl.missed_shadow": Parameter(0.45, "share of shaded pixels", "U", "3-5 % of clear pixels near clouds"),
    "scl.bright_as_cloud": Parameter(0.035, "share of bright clear pixels", "U", "2-5 %"),
    "scl.unclassified": Parameter(0.07, "share of clear pixels called 7", "M", "FL18: half of class 7 is clear"),
    "scl.snow": Parameter(0.02, "share of cloud called 11", "M", "FL18: class 11 is .01 of all pixels"),
    # --- weather of the soil -----------------------------------------------------------------------------------
    "moisture.dry_month": Parameter((1.75, 2.5), "dB lost, VV and VH", "M", "FR23: February 2023"),
    "moisture.rain": Parameter((1.0, 3.0), "dB gained", "U", "rain"),
    "moisture.rain_days": Parameter((1.0, 3.0), "days", "U", "rain"),
    "moisture.frost": Parameter(3.0, "dB lost", "U", "frozen soil"),
    "moisture.canopy": Parameter(0.7, "share hidden by full cover", "U", "damped under canopy"),
    # --- Sentinel-1 --------------------------------------------------------------------------------------------
    "sentinel1.looks": Parameter(4.4, "equivalent looks", "E", "ESA; 3.8-4.7 on maize, FL18"),
    "sentinel1.resolution": Parameter((20.0, 22.0), "m, range and azimuth", "P", "ESA, IW GRD"),
    "sentinel1.parcel": Parameter(1.25, "dB, sd", "M", "FR23: 1.0-1.5, order of magnitude"),
    "sentinel1.parcel_correlation": Parameter(0.7, "VV-VH", "M", "FR23"),
    "sentinel1.incidence": Parameter((29.0, 46.0), "degrees", "P", "swath of IW"),
    "sentinel1.incidence_power": Parameter((2.0, 1.5), "N of cos^N, VV and VH", "U", "Remote Sens. 2024, 16, 3838"),
    "sentinel1.row_direction": Parameter(1.0, "dB, limit", "U", "rows by azimuth"),
    "sentinel1.repeat": Parameter((6.0, 12.0), "days: before, from 23 Dec 2021", "E", "one satellite lost"),
    "sentinel1.missing": Parameter(0.045, "share of passes", "E", "issue threads: 4-5 %"),
    "sentinel1.border": Parameter(0.04, "share of passes with a swath edge inside", "E", "that it happens: P"),
    "sentinel1.border_width": Parameter((100.0, 500.0), "m of noise along the edge", "E", "very low or zero values"),
    "sentinel1.border_level": Parameter((-45.0, -30.0), "dB, noise along the edge", "E", "below any ground"),
    "sentinel1.border_zero": Parameter(0.3, "share of the noise that is zero, -60 dB", "E", "issue threads"),
    "sentinel1.overflow": Parameter(1.0, "scenes of a landscape and season", "P", "issue threads: int16"),
    "sentinel1.overflow_scale": Parameter(10_000.0, "integers per dB", "E", "int16 holds +-3.2768 dB of them"),
})  # fmt: skip

number, numbers = TABLE.number, TABLE.numbers


def markdown_rows(table: Mapping[str, Parameter]) -> list[str]:
    """The rows of a parameter table in the documentation: name, value, unit, mark, source."""
    rows = []
    for name, parameter in table.items():
        values = parameter.value if isinstance(parameter.value, tuple) else (parameter.value,)
        shown = ", ".join(f"{value:.4g}" for value in values)
        rows.append(f"| `{name}` | {shown} | {parameter.unit} | {parameter.mark} | {parameter.source} |")
    return rows
