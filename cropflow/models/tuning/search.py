"""What each trial tries: a point of a grid, or what Optuna proposes after the trials before it.

No database: the trials that are done are told to a fresh study each time, and its sampler starts from the seed and the
number of the trial. So a trial's settings follow from the config and the trials before it alone, and a search that was
interrupted goes on as if nothing had happened.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cropflow.config.tuning import Span, Tuning
from cropflow.errors import refuse

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


# Trials at random before the search learns, at most; a quarter of them in a short search.
_BLIND = 10


@dataclass(frozen=True)
class Trial:
    """A trial that is done.

    Attributes:
        parameters: What it tried, by key.
        score: Its score on the validation fold; a loss, or a balanced accuracy in [0, 1].
    """

    parameters: dict[str, Any]
    score: float


def propose(tuning: Tuning, trial: int, earlier: Sequence[Trial], seed: int) -> dict[str, Any]:
    """What a trial tries.

    Args:
        tuning: The search.
        trial: Its number, from 0.
        earlier: The trials it learns from, in order; a grid needs none.
        seed: Seed of the search.

    Returns:
        Key of the model -> value.

    Raises:
        CropflowError: If there is no trial of that number.
    """
    if not 0 <= trial < tuning.count:
        refuse("Trial", trial, f"0 to {tuning.count - 1}")
    if tuning.search == "grid":
        values = [choice for choice in tuning.parameters.values() if isinstance(choice, tuple)]
        chosen = next(itertools.islice(itertools.product(*values), trial, None))
        return dict(zip(tuning.parameters, chosen, strict=True))
    return _ask(tuning, trial, earlier, seed)


def _ask(tuning: Tuning, trial: int, earlier: Sequence[Trial], seed: int) -> dict[str, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {key: _distribution(choice) for key, choice in tuning.parameters.items()}
    study = optuna.create_study(
        direction="minimize" if tuning.metric == "loss" else "maximize",
        # Different numbers of one seed: trials that are proposed together must not be the same one.
        sampler=optuna.samplers.TPESampler(
            n_startup_trials=min(_BLIND, max(2, tuning.count // 4)), seed=(seed * 1_000_003 + trial) % 2**32
        ),
    )
    for done in earlier:
        told = {key: _as_stored(tuning.parameters[key], value) for key, value in done.parameters.items()}
        study.add_trial(optuna.trial.create_trial(params=told, distributions=distributions, value=done.score))
    asked = study.ask(distributions).params
    return {key: _as_value(choice, asked[key]) for key, choice in tuning.parameters.items()}


def _distribution(choice: tuple[Any, ...] | Span) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(choice, Span):
        if choice.whole:
            return IntDistribution(int(choice.low), int(choice.high), log=choice.log)
        return FloatDistribution(choice.low, choice.high, log=choice.log)
    # By position: values may be lists, which a study cannot hold.
    return CategoricalDistribution(tuple(range(len(choice))))


def _as_stored(choice: tuple[Any, ...] | Span, value: Any) -> Any:
    return value if isinstance(choice, Span) else [repr(one) for one in choice].index(repr(value))


def _as_value(choice: tuple[Any, ...] | Span, stored: Any) -> Any:
    return stored if isinstance(choice, Span) else choice[stored]
