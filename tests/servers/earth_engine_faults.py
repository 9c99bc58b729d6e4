"""How a stand-in for Earth Engine misbehaves: a share of its answers, drawn by a seed, and what it never computes.

=============== ==============================================================================
``429``         too many requests, without a word on when to come again
``429 wait``    the same, with a Retry-After
``500``, ``503`` the service failed, or is not there
``stall``       the answer begins, and nothing follows until the server closes
``reset``       the connection breaks before an answer
``truncate``    the answer ends in its middle, shorter than promised
``length``      less is promised than there is, so that the client sees a shorter answer
=============== ==============================================================================
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence

KINDS = ("429", "429 wait", "500", "503", "stall", "reset", "truncate", "length")


class Faults:
    """Draws what goes wrong with the next request.

    Args:
        share: Share of the requests that fail.
        seed: Of the draws.
        kinds: Faults that are drawn, all alike.
    """

    def __init__(self, share: float, seed: int = 0, kinds: Sequence[str] = KINDS) -> None:
        self._random = random.Random(seed)
        self._share = share
        self._kinds = tuple(kinds)
        self._lock = threading.Lock()
        self.drawn: Counter[str] = Counter()

    def draw(self) -> str:
        """The next fault; empty where nothing goes wrong."""
        with self._lock:
            if self._random.random() >= self._share:
                return ""
            kind = self._random.choice(self._kinds)
            self.drawn[kind] += 1
            return kind
