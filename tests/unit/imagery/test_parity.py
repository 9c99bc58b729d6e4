"""One simulated site through every source, by the commands: the same scenes, the same pixels, the same composites."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from earth_engine_archive import Archive
from stac_api import serving, write_items
from typer.testing import CliRunner

from cropflow.composites.command import app as composites
from cropflow.config.imagery import SENTINEL2_BANDS
from cropflow.files.tables import read_table, write_table
from cropflow.imagery.command import app as imagery
from cropflow.imagery.names import NATIVE_10M
from cropflow.regions.sites import sites_table

START, END = datetime.date(2023, 4, 1), datetime.date(2023, 6, 15)
SEASON = json.dumps({"start": str(START), "end": str(END)})
SENSORS = ("sentinel2", "sentinel1_ascending", "sentinel1_descending")
METADATA = """<?xml version="1.0"?>
<n1:Level-2A_User_Product xmlns:n1="https://example.org/psd">
  <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
  <SPACECRAFT_NAME>{platform}</SPACECRAFT_NAME>
  <DATATAKE_SENSING_START>{time}</DATATAKE_SENSING_START>
  <SENSING_ORBIT_NUMBER>{orbit}</SENSING_ORBIT_NUMBER>
  <EXT_POS_LIST>{outline}</EXT_POS_LIST>
  <Cloud_Coverage_Assessment>{cloud}</Cloud_Coverage_Assessment>
</n1:Level-2A_User_Product>
"""


def write_products(archive: Path, folder: Path) -> Path:
    """The archive's Sentinel-2 scenes as SAFE products."""
    for item in json.loads((archive / "sentinel-2-l2a.items.json").read_text())["features"]:
        told = item["properties"]
        baseline, orbit, tile = told["s2:processing_baseline"], told["sat:relative_orbit"], told["s2:mgrs_tile"]
        stamp = datetime.datetime.fromisoformat(told["datetime"]).strftime("%Y%m%dT%H%M%S")
        platform = f"S2{told['platform'][-1].upper()}"
        number = int(item["id"].split("_")[3])
        product = f"{platform}_MSIL2A_{stamp}_N{baseline.replace('.', '')}_R{orbit:03d}_T{tile}_{stamp[:-1]}{number}"
        images = folder / f"{product}.SAFE" / "GRANULE" / f"L2A_T{tile}_A000001_{stamp}" / "IMG_DATA"
        for band, asset in item["assets"].items():
            pixel_m = 10 if band in NATIVE_10M else 20
            file = images / f"R{pixel_m}m" / f"T{tile}_{stamp}_{band}_{pixel_m}m.tif"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.symlink_to(archive / asset["href"])
        (ring,) = item["geometry"]["coordinates"]
        content = METADATA.format(
            baseline=baseline, platform=f"Sentinel-{platform[1:]}", time=told["datetime"], orbit=orbit,
            outline=" ".join(f"{y} {x}" for x, y in ring), cloud=told["eo:cloud_cover"],
        )  # fmt: skip
        (folder / f"{product}.SAFE" / "MTD_MSIL2A.xml").write_text(content, encoding="utf-8")
    return folder


def call(app: Any, *words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None:
        raise result.exception


def run(folder: Path, settings: dict[str, Any], sensor: str, source: Path | None) -> tuple[Any, Any, Any]:
    """Find, plan, export and composite a sensor; its catalogue, scenes and composites."""
    content = json.dumps({"requests_per_second": 100, **settings, "sensors": [sensor]})
    common = ["--sites", folder.parent / "sites.parquet", "--settings", content, "--season", SEASON]
    place = [] if source is None else ["--source", source]
    found, store, table = (folder / f"{sensor}.{end}" for end in ("found", "zarr", "parquet"))
    call(imagery, "find", "--sensor", sensor, *common, *place, "--output", found)
    call(imagery, "plan", "--found", found, *common, "--output", folder / f"{sensor}.plan.json")
    call(
        imagery, "export", "--sensor", sensor, *common, *place, "--found", found, "--work", folder / "work",
        "--catalogue", table, "--completeness", folder / f"{sensor}.json", "--output", store,
    )  # fmt: skip
    call(
        composites, "--scenes", store, "--catalogue", table, "--settings", json.dumps({"radar": {"difference": True}}),
        "--season", SEASON, "--output", folder / f"{sensor}.composites",
    )  # fmt: skip
    made = zarr.open_group(str(folder / f"{sensor}.composites"), mode="r")
    return read_table(table), zarr.open_group(str(store), mode="r"), made


@pytest.fixture(params=SENSORS)
def sensor(request):
    return request.param


@pytest.fixture
def sources(simulated, flaky_http, earth_engine, tmp_path, sensor):
    """Every source over the one archive: its settings, and where its files lie."""
    archive, grids = simulated
    assumed = None if sensor == "sentinel2" else "sigma0"
    write_table(tmp_path / "sites.parquet", sites_table(grids))
    earth_engine.serve_archive(Archive(archive))
    earth_engine.per_second = 1000
    with flaky_http.FlakyServer() as files:
        files.folder, files.keep_alive = archive, True
        with serving(write_items(archive, files.url, tmp_path / "items.json")) as api:
            yield {
                "items": ({"source": "items", "path": "x", "assume_radiometry": assumed}, archive),
                "safe": ({"source": "safe", "path": "x"}, write_products(archive, tmp_path / "products")),
                "stac": (
                    {"source": "stac", "url": api, "assume_radiometry": assumed}
                    | {"collections": {"sentinel1": "sentinel-1-grd"}},
                    None,
                ),
                "earth_engine": ({"source": "earth_engine"}, None),
            }


def decided(table: Any, sensor: str) -> Counter[tuple[str, ...]]:
    """What became of each acquisition of each site, whatever its source calls it; services know those there alone."""
    kind = table["reason"].str.partition(":")[0]
    columns = ("time", "tile", "baseline") if sensor == "sentinel2" else ("time", "relative_orbit", "radiometry")
    there = ~kind.isin(["place", "season"])
    told = [table.loc[there, name] for name in ("site", *columns)]
    return Counter(zip(*told, kind[there], strict=True))


def test_every_source_gives_the_same_scenes_pixels_and_composites(sources, simulated, tmp_path, sensor):
    _, grids = simulated
    results = {}
    for name, (settings, place) in sources.items():
        if sensor == "sentinel2" or name != "safe":
            (tmp_path / name).mkdir()
            results[name] = run(tmp_path / name, settings, sensor, place)
    table, scenes, made = results.pop("items")
    assert len(results) == (3 if sensor == "sentinel2" else 2)
    assert table["kept"].sum() > 8
    for name, (their_table, their_scenes, their_composites) in results.items():
        assert decided(their_table, sensor) == decided(table, sensor), name
        for site in grids:
            ours, theirs = scenes[site], their_scenes[site]
            assert theirs.attrs["times"] == ours.attrs["times"], name
            if sensor == "sentinel2":
                assert theirs.attrs["bands"] == list(SENTINEL2_BANDS)
                classes = ours["scl"][:]
                np.testing.assert_array_equal(theirs["scl"][:], classes)
                differing = theirs["reflectance"][:] != ours["reflectance"][:]
                # Earth Engine clips to 0 what falls below 0 without the offset: where the SCL knows nothing either,
                # nothing tells it from nodata.
                assert not differing.any() or name == "earth_engine"
                assert not (differing & (classes > 0)[:, None]).any()
            else:
                np.testing.assert_array_equal(theirs["backscatter"][:], ours["backscatter"][:])
                assert theirs.attrs["relative_orbits"] == ours.attrs["relative_orbits"]
                assert theirs.attrs["radiometry"] == ours.attrs["radiometry"] == "sigma0"
            assert_same_composites(their_composites[site], made[site])
    if sensor == "sentinel2":
        fetched = fetch_composites(tmp_path / "earth_engine")
        for site in grids:
            assert_same_composites(fetched[site], made[site])


def assert_same_composites(theirs: Any, ours: Any) -> None:
    arrays = [name for name, _ in ours.arrays()]
    assert {"observations", "filled"} < set(arrays)
    assert ours["observations"][:].any()
    assert theirs.attrs["periods"] == ours.attrs["periods"]
    for name in arrays:
        np.testing.assert_array_equal(theirs[name][:], ours[name][:], name)


def fetch_composites(folder: Path) -> Any:
    """The composites of the scenes found of Earth Engine, made by the service itself."""
    call(
        composites, "fetch", "--found", folder / "sentinel2.found", "--sites", folder.parent / "sites.parquet",
        "--imagery", json.dumps({"source": "earth_engine", "reduce": "server", "requests_per_second": 100}),
        "--settings", "{}", "--season", SEASON, "--work", folder / "parts", "--catalogue", folder / "server.parquet",
        "--output", folder / "server.composites",
    )  # fmt: skip
    return zarr.open_group(str(folder / "server.composites"), mode="r")
