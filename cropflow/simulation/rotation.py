"""Which crop follows which: the crops of the first season and the rotations of the styles.

Shares of the next crop, and marks (M: 1,200 parcels over five years south of Paris; E: expert; U: unsure):
    ==================== ============================================================================== ====
    after                next
    ==================== ============================================================================== ====
    rapeseed             wheat .90                                                                       M
    beet, industrial     wheat .90                                                                       M
    peas, legumes        wheat .85                                                                       M
    wheat                barley .55, wheat .15, industrial .08, rapeseed .05, rest                       M
    barley               barley .30, industrial .20, rapeseed .15, wheat .10, rest                       M
    maize                maize .40, cereal .55; in the south maize .70                                   M; U
    fallow               itself .90                                                                      M
    permanent grass      itself .97                                                                      E
    vines, orchards      themselves, always                                                              E
    livestock, southern  rows without a mark above                                                       E
    ==================== ============================================================================== ====

The rest of every row goes to the crops that the named shares leave short, so that a style keeps its shares, its rare
crops included, over the years. The values describe one region and few years: what is learnt about rotations here
tests machinery, not agronomy.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cropflow.simulation.crops import CROPS, FIXED
from cropflow.simulation.draws import choose, spread_levels
from cropflow.simulation.land_parameters import number

_BREAKS = ("sugar_beet", "potato", "flax", "hemp", "onion", "carrot")
_LEGUMES = ("peas", "winter_peas", "field_beans", "lentils", "soy")
_OTHER_CEREALS = ("triticale", "oats", "rye")
_LATE = ("sunflower", "buckwheat", "sorghum")

Row = Mapping[str, float]


def _rows(keys: tuple[str, ...], row: Row) -> dict[str, Row]:
    return dict.fromkeys(keys, row)


_COMMON: dict[str, Row] = {
    **{key: {key: 1.0} for key in sorted(FIXED)},
    "fallow": {"fallow": 0.90},
    "permanent_grass": {"permanent_grass": 0.97},
}

_BARLEY_ROW: Row = {
    "winter_barley": 0.18, "spring_barley": 0.12, "sugar_beet": 0.11, "potato": 0.05, "flax": 0.03, "hemp": 0.01,
    "rapeseed": 0.15, "winter_wheat": 0.10,
}  # fmt: skip
_CEREAL_GRASS_ROW: Row = {"winter_wheat": 0.20, "maize": 0.10}

AFTER: dict[str, dict[str, Row]] = {
    "cereal": {
        **_COMMON,
        "rapeseed": {"winter_wheat": 0.90},
        **_rows(_BREAKS, {"winter_wheat": 0.90}),
        **_rows(_LEGUMES, {"winter_wheat": 0.85}),
        **_rows(_LATE, {"winter_wheat": 0.75}),
        **_rows(("winter_wheat", "winter_durum"), {
            "winter_barley": 0.33, "spring_barley": 0.22, "winter_wheat": 0.15, "sugar_beet": 0.05, "potato": 0.02,
            "flax": 0.01, "rapeseed": 0.05,
        }),
        **_rows(("winter_barley", "spring_barley", *_OTHER_CEREALS), _BARLEY_ROW),
        "maize": {"maize": 0.40, "winter_wheat": 0.45, "winter_barley": 0.10},
        "alfalfa": {"alfalfa": 0.65, **_CEREAL_GRASS_ROW},
        "temporary_grass": {"temporary_grass": 0.65, **_CEREAL_GRASS_ROW},
    },
    "livestock": {
        **_COMMON,
        "rapeseed": {"winter_wheat": 0.90},
        **_rows(_BREAKS, {"winter_wheat": 0.90}),
        **_rows(_LEGUMES, {"winter_wheat": 0.70, "triticale": 0.10}),
        **_rows(_LATE, {"winter_wheat": 0.60, "triticale": 0.10}),
        **_rows(("winter_wheat", "winter_durum"), {
            "maize": 0.45, "winter_barley": 0.18, "triticale": 0.04, "rapeseed": 0.08, "temporary_grass": 0.13,
        }),
        **_rows(("winter_barley", "spring_barley", *_OTHER_CEREALS), {
            "maize": 0.35, "rapeseed": 0.20, "temporary_grass": 0.22, "winter_barley": 0.05,
        }),
        "maize": {"maize": 0.42, "winter_wheat": 0.35, "winter_barley": 0.07, "triticale": 0.07,
                  "temporary_grass": 0.06},
        "alfalfa": {"alfalfa": 0.70, "maize": 0.15, "winter_wheat": 0.10},
        "temporary_grass": {"temporary_grass": 0.72, "maize": 0.16, "winter_wheat": 0.06},
    },
    "southern": {
        **_COMMON,
        "rapeseed": {"winter_wheat": 0.60, "winter_durum": 0.30},
        **_rows(_BREAKS, {"winter_wheat": 0.70, "winter_durum": 0.20}),
        **_rows(_LEGUMES, {"winter_wheat": 0.55, "winter_durum": 0.30}),
        **_rows(_LATE, {"winter_wheat": 0.45, "winter_durum": 0.40}),
        **_rows(("winter_wheat", "winter_durum"), {
            "sunflower": 0.40, "winter_durum": 0.10, "winter_wheat": 0.08, "winter_barley": 0.10, "rapeseed": 0.09,
            "sorghum": 0.06, "soy": 0.05, "triticale": 0.02,
        }),
        **_rows(("winter_barley", "spring_barley", *_OTHER_CEREALS), {
            "sunflower": 0.40, "rapeseed": 0.15, "winter_barley": 0.10, "sorghum": 0.05,
        }),
        "maize": {"maize": 0.70, "winter_wheat": 0.12, "soy": 0.10},
        "soy": {"maize": 0.30, "winter_wheat": 0.40, "winter_durum": 0.15},
        "alfalfa": {"alfalfa": 0.72, "winter_wheat": 0.10, "winter_durum": 0.08},
        "temporary_grass": {"temporary_grass": 0.72, "winter_wheat": 0.10, "maize": 0.06},
    },
}  # fmt: skip


def style_shares(style: str) -> NDArray[np.float64]:
    """Shares of the farmland's area, float64, ``(crop,)`` in the order of ``CROPS``; they add up to 1."""
    return np.array([crop.shares[style] for crop in CROPS.values()])


def transitions(style: str) -> NDArray[np.float64]:
    """The rotation of a style.

    Returns:
        Shares of the next crop, float64, ``(crop, next crop)`` in the order of ``CROPS``; every row adds up to 1.
    """
    keys = list(CROPS)
    shares = style_shares(style)
    named = np.zeros((len(keys), len(keys)))
    for row, key in enumerate(keys):
        for following, share in AFTER[style][key].items():
            named[row, keys.index(following)] = share
    rest = 1.0 - named.sum(axis=1)
    short = np.maximum(shares - shares @ named, 0.0)
    return np.asarray(named + np.outer(rest, short / short.sum()))


def _log_density(areas_ha: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log density of each parcel's log area in each crop, up to a constant, ``(parcel, crop)``."""
    means = np.array([crop.mean_area_ha for crop in CROPS.values()])
    spread = number("field.spread_in_crop")
    # The mean of a log-normal lies half the variance above its median.
    centres = np.log(means) - spread**2 / 2
    return np.asarray(-((np.log(areas_ha)[:, np.newaxis] - centres) ** 2) / (2 * spread**2))


def first_crops(
    areas_ha: NDArray[np.float64], widths_m: NDArray[np.float64], style: str, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the crops of the first season: small parcels get crops of small parcels, areas the shares of the style.

    Args:
        areas_ha: Parcel areas, hectares, ``(parcel,)``.
        widths_m: Mean widths, 2 x area / perimeter, metres, ``(parcel,)``; buffer strips are narrow.
        style: ``cereal``, ``livestock`` or ``southern``.
        rng: Source of randomness.

    Returns:
        Positions in ``CROPS``, int64, ``(parcel,)``.
    """
    shares = style_shares(style)
    fit = np.exp(_log_density(areas_ha))
    strip = list(CROPS).index("buffer_strip")
    fit[:, strip] *= np.where(widths_m < number("field.buffer_strip"), 1.0, 0.02)
    fit = np.maximum(fit, 1e-9)
    weights = shares.copy()
    for _ in range(50):
        probability = fit * weights
        probability /= probability.sum(axis=1, keepdims=True)
        expected = areas_ha @ probability / areas_ha.sum()
        # Damped: where no parcel suits a crop, its weight must not run away.
        weights *= np.clip(shares / np.maximum(expected, 1e-12), 0.5, 2.0)
        weights /= weights.sum()
    return choose(fit * weights, spread_levels(np.argsort(areas_ha, kind="stable"), rng))


def next_crops(
    previous: NDArray[np.int64], areas_ha: NDArray[np.float64], style: str, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the crops that follow; crops of large parcels avoid small ones, all others follow the rotation.

    Args:
        previous: Positions in ``CROPS`` of last season's crops, ``(parcel,)``.
        areas_ha: Parcel areas, hectares, ``(parcel,)``.
        style: ``cereal``, ``livestock`` or ``southern``.
        rng: Source of randomness.

    Returns:
        Positions in ``CROPS``, int64, ``(parcel,)``.
    """
    means = np.array([crop.mean_area_ha for crop in CROPS.values()])
    relative = areas_ha[:, np.newaxis] / (0.15 * means)
    order = np.lexsort((areas_ha, previous))
    return choose(transitions(style)[previous] * relative / (1 + relative), spread_levels(order, rng))
