"""The JSON schema and the reference page, generated from the models."""

from __future__ import annotations

import json
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cropflow.config.base import Section
from cropflow.config.imagery import Budget, HarvestWindow, Imagery, Mask, Radar, Series
from cropflow.config.layouts import LAYOUT_SETTINGS, ImportFolds, PlacelessFolds
from cropflow.config.models import BASELINES, NETWORKS
from cropflow.config.models.transfer import Transfer
from cropflow.config.regions import Box, Clusters, Cropland, Frame, Region, Sample, Square, Strata
from cropflow.config.register_files import RegisterFile
from cropflow.config.registers import (
    Cleaning,
    Columns,
    CropCalendar,
    History,
    NationalTable,
    Points,
    Provinces,
    Raster,
    Register,
    Window,
)
from cropflow.config.root import Config
from cropflow.config.sections import Experiment, Folds, Place, SampleSet, Season
from cropflow.config.simulation import Difficulty, Landscape, Simulation
from cropflow.config.tuning import Span, Tuning

# Heading -> model, in the order of the rooms.
PAGES: dict[str, type[Section]] = {
    "Top level": Config,
    "simulations.<name>": Simulation,
    "simulations.<name>.landscapes.<name>": Landscape,
    "simulations.<name>.difficulty": Difficulty,
    "registers.<name>": Register,
    "registers.<name>.files.<season>": RegisterFile,
    "registers.<name>.columns": Columns,
    "registers.<name>.national": NationalTable,
    "registers.<name>.raster": Raster,
    "registers.<name>.points": Points,
    "registers.<name>.provinces": Provinces,
    "registers.<name>.calendar": CropCalendar,
    "registers.<name>.calendar.window": Window,
    "registers.<name>.cleaning": Cleaning,
    "registers.<name>.history": History,
    "regions.<name>": Region,
    "regions.<name>.sites.<name> (square)": Square,
    "regions.<name>.sites.<name> (box)": Box,
    "regions.<name>.choose (clusters)": Clusters,
    "regions.<name>.choose (cropland)": Cropland,
    "regions.<name>.choose (sample)": Sample,
    "regions.<name>.choose.frame": Frame,
    "regions.<name>.choose.strata": Strata,
    "seasons.<name>": Season,
    "imagery.<name>": Imagery,
    "imagery.<name>.budget": Budget,
    "series.<name>": Series,
    "series.<name>.mask": Mask,
    "series.<name>.radar": Radar,
    "series.<name>.window": HarvestWindow,
    "sets.<name>": SampleSet,
    "sets.<name>.folds": Folds,
    "experiments.<name>": Experiment,
    "experiments.<name>.train[] and map[]": Place,
    "experiments.<name>.tuning": Tuning,
    "experiments.<name>.tuning.parameters.<name> (numbers)": Span,
    "experiments.<name>.transfer": Transfer,
    **{f"experiments.<name>.model ({name})": section for name, section in (NETWORKS | BASELINES).items()},
    # No part of the config, but settings of a command that is run by hand.
    **{f"cropflow samples import --layout {name}": section for name, section in LAYOUT_SETTINGS.items()},
    "cropflow samples import: folds": ImportFolds,
    "cropflow samples import --layout deep_crop_rotation: folds": PlacelessFolds,
}


# What a user writes, in place of Python's names.
WORDS = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}


def schema() -> str:
    """The JSON schema of the config, as text."""
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _bare(annotation: Any) -> Any:
    """A type without what is said about it, and without None where one other type is left."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    rest = [argument for argument in get_args(annotation) if argument is not type(None)]
    return _bare(rest[0]) if type(None) in get_args(annotation) and len(rest) == 1 else annotation


def _alternatives(annotation: Any) -> list[Any]:
    """The types of a union, or the type itself."""
    bare = _bare(annotation)
    union = isinstance(bare, UnionType) or get_origin(bare) is Union
    return [_bare(argument) for argument in get_args(bare) if argument is not type(None)] if union else [bare]


def _type(field: Any) -> str:
    annotation = _bare(field.annotation)
    if get_origin(annotation) in (tuple, dict):
        return "list" if get_origin(annotation) is tuple else "mapping"
    arguments = get_args(annotation)
    if arguments and all(isinstance(argument, str | int) for argument in arguments):
        return ", ".join(str(argument) for argument in arguments)
    names = ["mapping" if issubclass(each, Section) else each.__name__ for each in _alternatives(annotation)]
    return " or ".join(WORDS.get(name, name) for name in dict.fromkeys(names))


def _meaning(field: Any) -> str:
    """What is said about a field, and under which headings the keys of its sections stand."""
    annotation = _bare(field.annotation)
    if get_origin(annotation) in (tuple, dict):
        annotation = [each for each in get_args(annotation) if each is not Ellipsis][-1]
    headings = [f"`{heading}`" for heading, model in PAGES.items() if model in _alternatives(annotation)]
    parts = [field.description or "", f"Keys: {', '.join(headings)}." if headings else ""]
    if get_origin(annotation) is Literal and not field.description:
        parts = ["Tells the alternatives apart."]
    return " ".join(part for part in parts if part)


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, Section):
        return "{}"
    if isinstance(field.default, tuple):
        return "[" + ", ".join(str(value) for value in field.default) + "]"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if isinstance(field.default, dict):
        return "{}"
    return "none" if field.default is None else str(field.default)


def keys_of(section: type[Section]) -> list[tuple[str, str, str, str]]:
    """The keys of a section: name, type, default and meaning, as a user writes and reads them."""
    return [
        (field.alias or name, _type(field), _default(field), _meaning(field))
        for name, field in section.model_fields.items()
    ]


def reference() -> str:
    """The reference page of the config: one table per section, in Markdown."""
    lines = [
        "# Configuration",
        "",
        "Generated by `cropflow config reference > docs/configuration.md`; the source is `cropflow/config/`.",
        "An overlay given by `--configfile` is merged over `config.yaml`.",
        "Quote dates and names that look like numbers.",
    ]
    for heading, model in PAGES.items():
        summary = (model.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"## `{heading}`" if "<" in heading else f"## {heading}", "", summary, ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        lines += [f"| `{key}` | {kind} | {default} | {meaning} |" for key, kind, default, meaning in keys_of(model)]
    return "\n".join(lines) + "\n"
