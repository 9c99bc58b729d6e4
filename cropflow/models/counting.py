"""What the parameters of a model are counted for, as the command line says it."""

from __future__ import annotations

from cropflow.errors import CropflowError, refuse
from cropflow.labels.legend import read_legend
from cropflow.models.levels import group_classes
from cropflow.samples.sensors import KINDS as SENSORS

# Unless told.
CLASSES = 20


def classes_and_levels(
    outputs: int | None, levels: str | None, legend: str | None
) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """What ``--outputs``, ``--levels`` and ``--legend`` say: the number of classes, and each level's group of each.

    Raises:
        CropflowError: If a legend comes with one of the others, there is none of that name, or levels are no such.
    """
    if legend is None:
        classes = CLASSES if outputs is None else outputs
        return classes, () if levels is None else parse_levels(levels, classes)
    if outputs is not None or levels is not None:
        raise CropflowError(f"--legend is {legend}, which has classes and levels; leave out --outputs and --levels.")
    ids = read_legend(legend).ids
    return len(ids), group_classes(legend, ids)


def parse_levels(text: str, outputs: int) -> tuple[tuple[int, ...], ...]:
    """Levels of a legend of which the number of groups is known: classes are shared out among them in their order.

    Args:
        text: Groups of each coarser level, coarsest first, as ``6,20``.
        outputs: Classes of the finest level.

    Returns:
        For each level the group of each class.

    Raises:
        CropflowError: If it is no such text, or a level has more groups than the next.
    """
    parts = text.split(",")
    groups = [int(part) for part in parts] if all(part.isdecimal() for part in parts) else []
    if not groups or groups[0] < 1 or sorted(groups) != groups or groups[-1] > outputs:
        refuse("--levels", text, f"groups of each coarser level, from few to at most {outputs} classes, such as 6,20")
    return tuple(tuple(place * count // outputs for place in range(outputs)) for count in groups)


def parse_bands(text: str) -> int | dict[str, int]:
    """Bands per date, of a single sensor or by sensor.

    Args:
        text: ``10``, or ``sentinel2=10,sentinel1_ascending=2``.

    Raises:
        CropflowError: If it is neither.
    """
    if text.isdecimal():
        return int(text)
    found = {}
    for part in text.split(","):
        sensor, _, count = part.partition("=")
        if sensor not in SENSORS or not count.isdecimal():
            refuse("--bands", text, f"a number, or sensor=number with {', '.join(SENSORS)}, separated by commas")
        found[sensor] = int(count)
    return found
