"""LSTM layers over series with gaps, quick on a CPU and on a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from cropflow.models.layers.dropout import dropout
from cropflow.models.layers.sequences import in_front

_sigmoid_back, _tanh_back = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward


class Recurrence(nn.Module):
    """LSTM layers without bias; on dates that do not count the state stays as it is.

    On a GPU this is one call of cuDNN, of packed series where there are gaps. On a CPU each layer runs date by date
    with gradients written out: the products of weights and of inputs are then one product over all dates, and gaps
    cost nothing.

    Args:
        inputs: Input channels.
        width: Channels of the state, in each direction.
        layers: Number of layers.
        bidirectional: Read the series backwards too.
        rate: Share of values dropped between layers in training.

    Source:
        Hochreiter and Schmidhuber (1997), https://doi.org/10.1162/neco.1997.9.8.1735, with forget gates.
    """

    def __init__(self, inputs: int, width: int, layers: int, bidirectional: bool, rate: float) -> None:
        super().__init__()
        self.rate = rate
        # Torch warns of a dropout that a single layer does not have.
        between = rate if layers > 1 else 0.0
        self.lstm = nn.LSTM(inputs, width, layers, False, True, between, bidirectional)

    def forward(self, values: Tensor, counts: Tensor | None) -> Tensor:
        """The last cell states.

        Args:
            values: ``(B, T, inputs)``.
            counts: True on dates that count, of which every sample has one, bool, ``(B, T)``; None where all do.

        Returns:
            Layer by layer, forwards and then backwards, float32, ``(B, layers * directions * width)``.
        """
        if values.device.type != "cpu":
            return self._packed(values, counts)
        return self._by_date(values, counts)

    def _packed(self, values: Tensor, counts: Tensor | None) -> Tensor:
        if counts is None:
            cells: Tensor = self.lstm(values)[1][1]
        else:
            found, _ = in_front(values, counts)
            packed = pack_padded_sequence(found, counts.sum(1).cpu(), batch_first=True, enforce_sorted=False)
            cells = self.lstm(packed)[1][1]
        return cells.transpose(0, 1).flatten(1)

    def _by_date(self, values: Tensor, counts: Tensor | None) -> Tensor:
        directions = 1 + self.lstm.bidirectional
        mask = None if counts is None else counts.t().unsqueeze(2).contiguous()
        states = values.transpose(0, 1).float().contiguous()
        cells = []
        for layer in range(self.lstm.num_layers):
            if layer:
                states = dropout(states, self.rate, self.training)
            names = [f"l{layer}" + "_reverse" * backwards for backwards in range(directions)]
            weights = [getattr(self.lstm, f"weight_{part}_{name}") for name in names for part in ("ih", "hh")]
            states, *last = _Layer.apply(states, mask, *weights)  # type: ignore[no-untyped-call]
            cells.extend(last)
        return torch.cat(cells, 1)


class _Layer(torch.autograd.Function):
    """A layer of one or two directions: ``(T, B, inputs)`` to states ``(T, B, directions * width)`` and last cells.

    Gates lie side by side as in torch: input, forget, candidate, output.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor | None, *weights: Tensor) -> tuple[Tensor, ...]:
        dates, count, inputs = values.shape
        width = weights[1].shape[1]
        states = values.new_empty(dates, count, len(weights) // 2 * width)
        kept, last = [], []
        for number, (from_values, from_states) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
            gates = (values.view(-1, inputs) @ from_values.t()).view(dates, count, 4 * width)
            cells, bent = values.new_empty(2, dates, count, width)
            state = cell = values.new_zeros(count, width)
            for date in _order(dates, number):
                own = states[date, :, number * width : (number + 1) * width]
                now = gates[date].addmm_(state, from_states.t())
                now[:, : 2 * width].sigmoid_()
                now[:, 3 * width :].sigmoid_()
                entry, forget, candidate, output = now.chunk(4, 1)
                candidate.tanh_()
                torch.mul(entry, candidate, out=cells[date]).addcmul_(forget, cell)
                torch.tanh(cells[date], out=bent[date])
                torch.mul(output, bent[date], out=own)
                if mask is not None:
                    torch.where(mask[date], cells[date], cell, out=cells[date])
                    torch.where(mask[date], own, state, out=own)
                state, cell = own, cells[date]
            kept += [gates, cells, bent]
            last.append(cell.clone())
        ctx.save_for_backward(values, states, *weights, *kept)
        ctx.mask, ctx.directions = mask, len(last)
        ctx.set_materialize_grads(False)
        return (states, *last)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        values, states, *saved = ctx.saved_tensors
        weights, kept = saved[: 2 * ctx.directions], saved[2 * ctx.directions :]
        inputs, width = values.shape[2], weights[1].shape[1]
        to_values = torch.zeros_like(values).view(-1, inputs) if ctx.needs_input_grad[0] else None
        to_weights = []
        to_gates = torch.empty_like(kept[0])
        for number in range(ctx.directions):
            from_values, from_states = weights[2 * number : 2 * number + 2]
            columns = slice(number * width, (number + 1) * width)
            to_states = None if gradients[0] is None else gradients[0][:, :, columns]
            _through_dates(
                number, kept[3 * number :][:3], from_states, ctx.mask, to_states, gradients[1 + number], to_gates
            )
            flat = to_gates.view(-1, 4 * width)
            # What a date's gates saw of the states: those of the date before it in the order of reading.
            later, earlier = (slice(None, -1), slice(1, None)) if number else (slice(1, None), slice(None, -1))
            seen = states[earlier, :, columns].reshape(-1, width)
            to_weights += [flat.t() @ values.view(-1, inputs), to_gates[later].reshape(-1, 4 * width).t() @ seen]
            if to_values is not None:
                to_values.addmm_(flat, from_values)
        return (None if to_values is None else to_values.view_as(values), None, *to_weights)


def _order(dates: int, number: int) -> range:
    return range(dates - 1, -1, -1) if number else range(dates)


def _through_dates(
    number: int,
    kept: list[Tensor],
    from_states: Tensor,
    mask: Tensor | None,
    to_states: Tensor | None,
    to_last: Tensor | None,
    to_gates: Tensor,
) -> None:
    """Fill in the gradients of all gates of a direction, before their bends, date by date against its order."""
    gates, cells, bent = kept
    dates, count, width = cells.shape
    nothing = cells.new_zeros(count, width)
    to_state, to_cell = nothing, nothing if to_last is None else to_last
    order = list(_order(dates, number))
    for place in range(dates - 1, -1, -1):
        date = order[place]
        before = cells[order[place - 1]] if place else nothing
        entry, forget, candidate, output = gates[date].chunk(4, 1)
        to_entry, to_forget, to_candidate, to_output = to_gates[date].chunk(4, 1)
        if to_states is not None:
            to_state = to_state + to_states[date]
        through = _tanh_back(to_state * output, bent[date]).add_(to_cell)
        torch.mul(through, candidate, out=to_entry)
        torch.mul(through, before, out=to_forget)
        torch.mul(through, entry, out=to_candidate)
        torch.mul(to_state, bent[date], out=to_output)
        for bend, first, end in ((_sigmoid_back, 0, 2), (_tanh_back, 2, 3), (_sigmoid_back, 3, 4)):
            part = to_gates[date, :, first * width : end * width]
            bend.grad_input(part, gates[date, :, first * width : end * width], grad_input=part)
        if mask is None:
            to_cell = through.mul_(forget)
            to_state = to_gates[date] @ from_states
        else:
            to_gates[date].mul_(mask[date])
            to_cell = torch.where(mask[date], through.mul_(forget), to_cell)
            to_state = torch.where(mask[date], to_gates[date] @ from_states, to_state)
