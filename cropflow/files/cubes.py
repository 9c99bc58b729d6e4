"""Zarr stores of a region: one group per site, arrays with named dimensions on the site's grid.

Group attributes: ``epsg``, ``transform`` (six numbers, upper-left corner), ``shape`` ``(y, x)``, and what
the room adds (bands, scenes, periods). ``xarray.open_zarr(store, group=site, consolidated=False)`` reads a site.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zarr
from zarr.codecs import BloscCodec

from cropflow.errors import CropflowError
from cropflow.regions.grid import Grid


def create_store(path: Path | str, attributes: Mapping[str, Any] | None = None) -> zarr.Group:
    """Create an empty store, usually inside :func:`cropflow.files.atomic.atomic_folder`."""
    return zarr.open_group(str(path), mode="w", attributes=dict(attributes or {}))


def open_store(path: Path | str) -> zarr.Group:
    """Open a store for reading.

    Raises:
        CropflowError: If there is no store.
    """
    if not Path(path).is_dir():
        raise CropflowError(f"{path} is missing; expected a Zarr store. Run the rule that makes it.")
    return zarr.open_group(str(path), mode="r")


def site_names(path: Path | str) -> list[str]:
    """Names of a store's sites, sorted, without the strangers in the folder that zarr would warn of."""
    return sorted(file.parent.name for file in Path(path).glob("*/zarr.json"))


def add_site(store: zarr.Group, site: str, grid: Grid, attributes: Mapping[str, Any] | None = None) -> zarr.Group:
    """Add the group of a site with its grid."""
    return store.create_group(
        site,
        attributes={
            "epsg": grid.epsg,
            "transform": list(grid.transform)[:6],
            "shape": list(grid.shape),
            **(attributes or {}),
        },
    )


def add_array(
    group: zarr.Group,
    name: str,
    dimensions: Sequence[str],
    shape: Sequence[int],
    dtype: Any,
    *,
    chunks: Sequence[int],
    nodata: float = 0,
    attributes: Mapping[str, Any] | None = None,
) -> zarr.Array[Any]:
    """Add an array filled with nodata.

    Args:
        group: Group of a site.
        name: Name of the array.
        dimensions: Name of each dimension, such as ``("scene", "band", "y", "x")``.
        shape: Size of each dimension.
        dtype: NumPy dtype.
        chunks: Chunk size per dimension; larger than the array is cut to it.
        nodata: Fill value; chunks that hold nothing else are not stored.
        attributes: Units, scale and the like.
    """
    return group.create_array(
        name,
        shape=tuple(shape),
        dtype=dtype,
        chunks=tuple(max(1, min(chunk, size)) for chunk, size in zip(chunks, shape, strict=True)),
        fill_value=nodata,
        dimension_names=list(dimensions),
        compressors=BloscCodec(cname="zstd", clevel=3),
        attributes=dict(attributes or {}),
    )


def site_grid(group: zarr.Group) -> Grid:
    """The grid of a site's group."""
    attributes: dict[str, Any] = dict(group.attrs.asdict())
    transform = attributes["transform"]
    height, width = attributes["shape"]
    return Grid(int(attributes["epsg"]), transform[2], transform[5], int(height), int(width), transform[0])
