"""Parcels and hectares, counted so that parts add up to the whole exactly.

Sums of floats depend on their order. Areas are therefore counted in whole millionths of a hectare
(0.01 m2): read = kept + dropped can then be demanded to the last digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

DECIMALS = 6
_PER_HA = 1_000_000


def rounded_ha(area_ha: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round hectares to the unit in which they are counted."""
    return np.asarray(np.round(area_ha, DECIMALS), dtype=np.float64)


@dataclass(frozen=True, order=True)
class Count:
    """A number of parcels and their area.

    Attributes:
        parcels: Number of parcels.
        millionths: Area, millionths of a hectare.
    """

    parcels: int = 0
    millionths: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.parcels + other.parcels, self.millionths + other.millionths)

    def __str__(self) -> str:
        return f"{self.parcels} parcel{'s' * (self.parcels != 1)}, {self.hectares:.2f} ha"

    @property
    def hectares(self) -> float:
        """Area, hectares, six decimals."""
        return float(round(self.millionths / _PER_HA, DECIMALS))

    def as_json(self) -> dict[str, Any]:
        """``parcels`` and ``hectares``."""
        return {"parcels": self.parcels, "hectares": self.hectares}


def _millionths(area_ha: NDArray[np.float64]) -> NDArray[np.int64]:
    result: NDArray[np.int64] = np.rint(np.asarray(area_ha, dtype=np.float64) * _PER_HA).astype(np.int64)
    return result


def count(area_ha: NDArray[np.float64]) -> Count:
    """Count parcels by their areas, hectares."""
    return Count(len(area_ha), int(_millionths(area_ha).sum()))


def count_by(keys: pandas.Series | NDArray[Any], area_ha: NDArray[np.float64]) -> dict[Any, Count]:
    """Count parcels per key.

    Args:
        keys: One key per parcel, none missing.
        area_ha: Hectares, float64, ``(parcel,)``.

    Returns:
        Key -> count, keys ascending.

    Raises:
        ValueError: If a key is missing, for its parcels would be lost.
    """
    groups, names = pandas.factorize(pandas.Series(keys), sort=True)
    if (groups < 0).any():
        raise ValueError(f"{int((groups < 0).sum())} of {len(groups)} parcels have no key to count them under")
    parcels = np.bincount(groups, minlength=len(names))
    millionths = np.zeros(len(names), dtype=np.int64)
    np.add.at(millionths, groups, _millionths(area_ha))
    return {name: Count(int(n), int(area)) for name, n, area in zip(names.tolist(), parcels, millionths, strict=True)}


def count_rows(keys: pandas.DataFrame, area_ha: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Count parcels per combination of several keys.

    Args:
        keys: One text column per key, one row per parcel; a missing key counts as an empty text.
        area_ha: Hectares, float64, ``(parcel,)``.

    Returns:
        One row per combination, ascending: the keys, ``parcels`` and ``hectares``.
    """
    rows = pandas.Series(list(keys.astype(object).fillna("").itertuples(index=False, name=None)), dtype=object)
    return [
        dict(zip(keys.columns, row, strict=True)) | number.as_json() for row, number in count_by(rows, area_ha).items()
    ]


def total(counts: Iterable[Count]) -> Count:
    """Add counts up."""
    return sum(counts, Count())
