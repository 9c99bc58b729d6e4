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


@dataclass(frozen=True)
class RadarScenes(Scenes):
    """The Sentinel-1 scenes of a site, checked; its group has ``backscatter (scene, band, y, x)``.

    Attributes:
        relative_orbits: Relative orbit of each scene, -1 where unknown.
        radiometry: ``sigma0`` or ``gamma0``.
        direction: ``ascending`` or ``descending``.
        angle: True where the group has ``angle (scene, y, x)``.
    """

    relative_orbits: tuple[int, ...]
    radiometry: str
    direction: str
    angle: bool


def is_radar(store: zarr.Group) -> bool:
    """Whether a store of scenes is one of Sentinel-1."""
    return any(isinstance(group, zarr.Group) and "backscatter" in group for _, group in _groups(store))


def check_scenes(store: zarr.Group, catalogue: pandas.DataFrame) -> list[Scenes]:
    """Check each site of a Sentinel-2 store against the catalogue of its scenes.

    Args:
        store: One group per site.
        catalogue: One row per scene and site: ``site``, ``scene``, ``kept``.

    Returns:
        The sites, by name.

    Raises:
        CropflowError: If sites or scenes differ between the two, or an array has another shape or dtype than
            the contract says.
    """
    found = [_check_site(*site) for site in _sites(store, catalogue)]
    for scenes in found:
        shape = (len(scenes.times), len(scenes.bands), *scenes.grid.shape)
        _check_array(scenes, "reflectance", shape, np.uint16)
        _check_array(scenes, "scl", (len(scenes.times), *scenes.grid.shape), np.uint8)
        if "cloud_score" in scenes.group:
            _check_array(scenes, "cloud_score", (len(scenes.times), *scenes.grid.shape), np.uint8)
    return found


def check_radar(store: zarr.Group, catalogue: pandas.DataFrame) -> list[RadarScenes]:
    """Check each site of a Sentinel-1 store against the catalogue of its scenes.

    Args:
        store: One group per site.
        catalogue: One row per scene and site: ``site``, ``scene``, ``kept``.

    Returns:
        The sites, by name.

    Raises:
        CropflowError: If sites or scenes differ between the two, an array has another shape or dtype than the contract
            says, or sites differ in bands, radiometry or direction.
    """
    found = [_check_radar_site(_check_site(*site)) for site in _sites(store, catalogue)]
    for key in ("bands", "radiometry", "direction"):
        values = sorted({str(getattr(site, key)) for site in found})
        if len(values) > 1:
            raise CropflowError(
                f"Sites of the store of scenes differ in {key}: {listing(values)}; expected one. Rebuild the scenes."
            )
    return found


def _groups(store: zarr.Group) -> list[tuple[str, object]]:
    with warnings.catch_warnings():
        # Workflow engines leave files of their own in folders that they made.
        warnings.simplefilter("ignore", ZarrUserWarning)
        return sorted(store.groups(), key=lambda pair: pair[0])


def _sites(store: zarr.Group, catalogue: pandas.DataFrame) -> list[tuple[str, object, pandas.Series[str]]]:
    """Name, group and scenes of each site that the catalogue keeps scenes of, and of those without."""
    groups = _groups(store)
    kept = catalogue[catalogue["kept"].astype(bool)]
    missing = sorted(set(kept["site"]) - {site for site, _ in groups})
    if missing or not groups:
        raise CropflowError(
            f"The store of scenes has the sites {listing(site for site, _ in groups) or '(none)'}; the catalogue keeps "
            f"scenes of {listing(missing) or '(none)'} too. Rebuild the scenes."
        )
    return [(site, group, kept.loc[kept["site"] == site, "scene"]) for site, group in groups]


def _check_site(site: str, group: object, kept: pandas.Series[str]) -> Scenes:
    if not isinstance(group, zarr.Group):
        raise CropflowError(f"{site} is no group of the store of scenes; expected one group per site. Rebuild it.")
    attributes: dict[str, Any] = group.attrs.asdict()
    bands, scenes, times = (tuple(map(str, attributes.get(name, ()))) for name in ("bands", "scenes", "times"))
    if len(times) != len(scenes):
        raise CropflowError(f"Site {site} has {len(scenes)} scenes but {len(times)} times. Rebuild the scenes.")
    if sorted(scenes) != sorted(kept.astype(str)):
        raise CropflowError(
            f"Site {site} holds {len(scenes)} scenes, the catalogue keeps {len(kept)}, "
            f"{len(set(scenes) ^ set(kept))} differ; expected the same scenes. Rebuild the scenes."
        )
    return Scenes(site, site_grid(group), bands, times, group)


def _check_radar_site(scenes: Scenes) -> RadarScenes:
    attributes: dict[str, Any] = scenes.group.attrs.asdict()
    count, angle = len(scenes.times), "angle" in scenes.group
    _check_array(scenes, "backscatter", (count, len(scenes.bands), *scenes.grid.shape), np.int16)
    if angle:
        _check_array(scenes, "angle", (count, *scenes.grid.shape), np.uint16)
    orbits = tuple(int(orbit) for orbit in attributes.get("relative_orbits", ()))
    radiometry, direction = (str(attributes.get(key, "")) for key in ("radiometry", "direction"))
    if len(orbits) != count or scenes.bands != ("VV", "VH") or radiometry not in ("sigma0", "gamma0"):
        raise CropflowError(
            f"Site {scenes.site} has {count} scenes, {len(orbits)} relative orbits, the bands {listing(scenes.bands)} "
            f"and the radiometry {radiometry or '(none)'}; expected an orbit per scene, VV and VH, and sigma0 or "
            "gamma0. Rebuild the scenes."
        )
    return RadarScenes(
        scenes.site, scenes.grid, scenes.bands, scenes.times, scenes.group, orbits, radiometry, direction, angle
    )


def _check_array(scenes: Scenes, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    array = scenes.group.get(name)
    found = f"{array.dtype} of the shape {array.shape}" if isinstance(array, zarr.Array) else "missing"
    wanted = f"{np.dtype(dtype)} of the shape {shape}"
    if found != wanted:
        raise CropflowError(f"Array {name} of site {scenes.site} is {found}; expected {wanted}. Rebuild the scenes.")
