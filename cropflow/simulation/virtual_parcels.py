"""Simulated parcels under the conditions of a real landscape and season: what its oracle learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cropflow.config.imagery import BANDS_10M, SENTINEL2_BANDS
from cropflow.simulation.acquisitions import Acquisition
from cropflow.simulation.calendars import Annual
from cropflow.simulation.clouds import Sky
from cropflow.simulation.observation import Members, Observation, monthly_medians
from cropflow.simulation.parameters import numbers
from cropflow.simulation.phenology import Traits, calendar_of, canopies, covers, draw_traits, pale_flowers, textures
from cropflow.simulation.sentinel2 import Optics, through
from cropflow.simulation.spectra import mix, soils
from cropflow.simulation.surface import pattern_response

Float32 = NDArray[np.float32]
VIRTUAL_PARCELS = 400
_FINE = np.array([band in BANDS_10M for band in SENTINEL2_BANDS])


class VirtualParcels:
    """Simulated parcels under the true conditions, seen where and when real parcels are seen."""

    def __init__(
        self,
        optics: Optics,
        acquisitions: list[Acquisition],
        observations: list[Observation],
        clear: NDArray[np.bool_],
        members: Members,
        crops: list[str],
        prior: NDArray[np.float64],
    ) -> None:
        self.optics, self.acquisitions, self.observations = optics, acquisitions, observations
        self.clear, self.members, self.crops, self.prior = clear, members, crops, prior

    def draw(
        self, rng: np.random.Generator, period: NDArray[np.int64], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """Draw parcels of every crop.

        Args:
            rng: Source of the draws.
            period: Period of each date.
            places: Real parcels in whose places the simulated ones stand.

        Returns:
            Features ``(sample, period x band)``, component of each sample, crop of each component.
        """
        count = VIRTUAL_PARCELS * len(self.crops)
        kind = np.arange(count) % len(self.crops)
        names = [self.crops[index] for index in kind]
        knobs = self.optics.difficulty
        traits = draw_traits(rng, count, knobs.parcel_variation, knobs.catch_crops)
        # Each stands where a real parcel stands: its size, soil, neighbours' light, sky and clear dates.
        place = places[rng.integers(0, len(places), count)]
        ground = self._ground(rng, names, traits, place)
        seen = self._seen(rng, ground, kind, place)
        clear = self.clear[place]
        # A month without a clear date is seen as if the sky were: the feature is left out where it is missing.
        for month in range(int(period.max()) + 1):
            dates = np.flatnonzero(period == month)
            blind = ~clear[:, dates].any(axis=1)
            for date in dates:
                seen[blind, date] = ground[blind, date]
                clear[blind, date] = True
        seen[~clear] = np.nan
        features = monthly_medians(seen, period).reshape(count, -1)
        component, owner = _components(names, kind, traits)
        return features, component, owner

    def _ground(self, rng: np.random.Generator, names: list[str], traits: Traits, place: NDArray[np.int64]) -> Float32:
        """Mean reflectance of each parcel on each date under a clear sky, ``(parcel, date, band)``."""
        surface, knobs = self.optics.surface, self.optics.difficulty
        dates = [one.time.date() for one in self.acquisitions]
        cover = covers(names, surface.days(dates), traits, surface.conditions)
        canopy, pale, texture = canopies(names, traits), pale_flowers(names), textures(names)
        dryness = surface.moisture.on(dates)[0]
        # The mean of the pattern over a parcel: large parcels hold many patches, small ones one.
        patches = 1 + 100 * self.members.count[place] / float(np.prod(numbers("pixel.length")) * np.pi)
        mean = rng.standard_normal((2, len(names))) / np.sqrt(patches)
        angle = 2 * np.pi * surface.days(dates) / 365.25
        soil_of = self.members.soil[place]
        rows = np.arange(len(names))
        ground = np.empty((len(names), len(dates), len(SENTINEL2_BANDS)), np.float32)
        for index in range(len(dates)):
            soil = soils(float(dryness[index]))
            green, straw, flower = (layer[:, index] for layer in (cover.green, cover.straw, cover.flower))
            level = mix(green, straw, flower, soil, canopy, pale)[rows, soil_of]
            pattern = np.cos(angle[index]) * mean[0] + np.sin(angle[index]) * mean[1]
            answer = pattern_response(green, knobs.pixel_variation * texture, canopy, soil, knobs.pixel_variation)
            ground[:, index] = level + pattern[:, None] * answer[rows, soil_of]
        return ground

    def _seen(
        self, rng: np.random.Generator, ground: Float32, kind: NDArray[np.int64], place: NDArray[np.int64]
    ) -> Float32:
        """What the sensor measures of each parcel, ``(parcel, date, band)``; ``ground`` gains its neighbours' light."""
        purity = np.where(_FINE[:, None], *(self.members.purity[level, place] for level in (0, 1))).T[:, None, :]
        neighbour = rng.choice(len(kind), len(kind), p=self.prior[kind] / self.prior[kind].sum())
        ground[...] = purity * ground + (1 - purity) * ground[neighbour]
        seen = np.empty_like(ground)
        floor, share = numbers("sentinel2.noise")
        for index, (acquisition, observation) in enumerate(zip(self.acquisitions, self.observations, strict=True)):
            factor, bias = self.optics.effects(acquisition)
            ground[:, index] = ground[:, index] * factor + bias
            layers = observation.sky
            sky = Sky(
                layers.cloud[place], layers.cirrus[place], layers.shadow[place], layers.veil[place], layers.brightness
            )
            for band in range(len(SENTINEL2_BANDS)):
                seen[:, index, band] = through(ground[:, index, band], sky, band, np.ones(1, np.float32))
            noise = rng.standard_normal(seen[:, index].shape, np.float32) * np.float32(self.optics.difficulty.noise)
            seen[:, index] += noise * (floor + share * seen[:, index]) / np.sqrt(self.members.count[place])[:, None]
        return seen


def _components(
    names: list[str], kind: NDArray[np.int64], traits: Traits
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split crops that come in two forms (winter cover or bare ground): a Gaussian each."""
    form = np.zeros(len(names), np.int64)
    for index, name in enumerate(names):
        calendar = calendar_of(name)
        if isinstance(calendar, Annual):
            form[index] = int(traits.covered[index]) if calendar.winter == "catch" else 0
        elif calendar.bare_winter > 0:
            form[index] = int(traits.choice[index] < calendar.bare_winter)
    keys, component = np.unique(2 * kind + form, return_inverse=True)
    return component.astype(np.int64), (keys // 2).astype(np.int64)
