"""What a model gives its answer to: every pixel, or a parcel as a whole."""

from __future__ import annotations

from cropflow.config.models import Baseline, Network


def answers_parcels(model: Network | Baseline) -> bool:
    """Whether a model gives a parcel one answer, and hence nothing where there are no parcels."""
    # Baselines have a unit; networks, a kind of samples.
    return getattr(model, "unit", "pixel") == "parcel" or getattr(model, "kind", "pixels") in ("pixel_sets", "chips")
