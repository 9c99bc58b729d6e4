"""A stage of the chain as a table: what it took in and gave on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cropflow.report.texts import NOTHING, number, percent


@dataclass(frozen=True)
class Step:
    """One line of the overview: what a stage took in and gave on.

    Attributes:
        stage: What was done.
        where: Place or register; empty for all.
        unit: What is counted.
        taken: Count before.
        given: Count after.
    """

    stage: str
    where: str
    unit: str
    taken: int
    given: int

    @property
    def cells(self) -> tuple[str, ...]:
        """Stage, place, unit, taken, given, dropped and its share, as text."""
        dropped = self.taken - self.given
        # Where sites overlap, a parcel of the register counts once per site: more come out than went in.
        lost = (number(dropped), percent(dropped, self.taken)) if dropped >= 0 else (NOTHING, NOTHING)
        return (self.stage, self.where or "all places", self.unit, number(self.taken), number(self.given), *lost)


@dataclass(frozen=True)
class Stage:
    """One table of the section.

    Attributes:
        name: Heading.
        summary: A sentence with the totals.
        columns: Heads of the table.
        rows: Cells as text.
        texts: Columns that hold text, the first ones; the others hold numbers.
        steps: Lines of the overview.
    """

    name: str
    summary: str
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[str, ...]] = ()
    texts: int = 1
    steps: tuple[Step, ...] = ()
