"""What is stored of each sensor to what a network sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cropflow.models.statistics import Statistics
from cropflow.samples.sensors import KINDS


class Normalise(nn.Module):
    """Series of all sensors to float32 of zero mean and unit spread per band; nodata becomes 0, the mean.

    Mean and spread are those of the training folds, never of a batch or a picture: for backscatter, of its decibels.
    """

    def __init__(self, statistics: Sequence[Statistics]) -> None:
        super().__init__()
        self.sensors = nn.ModuleDict({found.sensor: _NormaliseSensor(found) for found in statistics})

    def forward(self, series: Mapping[str, Tensor]) -> Tensor:
        """Normalise series.

        Args:
            series: Sensor -> values as stored, ``(..., T, C, H, W)``.

        Returns:
            float32 ``(..., T, C, H, W)``, the bands of all sensors in the order of the sensors.

        Raises:
            KeyError: If a sensor is missing.
        """
        parts = [normalise(series[sensor]) for sensor, normalise in self.sensors.items()]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-3)


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
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, stored: Tensor) -> Tensor:
        values = stored.to(torch.float32)
        known = values != self.nodata
        if self.shifted:
            values = values - self.shift
        return (values - self.mean).div_(self.deviation).mul_(known)
