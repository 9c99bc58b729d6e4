"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

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
def chromium() -> str:
    """The path of a Chromium browser."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    _missing("a Chromium browser")
    raise AssertionError
