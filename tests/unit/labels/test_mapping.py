from __future__ import annotations

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.labels.legend import tables_that_know
from cropflow.labels.mapping import UNKNOWN, map_codes, rare_crops, summarise

TABLE = {"BTH": 3, "MIS": 7, "BFS": 0, "NA": 9, "MIX": UNKNOWN}
NAMES = {3: "wheat", 7: "maize"}.__getitem__


def parcels(*rows):
    codes, areas = zip(*rows, strict=True)
    return pandas.DataFrame({"crop_code": pandas.Series(list(codes), dtype="str"), "area_ha": list(areas)})


def test_codes_become_ids_of_the_legend():
    crops = map_codes(parcels(("MIS", 1.0), ("BTH", 2.0), ("MIS", 1.0), ("BFS", 1.0), ("NA", 1.0)), TABLE)
    assert crops.dtype == np.uint16
    assert crops.tolist() == [7, 3, 7, 0, 9]


def test_blanks_around_a_code_do_not_matter():
    rows = parcels((" BTH", 1.0), ("MIS\u00a0", 1.0), ("BTH", 1.0))
    crops = map_codes(rows, TABLE)
    assert crops.tolist() == [3, 7, 3]
    assert summarise(rows, crops, str)["codes_with_blanks"] == 2


def test_unknown_codes_stop_with_parcels_and_hectares_the_largest_first():
    rows = parcels(("XXX", 1.25), ("BTH", 2.0), ("YYY", 40.0), ("XXX", 1.0))
    with pytest.raises(CropflowError) as stopped:
        map_codes(rows, TABLE)
    message = str(stopped.value)
    assert "does not know 2 of the register's 3 codes" in message
    assert "Add them to a table of your own" in message
    assert "'YYY' (1 parcel, 40.00 ha), 'XXX' (2 parcels, 2.25 ha)" in message
    assert "unmapped: unknown" in message
    assert "\n" not in message


def test_a_register_that_was_given_the_table_of_another_is_told_which_one_knows_its_codes():
    rows = parcels(("winter_durum_hard_wheat", 1.0), ("sugar_beet", 2.0), ("of_my_own", 2.0))
    known = tables_that_know("turkoglu", set(rows["crop_code"]))
    assert (known["eurocrops"], known["rpg"]) == (2, 0)
    with pytest.raises(CropflowError, match=r"table 'rpg' does not know 3 .* table 'eurocrops' knows 2 of them"):
        map_codes(rows, TABLE, name="rpg", elsewhere=lambda codes: tables_that_know("turkoglu", codes))
    with pytest.raises(CropflowError, match="Add them to a table of your own"):
        map_codes(rows, TABLE, name="rpg", elsewhere=lambda codes: {"eurocrops": 1})


def test_unknown_codes_become_unknown_where_the_config_says_so(caplog):
    rows = parcels(("XXX", 1.25), ("BTH", 2.0))
    assert map_codes(rows, TABLE, "unknown").tolist() == [UNKNOWN, 3]
    assert "'XXX' (1 parcel, 1.25 ha)" in caplog.text


def test_the_summary_adds_up():
    rows = parcels(("XXX", 0.1), ("BTH", 0.2), ("BTH", 0.3), ("BFS", 0.4), ("MIS", 0.7), ("MIX", 0.8))
    summary = summarise(rows, map_codes(rows, TABLE, "unknown"), NAMES, {"MIX"})
    assert summary == {
        "crops": {
            "3": {"name": "wheat", "parcels": 2, "hectares": 0.5},
            "7": {"name": "maize", "parcels": 1, "hectares": 0.7},
        },
        "rare": {},
        "out_of_scope": {"BFS": {"parcels": 1, "hectares": 0.4}},
        "ignored": {"MIX": {"parcels": 1, "hectares": 0.8}},
        "unknown": {"XXX": {"parcels": 1, "hectares": 0.1}},
        "total": {"parcels": 6, "hectares": 2.5},
        "codes_with_blanks": 0,
    }


def test_an_ignored_code_is_known_and_stops_nothing():
    assert map_codes(parcels(("MIX", 1.0), ("BTH", 1.0)), TABLE).tolist() == [UNKNOWN, 3]


def test_a_rare_crop_is_counted_apart_and_the_summary_still_adds_up(caplog):
    rows = parcels(("BTH", 99.9), ("MIS", 0.1), ("BFS", 1000.0), ("MIX", 1000.0))
    crops = map_codes(rows, TABLE)
    assert rare_crops(crops, rows["area_ha"].to_numpy(), 0.11) == {7}
    summary = summarise(rows, crops, NAMES, {"MIX"}, {7})
    assert summary["rare"] == {"7": {"name": "maize", "parcels": 1, "hectares": 0.1}}
    assert list(summary["crops"]) == ["3"]
    assert "crops rarer than minimum_share_percent, labelled unknown (1): maize (1 parcel, 0.10 ha)" in caplog.text


@pytest.mark.parametrize(("percent", "rare"), [(0.0, set()), (0.1, set()), (0.1001, {7}), (99.95, {3, 7})])
def test_a_crop_is_rare_below_its_share_of_the_area_of_all_crops(percent, rare):
    area = np.array([99.9, 0.1, 500.0, 500.0])
    assert rare_crops(np.array([3, 7, 0, UNKNOWN], dtype=np.uint16), area, percent) == rare


@given(st.lists(st.tuples(st.sampled_from(["BTH", "MIS", "BFS", "NA", "MIX", "XXX"]), st.floats(0, 1e4)), min_size=1))
def test_no_parcel_and_no_hectare_is_lost(rows):
    table = parcels(*rows)
    crops = map_codes(table, TABLE, "unknown")
    rare = rare_crops(crops, table["area_ha"].to_numpy(), 10.0)
    summary = summarise(table, crops, str, {"MIX"}, rare)
    parts = [
        found for part in ("crops", "rare", "out_of_scope", "ignored", "unknown") for found in summary[part].values()
    ]
    assert sum(found["parcels"] for found in parts) == summary["total"]["parcels"] == len(rows)
    assert sum(found["hectares"] for found in parts) == pytest.approx(summary["total"]["hectares"], abs=1e-5)


def test_an_id_that_is_no_id_is_refused():
    with pytest.raises(ValueError, match="65535"):
        map_codes(parcels(("BTH", 1.0)), {"BTH": 65535})


def test_a_missing_code_is_refused():
    with pytest.raises(ValueError, match="1 of 2 parcels have no code"):
        map_codes(parcels(("BTH", 1.0), (None, 1.0)), TABLE)


def test_crops_and_parcels_must_be_as_many():
    with pytest.raises(ValueError, match="1 parcels, but 2 crops"):
        summarise(parcels(("BTH", 1.0)), np.zeros(2, dtype=np.uint16), str)
