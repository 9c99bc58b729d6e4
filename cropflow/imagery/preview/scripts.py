"""Leaflet, the script that draws maps in a browser: fetched once, checked, and written into the page itself."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import httpx

from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_file

VERSION = "1.9.4"
ADDRESS = f"https://cdn.jsdelivr.net/npm/leaflet@{VERSION}/dist"
# Of the files of the release, as its authors publish them.
SHA256 = {
    "leaflet.js": "db49d009c841f5ca34a888c96511ae936fd9f5533e90d8b2c4d57596f4e5641a",
    "leaflet.css": "a7837102824184820dfa198d1ebcd109ff6d0ff9a2672a074b9a1b4d147d04c6",
}
WAIT_S = 30.0


def leaflet(folder: Path | None = None) -> tuple[str, str]:
    """The script and the style sheet of Leaflet, which ask for nothing else.

    Args:
        folder: Where both files lie; else they are taken from the user's cache, and fetched where they are not there.

    Returns:
        Script and style sheet.

    Raises:
        CropflowError: If they are missing, cannot be fetched, or are not those of the release.
    """
    script, style = (_content(name, folder).decode() for name in SHA256)
    # No pictures beside the page, no map of the script's source.
    return re.sub(r"//# sourceMappingURL=.*", "", script), re.sub(r"url\([^)]*\)", "none", style)


def _content(name: str, folder: Path | None) -> bytes:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cropflow" / f"leaflet-{VERSION}"
    file = (folder or cache) / name
    if file.is_file():
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() == SHA256[name]:
            return content
    if folder is not None:
        found = "another file" if file.is_file() else "missing"
        raise CropflowError(
            f"{file} is {found}; expected that of Leaflet {VERSION}, as `npm pack leaflet@{VERSION}` brings it."
        )
    try:
        answer = httpx.get(f"{ADDRESS}/{name}", timeout=WAIT_S, follow_redirects=True).raise_for_status()
    except httpx.HTTPError as error:
        raise CropflowError(
            f"{ADDRESS}/{name} cannot be fetched ({error or type(error).__name__}), and the map needs it once. Run "
            f"again with a network, or name a folder that holds Leaflet {VERSION} with --leaflet."
        ) from None
    if hashlib.sha256(answer.content).hexdigest() != SHA256[name]:
        raise CropflowError(
            f"{ADDRESS}/{name} is not the file of Leaflet {VERSION}: a proxy or a login page may have answered. Name a "
            "folder that holds it with --leaflet."
        )
    with atomic_file(file) as temporary:
        temporary.write_bytes(answer.content)
    return answer.content
