"""Sensors of different dates on one axis, against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.models.batch import NO_DATE, Batch, Series, batch_of
from cropflow.models.data.alignment import Rule, on_one_axis


def series(seed: int, days: list[list[int]], bands: int, space: tuple[int, ...], share: float = 0.6) -> Series:
    """A series whose padding and gaps hold rubbish."""
    generator = torch.Generator().manual_seed(seed)
    length = max(map(len, days))
    dates = torch.tensor([[*own, *[NO_DATE] * (length - len(own))] for own in days], dtype=torch.int32)
    shape = (len(days), length, *space)
    valid = torch.rand(shape, generator=generator) < share
    valid &= (dates != NO_DATE).reshape(len(days), length, *(1,) * len(space))
    values = torch.randn(len(days), length, bands, *space, generator=generator)
    return Series(torch.where(valid.unsqueeze(2), values, math.inf), dates, valid)


def by_hand(first: Series, other: Series, rule: Rule) -> tuple[torch.Tensor, torch.Tensor]:
    """The second sensor on the dates of the first, pixel by pixel."""
    space = other.valid.shape[2:]
    count, length, bands = len(first.dates), first.dates.shape[1], other.values.shape[2]
    found = torch.zeros(count, length, bands, *space)
    valid = torch.zeros(count, length, *space, dtype=torch.bool)
    for sample, pixel in np.ndindex(count, *space) if len(space) == 1 else ((n, ()) for n in range(count)):
        place = (pixel,) if space else ()
        seen = [
            (int(other.dates[sample, t]), other.values[(sample, t, slice(None), *place)])
            for t in range(other.dates.shape[1])
            if other.valid[(sample, t, *place)]
        ]
        for t in range(length):
            day = int(first.dates[sample, t])
            if not seen or day == NO_DATE:
                continue
            nearest = min(seen, key=lambda one: (abs(one[0] - day), one[0]))[1]
            before = [one for one in seen if one[0] <= day]
            after = [one for one in seen if one[0] > day]
            if rule == "linear" and before and after:
                (start, low), (end, high) = before[-1], after[0]
                nearest = low + (high - low) * (day - start) / (end - start)
            found[(sample, t, slice(None), *place)] = nearest
            valid[(sample, t, *place)] = True
    return found, valid


DAYS = st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True).map(sorted)


@settings(deadline=None)
@given(st.lists(DAYS, min_size=2, max_size=2), st.lists(DAYS, min_size=2, max_size=2), st.integers(0, 2**20), st.data())
def test_a_sensor_is_read_where_a_plain_loop_reads_it(
    first: list[list[int]], second: list[list[int]], seed: int, data: st.DataObject
) -> None:
    space = data.draw(st.sampled_from([(), (3,)]))
    rule: Rule = data.draw(st.sampled_from(["nearest", "linear"]))
    axis, other = series(seed, first, 2, space), series(seed + 1, second, 3, space)
    found = on_one_axis(Batch({"a": axis, "b": other}), rule)
    values, valid = by_hand(axis, other, rule)
    real = (axis.dates != NO_DATE).reshape(2, -1, 1, *(1,) * len(space))
    torch.testing.assert_close(torch.where(real, found.values[:, :, 2:], 0), values)
    assert torch.equal(found.valid, axis.valid | valid)
    assert torch.equal(found.dates, axis.dates)
    # What else is in the batch does not matter.
    alone = on_one_axis(Batch({"a": series_part(axis, 1), "b": series_part(other, 1)}), rule)
    torch.testing.assert_close(torch.where(real[1:], alone.values[:, :, 2:], 0), values[1:])


def series_part(whole: Series, row: int) -> Series:
    return Series(whole.values[row:], whole.dates[row:], whole.valid[row:])


def test_the_earlier_of_two_dates_as_near_is_read_and_values_are_drawn_between() -> None:
    axis = Series(torch.zeros(1, 3, 1), torch.tensor([[5, 10, 90]], dtype=torch.int32), torch.ones(1, 3).bool())
    days = torch.tensor([[0, 20]], dtype=torch.int32)
    other = Series(torch.tensor([[[1.0], [5.0]]]), days, torch.ones(1, 2).bool())
    batch = Batch({"a": axis, "b": other})
    assert on_one_axis(batch).values[0, :, 1].tolist() == [1, 1, 5]
    assert on_one_axis(batch, "linear").values[0, :, 1].tolist() == [2, 3, 5]


def test_a_sensor_that_a_sample_lacks_is_nothing_and_the_other_is_valid() -> None:
    batch = batch_of({"a": torch.ones(2, 3, 1), "b": torch.ones(2, 3, 2)})
    lacking = batch.series["b"].valid.clone()
    lacking[0] = False
    gone = Series(torch.full((2, 3, 2), math.nan), batch.series["b"].dates, lacking)
    found = on_one_axis(Batch({"a": batch.series["a"], "b": gone}))
    assert found.values[0, :, 1:].tolist() == [[0, 0]] * 3
    assert found.valid.all()


@pytest.mark.parametrize("rule", ["nearest", "linear"])
def test_sensors_of_the_same_dates_without_gaps_are_laid_side_by_side(rule: Rule) -> None:
    batch = batch_of({"a": torch.randn(2, 3, 1, 4, 4), "b": torch.randn(2, 3, 2, 4, 4)})
    found = on_one_axis(batch, rule)
    assert torch.equal(found.values, torch.cat([batch.series["a"].values, batch.series["b"].values], 2))
    alone = Batch({"a": batch.series["a"]})
    assert on_one_axis(alone, rule) is alone.series["a"]
