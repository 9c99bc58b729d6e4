"""Scenes become an evenly spaced series: masked medians per month, declared gap fills, counts kept."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cropflow.composites.gaps import fill_gaps
    from cropflow.composites.masking import valid_observations
    from cropflow.composites.median import monthly_median
    from cropflow.composites.periods import calendar_months, period_of

__all__ = ["calendar_months", "fill_gaps", "monthly_median", "period_of", "valid_observations"]

_MODULES = {
    "calendar_months": "periods",
    "fill_gaps": "gaps",
    "monthly_median": "median",
    "period_of": "periods",
    "valid_observations": "masking",
}


def __getattr__(name: str) -> Any:
    # Kernels compile on import of numba: only those who call a function pay for it.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
