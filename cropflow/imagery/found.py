"""The scenes that were found, kept in a table, so that the export never searches again."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pandas
import shapely
from shapely.geometry.base import BaseGeometry

from cropflow.errors import CropflowError
from cropflow.files.tables import read_table, write_table
from cropflow.imagery.scenes import Scene

# Parameters in which services hand out rights: shared access signatures, S3, Google and CloudFront signatures, keys.
SECRET_KEYS = frozenset(
    {"sig", "signature", "token", "access_token", "key", "api_key", "apikey", "subscription-key", "awsaccesskeyid",
     "googleaccessid", "key-pair-id", "policy", "expires", "se", "sp", "sv", "st", "sr", "skoid", "password"}
)  # fmt: skip
SECRET_PREFIXES = ("x-amz-", "x-goog-")
TEXTS = ("id", "platform", "tile", "baseline", "made", "source", "sensor", "radiometry", "unit")


def write_found(path: Path, scenes: Iterable[Scene]) -> None:
    """Write scenes as parquet, in the order given; outlines as WKB, layers as JSON.

    Raises:
        CropflowError: If the address of a layer carries a signature, which would end in the results and run out.
    """
    rows = []
    for scene in scenes:
        for layer, address in scene.layers.items():
            _refuse_secret(scene.id, layer, address)
        rows.append(
            {name: getattr(scene, name) for name in TEXTS}
            | {
                "time": scene.time.astimezone(datetime.UTC).isoformat(),
                "relative_orbit": scene.relative_orbit,
                "cloud_percent": scene.cloud_percent,
                "extent": None if scene.extent is None else shapely.to_wkb(scene.extent),
                "outline": None if scene.outline is None else shapely.to_wkb(scene.outline),
                "layers": json.dumps(dict(scene.layers)),
            }
        )
    columns = [*TEXTS, "time", "relative_orbit", "cloud_percent", "extent", "outline", "layers"]
    table = pandas.DataFrame(rows, columns=columns)
    write_table(path, table.astype({"relative_orbit": "int64", "cloud_percent": "float64"}))


def read_found(path: Path) -> list[Scene]:
    """Read the scenes that :func:`write_found` wrote, in its order.

    Raises:
        CropflowError: If the file is missing or is no such table.
    """
    columns = [*TEXTS, "time", "relative_orbit", "cloud_percent", "extent", "outline", "layers"]
    return [
        Scene(
            **{name: str(row[name]) for name in TEXTS},
            time=datetime.datetime.fromisoformat(row["time"]).astimezone(datetime.UTC),
            relative_orbit=int(row["relative_orbit"]),
            cloud_percent=float(row["cloud_percent"]),
            extent=_geometry(row["extent"]),
            outline=_geometry(row["outline"]),
            layers=json.loads(row["layers"]),
        )
        for row in read_table(path, columns).to_dict("records")
    ]


def _geometry(wkb: bytes | None) -> BaseGeometry | None:
    return None if wkb is None else shapely.from_wkb(wkb)


def _refuse_secret(scene: str, layer: str, address: str) -> None:
    keys = {key.lower() for key, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
    secret = sorted(key for key in keys if key in SECRET_KEYS or key.startswith(SECRET_PREFIXES))
    if secret:
        raise CropflowError(
            f"The address of layer {layer} of scene {scene} carries {secret[0]!r}, as signatures do; expected a plain "
            "address, signed when it is read. Name the service as imagery.<name>.provider, or take records without "
            "signatures."
        )
