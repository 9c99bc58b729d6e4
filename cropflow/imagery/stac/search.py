"""Searching a STAC API, or an item collection behind an address, for the items that may touch some sites."""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import shapely
from pystac_client import Client
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry.base import BaseGeometry

from cropflow.errors import CropflowError, listing
from cropflow.files.remote import GoneError
from cropflow.imagery.items import Item
from cropflow.imagery.stac.web import Web

LOG = logging.getLogger(__name__)

# Items a page: what all known services send at once without growing slow.
PAGE = 100
# Sites of one request: the services take an outline of some hundred corners in the body of a request.
SITES = 40
# Sites are gathered by cells of about the size of a tile, degrees: a tile that lies in two requests is sent twice.
CELL_DEGREES = 1.0


def search_items(
    web: Web, url: str, collection: str, footprints: Sequence[BaseGeometry], window: tuple[datetime.date, datetime.date]
) -> list[Item]:
    """Find the items of a collection that touch any of some outlines within a window.

    Only place and time are asked for: some services answer nothing, in silence, where properties are asked for. All
    other filters are the caller's. Hrefs of assets are made absolute.

    Args:
        web: Who asks.
        url: Landing page of an API, or an item collection; what it answers decides.
        collection: The collection.
        footprints: Outlines of the sites in EPSG:4326, cut at the antimeridian.
        window: First and last day, both inclusive, UTC.

    Returns:
        The items, each once, in order of time and id. Of an item collection all items of the collection, whatever
        their place and time.

    Raises:
        CropflowError: If the service cannot be asked, or answers no STAC.
        TransientError: If it never answered.
    """
    start = _page(web, url)
    if start.get("type") == "FeatureCollection":
        pages: Iterable[Mapping[str, Any]] = [start]
    elif start.get("type") == "Catalog" and start.get("conformsTo"):
        pages = _pages(_client(web, url, start), collection, footprints, window)
    else:
        raise CropflowError(
            f"{url} answers neither the landing page of a STAC API nor an item collection; expected type Catalog with "
            "conformsTo, or FeatureCollection. Check imagery.<name>.url."
        )
    found: dict[str, Item] = {}
    total = 0
    for page in pages:
        for item in page.get("features") or []:
            if item.get("collection", collection) == collection:
                total += 1
                found.setdefault(str(item.get("id", "")), _complete(item, url))
    if total > len(found):
        LOG.info("%d of %d items of %s were sent more than once", total - len(found), total, collection)
    if not found:
        _check_collection(web, url, start, collection)
    return sorted(found.values(), key=lambda item: (str(item["properties"].get("datetime")), item["id"]))


def site_groups(footprints: Sequence[BaseGeometry]) -> list[BaseGeometry]:
    """Outlines of sites, gathered into few of which none covers ground between far-apart sites.

    Args:
        footprints: Outlines in EPSG:4326, cut at the antimeridian.

    Returns:
        Polygons and multipolygons of the sites' bounding boxes, each of at most forty sites that lie close together.
    """
    # A site across the antimeridian has two boxes, one at each end of the world.
    boxes = [shapely.box(*part.bounds) for outline in footprints for part in shapely.get_parts(outline)]
    cells: dict[tuple[int, int], list[BaseGeometry]] = {}
    for box in boxes:
        cell = (int(box.centroid.y // CELL_DEGREES), int(box.centroid.x // CELL_DEGREES))
        cells.setdefault(cell, []).append(box)
    ordered = [box for cell in sorted(cells) for box in sorted(cells[cell], key=lambda box: box.bounds)]
    return [shapely.union_all(ordered[first : first + SITES]) for first in range(0, len(ordered), SITES)]


class _Connection(StacApiIO):
    """The requests of pystac-client, made by our own client: limited, judged, asked again."""

    def __init__(self, web: Web) -> None:
        super().__init__(max_retries=None)
        self._web = web

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Ask for a document; parameters are the body of a POST, the query of a GET."""
        chosen = (method or "GET").upper()
        if chosen == "POST":
            return _document(self._web, "POST", href, headers, parameters or {})
        return _document(self._web, "GET", _with_query(href, parameters or {}), headers)


def _document(
    web: Web, method: str, url: str, headers: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
) -> str:
    cure = (
        "Check imagery.<name>.provider or url: the service wants an account, such as one for its host in ~/.netrc, or "
        "a right that you lack."
    )
    try:
        return web.ask(method, url, cure=cure, body=body, headers=headers)
    except GoneError as error:
        raise CropflowError(f"{error}; expected a STAC service. Check imagery.<name>.provider or url.") from None


def _page(web: Web, url: str) -> dict[str, Any]:
    text = _document(web, "GET", url)
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise CropflowError(f"{url} answers no JSON object; expected STAC. Check imagery.<name>.provider or url.")
    return content


def _with_query(url: str, parameters: Mapping[str, Any]) -> str:
    if not parameters:
        return url
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query), *((name, str(value)) for name, value in parameters.items())]
    return parts._replace(query=urlencode(query)).geturl()


def _client(web: Web, url: str, landing: Mapping[str, Any]) -> Client:
    try:
        client = Client.from_dict(dict(landing), href=url)
    except (ClientTypeError, KeyError, TypeError):
        raise CropflowError(
            f"{url} answers a landing page that is not whole; expected STAC API 1.0. Check imagery.<name>.provider or "
            "url."
        ) from None
    client._stac_io = _Connection(web)
    if not client.conforms_to("ITEM_SEARCH"):
        raise CropflowError(
            f"{url} is no STAC API that can be searched (it does not conform to item-search). Choose another service, "
            "or give the address of an item collection."
        )
    return client


def _pages(
    client: Client,
    collection: str,
    footprints: Sequence[BaseGeometry],
    window: tuple[datetime.date, datetime.date],
) -> Iterator[Mapping[str, Any]]:
    first, last = window
    methods = [link.extra_fields.get("method", "GET") for link in client.get_links("search")]
    for group in site_groups(footprints):
        search = client.search(
            method="POST" if "POST" in methods else "GET",
            collections=[collection],
            intersects=shapely.geometry.mapping(group),
            datetime=f"{first}T00:00:00Z/{last}T23:59:59.999Z",
            limit=PAGE,
        )
        pages = 0
        try:
            for page in search.pages_as_dicts():
                pages += 1
                yield page
        except (APIError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise CropflowError(
                f"{client.get_self_href()} answers a search with no pages of items ({type(error).__name__}); expected "
                "STAC API 1.0. Check imagery.<name>.provider or url."
            ) from None
        LOG.info("searched %s of %s: %d pages", collection, client.get_self_href(), pages)


def _complete(item: Mapping[str, Any], url: str) -> Item:
    """An item with an id, properties and assets, these with absolute hrefs; they are relative to the item itself."""
    links = item.get("links") or []
    own = next((str(link["href"]) for link in links if link.get("rel") == "self" and "href" in link), url)
    base = urljoin(url, own)
    assets = {
        name: {**asset, "href": urljoin(base, str(asset["href"]))}
        for name, asset in (item.get("assets") or {}).items()
        if "href" in asset
    }
    properties = item.get("properties") or {}
    return {**item, "id": str(item.get("id", "")), "properties": properties, "assets": assets}


def _check_collection(web: Web, url: str, start: Mapping[str, Any], collection: str) -> None:
    """Tell an empty answer from a collection that does not exist.

    Raises:
        CropflowError: If there is no such collection: which ones there are.
    """
    if start.get("type") == "FeatureCollection":
        names = {str(item.get("collection")) for item in start.get("features") or []}
    else:
        links = start.get("links") or []
        data = next(
            (str(link["href"]) for link in links if link.get("rel") == "data"), f"{url.rstrip('/')}/collections"
        )
        names = {str(entry.get("id")) for entry in _page(web, urljoin(url, data)).get("collections") or []}
    if names and collection not in names:
        raise CropflowError(
            f"{url} has no collection {collection!r}; it has {listing(sorted(names), 20)}. Name one in "
            "imagery.<name>.collections."
        )
