"""The checkpoint of the convolutional LSTM published for the Canadian Cropland Dataset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from cropflow.models.networks.conv_lstm import ConvLstm

_CELL = re.compile(r"convlstm\.cell_list\.(\d+)\.conv\.(weight|bias)")
_HEAD = {"fc.weight": "head.weight", "fc.bias": "head.bias"}


def recognises(keys: Iterable[str]) -> bool:
    """Whether a state dict has the keys of this family, and no others."""
    found = set(keys)
    return set(_HEAD) <= found and len(found) > len(_HEAD) and all(_CELL.fullmatch(key) for key in found - set(_HEAD))


def load(state: Mapping[str, Tensor]) -> ConvLstm:
    """The network of a state dict.

    Its gates lie in the order of ours, so that weights are renamed and nothing else. The normalisation that it was
    trained with is not part of the file; chips must come normalised.

    Args:
        state: ``convlstm.cell_list.<layer>.conv.*`` and ``fc.*``.

    Returns:
        In evaluation mode; bands, widths and classes are those of the shapes.
    """
    renamed = {_HEAD.get(key) or _CELL.sub(r"cells.\1.convolution.\2", key): value for key, value in state.items()}
    layers = sum(key.endswith("convolution.weight") for key in renamed)
    weights = [renamed[f"cells.{layer}.convolution.weight"] for layer in range(layers)]
    hidden = [len(weight) // 4 for weight in weights]
    network = ConvLstm(
        weights[0].shape[1] - hidden[0],
        len(renamed["head.bias"]),
        hidden=hidden,
        kernel_size=weights[0].shape[-1],
    )
    network.load_state_dict(renamed)
    return network.eval()
