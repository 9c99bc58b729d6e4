"""Forests on disk: skops archives whose bytes depend on the forest alone, and that load listed types only.

skops names members after memory addresses, dates them, and writes the padding of the trees' records
as it lies in memory. Equal forests would give unequal files, so the archive is written once more in
a canonical form, which skops reads like any other.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from cropflow.errors import CropflowError, listing

# What forests and boosted trees consist of beyond what skops trusts by itself (numbers, texts, arrays, estimators).
TRUSTED = ("sklearn.tree._tree.Tree", "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor")
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest a zip archive can hold


def write_skops(path: Path, model: Any) -> None:
    """Write a scikit-learn model.

    Args:
        path: Where to write.
        model: A fitted estimator.
    """
    import skops.io

    with ZipFile(io.BytesIO(skops.io.dumps(model))) as source, ZipFile(path, "w", ZIP_DEFLATED) as target:
        numbers: dict[int, int] = {}
        schema = _renumber(json.loads(source.read("schema.json")), numbers)
        for name in source.namelist():
            if name != "schema.json":
                array = np.load(io.BytesIO(source.read(name)), allow_pickle=False)
                buffer = io.BytesIO()
                np.save(buffer, _without_padding(array), allow_pickle=False)
                _add(target, _member(name, numbers), buffer.getvalue())
        _add(target, "schema.json", json.dumps(schema, separators=(",", ":")).encode())


def _add(archive: ZipFile, name: str, content: bytes) -> None:
    member = ZipInfo(name, _DATE)
    member.compress_type = ZIP_DEFLATED
    archive.writestr(member, content)


def _renumber(node: Any, numbers: dict[int, int]) -> Any:
    """Replace memory addresses by the order in which they first occur."""
    if isinstance(node, list):
        return [_renumber(item, numbers) for item in node]
    if not isinstance(node, dict):
        return node
    renamed: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__":
            renamed[key] = numbers.setdefault(value, len(numbers))
        elif key == "file":
            renamed[key] = _member(value, numbers)
        else:
            renamed[key] = _renumber(value, numbers)
    return renamed


def _member(name: str, numbers: dict[int, int]) -> str:
    stem, _, suffix = name.partition(".")
    return f"{numbers.setdefault(int(stem), len(numbers))}.{suffix}"


def _without_padding(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.names is None:
        return array
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    return clean


def read_skops(path: Path) -> Any:
    """Read a model, if it consists of trusted types alone.

    Raises:
        CropflowError: If the file is damaged or names another type.
    """
    import skops.io

    try:
        strange = sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED))
    except (BadZipFile, KeyError, json.JSONDecodeError):
        raise CropflowError(f"{path} is no skops archive; train the model again.") from None
    if strange:
        raise CropflowError(
            f"{path} holds the types {listing(strange)}; expected trees of {listing(TRUSTED)} and plain values. "
            "Do not load it; train the model again."
        )
    return skops.io.load(path, trusted=list(TRUSTED))
