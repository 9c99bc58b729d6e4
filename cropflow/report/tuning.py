"""The table of a search for settings: one row per trial, one column per fold."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from cropflow.report.texts import readable, score


def tuning_rows(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows for the template; empty without a search.

    Trials of a grid try the same in every fold and share a row. What Optuna proposes differs from fold to fold, so each
    fold's trials are rows of their own.

    Args:
        tables: Content of ``tuning.json`` per fold.
    """
    if not tables:
        return {}
    metric = tables[0]["metric"]
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for fold, table in enumerate(tables):
        for trial in table["trials"]:
            tried = json.dumps(trial["parameters"], sort_keys=True)
            row = rows.setdefault((trial["trial"], tried), {"parameters": trial["parameters"], "folds": {}})
            row["folds"][fold] = trial
    names = list(tables[0]["trials"][0]["parameters"])
    return {
        "names": [readable(name) for name in names],
        "folds": range(len(tables)),
        "rows": [
            {
                "trial": number,
                "values_": [_value(row["parameters"][name]) for name in names],
                "cells": [_cell(row["folds"].get(fold), metric) for fold in range(len(tables))],
                "mean": score(statistics.fmean(trial[metric] for trial in row["folds"].values())),
            }
            for (number, _), row in sorted(rows.items())
        ],
    }


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(trial: dict[str, Any] | None, metric: str) -> dict[str, Any]:
    return {"score": score(trial[metric] if trial else None), "chosen": bool(trial and trial["chosen"])}
