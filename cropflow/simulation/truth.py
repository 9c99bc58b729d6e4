"""The true crops and fields of every landscape and season, beside what the register says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from numpy.typing import NDArray

from cropflow.config.base import dump
from cropflow.config.simulation import Simulation
from cropflow.files.atomic import write_json
from cropflow.files.rasters import write_cog
from cropflow.files.tables import write_table
from cropflow.simulation import land_parameters, parameters
from cropflow.simulation.crops import CODES_SINCE, CROPS, STYLES, crop_index
from cropflow.simulation.landscape import MARGIN_PIXELS, FieldSeason, SimulatedLandscape
from cropflow.simulation.register import DeclaredSeason
from cropflow.simulation.rotation import transitions


def crop_pixels(season: FieldSeason) -> NDArray[np.uint8]:
    """The true crop of every 5 m pixel, second crops included.

    Returns:
        1-based position in ``CROPS``, 0 = no farmland, uint8, shape of ``season.raster``.
    """
    index = crop_index()
    first = np.array([0, *(index[key] for key in season.table["crop"])], dtype=np.uint8)
    second = np.array([0, *(index.get(key, 0) for key in season.table["second_crop"])], dtype=np.uint8)
    return np.where(season.second, second[season.raster], first[season.raster])


def majority(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Halve the resolution: the commonest of the four values, of equally common ones the first in reading order.

    Args:
        pixels: ``(2 * y, 2 * x)``.

    Returns:
        ``(y, x)``.
    """
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    quads = pixels.reshape(height, 2, width, 2).transpose(0, 2, 1, 3).reshape(height, width, 4)
    votes = (quads[..., :, np.newaxis] == quads[..., np.newaxis, :]).sum(axis=-1)
    return np.take_along_axis(quads, votes.argmax(axis=-1)[..., np.newaxis], axis=-1)[..., 0]


def true_crops(landscape: SimulatedLandscape, season: str) -> NDArray[np.uint8]:
    """The true crops on the 10 m grid of the square (``core``), by majority of the four 5 m pixels.

    Returns:
        1-based position in ``CROPS``, 0 = no farmland, uint8, ``(y, x)``.
    """
    whole = majority(crop_pixels(landscape.seasons[season]))
    return whole[MARGIN_PIXELS:-MARGIN_PIXELS, MARGIN_PIXELS:-MARGIN_PIXELS]


def true_fields(landscape: SimulatedLandscape, season: str, declared: DeclaredSeason) -> geopandas.GeoDataFrame:
    """The fields of a landscape with their true crops, and what the register says.

    Returns:
        ``field``, ``crop``, ``second_crop``, ``parent``, ``geometry`` (true outline, UTM), ``in_register``, ``code``
        (declared) and ``parcel_id`` (both empty where the register misses the field).
    """
    fates = declared.fields[declared.fields["landscape"] == landscape.name].drop(columns="landscape")
    return landscape.seasons[season].table.reset_index().merge(fates, on="field", how="left", validate="1:1")


def write_truth(
    folder: Path,
    landscapes: Sequence[SimulatedLandscape],
    registers: Mapping[str, DeclaredSeason],
    simulation: Simulation,
) -> None:
    """Write ``crops_<landscape>_<season>.tif``, ``fields_<landscape>_<season>.parquet`` and ``parameters.json``.

    Args:
        folder: Existing folder, not yet under its final name.
        landscapes: All landscapes.
        registers: Season -> its register.
        simulation: The settings.
    """
    for each in landscapes:
        for season, declared in registers.items():
            write_cog(
                folder / f"crops_{each.name}_{season}.tif",
                true_crops(each, season),
                each.core,
                0,
                names=["crop"],
                tags={"crops": ",".join(CROPS)},
            )
            write_table(folder / f"fields_{each.name}_{season}.parquet", true_fields(each, season, declared))
    write_json(folder / "parameters.json", _parameters(simulation))


def _parameters(simulation: Simulation) -> dict[str, Any]:
    table = {**land_parameters.TABLE, **parameters.TABLE}
    index = crop_index()
    return {
        "settings": dump(simulation),
        "crops": [{"index": index[key], **asdict(crop)} for key, crop in CROPS.items()],
        "codes_since": CODES_SINCE,
        "transitions": {style: transitions(style).round(6).tolist() for style in STYLES},
        "parameters": {name: asdict(parameter) for name, parameter in table.items()},
    }
