"""A mistake in the config is one line and exit code 2, before any job starts."""

from __future__ import annotations

import pytest

MISTAKES = {
    "a wrong key": ({"series": {"monthly": {"perod": "month"}}}, ["series.monthly.perod", "'month'", "period"]),
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
