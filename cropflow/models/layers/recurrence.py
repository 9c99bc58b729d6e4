"""Convolutional recurrences: dates first, and states that are carried over what is missing.

A convolution of input and state side by side is the sum of one of the input and one of the state. The first needs no
state: one call does it for all dates at once, and only the second goes date by date. On the way back the gradient of
the weights of the second is one call over all dates too, where automatic differentiation would add up one per date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cropflow.models.batch import Series

Masks = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Frames:
    """A series as maps, dates first; dates without any valid pixel in the batch are left out.

    Attributes:
        values: ``(T * B, C, H, W)``, 0 where not valid; channels last in memory, which convolutions take fastest.
        valid: Per date, True where a pixel is valid, bool, ``(B, 1, H, W)``; None where every pixel is.
    """

    values: Tensor
    valid: Masks

    def with_values(self, values: Tensor) -> Frames:
        """The same dates with other maps."""
        return Frames(values, self.valid)

    def last(self) -> Tensor:
        """The maps of the last date, ``(B, C, H, W)``."""
        return self.values[-(len(self.values) // len(self.valid)) :]


def frames_of(values: Tensor, valid: Tensor) -> Frames:
    """Put dates first.

    Args:
        values: ``(B, T, C, H, W)``, 0 where not valid.
        valid: bool, ``(B, T, H, W)``.

    Returns:
        At least one date; where the batch has no valid pixel, its first.
    """
    by_date = valid.transpose(0, 1).flatten(1)
    used, whole = by_date.any(1).tolist(), by_date.all(1).tolist()
    dates = [date for date, any_pixel in enumerate(used) if any_pixel] or [0]
    if len(dates) < len(used):
        values = values[:, dates]
    masks = tuple(None if whole[date] else valid[:, date].unsqueeze(1) for date in dates)
    return Frames(values.transpose(0, 1).flatten(0, 1).contiguous(memory_format=torch.channels_last), masks)


def with_days(series: Series, year: float) -> Tensor:
    """The series with its days as one more band: years since the start of the season, 0 where not valid."""
    days = (series.dates.to(series.values.dtype) / year)[:, :, None, None, None]
    return torch.cat([series.values, days * series.valid.unsqueeze(2)], 2)


class ConvLstmCell(nn.Module):
    """A layer whose input, forget and output gates and candidate, in this order, come from one convolution.

    Args:
        inputs: Input channels.
        hidden: Channels of the state.
        kernel_size: Odd side of the kernel.

    Source:
        Shi et al. (2015), https://doi.org/10.48550/arXiv.1506.04214, without peepholes.
    """

    def __init__(self, inputs: int, hidden: int, kernel_size: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.convolution = nn.Conv2d(inputs + hidden, 4 * hidden, kernel_size, padding=kernel_size // 2)

    def forward(self, frames: Frames) -> Frames:
        """The state after each date; at pixels that are missing on a date, that before it."""
        seen, kept = _split(self.convolution, self.inputs)
        given = functional.conv2d(frames.values, seen, self.convolution.bias, padding=self.convolution.padding)
        states: Tensor = _Lstm.apply(given, kept, frames.valid)  # type: ignore[no-untyped-call]
        return frames.with_values(states)


class ConvStarCell(nn.Module):
    """A layer whose gate, from input and state, says how much of the state stays; the rest comes from the input.

    Args:
        inputs: Input channels.
        hidden: Channels of the state.

    Source:
        Turkoglu et al. (2021), https://doi.org/10.1016/j.rse.2021.112603.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.gate = nn.Conv2d(inputs + hidden, hidden, 3, padding=1)
        self.update = nn.Conv2d(inputs, hidden, 3, padding=1)
        assert self.gate.bias is not None and self.update.bias is not None
        for layer in (self.gate, self.update):
            nn.init.orthogonal_(layer.weight)
        # A state is kept by default: gradients reach early dates.
        nn.init.ones_(self.gate.bias)
        nn.init.zeros_(self.update.bias)

    def forward(self, frames: Frames) -> Frames:
        """The state after each date; at pixels that are missing on a date, that before it."""
        seen, kept = _split(self.gate, self.inputs)
        assert self.gate.bias is not None and self.update.bias is not None
        weight, bias = torch.cat([seen, self.update.weight]), torch.cat([self.gate.bias, self.update.bias])
        given = functional.conv2d(frames.values, weight, bias, padding=1)
        states: Tensor = _Star.apply(given, kept, frames.valid)  # type: ignore[no-untyped-call]
        return frames.with_values(states)


def _split(convolution: nn.Conv2d, inputs: int) -> tuple[Tensor, Tensor]:
    """The weights that see the input, and those that see the state."""
    weight = convolution.weight
    return weight[:, :inputs], weight[:, inputs:].contiguous(memory_format=torch.channels_last)


def _carried(new: Tensor, old: Tensor | None, valid: Tensor | None) -> Tensor:
    """The new state where a pixel is valid, the old one elsewhere; before the first date states are 0."""
    if valid is None:
        return new
    return new * valid if old is None else torch.where(valid, new, old)


def _through(gradient: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A gradient of what was carried: the part of the new state, and that of the old one."""
    return (gradient, None) if valid is None else (gradient * valid, gradient * ~valid)


def _added(*parts: Tensor | None) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return sum(found[1:], found[0]) if found else None


def _keep(ctx: Any, states: Tensor, kept: Tensor, valid: Masks, others: Sequence[Tensor]) -> None:
    ctx.save_for_backward(states, kept, *others, *(mask for mask in valid if mask is not None))
    ctx.whole = tuple(mask is None for mask in valid)


def _kept(ctx: Any) -> tuple[Tensor, Tensor, tuple[Tensor, ...], Masks]:
    states, kept, *others = ctx.saved_tensors
    count = ctx.whole.count(False)
    masks = iter(others[len(others) - count :])
    valid = tuple(None if whole else next(masks) for whole in ctx.whole)
    return states, kept, tuple(others[: len(others) - count]), valid


def _of_kept(states: Tensor, kept: Tensor, of_gates: Tensor, dates: int) -> Tensor:
    """The gradient of the weights that see the state, over all dates but the first at once."""
    size = len(states) // dates
    if dates == 1:
        return torch.zeros_like(kept)
    return _of_convolution(of_gates[size:], states[:-size], kept, weight=True)


def _of_convolution(coming: Tensor, states: Tensor, kept: Tensor, *, weight: bool) -> Tensor:
    """The gradient of the weights, or of the states, of their convolution."""
    padding = kept.shape[-1] // 2
    chosen = [not weight, weight, False]
    found: list[Tensor] = torch.ops.aten.convolution_backward(
        coming, states, kept, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], 1, chosen
    )
    return found[weight]


class _Lstm(torch.autograd.Function):
    """States from the input part of the gates ``(T * B, 4 * hidden, H, W)`` and the weights of the state."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, kept: Tensor, valid: Masks) -> Tensor:
        padding, hidden, kept = kept.shape[-1] // 2, kept.shape[1], kept.to(given.dtype)
        state: Tensor | None = None
        memory: Tensor | None = None
        gates, memories, states = [], [], []
        for own, mask in zip(given.chunk(len(valid)), valid, strict=True):
            own = own.clone() if state is None else functional.conv2d(state, kept, padding=padding).add_(own)
            take, keep, show = own[:, : 3 * hidden].sigmoid_().chunk(3, 1)
            new = take * own[:, 3 * hidden :].tanh_()
            if memory is not None:
                new.addcmul_(keep, memory)
            memory = _carried(new, memory, mask)
            state = _carried(new.tanh().mul_(show), state, mask)
            gates.append(own)
            memories.append(memory)
            states.append(state)
        joined = torch.cat(states)
        _keep(ctx, joined, kept, valid, [*gates, *memories])
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coming: Tensor) -> tuple[Tensor, Tensor, None]:
        states, kept, others, valid = _kept(ctx)
        dates, hidden = len(valid), kept.shape[1]
        gates, memories = others[:dates], others[dates:]
        of_gates = _empty(states, 4 * hidden)
        of_state: Tensor | None = None
        of_memory: Tensor | None = None
        for date in range(dates - 1, -1, -1):
            take, keep, show, new = gates[date].chunk(4, 1)
            total = _added(coming.chunk(dates)[date], of_state)
            assert total is not None
            of_new_state, state_before = _through(total, valid[date])
            squashed = memories[date].tanh()
            of_new = (1 - squashed * squashed).mul_(of_new_state).mul_(show)
            memory_before: Tensor | None = None
            if of_memory is not None:
                part, memory_before = _through(of_memory, valid[date])
                of_new += part
            own = of_gates.chunk(dates)[date]
            of_take, of_keep, of_show, of_candidate = own.chunk(4, 1)
            _sigmoid_backward(of_new * new, take, of_take)
            _sigmoid_backward(of_new_state * squashed, show, of_show)
            torch.mul(of_new, take, out=of_candidate).mul_(1 - new * new)
            if not date:
                of_keep.zero_()
                break
            _sigmoid_backward(of_new * memories[date - 1], keep, of_keep)
            of_memory = _added(of_new.mul_(keep), memory_before)
            of_state = _added(_of_convolution(own, states.chunk(dates)[date - 1], kept, weight=False), state_before)
        return of_gates, _of_kept(states, kept, of_gates, dates), None


class _Star(torch.autograd.Function):
    """States from the input part of gate and update ``(T * B, 2 * hidden, H, W)`` and the weights of the state."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, kept: Tensor, valid: Masks) -> Tensor:
        hidden, kept = len(kept), kept.to(given.dtype)
        state: Tensor | None = None
        updates = given[:, hidden:].tanh()
        gates, states = [], []
        for own, update, mask in zip(
            given[:, :hidden].chunk(len(valid)), updates.chunk(len(valid)), valid, strict=True
        ):
            if state is None:
                gate = own.sigmoid()
                new = update * (1 - gate)
            else:
                gate = functional.conv2d(state, kept, padding=1).add_(own).sigmoid_()
                new = torch.lerp(update, state, gate)
            state = _carried(new, state, mask)
            gates.append(gate)
            states.append(state)
        joined = torch.cat(states)
        _keep(ctx, joined, kept, valid, [updates, *gates])
        return joined

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, coming: Tensor) -> tuple[Tensor, Tensor, None]:
        states, kept, (updates, *gates), valid = _kept(ctx)
        dates, hidden = len(valid), len(kept)
        given, of_gates = _empty(states, 2 * hidden), _empty(states, hidden)
        of_state: Tensor | None = None
        for date in range(dates - 1, -1, -1):
            gate, update = gates[date], updates.chunk(dates)[date]
            total = _added(coming.chunk(dates)[date], of_state)
            assert total is not None
            of_new, before = _through(total, valid[date])
            of_gate = of_gates.chunk(dates)[date]
            shift = states.chunk(dates)[date - 1] - update if date else -update
            _sigmoid_backward(shift.mul_(of_new), gate, of_gate)
            torch.mul(of_new, 1 - gate, out=given.chunk(dates)[date][:, hidden:])
            if date:
                through = _of_convolution(of_gate, states.chunk(dates)[date - 1], kept, weight=False)
                of_state = _added(through, of_new * gate, before)
        given[:, :hidden] = of_gates
        given[:, hidden:].mul_(1 - updates * updates)
        return given, _of_kept(states, kept, of_gates, dates), None


def _empty(like: Tensor, channels: int) -> Tensor:
    shape = (len(like), channels, *like.shape[2:])
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


def _sigmoid_backward(gradient: Tensor, output: Tensor, into: Tensor) -> None:
    torch.ops.aten.sigmoid_backward.grad_input(gradient, output, grad_input=into)
