"""Whether parcels lie where their CRS is used: a wrong CRS puts a register elsewhere on the globe."""

from __future__ import annotations

import numpy as np
import pyproj
from numpy.typing import NDArray

from cropflow.errors import CropflowError

# UTM zones and the like are used a little beyond their area, for countries that reach over it.
MARGIN_DEGREES = 3.0


def check_place(crs: pyproj.CRS, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Refuse parcels whose middle lies far outside the area of use of their CRS.

    Args:
        crs: The CRS that the register declares.
        x: Centres of the parcels, units of the CRS, finite, ``(parcel,)``, at least one.
        y: The same of the other axis.

    Raises:
        CropflowError: If the median centre lies more than 3 degrees outside; nothing is said about a CRS without a
            known area.
    """
    area = crs.area_of_use
    if area is None:
        return
    middle = float(np.median(x)), float(np.median(y))
    longitude, latitude = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*middle)
    # Areas across the 180th meridian have a west that is greater than their east.
    width = (area.east - area.west) % 360 or 360
    beyond = (longitude - area.west + MARGIN_DEGREES) % 360
    inside = area.south - MARGIN_DEGREES <= latitude <= area.north + MARGIN_DEGREES
    if not (np.isfinite([longitude, latitude]).all() and inside and beyond <= width + 2 * MARGIN_DEGREES):
        raise CropflowError(
            f"The register declares {crs.name!r}, but its middle ({middle[0]:.6g}, {middle[1]:.6g}) lies at longitude "
            f"{longitude:.2f}, latitude {latitude:.2f}; expected {area.west:g} to {area.east:g} and {area.south:g} to "
            f"{area.north:g}, where that CRS is used. Declare the true one, for instance with ogr2ogr -a_srs."
        )
