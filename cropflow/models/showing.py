"""Models as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from cropflow.models.catalogue import KINDS, Card, Key, Line

_WIDTH = 100


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns as wide as their longest cell.

    Args:
        header: Names of the columns.
        rows: Cells.
        right: Columns whose cells end at the same place, as numbers do.
    """
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join(line(row) for row in (header, *rows))


def list_text(lines: Sequence[Line], inputs: str) -> str:
    """The list of models.

    Args:
        lines: The models.
        inputs: What parameters are counted for.
    """
    rows = [
        (line.name, line.kind, "-" if line.parameters is None else f"{line.parameters:,}", line.sensors, line.what)
        for line in lines
    ]
    head = table(("name", "learns from", "parameters", "sensors", "what it is"), rows, right=(2,))
    told = f"Parameters at default settings, {inputs}, one level of a legend. More: cropflow models show NAME"
    return f"{head}\n\n{told}"


def card_text(card: Card) -> str:
    """Everything about a model."""
    parts = [f"{card.line.name}: {card.line.what}"]
    parts += [textwrap.fill(paragraph.replace("``", ""), _WIDTH) for paragraph in card.about]
    facts = [("learns from", KINDS[card.line.kind]), ("sensors", card.line.sensors)]
    if card.masked is not None:
        told = "left out" if card.masked else "not learnt from: series must be complete"
        facts.append(("gaps", told))
    if card.source:
        facts.append(("source", card.source))
    indent = max(len(name) for name, _ in facts) + 2
    parts.append(
        "\n".join(
            textwrap.fill(f"{name:{indent}}{value}", _WIDTH, subsequent_indent=" " * indent, break_long_words=False)
            for name, value in facts
        )
    )
    if card.line.parameters is not None:
        rows = [(part, f"{count:,}") for part, count in [*card.parts.items(), ("total", card.line.parameters)]]
        parts.append(table(("part", "parameters"), rows, right=(1,)) + "\n\n" + _counted(card.counted))
    parts.append(_settings("settings", card.keys))
    if card.training:
        parts.append(_settings("settings of training, which all networks have", card.training))
    return "\n\n".join(parts)


def _counted(inputs: Mapping[str, Any]) -> str:
    """A sentence on what the parameters of a card are counted for."""
    bands = ", ".join(f"{count} bands of {sensor}" for sensor, count in inputs["bands"].items())
    found = [bands, f"{inputs['outputs']} classes", f"{inputs['periods']} dates"]
    if inputs.get("levels"):
        found.append(f"coarser levels of {' and '.join(map(str, inputs['levels']))} groups")
    elif "levels" in inputs:
        found.append("a single level of the legend (--levels and --legend count several)")
    if "lags" in inputs:
        found.append(f"a history of {inputs['lags']} earlier season{'s' if inputs['lags'] != 1 else ''}")
    return textwrap.fill(f"Counted for {', '.join(found)}.", _WIDTH)


def _settings(title: str, keys: Sequence[Key]) -> str:
    lines = [title]
    for key, kind, default, meaning in keys:
        lines.append(f"  {key} ({kind}; default {default})")
        lines.append(textwrap.fill(meaning, _WIDTH, initial_indent="      ", subsequent_indent="      "))
    return "\n".join(lines)
