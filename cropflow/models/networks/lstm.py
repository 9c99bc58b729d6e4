"""An LSTM over the series of a pixel."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from cropflow.config.models.drawing import Kind
from cropflow.config.models.pixels import Lstm as Settings
from cropflow.models.batch import Batch
from cropflow.models.layers.dates import seen
from cropflow.models.layers.recurrent import Recurrence
from cropflow.models.network import Inputs, Network


class Lstm(Network):
    """Scores of a pixel from the last cell states of all layers and directions.

    Input ``(B, T, C)`` float32, normalised, any T; dates that are not valid are passed over: the state before them is
    the state after them, in both directions. Output ``(B, outputs)``, not yet a softmax.

    With 10 bands and 9 outputs it has 1,332,253 parameters, with 13 bands 1,335,331: as the class LSTM of the package
    breizhcrops 0.0.4.1. Layer norm over the bands of a date would leave nothing of a single band and is left out then.

    Args:
        bands: Bands per date, of all sensors.
        outputs: Number of classes.
        width: Channels of the state, in each direction.
        layers: Number of layers.
        bidirectional: Read the series backwards too.
        dropout: Share of values dropped between layers in training.
        align: How sensors come onto one axis.

    Source:
        Rußwurm and Körner (2017), https://doi.org/10.1109/CVPRW.2017.193, in the form of Rußwurm et al. (2020),
        https://doi.org/10.48550/arXiv.1905.11893.
    """

    kind: ClassVar[Kind] = "pixels"
    masked: ClassVar[bool] = True

    def __init__(
        self,
        bands: int,
        outputs: int,
        *,
        width: int = 128,
        layers: int = 4,
        bidirectional: bool = True,
        dropout: float = 0.57,
        align: Literal["nearest", "linear"] = "nearest",
    ) -> None:
        super().__init__()
        self.align = align
        self.entry_norm = nn.LayerNorm(bands) if bands > 1 else nn.Identity()
        states = width * layers * (1 + bidirectional)
        self.state_norm = nn.LayerNorm(states)
        self.recurrence = Recurrence(bands, width, layers, bidirectional, dropout)
        self.head = nn.Linear(states, outputs)

    def replace_head(self, outputs: int) -> None:
        """Put a fresh last layer in the place of the old one."""
        self.head = nn.Linear(self.state_norm.normalized_shape[0], outputs)

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class."""
        series, counts = seen(batch, self.align)
        cells = self.recurrence(self.entry_norm(series.values), counts)
        scores: Tensor = self.head(self.state_norm(cells))
        return scores


def build(settings: Settings, inputs: Inputs) -> Lstm:
    """The network of a config section."""
    return Lstm(
        inputs.channels,
        inputs.outputs,
        width=settings.width,
        layers=settings.layers,
        bidirectional=settings.bidirectional,
        dropout=settings.dropout,
        align=settings.align,
    )
