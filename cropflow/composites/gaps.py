"""Fill the periods without an observation from their neighbours, within a declared limit."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from cropflow.compiling import compiled

# Reflectance x 10000, or dB x 100.
Composite = TypeVar("Composite", np.uint16, np.int16)

RULES = ("neighbours", "linear")
NODATA = {np.dtype(np.uint16): 0, np.dtype(np.int16): -32768}
# Pixels of a row that are filled together: their periods stay in the first-level cache.
SEGMENT = 512
# Lifts a half that floating point has put below itself. Values that are no half are further away from one, in gaps of
# up to a century.
TINY = 1e-6
# What is written: the observed value, a value between two others, nothing.
OBSERVED, FILLED, EMPTY = 0, 1, 2
# Days from any season to what lies beyond its edges.
FAR = 1e300


def fill_gaps(
    composite: NDArray[Composite],
    observations: NDArray[np.uint8],
    max_gap: int,
    rule: Literal["neighbours", "linear"] = "neighbours",
    days: NDArray[np.float64] | None = None,
    power: bool = False,
) -> tuple[NDArray[Composite], NDArray[np.bool_]]:
    """Give a missing period a value from the nearest valid period before and after it.

    By ``neighbours`` that is their plain mean, whatever the distance; by ``linear`` the value on the line between
    them at the period's day. Both per band, halves rounded up. Periods before the first valid one take its value,
    periods after the last valid one take that one's. A run of missing periods longer than ``max_gap``, at the edges
    too, stays nodata, and so does a pixel without any observation. Filled values never feed another fill.

    Args:
        composite: Reflectance x 10000, uint16, or backscatter in dB x 100, int16, ``(period, band, y, x)``. Every
            band must hold a value where a period is observed: bands with observations of their own are filled in
            calls of their own.
        observations: Valid observations per period, uint8, ``(period, y, x)``; a period is missing where it is 0.
        max_gap: Longest run of missing periods that is filled; 0 fills nothing.
        rule: ``neighbours`` or ``linear``.
        days: ``linear``: the day in the middle of each period, ``(period,)``, ascending, any origin, see
            :func:`middle_days`; unequal periods are weighted by their true distance.
        power: The values are dB: average in linear power, then return to dB. Only for int16.

    Returns:
        A filled copy, ``(period, band, y, x)``, in the dtype of ``composite``; 0 (uint16) or -32768 (int16) where
        nodata. And where a value was written although the period has no valid observation, bool, ``(period, y, x)``.

    Raises:
        ValueError: If the periods or pixels of the arrays differ, the dtype is another, ``max_gap`` is negative, the
            rule is unknown, ``days`` are missing or out of order, or ``power`` is asked of reflectance.
    """
    if composite.ndim != 4 or observations.shape != (composite.shape[0], *composite.shape[2:]):
        raise ValueError(
            f"composite has the shape {composite.shape}, observations {observations.shape}; expected the same pixels"
        )
    if composite.dtype not in NODATA or (power and composite.dtype != np.int16):
        raise ValueError(f"composite is {composite.dtype}; expected {'int16' if power else 'uint16 or int16'}")
    if max_gap < 0:
        raise ValueError(f"max_gap is {max_gap}; expected 0 or more")
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}; expected one of {RULES}")
    middles = np.zeros(0)
    if rule == "linear":
        middles = np.asarray([] if days is None else days, dtype=np.float64)
        if middles.shape != composite.shape[:1] or not (np.diff(middles) > 0).all():
            raise ValueError(f"days are {days}; expected {composite.shape[0]} days in order of time")
    out = np.empty(composite.shape, dtype=composite.dtype)
    filled = np.zeros(observations.shape, dtype=np.bool_)
    _fill(
        np.ascontiguousarray(composite),
        np.ascontiguousarray(observations),
        max_gap,
        middles,
        power,
        NODATA[composite.dtype],
        out,
        filled,
    )
    return out, filled


def middle_days(starts: Sequence[datetime.date], end: datetime.date) -> NDArray[np.float64]:
    """The day in the middle of each period, as ``linear`` wants it.

    Args:
        starts: First days of consecutive periods, in order of time.
        end: Last day of the last period, inclusive.

    Returns:
        Days since the first start, multiples of a half, ``(period,)``.
    """
    edges = np.array([day.toordinal() for day in (*starts, end + datetime.timedelta(days=1))], dtype=np.float64)
    return np.asarray((edges[:-1] + edges[1:]) / 2 - edges[0])


@compiled
def _fill(
    composite: NDArray[Composite],
    observations: NDArray[np.uint8],
    max_gap: int,
    days: NDArray[np.float64],
    power: bool,
    nodata: int,
    out: NDArray[Composite],
    filled: NDArray[np.bool_],
) -> None:
    n_periods, n_bands, height, width = composite.shape
    # Per period and pixel of a segment: what is written, how much the next valid period counts against the last one,
    # and the value of the next valid period; then the value of the last one.
    kind = np.empty((n_periods, SEGMENT), dtype=np.uint8)
    weight = np.empty((n_periods, SEGMENT), dtype=np.float64)
    following = np.empty((n_periods + 1, SEGMENT), dtype=composite.dtype)
    last = np.empty(SEGMENT, dtype=composite.dtype)
    missing = np.empty(n_periods, dtype=np.bool_)
    for y in range(height):
        for left in range(0, width, SEGMENT):
            right = min(left + SEGMENT, width)
            n = right - left
            _judge(observations[:, y, left:right], max_gap, days, kind, weight, filled[:, y, left:right], missing)
            for band in range(n_bands):
                following[n_periods, :n] = 0
                for p in range(n_periods - 1, -1, -1):
                    _carry(following[p, :n], composite[p, band, y, left:right], kind[p, :n], following[p + 1, :n])
                last[:n] = 0
                for p in range(n_periods):
                    _carry(last[:n], composite[p, band, y, left:right], kind[p, :n], last[:n])
                    to = out[p, band, y, left:right]
                    if not missing[p]:
                        to[:] = last[:n]
                    elif power:
                        _between_powers(to, last[:n], following[p, :n], weight[p, :n], kind[p, :n], nodata)
                    else:
                        _between(to, last[:n], following[p, :n], weight[p, :n], kind[p, :n], nodata)


@compiled
def _judge(
    observations: NDArray[np.uint8],
    max_gap: int,
    days: NDArray[np.float64],
    kind: NDArray[np.uint8],
    weight: NDArray[np.float64],
    filled: NDArray[np.bool_],
    missing: NDArray[np.bool_],
) -> None:
    """Decide for each period and pixel of a segment what is written, and the weight of the next valid period.

    ``missing`` tells of each period whether any of its pixels is not observed.
    """
    n_periods, n = observations.shape
    linear = days.size > 0
    # Nearest valid period and its day; at the edges so far away that the only neighbour has all the weight.
    after = np.full((n_periods + 1, n), n_periods, dtype=np.int32)
    day_after = np.full((n_periods + 1, n), FAR)
    before = np.full(n, -1, dtype=np.int32)
    day_before = np.full(n, -FAR)
    for p in range(n_periods - 1, -1, -1):
        _mark(after[p], observations[p], after[p + 1], p)
        _mark(day_after[p], observations[p], day_after[p + 1], days[p] if linear else 1.0)
    for p in range(n_periods):
        _mark(before, observations[p], before, p)
        _mark(day_before, observations[p], day_before, days[p] if linear else -1.0)
        missing[p] = _classify(kind[p, :n], filled[p], observations[p], before, after[p], min(max_gap, n_periods - 1))
        _weigh(weight[p, :n], observations[p], day_before, day_after[p], days[p] if linear else 0.0)


@compiled
def _mark(to: NDArray[Any], observations: NDArray[np.uint8], beside: NDArray[Any], here: float) -> None:
    """Note the period, or its day, where it was observed; else what stands beside it."""
    for x in range(to.size):
        other = beside[x]
        to[x] = to.dtype.type(here) if observations[x] > 0 else other


@compiled
def _classify(
    kind: NDArray[np.uint8],
    filled: NDArray[np.bool_],
    observations: NDArray[np.uint8],
    before: NDArray[np.int32],
    after: NDArray[np.int32],
    longest: int,
) -> bool:
    found = np.uint8(0)
    for x in range(kind.size):
        missing = FILLED if after[x] - before[x] - 1 <= longest else EMPTY
        kind[x] = OBSERVED if observations[x] > 0 else missing
        filled[x] = kind[x] == FILLED
        found |= kind[x]
    return bool(found)


@compiled
def _weigh(
    weight: NDArray[np.float64],
    observations: NDArray[np.uint8],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    day: float,
) -> None:
    for x in range(weight.size):
        # The function, since the operator of a kernel stops at a zero, which observed periods have here.
        share = np.divide(day - before[x], after[x] - before[x])
        weight[x] = 0.0 if observations[x] > 0 else share


@compiled
def _carry(
    to: NDArray[Composite], values: NDArray[Composite], kind: NDArray[np.uint8], carried: NDArray[Composite]
) -> None:
    """The value of a period where it was observed, else what is carried from the period beside it."""
    for x in range(to.size):
        # Both are read first: a choice between two values becomes a vector, one between two places does not.
        value, other = values[x], carried[x]
        to[x] = value if kind[x] == OBSERVED else other


@compiled
def _between(
    to: NDArray[Composite],
    last: NDArray[Composite],
    following: NDArray[Composite],
    weight: NDArray[np.float64],
    kind: NDArray[np.uint8],
    nodata: int,
) -> None:
    """The value between the last and the next valid one; where observed, both are that value itself."""
    for x in range(to.size):
        low = np.int32(last[x])
        step = np.int32(np.int32(following[x]) - low)
        value = np.int32(np.floor(low + step * weight[x] + (0.5 + TINY)))
        to[x] = to.dtype.type(nodata) if kind[x] == EMPTY else to.dtype.type(value)


@compiled
def _between_powers(
    to: NDArray[Composite],
    last: NDArray[Composite],
    following: NDArray[Composite],
    weight: NDArray[np.float64],
    kind: NDArray[np.uint8],
    nodata: int,
) -> None:
    """The same for dB x 100, between the powers that they stand for."""
    for x in range(to.size):
        if kind[x] == FILLED:
            low, high = 10.0 ** (last[x] / 1000.0), 10.0 ** (following[x] / 1000.0)
            value = math.floor(1000.0 * math.log10(low + (high - low) * weight[x]) + (0.5 + TINY))
            to[x] = to.dtype.type(value)
        else:
            to[x] = to.dtype.type(nodata) if kind[x] == EMPTY else last[x]
