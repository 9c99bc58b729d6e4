"""A hierarchy of crops: classes at several levels, and who belongs to whom."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cropflow.errors import CropflowError, listing, refuse

# 0 is out of scope; 65534 (unknown) and 65535 (ignore) are taken in every raster of crops.
LARGEST_ID = 65533


@dataclass(frozen=True)
class Crop:
    """One class of a legend; ``parent`` is the id one level coarser, none at level 1; ``colour`` is RGB, 0 to 255."""

    id: int
    level: int
    name: str
    parent: int | None
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    """Crops at several levels; ids of all levels share one number space.

    Attributes:
        key: Name of the legend, such as ``turkoglu``.
        crops: Every crop, coarsest level first, then by id.
        path: The file that it was read from.
    """

    key: str
    crops: tuple[Crop, ...]
    path: Path = field(compare=False)
    _by_id: dict[int, Crop] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {crop.id: crop for crop in self.crops})

    @property
    def levels(self) -> int:
        """Number of levels; the finest level has this number."""
        return max(crop.level for crop in self.crops)

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of the finest level, ascending."""
        return self.ids_at(self.levels)

    def ids_at(self, level: int) -> tuple[int, ...]:
        """Ids of a level (1 = coarsest), ascending."""
        if not 1 <= level <= self.levels:
            raise ValueError(f"legend {self.key!r} has levels 1 to {self.levels}, not {level}")
        return tuple(sorted(crop.id for crop in self.crops if crop.level == level))

    def crop(self, id: int) -> Crop:
        """The crop of an id of any level.

        Raises:
            KeyError: If the legend has no such id; 0, 65534 and 65535 are none.
        """
        try:
            return self._by_id[int(id)]
        except KeyError:
            raise KeyError(f"legend {self.key!r} has no id {id}") from None

    def name(self, id: int) -> str:
        """The name of an id of any level."""
        return self.crop(id).name

    def colour(self, id: int) -> tuple[int, int, int]:
        """The colour of an id of any level, RGB, 0 to 255."""
        return self.crop(id).colour

    def ancestor(self, id: int, level: int) -> int:
        """The id that an id belongs to at its own or a coarser level (1 = coarsest)."""
        crop = self.crop(id)
        if not 1 <= level <= crop.level:
            raise ValueError(f"{crop.name!r} of legend {self.key!r} is of level {crop.level}; it has no level {level}")
        while crop.level > level and crop.parent is not None:
            crop = self.crop(crop.parent)
        return crop.id

    def id_of(self, name: str, level: int | None = None) -> int:
        """The id of a name at a level, the finest one unless told.

        Raises:
            CropflowError: If that level has no such name.
        """
        names = {self.name(id): id for id in self.ids_at(level or self.levels)}
        if name not in names:
            raise CropflowError(f"Legend {self.key!r} has no crop {name!r}. {closest(name, names)}")
        return names[name]


def check_tree(legend: Legend) -> None:
    """Ids, names and colours are distinct; parents are one level coarser; only the finest level has no children."""
    of = f"of legend {legend.key!r}"
    _check_distinct([crop.id for crop in legend.crops], f"Id {{}} {of}")
    _check_distinct([(crop.name, crop.level) for crop in legend.crops], f"Name and level {{}} {of}")
    _check_distinct([crop.colour for crop in legend.crops], f"Colour {{}} {of}")
    by_id = {crop.id: crop for crop in legend.crops}
    parents = {crop.parent for crop in legend.crops}
    for crop in legend.crops:
        if not 1 <= crop.id <= LARGEST_ID:
            refuse(f"The id of {crop.name!r} {of}", crop.id, f"1 to {LARGEST_ID}")
        if crop.level < 1:
            refuse(f"The level of {crop.name!r} {of}", crop.level, "1 (coarsest) or more")
        above = by_id[crop.parent].level if crop.parent in by_id else 0
        if above != crop.level - 1 or (crop.level == 1) != (crop.parent is None):
            wanted = "none" if crop.level == 1 else f"an id of level {crop.level - 1}"
            refuse(f"The parent of {crop.name!r} {of} (level {crop.level})", crop.parent, wanted)
        if crop.level < legend.levels and crop.id not in parents:
            raise CropflowError(
                f"{crop.name!r} {of} (level {crop.level}) has no children; only level {legend.levels} may."
            )


def _check_distinct(values: Iterable[object], what: str) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise CropflowError(f"{what.format(value)} is used twice.")
        seen.add(value)


def closest(name: str, names: Iterable[str]) -> str:
    """Name the candidates that a wrong name is nearest to, all of them where none is near."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"The closest names are {listing(near)}." if near else f"It has {listing(names, most=60)}."
