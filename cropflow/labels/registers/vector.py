"""Any vector file as a register: a layer, a column of codes, perhaps a column of ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow
import pyogrio

from cropflow.config.registers import Register
from cropflow.errors import CropflowError, listing
from cropflow.labels.archives import VECTOR_SUFFIXES, unpacked
from cropflow.labels.registers.columns import Wanted, as_piece, checked_crs, names
from cropflow.labels.registers.encoding import declared_encoding
from cropflow.labels.registers.geoparquet import SUFFIXES, is_geoparquet, stream_geoparquet
from cropflow.labels.registers.stream import PIECE, ParcelStream

_UNREADABLE = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyarrow.ArrowException, OSError)


@contextmanager
def stream(source: Path, season: str, settings: Register) -> Iterator[ParcelStream]:
    """Read a register through the column mapping of its settings; see :class:`cropflow.labels.registers.Reader`."""
    if settings.columns is None:
        raise CropflowError("registers.<name>.columns is missing; reader vector needs columns.crop_code.")
    about = settings.files.get(season)
    layer = about.layer if about else None
    wanted = Wanted((settings.columns.crop_code,), names(settings.columns.parcel_id))
    with ExitStack() as open_:
        file = open_.enter_context(unpacked(source, member=layer, suffixes=(*VECTOR_SUFFIXES, *SUFFIXES)))
        if is_geoparquet(file):
            yield open_.enter_context(stream_geoparquet(file, wanted))
        else:
            chosen, encoding = choose_layer(file, layer), about.encoding if about else None
            yield open_.enter_context(stream_columns(file, chosen, wanted, encoding))


def _why(error: Exception) -> str:
    """The reason alone: GDAL adds advice for its own options, and says some things twice."""
    return str(error).split("; ")[0].rstrip(".")


def choose_layer(file: Path, layer: str | None, prefer: str = "") -> str:
    """Find the layer to read.

    Args:
        file: A vector file.
        layer: The layer asked for, where one is.
        prefer: Of several layers with geometry, the only one whose name contains this is taken.

    Raises:
        CropflowError: If the file is unreadable, or there is no such layer, or more than one.
    """
    try:
        found = [(str(name), kind) for name, kind in pyogrio.list_layers(file)]
    except _UNREADABLE as error:
        raise CropflowError(f"{file.name} cannot be read as a vector file ({_why(error)}); fetch it again.") from None
    if layer is not None:
        for name, _ in found:
            # In an archive of several files the layer may name the file, whose own layer has any name.
            if name == layer or (len(found) == 1 and layer.lower() == file.stem.lower()):
                return name
        known = listing(name for name, _ in found)
        raise CropflowError(
            f"{file.name} has no layer {layer!r}; it has: {known}. Correct `layer` of the register's file."
        )
    spatial = [name for name, kind in found if kind is not None]
    preferred = [name for name in spatial if prefer and prefer in name.lower()]
    for candidates in (spatial, preferred):
        if len(candidates) == 1:
            return candidates[0]
    known = listing(spatial) or "none"
    raise CropflowError(f"{file.name} has {len(spatial)} layers with geometry ({known}); name one as `layer`.")


@contextmanager
def stream_columns(
    file: Path, layer: str, wanted: Wanted, encoding: str | None = None, piece: int = PIECE
) -> Iterator[ParcelStream]:
    """Read codes, ids, geometries and perhaps further columns of a layer, piece by piece.

    Args:
        file: A vector file.
        layer: One of its layers.
        wanted: The columns.
        encoding: Of the file's text, where it does not say so itself, or says something wrong.
        piece: Rows of a piece.

    Raises:
        CropflowError: If a column or the CRS is missing, text has another encoding, or not every row can be read.
    """
    encoding = encoding or declared_encoding(file)
    try:
        about = pyogrio.read_info(file, layer=layer, encoding=encoding, force_feature_count=True)
    except _UNREADABLE as error:
        raise CropflowError(f"{file.name} is damaged ({_why(error)}); fetch it again.") from None
    found = wanted.among(file, [str(name) for name in about["fields"]])
    crs = checked_crs(file, about["crs"])
    with ExitStack() as open_:
        try:
            meta, reader = open_.enter_context(
                pyogrio.open_arrow(
                    file, layer=layer, columns=list(dict.fromkeys(found.values())), encoding=encoding,
                    batch_size=piece, use_pyarrow=True,
                )
            )  # fmt: skip
        except _UNREADABLE as error:
            raise CropflowError(f"{file.name} is damaged ({_why(error)}); fetch it again.") from None
        geometry = meta["geometry_name"] or "wkb_geometry"
        batches = _whole(file, reader, about["features"])
        pieces = (as_piece(file, batch, start, found, tuple(wanted.further), geometry) for start, batch in batches)
        yield ParcelStream(crs, pieces, about["features"])


def _whole(file: Path, reader: pyarrow.RecordBatchReader, features: int) -> Iterator[tuple[int, pyarrow.RecordBatch]]:
    """Batches with the number of their first row; an error where they end early."""
    rows = 0
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        except _UNREADABLE as error:
            raise CropflowError(f"{file.name} is damaged ({_why(error)}); fetch it again.") from None
        yield rows, batch
        rows += len(batch)
    if rows != features:
        raise CropflowError(f"{file.name} gave {rows} of {features} parcels; the file is damaged, fetch it again.")
