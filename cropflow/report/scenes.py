"""The scenes of a place: why they were dropped, and what sets those that were kept apart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cropflow.report.texts import NOTHING, listed, number

if TYPE_CHECKING:
    import pandas


def dropped_scenes(scenes: pandas.DataFrame) -> list[tuple[str, str, str]]:
    """Kind of reason, detail and count of the scenes dropped, the most frequent first.

    Args:
        scenes: Catalogue with ``kept`` and ``reason``, which reads ``kind: detail``; a detail that differs from scene
            to scene does not split the count.
    """
    groups: dict[str, list[str]] = {}
    for reason in scenes.loc[~scenes["kept"], "reason"].astype(str):
        kind, _, detail = reason.partition(":")
        groups.setdefault(kind, []).append(detail.strip())
    rows = []
    for kind, details in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        different = sorted(set(details) - {""})
        example = different[0] if len(different) == 1 else f"such as {different[0]}" if different else NOTHING
        rows.append((kind, example, number(len(details))))
    return rows


def kinds_of_scenes(kept: pandas.DataFrame, sensor: str) -> str:
    """Counts by baseline and offset (Sentinel-2), or by relative orbit and radiometry (Sentinel-1)."""
    optical = sensor == "sentinel2"
    first, second = ("baseline", "offset") if optical else ("relative_orbit", "radiometry")
    text = "{} of baseline {} (offset {})" if optical else "{} of relative orbit {} ({})"
    counts = Counter(zip(kept[first], kept[second], strict=True))
    # Records without an orbit have -1, those without a baseline an empty one.
    return listed(
        text.format(count, "unknown" if one in ("", -1) else one, other)
        for (one, other), count in sorted(counts.items())
    )
