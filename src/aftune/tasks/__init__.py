"""The tasks by name. Adding one means adding a file and a line here."""

from pathlib import Path

from aftune.errors import UsageError
from aftune.tasks.arithmetic import Arithmetic
from aftune.tasks.base import Task
from aftune.tasks.gsm8k import Gsm8k, Gsm8kRank
from aftune.tasks.mixture import Mixture
from aftune.tasks.sequences import Sequences

TASKS: dict[str, type[Task]] = {task.name: task for task in (Arithmetic, Gsm8k, Gsm8kRank, Sequences)}


def find(name: str, key: str = "task.name") -> type[Task]:
    """The class of that name, which stands at `key`; raises UsageError for an unknown one."""
    if name not in TASKS:
        raise UsageError(f"{key}: there is no task {name!r}; there are {', '.join(TASKS)}, and mixture for several of them")
    return TASKS[name]


def build(name: str, data: Path | None = None, seed: int = 0) -> Task:
    """The task of that name, reading its files from `data`; raises UsageError for an unknown name. See also `Mixture`."""
    return find(name)(data=data, seed=seed)  # type: ignore[call-arg]


__all__ = ["TASKS", "Mixture", "Task", "build", "find"]
