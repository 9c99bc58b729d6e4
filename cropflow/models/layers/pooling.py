"""What is pooled over the rows of each set that are there, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Pooling = Literal["mean", "std", "max", "min"]
# Keeps the root of a spread of zero differentiable.
SMALL = 1e-31
# A spread of less than this share of the mean is one of rounding.
ROUNDING = 1e-6


class Sets:
    """Values of some sets.

    Args:
        values: What a ReLU gave, ``(n, S, D)``; 0 of rows that are not there.
        there: 1 where a row is there and 0 elsewhere, ``(n, S, 1)``; each set has one that is. None: all are there.
        known: What was pooled of them before.
    """

    def __init__(self, values: Tensor, there: Tensor | None, known: Mapping[Pooling, Tensor] | None = None) -> None:
        self.values, self.there = values, there
        self.known = dict(known or {})

    def pooled(self, pooling: Pooling) -> Tensor:
        """What is taken over the rows, ``(n, D)``."""
        if pooling not in self.known:
            self.known[pooling] = self._pooled(pooling)
        return self.known[pooling]

    def gradient(self, coming: Mapping[Pooling, Tensor]) -> Tensor:
        """Of what went into the ReLU, ``(n, S, D)``, from that of each pooling.

        What is said below of rows that are not there is void, since the ReLU gave 0.
        """
        shift, total = coming["mean"] / self._count() if "mean" in coming else None, None
        if "std" in coming:
            mean, spread = self.pooled("mean"), self.pooled("std")
            slope = coming["std"] / (spread * self._freedom())
            # Of values that differ by rounding alone: the spread neither grows nor falls.
            slope = torch.where(spread > ROUNDING * mean, slope, 0.0)
            shift = -mean * slope if shift is None else torch.addcmul(shift, mean, slope, value=-1)
            total = torch.addcmul(shift.unsqueeze(1), self.values, slope.unsqueeze(1))
        elif shift is not None:
            total = shift.unsqueeze(1).expand_as(self.values)
        extremes: tuple[Pooling, ...] = ("max", "min")
        for pooling in extremes:
            if pooling in coming:
                places = self._extremes(pooling)[1].unsqueeze(1)
                total = torch.zeros_like(self.values) if total is None else total.contiguous()
                total.scatter_add_(1, places, coming[pooling].unsqueeze(1))
        assert total is not None
        return where_positive(total, self.values)

    def _pooled(self, pooling: Pooling) -> Tensor:
        if pooling == "mean":
            return self.values.sum(1) / self._count()
        if pooling == "std":
            found = self.values - self.pooled("mean").unsqueeze(1)
            if self.there is not None:
                found.mul_(self.there)
            return torch.sqrt(found.square_().sum(1) / self._freedom() + SMALL)
        return self._extremes(pooling)[0]

    def _count(self) -> Tensor | int:
        return self.values.shape[1] if self.there is None else self.there.sum(1)

    def _freedom(self) -> Tensor | int:
        """Degrees of freedom of the spread; 1 of a single row, whose spread is 0."""
        count = self._count()
        return max(count - 1, 1) if isinstance(count, int) else (count - 1).clamp(min=1)

    def _extremes(self, pooling: Pooling) -> tuple[Tensor, Tensor]:
        """Largest or smallest values and their rows, ``(n, D)`` each."""
        if pooling == "max" or self.there is None:
            # Values are at least 0 after the ReLU, and rows that are not there are 0.
            return self.values.max(1) if pooling == "max" else self.values.min(1)
        return torch.where(self.there > 0, self.values, torch.inf).min(1)


def where_positive(gradient: Tensor, values: Tensor) -> Tensor:
    """The way back through a ReLU that gave `values`."""
    found: Tensor = torch.ops.aten.threshold_backward(gradient, values, 0.0)
    return found


def by_name(pooling: Sequence[Pooling], side_by_side: Tensor) -> dict[Pooling, Tensor]:
    """Parts ``(n, D)`` of ``(n, len(pooling) * D)``."""
    return dict(zip(pooling, side_by_side.chunk(len(pooling), 1), strict=True))


class _PooledRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, there: Tensor | None, pooling: tuple[Pooling, ...]) -> Tensor:
        values = values.relu()
        sets = Sets(values, there)
        found = torch.cat([sets.pooled(each) for each in pooling], 1)
        ctx.save_for_backward(values, there, found)
        ctx.pooling = pooling
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coming: Tensor) -> tuple[Tensor, None, None]:
        values, there, found = ctx.saved_tensors
        sets = Sets(values, there, by_name(ctx.pooling, found))
        return sets.gradient(by_name(ctx.pooling, coming)), None, None


def pool_relu(values: Tensor, there: Tensor | None, pooling: Sequence[Pooling]) -> Tensor:
    """ReLU, and what is pooled of it over the rows that are there.

    Args:
        values: ``(n, S, D)``; at most 0 of rows that are not there.
        there: 1 where a row is there and 0 elsewhere, ``(n, S, 1)``; each set has one that is. None: all are there.
        pooling: What is taken over the rows; ``std`` is that of a sample, 0 of a single row.

    Returns:
        ``(n, len(pooling) * D)``, one pooling after the other.
    """
    found: Tensor = _PooledRelu.apply(values, there, tuple(pooling))  # type: ignore[no-untyped-call]
    return found
