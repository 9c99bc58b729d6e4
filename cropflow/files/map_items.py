"""STAC items of maps: where the tiles of a land-cover product lie."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cropflow.config.addresses import public
from cropflow.errors import CropflowError, listing

ITEM_SUFFIXES = (".json", ".geojson")
# The name that ESA WorldCover's items give the classification, whoever serves them.
ASSET = "map"
# What stands before the id of an asset of Earth Engine to tell it from a path.
ASSET_SCHEME = "ee://"


def is_asset(source: str) -> bool:
    """True for addresses of assets of Earth Engine, such as ``ee://JRC/D5/EUCROPMAP/V1/2018``."""
    return source.startswith(ASSET_SCHEME)


def is_remote(source: str) -> bool:
    """True for what is read from where it lies: http(s) addresses, and assets of Earth Engine."""
    return is_asset(source) or source.lower().startswith(("http://", "https://"))


def asset_files(path: Path, asset: str = ASSET) -> list[str]:
    """Where an asset of each item lies.

    Args:
        path: A STAC item, or a collection of items, as GeoJSON. Hrefs are relative to the file, absolute, ``file:`` or
            http(s) addresses.
        asset: Key of the asset.

    Returns:
        Local paths and http(s) addresses, each once, in the order of the items.

    Raises:
        CropflowError: If the file is missing or holds no items, or an item has no such asset.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CropflowError(f"{path} is missing; expected a STAC item collection.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CropflowError(f"{path} is no JSON ({error}); expected a STAC item collection.") from None
    kind = content.get("type") if isinstance(content, dict) else None
    items = [content] if kind == "Feature" else content.get("features") if kind == "FeatureCollection" else None
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise CropflowError(
            f"{path} holds no STAC items; expected an item, or a FeatureCollection of at least one. "
            f"Save what the search answered."
        )
    found: dict[str, None] = {}
    for item in items:
        assets = item.get("assets") or {}
        href = (assets.get(asset) or {}).get("href")
        if not href:
            raise CropflowError(
                f"Item {item.get('id')!r} of {path} has no asset {asset!r}; it has: {listing(assets) or 'none'}. "
                f"Name items of a land-cover map."
            )
        found[_located(str(href), path)] = None
    return list(found)


def _located(href: str, path: Path) -> str:
    parts = urlsplit(href)
    if parts.scheme == "file":
        return unquote(parts.path)
    if is_remote(href):
        return href
    # A scheme of one letter is a drive.
    if len(parts.scheme) > 1:
        raise CropflowError(
            f"{path} names {public(href)!r}; expected a local file or an http(s) address. Download it first."
        )
    return str(path.parent / href)
