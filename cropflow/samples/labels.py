"""The label values that are no crop; never confused with each other."""

from __future__ import annotations

# Known not to be a listed crop, or out of the legend's scope.
BACKGROUND = 0
# Nobody says what grows here: a register is voluntary and incomplete.
UNKNOWN = 65534
# Not to be learnt from: rims of parcels, padding, pixels without a whole series.
IGNORE = 65535
# In no fold: the ring between folds, another fold's parcel, outside parcels.
NO_FOLD = 255
