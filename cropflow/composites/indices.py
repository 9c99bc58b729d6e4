"""Vegetation and water indices as bands derived from composites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.config.imagery import INDEX_BANDS, Index
from cropflow.errors import CropflowError, listing

Float64 = NDArray[np.float64]

NODATA = -32768
SCALE = 10_000
# The least denominator: beyond the pole of an index its value is cut off, not of the other sign.
LEAST = 1e-4


def needed_bands(index: Index) -> tuple[str, ...]:
    """Bands that an index is computed from, in the order of its formula's arguments."""
    return INDEX_BANDS[index]


@dataclass(frozen=True)
class Indices:
    """Derived bands.

    Attributes:
        values: Index x 10000, int16, ``(period, index, y, x)``; -32768 = nodata.
        clipped: How many values lay beyond -3.2767 or 3.2767 and were cut off there, int, ``(index,)``.
    """

    values: NDArray[np.int16]
    clipped: NDArray[np.int64]


def derive_indices(
    composite: NDArray[np.uint16], bands: Sequence[str], indices: Sequence[Index], where: str
) -> Indices:
    """Compute indices from composites, after their gaps were filled.

    An index of a filled period is thus the index of the filled bands, which for ratios differs a little from a filled
    index; bands and indices of a period always belong together. It is nodata where one of its bands is. Reflectance
    enters in [0, 1], as the constants of OSAVI and EVI want it:

    ======  ==============================================  ====================================================
    index   formula                                         source
    ======  ==============================================  ====================================================
    NDVI    (B08 - B04) / (B08 + B04)                       Rouse et al. 1974, NASA SP-351
    GNDVI   (B08 - B03) / (B08 + B03)                       Gitelson et al. 1996, 10.1016/S0034-4257(96)00072-7
    NDVI45  (B05 - B04) / (B05 + B04)                       Delegido et al. 2011, 10.3390/s110707063
    OSAVI   1.16 (B08 - B04) / (B08 + B04 + 0.16)           Rondeaux et al. 1996, 10.1016/0034-4257(95)00186-7
    PSRI    (B04 - B02) / B06                               Merzlyak et al. 1999, 10.1034/j.1399-3054.1999.106119.x
    EVI     2.5 (B08 - B04) / (B08 + 6 B04 - 7.5 B02 + 1)   Huete et al. 2002, 10.1016/S0034-4257(02)00096-2
    NDWI    (B03 - B08) / (B03 + B08)                       McFeeters 1996, 10.1080/01431169608948714
    ======  ==============================================  ====================================================

    Published systems differ: some take B07 for the near infrared of NDVI and GNDVI, and a soil term of 0.61 in OSAVI,
    a transposition of 0.16. With 0.61 OSAVI over crops (B08 = 0.4, B04 = 0.04) is 0.40 and not 0.70, so that a model
    trained on those values must be given those values.

    Args:
        composite: Filled composites, reflectance x 10000, uint16, ``(period, band, y, x)``; 0 = nodata.
        bands: Names of the bands, in order.
        indices: Names of the indices, in the order wanted.
        where: What has the bands, for the message.

    Raises:
        ValueError: If the bands of ``composite`` and their names differ in number.
        CropflowError: If a band that an index needs is missing.
    """
    if composite.ndim != 4 or composite.shape[1] != len(bands):
        raise ValueError(f"composite has the shape {composite.shape}; expected {len(bands)} bands")
    _check_bands(bands, indices, where)
    n_periods, _, height, width = composite.shape
    values = np.empty((n_periods, len(indices), height, width), dtype=np.int16)
    clipped = np.zeros(len(indices), dtype=np.int64)
    for period in range(n_periods):
        for position, index in enumerate(indices):
            stored = [composite[period, bands.index(band)] for band in needed_bands(index)]
            known = np.logical_and.reduce([band != 0 for band in stored])
            exact = np.floor(_FORMULAS[index](*(band / SCALE for band in stored)) * SCALE + 0.5)
            limited = np.clip(exact, NODATA + 1, -NODATA - 1)
            clipped[position] += np.count_nonzero(known & (limited != exact))
            values[period, position] = np.where(known, limited, NODATA)
    return Indices(values, clipped)


def _check_bands(bands: Sequence[str], indices: Sequence[Index], where: str) -> None:
    for index in indices:
        missing = [band for band in needed_bands(index) if band not in bands]
        if missing:
            raise CropflowError(
                f"{where} has no band {listing(missing)}, which the index {index} needs; it has {listing(bands)}. "
                f"Add it to imagery.<name>.bands, or drop {index} from series.<name>.indices."
            )


def _normalised_difference(low: Float64, high: Float64) -> Float64:
    return (high - low) / np.maximum(high + low, LEAST)


def _osavi(red: Float64, near: Float64) -> Float64:
    return 1.16 * (near - red) / (near + red + 0.16)


def _psri(blue: Float64, red: Float64, edge: Float64) -> Float64:
    return (red - blue) / np.maximum(edge, LEAST)


def _evi(blue: Float64, red: Float64, near: Float64) -> Float64:
    return 2.5 * (near - red) / np.maximum(near + 6 * red - 7.5 * blue + 1, LEAST)


def _ndwi(green: Float64, near: Float64) -> Float64:
    return _normalised_difference(near, green)


_FORMULAS: dict[Index, Callable[..., Float64]] = {
    "NDVI": _normalised_difference,
    "GNDVI": _normalised_difference,
    "NDVI45": _normalised_difference,
    "OSAVI": _osavi,
    "PSRI": _psri,
    "EVI": _evi,
    "NDWI": _ndwi,
}
