"""Whether the experiments of a comparison were scored on the same test data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cropflow.report.inputs import ReportInputs
from cropflow.report.texts import listed, number, plural


def comparison_notes(inputs: ReportInputs) -> list[str]:
    """What sets compared experiments apart from the page's own, a sentence or two for each that differs.

    Told are another sample set, other folds, and other numbers of parcels and pixels scored, fold by fold.
    """
    found = []
    for name, content in inputs.metrics.items():
        chosen = _set_differs(inputs.own, content)
        scored = _scored_differs(inputs.own, content)
        if scored:
            found.append(f"{name}: {listed(chosen + scored)}. Its scores are not of the same test pixels.")
        elif chosen:
            found.append(
                f"{name}: {listed(chosen)}. As many parcels and pixels are scored in each fold; whether they are the "
                "same is not known here."
            )
    return found


def _set_differs(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    ours, theirs = own["settings"]["set"], other["settings"]["set"]
    return [] if ours == theirs else [f"sample set {theirs} (here {ours})"]


def _scored_differs(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    ours, theirs = own["folds"], other["folds"]
    found = [f"{plural(len(theirs), 'fold')} (here {number(len(ours))})"] if len(ours) != len(theirs) else []
    for unit in ("parcels", "pixels"):
        here, there = (sum(entry[unit] for entry in folds) for folds in (ours, theirs))
        if here != there:
            found.append(f"{number(there)} test {unit} scored (here {number(here)})")
        elif len(ours) == len(theirs) and [entry[unit] for entry in ours] != [entry[unit] for entry in theirs]:
            found.append(f"test {unit} shared out among the folds in another way")
    return found
