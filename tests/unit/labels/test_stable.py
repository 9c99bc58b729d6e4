from __future__ import annotations

import pandas
import pytest

from cropflow.errors import CropflowError
from cropflow.labels.stable import stable_parcels


def parcels(*ids):
    return pandas.DataFrame({"parcel_id": list(ids), "area_ha": [1.0] * len(ids)})


def pieces(*rows):
    return pandas.DataFrame(list(rows), columns=["parcel_id", "earlier_id", "iou"])


def test_a_parcel_with_the_same_outline_in_every_season_is_chosen_with_its_ids():
    near = pieces(("a", "x", 0.95), ("a", "y", 0.02), ("b", "z", 1.0))
    far = pieces(("a", "q", 0.92), ("b", "r", 0.99))
    table, counts = stable_parcels(parcels("a", "b"), {"2022": near, "2021": far}, 0.9)
    assert table.to_dict("list") == {
        "parcel_id": ["a", "b"],
        "parcel_id_2022": ["x", "z"],
        "parcel_id_2021": ["q", "r"],
        "iou": [0.92, 0.99],
    }
    assert counts["stable"] == counts["parcels"] == {"parcels": 2, "hectares": 2.0}


def test_a_parcel_is_counted_under_the_first_reason_of_the_nearest_season():
    near = pieces(("a", "x", 0.95), ("b", "y", 0.7), ("d", "w", 0.91), ("e", "w", 0.97))
    far = pieces(("a", "q", 0.95), ("b", "r", 0.1), ("d", "t", 1.0))
    table, counts = stable_parcels(parcels("a", "b", "c", "d", "e"), {"2022": near, "2021": far}, 0.9)
    assert table["parcel_id"].tolist() == ["a"]
    assert counts["dropped"] == {
        "2022": {
            "not_covered": {"parcels": 1, "hectares": 1.0},
            "moved": {"parcels": 1, "hectares": 1.0},
            "taken": {"parcels": 1, "hectares": 1.0},
        },
        "2021": {"not_covered": {"parcels": 1, "hectares": 1.0}},
    }
    dropped = sum(number["parcels"] for reasons in counts["dropped"].values() for number in reasons.values())
    assert counts["stable"]["parcels"] + dropped == counts["parcels"]["parcels"]


def test_an_earlier_parcel_stands_for_one_parcel_alone_the_best_fit_or_the_first():
    near = pieces(("a", "x", 0.95), ("b", "x", 0.95), ("c", "y", 0.9), ("d", "y", 0.91))
    table, _ = stable_parcels(parcels("a", "b", "c", "d"), {"2022": near}, 0.9)
    assert table["parcel_id"].tolist() == ["a", "d"]
    assert table["parcel_id_2022"].tolist() == ["x", "y"]


def test_the_threshold_itself_is_enough():
    assert len(stable_parcels(parcels("a"), {"2022": pieces(("a", "x", 0.9))}, 0.9)[0]) == 1


def test_where_none_is_stable_one_line_says_so():
    with pytest.raises(CropflowError, match=r"None of 1 parcels keeps its outline over 2022.* of 0\.9"):
        stable_parcels(parcels("a"), {"2022": pieces(("a", "x", 0.8))}, 0.9)


def test_an_overlay_of_another_run_is_refused():
    with pytest.raises(CropflowError, match=r"overlay with 2022 names 1 parcels that the season lacks, such as 'z'"):
        stable_parcels(parcels("a"), {"2022": pieces(("a", "x", 0.95), ("z", "y", 0.95))}, 0.9)
