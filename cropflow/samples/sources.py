"""The composites that samples are cut from, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.files.cubes import open_store, site_grid
from cropflow.regions.grid import Grid

# Rows that are read at once: those of a chunk.
STRIP = 256


@dataclass(frozen=True)
class Composites:
    """The composites of a region.

    Attributes:
        bands: Names of the bands, in order.
        periods: First day of each period, ISO 8601.
        groups: Site -> Zarr group with ``reflectance``, ``observations`` and ``filled``.
    """

    bands: tuple[str, ...]
    periods: tuple[str, ...]
    groups: dict[str, zarr.Group]

    def has_value(self, site: str) -> NDArray[np.bool_]:
        """Where every period of a site has a value, observed or filled, bool, ``(y, x)``."""
        observations: Any = self.groups[site]["observations"]
        filled: Any = self.groups[site]["filled"]
        found: NDArray[np.bool_] = np.empty(observations.shape[1:], dtype=np.bool_)
        # Chunks hold all periods: strips of rows unpack each of them once.
        for top in range(0, len(found), STRIP):
            rows = slice(top, top + STRIP)
            found[rows] = ((observations[:, rows] > 0) | filled[:, rows]).all(axis=0)
        return found


def read_composites(path: Path, sites: Mapping[str, Grid]) -> Composites:
    """Open a store of composites.

    Args:
        path: The Zarr store.
        sites: Site -> grid.

    Returns:
        The composites of the sites.

    Raises:
        CropflowError: If a site is missing, lies on another grid, or has other bands or periods than the others.
    """
    store = open_store(path)
    groups: dict[str, zarr.Group] = {}
    axes: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for site, grid in sites.items():
        group = store.get(site)
        if not isinstance(group, zarr.Group):
            raise CropflowError(
                f"{path} has no site {site}; it has {listing(store.keys())}. Composite the scenes again."
            )
        if site_grid(group) != grid:
            raise CropflowError(
                f"Site {site} of {path} lies on {site_grid(group)}; expected {grid}. Composite the scenes again."
            )
        attributes: dict[str, Any] = group.attrs.asdict()
        axes[site] = tuple(attributes["bands"]), tuple(attributes["periods"])
        _check_shapes(group, site, *axes[site], grid)
        groups[site] = group
    if len(set(axes.values())) != 1:
        raise CropflowError(
            f"The sites of {path} have {len(set(axes.values()))} sets of bands and periods; expected one. "
            "Composite the scenes again."
        )
    bands, periods = next(iter(axes.values()))
    return Composites(bands, periods, groups)


def _check_shapes(group: zarr.Group, site: str, bands: tuple[str, ...], periods: tuple[str, ...], grid: Grid) -> None:
    expected = {
        "reflectance": (len(periods), len(bands), *grid.shape),
        "observations": (len(periods), *grid.shape),
        "filled": (len(periods), *grid.shape),
    }
    for name, shape in expected.items():
        array = group.get(name)
        if not isinstance(array, zarr.Array) or array.shape != shape:
            found = array.shape if isinstance(array, zarr.Array) else None
            raise CropflowError(
                f"Array {name} of site {site} has the shape {found}; expected {shape}. Composite the scenes again."
            )
