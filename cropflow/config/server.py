"""What Earth Engine can composite itself, and what it cannot."""

from __future__ import annotations

from collections.abc import Iterator

from cropflow.config.imagery import Imagery, Series


def refused_option(name: str, series: Series, imagery_name: str, imagery: Imagery) -> str | None:
    """Name the first option that composites of the server cannot have, in one line; None where all are possible.

    Args:
        name: Name of the series.
        series: The series.
        imagery_name: Name of the imagery.
        imagery: The imagery; nothing is refused where its scenes are composited here.
    """
    if imagery.reduce != "server":
        return None
    for key, value, expected in _wrong(f"series.{name}", series, f"imagery.{imagery_name}", imagery):
        return (
            f"{key} is {value!r}, which imagery.{imagery_name}.reduce 'server' cannot do; expected {expected}. Change "
            "it, or set reduce to 'local'"
        )
    return None


def _wrong(series_key: str, series: Series, imagery_key: str, imagery: Imagery) -> Iterator[tuple[str, object, str]]:
    """Every such option: key, value, what is possible."""
    mask = series.mask
    checks: tuple[tuple[bool, str, object, str], ...] = (
        (imagery.sensors == ("sentinel2",), f"{imagery_key}.sensors", list(imagery.sensors), "sentinel2 alone"),
        (not imagery.cloud_score, f"{imagery_key}.cloud_score", imagery.cloud_score, "false"),
        (series.period != "acquisitions", f"{series_key}.period", series.period, "periods of a calendar"),
        (series.window is None, f"{series_key}.window", _shown(series.window), "none"),
        (series.statistic in ("median", "mean"), f"{series_key}.statistic", series.statistic, "median or mean"),
        (series.pair == "mean", f"{series_key}.pair", series.pair, "mean"),
        (not mask.tiered, f"{series_key}.mask.tiered", mask.tiered, "false"),
        (mask.erode_m == 0, f"{series_key}.mask.erode_m", mask.erode_m, "0"),
        (mask.dilate_m == 0, f"{series_key}.mask.dilate_m", mask.dilate_m, "0"),
        (not mask.shadows, f"{series_key}.mask.shadows", mask.shadows, "false"),
        (mask.cloud_score is None, f"{series_key}.mask.cloud_score", mask.cloud_score, "none"),
    )
    for possible, key, value, expected in checks:
        if not possible:
            yield key, value, expected


def _shown(section: object) -> object:
    return section.model_dump(mode="json") if hasattr(section, "model_dump") else section
