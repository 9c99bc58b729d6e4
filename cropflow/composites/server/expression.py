"""Composites that Earth Engine computes: the expression that masks and reduces the scenes of a site.

The expression says what :func:`cropflow.composites.valid_observations` and :func:`cropflow.composites.monthly_median`
do, step by step: a pixel counts where its class is clear and no band is nodata; where several scenes of one overpass
see it, the first counts; the statistic of a period is rounded with halves up. It names its images one by one, so that
a composite rests on the scenes of the plan and on no others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.imagery.names import has_offset
from cropflow.imagery.scenes import HARMONISED, SCL, Scene
from cropflow.regions.grid import Grid

OBSERVATIONS = "observations"
COUNT_MAXIMUM = 255
# Above the scenes that any period can have: up to so many values the service sorts, and beyond it draws a histogram.
MOST_SORTED = 4096


@dataclass(frozen=True)
class StoredImage:
    """An image of the service.

    Attributes:
        asset: Id of the image, such as ``COPERNICUS/S2_SR_HARMONIZED/20180418T104021_20180418T104024_T31TEJ``.
        layers: Band or ``SCL`` -> name of the image's band.
        clipped: The service took an offset off: values that fell to 0 or below are stored as 0, and are not masked.
    """

    asset: str
    layers: Mapping[str, str]
    clipped: bool


# Of one period: per overpass its images, the first of which counts where several see a pixel.
Overpasses = Sequence[Sequence[StoredImage]]


def stored_image(scene: Scene, assumed_baseline: str | None) -> StoredImage:
    """The image that a scene of Earth Engine is.

    Args:
        scene: A scene whose ``source`` is the id of an image.
        assumed_baseline: Processing baseline of scenes that carry none.

    Raises:
        CropflowError: If the scene carries no baseline and none is assumed, or its values carry an offset.
    """
    baseline = scene.baseline or assumed_baseline
    if baseline is None:
        raise CropflowError(
            f"Scene {scene.id} carries no processing baseline, which tells whether a value of 0 was clipped; expected "
            "one such as '02.07'. Set imagery.<name>.assume_baseline."
        )
    if has_offset(baseline) and scene.radiometry != HARMONISED:
        raise CropflowError(
            f"Scene {scene.id} has baseline {baseline}, and its collection keeps the offset of +1000; expected one "
            "without, such as COPERNICUS/S2_SR_HARMONIZED. Change imagery.<name>.collections, or set reduce to 'local'."
        )
    return StoredImage(scene.source, dict(scene.layers), has_offset(baseline))


def band_name(period: int, band: str) -> str:
    """Name of a band of the composite in the answer of the service, such as ``p03_B8A``."""
    return f"p{period:02d}_{band}"


def composite_expression(
    ee: Any,
    periods: Mapping[int, Overpasses],
    bands: Sequence[str],
    classes: Collection[int],
    statistic: Literal["median", "mean"],
    grid: Grid,
) -> Any:
    """Write the composites of a site as one image of the service.

    Args:
        ee: The client, connected.
        periods: Period -> its overpasses, each with at least one image; periods without any are left out.
        bands: Bands, in order.
        classes: Scene classes that count as clear.
        statistic: Over the valid observations of a period, per band.
        grid: The grid of the site: every image is brought to it from its own grid, by nearest neighbour.

    Returns:
        An ``ee.Image`` with, per period, each band as reflectance x 10000, uint16, 0 = nodata, halves rounded up, and
        ``observations``, uint8, at most 255; named by :func:`band_name`; masked nowhere.
    """
    composites = []
    for period, overpasses in sorted(periods.items()):
        seen = ee.ImageCollection.fromImages(
            [_overpass(ee, images, bands, classes, grid) for images in overpasses],
        )
        reducer = ee.Reducer.mean() if statistic == "mean" else ee.Reducer.median(maxRaw=MOST_SORTED)
        values = seen.select(list(bands)).reduce(reducer).add(0.5).floor()
        counts = seen.select([OBSERVATIONS]).reduce(ee.Reducer.sum()).min(COUNT_MAXIMUM)
        composites += [
            values.unmask(0, False).toUint16().rename([band_name(period, band) for band in bands]),
            counts.unmask(0, False).toUint8().rename([band_name(period, OBSERVATIONS)]),
        ]
    return ee.Image.cat(composites)


def _overpass(
    ee: Any, images: Sequence[StoredImage], bands: Sequence[str], classes: Collection[int], grid: Grid
) -> Any:
    """The valid observations of an overpass: its bands and a 1, masked elsewhere."""
    observed = [_observed(ee, image, bands, classes, grid) for image in images]
    # A mosaic shows the last of its images on top.
    return observed[0] if len(observed) == 1 else ee.ImageCollection.fromImages(observed[::-1]).mosaic()


def _observed(ee: Any, image: StoredImage, bands: Sequence[str], classes: Collection[int], grid: Grid) -> Any:
    layers = [*bands, SCL]
    stored = (
        ee.Image.load(image.asset)
        .select([image.layers[layer] for layer in layers], layers)
        .reproject(f"EPSG:{grid.epsg}", list(grid.transform)[:6])
    )
    values = stored.select(list(bands))
    if image.clipped:
        # What is masked stays masked: that is nodata, and no dark pixel.
        values = values.max(1)
    # One type, whichever way an image went: a collection of several is refused.
    values = values.toUint16()
    # Filled beyond the image's edge too: a reducer over bands would pass over those that are masked.
    clear = stored.select([SCL]).unmask(0, False).remap(sorted(classes), [1] * len(classes), 0)
    lowest = values.unmask(0, False).reduce(ee.Reducer.min())
    valid = clear.And(lowest.gt(0)).rename([OBSERVATIONS])
    return values.addBands(valid).updateMask(valid)


def read_pixels(
    pixels: NDArray[Any], periods: Mapping[int, Overpasses], n_periods: int, bands: Sequence[str], where: str
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Read what the service answered, and check that it is such a composite.

    Args:
        pixels: Structured array ``(y, x)``, one field per band of :func:`composite_expression`.
        periods: What the expression was written of.
        n_periods: Number of periods of the series.
        bands: Bands, in order.
        where: What the pixels are called in messages.

    Returns:
        Reflectance x 10000, uint16, ``(period, band, y, x)``, 0 = nodata, and observations, uint8, ``(period, y, x)``;
        both 0 in periods without scenes.

    Raises:
        CropflowError: If a field is missing or of another type, a count exceeds the number of scenes, or a value is 0
            where something was observed or is not where nothing was.
    """
    composite = np.zeros((n_periods, len(bands), *pixels.shape), dtype=np.uint16)
    observations = np.zeros((n_periods, *pixels.shape), dtype=np.uint8)
    for period, overpasses in periods.items():
        for position, band in enumerate(bands):
            composite[period, position] = _field(pixels, band_name(period, band), np.dtype(np.uint16), where)
        count = _field(pixels, band_name(period, OBSERVATIONS), np.dtype(np.uint8), where)
        if int(count.max(initial=0)) > len(overpasses):
            raise CropflowError(
                f"Earth Engine counts {int(count.max())} observations in period {period} of {where}; expected at most "
                f"{len(overpasses)}, one per overpass. Delete the fetched parts and try again."
            )
        held = composite[period] > 0
        wrong = int(np.where(count > 0, ~held.all(axis=0), held.any(axis=0)).sum())
        if wrong:
            raise CropflowError(
                f"In period {period} of {where} values and counts of {wrong} of {count.size} pixels disagree; expected "
                "0 in every band exactly where nothing was observed. Delete the fetched parts and try again."
            )
        observations[period] = count
    return composite, observations


def _field(pixels: NDArray[Any], name: str, dtype: np.dtype[Any], where: str) -> NDArray[Any]:
    names = pixels.dtype.names or ()
    if name not in names or pixels.dtype[name] != dtype:
        found = f"{pixels.dtype[name]}" if name in names else "missing"
        raise CropflowError(
            f"Band {name} of {where} is {found} in the answer of Earth Engine; expected {dtype}. Try again."
        )
    values: NDArray[Any] = pixels[name]
    return values
