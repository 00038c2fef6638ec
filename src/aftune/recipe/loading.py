"""Recipes from files and from values, with `section.key=value` overrides."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from aftune.common.errors import NotFoundError, UsageError
from aftune.common.near import near
from aftune.common.validation_errors import explain
from aftune.common.wording import cut_short
from aftune.common.yaml_text import parse_yaml
from aftune.recipe.sections import Recipe
from aftune.recipe.shipped import find_recipe, shipped_names


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe file, or a recipe of aftune's by its name, with `section.key=value` overrides applied.

    Raises a UsageError that names the file or the override, the key, what is allowed, and the nearest valid key.
    """
    path = find_recipe(path.expanduser())
    try:
        values = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: no such recipe file; {_nearest(path)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a text file ({error})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{line}: not valid YAML ({_why(error)}); correct this line") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected keys and values, found {type(values).__name__}; `aftune init` writes a recipe")
    return recipe_from(values, overrides, str(path))


def _nearest(path: Path) -> str:
    """What to write instead of a path that is not there."""
    if path.suffix and (beside := near(path)):
        return beside
    names = shipped_names()
    ours = [path.stem] if path.stem in names else get_close_matches(path.stem, names, n=1)
    return (
        f"did you mean {ours[0]}, which comes with aftune? `aftune recipes` lists all"
        if ours
        else "`aftune recipes` lists the ready ones"
    )


def recipe_from(values: dict[str, Any], overrides: Sequence[str], place: str) -> Recipe:
    """A recipe from these values (changed in place) with `section.key=value` overrides applied; raises UsageError, its message
    starting with `place` or the override."""
    sources = {override.partition("=")[0]: f"override {cut_short(override)!r}" for override in overrides}
    for override in overrides:
        _apply(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(explain(error, Recipe, place, sources=sources)) from error


def with_settings(recipe: Recipe, settings: Mapping[str, Any], place: str) -> Recipe:
    """A copy with `section.key` set to other values; raises a UsageError that starts with `place` if a value does not fit."""
    values = recipe.model_dump(mode="json")
    for key, value in settings.items():
        _set(values, key.split("."), value, key)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(explain(error, Recipe, place)) from error


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise UsageError(f"{cut_short(override)!r} is not an override; write section.key=value, for example align.beta=0.2")
    try:
        value = parse_yaml(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{cut_short(override)!r}: the value is not valid YAML ({_why(error)}); put it in quotes") from error
    _set(values, parts, value, override)


def _set(values: dict[str, Any], parts: Sequence[str], value: Any, override: str) -> None:
    for part in parts[:-1]:
        if not isinstance(values.setdefault(part, {}), dict):
            raise UsageError(f"{cut_short(override)!r}: {cut_short(part)} is a single value and has no keys below it")
        values = values[part]
    values[parts[-1]] = value


def _why(error: yaml.YAMLError) -> str:
    return cut_short(str(getattr(error, "problem", None) or error), 300)
