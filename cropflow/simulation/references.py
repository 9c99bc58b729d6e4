"""Figures of real samples that the simulation is compared with; rounded, and none of them drives it.

Samples: FR23 500 pixels of French parcels, October 2022 to September 2023; FL18 one square in Flanders, 2018.
"""

from __future__ import annotations

import datetime

from cropflow.config.sections import Season

# Pixels of FR23 by crop: the ten crops with ten pixels or more.
FR23_PIXELS = {
    "permanent_grass": 113, "maize": 83, "winter_wheat": 55, "fallow": 29, "sunflower": 21, "rapeseed": 14,
    "soy": 13, "vines": 13, "winter_barley": 11, "temporary_grass": 10,
}  # fmt: skip
# West and south-west of France, degrees east and north.
FR23_BOX = (-1.5, 43.3, 2.0, 48.3)
FR23_SEASON = Season(start=datetime.date(2022, 10, 1), end=datetime.date(2023, 9, 30))

# Months of the NDVI table by their middle, days of the harvest year.
NDVI_DAYS = {"Nov": -46, "Feb": 46, "Apr": 105, "May": 135, "Jun": 166, "Jul": 196, "Aug": 227, "Sep": 258}
# Median pixel by month (FR23, FL18; expert values for beet, potato and the spring-sown crops).
NDVI: dict[str, tuple[float | None, ...]] = {
    "winter_wheat": (0.35, 0.70, 0.85, 0.85, 0.75, 0.25, 0.25, 0.35),
    "winter_barley": (0.45, 0.65, 0.90, 0.80, 0.40, 0.30, 0.45, 0.60),
    "triticale": (0.30, 0.70, 0.90, 0.85, 0.45, 0.25, 0.25, 0.35),
    "rapeseed": (0.65, 0.80, 0.80, 0.75, 0.80, 0.30, 0.65, 0.50),
    "maize": (0.70, 0.60, 0.40, 0.20, 0.40, 0.80, 0.85, 0.65),
    "sunflower": (0.55, 0.55, 0.30, 0.20, 0.40, 0.75, 0.75, 0.45),
    "soy": (0.60, 0.70, 0.55, 0.25, 0.30, 0.65, 0.90, 0.60),
    "permanent_grass": (0.80, 0.75, 0.85, 0.85, 0.70, 0.70, 0.75, 0.75),
    "temporary_grass": (0.85, 0.80, 0.90, 0.75, 0.70, 0.85, 0.90, 0.75),
    "alfalfa": (0.85, 0.80, 0.90, 0.75, 0.70, 0.85, 0.90, 0.75),
    "vines": (0.75, 0.60, 0.50, 0.70, 0.70, 0.65, 0.65, 0.75),
    "fallow": (0.70, 0.65, 0.70, 0.70, 0.70, 0.65, 0.70, 0.70),
    "sugar_beet": (None, None, 0.25, 0.25, 0.65, 0.80, 0.80, 0.70),
    "potato": (None, None, 0.25, 0.25, 0.80, 0.80, 0.55, 0.25),
    "spring_barley": (None, None, 0.30, 0.70, 0.75, 0.30, 0.25, 0.30),
    "peas": (None, None, 0.30, 0.70, 0.75, 0.30, 0.25, 0.30),
    "flax": (None, None, 0.30, 0.70, 0.75, 0.30, 0.25, 0.30),
}
