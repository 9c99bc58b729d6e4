"""Landscapes with known truth: fields and crops, their register, their Sentinel archive. For the demo and the tests."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cropflow.simulation.crops import CROPS, SimulatedCrop
    from cropflow.simulation.landscape import FieldSeason, SimulatedLandscape, make_landscape
    from cropflow.simulation.register import DeclaredSeason, declare

_HOMES = {
    "CROPS": "crops",
    "DeclaredSeason": "register",
    "FieldSeason": "landscape",
    "SimulatedCrop": "crops",
    "SimulatedLandscape": "landscape",
    "declare": "register",
    "make_landscape": "landscape",
}

__all__ = [
    "CROPS",
    "DeclaredSeason",
    "FieldSeason",
    "SimulatedCrop",
    "SimulatedLandscape",
    "declare",
    "make_landscape",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
