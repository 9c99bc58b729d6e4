"""What is planned where sites are chosen and not declared: the plan is known before the squares are."""

from __future__ import annotations

import json
import math
import re

import yaml


def overlay_of(root, name):
    return yaml.safe_load((root / "experiments" / f"{name}.yaml").read_text(encoding="utf-8"))


def test_forty_squares_of_france_are_planned_in_few_jobs(plan, root, folder):
    overlay = overlay_of(root, "france_2023")
    asked = [entry["choose"] for entry in overlay["regions"].values()]
    assert sum(len(choose["towns"]) * choose["per_town"] for choose in asked) == 40
    (folder / overlay["imagery"]["france_2023"]["path"]).mkdir(parents=True)
    code, jobs, _ = plan(overlay=overlay)
    assert code == 0
    assert jobs["regions"] == jobs["imagery"] == jobs["composites"] == jobs["samples"] == jobs["maps"] == 8
    assert jobs["labels_download"] == jobs["labels"] == 1
    assert sum(jobs.values()) < 400


def test_each_town_of_france_lies_far_enough_inside_its_tile_of_land_cover(root):
    for name, region in overlay_of(root, "france_2023")["regions"].items():
        choose = region["choose"]
        reach_km = choose["radius_km"] + choose["side_km"] / 2
        tile = re.search(r"_([NS])(\d\d)([EW])(\d{3})_Map", choose["raster"])
        south = int(tile[2]) * (1 if tile[1] == "N" else -1)
        west = int(tile[4]) * (1 if tile[3] == "E" else -1)
        for longitude, latitude in choose["towns"].values():
            across = 111.2 * math.cos(math.radians(latitude))
            to_edges = [111.2 * (latitude - south), 111.2 * (south + 3 - latitude)]
            to_edges += [across * (longitude - west), across * (west + 3 - longitude)]
            assert min(to_edges) > reach_km, name


def test_a_map_of_land_cover_that_is_not_there_is_named_by_its_key(plan):
    choose = {"method": "cropland", "raster": "worldcover.tif", "towns": {"chartres": [1.489, 48.444]}}
    code, jobs, text = plan(overlay={"regions": {"beauce": {"sites": None, "choose": choose}}})
    assert (code, jobs) == (2, {})
    assert "regions.beauce.choose.raster: worldcover.tif" in text


def test_clusters_wait_for_the_cleaned_parcels_of_their_season(plan):
    choose = {"method": "clusters", "season": "2022"}
    overlay = {"regions": {"beauce": {"sites": None, "choose": choose}}}
    code, jobs, text = plan("results/regions/beauce/sites.parquet", "--printshellcmds", overlay=overlay)
    assert code == 0
    assert jobs == {"simulation": 1, "labels": 1, "regions": 1}
    assert "--parcels results/labels/demo/2022/parcels.parquet" in text


def test_a_sample_waits_for_nothing_but_its_files(plan, folder):
    (folder / "frame.gpkg").touch()
    choose = {"method": "sample", "frame": {"path": "frame.gpkg"}, "size": 10}
    overlay = {"regions": {"beauce": {"sites": None, "choose": choose}}}
    code, jobs, text = plan("results/regions/beauce/sites.parquet", "--printshellcmds", overlay=overlay)
    assert (code, jobs) == (0, {"regions": 1})
    assert "input: frame.gpkg" in text
    assert "--parcels" not in text


def test_all_parcels_of_iran_are_planned_in_few_jobs(plan, root, folder, shared):
    overlay = overlay_of(root, "iran_clusters")
    (folder / overlay["imagery"]["iran"]["path"]).mkdir(parents=True)
    # Paths of the overlay are relative to the checkout.
    text = json.dumps(overlay).replace("../shared", str(shared))
    code, jobs, _ = plan(overlay=json.loads(text))
    assert code == 0
    assert jobs["labels"] == jobs["regions"] == jobs["regions_parcels"] == jobs["imagery"] == 1
    assert sum(jobs.values()) < 400
