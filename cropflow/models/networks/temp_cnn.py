"""TempCNN: three convolutions along the series of a pixel, then a dense layer."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.config.models.drawing import Kind
from cropflow.config.models.pixels import TempCnn as Settings
from cropflow.errors import CropflowError
from cropflow.models.batch import Batch
from cropflow.models.layers.dates import seen
from cropflow.models.layers.dropout import relu_dropout
from cropflow.models.layers.rows import BatchNorm
from cropflow.models.network import Inputs, Network


class DateConvolution(nn.Module):
    """A convolution along the dates, batch norm, ReLU and dropout; dates that do not count are 0 before and after.

    Values stay date by date, ``(B, T, C)``, which is the channels-last layout of an image of one row: nothing is
    transposed on the way, and the convolution takes three quarters of its time in the layout ``(B, C, T)``.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        kernel_size: Odd length of the kernel, dates.
        dropout: Share of values dropped in training.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, kernel_size, padding=kernel_size // 2)
        self.norm = BatchNorm(outputs)
        self.dropout = dropout

    def forward(self, values: Tensor, counts: Tensor | None) -> Tensor:
        """Convolve ``(B, T, inputs)`` into ``(B, T, outputs)``; `counts` as :func:`seen` gives it."""
        one = self.convolution
        weight = one.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        image = values.transpose(1, 2).unsqueeze(2)
        found = functional.conv2d(image, weight, one.bias, padding=(0, one.kernel_size[0] // 2))
        rows = found.permute(0, 2, 3, 1).reshape(-1, one.out_channels)
        # The norm sees what was seen: neither gaps nor padding enter its mean and spread.
        chosen = None if counts is None else counts.flatten().nonzero().squeeze(1)
        if chosen is None:
            rows = relu_dropout(self.norm(rows), self.dropout, self.training)
        else:
            kept = relu_dropout(self.norm(rows.index_select(0, chosen)), self.dropout, self.training)
            rows = torch.zeros_like(rows, dtype=kept.dtype).index_copy(0, chosen, kept)
        return rows.view(*values.shape[:2], -1)


class TempCnn(Network):
    """Scores of a pixel from its series.

    Input ``(B, T, C)`` float32, normalised; dates that are not valid are left out: they are 0 in every layer, enter
    no norm and no mean. Output ``(B, outputs)``, not yet a softmax.

    Pooling ``flatten`` is the published form: the dense layer has a weight for each date, and T is fixed. ``mean``
    and ``max`` over the valid dates take any T.

    With 10 bands, 36 dates and 9 outputs it has 2,604,937 parameters, with 13 bands, 45 dates and 9 outputs
    3,197,449: as the class TempCNN of the package breizhcrops 0.0.4.1.

    Args:
        bands: Bands per date, of all sensors.
        outputs: Number of classes.
        periods: Dates of a series; None unless pooling is ``flatten``.
        kernel_size: Odd length of the kernel, dates.
        width: Channels of the convolutions; the dense layer has four times as many.
        dropout: Share of values dropped in training, after each layer.
        pooling: What the dense layer sees of the dates.
        align: How sensors come onto one axis.

    Source:
        Pelletier et al. (2019), https://doi.org/10.3390/rs11050523.
    """

    kind: ClassVar[Kind] = "pixels"
    masked: ClassVar[bool] = True

    def __init__(
        self,
        bands: int,
        outputs: int,
        periods: int | None = None,
        *,
        kernel_size: int = 7,
        width: int = 128,
        dropout: float = 0.18,
        pooling: Literal["flatten", "mean", "max"] = "flatten",
        align: Literal["nearest", "linear"] = "nearest",
    ) -> None:
        super().__init__()
        self.periods, self.pooling, self.align, self.dropout = periods, pooling, align, dropout
        self.convolutions = nn.ModuleList(
            DateConvolution(width if layer else bands, width, kernel_size, dropout) for layer in range(3)
        )
        self.dense = nn.Linear(width * (periods or 1), 4 * width)
        self.norm = BatchNorm(4 * width)
        self.head = nn.Linear(4 * width, outputs)

    def replace_head(self, outputs: int) -> None:
        """Put a fresh last layer in the place of the old one."""
        self.head = nn.Linear(self.dense.out_features, outputs)

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class.

        Raises:
            CropflowError: If the dense layer has weights for another number of dates.
        """
        series, counts = seen(batch, self.align)
        values = series.values
        if self.pooling == "flatten" and values.shape[1] != self.periods:
            raise CropflowError(
                f"The series have {values.shape[1]} dates; this temp_cnn flattens {self.periods}. Give it as many, or "
                "train one with pooling: mean, which takes any number."
            )
        for convolution in self.convolutions:
            values = convolution(values, counts)
        features = self.norm(self.dense(self._pool(values, counts)))
        scores: Tensor = self.head(relu_dropout(features, self.dropout, self.training))
        return scores

    def _pool(self, values: Tensor, counts: Tensor | None) -> Tensor:
        if self.pooling == "flatten":
            return values.flatten(1)
        if self.pooling == "max":
            # After the ReLU nothing lies below the 0 of dates that do not count.
            return values.amax(1)
        return values.mean(1) if counts is None else values.sum(1) / counts.sum(1, keepdim=True)


def build(settings: Settings, inputs: Inputs) -> TempCnn:
    """The network of a config section.

    Raises:
        CropflowError: If it is to flatten series whose number of dates is not fixed.
    """
    periods = None
    if settings.pooling == "flatten":
        if inputs.periods is None:
            raise CropflowError(
                "A temp_cnn with pooling: flatten has a weight for each date, and the number of dates is not fixed; "
                "choose pooling: mean or max, or a series with calendar periods."
            )
        periods = next(iter(inputs.periods.values()))
    return TempCnn(
        inputs.channels,
        inputs.outputs,
        periods,
        kernel_size=settings.kernel_size,
        width=settings.width,
        dropout=settings.dropout,
        pooling=settings.pooling,
        align=settings.align,
    )
