"""A tiny collection of scenes with known pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from cropflow.regions.grid import Grid

EPSG = 32631
XMIN, YMAX = 500_000.0, 4_900_000.0


def write_raster(path: Path, values, xmin, ymax, pixel_m, epsg=EPSG, nodata=None) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype=values.dtype,
        crs=f"EPSG:{epsg}",
        transform=from_origin(xmin, ymax, pixel_m, pixel_m),
        nodata=nodata,
    ) as raster:
        raster.write(values, 1)
    return str(path)


class Collection:
    """A STAC item collection that is put together scene by scene: B02 (10 m), B05 (20 m) and the SCL (20 m)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.features: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        blue,
        *,
        rededge=None,
        scl=None,
        time: str = "2023-06-01T10:40:21Z",
        baseline: str | None = "05.09",
        cloud: float | None = 5.0,
        tile: str = "31TEJ",
        corner: tuple[float, float] = (XMIN, YMAX),
        epsg: int = EPSG,
        outline: tuple[float, float, float, float] | None = None,
        properties: dict[str, Any] | None = None,
        only: tuple[str, ...] = ("B02", "B05", "SCL"),
        file_name: str | None = None,
    ) -> None:
        """Add a scene; ``blue`` is ``(2n, 2m)`` at 10 m, ``rededge`` and ``scl`` ``(n, m)`` at 20 m."""
        blue = np.asarray(blue, dtype=np.uint16)
        rededge = blue[::2, ::2] if rededge is None else np.asarray(rededge, dtype=np.uint16)
        scl = np.where(rededge > 0, 4, 0).astype(np.uint8) if scl is None else np.asarray(scl)
        layers = {"B02": (blue, 10.0), "B05": (rededge, 20.0), "SCL": (scl, 20.0)}
        assets = {}
        for band in only:
            values, pixel_m = layers[band]
            file = f"{file_name or name}/{band}.tif"
            write_raster(self.folder / file, values, *corner, pixel_m, epsg)
            assets[band] = {"href": f"./{file}"}
        xmin, ymax = corner
        to_geographic = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
        extent = (xmin, ymax - 10 * blue.shape[0], xmin + 10 * blue.shape[1], ymax)
        bounds = outline or to_geographic.transform_bounds(*extent)
        content: dict[str, Any] = {"datetime": time, "platform": "Sentinel-2A", "s2:mgrs_tile": tile}
        if baseline is not None:
            content["s2:processing_baseline"] = baseline
        if cloud is not None:
            content["eo:cloud_cover"] = cloud
        self.features.append(
            {
                "type": "Feature",
                "id": name,
                "bbox": list(bounds),
                "geometry": shapely.geometry.mapping(shapely.box(*bounds)),
                "properties": content | (properties or {}),
                "assets": assets,
            }
        )

    def write(self) -> Path:
        path = self.folder / "sentinel-2-l2a.items.json"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": self.features}), encoding="utf-8")
        return path


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path / "archive")


@pytest.fixture
def grid() -> Grid:
    """A site of 40 x 40 pixels of 10 m whose corner is the collection's."""
    return Grid(EPSG, XMIN, YMAX, 40, 40, 10.0)


@pytest.fixture
def raster():
    """Write a GeoTIFF of one band."""
    return write_raster


@pytest.fixture
def export(tmp_path: Path):
    """Run search and export of a collection or folder; the catalogue and the site groups of the store."""
    import zarr
    from typer.testing import CliRunner

    from cropflow.files.tables import read_table, write_table
    from cropflow.imagery.command import app
    from cropflow.regions.sites import sites_table

    def run(
        source: Path,
        grid: Grid | dict[str, Grid],
        *,
        bands=("B02", "B05"),
        season=("2023-06-01", "2023-06-30"),
        workers=1,
        name="run",
        reader="items",
        sensor="sentinel2",
        **settings,
    ):
        folder = tmp_path / name
        write_table(folder / "sites.parquet", sites_table(grid if isinstance(grid, dict) else {"one": grid}))
        content = {"source": reader, "path": "x", "bands": list(bands), "sensors": [sensor], **settings}
        common = ["--source", str(source), "--sites", str(folder / "sites.parquet"), "--settings", json.dumps(content)]
        common += ["--season", json.dumps({"start": season[0], "end": season[1]})]
        export = ["export", "--sensor", sensor, *common, "--work", str(folder / "work"), "--workers", str(workers)]
        export += ["--catalogue", str(folder / f"{sensor}.parquet"), "--output", str(folder / f"{sensor}.zarr")]
        export += ["--found", str(folder / "found" / f"{sensor}.parquet")]
        export += ["--completeness", str(folder / f"{sensor}.json")]
        find = ["find", "--sensor", sensor, *common, "--output", str(folder / "found" / f"{sensor}.parquet")]
        for arguments in (find, export):
            result = CliRunner().invoke(app, arguments)
            if result.exception is not None:
                raise result.exception
        return read_table(folder / f"{sensor}.parquet"), zarr.open_group(str(folder / f"{sensor}.zarr"), mode="r")

    return run
