"""What GDAL says of a raster that it cannot read."""

from __future__ import annotations


def gdal_reason(error: Exception) -> str:
    """The reason of a failure: that of the error below it where the error itself only points there, else its own."""
    return " ".join(str(error.__cause__ or error).split()).removesuffix(".")
