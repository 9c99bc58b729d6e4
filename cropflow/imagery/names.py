"""What Sentinel-2 names say: product names, baselines, platforms, and the names providers give to bands."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The processing baseline from which stored values carry an offset of +1000 (ESA, 25 January 2022; reprocessed
# archives carry newer baselines on older dates, so the date says nothing).
FIRST_WITH_OFFSET = (4, 0)

_PRODUCT = re.compile(
    r"(?P<platform>S2[A-D])_MSIL2A_(?P<sensed>\d{8}T\d{6})"
    r"(?:_N(?P<major>\d\d)(?P<minor>\d\d))?(?:_R(?P<orbit>\d{3}))?(?:_T(?P<tile>\d\d[A-Z]{3}))?(?:_(?P<made>\d{8}T\d{6}))?"
)
_BASELINE = re.compile(r"^(\d{1,2})\.(\d{2})$")
_TILE = re.compile(r"(?<![A-Z0-9])(?:T|MGRS-)?(\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?![A-Z0-9])")

# Earth Search names bands by colour, Copernicus Data Space adds the resolution.
_COMMON = {
    "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3",
    "B08": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22", "SCL": "scl",
}  # fmt: skip
NATIVE_10M = frozenset({"B02", "B03", "B04", "B08"})


@dataclass(frozen=True)
class ProductName:
    """The parts of a product name; empty or -1 where it does not say.

    Attributes:
        platform: Such as ``sentinel-2a``.
        baseline: Such as ``02.08``.
        relative_orbit: 1..143, -1 where unknown.
        tile: MGRS tile without the leading T, such as ``31TEJ``.
        made: Time of processing, ``YYYYMMDDTHHMMSS``.
    """

    platform: str = ""
    baseline: str = ""
    relative_orbit: int = -1
    tile: str = ""
    made: str = ""


def read_product_name(text: str) -> ProductName:
    """Read a product name such as ``S2A_MSIL2A_20180627T104021_N0208_R008_T31TEJ_20180627T143337``."""
    found = _PRODUCT.search(text)
    if found is None:
        return ProductName()
    return ProductName(
        platform=f"sentinel-2{found['platform'][2].lower()}",
        baseline=f"{found['major']}.{found['minor']}" if found["major"] else "",
        relative_orbit=int(found["orbit"]) if found["orbit"] else -1,
        tile=found["tile"] or "",
        made=found["made"] or "",
    )


def read_tile(text: str) -> str:
    """The MGRS tile in a text such as ``MGRS-31TEJ`` or ``T31TEJ``, two digits first; empty where there is none."""
    found = _TILE.search(text)
    return found[1].zfill(5) if found else ""


def read_baseline(text: str) -> str:
    """A processing baseline as ``NN.NN``; empty where the text is none."""
    found = _BASELINE.match(text.strip())
    return f"{int(found[1]):02d}.{found[2]}" if found else ""


def has_offset(baseline: str) -> bool:
    """Whether the values of a processing baseline carry the offset of +1000."""
    major, minor = baseline.split(".")
    return (int(major), int(minor)) >= FIRST_WITH_OFFSET


def band_aliases(band: str) -> tuple[str, ...]:
    """The names under which providers offer a band or the SCL, the most exact first."""
    native = 10 if band in NATIVE_10M else 20
    return (band, f"{band}_{native}m", _COMMON[band])
