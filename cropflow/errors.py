"""The one error a user can mend, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

EXIT_CODE = 2


class CropflowError(Exception):
    """Something the user can fix.

    The message is one line: what is wrong, the value found, what was expected, the way out.
    Commands print it and exit with code 2; every other exception is a bug and keeps its traceback.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def refuse(what: str, found: object, expected: object, way_out: str = "", verb: str = "is") -> NoReturn:
    """Raise a :class:`CropflowError` put together from its four parts.

    Args:
        what: The thing that is wrong, as the user knows it.
        found: The value found.
        expected: The values allowed.
        way_out: What to do about it; left out where the allowed values say it all.
        verb: ``is``, or ``are`` of several things.

    Raises:
        CropflowError: Always.
    """
    tail = f" {way_out}" if way_out else ""
    raise CropflowError(f"{what} {verb} {found!r}; expected {expected}.{tail}")


def listing(names: Iterable[object], most: int = 12) -> str:
    """Write names as one comma-separated line, the first few where there are many.

    Args:
        names: Any iterable of things with a readable ``str``.
        most: How many are written out.
    """
    items = [str(name) for name in names]
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown
