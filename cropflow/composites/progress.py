"""Work on the blocks of a site in threads, and what the log tells of its periods."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cropflow.composites.blocks import Window
from cropflow.regions.grid import Grid

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")


def in_threads(work: Callable[[Window], Result], blocks: Sequence[Window], workers: int, name: str) -> Iterator[Result]:
    """Do the blocks of a site in threads, in order, with a bar on a terminal.

    Args:
        work: What is done with a block.
        blocks: The blocks.
        workers: Threads.
        name: What the bar is called.
    """
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from tqdm(pool.map(work, blocks), total=len(blocks), desc=name, disable=None)
        except BaseException:
            # What waits in the queue would only delay the message.
            pool.shutdown(cancel_futures=True)
            raise


def tell_periods(
    site: str, starts: Sequence[datetime.date], seen: Sequence[str], pixels: NDArray[np.int64], grid: Grid
) -> None:
    """Log what was seen in each period, and what was not.

    Args:
        site: Name of the site.
        starts: First day of each period.
        seen: What each period rests on, such as ``6 scenes``.
        pixels: Pixels without an observation, filled, and left nodata, int, ``(3, period)``.
        grid: Grid of the site.
    """
    total = grid.height * grid.width
    for index, day in enumerate(starts):
        missing, filled, nodata = (100 * int(count) / total for count in pixels[:, index])
        LOG.info(
            "site %s, period from %s: %s; of %d pixels %.1f %% without an observation (%.1f %% filled, %.1f %% nodata)",
            site, day, seen[index], total, missing, filled, nodata,
        )  # fmt: skip
