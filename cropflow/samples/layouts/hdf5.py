"""HDF5 files of published layouts, opened and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from cropflow.errors import CropflowError, listing


def find_file(path: Path) -> Path:
    """The HDF5 file itself, or the only one of a folder.

    Raises:
        CropflowError: If there is none, or several.
    """
    if path.is_file():
        return path
    found = sorted(file for file in path.glob("*") if file.suffix in (".h5", ".hdf5", ".hdf"))
    if len(found) != 1:
        raise CropflowError(
            f"{path} holds {len(found)} HDF5 files ({listing(file.name for file in found) or 'none'}); expected one. "
            "Name the file as --source."
        )
    return found[0]


@contextmanager
def open_arrays(path: Path, names: Sequence[str]) -> Iterator[Any]:
    """Open a file for reading.

    Args:
        path: The file.
        names: Datasets that it must have; of equal length along the first axis.

    Raises:
        CropflowError: If it is no HDF5 file (a Git LFS pointer, for example), or lacks one of them.
    """
    try:
        file = h5py.File(path, "r")
    except OSError:
        size = path.stat().st_size
        raise CropflowError(
            f"{path} ({size} bytes) is no HDF5 file; expected the data themselves. Where it is a pointer of Git LFS, "
            "run git lfs pull."
        ) from None
    with file:
        lacking = [name for name in names if not isinstance(file.get(name), h5py.Dataset) or not file[name].shape]
        if lacking:
            raise CropflowError(f"{path} lacks {listing(lacking)}; it holds {listing(file) or 'nothing'}.")
        lengths = {name: len(file[name]) for name in names}
        if len(set(lengths.values())) > 1:
            told = listing(f"{name} {length}" for name, length in lengths.items())
            raise CropflowError(f"{path} has arrays of different lengths: {told}; expected one row per record in each.")
        yield file


def texts(dataset: Any) -> list[str]:
    """A dataset of strings."""
    return [value.decode() if isinstance(value, bytes) else str(value) for value in dataset[:]]
