"""The backscatter of each crop over the season."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cropflow.report.series import array_of, labels_of, names_of, same_months, site_groups
from cropflow.samples.sensors import BACKSCATTER

# Rows that are read at once: those of a chunk.
ROWS = 256
DB_PER_UNIT = 100


@dataclass(frozen=True)
class BackscatterCurve:
    """The mean backscatter of one crop over the season.

    Attributes:
        crop: Id of the legend.
        bands: Band -> dB, ``(period,)``, NaN where there is no value; averaged in linear power.
        pixels: Labelled pixels.
    """

    crop: int
    bands: Mapping[str, NDArray[np.float64]]
    pixels: int


def is_polarisation(band: str) -> bool:
    """Whether a band is backscatter (``VV``, ``VH_37``) and not derived from it (``VH-VV``)."""
    return "-" not in band


def backscatter_by_crop(
    stores: Sequence[Path], samples: Sequence[Path], names: Mapping[int, str]
) -> list[BackscatterCurve]:
    """Mean backscatter per crop, band and period over all labelled pixels of all places.

    A mean of decibels would be a geometric mean of power and lie below that of the power, the more so the more the
    values scatter; hence powers are pooled over pixels.

    Args:
        stores: Composites of one direction of Sentinel-1 per place.
        samples: Sample folder per place, in the same order.
        names: Crop id -> name; other ids are left out.

    Returns:
        Curves, crops with most pixels first. Empty without stores, or where the places differ in bands or in the
        months of their periods.

    Raises:
        CropflowError: If composites and samples do not lie on one grid.
    """
    sites = [
        (site, group, folder)
        for store, folder in zip(stores, samples, strict=True)
        for site, group in site_groups(store).items()
    ]
    bands = {tuple(names_of(group, "bands")) for _, group, _ in sites}
    if len(bands) != 1 or not same_months(stores):
        return []
    chosen = [(index, band) for index, band in enumerate(bands.pop()) if is_polarisation(band)]
    ids = np.array(sorted(names))
    periods = len(names_of(sites[0][1], "periods"))
    power, values = np.zeros((2, len(chosen), periods, len(ids)))
    pixels = np.zeros(len(ids), dtype=np.int64)
    for site, group, folder in sites:
        stored = array_of(group, BACKSCATTER.array)
        crops = labels_of(folder, site, stored)
        for top in range(0, len(crops), ROWS):
            known = np.isin(crops[top : top + ROWS], ids)
            position = np.searchsorted(ids, crops[top : top + ROWS][known])
            pixels += np.bincount(position, minlength=len(ids))
            strip = np.asarray(stored[:, :, top : top + ROWS])
            for place, (index, _) in enumerate(chosen):
                for period in range(periods):
                    found = strip[period, index][known]
                    given = found != BACKSCATTER.nodata
                    linear = 10 ** (found[given] / (10.0 * DB_PER_UNIT))
                    power[place, period] += np.bincount(position[given], linear, minlength=len(ids))
                    values[place, period] += np.bincount(position[given], minlength=len(ids))
    mean = np.full_like(power, np.nan)
    np.divide(power, values, out=mean, where=values > 0)
    decibels = 10 * np.log10(mean)
    order = sorted(np.flatnonzero(pixels).tolist(), key=lambda place: (-pixels[place], ids[place]))
    return [
        BackscatterCurve(
            int(ids[place]),
            {band: decibels[row, :, place] for row, (_, band) in enumerate(chosen)},
            int(pixels[place]),
        )
        for place in order
    ]
