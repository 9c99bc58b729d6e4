"""Does a map change more across the borders between models than elsewhere?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def seams(
    crops: NDArray[Any], confidence: NDArray[np.uint8], nodata: int, source: NDArray[Any]
) -> dict[str, dict[str, float | int | None]]:
    """Compare neighbouring pixels of one source with those of two sources.

    Args:
        crops: Ids, ``(y, x)``.
        confidence: Percent, uint8, ``(y, x)``.
        nodata: Id of pixels without a prediction: pairs with one are left out.
        source: What predicted each pixel, such as its fold, ``(y, x)``.

    Returns:
        ``across`` and ``within`` -> ``pairs``; ``changes``, the share of pairs with different crops; and
        ``confidence_step_percent``, the mean absolute difference of confidence. A map without seams has equal values.
    """
    pairs = dict.fromkeys(("across", "within"), 0)
    changes = dict.fromkeys(pairs, 0)
    steps = dict.fromkeys(pairs, 0)
    for here, there in (((slice(1, None),), (slice(None, -1),)), ((..., slice(1, None)), (..., slice(None, -1)))):
        both = (crops[here] != nodata) & (crops[there] != nodata)
        border = source[here] != source[there]
        change = crops[here] != crops[there]
        step = np.abs(confidence[here].astype(np.int64) - confidence[there])
        for name, chosen in (("across", both & border), ("within", both & ~border)):
            pairs[name] += int(chosen.sum())
            changes[name] += int(change[chosen].sum())
            steps[name] += int(step[chosen].sum())
    return {
        name: {
            "pairs": count,
            "changes": round(changes[name] / count, 6) if count else None,
            "confidence_step_percent": round(steps[name] / count, 6) if count else None,
        }
        for name, count in pairs.items()
    }
