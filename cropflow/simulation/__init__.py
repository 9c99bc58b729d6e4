"""Landscapes with known truth: fields and crops, their register, their Sentinel archive. For the demo and the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.simulation.crops import CROPS, SimulatedCrop
    from cropflow.simulation.landscape import FieldSeason, SimulatedLandscape, make_landscape
    from cropflow.simulation.register import DeclaredSeason, declare


__all__ = [
    "CROPS",
    "DeclaredSeason",
    "FieldSeason",
    "SimulatedCrop",
    "SimulatedLandscape",
    "declare",
    "make_landscape",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "CROPS": "crops",
        "DeclaredSeason": "register",
        "FieldSeason": "landscape",
        "SimulatedCrop": "crops",
        "SimulatedLandscape": "landscape",
        "declare": "register",
        "make_landscape": "landscape",
    },
)
