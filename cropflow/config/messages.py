"""What is wrong with a config, in one line: the user's own key, the value found, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import Tag, ValidationError

from cropflow.config.addresses import public
from cropflow.config.base import Section
from cropflow.config.models import BASELINES, NETWORKS
from cropflow.config.texts import IN_WORDS
from cropflow.errors import listing

# What may stand under the key that tells alternatives apart.
TAGS = {"name": ", ".join((*NETWORKS, *BASELINES)), "method": "clusters, cropland, sample"}


def one_line(error: ValidationError, where: str, content: Any, parsed: type[Section]) -> str:
    """Tell the first mistake of a section, and how many there are.

    Args:
        error: What pydantic found.
        where: Key of the section; empty for the whole config.
        content: What was parsed.
        parsed: The section's model.
    """
    every = error.errors(include_url=False)
    # A list of one wrong entry is also too short: the entry says more.
    inside = {tuple(detail["loc"][:-1]) for detail in every}
    details = [detail for detail in every if detail["type"] != "too_short" or tuple(detail["loc"]) not in inside]
    # A misspelt key is also a missing one: the misspelling says more.
    first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
    location = tuple(first["loc"])
    kind, value = first["type"], public(first["input"])
    key = ".".join(part for part in (where, _key(location, content, kind == "missing")) if part)
    others = len(details) - 1
    rest = f" ({others} more mistake{'s' if others > 1 else ''})" if others else ""
    if kind == "value_error":
        text = first["msg"].removeprefix("Value error, ")
        found = "" if isinstance(value, dict) or not key else f" is {value!r}"
        return ": ".join(part for part in (key + found, text) if part) + "." + rest
    if "[key]" in location:
        return f"{key} has the name {value!r}; expected text of letters, digits, _ and -, in quotes.{rest}"
    if kind == "extra_forbidden":
        sections = _sections_at(location[:-1], parsed)
        keys = [field.alias or name for section in sections for name, field in section.model_fields.items()]
        near = difflib.get_close_matches(str(location[-1]), keys, 1, 0.75)
        meant = f"did you mean {near[0]}?" if near else f"expected one of: {listing(keys, 60)}."
        return f"{key} is no key of this section (value {value!r}); {meant}{rest}"
    if kind == "missing":
        return f"{key} is missing; it is required.{rest}"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tag = first["ctx"]["discriminator"].strip("'")
        found = f"has no {tag}" if kind == "union_tag_not_found" else f"has the {tag} {first['ctx']['tag']!r}"
        return f"{key} {found}; expected one of: {TAGS[tag]}.{rest}"
    if kind == "too_short":
        return f"{key} is empty; expected at least {first['ctx']['min_length']} entry.{rest}"
    return f"{key} is {value!r}; {_expected(first, value)}.{rest}"


def _expected(detail: Any, value: Any) -> str:
    """What is allowed, from what pydantic says about a value that is not."""
    kind, message = detail["type"], str(detail["msg"])
    if kind == "string_pattern_mismatch":
        return f"expected {IN_WORDS[detail['ctx']['pattern']]}"
    if kind == "string_type":
        return "expected text: write it in quotes"
    if kind.startswith("date"):
        return "expected a date such as '2022-10-01'"
    if kind == "tuple_type":
        return f"expected a list, such as [{value}]"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "expected a mapping, keys with values"
    return message[0].lower() + message[1:]


def _key(location: tuple[int | str, ...], content: Any, missing: bool) -> str:
    """The user's own key: a location without the tags of unions, which the content does not hold."""
    parts: list[str] = []
    for index, part in enumerate(location):
        at_end = missing and index == len(location) - 1
        known = part in content if isinstance(content, dict) else _is_index(part, content)
        if at_end or known:
            parts.append(str(part))
            content = content[part] if known else None
    return ".".join(parts[:-1] if "[key]" in location else parts)


def _is_index(part: int | str, content: Any) -> bool:
    return isinstance(part, int) and isinstance(content, list | tuple) and part < len(content)


def _plain(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows, without what is said about them and without None."""
    if get_origin(annotation) is Annotated:
        kind, *about = get_args(annotation)
        tags = [each for each in about if isinstance(each, Tag)]
        yield from [annotation] if tags else _plain(kind)
    elif isinstance(annotation, UnionType) or get_origin(annotation) is Union:
        for each in get_args(annotation):
            yield from _plain(each)
    elif annotation is not type(None):
        yield annotation


def _step(annotation: Any, part: int | str) -> list[Any]:
    """What stands at one part of a location: the value of a key or of an index, or the alternative of a tag."""
    found: list[Any] = []
    for each in _plain(annotation):
        if get_origin(each) is Annotated:
            kind, tag = get_args(each)[0], next(one for one in get_args(each)[1:] if isinstance(one, Tag))
            found += [kind] if tag.tag == part else []
        elif isinstance(each, type) and issubclass(each, Section):
            named = [field for name, field in each.model_fields.items() if part in (name, field.alias)]
            found += [field.annotation for field in named]
            # Alternatives that a field tells apart are named by its value.
            found += [each for field in each.model_fields.values() if part in get_args(field.annotation)]
        elif get_origin(each) in (dict, tuple):
            found += [one for one in get_args(each) if one is not Ellipsis][-1:]
    return found


def _types_at(location: tuple[int | str, ...], parsed: type[Section]) -> list[Any]:
    current: list[Any] = [parsed]
    for part in location:
        current = [found for each in current for found in _step(each, part)]
    return [plain for each in current for plain in _plain(each)]


def _sections_at(location: tuple[int | str, ...], parsed: type[Section]) -> list[type[Section]]:
    """The sections that may stand at a location."""
    return [each for each in _types_at(location, parsed) if isinstance(each, type) and issubclass(each, Section)]
