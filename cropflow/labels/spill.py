"""Tables that wait on disk: written piece by piece, read piece by piece, never in memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow


class SpillFile:
    """A file of Arrow tables of one schema, closed when its block ends.

    Attributes:
        path: Where it lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._schema: pyarrow.Schema | None = None
        self._writer: pyarrow.ipc.RecordBatchFileWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, table: pyarrow.Table) -> None:
        """Add a table."""
        batch = table.combine_chunks().to_batches()
        if batch:
            if self._writer is None:
                self._schema = table.schema
                self._writer = pyarrow.ipc.new_file(str(self.path), table.schema)
            self._writer.write_batch(batch[0])

    @property
    def schema(self) -> pyarrow.Schema:
        """Of the tables, when there are any."""
        if self._schema is None:
            raise ValueError(f"nothing was written to {self.path.name}")
        return self._schema

    def read(self, columns: list[str] | None = None) -> Iterator[pyarrow.Table]:
        """The tables, in order, when writing has ended; some columns of them where these are named."""
        if self._schema is None:
            return
        # Not mapped into memory: pages of the file would count as memory of the process.
        with pyarrow.OSFile(str(self.path)) as source:
            places = None if columns is None else sorted(self._schema.get_field_index(name) for name in columns)
            reader = pyarrow.ipc.open_file(source, options=pyarrow.ipc.IpcReadOptions(included_fields=places))
            for number in range(reader.num_record_batches):
                yield pyarrow.Table.from_batches([reader.get_batch(number)])
