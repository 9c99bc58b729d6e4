"""What every config section is, and what names are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cropflow.config.texts import NAME

Name = Annotated[str, Field(pattern=NAME)]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def dump(section: Section) -> dict[str, Any]:
    """A section as JSON-ready values, under its config keys."""
    return section.model_dump(mode="json", by_alias=True)
