"""Scenes of one overpass that see the same ground: one observation, not several."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def first_of_day(valid: NDArray[np.bool_], days: Sequence[datetime.date]) -> int:
    """Leave one valid observation per pixel and solar day, that of the first scene, in place.

    Neighbouring tiles overlap by 10 km and repeat what one overpass saw; granules of a split acquisition share a seam.
    Counted twice, such ground would weigh twice in a median.

    Args:
        valid: Usable observations, bool, ``(scene, y, x)``; changed.
        days: Solar day of each scene, ``(scene,)``; scenes of one day need not be neighbours.

    Returns:
        Observations that were taken off.
    """
    taken_off = 0
    scenes_of: dict[datetime.date, list[int]] = {}
    for scene, day in enumerate(days):
        scenes_of.setdefault(day, []).append(scene)
    for first, *others in scenes_of.values():
        if not others:
            continue
        seen = valid[first].copy()
        for scene in others:
            again = valid[scene] & seen
            taken_off += int(again.sum())
            valid[scene] &= ~again
            seen |= valid[scene]
    return taken_off
