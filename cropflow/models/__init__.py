"""Networks and baselines: how they are built, trained on a fold, kept, and applied to whole sites.

``create(name, **settings)`` builds a model, ``batch_of(values)`` makes what a network looks at,
``load_predictor(folder)`` reads a trained one, ``load_published(path)`` reads a published checkpoint, and
``predict_site(predictor, series)`` applies a trained one.
Torch and scikit-learn load with the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.models.applying.prediction import Predictor, load_predictor
    from cropflow.models.applying.windows import predict_site
    from cropflow.models.batch import batch_of
    from cropflow.models.published.loading import load_published
    from cropflow.models.registry import create

__all__ = ["Predictor", "batch_of", "create", "load_predictor", "load_published", "predict_site"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Predictor": "applying.prediction",
        "batch_of": "batch",
        "create": "registry",
        "load_predictor": "applying.prediction",
        "load_published": "published.loading",
        "predict_site": "applying.windows",
    },
)
