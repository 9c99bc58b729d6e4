"""Networks over the pixel set of a parcel."""

from __future__ import annotations

from typing import ClassVar, Literal

from cropflow.config.models.drawing import Kind, PixelSetDrawing
from cropflow.config.models.training import Training


class PseLtae(PixelSetDrawing, Training):
    """A pixel-set encoder and a temporal encoder."""

    kind: ClassVar[Kind] = "pixel_sets"

    name: Literal["pse_ltae"] = "pse_ltae"


class PseTsa(PixelSetDrawing, Training):
    """A pixel-set encoder and temporal self-attention, of one sensor or several."""

    kind: ClassVar[Kind] = "pixel_sets"

    name: Literal["pse_tsa"] = "pse_tsa"
