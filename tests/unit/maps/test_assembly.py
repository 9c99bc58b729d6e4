import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cropflow.maps.assembly import FoldModel, all_classes, average_folds, out_of_fold

NOT_PREDICTED = 65535
SHAPE = (4, 5)


def fixed_model(classes, values):
    """A model that knows its probabilities beforehand and answers only where it is asked."""

    def predict(where):
        return np.where(where, values, NOT_PREDICTED).astype(np.uint16)

    return FoldModel(tuple(classes), predict)


def draw_models(seed, count=3):
    generator = np.random.default_rng(seed)
    gaps = generator.random(SHAPE) < 0.1
    models, answers = [], []
    for _ in range(count):
        classes = sorted(generator.choice([1, 4, 6, 9], size=generator.integers(1, 5), replace=False).tolist())
        values = np.round(generator.dirichlet(np.ones(len(classes)), size=SHAPE) * 10_000).astype(np.uint16)
        values = np.moveaxis(values, -1, 0).copy()
        values[:, gaps] = NOT_PREDICTED
        models.append(fixed_model(classes, values))
        answers.append((classes, values))
    return models, answers


def plain_mean(answers, classes, y, x):
    """Halves rounded up; a class that a model does not know gets nothing from it."""
    known = [(names, values) for names, values in answers if values[0, y, x] != NOT_PREDICTED]
    if not known:
        return [NOT_PREDICTED] * len(classes)
    return [
        int(sum(int(values[names.index(crop), y, x]) for names, values in known if crop in names) / len(known) + 0.5)
        for crop in classes
    ]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_the_mean_of_the_folds_equals_a_loop_over_pixels(seed):
    models, answers = draw_models(seed)
    where = np.random.default_rng(seed).random(SHAPE) < 0.8
    found = average_folds(models, where)
    classes = all_classes(models)
    assert classes == tuple(sorted({crop for names, _ in answers for crop in names}))
    for y, x in np.ndindex(SHAPE):
        expected = plain_mean(answers, classes, y, x) if where[y, x] else [NOT_PREDICTED] * len(classes)
        assert found[:, y, x].tolist() == expected


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_each_block_is_predicted_by_the_model_that_did_not_learn_from_it(seed, from_store):
    models, answers = draw_models(seed)
    fold = np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], dtype=np.uint8), size=SHAPE)
    stored = None
    if from_store:
        # Stored predictions cover the test blocks alone.
        stored = {
            number: np.where(fold == number, values, NOT_PREDICTED).astype(np.uint16)
            for number, (_, values) in enumerate(answers)
        }
    found = out_of_fold(models, fold, stored)
    classes = all_classes(models)
    for y, x in np.ndindex(SHAPE):
        if fold[y, x] == 255:
            expected = plain_mean(answers, classes, y, x)
        else:
            expected = plain_mean([answers[fold[y, x]]], classes, y, x)
        assert found[:, y, x].tolist() == expected


def test_no_model_is_asked_about_a_block_that_it_learnt_from():
    asked = []

    def watch(number):
        def predict(where):
            asked.append((number, where))
            return np.full((1, *SHAPE), 10_000, dtype=np.uint16)

        return FoldModel((1,), predict)

    fold = np.zeros(SHAPE, dtype=np.uint8)
    fold[2:] = 2
    out_of_fold([watch(number) for number in range(3)], fold)
    assert [number for number, _ in asked] == [0, 2]
    for number, where in asked:
        assert (fold[where] == number).all()


def test_models_of_one_kind_are_equal_to_their_mean():
    values = np.full((2, *SHAPE), 5000, dtype=np.uint16)
    models = [fixed_model((3, 8), values)] * 4
    np.testing.assert_array_equal(average_folds(models, np.ones(SHAPE, dtype=bool)), values)
