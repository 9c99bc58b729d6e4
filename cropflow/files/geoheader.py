"""What a GeoParquet file says of its geometries, in the header that every reader of it needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import pyarrow
import pyproj


@dataclass(frozen=True)
class GeoHeader:
    """The primary column of geometries.

    Attributes:
        column: Its name.
        crs: Its CRS; none where the file says that nobody knows it.
        encoding: ``WKB``, or the name of one of the encodings of GeoArrow, such as ``polygon``.
    """

    column: str
    crs: pyproj.CRS | None
    encoding: str


def geo_header(schema: pyarrow.Schema) -> GeoHeader | None:
    """The header of a parquet file; none where it is no GeoParquet.

    Source:
        GeoParquet 1.1, https://geoparquet.org/releases/v1.1.0.
    """
    described = (schema.metadata or {}).get(b"geo")
    return None if described is None else _parsed(described)


@cache
def _parsed(described: bytes) -> GeoHeader:
    # Kept, because a region with a thousand sites asks a thousand times.
    geo = json.loads(described)
    column = geo["columns"][geo["primary_column"]]
    # Without the key the specification says longitude and latitude; null says that nobody knows.
    crs = column.get("crs", "OGC:CRS84")
    return GeoHeader(
        str(geo["primary_column"]),
        None if crs is None else pyproj.CRS.from_user_input(crs),
        str(column.get("encoding", "WKB")),
    )
