"""Deal blocks out to folds: every class in every fold where that is possible, folds of like size.

Blocks are dealt in an order that does not depend on how they are listed: those with the rarest class first, then the
largest; the hash of a block's name decides between equals. Each goes to the fold that holds least of what the block
holds; then blocks are moved while that evens the folds out further.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas
from numpy.typing import NDArray

from cropflow.config.sections import Folds
from cropflow.errors import CropflowError
from cropflow.samples.blocks import KEY
from cropflow.samples.parcels import is_labelled, place_in_blocks

# Rounds of moves; the folds hardly change after two.
ROUNDS = 10


def assign_folds(
    blocks: pandas.DataFrame, parcels: pandas.DataFrame, settings: Folds, background: bool
) -> pandas.DataFrame:
    """Give every block a fold.

    Args:
        blocks: ``epsg``, ``block_x``, ``block_y`` of all blocks, with parcels or without.
        parcels: Parcels of all seasons: ``season``, ``parcel_id``, ``crop``, ``site_area_ha`` and the home ``epsg``,
            ``x``, ``y``.
        settings: Number of folds and side of a block.
        background: Whether parcels out of the legend's scope count as labelled.

    Returns:
        The blocks, sorted, with ``block_m``, ``fold`` uint8, ``parcels`` (labelled, summed over seasons) and
        ``labelled_ha`` (hectares inside the sites, summed over seasons).

    Raises:
        CropflowError: If fewer blocks than folds hold labelled parcels.
    """
    labelled = place_in_blocks(parcels[is_labelled(parcels["crop"], background)], settings.block_m)
    check_enough(labelled, settings)
    table = blocks.sort_values(KEY).reset_index(drop=True).astype("int64")
    position = pandas.Series(np.arange(len(table)), index=pandas.MultiIndex.from_frame(table))
    block = position.reindex(pandas.MultiIndex.from_frame(labelled[KEY])).to_numpy()
    if np.isnan(block).any():
        raise ValueError(f"{int(np.isnan(block).sum())} parcels lie in blocks that are not listed")
    holds = _class_areas(block.astype(np.int64), labelled, len(table))
    whole = labelled.assign(block=block.astype(np.int64)).drop_duplicates(["season", "parcel_id"])
    table["block_m"] = float(settings.block_m)
    table["fold"] = _deal(holds, _hashes(table), settings.count)
    table["parcels"] = np.bincount(whole["block"], minlength=len(table))
    table["labelled_ha"] = holds.sum(axis=1)
    return table


def check_enough(labelled: pandas.DataFrame, settings: Folds) -> None:
    """Refuse folds that would have no block.

    Args:
        labelled: Labelled parcels with their block.
        settings: Number of folds and side of a block.

    Raises:
        CropflowError: If fewer blocks than folds hold labelled parcels.
    """
    found = len(labelled[KEY].drop_duplicates())
    if found >= settings.count:
        return
    way_out = "Add sites, or lower folds.count."
    for halvings in range(1, 8):
        smaller = settings.block_m / 2**halvings
        if len(place_in_blocks(labelled, smaller)[KEY].drop_duplicates()) >= settings.count:
            way_out = f"Lower folds.block_m, to {smaller:g} for example, or folds.count."
            break
    raise CropflowError(
        f"{found} blocks of {settings.block_m:g} m hold labelled parcels ({len(labelled)} parcels in all); "
        f"expected at least folds.count = {settings.count}. {way_out}"
    )


def _class_areas(block: NDArray[np.int64], labelled: pandas.DataFrame, n_blocks: int) -> NDArray[np.float64]:
    """Hectares of each class in each block, ``(block, class)``."""
    _, column = np.unique(labelled["crop"].to_numpy(), return_inverse=True)
    n_classes = int(column.max()) + 1
    area = np.bincount(
        block * n_classes + column, weights=labelled["site_area_ha"].to_numpy(), minlength=n_blocks * n_classes
    )
    return area.reshape(n_blocks, n_classes).astype(np.float64)


def _hashes(blocks: pandas.DataFrame) -> NDArray[np.str_]:
    names = ("/".join(map(str, row)) for row in blocks[KEY].itertuples(index=False, name=None))
    return np.array([hashlib.sha256(name.encode()).hexdigest() for name in names])


def _deal(holds: NDArray[np.float64], hashes: NDArray[np.str_], count: int) -> NDArray[np.uint8]:
    """Choose the fold of each block.

    Args:
        holds: Hectares of each class in each block, ``(block, class)``.
        hashes: Tie-break of each block.
        count: Number of folds.

    Returns:
        Fold, uint8, ``(block,)``.
    """
    area = holds.sum(axis=1)
    full = np.flatnonzero(area > 0)
    present = holds > 0
    spread = present.sum(axis=0)
    rarest = np.where(present, spread, len(holds) + 1).min(axis=1)
    order = full[np.lexsort((hashes[full], -area[full], rarest[full]))]
    # What is to be even over the folds, as shares of its total: the area of each class, the blocks that hold
    # each class (so that one large block does not stand for a class), and the size, which weighs as all classes do.
    n_classes = holds.shape[1]
    features = np.hstack([holds / holds.sum(axis=0), present / spread, n_classes**0.5 * area[:, None] / area.sum()])
    folds = np.full(len(holds), count, dtype=np.int64)
    sums = np.zeros((count, features.shape[1]))
    members = np.zeros(count, dtype=np.int64)
    for turn in range(1 + ROUNDS):
        moved = False
        for block in order:
            old = folds[block]
            if turn > 0:
                if members[old] == 1:
                    continue
                sums[old] -= features[block]
                members[old] -= 1
            # The sum of squares over folds grows by 2 s.v + v.v: the fold with the least s.v is the best.
            overlap = np.round(sums @ features[block], 12)
            new = int(np.argmin(overlap))
            if turn > 0 and overlap[new] >= overlap[old]:
                new = int(old)
            moved |= new != old
            folds[block] = new
            sums[new] += features[block]
            members[new] += 1
        if not moved:
            break
    # Blocks without labels are mapped, never learnt from: only their number is evened out.
    for block in np.setdiff1d(np.arange(len(holds)), full)[np.argsort(hashes[area <= 0])]:
        fewest = int(np.argmin(members))
        folds[block] = fewest
        members[fewest] += 1
    return folds.astype(np.uint8)
