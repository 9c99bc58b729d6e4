"""Layers over the rows of a table, of which some are not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class BatchNorm(nn.BatchNorm1d):
    """Batch norm of rows ``(n, C)`` that takes fewer than two.

    One row has no spread and none has no mean: then the running statistics serve, as they do outside training.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Normalise ``(n, C)``."""
        if self.training and len(rows) < 2:
            return functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(rows)


def start(module: nn.Module) -> None:
    """Fresh weights of a linear layer, for :meth:`torch.nn.Module.apply`: Xavier's, and biases of 0.

    Networks of parcels learn faster from these than from torch's own, and slower from the published ones, whose
    biases and scales of batch norm are normal numbers.

    Source:
        Glorot and Bengio (2010), https://proceedings.mlr.press/v9/glorot10a.html.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)


class Mlp(nn.Sequential):
    """Linear layers of rows ``(n, widths[0])``, each with batch norm and ReLU.

    Args:
        widths: Channels that come in, and those of each layer.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), BatchNorm(outputs), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Decoder(nn.Sequential):
    """From the embedding of a parcel to scores of classes.

    Args:
        widths: Channels that come in, and those of the hidden layers.
        outputs: Number of classes.
    """

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__(*Mlp(widths), nn.Linear(widths[-1], outputs))


def precise(values: Tensor) -> Tensor:
    """Values of at least 32 bits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def of_kept(function: Callable[[Tensor], Tensor], values: Tensor, kept: Tensor | None) -> Tensor:
    """Apply a function of rows to those that are there, so that the others count in no batch norm.

    Args:
        function: Of ``(n, C)`` to ``(n, D)``.
        values: ``(*shape, C)``.
        kept: True where a row is there, bool, ``shape``; None: everywhere.

    Returns:
        ``(*shape, D)``, zeros where no row is there.
    """
    if kept is None or bool(kept.all()):
        return function(values.flatten(0, -2)).view(*values.shape[:-1], -1)
    return spread(function(values[kept]), kept)


def spread(rows: Tensor, kept: Tensor) -> Tensor:
    """Put rows ``(n, D)`` back where they came from, ``(*shape, D)`` with zeros elsewhere.

    Args:
        rows: As many rows as `kept` is True.
        kept: bool, ``shape``.
    """
    if kept.numel() == len(rows):
        return rows.view(*kept.shape, -1)
    places = kept.flatten().nonzero().squeeze(1)
    whole = rows.new_zeros(kept.numel(), rows.shape[1]).index_copy(0, places, rows)
    return whole.view(*kept.shape, -1)
