"""What a register tells about one queried crop: positive, known negative, or unknown.

A register is partial: land outside its parcels may carry anything, and even inside them not every label rules a crop
out. Only what is known not to be the crop is a negative; a loss or a score that takes the rest for negatives punishes
a model for being right.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.labels.mapping import UNKNOWN

NEGATIVE = 0
POSITIVE = 1
# Unknown in an 8-bit export; 255 is ignore there.
UNKNOWN_8BIT = 254


def annotate(
    parcels: pandas.DataFrame,
    crop: str,
    calendar: str | None = None,
    may_hold: Callable[[str, str], bool] | None = None,
    elsewhen: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint16]:
    """Tell for every parcel what is known of a queried crop.

    Args:
        parcels: ``crop_code`` str, missing where unknown; with ``calendar`` the lists of that name, and with
            ``may_hold`` ``product`` str.
        crop: Code of the queried crop.
        calendar: The calendar that is asked for: a parcel of the crop that followed another one is unknown.
        may_hold: Called with a product and the crop: True where a parcel of that product may carry the crop although
            its code is another one, such as summer vegetables for tomato.
        elsewhen: True where the parcel's own crop is known to stand at other times than the queried one, bool,
            ``(parcel,)``: what stood there in between is not known.

    Returns:
        uint16, ``(parcel,)``: 1 = positive, 0 = known negative, 65534 = unknown. Land outside parcels is unknown too.

    Raises:
        ValueError: If ``elsewhen`` and the parcels differ in number.
    """
    if elsewhen is not None and len(elsewhen) != len(parcels):
        raise ValueError(f"{len(parcels)} parcels, but {len(elsewhen)} of elsewhen")
    codes = parcels["crop_code"]
    of_crop = (codes == crop).fillna(False).to_numpy(dtype=bool)
    positive = of_crop
    if calendar is not None:
        positive = of_crop & parcels["calendar"].map(lambda sheets: calendar in sheets).to_numpy(dtype=bool)
    unknown = codes.isna().to_numpy(dtype=bool) | of_crop
    if may_hold is not None:
        told = {product: may_hold(product, crop) for product in parcels["product"].dropna().unique()}
        unknown |= parcels["product"].map(told).fillna(True).to_numpy(dtype=bool)
    if elsewhen is not None:
        unknown |= elsewhen
    result = np.where(unknown, UNKNOWN, NEGATIVE).astype(np.uint16)
    result[positive] = POSITIVE
    return result


def in_8_bits(labels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Write labels in 8 bits.

    Args:
        labels: Any shape, uint16: ids from 0 to 253, 65534 = unknown, 65535 = ignore.

    Returns:
        The same shape, uint8: 254 = unknown, 255 = ignore.

    Raises:
        ValueError: If an id is none of these, for it would become another one.
    """
    wrong = labels[(labels >= UNKNOWN_8BIT) & (labels < UNKNOWN)]
    if wrong.size:
        raise ValueError(f"ids {sorted(set(wrong.tolist()))[:5]} do not fit into 8 bits; expected at most 253")
    # The two special values are the last two of both types.
    return labels.astype(np.uint8)
