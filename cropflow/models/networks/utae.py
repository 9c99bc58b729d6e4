"""A U-Net with temporal attention: where to look in time is learnt at its coarsest level and used at all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.config.models.drawing import Kind
from cropflow.config.models.patches import Utae as Settings
from cropflow.models.batch import Batch
from cropflow.models.layers.masks import gaps, masked_group_norm, on_axis
from cropflow.models.layers.positions import positions
from cropflow.models.layers.unet import check_side, padded_to
from cropflow.models.layers.weighing import weighed
from cropflow.models.network import Inputs, Network

# Groups of the norms of the encoder, and the longest period of the positions, days.
GROUPS, LONGEST = 4, 1000.0


def _layer(inputs: int, outputs: int, norm: nn.Module, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size, stride, padding=1, padding_mode="reflect")
    return nn.Sequential(convolution, norm, nn.ReLU(inplace=True))


class Down(nn.Module):
    """Half the resolution, then two convolutions, the second beside a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.halve = _layer(inputs, inputs, nn.GroupNorm(GROUPS, inputs), 4, 2)
        self.first = _layer(inputs, outputs, nn.GroupNorm(GROUPS, outputs))
        self.second = _layer(outputs, outputs, nn.GroupNorm(GROUPS, outputs))

    def forward(self, frames: Tensor) -> Tensor:
        """Encode frames ``(N, inputs, H, W)`` as ``(N, outputs, H // 2, W // 2)``."""
        found: Tensor = self.first(self.halve(frames))
        added: Tensor = found + self.second(found)
        return added


class Up(nn.Module):
    """Twice the resolution, joined with a skipped map, then two convolutions, the second beside a shortcut."""

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(skipped, skipped, 1), nn.BatchNorm2d(skipped), nn.ReLU(inplace=True))
        self.enlarge = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )
        self.first = _layer(outputs + skipped, outputs, nn.BatchNorm2d(outputs))
        self.second = _layer(outputs, outputs, nn.BatchNorm2d(outputs))

    def forward(self, coarse: Tensor, skipped: Tensor) -> Tensor:
        """Decode ``(B, inputs, h, w)`` beside ``(B, skipped, H, W)`` into ``(B, outputs, H, W)``."""
        joined = torch.cat([padded_to(self.enlarge(coarse), skipped), self.skip(skipped)], 1)
        found: Tensor = self.first(joined)
        added: Tensor = found + self.second(found)
        return added


class TemporalAttention(nn.Module):
    """L-TAE on every pixel of a map: one learnt query per head looks at all dates.

    Args:
        inputs: Channels of the map, in and out.
        heads: Number of heads.
        keys: Length of queries and keys.
        width: Channels that are weighed, divided among the heads.
        dropout: Share dropped of the output, in training.
        attention_dropout: Share of the dates dropped, in training.

    Source:
        Garnot and Landrieu (2020), https://doi.org/10.48550/arXiv.2007.00586.
    """

    def __init__(
        self, inputs: int, heads: int, keys: int, width: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.heads, self.keys, self.width = heads, keys, width
        self.attention_dropout = attention_dropout
        spread = (2.0 / keys) ** 0.5
        self.query = nn.Parameter(torch.randn(heads, keys) * spread)
        self.key = nn.Linear(width, heads * keys)
        nn.init.normal_(self.key.weight, std=spread)
        self.enter_norm = nn.GroupNorm(heads, inputs)
        self.enter = nn.Conv1d(inputs, width, 1)
        self.leave = nn.Sequential(
            nn.Linear(width, inputs), nn.BatchNorm1d(inputs), nn.ReLU(inplace=True), nn.Dropout(dropout)
        )
        self.leave_norm = nn.GroupNorm(heads, inputs)

    def forward(self, maps: Tensor, days: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weigh the dates of maps.

        Args:
            maps: ``(B, T, inputs, h, w)``.
            days: Since the start of the season, ``(B, T)``.
            valid: bool, ``(B, T, h, w)``; None where everything is valid.

        Returns:
            The map ``(B, inputs, h, w)``, and the weights ``(B, head, T, h, w)``: they add up to 1 over the dates,
            apart from dropout, and are 0 where not valid.
        """
        batch, dates, channels, height, width = maps.shape
        pixels = maps.permute(0, 3, 4, 2, 1).reshape(-1, channels, dates)
        mask = None if valid is None else valid.permute(0, 2, 3, 1).reshape(-1, 1, dates)
        entered = self.enter(masked_group_norm(self.enter_norm, pixels, mask))
        waves = positions(days, self.width // self.heads, LONGEST).repeat(1, 1, self.heads).transpose(1, 2)
        entered = (entered.view(batch, -1, self.width, dates) + waves.unsqueeze(1)).flatten(0, 1)
        # The query is the same everywhere: query times key is one projection to a number per head.
        weight = (self.query.unsqueeze(1) @ self.key.weight.view(self.heads, self.keys, -1)).squeeze(1)
        bias = (self.query * self.key.bias.view(self.heads, self.keys)).sum(1, keepdim=True)
        scores = (weight @ entered + bias) / self.keys**0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        attention = functional.dropout(scores.softmax(2), self.attention_dropout, self.training)
        if mask is not None:
            attention = attention * mask
        weighed = entered.view(-1, self.heads, self.width // self.heads, dates) @ attention.unsqueeze(3)
        left = self.leave_norm(self.leave(weighed.flatten(1)))
        found = left.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return found, attention.view(batch, height, width, self.heads, dates).permute(0, 3, 4, 1, 2)


def weighed_by(maps: Tensor, attention: Tensor) -> Tensor:
    """Collapse the time of finer maps by the attention of the coarsest; each head weighs channels of its own.

    Args:
        maps: ``(B, T, C, H, W)``.
        attention: ``(B, head, T, h, w)``, brought to H and W by bilinear interpolation.

    Returns:
        ``(B, C, H, W)``.
    """
    heads, dates = attention.shape[1:3]
    fine = functional.interpolate(attention.flatten(0, 1), maps.shape[3:], mode="bilinear", align_corners=False)
    return weighed(maps, fine.view(len(maps), heads, dates, *maps.shape[3:]))


class Utae(Network):
    """Scores per pixel from a series of patches.

    Input ``(B, T, C, H, W)`` float32, normalised; any dates; H and W at least ``2 ** len(encoder_widths)``. A frame
    without a valid pixel, or padding, is left out; a date counts at a pixel of the coarsest map where any of the
    pixels under it is valid. Output ``(B, outputs, H, W)``, not yet a softmax.

    With 10 bands, 20 outputs and the default settings, those of PASTIS, it has 1,087,220 parameters; the paper says
    1,087 thousand. Its code ends in a batch norm and a ReLU of the scores (40 parameters more), so that no score can be
    negative; here they are left out.

    Args:
        bands: Bands per date, of all sensors.
        outputs: Number of classes.
        encoder_widths: Channels on the way down, from fine to coarse; each after the first halves the resolution.
        decoder_widths: Channels on the way up, in the same order.
        heads: Heads of the attention.
        keys: Length of its keys.
        model_width: Channels that it weighs.
        dropout: Share dropped after it, in training.
        attention_dropout: Share of dates dropped in it, in training.
        align: How sensors on other dates come to those of the first.

    Source:
        Garnot and Landrieu (2021), https://doi.org/10.48550/arXiv.2107.07933.
    """

    kind: ClassVar[Kind] = "patches"
    masked: ClassVar[bool] = True

    def __init__(
        self,
        bands: int,
        outputs: int,
        *,
        encoder_widths: Sequence[int] = (64, 64, 64, 128),
        decoder_widths: Sequence[int] = (32, 32, 64, 128),
        heads: int = 16,
        keys: int = 4,
        model_width: int = 256,
        dropout: float = 0.2,
        attention_dropout: float = 0.1,
        align: Literal["nearest", "linear"] = "nearest",
    ) -> None:
        super().__init__()
        self.align: Literal["nearest", "linear"] = align
        finest = encoder_widths[0]
        self.enter = nn.Sequential(
            _layer(bands, finest, nn.GroupNorm(GROUPS, finest)), _layer(finest, finest, nn.GroupNorm(GROUPS, finest))
        )
        self.down = nn.ModuleList(Down(fine, coarse) for fine, coarse in pairwise(encoder_widths))
        self.attention = TemporalAttention(
            encoder_widths[-1], heads, keys, model_width, dropout, attention_dropout
        )  # fmt: skip
        self.up = nn.ModuleList(
            Up(decoder_widths[level], encoder_widths[level - 1], decoder_widths[level - 1])
            for level in range(len(decoder_widths) - 1, 0, -1)
        )
        self.leave = _layer(decoder_widths[0], decoder_widths[0], nn.BatchNorm2d(decoder_widths[0]))
        self.head: nn.Conv2d = nn.Conv2d(decoder_widths[0], outputs, 3, padding=1, padding_mode="reflect")

    def replace_head(self, outputs: int) -> None:
        """Put a fresh 3 x 3 convolution in the place of the last one."""
        self.head = nn.Conv2d(self.head.in_channels, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class."""
        check_side(batch.space, len(self.down), smallest=2)
        series = on_axis(batch, self.align)
        maps = self._encode(series.values, gaps(series.frames))
        coarsest = maps.pop()
        valid = gaps(series.valid)
        if valid is not None:
            valid = functional.adaptive_max_pool2d(valid.float(), coarsest.shape[-2:]) > 0
        found, attention = self.attention(coarsest, series.dates, valid)
        for up in self.up:
            found = up(found, weighed_by(maps.pop(), attention))
        scores: Tensor = self.head(self.leave(found))
        return scores

    def _encode(self, values: Tensor, frames: Tensor | None) -> list[Tensor]:
        """Maps of every frame ``(B, T, C, h, w)``, from fine to coarse; zeros for frames that are left out."""
        shape = values.shape[:2]
        flat = values.flatten(0, 1)
        rows = None if frames is None else frames.flatten().nonzero().squeeze(1)
        if rows is not None:
            flat = flat[rows]
        maps = [self.enter(flat.contiguous(memory_format=torch.channels_last))]
        for down in self.down:
            maps.append(down(maps[-1]))
        if rows is not None:
            maps = [one.new_zeros(shape.numel(), *one.shape[1:]).index_copy(0, rows, one) for one in maps]
        return [one.unflatten(0, shape) for one in maps]


def build(settings: Settings, inputs: Inputs) -> Utae:
    """The network of a config section."""
    return Utae(
        inputs.channels,
        inputs.outputs,
        encoder_widths=settings.encoder_widths,
        decoder_widths=settings.decoder_widths,
        heads=settings.heads,
        keys=settings.keys,
        model_width=settings.model_width,
        dropout=settings.dropout,
        attention_dropout=settings.attention_dropout,
        align=settings.align,
    )
