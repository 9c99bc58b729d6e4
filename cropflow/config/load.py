"""Read a config from YAML files, lay overlays over it, and fill in the defaults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cropflow.errors import CropflowError


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Lay an overlay over a config: mappings are merged key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in overlay.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def read_config(files: Sequence[Path]) -> dict[str, Any]:
    """Read and merge YAML files, later ones over earlier ones.

    Raises:
        CropflowError: If a file is missing, is no YAML, or does not hold a mapping.
    """
    config: dict[str, Any] = {}
    for file in files:
        if not file.is_file():
            raise CropflowError(f"Config file {file} is missing. Give the path of a YAML file.")
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CropflowError(f"{file} is no YAML: {error}") from None
        if content is None:
            raise CropflowError(f"{file} is empty; expected a mapping of sections.")
        if not isinstance(content, dict):
            raise CropflowError(f"{file} holds {type(content).__name__}; expected a mapping of sections.")
        config = merge(config, content)
    return config
