"""A pixel-set encoder on each date, a temporal encoder over the dates, and a decoder that may know the rotation."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from cropflow.config.models.drawing import Kind
from cropflow.config.models.parcels import PseLtae as Settings
from cropflow.errors import CropflowError
from cropflow.models.batch import Batch
from cropflow.models.data.alignment import on_one_axis
from cropflow.models.layers.attention import Ltae, Tae
from cropflow.models.layers.pixel_set_encoder import pixel_set_encoder
from cropflow.models.layers.rows import Decoder, start
from cropflow.models.layers.sequences import Convolutions, Gru
from cropflow.models.network import Inputs, Network

# Dates that a convolution over the embeddings of dates sees.
KERNEL = 3


class PseLtae(Network):
    """Scores per parcel from the series of its pixels.

    Input values ``(B, T, C, S)``, any T and S; several sensors are joined on the dates of the first. Output
    ``(B, outputs)``, not yet a softmax.

    With ten bands, four parcel features and 20 outputs it has the published 130,836 parameters (19,936 of the pixel-set
    encoder, 99,712 of the temporal one, 11,188 of the decoder), and 132,116 with the history of 20 classes.

    Args:
        settings: Its config section.
        inputs: Sensors, bands, classes, features and earlier seasons.

    Raises:
        CropflowError: If the settings ask for features or history that the samples lack, or for a plane of fewer dates
            than they have.

    Source:
        Garnot and Landrieu (2020), https://doi.org/10.48550/arXiv.2007.00586; the history of Quinton and Landrieu
        (2021), https://doi.org/10.3390/rs13224599.
    """

    kind: ClassVar[Kind] = "pixel_sets"
    masked: ClassVar[bool] = True

    def __init__(self, settings: Settings, inputs: Inputs) -> None:
        super().__init__()
        if settings.history != "none" and not inputs.lags:
            raise CropflowError(
                f"pse_ltae has history: {settings.history}, and the samples have no earlier season; expected one or "
                "more. Set history of the sample set, or history: none."
            )
        _check_plane(settings, inputs)
        self.settings, self.lags = settings, inputs.lags
        self.pixel_set = pixel_set_encoder(settings, inputs.channels, inputs.features)
        self.temporal = _temporal_encoder(settings)
        self.head: Decoder
        self.replace_head(inputs.outputs)
        self.apply(start)

    def replace_head(self, outputs: int) -> None:
        """Put a fresh decoder in the place of the old one; a history is then of the new classes."""
        history = {"none": 0, "bag": outputs, "ordered": self.lags * (outputs + 1)}[self.settings.history]
        device = self.pixel_set.linear.weight.device
        self.head = (
            Decoder((self.settings.width + history, *self.settings.decoder_widths), outputs).apply(start).to(device)
        )

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class."""
        series = batch.only() if len(batch.series) == 1 else on_one_axis(batch, self.settings.align)
        dates = self.pixel_set(series, batch.features)
        parts = [self.temporal(dates, series.dates, series.frames)]
        if self.settings.history != "none":
            parts.append(_history(batch.history, self.settings.history == "ordered"))
        scores: Tensor = self.head(torch.cat(parts, 1))
        return scores


def _check_plane(settings: Settings, inputs: Inputs) -> None:
    """Refuse a plane that the dates of the first sensor do not fit on, where their number is known."""
    dates = next(iter(inputs.periods.values()), 0) if inputs.periods else 0
    if settings.norm == "published" and dates > settings.length:
        raise CropflowError(
            f"length of pse_ltae is {settings.length}, and the series have {dates} dates; expected at least as many, "
            "or norm: date, which takes any number."
        )


def _temporal_encoder(settings: Settings) -> nn.Module:
    """The encoder of dates ``(B, T, C)``, their days and where they are valid, to ``(B, width)``."""
    inputs, width = settings.date_width, settings.width
    common: dict[str, float] = {"period": settings.period, "dropout": settings.dropout}
    if settings.temporal == "gru":
        return Gru(inputs, width, **common)
    if settings.temporal == "tempcnn":
        return Convolutions(inputs, (*settings.convolution_widths, width), kernel_size=KERNEL, **common)
    heads, key_size = settings.chosen_heads, settings.chosen_key_size
    common["attention_dropout"] = settings.attention_dropout
    if settings.temporal == "tae":
        return Tae(inputs, width, hidden=(width,), heads=heads, key_size=key_size, **common)
    plane = settings.length if settings.norm == "published" else None
    channels = settings.attention_width
    return Ltae(inputs, width, channels=channels, heads=heads, key_size=key_size, plane=plane, **common)


def _history(shares: Tensor | None, ordered: bool) -> Tensor:
    """The rotation as channels of a parcel, ``(B, lag * (class + 1))`` in order, ``(B, class)`` as a bag."""
    if shares is None:
        raise ValueError("the batch has no history; the network was built for one")
    return shares.flatten(1) if ordered else shares[..., :-1].sum(1)


def build(settings: Settings, inputs: Inputs) -> PseLtae:
    """The network of a config section."""
    return PseLtae(settings, inputs)
