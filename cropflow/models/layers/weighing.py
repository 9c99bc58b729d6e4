"""Maps of many dates to one by weights of their own at every pixel, without a product of all of them in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def weighed(maps: Tensor, weights: Tensor) -> Tensor:
    """The sum over dates of maps times weights, each head weighing channels of its own.

    Args:
        maps: ``(B, T, C, H, W)``.
        weights: ``(B, head, T, H, W)``; heads divide C.

    Returns:
        ``(B, C, H, W)``.
    """
    batch, dates, _, *space = maps.shape
    heads = weights.shape[1]
    found: Tensor = _Weighed.apply(maps.reshape(batch, dates, heads, -1, *space), weights.unsqueeze(3))  # type: ignore[no-untyped-call]
    return found.flatten(1, 2)


class _Weighed(torch.autograd.Function):
    """Maps ``(B, T, head, C, H, W)`` and weights ``(B, head, T, 1, H, W)`` to ``(B, head, C, H, W)``, date by date."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weights)
        total = maps[:, 0] * weights[:, :, 0]
        for date in range(1, maps.shape[1]):
            total.addcmul_(maps[:, date], weights[:, :, date])
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coming: Tensor) -> tuple[Tensor, Tensor]:
        maps, weights = ctx.saved_tensors
        of_maps, of_weights = torch.empty_like(maps), torch.empty_like(weights)
        for date in range(maps.shape[1]):
            torch.mul(coming, weights[:, :, date], out=of_maps[:, date])
            torch.sum(coming * maps[:, date], 2, keepdim=True, out=of_weights[:, :, date])
        return of_maps, of_weights
