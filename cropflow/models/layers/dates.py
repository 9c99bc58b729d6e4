"""Series of single pixels as networks want them: nothing but what was seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from cropflow.models.batch import Batch, Series
from cropflow.models.data.alignment import on_one_axis


def seen(batch: Batch, rule: Literal["nearest", "linear"]) -> tuple[Series, Tensor | None]:
    """The series of pixels on one axis, and which of its dates count.

    Args:
        batch: Normalised series of pixels, ``(B, T, C)``; values of dates that are not valid may be anything.
        rule: How sensors on other dates come to those of the first.

    Returns:
        The series, 0 on dates without a value; and True on the dates that count, bool, ``(B, T)``, or None where all
        do. A sample without any date keeps its first, of value 0, so that nothing divides by none.
    """
    cleared = batch.with_series(lambda _, one: _cleared(one))
    series = cleared.only() if len(batch.series) == 1 else _cleared(on_one_axis(cleared, rule))
    if bool(series.valid.all()):
        return series, None
    first = torch.arange(series.valid.shape[1], device=series.valid.device) == 0
    return series, series.valid | (first & ~series.valid.any(1, keepdim=True))


def _cleared(series: Series) -> Series:
    if bool(series.valid.all()):
        return series
    return replace(series, values=series.values.masked_fill(~series.valid.unsqueeze(2), 0.0))
