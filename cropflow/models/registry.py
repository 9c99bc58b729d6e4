"""Models by name: what `create` can build."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cropflow.config.root import parse
from cropflow.config.sections import RandomForest, TemporalUnet
from cropflow.errors import CropflowError, refuse
from cropflow.samples.sensors import Layout

NAMES = ("temporal_unet", "random_forest")


def create(name: str, **settings: Any) -> Any:
    """Build a network or a baseline with fresh weights.

    Args:
        name: ``temporal_unet`` or ``random_forest``.
        **settings: Keys of the config section of that name. A network needs ``bands`` (per period)
            and ``outputs`` (classes) besides; the forest takes ``seed`` and ``threads``.

    Returns:
        A ``torch.nn.Module`` that maps ``(B, T, C, H, W)`` to scores ``(B, outputs, H, W)``, or a
        scikit-learn classifier of pixels ``(n, feature)``.

    Raises:
        CropflowError: If the name or a setting is unknown.
    """
    if name == "temporal_unet":
        bands, outputs = (_positive(settings, key) for key in ("bands", "outputs"))
        return build_network(parse(TemporalUnet, settings, "temporal_unet"), bands, outputs)
    if name == "random_forest":
        seed, threads = int(settings.pop("seed", 0)), int(settings.pop("threads", 1))
        return build_forest(parse(RandomForest, settings, "random_forest"), seed, threads)
    refuse("Model", name, "one of: " + ", ".join(NAMES))


def _positive(settings: dict[str, Any], key: str) -> int:
    value = settings.pop(key, None)
    if not isinstance(value, int) or value < 1:
        refuse(f"Setting {key!r} of a network", value, "a number of at least 1")
    return value


def channels(layouts: Sequence[Layout]) -> int:
    """Channels of a network that sees the bands of all sensors side by side.

    Args:
        layouts: Axes of each sensor's series.

    Raises:
        CropflowError: If the sensors do not share one axis of time.
    """
    first = layouts[0]
    for other in layouts[1:]:
        if other.periods != first.periods:
            raise CropflowError(
                f"The series of {other.sensor} have {len(other.periods)} periods from {other.periods[0]}, those of "
                f"{first.sensor} {len(first.periods)} from {first.periods[0]}; a temporal_unet needs the same periods "
                "of all sensors. Choose a series with calendar periods."
            )
    return sum(len(layout.bands) for layout in layouts)


def build_network(settings: TemporalUnet, bands: int, outputs: int) -> Any:
    """The network of a config section.

    Args:
        settings: Its config section; the keys of training do not matter here.
        bands: Bands per period, of all sensors.
        outputs: Number of classes.
    """
    from cropflow.models.networks.temporal_unet import TemporalUnet as Network

    return Network(
        bands,
        outputs,
        kernel_size=settings.kernel_size,
        temporal_layers=settings.temporal_layers,
        temporal_width=settings.temporal_width,
        widths=settings.widths,
        pooling=settings.pooling,
        dropout=settings.dropout,
        positions=settings.positions,
    )


def build_forest(settings: RandomForest, seed: int, threads: int) -> Any:
    """The scikit-learn forest of a config section.

    Args:
        settings: Its config section.
        seed: Seed of the trees.
        threads: Trees grown at a time; the result does not depend on it.
    """
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=settings.trees,
        max_depth=settings.max_depth,
        min_samples_leaf=settings.minimum_leaf,
        random_state=seed,
        n_jobs=threads,
    )
