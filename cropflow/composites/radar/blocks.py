"""Composite Sentinel-1 block by block: all dates of a few pixels, and a margin where the speckle filter needs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.composites.blocks import Window
from cropflow.composites.gaps import fill_gaps
from cropflow.composites.radar.kernels import NODATA, difference, first_valid, mean_power, normalise
from cropflow.composites.radar.plan import RadarPlan
from cropflow.composites.radar.speckle import filter_speckle
from cropflow.config.imagery import Series


@dataclass(frozen=True)
class RadarBlock:
    """The composites of one block.

    Attributes:
        backscatter: dB x 100, int16, ``(period, band, y, x)``; -32768 = nodata.
        observations: Valid observations, uint8, ``(period, y, x)``, at most 255. Of several orbits that of the fewest
            among those that see the site at all, so that 0 says that some orbit is missing.
        filled: True where every orbit that is missing was filled, bool, ``(period, y, x)``.
        orbit_observations: Valid observations of each group of bands, uint8, ``(period, group, y, x)``.
        without_angle: Valid pixels of scenes that were lost because their angle is unknown.
    """

    backscatter: NDArray[np.int16]
    observations: NDArray[np.uint8]
    filled: NDArray[np.bool_]
    orbit_observations: NDArray[np.uint8]
    without_angle: int

    def counts(self) -> NDArray[np.int64]:
        """Pixels per period: without an observation, of these filled, of these left nodata; ``(3, period)``."""
        missing = (self.observations == 0).sum(axis=(1, 2))
        filled = self.filled.sum(axis=(1, 2))
        return np.stack([missing, filled, missing - filled]).astype(np.int64)


def composite_radar_window(
    scenes: Any, window: Window, plan: RadarPlan, middles: NDArray[np.float64], series: Series
) -> RadarBlock:
    """Read one window of a site, all dates, composite it and fill its gaps.

    In this order: angles brought to one, slices of a pass put together, speckle filtered, means in linear power, gaps
    filled, VH-VV. Blocks give what the whole site gives, to the last bit.

    Args:
        scenes: Zarr group of the site with ``backscatter (scene, band, y, x)`` and, to normalise, ``angle (scene, y,
            x)``.
        window: Rows and columns of the window.
        plan: The scenes, their passes, periods and bands.
        middles: Middle of each period, days, float64, ``(period,)``.
        series: Gap rule, longest gap, and the settings of radar.
    """
    shape = scenes["backscatter"].shape[2:]
    wide = [_widened(part, plan.radius, size) for part, size in zip(window, shape, strict=True)]
    rows, columns = (
        slice(part.start - outer.start, part.stop - outer.start) for part, outer in zip(window, wide, strict=True)
    )
    # No second name for the scenes as they are read: their memory is free again as soon as they are merged.
    values = _read(scenes["backscatter"], plan.scenes, wide)
    without_angle = 0
    if plan.normalised:
        angle = _read(scenes["angle"], plan.scenes, wide)
        there = int((values[:, :, rows, columns] != NODATA).all(axis=1).sum())
        values = normalise(values, angle, series.radar.reference_angle_degrees)
        without_angle = there - int((values[:, :, rows, columns] != NODATA).all(axis=1).sum())
    values = first_valid(values, plan.passes)
    if plan.radius:
        values = filter_speckle(values, plan.days, plan.orbit, plan.radius, series.radar.speckle_days)
    return _composite(values[:, :, rows, columns], plan, middles, series, without_angle)


def _widened(part: slice, margin: int, size: int) -> slice:
    return slice(max(part.start - margin, 0), min(part.stop + margin, size))


def _read(array: Any, scenes: NDArray[np.int64], window: Sequence[slice]) -> NDArray[Any]:
    wanted: NDArray[Any] = array.get_orthogonal_selection((scenes, *([slice(None)] * (array.ndim - 3)), *window))
    return wanted


def _composite(
    values: NDArray[np.int16], plan: RadarPlan, middles: NDArray[np.float64], series: Series, without_angle: int
) -> RadarBlock:
    bands, counts, seen = [], [], []
    for group in range(len(plan.groups)):
        here = np.flatnonzero(plan.group == group)
        composite, observations = mean_power(values[here], plan.period[here], len(middles))
        filled = np.zeros(observations.shape, dtype=np.bool_)
        # Dates on which nothing was seen are no periods: acquisitions have no gaps.
        if series.fill != "none" and series.period != "acquisitions":
            composite, filled = fill_gaps(composite, observations, series.max_gap, series.fill, middles, power=True)
        bands += [composite, difference(composite)] if series.radar.difference else [composite]
        counts.append(observations)
        # Orbits that never see the site leave their bands nodata, and do not speak for the others.
        if here.size or not plan.passes.size:
            seen.append((observations, filled))
    least = np.min([observations for observations, _ in seen], axis=0)
    # Missing in some orbit, and filled in all orbits where it is missing.
    whole = np.all([(observations > 0) | filled for observations, filled in seen], axis=0)
    return RadarBlock(
        np.concatenate(bands, axis=1), least, (least == 0) & whole, np.stack(counts, axis=1), without_angle
    )
