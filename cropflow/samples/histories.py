"""The rotation history of the parcels that are samples, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.files.tables import read_table
from cropflow.labels.history import as_arrays

_PARCELS = 65_536  # spread out at a time
COLUMNS = ["parcel_id", "lag", "crop", "second", "share", "known_share"]


def read_history(
    path: Path, parcel_ids: Sequence[str], crops: Sequence[int], lags: int, target: Path | None = None
) -> NDArray[np.float32]:
    """Read what grew on parcels in earlier seasons, by the parcels' names: never by their order in a table.

    Args:
        path: History of the register's season in the legend of the samples.
        parcel_ids: Parcel of each sample; a parcel cut by a border of sites is named more than once.
        crops: Ids of the legend, in the order wanted.
        lags: Years back.
        target: ``.npy`` to write, mapped into memory: with legends of hundreds of crops the shares of a country are
            larger than that. In memory alone where absent.

    Returns:
        Area shares, float32, ``(sample, lag, crop + 1)``, the year before first; the last column is the share that
        nobody knows or that bore another crop. Each year of a parcel adds up to 1.

    Raises:
        CropflowError: If the file is missing, lacks a parcel, or looks back less far.
    """
    if not path.is_file():
        raise CropflowError(f"{path} is missing; expected the history of the parcels. Run the rule labels_history.")
    table = read_table(path, COLUMNS)
    found = int(table["lag"].max()) if len(table) else 0
    if found < lags:
        raise CropflowError(
            f"{path} looks back {found} years; sets.<name>.history asks for {lags}. Raise "
            "registers.<name>.history.years, or lower sets.<name>.history."
        )
    unique = pandas.Index(parcel_ids).unique()
    missing = unique[~unique.isin(table["parcel_id"].unique())]
    if len(missing):
        raise CropflowError(
            f"{path} lacks {len(missing)} of {len(unique)} parcels, such as {listing(missing, 3)}; expected every one. "
            "Run labels_history again."
        )
    shape = (len(parcel_ids), lags, len(crops) + 1)
    result: NDArray[np.float32] = (
        np.zeros(shape, dtype=np.float32)
        if target is None
        else np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=shape)
    )
    owner = unique.get_indexer(pandas.Index(table["parcel_id"]))
    # A table of a region, of which a site wants a part.
    wanted = np.flatnonzero(owner >= 0)
    order = wanted[np.argsort(owner[wanted], kind="stable")]
    table, owner = table.iloc[order], owner[order]
    sample_of = unique.get_indexer(pandas.Index(parcel_ids))
    for start in range(0, len(unique), _PARCELS):
        some = unique[start : start + _PARCELS]
        first, last = np.searchsorted(owner, [start, start + len(some)])
        shares, _ = as_arrays(table.iloc[first:last], list(some), crops, lags)
        samples = np.flatnonzero((sample_of >= start) & (sample_of < start + len(some)))
        known = shares[sample_of[samples] - start]
        result[samples, :, :-1] = known
        result[samples, :, -1] = np.clip(1 - known.sum(axis=2), 0, 1)
    return result
