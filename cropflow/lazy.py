"""Packages that import a public function when it is first asked for, so that start-up stays fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package (PEP 562).

    Args:
        package: Full name of the package.
        homes: Public name -> module of the package that holds it.

    Raises:
        AttributeError: From the function made, where a name is not public.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return get
