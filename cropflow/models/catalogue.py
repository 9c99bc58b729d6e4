"""What can be created: the models of the registry and what each is, for the command line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cropflow.config.base import Section, dump
from cropflow.config.describe import keys_of
from cropflow.config.models import BASELINES, NETWORKS, Training
from cropflow.config.root import parse_json
from cropflow.errors import CropflowError, refuse
from cropflow.models.registry import LAGS, NAMES, create

# What baselines learn from, by their unit.
_BY_UNIT = "patches or pixel_sets"
KINDS = {
    "patches": "patches: a class for each pixel",
    "pixel_sets": "pixel sets: a class for the pixels of a parcel",
    "chips": "chips: a class for the square around a parcel",
    "pixels": "pixels: a class for each pixel, from its own series",
    _BY_UNIT: "flattened series of pixels, or of parcels where unit is parcel",
}
_ONE, _TWO = "sentinel2", ("sentinel2", "sentinel1_ascending")


# Name, type, default and meaning of a setting.
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Line:
    """A model in the list.

    Attributes:
        name: Its name in the config.
        kind: What it learns from; of baselines both that they can, by their unit.
        parameters: Weights at default settings; None of baselines, whose trees grow with the data.
        sensors: How many it takes: ``one``, ``two`` or ``any``.
        what: What it is, in a line.
    """

    name: str
    kind: str
    parameters: int | None
    sensors: str
    what: str

    def told(self) -> dict[str, Any]:
        """The entry of a JSON list."""
        return asdict(self)


@dataclass(frozen=True)
class Card:
    """Everything about a model.

    Attributes:
        line: Its line in the list.
        about: Paragraphs: input, output, and what is special.
        source: Where it was published; empty where nothing is cited.
        masked: Whether it leaves out dates and pixels without a value; None of baselines.
        parts: Part -> parameters, for the given inputs; empty of baselines.
        counted: What they are counted for: ``bands`` by sensor, ``outputs``, ``periods``, of networks that score every
            level of a legend the groups of each coarser one in ``levels``, and of those that read a history its
            ``lags``; empty of baselines.
        keys: Name, type, default and meaning of each setting of its own, but its name.
        training: The same of those that all networks share; empty of baselines.
        defaults: Setting -> its default as JSON has it.
    """

    line: Line
    about: tuple[str, ...]
    source: str
    masked: bool | None
    parts: dict[str, int]
    counted: dict[str, Any]
    keys: tuple[Key, ...]
    training: tuple[Key, ...]
    defaults: dict[str, Any]

    def told(self) -> dict[str, Any]:
        """The content of a JSON file."""
        names = ("key", "type", "default", "meaning")
        settings = [
            dict(zip(names, key, strict=True)) | {"default": self.defaults[key[0]]}
            for key in (*self.keys, *self.training)
        ]
        card = {"about": list(self.about), "source": self.source, "masked": self.masked, "parts": self.parts}
        return {**self.line.told(), **card, "counted_for": self.counted, "settings": settings}


def list_models(bands: int, outputs: int, periods: int) -> list[Line]:
    """All models, networks first.

    Args:
        bands: Bands per date of a sensor that parameters are counted for.
        outputs: Classes that they are counted for.
        periods: Dates that they are counted for, where their number matters.
    """
    return [_line(name, bands, outputs, periods) for name in NAMES]


def _line(name: str, bands: int, outputs: int, periods: int) -> Line:
    what = _summary(BASELINES.get(name) or NETWORKS[name])
    if name in BASELINES:
        return Line(name, _BY_UNIT, None, "any", what)
    inputs = {"outputs": outputs, "periods": periods}
    one, two = (_try(name, dict.fromkeys(sensors, bands), inputs) for sensors in ((_ONE,), _TWO))
    network = one if one is not None else two
    if network is None:
        raise ValueError(f"{name} takes neither one sensor nor two")
    sensors = "any" if one is not None and two is not None else "one" if one is not None else "two"
    return Line(name, network.kind, _count(network), sensors, what)


def describe_model(
    name: str,
    bands: int | Mapping[str, int],
    outputs: int,
    periods: int | None,
    settings: str = "{}",
    *,
    levels: Sequence[Sequence[int]] = (),
    lags: int | None = None,
) -> Card:
    """Everything about a model.

    Args:
        name: One of :data:`cropflow.models.registry.NAMES`.
        bands: Bands per date, by sensor or of a single one.
        outputs: Classes.
        periods: Dates of a series; None where they may be any number.
        settings: JSON of the keys of its section that differ from their defaults.
        levels: For each coarser level of a legend, coarsest first, the group of each class; other networks than those
            that score every level pass over them.
        lags: Seasons of the history that the settings ask for; as many as `create` takes for granted where None.

    Raises:
        CropflowError: If there is no such model or setting, or the network cannot take these inputs.
    """
    if name not in NAMES:
        refuse("Model", name, "one of: " + ", ".join(NAMES))
    section: type[Section] = BASELINES.get(name) or NETWORKS[name]
    parsed = parse_json(section, settings)
    chosen = parsed.model_dump(exclude_unset=True, exclude={"name"})
    keys, defaults = tuple(key for key in keys_of(section) if key[0] != "name"), dump(section())
    reads_history = getattr(parsed, "history", "none") != "none"
    if lags is not None and not reads_history:
        raise CropflowError(f"--lags is {lags}, and {name} with these settings reads no history; leave --lags out.")
    if name in BASELINES:
        line = Line(name, _BY_UNIT, None, "any", _summary(section))
        return Card(line, (), "", None, {}, {}, keys, (), defaults)
    seasons = LAGS if lags is None else lags
    inputs = {"outputs": outputs, "periods": periods, "levels": tuple(map(tuple, levels)), "lags": seasons}
    network = _build(name, bands, {**inputs, **chosen})
    about, source = _documented(type(network))
    line = _line(name, 10, outputs, periods or 12)
    line = Line(name, line.kind, _count(network), line.sensors, line.what)
    parts = {part: count for part, module in network.named_children() if (count := _count(module))}
    loose = _count(network) - sum(parts.values())
    if loose:
        parts["(the network itself)"] = loose
    counted: dict[str, Any] = {
        "bands": dict(bands) if isinstance(bands, Mapping) else {_ONE: bands}, "outputs": outputs, "periods": periods,
    }  # fmt: skip
    if scores_levels(network):
        counted["levels"] = [max(level) + 1 for level in levels]
    if reads_history:
        counted["lags"] = seasons
    shared = {key for key, *_ in keys_of(Training)}
    own, training = (tuple(key for key in keys if (key[0] in shared) is common) for common in (False, True))
    return Card(line, about, source, network.masked, parts, counted, own, training, defaults)


def scores_levels(network: Any) -> bool:
    """Whether a network scores every level of a legend."""
    from cropflow.models.network import HierarchicalNetwork

    return isinstance(network, HierarchicalNetwork)


def _try(name: str, bands: Mapping[str, int], inputs: Mapping[str, Any]) -> Any:
    try:
        return _build(name, bands, inputs)
    except CropflowError:
        return None


def _build(name: str, bands: int | Mapping[str, int], inputs: Mapping[str, Any]) -> Any:
    import torch

    # Without memory for weights, hence without their draw: what counts is their number.
    with torch.device("meta"):
        return create(name, bands=bands, **inputs)


def _count(module: Any) -> int:
    return sum(value.numel() for value in module.parameters())


def _summary(section: type) -> str:
    return (inspect.getdoc(section) or "").splitlines()[0].rstrip(".")


def _documented(network: type) -> tuple[tuple[str, ...], str]:
    """The paragraphs of a docstring before its arguments, and its source, each in one line."""
    text, _, source = (inspect.getdoc(network) or "").partition("\nSource:\n")
    paragraphs = text.partition("\nArgs:\n")[0].split("\n\n")
    return tuple(" ".join(part.split()) for part in paragraphs if part.strip()), " ".join(source.split())
