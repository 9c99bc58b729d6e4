"""Composites of Sentinel-1 through the command: orbits, passes, angles, gaps, counts."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pandas
import pytest
from typer.testing import CliRunner

from cropflow.composites.command import app
from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_folder, read_json
from cropflow.files.cubes import add_array, add_site, create_store, open_store
from cropflow.files.tables import write_table
from cropflow.regions.grid import Grid

NODATA = -32768
SEASON = {"start": "2023-05-01", "end": "2023-07-31"}


def flat(*levels, shape=(3, 4)):
    """One scene per VV level in dB; VH lies 7 dB lower."""
    vv = np.array(levels, float)[:, np.newaxis, np.newaxis] * np.ones(shape)
    vv = np.round(100 * np.stack([vv, vv - 7], axis=1))
    return np.where(np.isnan(vv), NODATA, vv).astype(np.int16)


@pytest.fixture
def composite(tmp_path: Path):
    """Write scenes of sites, run the command, return the store and the manifest."""

    def run(sites, *, season=SEASON, workers=1, **series):
        rows = []
        with atomic_folder(tmp_path / "scenes.zarr") as folder:
            store = create_store(folder)
            for site, content in sites.items():
                backscatter, times = content["backscatter"], content["times"]
                grid = Grid(32631, 500000.0, 4900000.0, *backscatter.shape[2:], 10.0)
                names = [f"{site}-{index}" for index in range(len(times))]
                attributes = {
                    "bands": ["VV", "VH"],
                    "scenes": names,
                    "times": times,
                    "relative_orbits": content.get("orbits", [88] * len(times)),
                    "radiometry": content.get("radiometry", "sigma0"),
                    "direction": content.get("direction", "ascending"),
                }
                group = add_site(store, site, grid, attributes)
                dimensions = ("scene", "band", "y", "x")
                big = (1, 2, 512, 512)
                array = add_array(
                    group, "backscatter", dimensions, backscatter.shape, "int16", chunks=big, nodata=NODATA
                )
                array[:] = backscatter
                if "angle" in content:
                    angle = content["angle"]
                    array = add_array(group, "angle", ("scene", "y", "x"), angle.shape, "uint16", chunks=(1, 512, 512))
                    array[:] = angle
                rows += [{"scene": name, "site": site, "kept": True} for name in names]
        write_table(tmp_path / "scenes.parquet", pandas.DataFrame(rows, columns=["scene", "site", "kept"]))
        arguments = ["--scenes", str(tmp_path / "scenes.zarr"), "--catalogue", str(tmp_path / "scenes.parquet")]
        arguments += ["--settings", json.dumps(series), "--season", json.dumps(season), "--workers", str(workers)]
        result = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "out.zarr")])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return open_store(tmp_path / "out.zarr"), read_json(tmp_path / "out.zarr.manifest.json")["counts"]

    return run


def values(group, band, y=0, x=0):
    return group["backscatter"][:, group.attrs["bands"].index(band), y, x].tolist()


MAY_JUNE_JULY = ["2023-05-03T17:32:36Z", "2023-05-15T17:32:36Z", "2023-07-08T17:32:36Z"]


def test_months_are_means_in_linear_power_and_gaps_are_filled_in_it_too(composite):
    store, counts = composite({"a": {"backscatter": flat(-10, -20, -20), "times": MAY_JUNE_JULY}})
    group = store["a"]
    may = round(1000 * np.log10((0.1 + 0.01) / 2))
    june = round(1000 * np.log10((0.055 + 0.01) / 2))
    assert values(group, "VV") == [may, june, -2000]
    assert values(group, "VH") == [may - 700, june - 700, -2700]
    np.testing.assert_array_equal(group["observations"][:, 0, 0], [2, 0, 1])
    np.testing.assert_array_equal(group["filled"][:, 0, 0], [False, True, False])
    assert group["backscatter"].dtype == np.int16
    assert dict(group.attrs) | {"transform": 0} == {
        "bands": ["VV", "VH"],
        "periods": ["2023-05-01", "2023-06-01", "2023-07-01"],
        "relative_orbits": ["88"],
        "scenes": [2, 0, 1],
        "left_out": 0,
        "radiometry": "sigma0",
        "direction": "ascending",
        "epsg": 32631,
        "shape": [3, 4],
        "transform": 0,
    }
    assert counts["sites"]["a"] == {
        "scenes": 3,
        "left_out": 0,
        "orbits": {"88": 3},
        "pixels": 12,
        "without_angle": 0,
        "without_observation": [0, 12, 0],
        "filled": [0, 12, 0],
        "nodata": [0, 0, 0],
        "periods": ["2023-05-01", "2023-06-01", "2023-07-01"],
    }


def test_without_a_gap_rule_a_month_without_a_pass_stays_nodata(composite):
    store, counts = composite({"a": {"backscatter": flat(-10, -20, -20), "times": MAY_JUNE_JULY}}, fill="none")
    assert values(store["a"], "VV")[1] == NODATA
    assert counts["sites"]["a"]["nodata"] == [0, 12, 0]


def test_linear_filling_weighs_by_time(composite):
    times = ["2023-05-03T17:32:36Z", "2023-08-03T17:32:36Z"]
    season = {"start": "2023-05-01", "end": "2023-08-31"}
    store, _ = composite({"a": {"backscatter": flat(-10, -20), "times": times}}, season=season, fill="linear")
    shares = np.array([30.5, 61.0]) / 92.0  # middles of June and July between those of May and August
    expected = np.rint(1000 * np.log10(0.1 + (0.01 - 0.1) * shares)).astype(int)
    assert values(store["a"], "VV")[1:3] == expected.tolist()


def test_the_difference_is_a_band_of_its_own(composite):
    store, _ = composite(
        {"a": {"backscatter": flat(-10, -20, -20), "times": MAY_JUNE_JULY}}, radar={"difference": True}
    )
    assert store["a"].attrs["bands"] == ["VV", "VH", "VH-VV"]
    assert values(store["a"], "VH-VV") == [-700, -700, -700]


TWO_ORBITS = {
    "a": {
        "backscatter": flat(-10, -12, -14, -20, -16),
        "times": [
            "2023-05-03T17:32:36Z", "2023-05-04T17:40:45Z", "2023-06-10T17:40:45Z", "2023-06-14T17:32:36Z",
            "2023-07-16T17:40:45Z",
        ],
        "orbits": [88, 161, 161, 88, 161],
    },
    "b": {
        "backscatter": flat(-11, -13),
        "times": ["2023-05-03T17:32:36Z", "2023-06-02T17:24:30Z"],
        "orbits": [88, 15],
    },
}  # fmt: skip


def test_each_site_takes_the_orbit_with_most_passes_and_the_lower_one_among_equals(composite):
    store, counts = composite(TWO_ORBITS)
    assert values(store["a"], "VV") == [-1200, -1400, -1600]
    assert store["a"].attrs["relative_orbits"] == ["161"]
    assert store["b"].attrs["relative_orbits"] == ["15"]
    assert values(store["b"], "VV")[1] == -1300
    assert counts["sites"]["a"]["orbits"] == {"161": 3}
    assert counts["sites"]["a"]["left_out"] == 2


def test_a_pass_of_many_slices_is_one_pass_in_the_choice_of_the_orbit(composite):
    times = ["2023-05-03T17:32:01Z", "2023-05-03T17:32:26Z", "2023-05-03T17:32:51Z", "2023-05-04T17:40:45Z"]
    times += ["2023-06-10T17:40:45Z"]
    content = {"backscatter": flat(-10, -10, -10, -12, -13), "times": times, "orbits": [88, 88, 88, 161, 161]}
    store, _ = composite({"a": content})
    assert store["a"].attrs["relative_orbits"] == ["161"]


def test_slices_of_a_pass_are_one_observation(composite):
    backscatter = flat(-10, -20)
    backscatter[0, :, :, 2:] = NODATA
    times = ["2023-05-03T17:32:36Z", "2023-05-03T17:33:01Z"]
    store, counts = composite({"a": {"backscatter": backscatter, "times": times}})
    assert store["a"]["backscatter"][0, 0, 0].tolist() == [-1000, -1000, -2000, -2000]
    assert (store["a"]["observations"][0] == 1).all()
    assert counts["sites"]["a"]["orbits"] == {"88": 1}


def test_each_orbit_has_its_own_bands_at_all_sites(composite):
    store, _ = composite(TWO_ORBITS, radar={"orbits": "each", "difference": True}, fill="none")
    a, b = store["a"], store["b"]
    bands = [f"{name}_{orbit}" for orbit in (15, 88, 161) for name in ("VV", "VH", "VH-VV")]
    assert a.attrs["bands"] == b.attrs["bands"] == bands
    assert a.attrs["relative_orbits"] == ["88", "161"]
    assert values(a, "VV_15") == [NODATA] * 3
    assert values(a, "VV_88") == [-1000, -2000, NODATA]
    assert values(a, "VV_161") == [-1200, -1400, -1600]
    assert values(a, "VH-VV_161") == [-700] * 3
    assert values(b, "VV_15") == [NODATA, -1300, NODATA]
    # The least of the orbits that see the site.
    assert a["observations"][:, 0, 0].tolist() == [1, 1, 0]
    assert a["orbit_observations"][:, :, 0, 0].tolist() == [[0, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert a["orbit_observations"].attrs["orbits"] == ["15", "88", "161"]


def test_a_pixel_counts_as_filled_where_all_that_is_missing_was_filled(composite):
    store, counts = composite(TWO_ORBITS, radar={"orbits": "each"})
    a, b = store["a"], store["b"]
    assert a["filled"][:, 0, 0].tolist() == [False, False, True]
    assert values(a, "VV_88") == [-1000, -2000, -2000]
    assert b["filled"][:, 0, 0].tolist() == [True, True, True]
    assert values(b, "VV_15") == [-1300, -1300, -1300]
    assert values(b, "VV_161") == [NODATA] * 3
    assert counts["sites"]["b"]["nodata"] == [0, 0, 0]


def test_orbits_that_nobody_tells_are_called_by_their_time(composite):
    sites = {"a": TWO_ORBITS["a"] | {"orbits": [-1] * 5}}
    store, _ = composite(sites, radar={"orbits": "each"})
    assert store["a"].attrs["bands"] == ["VV_t1732", "VH_t1732", "VV_t1740", "VH_t1740"]
    assert values(store["a"], "VV_t1740") == [-1200, -1400, -1600]


def angles(*degrees, shape=(3, 4)):
    return (100 * np.array(degrees)[:, np.newaxis, np.newaxis] * np.ones(shape)).astype(np.uint16)


def test_all_orbits_are_brought_to_one_angle(composite, caplog):
    levels = [10 * np.log10(0.1 * np.cos(np.radians(angle)) ** 2) for angle in (30, 45)]
    content = {
        "backscatter": flat(*levels),
        "times": ["2023-05-03T17:32:36Z", "2023-05-04T17:40:45Z"],
        "orbits": [88, 161],
        "angle": angles(30, 45),
    }
    content["angle"][0, 0, 0] = 0
    radar = {"orbits": "normalised", "reference_angle_degrees": 40}
    store, counts = composite({"a": content}, radar=radar)
    expected = 1000 * np.log10(0.1 * np.cos(np.radians(40)) ** 2)
    np.testing.assert_allclose(store["a"]["backscatter"][0, 0], expected, atol=2)
    assert store["a"]["observations"][0].tolist() == [[1, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2]]
    assert store["a"].attrs["reference_angle_degrees"] == 40
    assert counts["sites"]["a"]["without_angle"] == 1
    assert "1 pixels of scenes have no angle of incidence" in caplog.text


def test_sigma0_without_angles_cannot_be_normalised(composite, tmp_path):
    content = {"backscatter": flat(-10), "times": ["2023-05-03T17:32:36Z"]}
    with pytest.raises(
        CropflowError, match=r"orbits is 'normalised', but the scenes of site a are sigma0 and carry no"
    ):
        composite({"a": content}, radar={"orbits": "normalised"})
    assert not (tmp_path / "out.zarr").exists()


def test_gamma0_of_all_orbits_is_averaged_as_it_is_and_says_so(composite, caplog):
    sites = {"a": TWO_ORBITS["a"] | {"radiometry": "gamma0"}}
    with caplog.at_level(logging.INFO):
        store, _ = composite(sites, radar={"orbits": "normalised"})
    assert values(store["a"], "VV")[0] == round(1000 * np.log10((10**-1 + 10**-1.2) / 2))
    assert "gamma0 has the angle of incidence in its definition" in caplog.text
    assert "reference_angle_degrees" not in store["a"].attrs


def random_site(seed, shape, n_passes=8):
    rng = np.random.default_rng(seed)
    backscatter = rng.integers(-2500, -500, (n_passes, 2, *shape)).astype(np.int16)
    backscatter[np.broadcast_to(rng.random((n_passes, 1, *shape)) < 0.1, backscatter.shape)] = NODATA
    days = np.datetime64("2023-05-01T17:32:36") + np.arange(n_passes) * np.timedelta64(6, "D")
    return {"backscatter": backscatter, "times": [f"{day}Z" for day in days]}


def test_a_filtered_site_does_not_depend_on_its_blocks(composite, monkeypatch):
    from cropflow.composites.radar import store as radar_store

    site = random_site(1, (50, 47))
    radar = {"speckle": "multitemporal", "speckle_window_m": 50, "speckle_days": 12, "difference": True}
    results = []
    for size, workers in ((256, 1), (16, 2)):
        monkeypatch.setattr(radar_store, "BLOCK", size)
        monkeypatch.setattr(radar_store.windows, "__defaults__", (size,))
        store, _ = composite({"a": site}, radar=radar, workers=workers)
        results.append({name: store["a"][name][:] for name in ("backscatter", "observations", "filled")})
    for name, whole in results[0].items():
        np.testing.assert_array_equal(results[1][name], whole)
    plain, _ = composite({"a": site})
    assert (plain["a"]["backscatter"][:, 0] != results[0]["backscatter"][:, 0]).any()
    np.testing.assert_array_equal(plain["a"]["observations"][:], results[0]["observations"])


def test_the_same_scenes_give_the_same_bytes(composite, tmp_path):
    digests = []
    for workers in (1, 2):
        composite({"a": random_site(3, (20, 30))}, workers=workers)
        digests.append(read_json(tmp_path / "out.zarr.manifest.json"))
    assert digests[0] == digests[1]


def test_a_site_without_scenes_is_nodata_beside_others(composite, caplog):
    empty = {"backscatter": np.zeros((0, 2, 2, 2), np.int16), "times": []}
    store, counts = composite({"a": TWO_ORBITS["a"], "b": empty}, radar={"orbits": "each"})
    assert "site b has no scene" in caplog.text
    assert (store["b"]["backscatter"][:] == NODATA).all()
    assert store["b"]["backscatter"].shape[1] == 4
    assert counts["sites"]["b"]["nodata"] == [4, 4, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radiometry": "gamma0"}, "differ in radiometry: gamma0, sigma0"),
        ({"direction": "descending"}, "differ in direction: ascending, descending"),
        ({"radiometry": ""}, r"radiometry \(none\); expected an orbit per scene"),
        ({"orbits": [88]}, "5 scenes, 1 relative orbits"),
    ],
)
def test_a_store_that_breaks_its_contract_is_refused(composite, change, message):
    with pytest.raises(CropflowError, match=message):
        composite({"a": TWO_ORBITS["a"] | change, "b": TWO_ORBITS["b"]})


def test_scenes_before_and_after_what_is_seen_are_left_out_of_everything():
    """A cut series neither chooses its orbit nor filters with scenes that lie behind the cut."""
    from types import SimpleNamespace

    from cropflow.composites.radar.plan import plan_sites
    from cropflow.config.imagery import Radar

    site = SimpleNamespace(
        site="a",
        times=("2023-05-03T17:32:36Z", "2023-05-04T17:40:45Z", "2023-06-10T17:40:45Z"),
        relative_orbits=(88, 161, 161),
        radiometry="sigma0",
        angle=False,
        grid=SimpleNamespace(pixel_m=10.0),
    )
    plan = plan_sites([site], {"a": np.array([0, 0, -1])}, Radar())["a"]
    assert plan.orbits == ("88",)
    assert plan.scenes.tolist() == [0]
    assert plan.left_out == 2
