"""What a store of scenes must hold before it is composited."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas
import zarr
from zarr.errors import ZarrUserWarning

from cropflow.errors import CropflowError, listing
from cropflow.files.cubes import site_grid
from cropflow.regions.grid import Grid


@dataclass(frozen=True)
class Scenes:
    """The scenes of a site, checked.

    Attributes:
        site: Name of the site.
        grid: Its pixel grid.
        bands: Names of the bands, in order.
        times: Sensing time of each scene, ISO 8601, UTC.
        group: Zarr group with ``reflectance (scene, band, y, x)`` and ``scl (scene, y, x)``.
    """

    site: str
    grid: Grid
    bands: tuple[str, ...]
    times: tuple[str, ...]
    group: zarr.Group


def check_scenes(store: zarr.Group, catalogue: pandas.DataFrame) -> list[Scenes]:
    """Check each site of a store against the catalogue of its scenes.

    Args:
        store: One group per site.
        catalogue: One row per scene and site: ``site``, ``scene``, ``kept``.

    Returns:
        The sites, by name.

    Raises:
        CropflowError: If sites or scenes differ between the two, or an array has another shape or dtype than
            the contract says.
    """
    with warnings.catch_warnings():
        # Workflow engines leave files of their own in folders that they made.
        warnings.simplefilter("ignore", ZarrUserWarning)
        sites = sorted(name for name, _ in store.groups())
    kept = catalogue[catalogue["kept"].astype(bool)]
    missing = sorted(set(kept["site"]) - set(sites))
    if missing or not sites:
        raise CropflowError(
            f"The store of scenes has the sites {listing(sites) or '(none)'}; the catalogue keeps scenes of "
            f"{listing(missing) or '(none)'} too. Rebuild the scenes."
        )
    return [_check_site(site, store[site], kept.loc[kept["site"] == site, "scene"]) for site in sites]


def _check_site(site: str, group: object, kept: pandas.Series[str]) -> Scenes:
    if not isinstance(group, zarr.Group):
        raise CropflowError(f"{site} is no group of the store of scenes; expected one group per site. Rebuild it.")
    attributes: dict[str, Any] = group.attrs.asdict()
    grid = site_grid(group)
    bands, scenes, times = (tuple(map(str, attributes.get(name, ()))) for name in ("bands", "scenes", "times"))
    if len(times) != len(scenes):
        raise CropflowError(f"Site {site} has {len(scenes)} scenes but {len(times)} times. Rebuild the scenes.")
    if sorted(scenes) != sorted(kept.astype(str)):
        raise CropflowError(
            f"Site {site} holds {len(scenes)} scenes, the catalogue keeps {len(kept)}, "
            f"{len(set(scenes) ^ set(kept))} differ; expected the same scenes. Rebuild the scenes."
        )
    expected = {
        "reflectance": ((len(scenes), len(bands), *grid.shape), np.dtype(np.uint16)),
        "scl": ((len(scenes), *grid.shape), np.dtype(np.uint8)),
    }
    for name, (shape, dtype) in expected.items():
        array = group.get(name)
        found = f"{array.dtype} of the shape {array.shape}" if isinstance(array, zarr.Array) else "missing"
        wanted = f"{dtype} of the shape {shape}"
        if found != wanted:
            raise CropflowError(f"Array {name} of site {site} is {found}; expected {wanted}. Rebuild the scenes.")
    return Scenes(site, grid, bands, times, group)
