"""Networks of pixel sets as they were published, written plainly and without needless copies.

`PAIRS` makes, per network, ours and the published layers; `make` gives both the same weights and compares scores and
gradients first. Batches are complete, dropout is off, so that both must give the same.

    python benchmarks/peers/pse.py --threads 2 --seconds 4
    python benchmarks/peers/pse.py --networks pse_ltae --device cuda --parcels 1024
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.models import create
from cropflow.models.batch import Batch, Series
from cropflow.models.network import Network

PARCELS, PIXELS, CLASSES = 128, 64, 20
COMPARED = 16
RADAR, OPTICAL = "sentinel1_descending", "sentinel2"


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def decoder(inputs: int) -> nn.Sequential:
    """Three layers to scores."""
    return nn.Sequential(mlp(inputs, 64, 32), nn.Linear(32, CLASSES))


def waves(dates: Tensor, channels: int) -> Tensor:
    """Sine and cosine of the dates, ``(B, T, channels)``."""
    place = torch.arange(channels, device=dates.device)
    angle = dates.float().unsqueeze(2) / 1000.0 ** (2.0 * (place // 2) / channels)
    return torch.where(place % 2 == 0, angle.sin(), angle.cos())


class PixelSets(nn.Module):
    """Layers over every pixel on every date, masked mean and standard deviation, one more layer."""

    def __init__(self, bands: int, features: int) -> None:
        super().__init__()
        self.pixels = mlp(bands, 32, 64)
        self.after = nn.Sequential(nn.Linear(128 + features, 128), nn.BatchNorm1d(128))

    def forward(self, values: Tensor, mask: Tensor, features: Tensor | None) -> Tensor:
        """Embed ``(B, T, C, S)`` with a mask ``(B, T, S)``."""
        batch, dates, bands, slots = values.shape
        rows = values.transpose(2, 3).reshape(-1, bands)
        found = self.pixels(rows).view(batch * dates, slots, -1)
        there = mask.view(batch * dates, slots, 1)
        count = there.sum(1)
        mean = (found * there).sum(1) / count
        squares = ((found - mean.unsqueeze(1)) * there).square().sum(1)
        parts = [mean, torch.sqrt(squares / (count - 1).clamp(min=1) + 1e-31)]
        if features is not None:
            parts.append(features.unsqueeze(1).expand(batch, dates, -1).reshape(batch * dates, -1))
        embedded: Tensor = self.after(torch.cat(parts, 1))
        return embedded.view(batch, dates, -1)


class LightAttention(nn.Module):
    """L-TAE: keys of every date, learnt queries, channels dealt to the heads."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(16, 8))
        self.enter_norm = nn.LayerNorm(128)
        self.enter = nn.Linear(128, 256)
        self.key = nn.Linear(256, 128)
        self.leave = mlp(256, 128)
        self.leave_norm = nn.LayerNorm(128)

    def forward(self, frames: Tensor, days: Tensor, mask: Tensor) -> Tensor:
        """Embed ``(B, T, 128)``."""
        batch, dates, _ = frames.shape
        entered = functional.layer_norm(self.enter(self.enter_norm(frames)), (256,))
        entered = entered + waves(days, 16).repeat(1, 1, 16)
        keys = self.key(entered).view(batch, dates, 16, 8).permute(0, 2, 3, 1)
        weights = (self.query.view(1, 16, 1, 8) @ keys / 8**0.5).squeeze(2)
        weights = weights.masked_fill(~mask.unsqueeze(1), -1e3).softmax(2)
        values = entered.view(batch, dates, 16, 16).transpose(1, 2)
        found = (weights.unsqueeze(2) @ values).reshape(batch, 256)
        left: Tensor = self.leave_norm(self.leave(found))
        return left


class Attention(nn.Module):
    """TAE: queries and keys of every date, each head sees all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.enter_norm = nn.LayerNorm(128)
        self.mean_query = nn.Linear(128, 128)
        self.key = nn.Linear(128, 128)
        self.query = nn.Sequential(nn.BatchNorm1d(128), nn.Linear(128, 128))
        self.leave = mlp(512, 128, 128)
        self.leave_norm = nn.LayerNorm(128)

    def forward(self, frames: Tensor, days: Tensor, mask: Tensor) -> Tensor:
        """Embed ``(B, T, 128)``."""
        batch, dates, _ = frames.shape
        entered = self.enter_norm(frames) + waves(days, 128)
        query = self.query(self.mean_query(entered).mean(1)).view(batch, 4, 1, 32)
        keys = self.key(entered).view(batch, dates, 4, 32).permute(0, 2, 3, 1)
        weights = (query @ keys / 32**0.5).squeeze(2).masked_fill(~mask.unsqueeze(1), -1e3).softmax(2)
        left: Tensor = self.leave_norm(self.leave((weights @ entered).view(batch, 512)))
        return left


class Parcels(nn.Module):
    """Pixel sets and attention of each sensor, and a decoder of their embeddings side by side, or of each."""

    def __init__(self, bands: Sequence[int], attention: type[nn.Module], features: int, *, average: bool) -> None:
        super().__init__()
        self.sets = nn.ModuleList(PixelSets(count, features) for count in bands)
        self.attention = nn.ModuleList(attention() for _ in bands)
        self.average = average
        self.decoder = decoder(128 if average else 128 * len(bands))

    def forward(self, batch: Batch) -> Tensor:
        """Score a batch."""
        found = []
        for sets, attention, series in zip(self.sets, self.attention, batch.series.values(), strict=True):
            mask = series.valid
            dates = sets(series.values, mask.float(), batch.features)
            found.append(attention(dates, series.dates, mask.any(2)))
        if not self.average:
            scores: Tensor = self.decoder(torch.cat(found, 1))
            return scores
        logarithms = [self.decoder(each).log_softmax(1) for each in found]
        return torch.stack(logarithms).logsumexp(0) - torch.tensor(len(found)).log()


@dataclass(frozen=True)
class Pair:
    """A network of ours and the published layers, both of a batch.

    Attributes:
        ours: Takes a :class:`Batch`.
        plain: The published layers.
        batch: A complete batch with targets.
    """

    ours: Network
    plain: nn.Module
    batch: Batch


def batch_of_parcels(bands: Mapping[str, int], dates: Mapping[str, int], parcels: int, features: int = 0) -> Batch:
    """Parcels of noise, of which every pixel is seen on every date."""

    def series(sensor: str) -> Series:
        shape = (parcels, dates[sensor])
        days = torch.arange(dates[sensor], dtype=torch.int32) * (365 // dates[sensor])
        values = torch.randn(*shape, bands[sensor], PIXELS)
        return Series(values, days.expand(shape), torch.ones(*shape, PIXELS, dtype=torch.bool))

    shapes = torch.randn(parcels, features) if features else None
    return Batch({sensor: series(sensor) for sensor in bands}, torch.randint(CLASSES, (parcels,)), features=shapes)


def _pair(name: str, bands: dict[str, int], dates: dict[str, int], parcels: int, **settings: str) -> Pair:
    """A network with the published sizes."""
    light = name == "pse_ltae"
    features = 4 if light else 0
    ours = create(name, bands=bands, outputs=CLASSES, features=features, dropout=0.0, attention_dropout=0.0, **settings)
    average = settings.get("fusion") == "softmax_average"
    plain = Parcels(list(bands.values()), LightAttention if light else Attention, features, average=average)
    return Pair(ours, plain, batch_of_parcels(bands, dates, parcels, features))


PAIRS: dict[str, Callable[[int], Pair]] = {
    "pse_ltae": lambda parcels: _pair("pse_ltae", {OPTICAL: 10}, {OPTICAL: 36}, parcels),
    "pse_tsa": lambda parcels: _pair("pse_tsa", {OPTICAL: 10}, {OPTICAL: 27}, parcels),
    "pse_tsa:tsa": lambda parcels: _pair(
        "pse_tsa", {RADAR: 2, OPTICAL: 10}, {RADAR: 75, OPTICAL: 27}, parcels, fusion="tsa"
    ),
    "pse_tsa:softmax_average": lambda parcels: _pair(
        "pse_tsa", {RADAR: 2, OPTICAL: 10}, {RADAR: 75, OPTICAL: 27}, parcels, fusion="softmax_average"
    ),
}


def make(name: str, parcels: int = PARCELS, device: str = "cpu") -> Pair:
    """A pair with the same weights, whose scores and gradients were compared.

    They are compared on a few parcels: over hundreds of thousands of pixels, sums in 32 bits of the published layers
    stray from those in 64 bits by some per cent of the smaller gradients.

    Raises:
        AssertionError: If they differ.
    """
    torch.manual_seed(0)
    found = PAIRS[name](parcels)
    pair = Pair(found.ours.to(device).train(), found.plain.to(device).train(), found.batch.to(device))
    with torch.no_grad():
        for own, other in zip(pair.ours.parameters(), pair.plain.parameters(), strict=True):
            other.copy_(own)
    if name.endswith("softmax_average"):
        # Ours normalises both sensors at once in the decoder that they share, the published layers one after the
        # other: with running statistics both do the same.
        pair.ours.eval(), pair.plain.eval()
    few = _first(pair.batch, COMPARED)
    torch.testing.assert_close(pair.ours(few), pair.plain(few), rtol=1e-3, atol=1e-3)
    step(pair.ours, few)(), step(pair.plain, few)()
    gradients = [
        (own.grad, other.grad) for own, other in zip(pair.ours.parameters(), pair.plain.parameters(), strict=True)
    ]
    # Of biases before a batch norm, gradients are 0 but for rounding.
    least = 5e-2 * max(float(other.abs().max()) for _, other in gradients)
    for own, other in gradients:
        scale = max(float(other.abs().max()), least)
        torch.testing.assert_close(own / scale, other / scale, rtol=0, atol=1e-2)
    pair.ours.train(), pair.plain.train()
    return pair


def _first(batch: Batch, count: int) -> Batch:
    def cut(_: str, one: Series) -> Series:
        return Series(one.values[:count], one.dates[:count], one.valid[:count])

    assert batch.target is not None
    features = None if batch.features is None else batch.features[:count]
    return Batch(batch.with_series(cut).series, batch.target[:count], features=features)


def step(module: nn.Module, batch: Batch) -> Callable[[], float]:
    """Forward and backward."""

    def run() -> float:
        module.zero_grad(set_to_none=True)
        assert batch.target is not None
        loss = functional.cross_entropy(module(batch), batch.target)
        loss.backward()
        return float(loss.detach())

    return run


def main() -> None:
    """Time all pairs in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(PAIRS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="time for each of the two")
    parser.add_argument("--parcels", type=int, default=PARCELS)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'network':26}{'ours/s':>10}{'plain/s':>10}{'ratio':>8}   quartiles of the ratio")
    for name in arguments.networks:
        pair = make(name, arguments.parcels, arguments.device)
        runs = [step(module, pair.batch) for module in (pair.ours, pair.plain)]
        times: list[list[float]] = []
        start = time.perf_counter()
        while time.perf_counter() - start < 2 * arguments.seconds or len(times) < 5:
            times.append([])
            for run in runs:
                begin = time.perf_counter()
                run()
                times[-1].append(time.perf_counter() - begin)
        own, other = (statistics.median(column) for column in zip(*times, strict=True))
        low, _, high = statistics.quantiles([plain / ours for ours, plain in times], n=4)
        rates = f"{arguments.parcels / own:10.0f}{arguments.parcels / other:10.0f}"
        print(f"{name:26}{rates}{other / own:8.2f}   {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
