"""The folds of samples on their way into a layout: a unit lies in one fold, and a table says which."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cropflow.files.atomic import write_text
from cropflow.samples.labels import NO_FOLD
from cropflow.samples.layouts.opening import Opened

log = logging.getLogger(__name__)

# Patches whose folds are read at once.
AT_ONCE = 64


def folds_of(samples: Opened) -> NDArray[np.int64]:
    """The fold of each sample, int64, ``(N,)``; -1 where it has none, or its pixels are of several."""
    if "fold" in samples.table:
        told = samples.table["fold"].to_numpy(np.int64)
        return np.where(told == NO_FOLD, -1, told)
    layers = samples.array("folds")
    found = np.full(len(layers), -1, dtype=np.int64)
    for first in range(0, len(layers), AT_ONCE):
        for number, layer in enumerate(layers[first : first + AT_ONCE], start=first):
            some = np.unique(layer[layer != NO_FOLD])
            if len(some) == 1:
                found[number] = some[0]
    return found


def units_of(samples: Opened, folds: NDArray[np.int64]) -> list[str]:
    """What an import keeps together: the site of each sample, and of a site in several folds its part in each.

    Args:
        samples: The samples.
        folds: Of each sample, -1 for none.

    Returns:
        Names of units, ``site`` or ``site-fold<number>``.
    """
    sites = samples.table["site"].astype(str)
    several = {site for site, found in samples.table.groupby(sites).groups.items() if len(set(folds[found])) > 1}
    if several and (folds < 0).any():
        return list(sites)
    return [f"{site}-fold{fold}" if site in several else site for site, fold in zip(sites, folds, strict=True)]


def write_folds(path: Path, units: Sequence[str], folds: NDArray[np.int64]) -> None:
    """Write the table ``unit,fold`` that ``folds.table`` of an import reads; none where a unit has not one fold.

    Args:
        path: CSV file to write.
        units: Unit of each sample.
        folds: Its fold, -1 for none.
    """
    pairs = sorted(set(zip(units, folds.tolist(), strict=True)))
    if len({unit for unit, _ in pairs}) < len(pairs) or any(fold < 0 for _, fold in pairs):
        log.warning(
            "%s is not written: samples, or units that the layout keeps together, lie in no fold or several", path.name
        )
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("unit", "fold"), *pairs])
    write_text(path, text.getvalue())
    log.info("%s gives %d units their %d folds", path.name, len(pairs), len({fold for _, fold in pairs}))
