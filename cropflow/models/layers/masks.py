"""Series with gaps: what is not valid is 0, counts in no statistic and in no pool."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cropflow.models.batch import Batch, Series
from cropflow.models.data.alignment import on_one_axis

# Half a turn of the positions: crops of a season, whatever its month of start.
YEAR = 365.0


def cleared(series: Series) -> Series:
    """The same with 0 where not valid; padding may hold anything."""
    if bool(series.valid.all()):
        return series
    return replace(series, values=series.values.masked_fill(~series.valid.unsqueeze(2), 0.0))


def on_axis(batch: Batch, rule: Literal["nearest", "linear"]) -> Series:
    """Bands of all sensors side by side, 0 where a sensor has nothing.

    Args:
        batch: Normalised series.
        rule: How sensors on other dates come to those of the first.

    Returns:
        Values ``(B, T, C, *space)``; valid where any sensor is.
    """
    if len(batch.series) == 1:
        return cleared(batch.only())
    return cleared(on_one_axis(batch.with_series(lambda _, one: cleared(one)), rule))


def gaps(valid: Tensor) -> Tensor | None:
    """The mask itself, or None where everything is valid: what is complete takes a shorter way through the layers."""
    return None if bool(valid.all()) else valid


def masked_batch_norm(norm: _BatchNorm, features: Tensor, valid: Tensor | None) -> Tensor:
    """Batch norm whose statistics count valid positions alone.

    In training, padding and gaps would otherwise shift the mean and the spread of a batch; in evaluation, the norm
    uses what it remembers and nothing differs.

    Args:
        norm: The layer.
        features: ``(B, C, *space)``.
        valid: True where features are of valid values, ``(B, 1, *space)``; None: everywhere.

    Returns:
        ``(B, C, *space)``; anything where not valid.
    """
    if valid is None or not norm.training:
        normed: Tensor = norm(features)
        return normed
    shape = (-1, *(1,) * (features.ndim - 2))
    count = valid.sum().clamp(min=1)
    # Half precision has too few digits for sums over many pixels.
    with torch.autocast(features.device.type, enabled=False):
        exact = features.float()
        mean = _sums(exact, valid) / count
        centred = exact - mean.view(shape)
        variance = _sums(centred.square(), valid) / count
        _remember(norm, mean.detach(), variance.detach() * (count / (count - 1).clamp(min=1)))
        scale = norm.weight * torch.rsqrt(variance + norm.eps)
        return torch.addcmul(norm.bias.view(shape), centred, scale.view(shape)).to(features.dtype)


def _sums(features: Tensor, valid: Tensor) -> Tensor:
    """Per channel over what is valid: a product of matrices writes no masked copy."""
    return (features.flatten(2) @ valid.flatten(2).transpose(1, 2).to(features.dtype)).sum((0, 2))


@torch.no_grad()
def _remember(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
    assert norm.num_batches_tracked is not None
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), norm.momentum)
    norm.num_batches_tracked += 1


def masked_group_norm(norm: nn.GroupNorm, features: Tensor, valid: Tensor | None) -> Tensor:
    """Group norm over a series whose statistics count valid dates alone.

    Args:
        norm: The layer.
        features: ``(N, C, T)``.
        valid: True where features are of valid values, ``(N, 1, T)``; None: everywhere.

    Returns:
        ``(N, C, T)``; anything where not valid.
    """
    if valid is None:
        normed: Tensor = norm(features)
        return normed
    count, channels, dates = features.shape
    grouped = features.float().view(count, norm.num_groups, -1, dates)
    mask = valid.unsqueeze(1)
    members = (mask.sum(3, keepdim=True) * grouped.shape[2]).clamp(min=1)
    mean = (grouped * mask).sum((2, 3), keepdim=True) / members
    centred = grouped - mean
    variance = (centred.square() * mask).sum((2, 3), keepdim=True) / members
    scaled = (centred * torch.rsqrt(variance + norm.eps)).view(count, channels, dates)
    return torch.addcmul(norm.bias.view(-1, 1), scaled, norm.weight.view(-1, 1))


def with_positions(series: Series) -> Tensor:
    """Append sine and cosine of half a turn over a year to every pixel's series.

    Convolutions and pooling over time give the same features for a curve that is shifted by a
    month; crops often differ by nothing but their dates.

    Args:
        series: Values ``(B, T, C, H, W)``, 0 where not valid.

    Returns:
        ``(B, T, C + 2, H, W)``: distinct for each date of a season, close for neighbours, and 0 where not valid.

    Source:
        Vaswani et al. (2017), https://doi.org/10.48550/arXiv.1706.03762, with the lowest frequency alone.
    """
    angle = series.dates.to(series.values.dtype) * (torch.pi / YEAR)
    waves = torch.stack([angle.sin(), angle.cos()], 2)[..., None, None]
    return torch.cat([series.values, waves * series.valid.unsqueeze(2)], 2)
