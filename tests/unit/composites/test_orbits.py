from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.composites.radar.orbits import in_order, most_seen, number_passes, orbit_names


def test_known_orbits_are_called_by_their_number():
    assert orbit_names([88, 15], ["2018-05-04T17:32:36Z", "2018-05-03T17:40:45Z"]) == ["88", "15"]


def test_unknown_orbits_are_told_apart_by_the_time_of_day():
    times = ["2018-05-03T17:40:45Z", "2018-05-04T17:32:36Z", "2018-05-09T17:40:02Z", "2018-05-10T17:32:03Z"]
    assert orbit_names([-1] * 4, times) == ["t1740", "t1732", "t1740", "t1732"]
    assert orbit_names([-1, 88, -1, 88], times) == ["t1740", "88", "t1740", "88"]


def test_passes_around_midnight_are_one_orbit():
    times = ["2018-05-03T23:59:40Z", "2018-05-10T00:00:20Z", "2018-05-16T00:00:10Z", "2018-05-03T00:08:10Z"]
    assert orbit_names([-1] * 4, times) == ["t0000", "t0000", "t0000", "t0008"]


@given(st.lists(st.tuples(st.integers(0, 174), st.integers(-60, 60)), min_size=1, max_size=30), st.integers(0, 86399))
def test_tracks_that_lie_8_minutes_apart_are_never_mixed(passes, start):
    """Whatever the longitude, and however passes drift by a minute around their time."""
    stamps = [np.datetime64("2018-01-01") + np.timedelta64((start + 494 * track + drift) % 86400, "s")
              for track, drift in passes]  # fmt: skip
    names = orbit_names([-1] * len(passes), [str(stamp) for stamp in stamps])
    by_name: dict[str, set[int]] = {}
    for (track, _), name in zip(passes, names, strict=True):
        by_name.setdefault(name, set()).add(track)
    assert all(len(tracks) == 1 for tracks in by_name.values())
    assert len({track for track, _ in passes}) == len(by_name)


def test_slices_of_a_pass_are_one_and_passes_of_other_days_are_not():
    orbits = ["51", "51", "51", "88", "51"]
    times = [
        "2024-04-19T04:58:01Z", "2024-04-19T04:58:26Z", "2024-04-19T04:58:51Z", "2024-04-19T04:59:00Z",
        "2024-05-01T04:58:01Z",
    ]  # fmt: skip
    assert number_passes(orbits, times).tolist() == [0, 0, 0, 1, 2]


def test_a_pass_over_midnight_is_one():
    assert number_passes(["7", "7"], ["2024-04-19T23:59:50Z", "2024-04-20T00:00:15Z"]).tolist() == [0, 0]


def test_orbits_are_ordered_by_number_and_those_without_come_last():
    assert in_order(["t1740", "88", "15", "t0555", "110", "15"]) == ["15", "88", "110", "t0555", "t1740"]


@pytest.mark.parametrize(
    ("orbits", "best"), [(["88", "15", "88"], "88"), (["88", "15", "110", "15", "110"], "15"), (["t2", "9"], "9")]
)
def test_the_orbit_with_most_passes_wins_and_the_lower_number_among_equals(orbits, best):
    assert most_seen(orbits) == best
