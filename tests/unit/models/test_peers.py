"""Networks of patches and chips beside the published layers, written plainly: the same scores from the same weights."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from cropflow.models import create
from cropflow.models.batch import batch_of

FUSED = {"sentinel1_ascending": 2, "sentinel2": 3}


@pytest.fixture(scope="module")
def peers(root: Path) -> ModuleType:
    """The module of the published layers."""
    spec = importlib.util.spec_from_file_location("convolutional", root / "benchmarks" / "peers" / "convolutional.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["temporal_unet", "siamese_unet3d", "conv_lstm", "conv_star", "utae"])
def test_the_scores_are_those_of_the_published_layers(peers: ModuleType, name: str, training: bool) -> None:
    torch.manual_seed(0)
    widths, levels = (8, 8, 8), ((0, 0, 1),)
    pairs = {
        "temporal_unet": lambda: (
            create(name, bands=3, outputs=3, temporal_width=4, widths=(4, 8), dropout=0.0),
            peers.TemporalUnet(3, 3, 4, 2, (4, 8)),
        ),
        "siamese_unet3d": lambda: (
            create(name, bands=FUSED, outputs=3, periods=4, width=4, halvings=2),
            peers.Siamese((2, 3), 3, 4, 4, 2),
        ),
        "conv_lstm": lambda: (create(name, bands=3, outputs=3, hidden=(4, 6)), peers.ConvLstm(3, 3, (4, 6))),
        "conv_star": lambda: (
            create(name, bands=3, outputs=3, levels=levels, hidden=4, layers=2, refinement=4, dropout=0.0),
            peers.ConvStar(3, (2, 3), 4, 2, 4),
        ),
        "utae": lambda: (
            create(
                name, bands=3, outputs=3, encoder_widths=widths, decoder_widths=widths, heads=2, keys=2,
                model_width=8, dropout=0.0, attention_dropout=0.0,
            ),
            peers.Utae(3, 3, widths, widths, 2, 2, 8),
        ),
    }  # fmt: skip
    ours, plain = (module.train(training) for module in pairs[name]())
    peers.twin(ours, plain)
    batch = batch_of(
        {sensor: torch.randn(2, 4, count, 16, 16) for sensor, count in FUSED.items()}
        if name == "siamese_unet3d"
        else torch.randn(2, 4, 3, 16, 16)
    )
    arguments = [series.values for series in batch.series.values()]
    if name == "utae":
        arguments.append(batch.only().dates)
    torch.testing.assert_close(ours(batch), plain(*arguments), rtol=1e-4, atol=1e-5)
