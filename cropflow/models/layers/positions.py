"""Where in time a frame lies, as sines and cosines of its date."""

from __future__ import annotations

import torch
from torch import Tensor


def positions(dates: Tensor, channels: int, period: float) -> Tensor:
    """Sines and cosines of dates.

    They are computed and not looked up in a table: a date may be any number, before the start of the season (negative)
    or long after it, and all sensors count from the same day.

    Args:
        dates: Days since the start of the season, ``(B, T)``.
        channels: Even number of channels, half of them sines and half cosines.
        period: Days in which the slowest wave moves on by about a radian.

    Returns:
        float32, ``(B, T, channels)``: sine and cosine in turn, from the fastest wave (a radian a day) to the slowest.

    Source:
        Vaswani et al. (2017), https://doi.org/10.48550/arXiv.1706.03762, at days instead of ranks, as Garnot et al.
        (2020), https://doi.org/10.48550/arXiv.1911.07757.
    """
    ranks = torch.arange(0, channels, 2, device=dates.device, dtype=torch.float32)
    angles = dates.unsqueeze(-1).float() * period ** (-ranks / channels)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)
