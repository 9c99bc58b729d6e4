"""A Sentinel-1 GRD scene of a landscape: sigma0 of VV and VH in dB, with speckle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cropflow.config.simulation import Difficulty
from cropflow.simulation.acquisitions import RadarPass
from cropflow.simulation.backscatter import OTHERS_DB, course
from cropflow.simulation.clouds import halve
from cropflow.simulation.noise import generator
from cropflow.simulation.parameters import number, numbers
from cropflow.simulation.phenology import by_crop
from cropflow.simulation.radar_faults import RadarFaults
from cropflow.simulation.surface import Land, Surface

Float32 = NDArray[np.float32]
POLARISATIONS = ("vv", "vh")
# Levels of the table are those of this incidence angle, the middle of the swath.
_REFERENCE_DEGREES = 38.0
# Stored in steps of 1/64 dB, far below speckle, so that the files compress.
_STEP = 64.0
_TABLE = 4096
_LIMIT = 5.0


@dataclass(frozen=True)
class Radar:
    """How the radar sees a landscape: everything that the passes of a season share."""

    seed: int
    land: Land
    surface: Surface
    difficulty: Difficulty

    def scenes(self, passes: list[RadarPass]) -> Iterator[tuple[RadarPass, dict[str, Float32]]]:
        """Render all passes of a season, faults included: sigma0 in dB, float32 ``(y, x)``, by polarisation.

        NaN lies beyond a swath edge; :class:`cropflow.simulation.radar_faults.RadarFaults` says which pass is faulty.
        """
        if not passes:
            return
        levels = self.levels(passes)
        faults = RadarFaults(self.seed, self.land.name, self.difficulty)
        found = faults.find(passes)
        for index, radar_pass in enumerate(passes):
            scene = {
                name: self._render(levels[position, :, index], radar_pass, name)
                for position, name in enumerate(POLARISATIONS)
            }
            if index in found:
                scene = {
                    name: faults.apply(found[index], radar_pass, layer, self.land.grid) for name, layer in scene.items()
                }
            yield radar_pass, scene

    def levels(self, passes: list[RadarPass]) -> Float32:
        """Sigma0 of every stand and of what is no parcel, dB, float32 ``(polarisation, row, pass)``."""
        surface, stands = self.surface, self.surface.stands
        dates = [radar_pass.time.date() for radar_pass in passes]
        days = surface.days(dates)
        normal = stands.traits.normal
        shift = surface.conditions.shift_days + number("phenology.parcel_shift") * normal["shift"]
        own = days[None, :] - shift[:, None] - (5 * normal["sowing"])[:, None]
        result = np.empty((2, len(stands.crops) + len(OTHERS_DB), len(dates)), np.float32)
        for crop, rows in by_crop(stands.crops).items():
            result[0, rows], result[1, rows] = course(crop, own[rows])
        result[0, len(stands.crops) :] = OTHERS_DB[:, :1]
        result[1, len(stands.crops) :] = OTHERS_DB[:, 1:]

        result[:, : len(stands.crops)] += self._parcel_effect(days)
        # Wet soil is seen where plants do not hide it; woodland and buildings hide all of it, water has none.
        green = surface.covers(dates).green
        seen = np.zeros(result.shape[1:], np.float32)
        seen[: len(stands.crops)] = 1 - number("moisture.canopy") * green
        seen[len(stands.crops)] = 0.5
        result += np.stack(surface.moisture.on(dates)[1:])[:, None, :] * seen
        result += self._geometry(passes)
        return result

    def _parcel_effect(self, days: Float32) -> Float32:
        """Lasting difference of each parcel from its crop, dB, ``(polarisation, stand, pass)``.

        Roughness, variety and density: the same for weeks, turning slowly, shared in part by VV and VH.
        """
        normal = self.surface.stands.traits.normal
        shared = np.sqrt(number("sentinel1.parcel_correlation"))
        own = np.sqrt(1 - number("sentinel1.parcel_correlation"))
        # The angle that turns a parcel's effect: it differs from parcel to parcel, one turn takes more than a year.
        angle = 2 * np.pi * days[None, :] / 500 + 1.5 * normal["radar_slow"][:, None]
        effects = []
        for name, other in (("radar_vv", "season"), ("radar_vh", "winter")):
            early = shared * normal["radar"] + own * normal[name]
            late = shared * normal["sward"] + own * normal[other]
            effects.append(np.cos(angle) * early[:, None] + np.sin(angle) * late[:, None])
        return np.asarray(number("sentinel1.parcel") * np.stack(effects), np.float32)

    def _geometry(self, passes: list[RadarPass]) -> Float32:
        """Effect of incidence angle and row direction, dB, ``(polarisation, row, pass)``."""
        rows = len(self.surface.stands.crops) + len(OTHERS_DB)
        power = np.array(numbers("sentinel1.incidence_power"))
        angle = np.cos(np.radians([radar_pass.incidence for radar_pass in passes]))
        relative = angle / np.cos(np.radians(_REFERENCE_DEGREES))
        fall = 10 * power[:, None, None] * np.log10(relative)[None, None, :]
        direction = np.zeros((rows, len(passes)))
        rng = generator(self.seed, "rows", self.land.name)
        looks = {name: rng.uniform(-1, 1, rows) for name in ("ascending", "descending")}
        for index, radar_pass in enumerate(passes):
            direction[:, index] = looks[radar_pass.direction]
        direction[len(self.surface.stands.crops) :] = 0
        direction *= number("sentinel1.row_direction")
        both = np.stack([direction, 0.4 * direction])
        return np.asarray(self.difficulty.orbits * (fall + both), np.float32)

    def _render(self, level_db: Float32, radar_pass: RadarPass, polarisation: str) -> Float32:
        """One polarisation of a pass: power averaged over each 10 m pixel, times speckle, in dB."""
        surface = self.surface
        count = len(surface.stands.crops)
        power = (10 ** (level_db / 10)).astype(np.float32)
        fine = np.take(power, np.where(surface.stand >= 0, surface.stand, count - 1 - surface.stand))
        height, width = self.land.grid.shape
        sigma0 = halve(fine, (height, width), (0, 0))
        rng = generator(self.seed, "speckle", self.land.name, radar_pass.time.isoformat(), polarisation)
        if self.difficulty.speckle > 0:
            sigma0 = sigma0 * speckle(rng, (height, width)) ** np.float32(self.difficulty.speckle)
        decibel = 10 * np.log10(np.maximum(sigma0, 1e-6))
        return np.asarray(np.rint(decibel * _STEP) / _STEP, np.float32)


def speckle(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Multiplicative speckle: gamma with the looks of the product, mean 1, correlated between neighbours.

    The resolution is about two pixels: white noise is smeared by the sensor's response, then its distribution is
    turned into the gamma distribution, which keeps the neighbourhood and makes the looks exact.
    """
    taps = [_response(resolution / 10.0) for resolution in numbers("sentinel1.resolution")]
    reach = max(tap.size for tap in taps) // 2
    noise = rng.standard_normal((shape[0] + 2 * reach, shape[1] + 2 * reach), np.float32)
    # Range runs roughly along the columns of the grid, azimuth along its rows.
    smooth = _smear(_smear(noise, taps[1], reach, 0), taps[0], reach, 1)
    index = np.clip((smooth + _LIMIT) * (_TABLE / (2 * _LIMIT)), 0, _TABLE - 1).astype(np.intp)
    return np.asarray(np.take(_gamma_table(), index))


def _response(resolution_pixels: float) -> Float32:
    """Impulse response of the sensor in power-preserving form: squares add to 1."""
    reach = 2
    sigma = resolution_pixels / 2.355 / np.sqrt(2)
    tap = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(tap / np.sqrt((tap**2).sum()), np.float32)


def _smear(noise: Float32, tap: Float32, reach: int, axis: int) -> Float32:
    size = noise.shape[axis] - 2 * reach
    total = np.zeros((size, noise.shape[1]) if axis == 0 else (noise.shape[0], size), np.float32)
    for offset, weight in enumerate(tap):
        part = slice(offset, offset + size)
        total += weight * (noise[part] if axis == 0 else noise[:, part])
    return total


@lru_cache(maxsize=1)
def _gamma_table() -> Float32:
    """Gamma quantile of each step of a standard normal, mean 1."""
    from scipy.special import gammaincinv, ndtr

    looks = number("sentinel1.looks")
    z = (np.arange(_TABLE) + 0.5) * (2 * _LIMIT / _TABLE) - _LIMIT
    return np.asarray(gammaincinv(looks, ndtr(z)) / looks, np.float32)
