"""A simulated register of a whole country in the schema of the French one: for trying what ingests it, not for maps.

Parcels lie on a jittered grid over metropolitan France. Crops follow the styles of the landscapes, sizes are
log-normal around the mean of the crop, outlines have ten corners. As real registers do, it holds invalid outlines,
outlines declared twice and slivers. Nothing of it is held in memory but one batch, and the same seed gives the same
bytes. Neighbours may overlap: this register has no truth of its own, which :mod:`cropflow.simulation.register` has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyogrio
import shapely
from numpy.typing import NDArray
from tqdm import tqdm

from cropflow.files.atomic import atomic_file
from cropflow.simulation.crops import CROPS, STYLES
from cropflow.simulation.fields import HECTARE_M2
from cropflow.simulation.noise import generator
from cropflow.simulation.register import CATCH_CROPS, COLUMNS, EPSG
from cropflow.simulation.rpg_file import LAYER, standing_clock

CORNERS = 10
BATCH = 100_000
# Ids have eight digits, so that their order as text is that of the file.
FIRST_ID = 10_000_000
# Standard deviation of the logarithm of areas within a crop: a few parcels of 20 ha beside many of 1 ha.
SIGMA = 0.9
SMALLEST_HA, LARGEST_HA = 0.02, 60.0
# Share of the parcels that repeat the one before them (of these, some with another code), that cross themselves, that
# are slivers, and that are smaller than any parcel.
REPEATED, OTHER_CODE, CROSSED, SLIVER, TINY = 0.001, 0.3, 0.002, 0.001, 0.0005
CATCH_CROP, SECOND_CATCH_CROP = 0.08, 0.1
# A coarse outline of metropolitan France without Corsica, EPSG:2154, km.
OUTLINE_KM = (
    (650, 7105), (830, 6980), (1080, 6870), (1040, 6730), (940, 6570), (1000, 6530), (1075, 6305), (895, 6245),
    (700, 6150), (600, 6160), (315, 6260), (380, 6500), (375, 6570), (300, 6660), (150, 6780), (125, 6850),
    (330, 6860), (360, 6965), (490, 6935), (560, 6985), (610, 7090),
)  # fmt: skip
# South of the first line is the southern style; west of the second, in km, the livestock style.
SOUTHERN_KM, LIVESTOCK_KM = 6450, 480


@dataclass(frozen=True)
class _Cells:
    """Grid cells inside the outline, row by row.

    Attributes:
        spacing_m: Side of a cell.
        first: Number of the first cell of each run of cells, and the number of all at the end, ``(run + 1,)``.
        x_m: Centre of each run's first cell, ``(run,)``.
        y_m: Centre of its row, ``(run,)``.
    """

    spacing_m: float
    first: NDArray[np.int64]
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]

    def centres(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Centres of cells by their numbers, m, ``(cell, 2)``."""
        run = np.searchsorted(self.first, numbers, side="right") - 1
        x = self.x_m[run] + (numbers - self.first[run]) * self.spacing_m
        return np.column_stack([x, self.y_m[run]])


def _cells(parcels: int) -> _Cells:
    """The coarsest tried grid that has a cell for every parcel."""
    outline = shapely.Polygon(np.array(OUTLINE_KM) * 1000.0)
    west, south, east, north = outline.bounds
    spacing = float(np.sqrt(outline.area / parcels))
    while True:
        y = np.arange(south + spacing / 2, north, spacing)
        lines = shapely.linestrings([[(west - 1, each), (east + 1, each)] for each in y])
        runs, row = shapely.get_parts(shapely.intersection(lines, outline), return_index=True)
        bounds = shapely.bounds(runs)
        count = np.floor((bounds[:, 2] - bounds[:, 0]) / spacing).astype(np.int64)
        if count.sum() >= parcels:
            first = np.concatenate([[0], np.cumsum(count)])
            return _Cells(spacing, first, bounds[:, 0] + spacing / 2, y[row])
        spacing *= 0.995


def _stride(cells: int) -> int:
    """A step through all cells that shares no factor with their number, about the golden section of it."""
    step = int(cells * 0.6180339887) | 1
    while np.gcd(step, cells) != 1:
        step += 2
    return step


def _styles(centres: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index into the styles of the landscapes by place, ``(parcel,)``."""
    x, y = centres[:, 0] / 1000, centres[:, 1] / 1000
    cereal, livestock, southern = (STYLES.index(name) for name in ("cereal", "livestock", "southern"))
    return np.where(y < SOUTHERN_KM, southern, np.where(x < LIVESTOCK_KM, livestock, cereal))


def _crops(styles: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Index of each parcel's crop: shares of area, divided by mean sizes, are shares of parcels."""
    result = np.empty(len(styles), dtype=np.int64)
    for index, style in enumerate(STYLES):
        weights = np.array([crop.shares[style] / crop.mean_area_ha for crop in CROPS.values()])
        here = styles == index
        result[here] = rng.choice(len(CROPS), int(here.sum()), p=weights / weights.sum())
    return result


def _outlines(
    centres: NDArray[np.float64], areas_m2: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Corners of closed rings, m, ``(parcel, corner + 1, 2)``: stars around their centres, of the areas given."""
    count = len(centres)
    angle = (np.arange(CORNERS) + rng.uniform(-0.3, 0.3, (count, CORNERS))) * (2 * np.pi / CORNERS)
    radius = rng.uniform(0.75, 1.25, (count, CORNERS))
    corners = np.stack([np.cos(angle) * radius, np.sin(angle) * radius], axis=-1)
    stretch = rng.uniform(0.6, 1.0, count)
    corners[:, :, 0] *= stretch[:, None]
    # A few are drawn out into strips; their area stays.
    corners[rng.random(count) < SLIVER] *= (0.05, 20.0)
    after = np.roll(corners, -1, axis=1)
    area = 0.5 * np.abs((corners[:, :, 0] * after[:, :, 1] - after[:, :, 0] * corners[:, :, 1]).sum(axis=1))
    corners *= np.sqrt(areas_m2 / area)[:, None, None]
    crossed = rng.random(count) < CROSSED
    corners[crossed, 1], corners[crossed, 2] = corners[crossed, 2].copy(), corners[crossed, 1].copy()
    # Centimetres, as surveyors have it.
    corners = np.round(corners + centres[:, None, :], 2)
    return np.concatenate([corners, corners[:, :1]], axis=1)


def _batch(start: int, stop: int, cells: _Cells, seed: int) -> pyarrow.Table:
    """The parcels of a range of numbers: columns of the register, and ``geometry`` as WKB."""
    rng = generator(seed, "national register", start)
    count, total = stop - start, int(cells.first[-1])
    numbers = np.arange(start, stop, dtype=np.int64) * _stride(total) % total
    centres = cells.centres(numbers)
    crops = _crops(_styles(centres), rng)
    table = list(CROPS.values())
    mean_ha = np.array([crop.mean_area_ha for crop in table])[crops]
    hectares = np.exp(rng.normal(np.log(mean_ha) - SIGMA**2 / 2, SIGMA)).clip(SMALLEST_HA, LARGEST_HA)
    hectares[rng.random(count) < TINY] = SMALLEST_HA / 10
    jitter = rng.uniform(-0.2, 0.2, centres.shape) * cells.spacing_m
    rings = _outlines(centres + jitter, hectares * HECTARE_M2, rng)
    again = np.flatnonzero(rng.random(count) < REPEATED)
    again = again[again > 0]
    rings[again] = rings[again - 1]
    same = again[rng.random(len(again)) >= OTHER_CODE]
    crops[same] = crops[same - 1]
    outlines = shapely.multipolygons(shapely.polygons(shapely.linearrings(rings)), indices=np.arange(count))
    ploughed = np.array([crop.kind in ("winter", "summer") for crop in table])[crops]
    held = ploughed & (rng.random(count) < CATCH_CROP)
    two = held & (rng.random(count) < SECOND_CATCH_CROP)
    first = rng.integers(len(CATCH_CROPS), size=count)
    names = np.array(CATCH_CROPS, dtype=object)
    columns = (
        (np.arange(start, stop, dtype=np.int64) + FIRST_ID).astype(str),
        np.maximum((shapely.area(outlines) / HECTARE_M2).round(2), 0.01),
        np.array([crop.rpg_code for crop in table], dtype=object)[crops],
        np.array([crop.rpg_group for crop in table], dtype=object)[crops],
        _where(held, names[first]),
        _where(two, names[(first + 1) % len(names)]),
    )
    arrays = {
        name: pyarrow.array(values, pyarrow.float64() if name == "SURF_PARC" else pyarrow.string())
        for name, values in zip(COLUMNS, columns, strict=True)
    }
    return pyarrow.table(arrays | {"geometry": pyarrow.array(shapely.to_wkb(outlines), pyarrow.binary())})


def _where(rows: NDArray[np.bool_], values: NDArray[np.object_]) -> NDArray[np.object_]:
    """The values of some rows, and None in all others."""
    result = np.full(len(rows), None, dtype=object)
    result[rows] = values[rows]
    return result


def write_national_register(path: Path, parcels: int, seed: int = 0) -> None:
    """Write a national register as a GeoPackage.

    Args:
        path: File to write, ``.gpkg``; one layer of MultiPolygons in EPSG:2154, without a spatial index.
        parcels: Number of parcels, at least 1.
        seed: Seed of all draws.
    """
    cells = _cells(parcels)
    with atomic_file(path) as temporary, standing_clock(), tqdm(total=parcels, desc="parcels", disable=None) as bar:
        for start in range(0, parcels, BATCH):
            stop = min(start + BATCH, parcels)
            pyogrio.write_arrow(
                _batch(start, stop, cells, seed), temporary, layer=LAYER, driver="GPKG", geometry_name="geometry",
                geometry_type="MultiPolygon", crs=f"EPSG:{EPSG}", append=start > 0,
                layer_options=None if start else {"SPATIAL_INDEX": "NO"},
            )  # fmt: skip
            bar.update(stop - start)
