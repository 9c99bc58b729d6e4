"""A mistake in the config is one line and exit code 2, before any job starts."""

from __future__ import annotations

import pytest

MISTAKES = {
    "a wrong key": ({"series": {"monthly": {"max_gup": 2}}}, ["series.monthly.max_gup", "2", "max_gap"]),
    "a wrong type": ({"series": {"monthly": {"max_gap": "three"}}}, ["series.monthly.max_gap", "'three'", "integer"]),
    "an order of dates": (
        {"seasons": {"2023": {"start": "2023-10-01", "end": "2023-09-30"}}},
        ["seasons.2023", "2023-09-30", "not after"],
    ),
    "an unknown band": ({"imagery": {"demo": {"bands": ["B02", "B99"]}}}, ["imagery.demo.bands.1", "'B99'", "'B8A'"]),
    "an unknown CRS": (
        {"regions": {"beauce": {"sites": {"b": {"bounds": [1, 2, 3, 4], "crs": "EPSG:99999"}}}}},
        ["regions.beauce.sites.b", "crs", "EPSG:99999", "EPSG:2154"],
    ),
    "an unknown region": (
        {"experiments": {"demo": {"map": [{"region": "atlantis", "season": "2023"}]}}},
        ["experiments.demo.map.region", "'atlantis'", "beauce, lauragais"],
    ),
    "an experiment beside itself": (
        {"experiments": {"demo": {"compare": ["demo"]}}},
        ["experiments.demo.compare", "'demo'", "others"],
    ),
    "nothing to do": ({"run": []}, ["run names no experiment", "demo"]),
    "an unknown table": ({"registers": {"demo": {"table": "rgp"}}}, ["registers.demo.table", "'rgp'", "eurocrops"]),
    "a season without scenes": (
        {"experiments": {"demo": {"map": [{"region": "lauragais", "season": "2022"}]}}},
        ["experiments.demo.map.season", "'2022'", "2023"],
    ),
    "an unknown experiment": ({"run": ["dmo"]}, ["run[0]", "'dmo'", "demo"]),
    "a file that is not there": (
        {"imagery": {"demo": {"simulation": None, "path": "nowhere.json"}}},
        ["imagery.demo.path", "nowhere.json"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_key_value_and_what_is_allowed(name, plan):
    overlay, words = MISTAKES[name]
    code, jobs, text = plan(overlay=overlay)
    assert code == 2
    assert jobs == {}
    lines = [line for line in text.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in text


def test_a_file_in_the_place_of_the_results_is_one_line(plan, folder):
    (folder / "results").write_text("")
    code, jobs, text = plan()
    assert (code, jobs) == (2, {})
    assert "Error: results is a file; expected the folder of results" in text
    assert "Traceback" not in text


def test_where_a_register_lies_is_told_to_its_download_alone(plan):
    url = "https://data.example.org/RPG.7z?token=SECRET"
    overlay = {
        "registers": {"far": {"reader": "rpg", "files": {"2023": {"url": url}}}},
        "regions": {"beauce": {"register": "far"}},
    }
    code, jobs, text = plan("-p", "results/labels/far/2023/legends/turkoglu.parquet", overlay=overlay)
    assert code == 0
    assert jobs == {"labels_download": 1, "labels": 1, "labels_legend": 1}
    # A query belongs to the address, and the command that fetches it shows it, as the description of url says.
    assert [line.split()[0] for line in text.splitlines() if "SECRET" in line] == ["--url"]


def test_a_password_in_an_address_is_refused_without_repeating_it(plan):
    url = "https://me:SECRET@data.example.org/RPG.7z"
    overlay = {"registers": {"far": {"reader": "rpg", "files": {"2023": {"url": url}}}}}
    code, jobs, text = plan("-p", overlay=overlay)
    assert (code, jobs) == (2, {})
    assert "~/.netrc" in text
    assert "SECRET" not in text
