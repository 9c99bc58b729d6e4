"""Sensors on one axis of time."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from cropflow.models.batch import NO_DATE, Batch, Series

Rule = Literal["nearest", "linear"]
# After every date there is.
_NEVER = 2**29


def on_one_axis(batch: Batch, rule: Rule = "nearest") -> Series:
    """The bands of all sensors side by side, on the dates of the first.

    The first sensor stays as it is, gaps included: which one gives the axis is for the order of the sensors to say.
    Each other sensor is read at each date of the axis, pixel by pixel from its own valid dates: at the ``nearest`` one,
    the earlier of two as near, or by ``linear`` interpolation between the last one before and the first one after.
    Beyond its first and last valid dates it keeps their values, and a pixel without any valid date is 0. Dates are
    counted from the start of the season for all sensors; a date may serve any number of times, so that no order of
    pairing matters, and no other sample of the batch does.

    Args:
        batch: Normalised series, each with its own dates, ascending.
        rule: ``nearest`` or ``linear``.

    Returns:
        Values ``(B, T, C, *space)``, C of all sensors in their order, T of the first; valid where any sensor is.
    """
    first, *others = batch.series.values()
    if not others:
        return first
    wide = (first.dates != NO_DATE).reshape(*first.dates.shape, *(1,) * (first.valid.ndim - 2))
    read = [_read_at(first.dates, other, rule) for other in others]
    valid = torch.stack([first.valid, *(mask & wide for _, mask in read)]).any(0)
    return Series(torch.cat([first.values, *(values for values, _ in read)], dim=2), first.dates, valid)


def _read_at(days: Tensor, series: Series, rule: Rule) -> tuple[Tensor, Tensor]:
    """Values of a sensor on other days, and where it has any.

    Args:
        days: ``(B, T)``.
        series: Normalised, of other dates.
        rule: How to read it.
    """
    if _fits(days, series):
        return series.values, series.valid
    dates = torch.where(series.dates == NO_DATE, _NEVER, series.dates).contiguous()
    before, after = _neighbours(days, dates, series.valid)
    space = series.valid.ndim - 2
    earlier, later = (_days_of(dates, index.clamp(0, dates.shape[1] - 1)) for index in (before, after))
    day = days.reshape(*days.shape, *(1,) * space).expand_as(before)
    has_before, has_after = before >= 0, after < dates.shape[1]
    past = torch.where(has_before, day - earlier, _NEVER)
    future = torch.where(has_after, later - day, _NEVER)
    any_date = has_before | has_after
    if rule == "nearest":
        chosen = torch.where(past <= future, before, after)
        return _take(series.values, chosen, any_date), any_date
    share = past / (past + future).clamp(min=1)
    share = torch.where(has_before & has_after, share, (~has_before).to(share.dtype)).unsqueeze(2)
    start, end = _take(series.values, before, has_before), _take(series.values, after, has_after)
    return torch.lerp(start, end, share.to(start.dtype)), any_date


def _fits(days: Tensor, series: Series) -> bool:
    """Whether a sensor has a valid value on each of the days, so that reading it would change nothing."""
    if not torch.equal(days, series.dates):
        return False
    real = (days != NO_DATE).reshape(*days.shape, *(1,) * (series.valid.ndim - 2))
    return bool((series.valid == real).all())


def _neighbours(days: Tensor, dates: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the last valid date not after a day, and of the first one after it, per pixel.

    Args:
        days: ``(B, T)``.
        dates: Of the sensor, ascending, ``(B, D)``.
        valid: Of the sensor, ``(B, D, *space)``.

    Returns:
        Twice ``(B, T, *space)``; -1 where there is none before, D where there is none after.
    """
    length, shape = dates.shape[1], (1, -1, *(1,) * (valid.ndim - 2))
    position = torch.arange(length, device=dates.device).reshape(shape)
    # One more place at either end stands for "none": nothing is compared date by date.
    last = torch.where(valid, position + 1, 0).cummax(1).values
    last = torch.cat([torch.zeros_like(last[:, :1]), last], dim=1)
    following = torch.where(valid, position, length).flip(1).cummin(1).values.flip(1)
    following = torch.cat([following, torch.full_like(following[:, :1], length)], dim=1)
    passed = torch.searchsorted(dates, days.contiguous(), right=True)
    index = passed.reshape(*passed.shape, *(1,) * (valid.ndim - 2)).expand(*passed.shape, *valid.shape[2:])
    return last.gather(1, index) - 1, following.gather(1, index)


def _days_of(dates: Tensor, index: Tensor) -> Tensor:
    """Dates at positions, ``(B, T, *space)``."""
    return dates.gather(1, index.flatten(1).to(torch.int64)).reshape(index.shape)


def _take(values: Tensor, index: Tensor, exists: Tensor) -> Tensor:
    """Values ``(B, D, C, *space)`` at positions ``(B, T, *space)``; 0 where there are none."""
    inside = index.clamp(0, values.shape[1] - 1).unsqueeze(2)
    taken = values.gather(1, inside.expand(*inside.shape[:2], values.shape[2], *inside.shape[3:]))
    # Not a product: padding may hold anything, and infinity times nothing is no number.
    return torch.where(exists.unsqueeze(2), taken, 0)
