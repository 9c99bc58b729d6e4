"""Regions and their sites: declared one by one, or how they are chosen."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from cropflow.config.addresses import check_address
from cropflow.config.base import Name, Section

Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-80, le=84)]


def _known_crs(value: str) -> str:
    import pyproj

    try:
        pyproj.CRS.from_user_input(value)
    except pyproj.exceptions.CRSError:
        raise ValueError("expected a CRS that PROJ knows, such as 'EPSG:2154'") from None
    return value


CrsName = Annotated[str, AfterValidator(_known_crs)]


def _file_or_address(value: str) -> str:
    if is_address(value):
        check_address(value)
    return value


RasterName = Annotated[str, Field(min_length=1), AfterValidator(_file_or_address)]


def is_address(place: str) -> bool:
    """True where a place is an address and no path."""
    return "://" in place


class Square(Section):
    """A square by its centre."""

    centre: tuple[Longitude, Latitude] = Field(description="Longitude and latitude, degrees.")
    side_km: float = Field(gt=0, le=100, description="Side, kilometres.")


class Box(Section):
    """A bounding box."""

    bounds: tuple[float, float, float, float] = Field(
        description="xmin, ymin, xmax, ymax in crs; in degrees xmin > xmax crosses the antimeridian."
    )
    crs: CrsName = Field(default="EPSG:4326", description="CRS of the bounds.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_bounds(self.bounds, self.crs)
        return self


def _check_bounds(bounds: tuple[float, float, float, float], crs: str) -> None:
    xmin, ymin, xmax, ymax = bounds
    if ymin < ymax and (xmin < xmax or _crosses(bounds, crs)):
        return
    raise ValueError(f"bounds {list(bounds)} are not ordered (xmin, ymin, xmax, ymax)")


def _crosses(bounds: tuple[float, float, float, float], crs: str) -> bool:
    """True where a box in degrees runs from the eastern hemisphere over the antimeridian into the western one."""
    if not -180 <= bounds[2] < 0 < bounds[0] <= 180:
        return False
    import pyproj

    return pyproj.CRS.from_user_input(crs).is_geographic


def _shape_of_site(value: Any) -> str:
    # Told apart by their keys, so that a mistake in a box is not reported as a missing centre.
    return (
        "box"
        if "bounds" in (value if isinstance(value, dict) else getattr(type(value), "model_fields", ()))
        else "square"
    )


Site = Annotated[
    Annotated[Square, Tag("square")] | Annotated[Box, Tag("box")],
    Discriminator(_shape_of_site),
]


class Clusters(Section):
    """Sites around clusters of a register's parcels; every clustered parcel lies in exactly one."""

    method: Literal["clusters"] = Field(description="Around clusters of parcels.")
    season: Name = Field(description="Season of the region's register whose parcels are clustered.")
    eps_m: float = Field(default=2000.0, gt=0, description="Centroids at most this far apart are neighbours, metres.")
    minimum_members: int = Field(
        default=1, ge=1, description="Neighbours, itself included, that make a parcel the core of a cluster."
    )
    distances: CrsName | None = Field(
        default=None,
        description="Measure distances in this projected CRS, as published work does; true metres where absent.",
    )
    minimum_pixels: int = Field(default=64, ge=8, le=10_000, description="Smaller sites are padded to this side.")
    maximum_pixels: int = Field(
        default=1024, ge=16, le=10_000, description="Larger clusters are split, so that no site has a longer side."
    )
    crop_codes: tuple[str, ...] = Field(
        default=(), description="Cluster only parcels with these codes of the register; all where empty."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.maximum_pixels < self.minimum_pixels:
            raise ValueError(
                f"maximum_pixels {self.maximum_pixels} is less than minimum_pixels {self.minimum_pixels}; "
                "expected at least as many"
            )
        if self.distances is not None:
            import pyproj

            unit = {axis.unit_name for axis in pyproj.CRS.from_user_input(self.distances).axis_info}
            if unit != {"metre"}:
                raise ValueError(f"distances {self.distances!r} counts in {', '.join(sorted(unit))}; expected metres")
        return self


def _check_whole(key: str, length_km: float, pixel_m: int) -> None:
    pixels = length_km * 1000 / pixel_m
    if abs(pixels - round(pixels)) > 1e-6 or round(pixels) < 1:
        raise ValueError(f"{key} {length_km:g} km is no whole number of pixels of {pixel_m} m")


class Cropland(Section):
    """The squares with the largest share of cropland around towns, none overlapping another."""

    method: Literal["cropland"] = Field(description="Where cropland is densest around towns.")
    towns: dict[Name, tuple[Longitude, Latitude]] = Field(
        min_length=1, description="Town -> longitude and latitude, degrees; a square's name begins with it."
    )
    raster: RasterName = Field(
        description="Map of land cover, such as ESA WorldCover: a raster file, the http(s) address of a COG, or a STAC "
        "item collection."
    )
    values: tuple[int, ...] = Field(default=(40,), min_length=1, description="Values of the raster that are cropland.")
    per_town: int = Field(default=5, ge=1, description="Squares per town.")
    radius_km: float = Field(default=50.0, gt=0, le=200, description="A square's centre is at most this far, km.")
    side_km: float = Field(default=10.0, gt=0, le=100, description="Side of a square, kilometres.")
    step_km: float = Field(
        default=2.5, gt=0, le=100, description="Squares are tried at multiples of this, a whole part of the side, km."
    )

    @model_validator(mode="after")
    def _steps_fill_the_side(self) -> Self:
        steps = self.side_km / self.step_km
        if abs(steps - round(steps)) > 1e-9 or steps < 0.5:
            raise ValueError(f"step_km {self.step_km:g} is no whole part of side_km {self.side_km:g}")
        return self


class Frame(Section):
    """The ground that a sample of squares speaks for: a box, or the polygons of a file."""

    bounds: tuple[float, float, float, float] | None = Field(
        default=None, description="xmin, ymin, xmax, ymax in crs; in degrees xmin > xmax crosses the antimeridian."
    )
    crs: CrsName = Field(default="EPSG:4326", description="CRS of the bounds.")
    path: str | None = Field(default=None, description="Polygons, any vector file with a CRS.")
    layer: str | None = Field(default=None, description="Layer, where the file holds several.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.bounds is None) == (self.path is None):
            raise ValueError("give exactly one of bounds and path")
        if self.layer is not None and self.path is None:
            raise ValueError("layer belongs to path, which is not given")
        if self.bounds is not None:
            _check_bounds(self.bounds, self.crs)
        return self


class Strata(Section):
    """What the squares of a frame are divided by: a column of its polygons, or the share of a class in a raster."""

    column: str | None = Field(default=None, description="Column of the frame's file; its values are the strata.")
    raster: RasterName | None = Field(
        default=None,
        description="Map of classes: a raster file, the http(s) address of a COG, or a STAC item collection.",
    )
    values: tuple[int, ...] = Field(default=(40,), min_length=1, description="Values of the raster that are counted.")
    breaks: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.1, 0.3, 0.6), min_length=1, description="Shares at which one stratum ends and the next begins."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.column is None) == (self.raster is None):
            raise ValueError("give exactly one of column and raster")
        if list(self.breaks) != sorted(set(self.breaks)):
            raise ValueError(f"breaks {list(self.breaks)} do not ascend")
        return self


class Sample(Section):
    """A probability sample of squares, simple or stratified, with its design kept beside the sites."""

    method: Literal["sample"] = Field(description="At random, with known probabilities.")
    frame: Frame = Field(description="The ground to sample from: squares whose centre lies in it.")
    size: int = Field(ge=2, description="Squares to draw.")
    side_km: float = Field(default=10.0, gt=0, le=100, description="Side of a square, kilometres.")
    strata: Strata | None = Field(default=None, description="Stratify by this; a simple random sample where absent.")
    allocation: Literal["proportional", "equal"] = Field(
        default="proportional", description="How the size is shared among the strata: by their squares, or equally."
    )
    minimum_per_stratum: int = Field(
        default=2, ge=1, description="Squares per stratum, at least; two are the fewest that show a variance."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the draw.")

    @model_validator(mode="after")
    def _columns_need_a_file(self) -> Self:
        if self.strata is not None and self.strata.column is not None and self.frame.path is None:
            raise ValueError("strata.column names a column, and frame has no path; give frame.path, or strata.raster")
        return self


Choice = Annotated[Clusters | Cropland | Sample, Field(discriminator="method")]


class Region(Section):
    """Where to map: sites, the register that labels them and the imagery that shows them."""

    sites: Annotated[dict[Name, Site], Field(min_length=1)] | None = Field(
        default=None, description="Site -> square or box."
    )
    choose: Choice | None = Field(
        default=None, description="How sites are chosen, in place of sites; method is clusters, cropland or sample."
    )
    imagery: Name = Field(description="Entry of imagery.")
    register_: Name | None = Field(
        default=None, alias="register", description="Entry of registers; none where there are no labels."
    )
    pixel_m: Literal[10, 20] = Field(default=10, description="Pixel size, metres.")

    @model_validator(mode="after")
    def _sites_or_choice(self) -> Self:
        if (self.sites is None) == (self.choose is None):
            raise ValueError("give exactly one of sites and choose")
        if isinstance(self.choose, Clusters) and self.register_ is None:
            raise ValueError("choose by clusters needs a register, whose parcels are clustered; give register")
        if isinstance(self.choose, Cropland | Sample):
            _check_whole("choose.side_km", self.choose.side_km, self.pixel_m)
        if isinstance(self.choose, Cropland):
            _check_whole("choose.step_km", self.choose.step_km, self.pixel_m)
        return self

    def local_files(self) -> dict[str, str]:
        """Key below the region -> path of a file from which its sites are chosen; addresses are left out."""
        named: dict[str, str | None] = {}
        if isinstance(self.choose, Cropland):
            named = {"choose.raster": self.choose.raster}
        elif isinstance(self.choose, Sample):
            strata = self.choose.strata
            named = {
                "choose.frame.path": self.choose.frame.path,
                "choose.strata.raster": None if strata is None else strata.raster,
            }
        return {key: place for key, place in named.items() if place is not None and not is_address(place)}
