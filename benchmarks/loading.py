"""Loading of patches and pixel sets from the page cache, beside a bare copy of the same bytes and other loaders.

Patches: 64 x 64 pixels, 12 dates, 10 bands, in batches of 16. Ours reads the patches that the samples room cuts; a
bare copy moves the same bytes into the same batches. Window reads by rasterio, and torchgeo's RandomGeoSampler, read
GeoTIFFs of the same pixels: whole rasters of all dates and bands (without compression, and with DEFLATE as archives
have it), and a GeoTIFF for each patch. torchgeo needs torchvision and with it another torch: give the Python of an
environment of its own, else it is left out.

    python -m venv peers && peers/bin/pip install torch torchvision torchgeo requests
    python benchmarks/loading.py --torchgeo peers/bin/python

Pixel sets: 64 pixels of parcels of 80 to 400, 36 dates, 10 bands, in batches of 64. A peer reads a file per parcel
(.npy), as the published loaders of pixel sets do, and draws from it.

Pixels are compared before anything is timed. The fastest of the repeats counts: what else the machine does slows a run
down, nothing speeds it up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import Window

from cropflow.config.models.drawing import CutoutDrawing, Drawing, PixelSetDrawing
from cropflow.models.data.batches import dataset_of, open_batches
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split
from cropflow.models.data.survey import survey
from cropflow.samples.sensors import Layout

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
SIZE, DATES, BATCH = 64, 12, 16
SET_PIXELS, SET_DATES, SET_BATCH = 64, 36, 64
PIXEL_M, XMIN, YMAX = 10.0, 500_000.0, 5_000_000.0
CROPS, FOLDS = (3, 7, 21), 5
SPLIT = Split(0, FOLDS, False)
# What is timed, and the number of samples that a run of it loads.
Timed = tuple[Callable[[], object], int]


def layout_of(dates: int) -> Layout:
    """A series of so many dates."""
    first = np.datetime64("2021-01-01")
    return Layout("sentinel2", BANDS, (), tuple(str(first + number * (360 // dates)) for number in range(dates)))


def write_patches(folder: Path, side: int) -> np.ndarray[Any, Any]:
    """Patches that cover a square of ``side`` pixels; gives the square, ``(T C, y, x)``."""
    rng = np.random.default_rng(0)
    square = np.empty((DATES * len(BANDS), side, side), dtype=np.uint16)
    for layer in square:
        coarse = rng.integers(200, 4000, (side // 16, side // 16))
        fields = np.kron(coarse, np.ones((16, 16), dtype=np.int64))
        layer[:] = (fields + rng.normal(0, 40, (side, side))).clip(1, 10_000)
    along = side // SIZE
    count = along * along
    values = square.reshape(DATES, len(BANDS), along, SIZE, along, SIZE).transpose(2, 4, 0, 1, 3, 5)
    values = values.reshape(count, DATES, len(BANDS), SIZE, SIZE)
    layout, shape = layout_of(DATES), (count, SIZE, SIZE)
    (folder / "sentinel2").mkdir(parents=True)
    np.save(folder / "sentinel2" / "values.npy", values)
    np.save(folder / "sentinel2" / "observations.npy", np.ones((count, DATES, SIZE, SIZE), dtype=np.uint8))
    np.save(folder / "sentinel2" / "dates.npy", np.tile(np.array(layout.days, dtype=np.int16), (count, 1)))
    np.save(folder / "crops.npy", rng.choice(np.array(CROPS, dtype=np.uint16), shape))
    # A run reads all of them: none is kept for validation or test but one of each.
    folds = np.full(count, 2, dtype=np.uint8)
    folds[:2] = 0, 1
    np.save(folder / "folds.npy", np.broadcast_to(folds[:, None, None], shape))
    np.save(folder / "parcels.npy", np.ones(shape, dtype=np.uint32))
    pandas.DataFrame({"site": ["a"] * count}).to_parquet(folder / "index.parquet")
    about = {"sensors": [layout.told()], "legend": "turkoglu", "background": False, "patch_size": SIZE}
    (folder / "patches.json").write_text(json.dumps(about), encoding="utf-8")
    return square


def write_raster(path: Path, values: np.ndarray[Any, Any], column: int = 0, compress: str = "NONE") -> None:
    """A GeoTIFF of all dates and bands, ``(T C, y, x)``, tiled where it is larger than a patch."""
    tiled = {"tiled": True, "blockxsize": 256, "blockysize": 256} if values.shape[-1] > SIZE else {}
    with rasterio.open(
        path, "w", driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2], dtype="uint16",
        crs="EPSG:32631", transform=from_origin(XMIN + column * PIXEL_M, YMAX, PIXEL_M, PIXEL_M),
        interleave="band", compress=compress, **tiled,
    ) as raster:  # fmt: skip
        raster.write(values)


def write_pixel_sets(folder: Path, parcels: int) -> None:
    """Pixel sets, and a file per parcel beside them."""
    rng = np.random.default_rng(0)
    counts = rng.integers(80, 401, parcels)
    starts, layout = np.cumsum(counts) - counts, layout_of(SET_DATES)
    (folder / "sentinel2").mkdir(parents=True)
    (folder / "files").mkdir()
    shape = (int(counts.sum()), SET_DATES, len(BANDS))
    values = np.lib.format.open_memmap(folder / "sentinel2" / "values.npy", "w+", np.dtype(np.uint16), shape)
    for parcel, (start, count) in enumerate(zip(starts, counts, strict=True)):
        values[start : start + count] = rng.integers(1, 5000, (count, *shape[1:]), dtype=np.uint16)
        np.save(folder / "files" / f"{parcel}.npy", np.moveaxis(values[start : start + count], 0, -1))
    values.flush()
    np.save(folder / "sentinel2" / "observations.npy", np.ones(shape[:2], dtype=np.uint8))
    np.save(folder / "sentinel2" / "dates.npy", np.tile(np.array(layout.days, dtype=np.int16), (parcels, 1)))
    folds = np.full(parcels, 2, dtype=np.uint8)
    folds[:2] = 0, 1
    columns = {"crop": np.resize(np.array(CROPS, dtype=np.uint16), parcels), "fold": folds, "start": starts}
    features = {"perimeter_m": 400.0, "fill_ratio": 0.8, "perimeter_area_ratio": 0.04}
    pandas.DataFrame({**columns, "pixels": counts, **features}).to_parquet(folder / "parcels.parquet")
    about = {"sensors": [layout.told()], "legend": "turkoglu", "background": False, "lags": 0}
    (folder / "pixel_sets.json").write_text(json.dumps(about), encoding="utf-8")


def epoch_of(kind: Any, folder: Path, settings: Drawing) -> Timed:
    """An epoch of ours, and its samples."""
    samples = read_samples(kind, ["r/s"], [folder])
    found = survey(samples, SPLIT)
    batches = open_batches(samples, found, SPLIT, settings, seed=0, epoch=lambda: 0)

    def run() -> None:
        for _ in batches.train_dataloader():
            pass

    return run, len(found.training)


def copy_of(values: np.ndarray[Any, Any], count: int) -> Callable[[], None]:
    """A bare copy of the same bytes into batches, in random order."""
    order = np.random.default_rng(0).permutation(len(values))[:count]

    def run() -> None:
        for rows in np.array_split(order, -(-count // BATCH)):
            batch = np.empty((len(rows), *values.shape[1:]), dtype=values.dtype)
            for position, row in enumerate(rows):
                batch[position] = values[row]

    return run


def windows(folder: Path, count: int) -> Callable[[], None]:
    """Windows of random GeoTIFFs, read by rasterio into batches."""
    paths = sorted(folder.glob("*.tif"))

    def run() -> None:
        rng = np.random.default_rng(0)
        opened = [rasterio.open(path) for path in paths]
        for size in map(len, np.array_split(np.arange(count), -(-count // BATCH))):
            batch = np.empty((size, DATES * len(BANDS), SIZE, SIZE), dtype=np.uint16)
            for target in batch:
                raster = opened[rng.integers(len(opened))]
                row, column = rng.integers(raster.height - SIZE + 1), rng.integers(raster.width - SIZE + 1)
                raster.read(out=target, window=Window(column, row, SIZE, SIZE))
            torch.from_numpy(batch)
        for raster in opened:
            raster.close()

    return run


def file_per_parcel(folder: Path, count: int) -> Callable[[], None]:
    """A file of each parcel is read whole, and pixels are drawn from it."""
    parcels = np.random.default_rng(0).permutation(count)

    def run() -> None:
        rng = np.random.default_rng(0)
        for rows in np.array_split(parcels, -(-count // SET_BATCH)):
            drawn = []
            for parcel in rows:
                values = np.load(folder / "files" / f"{parcel}.npy")
                drawn.append(values[..., rng.choice(values.shape[-1], SET_PIXELS, replace=False)])
            torch.from_numpy(np.stack(drawn))

    return run


def check_pixels(folder: Path, square: np.ndarray[Any, Any]) -> None:
    """End where our batches hold other pixels than were written."""
    samples = read_samples("patches", ["r/s"], [folder])
    dataset = dataset_of(samples, survey(samples, SPLIT), None)
    along = square.shape[-1] // SIZE
    for number in range(0, len(samples), 7):
        top, left = SIZE * (number // along), SIZE * (number % along)
        wanted = square[:, top : top + SIZE, left : left + SIZE]
        if not np.array_equal(dataset[[number]].only().values[0].numpy().reshape(wanted.shape), wanted):
            sys.exit(f"Patch {number} holds other pixels; nothing is timed.")


def by_torchgeo(python: Path, folder: Path, square: np.ndarray[Any, Any], spread: int, draws: int, repeats: int) -> Any:
    """Seconds of torchgeo's runs and its versions, once the pixels that it drew are those of the square.

    Args:
        python: Of its environment.
        folder: GeoTIFFs.
        square: All pixels, ``(T C, y, x)``.
        spread: Columns from one GeoTIFF to the next, 0 where there is one.
        draws: Patches of a run.
        repeats: Runs.
    """
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / "out"
        numbers = {"draws": draws, "size": SIZE, "batch": BATCH, "repeats": repeats}
        options = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
        script = Path(__file__).with_name("_torchgeo_loading.py")
        subprocess.run([python, script, folder, *options, "--output", output], check=True)
        told = json.loads(output.with_suffix(".json").read_text())
        drawn = np.load(output.with_suffix(".npz"))
    along = square.shape[-1] // SIZE
    for (x, y), pixels in zip(drawn["corners"], drawn["pixels"], strict=True):
        row, column = round((YMAX - y) / PIXEL_M), round((x - XMIN) / PIXEL_M)
        if spread:
            patch = column // spread
            row, column = SIZE * (patch // along), SIZE * (patch % along)
        if not np.array_equal(pixels, square[:, row : row + SIZE, column : column + SIZE]):
            sys.exit("torchgeo reads other pixels; nothing is timed.")
    return told


def fastest(entered: dict[str, Timed], repeats: int) -> dict[str, float]:
    """Samples per second of each, all in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in entered}
    for _ in range(repeats):
        for name, (run, _) in entered.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: entered[name][1] / min(taken) for name, taken in seconds.items()}


def tell(workload: str, found: dict[str, float], ours: str, megabytes: float) -> dict[str, Any]:
    """Print a table of samples per second, and give it for the JSON."""
    print(f"{workload}\n{'':52}{'samples/s':>11}{'MB/s':>9}{'ours is':>10}")
    for name, rate in found.items():
        print(f"{name:52}{rate:11.0f}{rate * megabytes:9.0f}{found[ours] / rate:9.2f}x")
    return {"workload": workload, "samples_per_second": {name: round(rate, 1) for name, rate in found.items()}}


def patch_rates(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The table of patches."""
    square = write_patches(folder / "patches", arguments.side)
    check_pixels(folder / "patches", square)
    rasters = {"rasters": "NONE", "rasters, DEFLATE": "DEFLATE"}
    for name, compress in rasters.items():
        (folder / name).mkdir()
        write_raster(folder / name / "square.tif", square, compress=compress)
    chips, along = folder / "a GeoTIFF per patch", arguments.side // SIZE
    chips.mkdir()
    for number in range(along * along):
        top, left = SIZE * (number // along), SIZE * (number % along)
        write_raster(chips / f"{number:05}.tif", square[:, top : top + SIZE, left : left + SIZE], 2 * SIZE * number)
    values = np.load(folder / "patches" / "sentinel2" / "values.npy", mmap_mode="r")
    plain, count = epoch_of("patches", folder / "patches", CutoutDrawing(batch_size=BATCH, flips=False))
    entered: dict[str, Timed] = {
        "cropflow": (plain, count),
        "cropflow, turned and mirrored": (
            epoch_of("patches", folder / "patches", CutoutDrawing(batch_size=BATCH))[0],
            count,
        ),
        "copy of the same bytes": (copy_of(values, count), count),
    }
    version = metadata.version("rasterio")
    for name in (*rasters, chips.name):
        entered[f"rasterio {version}, {name}"] = (windows(folder / name, arguments.draws), arguments.draws)
    plain()  # compiles
    found = fastest(entered, arguments.repeats)
    versions: dict[str, str] = {}
    if arguments.torchgeo:
        for name, spread in (*((name, 0) for name in rasters), (chips.name, 2 * SIZE)):
            told = by_torchgeo(arguments.torchgeo, folder / name, square, spread, arguments.draws, arguments.repeats)
            versions = told["versions"]
            found[f"torchgeo {versions['torchgeo']}, {name}"] = arguments.draws / min(told["seconds"])
    else:
        print("torchgeo is left out: --torchgeo names no Python that has it")
    size = values[0].nbytes / 1e6
    workload = f"patches of {SIZE} x {SIZE} px, {DATES} dates, {len(BANDS)} bands, {size:.2f} MB; one thread"
    return tell(workload, found, "cropflow", size) | {"peers": versions}


def set_rates(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The table of pixel sets."""
    sets = folder / "sets"
    write_pixel_sets(sets, arguments.parcels)
    samples = read_samples("pixel_sets", ["r/s"], [sets])
    batch = dataset_of(samples, survey(samples, SPLIT), None)[[0, 5]]
    for row, parcel in enumerate((0, 5)):
        own = np.load(sets / "files" / f"{parcel}.npy")
        if not np.array_equal(batch.only().values[row, ..., : own.shape[-1]].numpy(), own):
            sys.exit(f"Parcel {parcel} holds other pixels; nothing is timed.")
    drawn = PixelSetDrawing(batch_size=SET_BATCH, pixels=SET_PIXELS)
    plain, count = epoch_of("pixel_sets", sets, drawn)
    jittered = PixelSetDrawing(batch_size=SET_BATCH, pixels=SET_PIXELS, jitter={"sigma": 0.01, "clip": 0.05})
    noisy, _ = epoch_of("pixel_sets", sets, jittered)
    values = np.load(sets / "sentinel2" / "values.npy", mmap_mode="r")
    runs = values[: len(values) // SET_PIXELS * SET_PIXELS].reshape(-1, SET_PIXELS, *values.shape[1:])
    copied = min(count, len(runs))
    entered: dict[str, Timed] = {
        "cropflow": (plain, count),
        "cropflow, with noise": (noisy, count),
        "copy of as many bytes, pixels side by side": (copy_of(runs, copied), copied),
        f"numpy {np.__version__}, a file per parcel": (file_per_parcel(sets, arguments.parcels), arguments.parcels),
    }
    plain()  # compiles
    noisy()
    size = runs[0].nbytes / 1e6
    workload = (
        f"{SET_PIXELS} pixels of parcels of 80 to 400, {SET_DATES} dates, {len(BANDS)} bands, {size:.3f} MB; one thread"
    )
    return tell(workload, fastest(entered, arguments.repeats), "cropflow", size)


def main() -> None:
    """Write the samples, compare, time, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1024, help="Pixels of the square that patches are cut from.")
    parser.add_argument("--draws", type=int, default=128, help="Patches that readers of GeoTIFFs load in a run.")
    parser.add_argument("--parcels", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--torchgeo", type=Path, help="Python of an environment that has torchgeo.")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/loading.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        tables = [patch_rates(Path(temporary), arguments), set_rates(Path(temporary), arguments)]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    content = {"tables": tables, "torch": torch.__version__, "equal": True}
    arguments.output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
