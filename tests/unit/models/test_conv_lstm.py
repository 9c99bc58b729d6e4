"""The convolutional LSTM: its size, the published weights and their scores, chips of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cropflow.models import create
from cropflow.models.batch import Batch, Series, batch_of
from cropflow.models.network import Network
from cropflow.models.published import conv_lstm as published


def wave(periods: int) -> Tensor:
    """The input of the reference: two chips whose values are a sine of their place in memory."""
    places = torch.arange(2 * periods * 5 * 65 * 65, dtype=torch.float64)
    return torch.sin(0.37 * places).float().view(2, periods, 5, 65, 65)


@pytest.fixture(scope="module")
def shipped(shared: Path) -> tuple[Network, dict[str, Any]]:
    """The published weights in our network, and the scores of the published code."""
    state = torch.load(shared / "checkpoints" / "cropland_mapping_convlstm.pth", map_location="cpu", weights_only=True)
    assert published.recognises(state)
    reference = shared / "reference" / "classes" / "D_checkpoint_forward_reference.json"
    return published.load(state), json.loads(reference.read_text())


def scores(network: Network, batch: Batch) -> Tensor:
    with torch.no_grad():
        return network(batch)


def test_it_has_the_published_number_of_parameters() -> None:
    network = create("conv_lstm", bands=5, outputs=10)
    assert sum(value.numel() for value in network.parameters()) == 1_045_770


def test_the_published_weights_give_the_published_scores(shipped: tuple[Network, dict[str, Any]]) -> None:
    network, reference = shipped
    for periods in (4, 3):
        expected = torch.tensor(reference[f"T{periods}_B2_logits"])
        torch.testing.assert_close(scores(network, batch_of(wave(periods))), expected, rtol=0, atol=1e-3)


def test_padded_frames_change_nothing_where_they_changed_the_original(
    shipped: tuple[Network, dict[str, Any]],
) -> None:
    network, reference = shipped
    whole = batch_of(wave(3)).only()
    values = torch.cat([whole.values, torch.zeros(2, 2, 5, 65, 65)], 1)
    valid = torch.cat([whole.valid, torch.zeros(2, 2, 65, 65, dtype=torch.bool)], 1)
    dates = torch.cat([whole.dates, whole.dates[:, :2]], 1)
    found = scores(network, Batch({"sentinel2": Series(values, dates, valid)}))
    torch.testing.assert_close(found, torch.tensor(reference["T3_B2_logits"]), rtol=0, atol=1e-3)
    original = torch.tensor(reference["T3_plus_2_zero_frames_B2_logits"])
    assert (original - found).abs().max() > 1


def test_other_keys_are_not_recognised() -> None:
    keys = ["convlstm.cell_list.0.conv.weight", "convlstm.cell_list.0.conv.bias", "fc.weight", "fc.bias"]
    assert published.recognises(keys)
    assert not published.recognises(keys[:2])
    assert not published.recognises(keys[2:])
    assert not published.recognises([*keys, "decoder.weight"])


def test_pixels_that_were_never_seen_are_as_if_the_chip_ended_there() -> None:
    torch.manual_seed(0)
    network = create("conv_lstm", bands=2, outputs=3, hidden=(4, 4)).eval()
    small = batch_of(torch.randn(2, 3, 2, 9, 7))
    series = small.only()
    values, valid = torch.full((2, 3, 2, 12, 10), 9.0), torch.zeros(2, 3, 12, 10, dtype=torch.bool)
    values[..., 1:10, 2:9], valid[..., 1:10, 2:9] = series.values, True
    large = Batch({"sentinel2": Series(values, series.dates, valid)})
    torch.testing.assert_close(scores(network, large), scores(network, small), rtol=1e-4, atol=1e-5)


def test_the_day_of_a_date_counts_where_the_network_is_told_of_it() -> None:
    torch.manual_seed(0)
    values = torch.randn(1, 3, 2, 5, 5)
    early, late = (batch_of(values, torch.tensor([0, 10, 20]) + shift) for shift in (0, 100))
    told = create("conv_lstm", bands=2, outputs=3, hidden=(4,), days=True).eval()
    assert not torch.allclose(scores(told, early), scores(told, late))
    network = create("conv_lstm", bands=2, outputs=3, hidden=(4,)).eval()
    assert torch.equal(scores(network, early), scores(network, late))
