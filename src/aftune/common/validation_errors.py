"""What pydantic refused, in sentences that name the place, the key, what was expected and the remedy."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from aftune.common.wording import cut_short

_LONGEST = 600  # characters of a message, unless the first sentence has more


def explain(
    error: ValidationError, model: type[BaseModel], place: str, prefix: str = "", sources: Mapping[str, str] | None = None
) -> str:
    """One sentence for each wrong key of `model`; a key that may be of several types has an error for each of them.

    Each starts with `place`, or with the text in `sources` (by key) that says where the value came from. prefix: what goes before
    the keys of the model, with its dot. Where that would become very long, the last keys are named and no more.
    """
    by_key: dict[str, list[Any]] = {}
    for item in error.errors():
        by_key.setdefault(".".join(_location(item, model)), []).append(item)
    told = ""
    for number, items in enumerate(by_key.values()):
        sentence = _explain(items, model, place, prefix, sources or {})
        if told and len(told) + len(sentence) > _LONGEST:
            left = ", ".join(repr(prefix + key) for key in list(by_key)[number:])
            return f"{told}; wrong too: {cut_short(left, 200)}"
        told += f"; {sentence}" if told else sentence
    return told


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: by itself, in a list, or as the alternative to None."""
    return next((kind for kind in (annotation, *getattr(annotation, "__args__", ())) if hasattr(kind, "model_fields")), None)


def _location(error: Any, model: type[BaseModel]) -> list[str]:
    """Where an error is, without the names of types that pydantic adds."""
    location = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        return location
    return [
        part for place, part in enumerate(location) if place == 0 or part.isdigit() or part in _keys_at(model, location[:place])
    ]


def _explain(errors: list[Any], model: type[BaseModel], place: str, prefix: str, sources: Mapping[str, str]) -> str:
    error, location = errors[0], _location(errors[0], model)
    key = (prefix + ".".join(location)).removesuffix(".")
    at = f"{key}."
    source = next((text for name, text in sources.items() if f"{name}.".startswith(at) or at.startswith(f"{name}.")), None)
    place = source or place
    if error["type"] == "extra_forbidden":
        allowed = sorted(_keys_at(model, location[:-1]))
        near = difflib.get_close_matches(location[-1], allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{place}: unknown key {cut_short(key)!r}; {hint}allowed here: {', '.join(allowed) or 'none, remove it'}"
    if error["type"] == "missing":
        return f"{place}: key {key!r} is missing; add it"
    if error["type"] == "value_error":  # of a section, whose message names the key, or of the whole model
        return f"{place}: {f'{key}.' if location else prefix.replace('.', ': ')}{cut_short(str(error['ctx']['error']), 400)}"
    hint = " (put it in quotes)" if error["type"] == "string_type" and isinstance(error["input"], int | float) else ""
    choices = [
        choice for item in errors if item["type"] == "literal_error" for choice in re.findall("'(.*?)'", item["ctx"]["expected"])
    ]
    if near := difflib.get_close_matches(str(error["input"]), choices, n=1):
        hint = f"; did you mean {near[0]!r}?"
    wanted = ", or ".join(f"{item['msg'][0].lower()}{item['msg'][1:]}" for item in errors)
    return f"{place}: {cut_short(key)} is {cut_short(repr(error['input']))}: {wanted}{hint}"


def _keys_at(model: type[BaseModel], location: list[str]) -> list[str]:
    for part in location:
        if part.isdigit():  # a place in a list
            continue
        inner = model_in(model.model_fields[part].annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)
