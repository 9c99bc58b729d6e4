"""The code hash of a rule covers every room that its own room imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
