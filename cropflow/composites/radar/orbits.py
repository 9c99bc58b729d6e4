"""Orbits and passes of Sentinel-1: which scenes look from the same place, and which are one acquisition.

Where records do not tell the relative orbit, the time of day does: neighbouring tracks of a sun-synchronous satellite
that repeats after 175 orbits in 12 days cross the same ground 8.2 minutes apart, while passes of one track keep their
time within seconds. Such orbits are called by the UTC time of their passes, ``t1732``, known ones by their number.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

DAY_S = 86400
# Half the time between neighbouring tracks.
SAME_ORBIT_S = 4 * 60
# Slices of 25 s follow each other along a pass; a site sees two of them, rarely three.
SAME_PASS_S = 5 * 60


def seconds(time: str | datetime.datetime) -> float:
    """Seconds since 1970 of a time; one without a zone is UTC."""
    moment = datetime.datetime.fromisoformat(time) if isinstance(time, str) else time
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def orbit_names(relative_orbits: Sequence[int], times: Sequence[str | datetime.datetime]) -> list[str]:
    """Name the orbit of each scene of a region and direction.

    Args:
        relative_orbits: 1..175, or -1 where unknown, ``(scene,)``.
        times: Sensing time of each scene, UTC.

    Returns:
        The number, or ``t`` and the hour and minute of the passes in their median, ``(scene,)``. Unknown orbits are
        told apart where more than four minutes of the day lie between them.
    """
    names = [str(orbit) for orbit in relative_orbits]
    unknown = [scene for scene, orbit in enumerate(relative_orbits) if orbit < 0]
    of_day = np.array([seconds(times[scene]) % DAY_S for scene in unknown])
    for group in _runs_of_day(of_day):
        # Passes around midnight belong together: they are counted from the first of them.
        since = (of_day[group] - of_day[group[0]]) % DAY_S
        median = int(of_day[group[0]] + float(np.median(since))) % DAY_S
        for place in group:
            names[unknown[place]] = f"t{median // 3600:02d}{median % 3600 // 60:02d}"
    return names


def _runs_of_day(of_day: NDArray[np.float64]) -> list[list[int]]:
    """Cut times of day where more than :data:`SAME_ORBIT_S` passes between them; each run in order of time."""
    if of_day.size == 0:
        return []
    order = np.argsort(of_day, kind="stable")
    gaps = np.diff(of_day[order], append=of_day[order[0]] + DAY_S)
    # The day is a circle: begin behind its widest gap.
    order = np.roll(order, -(int(gaps.argmax()) + 1))
    runs = [[int(order[0])]]
    for place in order[1:]:
        if (of_day[place] - of_day[runs[-1][-1]]) % DAY_S > SAME_ORBIT_S:
            runs.append([])
        runs[-1].append(int(place))
    return runs


def number_passes(orbits: Sequence[str], times: Sequence[str | datetime.datetime]) -> NDArray[np.int64]:
    """Number the passes: scenes of one orbit within five minutes are slices of one pass.

    Args:
        orbits: Orbit of each scene.
        times: Sensing time of each scene, UTC, in order of time.

    Returns:
        Pass of each scene, int, ``(scene,)``; passes are numbered from 0 in order of time.
    """
    found = np.empty(len(orbits), dtype=np.int64)
    latest: dict[str, tuple[float, int]] = {}
    number = 0
    for scene, (orbit, time) in enumerate(zip(orbits, times, strict=True)):
        now = seconds(time)
        before, index = latest.get(orbit, (-np.inf, -1))
        if now - before > SAME_PASS_S:
            index, number = number, number + 1
        latest[orbit] = (now, index)
        found[scene] = index
    return found


def in_order(orbits: Iterable[str]) -> list[str]:
    """Distinct orbits: by number, then those without one by their time of day."""
    return sorted(set(orbits), key=lambda orbit: (orbit.startswith("t"), int(orbit.removeprefix("t"))))


def most_seen(orbits: Sequence[str]) -> str:
    """The orbit with the most passes, the first in order where several have as many.

    Args:
        orbits: Orbit of each pass, at least one.
    """
    counts = Counter(orbits)
    return max(in_order(orbits), key=lambda orbit: counts[orbit])
