"""The checkpoint of the convolutional LSTM published for the Canadian Cropland Dataset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from cropflow.config.models.patches import ConvLstm as Settings
from cropflow.errors import CropflowError
from cropflow.models.networks.conv_lstm import ConvLstm
from cropflow.models.published.names import renamed, swapped

# Their names and ours.
NAMES = (("convlstm.cell_list.{}.conv.", "cells.{}.convolution."), ("fc.", "head."))
KEYS = re.compile(r"(convlstm\.cell_list\.\d+\.conv|fc)\.(weight|bias)")


def recognises(keys: Iterable[str]) -> bool:
    """Whether a state dict has the keys of this family, and no others."""
    found = set(keys)
    needed = {"fc.weight", "fc.bias", "convlstm.cell_list.0.conv.weight"}
    return needed <= found and all(KEYS.fullmatch(key) for key in found)


def load(state: Mapping[str, Tensor]) -> ConvLstm:
    """The network of a state dict.

    Its gates lie in the order of ours, so that weights are renamed and nothing else. The normalisation that it was
    trained with is not part of the file; chips must come normalised.

    Args:
        state: ``convlstm.cell_list.<layer>.conv.*`` and ``fc.*``.

    Returns:
        In evaluation mode; bands, widths and classes are those of the shapes.
    """
    ours = renamed(state, NAMES)
    layers = sum(key.endswith("convolution.weight") for key in ours)
    weights = [ours[f"cells.{layer}.convolution.weight"] for layer in range(layers)]
    hidden = [len(weight) // 4 for weight in weights]
    network = ConvLstm(
        weights[0].shape[1] - hidden[0],
        len(ours["head.bias"]),
        hidden=hidden,
        kernel_size=weights[0].shape[-1],
    )
    network.load_state_dict(ours)
    return network.eval()


def bands(network: ConvLstm) -> int:
    """Bands per date that the weights take."""
    gates, channels = network.state_dict()["cells.0.convolution.weight"].shape[:2]
    return int(channels - gates // 4)


def save(settings: Settings, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dictionary of a network trained here, under the published names.

    Args:
        settings: Its config section.
        weights: Its tensors.

    Raises:
        CropflowError: If it takes the day of each date, which the original does not.
    """
    if settings.days:
        raise CropflowError("The conv_lstm has days: true; the published network takes none. Train with days: false.")
    return renamed(weights, swapped(NAMES))
