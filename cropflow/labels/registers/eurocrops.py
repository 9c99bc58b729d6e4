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

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow
import pyarrow.compute as pc

from cropflow.config.registers import Register
from cropflow.errors import CropflowError, listing
from cropflow.labels.archives import VECTOR_SUFFIXES, unpacked
from cropflow.labels.parcels import stripped
from cropflow.labels.registers.columns import Wanted, names
from cropflow.labels.registers.frame import column_among, columns_of
from cropflow.labels.registers.geoparquet import SUFFIXES, geoparquet_columns, is_geoparquet, stream_geoparquet
from cropflow.labels.registers.hcat_findings import Findings
from cropflow.labels.registers.national import read_national, to_hcat
from cropflow.labels.registers.stream import ParcelStream, by_value
from cropflow.labels.registers.vector import choose_layer, stream_columns

CODES = ("EC_hcat_c", "hcat:code", "ec:hcat_code")
NAMES = ("EC_hcat_n", "hcat:name", "ec:hcat_name")


@contextmanager
def stream(source: Path, season: str, settings: Register) -> Iterator[ParcelStream]:
    """Read a file with HCAT codes or names; see :class:`cropflow.labels.registers.Reader`.

    Yields:
        Beside the usual columns ``hcat_name``, the name that the row carries, missing where the file has none; with a
        national table the name beside the code there, and ``national``, what the register itself says. Findings: see
        :meth:`.hcat_findings.Findings.result`.
    """
    table = None
    if settings.national is not None:
        table = read_national(Path(settings.national.path), settings.national.key)

    def as_hcat(piece: pyarrow.Table) -> pyarrow.Table:
        return _with_names(piece) if table is None else to_hcat(_with_names(piece), table)

    found = Findings()
    with _opened(source, season, settings) as parcels:
        pieces = (found.noted(as_hcat(piece), parcels.crs) for piece in parcels.pieces)
        yield replace(parcels, pieces=pieces, findings=found.result)


@contextmanager
def _opened(source: Path, season: str, settings: Register) -> Iterator[ParcelStream]:
    columns, about = settings.columns, settings.files.get(season)
    code_names = CODES if columns is None else (columns.crop_code,)
    identity = () if columns is None else names(columns.parcel_id)
    layer, encoding = (about.layer, about.encoding) if about else (None, None)
    with ExitStack() as open_:
        file = open_.enter_context(unpacked(source, member=layer, suffixes=(*VECTOR_SUFFIXES, *SUFFIXES)))
        if is_geoparquet(file):
            wanted = _wanted(file, geoparquet_columns(file), code_names, identity)
            yield open_.enter_context(stream_geoparquet(file, wanted))
        else:
            chosen = choose_layer(file, layer)
            wanted = _wanted(file, columns_of(file, chosen), code_names, identity)
            yield open_.enter_context(stream_columns(file, chosen, wanted, encoding))


def _wanted(file: Path, fields: list[str], code_names: tuple[str, ...], identity: tuple[str, ...]) -> Wanted:
    """The columns to read: of codes and of names, of which one at least is there."""
    code, name = column_among(fields, code_names), column_among(fields, NAMES)
    if code is None and name is None:
        raise CropflowError(
            f"{file.name} has no column of HCAT codes ({listing(code_names)}) or names ({listing(NAMES)}); it has: "
            f"{listing(fields, 40) or 'none'}. Name the column as registers.<name>.columns.crop_code, or take reader "
            "vector for national codes."
        )
    return Wanted((code or name or "",), identity, {"hcat_name": NAMES if name is None else (name,)})


def _with_names(piece: pyarrow.Table) -> pyarrow.Table:
    """Put the name in the place of the code where a row has none."""
    codes = piece["crop_code"].combine_chunks()
    # A code of zero stands for "none" where a file keeps its codes as numbers.
    absent = pc.fill_null(by_value(codes, lambda texts: stripped(texts).isin(["", "0"])).cast(pyarrow.bool_()), True)
    named = pc.if_else(absent, piece["hcat_name"].combine_chunks(), codes)
    return piece.set_column(piece.schema.get_field_index("crop_code"), "crop_code", named)
