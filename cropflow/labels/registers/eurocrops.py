"""EuroCrops and other registers that carry HCAT, the European taxonomy of crops, whatever the country.

The releases of EuroCrops have the columns EC_hcat_c (ten-digit code), EC_hcat_n (name) and EC_trans_n (the national
name in English) beside those of the country; fiboa files call the first two hcat:code and hcat:name, earlier
ec:hcat_code and ec:hcat_name. A national file without them is read by the country's table, which EuroCrops publishes.

The code is taken; where a file or a row has none, the name. Published files hold codes with blanks around them, and
codes beside names of another crop: both are reported, with parcels and hectares.

Source: Schneider et al. (2023), EuroCrops, https://doi.org/10.1038/s41597-023-02517-0;
https://github.com/fiboa/hcat-extension.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from cropflow.config.registers import Register
from cropflow.errors import CropflowError, listing
from cropflow.labels.archives import unpacked
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.labels.counts import count, count_by, count_rows, rounded_ha
from cropflow.labels.hierarchy import LARGEST_ID
from cropflow.labels.legend import read_legend, read_table
from cropflow.labels.parcels import stripped
from cropflow.labels.registers.frame import column_among, columns_of, read_frame, text_of
from cropflow.labels.registers.national import read_national, to_hcat
from cropflow.labels.registers.vector import choose_layer
from cropflow.labels.tables import OUT_OF_SCOPE

logger = logging.getLogger(__name__)

CODES = ("EC_hcat_c", "hcat:code", "ec:hcat_code")
NAMES = ("EC_hcat_n", "hcat:name", "ec:hcat_name")
GEOPARQUET = (".parquet", ".geoparquet")
# The legend that tells which name a code has: HCAT itself.
TAXONOMY = "hcat"
TABLE = "eurocrops"


def read(source: Path, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read a file with HCAT codes or names; see :class:`cropflow.labels.registers.Reader`.

    Returns:
        Beside the usual columns ``hcat_name``, the name that the row carries, missing where the file has none; with a
        national table the name beside the code there, and ``national``, what the register itself says.
    """
    parcels = _read(source, season, settings)
    if settings.national is None:
        return parcels
    return to_hcat(parcels, read_national(Path(settings.national.path), settings.national.key))


def _read(source: Path, season: str, settings: Register) -> geopandas.GeoDataFrame:
    columns = settings.columns
    code_names = CODES if columns is None else (columns.crop_code,)
    id_names = () if columns is None or columns.parcel_id is None else (columns.parcel_id,)
    layer = settings.files[season].layer if season in settings.files else None
    if source.suffix.lower() in GEOPARQUET:
        return _read_geoparquet(source, code_names, id_names)
    with unpacked(source, member=layer) as file:
        chosen = choose_layer(file, layer)
        code, name = _columns(file, columns_of(file, chosen), code_names)
        further = {"hcat_name": NAMES if name is None else (name,)}
        return _with_names(read_frame(file, chosen, (code or name or "",), id_names, further))


def _columns(file: Path, fields: list[str], code_names: tuple[str, ...]) -> tuple[str | None, str | None]:
    """The columns of codes and of names, of which one at least is there."""
    code, name = column_among(fields, code_names), column_among(fields, NAMES)
    if code is None and name is None:
        raise CropflowError(
            f"{file.name} has no column of HCAT codes ({listing(code_names)}) or names ({listing(NAMES)}); it has: "
            f"{listing(fields, 40) or 'none'}. Name the column as registers.<name>.columns.crop_code, or take reader "
            "vector for national codes."
        )
    return code, name


def _read_geoparquet(source: Path, code_names: tuple[str, ...], id_names: tuple[str, ...]) -> geopandas.GeoDataFrame:
    try:
        fields = list(pyarrow.parquet.read_schema(source).names)
        code, name = _columns(source, fields, code_names)
        identity = next((field for field in fields if field in id_names), None)
        if id_names and identity is None:
            raise CropflowError(f"{source.name} has no column {id_names[0]!r}; it has: {listing(fields, 40)}.")
        wanted = dict.fromkeys(column for column in (code, name, identity) if column is not None)
        geometry = _geometry_column(source)
        table = geopandas.read_parquet(source, columns=[*wanted, geometry])
    except (pyarrow.ArrowException, OSError) as error:
        raise CropflowError(f"{source.name} is damaged or no GeoParquet ({error}); fetch it again.") from None
    if table.crs is None:
        raise CropflowError(
            f"{source.name} has no CRS; parcels cannot be placed. Declare it where the file is written."
        )
    numbers = pandas.Series([str(number + 1) for number in range(len(table))], dtype="str")
    nothing = pandas.Series(pandas.NA, index=table.index, dtype="str")
    parcels = geopandas.GeoDataFrame(
        {
            "parcel_id": numbers if identity is None else text_of(table[identity]).fillna("row" + numbers),
            "crop_code": text_of(table[code or name]),
            "hcat_name": nothing if name is None else text_of(table[name]),
        },
        geometry=table.geometry.to_numpy(),
        crs=table.crs,
    )
    return _with_names(parcels)


def _geometry_column(source: Path) -> str:
    header = (pyarrow.parquet.read_schema(source).metadata or {}).get(b"geo")
    if header is None:
        raise CropflowError(f"{source.name} is no GeoParquet (no 'geo' metadata); write it with GDAL or GeoPandas.")
    return str(json.loads(header)["primary_column"])


def _with_names(parcels: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Put the name in the place of the code where a row has none."""
    codes = stripped(parcels["crop_code"])
    # A code of zero stands for "none" where a file keeps its codes as numbers.
    absent = codes.isna() | codes.isin(["", "0"])
    return parcels.assign(crop_code=parcels["crop_code"].mask(absent, parcels["hcat_name"]))


def findings(parcels: geopandas.GeoDataFrame) -> dict[str, Any]:
    """What is wrong with the codes and names of the parcels as read.

    Args:
        parcels: As :func:`read` returns them.

    Returns:
        ``named_only``: parcels that carry a name and no code; ``codes_with_blanks`` (code as written, blanks shown by
        ``repr`` -> parcels, hectares); ``contradictions``: pairs of code and name whose crops in HCAT differ, the
        largest first, with both crops, parcels and hectares; ``names_of_one_code``: codes (without blanks) that stand
        beside several names, with the names.
    """
    raw, codes, names = parcels["crop_code"], stripped(parcels["crop_code"]), stripped(parcels["hcat_name"])
    blank = ((codes != raw) & raw.notna()).to_numpy(dtype=bool)
    pairs = pandas.DataFrame({"code": codes, "name": names})
    both = pairs[codes.notna() & names.notna() & (codes != names)]
    read_as = _crops(pairs)
    wrong = read_as["contradict"].to_numpy(dtype=bool)
    result: dict[str, Any] = {
        "named_only": int((codes == names).sum()),
        "codes_with_blanks": {
            repr(code): number.as_json() for code, number in count_by(raw[blank], _area_ha(parcels[blank])).items()
        },
        "contradictions": _contradictions(read_as[wrong], _area_ha(parcels[wrong])),
        "names_of_one_code": {
            str(code): sorted(found) for code, found in both.groupby("code")["name"].unique().items() if len(found) > 1
        },
    }
    if blank.any():
        logger.warning("%s have a code with blanks around it", count(_area_ha(parcels[blank])))
    if wrong.any():
        told = listing(f"{row['code']} beside {row['name']}" for row in result["contradictions"])
        logger.warning("%s have a code and a name of different crops: %s", count(_area_ha(parcels[wrong])), told)
    return result


def _area_ha(parcels: geopandas.GeoDataFrame) -> NDArray[np.float64]:
    """Hectares, in the unit in which parcels are counted; 0 where an outline cannot be measured."""
    area_ha = ellipsoidal_area_ha(parcels.geometry)
    return rounded_ha(np.where(np.isfinite(area_ha), area_ha, 0.0))


def _crops(pairs: pandas.DataFrame) -> pandas.DataFrame:
    """The HCAT crops of codes and names, and whether both are known and differ."""
    table, legend = read_table(TAXONOMY, TABLE), read_legend(TAXONOMY)
    # A code or name that the table does not know is reported when codes are mapped.
    crops_alone = {key: id for key, id in table.items() if OUT_OF_SCOPE < id <= LARGEST_ID}
    ids = {column: pairs[column].map(crops_alone).fillna(OUT_OF_SCOPE).astype(int) for column in ("code", "name")}
    contradict = (ids["code"] != ids["name"]) & (ids["code"] != OUT_OF_SCOPE) & (ids["name"] != OUT_OF_SCOPE)
    crops = {
        f"crop_of_{column}": found.map(lambda id: legend.name(id) if id != OUT_OF_SCOPE else "")
        for column, found in ids.items()
    }
    return pairs.assign(**crops, contradict=contradict)


def _contradictions(rows: pandas.DataFrame, area_ha: NDArray[np.float64]) -> list[dict[str, Any]]:
    counted = count_rows(rows[["code", "name", "crop_of_code", "crop_of_name"]], area_ha)
    return sorted(counted, key=lambda row: (-row["hectares"], row["code"], row["name"]))
