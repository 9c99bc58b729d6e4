"""Crop by crop: scores, confusion, and what labels there are."""

from __future__ import annotations

from typing import Any

import numpy as np

from cropflow.report.images import Colour
from cropflow.report.inputs import ReportInputs
from cropflow.report.texts import NOTHING, css_colour, listed, number, readable, score
from cropflow.samples.labels import BACKGROUND

BACKGROUND_COLOUR: Colour = (190, 190, 190)
# Shades of the confusion matrix.
SHADES = 10


def crop_title(inputs: ReportInputs, crop: int) -> str:
    """Name of a class as a reader sees it."""
    return "background" if crop == BACKGROUND else readable(inputs.legend.name(crop))


def crop_colour(inputs: ReportInputs, crop: int) -> str:
    """Colour of a class for a style sheet."""
    return css_colour(BACKGROUND_COLOUR if crop == BACKGROUND else inputs.legend.colour(crop))


def compared_names(inputs: ReportInputs) -> list[str]:
    """Experiments shown beside this one."""
    return [name for name in inputs.metrics if name != inputs.experiment]


def class_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Scores per crop of the finest level, crops with most test parcels first."""
    own = inputs.own["classes"][inputs.finest]
    hectares = {entry["id"]: entry["support"] for entry in own["parcel_area"]}
    others = [
        {entry["id"]: entry["f1"] for entry in inputs.metrics[name]["classes"].get(inputs.finest, {}).get("parcel", [])}
        for name in compared_names(inputs)
    ]
    return [
        {
            "name": crop_title(inputs, entry["id"]),
            "colour": crop_colour(inputs, entry["id"]),
            "support": number(entry["support"]),
            "hectares": number(hectares.get(entry["id"]), 1),
            "cells": [score(entry[metric]) for metric in ("precision", "recall", "f1", "iou")],
            "others": [score(known.get(entry["id"])) for known in others],
            "predicted": number(entry["predicted"]),
            "absent": listed(entry["absent_folds"]),
            "untrained": listed(entry["untrained_folds"]),
        }
        for entry in sorted(own["parcel"], key=lambda entry: (-entry["support"], entry["name"]))
    ]


def confusion_tables(inputs: ReportInputs) -> list[dict[str, Any]]:
    """One matrix of parcels per level of the legend, all folds summed, finest first; cells in percent of the row."""
    return [_confusion(inputs, level) for level in range(inputs.legend.levels, 0, -1)]


def _confusion(inputs: ReportInputs, level: int) -> dict[str, Any]:
    table = inputs.confusion
    table = table[(table["unit"] == "parcel") & (table["level"] == level) & (table["count"] > 0)]
    truth, predicted, count = (table[column].to_numpy() for column in ("truth", "predicted", "count"))
    support = {int(crop): float(count[truth == crop].sum()) for crop in np.unique(truth)}
    ids = sorted(support, key=lambda crop: (-support[crop], crop))
    ids += sorted({int(crop) for crop in np.unique(predicted)} - support.keys())
    rows = []
    for crop in ids:
        total = support.get(crop, 0.0)
        cells = []
        for other in ids:
            parcels = float(count[(truth == crop) & (predicted == other)].sum())
            share = parcels / total if total else 0.0
            cells.append(
                {
                    # A few parcels among very many are still there.
                    "text": f"{100 * share:.0f}" if share >= 0.005 else "·" if parcels else "",
                    "shade": min(SHADES, round(share * SHADES)),
                    "hit": crop == other,
                    "title": f"{crop_title(inputs, crop)} mapped as {crop_title(inputs, other)}: "
                    f"{number(parcels)} of {number(total)} parcels",
                }
            )
        rows.append(
            {
                "name": crop_title(inputs, crop),
                "colour": crop_colour(inputs, crop),
                "cells": cells,
                "support": number(total) if total else NOTHING,
            }
        )
    return {"level": level, "finest": level == inputs.legend.levels, "rows": rows}


def label_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Labels per crop from the register to usable pixels, crops with most hectares in the sites first."""
    found: dict[int, dict[str, float]] = {}
    registers, regions = set(), set()
    folds: dict[int, set[int]] = {}

    def add(crop: int, **amounts: float) -> None:
        entry = found.setdefault(
            crop, dict.fromkeys(("parcels", "hectares", "inside", "area", "pixels", "usable", "blocks"), 0)
        )
        for key, amount in amounts.items():
            entry[key] += amount

    for place in inputs.places:
        if place.register not in registers:
            registers.add(place.register)
            for crop, counts in place.crops["crops"].items():
                add(int(crop), parcels=counts["parcels"], hectares=counts["hectares"])
        for crop, counts in place.counts["classes"].items():
            if int(crop) in inputs.legend.ids:
                add(
                    int(crop),
                    inside=counts["parcels"],
                    area=counts["hectares"],
                    pixels=counts["pixels_in_parcels"],
                    usable=counts["reasons"]["usable"],
                )
        # Folds are those of a region, the same in all its seasons.
        region = place.name.partition("/")[0]
        if region not in regions:
            regions.add(region)
            for crop, counts in place.folds["classes"].items():
                if int(crop) in inputs.legend.ids:
                    add(int(crop), blocks=counts["blocks"])
                    folds.setdefault(int(crop), set()).update(counts["folds"])
    total = max((place.folds["count"] for place in inputs.places), default=0)
    order = sorted(found, key=lambda crop: (-found[crop]["area"], -found[crop]["hectares"], crop))
    return [
        {
            "name": crop_title(inputs, crop),
            "colour": crop_colour(inputs, crop),
            "group": readable(inputs.legend.name(inputs.legend.ancestor(crop, max(1, inputs.legend.levels - 1)))),
            "cells": [
                number(found[crop]["parcels"]),
                number(found[crop]["hectares"], 1),
                number(found[crop]["inside"]),
                number(found[crop]["area"], 1),
                number(found[crop]["pixels"]),
                number(found[crop]["usable"]),
                number(found[crop]["blocks"]),
                f"{len(folds.get(crop, ()))} of {total}",
            ],
        }
        for crop in order
    ]


def rare_notes(inputs: ReportInputs) -> list[str]:
    """Which crops lie in too few blocks to be learnt, validated and tested at once."""
    notes = {}
    for place in inputs.places:
        rare = place.folds.get("rare_classes") or []
        if rare:
            region = place.name.partition("/")[0]
            names = listed(crop_title(inputs, int(crop)) for crop in rare)
            notes[region] = (
                f"{region}: found in fewer than three blocks, so not in training, validation and test at once: {names}."
            )
    return list(notes.values())
