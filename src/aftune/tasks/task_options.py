"""What a recipe may say in `task.options`: a typed mapping for each task; most take none."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from aftune.common.errors import UsageError
from aftune.common.validation_errors import explain


class TaskOptions(BaseModel):
    """The base of all options, and those of a task that takes none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Options = TypeVar("Options", bound=TaskOptions)


def parse_options(task: str, model: type[Options], values: Mapping[str, Any], place: str = "task.options") -> Options:
    """The options of a task, found at `place`; raises UsageError that names each wrong key and what is allowed."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(explain(error, model, f"task {task}", f"{place}.")) from error
