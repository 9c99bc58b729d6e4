"""The pixels of a Sentinel-1 scene as they enter: units, ranges, border noise, faulty scenes."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cropflow.config.sections import Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.errors import CropflowError
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sentinel1.border import border_noise
from cropflow.imagery.sentinel1.pixels import NODATA, read_radar
from cropflow.imagery.sources import Layer
from cropflow.regions.grid import Grid
from cropflow.simulation.archive import season_passes
from cropflow.simulation.landscape import make_landscape
from cropflow.simulation.radar_faults import RadarFaults
from cropflow.simulation.sentinel1 import Radar
from cropflow.simulation.surface import build_surface

TIME = datetime.datetime(2020, 5, 4, 17, 32, tzinfo=datetime.UTC)


def read(vv, vh=None, angle=None, unit="dB"):
    layers = {"VV": np.float32(vv), "VH": np.float32(np.subtract(vv, 7) if vh is None else vh)}
    if angle is not None:
        layers["angle"] = np.float32(angle)
    addresses = dict.fromkeys(layers, "")
    scene = Scene("S1", TIME, "sentinel-1a", "", 88, "", "", np.nan, None, None, addresses, "x", unit=unit)
    grid = Grid(32631, 500_000.0, 4_900_000.0, *layers["VV"].shape, 10.0)
    return read_radar(lambda scene, grid, names: {name: Layer(layers[name], 4, False) for name in names}, scene, grid)


def test_decibels_are_stored_in_hundredths():
    pixels = read([[-12.346, -8.0]], [[-19.004, -15.25]])
    np.testing.assert_array_equal(pixels.backscatter, [[[-1235, -800]], [[-1900, -1525]]])
    assert pixels.backscatter.dtype == np.int16
    assert (pixels.valid, pixels.border, pixels.outside, pixels.bytes, pixels.fault) == (2, 0, 0, 8, "")


def test_linear_power_gives_the_same_as_its_decibels():
    power = 10 ** (np.array([[-12.346, -8.0, -25.0]]) / 10)
    np.testing.assert_array_equal(
        read(power, power / 5, unit="linear").backscatter,
        read(10 * np.log10(power), 10 * np.log10(power / 5)).backscatter,
    )


def test_nodata_that_a_file_does_not_declare_is_no_measurement():
    power = [[-32768, 0, 0.1, -32768]]
    pixels = read(power, power, unit="linear")
    assert (pixels.valid, pixels.outside, pixels.fault) == (1, 0, "")
    assert pixels.backscatter[0, 0].tolist() == [NODATA, NODATA, -1000, NODATA]


def test_a_pixel_without_one_polarisation_has_none():
    pixels = read([[np.nan, -10, -10]], [[-17, np.nan, -17]])
    np.testing.assert_array_equal(pixels.backscatter, [[[NODATA, NODATA, -1000]], [[NODATA, NODATA, -1700]]])
    assert (pixels.valid, pixels.outside) == (1, 0)


@pytest.mark.parametrize(("value", "unit"), [(-60.0, "dB"), (30.5, "dB"), (-0.001, "linear"), (1001.0, "linear")])
def test_values_that_are_no_backscatter_are_masked_and_counted(value, unit):
    good = -10.0 if unit == "dB" else 0.1
    pixels = read([[value, good, good]], [[good, good, good]], unit=unit)
    assert pixels.outside == 1
    np.testing.assert_array_equal(pixels.backscatter[:, 0, 0], [NODATA, NODATA])


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([[-1200.0, -1900.0, -1000.0]], "dB"),  # hundredths of dB
        ([[310.0, 250.0, 90.0]], "dB"),  # amplitudes
        ([[-12.0, -19.0, -10.0]], "linear"),  # dB
    ],
)
def test_a_scene_in_another_unit_is_one_line(values, unit):
    with pytest.raises(CropflowError, match=rf"Scene S1 holds values .* no backscatter in {unit}; expected -60 to 30"):
        read(values, values, unit=unit)


def test_linear_power_that_is_called_decibel_is_a_fault_of_the_scene():
    pixels = read([[0.1, 0.2]], [[0.02, 0.03]], unit="dB")
    assert pixels.fault.startswith("range: VH is 0.0 dB in the median, at most -5 is backscatter")


def test_a_scene_without_a_valid_pixel_is_empty():
    assert read([[np.nan, -60.0]], [[-17, -17]]).fault == "empty: no valid pixel inside the site"


def test_the_angle_is_stored_in_hundredths_of_degrees():
    pixels = read([[-10, -10, -10]], angle=[[38.126, np.nan, 0]])
    np.testing.assert_array_equal(pixels.angle, [[3813, 0, 0]])
    assert read([[-10.0]]).angle is None


def strip(height=40, width=60, edge=10):
    """A field of -10 dB, seen from column ``edge`` on."""
    vv = np.full((height, width), -10, np.float32)
    vv[:, :edge] = np.nan
    return vv


def noise_of(vv):
    return border_noise(vv, np.isnan(vv), 10.0)


def test_dark_pixels_along_the_edge_are_noise_and_those_elsewhere_are_not():
    vv = strip()
    vv[:, 10:14:2] = -35  # a comb: every second column
    vv[5, 16] = -30
    vv[20:25, 40:45] = -34  # a lake
    expected = (vv <= -30) & (np.arange(60) < 20)
    assert expected.sum() == 81
    np.testing.assert_array_equal(noise_of(vv), expected)


def test_noise_is_followed_in_steps_of_60_m():
    vv = strip()
    vv[7, [12, 18, 24, 31]] = -40
    np.testing.assert_array_equal(np.flatnonzero(noise_of(vv)[7]), [12, 18, 24])


def test_a_hole_inside_the_swath_is_no_edge():
    vv = strip(edge=0)
    vv[10:14, 10:14] = np.nan
    vv[10:14, 14] = -40
    assert not noise_of(vv).any()


@given(arrays.arrays(np.float32, (9, 11), elements=st.sampled_from([-45, -31, -30, -29.5, -12, np.nan])))
def test_only_dark_pixels_with_a_value_are_ever_noise(vv):
    noise = noise_of(vv)
    assert (vv[noise] <= -30).all()
    # Every dark pixel beside nodata that reaches the edge is noise.
    rim = np.isnan(vv)
    rim[1:-1, 1:-1] = False
    beside = np.zeros_like(rim)
    for rows, columns in np.argwhere(rim):
        beside[max(rows - 1, 0) : rows + 2, max(columns - 1, 0) : columns + 2] = True
    assert noise[beside & (vv <= -30)].all()


SEASONS = {"s": Season(start=datetime.date(2020, 10, 1), end=datetime.date(2021, 3, 31))}


def test_every_simulated_fault_is_found_and_no_good_pixel_is_lost():
    difficulty = Difficulty(border_noise=3)
    square = {"a": Landscape(centre=(2.6, 49.2), side_km=0.64)}
    simulated = Simulation(seed=3, landscapes=square, seasons=("s",), imagery_seasons=("s",), difficulty=difficulty)
    land = make_landscape("a", square["a"], simulated)
    surface = build_surface(3, land, "s", SEASONS["s"], difficulty, with_patterns=False)
    passes = season_passes(land, "s", simulated, SEASONS)
    truth = RadarFaults(3, "a", difficulty).find(passes)
    clean = [scene for _, scene in Radar(3, land, surface, Difficulty(border_noise=0, overflow=0)).scenes(passes)]
    counts = {"noise": 0, "found": 0, "good": 0, "lost": 0}
    dropped = []
    for index, (_, scene) in enumerate(Radar(3, land, surface, difficulty).scenes(passes)):
        pixels = read(scene["vv"], scene["vh"])
        if pixels.fault:
            dropped.append((truth[index], pixels.fault.partition(":")[0]))
            continue
        masked = pixels.backscatter[0] == NODATA
        seen = np.isfinite(scene["vv"])
        spoilt = seen & (scene["vv"] != clean[index]["vv"])
        assert spoilt.any() == (truth.get(index) == "border_noise")
        assert pixels.border + pixels.outside == (masked & seen).sum()
        counts["noise"] += spoilt.sum()
        counts["found"] += (spoilt & masked).sum()
        counts["good"] += (seen & ~spoilt).sum()
        counts["lost"] += (seen & ~spoilt & masked).sum()
    assert dropped == [("int16_overflow", "range")]
    assert list(truth.values()).count("border_noise") >= 3
    assert counts["noise"] > 3000
    assert counts["found"] >= 0.999 * counts["noise"]
    assert counts["lost"] == 0 < counts["good"]
