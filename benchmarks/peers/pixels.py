"""Networks of single pixels beside the package breizhcrops.

    pip install --no-deps breizhcrops==0.0.4.1

Its networks are read file by file: the package itself would import what its data sets need.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from cropflow.models import create
from cropflow.models.batch import Batch, batch_of
from cropflow.models.network import Network

BANDS, DATES, CLASSES = 10, 36, 9
# Name -> module and class of the package, what the class is told besides, and what ours is.
PAIRS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "temp_cnn": ("TempCNN", "TempCNN", {"sequencelength": DATES}, {"dropout": 0.18203942949809093}),
    "lstm": ("LongShortTermMemory", "LSTM", {}, {"dropout": 0.5713020228087161}),
    "transformer": (
        "TransformerModel",
        "TransformerModel",
        {},
        {"dropout": 0.017998950510888446, "positions": False},
    ),
}


@dataclass
class Pair:
    """A network of ours, its peer with the same weights, and how the latter takes a batch.

    Attributes:
        ours: Takes a :class:`Batch`.
        plain: The peer.
        arguments: What the peer takes of a batch.
        batch: A complete batch with targets.
        name: The peer and its version.
    """

    ours: Network
    plain: nn.Module
    arguments: Callable[[Batch], Sequence[Tensor]]
    batch: Batch
    name: str


def make(name: str, samples: int = 128) -> Pair:
    """A pair with the same weights, and dropout as published.

    Raises:
        ModuleNotFoundError: If the package is not there.
    """
    module, found, arguments, settings = PAIRS[name]
    with warnings.catch_warnings():
        # The encoder of torch warns that its layers are not in the order of its fast path.
        warnings.filterwarnings("ignore", "enable_nested_tensor")
        plain: nn.Module = getattr(_read(module), found)(BANDS, CLASSES, **arguments)
    ours = create(name, bands=BANDS, outputs=CLASSES, periods=DATES, **settings)
    weights = dict(zip(ours.state_dict(), plain.state_dict().values(), strict=True))
    if name == "temp_cnn":
        # Here the features of a date stand together, there the dates of a feature.
        weights["dense.weight"] = weights["dense.weight"].unflatten(1, (-1, DATES)).transpose(1, 2).flatten(1)
    ours.load_state_dict(weights)
    batch = batch_of(torch.randn(samples, DATES, BANDS), target=torch.randint(CLASSES, (samples,)))
    version = metadata.version("breizhcrops")
    return Pair(ours, plain, lambda one: (one.only().values,), batch, f"breizhcrops {version}")


def _read(module: str) -> ModuleType:
    package = importlib.util.find_spec("breizhcrops")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("breizhcrops is not installed")
    file = Path(package.origin).parent / "models" / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"breizhcrops_{module}", file)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{file} is no module")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
