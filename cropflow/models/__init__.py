"""Networks and baselines: how they are built, trained on a fold, kept, and applied to whole sites.

``create(name, **settings)`` builds a model, ``load_predictor(folder)`` reads a trained one, and
``predict_site(predictor, series)`` applies it. Torch and scikit-learn load with the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.models.applying.prediction import Predictor, load_predictor
    from cropflow.models.applying.windows import predict_site
    from cropflow.models.registry import create

__all__ = ["Predictor", "create", "load_predictor", "predict_site"]

__getattr__ = lazy(
    __name__,
    {
        "Predictor": "applying.prediction",
        "create": "registry",
        "load_predictor": "applying.prediction",
        "predict_site": "applying.windows",
    },
)
