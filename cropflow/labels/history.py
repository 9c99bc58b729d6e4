"""Rotation history: what part of each parcel bore which crop, year by year, in the order of the years.

Three things are kept apart: a crop out of the legend's scope (0), a code that the table does not know (65534), and
ground that no earlier register covers (65535). The last is no crop: nobody knows what grew there.

Source of the idea: Quinton and Landrieu (2021), https://doi.org/10.3390/rs13224599, whose sum of earlier crops keeps
neither the order of the years nor what is unknown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.labels.counts import Count, count, count_by, rounded_ha
from cropflow.labels.mapping import OUT_OF_SCOPE, UNKNOWN
from cropflow.labels.overlay import added_by
from cropflow.labels.parcels import stripped

logger = logging.getLogger(__name__)

NOT_COVERED = 65535
NAMES = {OUT_OF_SCOPE: "out of scope", UNKNOWN: "unknown code", NOT_COVERED: "not covered"}
# Codes of second crops in parcels.parquet, where a register has them.
SECOND_CODES = ("crop_code_2", "crop_code_3")
# Sums of shares are exact to far less; what is left of a whole below this is no ground.
DUST = 1e-9


def shares_of_year(
    parcels: pandas.DataFrame, pieces: pandas.DataFrame, crops: pandas.DataFrame, season: str, lag: int
) -> pandas.DataFrame:
    """Add the pieces of each parcel up by the crop that they bore.

    Args:
        parcels: ``parcel_id`` str, in the order wanted.
        pieces: ``parcel_id``, ``earlier_id``, ``share``: what :func:`cropflow.labels.linking.link` found.
        crops: ``parcel_id`` (of the earlier season) and ``crop`` uint16; more rows of a parcel, and ``second``
            True, for its second crops.
        season: Name of the earlier season.
        lag: Years before.

    Returns:
        ``parcel_id``; ``season``; ``lag`` uint8; ``crop`` uint16 (0 out of scope, 65534 unknown code, 65535 not
        covered); ``second`` bool; ``share`` float64, of the parcel's area; ``known_share`` float64, the part
        that the earlier register covers. By parcel, main crops before second ones, then crop. Shares of the
        main crops of a parcel and that which is not covered add up to 1; second crops stand beside.

    Raises:
        CropflowError: If a piece names a parcel that ``parcels`` or ``crops`` do not have.
    """
    row = _rows(parcels["parcel_id"], pieces["parcel_id"], "season's parcels")
    main = crops[~crops["second"]]
    other = _rows(main["parcel_id"], pieces["earlier_id"], "earlier season's crops")
    share = pieces["share"].to_numpy(dtype=np.float64)
    known = np.minimum(added_by(row, share, len(parcels)), 1.0)
    known[known > 1 - DUST] = 1.0
    bare = np.flatnonzero(known < 1)
    found = [
        _added(row, main["crop"].to_numpy()[other], share, False),
        _frame(bare, np.full(len(bare), NOT_COVERED), 1 - known[bare], False),
    ]
    second = crops[crops["second"]]
    if len(second):
        linked = pandas.DataFrame({"row": row, "parcel_id": pieces["earlier_id"].to_numpy(), "share": share})
        linked = linked.merge(second, on="parcel_id")
        found.append(
            _added(linked["row"].to_numpy(), linked["crop"].to_numpy(), linked["share"].to_numpy(dtype=float), True)
        )
    table = pandas.concat(found, ignore_index=True).sort_values(["row", "second", "crop"], ignore_index=True)
    return _named(table, parcels, season, lag, known)


def unknown_year(parcels: pandas.DataFrame, season: str, lag: int) -> pandas.DataFrame:
    """A year of which nothing is known: all of every parcel is not covered.

    Args:
        parcels: ``parcel_id`` str, in the order wanted.
        season: Name of the season, empty where there is none.
        lag: Years before.

    Returns:
        As :func:`shares_of_year` has it.
    """
    rows = np.arange(len(parcels))
    table = _frame(rows, np.full(len(rows), NOT_COVERED), np.ones(len(rows)), False)
    return _named(table, parcels, season, lag, np.zeros(len(rows)))


def with_second_crops(
    crops: pandas.DataFrame, parcels: pandas.DataFrame, table: Mapping[str, int]
) -> tuple[pandas.DataFrame, dict[str, Any]]:
    """Add the second crops of a register to its main ones.

    Args:
        crops: ``parcel_id`` and ``crop`` uint16 of ``labels map``.
        parcels: ``parcel_id``, ``area_ha`` and, where the register has them, ``crop_code_2`` and ``crop_code_3``
            (empty or missing where there is none).
        table: Code -> id of the legend; 0 out of scope.

    Returns:
        ``parcel_id``, ``crop`` uint16 and ``second`` bool; a second crop that the table does not know is 65534.
        And the counts: ``declared`` and, by code, ``unknown``: parcels and hectares of the earlier season.
    """
    columns = [column for column in SECOND_CODES if column in parcels]
    rows = parcels.melt(["parcel_id", "area_ha"], columns, value_name="code")
    codes = stripped(rows["code"].astype("str"))
    held = (codes.notna() & (codes != "")).to_numpy(dtype=np.bool_)
    rows, codes = rows[held], codes[held]
    ids = np.array([table.get(code, UNKNOWN) for code in codes], dtype=np.uint16)
    area_ha = rows["area_ha"].to_numpy(dtype=np.float64)
    unknown = count_by(codes[ids == UNKNOWN], area_ha[ids == UNKNOWN])
    if unknown:
        told = listing(f"{code!r} ({number})" for code, number in unknown.items())
        logger.warning("the table does not know %d codes of second crops: %s", len(unknown), told)
    main = crops[["parcel_id", "crop"]].assign(second=False)
    # Two codes of one crop are one second crop: its share is counted once.
    second = pandas.DataFrame({"parcel_id": rows["parcel_id"], "crop": ids, "second": True}).drop_duplicates()
    counts = {
        "declared": count(area_ha).as_json(),
        "unknown": {code: number.as_json() for code, number in unknown.items()},
    }
    return pandas.concat([main, second], ignore_index=True), counts


def as_arrays(
    history: pandas.DataFrame, parcel_ids: Sequence[str], crops: Sequence[int], years: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Spread a history out into arrays, for models.

    Args:
        history: Rows of :func:`shares_of_year` and :func:`unknown_year`; second crops are left out.
        parcel_ids: Parcels wanted, each once.
        crops: Ids wanted, each once.
        years: How many years back; a year without rows is unknown.

    Returns:
        Shares, float32, ``(parcel, year, crop)``, and known shares, float32, ``(parcel, year)``; year 0 is
        the year before. Where a year is not known, both are 0: the second tells it from "no such crop".
    """
    main = history[~history["second"] & (history["lag"] <= years)]
    row = pandas.Index(parcel_ids).get_indexer(pandas.Index(main["parcel_id"]))
    column = pandas.Index(crops).get_indexer(pandas.Index(main["crop"]))
    year = main["lag"].to_numpy(dtype=np.int64) - 1
    shares = np.zeros((len(parcel_ids), years, len(crops)), dtype=np.float32)
    known = np.zeros((len(parcel_ids), years), dtype=np.float32)
    wanted = row >= 0
    known[row[wanted], year[wanted]] = main["known_share"].to_numpy()[wanted]
    wanted &= column >= 0
    shares[row[wanted], year[wanted], column[wanted]] = main["share"].to_numpy()[wanted]
    return shares, known


def summarise_year(table: pandas.DataFrame, area_ha: NDArray[np.float64], name: Callable[[int], str]) -> dict[str, Any]:
    """Hectares of a year by crop, which add up to those of the parcels.

    Args:
        table: The rows of one year, of :func:`shares_of_year`.
        area_ha: Areas of the parcels, hectares, in the order of ``table``, float64, ``(parcel,)``.
        name: Gives the name of an id of the legend.

    Returns:
        ``parcels`` in all; ``crops`` and ``second_crops`` (id -> ``name``, ``hectares``), with 0 out of scope,
        65534 unknown and 65535 not covered; ``fully_known`` and ``not_known``: numbers of parcels.

    Raises:
        RuntimeError: If the parts do not add up to the whole.
    """
    main = table[~table["second"]]
    row = pandas.factorize(main["parcel_id"])[0]
    parts = count_by(main["crop"], rounded_ha(main["share"].to_numpy() * area_ha[row]))
    second = table[table["second"]]
    row_of = pandas.Series(np.arange(len(area_ha)), index=pandas.unique(main["parcel_id"]))
    beside = count_by(second["crop"], second["share"].to_numpy() * area_ha[row_of[second["parcel_id"]].to_numpy()])
    whole, added = count(area_ha), sum(number.millionths for number in parts.values())
    # Each row is rounded by itself, by half a unit at most.
    if abs(whole.millionths - added) > len(main):
        raise RuntimeError(f"the parcels have {whole}, but a year's crops add up to {added / 1e6} ha")
    first = ~main["parcel_id"].duplicated().to_numpy()
    known = main["known_share"].to_numpy()[first]
    return {
        "parcels": whole.as_json(),
        "crops": _with_names(parts, name),
        "second_crops": _with_names(beside, name),
        "fully_known": int((known == 1).sum()),
        "not_known": int((known == 0).sum()),
    }


def _with_names(parts: Mapping[int, Count], name: Callable[[int], str]) -> dict[str, Any]:
    return {
        str(crop): {"name": NAMES.get(crop) or name(crop), "hectares": number.hectares}
        for crop, number in parts.items()
    }


def year_reason(lag: int, publication_lag: int) -> str:
    """Why nothing is known of a year, and a warning where nobody asked for it."""
    if lag <= publication_lag:
        return "the register is not out yet, says history.publication_lag"
    logger.warning("no season of the register lies %d years before: unknown for all parcels", lag)
    return "no season of the register lies so many years before"


def _rows(ids: pandas.Series, wanted: pandas.Series, what: str) -> NDArray[np.int64]:
    """Position of ids; an id that is not there means that files of different runs were mixed."""
    found = pandas.Index(ids).get_indexer(pandas.Index(wanted))
    if (found < 0).any():
        strange = wanted[found < 0]
        raise CropflowError(
            f"{len(strange)} of {len(wanted)} pieces name parcels that the {what} lack, such as {strange.iloc[0]!r}; "
            f"expected files of the same run. Run `labels overlay` again."
        )
    return np.asarray(found, dtype=np.int64)


def _added(
    row: NDArray[np.int64], crop: NDArray[np.uint16], share: NDArray[np.float64], second: bool
) -> pandas.DataFrame:
    """Shares added up by parcel and crop, in the order of the pieces."""
    order = np.lexsort((crop, row))
    row, crop, share = row[order], crop[order], share[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(row) != 0) | (np.diff(crop.astype(np.int64)) != 0)][: len(row)])
    total = np.add.reduceat(share, starts) if len(row) else share
    return _frame(row[starts], crop[starts], np.minimum(total, 1.0), second)


def _frame(row: NDArray[np.int64], crop: NDArray[Any], share: NDArray[np.float64], second: bool) -> pandas.DataFrame:
    return pandas.DataFrame({"row": row, "crop": crop.astype(np.uint16), "second": second, "share": share})


def _named(
    table: pandas.DataFrame, parcels: pandas.DataFrame, season: str, lag: int, known: NDArray[np.float64]
) -> pandas.DataFrame:
    row = table["row"].to_numpy()
    return pandas.DataFrame(
        {
            "parcel_id": parcels["parcel_id"].iloc[row].reset_index(drop=True),
            "season": pandas.Series(season, index=range(len(row)), dtype="str"),
            "lag": np.full(len(row), lag, dtype=np.uint8),
            "crop": table["crop"].to_numpy(),
            "second": table["second"].to_numpy(dtype=np.bool_),
            "share": table["share"].to_numpy(),
            "known_share": known[row],
        }
    )
