"""The survey of the training folds, and what reads the patches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.models.data import statistics
from cropflow.models.data.patch_batches import Augmentation, PatchDataset, cut_out, draw_batches, fixed_batches
from cropflow.models.data.patches import NO_CLASS, Split, read_samples
from cropflow.models.data.statistics import survey


def read(*folders: Path) -> Any:
    return read_samples([f"r/{folder.name}" for folder in folders], folders)


def optics(item: Any) -> Any:
    """Series of the one sensor, and targets."""
    series, targets = item
    return series["sentinel2"], targets


def test_statistics_equal_those_of_the_training_pixels_without_nodata(
    make_samples: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_gaps(reflectance: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        reflectance = reflectance.copy()
        reflectance[:, 1, :, 5] = 0
        return reflectance

    samples = read(make_samples("a", reflectance=with_gaps), make_samples("b", seed=1))
    monkeypatch.setattr(statistics, "_CHUNK", 4)
    (found,) = survey(samples, Split(0, 5, False)).statistics
    training = [i for i in range(15) if i % 5 >= 2]
    values = np.concatenate([place.series.values["sentinel2"][training] for place in samples.places])
    for band, name in enumerate(samples.layouts[0].bands):
        own = values.reshape(-1, 4, 2, 16, 16)[:, :, band].astype(float)
        own = own[own > 0]
        assert found.bands[band] == name
        assert found.values[band] == own.size
        assert found.mean[band] == pytest.approx(own.mean(), rel=1e-12)
        assert found.deviation[band] == pytest.approx(own.std(), rel=1e-9)


def test_values_outside_the_training_folds_do_not_move_the_statistics(make_samples: Callable[..., Path]) -> None:
    def bright(reflectance: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        reflectance = reflectance.copy()
        reflectance[::5] = 9000
        reflectance[1::5] = 1
        return reflectance

    split = Split(0, 5, False)
    plain, changed = read(make_samples("a")), read(make_samples("b", reflectance=bright))
    assert survey(plain, split).statistics == survey(changed, split).statistics


def test_classes_are_those_of_the_training_folds(make_samples: Callable[..., Path]) -> None:
    def rare(crops: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        crops = crops.copy()
        crops[1, 5, :] = 11  # validation
        crops[5, 5, :] = 12  # test
        return crops

    found = survey(read(make_samples(crops=rare)), Split(0, 5, False))
    assert found.classes == (3, 7)
    assert found.without_class == (0, 16, 16)
    assert found.pixels.sum() == 15 * 13 * 16 - 32
    assert survey(read(make_samples("b")), Split(0, 5, True)).classes == (0, 3, 7)


def test_a_pixel_with_an_empty_period_is_no_target(make_samples: Callable[..., Path]) -> None:
    def gap(reflectance: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        reflectance = reflectance.copy()
        reflectance[:, 2, :, 8] = 0
        return reflectance

    samples, split = read(make_samples(reflectance=gap)), Split(0, 5, False)
    found = survey(samples, split)
    assert found.incomplete == (9 * 16, 3 * 16, 3 * 16)
    _, targets = PatchDataset(samples, found.lookup(), split, split.training)[2]
    assert (targets[8] == -1).all()
    assert (targets[:3] == -1).all()
    assert (targets[3:8] >= 0).all()
    _, targets = PatchDataset(samples, found.lookup(), split, split.training)[0]
    assert (targets == -1).all()  # a test patch


def test_class_weights_have_a_mean_of_one_over_pixels(make_samples: Callable[..., Path]) -> None:
    def unequal(crops: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        crops = crops.copy()
        crops[2:12] = np.where(crops[2:12] == 3, 7, crops[2:12])
        return crops

    found = survey(read(make_samples(crops=unequal)), Split(0, 5, False))
    weights, pixels = found.class_weights("inverse_sqrt"), found.pixels[0]
    assert (weights * pixels).sum() / pixels.sum() == pytest.approx(1)
    assert weights[0] / weights[1] == pytest.approx(np.sqrt(pixels[1] / pixels[0]))
    assert found.class_weights("none").tolist() == [1, 1]


def test_a_damaged_index_of_patches_is_one_line(make_samples: Callable[..., Path]) -> None:
    folder = make_samples()
    (folder / "index.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(CropflowError, match=r"index\.parquet"):
        read(folder)


def test_turns_move_series_and_labels_alike_and_depend_on_the_epoch(make_samples: Callable[..., Path]) -> None:
    samples, split = read(make_samples()), Split(0, 5, False)
    lookup = survey(samples, split).lookup()
    plain, labels = optics(PatchDataset(samples, lookup, split, split.training)[2])
    seen = set()
    for epoch in range(12):
        dataset = PatchDataset(samples, lookup, split, split.training, Augmentation(3, epoch, True, None, 1))
        series, targets = optics(dataset[2])
        assert [(part == optics(dataset[2])[i]).all() for i, part in enumerate((series, targets))] == [True, True]
        pairs = {
            (int(value), int(label))
            for value, label in zip(series[0, 0].flatten().tolist(), targets.flatten().tolist(), strict=True)
        }
        assert pairs == set(zip(plain[0, 0].flatten().tolist(), labels.flatten().tolist(), strict=True))
        seen.add(targets.numpy().tobytes())
    assert len(seen) > 2


def test_squares_are_parts_of_their_patch_and_hold_a_target(make_samples: Callable[..., Path]) -> None:
    samples, split = read(make_samples()), Split(0, 5, False)
    lookup = survey(samples, split).lookup()
    side, number = 5, 4
    plain, labels = optics(PatchDataset(samples, lookup, split, split.training)[2])
    corners = set()
    for epoch in range(8):
        dataset = PatchDataset(samples, lookup, split, split.training, Augmentation(3, epoch, False, side, number))
        assert len(dataset) == len(samples) * number
        for item in range(2 * number, 3 * number):
            series, targets = optics(dataset[item])
            assert series.shape == (*plain.shape[:2], side, side)
            assert (targets != NO_CLASS).any()
            places = [
                (row, column)
                for row in range(plain.shape[2] - side + 1)
                for column in range(plain.shape[3] - side + 1)
                if bool((plain[..., row : row + side, column : column + side] == series).all())
                and bool((labels[row : row + side, column : column + side] == targets).all())
            ]
            assert places
            corners.add(places[0])
            assert bool((optics(dataset[item])[0] == series).all())
    assert len(corners) > 4


@given(st.integers(1, 12), st.data())
def test_a_drawn_square_lies_inside_and_every_target_can_be_drawn(side: int, data: st.DataObject) -> None:
    usable = np.array(data.draw(st.lists(st.booleans(), min_size=144, max_size=144))).reshape(12, 12)
    usable[data.draw(st.integers(0, 11)), data.draw(st.integers(0, 11))] = True
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    rows, columns = cut_out(usable, side, generator)
    assert rows.start >= 0 and rows.stop <= 12 and rows.stop - rows.start == side
    assert columns.start >= 0 and columns.stop <= 12 and columns.stop - columns.start == side
    assert usable[rows, columns].any()


@pytest.mark.parametrize("world", [1, 3])
def test_batches_cover_all_patches_and_are_of_one_size(world: int) -> None:
    patches = np.arange(100, 117)
    shares = [draw_batches(patches, 5, np.random.default_rng(0), rank, world) for rank in range(world)]
    assert {len(share) for share in shares} == {4 if world == 1 else 2}
    assert {patch for share in shares for batch in share for patch in batch} == set(patches.tolist())
    sizes = [len(batch) for share in shares for batch in share]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("count", "world"), [(7, 1), (7, 3), (1, 3)])
def test_validation_counts_each_patch_once_in_as_many_batches_everywhere(count: int, world: int) -> None:
    patches = np.arange(20, 20 + count)
    shares = [fixed_batches(patches, 2, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    everything = [patch for share in shares for batch in share for patch in batch]
    assert sorted(patch for patch in everything if patch >= 0) == patches.tolist()


def test_a_patch_that_evens_out_the_shares_has_no_target(make_samples: Callable[..., Path]) -> None:
    samples, split = read(make_samples()), Split(0, 5, False)
    dataset = PatchDataset(samples, survey(samples, split).lookup(), split, (split.validation,))
    series, targets = optics(dataset[~1])
    assert (series == optics(dataset[1])[0]).all()
    assert (dataset[1][1] >= 0).any()
    assert (targets == -1).all()


def test_training_folds_without_a_usable_pixel_are_refused(make_samples: Callable[..., Path]) -> None:
    samples = read(make_samples(crops=lambda crops: np.full_like(crops, 65534)))
    with pytest.raises(CropflowError, match="hold no usable pixel in 15 patches"):
        survey(samples, Split(0, 5, False))


def test_a_fold_beyond_the_count_is_refused(make_samples: Callable[..., Path]) -> None:
    with pytest.raises(CropflowError, match="name fold 4; expected 0 to 2"):
        survey(read(make_samples()), Split(0, 3, False))
    with pytest.raises(CropflowError, match="Fold is 5"):
        Split(5, 5, False)


def test_places_of_other_bands_are_refused(make_samples: Callable[..., Path]) -> None:
    one, two = make_samples("a"), make_samples("b")
    layout = two / "patches.json"
    about = json.loads(layout.read_text())
    about["sensors"][0]["bands"] = ["B04", "B03"]
    layout.write_text(json.dumps(about))
    with pytest.raises(CropflowError, match=r"r/b has the bands B04, B03 of sentinel2; expected B04, B08, as r/a has"):
        read(one, two)
    layout.write_text(json.dumps({"legend": "turkoglu", "patch_size": 16}))
    with pytest.raises(CropflowError, match=r"patches\.json names no sensors"):
        read(one, two)


def test_places_of_other_sensors_are_refused(
    make_samples: Callable[..., Path], make_fused: Callable[..., Path]
) -> None:
    message = r"r/b has the sensors sentinel2, sentinel1_ascending; expected sentinel2, as r/a has"
    with pytest.raises(CropflowError, match=message):
        read(make_samples("a"), make_fused("b"))


def test_an_array_of_another_shape_or_kind_is_refused(make_samples: Callable[..., Path]) -> None:
    with pytest.raises(CropflowError, match=r"crops.npy holds int64 .* expected uint16"):
        read(make_samples("a", crops=lambda crops: crops.astype(np.int64)))
    with pytest.raises(CropflowError, match=r"no patches\.json"):
        read_samples(["r/s"], [Path("nowhere")])


def test_a_place_without_patches_is_no_harm(make_samples: Callable[..., Path]) -> None:
    samples = read(make_samples("a"), make_samples("b", count=0))
    assert len(samples) == 15
    assert len(survey(samples, Split(0, 5, False)).training_patches) == 9
