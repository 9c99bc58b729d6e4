"""Maps of classes as registers: parts on pixel edges, windows, and the equality with nearest neighbours."""

from __future__ import annotations

import csv
import zipfile

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings, strategies
from hypothesis.extra.numpy import array_shapes, arrays
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import reproject
from rasterio.warp import transform as move

from cropflow.config.registers import Cleaning, Raster, Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError
from cropflow.files.class_rasters import Span
from cropflow.labels.legend import read_table
from cropflow.labels.mapping import map_codes
from cropflow.labels.parcels import clean
from cropflow.labels.registers import read_register, register_sources
from cropflow.labels.registers.raster import chequerboard, first_pixels, polygonised
from cropflow.labels.registers.raster_windows import merged
from cropflow.regions.clip import clip_parcels
from cropflow.regions.grid import Grid

CORNER = (3_760_000.0, 2_880_000.0)
UNCHANGED = Cleaning(minimum_area_m2=0, minimum_width_m=0)


def register(**raster):
    entry = {"reader": "raster", "table": "t.csv", "files": {"2018": {"path": "map.tif"}}, "raster": raster}
    return parse(Register, entry, "registers.map")


def window(row, column, height, width):
    """A box in the map's CRS that covers these pixels."""
    x, y = CORNER[0] + 10 * column, CORNER[1] - 10 * row
    return {"bounds": [x, y - 10 * height, x + 10 * width, y], "crs": "EPSG:3035"}


def blobs(shape, seed, classes=5, step=6):
    """Patches of classes with ragged borders and some nodata, as maps have them."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes + 1, (shape[0] // step + 2, shape[1] // step + 2))
    rows, columns = np.indices(shape)
    jitter = rng.integers(-2, 3, (2, *shape))
    return coarse[np.clip(rows + jitter[0], 0, None) // step, np.clip(columns + jitter[1], 0, None) // step]


def drawn(parcels, shape):
    """The map that parcels in its own CRS make."""
    transform = Affine(10.0, 0.0, CORNER[0], 0.0, -10.0, CORNER[1])
    pairs = zip(parcels.geometry, parcels["crop_code"].astype(int), strict=True)
    return rasterize(pairs, shape, transform=transform, dtype="int32")


def test_connected_pixels_of_one_value_are_a_parcel(class_map):
    values = [[211, 211, 500], [0, 211, 500], [216, 216, 211]]
    found = read_register(class_map(values), "2018", register())
    assert list(found.columns) == ["parcel_id", "crop_code", "geometry"]
    assert found.crs.to_epsg() == 3035
    by_id = found.set_index("parcel_id")
    assert by_id["crop_code"].to_dict() == {"r0c0": "211", "r0c2": "500", "r2c0": "216", "r2c2": "211"}
    assert by_id.geometry.area.to_dict() == {"r0c0": 300.0, "r0c2": 200.0, "r2c0": 200.0, "r2c2": 100.0}
    x, y = CORNER
    assert by_id.geometry["r2c0"].equals(shapely.box(x, y - 30, x + 20, y - 20))


def test_pixels_that_meet_in_a_corner_are_two_parcels(class_map):
    found = read_register(class_map([[1, 2], [2, 1]]), "2018", register())
    assert sorted(found["parcel_id"]) == ["r0c0", "r0c1", "r1c0", "r1c1"]


def test_large_values_are_kept_exactly(class_map):
    found = read_register(class_map([[2_000_000_001, -7]], dtype="int32"), "2018", register())
    assert sorted(found["crop_code"]) == ["-7", "2000000001"]


def test_nodata_of_the_file_and_of_the_config_is_no_parcel(class_map):
    found = read_register(class_map([[1, 0, 255]]), "2018", register(nodata=[255]))
    assert found["crop_code"].tolist() == ["1"]


@settings(max_examples=60, deadline=None)
@given(values=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=strategies.integers(0, 3)))
def test_outlines_are_valid_cover_their_pixels_and_name_the_first(values):
    outlines, codes = polygonised(values, values > 0)
    assert shapely.is_valid(outlines).all()
    again = np.zeros(values.shape, dtype=np.int32)
    if len(outlines):
        pairs = list(zip(outlines.tolist(), codes.tolist(), strict=True))
        again = rasterize(pairs, values.shape, transform=Affine.identity(), dtype="int32")
    assert np.array_equal(again, values)
    parts = rasterize(
        [(outline, number) for number, outline in enumerate(outlines, start=1)] or [(shapely.box(90, 90, 91, 91), 1)],
        values.shape, transform=Affine.identity(), dtype="int32",
    )  # fmt: skip
    rows, columns = first_pixels(outlines)
    for number, (row, column) in enumerate(zip(rows, columns, strict=True), start=1):
        assert (row, column) == tuple(int(edge) for edge in np.argwhere(parts == number)[0])


def test_a_map_comes_back_from_its_parcels(class_map):
    values = blobs((60, 80), 0)
    found = read_register(class_map(values), "2018", register())
    assert np.array_equal(drawn(found, values.shape), values)


def test_cleaning_keeps_every_pixel_of_a_map(class_map):
    values = blobs((60, 80), 1)
    config = register()
    parcels, counts = clean(read_register(class_map(values), "2018", config), config.cleaning)
    assert counts["dropped"] == {}
    assert counts["repaired"] == counts["renamed"] == 0
    assert counts["kept"]["hectares"] == pytest.approx((values > 0).sum() / 100, rel=1e-6)
    assert np.array_equal(drawn(parcels, values.shape), values)


def site_over(values):
    """A site in the UTM zone over the middle of a map in the projection of EUCROPMAP."""
    middle = shapely.Point(CORNER[0] + 5 * values.shape[1], CORNER[1] - 5 * values.shape[0])
    to_utm = move("EPSG:3035", "EPSG:32631", [middle.x], [middle.y])
    x, y = (round(edge[0] / 10) * 10 for edge in to_utm)
    side = 10 * round(min(values.shape) * 0.65)
    return Grid(32631, x - side // 20 * 10, y + side // 20 * 10, side // 10, side // 10, 10.0)


def test_parcels_on_a_sites_grid_are_the_maps_nearest_neighbours(class_map):
    values = blobs((360, 360), 2, step=9)
    path = class_map(values)
    grid = site_over(values)
    parcels, _ = clean(read_register(path, "2018", register()), UNCHANGED)
    clipped = clip_parcels(parcels, grid).parcels
    pairs = zip(clipped.geometry, clipped["crop_code"].astype(int), strict=True)
    ours = rasterize(pairs, grid.shape, transform=grid.transform, dtype="uint16")
    nearest = np.zeros(grid.shape, dtype=np.uint16)
    with rasterio.open(path) as raster:
        reproject(
            rasterio.band(raster, 1), nearest, dst_crs="EPSG:32631", dst_transform=grid.transform,
            resampling=Resampling.nearest, tolerance=0.0,
        )  # fmt: skip
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = move("EPSG:32631", "EPSG:3035", *(grid.transform @ (columns.ravel(), rows.ravel())))
    across, down = (np.array(x) - CORNER[0]) / 10, (CORNER[1] - np.array(y)) / 10
    exact = values[np.floor(down).astype(int), np.floor(across).astype(int)].reshape(grid.shape)
    # Distance of the site's pixel centres from the edges of the map's pixels, where either neighbour is the nearest.
    edge = np.abs(np.stack([across, down]) - np.round([across, down])).min(axis=0).reshape(grid.shape)
    assert len(np.unique(exact)) == 6
    assert np.array_equal(ours[edge > 1e-4], exact[edge > 1e-4])
    # GDAL places pixels to a centimetre or two.
    assert (edge < 2e-3).mean() < 0.01
    assert np.array_equal(ours[edge > 2e-3], nearest[edge > 2e-3])


def test_only_the_windows_are_read_and_ids_do_not_depend_on_them(class_map):
    values = blobs((120, 120), 3)
    path = class_map(values)
    whole = read_register(path, "2018", register()).set_index("parcel_id")
    found = read_register(path, "2018", register(windows={"a": window(30, 40, 25, 25)})).set_index("parcel_id")
    minx, miny, maxx, maxy = found.total_bounds
    assert maxx - minx < 500
    assert maxy - miny < 500
    inside = found.geometry.within(shapely.box(minx + 1, miny + 1, maxx - 1, maxy - 1))
    assert inside.sum() > 5
    for name in found.index[inside]:
        assert whole.geometry[name].equals_exact(found.geometry[name], 0)
        assert whole["crop_code"][name] == found["crop_code"][name]
    x, y = CORNER[0] + 400, CORNER[1] - 300
    covered = found.union_all().area / 100
    assert covered >= (values[30:55, 40:65] > 0).sum()
    assert shapely.box(x, y - 250, x + 250, y).within(shapely.box(minx, miny, maxx, maxy).buffer(20))


def test_a_square_window_covers_the_site_that_the_same_square_declares(class_map):
    values = np.full((300, 300), 7)
    centre = move("EPSG:3035", "EPSG:4326", [CORNER[0] + 1500], [CORNER[1] - 1500])
    square = {"centre": [centre[0][0], centre[1][0]], "side_km": 1.0}
    found = read_register(class_map(values), "2018", register(windows={"a": square}))
    (x,), (y,) = move("EPSG:4326", "EPSG:32631", *centre)
    site = shapely.box(x - 510, y - 510, x + 510, y + 510)
    assert site.within(found.to_crs("EPSG:32631").union_all())
    assert found.union_all().area < 2_000_000


def test_windows_that_overlap_or_touch_are_read_once(class_map):
    values = blobs((120, 120), 4)
    several = register(windows={"a": window(10, 10, 30, 30), "b": window(30, 30, 30, 30), "c": window(90, 90, 10, 10)})
    found = read_register(class_map(values), "2018", several)
    assert found["parcel_id"].is_unique
    assert found.union_all().area == pytest.approx(found.geometry.area.sum())


@given(
    boxes=strategies.lists(
        strategies.tuples(*[strategies.integers(0, 30)] * 2, *[strategies.integers(1, 12)] * 2), min_size=1, max_size=6
    )
)
def test_merged_rectangles_lie_apart_and_cover_all(boxes):
    spans = [Span(*box) for box in boxes]
    found = merged(spans)

    def pixels(span):
        return {(span.row + i, span.column + j) for i in range(span.height) for j in range(span.width)}

    assert set().union(*map(pixels, spans)) <= set().union(*map(pixels, found))
    for index, one in enumerate(found):
        around = pixels(Span(one.row - 1, one.column - 1, one.height + 2, one.width + 2))
        assert not any(around & pixels(other) for other in found[index + 1 :])


def test_cut_parts_end_at_rows_and_columns_of_the_map_whatever_the_window(class_map):
    values = np.full((64, 64), 300)
    values[20:30, 20:30] = 211
    path = class_map(values)
    whole = read_register(path, "2018", register(cut_pixels=16)).set_index("parcel_id")
    assert np.array_equal(drawn(whole, values.shape), values)
    assert whole.geometry.map(lambda part: max(np.ptp(part.bounds[::2]), np.ptp(part.bounds[1::2]))).max() <= 160
    windowed = read_register(path, "2018", register(cut_pixels=16, windows={"a": window(25, 25, 5, 5)}))
    assert 0 < len(windowed) < len(whole)
    for row in windowed.itertuples():
        assert whole.geometry[row.parcel_id].equals_exact(row.geometry, 0)


@given(
    values=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=strategies.integers(0, 2)),
    corner=strategies.tuples(strategies.integers(0, 20), strategies.integers(0, 20)),
)
@settings(max_examples=40, deadline=None)
def test_no_part_crosses_a_cut_and_none_is_cut_elsewhere(values, corner):
    rows, columns = np.indices(values.shape)
    cell = (rows + corner[0]) // 8 * 100 + (columns + corner[1]) // 8
    expected = 0
    for number in np.unique(cell):
        expected += len(polygonised(values, (values > 0) & (cell == number))[0])
    masks = chequerboard(Span(*corner, *values.shape), 8)
    assert (masks[0] ^ masks[1]).all()
    found = [polygonised(values, (values > 0) & mask)[0] for mask in masks]
    assert sum(map(len, found)) == expected


def test_a_window_beside_the_map_is_refused(class_map):
    with pytest.raises(CropflowError, match=r"raster\.windows\.far lies beside .*map\.tif"):
        read_register(class_map([[1]]), "2018", register(windows={"far": window(5000, 5000, 10, 10)}))


def test_a_window_that_reaches_beyond_the_map_is_read_as_far_as_it_goes(class_map, caplog):
    found = read_register(class_map([[1, 2], [3, 4]]), "2018", register(windows={"a": window(-2, 0, 4, 2)}))
    assert len(found) == 4
    assert "window a reaches beyond" in caplog.text


def test_a_window_that_no_crs_places_is_refused(class_map):
    lost = {"bounds": [9e9, 9e9, 9.1e9, 9.1e9], "crs": "EPSG:3035"}
    with pytest.raises(CropflowError, match=r"raster\.windows\.lost\.bounds are .* does not place on Earth"):
        read_register(class_map([[1]]), "2018", register(windows={"lost": lost}))


def test_a_window_across_the_antimeridian_is_refused(class_map):
    path = class_map([[1]], crs="EPSG:4326", transform=Affine(1, 0, 179.0, 0, -1, 1.0))
    across = {"centre": [179.99, 0.5], "side_km": 10.0}
    with pytest.raises(CropflowError, match="antimeridian"):
        read_register(path, "2018", register(windows={"a": across}))


def test_nodata_alone_is_refused(class_map):
    with pytest.raises(CropflowError, match=r"has no valid pixel among the 4 that were read.*raster\.nodata"):
        read_register(class_map([[0, 0], [0, 9]]), "2018", register(nodata=[9]))


def test_more_than_the_largest_window_is_refused_before_anything_is_read(class_map, monkeypatch):
    monkeypatch.setattr("cropflow.labels.registers.raster_windows.LARGEST_PIXELS", 3)
    with pytest.raises(CropflowError, match=r"4 pixels of .*map\.tif would be read; expected at most 3"):
        read_register(class_map([[1, 2], [3, 4]]), "2018", register())


@pytest.mark.parametrize(
    ("values", "profile", "message"),
    [
        ([[1]], {"crs": None}, "has no CRS"),
        ([[1]], {"dtype": "float32"}, "stores float32"),
        ([[[1]], [[2]]], {}, "has 2 bands"),
    ],
)
def test_what_is_no_map_of_classes_is_refused(class_map, values, profile, message):
    with pytest.raises(CropflowError, match=message):
        read_register(class_map(values, **profile), "2018", register())


@pytest.fixture
def zipped(class_map, tmp_path):
    """Zip maps, as the AAFC Annual Crop Inventory is published."""

    def write(*names):
        path = class_map([[146, 153]])
        with zipfile.ZipFile(tmp_path / "aci_2019_mb.zip", "w") as archive:
            for name in (*names, "aci_2019_mb/readme.txt"):
                archive.write(path, name)
        return tmp_path / "aci_2019_mb.zip"

    return write


def named(layer):
    entry = {"reader": "raster", "table": "t.csv", "files": {"2018": {"path": "x", "layer": layer}}}
    return parse(Register, entry, "registers.map")


def test_a_map_in_an_archive_is_read(zipped):
    path = zipped("aci_2019_mb/aci_2019_mb.tif")
    assert sorted(read_register(path, "2018", register())["crop_code"]) == ["146", "153"]
    assert register_sources(path, "2018", register()) == [path]


def test_of_several_maps_in_an_archive_one_is_named(zipped):
    path = zipped("a/one.tif", "a/two.tif")
    with pytest.raises(CropflowError, match=r"holds 2 files to choose from \(a/one.tif, a/two.tif\)"):
        read_register(path, "2018", register())
    assert len(read_register(path, "2018", named("two"))) == 2


def test_a_layer_of_a_map_that_is_in_no_archive_is_refused(class_map):
    with pytest.raises(CropflowError, match=r"files.2018.layer is 'two'; .* names a file of an archive"):
        read_register(class_map([[1]]), "2018", named("two"))


def test_an_archive_without_a_map_names_what_it_holds(zipped):
    with pytest.raises(CropflowError, match=r"holds aci_2019_mb/readme.txt; expected one file of .tif, .tiff"):
        read_register(zipped(), "2018", register())


def test_every_code_of_eucropmap_becomes_a_crop_or_is_out_of_scope(class_map, shared):
    with (shared / "reference" / "classes" / "B_eucropmap_classes.csv").open(newline="") as file:
        used = {int(row["eucropmap_2018_code"]): row["used_in_B"] == "yes" for row in csv.DictReader(file)}
    codes = sorted(code for code in used if code)
    parcels, _ = clean(read_register(class_map([codes]), "2018", register()), UNCHANGED)
    assert sorted(parcels["crop_code"]) == sorted(map(str, codes))
    crops = map_codes(parcels, read_table("eucropmap", "eucropmap"))
    in_scope = {int(code): bool(crop) for code, crop in zip(parcels["crop_code"], crops, strict=True)}
    assert in_scope == {code: used[code] for code in codes}
    assert len(set(crops[crops > 0].tolist())) == 21


def test_a_value_that_eucropmap_does_not_have_stops(class_map):
    parcels, _ = clean(read_register(class_map([[211, 999]]), "2018", register()), UNCHANGED)
    with pytest.raises(CropflowError, match=r"does not know 1 of the register's 2 codes.*'999'"):
        map_codes(parcels, read_table("eucropmap", "eucropmap"))


def test_degrees_give_the_same_parts(class_map):
    path = class_map([[40, 40], [10, 40]], crs="EPSG:4326", transform=Affine(1 / 12000, 0, 2.0, 0, -1 / 12000, 48.0))
    found = read_register(path, "2018", register()).set_index("parcel_id")
    assert found["crop_code"].to_dict() == {"r0c0": "40", "r1c0": "10"}
    assert found.geometry["r1c0"].bounds == pytest.approx((2.0, 48 - 2 / 12000, 2 + 1 / 12000, 48 - 1 / 12000))


def test_only_maps_are_read_from_an_address():
    assert register_sources("https://host/map.tif", "2018", register()) == []
    rpg = parse(Register, {"reader": "rpg", "files": {"2018": {"path": "-"}}})
    for ask in (register_sources, read_register):
        with pytest.raises(CropflowError, match="Reader rpg needs a local file"):
            ask("https://host/map.tif", "2018", rpg)


def test_a_map_needs_no_raster_section(class_map):
    entry = {"reader": "raster", "table": "t.csv", "files": {"2018": {"path": "map.tif"}}}
    config = parse(Register, entry, "registers.map")
    assert config.raster is None
    assert Raster() == Raster(windows={}, nodata=(), cut_pixels=None)
    assert len(read_register(class_map([[1, 2]]), "2018", config)) == 2
