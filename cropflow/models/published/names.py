"""Names of tensors, from those of a published network to ours and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

# Beginning of a name in one vocabulary and in the other; {} is a number, the same in both.
Pairs = Sequence[tuple[str, str]]


def renamed(state: Mapping[str, Tensor], pairs: Pairs) -> dict[str, Tensor]:
    """The tensors under other names.

    Args:
        state: Name -> tensor.
        pairs: What a name begins with, and what it is to begin with; the first that fits counts. Names that none fits
            stay.
    """
    patterns = [(re.compile(re.escape(old).replace(r"\{\}", r"(\d+)")), new) for old, new in pairs]
    return {_rename(key, patterns): value for key, value in state.items()}


def swapped(pairs: Pairs) -> Pairs:
    """The way back."""
    return [(new, old) for old, new in pairs]


def _rename(key: str, patterns: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, new in patterns:
        found = pattern.match(key)
        if found:
            return new.format(*found.groups()) + key[found.end() :]
    return key
