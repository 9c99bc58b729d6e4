"""What is remembered of a register while its parcels wait on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas
import pyarrow
import pyarrow.compute as pc
import pyproj
import shapely
from numpy.typing import NDArray

from cropflow.config.registers import Cleaning
from cropflow.labels.counts import Count, count, count_by
from cropflow.labels.hilbert import hilbert_distance
from cropflow.labels.outlines import canonical
from cropflow.labels.parcels import judge, repeated, stripped, unique_ids
from cropflow.labels.registers.stream import decoded
from cropflow.labels.spill import SpillFile

_GEOMETRY_TYPES = {3: "Polygon", 6: "MultiPolygon"}


@dataclass(frozen=True)
class Entry:
    """A piece of a register, judged.

    Attributes:
        table: The parcels that stay so far: columns as read, with ``area_ha`` and ``bbox``; geometry repaired.
        read: All parcels of the piece.
        dropped: Reason -> those that go.
        bounds: Of those that stay, ``(parcel, 4)``.
        repaired: Of those that stay, ``(parcel,)``.
        types: Numbers of the geometry types that occur.
    """

    table: pyarrow.Table
    read: Count
    dropped: dict[str, Count]
    bounds: NDArray[np.float64]
    repaired: NDArray[np.bool_]
    types: frozenset[int]

    @classmethod
    def of(cls, piece: pyarrow.Table, crs: pyproj.CRS, settings: Cleaning) -> Self:
        """Judge a piece, see :func:`cropflow.labels.parcels.judge`."""
        geometries, as_read = decoded(piece["geometry"])
        judged = judge(geometries, stripped(_text(piece["crop_code"])), crs, settings)
        alive = judged.reason == 0
        kept = judged.geometries[alive]
        bounds = shapely.bounds(kept)
        # Outlines that nothing was done to keep the bytes that they came with.
        changed = judged.changed[alive] if as_read else np.ones(len(kept), dtype=np.bool_)
        table = piece.filter(pyarrow.array(alive))
        wkb = pyarrow.array(shapely.to_wkb(kept[changed]), pyarrow.binary())
        geometry = pc.replace_with_mask(table["geometry"].combine_chunks(), pyarrow.array(changed), wkb)
        table = table.set_column(table.schema.get_field_index("geometry"), "geometry", geometry)
        table = table.append_column("area_ha", pyarrow.array(judged.area_ha[alive]))
        bbox = pyarrow.StructArray.from_arrays(list(bounds.T.copy()), names=["xmin", "ymin", "xmax", "ymax"])
        return cls(
            table.append_column("bbox", bbox),
            count(judged.area_ha),
            judged.dropped(),
            bounds,
            judged.repaired[alive],
            frozenset(np.unique(shapely.get_type_id(kept)).tolist()),
        )


def _text(values: pyarrow.ChunkedArray) -> pandas.Series:
    return pandas.Series(values.to_pandas(), dtype="str")


def _mixed(bounds: NDArray[np.float64]) -> NDArray[np.uint64]:
    """One number per box: equal for equal boxes, and seldom for others. -0 counts as 0."""
    bits = (bounds + 0.0).view(np.uint64)
    result = np.zeros(len(bounds), dtype=np.uint64)
    for column in range(4):
        result = (result ^ bits[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        result ^= result >> np.uint64(29)
    return result


def _mixed_text(texts: pyarrow.StringArray) -> NDArray[np.uint64]:
    """One number per text: equal for equal texts, and seldom for others."""
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    letters = np.frombuffer(data or b"", dtype=np.uint8)
    start, length = ends[:-1], np.diff(ends)
    result = length.astype(np.uint64)
    for place in range(int(length.max(initial=0))):
        long = np.flatnonzero(length > place)
        result[long] = (result[long] ^ letters[start[long] + place]) * np.uint64(0x100000001B3)
    return result


class Ledger:
    """The parcels that stayed when they were judged, in the order of the register: one row each.

    Attributes:
        read: All parcels.
        dropped: Reason -> parcels.
        bounds: Of all rows.
        x: Centres of the bounds, ``(row,)``, when the ledger is closed.
        y: The same of the other axis.
        area_ha: Hectares, ``(row,)``.
        kept: False for repeated outlines, ``(row,)``.
    """

    def __init__(self) -> None:
        self.read = Count()
        self.dropped: dict[str, Count] = {}
        self.bounds = (np.inf, np.inf, -np.inf, -np.inf)
        self._types: set[int] = set()
        self._codes: dict[str, int] = {}
        self._ids: list[pyarrow.Array] = []
        self._pieces: list[tuple[NDArray[np.generic], ...]] = []

    def add(self, entry: Entry) -> None:
        """Note a piece."""
        self.read += entry.read
        for reason, number in entry.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, Count()) + number
        if not len(entry.table):
            return
        low, high = entry.bounds[:, :2].min(axis=0), entry.bounds[:, 2:].max(axis=0)
        old = self.bounds
        self.bounds = (min(old[0], low[0]), min(old[1], low[1]), max(old[2], high[0]), max(old[3], high[1]))
        self._types |= entry.types
        ids = entry.table["parcel_id"].combine_chunks()
        self._ids.append(ids)
        names = entry.table["crop_code"].combine_chunks().dictionary_encode()
        numbers = [self._codes.setdefault(code, len(self._codes)) for code in names.dictionary.to_pylist()]
        middle = (entry.bounds[:, :2] + entry.bounds[:, 2:]) / 2
        self._pieces.append(
            (
                middle[:, 0].copy(),
                middle[:, 1].copy(),
                entry.table["area_ha"].to_numpy(),
                np.array(numbers, dtype=np.int32)[names.indices.to_numpy()],
                _mixed(entry.bounds),
                _mixed_text(ids),
                entry.repaired,
            )
        )

    def close(self) -> None:
        """Put the pieces together."""
        kinds = (np.float64, np.float64, np.float64, np.int32, np.uint64, np.uint64, np.bool_)
        empty = tuple(np.empty(0, kind) for kind in kinds)
        columns = [np.concatenate(parts) for parts in zip(empty, *self._pieces, strict=True)]
        self._pieces.clear()
        self.x, self.y, self.area_ha, self._code, self._box, self._name, self._repaired = columns
        self.kept = np.ones(len(self.x), dtype=np.bool_)
        self._id = pyarrow.chunked_array(self._ids, pyarrow.string())
        self._ids.clear()

    @property
    def geometry_types(self) -> list[str]:
        """Names of the types that occur."""
        return [_GEOMETRY_TYPES[number] for number in self._types]

    def codes(self) -> dict[str, Count]:
        """Code -> parcels that stay."""
        names = np.array(list(self._codes), dtype=object)
        found = count_by(self._code[self.kept], self.area_ha[self.kept])
        return {str(names[number]): counted for number, counted in found.items()}

    def repaired(self) -> int:
        """Parcels that stay and were mended."""
        return int(self._repaired[self.kept].sum())

    def drop_repeated(self, judged: SpillFile) -> None:
        """Drop outlines that occur again; of those that share their bounds, the outlines are read."""
        rows = _shared(self._box)
        if not len(rows):
            return
        # 16 bytes stand for an outline: two outlines with the same ones are not to be found.
        shapes = np.empty((len(rows), 2), dtype=np.uint64)
        start = done = 0
        for table in judged.read(["geometry"]):
            upto = int(np.searchsorted(rows, start + len(table)))
            wkb = table["geometry"].take(rows[done:upto] - start)
            digests = [hashlib.blake2b(shape, digest_size=16).digest() for shape in canonical(decoded(wkb)[0])]
            shapes[done:upto] = np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, 2)
            start, done = start + len(table), upto
        order = pc.sort_indices(self._id.take(rows)).to_numpy()
        rows, shapes = rows[order], shapes[order]
        names = stripped(pandas.Series(list(self._codes), dtype="str"))
        codes = names.iloc[self._code[rows]].reset_index(drop=True)
        numbers = pandas.Series(np.unique(shapes, axis=0, return_inverse=True)[1].reshape(-1))
        for reason, found in zip(("duplicate", "conflicting"), repeated(numbers, codes), strict=True):
            if found.any():
                self.dropped[reason] = count(self.area_ha[rows[found]])
                self.kept[rows[found]] = False

    def rename(self) -> dict[int, str]:
        """New ids, by row, of parcels that stay and share theirs with others; see :func:`.parcels.unique_ids`."""
        kept = np.flatnonzero(self.kept)
        rows = kept[_shared(self._name[kept])]
        if not len(rows):
            return {}
        # New names have a "#": only ids that have one as well can stand in their way.
        marked = np.flatnonzero(pc.match_substring(self._id, "#").to_numpy() & self.kept)
        rows = np.union1d(rows, marked)
        ids = self._id.take(rows)
        order = pc.sort_indices(ids).to_numpy()
        old = pandas.Series(ids.take(order).to_pandas(), dtype="str")
        new = unique_ids(old)
        changed = np.flatnonzero((new != old).to_numpy())
        return dict(zip(rows[order[changed]].tolist(), new.iloc[changed].tolist(), strict=True))

    def places(self) -> NDArray[np.int64]:
        """Place of each row in the result, along the curve and then by id; -1 for those that go."""
        ranges = (
            self.x.min(where=self.kept, initial=np.inf), self.y.min(where=self.kept, initial=np.inf),
            self.x.max(where=self.kept, initial=-np.inf), self.y.max(where=self.kept, initial=-np.inf),
        )  # fmt: skip
        distance = hilbert_distance(self.x, self.y, ranges)
        order = np.argsort(distance, kind="stable")
        order = order[self.kept[order]]
        ties = _ties(distance[order])
        if len(ties):
            rows = order[ties]
            tied = pyarrow.table({"distance": distance[rows], "id": self._id.take(rows)})
            order[ties] = rows[pc.sort_indices(tied, [("distance", "ascending"), ("id", "ascending")]).to_numpy()]
        result = np.full(len(self.kept), -1, dtype=np.int64)
        result[order] = np.arange(len(order))
        return result


def _ties(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """Positions in sorted values that share their value with a neighbour, ascending."""
    again = values[1:] == values[:-1]
    return np.flatnonzero(np.concatenate([again, [False]]) | np.concatenate([[False], again]))


def _shared(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Positions of values that occur more than once, ascending."""
    order = np.argsort(values)
    return np.sort(order[_ties(values[order])])
