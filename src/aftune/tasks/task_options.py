"""What a recipe may say in `task.options`: a typed mapping for each task; most take none."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from aftune.common.errors import UsageError


class TaskOptions(BaseModel):
    """Base of all, and the options of a task that takes none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Options = TypeVar("Options", bound=TaskOptions)


def parse_options(task: str, model: type[Options], values: Mapping[str, Any], place: str = "task.options") -> Options:
    """The options of a task, which stand at `place`; raises UsageError that names each wrong key and what is allowed."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError("; ".join(_explain(task, model, item, place) for item in error.errors())) from error


def _explain(task: str, model: type[TaskOptions], error: Any, place: str) -> str:
    key = ".".join(map(str, error["loc"]))
    place = f"{place}.{key}" if key else place
    if error["type"] != "extra_forbidden":
        return f"{place} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
    allowed = list(model.model_fields)
    if not allowed:
        return f"{place}: task {task} takes no options; remove it"
    near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{place}: unknown key; {hint}task {task} takes {', '.join(allowed)}"
