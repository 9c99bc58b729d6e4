"""Codes and the years in which they mean what they mean.

A register changes its codes every year: some end, some begin, and some stay and take over the meaning of others. A
table that knows the years tells which parcels of a campaign carry a code that should not be there, and which carry
one that tells less than it did before.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas

from cropflow.errors import listing
from cropflow.labels.counts import Count, count_by, total
from cropflow.labels.parcels import stripped
from cropflow.labels.tables import Code

logger = logging.getLogger(__name__)


def report_years(parcels: pandas.DataFrame, table: Mapping[str, Code], campaign: int) -> dict[str, Any]:
    """Count the parcels whose code is used outside its years, or stands for others too.

    Both are reported and change no label: what to make of them is for whoever knows the register.

    Args:
        parcels: ``crop_code`` str, none missing; ``area_ha``, hectares.
        table: Code without blanks -> what the table says of it.
        campaign: The year of the declaration.

    Returns:
        ``campaign``; ``outside_years`` (code -> ``first_year``, ``last_year``, ``parcels``, ``hectares``);
        ``merged`` (code -> ``merges``, ``merges_from``, ``parcels``, ``hectares``).
    """
    counts = count_by(stripped(parcels["crop_code"]), parcels["area_ha"].to_numpy())
    known = {code: table[code] for code in counts if code in table}
    outside = {code: found for code, found in known.items() if not found.used_in(campaign)}
    merged = {code: found for code, found in known.items() if found.merged_in(campaign)}
    if outside:
        told = _listed({f"{code!r} ({_years(found)})": counts[code] for code, found in outside.items()})
        logger.warning("campaign %d: codes outside their years (%d): %s", campaign, len(outside), told)
    if merged:
        told = _listed({f"{code!r} (with {listing(found.merges)})": counts[code] for code, found in merged.items()})
        logger.warning("campaign %d: codes that stand for others too (%d): %s", campaign, len(merged), told)
    if not outside and not merged:
        logger.info("campaign %d: every known code is in its years, none stands for others too", campaign)
    return {
        "campaign": campaign,
        "outside_years": {
            code: {"first_year": found.first_year, "last_year": found.last_year} | counts[code].as_json()
            for code, found in outside.items()
        },
        "merged": {
            code: {"merges": list(found.merges), "merges_from": found.merges_from} | counts[code].as_json()
            for code, found in merged.items()
        },
    }


def _years(found: Code) -> str:
    if found.last_year is None:
        return f"from {found.first_year}"
    return f"until {found.last_year}" if found.first_year is None else f"{found.first_year} to {found.last_year}"


def _listed(counts: Mapping[str, Count]) -> str:
    largest = sorted(counts.items(), key=lambda item: (-item[1].millionths, item[0]))
    return f"{listing((f'{name}: {found}' for name, found in largest), 50)}; {total(counts.values())} in all"
