"""The pixel grid of a site: one immutable value that is passed instead of five arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cropflow.errors import CropflowError

if TYPE_CHECKING:
    from affine import Affine


@dataclass(frozen=True)
class Grid:
    """A north-up pixel grid in a UTM zone, its origin at multiples of the pixel size.

    Attributes:
        epsg: EPSG code of the UTM zone.
        xmin: Left edge of the first column, metres.
        ymax: Upper edge of the first row, metres.
        height: Rows.
        width: Columns.
        pixel_m: Pixel size, metres.
    """

    epsg: int
    xmin: float
    ymax: float
    height: int
    width: int
    pixel_m: float

    def __post_init__(self) -> None:
        if self.height <= 0 or self.width <= 0:
            raise CropflowError(f"Grid of {self.height} x {self.width} pixels; expected at least 1 x 1.")
        for name, edge in (("xmin", self.xmin), ("ymax", self.ymax)):
            if not math.isclose(edge / self.pixel_m, round(edge / self.pixel_m), abs_tol=1e-6):
                raise CropflowError(f"Grid edge {name} is {edge} m; expected a multiple of {self.pixel_m} m.")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, ``(y, x)``."""
        return self.height, self.width

    @property
    def transform(self) -> Affine:
        """Affine transform of the upper-left corner, metres."""
        from affine import Affine

        return Affine(self.pixel_m, 0.0, self.xmin, 0.0, -self.pixel_m, self.ymax)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(xmin, ymin, xmax, ymax)``, metres."""
        return (
            self.xmin,
            self.ymax - self.height * self.pixel_m,
            self.xmin + self.width * self.pixel_m,
            self.ymax,
        )

    def coarsened(self, factor: int) -> Grid:
        """The grid of pixels ``factor`` times as large that covers this one, aligned to its own multiples."""
        return snapped_grid(self.bounds, self.epsg, self.pixel_m * factor)

    def window(self, row: int, column: int, height: int, width: int) -> Grid:
        """The part of the grid that starts at a row and column."""
        return Grid(
            self.epsg,
            self.xmin + column * self.pixel_m,
            self.ymax - row * self.pixel_m,
            height,
            width,
            self.pixel_m,
        )


def snapped_grid(bounds: tuple[float, float, float, float], epsg: int, pixel_m: float) -> Grid:
    """Cover bounds with whole pixels whose edges are multiples of the pixel size.

    Args:
        bounds: ``(xmin, ymin, xmax, ymax)``, metres in the CRS ``epsg``.
        epsg: EPSG code of the UTM zone.
        pixel_m: Pixel size, metres.
    """
    # Bounds already on the grid must not gain a pixel through rounding in the last digits.
    slack = 1e-6
    left = math.floor(bounds[0] / pixel_m + slack)
    right = math.ceil(bounds[2] / pixel_m - slack)
    bottom = math.floor(bounds[1] / pixel_m + slack)
    top = math.ceil(bounds[3] / pixel_m - slack)
    return Grid(epsg, left * pixel_m, top * pixel_m, top - bottom, right - left, pixel_m)


def utm_epsg(longitude: float, latitude: float) -> int:
    """EPSG code of the UTM zone of a point, Norway's and Svalbard's exceptions included.

    Args:
        longitude: Degrees east, [-180, 180].
        latitude: Degrees north, [-80, 84].

    Raises:
        CropflowError: Outside the range where UTM is defined.
    """
    if not (-180 <= longitude <= 180 and -80 <= latitude <= 84):
        raise CropflowError(
            f"Point at longitude {longitude}, latitude {latitude}; expected -180 to 180 and -80 to 84 (UTM)."
        )
    zone = min(int((longitude + 180) // 6) + 1, 60)
    if 56 <= latitude < 64 and 3 <= longitude < 12:
        zone = 32
    elif latitude >= 72 and 0 <= longitude < 42:
        zone = 31 if longitude < 9 else 33 if longitude < 21 else 35 if longitude < 33 else 37
    return (32600 if latitude >= 0 else 32700) + zone
