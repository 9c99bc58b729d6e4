"""Layers of pixel sets and dates: masks against plain loops, gradients, blocks, positions, attention."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from cropflow.models.batch import Series
from cropflow.models.layers.attention import Ltae, Tae
from cropflow.models.layers.pixel_rows import PixelLayer, moments_of, pool_rows
from cropflow.models.layers.pixel_set_encoder import PixelSetEncoder
from cropflow.models.layers.positions import positions
from cropflow.models.layers.rows import BatchNorm


def gaps(dates: int = 4, slots: int = 5) -> Tensor:
    """Pixels that are valid: holes in pixels and dates, a date without any, a parcel of one pixel."""
    valid = torch.rand(3, dates, slots, generator=torch.Generator().manual_seed(1)) > 0.3
    valid[0, 1] = False
    valid[2] = False
    valid[2, :, 3] = True
    return valid


def plainly(encoder: PixelSetEncoder, values: Tensor, valid: Tensor) -> Tensor:
    """What a set encoder pools of its pixels, layer by layer and parcel by parcel, ``(n, pooled)``."""
    there = valid.nonzero(as_tuple=True)
    rows = values.transpose(1, 2)[there]
    for layer in encoder.pixels:
        rows = torch.relu(layer.norm(layer.linear(rows)))  # type: ignore[operator]
    sets = [rows[there[0] == place] for place in range(len(values))]
    pooled = {
        "mean": lambda one: one.mean(0),
        "std": lambda one: one.std(0) if len(one) > 1 else torch.zeros_like(one[0]),
        "max": lambda one: one.amax(0),
        "min": lambda one: one.amin(0),
    }
    return torch.stack([torch.cat([pooled[each](one) for each in encoder.pooling]) for one in sets])


@pytest.mark.parametrize("training", [True, False])
def test_masked_pixels_are_pooled_as_if_they_were_not_there(training: bool) -> None:
    torch.manual_seed(0)
    encoder = PixelSetEncoder(2, 4, widths=(5, 6), pooling=("mean", "std", "max", "min")).train(training)
    twin = PixelSetEncoder(2, 4, widths=(5, 6), pooling=encoder.pooling).train(training)
    twin.load_state_dict(encoder.state_dict())
    valid = gaps().flatten(0, 1)
    valid = valid[valid.any(1)]
    values = torch.randn(len(valid), 2, 5)
    rubbish = torch.where(valid.unsqueeze(1), values, torch.nan)
    found, expected = encoder.pool(rubbish, valid), plainly(twin, values, valid)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for (key, own), other in zip(encoder.pixels.named_parameters(), twin.pixels.parameters(), strict=True):
        torch.testing.assert_close(
            own.grad, other.grad, rtol=1e-3, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}"
        )
    for (key, own), other in zip(encoder.pixels.named_buffers(), twin.pixels.buffers(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def test_the_way_back_through_layers_and_pooling_is_that_of_their_functions() -> None:
    torch.manual_seed(0)
    values = torch.randn(6, 4, 2, dtype=torch.float64, requires_grad=True)
    there = (torch.arange(24).view(6, 4, 1) % 5 > 0).double()
    weight = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    layer = PixelLayer(2, 3).double().train()

    def pooled(values: Tensor, weight: Tensor) -> Tensor:
        return pool_rows(torch.cat([values * there, there], -1), weight, ("mean", "std", "max", "min"))

    def through_layer(values: Tensor) -> tuple[Tensor, Tensor | None]:
        rows = torch.cat([values * there, there], -1)
        found: tuple[Tensor, Tensor | None] = layer(rows, moments_of(rows))
        return found

    assert torch.autograd.gradcheck(pooled, (values, weight))
    assert torch.autograd.gradcheck(through_layer, (values,))


def test_blocks_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder, values, valid = PixelSetEncoder(2, 4).train(), torch.randn(9, 2, 4), torch.rand(9, 4) > 0.2
    valid[:, 0] = True
    whole = encoder.pool(values, valid)
    of_whole = torch.autograd.grad(whole.square().sum(), list(encoder.pixels.parameters()))
    monkeypatch.setattr("cropflow.models.layers.pixel_rows.CPU_ROWS", 8)
    monkeypatch.setattr("cropflow.models.layers.pixel_set_encoder.BLOCKS", 2)
    parts = encoder.pool(values, valid)
    of_parts = torch.autograd.grad(parts.square().sum(), list(encoder.pixels.parameters()))
    torch.testing.assert_close(parts, whole)
    for own, other in zip(of_parts, of_whole, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)
    kept = encoder.eval().pool(values, valid)
    with torch.no_grad():
        torch.testing.assert_close(encoder.pool(values, valid), kept)


def test_a_date_without_a_pixel_gives_zeros_and_moves_no_statistics() -> None:
    torch.manual_seed(0)
    encoder = PixelSetEncoder(2, 4).train()
    nothing = Series(torch.randn(2, 3, 2, 5), torch.zeros(2, 3), torch.zeros(2, 3, 5, dtype=torch.bool))
    before = {key: value.clone() for key, value in encoder.named_buffers()}
    found = encoder(nothing)
    found.sum().backward()
    assert found.abs().max() == 0
    assert all(torch.equal(value, before[key]) for key, value in encoder.named_buffers())


def test_a_single_row_is_normalised_by_what_was_seen_before() -> None:
    norm = BatchNorm(3).train()
    norm(torch.randn(8, 3))
    mean = norm.running_mean.clone()  # type: ignore[union-attr]
    found = norm(torch.ones(1, 3))
    torch.testing.assert_close(found, norm.eval()(torch.ones(1, 3)))
    torch.testing.assert_close(norm.running_mean, mean)


def test_positions_are_sines_and_cosines_of_any_day() -> None:
    days = torch.tensor([[-243, 0, 31, 5000]])
    found = positions(days, 6, 1000.0)
    for place, day in enumerate(days[0].tolist()):
        for pair in range(3):
            angle = day / 1000 ** (2 * pair / 6)
            expected = torch.tensor([math.sin(angle), math.cos(angle)])
            torch.testing.assert_close(found[0, place, 2 * pair : 2 * pair + 2], expected, rtol=0, atol=1e-3)


def attention_plainly(encoder: Ltae, frames: Tensor, dates: Tensor, valid: Tensor) -> Tensor:
    """What the heads of L-TAE see of each sample, dates that are not there left out, before the embedding."""
    rows = []
    for frame, day, there in zip(frames, dates, valid, strict=True):
        wide = encoder.widen(encoder.first_norm(frame[there]))
        wide = nn.functional.layer_norm(wide, wide.shape[-1:])
        own = wide.shape[-1] // encoder.heads
        seen = wide + positions(day[None], own, encoder.period)[0][there].repeat(1, encoder.heads)
        keys = encoder.key(seen).view(len(seen), encoder.heads, -1)
        weights = ((keys * encoder.query).sum(-1) / math.sqrt(encoder.query.shape[1])).softmax(0)
        rows.append((weights.unsqueeze(-1) * seen.view(len(seen), encoder.heads, own)).sum(0).flatten())
    return torch.stack(rows)


def test_lightweight_attention_is_that_of_keys_and_queries_over_the_valid_dates() -> None:
    torch.manual_seed(0)
    encoder = Ltae(6, 8, channels=16, heads=4, key_size=3).eval()
    frames, valid = torch.randn(3, 5, 6), torch.rand(3, 5) > 0.3
    valid[:, 2] = True
    dates = torch.tensor([-40, -3, 0, 90, 400]).expand(3, 5)
    expected = encoder.embed(attention_plainly(encoder, frames, dates, valid))
    torch.testing.assert_close(encoder(frames, dates, valid), expected, rtol=1e-4, atol=1e-5)


def test_self_attention_is_that_of_mean_queries_and_keys_over_the_valid_dates() -> None:
    torch.manual_seed(0)
    encoder = Tae(6, 8, hidden=(7,), heads=2, key_size=3).eval()
    frames, valid = torch.randn(3, 5, 6), torch.rand(3, 5) > 0.3
    valid[:, 2] = True
    dates = torch.tensor([-40, -3, 0, 90, 400]).expand(3, 5)
    rows = []
    for frame, there in zip(frames, valid, strict=True):
        seen = (encoder.first_norm(frame) + positions(dates[:1], 6, encoder.period)[0])[there]
        query = encoder.query(encoder.mean_query(seen).mean(0, keepdim=True)).view(2, 3)
        keys = encoder.key(seen).view(len(seen), 2, 3)
        weights = ((keys * query).sum(-1) / math.sqrt(3)).softmax(0)
        rows.append((weights.t() @ seen).flatten())
    torch.testing.assert_close(encoder(frames, dates, valid), encoder.embed(torch.stack(rows)), rtol=1e-4, atol=1e-5)
