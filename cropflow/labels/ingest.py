"""Clean a register of any size: what :func:`cropflow.labels.parcels.clean` does, in memory that hardly grows with it.

1. Pieces of the register are judged by several threads, and what stays is written to disk with its bounds. Only some
   70 bytes of a parcel remain in memory: where it lies, its area and code, a number made of its bounds.
2. Parcels that share their bounds are read again and compared; parcels that share an id get a new one; all get their
   place along the Hilbert curve.
3. The parcels are dealt to one file per stretch of the curve, and each stretch is sorted and written.

The result does not depend on the size of the pieces nor on the number of threads.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow
import pyarrow.compute as pc
import pyproj
from numpy.typing import NDArray
from tqdm import tqdm

from cropflow.config.registers import Cleaning
from cropflow.errors import CropflowError
from cropflow.files.atomic import scratch_folder
from cropflow.files.tables import ROW_GROUP, geotable_writer
from cropflow.labels.ledger import Entry, Ledger
from cropflow.labels.parcels import NOTHING_READ, result_columns, summarised
from cropflow.labels.placing import check_place
from cropflow.labels.registers.stream import PLACE, ParcelStream
from cropflow.labels.spill import SpillFile

# At most so many stretches of the curve, each a file that is sorted in memory: files that one process may hold open.
MOST_STRETCHES = 256
# Bytes of a parcel of fifty corners while it waits; for a while two copies of it do.
_WAITING_BYTES = 1_000

Item = TypeVar("Item")
Result = TypeVar("Result")


def ingest(
    parcels: ParcelStream,
    output: Path | str,
    settings: Cleaning | None = None,
    workers: int = 2,
    row_group: int = ROW_GROUP,
) -> dict[str, Any]:
    """Clean a register and write it as GeoParquet.

    Args:
        parcels: The register.
        output: File to write; what waits lies in a hidden folder beside it.
        settings: Thresholds, m2 and m.
        workers: Threads that judge pieces.
        row_group: Rows of a row group.

    Returns:
        The summary; see :func:`cropflow.labels.parcels.clean`.

    Raises:
        CropflowError: If there are no parcels, none is left, they lie far from where their CRS is used, or the disk is
            too small.
    """
    settings = settings or Cleaning()
    with scratch_folder(output) as folder, ThreadPoolExecutor(workers) as pool:
        _check_disk(folder, parcels.rows)
        ledger = Ledger()
        with (
            SpillFile(folder / "judged.arrow") as judged,
            tqdm(total=parcels.rows, desc="parcels", disable=None) as bar,
        ):
            pieces = in_order(pool, lambda piece: Entry.of(piece, parcels.crs, settings), parcels.pieces, workers + 1)
            for entry in pieces:
                ledger.add(entry)
                judged.write(entry.table)
                bar.update(entry.read.parcels)
        if not ledger.read.parcels:
            raise CropflowError(NOTHING_READ)
        ledger.close()
        _give_back()
        ledger.drop_repeated(judged)
        renamed = ledger.rename()
        summary = summarised(ledger.read, ledger.dropped, ledger.codes(), ledger.repaired(), len(renamed))
        check_place(parcels.crs, ledger.x[ledger.kept], ledger.y[ledger.kept])
        place = ledger.places()
        _give_back()
        stretches = _dealt(folder, judged, place, renamed, row_group)
        judged.path.unlink()
        _give_back()
        _write(pool, output, stretches, parcels.crs, ledger, row_group)
    return summary


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map by threads, in order, with at most some items in flight, so that memory stays bounded."""
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _give_back() -> None:
    """Return memory that is kept for later use, by Arrow and by the C library, before the next step takes its own."""
    for pool in (pyarrow.default_memory_pool(), pyarrow.system_memory_pool()):
        pool.release_unused()


def _check_disk(folder: Path, rows: int) -> None:
    free, needed = shutil.disk_usage(folder).free, 2 * rows * _WAITING_BYTES
    if needed > free:
        raise CropflowError(
            f"{folder.parent} has {free / 1e9:.1f} GB free; cleaning {rows} parcels takes up to {needed / 1e9:.1f} GB "
            "there for a while. Free some space, or run in a folder on a larger disk."
        )


def _dealt(
    folder: Path, judged: SpillFile, place: NDArray[np.int64], renamed: dict[int, str], row_group: int
) -> list[SpillFile]:
    """Deal the parcels that stay to files, one per stretch of the curve, each row with its place."""
    groups = int(place.max()) // row_group + 1
    stretch = row_group * -(-groups // MOST_STRETCHES)
    count = -(-groups * row_group // stretch)
    files = [SpillFile(folder / f"stretch_{number:05d}.arrow") for number in range(count)]
    with ExitStack() as open_:
        for file in files:
            open_.enter_context(file)
        start = 0
        # As many rows at a time as a stretch has: fewer would leave a row or two for each.
        for table in _gathered(judged.read(), stretch):
            here = place[start : start + len(table)]
            table = _with_new_ids(table, start, renamed).append_column(PLACE, pyarrow.array(here))
            start += len(table)
            order = np.argsort(here, kind="stable")
            order = order[here[order] >= 0]
            table, numbers = table.take(order), here[order] // stretch
            cuts = np.flatnonzero(np.diff(numbers)) + 1
            for begin, end in zip([0, *cuts], [*cuts, len(numbers)], strict=True):
                if end > begin:
                    files[numbers[begin]].write(table.slice(begin, end - begin))
            _give_back()
    return files


def _gathered(tables: Iterable[pyarrow.Table], rows: int) -> Iterator[pyarrow.Table]:
    """Tables of at least some rows each, but for the last."""
    waiting: list[pyarrow.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= rows:
            yield pyarrow.concat_tables(waiting)
            waiting.clear()
    if waiting:
        yield pyarrow.concat_tables(waiting)


def _with_new_ids(table: pyarrow.Table, start: int, renamed: dict[int, str]) -> pyarrow.Table:
    rows = [row for row in range(start, start + len(table)) if row in renamed] if renamed else []
    if not rows:
        return table
    mask = np.zeros(len(table), dtype=np.bool_)
    mask[np.array(rows) - start] = True
    ids = pc.replace_with_mask(
        table["parcel_id"].combine_chunks(), pyarrow.array(mask), pyarrow.array([renamed[row] for row in rows])
    )
    return table.set_column(table.schema.get_field_index("parcel_id"), "parcel_id", ids)


def _write(
    pool: ThreadPoolExecutor,
    output: Path | str,
    stretches: list[SpillFile],
    crs: pyproj.CRS,
    ledger: Ledger,
    row_group: int,
) -> None:
    """Sort every stretch and write it; the next one is sorted meanwhile."""
    schema = stretches[0].schema
    fields = [schema.field(name) for name in _names(schema)]
    result = pyarrow.schema(fields, schema.metadata)
    with geotable_writer(output, result, crs, ledger.geometry_types, ledger.bounds) as writer:
        for table in in_order(pool, _sorted, stretches, 1):
            writer.write_table(table, row_group_size=row_group)
            del table
            _give_back()


def _sorted(stretch: SpillFile) -> pyarrow.Table:
    table = pyarrow.concat_tables(stretch.read())
    stretch.path.unlink()
    order = np.argsort(table[PLACE].to_numpy(), kind="stable")
    return table.select(_names(table.schema)).take(order)


def _names(schema: pyarrow.Schema) -> list[str]:
    """Columns of the result, in order."""
    return [*result_columns(name for name in schema.names if name not in (PLACE, "bbox")), "bbox"]
