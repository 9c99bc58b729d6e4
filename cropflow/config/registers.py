"""Registers of parcels: their columns, and how they are cleaned and mapped."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cropflow.config.base import Name, Section
from cropflow.config.regions import Site
from cropflow.config.register_files import RegisterFile
from cropflow.config.texts import SHEET_CROP

# Readers whose codes are their own: the table of the same name is the one to take.
OWN_TABLES = ("isrc", "eurocrops", "canadian_cropland")
# Readers whose labels were made by a classifier, not declared or seen in the field.
MAP_READERS = ("raster", "canadian_cropland")
SheetCrop = Annotated[str, Field(pattern=SHEET_CROP)]


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
    """Points of a register as small squares around them, edges north to south; without it points are dropped."""

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


class Provinces(Section):
    """The layer whose areas give every parcel of an ISRC register its province."""

    path: str = Field(description="Vector file of areas, relative to the working directory.")
    column: str = Field(default="province", description="Column with the names, as the crop calendars write them.")


class NationalTable(Section):
    """A country's table of EuroCrops: the crops of a national register as HCAT codes."""

    path: str = Field(
        description="CSV with original_code, original_name, HCAT3_code, HCAT3_name, relative to the working directory."
    )
    key: Literal["original_code", "original_name"] = Field(
        default="original_code", description="What columns.crop_code holds: the national code or the national name."
    )


class Window(Section):
    """A range of dates before harvest: the same for all parcels of a province, whatever their own crop."""

    months: int = Field(default=6, ge=1, le=24, description="Length (months).")
    months_before_harvest: int = Field(
        default=1, ge=0, le=24, description="It ends the day before harvest less this many months."
    )


class CropCalendar(Section):
    """Planting and harvest of crops by province, in the Solar Hijri calendar."""

    path: str = Field(description="Excel workbook (.xlsx), one sheet per crop, relative to the working directory.")
    sheets: dict[str, SheetCrop] = Field(
        default={},
        description="Sheet -> crop, or crop/variant such as onion/winter, for a workbook with other sheets than the "
        "seventeen of ISRC, which need none.",
    )
    second_year: tuple[str, ...] = Field(
        default=(),
        description="Sheets whose planting begins in the second year of the agricultural year; the others' begins in "
        "the first.",
    )
    window: Window = Window()


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

    reader: Literal["rpg", "vector", "isrc", "eurocrops", "raster", "canadian_cropland"] = Field(
        description="rpg: the French register; vector: any file, by columns; isrc: the folder of ISRC, Iran; "
        "eurocrops: files with HCAT codes; raster: a map of classes, such as EUCROPMAP, the AAFC Annual Crop Inventory "
        "or ESA WorldCover, whose values are the codes; canadian_cropland: the points of the Canadian Cropland Dataset."
    )
    kind: Literal["survey", "map"] = Field(
        default="survey",
        description="survey: declared, or seen in the field; map: made by a classifier, so that scores against it are "
        "called agreement. Left out, readers raster and canadian_cropland are maps.",
    )
    simulation: Name | None = Field(default=None, description="Read the register of this simulation.")
    files: dict[Name, RegisterFile] = Field(default={}, description="Season -> file.")
    columns: Columns | None = Field(
        default=None,
        description="The columns: needed by reader vector; for reader eurocrops only where they have other names.",
    )
    national: NationalTable | None = Field(
        default=None,
        description="For reader eurocrops, where columns.crop_code holds national crops: the country's table.",
    )
    raster: Raster | None = Field(default=None, description="For reader raster: what is read, and how it is cut.")
    points: Points | None = Field(
        default=None,
        description="Take points as squares; none: they are dropped. Reader canadian_cropland needs it.",
    )
    provinces: Provinces | None = Field(default=None, description="For reader isrc: the layer of provinces.")
    calendar: CropCalendar | None = Field(
        default=None, description="For reader isrc, with provinces: the crop calendars."
    )
    table: str = Field(
        default="rpg",
        description="Table from codes to crops: one of the legend's own, such as rpg or eurocrops, or a CSV file's "
        "path; left out, readers isrc, eurocrops and canadian_cropland take the one of their name.",
    )
    unmapped: Literal["stop", "unknown"] = Field(
        default="stop", description="A code that the table does not know: stop the run, or label it unknown."
    )
    minimum_share_percent: float = Field(
        default=0.0,
        ge=0,
        lt=100,
        description="Crops that cover less of the area of all crops in a season are labelled unknown (percent).",
    )
    cleaning: Cleaning = Cleaning()
    history: History = History()

    @model_validator(mode="before")
    @classmethod
    def _own_table(cls, content: Any) -> Any:
        own = isinstance(content, dict) and "table" not in content and content.get("reader") in OWN_TABLES
        return content | {"table": content["reader"]} if own else content

    @model_validator(mode="before")
    @classmethod
    def _of_maps(cls, content: Any) -> Any:
        if not isinstance(content, dict) or content.get("reader") not in MAP_READERS:
            return content
        if content["reader"] == "raster" and "table" not in content:
            raise ValueError("reader raster needs table: a table from its values to crops")
        # A pixel is no sliver: what a map shows goes only where the user says so.
        whole = {"cleaning": {"minimum_area_m2": 0, "minimum_width_m": 0}} if content["reader"] == "raster" else {}
        return {"kind": "map"} | whole | content

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.simulation is None) == (not self.files):
            raise ValueError("give exactly one of simulation and files")
        if self.reader == "vector" and self.columns is None:
            raise ValueError("reader vector needs columns (crop_code, and parcel_id where there is one)")
        for season, file in self.files.items():
            if file.vintage is not None and self.reader != "rpg":
                raise ValueError(f"files.{season}.vintage is for reader rpg; give path or url")
        if self.reader in ("rpg", "isrc") and self.columns is not None:
            raise ValueError(f"reader {self.reader} knows its columns; drop columns, or take reader vector")
        if self.reader == "isrc" and (self.simulation or any(file.path is None for file in self.files.values())):
            raise ValueError("reader isrc reads a folder or an archive of it; give files with a path")
        if self.reader != "isrc" and (self.provinces or self.calendar):
            raise ValueError("provinces and calendar belong to reader isrc; drop them, or take reader isrc")
        if self.national is not None and (self.reader != "eurocrops" or self.columns is None):
            raise ValueError("national needs reader eurocrops and columns.crop_code, the column of national crops")
        if self.calendar is not None and self.provinces is None:
            raise ValueError("calendar needs provinces: dates are given by province")
        if self.points is not None and self.points.side_m**2 < self.cleaning.minimum_area_m2:
            raise ValueError(
                f"points.side_m {self.points.side_m:g} gives squares below cleaning.minimum_area_m2 "
                f"{self.cleaning.minimum_area_m2:g}; all would be dropped"
            )
        self._check_maps()
        return self

    def _check_maps(self) -> None:
        if self.reader in MAP_READERS and self.columns is not None:
            raise ValueError(f"reader {self.reader} has no columns to name; drop columns")
        if self.reader in MAP_READERS and self.simulation is not None:
            raise ValueError(f"reader {self.reader} reads files; a simulation's register is read by reader rpg")
        if self.reader == "canadian_cropland" and any(file.layer is not None for file in self.files.values()):
            raise ValueError(f"reader {self.reader} knows no layers; drop files.<season>.layer")
        if self.reader in MAP_READERS and any(file.encoding is not None for file in self.files.values()):
            raise ValueError(f"reader {self.reader} has no encoding to choose; drop files.<season>.encoding")
        if self.raster is not None and self.reader != "raster":
            raise ValueError(f"raster belongs to reader raster; reader is {self.reader!r}")
        if self.reader != "raster" and any(file.ranges for file in self.files.values()):
            raise ValueError(f"files.<season>.ranges belongs to reader raster; reader is {self.reader!r}")
        if self.reader != "raster" and any(file.earth_engine is not None for file in self.files.values()):
            raise ValueError(f"files.<season>.earth_engine belongs to reader raster; reader is {self.reader!r}")
        if self.reader == "raster" and self.points is not None:
            raise ValueError("reader raster has no points; drop points")
        if self.reader == "canadian_cropland" and self.points is None:
            raise ValueError("reader canadian_cropland needs points.side_m: the side of the squares around its points")
