"""Published layouts of samples: read into folders of samples of our own, and written from them.

A layout is a module with ``open_source(folder, settings) -> Source``, which :func:`cropflow.samples.layouts.importing`
turns into a folder of samples, and, where it can be written, ``write(samples, folder) -> counts``.
"""

from __future__ import annotations

import importlib
from typing import Any

from cropflow.config.layouts import LAYOUT_SETTINGS
from cropflow.errors import listing, refuse

NAMES = tuple(LAYOUT_SETTINGS)
# PASTIS and ZueriCrop are what others publish and read; nothing of ours is written that way.
EXPORTED = ("deep_crop_rotation", "pse_tsa", "temporal_unet_hdf5", "canadian_hdf5", "siamese_geotiff")


def layout_module(name: str) -> Any:
    """The module of a layout.

    Raises:
        CropflowError: If there is no such layout.
    """
    if name not in NAMES:
        refuse("--layout", name, f"one of: {listing(NAMES)}")
    return importlib.import_module(f"cropflow.samples.layouts.{name}")


def export_module(name: str) -> Any:
    """The module of a layout that can be written.

    Raises:
        CropflowError: If there is no such layout, or it is only read.
    """
    if name not in EXPORTED:
        refuse("--layout", name, f"one that is written: {listing(EXPORTED)}")
    return layout_module(name)
