"""A model trained here under the names of a published checkpoint, for the original programs to load."""

from __future__ import annotations

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cropflow.errors import CropflowError, listing
from cropflow.files.atomic import atomic_file, write_json
from cropflow.models.checkpoints import NETWORK_FILE, read_description, read_weights
from cropflow.models.published.loading import FAMILIES


def save_published(folder: Path, output: Path) -> dict[str, Any]:
    """Write a trained model as the checkpoint that its network was published as.

    Args:
        folder: Folder of a trained model.
        output: The file: ``state_dict`` with tensors alone, as ``torch.save`` writes them. Beside it, with the suffix
            ``.json``, what the original keeps elsewhere: classes, bands and normalisation.

    Returns:
        Number of tensors and of values.

    Raises:
        CropflowError: If there is no published checkpoint of this network or of these settings.
    """
    description = read_description(folder)
    name = description.settings.name
    if name not in FAMILIES:
        raise CropflowError(f"{folder} holds a {name}; published checkpoints are known of {listing(FAMILIES)}.")
    sensors = [layout.sensor for layout in description.layouts]
    if len(sensors) != 1:
        raise CropflowError(f"{folder} learnt from {listing(sensors)}; the published {name} takes one sensor.")
    module = importlib.import_module(f"cropflow.models.published.{name}")
    state = module.save(description.settings, read_weights(folder / NETWORK_FILE))
    with atomic_file(output) as temporary:
        torch.save({"state_dict": state}, temporary)
    write_json(
        output.with_suffix(".json"),
        {
            "network": name,
            "legend": description.legend,
            "classes": list(description.classes),
            "sensors": [layout.told() for layout in description.layouts],
            "statistics": [asdict(found) for found in description.statistics],
        },
    )
    return {"tensors": len(state), "values": sum(tensor.numel() for tensor in state.values())}
