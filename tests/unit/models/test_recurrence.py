"""Convolutional recurrences: the published cells date by date, their gradients, and states carried over gaps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cropflow.models.layers.recurrence import ConvLstmCell, ConvStarCell, Frames, frames_of

DATES, BATCH, BANDS, HIDDEN, SIDE = 4, 2, 2, 3, 4


def lstm(cell: ConvLstmCell, frames: list[Tensor], valid: Tensor) -> list[Tensor]:
    """As published: one convolution of input and state; a state stays where a pixel is not valid."""
    state = memory = torch.zeros(BATCH, HIDDEN, SIDE, SIDE, dtype=frames[0].dtype)
    found = []
    for values, seen in zip(frames, valid.unbind(1), strict=True):
        take, keep, show, new = cell.convolution(torch.cat([values, state], 1)).chunk(4, 1)
        fresh = keep.sigmoid() * memory + take.sigmoid() * new.tanh()
        state = torch.where(seen[:, None], show.sigmoid() * fresh.tanh(), state)
        memory = torch.where(seen[:, None], fresh, memory)
        found.append(state)
    return found


def star(cell: ConvStarCell, frames: list[Tensor], valid: Tensor) -> list[Tensor]:
    """As published."""
    state = torch.zeros(BATCH, HIDDEN, SIDE, SIDE, dtype=frames[0].dtype)
    found = []
    for values, seen in zip(frames, valid.unbind(1), strict=True):
        gate = cell.gate(torch.cat([values, state], 1)).sigmoid()
        state = torch.where(seen[:, None], gate * state + (1 - gate) * cell.update(values).tanh(), state)
        found.append(state)
    return found


CELLS = {"lstm": (lambda: ConvLstmCell(BANDS, HIDDEN, 3), lstm), "star": (lambda: ConvStarCell(BANDS, HIDDEN), star)}


def mask(kind: str) -> Tensor:
    valid = torch.ones(BATCH, DATES, SIDE, SIDE, dtype=torch.bool)
    if kind == "gaps":
        valid = torch.rand(valid.shape) > 0.4
        valid[:, 1] = True
        valid[0, 2] = False
    return valid


@pytest.mark.parametrize("kind", ["complete", "gaps"])
@pytest.mark.parametrize("name", list(CELLS))
def test_states_and_gradients_are_those_of_the_published_cell(name: str, kind: str) -> None:
    torch.manual_seed(0)
    make, plain = CELLS[name]
    cell, valid = make().double(), mask(kind)
    values = torch.randn(BATCH, DATES, BANDS, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(DATES * BATCH, HIDDEN, SIDE, SIDE, dtype=torch.float64)
    tensors = [values, *cell.parameters()]
    found = cell(frames_of(values, valid)).values
    expected = torch.cat(plain(cell, list(values.unbind(1)), valid))
    torch.testing.assert_close(found, expected)
    gradients = torch.autograd.grad((found * weights).sum(), tensors)
    torch.testing.assert_close(gradients, torch.autograd.grad((expected * weights).sum(), tensors))


@pytest.mark.parametrize("name", list(CELLS))
def test_one_date_is_a_series_too(name: str) -> None:
    torch.manual_seed(0)
    cell = CELLS[name][0]()
    frames = frames_of(torch.randn(BATCH, 1, BANDS, SIDE, SIDE), torch.ones(BATCH, 1, SIDE, SIDE, dtype=torch.bool))
    cell(frames).values.sum().backward()
    assert all(value.grad is not None and torch.isfinite(value.grad).all() for value in cell.parameters())


@pytest.mark.parametrize("name", list(CELLS))
def test_half_precision_runs_forward_and_backward(name: str) -> None:
    torch.manual_seed(0)
    cell = CELLS[name][0]()
    frames = frames_of(torch.randn(BATCH, 3, BANDS, SIDE, SIDE), torch.rand(BATCH, 3, SIDE, SIDE) > 0.2)
    exact = cell(frames).last()
    with torch.autocast("cpu", torch.bfloat16):
        found = cell(frames).last()
    torch.testing.assert_close(found.float(), exact, rtol=0.1, atol=0.1)
    found.float().sum().backward()
    assert all(value.grad is not None and value.grad.dtype == torch.float32 for value in cell.parameters())


def test_dates_on_which_nothing_is_valid_are_left_out() -> None:
    values = torch.arange(4.0).view(1, 4, 1, 1, 1)
    valid = torch.tensor([False, True, False, True]).view(1, 4, 1, 1)
    assert frames_of(values, valid).values.flatten().tolist() == [1.0, 3.0]
    nothing: Frames = frames_of(values, torch.zeros_like(valid))
    assert len(nothing.valid) == 1
    assert functional.relu(ConvLstmCell(1, 2, 1)(nothing).values).eq(0).all()
