"""Models by name: what `create` can build.

A network is one module of `cropflow.models.networks` that bears its name and has ``build(settings, inputs)``, and one
section of `cropflow.config.models`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cropflow.config.models import BASELINES, NETWORKS, Training
from cropflow.config.root import parse
from cropflow.config.sample_checks import ANY_DATES
from cropflow.errors import CropflowError, refuse
from cropflow.models.baselines import build_baseline
from cropflow.samples.sensors import Layout

if TYPE_CHECKING:
    from cropflow.models.network import Inputs, Network

NAMES = (*NETWORKS, *BASELINES)
# What `create` takes for granted of parcels: perimeter, pixel count and two ratios; two seasons before this one.
FEATURES, LAGS = 4, 2


def create(name: str, **settings: Any) -> Any:
    """Build a network or a baseline with fresh weights.

    Args:
        name: One of ``NAMES``.
        **settings: Keys of the config section of that name. A network needs ``bands`` (per date: a number, or by
            sensor) and ``outputs`` (classes) besides, and takes ``periods``, ``features``, ``lags`` and ``levels`` of
            :class:`cropflow.models.network.Inputs`; where the settings ask for parcel features these are 4, and where
            they ask for a history it is of 2 seasons, unless told. A baseline takes ``seed`` and ``threads``.

    Returns:
        A :class:`cropflow.models.network.Network`, or a scikit-learn classifier of pixels ``(n, feature)``.

    Raises:
        CropflowError: If the name or a setting is unknown.
    """
    if name in NETWORKS:
        inputs = _inputs(settings)
        section = parse(NETWORKS[name], settings, name)
        if inputs.periods is None and not section.any_dates:
            raise CropflowError(
                f"periods is missing: {name} with these settings has a weight for each date; expected the number of "
                f"dates, such as periods=36; or {ANY_DATES.get(name, '')}or another model."
            )
        return build_network(section, inputs)
    if name in BASELINES:
        seed, threads = int(settings.pop("seed", 0)), int(settings.pop("threads", 1))
        return build_baseline(parse(BASELINES[name], settings, name), seed, threads)
    refuse("Model", name, "one of: " + ", ".join(NAMES))


def _inputs(settings: dict[str, Any]) -> Inputs:
    from cropflow.models.network import Inputs

    bands = settings.pop("bands", None)
    by_sensor = bands if isinstance(bands, Mapping) else {"sentinel2": bands}
    for sensor, count in by_sensor.items():
        _check_positive(f"bands of {sensor}" if bands is by_sensor else "bands", count)
    outputs = settings.pop("outputs", None)
    _check_positive("outputs", outputs)
    # The features and the history of a sample set, where settings do without them they are not looked at.
    others: dict[str, Any] = {"features": FEATURES, "lags": LAGS}
    others |= {key: settings.pop(key) for key in ("features", "lags", "levels") if key in settings}
    for level in others.get("levels", ()):
        if len(level) != outputs:
            refuse("A level of a network", list(level), f"the group of each of its {outputs} classes")
    periods = settings.pop("periods", None)
    if isinstance(periods, int):
        periods = dict.fromkeys(by_sensor, periods)
    return Inputs(by_sensor, outputs, periods, **others)


def _check_positive(key: str, value: Any) -> None:
    if not isinstance(value, int) or value < 1:
        refuse(f"Setting {key!r} of a network", value, "a number of at least 1")


def build_network(settings: Training, inputs: Inputs) -> Network:
    """The network of a config section, with fresh weights.

    Args:
        settings: Its config section; the keys of training do not matter here.
        inputs: Sensors, bands and classes.

    Raises:
        CropflowError: If the network cannot take these sensors or periods.
    """
    from cropflow.models.admission import admit

    name: str = settings.name  # type: ignore[attr-defined]
    network: Network = importlib.import_module(f"cropflow.models.networks.{name}").build(settings, inputs)
    admit(network, settings, inputs)
    return network


def inputs_of(layouts: Sequence[Layout], outputs: int, **others: Any) -> Inputs:
    """What a network is built for, from the axes of each sensor's series.

    Args:
        layouts: Axes of each sensor's series.
        outputs: Number of classes.
        **others: Further attributes of :class:`cropflow.models.network.Inputs`.
    """
    from cropflow.models.network import Inputs

    bands = {layout.sensor: len(layout.bands) for layout in layouts}
    periods = {layout.sensor: len(layout.periods) for layout in layouts}
    # Acquisitions have as many dates as each site has.
    return Inputs(bands, outputs, None if any(layout.acquisitions for layout in layouts) else periods, **others)
