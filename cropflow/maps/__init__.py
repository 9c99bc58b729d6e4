"""Maps: whole sites, their mosaic and their parcels, each pixel by models that did not learn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropflow.lazy import lazy

if TYPE_CHECKING:
    from cropflow.maps.assembly import average_folds, out_of_fold
    from cropflow.maps.labelling import label_pixels
    from cropflow.maps.mosaic import write_mosaic
    from cropflow.maps.product import parcel_product

__all__ = ["average_folds", "label_pixels", "out_of_fold", "parcel_product", "write_mosaic"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "average_folds": "assembly",
        "label_pixels": "labelling",
        "out_of_fold": "assembly",
        "parcel_product": "product",
        "write_mosaic": "mosaic",
    },
)
