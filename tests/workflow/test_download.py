"""A register behind an address: fetched, checked and cleaned by the rules."""

from __future__ import annotations

import hashlib

import geopandas
import py7zr
import pytest
import shapely

from cropflow.files.tables import read_geotable

PARCELS = "results/labels/far/2023/parcels.parquet"


@pytest.fixture
def archive(server, tmp_path):
    """Serve a delivery; its content."""
    outlines = [shapely.box(700_000 + 200 * row, 6_600_000, 700_100 + 200 * row, 6_600_100) for row in range(2)]
    columns = {"ID_PARCEL": ["1", "2"], "CODE_CULTU": ["BTH", "MIS"]}
    table = geopandas.GeoDataFrame(columns, geometry=outlines, crs="EPSG:2154")
    table.to_file(tmp_path / "PARCELLES_GRAPHIQUES.gpkg")
    with py7zr.SevenZipFile(tmp_path / "RPG.7z", "w") as packed:
        packed.write(tmp_path / "PARCELLES_GRAPHIQUES.gpkg", "RPG/PARCELLES_GRAPHIQUES.gpkg")
    server.files["/RPG.7z"] = (tmp_path / "RPG.7z").read_bytes()
    return server.files["/RPG.7z"]


def overlay(server, **more):
    return {"registers": {"far": {"reader": "rpg", "files": {"2023": {"url": f"{server.url}/RPG.7z", **more}}}}}


@pytest.mark.parametrize("checked", [False, True])
def test_a_register_is_fetched_over_a_broken_connection_with_and_without_a_checksum(
    snakemake, folder, server, archive, checked
):
    server.plans["/RPG.7z"] = ["break:200"]
    known = {"sha256": hashlib.sha256(archive).hexdigest()} if checked else {}
    done = snakemake(PARCELS, overlay=overlay(server, **known))
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_geotable(folder / PARCELS)["crop_code"].tolist() == ["BTH", "MIS"]


def test_a_wrong_checksum_stops_the_run_in_one_line_and_leaves_nothing(snakemake, folder, server, archive):
    done = snakemake(PARCELS, "--retries", "0", overlay=overlay(server, sha256="0" * 64))
    assert done.returncode != 0
    assert "has sha256" in done.stdout + done.stderr
    assert not (folder / "results/labels/far/2023/download/RPG.7z").exists()
