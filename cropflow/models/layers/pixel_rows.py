"""Batch-normalised layers over millions of pixels, without a pass over memory that is not needed.

Almost all time of a pixel-set encoder goes into reading and writing activations of every pixel on every date, next to
nothing into arithmetic. So pixels are rows ``(..., C + 1)`` with a last column of ones, and of zeros throughout where a
pixel is not valid: a bias is then a row of the weights, a pixel that is not there stays zero in every layer, and the
product of the rows with themselves holds count, sums and second moments. From these follow mean and variance of any
linear layer, so that its batch norm is folded into its weights before it runs. Activations of the last and widest
layer are never stored: they are made block by block, pooled while they lie in the cache, and made again on the way
back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Pooling = Literal["mean", "std", "max", "min"]
# Rows of a block: with 64 channels two megabytes, which stay in the caches of the cores. A GPU wants large ones.
CPU_ROWS, GPU_ROWS = 8192, 1 << 22
# Keeps the root of a spread of zero differentiable.
SMALL = 1e-31


def moments_of(rows: Tensor) -> Tensor:
    """The product of rows ``(n, S, C + 1)`` with themselves: second moments, last sums, and in the corner the count."""
    flat = rows.flatten(0, 1)
    return flat.t() @ flat


def rows_of(values: Tensor, valid: Tensor) -> Tensor:
    """Pixels as rows with a last column of ones.

    Args:
        values: ``(n, C, S)``; may be anything where not valid.
        valid: bool, ``(n, S)``.

    Returns:
        float32, ``(n, S, C + 1)``; zeros where not valid.
    """
    there = valid.unsqueeze(-1)
    return torch.cat([torch.where(there, values.transpose(1, 2).float(), 0.0), there.float()], -1)


class PixelLayer(nn.Module):
    """A linear layer with batch norm and ReLU over the rows that are there.

    Args:
        inputs: Channels without the column of ones.
        outputs: Channels without the column of ones.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs)

    def folded(self, moments: Tensor | None) -> Tensor:
        """The weights that do what linear layer and batch norm do together.

        Args:
            moments: Product of the rows with themselves, ``(C + 1, C + 1)``: mean and variance follow from it, and the
                running ones move. None: the running ones serve.

        Returns:
            ``(C + 1, outputs)``; the last row is the bias.
        """
        weight, bias = self.linear.weight, self.linear.bias
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None
        if moments is not None and (count := moments[-1, -1].detach()) > 1:
            centre = moments[-1, :-1] / count
            spread = moments[:-1, :-1] / count - torch.outer(centre, centre)
            mean, variance = weight @ centre + bias, ((weight @ spread) * weight).sum(1).clamp(min=0.0)
            self._move(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        shift = self.norm.bias + (bias - mean) * scale
        return torch.cat([weight * scale.unsqueeze(1), shift.unsqueeze(1)], 1).t()

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor) -> None:
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
        assert norm.num_batches_tracked is not None
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(variance, norm.momentum)
        norm.num_batches_tracked += 1

    def forward(self, rows: Tensor, moments: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Rows and their moments, ``(n, S, C + 1)`` and as of :meth:`folded`, to those of the next layer."""
        weight = self.folded(moments)
        ones = torch.zeros_like(weight[:, :1])
        ones[-1] = 1.0
        extended, wanted = torch.cat([weight, ones], 1), moments is not None
        found, product = _HiddenRows.apply(rows, extended, wanted)  # type: ignore[no-untyped-call]
        return found, product if wanted else None


class _HiddenRows(torch.autograd.Function):
    """A linear layer with ReLU and the moments of what comes out, in one pass each way."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, wanted: bool) -> tuple[Tensor, Tensor]:
        found = rows.new_empty(*rows.shape[:2], weight.shape[1])
        moments = rows.new_zeros(weight.shape[1], weight.shape[1])
        size = sets_of_a_block(rows)
        for start in range(0, len(rows), size):
            block = slice(start, start + size)
            values = torch.mm(rows[block].flatten(0, 1), weight, out=found[block].flatten(0, 1)).relu_()
            if wanted:
                moments.addmm_(values.t(), values)
        ctx.save_for_backward(rows, weight, found)
        return found, moments

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_found: Tensor, of_moments: Tensor) -> tuple[Tensor | None, Tensor, None]:
        rows, weight, found = ctx.saved_tensors
        of_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight)
        both = of_moments + of_moments.t()
        size = sets_of_a_block(rows)
        for start in range(0, len(rows), size):
            block = slice(start, start + size)
            values = found[block].flatten(0, 1)
            of_values = _where_positive(torch.addmm(of_found[block].flatten(0, 1), values, both), values)
            of_weight.addmm_(rows[block].flatten(0, 1).t(), of_values)
            if of_rows is not None:
                torch.mm(of_values, weight.t(), out=of_rows[block].flatten(0, 1))
        return of_rows, of_weight, None


def _where_positive(gradient: Tensor, values: Tensor) -> Tensor:
    """The way back through a ReLU."""
    found: Tensor = torch.ops.aten.threshold_backward(gradient, values, 0.0)
    return found


def pool_rows(rows: Tensor, weight: Tensor, pooling: Sequence[Pooling]) -> Tensor:
    """A last linear layer with ReLU, pooled over the rows of each set that are there.

    Args:
        rows: ``(n, S, C + 1)``; each set has a row that is there.
        weight: ``(C + 1, D)``.
        pooling: What is taken over the rows; ``std`` is that of a sample, 0 of a single row.

    Returns:
        ``(n, len(pooling) * D)``, one pooling after the other.
    """
    found: Tensor = _PooledRows.apply(rows, weight, tuple(pooling))  # type: ignore[no-untyped-call]
    return found


class _Block:
    """Activations of some sets, and what is pooled of them."""

    def __init__(self, rows: Tensor, weight: Tensor) -> None:
        self.flat = rows.flatten(0, 1)
        self.there = rows[..., -1:]
        self.count = self.there.sum(1)
        self.values = (self.flat @ weight).relu_().view(*rows.shape[:2], weight.shape[1])

    def deviations(self) -> Tensor:
        """From the mean of the set, zeros where there is no row, ``(n, S, D)``."""
        return (self.values - (self.values.sum(1) / self.count).unsqueeze(1)).mul_(self.there)

    def freedom(self) -> Tensor:
        """Degrees of freedom of the spread, ``(n, 1)``."""
        return (self.count - 1).clamp(min=1)

    def spread(self, deviations: Tensor) -> Tensor:
        """Standard deviation, ``(n, D)``."""
        return torch.sqrt((deviations * deviations).sum(1) / self.freedom() + SMALL)

    def extremes(self, pooling: Pooling) -> tuple[Tensor, Tensor]:
        """Largest or smallest values and their rows, ``(n, D)`` each."""
        if pooling == "max":
            # Values are at least 0 after the ReLU, and rows that are not there are 0.
            return self.values.max(1)
        return torch.where(self.there > 0, self.values, torch.inf).min(1)

    def pooled(self, pooling: Pooling) -> Tensor:
        if pooling == "mean":
            return self.values.sum(1) / self.count
        return self.spread(self.deviations()) if pooling == "std" else self.extremes(pooling)[0]

    def gradient(self, pooling: Pooling, coming: Tensor) -> Tensor:
        """Of the activations, from that of what was pooled; what it says of rows that are not there is void."""
        if pooling == "mean":
            return (coming / self.count).unsqueeze(1)
        if pooling == "std":
            found = self.deviations()
            return found.mul_((coming / (self.spread(found) * self.freedom())).unsqueeze(1))
        places = self.extremes(pooling)[1].unsqueeze(1)
        return torch.zeros_like(self.values).scatter_(1, places, coming.unsqueeze(1))


class _PooledRows(torch.autograd.Function):
    """Keeps rows and weights alone; the activations, which are several times larger, are made again."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, pooling: tuple[Pooling, ...]) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.pooling = pooling
        if not len(rows):
            return rows.new_zeros(0, len(pooling) * weight.shape[1])
        blocks = (_Block(part, weight) for part in torch.split(rows, sets_of_a_block(rows)))
        return torch.cat([torch.cat([block.pooled(each) for each in pooling], 1) for block in blocks])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coming: Tensor) -> tuple[Tensor | None, Tensor, None]:
        rows, weight = ctx.saved_tensors
        of_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight)
        size = sets_of_a_block(rows)
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            block = _Block(rows[part], weight)
            shares = torch.split(coming[part], weight.shape[1], 1)
            gradients = [block.gradient(each, share) for each, share in zip(ctx.pooling, shares, strict=True)]
            # The largest one first: the others are added to it.
            gradients.sort(key=torch.Tensor.numel, reverse=True)
            for more in gradients[1:]:
                gradients[0].add_(more)
            of_values = _where_positive(gradients[0].expand_as(block.values), block.values).flatten(0, 1)
            of_weight.addmm_(block.flat.t(), of_values)
            if of_rows is not None:
                torch.mm(of_values, weight.t(), out=of_rows[part].flatten(0, 1))
        return of_rows, of_weight, None


def sets_of_a_block(rows: Tensor) -> int:
    """Sets ``(n, S, C)`` that are worked on at once."""
    return max(1, (GPU_ROWS if rows.is_cuda else CPU_ROWS) // max(1, rows.shape[1]))
