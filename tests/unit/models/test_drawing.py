"""What training draws: of the seed, the epoch and the sample alone, and never outside training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from hypothesis import given
from hypothesis import strategies as st

from cropflow.config.models.drawing import Drawing, Jitter, PatchDrawing, PixelDrawing, PixelSetDrawing
from cropflow.errors import CropflowError
from cropflow.models.batch import NO_DATE, Batch, Series, batch_of
from cropflow.models.data.batches import choose, dataset_of, items_of, open_batches
from cropflow.models.data.drawing import Draws, draw_dates, normal_quantiles, random, truncate
from cropflow.models.data.kernels.numbers import draw_slots, keys_of, mixed, uniform
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split
from cropflow.models.data.survey import survey

SPLIT = Split(0, 5, False)
SENSORS = (toys.OPTICS, toys.RADAR)


def keys(count: int, seed: int = 0) -> Any:
    return keys_of(np.uint64(seed), np.arange(count))


def opened(folder: Path, kind: Any = "pixel_sets", **settings: Any) -> Any:
    path = toys.write_parcels(folder, "pixel_sets" if kind == "pixels" else kind, layouts=SENSORS, **settings)
    samples = read_samples(kind, ["r/s"], [path])
    return samples, survey(samples, SPLIT)


def drawn(opened: Any, settings: Drawing, epoch: int = 0, seed: int = 3) -> Any:
    samples, found = opened
    deviation = {one.sensor: np.array(one.deviation, np.float32) for one in found.statistics}
    return dataset_of(samples, found, SPLIT.training, Draws(settings, seed, epoch, deviation))


def test_counted_numbers_are_those_of_splitmix64() -> None:
    # The first numbers of the generator that starts at 1234567, as its authors' C code gives them.
    found = [int(mixed(np.uint64(1234567), np.uint64(counter))) for counter in range(3)]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_counted_numbers_fill_the_unit_interval() -> None:
    numbers = uniform(keys(2000), np.tile(np.arange(5), (2000, 1)))
    assert numbers.min() >= 0 and numbers.max() < 1
    assert np.histogram(numbers, 10, (0, 1))[0] == pytest.approx(1000, abs=150)
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 0.1
    assert abs(np.corrcoef(numbers[:-1, 0], numbers[1:, 0])[0, 1]) < 0.1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 20), st.integers(0, 2**60))
def test_pixels_are_drawn_without_replacement_and_small_parcels_leave_slots(
    counts: list[int], slots: int, seed: int
) -> None:
    sizes = np.array(counts)
    starts = np.cumsum(sizes) - sizes
    rows = draw_slots(starts, sizes, keys(len(counts), seed), slots)
    for start, size, own in zip(starts, sizes, rows, strict=True):
        kept = own[own >= 0]
        assert len(kept) == len(set(kept.tolist())) == min(size, slots)
        assert (kept >= start).all() and (kept < start + size).all()
        assert (own[len(kept) :] == -1).all()
    if slots >= max(counts):
        assert rows[rows >= 0].tolist() == list(range(sizes.sum()))


def test_every_pixel_of_a_parcel_has_the_same_chance() -> None:
    count = 4000
    rows = draw_slots(np.zeros(count, np.int64), np.full(count, 6), keys(count), 2)
    assert np.bincount(rows.ravel(), minlength=6) == pytest.approx(count / 3, abs=120)
    pairs = Counter(map(tuple, rows.tolist()))
    assert len(pairs) == 15
    assert min(pairs.values()) > count / 15 * 0.75


def test_a_parcel_is_drawn_alike_in_any_batch_and_anew_in_each_epoch(tmp_path: Path) -> None:
    found = opened(tmp_path / "p", lags=1)
    settings = PixelSetDrawing(pixels=3, jitter=Jitter(), truncate=0.7, dates=4)
    alone, among = drawn(found, settings)[[12]], drawn(found, settings)[[4, 12, 9]]
    for sensor, one in alone.series.items():
        other = among.series[sensor]
        assert torch.equal(one.values[0], other.values[1]) and torch.equal(one.valid[0], other.valid[1])
        assert torch.equal(one.dates[0], other.dates[1])
    different = drawn(found, settings, epoch=1)[[12]].series["sentinel2"]
    assert not torch.equal(alone.series["sentinel2"].values, different.values)


@pytest.mark.parametrize("kind", ["pixel_sets", "pixels", "chips"])
def test_nothing_is_drawn_outside_training(tmp_path: Path, kind: str) -> None:
    samples, found = opened(tmp_path / "p", kind)
    section = {"pixel_sets": PixelSetDrawing, "pixels": PixelDrawing, "chips": PatchDrawing}[kind]
    settings = section(truncate=1.0, dates=2, sampling="balanced")
    seen = []
    for seed in (1, 2):
        batches = open_batches(samples, found, SPLIT, settings, seed=seed, epoch=lambda: seed)  # noqa: B023
        seen.append(list(batches.val_dataloader()))
    assert len(seen[0]) == len(seen[1])
    for one, other in zip(*seen, strict=True):
        assert torch.equal(one.target, other.target)
        assert one.series["sentinel2"].dates.shape[1] == len(toys.OPTICS.periods)
        for sensor, series in one.series.items():
            assert torch.equal(series.values, other.series[sensor].values)
            assert series.valid.sum() > 0


def test_a_series_is_cut_after_one_day_for_all_sensors_and_never_to_nothing() -> None:
    count = 400
    optics = torch.arange(8, dtype=torch.int32).expand(count, 8) * 10
    radar = torch.arange(6, dtype=torch.int32).expand(count, 6) * 12 + 5
    valid = torch.ones(count, 8, dtype=torch.bool)
    valid[:, :2] = False
    batch = Batch(
        {
            "a": Series(torch.ones(count, 8, 1), optics, valid),
            "b": Series(torch.ones(count, 6, 1), radar, torch.ones(count, 6, dtype=torch.bool)),
        }
    )
    found = truncate(batch, keys(count), 0.5)
    kept = [one.dates != NO_DATE for one in found.series.values()]
    lasts = [
        torch.where(mask, one.dates, -1).max(1).values for mask, one in zip(kept, found.series.values(), strict=True)
    ]
    whole = kept[0].all(1) & kept[1].all(1)
    assert 0.4 < whole.float().mean() < 0.6
    assert (found.series["a"].valid.any(1) | found.series["b"].valid.any(1)).all()
    last = torch.maximum(*lasts)[~whole]
    for mask, days in ((kept[0], optics), (kept[1], radar)):
        assert torch.equal(mask[~whole], days[~whole] <= last[:, None])
    assert len(last.unique()) > 8
    assert truncate(batch, keys(count), 0.0).series["a"].valid.equal(valid)


def test_dates_are_drawn_in_order_each_with_the_same_chance_and_alike_for_sensors_of_one_axis() -> None:
    count = 3000
    batch = batch_of({"a": torch.arange(6.0).expand(count, 6).unsqueeze(2), "b": torch.zeros(count, 6, 2)})
    found = draw_dates(batch, keys(count), 2)
    days = found.series["a"].dates
    assert days.shape == (count, 2)
    assert (days[:, 0] < days[:, 1]).all()
    assert torch.equal(found.series["a"].values[..., 0] * 10, days.float())
    assert torch.equal(days, found.series["b"].dates)
    assert torch.bincount(days.flatten() // 10).numpy() == pytest.approx(1000, abs=120)
    assert draw_dates(batch, keys(count), 6).series["a"].dates.shape == (count, 6)


def test_dates_without_a_valid_pixel_and_padding_are_drawn_last() -> None:
    dates = torch.tensor([[0, 10, 20, 30, NO_DATE]], dtype=torch.int32).expand(50, 5)
    valid = torch.tensor([[True, False, True, False, False]]).expand(50, 5)
    batch = Batch({"a": Series(torch.zeros(50, 5, 1), dates, valid)})
    assert draw_dates(batch, keys(50), 2).series["a"].dates.tolist() == [[0, 20]] * 50
    three = draw_dates(batch, keys(50), 3).series["a"].dates
    assert {tuple(row) for row in three.tolist()} == {(0, 10, 20), (0, 20, 30)}


def test_noise_is_normal_clipped_and_leaves_what_is_not_valid(tmp_path: Path) -> None:
    def gaps(values: Any) -> Any:
        values[::3, 2, 1] = -32768
        return values

    found = opened(tmp_path / "p", count=400, change={"sentinel1_ascending": gaps})
    samples, surveyed = found
    items = surveyed.training
    plain = drawn(found, PixelSetDrawing(pixels=12))[items]
    noisy = drawn(found, PixelSetDrawing(pixels=12, jitter=Jitter(sigma=0.2, clip=0.5)))[items]
    for sensor, statistics in zip(plain.series, surveyed.statistics, strict=True):
        one, other = (batch.series[sensor] for batch in (plain, noisy))
        assert torch.equal(one.valid, other.valid)
        kept = one.values.long() != samples.layouts[0 if sensor == "sentinel2" else 1].kind.nodata
        assert torch.equal(one.values.long()[~kept], other.values.long()[~kept])
        for band, deviation in enumerate(statistics.deviation):
            moved = (other.values.long() - one.values.long())[:, :, band][kept[:, :, band]] / deviation
            assert moved.abs().max() <= 0.5 + 1 / deviation
            assert moved.std() == pytest.approx(0.2, rel=0.05)
            assert abs(moved.mean()) < 0.01
    assert normal_quantiles()[32768:].min() > 0


def test_rare_classes_are_drawn_as_often_as_common_ones_in_an_epoch_as_long(tmp_path: Path) -> None:
    def unequal(table: Any) -> Any:
        table.loc[table["index"] > 6, "crop"] = 3
        return table

    samples, found = opened(tmp_path / "p", count=60, change={"parcels": unequal})
    plain, balanced = PixelSetDrawing(), PixelSetDrawing(sampling="balanced")
    chosen = choose(found, balanced, random(0, 0, 0))
    assert len(chosen) == len(found.training)
    classes = Counter(samples.places[0].crops[chosen].tolist())
    assert max(classes.values()) - min(classes.values()) <= 1
    # None comes again before all of its class have come.
    common = Counter(item for item in chosen.tolist() if samples.places[0].crops[item] == 3)
    assert max(common.values()) == 1
    assert choose(found, plain, random(0, 0, 0)).tolist() == found.training.tolist()


def test_an_epoch_of_pixels_has_a_few_of_each_parcel(tmp_path: Path) -> None:
    samples, found = opened(tmp_path / "p", "pixels")
    draws = Draws(PixelDrawing(pixels=4), 0, 0, {})
    items = items_of(samples, found.training, draws)
    place = samples.places[0]
    parcels = Counter((np.searchsorted(place.starts, items, side="right") - 1).tolist())
    assert parcels == {int(parcel): min(4, int(place.counts[parcel])) for parcel in found.training}
    assert len(set(items.tolist())) == len(items)


def test_models_that_need_complete_series_lose_no_dates(tmp_path: Path) -> None:
    samples, _ = opened(tmp_path / "p")
    found = survey(samples, SPLIT, complete=True)
    for settings, key in ((PixelSetDrawing(truncate=0.3), "truncate"), (PixelSetDrawing(dates=3), "dates")):
        with pytest.raises(CropflowError, match=f"(?i){key} of the model is .* learns from complete series alone"):
            open_batches(samples, found, SPLIT, settings, seed=0, epoch=lambda: 0)
