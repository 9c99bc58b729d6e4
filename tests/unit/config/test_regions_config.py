"""How sites may be declared or chosen, and what is said where that cannot be."""

from __future__ import annotations

import pytest

from cropflow.config import Config
from cropflow.config.base import dump
from cropflow.config.load import merge, read_config
from cropflow.config.regions import Region
from cropflow.config.root import missing_paths, parse
from cropflow.errors import CropflowError

CLUSTERS = {"method": "clusters", "season": "2023"}
CROPLAND = {"method": "cropland", "raster": "map.tif", "towns": {"a": [3, 45]}}
SAMPLE = {"method": "sample", "frame": {"bounds": [3, 45, 4, 46]}, "size": 10}
SITES = {"a": {"centre": [3, 45], "side_km": 1}}


def region(choose, **keys):
    return {"imagery": "x", "register": "rpg", "choose": choose, **keys}


@pytest.mark.parametrize("choose", [CLUSTERS, CROPLAND, SAMPLE])
def test_a_choice_survives_the_round_trip(choose):
    found = parse(Region, region(choose))
    assert parse(Region, dump(found)) == found
    assert dump(found)["choose"]["method"] == choose["method"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (region(CLUSTERS, sites=SITES), ["exactly one of sites and choose"]),
        ({"imagery": "x"}, ["exactly one of sites and choose"]),
        (region({}), ["choose has no method", "clusters, cropland, sample"]),
        (region({"method": "dbscan"}), ["choose has the method 'dbscan'", "clusters, cropland, sample"]),
        (region(CLUSTERS, register=None), ["choose by clusters needs a register"]),
        (region({**CLUSTERS, "eps": 5}), ["choose.eps is no key", "did you mean eps_m?"]),
        (region({**CLUSTERS, "eps_m": 0}), ["choose.eps_m is 0", "greater than 0"]),
        (region({**CLUSTERS, "maximum_pixels": 32}), ["maximum_pixels 32", "minimum_pixels 64"]),
        (region({**CLUSTERS, "distances": "EPSG:4326"}), ["distances 'EPSG:4326'", "degree", "expected metres"]),
        (region({**CLUSTERS, "distances": "EPSG:1"}), ["choose.distances", "'EPSG:1'", "EPSG:2154"]),
        (region({**CROPLAND, "towns": {}}), ["choose.towns is empty"]),
        (region({**CROPLAND, "towns": {"a": [200, 45]}}), ["choose.towns.a.0 is 200", "180"]),
        (region({**CROPLAND, "step_km": 3}), ["step_km 3", "side_km 10"]),
        (region({**CROPLAND, "side_km": 0.125, "step_km": 0.125}), ["choose.side_km 0.125", "pixels of 10 m"]),
        (region({**CROPLAND, "side_km": 0.1, "step_km": 0.0125}), ["choose.step_km 0.0125", "pixels of 10 m"]),
        (region({**SAMPLE, "side_km": 0.125}), ["choose.side_km 0.125", "pixels of 10 m"]),
        (region({**SAMPLE, "frame": {}}), ["choose.frame", "exactly one of bounds and path"]),
        (region({**SAMPLE, "frame": {"bounds": [3, 45, 2, 46]}}), ["choose.frame", "not ordered"]),
        (region({**SAMPLE, "frame": {"bounds": [3, 45, 4, 46], "layer": "a"}}), ["layer belongs to path"]),
        (region({**SAMPLE, "strata": {"column": "a"}}), ["strata.column", "frame.path"]),
        (region({**SAMPLE, "strata": {}}), ["choose.strata", "exactly one of column and raster"]),
        (region({**SAMPLE, "strata": {"raster": "a", "breaks": [0.5, 0.2]}}), ["breaks [0.5, 0.2] do not ascend"]),
        (region({**SAMPLE, "strata": {"raster": "a", "breaks": [1.5]}}), ["choose.strata.breaks.0 is 1.5"]),
        (region({**CROPLAND, "raster": "https://me:se-cret@host/a.tif"}), ["choose.raster", "~/.netrc"]),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_key(content, words):
    with pytest.raises(CropflowError) as caught:
        parse(Region, content)
    message = str(caught.value)
    assert "\n" not in message
    assert "se-cret" not in message
    for word in words:
        assert word in message


@pytest.fixture
def content(root):
    """The demo's config."""
    return read_config([root / "config.yaml"])


def chosen(content, choose):
    return merge(content, {"regions": {"beauce": {"sites": None, "choose": choose}}})


def test_a_season_that_the_register_does_not_cover_cannot_be_clustered(content):
    parse(Config, chosen(content, CLUSTERS))
    with pytest.raises(CropflowError, match=r"regions\.beauce\.choose\.season is '2019'; expected one of: 2021, 2022"):
        parse(Config, chosen(content, {**CLUSTERS, "season": "2019"}))


def test_ground_of_another_clusters_parcels_is_never_taken_for_background(content):
    clustered = merge(chosen(content, CLUSTERS), {"sets": {"demo": {"outside": "background"}}})
    with pytest.raises(CropflowError, match=r"sets\.demo\.outside is 'background', and regions\.beauce is chosen by"):
        parse(Config, clustered)


def test_a_misspelt_key_of_a_choice_is_named_by_its_whole_path(content):
    with pytest.raises(CropflowError, match=r"regions\.beauce\.choose\.raduis_km is no key .* radius_km"):
        parse(Config, chosen(content, {**CROPLAND, "raduis_km": 3}))


def test_files_that_sites_are_chosen_from_must_exist_and_addresses_need_not(content, tmp_path):
    config = parse(Config, chosen(content, CROPLAND))
    assert missing_paths(config, tmp_path) == ["regions.beauce.choose.raster: map.tif"]
    (tmp_path / "map.tif").touch()
    assert missing_paths(config, tmp_path) == []
    far = {**CROPLAND, "raster": "https://host/map.tif"}
    assert missing_paths(parse(Config, chosen(content, far)), tmp_path) == []
    sample = {**SAMPLE, "frame": {"path": "frame.gpkg"}, "strata": {"raster": "cover.tif"}}
    assert missing_paths(parse(Config, chosen(content, sample)), tmp_path) == [
        "regions.beauce.choose.frame.path: frame.gpkg",
        "regions.beauce.choose.strata.raster: cover.tif",
    ]
