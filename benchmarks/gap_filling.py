"""Gaps of composites filled linearly in time: the kernel beside xarray, pandas and NumPy.

Every contestant gets the same composites (uint16, 0 = nodata, 30 % missing) and observations, and must fill the periods
between two valid ones to within 1 of 10,000 (uint16, halves up); the conversion to and from floating point that a peer
needs is part of its work. There is no longest gap. Edges are left out of the comparison: the kernel fills them with
the nearest value, the peers, without extrapolation, do not. One thread each, repeats interleaved, the median of the
repeats counts.

    python benchmarks/gap_filling.py --size 1024 --peers numpy
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np
from _in_turn import Contestants, compare
from numpy.typing import NDArray

Composite, Observations, Days = NDArray[np.uint16], NDArray[np.uint8], NDArray[np.float64]
Contestant = Callable[[Composite, Observations, Days], Composite]

PERIODS, BANDS = 12, 10
MISSING = 0.3


def make_composites(size: int) -> tuple[Composite, Observations, Days]:
    """A year of months; clouds of 8 pixels take half of what is missing, single pixels the rest."""
    rng = np.random.default_rng(0)
    composite = rng.integers(1, 10_000, (PERIODS, BANDS, size, size), dtype=np.uint16)
    coarse = rng.random((PERIODS, -(-size // 8), -(-size // 8))) < MISSING / 2
    missing = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :size, :size]
    missing = missing | (rng.random(missing.shape) < MISSING / 2 / (1 - MISSING / 2))
    composite *= ~missing[:, None]
    lengths = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.float64)
    return composite, (~missing).astype(np.uint8), np.cumsum(lengths) - lengths / 2


def ours(composite: Composite, observations: Observations, days: Days) -> Composite:
    """The kernel of cropflow."""
    from cropflow.composites import fill_gaps

    return fill_gaps(composite, observations, PERIODS, "linear", days)[0]


def with_nan(composite: Composite) -> NDArray[np.float32]:
    """Nodata becomes NaN, as peers want it."""
    values = composite.astype(np.float32)
    values[composite == 0] = np.nan
    return values


def rounded(values: NDArray[np.floating]) -> Composite:
    """Back to whole numbers, 0 where nothing was filled."""
    return np.floor(np.nan_to_num(values, nan=0.0) + 0.5).astype(np.uint16)


def xarray_interpolate(composite: Composite, observations: Observations, days: Days) -> Composite:
    """``DataArray.interpolate_na`` along the days."""
    import xarray

    array = xarray.DataArray(with_nan(composite), dims=("time", "band", "y", "x"), coords={"time": days})
    return rounded(array.interpolate_na("time", method="linear").values)


def pandas_interpolate(composite: Composite, observations: Observations, days: Days) -> Composite:
    """``DataFrame.interpolate`` by the index, a column per band and pixel."""
    import pandas

    table = pandas.DataFrame(with_nan(composite).reshape(PERIODS, -1), index=days)
    return rounded(table.interpolate("index", limit_area="inside").to_numpy().reshape(composite.shape))


def numpy_interpolate(composite: Composite, observations: Observations, days: Days) -> Composite:
    """Whole arrays: the nearest valid period to both sides by running extremes, then two gathers and a line."""
    order = np.arange(PERIODS)[:, None, None]
    before = np.maximum.accumulate(np.where(observations, order, -1), axis=0)
    after = np.minimum.accumulate(np.where(observations, order, PERIODS)[::-1], axis=0)[::-1]
    inside = (before >= 0) & (after < PERIODS)
    before, after = np.where(inside, before, 0), np.where(inside, after, 0)
    length = np.where(after > before, days[after] - days[before], 1.0)
    share = ((days[:, None, None] - days[before]) / length).astype(np.float32)
    low = np.take_along_axis(composite, before[:, None], axis=0).astype(np.float32)
    high = np.take_along_axis(composite, after[:, None], axis=0).astype(np.float32)
    return np.where(inside[:, None], rounded(low + (high - low) * share[:, None]), 0).astype(np.uint16)


PEERS: dict[str, tuple[Contestant, str]] = {
    "xarray": (xarray_interpolate, "xarray interpolate_na"),
    "pandas": (pandas_interpolate, "pandas interpolate"),
    "numpy": (numpy_interpolate, "numpy gathers"),
}


def main() -> None:
    """Check that all give the same values, time them in turn, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="rows and columns, pixels")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), help="who else runs")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/gap_filling.json"))
    arguments = parser.parse_args()
    if arguments.size < 1 or arguments.repeats < 1:
        parser.error("--size and --repeats are at least 1")

    # Read by numba and by the thread pools of the peers when they are imported, which is only now.
    os.environ.update(dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), "1"))
    composite, observations, days = make_composites(arguments.size)
    expected = ours(composite, observations, days)
    seen = np.maximum.accumulate(observations, axis=0) & np.maximum.accumulate(observations[::-1], axis=0)[::-1]
    inside = np.broadcast_to(seen[:, None] > 0, expected.shape)
    ready: Contestants = {"cropflow": (partial(ours, composite, observations, days), "")}
    for package in arguments.peers:
        function, name = PEERS[package]
        difference = function(composite, observations, days)[inside].astype(np.int32) - expected[inside]
        if np.abs(difference).max(initial=0) > 1:
            sys.exit(f"{name} gives other values than cropflow; nothing is timed.")
        ready[name] = partial(function, composite, observations, days), metadata.version(package)
    share = f"{1 - observations.mean():.0%} missing"
    workload = f"{PERIODS} months x {BANDS} bands x {arguments.size} x {arguments.size}, {share}, 1 thread"
    compare(workload, ready, arguments.repeats, arguments.output)


if __name__ == "__main__":
    main()
