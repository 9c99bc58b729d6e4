"""Where every pixel and every parcel of a sample set went: counts that add up."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import geopandas
import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.samples.labels import UNKNOWN
from cropflow.samples.layers import REASONS, Layers
from cropflow.samples.sight import Sight
from cropflow.samples.tallies import describe_dates

log = logging.getLogger(__name__)

NO_VALUE = REASONS.index("no_value")
# Pixels of a class may differ from the area of its polygons by this share; small classes scatter more.
LARGE_CLASS_PIXELS = 1000
LARGE_CLASS_TOLERANCE = 0.01
SMALL_CLASS_TOLERANCE = 0.15


class Accounts:
    """Pixels of all sites, by crop and reason, and by crop and fold."""

    def __init__(self) -> None:
        self.pixels = 0
        self.reasons: Counter[tuple[int, int]] = Counter()
        self.usable: Counter[tuple[int, int]] = Counter()
        self.without_value: Counter[str] = Counter()
        self.lacking: Counter[str] = Counter()
        # Usable pixels by the number of dates on which a sensor sees them; 0: it sees them too seldom.
        self.dates: dict[str, Counter[int]] = {}
        self.in_parcels: Counter[int] = Counter()
        self.expected: dict[int, float] = {}
        self.fallback: Counter[float] = Counter()

    def add(
        self,
        layers: Layers,
        parcels: geopandas.GeoDataFrame,
        crop: NDArray[np.uint16],
        sight: Sight,
    ) -> None:
        """Count the pixels of a site.

        Args:
            layers: The layers of the site.
            parcels: Its parcels, clipped, in its UTM zone.
            crop: Crop of each parcel, in their order, uint16.
            sight: What the sensors see of the site.
        """
        usable, inside = layers.usable, layers.rasters.parcels > 0
        self.pixels += layers.truth.size
        self.reasons.update(_pairs(layers.truth, layers.reason))
        self.usable.update(_pairs(layers.truth[usable], layers.folds[usable]))
        self.in_parcels.update({own: n for (own, _), n in _pairs(layers.truth[inside], inside[inside]).items()})
        self.fallback.update(layers.rasters.fallback)
        self.without_value.update(_lacking(sight.seen, layers.reason == NO_VALUE))
        self.lacking.update(_lacking(sight.seen, usable))
        for sensor, dates in sight.dates.items():
            number, count = np.unique(np.where(sight.seen[sensor], dates, 0)[usable], return_counts=True)
            self.dates.setdefault(sensor, Counter()).update(dict(zip(number.tolist(), count.tolist(), strict=True)))
        area = parcels.geometry.area.to_numpy() / layers.grid.pixel_m**2
        for value in np.unique(crop):
            self.expected[int(value)] = self.expected.get(int(value), 0.0) + float(area[crop == value].sum())

    def check_budget(self) -> list[dict[str, Any]]:
        """Compare the pixels of each class with the area of its polygons; warn where they differ too much.

        Returns:
            The classes beyond the tolerance: 1 % over 1,000 pixels, 15 % below.

        Raises:
            RuntimeError: If a class of over 1,000 pixels has none at all: labels were lost.
        """
        beyond = []
        for crop, expected in sorted(self.expected.items()):
            found = self.in_parcels[crop]
            tolerance = LARGE_CLASS_TOLERANCE if expected > LARGE_CLASS_PIXELS else SMALL_CLASS_TOLERANCE
            if found == 0 and expected > LARGE_CLASS_PIXELS:
                raise RuntimeError(f"crop {crop} has no pixel; its polygons cover {expected:.0f}")
            # A handful of pixels is no statistic: one pixel more or less is no loss.
            if abs(found - expected) > max(tolerance * expected, 1.0):
                beyond.append({"crop": crop, "expected_pixels": round(expected, 1), "pixels": found})
                log.warning(
                    "crop %d has %d pixels, its polygons cover %.1f: %+.1f %%, more than %.0f %% "
                    "(overlapping, narrow or tiny parcels)",
                    crop,
                    found,
                    expected,
                    100 * (found / expected - 1),
                    100 * tolerance,
                )
        return beyond

    def summary(self, parcels: pandas.DataFrame) -> dict[str, Any]:
        """Describe pixels and parcels.

        Args:
            parcels: All parcels: ``crop``, ``fold``, ``site_area_ha``, ``pixels``, ``interior_pixels``.

        Returns:
            JSON-ready counts; the reasons of all pixels, and of each class, add up to its pixels. ``no_value_of``
            shares out the pixels without a value by the sensors that lack it, several joined by " and "; ``lacking``
            does so with the usable pixels that some sensor sees too seldom, and ``dates`` tells for each sensor on how
            many dates it sees the others.

        Raises:
            RuntimeError: If they do not, or a class is lost.
        """
        reasons = self._reasons()
        if sum(reasons.values()) != self.pixels or sum(self.usable.values()) != reasons["usable"]:
            raise RuntimeError(f"{reasons} do not add up to the {self.pixels} pixels of the sites")
        if sum(self.without_value.values()) != reasons["no_value"]:
            raise RuntimeError(f"{self.without_value} do not add up to {reasons['no_value']} pixels without a value")
        crops = sorted({crop for crop, _ in self.reasons} | set(self.expected))
        folds = sorted({fold for _, fold in self.usable})
        return {
            "pixels": {
                "total": self.pixels,
                "in_parcels": sum(self.in_parcels.values()),
                "reasons": reasons,
                "no_value_of": dict(sorted(self.without_value.items())),
                "lacking": dict(sorted(self.lacking.items())),
                "dates": {
                    sensor: describe_dates(np.array(list(found)), np.array(list(found.values())))
                    for sensor, found in self.dates.items()
                },
            },
            "parcels": {
                "total": len(parcels),
                "cut": int(parcels["cut"].sum()),
                "unknown": int((parcels["crop"] == UNKNOWN).sum()),
                "without_pixels": int((parcels["pixels"] == 0).sum()),
                "without_pixels_ha": round(float(parcels.loc[parcels["pixels"] == 0, "site_area_ha"].sum()), 4),
                "smaller_buffer": {f"{width:g}": number for width, number in sorted(self.fallback.items())},
            },
            "classes": {str(crop): self._class(crop, parcels) for crop in crops},
            "folds": {str(fold): sum(n for (_, own), n in self.usable.items() if own == fold) for fold in folds},
            "budget_exceeded": self.check_budget(),
        }

    def _class(self, crop: int, parcels: pandas.DataFrame) -> dict[str, Any]:
        own = parcels[parcels["crop"] == crop]
        return {
            "parcels": len(own),
            "parcels_without_pixels": int((own["pixels"] == 0).sum()),
            "hectares": round(float(own["site_area_ha"].sum()), 4),
            "expected_pixels": round(self.expected.get(crop, 0.0), 1),
            "pixels_in_parcels": self.in_parcels[crop],
            "reasons": self._reasons(crop),
            "usable_by_fold": {str(fold): n for (own, fold), n in sorted(self.usable.items()) if own == crop},
        }

    def _reasons(self, crop: int | None = None) -> dict[str, int]:
        """Pixels by reason, of one crop or of all."""
        return {
            name: sum(n for (own, reason), n in self.reasons.items() if reason == code and crop in (None, own))
            for code, name in enumerate(REASONS)
        }


def _lacking(seen: Mapping[str, NDArray[np.bool_]], where: NDArray[np.bool_]) -> dict[str, int]:
    """How many of some pixels lack which sensors; each pixel that lacks any counts once."""
    sensors = list(seen)
    lacks = np.stack([~seen[sensor][where] for sensor in sensors])
    rows, pixels = np.unique(lacks, axis=1, return_counts=True)
    return {
        " and ".join(sensor for sensor, lost in zip(sensors, row, strict=True) if lost): int(number)
        for row, number in zip(rows.T, pixels, strict=True)
        if row.any()
    }


def _pairs(crop: NDArray[np.uint16], other: NDArray[Any]) -> dict[tuple[int, int], int]:
    """How often each pair of a crop and a value of another layer (0..255) occurs."""
    code, number = np.unique(crop.astype(np.uint32).ravel() * 256 + other.ravel(), return_counts=True)
    return {(int(value) // 256, int(value) % 256): int(n) for value, n in zip(code, number, strict=True)}
