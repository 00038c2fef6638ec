"""What is wrong with a recipe, in sentences that name file or override, key and remedy."""

import difflib
from typing import Any

from pydantic import ValidationError

from aftune.recipe.sections import Recipe, section_in


def explain(error: ValidationError, place: str, sources: dict[str, str]) -> str:
    """One sentence for each key; one that may be of several types has an error for each of them."""
    by_key: dict[str, list[Any]] = {}
    for item in error.errors():
        by_key.setdefault(".".join(_key(item)), []).append(item)
    return "; ".join(_explain_key(items, place, sources) for items in by_key.values())


def _key(error: Any) -> list[str]:
    """Where an error is, without the names of types that pydantic adds."""
    location = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        return location
    return [part for place, part in enumerate(location) if place == 0 or part.isdigit() or part in _keys_at(location[:place])]


def _explain_key(errors: list[Any], path: str, sources: dict[str, str]) -> str:
    error, location = errors[0], _key(errors[0])
    key = ".".join(location)
    at = f"{key}."
    override = next((text for name, text in sources.items() if f"{name}.".startswith(at) or at.startswith(f"{name}.")), None)
    place = f"override {override!r}" if override else path
    if error["type"] == "extra_forbidden":
        allowed = sorted(_keys_at(location[:-1]))
        near = difflib.get_close_matches(location[-1], allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{place}: unknown key {key!r}; {hint}allowed here: {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"{place}: key {key!r} is missing; add it"
    if error["type"] == "value_error":  # of a whole section: the message names the key
        return f"{place}: {key}.{error['ctx']['error']}"
    hint = " (put it in quotes)" if error["type"] == "string_type" and isinstance(error["input"], int | float) else ""
    wanted = ", or ".join(f"{item['msg'][0].lower()}{item['msg'][1:]}" for item in errors)
    return f"{place}: {key} is {error['input']!r}: {wanted}{hint}"


def _keys_at(location: list[str]) -> list[str]:
    section: Any = Recipe
    for part in location:
        if part.isdigit():  # a place in a list
            continue
        section = section_in(section.model_fields[part].annotation)
        if section is None:
            return []
    return list(section.model_fields)
