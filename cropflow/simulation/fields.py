"""Lay farmland out on a plane: roads and a river part blocks, blocks are cut into fields, copses and farmsteads.

Everything is straight and convex here; :mod:`cropflow.simulation.outlines` bends it into shape. Fields, cover and
strips tile the rectangle without a gap.

Field areas are about log-normal, median 0.8 ha and sigma 1.4, a quarter below 0.3 ha; the numbers are in
:mod:`cropflow.simulation.land_parameters`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from cropflow.simulation.crops import STYLES
from cropflow.simulation.land_parameters import number, numbers
from cropflow.simulation.partition import Polygon, area, cut, direction, extent, halves, longest_edge_angle

HECTARE_M2 = 10_000.0

FARMLAND, WOODLAND, BUILT, WATER = 0, 1, 2, 3


@dataclass(frozen=True)
class Piece:
    """A convex piece of land.

    Attributes:
        outline: Vertices, metres.
        cover: 0 farmland, 1 woodland, 2 built or road, 3 water.
    """

    outline: Polygon
    cover: int


def draw_areas(total_m2: float, largest_m2: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw field areas that fill a total, stratified so that small landscapes hold small and large fields too.

    Args:
        total_m2: Sum of the areas, m2.
        largest_m2: No field is larger, m2.
        rng: Source of randomness.

    Returns:
        Areas in m2, float64, ``(field,)``, in random order.
    """
    scores = ndtri(numbers("field.area_levels"))
    logs = np.log(np.array(numbers("field.area")) * HECTARE_M2)

    def areas(levels: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.minimum(np.exp(np.interp(ndtri(levels), scores, logs)), largest_m2))

    mean = areas((np.arange(2000) + 0.5) / 2000).mean()
    count = max(1, round(total_m2 / mean))
    drawn = areas((rng.permutation(count) + rng.random(count)) / count)
    return np.asarray(drawn * total_m2 / drawn.sum())


def tile(width_m: float, height_m: float, style: str, rng: np.random.Generator) -> list[Piece]:
    """Cover a rectangle around the origin with pieces of land.

    Args:
        width_m: Width, metres.
        height_m: Height, metres.
        style: Kind of countryside; hedges are commonest in ``livestock``.
        rng: Source of randomness.
    """
    half = np.array([width_m, height_m]) / 2
    rectangle = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=float)
    blocks, pieces = _blocks(rectangle, rng)
    farmed = []
    for block, cover in zip(blocks, _block_covers(blocks, rng), strict=True):
        if cover == FARMLAND:
            farmed.append(block)
        else:
            pieces.append(Piece(block, cover))
    for block, items in zip(farmed, _fill(farmed, rng), strict=True):
        pieces += _divide(block, items, numbers("field.hedges")[STYLES.index(style)], rng)
    return pieces


def _blocks(rectangle: Polygon, rng: np.random.Generator) -> tuple[list[Polygon], list[Piece]]:
    """Cut a rectangle by roads, the first cut of a large one by a river, until the blocks are small enough."""
    angle = rng.uniform(0, math.pi / 2)
    with_river = area(rectangle) > number("block.river_from") * HECTARE_M2
    roads_m, largest_m2 = numbers("block.roads"), number("block.area") * HECTARE_M2
    blocks: list[Polygon] = []
    strips: list[Piece] = []
    waiting = [(rectangle, 0)]
    while waiting:
        polygon, depth = waiting.pop()
        if area(polygon) < largest_m2 * math.exp(rng.normal(0, number("block.area_spread"))):
            blocks.append(polygon)
            continue
        turn = angle + rng.normal(0, math.radians(7))
        one, other = direction(turn), direction(turn + math.pi / 2)
        normal = one if extent(polygon, one) > extent(polygon, other) else other
        river = depth == 0 and with_river
        width = number("block.river") if river else roads_m[min(depth // 2, len(roads_m) - 1)]
        below, strip, above = cut(polygon, normal, rng.uniform(0.35, 0.65), width)
        if strip is not None:
            strips.append(Piece(strip, WATER if river else BUILT))
        waiting += [(above, depth + 1), (below, depth + 1)]
    return blocks, strips


def _block_covers(blocks: Sequence[Polygon], rng: np.random.Generator) -> list[int]:
    """Give whole blocks to woodland, villages and ponds until each has about its share of the area."""
    areas = np.array([area(block) for block in blocks])
    covers = [FARMLAND] * len(blocks)
    shares = zip((WOODLAND, BUILT, WATER), numbers("block.cover"), strict=True)
    left = {cover: share * areas.sum() for cover, share in shares}
    for index in rng.permutation(len(blocks)):
        for cover, rest in left.items():
            # A block that overshoots by more than half of itself stays farmland: small landscapes keep their fields.
            if rest >= areas[index] / 2:
                covers[index] = cover
                left[cover] = rest - areas[index]
                break
    return covers


def _fill(blocks: Sequence[Polygon], rng: np.random.Generator) -> list[list[tuple[float, int]]]:
    """Deal fields, copses and farmsteads out to the blocks, the largest first, each to the emptiest block.

    Returns:
        Per block a list of (area in m2, cover); the areas add up to the block.
    """
    capacity = np.array([area(block) for block in blocks])
    items: list[tuple[float, int]] = []
    for cover, name in ((WOODLAND, "block.copses"), (BUILT, "block.farmsteads")):
        share, median_ha = numbers(name)
        count = round(share * capacity.sum() / (median_ha * HECTARE_M2))
        items += [(float(size), cover) for size in median_ha * HECTARE_M2 * np.exp(rng.normal(0, 0.5, count))]
    rest = capacity.sum() - sum(size for size, _ in items)
    items += [(float(size), FARMLAND) for size in draw_areas(rest, 0.7 * capacity.max(), rng)]
    room = [(-float(size), index) for index, size in enumerate(capacity)]
    heapq.heapify(room)
    filled: list[list[tuple[float, int]]] = [[] for _ in blocks]
    for size, cover in sorted(items, reverse=True):
        space, index = heapq.heappop(room)
        filled[index].append((size, cover))
        heapq.heappush(room, (space + size, index))
    # A block that nothing reached becomes one field.
    filled = [inside or [(size, FARMLAND)] for inside, size in zip(filled, capacity, strict=True)]
    totals = [sum(size for size, _ in inside) for inside in filled]
    return [
        [(size * whole / total, cover) for size, cover in inside]
        for inside, whole, total in zip(filled, capacity, totals, strict=True)
    ]


def _divide(
    block: Polygon, items: list[tuple[float, int]], hedge_share: float, rng: np.random.Generator
) -> list[Piece]:
    """Cut a block into pieces of the given areas, similar sizes side by side."""
    angle = longest_edge_angle(block)
    noise = rng.normal(0, 0.8, len(items))
    order = np.argsort([math.log(size) + shift for (size, _), shift in zip(items, noise, strict=True)])
    pieces: list[Piece] = []
    waiting = [(block, [items[index] for index in order])]
    while waiting:
        polygon, inside = waiting.pop()
        if len(inside) == 1:
            pieces.append(Piece(polygon, inside[0][1]))
            continue
        sizes = [size for size, _ in inside]
        count = halves(sizes, rng)
        share = sum(sizes[:count]) / sum(sizes)
        normal = _cut_direction(polygon, angle + rng.normal(0, math.radians(2)), share, rng)
        hedged = rng.random() < hedge_share and min(share, 1 - share) * area(polygon) > 0.4 * HECTARE_M2
        below, strip, above = cut(polygon, normal, share, number("field.hedge_width") if hedged else 0.0)
        if strip is not None:
            pieces.append(Piece(strip, WOODLAND))
        waiting += [(above, inside[count:]), (below, inside[:count])]
    return pieces


def _cut_direction(polygon: Polygon, angle: float, share: float, rng: np.random.Generator) -> Polygon:
    """The normal of the next cut: mostly across the longer side; lengthwise for strips along a border."""
    one, other = direction(angle), direction(angle + math.pi / 2)
    longer, shorter = (one, other) if extent(polygon, one) > extent(polygon, other) else (other, one)
    length, width = extent(polygon, longer), extent(polygon, shorter)
    small = min(share, 1 - share)
    if small < 0.15:
        # A strip along the border, where it stays wide enough to be a buffer strip.
        lengthwise = 6 < small * width < 20 and rng.random() < 0.5
    else:
        lengthwise = length < 2 * width and rng.random() < 0.35
    return shorter if lengthwise else longer
