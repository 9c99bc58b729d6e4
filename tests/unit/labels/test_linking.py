from __future__ import annotations

import geopandas
import numpy as np
import pandas
import pytest
import shapely

from cropflow.config.registers import History
from cropflow.errors import CropflowError
from cropflow.files.georows import GeoRows
from cropflow.files.tables import write_table
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.labels.linking import link

X, Y = 700_000, 6_600_000
RULE = History()


@pytest.fixture
def season(tmp_path):
    """Write parcels of a season in Lambert-93, or move them into another CRS, and open the file."""

    def write(name, geometries, crs="EPSG:2154", ids=None):
        table = geopandas.GeoDataFrame(
            {"parcel_id": ids or [f"{name}{number}" for number in range(len(geometries))]},
            geometry=list(geometries),
            crs="EPSG:2154",
        )
        table["area_ha"] = ellipsoidal_area_ha(table.geometry).round(6)
        path = tmp_path / f"{name}.parquet"
        write_table(path, table.to_crs(crs))
        return GeoRows(path)

    return write


def grid(columns, shift=0.0, step=100.0):
    return [
        shapely.box(x, y, x + step, y + step)
        for x in X + shift + step * np.arange(columns)
        for y in Y + shift + step * np.arange(columns)
    ]


def test_pieces_are_named_by_the_ids_of_both_seasons(season):
    table, counts = link(season("a", grid(1)), season("b", [shapely.box(X, Y, X + 50, Y + 100)]), RULE)
    assert list(table.columns) == ["parcel_id", "earlier_id", "share", "iou"]
    assert table[["parcel_id", "earlier_id"]].to_numpy().tolist() == [["a0", "b0"]]
    assert table["share"].tolist() == pytest.approx([0.5])
    assert counts["covered"]["hectares"] == pytest.approx(counts["parcels"]["hectares"] / 2, abs=1e-6)


def test_neither_runs_nor_threads_change_the_result(season):
    parcels, earlier = season("a", grid(12)), season("b", grid(9, shift=37.0, step=130.0))
    whole, counts = link(parcels, earlier, RULE)
    assert len(whole) > 144
    for workers, run_rows in ((1, 1), (1, 7), (3, 10), (2, 1000)):
        table, same = link(parcels, earlier, RULE, workers, run_rows)
        pandas.testing.assert_frame_equal(table, whole, check_exact=True)
        assert same == counts


def test_the_order_is_that_of_the_parcels_then_of_the_earlier_ones(season):
    table, _ = link(season("a", grid(3)), season("b", grid(3, shift=40.0)), RULE)
    rows = [(int(one[1:]), int(other[1:])) for one, other in zip(table["parcel_id"], table["earlier_id"], strict=True)]
    assert rows == sorted(rows)


@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:4326", "EPSG:3857"])
def test_another_crs_of_the_earlier_season_changes_shares_by_a_hair(season, crs):
    parcels = season("a", grid(6))
    here, _ = link(parcels, season("b", grid(5, shift=37.0, step=130.0)), RULE)
    there, _ = link(parcels, season("c", grid(5, shift=37.0, step=130.0), crs), RULE)
    assert there["share"].to_numpy() == pytest.approx(here["share"].to_numpy(), abs=1e-5)
    assert (there["earlier_id"].str[1:] == here["earlier_id"].str[1:]).all()


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_shares_hardly_depend_on_the_crs_they_are_measured_in(season, crs):
    here, counts = link(season("a", grid(6)), season("b", grid(5, shift=37.0, step=130.0)), RULE)
    there, same = link(season("c", grid(6), crs), season("d", grid(5, shift=37.0, step=130.0), crs), RULE)
    assert there["share"].to_numpy() == pytest.approx(here["share"].to_numpy(), abs=1e-4)
    assert same["slivers"]["pieces"] == counts["slivers"]["pieces"]


def test_counts_add_up(season):
    # A strip of 2 m is no piece; two earlier parcels overlap by 10 m; one has no successor.
    parcels = season("a", [shapely.box(X, Y, X + 100, Y + 100), shapely.box(X + 500, Y, X + 600, Y + 100)])
    earlier = season(
        "b",
        [
            shapely.box(X - 98, Y, X + 2, Y + 100),
            shapely.box(X + 2, Y, X + 60, Y + 100),
            shapely.box(X + 50, Y, X + 90, Y + 100),
            shapely.box(X + 900, Y, X + 950, Y + 50),
        ],
    )
    _, counts = link(parcels, earlier, RULE)
    assert counts["parcels"]["parcels"] == 2
    assert (counts["covered"]["parcels"], counts["uncovered"]["parcels"]) == (1, 1)
    whole = counts["parcels"]["hectares"]
    assert counts["covered"]["hectares"] + counts["uncovered"]["hectares"] == pytest.approx(whole, abs=1e-9)
    assert counts["covered"]["hectares"] == pytest.approx(0.88, rel=1e-2)
    assert counts["slivers"]["pieces"] == 1
    assert counts["slivers"]["hectares"] == pytest.approx(0.02, rel=1e-2)
    assert counts["overlaps"]["parcels"] == 1
    assert counts["overlaps"]["hectares"] == pytest.approx(0.1, rel=1e-2)
    assert counts["earlier"]["parcels"] == 4
    # The parcel of the strip has none either.
    assert counts["without_successor"]["parcels"] == 2


def test_registers_of_different_land_are_refused_in_one_line(season):
    with pytest.raises(
        CropflowError, match=r"None of the 1 parcels of .*a\.parquet lies on one of the 1 parcels"
    ) as stopped:
        link(season("a", grid(1)), season("b", grid(1, shift=5000.0)), RULE)
    assert "\n" not in str(stopped.value)
