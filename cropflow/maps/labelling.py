"""From probabilities to what is stored: the likeliest class, how sure it is, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from cropflow.evaluation.metrics import class_name
from cropflow.evaluation.parcels import NOT_PREDICTED
from cropflow.samples.labels import BACKGROUND

if TYPE_CHECKING:
    from cropflow.labels.legend import Legend

CONFIDENCE_NODATA = 255
GREY = (190, 190, 190)

# Columns of a raster attribute table: name, GDAL's numbers of types (0 integer, 2 text) and of usages.
ATTRIBUTES = (("value", "0", "5"), ("class", "2", "2"), ("red", "0", "6"), ("green", "0", "7"), ("blue", "0", "8"))

Colour = tuple[int, int, int, int]


def map_type(legend: Legend) -> tuple[type[np.uint8] | type[np.uint16], int]:
    """Data type and nodata value of a crop map.

    One byte where the ids leave 255 free: viewers list every entry of a colour table, and one of two bytes has 65536.
    """
    return (np.uint8, 255) if max(legend.ids) < 255 else (np.uint16, 65535)


def label_pixels(
    probability: NDArray[np.uint16], classes: Sequence[int], dtype: type[np.uint8] | type[np.uint16], nodata: int
) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Take the likeliest class of each pixel; the smallest id wins a tie.

    Args:
        probability: Probabilities x 10000, 65535 = not predicted, uint16, ``(class, y, x)``.
        classes: Their classes, ids of the legend, ascending.
        dtype: Data type of the ids.
        nodata: Id of pixels without a prediction.

    Returns:
        Ids ``(y, x)``, and the probability of the likeliest class in percent, 255 = not predicted, uint8, ``(y, x)``.
    """
    known = probability[0] != NOT_PREDICTED
    ids = np.asarray(classes, dtype=dtype)
    crops = np.where(known, ids[probability.argmax(axis=0)], dtype(nodata))
    percent = (probability.max(axis=0).astype(np.uint32) + 50) // 100
    return crops, np.where(known, np.minimum(percent, 100), CONFIDENCE_NODATA).astype(np.uint8)


def colour_table(legend: Legend, nodata: int) -> dict[int, Colour]:
    """Colour of each class, RGBA in 0..255; nodata is transparent."""
    table: dict[int, Colour] = {BACKGROUND: (*GREY, 255)}
    for crop in legend.ids:
        red, green, blue = legend.colour(crop)
        table[int(crop)] = (int(red), int(green), int(blue), 255)
    table[nodata] = (0, 0, 0, 0)
    return table


def class_names(legend: Legend, classes: Sequence[int], nodata: int) -> str:
    """The sidecar in which GDAL looks for the names of classes, as a GeoTIFF has no place for them.

    Args:
        legend: The legend.
        classes: Classes to name, ids of the legend.
        nodata: Id of pixels without a prediction.

    Returns:
        XML for ``<raster>.aux.xml``: category names, which every GDAL reads, and an attribute table with the value,
        name and colour of each class.

    Source:
        GDAL's persistent auxiliary metadata, https://gdal.org/en/stable/drivers/raster/pam.html
    """
    colours = colour_table(legend, nodata)
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = ElementTree.SubElement(band, "CategoryNames")
    for value in range(max(classes) + 1):
        ElementTree.SubElement(names, "Category").text = class_name(legend, value) if value in classes else ""
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(ATTRIBUTES):
        field = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        for key, text in (("Name", name), ("Type", kind), ("Usage", usage)):
            ElementTree.SubElement(field, key).text = text
    for index, crop in enumerate(classes):
        row = ElementTree.SubElement(table, "Row", index=str(index))
        for cell in (crop, class_name(legend, crop), *colours[crop][:3]):
            ElementTree.SubElement(row, "F").text = str(cell)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def qgis_style(legend: Legend, classes: Sequence[int], nodata: int) -> str:
    """A QGIS layer style that lists the classes of a map alone, with their names.

    Args:
        legend: The legend.
        classes: Classes to list, ids of the legend.
        nodata: Id of pixels without a prediction.

    Returns:
        XML. QGIS loads a ``.qml`` file by itself when it lies beside a raster of the same name.
    """
    colours = colour_table(legend, nodata)
    root = ElementTree.Element("qgis", version="3.22", styleCategories="Symbology")
    pipe = ElementTree.SubElement(root, "pipe")
    renderer = ElementTree.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for crop in classes:
        red, green, blue, alpha = colours[crop]
        ElementTree.SubElement(
            palette,
            "paletteEntry",
            value=str(crop),
            color=f"#{red:02x}{green:02x}{blue:02x}",
            alpha=str(alpha),
            label=class_name(legend, crop),
        )
    ElementTree.indent(root)
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )
