"""Map a register's codes to the crops of a legend; no code is lost without being named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.labels.counts import Count, count, count_by, total
from cropflow.labels.hierarchy import LARGEST_ID
from cropflow.labels.parcels import stripped
from cropflow.labels.tables import OUT_OF_SCOPE, UNKNOWN

__all__ = ["OUT_OF_SCOPE", "UNKNOWN", "map_codes", "rare_crops", "summarise"]

logger = logging.getLogger(__name__)


def map_codes(
    parcels: pandas.DataFrame,
    table: Mapping[str, int],
    unmapped: Literal["stop", "unknown"] = "stop",
    name: str = "",
    elsewhere: Callable[[Collection[str]], Mapping[str, int]] = lambda codes: {},
) -> NDArray[np.uint16]:
    """Look the crop of every parcel up.

    Args:
        parcels: ``crop_code`` str, none missing, blanks around it allowed; ``area_ha``, hectares.
        table: Code without blanks -> id of the legend, 1 to 65533; 0 where the code is out of its scope, 65534
            where it is ignored.
        unmapped: What to do with codes that the table does not have: stop, or label them unknown.
        name: Name of the table, for messages.
        elsewhere: Says how many of some codes other tables have, by their names: asked only where codes stop the run.

    Returns:
        Ids of the legend, uint16, ``(parcel,)``: 0 = out of scope, 65534 = unknown.

    Raises:
        CropflowError: If the table does not have all codes and ``unmapped`` is stop; it lists them with
            their parcels and hectares, the largest first.
        ValueError: If a code is missing or an id is no id.
    """
    wrong = {code: crop for code, crop in table.items() if crop != UNKNOWN and not 0 <= crop <= LARGEST_ID}
    if wrong:
        raise ValueError(f"table has ids outside 0 to {LARGEST_ID} that are not {UNKNOWN} either: {wrong}")
    codes = stripped(parcels["crop_code"])
    if codes.isna().any():
        raise ValueError(f"{int(codes.isna().sum())} of {len(codes)} parcels have no code")
    groups, names = pandas.factorize(codes)
    crops = np.array([table.get(name, UNKNOWN) for name in names], dtype=np.uint16)
    result: NDArray[np.uint16] = crops[groups] if len(groups) else np.empty(0, dtype=np.uint16)
    lacking = np.array([name not in table for name in names], dtype=np.bool_)
    if lacking.any():
        unknown = lacking[groups]
        counts = count_by(codes[unknown], parcels["area_ha"].to_numpy()[unknown])
        problem = _unknown(counts, f"The table {name!r}" if name else "The table", len(names), parcels)
        if unmapped == "stop":
            raise CropflowError(f"{problem}. {_way_out(len(counts), elsewhere(set(counts)))}")
        logger.warning("%s; they are labelled unknown", problem)
    return result


def _unknown(counts: Mapping[str, Count], table: str, all_codes: int, parcels: pandas.DataFrame) -> str:
    largest = sorted(counts, key=lambda code: (-counts[code].millionths, code))
    told = listing((f"{code!r} ({counts[code]})" for code in largest), 50)
    return (
        f"{table} does not know {len(counts)} of the register's {all_codes} codes, "
        f"{total(counts.values())} of {count(parcels['area_ha'].to_numpy())}: {told}"
    )


def _way_out(codes: int, others: Mapping[str, int]) -> str:
    best = max(others, key=lambda name: (others[name], name), default="")
    if best and others[best] > codes / 2:
        return f"The table {best!r} knows {others[best]} of them: is it the `table` of this register?"
    return "Add them to a table of your own and name it as `table` of the register, or set `unmapped: unknown`."


def rare_crops(crops: NDArray[np.uint16], area_ha: NDArray[np.float64], minimum_share_percent: float) -> set[int]:
    """Find the crops that cover less than a share of the area of all crops.

    Args:
        crops: Ids of the legend, uint16, ``(parcel,)``, as :func:`map_codes` returns them.
        area_ha: Hectares, float64, ``(parcel,)``.
        minimum_share_percent: The share, 0 to 100; parcels out of scope and unknown ones count for nothing.

    Returns:
        Ids of the rare crops.
    """
    listed = (crops != OUT_OF_SCOPE) & (crops != UNKNOWN)
    counts = count_by(crops[listed], area_ha[listed])
    whole = total(counts.values()).millionths
    return {int(crop) for crop, found in counts.items() if 100 * found.millionths < minimum_share_percent * whole}


def summarise(
    parcels: pandas.DataFrame,
    crops: NDArray[np.uint16],
    name: Callable[[int], str],
    ignored: Collection[str] = (),
    rare: Collection[int] = (),
) -> dict[str, Any]:
    """Count what the mapping made of the parcels.

    Args:
        parcels: ``crop_code``, ``area_ha``.
        crops: Ids of the legend, uint16, ``(parcel,)``, as :func:`map_codes` returns them.
        name: Gives the name of an id.
        ignored: Codes that the table says to ignore.
        rare: Ids of crops that are left out because they are rare.

    Returns:
        ``total``; ``crops`` and ``rare`` (id -> ``name``, ``parcels``, ``hectares``); ``out_of_scope``, ``ignored``
        and ``unknown`` (code without blanks -> ``parcels``, ``hectares``); ``codes_with_blanks``: parcels whose code
        has blanks around it.

    Raises:
        ValueError: If there are not as many crops as parcels.
        RuntimeError: If the parts do not add up to the total.
    """
    if len(parcels) != len(crops):
        raise ValueError(f"{len(parcels)} parcels, but {len(crops)} crops")
    area_ha = parcels["area_ha"].to_numpy()
    codes = stripped(parcels["crop_code"])
    out_of_scope = crops == OUT_OF_SCOPE
    told = crops == UNKNOWN
    told[told] = codes[told].isin(list(ignored))
    unknown = (crops == UNKNOWN) & ~told
    few = np.isin(crops, np.array(sorted(rare), dtype=np.uint16))
    listed = ~(out_of_scope | unknown | told | few)
    parts = {
        "crops": count_by(crops[listed], area_ha[listed]),
        "rare": count_by(crops[few], area_ha[few]),
        "out_of_scope": count_by(codes[out_of_scope], area_ha[out_of_scope]),
        "ignored": count_by(codes[told], area_ha[told]),
        "unknown": count_by(codes[unknown], area_ha[unknown]),
    }
    whole = count(area_ha)
    added = total(number for part in parts.values() for number in part.values())
    if whole != added:
        raise RuntimeError(f"the register has {whole}, but its parts add up to {added}")
    summary: dict[str, Any] = {
        part: {str(key): number.as_json() for key, number in numbers.items()} for part, numbers in parts.items()
    }
    for part in ("crops", "rare"):
        for crop in parts[part]:
            summary[part][str(crop)]["name"] = name(crop)
    blanks = int((codes != parcels["crop_code"]).sum())
    if blanks:
        logger.warning("%d of %d parcels have a code with blanks around it; they were cut off", blanks, len(codes))
    _report_parts(parts, len(codes), name)
    return summary | {"total": whole.as_json(), "codes_with_blanks": blanks}


def _report_parts(parts: Mapping[str, Mapping[Any, Count]], parcels: int, name: Callable[[int], str]) -> None:
    sums = {part: total(numbers.values()).parcels for part, numbers in parts.items()}
    logger.info(
        "%d of %d parcels belong to %d crops; %d out of scope (%d codes), %d ignored (%d codes), %d unknown (%d codes)",
        sums["crops"], parcels, len(parts["crops"]), sums["out_of_scope"], len(parts["out_of_scope"]),
        sums["ignored"], len(parts["ignored"]), sums["unknown"], len(parts["unknown"]),
    )  # fmt: skip
    if parts["rare"]:
        rare = listing((f"{name(crop)} ({number})" for crop, number in parts["rare"].items()), 50)
        logger.warning("crops rarer than minimum_share_percent, labelled unknown (%d): %s", len(parts["rare"]), rare)
