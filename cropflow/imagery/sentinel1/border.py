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
        it. Ali et al. (2018), IEEE J-STARS 11(3), 777-786, describe the noise: along both sides of the track and at
        both ends of a data take.
    """
    with np.errstate(invalid="ignore"):
        dark = ~nodata & (vv_db <= DARKEST_DB)
    if not dark.any():
        return dark
    reached = _reaching_the_edge(nodata)
    noise = np.zeros_like(dark)
    grows = bool(reached.any())
    while grows:
        found = dark & ~noise & (ndimage.distance_transform_edt(~reached, sampling=pixel_m) <= STEP_M)
        noise |= found
        reached |= found
        grows = bool(found.any())
    return noise


def _reaching_the_edge(nodata: NDArray[np.bool_]) -> NDArray[np.bool_]:
    groups, _ = ndimage.label(nodata, structure=np.ones((3, 3)))
    rim = np.concatenate([groups[0], groups[-1], groups[:, 0], groups[:, -1]])
    found = np.unique(rim)
    return np.asarray(np.isin(groups, found[found > 0]), dtype=np.bool_)
