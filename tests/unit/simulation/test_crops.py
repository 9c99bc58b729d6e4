from __future__ import annotations

import pandas
import pytest

from cropflow.labels.legend import read_code_table
from cropflow.simulation.crops import (
    CROPS,
    FIXED,
    OFTEN_UNDECLARED,
    SIBLINGS,
    STYLES,
    crop_index,
    crop_of_code,
    rpg_code,
)


@pytest.mark.parametrize("style", STYLES)
def test_the_shares_of_a_style_add_up_to_one(style):
    assert sum(crop.shares[style] for crop in CROPS.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("style", STYLES)
def test_the_commonest_crop_covers_five_hundred_times_the_rarest(style):
    shares = [crop.shares[style] for crop in CROPS.values()]
    assert max(shares) / min(shares) >= 500


def test_codes_and_groups_are_those_of_the_french_register(shared):
    folder = shared / "data" / "rpg_codes"
    codes = pandas.read_csv(folder / "REF_CULTURES_2020.csv", sep=";", dtype=str, keep_default_na=False)
    groups = pandas.read_csv(folder / "REF_CULTURES_GROUPES_CULTURES_2020.csv", sep=";", dtype=str)
    last_campaign = dict(zip(codes["CODE"], codes["CAMPAGNE_FIN"], strict=True))
    group = dict(zip(groups["CODE_CULTURE"], groups["CODE_GROUPE_CULTURE"], strict=True))
    for crop in CROPS.values():
        assert last_campaign[crop.rpg_code] == "NA", f"{crop.rpg_code} is no longer in use"
        assert group[crop.rpg_code] == crop.rpg_group


@pytest.mark.parametrize("campaign", [2015, 2022, 2023, 2024])
def test_every_code_is_in_use_in_its_campaign(campaign):
    table = read_code_table("turkoglu", "rpg")
    for key in CROPS:
        assert table[rpg_code(key, campaign)].used_in(campaign), f"{key} in {campaign}"
        assert crop_of_code()[rpg_code(key, campaign)] == key


def test_codes_are_unique_and_keys_match():
    assert len({crop.rpg_code for crop in CROPS.values()}) == len(CROPS)
    assert all(key == crop.key for key, crop in CROPS.items())
    assert {crop.kind for crop in CROPS.values()} == {"winter", "summer", "permanent", "grass"}


def test_every_list_names_known_crops_only():
    assert set(SIBLINGS) <= set(CROPS)
    assert {sibling for siblings in SIBLINGS.values() for sibling in siblings} <= set(CROPS)
    assert set(CROPS) >= FIXED | OFTEN_UNDECLARED
    assert all(key not in siblings for key, siblings in SIBLINGS.items())


def test_the_integers_of_crops_leave_zero_to_no_farmland():
    assert sorted(crop_index().values()) == list(range(1, len(CROPS) + 1))
