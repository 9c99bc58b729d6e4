"""Networks and baselines: how they are built, trained on a fold, kept, and applied to whole sites.

``create(name, **settings)`` builds a model, ``load_predictor(folder)`` reads a trained one, and
``predict_site(predictor, reflectance)`` applies it. Torch and scikit-learn load with the first call.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cropflow.models.prediction import Predictor, load_predictor
    from cropflow.models.registry import create
    from cropflow.models.windows import predict_site

__all__ = ["Predictor", "create", "load_predictor", "predict_site"]

_HOMES = {
    "Predictor": "cropflow.models.prediction",
    "create": "cropflow.models.registry",
    "load_predictor": "cropflow.models.prediction",
    "predict_site": "cropflow.models.windows",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
