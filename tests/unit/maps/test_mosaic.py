import numpy as np
import pytest
import rasterio
from rasterio.warp import transform as warp_points

from cropflow.errors import CropflowError
from cropflow.files.rasters import write_cog
from cropflow.maps import mosaic
from cropflow.maps.mosaic import mosaic_grid, write_mosaic
from cropflow.regions.grid import Grid, snapped_grid

COLOURS = {1: (10, 20, 30, 255), 2: (40, 50, 60, 255), 255: (0, 0, 0, 0)}


def write_site(folder, name, grid, values):
    path = folder / name / "crops.tif"
    write_cog(path, values.astype(np.uint8), grid, 255, colours=COLOURS)
    return path


def test_sites_of_one_zone_keep_every_pixel(tmp_path):
    generator = np.random.default_rng(0)
    grids = {
        "a": Grid(32631, 400_000.0, 5_000_000.0, 40, 30, 10.0),
        "b": Grid(32631, 402_990.0, 4_997_010.0, 300, 280, 10.0),
    }
    values = {name: generator.choice([1, 2, 255], size=grid.shape) for name, grid in grids.items()}
    paths = {name: write_site(tmp_path, name, grids[name], values[name]) for name in grids}
    grid = write_mosaic(tmp_path / "mosaic.tif", paths, COLOURS)
    with rasterio.open(tmp_path / "mosaic.tif") as raster:
        found = raster.read(1)
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.colormap(1)[2] == COLOURS[2] and raster.nodata == 255
        assert raster.overviews(1)
    expected = np.full(grid.shape, 255)
    for name, part in grids.items():
        row = round((grid.ymax - part.ymax) / 10)
        column = round((part.xmin - grid.xmin) / 10)
        expected[row : row + part.height, column : column + part.width] = values[name]
    np.testing.assert_array_equal(found, expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "mosaic.tif"]


def test_where_sites_overlap_the_first_by_name_is_on_top_and_its_gaps_are_filled(tmp_path):
    grid = Grid(32631, 400_000.0, 5_000_000.0, 4, 4, 10.0)
    first = np.ones(grid.shape)
    first[0, 0] = 255
    paths = {
        "b": write_site(tmp_path, "b", grid, np.full(grid.shape, 2)),
        "a": write_site(tmp_path, "a", grid, first),
    }
    write_mosaic(tmp_path / "mosaic.tif", paths, COLOURS)
    with rasterio.open(tmp_path / "mosaic.tif") as raster:
        found = raster.read(1)
    assert found[0, 0] == 2 and (np.delete(found, 0) == 1).all()


def test_a_site_of_another_zone_is_warped_by_nearest_neighbour(tmp_path):
    # Near 6 degrees east, where zones 31 and 32 meet.
    grids = {
        "a": Grid(32631, 735_000.0, 5_000_000.0, 50, 60, 10.0),
        "b": Grid(32631, 735_000.0, 4_999_000.0, 50, 60, 10.0),
        "c": Grid(32632, 264_000.0, 4_999_000.0, 60, 50, 10.0),
    }
    stripes = np.tile(1 + np.arange(60)[:, np.newaxis] // 20 % 2, (1, 50))
    paths = {name: write_site(tmp_path, name, grids[name], np.full(grids[name].shape, 1)) for name in "ab"}
    paths["c"] = write_site(tmp_path, "c", grids["c"], stripes)
    grid = write_mosaic(tmp_path / "mosaic.tif", paths, COLOURS)
    assert grid.epsg == 32631
    with rasterio.open(tmp_path / "mosaic.tif") as raster:
        found = raster.read(1)
    # Points in the middle of the stripes, away from where rounding decides.
    for row in (10, 30, 50):
        (x,), (y,) = warp_points("EPSG:32632", "EPSG:32631", [264_255.0], [4_999_000.0 - row * 10])
        value = found[int((grid.ymax - y) // 10), int((x - grid.xmin) // 10)]
        assert value == stripes[row, 25]


def test_the_zone_of_most_sites_wins_and_the_lower_code_in_a_tie():
    def at(epsg, column):
        return Grid(epsg, 500_000.0 + column * 100, 5_000_000.0, 5, 5, 10.0)

    assert mosaic_grid({"a": at(32632, 0), "b": at(32632, 1), "c": at(32631, 0)}).epsg == 32632
    assert mosaic_grid({"a": at(32632, 0), "c": at(32631, 0)}).epsg == 32631
    assert mosaic_grid({"a": at(32631, 0), "b": at(32631, 3)}) == snapped_grid(
        (500_000, 4_999_950, 500_350, 5_000_000), 32631, 10.0
    )


def test_sites_of_different_pixel_sizes_are_refused():
    grids = {"a": Grid(32631, 0.0, 100.0, 5, 5, 10.0), "b": Grid(32631, 0.0, 100.0, 5, 5, 20.0)}
    with pytest.raises(CropflowError, match=r"pixels of \[10.0, 20.0\] m"):
        mosaic_grid(grids)


def test_sites_too_far_apart_get_no_mosaic_and_a_log_line(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(mosaic, "LARGEST_SIDE", 20)
    grids = {"a": Grid(32631, 0.0, 100.0, 5, 5, 10.0), "b": Grid(32631, 200.0, 100.0, 5, 5, 10.0)}
    paths = {name: write_site(tmp_path, name, grid, np.ones(grid.shape)) for name, grid in grids.items()}
    assert write_mosaic(tmp_path / "mosaic.tif", paths, COLOURS) is None
    assert not (tmp_path / "mosaic.tif").exists()
    assert "no mosaic" in caplog.text


def test_empty_ground_between_sites_takes_no_space(tmp_path):
    corners = {"a": (400_000.0, 5_000_000.0), "b": (450_000.0, 4_950_000.0)}
    grids = {name: Grid(32631, *corner, 20, 20, 10.0) for name, corner in corners.items()}
    paths = {name: write_site(tmp_path, name, grid, np.ones(grid.shape)) for name, grid in grids.items()}
    grid = write_mosaic(tmp_path / "mosaic.tif", paths, COLOURS)
    assert grid.shape == (5020, 5020)
    assert (tmp_path / "mosaic.tif").stat().st_size < 20_000
