"""Tables from a register's codes to the crops of a legend, with the years in which a code means what it means.

A table is a CSV file with the columns ``code,crop``: a code of the register and the name of a crop of the legend's
finest level, or a mark. ``-``: known to be no crop of the legend (0). ``?``: may be one, or is to be left out
(65534, unknown): neither a target nor a negative.

Columns that a table may have besides: ``first_year`` and ``last_year``, the campaigns in which the code is used;
``merges`` and ``merges_from``, other codes (with blanks between) that the code stands for too from that campaign on.
Whatever else it has, such as ``note``, is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cropflow.errors import CropflowError, refuse
from cropflow.labels.hierarchy import Legend, closest
from cropflow.labels.rows import read_rows, whole_number

OUT_OF_SCOPE, OUT_OF_SCOPE_MARK = 0, "-"
# Neither a crop nor background: such parcels are left out of training and of scores.
UNKNOWN, IGNORED_MARK = 65534, "?"
TABLE_COLUMNS = ("code", "crop")


@dataclass(frozen=True)
class Code:
    """What a table says of one code.

    Attributes:
        crop: Id of the legend's finest level; 0 out of scope, 65534 ignored.
        first_year: First campaign in which the code is used; None where that is not told.
        last_year: Last campaign; None while it is in use, or where that is not told.
        merges: Codes that this one stands for too, from ``merges_from`` on.
        merges_from: Campaign in which the meaning changed.
    """

    crop: int
    first_year: int | None = None
    last_year: int | None = None
    merges: tuple[str, ...] = ()
    merges_from: int | None = None

    def used_in(self, campaign: int) -> bool:
        """Whether a campaign lies in the code's years; where none are told, every campaign does."""
        after = self.first_year is None or campaign >= self.first_year
        return after and (self.last_year is None or campaign <= self.last_year)

    def merged_in(self, campaign: int) -> bool:
        """Whether the code stands for others too in a campaign."""
        return self.merges_from is not None and campaign >= self.merges_from


def read_codes(path: Path, names: Mapping[str, int], legend: str) -> dict[str, Code]:
    """Read a table.

    Args:
        path: The CSV file.
        names: Names of the legend's finest level -> ids.
        legend: Name of the legend, for messages.

    Returns:
        Code -> what the table says of it. Codes are text: ``NA`` and ``0123`` stay so.

    Raises:
        CropflowError: If a code occurs twice or has blanks around it, a crop is not of the legend's finest level,
            years are no years or not in order, or a merged code has no row or is in use beside the one it went into.
    """
    marks = {OUT_OF_SCOPE_MARK: OUT_OF_SCOPE, IGNORED_MARK: UNKNOWN}
    result: dict[str, Code] = {}
    for line, row in read_rows(path, TABLE_COLUMNS):
        code, crop = row["code"], row["crop"]
        where = f"{path.name}, line {line}"
        if not code or code != code.strip():
            refuse(f"The code of {where}", code, "text without blanks around it")
        if code in result:
            raise CropflowError(f"{where}: code {code!r} has a row already; a code maps to one crop.")
        if crop not in marks and crop not in names:
            expected = f"a finest crop of {legend!r}, '-' (out of scope) or '?' (ignored)"
            refuse(f"The crop of code {code!r} ({where})", crop, expected, closest(crop, names))
        first, last = (_year(row, key, where) for key in ("first_year", "last_year"))
        if first is not None and last is not None and first > last:
            raise CropflowError(f"{where}: first_year {first} is after last_year {last}.")
        merges, since = tuple((row.get("merges") or "").split()), _year(row, "merges_from", where)
        if bool(merges) != (since is not None):
            raise CropflowError(f"{where}: merges and merges_from go together; fill in both or none.")
        result[code] = Code(marks[crop] if crop in marks else names[crop], first, last, merges, since)
    _check_merges(result, path.name)
    return result


def crop_or_mark(legend: Legend, crop: int) -> str:
    """What a table has in the column ``crop`` for an id of the finest level, 0 or 65534."""
    return {OUT_OF_SCOPE: OUT_OF_SCOPE_MARK, UNKNOWN: IGNORED_MARK}.get(crop) or legend.name(crop)


def _year(row: Mapping[str, str], key: str, where: str) -> int | None:
    return whole_number(row[key], f"{key} of {where}") if row.get(key) else None


def _check_merges(codes: Mapping[str, Code], name: str) -> None:
    for code, found in codes.items():
        for other in found.merges:
            if other == code or other not in codes:
                refuse(f"A code that {code!r} merges ({name})", other, "another code of the table")
            last = codes[other].last_year
            if found.merges_from is not None and (last is None or last >= found.merges_from):
                refuse(
                    f"The last_year of code {other!r} ({name})", last,
                    f"a year before {found.merges_from}, when {code!r} took its place",
                )  # fmt: skip
