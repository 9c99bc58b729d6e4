from __future__ import annotations

from cropflow.files.gdal_errors import gdal_reason


def test_the_error_below_tells_the_reason():
    error = OSError("Read failed. See previous exception for details.")
    error.__cause__ = ValueError("block 3 is\n  truncated.")
    assert gdal_reason(error) == "block 3 is truncated"


def test_an_error_with_nothing_below_tells_its_own():
    assert gdal_reason(OSError("no such band.")) == "no such band"
