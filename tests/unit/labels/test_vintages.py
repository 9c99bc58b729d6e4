"""Codes used outside their years, and codes that stand for others."""

import pandas
import pytest

from cropflow.labels.tables import Code
from cropflow.labels.vintages import report_years

TABLE = {
    "MIS": Code(7, 2015, None, ("MIE",), 2023),
    "MIE": Code(7, 2015, 2022),
    "JAC": Code(9, 2023, None),
    "OLD": Code(9, None, 2014),
    "ANY": Code(0),
}


def parcels(*rows):
    codes, areas = zip(*rows, strict=True)
    return pandas.DataFrame({"crop_code": pandas.Series(list(codes), dtype="str"), "area_ha": list(areas)})


def test_a_code_outside_its_years_is_reported_with_parcels_and_hectares(caplog):
    found = report_years(parcels(("MIE", 1.5), (" MIE", 2.5), ("ANY", 9.0)), TABLE, 2023)
    assert found == {
        "campaign": 2023,
        "outside_years": {"MIE": {"first_year": 2015, "last_year": 2022, "parcels": 2, "hectares": 4.0}},
        "merged": {},
    }
    assert "codes outside their years (1): 'MIE' (2015 to 2022): 2 parcels, 4.00 ha" in caplog.text


@pytest.mark.parametrize(
    ("campaign", "outside"),
    [(2014, {"MIS", "MIE", "JAC"}), (2015, {"JAC", "OLD"}), (2022, {"JAC", "OLD"}), (2023, {"MIE", "OLD"})],
)
def test_the_first_and_the_last_year_belong_to_a_code(campaign, outside):
    rows = parcels(("MIS", 1.0), ("MIE", 1.0), ("JAC", 1.0), ("OLD", 1.0), ("ANY", 1.0))
    assert set(report_years(rows, TABLE, campaign)["outside_years"]) == outside


def test_a_code_that_took_over_others_is_reported_from_that_campaign_on(caplog):
    rows = parcels(("MIS", 3.0), ("MIS", 1.0))
    assert report_years(rows, TABLE, 2022)["merged"] == {}
    assert report_years(rows, TABLE, 2023)["merged"] == {
        "MIS": {"merges": ["MIE"], "merges_from": 2023, "parcels": 2, "hectares": 4.0}
    }
    assert "codes that stand for others too (1): 'MIS' (with MIE): 2 parcels, 4.00 ha" in caplog.text


def test_codes_that_the_table_lacks_are_left_to_the_mapping():
    assert report_years(parcels(("XXX", 1.0)), TABLE, 2023)["outside_years"] == {}


def test_years_that_are_half_told_are_told_so(caplog):
    report_years(parcels(("JAC", 1.0), ("OLD", 2.0)), TABLE, 2015)
    assert (
        "'OLD' (until 2014): 1 parcel, 2.00 ha, 'JAC' (from 2023): 1 parcel, 1.00 ha; 2 parcels, 3.00 ha" in caplog.text
    )
