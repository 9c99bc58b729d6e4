"""Settings of the simulated landscape and archive: where, when, and how difficult."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cropflow.config.base import Name, Section
from cropflow.config.regions import Latitude, Longitude

Factor = Annotated[float, Field(ge=0, le=3)]


class Landscape(Section):
    """One square of simulated farmland, larger than the site of the same centre and side by a margin."""

    centre: tuple[Longitude, Latitude] = Field(description="Longitude and latitude, degrees.")
    side_km: float = Field(gt=0, le=20, description="Side, kilometres.")
    style: Literal["cereal", "livestock", "southern"] = Field(
        default="cereal", description="Crop shares and rotations."
    )
    annotated_crop: str | None = Field(
        default=None, description="Crop whose fields alone are declared, in part: a site that somebody visited."
    )
    annotated_share: float = Field(default=0.2, gt=0, le=1, description="Share of its fields that are declared.")


class Difficulty(Section):
    """Knobs: each multiplies one source of difficulty; 0 is off, 1 the value of the parameter table."""

    parcel_variation: Factor = Field(default=1.0, description="Spread between parcels of one crop.")
    pixel_variation: Factor = Field(default=1.0, description="Spread inside a parcel.")
    region_year: Factor = Field(default=1.0, description="Shifts shared by a landscape or a season.")
    catch_crops: Factor = Field(default=1.0, description="Winter cover before summer crops, second crops.")
    clouds: Factor = Field(default=1.0, description="Cloud share.")
    scl_errors: Factor = Field(default=1.0, description="Clouds and shadows that the SCL misses or invents.")
    haze: Factor = Field(default=1.0, description="Thin cloud over pixels that the SCL calls usable.")
    orbits: Factor = Field(default=1.0, description="Reflectance differences between neighbouring orbits.")
    registration: Factor = Field(default=1.0, description="Shift between scenes.")
    blur: Factor = Field(default=1.0, description="Sensor blur; pixels on parcel borders mix either way.")
    noise: Factor = Field(default=1.0, description="Noise of the sensor.")
    speckle: Factor = Field(default=1.0, description="Radar speckle.")
    border_noise: Factor = Field(default=1.0, description="Radar swath edges with very low or zero values.")
    missing_passes: Factor = Field(default=1.0, description="Radar passes that are not in the archive.")
    overflow: Factor = Field(default=1.0, description="Radar scenes whose 16-bit integers overflowed.")
    soil_moisture: Factor = Field(default=1.0, description="Wetness of the soil, shared by a landscape.")
    wrong_codes: Factor = Field(default=1.0, description="Parcels whose declared crop is wrong.")
    missing_parcels: Factor = Field(default=1.0, description="Farmland that the register misses.")
    outline_errors: Factor = Field(default=1.0, description="Shift of outlines, second crops in a parcel.")


class Simulation(Section):
    """A landscape with known truth, its register and its archive."""

    seed: int = Field(default=0, ge=0, description="Seed of everything random.")
    landscapes: dict[Name, Landscape] = Field(min_length=1, description="Landscape -> square.")
    seasons: tuple[Name, ...] = Field(min_length=1, description="Seasons with a register, in order of time.")
    imagery_seasons: tuple[Name, ...] = Field(min_length=1, description="Seasons with scenes.")
    sentinel1: bool = Field(default=True, description="Write Sentinel-1 scenes too.")
    difficulty: Difficulty = Difficulty()

    @model_validator(mode="after")
    def _known_seasons(self) -> Self:
        for season in self.imagery_seasons:
            if season not in self.seasons:
                raise ValueError(f"imagery_seasons names {season!r}; expected one of {', '.join(self.seasons)}")
        return self
