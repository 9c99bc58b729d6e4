"""Charts of the page, drawn with Matplotlib as SVG inside the page."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from cropflow.report.images import Colour, data_uri
from cropflow.report.texts import month_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, SOFT, GRID = "#2b2b2b", "#6b7065", "#e4e5df"
# Okabe and Ito (2008): distinct for colour-blind readers too.
PALETTE = ("#00724f", "#d55e00", "#0072b2", "#b8578f", "#8a6d00", "#3d9bd1", "#444444")
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "text.color": INK,
    # Names of crops and experiments are names, never formulas.
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    # The same figure gives the same bytes.
    "svg.hashsalt": "cropflow",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Scored:
    """One row of scores in the comparison.

    Attributes:
        name: Name of the experiment or of the reference.
        values: Metric -> score, None where undefined.
        intervals: Metric -> lower and upper bound, None where there is none.
        reference: True for what is no model of this project: majority class, ceiling.
        parcels: Parcels that it is scored on, None where unknown.
    """

    name: str
    values: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float] | None]
    reference: bool = False
    parcels: float | None = None


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def _svg(figure: Figure) -> str:
    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return data_uri(stream.getvalue(), "image/svg+xml")


def _key(figure: Figure, columns: int) -> None:
    """The key above the axes, where it covers nothing."""
    figure.legend(loc="outside upper left", ncols=columns, fontsize=8.5, handlelength=1.6, columnspacing=1.4)


def compare_scores(metrics: Mapping[str, str], rows: Sequence[Scored]) -> str:
    """Scores side by side: a dot per experiment with its interval, hollow marks for references.

    Args:
        metrics: Metric -> title, from top to bottom.
        rows: Experiments and references.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(5.0, (0.26 + 0.1 * len(rows)) * len(metrics) + 0.9)
        offsets = np.linspace(-0.28, 0.28, len(rows)) if len(rows) > 1 else np.zeros(1)
        lowest = 0.0
        for order, (row, offset) in enumerate(zip(rows, offsets, strict=True)):
            colour = SOFT if row.reference else PALETTE[order % len(PALETTE)]
            known = [(y, value) for y, key in enumerate(metrics) if (value := row.values.get(key)) is not None]
            lowest = min([lowest, *(value for _, value in known)])
            for y, key in enumerate(metrics):
                if interval := row.intervals.get(key):
                    axes.plot(interval, [y + offset] * 2, color=colour, linewidth=2, alpha=0.5, solid_capstyle="round")
            marker = ("D", "s", "^", "v")[order % 4] if row.reference else "o"
            axes.plot(
                [value for _, value in known],
                [y + offset for y, _ in known],
                marker,
                color=colour,
                markerfacecolor="white" if row.reference else colour,
                markersize=5,
                label=row.name,
            )
        axes.set_yticks(range(len(metrics)), list(metrics.values()))
        axes.set_ylim(len(metrics) - 0.5, -0.5)
        axes.set_xlim(min(0.0, lowest) - 0.02, 1.02)
        axes.grid(axis="x", color=GRID)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("score on held-out parcels; lines are intervals")
        _key(figure, 1)
        return _svg(figure)


def learning_curves(
    histories: Mapping[int, Sequence[Mapping[str, float]]],
    best: Mapping[int, int],
    score: str = "balanced accuracy",
) -> list[str]:
    """Loss, and balanced accuracy on the validation fold, per epoch; one colour per fold.

    Args:
        histories: Fold -> rows of ``history.csv``; NaN where undefined.
        best: Fold -> epoch whose weights were kept.
        score: What the page calls balanced accuracy.
    """
    loss = _curves(histories, best, "validation_loss", "loss (dashed: training)", dashed="train_loss")
    accuracy = _curves(histories, best, "validation_balanced_accuracy", f"{score}, validation")
    return [picture for picture in (loss, accuracy) if picture]


def _curves(
    histories: Mapping[int, Sequence[Mapping[str, float]]],
    best: Mapping[int, int],
    column: str,
    title: str,
    dashed: str = "",
) -> str:
    drawn = [key for key in (column, dashed) if key]
    known = [row.get(key, math.nan) for rows in histories.values() for row in rows for key in drawn]
    if all(math.isnan(value) for value in known):
        return ""
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(4.6, 2.9)
        for fold, rows in sorted(histories.items()):
            colour = PALETTE[fold % len(PALETTE)]
            epochs = [row["epoch"] for row in rows]
            if dashed:
                training = [row.get(dashed, math.nan) for row in rows]
                axes.plot(epochs, training, color=colour, alpha=0.45, linewidth=1.1, linestyle="--")
            values = [row.get(column, math.nan) for row in rows]
            axes.plot(epochs, values, color=colour, linewidth=1.6, label=f"fold {fold}")
            if fold in best and best[fold] in epochs:
                axes.plot(best[fold], values[epochs.index(best[fold])], "o", color=colour, markersize=6)
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color=GRID)
        _key(figure, 5)
        return _svg(figure)


def ndvi_curve(
    periods: Sequence[str],
    quartiles: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    colour: Colour,
) -> str:
    """Median NDVI of one crop over the season with its quartiles.

    Args:
        periods: ISO start dates.
        quartiles: Lower quartile, median, upper quartile, each ``(period,)``, NaN where unknown.
        colour: RGB, 0..255.
    """
    low, middle, high = quartiles
    fill = tuple(channel / 255 for channel in colour)
    # Light crops would vanish on white.
    line = tuple(0.62 * channel for channel in fill)
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(2.9, 1.75)
        places = np.arange(len(periods))
        axes.fill_between(places, low, high, color=fill, alpha=0.4, linewidth=0)
        axes.plot(places, middle, "o-", color=line, linewidth=1.6, markersize=2.5)
        axes.set_ylim(-0.05, 1)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
        axes.grid(axis="y", color=GRID)
        axes.set_xticks(places, [label[:1] for label in month_labels(periods)], fontsize=8)
        return _svg(figure)


def backscatter_curve(periods: Sequence[str], bands: Mapping[str, NDArray[np.float64]], colour: Colour) -> str:
    """Mean backscatter of one crop over the season: VV as a line, VH dashed.

    Args:
        periods: ISO start dates.
        bands: Band -> dB, ``(period,)``, NaN where unknown.
        colour: RGB, 0..255.
    """
    line = tuple(0.62 * channel / 255 for channel in colour)
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(2.9, 1.75)
        places = np.arange(len(periods))
        for band, decibels in bands.items():
            axes.plot(
                places, decibels, "o--" if band.startswith("VH") else "o-", color=line, linewidth=1.6, markersize=2.5
            )
        axes.set_ylim(-28, -2)
        axes.set_yticks([-25, -20, -15, -10, -5], ["-25", "", "-15", "", "-5"])
        axes.grid(axis="y", color=GRID)
        axes.set_xticks(places, [label[:1] for label in month_labels(periods)], fontsize=8)
        return _svg(figure)


def observations_chart(
    periods: Sequence[str], quartiles: NDArray[np.float64], scenes: NDArray[np.float64], what: str
) -> str:
    """Observations per pixel and period, beside the scenes that were taken.

    Args:
        periods: ISO start dates.
        quartiles: ``(3, period)``: lower quartile, median and upper quartile of the count.
        scenes: Scenes of a site, mean over sites, ``(period,)``.
        what: What is counted.
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(4.6, 2.3)
        places = np.arange(len(periods))
        axes.bar(places, quartiles[1], color="#7aa874", width=0.62, label="median")
        axes.vlines(places, quartiles[0], quartiles[2], color="#274d25", linewidth=2.2, label="quartiles")
        axes.plot(places, scenes, "D", color=SOFT, markerfacecolor="white", markersize=4, label="scenes of a site")
        axes.set_ylabel(what)
        axes.set_ylim(0, max(1.0, float(quartiles.max()), float(scenes.max(initial=0.0))) * 1.08)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_xticks(places, month_labels(periods), fontsize=7.5)
        axes.grid(axis="y", color=GRID)
        _key(figure, 3)
        return _svg(figure)


def pixel_shares(periods: Sequence[str], filled: NDArray[np.float64], empty: NDArray[np.float64]) -> str:
    """How many pixels were seen, interpolated or left without a value in each period.

    Args:
        periods: ISO start dates.
        filled: Share of pixels interpolated, ``(period,)``, [0, 1].
        empty: Share of pixels without a value, ``(period,)``, [0, 1].
    """
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(4.6, 2.3)
        places = np.arange(len(periods))
        bottom = np.zeros(len(periods))
        parts = {"seen": (1 - filled - empty, "#7aa874"), "filled": (filled, "#e0a458"), "no value": (empty, "#8c2d2d")}
        for name, (share, colour) in parts.items():
            axes.bar(places, 100 * share, bottom=100 * bottom, color=colour, width=0.62, label=name)
            bottom = bottom + share
        axes.set_ylim(0, 100)
        axes.set_ylabel("pixels (%)")
        axes.set_xticks(places, month_labels(periods), fontsize=7.5)
        _key(figure, 3)
        return _svg(figure)
