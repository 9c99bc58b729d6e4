"""Regions and their sites."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from cropflow.config.sections import Name, Section

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


class Square(Section):
    """A square by its centre."""

    centre: tuple[Longitude, Latitude] = Field(description="Longitude and latitude, degrees.")
    side_km: float = Field(gt=0, le=100, description="Side, kilometres.")


class Box(Section):
    """A bounding box."""

    bounds: tuple[float, float, float, float] = Field(description="xmin, ymin, xmax, ymax in crs.")
    crs: CrsName = Field(default="EPSG:4326", description="CRS of the bounds.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        xmin, ymin, xmax, ymax = self.bounds
        if not (xmin < xmax and ymin < ymax):
            raise ValueError(f"bounds {list(self.bounds)} are not ordered (xmin, ymin, xmax, ymax)")
        return self


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


class Region(Section):
    """Where to map: sites, the register that labels them and the imagery that shows them."""

    sites: dict[Name, Site] = Field(min_length=1, description="Site -> square or box.")
    imagery: Name = Field(description="Entry of imagery.")
    register_: Name | None = Field(
        default=None, alias="register", description="Entry of registers; none where there are no labels."
    )
    pixel_m: Literal[10, 20] = Field(default=10, description="Pixel size, metres.")
