"""Fixtures of the labels room: a misbehaving server, small registers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas
import pandas
import pytest
import shapely


@pytest.fixture(scope="session")
def flaky_http(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("flaky_http", root / "tests" / "servers" / "flaky_http.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(flaky_http: ModuleType) -> Iterator[Any]:
    with flaky_http.FlakyServer() as running:
        yield running


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
