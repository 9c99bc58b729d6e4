"""Fetching from a service: first all that is planned, many requests at once; then a reader over what was fetched."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from cropflow.errors import CropflowError
from cropflow.files.remote import GoneError, Limits, StoppedError, TooLargeError, TransientError
from cropflow.imagery.catalog import Decision
from cropflow.imagery.fetching.ledger import Ledger, Unit
from cropflow.imagery.scenes import Scene
from cropflow.imagery.sources import Layer, Source
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)

# A scene may be broken for ever; when this many fail and nothing comes between, it is the service.
SCENES_DOWN = 3


class SceneGoneError(Exception):
    """The pixels of a scene are not there any more.

    Attributes:
        lost: Sites and source of the scene -> what the service said.
    """

    def __init__(self, lost: Mapping[tuple[str, str], str]) -> None:
        super().__init__(next(iter(lost.values())))
        self.lost = dict(lost)


@dataclass
class Fetched:
    """What a round of fetching brought.

    Attributes:
        units: Units wanted.
        kept: Units that earlier runs had brought.
        fetched: Units that came now.
        requests: Requests that were made for them, those that failed too.
        bytes: Size of the pixels that came now, uncompressed.
        seconds: How long it took.
        gone: Site and source of scenes that are not there any more -> what the service said.
        failed: Site and source of scenes of which a unit never came, however often it was asked for -> the failure.
        missing: Units that did not come -> why.
    """

    units: int
    kept: int = 0
    fetched: int = 0
    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0
    gone: dict[tuple[str, str], str] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    missing: dict[Unit, str] = field(default_factory=dict)

    @property
    def mbytes_per_second(self) -> float:
        """Pace of what came now, 1e6 bytes of pixels a second."""
        return self.bytes / 1e6 / max(self.seconds, 1e-3)


def units_of(
    source: Source,
    sites: Mapping[str, Grid],
    decisions: Mapping[str, Iterable[Decision]],
    layers: Callable[[Scene], Sequence[str]],
) -> list[Unit]:
    """All requests that the scenes taken need, by site, then time."""
    return [
        unit
        for site, grid in sorted(sites.items())
        for decision in decisions[site]
        if decision.kept
        for unit in _units(source, site, grid, decision.scene, layers(decision.scene))
    ]


def _units(source: Source, site: str, grid: Grid, scene: Scene, layers: Sequence[str]) -> list[Unit]:
    return [
        Unit(site, scene, grid.window(request.row, request.column, request.height, request.width), request)
        for request in source.requests(scene, grid, layers)
    ]


def fetch(units: Sequence[Unit], source: Source, ledger: Ledger, limits: Limits, at_once: int) -> Fetched:
    """Fetch the units that are not done, in their order, several at once.

    Where a unit never comes, the rest of its scene at that site is not asked for. Where that happens to several scenes
    and nothing comes between, the service is down, and nothing more is asked for.

    Args:
        units: What is wanted.
        source: The service.
        ledger: Where units are kept.
        limits: Of all calls of the source; stopped where the work ends early, so that no thread waits on.
        at_once: Threads.

    Raises:
        CropflowError: If a failure is final, at once.
    """
    done = Fetched(len(units))
    begun, before = time.monotonic(), limits.requests
    failed: set[tuple[str, str]] = set()
    waiting = iter(units)
    with ThreadPoolExecutor(at_once) as pool, tqdm(total=len(units), unit="request", disable=None) as bar:
        running: dict[Future[int | None], Unit] = {}
        try:
            while True:
                # Twice as many as threads, so that none waits for this loop.
                while len(running) < 2 * at_once and (unit := next(waiting, None)) is not None:
                    if _asked_for(unit, done, down=len(failed) >= SCENES_DOWN):
                        running[pool.submit(_fetch_one, unit, source, ledger)] = unit
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    unit = running.pop(future)
                    _take(done, unit, future, failed)
                    if len(failed) >= SCENES_DOWN:
                        limits.stop()
                    done.seconds = time.monotonic() - begun
                    bar.set_postfix_str(f"{done.mbytes_per_second:.1f} MB/s", refresh=False)
                    bar.update()
                    _log_tenth(done)
        except BaseException:
            limits.stop()
            pool.shutdown(cancel_futures=True)
            raise
    done.requests = limits.requests - before
    _log(done)
    return done


def _asked_for(unit: Unit, done: Fetched, *, down: bool) -> bool:
    """Whether a unit is to be asked for; those of scenes that are gone are not counted any more."""
    scene = (unit.site, unit.scene.source)
    if scene in done.gone:
        return False
    if down or scene in done.failed:
        done.missing[unit] = "the service is down" if down else done.failed[scene]
        return False
    return True


def _fetch_one(unit: Unit, source: Source, ledger: Ledger) -> int | None:
    """Bytes of a unit that was fetched; None where it was done before."""
    if ledger.holds(unit):
        return None
    begun = time.monotonic()
    try:
        layers = source.read(unit.scene, unit.grid, unit.request.layers)
    except TooLargeError as error:
        raise CropflowError(
            f"{unit} is too much for the service, in small parts too ({error}); expected it to compute what it offers. "
            "Take fewer bands or a smaller site."
        ) from None
    ledger.keep(unit, layers, time.monotonic() - begun)
    return sum(layer.bytes for layer in layers.values())


def _take(done: Fetched, unit: Unit, future: Future[int | None], failed: set[tuple[str, str]]) -> None:
    """Count the outcome of a unit; ``failed`` holds the scenes that failed since the last unit that came."""
    scene = (unit.site, unit.scene.source)
    try:
        size = future.result()
    except GoneError as error:
        done.gone[scene] = str(error)
        failed.clear()
        LOG.warning("scene %s is gone at site %s: %s", unit.scene.id, unit.site, error)
    except StoppedError:
        done.missing[unit] = "the service is down"
    except TransientError as error:
        done.missing[unit] = done.failed[scene] = str(error)
        failed.add(scene)
        LOG.warning("%s did not come: %s", unit, error)
    else:
        done.kept += size is None
        if size is not None:
            done.fetched += 1
            done.bytes += size
            failed.clear()


def check_missing(done: Fetched) -> None:
    """Refuse to go on while units are missing that may come when asked again.

    Raises:
        CropflowError: One line with what is missing, how much is done, and that another run goes on.
    """
    if not done.missing:
        return
    unit, reason = next(iter(done.missing.items()))
    have = done.kept + done.fetched
    raise CropflowError(
        f"{have} of {done.units} requests are done; {len(done.missing)} did not come, however often they were asked "
        f"for, the first: {unit} ({reason}). Nothing is lost: run again to go on."
    )


class LedgerReader:
    """Layers of scenes from what was fetched; what no plan named, such as a duplicate of an empty scene, is fetched.

    Args:
        source: The service.
        sites: Site -> grid.
        ledger: What was fetched.
    """

    def __init__(self, source: Source, sites: Mapping[str, Grid], ledger: Ledger) -> None:
        self._source = source
        self._ledger = ledger
        self._sites: dict[Grid, list[str]] = {}
        for name, grid in sites.items():
            self._sites.setdefault(grid, []).append(name)
        self._lock = threading.Lock()
        self.unplanned = 0

    def __call__(self, scene: Scene, grid: Grid, layers: Sequence[str]) -> dict[str, Layer]:
        """Read layers of a scene on the grid of a site, joining their parts.

        Raises:
            SceneGoneError: If the scene must be fetched and is not there any more.
            CropflowError: If it must be fetched and does not come.
        """
        whole: dict[str, Layer] = {}
        for unit in _units(self._source, self._sites[grid][0], grid, scene, layers):
            for name, layer in self._read(unit, grid).items():
                if layer.values.shape == grid.shape:
                    whole[name] = layer
                    continue
                known = whole.get(name) or Layer(np.zeros(grid.shape, layer.values.dtype), 0, False)
                row, column = unit.request.row, unit.request.column
                known.values[row : row + unit.request.height, column : column + unit.request.width] = layer.values
                whole[name] = Layer(known.values, known.bytes + layer.bytes, known.resampled or layer.resampled)
        return {name: whole[name] for name in layers}

    def _read(self, unit: Unit, site: Grid) -> dict[str, Layer]:
        found = self._ledger.load(unit)
        if found is not None:
            return found
        try:
            _fetch_one(unit, self._source, self._ledger)
        except GoneError as error:
            raise SceneGoneError({(name, unit.scene.source): str(error) for name in self._sites[site]}) from None
        except (TransientError, StoppedError) as error:
            raise CropflowError(
                f"{unit} was asked for again and again and never came ({error}). Nothing is lost: run again to go on."
            ) from None
        with self._lock:
            self.unplanned += 1
        loaded = self._ledger.load(unit)
        if loaded is None:
            raise CropflowError(
                f"{unit} was written and cannot be read again. Check the disk of {self._ledger.folder}."
            )
        return loaded


def _log_tenth(done: Fetched) -> None:
    finished = done.kept + done.fetched + len(done.missing)
    if done.units < 10 or finished == done.units or finished * 10 // done.units == (finished - 1) * 10 // done.units:
        return
    rest_s = done.seconds * (done.units - finished) / max(1, done.fetched)
    LOG.info(
        "%d of %d requests, %.1f MB/s, about %.0f minutes to go",
        finished, done.units, done.mbytes_per_second, rest_s / 60,
    )  # fmt: skip


def _log(done: Fetched) -> None:
    LOG.info(
        "%d requests: %d fetched now (%.1f MB in %.0f s, %.1f MB/s), %d done before, %d scenes gone, %d missing",
        done.units, done.fetched, done.bytes / 1e6, done.seconds, done.mbytes_per_second,
        done.kept, len(done.gone), len(done.missing),
    )  # fmt: skip
