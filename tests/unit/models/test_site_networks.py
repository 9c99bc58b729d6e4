"""Every network on a whole site: the same as window by window, pixel by pixel or parcel by parcel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cropflow.config.models import NETWORKS
from cropflow.models import predict_site
from cropflow.models.applying.folding import fold_batch_norms
from cropflow.models.applying.parcels import ParcelLayers
from cropflow.models.applying.prediction import NetworkPredictor, network_predictor
from cropflow.models.applying.series import days_of, predictable, stored_batch
from cropflow.models.applying.windows import fade, window_starts
from cropflow.models.checkpoints import Description
from cropflow.models.data.statistics import FeatureStatistics, Statistics
from cropflow.samples.sensors import KINDS, Layout
from cropflow.samples.stack import Stack
from tests.unit.models import zoo

HEIGHT, WIDTH = 20, 37
PLAIN = [name for name in zoo.SMALL if ":" not in name]


def predictor_of(name: str) -> NetworkPredictor:
    """A small network with fresh weights, as load_predictor gives a trained one."""
    small, network = zoo.SMALL[name], zoo.small(name)
    periods = tuple(f"2021-{month:02d}-01" for month in range(1, small.periods[0] + 1))
    layouts = tuple(
        Layout(sensor, tuple(f"B{number}" for number in range(bands)), (), periods, "")
        for sensor, bands in small.bands.items()
    )
    statistics = tuple(
        Statistics(one.sensor, one.bands, *((value,) * len(one.bands) for value in (1500.0, 500.0)), (1,), (0,))
        for one in layouts
    )
    features = FeatureStatistics((400.0, 9.0, 0.7, 0.05), (100.0, 4.0, 0.2, 0.02), 9)
    description = Description(
        NETWORKS[name](),  # type: ignore[arg-type]
        network.kind,
        "turkoglu",
        tuple(range(1, zoo.CLASSES + 1)),
        (),
        layouts,
        zoo.SIDE,
        int(small.inputs.get("lags", 0)),
        0,
        5,
        statistics,
        features if small.inputs.get("features") else None,
        minimum_dates=2,
    )
    return network_predictor(network, description, "cross_entropy")


def site(predictor: NetworkPredictor) -> Stack:
    """Series of all sensors with a tenth of the dates missing."""
    generator = np.random.default_rng(0)
    values = {}
    for layout in predictor.layouts:
        shape = (len(layout.periods), len(layout.bands), HEIGHT, WIDTH)
        whole = generator.integers(500, 2500, shape).astype(layout.kind.dtype)
        gone = generator.random((shape[0], HEIGHT, WIDTH)) < 0.1
        values[layout.sensor] = np.where(gone[:, None], np.array(layout.kind.nodata, whole.dtype), whole)
    return Stack(values)


def plainly(predictor: NetworkPredictor, series: dict[str, np.ndarray[Any, Any]], **parts: Any) -> Any:
    """Probabilities of one sample, ``(class, ...)``."""
    from dataclasses import replace

    one = {sensor: np.ascontiguousarray(values)[None] for sensor, values in series.items()}
    batch = replace(stored_batch(one, days_of(predictor.layouts), predictor.minimum_dates), **parts)
    return predictor.probability(predictor.prepare(batch))[0]


@pytest.mark.parametrize("name", PLAIN)
def test_a_site_is_predicted_as_its_parts_are(name: str) -> None:
    predictor, generator = predictor_of(name), np.random.default_rng(1)
    whole = site(predictor)
    index = np.zeros((HEIGHT, WIDTH), np.uint32)
    index[2:9, 3:8], index[4:19, 12:15], index[12, 30] = 1, 2, 3
    history = generator.dirichlet(np.ones(zoo.CLASSES + 1), (4, max(predictor.lags, 1))).astype(np.float32)
    points = np.array([[0, 0], [5, 5], [11, 13], [12, 30]])
    layers = ParcelLayers(index, np.ones(index.shape, bool), points, np.tile([300.0, 4000.0], (4, 1)), history)
    found = predict_site(predictor, whole, parcels=layers)
    if predictor.kind == "patches":
        known = predictable(whole, predictor.minimum_dates)
        np.testing.assert_allclose(found[:, known] / 1e4, by_windows(predictor, whole)[:, known], atol=2e-4)
        assert (found[:, ~known] == 65535).all()
    elif predictor.kind == "pixels":
        for row, column in ((0, 0), (7, 21), (19, 36)):
            pixel = {sensor: values[..., row, column] for sensor, values in whole.values.items()}
            np.testing.assert_allclose(found[:, row, column] / 1e4, plainly(predictor, pixel), atol=2e-4)
    elif predictor.kind == "pixel_sets":
        for parcel in (1, 2, 3):
            mine = index == parcel
            rows, columns = np.nonzero(mine)
            box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            told = [[300.0, len(rows), len(rows) / box, 300 / 4000]]
            parts = {
                "pixels": torch.ones(1, len(rows), dtype=torch.bool),
                "features": torch.tensor(told, dtype=torch.float32) if predictor.features else None,
                "history": torch.from_numpy(history[parcel : parcel + 1]) if predictor.lags else None,
            }
            expected = plainly(predictor, {key: values[..., mine] for key, values in whole.values.items()}, **parts)
            np.testing.assert_allclose(found[:, mine] / 1e4, np.tile(expected[:, None], len(rows)), atol=2e-4)
        assert (found[:, index == 0] == 65535).all()
    else:
        half = zoo.SIDE // 2
        for parcel in (1, 2, 3):
            chip = {}
            for sensor, values in whole.values.items():
                widths = [(0, 0), (0, 0), (half, half), (half, half)]
                around = np.pad(values, widths, constant_values=KINDS[sensor].nodata)
                row, column = points[parcel]
                chip[sensor] = around[..., row : row + zoo.SIDE, column : column + zoo.SIDE]
            mine = index == parcel
            expected = plainly(predictor, chip)
            np.testing.assert_allclose(found[:, mine] / 1e4, np.tile(expected[:, None], mine.sum()), atol=2e-4)


def by_windows(predictor: NetworkPredictor, whole: Stack) -> np.ndarray[Any, Any]:
    """The mean of windows predicted one by one, by the weights of their pixels."""
    size = predictor.patch_size
    total = np.zeros((len(predictor.classes), HEIGHT, WIDTH))
    weight = np.zeros((HEIGHT, WIDTH))
    for top in window_starts(HEIGHT, size, size // 2):
        for left in window_starts(WIDTH, size, size // 2):
            window = (..., slice(top, top + size), slice(left, left + size))
            total[window] += fade(size) * plainly(predictor, {key: one[window] for key, one in whole.values.items()})
            weight[window] += fade(size)
    mean: np.ndarray[Any, Any] = total / weight
    return mean


def test_folded_norms_change_no_score() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.BatchNorm2d(4),
        nn.Sequential(nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5, affine=False)),
    )
    for module in layers.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    series = torch.randn(2, 3, 8, 8)
    with pytest.raises(ValueError, match="evaluation mode"):
        fold_batch_norms(layers)
    with torch.no_grad():
        before = layers.eval()(series)
        after = fold_batch_norms(layers)(series)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)
    assert [type(module).__name__ for module in layers][1:4] == ["Identity", "ReLU", "BatchNorm2d"]
