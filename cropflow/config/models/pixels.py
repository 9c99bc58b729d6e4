"""Networks over the series of single pixels."""

from __future__ import annotations

from typing import ClassVar, Literal

from cropflow.config.models.drawing import Kind, PixelDrawing
from cropflow.config.models.training import Training


class TempCnn(PixelDrawing, Training):
    """Temporal convolutions over the series of a pixel."""

    kind: ClassVar[Kind] = "pixels"

    name: Literal["temp_cnn"] = "temp_cnn"


class Lstm(PixelDrawing, Training):
    """An LSTM over the series of a pixel."""

    kind: ClassVar[Kind] = "pixels"

    name: Literal["lstm"] = "lstm"


class Transformer(PixelDrawing, Training):
    """A transformer encoder over the series of a pixel."""

    kind: ClassVar[Kind] = "pixels"

    name: Literal["transformer"] = "transformer"
