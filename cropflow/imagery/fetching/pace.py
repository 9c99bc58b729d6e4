"""How fast a service answers: what earlier fetches on this machine measured, or a plain assumption."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from cropflow.config.imagery import Imagery
from cropflow.errors import CropflowError
from cropflow.files.atomic import read_json, write_json

LOG = logging.getLogger(__name__)

# Until a fetch has told better: 100 Mbit/s, and half a second until a service begins to answer.
MBYTES_PER_SECOND = 12.5
LATENCY_S = 0.5
# Fewer requests say little.
FEWEST_REQUESTS = 20


@dataclass(frozen=True)
class Pace:
    """How fast a service answers.

    Attributes:
        mbytes_per_second: Of all requests together, 1e6 bytes.
        seconds_per_request: From asking to the last byte, of one among several at once.
        measured: True where an earlier fetch measured it.
    """

    mbytes_per_second: float = MBYTES_PER_SECOND
    seconds_per_request: float = LATENCY_S
    measured: bool = False

    def minutes(self, requests: int, size: int, at_once: int, per_second: float) -> float:
        """Estimate how long requests take: the slowest of bandwidth, waiting and the limit per second decides.

        Args:
            requests: Number of requests.
            size: Bytes of all.
            at_once: Requests in flight.
            per_second: Requests that begin in a second.
        """
        seconds = (
            size / (1e6 * self.mbytes_per_second),
            requests * self.seconds_per_request / at_once,
            requests / per_second,
        )
        return max(seconds) / 60

    def told(self) -> str:
        """How the estimate is made, for the plan."""
        origin = "measured by an earlier fetch" if self.measured else "assumed"
        return (
            f"the longest of bytes at {self.mbytes_per_second:.3g} MB/s, requests at {self.seconds_per_request:.3g} s "
            f"each and several at once, and the limit of requests a second; {origin}"
        )


def origin_of(settings: Imagery) -> str:
    """Which service and collections scenes come from."""
    place = settings.provider or settings.url or ""
    collections = ",".join(f"{family}={name}" for family, name in sorted(settings.collections.items()))
    return " ".join(part for part in (settings.source, place, collections) if part)


def read_pace(file: Path, origin: str) -> Pace:
    """The pace that the last fetch from a service measured; an assumption where there was none."""
    if not file.is_file():
        return Pace()
    try:
        known = read_json(file)[origin]
        return Pace(float(known["mbytes_per_second"]), float(known["seconds_per_request"]), measured=True)
    except (CropflowError, KeyError, TypeError, ValueError):
        return Pace()


def write_pace(file: Path, origin: str, requests: int, size: int, seconds: float, at_once: int) -> None:
    """Remember how fast a service answered; small fetches are passed over.

    Args:
        file: Where it is kept.
        origin: The service.
        requests: Requests that were made.
        size: Their bytes.
        seconds: How long all took together.
        at_once: Requests in flight.
    """
    if requests < FEWEST_REQUESTS or seconds <= 0 or not size:
        return
    try:
        known = read_json(file) if file.is_file() else {}
    except CropflowError:
        known = {}
    pace = Pace(size / 1e6 / seconds, seconds * at_once / requests, measured=True)
    write_json(file, {**known, origin: asdict(pace)})
