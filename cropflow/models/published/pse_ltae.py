"""Checkpoints of the multi-year PSE-LTAE of Quinton and Landrieu (2021), https://doi.org/10.3390/rs13224599."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from cropflow.config.models.parcels import PseLtae as Settings
from cropflow.errors import CropflowError
from cropflow.models.network import Inputs
from cropflow.models.networks.pse_ltae import PseLtae, build
from cropflow.models.published.names import renamed, swapped

# Dates of the plane that the published layer norm takes; it has no weights, so that no key tells.
LENGTH = 36
SENSOR = "sentinel2"

# Their names and ours.
NAMES = (
    ("spatial_encoder.mlp1.{}.lin.", "pixel_set.pixels.{}.linear."),
    ("spatial_encoder.mlp1.{}.bn.", "pixel_set.pixels.{}.norm."),
    ("spatial_encoder.mlp2.0.", "pixel_set.linear."),
    ("spatial_encoder.mlp2.1.", "pixel_set.norm."),
    ("temporal_encoder.inlayernorm.", "temporal.first_norm."),
    ("temporal_encoder.inconv.0.", "temporal.widen."),
    ("temporal_encoder.attention_heads.Q", "temporal.query"),
    ("temporal_encoder.attention_heads.fc1_k.", "temporal.key."),
    ("temporal_encoder.mlp.0.", "temporal.embed.0."),
    ("temporal_encoder.mlp.1.", "temporal.embed.1."),
    ("temporal_encoder.outlayernorm.", "temporal.embed.4."),
    ("decoder.", "head."),
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
        CropflowError: If it takes other features or history than the published variants, or the tensors do not fit
            together.
    """
    settings, inputs = _shape(state)
    network = build(settings, inputs)
    ours = renamed(state, NAMES)
    # A convolution over one date is a linear layer.
    ours["temporal.widen.weight"] = ours["temporal.widen.weight"].squeeze(-1)
    try:
        network.load_state_dict(ours)
    except RuntimeError as error:
        raise CropflowError(f"The checkpoint is no whole PSE-LTAE: {error}") from None
    return network.eval()


def _shape(state: Mapping[str, Tensor]) -> tuple[Settings, Inputs]:
    """Settings and inputs of a checkpoint, from the shapes of its tensors."""
    pixels = _linear(state, r"spatial_encoder\.mlp1\.(\d+)\.lin\.weight")
    decoder = _linear(state, r"decoder\.(\d+)\.weight")
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
    """Rows and columns of the linear layers of a part, in the order of their numbers."""
    found = {}
    for key, value in state.items():
        match = re.fullmatch(pattern, key)
        if match and value.ndim == 2:
            found[int(match[1])] = (int(value.shape[0]), int(value.shape[1]))
    return [found[number] for number in sorted(found)]


def bands(network: PseLtae) -> int:
    """Bands per date that the weights take."""
    return int(network.state_dict()["pixel_set.pixels.0.linear.weight"].shape[1])


def save(settings: Settings, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dictionary of a network trained here, under the published names.

    Args:
        settings: Its config section.
        weights: Its tensors.

    Raises:
        CropflowError: If the original has no such network: another encoder of dates, norm or form of history.
    """
    told = {"temporal": settings.temporal, "norm": settings.norm, "history": settings.history}
    expected = {"temporal": ("ltae",), "norm": ("published",), "history": ("none", "bag")}
    for key, allowed in expected.items():
        if told[key] not in allowed:
            raise CropflowError(
                f"{key} of the pse_ltae is {told[key]!r}; the published network has {' or '.join(allowed)}. "
                f"Train with {key}: {allowed[0]} to export."
            )
    theirs = renamed(weights, swapped(NAMES))
    theirs["temporal_encoder.inconv.0.weight"] = theirs["temporal_encoder.inconv.0.weight"].unsqueeze(-1)
    return theirs
