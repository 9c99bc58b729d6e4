"""The settings of ``cropflow samples import``: one section per published layout."""

from __future__ import annotations

import datetime
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cropflow.config.base import Section
from cropflow.config.imagery import SENTINEL2_BANDS
from cropflow.config.shipped import check_legend_key

Bands = tuple[str, ...]
Radiometry = Literal["sigma0", "gamma0"]


class ImportFolds(Section):
    """Which samples are tested, validated and learnt from together."""

    count: int = Field(default=5, ge=3, le=20, description="Number of folds; fold i is tested, i + 1 validates.")
    table: str | None = Field(default=None, description="CSV file unit,fold that says the fold of each place.")


class PlacelessFolds(ImportFolds):
    """Folds of a layout that does not tell where its samples lie."""

    table: str | None = Field(default=None, description="CSV file unit,fold that says the fold of each parcel.")
    unit: Literal["place", "sample"] = Field(
        default="place",
        description="What is dealt out to folds. place needs the table, since the files know none; sample deals out "
        "single parcels, which splits neighbours and flatters every score.",
    )


class Import(Section):
    """What every layout is read by."""

    # Legend of the layout's own labels.
    own_legend: ClassVar[str]

    legend: Annotated[str, AfterValidator(check_legend_key)] | None = Field(
        default=None, description="Legend of the samples; that of the layout's own labels where absent."
    )
    classes: str | None = Field(
        default=None,
        description="From the layout's labels to crops: a table of the legend, or a CSV file code,crop. The layout's "
        "own labels where absent.",
    )
    unmapped: Literal["refuse", "unknown"] = Field(
        default="refuse", description="Labels that the table lacks: an error, or unknown (left out and counted)."
    )
    minimum_dates: int | None = Field(
        default=None,
        ge=1,
        description="Dates with a value that a sample, or a pixel of a patch, needs of a sensor. Absent: all "
        "periods of calendar composites, one date of acquisitions.",
    )
    folds: ImportFolds = ImportFolds()


class Optical(Import):
    """Layouts with Sentinel-2 reflectance."""

    bands: Bands = Field(default=SENTINEL2_BANDS, min_length=1, description="Sentinel-2 bands, in the files' order.")
    scale: float | None = Field(
        default=None, gt=0, description="Stored number of a reflectance of 1; judged by the values where absent."
    )


class DeepCropRotation(Optical):
    """DATA/<year>/<parcel>.npy, META/{labels,dates,geomfeat}.json."""

    own_legend: ClassVar[str] = "deep_crop_rotation_20"

    year: int = Field(ge=1980, le=2100, description="The season: which folder of DATA is read.")
    start: datetime.date | None = Field(
        default=None, description="Day 0 of the dates. Published weights count from 1 September of the year; 1 January."
    )
    lags: int = Field(default=0, ge=0, le=10, description="Earlier years of each parcel that become its history.")
    folds: PlacelessFolds = PlacelessFolds()


class PseTsaLayout(Optical):
    """s1_data/<split>/{DATA,META}, s2_data/<split>/{DATA,META}."""

    own_legend: ClassVar[str] = "rpg_groups_finistere"

    start: datetime.date = Field(description="Day 0 of the dates of both sensors.")
    labels: str = Field(default="CODE_GROUP", description="Key of META/labels.json.")
    radar: Literal["sentinel1_ascending", "sentinel1_descending"] = Field(
        default="sentinel1_descending", description="What s1_data holds."
    )
    radiometry: Radiometry = Field(default="sigma0", description="Of s1_data.")


class TemporalUnetHdf5(Optical):
    """An HDF5 file with data, labels, ID_Parcelles, coords, dates, zones."""

    own_legend: ClassVar[str] = "seed_e_50"

    bands: Bands = Field(
        default=("B02", "B03", "B04", "B08"), min_length=1, description="Sentinel-2 bands, in the file's order."
    )
    start: datetime.date = Field(
        default=datetime.date(2023, 1, 1), description="First day of the first month; the file does not keep it."
    )


class CanadianHdf5(Import):
    """An HDF5 file of PNG pictures, a record a point and month."""

    own_legend: ClassVar[str] = "canadian_cropland_10"

    start: datetime.date = Field(default=datetime.date(2019, 1, 1), description="Day 0 of the dates.")
    pictures: Bands = Field(
        default=("RGB", "NDVI45", "GNDVI"), min_length=1, description="Pictures that become bands, in this order."
    )
    minimum_dates: int | None = Field(default=3, ge=1, description="Dates with a value that a chip needs.")
    unmapped: Literal["refuse", "unknown"] = Field(
        default="unknown", description="Crops that the table lacks: an error, or unknown (left out and counted)."
    )


class SiameseGeotiff(Optical):
    """s1/{1..T}/<name>.tif, s2/{1..T}/<name>.tif, crop_map/<name>.tif."""

    own_legend: ClassVar[str] = "eucropmap"

    start: datetime.date = Field(description="First day of the first month, of all places alike.")
    crop: str | None = Field(
        default=None, description="Crop of a mask that marks one crop by any value above 0, in place of codes."
    )
    unlabelled: Literal["unknown", "background"] = Field(
        default="unknown", description="What pixels with the value 0 are; partial labels leave them unknown."
    )
    radar: Literal["sentinel1_ascending", "sentinel1_descending"] = Field(
        default="sentinel1_ascending", description="What s1 holds."
    )
    radiometry: Radiometry = Field(default="sigma0", description="Of s1.")

    @model_validator(mode="after")
    def _mask_or_codes(self) -> Self:
        if self.crop is not None and self.classes is not None:
            raise ValueError("crop says that crop_map is a mask, classes that it holds codes; expected one of them")
        return self


class Pastis(Optical):
    """DATA_S2/S2_<id>.npy, ANNOTATIONS/TARGET_<id>.npy, metadata.geojson, and of PASTIS-R DATA_S1A, DATA_S1D."""

    own_legend: ClassVar[str] = "pastis_18"

    start: datetime.date = Field(default=datetime.date(2018, 9, 1), description="Day 0 of the dates.")
    scale: float | None = Field(default=10_000, gt=0, description="Stored number of a reflectance of 1.")
    sensors: tuple[Literal["sentinel2", "sentinel1_ascending", "sentinel1_descending"], ...] = Field(
        default=("sentinel2",), min_length=1, description="What is read."
    )
    background: bool = Field(default=True, description="Class 0 is known not to be a crop; unknown otherwise.")
    radiometry: Radiometry = Field(default="sigma0", description="Of DATA_S1A and DATA_S1D.")


class Zuericrop(Optical):
    """An HDF5 file with data, gt, gt_instance, cloud_cover, and the labels.csv beside it."""

    own_legend: ClassVar[str] = "turkoglu"

    bands: Bands = Field(min_length=1, description="Bands of the file, in its order; later ones are not read.")
    scale: float | None = Field(default=10_000, gt=0, description="Stored number of a reflectance of 1.")
    labels: str = Field(description="The labels.csv of the data: columns GT, 1st_tier and 4th_tier_ENG.")
    start: datetime.date = Field(description="Day of the first date.")
    end: datetime.date = Field(description="Day of the last date; the file keeps none, those between are as far apart.")
    every: int = Field(default=2, ge=1, description="Read every n-th date; 2 is what was published.")
    maximum_cloud: float | None = Field(
        default=None, ge=0, description="Pixels whose cloud_cover reaches this have no value on that date."
    )


LAYOUT_SETTINGS: dict[str, type[Import]] = {
    "deep_crop_rotation": DeepCropRotation,
    "pse_tsa": PseTsaLayout,
    "temporal_unet_hdf5": TemporalUnetHdf5,
    "canadian_hdf5": CanadianHdf5,
    "siamese_geotiff": SiameseGeotiff,
    "pastis": Pastis,
    "zuericrop": Zuericrop,
}
