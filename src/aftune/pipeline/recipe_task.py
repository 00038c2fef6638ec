"""The task of a recipe: one of aftune's, or a mixture of them."""

from aftune import tasks
from aftune.common.errors import UsageError
from aftune.recipe import PartSection, Recipe, Slices
from aftune.tasks import Mixture, Task
from aftune.tasks import splits as split_slices
from aftune.tasks.base import FeedbackKind, data_folder
from aftune.tasks.jsonl import Jsonl
from aftune.tasks.mixture import Part, check_parts, shared_feedback

SPLITS = ("train", "validation", "test")


def used(recipe: Recipe) -> dict[str, PartSection]:
    """The tasks of a recipe with what is used of each, by their key in the recipe: its one task, or the parts of a mixture."""
    section = recipe.task
    if section.name == Mixture.name:
        return {f"task.parts.{place}": part for place, part in enumerate(section.parts)}
    return {"task": PartSection(**section.model_dump(include=set(Slices.model_fields)))}


def build(recipe: Recipe) -> Task:
    """The task, ready to be read; raises UsageError where something does not fit, DataError for a path that is not a folder."""
    if recipe.task.name != Mixture.name:
        return tasks.build(recipe.task.name, recipe.data, recipe.seed, recipe.task.options)
    return Mixture([Part(key, build_one(recipe, key, part), slices(part)) for key, part in used(recipe).items()])


def build_one(recipe: Recipe, key: str, part: PartSection) -> Task:
    """One task of a recipe, reading its own folder or that of the recipe."""
    if not (part.name == Jsonl.name and part.data is not None and part.data.is_file()):
        data_folder(part.name, part.data, f"{key}.data")
    return tasks.build(part.name, part.data or recipe.data, recipe.seed, part.options, key)


def slices(part: PartSection) -> dict[str, str]:
    """What is used for each split of the run."""
    return {split: getattr(part, split) for split in SPLITS}


def check_apart(recipe: Recipe, task: Task) -> None:
    """Raises UsageError where two splits of the run take the same rows of a task. It reads the data where two of them are slices of
    one split."""
    parts = task.parts if isinstance(task, Mixture) else [Part("task", task, slices(used(recipe)["task"]))]
    for part in parts:
        wanted = {f"{part.key}.{split}": part.task.parse_slice(text) for split, text in part.slices.items()}
        split_slices.check_apart(wanted, part.task.split_size)


def default_feedback(recipe: Recipe) -> FeedbackKind:
    """What alignment compares candidates by, where the recipe leaves that to the task."""
    return shared_feedback([tasks.find(part.name) for part in used(recipe).values()])


def check(recipe: Recipe) -> None:
    """Raises UsageError for a task or a split that does not exist, for parts that cannot be mixed, and for a task without a
    ranking in a run that asks for one. Reads no data."""
    classes = {key: _find(key, part.name) for key, part in used(recipe).items()}
    if recipe.task.name == Mixture.name:
        check_parts(classes)
        _check_slices("task", Mixture, recipe.task.model_dump())
        if recipe.task.options:
            raise UsageError("task.options: a mixture takes none; give them to a part, as task.parts.0.options")
    elif recipe.task.parts:
        raise UsageError(f"task.parts: task {recipe.task.name} has no parts; write task.name: mixture, or remove them")
    for key, part in used(recipe).items():
        _check_slices(key, classes[key], slices(part))
        tasks.check_options(part.name, part.options, key)
    feedback = recipe.align.feedback
    if (default_feedback(recipe) if feedback == "task" else feedback) == "ranking":
        for key, task in classes.items():
            if not task.ranks():
                raise UsageError(
                    f"{key}.name: task {task.name} has no ranking; set align.feedback=binary, or use a task that has one"
                )


def _find(key: str, name: str) -> type[Task]:
    return Mixture if name == Mixture.name else tasks.find(name, f"{key}.name")


def _check_slices(key: str, task: type[Task], values: dict[str, str]) -> None:
    for split in SPLITS:
        try:
            task.parse_slice(values[split])
        except UsageError as error:
            raise UsageError(f"{key}.{split}: {error}") from error
