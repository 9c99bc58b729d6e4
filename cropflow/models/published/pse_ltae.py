"""Checkpoints of the multi-year PSE-LTAE of Quinton and Landrieu (2021), https://doi.org/10.3390/rs13224599."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from cropflow.config.models.parcels import PseLtae as Settings
from cropflow.errors import CropflowError
from cropflow.models.network import Inputs
from cropflow.models.networks.pse_ltae import PseLtae, build

# Dates of the plane that the published layer norm takes; it has no weights, so that no key tells.
LENGTH = 36
SENSOR = "sentinel2"

# Their names, as patterns, and ours.
NAMES = (
    (r"spatial_encoder\.mlp1\.(\d+)\.lin\.", r"pixel_set.pixels.\1.linear."),
    (r"spatial_encoder\.mlp1\.(\d+)\.bn\.", r"pixel_set.pixels.\1.norm."),
    (r"spatial_encoder\.mlp2\.0\.", "pixel_set.linear."),
    (r"spatial_encoder\.mlp2\.1\.", "pixel_set.norm."),
    (r"temporal_encoder\.inlayernorm\.", "temporal.first_norm."),
    (r"temporal_encoder\.inconv\.0\.", "temporal.widen."),
    (r"temporal_encoder\.attention_heads\.Q$", "temporal.query"),
    (r"temporal_encoder\.attention_heads\.fc1_k\.", "temporal.key."),
    (r"temporal_encoder\.mlp\.([01])\.", r"temporal.embed.\1."),
    (r"temporal_encoder\.outlayernorm\.", "temporal.embed.4."),
    (r"decoder\.", "head."),
)
TOLD_BY = (
    "spatial_encoder.mlp1.0.lin.weight",
    "spatial_encoder.mlp2.0.weight",
    "temporal_encoder.inconv.0.weight",
    "temporal_encoder.attention_heads.Q",
    "temporal_encoder.mlp.0.weight",
    "decoder.0.weight",
)


def recognises(keys: Collection[str]) -> bool:
    """Whether a state of these keys is of this network."""
    return set(TOLD_BY) <= set(keys)


def load(state: Mapping[str, Tensor]) -> PseLtae:
    """The network of a checkpoint, of any fold, bands, classes and widths, with or without history.

    It normalises over the plane of 36 dates and treats missing dates as the original does, so that the weights give
    its scores; a history enters as a bag of earlier crops.

    Args:
        state: Its state dictionary.

    Returns:
        The network in evaluation mode.

    Raises:
        CropflowError: If the tensors do not fit together.
    """
    settings, inputs = _shape(state)
    network = build(settings, inputs)
    renamed = {_name(key): value for key, value in state.items()}
    # A convolution over one date is a linear layer.
    renamed["temporal.widen.weight"] = renamed["temporal.widen.weight"].squeeze(-1)
    try:
        network.load_state_dict(renamed)
    except RuntimeError as error:
        raise CropflowError(f"The checkpoint is no whole PSE-LTAE: {error}") from None
    return network.eval()


def _name(key: str) -> str:
    for pattern, ours in NAMES:
        if re.match(pattern, key):
            return re.sub(pattern, ours, key, count=1)
    return key


def _shape(state: Mapping[str, Tensor]) -> tuple[Settings, Inputs]:
    """Settings and inputs of a checkpoint, from the shapes of its tensors."""
    pixels = _linear(state, r"spatial_encoder\.mlp1\.\d+\.lin\.weight")
    decoder = _linear(state, r"decoder\.\d+\.weight")
    wide, date_width, _ = state["temporal_encoder.inconv.0.weight"].shape
    heads, key_size = state["temporal_encoder.attention_heads.Q"].shape
    width, outputs = state["temporal_encoder.mlp.0.weight"].shape[0], decoder[-1][0]
    pooled = 2 * pixels[-1][0]
    features = state["spatial_encoder.mlp2.0.weight"].shape[1] - pooled
    history = decoder[0][1] - width
    if features not in (0, 4) or history not in (0, outputs):
        raise CropflowError(
            f"The PSE-LTAE checkpoint takes {pooled + features} channels per date and {width + history} per parcel; "
            f"expected {pooled} or {pooled + 4} (mean and spread, four features) and {width} or {width + outputs} "
            "(the history of all classes). Load one of the published variants."
        )
    settings = Settings(
        pixel_widths=tuple(rows for rows, _ in pixels),
        date_width=date_width,
        attention_width=wide,
        heads=heads,
        key_size=key_size,
        width=width,
        decoder_widths=tuple(rows for rows, _ in decoder[:-1]),
        norm="published",
        length=LENGTH,
        parcel_features=features > 0,
        history="bag" if history else "none",
    )
    return settings, Inputs({SENSOR: pixels[0][1]}, outputs, features=features, lags=2 if history else 0)


def _linear(state: Mapping[str, Tensor], pattern: str) -> list[tuple[int, int]]:
    """Rows and columns of the linear layers of a part, in their order."""
    found = [tuple(state[key].shape) for key in state if re.fullmatch(pattern, key) and state[key].ndim == 2]
    return [(int(rows), int(columns)) for rows, columns in found]
