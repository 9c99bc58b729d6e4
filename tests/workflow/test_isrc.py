"""What the ISRC overlay plans: labels alone, by their names."""

from __future__ import annotations

import pytest
import yaml

SEASONS = ("1400-1401", "1401-1402")


@pytest.fixture
def overlay(root, shared):
    text = (root / "experiments" / "isrc_1401.yaml").read_text()
    return yaml.safe_load(text.replace("../shared", str(shared)))


def targets(season):
    folder = f"results/labels/isrc/{season}"
    return f"{folder}/legends/isrc_8.parquet", f"{folder}/windows.parquet"


def test_both_seasons_of_isrc_are_labelled_by_three_jobs_each(plan, overlay):
    names = [name for season in SEASONS for name in targets(season)]
    code, jobs, text = plan(*names, overlay=overlay)
    assert code == 0, text
    assert jobs == {"labels": 2, "labels_legend": 2, "labels_windows": 2}


def test_another_window_places_windows_again_and_cleans_nothing(snakemake, plan, overlay):
    done = snakemake(*targets(SEASONS[0]), overlay=overlay)
    assert done.returncode == 0, done.stderr[-3000:]
    assert plan(*targets(SEASONS[0]), overlay=overlay)[1] == {}
    overlay["registers"]["isrc"]["calendar"]["window"]["months"] = 5
    code, jobs, text = plan(*targets(SEASONS[0]), overlay=overlay)
    assert (code, jobs) == (0, {"labels_windows": 1}), text


def test_windows_of_a_register_without_calendars_are_refused_in_one_line(plan):
    code, _, text = plan("results/labels/demo/2023/windows.parquet")
    assert code == 2
    assert "registers.demo has no calendar; windows before harvest need one" in text
