"""Registers of parcels: their files, their columns, and how they are cleaned and mapped."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cropflow.config.addresses import check_address
from cropflow.config.regions import Site
from cropflow.config.sections import Name, Section

# Readers whose labels were made by a classifier, not declared or seen in the field.
MAP_READERS = ("raster", "canadian_cropland")


class RegisterFile(Section):
    """The file of one season."""

    path: str | None = Field(default=None, description="Local file, relative to the working directory.")
    url: str | None = Field(
        default=None,
        description="http(s) address; downloaded, resumed and checked. Commands and logs show it, query included: "
        "credentials belong into ~/.netrc.",
    )
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="Checksum of the file.")
    layer: str | None = Field(default=None, description="Layer, where the file holds several.")
    ranges: bool = Field(
        default=False,
        description="For reader raster with a url: read a COG where it lies, by range requests, instead of "
        "downloading it.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give exactly one of path and url")
        if self.url is not None:
            check_address(self.url)
        if self.ranges and (self.url is None or self.sha256 is not None):
            raise ValueError("ranges needs a url, and no sha256: the file is never there as a whole")
        return self


class Columns(Section):
    """Which columns of a vector register hold what."""

    crop_code: str = Field(description="Column with the register's own crop code or name.")
    parcel_id: str | None = Field(default=None, description="Column with the parcel's id; row numbers where absent.")


class Cleaning(Section):
    """Thresholds below which a polygon is no parcel."""

    minimum_area_m2: float = Field(default=100.0, ge=0, description="Smaller polygons are dropped (m2).")
    minimum_width_m: float = Field(
        default=2.0, ge=0, description="Slivers: polygons whose mean width, 2 x area / perimeter, is less (m)."
    )


class Points(Section):
    """Points of a register as small squares around them, edges north to south."""

    side_m: float = Field(default=10.0, gt=0, le=1000, description="Side of the square (m).")


class Raster(Section):
    """How the pixels of a map of classes become parcels: connected pixels of one value, edges on pixel edges."""

    windows: dict[Name, Site] = Field(
        default={},
        description="Window -> square or box, as the sites of a region are declared; only these are read. Left out, "
        "all of it is: at most 121 million pixels, which is 110 km at 10 m, and 2 kB of memory per connected part.",
    )
    nodata: tuple[int, ...] = Field(
        default=(), description="Values that mean no data, beside the one that the file declares."
    )
    cut_pixels: int | None = Field(
        default=None,
        ge=8,
        description="Cut connected pixels at every so many rows and columns of the raster, so that a forest that "
        "crosses many blocks is not lost to the one fold of its centre; none: they stay whole.",
    )


class Register(Section):
    """A register of parcels and how its codes are read."""

    reader: Literal["rpg", "vector", "raster", "canadian_cropland"] = Field(
        description="rpg: the French register; vector: any file, by columns; raster: a map of classes, such as "
        "EUCROPMAP, the AAFC Annual Crop Inventory or ESA WorldCover, whose values are the codes; canadian_cropland: "
        "the points of the Canadian Cropland Dataset."
    )
    kind: Literal["survey", "map"] = Field(
        default="survey",
        description="survey: declared, or seen in the field; map: made by a classifier, so that scores against it are "
        "called agreement. Left out, readers raster and canadian_cropland are maps.",
    )
    simulation: Name | None = Field(default=None, description="Read the register of this simulation.")
    files: dict[Name, RegisterFile] = Field(default={}, description="Season -> file.")
    columns: Columns | None = Field(default=None, description="For reader vector: the columns.")
    raster: Raster | None = Field(default=None, description="For reader raster: what is read, and how it is cut.")
    points: Points | None = Field(default=None, description="For reader canadian_cropland: the squares.")
    table: str = Field(
        default="rpg",
        description="Table from codes to crops: rpg, eurocrops, worldcereal, or a CSV file's path.",
    )
    unmapped: Literal["stop", "unknown"] = Field(
        default="stop", description="A code that the table does not know: stop the run, or label it unknown."
    )
    cleaning: Cleaning = Cleaning()

    @model_validator(mode="before")
    @classmethod
    def _of_maps(cls, content: Any) -> Any:
        if not isinstance(content, dict) or content.get("reader") not in MAP_READERS:
            return content
        if "table" not in content:
            raise ValueError(f"reader {content['reader']} needs table: a table from its codes to crops")
        # A pixel is no sliver: what a map shows goes only where the user says so.
        whole = {"cleaning": {"minimum_area_m2": 0, "minimum_width_m": 0}} if content["reader"] == "raster" else {}
        return {"kind": "map"} | whole | content

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.simulation is None) == (not self.files):
            raise ValueError("give exactly one of simulation and files")
        if self.reader == "vector" and self.columns is None:
            raise ValueError("reader vector needs columns (crop_code, and parcel_id where there is one)")
        if self.reader == "rpg" and self.columns is not None:
            raise ValueError("reader rpg knows its columns; drop columns, or take reader vector")
        self._check_maps()
        return self

    def _check_maps(self) -> None:
        if self.reader in MAP_READERS and self.columns is not None:
            raise ValueError(f"reader {self.reader} has no columns to name; drop columns")
        if self.reader in MAP_READERS and self.simulation is not None:
            raise ValueError(f"reader {self.reader} reads files; a simulation's register is read by reader rpg")
        if self.reader in MAP_READERS and any(file.layer is not None for file in self.files.values()):
            raise ValueError(f"reader {self.reader} knows no layers; drop files.<season>.layer")
        if self.raster is not None and self.reader != "raster":
            raise ValueError(f"raster belongs to reader raster; reader is {self.reader!r}")
        if self.reader != "raster" and any(file.ranges for file in self.files.values()):
            raise ValueError(f"files.<season>.ranges belongs to reader raster; reader is {self.reader!r}")
        if (self.points is not None) != (self.reader == "canadian_cropland"):
            raise ValueError("points belongs to reader canadian_cropland, which needs it: points.side_m")
        if self.points is not None and self.points.side_m**2 < self.cleaning.minimum_area_m2:
            raise ValueError(
                f"points.side_m {self.points.side_m:g} gives squares below cleaning.minimum_area_m2 "
                f"{self.cleaning.minimum_area_m2:g}; all would be dropped"
            )
