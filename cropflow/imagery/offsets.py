"""The offset of Sentinel-2 values: decided by processing baseline, confirmed on the pixels, then taken off.

From baseline 04.00 stored values are ``reflectance x 10000 + 1000``. Providers take the offset off some of their
archives and not others, and flags in their records say so wrongly: the pixels are the better witness. Vegetation, soil
and water are dark in the visible bands, so that with the offset hardly a clear pixel lies below 1000, and without
it many do. Haze makes pixels brighter but nothing makes them darker: dark pixels prove that there is no offset, while
bright pixels of a single scene prove little.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cropflow.imagery.names import NATIVE_10M, has_offset

OFFSET = 1000
# Vegetation, bare soil and water in the scene classification.
CLEAR_CLASSES = (4, 5, 6)
VISIBLE = ("B02", "B03", "B04")
# Fewer clear pixels are no evidence.
FEWEST_CLEAR = 500
# This many scenes must agree before they speak for one whose own pixels do not.
FEWEST_AGREEING = 3


@dataclass(frozen=True)
class Evidence:
    """What the clear pixels of a scene say about its offset.

    Attributes:
        clear: Number of clear pixels, 0 where no visible band was read.
        darkest: Lowest 1st percentile of the visible bands, stored units.
        dim: Highest 10th percentile of the visible bands, stored units.
    """

    clear: int
    darkest: int = 0
    dim: int = 0

    @property
    def verdict(self) -> Literal["present", "absent", "unclear"]:
        """What the pixels say.

        ``absent``: a tenth of the clear pixels lies below 1000 in every visible band; with the offset these would be
        negative reflectances. ``present``: in no visible band does one in a hundred lie below 1000.
        """
        if self.clear < FEWEST_CLEAR:
            return "unclear"
        if self.dim < OFFSET:
            return "absent"
        return "present" if self.darkest >= OFFSET else "unclear"


@dataclass(frozen=True)
class Consensus:
    """How many scenes whose baseline is on the same side of 04.00 speak for and against an offset."""

    present: int
    absent: int

    @property
    def says_absent(self) -> bool:
        """Several scenes carry no offset and none carries one."""
        return self.absent >= FEWEST_AGREEING and self.present == 0

    @property
    def says_present(self) -> bool:
        """Several scenes carry an offset and none carries none."""
        return self.present >= FEWEST_AGREEING and self.absent == 0


def weigh_pixels(reflectance: NDArray[np.uint16], scl: NDArray[np.uint8], bands: tuple[str, ...]) -> Evidence:
    """Measure how dark the clear pixels of a scene are.

    Args:
        reflectance: Stored values, uint16, ``(band, y, x)``, 0 = nodata.
        scl: Scene classes 0..11, uint8, ``(y, x)``.
        bands: Names of the bands.
    """
    rows = [position for position, band in enumerate(bands) if band in VISIBLE]
    if not rows:
        return Evidence(0)
    visible = reflectance[rows]
    clear = np.isin(scl, CLEAR_CLASSES) & (visible > 0).all(axis=0)
    count = int(clear.sum())
    if count < FEWEST_CLEAR:
        return Evidence(count)
    low, high = np.percentile(visible[:, clear], (1, 10), axis=1)
    return Evidence(count, int(low.min()), int(high.max()))


def strongest(evidence: Iterable[Evidence]) -> Evidence:
    """The evidence of a scene over several sites: dark pixels anywhere decide, then the site with most clear pixels."""
    found = list(evidence)
    absent = [one for one in found if one.verdict == "absent"]
    return max(absent or found, key=lambda one: (one.clear, -one.dim))


def count_verdicts(evidence: Iterable[Evidence]) -> Consensus:
    """Count the scenes that speak for and against an offset."""
    verdicts = [one.verdict for one in evidence]
    return Consensus(verdicts.count("present"), verdicts.count("absent"))


def decide_offset(
    baseline: str, evidence: Evidence, consensus: Consensus, *, assumed: bool, harmonised: bool = False
) -> tuple[int, str]:
    """Decide the offset of a scene.

    Bright pixels overrule a baseline before 04.00 only where it is assumed, and a provider who harmonised its
    collection never: deserts are bright without an offset.

    Args:
        baseline: Processing baseline such as ``05.10``.
        evidence: What the scene's own pixels say.
        consensus: What the scenes on the same side of baseline 04.00 say, this one included.
        assumed: The baseline is the user's guess, not the record's.
        harmonised: The provider took the offset off the whole collection.

    Returns:
        0 or -1000, what is to be added to stored values, and the reason.
    """
    implied = has_offset(baseline)
    source = f"{'assumed ' if assumed else ''}baseline {baseline}"
    expected = "present" if implied else "absent"
    pixels = _describe(evidence)
    if harmonised:
        told = "confirmed" if evidence.verdict == "absent" else "not confirmed"
        return 0, f"harmonised by the provider, {source}, {told} by the pixels: {pixels}"
    if evidence.verdict == expected:
        return (-OFFSET if implied else 0), f"{source}, confirmed by the pixels: {pixels}"
    if implied and evidence.verdict == "absent":
        return 0, f"pixels against {source}: no offset left, {pixels}"
    if implied and consensus.says_absent:
        return 0, f"{consensus.absent} scenes against {source}: no offset left; own pixels: {pixels}"
    if not implied and assumed and consensus.says_present:
        return -OFFSET, f"{consensus.present} scenes against {source}: offset present; own pixels: {pixels}"
    return (-OFFSET if implied else 0), f"{source}, not confirmed by the pixels: {pixels}"


def _describe(evidence: Evidence) -> str:
    if evidence.clear < FEWEST_CLEAR:
        return f"{evidence.clear} clear, {FEWEST_CLEAR} needed"
    return f"{evidence.clear} clear, 1st percentile {evidence.darkest}, 10th {evidence.dim}"


def harmonise(stored: NDArray[np.uint16], offset: int) -> tuple[NDArray[np.uint16], int]:
    """Take the offset off stored values: 0 stays 0 (nodata), every other value becomes ``max(value + offset, 1)``.

    Args:
        stored: Stored values, uint16, any shape.
        offset: 0 or -1000.

    Returns:
        Reflectance x 10000, uint16, same shape, and the number of values raised to 1.
    """
    if offset == 0:
        return stored, 0
    valid = stored > 0
    moved = stored.astype(np.int32) + offset
    clipped = int((valid & (moved < 1)).sum())
    return np.where(valid, np.maximum(moved, 1), 0).astype(np.uint16), clipped


def restore_clipped(
    reflectance: NDArray[np.uint16], scl: NDArray[np.uint8], bands: tuple[str, ...]
) -> tuple[NDArray[np.uint16], int]:
    """Give back their value to dark pixels that a provider clipped to 0 when it took the offset off.

    Unsigned integers hold nothing below 0: of a stored value of 1000 or less nothing is left but the 0 that elsewhere
    is nodata. Where the SCL tells that the pixel was seen, and another band of the same resolution does too, such a 0
    becomes 1, as :func:`harmonise` has it. The SCL alone is no witness: at the edge of a swath, bands of one resolution
    end before those of the other.

    Args:
        reflectance: Harmonised values, uint16, ``(band, y, x)``, 0 = nodata or clipped.
        scl: Scene classes 0..11, uint8, ``(y, x)``, 0 = nodata.
        bands: Names of the bands; one that is alone of its resolution has the SCL for its only witness.

    Returns:
        The values, and how many became 1.
    """
    restored = reflectance.copy()
    for resolution in (True, False):
        rows = [position for position, band in enumerate(bands) if (band in NATIVE_10M) is resolution]
        seen = scl > 0
        if len(rows) > 1:
            seen &= (reflectance[rows] > 0).any(axis=0)
        for row in rows:
            restored[row][seen & (reflectance[row] == 0)] = 1
    return restored, int((restored != reflectance).sum())
