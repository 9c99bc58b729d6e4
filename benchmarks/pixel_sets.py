"""Pixel sets of parcels from composites, against rasterstats.

Run ``python benchmarks/pixel_sets.py --parcels 20000``. Both start from the outlines of parcels and the same values,
and end with each parcel's series: ours in flat arrays on disk, all bands and months at once, read from a
Zarr store; rasterstats' in an array per parcel and layer, from layers in memory. rasterstats rasterises each parcel
again for each layer, so a few layers are timed and stand for all (``--peer-layers``); its pixels are compared with ours
before the clock counts.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import tempfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from _process import in_processes
from _table import publish
from numpy.typing import NDArray
from rasterise import PIXEL_M, draw

from cropflow.config.sections import SampleSet
from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.regions.grid import Grid
from cropflow.samples.arrays import SensorArrays, create_arrays, flush
from cropflow.samples.pixel_sets import extract, order_pixels
from cropflow.samples.place import SiteLayers
from cropflow.samples.rasters import rasterise_parcels
from cropflow.samples.sources import Composites, read_composites

MONTHS, BANDS, SITE = 12, 10, "a"
# Pixels of a parcel's cell; parcels fill about half of theirs.
CELL = 130


def write_store(path: Path, grid: Grid) -> NDArray[np.uint16]:
    """Composites without gaps in a store; returns their values, ``(month, band, y, x)``."""
    generator = np.random.default_rng(1)
    values = generator.integers(1, 10_000, (MONTHS, BANDS, *grid.shape), dtype=np.uint16)
    periods = [f"2023-{month + 1:02d}-01" for month in range(MONTHS)]
    attributes: dict[str, Any] = {"bands": [f"B{band:02d}" for band in range(BANDS)], "periods": periods}
    group = add_site(create_store(path), SITE, grid, attributes)
    for name, axes, data in (
        ("reflectance", ("period", "band", "y", "x"), values),
        ("observations", ("period", "y", "x"), np.ones((MONTHS, *grid.shape), np.uint8)),
        ("filled", ("period", "y", "x"), np.zeros((MONTHS, *grid.shape), np.bool_)),
    ):
        chunks = (*data.shape[:-2], 256, 256)
        array = add_array(group, name, axes, data.shape, str(data.dtype), chunks=chunks)
        array[:] = data
    return values


def pixel_sets(
    table: geopandas.GeoDataFrame, grid: Grid, composites: Composites, folder: Path
) -> tuple[SensorArrays, NDArray[np.int64]]:
    """Extract with cropflow; returns the arrays and the first pixel of each parcel, and of none."""
    parcels = rasterise_parcels(table, grid)
    order = order_pixels(parcels)
    everywhere = np.ones(grid.shape, np.uint8)
    layers = SiteLayers(everywhere.astype(np.uint16), everywhere, parcels, {}, background=False)
    arrays = create_arrays(folder, composites.layouts, len(order.index), items=int(order.pixels.sum()))
    extract(composites.sites[SITE], layers, order, SampleSet(series="monthly"), arrays)
    flush(arrays.values())
    return arrays["sentinel2"], np.append(order.start, order.pixels.sum())


def main() -> None:
    """Check that both agree, time them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=2_000)
    parser.add_argument("--peer-layers", type=int, default=1, help="Layers that rasterstats is timed with.")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/pixel_sets.json"))
    chosen = parser.parse_args()
    from rasterstats import zonal_stats

    side = int(np.ceil(np.sqrt(chosen.parcels * CELL)))
    table = draw(chosen.parcels, side, jitter=0.02)
    table["index"] = np.arange(1, len(table) + 1, dtype=np.uint32)
    grid = Grid(32631, 600_000.0, 5_000_000.0, side, side, PIXEL_M)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        values = write_store(folder / "sentinel2.zarr", grid)
        composites = read_composites({"sentinel2": folder / "sentinel2.zarr"}, {SITE: grid})
        layers = [divmod(number, BANDS) for number in range(chosen.peer_layers)]

        def ours() -> tuple[SensorArrays, NDArray[np.int64]]:
            return pixel_sets(table, grid, composites, Path(tempfile.mkdtemp(dir=folder)))

        def rasterstats(month: int, band: int) -> list[dict[str, Any]]:
            return zonal_stats(
                table, values[month, band], affine=grid.transform, stats=["count"], raster_out=True, nodata=0
            )

        arrays, bounds = ours()
        for month, band in layers:
            _compare(arrays.series["values"][:, month, band], bounds, rasterstats(month, band))
        rows = in_processes(
            {"cropflow": ours, "rasterstats": lambda: [rasterstats(month, band) for month, band in layers]},
            chosen.repeats,
        )
    rows["rasterstats"]["seconds"] = round(rows["rasterstats"]["seconds"] * MONTHS * BANDS / len(layers), 3)
    publish(
        f"pixel sets of {chosen.parcels:,} parcels, {bounds[-1]:,} pixels, {MONTHS} months x {BANDS} bands "
        f"(rasterstats: {len(layers)} of {MONTHS * BANDS} layers timed, its seconds are those of all)",
        rows,
        {"rasterstats": importlib.metadata.version("rasterstats")},
        chosen.output,
    )


def _compare(values: NDArray[np.uint16], bounds: NDArray[np.int64], found: list[dict[str, Any]]) -> None:
    """Compare the pixels of each parcel."""
    own = [np.sort(values[start:stop]) for start, stop in itertools.pairwise(bounds)]
    peers = [np.sort(np.ma.compressed(one["mini_raster_array"])) for one in found]
    equal = sum(np.array_equal(mine, theirs) for mine, theirs in zip(own, peers, strict=True))
    print(f"{equal} of {len(own)} parcels have the same pixels")
    if equal < 0.999 * len(own):
        raise SystemExit(f"{equal} of {len(own)} parcels have the same pixels; expected 99.9 %")


if __name__ == "__main__":
    main()
