"""What an export would bring: scenes found, wanted and dropped, per site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cropflow.imagery.catalog import Decision, reasons


def count_scenes(decisions: Mapping[str, Sequence[Decision]]) -> dict[str, dict[str, Any]]:
    """Count the scenes of a sensor: site -> ``found``, ``wanted``, ``dropped`` by reason; they add up."""
    return {
        site: {
            "found": len(judged),
            "wanted": sum(decision.kept for decision in judged),
            "dropped": reasons(judged),
        }
        for site, judged in sorted(decisions.items())
    }
