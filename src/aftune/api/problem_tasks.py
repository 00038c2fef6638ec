"""The records of a call, checked, and the section of a recipe for the task that problems are of. Loads without torch."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from aftune import tasks
from aftune.api.keys import section_of, values_of
from aftune.common.errors import UsageError
from aftune.recipe import TaskSection
from aftune.records import AnyRecord, Problem, with_unique_ids
from aftune.tasks import Task

TaskOfRecipe: TypeAlias = str | Mapping[str, Any] | TaskSection


def checked(name: str, argument: str, problems: Iterable[Problem]) -> list[Problem]:
    """Problems as a list; raises what `records` raises, and RepeatedIdError. name: of the function, for errors."""
    return list(with_unique_ids(records(name, argument, problems, Problem), f"{name}: {argument}"))


def records(name: str, argument: str, given: Iterable[AnyRecord], kind: type[AnyRecord], *, some: bool = True) -> list[AnyRecord]:
    """An argument of records as a list; raises UsageError for anything else and, if there have to be some, for none."""
    found = list(given)
    if some and not found:
        raise UsageError(f"{name}: {argument} is empty; give at least one")
    for place, one in enumerate(found):
        if not isinstance(one, kind):
            raise UsageError(f"{name}: {argument}[{place}] is {type(one).__name__}, expected {kind.__name__}")
    return found


def task_section(name: str, given: TaskOfRecipe | None, problems: Iterable[Problem]) -> TaskSection:
    """The section of the task that was given, or of those that the problems are of. name: of the function, for errors. No split of
    it is read; each is one that the task has."""
    if given is not None:
        values = {"name": given} if isinstance(given, str) else values_of(given)
        known = tasks.TASKS.get(values.get("name", ""))
        return section_of(TaskSection, {**(_slices(known) if known else {}), **values}, name, "task.")
    homes = {task.problem_task(): task for task in reversed(tasks.TASKS.values()) if task.problems_of is None}
    names = list(dict.fromkeys(problem.task for problem in problems))
    for unknown in (one for one in names if one not in homes):
        raise UsageError(
            f"{name}: task: there are problems of task {unknown!r}, which aftune does not have; say how answers are read, for "
            "example task={'name': 'jsonl', 'options': {'answer_kind': 'number'}}"
        )
    parts = [{"name": homes[one].name, **_slices(homes[one])} for one in names]
    return section_of(TaskSection, parts[0] if len(parts) == 1 else {"name": "mixture", "parts": parts}, name, "task.")


def _slices(task: type[Task]) -> dict[str, str]:
    return dict.fromkeys(("train", "validation", "test"), task.split_names[0])
