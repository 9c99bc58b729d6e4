"""What the real services need to be asked at all."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cropflow.files.earth_engine_calls import HIGH_VOLUME, KEY_FILE

STORE = Path("~/.config/earthengine/credentials").expanduser()


@pytest.fixture(scope="session")
def account() -> None:
    """An account of Earth Engine, and a way there; without them tests are skipped."""
    if not (os.environ.get(KEY_FILE) or STORE.is_file()):
        pytest.skip("an account of Earth Engine is missing")
    try:
        socket.create_connection((urlsplit(HIGH_VOLUME).hostname, 443), timeout=5).close()
    except OSError:
        pytest.skip("Earth Engine is out of reach")
