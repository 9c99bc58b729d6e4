"""Which scenes the composites of the server rest on, and why others were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas

from cropflow.composites.periods import Calendar
from cropflow.imagery.catalog import Decision, described
from cropflow.imagery.names import has_offset


def leave_out_unseen(decisions: Sequence[Decision], calendar: Calendar) -> list[Decision]:
    """Drop the scenes that fall into no period: those after the last day that the series sees, or before its first.

    Args:
        decisions: Decisions on metadata.
        calendar: The periods.
    """
    periods = calendar.period_of([decision.scene.stamp for decision in decisions]).tolist()
    reason = f"cut: outside {calendar.starts[0]} to {calendar.seen}"
    return [
        Decision(decision.scene, reason) if decision.kept and period < 0 else decision
        for decision, period in zip(decisions, periods, strict=True)
    ]


def server_catalogue(sites: Mapping[str, Sequence[Decision]], assumed_baseline: str | None) -> pandas.DataFrame:
    """Tell every decision, in the columns of the catalogue of an export; none of what only pixels tell.

    Args:
        sites: Site -> its decisions, in order of time.
        assumed_baseline: Processing baseline of scenes that carry none.

    Returns:
        One row per scene and site, in order of site, time and scene.
    """
    rows = []
    for site, decisions in sorted(sites.items()):
        for decision in decisions:
            scene = decision.scene
            baseline = scene.baseline or (assumed_baseline or "")
            taken_off = decision.kept and has_offset(baseline)
            rows.append(
                {
                    **described(scene, site),
                    "baseline": baseline,
                    "offset": 0,
                    "offset_reason": f"harmonised by the provider, baseline {baseline}" if taken_off else "",
                    "cloud_percent": scene.cloud_percent,
                    "source": scene.source,
                    "kept": decision.kept,
                    "reason": decision.reason,
                }
            )
    return pandas.DataFrame(rows)
