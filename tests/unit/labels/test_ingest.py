from __future__ import annotations

import json
import math
import struct
from concurrent.futures import ThreadPoolExecutor

import geopandas
import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.registers import Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.files.tables import read_geotable, write_table
from cropflow.labels.hilbert import hilbert_distance
from cropflow.labels.ingest import in_order, ingest
from cropflow.labels.ledger import _mixed, _mixed_text
from cropflow.labels.parcels import clean
from cropflow.labels.registers import open_register, read_register
from cropflow.labels.registers.stream import as_frame, as_stream, decoded


def both(table, path, piece=3, row_group=4, workers=2, cleaning=None):
    """The result of the reference and of the stream; or the error of each."""
    found = []
    for run in (
        lambda: clean(table, cleaning),
        lambda: (path, ingest(as_stream(table, piece), path, cleaning, workers, row_group)),
    ):
        try:
            found.append(run())
        except CropflowError as error:
            found.append(str(error))
    return found


def assert_same(reference, streamed):
    if isinstance(reference, str) or isinstance(streamed, str):
        assert reference == streamed
        return
    (parcels, summary), (path, counts) = reference, streamed
    assert counts == summary
    read = read_geotable(path)
    assert read.crs == parcels.crs
    pandas.testing.assert_frame_equal(parcels.drop(columns="geometry"), read.drop(columns="geometry"))
    assert parcels.geometry.to_wkb().tolist() == read.geometry.to_wkb().tolist()


@pytest.fixture
def rows(register, square):
    """A register with everything that is dropped, repaired and renamed."""
    bow_tie = shapely.Polygon([(701_000, 6_600_000), (701_100, 6_600_100), (701_100, 6_600_000), (701_000, 6_600_100)])
    with np.errstate(invalid="ignore"):
        nan = shapely.Polygon([(0, 0), (1, math.nan), (1, 1)])
    return register(
        ("05", "BTH", square(0)),
        ("03", "MIS", square(0)),
        ("04", "BTH ", square(0)),
        ("01", "BTH", square(1)),
        ("01", "ORH", square(2)),
        ("01#2", "ORH", square(3)),
        ("01", "ORH", square(4)),
        ("07", None, square(5)),
        ("08", "NA", None),
        ("09", "NA", nan),
        ("10", "NA", bow_tie),
        ("11", "NA", shapely.force_3d(square(6), 7.0)),
        ("12", "NA", square(7, side_m=5)),
        ("13", "NA", shapely.box(700_000, 6_700_000, 700_001, 6_701_000)),
        ("14", "NA", shapely.Point(700_000, 6_600_000)),
        ("02", "NA", shapely.MultiPolygon([square(8), square(9)])),
        ("15", "NA", shapely.reverse(square(4))),
        ("16", "ORH", shapely.reverse(square(2))),
    )


@pytest.mark.parametrize("piece", [1, 2, 5, 100])
@pytest.mark.parametrize("row_group", [1, 3, 100])
def test_any_size_of_pieces_gives_the_rows_of_the_reference(rows, tmp_path, piece, row_group):
    reference, streamed = both(rows, tmp_path / "a.parquet", piece, row_group)
    assert set(reference[1]["dropped"]) == {
        "no_code", "empty", "not_finite", "not_polygon", "too_small", "sliver", "duplicate", "conflicting",
    }  # fmt: skip
    assert reference[1]["renamed"] == 2
    assert_same(reference, streamed)


def test_bytes_depend_neither_on_the_pieces_nor_on_the_threads(rows, tmp_path):
    found = set()
    for piece, workers in ((1, 1), (4, 3), (100, 2)):
        ingest(as_stream(rows, piece), tmp_path / "a.parquet", None, workers, row_group=4)
        found.add((tmp_path / "a.parquet").read_bytes())
    assert len(found) == 1


corner = st.integers(0, 6).map(lambda step: 30.0 * step)
ring = st.lists(st.tuples(corner, corner), min_size=3, max_size=6)


@settings(max_examples=120, deadline=None)
@given(
    shapes=st.lists(ring, min_size=1, max_size=4),
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["A", "A ", "B", " ", None]), st.sampled_from(["1", "2", "1#2"])),
        min_size=1,
        max_size=12,
    ),
    piece=st.integers(1, 13),
    row_group=st.integers(1, 5),
    turns=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_a_stream_equals_the_reference_row_for_row(tmp_path_factory, shapes, rows, piece, row_group, turns):
    outlines = [shapely.Polygon([(700_000 + x, 6_600_000 + y) for x, y in each]) for each in shapes]
    table = geopandas.GeoDataFrame(
        {
            "parcel_id": pandas.Series([identity for _, _, identity in rows], dtype="str"),
            "crop_code": pandas.Series([code for _, code, _ in rows], dtype="str"),
        },
        geometry=[
            shapely.reverse(outlines[number % len(outlines)]) if turn else outlines[number % len(outlines)]
            for (number, _, _), turn in zip(rows, turns, strict=False)
        ],
        crs=2154,
    )
    path = tmp_path_factory.mktemp("stream") / "a.parquet"
    assert_same(*both(table, path, piece, row_group))


def test_further_columns_of_any_type_are_carried_through_unchanged(rows, tmp_path):
    number = len(rows)
    further = rows.assign(
        season=pandas.Series(["früh", None] * number, dtype="str")[:number],
        harvest=pandas.date_range("2022-06-01", periods=number),
        yield_t=np.arange(number) / 7,
        visits=pandas.Series([1, None] * number, dtype="Int64")[:number],
        sown=[True, False] * (number // 2),
        windows=[[1, 2], []] * (number // 2),
    )
    reference, (path, _) = both(further, tmp_path / "a.parquet")
    read = read_geotable(path)
    parcels = reference[0]
    assert list(read.columns) == list(parcels.columns)
    assert list(parcels.columns)[:3] == ["parcel_id", "crop_code", "area_ha"]
    for name in ("season", "harvest", "yield_t", "visits", "sown"):
        pandas.testing.assert_series_equal(parcels[name], read[name])
    assert parcels["windows"].tolist() == [list(each) for each in read["windows"]]


@pytest.mark.parametrize("name", ["area_ha", "bbox"])
def test_a_reader_must_not_give_what_cleaning_adds(rows, name):
    with pytest.raises(ValueError, match=name):
        as_stream(rows.assign(**{name: 1.0}))


def test_the_file_is_the_geoparquet_that_geopandas_writes(rows, tmp_path):
    parcels, _ = clean(rows)
    write_table(tmp_path / "whole.parquet", parcels)
    ingest(as_stream(rows, 3), tmp_path / "stream.parquet", row_group=4)
    schemas = [pyarrow.parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("whole", "stream")]
    whole, stream = (json.loads(schema.metadata[b"geo"]) for schema in schemas)
    assert stream == whole
    assert schemas[0].names == schemas[1].names
    box = (700_150, 6_599_000, 700_350, 6_601_000)
    chosen = [geopandas.read_parquet(tmp_path / f"{name}.parquet", bbox=box) for name in ("whole", "stream")]
    assert len(chosen[0]) == 1
    pandas.testing.assert_frame_equal(*chosen)


def test_row_groups_are_filled_and_know_their_bounds(rows, tmp_path):
    ingest(as_stream(rows, 3), tmp_path / "a.parquet", row_group=3)
    footer = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").metadata
    sizes = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
    assert set(sizes[:-1]) == {3}
    names = [footer.schema.column(number).path for number in range(len(footer.schema))]
    group = footer.row_group(0)
    assert group.column(names.index("bbox.xmin")).is_stats_set
    assert not group.column(names.index("geometry")).is_stats_set


def test_what_waited_is_deleted_whether_all_goes_well_or_not(rows, tmp_path, monkeypatch):
    ingest(as_stream(rows, 3), tmp_path / "a.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    (tmp_path / "a.parquet").unlink()
    monkeypatch.setattr("cropflow.labels.ingest.check_place", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ingest(as_stream(rows, 3), tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_too_small_a_disk_is_found_before_anything_is_read(rows, tmp_path, monkeypatch):
    monkeypatch.setattr("cropflow.labels.ingest.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(CropflowError, match=r"has 0.0 GB free; cleaning 18 parcels takes up to"):
        ingest(as_stream(rows), tmp_path / "a.parquet")


def test_threads_give_results_in_order_and_run_only_so_far_ahead():
    begun = []

    def items():
        for number in range(20):
            begun.append(number)
            yield number

    with ThreadPoolExecutor(3) as pool:
        for number, result in enumerate(in_order(pool, lambda item: item * 2, items(), ahead=2)):
            assert result == number * 2
            assert len(begun) <= number + 3


def test_a_stream_read_at_once_is_the_table_that_it_came_from(rows):
    back = as_frame(as_stream(rows, 4))
    pandas.testing.assert_frame_equal(back.drop(columns="geometry"), rows.drop(columns="geometry"))
    assert back.geometry.to_wkb().tolist() == rows.geometry.to_wkb().tolist()


def test_a_ring_that_does_not_close_is_mended_and_one_of_two_corners_is_no_outline():
    def polygon(*corners):
        points = b"".join(struct.pack("<dd", *each) for each in corners)
        return struct.pack("<BIII", 1, 3, 1, len(corners)) + points

    open_ring = polygon((0, 0), (1, 0), (1, 1), (0, 1))
    geometries, as_read = decoded(pyarrow.chunked_array([[open_ring, polygon((0, 0), (1, 1)), None]], pyarrow.binary()))
    assert not as_read
    assert geometries[0].equals(shapely.box(0, 0, 1, 1))
    assert geometries[1] is None or geometries[1].area == 0
    assert geometries[2] is None


@pytest.mark.parametrize(
    ("pattern", "column"),
    [
        ("at/*.zip", "SNAR_CODE"),
        ("nl/*.gpkg", "gewascode"),
        ("br_ba_lem/*.zip", "Dec_2019"),
        ("es_cat/*.zip", "cultiu"),
        ("be_vlg/*.zip", "GWSCOD_H"),
    ],
)
def test_registers_of_other_countries_are_cleaned_as_the_reference_does(shared, tmp_path, pattern, column):
    (source,) = (shared / "data/rpg_2022_sample/other_lpis").glob(pattern)
    content = {"reader": "vector", "files": {"2018": {"path": "x"}}, "columns": {"crop_code": column}}
    register = parse(Register, content)
    reference = clean(read_register(source, "2018", register))
    with open_register(source, "2018", register) as parcels:
        summary = ingest(parcels, tmp_path / "a.parquet", row_group=16)
    assert_same(reference, (tmp_path / "a.parquet", summary))
    assert summary["read"]["parcels"] >= 50


def test_the_curve_is_that_of_geopandas():
    points = np.random.default_rng(0).uniform(-5, 9, (500, 2))
    x, y = points.T
    ranges = x.min(), y.min(), x.max(), y.max()
    expected = geopandas.GeoSeries(shapely.points(points)).hilbert_distance().to_numpy()
    np.testing.assert_array_equal(hilbert_distance(x, y, ranges), expected)
    assert hilbert_distance(x[:1], y[:1], (x[0], y[0], x[0], y[0])).tolist() == [0]


@given(st.lists(st.text(max_size=6), max_size=30))
def test_equal_texts_and_boxes_have_equal_numbers(texts):
    numbers = _mixed_text(pyarrow.array(["", *texts], pyarrow.string()).slice(1))
    for text, number in zip(texts, numbers, strict=True):
        assert number == numbers[texts.index(text)]
    assert len(set(numbers.tolist())) == len(set(texts))
    boxes = np.array([[0.0, 1.0, 2.0, 3.0], [-0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 2.0, 3.0]])
    first, second, third = _mixed(boxes).tolist()
    assert first == second != third
