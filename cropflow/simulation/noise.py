"""Random numbers whose source has a name, and smooth random fields that know their place on the ground."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


def generator(seed: int, *names: object) -> np.random.Generator:
    """The generator of one source of randomness.

    Each source has its own stream, so that switching one source off leaves the draws of all others as they were.

    Args:
        seed: Seed of the simulation.
        names: What is drawn, for which landscape, season or date.
    """
    return np.random.default_rng([seed, *(zlib.crc32(str(name).encode()) for name in names)])


def logistic(x: NDArray[Any]) -> Float32:
    """The logistic function, safe for any argument."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x), np.float32)


def normal_quantile(p: float) -> float:
    """The standard normal quantile; 0 and 1 give -inf and inf."""
    from scipy.special import ndtri

    return float(ndtri(p))


@dataclass(frozen=True)
class Octave:
    """One scale of a smooth field: standard normal values on a coarse lattice.

    Attributes:
        spacing_m: Distance of lattice points, metres.
        weight: Standard deviation of this scale in the field.
        values: ``(y, x)`` lattice, float32, the first point at ``origin_m``.
    """

    spacing_m: float
    weight: float
    values: Float32


@dataclass(frozen=True)
class SmoothField:
    """A Gaussian field with zero mean and unit variance on a plane, evaluated wherever it is asked for.

    Attributes:
        reach_m: The field is defined from ``-reach_m`` to the extent plus ``reach_m`` in x and y.
        octaves: Its scales, from long to short.
    """

    reach_m: float
    octaves: tuple[Octave, ...]

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        extent_m: float,
        wavelengths_m: Sequence[float],
        *,
        exponent: float = 0.0,
        reach_m: float = 0.0,
    ) -> SmoothField:
        """Draw a field.

        Args:
            rng: Source of the values.
            extent_m: Side of the square on which the field is needed, metres.
            wavelengths_m: Lattice spacings, metres.
            exponent: Amplitude grows with wavelength to this power (0: all scales alike).
            reach_m: How far beyond the square the field is needed, metres.
        """
        amplitudes = np.asarray(wavelengths_m, float) ** exponent
        amplitudes /= math.sqrt(float((amplitudes**2).sum()))
        octaves = []
        for spacing, amplitude in zip(wavelengths_m, amplitudes, strict=True):
            # Two lattice points beyond either edge carry the cubic splines.
            count = math.ceil((extent_m + 2 * reach_m) / spacing) + 5
            octaves.append(Octave(spacing, float(amplitude), rng.standard_normal((count, count), np.float32)))
        return cls(reach_m, tuple(octaves))

    def at(self, y_m: NDArray[Any], x_m: NDArray[Any]) -> Float32:
        """Values on the grid of all pairs of ``y_m`` and ``x_m``, metres from the square's corner.

        Returns:
            ``(y, x)`` float32, mean 0 and variance close to 1 over many draws.
        """
        total = np.zeros((len(y_m), len(x_m)), np.float32)
        for octave in self.octaves:
            down = _weights(y_m + self.reach_m, octave.spacing_m, octave.values.shape[0])
            across = _weights(x_m + self.reach_m, octave.spacing_m, octave.values.shape[1])
            total += octave.weight * (down @ octave.values @ across.T)
        return total


def _weights(position_m: NDArray[Any], spacing_m: float, count: int) -> Float32:
    """Cubic B-spline weights of each position on a lattice, scaled to unit variance: ``(position, lattice)``."""
    position = np.clip(np.asarray(position_m, float) / spacing_m + 1.5, 1.0, count - 2.001)
    first = np.floor(position).astype(int) - 1
    t = position - np.floor(position)
    basis = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    basis /= np.sqrt((basis**2).sum(axis=1, keepdims=True))
    weights = np.zeros((len(position), count), np.float32)
    rows = np.arange(len(position))
    for offset in range(4):
        weights[rows, first + offset] = basis[:, offset]
    return weights
