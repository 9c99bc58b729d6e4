"""``rustac serve``: a real STAC API on the loopback, over any items."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

COLLECTIONS = ("sentinel-2-l2a", "sentinel-1-grd")


def write_items(archive: Path, url: str, path: Path) -> Path:
    """Write the items of an archive as one collection, their files behind an address."""
    items = []
    for name in COLLECTIONS:
        for item in json.loads((archive / f"{name}.items.json").read_text())["features"]:
            for asset in item["assets"].values():
                asset["href"] = f"{url}/{asset['href'].removeprefix('./')}"
            items.append(item)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path


@contextmanager
def serving(items: Path) -> Iterator[str]:
    """Serve a collection of items; gives the address of the API, and skips where there is no such program."""
    program = shutil.which("rustac")
    if program is None:
        pytest.skip("rustac is missing; pip install -e '.[dev]' brings it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    command = [program, "serve", str(items), "--create-collections", "--addr", address]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                httpx.get(f"http://{address}/")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"http://{address}"
    finally:
        running.terminate()
        running.wait()
