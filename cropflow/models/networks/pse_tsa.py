"""Pixel sets and temporal self-attention, of one sensor or of several that meet early or late."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from cropflow.config.models.drawing import Kind
from cropflow.config.models.parcels import PseTsa as Settings
from cropflow.models.batch import Batch, Series
from cropflow.models.data.alignment import on_one_axis
from cropflow.models.layers.attention import Tae
from cropflow.models.layers.pixel_set_encoder import pixel_set_encoder
from cropflow.models.layers.rows import Decoder, of_kept, precise, start
from cropflow.models.network import Inputs, Network

# The branch of sensors that have met.
JOINED = "joined"


class PseTsa(Network):
    """Scores per parcel from the series of its pixels, by sensor.

    Input values ``(B, T, C, S)`` of each sensor, any T and S; a parcel may lack any sensor. Output ``(B, outputs)``,
    not yet a softmax, or logarithms of probabilities where those of sensors are averaged or multiplied.

    With 12 outputs and the default settings it has the published number of parameters: 163,084 of Sentinel-1 (two
    bands), 163,340 of Sentinel-2 (ten), and of both 163,404 (early), 798,956 (pse), 323,692 (tsa) and 315,500
    (probabilities; one decoder serves both sensors, as published, so that a sensor that is rare learns from the other).

    Args:
        settings: Its config section.
        inputs: Sensors, bands, classes and features.

    Raises:
        CropflowError: If the settings ask for features that the samples lack.

    Source:
        Garnot et al. (2020), https://doi.org/10.48550/arXiv.1911.07757; fusion of Ofori-Ampofo et al. (2021),
        https://doi.org/10.3390/rs13224668, with probabilities where theirs has scores, multiplied sample by sample.
    """

    kind: ClassVar[Kind] = "pixel_sets"
    masked: ClassVar[bool] = True

    def __init__(self, settings: Settings, inputs: Inputs) -> None:
        super().__init__()
        self.settings = settings
        self.sensors = tuple(inputs.bands)
        self.fusion = settings.fusion if len(self.sensors) > 1 else "early"
        several, width = len(self.sensors), settings.date_width
        bands = {JOINED: inputs.channels} if self.fusion == "early" else inputs.bands
        self.pixel_sets = nn.ModuleDict(
            {name: pixel_set_encoder(settings, count, inputs.features) for name, count in bands.items()}
        )
        if self.fusion == "pse":
            temporal = {JOINED: _temporal_encoder(settings, several * width, 2 * several * width)}
        else:
            temporal = {name: _temporal_encoder(settings, width, width) for name in bands}
        self.temporal = nn.ModuleDict(temporal)
        self.embedding = several * width if self.fusion in ("pse", "tsa") else width
        self.head: Decoder
        self.replace_head(inputs.outputs)
        self.apply(start)

    def replace_head(self, outputs: int) -> None:
        """Put a fresh decoder in the place of the old one."""
        device = next(self.temporal.parameters()).device
        self.head = Decoder((self.embedding, *self.settings.decoder_widths), outputs).apply(start).to(device)

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class."""
        if self.fusion == "early":
            joined = batch.only() if len(self.sensors) == 1 else on_one_axis(batch, self.settings.align)
            return self._scores(self._embedding(JOINED, self._dates(JOINED, joined, batch)))
        dates = {sensor: self._dates(sensor, batch.series[sensor], batch) for sensor in self.sensors}
        if self.fusion == "pse":
            return self._scores(self._embedding(JOINED, on_one_axis(Batch(dates), self.settings.align)))
        embeddings = torch.stack([self._embedding(sensor, series) for sensor, series in dates.items()], 1)
        if self.fusion == "tsa":
            return self._scores(embeddings.flatten(1))
        present = torch.stack([series.present for series in dates.values()], 1)
        # Of a sample without any sensor, what the decoder says of nothing.
        present = present | ~present.any(1, keepdim=True)
        scores = of_kept(self.head, embeddings, present)
        return fused(scores, present, average=self.fusion == "softmax_average")

    def _dates(self, branch: str, series: Series, batch: Batch) -> Series:
        """The series of a sensor with an embedding of all pixels of a date in the place of each, ``(B, T, C)``."""
        return Series(self.pixel_sets[branch](series, batch.features), series.dates, series.frames)

    def _embedding(self, branch: str, series: Series) -> Tensor:
        found: Tensor = self.temporal[branch](series.values, series.dates, series.valid)
        return found

    def _scores(self, embedding: Tensor) -> Tensor:
        scores: Tensor = self.head(embedding)
        return scores


def _temporal_encoder(settings: Settings, width: int, hidden: int) -> Tae:
    return Tae(
        width,
        width,
        hidden=(hidden,),
        heads=settings.heads,
        key_size=settings.key_size,
        period=settings.period,
        dropout=settings.dropout,
        attention_dropout=settings.attention_dropout,
    )


def fused(scores: Tensor, present: Tensor, *, average: bool) -> Tensor:
    """The probabilities of several sensors as one, sample by sample.

    Args:
        scores: Before softmax, ``(B, sensor, class)``.
        present: True where a sample has a sensor, bool, ``(B, sensor)``; at least one of each sample.
        average: Take the mean of the probabilities; otherwise their product, which is then made to add up to 1.

    Returns:
        Logarithms of the probabilities, at least float32, ``(B, class)``.
    """
    logarithms, there = precise(scores).log_softmax(2), present.unsqueeze(2)
    if average:
        return logarithms.masked_fill(~there, -torch.inf).logsumexp(1) - present.sum(1, keepdim=True).log()
    return torch.where(there, logarithms, 0.0).sum(1).log_softmax(1)


def build(settings: Settings, inputs: Inputs) -> PseTsa:
    """The network of a config section; only the branches that its fusion needs."""
    return PseTsa(settings, inputs)
