"""Every network at a size that trains in a second, and toy batches that a glance tells apart.

A new network adds a line to `SMALL`; the tests in test_zoo.py then hold it to what is asked of every network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cropflow.models import create
from cropflow.models.batch import NO_DATE, Batch, Series
from cropflow.models.network import Network

BANDS, CLASSES, SIDE, PIXELS = {"sentinel2": 3}, 3, 16, 6

UTAE = {"encoder_widths": (8, 8), "decoder_widths": (8, 8), "heads": 2, "keys": 2, "model_width": 16}


@dataclass(frozen=True)
class Small:
    """A network at small size.

    Attributes:
        settings: Keys of its section.
        bands: Sensors and their bands.
        inputs: Further keys of `Inputs`.
        periods: Dates that it is tried with; a network of any length takes all of them.
        rate: Adam's step that overfits eight samples within the steps of the test.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    bands: dict[str, int] = field(default_factory=lambda: dict(BANDS))
    inputs: dict[str, Any] = field(default_factory=dict)
    periods: tuple[int, ...] = (4, 7)
    rate: float = 0.01


SENSORS = {"sentinel2": 3, "sentinel1_descending": 2}
PARCELS = {"pixel_widths": (8,), "date_width": 8, "decoder_widths": (8,), "dropout": 0.0}
LTAE = {**PARCELS, "attention_dropout": 0.0, "attention_width": 16, "heads": 4, "key_size": 4, "width": 8}
TSA = {**PARCELS, "attention_dropout": 0.0, "heads": 2, "key_size": 4}

SMALL: dict[str, Small] = {
    "temporal_unet": Small({"temporal_width": 8, "temporal_layers": 1, "widths": (8, 8), "dropout": 0.0}),
    "temporal_unet:mean": Small(
        {
            "temporal_width": 8,
            "temporal_layers": 1,
            "widths": (8, 8),
            "dropout": 0.0,
            "pooling": "mean",
            "positions": True,
        },
        SENSORS,
    ),
    "siamese_unet3d": Small({"width": 8, "halvings": 1}, SENSORS, periods=(4,)),
    "siamese_unet3d:isrc": Small({"width": 8, "halvings": 1, "collapse": "mean", "head_kind": "isrc"}),
    "conv_lstm": Small({"hidden": (8,), "days": True}, SENSORS),
    "conv_star": Small({"hidden": 8, "layers": 2, "refinement": 8, "dropout": 0.0}, SENSORS, {"levels": ((0, 0, 1),)}),
    "utae": Small({**UTAE, "dropout": 0.0, "attention_dropout": 0.0}, SENSORS),
    "temp_cnn": Small({"width": 8, "dropout": 0.0}, periods=(4,)),
    "temp_cnn:mean": Small({"width": 8, "dropout": 0.0, "pooling": "mean"}),
    "temp_cnn:max": Small({"width": 8, "dropout": 0.0, "pooling": "max"}),
    "lstm": Small({"width": 6, "layers": 2, "dropout": 0.0}),
    "lstm:forwards": Small({"width": 6, "layers": 1, "bidirectional": False}),
    "transformer": Small({"width": 8, "layers": 1, "inner": 8, "dropout": 0.0}),
    "transformer:set": Small({"width": 8, "layers": 1, "inner": 8, "positions": False}),
    "pse_ltae": Small({**LTAE, "history": "ordered"}, inputs={"features": 4, "lags": 2}),
    "pse_ltae:published": Small(
        {**LTAE, "norm": "published", "length": 8, "history": "bag"}, inputs={"features": 4, "lags": 2}
    ),
    "pse_ltae:tae": Small({**TSA, "temporal": "tae", "width": 8, "parcel_features": False}),
    "pse_ltae:gru": Small(
        {**PARCELS, "temporal": "gru", "width": 8, "parcel_features": False, "pooling": ("max", "min")}
    ),
    "pse_ltae:tempcnn": Small(
        {**PARCELS, "temporal": "tempcnn", "width": 8, "convolution_widths": (8,)}, inputs={"features": 4}
    ),
    "pse_ltae:sensors": Small({**LTAE, "align": "linear"}, SENSORS, {"features": 4}),
    "pse_tsa": Small({**TSA, "parcel_features": True}, inputs={"features": 4}),
    "pse_tsa:early": Small({**TSA, "fusion": "early"}, SENSORS),
    "pse_tsa:pse": Small({**TSA, "fusion": "pse"}, SENSORS),
    "pse_tsa:tsa": Small({**TSA, "fusion": "tsa"}, SENSORS),
    "pse_tsa:softmax_average": Small({**TSA, "fusion": "softmax_average"}, SENSORS),
    "pse_tsa:softmax_product": Small({**TSA, "fusion": "softmax_product"}, SENSORS),
}


def small(name: str) -> Network:
    """A small network with fresh weights."""
    torch.manual_seed(0)
    chosen = SMALL[name]
    inputs = {"periods": chosen.periods[0], **chosen.inputs}
    network: Network = create(_base(name), bands=chosen.bands, outputs=CLASSES, **inputs, **chosen.settings)
    return network


def _base(name: str) -> str:
    """The registered name; a variant is written ``name:variant``."""
    return name.partition(":")[0]


def toy(name: str, count: int = 8, periods: int | None = None, seed: int = 0, classes: int = CLASSES) -> Batch:
    """A normalised batch for a network: each class has a curve of its own, and a tenth of the values is missing.

    A history is of so many `classes`; the targets are of the first three.
    """
    chosen, kind = SMALL[name], small(name).kind
    generator = torch.Generator().manual_seed(seed)
    length = periods or chosen.periods[0]
    space = {"patches": (SIDE, SIDE), "chips": (SIDE, SIDE), "pixel_sets": (PIXELS,), "pixels": ()}[kind]
    target = torch.arange(count) % CLASSES
    if kind == "patches":
        # Squares of four pixels, so that neighbours help and edges count.
        cells = torch.randint(CLASSES, (count, SIDE // 4, SIDE // 4), generator=generator)
        target = cells.repeat_interleave(4, 1).repeat_interleave(4, 2)
    parts = {sensor: _series(target, bands, length, space, generator) for sensor, bands in chosen.bands.items()}
    pixels = torch.ones(count, PIXELS, dtype=torch.bool) if kind == "pixel_sets" else None
    features = torch.randn(count, 4, generator=generator) if chosen.inputs.get("features") else None
    lags = chosen.inputs.get("lags", 0)
    history = torch.rand(count, lags, classes + 1, generator=generator) if lags else None
    return Batch(parts, target, pixels, features, history)


def _series(target: Tensor, bands: int, length: int, space: tuple[int, ...], generator: torch.Generator) -> Series:
    days = (torch.arange(length) * 30).to(torch.int32)
    phase = target.reshape(len(target), 1, 1, *target.shape[1:]).float() * (2 * torch.pi / CLASSES)
    phase = phase.reshape(*phase.shape, *(1,) * (len(space) - target.ndim + 1))
    time = torch.arange(length).reshape(1, length, 1, *(1,) * len(space)) / length * 2 * torch.pi
    band = torch.arange(bands).reshape(1, 1, bands, *(1,) * len(space))
    curve = torch.sin(time + phase + band).expand(len(target), length, bands, *space)
    values = curve + 0.1 * torch.randn(curve.shape, generator=generator)
    valid = torch.rand(len(target), length, *space, generator=generator) > 0.1
    return Series(values * valid.unsqueeze(2), days.expand(len(target), length).contiguous(), valid)


def lengthened(batch: Batch, frames: int) -> Batch:
    """The same samples with padded frames at the end whose values are rubbish."""

    def longer(_: str, one: Series) -> Series:
        count, _, bands, *space = one.values.shape
        rubbish = torch.full((count, frames, bands, *space), 9.0)
        dates = torch.full((count, frames), NO_DATE, dtype=torch.int32)
        nothing = torch.zeros(count, frames, *space, dtype=torch.bool)
        return Series(
            torch.cat([one.values, rubbish], 1), torch.cat([one.dates, dates], 1), torch.cat([one.valid, nothing], 1)
        )

    return batch.with_series(longer)


def widened(batch: Batch, slots: int) -> Batch:
    """The same pixel sets with padded slots whose values are rubbish."""
    assert batch.pixels is not None

    def wider(_: str, one: Series) -> Series:
        rubbish = torch.full((*one.values.shape[:-1], slots), 9.0)
        nothing = torch.zeros(*one.valid.shape[:-1], slots, dtype=torch.bool)
        return Series(torch.cat([one.values, rubbish], -1), one.dates, torch.cat([one.valid, nothing], -1))

    found = batch.with_series(wider)
    padding = torch.zeros(len(batch), slots, dtype=torch.bool)
    return Batch(found.series, batch.target, torch.cat([batch.pixels, padding], 1), batch.features, batch.history)


def part(batch: Batch, rows: slice) -> Batch:
    """Some samples of a batch."""

    def some(_: str, one: Series) -> Series:
        return Series(one.values[rows], one.dates[rows], one.valid[rows])

    cut = {
        name: value[rows]
        for name in ("target", "pixels", "features", "history")
        if (value := getattr(batch, name)) is not None
    }
    return Batch(batch.with_series(some).series, **cut)
