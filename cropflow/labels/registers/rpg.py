"""The French register, RPG (registre parcellaire graphique), as IGN ships it.

One GeoPackage or shapefile of parcels in Lambert-93, mostly inside a ``.7z`` or ``.7z.001``, beside
others that are no parcels (ILOTS_ANONYMES). Columns are upper-case up to 2021 and lower-case since.
Codes are short texts, and ``NA`` is not among the missing ones.

Source: IGN, "Registre parcellaire graphique, version 2.0, descriptif de contenu",
https://geoservices.ign.fr/documentation/donnees/vecteur/rpg.
"""

from __future__ import annotations

from pathlib import Path

import geopandas

from cropflow.config.registers import Register
from cropflow.labels.archives import unpacked
from cropflow.labels.registers.vector import choose_layer, read_columns

CODE_COLUMN = "CODE_CULTU"
ID_COLUMN = "ID_PARCEL"
PARCELS = "parcelles"


def read(source: Path, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read the parcels of an RPG delivery; see :class:`cropflow.labels.registers.Reader`."""
    layer = settings.files[season].layer if season in settings.files else None
    with unpacked(source, member=layer, prefer=PARCELS) as file:
        return read_columns(file, choose_layer(file, layer, prefer=PARCELS), (CODE_COLUMN,), (ID_COLUMN,))
