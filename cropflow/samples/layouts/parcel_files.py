"""The parcels of layouts that keep each in a file: ``DATA/<parcel>.npy`` and ``META/*.json``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError, refuse
from cropflow.files.atomic import read_json

# Parcels whose values decide what a stored number means.
JUDGED = 32
CONVERSION = """\
# Unpickling runs whatever the file says: do it where you trust the files, not in cropflow.
#   python convert.py DATASET
import json, pathlib, pickle, sys
import numpy

for file in pathlib.Path(sys.argv[1]).rglob("*.pkl"):
    content = pickle.loads(file.read_bytes())
    if file.name.startswith("normvals"):
        file.with_suffix(".json").write_text(json.dumps([numpy.asarray(part).tolist() for part in content]))
    else:
        numpy.save(file.with_suffix(".npy"), numpy.asarray(content), allow_pickle=False)
"""


def refuse_pickles(folder: Path) -> None:
    """Refuse a folder of pickled parcels.

    Raises:
        CropflowError: If it holds any; the message says how to convert them.
    """
    found = next(folder.glob("*.pkl"), None)
    if found is not None:
        refuse(
            "A parcel file", str(found), "arrays in .npy files: a pickle may run anything when it is opened",
            "Where you trust it, run: cropflow samples import --show-conversion > convert.py; "
            f"python convert.py {folder}",
        )  # fmt: skip


def read_parcel(path: Path, bands: int) -> NDArray[Any]:
    """Read a parcel's array.

    Args:
        path: The ``.npy`` file.
        bands: Bands that it must have.

    Returns:
        ``(T, C, S)``: dates, bands, pixels.

    Raises:
        CropflowError: If it holds pickled objects, is damaged, or has other axes.
    """
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise CropflowError(f"{path} is no array of numbers ({error}); expected dates x bands x pixels.") from None
    if values.ndim != 3 or values.shape[1] != bands or values.dtype.kind not in "fiu":
        raise CropflowError(
            f"{path} holds {values.dtype} {values.shape}; expected numbers, dates x {bands} bands x pixels. "
            "Name the bands that it has in bands."
        )
    return values


def some_parcels(paths: Iterable[Path], bands: int) -> Iterator[NDArray[Any]]:
    """The first parcels, to judge what their numbers mean."""
    return (read_parcel(path, bands) for path in islice(paths, JUDGED))


def read_meta(folder: Path, name: str, *, needed: bool = True) -> dict[str, Any]:
    """Read ``META/<name>.json``; without it nothing, where it is not needed.

    Raises:
        CropflowError: If it is missing and needed, or holds no object.
    """
    path = folder / "META" / f"{name}.json"
    if not path.is_file() and not needed:
        return {}
    content = read_json(path) if path.is_file() else None
    if not isinstance(content, dict):
        raise CropflowError(f"{path} is {'missing' if content is None else 'no object'}; expected {name} by parcel.")
    return content


def shape_of(features: dict[str, Any], parcel: str) -> tuple[float, float, float]:
    """Perimeter, fill ratio and perimeter over area from ``geomfeat``, which holds the pixel count second.

    Raises:
        CropflowError: If a parcel has another number of features.
    """
    told = features.get(parcel)
    if told is None:
        return (np.nan, np.nan, np.nan)
    if len(told) != 4:
        refuse(f"geomfeat of parcel {parcel}", told, "4 numbers: perimeter, pixels, fill ratio, perimeter over area")
    return float(told[0]), float(told[2]), float(told[3])
