"""The archive on disk: records, files, facts of the real archives, and the same bytes for the same settings."""

import datetime
import hashlib
import json

import numpy as np
import pytest
import rasterio

from cropflow.config.imagery import BANDS_10M, SENTINEL2_BANDS
from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.simulation.archive import season_acquisitions, write_archive
from cropflow.simulation.cogs import write_small_cog
from cropflow.simulation.landscape import make_landscape

SEASONS = {"s": Season(start=datetime.date(2023, 3, 1), end=datetime.date(2023, 7, 10))}


def simulation(**settings):
    squares = {"a": Landscape(centre=(2.6, 49.2), side_km=0.4), "b": Landscape(centre=(2.66, 49.2), side_km=0.2)}
    return Simulation(seed=6, landscapes=squares, seasons=("s",), imagery_seasons=("s",), **settings)


def build(folder, made):
    lands = [make_landscape(name, square, made) for name, square in made.landscapes.items()]
    return write_archive(folder, lands, made, SEASONS), lands


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    counts, lands = build(folder, simulation())
    return folder, counts, lands


def records(folder, name):
    return json.loads((folder / f"{name}.items.json").read_text())["features"]


def read(folder, href):
    with rasterio.open(folder / href) as raster:
        return raster.read(1), raster.profile


def test_every_href_is_relative_and_resolves_and_every_file_is_described(archive):
    folder, counts, _ = archive
    described = set()
    for name in ("sentinel-2-l2a", "sentinel-1-grd"):
        for record in records(folder, name):
            for asset in record["assets"].values():
                assert asset["href"].startswith(f"./{name}/{record['id']}/")
                assert (folder / asset["href"]).is_file()
                described.add((folder / asset["href"]).resolve())
    assert described == {path.resolve() for path in folder.rglob("*.tif")}
    assert counts["sentinel_2_l2a_items"] == len(records(folder, "sentinel-2-l2a"))


def test_the_catalogue_links_collections_and_their_items(archive):
    folder, _, _ = archive
    catalogue = json.loads((folder / "catalog.json").read_text())
    children = [link["href"] for link in catalogue["links"] if link["rel"] == "child"]
    assert len(children) == 2
    for child in children:
        collection = json.loads((folder / child).read_text())
        items = [link["href"] for link in collection["links"] if link["rel"] == "items"]
        assert all((folder / href).is_file() for href in items)


def test_files_have_the_grid_type_and_nodata_of_their_records(archive):
    folder, _, lands = archive
    for record in records(folder, "sentinel-2-l2a")[:3]:
        assert set(record["assets"]) == {*SENTINEL2_BANDS, "SCL"}
        for name, asset in record["assets"].items():
            values, profile = read(folder, asset["href"])
            assert list(values.shape) == asset["proj:shape"]
            assert list(profile["transform"])[:6] == asset["proj:transform"]
            assert profile["crs"].to_epsg() == record["properties"]["proj:epsg"]
            assert profile["transform"].a == (10 if name in BANDS_10M else 20)
            assert profile["transform"].c % profile["transform"].a == 0
            assert profile["dtype"] == ("uint8" if name == "SCL" else "uint16")
            assert profile["nodata"] == 0
    radar = records(folder, "sentinel-1-grd")[0]
    values, profile = read(folder, radar["assets"]["vv"]["href"])
    assert profile["dtype"] == "float32"
    assert np.isnan(profile["nodata"])
    assert values.shape in [land.grid.shape for land in lands]
    assert -20 < np.nanmedian(values) < 0


def test_large_files_are_cogs_with_overviews(tmp_path, archive):
    folder, _, lands = archive
    grid = lands[0].grid.__class__(32631, 400000, 5000000, 600, 530, 10)
    write_small_cog(tmp_path / "large.tif", np.ones(grid.shape, np.uint16), grid, 0)
    with rasterio.open(tmp_path / "large.tif") as raster:
        assert raster.overviews(1)
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    for path in sorted(folder.rglob("*.tif"))[:5]:
        with rasterio.open(path) as raster:
            assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_ids_tiles_times_and_baselines_look_like_the_real_ones(archive):
    folder, _, _ = archive
    items = records(folder, "sentinel-2-l2a")
    assert len({record["id"] for record in items}) == len(items)
    for record in items:
        properties = record["properties"]
        platform, tile, date, sequence, level = record["id"].split("_")
        assert platform in ("S2A", "S2B")
        assert properties["platform"] == f"sentinel-2{platform[2].lower()}"
        assert tile == properties["s2:mgrs_tile"]
        assert properties["datetime"].startswith(f"{date[:4]}-{date[4:6]}-{date[6:]}T10:5")
        assert level == "L2A"
        assert int(sequence) in (0, 1)
        assert 0 <= properties["eo:cloud_cover"] <= 100
    tiles = {record["properties"]["s2:mgrs_tile"] for record in items}
    assert len(tiles) == 2  # one per landscape, though both lie in one square of 100 km
    assert {record["properties"]["s2:processing_baseline"] >= "04.00" for record in items} == {True, False}


def test_duplicates_show_the_same_scene_in_two_baselines(archive):
    folder, _, _ = archive
    items = {record["id"]: record for record in records(folder, "sentinel-2-l2a")}
    again = [record for name, record in items.items() if "_1_L2A" in name]
    assert again
    for record in again:
        first = items[record["id"].replace("_1_L2A", "_0_L2A")]
        assert first["properties"]["datetime"] == record["properties"]["datetime"]
        assert first["properties"]["s2:processing_baseline"] < "04.00" <= record["properties"]["s2:processing_baseline"]
        old, _ = read(folder, first["assets"]["B08"]["href"])
        new, _ = read(folder, record["assets"]["B08"]["href"])
        both = (old > 1) & (new > 1)
        np.testing.assert_array_equal(new[both].astype(int) - old[both], 1000)


def test_one_orbit_leaves_part_of_the_landscape_without_data(archive):
    folder, _, _ = archive
    shares = {}
    for record in records(folder, "sentinel-2-l2a"):
        values, _ = read(folder, record["assets"]["SCL"]["href"])
        key = (record["properties"]["s2:mgrs_tile"], record["properties"]["sat:relative_orbit"])
        shares.setdefault(key, []).append((values == 0).mean())
    means = sorted(np.mean(values) for values in shares.values())
    assert len(means) == 4
    assert means[:2] == [0.0, 0.0]
    assert all(0.1 < mean < 0.5 for mean in means[2:])


def test_cloud_percent_is_that_of_the_classification(archive):
    folder, _, _ = archive
    for record in records(folder, "sentinel-2-l2a")[::5]:
        classes, _ = read(folder, record["assets"]["SCL"]["href"])
        expected = 100 * np.isin(classes, (8, 9, 10)).sum() / (classes > 0).sum()
        assert record["properties"]["eo:cloud_cover"] == pytest.approx(expected, abs=1e-3)


def test_the_same_settings_give_the_same_bytes(archive, tmp_path):
    folder, counts, _ = archive
    again, _ = build(tmp_path, simulation())

    def digest(root):
        return {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    assert again == counts
    assert digest(folder) == digest(tmp_path)


def test_without_sentinel1_only_sentinel2_is_written(tmp_path):
    made = Simulation(
        landscapes={"b": Landscape(centre=(2.66, 49.2), side_km=0.1)},
        seasons=("s",),
        imagery_seasons=("s",),
        sentinel1=False,
        difficulty=Difficulty(clouds=0),
    )
    counts, _ = build(tmp_path, made)
    assert not (tmp_path / "sentinel-1-grd.items.json").exists()
    assert "sentinel_1_grd_items" not in counts


def test_a_season_without_a_pass_is_refused_in_one_line():
    made = simulation()
    land = make_landscape("b", made.landscapes["b"], made)
    found = set()
    for day in range(1, 6):
        short = {"s": Season(start=datetime.date(2023, 3, day), end=datetime.date(2023, 3, day + 1))}
        try:
            season_acquisitions(land, "s", made, short)
        except CropflowError as error:
            found.add(str(error)[:11])
    assert found == {"Season 's',"}
