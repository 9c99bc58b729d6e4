"""The code hash of a rule covers every room that its own room imports, and its input what its model learns from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cropflow.config.base import dump
from cropflow.config.models import BASELINES, NETWORKS, samples_of
from cropflow.config.sections import SampleSet

ROOMS = ("simulation", "labels", "regions", "composites", "samples", "models", "evaluation", "maps", "report")


def imported(root: Path, room: str) -> set[str]:
    """Rooms that a room's modules import, directly or through others."""
    found: set[str] = set()
    waiting = [room]
    while waiting:
        current = waiting.pop()
        text = "\n".join(file.read_text() for file in (root / "cropflow" / current).rglob("*.py"))
        text = text.replace("cropflow.regions.grid", "")
        rooms = {name for name in re.findall(r"(?:from|import) cropflow\.(\w+)", text) if name in ROOMS}
        waiting += sorted(rooms - found)
        found |= rooms
    return found | {room}


@pytest.mark.parametrize("room", ROOMS)
def test_an_upgrade_of_any_imported_room_reruns_the_rule(root, room):
    text = (root / "rules" / f"{room}.smk").read_text()
    calls = re.findall(r"code=room_code\(([^)]*)\)", text)
    assert calls
    for call in calls:
        assert set(re.findall(r'"(\w+)"', call)) == imported(root, room)


def test_downloads_and_the_export_never_rerun_for_new_code(root):
    assert "room_code" not in (root / "rules" / "imagery.smk").read_text()
    download = (root / "rules" / "labels.smk").read_text().split("rule labels:")[0]
    assert "room_code" not in download


@pytest.fixture(scope="module")
def inputs(root) -> dict[str, Any]:
    """What ``rules/inputs.smk`` defines."""
    found: dict[str, Any] = {}
    exec((root / "rules" / "inputs.smk").read_text(), found)
    return found


def test_a_model_is_trained_on_the_samples_of_its_kind(inputs):
    # Single pixels are drawn from the pixel sets.
    folders = {"patches": "patches", "pixel_sets": "pixel_sets", "chips": "chips", "pixels": "pixel_sets"}
    assert {name: samples_of(section()) for name, section in NETWORKS.items()} == {
        name: folders[section.kind] for name, section in NETWORKS.items()
    }
    for section in BASELINES.values():
        assert [samples_of(section(unit=unit)) for unit in ("pixel", "parcel")] == ["patches", "pixel_sets"]
    for name, section in (NETWORKS | BASELINES).items():
        inputs["config"] = {"experiments": {"one": {"model": dump(section())}}}
        assert inputs["is_network"]("one") == (name in NETWORKS)


def test_a_rule_of_samples_sees_no_setting_of_another_kind(inputs):
    settings = inputs["SETTINGS_OF_KINDS"]
    assert set().union(*settings.values()) <= set(SampleSet.model_fields)
    inputs |= {"config": {"sets": {"s": dump(SampleSet(series="m"))}}, "as_json": json.dumps}
    every = {
        kind: set(json.loads(inputs["set_settings"](kind)(SimpleNamespace(set="s")))) for kind in (None, *settings)
    }
    assert every["patches"] - every[None] == {"patch_size"}
    assert every["chips"] - every[None] == {"chip_size", "chips_per_crop"}
    assert every["pixel_sets"] - every[None] == {"history"}
    assert {"sensors", "legend", "folds", "minimum_dates", "shuffle_crops"} <= every[None]
