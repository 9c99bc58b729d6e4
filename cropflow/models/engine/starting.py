"""Transfer: a network that goes on from what another experiment learnt on the same fold."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cropflow.config.models import Network as Settings
from cropflow.config.models import Training
from cropflow.config.models.transfer import Transfer, architecture
from cropflow.errors import CropflowError
from cropflow.models.checkpoints import NETWORK_FILE, Description, read_description, read_weights
from cropflow.models.data.samples import Samples, Split
from cropflow.models.engine.freezing import in_head
from cropflow.models.network import Network
from cropflow.samples.sensors import differences

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Where a transfer starts.

    Attributes:
        folder: Folder of the model.
        transfer: Steps and frozen layers.
        description: What the model is. Its statistics go with its weights, which say something of values that were
            normalised by them alone.
        weights: Its weights.
    """

    folder: Path
    transfer: Transfer
    description: Description
    weights: dict[str, Tensor]


def read_start(folder: Path, transfer: Transfer, settings: Settings, samples: Samples, split: Split) -> Start:
    """Read the model of the other experiment, and check that it fits and has not seen the test fold.

    Args:
        folder: Folder of its model.
        transfer: Steps and frozen layers.
        settings: The network that is to start from it.
        samples: What that learns from.
        split: Roles of its folds.

    Raises:
        CropflowError: If network, sensors, bands, periods, features, history or folds differ.
    """
    found = read_description(folder)
    _check_network(folder, found, settings)
    different = differences(samples.layouts, found.layouts)
    if different:
        raise CropflowError(
            f"The training places have {different}, as {folder} was trained with. Transfer between sets of the same "
            "series, sensors and season length."
        )
    for what, ours, theirs in (
        ("features of a parcel", samples.features, len(found.features.mean) if found.features else 0),
        ("earlier seasons of history", samples.lags, found.lags),
    ):
        if ours != theirs:
            raise CropflowError(
                f"The training places have {ours} {what}, and {folder} was trained with {theirs}; expected the same. "
                "Transfer between sets of the same history."
            )
    if (found.fold, found.folds) != (split.fold, split.count):
        raise CropflowError(
            f"{folder} was trained with test fold {found.fold} of {found.folds}; expected fold {split.fold} of "
            f"{split.count}, or its weights may have seen the blocks of the test. Give the model of the same fold."
        )
    return Start(folder, transfer, found, read_weights(folder / NETWORK_FILE))


def _check_network(folder: Path, found: Description, settings: Settings) -> None:
    theirs = found.settings
    if not isinstance(theirs, Training) or theirs.name != settings.name:
        raise CropflowError(
            f"{folder} is a {theirs.name}; expected a {settings.name}, the model of the experiment. Transfer between "
            "experiments of one network."
        )
    known = architecture(theirs)
    for key, value in architecture(settings).items():
        if known[key] != value:
            raise CropflowError(
                f"{folder} was trained with {key} {known[key]}; expected {value}, as the model of the experiment has. "
                "Give both experiments the same."
            )


def take_over(network: Network, start: Start, description: Description) -> bool:
    """Put the weights of another experiment into a fresh network.

    Args:
        network: The network; its head stays fresh where the classes differ.
        start: Where the weights come from.
        description: What the network is to become.

    Returns:
        Whether the head is taken over too.

    Raises:
        CropflowError: If a weight is missing or has another shape.
    """
    alike = all(getattr(start.description, key) == getattr(description, key) for key in ("legend", "classes", "levels"))
    fresh = network.state_dict()
    head = in_head(network)
    wanted = [name for name in fresh if alike or name not in head]
    for name in wanted:
        shape = tuple(start.weights[name].shape) if name in start.weights else None
        if shape != tuple(fresh[name].shape):
            found = "lacks" if shape is None else f"has the shape {shape} of"
            raise CropflowError(
                f"{start.folder / NETWORK_FILE} {found} {name}; expected {tuple(fresh[name].shape)}, as the network of "
                "this experiment has. Transfer between networks of the same inputs."
            )
    network.load_state_dict(fresh | {name: start.weights[name] for name in wanted})
    log.info(
        "starting from %s: %d of %d tensors taken over, %s",
        start.folder,
        len(wanted),
        len(fresh),
        "the head too" if alike else f"a fresh head of {len(description.classes)} classes",
    )
    return alike
