"""Write the archive of a simulation: COGs and the STAC records that describe them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cropflow.config.imagery import SENTINEL2_BANDS
from cropflow.config.sections import Season
from cropflow.config.simulation import Simulation
from cropflow.errors import CropflowError
from cropflow.files.atomic import write_json
from cropflow.simulation.acquisitions import (
    Acquisition,
    Product,
    RadarPass,
    sentinel1_passes,
    sentinel2_acquisitions,
    tile_name,
)
from cropflow.simulation.clouds import weather_ranks
from cropflow.simulation.cogs import write_small_cog
from cropflow.simulation.radar_faults import RadarFaults
from cropflow.simulation.scene_classes import percentages
from cropflow.simulation.sentinel1 import POLARISATIONS, Radar
from cropflow.simulation.sentinel2 import Optics, Scene, grid_20m
from cropflow.simulation.stac import asset, catalogue, collection, item, sentinel2_assets
from cropflow.simulation.surface import Land, Surface, build_surface

log = logging.getLogger(__name__)
SENTINEL2, SENTINEL1 = "sentinel-2-l2a", "sentinel-1-grd"


def write_archive(
    folder: Path, landscapes: Sequence[Land], simulation: Simulation, seasons: Mapping[str, Season]
) -> dict[str, object]:
    """Write the scenes of all landscapes and imagery seasons.

    Args:
        folder: An existing, empty folder; the caller makes its appearance atomic.
        landscapes: The landscapes, with their fields in every imagery season.
        simulation: Seed, imagery seasons and knobs.
        seasons: Season -> dates.

    Returns:
        Counts for the manifest: items, duplicates, dates and bytes per collection.
    """
    records: dict[str, list[dict[str, Any]]] = {SENTINEL2: []}
    if simulation.sentinel1:
        records[SENTINEL1] = []
    tiles: list[str] = []
    for land in sorted(landscapes, key=lambda one: one.name):
        tiles.append(tile_name(land.grid, tiles))
        for season in simulation.imagery_seasons:
            surface = build_surface(simulation.seed, land, season, seasons[season], simulation.difficulty)
            records[SENTINEL2] += _write_optics(folder, land, surface, season, tiles[-1], simulation, seasons)
            if simulation.sentinel1:
                records[SENTINEL1] += _write_radar(folder, land, surface, season, tiles[-1], simulation, seasons)
    for name, items in records.items():
        items.sort(key=lambda record: (record["properties"]["datetime"], record["id"]))
        write_json(folder / f"{name}.items.json", {"type": "FeatureCollection", "features": items})
        write_json(folder / f"{name}.collection.json", collection(name, items))
    write_json(folder / "catalog.json", catalogue(records))
    return _counts(folder, records)


def _counts(folder: Path, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, object]:
    counts: dict[str, object] = {}
    for name, items in records.items():
        key = name.replace("-", "_")
        counts[f"{key}_items"] = len(items)
        counts[f"{key}_dates"] = len({record["properties"]["datetime"][:10] for record in items})
        counts[f"{key}_bytes"] = sum(path.stat().st_size for path in (folder / name).rglob("*.tif"))
    again = [record for record in records[SENTINEL2] if record["id"].endswith("_1_L2A")]
    counts["sentinel_2_l2a_duplicates"] = len(again)
    return counts


def _write_optics(
    folder: Path,
    land: Land,
    surface: Surface,
    season: str,
    tile: str,
    simulation: Simulation,
    seasons: Mapping[str, Season],
) -> list[dict[str, Any]]:
    """Write the Sentinel-2 scenes of a landscape in a season; their records."""
    acquisitions, ranks = season_acquisitions(land, season, simulation, seasons)
    optics = Optics(simulation.seed, land, surface, simulation.difficulty)
    records = []
    for index, scene in enumerate(optics.scenes(acquisitions, ranks)):
        for product in scene.acquisition.products:
            records.append(_write_scene(folder, land, scene, product, tile))
        if (index + 1) % max(1, len(acquisitions) // 10) == 0:
            log.info("%s %s: %d of %d Sentinel-2 dates", land.name, season, index + 1, len(acquisitions))
    return records


def season_acquisitions(
    land: Land, season: str, simulation: Simulation, seasons: Mapping[str, Season]
) -> tuple[list[Acquisition], Any]:
    """The Sentinel-2 passes of one season and the rank of each one's weather.

    Raises:
        CropflowError: If no pass falls into the season.
    """
    passes = sentinel2_acquisitions(simulation.seed, land.name, land.grid, simulation.imagery_seasons, seasons)
    ranks = weather_ranks(simulation.seed, land.name, [one.time.date() for one in passes])
    chosen = [index for index, one in enumerate(passes) if one.season == season]
    if not chosen:
        dates = seasons[season]
        raise CropflowError(
            f"Season {season!r}, {dates.start} to {dates.end}, has no Sentinel-2 pass over {land.name}; expected at "
            "least five days that no earlier imagery season has taken. Lengthen the season."
        )
    return [passes[index] for index in chosen], ranks[chosen]


def scene_name(acquisition: Acquisition, product: Product, tile: str) -> str:
    """Id of a scene, like those of the public archives: platform, tile, date, number, level."""
    platform = "S2" + acquisition.platform[-1].upper()
    return f"{platform}_{tile}_{acquisition.time:%Y%m%d}_{product.sequence}_L2A"


def _write_scene(folder: Path, land: Land, scene: Scene, product: Product, tile: str) -> dict[str, Any]:
    acquisition, coarse = scene.acquisition, grid_20m(land.grid)
    name = scene_name(acquisition, product, tile)
    target = folder / SENTINEL2 / name
    target.mkdir(parents=True)
    for band in SENTINEL2_BANDS:
        values = scene.stored(band, product)
        write_small_cog(target / f"{band}.tif", values, land.grid if values.shape == land.grid.shape else coarse, 0)
    write_small_cog(target / "SCL.tif", scene.classes, coarse, 0)
    properties = {
        "platform": acquisition.platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "grid:code": f"MGRS-{tile}",
        "s2:mgrs_tile": tile,
        "s2:processing_baseline": product.baseline,
        "s2:product_type": "S2MSI2A",
        "sat:orbit_state": "descending",
        "sat:relative_orbit": acquisition.relative_orbit,
        "view:sun_elevation": round(acquisition.sun_elevation, 3),
        "view:sun_azimuth": round(acquisition.sun_azimuth, 3),
        **percentages(scene.classes),
    }
    return item(name, SENTINEL2, land.grid, acquisition.time, properties, sentinel2_assets(name, land.grid, coarse))


def _write_radar(
    folder: Path,
    land: Land,
    surface: Surface,
    season: str,
    tile: str,
    simulation: Simulation,
    seasons: Mapping[str, Season],
) -> list[dict[str, Any]]:
    """Write the Sentinel-1 scenes of a landscape in a season; their records."""
    passes = season_passes(land, season, simulation, seasons)
    radar = Radar(simulation.seed, land, surface, simulation.difficulty)
    records = []
    for one, scene in radar.scenes(passes):
        name = radar_name(one, tile)
        target = folder / SENTINEL1 / name
        target.mkdir(parents=True)
        assets = {}
        for polarisation in POLARISATIONS:
            write_small_cog(target / f"{polarisation}.tif", scene[polarisation], land.grid, float("nan"))
            href = f"./{SENTINEL1}/{name}/{polarisation}.tif"
            assets[polarisation] = asset(
                href, land.grid, polarisation.upper(), {"unit": "dB", "roles": ["data", "sigma0"]}
            )
        records.append(item(name, SENTINEL1, land.grid, one.time, _radar_properties(one, tile), assets))
    log.info("%s %s: %d Sentinel-1 passes", land.name, season, len(records))
    return records


def season_passes(
    land: Land,
    season: str,
    simulation: Simulation,
    seasons: Mapping[str, Season],
    missing_passes: float | None = None,
) -> list[RadarPass]:
    """The Sentinel-1 passes of one season that the archive holds, in order of time.

    Args:
        land: The landscape.
        season: Name of the season.
        simulation: Seed, imagery seasons and knobs.
        seasons: Season -> dates.
        missing_passes: Instead of the knob of the same name; 0 gives all passes.
    """
    share = simulation.difficulty.missing_passes if missing_passes is None else missing_passes
    passes = sentinel1_passes(simulation.seed, land.name, land.grid, simulation.imagery_seasons, seasons, share)
    return [one for one in passes if one.season == season]


def radar_name(one: RadarPass, tile: str) -> str:
    """Id of a Sentinel-1 scene: platform, mode, direction, tile, time."""
    return f"S1{one.platform[-1].upper()}_IW_GRDH_{one.direction[:3].upper()}_{tile}_{one.time:%Y%m%dT%H%M%S}"


def radar_truth(
    landscapes: Sequence[Land], simulation: Simulation, seasons: Mapping[str, Season]
) -> dict[str, dict[str, list[str]]]:
    """What is wrong with the Sentinel-1 scenes: ids of faulty scenes and of those that are missing.

    Returns:
        ``<landscape>/<season>`` -> ``border_noise``, ``int16_overflow``, ``missing_passes``, each a list of ids.
    """
    result = {}
    tiles: list[str] = []
    for land in sorted(landscapes, key=lambda one: one.name):
        tiles.append(tile_name(land.grid, tiles))
        for season in simulation.imagery_seasons:
            passes = season_passes(land, season, simulation, seasons)
            found = RadarFaults(simulation.seed, land.name, simulation.difficulty).find(passes)
            ids = [radar_name(one, tiles[-1]) for one in passes]
            complete = [radar_name(one, tiles[-1]) for one in season_passes(land, season, simulation, seasons, 0.0)]
            result[f"{land.name}/{season}"] = {
                "border_noise": [ids[index] for index in sorted(found) if found[index] == "border_noise"],
                "int16_overflow": [ids[index] for index in sorted(found) if found[index] == "int16_overflow"],
                "missing_passes": [name for name in complete if name not in set(ids)],
            }
    return result


def _radar_properties(one: RadarPass, tile: str) -> dict[str, Any]:
    return {
        "platform": one.platform,
        "constellation": "sentinel-1",
        "instruments": ["c-sar"],
        "s2:mgrs_tile": tile,
        "sar:instrument_mode": "IW",
        "sar:frequency_band": "C",
        "sar:product_type": "GRD",
        "sar:polarizations": [name.upper() for name in POLARISATIONS],
        "sar:observation_direction": "right",
        "sat:orbit_state": one.direction,
        "sat:relative_orbit": one.relative_orbit,
        "view:incidence_angle": round(one.incidence, 2),
    }
