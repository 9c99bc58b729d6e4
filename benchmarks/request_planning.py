"""Requests to Earth Engine for a region's monthly composites, beside the default tiling of geedim and of Xee.

Nothing is asked of any service: requests are planned and counted. The work is 100 sites of about 10 km at 10 m, 12
months of 12 bands, uint16. Full is the share of the 48 MiB that the service sends at once, a byte of mask per pixel
and band included, as the service counts it; the mean is taken over all requests, small remainders too.

The peers' rules, as of geedim 2.0.0 and Xee 0.1.2; where either is installed, its own code is asked instead:

* geedim cuts an image into tiles of at most 4 MB, first by bands, then by rows and columns in blocks of 512 pixels. One
  image holds all months and bands; its limit, that of ``getDownloadURL``, is 32 MB.
* Xee cuts a collection, one image per month, into chunks of 48 images of 256 x 256 pixels for types up to 8 bytes,
  larger for smaller ones, and sends one request per chunk and band.

    python benchmarks/request_planning.py --sites 100
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from cropflow.imagery.earth_engine.requests import LARGEST_BYTES, MASK_BYTES, Sent, plan_requests

MONTHS, BANDS = 12, 12
ITEM = 2
# Bands, rows and columns of what one request brings.
Shape = tuple[int, int, int]
Planner = Callable[[int, int], Iterator[Shape]]


def sizes(count: int) -> list[tuple[int, int]]:
    """Rows and columns of sites: every second one 1,000 pixels a side, the others 600 to 1,400."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(600, 1400, (count, 2))
    drawn[::2] = 1000
    return [(int(height), int(width)) for height, width in drawn]


def ours(height: int, width: int) -> Iterator[Shape]:
    """The planner of cropflow: months and bands as the layers of one stack."""
    layers = {f"{month}_{band}": Sent(ITEM) for month in range(MONTHS) for band in range(BANDS)}
    for request in plan_requests(layers, height, width):
        yield len(request.layers), request.height, request.width


def cut(whole: Shape, part: Shape) -> Iterator[Shape]:
    """Cut a stack into parts, remainders at the ends."""
    lengths = [
        [min(step, length - begin) for begin in range(0, length, step)]
        for length, step in zip(whole, part, strict=True)
    ]
    for bands in lengths[0]:
        for rows in lengths[1]:
            for columns in lengths[2]:
                yield bands, rows, columns


def geedim_tile(whole: Shape) -> Shape:
    """Shape of a tile by geedim's rule."""
    smallest, left = (1, 512, 512), list(whole)
    for axis in range(3):
        fits = (whole[axis] / smallest[axis]) * (4 * 2**20 / (math.prod(left) * ITEM))
        left[axis] = min(max(smallest[axis] * math.floor(fits), min(whole[axis], smallest[axis])), whole[axis])
    return left[0], left[1], left[2]


def geedim_own(whole: Shape) -> Shape:
    """Shape of a tile by geedim itself, which knows an image by its size and type."""
    from geedim.tile import Tiler

    image = SimpleNamespace(dtype="uint16", count=whole[0], shape=whole[1:])
    shape: Any = Tiler._get_tile_shape(SimpleNamespace(_im=image))
    return tuple(shape)


def xee_chunk(size: int) -> Shape:
    """Months, rows and columns of a chunk by Xee's rule."""
    power = 10 * (math.log2(LARGEST_BYTES) // 10)
    side = (power - math.ceil(math.log2(size + MASK_BYTES))) / 2
    return round(LARGEST_BYTES / 2**power), 2 ** math.floor(side), 2 ** math.ceil(side)


def xee_own(size: int) -> Shape:
    """The same by Xee itself."""
    from xee.ext import EarthEngineStore

    chunk = EarthEngineStore._auto_chunks(size)
    return chunk["index"], chunk["height"], chunk["width"]


def peers() -> dict[str, tuple[Planner, str, bool]]:
    """Name -> planner, version, and whether its own code was asked."""
    found: dict[str, tuple[Planner, str, bool]] = {}
    installed = {name: importlib.util.find_spec(name) is not None for name in ("geedim", "xee")}
    tile = geedim_own if installed["geedim"] else geedim_tile
    chunk = (xee_own if installed["xee"] else xee_chunk)(ITEM)

    def geedim(height: int, width: int) -> Iterator[Shape]:
        whole = (MONTHS * BANDS, height, width)
        yield from cut(whole, tile(whole))

    def xee(height: int, width: int) -> Iterator[Shape]:
        for _ in range(BANDS):
            yield from cut((MONTHS, height, width), chunk)

    for name, planner, version in (("geedim", geedim, "2.0.0"), ("xee", xee, "0.1.2")):
        own = installed[name]
        found[name] = planner, importlib.metadata.version(name) if own else version, own
    return found


def count(planner: Planner, sites: list[tuple[int, int]]) -> dict[str, Any]:
    """Requests of a planner for all sites, how full they are, and how long planning took."""
    start = time.perf_counter()
    shapes = [shape for height, width in sites for shape in planner(height, width)]
    seconds = time.perf_counter() - start
    full = [math.prod(shape) * (ITEM + MASK_BYTES) / LARGEST_BYTES for shape in shapes]
    values = sum(math.prod(shape) for shape in shapes)
    if values != sum(MONTHS * BANDS * height * width for height, width in sites):
        raise SystemExit("a planner leaves pixels out, or asks for some twice")
    return {
        "requests": len(full),
        "mean_full": round(sum(full) / len(full), 3),
        "least_full": round(min(full), 3),
        "most_full": round(max(full), 3),
        "seconds": round(seconds, 3),
    }


def main() -> None:
    """Plan with all, print a table, check the aims and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--sites", type=int, default=100, help="number of sites")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/request_planning.json"))
    arguments = parser.parse_args()
    sites = sizes(arguments.sites)
    workload = f"{len(sites)} sites x {MONTHS} months x {BANDS} bands, uint16"
    mine = count(ours, sites)
    rows = {name: (count(planner, sites), version, own) for name, (planner, version, own) in peers().items()}
    print(f"{workload}\n{'':24}{'requests':>10}{'mean full':>11}{'least':>8}{'most':>8}{'seconds':>9}")
    for label, row in [("cropflow", mine)] + [(f"{n} {v}{'' if o else ' (rule)'}", r) for n, (r, v, o) in rows.items()]:
        print(
            f"{label:24}{row['requests']:10}{row['mean_full']:11.1%}{row['least_full']:8.1%}{row['most_full']:8.1%}"
            f"{row['seconds']:9.3f}"
        )
    content = {
        "workload": workload,
        "ours": mine,
        "peers": {name: {**row, "version": version, "own_code": own} for name, (row, version, own) in rows.items()},
        "ratio_to_fewest": round(min(row["requests"] for row, _, _ in rows.values()) / mine["requests"], 2),
        "equal": True,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    fewest = min(row["requests"] for row, _, _ in rows.values())
    if mine["requests"] >= fewest or mine["mean_full"] < 0.8 or mine["most_full"] > 1:
        raise SystemExit("expected fewer requests than every peer, each within the limit, 80 % full in the mean")


if __name__ == "__main__":
    main()
