"""The survey of the training folds: classes, counts that add up, statistics, dates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import toys

from cropflow.errors import CropflowError
from cropflow.models.batch import IGNORED, NO_DATE, UNKNOWN
from cropflow.models.data import tallies
from cropflow.models.data.batches import dataset_of
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Samples, Split
from cropflow.models.data.survey import UNITS, Survey, survey

SPLIT = Split(0, 5, False)
Array = np.ndarray[Any, Any]


def read(kind: Any, *folders: Path) -> Any:
    return read_samples(kind, [f"r/{folder.name}" for folder in folders], folders)


def parcels(tmp_path: Path, kind: str, name: str = "p", **settings: Any) -> Any:
    return read(kind, toys.write_parcels(tmp_path / name, "pixel_sets" if kind == "pixels" else kind, **settings))


def total(found: Survey, samples: Samples) -> int:
    """All targets that the survey accounts for."""
    counts, unit = found.counts(samples), UNITS[found.kind]
    rest = [table for key, table in counts.items() if key.startswith(unit) and isinstance(table, dict)]
    lost = sum(sum(table.values()) for table in rest if set(table) == set(tallies.ROLES) and key_is_count(table))
    return int(found.targets.sum()) + lost + counts[f"{unit}_without_fold"]


def key_is_count(table: dict[str, Any]) -> bool:
    return all(isinstance(value, int) for value in table.values())


def test_statistics_equal_those_of_the_training_pixels_without_nodata(
    make_samples: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_gaps(reflectance: Array) -> Array:
        reflectance = reflectance.copy()
        reflectance[:, 1, :, 5] = 0
        return reflectance

    samples = read("patches", make_samples("a", reflectance=with_gaps), make_samples("b", seed=1))
    monkeypatch.setattr(tallies, "_PATCHES", 4)
    (found,) = survey(samples, SPLIT).statistics
    training = [i for i in range(15) if i % 5 >= 2]
    values = np.concatenate([place.series.values["sentinel2"][training] for place in samples.places])
    for band, name in enumerate(samples.layouts[0].bands):
        own = values.reshape(-1, 4, 2, 16, 16)[:, :, band].astype(float)
        own = own[own > 0]
        assert found.bands[band] == name
        assert found.values[band] == own.size
        assert found.mean[band] == pytest.approx(own.mean(), rel=1e-12)
        assert found.deviation[band] == pytest.approx(own.std(), rel=1e-9)


@pytest.mark.parametrize("kind", ["pixel_sets", "pixels", "chips"])
def test_statistics_of_parcels_are_those_of_the_training_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def gaps(values: Array) -> Array:
        values[::7, 1, 0] = toys.RADAR.kind.nodata
        return values

    monkeypatch.setattr(tallies, "_PIXELS", 20)
    samples = parcels(tmp_path, kind, layouts=(toys.OPTICS, toys.RADAR), change={"sentinel1_ascending": gaps})
    found = survey(samples, SPLIT)
    place = samples.places[0]
    mine = place.folds >= 2
    mine = np.repeat(mine, place.counts) if kind != "chips" else mine
    for statistics, layout in zip(found.statistics, samples.layouts, strict=True):
        for band in range(len(layout.bands)):
            own = np.asarray(place.values[layout.sensor])[mine][:, :, band].astype(float)
            own = own[own != layout.kind.nodata]
            assert statistics.values[band] == own.size
            assert statistics.mean[band] == pytest.approx(own.mean(), rel=1e-12)
            assert statistics.deviation[band] == pytest.approx(own.std(), rel=1e-9)
    if kind == "pixel_sets":
        assert found.features is not None
        own = place.features[place.folds >= 2].astype(float)
        assert found.features.parcels == 18
        np.testing.assert_allclose(found.features.mean, own.mean(0))
        np.testing.assert_allclose(found.features.deviation, own.std(0))
    else:
        assert found.features is None


def test_values_outside_the_training_folds_do_not_move_the_statistics(make_samples: Callable[..., Path]) -> None:
    def bright(reflectance: Array) -> Array:
        reflectance = reflectance.copy()
        reflectance[::5] = 9000
        reflectance[1::5] = 1
        return reflectance

    plain, changed = read("patches", make_samples("a")), read("patches", make_samples("b", reflectance=bright))
    assert survey(plain, SPLIT).statistics == survey(changed, SPLIT).statistics


def test_classes_are_those_of_the_training_folds(make_samples: Callable[..., Path]) -> None:
    def rare(crops: Array) -> Array:
        crops = crops.copy()
        crops[1, 5, :] = 11  # validation
        crops[5, 5, :] = 12  # test
        return crops

    samples = read("patches", make_samples(crops=rare))
    found = survey(samples, SPLIT)
    assert found.classes == (3, 7)
    assert found.without_class == (0, 16, 16)
    assert found.pixels.sum() == 15 * 13 * 16 - 32
    assert found.unlabelled == (9 * 48, 3 * 48, 3 * 48)
    assert total(found, samples) == 15 * 256
    assert survey(read("patches", make_samples("b")), Split(0, 5, True)).classes == (0, 3, 7)


@pytest.mark.parametrize("kind", ["pixel_sets", "pixels", "chips"])
@pytest.mark.parametrize("complete", [False, True])
def test_every_parcel_or_pixel_is_accounted_for(tmp_path: Path, kind: str, complete: bool) -> None:
    def change(table: pandas.DataFrame) -> pandas.DataFrame:
        table.loc[[2, 7], "crop"] = 65534  # training
        table.loc[[5, 6], "crop"] = 44  # test, validation: a crop that training lacks
        table.loc[[3], "fold"] = 255
        return table

    def gaps(values: Array) -> Array:
        values[-1] = 0  # a parcel or pixel of training without any value
        values[0, 2] = 0  # one of the test fold without a date
        return values

    samples = parcels(tmp_path, kind, change={"parcels": change, "sentinel2": gaps})
    found = survey(samples, SPLIT, complete=complete)
    items = len(samples) if kind != "pixels" else samples.places[0].pixels
    assert total(found, samples) == items
    assert found.without_fold == (1 if kind != "pixels" else samples.places[0].counts[3])
    assert 2 not in found.training and 3 not in found.training and 6 not in found.validation
    assert found.samples[0].sum() == len(found.training)
    assert found.samples[1].sum() == len(found.validation)
    assert (found.incomplete[2] > 0) == (complete and (kind != "pixel_sets" or samples.places[0].counts[0] == 1))


def test_a_pixel_with_an_empty_period_is_no_target_where_series_must_be_complete(
    make_samples: Callable[..., Path],
) -> None:
    def gap(reflectance: Array) -> Array:
        reflectance = reflectance.copy()
        reflectance[:, 2, :, 8] = 0
        return reflectance

    samples = read("patches", make_samples(reflectance=gap))
    found = survey(samples, SPLIT, complete=True)
    assert found.incomplete == (9 * 16, 3 * 16, 3 * 16)
    whole = dataset_of(samples, found, SPLIT.training)
    targets = whole[[2]].target[0]
    assert (targets[8] == IGNORED).all()
    assert (targets[0] == IGNORED).all() and (targets[2] == IGNORED).all()
    assert (targets[1] == UNKNOWN).all()  # a register that says nothing
    assert (targets[3:8] >= 0).all()
    assert (whole[[0]].target[0] == IGNORED).all()  # a test patch, whatever it holds
    loose = survey(samples, SPLIT)
    assert loose.incomplete == (0, 0, 0)
    assert (dataset_of(samples, loose, SPLIT.training)[[2]].target[0][8] >= 0).all()


def test_a_patch_counts_for_the_rarest_class_that_it_holds(make_samples: Callable[..., Path]) -> None:
    def rare(crops: Array) -> Array:
        crops = crops.copy()
        crops[7, 9, 9] = 21
        return crops

    found = survey(read("patches", make_samples(crops=rare)), SPLIT)
    assert found.classes == (3, 7, 21)
    assert [int(patch) for patch, held in zip(found.training, found.rarest, strict=True) if held == 2] == [7]


def test_dates_of_the_training_samples_are_counted_and_sensors_that_lack(tmp_path: Path) -> None:
    layout = toys.Layout("sentinel2", ("B04", "B08"), (), (), longest=5)
    dates = np.tile([3, 10, 20, 40, NO_DATE], (30, 1))
    dates[8] = [5, 9, NO_DATE, NO_DATE, NO_DATE]  # training
    dates[5] = [5, NO_DATE, NO_DATE, NO_DATE, NO_DATE]  # test
    radar = np.tile(np.array(toys.RADAR.days), (30, 1))

    def lacking(values: Array) -> Array:
        values[3] = -32768
        return values

    samples = parcels(
        tmp_path,
        "chips",
        layouts=(layout, toys.RADAR),
        days={"sentinel2": dates, "sentinel1_ascending": radar},
        change={"sentinel1_ascending": lacking},
    )
    optics, other = survey(samples, SPLIT).dates
    assert (optics.minimum, optics.median, optics.without) == (2, 4, 0)
    assert (other.minimum, other.median, other.without) == (6, 6, 1)
    with pytest.raises(CropflowError, match="sentinel2 are acquisitions, with other dates at each site"):
        survey(samples, SPLIT, complete=True)


def test_training_folds_without_a_usable_target_are_refused(make_samples: Callable[..., Path], tmp_path: Path) -> None:
    samples = read("patches", make_samples(crops=lambda crops: np.full_like(crops, 65534)))
    with pytest.raises(CropflowError, match="hold no usable pixel in 15 patches"):
        survey(samples, SPLIT)
    samples = parcels(tmp_path, "pixel_sets", change={"sentinel2": np.zeros_like})
    with pytest.raises(CropflowError, match=r"no usable parcel in 30 pixel sets \(18 labelled ones have no valid date"):
        survey(samples, SPLIT)


@pytest.mark.parametrize("kind", ["pixel_sets", "chips"])
def test_crops_and_folds_that_do_not_exist_are_refused(tmp_path: Path, kind: str) -> None:
    def strange(table: pandas.DataFrame) -> pandas.DataFrame:
        table.loc[4, "crop"] = 9999
        return table

    samples = parcels(tmp_path, kind, change={"parcels": strange})
    with pytest.raises(CropflowError, match="hold the crops 9999, which the legend 'turkoglu' lacks"):
        survey(samples, SPLIT)
    with pytest.raises(CropflowError, match="name fold 4; expected 0 to 2"):
        survey(samples, Split(0, 3, False))


def test_a_place_without_patches_is_no_harm(make_samples: Callable[..., Path]) -> None:
    samples = read("patches", make_samples("a"), make_samples("b", count=0))
    assert len(survey(samples, SPLIT).training) == 9
