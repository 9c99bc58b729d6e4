"""Parcels burnt into the raster of a Sentinel-2 tile, against rasterio, geocube and rusterize.

Run ``python benchmarks/rasterise.py --parcels 200000 --size 10980``. The peers come with ``make benchmarks``. All burn
by the rule of pixel centres, in the order of the table; pixels are compared with rasterio's before the clock starts.
Memory is what a run adds to the table of parcels, the raster included.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from _process import in_processes
from _table import publish
from affine import Affine
from numpy.typing import NDArray

from cropflow.samples.kernels.rasterise import burn

PIXEL_M = 10.0
ORIGIN = (600_000.0, 5_000_000.0)
EQUAL_SHARE = 0.9999


def draw(parcels: int, size: int, jitter: float = 0.2) -> geopandas.GeoDataFrame:
    """Parcels of some forty corners on a lattice; with a jitter of a fifth, neighbours may overlap a little."""
    generator = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(parcels)))
    step = size * PIXEL_M / side
    cells = np.stack(np.unravel_index(np.arange(parcels), (side, side)), 1)
    centres = (cells + 0.5 + generator.uniform(-jitter, jitter, cells.shape)) * step
    corners = generator.integers(8, 72, parcels)
    polygons = []
    for centre, count in zip(centres, corners, strict=True):
        angles = np.sort(generator.uniform(0, 2 * np.pi, count))
        radii = step * 0.45 * (0.75 + 0.3 * np.sin(3 * angles + centre[0]) * generator.uniform(0.5, 1))
        x, y = ORIGIN[0] + centre[0] + np.cos(angles) * radii, ORIGIN[1] - centre[1] + np.sin(angles) * radii
        polygons.append(shapely.Polygon(np.stack([x, y], 1)))
    crop = generator.integers(1, 21, parcels).astype(np.uint16)
    return geopandas.GeoDataFrame({"crop": crop}, geometry=polygons, crs="EPSG:32631")


def contestants(table: geopandas.GeoDataFrame, size: int) -> dict[str, Any]:
    """Name -> a run that returns the raster, uint16, ``(y, x)``."""
    transform = Affine(PIXEL_M, 0, ORIGIN[0], 0, -PIXEL_M, ORIGIN[1])
    bounds = (ORIGIN[0], ORIGIN[1] - size * PIXEL_M, ORIGIN[0] + size * PIXEL_M, ORIGIN[1])
    geometries, crops = table.geometry.to_numpy(), table["crop"].to_numpy()

    def ours() -> NDArray[np.uint16]:
        raster = np.zeros((size, size), np.uint16)
        burn(geometries, crops, raster, ORIGIN, PIXEL_M)
        return raster

    def rasterio() -> NDArray[np.uint16]:
        from rasterio.features import rasterize

        shapes = zip(geometries, crops.tolist(), strict=True)
        return np.asarray(rasterize(shapes, out_shape=(size, size), transform=transform, dtype="uint16"))

    def geocube() -> NDArray[np.uint16]:
        import rioxarray  # noqa: F401
        import xarray
        from geocube.api.core import make_geocube

        # A resolution would give a grid of its own: that of another raster is exact.
        like = xarray.Dataset(
            coords={
                "y": ORIGIN[1] - (np.arange(size) + 0.5) * PIXEL_M,
                "x": ORIGIN[0] + (np.arange(size) + 0.5) * PIXEL_M,
            }
        ).rio.write_crs("EPSG:32631")
        cube = make_geocube(table, measurements=["crop"], like=like, fill=0)
        return cube["crop"].to_numpy().astype(np.uint16)

    def rusterize() -> NDArray[np.uint16]:
        from rusterize import rusterize as burn_rust

        found = burn_rust(
            table, out_shape=(size, size), extent=bounds, field="crop", fun="last", background=0,
            dtype="uint16",
        )  # fmt: skip
        return np.asarray(found).squeeze().astype(np.uint16)

    return {"cropflow": ours, "rasterio": rasterio, "geocube": geocube, "rusterize": rusterize}


def main() -> None:
    """Check that all agree, time them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=3_500, help="Rows and columns of the raster.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=["rasterio", "geocube", "rusterize"])
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/rasterise.json"))
    chosen = parser.parse_args()
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    table = draw(chosen.parcels, chosen.size)
    runs = {
        name: run for name, run in contestants(table, chosen.size).items() if name == "cropflow" or name in chosen.peers
    }
    reference = runs["rasterio"]() if "rasterio" in runs else runs["cropflow"]()
    for name, run in runs.items():
        share = float((run() == reference).mean())
        print(f"{name}: {share:.6%} of the pixels as rasterio's")
        if name == "cropflow" and share < EQUAL_SHARE:
            raise SystemExit(f"cropflow burns {share:.4%} of the pixels as rasterio does; expected {EQUAL_SHARE:.2%}")
    del reference
    publish(
        f"{chosen.parcels:,} parcels on {chosen.size} x {chosen.size} pixels, uint16, one thread",
        in_processes(runs, chosen.repeats),
        {name: importlib.metadata.version(name) for name in runs if name != "cropflow"},
        chosen.output,
    )


if __name__ == "__main__":
    main()
