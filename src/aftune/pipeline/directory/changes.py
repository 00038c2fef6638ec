"""What has changed since a stage was made, in words. Harmless settings (`aftune.recipe.HARMLESS`) do not count."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from aftune.common.validation_errors import model_in
from aftune.pipeline.directory.inputs import Inputs
from aftune.recipe import HARMLESS, Recipe

_MOST_FILES = 3  # named; the others are only counted


def what_matters(settings: Mapping[str, Any], section: type[BaseModel] | None = Recipe) -> dict[str, Any]:
    """Settings of a stage, laid out as in a recipe, without the harmless ones. Keys that a recipe does not have stay."""
    kept = {}
    for key, value in settings.items():
        field = section.model_fields.get(key) if section else None
        if field is None or HARMLESS not in field.metadata:
            inner = None if field is None else model_in(field.annotation)
            kept[key] = _of_value(value, inner)
    return kept


def _of_value(value: Any, section: type[BaseModel] | None) -> Any:
    if isinstance(value, Mapping):
        return what_matters(value, section)
    return [_of_value(item, section) for item in value] if isinstance(value, list) else value


def setting_changes(
    old: Mapping[str, Any], new: Mapping[str, Any], section: type[BaseModel] | None = Recipe, prefix: str = ""
) -> list[str]:
    """`align.beta: 0.15 -> 0.3`, for each setting that differs. A setting that only one side has counts as the default on the
    other: it is newer than the run. One that recipes no longer have does not count: the version of a stage says what aftune itself
    does otherwise."""
    changes = []
    gone = {key for key in old if section and key not in section.model_fields and key not in new}
    for key in [*(key for key in old if key not in gone), *(key for key in new if key not in old)]:
        default = _default(section, key)
        before, after, name = old.get(key, default), new.get(key, default), f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            field = section.model_fields.get(key) if section else None
            changes += setting_changes(before, after, None if field is None else model_in(field.annotation), f"{name}.")
        elif before != after:
            changes.append(f"{name}: {before} -> {after}")
    return changes


def _default(section: type[BaseModel] | None, key: str) -> Any:
    field = section.model_fields.get(key) if section else None
    default = None if field is None else field.get_default(call_default_factory=True)
    if field is None or default is PydanticUndefined:
        return None
    return _of_value(to_jsonable_python(default), model_in(field.annotation))


def input_changes(old: Inputs, new: Inputs) -> list[str]:
    """`data train.jsonl changed`, for each input that differs. What one side does not know (a commit before the first download)
    is no change."""
    changes = [f"{name} is new" for name in new if name not in old]
    changes += [f"{name} is no longer read" for name in old if name not in new]
    changes += [f"{name} changed" for name, value in new.items() if _differ(value, old.get(name))]
    more = len(changes) - _MOST_FILES
    return changes if more <= 0 else [*changes[:_MOST_FILES], f"and {more} more"]


def _differ(one: str | None, other: str | None) -> bool:
    return None not in (one, other) and one != other
