"""Temporal encoders that see dates in their order: recurrent and convolutional."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.models.layers.positions import positions
from cropflow.models.layers.rows import BatchNorm, of_kept


def in_front(frames: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Move the valid dates of each series to its front, in their order, so that gaps and padding fall behind.

    Args:
        frames: ``(B, T, C)``.
        valid: bool, ``(B, T)``.

    Returns:
        The frames, zeros behind the valid ones, and where they are valid.
    """
    order = torch.sort(valid.to(torch.int8), dim=1, descending=True, stable=True).indices
    valid = valid.gather(1, order)
    moved = frames.gather(1, order.unsqueeze(-1).expand_as(frames))
    return torch.where(valid.unsqueeze(-1), moved, 0.0), valid


class _WithDates(nn.Module):
    """Layer norm of each date, and its position: what the encoders below begin with."""

    def __init__(self, inputs: int, period: float) -> None:
        super().__init__()
        self.first_norm, self.period = nn.LayerNorm(inputs), period

    def forward(self, frames: Tensor, dates: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.first_norm(frames)
        return in_front(seen + positions(dates, seen.shape[-1], self.period).to(seen.dtype), valid)


class Gru(nn.Module):
    """A gated recurrent unit whose state after the last valid date is the embedding.

    Args:
        inputs: Channels of a date, an even number.
        outputs: Channels of the state.
        period: Days in which the slowest wave of the positions moves on by about a radian.
        dropout: Share of the embedding dropped in training.

    Source:
        The recurrent competitor of Garnot et al. (2020), https://doi.org/10.48550/arXiv.1911.07757, told the dates.
    """

    def __init__(self, inputs: int, outputs: int, *, period: float = 1000.0, dropout: float = 0.2) -> None:
        super().__init__()
        self.start = _WithDates(inputs, period)
        self.gru = nn.GRU(inputs, outputs, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor, dates: Tensor, valid: Tensor) -> Tensor:
        """Embed series; shapes as of :class:`cropflow.models.layers.attention.Ltae`."""
        seen, valid = self.start(frames, dates, valid)
        states, _ = self.gru(seen)
        last = (valid.sum(1) - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, states.shape[-1])
        found: Tensor = self.dropout(states.gather(1, last).squeeze(1) * valid.any(1, keepdim=True))
        return found


class Convolutions(nn.Module):
    """Convolutions along the valid dates, the largest response over time being the embedding.

    Pooling takes the place of the flattening of the published network, which binds it to one number of dates.

    Args:
        inputs: Channels of a date, an even number.
        widths: Channels of each convolution; the last are those of the embedding.
        kernel_size: Odd number of dates that a convolution sees.
        period: Days in which the slowest wave of the positions moves on by about a radian.
        dropout: Share of the channels dropped in training after each convolution.

    Source:
        Pelletier et al. (2019), https://doi.org/10.3390/rs11050523, on embeddings of parcels.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        *,
        kernel_size: int = 3,
        period: float = 1000.0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.start = _WithDates(inputs, period)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(*pair, kernel_size, padding=kernel_size // 2)
            for pair in zip((inputs, *widths), widths, strict=False)
        )
        self.norms = nn.ModuleList(BatchNorm(width) for width in widths)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor, dates: Tensor, valid: Tensor) -> Tensor:
        """Embed series; shapes as of :class:`cropflow.models.layers.attention.Ltae`."""
        seen, valid = self.start(frames, dates, valid)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            seen = of_kept(norm, convolution(seen.transpose(1, 2)).transpose(1, 2), valid)
            seen = self.dropout(functional.relu(seen))
        # Responses are at least 0, and 0 where there is no date.
        found: Tensor = seen.amax(1)
        return found
