"""The tasks by name: what is asked, and when an answer is right. A task knows no tokenizer.

Adding one means adding a file and a line here. May import prompts.formats, answers, records and common.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aftune.common.errors import UsageError
from aftune.tasks.aqua import Aqua
from aftune.tasks.arithmetic import Arithmetic
from aftune.tasks.base import LeftOut, Task
from aftune.tasks.ecqa import Ecqa
from aftune.tasks.gsm8k import Gsm8k, Gsm8kRank
from aftune.tasks.jsonl import Jsonl
from aftune.tasks.mixture import Mixture
from aftune.tasks.mmlu import Mmlu
from aftune.tasks.multiple_choice import ChoiceTask
from aftune.tasks.sequences import Sequences
from aftune.tasks.task_options import TaskOptions, parse_options

TASKS: dict[str, type[Task]] = {task.name: task for task in (Arithmetic, Sequences, Gsm8k, Gsm8kRank, Aqua, Ecqa, Mmlu, Jsonl)}


def find(name: str, key: str = "task.name") -> type[Task]:
    """The task class of that name; raises UsageError that names `key` for an unknown one."""
    if name not in TASKS:
        raise UsageError(f"{key}: there is no task {name!r}; there are {', '.join(TASKS)}, and mixture for several of them")
    return TASKS[name]


def check_options(name: str, options: Mapping[str, Any], key: str = "task") -> TaskOptions:
    """The options of the task of that name; raises UsageError that names `key` for an unknown name, and for options that the task
    does not take."""
    return parse_options(name, find(name, f"{key}.name").options_model, options, f"{key}.options")


def build(name: str, data: Path | None = None, seed: int = 0, options: Mapping[str, Any] | None = None, key: str = "task") -> Task:
    """The task of that name, reading its files from `data`; raises what `check_options` raises. See also `Mixture`."""
    task = find(name, f"{key}.name")
    parsed = check_options(name, options or {}, key)
    more = {"options": parsed} if task.options_model is not TaskOptions else {}
    return task(data=data, seed=seed, **more)  # type: ignore[call-arg]


__all__ = ["TASKS", "ChoiceTask", "LeftOut", "Mixture", "Task", "build", "check_options", "find"]
