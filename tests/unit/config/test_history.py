from __future__ import annotations

import pytest

from cropflow.config.registers import History, Register
from cropflow.config.root import parse
from cropflow.errors import CropflowError

REGISTER = {"reader": "rpg", "files": {"2023": {"path": "x"}}}


def test_a_register_looks_back_three_years_by_default():
    history = parse(Register, REGISTER).history
    assert history == History()
    assert (history.years, history.publication_lag) == (3, 0)


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ({"publication_lag": 3}, "publication_lag 3 leaves none of 3 years; raise years"),
        ({"years": 0}, "registers.rpg.history.years is 0"),
        ({"stable_iou": 0.5}, "registers.rpg.history.stable_iou is 0.5"),
        ({"sliver_share": 1}, "registers.rpg.history.sliver_share is 1"),
        ({"slivers": 1}, "registers.rpg.history.slivers is no key of this section"),
    ],
)
def test_a_history_that_cannot_be_is_named_by_its_key(history, told):
    with pytest.raises(CropflowError) as stopped:
        parse(Register, REGISTER | {"history": history}, "registers.rpg")
    assert told in str(stopped.value)
