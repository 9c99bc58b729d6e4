"""Parts of a computed image: small enough for the service, fetched at once, kept until the work is finished."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropflow.errors import CropflowError
from cropflow.files.atomic import atomic_file, write_json
from cropflow.files.earth_engine_calls import called
from cropflow.files.remote import ATTEMPTS, GoneError, Limits, TooLargeError, TransientError
from cropflow.imagery.earth_engine.requests import MASK_BYTES, MOST_BANDS, Sent, plan_requests
from cropflow.regions.grid import Grid

log = logging.getLogger(__name__)

# A part that the service cannot compute is halved down to this side.
SMALLEST_SIDE = 16


@dataclass(frozen=True)
class Part:
    """A rectangle of a site's grid: first row and column, rows and columns."""

    row: int
    column: int
    height: int
    width: int

    def halves(self) -> tuple[Part, Part]:
        """The part in two, across its longer side."""
        if self.height >= self.width:
            upper = self.height // 2
            return (
                Part(self.row, self.column, upper, self.width),
                Part(self.row + upper, self.column, self.height - upper, self.width),
            )
        left = self.width // 2
        return (
            Part(self.row, self.column, self.height, left),
            Part(self.row, self.column + left, self.height, self.width - left),
        )


def cut_parts(shape: tuple[int, int], pixel_bytes: int) -> list[Part]:
    """Cut a grid into as few parts as the service's limits allow.

    Args:
        shape: Rows and columns of the grid.
        pixel_bytes: Size of a pixel in the answer, all bands, their bytes of mask included.

    Returns:
        The parts, row by row; together they cover the grid once.

    Raises:
        CropflowError: If a single pixel is too large.
    """
    # All bands of a pixel come together, so the stack is one layer to the planner.
    stack = {"composite": Sent(pixel_bytes - MASK_BYTES)}
    return [Part(one.row, one.column, one.height, one.width) for one in plan_requests(stack, *shape)]


class PartStore:
    """Fetched parts on disk: each is whole under its name, and trusted only where its hash is the one noted beside it.

    Args:
        folder: Where they lie; made where it is missing.
        limits: Requests in flight and a second.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = folder
        self.limits = limits
        self.fetched = 0
        self.found = 0
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str, build: Callable[[Any], Any], key: str, grid: Grid, part: Part) -> NDArray[Any]:
        """The pixels of a part of an image that the service computes, from disk where they are there.

        Args:
            name: What is asked for, as messages call it.
            build: Makes the image, an ``ee.Image``, from the connected client.
            key: What the image is, all that its pixels depend on; parts of another image are never taken for it.
            grid: The grid of the site.
            part: The part of the grid.

        Returns:
            Structured array ``(y, x)``, a field per band.

        Raises:
            CropflowError: If the service refuses, does not answer, or cannot compute even a small part.
        """
        place = self.folder / _digest(f"{key} {grid} {part}")
        kept = self._kept(place, part)
        if kept is not None:
            with self._lock:
                self.found += 1
            return kept
        if not place.with_suffix(".halved").is_file():
            try:
                return self._fetched(name, build, grid.window(part.row, part.column, part.height, part.width), place)
            except TooLargeError as error:
                if max(part.height, part.width) < 2 * SMALLEST_SIDE:
                    raise CropflowError(
                        f"{name} cannot be computed by Earth Engine, not even {part.height} x {part.width} pixels at "
                        f"once ({error}). Set imagery.<name>.reduce to 'local'."
                    ) from None
                log.info("%s, %d x %d pixels: %s; asking for halves", name, part.height, part.width, error)
                # Noted, so that a resumed run does not ask for it in vain.
                place.with_suffix(".halved").touch()
        first, second = (self.read(name, build, key, grid, half) for half in part.halves())
        return np.concatenate([first, second], axis=0 if part.height >= part.width else 1)

    def _kept(self, place: Path, part: Part) -> NDArray[Any] | None:
        file, note = place.with_suffix(".npy"), place.with_suffix(".json")
        if not (file.is_file() and note.is_file()):
            return None
        content = file.read_bytes()
        try:
            noted = json.loads(note.read_text(encoding="utf-8"))
        except ValueError:
            noted = None
        if noted != _note(content):
            log.warning("%s is damaged and is fetched again", file)
            return None
        return _pixels(content, (part.height, part.width), str(file))

    def _fetched(self, name: str, build: Callable[[Any], Any], grid: Grid, place: Path) -> NDArray[Any]:
        def compute(ee: Any) -> tuple[bytes, NDArray[Any]]:
            request = {"expression": build(ee), "fileFormat": "NPY", "grid": request_grid(grid)}
            content: bytes = ee.data.computePixels(request)
            try:
                return content, _pixels(content, grid.shape, name)
            except (ValueError, EOFError) as error:
                # Cut short on its way.
                raise TransientError(f"pixels that cannot be read: {error}") from None

        try:
            content: bytes
            pixels: NDArray[Any]
            content, pixels = called(name, compute, self.limits)
        except TransientError as error:
            raise CropflowError(
                f"{name} cannot be computed by Earth Engine ({error}), asked {ATTEMPTS} times. Try again later: what "
                "was fetched is kept."
            ) from None
        except GoneError as error:
            raise CropflowError(
                f"{name} rests on an image that Earth Engine has no more ({error}). Look for what is there now: "
                "`snakemake --forcerun imagery_find`."
            ) from None
        with atomic_file(place.with_suffix(".npy")) as temporary:
            temporary.write_bytes(content)
        # After the pixels: a part without its note is fetched again.
        write_json(place.with_suffix(".json"), _note(content))
        with self._lock:
            self.fetched += 1
        return pixels


def request_grid(grid: Grid) -> dict[str, Any]:
    """A grid as requests for pixels state it: CRS, affine of the upper-left corner, dimensions."""
    return {
        "crsCode": f"EPSG:{grid.epsg}",
        "affineTransform": {
            "scaleX": grid.pixel_m,
            "shearX": 0,
            "translateX": grid.xmin,
            "shearY": 0,
            "scaleY": -grid.pixel_m,
            "translateY": grid.ymax,
        },
        "dimensions": {"width": grid.width, "height": grid.height},
    }


def band_groups(bands_per_period: int, periods: Sequence[int]) -> Iterator[Sequence[int]]:
    """Cut periods into groups whose bands fit into one request.

    Args:
        bands_per_period: Bands that each period takes.
        periods: The periods, in order.
    """
    size = MOST_BANDS // bands_per_period
    for start in range(0, len(periods), size):
        yield periods[start : start + size]


def _note(content: bytes) -> Mapping[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _pixels(content: bytes, shape: tuple[int, int], name: str) -> NDArray[Any]:
    pixels: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    if pixels.dtype.names is None or pixels.shape != shape:
        raise CropflowError(f"{name} sent {pixels.dtype} pixels {pixels.shape}; expected bands of {shape}. Try again.")
    return pixels
