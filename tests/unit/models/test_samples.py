"""Readers of samples: what they map, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import toys

from cropflow.errors import CropflowError
from cropflow.models.batch import NO_DATE
from cropflow.models.data.reading import read_samples
from cropflow.models.data.samples import Split


def read(kind: Any, *folders: Path) -> Any:
    return read_samples(kind, [f"r/{folder.name}" for folder in folders], folders)


def test_places_are_one_row_of_numbers(make_samples: Callable[..., Path]) -> None:
    samples = read("patches", make_samples("a"), make_samples("empty", count=0), make_samples("b", count=4))
    assert len(samples) == 19
    found = list(samples.split_up(np.array([16, 3, 14, 15])))
    assert [(place, where.tolist(), rows.tolist()) for place, where, rows in found] == [
        (0, [1, 2], [3, 14]),
        (2, [0, 3], [1, 0]),
    ]


def test_a_damaged_index_of_patches_is_one_line(make_samples: Callable[..., Path]) -> None:
    folder = make_samples()
    (folder / "index.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(CropflowError, match=r"index\.parquet"):
        read("patches", folder)


def test_places_of_other_bands_are_refused(make_samples: Callable[..., Path]) -> None:
    one, two = make_samples("a"), make_samples("b")
    layout = two / "patches.json"
    about = json.loads(layout.read_text())
    about["sensors"][0]["bands"] = ["B04", "B03"]
    layout.write_text(json.dumps(about))
    with pytest.raises(CropflowError, match=r"r/b has the bands B04, B03 of sentinel2; expected B04, B08, as r/a has"):
        read("patches", one, two)
    layout.write_text(json.dumps({"legend": "turkoglu", "patch_size": 16}))
    with pytest.raises(CropflowError, match=r"patches\.json names no sensors"):
        read("patches", one, two)


def test_places_of_other_sensors_are_refused(
    make_samples: Callable[..., Path], make_fused: Callable[..., Path]
) -> None:
    message = r"r/b has the sensors sentinel2, sentinel1_ascending; expected sentinel2, as r/a has"
    with pytest.raises(CropflowError, match=message):
        read("patches", make_samples("a"), make_fused("b"))


def test_places_of_another_history_are_refused(tmp_path: Path) -> None:
    folders = [toys.write_parcels(tmp_path / name, "pixel_sets", lags=lags) for name, lags in (("a", 1), ("b", 2))]
    with pytest.raises(CropflowError, match=r"lags of r/b is 2, that of r/a 1; expected the same"):
        read("pixel_sets", *folders)


def test_an_array_of_another_shape_or_kind_is_refused(make_samples: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(CropflowError, match=r"crops.npy holds int64 .* expected uint16"):
        read("patches", make_samples("a", crops=lambda crops: crops.astype(np.int64)))
    with pytest.raises(CropflowError, match=r"no patches\.json; expected the patches of r/s\. Run samples_patches"):
        read_samples("patches", ["r/s"], [Path("nowhere")])
    shorter = {"sentinel2": lambda values: values[:-1]}
    with pytest.raises(CropflowError, match=r"values\.npy holds uint16 \(\d+, 6, 2\); expected uint16"):
        read("pixel_sets", toys.write_parcels(tmp_path / "p", "pixel_sets", change=shorter))
    with pytest.raises(CropflowError, match=r"values\.npy holds uint16 \(29, 6, 2, 9, 9\); expected uint16 \(30,"):
        read("chips", toys.write_parcels(tmp_path / "c", "chips", change=shorter))
    with pytest.raises(CropflowError, match="2 places and 1 folders"):
        read_samples("chips", ["r/s", "r/t"], [tmp_path])


def test_parcels_whose_pixels_overlap_are_refused(tmp_path: Path) -> None:
    def overlap(table: pandas.DataFrame) -> pandas.DataFrame:
        table.loc[4, "start"] -= 1
        return table

    with pytest.raises(CropflowError, match=r"parcel 4 has \d+ pixels from \d+; expected at least one, from"):
        read("pixel_sets", toys.write_parcels(tmp_path / "p", "pixel_sets", change={"parcels": overlap}))


def test_features_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    def unknown(table: pandas.DataFrame) -> pandas.DataFrame:
        table.loc[[2, 3], "fill_ratio"] = np.nan
        return table

    with pytest.raises(CropflowError, match=r"has 2 of 30 parcels whose perimeter_m, .* expected finite"):
        read("pixel_sets", toys.write_parcels(tmp_path / "p", "pixel_sets", change={"parcels": unknown}))


@pytest.mark.parametrize("days", [[0, 5, 5, 9], [0, 9, 5, 20], [0, NO_DATE, 5, 9]])
def test_dates_that_do_not_ascend_are_refused(tmp_path: Path, days: list[int]) -> None:
    layout = toys.Layout("sentinel2", ("B04", "B08"), (), (), longest=4)
    dates = np.tile([0, 3, 6, NO_DATE], (30, 1))
    dates[7] = days
    folder = toys.write_parcels(tmp_path / "p", "pixel_sets", layouts=(layout,), days={"sentinel2": dates})
    with pytest.raises(CropflowError, match=r"1 of 30 series whose dates do not ascend, such as number 7; expected"):
        read("pixel_sets", folder)


def test_a_fold_beyond_the_count_is_refused() -> None:
    with pytest.raises(CropflowError, match="Fold is 5"):
        Split(5, 5, False)
    with pytest.raises(CropflowError, match="Number of folds is 2"):
        Split(0, 2, False)
