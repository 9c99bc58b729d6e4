"""The French register, RPG (registre parcellaire graphique), as IGN ships it.

One GeoPackage or shapefile of parcels in Lambert-93, mostly inside a ``.7z`` or ``.7z.001``, beside
others that are no parcels (ILOTS_ANONYMES). Columns are upper-case up to 2021 and lower-case since.
Codes are short texts, and ``NA`` is not among the missing ones.

Source: IGN, "Registre parcellaire graphique, version 2.0, descriptif de contenu",
https://geoservices.ign.fr/documentation/donnees/vecteur/rpg.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cropflow.config.registers import Register
from cropflow.labels.archives import unpacked
from cropflow.labels.registers.columns import Wanted
from cropflow.labels.registers.stream import ParcelStream
from cropflow.labels.registers.vector import choose_layer, stream_columns

# Crops grown beside the main one, or after it, are codes of another list.
COLUMNS = Wanted(
    code=("CODE_CULTU",),
    identity=("ID_PARCEL",),
    further={"crop_code_2": ("CULTURE_D1",), "crop_code_3": ("CULTURE_D2",)},
)
PARCELS = "parcelles"


@contextmanager
def stream(source: Path, season: str, settings: Register) -> Iterator[ParcelStream]:
    """Read the parcels of an RPG delivery; see :class:`cropflow.labels.registers.Reader`.

    Further columns: ``crop_code_2`` and ``crop_code_3``, the declared second crops, missing where there is none.
    """
    about = settings.files.get(season)
    layer = about.layer if about else None
    with (
        unpacked(source, member=layer, prefer=PARCELS) as file,
        stream_columns(
            file, choose_layer(file, layer, prefer=PARCELS), COLUMNS, about.encoding if about else None
        ) as parcels,
    ):
        yield parcels
