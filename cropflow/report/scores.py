"""Scores of the experiment beside those it is compared with, and beside what no model can miss or beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cropflow.report.classes import crop_title
from cropflow.report.figures import Scored, compare_scores
from cropflow.report.inputs import ReportInputs
from cropflow.report.texts import NOTHING, listed, number, percent, readable, score

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
CARDS = ("overall_accuracy", "balanced_accuracy", "macro_f1")
SIMULATED = (
    "These places are simulated ({names}). The scores test the machinery: they show that the chain finds what was put "
    "into the landscape, and say nothing about agronomy or about real fields."
)
AGREEMENT = (
    "The labels of {names} come from a map that a classifier made, not from a survey. The scores are agreement with "
    "that map, its errors included, and no accuracy."
)
SHUFFLED = "The crops were dealt out to the parcels at random (shuffle_crops): good scores here would be a mistake."


def titles(inputs: ReportInputs) -> dict[str, str]:
    """Metric -> what the page calls it; against labels from a map, agreement and not accuracy."""
    if not inputs.label_maps:
        return SCORES
    return {metric: title.replace("accuracy", "agreement") for metric, title in SCORES.items()}


def model_title(name: str, content: Mapping[str, Any]) -> str:
    """An experiment and its model."""
    return f"{name} ({readable(content['settings']['model']['name'])})"


def warnings(inputs: ReportInputs) -> list[str]:
    """What a reader must know before the first number."""
    found = [entry["warning"] for entry in inputs.own["folds"] if entry["warning"]]
    if inputs.settings.get("simulations"):
        found.insert(0, SIMULATED.format(names=listed(inputs.settings["simulations"])))
    if inputs.settings["set"].get("shuffle_crops"):
        found.insert(0, SHUFFLED)
    if inputs.label_maps:
        found.insert(0, AGREEMENT.format(names=listed(inputs.label_maps)))
    found += _unlearnt(inputs)
    counts = inputs.own["counts"]
    lost = counts["test parcels"] - counts["test parcels scored"]
    if lost:
        tested, verb = number(counts["test parcels"]), "has" if lost == 1 else "have"
        found.append(f"{number(lost)} of {tested} test parcels {verb} no prediction and no score.")
    return found


def _unlearnt(inputs: ReportInputs) -> list[str]:
    """Say where a model is no better than a guess: the map, if the page shows one, must not be used."""
    key = f"level_{inputs.legend.levels}.parcel.overall_accuracy"
    verb = "agrees with the labels" if inputs.label_maps else "is right"
    found = []
    for name, content in inputs.metrics.items():
        own, guess = content["metrics"][key]["value"], content["baseline"]["majority"][key]["value"]
        if own is not None and guess is not None and own <= guess:
            mapped = name == inputs.experiment and inputs.maps
            found.append(
                f"{name} {verb} in {percent(own, 1)} of the parcels, no more than the most frequent crop alone "
                f"({percent(guess, 1)}): it has not learnt{', and its map says nothing' if mapped else ''}."
            )
    return found


def cards(inputs: ReportInputs) -> list[dict[str, str]]:
    """The few numbers at the top."""
    found = []
    for metric in CARDS:
        entry = _parcel_entry(inputs, inputs.own["metrics"], metric)
        title = f"{titles(inputs)[metric]}, parcels"
        found.append({"title": title, "value": score(entry["value"]), "note": _spread(entry)})
    support = _parcel_entry(inputs, inputs.own["metrics"], "overall_accuracy")["support"]
    tested = [entry for entry in inputs.own["classes"][inputs.finest]["parcel"] if entry["support"]]
    folds = len(inputs.own["folds"])
    found.append(
        {"title": "test parcels", "value": number(support), "note": f"{len(tested)} crops, {folds} spatial folds"}
    )
    return found


def _parcel_entry(inputs: ReportInputs, metrics: Mapping[str, Any], metric: str) -> dict[str, Any]:
    entry: dict[str, Any] = metrics[f"{inputs.finest}.parcel.{metric}"]
    return entry


def _spread(entry: Mapping[str, Any]) -> str:
    if entry["interval"]:
        return f"interval {entry['interval'][0]:.3f} to {entry['interval'][1]:.3f}"
    if entry["fold_mean"] is None or entry["fold_sd"] is None:
        return "all folds together"
    return f"folds: {entry['fold_mean']:.3f} ± {entry['fold_sd']:.3f}"


def scored_rows(inputs: ReportInputs) -> list[Scored]:
    """Experiments, the majority class and, for simulations, the ceiling of the true model."""
    rows = []
    for name, content in inputs.metrics.items():
        entries = {metric: _parcel_entry(inputs, content["metrics"], metric) for metric in SCORES}
        rows.append(
            Scored(
                model_title(name, content),
                {metric: entry["value"] for metric, entry in entries.items()},
                {metric: tuple(entry["interval"]) if entry["interval"] else None for metric, entry in entries.items()},
                parcels=entries["overall_accuracy"]["support"],
            )
        )
    majority = inputs.own["baseline"]["majority"]
    rows.append(
        Scored(
            "majority class",
            {metric: _parcel_entry(inputs, majority, metric)["value"] for metric in SCORES},
            {},
            reference=True,
            parcels=_parcel_entry(inputs, majority, "overall_accuracy")["support"],
        )
    )
    for place, ceiling in _ceilings(inputs):
        # Scores count against declared crops, which may be wrong: so does the ceiling.
        declared = ceiling.get("declared", ceiling)
        values = {metric: declared.get(metric) for metric in SCORES}
        title = f"ceiling: true model, {place}"
        rows.append(Scored(title, values, {}, reference=True, parcels=ceiling.get("parcels")))
    return rows


def _ceilings(inputs: ReportInputs) -> list[tuple[str, dict[str, Any]]]:
    found = {place: content for oracle in inputs.oracles.values() for place, content in oracle.items()}
    learnt = {place.name for place in inputs.places}
    return sorted(
        found.items(),
        key=lambda item: (item[0] not in learnt, item[0]),
    )


def ceiling_note(inputs: ReportInputs) -> str:
    """How the ceiling is to be read; empty without a simulation."""
    ceilings = _ceilings(inputs)
    if not ceilings:
        return ""
    counts = listed(
        f"{place} {score(content.get('overall_accuracy'))} on {number(content.get('parcels'))} parcels"
        for place, content in ceilings
    )
    return (
        "The ceiling is a classifier that knows the simulation's true model: conditions, clouds and shares of crops, "
        "but not the crop of any parcel. It is scored on all parcels of a landscape and on the simulation's own crops, "
        "which may be finer than the legend's; the rows count against declared crops, as all scores here do. Against "
        f"the true crops its overall accuracy is: {counts}."
    )


def score_table(rows: list[Scored]) -> list[dict[str, Any]]:
    """The comparison as text."""
    return [
        {
            "name": row.name,
            "reference": row.reference,
            "parcels": number(row.parcels),
            "cells": [
                {"value": score(row.values.get(metric)), "interval": _interval(row.intervals.get(metric))}
                for metric in SCORES
            ],
        }
        for row in rows
    ]


def _interval(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def comparison(inputs: ReportInputs, rows: list[Scored]) -> str:
    """The comparison as a picture."""
    return compare_scores(titles(inputs), rows)


def level_rows(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Own scores by level of the legend and by what is counted."""
    metrics = inputs.own["metrics"]
    rows = []
    for level in range(inputs.legend.levels, 0, -1):
        for unit, title in UNITS.items():
            entries = [metrics[f"level_{level}.{unit}.{metric}"] for metric in SCORES]
            hectares = unit == "parcel_area"
            rows.append(
                {
                    "level": f"{level}{' (finest)' if level == inputs.legend.levels else ''}",
                    "unit": title,
                    "cells": [score(entry["value"]) for entry in entries],
                    "support": number(entries[0]["support"], 1 if hectares else 0) + (" ha" if hectares else ""),
                }
            )
    return rows


def random_split_rows(inputs: ReportInputs) -> list[dict[str, str]]:
    """What a random split of pixels would claim, beside the score on blocks; experiments whose models tell it.

    A random split is the mean over folds; its pixels are summed. Blocks are scored on pixels inside the rim, where
    the pixels of the random split come from too.
    """
    found = []
    for name, content in inputs.metrics.items():
        models = list(inputs.models.values()) if name == inputs.experiment else inputs.compared_models.get(name, [])
        told = [model["random_split"] for model in models if model.get("random_split")]
        told = [entry for entry in told if entry["pixels"]]
        if not told:
            continue
        row = {"name": model_title(name, content), "pixels": number(sum(entry["pixels"] for entry in told))}
        for short, metric in (("accuracy", "overall_accuracy"), ("balanced_accuracy", "balanced_accuracy")):
            row[f"random_{short}"] = score(sum(entry[short] for entry in told) / len(told))
            row[f"blocks_{short}"] = score(content["metrics"][f"{inputs.finest}.interior.{metric}"]["value"])
        found.append(row)
    return found


def fold_rows(inputs: ReportInputs) -> list[dict[str, str]]:
    """What each test fold held, and how it scored."""
    found = []
    distances = {
        place.name: {entry["fold"]: entry["nearest_other_fold_m"] for entry in place.folds["folds"]}
        for place in inputs.places
    }
    for position, entry in enumerate(inputs.own["folds"]):
        scores = [score(_parcel_entry(inputs, inputs.own["metrics"], metric)["per_fold"][position]) for metric in CARDS]
        nearest = [known[entry["fold"]]["minimum"] for known in distances.values() if known.get(entry["fold"])]
        found.append(
            {
                "fold": str(entry["fold"]),
                "parcels": number(entry["parcels"]),
                "hectares": number(entry["hectares"], 1),
                "pixels": number(entry["pixels"]),
                "scores": " / ".join(scores),
                "nearest": number(min(nearest)) if nearest else NOTHING,
                "absent": listed(crop_title(inputs, crop) for crop in entry["classes_absent"]),
                "untrained": listed(crop_title(inputs, crop) for crop in entry["classes_untrained"]),
            }
        )
    return found
