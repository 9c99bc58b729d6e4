"""Maps of the page: prediction beside truth, agreement and confidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cropflow.files.rasters import read_raster
from cropflow.files.tables import read_table
from cropflow.report.images import as_png, colour_classes, colour_errors, grey_ramp

if TYPE_CHECKING:
    from cropflow.labels.legend import Legend

SIDE = 640


@dataclass(frozen=True)
class SitePicture:
    """Pictures of one site; truth and agreement are empty where there are no labels.

    Attributes:
        title: ``region/season, site``.
        predicted: The map.
        truth: The register's crops.
        agreement: Where both agree.
        confidence: Probability of the mapped crop.
        crops: Ids that appear in map or truth.
        caption: Size and pixel size.
    """

    title: str
    predicted: str
    truth: str
    agreement: str
    confidence: str
    crops: frozenset[int]
    caption: str


def register_crops(samples: Path, site: str) -> NDArray[np.uint16]:
    """Crop of every pixel inside a parcel, rims included, ``(y, x)``, 0 elsewhere."""
    index = read_raster(samples / site / "parcels.tif")[0][0]
    table = read_table(samples / "parcels.parquet")
    table = table[table["site"] == site]
    crop = np.zeros(int(index.max()) + 1, dtype=np.uint16)
    rows = table["index"].to_numpy()
    inside = rows < len(crop)
    crop[rows[inside]] = table["crop"].to_numpy()[inside]
    return np.asarray(crop[index], dtype=np.uint16)


def picture_site(folder: Path, place: str, site: str, samples: Path | None, legend: Legend) -> SitePicture:
    """Draw one site.

    Args:
        folder: The site's folder of the map: ``crops.tif``, ``confidence.tif``.
        place: ``region/season``.
        site: Site name.
        samples: Sample folder of the place, or None where there are no labels.
        legend: The legend.
    """
    crops, grid = read_raster(folder / "crops.tif")
    predicted = crops[0]
    colours = {crop: legend.colour(crop) for crop in legend.ids}
    confidence = read_raster(folder / "confidence.tif")[0][0]
    truth_png = agreement_png = ""
    seen = set(np.unique(predicted).tolist())
    if samples is not None:
        truth = register_crops(samples, site)
        scored = np.isin(truth, legend.ids) & np.isin(predicted, legend.ids)
        truth_png = as_png(colour_classes(truth, colours), SIDE)
        agreement_png = as_png(colour_errors(truth, predicted.astype(np.uint16), scored), SIDE)
        seen |= set(np.unique(truth).tolist())
    height, width = (size * grid.pixel_m / 1000 for size in grid.shape)
    return SitePicture(
        f"{place}, site {site}",
        as_png(colour_classes(predicted, colours), SIDE),
        truth_png,
        agreement_png,
        as_png(grey_ramp(confidence), SIDE),
        frozenset(int(crop) for crop in seen if crop in colours),
        f"{width:.2f} x {height:.2f} km, EPSG:{grid.epsg}, {grid.pixel_m:g} m pixels",
    )


def picture_maps(maps: dict[str, Path], samples: dict[str, Path], legend: Legend) -> list[SitePicture]:
    """Draw all mapped sites, those with labels first."""
    pictures = []
    for place, folder in sorted(maps.items(), key=lambda item: (item[0] not in samples, item[0])):
        for site in sorted(path.parent.name for path in folder.glob("*/crops.tif")):
            pictures.append(picture_site(folder / site, place, site, samples.get(place), legend))
    return pictures
