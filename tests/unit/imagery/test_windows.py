import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.imagery.windows import read_layer, read_measure
from cropflow.regions.grid import Grid

XMIN, YMAX = 500_000.0, 4_900_000.0


def by_centres(path, grid):
    """The plain reference: look up the raster pixel under the centre of every site pixel."""
    with rasterio.open(path) as raster:
        values = raster.read(1)
        expected = np.zeros(grid.shape, dtype=np.uint16)
        for row in range(grid.height):
            for column in range(grid.width):
                x = grid.xmin + (column + 0.5) * grid.pixel_m
                y = grid.ymax - (row + 0.5) * grid.pixel_m
                there = raster.index(x, y)
                if 0 <= there[0] < raster.height and 0 <= there[1] < raster.width:
                    expected[row, column] = values[there]
    return expected


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raster_pixels=st.sampled_from([1, 2, 6]),
    right=st.integers(-7, 7),
    down=st.integers(-7, 7),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_aligned_layers_give_the_pixel_under_each_centre(tmp_path, raster, raster_pixels, right, down, height, width):
    values = np.arange(1, 36, dtype=np.uint16).reshape(5, 7)
    path = raster(tmp_path / "layer.tif", values, XMIN, YMAX, 10.0 * raster_pixels)
    grid = Grid(32631, XMIN + 10 * right, YMAX - 10 * down, height, width, 10.0)
    layer = read_layer(path, grid)
    assert not layer.resampled
    np.testing.assert_array_equal(layer.values, by_centres(path, grid))


def test_a_20_m_layer_that_begins_at_an_odd_multiple_of_10_m_is_not_shifted(tmp_path, raster):
    path = raster(tmp_path / "scl.tif", np.array([[4, 5], [6, 7]], dtype=np.uint16), XMIN + 10, YMAX - 10, 20.0)
    layer = read_layer(path, Grid(32631, XMIN, YMAX, 6, 6, 10.0), categorical=True)
    expected = np.zeros((6, 6), dtype=int)
    expected[1:5, 1:5] = [[4, 4, 5, 5], [4, 4, 5, 5], [6, 6, 7, 7], [6, 6, 7, 7]]
    np.testing.assert_array_equal(layer.values, expected)


def test_10_m_pixels_are_averaged_to_20_m_over_the_valid_ones_with_halves_up(tmp_path, raster):
    values = np.array([[1, 2, 0, 0], [2, 1, 0, 0], [0, 7, 10, 11], [0, 8, 0, 0]], dtype=np.uint16)
    path = raster(tmp_path / "blue.tif", values, XMIN, YMAX, 10.0)
    layer = read_layer(path, Grid(32631, XMIN, YMAX, 2, 2, 20.0))
    # (1 + 2 + 2 + 1) / 4 = 1.5 and (7 + 8) / 2 = 7.5 and (10 + 11) / 2 = 10.5
    np.testing.assert_array_equal(layer.values, [[2, 0], [8, 11]])


def test_classes_are_never_averaged(tmp_path, raster):
    values = np.tile(np.array([[4, 9], [9, 4]], dtype=np.uint16), (4, 4))
    path = raster(tmp_path / "scl.tif", values, XMIN, YMAX, 10.0)
    layer = read_layer(path, Grid(32631, XMIN, YMAX, 4, 4, 20.0), categorical=True)
    assert set(np.unique(layer.values)) <= {4, 9}


def test_a_raster_of_the_neighbouring_zone_is_read_by_nearest_neighbour(tmp_path, raster):
    from rasterio.warp import transform as move

    # Zone 32 pixels around 6 degrees east: every value names its pixel.
    values = np.arange(1, 60 * 60 + 1, dtype=np.uint16).reshape(60, 60)
    xs, ys = move("EPSG:32631", "EPSG:32632", [739_000.0], [4_900_000.0])
    xmin, ymax = round(xs[0] / 10) * 10 - 300, round(ys[0] / 10) * 10 + 300
    path = raster(tmp_path / "other.tif", values, xmin, ymax, 10.0, 32632)
    grid = Grid(32631, 739_000, 4_900_000, 8, 8, 10.0)
    layer = read_layer(path, grid)
    assert layer.resampled
    for row in range(8):
        for column in range(8):
            x, y = move("EPSG:32631", "EPSG:32632", [grid.xmin + 10 * column + 5], [grid.ymax - 10 * row - 5])
            expected = values[int((ymax - y[0]) // 10), int((x[0] - xmin) // 10)]
            assert layer.values[row, column] == expected


def test_a_grid_off_by_half_a_pixel_is_resampled_and_said_to_be(tmp_path, raster):
    path = raster(tmp_path / "half.tif", np.ones((4, 4), dtype=np.uint16), XMIN + 3, YMAX, 10.0)
    assert read_layer(path, Grid(32631, XMIN, YMAX, 3, 3, 10.0)).resampled


def test_the_nodata_of_the_raster_becomes_0(tmp_path, raster):
    path = raster(tmp_path / "b.tif", np.array([[-9999, 5]], dtype=np.int32), XMIN, YMAX, 10.0, nodata=-9999)
    np.testing.assert_array_equal(read_layer(path, Grid(32631, XMIN, YMAX, 1, 2, 10.0)).values, [[0, 5]])


def test_reflectance_stored_as_a_fraction_is_refused(tmp_path, raster):
    path = raster(tmp_path / "f.tif", np.full((2, 2), 0.3, dtype=np.float32), XMIN, YMAX, 10.0)
    with pytest.raises(CropflowError, match="float32; expected integers"):
        read_layer(path, Grid(32631, XMIN, YMAX, 2, 2, 10.0))


def test_negative_values_without_a_nodata_are_refused(tmp_path, raster):
    path = raster(tmp_path / "n.tif", np.full((2, 2), -5, dtype=np.int16), XMIN, YMAX, 10.0)
    with pytest.raises(CropflowError, match="from -5 to -5"):
        read_layer(path, Grid(32631, XMIN, YMAX, 2, 2, 10.0))


def test_a_missing_a_damaged_and_a_remote_file_are_named(tmp_path):
    grid = Grid(32631, XMIN, YMAX, 2, 2, 10.0)
    with pytest.raises(CropflowError, match=r"gone\.tif is missing; expected a raster"):
        read_layer(str(tmp_path / "gone.tif"), grid)
    with pytest.raises(CropflowError, match=r"gone\.tif is missing"):
        read_layer((tmp_path / "gone.tif").as_uri(), grid)
    (tmp_path / "bad.tif").write_bytes(b"II*\x00 no image")
    with pytest.raises(CropflowError, match=r"bad\.tif cannot be read"):
        read_layer(str(tmp_path / "bad.tif"), grid)
    with pytest.raises(CropflowError, match="is no local file"):
        read_layer("https://example.org/B02.tif", grid)


def test_a_file_that_was_cut_short_is_told_by_what_gdal_says_of_it(tmp_path):
    path = tmp_path / "short.tif"
    values = np.random.default_rng(3).integers(1, 9000, (200, 200), dtype=np.uint16)
    origin = rasterio.transform.from_origin(XMIN, YMAX, 10, 10)
    with rasterio.open(
        path, "w", driver="GTiff", height=200, width=200, count=1, dtype="uint16", crs="EPSG:32631", transform=origin
    ) as made:
        made.write(values, 1)
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(CropflowError, match=r"short\.tif cannot be read \(.*IReadBlock failed.*\); the file") as caught:
        read_layer(str(path), Grid(32631, XMIN, YMAX, 200, 200, 10.0))
    assert "exception" not in str(caught.value)


def measured(values):
    return np.array(values, dtype=np.float32)


def test_backscatter_keeps_its_numbers_and_repeats_its_20_m_pixels(tmp_path, raster):
    path = raster(tmp_path / "vv.tif", measured([[-12.5, np.nan], [0, -7.25]]), XMIN + 10, YMAX, 20.0)
    layer = read_measure(path, Grid(32631, XMIN, YMAX, 2, 6, 10.0), decibel=True)
    row = [np.nan, -12.5, -12.5, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(layer.values, measured([row, row]))
    assert layer.values.dtype == np.float32
    assert layer.bytes == 8 and not layer.resampled
    below = read_measure(path, Grid(32631, XMIN + 10, YMAX - 20, 1, 4, 10.0), decibel=True)
    np.testing.assert_array_equal(below.values, measured([[0, 0, -7.25, -7.25]]))


def test_a_power_of_zero_is_nodata_while_0_dB_is_not(tmp_path, raster):
    path = raster(tmp_path / "vv.tif", measured([[0, 0.5]]), XMIN, YMAX, 10.0)
    grid = Grid(32631, XMIN, YMAX, 1, 2, 10.0)
    np.testing.assert_array_equal(read_measure(path, grid).values, measured([[np.nan, 0.5]]))
    np.testing.assert_array_equal(read_measure(path, grid, decibel=True).values, measured([[0, 0.5]]))


@pytest.mark.parametrize("shift", [0, 3])
def test_the_declared_nodata_of_a_measure_becomes_nan_also_where_it_is_resampled(tmp_path, raster, shift):
    path = raster(tmp_path / "vv.tif", measured([[-32768, 0.5]]), XMIN + shift, YMAX, 10.0, nodata=-32768)
    layer = read_measure(path, Grid(32631, XMIN, YMAX, 1, 3, 10.0))
    assert layer.resampled is bool(shift)
    np.testing.assert_array_equal(layer.values, measured([[np.nan, 0.5, np.nan]]))


def test_decibels_are_averaged_in_linear_power_over_the_valid_ones(tmp_path, raster):
    values = measured([[-10, -20, np.nan, np.nan], [np.nan, np.nan, np.nan, np.nan]])
    path = raster(tmp_path / "vv.tif", values, XMIN, YMAX, 10.0)
    layer = read_measure(path, Grid(32631, XMIN, YMAX, 1, 2, 20.0), decibel=True)
    assert layer.values[0, 0] == pytest.approx(10 * np.log10((0.1 + 0.01) / 2), abs=1e-5)
    assert np.isnan(layer.values[0, 1])
    path = raster(tmp_path / "power.tif", measured([[0.1, 0.01], [0, 0]]), XMIN, YMAX, 10.0)
    assert read_measure(path, Grid(32631, XMIN, YMAX, 1, 1, 20.0)).values[0, 0] == pytest.approx(0.055)


def test_integers_where_a_measure_is_expected_are_refused(tmp_path, raster):
    path = raster(tmp_path / "dn.tif", np.array([[300]], dtype=np.uint16), XMIN, YMAX, 10.0)
    with pytest.raises(CropflowError, match="uint16; expected floating-point numbers"):
        read_measure(path, Grid(32631, XMIN, YMAX, 1, 1, 10.0))
