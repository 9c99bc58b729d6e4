"""Charts of the page, drawn with Matplotlib as SVG inside the page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from cropflow.report.images import data_uri

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#2b2b2b"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    # The same figure gives the same bytes.
    "svg.hashsalt": "cropflow",
    "svg.fonttype": "path",
}


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


def learning_curves(histories: Mapping[int, Sequence[Mapping[str, float]]]) -> str:
    """Training and validation loss per epoch, one colour per fold."""
    figure, axes = _figure(6.4, 3.2)
    colours = matplotlib.colormaps["tab10"]
    for fold, rows in sorted(histories.items()):
        epochs = [row["epoch"] + 1 for row in rows]
        axes.plot(epochs, [row["train_loss"] for row in rows], color=colours(fold % 10), alpha=0.45, linestyle="--")
        losses = [row["validation_loss"] for row in rows]
        axes.plot(epochs, losses, color=colours(fold % 10), label=f"fold {fold}")
        defined = [loss for loss in losses if not np.isnan(loss)]
        if defined:
            best = losses.index(min(defined))
            axes.plot(epochs[best], losses[best], "o", color=colours(fold % 10), markersize=5)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (dashed: training)")
    axes.legend(frameon=False, ncols=2)
    return _svg(figure)


def confusion_matrix(matrix: NDArray[np.float64], names: Sequence[str]) -> str:
    """Row-normalised confusion matrix; the number is the percentage of the row's truth.

    Args:
        matrix: ``(truth, predicted)``.
        names: Class names of rows and columns.
    """
    size = max(3.6, 0.36 * len(names) + 1.6)
    figure, axes = _figure(size + 0.6, size)
    rows = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, rows, out=np.zeros_like(matrix), where=rows > 0)
    axes.imshow(share, cmap="Greens", vmin=0, vmax=1, aspect="equal")
    for row, column in zip(*np.nonzero(share >= 0.005), strict=True):
        value = share[row, column]
        colour = "white" if value > 0.6 else INK
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7, color=colour)
    labels = [f"{name} ({rows[index, 0]:,.0f})" for index, name in enumerate(names)]
    axes.set_yticks(range(len(names)), labels)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth (parcels)")
    return _svg(figure)


def ndvi_curves(
    periods: Sequence[str],
    curves: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]],
    colours: Mapping[str, tuple[int, int, int]],
) -> str:
    """Median NDVI per crop over the season with its quartiles.

    Args:
        periods: ISO start dates.
        curves: Crop name -> lower quartile, median, upper quartile, each ``(period,)``, NaN where unknown.
        colours: Crop name -> RGB, 0..255.
    """
    columns = min(4, max(1, len(curves)))
    rows = -(-len(curves) // columns)
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2.4 * columns, 1.75 * rows + 0.3), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    months = [period[5:7] for period in periods]
    for axes in grid.flat[len(curves) :]:
        axes.set_visible(False)
    for axes, (name, (low, middle, high)) in zip(grid.flat, curves.items(), strict=False):
        colour = tuple(channel / 255 for channel in colours.get(name, (90, 90, 90)))
        dark = tuple(0.75 * channel for channel in colour)
        axes.fill_between(range(len(months)), low, high, color=colour, alpha=0.35, linewidth=0)
        axes.plot(range(len(months)), middle, color=dark, linewidth=1.6)
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_ylim(0, 1)
        axes.set_xticks(range(0, len(months), 2), months[::2])
    figure.supxlabel("month", fontsize=9)
    figure.supylabel("NDVI (median, quartiles)", fontsize=9)
    return _svg(figure)


def clear_observations(
    periods: Sequence[str], quartiles: NDArray[np.float64], filled: NDArray[np.float64], empty: NDArray[np.float64]
) -> str:
    """Clear observations per period, and the share of pixels that were filled or stayed without a value.

    Args:
        periods: ISO start dates.
        quartiles: ``(3, period)``: lower quartile, median and upper quartile of the count.
        filled: Share of pixels per period that were interpolated, [0, 1].
        empty: Share of pixels per period without a value, [0, 1].
    """
    figure, axes = _figure(6.4, 2.6)
    positions = np.arange(len(periods))
    axes.bar(positions, quartiles[1], color="#7aa874", width=0.6)
    axes.vlines(positions, quartiles[0], quartiles[2], color="#3c5a38", linewidth=1.5)
    axes.set_ylabel("clear observations")
    axes.set_xticks(positions, [period[:7] for period in periods], rotation=45, ha="right")
    shares = axes.twinx()
    shares.plot(positions, 100 * filled, "o--", color="#c0722f", markersize=4, label="filled")
    shares.plot(positions, 100 * empty, "s--", color="#b3261e", markersize=4, label="no value")
    shares.set_ylim(0, 100)
    shares.set_ylabel("pixels (%)")
    shares.legend(frameon=False, loc="upper right")
    return _svg(figure)
