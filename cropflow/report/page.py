"""The page: everything put into the template, where every text is escaped."""

from __future__ import annotations

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from cropflow.files.atomic import read_json
from cropflow.report import classes, scores
from cropflow.report.backscatter import backscatter_by_crop
from cropflow.report.comparability import comparison_notes
from cropflow.report.figures import (
    backscatter_curve,
    learning_curves,
    ndvi_curve,
    observations_chart,
    pixel_shares,
)
from cropflow.report.inputs import ReportInputs
from cropflow.report.pictures import SitePicture, picture_maps
from cropflow.report.series import Observations, ndvi_by_crop, observations, periods_of
from cropflow.report.stage import Stage
from cropflow.report.stages import map_stage, place_stages, scoring_stage
from cropflow.report.strips import season_strip
from cropflow.report.texts import listed, number, period_title, readable, score
from cropflow.report.tuning import tuning_rows
from cropflow.samples.sensors import TITLES

# Observations of every sensor of every place.
Seen = dict[str, dict[str, Observations]]

MOST_CURVES = 16
# Places whose season is shown in pictures and charts; their tables are shown for all.
MOST_STRIPS = 6


def render(inputs: ReportInputs) -> str:
    """Render the page.

    Returns:
        HTML that needs no other file; every text from config, register or legend is escaped.

    Raises:
        CropflowError: If maps, samples and composites do not lie on one grid.
    """
    seen: Seen = {
        place.name: {sensor: observations(store) for sensor, store in place.composites.items()}
        for place in inputs.places
    }
    pictures = picture_maps(inputs.maps, {place.name: place.samples for place in inputs.places}, inputs.legend)
    rows = scores.scored_rows(inputs)
    stages = _stages(inputs, seen)
    context = {
        "experiment": inputs.experiment,
        "model": readable(inputs.settings["experiment"]["model"]["name"]),
        "places": [place.name for place in inputs.places],
        "sensors": listed(TITLES[sensor] for sensor in inputs.sensors),
        "legend": inputs.legend.key,
        "folds": scores.fold_rows(inputs),
        "cards": scores.cards(inputs),
        "warnings": scores.warnings(inputs),
        "pictures": [{"of": picture, "legend": _keys(inputs, picture)} for picture in pictures.shown],
        "pictures_note": pictures.note,
        "interval_note": inputs.own["interval_method"],
        "agreement": bool(inputs.label_maps),
        "accuracy": scores.titles(inputs)["balanced_accuracy"].split()[-1],
        "chance": score(inputs.own["chance_balanced_accuracy"]),
        "score_columns": list(scores.titles(inputs).values()),
        "score_rows": scores.score_table(rows),
        "comparison": scores.comparison(inputs, rows),
        "comparison_notes": comparison_notes(inputs),
        "ceiling_note": scores.ceiling_note(inputs),
        "random_split_rows": scores.random_split_rows(inputs),
        "level_rows": scores.level_rows(inputs),
        "fold_scores": " / ".join(scores.titles(inputs)[metric] for metric in scores.CARDS),
        "others": classes.compared_names(inputs),
        "class_rows": classes.class_rows(inputs),
        "confusions": classes.confusion_tables(inputs),
        "learning": _learning(inputs),
        "tuning": tuning_rows(inputs.tuning),
        "tuned_by": readable(inputs.tuning[0]["metric"]) if inputs.tuning else "",
        "strips": _strips(inputs, seen),
        "strips_note": _shown(MOST_STRIPS, len(inputs.places), "places"),
        **_ndvi(inputs),
        "backscatter": _backscatter(inputs),
        "steps": [step.cells for stage in stages for step in stage.steps],
        "stages": stages,
        "label_rows": classes.label_rows(inputs),
        "rare_notes": classes.rare_notes(inputs),
        "settings": json.dumps(inputs.settings, indent=2, ensure_ascii=False, sort_keys=True),
        "models": json.dumps(inputs.models, indent=2, ensure_ascii=False, sort_keys=True),
    }
    environment = Environment(
        loader=PackageLoader("cropflow.report"),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("report.html.j2").render(context)
    return page


def _shown(most: int, total: int, what: str) -> str:
    return f"The first {most} of {total} {what} are shown." if total > most else ""


def _keys(inputs: ReportInputs, picture: SitePicture) -> list[dict[str, str]]:
    return [
        {"name": classes.crop_title(inputs, crop), "colour": classes.crop_colour(inputs, crop)}
        for crop in picture.crops
    ]


def _learning(inputs: ReportInputs) -> list[str]:
    epochs = {fold: rows for fold, rows in inputs.histories.items() if len(rows) > 1}
    best = {fold: int(model["best_epoch"]) for fold, model in inputs.models.items() if model.get("best_epoch")}
    return learning_curves(epochs, best, scores.titles(inputs)["balanced_accuracy"]) if epochs else []


def _strips(inputs: ReportInputs, seen: Seen) -> list[dict[str, Any]]:
    strips = []
    for place in inputs.places[:MOST_STRIPS]:
        strip, found = season_strip(place.composites), seen[place.name]
        shown = found[strip.sensor] if strip.pictures else None
        strips.append(
            {
                "name": place.name,
                "site": f"site {strip.site}" + (f", the first of {strip.sites}" if strip.sites > 1 else ""),
                "colours": strip.colours,
                "months": [
                    {
                        "name": period_title(period, shown.periods),
                        "picture": picture,
                        "note": _month_note(float(filled), float(empty)),
                    }
                    for (period, picture), filled, empty in zip(strip.pictures, shown.filled, shown.empty, strict=True)
                ]
                if shown
                else [],
                "sensors": [_sensor_charts(sensor, one) for sensor, one in found.items()],
            }
        )
    return strips


def _sensor_charts(sensor: str, found: Observations) -> dict[str, str]:
    what = "clear observations" if sensor == "sentinel2" else "observations"
    return {
        "name": TITLES[sensor],
        "what": what.capitalize(),
        "observations": observations_chart(found.periods, found.quartiles, found.scenes, what),
        "shares": pixel_shares(found.periods, found.filled, found.empty),
    }


def _month_note(filled: float, empty: float) -> str:
    if filled + empty < 0.995:
        return ""
    return "nothing seen: filled" if filled > empty else "no value"


def _ndvi(inputs: ReportInputs) -> dict[str, Any]:
    names = {crop: classes.crop_title(inputs, crop) for crop in inputs.legend.ids}
    stores = [place.composites["sentinel2"] for place in inputs.places if "sentinel2" in place.composites]
    curves = ndvi_by_crop(stores, [place.samples for place in inputs.places], names) if stores else []
    periods = periods_of(stores[0]) if stores else []
    drawn = [
        {
            "name": names[curve.crop],
            "pixels": number(curve.pixels),
            "picture": ndvi_curve(periods, curve.quartiles, inputs.legend.colour(curve.crop)),
        }
        for curve in curves[:MOST_CURVES]
    ]
    return {"curves": drawn, "curves_note": _shown(MOST_CURVES, len(curves), "crops")}


def _backscatter(inputs: ReportInputs) -> list[dict[str, Any]]:
    """Curves of each direction of Sentinel-1, where the samples hold it."""
    names = {crop: classes.crop_title(inputs, crop) for crop in inputs.legend.ids}
    samples = [place.samples for place in inputs.places]
    found = []
    for sensor in (sensor for sensor in inputs.sensors if sensor != "sentinel2"):
        stores = [place.composites[sensor] for place in inputs.places]
        curves = backscatter_by_crop(stores, samples, names)
        drawn = [
            {
                "name": names[curve.crop],
                "pixels": number(curve.pixels),
                "picture": backscatter_curve(periods_of(stores[0]), curve.bands, inputs.legend.colour(curve.crop)),
            }
            for curve in curves[:MOST_CURVES]
        ]
        found.append({"sensor": TITLES[sensor], "curves": drawn, "note": _shown(MOST_CURVES, len(curves), "crops")})
    return found


def _stages(inputs: ReportInputs, seen: Seen) -> list[Stage]:
    stages: list[Stage] = []
    registers: set[str] = set()
    for place in inputs.places:
        stages += place_stages(place, seen[place.name], place.register not in registers)
        registers.add(place.register)
    stages.append(scoring_stage(inputs.own))
    return stages + [map_stage(place, read_json(folder / "summary.json")) for place, folder in inputs.maps.items()]
