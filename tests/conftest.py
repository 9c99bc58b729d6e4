"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def _missing(what: str) -> None:
    """Skip with a plain message; where CI says that the thing must be there, fail instead."""
    if os.environ.get("CROPFLOW_REQUIRE_SHARED") == "1":
        pytest.fail(f"{what} is missing, and CROPFLOW_REQUIRE_SHARED=1 says that it must be there")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the checkout."""
    folder = Path(os.environ.get("CROPFLOW_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        _missing("the shared data folder ../shared")
    return folder


@pytest.fixture(scope="session")
def flaky_http(root: Path) -> ModuleType:
    """The module of a server that misbehaves as told."""
    spec = importlib.util.spec_from_file_location("flaky_http", root / "tests" / "servers" / "flaky_http.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(flaky_http: ModuleType) -> Iterator[Any]:
    """Such a server, running."""
    with flaky_http.FlakyServer() as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium browser."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    _missing("a Chromium browser")
    raise AssertionError
