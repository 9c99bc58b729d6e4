"""A transformer encoder over the series of a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.config.models.drawing import Kind
from cropflow.config.models.pixels import Transformer as Settings
from cropflow.models.batch import Batch
from cropflow.models.layers.dates import seen
from cropflow.models.layers.dropout import add_dropout, dropout, relu_dropout
from cropflow.models.layers.positions import positions
from cropflow.models.network import Inputs, Network

# Days in which the slowest wave of the positions moves on by about a radian.
_PERIOD = 10_000.0


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each with dropout, a residual and layer norm after it.

    Values stay ``(B, T, width)``: queries, keys and values come from one product, nothing is transposed around it.

    Args:
        width: Channels.
        heads: Heads of the attention.
        inner: Channels within the feed-forward part.
        rate: Share of values dropped in training.
    """

    def __init__(self, width: int, heads: int, inner: int, rate: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, rate
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.joined = nn.Linear(width, width)
        self.wide = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.first_norm = nn.LayerNorm(width)
        self.second_norm = nn.LayerNorm(width)
        nn.init.xavier_uniform_(self.queries_keys_values.weight)
        nn.init.zeros_(self.queries_keys_values.bias)
        nn.init.zeros_(self.joined.bias)

    def forward(self, values: Tensor, mask: Tensor | None) -> Tensor:
        """One layer, ``(B, T, width)``; `mask` is True where a date may be looked at, ``(B, 1, T)``."""
        attended = self.joined(self._attend(values, mask))
        values = self.first_norm(add_dropout(values, attended, self.rate, self.training))
        inner = relu_dropout(self.wide(values), self.rate, self.training)
        found: Tensor = self.second_norm(add_dropout(values, self.narrow(inner), self.rate, self.training))
        return found

    def _attend(self, values: Tensor, mask: Tensor | None) -> Tensor:
        count, dates, width = values.shape
        joined = self.queries_keys_values(values)
        if values.device.type != "cpu" or not (self.training and self.rate):
            parts = joined.view(count, dates, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            seen = None if mask is None else mask.unsqueeze(1)
            rate = self.rate if self.training else 0.0
            found = functional.scaled_dot_product_attention(
                parts[0], parts[1], parts[2], attn_mask=seen, dropout_p=rate
            )
            return found.transpose(1, 2).reshape(count, dates, width)
        # Torch's own has no fast path with dropout on a CPU; head by head, nothing has to be put into another order.
        size = width // self.heads
        columns = joined.split(size, 2)
        heads = [self._one_head(columns[head :: self.heads], mask) for head in range(self.heads)]
        return torch.cat(heads, 2)

    def _one_head(self, columns: Sequence[Tensor], mask: Tensor | None) -> Tensor:
        queries, keys, contents = columns
        # With beta 0, what would be added is not read.
        unread = queries.new_empty(1, 1, 1)
        scores = torch.baddbmm(unread, queries, keys.transpose(1, 2), beta=0, alpha=queries.shape[2] ** -0.5)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return dropout(scores.softmax(2), self.rate, True) @ contents


class Transformer(Network):
    """Scores of a pixel from its series.

    Input ``(B, T, C)`` float32, normalised, any T; dates that are not valid are not looked at and not pooled. Output
    ``(B, outputs)``, not yet a softmax. Layers are followed by one more layer norm, the maximum over the dates, a
    ReLU and the head.

    With 10 bands and 9 outputs it has 168,777 parameters, with 13 bands 168,969: as the class TransformerModel of the
    package breizhcrops 0.0.4.1, which is the form without positions; positions have no weights.

    Args:
        bands: Bands per date, of all sensors.
        outputs: Number of classes.
        width: Channels of a date.
        heads: Heads of the attention.
        layers: Number of layers.
        inner: Channels within the feed-forward part.
        dropout: Share of values dropped in training.
        positions: Add sine and cosine of the day of each date.
        align: How sensors come onto one axis.

    Source:
        Rußwurm et al. (2020), https://doi.org/10.48550/arXiv.1905.11893; layers and positions of Vaswani et al.
        (2017), https://doi.org/10.48550/arXiv.1706.03762, with days in the place of numbers of words.
    """

    kind: ClassVar[Kind] = "pixels"
    masked: ClassVar[bool] = True

    def __init__(
        self,
        bands: int,
        outputs: int,
        *,
        width: int = 64,
        heads: int = 2,
        layers: int = 5,
        inner: int = 128,
        dropout: float = 0.018,
        positions: bool = True,
        align: Literal["nearest", "linear"] = "nearest",
    ) -> None:
        super().__init__()
        self.positions, self.align = positions, align
        self.entry = nn.Linear(bands, width)
        self.layers = nn.ModuleList(Layer(width, heads, inner, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def replace_head(self, outputs: int) -> None:
        """Put a fresh last layer in the place of the old one."""
        self.head = nn.Linear(self.norm.normalized_shape[0], outputs)

    def forward(self, batch: Batch) -> Tensor:
        """Score a normalised batch; shapes as in the class."""
        series, counts = seen(batch, self.align)
        values = functional.relu_(self.entry(series.values))
        if self.positions:
            values = values + positions(series.dates.where(series.valid, 0), values.shape[2], _PERIOD).to(values.dtype)
        mask = None if counts is None else counts.unsqueeze(1)
        for layer in self.layers:
            values = layer(values, mask)
        values = self.norm(values)
        if counts is not None:
            values = values.masked_fill(~counts.unsqueeze(2), -torch.inf)
        scores: Tensor = self.head(functional.relu(values.amax(1)))
        return scores


def build(settings: Settings, inputs: Inputs) -> Transformer:
    """The network of a config section."""
    return Transformer(
        inputs.channels,
        inputs.outputs,
        width=settings.width,
        heads=settings.heads,
        layers=settings.layers,
        inner=settings.inner,
        dropout=settings.dropout,
        positions=settings.positions,
        align=settings.align,
    )
