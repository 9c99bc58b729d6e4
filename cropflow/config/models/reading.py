"""From JSON to the section of a model."""

from __future__ import annotations

from typing import Any

from cropflow.config.base import Section
from cropflow.config.load import json_of
from cropflow.config.models import Baseline, Model, Network
from cropflow.config.root import parse


class _Settings(Section):
    model: Model


def parse_model(content: Any, where: str = "model") -> Network | Baseline:
    """Parse the values of an experiment's model.

    Raises:
        CropflowError: If it is no model.
    """
    return parse(_Settings, {"model": content}, where).model


def parse_model_json(text: str) -> Network | Baseline:
    """Parse the JSON of an experiment's model.

    Raises:
        CropflowError: If it is no model.
    """
    return parse(_Settings, {"model": json_of(text)}, "--settings").model
