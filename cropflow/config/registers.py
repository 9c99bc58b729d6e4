"""Registers of parcels: their files, their columns, and how they are cleaned and mapped."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from cropflow.config.addresses import check_address
from cropflow.config.sections import Name, Section


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

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give exactly one of path and url")
        if self.url is not None:
            check_address(self.url)
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


class History(Section):
    """What grew on the parcels of a season in earlier seasons: the registers laid over each other."""

    years: int = Field(default=3, ge=1, le=30, description="Years to look back; one without a register is unknown.")
    publication_lag: int = Field(
        default=0,
        ge=0,
        description="The registers of so many seasons before are not out yet when a season is mapped: unknown.",
    )
    sliver_share: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Slivers: where two parcels share less than this part of the smaller of them, it is dropped.",
    )
    sliver_area_m2: float = Field(
        default=100.0,
        ge=0,
        description="Slivers too: where they share less than this (m2) and less than half of the smaller of them.",
    )
    stable_iou: float = Field(
        default=0.9,
        gt=0.5,
        le=1,
        description="Stable outlines: intersection over union with a parcel of each earlier season, at least.",
    )

    @model_validator(mode="after")
    def _something_known(self) -> Self:
        if self.publication_lag >= self.years:
            raise ValueError(f"publication_lag {self.publication_lag} leaves none of {self.years} years; raise years")
        return self


class Register(Section):
    """A register of parcels and how its codes are read."""

    reader: Literal["rpg", "vector"] = Field(description="rpg: the French register; vector: any file, by columns.")
    simulation: Name | None = Field(default=None, description="Read the register of this simulation.")
    files: dict[Name, RegisterFile] = Field(default={}, description="Season -> file.")
    columns: Columns | None = Field(default=None, description="For reader vector: the columns.")
    table: str = Field(
        default="rpg",
        description="Table from codes to crops: rpg, eurocrops, worldcereal, or a CSV file's path.",
    )
    unmapped: Literal["stop", "unknown"] = Field(
        default="stop", description="A code that the table does not know: stop the run, or label it unknown."
    )
    cleaning: Cleaning = Cleaning()
    history: History = History()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.simulation is None) == (not self.files):
            raise ValueError("give exactly one of simulation and files")
        if self.reader == "vector" and self.columns is None:
            raise ValueError("reader vector needs columns (crop_code, and parcel_id where there is one)")
        if self.reader == "rpg" and self.columns is not None:
            raise ValueError("reader rpg knows its columns; drop columns, or take reader vector")
        return self
