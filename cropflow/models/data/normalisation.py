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
    """Series of all sensors to float32 of zero mean and unit spread per band; 0, the mean, where they are not valid.

    Mean and spread are those of the training folds, never of a batch or a picture: for backscatter, of its decibels.
    Features of parcels are normalised here too, where the model keeps the statistics that it was trained with:
    batches carry them as stored.

    Args:
        statistics: Of each sensor.
        features: Of the features of parcels; None where the model sees none.
    """

    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, statistics: Sequence[Statistics], features: FeatureStatistics | None = None) -> None:
        super().__init__()
        self.sensors = nn.ModuleDict({found.sensor: _NormaliseSensor(found) for found in statistics})
        self.featured = features is not None
        if features is not None:
            # Not persistent, like those of sensors.
            self.register_buffer("feature_mean", torch.tensor(features.mean), persistent=False)
            self.register_buffer("feature_deviation", torch.tensor(features.deviation), persistent=False)

    def forward(self, batch: Batch) -> Batch:
        """Normalise a batch.

        Args:
            batch: Values as stored, ``(B, T, C, *space)``, and features as stored.

        Returns:
            The batch with float32 values, the sensors in the order of the statistics; features of zero mean and unit
            spread, none where the model sees none.

        Raises:
            KeyError: If a sensor is missing.
        """
        series = {sensor: normalise(batch.series[sensor]) for sensor, normalise in self.sensors.items()}
        features = None
        if self.featured and batch.features is not None:
            features = (batch.features - self.feature_mean) / self.feature_deviation
        return replace(batch, series=series, features=features)


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
        # A copy, so that the rest needs no memory of its own.
        values = series.values.to(torch.float32, copy=True)
        # Valid dates that training takes away still have values, and one band may lack one where nobody asked.
        known = (values != self.nodata) & series.valid.unsqueeze(2)
        if self.shifted:
            values.sub_(self.shift.view(shape))
        return replace(series, values=values.sub_(self.mean.view(shape)).div_(self.deviation.view(shape)).mul_(known))
