"""Pixel sets with a temporal encoder: sizes, published scores, dates, and the rotation."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cropflow.errors import CropflowError
from cropflow.models import create
from cropflow.models.batch import Batch, Series, batch_of
from cropflow.models.published import pse_ltae as published

PUBLISHED = {"bands": 10, "outputs": 20, "features": 4}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_network_has_the_published_number_of_parameters() -> None:
    network = create("pse_ltae", **PUBLISHED)
    assert count(network) == 130_836
    assert [count(part) for part in network.pixel_set.pixels] == [10 * 32 + 3 * 32, 32 * 64 + 3 * 64]
    assert count(network.pixel_set) - count(network.pixel_set.pixels) == 17_280
    assert (count(network.pixel_set), count(network.temporal), count(network.head)) == (19_936, 99_712, 11_188)
    temporal = network.temporal
    assert count(temporal.first_norm) + count(temporal.widen) == 33_280
    assert count(temporal.key) + temporal.query.numel() == 33_024
    assert count(temporal.embed) == 33_408


def test_the_history_of_twenty_classes_adds_the_published_number_of_parameters() -> None:
    network = create("pse_ltae", **PUBLISHED, lags=2, history="bag")
    assert (count(network), count(network.head)) == (132_116, 12_468)


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    path = shared / "reference" / "classes" / "A_checkpoint_forward_reference.json"
    if not path.is_file():
        pytest.skip(f"{path.name}, the scores of the published checkpoints, is missing")
    found: dict[str, Any] = json.loads(path.read_text())["logits"]
    return found


def checkpoint(shared: Path, variant: str) -> dict[str, Tensor]:
    path = shared / "checkpoints" / f"deep_crop_rotation_{variant}_fold1.pth.tar"
    if not path.is_file():
        pytest.skip(f"the published checkpoint {path.name} is missing")
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    return state


def published_batch(dates: int) -> Batch:
    """The closed-form input that the published scores are of, cut to its first dates."""
    shape = (3, 36, 10, 64)
    values = torch.sin(0.37 * torch.arange(math.prod(shape), dtype=torch.float64)).float().view(shape)
    features = torch.cos(0.5 * torch.arange(12.0)).view(3, 4)
    history = torch.zeros(3, 2, 21)
    for parcel, lag, crop in ((0, 0, 0), (1, 1, 4), (2, 0, 2)):
        history[parcel, lag, crop] = 1
    return batch_of(values[:, :dates], torch.arange(dates) * 10 - 240, features=features, history=history)


@pytest.mark.parametrize("variant", ["Mmixed", "Mdec"])
@pytest.mark.parametrize(("case", "dates"), [("full", 36), ("pad7", 29)])
def test_a_published_checkpoint_gives_its_scores(
    shared: Path, reference: dict[str, Any], variant: str, case: str, dates: int
) -> None:
    state = checkpoint(shared, variant)
    assert len(state) == 53
    assert published.recognises(state.keys())
    network = published.load(state)
    with torch.no_grad():
        found = network(published_batch(dates))
    expected = torch.tensor(reference[f"{variant}/Fold_1"][case])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def their_state(network: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network under the published names."""
    renamed = {}
    for key, value in network.state_dict().items():
        for ours, theirs in (
            ("pixel_set.pixels.0.linear", "spatial_encoder.mlp1.0.lin"),
            ("pixel_set.pixels.0.norm", "spatial_encoder.mlp1.0.bn"),
            ("pixel_set.pixels.1.linear", "spatial_encoder.mlp1.1.lin"),
            ("pixel_set.pixels.1.norm", "spatial_encoder.mlp1.1.bn"),
            ("pixel_set.linear", "spatial_encoder.mlp2.0"),
            ("pixel_set.norm", "spatial_encoder.mlp2.1"),
            ("temporal.first_norm", "temporal_encoder.inlayernorm"),
            ("temporal.widen", "temporal_encoder.inconv.0"),
            ("temporal.query", "temporal_encoder.attention_heads.Q"),
            ("temporal.key", "temporal_encoder.attention_heads.fc1_k"),
            ("temporal.embed.0", "temporal_encoder.mlp.0"),
            ("temporal.embed.1", "temporal_encoder.mlp.1"),
            ("temporal.embed.4", "temporal_encoder.outlayernorm"),
            ("head", "decoder"),
        ):
            if key.startswith(ours):
                renamed[key.replace(ours, theirs, 1)] = value.unsqueeze(-1) if key == "temporal.widen.weight" else value
    return renamed


@pytest.mark.parametrize("history", ["none", "bag"])
def test_a_checkpoint_of_any_bands_and_classes_is_loaded_by_its_shapes(history: str) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"pixel_widths": (4, 6), "date_width": 8, "attention_width": 16, "heads": 4, "key_size": 2}
    ours = create(
        "pse_ltae", bands=3, outputs=5, lags=2, history=history, parcel_features=False, norm="published",
        width=8, decoder_widths=(7,), **sizes,
    ).eval()  # fmt: skip
    loaded = published.load(their_state(ours))
    batch = batch_of(torch.randn(2, 5, 3, 4), history=torch.rand(2, 2, 6))
    torch.testing.assert_close(loaded(batch), ours(batch))


def test_a_state_that_is_no_whole_checkpoint_is_not_loaded() -> None:
    state = their_state(create("pse_ltae", **PUBLISHED))
    assert not published.recognises({"conv1.weight"})
    with pytest.raises(CropflowError, match=r"131 channels per date.*expected 128 or 132"):
        published.load({**state, "spatial_encoder.mlp2.0.weight": torch.zeros(128, 131)})
    del state["temporal_encoder.outlayernorm.bias"]
    with pytest.raises(CropflowError, match=r"no whole PSE-LTAE.*temporal\.embed\.4\.bias"):
        published.load(state)


def test_the_published_norm_refuses_a_series_that_is_longer_than_its_plane() -> None:
    network = create("pse_ltae", **PUBLISHED, norm="published", length=4).eval()
    with pytest.raises(CropflowError, match=r"5 dates.*at most 4"):
        network(batch_of(torch.randn(2, 5, 10, 3), features=torch.zeros(2, 4)))
    with pytest.raises(CropflowError, match=r"length of pse_ltae is 4, and the series have 5 dates; expected at least"):
        create("pse_ltae", **PUBLISHED, norm="published", length=4, periods=5)


@pytest.mark.parametrize("temporal", ["ltae", "tae", "gru", "tempcnn"])
def test_dates_matter_and_not_their_number(temporal: str) -> None:
    torch.manual_seed(0)
    network = create("pse_ltae", bands=2, outputs=3, temporal=temporal, parcel_features=False).eval()
    values = torch.randn(2, 6, 2, 4)
    with torch.no_grad():
        scores = [network(batch_of(values, torch.arange(6) * step + start)) for step, start in ((10, -60), (25, -60))]
    assert torch.isfinite(torch.stack(scores)).all()
    assert (scores[0] - scores[1]).abs().max() > 1e-4


def test_two_parcels_are_a_batch_like_any_other() -> None:
    torch.manual_seed(0)
    network = create("pse_ltae", **PUBLISHED).train()
    batch = batch_of(torch.randn(2, 7, 10, 9), features=torch.randn(2, 4))
    assert network(batch).shape == (2, 20)
    torch.testing.assert_close(network.eval()(batch)[:1], network(batch_of_first(batch)), rtol=1e-4, atol=1e-5)


def batch_of_first(batch: Batch) -> Batch:
    one = batch.only()
    assert batch.features is not None
    series = {"sentinel2": Series(one.values[:1], one.dates[:1], one.valid[:1])}
    return Batch(series, features=batch.features[:1])


@pytest.mark.parametrize(("history", "matters"), [("bag", False), ("ordered", True)])
def test_the_order_of_earlier_seasons_matters_where_it_is_asked_for(history: str, matters: bool) -> None:
    torch.manual_seed(0)
    network = create("pse_ltae", bands=2, outputs=3, lags=2, history=history, parcel_features=False).eval()
    values, shares = torch.randn(2, 4, 2, 3), torch.rand(2, 2, 4)
    with torch.no_grad():
        there, back = (network(batch_of(values, history=each)) for each in (shares, shares.flip(1)))
    assert torch.allclose(there, back, atol=1e-6) is not matters


def test_a_season_that_nobody_knows_is_told_from_one_without_the_crop() -> None:
    torch.manual_seed(0)
    network = create("pse_ltae", bands=2, outputs=3, lags=1, history="ordered", parcel_features=False).eval()
    values, unknown = torch.randn(1, 4, 2, 3), torch.tensor([[[0.0, 0.0, 0.0, 1.0]]])
    with torch.no_grad():
        scores = [network(batch_of(values, history=each)) for each in (unknown, torch.zeros(1, 1, 4))]
    assert not torch.allclose(*scores)


def test_what_the_samples_lack_is_one_line() -> None:
    with pytest.raises(CropflowError, match=r"history: bag.*no earlier season"):
        create("pse_ltae", **PUBLISHED, history="bag", lags=0)
    with pytest.raises(CropflowError, match="parcel_features is True"):
        create("pse_ltae", bands=10, outputs=20, features=0)
    with pytest.raises(CropflowError, match="heads is 4; only temporal: ltae and tae has it"):
        create("pse_ltae", **PUBLISHED, temporal="gru", heads=4)
    with pytest.raises(CropflowError, match="attention_width is 20; expected a multiple of 32"):
        create("pse_ltae", **PUBLISHED, attention_width=20)
    with pytest.raises(CropflowError, match="names one twice"):
        create("pse_ltae", **PUBLISHED, pooling=("mean", "mean"))
