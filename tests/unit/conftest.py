"""Fixtures that several rooms' tests use: small maps of classes, and a server of ranges."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

# Pixels of 10 m in the projection of EUCROPMAP, in the south of Paris.
LAEA = {"crs": "EPSG:3035", "transform": Affine(10.0, 0.0, 3_760_000.0, 0.0, -10.0, 2_880_000.0)}


@pytest.fixture
def class_map(tmp_path: Path) -> Callable[..., Path]:
    """Write a map of classes as GeoTIFF: ``class_map(values, nodata=0, crs=..., transform=..., name=...)``."""

    def write(values: Any, dtype: str = "uint16", name: str = "map.tif", **profile: Any) -> Path:
        stack = np.asarray(values, dtype=dtype)
        stack = stack[np.newaxis] if stack.ndim == 2 else stack
        path = tmp_path / name
        settings = LAEA | {"driver": "GTiff", "nodata": 0, "compress": "deflate"} | profile
        with rasterio.open(
            path, "w", dtype=dtype, count=stack.shape[0], height=stack.shape[1], width=stack.shape[2], **settings
        ) as raster:
            raster.write(stack)
        return path

    return write


@pytest.fixture
def ranges(root: Path) -> Iterator[Any]:
    """A server on the loopback that answers ranges; see ``tests/servers/ranges_http.py``."""
    spec = importlib.util.spec_from_file_location("ranges_http", root / "tests" / "servers" / "ranges_http.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.RangeServer() as running:
        yield running


@pytest.fixture
def earth_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A stand-in for Earth Engine on the loopback; see ``tests/servers/earth_engine_http.py``."""
    import earth_engine_http
    import ee

    from cropflow.files import earth_engine_calls, remote

    ee.Reset()
    with earth_engine_http.EarthEngineServer() as running:
        monkeypatch.setenv(earth_engine_calls.ADDRESS, running.url)
        monkeypatch.setenv(earth_engine_calls.PROJECT, "mine")
        monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
        monkeypatch.setattr(remote, "LONGEST_WAIT_S", 0.02)
        yield running
    ee.Reset()
