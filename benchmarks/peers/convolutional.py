"""Networks of patches and chips as they were published, written plainly and without needless copies.

`PAIRS` holds, per network, a small configuration, ours, and the published layers with the same weights in the same
order of their names' registration (`twin` copies them). Both take a complete batch and must give the same scores.

    python benchmarks/peers/convolutional.py --threads 2 --seconds 4
    python benchmarks/peers/convolutional.py --threads 1 --clock cpu --networks utae conv_star
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from cropflow.models import create
from cropflow.models.batch import Batch, batch_of
from cropflow.models.network import Network


def double(inputs: int, outputs: int, bias: bool = True) -> nn.Sequential:
    """Two 3 x 3 convolutions with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=bias), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
    )  # fmt: skip


class TemporalUnet(nn.Module):
    """A 1-D convolution over the series of each pixel, maximum over time, U-Net with bilinear upsampling."""

    def __init__(self, bands: int, outputs: int, width: int, layers: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.temporal = nn.Sequential()
        for layer in range(layers):
            self.temporal.append(nn.Conv1d(width if layer else bands, width, 3, padding=1))
            self.temporal.extend([nn.BatchNorm1d(width), nn.ReLU(inplace=True)])
        self.stem = double(width, widths[0])
        self.down = nn.ModuleList(double(fine, coarse) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList()
        channels = widths[-1]
        for level in range(len(widths) - 2, -1, -1):
            joined, channels = widths[level] + channels, widths[max(level - 1, 0)]
            self.up.append(double(joined, channels))
        self.head = nn.Conv2d(channels, outputs, 1)

    def forward(self, series: Tensor) -> Tensor:
        """Score ``(B, T, C, H, W)``."""
        batch, periods, bands, height, width = series.shape
        pixels = series.permute(0, 3, 4, 2, 1).reshape(-1, bands, periods)
        pooled = self.temporal(pixels).max(2).values
        features = pooled.view(batch, height, width, -1).permute(0, 3, 1, 2).contiguous()
        skips = [self.stem(features)]
        for block in self.down:
            skips.append(block(functional.max_pool2d(skips[-1], 2)))
        joined = skips.pop()
        for block in self.up:
            joined = functional.interpolate(joined, scale_factor=2, mode="bilinear", align_corners=True)
            joined = block(torch.cat([skips.pop(), joined], 1))
        scores: Tensor = self.head(joined)
        return scores


class SiameseBranch(nn.Module):
    """3-D convolutions that collapse time, and a U-Net with transposed convolutions."""

    def __init__(self, bands: int, periods: int, width: int, halvings: int) -> None:
        super().__init__()
        half, widths = width // 2, [width << level for level in range(halvings + 1)]
        self.blend = nn.Sequential(nn.Conv3d(bands, half, 3, padding=1), nn.BatchNorm3d(half))
        self.collapse = nn.Sequential(nn.Conv3d(half, half, (periods, 1, 1)), nn.BatchNorm3d(half))
        self.stem = double(half, widths[0], bias=False)
        self.down = nn.ModuleList(double(fine, coarse, bias=False) for fine, coarse in pairwise(widths))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(c, f, 2, 2) for c, f in pairwise(reversed(widths)))
        self.up = nn.ModuleList(double(2 * fine, fine, bias=False) for _, fine in pairwise(reversed(widths)))

    def forward(self, series: Tensor) -> Tensor:
        """Features of ``(B, C, T, H, W)``."""
        features = functional.relu_(self.collapse(functional.relu_(self.blend(series)))).squeeze(2)
        skips = [self.stem(features)]
        for block in self.down:
            skips.append(block(functional.max_pool2d(skips[-1], 2)))
        joined: Tensor = skips.pop()
        for enlarge, block in zip(self.enlarge, self.up, strict=True):
            joined = block(torch.cat([skips.pop(), enlarge(joined)], 1))
        return joined


class Siamese(nn.Module):
    """Two branches and a 1 x 1 convolution."""

    def __init__(self, bands: Sequence[int], outputs: int, periods: int, width: int, halvings: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(SiameseBranch(count, periods, width, halvings) for count in bands)
        self.head = nn.Conv2d(width * len(bands), outputs, 1)

    def forward(self, *series: Tensor) -> Tensor:
        """Score ``(B, T, C, H, W)`` of each sensor."""
        found = [branch(one.transpose(1, 2)) for branch, one in zip(self.branches, series, strict=True)]
        scores: Tensor = self.head(torch.cat(found, 1))
        return scores


class ConvLstm(nn.Module):
    """Layer by layer within each date; gates from one convolution of input and state."""

    def __init__(self, bands: int, outputs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.hidden = tuple(hidden)
        channels = (bands, *hidden)
        self.cells = nn.ModuleList(
            nn.Conv2d(below + own, 4 * own, 3, padding=1) for below, own in zip(channels, hidden, strict=False)
        )
        self.head = nn.Linear(hidden[-1], outputs)

    def forward(self, series: Tensor) -> Tensor:
        """Score ``(B, T, C, H, W)``."""
        states = [series.new_zeros(len(series), own, *series.shape[3:]) for own in self.hidden]
        memories = list(states)
        for values in series.unbind(1):
            for layer, cell in enumerate(self.cells):
                gates = cell(torch.cat([values, states[layer]], 1))
                take, keep, show, new = gates.chunk(4, 1)
                memories[layer] = keep.sigmoid() * memories[layer] + take.sigmoid() * new.tanh()
                values = states[layer] = show.sigmoid() * memories[layer].tanh()
        scores: Tensor = self.head(states[-1].mean((2, 3)))
        return scores


class ConvStar(nn.Module):
    """Layer by layer within each date, heads on the last states, refinement of their scores."""

    def __init__(self, bands: int, groups: Sequence[int], hidden: int, layers: int, width: int) -> None:
        super().__init__()
        self.layers, self.hidden = layers, hidden
        self.taps = [(level + 1) * layers // len(groups) - 1 for level in range(len(groups))]
        self.cells = nn.ModuleList()
        for layer in range(layers):
            below = hidden if layer else bands
            self.cells.append(nn.Conv2d(below + hidden, hidden, 3, padding=1))
            self.cells.append(nn.Conv2d(below, hidden, 3, padding=1))
        self.heads = nn.ModuleList(nn.Conv2d(hidden, count, 3, padding=1) for count in groups)
        self.enter = nn.Sequential(nn.Conv2d(sum(groups), width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.first = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate", bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate", bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.leave = nn.Conv2d(width, groups[-1], 1, bias=False)

    def forward(self, series: Tensor) -> Tensor:
        """Refined scores of ``(B, T, C, H, W)``."""
        states = [series.new_zeros(len(series), self.hidden, *series.shape[3:])] * self.layers
        for values in series.unbind(1):
            for layer, state in enumerate(states):
                gate = self.cells[2 * layer](torch.cat([values, state], 1)).sigmoid()
                values = states[layer] = gate * state + (1 - gate) * self.cells[2 * layer + 1](values).tanh()
        levels = [head(states[tap]) for head, tap in zip(self.heads, self.taps, strict=True)]
        entered = self.enter(torch.cat(levels, 1))
        found = functional.relu(self.first_norm(self.first(entered)))
        found = functional.relu(self.second_norm(self.second(found)) + entered)
        refined: Tensor = self.leave(found) + levels[-1]
        return refined


def group_layer(inputs: int, outputs: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution with group norm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel_size, stride, padding=1, padding_mode="reflect")
    return nn.Sequential(convolution, nn.GroupNorm(4, outputs), nn.ReLU())


def batch_layer(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution with batch norm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Attention(nn.Module):
    """L-TAE per pixel: sequences as rows, keys and values per head."""

    def __init__(self, inputs: int, heads: int, keys: int, width: int) -> None:
        super().__init__()
        self.heads, self.keys, self.width = heads, keys, width
        self.query = nn.Parameter(torch.zeros(heads, keys))
        self.key = nn.Linear(width, heads * keys)
        self.enter_norm = nn.GroupNorm(heads, inputs)
        self.enter = nn.Conv1d(inputs, width, 1)
        self.leave = nn.Sequential(nn.Linear(width, inputs), nn.BatchNorm1d(inputs), nn.ReLU())
        self.leave_norm = nn.GroupNorm(heads, inputs)

    def forward(self, maps: Tensor, days: Tensor) -> tuple[Tensor, Tensor]:
        """The map and the weights ``(head, B, T, h, w)`` of ``(B, T, C, h, w)``."""
        batch, dates, channels, height, width = maps.shape
        pixels = maps.permute(0, 3, 4, 2, 1).reshape(-1, channels, dates)
        entered = self.enter(self.enter_norm(pixels)).transpose(1, 2)
        own = self.width // self.heads
        place = torch.arange(own, device=days.device)
        angle = days.float().unsqueeze(2) / 1000.0 ** (2.0 * (place // 2) / own)
        waves = torch.where(place % 2 == 0, angle.sin(), angle.cos()).repeat(1, 1, self.heads)
        entered = entered + waves.repeat_interleave(height * width, 0)
        keys = self.key(entered).view(-1, dates, self.heads, self.keys).permute(2, 0, 3, 1)
        weights = (self.query[:, None, None] @ keys / self.keys**0.5).softmax(-1)
        values = entered.view(-1, dates, self.heads, own).permute(2, 0, 1, 3)
        found = (weights @ values).squeeze(2).transpose(0, 1).reshape(-1, self.width)
        left = self.leave_norm(self.leave(found)).view(batch, height, width, channels).permute(0, 3, 1, 2)
        return left, weights.view(self.heads, batch, height, width, dates).permute(0, 1, 4, 2, 3)


class Down(nn.Module):
    """Half the resolution and two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.halve = group_layer(inputs, inputs, 4, 2)
        self.first = group_layer(inputs, outputs)
        self.second = group_layer(outputs, outputs)

    def forward(self, frames: Tensor) -> Tensor:
        """Encode frames."""
        found: Tensor = self.first(self.halve(frames))
        return found + self.second(found)


class Up(nn.Module):
    """Twice the resolution, a skipped map, two convolutions."""

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.skip = nn.Sequential(nn.Conv2d(skipped, skipped, 1), nn.BatchNorm2d(skipped), nn.ReLU())
        self.enlarge = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
        )
        self.first = batch_layer(outputs + skipped, outputs)
        self.second = batch_layer(outputs, outputs)

    def forward(self, coarse: Tensor, skipped: Tensor) -> Tensor:
        """Decode a coarse map beside a skipped one."""
        found: Tensor = self.first(torch.cat([self.enlarge(coarse), self.skip(skipped)], 1))
        return found + self.second(found)


class Utae(nn.Module):
    """U-TAE without the batch norm and ReLU of its scores."""

    def __init__(
        self,
        bands: int,
        outputs: int,
        encoder: Sequence[int],
        decoder: Sequence[int],
        heads: int,
        keys: int,
        width: int,
    ) -> None:
        super().__init__()
        self.enter = nn.Sequential(group_layer(bands, encoder[0]), group_layer(encoder[0], encoder[0]))
        self.down = nn.ModuleList(Down(fine, coarse) for fine, coarse in pairwise(encoder))
        self.attention = Attention(encoder[-1], heads, keys, width)
        self.up = nn.ModuleList(
            Up(decoder[level], encoder[level - 1], decoder[level - 1]) for level in range(len(decoder) - 1, 0, -1)
        )
        self.leave = batch_layer(decoder[0], decoder[0])
        self.head = nn.Conv2d(decoder[0], outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, series: Tensor, days: Tensor) -> Tensor:
        """Score ``(B, T, C, H, W)``."""
        shape = series.shape[:2]
        maps = [self.enter(series.flatten(0, 1))]
        for down in self.down:
            maps.append(down(maps[-1]))
        found, weights = self.attention(maps.pop().unflatten(0, shape), days)
        heads = len(weights)
        for up in self.up:
            fine = maps.pop().unflatten(0, shape)
            mask = functional.interpolate(weights.flatten(0, 1), fine.shape[-2:], mode="bilinear", align_corners=False)
            mask = mask.view(heads, *shape, 1, *fine.shape[-2:])
            grouped = torch.stack(fine.chunk(heads, 2))
            skipped = (mask * grouped).sum(2)
            found = up(found, torch.cat(list(skipped), 1))
        scores: Tensor = self.head(self.leave(found))
        return scores


@dataclass(frozen=True)
class Pair:
    """A network of ours, the same as published, and how the latter takes a batch.

    Attributes:
        ours: Takes a :class:`Batch`.
        plain: The published layers, with the same weights.
        arguments: What the published layers take of a batch.
        batch: A complete batch with targets.
    """

    ours: Network
    plain: nn.Module
    arguments: Callable[[Batch], Sequence[Tensor]]
    batch: Batch


def twin(ours: nn.Module, plain: nn.Module) -> None:
    """Give the published layers our weights; they lie in the same order, the shapes up to axes of length one."""
    with torch.no_grad():
        for own, other in zip(ours.parameters(), plain.parameters(), strict=True):
            other.copy_(own.view(other.shape))


def _only(batch: Batch) -> Sequence[Tensor]:
    return (batch.only().values,)


def temporal_unet() -> Pair:
    """Narrow: temporal width 32, U-Net 16 and 32; 32 squares of 16 pixels, 12 months, 10 bands."""
    ours = create("temporal_unet", bands=10, outputs=20, temporal_width=32, widths=(16, 32), dropout=0.0)
    batch = batch_of(torch.randn(32, 12, 10, 16, 16), target=torch.randint(20, (32, 16, 16)))
    return Pair(ours, TemporalUnet(10, 20, 32, 2, (16, 32)), _only, batch)


def siamese_unet3d() -> Pair:
    """Width 8; 4 patches of 64 pixels, 6 months, 2 and 10 bands."""
    bands = {"sentinel1_ascending": 2, "sentinel2": 10}
    ours = create("siamese_unet3d", bands=bands, outputs=21, periods=6, width=8)
    values = {sensor: torch.randn(4, 6, count, 64, 64) for sensor, count in bands.items()}
    batch = batch_of(values, target=torch.randint(21, (4, 64, 64)))
    plain = Siamese((2, 10), 21, 6, 8, 4)
    return Pair(ours, plain, lambda one: [series.values for series in one.series.values()], batch)


def conv_lstm() -> Pair:
    """As published; 4 chips of 65 pixels, 4 months, 5 bands."""
    ours = create("conv_lstm", bands=5, outputs=10)
    batch = batch_of(torch.randn(4, 4, 5, 65, 65), target=torch.randint(10, (4,)))
    return Pair(ours, ConvLstm(5, 10, (64, 128)), _only, batch)


def conv_star() -> Pair:
    """As published; 4 patches of 24 pixels, 8 dates, 4 bands."""
    levels = (tuple(place % 6 for place in range(52)), tuple(place % 20 for place in range(52)))
    ours = create("conv_star", bands=4, outputs=52, levels=levels, dropout=0.0)
    batch = batch_of(torch.randn(4, 8, 4, 24, 24), target=torch.randint(52, (4, 24, 24)))
    return Pair(ours, ConvStar(4, (6, 20, 52), 64, 6, 128), _only, batch)


def utae() -> Pair:
    """As published for PASTIS; 2 patches of 32 pixels, 10 dates, 10 bands."""
    ours = create("utae", bands=10, outputs=20, dropout=0.0, attention_dropout=0.0)
    batch = batch_of(torch.randn(2, 10, 10, 32, 32), target=torch.randint(20, (2, 32, 32)))
    plain = Utae(10, 20, (64, 64, 64, 128), (32, 32, 64, 128), 16, 4, 256)
    return Pair(ours, plain, lambda one: (one.only().values, one.only().dates), batch)


PAIRS: dict[str, Callable[[], Pair]] = {
    "temporal_unet": temporal_unet,
    "siamese_unet3d": siamese_unet3d,
    "conv_lstm": conv_lstm,
    "conv_star": conv_star,
    "utae": utae,
}


def make(name: str) -> Pair:
    """A pair with the same weights, whose scores and gradients were compared.

    Raises:
        AssertionError: If they differ.
    """
    torch.manual_seed(0)
    pair = PAIRS[name]()
    twin(pair.ours, pair.plain)
    for module in (pair.ours, pair.plain):
        module.train()
    _compare(pair)
    return pair


def _compare(pair: Pair) -> None:
    """Scores and gradients of both in float64: in float32, norms over thousands of pixels round them apart."""
    ours, plain = deepcopy(pair.ours).double(), deepcopy(pair.plain).double()
    batch = pair.batch.with_series(lambda _, series: replace(series, values=series.values.double()))
    assert batch.target is not None
    arguments = (value.double() if value.is_floating_point() else value for value in pair.arguments(batch))
    scores = ours(batch), plain(*arguments)
    torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-4)
    for found in scores:
        functional.cross_entropy(found, batch.target).backward()
    for own, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert own.grad is not None
        assert other.grad is not None
        scale = own.grad.abs().max().clamp(min=1e-8)
        torch.testing.assert_close(other.grad.view(own.shape) / scale, own.grad / scale, rtol=0, atol=1e-3)


def step_ours(pair: Pair) -> Callable[[], float]:
    """Forward and backward of ours."""
    return _step(pair.ours, lambda: pair.ours(pair.batch), pair.batch.target)


def step_plain(pair: Pair) -> Callable[[], float]:
    """Forward and backward of the published layers."""
    arguments = pair.arguments(pair.batch)
    return _step(pair.plain, lambda: pair.plain(*arguments), pair.batch.target)


def _step(module: nn.Module, forward: Callable[[], Tensor], target: Tensor | None) -> Callable[[], float]:
    assert target is not None

    def step() -> float:
        module.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(forward(), target)
        loss.backward()
        return float(loss.detach())

    return step


def main() -> None:
    """Time all pairs in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(PAIRS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="Time for each of the two.")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: where others use the cores too.")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    print(f"{'network':16}{'ours/s':>10}{'plain/s':>10}{'ratio':>8}   spread of the ratio")
    for name in arguments.networks:
        pair = make(name)
        ours, plain = step_ours(pair), step_plain(pair)
        times: list[tuple[float, float]] = []
        start = time.perf_counter()
        while time.perf_counter() - start < 2 * arguments.seconds or len(times) < 5:
            marks = [clock()]
            for step in (ours, plain):
                step()
                marks.append(clock())
            times.append((marks[1] - marks[0], marks[2] - marks[1]))
        own, other = (statistics.median(column) for column in zip(*times, strict=True))
        low, _, high = statistics.quantiles([b / a for a, b in times], n=4)
        count = len(pair.batch)
        print(f"{name:16}{count / own:10.1f}{count / other:10.1f}{other / own:8.2f}   {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
