from __future__ import annotations

import json

import geopandas
import pandas
import pytest
from typer.testing import CliRunner

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.manifest import content_hash, manifest_path
from cropflow.files.tables import read_geotable
from cropflow.labels.command import app

RPG = {"reader": "rpg", "files": {"2022": {"path": "x"}}}


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def cleaned(shared, tmp_path):
    def make(folder="out", settings=RPG):
        source = shared / "data/rpg_2022_sample/RPG_2-0__GPKG_LAMB93_FXX_2022-01-01.7z.001"
        parcels, summary = tmp_path / folder / "parcels.parquet", tmp_path / folder / "summary.json"
        words = ("--source", source, "--season", "2022", "--settings", json.dumps(settings))
        run("clean", *words, "--output", parcels, "--summary", summary)
        return parcels, summary

    return make


def test_clean_writes_parcels_summary_and_manifests(cleaned):
    parcels, summary = cleaned()
    table, counts = read_geotable(parcels), read_json(summary)
    assert list(table.columns) == ["parcel_id", "crop_code", "area_ha", "geometry"]
    assert (len(table), counts["read"]["parcels"], counts["kept"]["parcels"]) == (98, 100, 98)
    assert "bbox" in geopandas.pd.read_parquet(parcels).columns
    for path in (parcels, summary):
        manifest = read_json(manifest_path(path))
        assert manifest["sha256"] == content_hash(path)[0]
        assert manifest["counts"]["read"] == counts["read"]
        assert list(manifest["inputs"]) == ["source_001"]


def test_the_same_input_gives_the_same_bytes(cleaned):
    first, second = cleaned("one"), cleaned("two")
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert manifest_path(one).read_bytes() == manifest_path(two).read_bytes()


def test_thresholds_come_from_the_settings(cleaned):
    settings = RPG | {"cleaning": {"minimum_area_m2": 0, "minimum_width_m": 0}}
    assert read_json(cleaned(settings=settings)[1])["kept"]["parcels"] == 100


def test_map_writes_a_crop_for_every_parcel_in_their_order(cleaned, tmp_path):
    parcels, _ = cleaned()
    crops, summary = tmp_path / "turkoglu.parquet", tmp_path / "turkoglu.json"
    words = ("--parcels", parcels, "--settings", json.dumps(RPG), "--legend", "turkoglu")
    run("map", *words, "--output", crops, "--summary", summary)
    table, counts = pandas.read_parquet(crops), read_json(summary)
    assert list(table.columns) == ["parcel_id", "crop"]
    assert table["crop"].dtype == "uint16"
    assert table["parcel_id"].tolist() == read_geotable(parcels)["parcel_id"].tolist()
    assert counts["total"]["parcels"] == 98
    assert counts["unknown"] == {}
    assert all(set(crop) == {"name", "parcels", "hectares"} for crop in counts["crops"].values())
    assert counts["years"] is None
    assert read_json(manifest_path(crops))["settings"] == {
        "legend": "turkoglu",
        "table": "rpg",
        "unmapped": "stop",
        "minimum_share_percent": 0.0,
        "campaign": None,
    }


def test_map_reports_the_codes_of_another_campaign(cleaned, tmp_path):
    parcels, _ = cleaned()
    crops, summary = tmp_path / "cropflow.parquet", tmp_path / "cropflow.json"
    words = ("--parcels", parcels, "--settings", json.dumps(RPG), "--legend", "cropflow", "--campaign", "2023")
    run("map", *words, "--output", crops, "--summary", summary)
    years = read_json(summary)["years"]
    assert years["campaign"] == 2023
    assert set(years["outside_years"]) == {"J5M", "J6P", "J6S", "MIE"}
    assert years["outside_years"]["MIE"]["last_year"] == 2022
    assert years["merged"]["MIS"]["merges"] == ["MIE"]


def test_rare_crops_become_unknown_and_are_reported(cleaned, tmp_path):
    parcels, _ = cleaned()
    crops, summary = tmp_path / "rpg_groups.parquet", tmp_path / "rpg_groups.json"
    settings = json.dumps(RPG | {"minimum_share_percent": 5.0})
    words = ("--parcels", parcels, "--settings", settings, "--legend", "rpg_groups")
    run("map", *words, "--output", crops, "--summary", summary)
    table, counts = pandas.read_parquet(crops)["crop"], read_json(summary)
    rare = sum(found["parcels"] for found in counts["rare"].values())
    assert rare > 0
    assert (table == 65534).sum() == rare + sum(found["parcels"] for found in counts["ignored"].values())
    assert not set(map(int, counts["rare"])) & set(table)


def test_map_takes_a_legend_and_tables_of_ones_own_and_their_content_counts(cleaned, tmp_path):
    parcels, _ = cleaned()
    legend = tmp_path / "mine.csv"
    legend.write_text("id,level,name,parent,colour\n1,1,grass,,#00ff00\n2,1,maize,,#ff8800\n")
    (tmp_path / "mine").mkdir()
    beside = tmp_path / "mine" / "rpg.csv"
    beside.write_text("code,crop\nPPH,grass\nMIS,maize\nMIE,maize\n")
    crops, summary = tmp_path / "out.parquet", tmp_path / "out.json"
    settings = json.dumps(RPG | {"unmapped": "unknown"})
    words = ("--parcels", parcels, "--settings", settings, "--legend", legend)
    run("map", *words, "--output", crops, "--summary", summary)
    assert set(read_json(summary)["crops"]) == {"1", "2"}
    manifest = read_json(manifest_path(crops))
    assert manifest["settings"]["legend"] == "mine"
    assert manifest["inputs"]["legend"] == content_hash(legend)[0]
    assert manifest["inputs"]["table"] == content_hash(beside)[0]


def test_download_writes_a_manifest_without_secrets(server, tmp_path):
    server.files["/RPG.7z.001"] = b"7z\xbc\xaf\x27\x1c one"
    server.files["/RPG.7z.002"] = b"two"
    output = tmp_path / "results" / "labels" / "rpg" / "2022" / "download" / "RPG.7z.001"
    url = server.url.replace("http://", "http://user:pass-word@") + "/RPG.7z.001?token=to-ken"
    run("download", "--url", url, "--sha256", "", "--output", output)
    for path in (output, output.with_name("RPG.7z.002")):
        text = manifest_path(path).read_text()
        assert "pass-word" not in text
        assert "to-ken" not in text
        assert read_json(manifest_path(path))["counts"] == {"bytes": 13, "parts": 2}
    assert (tmp_path / "results/labels/rpg/2022/.work/downloads").is_dir()


def test_settings_that_are_no_register_are_one_line(tmp_path):
    words = ("--source", tmp_path, "--season", "2022", "--output", tmp_path / "a", "--summary", tmp_path / "b")
    with pytest.raises(CropflowError, match="reader"):
        run("clean", *words, "--settings", '{"reader": "guess"}')
