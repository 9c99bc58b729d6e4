"""The preview map: regions, parcels and one composite on a page that needs nothing else, drawn by geemap."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import geopandas
import numpy as np
import shapely

from cropflow.errors import CropflowError
from cropflow.imagery.preview.picture import Picture

# More outlines make a page that browsers open slowly.
MOST_PARCELS = 20_000
# Some 5 m: less than a pixel.
TOLERANCE_DEGREES = 5e-5
DECIMALS = 6

SITES = {"color": "#1d4ed8", "weight": 2, "fill": False}
PARCELS = {"color": "#a16207", "weight": 1, "fillColor": "#facc15", "fillOpacity": 0.25}

STYLE = (
    "body { background: #f4f4f2; font: 14px/1.4 system-ui, sans-serif; }"
    ".leaflet-container { background: #f4f4f2; }"
    "#about { position: absolute; left: 12px; bottom: 24px; z-index: 1000; max-width: 28em; padding: 8px 12px;"
    " background: rgba(255, 255, 255, 0.92); border: 1px solid #d4d4d0; border-radius: 4px; color: #222; }"
    "#about h1 { margin: 0 0 4px; font-size: 16px; } #about p { margin: 0; }"
)


def draw_map(
    sites: Mapping[str, geopandas.GeoDataFrame],
    parcels: geopandas.GeoDataFrame | None,
    picture: Picture | None,
    without_picture: str,
    leaflet: tuple[str, str],
) -> str:
    """Draw the map as one page of HTML.

    Args:
        sites: Region -> its sites: ``site`` and footprint, EPSG:4326.
        parcels: Parcels with ``parcel_id`` and ``crop_code``, any CRS; none where they are not known.
        picture: The composite, if any.
        without_picture: Why there is none, for the reader.
        leaflet: Script and style sheet of Leaflet.

    Raises:
        CropflowError: If geemap is not installed.
    """
    folium, page = _blank(leaflet)
    if picture is not None:
        west, south, east, north = picture.bounds
        folium.raster_layers.ImageOverlay(
            picture.colours,
            [[south, west], [north, east]],
            name=f"Composite of {html.escape(picture.month)}",
            mercator_project=False,
        ).add_to(page)
    shown = 0
    if parcels is not None and len(parcels):
        drawn = parcels.iloc[:MOST_PARCELS].to_crs("EPSG:4326")
        shown = len(drawn)
        fields = {"parcel_id": "parcel", "crop_code": "crop code"}
        _outlines(folium, page, drawn, f"Parcels ({shown})", PARCELS, fields)
    for region, table in sites.items():
        _outlines(folium, page, table, f"Sites of {region}", SITES, {"site": "site"})
    folium.LayerControl(collapsed=False).add_to(page)
    bounds = np.array([table.total_bounds for table in sites.values()])
    (west, south), (east, north) = bounds[:, :2].min(axis=0).tolist(), bounds[:, 2:].max(axis=0).tolist()
    # Room below for what is told of the map.
    page.fit_bounds([[south, west], [north, east]], padding_bottom_right=(0, 130))
    total = 0 if parcels is None else len(parcels)
    about = _about(sites, shown, total, picture, without_picture)
    page.get_root().html.add_child(_verbatim(folium, about))
    text: str = page.get_root().render()
    return text


def _blank(leaflet: tuple[str, str]) -> tuple[ModuleType, Any]:
    """A map without a background, without controls that need an account, and without files of others."""
    # Read by geemap as it is imported: the map that becomes a page, not the one of notebooks.
    os.environ.setdefault("USE_FOLIUM", "1")
    try:
        import folium
        from geemap import foliumap
    except ModuleNotFoundError as error:
        raise CropflowError(
            f"The preview is drawn by geemap, and {error.name} is not installed; run `pip install '.[preview]'` in the "
            "project's folder."
        ) from None
    page = foliumap.Map(
        ee_initialize=False,
        tiles=None,
        height="100%",
        plugin_Fullscreen=False,
        plugin_Draw=False,
        search_control=False,
        scale_control=True,
    )
    page.default_js, page.default_css = [], []
    script, style = leaflet
    header = f"<title>Preview</title><style>{style}{STYLE}</style><script>{script}</script>"
    page.get_root().header.add_child(_verbatim(folium, header))
    return folium, page


def _verbatim(folium: ModuleType, text: str) -> Any:
    """A piece of the page as it is: folium takes text for a template, in which braces mean something."""
    element = folium.Element("{{ this.verbatim }}")
    element.verbatim = text
    return element


def _outlines(
    folium: ModuleType, page: Any, table: geopandas.GeoDataFrame, name: str, style: dict[str, Any], told: dict[str, str]
) -> None:
    """Add outlines as a layer; what is told of each is text, never markup."""
    shapes = shapely.set_precision(
        shapely.simplify(table.geometry.to_numpy(), TOLERANCE_DEGREES), 10.0**-DECIMALS, mode="pointwise"
    )
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(outline),
            "properties": {field: html.escape(str(value)) for field, value in zip(told, row, strict=True)},
        }
        for outline, *row in zip(shapes, *(table[field] for field in told), strict=True)
    ]
    folium.GeoJson(
        {"type": "FeatureCollection", "features": features},
        name=html.escape(name),
        style_function=lambda _: style,
        tooltip=folium.GeoJsonTooltip(list(told), list(told.values())),
    ).add_to(page)


def _about(
    sites: Mapping[str, geopandas.GeoDataFrame], shown: int, total: int, picture: Picture | None, without: str
) -> str:
    counts = {region: f"{len(table)} {'site' if len(table) == 1 else 'sites'}" for region, table in sites.items()}
    regions = ", ".join(f"{html.escape(region)} ({count})" for region, count in counts.items())
    lines = [f"Regions: {regions}.", f"Parcels: {shown:,} of {total:,} drawn." if total else "Parcels: none given."]
    if picture is None:
        lines.append(f"No composite: {html.escape(without)}")
    else:
        lines.append(f"Composite: {html.escape(picture.month)}, median of {picture.scenes} scenes, clear pixels only.")
    return '<div id="about"><h1>Preview</h1>' + "".join(f"<p>{line}</p>" for line in lines) + "</div>"
