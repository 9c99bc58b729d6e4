from xml.etree import ElementTree

import numpy as np
import rasterio
from rasterio.shutil import copy as copy_raster

from cropflow.files.rasters import write_cog
from cropflow.labels.hierarchy import Crop, Legend
from cropflow.labels.legend import read_legend
from cropflow.maps.labelling import class_names, colour_table, label_pixels, map_type, qgis_style
from cropflow.maps.seams import seams
from cropflow.regions.grid import Grid

LEGEND = read_legend("turkoglu")


def test_the_likeliest_class_is_mapped_with_its_percentage():
    probability = np.array([[[2000, 9949], [65535, 5000]], [[8000, 51], [65535, 5000]]], dtype=np.uint16)
    crops, confidence = label_pixels(probability, (4, 9), np.uint8, 255)
    assert crops.tolist() == [[9, 4], [255, 4]]
    assert confidence.tolist() == [[80, 99], [255, 50]]
    assert crops.dtype == confidence.dtype == np.uint8


def test_rounding_never_exceeds_a_hundred_percent():
    _, confidence = label_pixels(np.array([[[10_000]]], dtype=np.uint16), (4,), np.uint8, 255)
    assert confidence.item() == 100


def test_a_legend_of_large_ids_is_mapped_in_two_bytes(tmp_path):
    crops = (Crop(300, 1, "a", None, (1, 2, 3)), Crop(301, 2, "b", 300, (4, 5, 6)), Crop(302, 3, "c", 301, (7, 8, 9)))
    large = Legend("large", crops, tmp_path / "large.csv")
    assert map_type(large) == (np.uint16, 65535)
    assert map_type(LEGEND) == (np.uint8, 255)


def test_the_colours_of_the_legend_reach_the_file(tmp_path):
    grid = Grid(32631, 400_000.0, 5_000_000.0, 300, 280, 10.0)
    values = np.full(grid.shape, LEGEND.ids[0], dtype=np.uint8)
    write_cog(tmp_path / "crops.tif", values, grid, 255, colours=colour_table(LEGEND, 255))
    with rasterio.open(tmp_path / "crops.tif") as raster:
        colours = raster.colormap(1)
        assert raster.overviews(1) and raster.nodata == 255
    for crop in LEGEND.ids:
        assert colours[crop] == (*LEGEND.colour(crop), 255)
    assert colours[255][3] == 0


def test_the_style_names_every_class_and_survives_strange_names(tmp_path):
    crops = (Crop(7, 1, "a", None, (1, 2, 3)), Crop(8, 2, "b", 7, (1, 2, 3)), Crop(9, 3, 'c<&">', 8, (255, 0, 10)))
    style = qgis_style(Legend("odd", crops, tmp_path / "odd.csv"), (0, 9), 255)
    entries = ElementTree.fromstring(style).findall(".//paletteEntry")
    assert [(entry.get("value"), entry.get("label"), entry.get("color")) for entry in entries] == [
        ("0", "background", "#bebebe"),
        ("9", 'c<&">', "#ff000a"),
    ]


def test_gdal_reads_the_names_of_the_classes_from_beside_the_raster(tmp_path):
    crops = (Crop(7, 1, "a", None, (1, 2, 3)), Crop(8, 2, "b", 7, (1, 2, 3)), Crop(2, 3, 'c<&">', 8, (255, 0, 10)))
    names = class_names(Legend("odd", crops, tmp_path / "odd.csv"), (0, 2), 255)
    grid = Grid(32631, 400_000.0, 5_000_000.0, 4, 4, 10.0)
    write_cog(tmp_path / "crops.tif", np.full(grid.shape, 2, dtype=np.uint8), grid, 255)
    (tmp_path / "crops.tif.aux.xml").write_text(names, encoding="utf-8")
    copy_raster(tmp_path / "crops.tif", tmp_path / "copy.vrt", driver="VRT")
    read = ElementTree.parse(tmp_path / "copy.vrt").getroot()
    assert [name.text for name in read.findall(".//CategoryNames/Category")] == ["background", None, 'c<&">']
    rows = [[cell.text for cell in row] for row in ElementTree.fromstring(names).findall(".//Row")]
    assert rows == [["0", "background", "190", "190", "190"], ["2", 'c<&">', "255", "0", "10"]]


def plain_seams(crops, confidence, nodata, source):
    pairs = {"across": [], "within": []}
    for y, x in np.ndindex(crops.shape):
        for down, right in ((1, 0), (0, 1)):
            other = (y + down, x + right)
            if other[0] >= crops.shape[0] or other[1] >= crops.shape[1]:
                continue
            if nodata in (crops[y, x], crops[other]):
                continue
            name = "within" if source[y, x] == source[other] else "across"
            pairs[name].append((crops[y, x] != crops[other], abs(int(confidence[y, x]) - int(confidence[other]))))
    return pairs


def test_seams_equal_a_loop_over_neighbours():
    generator = np.random.default_rng(4)
    crops = generator.choice(np.array([1, 2, 255], dtype=np.uint8), size=(6, 7))
    confidence = generator.integers(0, 101, size=(6, 7)).astype(np.uint8)
    source = generator.integers(0, 2, size=(6, 7))
    found = seams(crops, confidence, 255, source)
    for name, pairs in plain_seams(crops, confidence, 255, source).items():
        assert found[name]["pairs"] == len(pairs)
        np.testing.assert_allclose(found[name]["changes"], np.mean([pair[0] for pair in pairs]), atol=1e-6)
        np.testing.assert_allclose(
            found[name]["confidence_step_percent"], np.mean([pair[1] for pair in pairs]), atol=1e-6
        )


def test_a_map_of_one_source_has_no_pairs_across():
    found = seams(np.ones((3, 3)), np.full((3, 3), 90, dtype=np.uint8), 255, np.zeros((3, 3)))
    assert found["across"] == {"pairs": 0, "changes": None, "confidence_step_percent": None}
    assert found["within"]["pairs"] == 12
