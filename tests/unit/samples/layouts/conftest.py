"""Tiny data in each published layout, written here; and how they are imported."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from typer.testing import CliRunner

from cropflow.files.atomic import read_json, write_json
from cropflow.samples.command import app

FOLDS = {"count": 3, "unit": "sample"}


@dataclass(frozen=True)
class Imported:
    """A folder of samples, read back."""

    folder: Path
    about: dict[str, Any]
    summary: dict[str, Any]
    table: pandas.DataFrame

    def array(self, name: str) -> NDArray[Any]:
        return np.load(self.folder / f"{name}.npy")


def run(*arguments: str | Path) -> None:
    """Run ``cropflow samples``; errors come as they are."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None:
        raise done.exception


@pytest.fixture
def samples(tmp_path: Path) -> Callable[..., Imported]:
    """Import a layout."""

    def imported(layout: str, source: Path, name: str = "samples", classes: Path | None = None, **settings: Any) -> Any:
        output = tmp_path / name
        more = ["--classes", classes] if classes else []
        told = json.dumps(settings)
        run("import", "--layout", layout, "--source", source, "--settings", told, "--output", output, *more)
        (about,) = (read_json(output / f"{kind}.json") for kind in KINDS if (output / f"{kind}.json").is_file())
        tables = {"pixel_sets": "parcels", "chips": "chips", "patches": "index"}
        summary = read_json(output / "summary.json")
        table = pandas.read_parquet(output / f"{tables[summary['kind']]}.parquet")
        return Imported(output, about, summary, table)

    return imported


KINDS = ("pixel_sets", "patches", "chips")


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Export samples in a layout."""

    def write(layout: str, folder: Path, name: str = "exported") -> Path:
        run("export", "--layout", layout, "--samples", folder, "--output", tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def same_arrays() -> Callable[[Path, Path], None]:
    """Hold two folders of samples to the same arrays."""

    def compare(one: Path, other: Path) -> None:
        files = sorted(path.relative_to(one) for path in one.rglob("*.npy"))
        assert files == sorted(path.relative_to(other) for path in other.rglob("*.npy"))
        for file in files:
            np.testing.assert_array_equal(np.load(one / file), np.load(other / file), err_msg=str(file))

    return compare


def write_parcels(folder: Path, parcels: dict[str, NDArray[Any]]) -> None:
    folder.mkdir(parents=True)
    for parcel, values in parcels.items():
        np.save(folder / f"{parcel}.npy", values)


@pytest.fixture
def rotation(tmp_path: Path) -> Path:
    """Six parcels over 2018 and 2019 in DATA/META; parcel 4 is not declared in 2018, parcel 5 has no file in 2019."""
    root, rng = tmp_path / "rotation", np.random.default_rng(0)
    for year in (2018, 2019):
        parcels = {str(id): rng.integers(1, 9000, (4, 10, 2 + id)).astype(np.int16) for id in range(6)}
        if year == 2019:
            parcels["0"][2] = 0
            del parcels["5"]
        write_parcels(root / "DATA" / str(year), parcels)
    labels = {
        "2018": {str(id): (id + 1) % 20 for id in range(6) if id != 4},
        "2019": {str(id): id for id in range(6)},
    }
    (root / "META").mkdir()
    write_json(root / "META" / "labels.json", labels)
    days = {"0": "0105", "1": "0301", "2": "0502", "3": "1130"}
    write_json(root / "META" / "dates.json", {"2018": days, "2019": days})
    write_json(root / "META" / "geomfeat.json", {str(id): [100.0 + id, 2 + id, 0.5, 0.1] for id in range(5)})
    return root


@pytest.fixture
def districts(tmp_path: Path) -> Path:
    """Two parcels in each of three districts, Sentinel-1 in dB and Sentinel-2 x 10000 on dates of their own."""
    root, rng = tmp_path / "districts", np.random.default_rng(1)
    for district, name in enumerate(("East", "North", "West")):
        labels, s1_dates, s2_dates = {}, {}, {}
        for number in range(2):
            id, pixels = str(10 * district + number), 3 + number
            dates = 3 + number
            radar = rng.uniform(-25, -5, (5, 2, pixels)).astype(np.float32)
            write = {"s1_data": radar, "s2_data": rng.integers(1, 9000, (dates, 10, pixels)).astype(np.float32)}
            for sensor, values in write.items():
                data = root / sensor / name / "DATA"
                data.mkdir(parents=True, exist_ok=True)
                np.save(data / f"{id}.npy", values)
            labels[id] = (1, 25)[number]
            s1_dates[id] = [20181004 + day for day in range(5)]
            s2_dates[id] = [20181001 + 7 * day for day in range(dates)]
        for sensor, dates_of in (("s1_data", s1_dates), ("s2_data", s2_dates)):
            meta = root / sensor / name / "META"
            meta.mkdir()
            write_json(meta / "labels.json", {"CODE_GROUP": labels})
            write_json(meta / "dates.json", dates_of)
    return root


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """Eight patches of 4 x 4 pixels in four zones; inputs are zero where no parcel has a label."""
    rng = np.random.default_rng(2)
    labels = rng.choice([0, 8, 30, 49], (8, 4, 4)).astype(np.float32)
    labels[:, 0, 0], labels[:, 0, 1] = 0, 255
    data = rng.integers(200, 5000, (8, 12, 4, 4, 4)).astype(np.float32)
    data = np.where(labels[:, None, None] == 0, 0, data).astype(np.float32)
    path = tmp_path / "zones.h5"
    with h5py.File(path, "w") as file:
        file["data"], file["labels"] = data, labels
        file["ID_Parcelles"] = np.where(labels > 0, labels + 100, 0).astype(np.float32)
        file["coords"] = rng.uniform(0, 50, (8, 2))
        names = [f"zone{number // 2}" for number in range(8)]
        file.create_dataset("zones", data=names, dtype=h5py.string_dtype())
        file.create_dataset("dates", data=["20231201"] * 8, dtype=h5py.string_dtype())
    return path


def png(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    kept = io.BytesIO()
    Image.fromarray(values).save(kept, "PNG")
    return np.frombuffer(kept.getvalue(), np.uint8)


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Records of points: (point, region, crop) over months, out of order; point 7 of QC names two crops."""
    rows = []
    for point, region, crop, dates in (
        (1, "AB", "BARLEY", 4), (2, "AB", "CANOLA", 3), (1, "ON", "CORN", 3), (7, "QC", "OAT", 3),
        (7, "QC", "SPRING_WHEAT", 2), (9, "QC", "TULIP", 3),
    ):  # fmt: skip
        rows += [{"POINT": point, "REGION": region, "CROP_TYPE": crop, "DATE": f"2019-{6 + month:02d}"}
                 for month in reversed(range(dates))]  # fmt: skip
    return rows


@pytest.fixture
def canadian(tmp_path: Path, records: list[dict[str, Any]]) -> Path:
    """An HDF5 file of these records with pictures of 5 x 5 pixels."""
    path, rng = tmp_path / "canadian.hdf5", np.random.default_rng(3)
    text, bytes_ = h5py.string_dtype(), h5py.vlen_dtype(np.uint8)
    with h5py.File(path, "w") as file:
        file["POINT"] = [row["POINT"] for row in records]
        file["LABEL"] = [0] * len(records)
        for name in ("DATE", "REGION", "CROP_TYPE"):
            file.create_dataset(name, data=[row[name] for row in records], dtype=text)
        for name in ("RGB", "NDVI", "NDVI45", "OSAVI", "PSRI", "GNDVI"):
            pictures = file.create_dataset(name, (len(records),), bytes_)
            for number in range(len(records)):
                shape = (5, 5, 3) if name == "RGB" else (5, 5)
                pictures[number] = png(rng.integers(0, 256, shape, dtype=np.uint8))
    return path


class Tifs:
    """GeoTIFFs without a place, ``(band, y, x)``."""

    def read(self, path: Path) -> NDArray[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                return raster.read()

    def write(self, path: Path, values: NDArray[Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        bands, rows, columns = values.shape
        about = {"width": columns, "height": rows, "count": bands, "dtype": values.dtype.name}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", driver="GTiff", **about) as raster:
                raster.write(values)


@pytest.fixture
def tifs() -> Tifs:
    return Tifs()


@pytest.fixture
def siamese(tmp_path: Path, tifs: Tifs) -> Path:
    """Two overlapping patches in each of three areas, two months; one radar pixel is NaN in the first month."""
    root, rng = tmp_path / "siamese", np.random.default_rng(4)
    for area in ("a", "b", "c"):
        for column in range(2):
            name = f"{area}_r00_c{column:02d}"
            codes = rng.choice([0, 211, 216, 500], (1, 6, 6)).astype(np.uint16)
            codes[0, 0] = (0, 0, 0, 211, 211, 216)
            tifs.write(root / "crop_map" / f"{name}.tif", codes)
            for month in (1, 2):
                radar = rng.uniform(-25, -5, (2, 6, 6)).astype(np.float32)
                radar[:, 5, 5] = np.nan if month == 1 else radar[:, 5, 5]
                tifs.write(root / "s1" / str(month) / f"{name}.tif", radar)
                optical = rng.uniform(0.01, 0.6, (10, 6, 6)).astype(np.float32)
                tifs.write(root / "s2" / str(month) / f"{name}.tif", optical)
    return root


@pytest.fixture
def pastis(tmp_path: Path) -> Path:
    """Five patches of 8 x 8 pixels, a fold each, with dates out of order; labels 0, 1, 3 and 19, the void."""
    root, rng = tmp_path / "pastis", np.random.default_rng(5)
    features = []
    for folder in ("DATA_S2", "DATA_S1A", "ANNOTATIONS"):
        (root / folder).mkdir(parents=True)
    for number in range(5):
        id, dates = 10000 + number, 3 + number
        np.save(root / "DATA_S2" / f"S2_{id}.npy", rng.integers(-20, 9000, (dates, 10, 8, 8)).astype(np.int16))
        np.save(root / "DATA_S1A" / f"S1A_{id}.npy", rng.uniform(-25, -5, (2, 3, 8, 8)).astype(np.float32))
        target = np.zeros((3, 8, 8), np.uint8)
        target[0] = rng.choice([0, 1, 3, 19], (8, 8))
        target[0, 0, :4] = (0, 1, 3, 19)
        np.save(root / "ANNOTATIONS" / f"TARGET_{id}.npy", target)
        days = {str(at): 20180920 + (dates - at) for at in range(dates)}
        told = {"ID_PATCH": id, "Fold": number + 1, "TILE": "T31TFM", "dates-S2": days}
        features.append({"properties": told | {"dates-S1A": {"0": 20181001, "1": 20181007}}})
    write_json(root / "metadata.geojson", {"features": features})
    return root


@pytest.fixture
def zuericrop(tmp_path: Path) -> Path:
    """Six patches of 4 x 4 pixels on eight dates; field 50 reaches from patch 1 into patch 2."""
    rng, root = np.random.default_rng(6), tmp_path / "zuericrop"
    root.mkdir()
    with h5py.File(root / "data.hdf5", "w") as file:
        file["data"] = rng.integers(100, 5000, (6, 8, 4, 4, 9)).astype(np.int16)
        file["gt"] = rng.choice([0, 1, 2, 3], (6, 4, 4, 1)).astype(np.int64)
        fields = np.arange(6)[:, None, None, None] * 10 + rng.integers(1, 4, (6, 4, 4, 1))
        fields[1, 0, 0], fields[2, 3, 3] = 50, 50
        file["gt_instance"] = fields
        clouds = np.zeros((6, 8, 4, 4), np.float32)
        clouds[0, 2] = 0.5
        file["cloud_cover"] = clouds
    header = "GT,LNF_code,raw_ENG,1st_tier,2nd_tier,3rd_tier,4th_tier_ENG\n"
    rows = "1,501,a,Vegetation,b,c,SummerBarley\n2,502,a,Vegetation,b,c,\n3,503,a,Vegetation,b,c,Maize\n"
    (root / "labels.csv").write_text(header + rows)
    return root
