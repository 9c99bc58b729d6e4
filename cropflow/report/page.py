"""The page: scores and tables put into the template; everything is escaped."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cropflow.report.figures import clear_observations, confusion_matrix, learning_curves, ndvi_curves
from cropflow.report.inputs import ReportInputs
from cropflow.report.pictures import SitePicture, picture_maps
from cropflow.report.series import ndvi_by_crop, observations, true_colour_strip
from cropflow.report.stages import all_stages, number

SCORES = {
    "overall_accuracy": "overall accuracy",
    "balanced_accuracy": "balanced accuracy",
    "kappa": "kappa",
    "miou": "mIoU",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}
UNITS = {
    "parcel": "parcels",
    "parcel_area": "parcels by hectares",
    "pixel": "pixels",
    "interior": "pixels inside the rim",
    "rim": "pixels of the rim",
}
MOST_CURVES = 12


def score(value: float | None) -> str:
    """A score with three digits; a dash where it is not defined."""
    return "–" if value is None else f"{value:.3f}"


def _with_interval(entry: dict[str, Any]) -> str:
    text = score(entry["value"])
    return f"{text} [{entry['interval'][0]:.3f}, {entry['interval'][1]:.3f}]" if entry.get("interval") else text


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _cards(inputs: ReportInputs) -> list[dict[str, str]]:
    own = inputs.metrics[inputs.experiment]
    cards = [
        {
            "title": f"{SCORES[metric]}, parcels",
            "value": score(own["metrics"][f"level_3.parcel.{metric}"]["value"]),
            "note": _range(own["metrics"][f"level_3.parcel.{metric}"]),
        }
        for metric in ("overall_accuracy", "balanced_accuracy", "macro_f1")
    ]
    support = own["metrics"]["level_3.parcel.overall_accuracy"]["support"]
    tested = [entry for entry in own["classes"]["level_3"]["parcel"] if entry["support"]]
    cards.append({"title": "test parcels", "value": number(support), "note": f"{len(tested)} crops"})
    return cards


def _range(entry: dict[str, Any]) -> str:
    if entry["fold_mean"] is None or entry["fold_sd"] is None:
        return "all folds together"
    return f"folds: {entry['fold_mean']:.3f} ± {entry['fold_sd']:.3f}"


def _score_rows(inputs: ReportInputs) -> tuple[list[dict[str, Any]], str]:
    rows = [
        {
            "name": name,
            "cells": [_with_interval(content["metrics"][f"level_3.parcel.{metric}"]) for metric in SCORES],
        }
        for name, content in inputs.metrics.items()
    ]
    majority = inputs.metrics[inputs.experiment]["baseline"]["majority"]
    cells = [score(majority[f"level_3.parcel.{metric}"]["value"]) for metric in SCORES]
    rows.append({"name": "majority class", "cells": cells})
    notes = []
    for simulation, oracle in inputs.oracles.items():
        for name, ceiling in sorted(oracle.get("landscapes", {}).items()):
            rows.append(_ceiling_row(name, ceiling))
        notes.append(oracle.get("note", f"The ceiling knows the true model of the simulation {simulation}."))
    return rows, " ".join(notes)


def _ceiling_row(name: str, ceiling: dict[str, Any]) -> dict[str, Any]:
    known = {metric: ceiling.get(metric) for metric in SCORES}
    return {"name": f"ceiling, {name}", "cells": [score(known[metric]) for metric in SCORES]}


def _level_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    metrics = inputs.metrics[inputs.experiment]["metrics"]
    rows = []
    for level in range(inputs.legend.levels, 0, -1):
        for unit, title in UNITS.items():
            entries = [metrics[f"level_{level}.{unit}.{metric}"] for metric in SCORES]
            digits = 1 if unit == "parcel_area" else 0
            rows.append(
                {
                    "level": level,
                    "unit": title,
                    "cells": [score(entry["value"]) for entry in entries],
                    "support": number(entries[0]["support"], digits) + (" ha" if digits else ""),
                }
            )
    return rows


def _class_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    entries = inputs.metrics[inputs.experiment]["classes"]["level_3"]["parcel"]
    return [
        {
            "name": entry["name"],
            "support": number(entry["support"]),
            "cells": [score(entry[metric]) for metric in ("precision", "recall", "f1", "iou")],
            "predicted": number(entry["predicted"]),
            "absent": ", ".join(map(str, entry["absent_folds"])) or "–",
        }
        for entry in sorted(entries, key=lambda entry: (-entry["support"], entry["name"]))
    ]


def _confusion_figure(inputs: ReportInputs) -> str:
    table = inputs.confusion
    table = table[(table["unit"] == "parcel") & (table["level"] == inputs.legend.levels)]
    counts = table.groupby(["truth", "predicted"])["count"].sum()
    support = table.groupby("truth")["count"].sum()
    ids = [int(crop) for crop in support.sort_values(ascending=False, kind="stable").index if support[crop] > 0]
    ids += sorted({int(crop) for _, crop in counts[counts > 0].index} - set(ids))
    matrix = np.zeros((len(ids), len(ids)))
    for (truth, predicted), count in counts.items():
        if count:
            matrix[ids.index(int(truth)), ids.index(int(predicted))] = count
    return confusion_matrix(matrix, [_name(inputs, crop) for crop in ids])


def _name(inputs: ReportInputs, crop: int) -> str:
    return "background" if crop == 0 else inputs.legend.name(crop)


def _label_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    found: dict[int, dict[str, float]] = {}
    for place in inputs.places:
        for crop, counts in place.crops["crops"].items():
            entry = found.setdefault(int(crop), {"parcels": 0, "hectares": 0, "pixels": 0})
            entry["parcels"] += counts["parcels"]
            entry["hectares"] += counts["hectares"]
    for model in list(inputs.models.values())[:1]:
        for crop, pixels in _training_pixels(model).items():
            if crop in found:
                found[crop]["pixels"] = pixels
    return [
        {
            "name": inputs.legend.name(crop),
            "colour": _hex(inputs.legend.colour(crop)),
            "group": inputs.legend.name(inputs.legend.ancestor(crop, 2)),
            "parcels": number(entry["parcels"]),
            "hectares": number(entry["hectares"], 1),
            "pixels": number(entry["pixels"]),
        }
        for crop, entry in sorted(found.items(), key=lambda item: -item[1]["hectares"])
    ]


def _training_pixels(model: dict[str, Any]) -> dict[int, int]:
    pixels = model.get("training_pixels", {})
    return {int(crop): int(count) for crop, count in pixels.items()}


def _folds(inputs: ReportInputs) -> list[dict[str, str]]:
    return [
        {
            "fold": str(entry["fold"]),
            "parcels": number(entry["parcels"]),
            "hectares": number(entry["hectares"], 1),
            "pixels": number(entry["pixels"]),
            "absent": ", ".join(_name(inputs, crop) for crop in entry["classes_absent"]) or "–",
            "untrained": ", ".join(_name(inputs, crop) for crop in entry["classes_untrained"]) or "–",
        }
        for entry in inputs.metrics[inputs.experiment]["folds"]
    ]


def _fold_notes(inputs: ReportInputs) -> list[str]:
    notes = []
    for place in inputs.places:
        rare = place.folds.get("rare_classes") or []
        if rare:
            names = ", ".join(_name(inputs, int(crop)) for crop in rare)
            notes.append(f"{place.name}: found in fewer than three blocks, so not in every fold: {names}.")
    return notes


def _keys(inputs: ReportInputs, picture: SitePicture) -> list[dict[str, str]]:
    crops = sorted(picture.crops, key=inputs.legend.name)
    return [{"name": inputs.legend.name(crop), "colour": _hex(inputs.legend.colour(crop))} for crop in crops]


def _strips(inputs: ReportInputs) -> list[dict[str, Any]]:
    strips = []
    for place in inputs.places:
        seen = observations(place.composites)
        strips.append(
            {
                "name": place.name,
                "months": [{"name": name, "picture": picture} for name, picture in true_colour_strip(place.composites)],
                "observations": clear_observations(seen.periods, seen.quartiles, seen.filled, seen.empty),
            }
        )
    return strips


def _ndvi_figure(inputs: ReportInputs) -> str:
    names = {crop: inputs.legend.name(crop) for crop in inputs.legend.ids}
    stores, samples = [place.composites for place in inputs.places], [place.samples for place in inputs.places]
    curves = dict(list(ndvi_by_crop(stores, samples, names).items())[:MOST_CURVES])
    if not curves:
        return ""
    from cropflow.report.series import periods_of

    colours = {inputs.legend.name(crop): inputs.legend.colour(crop) for crop in inputs.legend.ids}
    return ndvi_curves(periods_of(stores[0]), curves, colours)


def _learning_figure(inputs: ReportInputs) -> str:
    epochs = {fold: rows for fold, rows in inputs.histories.items() if len(rows) > 1}
    drawn = {fold: rows for fold, rows in epochs.items() if not all(math.isnan(row["train_loss"]) for row in rows)}
    return learning_curves(drawn) if drawn else ""


def render(inputs: ReportInputs) -> str:
    """Render the page.

    Returns:
        HTML that needs no other file; every text from config, register or legend is escaped.
    """
    own = inputs.metrics[inputs.experiment]
    rows, ceiling_note = _score_rows(inputs)
    samples = {place.name: place.samples for place in inputs.places}
    pictures = [
        {**vars(picture), "keys": _keys(inputs, picture)}
        for picture in picture_maps(inputs.maps, samples, inputs.legend)
    ]
    environment = Environment(
        loader=PackageLoader("cropflow.report"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("report.html.j2").render(
        experiment=inputs.experiment,
        model=inputs.settings["experiment"]["model"]["name"],
        places=[place.name for place in inputs.places],
        legend=inputs.legend.key,
        cards=_cards(inputs),
        warnings=[entry["warning"] for entry in own["folds"] if entry["warning"]],
        pictures=pictures,
        interval_note=own["interval_method"],
        chance=score(own["chance_balanced_accuracy"]),
        score_columns=list(SCORES.values()),
        score_rows=rows,
        ceiling_note=ceiling_note,
        level_columns=list(SCORES.values()),
        level_rows=_level_rows(inputs),
        class_rows=_class_rows(inputs),
        confusion_figure=_confusion_figure(inputs),
        learning_figure=_learning_figure(inputs),
        strips=_strips(inputs),
        ndvi_figure=_ndvi_figure(inputs),
        stages=all_stages(inputs.places),
        label_rows=_label_rows(inputs),
        folds=_folds(inputs),
        fold_notes=_fold_notes(inputs),
        settings=json.dumps(inputs.settings, indent=2, ensure_ascii=False),
        models=json.dumps(inputs.models, indent=2, ensure_ascii=False),
    )
    return page
