"""Layers over series with gaps: complete series are as ever, gaps and padding count for nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cropflow.models.batch import NO_DATE, Batch, Series, batch_of
from cropflow.models.layers.masks import cleared, gaps, masked_batch_norm, masked_group_norm, on_axis, with_positions


def test_a_batch_norm_counts_valid_positions_alone() -> None:
    torch.manual_seed(0)
    features, valid = torch.randn(4, 3, 5, 6), torch.rand(4, 1, 5, 6) > 0.4
    masked, plain = nn.BatchNorm2d(3), nn.BatchNorm1d(3)
    rows = features.movedim(1, -1)[valid[:, 0]]
    expected = plain(rows)
    found = masked_batch_norm(masked, features.masked_fill(~valid, 1e3), valid)
    torch.testing.assert_close(found.movedim(1, -1)[valid[:, 0]], expected, rtol=1e-4, atol=1e-5)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(masked, name), getattr(plain, name))


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_norm_of_complete_series_is_the_usual_one(training: bool) -> None:
    torch.manual_seed(0)
    features, norm = torch.randn(4, 3, 5, 6), nn.BatchNorm2d(3).train(training)
    expected = norm(features)
    norm.reset_running_stats()
    torch.testing.assert_close(masked_batch_norm(norm, features, torch.ones(4, 1, 5, 6, dtype=torch.bool)), expected)


def test_a_batch_norm_without_a_valid_position_stays_finite() -> None:
    norm = nn.BatchNorm2d(2)
    found = masked_batch_norm(norm, torch.randn(1, 2, 3, 3), torch.zeros(1, 1, 3, 3, dtype=torch.bool))
    assert torch.isfinite(found).all()
    assert norm.running_var is not None and torch.isfinite(norm.running_var).all()


def test_a_group_norm_over_a_series_does_not_see_padded_dates() -> None:
    torch.manual_seed(0)
    norm, series = nn.GroupNorm(2, 4), torch.randn(3, 4, 6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    padded = torch.cat([series, torch.full((3, 4, 2), 9.0)], 2)
    valid = torch.arange(8).expand(3, 1, 8) < 6
    torch.testing.assert_close(masked_group_norm(norm, padded, valid)[..., :6], norm(series), rtol=1e-4, atol=1e-5)


def test_gaps_are_none_where_there_are_none() -> None:
    assert gaps(torch.ones(2, 3, dtype=torch.bool)) is None
    mask = torch.tensor([True, False])
    assert gaps(mask) is mask


def test_what_is_not_valid_is_zero_whatever_lies_there() -> None:
    series = batch_of(torch.ones(1, 2, 3, 2, 2)).only()
    series.valid[0, 1, 0, 0] = False
    series.values[0, 1, :, 0, 0] = torch.nan
    found = cleared(series).values
    assert found[0, 1, :, 0, 0].eq(0).all() and found.sum() == 2 * 3 * 4 - 3


def test_rubbish_of_one_sensor_does_not_pass_where_another_is_valid() -> None:
    optics = batch_of(torch.ones(1, 2, 3, 2, 2)).only()
    nothing = Series(torch.full((1, 2, 2, 2, 2), 9.0), optics.dates, torch.zeros(1, 2, 2, 2, dtype=torch.bool))
    found = on_axis(Batch({"sentinel2": optics, "sentinel1_ascending": nothing}), "nearest")
    assert found.valid.all()
    assert found.values[:, :, :3].eq(1).all() and found.values[:, :, 3:].eq(0).all()


def test_positions_follow_the_days_and_not_the_ranks() -> None:
    values = torch.zeros(1, 3, 1, 1, 1)
    whole = with_positions(batch_of(values, torch.tensor([0, 100, 365])).only())[0, :, 1:, 0, 0]
    torch.testing.assert_close(whole[2], torch.tensor([0.0, -1.0]), atol=1e-6, rtol=0)
    series = batch_of(values[:, :2], torch.tensor([100, NO_DATE])).only()
    series.valid[0, 1] = False
    found = with_positions(series)[0, :, 1:, 0, 0]
    torch.testing.assert_close(found[0], whole[1])
    assert found[1].eq(0).all()
