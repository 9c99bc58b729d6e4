"""Users and passwords by host, from the file in which other programs look for them too."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

from cropflow.errors import CropflowError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def netrc_file() -> Path | None:
    """The file, ``$NETRC`` or ``~/.netrc``; None where there is none.

    Raises:
        CropflowError: If it cannot be read, or is no netrc file.
    """
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    if not path.is_file():
        return None
    _parsed(path)
    return path


def account_of(url: str) -> str | None:
    """User and password of the host of an address, as ``user:password``; None where it has none of its own.

    None too where the address is not encrypted, and does not stay on this machine. The file's ``default`` is for
    nobody: services that sign their addresses refuse an account beside a signature.

    Raises:
        CropflowError: If the file cannot be read, or is no netrc file.
    """
    parts = urlsplit(url)
    path = netrc_file()
    if path is None or (parts.scheme != "https" and parts.hostname not in LOOPBACK):
        return None
    found = _parsed(path).hosts.get(parts.hostname or "")
    return None if found is None else f"{found[0]}:{found[2]}"


def _parsed(path: Path) -> netrc.netrc:
    try:
        return netrc.netrc(path)
    except netrc.NetrcParseError as error:
        # The parser's own message quotes the line, which may hold a password.
        raise CropflowError(
            f"Line {error.lineno} of {path} is no entry of a netrc file; "
            "expected 'machine <host> login <user> password <password>'."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CropflowError(f"{path} cannot be read: {type(error).__name__}; expected a netrc file of yours.") from None
