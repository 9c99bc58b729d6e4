"""Maps of the page: prediction beside truth, agreement and confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json
from cropflow.files.rasters import read_raster
from cropflow.files.tables import read_table
from cropflow.report.images import as_png, colour_classes, colour_errors, colour_percent, kept_every
from cropflow.report.texts import percent

if TYPE_CHECKING:
    from cropflow.labels.legend import Legend

# More sites would make a page that mail programs refuse; the maps themselves lie in the results.
MOST_SITES = 10
# Longest side of a picture, pixels: large where few sites are shown.
FEW_SITES, LARGE_SIDE, SMALL_SIDE = 4, 640, 520


@dataclass(frozen=True)
class SitePicture:
    """Pictures of one site; truth and agreement are empty where there are no labels.

    Attributes:
        place: ``region/season``.
        site: The site.
        predicted: The map.
        truth: The register's crops.
        agreement: Where both agree.
        confidence: Probability of the mapped crop.
        crops: Ids in map or truth, those with most pixels first.
        caption: Extent, pixel size, and how many of the values behind the map were interpolated.
        agreeing: Pixels whose crop is the register's.
        compared: Pixels that have a crop in both.
        declared: Parcels of the place that agree with the map, and those with a declared crop; None without a register.
    """

    place: str
    site: str
    predicted: str
    truth: str
    agreement: str
    confidence: str
    crops: tuple[int, ...]
    caption: str
    agreeing: int
    compared: int
    declared: tuple[int, int] | None

    @property
    def no_truth_note(self) -> str:
        """Why the register is not drawn beside the map."""
        if self.declared is None:
            return "No register covers this place: there is nothing to compare the map with."
        agreeing, known = self.declared
        return (
            f"Nothing was learnt here, and the register is not drawn: {agreeing:,} of its {known:,} parcels with a "
            "declared crop in this place agree with the map."
        )

    @property
    def agreement_note(self) -> str:
        """How much of the labelled pixels agrees."""
        share = percent(self.agreeing, self.compared)
        return f"{share} of all {self.compared:,} labelled pixels agree, rims included: no held-out score"


@dataclass(frozen=True)
class Pictures:
    """What is shown of the maps.

    Attributes:
        shown: The sites shown.
        note: How many of how many, where some are left out.
    """

    shown: tuple[SitePicture, ...]
    note: str


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


def picture_site(
    folder: Path, place: str, site: str, samples: Path | None, legend: Legend, side: int = LARGE_SIDE
) -> SitePicture:
    """Draw one site.

    Args:
        folder: The site's folder of the map: ``crops.tif``, ``confidence.tif``, beside ``summary.json``.
        place: ``region/season``.
        site: Site name.
        samples: Sample folder of the place, or None where there are no labels.
        legend: The legend.
        side: Longest side of the pictures, pixels.

    Raises:
        CropflowError: If map and labels do not lie on one grid.
    """
    layers, grid = read_raster(folder / "crops.tif")
    predicted = layers[0].astype(np.uint16)
    colours = {crop: legend.colour(crop) for crop in legend.ids}
    confidence = read_raster(folder / "confidence.tif")[0][0]
    truth_png = agreement_png = ""
    compared = np.zeros(predicted.shape, dtype=bool)
    truth = np.zeros(predicted.shape, dtype=np.uint16)
    if samples is not None and (samples / site / "parcels.tif").is_file():
        truth = register_crops(samples, site)
        if truth.shape != predicted.shape:
            raise CropflowError(
                f"The map of {place}, site {site}, has {predicted.shape} pixels, its samples have {truth.shape}; "
                "expected one grid. Map the place again."
            )
        compared = np.isin(truth, legend.ids) & np.isin(predicted, legend.ids)
        truth_png = as_png(colour_classes(truth, colours), side)
        agreement_png = as_png(colour_errors(truth, predicted, compared), side)
    found, sizes = np.unique(np.concatenate([predicted.ravel(), truth.ravel()]), return_counts=True)
    order = sorted(zip(found.tolist(), sizes.tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    height, width = (size * grid.pixel_m / 1000 for size in grid.shape)
    step = kept_every(grid.shape, side)
    return SitePicture(
        place,
        site,
        as_png(colour_classes(predicted, colours), side),
        truth_png,
        agreement_png,
        as_png(colour_percent(confidence), side),
        tuple(crop for crop, _ in order if crop in colours),
        f"{width:.2f} × {height:.2f} km, EPSG:{grid.epsg}, {grid.pixel_m:g} m pixels"
        + (f", one of {step} × {step} shown" if step > 1 else "")
        + _filled_note(folder.parent, site),
        int((compared & (truth == predicted)).sum()),
        int(compared.sum()),
        _declared(folder.parent),
    )


def _declared(folder: Path) -> tuple[int, int] | None:
    """What the map of a place says of its declared parcels."""
    parcels: dict[str, int] | None = read_json(folder / "summary.json").get("parcels")
    return (parcels["agreeing"], parcels["with a declared crop"]) if parcels else None


def _filled_note(folder: Path, site: str) -> str:
    """What the map of a place says of filled values; nothing where no pixel is mapped."""
    share: float | None = read_json(folder / "summary.json")["sites"][site].get("filled_share")
    return "" if share is None else f". {percent(share, 1)} of the values behind this map were interpolated."


def picture_maps(maps: Mapping[str, Path], samples: Mapping[str, Path], legend: Legend) -> Pictures:
    """Draw the mapped sites, those with labels first; the first ``MOST_SITES`` where there are more."""
    sites = [
        (place, path.parent.name, folder)
        for place, folder in sorted(maps.items(), key=lambda item: (item[0] not in samples, item[0]))
        for path in sorted(folder.glob("*/crops.tif"))
    ]
    shown = sites[:MOST_SITES]
    side = LARGE_SIDE if len(shown) <= FEW_SITES else SMALL_SIDE
    note = ""
    if len(sites) > len(shown):
        note = f"The first {len(shown)} of {len(sites)} mapped sites are shown; the maps of all lie in the results."
    pictures = [
        picture_site(folder / site, place, site, samples.get(place), legend, side) for place, site, folder in shown
    ]
    return Pictures(tuple(pictures), note)
