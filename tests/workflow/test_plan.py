"""What a dry run plans."""

from __future__ import annotations


def test_a_plain_dry_run_plans_the_demo_from_the_landscape_to_the_report(plan):
    code, jobs, _ = plan()
    assert code == 0
    assert jobs == {
        "simulation": 1,
        "labels": 1,
        "labels_legend": 1,
        "regions": 2,
        "regions_parcels": 1,
        "imagery": 2,
        "composites": 2,
        "samples_folds": 1,
        "samples": 1,
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
    assert jobs == {"simulation": 1, "regions": 1, "imagery": 1, "composites": 1}
    assert "beauce" not in text


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
