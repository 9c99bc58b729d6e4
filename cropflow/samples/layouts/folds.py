"""Which fold each place of a published layout belongs to: as a table says, or dealt out whole."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from cropflow.config.layouts import ImportFolds, PlacelessFolds
from cropflow.errors import CropflowError, listing, refuse
from cropflow.labels.rows import read_rows, whole_number

log = logging.getLogger(__name__)


def assign_units(sizes: Mapping[str, int], settings: ImportFolds, what: str) -> dict[str, int]:
    """Give every unit a fold.

    Args:
        sizes: Unit -> samples.
        settings: Number of folds, and the table that says it.
        what: What the units are, for messages, such as ``zones``.

    Returns:
        Unit -> fold. Without a table the largest unit comes first, and each goes to the fold that has the fewest
        samples; between equals a hash of the name decides. The order of the files does not matter.

    Raises:
        CropflowError: If there are fewer units than folds, or the table lacks a unit or has a fold beyond the last.
    """
    if settings.table is not None:
        return _read(Path(settings.table), sizes, settings.count, what)
    if len(sizes) < settings.count:
        fewer = "Lower folds.count (3 or more), or import" if len(sizes) >= 3 else "Import"
        number = f"{len(sizes)} {what if len(sizes) != 1 else what.removesuffix('s')} ({listing(sizes, 5)})"
        raise CropflowError(
            f"The files hold {number}; expected at least {settings.count}, one for each of folds.count. {fewer} more "
            f"{what}; or say the fold of each in folds.table, a CSV file unit,fold such as the folds.csv of an export."
        )
    load = [0] * settings.count
    dealt: dict[str, int] = {}
    for unit in sorted(sizes, key=lambda name: (-sizes[name], hashlib.sha256(name.encode()).digest())):
        dealt[unit] = load.index(min(load))
        load[dealt[unit]] += sizes[unit]
    log.info("%d %s in %d folds with %s samples", len(sizes), what, settings.count, ", ".join(map(str, load)))
    return dealt


def assign_placeless(ids: Mapping[str, int], settings: PlacelessFolds, layout: str) -> dict[str, int]:
    """Give every sample of a layout that keeps no places a fold, once the user says how.

    Args:
        ids: Sample -> 1.
        settings: Number of folds, and the table that says it.
        layout: Name of the layout.

    Raises:
        CropflowError: If neither a table is given nor single samples are accepted as units.
    """
    if settings.table is None and settings.unit != "sample":
        raise CropflowError(
            f"{layout} keeps no places, so that neighbours cannot be kept in one fold; expected folds.table, a CSV "
            "file unit,fold by sample id, such as META/folds.csv of an export. Or set folds.unit to sample: scores "
            "will flatter."
        )
    if settings.table is None:
        log.warning("samples are dealt out one by one: neighbours lie in different folds, and scores will flatter")
    return assign_units(ids, settings, "samples")


def _read(path: Path, units: Mapping[str, int], count: int, what: str) -> dict[str, int]:
    folds: dict[str, int] = {}
    for line, row in read_rows(path, ("unit", "fold")):
        fold = whole_number(row["fold"], f"fold of {path.name}, line {line}")
        if fold >= count:
            refuse(f"The fold of {path.name}, line {line}", fold, f"0 to {count - 1}", "folds.count says how many.")
        if folds.setdefault(row["unit"], fold) != fold:
            raise CropflowError(f"{path.name}, line {line}: {row['unit']!r} has fold {folds[row['unit']]} already.")
    lacking = sorted(set(units) - set(folds))
    if lacking:
        raise CropflowError(
            f"{path.name} gives no fold to {len(lacking)} of {len(units)} {what}, such as {listing(lacking, 3)}. "
            "Add their rows."
        )
    return {unit: folds[unit] for unit in units}
