"""Fixtures of the labels room: small registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import geopandas
import pandas
import pytest
import shapely


@pytest.fixture
def square() -> Callable[..., shapely.Polygon]:
    """Squares in Lambert-93: ``square(0)``, ``square(1)``, ... lie beside each other with gaps."""

    def make(number: int, side_m: float = 100.0) -> shapely.Polygon:
        x, y = 700_000 + 200 * number, 6_600_000
        return shapely.box(x, y, x + side_m, y + side_m)

    return make


@pytest.fixture
def register() -> Callable[..., geopandas.GeoDataFrame]:
    """A register of (id, code, geometry) rows."""

    def make(*rows: tuple[str, str | None, Any], crs: str = "EPSG:2154") -> geopandas.GeoDataFrame:
        ids, codes, geometries = zip(*rows, strict=True) if rows else ((), (), ())
        return geopandas.GeoDataFrame(
            {
                "parcel_id": pandas.Series(list(ids), dtype="str"),
                "crop_code": pandas.Series(list(codes), dtype="str"),
            },
            geometry=list(geometries),
            crs=crs,
        )

    return make
