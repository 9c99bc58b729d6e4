import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.errors import CropflowError
from cropflow.evaluation import places
from cropflow.evaluation.places import SiteTruth, parcel_lookup, predicted_pixels, score_site

IGNORE, UNKNOWN, NO_FOLD, NOT_PREDICTED = 65535, 65534, 255, 65535
IDS = [0, 2, 5, 7]
CLASSES = (5, 2)


def draw_site(seed, shape=(9, 7)):
    """A site whose layers agree, and probabilities of two of its classes with gaps."""
    generator = np.random.default_rng(seed)
    parcels = generator.integers(0, 6, size=shape).astype(np.uint32)
    crop = np.array([0, 2, 5, 7, UNKNOWN, 0], dtype=np.uint16)
    fold = np.array([NO_FOLD, 0, 1, 1, 0, 1], dtype=np.uint8)
    crops = np.where(generator.random(shape) < 0.3, IGNORE, crop[parcels]).astype(np.uint16)
    crops[(parcels == 0) & (crops != IGNORE)] = generator.choice([0, UNKNOWN])
    folds = np.where(generator.random(shape) < 0.2, NO_FOLD, fold[parcels]).astype(np.uint8)
    outside = parcels == 0
    folds[outside] = generator.integers(0, 2, size=int(outside.sum()))
    probability = np.empty((2, *shape), dtype=np.uint16)
    probability[0] = generator.integers(0, 10_001, size=shape)
    probability[1] = 10_000 - probability[0]
    probability[:, generator.random(shape) < 0.2] = NOT_PREDICTED
    return SiteTruth("here", crops, parcels, folds, crop, fold), probability


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 1), st.booleans(), st.integers(1, 10))
def test_scoring_equals_a_loop_over_pixels(seed, fold, background, strip):
    site, probability = draw_site(seed)
    site.check()
    ids = IDS if background else IDS[1:]
    expected = np.zeros((3, len(ids), len(ids)))
    missing = np.zeros(3)
    sums = np.zeros((6, 2))
    for y, x in np.ndindex(site.crops.shape):
        rim = site.crops[y, x] == IGNORE and site.parcels[y, x] > 0
        truth = site.parcel_crop[site.parcels[y, x]] if rim else site.crops[y, x]
        if site.folds[y, x] != fold or truth not in ids:
            continue
        units = [0, 2] if rim else [0, 1]
        if probability[0, y, x] == NOT_PREDICTED:
            missing[units] += 1
            continue
        predicted = CLASSES[int(probability[1, y, x] > probability[0, y, x])]
        for unit in units:
            expected[unit, ids.index(truth), ids.index(predicted)] += 1
        if site.parcels[y, x] > 0:
            sums[site.parcels[y, x]] += probability[:, y, x]
    before, places.STRIP = places.STRIP, strip
    try:
        found = score_site(site, probability, CLASSES, ids, fold)
    finally:
        places.STRIP = before
    np.testing.assert_array_equal(found.confusions, expected)
    np.testing.assert_array_equal(found.not_predicted, missing)
    np.testing.assert_array_equal(found.sums.totals, sums)


def test_a_site_without_predictions_counts_its_labelled_pixels_as_not_predicted():
    site, _ = draw_site(3)
    found = score_site(site, None, CLASSES, IDS, 1)
    assert found.confusions.sum() == 0
    assert found.not_predicted[0] == found.not_predicted[1] + found.not_predicted[2] > 0


def spoilt(**changes):
    site, _ = draw_site(1)
    layers = {name: getattr(site, name).copy() for name in ("crops", "parcels", "folds", "parcel_crop", "parcel_fold")}
    for name, change in changes.items():
        layers[name] = change(layers[name], layers)
    return SiteTruth("plain/2021/a", **layers)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (spoilt(crops=lambda crops, _: crops[1:]), "layers of shapes"),
        (spoilt(parcels=lambda parcels, _: parcels + 20), "pixel of parcel 2"),
        (spoilt(parcel_crop=lambda crop, _: np.roll(crop, 1)), "another crop than their parcel"),
        (spoilt(parcel_fold=lambda fold, _: fold + 3), "another fold than their parcel"),
    ],
)
def test_layers_that_contradict_each_other_are_refused(site, message):
    with pytest.raises(CropflowError, match=message):
        site.check()


def test_probabilities_of_another_shape_are_refused():
    site, probability = draw_site(1)
    with pytest.raises(CropflowError, match=r"\(class, y, x\)"):
        score_site(site, probability[:, 1:], CLASSES, IDS, 0)


def test_what_is_no_probability_is_refused():
    with pytest.raises(CropflowError, match="sum to 12000"):
        predicted_pixels(np.full((2, 3), 6000, dtype=np.uint16), "Here")
    with pytest.raises(CropflowError, match="some classes only"):
        predicted_pixels(np.array([[NOT_PREDICTED], [10_000]], dtype=np.uint16), "Here")


def test_probabilities_rounded_to_ten_thousandths_pass():
    thirds = np.full((3, 2), 3333, dtype=np.uint16)
    thirds[:, 1] = NOT_PREDICTED
    assert predicted_pixels(thirds, "Here").tolist() == [True, False]


def test_a_lookup_marks_indexes_without_a_parcel():
    crop, fold = parcel_lookup(np.array([1, 3]), np.array([7, 0]), np.array([2, 255]))
    assert crop.tolist() == [0, 7, UNKNOWN, 0]
    assert fold.tolist() == [NO_FOLD, 2, NO_FOLD, NO_FOLD]
