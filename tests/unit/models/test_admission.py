"""What a network refuses to look at, and what `create` takes for granted."""

from __future__ import annotations

import copy
import importlib
from typing import Any

import pytest
import torch
import zoo
from torch import Tensor

from cropflow.errors import CropflowError
from cropflow.models import batch_of, create

PACKAGES = ("composites", "evaluation", "imagery", "labels", "maps", "models", "regions", "samples", "simulation")


def of(*shape: int) -> Tensor:
    return torch.zeros(shape)


@pytest.mark.parametrize(
    ("name", "values", "parts", "message"),
    [
        ("lstm", of(2, 5, 4), {}, "The batch has sentinel2 of 4 bands; this Lstm was built for sentinel2 of 3 bands"),
        ("lstm", {"sentinel1_ascending": of(2, 5, 3)}, {}, "has sentinel1_ascending of 3 bands; .* sentinel2 of 3"),
        ("utae", {"sentinel2": of(2, 5, 3, 16, 16)}, {}, "sentinel2 of 3 bands; .*3 bands, sentinel1_descending of 2"),
        ("lstm", of(2, 5, 3, 6), {}, r"shape \(2, 5, 3, 6\); this Lstm expects \(B, T, C\)\."),
        ("pse_tsa", of(2, 4, 3), {}, r"this PseTsa expects \(B, T, C, S\)\."),
        ("pse_tsa", of(2, 4, 3, 6), {}, "The batch has no parcel features; this PseTsa was built for 4"),
        ("pse_tsa", of(2, 4, 3, 6), {"features": of(2, 3)}, "has 3 parcel features; .* built for 4"),
        ("pse_ltae", of(2, 4, 3, 6), {"features": of(2, 4)}, "has no earlier seasons; this PseLtae was built for 2"),
    ],
)
def test_a_batch_that_does_not_fit_is_one_line(name: str, values: Any, parts: dict[str, Any], message: str) -> None:
    with pytest.raises(CropflowError, match=message) as told:
        zoo.small(name)(batch_of(values, **parts))
    assert "\n" not in str(told.value)


def test_a_batch_with_sensors_in_another_order_is_refused() -> None:
    batch = zoo.toy("pse_tsa:early")
    turned = batch_of({name: series.values for name, series in reversed(batch.series.items())})
    with pytest.raises(CropflowError, match="in this order"):
        zoo.small("pse_tsa:early")(turned)


def test_a_copy_of_a_network_checks_its_batches_too() -> None:
    with pytest.raises(CropflowError, match="built for sentinel2 of 3 bands"):
        copy.deepcopy(zoo.small("lstm"))(batch_of(of(2, 5, 4)))


def test_parcels_bring_their_features_and_a_history_unless_told() -> None:
    assert create("pse_ltae", bands=10, outputs=20).pixel_set.features == 4
    ordered = create("pse_ltae", bands=10, outputs=20, history="ordered")
    assert ordered.lags == 2
    values = of(2, 6, 10, 5)
    scores = ordered(batch_of(values, features=of(2, 4), history=of(2, 2, 21)))
    assert scores.shape == (2, 20)
    with pytest.raises(CropflowError, match="parcel_features"):
        create("pse_ltae", bands=10, outputs=20, features=0)


def test_a_network_with_a_weight_for_each_date_asks_for_their_number() -> None:
    with pytest.raises(CropflowError, match=r"periods is missing: temp_cnn .*periods=36; or pooling: mean, or another"):
        create("temp_cnn", bands=10, outputs=20)
    with pytest.raises(CropflowError, match=r"periods is missing: siamese_unet3d .*collapse: mean, or another"):
        create("siamese_unet3d", bands=10, outputs=20)
    assert create("temp_cnn", bands=10, outputs=20, pooling="mean").periods is None


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_offers_its_functions_before_they_are_imported(package: str) -> None:
    module = importlib.import_module(f"cropflow.{package}")
    assert set(module.__all__) <= set(dir(module)) and "__name__" in dir(module)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        module.nothing  # noqa: B018


def test_an_encoder_by_itself_asks_for_the_features_that_it_joins() -> None:
    series = batch_of(of(2, 4, 3, 6)).only()
    with pytest.raises(CropflowError, match="no parcel features; the network was built for 4"):
        create("pse_ltae", bands=3, outputs=3).pixel_set(series)
