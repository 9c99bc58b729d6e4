"""How an experiment searches for settings of its model."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from cropflow.config.base import Section


class Span(Section):
    """Numbers to choose from."""

    low: float = Field(description="Smallest.")
    high: float = Field(description="Largest.")
    log: bool = Field(default=False, description="Evenly by their logarithm, as suits a learning rate.")
    whole: bool = Field(default=False, description="Whole numbers.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high <= self.low or (self.log and self.low <= 0):
            raise ValueError(f"low {self.low:g} and high {self.high:g}; expected low below high, and above 0 with log")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"low {self.low:g} and high {self.high:g} are no whole numbers; expected such with whole")
        return self


def _form_of_choice(value: Any) -> str:
    # Told apart by their form, so that a mistake in a span is not reported as a missing list.
    return "span" if isinstance(value, dict | Span) else "list"


Choice = Annotated[
    Annotated[tuple[Any, ...], Tag("list")] | Annotated[Span, Tag("span")],
    Discriminator(_form_of_choice),
]


class Tuning(Section):
    """A search over settings, scored on the validation fold of each fold."""

    search: Literal["grid", "tpe"] = Field(
        default="grid",
        description="grid: every combination of the values; tpe: Optuna's tree-structured Parzen estimator, which "
        "learns from earlier trials where to look.",
    )
    parameters: dict[str, Choice] = Field(
        min_length=1, description="Key of the model -> values to choose from, or low and high (tpe)."
    )
    trials: int | None = Field(default=None, ge=1, description="tpe: number of trials.")
    at_once: int = Field(
        default=1,
        ge=1,
        description="tpe: trials proposed together, to run side by side.",
    )
    metric: Literal["loss", "balanced_accuracy"] = Field(
        default="balanced_accuracy", description="What makes a trial the better one, on the validation fold."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for key, choice in self.parameters.items():
            if isinstance(choice, Span):
                if self.search == "grid":
                    raise ValueError(f"parameters.{key} is a span; expected a list of values, or search: tpe")
            elif len({repr(value) for value in choice}) != len(choice) or len(choice) < 2:
                raise ValueError(f"parameters.{key} is {list(choice)}; expected at least two values, each once")
        if (self.search == "tpe") != (self.trials is not None):
            raise ValueError(
                f"trials is {self.trials}; expected a number with search: tpe, and none with a grid, whose trials are "
                "its combinations"
            )
        if self.search == "grid" and self.at_once != 1:
            raise ValueError(f"at_once is {self.at_once}; a grid's trials all run side by side. Leave it out")
        return self

    @property
    def count(self) -> int:
        """Number of trials."""
        if self.trials is not None:
            return self.trials
        return math.prod(len(choice) for choice in self.parameters.values() if isinstance(choice, tuple))

    def before(self, trial: int) -> int:
        """Trials that one learns from: all with a smaller number than this."""
        return 0 if self.search == "grid" else trial // self.at_once * self.at_once
