"""Registers of parcels: their files, their columns, and how they are cleaned and mapped."""

from __future__ import annotations

import codecs
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from cropflow.config.addresses import check_address
from cropflow.config.rpg_vintages import NATIONAL, find_vintage
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
    encoding: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9_-]+$",
        description="Encoding of its text, such as CP1252, where the file does not say so or is wrong.",
    )

    vintage: int | None = Field(
        default=None,
        description="For reader rpg, instead of path and url: a year of its catalogue, see `cropflow labels vintages`.",
    )
    area: str | None = Field(
        default=None, description="With vintage: FXX for metropolitan France (the default), or a region such as R84."
    )

    @field_validator("encoding")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                codecs.lookup(name)
            except LookupError:
                raise ValueError(f"{name!r} is no encoding; expected one such as CP1252 or UTF-8") from None
        return name

    @model_validator(mode="before")
    @classmethod
    def _from_catalogue(cls, content: Any) -> Any:
        """Fill in the address of a vintage, as the rules and commands know no other."""
        if not isinstance(content, dict) or not isinstance(content.get("vintage"), int):
            return content
        area = content.get("area") or NATIONAL
        url = find_vintage(content["vintage"], str(area)).url
        if content.get("path") is not None or content.get("url") not in (None, url):
            raise ValueError("give exactly one of path, url and vintage")
        return {**content, "area": area, "url": url}

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give exactly one of path, url and vintage")
        if self.area is not None and self.vintage is None:
            raise ValueError("area goes with vintage; give both, or neither")
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

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.simulation is None) == (not self.files):
            raise ValueError("give exactly one of simulation and files")
        if self.reader == "vector" and self.columns is None:
            raise ValueError("reader vector needs columns (crop_code, and parcel_id where there is one)")
        for season, file in self.files.items():
            if file.vintage is not None and self.reader != "rpg":
                raise ValueError(f"files.{season}.vintage is for reader rpg; give path or url")
        if self.reader == "rpg" and self.columns is not None:
            raise ValueError("reader rpg knows its columns; drop columns, or take reader vector")
        return self
