"""Attention over the dates of a parcel: one query per head, so that a series becomes one embedding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.errors import CropflowError
from cropflow.models.layers.positions import positions
from cropflow.models.layers.rows import BatchNorm, Mlp, of_kept, precise


def gaps_of(valid: Tensor) -> Tensor | None:
    """The mask itself, or None where all dates of all samples are valid: masks are then not worth their time."""
    return None if bool(valid.all()) else valid


def weights_of(scores: Tensor, valid: Tensor | None) -> Tensor:
    """Softmax over the valid dates, ``(B, T, heads)``; zeros where a sample has none.

    Args:
        scores: ``(B, T, heads)``.
        valid: bool, ``(B, T)``; None: all are.
    """
    if valid is None:
        return scores.softmax(1)
    there = valid.unsqueeze(-1)
    masked = precise(scores).masked_fill(~there, torch.finfo(torch.float32).min)
    return masked.softmax(1).mul(there).to(scores.dtype)


class Ltae(nn.Module):
    """Lightweight temporal attention: each head sees a share of the channels, and its query is learnt.

    Queries are the same for every sample, so that query and keys are multiplied once per step, not once per date.

    Args:
        inputs: Channels of a date.
        outputs: Channels of the embedding.
        channels: Channels that the heads share among them, a multiple of ``2 * heads``.
        heads: Number of heads.
        key_size: Channels of keys and queries.
        period: Days in which the slowest wave of the positions moves on by about a radian.
        dropout: Share of the embedding dropped in training.
        attention_dropout: Share of the attention dropped in training.
        plane: Norm over channels and this many dates together, as published: dates that are not there count as
            zeros that came in, and a series has at most as many. None: norm of each date by itself.

    Source:
        Garnot and Landrieu (2020), https://doi.org/10.48550/arXiv.2007.00586.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        channels: int = 256,
        heads: int = 16,
        key_size: int = 8,
        period: float = 1000.0,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
        plane: int | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.period, self.plane = heads, period, plane
        self.first_norm = nn.LayerNorm(inputs)
        self.widen = nn.Linear(inputs, channels)
        # The published start: scores of the heads differ from the first step on.
        self.query = nn.Parameter(torch.randn(heads, key_size) * math.sqrt(2 / key_size))
        self.key = nn.Linear(channels, heads * key_size)
        self.attention_dropout = nn.Dropout(attention_dropout)
        self.embed = nn.Sequential(*Mlp((channels, outputs)), nn.Dropout(dropout), nn.LayerNorm(outputs))

    def forward(self, frames: Tensor, dates: Tensor, valid: Tensor) -> Tensor:
        """Embed series.

        Args:
            frames: ``(B, T, inputs)``; of no matter where not valid.
            dates: Days since the start of the season, ``(B, T)``.
            valid: bool, ``(B, T)``.

        Returns:
            ``(B, outputs)``; zeros for a sample without a valid date.

        Raises:
            CropflowError: If a series is longer than the plane of its norm.
        """
        wide = self.widen(self.first_norm(frames))
        if self.plane is None:
            wide = functional.layer_norm(wide, wide.shape[-1:])
        else:
            wide = self._norm_of_plane(wide, valid, self.plane)
        # Every head sees the whole of the positions beside its share of the channels.
        seen = wide.view(*wide.shape[:2], self.heads, wide.shape[2] // self.heads)
        seen = seen + positions(dates, seen.shape[-1], self.period).unsqueeze(2).to(seen.dtype)
        gaps = gaps_of(valid)
        attention = self.attention_dropout(weights_of(self._scores(seen.flatten(2)), gaps))
        found = (attention.unsqueeze(-1) * seen).sum(1).flatten(1)
        return of_kept(self.embed, found, None if gaps is None else gaps.any(1))

    def _scores(self, seen: Tensor) -> Tensor:
        query = self.query / math.sqrt(self.query.shape[1])
        weight = (self.key.weight.view(*query.shape, -1) * query.unsqueeze(-1)).sum(1)
        bias = (self.key.bias.view_as(query) * query).sum(1)
        return functional.linear(seen, weight, bias)

    def _norm_of_plane(self, wide: Tensor, valid: Tensor, length: int) -> Tensor:
        longest = int(valid.sum(1).max()) if len(valid) else 0
        if longest > length:
            raise CropflowError(
                f"A series has {longest} dates; a network with norm 'published' takes at most {length}. "
                "Set its length, or norm: date."
            )
        nothing: Tensor = self.widen(self.first_norm.bias)
        there, wide = valid.unsqueeze(-1), precise(wide)
        blank = (length - valid.sum(1)).view(-1, 1, 1)
        size = length * wide.shape[-1]
        mean = ((wide * there).sum((1, 2), keepdim=True) + blank * nothing.sum()) / size
        squares = ((wide - mean).square() * there).sum((1, 2), keepdim=True)
        squares = squares + blank * (nothing - mean).square().sum(-1, keepdim=True)
        return (wide - mean) * torch.rsqrt(squares / size + 1e-5)


class Tae(nn.Module):
    """Temporal self-attention: every head sees all channels, and its query is the mean over the dates.

    Means of linear layers are linear layers of means, and a product of query and key is one of query, weights and
    date: no layer has to run on every date.

    Args:
        inputs: Channels of a date, an even number.
        outputs: Channels of the embedding.
        hidden: Channels between the heads and the embedding.
        heads: Number of heads.
        key_size: Channels of keys and queries.
        period: Days in which the slowest wave of the positions moves on by about a radian.
        dropout: Share of the embedding dropped in training.
        attention_dropout: Share of the attention dropped in training.

    Source:
        Garnot et al. (2020), https://doi.org/10.48550/arXiv.1911.07757.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (128,),
        heads: int = 4,
        key_size: int = 32,
        period: float = 1000.0,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.heads, self.period = heads, period
        size = heads * key_size
        self.first_norm = nn.LayerNorm(inputs)
        self.mean_query = nn.Linear(inputs, size)
        self.key = nn.Linear(inputs, size)
        self.query = nn.Sequential(BatchNorm(size), nn.Linear(size, size))
        self.attention_dropout = nn.Dropout(attention_dropout)
        self.embed = nn.Sequential(*Mlp((heads * inputs, *hidden, outputs)), nn.Dropout(dropout), nn.LayerNorm(outputs))

    def forward(self, frames: Tensor, dates: Tensor, valid: Tensor) -> Tensor:
        """Embed series; shapes as of :class:`Ltae`."""
        seen = self.first_norm(frames)
        seen = seen + positions(dates, seen.shape[-1], self.period).to(seen.dtype)
        gaps = gaps_of(valid)
        kept = None if gaps is None else gaps.any(1)
        query = of_kept(lambda rows: self.query(self.mean_query(rows)), _mean(seen, gaps), kept)
        attention = self.attention_dropout(weights_of(self._scores(seen, query), gaps))
        found = (attention.transpose(1, 2) @ seen).flatten(1)
        return of_kept(self.embed, found, kept)

    def _scores(self, seen: Tensor, query: Tensor) -> Tensor:
        size = self.key.out_features // self.heads
        query = query.view(-1, self.heads, size).transpose(0, 1) / math.sqrt(size)
        weights = query @ self.key.weight.view(self.heads, size, -1)
        # The bias adds the same to all dates, so that softmax leaves it out.
        bias = (query * self.key.bias.view(self.heads, 1, size)).sum(-1)
        return torch.baddbmm(bias.t().unsqueeze(1), seen, weights.permute(1, 2, 0))


def _mean(seen: Tensor, valid: Tensor | None) -> Tensor:
    """Mean over the valid dates, ``(B, C)``."""
    if valid is None:
        return seen.mean(1)
    there = valid.unsqueeze(-1)
    return (seen * there).sum(1) / there.sum(1).clamp(min=1)
