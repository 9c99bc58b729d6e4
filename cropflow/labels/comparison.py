"""What differs between two legends, two versions of one, or two tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cropflow.errors import CropflowError
from cropflow.labels.hierarchy import Crop, Legend
from cropflow.labels.legend import table_names
from cropflow.labels.tables import crop_or_mark


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        where: ``level 1`` and so on for classes; the name of the table for codes.
        change: ``added``, ``removed``, ``renumbered``, ``renamed``, ``moved``, ``recoloured`` or ``mapped``.
        what: Name of the class (its id where it was renamed), or the code.
        first: What the first has; empty where it has nothing.
        second: What the second has; empty where it has nothing.
    """

    where: str
    change: str
    what: str
    first: str = ""
    second: str = ""

    def within(self, where: str) -> Difference:
        """The same difference somewhere else."""
        return replace(self, where=where)


def compare_legends(first: Legend, second: Legend) -> list[Difference]:
    """List the classes that differ, level by level, in the order of the ids.

    A class is known by its name and level. One whose name the other legend lacks, while its id and level are there
    under a name that this one lacks, was renamed.
    """
    found: list[Difference] = []
    for level in range(1, max(first.levels, second.levels) + 1):
        found += [difference.within(f"level {level}") for difference in _compare_level(first, second, level)]
    return found


def _compare_level(first: Legend, second: Legend, level: int) -> Iterable[Difference]:
    ours, theirs = ({crop.name: crop for crop in legend.crops if crop.level == level} for legend in (first, second))
    gone = {crop.id: crop for name, crop in ours.items() if name not in theirs}
    come = {crop.id: crop for name, crop in theirs.items() if name not in ours}
    for id in sorted(gone.keys() & come.keys()):
        yield Difference("", "renamed", str(id), gone[id].name, come[id].name)
    for crop in (gone[id] for id in sorted(gone.keys() - come.keys())):
        yield Difference("", "removed", crop.name, first=str(crop.id))
    for crop in (come[id] for id in sorted(come.keys() - gone.keys())):
        yield Difference("", "added", crop.name, second=str(crop.id))
    both = [(ours[name], theirs[name]) for name in ours if name in theirs]
    both += [(gone[id], come[id]) for id in sorted(gone.keys() & come.keys())]
    for one, other in both:
        if one.id != other.id:
            yield Difference("", "renumbered", one.name, str(one.id), str(other.id))
        if _parent(first, one) != _parent(second, other):
            yield Difference("", "moved", other.name, _parent(first, one), _parent(second, other))
        if one.colour != other.colour:
            yield Difference("", "recoloured", other.name, *(f"#{bytes(crop.colour).hex()}" for crop in (one, other)))


def _parent(legend: Legend, crop: Crop) -> str:
    return "" if crop.parent is None else legend.name(crop.parent)


def compare_codes(first: Legend, one: Mapping[str, int], second: Legend, other: Mapping[str, int]) -> list[Difference]:
    """List the codes that differ, in order: the names of their crops count, not the ids.

    Args:
        first: Legend of the first table.
        one: Code -> id of the finest level, 0 or 65534.
        second: Legend of the second table.
        other: Code -> id, as ``one``.
    """
    found = []
    for code in sorted(one.keys() | other.keys()):
        ours = crop_or_mark(first, one[code]) if code in one else ""
        theirs = crop_or_mark(second, other[code]) if code in other else ""
        if ours != theirs:
            found.append(
                Difference("", "mapped" if ours and theirs else "removed" if ours else "added", code, ours, theirs)
            )
    return found


def pairs_of_tables(first: str, second: str, tables: Sequence[str]) -> list[tuple[str, str]]:
    """Which tables of two legends are compared with each other.

    Args:
        first: Name or path of the first legend.
        second: Name or path of the second.
        tables: None: those that both have; one: that of both; two: the first's and the second's.

    Raises:
        CropflowError: If there are more than two.
    """
    if len(tables) > 2:
        raise CropflowError(
            f"--table was given {len(tables)} times; expected at most 2: the first's, and the second's."
        )
    if tables:
        return [(tables[0], tables[-1])]
    return [(name, name) for name in table_names(first) if name in table_names(second)]


def as_lines(differences: Sequence[Difference]) -> list[str]:
    """Write differences as aligned columns under a header; no line at all where there are none."""
    if not differences:
        return []
    rows = [("where", "change", "what", "first", "second")]
    rows += [(found.where, found.change, found.what, found.first, found.second) for found in differences]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in rows]
