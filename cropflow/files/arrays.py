"""Arrays that are mapped into memory, once the file holds all that its header says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError


def map_array(path: Path, expected: str = "an array") -> NDArray[Any]:
    """Map a ``.npy`` file into memory.

    Args:
        path: The file; pickled objects are not opened.
        expected: Its dtype and shape, for messages.

    Returns:
        The array, read-only, unless it is empty.

    Raises:
        CropflowError: If it is missing, cut off, or no array.
    """
    if not path.is_file():
        raise CropflowError(f"{path} is missing; expected {expected}. Build or import the samples again.")
    try:
        # An array without a single sample cannot be mapped.
        array: NDArray[Any] = np.load(path, mmap_mode=None if _is_empty(path) else "r", allow_pickle=False)
    except (ValueError, EOFError):
        raise CropflowError(
            f"{path} holds {path.stat().st_size} bytes, which are no whole array; expected {expected}. Build or import "
            "the samples again, or copy the file again."
        ) from None
    return array


def _is_empty(path: Path) -> bool:
    with path.open("rb") as handle:
        version = np.lib.format.read_magic(handle)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return 0 in read(handle)[0]
