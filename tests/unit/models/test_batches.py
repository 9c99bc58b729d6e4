"""Batches of every kind: the right values, targets and masks, equal shares, the same on every process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.config.models.drawing import CutoutDrawing, PatchDrawing, PixelDrawing, PixelSetDrawing
from cropflow.errors import CropflowError
from cropflow.models.batch import IGNORED, NO_DATE, Batch
from cropflow.models.data.batches import (
    dataset_of,
    draw_batches,
    fixed_batches,
    open_batches,
    read_batches,
    sorted_batches,
)
from cropflow.models.data.drawing import Draws
from cropflow.models.data.kernels.gathering import turn
from cropflow.models.data.parcels import place_crops
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split
from cropflow.models.data.squares import cut_out
from cropflow.models.data.survey import survey

SPLIT = Split(0, 5, False)


def read(kind: Any, *folders: Path) -> Any:
    return read_samples(kind, [f"r/{folder.name}" for folder in folders], folders)


def optics(batch: Batch) -> tuple[Any, Any]:
    """Series and targets of the one sample and sensor."""
    assert batch.target is not None
    return batch.series["sentinel2"].values[0], batch.target[0]


def drawn(samples: Any, found: Any, epoch: int, **settings: Any) -> Any:
    return dataset_of(samples, found, SPLIT.training, Draws(CutoutDrawing(**settings), 3, epoch, {}))


def test_turns_move_series_masks_and_labels_alike_and_depend_on_the_epoch(make_samples: Callable[..., Path]) -> None:
    def gaps(reflectance: Any) -> Any:
        reflectance = reflectance.copy()
        reflectance[2, 1, 0, :5, 9] = 0
        return reflectance

    samples = read("patches", make_samples(reflectance=gaps))
    found = survey(samples, SPLIT)
    plain = dataset_of(samples, found, SPLIT.training)[[2]]
    seen = set()
    for epoch in range(40):
        dataset = drawn(samples, found, epoch)
        batch = dataset[[2]]
        again, among = dataset[[2]], dataset[[3, 2]]
        assert torch.equal(batch.target, again.target) and torch.equal(batch.target[0], among.target[1])
        quarter, flip = Draws(CutoutDrawing(), 3, epoch, {}).generator(2).integers((4, 2))
        seen.add((int(quarter), int(flip)))
        for one, other in (
            (plain.target, batch.target),
            *(
                (getattr(plain.only(), name), getattr(batch.only(), name))
                for name in ("values", "valid", "observations")
            ),
        ):
            turned = np.rot90(one.numpy(), quarter, (-2, -1))
            np.testing.assert_array_equal(turned[..., ::-1] if flip else turned, other.numpy())
    assert len(seen) == 8


def test_squares_are_parts_of_their_patch_and_hold_a_target(make_samples: Callable[..., Path]) -> None:
    samples = read("patches", make_samples())
    found = survey(samples, SPLIT)
    side, number = 5, 16
    plain, labels = optics(dataset_of(samples, found, SPLIT.training)[[2]])
    corners = set()
    for epoch in range(3):
        dataset = drawn(samples, found, epoch, flips=False, cutout=side)
        for item in range(2 * number, 3 * number):
            series, targets = optics(dataset[[item]])
            assert series.shape == (*plain.shape[:2], side, side)
            assert (targets >= 0).any()
            places = [
                (row, column)
                for row in range(plain.shape[2] - side + 1)
                for column in range(plain.shape[3] - side + 1)
                if bool((plain[..., row : row + side, column : column + side] == series).all())
                and bool((labels[row : row + side, column : column + side] == targets).all())
            ]
            assert places
            corners.add(places[0])
    assert len(corners) > 10
    with pytest.raises(CropflowError, match=r"(?i)cutout of the model is 17; expected at most 16"):
        open_batches(samples, found, SPLIT, CutoutDrawing(cutout=17), seed=0, epoch=lambda: 0)


@settings(deadline=None)  # the first call compiles
@given(st.integers(1, 7), st.integers(0, 3), st.integers(0, 1), st.data())
def test_a_square_is_turned_and_mirrored_as_numpy_does_it(
    side: int, quarter: int, flip: int, data: st.DataObject
) -> None:
    source = np.arange(49, dtype=np.uint16).reshape(7, 7)
    top, left = (data.draw(st.integers(0, 7 - side)) for _ in range(2))
    found = np.empty((side, side), dtype=np.uint16)
    turn(source, top, left, quarter, flip, found)
    wanted = np.rot90(source[top : top + side, left : left + side], quarter)
    np.testing.assert_array_equal(found, wanted[:, ::-1] if flip else wanted)


@given(st.integers(1, 12), st.data())
def test_a_drawn_square_lies_inside_and_every_target_can_be_drawn(side: int, data: st.DataObject) -> None:
    usable = np.array(data.draw(st.lists(st.booleans(), min_size=144, max_size=144))).reshape(12, 12)
    usable[data.draw(st.integers(0, 11)), data.draw(st.integers(0, 11))] = True
    row, column = cut_out(usable, side, np.random.default_rng(data.draw(st.integers(0, 2**32))))
    assert 0 <= row <= 12 - side and 0 <= column <= 12 - side
    assert usable[row : row + side, column : column + side].any()


@pytest.mark.parametrize("world", [1, 3])
def test_batches_cover_all_patches_and_are_of_one_size(world: int) -> None:
    patches = np.arange(100, 117)
    shares = [draw_batches(patches, 5, np.random.default_rng(0), rank, world) for rank in range(world)]
    assert {len(share) for share in shares} == {4 if world == 1 else 2}
    assert {int(patch) for share in shares for batch in share for patch in batch} == set(patches.tolist())
    sizes = [len(batch) for share in shares for batch in share]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("count", "world"), [(7, 1), (7, 3), (1, 3)])
def test_validation_counts_each_patch_once_in_as_many_batches_everywhere(count: int, world: int) -> None:
    patches = np.arange(20, 20 + count)
    shares = [fixed_batches(patches, 2, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    everything = [int(patch) for share in shares for batch in share for patch in batch]
    assert sorted(patch for patch in everything if patch >= 0) == patches.tolist()


@given(st.lists(st.integers(1, 20_000), max_size=40), st.integers(1, 9), st.integers(1, 3))
def test_parcels_of_a_size_are_validated_together_each_once(counts: list[int], size: int, world: int) -> None:
    sizes, numbers = np.array(counts, dtype=np.int64), np.arange(len(counts))
    shares = [sorted_batches(numbers, sizes, size, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert len({len(batch) for batch in zip(*[map(len, share) for share in shares], strict=True)}) <= 1
    everything = [int(number) for share in shares for batch in share for number in batch]
    assert sorted(number for number in everything if number >= 0) == numbers.tolist()
    for batch in (batch for share in shares for batch in share if len(batch)):
        own = sizes[np.where(batch >= 0, batch, ~batch)]
        assert len(batch) <= size
        assert len(batch) == 1 or len(batch) * own.max() <= 32_768


@pytest.mark.parametrize("kind", ["patches", "pixel_sets", "pixels", "chips"])
def test_a_sample_that_evens_out_the_shares_has_no_target(
    make_samples: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    folder = make_samples() if kind == "patches" else write(tmp_path / "p", kind)
    samples = read(kind, folder)
    dataset = dataset_of(samples, survey(samples, SPLIT), (0, 1, 2, 3, 4))
    counted, filler = dataset[[1]], dataset[[~1]]
    assert torch.equal(counted.only().values, filler.only().values)
    assert (counted.target >= 0).any()
    assert (filler.target == IGNORED).all()


def write(folder: Path, kind: str, **settings: Any) -> Path:
    return toys.write_parcels(folder, "pixel_sets" if kind == "pixels" else kind, **settings)


def test_a_parcel_is_validated_with_all_its_pixels_and_its_features_and_history(tmp_path: Path) -> None:
    one = write(tmp_path / "a", "pixel_sets", lags=2, layouts=(toys.OPTICS, toys.RADAR))
    two = write(tmp_path / "b", "pixel_sets", lags=2, layouts=(toys.OPTICS, toys.RADAR), seed=1, count=7)
    samples = read("pixel_sets", one, two)
    found = survey(samples, SPLIT)
    batch = dataset_of(samples, found, (0, 1, 2, 3, 4))[[33, 4, 21]]
    assert batch.pixels is not None and batch.features is not None and batch.history is not None
    for row, (place, own) in enumerate(((samples.places[1], 3), (samples.places[0], 4), (samples.places[0], 21))):
        pixels = slice(place.starts[own], place.starts[own] + place.counts[own])
        assert batch.pixels[row].tolist() == [True] * place.counts[own] + [False] * (
            batch.pixels.shape[1] - place.counts[own]
        )
        for sensor, series in batch.series.items():
            values = np.moveaxis(place.values[sensor][pixels], 0, -1)
            np.testing.assert_array_equal(series.values[row, ..., : place.counts[own]].numpy(), values)
            assert not series.valid[row, :, place.counts[own] :].any()
            assert series.valid[row, :, : place.counts[own]].all()
            assert series.observations is not None
            assert (series.observations[row].numpy() == 2 * series.valid[row].numpy()).all()
        np.testing.assert_array_equal(batch.features[row].numpy(), place.features[own])
        # Crop 44 is no class; 7 is one, of which the history says nothing.
        shares = place.history[own]
        np.testing.assert_allclose(batch.history[row, :, 0].numpy(), shares[:, 0])
        np.testing.assert_allclose(batch.history[row, :, 1].numpy(), 0)
        np.testing.assert_allclose(batch.history[row, :, 2].numpy(), shares[:, 1])
        np.testing.assert_allclose(batch.history[row, :, 3].numpy(), shares[:, 2] + shares[:, 3], rtol=1e-6)
    assert batch.target is not None
    assert batch.target.tolist() == [0, 1, 0]


def test_shares_of_crops_keep_their_sum() -> None:
    placed = place_crops((3, 9, 4), (4, 3))
    assert placed.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_series_of_places_of_other_dates_are_padded_to_the_longest_in_the_batch(tmp_path: Path) -> None:
    def layout(longest: int) -> toys.Layout:
        return toys.Layout("sentinel2", ("B04", "B08"), (), (), longest=longest)

    short, long = np.tile([1, 8, 30], (30, 1)), np.tile([0, 5, 10, 15, 20, NO_DATE], (30, 1))
    folders = [
        write(tmp_path / "a", "chips", layouts=(layout(3),), days={"sentinel2": short}),
        write(tmp_path / "b", "chips", layouts=(layout(6),), days={"sentinel2": long}),
    ]
    samples = read("chips", *folders)
    dataset = dataset_of(samples, survey(samples, SPLIT), None)
    batch = dataset[[3, 32]]
    assert batch.target is None
    series = batch.only()
    assert series.dates.tolist() == [[1, 8, 30, NO_DATE, NO_DATE], [0, 5, 10, 15, 20]]
    assert series.frames.tolist() == [[True, True, True, False, False], [True] * 5]
    assert (series.values[0, 3:].long() == 0).all()
    np.testing.assert_array_equal(series.values[1].numpy(), samples.places[1].values["sentinel2"][2, :5])
    assert dataset[[3]].only().values.shape[1] == 3


@pytest.mark.parametrize("kind", ["pixel_sets", "pixels", "chips"])
def test_a_sensor_that_a_sample_lacks_is_absent_and_the_other_is_learnt_from(tmp_path: Path, kind: str) -> None:
    def lacking(values: Any) -> Any:
        values[:] = -32768
        return values

    layouts = (toys.OPTICS, toys.RADAR)
    folders = [
        write(tmp_path / "a", kind, layouts=layouts, change={"sentinel1_ascending": lacking}),
        write(tmp_path / "b", kind, layouts=layouts),
    ]
    samples = read(kind, *folders)
    first = 30 if kind != "pixels" else samples.places[0].pixels
    batch = dataset_of(samples, survey(samples, SPLIT), (0, 1, 2, 3, 4))[[0, first]]
    assert batch.series["sentinel1_ascending"].present.tolist() == [False, True]
    assert batch.series["sentinel2"].present.all()
    assert batch.target is not None and (batch.target >= 0).all()


@pytest.mark.parametrize("kind", ["patches", "pixel_sets", "pixels", "chips"])
def test_predicted_samples_come_back_by_their_numbers(
    make_samples: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    samples = read(kind, make_samples() if kind == "patches" else write(tmp_path / "p", kind))
    found = survey(samples, SPLIT)
    wanted = np.array([9, 2, 11, 4, 7])
    numbers, dataset = [], dataset_of(samples, found, None)
    for items, batch in read_batches(samples, found, wanted, 2):
        assert batch.target is None and len(batch) == len(items)
        for row, item in enumerate(items):
            alone = dataset[[item]]
            size = alone.only().values.shape[-1]
            whole = batch.only().values[row]
            assert torch.equal(alone.only().values[0], whole if kind == "pixels" else whole[..., :size])
        numbers.extend(items.tolist())
    if kind == "pixels":
        place = samples.places[0]
        pixels = [range(place.starts[parcel], place.starts[parcel] + place.counts[parcel]) for parcel in wanted]
        assert sorted(numbers) == sorted(pixel for own in pixels for pixel in own)
    else:
        assert sorted(numbers) == sorted(wanted.tolist())
    assert list(read_batches(samples, found, np.empty(0, np.int64), 2)) == []


@pytest.mark.parametrize("kind", ["patches", "pixel_sets", "pixels", "chips"])
def test_processes_that_read_ahead_give_the_same_batches(
    make_samples: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    samples = read(kind, make_samples() if kind == "patches" else write(tmp_path / "p", kind, lags=1))
    sections = {"patches": CutoutDrawing, "pixel_sets": PixelSetDrawing, "pixels": PixelDrawing, "chips": PatchDrawing}
    settings = sections[kind](batch_size=8)
    found = survey(samples, SPLIT)
    batches = [
        list(open_batches(samples, found, SPLIT, settings, seed=1, epoch=lambda: 2, workers=workers).train_dataloader())
        for workers in (0, 1)
    ]
    assert len(batches[0]) == len(batches[1]) > 1
    for one, other in zip(*batches, strict=True):
        assert torch.equal(one.only().values, other.only().values)
        assert torch.equal(one.target, other.target)
