"""Cover of green plants, straw and flowers of every parcel on every date.

Annual crops follow a double logistic with events (clearing, sowing, flowering, harvest, regrowth); perennial stands
follow a monthly course with cuts and drought. A parcel's jitter moves its own calendar and scales its own cover: it is
drawn once per season, never per date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.simulation.calendars import PHENOLOGY, Annual, Calendar, Flowering, Perennial
from cropflow.simulation.noise import logistic
from cropflow.simulation.parameters import number, numbers
from cropflow.simulation.spectra import GREEN, GROUP, Covers
from cropflow.simulation.weather import Conditions

Float32 = NDArray[np.float32]

# Middle of each month, days of the year.
MONTH_DAYS = np.array([15.5, 45, 74.5, 105, 135.5, 166, 196.5, 227.5, 258, 288.5, 319, 349.5])
_NORMALS = (
    "shift", "sowing", "harvest", "rate", "peak", "winter", "clearing", "regrowth", "sward", "season",
    "visible", "red_edge", "near_infrared", "short_wave", "radar", "radar_vv", "radar_vh", "radar_slow",
)  # fmt: skip
_CUTS = 6


@dataclass(frozen=True)
class Traits:
    """What sets one parcel apart from others of its crop.

    Attributes:
        normal: Name -> standard normal values times the knob ``parcel_variation``, float32 ``(parcel,)``.
        cut_days: Jitter of cuts, like ``normal``, float32 ``(parcel, cut)``.
        cut_order: Which cuts a parcel skips first, uniform, ``(parcel, cut)``.
        covered: True where a catch crop stands in winter, ``(parcel,)``.
        regrown: True where a cover crop follows the harvest, ``(parcel,)``.
        choice: Uniform values for choices a parcel makes once (cuts, bare rows), ``(parcel,)``.
    """

    normal: dict[str, Float32]
    cut_days: Float32
    cut_order: Float32
    covered: NDArray[np.bool_]
    regrown: NDArray[np.bool_]
    choice: Float32

    def take(self, rows: NDArray[np.intp]) -> Traits:
        """The traits of some parcels."""
        return Traits(
            {name: values[rows] for name, values in self.normal.items()},
            self.cut_days[rows],
            self.cut_order[rows],
            self.covered[rows],
            self.regrown[rows],
            self.choice[rows],
        )


def draw_traits(rng: np.random.Generator, count: int, variation: float, catch_crops: float) -> Traits:
    """Draw the traits of parcels; the knobs scale the draws and never change how many are taken.

    Args:
        rng: Source of the draws.
        count: Number of parcels.
        variation: Knob ``parcel_variation``.
        catch_crops: Knob ``catch_crops``.
    """
    # Beyond 2.5 standard deviations a calendar would put harvest before flowering.
    normals = np.clip(rng.standard_normal((count, len(_NORMALS)), np.float32), -2.5, 2.5) * np.float32(variation)
    cuts = rng.standard_normal((count, _CUTS), np.float32) * np.float32(variation)
    uniform = rng.random((count, _CUTS + 3), np.float32)
    share = min(1.0, number("phenology.catch_share") * catch_crops)
    return Traits(
        {name: normals[:, column] for column, name in enumerate(_NORMALS)},
        cuts,
        uniform[:, :_CUTS],
        uniform[:, _CUTS] < share,
        uniform[:, _CUTS + 1] < 0.5 * min(1.0, catch_crops),
        # Off, the parcels of a crop all make the choice of the median parcel.
        0.5 + (uniform[:, _CUTS + 2] - 0.5) * np.float32(min(1.0, variation)),
    )


def covers(crops: Sequence[str], days: Float32, traits: Traits, conditions: Conditions) -> Covers:
    """Covers of parcels on dates.

    Args:
        crops: Crop of each parcel.
        days: Dates as days of the crop calendars, ``(date,)``.
        traits: The traits of the parcels.
        conditions: The season of the landscape.

    Raises:
        CropflowError: If a crop has no calendar.
    """
    green, straw, flower = (np.zeros((len(crops), len(days)), np.float32) for _ in range(3))
    for crop, rows in by_crop(crops).items():
        calendar = calendar_of(crop)
        part = traits.take(rows)
        grow = _annual if isinstance(calendar, Annual) else _perennial
        stand, dry = grow(calendar, days, part, conditions)  # type: ignore[arg-type]
        colour = _flowers(calendar.flowering, stand, days, part, conditions)
        green[rows], straw[rows], flower[rows] = stand - colour, dry, colour
    return Covers(green, straw, flower)


def by_crop(crops: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Rows of each crop, crops in order of their names."""
    names = np.asarray(crops, dtype=object)
    return {str(crop): np.flatnonzero(names == crop) for crop in sorted(set(crops))}


def calendar_of(crop: str) -> Calendar:
    """The calendar of a crop.

    Raises:
        CropflowError: If it has none.
    """
    if crop not in PHENOLOGY:
        raise CropflowError(f"Crop {crop!r} has no calendar in the simulation; expected {listing(PHENOLOGY, 60)}.")
    return PHENOLOGY[crop]


def canopies(crops: Sequence[str], traits: Traits) -> Float32:
    """Reflectance of each parcel's full green cover, ``(parcel, band)``."""
    spread = np.asarray(numbers("canopy.parcel"), np.float32)
    own = np.stack([traits.normal[name] for name in ("visible", "red_edge", "near_infrared", "short_wave")], axis=1)
    kind = np.array([calendar_of(crop).canopy for crop in crops], np.float32).reshape(len(crops), 4)
    return np.asarray((GREEN * (kind * np.exp(spread * own))[:, GROUP]), np.float32)


def textures(crops: Sequence[str]) -> Float32:
    """Spread of cover inside each parcel at mid cover, sd, ``(parcel,)``."""
    return np.array([calendar_of(crop).texture for crop in crops], np.float32)


def pale_flowers(crops: Sequence[str]) -> Float32:
    """1 where a parcel's flowers are white or blue, ``(parcel,)``."""
    flowering = [calendar_of(crop).flowering for crop in crops]
    return np.array([float(flowers is not None and flowers.pale) for flowers in flowering], np.float32)


def _own_days(days: Float32, traits: Traits, conditions: Conditions) -> Float32:
    """Dates on each parcel's own calendar, ``(parcel, date)``."""
    shift = conditions.shift_days + number("phenology.parcel_shift") * traits.normal["shift"]
    return np.asarray(days[None, :] - shift[:, None], np.float32)


def _annual(crop: Annual, days: Float32, traits: Traits, conditions: Conditions) -> tuple[Float32, Float32]:
    """Green cover and straw of an annual crop, each ``(parcel, date)``."""
    draw = {name: values[:, None] for name, values in traits.normal.items()}
    day = _own_days(days, traits, conditions)
    rate = np.exp(number("phenology.rate") * draw["rate"])
    early = crop.sowing_sd * draw["sowing"]
    late = crop.harvest_sd * draw["harvest"]
    peak = np.clip(conditions.vigour * crop.peak + number("phenology.peak") * draw["peak"], 0.05, 0.99)

    # Growth stops where ripening begins, so an extreme draw shortens the stand and never turns it round.
    grown = peak * logistic((day - crop.rise - early) / (crop.rise_days * rate))
    faded = logistic((day - crop.fade - late) / (crop.fade_days * rate))
    cut = logistic((day - crop.harvest - late) / 0.7)
    sown = logistic((day - crop.sown - early) / 2.0)

    green = grown * (1 - faded) * (1 - cut) * sown
    straw = crop.straw * grown * faded * (1 - cut) * sown
    since = np.maximum(day - crop.harvest - late, 0)
    straw += crop.stubble * cut * np.exp(-since / 60)

    level, after = crop.regrowth
    cover_crop = np.where(traits.regrown[:, None], 1.35, 0.75)
    regrowth = np.clip(level * cover_crop * np.exp(0.35 * draw["regrowth"]), 0, 0.85)
    # Without a cover crop the stubble is cultivated before the next autumn sowing.
    cultivated = np.where(traits.regrown[:, None], 0, logistic((since - 58 - 10 * draw["clearing"]) / 2.5))
    green += regrowth * cut * logistic((since - after) / 7.0) * (1 - 0.85 * cultivated)

    if crop.winter == "catch":
        # Mustard, phacelia or rye stand until they are cleared; elsewhere a few weeds.
        cover = np.where(traits.covered[:, None], 0.64 + 0.1 * draw["winter"], 0.1 + 0.05 * draw["winter"])
        cleared = logistic((day - np.minimum(crop.clearing + 12 * draw["clearing"], crop.sown + early)) / 2.5)
        standing = np.clip(cover, 0.02, 0.9) * logistic((day + 98 - 8 * draw["winter"]) / 9) * (1 - cleared)
        green += standing
        straw += 0.25 * (1 - standing) * logistic((-70 - day) / 15) * (1 - cleared)
    else:
        # Volunteers on the stubble of the crop before, ploughed in before sowing.
        before = 1 - logistic((day - crop.sown - early + 6) / 2.0)
        green += np.clip(0.2 + 0.2 * draw["winter"], 0.02, 0.6) * before
        straw += 0.3 * before
    total = np.maximum(green + straw, 1.0)
    return np.asarray(green / total, np.float32), np.asarray(straw / total, np.float32)


def _perennial(crop: Perennial, days: Float32, traits: Traits, conditions: Conditions) -> tuple[Float32, Float32]:
    """Green cover and straw of a perennial stand, each ``(parcel, date)``."""
    draw = {name: values[:, None] for name, values in traits.normal.items()}
    day = _own_days(days, traits, conditions)
    course = np.interp(day, MONTH_DAYS, crop.cover, period=365.25)
    # Part of a stand's own level lasts, part drifts through the year (grazing, manure, age).
    drift = np.sin(2 * np.pi * day / 240 + 3 * draw["season"]) * np.sqrt(np.abs(draw["season"]))
    green = course * conditions.vigour + crop.sward * (0.8 * draw["sward"] + 0.6 * drift)

    bare = (traits.choice < crop.bare_winter)[:, None]
    green = np.where(bare, green * (0.15 + 0.85 * _window(day, 105, 305, 10)), green)

    dry_summer = _window(day, 172, 262, 12)
    loss = number("phenology.drought_depth") * crop.drought * conditions.drought * dry_summer
    green = green * (1 - np.clip(loss * (1 + 0.25 * draw["winter"]), 0, 0.95)) * _cuts(crop, day, traits)
    green = np.clip(green, 0.02, 0.985)
    straw = crop.straw * (1 - green) * np.clip(0.6 + 0.15 * draw["regrowth"] + 0.4 * loss, 0, 1)
    return np.asarray(green, np.float32), np.asarray(straw, np.float32)


def _window(day: Float32, first: float, last: float, scale: float) -> Float32:
    """1 between two days of the year, 0 elsewhere, also across New Year."""
    inside = np.zeros_like(day)
    for year in (-365, 0, 365):
        inside += logistic((day - first - year) / scale) * logistic((last + year - day) / scale)
    return inside


def _cuts(crop: Perennial, day: Float32, traits: Traits) -> Float32:
    """Share of the green cover that cuts leave, ``(parcel, date)``."""
    left = np.ones_like(day)
    if not crop.cuts:
        return left
    fewest, most = numbers("phenology.cuts")
    shallow, deep = numbers("phenology.cut_depth")
    kept = np.round(fewest + (most - fewest) * traits.choice) if crop.cut_share == 1 else np.full(len(day), 2.0)
    uses = (traits.choice >= 1 - crop.cut_share) & (len(crop.cuts) > 0)
    rank = traits.cut_order[:, : len(crop.cuts)].argsort(axis=1).argsort(axis=1)
    for number_of_cut, cut_day in enumerate(crop.cuts):
        cutting = uses & (rank[:, number_of_cut] < kept)
        depth = np.clip((shallow + deep) / 2 + (deep - shallow) / 3 * traits.cut_days[:, number_of_cut], 0.1, 0.7)
        own_day = cut_day + 8 * traits.cut_days[:, number_of_cut]
        for year in (-365, 0, 365):
            since = day - (own_day + year)[:, None]
            regrown = np.exp(-np.maximum(since, 0) / number("phenology.cut_recovery"))
            left *= 1 - (cutting * depth)[:, None] * regrown * (since >= 0)
    return left


def _flowers(
    flowering: Flowering | None, green: Float32, days: Float32, traits: Traits, conditions: Conditions
) -> Float32:
    """Cover of flowers, ``(parcel, date)``: a share of the green cover for some weeks."""
    if flowering is None:
        return np.zeros_like(green)
    day = _own_days(days, traits, conditions)
    strength = np.clip(flowering.share * np.exp(0.25 * traits.normal["regrowth"]), 0, 0.8)
    bell = np.exp(-0.5 * ((day - flowering.day) / flowering.width_days) ** 2)
    return np.asarray(strength[:, None] * bell * green, np.float32)
