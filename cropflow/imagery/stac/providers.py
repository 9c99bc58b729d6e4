"""The STAC services that are known by name: their addresses, collections and ways to sign."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cropflow.config.imagery import Family, Imagery
from cropflow.errors import CropflowError
from cropflow.imagery.items import Item
from cropflow.imagery.stac.signing import Copernicus, PlanetaryComputer, Unsigned
from cropflow.imagery.stac.web import Signer, Web

# What collections are usually called, for any other service.
USUAL: Mapping[Family, str] = {"sentinel2": "sentinel-2-l2a", "sentinel1": "sentinel-1-rtc"}
GRD = "its Sentinel-1 collections are plain GRD, uncalibrated and in radar geometry"


@dataclass(frozen=True)
class Provider:
    """A STAC service.

    Attributes:
        name: What messages call it.
        url: Address of its landing page, or of an item collection.
        collections: Family of sensors -> collection.
        lacks: Family of sensors -> why the service has no collection of it that can be used.
        signer: Makes who signs its addresses.
        readable: Makes an item of the service one whose hrefs can be read.
    """

    name: str
    url: str
    collections: Mapping[Family, str]
    lacks: Mapping[Family, str]
    signer: Callable[[Web], Signer]
    readable: Callable[[Item], Item] = lambda item: item

    def collection(self, family: Family) -> str:
        """The collection of a family of sensors.

        Raises:
            CropflowError: If there is none: why, and where there is one.
        """
        if family not in self.collections:
            raise CropflowError(
                f"{self.name} has no usable collection of {family}: {self.lacks[family]}. Choose provider "
                f"planetary-computer (sentinel-1-rtc), or name another in imagery.<name>.collections."
            )
        return self.collections[family]


PROVIDERS = {
    # Its collection 1 keeps the offset in the values of all baselines from 04.00 on. In its older sentinel-2-l2a the
    # offset is taken off some scenes and not others, its flags tell wrongly, and some scenes are there twice.
    "earth-search": Provider(
        "earth-search",
        "https://earth-search.aws.element84.com/v1",
        {"sentinel2": "sentinel-2-c1-l2a"},
        {"sentinel1": GRD},
        lambda web: Unsigned(),
    ),
    "planetary-computer": Provider(
        "planetary-computer",
        "https://planetarycomputer.microsoft.com/api/stac/v1",
        {"sentinel2": "sentinel-2-l2a", "sentinel1": "sentinel-1-rtc"},
        {},
        PlanetaryComputer,
    ),
    "copernicus": Provider(
        "copernicus",
        "https://stac.dataspace.copernicus.eu/v1",
        {"sentinel2": "sentinel-2-l2a"},
        {"sentinel1": GRD},
        lambda web: Copernicus(),
        Copernicus.readable,
    ),
}


def find_provider(settings: Imagery) -> Provider:
    """The service that an entry of imagery names, with the collections that it names."""
    chosen = dict(settings.collections)
    if settings.provider is None:
        url = str(settings.url)
        return Provider(url, url, {**USUAL, **chosen}, {}, lambda web: Unsigned())
    known = PROVIDERS[settings.provider]
    return replace(known, collections={**known.collections, **chosen})
