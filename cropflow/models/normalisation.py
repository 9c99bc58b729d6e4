"""Reflectance to what a network sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cropflow.models.statistics import Statistics


class Normalise(nn.Module):
    """Reflectance uint16 to float32 of zero mean and unit spread per band; nodata becomes 0, the mean."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        # Not persistent: statistics.json keeps them, not the weights.
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(statistics, name), dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, reflectance: Tensor) -> Tensor:
        """Normalise reflectance uint16 ``(..., C, H, W)``."""
        values = reflectance.to(torch.float32)
        return (values - self.mean).div_(self.deviation).mul_(values != 0)
