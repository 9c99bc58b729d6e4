"""Write to a temporary name, then rename: a file under its final name is always whole."""

from __future__ import annotations

import glob
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cropflow.errors import CropflowError

logger = logging.getLogger(__name__)


def _temporary(path: Path) -> Path:
    # Same folder, so that the rename never crosses a file system; the suffix is kept because
    # drivers choose the format by it.
    return path.with_name(f".{path.stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}{path.suffix}")


def _sweep(final: Path) -> None:
    """Remove what killed processes left of earlier attempts at this file or folder."""
    for left in final.parent.glob(f".{glob.escape(final.stem)}.*-????????{glob.escape(final.suffix)}"):
        owner = left.name.removeprefix(f".{final.stem}.").split("-")[0]
        if not owner.isdigit() or _lives(int(owner)):
            continue
        logger.info("removing %s, left by a killed process", left.name)
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` when the block ends without an error."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    _sweep(final)
    temporary = _temporary(final)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path``, replacing what lies there, when the block ends well."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    _sweep(final)
    temporary = _temporary(final)
    temporary.mkdir()
    try:
        yield temporary
        if final.exists():
            # A folder cannot be replaced in one step: the old one moves aside first.
            aside = _temporary(final)
            os.replace(final, aside)
            os.replace(temporary, final)
            shutil.rmtree(aside)
        else:
            os.replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def scratch_folder(path: Path | str) -> Iterator[Path]:
    """Yield a folder for what is needed while ``path`` is made, on the same disk; it is deleted in any case."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    _sweep(final)
    temporary = _temporary(final)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any) -> None:
    """Write JSON atomically: sorted keys, two spaces, no NaN, a newline at the end."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path | str, way_out: str = "Delete the result that it belongs to and run snakemake again.") -> Any:
    """Read a UTF-8 JSON file.

    Args:
        path: The file.
        way_out: What to do where it cannot be read; of files that a user wrote, another than of results.

    Raises:
        CropflowError: If the file is missing or no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = "missing"
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        found = f"damaged ({error})"
    raise CropflowError(f"{path} is {found}; expected JSON. {way_out}")
