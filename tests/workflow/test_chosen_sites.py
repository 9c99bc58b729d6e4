"""What is planned where sites are chosen and not declared: the plan is known before the squares are."""

from __future__ import annotations

import yaml


def overlay_of(root, name):
    return yaml.safe_load((root / "experiments" / f"{name}.yaml").read_text(encoding="utf-8"))


def test_forty_squares_of_france_are_planned_in_few_jobs(plan, root, folder):
    overlay = overlay_of(root, "france_2023")
    asked = [entry["choose"] for entry in overlay["regions"].values()]
    # Five squares a town is the default.
    assert sum(len(choose["towns"]) * choose.get("per_town", 5) for choose in asked) == 40
    for file in {asked[0]["raster"], overlay["imagery"]["france_2023"]["path"]}:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()
    code, jobs, _ = plan(overlay=overlay)
    assert code == 0
    assert jobs["regions"] == jobs["imagery"] == jobs["composites"] == jobs["samples"] == jobs["maps"] == 8
    assert jobs["labels_download"] == jobs["labels"] == 1
    assert sum(jobs.values()) < 400


def test_a_map_of_land_cover_that_is_not_there_is_named_by_its_key(plan, root):
    code, jobs, text = plan(overlay=overlay_of(root, "france_2023"))
    assert (code, jobs) == (2, {})
    assert "regions.alsace.choose.raster: data/worldcover_2021.vrt" in text


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
