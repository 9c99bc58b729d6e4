"""Which sensors see a pixel often enough to be learnt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.samples.sources import SiteComposites


@dataclass(frozen=True)
class Sight:
    """What the sensors see of the pixels of a site.

    Attributes:
        seen: Sensor -> True where it has a value on as many dates as are asked for, bool, ``(y, x)``.
        dates: Sensor -> dates with a value, uint16, ``(y, x)``.
        complete: Whether every date of every sensor is asked for.
    """

    seen: Mapping[str, NDArray[np.bool_]]
    dates: Mapping[str, NDArray[np.uint16]]
    complete: bool

    @property
    def has_value(self) -> NDArray[np.bool_]:
        """True where a pixel can be learnt from, bool, ``(y, x)``; see :func:`can_be_learnt_from`."""
        return can_be_learnt_from(self.seen, self.complete)


def look(composites: SiteComposites, minimum_dates: int | None) -> Sight:
    """Count the dates of every pixel.

    Args:
        composites: The composites of a site.
        minimum_dates: Dates with a value, observed or filled, by which a sensor sees a pixel; None: every one.
    """
    dates = composites.dates_with_value()
    needed = {sensor: minimum_dates or len(days) for sensor, days in composites.dates.items()}
    return Sight({sensor: found >= needed[sensor] for sensor, found in dates.items()}, dates, minimum_dates is None)


def can_be_learnt_from(seen: Mapping[str, NDArray[np.bool_]], complete: bool) -> NDArray[np.bool_]:
    """Where enough is seen of a pixel.

    Args:
        seen: Sensor -> True where it sees the pixel, bool, of one shape.
        complete: Every sensor must; otherwise one is enough, and the pixel lacks the others.
    """
    rule = np.logical_and if complete else np.logical_or
    found: NDArray[np.bool_] = rule.reduce(list(seen.values()))
    return found
