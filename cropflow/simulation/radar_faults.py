"""What goes wrong with Sentinel-1 scenes: noise along a swath edge, and a scene whose integers overflowed.

Passes that are missing altogether are left out by :func:`cropflow.simulation.acquisitions.sentinel1_passes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cropflow.config.simulation import Difficulty
from cropflow.regions.grid import Grid
from cropflow.simulation.acquisitions import RadarPass
from cropflow.simulation.noise import generator
from cropflow.simulation.parameters import number, numbers

Float32 = NDArray[np.float32]
Fault = Literal["border_noise", "int16_overflow"]
# Power that was exactly zero, as the archive stores it: the floor of the conversion to decibel.
ZERO_DB = -60.0


@dataclass(frozen=True)
class RadarFaults:
    """The faults of a landscape's passes, drawn apart from all else: without them the scenes are the same.

    Attributes:
        seed: Seed of the simulation.
        landscape: Name of the landscape.
        difficulty: Knobs ``border_noise`` and ``overflow``.
    """

    seed: int
    landscape: str
    difficulty: Difficulty

    def find(self, passes: Sequence[RadarPass]) -> Mapping[int, Fault]:
        """Which of the passes of a season are faulty, by their position; no pass has two faults.

        Args:
            passes: All passes of one season, in order of time.
        """
        found: dict[int, Fault] = {}
        for index, one in enumerate(passes):
            if self._rng(one).random() < self.difficulty.border_noise * number("sentinel1.border"):
                found[index] = "border_noise"
        whole = [index for index in range(len(passes)) if index not in found]
        count = min(round(self.difficulty.overflow * number("sentinel1.overflow")), len(whole))
        if count:
            season = passes[0].season
            rng = generator(self.seed, "radar overflow", self.landscape, season)
            found.update((int(index), "int16_overflow") for index in rng.permutation(whole)[:count])
        return found

    def apply(self, fault: Fault, one: RadarPass, sigma0: Float32, grid: Grid) -> Float32:
        """Spoil a polarisation of a pass.

        Args:
            fault: What is wrong with it.
            one: The pass.
            sigma0: dB, float32 ``(y, x)``.
            grid: Grid of the landscape.

        Returns:
            dB, float32 ``(y, x)``; NaN beyond the swath edge.
        """
        return overflow(sigma0) if fault == "int16_overflow" else self._border(one, sigma0, grid)

    def _border(self, one: RadarPass, sigma0: Float32, grid: Grid) -> Float32:
        """A swath edge runs through the landscape: a strip of very low or zero power, and nothing beyond it."""
        rng = self._rng(one)
        rng.random()  # the draw that made the pass faulty
        part, right = rng.uniform(0.1, 0.5), rng.random() < 0.5
        narrow, wide = numbers("sentinel1.border_width")
        width = rng.uniform(narrow, wide) / grid.pixel_m
        slant = np.tan(np.radians(12.0)) * (np.arange(grid.height)[:, None] - grid.height / 2)
        column = np.arange(grid.width)[None, :] + (slant if one.direction == "descending" else -slant)
        # Pixels from the edge into the swath; negative beyond it.
        inside = grid.width * (1 - part) - column if right else column - grid.width * part
        low, high = numbers("sentinel1.border_level")
        level = rng.uniform(low, high, sigma0.shape)
        level[rng.random(sigma0.shape) < number("sentinel1.border_zero")] = ZERO_DB
        # Noise fades into the image: low by the full depth at the edge, by nothing where the strip ends.
        noisy = (inside >= 0) & (rng.random(sigma0.shape) > inside / width)
        spoilt = np.where(noisy, np.rint(level * 64) / 64, sigma0)
        spoilt[inside < 0] = np.nan
        return np.asarray(spoilt, np.float32)

    def _rng(self, one: RadarPass) -> np.random.Generator:
        return generator(self.seed, "radar border", self.landscape, one.time.isoformat())


def overflow(sigma0: Float32) -> Float32:
    """Send dB through 16-bit integers that are too small for them: values wrap around and look like numbers.

    Args:
        sigma0: dB, finite.

    Returns:
        dB in the range that ``int16 / sentinel1.overflow_scale`` holds, float32, the shape of ``sigma0``.
    """
    scale = number("sentinel1.overflow_scale")
    wrapped = np.rint(sigma0.astype(np.float64) * scale).astype(np.int64).astype(np.int16)
    return np.asarray(wrapped / scale, np.float32)
