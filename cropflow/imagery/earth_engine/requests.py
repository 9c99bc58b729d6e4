"""Plan requests to Earth Engine: as few as its limits allow, each as full as the next, and what they may cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from cropflow.errors import CropflowError
from cropflow.imagery.sources import Request

# Of a request for pixels: bytes before compression, a byte of mask per pixel and band included; pixels a side; bands.
LARGEST_BYTES = 48 * 2**20
LONGEST_SIDE = 32_768
MOST_BANDS = 1024
MASK_BYTES = 1
# A part of the bytes is left free: the header of the answer, and the pixel more that coarser grids take at an edge.
USED_SHARE = 0.99
# So many times the fewest requests are taken where it makes better parts.
MORE_REQUESTS = 1.05
# 10,000 x 10,000 pixels of two float32 bands of Sentinel-1, 800 MB, take some 5,000 EECU-seconds to export.
EECU_SECONDS_PER_BYTE = 5000 / (10_000 * 10_000 * 2 * 4)


@dataclass(frozen=True)
class Sent:
    """How a layer is sent.

    Attributes:
        bytes: Bytes of a value, without its mask.
        pixels: Pixels sent per pixel of the grid: 0.25 for a layer of 20 m on a grid of 10 m.
    """

    bytes: int
    pixels: float = 1.0

    @property
    def weight(self) -> float:
        """Bytes that count towards the limit, per pixel of the grid."""
        return (self.bytes + MASK_BYTES) * self.pixels


@dataclass(frozen=True)
class _Cut:
    """How a stack is cut: into groups of layers, and into rows and columns of parts of the grid."""

    groups: list[list[str]]
    rows: int
    columns: int
    perimeter: int

    @property
    def requests(self) -> int:
        return len(self.groups) * self.rows * self.columns

    @property
    def rank(self) -> tuple[int, int, int]:
        """The lowest is best: whole grids, then square parts, cost the service the fewest tiles of its own."""
        return self.rows * self.columns, self.perimeter, self.requests


def plan_requests(layers: Mapping[str, Sent], height: int, width: int) -> list[Request]:
    """Cut a stack of layers on a grid into requests that keep the limits of the service.

    There are as few requests as possible, or up to one in twenty more where that makes fewer or squarer parts of the
    grid: the service works in tiles of its own, and a stack of narrow strips would have it read each of them often.
    Parts differ by one row and one column at most, so that no request is a small remainder, and groups of layers keep
    their order.

    Args:
        layers: Name -> how it is sent; for a series of composites, one layer per period and band.
        height: Rows of the grid.
        width: Columns of the grid.

    Returns:
        Requests by part, from the upper left, then by group; together they cover each layer once. Their ``bytes`` are
        those sent before compression, without masks.
    """
    if not layers:
        return []
    cut = _best_cut(layers, height, width)
    found = []
    for (top, bottom), (left, right) in product(_edges(height, cut.rows), _edges(width, cut.columns)):
        for group in cut.groups:
            pixels = (bottom - top) * (right - left)
            size = sum(layers[name].bytes * layers[name].pixels for name in group) * pixels
            found.append(Request(tuple(group), top, left, bottom - top, right - left, math.ceil(size)))
    return found


def _best_cut(layers: Mapping[str, Sent], height: int, width: int) -> _Cut:
    found: list[_Cut] = []
    fewest = math.inf
    for count in range(math.ceil(len(layers) / MOST_BANDS), len(layers) + 1):
        if count > MORE_REQUESTS * fewest:
            break
        groups = _grouped(layers, count)
        if max(len(group) for group in groups) > MOST_BANDS:
            continue
        heaviest = max(sum(layers[name].weight for name in group) for group in groups)
        room = int(LARGEST_BYTES * USED_SHARE / heaviest)
        for columns in range(math.ceil(width / LONGEST_SIDE), width + 1):
            if count * columns > MORE_REQUESTS * fewest:
                break
            part_width = math.ceil(width / columns)
            longest = min(room // part_width, LONGEST_SIDE)
            if longest < 1:
                continue
            rows = math.ceil(height / longest)
            found.append(_Cut(groups, rows, columns, math.ceil(height / rows) + part_width))
            fewest = min(fewest, found[-1].requests)
    if not found:
        raise CropflowError("A pixel of one layer is larger than a request to Earth Engine may be.")
    return min((cut for cut in found if cut.requests <= MORE_REQUESTS * fewest), key=lambda cut: cut.rank)


def _grouped(layers: Mapping[str, Sent], count: int) -> list[list[str]]:
    """Deal layers, in order, to groups of about the same weight, none of them empty."""
    total = sum(sent.weight for sent in layers.values())
    groups: list[list[str]] = [[] for _ in range(count)]
    current, before = 0, 0.0
    for position, (name, sent) in enumerate(layers.items()):
        share = int((before + sent.weight / 2) / total * count)
        # No group is passed over, and as many layers must be left as there are groups behind.
        highest = current + 1 if groups[current] else current
        lowest = max(current, count - (len(layers) - position))
        current = min(max(share, lowest), highest, count - 1)
        groups[current].append(name)
        before += sent.weight
    return groups


def _edges(length: int, count: int) -> Iterator[tuple[int, int]]:
    """Begin and end of parts that differ by one at most."""
    for position in range(count):
        yield position * length // count, (position + 1) * length // count


def estimate_eecu_hours(size: float) -> float:
    """Estimate what Earth Engine counts for sending pixels.

    Proportional to the bytes, after the one figure published for an export of stored pixels. What the service counts
    depends on its load and on what is computed, so this is an order of magnitude; composites made on the service read
    every scene behind them, so give it the bytes of the scenes and not those of the composites.

    Args:
        size: Bytes before compression, such as the sum of :attr:`Request.bytes`.

    Returns:
        EECU-hours, of which the free tier has 150 a month.

    Source:
        The documentation of rslearn's data source ``google_earth_engine.GEE``, whose example is Sentinel-1.
    """
    return size * EECU_SECONDS_PER_BYTE / 3600
