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
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cropflow.models.layers.pooling import Pooling, Sets, by_name, where_positive
from cropflow.models.layers.rows import BatchNorm, precise

# Rows of a block: with 64 channels two megabytes, which stay in the caches of the cores. A GPU has no such need.
CPU_ROWS, GPU_ROWS = 8192, 1 << 18


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
        At least float32, ``(n, S, C + 1)``; zeros where not valid.
    """
    there, values = valid.unsqueeze(-1), precise(values).transpose(1, 2)
    return torch.cat([torch.where(there, values, 0.0), there.to(values.dtype)], -1)


class PixelLayer(nn.Module):
    """A linear layer with batch norm and ReLU over the rows that are there.

    Args:
        inputs: Channels without the column of ones.
        outputs: Channels without the column of ones.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = BatchNorm(outputs)

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
        if moments is not None:
            # Fewer than two rows have no variance: chosen without asking how many there are, for which a GPU would
            # have to be waited.
            count = moments[-1, -1].detach()
            several, number = count > 1, count.clamp(min=2)
            centre = moments[-1, :-1] / number
            spread = moments[:-1, :-1] / number - torch.outer(centre, centre)
            mean = torch.where(several, weight @ centre + bias, mean)
            variance = torch.where(several, ((weight @ spread) * weight).sum(1).clamp(min=0.0), variance)
            self._move(mean.detach(), variance.detach(), number / (number - 1), several)
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        shift = self.norm.bias + (bias - mean) * scale
        return torch.cat([weight * scale.unsqueeze(1), shift.unsqueeze(1)], 1).t()

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor, unbiased: Tensor, several: Tensor) -> None:
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
        assert norm.num_batches_tracked is not None
        share = several * norm.momentum
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance * unbiased, share)
        norm.num_batches_tracked += several

    def plain(self, rows: Tensor) -> Tensor:
        """The same by torch's layers and before the ReLU, of rows ``(n, C)`` that are all there."""
        found: Tensor = self.norm(self.linear(rows))
        return found

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
            of_values = where_positive(torch.addmm(of_found[block].flatten(0, 1), values, both), values)
            of_weight.addmm_(rows[block].flatten(0, 1).t(), of_values)
            if of_rows is not None:
                torch.mm(of_values, weight.t(), out=of_rows[block].flatten(0, 1))
        return of_rows, of_weight, None


def pool_rows(rows: Tensor, weight: Tensor, pooling: Sequence[Pooling], *, complete: bool = False) -> Tensor:
    """A last linear layer with ReLU, pooled over the rows of each set that are there.

    Args:
        rows: ``(n, S, C + 1)``; each set has a row that is there.
        weight: ``(C + 1, D)``.
        pooling: What is taken over the rows; ``std`` is that of a sample, 0 of a single row.
        complete: Whether all rows are there.

    Returns:
        ``(n, len(pooling) * D)``, one pooling after the other.
    """
    found: Tensor = _PooledRows.apply(rows, weight, tuple(pooling), complete)  # type: ignore[no-untyped-call]
    return found


class _PooledRows(torch.autograd.Function):
    """Keeps rows and weights alone; the activations, which are several times larger, are made again."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, pooling: tuple[Pooling, ...], complete: bool) -> Tensor:
        found = rows.new_empty(len(rows), len(pooling) * weight.shape[1])
        size = sets_of_a_block(rows)
        for start in range(0, len(rows), size):
            block = slice(start, start + size)
            sets = Sets(*_activations(rows[block], weight, complete))
            torch.cat([sets.pooled(each) for each in pooling], 1, out=found[block])
        ctx.save_for_backward(rows, weight, found)
        ctx.pooling, ctx.complete = pooling, complete
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coming: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        rows, weight, found = ctx.saved_tensors
        of_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight)
        size = sets_of_a_block(rows)
        for start in range(0, len(rows), size):
            block = slice(start, start + size)
            sets = Sets(*_activations(rows[block], weight, ctx.complete), by_name(ctx.pooling, found[block]))
            of_values = sets.gradient(by_name(ctx.pooling, coming[block])).flatten(0, 1)
            of_weight.addmm_(rows[block].flatten(0, 1).t(), of_values)
            if of_rows is not None:
                torch.mm(of_values, weight.t(), out=of_rows[block].flatten(0, 1))
        return of_rows, of_weight, None, None


def _activations(rows: Tensor, weight: Tensor, complete: bool) -> tuple[Tensor, Tensor | None]:
    values = (rows.flatten(0, 1) @ weight).relu_().view(*rows.shape[:2], weight.shape[1])
    return values, None if complete else rows[..., -1:]


def sets_of_a_block(rows: Tensor) -> int:
    """Sets ``(n, S, C)`` that are worked on at once."""
    return max(1, (GPU_ROWS if rows.is_cuda else CPU_ROWS) // max(1, rows.shape[1]))
