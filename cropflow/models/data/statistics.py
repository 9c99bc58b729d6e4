"""Mean and spread of what the training folds hold, from exact sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.models.data.kernels.sums import band_sums
from cropflow.samples.sensors import Layout


@dataclass(frozen=True)
class Statistics:
    """Normalisation of the bands of a sensor, in its unit: reflectance or index x 10000, dB x 100.

    Attributes:
        sensor: Name of the sensor.
        bands: Names.
        mean: Per band.
        deviation: Standard deviation per band; 1 where a band is constant.
        values: Values that were averaged, per band.
        shifts: What is stored more than the unit counts, per band.
    """

    sensor: str
    bands: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    values: tuple[int, ...]
    shifts: tuple[int, ...]


@dataclass(frozen=True)
class FeatureStatistics:
    """Normalisation of the features of parcels, in the order of :data:`cropflow.models.data.pixel_sets.FEATURES`.

    Attributes:
        mean: Per feature.
        deviation: Standard deviation per feature; 1 where it is constant.
        parcels: Parcels that were averaged.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    parcels: int


class Sums:
    """Exact sums of values and squares per band: integers, so that the order of reading does not matter."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.totals = [[0, 0, 0] for _ in layout.bands]

    def add(self, values: NDArray[Any], chosen: NDArray[np.bool_]) -> None:
        """Add the values of chosen pixels, nodata left out.

        Args:
            values: As stored, ``(N, T, C, A)``.
            chosen: ``(N, A)``.
        """
        # Python's integers add the chunks up: no number of samples overflows.
        nodata = values.dtype.type(self.layout.kind.nodata)
        for total, parts in zip(self.totals, band_sums(values, chosen, nodata), strict=True):
            for position, part in enumerate(parts):
                total[position] += int(part)

    def finish(self) -> Statistics:
        """The statistics of all that was added.

        Raises:
            CropflowError: If a band has no value.
        """
        layout, mean, deviation = self.layout, [], []
        for name, shift, (count, total, squares) in zip(layout.bands, layout.shifts, self.totals, strict=True):
            if not count:
                raise CropflowError(
                    f"Band {name} of {layout.sensor} has no value in the training folds; expected at least one. "
                    "Drop the band or the sensor from the config, or widen the season."
                )
            mean.append((total - count * shift) / count)
            variance = (count * squares - total * total) / (count * count)
            deviation.append(math.sqrt(variance) or 1.0)
        counts = tuple(count for count, _, _ in self.totals)
        return Statistics(layout.sensor, layout.bands, tuple(mean), tuple(deviation), counts, layout.shifts)


def feature_statistics(features: NDArray[np.float32]) -> FeatureStatistics:
    """Mean and spread of the features of some parcels.

    Args:
        features: Of parcels of the training folds, ``(n, feature)``.
    """
    wide = features.astype(np.float64)
    deviation = wide.std(0)
    return FeatureStatistics(
        tuple(wide.mean(0).tolist()), tuple(np.where(deviation > 0, deviation, 1.0).tolist()), len(features)
    )
