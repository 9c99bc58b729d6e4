"""Parcels laid over those of an earlier season: cropflow beside GeoPandas, by its overlay and by its spatial join.

A plan of cells with bent borders, about 2 ha each, is cut into two seasons: most outlines stay as they are, others
are shifted by a metre, split or merged, and a few are missing. Every contestant reads the same two GeoParquet files
and gives parcel, earlier parcel, share and intersection over union, slivers left out; the tables must be equal. Each
run has a process of its own, whose peak memory is read from /proc (Linux). Repeats interleaved, the median counts.

    python benchmarks/history_overlay.py --parcels 100000
    python benchmarks/history_overlay.py --parcels 1000000 --repeats 1 --alone
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Contestant = Callable[[Path, Path], Any]

SIDE_M, BENDS = 150.0, 2
MISSING, SHIFTED, SPLIT, MERGED = 0.08, 0.2, 0.1, 0.1
PAIR = ["parcel_id", "earlier_id"]
# Shares differ in the last digits, and with them the pieces that just are slivers, or just are none.
EQUAL, EDGE = 1e-6, 1e-4


def borders(columns: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
    """Corners ``(y, x, 2)``, and the bends of lower and left borders ``(y, x, bend, 2)``, metres."""
    y, x = np.mgrid[: columns + 1, : columns + 1].astype(float)
    corners = np.stack([x, y], axis=-1) + rng.uniform(-0.2, 0.2, (columns + 1, columns + 1, 2))
    corners = corners * SIDE_M + [300_000, 6_200_000]

    def bends(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
        part = (np.arange(1, BENDS + 1) / (BENDS + 1))[:, None]
        straight = start[..., None, :] * (1 - part) + end[..., None, :] * part
        return straight + rng.normal(0, 2.0, straight.shape)

    return corners, bends(corners[:, :-1], corners[:, 1:]), bends(corners[:-1], corners[1:])


def season(columns: int, changed: bool) -> Any:
    """Outlines of a season, ``(parcel,)``; the same borders in both."""
    import shapely

    corners, lower, left = borders(columns, np.random.default_rng(0))
    rng = np.random.default_rng(2 if changed else 1)
    y, x = (part.ravel() for part in np.mgrid[:columns, :columns])
    south_west, south_east = corners[y, x][:, None], corners[y, x + 1][:, None]
    north_east, north_west = corners[y + 1, x + 1][:, None], corners[y + 1, x][:, None]
    below, above, west, east = lower[y, x], lower[y + 1, x][:, ::-1], left[y, x][:, ::-1], left[y, x + 1]
    whole = np.concatenate([south_west, below, south_east, east, north_east, above, north_west, west], axis=1)
    if not changed:
        return shapely.polygons(whole[rng.random(len(whole)) >= MISSING])
    fate = rng.random(len(whole))
    # Pairs of neighbours in a row lose their common border.
    first = np.flatnonzero((x % 2 == 0) & (x + 1 < columns) & (fate < MERGED))
    second = first + 1
    rings = (
        (south_west, first), (below, first), (south_west, second), (below, second), (south_east, second),
        (east, second), (north_east, second), (above, second), (north_west, second), (above, first),
        (north_west, first), (west, first),
    )  # fmt: skip
    merged = np.concatenate([points[cells] for points, cells in rings], axis=1)
    rest = np.setdiff1d(np.arange(len(whole)), np.concatenate([first, second]))
    split = rest[fate[rest] > 1 - SPLIT]
    one = np.concatenate([south_west, below, above[:, :1], above[:, 1:], north_west, west], axis=1)[split]
    other = np.concatenate([below[:, -1:], south_east, east, north_east, above[:, :1]], axis=1)[split]
    kept = np.setdiff1d(rest, split)
    shift = rng.normal(0, 1, (len(kept), 1, 2)) * (rng.random(len(kept)) < SHIFTED / (1 - SPLIT))[:, None, None]
    outlines = [shapely.polygons(rings) for rings in (merged, one, other, whole[kept] + shift)]
    found = np.concatenate(outlines)
    return found[rng.random(len(found)) >= MISSING]


def write_seasons(folder: Path, parcels: int) -> None:
    """Write ``earlier.parquet`` and ``parcels.parquet``, as ``labels clean`` does."""
    import geopandas
    import pandas
    import shapely

    from cropflow.files.tables import write_table

    # Merging and missing parcels take about as many away as splitting adds.
    columns = round((parcels / (1 - MISSING)) ** 0.5)
    for name, changed in (("earlier", False), ("parcels", True)):
        outlines = season(columns, changed)
        table = geopandas.GeoDataFrame(geometry=outlines, crs="EPSG:2154")
        table = table.iloc[np.argsort(table.hilbert_distance().to_numpy(), kind="stable")].reset_index(drop=True)
        table.insert(0, "parcel_id", pandas.Series(np.arange(len(table))).astype(str))
        table["area_ha"] = (shapely.area(table.geometry.to_numpy()) / 1e4).round(6)
        write_table(folder / f"{name}.parquet", table)


def ours(parcels: Path, earlier: Path, workers: int = 1) -> Any:
    """The overlay of cropflow."""
    from cropflow.config.registers import History
    from cropflow.files.georows import GeoRows
    from cropflow.labels.linking import link

    return link(GeoRows(parcels), GeoRows(earlier), History(), workers)[0]


def two_threads(parcels: Path, earlier: Path) -> Any:
    """The overlay of cropflow, two threads."""
    return ours(parcels, earlier, 2)


def _read(parcels: Path, earlier: Path) -> tuple[Any, Any]:
    import geopandas

    one, other = (geopandas.read_parquet(path, columns=["parcel_id", "geometry"]) for path in (parcels, earlier))
    other = other.rename(columns={"parcel_id": "earlier_id"})
    one["area"], other["earlier_area"] = one.area, other.area
    return one, other


def _pieces(table: Any, common: Any) -> Any:
    """Shares and intersections over union, with the slivers that the default settings drop left out."""
    from cropflow.config.registers import History

    rule = History()
    of_smaller = common / np.minimum(table["area"], table["earlier_area"])
    kept = (of_smaller >= rule.sliver_share) & ((common >= rule.sliver_area_m2) | (of_smaller >= 0.5))
    table = table[PAIR].assign(
        share=common / table["area"], iou=common / (table["area"] + table["earlier_area"] - common)
    )
    return table[kept]


def overlay(parcels: Path, earlier: Path) -> Any:
    """geopandas.overlay."""
    import geopandas

    one, other = _read(parcels, earlier)
    laid = geopandas.overlay(one, other, how="intersection", keep_geom_type=True)
    return _pieces(laid, laid.area)


def join(parcels: Path, earlier: Path) -> Any:
    """geopandas.sjoin, then the intersection of the pairs."""
    import shapely

    one, other = _read(parcels, earlier)
    pairs = one.sjoin(other, predicate="intersects")
    mine = pairs.geometry.to_numpy()
    theirs = other.geometry.to_numpy()[pairs["index_right"]]
    return _pieces(pairs, shapely.area(shapely.intersection(mine, theirs)))


CONTESTANTS: dict[str, Contestant] = {
    "cropflow": ours,
    "cropflow, 2 threads": two_threads,
    "geopandas.overlay": overlay,
    "geopandas.sjoin": join,
}


def timed(name: str, folder: Path, keep: bool) -> tuple[float, float]:
    """Seconds and peak memory (MB) of one run, in this process; the table is kept for the comparison where asked."""
    import geopandas  # noqa: F401  # importing is no part of the work

    import cropflow.labels.linking  # noqa: F401

    start = time.perf_counter()
    table = CONTESTANTS[name](folder / "parcels.parquet", folder / "earlier.parquet")
    seconds = time.perf_counter() - start
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if keep:
        table.to_parquet(folder / f"{name}.out")
    return seconds, int(peak[1]) / 1e3 if peak else float("nan")


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def difference(folder: Path, name: str) -> str:
    """What tells a contestant's table from ours; empty where nothing does."""
    import pandas

    mine, theirs = (pandas.read_parquet(folder / f"{each}.out").set_index(PAIR) for each in ("cropflow", name))
    both = mine.merge(theirs, on=PAIR, how="outer", suffixes=("", "_theirs"))
    single = both[both["share"].isna() | both["share_theirs"].isna()]
    if len(single) > EDGE * len(both):
        return f"{len(single)} of {len(both)} pieces are found by one alone"
    apart = both[["share", "iou"]].to_numpy() - both[["share_theirs", "iou_theirs"]].to_numpy()
    worst = float(np.nanmax(np.abs(apart)))
    return f"shares differ by up to {worst}" if worst > EQUAL else ""


def main() -> None:
    """Check that all give the same pieces, time them in turn, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=100_000, help="parcels of each season, about")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each")
    parser.add_argument("--alone", action="store_true", help="leave the peers out: they need hours and all memory")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/history_overlay.json"))
    arguments = parser.parse_args()
    if arguments.parcels < 100 or arguments.repeats < 1:
        parser.error("--parcels is at least 100, --repeats at least 1")

    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    names = [name for name in CONTESTANTS if name.startswith("cropflow") or not arguments.alone]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        alone(write_seasons, folder, arguments.parcels)
        for number in range(arguments.repeats):
            for name in names:
                spent, peak = alone(timed, name, folder, number == 0)
                seconds[name].append(spent)
                peaks[name].append(peak)
                found = difference(folder, name) if number == 0 and name != "cropflow" else ""
                if found:
                    sys.exit(f"{name} gives other pieces than cropflow: {found}; no time is told.")
    rows = {
        name: {"seconds": round(statistics.median(seconds[name]), 2), "peak_mb": round(max(peaks[name]), 1)}
        for name in names
    }
    workload = f"two seasons of about {arguments.parcels} parcels of 12 corners, slivers dropped, from GeoParquet"
    version = metadata.version("geopandas")
    peers: dict[str, Any] = {
        name: {**rows[name], "version": version} for name in names if not name.startswith("cropflow")
    }
    print(f"{workload}\n{'':24}{'seconds':>10}{'peak MB':>10}{'times ours':>12}")
    for name, row in rows.items():
        print(
            f"{name:24}{row['seconds']:10.2f}{row['peak_mb']:10.0f}{row['seconds'] / rows['cropflow']['seconds']:12.1f}"
        )
    fastest = min((row["seconds"] for row in peers.values()), default=None)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "workload": workload,
        "ours": rows["cropflow"],
        "ours_two_threads": rows["cropflow, 2 threads"],
        "peers": peers,
        "ratio_to_fastest": round(fastest / rows["cropflow"]["seconds"], 2) if fastest else None,
        "equal": True,
    }
    arguments.output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
