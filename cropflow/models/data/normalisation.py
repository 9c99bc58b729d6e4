"""What is stored of each sensor to what a network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from cropflow.models.batch import Batch, Series
from cropflow.models.data.statistics import FeatureStatistics, Statistics
from cropflow.samples.sensors import KINDS


class Normalise(nn.Module):
    """Series of all sensors to float32 of zero mean and unit spread per band; 0, the mean, where there is no value.

    Mean and spread are those of the training folds, never of a batch or a picture: for backscatter, of its decibels.
    So are the features of parcels; shares of a history stay as they are.

    Args:
        statistics: Of each sensor.
        features: Of the features of parcels; None where the samples have none.
    """

    def __init__(self, statistics: Sequence[Statistics], features: FeatureStatistics | None = None) -> None:
        super().__init__()
        self.sensors = nn.ModuleDict({found.sensor: _NormaliseSensor(found) for found in statistics})
        self.features = None if features is None else _NormaliseFeatures(features)

    def forward(self, batch: Batch) -> Batch:
        """Normalise a batch.

        Args:
            batch: Values as stored, ``(B, T, C, *space)``.

        Returns:
            The batch with float32 values, the sensors in the order of the statistics.

        Raises:
            KeyError: If a sensor is missing.
        """
        series = {sensor: normalise(batch.series[sensor]) for sensor, normalise in self.sensors.items()}
        if self.features is None or batch.features is None:
            return replace(batch, series=series)
        return replace(batch, series=series, features=self.features(batch.features))


class _NormaliseFeatures(nn.Module):
    mean: Tensor
    deviation: Tensor

    def __init__(self, statistics: FeatureStatistics) -> None:
        super().__init__()
        for name, values in (("mean", statistics.mean), ("deviation", statistics.deviation)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation


class _NormaliseSensor(nn.Module):
    mean: Tensor
    deviation: Tensor
    shift: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        self.nodata = KINDS[statistics.sensor].nodata
        self.shifted = any(statistics.shifts)
        # Not persistent: statistics.json keeps them, not the weights.
        for name, values in (
            ("mean", statistics.mean),
            ("deviation", statistics.deviation),
            ("shift", statistics.shifts),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def forward(self, series: Series) -> Series:
        shape = (-1, *(1,) * (series.values.ndim - 3))
        values = series.values.to(torch.float32)
        # Band by band: one band may lack a value where the others have one.
        known = values != self.nodata
        if self.shifted:
            values = values - self.shift.view(shape)
        return replace(series, values=(values - self.mean.view(shape)).div_(self.deviation.view(shape)).mul_(known))
