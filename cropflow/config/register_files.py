"""The files of a register: where they lie, where they come from, and how they are to be read."""

from __future__ import annotations

import codecs
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from cropflow.config.addresses import check_address
from cropflow.config.base import Section
from cropflow.config.rpg_vintages import NATIONAL, find_vintage
from cropflow.config.texts import ASSET, ENCODING, SHA256


class RegisterFile(Section):
    """The file of one season."""

    path: str | None = Field(
        default=None,
        description="Local file, or the folder of reader isrc or an archive of it; relative to the working directory.",
    )
    url: str | None = Field(
        default=None,
        description="http(s) address; downloaded, resumed and checked. Commands and logs show it, query included: "
        "credentials belong into ~/.netrc.",
    )
    sha256: str | None = Field(default=None, pattern=SHA256, description="Checksum of the file.")
    layer: str | None = Field(
        default=None,
        description="Layer, where the file holds several, or name of the file, without its suffix, where an archive "
        "does, or band of an asset of Earth Engine that has several; for reader isrc the agricultural year, such as "
        "'1400-1401', where the season is not named so.",
    )
    ranges: bool = Field(
        default=False,
        description="For reader raster with a url: read a COG where it lies, by range requests, instead of "
        "downloading it.",
    )
    earth_engine: str | None = Field(
        default=None,
        pattern=ASSET,
        description="For reader raster, instead of path and url: the id of an image asset of Earth Engine, such as "
        "JRC/D5/EUCROPMAP/V1/2018, of which the windows alone are read. Accounts belong into the environment.",
    )
    campaign: int | None = Field(
        default=None, ge=1900, le=2199, description="Year of the declaration; the year in which the season ends."
    )
    encoding: str | None = Field(
        default=None,
        pattern=ENCODING,
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
        others = [content.get("path"), content.get("earth_engine")]
        if any(place is not None for place in others) or content.get("url") not in (None, url):
            raise ValueError("give exactly one of path, url, earth_engine and vintage")
        return {**content, "area": area, "url": url}

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.url, self.earth_engine)) != 1:
            raise ValueError("give exactly one of path, url, earth_engine and vintage")
        if self.area is not None and self.vintage is None:
            raise ValueError("area goes with vintage; give both, or neither")
        if self.url is not None:
            check_address(self.url)
        if self.earth_engine is not None and self.sha256 is not None:
            raise ValueError("sha256 is of a file, and earth_engine names none; drop sha256")
        if self.ranges and (self.url is None or self.sha256 is not None):
            raise ValueError("ranges needs a url, and no sha256: the file is never there as a whole")
        return self
