"""Map a register's codes to the crops of a legend; no code is lost without being named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.labels.counts import count, count_by, total
from cropflow.labels.parcels import stripped

logger = logging.getLogger(__name__)

OUT_OF_SCOPE = 0
# Neither a crop nor background: such parcels are left out of training and of scores.
UNKNOWN = 65534
LARGEST_ID = 65533


def map_codes(
    parcels: pandas.DataFrame, table: Mapping[str, int], unmapped: Literal["stop", "unknown"] = "stop"
) -> NDArray[np.uint16]:
    """Look the crop of every parcel up.

    Args:
        parcels: ``crop_code`` str, none missing, blanks around it allowed; ``area_ha``, hectares.
        table: Code without blanks -> id of the legend, 1 to 65533; 0 where the code is out of its scope.
        unmapped: What to do with codes that the table does not have: stop, or label them unknown.

    Returns:
        Ids of the legend, uint16, ``(parcel,)``: 0 = out of scope, 65534 = unknown.

    Raises:
        CropflowError: If the table does not have all codes and ``unmapped`` is stop; it lists them with
            their parcels and hectares, the largest first.
        ValueError: If a code is missing or an id is no id.
    """
    wrong = {code: crop for code, crop in table.items() if not 0 <= crop <= LARGEST_ID}
    if wrong:
        raise ValueError(f"table has ids outside 0 to {LARGEST_ID}: {wrong}")
    codes = stripped(parcels["crop_code"])
    if codes.isna().any():
        raise ValueError(f"{int(codes.isna().sum())} of {len(codes)} parcels have no code")
    groups, names = pandas.factorize(codes)
    crops = np.array([table.get(name, UNKNOWN) for name in names], dtype=np.uint16)
    result: NDArray[np.uint16] = crops[groups] if len(groups) else np.empty(0, dtype=np.uint16)
    unknown = result == UNKNOWN
    if unknown.any():
        _report_unknown(codes[unknown], parcels, unknown, len(names), unmapped)
    return result


def _report_unknown(
    codes: pandas.Series, parcels: pandas.DataFrame, unknown: NDArray[np.bool_], all_codes: int, unmapped: str
) -> None:
    counts = count_by(codes, parcels["area_ha"].to_numpy()[unknown])
    largest = sorted(counts, key=lambda code: (-counts[code].millionths, code))
    told = listing((f"{code!r} ({counts[code]})" for code in largest), 50)
    problem = (
        f"The table does not know {len(counts)} of the register's {all_codes} codes, "
        f"{total(counts.values())} of {count(parcels['area_ha'].to_numpy())}: {told}"
    )
    if unmapped == "stop":
        raise CropflowError(
            f"{problem}. Add them to a table of your own and name it as `table` of the register, or set "
            f"`unmapped: unknown`."
        )
    logger.warning("%s; they are labelled unknown", problem)


def summarise(parcels: pandas.DataFrame, crops: NDArray[np.uint16], name: Callable[[int], str]) -> dict[str, Any]:
    """Count what the mapping made of the parcels.

    Args:
        parcels: ``crop_code``, ``area_ha``.
        crops: Ids of the legend, uint16, ``(parcel,)``, as :func:`map_codes` returns them.
        name: Gives the name of an id.

    Returns:
        ``total``; ``crops`` (id -> ``name``, ``parcels``, ``hectares``); ``out_of_scope`` and ``unknown``
        (code without blanks -> ``parcels``, ``hectares``); ``codes_with_blanks``: parcels whose code has
        blanks around it.

    Raises:
        ValueError: If there are not as many crops as parcels.
        RuntimeError: If the parts do not add up to the total.
    """
    if len(parcels) != len(crops):
        raise ValueError(f"{len(parcels)} parcels, but {len(crops)} crops")
    area_ha = parcels["area_ha"].to_numpy()
    codes = stripped(parcels["crop_code"])
    out_of_scope, unknown = crops == OUT_OF_SCOPE, crops == UNKNOWN
    listed = ~(out_of_scope | unknown)
    parts = {
        "crops": count_by(crops[listed], area_ha[listed]),
        "out_of_scope": count_by(codes[out_of_scope], area_ha[out_of_scope]),
        "unknown": count_by(codes[unknown], area_ha[unknown]),
    }
    whole = count(area_ha)
    added = total(number for part in parts.values() for number in part.values())
    if whole != added:
        raise RuntimeError(f"the register has {whole}, but its parts add up to {added}")
    summary: dict[str, Any] = {
        part: {str(key): number.as_json() for key, number in numbers.items()} for part, numbers in parts.items()
    }
    for crop in parts["crops"]:
        summary["crops"][str(crop)]["name"] = name(crop)
    blanks = int((codes != parcels["crop_code"]).sum())
    if blanks:
        logger.warning("%d of %d parcels have a code with blanks around it; they were cut off", blanks, len(codes))
    logger.info(
        "%d of %d parcels belong to %d crops; %d out of scope (%d codes), %d unknown (%d codes)",
        int(listed.sum()), len(crops), len(parts["crops"]),
        int(out_of_scope.sum()), len(parts["out_of_scope"]), int(unknown.sum()), len(parts["unknown"]),
    )  # fmt: skip
    return summary | {"total": whole.as_json(), "codes_with_blanks": blanks}
