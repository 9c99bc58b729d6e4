"""The crops of the simulated landscapes: register codes, parcel sizes and area shares.

Marks as in the parameter table of the simulation: M measured on real samples, P published, E expert value, U unsure.

Sources:
    Codes and groups: the official list of the French register (REF_CULTURES, REF_CULTURES_GROUPES_CULTURES, 2020), P.
    Mean areas of beet, rapeseed, potato, wheat, barley, sunflower, soy, maize, alfalfa, meadow, vines, orchard and
    buffer strip: class totals of 41 French squares, 2023, M; all others E.
    Shares: the national ones of the same squares (wheat 27 %, maize 16 %, meadow 9 %, vines 9 %, rapeseed 6 %, barley
    5 %, sunflower 5 %, beet 4 %, M) differ by region; the three styles are E, with their rotating crops near what
    their rotation leads to in the long run (:mod:`cropflow.simulation.rotation`). A tail of rare crops is kept: the
    largest crop of a style covers at least 500 times the area of its smallest (M).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["winter", "summer", "permanent", "grass"]

STYLES = ("cereal", "livestock", "southern")


@dataclass(frozen=True)
class SimulatedCrop:
    """A crop that the simulation can grow.

    Attributes:
        key: Name, stable over versions; also the key in :data:`CROPS`.
        rpg_code: CODE_CULTU of the French register, campaigns 2015 to 2022; later ones by :func:`rpg_code`.
        rpg_group: CODE_GROUP of the French register.
        kind: ``winter`` is sown in autumn, ``summer`` in spring, ``permanent`` stands for many years, ``grass`` is
            any sward, cut or grazed.
        mean_area_ha: Mean parcel area, hectares.
        shares: Style -> share of the farmland's area, [0, 1]; a style's shares add up to 1.
    """

    key: str
    rpg_code: str
    rpg_group: str
    kind: Kind
    mean_area_ha: float
    shares: dict[str, float]


# key, code, group, kind, mean hectares, percent of farmland (cereal, livestock, southern) before normalisation.
_TABLE: tuple[tuple[str, str, str, Kind, float, tuple[float, float, float]], ...] = (
    ("winter_wheat", "BTH", "1", "winter", 5.5, (31.0, 14.0, 14.0)),
    ("winter_durum", "BDH", "4", "winter", 4.5, (0.4, 0.03, 10.0)),
    ("winter_barley", "ORH", "3", "winter", 5.0, (14.0, 6.0, 4.0)),
    ("spring_barley", "ORP", "3", "summer", 5.0, (9.0, 0.8, 0.6)),
    ("triticale", "TTH", "4", "winter", 3.0, (0.6, 3.0, 1.2)),
    ("rapeseed", "CZH", "5", "winter", 6.7, (8.5, 3.5, 3.0)),
    ("maize", "MIS", "2", "summer", 3.4, (5.0, 19.0, 12.0)),
    ("sunflower", "TRN", "6", "summer", 4.9, (1.8, 0.5, 12.0)),
    ("soy", "SOJ", "7", "summer", 4.5, (0.5, 0.3, 2.5)),
    ("sugar_beet", "BTN", "24", "summer", 8.4, (6.0, 0.1, 0.03)),
    ("potato", "PTC", "25", "summer", 6.3, (2.4, 0.4, 0.1)),
    ("peas", "PPR", "8", "summer", 4.0, (1.8, 0.5, 0.8)),
    ("winter_peas", "PHI", "8", "winter", 4.0, (0.4, 0.2, 0.4)),
    ("field_beans", "FVL", "8", "summer", 4.0, (0.9, 0.6, 0.4)),
    ("flax", "LIF", "9", "summer", 5.0, (1.3, 0.3, 0.02)),
    ("hemp", "CHV", "9", "summer", 4.0, (0.4, 0.05, 0.03)),
    ("lentils", "LEC", "15", "summer", 2.5, (0.2, 0.03, 0.3)),
    ("oats", "AVH", "4", "winter", 2.5, (0.4, 0.8, 0.4)),
    ("rye", "SGH", "4", "winter", 2.5, (0.2, 0.3, 0.1)),
    ("buckwheat", "SRS", "4", "summer", 2.0, (0.1, 0.3, 0.1)),
    ("sorghum", "SOG", "4", "summer", 3.0, (0.1, 0.1, 2.0)),
    ("onion", "OIG", "25", "summer", 3.0, (0.3, 0.04, 0.1)),
    ("carrot", "CAR", "25", "summer", 2.5, (0.05, 0.04, 0.03)),
    ("alfalfa", "LUZ", "16", "grass", 2.6, (2.0, 2.0, 3.0)),
    ("temporary_grass", "PTR", "19", "grass", 2.0, (1.5, 16.0, 4.0)),
    ("permanent_grass", "PPH", "18", "grass", 1.4, (7.0, 27.0, 10.0)),
    ("vines", "VRC", "21", "permanent", 1.2, (0.6, 0.2, 13.0)),
    ("orchard", "VRG", "20", "permanent", 1.1, (0.5, 0.6, 3.0)),
    ("fallow", "J6S", "11", "grass", 0.9, (2.0, 1.2, 3.0)),
    ("buffer_strip", "BTA", "28", "grass", 0.2, (1.0, 0.8, 0.6)),
)


def _crops() -> dict[str, SimulatedCrop]:
    totals = [sum(row[5][style] for row in _TABLE) for style in range(len(STYLES))]
    return {
        key: SimulatedCrop(
            key,
            code,
            group,
            kind,
            mean_area_ha,
            {style: percents[index] / totals[index] for index, style in enumerate(STYLES)},
        )
        for key, code, group, kind, mean_area_ha, percents in _TABLE
    }


CROPS: dict[str, SimulatedCrop] = _crops()

# First campaign -> codes that took the place of others: one code of fallow since 2023 (P).
CODES_SINCE: dict[int, dict[str, str]] = {2023: {"fallow": "JAC"}}

# Crops that farmers and controllers mistake for each other (U: which pairs; the rate is in `register`).
SIBLINGS: dict[str, tuple[str, ...]] = {
    "winter_wheat": ("triticale", "winter_durum"),
    "winter_durum": ("winter_wheat",),
    "triticale": ("winter_wheat", "rye"),
    "rye": ("triticale",),
    "oats": ("winter_barley", "triticale"),
    "winter_barley": ("spring_barley",),
    "spring_barley": ("winter_barley",),
    "peas": ("winter_peas", "field_beans"),
    "winter_peas": ("peas",),
    "field_beans": ("peas",),
    "maize": ("sorghum",),
    "sorghum": ("maize",),
    "temporary_grass": ("permanent_grass",),
    "permanent_grass": ("temporary_grass", "fallow"),
    "alfalfa": ("temporary_grass",),
    "fallow": ("permanent_grass", "buffer_strip"),
    "buffer_strip": ("fallow", "permanent_grass"),
    "flax": ("hemp",),
    "hemp": ("flax",),
    "onion": ("carrot",),
    "carrot": ("onion",),
}

# Grown in rows of trees or vines, or too small to matter to subsidies: missing from registers more often (P, rate U).
OFTEN_UNDECLARED = frozenset({"vines", "orchard", "potato", "onion", "carrot"})

# Never ploughed in the simulation: outline and crop stay as they are.
FIXED = frozenset({"vines", "orchard", "buffer_strip"})


def rpg_code(key: str, campaign: int) -> str:
    """The code under which a crop is declared in a campaign."""
    later = [codes[key] for first, codes in sorted(CODES_SINCE.items()) if first <= campaign and key in codes]
    return later[-1] if later else CROPS[key].rpg_code


def crop_of_code() -> dict[str, str]:
    """Key of the crop by its code, whatever the campaign."""
    later = {code: key for codes in CODES_SINCE.values() for key, code in codes.items()}
    return {crop.rpg_code: key for key, crop in CROPS.items()} | later


def crop_index() -> dict[str, int]:
    """The integer of each crop in the truth rasters: 1 for the first of :data:`CROPS`; 0 is no farmland."""
    return {key: position for position, key in enumerate(CROPS, start=1)}
