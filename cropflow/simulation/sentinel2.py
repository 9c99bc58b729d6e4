"""A Sentinel-2 L2A scene of a landscape: ten bands and the scene classification, as a product stores them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cropflow.config.imagery import BANDS_10M, SENTINEL2_BANDS
from cropflow.config.simulation import Difficulty
from cropflow.regions.grid import Grid
from cropflow.simulation.acquisitions import Acquisition, Product
from cropflow.simulation.clouds import Sky, cloudless_share, draw_sky, halve
from cropflow.simulation.noise import SmoothField, generator
from cropflow.simulation.parameters import number, numbers
from cropflow.simulation.resampling import Resampler, resampler
from cropflow.simulation.scene_classes import NODATA, classify
from cropflow.simulation.spectra import CLOUD, VEIL, aerosol_bias, orbit_factor, shadow_loss
from cropflow.simulation.surface import Land, Surface, reflectances

Float32 = NDArray[np.float32]
NEW_GEOMETRY = datetime.date(2021, 4, 1)
# 95 % of the length of a two-dimensional Gaussian lies within this many standard deviations.
_WITHIN_95 = 2.4477
_BATCH = 12


@dataclass(frozen=True)
class Scene:
    """One acquisition before it is stored.

    Attributes:
        acquisition: When and how.
        reflectance: Band -> reflectance, float32 ``(y, x)`` at 10 m or 20 m; may lie below 0.
        classes: Scene classification at 20 m, uint8.
        valid: Inside the swath, bool at 10 m; ``valid_20m`` at 20 m.
        valid_20m: See ``valid``.
    """

    acquisition: Acquisition
    reflectance: dict[str, Float32]
    classes: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    valid_20m: NDArray[np.bool_]

    def stored(self, band: str, product: Product) -> NDArray[np.uint16]:
        """Digital numbers of a band in a product: reflectance x 10000 plus its offset, at least 1; 0 = nodata."""
        values = self.reflectance[band]
        numbers_: NDArray[np.uint16] = np.clip(np.rint(values * 10_000) + product.offset, 1, 65_535).astype(np.uint16)
        numbers_[~(self.valid if band in BANDS_10M else self.valid_20m)] = 0
        return numbers_


def grid_20m(grid: Grid) -> Grid:
    """The grid of the 20 m bands: whole multiples of 20 m that cover the 10 m grid."""
    return grid.coarsened(2)


def offset_20m(grid: Grid) -> tuple[int, int]:
    """Row and column of the 10 m grid at which the 20 m grid begins, 0 or -1 each."""
    coarse = grid_20m(grid)
    return round((grid.ymax - coarse.ymax) / grid.pixel_m), round((coarse.xmin - grid.xmin) / grid.pixel_m)


@dataclass(frozen=True)
class Optics:
    """How a landscape is seen: everything that the scenes of a season share."""

    seed: int
    land: Land
    surface: Surface
    difficulty: Difficulty

    def sky(self, acquisition: Acquisition, rank: float) -> Sky:
        """The sky of an acquisition, at 10 m."""
        return draw_sky(
            self.seed,
            self.land.name,
            acquisition.time,
            rank,
            cloudless_share(acquisition.time.date(), self.surface.latitude),
            (acquisition.sun_elevation, acquisition.sun_azimuth),
            self.land.grid.shape,
            self.land.grid.pixel_m,
            self.difficulty,
        )

    def scenes(self, acquisitions: list[Acquisition], ranks: NDArray[np.float64]) -> Iterator[Scene]:
        """Render acquisitions of the season one by one.

        Args:
            acquisitions: In order of time.
            ranks: Rank of each date's weather.
        """
        for start in range(0, len(acquisitions), _BATCH):
            batch = acquisitions[start : start + _BATCH]
            dates = [acquisition.time.date() for acquisition in batch]
            mean, response = reflectances(self.surface, dates, self.difficulty.pixel_variation)
            for index, acquisition in enumerate(batch):
                sky = self.sky(acquisition, float(ranks[start + index]))
                yield self._render(acquisition, sky, mean[index], response[index])

    def _render(self, acquisition: Acquisition, sky: Sky, mean: Float32, response: Float32) -> Scene:
        """See through the sky: ground, shadow, haze, cirrus, cloud, noise, in this order."""
        grid, coarse = self.land.grid, grid_20m(self.land.grid)
        begin = offset_20m(grid)
        day = acquisition.time.date()
        rng = generator(self.seed, "sensor", self.land.name, day.isoformat())
        sky_20m = sky.halved(coarse.shape, begin)
        sharp, wide = self._resamplers(rng, day)
        factor, bias = self.effects(acquisition)
        billows = _billows(rng, grid)
        billows_20m = halve(billows, coarse.shape, begin)
        dark_share = self.difficulty.noise * rng.uniform(*_pair("sentinel2.dark_negative"))

        pattern = None if self.difficulty.pixel_variation == 0 else self.surface.pattern(day)
        row = self.surface.row
        fine = np.empty(row.shape, np.float32)
        answer = np.empty(row.shape, np.float32)
        reflectance: dict[str, Float32] = {}
        clear: dict[str, Float32] = {}
        for index, band in enumerate(SENTINEL2_BANDS):
            is_fine = band in BANDS_10M
            layers = sky if is_fine else sky_20m
            if sky.overcast and band not in ("B04", "B8A"):
                ground = np.zeros(layers.cloud.shape, np.float32)
            else:
                np.take(mean[index], row, out=fine, mode="clip")
                if pattern is not None:
                    np.take(response[index], row, out=answer, mode="clip")
                    answer *= pattern
                    fine += answer
                ground = np.maximum((sharp if is_fine else wide)(fine), 0.002)
                if band in ("B04", "B8A"):
                    clear[band] = halve(ground, coarse.shape, begin) if is_fine else ground
            ground = ground * factor[index] + bias[index]
            seen = through(ground, layers, index, billows if is_fine else billows_20m)
            noise = generator(self.seed, "noise", self.land.name, day.isoformat(), band)
            reflectance[band] = self._noisy(noise, seen, float(dark_share))
        classes = classify(
            generator(self.seed, "scene classes", self.land.name, day.isoformat()),
            sky_20m,
            np.stack([clear[band] for band in ("B04", "B8A")]),
            wide(self.surface.water),
            coarse.pixel_m,
            self.difficulty.scl_errors,
        )
        valid = self._swath(acquisition)
        valid_20m = halve(valid.astype(np.float32), coarse.shape, begin) >= 1
        classes[~valid_20m] = NODATA
        return Scene(acquisition, reflectance, classes, valid, valid_20m)

    def _resamplers(self, rng: np.random.Generator, day: datetime.date) -> tuple[Resampler, Resampler]:
        """Blur, registration shift and average for the 10 m and the 20 m bands of a scene."""
        grid, begin = self.land.grid, offset_20m(self.land.grid)
        before, after = numbers("sentinel2.registration")
        spread_m = (after if day >= NEW_GEOMETRY else before) / _WITHIN_95
        down_m, right_m = self.difficulty.registration * spread_m * rng.standard_normal(2)
        shape = self.surface.row.shape
        built = []
        for pixel_m, target, offset in ((10.0, grid.shape, (0, 0)), (20.0, grid_20m(grid).shape, begin)):
            width = self.difficulty.blur * rng.uniform(*_pair("sentinel2.blur"))
            built.append(
                resampler(
                    (shape[0], shape[1]),
                    target,
                    round(pixel_m / 5),
                    (2 * offset[0], 2 * offset[1]),
                    float(width),
                    (float(down_m) / pixel_m, float(right_m) / pixel_m),
                )
            )
        return built[0], built[1]

    def effects(self, acquisition: Acquisition) -> tuple[Float32, Float32]:
        """What a scene does to every pixel: factor and bias on reflectance, each ``(band,)``.

        One orbit looks with the sun, the other against it; the correction of aerosol errs a little.
        """
        rng = generator(self.seed, "view", self.land.name, acquisition.time.date().isoformat())
        own, aerosol = 0.2 * rng.standard_normal(), number("sentinel2.haze_bias") * rng.standard_normal()
        side = (1 if acquisition.orbit == 0 else -1) * (0.8 + 0.2 * np.cos(np.radians(acquisition.sun_azimuth)))
        factor = orbit_factor(float(self.difficulty.orbits * np.clip(side + own, -1, 1)))
        return factor, aerosol_bias(float(self.difficulty.haze * aerosol))

    def _noisy(self, rng: np.random.Generator, seen: Float32, dark_share: float) -> Float32:
        """Add the noise of the sensor; a few dark pixels fall to zero or below, as over-corrected ones do."""
        floor, share = numbers("sentinel2.noise")
        noise = rng.standard_normal(seen.shape, np.float32)
        noise *= np.float32(self.difficulty.noise) * (floor + share * seen)
        noise += seen
        dark = np.flatnonzero(seen.ravel() < number("sentinel2.dark"))
        fallen = dark[rng.random(dark.size) < dark_share]
        noise.ravel()[fallen] = -rng.uniform(0, 0.012, fallen.size).astype(np.float32)
        return noise

    def _swath(self, acquisition: Acquisition) -> NDArray[np.bool_]:
        """Pixels inside the swath, at 10 m: the edge of orbit 1 runs through the landscape from north to south."""
        grid = self.land.grid
        if acquisition.orbit == 0:
            return np.ones(grid.shape, bool)
        rng = generator(self.seed, "swath", self.land.name)
        share, right = rng.uniform(0.15, 0.4), rng.random() < 0.5
        shift = generator(self.seed, "swath", self.land.name, acquisition.time.date().isoformat()).normal(0, 6)
        slant = np.tan(np.radians(12.0)) * (np.arange(grid.height)[:, None] - grid.height / 2)
        column = np.arange(grid.width)[None, :] + slant - shift
        return np.asarray(column < grid.width * (1 - share) if right else column > grid.width * share)


def through(ground: Float32, sky: Sky, band: int, billows: Float32) -> Float32:
    """Reflectance of a band seen through shadow, haze, cirrus and cloud, the shape of ``ground``."""
    if sky.shadow.any():
        ground = ground * (1 - shadow_loss()[band] * sky.shadow)
    for layer in (sky.veil, sky.cirrus):
        if layer.any():
            ground = ground + layer * (VEIL[band] - ground)
    if sky.cloud.any():
        ground = ground + sky.cloud * (sky.brightness * CLOUD[band] * billows - ground)
    return ground


def _billows(rng: np.random.Generator, grid: Grid) -> Float32:
    """Texture of cloud tops around 1, ``(y, x)``."""
    y_m, x_m = (grid.pixel_m * (np.arange(size) + 0.5) for size in grid.shape)
    extent = grid.pixel_m * max(grid.shape)
    field = SmoothField.draw(rng, extent, (3000.0, 1000.0, 350.0, 120.0), exponent=0.5).at(y_m, x_m)
    return np.asarray(np.clip(1 + 0.13 * field, 0.5, 1.5), np.float32)


def _pair(name: str) -> tuple[float, float]:
    low, high = numbers(name)
    return low, high
