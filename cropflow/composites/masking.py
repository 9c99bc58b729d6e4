"""Which observations count: a clear scene class, what is near it, and a value in every band.

The rules in their order: scene classes, shadows that the classes missed, Cloud Score+; then what is masked shrinks and
grows; last, a pixel without a value in one band counts in none.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.morphology import grow, shrink
from cropflow.composites.shadows import REACH_M, shadows
from cropflow.config.imagery import Mask
from cropflow.errors import CropflowError

Window = tuple[slice, slice]

SCL_MAXIMUM = 11
DEFECTIVE, HAZY = 1, 7
NO_SCORE = 255


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
    valid = _clear_classes(scl, classes)
    _leave_out_incomplete(valid, reflectance)
    return valid


def halo_pixels(mask: Mask, pixel_m: float) -> int:
    """How many pixels around a window decide about the pixels inside it.

    Args:
        mask: Settings of the mask.
        pixel_m: Side of a pixel, metres.

    Returns:
        Width of the halo on each side, pixels; 0 where each pixel is judged by itself.
    """
    reach = REACH_M if mask.shadows else 0.0
    return sum(math.floor(metres / pixel_m + 1e-9) for metres in (mask.erode_m, mask.dilate_m, reach))


def with_halo(window: Window, shape: tuple[int, int], halo: int) -> tuple[Window, Window]:
    """Widen a window by its halo, as far as the grid goes.

    Args:
        window: Rows and columns of the window on the grid.
        shape: Rows and columns ``(y, x)`` of the grid.
        halo: Width of the halo, pixels.

    Returns:
        The wider window on the grid, to read; and the window inside the wider one, to keep.
    """
    outer, inner = [], []
    for part, size in zip(window, shape, strict=True):
        start = max(0, part.start - halo)
        outer.append(slice(start, min(size, part.stop + halo)))
        inner.append(slice(part.start - start, part.stop - start))
    return (outer[0], outer[1]), (inner[0], inner[1])


def clear_observations(
    scl: NDArray[np.uint8],
    reflectance: NDArray[np.uint16],
    mask: Mask,
    pixel_m: float,
    where: str,
    *,
    inner: Window | None = None,
    ground: NDArray[np.uint16] | None = None,
    cloud_score: NDArray[np.uint8] | None = None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Find the observations of a window that count.

    What is masked is a pixel with data whose class is not clear, which is a shadow, or whose score is too low. With
    ``erode_m`` it shrinks away from clear pixels first, so that specks and thin lines count again; with ``dilate_m``
    it then grows. Pixels without data (class 0, no score) are never valid, and neither shrink nor grow anything: the
    edge of a swath and of a site do not eat into the ground beside them. Defective pixels (class 1) grow like all
    others, but shrinking does not make them valid.

    The three rasters that look beyond a pixel come with the halo of :func:`halo_pixels`, as :func:`with_halo` cuts
    it; then the result of a window equals that part of the result of the whole site. ::

        outer, inner = with_halo(window, grid.shape, halo_pixels(mask, grid.pixel_m))
        positions = shadow_positions(bands, site) if mask.shadows else None

    Args:
        scl: Scene classification, uint8, ``(scene, y, x)`` with the halo; 0 = nodata.
        reflectance: Reflectance x 10000, uint16, ``(scene, band, y, x)`` without the halo; 0 = nodata.
        mask: Settings of the mask.
        pixel_m: Side of a pixel, metres.
        where: What the window is called in messages.
        inner: The window inside ``scl``; all of it where None.
        ground: B03, B08 and B11 in the unit of ``reflectance``, ``(scene, 3, y, x)`` with the halo; for
            ``mask.shadows`` alone, see :func:`cropflow.composites.shadows.shadow_positions`.
        cloud_score: Cloud Score+ in percent, uint8, ``(scene, y, x)`` with the halo, 255 = no score; for
            ``mask.cloud_score`` alone.

    Returns:
        True where valid, bool, ``(scene, y, x)``; and with ``mask.tiered`` which of these are of class 7, bool,
        ``(scene, y, x)``, for :func:`cropflow.composites.tiers.tier`; None otherwise.

    Raises:
        ValueError: If the scenes or pixels of the arrays differ, or ``mask.shadows`` comes without ``ground``.
        CropflowError: If a scene class exceeds 11, or ``mask.cloud_score`` is set and there is no score.
    """
    check_scl(scl, where)
    if mask.cloud_score is not None and cloud_score is None:
        raise CropflowError(
            f"Scenes of {where} have no Cloud Score+, and mask.cloud_score is {mask.cloud_score}. Set "
            "imagery.<name>.cloud_score with source earth_engine and rebuild the scenes, or drop mask.cloud_score."
        )
    if cloud_score is not None and cloud_score.shape != scl.shape:
        raise ValueError(f"cloud_score has the shape {cloud_score.shape}, scl {scl.shape}; expected the same pixels")
    if mask.shadows and ground is None:
        raise ValueError("mask.shadows is on, and ground is None; expected B03, B08 and B11")
    rows, columns = inner or (slice(None), slice(None))
    window = scl[:, rows, columns]
    if reflectance.ndim != 4 or window.shape != (reflectance.shape[0], *reflectance.shape[2:]):
        raise ValueError(f"reflectance has the shape {reflectance.shape}, scl {window.shape}; expected the same pixels")
    valid = np.empty(window.shape, dtype=bool)
    for scene in range(scl.shape[0]):
        # Scene by scene, so that the rasters with a halo are held once and not for each rule.
        one = slice(scene, scene + 1)
        shadow = shadows(scl[one], ground[one], pixel_m)[0] if mask.shadows and ground is not None else None
        score = cloud_score[scene] if mask.cloud_score is not None and cloud_score is not None else None
        valid[scene] = _clear_scene(scl[scene], mask, pixel_m, shadow, score)[rows, columns]
    _leave_out_incomplete(valid, reflectance)
    return valid, valid & (window == HAZY) if mask.tiered else None


def _clear_scene(
    scl: NDArray[np.uint8],
    mask: Mask,
    pixel_m: float,
    shadow: NDArray[np.bool_] | None,
    score: NDArray[np.uint8] | None,
) -> NDArray[np.bool_]:
    """Apply the rules to one scene ``(y, x)``, all rasters with the halo."""
    clear = _clear_classes(scl, mask.classes)
    known = scl != 0
    if shadow is not None:
        clear &= ~shadow
    if score is not None and mask.cloud_score is not None:
        known &= score != NO_SCORE
        clear &= known & (score >= math.ceil(100 * mask.cloud_score - 1e-9))
    if mask.erode_m == 0 and mask.dilate_m == 0:
        return clear
    masked = grow(shrink(known & ~clear, clear, mask.erode_m / pixel_m), mask.dilate_m / pixel_m)
    valid = known & ~masked
    if DEFECTIVE not in mask.classes:
        valid &= scl != DEFECTIVE
    return np.asarray(valid)


def _clear_classes(scl: NDArray[np.uint8], classes: Collection[int]) -> NDArray[np.bool_]:
    clear = np.zeros(256, dtype=bool)
    clear[list(classes)] = True
    return np.asarray(clear[scl])


def _leave_out_incomplete(valid: NDArray[np.bool_], reflectance: NDArray[np.uint16]) -> None:
    """Make invalid, in place, what misses a band."""
    # Scene by scene and band by band: the comparison of a whole block would need half its memory again.
    for scene in range(reflectance.shape[0]):
        for band in range(reflectance.shape[1]):
            valid[scene] &= reflectance[scene, band] != 0
