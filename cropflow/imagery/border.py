"""Border noise of Sentinel-1: what remains of the processing along the edges of a swath or a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Below the noise floor of the instrument: no ground, no water is seen that dark.
DARKEST_DB = -30.0
# Noise fades into the image: its pixels are reached from each other, and from the edge, in steps of at most this.
STEP_M = 60.0


def border_noise(vv_db: NDArray[np.float32], nodata: NDArray[np.bool_], pixel_m: float) -> NDArray[np.bool_]:
    """Find the noise along the edge of a swath.

    A pixel is noise where its VV is at most -30 dB and a chain of such pixels, no two more than 60 m apart, leads to
    ground that was not seen: nodata that reaches the edge of the window. Dark pixels elsewhere, such as water, stay,
    and so do all other pixels of the strip.

    Args:
        vv_db: VV in dB, float32, ``(y, x)``; NaN where nodata.
        nodata: Pixels without a value, bool, ``(y, x)``.
        pixel_m: Pixel size, metres.

    Returns:
        True where a pixel is noise, bool, ``(y, x)``; no pixel of ``nodata`` is.

    Source:
        The limit of -30 dB is that of Earth Engine's guide to its Sentinel-1 collection, which masks every pixel below
        it; Ali et al. (2018), https://doi.org/10.1109/JSTARS.2017.2787650, show why edges need more than a mask of
        zeros, and why dark ground inside the swath has to be told apart.
    """
    with np.errstate(invalid="ignore"):
        dark = ~nodata & (vv_db <= DARKEST_DB)
    if not dark.any():
        return dark
    unseen = _reaching_the_edge(nodata)
    if not unseen.any():
        return np.zeros_like(dark)
    seeds = dark | unseen
    # Discs of half a step around two pixels touch where the pixels are a step apart.
    near = ndimage.distance_transform_edt(~seeds, sampling=pixel_m) <= STEP_M / 2
    groups, _ = ndimage.label(near, structure=np.ones((3, 3)))
    reached = np.unique(groups[unseen])
    return np.asarray(dark & np.isin(groups, reached[reached > 0]), dtype=np.bool_)


def _reaching_the_edge(nodata: NDArray[np.bool_]) -> NDArray[np.bool_]:
    groups, _ = ndimage.label(nodata, structure=np.ones((3, 3)))
    rim = np.concatenate([groups[0], groups[-1], groups[:, 0], groups[:, -1]])
    found = np.unique(rim)
    return np.asarray(np.isin(groups, found[found > 0]), dtype=np.bool_)
