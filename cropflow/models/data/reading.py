"""Samples of any kind from the folders of several places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cropflow.config.models.drawing import Kind
from cropflow.errors import CropflowError
from cropflow.models.data.chips import read_chips
from cropflow.models.data.patches import read_patches
from cropflow.models.data.pixel_sets import read_pixel_sets
from cropflow.models.data.samples import Samples


def read_samples(kind: Kind, places: Sequence[str], folders: Sequence[Path]) -> Samples:
    """Open the samples of several places; arrays are mapped into memory, tables are read.

    Args:
        kind: What a sample is; ``pixels`` are those of pixel sets, one by one.
        places: ``region/season`` of each.
        folders: Its folder of samples of that kind.

    Returns:
        :class:`~cropflow.models.data.patches.PatchSamples`, :class:`~cropflow.models.data.chips.ChipSamples` or
        :class:`~cropflow.models.data.pixel_sets.PixelSetSamples`.

    Raises:
        CropflowError: If a file is missing or not what the others say of it, or the places differ in sensors, bands,
            periods, radiometry, legend, size or lags.
    """
    if len(places) != len(folders) or not places:
        raise CropflowError(f"{len(places)} places and {len(folders)} folders of samples; expected one folder each.")
    if kind == "patches":
        return read_patches(places, folders)
    if kind == "chips":
        return read_chips(places, folders)
    return read_pixel_sets(places, folders, kind)
