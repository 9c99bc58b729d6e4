from __future__ import annotations

import numpy as np
import pytest

from cropflow.errors import CropflowError
from cropflow.files.rasters import read_raster
from cropflow.regions.grid import Grid
from cropflow.report.pictures import MOST_SITES, picture_maps, picture_site, register_crops


def test_truth_is_the_crop_of_the_pixels_parcel_rims_included(world):
    expected = np.array([0, 21, 44, 48])[world.index]
    assert np.array_equal(register_crops(world.samples, "a"), expected)


def test_parcels_beyond_the_raster_change_nothing(world):
    from cropflow.files.tables import read_table, write_table

    path = world.samples / "parcels.parquet"
    table = read_table(path)
    extra = table.iloc[:1].assign(index=np.uint32(99))
    import pandas

    before = register_crops(world.samples, "a")
    write_table(path, pandas.concat([table, extra], ignore_index=True))
    assert np.array_equal(register_crops(world.samples, "a"), before)


def test_agreement_counts_pixels_that_have_a_crop_in_both(world):
    folder = world.maps[0]
    picture = picture_site(folder / "a", "dale/2019", "a", world.samples, world.legend)
    predicted = read_raster(folder / "a" / "crops.tif")[0][0]
    truth = register_crops(world.samples, "a")
    both = (truth > 0) & (predicted != 255)
    assert (picture.compared, picture.agreeing) == (both.sum(), (both & (truth == predicted)).sum())
    assert set(picture.crops) == {21, 44, 48}


def test_a_place_without_labels_has_no_truth(world):
    picture = picture_site(world.maps[0] / "a", "dale/2019", "a", None, world.legend)
    assert (picture.truth, picture.agreement, picture.compared) == ("", "", 0)
    assert picture.predicted.startswith("data:image/png;base64,")


def test_a_map_on_another_grid_than_its_labels_is_refused(world):
    world.add_map("hill/2019", ["a"], Grid(32631, 400_000.0, 5_000_060.0, 3, 3, 10.0))
    with pytest.raises(CropflowError, match="expected one grid"):
        picture_site(world.maps[-1] / "a", "hill/2019", "a", world.samples, world.legend)


def test_a_picture_that_leaves_pixels_out_says_so(world):
    picture = picture_site(world.maps[0] / "a", "dale/2019", "a", None, world.legend, side=4)
    assert "one of 2 × 2 shown" in picture.caption


def test_the_caption_says_how_much_was_interpolated(world):
    from cropflow.files.atomic import read_json, write_json

    def caption() -> str:
        return picture_site(world.maps[0] / "a", "dale/2019", "a", None, world.legend).caption

    assert caption().endswith("10 m pixels. 33 % of the values behind this map were interpolated.")
    summary = world.maps[0] / "summary.json"
    write_json(summary, read_json(summary) | {"sites": {"a": {"filled_share": None}}})
    assert caption().endswith("10 m pixels")


def test_many_sites_are_cut_with_a_note_and_those_with_labels_come_first(world):
    world.add_map("ably/2019", [f"s{n:02d}" for n in range(MOST_SITES + 2)])
    maps = {"/".join(folder.parts[-2:]): folder for folder in world.maps}
    pictures = picture_maps(maps, {world.place: world.samples}, world.legend)
    assert [picture.place for picture in pictures.shown] == [world.place] + ["ably/2019"] * (MOST_SITES - 1)
    assert pictures.note.startswith(f"The first {MOST_SITES} of {MOST_SITES + 3} mapped sites")


def test_few_sites_need_no_note(world):
    assert picture_maps({world.place: world.maps[0]}, {}, world.legend).note == ""


def test_ten_noisy_sites_fit_into_the_page(world):
    # Noise is the worst case: maps have fields.
    world.add_map("ably/2019", ["a"], Grid(32631, 400_000.0, 5_005_200.0, 520, 520, 10.0))
    folder = world.maps[-1]
    picture = picture_site(folder / "a", "ably/2019", "a", None, world.legend, side=520)
    per_site = 2 * (len(picture.predicted) + len(picture.confidence))
    assert MOST_SITES * per_site < 9e6
