"""Addresses of files: what a config may name, and what a message may repeat of them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, urlsplit


def check_service(url: str) -> str:
    """Refuse what is no http(s) address, or carries a password or a signature.

    Raises:
        ValueError: What is wrong, without the address: it may carry a secret.
    """
    address = _parts(url, "https://host/path")
    if address.query:
        raise ValueError("url carries a query, where secrets live; expected https://host/path")
    return url


def check_address(url: str) -> None:
    """Refuse what is no http(s) address of a file, or carries a password.

    Raises:
        ValueError: What is wrong, without the address: it may carry a secret.
    """
    if not _parts(url, "https://host/path/file").path.rpartition("/")[2]:
        raise ValueError("url names no file; expected https://host/path/file")


def _parts(url: str, expected: str) -> SplitResult:
    try:
        address = urlsplit(url)
        # Not a number where a password with a slash is taken for the port.
        _ = address.port
    except ValueError:
        raise ValueError(f"url is no address; expected {expected}") from None
    if "@" in address.netloc:
        raise ValueError("url carries a user or password; credentials belong into ~/.netrc")
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError(f"url is no http(s) address; expected {expected}")
    return address


def public(value: Any) -> Any:
    """A value of a config fit for a message: addresses are cut to scheme, host and path."""
    if isinstance(value, str):
        return re.sub(r"https?://.*", lambda found: _cut(found[0]), value, flags=re.DOTALL | re.IGNORECASE)
    if isinstance(value, dict):
        return {key: public(inner) for key, inner in value.items()}
    return [public(inner) for inner in value] if isinstance(value, list | tuple) else value


def _cut(address: str) -> str:
    scheme, _, rest = address.partition("://")
    place = re.split("[/?#]", rest)[0]
    rest = place.rpartition("@")[2] + rest[len(place) :]
    # A password may hold any character: with another @ it cannot be told where it ends.
    return f"{scheme}://..." if "@" in rest else f"{scheme}://{re.split('[?#]', rest)[0]}"
