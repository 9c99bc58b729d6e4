"""What is wrong with the HCAT codes and names of a register, counted while its pieces go by."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from typing import Any

import geopandas
import numpy as np
import pandas
import pyarrow
import pyproj
from numpy.typing import NDArray

from cropflow.errors import listing
from cropflow.labels.area import ellipsoidal_area_ha
from cropflow.labels.counts import Count, count, rounded_ha, total
from cropflow.labels.hierarchy import LARGEST_ID
from cropflow.labels.legend import read_legend, read_table
from cropflow.labels.parcels import stripped
from cropflow.labels.registers.stream import decoded
from cropflow.labels.tables import OUT_OF_SCOPE

logger = logging.getLogger(__name__)

# The legend that tells which name a code has: HCAT itself.
TAXONOMY = "hcat"
TABLE = "eurocrops"


@dataclass(frozen=True)
class _Pair:
    """A code and a name as a row writes them, without blanks; empty where there is none.

    Attributes:
        code: The code.
        name: The name.
        blank: True where the code has blanks around it.
        crops: The HCAT crops of both, where they are known and differ.
    """

    code: str
    name: str
    blank: bool
    crops: tuple[str, str] | None


class Findings:
    """Codes and names that contradict each other, carry blanks, or stand alone."""

    def __init__(self) -> None:
        """Begin with nothing found."""
        self._named_only = 0
        self._blanks: dict[str, Count] = {}
        self._wrong: dict[tuple[str, str, str, str], Count] = {}
        self._names: dict[str, set[str]] = {}

    def noted(self, piece: pyarrow.Table, crs: pyproj.CRS) -> pyarrow.Table:
        """Look at a piece and hand it on as it is.

        Args:
            piece: ``crop_code`` and ``hcat_name`` string, may be missing; ``geometry`` WKB, may be missing.
            crs: Of the geometries.
        """
        texts = piece.select(["crop_code", "hcat_name"]).to_pandas()
        for (code, name), rows in texts.groupby(["crop_code", "hcat_name"], dropna=False, sort=False).indices.items():
            self._note(_judged(_text(code), _text(name)), repr(code), piece["geometry"], rows, crs)
        return piece

    def _note(
        self, pair: _Pair, written: str, wkb: pyarrow.ChunkedArray, rows: NDArray[np.int64], crs: pyproj.CRS
    ) -> None:
        if pair.code == pair.name:
            self._named_only += len(rows) if pair.code else 0
        elif pair.code and pair.name:
            self._names.setdefault(pair.code, set()).add(pair.name)
        if not pair.blank and pair.crops is None:
            return
        counted = count(_area_ha(wkb.take(pyarrow.array(rows)), crs))
        if pair.blank:
            self._blanks[written] = self._blanks.get(written, Count()) + counted
        if pair.crops is not None:
            key = (pair.code, pair.name, *pair.crops)
            self._wrong[key] = self._wrong.get(key, Count()) + counted

    def result(self) -> dict[str, Any]:
        """What was found, told in the log as well.

        Returns:
            ``named_only``: parcels that carry a name and no code; ``codes_with_blanks`` (code as written, blanks shown
            by ``repr`` -> parcels, hectares); ``contradictions``: pairs of code and name whose crops in HCAT differ,
            the largest first, with both crops, parcels and hectares; ``names_of_one_code``: codes (without blanks) that
            stand beside several names, with the names.
        """
        wrong = sorted(self._wrong.items(), key=lambda item: (-item[1].millionths, item[0]))
        if self._blanks:
            logger.warning("with blanks around their codes: %s", total(self._blanks.values()))
        if wrong:
            told = listing(f"{code} beside {name}" for (code, name, *_), _ in wrong)
            logger.warning("with a code and a name of different crops: %s: %s", total(self._wrong.values()), told)
        return {
            "named_only": self._named_only,
            "codes_with_blanks": {code: number.as_json() for code, number in sorted(self._blanks.items())},
            "contradictions": [
                dict(zip(("code", "name", "crop_of_code", "crop_of_name"), key, strict=True)) | number.as_json()
                for key, number in wrong
            ],
            "names_of_one_code": {code: sorted(names) for code, names in sorted(self._names.items()) if len(names) > 1},
        }


def _text(value: Any) -> str | None:
    return None if pandas.isna(value) else str(value)


@cache
def _judged(code: str | None, name: str | None) -> _Pair:
    plain = stripped(pandas.Series([code, name], dtype="str")).fillna("").tolist()
    known = [_crops().get(text) for text in plain]
    crops = (known[0], known[1]) if known[0] is not None and known[1] is not None and known[0] != known[1] else None
    return _Pair(plain[0], plain[1], code is not None and code != plain[0], crops)


@cache
def _crops() -> dict[str, str]:
    """Code or name of HCAT -> name of its crop; what is no crop is left to the mapping of codes."""
    legend = read_legend(TAXONOMY)
    return {key: legend.name(id) for key, id in read_table(TAXONOMY, TABLE).items() if OUT_OF_SCOPE < id <= LARGEST_ID}


def _area_ha(wkb: pyarrow.ChunkedArray, crs: pyproj.CRS) -> NDArray[np.float64]:
    """Hectares, in the unit in which parcels are counted; 0 where an outline cannot be measured."""
    area_ha = ellipsoidal_area_ha(geopandas.GeoSeries(decoded(wkb)[0], crs=crs))
    return rounded_ha(np.where(np.isfinite(area_ha), area_ha, 0.0))
