"""Composites of the months before harvest wait for the windows of their register and the parcels of their sites."""

from __future__ import annotations

import re

import pytest
import yaml

SEASON = "1400-1401"


@pytest.fixture
def overlay(root, shared):
    """All clusters of Iran, their series a window before the harvest of onions, their scenes a service's."""
    text = (root / "experiments" / "iran_clusters.yaml").read_text()
    content = yaml.safe_load(text.replace("../shared", str(shared)))
    content["registers"]["isrc_polygons"]["calendar"] = {
        "path": f"{shared}/data/isrc_iran/files/Crops/CropsCalendar.xlsx",
        "window": {"months": 6, "months_before_harvest": 1},
    }
    content["imagery"]["iran"] = {"source": "stac", "provider": "planetary-computer"}
    content["imagery"]["iran"]["sensors"] = ["sentinel2", "sentinel1_descending"]
    content["series"] = {"before_harvest": {"window": {"crop": "onion"}}}
    content["sets"]["iran"] |= {"series": "before_harvest", "sensors": ["sentinel2", "sentinel1_descending"]}
    return content


def test_composites_before_harvest_wait_for_windows_and_parcels(plan, overlay):
    code, jobs, text = plan("--printshellcmds", overlay=overlay)
    assert code == 0, text
    expected = {"labels_windows": 1, "imagery_find": 2, "imagery_plan": 1, "imagery": 2, "composites": 2}
    assert {name: jobs.get(name) for name in expected} == expected
    commands = re.findall(r"python -m cropflow composites .*?2>", text, flags=re.DOTALL)
    assert len(commands) == 2
    for command in commands:
        assert f"--queries results/labels/isrc_polygons/{SEASON}/queries.parquet" in command
        assert f"--parcels results/regions/iran/{SEASON}/parcels" in command


def test_a_series_of_the_season_asks_for_neither(plan, overlay):
    overlay["series"] = {"before_harvest": {}}
    code, jobs, text = plan("--printshellcmds", overlay=overlay)
    assert code == 0, text
    assert "labels_windows" not in jobs
    assert jobs["composites"] == 2
    assert "--queries" not in text


def test_a_window_without_a_calendar_is_one_line(plan, overlay):
    del overlay["registers"]["isrc_polygons"]["calendar"]
    code, _, text = plan(overlay=overlay)
    assert code == 2
    assert "series.before_harvest.window needs a crop calendar; regions.iran.register is 'isrc_polygons'" in text
