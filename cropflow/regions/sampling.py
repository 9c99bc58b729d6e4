"""A probability sample of squares: every square of a frame has a known chance, kept for estimates of area later."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.errors import CropflowError

LOG = logging.getLogger(__name__)

# The one stratum of a simple random sample.
ALL = "all"
# Columns of the design, beside each site drawn.
DESIGN = ("stratum", "frame_squares", "sample_squares", "inclusion_probability")


def allocate(
    squares: Mapping[str, int], size: int, allocation: Literal["proportional", "equal"], minimum: int
) -> dict[str, int]:
    """Share the size of a sample among strata.

    Every stratum gets the minimum, or all its squares where it has fewer. The rest is shared by the largest
    remainders of the ideal shares, so that no stratum gets more squares than it has.

    Args:
        squares: Stratum -> squares of the frame in it.
        size: Squares to draw in all.
        allocation: In proportion to the squares, or equally.
        minimum: Squares per stratum, at least.

    Returns:
        Stratum -> squares to draw; they add up to the size.

    Raises:
        CropflowError: If the frame has fewer squares, or the size does not reach the minimum of every stratum.
    """
    total = sum(squares.values())
    if size > total:
        raise CropflowError(
            f"choose.size is {size}, and the frame has {total} squares; expected fewer. Lower size or side_km, or "
            "widen frame."
        )
    given = {stratum: min(minimum, number) for stratum, number in squares.items()}
    if sum(given.values()) > size:
        raise CropflowError(
            f"choose.size is {size}; the {len(squares)} strata need {sum(given.values())} squares with "
            f"choose.minimum_per_stratum = {minimum}. Raise size, or merge strata."
        )
    weight = {stratum: number if allocation == "proportional" else 1 for stratum, number in squares.items()}
    ideal = {stratum: size * weight[stratum] / sum(weight.values()) for stratum in squares}
    while sum(given.values()) < size:
        # The stratum that lags its ideal share most; the larger, then the first by name, among equals.
        open_ = [stratum for stratum in squares if given[stratum] < squares[stratum]]
        lagging = min(open_, key=lambda stratum: (given[stratum] - ideal[stratum], -squares[stratum], stratum))
        given[lagging] += 1
    return given


def draw(
    frame: pandas.DataFrame, size: int, allocation: Literal["proportional", "equal"], minimum: int, seed: int
) -> pandas.DataFrame:
    """Draw a stratified simple random sample without replacement.

    In each stratum every set of squares of the size drawn there is equally likely. A stratum has a stream of random
    numbers of its own, made of the seed and its name: another stratum does not change what is drawn in it.

    Args:
        frame: ``square`` (name), ``stratum``; one row per square of the frame, in any order.
        size: Squares to draw in all.
        allocation: How the size is shared among the strata.
        minimum: Squares per stratum, at least.
        seed: Seed of the draw.

    Returns:
        The rows drawn, by stratum and name, with ``frame_squares`` and ``sample_squares`` of their stratum and
        ``inclusion_probability``, the ratio of the two; over the whole frame these add up to the size. Two squares of
        one stratum are drawn together with probability n (n - 1) / (N (N - 1)), of two strata with the product.

    Raises:
        CropflowError: If the size does not fit the frame.

    Source:
        Cochran (1977), Sampling Techniques, chapters 2 and 5.
    """
    squares = {str(stratum): int(number) for stratum, number in frame["stratum"].value_counts().sort_index().items()}
    sizes = allocate(squares, size, allocation, minimum)
    parts = []
    for stratum, number in squares.items():
        here = frame[frame["stratum"] == stratum].sort_values("square", ignore_index=True)
        chosen = _stream(seed, stratum).permutation(number)[: sizes[stratum]]
        parts.append(
            here.iloc[np.sort(chosen)].assign(
                frame_squares=number,
                sample_squares=sizes[stratum],
                inclusion_probability=sizes[stratum] / number,
            )
        )
        LOG.info("stratum %s: %d of %d squares", stratum, sizes[stratum], number)
        if sizes[stratum] < 2 <= number:
            LOG.warning("stratum %s: a single square of %d shows no variance", stratum, number)
    return pandas.concat(parts, ignore_index=True)


def _stream(seed: int, stratum: str) -> np.random.Generator:
    own = int.from_bytes(hashlib.sha256(stratum.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, own])


def strata_by_share(share: NDArray[np.float64], breaks: tuple[float, ...]) -> list[str]:
    """Name the class of each share, such as ``0.1-0.3``: from the lower break up to below the upper one.

    Raises:
        CropflowError: If a square has no share: one without a stratum has no known chance.
    """
    missing = int(np.isnan(share).sum())
    if missing:
        raise CropflowError(
            f"{missing} of {len(share)} squares of choose.frame have no data in choose.strata.raster; expected a "
            "raster that covers the frame. Make the frame smaller, or bring another raster."
        )
    edges = [0.0, *breaks, 1.0]
    return [f"{edges[place]:g}-{edges[place + 1]:g}" for place in np.digitize(share, breaks)]


def design(sample: pandas.DataFrame) -> dict[str, dict[str, Any]]:
    """The design of a sample, as counts.

    Returns:
        Stratum -> ``frame_squares``, ``sample_squares``, ``inclusion_probability``.
    """
    rows = sample.drop_duplicates("stratum")
    return {str(row["stratum"]): {key: row[key] for key in DESIGN[1:]} for row in rows.to_dict("records")}
