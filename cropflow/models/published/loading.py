"""Foreign checkpoints: what network a file holds is told by the names of its tensors."""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor

from cropflow.errors import CropflowError, listing
from cropflow.models.network import Network

# Modules of this folder: each knows the keys of one published family.
FAMILIES = ("pse_ltae", "conv_lstm")
# Where training programs put the weights beside epoch and optimiser.
HOLDERS = ("state_dict", "model_state_dict", "model")
PARALLEL = "module."


def load_published(path: str | Path) -> Network:
    """Load a published checkpoint as the network that it is of.

    The weights are those of the file, and so are their scores: of pse_ltae with the original's norm over a plane of 36
    dates. Inputs must be normalised as the original did; a checkpoint does not keep how.

    Args:
        path: ``.pth``, ``.pt`` or ``.pth.tar`` of PyTorch, opened without unpickling anything but tensors, or
            ``.safetensors``. The weights may lie under ``state_dict`` or ``model_state_dict``; the prefix ``module.``
            of DataParallel is taken off.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        CropflowError: If the file is missing, no checkpoint, holds more than tensors and plain values, or is of no
            network known here.
    """
    path = Path(path)
    state = read_state(path)
    for family in FAMILIES:
        module = importlib.import_module(f"cropflow.models.published.{family}")
        if module.recognises(state):
            try:
                network: Network = module.load(state)
            except (KeyError, RuntimeError) as error:
                told = shorten(str(error), 200, placeholder=" ...")
                raise CropflowError(f"{path} has the keys of a {family} and does not fit together: {told}") from None
            return network
    raise CropflowError(
        f"{path} holds {len(state)} tensors ({listing(state, 3)}) of no network that is known by its keys; expected "
        f"one of {listing(FAMILIES)}. Weights of a model trained here lie in its folder: see load_predictor."
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their names, without the prefix of DataParallel.

    Raises:
        CropflowError: As :func:`load_published`.
    """
    if path.is_dir():
        raise CropflowError(f"{path} is a folder; expected a checkpoint file. load_predictor reads a model's folder.")
    if not path.is_file():
        raise CropflowError(f"There is no checkpoint {path}.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for holder in HOLDERS:
        if isinstance(content.get(holder), Mapping):
            content = content[holder]
            break
    others = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if others or not content:
        raise CropflowError(
            f"{path} holds {listing(others, 3) or 'nothing'} where tensors are due; expected a state dictionary, bare "
            f"or under {listing(HOLDERS)}."
        )
    prefixed = all(name.startswith(PARALLEL) for name in content)
    return {name.removeprefix(PARALLEL) if prefixed else name: value for name, value in content.items()}


def _read_torch(path: Path) -> Mapping[str, Any]:
    # From memory: what the disk says is then told from what torch says of the content.
    held = io.BytesIO(path.read_bytes())
    try:
        content = torch.load(held, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CropflowError(
            f"{path} is no PyTorch file, or holds Python objects, which may run anything when they are opened; "
            "expected tensors. Where you trust it, save its state_dict anew in its owner's environment: "
            "torch.save(model.state_dict(), 'weights.pth')."
        ) from None
    # What a cut or foreign file makes torch say: no zip directory, no end, no tensor archive.
    except (RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        told = shorten(first, 200, placeholder=" ...")
        raise CropflowError(f"{path} is no whole PyTorch checkpoint ({told}). Download it again.") from None
    if not isinstance(content, Mapping):
        raise CropflowError(f"{path} holds a {type(content).__name__}; expected a state dictionary.")
    return content


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise CropflowError(f"{path} is no whole safetensors file ({error}). Download it again.") from None
    return content
