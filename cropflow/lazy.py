"""Packages that import a public function when it is first asked for, so that start-up stays fast."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and the ``__dir__`` of a package (PEP 562).

    Args:
        package: Full name of the package.
        homes: Public name -> module of the package that holds it.

    Raises:
        AttributeError: From the first function, where a name is not public.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    def names() -> list[str]:
        # What is not imported yet is offered all the same, as where a notebook completes a name.
        return sorted({*vars(sys.modules[package]), *homes})

    return get, names
