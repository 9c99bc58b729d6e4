"""Masked monthly median of a season: the kernel beside NumPy, and beside bottleneck and numbagg where installed.

Every contestant gets the same scenes (uint16) and mask, and must give the same composite (uint16, mean of the two
middle values with halves up, 0 where nothing is valid); the conversion to and from floating point that a peer needs
is part of its work. One thread each, repeats interleaved, the median of the repeats counts.

    python benchmarks/monthly_median.py --size 256
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from _in_turn import Contestants, compare
from numpy.typing import NDArray

Scenes = tuple[NDArray[np.uint16], NDArray[np.bool_], NDArray[np.int64], int]
Contestant = Callable[[NDArray[np.uint16], NDArray[np.bool_], NDArray[np.int64], int], NDArray[np.uint16]]

DATES, BANDS, MONTHS = 73, 10, 12
# Side of the squares that clouds cover, pixels.
CLOUD = 64


def make_scenes(size: int) -> Scenes:
    """A season of scenes, every fifth day, half of it under clouds of 640 m and a tenth under small ones."""
    rng = np.random.default_rng(0)
    reflectance = np.empty((DATES, BANDS, size, size), dtype=np.uint16)
    for scene in reflectance:
        scene[:] = rng.integers(1, 10_000, scene.shape, dtype=np.uint16)
    coarse = rng.random((DATES, -(-size // CLOUD), -(-size // CLOUD))) < 0.5
    valid = np.repeat(np.repeat(coarse, CLOUD, axis=1), CLOUD, axis=2)[:, :size, :size].copy()
    valid &= rng.random(valid.shape) < 0.9
    return reflectance, valid, np.arange(DATES) * MONTHS // DATES, MONTHS


def ours(
    reflectance: NDArray[np.uint16], valid: NDArray[np.bool_], period: NDArray[np.int64], n_periods: int
) -> NDArray[np.uint16]:
    """The kernel of cropflow."""
    from cropflow.composites import monthly_median

    return monthly_median(reflectance, valid, period, n_periods)[0]


def by_month(median: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Contestant:
    """Wrap a median that skips NaN over the first axis: month by month, so that floats of one month are held."""

    def composite(
        reflectance: NDArray[np.uint16], valid: NDArray[np.bool_], period: NDArray[np.int64], n_periods: int
    ) -> NDArray[np.uint16]:
        out = np.empty((n_periods, *reflectance.shape[1:]), dtype=np.uint16)
        for month in range(n_periods):
            here = period == month
            values = reflectance[here].astype(np.float32)
            values[np.broadcast_to(~valid[here][:, None], values.shape)] = np.nan
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # months without a value
                out[month] = np.floor(np.nan_to_num(median(values), nan=0.0) + 0.5)
        return out

    return composite


def contestants() -> dict[str, tuple[Contestant, str]]:
    """Name -> function and version; what is not installed is left out."""
    found: dict[str, tuple[Contestant, str]] = {"cropflow": (ours, "")}
    found["numpy.nanmedian"] = by_month(partial(np.nanmedian, axis=0)), np.__version__
    for package in ("bottleneck", "numbagg"):
        if importlib.util.find_spec(package) is not None:
            module = importlib.import_module(package)
            found[f"{package}.nanmedian"] = by_month(partial(module.nanmedian, axis=0)), metadata.version(package)
    return found


def main() -> None:
    """Check that all give the same composite, time them in turn, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="rows and columns, pixels")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/monthly_median.json"))
    arguments = parser.parse_args()
    if arguments.size < 1 or arguments.repeats < 1:
        parser.error("--size and --repeats are at least 1")

    # Read by numba and by the thread pools of the peers when they are imported, which is only now.
    os.environ.update(dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), "1"))
    entered = contestants()
    scenes = make_scenes(arguments.size)
    expected = ours(*scenes)
    for name, (function, _) in entered.items():
        if not np.array_equal(function(*scenes), expected):
            sys.exit(f"{name} gives another composite than cropflow; nothing is timed.")
    workload = f"{DATES} dates x {BANDS} bands x {arguments.size} x {arguments.size}, {MONTHS} months, 1 thread"
    ready: Contestants = {name: (partial(function, *scenes), version) for name, (function, version) in entered.items()}
    compare(workload, ready, arguments.repeats, arguments.output)


if __name__ == "__main__":
    main()
