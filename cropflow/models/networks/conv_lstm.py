"""A convolutional LSTM over a chip, whose last state, pooled, says what the chip shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from torch import Tensor, nn

from cropflow.config.models.drawing import Kind
from cropflow.config.models.patches import ConvLstm as Settings
from cropflow.models.batch import Batch
from cropflow.models.layers.masks import YEAR, on_axis
from cropflow.models.layers.recurrence import ConvLstmCell, frames_of, with_days
from cropflow.models.network import Inputs, Network


class ConvLstm(Network):
    """Scores per chip from a series of chips.

    Input ``(B, T, C, H, W)`` float32, normalised; any number of dates, chips of any size. State and memory are carried
    over pixels that are missing on a date, so that padding and clouds change nothing, and the last state is averaged
    over the pixels that were seen at all. Output ``(B, outputs)``, not yet a softmax.

    With 5 bands, 10 outputs and the default settings it has the 1,045,770 parameters of the network published for the
    Canadian Cropland Dataset, and the scores of its weights on series without padding.

    Args:
        bands: Bands per date, of all sensors.
        outputs: Number of classes.
        hidden: Channels of the state, per layer.
        kernel_size: Odd side of the kernels.
        days: Whether the day of each date comes as one more channel.
        align: How sensors on other dates come to those of the first.

    Source:
        https://github.com/shama-llama/cropland-mapping, which runs over padded frames as if they were dates.
    """

    kind: ClassVar[Kind] = "chips"
    masked: ClassVar[bool] = True

    def __init__(
        self,
        bands: int,
        outputs: int,
        *,
        hidden: Sequence[int] = (64, 128),
        kernel_size: int = 3,
        days: bool = False,
        align: Literal["nearest", "linear"] = "nearest",
    ) -> None:
        super().__init__()
        self.days = days
        self.align: Literal["nearest", "linear"] = align
        channels = (bands + days, *hidden)
        self.cells = nn.ModuleList(
            ConvLstmCell(below, own, kernel_size) for below, own in zip(channels, hidden, strict=False)
        )
        self.head: nn.Linear = nn.Linear(hidden[-1], outputs)

    def replace_head(self, outputs: int) -> None:
        """Put a fresh linear layer in the place of the old one."""
        self.head = nn.Linear(self.head.in_features, outputs)

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class."""
        series = on_axis(batch, self.align)
        frames = frames_of(with_days(series, YEAR) if self.days else series.values, series.valid)
        for cell in self.cells:
            frames = cell(frames)
        # A pixel that was never seen still has the state 0.
        seen = series.valid.any(1).flatten(1).sum(1, keepdim=True).clamp(min=1)
        scores: Tensor = self.head(frames.last().sum((2, 3)) / seen)
        return scores


def build(settings: Settings, inputs: Inputs) -> ConvLstm:
    """The network of a config section."""
    return ConvLstm(
        inputs.channels,
        inputs.outputs,
        hidden=settings.hidden,
        kernel_size=settings.kernel_size,
        days=settings.days,
        align=settings.align,
    )
