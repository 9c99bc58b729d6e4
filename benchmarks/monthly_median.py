"""Masked monthly median of a season: the kernel beside NumPy, bottleneck, numbagg, xarray, flox and dask.

Every contestant must give the same composite (uint16, mean of the two middle values with halves up, 0 where nothing
is valid). ``masked``: all get the scenes (uint16) and their classes, and mask them inside the timing. ``ready``: the
peers get floats that were masked before, and need not round; ours does as before. Clouds come twice: large ones, and
single pixels, each over 45 % of all pixels. All have the same number of threads; those that have none of their own
get blocks of rows in a pool. Repeats are interleaved, the median counts.

    python benchmarks/monthly_median.py --size 64 --threads 2
    python benchmarks/monthly_median.py --size 512 --threads 2 --peers bottleneck numpy
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from _in_turn import Contestants, compare
from numpy.typing import NDArray

DATES, BANDS, MONTHS, CLOUDY = 73, 10, 12, 0.45
CLASSES = (4, 5, 6, 7)
DAYS = [datetime.date(2021, 1, 1) + datetime.timedelta(days=5 * date) for date in range(DATES)]
# Typical size of a large cloud, pixels.
CLOUD = 24

Floats = NDArray[np.float32]
Reducer = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Scenes:
    """A season: reflectance ``(scene, band, y, x)``, classes ``(scene, y, x)``, month of each scene, threads to use."""

    reflectance: NDArray[np.uint16]
    scl: NDArray[np.uint8]
    period: NDArray[np.int64]
    threads: int

    def floats(self) -> Floats:
        """What a peer works on: NaN where a class is not clear or a band is 0; scene by scene, in the cache."""
        clear = np.zeros(256, dtype=bool)
        clear[list(CLASSES)] = True
        values = np.empty(self.reflectance.shape, dtype=np.float32)
        for scene, scl, floats in zip(self.reflectance, self.scl, values, strict=True):
            valid = clear[scl]
            for band in scene:
                valid &= band != 0
            # A product is many times faster than a selection.
            factor = np.where(valid, np.float32(1), np.float32(np.nan))
            for band, out in zip(scene, floats, strict=True):
                np.multiply(band, factor, out=out, dtype=np.float32)
        return values


def make_scenes(size: int, clouds: str, threads: int) -> Scenes:
    """A scene every fifth day of a year, a tenth of its first rows outside the swath now and then."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    reflectance = rng.integers(1, 10_000, (DATES, BANDS, size, size), dtype=np.uint16)
    reflectance[::7, :, : size // 10] = 0
    cloudy = np.empty((DATES, size, size), dtype=bool)
    for scene in cloudy:
        field = rng.standard_normal(scene.shape)
        field = gaussian_filter(field, CLOUD, mode="wrap") if clouds == "large" else field
        scene[:] = field < np.quantile(field, CLOUDY)
    scl = np.where(cloudy, rng.choice([3, 8, 9, 10], cloudy.shape), rng.choice([4, 5], cloudy.shape)).astype(np.uint8)
    return Scenes(reflectance, scl, np.array([day.month - 1 for day in DAYS]), threads)


def ours(scenes: Scenes) -> NDArray[np.uint16]:
    """The kernel of cropflow, mask and all."""
    from cropflow.composites import masked_median

    return masked_median(scenes.reflectance, scenes.scl, CLASSES, scenes.period, MONTHS, scenes.threads)[0]


def rounded(values: Floats) -> NDArray[np.uint16]:
    """Floats as a composite."""
    return np.floor(np.nan_to_num(values, nan=0.0) + np.float32(0.5)).astype(np.uint16)


def by_month(reduce: Reducer, pooled: bool) -> Callable[[Floats, Scenes], Floats]:
    """Month by month over the first axis; ``pooled``: blocks of rows in threads."""

    def work(values: Floats, scenes: Scenes, out: Floats, rows: slice) -> None:
        for month in range(MONTHS):
            out[month, :, rows] = reduce(values[scenes.period == month][:, :, rows])

    def composite(values: Floats, scenes: Scenes) -> Floats:
        out = np.empty((MONTHS, *values.shape[1:]), dtype=np.float32)
        size = values.shape[2]
        threads = scenes.threads if pooled else 1
        bounds = [size * thread // threads for thread in range(threads + 1)]
        rows = [slice(*pair) for pair in itertools.pairwise(bounds)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(partial(work, values, scenes, out), rows))
        return out

    return composite


def resampled(flox: bool, chunked: bool) -> Callable[[Floats, Scenes], Floats]:
    """``xarray``'s ``resample(time="MS").median()``; ``chunked``: as dask arrays, blocks of rows."""

    def composite(values: Floats, scenes: Scenes) -> Floats:
        import dask
        import xarray

        cube: Any = xarray.DataArray(
            values, dims=("time", "band", "y", "x"), coords={"time": np.array(DAYS, dtype="datetime64[ns]")}
        )
        if chunked:
            cube = cube.chunk(time=-1, band=-1, y=max(1, values.shape[2] // (4 * scenes.threads)), x=-1)
        with xarray.set_options(use_flox=flox), dask.config.set(scheduler="threads", num_workers=scenes.threads):
            median = cube.resample(time="MS").median()
            return np.asarray(median.transpose("time", "band", "y", "x").values, dtype=np.float32)

    return composite


def peers(chosen: list[str]) -> Iterator[tuple[str, str, Callable[[Floats, Scenes], Floats]]]:
    """Name, version and function of each peer."""
    import bottleneck
    import numbagg

    entered: dict[str, tuple[str, Callable[[Floats, Scenes], Floats]]] = {
        "numpy": ("numpy", by_month(partial(np.nanmedian, axis=0), True)),
        "bottleneck": ("bottleneck", by_month(partial(bottleneck.nanmedian, axis=0), True)),
        "numbagg": ("numbagg", by_month(partial(numbagg.nanmedian, axis=0), False)),
        "xarray": ("xarray", resampled(False, False)),
        "xarray+flox": ("flox", resampled(True, False)),
        "xarray+dask": ("dask", resampled(False, True)),
        "xarray+dask+flox": ("dask", resampled(True, True)),
    }
    for name, (package, function) in entered.items():
        if not chosen or name in chosen:
            yield name, metadata.version(package), function


def copy_bandwidth(values: NDArray[np.uint16], threads: int) -> float:
    """Bytes per second, read and written, that NumPy copies in threads: the best of five."""
    out = np.empty_like(values)
    parts = np.array_split(np.arange(len(values)), threads)
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(lambda part: np.copyto(out[part[0] : part[-1] + 1], values[part[0] : part[-1] + 1]), parts))
            seconds.append(time.perf_counter() - start)
    return 2 * values.nbytes / min(seconds)


def tell_bandwidth(scenes: Scenes, composite: NDArray[np.uint16]) -> None:
    """Print what share of the bandwidth of memory the kernel reaches; copies and runs in turn."""
    moved = scenes.reflectance.nbytes + scenes.scl.nbytes + composite.nbytes + composite.nbytes // (2 * BANDS)
    shares, speeds = [], []
    for _ in range(5):
        start = time.perf_counter()
        ours(scenes)
        speeds.append(moved / (time.perf_counter() - start))
        shares.append(speeds[-1] / copy_bandwidth(scenes.reflectance, scenes.threads))
    print(
        f"cropflow reads and writes {moved / 1e6:.0f} MB at {statistics.median(speeds) / 1e9:.1f} GB/s: "
        f"{100 * statistics.median(shares):.0f} % of what a copy by NumPy reads and writes\n"
    )


def measure(scenes: Scenes, arguments: argparse.Namespace, clouds: str) -> None:
    """Check that all give the same composite, then time them in turn on both kinds of input."""
    expected = ours(scenes)
    floats = scenes.floats()
    masked: Contestants = {"cropflow": (partial(ours, scenes), "")}
    ready: Contestants = {"cropflow": (partial(ours, scenes), "")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # months without a value, chunks that are small
        for name, version, function in peers(arguments.peers):
            if not np.array_equal(rounded(function(floats, scenes)), expected):
                sys.exit(f"{name} gives another composite than cropflow; nothing is timed.")
            masked[name] = (lambda function=function: rounded(function(scenes.floats(), scenes))), version
            ready[name] = partial(function, floats, scenes), version
        what = (
            f"{DATES} dates x {BANDS} bands x {arguments.size} x {arguments.size}, {MONTHS} months, "
            f"{CLOUDY:.0%} {clouds} clouds, {scenes.threads} threads"
        )
        for kind, contestants in (("masked", masked), ("ready", ready)):
            output = arguments.output / f"monthly_median_{clouds}_{kind}.json"
            compare(f"{what}, input {kind}", contestants, arguments.repeats, output)
    tell_bandwidth(scenes, expected)


def main() -> None:
    """Measure both kinds of clouds, print tables and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="rows and columns, pixels; with all peers 512 takes hours")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each")
    parser.add_argument("--threads", type=int, default=2, help="threads of each")
    parser.add_argument("--peers", nargs="*", default=[], help="only these")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    arguments = parser.parse_args()
    if min(arguments.size, arguments.repeats, arguments.threads) < 1:
        parser.error("--size, --repeats and --threads are at least 1")

    # Read by numba and by the thread pools of the peers when they are imported, which is only now.
    os.environ.update(NUMBA_NUM_THREADS=str(arguments.threads), OMP_NUM_THREADS="1")
    for clouds in ("large", "single"):
        measure(make_scenes(arguments.size, clouds, arguments.threads), arguments, clouds)


if __name__ == "__main__":
    main()
