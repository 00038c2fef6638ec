"""The tasks by name. Adding one means adding a file and a line here."""

from pathlib import Path

from aftune.errors import UsageError
from aftune.tasks.arithmetic import Arithmetic
from aftune.tasks.base import Task
from aftune.tasks.gsm8k import Gsm8k, Gsm8kRank

TASKS: dict[str, type[Task]] = {task.name: task for task in (Arithmetic, Gsm8k, Gsm8kRank)}


def find(name: str) -> type[Task]:
    """The class of that name; raises UsageError for an unknown one."""
    if name not in TASKS:
        raise UsageError(f"task.name: there is no task {name!r}; there are {', '.join(TASKS)}")
    return TASKS[name]


def build(name: str, data: Path | None = None, seed: int = 0) -> Task:
    """The task of that name, reading its files from `data`; raises UsageError for an unknown name."""
    return find(name)(data=data, seed=seed)  # type: ignore[call-arg]


__all__ = ["TASKS", "Task", "build", "find"]
