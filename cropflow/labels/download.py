"""Download a register: resumed after interruptions, checked, and under its final name only when whole."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from cropflow import __version__
from cropflow.config.addresses import public
from cropflow.errors import CropflowError
from cropflow.files.accounts import netrc_file
from cropflow.files.atomic import atomic_file
from cropflow.labels.transfer import AbsentError, Patience, fetch

logger = logging.getLogger(__name__)

# Folder of partial files, beside the folder of the output unless --work says otherwise.
WORK_FOLDER = ".work"
# What files of these names begin with; a server that sends its login page does not.
SIGNATURES = {
    ".7z": b"7z\xbc\xaf\x27\x1c",
    ".7z.001": b"7z\xbc\xaf\x27\x1c",
    ".zip": b"PK",
    ".gpkg": b"SQLite format 3\x00",
    ".parquet": b"PAR1",
    ".shp": b"\x00\x00\x27\x0a",
}
MOST_PARTS = 999


def default_work(output: Path) -> Path:
    """Where partial files lie unless told otherwise: :data:`WORK_FOLDER` beside the folder of the output."""
    return output.absolute().parent.parent / WORK_FOLDER / "downloads"


def download(
    url: str,
    output: Path,
    sha256: str | None = None,
    work: Path | None = None,
    patience: Patience | None = None,
) -> list[Path]:
    """Download a file, or all parts of an archive whose first part is named.

    An address that ends in ``.7z.001`` brings ``.7z.002`` and so on with it, until the server has no
    further part; they lie beside ``output``, and ``sha256`` is that of all parts one after the other,
    that is of the whole archive.

    Args:
        url: http(s) address.
        output: Where the file, or the first part, goes.
        sha256: Checksum in hexadecimal; None: not checked.
        work: Folder of partial files, from which an interrupted download goes on.
        patience: How long to try.

    Returns:
        The files, first part first.

    Raises:
        CropflowError: If the server refuses or keeps failing, the content is not what the name or the
            checksum says, or the disk is too small.
    """
    if sha256 is not None and output.is_file() and _digest(_beside(output)) == sha256:
        logger.info("%s is there already, with the checksum asked for", output)
        return _beside(output)
    work = work or default_work(output)
    work.mkdir(parents=True, exist_ok=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    # httpx logs whole addresses, credentials included.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with _alone(work / f"{_key(url)}.lock"), _client(url, patience or Patience()) as client:
        partials = _fetch_all(client, url, work, patience or Patience())
        _check(url, partials, output.name, sha256)
        return _finish(partials, output)


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _client(url: str, patience: Patience) -> httpx.Client:
    agent = {"User-Agent": f"cropflow/{__version__}"}
    # The client's own credentials would hide those that an address carries.
    credentials = None if httpx.URL(url).userinfo else _netrc()
    return httpx.Client(follow_redirects=True, timeout=patience.timeout_s, headers=agent, auth=credentials)


def _netrc() -> httpx.NetRCAuth | None:
    """Credentials by host; None where there is no file of them."""
    path = netrc_file()
    return None if path is None else httpx.NetRCAuth(str(path))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep a second download of the same address waiting; the system frees the lock of a dead process."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("another process downloads the same address; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fetch_all(client: httpx.Client, url: str, work: Path, patience: Patience) -> list[Path]:
    address = httpx.URL(url)
    stem = re.fullmatch(r"(.*\.7z\.)001", address.path, re.IGNORECASE)
    partials: list[Path] = []
    for part in range(1, MOST_PARTS + 1 if stem else 2):
        part_url = str(address.copy_with(path=f"{stem[1]}{part:03d}")) if stem else url
        partial = work / f"{_key(part_url)}.part"
        logger.info("fetching %s", public(part_url))
        try:
            fetch(client, part_url, partial, patience)
        except AbsentError:
            if part == 1:
                raise
            break
        partials.append(partial)
    return partials


def _digest(paths: list[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def _discard(partials: list[Path]) -> None:
    for partial in partials:
        partial.unlink(missing_ok=True)
        partial.with_name(partial.name + ".json").unlink(missing_ok=True)


def _check(url: str, partials: list[Path], name: str, sha256: str | None) -> None:
    """Refuse content that is not what its name or checksum says; it is deleted, for it cannot be resumed."""
    size = sum(partial.stat().st_size for partial in partials)
    with partials[0].open("rb") as handle:
        begin = handle.read(64)
    problem = "" if size else "is empty"
    for suffix, signature in SIGNATURES.items():
        if size and name.lower().endswith(suffix) and not begin.startswith(signature):
            problem = f"begins with {begin[:16]!r}; expected {signature!r}, as a {suffix} file does"
    if not problem and sha256 is not None and (found := _digest(partials)) != sha256:
        problem = f"has sha256 {found} ({size} bytes); expected {sha256}"
    if problem:
        _discard(partials)
        raise CropflowError(
            f"{public(url)} {problem}. The download was deleted; check the address and the checksum, or try again."
        )


def _beside(output: Path) -> list[Path]:
    """The output and the further parts that lie beside it, in order, up to the first gap."""
    found = [output]
    if output.name.lower().endswith(".7z.001"):
        for part in range(2, MOST_PARTS + 1):
            path = output.with_name(f"{output.name[:-3]}{part:03d}")
            if not path.is_file():
                break
            found.append(path)
    return found


def _finish(partials: list[Path], output: Path) -> list[Path]:
    """Move the parts to their names, the first one last: where it lies, all lie."""
    stale = _beside(output)[len(partials) :]
    names = [output, *(output.with_name(f"{output.name[:-3]}{part:03d}") for part in range(2, len(partials) + 1))]
    for path in stale:
        path.unlink()
    needed = sum(partial.stat().st_size for partial in partials)
    free = shutil.disk_usage(output.parent).free
    if os.stat(partials[0]).st_dev != os.stat(output.parent).st_dev and needed > free:
        raise CropflowError(
            f"{output.parent} has {free / 1e9:.2f} GB free; {needed / 1e9:.2f} GB are needed. Free some space."
        )
    for partial, path in reversed(list(zip(partials, names, strict=True))):
        with atomic_file(path) as temporary:
            shutil.move(partial, temporary)
    _discard(partials)
    logger.info("fetched %s: %d file(s), %.1f MB", output, len(names), needed / 1e6)
    return names
