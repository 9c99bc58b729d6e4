"""How much of what was planned arrived, per month and site."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cropflow.config.imagery import Sensor
from cropflow.errors import CropflowError
from cropflow.imagery.catalog import Decision
from cropflow.imagery.choosing import Gone


@dataclass(frozen=True)
class Completeness:
    """What became of the scenes wanted of a sensor, counted once per site.

    Attributes:
        sensor: The sensor.
        minimum: Least share that must arrive.
        wanted: Scenes taken by their metadata.
        arrived: Those whose pixels came, whether any is valid or not.
        months: Month (``YYYY-MM``) -> site -> counts ``wanted`` and ``arrived``, and under ``gone`` scene -> reason.
    """

    sensor: Sensor
    minimum: float
    wanted: int
    arrived: int
    months: Mapping[str, Mapping[str, Mapping[str, Any]]]

    @property
    def share(self) -> float:
        """Share that arrived, [0, 1]; 1 where nothing was wanted."""
        return self.arrived / self.wanted if self.wanted else 1.0

    def content(self) -> dict[str, Any]:
        """What is written as JSON."""
        return {
            "sensor": self.sensor,
            "wanted": self.wanted,
            "arrived": self.arrived,
            "gone": self.wanted - self.arrived,
            "share": self.share,
            "minimum": self.minimum,
            "months": self.months,
        }

    def check(self) -> None:
        """Refuse a season of which too little arrived.

        Raises:
            CropflowError: One line with the share, the first loss and the way out.
        """
        if self.share >= self.minimum:
            return
        name, reason = next(
            loss for sites in self.months.values() for counts in sites.values() for loss in counts["gone"].items()
        )
        raise CropflowError(
            f"{self.arrived} of {self.wanted} scenes of {self.sensor} arrived ({100 * self.share:.1f} %, counted once "
            f"per site); expected at least {100 * self.minimum:g} %. The first that is gone: {name} ({reason}). What "
            "arrived is kept: run again to ask for the rest, or lower imagery.<name>.minimum_complete."
        )


def measure(
    sensor: Sensor, minimum: float, planned: Mapping[str, Collection[Decision]], gone: Gone | None = None
) -> Completeness:
    """Count what arrived of a sensor.

    A scene that is gone counts as lost, unless a duplicate of it is there, which takes its place.

    Args:
        sensor: The sensor.
        minimum: Least share that must arrive.
        planned: Site -> decisions on metadata, before anything was found to be gone.
        gone: Site and source of a scene -> why its pixels are gone.
    """
    lost = gone or {}
    months: dict[str, dict[str, dict[str, Any]]] = {}
    for site, judged in sorted(planned.items()):
        for one in judged:
            if not one.kept:
                continue
            counts = months.setdefault(one.scene.stamp[:7], {}).setdefault(
                site, {"wanted": 0, "arrived": 0, "gone": {}}
            )
            counts["wanted"] += 1
            twins = [other.scene.source for other in judged if other.twin is one.scene]
            if all((site, source) in lost for source in (one.scene.source, *twins)):
                counts["gone"][one.scene.id] = lost[site, one.scene.source]
            else:
                counts["arrived"] += 1
    every = [counts for month in months.values() for counts in month.values()]
    return Completeness(
        sensor,
        minimum,
        sum(counts["wanted"] for counts in every),
        sum(counts["arrived"] for counts in every),
        dict(sorted(months.items())),
    )
