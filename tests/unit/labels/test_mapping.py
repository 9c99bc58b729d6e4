from __future__ import annotations

import numpy as np
import pandas
import pytest

from cropflow.errors import CropflowError
from cropflow.labels.mapping import UNKNOWN, map_codes, summarise

TABLE = {"BTH": 3, "MIS": 7, "BFS": 0, "NA": 9}


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
    assert "'YYY' (1 parcel, 40.00 ha), 'XXX' (2 parcels, 2.25 ha)" in message
    assert "unmapped: unknown" in message
    assert "\n" not in message


def test_unknown_codes_become_unknown_where_the_config_says_so(caplog):
    rows = parcels(("XXX", 1.25), ("BTH", 2.0))
    assert map_codes(rows, TABLE, "unknown").tolist() == [UNKNOWN, 3]
    assert "'XXX' (1 parcel, 1.25 ha)" in caplog.text


def test_the_summary_adds_up():
    rows = parcels(("XXX", 0.1), ("BTH", 0.2), ("BTH", 0.3), ("BFS", 0.4), ("MIS", 0.7))
    summary = summarise(rows, map_codes(rows, TABLE, "unknown"), {3: "wheat", 7: "maize"}.__getitem__)
    assert summary == {
        "crops": {
            "3": {"name": "wheat", "parcels": 2, "hectares": 0.5},
            "7": {"name": "maize", "parcels": 1, "hectares": 0.7},
        },
        "out_of_scope": {"BFS": {"parcels": 1, "hectares": 0.4}},
        "unknown": {"XXX": {"parcels": 1, "hectares": 0.1}},
        "total": {"parcels": 5, "hectares": 1.7},
        "codes_with_blanks": 0,
    }


def test_an_id_that_is_no_id_is_refused():
    with pytest.raises(ValueError, match="65534"):
        map_codes(parcels(("BTH", 1.0)), {"BTH": 65534})


def test_a_missing_code_is_refused():
    with pytest.raises(ValueError, match="1 of 2 parcels have no code"):
        map_codes(parcels(("BTH", 1.0), (None, 1.0)), TABLE)


def test_crops_and_parcels_must_be_as_many():
    with pytest.raises(ValueError, match="1 parcels, but 2 crops"):
        summarise(parcels(("BTH", 1.0)), np.zeros(2, dtype=np.uint16), str)
