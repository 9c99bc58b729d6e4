"""What all layouts are made of: arrays that grow, units, folds of whole places, counts that add up."""

from __future__ import annotations

import datetime
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cropflow.config.layouts import LAYOUT_SETTINGS, ImportFolds
from cropflow.errors import CropflowError
from cropflow.samples.layouts import EXPORTED, NAMES, export_module, layout_module
from cropflow.samples.layouts.folds import assign_units
from cropflow.samples.layouts.growing import GrowingArray
from cropflow.samples.layouts.periods import months
from cropflow.samples.layouts.source import Frames, Sample, Source, Tally
from cropflow.samples.layouts.units import (
    from_stored,
    index_to_picture,
    judge_scale,
    picture_to_index,
    to_backscatter,
    to_reflectance,
)  # fmt: skip
from cropflow.samples.layouts.writing import write_samples
from cropflow.samples.sensors import Layout


@given(st.lists(st.integers(0, 5), max_size=4), st.sampled_from(["uint8", "int16", "float32"]))
def test_an_array_grows_row_by_row_and_reads_as_numpy_wrote_it(tmp_path_factory, lengths, dtype):
    path = tmp_path_factory.mktemp("growing") / "new" / "array.npy"
    parts = [np.arange(length * 6).reshape(length, 2, 3).astype(dtype) for length in lengths]
    with GrowingArray(path, dtype, (2, 3)) as array:
        for part in parts:
            array.append(part)
    np.testing.assert_array_equal(np.load(path), np.concatenate([np.zeros((0, 2, 3), dtype), *parts]))
    assert np.load(path).dtype == dtype


def test_rows_of_another_shape_do_not_get_into_an_array(tmp_path):
    with GrowingArray(tmp_path / "array.npy", "uint8", (2,)) as array, pytest.raises(ValueError, match="rows are"):
        array.append(np.zeros((1, 3), np.uint8))


@given(arrays(np.uint16, (2, 3, 4)))
def test_reflectance_comes_back_from_float32(stored):
    whole = np.where((stored == 0).any(axis=1, keepdims=True), 0, stored)
    told = from_stored(whole, 0, 10_000)
    np.testing.assert_array_equal(to_reflectance(told, 1.0, Tally()), whole)
    np.testing.assert_array_equal(to_reflectance(whole, 10_000.0, Tally()), whole)


@given(arrays(np.int16, (2, 2, 4)))
def test_backscatter_comes_back_from_float32(stored):
    whole = np.where((stored == -32_768).any(axis=1, keepdims=True), -32_768, stored)
    # Both polarisations at exactly 0 dB are what the layouts pad with.
    whole = np.where((whole == 0).all(axis=1, keepdims=True), -32_768, whole)
    np.testing.assert_array_equal(to_backscatter(from_stored(whole, -32_768, 100), Tally()), whole)


@given(arrays(np.uint8, (1, 3, 4, 4)))
def test_a_picture_comes_back_and_no_grey_is_nodata(picture):
    stored = picture_to_index(picture)
    assert (stored > 0).all()
    np.testing.assert_array_equal(index_to_picture(stored), picture)


def test_a_dark_band_is_raised_and_a_date_without_any_is_nodata():
    tally = Tally()
    values = np.array([[[0.0], [0.2]], [[0.0], [0.0]], [[np.nan], [0.2]], [[9.0], [-0.1]]])
    stored = to_reflectance(values, 1.0, tally)
    assert stored[..., 0].tolist() == [[1, 2000], [0, 0], [0, 0], [65535, 1]]
    assert tally.found["values below 0.0001 raised to it"] == 2
    assert tally.found["values above 6.5535 lowered to it"] == 1


def test_the_scale_is_judged_or_held_to_the_values():
    reflectance = np.linspace(0.01, 0.6, 60).reshape(1, 10, 6)
    assert judge_scale([reflectance], None, "here") == 1
    assert judge_scale([reflectance * 10_000], None, "here") == 10_000
    assert judge_scale([reflectance * 4095], 4095, "here") == 4095
    for values, given_scale in ((reflectance * 10_000, 1.0), (reflectance, 10_000.0), (reflectance - 0.4, None)):
        with pytest.raises(CropflowError, match="Half of the values of here"):
            judge_scale([values], given_scale, "here")


@settings(max_examples=30)
@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 50), min_size=3, max_size=12), st.randoms())
def test_every_unit_gets_one_fold_whatever_their_order(sizes, random):
    folds = assign_units(sizes, ImportFolds(count=3), "zones")
    assert set(folds) == set(sizes)
    assert set(folds.values()) == {0, 1, 2}
    shuffled = list(sizes)
    random.shuffle(shuffled)
    assert assign_units({name: sizes[name] for name in shuffled}, ImportFolds(count=3), "zones") == folds
    # No fold is fuller than another by more than a unit.
    load = [sum(sizes[name] for name, fold in folds.items() if fold == own) for own in range(3)]
    assert max(load) - min(load) <= max(sizes.values())


@pytest.mark.parametrize(
    ("rows", "message"),
    [("a,0\nb,7\n", r"fold of folds\.csv, line 3 is 7; expected 0 to 2"), ("a,0\na,1\n", "'a' has fold 0 already")],
)
def test_a_wrong_table_of_folds_is_one_line(tmp_path, rows, message):
    (tmp_path / "folds.csv").write_text("unit,fold\n" + rows)
    with pytest.raises(CropflowError, match=message):
        assign_units({"a": 1, "b": 1}, ImportFolds(count=3, table=str(tmp_path / "folds.csv")), "zones")


def test_samples_that_vanish_are_a_bug():
    tally = Tally(read=3, kept=1)
    tally.dropped["no pixels"] = 1
    with pytest.raises(RuntimeError, match="3 samples were read, 1 kept"):
        tally.told()


def test_months_go_on_over_new_year():
    assert months(datetime.date(2021, 11, 15), 3) == ("2021-11-15", "2021-12-15", "2022-01-15")
    assert months(datetime.date(2021, 12, 31), 2) == ("2021-12-28", "2022-01-28")


def test_every_layout_has_a_reader_and_those_that_are_written_a_writer():
    assert tuple(LAYOUT_SETTINGS) == NAMES
    for name in NAMES:
        assert callable(layout_module(name).open_source)
    for name in EXPORTED:
        assert callable(export_module(name).write)
    with pytest.raises(CropflowError, match=r"--layout is 'pastis'; expected one that is written"):
        export_module("pastis")
    with pytest.raises(CropflowError, match=r"--layout is 'coco'; expected one of: deep_crop_rotation"):
        layout_module("coco")


def test_one_sample_is_held_at_a_time(tmp_path):
    alive: list[weakref.ref] = []

    def walk(tally):
        for number in range(20):
            values = np.full((3, 2, 4), 1 + number, np.uint16)
            alive.append(weakref.ref(values))
            tally.read += 1
            yield Sample("a", str(number), number % 3, {"sentinel2": Frames(values, np.arange(3))}, 1)
            del values
            # What is written may still be in the hands of the writer, nothing before it.
            assert sum(held() is not None for held in alive) <= 1

    layout = Layout("sentinel2", ("B04", "B08"), (), (), longest=3)
    source = Source("pixel_sets", (layout,), "isrc_8", 0, 3, walk, "places", "2018-01-01")
    assert write_samples(source, tmp_path, None)["kept"] == 20
    assert np.load(tmp_path / "sentinel2" / "values.npy").shape == (80, 3, 2)
