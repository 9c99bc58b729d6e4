"""What a dry run plans."""

from __future__ import annotations

import os
import re

import pytest
import yaml


def test_a_plain_dry_run_plans_the_demo_from_the_landscape_to_the_report(plan):
    code, jobs, _ = plan()
    assert code == 0
    assert jobs == {
        "simulation": 1,
        "labels": 1,
        "labels_legend": 1,
        "regions": 2,
        "regions_parcels": 1,
        "imagery_find": 2,
        "imagery_plan": 2,
        "imagery": 2,
        "composites": 2,
        "samples_folds": 1,
        "samples": 1,
        "samples_patches": 1,
        "models": 10,
        "models_predict": 10,
        "evaluation": 2,
        "maps": 2,
        "report": 1,
        "all": 1,
    }


def test_a_region_of_an_overlay_can_be_mapped_with_a_known_experiment_alone(plan):
    overlay = {
        "regions": {"perche": {"sites": {"a": {"centre": [0.9, 48.4], "side_km": 1.28}}, "imagery": "demo"}},
        "experiments": {"demo": {"map": [{"region": "perche", "season": "2023"}]}},
    }
    code, jobs, text = plan("results/composites/monthly/perche/2023/sentinel2.zarr", overlay=overlay)
    assert code == 0
    assert jobs == {"simulation": 1, "regions": 1, "imagery_find": 1, "imagery_plan": 1, "imagery": 1, "composites": 1}
    assert "beauce" not in text


def test_samples_of_several_sensors_wait_for_the_composites_of_each(plan, root):
    overlay = yaml.safe_load((root / "experiments" / "demo_fusion.yaml").read_text())
    code, jobs, text = plan("results/samples/demo_fusion/beauce/2023", overlay=overlay)
    assert code == 0
    assert jobs["samples"] == 1
    for sensor in ("sentinel2", "sentinel1_ascending", "sentinel1_descending"):
        assert f"results/composites/monthly/beauce/2023/{sensor}.zarr" in text


def test_samples_of_a_kind_are_made_only_where_a_model_learns_from_them(plan):
    train = {"set": "demo", "train": [{"region": "beauce", "season": "2023"}]}
    overlay = {
        "run": ["parcels"],
        "sets": {"demo": {"history": 2}},
        "experiments": {
            "parcels": {**train, "model": {"name": "pse_ltae"}, "compare": ["pixels", "chips"]},
            "pixels": {**train, "model": {"name": "lstm"}},
            "chips": {**train, "model": {"name": "conv_lstm"}},
        },
    }
    code, jobs, text = plan("--printshellcmds", overlay=overlay)
    assert code == 0, text
    assert (jobs["samples"], jobs["samples_pixel_sets"], jobs["samples_chips"]) == (1, 1, 1)
    assert "samples_patches" not in jobs
    assert (jobs["labels_history"], jobs["models"]) == (1, 15)
    assert "--history results/labels/demo/2023/history/turkoglu.parquet" in text
    assert "--samples results/samples/demo/beauce/chips/2023" in text


def test_one_rule_of_one_region_is_asked_for_by_its_file(plan):
    code, jobs, _ = plan("results/regions/lauragais/sites.parquet")
    assert (code, jobs) == (0, {"regions": 1})


def test_a_register_at_an_address_is_downloaded_first(plan):
    url = "https://data.example.org/RPG_2-2__GPKG_LAMB93_FXX_2023-01-01.7z"
    overlay = {
        "registers": {"far": {"reader": "rpg", "files": {"2023": {"url": url, "sha256": "0" * 64}}}},
        "regions": {"beauce": {"register": "far"}},
    }
    code, jobs, text = plan("results/labels/far/2023/legends/turkoglu.parquet", overlay=overlay)
    assert code == 0
    assert jobs == {"labels_download": 1, "labels": 1, "labels_legend": 1}
    assert "results/labels/far/2023/download/RPG_2-2__GPKG_LAMB93_FXX_2023-01-01.7z" in text


def test_a_map_that_is_read_by_ranges_is_not_downloaded(plan):
    url = "https://data.example.org/EUCROPMAP_2018.tif"
    entry = {"reader": "raster", "table": "eucropmap", "files": {"2023": {"url": url, "ranges": True}}}
    code, jobs, text = plan("-p", "results/labels/far/2023/parcels.parquet", overlay={"registers": {"far": entry}})
    assert code == 0, text
    assert jobs == {"labels": 1}
    assert f"--source {url}" in text


def test_an_asset_of_earth_engine_is_not_downloaded(plan):
    files = {"2023": {"earth_engine": "JRC/D5/EUCROPMAP/V1/2022"}}
    overlay = {"registers": {"far": {"reader": "raster", "table": "eucropmap", "files": files}}}
    code, jobs, text = plan("-p", "results/labels/far/2023/parcels.parquet", overlay=overlay)
    assert code == 0, text
    assert jobs == {"labels": 1}
    assert "--source ee://JRC/D5/EUCROPMAP/V1/2022" in text


LEGEND = "id,level,name,parent,colour\n1,1,maize,,#ff8800\n2,1,wheat,,#ffee88\n"
TABLE = "code,crop\nBTH,wheat\nMIS,maize\n"
RESULT = "results/labels/demo/2023/legends/mine.parquet"


@pytest.fixture
def own_legend(folder):
    """A legend of one's own with a table beside it, and the overlay that names them."""
    (folder / "crops" / "mine").mkdir(parents=True)
    (folder / "crops" / "mine.csv").write_text(LEGEND)
    (folder / "crops" / "mine" / "rpg.csv").write_text(TABLE)
    return {"sets": {"demo": {"legend": "crops/mine.csv"}}}


def test_a_legend_of_ones_own_gives_results_of_its_name(plan, own_legend):
    code, jobs, text = plan(RESULT, overlay=own_legend)
    assert code == 0, text
    assert jobs == {"simulation": 1, "labels": 1, "labels_legend": 1}
    code, jobs, text = plan(overlay=own_legend)
    assert code == 0, text
    assert "legends/mine.json" in text
    # Mapping, ten trainings, two evaluations, two maps and the report read it.
    assert len(re.findall(r"^ +input: .*crops/mine\.csv", text, flags=re.M)) == 16
    assert "legends/turkoglu" not in text


@pytest.mark.parametrize("changed", ["crops/mine.csv", "crops/mine/rpg.csv"])
def test_a_changed_legend_or_table_of_ones_own_maps_again(plan, folder, own_legend, changed):
    inputs = "results/simulation/demo/register", "results/labels/demo/2023/parcels.parquet"
    (folder / inputs[0]).mkdir(parents=True)
    for file in (inputs[1], "results/labels/demo/2023/summary.json", RESULT, RESULT.replace(".parquet", ".json")):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    options = (RESULT, "--rerun-triggers", "mtime", "--allowed-rules", "labels_legend")
    assert plan(*options, overlay=own_legend)[1] == {}
    later = (folder / RESULT).stat().st_mtime + 10
    os.utime(folder / changed, (later, later))
    code, jobs, text = plan(*options, overlay=own_legend)
    assert (code, jobs) == (0, {"labels_legend": 1})
    assert f"Updated input files: {changed}" in text


def test_the_campaign_is_the_year_in_which_the_season_ends_or_as_the_file_says(plan):
    file = {"path": "config.yaml"}
    season = {"start": "2022-09-01", "end": "2023-08-31"}
    overlay = {
        "seasons": {"autumn": season},
        "registers": {"own": {"reader": "rpg", "files": {"autumn": file, "2022": {**file, "campaign": 2021}}}},
    }
    for name, year in (("autumn", 2023), ("2022", 2021)):
        code, _, text = plan(f"results/labels/own/{name}/legends/turkoglu.parquet", "--printshellcmds", overlay=overlay)
        assert code == 0, text
        assert f"--legend turkoglu --campaign {year}" in text


def test_a_history_plans_the_labels_of_its_seasons_and_nothing_else(plan):
    code, jobs, text = plan("results/labels/demo/2023/history/turkoglu.parquet")
    assert code == 0
    assert jobs == {"simulation": 1, "labels": 3, "labels_legend": 2, "labels_overlay": 2, "labels_history": 1}
    for season in ("2021", "2022", "2023"):
        assert f"results/labels/demo/{season}/parcels.parquet" in text


def test_stable_outlines_need_no_legend(plan):
    code, jobs, _ = plan("results/labels/demo/2023/stable.parquet")
    assert code == 0
    assert jobs == {"simulation": 1, "labels": 3, "labels_overlay": 2, "labels_stable": 1}


def test_a_register_that_is_not_out_yet_is_not_asked_for(plan):
    overlay = {"registers": {"demo": {"history": {"publication_lag": 1}}}}
    code, jobs, text = plan("results/labels/demo/2023/history/turkoglu.parquet", overlay=overlay)
    assert code == 0
    assert jobs == {"simulation": 1, "labels": 2, "labels_legend": 1, "labels_overlay": 1, "labels_history": 1}
    assert "overlays/2021.parquet" in text
    assert "overlays/2022.parquet" not in text


def test_years_are_counted_by_the_starts_of_the_seasons(plan):
    # Begins a month later than others do, and lies two years before all the same.
    overlay = {
        "seasons": {"early": {"start": "2020-11-01", "end": "2021-08-31"}},
        "registers": {
            "own": {
                "reader": "rpg",
                "history": {"years": 2},
                "files": {name: {"url": f"https://data.example.org/{name}.7z"} for name in ("early", "2022", "2023")},
            }
        },
    }
    code, jobs, text = plan("results/labels/own/2023/history/turkoglu.parquet", overlay=overlay)
    assert code == 0
    assert jobs["labels_overlay"] == 2
    assert "results/labels/own/2023/overlays/early.parquet" in text


def test_a_history_without_earlier_seasons_is_one_line(plan):
    code, _, text = plan("results/labels/demo/2021/history/turkoglu.parquet")
    assert code == 2
    assert "Register 'demo' has no season in the 3 years before '2021' (it has 2021, 2022, 2023)" in text
    assert "Traceback" not in text


def test_two_seasons_of_the_same_year_are_refused(plan):
    overlay = {
        "seasons": {"late": {"start": "2022-01-01", "end": "2022-12-31"}},
        "registers": {
            "own": {
                "reader": "rpg",
                "files": {name: {"url": f"https://data.example.org/{name}.7z"} for name in ("2022", "late", "2023")},
            }
        },
    }
    code, _, text = plan("results/labels/own/2023/stable.parquet", overlay=overlay)
    assert code == 2
    assert "Seasons '2022' and 'late' of register 'own' both start 1 years before '2023'" in text


def test_a_vintage_of_the_catalogue_is_downloaded_first(plan):
    overlay = {
        "registers": {"far": {"reader": "rpg", "files": {"2023": {"vintage": 2023, "area": "R84"}}}},
        "regions": {"beauce": {"register": "far"}},
    }
    code, jobs, text = plan("-p", "results/labels/far/2023/parcels.parquet", overlay=overlay)
    assert code == 0
    assert jobs == {"labels_download": 1, "labels": 1}
    name = "RPG_2-2__SHP_LAMB93_R84_2023-01-01"
    assert f"https://data.geopf.fr/telechargement/download/RPG/{name}/{name}.7z" in text
    assert f"results/labels/far/2023/download/{name}.7z" in text


def test_every_rule_names_its_log_its_timing_and_its_environment(root):
    for file in sorted((root / "rules").glob("*.smk")):
        text = file.read_text()
        rules = text.split("\nrule ")[1:] if not text.startswith("rule ") else ("\n" + text).split("\nrule ")[1:]
        for rule in rules:
            for directive in ("log:", "benchmark:", "conda:", '"""', "python -m cropflow"):
                assert directive in rule, f"{file.name}: rule {rule.split(':')[0]} has no {directive}"
