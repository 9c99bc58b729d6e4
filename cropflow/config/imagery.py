"""The config sections of imagery and series: where scenes come from, and how they become composites."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cropflow.config.addresses import check_service
from cropflow.config.base import Name, Section
from cropflow.config.texts import BASELINE, DAY_OF_YEAR

Sentinel2Band = Literal["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
SENTINEL2_BANDS: tuple[Sentinel2Band, ...] = (
    "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12",
)  # fmt: skip
BANDS_10M = frozenset({"B02", "B03", "B04", "B08"})
Sensor = Literal["sentinel2", "sentinel1_ascending", "sentinel1_descending"]
Family = Literal["sentinel2", "sentinel1"]
Index = Literal["NDVI", "GNDVI", "NDVI45", "OSAVI", "PSRI", "EVI", "NDWI"]
INDEX_BANDS: dict[Index, tuple[Sentinel2Band, ...]] = {
    "NDVI": ("B04", "B08"),
    "GNDVI": ("B03", "B08"),
    "NDVI45": ("B04", "B05"),
    "OSAVI": ("B04", "B08"),
    "PSRI": ("B02", "B04", "B06"),
    "EVI": ("B02", "B04", "B08"),
    "NDWI": ("B03", "B08"),
}
# Known services whose Sentinel-1 is plain GRD alone, uncalibrated and in radar geometry.
PLAIN_RADAR = ("earth-search", "copernicus")
SHADOW_BANDS: tuple[Sentinel2Band, ...] = ("B03", "B08", "B11")


class Budget(Section):
    """What an export may cost; the plan stops a run that would exceed it."""

    gib: float | None = Field(default=None, gt=0, description="Bytes fetched, GiB.")
    requests: int | None = Field(default=None, ge=1, description="Requests to the service.")
    minutes: float | None = Field(default=None, gt=0, description="Estimated time of the export, minutes.")
    eecu_hours: float | None = Field(
        default=150.0, gt=0, description="Earth Engine compute units, hours; the free tier has 150 a month."
    )


class Imagery(Section):
    """Where scenes come from and which are taken."""

    source: Literal["items", "safe", "stac", "earth_engine"] = Field(
        description="items: STAC item collections on disk; safe: a folder of Sentinel-2 SAFE products; "
        "stac: a STAC API, or an item collection behind an address; earth_engine: Google Earth Engine."
    )
    simulation: Name | None = Field(default=None, description="items: read the archive of this simulation.")
    path: str | None = Field(
        default=None, description="items, safe: file or folder, relative to the working directory."
    )
    provider: Literal["earth-search", "planetary-computer", "copernicus"] | None = Field(
        default=None, description="stac: a known service, with its collections and its way to sign addresses."
    )
    url: Annotated[str, AfterValidator(check_service)] | None = Field(
        default=None, description="stac: address of any other API, or of an item collection."
    )
    collections: dict[Family, str] = Field(
        default={}, description="stac, earth_engine: collections in place of the usual ones."
    )
    sensors: tuple[Sensor, ...] = Field(default=("sentinel2",), min_length=1, description="What is fetched.")
    bands: tuple[Sentinel2Band, ...] = Field(
        default=SENTINEL2_BANDS, min_length=1, description="Sentinel-2 bands, in this order."
    )
    maximum_cloud_percent: float = Field(
        default=100.0, ge=0, le=100, description="Sentinel-2 scenes whose metadata say more cloud are dropped."
    )
    assume_baseline: str | None = Field(
        default=None,
        pattern=BASELINE,
        description="Processing baseline of Sentinel-2 records that carry none, such as '02.07'.",
    )
    cloud_score: bool = Field(default=False, description="earth_engine: fetch Cloud Score+ beside the scene classes.")
    assume_radiometry: Literal["sigma0", "gamma0"] | None = Field(
        default=None, description="Radiometry of Sentinel-1 records that do not tell theirs."
    )
    relative_orbits: tuple[Annotated[int, Field(ge=1, le=175)], ...] = Field(
        default=(), description="Sentinel-1: only these relative orbits; all where empty."
    )
    reduce: Literal["local", "server"] = Field(
        default="local",
        description="earth_engine: where scenes are masked and composited. server: only composites are fetched.",
    )
    requests_at_once: int = Field(default=8, ge=1, le=40, description="Requests in flight, at most.")
    requests_per_second: float = Field(default=20.0, gt=0, le=100, description="Requests a second, at most.")
    minimum_complete: float = Field(
        default=0.95, ge=0, le=1, description="The export fails where a smaller share of what was planned arrived."
    )
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._check_place()
        if len(set(self.bands)) != len(self.bands):
            raise ValueError(f"bands {list(self.bands)} name a band twice")
        if len(set(self.sensors)) != len(self.sensors):
            raise ValueError(f"sensors {list(self.sensors)} name a sensor twice")
        if self.source == "safe" and self.sensors != ("sentinel2",):
            raise ValueError(f"sensors is {list(self.sensors)}; source safe has sentinel2 alone")
        if self.source != "earth_engine":
            for key, chosen in (("cloud_score", self.cloud_score), ("reduce", self.reduce == "server")):
                if chosen:
                    raise ValueError(f"{key} needs source earth_engine; found source {self.source}")
        self._check_used()
        return self

    def _check_used(self) -> None:
        """Refuse options that no sensor of the entry looks at: they would be passed over in silence."""
        radar = any(sensor != "sentinel2" for sensor in self.sensors)
        unused: tuple[str, ...] = () if radar else ("relative_orbits", "assume_radiometry")
        if "sentinel2" not in self.sensors:
            unused = ("maximum_cloud_percent", "assume_baseline", "cloud_score")
        needed = "sentinel2" if radar else "a sensor of Sentinel-1"
        for key in unused:
            value = getattr(self, key)
            if value != type(self).model_fields[key].default:
                raise ValueError(f"{key} is {value!r} and sensors {list(self.sensors)}; expected {needed} among them")
        if self.source == "earth_engine" and self.assume_radiometry and "sentinel1" not in self.collections:
            raise ValueError(
                f"assume_radiometry is {self.assume_radiometry!r}, and Earth Engine's own Sentinel-1 is sigma0; "
                "expected none, or sentinel1 among collections"
            )

    def _check_place(self) -> None:
        """Each source has its own way to say where."""
        given = [key for key in ("simulation", "path", "provider", "url") if getattr(self, key) is not None]
        allowed = {
            "items": ("simulation", "path"),
            "safe": ("path",),
            "stac": ("provider", "url"),
            "earth_engine": (),
        }[self.source]
        wrong = [key for key in given if key not in allowed]
        if wrong:
            raise ValueError(f"{wrong[0]} does not go with source {self.source}; expected {_either(allowed)}")
        if allowed and len(given) != 1:
            raise ValueError(f"give exactly one of {' and '.join(allowed)}")
        if self.collections and self.source not in ("stac", "earth_engine"):
            raise ValueError(f"collections does not go with source {self.source}; expected none")
        radar = [sensor for sensor in self.sensors if sensor != "sentinel2"]
        if radar and self.provider in PLAIN_RADAR and "sentinel1" not in self.collections:
            raise ValueError(
                f"provider is {self.provider!r} and sensors name {' and '.join(radar)}, of which it has no usable "
                "collection: its Sentinel-1 is plain GRD; expected provider planetary-computer, no radar, or a "
                "calibrated collection as collections.sentinel1"
            )


def _either(keys: tuple[str, ...]) -> str:
    return " or ".join(keys) if keys else "none of simulation, path, provider and url"


class Mask(Section):
    """Which Sentinel-2 observations count."""

    classes: tuple[Annotated[int, Field(ge=1, le=11)], ...] = Field(
        default=(4, 5, 6, 7), min_length=1, description="Scene classes that count as clear."
    )
    tiered: bool = Field(
        default=False,
        description="Class 7 counts only where a period has nothing else, flagged: half of it is hazy.",
    )
    erode_m: float = Field(
        default=0.0, ge=0, le=1000, description="What is masked shrinks by this radius first, metres: no specks."
    )
    dilate_m: float = Field(default=0.0, ge=0, le=1000, description="What is masked then grows by this radius, metres.")
    shadows: bool = Field(
        default=False, description="Also mask dark pixels where a cloud's shadow may fall; needs B03, B08 and B11."
    )
    cloud_score: float | None = Field(
        default=None, gt=0, lt=1, description="Least Cloud Score+ of a clear pixel; needs imagery.<name>.cloud_score."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.tiered and 7 not in self.classes:
            raise ValueError(f"tiered needs class 7 among classes; found {list(self.classes)}")
        return self


class Radar(Section):
    """How Sentinel-1 scenes become composites: means in linear power, stored in dB."""

    orbits: Literal["best", "each", "normalised"] = Field(
        default="best",
        description="best: the relative orbit with most scenes; each: one pair of bands per relative orbit; "
        "normalised: all orbits, sigma0 brought to one incidence angle, gamma0 as it is.",
    )
    reference_angle_degrees: float = Field(
        default=38.0, ge=20, le=50, description="normalised: the incidence angle that values are brought to."
    )
    speckle: Literal["none", "multitemporal"] = Field(
        default="none",
        description="multitemporal: each scene's mean over a window times the pixel's mean ratio to it over time.",
    )
    speckle_window_m: float = Field(default=70.0, gt=0, le=500, description="Side of the filter's window, metres.")
    speckle_days: int = Field(default=60, ge=1, le=366, description="Neighbours in time, days before and after.")
    difference: bool = Field(default=False, description="Add the derived band VH-VV, dB.")


class HarvestWindow(Section):
    """Months before a crop's harvest, site by site: the window that the register's crop calendar gives a province."""

    crop: str = Field(min_length=1, description="Crop that is asked for, one of the calendar's.")
    calendar: str | None = Field(default=None, description="Its sheet in the workbook, where the crop has several.")


class Series(Section):
    """How scenes become an evenly spaced series."""

    period: Literal["month", "half-month", "dekad", "days", "acquisitions"] = Field(
        default="month",
        description="Length of one composite; acquisitions: none, the scenes themselves with their dates.",
    )
    period_days: int | None = Field(default=None, ge=1, le=366, description="days: length of one composite.")
    statistic: Literal["median", "mean", "medoid", "max_ndvi"] = Field(
        default="median", description="Sentinel-2 over the clear observations of a period."
    )
    pair: Literal["mean", "darker"] = Field(
        default="mean", description="Median of exactly two observations: their mean, or the one with the lower blue."
    )
    mask: Mask = Mask()
    radar: Radar = Radar()
    indices: tuple[Index, ...] = Field(default=(), description="Derived bands, appended to Sentinel-2's.")
    fill: Literal["neighbours", "linear", "none"] = Field(
        default="neighbours",
        description="Gap rule: mean of the nearest valid periods before and after, linear in time, or none.",
    )
    max_gap: int = Field(default=3, ge=0, description="Longer runs of missing periods stay nodata, edges included.")
    cut: str | None = Field(
        default=None,
        pattern=DAY_OF_YEAR,
        description="Last day that is seen, as MM-DD, the first such day of the season: scenes after it are left out "
        "before anything else.",
    )
    window: HarvestWindow | None = Field(
        default=None, description="The months of registers.<name>.calendar.window in place of the season."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.period == "days" and self.period_days is None:
            raise ValueError(
                "period is 'days' and period_days is missing; expected the days of one composite, such as 10"
            )
        if self.period != "days" and self.period_days is not None:
            raise ValueError(
                f"period_days is {self.period_days} and period {self.period!r}; expected period 'days', or no "
                "period_days"
            )
        if self.pair == "darker" and self.statistic != "median":
            raise ValueError(f"pair darker goes with statistic median; found {self.statistic}")
        if len(set(self.indices)) != len(self.indices):
            raise ValueError(f"indices {list(self.indices)} name an index twice")
        if self.window is not None and (self.period != "month" or self.cut is not None):
            raise ValueError("window has months of its own; expected period month and no cut")
        return self

    def needed_bands(self) -> dict[str, tuple[Sentinel2Band, ...]]:
        """Bands that options of a series need, by the key of the option."""
        needed: dict[str, tuple[Sentinel2Band, ...]] = {
            f"indices {index}": INDEX_BANDS[index] for index in self.indices
        }
        if self.statistic == "max_ndvi":
            needed["statistic max_ndvi"] = INDEX_BANDS["NDVI"]
        if self.pair == "darker":
            needed["pair darker"] = ("B02",)
        if self.mask.shadows:
            needed["mask.shadows"] = SHADOW_BANDS
        return needed
