"""What each stage took in, gave on and dropped, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from cropflow.files.atomic import read_json
from cropflow.report.inputs import PlaceInputs

# Codes shown one by one; the rest are in the summary file.
MOST_CODES = 12


@dataclass(frozen=True)
class Stage:
    """One table of the section.

    Attributes:
        name: Heading.
        summary: One sentence with the totals.
        columns: Heads of the table.
        rows: Cells as text.
    """

    name: str
    summary: str
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()


def number(value: float | int | None, digits: int = 0) -> str:
    """A number with thousands separated; a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def _counted(counts: Mapping[str, Any]) -> tuple[str, str]:
    return number(counts["parcels"]), number(counts["hectares"], 1)


def register_stage(place: PlaceInputs) -> Stage:
    """Cleaning of the register."""
    summary = place.labels
    parcels, hectares = _counted(summary["kept"])
    total, area = _counted(summary["read"])
    return Stage(
        f"Register, {place.name}",
        f"Kept {parcels} of {total} parcels ({hectares} of {area} ha); "
        f"repaired {number(summary['repaired'])} geometries.",
        ("reason", "parcels", "hectares"),
        [(reason, *_counted(counts)) for reason, counts in sorted(summary["dropped"].items())],
    )


def legend_stage(place: PlaceInputs) -> Stage:
    """Mapping of the codes to the legend."""
    rows = [
        (f"{kind}: {code}", *_counted(counts))
        for kind, key in (("out of the legend's scope", "out_of_scope"), ("unknown code", "unknown"))
        for code, counts in sorted(place.crops[key].items(), key=lambda item: -item[1]["hectares"])
    ]
    more = f" The {MOST_CODES} largest of {len(rows)} codes are shown." if len(rows) > MOST_CODES else ""
    mapped = [counts["parcels"] for counts in place.crops["crops"].values()]
    return Stage(
        f"Crop codes, {place.name}",
        f"{number(sum(mapped))} parcels have a crop of the legend.{more}",
        ("code", "parcels", "hectares"),
        rows[:MOST_CODES],
    )


def scenes_stage(place: PlaceInputs) -> Stage:
    """Choice of the scenes."""
    scenes: pandas.DataFrame = place.scenes
    dropped = scenes[~scenes["kept"]]
    reasons = dropped["reason"].str.replace(r"\s*[\(:].*", "", regex=True).value_counts()
    offsets = scenes[scenes["kept"]].groupby(["baseline", "offset"]).size()
    decided = ", ".join(f"{count} of baseline {key[0]} (offset {key[1]})" for key, count in offsets.items())
    return Stage(
        f"Scenes, {place.name}",
        f"Kept {scenes['kept'].sum()} of {len(scenes)} scenes per site: {decided or 'none'}.",
        ("reason", "scenes"),
        [(str(reason), number(count)) for reason, count in reasons.items()],
    )


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Numbers of a nested summary as ``key: value`` rows."""
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += _flat(value, f"{name}, ")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            continue
        else:
            rows.append((name, number(value, 0 if float(value).is_integer() else 2)))
    return rows


def sites_stage(place: PlaceInputs) -> Stage:
    """Clipping of the parcels to the sites."""
    return Stage(f"Sites, {place.name}", "Parcels clipped to the sites.", ("count", "value"), _flat(place.parcels))


def samples_stage(place: PlaceInputs) -> Stage:
    """Pixels on their way from parcels to samples."""
    summary = read_json(Path(place.samples) / "summary.json")
    totals = {key: value for key, value in summary.items() if not isinstance(value, list)}
    return Stage(f"Samples, {place.name}", "Pixels and parcels of the samples.", ("count", "value"), _flat(totals))


def all_stages(places: Sequence[PlaceInputs]) -> list[Stage]:
    """All tables, place by place in the order of the rooms."""
    makers = (register_stage, legend_stage, sites_stage, scenes_stage, samples_stage)
    return [make(place) for place in places for make in makers]
