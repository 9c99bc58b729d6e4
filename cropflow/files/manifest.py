"""Manifests: what a result was made from, beside the result, and the check that it still is.

A manifest ``<name>.manifest.json`` lies beside the file or folder ``<name>``:

========== =====================================================================
sha256     hash of the file, or of a folder's sorted relative names and contents
bytes      size in bytes, summed over a folder's files
inputs     role name -> sha256 of that input (of its manifest's result, where it has one)
results    roles of the inputs that were results themselves
settings   the settings the command ran with
counts     what came in, what went out, what was dropped
versions   software that shapes the bytes
========== =====================================================================

It holds neither times nor paths, so equal work gives equal manifests.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cropflow import __version__
from cropflow.files.atomic import read_json, write_json

SUFFIX = ".manifest.json"
# Beside a raster: what its format has no place for, such as the names of classes.
SIDECAR = ".aux.xml"
SOFTWARE = ("numpy", "rasterio", "geopandas", "shapely", "zarr", "torch", "scikit-learn")


def manifest_path(path: Path | str) -> Path:
    """Where the manifest of a result lies."""
    path = Path(path)
    return path.with_name(path.name + SUFFIX)


def is_foreign(path: Path) -> bool:
    """True for files that others leave among results.

    Snakemake leaves a time stamp in every folder that a rule declares, and a GIS writes the statistics of a raster into
    its sidecar as soon as somebody looks at it: neither changes a result.
    """
    return path.name == ".snakemake_timestamp" or path.name.endswith(SIDECAR)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.is_file() and not is_foreign(file))


def content_hash(path: Path | str) -> tuple[str, int]:
    """Hash a file or a folder.

    Returns:
        The sha256 in hexadecimal and the size in bytes. A folder's hash covers the relative
        POSIX names and the contents of its files in sorted order.
    """
    path = Path(path)
    if path.is_file():
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest(), path.stat().st_size
    total = hashlib.sha256()
    size = 0
    for file in _files(path):
        digest, length = content_hash(file)
        total.update(f"{file.relative_to(path).as_posix()}\0{digest}\n".encode())
        size += length
    return total.hexdigest(), size


def _input_hash(path: Path) -> str:
    beside = manifest_path(path)
    if beside.is_file():
        return str(read_json(beside)["sha256"])
    return content_hash(path)[0]


def _versions() -> dict[str, str]:
    # Not by its metadata: cropflow has none where it only lies on the path, and manifests must not depend on that.
    found = {"python": platform.python_version(), "cropflow": __version__}
    for name in SOFTWARE:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_manifest(
    path: Path | str,
    inputs: Mapping[str, Path | str] | None = None,
    settings: Any = None,
    counts: Mapping[str, Any] | None = None,
) -> None:
    """Describe a finished result beside it; call it last, when the result bears its final name.

    Args:
        path: The finished file or folder.
        inputs: Role name -> file or folder that was read.
        settings: JSON-ready settings.
        counts: JSON-ready numbers: read, kept, dropped by reason.
    """
    digest, size = content_hash(path)
    given = dict(sorted((inputs or {}).items()))
    write_json(
        manifest_path(path),
        {
            "sha256": digest,
            "bytes": size,
            "inputs": {role: _input_hash(Path(where)) for role, where in given.items()},
            "results": [role for role, where in given.items() if manifest_path(where).is_file()],
            "settings": settings,
            "counts": dict(counts or {}),
            "versions": _versions(),
        },
    )


def find_manifests(root: Path | str) -> list[Path]:
    """All manifests below a folder, sorted."""
    return sorted(path for path in Path(root).rglob(f"*{SUFFIX}") if ".work" not in path.parts)
