"""`aftune validate`: the data of a task, or of all tasks of a recipe, checked before anything is trained on it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aftune import tasks
from aftune.common.errors import UsageError
from aftune.common.text_files import write_lines
from aftune.models.loading import context_length, load_config, load_tokenizer
from aftune.pipeline import recipe_task
from aftune.pipeline.context import make_prompter
from aftune.prompts.encoding import too_long
from aftune.recipe import Recipe, find_recipe, load_recipe, recipe_from
from aftune.records import Problem
from aftune.tasks import splits
from aftune.tasks.checks import TooLong, Validation
from aftune.tasks.checks import validate as check
from aftune.tasks.few_shot import choose_examples

_RECIPE_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Validated:
    """What was found, by task; `with_lengths`: whether lengths were checked; `path`: the file of the findings."""

    by_task: dict[str, Validation]
    with_lengths: bool
    path: Path

    @property
    def num_findings(self) -> int:
        return sum(len(validation.findings) for validation in self.by_task.values())

    @property
    def num_problems(self) -> int:
        return sum(summary.problems for validation in self.by_task.values() for summary in validation.splits)

    @property
    def usable(self) -> bool:
        return all(validation.usable for validation in self.by_task.values())


def validate(what: str, overrides: Sequence[str], out: Path | None = None) -> Validated:
    """Validates the data of a task, or of all tasks of a recipe file, and writes the findings, a line for each; without `out` to a
    file in the current folder, and only if there are any.

    overrides: for a task, settings as in a recipe (`data=FOLDER`, `task.options.shots=0`, `model.name=...`); for a recipe, those
    that replace its own. Lengths are checked if a model is named, for a recipe always. Raises UsageError for a task or a setting
    that does not exist.
    """
    recipe, has_model = _wanted(what, overrides)
    by_task: dict[str, Validation] = {}
    for key, part in recipe_task.used(recipe).items():
        task = recipe_task.build_one(recipe, key, part)
        train = splits.parse(part.train).split
        by_task[part.name] = check(task, _length_check(task, recipe, train) if has_model else lambda problem: None)
    path = out.expanduser() if out else Path(f"{Path(what).stem}-findings.jsonl")
    findings = [row for validation in by_task.values() for row in validation.findings]
    if findings or out:
        write_lines(path, (json.dumps(row, ensure_ascii=False) for row in findings))
    return Validated(by_task, has_model, path)


def _wanted(what: str, overrides: Sequence[str]) -> tuple[Recipe, bool]:
    """The recipe for a task's name or from a file, and whether its model was named by the user."""
    if what not in tasks.TASKS and (Path(what).suffix in _RECIPE_ENDINGS or find_recipe(Path(what)).exists()):
        recipe = load_recipe(Path(what), overrides)
        recipe_task.check(recipe)
        return recipe, True
    recipe = recipe_from({"run_dir": "unused", "task": {"name": what}}, overrides, "aftune validate")
    if recipe.task.name != what:
        raise UsageError("aftune validate: the task is the first argument; leave task.name out")
    tasks.check_options(what, recipe.task.options)
    return recipe, any(override.startswith("model.name=") for override in overrides)


def _length_check(task: tasks.Task, recipe: Recipe, train: str) -> TooLong:
    section = recipe.model
    tokenizer = load_tokenizer(section.name, **section.load_options)
    config = load_config(section.name, **section.load_options)
    if config is None:
        raise UsageError(f"model.name: the configuration of {section.name!r} is not here; give a local folder")
    context = context_length(config)

    examples = choose_examples(task, _readable(task, train), recipe.prompt.few_shot, recipe.seed)
    prompter = make_prompter(tokenizer, task, recipe.prompt, examples)

    def check(problem: Problem) -> str | None:
        return too_long(tokenizer, problem, prompter(problem), task.sound_reference(problem), context)

    return check


def _readable(task: tasks.Task, train: str) -> Iterator[Problem]:
    """The problems of the split that is trained on, as far as their rows can be read."""
    return (entry for entry in task.survey(train) if isinstance(entry, Problem))
