"""Read a config from YAML files, lay overlays over it, and fill in the defaults."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cropflow.errors import CropflowError


class _Loader(yaml.SafeLoader):
    """Reads YAML in which no mapping has a key twice: the first of the two would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                first = seen[key.value]
                lines = f"twice in line {line}" if first == line else f"in line {first} and in line {line}"
                raise CropflowError(
                    f"{self.name} has the key {key.value!r} {lines}; expected it once. Put what stands under both "
                    f"under one."
                )
            if isinstance(key, yaml.ScalarNode):
                seen[key.value] = line
        return super().construct_mapping(node, deep)


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
        CropflowError: If a file is missing, is no YAML, has a key twice, or does not hold a mapping.
    """
    config: dict[str, Any] = {}
    for file in files:
        if not file.is_file():
            raise CropflowError(f"Config file {file} is missing. Give the path of a YAML file.")
        try:
            loader = _Loader(file.read_text(encoding="utf-8"))
            loader.name = str(file)
            content = loader.get_single_data()
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CropflowError(f"{file} is no YAML: {error}") from None
        except ValueError as error:
            # YAML reads text that looks like a date as one, and there is no 31 February.
            raise CropflowError(
                f"{file} holds a date that does not exist ({error}); expected one of the calendar. Correct it."
            ) from None
        if content is None:
            raise CropflowError(f"{file} is empty; expected a mapping of sections.")
        if not isinstance(content, dict):
            raise CropflowError(f"{file} holds {type(content).__name__}; expected a mapping of sections.")
        config = merge(config, content)
    return config


def json_of(text: str, where: str = "--settings") -> Any:
    """What the JSON text of an option says.

    Raises:
        CropflowError: If the text is no JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CropflowError(f"{where} is no JSON ({error}); found {text[:80]!r}.") from None
