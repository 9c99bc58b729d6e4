"""What each stage took in, gave on and dropped, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cropflow.report.inputs import PlaceInputs
from cropflow.report.scenes import dropped_scenes, kinds_of_scenes
from cropflow.report.series import Observations
from cropflow.report.stage import Stage, Step
from cropflow.report.texts import listed, number, percent, plural, readable
from cropflow.samples.sensors import TITLES

# Rows of a table that is open at its end; the rest is in the summary files.
MOST_ROWS = 15
# Codes named in a sentence.
MOST_CODES = 8
PIXEL_REASONS = {
    "outside": "outside all parcels",
    "rim": "rim of a parcel (inner buffer)",
    "out_of_scope": "crop out of the legend's scope",
    "unknown": "crop unknown",
    "other_fold": "in a block of another fold than its parcel",
    "ring": "ring along the border between folds",
    "no_value": "a period without a value, or too few dates with one",
    "usable": "usable: learnt from and scored",
}

WHY_NOT = (
    ("unknown code", "unknown"),
    ("ignored by the table", "ignored"),
    ("too rare a crop", "rare"),
    ("out of the legend's scope", "out_of_scope"),
)


def _counted(counts: Mapping[str, Any]) -> tuple[str, str]:
    return number(counts["parcels"]), number(counts["hectares"], 1)


def _shortened(rows: Sequence[tuple[str, ...]], what: str) -> tuple[Sequence[tuple[str, ...]], str]:
    if len(rows) <= MOST_ROWS:
        return rows, ""
    return rows[:MOST_ROWS], f" The first {MOST_ROWS} of {len(rows)} {what} are shown."


def register_stage(place: PlaceInputs) -> Stage:
    """Cleaning of the register."""
    from cropflow.labels.parcels import REASONS

    summary = place.labels
    parcels, hectares = _counted(summary["kept"])
    total, area = _counted(summary["read"])
    renamed = summary.get("renamed", 0)
    return Stage(
        f"Register {place.register}: polygons that are parcels",
        f"Kept {parcels} of {total} parcels ({hectares} of {area} ha); repaired "
        f"{plural(summary['repaired'], 'geometry', 'geometries')}"
        + (f"; gave {number(renamed)} repeated ids a name of their own" if renamed else "")
        + f".{_found(summary.get('findings', {}))}",
        ("dropped because", "parcels", "hectares"),
        [
            (f"{readable(reason)}: {REASONS[reason]}" if reason in REASONS else readable(reason), *_counted(counts))
            for reason, counts in sorted(summary["dropped"].items())
        ],
        steps=(
            Step("Register cleaned", place.register, "parcels", summary["read"]["parcels"], summary["kept"]["parcels"]),
        ),
    )


def _found(findings: Mapping[str, Any]) -> str:
    """A sentence on what the reader noticed, by the findings of those registers that have any."""
    told = []
    for key, what in (
        ("codes_with_blanks", "with blanks around the code"),
        ("contradictions", "with a code and a name of different crops, of which the code counts"),
    ):
        rows = findings.get(key) or ()
        parcels = sum(row["parcels"] for row in (rows.values() if isinstance(rows, Mapping) else rows))
        if parcels:
            told.append(f"{plural(parcels, 'parcel')} {what}")
    for key, what in (("without_province", "in no province"), ("without_calendar", "without a crop calendar")):
        if parcels := sum((findings.get(key) or {}).values()):
            told.append(f"{plural(parcels, 'parcel')} {what}")
    return f" As read: {'; '.join(told)}." if told else ""


def legend_stage(place: PlaceInputs) -> Stage:
    """Mapping of the codes to the legend."""
    content = place.crops
    rows = [
        (kind, counts.get("name", str(code)), *_counted(counts))
        for kind, key in WHY_NOT
        for code, counts in sorted(content[key].items(), key=lambda item: (-item[1]["hectares"], item[0]))
    ]
    shown, more = _shortened(rows, "codes")
    crops = list(content["crops"].values())
    mapped, area = sum(found["parcels"] for found in crops), sum(found["hectares"] for found in crops)
    total = place.labels["kept"]
    return Stage(
        f"Register {place.register}: codes that are crops of the legend",
        f"{number(mapped)} of {number(total['parcels'])} parcels ({number(area, 1)} of {number(total['hectares'], 1)} "
        f"ha) have one of {len(crops)} crops of the legend.{more}{_years_of_codes(content['years'])}",
        ("why not", "code or crop", "parcels", "hectares"),
        shown,
        texts=2,
        steps=(Step("Codes mapped to the legend", place.register, "parcels", total["parcels"], mapped),),
    )


def _years_of_codes(years: Mapping[str, Any] | None) -> str:
    """A sentence on codes that are used outside their years or stand for others too, where there are any."""
    told = []
    for key, what in (("outside_years", "used outside the years of the list"), ("merged", "standing for others too")):
        found = years[key] if years else {}
        parcels = sum(counts["parcels"] for counts in found.values())
        if found:
            largest = sorted(found, key=lambda code: (-found[code]["hectares"], code))
            names = listed([*largest[:MOST_CODES], *(["..."] if len(found) > MOST_CODES else [])])
            told.append(f"{plural(len(found), 'code')} ({names}; {plural(parcels, 'parcel')}) {what}")
    return f" In the campaign {years['campaign']}: {'; '.join(told)}." if years and told else ""


def sites_stage(place: PlaceInputs) -> Stage:
    """Clipping of the parcels to the sites."""
    sites, total = place.parcels["sites"], place.parcels["total"]
    rows = [
        (site, *_counted(found), number(found["cut"]), number(found["dropped"]))
        for site, found in sorted(sites.items())
    ]
    shown, more = _shortened(rows, "sites")
    if len(rows) > 1:
        shown = [*shown, ("all", *_counted(total), number(total["cut"]), number(total["dropped"]))]
    return Stage(
        f"Sites of {place.name}",
        f"{number(total['parcels'])} of the register's {number(place.labels['kept']['parcels'])} parcels reach into "
        f"{plural(len(sites), 'site')}; parcels that a border cuts are kept and flagged.{more}",
        ("site", "parcels", "hectares inside", "cut by the border", "dropped: under 1 m² inside"),
        shown,
        steps=(
            Step("Parcels inside the sites", place.name, "parcels", place.labels["kept"]["parcels"], total["parcels"]),
        ),
    )


def scenes_stage(place: PlaceInputs, sensor: str) -> Stage:
    """Choice of the scenes of a sensor."""
    scenes = place.scenes[sensor]
    kept = scenes[scenes["kept"]]
    name = TITLES[sensor]
    decided = f": {kinds_of_scenes(kept, sensor)}" if len(kept) else ""
    return Stage(
        f"Scenes of {place.name}, {name}",
        f"Kept {number(len(kept))} of {number(len(scenes))} scenes, counted once per site{decided}.",
        ("dropped because", "detail", "scenes"),
        dropped_scenes(scenes),
        texts=2,
        steps=(Step(f"Scenes chosen, {name}", place.name, "scenes × sites", len(scenes), len(kept)),),
    )


def composites_stage(place: PlaceInputs, sensor: str, seen: Observations) -> Stage:
    """From the scenes of a sensor to periods."""
    total = seen.pixels * len(seen.periods)
    filled = round(float(seen.filled.sum()) * seen.pixels)
    empty = round(float(seen.empty.sum()) * seen.pixels)
    title = TITLES[sensor]
    scenes = int(place.scenes[sensor]["kept"].sum())
    notes = [f"{number(seen.pixels)} pixels in {len(seen.periods)} periods."]
    if seen.orbits:
        notes.append(f"Relative orbits that composites rest on: {listed(seen.orbits)}.")
    if seen.left_out:
        why = "outside the periods" if sensor == "sentinel2" else "outside the periods, or of other orbits"
        notes.append(f"{number(seen.left_out)} of {number(scenes)} scenes, counted once per site, are left out: {why}.")
    if seen.hazy is not None:
        hazy = round(float(seen.hazy.sum()) * seen.pixels)
        notes.append(f"{number(hazy)} pixels × periods rest on hazy observations alone ({percent(hazy, total)}).")
    return Stage(
        f"Composites of {place.name}, {title}",
        " ".join(notes),
        ("pixels × periods", "count", "share"),
        [
            ("seen at least once", number(total - filled - empty), percent(total - filled - empty, total)),
            ("filled from neighbouring periods", number(filled), percent(filled, total)),
            ("without a value: the gap is too long", number(empty), percent(empty, total)),
        ],
        steps=(
            Step(f"Scenes in composites, {title}", place.name, "scenes × sites", scenes, scenes - seen.left_out),
            Step(f"Periods with a value, {title}", place.name, "pixels × periods", total, total - empty),
        ),
    )


def samples_stage(place: PlaceInputs) -> Stage:
    """Pixels on their way from parcels to samples."""
    pixels, parcels = place.counts["pixels"], place.counts["parcels"]
    reasons: dict[str, int] = pixels["reasons"]
    total, inside, usable = pixels["total"], pixels["total"] - reasons.get("outside", 0), reasons.get("usable", 0)
    notes = [f"{number(inside)} of {number(total)} pixels may carry a label; {number(usable)} are usable."]
    notes += _dates_seen(pixels, place.counts["set"]["minimum_dates"])
    if parcels["without_pixels"]:
        narrow, area = plural(parcels["without_pixels"], "parcel"), number(parcels["without_pixels_ha"], 2)
        notes.append(f"{narrow} ({area} ha) too narrow to hold the centre of a pixel.")
    if parcels["smaller_buffer"]:
        widths = listed(f"{number(count)} with {width} m" for width, count in parcels["smaller_buffer"].items())
        notes.append(f"Parcels that the inner buffer would have deleted got a smaller one: {widths}.")
    return Stage(
        f"Samples of {place.name}",
        " ".join(notes),
        ("pixels", "count", "share of all"),
        [
            (PIXEL_REASONS.get(reason, readable(reason)), number(count), percent(count, total))
            for reason, count in sorted(reasons.items(), key=lambda item: (item[0] == "usable", -item[1], item[0]))
            if count or reason == "usable"
        ],
        steps=(
            Step("Pixels that may carry a label", place.name, "pixels", total, inside),
            Step("Pixels to learn from and to score", place.name, "pixels", inside, usable),
        ),
    )


def _dates_seen(pixels: Mapping[str, Any], minimum: int | None) -> list[str]:
    """Which sensors cost pixels, which pixels are learnt without a sensor, and on how many dates pixels are seen."""
    where = "in a period" if minimum is None else f"on at least {plural(minimum, 'date')}"

    def names(sensors: str) -> str:
        return " and ".join(TITLES[sensor] for sensor in sensors.split(" and "))

    notes = [
        f"{plural(count, 'pixel')}, otherwise usable, without a value of {names(sensors)} {where}."
        for sensors, count in pixels["no_value_of"].items()
    ]
    if minimum is None:
        return notes
    notes += [
        f"{plural(count, 'usable pixel')} without a value of {names(sensors)} {where}, learnt by the other sensors."
        for sensors, count in pixels["lacking"].items()
    ]
    return notes + [
        f"{TITLES[sensor]} sees usable pixels on {found['minimum_dates']} dates at least, {found['median_dates']} in "
        "the median."
        for sensor, found in pixels["dates"].items()
        if found["minimum_dates"] is not None
    ]


def scoring_stage(own: Mapping[str, Any]) -> Stage:
    """From labels to scores, all places together."""
    counts = own["counts"]
    scored, total = counts["test parcels scored"], counts["test parcels"]
    pixels = own["not_predicted"]["pixel"]
    return Stage(
        "Scores",
        f"{number(scored)} of {number(total)} test parcels were scored.",
        ("not scored", "count", "of"),
        [
            (
                "parcels out of the legend's scope or unknown",
                number(counts["parcels out of scope or unknown"]),
                number(counts["parcels"]),
            ),
            ("parcels without a fold", number(counts["parcels without fold"]), number(counts["parcels"])),
            ("test parcels without a prediction", number(total - scored), number(total)),
            ("labelled test pixels without a prediction", number(pixels["count"]), number(pixels["of"])),
        ],
        steps=(Step("Parcels scored", "", "parcels", counts["parcels"], scored),),
    )


def map_stage(place: str, summary: Mapping[str, Any]) -> Stage:
    """One mapped place."""
    sites, parcels = summary["sites"], summary["parcels"]
    pixels = sum(site["pixels"] for site in sites.values())
    missing = sum(site["not_predicted"] for site in sites.values())
    rows = [("pixels without a prediction", number(missing), number(pixels))]
    # Maps of before have no such key; models of pixels and patches, none there.
    outside = [site["outside_parcels"] for site in sites.values() if site.get("outside_parcels") is not None]
    if outside:
        rows.append(("of them outside parcels, which the models do not map", number(sum(outside)), number(missing)))
    if parcels:
        rows.append(
            ("parcels without a prediction", number(parcels["read"] - parcels["predicted"]), number(parcels["read"]))
        )
        rows.append(("parcels whose declared crop is in doubt", number(parcels["in doubt"]), number(parcels["read"])))
    return Stage(
        f"Map of {place}",
        f"Mapped {number(pixels - missing)} of {number(pixels)} pixels in {plural(len(sites), 'site')}.",
        ("not mapped, or doubtful", "count", "of"),
        rows,
        steps=(Step("Pixels mapped", place, "pixels", pixels, pixels - missing),),
    )


def place_stages(place: PlaceInputs, seen: Mapping[str, Observations], first_of_register: bool) -> list[Stage]:
    """All tables of a place, in the order of the rooms; those of a register once, for places may share one."""
    stages = [register_stage(place), legend_stage(place)] if first_of_register else []
    composites = [composites_stage(place, sensor, found) for sensor, found in seen.items()]
    scenes = [scenes_stage(place, sensor) for sensor in place.scenes]
    return [*stages, sites_stage(place), *scenes, *composites, samples_stage(place)]
