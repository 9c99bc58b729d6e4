from __future__ import annotations

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.labels.history import (
    NOT_COVERED,
    as_arrays,
    shares_of_year,
    summarise_year,
    unknown_year,
    with_second_crops,
    year_reason,
)
from cropflow.labels.mapping import UNKNOWN

WHEAT, MAIZE, BEET = 3, 7, 9


def parcels(*ids, area_ha=2.0):
    return pandas.DataFrame({"parcel_id": pandas.Series(list(ids), dtype="str"), "area_ha": area_ha})


def pieces(*rows):
    return pandas.DataFrame(list(rows), columns=["parcel_id", "earlier_id", "share"]).astype({"share": float})


def crops(*rows):
    table = pandas.DataFrame([row if len(row) == 3 else (*row, False) for row in rows])
    table.columns = ["parcel_id", "crop", "second"]
    return table.astype({"crop": np.uint16})


def rows(table):
    return [
        (one.parcel_id, one.crop, one.second, round(one.share, 9), round(one.known_share, 9))
        for one in table.itertuples()
    ]


def test_pieces_of_the_same_crop_are_added_up():
    found = pieces(("a", "x", 0.25), ("a", "y", 0.5), ("a", "z", 0.25))
    table = shares_of_year(parcels("a"), found, crops(("x", WHEAT), ("y", MAIZE), ("z", WHEAT)), "2022", 1)
    assert rows(table) == [("a", WHEAT, False, 0.5, 1), ("a", MAIZE, False, 0.5, 1)]
    assert table["season"].tolist() == ["2022", "2022"]
    assert table["lag"].tolist() == [1, 1]
    assert table.dtypes.astype(str).to_dict() == {
        "parcel_id": "str",
        "season": "str",
        "lag": "uint8",
        "crop": "uint16",
        "second": "bool",
        "share": "float64",
        "known_share": "float64",
    }


def test_out_of_scope_unknown_code_and_not_covered_are_three_things():
    found = pieces(("a", "x", 0.25), ("a", "y", 0.25), ("b", "x", 1.0))
    table = shares_of_year(parcels("c", "a", "b"), found, crops(("x", 0), ("y", UNKNOWN)), "2022", 1)
    assert rows(table) == [
        ("c", NOT_COVERED, False, 1, 0),
        ("a", 0, False, 0.25, 0.5),
        ("a", UNKNOWN, False, 0.25, 0.5),
        ("a", NOT_COVERED, False, 0.5, 0.5),
        ("b", 0, False, 1, 1),
    ]


def test_second_crops_stand_beside_the_main_ones():
    found = pieces(("a", "x", 0.75), ("a", "y", 0.25))
    declared = crops(("x", WHEAT), ("y", WHEAT), ("x", MAIZE, True), ("x", BEET, True), ("y", BEET, True))
    table = shares_of_year(parcels("a"), found, declared, "2022", 1)
    assert rows(table) == [
        ("a", WHEAT, False, 1, 1),
        ("a", MAIZE, True, 0.75, 1),
        ("a", BEET, True, 1, 1),
    ]


def test_a_piece_of_a_parcel_that_the_files_lack_is_one_line():
    with pytest.raises(CropflowError, match="1 of 1 pieces name parcels that the season's parcels lack, such as 'b'"):
        shares_of_year(parcels("a"), pieces(("b", "x", 1.0)), crops(("x", WHEAT)), "2022", 1)
    with pytest.raises(CropflowError, match="1 of 1 pieces name parcels that the earlier season's crops lack"):
        shares_of_year(parcels("a"), pieces(("a", "z", 1.0)), crops(("x", WHEAT)), "2022", 1)


shares = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 7), st.floats(1e-6, 1)), max_size=30, unique_by=lambda row: row[:2]
)


@settings(max_examples=150, deadline=None)
@given(shares, st.lists(st.sampled_from([0, WHEAT, MAIZE, UNKNOWN]), min_size=8, max_size=8))
def test_shares_and_what_is_not_covered_add_up_to_one(drawn, mapped):
    whole = {row: max(1.0, sum(share for other, _, share in drawn if other == row)) for row, _, _ in drawn}
    found = pieces(*((f"p{row}", f"e{other}", share / whole[row]) for row, other, share in drawn))
    table = shares_of_year(
        parcels(*(f"p{row}" for row in range(6))),
        found,
        crops(*((f"e{number}", crop) for number, crop in enumerate(mapped))),
        "2022",
        1,
    )
    total = table.groupby("parcel_id")["share"].sum()
    assert len(total) == 6
    assert total.to_numpy() == pytest.approx(np.ones(6), abs=1e-9)
    covered = table[table["crop"] != NOT_COVERED].groupby("parcel_id")["share"].sum().reindex(total.index).fillna(0)
    known = table.groupby("parcel_id")["known_share"].agg(["min", "max"])
    assert (known["min"] == known["max"]).all()
    assert known["min"].to_numpy() == pytest.approx(covered.to_numpy(), abs=1e-9)
    summary = summarise_year(table, np.full(6, 2.0), str)
    hectares = sum(part["hectares"] for part in summary["crops"].values())
    assert hectares == pytest.approx(summary["parcels"]["hectares"], abs=1e-4)


def test_a_year_without_a_register_is_unknown_and_not_without_crops():
    assert rows(unknown_year(parcels("a", "b"), "", 2)) == [
        ("a", NOT_COVERED, False, 1, 0),
        ("b", NOT_COVERED, False, 1, 0),
    ]


def history():
    own = parcels("a", "b")
    last = shares_of_year(own, pieces(("a", "x", 0.75), ("b", "y", 1.0)), crops(("x", WHEAT), ("y", 0)), "2022", 1)
    oldest = shares_of_year(own, pieces(("a", "x", 1.0)), crops(("x", MAIZE), ("x", BEET, True)), "2020", 3)
    return pandas.concat([last, unknown_year(own, "", 2), oldest])


def test_arrays_keep_the_order_of_the_years_and_tell_unknown_from_no_such_crop():
    shares, known = as_arrays(history(), ["b", "a"], [WHEAT, MAIZE, BEET], 4)
    assert shares.shape == (2, 4, 3)
    assert shares[1].tolist() == [[0.75, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert shares[0].tolist() == [[0, 0, 0]] * 4
    assert known.tolist() == [[1, 0, 0, 0], [0.75, 0, 1, 0]]


def test_arrays_leave_out_parcels_and_years_that_nobody_asked_for():
    shares, known = as_arrays(history(), ["a"], [WHEAT], 1)
    assert shares.tolist() == [[[0.75]]]
    assert known.tolist() == [[0.75]]


def test_the_summary_names_crops_and_counts_parcels():
    own = parcels("a", "b", "c")
    found = pieces(("a", "x", 0.5), ("b", "y", 1.0))
    table = shares_of_year(own, found, crops(("x", WHEAT), ("y", 0), ("y", BEET, True)), "2022", 1)
    summary = summarise_year(table, own["area_ha"].to_numpy(), {WHEAT: "wheat", BEET: "beet"}.__getitem__)
    assert summary == {
        "parcels": {"parcels": 3, "hectares": 6.0},
        "crops": {
            "0": {"name": "out of scope", "hectares": 2.0},
            "3": {"name": "wheat", "hectares": 1.0},
            "65535": {"name": "not covered", "hectares": 3.0},
        },
        "second_crops": {"9": {"name": "beet", "hectares": 2.0}},
        "fully_known": 1,
        "not_known": 1,
    }


def test_a_year_that_does_not_add_up_is_a_bug():
    table = unknown_year(parcels("a", "b"), "", 1).assign(share=[1.0, 0.5])
    with pytest.raises(RuntimeError, match=r"add up to 3\.0 ha"):
        summarise_year(table, np.array([2.0, 2.0]), str)


def test_second_codes_are_mapped_and_unknown_ones_counted(caplog):
    main = pandas.DataFrame({"parcel_id": ["x", "y", "z"], "crop": np.array([WHEAT, 0, MAIZE], dtype=np.uint16)})
    declared = parcels("x", "y", "z").assign(
        crop_code_2=pandas.Series(["DMD ", "", None], dtype="str"), crop_code_3=["XXX", None, ""]
    )
    table, counts = with_second_crops(main, declared, {"DMD": BEET})
    assert table.to_dict("list") == {
        "parcel_id": ["x", "y", "z", "x", "x"],
        "crop": [WHEAT, 0, MAIZE, BEET, UNKNOWN],
        "second": [False, False, False, True, True],
    }
    assert table["crop"].dtype == np.uint16
    assert counts == {
        "declared": {"parcels": 2, "hectares": 4.0},
        "unknown": {"XXX": {"parcels": 1, "hectares": 2.0}},
    }
    assert "'XXX' (1 parcel, 2.00 ha)" in caplog.text


def test_two_codes_of_one_second_crop_are_one():
    main = pandas.DataFrame({"parcel_id": ["x"], "crop": np.array([WHEAT], dtype=np.uint16)})
    declared = parcels("x").assign(crop_code_2=["DMD"], crop_code_3=["MCT"])
    table, _ = with_second_crops(main, declared, {"DMD": BEET, "MCT": BEET})
    found = shares_of_year(parcels("a"), pieces(("a", "x", 0.25)), table, "2022", 1)
    assert ("a", BEET, True, 0.25, 0.25) in rows(found)


def test_a_register_without_second_crops_has_none():
    main = pandas.DataFrame({"parcel_id": ["x"], "crop": np.array([WHEAT], dtype=np.uint16)})
    table, counts = with_second_crops(main, parcels("x"), {})
    assert table["second"].tolist() == [False]
    assert counts == {"declared": {"parcels": 0, "hectares": 0.0}, "unknown": {}}


def test_a_year_is_unknown_by_declaration_or_for_want_of_a_register(caplog):
    assert "publication_lag" in year_reason(1, 1)
    assert caplog.text == ""
    assert "no season" in year_reason(2, 1)
    assert "2 years before" in caplog.text
