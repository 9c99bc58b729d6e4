"""From a store of scenes to filled composites by ``cropflow composites``: time and memory of the whole command.

The store is made first, in a folder of its own: a 10 km square with 140 scenes of a year, ten bands, compressed as an
export writes it. ``--tile`` makes an MGRS tile instead, 10,980 pixels wide and as many rows of blocks high as
``--block-rows`` says, 43 for all of it; its chunks are hard links to those of the square, so that it takes no room.
What a worker holds does not depend on the size of a site, so the peak of some rows is that of all.

    python benchmarks/site_composites.py --work DIR
    python benchmarks/site_composites.py --work DIR --tile --block-rows 1
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import zarr
from scipy.ndimage import gaussian_filter

from cropflow.files.cubes import add_array, add_site, create_store
from cropflow.files.tables import write_table
from cropflow.regions.grid import Grid

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
SQUARE, TILE, CHUNK = 1000, 10_980, 256
FIELD = 20
CLOUDY = 0.45


def add_scenes(store: zarr.Group, shape: tuple[int, int], scenes: int) -> tuple[Any, Any]:
    """Add a site with its two arrays, chunked as an export does."""
    days = [datetime.datetime(2021, 1, 1, 10) + datetime.timedelta(days=365 * date / scenes) for date in range(scenes)]
    attributes = {
        "bands": list(BANDS),
        "scenes": [f"scene-{date}" for date in range(scenes)],
        "times": [f"{day:%Y-%m-%dT%H:%M:%SZ}" for day in days],
    }
    group = add_site(store, "site", Grid(32631, 500_000.0, 4_900_000.0, *shape, 10.0), attributes)
    return (
        add_array(
            group,
            "reflectance",
            ("scene", "band", "y", "x"),
            (scenes, len(BANDS), *shape),
            "uint16",
            chunks=(1, len(BANDS), CHUNK, CHUNK),
        ),
        add_array(group, "scl", ("scene", "y", "x"), (scenes, *shape), "uint8", chunks=(1, CHUNK, CHUNK)),
    )


def make_square(folder: Path, scenes: int) -> None:
    """Fields of one colour each, noise, and clouds in large patches."""
    rng = np.random.default_rng(0)
    reflectance, scl = add_scenes(create_store(folder), (SQUARE, SQUARE), scenes)
    fields = np.kron(rng.integers(300, 4000, (len(BANDS), SQUARE // FIELD, SQUARE // FIELD)), np.ones((FIELD, FIELD)))
    for date in range(scenes):
        coarse = gaussian_filter(rng.standard_normal((SQUARE // FIELD, SQUARE // FIELD)), 2, mode="wrap")
        cloudy = np.kron(coarse < np.quantile(coarse, CLOUDY), np.ones((FIELD, FIELD))) > 0
        values = fields + rng.normal(0, 60, fields.shape) + 3000 * cloudy
        reflectance[date] = np.clip(values, 1, 65535).astype(np.uint16)
        scl[date] = np.where(cloudy, 9, 4).astype(np.uint8)


def tile_shape(block_rows: int) -> tuple[int, int]:
    """Rows and columns of the first rows of blocks of a tile."""
    return min(block_rows * CHUNK, TILE), TILE


def make_tile(folder: Path, square: Path, scenes: int, block_rows: int) -> None:
    """Chunks of the square, again and again; a whole chunk of it stands for each of the tile's."""
    add_scenes(create_store(folder), tile_shape(block_rows), scenes)
    across = -(-TILE // CHUNK)
    for name in ("reflectance", "scl"):
        band = ("0",) if name == "reflectance" else ()
        for date in range(scenes):
            for row in range(-(-tile_shape(block_rows)[0] // CHUNK)):
                for column in range(across):
                    source = Path(square, "site", name, "c", str(date), *band, str(row % 3), str(column % 3))
                    target = Path(folder, "site", name, "c", str(date), *band, str(row), str(column))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.link(source, target)


def run(store: Path, scenes: int, workers: int, work: Path) -> dict[str, float]:
    """Run the command in a process of its own; seconds and peak of its memory."""
    table = [{"scene": f"scene-{date}", "site": "site", "kept": True} for date in range(scenes)]
    write_table(work / "scenes.parquet", pandas.DataFrame(table))
    output = work / "composites.zarr"
    shutil.rmtree(output, ignore_errors=True)
    command = [
        sys.executable, "-m", "cropflow", "composites", "--scenes", str(store),
        "--catalogue", str(work / "scenes.parquet"), "--settings", "{}", "--workers", str(workers),
        "--season", json.dumps({"start": "2021-01-01", "end": "2021-12-31"}), "--output", str(output),
    ]  # fmt: skip
    start = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss * 1024 / 1e6),
    }


def main() -> None:
    """Make the store where it is not there yet, run the command, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the stores, 2 GB for the square")
    parser.add_argument("--scenes", type=int, default=140)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tile", action="store_true", help="a full MGRS tile")
    parser.add_argument(
        "--block-rows", type=int, default=1, help="of the tile's 43 rows of blocks, those that are made"
    )
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/site_composites.json"))
    arguments = parser.parse_args()
    if min(arguments.scenes, arguments.workers, arguments.block_rows) < 1:
        parser.error("--scenes, --workers and --block-rows are at least 1")

    arguments.work.mkdir(parents=True, exist_ok=True)
    store = arguments.work / f"square-{arguments.scenes}.zarr"
    if not store.exists():
        make_square(store, arguments.scenes)
    name = "square"
    if arguments.tile:
        name, square = "tile", store
        store = arguments.work / "tile.zarr"
        shutil.rmtree(store, ignore_errors=True)
        make_tile(store, square, arguments.scenes, arguments.block_rows)
    figures = run(store, arguments.scenes, arguments.workers, arguments.work)
    height, width = tile_shape(arguments.block_rows) if arguments.tile else (SQUARE, SQUARE)
    workload = f"{arguments.scenes} scenes x {len(BANDS)} bands x {height} x {width}, {arguments.workers} workers"
    print(f"{workload}\n{figures['seconds']:.1f} s, {figures['cpu_seconds']:.1f} s of CPU, {figures['peak_mb']} MB")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    content = {"workload": workload, **figures}
    path = arguments.output.with_stem(f"{arguments.output.stem}_{name}")
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
