"""From the numbers of a published layout to those of ours: reflectance x 10000, dB x 100, pictures of 8 bits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.samples.layouts.source import Tally
from cropflow.samples.sensors import BACKSCATTER, INDEX_SHIFT, REFLECTANCE

FULL = REFLECTANCE.per_feature
DECIBEL = 100
LARGEST = np.iinfo(np.uint16).max
# What half of all land pixels stay within, whatever the crop: reflectance, and dB of VV and VH.
USUAL_REFLECTANCE = (0.002, 1.2)
USUAL_DECIBEL = (-45.0, -2.0)
# Single picture elements are read in this many steps of an index x 10000.
GREYS = 255


def judge_scale(samples: Iterable[NDArray[Any]], given: float | None, where: str) -> float:
    """The stored number of a reflectance of 1: as given, if the values agree, or by the values.

    Args:
        samples: Some arrays ``(T, C, *space)``; NaN and 0 count as no value.
        given: The setting ``scale``.
        where: What the arrays are, for messages.

    Raises:
        CropflowError: If half of the values or more are no reflectance by that scale, or by 1 and 10000.
    """
    found = [values[np.isfinite(values) & (values != 0)].astype(np.float64) for values in samples]
    whole = np.concatenate([values.ravel() for values in found]) if found else np.zeros(0)
    if not whole.size:
        return given or float(FULL)
    middle = float(np.median(whole))
    low, high = USUAL_REFLECTANCE
    for scale in (given,) if given else (float(FULL), 1.0):
        if low <= middle / scale <= high and (scale > 1 or whole.min() > -1):
            return float(scale)
    expected = f"reflectance by scale {given:g}" if given else "reflectance x 10000, or reflectance in [0, 1]"
    raise CropflowError(
        f"Half of the values of {where} lie above {middle:.4g}; expected {expected}. Set scale to the stored number of "
        "a reflectance of 1; normalised values (z-scores, percentiles of scenes) cannot be taken back."
    )


def to_reflectance(values: NDArray[Any], scale: float, tally: Tally) -> NDArray[np.uint16]:
    """Store reflectance as ours.

    Args:
        values: ``(T, C, *space)``; a date has no value where any band is NaN or all are 0.
        scale: Stored number of a reflectance of 1.
        tally: Counts the values that were raised to 1 or lowered to 65535.

    Returns:
        Reflectance x 10000, rounded, uint16; 0 = nodata.
    """
    some = values.astype(np.float64)
    valid = np.isfinite(some).all(axis=1, keepdims=True) & (some != 0).any(axis=1, keepdims=True)
    stored = np.rint(np.where(valid, some, 0) * (FULL / scale))
    tally.found["values below 0.0001 raised to it"] += int(((stored < 1) & valid).sum())
    tally.found["values above 6.5535 lowered to it"] += int((stored > LARGEST).sum())
    return np.where(valid, np.clip(stored, 1, LARGEST), REFLECTANCE.nodata).astype(np.uint16)


def check_decibel(samples: Iterable[NDArray[Any]], where: str) -> None:
    """Refuse backscatter that is no dB.

    Args:
        samples: Some arrays ``(T, C, *space)``; NaN and 0 count as no value.
        where: What the arrays are, for messages.

    Raises:
        CropflowError: If half of the values or more are no dB.
    """
    found = [values[np.isfinite(values) & (values != 0)].ravel() for values in samples]
    middle = float(np.median(np.concatenate(found))) if any(len(values) for values in found) else USUAL_DECIBEL[0]
    if not USUAL_DECIBEL[0] <= middle <= USUAL_DECIBEL[1]:
        raise CropflowError(
            f"Half of the values of {where} lie above {middle:.4g}; expected backscatter in dB, about -25 to -5. "
            "Values that were scaled by each image's own percentiles cannot be taken back: export them in dB."
        )


def to_backscatter(values: NDArray[Any], tally: Tally) -> NDArray[np.int16]:
    """Store backscatter as ours.

    Args:
        values: dB, ``(T, C, *space)``; a date has no value where any band is NaN or all are 0.
        tally: Counts the values beyond the type.

    Returns:
        dB x 100, rounded, int16; -32768 = nodata.
    """
    some = values.astype(np.float64)
    valid = np.isfinite(some).all(axis=1, keepdims=True) & (some != 0).any(axis=1, keepdims=True)
    stored = np.rint(np.where(valid, some, 0) * DECIBEL)
    tally.found["values beyond 327.67 dB cut"] += int((np.abs(stored) > -(BACKSCATTER.nodata + 1)).sum())
    limit = -(BACKSCATTER.nodata + 1)
    return np.where(valid, np.clip(stored, -limit, limit), BACKSCATTER.nodata).astype(np.int16)


def from_stored(values: NDArray[Any], sensor_nodata: int, per_unit: float) -> NDArray[np.float32]:
    """Reflectance or dB from what we store, float32; NaN where there is no value.

    The way back rounds to the same integer: float32 keeps 24 bits, the integers have 16.
    """
    told = (values.astype(np.float64) / per_unit).astype(np.float32)
    return np.where(values == sensor_nodata, np.float32(np.nan), told).astype(np.float32)


def picture_to_index(picture: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Store an 8-bit picture as a derived band: grey / 255 x 10000, ``INDEX_SHIFT`` higher; no grey is nodata."""
    return (np.rint(picture.astype(np.float64) * FULL / GREYS) + INDEX_SHIFT).astype(np.uint16)


def index_to_picture(stored: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The way back, to the same greys; nodata becomes black."""
    grey = np.rint((stored.astype(np.float64) - INDEX_SHIFT) * GREYS / FULL)
    return np.where(stored == 0, 0, np.clip(grey, 0, GREYS)).astype(np.uint8)
