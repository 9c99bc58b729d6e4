"""Which observations count: a clear scene class, and a value in every band."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError

SCL_MAXIMUM = 11


def check_scl(scl: NDArray[np.uint8], where: str) -> None:
    """Refuse scene classes that do not exist: the trace of a resampling other than nearest neighbour.

    Args:
        scl: Scene classification, uint8, any shape; 0 = nodata.
        where: What holds the values, for the message.

    Raises:
        CropflowError: If a value exceeds 11.
    """
    if scl.size and int(scl.max()) > SCL_MAXIMUM:
        raise CropflowError(
            f"Scene classes of {where} reach {int(scl.max())}; expected 0 to {SCL_MAXIMUM}. "
            "Rebuild the scenes; classes are resampled by nearest neighbour only."
        )


def valid_observations(
    reflectance: NDArray[np.uint16], scl: NDArray[np.uint8], classes: Collection[int]
) -> NDArray[np.bool_]:
    """Mark the observations that may enter a composite.

    An observation is valid where its scene class is one of ``classes`` and no band holds 0 (nodata). Validity is
    joint over bands: a pixel that misses one band is left out of all of them, so that every value of a composite
    rests on the same dates and one count describes all bands.

    Args:
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)``; 0 = nodata.
        scl: Scene classification in 0..11, uint8, ``(scene, y, x)``.
        classes: Scene classes that count as clear.

    Returns:
        True where valid, bool, ``(scene, y, x)``.

    Raises:
        ValueError: If the scenes or pixels of the two arrays differ.
    """
    if reflectance.ndim != 4 or scl.shape != (reflectance.shape[0], *reflectance.shape[2:]):
        raise ValueError(f"reflectance has the shape {reflectance.shape}, scl {scl.shape}; expected the same pixels")
    clear = np.zeros(256, dtype=bool)
    clear[list(classes)] = True
    valid = clear[scl]
    # Scene by scene and band by band: the comparison of a whole block would need half its memory again.
    for scene in range(reflectance.shape[0]):
        for band in range(reflectance.shape[1]):
            valid[scene] &= reflectance[scene, band] != 0
    return valid
