"""Noise at swath edges, overflowed scenes and missing passes, and the truth about them."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.simulation.archive import radar_truth, season_passes
from cropflow.simulation.plots import lay_plots
from cropflow.simulation.radar_faults import ZERO_DB, RadarFaults, overflow
from cropflow.simulation.sentinel1 import Radar
from cropflow.simulation.surface import build_surface

SEASONS = {"s": Season(start=datetime.date(2020, 10, 1), end=datetime.date(2021, 9, 30))}


@pytest.fixture(scope="module")
def land():
    return lay_plots(4, "a", (2.6, 49.2), {"s": ["maize", "winter_wheat"] * 8})


def simulation(**knobs):
    square = Landscape(centre=(2.6, 49.2), side_km=0.32)
    return Simulation(
        seed=4,
        landscapes={"a": square},
        seasons=("s",),
        imagery_seasons=("s",),
        difficulty=Difficulty(**knobs),
    )


def scenes(land, passes, **knobs):
    difficulty = Difficulty(**knobs)
    surface = build_surface(4, land, "s", SEASONS["s"], difficulty, with_patterns=False)
    return [scene for _, scene in Radar(4, land, surface, difficulty).scenes(passes)]


def test_a_few_passes_show_a_swath_edge_and_exactly_one_overflowed():
    passes = season_passes(lay_plots(4, "a", (2.6, 49.2), {"s": ["maize"]}), "s", simulation(), SEASONS)
    faults = [RadarFaults(4, f"land {index}", Difficulty()).find(passes) for index in range(60)]
    assert all(list(found.values()).count("int16_overflow") == 1 for found in faults)
    edges = [fault for found in faults for fault in found.values() if fault == "border_noise"]
    assert 0.03 < len(edges) / (60 * len(passes)) < 0.05


def test_beyond_the_edge_is_nothing_and_along_it_power_is_very_low_or_zero(land):
    passes = season_passes(land, "s", simulation(), SEASONS)
    found = RadarFaults(4, "a", Difficulty(border_noise=3)).find(passes)
    edges = [index for index, fault in found.items() if fault == "border_noise"]
    assert edges
    spoilt, whole = scenes(land, passes, border_noise=3), scenes(land, passes, border_noise=0, overflow=0)
    zero = very_low = 0
    for index in edges:
        for name in ("vv", "vh"):
            values, clean = spoilt[index][name], whole[index][name]
            beyond = np.isnan(values)
            assert 0 < beyond.mean() < 0.9
            np.testing.assert_array_equal(beyond, np.isnan(spoilt[index]["vv"]))
            changed = ~beyond & (values != clean)
            assert changed.any()
            assert values[changed].max() <= -30
            zero += (values[changed] == ZERO_DB).sum()
            very_low += (values[changed] > ZERO_DB).sum()
    assert 0.15 < zero / (zero + very_low) < 0.45


def test_faulty_passes_leave_all_other_scenes_as_they_were(land):
    passes = season_passes(land, "s", simulation(), SEASONS)
    found = RadarFaults(4, "a", Difficulty()).find(passes)
    with_faults, again, without = (
        scenes(land, passes, **knobs) for knobs in ({}, {}, {"border_noise": 0, "overflow": 0})
    )
    assert found
    for index, (spoilt, same, clean) in enumerate(zip(with_faults, again, without, strict=True)):
        for name in ("vv", "vh"):
            np.testing.assert_array_equal(spoilt[name], same[name])
            assert np.isfinite(clean[name]).all()
            assert np.array_equal(spoilt[name], clean[name]) == (index not in found)


def test_an_overflowed_scene_looks_like_numbers_but_is_none(land):
    passes = season_passes(land, "s", simulation(), SEASONS)
    found = RadarFaults(4, "a", Difficulty(border_noise=0)).find(passes)
    ((index, fault),) = found.items()
    assert fault == "int16_overflow"
    values = scenes(land, passes, border_noise=0)[index]["vv"]
    assert np.abs(values).max() < 3.28
    assert values.mean() > -4  # bare fields at that level would be as bright as a town


@given(st.floats(-40, 5, width=32))
def test_overflow_wraps_by_whole_turns_of_the_integer(value):
    wrapped = float(overflow(np.array([value], np.float32))[0])
    turns = (value - wrapped) * 10_000 / 65_536
    assert turns == pytest.approx(round(turns), abs=1e-3)
    assert -3.2769 < wrapped < 3.2768


def test_the_truth_names_every_faulty_and_every_missing_scene(land):
    truth = radar_truth([land], simulation(), SEASONS)["a/s"]
    passes = season_passes(land, "s", simulation(), SEASONS)
    complete = season_passes(land, "s", simulation(missing_passes=0), SEASONS)
    assert len(truth["missing_passes"]) == len(complete) - len(passes) > 0
    assert len(truth["int16_overflow"]) == 1
    assert len(truth["border_noise"]) == len(RadarFaults(4, "a", Difficulty()).find(passes)) - 1
    off = radar_truth([land], simulation(missing_passes=0, border_noise=0, overflow=0), SEASONS)
    assert off == {"a/s": {"border_noise": [], "int16_overflow": [], "missing_passes": []}}
