from pathlib import Path

import numpy as np
import pytest

from cropflow.errors import CropflowError
from cropflow.imagery.safe import find_products, read_metadata

NAME = "S2A_MSIL2A_20180627T104021_N0208_R008_T31TEJ_20180627T143337"
METADATA = """<?xml version="1.0"?>
<n1:Level-2A_User_Product xmlns:n1="https://example.org/psd">
  <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
  <GENERATION_TIME>2018-06-27T14:33:37.000000Z</GENERATION_TIME>
  <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
  <DATATAKE_SENSING_START>2018-06-27T10:40:21.024Z</DATATAKE_SENSING_START>
  <SENSING_ORBIT_NUMBER>8</SENSING_ORBIT_NUMBER>
  <EXT_POS_LIST>44.2 3.0 44.2 4.3 43.2 4.3 43.2 3.0 44.2 3.0</EXT_POS_LIST>
  <Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment>
</n1:Level-2A_User_Product>
"""


@pytest.fixture
def product(tmp_path, raster) -> Path:
    folder = tmp_path / "2018" / "06" / f"{NAME}.SAFE"
    images = folder / "GRANULE" / "L2A_T31TEJ_A015735_20180627T104837" / "IMG_DATA"
    ten, twenty = np.full((4, 4), 300, dtype=np.uint16), np.full((2, 2), 4, dtype=np.uint16)
    raster(images / "R10m" / "T31TEJ_20180627T104021_B02_10m.tif", ten, 500_000, 4_900_000, 10.0)
    raster(images / "R20m" / "L2A_T31TEJ_20180627T104021_SCL_20m.tif", twenty, 500_000, 4_900_000, 20.0)
    (folder / "MTD_MSIL2A.xml").write_text(METADATA.format(baseline="02.08"), encoding="utf-8")
    return folder


def test_a_product_is_described_by_its_metadata(tmp_path, product):
    (scene,) = find_products(tmp_path)
    assert (scene.id, scene.tile, scene.platform) == (NAME, "31TEJ", "sentinel-2a")
    assert (scene.stamp, scene.baseline, scene.relative_orbit) == ("2018-06-27T10:40:21Z", "02.08", 8)
    assert scene.cloud_percent == 12.5
    assert scene.source == f"2018/06/{NAME}.SAFE"
    assert set(scene.layers) == {"B02", "SCL"}
    assert scene.outline is not None
    assert scene.outline.bounds == (3.0, 43.2, 4.3, 44.2)
    assert scene.extent is not None
    assert scene.extent.bounds[2] - scene.extent.bounds[0] < 0.001


def test_the_name_stands_in_for_metadata_without_a_baseline(tmp_path, product):
    text = METADATA.format(baseline="02.08").replace("<PROCESSING_BASELINE>02.08</PROCESSING_BASELINE>", "")
    (product / "MTD_MSIL2A.xml").write_text(text, encoding="utf-8")
    assert find_products(tmp_path)[0].baseline == "02.08"


def test_an_incomplete_product_is_named(tmp_path, product):
    (product / "MTD_MSIL2A.xml").unlink()
    with pytest.raises(CropflowError, match="the product is incomplete"):
        find_products(tmp_path)


def test_level_1c_products_are_passed_over_and_a_folder_without_others_is_refused(tmp_path):
    (tmp_path / "S2A_MSIL1C_20180627T104021_N0206_R008_T31TEJ_20180627T125555.SAFE").mkdir()
    with pytest.raises(CropflowError, match="holds no L2A product"):
        find_products(tmp_path)


def test_metadata_with_entities_are_refused_before_they_are_parsed(tmp_path):
    path = tmp_path / "MTD_MSIL2A.xml"
    path.write_text('<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>')
    with pytest.raises(CropflowError, match="declares a document type"):
        read_metadata(path)
    path.write_text("<a><b></a>")
    with pytest.raises(CropflowError, match="is broken"):
        read_metadata(path)
